/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache/shared.h - the second tier: kept answers in a Redis that several nodes share.
 *
 * Shape      one per worker, on its loop (net/redis.h). Who leads a flight asks here before he asks the database;
 *            who has kept an answer of the database puts it here for the other nodes.
 * Trust      none. A value counts only if its MAC is of the key that the nodes share, it holds the whole key that
 *            was asked for, and it is of this epoch and of the same catalog; then it is judged like any entry, NOW and by
 *            this node's own stamps and floors. Nodes never talk to each other to stay coherent.
 * Names      hasten:<32 hexadecimal digits>, a keyed digest of epoch, catalog and key: nothing of a request can be
 *            read from it, and nodes that disagree do not overwrite each other's answers.
 * Faults     of Redis are no errors here: calls return false or come back empty, and the database is asked.
 * Thread     the worker's.
 */
#ifndef CACHE_SHARED_H
#define CACHE_SHARED_H

#include "cache/store.h"

struct cache_shared;

struct cache_shared_setup {
    struct net_loop *loop;
    struct hs_metrics *metrics;
    struct cache_state *state;
    struct hs_str url; /* cache.redis.url; not empty */
    hs_us timeout;
    hs_us retry_min;
    hs_us retry_max;
    size_t inflight_max;
    size_t entry_max; /* of the store */
    uint64_t seed;
    /* Redis is there, or not any more (why); may be NULL. */
    void (*changed)(void *ctx, bool is_up, const struct hs_err *why);
    void *ctx;
};

/* errors HS_E_CONFIG (the url), HS_E_MEMORY */
hs_status cache_shared_new(const struct cache_shared_setup *setup, struct cache_shared **ret_shared,
                           struct hs_err *reterr) hs_must_check;
/* Who still waits for a value is told that there is none. NULL is allowed. */
void cache_shared_free(struct cache_shared *shared);
/*
 * What all nodes know and nobody else: MAC and names are made with a key that is derived from it. Until then
 * nothing is asked or put.
 */
hs_status cache_shared_set_secret(struct cache_shared *shared, struct hs_str secret,
                                  struct hs_err *reterr) hs_must_check;

/* Embedded in the asker; stays put until done(). */
struct cache_shared_get {
    uint64_t
        catalog; /* a digest: equal on nodes whose answers to a key depend on the same, and look the same */
    /* value.p == NULL: there is none, or Redis did not say. It lives until this returns. */
    void (*done)(struct cache_shared_get *get, struct hs_str value);
};

/* false: done() will not be called. Else it is called once, later. */
bool cache_shared_get(struct cache_shared *shared, const struct cache_flight *flight,
                      struct cache_shared_get *get);

/* By whom and when a value is read. */
struct cache_shared_reader {
    uint64_t catalog;
    struct cache_token token;
    hs_us ttl_max; /* this node's own ceiling */
    hs_us now;
    struct hs_wall wall;
    uint32_t route;
    struct hs_str target; /* as in struct cache_answer */
};

/*
 * Judges the value; what may be served ends the flight, as cache_fill() does, and is returned with a reference.
 * NULL: it may not, and the flight goes on.
 */
struct cache_entry *cache_shared_take(struct cache_shared *shared, struct cache_flight *flight,
                                      struct hs_str value, const struct cache_shared_reader *reader)
    hs_must_check;

/* For the other nodes, in the background. */
void cache_shared_put(struct cache_shared *shared, const struct cache_entry *entry,
                      uint64_t catalog, hs_us now, struct hs_wall wall);

#endif
