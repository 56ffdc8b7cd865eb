/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache/store_int.h - what store.c, entry.c, flight.c, queue.c and chores.c share.
 *
 * Locks      store->lock guards the queues, the sums and every link or unlink; a shard's lock guards its chains,
 *            its flights and its memory of unfit keys. Order: store, then shard. A hit takes the shard's alone;
 *            only who fills, evicts, purges or sweeps takes both. Nothing is allocated or called back under them.
 */
#ifndef CACHE_STORE_INT_H
#define CACHE_STORE_INT_H

#include <pthread.h>

#include "cache/store.h"

enum {
    CACHE_SHARDS = 64,       /* a power of two */
    CACHE_FLIGHT_SLOTS = 64, /* of one shard: flights are as few as statements under way */
    CACHE_UNFIT_SLOTS = 64, /* of one shard: keys remembered as not worth keeping; the newer wins */
    CACHE_UNFIT_STRIKES = 8, /* fills born invalid, one after the other, that make a key unfit */
    CACHE_SLOT_BYTES = sizeof(struct cache_entry *),
    CACHE_SLOT_SHARE = 1024, /* bytes of the budget that are worth a slot of the hash tables */
    CACHE_FLIGHT_MAGIC = 0x43464c49
};

/* The queue that an entry is in; NONE: it is not in the store (any more). */
enum cache_queue {
    CACHE_QUEUE_NONE,
    CACHE_QUEUE_SMALL,
    CACHE_QUEUE_MAIN,
    CACHE_QUEUE_OLD /* the rule refuses it for good */
};

/* What was evicted, or removed although it was hot: half of its key's hash. */
struct cache_ghost {
    uint32_t mark;
    uint32_t at; /* the how manieth; 0 = none */
};

struct cache_unfit {
    uint64_t
        hash;    /* of the key: a collision costs that key its caching for a while, nothing else */
    hs_us until; /* 0: it has strikes only */
    uint32_t strikes;
};

struct cache_flight {
    uint32_t magic; /* CACHE_FLIGHT_MAGIC */
    uint32_t n_tags;
    struct cache_store *store;
    struct cache_flight
        *chain; /* of the shard's slot; not in it when a newer flight has taken its place */
    bool is_listed;
    struct cache_moment moment;
    uint64_t purges; /* those begun before the flight */
    hs_us begun_at;
    uint64_t hash;
    struct hs_str key;            /* behind the tags */
    const struct cache_tag *tags; /* behind the struct */
    struct hs_list joiners;
    size_t n_joiners;
};

struct cache_shard {
    pthread_mutex_t lock;
    struct cache_entry **slots; /* slots_mask + 1 of them, each the head of a chain */
    struct cache_flight *flights[CACHE_FLIGHT_SLOTS];
    struct cache_unfit unfit[CACHE_UNFIT_SLOTS];
};

struct cache_store {
    struct cache_store_setup setup;
    size_t slots_mask;          /* of one shard */
    struct cache_entry **slots; /* of all shards */
    char apart[64];             /* what hits read from what others write */

    pthread_mutex_t lock;
    struct hs_list small; /* newest first, both */
    struct hs_list main;
    struct hs_list old;
    size_t small_bytes;
    struct cache_ghost *ghosts;
    size_t ghosts_mask;
    uint32_t ghosts_at; /* the last one's */
    size_t entries;
    size_t bytes;
    uint64_t evicted;

    _Atomic(uint64_t) purges;
    _Atomic(int64_t) shared_since; /* wall clock, µs; of cache_purge_shared() */
    _Atomic(uint64_t) expired;
    _Atomic(uint64_t) invalidated;
    _Atomic(uint64_t) refused;
    _Atomic(uint64_t) joined;
    _Atomic(uint64_t) flights;
    atomic_uint making; /* variants under way */

    size_t sweep_at; /* the next slot, over all shards; the control thread's */
    struct cache_shard shards[CACHE_SHARDS];
};

static inline struct cache_shard *cache_shard_of(struct cache_store *store, uint64_t hash)
{
    return &store->shards[hash & (CACHE_SHARDS - 1)];
}

/* Other bits than those that choose the shard. */
static inline struct cache_entry **cache_slot_of(const struct cache_store *store,
                                                 struct cache_shard *shard, uint64_t hash)
{
    return &shard->slots[(hash >> 32) & store->slots_mask];
}

static inline void cache_count(_Atomic(uint64_t) *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- entry.c ---- */

/* The whole block's bytes, counted before it is there; SIZE_MAX: parts are too long for an entry. */
size_t cache_entry_size(const struct cache_flight *flight, const struct cache_answer *answer);
/* One reference, the caller's. NULL: no memory. size: of cache_entry_size(). */
struct cache_entry *cache_entry_new(const struct cache_flight *flight,
                                    const struct cache_moment *moment,
                                    const struct cache_answer *answer, size_t size, hs_us now);
/* Gives up a reference to each entry of a chain, outside of locks. */
void cache_entry_unref_all(struct cache_entry *chain);

/* ---- variant.c ---- */

/* With the last reference to the entry. */
void cache_variants_free(struct cache_entry *entry);

/* ---- queue.c: which entry goes; under store->lock ---- */

void cache_queue_init(struct cache_store *store);
void cache_queue_add(struct cache_store *store, struct cache_entry *entry);
void cache_queue_remove(struct cache_store *store, struct cache_entry *entry);
/* The entry, which is in a queue, has become longer. */
void cache_queue_grow(struct cache_store *store, struct cache_entry *entry, size_t bytes);
/* The entry to evict next, still in its queue; NULL: there is none. */
struct cache_entry *cache_queue_victim(struct cache_store *store);
/* The entry, which is in a queue, is no hit for anybody any more: it goes before all others. */
void cache_queue_demote(struct cache_store *store, struct cache_entry *entry);
enum {
    CACHE_VISITS_MAX = 3,
    CACHE_VISITS_OLD = 255 /* in CACHE_QUEUE_OLD; a hint for readers without the lock */
};
/* A hit was answered from the entry; any thread, no lock. One that gets lost beside another does not matter. */
static inline void cache_queue_visit(struct cache_entry *entry)
{
    unsigned visits = atomic_load_explicit(&entry->visits, memory_order_relaxed);

    if (visits < CACHE_VISITS_MAX)
        atomic_store_explicit(&entry->visits, (unsigned char)(visits + 1), memory_order_relaxed);
}

/* ---- store.c ---- */

/* Under the shard's lock; NULL: there is none. */
struct cache_entry *cache_find(const struct cache_store *store, struct cache_shard *shard,
                               struct hs_str key, uint64_t hash);
/*
 * Takes an entry out of its chain, queue and the sums, under both locks, and puts it before *dead: the store's
 * reference goes to whoever empties that chain.
 */
void cache_unlink(struct cache_store *store, struct cache_shard *shard, struct cache_entry *entry,
                  struct cache_entry **dead);
/* Unlinks the entry if it still is in the store. No lock is held. true: it was. */
bool cache_forget(struct cache_store *store, struct cache_entry *entry);
/*
 * May the entry, which is no hit for anybody any more, still be served as stale, or wait for cache_is_due()? The
 * view is the one that it was judged on.
 */
bool cache_is_useful(const struct cache_store *store, const struct cache_view *view,
                     const struct cache_entry *entry, hs_us now);
/* Evicts one entry, of which there must be one; under store->lock only. */
void cache_evict(struct cache_store *store, struct cache_entry **dead);
/* Evicts until so many bytes (at most bytes_max) and one entry have room; under store->lock only. */
void cache_make_room(struct cache_store *store, size_t bytes, struct cache_entry **dead);
/* Under both locks; there is room. Takes the reference. */
void cache_link(struct cache_store *store, struct cache_shard *shard, struct cache_entry *entry);

/* ---- flight.c ---- */

/* NULL: no memory, or too much of key or tags to be kept. The flight is not listed yet. */
struct cache_flight *cache_flight_new(struct cache_store *store, const struct cache_ask *ask,
                                      const struct cache_moment *moment);
/* One that was never listed; NULL is allowed. */
void cache_flight_free(struct cache_flight *flight);
/* Under the shard's lock: of that key, or NULL. */
struct cache_flight *cache_flight_find(struct cache_shard *shard, struct hs_str key, uint64_t hash);
/* Under the shard's lock: takes the place of another one of its key. */
void cache_flight_list(struct cache_shard *shard, struct cache_flight *flight);
/* Under the shard's lock: may the asker, whose first half of the rule is `may_hit`, have its answer? */
bool cache_flight_is_joinable(const struct cache_flight *flight, const struct cache_view *view,
                              bool may_hit);
/* Under the shard's lock. */
void cache_flight_join(struct cache_flight *flight, const struct cache_ask *ask,
                       struct cache_joiner *joiner);
/* Under the shard's lock. */
bool cache_unfit_is(struct cache_shard *shard, uint64_t hash, hs_us now);

#endif
