/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flight is one statement under way that will be an entry.
 *
 *     cache_get() ──▶ listed in its shard ──▶ cache_fill() / cache_drop() ──▶ mail to each who joined
 *                        │ a newer one may take its place: then it ends unlisted, and nobody joins any more
 *
 * Its moment is read before its statement is sent and is the entry's for ever: what the statement did not see was
 * stamped behind that fence. Whoever joins is judged twice: when he joins, and when the answer is there. The
 * entry is linked and the flight ended under one lock, so that no asker finds neither of them.
 */
#include "cache/store_int.h"

#include "core/guard.h"
#include "core/mem.h"

/* ---- keys that are not worth it (hit-for-miss) ---- */

static struct cache_unfit *unfit_slot(struct cache_shard *shard, uint64_t hash)
{
    return &shard->unfit[hash / CACHE_SHARDS % CACHE_UNFIT_SLOTS];
}

bool cache_unfit_is(struct cache_shard *shard, uint64_t hash, hs_us now)
{
    const struct cache_unfit *slot = unfit_slot(shard, hash);

    return slot->hash == hash && now < slot->until;
}

static void unfit_mark(struct cache_shard *shard, uint64_t hash, hs_us until)
{
    *unfit_slot(shard, hash) = (struct cache_unfit){.hash = hash, .until = until};
}

/* A mere strike does not displace another key that is unfit. */
static void unfit_strike(struct cache_shard *shard, uint64_t hash, hs_us now, hs_us unfit_time)
{
    struct cache_unfit *slot = unfit_slot(shard, hash);

    if (slot->hash != hash) {
        if (now < slot->until)
            return;
        *slot = (struct cache_unfit){.hash = hash};
    }
    if (++slot->strikes == CACHE_UNFIT_STRIKES)
        unfit_mark(shard, hash, now + unfit_time);
}

static void unfit_clear(struct cache_shard *shard, uint64_t hash)
{
    struct cache_unfit *slot = unfit_slot(shard, hash);

    if (slot->hash == hash)
        *slot = (struct cache_unfit){0};
}

/* ---- beginning ---- */

struct cache_flight *cache_flight_new(struct cache_store *store, const struct cache_ask *ask,
                                      const struct cache_moment *moment)
{
    const size_t tags_n = ask->n_tags * sizeof(*ask->tags);
    struct cache_flight *flight;
    char *to;

    if (ask->n_tags > UINT16_MAX || ask->key.n > store->setup.entry_max)
        return NULL;
    flight = hs_malloc(sizeof(*flight) + tags_n + ask->key.n);
    if (!flight)
        return NULL;
    *flight = (struct cache_flight){.magic = CACHE_FLIGHT_MAGIC,
                                    .n_tags = (uint32_t)ask->n_tags,
                                    .store = store,
                                    .moment = *moment,
                                    .purges = atomic_load(&store->purges),
                                    .begun_at = ask->now,
                                    .hash = ask->hash};
    hs_list_init(&flight->joiners);
    to = (char *)(flight + 1);
    flight->tags = (const struct cache_tag *)(void *)to;
    if (tags_n)
        memcpy(to, ask->tags, tags_n);
    flight->key = hs_strn(to + tags_n, ask->key.n);
    if (ask->key.n)
        memcpy(to + tags_n, ask->key.p, ask->key.n);
    return flight;
}

void cache_flight_free(struct cache_flight *flight)
{
    if (!flight)
        return;
    flight->magic = 0;
    hs_free(flight);
}

static struct cache_flight **slot_of(struct cache_shard *shard, uint64_t hash)
{
    return &shard->flights[hash / CACHE_SHARDS % CACHE_FLIGHT_SLOTS];
}

struct cache_flight *cache_flight_find(struct cache_shard *shard, struct hs_str key, uint64_t hash)
{
    struct cache_flight *flight = *slot_of(shard, hash);

    while (flight && (flight->hash != hash || !hs_str_eq(flight->key, key)))
        flight = flight->chain;
    return flight;
}

static void unlist(struct cache_shard *shard, struct cache_flight *flight)
{
    struct cache_flight **at = slot_of(shard, flight->hash);

    if (!flight->is_listed)
        return;
    while (*at != flight)
        at = &(*at)->chain;
    *at = flight->chain;
    flight->is_listed = false;
}

void cache_flight_list(struct cache_shard *shard, struct cache_flight *flight)
{
    struct cache_flight **slot = slot_of(shard, flight->hash);
    struct cache_flight *older = cache_flight_find(shard, flight->key, flight->hash);

    if (older)
        unlist(shard, older);
    flight->chain = *slot;
    *slot = flight;
    flight->is_listed = true;
    cache_count(&flight->store->flights);
}

const struct cache_moment *cache_flight_moment(const struct cache_flight *flight)
{
    HS_OBJ(flight, CACHE_FLIGHT_MAGIC);
    return &flight->moment;
}

/* ---- joining ---- */

/* Of a flight begun before a purge nothing is given to who asks after it. */
bool cache_flight_is_joinable(const struct cache_flight *flight, const struct cache_view *view,
                              bool may_hit)
{
    const struct cache_store *store = flight->store;

    if (flight->n_joiners >= store->setup.waiters_max ||
        flight->purges != atomic_load(&store->purges))
        return false;
    if (!HS_GUARD(flight_rule))
        return true;
    return (may_hit || !HS_GUARD(join_barrier)) &&
           cache_is_valid(store->setup.state, view, &flight->moment, flight->tags, flight->n_tags);
}

static void on_mail(struct net_mail *mail)
{
    struct cache_joiner *joiner = HS_CONTAINER(mail, struct cache_joiner, mail);

    joiner->done(joiner, joiner->entry);
}

void cache_flight_join(struct cache_flight *flight, const struct cache_ask *ask,
                       struct cache_joiner *joiner)
{
    joiner->token = ask->token;
    joiner->mail.deliver = on_mail;
    joiner->entry = NULL;
    hs_list_append(&flight->joiners, &joiner->node);
    flight->n_joiners++;
    cache_count(&flight->store->joined);
}

/* ---- ending ---- */

enum verdict { VERDICT_NONE, VERDICT_KEPT, VERDICT_BORN_INVALID, VERDICT_UNFIT };

/* What is known at the end. */
struct landing {
    struct cache_flight *flight;
    struct cache_shard *shard;
    struct cache_moment moment; /* the flight's */
    hs_us now;
    struct hs_list joiners; /* taken from the flight */
    bool is_kept;           /* its entry is in the store */
};

/* Under the shard's lock: from here on nobody can join. */
static void land_locked(struct landing *landing, enum verdict verdict)
{
    struct cache_flight *flight = landing->flight;
    hs_us unfit_time = flight->store->setup.unfit_time;

    unlist(landing->shard, flight);
    hs_list_append_all(&landing->joiners, &flight->joiners);
    switch (verdict) {
    case VERDICT_KEPT:
        unfit_clear(landing->shard, flight->hash);
        break;
    case VERDICT_BORN_INVALID:
        unfit_strike(landing->shard, flight->hash, landing->now, unfit_time);
        break;
    case VERDICT_UNFIT:
        unfit_mark(landing->shard, flight->hash, landing->now + unfit_time);
        break;
    case VERDICT_NONE:
        break;
    }
}

static void land(struct landing *landing, enum verdict verdict)
{
    pthread_mutex_lock(&landing->shard->lock);
    land_locked(landing, verdict);
    pthread_mutex_unlock(&landing->shard->lock);
}

/* The rule, judged now for the one who joined; the view before the stamps. */
static bool may_serve(const struct landing *landing, const struct cache_joiner *joiner)
{
    const struct cache_flight *flight = landing->flight;
    const struct cache_state *state = flight->store->setup.state;
    struct cache_view view;
    bool may_hit = cache_may_hit(state, joiner->token, landing->now, &view);

    if (!HS_GUARD(flight_rule))
        return true;
    return (may_hit || !HS_GUARD(join_barrier)) &&
           cache_is_valid(state, &view, &landing->moment, flight->tags, flight->n_tags);
}

/* By mail, also to the leader's own loop: no caller is called back from within its call. */
static void tell(struct landing *landing, struct cache_entry *entry)
{
    struct hs_list *node;

    while ((node = hs_list_pop(&landing->joiners))) {
        struct cache_joiner *joiner = HS_CONTAINER(node, struct cache_joiner, node);

        if (entry && may_serve(landing, joiner)) {
            cache_entry_ref(entry);
            joiner->entry = entry;
        }
        net_loop_post(joiner->loop, &joiner->mail);
    }
}

static void finish(struct landing *landing)
{
    struct cache_store *store = landing->flight->store;

    cache_flight_free(landing->flight);
    atomic_fetch_sub_explicit(&store->flights, 1, memory_order_release);
}

static struct landing landing_of(struct cache_flight *flight, hs_us now)
{
    HS_OBJ(flight, CACHE_FLIGHT_MAGIC);
    return (struct landing){.flight = flight,
                            .shard = cache_shard_of(flight->store, flight->hash),
                            .moment = flight->moment,
                            .now = now};
}

void cache_drop(struct cache_flight *flight, bool is_unfit)
{
    struct landing landing = landing_of(flight, flight->begun_at);

    hs_list_init(&landing.joiners);
    land(&landing, is_unfit ? VERDICT_UNFIT : VERDICT_NONE);
    tell(&landing, NULL);
    finish(&landing);
}

/* The flight's moment; with a guard left out, a part of it as of now. */
static void relabel(struct landing *landing)
{
    struct cache_moment *moment = &landing->moment;
    struct cache_moment late;
    struct cache_view view;

    if (HS_GUARD(fence_before_query) && HS_GUARD(fill_epoch) && HS_GUARD(catalog_gen_before))
        return;
    (void)cache_may_hit(landing->flight->store->setup.state, (struct cache_token){0}, landing->now,
                        &view);
    if (!cache_moment_now(landing->flight->store->setup.state, moment->generation, &late))
        return;
    moment->fence = HS_GUARD(fence_before_query) ? moment->fence : late.fence;
    moment->epoch = HS_GUARD(fill_epoch) ? moment->epoch : late.epoch;
    moment->generation = HS_GUARD(catalog_gen_before) ? moment->generation : view.generation;
}

/* Why the answer cannot be anybody's but the leader's; VERDICT_KEPT: it can. */
static enum verdict judge(const struct landing *landing, const struct cache_answer *answer)
{
    const struct cache_flight *flight = landing->flight;
    const struct cache_state *state = flight->store->setup.state;
    struct cache_view view;

    if (HS_GUARD(conn_epoch) &&
        (answer->epoch == CACHE_EPOCH_NONE || answer->epoch != landing->moment.epoch))
        return VERDICT_NONE;
    (void)cache_may_hit(state, (struct cache_token){0}, landing->now, &view);
    if (cache_is_valid(state, &view, &landing->moment, flight->tags, flight->n_tags))
        return VERDICT_KEPT;
    return VERDICT_BORN_INVALID;
}

/* Does the store hold a newer answer of the key? What is not comparable is not newer: the new one is valid now. */
static bool is_newer(const struct cache_entry *old, const struct cache_moment *moment)
{
    return old->moment.epoch == moment->epoch && old->moment.generation == moment->generation &&
           old->moment.fence > moment->fence;
}

/*
 * How often a key is asked for outlives its answers, by half each time: what changes often is still among the most hit,
 * and what is refreshed and not asked for any more soon is not.
 */
static void inherit(struct cache_entry *entry, const struct cache_entry *old)
{
    atomic_init(&entry->hits, atomic_load_explicit(&old->hits, memory_order_relaxed) / 2);
}

/* Links the entry unless a purge has begun since the flight did, or a newer one is there; ends the flight. */
static void keep(struct landing *landing, struct cache_entry *entry)
{
    struct cache_flight *flight = landing->flight;
    struct cache_store *store = flight->store;
    struct cache_entry *dead = NULL;
    struct cache_entry *old;
    bool is_kept;

    pthread_mutex_lock(&store->lock);
    pthread_mutex_lock(&landing->shard->lock);
    old = cache_find(store, landing->shard, flight->key, flight->hash);
    is_kept = flight->purges == atomic_load(&store->purges) &&
              !(old && is_newer(old, &landing->moment));
    if (is_kept && old) {
        if (store->setup.is_refreshed)
            inherit(entry, old);
        cache_unlink(store, landing->shard, old, &dead);
    }
    pthread_mutex_unlock(&landing->shard->lock);
    if (is_kept)
        cache_make_room(store, entry->bytes, &dead);
    pthread_mutex_lock(&landing->shard->lock);
    if (is_kept) {
        cache_entry_ref(entry);
        cache_link(store, landing->shard, entry);
    }
    landing->is_kept = is_kept;
    land_locked(landing, VERDICT_KEPT);
    pthread_mutex_unlock(&landing->shard->lock);
    pthread_mutex_unlock(&store->lock);
    cache_entry_unref_all(dead);
    if (!is_kept)
        cache_count(&store->refused);
}

static bool fits(const struct cache_store *store, size_t bytes)
{
    return bytes <= store->setup.entry_max && bytes <= store->setup.bytes_max &&
           store->setup.entries_max > 0;
}

/* Too long to be kept, but good for those who wait; made for them only. */
static struct cache_entry *land_unkept(struct landing *landing, const struct cache_answer *answer,
                                       size_t size)
{
    cache_count(&landing->flight->store->refused);
    land(landing, VERDICT_NONE);
    if (size == SIZE_MAX || hs_list_is_empty(&landing->joiners))
        return NULL;
    return cache_entry_new(landing->flight, &landing->moment, answer, size, landing->now);
}

static struct cache_entry *land_kept(struct landing *landing, const struct cache_answer *answer,
                                     size_t size)
{
    struct cache_store *store = landing->flight->store;
    struct cache_entry *entry = cache_entry_new(landing->flight, &landing->moment, answer, size,
                                                landing->now);

    if (entry && fits(store, entry->bytes)) {
        keep(landing, entry);
    } else {
        cache_count(&store->refused);
        land(landing, VERDICT_NONE);
    }
    return entry;
}

struct cache_entry *cache_fill_kept(struct cache_flight *flight, const struct cache_answer *answer,
                                    hs_us now)
{
    struct landing landing = landing_of(flight, now);
    struct cache_entry *entry = NULL;
    enum verdict verdict;
    size_t size;

    hs_list_init(&landing.joiners);
    relabel(&landing);
    verdict = judge(&landing, answer);
    if (verdict == VERDICT_KEPT) {
        size = cache_entry_size(flight, answer);
        entry = answer->ttl && fits(flight->store, size) ? land_kept(&landing, answer, size)
                                                         : land_unkept(&landing, answer, size);
    } else {
        cache_count(&flight->store->refused);
        land(&landing, verdict);
    }
    tell(&landing, entry);
    finish(&landing);
    if (landing.is_kept)
        return entry;
    cache_entry_unref(entry);
    return NULL;
}

void cache_fill(struct cache_flight *flight, const struct cache_answer *answer, hs_us now)
{
    cache_entry_unref(cache_fill_kept(flight, answer, now));
}

struct cache_entry *cache_fill_shared(struct cache_flight *flight,
                                      const struct cache_answer *answer,
                                      const struct cache_moment *moment, struct cache_token token,
                                      hs_us now)
{
    const struct cache_state *state = flight->store->setup.state;
    struct landing landing = landing_of(flight, now);
    size_t size = cache_entry_size(flight, answer);
    struct cache_entry *entry;
    struct cache_view view;

    if (!answer->ttl || !fits(flight->store, size) || !cache_may_hit(state, token, now, &view) ||
        !cache_is_valid(state, &view, moment, flight->tags, flight->n_tags))
        return NULL;
    entry = cache_entry_new(flight, moment, answer, size, now);
    if (!entry || !fits(flight->store, entry->bytes)) {
        cache_entry_unref(entry);
        return NULL;
    }
    hs_list_init(&landing.joiners);
    landing.moment = *moment;
    keep(&landing, entry);
    tell(&landing, entry);
    finish(&landing);
    return entry;
}
