/* SPDX-License-Identifier: Apache-2.0 */
/* What the rule refuses and the setup wants kept: who may get it, how long it stays, and what is asked for anew. */
#include "store_world.h"

static const struct cache_tag TAG[] = {{.hash = 1, .table = 10, .shape = CACHE_NO_INDEX}};

static const struct cache_store_setup PLAIN = {.bytes_max = 4 << 20,
                                               .entries_max = 100,
                                               .entry_max = 1 << 20,
                                               .waiters_max = 100,
                                               .unfit_time = 10 * HS_SECOND};

static struct cache_ask begin(struct world *w, hs_us stale_any, hs_us stale_expired,
                              bool is_refreshed)
{
    struct cache_store_setup setup = PLAIN;
    struct cache_ask ask;

    setup.stale_any = stale_any;
    setup.stale_expired = stale_expired;
    setup.is_refreshed = is_refreshed;
    world_init(w, &setup);
    ask = world_ask(w, "k", TAG, 1);
    world_put(w, &ask, HS_STR("v"));
    return ask;
}

/* Time passes; the proof is as young as before. */
static void pass(struct world *w, struct cache_ask *ask, hs_us time)
{
    ask->now += time;
    w->state.proof_at = ask->now;
}

static bool is_stale(struct world *w, const struct cache_ask *ask)
{
    struct cache_entry *entry = cache_stale(w->store, ask);
    bool is_there = entry != NULL;

    cache_entry_unref(entry);
    return is_there;
}

static void sweep(struct world *w, const struct cache_ask *ask)
{
    while (cache_sweep(w->store, ask->now, 1000))
        ;
}

static void hit(struct world *w, const struct cache_ask *ask, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        struct cache_entry *entry = cache_hit(w->store, ask);

        assert_non_null(entry);
        cache_entry_unref(entry);
    }
}

static void test_invalid_is_kept(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w, 60 * HS_SECOND, 0, false);

    (void)state;
    assert_true(is_stale(&w, &ask));
    world_write(&w, 1);
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_INVALIDATED);
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_INVALIDATED);
    assert_true(is_stale(&w, &ask));
    sweep(&w, &ask);
    assert_true(is_stale(&w, &ask));
    assert_int_equal(world_stats(&w).invalidated, 1);
    /* No proof, no feed: it is still there. */
    w.state.epoch = 0;
    assert_true(is_stale(&w, &ask));
    ask.now += 60 * HS_SECOND - 1;
    sweep(&w, &ask);
    assert_true(is_stale(&w, &ask));
    ask.now++;
    assert_false(is_stale(&w, &ask));
    assert_true(world_has(&w, "k"));
    sweep(&w, &ask);
    assert_false(world_has(&w, "k"));
    assert_int_equal(world_stats(&w).invalidated, 1);
    assert_int_equal(world_stats(&w).bytes, 0);
    world_fini(&w);
}

static void test_off(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w, 0, 0, false);

    (void)state;
    assert_false(is_stale(&w, &ask));
    world_write(&w, 1);
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_INVALIDATED);
    assert_false(world_has(&w, "k"));
    world_fini(&w);
}

/* Another catalog than the asker's, or one that was heard of since; a token that the entry does not cover. */
static void test_privacy_first(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w, 60 * HS_SECOND, 0, false);

    (void)state;
    w.state.generation = GENERATION + 1;
    assert_false(is_stale(&w, &ask));
    ask.generation = GENERATION + 1;
    assert_false(is_stale(&w, &ask));
    sweep(&w, &ask);
    assert_false(world_has(&w, "k"));
    w.state.generation = ask.generation = GENERATION;
    world_put(&w, &ask, HS_STR("v"));
    ask.token = (struct cache_token){EPOCH, 1000};
    assert_true(is_stale(&w, &ask));
    ask.token.position = 1001;
    assert_false(is_stale(&w, &ask));
    ask.token = (struct cache_token){EPOCH + 1, 1};
    assert_false(is_stale(&w, &ask));
    world_fini(&w);
}

static void test_replaced(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w, 60 * HS_SECOND, 0, false);
    struct cache_entry *entry;

    (void)state;
    world_write(&w, 1);
    world_put(&w, &ask, HS_STR("new"));
    assert_int_equal(world_stats(&w).entries, 1);
    entry = cache_hit(w.store, &ask);
    assert_str(cache_entry_body(entry), HS_STR("new"));
    cache_entry_unref(entry);
    world_fini(&w);
}

/* Hot as it was, what does not hold goes before what was never hit. */
static void test_evicted_first(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w, 60 * HS_SECOND, 0, false);
    char key[16];

    (void)state;
    hit(&w, &ask, 10);
    for (unsigned i = 1; i < PLAIN.entries_max; i++) {
        struct cache_ask other;

        (void)snprintf(key, sizeof(key), "other %u", i);
        other = world_ask(&w, key, NULL, 0);
        world_put(&w, &other, HS_STR("v"));
    }
    world_write(&w, 1);
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_INVALIDATED);
    assert_true(world_has(&w, "k"));
    ask = world_ask(&w, "one more", NULL, 0);
    world_put(&w, &ask, HS_STR("v"));
    assert_false(world_has(&w, "k"));
    assert_int_equal(world_stats(&w).evicted, 1);
    assert_int_equal(world_stats(&w).entries, PLAIN.entries_max);
    world_fini(&w);
}

static void test_expired(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w, 0, 10 * HS_SECOND, false);
    struct cache_answer answer = world_answer(HS_STR("new"));
    struct cache_flight *leader;
    struct cache_flight *flight;
    struct cache_entry *entry;
    enum cache_why why;

    (void)state;
    pass(&w, &ask, 60 * HS_SECOND);
    assert_int_equal(world_get(&w, &ask, &entry, &leader, &why), CACHE_LEAD);
    assert_int_equal(why, CACHE_WHY_EXPIRED);
    assert_int_equal(world_get(&w, &ask, &entry, &flight, &why), CACHE_STALE);
    assert_str(cache_entry_body(entry), HS_STR("v"));
    cache_entry_unref(entry);
    ask.is_fresh = true;
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_ASKED);
    ask.is_fresh = false;
    cache_drop(leader, /* is_unfit= */ false);
    assert_false(is_stale(&w, &ask));
    pass(&w, &ask, 10 * HS_SECOND - 1);
    sweep(&w, &ask);
    assert_int_equal(world_get(&w, &ask, &entry, &leader, &why), CACHE_LEAD);
    assert_int_equal(world_get(&w, &ask, &entry, &flight, &why), CACHE_STALE);
    cache_entry_unref(entry);
    cache_fill(leader, &answer, ask.now);
    entry = cache_hit(w.store, &ask);
    assert_str(cache_entry_body(entry), HS_STR("new"));
    cache_entry_unref(entry);
    assert_int_equal(world_stats(&w).expired, 1);
    world_fini(&w);
}

/* Past that time, touched by a change, not proven, or with a token that is not passed: nobody gets it. */
static void test_expired_and_more(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w, 0, 10 * HS_SECOND, false);
    struct cache_ask other;
    struct cache_flight *leader;
    struct cache_flight *flight;
    struct cache_entry *entry;
    enum cache_why why;

    (void)state;
    pass(&w, &ask, 60 * HS_SECOND);
    assert_int_equal(world_get(&w, &ask, &entry, &leader, &why), CACHE_LEAD);
    other = ask;
    other.token = (struct cache_token){EPOCH, 1001};
    assert_int_equal(world_probe(&w, &other), CACHE_WHY_TOKEN);
    other = ask;
    w.state.required = 2000;
    assert_int_equal(world_probe(&w, &other), CACHE_WHY_NOT_PROVEN);
    w.state.required = 0;
    other = ask;
    other.now += 10 * HS_SECOND;
    w.state.proof_at = other.now;
    assert_int_equal(world_get(&w, &other, &entry, &flight, &why), CACHE_LEAD);
    assert_false(world_has(&w, "k"));
    cache_drop(flight, /* is_unfit= */ false);
    cache_drop(leader, /* is_unfit= */ false);
    world_put(&w, &ask, HS_STR("v"));
    pass(&w, &ask, 60 * HS_SECOND);
    assert_int_equal(world_get(&w, &ask, &entry, &leader, &why), CACHE_LEAD);
    world_write(&w, 1);
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_EXPIRED);
    assert_false(world_has(&w, "k"));
    cache_drop(leader, /* is_unfit= */ false);
    world_fini(&w);
}

static void test_due(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w, 0, 0, true);
    struct cache_flight *flight;
    struct cache_entry *entry;
    enum cache_why why;

    (void)state;
    hit(&w, &ask, 2);
    assert_false(cache_is_due(w.store, &ask));
    /* Stamped, and not visible to all yet. */
    atomic_store(&w.state.stamps[1], 1010);
    atomic_store(&w.state.position, 1010);
    assert_false(cache_is_due(w.store, &ask));
    atomic_store(&w.state.fence, 1010);
    assert_true(cache_is_due(w.store, &ask));
    sweep(&w, &ask);
    assert_true(cache_is_due(w.store, &ask));
    w.state.required = 2000;
    assert_false(cache_is_due(w.store, &ask));
    w.state.required = 0;
    assert_int_equal(cache_get(w.store, &ask, NULL, &entry, &flight, &why), CACHE_LEAD);
    assert_false(cache_is_due(w.store, &ask)); /* a reader was faster */
    cache_drop(flight, /* is_unfit= */ false);
    sweep(&w, &ask);
    assert_false(world_has(&w, "k"));
    assert_false(cache_is_due(w.store, &ask));
    world_fini(&w);
}

/* Two hits; one is inherited, then none: nobody asks any more. */
static void test_hits_fade(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w, 60 * HS_SECOND, 0, true);

    (void)state;
    hit(&w, &ask, 2);
    for (unsigned i = 0; i < 3; i++) {
        world_write(&w, 1);
        assert_int_equal(cache_is_due(w.store, &ask), i < 2);
        world_put(&w, &ask, HS_STR("new"));
    }
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invalid_is_kept),  cmocka_unit_test(test_off),
        cmocka_unit_test(test_privacy_first),    cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_evicted_first),    cmocka_unit_test(test_expired),
        cmocka_unit_test(test_expired_and_more), cmocka_unit_test(test_due),
        cmocka_unit_test(test_hits_fade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
