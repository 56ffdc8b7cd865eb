/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     hash ──▶ shard (its lock) ──▶ slot ──▶ entry ──▶ entry        one queue over all of them, for the eviction
 *                              ├──▶ flights
 *                              └──▶ keys that are not worth it
 *
 * A hit takes its shard's lock for as long as it takes to walk a chain and to count one reference; then the rule
 * is judged outside. It moves nothing in any list. Whatever changes what the store holds takes store->lock as
 * well: that costs the misses, which wait for a database anyway, next to nothing, and makes the two limits
 * plain comparisons that hold over all shards at any time.
 *
 * Which entry goes is decided in queue.c, by S3-FIFO. Hits in percent (tests/bench/cache_sim.c; 100,000 objects of
 * one size, the cache holds 1 % and 10 % of them; more in docs/explanation/cache-eviction.md):
 *
 *                      LRU          SIEVE        S3-FIFO      W-TinyLFU
 *     Zipf 0.7     10.9  34.6    20.0  42.7    20.8  43.6    20.9  45.3
 *     Zipf 0.8     20.4  46.8    31.3  54.3    31.6  55.1    31.7  56.6
 *     Zipf 0.9     34.3  60.5    45.3  66.7    45.2  67.1    45.4  68.2
 *     Zipf 1.0     50.6  73.6    59.9  78.1    59.9  78.3    60.1  78.8
 *     Zipf 1.1     66.6  84.4    73.8  87.1    73.5  87.1    73.6  87.3
 *     Zipf 1.2     79.5  91.6    84.2  93.0    84.0  93.0    84.0  93.0
 *     scan         25.1  39.6    33.6  49.6    33.8  50.3    33.8  50.6
 *     shift        50.3  72.2    47.9  65.2    55.2  72.1    53.1  67.7
 *
 * SIEVE is simpler but slow to let go of what is not popular any more, W-TinyLFU counts every request in a sketch
 * and is slow in the same way; S3-FIFO is within two points of the best everywhere, and a hit only counts.
 *
 * The one rule: the view is read before the entry is looked for, and thereby before its stamps are. A feed that
 * stamps and then moves its position cannot slip between them.
 */
#include "cache/store_int.h"

#include "core/guard.h"
#include "core/mem.h"

/* Entries found invalid in one call, each put there meanwhile by others, before it gives up on them. */
enum { TRIES_MAX = 4 };

/* ---- birth and death ---- */

static size_t slots_of_shard(const struct cache_store_setup *setup)
{
    size_t wanted = setup->bytes_max / CACHE_SLOT_SHARE;
    size_t n = 1;

    if (wanted > setup->entries_max)
        wanted = setup->entries_max;
    while (n < wanted / CACHE_SHARDS)
        n *= 2;
    return n;
}

hs_status cache_store_new(const struct cache_store_setup *setup, struct cache_store **ret_store,
                          struct hs_err *reterr)
{
    struct cache_store *store = hs_calloc(1, sizeof(*store));
    size_t n_slots = slots_of_shard(setup);

    if (!store)
        return hs_fail_memory(reterr);
    store->slots = hs_calloc(n_slots * CACHE_SHARDS, sizeof(void *));
    store->ghosts = hs_calloc(n_slots * CACHE_SHARDS, sizeof(*store->ghosts));
    if (!store->slots || !store->ghosts) {
        hs_free(store->slots);
        hs_free(store->ghosts);
        hs_free(store);
        return hs_fail_memory(reterr);
    }
    store->ghosts_mask = n_slots * CACHE_SHARDS - 1;
    store->setup = *setup;
    store->slots_mask = n_slots - 1;
    pthread_mutex_init(&store->lock, NULL);
    cache_queue_init(store);
    for (size_t i = 0; i < CACHE_SHARDS; i++) {
        pthread_mutex_init(&store->shards[i].lock, NULL);
        store->shards[i].slots = store->slots + i * n_slots;
    }
    *ret_store = store;
    return HS_OK;
}

void cache_store_free(struct cache_store *store)
{
    if (!store)
        return;
    HS_BUG_ON(atomic_load(&store->flights) != 0);
    (void)cache_purge(store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    for (size_t i = 0; i < CACHE_SHARDS; i++)
        pthread_mutex_destroy(&store->shards[i].lock);
    pthread_mutex_destroy(&store->lock);
    hs_free(store->slots);
    hs_free(store->ghosts);
    hs_free(store);
}

/* ---- what it holds ---- */

struct cache_entry *cache_find(const struct cache_store *store, struct cache_shard *shard,
                               struct hs_str key, uint64_t hash)
{
    struct cache_entry *entry = *cache_slot_of(store, shard, hash);

    while (entry && (entry->hash != hash ||
                     (HS_GUARD(whole_key_compare) && !hs_str_eq(cache_entry_key(entry), key))))
        entry = entry->chain;
    return entry;
}

void cache_unlink(struct cache_store *store, struct cache_shard *shard, struct cache_entry *entry,
                  struct cache_entry **dead)
{
    struct cache_entry **at = cache_slot_of(store, shard, entry->hash);

    while (*at != entry)
        at = &(*at)->chain;
    *at = entry->chain;
    cache_queue_remove(store, entry);
    store->entries--;
    store->bytes -= entry->bytes;
    entry->chain = *dead;
    *dead = entry;
}

void cache_link(struct cache_store *store, struct cache_shard *shard, struct cache_entry *entry)
{
    struct cache_entry **slot = cache_slot_of(store, shard, entry->hash);

    entry->chain = *slot;
    *slot = entry;
    cache_queue_add(store, entry);
    store->entries++;
    store->bytes += entry->bytes;
}

bool cache_forget(struct cache_store *store, struct cache_entry *entry)
{
    struct cache_shard *shard = cache_shard_of(store, entry->hash);
    struct cache_entry *dead = NULL;

    pthread_mutex_lock(&store->lock);
    if (entry->queue != CACHE_QUEUE_NONE) {
        pthread_mutex_lock(&shard->lock);
        cache_unlink(store, shard, entry, &dead);
        pthread_mutex_unlock(&shard->lock);
    }
    pthread_mutex_unlock(&store->lock);
    cache_entry_unref_all(dead);
    return dead != NULL;
}

void cache_evict(struct cache_store *store, struct cache_entry **dead)
{
    struct cache_entry *victim = cache_queue_victim(store);
    struct cache_shard *shard = cache_shard_of(store, victim->hash);

    pthread_mutex_lock(&shard->lock);
    cache_unlink(store, shard, victim, dead);
    pthread_mutex_unlock(&shard->lock);
    store->evicted++;
}

void cache_make_room(struct cache_store *store, size_t bytes, struct cache_entry **dead)
{
    while (store->entries >= store->setup.entries_max ||
           store->bytes > store->setup.bytes_max - bytes)
        cache_evict(store, dead);
}

struct cache_entry *cache_peek(struct cache_store *store, struct hs_str key, uint64_t hash)
{
    struct cache_shard *shard = cache_shard_of(store, hash);
    struct cache_entry *entry;

    pthread_mutex_lock(&shard->lock);
    entry = cache_find(store, shard, key, hash);
    if (entry)
        cache_entry_ref(entry);
    pthread_mutex_unlock(&shard->lock);
    return entry;
}

/* ---- asking ---- */

/* One call of cache_get(). */
struct get {
    struct cache_store *store;
    struct cache_shard *shard;
    const struct cache_ask *ask;
    struct cache_joiner *joiner;
    struct cache_view view;
    bool may_hit;              /* the first half of the rule, for this asker */
    bool may_look;             /* for an entry */
    bool may_lag;              /* `old` may be served while another asks anew */
    struct cache_entry *entry; /* found, with a reference */
    struct cache_entry *old;   /* found, no hit, and left where it is; with a reference, or NULL */
    struct cache_flight *own;  /* to be listed; NULL = not made yet */
};

enum found { FOUND_ENTRY, FOUND_UNFIT, FOUND_STALE, FOUND_JOINED, FOUND_LISTED, FOUND_NOTHING };

static enum found look_locked(struct get *get)
{
    const struct cache_ask *ask = get->ask;
    struct cache_flight *flight;

    get->entry = get->may_look ? cache_find(get->store, get->shard, ask->key, ask->hash) : NULL;
    if (get->entry && get->entry != get->old) {
        cache_entry_ref(get->entry);
        return FOUND_ENTRY;
    }
    if (cache_unfit_is(get->shard, ask->hash, ask->now))
        return FOUND_UNFIT;
    flight = cache_flight_find(get->shard, ask->key, ask->hash);
    if (flight && get->may_lag && get->entry)
        return FOUND_STALE;
    if (flight && get->joiner && !ask->is_fresh &&
        cache_flight_is_joinable(flight, &get->view, get->may_hit)) {
        cache_flight_join(flight, ask, get->joiner);
        return FOUND_JOINED;
    }
    if (!get->own)
        return FOUND_NOTHING;
    cache_flight_list(get->shard, get->own);
    return FOUND_LISTED;
}

static enum found look(struct get *get)
{
    enum found found;

    pthread_mutex_lock(&get->shard->lock);
    found = look_locked(get);
    pthread_mutex_unlock(&get->shard->lock);
    return found;
}

/* The first half of the rule said no: because of the reader's own token, or to all? */
static enum cache_why why_not(const struct get *get)
{
    struct cache_view view;

    if (get->ask->token.epoch == CACHE_EPOCH_NONE)
        return CACHE_WHY_NOT_PROVEN;
    return cache_may_hit(get->store->setup.state, (struct cache_token){0}, get->ask->now, &view)
               ? CACHE_WHY_TOKEN
               : CACHE_WHY_NOT_PROVEN;
}

/* WHY_NONE: the entry may be served. */
static enum cache_why judge(const struct get *get)
{
    const struct cache_state *state = get->store->setup.state;
    const struct cache_entry *entry = get->entry;
    struct cache_view late;

    if (get->ask->now >= entry->expires_at)
        return CACHE_WHY_EXPIRED;
    if (!cache_is_valid(state, &get->view, &entry->moment, cache_entry_tags(entry), entry->n_tags))
        return CACHE_WHY_INVALIDATED;
    if (!HS_GUARD(check_order) && !cache_may_hit(state, get->ask->token, get->ask->now, &late))
        return CACHE_WHY_NOT_PROVEN;
    return CACHE_WHY_NONE;
}

static void count_hit(struct cache_entry *entry)
{
    atomic_fetch_add_explicit(&entry->hits, 1, memory_order_relaxed);
    cache_queue_visit(entry);
}

struct cache_entry *cache_hit(struct cache_store *store, const struct cache_ask *ask)
{
    struct get get = {.store = store, .shard = cache_shard_of(store, ask->hash), .ask = ask};

    get.may_hit = cache_may_hit(store->setup.state, ask->token, ask->now, &get.view);
    if (!get.may_hit && HS_GUARD(check_order))
        return NULL;
    get.entry = cache_peek(store, ask->key, ask->hash);
    if (!get.entry)
        return NULL;
    if (judge(&get) != CACHE_WHY_NONE) {
        cache_entry_unref(get.entry);
        return NULL;
    }
    count_hit(get.entry);
    return get.entry;
}

static bool is_unfit(struct cache_shard *shard, const struct cache_ask *ask)
{
    bool is_unfit;

    pthread_mutex_lock(&shard->lock);
    is_unfit = cache_unfit_is(shard, ask->hash, ask->now);
    pthread_mutex_unlock(&shard->lock);
    return is_unfit;
}

enum cache_why cache_look(struct cache_store *store, const struct cache_ask *ask,
                          struct cache_entry **ret_entry)
{
    struct get get = {.store = store, .shard = cache_shard_of(store, ask->hash), .ask = ask};
    struct cache_moment moment;

    get.may_hit = cache_may_hit(store->setup.state, ask->token, ask->now, &get.view);
    get.entry = *ret_entry = cache_peek(store, ask->key, ask->hash);
    if (!get.may_hit)
        return why_not(&get);
    if (get.entry)
        return judge(&get);
    if (is_unfit(get.shard, ask))
        return CACHE_WHY_UNFIT;
    if (!cache_moment_now(store->setup.state, ask->generation, &moment))
        return CACHE_WHY_NOT_PROVEN;
    return cache_is_valid(store->setup.state, &get.view, &moment, ask->tags, ask->n_tags)
               ? CACHE_WHY_ABSENT
               : CACHE_WHY_SETTLING;
}

static bool may_lag(const struct cache_store *store, const struct cache_view *view,
                    const struct cache_entry *entry, hs_us now)
{
    return now - entry->expires_at < store->setup.stale_expired &&
           cache_is_valid(store->setup.state, view, &entry->moment, cache_entry_tags(entry),
                          entry->n_tags);
}

static hs_us age_of(const struct cache_entry *entry, hs_us now)
{
    return now > entry->stored_at ? now - entry->stored_at : 0;
}

bool cache_is_useful(const struct cache_store *store, const struct cache_view *view,
                     const struct cache_entry *entry, hs_us now)
{
    if (entry->moment.generation != view->generation)
        return false;
    return age_of(entry, now) < store->setup.stale_any ||
           (now >= entry->expires_at && may_lag(store, view, entry, now));
}

static bool is_demoted(const struct cache_entry *entry)
{
    return atomic_load_explicit(&entry->visits, memory_order_relaxed) == CACHE_VISITS_OLD;
}

/* true: it was not before. */
static bool demote(struct cache_store *store, struct cache_entry *entry)
{
    bool is_first;

    if (is_demoted(entry))
        return false;
    pthread_mutex_lock(&store->lock);
    is_first = entry->queue == CACHE_QUEUE_SMALL || entry->queue == CACHE_QUEUE_MAIN;
    if (entry->queue != CACHE_QUEUE_NONE)
        cache_queue_demote(store, entry);
    pthread_mutex_unlock(&store->lock);
    return is_first;
}

/* It is no hit for anybody any more: it goes, or is left for those who may get an old one. */
static void retire(struct get *get, enum cache_why why)
{
    struct cache_store *store = get->store;
    struct cache_entry *entry = get->entry;
    bool is_left = cache_is_useful(store, &get->view, entry, get->ask->now);
    bool was_old = is_demoted(entry);

    if (is_left ? demote(store, entry) : cache_forget(store, entry) && !was_old)
        cache_count(why == CACHE_WHY_EXPIRED ? &store->expired : &store->invalidated);
    get->may_lag = is_left && why == CACHE_WHY_EXPIRED &&
                   may_lag(store, &get->view, entry, get->ask->now);
    cache_entry_unref(get->old);
    get->old = entry;
    get->entry = NULL;
}

/*
 * Makes the asker's own flight, to be listed in the next round if nobody else's has come in between. One whose
 * answer is known to be invalid already (a change that the fence has not passed, a catalog that is about to be
 * read again) would only make others wait, and count as a fault of the key.
 */
static enum cache_why prepare(struct get *get, enum cache_why why)
{
    const struct cache_ask *ask = get->ask;
    const struct cache_state *state = get->store->setup.state;
    struct cache_moment moment;

    if (!cache_moment_now(state, ask->generation, &moment))
        return CACHE_WHY_NOT_PROVEN;
    if (!cache_is_valid(state, &get->view, &moment, ask->tags, ask->n_tags))
        return CACHE_WHY_SETTLING;
    get->own = cache_flight_new(get->store, get->ask, &moment);
    return why;
}

static void begin_round(struct get *get, unsigned round)
{
    const struct cache_ask *ask = get->ask;

    get->may_hit = cache_may_hit(get->store->setup.state, ask->token, ask->now, &get->view);
    get->may_look = (get->may_hit || !HS_GUARD(check_order)) && !ask->is_fresh && round < TRIES_MAX;
}

static enum cache_got go_rounds(struct get *get, enum cache_why *why)
{
    for (unsigned round = 0;; round++) {
        begin_round(get, round);
        if (!get->may_hit && *why == CACHE_WHY_ABSENT)
            *why = why_not(get);
        switch (look(get)) {
        case FOUND_ENTRY:
            *why = judge(get);
            if (*why == CACHE_WHY_NONE) {
                count_hit(get->entry);
                return CACHE_HIT;
            }
            retire(get, *why);
            break;
        case FOUND_UNFIT:
            *why = CACHE_WHY_UNFIT;
            return CACHE_BYPASS;
        case FOUND_STALE:
            return CACHE_STALE;
        case FOUND_JOINED:
            return CACHE_JOIN;
        case FOUND_LISTED:
            return CACHE_LEAD;
        case FOUND_NOTHING:
            *why = prepare(get, *why);
            if (!get->own)
                return CACHE_BYPASS;
            break;
        }
    }
}

enum cache_got cache_get(struct cache_store *store, const struct cache_ask *ask,
                         struct cache_joiner *joiner, struct cache_entry **ret_entry,
                         struct cache_flight **ret_flight, enum cache_why *ret_why)
{
    struct get get = {
        .store = store, .shard = cache_shard_of(store, ask->hash), .ask = ask, .joiner = joiner};
    enum cache_got got;

    *ret_why = ask->is_fresh ? CACHE_WHY_ASKED : CACHE_WHY_ABSENT;
    got = go_rounds(&get, ret_why);
    if (got == CACHE_LEAD)
        *ret_flight = get.own;
    else
        cache_flight_free(get.own);
    if (got == CACHE_HIT)
        *ret_entry = get.entry;
    if (got == CACHE_STALE)
        *ret_entry = get.old;
    else
        cache_entry_unref(get.old);
    return got;
}

/* ---- when the rule says no ---- */

/* Of the catalog that the asker's role was judged by, and not older than what the asker himself has seen. */
static bool is_his(const struct cache_entry *entry, const struct cache_ask *ask)
{
    return entry->moment.generation == ask->generation &&
           (ask->token.epoch == CACHE_EPOCH_NONE || (ask->token.epoch == entry->moment.epoch &&
                                                     ask->token.position <= entry->moment.fence));
}

struct cache_entry *cache_stale(struct cache_store *store, const struct cache_ask *ask)
{
    struct cache_entry *entry = cache_peek(store, ask->key, ask->hash);
    struct cache_view view;

    if (!entry)
        return NULL;
    (void)cache_may_hit(store->setup.state, (struct cache_token){0}, ask->now, &view);
    if (view.generation == ask->generation && is_his(entry, ask) &&
        age_of(entry, ask->now) < store->setup.stale_any)
        return entry;
    cache_entry_unref(entry);
    return NULL;
}

static bool is_asked_for(struct cache_shard *shard, const struct cache_ask *ask)
{
    bool is_asked;

    pthread_mutex_lock(&shard->lock);
    is_asked = cache_unfit_is(shard, ask->hash, ask->now) ||
               cache_flight_find(shard, ask->key, ask->hash);
    pthread_mutex_unlock(&shard->lock);
    return is_asked;
}

/* Would an answer that is asked for now hold? */
static bool is_settled(const struct get *get)
{
    const struct cache_state *state = get->store->setup.state;
    struct cache_moment moment;

    return cache_moment_now(state, get->view.generation, &moment) &&
           cache_is_valid(state, &get->view, &moment, cache_entry_tags(get->entry),
                          get->entry->n_tags);
}

bool cache_is_due(struct cache_store *store, const struct cache_ask *ask)
{
    struct get get = {.store = store, .shard = cache_shard_of(store, ask->hash), .ask = ask};
    bool is_due;

    if (!cache_may_hit(store->setup.state, (struct cache_token){0}, ask->now, &get.view))
        return false;
    get.entry = cache_peek(store, ask->key, ask->hash);
    if (!get.entry)
        return false;
    is_due = atomic_load_explicit(&get.entry->hits, memory_order_relaxed) > 0 &&
             judge(&get) != CACHE_WHY_NONE && is_settled(&get) && !is_asked_for(get.shard, ask);
    cache_entry_unref(get.entry);
    return is_due;
}
