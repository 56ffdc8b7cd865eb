/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control thread does to the store. All of it is one walk over the slots, a few at a time under the
 * locks: a hit that wants the same shard waits for microseconds, whatever the store holds.
 */
#include "cache/store_int.h"

#include <stdlib.h>

#include "core/mem.h"

enum { CHUNK = 32 };

/* Should the entry go? Called under the locks. */
typedef bool covers_f(void *arg, struct cache_entry *entry);

/* Looks at up to CHUNK slots from `at` on (over all shards, of one shard); returns at how many. */
static size_t walk(struct cache_store *store, size_t at, size_t slots_max, covers_f *covers,
                   void *arg)
{
    const size_t n_slots = store->slots_mask + 1;
    struct cache_shard *shard = &store->shards[at / n_slots];
    struct cache_entry *dead = NULL;
    size_t n = n_slots - at % n_slots;

    n = n > CHUNK ? CHUNK : n;
    n = n > slots_max ? slots_max : n;
    pthread_mutex_lock(&store->lock);
    pthread_mutex_lock(&shard->lock);
    for (size_t i = at; i < at + n; i++) {
        struct cache_entry *next;

        for (struct cache_entry *entry = store->slots[i]; entry; entry = next) {
            next = entry->chain;
            if (covers(arg, entry))
                cache_unlink(store, shard, entry, &dead);
        }
    }
    pthread_mutex_unlock(&shard->lock);
    pthread_mutex_unlock(&store->lock);
    cache_entry_unref_all(dead);
    return n;
}

static size_t slots_of(const struct cache_store *store)
{
    return (store->slots_mask + 1) * CACHE_SHARDS;
}

static void walk_all(struct cache_store *store, covers_f *covers, void *arg)
{
    for (size_t at = 0; at < slots_of(store);)
        at += walk(store, at, CHUNK, covers, arg);
}

/* ---- sweep ---- */

struct sweep {
    struct cache_store *store;
    struct cache_view view;
    hs_us now;
};

/*
 * One that is no hit any more goes at once, or when it is of no use as a stale one; or, where the most hit are
 * refreshed, at the second look, so that there was time for it.
 */
static bool is_dead(void *arg, struct cache_entry *entry)
{
    struct sweep *sweep = arg;
    struct cache_store *store = sweep->store;
    bool is_expired = sweep->now >= entry->expires_at;
    bool was_old = entry->queue == CACHE_QUEUE_OLD;
    bool is_left;

    if (!is_expired && cache_is_valid(store->setup.state, &sweep->view, &entry->moment,
                                      cache_entry_tags(entry), entry->n_tags))
        return false;
    is_left = cache_is_useful(store, &sweep->view, entry, sweep->now) ||
              (store->setup.is_refreshed && !was_old);
    if (!was_old)
        cache_count(is_expired ? &store->expired : &store->invalidated);
    if (is_left && !was_old)
        cache_queue_demote(store, entry);
    return !is_left;
}

size_t cache_sweep(struct cache_store *store, hs_us now, size_t steps_max)
{
    struct sweep sweep = {.store = store, .now = now};
    size_t done = 0;

    if (store->sweep_at == slots_of(store)) {
        store->sweep_at = 0;
        return 0;
    }
    while (done < steps_max && store->sweep_at < slots_of(store)) {
        size_t n;

        (void)cache_may_hit(store->setup.state, (struct cache_token){0}, now, &sweep.view);
        n = walk(store, store->sweep_at, steps_max - done, is_dead, &sweep);
        store->sweep_at += n;
        done += n;
    }
    return done;
}

/* ---- purge ---- */

/* Does the whole text match the pattern, in which '*' stands for any bytes? Never goes back further than one '*'. */
static bool matches(struct hs_str text, struct hs_str pattern)
{
    size_t t = 0;
    size_t p = 0;
    size_t star = SIZE_MAX; /* behind the last one */
    size_t from = 0;        /* where the text that it stands for ends */

    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = ++p;
            from = t;
        } else if (p < pattern.n && pattern.p[p] == text.p[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

static bool has_table(const struct cache_entry *entry, uint32_t table)
{
    const struct cache_tag *tags = cache_entry_tags(entry);

    for (size_t i = 0; i < entry->n_tags; i++) {
        if (tags[i].table == table)
            return true;
    }
    return false;
}

struct purge {
    const struct cache_purge *what;
    struct cache_purged purged;
};

static bool is_covered(void *arg, struct cache_entry *entry)
{
    struct purge *purge = arg;
    const struct cache_purge *what = purge->what;
    struct hs_str key = cache_entry_key(entry);

    if ((what->table != CACHE_NO_INDEX && !has_table(entry, what->table)) ||
        (what->contains.p && !memmem(key.p, key.n, what->contains.p, what->contains.n)) ||
        (what->pattern.p && !matches(key, what->pattern)) ||
        (what->covers && !what->covers(what->arg, entry)))
        return false;
    purge->purged.entries++;
    purge->purged.bytes += entry->bytes;
    return true;
}

/* What is under way is not kept: counted up first, it is seen by whoever fills a slot that was walked. */
struct cache_purged cache_purge(struct cache_store *store, const struct cache_purge *what)
{
    struct purge purge = {.what = what};

    atomic_fetch_add(&store->purges, 1);
    walk_all(store, is_covered, &purge);
    return purge.purged;
}

void cache_purge_shared(struct cache_store *store, struct hs_wall before)
{
    atomic_store(&store->shared_since, before.us);
}

/* ---- top ---- */

struct top_entry {
    struct cache_entry *entry;
    uint64_t hits;
};

/* A heap with the least of the best at its root. */
struct top {
    struct top_entry *heap;
    size_t n;
    size_t max;
};

static void sift_down(struct top *top, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < top->n; at = child) {
        struct top_entry moved = top->heap[at];

        if (child + 1 < top->n && top->heap[child + 1].hits < top->heap[child].hits)
            child++;
        if (moved.hits <= top->heap[child].hits)
            return;
        top->heap[at] = top->heap[child];
        top->heap[child] = moved;
    }
}

static void sift_up(struct top *top, size_t at)
{
    while (at > 0 && top->heap[at].hits < top->heap[(at - 1) / 2].hits) {
        struct top_entry moved = top->heap[at];

        top->heap[at] = top->heap[(at - 1) / 2];
        at = (at - 1) / 2;
        top->heap[at] = moved;
    }
}

static bool offer(void *arg, struct cache_entry *entry)
{
    struct top *top = arg;
    uint64_t hits = atomic_load_explicit(&entry->hits, memory_order_relaxed);

    if (top->n < top->max) {
        cache_entry_ref(entry);
        top->heap[top->n++] = (struct top_entry){entry, hits};
        sift_up(top, top->n - 1);
    } else if (hits > top->heap[0].hits) {
        cache_entry_unref(top->heap[0].entry);
        cache_entry_ref(entry);
        top->heap[0] = (struct top_entry){entry, hits};
        sift_down(top, 0);
    }
    return false;
}

static int by_hits(const void *a, const void *b)
{
    uint64_t x = ((const struct top_entry *)a)->hits;
    uint64_t y = ((const struct top_entry *)b)->hits;

    return x < y ? 1 : x > y ? -1 : 0;
}

hs_status cache_top(struct cache_store *store, size_t n,
                    void (*each)(void *arg, const struct cache_entry *entry, uint64_t hits),
                    void *arg, struct hs_err *reterr)
{
    struct top top = {.max = n < store->setup.entries_max ? n : store->setup.entries_max};

    if (top.max == 0)
        return HS_OK;
    top.heap = hs_calloc(top.max, sizeof(*top.heap));
    if (!top.heap)
        return hs_fail_memory(reterr);
    walk_all(store, offer, &top);
    qsort(top.heap, top.n, sizeof(*top.heap), by_hits);
    for (size_t i = 0; i < top.n; i++) {
        each(arg, top.heap[i].entry, top.heap[i].hits);
        cache_entry_unref(top.heap[i].entry);
    }
    hs_free(top.heap);
    return HS_OK;
}

void cache_stats(struct cache_store *store, struct cache_store_stats *ret_stats)
{
    pthread_mutex_lock(&store->lock);
    *ret_stats = (struct cache_store_stats){
        .entries = store->entries, .bytes = store->bytes, .evicted = store->evicted};
    pthread_mutex_unlock(&store->lock);
    ret_stats->expired = atomic_load_explicit(&store->expired, memory_order_relaxed);
    ret_stats->invalidated = atomic_load_explicit(&store->invalidated, memory_order_relaxed);
    ret_stats->refused = atomic_load_explicit(&store->refused, memory_order_relaxed);
    ret_stats->joined = atomic_load_explicit(&store->joined, memory_order_relaxed);
    ret_stats->flights = atomic_load_explicit(&store->flights, memory_order_relaxed);
}
