/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state of which the test says what it knows, in place of state.c: the store is tested against the rule's answers,
 * not against the rule. A tag's stamp is stamps[tag.hash]. Included by one file of a test only.
 */
#ifndef UNIT_CACHE_STORE_WORLD_H
#define UNIT_CACHE_STORE_WORLD_H

#include "cache/store.h"

#include "core/hash.h"
#include "test.h"

enum { STAMPS = 64, EPOCH = 7, GENERATION = 3 };

struct cache_state {
    _Atomic(uint64_t) epoch;
    _Atomic(uint64_t) position;
    _Atomic(uint64_t) fence;
    _Atomic(uint64_t) generation;
    _Atomic(uint64_t) required;
    _Atomic(hs_us) proof_at;
    _Atomic(uint64_t) stamps[STAMPS];
    /* What the feed does meanwhile: behind the first half of the rule, and behind the second. */
    void (*behind_view)(struct cache_state *state);
    void (*behind_stamps)(struct cache_state *state);
};

bool cache_may_hit(const struct cache_state *state, struct cache_token token, hs_us now,
                   struct cache_view *ret_view)
{
    struct cache_state *s = (struct cache_state *)(uintptr_t)state;

    *ret_view = (struct cache_view){.epoch = atomic_load(&s->epoch),
                                    .position = atomic_load(&s->position),
                                    .generation = atomic_load(&s->generation),
                                    .proof_at = atomic_load(&s->proof_at)};
    if (s->behind_view)
        s->behind_view(s);
    return ret_view->epoch && now <= ret_view->proof_at + HS_SECOND &&
           ret_view->position >= atomic_load(&s->required) &&
           (!token.epoch ||
            (token.epoch == ret_view->epoch && ret_view->position >= token.position));
}

bool cache_is_valid(const struct cache_state *state, const struct cache_view *view,
                    const struct cache_moment *entry, const struct cache_tag *tags, size_t n_tags)
{
    struct cache_state *s = (struct cache_state *)(uintptr_t)state;

    bool is_valid;

    is_valid = view->epoch && entry->epoch == view->epoch &&
               entry->generation == view->generation && atomic_load(&s->epoch) == view->epoch;
    for (size_t i = 0; i < n_tags; i++) {
        if (atomic_load(&s->stamps[tags[i].hash % STAMPS]) > entry->fence)
            is_valid = false;
    }
    if (s->behind_stamps)
        s->behind_stamps(s);
    return is_valid;
}

bool cache_moment_now(const struct cache_state *state, uint64_t generation,
                      struct cache_moment *ret_moment)
{
    *ret_moment = (struct cache_moment){.epoch = atomic_load(&state->epoch),
                                        .fence = atomic_load(&state->fence),
                                        .generation = generation};
    return ret_moment->epoch && ret_moment->fence;
}

struct world {
    struct cache_state state;
    struct cache_store *store;
    struct cache_store_setup setup;
    hs_us now;
};

static inline void world_init(struct world *w, const struct cache_store_setup *setup)
{
    struct hs_err err;

    memset(w, 0, sizeof(*w));
    w->now = 100 * HS_SECOND;
    w->state.epoch = EPOCH;
    w->state.position = 1000;
    w->state.fence = 1000;
    w->state.generation = GENERATION;
    w->state.proof_at = w->now;
    w->setup = *setup;
    w->setup.state = &w->state;
    assert_int_equal(cache_store_new(&w->setup, &w->store, &err), HS_OK);
}

static inline void world_fini(struct world *w)
{
    cache_store_free(w->store);
}

/* A commit that touches the rows of that tag: stamp, position, and it is visible. */
static inline void world_write(struct world *w, uint64_t tag)
{
    uint64_t at = atomic_load(&w->state.position) + 10;

    atomic_store(&w->state.stamps[tag], at);
    atomic_store(&w->state.position, at);
    atomic_store(&w->state.fence, at);
}

static inline struct cache_ask world_ask(const struct world *w, const char *key,
                                         const struct cache_tag *tags, size_t n_tags)
{
    return (struct cache_ask){.key = hs_str(key),
                              .hash = hs_hash(hs_str(key)),
                              .generation = GENERATION,
                              .tags = tags,
                              .n_tags = n_tags,
                              .now = w->now};
}

static inline struct cache_answer world_answer(struct hs_str body)
{
    return (struct cache_answer){.content_type = HS_STR("application/json"),
                                 .headers = HS_STR("Vary: Accept\r\n"),
                                 .etag = HS_STR("\"e1\""),
                                 .body = body,
                                 .ttl = 60 * HS_SECOND,
                                 .route = 5,
                                 .epoch = EPOCH};
}

/* Asks as one who joins nobody. */
static inline enum cache_got world_get(struct world *w, const struct cache_ask *ask,
                                       struct cache_entry **ret_entry,
                                       struct cache_flight **ret_flight, enum cache_why *ret_why)
{
    *ret_entry = NULL;
    *ret_flight = NULL;
    return cache_get(w->store, ask, NULL, ret_entry, ret_flight, ret_why);
}

/* Asks for a key that must not be there, and fills it. */
static inline void world_put(struct world *w, const struct cache_ask *ask, struct hs_str body)
{
    struct cache_answer answer = world_answer(body);
    struct cache_flight *flight;
    struct cache_entry *entry;
    enum cache_why why;

    assert_int_equal(world_get(w, ask, &entry, &flight, &why), CACHE_LEAD);
    cache_fill(flight, &answer, ask->now);
}

/* WHY_NONE: it is a hit, of which nothing is kept. Otherwise the flight is dropped again. */
static inline enum cache_why world_probe(struct world *w, const struct cache_ask *ask)
{
    struct cache_flight *flight;
    struct cache_entry *entry;
    enum cache_why why;
    enum cache_got got = world_get(w, ask, &entry, &flight, &why);

    assert_true((got == CACHE_HIT) == (why == CACHE_WHY_NONE));
    assert_true((got == CACHE_HIT) == (entry != NULL));
    assert_true((got == CACHE_LEAD) == (flight != NULL));
    cache_entry_unref(entry);
    if (flight)
        cache_drop(flight, /* is_unfit= */ false);
    return why;
}

static inline bool world_has(struct world *w, const char *key)
{
    struct cache_entry *entry = cache_peek(w->store, hs_str(key), hs_hash(hs_str(key)));
    bool has = entry != NULL;

    cache_entry_unref(entry);
    return has;
}

static inline struct cache_store_stats world_stats(struct world *w)
{
    struct cache_store_stats stats;

    cache_stats(w->store, &stats);
    return stats;
}

#endif
