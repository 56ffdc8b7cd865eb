/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variants: found once they are kept, made by one at a time, counted to the byte, gone with their entry, and what is
 * evicted for them; from many threads at once.
 */
#include <pthread.h>

#include "fault.h"
#include "store_world.h"

static const struct cache_store_setup ROOMY = {.bytes_max = 4 << 20,
                                               .entries_max = 10000,
                                               .entry_max = 1 << 20,
                                               .waiters_max = 100,
                                               .unfit_time = 10 * HS_SECOND};
static const struct cache_tag TAG[] = {{.hash = 1, .table = 10, .shape = CACHE_NO_INDEX}};
static char bytes[1 << 20];

static struct cache_entry *put(struct world *w, const char *key, size_t body_n)
{
    struct cache_ask ask = world_ask(w, key, TAG, 1);
    struct cache_entry *entry;

    world_put(w, &ask, hs_strn(bytes, body_n));
    entry = cache_peek(w->store, ask.key, ask.hash);
    HS_BUG_ON(!entry);
    return entry;
}

static void keep(struct world *w, struct cache_entry *entry, unsigned coding, struct hs_str body)
{
    assert_true(cache_variant_begin(w->store, entry, coding));
    cache_variant_keep(w->store, entry, coding, body);
}

/* There is one, or the test is over. */
static const struct cache_variant *found(const struct cache_entry *entry, unsigned coding)
{
    const struct cache_variant *variant = cache_variant_find(entry, coding);

    HS_BUG_ON(!variant);
    return variant;
}

static void test_kept(void **state)
{
    struct world w;
    struct cache_entry *entry;
    const struct cache_variant *variant;
    size_t before;

    (void)state;
    world_init(&w, &ROOMY);
    entry = put(&w, "k", 5000);
    before = world_stats(&w).bytes;
    assert_null(cache_variant_find(entry, 3));
    keep(&w, entry, 3, HS_STR("three"));
    keep(&w, entry, 1, HS_STR("one"));
    variant = found(entry, 3);
    assert_str(cache_variant_body(variant), HS_STR("three"));
    assert_str(cache_variant_body(found(entry, 1)), HS_STR("one"));
    assert_null(cache_variant_find(entry, 2));
    assert_false(cache_variant_begin(w.store, entry, 3));
    assert_int_equal(world_stats(&w).bytes,
                     before + hs_mem_size(variant) + hs_mem_size(cache_variant_find(entry, 1)));
    /* They live as long as a reference to the entry, and leave nothing in the sums. */
    world_write(&w, 1);
    assert_int_equal(cache_sweep(w.store, w.now, SIZE_MAX) > 0, true);
    assert_int_equal(world_stats(&w).bytes, 0);
    assert_str(cache_variant_body(variant), HS_STR("three"));
    cache_entry_unref(entry);
    world_fini(&w);
}

static void test_one_maker(void **state)
{
    struct world w;
    struct cache_entry *entries[CACHE_MAKING_MAX + 1];

    (void)state;
    world_init(&w, &ROOMY);
    for (unsigned i = 0; i <= CACHE_MAKING_MAX; i++) {
        char key[8];

        (void)snprintf(key, sizeof(key), "k%u", i);
        entries[i] = put(&w, key, 100);
        assert_int_equal(cache_variant_begin(w.store, entries[i], 1), i < CACHE_MAKING_MAX);
        assert_false(cache_variant_begin(w.store, entries[i], 1));
    }
    /* Of no use, and not now: the one is remembered, the other not. */
    cache_variant_drop(w.store, entries[0], 1, /* is_final= */ true);
    cache_variant_drop(w.store, entries[1], 1, /* is_final= */ false);
    assert_false(cache_variant_begin(w.store, entries[0], 1));
    assert_true(cache_variant_begin(w.store, entries[1], 1));
    assert_true(cache_variant_begin(w.store, entries[0], 2));
    assert_false(cache_variant_begin(w.store, entries[CACHE_MAKING_MAX], 1));
    cache_variant_drop(w.store, entries[0], 2, /* is_final= */ false);
    assert_true(cache_variant_begin(w.store, entries[CACHE_MAKING_MAX], 1));
    for (unsigned i = 0; i <= CACHE_MAKING_MAX; i++) {
        if (i > 0)
            cache_variant_drop(w.store, entries[i], 1, /* is_final= */ false);
        cache_entry_unref(entries[i]);
    }
    world_fini(&w);
}

/* Others go for a variant, as many as it takes and no more. */
static void test_evicts(void **state)
{
    struct cache_store_setup setup = ROOMY;
    struct cache_entry *entry;
    struct cache_store_stats stats;
    struct world w;
    size_t one;

    (void)state;
    setup.bytes_max = 50000;
    setup.entries_max = 20;
    world_init(&w, &setup);
    for (unsigned i = 0; i < 20; i++) {
        char key[8];

        (void)snprintf(key, sizeof(key), "k%u", i);
        cache_entry_unref(put(&w, key, 2000));
    }
    one = world_stats(&w).bytes / 20;
    assert_int_equal(world_stats(&w).entries, 20); /* entries_max costs nobody his place */
    entry = cache_peek(w.store, HS_STR("k19"), hs_hash(HS_STR("k19")));
    keep(&w, entry, 1, hs_strn(bytes, 100));
    assert_int_equal(world_stats(&w).entries, 20);
    keep(&w, entry, 2, hs_strn(bytes, 10000));
    stats = world_stats(&w);
    assert_true(stats.bytes <= setup.bytes_max && stats.bytes > setup.bytes_max - one);
    assert_true(stats.evicted > 0 && world_has(&w, "k19"));
    (void)cache_purge(w.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    assert_int_equal(world_stats(&w).bytes, 0);
    cache_entry_unref(entry);
    world_fini(&w);
}

/* The entry itself is next to go: it goes, and who holds it has the variant. */
static void test_evicts_itself(void **state)
{
    struct cache_store_setup setup = ROOMY;
    struct cache_entry *entry;
    struct world w;

    (void)state;
    setup.bytes_max = 10000;
    world_init(&w, &setup);
    entry = put(&w, "old", 4000);
    cache_entry_unref(put(&w, "new", 4000));
    keep(&w, entry, 1, hs_strn(bytes, 3000));
    assert_false(world_has(&w, "old"));
    assert_true(world_has(&w, "new"));
    assert_int_equal(cache_variant_body(found(entry, 1)).n, 3000);
    keep(&w, entry, 2, hs_strn(bytes, 20000)); /* nobody's sum any more */
    assert_non_null(cache_variant_find(entry, 2));
    cache_entry_unref(entry);
    /* What not even an empty store could hold beside its entry is not tried again. */
    entry = put(&w, "big", 8000);
    keep(&w, entry, 1, hs_strn(bytes, 3000));
    assert_null(cache_variant_find(entry, 1));
    assert_false(cache_variant_begin(w.store, entry, 1));
    assert_true(world_has(&w, "big"));
    cache_entry_unref(entry);
    assert_true(world_stats(&w).bytes <= setup.bytes_max);
    world_fini(&w);
}

static bool keep_once(void *arg)
{
    struct world *w = arg;
    struct cache_entry *entry = cache_peek(w->store, HS_STR("k"), hs_hash(HS_STR("k")));
    const struct cache_variant *variant;

    assert_true(cache_variant_begin(w->store, entry, 1));
    cache_variant_keep(w->store, entry, 1, HS_STR("one"));
    variant = cache_variant_find(entry, 1);
    cache_entry_unref(entry);
    return variant != NULL;
}

static void test_no_memory(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, &ROOMY);
    cache_entry_unref(put(&w, "k", 100));
    hs_mem_fail_at(1);
    assert_false(keep_once(&w));
    hs_mem_fail_at(0);
    assert_true(keep_once(&w)); /* tried again */
    world_fini(&w);
}

/* ---- threads ---- */

enum { THREADS = 4, TURNS = 3000, KEYS = 12, CODINGS = 3 };

static struct world shared;

static void turn(struct hs_rng *rng)
{
    char key[8];
    struct cache_entry *entry;
    unsigned coding = (unsigned)hs_rng_below(rng, CODINGS);
    const struct cache_variant *variant;

    (void)snprintf(key, sizeof(key), "k%u", (unsigned)hs_rng_below(rng, KEYS));
    entry = cache_peek(shared.store, hs_str(key), hs_hash(hs_str(key)));
    if (!entry) {
        struct cache_ask ask = world_ask(&shared, key, TAG, 1);
        struct cache_answer answer = world_answer(hs_strn(bytes, 1000));
        struct cache_flight *flight;
        enum cache_why why;

        if (world_get(&shared, &ask, &entry, &flight, &why) == CACHE_LEAD)
            cache_fill(flight, &answer, ask.now);
    } else if (cache_variant_begin(shared.store, entry, coding)) {
        assert_null(cache_variant_find(entry, coding));
        cache_variant_keep(shared.store, entry, coding, hs_strn(bytes, 100 * (coding + 1)));
    }
    variant = entry ? cache_variant_find(entry, coding) : NULL;
    if (variant)
        assert_int_equal(cache_variant_body(variant).n, 100 * (coding + 1));
    cache_entry_unref(entry);
    if (hs_rng_below(rng, 20) == 0)
        (void)cache_purge(shared.store,
                          &(struct cache_purge){.table = CACHE_NO_INDEX, .pattern = hs_str(key)});
}

static void *run(void *arg)
{
    struct hs_rng rng = {.state = (uintptr_t)arg};

    for (unsigned i = 0; i < TURNS; i++)
        turn(&rng);
    return NULL;
}

static void test_threads(void **state)
{
    struct cache_store_setup setup = ROOMY;
    pthread_t threads[THREADS];

    (void)state;
    setup.bytes_max = 12000; /* not all of it fits */
    world_init(&shared, &setup);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(world_stats(&shared).bytes <= setup.bytes_max);
    assert_true(world_stats(&shared).evicted > 0);
    (void)cache_purge(shared.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    assert_int_equal(world_stats(&shared).bytes, 0);
    world_fini(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),      cmocka_unit_test(test_one_maker),
        cmocka_unit_test(test_evicts),    cmocka_unit_test(test_evicts_itself),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
