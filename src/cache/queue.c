/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eviction: S3-FIFO. The table in store.c says why.
 *
 *     new ──▶ small (a tenth) ──▶ hit twice or more: main ──▶ hit since: once more round, else out
 *                  └──▶ else out, its hash is remembered ──▶ asked for again: straight into main
 *
 * A hit counts up to three in the entry and moves nothing. Most keys are asked for once and pass through the small
 * queue without touching the main one, so a scan costs a tenth of the store at most.
 *
 * The memory of hashes is a table with one place for each hash, and the number of the eviction beside it: what is
 * older than the store has entries is forgotten. Two hashes of one place: the later one stays.
 *
 * What does not hold any more, and may be of use as a stale answer, has a queue of its own, which is emptied first.
 *
 * What goes for another reason than eviction and had been hit is remembered as well: a hot answer that a write
 * made invalid, and that is filled anew, need not prove itself again.
 *
 * Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023; for objects of many sizes, so
 * the tenth is one of bytes.
 */
#include "cache/store_int.h"

enum { SMALL_SHARE = 10, VISITS_TO_MAIN = 2, STEPS_MAX = 1024 };

void cache_queue_init(struct cache_store *store)
{
    hs_list_init(&store->small);
    hs_list_init(&store->main);
    hs_list_init(&store->old);
}

static struct cache_ghost *ghost_of(struct cache_store *store, uint64_t hash)
{
    return &store->ghosts[hash & store->ghosts_mask];
}

static void ghost_add(struct cache_store *store, uint64_t hash)
{
    *ghost_of(store, hash) = (struct cache_ghost){.mark = (uint32_t)(hash >> 32),
                                                  .at = ++store->ghosts_at};
}

/* Forgets it, too: it is about to be an entry. */
static bool ghost_take(struct cache_store *store, uint64_t hash)
{
    struct cache_ghost *ghost = ghost_of(store, hash);

    if (!ghost->at || ghost->mark != (uint32_t)(hash >> 32) ||
        store->ghosts_at - ghost->at > store->entries)
        return false;
    ghost->at = 0;
    return true;
}

static struct hs_list *list_of(struct cache_store *store, enum cache_queue queue)
{
    return queue == CACHE_QUEUE_SMALL ? &store->small
           : queue == CACHE_QUEUE_OLD ? &store->old
                                      : &store->main;
}

static void push(struct cache_store *store, enum cache_queue queue, struct cache_entry *entry)
{
    entry->queue = (unsigned char)queue;
    if (queue == CACHE_QUEUE_SMALL)
        store->small_bytes += entry->bytes;
    hs_list_prepend(list_of(store, queue), &entry->node);
}

static void pull(struct cache_store *store, struct cache_entry *entry)
{
    if (entry->queue == CACHE_QUEUE_SMALL)
        store->small_bytes -= entry->bytes;
    entry->queue = CACHE_QUEUE_NONE;
    hs_list_remove(&entry->node);
}

static unsigned visits_of(const struct cache_entry *entry)
{
    return atomic_load_explicit(&entry->visits, memory_order_relaxed);
}

static void set_visits(struct cache_entry *entry, unsigned n)
{
    atomic_store_explicit(&entry->visits, (unsigned char)n, memory_order_relaxed);
}

void cache_queue_add(struct cache_store *store, struct cache_entry *entry)
{
    push(store, ghost_take(store, entry->hash) ? CACHE_QUEUE_MAIN : CACHE_QUEUE_SMALL, entry);
}

void cache_queue_remove(struct cache_store *store, struct cache_entry *entry)
{
    if (visits_of(entry) && entry->queue != CACHE_QUEUE_OLD)
        ghost_add(store, entry->hash);
    pull(store, entry);
}

void cache_queue_demote(struct cache_store *store, struct cache_entry *entry)
{
    cache_queue_remove(store, entry);
    set_visits(entry, CACHE_VISITS_OLD);
    push(store, CACHE_QUEUE_OLD, entry);
}

void cache_queue_grow(struct cache_store *store, struct cache_entry *entry, size_t bytes)
{
    if (entry->queue == CACHE_QUEUE_SMALL)
        store->small_bytes += bytes;
    store->bytes += bytes;
    entry->bytes += (uint32_t)bytes;
}

static struct cache_entry *last_of(const struct hs_list *queue)
{
    return HS_CONTAINER(queue->prev, struct cache_entry, node);
}

/* Readers may hit as fast as the round goes, and others wait for the lock: hence the bound. */
static struct cache_entry *victim_of_main(struct cache_store *store, unsigned steps)
{
    struct cache_entry *entry = last_of(&store->main);

    for (; visits_of(entry) && steps < STEPS_MAX; entry = last_of(&store->main), steps++) {
        set_visits(entry, visits_of(entry) - 1);
        pull(store, entry);
        push(store, CACHE_QUEUE_MAIN, entry);
    }
    set_visits(entry, 0); /* it is not remembered */
    return entry;
}

struct cache_entry *cache_queue_victim(struct cache_store *store)
{
    for (unsigned steps = 0;; steps++) {
        struct cache_entry *entry;

        if (!hs_list_is_empty(&store->old))
            return last_of(&store->old);
        if (hs_list_is_empty(&store->small) && hs_list_is_empty(&store->main))
            return NULL;
        if (hs_list_is_empty(&store->small) ||
            (!hs_list_is_empty(&store->main) && store->small_bytes < store->bytes / SMALL_SHARE))
            return victim_of_main(store, steps);
        entry = last_of(&store->small);
        if (visits_of(entry) < VISITS_TO_MAIN || steps >= STEPS_MAX) {
            ghost_add(store, entry->hash);
            set_visits(entry, 0);
            return entry;
        }
        pull(store, entry);
        set_visits(entry, 0);
        push(store, CACHE_QUEUE_MAIN, entry);
    }
}
