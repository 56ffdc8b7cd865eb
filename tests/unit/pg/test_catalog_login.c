/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which logins may serve: each case makes one thing wrong and reads the reason. Poolers: a real PgBouncer
 * in each of its modes (Debian's package; PGBOUNCER names another binary).
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pg/catalog_world.h"
#include "test.h"

static struct catalog_world world;
static struct pg_cluster pooler; /* in the same folder, on a port of its own */

static const struct hs_str schema = {"app", 3};
static const struct hs_str viewer_only[] = {{"viewer", 6}, {"", 0}};

struct login_case {
    const char *sql; /* makes it wrong */
    const char *undo;
    const char *login;
    const char *allow;
    const char *says; /* part of what or why; NULL = accepted */
};

static const struct login_case cases[] = {
    {"SELECT 1", "SELECT 1", "plain", "", NULL},
    {"SELECT 1", "SELECT 1", "postgres", "", "it is a superuser"},
    {"SELECT 1", "SELECT 1", "postgres", "postgres", NULL},
    {"SELECT 1", "SELECT 1", "postgres", "plain", "it is a superuser"},
    {"ALTER ROLE plain BYPASSRLS", "ALTER ROLE plain NOBYPASSRLS", "plain", "", "BYPASSRLS"},
    {"ALTER ROLE plain BYPASSRLS", "ALTER ROLE plain NOBYPASSRLS", "plain", "plain", NULL},
    {"ALTER TABLE app.t OWNER TO plain", "ALTER TABLE app.t OWNER TO maker", "plain", "",
     "it owns app.t"},
    {"ALTER TABLE app.t OWNER TO plain", "ALTER TABLE app.t OWNER TO maker", "plain", "plain",
     NULL},
    {"GRANT maker TO plain", "REVOKE maker FROM plain", "plain", "", "inherits"},
    {"GRANT maker TO plain; ALTER ROLE plain NOINHERIT",
     "REVOKE maker FROM plain; ALTER ROLE plain INHERIT", "plain", "", NULL},
    {"GRANT maker TO viewer", "REVOKE maker FROM viewer", "plain", "", "above row-level"},
    {"ALTER ROLE viewer SUPERUSER", "ALTER ROLE viewer NOSUPERUSER", "plain", "",
     "the role \"viewer\""},
    {"ALTER ROLE viewer BYPASSRLS", "ALTER ROLE viewer NOBYPASSRLS", "plain", "", "BYPASSRLS"},
    {"ALTER ROLE viewer BYPASSRLS", "ALTER ROLE viewer NOBYPASSRLS", "plain", "viewer", NULL},
    {"REVOKE viewer FROM plain", "GRANT viewer TO plain", "plain", "",
     "may not become the role \"viewer\""},
    {"REVOKE viewer FROM plain", "GRANT viewer TO plain", "plain", "plain", "may not become"},
    {"ALTER ROLE viewer RENAME TO vanished", "ALTER ROLE vanished RENAME TO viewer", "plain", "",
     "does not exist"},
    {"CREATE TABLE other.mine (i int); ALTER TABLE other.mine OWNER TO plain",
     "DROP TABLE other.mine", "plain", "", NULL},
};

static hs_status read_as(const struct pg_cluster *at, const char *login, const char *allow,
                         struct hs_err *err)
{
    char url[256];
    struct pg_catalog_setup setup = catalog_world_setup(&world, login, &schema, 1);
    struct pg_catalog_reader *reader;
    struct pg_catalog *c = NULL;
    hs_status status;

    setup.url = pg_cluster_url(at, login, url, sizeof(url));
    setup.allow_login = hs_str(allow);
    setup.roles = viewer_only;
    setup.n_roles = HS_LEN(viewer_only);
    reader = catalog_world_reader(&setup);
    hs_err_clear(err);
    status = pg_catalog_read(reader, &c, err);
    pg_catalog_unref(c);
    pg_catalog_reader_free(reader);
    return status;
}

static void test_logins(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(cases); i++) {
        struct hs_err err;
        hs_status status;

        (void)pg_cluster_exec(world.owner, cases[i].sql);
        status = read_as(&world.cluster, cases[i].login, cases[i].allow, &err);
        (void)pg_cluster_exec(world.owner, cases[i].undo);
        if (status != (cases[i].says ? HS_E_PG_LOGIN : HS_OK))
            fail_msg("case %zu (%s): status %d: %s: %s", i, cases[i].sql, status, err.what,
                     err.why);
        if (cases[i].says && !strstr(err.what, cases[i].says) && !strstr(err.why, cases[i].says))
            fail_msg("case %zu: \"%s: %s\" does not say \"%s\"", i, err.what, err.why,
                     cases[i].says);
    }
}

/* The names that all_roles finds, each with a space behind it; the error's text where it is refused. */
static const char *all_roles_of(const char *allow)
{
    static char text[1000];
    struct pg_catalog_setup setup = catalog_world_setup(&world, "plain", &schema, 1);
    struct pg_catalog_reader *reader;
    struct pg_catalog *c = NULL;
    struct hs_err err;

    setup.allow_login = hs_str(allow);
    setup.roles = viewer_only;
    setup.n_roles = 1;
    setup.all_roles = true;
    reader = catalog_world_reader(&setup);
    text[0] = '\0';
    if (pg_catalog_read(reader, &c, &err))
        (void)snprintf(text, sizeof(text), "%s", err.what);
    for (size_t i = 0; c && i < c->n_roles; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s ",
                       HS_FMT(c->roles[i]));
    pg_catalog_unref(c);
    pg_catalog_reader_free(reader);
    return text;
}

/* Those that the login may become, and nobody who stands above row-level security. */
static void test_all_roles(void **state)
{
    (void)state;
    assert_string_equal(all_roles_of(""), "viewer ");
    (void)pg_cluster_exec(
        world.owner,
        "CREATE ROLE a; CREATE ROLE b; CREATE ROLE lord SUPERUSER; CREATE ROLE passer BYPASSRLS;"
        "CREATE ROLE unrelated; GRANT a, lord, passer, pg_read_all_data TO plain; GRANT b TO a;"
        "ALTER ROLE plain NOINHERIT; GRANT maker TO plain");
    assert_string_equal(all_roles_of(""), "viewer a b ");
    assert_string_equal(all_roles_of("passer"), "viewer a b passer ");
    assert_string_equal(all_roles_of("lord"), "viewer a b ");
    (void)pg_cluster_exec(
        world.owner,
        "DO $$BEGIN FOR i IN 1..61 LOOP EXECUTE format('CREATE ROLE r%s; GRANT r%s TO plain', i, i);"
        " END LOOP; END$$");
    assert_non_null(strstr(all_roles_of(""), "r61 "));
    (void)pg_cluster_exec(world.owner, "CREATE ROLE r62; GRANT r62 TO plain");
    assert_string_equal(all_roles_of(""), "the login may become more than 64 roles");
    (void)pg_cluster_exec(
        world.owner,
        "DO $$BEGIN FOR i IN 1..62 LOOP EXECUTE format('DROP ROLE r%s', i); END LOOP; END$$;"
        "REVOKE maker, pg_read_all_data FROM plain; ALTER ROLE plain INHERIT;"
        "DROP ROLE a, b, lord, passer, unrelated");
    assert_string_equal(all_roles_of(""), "viewer ");
}

static void write_config(const char *file, const char *mode, bool round_robin)
{
    FILE *f = fopen(file, "w");
    char users[128];

    assert_non_null(f);
    (void)fprintf(
        f,
        "[databases]\npostgres = host=%s port=%u\n[pgbouncer]\nunix_socket_dir = %s\nlisten_port = %u\n"
        "auth_type = trust\nauth_file = %s/users\npool_mode = %s\nunix_socket_mode = 0777\n%s\n",
        world.cluster.dir, world.cluster.port, pooler.dir, pooler.port, pooler.dir, mode,
        round_robin ? "server_round_robin = 1" : "");
    (void)fclose(f);
    (void)snprintf(users, sizeof(users), "%s/users", pooler.dir);
    f = fopen(users, "w");
    assert_non_null(f);
    (void)fputs("\"plain\" \"\"\n", f);
    (void)fclose(f);
}

static pid_t start_pooler(const char *mode, bool round_robin)
{
    const char *program = getenv("PGBOUNCER") ? getenv("PGBOUNCER") : "/usr/sbin/pgbouncer";
    char config[128];
    char quiet[] = "-q";
    char url[256];
    char *argv[] = {quiet, quiet, config, NULL};
    pid_t pid;

    (void)snprintf(config, sizeof(config), "%s/%s.ini", pooler.dir, mode);
    write_config(config, mode, round_robin);
    pid = pg_cluster_spawn(&pooler, program, argv);
    (void)pg_cluster_url(&pooler, "plain", url, sizeof(url));
    for (int i = 0; PQping(url) != PQPING_OK; i++) {
        if (i > 1000)
            fail_msg("%s does not start: install Debian's package pgbouncer, or set PGBOUNCER",
                     program);
        (void)usleep(10000);
    }
    return pid;
}

static void stop_pooler(pid_t pid)
{
    (void)kill(pid, SIGINT);
    (void)waitpid(pid, NULL, 0);
}

/* Another client keeps a server process busy and idle in turn, so that the pooler has more than one. */
static void read_behind(const char *mode, bool round_robin, hs_status expected)
{
    pid_t pid = start_pooler(mode, round_robin);
    struct hs_err err;

    for (int round = 0; round < 5; round++) {
        PGconn *busy = pg_cluster_connect(&pooler, "plain");
        hs_status status;

        (void)pg_cluster_exec(busy,
                              round % 2 && strcmp(mode, "statement") != 0 ? "BEGIN" : "SELECT 1");
        status = read_as(&pooler, "plain", "", &err);
        PQfinish(busy);
        if (status != expected)
            fail_msg("%s, round %d: status %d: %s: %s", mode, round, status, err.what, err.why);
    }
    if (expected == HS_E_PG_LOGIN)
        assert_non_null(strstr(err.what, "transaction mode"));
    stop_pooler(pid);
}

static void test_poolers(void **state)
{
    (void)state;
    pooler = world.cluster;
    pooler.port = 6432;
    read_behind("transaction", /* round_robin= */ true, HS_E_PG_LOGIN);
    read_behind("transaction", /* round_robin= */ false, HS_E_PG_LOGIN);
    read_behind("statement", /* round_robin= */ false, HS_E_PG_LOGIN);
    read_behind("session", /* round_robin= */ false, HS_OK);
}

static int set_up(void **state)
{
    (void)state;
    catalog_world_open(
        &world,
        "CREATE ROLE maker; CREATE ROLE viewer; CREATE ROLE plain LOGIN; GRANT viewer TO plain;"
        "CREATE SCHEMA app; CREATE SCHEMA other; CREATE TABLE app.t (id int);"
        "ALTER TABLE app.t OWNER TO maker");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    catalog_world_close(&world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logins),
                                       cmocka_unit_test(test_all_roles),
                                       cmocka_unit_test(test_poolers)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
