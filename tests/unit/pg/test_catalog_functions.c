/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions in the catalog: what they take, what they give, who may call them, whose rows they belong to, and which
 * make media types. What a row looks like is put to the server as a statement: SELECT * FROM the call.
 */
#include "fault.h"
#include "pg/catalog_world.h"
#include "test.h"

static struct catalog_world world;
static const struct hs_str schemas[] = {{"zoo", 3}, {"app", 3}, {"closed", 6}};
static const struct hs_str extra[] = {{"app", 3}, {"lib", 3}, {"not there", 9}};
static const struct hs_str roles[] = {{"plain", 5}, {"other", 5}, {"god", 3}};
enum { PLAIN = 1, OTHER = 2, GOD = 4 };

static const char schema_sql[] =
    "CREATE ROLE plain; CREATE ROLE other; CREATE ROLE god IN ROLE pg_read_all_data; CREATE ROLE hasten_login LOGIN;"
    "GRANT plain, other, god TO hasten_login; CREATE SCHEMA app; CREATE SCHEMA zoo; CREATE SCHEMA lib; CREATE SCHEMA hidden;"
    "CREATE SCHEMA closed; GRANT USAGE ON SCHEMA app, zoo, lib TO PUBLIC; SET search_path = app;"
    "CREATE TABLE t (id int PRIMARY KEY, gone int, name text); ALTER TABLE t DROP COLUMN gone;"
    "CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t); CREATE VIEW v AS SELECT id FROM t;"
    "CREATE TABLE hidden.h (x int, y text); CREATE TYPE pair AS (\"the a\" int, b t);"
    "CREATE DOMAIN pair_2 AS pair;"
    /* What they take. */
    "CREATE FUNCTION modes(INOUT a int, b text, OUT c int, VARIADIC d int[] DEFAULT '{1}') LANGUAGE sql AS 'SELECT 1, 2';"
    "CREATE FUNCTION defaults(a int, b int DEFAULT 1, c int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION unnamed(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION one_json(json) RETURNS json LANGUAGE sql AS 'SELECT $1';"
    "CREATE FUNCTION \"odd \"\"name\"(\"an \"\"arg\" int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION many() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION many(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION many(a text) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION many_more() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION zoo.many() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE PROCEDURE proc(a int, INOUT b int, OUT c text, d int DEFAULT 1) LANGUAGE sql AS $$ SELECT 1, 'x' $$;"
    "CREATE PROCEDURE quiet(a int) LANGUAGE sql AS '';"
    /* What they give. */
    "CREATE FUNCTION gives_t() RETURNS SETOF t LANGUAGE sql STABLE ROWS 7 AS 'SELECT * FROM app.t';"
    "CREATE FUNCTION gives_one_t() RETURNS t LANGUAGE sql STABLE AS 'SELECT * FROM app.t';"
    "CREATE FUNCTION gives_h() RETURNS SETOF hidden.h LANGUAGE sql IMMUTABLE AS 'SELECT 1, null::text';"
    "CREATE FUNCTION gives_pair() RETURNS pair LANGUAGE sql AS 'SELECT 1, null::app.t';"
    "CREATE FUNCTION gives_pair_2() RETURNS pair_2 LANGUAGE sql AS 'SELECT ROW(1, null::app.t)::app.pair_2';"
    "CREATE FUNCTION gives_table(n int) RETURNS TABLE (\"x y\" int, z text[]) LANGUAGE sql AS 'SELECT 1, null::text[]';"
    "CREATE FUNCTION gives_table_1() RETURNS TABLE (only_one int) LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION gives_out(OUT o int) LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION gives_out_pair(OUT p pair) LANGUAGE sql AS 'SELECT 1, null::app.t';"
    "CREATE FUNCTION gives_out_t(OUT p t) LANGUAGE sql AS 'SELECT * FROM app.t';"
    "CREATE FUNCTION gives_table_pair() RETURNS TABLE (p pair) LANGUAGE sql AS 'SELECT 1, null::app.t';"
    "CREATE FUNCTION gives_out_unnamed(OUT int) LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION gives_outs(OUT int, OUT named text, OUT int) LANGUAGE sql AS $$ SELECT 1, 'x', 2 $$;"
    "CREATE FUNCTION gives_scalar() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;"
    "CREATE FUNCTION gives_scalars() RETURNS SETOF int LANGUAGE sql ROWS 3 AS 'SELECT 1';"
    "CREATE FUNCTION gives_void() RETURNS void LANGUAGE sql AS '';"
    "CREATE FUNCTION gives_record() RETURNS record LANGUAGE sql AS $$ SELECT 1, 'x' $$;"
    "CREATE FUNCTION gives_much() RETURNS SETOF int LANGUAGE sql ROWS 1e30 AS 'SELECT 1';"
    /* Left out. */
    "CREATE FUNCTION for_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    "CREATE AGGREGATE for_sum(int) (SFUNC = int4larger, STYPE = int);"
    "CREATE FUNCTION hidden.away() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION lib.no_row() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION lib.of_hidden(hidden.h) RETURNS int LANGUAGE sql AS 'SELECT 1';";

static const char more_sql[] =
    /* Of rows. */
    "CREATE FUNCTION z_field(t) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'x' $$;"
    "CREATE FUNCTION a_field(r t) RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT '{}'::jsonb $$;"
    "CREATE FUNCTION lib.lib_field(t) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';"
    "CREATE FUNCTION of_view(v) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';"
    "CREATE FUNCTION its_us(t) RETURNS SETOF u LANGUAGE sql STABLE AS 'SELECT * FROM app.u';"
    "CREATE FUNCTION its_u(t) RETURNS SETOF u LANGUAGE sql STABLE ROWS 1 AS 'SELECT * FROM app.u';"
    "CREATE FUNCTION its_only_u(t) RETURNS u LANGUAGE sql STABLE AS 'SELECT * FROM app.u';"
    "CREATE FUNCTION its_self(t) RETURNS SETOF t LANGUAGE sql STABLE AS 'SELECT * FROM app.t';"
    "CREATE FUNCTION no_set(t) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION no_void(t) RETURNS void LANGUAGE sql AS '';"
    "CREATE FUNCTION no_table(t) RETURNS TABLE (x int) LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION no_two(t, int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION no_hidden(hidden.h) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE PROCEDURE no_proc(t) LANGUAGE sql AS '';"
    /* Rights, settings, words. */
    "CREATE FUNCTION revoked() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION revoked() FROM PUBLIC;"
    "CREATE FUNCTION granted() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION granted() FROM PUBLIC;"
    "GRANT EXECUTE ON FUNCTION granted() TO plain; COMMENT ON FUNCTION granted() IS 'for some';"
    "CREATE FUNCTION closed.inside() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE FUNCTION sets() RETURNS int LANGUAGE sql SET statement_timeout = '4s' SET search_path = app, \"a=b\""
    " SET app.empty = '' IMMUTABLE AS 'SELECT 1';"
    /* Media types. */
    "CREATE DOMAIN hidden.\"Text/XML\" AS pg_catalog.xml; CREATE DOMAIN \"*/*\" AS bytea; CREATE DOMAIN \"application/vnd.x+json\" AS json;"
    "CREATE DOMAIN \"no media\" AS text; CREATE FUNCTION as_nothing() RETURNS \"no media\" LANGUAGE sql AS $$ SELECT 'x' $$;"
    "CREATE FUNCTION as_xml() RETURNS hidden.\"Text/XML\" LANGUAGE sql AS $$ SELECT '<a/>'::xml $$;"
    "CREATE FUNCTION as_xmls() RETURNS SETOF hidden.\"Text/XML\" LANGUAGE sql AS $$ SELECT '<a/>'::xml $$;"
    "CREATE FUNCTION any_next(bytea, anyelement) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT ''::bytea $$;"
    "CREATE FUNCTION any_last(bytea) RETURNS \"*/*\" LANGUAGE sql IMMUTABLE AS $$ SELECT $1 $$;"
    "CREATE AGGREGATE any_agg(anyelement) (SFUNC = any_next, STYPE = bytea, FINALFUNC = any_last);"
    "CREATE FUNCTION t_next(\"application/vnd.x+json\", t) RETURNS \"application/vnd.x+json\" LANGUAGE sql IMMUTABLE AS $$ SELECT '1'::json $$;"
    "CREATE AGGREGATE t_agg(t) (SFUNC = t_next, STYPE = \"application/vnd.x+json\");"
    "CREATE FUNCTION int_next(\"application/vnd.x+json\", int) RETURNS \"application/vnd.x+json\" LANGUAGE sql IMMUTABLE AS $$ SELECT '1'::json $$;"
    "CREATE AGGREGATE int_agg(int) (SFUNC = int_next, STYPE = \"application/vnd.x+json\"); REVOKE EXECUTE ON FUNCTION t_agg(t) FROM PUBLIC;";

static struct pg_catalog_setup setup_of(void)
{
    struct pg_catalog_setup setup = catalog_world_setup(&world, "hasten_login", schemas,
                                                        HS_LEN(schemas));

    setup.roles = roles;
    setup.n_roles = HS_LEN(roles);
    setup.extra_schemas = extra;
    setup.n_extra_schemas = HS_LEN(extra);
    setup.allow_login = HS_STR("god");
    return setup;
}

static const struct pg_function *in(const struct pg_catalog *c, const char *schema,
                                    const char *name)
{
    size_t n;
    const struct pg_function *f = pg_catalog_functions(c, hs_str(schema), hs_str(name), &n);

    if (!f || n == 0)
        fail_msg("no function %s.%s", schema, name);
    return f;
}

static const struct pg_function *function(const struct pg_catalog *c, const char *name)
{
    return in(c, "app", name);
}

static void test_arguments(const struct pg_catalog *c)
{
    const struct pg_function *f = function(c, "modes");

    assert_int_equal(f->n_arguments, 3);
    assert_str(f->arguments[0].name, HS_STR("a"));
    assert_str(f->arguments[1].name, HS_STR("b"));
    assert_str(f->arguments[2].name, HS_STR("d"));
    assert_true(f->arguments[2].is_variadic && f->arguments[2].has_default);
    assert_int_equal(f->arguments[2].type->kind, PG_KIND_ARRAY);
    assert_false(f->arguments[1].is_variadic || f->arguments[1].has_default);
    f = function(c, "defaults");
    assert_false(f->arguments[0].has_default);
    assert_true(f->arguments[1].has_default && f->arguments[2].has_default);
    f = function(c, "unnamed");
    assert_int_equal(f->n_arguments, 2);
    assert_int_equal(f->arguments[0].name.n + f->arguments[0].quoted.n, 0);
    assert_int_equal(f->arguments[1].type->kind, PG_KIND_TEXT);
    assert_int_equal(function(c, "one_json")->arguments[0].type->kind, PG_KIND_JSON);
    f = function(c, "odd \"name");
    assert_str(f->quoted, HS_STR("\"app\".\"odd \"\"name\""));
    assert_str(f->arguments[0].quoted, HS_STR("\"an \"\"arg\""));
    f = function(c, "proc");
    assert_true(f->is_procedure);
    assert_int_equal(f->n_arguments, 3);
    assert_str(f->arguments[1].name, HS_STR("b"));
    assert_true(f->arguments[2].has_default && !f->arguments[1].has_default);
    assert_int_equal(f->row->n_columns, 2);
    assert_str(f->row->columns[1].name, HS_STR("c"));
    assert_true(function(c, "quiet")->is_procedure && function(c, "quiet")->is_void);
}

static void test_lookup(const struct pg_catalog *c)
{
    static const char *const absent[] = {"for_trigger", "for_sum", "away", "no_row",
                                         "of_hidden",   "",        "man",  "zz"};
    size_t n;

    assert_non_null(pg_catalog_functions(c, HS_STR("app"), HS_STR("many"), &n));
    assert_int_equal(n, 3);
    assert_non_null(pg_catalog_functions(c, HS_STR("zoo"), HS_STR("many"), &n));
    assert_int_equal(n, 1);
    for (size_t i = 0; i < HS_LEN(absent); i++) {
        assert_null(pg_catalog_functions(c, HS_STR("app"), hs_str(absent[i]), &n));
        assert_int_equal(n, 0);
        assert_null(pg_catalog_functions(c, HS_STR("lib"), hs_str(absent[i]), &n));
        assert_null(pg_catalog_functions(c, HS_STR("hidden"), hs_str(absent[i]), &n));
    }
    assert_non_null(pg_catalog_relation_in(c, HS_STR("app"), HS_STR("t")));
    assert_null(pg_catalog_relation_in(c, HS_STR("zoo"), HS_STR("t")));
    assert_null(pg_catalog_relation_in(c, HS_STR("app"), HS_STR("zzz")));
}

/* The columns that the server makes of the call, by name and type. */
static void check_row(const struct pg_function *f, const char *arguments)
{
    char sql[256];
    PGresult *r;

    (void)snprintf(sql, sizeof(sql), "SELECT * FROM %.*s(%s)", HS_FMT(f->quoted), arguments);
    r = PQexec(world.owner, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(r));
    assert_int_equal(PQnfields(r), f->row->n_columns);
    for (int i = 0; i < PQnfields(r); i++) {
        const struct pg_column *column = &f->row->columns[i];

        assert_str(column->name, hs_str(PQfname(r, i)));
        assert_int_equal(column->type->base, PQftype(r, i));
        assert_int_equal(column->index, i);
        assert_ptr_equal(pg_relation_column(f->row, column->name), column);
        assert_true(column->quoted.n == column->name.n + 2);
        if (f->row->relkind == 'F')
            assert_int_equal(column->attnum, i + 1);
    }
    PQclear(r);
}

static void test_rows(const struct pg_catalog *c)
{
    static const struct {
        const char *name;
        const char *arguments;
        bool is_scalar;
        char relkind;
    } expected[] = {
        {"gives_t", "", false, 'r'},           {"gives_one_t", "", false, 'r'},
        {"gives_h", "", false, 'F'},           {"gives_pair", "", false, 'F'},
        {"gives_pair_2", "", false, 'F'},      {"gives_table", "1", false, 'F'},
        {"gives_table_1", "", false, 'F'},     {"gives_out", "", false, 'F'},
        {"gives_out_unnamed", "", false, 'F'}, {"gives_outs", "", false, 'F'},
        {"gives_out_pair", "", false, 'F'},    {"gives_table_pair", "", false, 'F'},
        {"gives_out_t", "", false, 'r'},       {"modes", "1, 'x', 2", false, 'F'},
        {"gives_scalar", "", true, 'F'},       {"gives_scalars", "", true, 'F'},
        {"gives_void", "", true, 'F'},
    };

    for (size_t i = 0; i < HS_LEN(expected); i++) {
        const struct pg_function *f = function(c, expected[i].name);

        if (f->is_scalar != expected[i].is_scalar || f->row->relkind != expected[i].relkind)
            fail_msg("%s: scalar %d, relkind %c", expected[i].name, f->is_scalar, f->row->relkind);
        check_row(f, expected[i].arguments);
    }
    assert_ptr_equal(function(c, "gives_t")->row, pg_catalog_relation(c, HS_STR("t")));
    assert_true(function(c, "gives_t")->is_set_returning);
    assert_int_equal(function(c, "gives_t")->rows_estimate, 7);
    assert_false(function(c, "gives_one_t")->is_set_returning);
    assert_int_equal(function(c, "gives_one_t")->rows_estimate, 0);
    assert_true(function(c, "gives_much")->rows_estimate >= 1000000);
    assert_true(function(c, "gives_void")->is_void && !function(c, "gives_scalar")->is_void);
    assert_true(function(c, "gives_record")->is_scalar);
    assert_int_equal(function(c, "gives_h")->volatility, 'i');
    assert_int_equal(function(c, "gives_h")->row->readers, PLAIN | OTHER | GOD);
    assert_int_equal(function(c, "gives_h")->row->columns[0].readers, PLAIN | OTHER | GOD);
    assert_false(function(c, "gives_h")->row->depend.is_known);
}

static void test_computed(const struct pg_catalog *c)
{
    static const char *const of_t[] = {"a_field", "its_only_u", "its_self", "its_u",
                                       "its_us",  "z_field",    "lib_field"};
    static const char *const of_none[] = {"no_set",  "no_void",   "no_table", "no_two",
                                          "no_proc", "no_hidden", "defaults", "gives_t"};
    const struct pg_relation *t = pg_catalog_relation(c, HS_STR("t"));
    const struct pg_relation *v = pg_catalog_relation(c, HS_STR("v"));

    assert_int_equal(t->n_computed, HS_LEN(of_t));
    for (size_t i = 0; i < HS_LEN(of_t); i++) {
        assert_str(t->computed[i]->name, hs_str(of_t[i]));
        assert_ptr_equal(t->computed[i]->of, t);
    }
    for (size_t i = 0; i < HS_LEN(of_none); i++)
        assert_null(function(c, of_none[i])->of);
    assert_int_equal(v->n_computed, 1);
    assert_ptr_equal(v->computed[0], function(c, "of_view"));
    assert_int_equal(pg_catalog_relation(c, HS_STR("u"))->n_computed, 0);
    assert_true(function(c, "a_field")->is_scalar && !function(c, "its_u")->is_scalar);
    assert_ptr_equal(function(c, "its_u")->row, pg_catalog_relation(c, HS_STR("u")));
    assert_int_equal(function(c, "its_u")->rows_estimate, 1);
    assert_ptr_equal(in(c, "lib", "lib_field")->of, t);
}

static void test_rights_and_settings(const struct pg_catalog *c)
{
    const struct pg_function *sets = function(c, "sets");

    assert_int_equal(function(c, "many")->callers, PLAIN | OTHER | GOD);
    assert_int_equal(function(c, "revoked")->callers, 0);
    assert_int_equal(function(c, "granted")->callers, PLAIN);
    assert_int_equal(in(c, "closed", "inside")->callers, GOD);
    assert_str(function(c, "granted")->comment, HS_STR("for some"));
    assert_int_equal(function(c, "many")->comment.n, 0);
    assert_int_equal(sets->n_settings, 3);
    assert_str(sets->settings[0].name, HS_STR("statement_timeout"));
    assert_str(sets->settings[0].value, HS_STR("4s"));
    assert_str(sets->settings[1].value, HS_STR("app, \"a=b\""));
    assert_str(sets->settings[2].name, HS_STR("app.empty"));
    assert_str(sets->settings[2].value, HS_STR(""));
    assert_int_equal(function(c, "many")->n_settings, 0);
}

static const struct pg_media_handler *handler(const struct pg_catalog *c, const char *name)
{
    for (size_t i = 0; i < c->n_media_handlers; i++) {
        if (hs_str_is(c->media_handlers[i].name, name))
            return &c->media_handlers[i];
    }
    fail_msg("no handler %s", name);
    return NULL;
}

/* as_xml, any_agg, t_agg; the functions that these aggregates are made of return such domains as well. */
static void test_media_handlers(const struct pg_catalog *c)
{
    const struct pg_media_handler *xml = handler(c, "as_xml");
    const struct pg_media_handler *any = handler(c, "any_agg");
    const struct pg_media_handler *t = handler(c, "t_agg");

    assert_int_equal(c->n_media_handlers, 6);
    assert_str(xml->media_type, HS_STR("text/xml"));
    assert_ptr_equal(xml->function, function(c, "as_xml"));
    assert_ptr_equal(xml->type, xml->function->returns);
    assert_true(xml->function->is_scalar && xml->type->is_domain);
    assert_str(any->media_type, HS_STR("*/*"));
    assert_true(!any->function && !any->of);
    assert_str(any->quoted, HS_STR("\"app\".\"any_agg\""));
    assert_int_equal(any->callers, PLAIN | OTHER | GOD);
    assert_str(t->media_type, HS_STR("application/vnd.x+json"));
    assert_ptr_equal(t->of, pg_catalog_relation(c, HS_STR("t")));
    assert_int_equal(t->callers, 0);
    for (size_t i = 1; i < c->n_media_handlers; i++)
        assert_true(
            hs_str_cmp(c->media_handlers[i - 1].media_type, c->media_handlers[i].media_type) <= 0);
}

static void test_functions(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog *c = catalog_world_read_once(&setup);

    (void)state;
    test_arguments(c);
    test_lookup(c);
    test_rows(c);
    test_computed(c);
    test_rights_and_settings(c);
    test_media_handlers(c);
    pg_catalog_unref(c);
}

static const char *const changes[] = {
    "CREATE FUNCTION app.fresh(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION app.fresh(a int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION app.fresh(a int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION app.fresh SET work_mem = '5MB'",
    "ALTER FUNCTION app.fresh STABLE",
    "COMMENT ON FUNCTION app.fresh IS 'new'",
    "COMMENT ON FUNCTION app.fresh IS 'newer'",
    "COMMENT ON FUNCTION app.fresh IS NULL",
    "REVOKE EXECUTE ON FUNCTION app.fresh FROM PUBLIC",
    "DROP FUNCTION app.fresh",
    "CREATE PROCEDURE app.fresh() LANGUAGE sql AS ''",
    "ALTER TYPE app.pair ADD ATTRIBUTE c int",
    "CREATE DOMAIN app.\"image/png\" AS bytea",
};

static void test_changes(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog_reader *reader = catalog_world_reader(&setup);

    (void)state;
    pg_catalog_unref(catalog_world_read(reader));
    for (size_t i = 0; i < HS_LEN(changes); i++) {
        struct hs_err err;
        bool changed = false;

        (void)pg_cluster_exec(world.owner, changes[i]);
        assert_int_equal(pg_catalog_watch(reader, 0, -1, &changed, &err), HS_OK);
        if (!changed)
            fail_msg("not noticed: %s", changes[i]);
        pg_catalog_unref(catalog_world_read(reader));
    }
    pg_catalog_reader_free(reader);
}

static bool read_once(void *arg)
{
    struct pg_catalog *c;
    struct hs_err err;
    hs_status status = pg_catalog_read(arg, &c, &err);

    if (status == HS_OK) {
        pg_catalog_unref(c);
        return true;
    }
    assert_int_equal(status, HS_E_MEMORY);
    return false;
}

static void test_short_memory(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog_reader *reader = catalog_world_reader(&setup);

    (void)state;
    pg_catalog_unref(catalog_world_read(reader));
    fault_each(read_once, reader);
    pg_catalog_reader_free(reader);
}

static int set_up(void **state)
{
    (void)state;
    catalog_world_open(&world, schema_sql);
    (void)pg_cluster_exec(world.owner, more_sql);
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
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_short_memory),
        cmocka_unit_test(test_changes),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
