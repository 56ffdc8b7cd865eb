/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     hash ──▶ slots (index + 1, linear probing) ──▶ entries (dense: 0 .. n-1)
 *
 * Removal moves the last entry into the hole, so entries stay dense and the hand can walk them, and
 * shifts back the slots behind, so there are no tombstones.
 *
 * Only verified tokens are here, so nobody can fill the table but who holds the signing key. And the
 * comparison may stop at the first differing byte: whoever gets as far as that has the signature, the only
 * part of a token that is secret, or a second text of the same keyed hash without knowing the key.
 *
 * Source: the clock algorithm (Corbató, 1968); deletion after Knuth, volume 3, 6.4, algorithm R.
 */
#include "edge/token_cache.h"

#include "core/hash.h"
#include "core/mem.h"

enum { ENTRIES_MAX = 1 << 24, TAIL = 48 };

/* Of the end of the token, which is its signature: as good as chance, and a fifth of the bytes. */
static uint64_t hash_of(struct hs_str token)
{
    return hs_hash(hs_str_sub(token, token.n > TAIL ? token.n - TAIL : 0, token.n));
}

bool edge_token_cache_init(struct edge_token_cache *cache, size_t entries_max)
{
    size_t n_slots = 2;

    *cache = (struct edge_token_cache){0};
    entries_max = entries_max > ENTRIES_MAX ? ENTRIES_MAX : entries_max;
    if (entries_max == 0)
        return true;
    while (n_slots < 2 * entries_max)
        n_slots *= 2;
    cache->slots = hs_calloc(n_slots, sizeof(*cache->slots));
    cache->entries = hs_calloc(entries_max, sizeof(*cache->entries));
    if (!cache->slots || !cache->entries) {
        edge_token_cache_fini(cache);
        return false;
    }
    cache->max = (uint32_t)entries_max;
    cache->mask = (uint32_t)(n_slots - 1);
    return true;
}

static void release(struct edge_token *e)
{
    hs_identity_unref(e->identity);
    hs_free(e->text);
}

void edge_token_cache_fini(struct edge_token_cache *cache)
{
    for (uint32_t i = 0; i < cache->n; i++)
        release(&cache->entries[i]);
    hs_free(cache->entries);
    hs_free(cache->slots);
    *cache = (struct edge_token_cache){0};
}

static uint32_t home(const struct edge_token_cache *cache, uint64_t hash)
{
    return (uint32_t)hash & cache->mask;
}

/* The slot that holds `index`. */
static uint32_t slot_of(const struct edge_token_cache *cache, uint32_t index)
{
    uint32_t at = home(cache, cache->entries[index].hash);

    while (cache->slots[at] != index + 1)
        at = (at + 1) & cache->mask;
    return at;
}

static void empty_slot(struct edge_token_cache *cache, uint32_t hole)
{
    uint32_t at = hole;

    for (;;) {
        uint32_t wish;

        at = (at + 1) & cache->mask;
        if (cache->slots[at] == 0)
            break;
        wish = home(cache, cache->entries[cache->slots[at] - 1].hash);
        /* Movable if its home is not between the hole (exclusive) and where it is. */
        if (((at - wish) & cache->mask) >= ((at - hole) & cache->mask)) {
            cache->slots[hole] = cache->slots[at];
            hole = at;
        }
    }
    cache->slots[hole] = 0;
}

static void drop(struct edge_token_cache *cache, uint32_t index)
{
    uint32_t last = cache->n - 1;

    empty_slot(cache, slot_of(cache, index));
    cache->bytes -= cache->entries[index].n;
    release(&cache->entries[index]);
    if (index != last) {
        cache->slots[slot_of(cache, last)] = index + 1;
        cache->entries[index] = cache->entries[last];
    }
    cache->entries[last] = (struct edge_token){0};
    cache->n = last;
}

struct hs_identity *edge_token_cache_find(struct edge_token_cache *cache, struct hs_str token,
                                          struct hs_wall now)
{
    uint64_t hash;
    uint32_t at;

    if (cache->n == 0)
        return NULL;
    hash = hash_of(token);
    for (at = home(cache, hash); cache->slots[at]; at = (at + 1) & cache->mask) {
        struct edge_token *e = &cache->entries[cache->slots[at] - 1];

        if (e->hash != hash || !hs_str_eq(hs_strn(e->text, e->n), token))
            continue;
        if (now.us < e->starts_us || now.us >= e->ends_us) {
            drop(cache, cache->slots[at] - 1);
            return NULL;
        }
        e->is_used = true;
        return e->identity;
    }
    return NULL;
}

static void evict(struct edge_token_cache *cache)
{
    for (;;) {
        if (cache->hand >= cache->n)
            cache->hand = 0;
        if (!cache->entries[cache->hand].is_used)
            break;
        cache->entries[cache->hand++].is_used = false;
    }
    drop(cache, cache->hand);
}

void edge_token_cache_add(struct edge_token_cache *cache, struct hs_str token,
                          struct hs_identity *identity, const struct edge_jwt *jwt)
{
    size_t bytes_max = (size_t)cache->max * EDGE_TOKEN_MEAN;
    struct edge_token *e;
    uint32_t at;
    char *text;

    if (token.n > bytes_max)
        return;
    while (cache->n && (cache->n == cache->max || cache->bytes + token.n > bytes_max))
        evict(cache);
    text = hs_memdup0(token.p, token.n);
    if (!text)
        return;
    e = &cache->entries[cache->n];
    *e = (struct edge_token){.hash = hash_of(token),
                             .text = text,
                             .n = token.n,
                             .identity = hs_identity_ref(identity),
                             .starts_us = jwt->starts_us,
                             .ends_us = jwt->ends_us};
    memcpy(e->id, jwt->id, sizeof(e->id));
    at = home(cache, e->hash);
    while (cache->slots[at])
        at = (at + 1) & cache->mask;
    cache->slots[at] = ++cache->n;
    cache->bytes += token.n;
}

void edge_token_cache_drop(struct edge_token_cache *cache,
                           const unsigned char id[static EDGE_JWT_ID])
{
    uint32_t i = 0;

    while (i < cache->n) {
        if (memcmp(cache->entries[i].id, id, EDGE_JWT_ID) == 0)
            drop(cache, i); /* the last one takes its place */
        else
            i++;
    }
}

void edge_token_cache_clear(struct edge_token_cache *cache)
{
    while (cache->n)
        drop(cache, cache->n - 1);
    cache->hand = 0;
}
