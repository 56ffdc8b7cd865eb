/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four threads ask, fill, drop, write, purge and sweep at once, over a small database of numbers that only grow. No
 * answer may belong to another key, and none may be older than a write that was done before it was asked for, also
 * where its time is over; only who asks for a stale one may get that. For the thread sanitizer above all.
 */
#include <pthread.h>
#include <sched.h>

#include "store_world.h"

enum { THREADS = 4, KEYS = 40, TURNS = 8000, PENDING = 64 };

/* A row: its key is its index, its tag's stamp as well. */
static struct {
    pthread_mutex_t lock; /* of commits, which have an order */
    _Atomic(uint64_t) value[KEYS];
    /* Whoever asks from now on must see as much. */
    _Atomic(uint64_t) answered[KEYS];
} db = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct world world;
static _Atomic(uint64_t) n_hits;
static _Atomic(uint64_t) n_told;
static _Atomic(uint64_t) n_lagging;
static _Atomic(uint64_t) n_wrong;

/* One who joined: he may be told long after his turn. */
struct asker {
    struct cache_joiner joiner;
    unsigned key;
    uint64_t least;
    bool is_waiting;
};

struct worker {
    pthread_t thread;
    struct net_loop *loop;
    struct hs_rng rng;
    struct asker askers[PENDING];
};

static void write_row(unsigned key)
{
    uint64_t value;

    pthread_mutex_lock(&db.lock);
    value = atomic_load(&db.value[key]) + 1;
    atomic_store(&db.value[key], value);
    world_write(&world, key);
    pthread_mutex_unlock(&db.lock);
    /* The greatest of those answered: others may have come first. */
    for (uint64_t seen = atomic_load(&db.answered[key]);
         seen < value && !atomic_compare_exchange_weak(&db.answered[key], &seen, value);)
        ;
}

static void check(const struct cache_entry *entry, unsigned key, uint64_t least)
{
    uint64_t got[2];

    memcpy(got, cache_entry_body(entry).p, sizeof(got));
    if (cache_entry_body(entry).n < sizeof(got) || got[0] != key || got[1] < least)
        atomic_fetch_add(&n_wrong, 1);
}

static void on_done(struct cache_joiner *joiner, struct cache_entry *entry)
{
    struct asker *asker = HS_CONTAINER(joiner, struct asker, joiner);

    if (entry) {
        check(entry, asker->key, asker->least);
        atomic_fetch_add(&n_told, 1);
    }
    cache_entry_unref(entry);
    asker->is_waiting = false;
}

static struct asker *free_asker(struct worker *worker)
{
    for (size_t i = 0; i < PENDING; i++) {
        if (!worker->askers[i].is_waiting)
            return &worker->askers[i];
    }
    return NULL;
}

/* Runs the statement, with others' turns in between. */
static void lead(struct worker *worker, struct cache_flight *flight, unsigned key)
{
    uint64_t body[64] = {key, atomic_load(&db.value[key])};
    struct cache_answer answer = world_answer(
        hs_strn((const char *)body, 16 + hs_rng_below(&worker->rng, 400)));

    for (uint64_t i = hs_rng_below(&worker->rng, 3); i > 0; i--)
        (void)sched_yield();
    if (hs_rng_below(&worker->rng, 20) == 0)
        cache_drop(flight, /* is_unfit= */ false);
    else
        cache_fill(flight, &answer, world.now);
}

/* Half of them come when the time of all that is kept is over. */
static hs_us time_of(struct worker *worker)
{
    bool is_late = world.setup.stale_expired && hs_rng_below(&worker->rng, 2);

    return world.now + (is_late ? 60 * HS_SECOND : 0);
}

/* As one whose database is down, and as one who refreshes. */
static void ask_stale(const struct cache_ask *question, unsigned key)
{
    struct cache_entry *entry = cache_stale(world.store, question);

    if (entry)
        check(entry, key, 0);
    cache_entry_unref(entry);
    (void)cache_is_due(world.store, question);
}

static void ask(struct worker *worker)
{
    unsigned key = (unsigned)hs_rng_below(&worker->rng, KEYS);
    struct cache_tag tag = {.hash = key, .table = key % 4, .shape = CACHE_NO_INDEX};
    struct hs_str text = hs_strn((const char *)&key, sizeof(key));
    struct cache_ask question = {.key = text,
                                 .hash = hs_hash(text),
                                 .generation = GENERATION,
                                 .tags = &tag,
                                 .n_tags = 1,
                                 .is_fresh = hs_rng_below(&worker->rng, 16) == 0,
                                 .now = time_of(worker)};
    struct asker *asker = free_asker(worker);
    struct cache_entry *entry = NULL;
    struct cache_flight *flight = NULL;
    uint64_t least = atomic_load(&db.answered[key]);
    enum cache_why why;

    if (world.setup.stale_any)
        ask_stale(&question, key);
    if (asker)
        *asker = (struct asker){{.loop = worker->loop, .done = on_done}, key, least, true};
    switch (
        cache_get(world.store, &question, asker ? &asker->joiner : NULL, &entry, &flight, &why)) {
    case CACHE_HIT:
        check(entry, key, least);
        atomic_fetch_add(&n_hits, 1);
        cache_entry_unref(entry);
        break;
    case CACHE_STALE:
        check(entry, key, least);
        atomic_fetch_add(&n_lagging, 1);
        cache_entry_unref(entry);
        break;
    case CACHE_JOIN:
        return;
    case CACHE_LEAD:
        lead(worker, flight, key);
        break;
    case CACHE_BYPASS:
        break;
    }
    if (asker)
        asker->is_waiting = false;
}

static void ignore(void *arg, const struct cache_entry *entry, uint64_t hits)
{
    (void)arg;
    (void)entry;
    (void)hits;
}

static void chore(struct worker *worker)
{
    struct cache_purge some = {.table = (uint32_t)hs_rng_below(&worker->rng, 4)};
    struct hs_err err;

    switch (hs_rng_below(&worker->rng, 3)) {
    case 0:
        (void)cache_purge(world.store, &some);
        break;
    case 1:
        (void)cache_sweep(world.store, world.now, 16);
        break;
    default:
        assert_int_equal(cache_top(world.store, 5, ignore, NULL, &err), HS_OK);
        break;
    }
}

static void *work(void *arg)
{
    struct worker *worker = arg;

    for (unsigned i = 0; i < TURNS; i++) {
        uint64_t dice = hs_rng_below(&worker->rng, 100);

        if (dice < 8)
            write_row((unsigned)hs_rng_below(&worker->rng, KEYS));
        else
            ask(worker);
        net_loop_deliver(worker->loop);
    }
    return NULL;
}

/* The chores are those of one thread. */
static void *control(void *arg)
{
    struct worker *worker = arg;

    for (unsigned i = 0; i < TURNS / 8; i++) {
        chore(worker);
        for (unsigned n = 0; n < 4; n++)
            ask(worker);
        net_loop_deliver(worker->loop);
    }
    return NULL;
}

static void check_sums(void)
{
    struct cache_store_stats stats = world_stats(&world);
    struct cache_purged purged;

    assert_int_equal(stats.flights, 0);
    assert_true(stats.bytes <= world.setup.bytes_max);
    assert_true(stats.entries <= world.setup.entries_max);
    purged = cache_purge(world.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    assert_int_equal(purged.entries, stats.entries);
    assert_int_equal(purged.bytes, stats.bytes);
    assert_int_equal(world_stats(&world).bytes, 0);
}

static void run(const struct cache_store_setup *setup)
{
    static struct worker workers[THREADS];
    struct hs_err err;
    uint64_t seed;

    seed = test_rng().state;
    world_init(&world, setup);
    world.state.proof_at = world.now + 60 * HS_SECOND;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].rng.state = seed + i;
        assert_int_equal(net_loop_new(&workers[i].loop, NULL, &err), HS_OK);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, i ? work : control, &workers[i]),
                         0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        net_loop_deliver(workers[i].loop);
        for (unsigned n = 0; n < PENDING; n++)
            assert_false(workers[i].askers[n].is_waiting);
        net_loop_free(workers[i].loop);
    }
    check_sums();
    print_message("%llu hits, %llu told, %llu lagging, %llu evicted\n", (unsigned long long)n_hits,
                  (unsigned long long)n_told, (unsigned long long)n_lagging,
                  (unsigned long long)world_stats(&world).evicted);
    assert_int_equal(n_wrong, 0);
    assert_true(n_hits > 0 && world_stats(&world).evicted > 0);
    world_fini(&world);
}

static const struct cache_store_setup SMALL = {
    .bytes_max = 12000, .entries_max = 30, .entry_max = 600, .waiters_max = 8, .unfit_time = 1};

static void test_threads(void **state)
{
    (void)state;
    run(&SMALL);
}

static void test_threads_stale(void **state)
{
    struct cache_store_setup setup = SMALL;

    (void)state;
    setup.stale_any = 3600 * HS_SECOND;
    setup.stale_expired = 3600 * HS_SECOND;
    setup.is_refreshed = true;
    run(&setup);
    assert_true(n_lagging > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads),
                                       cmocka_unit_test(test_threads_stale)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
