/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The change stream of a real server: what the listener is told, and in which order. The schema hasten is the one
 * that is delivered.
 */
#include <signal.h>

#include "pg/epoch.h"
#include "pg/feed_world.h"
#include "test.h"

extern const char hs_embedded_sql[];

static struct pg_cluster cluster;
static struct feed_world w;
static PGconn *admin;

static const char TABLES[] =
    "CREATE TABLE client (id int PRIMARY KEY, company int NOT NULL, name text);"
    "CREATE TABLE whole (a int, b text); ALTER TABLE whole REPLICA IDENTITY FULL;"
    "CREATE TABLE narrow (id int PRIMARY KEY, company int NOT NULL, name text);"
    "CREATE UNIQUE INDEX narrow_company ON narrow (company, id);"
    "ALTER TABLE narrow REPLICA IDENTITY USING INDEX narrow_company;"
    "CREATE TABLE naked (a int);"
    "CREATE TABLE part (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);"
    "CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (10) TO (20);"
    "CREATE ROLE feed LOGIN REPLICATION; CREATE ROLE plain LOGIN; CREATE ROLE other;"
    "CREATE TABLE moment (at timestamptz PRIMARY KEY);";

static uint32_t oid_of(const char *table)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql), "SELECT '%s'::regclass::oid", table);
    return (uint32_t)pg_cluster_exec(admin, sql);
}

static void restart_with(const char *setting)
{
    PQfinish(admin);
    (void)pg_cluster_sql(&cluster, setting);
    pg_cluster_stop(&cluster, /* fast= */ true);
    pg_cluster_start(&cluster);
    admin = pg_cluster_connect(&cluster, "postgres");
}

static int set_up(void **state)
{
    (void)state;
    pg_cluster_make(&cluster);
    admin = pg_cluster_connect(&cluster, "postgres");
    restart_with("ALTER SYSTEM SET wal_level = logical");
    (void)pg_cluster_exec(admin, hs_embedded_sql);
    (void)pg_cluster_exec(admin, TABLES);
    (void)pg_cluster_exec(admin, "SELECT hasten.allow('feed'), hasten.allow('plain')");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    PQfinish(admin);
    pg_cluster_remove(&cluster);
    return 0;
}

/* All is told: tables, fence, proof, catalog. */
static void start(void)
{
    feed_world_start(&w, &cluster, "feed", 200 * HS_MS);
    feed_wait_up(&w);
    (void)feed_wait_floor(&w, oid_of("client"));
}

static uint64_t lsn(const char *sql)
{
    PGresult *r = PQexec(admin, sql);
    uint64_t at = 0;

    assert_int_equal(PQntuples(r), 1);
    assert_true(pg_lsn_read(hs_str(PQgetvalue(r, 0, 0)), &at));
    PQclear(r);
    return at;
}

/* The change that this statement makes. */
static struct feed_event change(const char *sql, const char *text)
{
    size_t from = feed_now(&w);

    (void)pg_cluster_exec(admin, sql);
    return feed_event(&w, feed_wait_event(&w, from, FEED_CHANGE, text));
}

/* ---- tests ---- */

static void test_begin(void **state)
{
    PGresult *r;
    uint64_t epoch;

    (void)state;
    start();
    r = PQexec(admin, PG_EPOCH_SQL);
    epoch = pg_epoch(hs_str(PQgetvalue(r, 0, 0)));
    PQclear(r);
    assert_int_equal(w.epoch, epoch);
    assert_int_equal(feed_event(&w, 0).kind, FEED_BEGIN);
    /* The publication was made only now. */
    assert_true(feed_floor(&w, oid_of("client")) >= w.begun);
    assert_int_equal(feed_floor(&w, oid_of("naked")), UINT64_MAX);
    feed_wait_proof(&w, hs_now_us());
    feed_world_stop(&w);
    /* Now it is as it has to be: coherent from the beginning. */
    start();
    assert_int_equal(feed_floor(&w, oid_of("client")), w.begun);
    assert_int_equal(feed_floor(&w, oid_of("part")), w.begun);
    assert_int_equal(feed_floor(&w, oid_of("naked")), UINT64_MAX);
    feed_world_stop(&w);
}

static void test_changes(void **state)
{
    struct feed_event e;
    uint64_t before;

    (void)state;
    start();
    before = lsn("SELECT pg_current_wal_insert_lsn()");
    e = change("INSERT INTO client VALUES (1, 42, NULL)", "I 1,42,-");
    assert_int_equal(e.oid, oid_of("client"));
    assert_true(e.a > before);
    feed_wait_fence(&w, e.a);
    (void)change("UPDATE client SET name = 'x'", "U 1,42,x");
    (void)change("UPDATE client SET id = 2", "U 1,?,? > 2,42,x");
    (void)change("DELETE FROM client", "D 2,?,?");
    (void)change("INSERT INTO whole VALUES (1, 'a')", "I 1,a");
    (void)change("UPDATE whole SET b = NULL", "U 1,a > 1,-");
    (void)change("DELETE FROM whole", "D 1,-");
    (void)change("INSERT INTO narrow VALUES (1, 7, 'n')", "I 1,7,n");
    (void)change("UPDATE narrow SET name = 'm'", "U 1,7,m");
    (void)change("UPDATE narrow SET company = 8", "U 1,7,? > 1,8,m");
    (void)change("DELETE FROM narrow", "D 1,8,?");
    (void)change("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German';"
                 "INSERT INTO moment VALUES ('2026-01-02 03:04:05+09'); RESET ALL",
                 "I 2026-01-01 1");
    feed_world_stop(&w);
}

static void test_toast(void **state)
{
    (void)state;
    start();
    (void)pg_cluster_exec(admin, "ALTER TABLE whole ALTER b SET STORAGE EXTERNAL;"
                                 "ALTER TABLE client ALTER name SET STORAGE EXTERNAL;"
                                 "INSERT INTO whole VALUES (1, repeat('toast', 1000));"
                                 "INSERT INTO client VALUES (1, 42, repeat('toast', 1000))");
    (void)change("UPDATE whole SET a = 2", "U 1,toasttoastto > 2,toasttoastto");
    (void)change("UPDATE client SET company = 43", "U 1,43,?");
    (void)pg_cluster_exec(admin, "DELETE FROM whole; DELETE FROM client");
    feed_world_stop(&w);
}

static void test_truncate_and_partition(void **state)
{
    struct feed_event e;
    size_t from;

    (void)state;
    start();
    e = change("INSERT INTO part VALUES (11, 'h')", "I 11,h");
    assert_int_equal(e.oid, oid_of("part_high"));
    from = feed_wait_event(&w, 0, FEED_TABLE, NULL);
    while (feed_event(&w, from).oid != oid_of("part_high"))
        from = feed_wait_event(&w, from + 1, FEED_TABLE, NULL);
    assert_int_equal(feed_event(&w, from).b, oid_of("part"));
    from = feed_now(&w);
    (void)pg_cluster_exec(admin, "TRUNCATE part_high");
    e = feed_event(&w, feed_wait_event(&w, from, FEED_TRUNCATE, NULL));
    assert_int_equal(e.oid, oid_of("part_high"));
    feed_wait_fence(&w, e.a);
    feed_world_stop(&w);
}

static void test_identity(void **state)
{
    size_t from;

    (void)state;
    start();
    (void)feed_wait_event(&w, 0, FEED_IDENTITY, "id");
    from = feed_now(&w);
    (void)pg_cluster_exec(admin, "CREATE TABLE odd (\"a \"\"b\"\", c)\" int, d int, PRIMARY KEY (d,"
                                 " \"a \"\"b\"\", c)\"))");
    assert_int_equal(feed_event(&w, feed_wait_event(&w, from, FEED_IDENTITY, "d,a \"b\", c)")).oid,
                     oid_of("odd"));
    (void)pg_cluster_exec(admin, "DROP TABLE odd");
    feed_world_stop(&w);
}

/* A leaf that cannot be told makes its root incoherent, and one that can makes it coherent again. */
static void test_new_leaf(void **state)
{
    uint64_t floor;
    uint64_t generation;

    (void)state;
    start();
    floor = feed_floor(&w, oid_of("part"));
    generation = w.generation;
    (void)pg_cluster_exec(admin, "CREATE UNLOGGED TABLE part_more PARTITION OF part"
                                 " FOR VALUES FROM (20) TO (30)");
    feed_wait_generation(&w, generation);
    assert_true(feed_wait_floor(&w, oid_of("client")) > floor);
    while (feed_floor(&w, oid_of("client")) == UINT64_MAX || !feed_floor(&w, oid_of("part_more")))
        (void)feed_wait_floor(&w, oid_of("client"));
    assert_int_equal(feed_floor(&w, oid_of("part")), UINT64_MAX);
    (void)pg_cluster_exec(admin, "DROP TABLE part_more");
    assert_true(feed_wait_floor(&w, oid_of("part")) > floor);
    feed_world_stop(&w);
}

/* The generation is told before the position passes the DDL. */
static void test_ddl_message(void **state)
{
    struct feed_event e;
    size_t from;
    size_t catalog;
    size_t position;

    (void)state;
    start();
    from = feed_now(&w);
    e = change(
        "BEGIN; INSERT INTO client VALUES (5, 1, NULL); ALTER TABLE client ADD extra int; COMMIT",
        "I 5,1,-");
    position = from;
    do
        position = feed_wait_event(&w, position + 1, FEED_POSITION, NULL);
    while (feed_event(&w, position).a < e.a);
    catalog = feed_wait_event(&w, from, FEED_CATALOG, NULL);
    while (feed_event(&w, catalog).a == feed_event(&w, 0).a)
        catalog = feed_wait_event(&w, catalog + 1, FEED_CATALOG, NULL);
    assert_true(catalog < position);
    (void)feed_wait_floor(&w, oid_of("client"));
    (void)change("UPDATE client SET extra = 7", "U 5,1,-,7");
    (void)pg_cluster_exec(admin, "ALTER TABLE client DROP extra; DELETE FROM client");
    feed_world_stop(&w);
}

/* Nothing in the stream tells of it. */
static void test_catalog_poll(void **state)
{
    uint64_t generation;

    (void)state;
    start();
    generation = w.generation;
    (void)pg_cluster_exec(admin, "GRANT other TO plain");
    feed_wait_generation(&w, generation);
    (void)feed_wait_floor(&w, oid_of("client"));
    generation = w.generation;
    (void)pg_cluster_exec(admin, "ALTER ROLE plain SET work_mem = '5MB'");
    feed_wait_generation(&w, generation);
    feed_world_stop(&w);
}

/* Waits until something was asked and answered twice: whatever was in flight before is over. */
static void wait_polls(void)
{
    size_t i = feed_wait_event(&w, feed_now(&w), FEED_CATALOG, NULL);

    (void)feed_wait_event(&w, i + 1, FEED_CATALOG, NULL);
}

/* Inserts rows until one commit waits for the standby (the server takes the setting in its own time). */
static int hang_commit(PGconn *slow)
{
    char waits[128];
    char sql[64];

    (void)snprintf(
        waits, sizeof(waits),
        "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event = 'SyncRep'",
        PQbackendPID(slow));
    for (int id = 100;; id++) {
        (void)snprintf(sql, sizeof(sql), "INSERT INTO client VALUES (%d, 1, 'slow')", id);
        assert_true(PQsendQuery(slow, sql));
        while (PQconsumeInput(slow) && PQisBusy(slow)) {
            if (pg_cluster_exec(admin, waits))
                return id;
        }
        for (PGresult *r = PQgetResult(slow); r; r = PQgetResult(slow))
            PQclear(r);
    }
}

/* Flushed and decoded, but its transaction waits for a standby: the fence must not pass it. */
static void test_fence(void **state)
{
    PGconn *slow = pg_cluster_connect(&cluster, "postgres");
    struct feed_event e;
    struct feed_event later;
    char text[32];
    char count[64];
    size_t from;
    int id;

    (void)state;
    start();
    (void)pg_cluster_exec(admin, "SET synchronous_commit = local");
    (void)pg_cluster_exec(admin, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    (void)pg_cluster_exec(admin, "SELECT pg_reload_conf()");
    from = feed_now(&w);
    id = hang_commit(slow);
    (void)snprintf(text, sizeof(text), "I %d,1,slow", id);
    e = feed_event(&w, feed_wait_event(&w, from, FEED_CHANGE, text));
    later = change("INSERT INTO client VALUES (1, 1, 'fast')", "I 1,1,fast");
    (void)snprintf(count, sizeof(count), "SELECT count(*) FROM client WHERE id = %d", id);
    wait_polls();
    assert_true(w.position >= later.a);
    assert_int_equal(pg_cluster_exec(admin, count), 0);
    assert_true(w.fence < e.a);
    /* It is proven all the same that nothing is missing. */
    feed_wait_proof(&w, hs_now_us());
    (void)pg_cluster_exec(admin, "ALTER SYSTEM RESET synchronous_standby_names");
    (void)pg_cluster_exec(admin, "SELECT pg_reload_conf()");
    feed_wait_fence(&w, later.a);
    assert_int_equal(pg_cluster_exec(admin, count), 1);
    (void)pg_cluster_exec(admin, "DELETE FROM client; RESET ALL");
    PQfinish(slow);
    feed_world_stop(&w);
}

/* A table is not coherent before all end who wrote when it was not published. */
static void test_drain(void **state)
{
    PGconn *writer = pg_cluster_connect(&cluster, "postgres");
    struct feed_event e;
    uint64_t generation;
    size_t from;

    (void)state;
    start();
    generation = w.generation;
    from = feed_now(&w);
    (void)pg_cluster_exec(writer, "BEGIN; INSERT INTO whole VALUES (1, 'open')");
    (void)pg_cluster_exec(admin, "CREATE TABLE late (id int PRIMARY KEY)");
    feed_wait_generation(&w, generation);
    while (pg_cluster_exec(
               admin, "SELECT count(*) FROM pg_publication_rel WHERE prrelid = 'late'::regclass") ==
           0)
        ;
    wait_polls();
    wait_polls();
    assert_int_equal(feed_floor(&w, oid_of("late")), UINT64_MAX);
    (void)pg_cluster_exec(writer, "COMMIT");
    e = feed_event(&w, feed_wait_event(&w, from, FEED_CHANGE, "I 1,open"));
    assert_true(feed_wait_floor(&w, oid_of("late")) >= e.a);
    (void)pg_cluster_exec(admin, "DROP TABLE late; DELETE FROM whole");
    PQfinish(writer);
    feed_world_stop(&w);
}

/* WAL that nobody flushes does not stop the proof. */
static void test_nudge(void **state)
{
    (void)state;
    (void)pg_cluster_exec(admin, "ALTER SYSTEM SET wal_writer_delay = '10s'");
    (void)pg_cluster_exec(admin, "SELECT pg_reload_conf()");
    start();
    for (int i = 0; i < 3; i++) {
        (void)pg_cluster_exec(admin, "SELECT pg_logical_emit_message(false, 'x', 'y')");
        feed_wait_proof(&w, hs_now_us());
    }
    (void)pg_cluster_exec(admin, "ALTER SYSTEM RESET wal_writer_delay");
    (void)pg_cluster_exec(admin, "SELECT pg_reload_conf()");
    feed_world_stop(&w);
}

/* Visible, but not flushed: a proof from after the commit must wait until the stream has told of it. */
static void test_asynchronous_commit(void **state)
{
    char sql[128];
    char text[32];

    (void)state;
    (void)pg_cluster_exec(admin, "ALTER SYSTEM SET wal_writer_delay = '10s'");
    (void)pg_cluster_exec(admin, "SELECT pg_reload_conf()");
    start();
    for (int id = 1; id <= 5; id++) {
        size_t from = feed_now(&w);
        size_t i;

        (void)snprintf(sql, sizeof(sql),
                       "SET synchronous_commit = off; INSERT INTO client VALUES (%d, 9, NULL)", id);
        (void)snprintf(text, sizeof(text), "I %d,9,-", id);
        (void)pg_cluster_exec(admin, sql);
        feed_wait_proof(&w, hs_now_us());
        i = feed_now(&w);
        assert_true(feed_wait_event(&w, from, FEED_CHANGE, text) < i);
    }
    (void)pg_cluster_exec(admin, "RESET ALL; DELETE FROM client");
    (void)pg_cluster_exec(admin, "ALTER SYSTEM RESET wal_writer_delay");
    (void)pg_cluster_exec(admin, "SELECT pg_reload_conf()");
    feed_world_stop(&w);
}

/* A proof is as old as its sample, whenever the stream passes it. */
static void test_proof_time(void **state)
{
    hs_us committed;
    size_t from;
    int pid;

    (void)state;
    start();
    pid = (int)pg_cluster_exec(admin,
                               "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender'"
                               " AND application_name = 'hasten feed'");
    assert_int_equal(kill(pid, SIGSTOP), 0);
    (void)pg_cluster_exec(admin, "INSERT INTO client VALUES (1, 1, 'first')");
    /* Until no more samples are taken: there are as many as it keeps. */
    for (int i = 0; i < 5; i++)
        wait_polls();
    (void)pg_cluster_exec(admin, "INSERT INTO client VALUES (2, 1, 'second')");
    committed = hs_now_us();
    from = feed_now(&w);
    assert_int_equal(kill(pid, SIGCONT), 0);
    from = feed_wait_event(&w, from, FEED_PROOF, NULL);
    assert_true(feed_event(&w, from).a < committed);
    (void)pg_cluster_exec(admin, "DELETE FROM client");
    feed_world_stop(&w);
}

/* Many turns of the loop: no position, fence or proof of a later time in the middle of it. */
static void test_large_transaction(void **state)
{
    size_t from;
    size_t last;

    (void)state;
    start();
    from = feed_now(&w);
    (void)pg_cluster_exec(admin,
                          "INSERT INTO client SELECT i, 3, 'x' FROM generate_series(1, 9000) i");
    last = feed_wait_event(&w, from, FEED_CHANGE, "I 9000,3,x");
    from = feed_wait_event(&w, from, FEED_CHANGE, "I 1,3,x");
    assert_int_equal(feed_event(&w, from).a, feed_event(&w, last).a);
    for (size_t i = from; i < last; i++)
        assert_int_not_equal(feed_event(&w, i).kind, FEED_POSITION);
    feed_wait_fence(&w, feed_event(&w, last).a);
    (void)pg_cluster_exec(admin, "TRUNCATE client");
    feed_world_stop(&w);
}

/* A position that someone waits for, of WAL in which nothing is published; and a boundary that is asked for. */
static void test_wanted(void **state)
{
    uint64_t at;

    (void)state;
    start();
    (void)pg_cluster_exec(admin, "INSERT INTO naked VALUES (1)");
    at = lsn("SELECT pg_current_wal_flush_lsn()");
    (void)pthread_mutex_lock(&w.lock);
    w.wanted = at;
    w.is_pending = true;
    (void)pthread_mutex_unlock(&w.lock);
    pg_feed_wake(w.feed);
    (void)pthread_mutex_lock(&w.lock);
    while (w.position < at || w.is_pending)
        (void)pthread_cond_wait(&w.told, &w.lock);
    (void)pthread_mutex_unlock(&w.lock);
    feed_world_stop(&w);
}

static void test_restart(void **state)
{
    uint64_t epoch;
    uint64_t generation;
    size_t from;

    (void)state;
    start();
    epoch = w.epoch;
    generation = w.generation;
    from = feed_now(&w);
    pg_feed_restart(w.feed);
    (void)feed_wait_event(&w, from, FEED_END, "the change stream is to begin anew");
    (void)feed_wait_event(&w, from, FEED_BEGIN, NULL);
    feed_wait_up(&w);
    assert_int_equal(w.epoch, epoch);
    assert_true(w.generation > generation);
    /* Killed connections, each of the two. */
    for (int i = 0; i < 2; i++) {
        from = feed_now(&w);
        (void)pg_cluster_exec(
            admin,
            i ? "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'hasten feed' AND backend_type = 'walsender'"
              : "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'hasten feed' AND backend_type = 'client backend'");
        (void)feed_wait_event(&w, from, FEED_BEGIN, NULL);
        feed_wait_up(&w);
        assert_int_equal(w.epoch, epoch);
    }
    feed_world_stop(&w);
}

static void test_server_restart(void **state)
{
    (void)state;
    start();
    for (int is_fast = 0; is_fast < 2; is_fast++) {
        uint64_t epoch = w.epoch;
        size_t from = feed_now(&w);

        PQfinish(admin);
        pg_cluster_stop(&cluster, is_fast);
        (void)feed_wait_event(&w, from, FEED_END, NULL);
        pg_cluster_start(&cluster);
        admin = pg_cluster_connect(&cluster, "postgres");
        (void)feed_wait_event(&w, from, FEED_BEGIN, NULL);
        feed_wait_up(&w);
        assert_int_not_equal(w.epoch, epoch);
    }
    feed_world_stop(&w);
}

/* One backend crashes: the postmaster stays, its epoch does not. */
static void test_crash(void **state)
{
    uint64_t epoch;
    size_t from;
    int pid;

    (void)state;
    start();
    epoch = w.epoch;
    from = feed_now(&w);
    pid = PQbackendPID(admin);
    assert_int_equal(kill(pid, SIGKILL), 0);
    (void)feed_wait_event(&w, from, FEED_BEGIN, NULL);
    feed_wait_up(&w);
    assert_int_not_equal(w.epoch, epoch);
    PQfinish(admin);
    admin = pg_cluster_connect(&cluster, "postgres");
    feed_world_stop(&w);
}

/* The slot waits for an open writer; the feed can be stopped while it does. And then it begins. */
static void test_slot_waits(void **state)
{
    PGconn *writer = pg_cluster_connect(&cluster, "postgres");

    (void)state;
    (void)pg_cluster_exec(writer, "BEGIN; INSERT INTO whole VALUES (9, 'open')");
    for (int i = 0; i < 2; i++) {
        feed_world_start(&w, &cluster, "feed", 200 * HS_MS);
        while (pg_cluster_exec(admin, "SELECT count(*) FROM pg_replication_slots") == 0)
            ;
        assert_int_equal(feed_now(&w), 0);
        if (!i)
            feed_world_stop(&w);
    }
    (void)pg_cluster_exec(writer, "ROLLBACK");
    feed_wait_up(&w);
    PQfinish(writer);
    feed_world_stop(&w);
}

/* Begins a transaction that has a number, and returns it. */
static uint64_t open_transaction(PGconn *writer)
{
    (void)pg_cluster_exec(writer, "BEGIN");
    return (uint64_t)pg_cluster_exec(writer, "SELECT pg_current_xact_id()");
}

/* Until somebody, who makes a slot, waits for the end of that transaction. */
static void wait_for_waiter(uint64_t xid)
{
    char sql[128];

    (void)snprintf(sql, sizeof(sql),
                   "SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = '%llu'",
                   (unsigned long long)xid);
    while (pg_cluster_exec(admin, sql) == 0)
        ;
}

/*
 * A writer that came while the slot was waited for, and is there still when it is made: nobody's transaction with a
 * higher number has ended, so the first snapshot does not even list it.
 */
static void test_first_fence(void **state)
{
    PGconn *writers[3];

    (void)state;
    for (size_t i = 0; i < HS_LEN(writers); i++)
        writers[i] = pg_cluster_connect(&cluster, "postgres");
    for (size_t i = 0; i < HS_LEN(writers); i++) {
        uint64_t xid = open_transaction(writers[i]);

        if (i == 0)
            feed_world_start(&w, &cluster, "feed", 200 * HS_MS);
        else
            (void)pg_cluster_exec(writers[i - 1], "COMMIT");
        if (i + 1 < HS_LEN(writers))
            wait_for_waiter(xid);
    }
    (void)feed_wait_event(&w, 0, FEED_BEGIN, NULL);
    feed_wait_proof(&w, hs_now_us()); /* so a snapshot was asked for */
    assert_int_equal(w.fence, 0);
    (void)pg_cluster_exec(writers[2], "COMMIT");
    feed_wait_fence(&w, w.begun);
    for (size_t i = 0; i < HS_LEN(writers); i++)
        PQfinish(writers[i]);
    feed_world_stop(&w);
}

/* A server that does not answer is given up; the feed can be stopped meanwhile. */
static void test_silent_server(void **state)
{
    size_t from;
    int pid;

    (void)state;
    start();
    from = feed_now(&w);
    pid = (int)pg_cluster_exec(
        admin, "SELECT pid FROM pg_stat_activity WHERE application_name = 'hasten feed'"
               " AND backend_type = 'client backend'");
    assert_int_equal(kill(pid, SIGSTOP), 0);
    (void)feed_wait_event(&w, from, FEED_END, "PostgreSQL does not answer the change stream");
    /* It may have been stopped inside of a transaction, which the next slot waits for. */
    assert_int_equal(kill(pid, SIGCONT), 0);
    (void)feed_wait_event(&w, from, FEED_BEGIN, NULL);
    feed_wait_up(&w);
    assert_int_equal(kill(cluster.pid, SIGSTOP), 0);
    pg_feed_restart(w.feed);
    (void)feed_wait_event(&w, from, FEED_END, "the change stream is to begin anew");
    feed_world_stop(&w);
    assert_int_equal(kill(cluster.pid, SIGCONT), 0);
}

static void refused(const char *user, const char *why)
{
    feed_world_start(&w, &cluster, user, 200 * HS_MS);
    (void)feed_wait_event(&w, 0, FEED_END, why);
    assert_false(w.is_up);
    feed_world_stop(&w);
}

static void test_refused(void **state)
{
    (void)state;
    refused("plain", "the change stream's login may not replicate");
    (void)pg_cluster_exec(admin, "ALTER ROLE plain REPLICATION;"
                                 "REVOKE USAGE ON SCHEMA hasten FROM plain");
    refused("plain", "the change stream needs the schema hasten");
    refused("nobody", "cannot connect to PostgreSQL for the change stream");
    restart_with("ALTER SYSTEM SET wal_level = replica");
    refused("feed", "PostgreSQL writes no change stream");
    restart_with("ALTER SYSTEM SET wal_level = logical");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begin),          cmocka_unit_test(test_changes),
        cmocka_unit_test(test_toast),          cmocka_unit_test(test_truncate_and_partition),
        cmocka_unit_test(test_identity),       cmocka_unit_test(test_new_leaf),
        cmocka_unit_test(test_ddl_message),    cmocka_unit_test(test_catalog_poll),
        cmocka_unit_test(test_fence),          cmocka_unit_test(test_drain),
        cmocka_unit_test(test_nudge),          cmocka_unit_test(test_asynchronous_commit),
        cmocka_unit_test(test_proof_time),     cmocka_unit_test(test_large_transaction),
        cmocka_unit_test(test_wanted),         cmocka_unit_test(test_restart),
        cmocka_unit_test(test_server_restart), cmocka_unit_test(test_crash),
        cmocka_unit_test(test_slot_waits),     cmocka_unit_test(test_first_fence),
        cmocka_unit_test(test_silent_server),  cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
