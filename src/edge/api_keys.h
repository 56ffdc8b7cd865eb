/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/api_keys.h - keys of machines: a random text instead of a token, known here by its SHA-256 only.
 *
 * Shape      a list, one line each, empty lines and lines that begin with '#' left out:
 *                name: <64 hexadecimal digits> role=R [expires=DATE] [claims={...}]
 *            DATE is 2027-01-31 (its first moment, UTC) or 2027-01-31T12:00:00Z; claims is a JSON object that
 *            takes the rest of the line.
 * A key      "hsk_" and 43 digits of base64url: 32 random bytes. So much chance needs no slow hash.
 * Limits     EDGE_API_KEYS_MAX keys.
 * Promises   looking one up compares it with all of them, each in constant time.
 * Thread     read-only once read. Time and chance come in.
 */
#ifndef EDGE_API_KEYS_H
#define EDGE_API_KEYS_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/time.h"
#include "net/crypto.h"

enum { EDGE_API_KEYS_MAX = 4096, EDGE_API_KEY_RANDOM = 32, EDGE_API_KEY_MAX = 64 };

#define EDGE_API_KEY_PREFIX "hsk_"

struct edge_api_key {
    struct hs_str name;
    struct hs_str role;
    struct hs_str claims; /* a JSON object; "{}" unless given */
    int64_t ends_us;      /* wall clock; INT64_MAX = never */
    char hash[NET_SHA256];
};

struct edge_api_keys {
    struct edge_api_key *list;
    size_t n;
};

/*
 * In the arena.
 *   errors  HS_E_CONFIG (the line, and what it lacks; never a hash), HS_E_MEMORY
 */
hs_status edge_api_keys_read(struct hs_str text, struct hs_arena *arena,
                             struct edge_api_keys *ret_keys, struct hs_err *reterr) hs_must_check;

/* Does it look like one of ours? */
static inline bool edge_is_api_key(struct hs_str text)
{
    return hs_str_starts(text, HS_STR(EDGE_API_KEY_PREFIX));
}

/* NULL = unknown, or no memory for the hash; an expired one is returned. */
const struct edge_api_key *edge_api_keys_find(const struct edge_api_keys *keys, struct hs_str text);

/* Appends a new key made of those bytes. */
void edge_api_key_print(const unsigned char random[static EDGE_API_KEY_RANDOM], struct hs_buf *out);

/* Appends the line for the list, without its newline; expires and claims may be empty. false = no memory. */
bool edge_api_key_line(struct hs_str name, struct hs_str key, struct hs_str role,
                       struct hs_str expires, struct hs_str claims, struct hs_buf *out)
    hs_must_check;

#endif
