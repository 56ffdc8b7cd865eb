/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hit costs: CPU time of cache_get() and the release of its entry, one thread, the real rule, one narrow tag;
 * and what an entry takes beside its key and its body. With few keys all is in the processor's caches, with many it
 * waits for memory, as the answer's own bytes would.
 *
 * usage: cache_hit [body bytes]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cache/store.h"
#include "core/hash.h"
#include "core/rng.h"

enum { KEYS = 10000, HITS = 2000000, KEY_MAX = 96 };

static struct cache_state *state;
static struct cache_store *store;
static struct cache_tag tags[KEYS];
static char keys[KEYS][KEY_MAX];
static struct cache_ask asks[KEYS];

static void wake(void *ctx)
{
    (void)ctx;
}

static void check(bool is_good, const char *what)
{
    if (is_good)
        return;
    fprintf(stderr, "cache_hit: %s failed\n", what);
    exit(1);
}

/* A feed that has delivered up to 1000, of one table with one shape. */
static uint32_t make_state(hs_us now)
{
    const struct cache_state_setup setup = {.stamps = 1 << 20,
                                            .tables_max = 10,
                                            .shapes_max = 10,
                                            .table_shapes_max = 10,
                                            .max_staleness = 1000 * HS_SECOND,
                                            .wake = wake};
    struct hs_str column = HS_STR("id");
    struct hs_err err;
    uint32_t shape;

    check(cache_state_new(&setup, &state, &err) == HS_OK, "cache_state_new()");
    cache_feed_begin(state, /* epoch= */ 1, /* begun= */ 100);
    shape = cache_shape(state, cache_table(state, 5), &column, 1);
    cache_feed_table(state, 5, NULL, 0, /* floor= */ 100);
    cache_feed_position(state, 1000);
    cache_feed_fence(state, 1000);
    cache_feed_poll(state, /* generation= */ 1, now);
    cache_feed_proof(state, now);
    return shape;
}

static void put(size_t i, uint32_t shape, struct hs_str body, hs_us now)
{
    int n = snprintf(keys[i], KEY_MAX, "GET /api/clients?id=eq.%zu&select=*\nweb\n{\"company\":42}",
                     i);
    struct hs_str key = hs_strn(keys[i], (size_t)n);
    struct cache_answer answer = {.content_type = HS_STR("application/json"),
                                  .etag = HS_STR("\"0123456789abcdef\""),
                                  .body = body,
                                  .ttl = 1000 * HS_SECOND,
                                  .epoch = 1};
    struct cache_entry *entry;
    struct cache_flight *flight;
    enum cache_why why;

    tags[i] = cache_tag_rows(state, shape, &key);
    asks[i] = (struct cache_ask){.key = key,
                                 .hash = hs_hash(key),
                                 .generation = 1,
                                 .tags = &tags[i],
                                 .n_tags = 1,
                                 .now = now};
    check(cache_get(store, &asks[i], NULL, &entry, &flight, &why) == CACHE_LEAD, "leading");
    cache_fill(flight, &answer, now);
}

static void make_store(size_t body_n, hs_us now)
{
    struct cache_store_setup setup = {.bytes_max = (size_t)1 << 28,
                                      .entries_max = 100000,
                                      .entry_max = 1 << 20,
                                      .waiters_max = 10};
    uint32_t shape = make_state(now);
    struct cache_store_stats stats;
    struct hs_err err;
    size_t payload = 0;
    char *body = calloc(1, body_n);

    setup.state = state;
    check(body != NULL, "calloc()");
    check(cache_store_new(&setup, &store, &err) == HS_OK, "cache_store_new()");
    for (size_t i = 0; i < KEYS; i++) {
        put(i, shape, hs_strn(body, body_n), now);
        payload += asks[i].key.n + body_n;
    }
    free(body);
    cache_stats(store, &stats);
    check(stats.entries == KEYS, "keeping all");
    printf(
        "an entry beside key and body of %zu bytes: %zu bytes as counted; its struct %zu, a tag %zu\n",
        body_n, (stats.bytes - payload) / KEYS, sizeof(struct cache_entry),
        sizeof(struct cache_tag));
}

static double cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void hit(size_t n_keys)
{
    struct hs_rng rng = {1};
    double began = cpu_ns();

    for (size_t i = 0; i < HITS; i++) {
        struct cache_entry *entry = NULL;
        struct cache_flight *flight;
        enum cache_why why;

        check(cache_get(store, &asks[hs_rng_below(&rng, n_keys)], NULL, &entry, &flight, &why) ==
                  CACHE_HIT,
              "a hit");
        cache_entry_unref(entry);
    }
    printf("%5zu keys: %.0f ns CPU per hit\n", n_keys, (cpu_ns() - began) / HITS);
}

int main(int argc, char **argv)
{
    size_t body_n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1024;

    make_store(body_n, hs_now_us());
    hit(1);
    hit(100);
    hit(1000);
    hit(KEYS);
    cache_store_free(store);
    cache_state_free(state);
    return 0;
}
