/* SPDX-License-Identifier: Apache-2.0 */
/* The pool's promises on a real PostgreSQL: batches, identities, errors, prepared statements. */
#include "core/hash.h"
#include "pg/pool_world.h"
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
    return 0;
}

static void test_values(void **state)
{
    struct ask a;

    (void)state;
    ask_value(&w, READ, alice, "SELECT 1", "1");
    ask_value(&w, READ, alice, "SELECT NULL::text", "(null)");
    ask_value(&w, READ, alice, "SELECT ''", "");
    ask(&w, &a, READ, alice, "SELECT $1::text || '!'", "it's \"quoted\"; --");
    ask_wait(&w, &a, 1);
    assert_string_equal(a.value, "it's \"quoted\"; --!");
    ask(&w, &a, READ, alice, "SELECT 1 WHERE false", NULL);
    ask_wait(&w, &a, 1);
    assert_int_equal(a.rows, 0);
    assert_int_equal(a.err.status, HS_OK);
}

/* Answers what it was asked, and in the order of asking: one batch runs on one connection. */
static void test_order(void **state)
{
    static struct ask asks[50];

    (void)state;
    ask_value(&w, READ, alice, "SELECT 1", "1");
    w.answered = 0;
    for (unsigned i = 0; i < 50; i++) {
        char number[16];

        (void)snprintf(number, sizeof(number), "%u", i);
        ask(&w, &asks[i], READ, i % 2 ? alice : bob, "SELECT $1::int", NULL);
        memcpy(asks[i].number, number, sizeof(number));
        asks[i].params[0] = asks[i].number;
        asks[i].query.n_params = 1;
    }
    ask_wait(&w, asks, 50);
    for (unsigned i = 0; i < 50; i++) {
        assert_string_equal(asks[i].value, asks[i].number);
        assert_int_equal(asks[i].place, i);
    }
}

static void test_batches_form(void **state)
{
    static struct ask asks[64];
    uint64_t queries;
    uint64_t batches;

    (void)state;
    for (unsigned i = 0; i < 64; i++)
        ask(&w, &asks[i], READ, alice, "SELECT n FROM numbers WHERE n = $1::int", "7");
    for (unsigned left = 64 * 40; left;) {
        world_turn(&w);
        for (unsigned i = 0; i < 64 && left; i++) {
            if (!asks[i].is_done)
                continue;
            assert_string_equal(asks[i].value, "7");
            left--;
            if (left >= 64)
                ask_again(&asks[i]);
        }
    }
    ask_wait(&w, asks, 64);
    queries = world_metric(&w, HS_M_PG_QUERIES);
    batches = world_metric(&w, HS_M_PG_BATCHES);
    print_message("%llu queries in %llu batches\n", (unsigned long long)queries,
                  (unsigned long long)batches);
    assert_true(queries > 10 * batches);
    assert_true(world_metric(&w, HS_M_PG_PREPARES) < 20);
}

/* Two callers in one batch, statement by statement: each sees what is its own, and nothing else. */
static void test_isolation(void **state)
{
    static struct ask asks[60];

    (void)state;
    ask_value(&w, READ, alice, "SELECT 1", "1");
    for (unsigned i = 0; i < 60; i += 3) {
        struct hs_identity *who = i % 2 ? alice : bob;

        ask(&w, &asks[i], READ, who, "SELECT string_agg(owner, ',') FROM notes", NULL);
        ask(&w, &asks[i + 1], READ, who, "SELECT current_user::text", NULL);
        ask(&w, &asks[i + 2], READ, who, "SELECT current_setting('request.jwt.claims')", NULL);
    }
    ask_wait(&w, asks, 60);
    for (unsigned i = 0; i < 60; i += 3) {
        const struct hs_identity *who = i % 2 ? alice : bob;

        assert_string_equal(asks[i].value, i % 2 ? "alice,alice" : "bob,bob");
        assert_string_equal(asks[i + 1].value, who->role.p);
        assert_string_equal(asks[i + 2].value, who->claims.p);
    }
    assert_true(world_metric(&w, HS_M_PG_BATCHES) < 20);
}

static void test_error_in_a_batch(void **state)
{
    static struct ask asks[30];

    (void)state;
    ask_value(&w, READ, alice, "SELECT 1", "1");
    for (unsigned i = 0; i < 30; i++) {
        const char *sql = i == 7    ? "SELECT (1 / (n - 1))::text FROM numbers WHERE n = 1"
                          : i == 12 ? "SELEC nonsense"
                          : i == 20 ? "SELECT secret FROM hidden"
                                    : "SELECT string_agg(owner, ',') FROM notes";

        ask(&w, &asks[i], READ, i % 2 ? alice : bob, sql, NULL);
    }
    ask_wait(&w, asks, 30);
    for (unsigned i = 0; i < 30; i++) {
        if (i == 7 || i == 12 || i == 20)
            continue;
        assert_int_equal(asks[i].err.status, HS_OK);
        assert_string_equal(asks[i].value, i % 2 ? "alice,alice" : "bob,bob");
    }
    assert_string_equal(asks[7].err.sqlstate, "22012");
    assert_int_equal(hs_err_http(&asks[7].err), 400);
    assert_string_equal(asks[12].err.sqlstate, "42601");
    assert_string_equal(asks[20].err.sqlstate, "42501");
    assert_int_equal(hs_err_http(&asks[20].err), 403);
    assert_true(world_metric(&w, HS_M_PG_QUERIES_REPEATED) > 0);
}

/* A role that may not be taken: its own error, and nobody runs in another's context. */
static void test_context_fails_closed(void **state)
{
    struct hs_identity *nobody = hs_identity_new(HS_STR("nobody"), HS_STR("{}"), false);
    static struct ask asks[9];

    (void)state;
    for (unsigned i = 0; i < 9; i++)
        ask(&w, &asks[i], READ, i % 3 == 1 ? nobody : alice, "SELECT current_user::text", NULL);
    ask_wait(&w, asks, 9);
    for (unsigned i = 0; i < 9; i++) {
        if (i % 3 == 1) {
            assert_int_equal(asks[i].err.status, HS_E_PG_ERROR);
            assert_int_equal(hs_err_http(&asks[i].err), 500);
        } else {
            assert_string_equal(asks[i].value, "alice");
        }
    }
    hs_identity_unref(nobody);
}

static void test_anonymous_is_401(void **state)
{
    struct hs_identity *anonymous = hs_identity_new(HS_STR("bob"), HS_STR("{}"), true);
    struct ask a;

    (void)state;
    ask(&w, &a, READ, anonymous, "SELECT secret FROM hidden", NULL);
    ask_wait(&w, &a, 1);
    assert_int_equal(hs_err_http(&a.err), 401);
    hs_identity_unref(anonymous);
}

static void test_changed_table(void **state)
{
    static struct ask asks[10];

    (void)state;
    pg_cluster_sql(&cluster,
                   "DROP TABLE IF EXISTS shifting; CREATE TABLE shifting AS SELECT 1 AS a;"
                   "GRANT SELECT ON shifting TO PUBLIC");
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 10; i++)
            ask(&w, &asks[i], READ, alice, "SELECT * FROM public.shifting", NULL);
        ask_wait(&w, asks, 10);
        for (unsigned i = 0; i < 10; i++) {
            if (asks[i].err.status)
                fail_msg("%s", asks[i].err.what);
            assert_string_equal(asks[i].value, "1");
        }
        pg_cluster_sql(&cluster, round % 2 ? "ALTER TABLE shifting DROP COLUMN b"
                                           : "ALTER TABLE shifting ADD COLUMN b int");
    }
}

static void test_statements_vanish(void **state)
{
    struct ask a;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        ask_value(&w, READ, alice, "SELECT 5", "5");
        ask(&w, &a, 0, alice, "DEALLOCATE ALL", NULL);
        ask_wait(&w, &a, 1);
        assert_int_equal(a.err.status, HS_OK);
    }
    ask_value(&w, READ, alice, "SELECT 5", "5");
}

static void test_exclusive(void **state)
{
    struct ask a;

    (void)state;
    ask(&w, &a, 0, alice, "INSERT INTO ledger VALUES (1, NULL) RETURNING id", NULL);
    ask_wait(&w, &a, 1);
    assert_string_equal(a.value, "1");
    assert_int_equal(pg_cluster_sql(&cluster, "SELECT count(*) FROM ledger"), 1);
    /* Its rows come before COMMIT refuses: no answer before that. */
    ask(&w, &a, 0, alice, "INSERT INTO ledger VALUES (2, 99) RETURNING id", NULL);
    ask_wait(&w, &a, 1);
    assert_string_equal(a.err.sqlstate, "23503");
    assert_int_equal(hs_err_http(&a.err), 409);
    assert_int_equal(a.rows, 0);
    ask_value(&w, READ, alice, "SELECT count(*)::text FROM ledger", "1");
    pg_cluster_sql(&cluster, "TRUNCATE ledger");
}

/* What a function leaves in its session is gone before the next caller comes. */
static void test_session_is_reset(void **state)
{
    struct ask a;

    (void)state;
    world_remake(&w, /* max= */ 0);
    w.budget.max = w.budget.min = 1;
    world_open(&w);
    ask(&w, &a, 0, alice,
        "SELECT set_config('my.secret', 'x', false), set_config('TimeZone', 'Asia/Tokyo', false),"
        " set_config('default_text_search_config', 'german', false), pg_advisory_lock(7)",
        NULL);
    ask_wait(&w, &a, 1);
    assert_int_equal(a.err.status, HS_OK);
    ask(&w, &a, 0, alice, "CREATE TEMP TABLE numbers AS SELECT 'mine' AS n", NULL);
    ask_wait(&w, &a, 1);
    assert_int_equal(a.err.status, HS_OK);
    ask_value(&w, READ, bob, "SELECT coalesce(current_setting('my.secret', true), '')", "");
    ask_value(&w, READ, bob, "SELECT current_setting('TimeZone')", "UTC");
    ask_value(&w, READ, bob, "SELECT current_setting('default_text_search_config')",
              "pg_catalog.english");
    ask_value(&w, READ, bob, "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'",
              "0");
    ask_value(&w, READ, bob, "SELECT n FROM numbers WHERE n = 1", "1");
}

/* A function that swaps the session's own prepared statements does not become the next caller. */
static void test_session_is_not_hijacked(void **state)
{
    struct ask asks[12];

    (void)state;
    world_remake(&w, /* max= */ 0);
    w.budget.max = w.budget.min = 1;
    world_open(&w);
    ask_value(&w, READ, bob, "SELECT string_agg(owner, ',') FROM notes", "bob,bob");
    for (unsigned round = 0; round < 3; round++) {
        ask(&w, &asks[0], 0, bob, "SELECT hijack()", NULL);
        for (unsigned i = 1; i < 12; i++)
            ask(&w, &asks[i], i % 4 ? READ : 0, bob, "SELECT string_agg(owner, ',') FROM notes",
                NULL);
        ask_wait(&w, asks, 12);
        assert_string_equal(asks[0].value, "done");
        for (unsigned i = 1; i < 12; i++)
            assert_string_equal(asks[i].value, "bob,bob");
    }
}

static void test_pinned_settings(void **state)
{
    (void)state;
    ask_value(&w, READ, alice, "SELECT current_setting('TimeZone')", "UTC");
    ask_value(&w, READ, alice, "SELECT current_setting('DateStyle')", "ISO, MDY");
    ask_value(&w, READ, alice, "SELECT current_setting('bytea_output')", "hex");
    ask_value(&w, READ, alice, "SELECT current_setting('extra_float_digits')", "1");
    ask_value(&w, READ, alice, "SELECT current_setting('search_path')",
              "pg_catalog,public,pg_temp");
    ask_value(&w, READ, alice, "SELECT current_setting('transaction_isolation')", "read committed");
    ask_value(&w, READ, alice, "SELECT current_setting('statement_timeout')", "30s");
    ask_value(&w, READ, alice, "SELECT current_setting('synchronous_commit')", "local");
    ask_value(&w, READ, alice, "SELECT current_setting('application_name')", "unit");
    ask_value(&w, READ, alice, "SELECT current_setting('jit')", "off");
}

static void test_eviction(void **state)
{
    struct ask a;
    char sql[64];

    (void)state;
    world_remake(&w, /* max= */ 0);
    w.budget.max = w.budget.min = 1;
    w.setup.statements_max = 8;
    world_open(&w);
    for (unsigned i = 0; i < 120; i++) {
        char expected[16];

        (void)snprintf(sql, sizeof(sql), "SELECT %u", i % 40);
        (void)snprintf(expected, sizeof(expected), "%u", i % 40);
        ask_value(&w, READ, alice, sql, expected);
    }
    /* This one, the eight and the three that each session has. */
    ask(&w, &a, READ, alice, "SELECT count(*)::text FROM pg_prepared_statements", NULL);
    ask_wait(&w, &a, 1);
    assert_in_range(strtoul(a.value, NULL, 10), 8, 12);
    assert_int_equal(world_metric(&w, HS_M_PG_PREPARES), 121);
}

/* A statement worth it is tried with force_custom_plan; its neighbours in the same Sync are not. */
static void test_plan_cache_mode(void **state)
{
    static const char slow[] = "SELECT current_setting('plan_cache_mode') FROM pg_sleep(0.01)";
    struct ask asks[3];

    (void)state;
    for (unsigned i = 0; i < 17; i++)
        ask_value(&w, READ, alice, slow, "auto");
    for (unsigned i = 0; i < 3; i++)
        ask(&w, &asks[i], READ, alice, i == 1 ? slow : "SELECT current_setting('plan_cache_mode')",
            NULL);
    ask_wait(&w, asks, 3);
    assert_string_equal(asks[0].value, "auto");
    assert_string_equal(asks[1].value, "force_custom_plan");
    assert_string_equal(asks[2].value, "auto");
    ask_value(&w, READ, alice, "SELECT current_setting('plan_cache_mode')", "auto");
}

static void test_statement_timeout(void **state)
{
    struct ask asks[3];

    (void)state;
    world_remake(&w, /* max= */ 0);
    w.setup.statement_timeout = 100 * HS_MS;
    world_open(&w);
    ask(&w, &asks[0], READ, alice, "SELECT 1", NULL);
    ask(&w, &asks[1], READ, alice, "SELECT pg_sleep(30)", NULL);
    ask(&w, &asks[2], READ, bob, "SELECT 2", NULL);
    ask_wait(&w, asks, 3);
    assert_string_equal(asks[0].value, "1");
    assert_string_equal(asks[1].err.sqlstate, "57014");
    assert_int_equal(hs_err_http(&asks[1].err), 504);
    assert_string_equal(asks[2].value, "2");
}

/* Reads go on while a slow statement sleeps, also one that the pool has not met before. */
static void test_slow_does_not_delay(void **state)
{
    struct ask slow[3];
    struct ask fast;

    (void)state;
    ask_value(&w, READ, alice, "SELECT 1", "1");
    for (unsigned round = 0; round < 3; round++) {
        unsigned reads = 0;

        for (unsigned i = 0; i < 3; i++)
            ask(&w, &slow[i], READ, alice, "SELECT 'slept' FROM pg_sleep(0.4)", NULL);
        world_idle(&w, 20);
        while (!slow[0].is_done || !slow[1].is_done) {
            ask(&w, &fast, READ, bob, "SELECT 2", NULL);
            ask_wait(&w, &fast, 1);
            assert_int_equal(fast.err.status, HS_OK);
            reads++;
        }
        print_message("%u reads beside a slow statement\n", reads);
        assert_true(reads > 20);
        ask_wait(&w, slow, 3);
        assert_string_equal(slow[2].value, "slept");
    }
}

static void test_limits(void **state)
{
    struct ask asks[3];
    struct pg_query extra;
    struct hs_err err;

    (void)state;
    world_remake(&w, /* max= */ 0);
    w.setup.queue_max = 2;
    world_open(&w);
    ask(&w, &asks[0], READ, alice, "SELECT 0", NULL);
    ask(&w, &asks[1], READ, alice, "SELECT 1", NULL);
    extra = asks[0].query;
    assert_int_equal(pg_pool_run(w.pool, &extra, &err), HS_E_BUSY);
    ask_wait(&w, asks, 2);
    extra.n_params = 65536;
    assert_int_equal(pg_pool_run(w.pool, &extra, &err), HS_E_LIMIT);
}

static void test_acquire_timeout(void **state)
{
    struct ask asks[4];

    (void)state;
    world_remake(&w, /* max= */ 0);
    w.budget.max = w.budget.min = 1;
    w.setup.acquire_timeout = 150 * HS_MS;
    world_open(&w);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    ask(&w, &asks[0], READ, alice, "SELECT 'slept' FROM pg_sleep(1)", NULL);
    world_idle(&w, 20);
    for (unsigned i = 1; i < 4; i++)
        ask(&w, &asks[i], READ, alice, "SELECT 1", NULL);
    ask_wait(&w, asks, 4);
    assert_string_equal(asks[0].value, "slept");
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(asks[i].err.status, HS_E_PG_ACQUIRE);
        assert_int_equal(hs_err_http(&asks[i].err), 503);
        assert_true(asks[i].place < asks[0].place);
    }
    assert_int_equal(world_metric(&w, HS_M_PG_ACQUIRE_TIMEOUTS), 3);
    ask_value(&w, READ, alice, "SELECT 1", "1");
}

/* What a caller that has gone had asked is not sent, unless it is a write. */
/* libpq would hold all of it. Who shares the pool goes on, and so does the next one. */
static void test_result_too_long(void **state)
{
    static const char huge[] = "SELECT repeat('x', 1000) FROM generate_series(1, 400000)";
    struct ask asks[4];

    (void)state;
    world_remake(&w, 2);
    w.setup.result_max = 1 << 20;
    world_open(&w);
    for (unsigned round = 0; round < 2; round++) {
        ask(&w, &asks[0], PG_REPEATABLE, alice, huge, NULL);
        ask(&w, &asks[1], PG_SHARED, alice, "SELECT 'a'", NULL);
        ask(&w, &asks[2], PG_REPEATABLE, alice,
            "SELECT repeat('x', 1000) FROM generate_series(1, 900)", NULL);
        ask(&w, &asks[3], 0, alice, huge, NULL);
        ask_wait(&w, asks, HS_LEN(asks));
        assert_int_equal(asks[0].err.status, HS_E_BAD_PARAMETER);
        assert_non_null(strstr(asks[0].err.what, "server.answer.max"));
        assert_string_equal(asks[1].value, "a");
        assert_int_equal(asks[2].rows, 900);
        assert_int_equal(asks[3].err.status, HS_E_OUTCOME_UNKNOWN);
    }
}

static void test_unwanted(void **state)
{
    static const char *const texts[] = {"SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4",
                                        "INSERT INTO ledger VALUES (77, 77) RETURNING id"};
    static const unsigned flags[] = {READ, READ, PG_REPEATABLE, PG_REPEATABLE, 0};
    static const bool is_gone[] = {true, false, true, false, true};
    static bool gone[HS_LEN(texts)];
    static struct ask running;
    static struct ask asks[HS_LEN(texts)];
    static struct ask fresh;
    uint64_t sent;

    (void)state;
    world_remake(&w, /* max= */ 0);
    w.budget.max = w.budget.min = 1;
    world_open(&w);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    ask(&w, &running, READ, alice, "SELECT 'slept' FROM pg_sleep(0.3)", NULL);
    world_idle(&w, 20);
    for (size_t i = 0; i < HS_LEN(texts); i++) {
        ask(&w, &asks[i], flags[i], alice, texts[i], NULL);
        asks[i].query.is_unwanted = &gone[i];
    }
    world_idle(&w, 50);
    memcpy(gone, is_gone, sizeof(gone));
    sent = world_metric(&w, HS_M_PG_QUERIES);
    ask(&w, &fresh, READ, alice, "SELECT 5", NULL); /* its caller goes in the same turn */
    fresh.query.is_unwanted = &gone[0];
    world_turn(&w);
    assert_int_equal(fresh.err.status, HS_E_SHUTDOWN);
    ask_wait(&w, &running, 1);
    ask_wait(&w, asks, HS_LEN(texts));
    for (size_t i = 0; i < HS_LEN(texts); i++) {
        bool is_dropped = is_gone[i] && flags[i];

        assert_int_equal(asks[i].err.status, is_dropped ? HS_E_SHUTDOWN : HS_OK);
        assert_int_equal(asks[i].rows, is_dropped ? 0 : 1);
    }
    assert_int_equal(hs_err_http(&asks[0].err), 499);
    assert_int_equal(world_metric(&w, HS_M_PG_QUERIES) - sent, 3);
    ask_value(&w, READ, alice, "SELECT count(*) FROM ledger WHERE id = 77", "1");
}

static void test_close(void **state)
{
    struct ask running;
    struct ask waiting;
    struct hs_err err;

    (void)state;
    ask_value(&w, READ, alice, "SELECT 1", "1");
    ask(&w, &running, READ, alice, "SELECT 'slept' FROM pg_sleep(0.2)", NULL);
    world_idle(&w, 20);
    ask(&w, &waiting, READ, alice, "SELECT 1", NULL);
    world_close(&w);
    assert_string_equal(running.value, "slept");
    assert_int_equal(waiting.err.status, HS_E_SHUTDOWN);
    setup(NULL);
    w.setup.close_timeout = 50 * HS_MS;
    world_remake(&w, /* max= */ 0);
    w.setup.close_timeout = 50 * HS_MS;
    world_open(&w);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    ask(&w, &running, READ, alice, "SELECT pg_sleep(30)", NULL);
    world_idle(&w, 20);
    world_close(&w);
    assert_int_equal(running.err.status, HS_E_SHUTDOWN);
    hs_err_clear(&err);
    setup(NULL);
}

static void make_schema(void)
{
    pg_cluster_sql(&cluster,
                   "CREATE ROLE app LOGIN; CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE nobody;"
                   "GRANT alice, bob TO app; GRANT CREATE, TEMP ON DATABASE postgres TO PUBLIC;"
                   "ALTER DATABASE postgres SET synchronous_commit = off;"
                   "ALTER DATABASE postgres SET default_text_search_config = 'pg_catalog.english'");
    pg_cluster_sql(&cluster,
                   "CREATE TABLE numbers AS SELECT n FROM generate_series(1, 1000) n;"
                   "CREATE UNIQUE INDEX ON numbers (n); GRANT SELECT ON numbers TO PUBLIC;"
                   "CREATE TABLE hidden (secret text);"
                   "CREATE TABLE ledger (id int PRIMARY KEY, next int REFERENCES ledger"
                   " DEFERRABLE INITIALLY DEFERRED); GRANT ALL ON ledger TO PUBLIC");
    pg_cluster_sql(
        &cluster,
        "CREATE TABLE notes (owner text); INSERT INTO notes VALUES ('alice'), ('bob'),"
        " ('alice'), ('bob'); ALTER TABLE notes ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON notes USING (owner = current_setting('request.jwt.claims')::json"
        " ->> 'sub'); GRANT SELECT ON notes TO alice, bob");
    (void)pg_cluster_sql(
        &cluster,
        "CREATE FUNCTION hijack() RETURNS text LANGUAGE plpgsql AS $$ DECLARE s record; BEGIN"
        " FOR s IN SELECT name FROM pg_prepared_statements WHERE name <> 'hs_pin' LOOP"
        "   EXECUTE 'DEALLOCATE ' || s.name;"
        "   IF s.name LIKE 'hs_context%' THEN"
        "     EXECUTE 'PREPARE ' || s.name || '(text, text) AS SELECT WHERE set_config(''role'', ''alice'', true)"
        " IS NULL OR set_config(''request.jwt.claims'', ''{\"sub\":\"alice\"}'', true) IS NULL';"
        "   ELSE"
        "     EXECUTE 'PREPARE ' || s.name || ' AS SELECT ''alice''::text';"
        "   END IF;"
        " END LOOP;"
        " RETURN 'done'; END $$");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_values),
        TEST(test_order),
        TEST(test_batches_form),
        TEST(test_isolation),
        TEST(test_error_in_a_batch),
        TEST(test_context_fails_closed),
        TEST(test_anonymous_is_401),
        TEST(test_changed_table),
        TEST(test_statements_vanish),
        TEST(test_exclusive),
        TEST(test_session_is_reset),
        TEST(test_session_is_not_hijacked),
        TEST(test_pinned_settings),
        TEST(test_eviction),
        TEST(test_statement_timeout),
        TEST(test_plan_cache_mode),
        TEST(test_slow_does_not_delay),
        TEST(test_limits),
        TEST(test_acquire_timeout),
        TEST(test_result_too_long),
        TEST(test_unwanted),
        TEST(test_close),
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
