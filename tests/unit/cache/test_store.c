/* SPDX-License-Identifier: Apache-2.0 */
/* The store: hits and why not, both limits, eviction, sweep, purge, the most hit. */
#include "store_world.h"

#include "fault.h"

static const struct cache_store_setup ROOMY = {.bytes_max = 4 << 20,
                                               .entries_max = 10000,
                                               .entry_max = 1 << 20,
                                               .waiters_max = 100,
                                               .unfit_time = 10 * HS_SECOND};
static const struct cache_tag TAG[] = {
    {.hash = 1, .table = 10, .shape = CACHE_NO_INDEX},
    {.hash = 2, .table = 20, .shape = CACHE_NO_INDEX},
};

static const char *key_of(unsigned i)
{
    static char text[32];

    (void)snprintf(text, sizeof(text), "GET /things/%u", i);
    return text;
}

static struct hs_str body_of(size_t n)
{
    static char bytes[1 << 20];

    memset(bytes, 'b', sizeof(bytes));
    assert_true(n <= sizeof(bytes));
    return hs_strn(bytes, n);
}

/* ---- hits ---- */

static void test_hit(void **state)
{
    struct world w;
    struct cache_ask ask;
    struct cache_entry *entry;
    struct cache_flight *flight;
    enum cache_why why;

    (void)state;
    world_init(&w, &ROOMY);
    ask = world_ask(&w, "GET /a", TAG, 2);
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_ABSENT);
    world_put(&w, &ask, HS_STR("{\"a\":1}"));
    assert_int_equal(world_get(&w, &ask, &entry, &flight, &why), CACHE_HIT);
    assert_str(cache_entry_key(entry), HS_STR("GET /a"));
    assert_str(cache_entry_body(entry), HS_STR("{\"a\":1}"));
    assert_str(cache_entry_headers(entry), HS_STR("Vary: Accept\r\n"));
    assert_str(cache_entry_etag(entry), HS_STR("\"e1\""));
    assert_str(cache_entry_content_type(entry), HS_STR("application/json"));
    assert_int_equal(entry->n_tags, 2);
    assert_memory_equal(cache_entry_tags(entry), TAG, sizeof(TAG));
    assert_int_equal(entry->route, 5);
    assert_int_equal(entry->moment.fence, 1000);
    assert_int_equal(entry->expires_at, w.now + 60 * HS_SECOND);
    /* It lives as long as its reference, whatever becomes of the store. */
    world_fini(&w);
    assert_str(cache_entry_body(entry), HS_STR("{\"a\":1}"));
    cache_entry_unref(entry);
    cache_entry_unref(NULL);
}

/* Two keys of one hash are two keys. */
static void test_whole_key_compare(void **state)
{
    struct world w;
    struct cache_ask a;
    struct cache_ask b;
    struct cache_entry *entry;
    struct cache_flight *flight;
    enum cache_why why;

    (void)state;
    world_init(&w, &ROOMY);
    a = world_ask(&w, "tenant 42", TAG, 1);
    b = world_ask(&w, "tenant 43", TAG, 1);
    b.hash = a.hash;
    world_put(&w, &a, HS_STR("of 42"));
    assert_int_equal(world_probe(&w, &b), CACHE_WHY_ABSENT);
    world_put(&w, &b, HS_STR("of 43"));
    assert_int_equal(world_get(&w, &a, &entry, &flight, &why), CACHE_HIT);
    assert_str(cache_entry_body(entry), HS_STR("of 42"));
    cache_entry_unref(entry);
    assert_null(cache_peek(w.store, HS_STR("tenant 44"), a.hash));
    world_fini(&w);
}

static void test_why_not(void **state)
{
    struct world w;
    struct cache_ask ask;

    (void)state;
    world_init(&w, &ROOMY);
    ask = world_ask(&w, "k", TAG, 2);
    world_put(&w, &ask, HS_STR("v"));
    ask.is_fresh = true;
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_ASKED);
    ask.is_fresh = false;
    ask.token = (struct cache_token){EPOCH, 1001};
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_TOKEN);
    assert_null(cache_hit(w.store, &ask));
    w.state.required = 2000;
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_NOT_PROVEN);
    w.state.required = 0;
    ask.token = (struct cache_token){EPOCH, 1000};
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_NONE);
    /* None of that has cost the entry its place; these do. */
    world_write(&w, 2);
    assert_null(cache_hit(w.store, &ask));
    assert_true(world_has(&w, "k"));
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_INVALIDATED);
    assert_false(world_has(&w, "k"));
    assert_int_equal(world_stats(&w).invalidated, 1);
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_ABSENT);
    world_put(&w, &ask, HS_STR("v2"));
    ask.now += 60 * HS_SECOND - 1;
    w.state.proof_at = ask.now;
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_NONE);
    ask.now++;
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_EXPIRED);
    assert_int_equal(world_stats(&w).expired, 1);
    assert_int_equal(world_stats(&w).entries, 0);
    assert_int_equal(world_stats(&w).bytes, 0);
    world_fini(&w);
}

static void feed_commit(struct cache_state *s)
{
    atomic_store(&s->stamps[1], 1005);
    atomic_store(&s->position, 1010);
}

/*
 * The feed stamps, and then passes the reader's token, between the two halves of the rule: whichever half is read
 * first, the entry must not be served to who brings that token.
 */
static void test_check_order(void **state)
{
    struct world w;
    struct cache_ask ask;

    (void)state;
    world_init(&w, &ROOMY);
    ask = world_ask(&w, "k", TAG, 2);
    world_put(&w, &ask, HS_STR("v"));
    ask.token = (struct cache_token){EPOCH, 1005};
    w.state.behind_stamps = feed_commit;
    assert_null(cache_hit(w.store, &ask));
    assert_int_not_equal(world_probe(&w, &ask), CACHE_WHY_NONE);
    w.state.position = 1000;
    w.state.stamps[1] = 0;
    w.state.behind_stamps = NULL;
    ask.token = (struct cache_token){0};
    world_put(&w, &ask, HS_STR("v"));
    w.state.behind_view = feed_commit;
    w.state.fence = 1010;
    assert_null(cache_hit(w.store, &ask));
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_INVALIDATED);
    world_fini(&w);
}

static void test_nothing_can_be_kept(void **state)
{
    struct world w;
    struct cache_ask ask;
    struct cache_entry *entry;
    struct cache_flight *flight;
    enum cache_why why;

    (void)state;
    world_init(&w, &ROOMY);
    ask = world_ask(&w, "k", TAG, 2);
    w.state.fence = 0;
    assert_int_equal(world_get(&w, &ask, &entry, &flight, &why), CACHE_BYPASS);
    assert_int_equal(why, CACHE_WHY_NOT_PROVEN);
    assert_int_equal(world_stats(&w).flights, 0);
    world_fini(&w);
}

/* A proof that is too old stops hits, but what is asked for meanwhile is kept for later. */
static void test_kept_without_proof(void **state)
{
    struct world w;
    struct cache_ask ask;

    (void)state;
    world_init(&w, &ROOMY);
    ask = world_ask(&w, "k", TAG, 1);
    w.state.proof_at = w.now - 2 * HS_SECOND;
    world_put(&w, &ask, HS_STR("v"));
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_NOT_PROVEN);
    w.state.proof_at = w.now;
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_NONE);
    world_fini(&w);
}

/* ---- limits ---- */

/* Counted is what the allocator gave, a word of its own and a slot; and the goal beside key and body is met. */
static void test_entry_bytes(void **state)
{
    static const size_t BODIES[] = {0, 1, 100, 1000, 1024, 5000, 70000, 500000};
    struct world w;

    (void)state;
    world_init(&w, &ROOMY);
    for (unsigned i = 0; i < HS_LEN(BODIES); i++) {
        struct cache_ask ask = world_ask(&w, key_of(i), TAG, 2);
        size_t before = world_stats(&w).bytes;
        struct cache_entry *entry;
        size_t block;

        world_put(&w, &ask, body_of(BODIES[i]));
        entry = cache_hit(w.store, &ask);
        block = sizeof(*entry) + 2 * sizeof(*TAG) + ask.key.n + BODIES[i] +
                strlen("Vary: Accept\r\n\"e1\"application/json");
        assert_true(hs_mem_size(entry) >= block);
        assert_true(hs_mem_size(entry) <= block + block / 4 + 64); /* as jemalloc rounds at worst */
        assert_int_equal(world_stats(&w).bytes - before, hs_mem_size(entry) + sizeof(void *));
        cache_entry_unref(entry);
    }
    assert_true(sizeof(struct cache_entry) + 2 * sizeof(*TAG) + 2 * sizeof(size_t) <= 200);
    world_fini(&w);
}

/* Whatever is put in, neither limit is passed at any time, and the sum is that of what is there. */
static void test_limits_are_exact(void **state)
{
    struct cache_store_setup setup = ROOMY;
    struct hs_rng rng = test_rng();
    struct world w;
    size_t bytes_max = 0;

    (void)state;
    setup.bytes_max = 100000;
    setup.entries_max = 60;
    setup.entry_max = 100000;
    world_init(&w, &setup);
    for (unsigned i = 0; i < 4000; i++) {
        struct cache_ask ask = world_ask(&w, key_of(i % 300), TAG, 1);
        struct cache_store_stats stats;
        struct cache_entry *entry = cache_hit(w.store, &ask);

        if (!entry)
            world_put(&w, &ask, body_of(hs_rng_below(&rng, i & 512 ? 100 : 8000)));
        cache_entry_unref(entry);
        stats = world_stats(&w);
        assert_true(stats.bytes <= setup.bytes_max);
        assert_true(stats.entries <= setup.entries_max);
        bytes_max = stats.bytes > bytes_max ? stats.bytes : bytes_max;
    }
    assert_true(bytes_max > 80000); /* and it is used */
    assert_true(world_stats(&w).evicted > 1000);
    for (unsigned i = 0; i < 300; i++) {
        const char *key = key_of(i);
        struct cache_entry *entry = cache_peek(w.store, hs_str(key), hs_hash(hs_str(key)));

        bytes_max = world_stats(&w).bytes;
        if (!entry)
            continue;
        assert_int_equal(cache_purge(w.store, &(struct cache_purge){.table = CACHE_NO_INDEX,
                                                                    .pattern = hs_str(key)})
                             .entries,
                         1);
        assert_int_equal(bytes_max - world_stats(&w).bytes, hs_mem_size(entry) + sizeof(void *));
        cache_entry_unref(entry);
    }
    assert_int_equal(world_stats(&w).bytes, 0);
    assert_int_equal(world_stats(&w).entries, 0);
    world_fini(&w);
}

/* The budget is one: an answer nearly as big as all of it is kept, and the small ones make room. */
static void test_big_entry(void **state)
{
    struct cache_store_setup setup = ROOMY;
    struct world w;
    struct cache_ask ask;

    (void)state;
    setup.bytes_max = 200000;
    setup.entry_max = 200000;
    world_init(&w, &setup);
    for (unsigned i = 0; i < 100; i++) {
        ask = world_ask(&w, key_of(i), TAG, 1);
        world_put(&w, &ask, body_of(1000));
    }
    ask = world_ask(&w, "big", TAG, 1);
    world_put(&w, &ask, body_of(190000));
    assert_true(world_has(&w, "big"));
    ask = world_ask(&w, "bigger", TAG, 1);
    world_put(&w, &ask, body_of(200000));
    assert_false(world_has(&w, "bigger"));
    assert_true(world_has(&w, "big"));
    assert_int_equal(world_stats(&w).refused, 1);
    world_fini(&w);
}

static void hit(struct world *w, unsigned i)
{
    struct cache_ask ask = world_ask(w, key_of(i), TAG, 1);

    assert_int_equal(world_probe(w, &ask), CACHE_WHY_NONE);
}

static void put(struct world *w, unsigned i)
{
    struct cache_ask ask = world_ask(w, key_of(i), TAG, 1);

    world_put(w, &ask, body_of(10));
}

/* A store of 50 whose keys 0 to 19 are hot. */
static void world_init_hot(struct world *w)
{
    struct cache_store_setup setup = ROOMY;

    setup.entries_max = 50;
    world_init(w, &setup);
    for (unsigned i = 0; i < 20; i++)
        put(w, i);
    for (unsigned i = 0; i < 60; i++)
        hit(w, i % 20);
}

/* Hundreds of keys asked for once do not drive out those that are asked for again and again. */
static void test_scan(void **state)
{
    struct world w;

    (void)state;
    world_init_hot(&w);
    for (unsigned i = 0; i < 2000; i++) {
        hit(&w, i % 20);
        put(&w, 100 + i);
    }
    assert_int_equal(world_stats(&w).entries, 50);
    world_fini(&w);
}

/* Asked for again soon after it was evicted, a key stays; one that was not there before goes. */
static void test_second_chance(void **state)
{
    struct world w;

    (void)state;
    world_init_hot(&w);
    put(&w, 50);
    for (unsigned i = 100; i < 150; i++)
        put(&w, i);
    assert_false(world_has(&w, key_of(50)));
    put(&w, 50);
    put(&w, 51);
    for (unsigned i = 200; i < 250; i++)
        put(&w, i);
    assert_true(world_has(&w, key_of(50)));
    assert_false(world_has(&w, key_of(51)));
    world_fini(&w);
}

/* What a write made invalid comes back where it was. */
static void test_hot_after_write(void **state)
{
    struct world w;
    struct cache_ask ask;

    (void)state;
    world_init_hot(&w);
    ask = world_ask(&w, key_of(0), TAG, 1);
    world_write(&w, 1);
    assert_int_equal(world_probe(&w, &ask), CACHE_WHY_INVALIDATED);
    put(&w, 0);
    for (unsigned i = 100; i < 200; i++)
        put(&w, i);
    hit(&w, 0);
    world_fini(&w);
}

/* However hot all of them are, there is room for one more. */
static void test_all_hot(void **state)
{
    struct cache_store_setup setup = ROOMY;
    struct world w;

    (void)state;
    setup.entries_max = 3000;
    world_init(&w, &setup);
    for (unsigned i = 0; i < 3000; i++) {
        put(&w, i);
        for (unsigned n = 0; n < 3; n++)
            hit(&w, i);
    }
    put(&w, 3000);
    assert_true(world_has(&w, key_of(3000)));
    assert_int_equal(world_stats(&w).entries, 3000);
    assert_int_equal(world_stats(&w).evicted, 1);
    world_fini(&w);
}

/* ---- sweep ---- */

static void test_sweep(void **state)
{
    struct world w;
    struct cache_ask ask;
    size_t looked = 0;
    size_t n;

    (void)state;
    world_init(&w, &ROOMY);
    for (unsigned i = 0; i < 300; i++) {
        ask = world_ask(&w, key_of(i), TAG + i % 2, 1);
        ask.now += i < 100 ? 0 : HS_SECOND; /* the first hundred expire first */
        world_put(&w, &ask, HS_STR("v"));
    }
    assert_int_equal(cache_sweep(w.store, w.now, 10), 10);
    while (cache_sweep(w.store, w.now, 10))
        ;
    assert_int_equal(world_stats(&w).entries, 300);
    while ((n = cache_sweep(w.store, w.now + 60 * HS_SECOND, 7))) {
        assert_true(n <= 7);
        looked += n;
    }
    assert_true(looked >= 300);
    assert_int_equal(world_stats(&w).expired, 100);
    world_write(&w, 2);
    while (cache_sweep(w.store, w.now, 1000))
        ;
    assert_int_equal(world_stats(&w).invalidated, 100);
    assert_int_equal(world_stats(&w).entries, 100);
    w.state.epoch = EPOCH + 1;
    while (cache_sweep(w.store, w.now, 1000))
        ;
    assert_int_equal(world_stats(&w).entries, 0);
    world_fini(&w);
}

/* ---- looking without consequences ---- */

static void test_look(void **state)
{
    struct world w;
    struct cache_ask ask;
    struct cache_entry *entry;

    (void)state;
    world_init(&w, &ROOMY);
    ask = world_ask(&w, "k", TAG, 1);
    assert_int_equal(cache_look(w.store, &ask, &entry), CACHE_WHY_ABSENT);
    assert_null(entry);
    assert_int_equal(world_stats(&w).flights, 0);
    world_put(&w, &ask, HS_STR("v"));
    assert_int_equal(cache_look(w.store, &ask, &entry), CACHE_WHY_NONE);
    assert_int_equal(atomic_load(&entry->hits), 0);
    cache_entry_unref(entry);
    world_write(&w, 1);
    assert_int_equal(cache_look(w.store, &ask, &entry), CACHE_WHY_INVALIDATED);
    assert_non_null(entry);
    cache_entry_unref(entry);
    assert_int_equal(world_stats(&w).entries, 1);
    assert_int_equal(world_stats(&w).invalidated, 0);
    w.state.proof_at = 0;
    assert_int_equal(cache_look(w.store, &ask, &entry), CACHE_WHY_NOT_PROVEN);
    cache_entry_unref(entry);
    world_fini(&w);
}

/* The address that led to an entry stays with it, unless it is too long to be worth it. */
static void test_target(void **state)
{
    static char long_target[CACHE_TARGET_MAX + 1];
    const struct hs_str targets[] = {HS_STR("/a?b=c"), hs_strn(long_target, CACHE_TARGET_MAX),
                                     hs_strn(long_target, CACHE_TARGET_MAX + 1), HS_STR("")};
    struct world w;

    (void)state;
    memset(long_target, 'x', sizeof(long_target));
    world_init(&w, &ROOMY);
    for (unsigned i = 0; i < HS_LEN(targets); i++) {
        char key[2] = {(char)('a' + i), '\0'};
        struct cache_ask ask = world_ask(&w, key, TAG, 1);
        struct cache_answer answer = world_answer(HS_STR("body"));
        struct cache_flight *flight;
        struct cache_entry *entry;
        enum cache_why why;

        answer.target = targets[i];
        assert_int_equal(world_get(&w, &ask, &entry, &flight, &why), CACHE_LEAD);
        cache_fill(flight, &answer, ask.now);
        entry = cache_peek(w.store, ask.key, ask.hash);
        assert_true(hs_str_eq(cache_entry_target(entry),
                              targets[i].n > CACHE_TARGET_MAX ? HS_STR("") : targets[i]));
        assert_true(hs_str_is(cache_entry_body(entry), "body"));
        cache_entry_unref(entry);
    }
    world_fini(&w);
}

/* ---- purge ---- */

static bool covers_b(void *arg, const struct cache_entry *entry)
{
    ++*(unsigned *)arg;
    return hs_str_starts(cache_entry_key(entry), HS_STR("GET /b"));
}

static uint64_t purge(struct world *w, uint32_t table, const char *contains, const char *pattern)
{
    size_t before = world_stats(w).bytes;
    struct cache_purged purged = cache_purge(
        w->store, &(struct cache_purge){
                      .table = table, .contains = hs_str(contains), .pattern = hs_str(pattern)});

    assert_int_equal(before - world_stats(w).bytes, purged.bytes);
    return purged.entries;
}

static void put_all(struct world *w)
{
    static const char *const KEYS[] = {"GET /a?x=1", "GET /a?x=2", "GET /ab", "GET /b?tenant=42",
                                       "GET /b?tenant=421"};

    (void)purge(w, CACHE_NO_INDEX, NULL, NULL);
    for (unsigned i = 0; i < HS_LEN(KEYS); i++) {
        struct cache_ask ask = world_ask(w, KEYS[i], KEYS[i][5] == 'a' ? TAG : TAG + 1, 1);

        world_put(w, &ask, HS_STR("v"));
    }
}

static void test_purge(void **state)
{
    static const struct {
        uint32_t table;
        const char *contains;
        const char *pattern;
        uint64_t covers;
    } CASES[] = {
        {CACHE_NO_INDEX, NULL, NULL, 5},
        {10, NULL, NULL, 3},
        {30, NULL, NULL, 0},
        {CACHE_NO_INDEX, "tenant=42", NULL, 2},
        {CACHE_NO_INDEX, "", NULL, 5},
        {10, "tenant", NULL, 0},
        {20, "tenant", "*1", 1},
        {CACHE_NO_INDEX, NULL, "*", 5},
        {CACHE_NO_INDEX, NULL, "", 0},
        {CACHE_NO_INDEX, NULL, "GET /a", 0},
        {CACHE_NO_INDEX, NULL, "GET /a*", 3},
        {CACHE_NO_INDEX, NULL, "GET /a?*", 2},
        {CACHE_NO_INDEX, NULL, "*tenant=42", 1},
        {CACHE_NO_INDEX, NULL, "*x*1", 1},
        {CACHE_NO_INDEX, NULL, "G*T /*=*2**", 3},
        {CACHE_NO_INDEX, NULL, "ET*", 0},
    };
    struct world w;

    (void)state;
    world_init(&w, &ROOMY);
    for (unsigned i = 0; i < HS_LEN(CASES); i++) {
        put_all(&w);
        assert_int_equal(purge(&w, CASES[i].table, CASES[i].contains, CASES[i].pattern),
                         CASES[i].covers);
        assert_int_equal(world_stats(&w).entries, 5 - CASES[i].covers);
    }
    world_fini(&w);
}

/* What was asked of the database before the purge must not come in behind it. */
/* The function is asked of those only that the other fields cover. */
static void test_purge_by_function(void **state)
{
    struct world w;
    unsigned asked = 0;

    (void)state;
    world_init(&w, &ROOMY);
    put_all(&w);
    assert_int_equal(cache_purge(w.store, &(struct cache_purge){.table = CACHE_NO_INDEX,
                                                                .pattern = HS_STR("*42"),
                                                                .covers = covers_b,
                                                                .arg = &asked})
                         .entries,
                     1);
    assert_int_equal(asked, 1);
    (void)cache_purge(
        w.store, &(struct cache_purge){.table = CACHE_NO_INDEX, .covers = covers_b, .arg = &asked});
    assert_int_equal(asked, 5);
    assert_int_equal(world_stats(&w).entries, 3);
    world_fini(&w);
}

static void test_purge_during_flight(void **state)
{
    struct world w;
    struct cache_ask ask;
    struct cache_answer answer = world_answer(HS_STR("v"));
    struct cache_entry *entry;
    struct cache_flight *flight;
    enum cache_why why;

    (void)state;
    world_init(&w, &ROOMY);
    ask = world_ask(&w, "k", TAG, 1);
    assert_int_equal(world_get(&w, &ask, &entry, &flight, &why), CACHE_LEAD);
    assert_int_equal(purge(&w, CACHE_NO_INDEX, NULL, NULL), 0);
    cache_fill(flight, &answer, w.now);
    assert_false(world_has(&w, "k"));
    world_put(&w, &ask, HS_STR("v"));
    assert_true(world_has(&w, "k"));
    world_fini(&w);
}

/* ---- the most hit ---- */

struct seen {
    uint64_t hits[10];
    size_t n;
};

static void on_top(void *arg, const struct cache_entry *entry, uint64_t hits)
{
    struct seen *seen = arg;

    assert_str(cache_entry_key(entry), hs_str(key_of((unsigned)hits)));
    seen->hits[seen->n++] = hits;
}

static void test_top(void **state)
{
    struct world w;
    struct seen seen = {.n = 0};
    struct hs_err err;

    (void)state;
    world_init(&w, &ROOMY);
    assert_int_equal(cache_top(w.store, 3, on_top, &seen, &err), HS_OK);
    assert_int_equal(seen.n, 0);
    for (unsigned i = 0; i < 30; i++) {
        struct cache_ask ask = world_ask(&w, key_of(i * 7 % 30), TAG, 1);

        world_put(&w, &ask, HS_STR("v"));
        for (unsigned hit = 0; hit < i * 7 % 30; hit++)
            assert_int_equal(world_probe(&w, &ask), CACHE_WHY_NONE);
    }
    assert_int_equal(cache_top(w.store, 3, on_top, &seen, &err), HS_OK);
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.hits[0], 29);
    assert_int_equal(seen.hits[1], 28);
    assert_int_equal(seen.hits[2], 27);
    hs_mem_fail_at(1);
    assert_int_equal(cache_top(w.store, 3, on_top, &seen, &err), HS_E_MEMORY);
    hs_mem_fail_at(0);
    seen.n = 0;
    (void)cache_purge(w.store,
                      &(struct cache_purge){.table = CACHE_NO_INDEX, .contains = HS_STR("/2")});
    assert_int_equal(cache_top(w.store, 1, on_top, &seen, &err), HS_OK);
    assert_int_equal(seen.hits[0], 19);
    world_fini(&w);
}

static bool make_and_free(void *arg)
{
    struct cache_store_setup setup = ROOMY;
    struct cache_state none = {0};
    struct cache_store *store = NULL;
    struct hs_err err;
    hs_status status;

    (void)arg;
    setup.state = &none;
    status = cache_store_new(&setup, &store, &err);
    assert_true(status == HS_OK || status == HS_E_MEMORY);
    cache_store_free(store);
    return status == HS_OK;
}

static void test_new_without_memory(void **state)
{
    (void)state;
    fault_each(make_and_free, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit),
        cmocka_unit_test(test_whole_key_compare),
        cmocka_unit_test(test_why_not),
        cmocka_unit_test(test_check_order),
        cmocka_unit_test(test_nothing_can_be_kept),
        cmocka_unit_test(test_kept_without_proof),
        cmocka_unit_test(test_entry_bytes),
        cmocka_unit_test(test_limits_are_exact),
        cmocka_unit_test(test_big_entry),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_second_chance),
        cmocka_unit_test(test_hot_after_write),
        cmocka_unit_test(test_all_hot),
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_look),
        cmocka_unit_test(test_target),
        cmocka_unit_test(test_purge),
        cmocka_unit_test(test_purge_by_function),
        cmocka_unit_test(test_purge_during_flight),
        cmocka_unit_test(test_top),
        cmocka_unit_test(test_new_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
