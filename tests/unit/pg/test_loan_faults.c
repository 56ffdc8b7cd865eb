/* SPDX-License-Identifier: Apache-2.0 */
/* How a loan ends before its time: given up, too late, cut off, closed, without memory. */
#include "core/mem.h"
#include "pg/loan_world.h"
#include "test.h"

enum { READ = PG_SHARED | PG_REPEATABLE };

static struct pg_cluster cluster;
static struct hs_identity *alice;
static struct world w;

static int setup(void **state)
{
    (void)state;
    world_init(&w, &cluster, "app");
    world_open(&w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&w);
    pg_cluster_sql(&cluster, "TRUNCATE ledger");
    return 0;
}

static long ledger(void)
{
    return pg_cluster_sql(&cluster, "SELECT count(*) FROM ledger");
}

static void test_abort_cancels(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        lease_get(&w, &lease);
        expect_step(&lease, alice, "INSERT INTO ledger VALUES (1) RETURNING id", "1");
        ask_make(&w, &a, 0, alice, "SELECT pg_sleep(30)", NULL);
        pg_loan_run(&lease.loan, &a.query);
        if (i)
            world_wait_for_sleepers(&w, 1); /* else it is not even sent */
        pg_loan_abort(&lease.loan);
        pg_loan_abort(&lease.loan);
        world_wait(&w, &lease.is_ended);
        assert_true(a.is_done);
        assert_int_equal(a.err.status, HS_E_SHUTDOWN);
        assert_int_equal(lease.err.status, HS_OK);
    }
    assert_int_equal(ledger(), 0);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 0);
    assert_true(world_metric(&w, HS_M_PG_CANCELS) >= 2);
    /* No neighbour is hit by a cancel that comes late. */
    for (unsigned i = 0; i < 100; i++)
        ask_value(&w, READ, alice, "SELECT 1", "1");
}

/* Right behind its sending, when the cancel may be there before the statement. */
static void test_abort_at_once(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        lease_get(&w, &lease);
        ask_make(&w, &a, 0, alice, "SELECT pg_sleep(30)", NULL);
        pg_loan_run(&lease.loan, &a.query);
        for (unsigned turns = 0; turns < i % 4; turns++)
            world_turn(&w);
        lease_abort(&lease);
        assert_true(a.is_done && a.err.status);
    }
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 0);
}

static void test_lifetime(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        lease_make(&w, &lease);
        lease.loan.lifetime = 100 * HS_MS;
        assert_int_equal(pg_loan_begin(w.pool, &lease.loan, NULL), HS_OK);
        world_wait(&w, &lease.is_ready);
        ask_make(&w, &a, 0, alice, "SELECT pg_sleep(30)", NULL);
        if (i)
            pg_loan_run(&lease.loan, &a.query);
        world_wait(&w, &lease.is_ended);
        assert_int_equal(lease.err.status, HS_E_TIMEOUT);
        assert_int_equal(a.err.status, i ? HS_E_TIMEOUT : HS_OK);
    }
    /* A caller that has not heard of it yet is answered. */
    lease_make(&w, &lease);
    lease.loan.lifetime = 50 * HS_MS;
    assert_int_equal(pg_loan_begin(w.pool, &lease.loan, NULL), HS_OK);
    world_wait(&w, &lease.is_ready);
    world_wait(&w, &lease.loan.is_ending);
    ask_make(&w, &a, 0, alice, "SELECT 1", NULL);
    pg_loan_run(&lease.loan, &a.query);
    pg_loan_commit(&lease.loan);
    pg_loan_abort(&lease.loan);
    world_wait(&w, &lease.is_ended);
    assert_int_equal(lease.err.status, HS_E_TIMEOUT);
    assert_int_equal(a.err.status, HS_E_TIMEOUT);
}

static const char KILL[] =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE usename = 'app' AND state LIKE 'idle in%' OR wait_event = 'PgSleep'";

static void test_killed_backend(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    /* Between two steps. */
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (1) RETURNING id", "1");
    assert_int_equal(pg_cluster_sql(&cluster, KILL), 1);
    world_wait(&w, &lease.is_ended);
    assert_int_equal(lease.err.status, HS_E_PG_DOWN);
    /* In a step: the statement first. */
    lease_get(&w, &lease);
    ask_make(&w, &a, 0, alice, "SELECT pg_sleep(30)", NULL);
    pg_loan_run(&lease.loan, &a.query);
    world_wait_for_sleepers(&w, 1);
    assert_int_equal(pg_cluster_sql(&cluster, KILL), 1);
    world_wait(&w, &lease.is_ended);
    assert_true(a.is_done);
    assert_int_equal(a.err.status, HS_E_PG_DOWN);
    assert_int_equal(lease.err.status, HS_E_PG_DOWN);
    assert_int_equal(ledger(), 0);
    ask_value(&w, READ, alice, "SELECT 1", "1");
}

/* COMMIT was sent and no answer came: whoever says "failed" lies half of the time. */
static void test_killed_commit(void **state)
{
    struct lease lease;

    (void)state;
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO dawdling VALUES (1) RETURNING n", "1");
    pg_loan_commit(&lease.loan);
    world_wait_for_sleepers(&w, 1);
    assert_int_equal(pg_cluster_sql(&cluster, KILL), 1);
    world_wait(&w, &lease.is_ended);
    assert_int_equal(lease.err.status, HS_E_OUTCOME_UNKNOWN);
}

/* Nothing was run: a loan whose connection dies under its BEGIN gets another one. */
static void test_restart(void **state)
{
    struct lease lease;

    (void)state;
    ask_value(&w, READ, alice, "SELECT 1", "1");
    for (unsigned i = 0; i < 3; i++) {
        pg_cluster_stop(&cluster, /* fast= */ i % 2);
        pg_cluster_start(&cluster);
        lease_get(&w, &lease);
        expect_step(&lease, alice, "SELECT 1", "1");
        lease_commit(&lease, HS_OK);
    }
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

/* Who is in the middle may end in time; who waits, or takes too long, is told. */
static void test_close(void **state)
{
    struct lease leases[3];
    struct ask a;
    bool is_closed = false;

    (void)state;
    world_remake(&w, 3);
    w.setup.close_timeout = 300 * HS_MS;
    world_open(&w);
    for (unsigned i = 0; i < 3; i++)
        lease_begin(&w, &leases[i]);
    world_wait(&w, &leases[0].is_ready);
    world_wait(&w, &leases[1].is_ready);
    ask_make(&w, &a, 0, alice, "SELECT pg_sleep(30)", NULL);
    pg_loan_run(&leases[1].loan, &a.query);
    world_wait_for_sleepers(&w, 1);
    pg_pool_close(w.pool, on_closed, &is_closed);
    expect_step(&leases[0], alice, "INSERT INTO ledger VALUES (5) RETURNING id", "5");
    lease_commit(&leases[0], HS_OK);
    world_wait(&w, &is_closed);
    assert_int_equal(leases[1].err.status, HS_E_SHUTDOWN);
    assert_int_equal(a.err.status, HS_E_SHUTDOWN);
    assert_int_equal(leases[2].err.status, HS_E_SHUTDOWN);
    assert_false(leases[2].is_ready);
    pg_pool_free(w.pool);
    w.pool = NULL;
    assert_int_equal(ledger(), 1);
}

/* ---- memory ---- */

/* Whatever fails: it ends, once, and is either whole or not there. */
static bool short_of_memory(uint64_t n, void (*arm)(uint64_t n))
{
    struct lease lease;
    struct ask a;
    struct hs_err err;
    hs_us until;
    bool failed = false;

    lease_make(&w, &lease);
    lease.loan.lifetime = 60 * HS_SECOND;
    ask_make(&w, &a, 0, alice, "INSERT INTO ledger VALUES (1) RETURNING id", NULL);
    lease.first = &a.query;
    arm(n);
    if (pg_loan_begin(w.pool, &lease.loan, &err)) {
        hs_mem_fail_at(0);
        assert_int_equal(err.status, HS_E_MEMORY);
        return true;
    }
    until = hs_now_us() + 20 * HS_MS;
    while (!a.is_done && !lease.is_ended) {
        world_turn(&w);
        if (!failed && hs_now_us() > until && hs_mem_count() >= n) {
            failed = true;
            hs_mem_fail_at(0);
        }
    }
    if (!lease.is_ended) {
        ask_make(&w, &a, 0, alice, "SELECT pg_sleep(30)", NULL);
        pg_loan_run(&lease.loan, &a.query);
        world_turn(&w);
        world_turn(&w);
        pg_loan_abort(&lease.loan); /* which allocates, to cancel */
        world_idle(&w, 60);
        failed |= hs_mem_count() >= n;
        hs_mem_fail_at(0);
    }
    world_wait(&w, &lease.is_ended);
    failed |= hs_mem_count() >= n;
    hs_mem_fail_at(0);
    assert_int_equal(ledger(), 0);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    return failed;
}

static void test_no_memory(void **state)
{
    void (*const arms[])(uint64_t n) = {hs_mem_fail_at, hs_mem_fail_only};

    (void)state;
    world_remake(&w, 4);
    w.setup.retry_min = w.setup.retry_max = 5 * HS_MS;
    world_open(&w);
    for (size_t i = 0; i < HS_LEN(arms); i++) {
        uint64_t n = 1;

        while (short_of_memory(n, arms[i]))
            n++;
        print_message("%llu allocations made to fail\n", (unsigned long long)n - 1);
        assert_in_range(n, 2, 100);
    }
}

static void make_schema(void)
{
    pg_cluster_sql(&cluster,
                   "CREATE ROLE app LOGIN; CREATE ROLE alice; GRANT alice TO app;"
                   "CREATE TABLE ledger (id int PRIMARY KEY); GRANT ALL ON ledger TO alice");
    pg_cluster_sql(&cluster,
                   "CREATE TABLE dawdling (n int); GRANT ALL ON dawdling TO alice;"
                   "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
                   " $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$;"
                   "CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON dawdling"
                   " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_abort_cancels),  TEST(test_abort_at_once), TEST(test_lifetime),
        TEST(test_killed_backend), TEST(test_killed_commit), TEST(test_restart),
        TEST(test_close),          TEST(test_no_memory),
    };
    int failed;

    alice = hs_identity_new(HS_STR("alice"), HS_STR("{\"sub\":\"alice\"}"), false);
    pg_cluster_make(&cluster);
    make_schema();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_cluster_remove(&cluster);
    hs_identity_unref(alice);
    return failed;
}
