/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache/store.h - cached answers, shared by all workers.
 *
 * Shape      shards, each with a lock that is held for a lookup or a link only; entries are immutable, counted
 *            blocks of memory, so an answer is written from the cache's own bytes while others replace it.
 * Limits     bytes_max and entries_max are exact: bytes count the whole block with the allocator's overhead.
 * Eviction   see store.c; chosen by tests/bench/cache_sim.c.
 * Coalescing A key that is being asked for has a flight: whoever asks for it meanwhile, in whatever
 *            worker, gets the flight's answer, if the rule allows it.
 * Threads    any.
 */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include <stdatomic.h>

#include "cache/state.h"

struct cache_store;

struct cache_store_setup {
    struct cache_state *state;
    size_t bytes_max;
    size_t entries_max;
    size_t entry_max;   /* bytes of one entry */
    size_t waiters_max; /* of one flight; who comes later asks by himself */
    hs_us unfit_time;   /* how long a key that could not be kept is remembered as such */
};

hs_status cache_store_new(const struct cache_store_setup *setup, struct cache_store **ret_store,
                          struct hs_err *reterr) hs_must_check;
void cache_store_free(struct cache_store *store);

enum { CACHE_ENTRY_MAGIC = 0x43454e54 };

/* One answer; everything in it is immutable and lives as long as a reference. */
struct cache_entry {
    uint32_t magic;
    atomic_uint refs;
    struct cache_moment moment;
    hs_us stored_at;
    hs_us expires_at;
    uint64_t hash;         /* of key */
    struct hs_str key;     /* the whole of it */
    struct hs_str etag;    /* with its quotes; empty = none */
    struct hs_str headers; /* complete lines, each ending in CRLF */
    struct hs_str content_type;
    struct hs_str body;
    const struct cache_tag *tags;
    uint32_t n_tags;
    uint32_t route; /* for the metrics */
    /* private to the store */
    struct hs_list node;
    struct cache_entry *chain;
    size_t bytes;
    atomic_uint hits;
    unsigned char queue;
    unsigned char visited;
};

void cache_entry_ref(struct cache_entry *entry);
/* NULL is allowed. */
void cache_entry_unref(struct cache_entry *entry);

/* What is asked: the key, and the reader's own conditions. */
struct cache_ask {
    struct hs_str key; /* canonical; compared whole */
    uint64_t hash;     /* hs_hash(key) */
    uint64_t generation;
    const struct cache_tag *tags;
    size_t n_tags;
    struct cache_token token; /* epoch NONE = none */
    bool is_fresh; /* no hit and no joining: the request said no-cache; the answer is kept */
    hs_us now;     /* the real clock, after the loop's wait */
};

struct cache_flight;

/* Waits for another's answer; embedded, stays put until done(). */
struct cache_joiner {
    struct net_loop *loop;
    /* entry == NULL: the flight came to nothing, or its answer may not serve: ask by yourself. It has a
     * reference that is the callee's. */
    void (*done)(struct cache_joiner *joiner, struct cache_entry *entry);
    /* private */
    struct hs_list node;
    struct net_mail mail;
    struct cache_entry *entry;
    struct cache_token token;
};

enum cache_got {
    CACHE_HIT,   /* *ret_entry, with a reference */
    CACHE_JOIN,  /* joiner->done() follows */
    CACHE_LEAD,  /* ask, then end *ret_flight by cache_fill() or cache_drop() */
    CACHE_BYPASS /* ask; nothing can be kept now, or this key could not be kept before */
};

/* Why it was no hit, for the metrics and for `explain`. */
enum cache_why {
    CACHE_WHY_NONE,
    CACHE_WHY_ABSENT,      /* was never there, or was evicted */
    CACHE_WHY_INVALIDATED, /* a tag was stamped, a floor raised */
    CACHE_WHY_EXPIRED,
    CACHE_WHY_NOT_PROVEN, /* the proof is too old, a barrier stands, no feed */
    CACHE_WHY_TOKEN,      /* the reader's token is not passed */
    CACHE_WHY_UNFIT,      /* this key is not kept for a while */
    CACHE_WHY_ASKED       /* the request said no-cache */
};

enum cache_got cache_get(struct cache_store *store, const struct cache_ask *ask,
                         struct cache_joiner *joiner, struct cache_entry **ret_entry,
                         struct cache_flight **ret_flight, enum cache_why *ret_why);

/* The answer's parts; copied. */
struct cache_answer {
    struct hs_str content_type;
    struct hs_str headers;
    struct hs_str etag;
    struct hs_str body;
    hs_us ttl;
    uint32_t route;
    uint64_t
        epoch; /* of the connection that ran the statement: another one than the flight's is not kept */
};

/*
 * Ends a flight with its answer: kept if the rule still allows it, and given to those who joined as far as
 * it allows. The flight is gone.
 */
void cache_fill(struct cache_flight *flight, const struct cache_answer *answer, hs_us now);
/* Ends it without an answer; is_unfit: the key is not worth trying for a while (too long, an error). */
void cache_drop(struct cache_flight *flight, bool is_unfit);
/* When the flight was begun; its fence. */
const struct cache_moment *cache_flight_moment(const struct cache_flight *flight);

/* ---- chores: the control thread ---- */

/* Removes what has expired or can never be served again; a bounded step; returns how many, 0 = one round is
 * through. */
size_t cache_sweep(struct cache_store *store, hs_us now, size_t steps_max);

/* Which entries a purge covers: all fields that are set must agree. */
struct cache_purge {
    uint32_t table;         /* CACHE_NO_INDEX = any */
    struct hs_str contains; /* in the key; p == NULL = any */
    struct hs_str pattern;  /* of the key, with '*'; p == NULL = any */
};
struct cache_purged {
    uint64_t entries;
    uint64_t bytes;
};
struct cache_purged cache_purge(struct cache_store *store, const struct cache_purge *what);

/* Calls each() for the n entries with the most hits, the best first; entries live during the call only. */
hs_status cache_top(struct cache_store *store, size_t n,
                    void (*each)(void *arg, const struct cache_entry *entry, uint64_t hits),
                    void *arg, struct hs_err *reterr) hs_must_check;

struct cache_store_stats {
    uint64_t entries;
    uint64_t bytes;
    uint64_t evicted;
    uint64_t expired;     /* by the sweep */
    uint64_t invalidated; /* found so by a reader */
    uint64_t refused;     /* born invalid, too long, or of another epoch */
    uint64_t joined;
    uint64_t flights; /* under way */
};
void cache_stats(struct cache_store *store, struct cache_store_stats *ret_stats);
/* The entry of that key, with a reference, whatever the rule says of it; NULL if there is none. */
struct cache_entry *cache_peek(struct cache_store *store, struct hs_str key, uint64_t hash);

#endif
