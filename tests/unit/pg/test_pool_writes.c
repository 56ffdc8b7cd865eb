/* SPDX-License-Identifier: Apache-2.0 */
/* The truth of a write: when it is answered, when it is repeated; and what a statement may bring along. */
#include "core/hash.h"
#include "pg/pool_world.h"
#include "test.h"

enum { READ = PG_SHARED | PG_REPEATABLE };

static struct pg_cluster cluster;
static struct hs_identity *alice;
static struct hs_identity *hasty; /* alice with little time */
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
    pg_cluster_sql(&cluster, "TRUNCATE ledger, clashing, clashing_late");
    return 0;
}

static long count(const char *table)
{
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    return pg_cluster_sql(&cluster, sql);
}

static void test_affected(void **state)
{
    struct ask a;

    (void)state;
    ask(&w, &a, 0, alice, "INSERT INTO ledger SELECT generate_series(1, $1::int)", "7");
    ask_wait(&w, &a, 1);
    assert_int_equal(a.rows, 0);
    assert_int_equal(a.affected, 7);
    ask(&w, &a, 0, alice, "UPDATE ledger SET next = 1 WHERE id > 4 RETURNING id", NULL);
    ask_wait(&w, &a, 1);
    assert_int_equal(a.rows, 3);
    assert_int_equal(a.affected, 3);
    ask(&w, &a, 0, alice, "DELETE FROM ledger WHERE false", NULL);
    ask_wait(&w, &a, 1);
    assert_int_equal(a.affected, 0);
    ask(&w, &a, 0, alice, "CREATE TEMP TABLE t (n int)", NULL);
    ask_wait(&w, &a, 1);
    assert_int_equal(a.err.status, HS_OK);
    assert_int_equal(a.affected, 0);
}

/* Its rows come before COMMIT refuses them; it is said to be refused, and the next one is not. */
static void test_deferred_constraint(void **state)
{
    struct ask asks[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        ask(&w, &asks[i], 0, alice,
            i == 1 ? "INSERT INTO ledger VALUES (11, 99) RETURNING id"
                   : "INSERT INTO ledger SELECT 1 + max(id), NULL FROM (SELECT 0 id UNION ALL"
                     " SELECT id FROM ledger) x RETURNING id",
            NULL);
    ask_wait(&w, asks, 3);
    assert_int_equal(asks[0].err.status, HS_OK);
    assert_string_equal(asks[1].err.sqlstate, "23503");
    assert_int_equal(hs_err_http(&asks[1].err), 409);
    assert_int_equal(asks[1].rows, 0);
    assert_int_equal(count("ledger"), asks[2].err.status ? 1 : 2);
}

static void arm(unsigned n)
{
    char sql[64];

    (void)snprintf(sql, sizeof(sql), "ALTER SEQUENCE clashes RESTART WITH %u", 10 - n);
    pg_cluster_sql(&cluster, sql);
}

/* The table's trigger clashes as often as armed, at once or at COMMIT; a sequence outlives a rollback. */
static void clash(const char *table, unsigned n, const char *sqlstate)
{
    char sql[96];
    struct ask a;
    hs_us began = hs_now_us();

    (void)snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES ($1) RETURNING 'in'", table);
    arm(n);
    ask(&w, &a, 0, alice, sql, sqlstate);
    ask_wait(&w, &a, 1);
    assert_int_equal(count(table), a.err.status ? 0 : 1);
    if (n <= 3) {
        assert_int_equal(a.err.status, HS_OK);
        assert_string_equal(a.value, "in");
        assert_int_equal(world_metric(&w, HS_M_PG_WRITES_REPEATED), n);
        assert_true(hs_now_us() - began >= (n == 0 ? 0 : n == 1 ? 10 : n == 2 ? 30 : 70) * HS_MS);
    } else {
        assert_string_equal(a.err.sqlstate, sqlstate);
        assert_int_equal(hs_err_http(&a.err), 409);
        assert_int_equal(world_metric(&w, HS_M_PG_WRITES_REPEATED), 3);
    }
    teardown(NULL);
    setup(NULL);
}

static void test_clash_is_repeated(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 5; n++) {
        clash("clashing", n, n % 2 ? "40001" : "40P01");
        clash("clashing_late", n, n % 2 ? "40P01" : "40001");
    }
}

/* Any other error of the same class, and of a neighbour in the same turn, is not. */
static void test_nothing_else_is_repeated(void **state)
{
    struct ask asks[2];

    (void)state;
    arm(1);
    ask(&w, &asks[0], 0, alice, "INSERT INTO clashing VALUES ('40002')", NULL);
    ask(&w, &asks[1], 0, alice, "INSERT INTO ledger VALUES (1, NULL)", NULL);
    ask_wait(&w, asks, 2);
    assert_string_equal(asks[0].err.sqlstate, "40002");
    assert_int_equal(asks[1].affected, 1);
    assert_int_equal(world_metric(&w, HS_M_PG_WRITES_REPEATED), 0);
}

/* It waits for its turn when the pool closes: it is told, and was not done. */
static void test_clash_at_close(void **state)
{
    struct ask a;

    (void)state;
    arm(3);
    ask(&w, &a, 0, alice, "INSERT INTO clashing VALUES ('40001')", NULL);
    while (world_metric(&w, HS_M_PG_WRITES_REPEATED) < 2)
        world_turn(&w);
    world_close_pool(&w);
    assert_true(a.is_done);
    assert_int_equal(a.err.status, HS_E_SHUTDOWN);
    assert_int_equal(count("clashing"), 0);
}

/* Two writers that truly deadlock: both are in, none is told. */
static void test_deadlock(void **state)
{
    static const char *const sql[2] = {
        "WITH a AS (UPDATE ledger SET next = NULL WHERE id = 1 RETURNING id), b AS"
        " (SELECT pg_sleep(0.3) FROM a) SELECT bump(2) FROM b",
        "WITH a AS (UPDATE ledger SET next = NULL WHERE id = 2 RETURNING id), b AS"
        " (SELECT pg_sleep(0.3) FROM a) SELECT bump(1) FROM b"};
    struct ask asks[2];

    (void)state;
    pg_cluster_sql(&cluster, "INSERT INTO ledger VALUES (1), (2)");
    for (unsigned i = 0; i < 2; i++)
        ask(&w, &asks[i], 0, alice, sql[i], NULL);
    ask_wait(&w, asks, 2);
    for (unsigned i = 0; i < 2; i++) {
        if (asks[i].err.status)
            fail_msg("%s", asks[i].err.what);
    }
    assert_int_equal(world_metric(&w, HS_M_PG_WRITES_REPEATED), 1);
}

/* ---- time limits ---- */

static void test_statement_timeout(void **state)
{
    static const char limit[] = "SELECT current_setting('statement_timeout') || current_user";
    struct ask asks[5];

    (void)state;
    ask_value(&w, READ, alice, limit, "30salice");
    for (unsigned i = 0; i < 5; i++)
        ask(&w, &asks[i], READ, i % 2 ? hasty : alice, limit, NULL);
    ask_wait(&w, asks, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_string_equal(asks[i].value, i % 2 ? "80msalice" : "30salice");
    ask_value(&w, READ, alice, limit, "30salice");
    ask(&w, &asks[0], READ, hasty, "SELECT pg_sleep(30)", NULL);
    ask(&w, &asks[1], 0, hasty, "SELECT pg_sleep(29)", NULL);
    ask(&w, &asks[2], READ, alice, "SELECT 'slept' FROM pg_sleep(0.2)", NULL);
    ask_wait(&w, asks, 3);
    assert_string_equal(asks[0].err.sqlstate, "57014");
    assert_string_equal(asks[1].err.sqlstate, "57014");
    assert_string_equal(asks[2].value, "slept");
}

/* Reads of two identities that differ in nothing but time are not one. */
static void test_timeout_is_part_of_identity(void **state)
{
    (void)state;
    assert_false(hs_identity_eq(alice, hasty));
}

/* More time than the pool's own: it is not given up for hung. */
static void test_patience(void **state)
{
    struct hs_identity *patient = hs_identity_new(HS_STR("alice"), HS_STR("{}"), false);

    (void)state;
    patient->statement_timeout_ms = 20000;
    world_remake(&w, /* max= */ 0);
    w.setup.statement_timeout = w.setup.close_timeout = 50 * HS_MS;
    world_open(&w);
    ask_value(&w, READ, patient, "SELECT 'slept' FROM pg_sleep(0.5)", "slept");
    ask_value(&w, 0, patient, "SELECT 'slept' FROM pg_sleep(0.5)", "slept");
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 0);
    hs_identity_unref(patient);
}

/* ---- comments ---- */

static const char SEEN[] = "SELECT substring(query FROM '/[*].*') FROM pg_stat_activity"
                           " WHERE pid = pg_backend_pid()";

static void ask_commented(struct ask *a, unsigned flags, const char *sql, struct hs_str comment)
{
    ask_make(&w, a, flags, alice, sql, NULL);
    a->query.comment = comment;
    ask_again(a);
}

static void test_comment(void **state)
{
    struct ask asks[4];

    (void)state;
    ask_value(&w, READ, alice, SEEN, "(null)");
    /* One by one: within a transaction pg_stat_activity stays what it was at the first look. */
    for (unsigned i = 0; i < 4; i++) {
        ask_commented(&asks[i], i == 3 ? 0 : READ, SEEN,
                      i % 2 ? HS_STR("traceparent='00-ab-cd-01'") : HS_STR("route='%2Fapi'"));
        ask_wait(&w, &asks[i], 1);
        assert_string_equal(asks[i].value,
                            i % 2 ? "/*traceparent='00-ab-cd-01'*/" : "/*route='%2Fapi'*/");
    }
    assert_int_equal(world_metric(&w, HS_M_PG_PREPARES), 1);
    ask_value(&w, READ, alice, SEEN, "(null)");
    /* Once more where it came to the session that the write had and that was cleaned. */
    assert_in_range(world_metric(&w, HS_M_PG_PREPARES), 1, 2);
}

/* Whatever was let through: no comment ends before its end. */
static void test_comment_is_only_a_comment(void **state)
{
    const struct hs_str bad[] = {HS_STR("*/ ; DROP TABLE ledger; /*"), HS_STR("a*"),
                                 HS_STR("a\0b")};
    struct ask a;

    (void)state;
    for (size_t i = 0; i < HS_LEN(bad); i++) {
        ask_commented(&a, READ, SEEN, bad[i]);
        ask_wait(&w, &a, 1);
        assert_string_equal(a.value, "(null)");
    }
}

static void test_comment_and_error(void **state)
{
    struct ask asks[3];

    (void)state;
    ask_commented(&asks[0], READ, "SELECT 'fine'", HS_STR("a='1'"));
    ask_commented(&asks[1], READ, "SELECT 1 / (SELECT 0)", HS_STR("a='2'"));
    ask_commented(&asks[2], READ, "SELECT 'fine'", HS_STR("a='3'"));
    ask_wait(&w, asks, 3);
    assert_string_equal(asks[0].value, "fine");
    assert_string_equal(asks[1].err.sqlstate, "22012");
    assert_string_equal(asks[2].value, "fine");
}

/* They would be gathered into one statement, which no comment of one of them could name. */
static void test_commented_are_not_gathered(void **state)
{
    static const struct pg_gather gather = {.sql = {{0}}};
    struct ask asks[8];

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        ask_make(&w, &asks[i], READ, alice, "SELECT $1::int", "7");
        asks[i].query.gather = &gather;
        asks[i].query.comment = HS_STR("a='1'");
        ask_again(&asks[i]);
    }
    ask_wait(&w, asks, 8);
    for (unsigned i = 0; i < 8; i++)
        assert_string_equal(asks[i].value, "7");
    assert_int_equal(world_metric(&w, HS_M_PG_GATHERED), 0);
}

/* A tidy write costs no cleaning, and what it leaves is gone before anybody could ask. */
static void test_tidy(void **state)
{
    struct ask a;
    char pid[sizeof(a.value)];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        ask(&w, &a, PG_TIDY, alice,
            "INSERT INTO numbered DEFAULT VALUES RETURNING pg_backend_pid()", NULL);
        ask_wait(&w, &a, 1);
        assert_int_equal(a.err.status, HS_OK);
        if (i)
            assert_string_equal(a.value, pid);
        (void)snprintf(pid, sizeof(pid), "%s", a.value);
    }
    assert_int_equal(world_metric(&w, HS_M_PG_PREPARES), 1);
    ask(&w, &a, PG_REPEATABLE, alice, "SELECT lastval()", NULL);
    ask_wait(&w, &a, 1);
    assert_string_equal(a.err.sqlstate, "55000");
    /* One that failed leaves a value too. */
    ask(&w, &a, PG_TIDY, alice, "INSERT INTO numbered (n) SELECT nextval('numbered_n_seq') / 0",
        NULL);
    ask_wait(&w, &a, 1);
    assert_string_equal(a.err.sqlstate, "22012");
    ask(&w, &a, 0, alice, "SELECT lastval()", NULL);
    ask_wait(&w, &a, 1);
    assert_string_equal(a.err.sqlstate, "55000");
}

static const struct pg_prelude *prelude_of(struct pg_prelude *to, const char *sql, bool rolls_back)
{
    static const char *const value[] = {"set before"};

    *to = (struct pg_prelude){.rolls_back = rolls_back};
    to->step[to->n++] = (struct pg_prelude_step){
        .sql = HS_STR("SELECT pg_catalog.set_config('test.word', $1, true)"),
        .params = value,
        .n_params = 1};
    if (sql)
        to->step[to->n++] = (struct pg_prelude_step){.sql = hs_str(sql)};
    return to;
}

/* In its transaction and for that time only, and as its caller; an error of one is the statement's. */
static void test_prelude(void **state)
{
    static const char read[] = "SELECT current_user || ' ' ||"
                               " coalesce(nullif(current_setting('test.word', true), ''), 'unset')";
    struct pg_prelude prelude;
    struct ask asks[3];

    (void)state;
    for (unsigned i = 0; i < HS_LEN(asks); i++) {
        ask_make(&w, &asks[i], i ? 0 : PG_REPEATABLE, alice, read, NULL);
        asks[i].query.prelude = i == 1 ? NULL : prelude_of(&prelude, NULL, false);
        ask_again(&asks[i]);
    }
    ask_wait(&w, asks, HS_LEN(asks));
    assert_string_equal(asks[0].value, "alice set before");
    assert_string_equal(asks[1].value, "alice unset");
    assert_string_equal(asks[2].value, "alice set before");
    for (unsigned i = 0; i < 2; i++) {
        ask_make(&w, &asks[i], 0, alice, "INSERT INTO ledger VALUES (7, NULL) RETURNING id", NULL);
        asks[i].query.prelude = i ? NULL : prelude_of(&prelude, "SELECT 1 / 0", false);
        ask_again(&asks[i]);
    }
    ask_wait(&w, asks, 2);
    assert_string_equal(asks[0].err.sqlstate, "22012");
    assert_int_equal(asks[1].affected, 1);
    assert_int_equal(count("ledger"), 1);
}

/* Its answer is as if it had been committed; nothing stays, neither after an error, and the session goes on. */
static void test_rolls_back(void **state)
{
    static const char *const sql[] = {"INSERT INTO ledger VALUES (8, NULL) RETURNING id",
                                      "INSERT INTO ledger VALUES (1 / (SELECT 0), NULL)",
                                      "INSERT INTO ledger VALUES (9, NULL) RETURNING id"};
    struct pg_prelude prelude;
    struct ask asks[3];

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < HS_LEN(asks); i++) {
            ask_make(&w, &asks[i], round ? PG_TIDY : 0, alice, sql[i], NULL);
            asks[i].query.prelude = prelude_of(&prelude, NULL, true);
            ask_again(&asks[i]);
        }
        ask_wait(&w, asks, HS_LEN(asks));
        assert_string_equal(asks[0].value, "8");
        assert_string_equal(asks[1].err.sqlstate, "22012");
        assert_string_equal(asks[2].value, "9");
        assert_int_equal(count("ledger"), 0);
    }
    ask_value(&w, 0, alice, "INSERT INTO ledger VALUES (10, NULL) RETURNING id", "10");
    assert_int_equal(count("ledger"), 1);
}

static void test_reads_do_not_write(void **state)
{
    struct ask a;

    (void)state;
    ask(&w, &a, PG_REPEATABLE, alice, "INSERT INTO ledger VALUES (1)", NULL);
    ask_wait(&w, &a, 1);
    assert_string_equal(a.err.sqlstate, "25006");
    assert_int_equal(hs_err_http(&a.err), 405);
    ask(&w, &a, 0, alice, "INSERT INTO ledger VALUES (1)", NULL);
    ask_wait(&w, &a, 1);
    assert_int_equal(a.err.status, HS_OK);
}

static void make_schema(void)
{
    pg_cluster_sql(
        &cluster,
        "CREATE ROLE app LOGIN; CREATE ROLE alice; GRANT alice TO app;"
        "GRANT pg_read_all_stats TO alice;"
        "GRANT TEMP ON DATABASE postgres TO PUBLIC; CREATE SEQUENCE clashes MAXVALUE 1000;"
        "GRANT ALL ON SEQUENCE clashes TO alice;"
        "CREATE TABLE ledger (id int PRIMARY KEY, next int REFERENCES ledger"
        " DEFERRABLE INITIALLY DEFERRED); GRANT ALL ON ledger TO alice;"
        "CREATE TABLE clashing (sqlstate text); CREATE TABLE clashing_late (sqlstate text);"
        "GRANT ALL ON clashing, clashing_late TO alice");
    pg_cluster_sql(
        &cluster,
        "CREATE TABLE numbered (n serial); GRANT ALL ON numbered, numbered_n_seq TO alice;"
        "CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('clashes') < 10 THEN"
        "   RAISE EXCEPTION 'clash' USING ERRCODE = NEW.sqlstate;"
        " END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER clash BEFORE INSERT ON clashing FOR EACH ROW EXECUTE FUNCTION clash();"
        "CREATE CONSTRAINT TRIGGER clash AFTER INSERT ON clashing_late DEFERRABLE"
        " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION clash();"
        "CREATE FUNCTION bump(n int) RETURNS void LANGUAGE sql AS"
        " $$ UPDATE ledger SET next = NULL WHERE id = n $$");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_affected),
        TEST(test_deferred_constraint),
        TEST(test_clash_is_repeated),
        TEST(test_nothing_else_is_repeated),
        TEST(test_clash_at_close),
        TEST(test_deadlock),
        TEST(test_statement_timeout),
        TEST(test_timeout_is_part_of_identity),
        TEST(test_patience),
        TEST(test_comment),
        TEST(test_comment_is_only_a_comment),
        TEST(test_comment_and_error),
        TEST(test_commented_are_not_gathered),
        TEST(test_tidy),
        TEST(test_prelude),
        TEST(test_rolls_back),
        TEST(test_reads_do_not_write),
    };
    int failed;

    alice = hs_identity_new(HS_STR("alice"), HS_STR("{\"sub\":\"alice\"}"), false);
    hasty = hs_identity_new(HS_STR("alice"), HS_STR("{\"sub\":\"alice\"}"), false);
    hasty->statement_timeout_ms = 80;
    pg_cluster_make(&cluster);
    make_schema();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_cluster_remove(&cluster);
    hs_identity_unref(alice);
    hs_identity_unref(hasty);
    return failed;
}
