/* SPDX-License-Identifier: Apache-2.0 */
/* Connections lent to one request: steps, identities, cursors, hygiene, and who gets one. */
#include "pg/loan_world.h"
#include "test.h"

enum { READ = PG_SHARED | PG_REPEATABLE };

static struct pg_cluster cluster;
static struct hs_identity *alice;
static struct hs_identity *bob;
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

/* ---- what it is for ---- */

static void test_commit(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    lease_get(&w, &lease);
    assert_string_equal(
        take_step(&lease, &a, alice, "INSERT INTO ledger VALUES ($1) RETURNING id", "1"), "1");
    (void)take_step(&lease, &a, alice, "INSERT INTO ledger SELECT generate_series(2, 6)", NULL);
    assert_int_equal(a.affected, 5);
    assert_int_equal(a.rows, 0);
    expect_step(&lease, alice, "SELECT count(*) FROM ledger", "6");
    expect_step(&lease, alice, "SELECT current_setting('transaction_isolation')", "read committed");
    assert_int_equal(ledger(), 0);
    lease_commit(&lease, HS_OK);
    assert_int_equal(ledger(), 6);
    ask_value(&w, READ, bob, "SELECT current_user::text", "bob");
}

static void test_abort(void **state)
{
    struct lease lease;

    (void)state;
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (1) RETURNING id", "1");
    lease_abort(&lease);
    assert_int_equal(ledger(), 0);
    /* While it begins, and while it waits. */
    lease_begin(&w, &lease);
    while (world_metric(&w, HS_M_PG_LOANS) == 0)
        world_turn(&w);
    lease_abort(&lease);
    lease_begin(&w, &lease);
    lease_abort(&lease);
    assert_false(lease.is_ready);
    assert_int_equal(world_metric(&w, HS_M_PG_LOANS), 0);
    assert_int_equal(world_metric(&w, HS_M_PG_LOANS_WAITING), 0);
}

static void test_read_only(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    lease_make(&w, &lease);
    lease.loan.is_read_only = true;
    assert_int_equal(pg_loan_begin(w.pool, &lease.loan, NULL), HS_OK);
    world_wait(&w, &lease.is_ready);
    (void)take_step(&lease, &a, alice, "INSERT INTO ledger VALUES (1)", NULL);
    assert_string_equal(a.err.sqlstate, "25006");
    lease_abort(&lease);
}

/* Each step runs as whoever it names, whatever ran before; no one is the login role. */
static void test_identities(void **state)
{
    static const char me[] = "SELECT current_user || current_setting('request.jwt.claims')";
    struct lease lease;
    struct ask a;

    (void)state;
    lease_get(&w, &lease);
    expect_step(&lease, alice, me, "alice{\"sub\":\"alice\"}");
    expect_step(&lease, NULL, me, "app{}");
    expect_step(&lease, bob, me, "bob{\"sub\":\"bob\"}");
    expect_step(&lease, bob, "SELECT hijack()", "done");
    expect_step(&lease, bob, me, "bob{\"sub\":\"bob\"}");
    expect_step(&lease, bob, "SELECT set_config('role', 'alice', true)", "alice");
    expect_step(&lease, bob, me, "bob{\"sub\":\"bob\"}");
    (void)take_step(&lease, &a, bob, "SELECT secret FROM hidden", NULL);
    assert_string_equal(a.err.sqlstate, "42501");
    lease_abort(&lease);
    ask_value(&w, READ, bob, me, "bob{\"sub\":\"bob\"}");
}

/* What runs before a step's statement holds for it, a change of role too, and for nothing behind it. */
static void test_prelude_of_a_step(void **state)
{
    static const char me[] = "SELECT current_user || ' ' || current_setting('test.word', true)";
    const struct pg_prelude narrows = {
        .step = {{.sql = HS_STR("SELECT pg_catalog.set_config('test.word', 'set', true)")},
                 {.sql = HS_STR("SELECT pg_catalog.set_config('role', 'bob', true)")}},
        .n = 2};
    const struct pg_prelude fails = {.step = {{.sql = HS_STR("SELECT 1 / 0")}}, .n = 1};
    struct lease lease;
    struct ask a;

    (void)state;
    lease_get(&w, &lease);
    ask_make(&w, &a, 0, alice, me, NULL);
    a.query.prelude = &narrows;
    pg_loan_run(&lease.loan, &a.query);
    ask_wait(&w, &a, 1);
    assert_string_equal(a.value, "bob set");
    expect_step(&lease, alice, me, "alice set");
    ask_make(&w, &a, 0, alice, "INSERT INTO ledger VALUES (3) RETURNING id", NULL);
    a.query.prelude = &fails;
    pg_loan_run(&lease.loan, &a.query);
    ask_wait(&w, &a, 1);
    assert_string_equal(a.err.sqlstate, "22012");
    assert_int_equal(a.rows, 0);
    lease_abort(&lease);
}

/* A role that may not be taken is an error of the step, and of the configuration. */
static void test_context_fails_closed(void **state)
{
    struct hs_identity *nobody = hs_identity_new(HS_STR("nobody"), HS_STR("{}"), false);
    struct lease lease;
    struct ask a;

    (void)state;
    lease_get(&w, &lease);
    (void)take_step(&lease, &a, nobody, "SELECT 1", NULL);
    assert_int_equal(a.err.status, HS_E_PG_ERROR);
    assert_int_equal(hs_err_http(&a.err), 500);
    assert_int_equal(a.rows, 0);
    lease_abort(&lease);
    hs_identity_unref(nobody);
}

static void test_statement_timeout(void **state)
{
    struct hs_identity *hasty = hs_identity_new(HS_STR("alice"), HS_STR("{}"), false);
    struct lease lease;
    struct ask a;

    (void)state;
    hasty->statement_timeout_ms = 50;
    lease_get(&w, &lease);
    expect_step(&lease, alice, "SELECT current_setting('statement_timeout')", "30s");
    (void)take_step(&lease, &a, hasty, "SELECT pg_sleep(30)", NULL);
    assert_string_equal(a.err.sqlstate, "57014");
    lease_abort(&lease);
    hs_identity_unref(hasty);
}

static void test_cursor(void **state)
{
    char expected[16];
    struct lease lease;
    struct ask a;
    size_t rows = 0;

    (void)state;
    lease_make(&w, &lease);
    lease.loan.is_read_only = true;
    assert_int_equal(pg_loan_begin(w.pool, &lease.loan, NULL), HS_OK);
    world_wait(&w, &lease.is_ready);
    (void)take_step(&lease, &a, alice,
                    "DECLARE c NO SCROLL CURSOR FOR SELECT g FROM generate_series(1, $1::int) g",
                    "1000");
    assert_int_equal(a.err.status, HS_OK);
    do {
        (void)take_step(&lease, &a, alice, "FETCH 300 FROM c", NULL);
        assert_int_equal(a.err.status, HS_OK);
        assert_int_equal(a.affected, a.rows);
        (void)snprintf(expected, sizeof(expected), "%zu", rows + 1);
        if (a.rows)
            assert_string_equal(a.value, expected);
        rows += a.rows;
    } while (a.rows);
    assert_int_equal(rows, 1000);
    lease_commit(&lease, HS_OK);
}

/* ---- errors ---- */

static void test_error_in_a_step(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (1) RETURNING id", "1");
    (void)take_step(&lease, &a, alice, "SELECT 1 / 0", NULL);
    assert_string_equal(a.err.sqlstate, "22012");
    assert_int_equal(hs_err_http(&a.err), 400);
    (void)take_step(&lease, &a, alice, "SELECT 1", NULL);
    assert_string_equal(a.err.sqlstate, "25P02");
    /* COMMIT of what failed is a ROLLBACK, and said to be. */
    lease_commit(&lease, HS_E_PG_ERROR);
    assert_string_equal(lease.err.sqlstate, "25P02");
    assert_int_equal(ledger(), 0);
    ask_value(&w, READ, alice, "SELECT 1", "1");
}

static void test_deferred_constraint(void **state)
{
    struct lease lease;

    (void)state;
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (2, 99) RETURNING id", "2");
    lease_commit(&lease, HS_E_PG_ERROR);
    assert_string_equal(lease.err.sqlstate, "23503");
    assert_int_equal(hs_err_http(&lease.err), 409);
    assert_int_equal(ledger(), 0);
    ask_value(&w, READ, alice, "SELECT 1", "1");
}

static void test_too_many_parameters(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    lease_get(&w, &lease);
    ask_make(&w, &a, 0, alice, "SELECT 1", NULL);
    a.query.n_params = UINT16_MAX + 1;
    pg_loan_run(&lease.loan, &a.query);
    ask_wait(&w, &a, 1);
    assert_int_equal(a.err.status, HS_E_LIMIT);
    expect_step(&lease, alice, "SELECT 1", "1");
    lease_commit(&lease, HS_OK);
}

/* ---- hygiene ---- */

/* `ended` comes before the cleaning is through. */
static void wait_until_idle(void)
{
    struct pg_pool_state now;

    do {
        world_turn(&w);
        pg_pool_state(w.pool, &now);
    } while (now.busy);
}

static void test_session_is_cleaned(void **state)
{
    static const char pid[] = "SELECT pg_backend_pid()";
    struct lease lease;
    char before[16];
    struct ask a;

    (void)state;
    world_remake(&w, 2);
    world_open(&w);
    for (unsigned round = 0; round < 4; round++) {
        bool replaces_statements = round > 1;

        lease_get(&w, &lease);
        (void)snprintf(before, sizeof(before), "%s", take_step(&lease, &a, alice, pid, NULL));
        expect_step(&lease, alice,
                    "SELECT set_config('my.secret', 'x', false) FROM pg_advisory_lock(7)", "x");
        expect_step(&lease, alice, "CREATE TEMP TABLE numbers AS SELECT 'mine'::text AS n", "");
        expect_step(&lease, alice, "LISTEN gossip", "");
        expect_step(&lease, alice, "DECLARE kept CURSOR WITH HOLD FOR SELECT 1", "");
        if (replaces_statements) {
            expect_step(&lease, alice, "PREPARE left_behind AS SELECT 1", "");
            expect_step(&lease, alice, "SELECT hijack()", "done");
        }
        if (round % 2)
            lease_abort(&lease);
        else
            lease_commit(&lease, HS_OK);
        wait_until_idle();
        lease_get(&w, &lease);
        /* Where a statement of ours may have been replaced, the session is not used again. */
        (void)take_step(&lease, &a, bob, pid, NULL);
        assert_int_equal(strcmp(a.value, before) != 0, replaces_statements);
        for (unsigned i = 0; i < 2; i++) {
            struct hs_identity *who = i ? NULL : bob;

            expect_step(&lease, who, "SELECT coalesce(current_setting('my.secret', true), '')", "");
            expect_step(&lease, who, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
                        "0");
            expect_step(&lease, who, "SELECT n FROM numbers WHERE n = 1", "1");
            expect_step(&lease, who, "SELECT count(*) FROM pg_listening_channels()", "0");
            expect_step(&lease, who,
                        "SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_behind'",
                        "0");
            expect_step(&lease, who, "SELECT count(*) FROM pg_cursors WHERE name = 'kept'", "0");
        }
        lease_commit(&lease, HS_OK);
        ask_value(&w, READ, bob, "SELECT current_user::text", "bob");
    }
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 2);
}

/* ---- who gets a connection ---- */

static void test_one_is_left(void **state)
{
    struct lease leases[3];
    struct pg_pool_state now;

    (void)state;
    world_remake(&w, 3);
    world_open(&w);
    for (unsigned i = 0; i < 3; i++)
        lease_begin(&w, &leases[i]);
    world_wait(&w, &leases[0].is_ready);
    world_wait(&w, &leases[1].is_ready);
    for (unsigned i = 0; i < 20; i++)
        ask_value(&w, READ, alice, "SELECT 1", "1");
    assert_false(leases[2].is_ready);
    pg_pool_state(w.pool, &now);
    assert_int_equal(now.open, 3);
    assert_int_equal(now.busy, 2);
    assert_int_equal(now.waiting, 1);
    assert_int_equal(world_metric(&w, HS_M_PG_LOANS), 2);
    assert_int_equal(world_metric(&w, HS_M_PG_LOANS_WAITING), 1);
    lease_abort(&leases[0]);
    world_wait(&w, &leases[2].is_ready);
    lease_abort(&leases[1]);
    lease_commit(&leases[2], HS_OK);
}

static void test_smallest_pool(void **state)
{
    struct lease lease;

    (void)state;
    world_remake(&w, 1);
    w.setup.acquire_timeout = 100 * HS_MS;
    world_open(&w);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    lease_begin(&w, &lease);
    world_wait(&w, &lease.is_ended);
    assert_int_equal(lease.err.status, HS_E_PG_ACQUIRE);
    assert_non_null(strstr(lease.err.why, "always kept"));
    ask_value(&w, READ, alice, "SELECT 1", "1");
}

/* Under a steady stream of reads, and beside slow statements that would take whatever is idle. */
static void test_load_does_not_starve(void **state)
{
    static struct ask reads[200];
    static struct ask slow[6];
    unsigned got = 0;
    struct lease lease;

    (void)state;
    world_remake(&w, 3);
    world_open(&w);
    ask_value(&w, READ, alice, "SELECT 's' FROM pg_sleep(0.06)", "s");
    for (unsigned i = 0; i < HS_LEN(reads); i++)
        ask(&w, &reads[i], READ, i % 2 ? alice : bob, "SELECT n FROM numbers WHERE n = 3", NULL);
    for (unsigned i = 0; i < HS_LEN(slow); i++)
        ask(&w, &slow[i], READ, alice, "SELECT 's' FROM pg_sleep(0.06)", NULL);
    lease_begin(&w, &lease);
    while (got < 10) {
        world_turn(&w);
        for (unsigned i = 0; i < HS_LEN(reads); i++) {
            if (reads[i].is_done)
                ask_again(&reads[i]);
        }
        for (unsigned i = 0; i < HS_LEN(slow); i++) {
            if (slow[i].is_done)
                ask_again(&slow[i]);
        }
        assert_false(lease.is_ended && lease.err.status);
        if (lease.is_ended) {
            got++;
            lease_begin(&w, &lease);
        } else if (lease.is_ready && !lease.loan.is_ending) {
            pg_loan_abort(&lease.loan);
        }
    }
    world_wait(&w, &lease.is_ready);
    lease_abort(&lease);
    ask_wait(&w, reads, HS_LEN(reads));
    ask_wait(&w, slow, HS_LEN(slow));
}

static void test_queue_is_bounded(void **state)
{
    struct lease leases[3];
    struct hs_err err;

    (void)state;
    world_remake(&w, 2);
    w.setup.queue_max = 2;
    world_open(&w);
    lease_begin(&w, &leases[0]);
    lease_begin(&w, &leases[1]);
    lease_make(&w, &leases[2]);
    assert_int_equal(pg_loan_begin(w.pool, &leases[2].loan, &err), HS_E_BUSY);
    world_wait(&w, &leases[0].is_ready);
    lease_abort(&leases[0]);
    world_wait(&w, &leases[1].is_ready);
    lease_abort(&leases[1]);
}

static void make_schema(void)
{
    pg_cluster_sql(&cluster,
                   "CREATE ROLE app LOGIN; CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE nobody;"
                   "GRANT alice, bob TO app; GRANT TEMP ON DATABASE postgres TO PUBLIC;"
                   "CREATE TABLE numbers AS SELECT n FROM generate_series(1, 100) n;"
                   "GRANT SELECT ON numbers TO PUBLIC; CREATE TABLE hidden (secret text);"
                   "CREATE TABLE ledger (id int PRIMARY KEY, next int REFERENCES ledger"
                   " DEFERRABLE INITIALLY DEFERRED); GRANT ALL ON ledger TO alice;"
                   "GRANT SELECT ON ledger TO bob");
    /* Swaps what the session has prepared for statements that make the next caller alice. */
    pg_cluster_sql(
        &cluster,
        "CREATE FUNCTION hijack() RETURNS text LANGUAGE plpgsql AS $$ DECLARE s record; BEGIN"
        " FOR s IN SELECT name FROM pg_prepared_statements WHERE name LIKE 'hs_context%' LOOP"
        "   EXECUTE 'DEALLOCATE ' || s.name;"
        "   EXECUTE 'PREPARE ' || s.name || '(text, text) AS SELECT WHERE"
        "     set_config(''role'', ''alice'', true) IS NULL';"
        " END LOOP;"
        " RETURN 'done'; END $$");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_commit),
        TEST(test_abort),
        TEST(test_read_only),
        TEST(test_identities),
        TEST(test_prelude_of_a_step),
        TEST(test_context_fails_closed),
        TEST(test_statement_timeout),
        TEST(test_cursor),
        TEST(test_error_in_a_step),
        TEST(test_deferred_constraint),
        TEST(test_too_many_parameters),
        TEST(test_session_is_cleaned),
        TEST(test_one_is_left),
        TEST(test_smallest_pool),
        TEST(test_load_does_not_starve),
        TEST(test_queue_is_bounded),
    };
    int failed;

    alice = hs_identity_new(HS_STR("alice"), HS_STR("{\"sub\":\"alice\"}"), false);
    bob = hs_identity_new(HS_STR("bob"), HS_STR("{\"sub\":\"bob\"}"), false);
    pg_cluster_make(&cluster);
    make_schema();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_cluster_remove(&cluster);
    hs_identity_unref(alice);
    hs_identity_unref(bob);
    return failed;
}
