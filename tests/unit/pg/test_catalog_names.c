/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types by the names that a cast may use, each put to the server as a cast; what roles set; schemas.
 */
#include "pg/catalog_world.h"
#include "test.h"

static struct catalog_world world;
static const struct hs_str schemas[] = {{"zoo", 3}, {"app", 3}};
/* One of the exposed ones may stand there, too. */
static const struct hs_str extra[] = {{"lib", 3}, {"app", 3}, {"not there", 9}, {"late", 4}};
static const struct hs_str roles[] = {{"plain", 5}, {"quiet", 5}, {"", 0}, {"other", 5}};

static const char schema_sql[] =
    "CREATE ROLE plain; CREATE ROLE quiet; CREATE ROLE other; CREATE ROLE stranger; CREATE ROLE hasten_login LOGIN;"
    "GRANT plain, quiet, other TO hasten_login; CREATE SCHEMA app; CREATE SCHEMA zoo; CREATE SCHEMA lib; CREATE SCHEMA hidden;"
    "COMMENT ON SCHEMA app IS 'what we serve'; SET search_path = app; CREATE TABLE t (id int); CREATE VIEW v AS SELECT id FROM t;"
    "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE zoo.mood AS ENUM ('z'); CREATE DOMAIN email AS text;"
    "CREATE TYPE \"Odd name\" AS (a int, b text); CREATE TYPE span AS RANGE (SUBTYPE = timestamptz);"
    "CREATE DOMAIN int4 AS text; CREATE TYPE lib.mood AS ENUM ('l'); CREATE DOMAIN lib.from_lib AS int;"
    "CREATE DOMAIN hidden.away AS int;"
    "ALTER ROLE plain SET statement_timeout = '5s'; ALTER ROLE plain SET work_mem = '5MB';"
    "ALTER ROLE plain SET search_path = app, \"a=b\"; ALTER ROLE plain IN DATABASE postgres SET work_mem = '6MB';"
    "ALTER ROLE plain IN DATABASE elsewhere SET work_mem = '7MB'; ALTER ROLE plain SET app.placeholder = 'x';"
    "ALTER ROLE plain SET log_min_duration_statement = '1s'; ALTER ROLE plain SET log_statement = 'all';"
    "GRANT SET ON PARAMETER log_statement TO hasten_login; ALTER ROLE other SET timezone = 'UTC';"
    "ALTER ROLE stranger SET work_mem = '9MB'; ALTER DATABASE postgres SET work_mem = '4MB';";

static struct pg_catalog_setup setup_of(void)
{
    struct pg_catalog_setup setup = catalog_world_setup(&world, "hasten_login", schemas,
                                                        HS_LEN(schemas));

    setup.roles = roles;
    setup.n_roles = HS_LEN(roles);
    setup.extra_schemas = extra;
    setup.n_extra_schemas = HS_LEN(extra);
    return setup;
}

/* What SQL makes of CAST (NULL AS name), against what we say of the name, and what our own SQL for it gives. */
static void check_cast(const struct pg_type *type, const char *name)
{
    char sql[400];
    PGresult *r;

    (void)snprintf(sql, sizeof(sql), "SELECT CAST(NULL AS %s), CAST(NULL AS %.*s)", name,
                   HS_FMT(type->sql));
    r = PQexec(world.owner, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(r));
    if (PQftype(r, 0) != PQftype(r, 1) || PQfmod(r, 0) != PQfmod(r, 1))
        fail_msg("%s is not what SQL calls so", name);
    PQclear(r);
}

/* Names that need no quotes: all that PostgreSQL's own types have. */
static bool is_plain(struct hs_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_. []\"", name.p[i]))
            return false;
    }
    return true;
}

static void test_every_name(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog *c = catalog_world_read_once(&setup);

    (void)state;
    (void)pg_cluster_exec(world.owner, "SET search_path = pg_catalog, zoo, app, lib");
    assert_true(c->n_type_names > 200);
    for (size_t i = 0; i < c->n_type_names; i++) {
        char name[200];

        (void)snprintf(name, sizeof(name), "%.*s", HS_FMT(c->type_names[i].name));
        if (i)
            assert_true(hs_str_cmp(c->type_names[i - 1].name, c->type_names[i].name) < 0);
        assert_ptr_equal(pg_catalog_type_named(c, hs_str(name)), c->type_names[i].type);
        if (is_plain(c->type_names[i].name))
            check_cast(c->type_names[i].type, name);
    }
    pg_catalog_unref(c);
}

static void test_names(void **state)
{
    static const char *const absent[] = {
        "",       "away",  "hidden.away", "t",           "v",         "app.t",
        "t[]",    "any",   "anyelement",  "record",      "trigger",   "numeric(10,2)",
        "int[][", "app.",  "x",           "odd name",    "int4[][]",  "pg_class",
        "void",   "zoo.t", "cstring",     "app.missing", "late.thing"};
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog *c = catalog_world_read_once(&setup);
    char huge[1000];

    (void)state;
    for (size_t i = 0; i < HS_LEN(absent); i++) {
        if (pg_catalog_type_named(c, hs_str(absent[i])))
            fail_msg("a cast may not name %s", absent[i]);
    }
    memset(huge, 'A', sizeof(huge));
    assert_null(pg_catalog_type_named(c, hs_strn(huge, sizeof(huge))));
    assert_int_equal(pg_catalog_type_named(c, HS_STR("int4"))->kind, PG_KIND_INT);
    assert_int_equal(pg_catalog_type_named(c, HS_STR("Double Precision"))->kind, PG_KIND_FLOAT);
    assert_int_equal(pg_catalog_type_named(c, HS_STR("integer[]"))->elem->kind, PG_KIND_INT);
    assert_str(pg_catalog_type_named(c, HS_STR("timestamp with time zone"))->sql,
               HS_STR("pg_catalog.timestamptz"));
    assert_str(pg_catalog_type_named(c, HS_STR("char"))->sql, HS_STR("pg_catalog.bpchar(1)"));
    assert_str(pg_catalog_type_named(c, HS_STR("character[]"))->sql,
               HS_STR("pg_catalog.bpchar(1)[]"));
    assert_str(pg_catalog_type_named(c, HS_STR("mood"))->sql, HS_STR("zoo.mood"));
    assert_str(pg_catalog_type_named(c, HS_STR("app.mood"))->sql, HS_STR("app.mood"));
    assert_str(pg_catalog_type_named(c, HS_STR("lib.mood"))->labels[0], HS_STR("l"));
    assert_int_equal(pg_catalog_type_named(c, HS_STR("app.mood[]"))->elem->n_labels, 2);
    assert_int_equal(pg_catalog_type_named(c, HS_STR("Odd name"))->n_fields, 2);
    assert_int_equal(pg_catalog_type_named(c, HS_STR("Odd name[]"))->kind, PG_KIND_ARRAY);
    assert_int_equal(pg_catalog_type_named(c, HS_STR("app.int4"))->kind, PG_KIND_TEXT);
    assert_true(pg_catalog_type_named(c, HS_STR("from_lib"))->is_domain);
    assert_int_equal(pg_catalog_type_named(c, HS_STR("span"))->kind, PG_KIND_RANGE);
    pg_catalog_unref(c);
}

static struct hs_str setting(const struct pg_catalog *c, const char *role, const char *name)
{
    size_t i = pg_catalog_role(c, hs_str(role));

    for (size_t k = 0; k < c->role_settings[i].n_settings; k++) {
        if (hs_str_is(c->role_settings[i].settings[k].name, name))
            return c->role_settings[i].settings[k].value;
    }
    return HS_STR_NULL;
}

static void test_settings(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog *c = catalog_world_read_once(&setup);

    (void)state;
    assert_int_equal(c->n_roles, 3);
    assert_int_equal(c->role_settings[0].n_settings, 4);
    assert_str(setting(c, "plain", "statement_timeout"), HS_STR("5s"));
    assert_str(setting(c, "plain", "work_mem"), HS_STR("6MB"));
    assert_str(setting(c, "plain", "search_path"), HS_STR("app, \"a=b\""));
    assert_str(setting(c, "plain", "log_statement"), HS_STR("all"));
    assert_int_equal(c->role_settings[1].n_settings, 0);
    assert_int_equal(c->role_settings[2].n_settings, 1);
    assert_str(setting(c, "other", "TimeZone"), HS_STR("UTC"));
    assert_int_equal(c->n_schemas, 2);
    assert_str(c->schemas[0], HS_STR("zoo"));
    assert_str(c->schemas[1], HS_STR("app"));
    assert_int_equal(c->schema_comments[0].n, 0);
    assert_str(c->schema_comments[1], HS_STR("what we serve"));
    pg_catalog_unref(c);
}

static const char *const changes[] = {
    "COMMENT ON SCHEMA zoo IS 'animals'",
    "ALTER ROLE quiet SET work_mem = '5MB'",
    "ALTER ROLE quiet IN DATABASE postgres SET work_mem = '6MB'",
    "REVOKE SET ON PARAMETER log_statement FROM hasten_login",
    "CREATE DOMAIN app.fresh AS int",
    "ALTER DOMAIN app.fresh RENAME TO fresher",
    "CREATE SCHEMA late; CREATE DOMAIN late.thing AS int",
    "ALTER TYPE app.mood ADD VALUE 'c'",
};

static void test_changes(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog_reader *reader = catalog_world_reader(&setup);
    struct pg_catalog *c = catalog_world_read(reader);

    (void)state;
    pg_catalog_unref(c);
    for (size_t i = 0; i < HS_LEN(changes); i++) {
        struct hs_err err;
        bool changed = false;

        (void)pg_cluster_exec(world.owner, changes[i]);
        assert_int_equal(pg_catalog_watch(reader, 0, -1, &changed, &err), HS_OK);
        if (!changed)
            fail_msg("not noticed: %s", changes[i]);
        pg_catalog_unref(catalog_world_read(reader));
    }
    c = catalog_world_read(reader);
    assert_non_null(pg_catalog_type_named(c, HS_STR("thing")));
    assert_true(setting(c, "plain", "log_statement").p == NULL);
    pg_catalog_unref(c);
    pg_catalog_reader_free(reader);
}

static int set_up(void **state)
{
    (void)state;
    /* By itself: not in a transaction. */
    catalog_world_open(&world, "CREATE DATABASE elsewhere");
    (void)pg_cluster_exec(world.owner, schema_sql);
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
        cmocka_unit_test(test_every_name),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_changes),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
