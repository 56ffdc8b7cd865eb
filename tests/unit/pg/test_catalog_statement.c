/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements that the setup names, against a real PostgreSQL: what is said of them, and that nothing is left behind.
 */
#include "pg/catalog_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"

static struct catalog_world world;

static const char schema[] =
    "CREATE ROLE login LOGIN NOINHERIT; CREATE ROLE staff; CREATE ROLE nobody;"
    "GRANT staff, nobody TO login;"
    "CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO staff;"
    "CREATE TYPE app.mood AS ENUM ('glad', 'sad');"
    "CREATE TABLE app.t (id int PRIMARY KEY, company int, name text, mood app.mood, at date);"
    "CREATE TABLE app.u (id int PRIMARY KEY, t int);"
    "ALTER TABLE app.t ENABLE ROW LEVEL SECURITY;"
    "CREATE POLICY own ON app.t TO staff USING"
    " (company = (SELECT (current_setting('request.jwt.claims', true)::jsonb ->> 'company')::int));"
    "CREATE VIEW app.v AS SELECT * FROM app.u;"
    "GRANT SELECT ON ALL TABLES IN SCHEMA app TO staff;";

static int open_world(void **state)
{
    (void)state;
    catalog_world_open(&world, schema);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    catalog_world_close(&world);
    return 0;
}

static struct pg_catalog *read_asked(const struct pg_ask *asks, size_t n)
{
    static const struct hs_str schemas[] = {{"app", 3}};
    static const struct hs_str roles[] = {{"nobody", 6}, {"staff", 5}};
    struct pg_catalog_setup setup = catalog_world_setup(&world, "login", schemas, 1);
    struct pg_catalog_reader *reader;
    struct pg_catalog *catalog;

    setup.roles = roles;
    setup.n_roles = 2;
    reader = catalog_world_reader(&setup);
    pg_catalog_reader_ask(reader, asks, n);
    catalog = catalog_world_read(reader);
    pg_catalog_reader_free(reader);
    assert_int_equal(catalog->n_statements, n);
    return catalog;
}

static uint32_t oid_of(const char *relation)
{
    const char *params[] = {relation};
    PGresult *r = PQexecParams(world.owner, "SELECT $1::regclass::oid", 1, NULL, params, NULL, NULL,
                               0);
    uint32_t oid = (uint32_t)strtoul(PQgetvalue(r, 0, 0), NULL, 10);

    PQclear(r);
    return oid;
}

static void test_reads(void **state)
{
    const struct pg_ask ask = {
        .sql = HS_STR(
            "SELECT t.id, t.mood, count(v.*) AS n, now() - now() AS gap FROM app.t JOIN app.v ON v.t = t.id"
            " WHERE t.mood = ($1::app.mood) AND t.at > ($2::date) GROUP BY t.id -- all"),
        .n_params = 2};
    struct pg_catalog *c = read_asked(&ask, 1);
    const struct pg_asked *s = &c->statements[0];

    (void)state;
    assert_null(s->fault.p);
    assert_int_equal(s->n_columns, 4);
    assert_true(hs_str_is(s->columns[1].name, "mood"));
    assert_int_equal(s->columns[1].type->kind, PG_KIND_ENUM);
    assert_int_equal(s->columns[2].type->kind, PG_KIND_INT8);
    assert_int_equal(s->params[0]->kind, PG_KIND_ENUM);
    assert_int_equal(s->params[0]->n_labels, 2);
    assert_int_equal(s->params[1]->kind, PG_KIND_DATE);
    assert_false(s->depend.is_known);
    assert_true(hs_str_is(s->depend.why, "now() tells the time"));
    pg_catalog_unref(c);
}

static void test_depends(void **state)
{
    const struct pg_ask ask = {
        .sql = HS_STR("SELECT t.id FROM app.t JOIN app.v ON v.t = t.id WHERE t.id = ($1::int)"),
        .n_params = 1};
    struct pg_catalog *c = read_asked(&ask, 1);
    const struct pg_asked *s = &c->statements[0];
    uint32_t t = oid_of("app.t");
    uint32_t u = oid_of("app.u");

    (void)state;
    assert_null(s->fault.p);
    assert_true(s->depend.is_known);
    assert_true(s->is_shareable);
    assert_true(s->depend.has_rls);
    assert_int_equal(s->depend.n_tables, 2);
    assert_int_equal(s->depend.tables[0], t < u ? t : u);
    assert_int_equal(s->depend.tables[1], t < u ? u : t);
    assert_int_equal(c->n_claims, 1);
    assert_int_equal(s->depend.claims, 1);
    /* app.u is read through a view, whose owner's policies count there. */
    assert_int_equal(s->depend.n_plain, 1);
    assert_int_equal(s->depend.plain[0]->oid, t);
    pg_catalog_unref(c);
}

/* One of each: what PostgreSQL refuses, with the character; what it runs, but what must not be kept. */
static void test_refused(void **state)
{
    const struct pg_ask asks[] = {
        {.sql = HS_STR("SELECT id, nam FROM app.t")},
        {.sql = HS_STR("SELECT FROM WHERE")},
        {.sql = HS_STR("SELECT * FROM app.gone")},
        {.sql = HS_STR("SELECT now() AS at")},
        {.sql = HS_STR("INSERT INTO app.u VALUES (1, 2) RETURNING id")},
        {.sql = HS_STR("SELECT pg_notify('a', 'b') AS x")},
    };
    struct pg_catalog *c = read_asked(asks, HS_LEN(asks));
    const struct pg_asked *s = c->statements;

    (void)state;
    assert_string_equal(s[0].fault.p, "column \"nam\" does not exist");
    assert_int_equal(s[0].fault_at, 12);
    assert_int_equal(s[1].fault_at, 13);
    assert_string_equal(s[2].fault.p, "relation \"app.gone\" does not exist");
    assert_null(s[3].fault.p);
    assert_false(s[3].depend.is_known);
    assert_true(s[3].is_shareable);
    assert_int_equal(s[3].depend.why.n, strlen("now() tells the time"));
    assert_null(s[4].fault.p);
    assert_false(s[4].depend.is_known);
    assert_false(s[4].is_shareable);
    assert_true(hs_str_is(s[4].columns[0].name, "id"));
    assert_false(s[5].is_shareable);
    pg_catalog_unref(c);
}

/* Without TEMP the shape is known all the same, and why it cannot be kept. */
static void test_without_temp(void **state)
{
    const struct pg_ask ask = {.sql = HS_STR("SELECT id FROM app.t")};
    struct pg_catalog *c;

    (void)state;
    (void)pg_cluster_exec(world.owner, "REVOKE TEMP ON DATABASE postgres FROM PUBLIC");
    c = read_asked(&ask, 1);
    (void)pg_cluster_exec(world.owner, "GRANT TEMP ON DATABASE postgres TO PUBLIC");
    assert_null(c->statements[0].fault.p);
    assert_int_equal(c->statements[0].n_columns, 1);
    assert_false(c->statements[0].depend.is_known);
    assert_false(c->statements[0].is_shareable);
    assert_non_null(strstr(c->statements[0].depend.why.p, "permission denied to create temporary"));
    pg_catalog_unref(c);
}

/* A login that reads only by default does not keep the statements from being looked at. */
static void test_reading_login(void **state)
{
    const struct pg_ask ask = {.sql = HS_STR("SELECT id FROM app.t")};
    struct pg_catalog *c;

    (void)state;
    (void)pg_cluster_exec(world.owner, "ALTER ROLE login SET default_transaction_read_only = on");
    c = read_asked(&ask, 1);
    (void)pg_cluster_exec(world.owner, "ALTER ROLE login RESET default_transaction_read_only");
    assert_true(c->statements[0].depend.is_known);
    pg_catalog_unref(c);
}

/* A read changes nothing that the next look would see, and an event trigger's NOTIFY is never sent. */
static void test_leaves_nothing(void **state)
{
    static const struct hs_str schemas[] = {{"app", 3}};
    static const struct hs_str roles[] = {{"staff", 5}};
    const struct pg_ask ask = {.sql = HS_STR("SELECT id FROM app.t")};
    struct pg_catalog_setup setup = catalog_world_setup(&world, "login", schemas, 1);
    struct pg_catalog_reader *reader;
    struct pg_catalog *first;
    struct pg_catalog *second;
    bool changed = true;
    struct hs_err err;

    (void)state;
    (void)pg_cluster_exec(world.owner,
                          "CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS"
                          " $$BEGIN NOTIFY hasten, 'reload'; END$$;"
                          "CREATE EVENT TRIGGER tell ON ddl_command_end EXECUTE FUNCTION tell()");
    setup.roles = roles;
    setup.n_roles = 1;
    reader = catalog_world_reader(&setup);
    pg_catalog_reader_ask(reader, &ask, 1);
    first = catalog_world_read(reader);
    assert_true(first->statements[0].depend.is_known);
    assert_int_equal(pg_catalog_watch(reader, 200 * HS_MS, -1, &changed, &err), HS_OK);
    assert_false(changed);
    assert_int_equal(pg_catalog_told(reader), 0);
    second = catalog_world_read(reader);
    assert_true(first->fingerprint == second->fingerprint);
    pg_catalog_unref(first);
    pg_catalog_unref(second);
    pg_catalog_reader_free(reader);
    (void)pg_cluster_exec(world.owner, "DROP EVENT TRIGGER tell; DROP FUNCTION tell()");
}

/* A table that is being altered makes nobody wait long, and is looked at again. */
static void test_locked(void **state)
{
    static const struct hs_str schemas[] = {{"app", 3}};
    static const struct hs_str roles[] = {{"staff", 5}};
    const struct pg_ask ask = {.sql = HS_STR("SELECT id FROM app.u")};
    struct pg_catalog_setup setup = catalog_world_setup(&world, "login", schemas, 1);
    struct pg_catalog_reader *reader;
    struct pg_catalog *c;
    bool changed = false;
    struct hs_err err;

    (void)state;
    setup.roles = roles;
    setup.n_roles = 1;
    reader = catalog_world_reader(&setup);
    pg_catalog_reader_ask(reader, &ask, 1);
    (void)pg_cluster_exec(world.owner, "BEGIN; LOCK TABLE app.u");
    c = catalog_world_read(reader);
    assert_non_null(c->statements[0].fault.p);
    pg_catalog_unref(c);
    (void)pg_cluster_exec(world.owner, "COMMIT");
    assert_int_equal(pg_catalog_watch(reader, 1 * HS_MS, -1, &changed, &err), HS_OK);
    assert_true(changed);
    c = catalog_world_read(reader);
    assert_null(c->statements[0].fault.p);
    pg_catalog_unref(c);
    pg_catalog_reader_free(reader);
}

/* The operator's search_path counts; where it names $user, each role might mean another table. */
static void test_search_path(void **state)
{
    static const struct hs_str schemas[] = {{"app", 3}};
    static const struct hs_str roles[] = {{"staff", 5}};
    static const struct {
        const char *options;
        bool is_found;
        bool is_known;
    } cases[] = {
        {"", false, false},
        {" options='-c search_path=app'", true, true},
        {" options='-c search_path=\"$user\",app'", true, false},
    };
    const struct pg_ask ask = {.sql = HS_STR("SELECT id FROM t")};

    (void)state;
    for (size_t i = 0; i < HS_LEN(cases); i++) {
        struct pg_catalog_setup setup = catalog_world_setup(&world, "login", schemas, 1);
        char url[512];
        struct pg_catalog_reader *reader;
        struct pg_catalog *c;

        (void)snprintf(url, sizeof(url), "%.*s%s", HS_FMT(setup.url), cases[i].options);
        setup.url = hs_str(url);
        setup.roles = roles;
        setup.n_roles = 1;
        reader = catalog_world_reader(&setup);
        pg_catalog_reader_ask(reader, &ask, 1);
        c = catalog_world_read(reader);
        assert_int_equal(c->statements[0].fault.p == NULL, cases[i].is_found);
        assert_int_equal(c->statements[0].depend.is_known, cases[i].is_known);
        if (!cases[i].is_found)
            assert_non_null(strstr(c->statements[0].hint.p, "with their schema"));
        pg_catalog_unref(c);
        pg_catalog_reader_free(reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),          cmocka_unit_test(test_depends),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_without_temp),
        cmocka_unit_test(test_leaves_nothing), cmocka_unit_test(test_locked),
        cmocka_unit_test(test_reading_login),  cmocka_unit_test(test_search_path),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
