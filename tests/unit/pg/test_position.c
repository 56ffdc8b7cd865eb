/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Epochs of connections and positions of writes. Where a commit truly ends is what a replication slot says of
 * it; what happens between a commit and its position is arranged by replacing PostgreSQL's own function.
 */
#include <fcntl.h>
#include <unistd.h>

#include "core/hash.h"
#include "pg/loan_world.h"
#include "pg/pool_int.h"
#include "test.h"

enum { READ = PG_SHARED | PG_REPEATABLE, EPOCHS_MAX = 16 };

static struct pg_cluster cluster;
static struct hs_identity *alice;
static struct world w;
static uint64_t epochs[EPOCHS_MAX];
static unsigned connections;

static void on_connected(void *ctx, uint64_t epoch)
{
    assert_ptr_equal(ctx, &w);
    assert_true(connections < EPOCHS_MAX);
    epochs[connections++] = epoch;
}

static void open_with(bool with_positions)
{
    w.setup.with_positions = with_positions;
    w.setup.connected = on_connected;
    w.setup.connected_ctx = &w;
    connections = 0;
    world_open(&w);
}

static int setup(void **state)
{
    (void)state;
    world_init(&w, &cluster, "app");
    open_with(/* with_positions= */ true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&w);
    pg_cluster_sql(&cluster, "TRUNCATE ledger, clashing");
    return 0;
}

static void reopen(unsigned max, bool with_positions)
{
    world_remake(&w, max);
    open_with(with_positions);
}

static void wait_for_connections(unsigned n)
{
    hs_us until = hs_now_us() + WAIT_MAX_MS * HS_MS;

    while (connections < n) {
        world_turn(&w);
        assert_true(hs_now_us() < until);
    }
}

/* Empties the slot; the end of the last commit in it. */
static uint64_t last_commit(void)
{
    return (uint64_t)pg_cluster_sql(
        &cluster, "SELECT max(lsn) - '0/0' FROM pg_logical_slot_get_changes('truth', NULL, NULL)");
}

static uint64_t inserted(void)
{
    return (uint64_t)pg_cluster_sql(&cluster, "SELECT pg_current_wal_insert_lsn() - '0/0'");
}

static void do_write(struct ask *a, unsigned flags, const char *sql)
{
    ask(&w, a, flags, alice, sql, NULL);
    ask_wait(&w, a, 1);
}

/* ---- what a position covers ---- */

static void expect_position(uint64_t epoch, uint64_t position, uint64_t commit)
{
    assert_true(commit != 0);
    assert_true(position >= commit);
    assert_true(position <= inserted());
    assert_true(epoch != 0);
    assert_int_equal(epoch, epochs[0]);
}

static void test_writes(void **state)
{
    static const unsigned flags[] = {PG_TIDY, 0, PG_TIDY, 0};
    uint64_t before = 0;

    (void)state;
    (void)last_commit();
    for (size_t i = 0; i < HS_LEN(flags); i++) {
        char sql[96];
        struct ask a;
        uint64_t commit;

        (void)snprintf(sql, sizeof(sql), "INSERT INTO ledger VALUES (%zu) RETURNING 'in'", i);
        do_write(&a, flags[i], sql);
        assert_string_equal(a.value, "in");
        commit = last_commit();
        expect_position(a.query.epoch, a.query.position, commit);
        assert_true(commit > before);
        before = commit;
    }
}

/* Visible long before it is flushed: only the insert position covers it. */
static void test_asynchronous_commit(void **state)
{
    struct ask a;
    struct lease lease;

    (void)state;
    (void)last_commit();
    do_write(&a, 0, "SELECT careless(1)");
    pg_cluster_sql(&cluster, "CHECKPOINT");
    expect_position(a.query.epoch, a.query.position, last_commit());
    lease_get(&w, &lease);
    expect_step(&lease, alice, "SELECT careless(2)", "2");
    lease_commit(&lease, HS_OK);
    pg_cluster_sql(&cluster, "CHECKPOINT");
    expect_position(lease.loan.epoch, lease.loan.position, last_commit());
}

/* The default changed while the session was there: a tidy write is asynchronous then. */
static void test_asynchronous_since_a_reload(void **state)
{
    struct ask a;

    (void)state;
    wait_for_connections(2);
    pg_cluster_sql(&cluster, "ALTER SYSTEM SET synchronous_commit = off");
    pg_cluster_sql(&cluster, "SELECT pg_reload_conf()");
    do {
        do_write(&a, READ, "SELECT current_setting('synchronous_commit')");
    } while (strcmp(a.value, "off") != 0);
    (void)last_commit();
    do_write(&a, PG_TIDY, "INSERT INTO ledger VALUES (1)");
    pg_cluster_sql(&cluster, "CHECKPOINT");
    expect_position(a.query.epoch, a.query.position, last_commit());
    pg_cluster_sql(&cluster, "ALTER SYSTEM RESET synchronous_commit");
    pg_cluster_sql(&cluster, "SELECT pg_reload_conf()");
}

static void test_loans(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    (void)last_commit();
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (1) RETURNING id", "1");
    (void)take_step(&lease, &a, alice, "INSERT INTO ledger VALUES (2) RETURNING id", NULL);
    assert_int_equal(a.query.epoch, epochs[0]);
    assert_int_equal(a.query.position, 0);
    lease_commit(&lease, HS_OK);
    expect_position(lease.loan.epoch, lease.loan.position, last_commit());
    /* Given up, and refused by COMMIT. */
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (3) RETURNING id", "3");
    lease_abort(&lease);
    assert_int_equal(lease.loan.position, 0);
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (4, 99) RETURNING id", "4");
    lease_commit(&lease, HS_E_PG_ERROR);
    assert_int_equal(lease.loan.position, 0);
    lease_make(&w, &lease);
    lease.loan.is_read_only = true;
    assert_int_equal(pg_loan_begin(w.pool, &lease.loan, NULL), HS_OK);
    world_wait(&w, &lease.is_ready);
    expect_step(&lease, alice, "SELECT count(*) FROM ledger", "2");
    lease_commit(&lease, HS_OK);
    assert_int_equal(lease.loan.position, 0);
    assert_int_equal(lease.loan.epoch, epochs[0]);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 0);
}

/* Errors have none, whenever they come; a write that is repeated has that of the time it succeeded. */
static void test_errors(void **state)
{
    struct ask a;

    (void)state;
    do_write(&a, PG_TIDY, "INSERT INTO ledger VALUES ('x')");
    assert_string_equal(a.err.sqlstate, "22P02");
    assert_int_equal(a.query.position, 0);
    do_write(&a, PG_TIDY, "INSERT INTO ledger VALUES (1, 99)"); /* at COMMIT */
    assert_string_equal(a.err.sqlstate, "23503");
    assert_int_equal(a.query.position, 0);
    pg_cluster_sql(&cluster, "ALTER SEQUENCE clashes RESTART WITH 8");
    (void)last_commit();
    do_write(&a, 0, "INSERT INTO clashing VALUES ('40001')");
    assert_int_equal(a.err.status, HS_OK);
    assert_int_equal(world_metric(&w, HS_M_PG_WRITES_REPEATED), 2);
    expect_position(a.query.epoch, a.query.position, last_commit());
}

/* ---- reads ---- */

static void make_gather(struct pg_gather *to)
{
    for (size_t i = 0; i < PG_GATHER_SIZES; i++) {
        static char texts[PG_GATHER_SIZES][512];
        size_t n = (size_t)snprintf(texts[i], sizeof(texts[i]),
                                    "SELECT id FROM keyed WHERE id = ANY (ARRAY[$1");

        for (size_t k = 2; k <= (size_t)2 << i; k++)
            n += (size_t)snprintf(texts[i] + n, sizeof(texts[i]) - n, ", $%zu", k);
        (void)snprintf(texts[i] + n, sizeof(texts[i]) - n, "]::int[])");
        to->sql[i] = hs_str(texts[i]);
        to->sql_hash[i] = hs_hash(to->sql[i]);
    }
}

static void test_reads(void **state)
{
    static const char ONE[] = "SELECT id FROM keyed WHERE id = $1";
    struct pg_gather gather = {.key_column = 0};
    struct ask asks[6];

    (void)state;
    make_gather(&gather);
    wait_for_connections(2);
    for (size_t i = 0; i < HS_LEN(asks); i++) {
        if (i < 3) {
            ask(&w, &asks[i], READ, alice, ONE, i == 0 ? "1" : i == 1 ? "2" : "77");
            asks[i].query.gather = &gather;
        } else {
            ask(&w, &asks[i], i < 5 ? READ : PG_REPEATABLE, alice, "SELECT 1", NULL);
        }
    }
    ask_wait(&w, asks, HS_LEN(asks));
    assert_int_equal(world_metric(&w, HS_M_PG_GATHERED), 3);
    assert_int_equal(asks[0].rows, 1);
    assert_int_equal(asks[2].rows, 0);
    for (size_t i = 0; i < HS_LEN(asks); i++) {
        assert_int_equal(asks[i].query.epoch, epochs[0]);
        assert_int_equal(asks[i].query.position, 0);
    }
}

/* ---- between the commit and its position ---- */

/*
 * A built-in function is found by its number whatever it is made to be, so another one takes its name. (The
 * question for the epoch calls it too.)
 */
static void replace_one(const char *name, const char *body)
{
    char sql[512];

    (void)snprintf(sql, sizeof(sql), "ALTER FUNCTION pg_catalog.%s() RENAME TO %s_true", name,
                   name);
    pg_cluster_sql(&cluster, sql);
    (void)snprintf(sql, sizeof(sql),
                   "CREATE FUNCTION pg_catalog.%s() RETURNS pg_lsn LANGUAGE plpgsql AS"
                   " $$ BEGIN IF current_query() NOT LIKE '%%walfile%%' THEN %s; END IF;"
                   " RETURN '0/1'; END $$",
                   name, body);
    pg_cluster_sql(&cluster, sql);
}

/* From now on the question does that first, and its answer is 1. */
static void replace(const char *body)
{
    replace_one("pg_current_wal_insert_lsn", body);
    replace_one("pg_current_wal_flush_lsn", body);
    reopen(/* max= */ 2, /* with_positions= */ true);
    wait_for_connections(2);
}

static int restore(void **state)
{
    pg_cluster_sql(&cluster, "DROP FUNCTION pg_catalog.pg_current_wal_insert_lsn();"
                             "DROP FUNCTION pg_catalog.pg_current_wal_flush_lsn();"
                             "ALTER FUNCTION pg_catalog.pg_current_wal_insert_lsn_true()"
                             " RENAME TO pg_current_wal_insert_lsn;"
                             "ALTER FUNCTION pg_catalog.pg_current_wal_flush_lsn_true()"
                             " RENAME TO pg_current_wal_flush_lsn");
    return teardown(state);
}

static void wait_for_gate(void)
{
    hs_us until = hs_now_us() + WAIT_MAX_MS * HS_MS;

    while (!pg_cluster_sql(&cluster,
                           "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'")) {
        world_idle(&w, 5);
        assert_true(hs_now_us() < until);
    }
}

/* Its rows are there, others see what it wrote, and it is not answered. */
static void test_answered_when_it_is_there(void **state)
{
    PGconn *gate = pg_cluster_connect(&cluster, "postgres");
    struct lease lease;
    struct ask a;

    (void)state;
    replace("PERFORM pg_catalog.pg_advisory_xact_lock(7)");
    for (unsigned flags = 0; flags <= PG_TIDY; flags += PG_TIDY) {
        (void)pg_cluster_exec(gate, "SELECT 1 FROM pg_advisory_lock(7)");
        ask(&w, &a, flags, alice, "INSERT INTO ledger SELECT 1 + count(*) FROM ledger", NULL);
        wait_for_gate();
        assert_int_equal(pg_cluster_sql(&cluster, "SELECT count(*) FROM ledger"), 1 + flags / 4);
        world_idle(&w, 20);
        assert_false(a.is_done);
        (void)pg_cluster_exec(gate, "SELECT 1 FROM pg_advisory_unlock(7)");
        ask_wait(&w, &a, 1);
        assert_int_equal(a.err.status, HS_OK);
        assert_int_equal(a.affected, 1);
        assert_int_equal(a.query.position, 1);
    }
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (9) RETURNING id", "9");
    (void)pg_cluster_exec(gate, "SELECT 1 FROM pg_advisory_lock(7)");
    pg_loan_commit(&lease.loan);
    wait_for_gate();
    assert_int_equal(pg_cluster_sql(&cluster, "SELECT count(*) FROM ledger"), 3);
    pg_loan_abort(&lease.loan); /* too late */
    world_idle(&w, 20);
    assert_false(lease.is_ended);
    (void)pg_cluster_exec(gate, "SELECT 1 FROM pg_advisory_unlock(7)");
    world_wait(&w, &lease.is_ended);
    assert_int_equal(lease.err.status, HS_OK);
    assert_int_equal(lease.loan.position, 1);
    PQfinish(gate);
}

/* Nobody is told that the outcome is not known: it is. */
static void test_lost_behind_the_commit(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    replace("PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())");
    for (unsigned flags = 0; flags <= PG_TIDY; flags += PG_TIDY) {
        do_write(&a, flags, "INSERT INTO ledger SELECT 1 + count(*) FROM ledger RETURNING id");
        assert_int_equal(a.err.status, HS_OK);
        assert_string_equal(a.value, flags ? "2" : "1");
        assert_int_equal(a.query.position, 0);
        assert_int_equal(a.query.epoch, epochs[0]);
        assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 1 + flags / 4);
    }
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (9) RETURNING id", "9");
    lease_commit(&lease, HS_OK);
    assert_int_equal(lease.loan.position, 0);
    assert_int_equal(lease.loan.epoch, epochs[0]);
    assert_int_equal(pg_cluster_sql(&cluster, "SELECT count(*) FROM ledger"), 3);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 3);
}

/* As on a server in recovery, or without the privilege. */
static void test_refused(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    replace("RAISE EXCEPTION 'recovery is in progress' USING ERRCODE = '40001'");
    for (unsigned i = 0; i < 4; i++) {
        do_write(&a, i % 2 ? PG_TIDY : 0,
                 "INSERT INTO ledger SELECT 1 + count(*) FROM ledger RETURNING 'in'");
        assert_int_equal(a.err.status, HS_OK);
        assert_string_equal(a.value, "in");
        assert_int_equal(a.query.position, 0);
    }
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (9) RETURNING id", "9");
    lease_commit(&lease, HS_OK);
    assert_int_equal(lease.loan.position, 0);
    assert_int_equal(pg_cluster_sql(&cluster, "SELECT count(*) FROM ledger"), 5);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 0);
    assert_int_equal(world_metric(&w, HS_M_PG_WRITES_REPEATED), 0);
    assert_true(atomic_load(&w.budget.position_warned));
}

/* What a function did to our question shows at the next tidy write, which is not failed for it. */
static void test_question_was_lost(void **state)
{
    struct ask a;

    (void)state;
    reopen(/* max= */ 1, /* with_positions= */ true);
    do_write(&a, 0, "SELECT forget_position()");
    assert_true(a.query.position != 0);
    do_write(&a, PG_TIDY, "INSERT INTO ledger VALUES (1) RETURNING 'in'");
    assert_string_equal(a.value, "in");
    assert_int_equal(a.query.position, 0);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 1);
    do_write(&a, PG_TIDY, "INSERT INTO ledger VALUES (2)");
    assert_true(a.query.position != 0);
}

/* ... and one put in its place never answers. */
static void test_question_was_replaced(void **state)
{
    struct ask a;

    (void)state;
    reopen(/* max= */ 1, /* with_positions= */ true);
    do_write(&a, 0, "SELECT forget_position(), lie_about_position()");
    assert_int_equal(a.err.status, HS_OK);
    assert_true(a.query.position > 1);
    do_write(&a, PG_TIDY, "INSERT INTO ledger VALUES (1)");
    assert_true(a.query.position > 1);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 1);
}

/* ---- epochs ---- */

static uint64_t epoch_of_new_pool(unsigned max)
{
    reopen(max, /* with_positions= */ true);
    wait_for_connections(max);
    for (unsigned i = 1; i < max; i++)
        assert_int_equal(epochs[i], epochs[0]);
    assert_true(epochs[0] != 0);
    return epochs[0];
}

static void test_epochs(void **state)
{
    uint64_t first = epoch_of_new_pool(4);
    uint64_t later;

    (void)state;
    assert_int_equal(epoch_of_new_pool(1), first);
    pg_cluster_stop(&cluster, /* fast= */ true);
    pg_cluster_start(&cluster);
    later = epoch_of_new_pool(2);
    assert_true(later != first);
    pg_cluster_stop(&cluster, /* fast= */ false);
    pg_cluster_start(&cluster);
    first = epoch_of_new_pool(2);
    assert_true(later != first);
}

static void test_epoch_cannot_be_read(void **state)
{
    struct ask a;

    (void)state;
    pg_cluster_sql(&cluster, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
    reopen(/* max= */ 2, /* with_positions= */ true);
    wait_for_connections(2);
    assert_int_equal(epochs[0] | epochs[1], 0);
    assert_true(atomic_load(&w.budget.epoch_warned));
    do_write(&a, PG_TIDY, "INSERT INTO ledger VALUES (1) RETURNING 'in'");
    assert_string_equal(a.value, "in");
    assert_int_equal(a.query.epoch | a.query.position, 0);
    /* What stands before the question was not undone with it. */
    ask_value(&w, READ, alice, "SELECT current_setting('default_text_search_config')",
              "pg_catalog.simple");
    pg_cluster_sql(&cluster, "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC");
}

/* A session that a standby began goes on after its promotion, in an epoch that it does not know. */
static void test_promotion(void **state)
{
    char signal[96];
    struct lease lease;
    struct ask a;
    uint64_t standby;

    (void)state;
    (void)snprintf(signal, sizeof(signal), "%s/data/standby.signal", cluster.dir);
    pg_cluster_stop(&cluster, /* fast= */ true);
    assert_int_equal(close(open(signal, O_CREAT | O_WRONLY, 0666)), 0);
    pg_cluster_start(&cluster);
    standby = epoch_of_new_pool(4);
    do_write(&a, READ, "SELECT pg_is_in_recovery()");
    assert_string_equal(a.value, "t");
    assert_int_equal(a.query.epoch, standby);
    lease_get(&w, &lease);
    pg_cluster_sql(&cluster, "SELECT pg_promote()");
    do_write(&a, PG_TIDY, "INSERT INTO ledger VALUES (1) RETURNING 'in'");
    assert_string_equal(a.value, "in");
    assert_int_equal(a.query.epoch | a.query.position, 0);
    lease_commit(&lease, HS_OK);
    assert_int_equal(lease.loan.epoch | lease.loan.position, 0);
    wait_for_connections(6);
    assert_true(epochs[4] != 0 && epochs[4] != standby);
    assert_int_equal(epochs[5], epochs[4]);
    /* A connection that was idle all the while knows no better until it is used. */
    for (unsigned i = 2; i < 6; i++) {
        do_write(&a, PG_TIDY, "INSERT INTO ledger SELECT 1 + count(*) FROM ledger");
        assert_true(a.query.epoch == (a.query.position ? epochs[4] : 0));
    }
    assert_true(a.query.position != 0);
    assert_int_equal(world_metric(&w, HS_M_PG_CONNECTIONS_LOST), 0);
}

/* ---- off ---- */

/* Sent so far on the one connection, once all of it was answered. */
static unsigned commands(void)
{
    hs_us until = hs_now_us() + WAIT_MAX_MS * HS_MS;

    while (!w.pool->n[PG_CONN_IDLE]) {
        world_turn(&w);
        assert_true(hs_now_us() < until);
    }
    return HS_CONTAINER(w.pool->conns[PG_CONN_IDLE].next, struct pg_conn, node)->tail;
}

static unsigned commands_of(unsigned flags, const char *sql)
{
    unsigned before = commands();
    struct ask a;

    do_write(&a, flags, sql);
    assert_int_equal(a.err.status, HS_OK);
    return commands() - before;
}

/* Without positions nothing is sent for them; with them, one command and one Sync, and none for a read. */
static void test_what_is_sent(void **state)
{
    static const char WRITE[] = "INSERT INTO ledger SELECT 1 + count(*) FROM ledger";
    unsigned sent[2][4];

    (void)state;
    for (unsigned on = 0; on < 2; on++) {
        reopen(/* max= */ 1, on);
        sent[on][0] = commands();
        assert_int_equal(connections, on);
        (void)commands_of(PG_TIDY, WRITE); /* prepares */
        sent[on][1] = commands_of(PG_TIDY, WRITE);
        sent[on][2] = commands_of(0, WRITE);
        sent[on][3] = commands_of(PG_TIDY, WRITE) + commands_of(READ, "SELECT 1") +
                      commands_of(PG_REPEATABLE, "SELECT 2");
    }
    assert_int_equal(sent[0][0], 4); /* two prepared, pinned, Sync */
    assert_int_equal(sent[0][1], 3); /* context, query, Sync */
    assert_int_equal(sent[1][0], 7);
    assert_int_equal(sent[1][1], 5);
    assert_int_equal(sent[1][2], sent[0][2] + 2);
    assert_int_equal(sent[1][3], sent[0][3] + 2);
}

static void test_off(void **state)
{
    struct lease lease;
    struct ask a;

    (void)state;
    reopen(/* max= */ 2, /* with_positions= */ false);
    do_write(&a, PG_TIDY, "INSERT INTO ledger VALUES (1)");
    assert_int_equal(a.query.epoch | a.query.position, 0);
    do_write(&a, READ, "SELECT 1");
    assert_int_equal(a.query.epoch, 0);
    lease_get(&w, &lease);
    expect_step(&lease, alice, "INSERT INTO ledger VALUES (2) RETURNING id", "2");
    lease_commit(&lease, HS_OK);
    assert_int_equal(lease.loan.epoch | lease.loan.position, 0);
    assert_int_equal(connections, 0);
}

static void make_schema(void)
{
    pg_cluster_sql(
        &cluster,
        "CREATE ROLE app LOGIN; CREATE ROLE alice; GRANT alice TO app;"
        "ALTER DATABASE postgres SET default_text_search_config = 'pg_catalog.simple';"
        "CREATE TABLE ledger (id int PRIMARY KEY, next int REFERENCES ledger"
        " DEFERRABLE INITIALLY DEFERRED); GRANT ALL ON ledger TO alice;"
        "CREATE TABLE keyed AS SELECT generate_series(1, 9) id; GRANT SELECT ON keyed TO alice;"
        "CREATE TABLE clashing (sqlstate text); GRANT ALL ON clashing TO alice;"
        "CREATE SEQUENCE clashes; GRANT ALL ON SEQUENCE clashes TO alice;"
        "CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('clashes') < 10 THEN"
        "   RAISE EXCEPTION 'clash' USING ERRCODE = NEW.sqlstate;"
        " END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER clash BEFORE INSERT ON clashing FOR EACH ROW EXECUTE FUNCTION clash()");
    pg_cluster_sql(&cluster,
                   "CREATE FUNCTION careless(n int) RETURNS int LANGUAGE sql AS"
                   " $$ SELECT set_config('synchronous_commit', 'off', true);"
                   "    INSERT INTO ledger VALUES (n) RETURNING id $$;"
                   "CREATE FUNCTION forget_position() RETURNS void LANGUAGE plpgsql AS"
                   " $$ BEGIN EXECUTE 'DEALLOCATE hs_position'; END $$;"
                   "CREATE FUNCTION lie_about_position() RETURNS void LANGUAGE plpgsql AS"
                   " $$ BEGIN EXECUTE 'PREPARE hs_position AS SELECT ''0/1''::pg_lsn'; END $$");
    /* What is not flushed stays so for a while. */
    pg_cluster_sql(&cluster, "ALTER SYSTEM SET wal_writer_delay = '10s'");
    pg_cluster_sql(&cluster, "ALTER SYSTEM SET wal_level = logical");
    pg_cluster_stop(&cluster, /* fast= */ true);
    pg_cluster_start(&cluster);
    pg_cluster_sql(&cluster, "SELECT 1 FROM pg_create_logical_replication_slot('truth',"
                             " 'test_decoding')");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BETWEEN(name) cmocka_unit_test_setup_teardown(name, setup, restore)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_writes),
        TEST(test_asynchronous_commit),
        TEST(test_asynchronous_since_a_reload),
        TEST(test_loans),
        TEST(test_errors),
        TEST(test_reads),
        TEST_BETWEEN(test_answered_when_it_is_there),
        TEST_BETWEEN(test_lost_behind_the_commit),
        TEST_BETWEEN(test_refused),
        TEST(test_question_was_lost),
        TEST(test_question_was_replaced),
        TEST(test_epochs),
        TEST(test_epoch_cannot_be_read),
        TEST(test_what_is_sent),
        TEST(test_off),
        TEST(test_promotion), /* without the slot from there on */
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
