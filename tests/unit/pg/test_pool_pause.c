/* SPDX-License-Identifier: Apache-2.0 */
/* Pause and resume: nobody notices that the database was switched. */
#include "pg/loan_world.h"
#include "test.h"

enum { READ = PG_SHARED | PG_REPEATABLE };

static struct pg_cluster cluster;
static struct hs_identity *alice;
static struct world w;

struct answer {
    unsigned n;
    bool is_paused;
};

static void on_paused(void *arg, bool is_paused)
{
    struct answer *answer = arg;

    answer->n++;
    answer->is_paused = is_paused;
}

static void pause_for(struct answer *answer, hs_us time)
{
    *answer = (struct answer){0};
    assert_int_equal(pg_pool_pause(w.pool, hs_now_us() + time, on_paused, answer, NULL), HS_OK);
    assert_int_equal(answer->n, 0);
}

static void wait_for(const struct answer *answer)
{
    while (!answer->n)
        world_turn(&w);
}

static long connections(void)
{
    return pg_cluster_sql(&cluster, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'");
}

static int setup(void **state)
{
    (void)state;
    world_init(&w, &cluster, "app");
    w.setup.acquire_timeout = 300 * HS_MS;
    world_open(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

/* What runs is finished, what comes waits past its time limit, and the server may go meanwhile. */
static void test_switch(void **state)
{
    struct pg_pool_state now;
    struct answer answer;
    struct ask asks[6];

    (void)state;
    ask_value(&w, READ, alice, "SELECT 1", "1");
    ask(&w, &asks[0], READ, alice, "SELECT 'slept' FROM pg_sleep(0.3)", NULL);
    ask(&w, &asks[1], 0, alice, "INSERT INTO counted SELECT 1 FROM pg_sleep(0.1) RETURNING n",
        NULL);
    world_idle(&w, 30);
    pause_for(&answer, 60 * HS_SECOND);
    for (unsigned i = 2; i < 6; i++)
        ask(&w, &asks[i], i == 5 ? 0 : READ, alice, "SELECT 'after'", NULL);
    wait_for(&answer);
    assert_true(answer.is_paused);
    assert_string_equal(asks[0].value, "slept");
    assert_int_equal(world_metric(&w, HS_M_PG_PAUSED), 1);
    while (connections()) /* PostgreSQL ends a process in its own time */
        world_idle(&w, 5);
    pg_cluster_stop(&cluster, /* fast= */ true);
    world_idle(&w, 500);
    pg_pool_state(w.pool, &now);
    assert_true(now.is_paused && now.is_up);
    assert_int_equal(now.open, 0);
    assert_in_range(now.waiting, 4, 5);
    pg_cluster_start(&cluster);
    pg_pool_resume(w.pool);
    ask_wait(&w, asks, 6);
    for (unsigned i = 1; i < 6; i++)
        assert_string_equal(asks[i].value, i == 1 ? "1" : "after");
    assert_int_equal(world_metric(&w, HS_M_PG_PAUSED), 0);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECT_FAILURES), 0);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 0);
    assert_int_equal(answer.n, 1);
    assert_int_equal(pg_cluster_sql(&cluster, "SELECT count(*) FROM counted"), 1);
}

static void test_deadline(void **state)
{
    struct answer answer;
    struct ask asks[2];

    (void)state;
    ask_value(&w, READ, alice, "SELECT 1", "1");
    /* Reached: it goes on by itself. */
    pause_for(&answer, 400 * HS_MS);
    ask(&w, &asks[0], READ, alice, "SELECT 'after'", NULL);
    wait_for(&answer);
    assert_true(answer.is_paused);
    ask_wait(&w, asks, 1);
    assert_string_equal(asks[0].value, "after");
    assert_int_equal(answer.n, 1);
    /* Not reached, because something runs for longer. */
    ask(&w, &asks[0], READ, alice, "SELECT 'slept' FROM pg_sleep(0.5)", NULL);
    world_idle(&w, 20);
    pause_for(&answer, 100 * HS_MS);
    ask(&w, &asks[1], READ, alice, "SELECT 'beside'", NULL);
    wait_for(&answer);
    assert_false(answer.is_paused);
    assert_false(asks[0].is_done);
    ask_wait(&w, asks, 2);
    assert_string_equal(asks[0].value, "slept");
    assert_string_equal(asks[1].value, "beside");
}

static void test_resume_early(void **state)
{
    struct answer answer;
    struct hs_err err;
    struct ask a;

    (void)state;
    pg_pool_resume(w.pool);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    ask(&w, &a, READ, alice, "SELECT 'slept' FROM pg_sleep(0.3)", NULL);
    world_idle(&w, 50);
    pause_for(&answer, 10 * HS_SECOND);
    assert_int_equal(pg_pool_pause(w.pool, hs_now_us(), on_paused, &answer, &err), HS_E_BUSY);
    world_idle(&w, 20);
    pg_pool_resume(w.pool);
    wait_for(&answer);
    assert_false(answer.is_paused);
    assert_int_equal(answer.n, 1);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    ask_wait(&w, &a, 1);
    assert_string_equal(a.value, "slept");
}

static void test_close_while_paused(void **state)
{
    struct answer answer;
    struct ask asks[2];

    (void)state;
    ask_value(&w, READ, alice, "SELECT 1", "1");
    ask(&w, &asks[0], READ, alice, "SELECT 'slept' FROM pg_sleep(0.2)", NULL);
    world_idle(&w, 50);
    pause_for(&answer, 60 * HS_SECOND);
    ask(&w, &asks[1], READ, alice, "SELECT 1", NULL);
    world_close_pool(&w);
    assert_int_equal(answer.n, 1);
    assert_false(answer.is_paused);
    assert_string_equal(asks[0].value, "slept");
    assert_int_equal(asks[1].err.status, HS_E_SHUTDOWN);
    world_open(&w);
    pause_for(&answer, 60 * HS_SECOND);
    wait_for(&answer);
    assert_true(answer.is_paused);
    world_close_pool(&w);
    assert_int_equal(answer.n, 1);
}

/* ---- loans ---- */

/* One that is open is what runs, one that is not waits. */
static void test_loans(void **state)
{
    struct lease leases[2];
    struct answer answer;

    (void)state;
    lease_get(&w, &leases[0]);
    pause_for(&answer, 60 * HS_SECOND);
    lease_begin(&w, &leases[1]);
    world_idle(&w, 400);
    assert_int_equal(answer.n, 0);
    assert_false(leases[1].is_ready || leases[1].is_ended);
    expect_step(&leases[0], alice, "SELECT 'step'", "step");
    lease_commit(&leases[0], HS_OK);
    wait_for(&answer);
    assert_true(answer.is_paused);
    pg_pool_resume(w.pool);
    world_wait(&w, &leases[1].is_ready);
    lease_abort(&leases[1]);
    /* Given up while paused, it does not wait for the end of the pause. */
    pause_for(&answer, 60 * HS_SECOND);
    lease_begin(&w, &leases[0]);
    lease_abort(&leases[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_switch),       TEST(test_deadline),
        TEST(test_resume_early), TEST(test_close_while_paused),
        TEST(test_loans),
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
