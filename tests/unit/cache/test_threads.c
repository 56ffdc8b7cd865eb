/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state between threads: waiters whose position comes at any moment, and readers beside a feed that stamps,
 * moves and begins anew. ThreadSanitizer judges the rest.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "cache/stream.h"

enum { CLIENTS = 16400, TENANTS = 8, COMMITS = 20000, RUN_COMMITS = 500, READERS = 3 };
#define NOW (100 * HS_SECOND)

/* ---- waiters on one loop ---- */

struct waiting {
    struct stream stream;
    struct cache_state *state;
    struct net_loop *loop;
    unsigned done;
    unsigned target;
};

static struct waiting waiting;

static void on_done(struct cache_waiter *waiter)
{
    assert_false(waiter->is_waiting);
    if (++waiting.done == waiting.target)
        net_loop_stop(waiting.loop);
}

static void open_waiting(void)
{
    struct cache_state_setup setup = stream_setup(&waiting.stream);

    waiting = (struct waiting){.done = 0};
    assert_int_equal(net_loop_new(&waiting.loop, NULL, NULL), HS_OK);
    assert_int_equal(cache_state_new(&setup, &waiting.state, NULL), HS_OK);
    waiting.stream.state = waiting.state;
    stream_describe(&waiting.stream, CLIENTS, "i");
}

static void close_waiting(void)
{
    cache_state_free(waiting.state);
    net_loop_free(waiting.loop);
}

static void init_waiter(struct cache_waiter *waiter, uint64_t epoch, uint64_t position)
{
    *waiter = (struct cache_waiter){
        .magic = CACHE_WAITER_MAGIC,
        .token = {.epoch = epoch, .position = position},
        .loop = waiting.loop,
        .done = on_done,
    };
}

static void waiters(void **unused)
{
    struct cache_waiter early;
    struct cache_waiter late;
    struct cache_waiter other;

    (void)unused;
    open_waiting();
    stream_begin(&waiting.stream);
    init_waiter(&early, STREAM_EPOCH, STREAM_BEGUN);
    assert_true(cache_wait(waiting.state, &early)); /* passed */
    assert_false(cache_wait_end(waiting.state, &early));
    init_waiter(&early, STREAM_EPOCH, 110);
    init_waiter(&late, STREAM_EPOCH, 120);
    init_waiter(&other, STREAM_EPOCH + 1, 105);
    assert_false(cache_wait(waiting.state, &late));
    assert_int_equal(cache_feed_wanted(waiting.state), 120);
    assert_false(cache_wait(waiting.state, &early));
    assert_int_equal(cache_feed_wanted(waiting.state), 110);
    assert_false(cache_wait(waiting.state, &other)); /* asks nothing of this feed */
    assert_int_equal(cache_feed_wanted(waiting.state), 110);
    assert_int_equal(waiting.stream.wakes, 3);
    cache_feed_position(waiting.state, 115);
    assert_int_equal(cache_feed_wanted(waiting.state), 120);
    assert_false(cache_wait_end(waiting.state, &early)); /* in the mail */
    net_loop_deliver(waiting.loop);
    assert_int_equal(waiting.done, 1);
    assert_true(cache_wait_end(waiting.state, &late));
    assert_int_equal(cache_feed_wanted(waiting.state), 0);
    cache_feed_position(waiting.state, 200);
    net_loop_deliver(waiting.loop);
    assert_int_equal(waiting.done, 1);
    cache_feed_begin(waiting.state, STREAM_EPOCH + 1, 101);
    assert_int_equal(cache_feed_wanted(waiting.state), 105);
    cache_feed_position(waiting.state, 105);
    net_loop_deliver(waiting.loop);
    assert_int_equal(waiting.done, 2);
    close_waiting();
}

/* A feed that begins past it is enough. */
static void waiters_of_a_new_epoch(void **unused)
{
    struct cache_waiter waiter;

    (void)unused;
    open_waiting();
    init_waiter(&waiter, STREAM_EPOCH, STREAM_BEGUN);
    assert_false(cache_wait(waiting.state, &waiter)); /* there is no feed */
    stream_begin(&waiting.stream);
    net_loop_deliver(waiting.loop);
    assert_int_equal(waiting.done, 1);
    close_waiting();
}

static void *move_on(void *arg)
{
    (void)arg;
    for (uint64_t position = STREAM_BEGUN; position <= STREAM_BEGUN + COMMITS; position++)
        cache_feed_position(waiting.state, position);
    return NULL;
}

/* Whoever asks while the position moves is told at once or by mail, and nobody twice or never. */
static void waiters_race(void **unused)
{
    static struct cache_waiter all[COMMITS / 10];
    pthread_t feed;

    (void)unused;
    open_waiting();
    waiting.stream.state = waiting.state;
    stream_begin(&waiting.stream);
    assert_int_equal(pthread_create(&feed, NULL, move_on, NULL), 0);
    for (size_t i = 0; i < HS_LEN(all); i++) {
        init_waiter(&all[i], STREAM_EPOCH, STREAM_BEGUN + 10 * i);
        waiting.target += !cache_wait(waiting.state, &all[i]);
    }
    if (waiting.done < waiting.target)
        net_loop_run(waiting.loop);
    assert_int_equal(pthread_join(feed, NULL), 0);
    assert_int_equal(waiting.done, waiting.target);
    assert_int_equal(cache_feed_wanted(waiting.state), 0);
    close_waiting();
}

/* ---- readers beside a feed ---- */

/*
 * A database of one number for each tenant: the stamp of its last commit. A commit becomes visible, then the
 * feed stamps it, moves past it and raises the fence; then its writer has his answer.
 */
static struct {
    struct stream stream;
    struct cache_state *state;
    uint32_t shape;
    _Atomic uint64_t visible[TENANTS];
    _Atomic uint64_t answered[TENANTS];
    atomic_bool is_over;
    _Atomic uint64_t hits;
    _Atomic uint64_t stale;
} world;

static const char *const tenants[TENANTS] = {"0", "1", "2", "3", "4", "5", "6", "7"};
static const char *const rows[TENANTS] = {"1,0,A,", "1,1,A,", "1,2,A,", "1,3,A,",
                                          "1,4,A,", "1,5,A,", "1,6,A,", "1,7,A,"};

/* Lets the readers look at things as they are: until one of them was served, or none can be. */
static void let_read(void)
{
    uint64_t before = atomic_load(&world.hits);

    for (unsigned i = 0; i < 50 && atomic_load(&world.hits) == before; i++)
        (void)sched_yield();
}

static void fresh_run(uint64_t epoch, uint64_t begun)
{
    cache_feed_begin(world.state, epoch, begun);
    cache_feed_table(world.state, CLIENTS, NULL, 0, begun);
    cache_feed_position(world.state, begun);
    cache_feed_fence(world.state, begun);
    cache_feed_proof(world.state, NOW);
    cache_feed_poll(world.state, 1, NOW);
}

/* Each run is of the same epoch as the one before it, or of the next. */
static void *run_feed(void *arg)
{
    struct hs_rng rng = {1};
    uint64_t epoch = STREAM_EPOCH;

    (void)arg;
    while (!atomic_load(&world.hits))
        (void)sched_yield(); /* the readers run */
    for (uint64_t at = STREAM_BEGUN + 1; at <= STREAM_BEGUN + COMMITS; at++) {
        size_t tenant = (size_t)hs_rng_below(&rng, TENANTS);

        atomic_store(&world.visible[tenant], at);
        stream_insert(&world.stream, rows[tenant], at);
        cache_feed_position(world.state, at);
        atomic_store(&world.answered[tenant], at);
        if (at % 400 == 0)
            let_read();
        cache_feed_fence(world.state, at);
        if (at % RUN_COMMITS == 0) {
            epoch += hs_rng_below(&rng, 2);
            fresh_run(epoch, at);
        }
    }
    atomic_store(&world.is_over, true);
    return NULL;
}

struct kept {
    struct cache_moment moment; /* fence 0: nothing is kept */
    struct cache_tag tag;
    uint64_t value;
};

/* A miss: the fence, then the query. */
static void read_row(size_t tenant, struct kept *ret)
{
    ret->tag = stream_tag(&world.stream, world.shape, tenants[tenant], NULL);
    if (!cache_moment_now(world.state, 1, &ret->moment))
        ret->moment.fence = 0;
    ret->value = atomic_load(&world.visible[tenant]);
}

/* What was answered before the look must be in what is served. */
static bool serve(size_t tenant, const struct kept *kept)
{
    struct cache_token none = {.epoch = CACHE_EPOCH_NONE};
    uint64_t answered = atomic_load(&world.answered[tenant]);
    struct cache_view view;

    if (!kept->moment.fence || !cache_may_hit(world.state, none, NOW, &view) ||
        !cache_is_valid(world.state, &view, &kept->moment, &kept->tag, 1))
        return false;
    atomic_fetch_add(&world.hits, 1);
    if (kept->value < answered)
        atomic_fetch_add(&world.stale, 1);
    return true;
}

static void *run_reader(void *arg)
{
    struct hs_rng rng = {(uint64_t)(uintptr_t)arg};
    struct kept kept[TENANTS] = {0};

    while (!atomic_load(&world.is_over)) {
        size_t tenant = (size_t)hs_rng_below(&rng, TENANTS);

        if (!serve(tenant, &kept[tenant]))
            read_row(tenant, &kept[tenant]);
    }
    return NULL;
}

/* New tables and shapes, barriers, looks for people, at any time. */
static void *run_others(void *arg)
{
    static const char *const names[] = {"id", "status", "note"};
    struct cache_status status;
    uint32_t oid = 1;

    (void)arg;
    while (!atomic_load(&world.is_over)) {
        uint32_t table = cache_table(world.state, CLIENTS + oid++ % 8);

        for (size_t i = 0; i < HS_LEN(names); i++)
            (void)stream_shape(&world.stream, table, names[i], NULL);
        cache_status(world.state, NOW, &status);
        cache_require(world.state, (struct cache_token){status.view.epoch, status.view.position});
        cache_saw_epoch(world.state, status.view.epoch);
    }
    return NULL;
}

static void count_no_wakes(void *ctx)
{
    (void)ctx;
}

static void readers_race(void **unused)
{
    struct cache_state_setup setup = stream_setup(&world.stream);
    pthread_t threads[READERS + 2];

    (void)unused;
    setup.wake = count_no_wakes;
    assert_int_equal(cache_state_new(&setup, &world.state, NULL), HS_OK);
    world.stream.state = world.state;
    stream_describe(&world.stream, CLIENTS, "ic");
    world.shape = stream_shape(&world.stream, cache_table(world.state, CLIENTS), "company", NULL);
    fresh_run(STREAM_EPOCH, STREAM_BEGUN);
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_reader, (void *)(uintptr_t)(i + 1)),
                         0);
    assert_int_equal(pthread_create(&threads[READERS], NULL, run_others, NULL), 0);
    assert_int_equal(pthread_create(&threads[READERS + 1], NULL, run_feed, NULL), 0);
    for (size_t i = 0; i < HS_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    print_message("hits: %llu\n", (unsigned long long)world.hits);
    assert_int_equal(world.stale, 0);
    assert_true(world.hits > 0);
    cache_state_free(world.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiters),
        cmocka_unit_test(waiters_of_a_new_epoch),
        cmocka_unit_test(waiters_race),
        cmocka_unit_test(readers_race),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
