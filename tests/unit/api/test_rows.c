/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows to JSON against the database itself: for every type below, alone, in arrays, in composites and in
 * both nested, values are drawn at random in SQL, and what we write must be what to_json() writes, byte
 * for byte; whole rows must be what row_to_json() writes. In three time zones, since offsets differ.
 */
#include "api/rows.h"

#include <libpq-fe.h>

#include "core/json.h"
#include "fault.h"
#include "pg/catalog_world.h"
#include "pg/pool_int.h"
#include "test.h"

enum { ROWS = 40, OUT_MAX = 64 << 20 };

static struct catalog_world world;
static struct pg_catalog *catalog;

struct base {
    const char *type;
    const char *value; /* SQL, volatile */
};

/* pick() takes one of a list of literals at random; words() makes nasty text. */
static const struct base bases[] = {
    {"bool", "random() < 0.5"},
    {"int2", "pick('0|-1|32767|-32768|7')"},
    {"int4", "pick('0|-1|2147483647|-2147483648|42')"},
    {"int8", "pick('0|-1|9223372036854775807|-9223372036854775808|9007199254740993')"},
    {"float4", "pick('NaN|Infinity|-Infinity|-0|0|1e30|1.17549e-38|3.1415927|0.1|1e15|123456')"},
    {"float8",
     "pick('NaN|Infinity|-Infinity|-0|0|1e300|2.2250738585072014e-308|0.1|1e15|1e16|-123.456')"},
    {"numeric",
     "pick('NaN|Infinity|-Infinity|0|0.00|-0.000000000000000000000000001|1e400|12345678901234567890.12345')"},
    {"numeric(10,2)", "pick('NaN|0|-1|12345678.90')"},
    {"text", "words()"},
    {"varchar(30)", "words()::varchar(30)"},
    {"char(9)", "words()::char(9)"},
    {"name", "left(words(), 15)::name"},
    {"\"char\"", "pick('a| |\"|\\|,|NULL')"},
    {"uuid", "gen_random_uuid()"},
    {"inet", "pick('127.0.0.1|::1|10.0.0.0/8')"},
    {"cidr", "pick('10.0.0.0/8')"},
    {"macaddr", "pick('08:00:2b:01:02:03')"},
    {"money", "pick('$1,234.50|-3')"},
    {"interval", "pick('1 day|-3 years 2 mons 04:05:06.789|0|1000000 hours')"},
    {"bit(5)", "pick('10101')"},
    {"varbit", "pick('1||111000')"},
    {"oid", "pick('0|1|4294967295')"},
    {"regclass", "pick('pg_class|pg_catalog.pg_type')"},
    {"pg_lsn", "pick('16/B374D848')"},
    {"xid", "pick('5')"},
    {"xml", "pick('<a b=\"c\">d</a>|<x/>')"},
    {"tsvector", "to_tsvector('simple', words())"},
    {"tsquery", "pick('a & b|!c & ''d e''')"},
    {"jsonpath", "pick('$.a ? (@ > 1)')"},
    {"point", "pick('(1,2)|(-1.5,1e300)')"},
    {"box", "pick('(3,4),(1,2)')"},
    {"path", "pick('[(0,0),(1,1)]|((0,0),(1,1))')"},
    {"polygon", "pick('((0,0),(1,1),(2,0))')"},
    {"circle", "pick('<(1,2),3>')"},
    {"int2vector", "pick('|1|1 2 -3')"},
    {"oidvector", "pick('|1|1 2 3')"},
    {"date",
     "pick('2024-02-29|0001-01-01|0044-03-15 BC|infinity|-infinity|4713-01-01 BC|5874897-12-31')"},
    {"time", "pick('00:00|24:00|12:34:56.789012')"},
    {"timetz", "pick('12:34:56+05:30|00:00-15:59:59|1:2:3.5+0')"},
    {"timestamp",
     "pick('2024-02-29 01:02:03|2024-01-01 00:00:00.000001|0044-03-15 10:00 BC|infinity|-infinity"
     "|294276-12-31 23:59:59.999999|4714-11-24 BC')"},
    {"timestamp(0)", "pick('2024-02-29 01:02:03')"},
    {"timestamptz",
     "pick('2024-02-29 01:02:03+00|1880-01-01 00:00:00.5+00|1200-01-01+00|0044-03-15 10:00+00 BC"
     "|infinity|-infinity|294276-12-30 23:59:59.999999+00|2024-07-01 12:00-03:30')"},
    {"json", "nasty_json()::json"},
    {"jsonb", "nasty_json()::jsonb"},
    {"bytea", "pick('|\\x00ff22')"},
    {"bytea", "convert_to(words(), 'UTF8')"},
    {"mood", "pick('sad|so, \"so\"|{hap\\py}| null |NULL_')"},
    {"d_int8", "pick('1|-9223372036854775808')"},
    {"d_text_2", "words()"},
    {"d_stamp", "pick('2020-01-01 00:00+00')"},
    {"int4range", "pick('empty|[1,5)|(,)|[3,)')"},
    {"numrange", "pick('[1.10,2.5]')"},
    {"tstzrange", "pick('[2020-01-01 00:00+00,2021-01-01 00:00+00)')"},
    {"text_range", "text_range(least(words(), 'a'), NULL)"},
    {"int4multirange", "pick('{}|{[1,2),[5,9)}')"},
    {"d_array", "ARRAY[words(), NULL, '']::d_array"},
    {"d_comp", "ROW(words(), 1)::d_comp"},
    {"big_comp",
     "ROW(words(), NULL, ARRAY[words(), words()], ARRAY[[1, 2], [3, NULL]], 1.50)::big_comp"},
    {"no_fields", "ROW()::no_fields"},
    {"lib.citext", "words()::lib.citext"},
    {"d_int8[]", "ARRAY[1, NULL]::d_int8[]"},
    {"d_array[]", "pick('{\"{a,\\\"b c\\\",NULL}\",NULL,\"{}\"}')"},
};

static const char helpers[] =
    "CREATE ROLE login LOGIN; CREATE ROLE maker; CREATE SCHEMA app; CREATE SCHEMA lib; CREATE EXTENSION citext SCHEMA lib; SET search_path = app, lib;"
    /* A plpgsql RETURN casts text by the type's input function. */
    "CREATE FUNCTION pick(text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$"
    " DECLARE a text[] := string_to_array($1, '|'); BEGIN RETURN a[1 + floor(random() * cardinality(a))::int]; END $$;"
    "CREATE FUNCTION words() RETURNS text LANGUAGE plpgsql VOLATILE AS $$"
    " DECLARE r text := ''; n int := floor(random() * 12); a text[] := ARRAY['a', 'NULL', 'null', '\"', '\\', '{', '}', '(', ')', ',', ';',"
    "  ' ', E'\\t', E'\\n', E'\\r', E'\\f', E'\\b', E'\\v', E'\\x01', E'\\x1f', E'\\x7f', 'é', '\xe2\x82\xac', '\xf0\x9f\x98\x80', '\xe2\x80\xa8', '/', '''', '[0:1]=', '='];"
    " BEGIN IF random() < 0.1 THEN RETURN 'NULL'; END IF;"
    "  FOR i IN 1..n LOOP r := r || CASE WHEN random() < 0.2 THEN chr(1 + floor(random() * 127)::int)"
    "    ELSE a[1 + floor(random() * cardinality(a))::int] END; END LOOP; RETURN r; END $$;"
    "CREATE FUNCTION nasty_json() RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN"
    " RETURN app.pick($x$1|null|true|\"\\\"a\\\\u0001b\"| {  \"a\" : [ 1 , 2.50, { } ] }  |[]|\"\\\\\\\"\"$x$)"
    " ; END $$;"
    "CREATE TYPE mood AS ENUM ('sad', 'so, \"so\"', '{hap\\py}', ' null ', 'NULL_'); CREATE TYPE text_range AS RANGE (subtype = text);"
    "CREATE DOMAIN d_int8 AS int8; CREATE DOMAIN d_text AS text; CREATE DOMAIN d_text_2 AS d_text; CREATE DOMAIN d_stamp AS timestamptz;"
    "CREATE DOMAIN d_array AS text[]; CREATE TYPE comp AS (a text, b int8); CREATE DOMAIN d_comp AS comp; CREATE TYPE no_fields AS ();"
    "CREATE TYPE big_comp AS (\"odd \"\"name\\, (x)\" text, c comp, gone int, words text[], grid int[]); ALTER TYPE big_comp DROP ATTRIBUTE gone;"
    "ALTER TYPE big_comp ADD ATTRIBUTE late numeric";

static void sql_f(const char *fmt, ...) hs_printf_like(1, 2);
static void sql_f(const char *fmt, ...)
{
    char text[8192];
    va_list args;

    va_start(args, fmt);
    assert_true(vsnprintf(text, sizeof(text), fmt, args) < (int)sizeof(text));
    va_end(args);
    (void)pg_cluster_exec(world.owner, text);
}

/* Polymorphic array functions do not take these as elements. */
static bool is_array(const char *type)
{
    return strchr(type, '[') || strcmp(type, "d_array") == 0;
}

static void make_table(size_t i)
{
    const char *t = bases[i].type;
    char v[512];

    (void)snprintf(v, sizeof(v), "(%s)::%s", bases[i].value, t);
    sql_f("CREATE TYPE c%zu AS (a %s, \"B\"\"b\" %s%s, c text)", i, t, t, is_array(t) ? "" : "[]");
    sql_f("CREATE TYPE n%zu AS (x c%zu, xs c%zu[], y int8)", i, i, i);
    if (is_array(t)) {
        sql_f("CREATE TABLE t%zu (v %s, c c%zu, cs c%zu[], n n%zu, ns n%zu[])", i, t, i, i, i, i);
        sql_f(
            "DO $$ DECLARE e c%zu; BEGIN FOR i IN 1..%d LOOP e := ROW(%s, %s, words());"
            " INSERT INTO t%zu VALUES (%s, e, ARRAY[e, NULL], ROW(e, ARRAY[e, e], i), ARRAY[ROW(e, ARRAY[e], 5)::n%zu]);"
            " END LOOP; END $$",
            i, ROWS, v, v, i, v, i);
        return;
    }
    sql_f(
        "CREATE TABLE t%zu (v %s, a %s[], a2 %s[], a3 %s[], c c%zu, cs c%zu[], n n%zu, ns n%zu[])",
        i, t, t, t, t, i, i, i, i);
    sql_f(
        "DO $$ DECLARE e c%zu; f c%zu; x %s[]; BEGIN FOR i IN 1..%d LOOP x := '{}';"
        " FOR j IN 1..floor(random() * 4) LOOP x := array_append(x, CASE WHEN random() < 0.2 THEN NULL ELSE %s END); END LOOP;"
        " e := ROW(CASE WHEN random() < 0.2 THEN NULL ELSE %s END, x, words()); f := ROW(%s, NULL, NULL);"
        " INSERT INTO t%zu VALUES (%s, x, array_fill(%s, ARRAY[2, 1, 2], ARRAY[-3, 4, 1]),"
        "  array_cat(array_append(NULL::%s[], %s), x), e, ARRAY[e, NULL, f],"
        "  ROW(e, ARRAY[[e, f], [f, e]], i), ARRAY[ROW(f, ARRAY[e], -5)::n%zu, NULL]); END LOOP;"
        " INSERT INTO t%zu VALUES (NULL); END $$",
        i, i, t, ROWS, v, v, v, i, v, v, t, v, i, i);
}

static const struct pg_relation *table(size_t i)
{
    char name[16];
    const struct pg_relation *r;

    (void)snprintf(name, sizeof(name), "t%zu", i);
    r = pg_catalog_relation(catalog, hs_str(name));
    assert_non_null(r);
    return r;
}

static PGresult *query(const char *sql)
{
    PGresult *r = PQexec(world.owner, sql);

    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(world.owner));
    return r;
}

/* The columns of a relation, with their keys; the count is returned. */
static size_t columns_of(const struct pg_relation *r, struct api_out_column *to, char (*keys)[80])
{
    for (size_t i = 0; i < r->n_columns; i++) {
        (void)snprintf(keys[i], 80, "\"%.*s\":", HS_FMT(r->columns[i].name));
        to[i] = (struct api_out_column){.key = hs_str(keys[i]), .type = r->columns[i].type};
    }
    return r->n_columns;
}

static void check_values(size_t i)
{
    const struct pg_relation *r = table(i);
    const struct api_rows_opts opts = {0};

    for (size_t c = 0; c < r->n_columns; c++) {
        char sql[256];
        struct hs_buf out;
        PGresult *rows;

        (void)snprintf(sql, sizeof(sql),
                       "SELECT %.*s, coalesce(to_json(%.*s)::text, 'null') FROM t%zu",
                       HS_FMT(r->columns[c].name), HS_FMT(r->columns[c].name), i);
        rows = query(sql);
        hs_buf_init(&out, OUT_MAX);
        for (int row = 0; row < PQntuples(rows); row++) {
            struct hs_str text = PQgetisnull(rows, row, 0) ? HS_STR_NULL
                                                           : hs_str(PQgetvalue(rows, row, 0));

            hs_buf_clear(&out);
            api_value_write(&out, r->columns[c].type, text, &opts);
            if (!hs_str_is(hs_buf_str(&out), PQgetvalue(rows, row, 1)))
                fail_msg("%s, column %.*s: %.*s\n  wrote  %.*s\n  to_json %s", bases[i].type,
                         HS_FMT(r->columns[c].name), HS_FMT(text), HS_FMT(hs_buf_str(&out)),
                         PQgetvalue(rows, row, 1));
        }
        hs_buf_fini(&out);
        PQclear(rows);
    }
}

static void check_rows(size_t i)
{
    const struct pg_relation *r = table(i);
    const struct api_rows_opts opts = {0};
    struct api_out_column cols[16];
    char keys[16][80];
    char sql[256];
    struct hs_buf out;
    struct hs_buf expected;
    size_t n = columns_of(r, cols, keys);
    PGresult *result;
    struct pg_rows rows;

    (void)snprintf(sql, sizeof(sql), "SELECT t.*, row_to_json(t) FROM t%zu t", i);
    result = query(sql);
    rows = pg_rows_all(result);
    hs_buf_init(&out, OUT_MAX);
    hs_buf_init(&expected, OUT_MAX);
    for (size_t row = 0; row < pg_rows_count(&rows); row++) {
        hs_buf_add(&expected, row ? HS_STR(",") : HS_STR("["));
        hs_buf_add(&expected, pg_rows_value(&rows, row, n));
    }
    hs_buf_add_char(&expected, ']');
    api_rows_write(&out, &rows, 0, pg_rows_count(&rows), cols, n, &opts);
    assert_str(hs_buf_str(&out), hs_buf_str(&expected));
    hs_buf_fini(&out);
    hs_buf_fini(&expected);
    PQclear(result);
}

static void test_like_to_json(void **state)
{
    static const char *const zones[] = {"UTC", "Asia/Kolkata", "Europe/Amsterdam"};

    (void)state;
    for (size_t z = 0; z < HS_LEN(zones); z++) {
        sql_f("SET TimeZone = '%s'", zones[z]);
        for (size_t i = 0; i < HS_LEN(bases); i++) {
            check_values(i);
            check_rows(i);
        }
    }
    sql_f("SET TimeZone = 'UTC'");
}

/* Every character that UTF-8 and PostgreSQL allow, alone, in an array and in a composite. */
static void test_every_character(void **state)
{
    const struct api_rows_opts opts = {0};
    PGresult *rows = query(
        "SELECT ARRAY[ROW(chr(c), c)::comp], to_json(ARRAY[ROW(chr(c), c)::comp]) FROM generate_series(1, 1114111) c"
        " WHERE (c < 55296 OR c > 57343) AND (c < 3000 OR c % 97 = 0 OR c > 1114100)");
    const struct pg_relation *r = NULL;
    const struct pg_type *type = NULL;
    struct hs_buf out;

    (void)state;
    sql_f("SELECT 1");
    r = pg_catalog_relation(catalog, HS_STR("comps"));
    assert_non_null(r);
    type = r->columns[0].type;
    hs_buf_init(&out, OUT_MAX);
    assert_true(PQntuples(rows) > 10000);
    for (int row = 0; row < PQntuples(rows); row++) {
        hs_buf_clear(&out);
        api_value_write(&out, type, hs_str(PQgetvalue(rows, row, 0)), &opts);
        assert_str(hs_buf_str(&out), hs_str(PQgetvalue(rows, row, 1)));
    }
    hs_buf_fini(&out);
    PQclear(rows);
}

static void test_options(void **state)
{
    struct pg_rows rows;
    PGresult *result = query(
        "SELECT 1::int8, NULL, '{1,NULL}'::int8[], '{\"b\": 1}', ROW(NULL, 5)::comp");
    const struct pg_relation *r = pg_catalog_relation(catalog, HS_STR("typed"));
    const struct api_out_column cols[] = {
        {.key = HS_STR("\"a\":"), .type = r->columns[0].type},
        {.key = HS_STR("\"b\":"), .type = r->columns[1].type},
        {.key = HS_STR("\"c\":"), .type = r->columns[2].type},
        {.key = HS_STR("\"d\":"), .is_json_ready = true},
        {.key = HS_STR("\"e\":"), .type = r->columns[3].type},
    };
    const struct api_rows_opts plain = {0};
    const struct api_rows_opts both = {.omit_nulls = true, .int8_as_string = true};
    struct hs_buf out;

    (void)state;
    rows = pg_rows_all(result);
    hs_buf_init(&out, OUT_MAX);
    api_row_write(&out, &rows, 0, cols, 5, &plain);
    assert_str(
        hs_buf_str(&out),
        HS_STR("{\"a\":1,\"b\":null,\"c\":[1,null],\"d\":{\"b\": 1},\"e\":{\"a\":null,\"b\":5}}"));
    hs_buf_clear(&out);
    api_rows_write(&out, &rows, 0, 1, cols, 5, &both);
    assert_str(
        hs_buf_str(&out),
        HS_STR(
            "[{\"a\":\"1\",\"c\":[\"1\",null],\"d\":{\"b\": 1},\"e\":{\"a\":null,\"b\":\"5\"}}]"));
    hs_buf_clear(&out);
    api_rows_write(&out, &rows, 1, 1, cols, 5, &both);
    assert_str(hs_buf_str(&out), HS_STR("[]"));
    hs_buf_clear(&out);
    api_row_write(&out, &rows, 0, cols + 1, 0, &both);
    assert_str(hs_buf_str(&out), HS_STR("{}"));
    hs_buf_fini(&out);
    /* Past the buffer's maximum: said once, at the end. */
    hs_buf_init(&out, 20);
    api_rows_write(&out, &rows, 0, 1, cols, 5, &plain);
    assert_true(hs_buf_failed(&out));
    hs_buf_fini(&out);
    PQclear(result);
}

/* What no output function writes becomes a string of itself. */
static void test_malformed(void **state)
{
    static const char *const arrays[] = {"",
                                         "{",
                                         "}",
                                         "{1",
                                         "{1,",
                                         "{1,}",
                                         "{,1}",
                                         "{1}x",
                                         "{1}}",
                                         "{{1}",
                                         "{1 {2}}",
                                         "[0:1]",
                                         "[",
                                         "1",
                                         "{\"",
                                         "{\"a\\",
                                         "{\"a\"b}",
                                         "{a\"b\"}",
                                         "{{{{{{{1}}}}}}}",
                                         "{}{}"};
    static const char *const composites[] = {"",       "(",          ")",   "(,",
                                             "(,)x",   "(a,1,2)",    "(a)", "(\"a,1)",
                                             "(\"a\\", "(\"a\"b,1)", "a,1", "(a(,1)"};
    const struct api_rows_opts opts = {0};
    const struct pg_relation *r = pg_catalog_relation(catalog, HS_STR("typed"));
    struct hs_buf out;
    struct hs_buf expected;

    (void)state;
    hs_buf_init(&out, OUT_MAX);
    hs_buf_init(&expected, OUT_MAX);
    for (size_t i = 0; i < HS_LEN(arrays) + HS_LEN(composites); i++) {
        bool is_array = i < HS_LEN(arrays);
        struct hs_str text = hs_str(is_array ? arrays[i] : composites[i - HS_LEN(arrays)]);

        hs_buf_clear(&out);
        hs_buf_clear(&expected);
        hs_json_string(&expected, text);
        api_value_write(&out, r->columns[is_array ? 2 : 3].type, text, &opts);
        assert_str(hs_buf_str(&out), hs_buf_str(&expected));
    }
    hs_buf_fini(&out);
    hs_buf_fini(&expected);
}

static bool write_once(void *arg)
{
    const struct api_rows_opts opts = {0};
    struct hs_buf out;
    bool done;

    hs_buf_init(&out, OUT_MAX);
    api_value_write(&out, arg, HS_STR("{\"(\\\"a \\\"\\\"b\\\"\\\"\\\",1)\",NULL}"), &opts);
    done = !hs_buf_failed(&out);
    if (done)
        assert_str(hs_buf_str(&out), HS_STR("[{\"a\":\"a \\\"b\\\"\",\"b\":1},null]"));
    hs_buf_fini(&out);
    return done;
}

static void test_short_memory(void **state)
{
    struct pg_type type = *pg_catalog_relation(catalog, HS_STR("comps"))->columns[0].type;

    (void)state;
    fault_each(write_once, &type);
}

static void read_catalog(void)
{
    static const struct hs_str schema = {"app", 3};
    struct pg_catalog_setup setup = catalog_world_setup(&world, "login", &schema, 1);

    catalog = catalog_world_read_once(&setup);
}

static int set_up(void **state)
{
    struct hs_rng rng = test_rng();

    (void)state;
    catalog_world_open(&world, helpers);
    sql_f("CREATE TABLE comps (c comp[]); CREATE TABLE typed (a int8, b text, c int8[], d comp)");
    sql_f("SELECT setseed(%f)", (double)hs_rng_below(&rng, 1000000) / 1000000);
    for (size_t i = 0; i < HS_LEN(bases); i++)
        make_table(i);
    read_catalog();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pg_catalog_unref(catalog);
    catalog_world_close(&world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_to_json), cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_options),      cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_short_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
