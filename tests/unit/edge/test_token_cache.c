/* SPDX-License-Identifier: Apache-2.0 */
/* Remembered tokens against a plain array: what is found is right, what is bounded stays bounded. */
#include "edge/token_cache.h"

#include "fault.h"

enum { TOKENS = 400 };

static const struct hs_wall now = {1000};

static struct hs_identity *identity_of(unsigned i)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "{\"i\":%u}", i);
    return hs_identity_new(HS_STR("r"), hs_str(text), false);
}

static struct hs_str token_of(unsigned i, char to[static 32])
{
    (void)snprintf(to, 32, "token-%u", i * 7919);
    return hs_str(to);
}

static void add(struct edge_token_cache *cache, struct hs_str token, struct hs_identity *identity,
                int64_t starts_us, int64_t ends_us)
{
    struct edge_jwt jwt = {.starts_us = starts_us, .ends_us = ends_us};

    memcpy(jwt.id, token.p, token.n < EDGE_JWT_ID ? token.n : EDGE_JWT_ID);
    edge_token_cache_add(cache, token, identity, &jwt);
}

/* The structure's own promises. */
static void check_inside(const struct edge_token_cache *cache)
{
    size_t used = 0;
    size_t bytes = 0;

    for (uint32_t i = 0; i <= cache->mask; i++)
        used += cache->slots[i] != 0;
    for (uint32_t i = 0; i < cache->n; i++)
        bytes += cache->entries[i].n;
    assert_int_equal(used, cache->n);
    assert_int_equal(bytes, cache->bytes);
    assert_true(cache->n <= cache->max);
}

static void test_random_use(void **state)
{
    struct hs_rng rng = test_rng();
    struct hs_identity *identities[TOKENS];
    struct edge_token_cache cache;
    unsigned hits = 0;

    (void)state;
    for (unsigned i = 0; i < TOKENS; i++)
        identities[i] = identity_of(i);
    for (size_t max = 1; max <= 128; max = max * 2 + 1) {
        assert_true(edge_token_cache_init(&cache, max));
        for (unsigned round = 0; round < 20000; round++) {
            char text[32];
            unsigned i = (unsigned)hs_rng_below(&rng, hs_rng_below(&rng, 2) ? 20 : TOKENS);
            struct hs_str token = token_of(i, text);
            struct hs_wall when = {(int64_t)hs_rng_below(&rng, 2000)};
            struct hs_identity *got = edge_token_cache_find(&cache, token, when);

            if (got) {
                assert_ptr_equal(got, identities[i]);
                assert_true(when.us >= i && when.us < 1000 + i);
                hits++;
            } else {
                add(&cache, token, identities[i], i, 1000 + i);
            }
            if (round % 100 == 0)
                check_inside(&cache);
        }
        edge_token_cache_fini(&cache);
    }
    assert_true(hits > 1000);
    for (unsigned i = 0; i < TOKENS; i++) {
        assert_int_equal(identities[i]->refs, 1);
        hs_identity_unref(identities[i]);
    }
}

/* Dropped by name, whichever they are; cleared; and the table is whole after it. */
static void test_dropped(void **state)
{
    struct edge_token_cache cache;
    char text[32];

    (void)state;
    assert_true(edge_token_cache_init(&cache, 50));
    for (unsigned i = 0; i < 40; i++) {
        struct hs_identity *id = identity_of(i);
        struct edge_jwt jwt = {.starts_us = 0, .ends_us = 5000};

        jwt.id[0] = (unsigned char)(i % 3);
        edge_token_cache_add(&cache, token_of(i, text), id, &jwt);
        hs_identity_unref(id);
    }
    edge_token_cache_drop(&cache, (const unsigned char[EDGE_JWT_ID]){1});
    check_inside(&cache);
    for (unsigned i = 0; i < 40; i++) {
        bool is_there = edge_token_cache_find(&cache, token_of(i, text), now) != NULL;

        assert_int_equal(is_there, i % 3 != 1);
    }
    edge_token_cache_clear(&cache);
    check_inside(&cache);
    assert_int_equal(cache.n, 0);
    assert_null(edge_token_cache_find(&cache, token_of(0, text), now));
    edge_token_cache_fini(&cache);
}

static void test_dates(void **state)
{
    struct hs_identity *id = identity_of(1);
    struct edge_token_cache cache;

    (void)state;
    assert_true(edge_token_cache_init(&cache, 4));
    add(&cache, HS_STR("t"), id, 10, 20);
    assert_non_null(edge_token_cache_find(&cache, HS_STR("t"), (struct hs_wall){10}));
    assert_non_null(edge_token_cache_find(&cache, HS_STR("t"), (struct hs_wall){19}));
    assert_int_equal(id->refs, 2);
    assert_null(edge_token_cache_find(&cache, HS_STR("t"), (struct hs_wall){20}));
    assert_int_equal(id->refs, 1); /* dropped on sight */
    assert_int_equal(cache.n, 0);
    assert_null(edge_token_cache_find(&cache, HS_STR("t"), (struct hs_wall){15}));
    add(&cache, HS_STR("t"), id, 10, 20);
    assert_null(edge_token_cache_find(&cache, HS_STR("t"), (struct hs_wall){9}));
    edge_token_cache_fini(&cache);
    hs_identity_unref(id);
}

static void test_second_chance(void **state)
{
    struct hs_identity *id = identity_of(1);
    struct edge_token_cache cache;
    char text[32];

    (void)state;
    assert_true(edge_token_cache_init(&cache, 10));
    add(&cache, HS_STR("busy"), id, 0, INT64_MAX);
    for (unsigned i = 0; i < 1000; i++) {
        assert_non_null(edge_token_cache_find(&cache, HS_STR("busy"), now));
        add(&cache, token_of(i, text), id, 0, INT64_MAX);
    }
    assert_int_equal(cache.n, 10);
    edge_token_cache_fini(&cache);
    assert_int_equal(id->refs, 1);
    hs_identity_unref(id);
}

static void test_bytes_are_bounded(void **state)
{
    struct hs_identity *id = identity_of(1);
    struct edge_token_cache cache;
    static char huge[30000];

    (void)state;
    assert_true(edge_token_cache_init(&cache, 20));
    for (unsigned i = 0; i < 100; i++) {
        memset(huge, 'a' + (int)(i % 20), sizeof(huge));
        huge[0] = (char)i;
        add(&cache, hs_strn(huge, 3000), id, 0, INT64_MAX);
        assert_true(cache.bytes <= 20 * EDGE_TOKEN_MEAN);
        assert_non_null(edge_token_cache_find(&cache, hs_strn(huge, 3000), now));
    }
    check_inside(&cache);
    add(&cache, hs_strn(huge, 30000), id, 0, INT64_MAX);
    assert_null(edge_token_cache_find(&cache, hs_strn(huge, 30000), now));
    edge_token_cache_fini(&cache);
    /* None at all. */
    assert_true(edge_token_cache_init(&cache, 0));
    add(&cache, HS_STR("t"), id, 0, INT64_MAX);
    assert_null(edge_token_cache_find(&cache, HS_STR("t"), now));
    edge_token_cache_fini(&cache);
    hs_identity_unref(id);
}

static bool fill(void *arg)
{
    struct edge_token_cache cache;
    char text[32];
    bool all = true;

    if (!edge_token_cache_init(&cache, 8))
        return false;
    for (unsigned i = 0; i < 12; i++) {
        add(&cache, token_of(i, text), arg, 0, INT64_MAX);
        all = all && edge_token_cache_find(&cache, token_of(i, text), now);
    }
    check_inside(&cache);
    edge_token_cache_fini(&cache);
    return all;
}

static void test_no_memory(void **state)
{
    struct hs_identity *id = identity_of(1);

    (void)state;
    fault_each(fill, id);
    assert_int_equal(id->refs, 1);
    hs_identity_unref(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_use),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_second_chance),
        cmocka_unit_test(test_bytes_are_bounded),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
