/* SPDX-License-Identifier: Apache-2.0 */
/* The pool when things break: servers, connections, names, memory; and its number of connections. */
#include <pthread.h>
#include <unistd.h>

#include "core/mem.h"
#include "pg/pool_world.h"
#include "test.h"

enum { READ = PG_SHARED | PG_REPEATABLE };

static struct pg_cluster cluster;
static struct hs_identity *alice;

static const char KILL_SLEEPERS[] =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";

static void test_killed_backend(void **state)
{
    struct world w;
    struct ask asks[3];

    (void)state;
    world_init(&w, &cluster, "app");
    world_open(&w);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    ask(&w, &asks[0], READ, alice, "SELECT 'read' FROM pg_sleep(0.5)", NULL);
    ask(&w, &asks[1], 0, alice, "INSERT INTO counted SELECT 1 FROM pg_sleep(0.5) RETURNING n",
        NULL);
    world_wait_for_sleepers(&w, 1);
    assert_true(pg_cluster_sql(&cluster, KILL_SLEEPERS) >= 1);
    ask_wait(&w, asks, 2);
    assert_string_equal(asks[0].value, "read");
    assert_int_equal(asks[0].err.status, HS_OK);
    /* The write was behind the read on the same connection, or itself killed: nobody repeats it. */
    if (asks[1].err.status)
        assert_int_equal(asks[1].err.status, HS_E_OUTCOME_UNKNOWN);
    assert_int_equal(pg_cluster_sql(&cluster, "SELECT count(*) FROM counted"),
                     asks[1].err.status ? 0 : 1);
    assert_true(world_metric(&w, HS_M_PG_CONNECTIONS_LOST) >= 1);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    world_close(&w);
    pg_cluster_sql(&cluster, "TRUNCATE counted");
}

static void test_write_is_never_repeated(void **state)
{
    struct world w;
    struct ask a;

    (void)state;
    world_init(&w, &cluster, "app");
    world_open(&w);
    ask(&w, &a, 0, alice, "INSERT INTO counted SELECT 1 FROM pg_sleep(10) RETURNING n", NULL);
    world_wait_for_sleepers(&w, 1);
    pg_cluster_sql(&cluster, KILL_SLEEPERS);
    ask_wait(&w, &a, 1);
    assert_int_equal(a.err.status, HS_E_OUTCOME_UNKNOWN);
    assert_int_equal(hs_err_http(&a.err), 504);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    world_close(&w);
    assert_int_equal(pg_cluster_sql(&cluster, "SELECT count(*) FROM counted"), 0);
}

/* Under load: every answer is right or says that the database is away; then all is well again. */
static void test_restart(void **state)
{
    static struct ask asks[32];
    unsigned right = 0;
    unsigned refused = 0;
    struct world w;

    (void)state;
    world_init(&w, &cluster, "app");
    w.setup.acquire_timeout = 100 * HS_MS;
    world_open(&w);
    for (unsigned round = 0; round < 40; round++) {
        struct hs_err err;

        for (unsigned i = 0; i < 32; i++) {
            ask(&w, &asks[i], READ, alice, "SELECT 'right'", NULL);
            asks[i].err.status = HS_OK;
        }
        if (round == 10 || round == 30)
            pg_cluster_stop(&cluster, /* fast= */ round == 10);
        ask_wait(&w, asks, 32);
        for (unsigned i = 0; i < 32; i++) {
            right += !strcmp(asks[i].value, "right");
            refused += asks[i].err.status == HS_E_PG_DOWN;
        }
        if (cluster.pid)
            continue;
        /* Known to be away: refused at once. */
        while (!pg_pool_run(w.pool, &asks[0].query, &err)) {
            asks[0].is_done = false;
            ask_wait(&w, asks, 1);
        }
        assert_int_equal(err.status, HS_E_PG_DOWN);
        pg_cluster_start(&cluster);
        while (world_metric(&w, HS_M_PG_CONNECTIONS) == 0)
            world_turn(&w);
        ask_value(&w, READ, alice, "SELECT 'back'", "back");
    }
    print_message("%u right, %u refused\n", right, refused);
    assert_int_equal(right + refused, 40 * 32);
    assert_true(right >= 38 * 32);
    world_close(&w);
}

/* An outage shorter than acquire_timeout costs no error. */
static void test_blip_is_ridden_out(void **state)
{
    struct world w;
    struct ask a;

    (void)state;
    pg_cluster_stop(&cluster, true);
    world_init(&w, &cluster, "app");
    world_open(&w);
    ask(&w, &a, READ, alice, "SELECT 'late'", NULL);
    while (world_metric(&w, HS_M_PG_CONNECT_FAILURES) < 3)
        world_turn(&w);
    assert_false(a.is_done);
    pg_cluster_start(&cluster);
    ask_wait(&w, &a, 1);
    assert_string_equal(a.value, "late");
    world_close(&w);
}

static void test_state_of_an_outage(void **state)
{
    struct pg_pool_state now;
    struct world w;
    struct ask a;

    (void)state;
    world_init(&w, &cluster, "no_such_role");
    w.setup.acquire_timeout = 50 * HS_MS;
    world_open(&w);
    pg_pool_state(w.pool, &now);
    assert_true(now.is_up);
    ask(&w, &a, READ, alice, "SELECT 1", NULL);
    ask_wait(&w, &a, 1);
    assert_int_equal(a.err.status, HS_E_PG_DOWN);
    assert_non_null(strstr(a.err.why, "no_such_role"));
    pg_pool_state(w.pool, &now);
    assert_false(now.is_up);
    assert_int_equal(now.open, 0);
    assert_non_null(strstr(now.last_error->why, "no_such_role"));
    world_close(&w);
}

static void test_names_are_resolved(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, &cluster, "app");
    (void)snprintf(w.url, sizeof(w.url),
                   "postgresql://app@no-such-host.invalid:1,localhost:%u/postgres", cluster.port);
    w.setup.url = hs_str(w.url);
    world_open(&w);
    ask_value(&w, READ, alice, "SELECT host(inet_server_addr())", "127.0.0.1");
    world_close(&w);
    /* A second host that may be written to is found behind one that is not there. */
    world_init(&w, &cluster, "app");
    (void)snprintf(w.url, sizeof(w.url),
                   "host=127.0.0.1,127.0.0.1 port=1,%u user=app dbname=postgres", cluster.port);
    w.setup.url = hs_str(w.url);
    world_open(&w);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    world_close(&w);
}

static void test_bad_urls(void **state)
{
    static const char *const urls[] = {"postgresql://u:s3cret@h:p:q/%zz", "host", "nonsense=1",
                                       "host=a,b port=1,2,3", "host=a hostaddr=1.1.1.1,2.2.2.2"};

    (void)state;
    for (size_t i = 0; i < HS_LEN(urls); i++) {
        struct world w;
        struct hs_err err;

        world_init(&w, &cluster, "app");
        w.setup.url = hs_str(urls[i]);
        assert_int_equal(pg_pool_new(&w.setup, &w.pool, &err), HS_E_CONFIG);
        assert_null(strstr(err.what, "s3cret"));
        assert_null(strstr(err.why, "s3cret"));
        world_close(&w);
    }
}

static void test_lifetime_and_idling(void **state)
{
    struct pg_pool_state now;
    static struct ask asks[6];
    struct world w;

    (void)state;
    world_init(&w, &cluster, "app");
    w.setup.lifetime = 60 * HS_MS;
    w.setup.idle_timeout = 30 * HS_MS;
    w.setup.health_interval = 10 * HS_MS;
    world_open(&w);
    for (unsigned i = 0; i < 200; i++) {
        ask_value(&w, READ, alice, "SELECT 1", "1");
        world_idle(&w, 2);
    }
    assert_true(world_metric(&w, HS_M_PG_CONNECTS) > 6);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 0);
    world_close(&w);
    world_init(&w, &cluster, "app");
    w.setup.idle_timeout = 50 * HS_MS;
    w.setup.health_interval = 10 * HS_MS;
    world_open(&w);
    /* Known to be slow after the first, so each of the others has a connection of its own. */
    ask_value(&w, READ, alice, "SELECT 's' FROM pg_sleep(0.2)", "s");
    for (unsigned i = 0; i < 6; i++)
        ask(&w, &asks[i], READ, alice, "SELECT 's' FROM pg_sleep(0.2)", NULL);
    ask_wait(&w, asks, 6);
    pg_pool_state(w.pool, &now);
    assert_true(now.open > 2);
    do {
        world_turn(&w);
        pg_pool_state(w.pool, &now);
    } while (now.open != 2);
    world_idle(&w, 100);
    pg_pool_state(w.pool, &now);
    assert_int_equal(now.open, 2);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 0);
    world_close(&w);
}

/* ---- one budget, two workers ---- */

struct worker {
    pthread_t thread;
    struct world w;
    struct ask asks[12];
    struct pg_budget *budget;
    unsigned open_max;
    unsigned budget_max;
    atomic_bool go_on;
};

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct world *w = &worker->w;
    struct pg_pool_state now;

    for (unsigned i = 0; i < 12; i++)
        ask(w, &worker->asks[i], 0, alice, "SELECT 's' FROM pg_sleep(0.02)", NULL);
    for (unsigned left = 120; left;) {
        unsigned open = atomic_load(&worker->budget->open);

        world_turn(w);
        pg_pool_state(w->pool, &now);
        worker->open_max = now.open > worker->open_max ? now.open : worker->open_max;
        worker->budget_max = open > worker->budget_max ? open : worker->budget_max;
        for (unsigned i = 0; i < 12 && left; i++) {
            if (!worker->asks[i].is_done)
                continue;
            left--;
            if (left >= 12)
                ask_again(&worker->asks[i]);
            else
                worker->asks[i].is_done = false;
        }
    }
    return NULL;
}

static void test_shared_budget(void **state)
{
    static struct worker workers[2];
    struct pg_budget budget = {.max = 6, .min = 2, .workers = 2};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        world_init(&workers[i].w, &cluster, "app");
        workers[i].budget = &budget;
        workers[i].w.metrics = hs_metrics_new();
        workers[i].w.setup.metrics = workers[i].w.metrics;
        workers[i].w.setup.budget = &budget;
        workers[i].w.setup.slow_query = 10 * HS_MS;
        world_open(&workers[i].w);
    }
    /* One alone takes all but what is the other's own. */
    work(&workers[0]);
    assert_int_equal(workers[0].open_max, 4);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_in_range(workers[i].open_max, 2, 4);
        assert_true(workers[i].budget_max <= 6);
        world_close(&workers[i].w);
    }
    assert_int_equal(atomic_load(&budget.open), 0);
    assert_int_equal(atomic_load(&budget.lent), 0);
}

/* ---- memory ---- */

static void ask_six(struct world *w, struct ask *asks)
{
    for (unsigned i = 0; i < 6; i++)
        ask(w, &asks[i], i == 5 ? 0 : READ, alice,
            i % 2 ? "SELECT 'right'" : "SELECT 'right'::text", NULL);
}

/* Answers must come whatever fails, at the latest when there is memory again. True = something failed. */
static bool short_of_memory(struct world *w, uint64_t n, void (*arm)(uint64_t n))
{
    static struct ask asks[6];
    struct hs_err err;
    bool failed = false;
    hs_us until;

    arm(n);
    if (pg_pool_new(&w->setup, &w->pool, &err)) {
        hs_mem_fail_at(0);
        assert_int_equal(err.status, HS_E_MEMORY);
        w->pool = NULL;
        return true;
    }
    ask_six(w, asks);
    until = hs_now_us() + 10 * HS_MS;
    for (unsigned i = 0; i < 6;) {
        world_turn(w);
        if (!failed && hs_mem_count() >= n && hs_now_us() > until) {
            failed = true;
            hs_mem_fail_at(0);
        }
        i += asks[i].is_done;
    }
    failed |= hs_mem_count() >= n;
    hs_mem_fail_at(0);
    for (unsigned i = 0; i < 6; i++) {
        if (!asks[i].err.status)
            assert_string_equal(asks[i].value, "right");
        else
            assert_int_equal(asks[i].err.status, HS_E_MEMORY);
        assert_true(failed || !asks[i].err.status);
    }
    world_close_pool(w);
    return failed;
}

static void test_no_memory(void **state)
{
    void (*const arms[])(uint64_t n) = {hs_mem_fail_at, hs_mem_fail_only};
    struct world w;

    (void)state;
    world_init(&w, &cluster, "app");
    w.setup.retry_min = w.setup.retry_max = 5 * HS_MS;
    for (size_t i = 0; i < HS_LEN(arms); i++) {
        uint64_t n = 1;

        while (short_of_memory(&w, n, arms[i]))
            n++;
        print_message("%llu allocations made to fail\n", (unsigned long long)n - 1);
        assert_in_range(n, 20, 1000);
    }
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_backend),
        cmocka_unit_test(test_write_is_never_repeated),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_blip_is_ridden_out),
        cmocka_unit_test(test_state_of_an_outage),
        cmocka_unit_test(test_names_are_resolved),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_lifetime_and_idling),
        cmocka_unit_test(test_shared_budget),
        cmocka_unit_test(test_no_memory),
    };
    int failed;

    alice = hs_identity_new(HS_STR("alice"), HS_STR("{\"sub\":\"alice\"}"), false);
    pg_cluster_make(&cluster);
    pg_cluster_sql(&cluster, "CREATE ROLE app LOGIN; CREATE ROLE alice; GRANT alice TO app;"
                             "CREATE TABLE counted (n int); GRANT ALL ON counted TO alice");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_cluster_remove(&cluster);
    hs_identity_unref(alice);
    return failed;
}
