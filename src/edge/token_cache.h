/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/token_cache.h - verified tokens remembered, so that the next request costs no signature.
 *
 * Shape      entries in one array, found through open addressing (at most half full) by the keyed hash
 *            of the token's end and then by all of its bytes. When full, a clock hand drops the first entry
 *            not used since it came by last.
 * Promises   an entry outside its nbf and exp is dropped on sight and never returned.
 * Limits     entries_max tokens, and EDGE_TOKEN_MEAN bytes of tokens for each of them in all. 0 entries:
 *            remembers nothing. Memory is touched as it fills.
 * Thread     the owner's. Time comes in as `now`.
 */
#ifndef EDGE_TOKEN_CACHE_H
#define EDGE_TOKEN_CACHE_H

#include "core/identity.h"
#include "core/time.h"
#include "edge/jwt.h"

enum { EDGE_TOKEN_MEAN = 1024 };

struct edge_token {
    uint64_t hash;
    char *text;
    size_t n;
    struct hs_identity *identity; /* a reference of the cache's */
    int64_t starts_us;            /* as in edge/jwt.h */
    int64_t ends_us;
    unsigned char id[EDGE_JWT_ID]; /* the same */
    bool is_used;                  /* since the hand came by */
};

struct edge_token_cache {
    struct edge_token *entries;
    uint32_t *slots; /* index + 1 of an entry; 0 = empty */
    uint32_t n;
    uint32_t max;
    uint32_t mask;
    uint32_t hand;
    size_t bytes;
};

/* false = no memory. entries_max up to 2^24 */
bool edge_token_cache_init(struct edge_token_cache *cache, size_t entries_max) hs_must_check;
void edge_token_cache_fini(struct edge_token_cache *cache);

/* The identity (the cache's reference: take your own), or NULL. */
struct hs_identity *edge_token_cache_find(struct edge_token_cache *cache, struct hs_str token,
                                          struct hs_wall now);
/* Remembers a token that find did not return. Takes a reference. Without memory it just forgets. */
void edge_token_cache_add(struct edge_token_cache *cache, struct hs_str token,
                          struct hs_identity *identity, const struct edge_jwt *jwt);
/* Looks at all of them. */
void edge_token_cache_drop(struct edge_token_cache *cache,
                           const unsigned char id[static EDGE_JWT_ID]);
void edge_token_cache_clear(struct edge_token_cache *cache);

#endif
