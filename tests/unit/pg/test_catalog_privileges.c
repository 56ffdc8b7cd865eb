/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may read what, as a real server knows it: each way to have a privilege, and each way to lose it,
 * noticed. Each expectation is also put to the server as a statement: SET ROLE, SELECT.
 */
#include "pg/catalog.h"

#include "pg/catalog_world.h"
#include "test.h"

static struct catalog_world world;
static const struct hs_str schemas[] = {{"app", 3}, {"closed", 6}};
/* The empty name is left out, as where there is no anonymous role. */
static const struct hs_str roles[] = {{"plain", 5},  {"columns", 7}, {"", 0},    {"heir", 4},
                                      {"nobody", 6}, {"lone", 4},    {"god", 3}, {"odd \"role", 9}};
enum { PLAIN = 1, COLUMNS = 2, HEIR = 4, LONE = 16, GOD = 32, ODD = 64 };

static const char schema_sql[] =
    "CREATE ROLE plain; CREATE ROLE columns; CREATE ROLE heir IN ROLE plain; CREATE ROLE nobody;"
    "CREATE ROLE lone NOINHERIT IN ROLE plain; CREATE ROLE god IN ROLE pg_read_all_data;"
    "CREATE ROLE \"odd \"\"role\"; CREATE ROLE hasten_login LOGIN;"
    "GRANT plain, columns, heir, nobody, lone, god, \"odd \"\"role\" TO hasten_login;"
    "CREATE SCHEMA app; CREATE SCHEMA closed; GRANT USAGE ON SCHEMA app TO PUBLIC;"
    "CREATE TABLE app.whole (a int, gone int, b int); ALTER TABLE app.whole DROP COLUMN gone;"
    "GRANT SELECT ON app.whole TO plain;"
    "CREATE TABLE app.partly (a int, gone int, b int, c int); ALTER TABLE app.partly DROP COLUMN gone;"
    "GRANT SELECT ON app.partly TO plain; GRANT SELECT (a, c) ON app.partly TO columns;"
    "GRANT SELECT (c), INSERT (a, b) ON app.partly TO \"odd \"\"role\"; GRANT UPDATE ON app.partly TO nobody;"
    "CREATE TABLE app.everyone (a int, b int); GRANT SELECT (b) ON app.everyone TO PUBLIC;"
    "CREATE TABLE app.nobodys (a int); GRANT INSERT, UPDATE, DELETE ON app.nobodys TO plain;"
    "CREATE VIEW app.seen AS SELECT a FROM app.nobodys; GRANT SELECT ON app.seen TO columns;"
    "CREATE TABLE app.empty (); GRANT SELECT ON app.empty TO plain;"
    "CREATE TABLE closed.inside (a int); GRANT SELECT ON closed.inside TO plain;";

static const struct {
    const char *relation;
    const char *column; /* NULL: the relation, any column of it */
    uint64_t readers;
} expected[] = {
    {"whole", NULL, PLAIN | HEIR | GOD},
    {"whole", "a", PLAIN | HEIR | GOD},
    {"whole", "b", PLAIN | HEIR | GOD},
    {"partly", NULL, PLAIN | HEIR | GOD | COLUMNS | ODD},
    {"partly", "a", PLAIN | HEIR | GOD | COLUMNS},
    {"partly", "b", PLAIN | HEIR | GOD},
    {"partly", "c", PLAIN | HEIR | GOD | COLUMNS | ODD},
    {"everyone", NULL, 127},
    {"everyone", "a", GOD},
    {"everyone", "b", 127},
    {"nobodys", NULL, GOD},
    {"nobodys", "a", GOD},
    {"seen", NULL, GOD | COLUMNS},
    {"seen", "a", GOD | COLUMNS},
    {"empty", NULL, PLAIN | HEIR | GOD},
    {"inside", NULL, GOD}, /* pg_read_all_data holds for schemas too */
    {"inside", "a", GOD},
};

static struct pg_catalog_setup setup_of(const struct hs_str *names, size_t n_names)
{
    struct pg_catalog_setup setup = catalog_world_setup(&world, "hasten_login", schemas,
                                                        HS_LEN(schemas));

    setup.roles = names;
    setup.n_roles = n_names;
    return setup;
}

static struct pg_catalog_reader *new_reader(const struct hs_str *names, size_t n_names)
{
    struct pg_catalog_setup setup = setup_of(names, n_names);

    return catalog_world_reader(&setup);
}

static uint64_t readers_of(const struct pg_catalog *c, const char *relation, const char *column)
{
    const struct pg_relation *r = pg_catalog_relation(c, hs_str(relation));
    const struct pg_column *found = column && r ? pg_relation_column(r, hs_str(column)) : NULL;

    if (!r || (column && !found))
        fail_msg("there is no %s.%s", relation, column ? column : "");
    return found ? found->readers : r->readers;
}

/* PostgreSQL's own answer to the statement itself. */
static bool may_select(const struct pg_catalog *c, size_t role, const char *relation,
                       const char *column)
{
    const struct pg_relation *r = pg_catalog_relation(c, hs_str(relation));
    char *name = PQescapeIdentifier(world.owner, c->roles[role].p, c->roles[role].n);
    char sql[256];
    PGresult *result;
    bool may;

    (void)snprintf(sql, sizeof(sql), "BEGIN; SET LOCAL ROLE %s; SELECT %s%s%s FROM %.*s", name,
                   column ? "\"" : "", column ? column : "count(*)", column ? "\"" : "",
                   HS_FMT(r->quoted));
    PQfreemem(name);
    result = PQexec(world.owner, sql);
    may = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (!may)
        assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "42501");
    PQclear(result);
    (void)pg_cluster_exec(world.owner, "ROLLBACK");
    return may;
}

static void test_bits(void **state)
{
    struct pg_catalog_reader *reader = new_reader(roles, HS_LEN(roles));
    struct pg_catalog *c = catalog_world_read(reader);

    (void)state;
    assert_int_equal(c->n_roles, HS_LEN(roles) - 1);
    for (size_t i = 0; i < HS_LEN(expected); i++) {
        uint64_t got = readers_of(c, expected[i].relation, expected[i].column);

        if (got != expected[i].readers)
            fail_msg("%s.%s: %llx, expected %llx", expected[i].relation,
                     expected[i].column ? expected[i].column : "*", (unsigned long long)got,
                     (unsigned long long)expected[i].readers);
        for (size_t role = 0; role < c->n_roles; role++) {
            if (may_select(c, role, expected[i].relation, expected[i].column) != (got >> role & 1))
                fail_msg("%.*s: the server says otherwise of %s.%s", HS_FMT(c->roles[role]),
                         expected[i].relation, expected[i].column ? expected[i].column : "*");
        }
    }
    assert_int_equal(pg_catalog_role(c, HS_STR("heir")), 2);
    assert_int_equal(pg_catalog_reader_bit(c, HS_STR("heir")), HEIR);
    assert_int_equal(pg_catalog_reader_bit(c, HS_STR("odd \"role")), ODD);
    assert_int_equal(pg_catalog_role(c, HS_STR("hei")), c->n_roles);
    assert_int_equal(pg_catalog_reader_bit(c, HS_STR("")), 0);
    pg_catalog_unref(c);
    pg_catalog_reader_free(reader);
}

/* What each changes is noticed, and is there after the next read. */
static const struct {
    const char *sql;
    const char *relation;
    const char *column;
    uint64_t bit;
    bool may;
} changes[] = {
    {"GRANT SELECT (b) ON app.partly TO columns", "partly", "b", COLUMNS, true},
    {"REVOKE SELECT (b) ON app.partly FROM columns", "partly", "b", COLUMNS, false},
    {"GRANT SELECT ON app.nobodys TO columns", "nobodys", "a", COLUMNS, true},
    {"REVOKE SELECT ON app.nobodys FROM columns", "nobodys", NULL, COLUMNS, false},
    {"GRANT plain TO columns", "whole", "a", COLUMNS, true},
    {"REVOKE plain FROM columns", "whole", "a", COLUMNS, false},
    {"ALTER ROLE lone INHERIT", "whole", NULL, LONE, true},
    {"ALTER ROLE lone NOINHERIT", "whole", NULL, LONE, false},
    {"GRANT USAGE ON SCHEMA closed TO plain", "inside", "a", HEIR, true},
    {"REVOKE USAGE ON SCHEMA closed FROM plain", "inside", "a", HEIR, false},
    {"GRANT pg_read_all_data TO columns", "inside", NULL, COLUMNS, true},
    {"REVOKE pg_read_all_data FROM columns", "inside", NULL, COLUMNS, false},
    {"GRANT SELECT ON app.partly TO PUBLIC", "partly", "b", ODD, true},
    {"REVOKE SELECT ON app.partly FROM PUBLIC", "partly", "b", ODD, false},
};

static void test_changes(void **state)
{
    struct pg_catalog_reader *reader = new_reader(roles, HS_LEN(roles));

    (void)state;
    pg_catalog_unref(catalog_world_read(reader));
    for (size_t i = 0; i < HS_LEN(changes); i++) {
        struct pg_catalog *c;
        struct hs_err err;
        bool changed = false;

        (void)pg_cluster_exec(world.owner, changes[i].sql);
        assert_int_equal(pg_catalog_watch(reader, 0, /* stop_fd= */ -1, &changed, &err), HS_OK);
        if (!changed)
            fail_msg("not noticed: %s", changes[i].sql);
        c = catalog_world_read(reader);
        if (!(readers_of(c, changes[i].relation, changes[i].column) & changes[i].bit) ==
            changes[i].may)
            fail_msg("without effect: %s", changes[i].sql);
        pg_catalog_unref(c);
    }
    pg_catalog_reader_free(reader);
}

static void test_bound(void **state)
{
    static char texts[HS_ROLES_MAX + 1][16];
    struct hs_str names[HS_ROLES_MAX + 1] = {{0}};
    struct pg_catalog_setup setup = setup_of(names, HS_LEN(names));
    struct pg_catalog_reader *reader = NULL;
    struct pg_catalog *c;
    struct hs_err err;

    (void)state;
    for (size_t i = 0; i < HS_LEN(names); i++) {
        char sql[128];

        (void)snprintf(texts[i], sizeof(texts[i]), "role_%zu", i);
        (void)snprintf(sql, sizeof(sql), "CREATE ROLE %s; GRANT %s TO hasten_login", texts[i],
                       texts[i]);
        (void)pg_cluster_exec(world.owner, sql);
        names[i] = hs_str(texts[i]);
    }
    assert_int_equal(pg_catalog_reader_new(&setup, &reader, &err), HS_E_CONFIG);
    assert_null(reader);
    assert_non_null(strstr(err.what, "65 roles"));
    assert_non_null(strstr(err.what, "64"));
    /* As many as there may be: the last has the highest bit. */
    (void)pg_cluster_exec(world.owner, "GRANT SELECT ON app.whole TO role_63");
    reader = new_reader(names, HS_ROLES_MAX);
    c = catalog_world_read(reader);
    assert_true(pg_catalog_reader_bit(c, HS_STR("role_63")) == UINT64_C(1) << 63);
    assert_true(readers_of(c, "whole", "a") == UINT64_C(1) << 63);
    assert_true(readers_of(c, "everyone", "b") == UINT64_MAX);
    pg_catalog_unref(c);
    pg_catalog_reader_free(reader);
    /* None at all. */
    reader = new_reader(NULL, 0);
    c = catalog_world_read(reader);
    assert_int_equal(c->n_roles, 0);
    assert_true(readers_of(c, "everyone", NULL) == 0);
    assert_int_equal(pg_catalog_role(c, HS_STR("plain")), 0);
    pg_catalog_unref(c);
    pg_catalog_reader_free(reader);
}

static int set_up(void **state)
{
    (void)state;
    catalog_world_open(&world, schema_sql);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_bound),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
