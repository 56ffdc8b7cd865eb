/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codings of kept answers: short ones at once, long ones aside, each once; what is not worth it is remembered, what
 * failed for want of memory is tried again.
 */
#include "api/variant.h"

#include "cache/store_world.h"
#include "api/request.h"
#include "fault.h"
#include "net/loop.h"

static const struct cache_store_setup ROOMY = {.bytes_max = 4 << 20,
                                               .entries_max = 100,
                                               .entry_max = 1 << 20,
                                               .waiters_max = 10,
                                               .unfit_time = HS_SECOND};
static const struct cache_tag TAG[] = {{.hash = 1, .table = 10, .shape = CACHE_NO_INDEX}};
static const struct api_compress RULES = {
    .enabled = true, .min = 1000, .inline_max = 5000, .level = 6};

static struct world w;
static struct api_cache cache;
static struct api_worker worker;
static char text[20000];

static void start(void)
{
    struct hs_err err;

    world_init(&w, &ROOMY);
    cache = (struct api_cache){.store = w.store};
    worker = (struct api_worker){.magic = API_WORKER_MAGIC, .cache = &cache};
    assert_int_equal(net_loop_new(&worker.loop, NULL, &err), HS_OK);
}

static void stop(void)
{
    net_loop_free(worker.loop);
    world_fini(&w);
}

static struct cache_entry *put(const char *key, size_t n)
{
    struct cache_ask ask = world_ask(&w, key, TAG, 1);

    world_put(&w, &ask, hs_strn(text, n));
    return cache_peek(w.store, ask.key, ask.hash);
}

static struct cache_entry *looked_at;

static void look(void *arg)
{
    (void)arg;
    if (cache_variant_find(looked_at, HTTP_GZIP))
        net_loop_stop(worker.loop);
}

static void wait_for(struct cache_entry *entry)
{
    struct net_timer *timer;
    struct hs_err err;

    looked_at = entry;
    assert_int_equal(net_timer_new(worker.loop, look, NULL, &timer, &err), HS_OK);
    net_timer_start(timer, HS_MS, HS_MS);
    while (!cache_variant_find(entry, HTTP_GZIP)) /* the stop of an earlier wait may come late */
        net_loop_run(worker.loop);
    net_timer_free(timer);
}

static void test_short(void **state)
{
    struct cache_entry *entry;
    const struct cache_variant *variant;

    (void)state;
    memset(text, 'a', sizeof(text));
    start();
    entry = put("short", 5000);
    variant = api_variant_get(&worker, &RULES, entry, HTTP_BR);
    assert_non_null(variant);
    assert_ptr_equal(api_variant_get(&worker, &RULES, entry, HTTP_BR), variant);
    assert_true(variant->body_n < 100);
    assert_null(cache_variant_find(entry, HTTP_GZIP));
    cache_entry_unref(entry);
    stop();
}

/* There is one, or the test is over. */
static const struct cache_variant *found(const struct cache_entry *entry, unsigned coding)
{
    const struct cache_variant *variant = cache_variant_find(entry, coding);

    HS_BUG_ON(!variant);
    return variant;
}

static void test_long(void **state)
{
    struct cache_entry *entry;

    (void)state;
    memset(text, 'a', sizeof(text));
    start();
    entry = put("long", 5001);
    assert_null(api_variant_get(&worker, &RULES, entry, HTTP_GZIP));
    (void)api_variant_get(&worker, &RULES, entry, HTTP_GZIP); /* begun once, there once */
    wait_for(entry);
    assert_non_null(api_variant_get(&worker, &RULES, entry, HTTP_GZIP));
    assert_null(found(entry, HTTP_GZIP)->next);
    /* A worker that ends meanwhile, and an entry that nobody else holds. */
    assert_null(api_variant_get(&worker, &RULES, entry, HTTP_ZSTD));
    cache_entry_unref(entry);
    (void)cache_purge(w.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    worker.magic = 0;
    stop();
}

static void test_not_worth_it(void **state)
{
    struct hs_rng rng = test_rng();
    struct cache_entry *entry;

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)hs_rng_next(&rng);
    start();
    entry = put("noise", 3000);
    assert_null(api_variant_get(&worker, &RULES, entry, HTTP_ZSTD));
    assert_false(cache_variant_begin(w.store, entry, HTTP_ZSTD));
    cache_entry_unref(entry);
    stop();
}

/* One allocation after the other fails: the answer is given as it is, and the next who asks gets the coding. */
static void test_no_memory(void **state)
{
    static const size_t lengths[] = {2000, 20000};

    (void)state;
    memset(text, 'a', sizeof(text));
    start();
    for (size_t i = 0; i < HS_LEN(lengths); i++) {
        bool has_failed = true;

        for (unsigned n = 1; has_failed; n++) {
            char key[32];
            struct cache_entry *entry;

            (void)snprintf(key, sizeof(key), "%zu, %u", lengths[i], n);
            entry = put(key, lengths[i]);
            hs_mem_fail_only(n);
            (void)api_variant_get(&worker, &RULES, entry, HTTP_GZIP);
            has_failed = hs_mem_count() >= n;
            hs_mem_fail_at(0);
            assert_true(!has_failed || !cache_variant_find(entry, HTTP_GZIP));
            if (!api_variant_get(&worker, &RULES, entry, HTTP_GZIP))
                wait_for(entry);
            assert_non_null(cache_variant_find(entry, HTTP_GZIP));
            assert_true(n > 1 || has_failed);
            cache_entry_unref(entry);
        }
    }
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_short), cmocka_unit_test(test_long),
                                       cmocka_unit_test(test_not_worth_it),
                                       cmocka_unit_test(test_no_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
