/* SPDX-License-Identifier: Apache-2.0 */
/* Flights that end with another node's answer: its own moment is judged, for the leader and for each who joined. */
#include "store_world.h"

#include "fault.h"

static const struct cache_store_setup SETUP = {.bytes_max = 1 << 20,
                                               .entries_max = 1000,
                                               .entry_max = 4096,
                                               .waiters_max = 3,
                                               .unfit_time = 10 * HS_SECOND};
static const struct cache_tag TAG[] = {{.hash = 1, .table = 10, .shape = CACHE_NO_INDEX}};
static const struct cache_token NO_TOKEN;

struct asker {
    struct cache_joiner joiner;
    struct cache_entry *entry;
    unsigned told;
};

static struct net_loop *loop;

static void on_done(struct cache_joiner *joiner, struct cache_entry *entry)
{
    struct asker *asker = HS_CONTAINER(joiner, struct asker, joiner);

    asker->told++;
    asker->entry = entry;
}

static struct cache_flight *lead(struct world *w)
{
    const struct cache_ask ask = world_ask(w, "k", TAG, 1);
    struct cache_flight *flight;
    struct cache_entry *entry;
    enum cache_why why;

    return world_get(w, &ask, &entry, &flight, &why) == CACHE_LEAD ? flight : NULL;
}

static void join(struct world *w, struct asker *asker, struct cache_token token)
{
    struct cache_ask ask = world_ask(w, "k", TAG, 1);
    struct cache_flight *flight;
    struct cache_entry *entry;
    enum cache_why why;

    *asker = (struct asker){.joiner = {.loop = loop, .done = on_done}};
    ask.token = token;
    assert_int_equal(cache_get(w->store, &ask, &asker->joiner, &entry, &flight, &why), CACHE_JOIN);
}

static struct cache_entry *fill(struct world *w, struct cache_flight *flight, uint64_t fence,
                                struct cache_token token)
{
    const struct cache_answer answer = world_answer(HS_STR("other node's"));
    const struct cache_moment moment = {.epoch = EPOCH, .fence = fence, .generation = GENERATION};

    return cache_fill_shared(flight, &answer, &moment, token, w->now);
}

/* Its fence is the entry's: older than the flight's, and never made newer. */
static void moment_is_kept(void **state)
{
    struct cache_flight *flight;
    struct cache_entry *entry;
    struct world w;

    (void)state;
    world_init(&w, &SETUP);
    flight = lead(&w);
    entry = fill(&w, flight, 900, NO_TOKEN);
    assert_non_null(entry);
    assert_int_equal(entry->moment.fence, 900);
    cache_entry_unref(entry);
    assert_true(world_has(&w, "k"));
    world_write(&w, 1);
    assert_int_equal(world_probe(&w, &(struct cache_ask){.key = HS_STR("k"),
                                                         .hash = hs_hash(HS_STR("k")),
                                                         .generation = GENERATION,
                                                         .now = w.now}),
                     CACHE_WHY_INVALIDATED);
    world_fini(&w);
}

/* Stamped since its fence, though not since the flight's: refused, and the flight goes on to the database. */
static void refused_goes_on(void **state)
{
    struct cache_answer answer = world_answer(HS_STR("the database's"));
    struct cache_flight *flight;
    struct cache_entry *entry;
    struct asker other;
    struct world w;

    (void)state;
    world_init(&w, &SETUP);
    world_write(&w, 1);
    flight = lead(&w);
    join(&w, &other, NO_TOKEN);
    assert_null(fill(&w, flight, 1000, NO_TOKEN));
    net_loop_deliver(loop);
    assert_int_equal(other.told, 0);
    entry = cache_fill_kept(flight, &answer, w.now);
    assert_non_null(entry);
    assert_str(cache_entry_body(entry), HS_STR("the database's"));
    cache_entry_unref(entry);
    net_loop_deliver(loop);
    assert_int_equal(other.told, 1);
    cache_entry_unref(other.entry);
    world_fini(&w);
}

static void joined_get_it(void **state)
{
    struct asker others[2];
    struct cache_entry *entry;
    struct cache_flight *flight;
    struct world w;

    (void)state;
    world_init(&w, &SETUP);
    flight = lead(&w);
    join(&w, &others[0], NO_TOKEN);
    join(&w, &others[1], (struct cache_token){EPOCH, 1000});
    entry = fill(&w, flight, 900, NO_TOKEN);
    assert_non_null(entry);
    net_loop_deliver(loop);
    for (size_t i = 0; i < HS_LEN(others); i++) {
        assert_ptr_equal(others[i].entry, entry);
        cache_entry_unref(others[i].entry);
    }
    cache_entry_unref(entry);
    world_fini(&w);
}

/* The leader's own token, the barrier, another epoch, an answer without time to live, one that is too long. */
static void not_for_the_leader(void **state)
{
    struct cache_answer answer = world_answer(HS_STR("v"));
    struct cache_moment moment = {.epoch = EPOCH, .fence = 900, .generation = GENERATION};
    static char big[5000];
    struct cache_flight *flight;
    struct world w;

    (void)state;
    world_init(&w, &SETUP);
    flight = lead(&w);
    assert_null(fill(&w, flight, 900, (struct cache_token){EPOCH, 1001}));
    w.state.required = 1001;
    assert_null(fill(&w, flight, 900, NO_TOKEN));
    w.state.required = 0;
    moment.epoch++;
    assert_null(cache_fill_shared(flight, &answer, &moment, NO_TOKEN, w.now));
    moment.epoch--;
    answer.ttl = 0;
    assert_null(cache_fill_shared(flight, &answer, &moment, NO_TOKEN, w.now));
    answer = world_answer(hs_strn(big, sizeof(big)));
    assert_null(cache_fill_shared(flight, &answer, &moment, NO_TOKEN, w.now));
    assert_int_equal(world_stats(&w).flights, 1);
    cache_drop(flight, false);
    assert_false(world_has(&w, "k"));
    world_fini(&w);
}

/* A newer answer is there already, from a flight that this one did not see: it stays. */
static void newer_stays(void **state)
{
    struct cache_answer answer = world_answer(HS_STR("newer"));
    struct cache_ask ask;
    struct cache_flight *flight;
    struct cache_flight *second;
    struct cache_entry *entry;
    enum cache_why why;
    struct world w;

    (void)state;
    world_init(&w, &SETUP);
    flight = lead(&w);
    ask = world_ask(&w, "k", TAG, 1);
    ask.is_fresh = true;
    assert_int_equal(world_get(&w, &ask, &entry, &second, &why), CACHE_LEAD);
    entry = cache_fill_kept(second, &answer, w.now);
    assert_non_null(entry);
    cache_entry_unref(entry);
    cache_entry_unref(fill(&w, flight, 900, NO_TOKEN));
    entry = cache_peek(w.store, HS_STR("k"), hs_hash(HS_STR("k")));
    assert_str(cache_entry_body(entry), HS_STR("newer"));
    cache_entry_unref(entry);
    world_fini(&w);
}

/* What is born invalid is not kept, and cache_fill_kept() says so. */
static void not_kept(void **state)
{
    struct cache_answer answer = world_answer(HS_STR("v"));
    struct cache_flight *flight;
    struct world w;

    (void)state;
    world_init(&w, &SETUP);
    flight = lead(&w);
    world_write(&w, 1);
    assert_null(cache_fill_kept(flight, &answer, w.now));
    assert_false(world_has(&w, "k"));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moment_is_kept), cmocka_unit_test(refused_goes_on),
        cmocka_unit_test(joined_get_it),  cmocka_unit_test(not_for_the_leader),
        cmocka_unit_test(newer_stays),    cmocka_unit_test(not_kept),
    };
    int failed;

    if (net_loop_new(&loop, NULL, NULL))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    net_loop_free(loop);
    return failed;
}
