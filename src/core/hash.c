/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XXH3 is the library's; here are only the key and the rule for several slices.
 *
 * The key is a whole XXH3 secret, stretched from the seed: with a mere 64-bit seed XXH3 would derive
 * such a secret anew for every input longer than 240 bytes, and tokens are that long. It makes tables
 * hard to flood, not impossible: XXH3 is no cryptographic hash, so tables that outsiders fill are
 * bounded as well. Slices are folded by multiply and add, which keeps their order and their borders.
 * Source: XXH3_64bits_withSecret in xxhash.h 0.8.
 */
#include "core/hash.h"

#include <xxhash.h>

#include "core/rng.h"

enum { SECRET = 192 };

static unsigned char secret[SECRET];
static bool is_seeded;

void hs_hash_seed(uint64_t key)
{
    struct hs_rng rng = {key};

    for (size_t i = 0; i < SECRET; i += sizeof(uint64_t)) {
        uint64_t v = hs_rng_next(&rng);

        memcpy(secret + i, &v, sizeof(v));
    }
    is_seeded = true;
}

uint64_t hs_hash(struct hs_str s)
{
    return is_seeded ? XXH3_64bits_withSecret(s.p, s.n, secret, SECRET) : XXH3_64bits(s.p, s.n);
}

uint64_t hs_digest(struct hs_str s)
{
    return XXH3_64bits(s.p, s.n);
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    uint64_t v = a * 0x9e3779b97f4a7c15u + b;

    v = (v ^ (v >> 32)) * 0xd6e8feb86659fd93u;
    return v ^ (v >> 32);
}

uint64_t hs_digest_more(uint64_t digest, struct hs_str s)
{
    return fold(digest, hs_digest(s));
}

uint64_t hs_hash_more(uint64_t hash, struct hs_str s)
{
    return fold(hash, hs_hash(s));
}
