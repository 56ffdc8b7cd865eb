/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/epoch: what begins a new epoch and what does not, on a real server with a login that has no rights; and
 * the reading of LSNs.
 */
#include <unistd.h>

#include "pg/cluster.h"
#include "test.h"

#include "pg/epoch.h"

enum { TEXT_MAX = 200 };

static struct pg_cluster cluster;

/* Reads the text on a connection of its own; waits for a server that starts again after a crash. */
static void read_text_in(const char *login, const char *database, char to[TEXT_MAX])
{
    char url[160];
    char conninfo[256];
    bool is_read = false;

    (void)pg_cluster_url(&cluster, login, url, sizeof(url));
    (void)snprintf(conninfo, sizeof(conninfo), "%s dbname=%s", url, database);
    while (!is_read) {
        PGconn *conn = PQconnectdb(conninfo);
        PGresult *result = PQexec(conn, PG_EPOCH_SQL);

        is_read = PQresultStatus(result) == PGRES_TUPLES_OK;
        if (is_read) {
            assert_int_equal(PQntuples(result), 1);
            assert_int_equal(PQnfields(result), 1);
            assert_false(PQgetisnull(result, 0, 0));
            assert_true((size_t)snprintf(to, TEXT_MAX, "%s", PQgetvalue(result, 0, 0)) < TEXT_MAX);
        } else if (PQstatus(conn) == CONNECTION_OK) {
            fail_msg("%s", PQerrorMessage(conn));
        }
        PQclear(result);
        PQfinish(conn);
        (void)usleep(10000);
    }
}

static void read_text(const char *login, char to[TEXT_MAX])
{
    read_text_in(login, "postgres", to);
}

static void test_same_on_every_connection(void **state)
{
    char first[TEXT_MAX];
    char again[TEXT_MAX];

    (void)state;
    read_text("nobody", first);
    (void)pg_cluster_sql(&cluster, "ALTER ROLE nobody SET TimeZone = 'Asia/Tokyo'");
    (void)pg_cluster_sql(&cluster, "ALTER ROLE nobody SET DateStyle = 'German'");
    (void)pg_cluster_sql(&cluster, "ALTER ROLE nobody SET extra_float_digits = -5");
    (void)pg_cluster_sql(&cluster, "CHECKPOINT; SELECT 1 FROM pg_switch_wal()");
    read_text("nobody", again);
    assert_string_equal(first, again);
    read_text("postgres", again);
    assert_string_equal(first, again);
}

static void test_clean_restart_begins_one(void **state)
{
    char first[TEXT_MAX];
    char again[TEXT_MAX];

    (void)state;
    read_text("nobody", first);
    pg_cluster_stop(&cluster, /* fast= */ true);
    pg_cluster_start(&cluster);
    read_text("nobody", again);
    assert_string_not_equal(first, again);
}

/* The postmaster lives on, so its start time says nothing. */
static void test_crash_of_a_backend_begins_one(void **state)
{
    static const char started_sql[] =
        "SELECT extract(epoch FROM pg_postmaster_start_time()) * 1000000";
    long started = pg_cluster_sql(&cluster, started_sql);
    PGconn *conn = pg_cluster_connect(&cluster, "postgres");
    PGconn *witness = pg_cluster_connect(&cluster, "postgres");
    char command[80];
    char first[TEXT_MAX];
    char again[TEXT_MAX];

    (void)state;
    read_text("nobody", first);
    /* The server's user may be another than ours, so the server kills the backend. */
    (void)snprintf(command, sizeof(command), "COPY (SELECT 1) TO PROGRAM 'kill -9 %d'",
                   PQbackendPID(conn));
    PQclear(PQexec(conn, command));
    /* The postmaster ends all others once it has noticed; before that a new connection finds the old server. */
    while (PQstatus(witness) == CONNECTION_OK)
        PQclear(PQexec(witness, "SELECT 1"));
    PQfinish(witness);
    PQfinish(conn);
    read_text("nobody", again);
    assert_string_not_equal(first, again);
    assert_int_equal(pg_cluster_sql(&cluster, started_sql), started);
}

static void test_database_is_part_of_it(void **state)
{
    char first[TEXT_MAX];
    char other[TEXT_MAX];

    (void)state;
    read_text("nobody", first);
    (void)pg_cluster_sql(&cluster, "CREATE DATABASE elsewhere");
    read_text_in("nobody", "elsewhere", other);
    assert_string_not_equal(first, other);
}

static void test_number(void **state)
{
    (void)state;
    assert_int_equal(pg_epoch(HS_STR("1 00000001 5 1.5 2.5")),
                     pg_epoch(HS_STR("1 00000001 5 1.5 2.5")));
    assert_int_not_equal(pg_epoch(HS_STR("1 00000001 5 1.5 2.5")),
                         pg_epoch(HS_STR("1 00000002 5 1.5 2.5")));
    /* The same server after a restart of all of it, and of its processes only. */
    assert_int_not_equal(pg_epoch(HS_STR("1 00000001 5 1.5 2.5")),
                         pg_epoch(HS_STR("1 00000001 5 1.6 2.5")));
    assert_int_not_equal(pg_epoch(HS_STR("1 00000001 5 1.5 2.5")),
                         pg_epoch(HS_STR("1 00000001 5 1.5 2.6")));
    assert_int_not_equal(pg_epoch(HS_STR("")), 0);
}

static void test_lsn(void **state)
{
    static const struct {
        const char *text;
        uint64_t lsn;
    } good[] = {{"0/0", 0},
                {"1/2A", 0x10000002au},
                {"00000001/0000002A", 0x10000002au},
                {"ffffffff/fFfFfFfF", UINT64_MAX},
                {"16/B374D848", 0x16b374d848u}};
    static const char *const bad[] = {"",      "/",     "1",    "1/",          "/1",
                                      "1/2/",  "1/2/3", " 1/2", "1/2 ",        "-1/2",
                                      "0x1/2", "g/1",   "1/g",  "123456789/0", "0/123456789"};
    uint64_t lsn = 7;

    (void)state;
    for (size_t i = 0; i < HS_LEN(good); i++) {
        assert_true(pg_lsn_read(hs_str(good[i].text), &lsn));
        assert_true(lsn == good[i].lsn);
    }
    lsn = 7;
    for (size_t i = 0; i < HS_LEN(bad); i++)
        assert_false(pg_lsn_read(hs_str(bad[i]), &lsn));
    assert_false(pg_lsn_read(hs_strn("1/2\0", 4), &lsn));
    assert_false(pg_lsn_read(HS_STR_NULL, &lsn));
    assert_int_equal(lsn, 7);
}

static int set_up(void **state)
{
    (void)state;
    pg_cluster_make(&cluster);
    (void)pg_cluster_sql(&cluster, "CREATE ROLE nobody LOGIN");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pg_cluster_remove(&cluster);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_on_every_connection),
        cmocka_unit_test(test_clean_restart_begins_one),
        cmocka_unit_test(test_crash_of_a_backend_begins_one),
        cmocka_unit_test(test_database_is_part_of_it),
        cmocka_unit_test(test_number),
        cmocka_unit_test(test_lsn),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
