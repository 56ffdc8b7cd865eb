/* SPDX-License-Identifier: Apache-2.0 */
/* Files of named queries: the head, where parameters stand, what is refused and on which line. */
#include "api/named_file.h"
#include <stdio.h>

#include "test.h"

static struct hs_arena arena;

static int make_arena(void **state)
{
    (void)state;
    hs_arena_init(&arena, 16 << 20);
    return 0;
}

static int end_arena(void **state)
{
    (void)state;
    hs_arena_fini(&arena);
    return 0;
}

static struct named_file read_file(const char *text)
{
    struct named_file file;
    struct hs_err err;

    if (named_file_read(HS_STR("api/day.sql"), hs_str(text), &arena, &file, &err) != HS_OK)
        fail_msg("%s", err.what);
    return file;
}

static void assert_refused(const char *text, const char *what)
{
    struct named_file file;
    struct hs_err err;

    assert_int_equal(named_file_read(HS_STR("api/day.sql"), hs_str(text), &arena, &file, &err),
                     HS_E_CONFIG);
    assert_string_equal(err.what, what);
}

static void test_head(void **state)
{
    struct named_file f = read_file("-- name: of-day\r\n"
                                    "--description: What is\n"
                                    "-- description: planned.\n"
                                    "-- A comment: this.\n"
                                    "\n"
                                    "-- param day date = 2026-07-01 -- the day\n"
                                    "-- param: words text[] = '{a,b''c --}'\n"
                                    "-- param who app.\"Mood\" ? -- of whom\n"
                                    "-- param n numeric(12,2)\n"
                                    "-- param z text = NULL\n"
                                    "-- role: staff, \tadmin\n"
                                    "-- method: post\n"
                                    "-- cache: 30s\n"
                                    "-- one: true\n"
                                    "SELECT :day, :words, :who, :n, :z");

    (void)state;
    assert_true(hs_str_is(f.name, "of-day"));
    assert_true(hs_str_is(f.description, "What is planned."));
    assert_int_equal(f.n_params, 5);
    assert_true(hs_str_is(f.params[0].value, "2026-07-01"));
    assert_true(hs_str_is(f.params[0].description, "the day"));
    assert_true(hs_str_is(f.params[1].type, "text[]"));
    assert_true(hs_str_is(f.params[1].value, "{a,b'c --}"));
    assert_true(hs_str_is(f.params[2].type, "app.\"Mood\""));
    assert_true(f.params[2].has_default && !f.params[2].value.p);
    assert_true(hs_str_is(f.params[2].description, "of whom"));
    assert_false(f.params[3].has_default);
    assert_true(hs_str_is(f.params[3].type, "numeric(12,2)"));
    assert_true(f.params[4].has_default && !f.params[4].value.p);
    assert_int_equal(f.n_roles, 2);
    assert_true(hs_str_is(f.roles[1], "admin"));
    assert_int_equal(f.method, NAMED_METHOD_POST);
    assert_true(f.has_ttl && f.ttl == 30 * HS_SECOND && f.is_one);
    assert_true(hs_str_is(f.sql, "SELECT ($1::date), ($2::text[]), ($3::app.\"Mood\"), "
                                 "($4::numeric(12,2)), ($5::text)"));
    assert_true(hs_str_is(read_file("SELECT 1").name, "day"));
}

static void test_colons(void **state)
{
    static const struct {
        const char *sql;
        const char *is;
    } cases[] = {
        {"SELECT :a::text", "SELECT ($1::int)::text"},
        {"SELECT ':a', \":a\", :a", "SELECT ':a', \":a\", ($1::int)"},
        {"SELECT 'it''s :a' || :a", "SELECT 'it''s :a' || ($1::int)"},
        {"SELECT E'\\':a', e'\\\\' , :a", "SELECT E'\\':a', e'\\\\' , ($1::int)"},
        {"SELECT E'x'\n '\\':a', :a", "SELECT E'x'\n '\\':a', ($1::int)"},
        {"SELECT 'x'\n '\\', :a", "SELECT 'x'\n '\\', ($1::int)"},
        {"SELECT $$ :a $$, $x$ $$ :a $y$ $x$, :a", "SELECT $$ :a $$, $x$ $$ :a $y$ $x$, ($1::int)"},
        {"SELECT a$b$c, :a, d$b$e", "SELECT a$b$c, ($1::int), d$b$e"},
        {"SELECT /* :a /* :a */ :a */ :a -- :a", "SELECT /* :a /* :a */ :a */ ($1::int) -- :a"},
        {"SELECT t.x[1:a], :a", "SELECT t.x[1:a], ($1::int)"},
        {"SELECT x[:a]", "SELECT x[($1::int)]"},
        {"SELECT x[1: :a]", "SELECT x[1: ($1::int)]"},
        {"SELECT x[f(y):a], x[f(:a)]", "SELECT x[f(y):a], x[f(($1::int))]"},
        {"SELECT ARRAY[CASE WHEN true THEN :a END]",
         "SELECT ARRAY[CASE WHEN true THEN ($1::int) END]"},
        {"SELECT f(b := :a), f(b:=1)", "SELECT f(b := ($1::int)), f(b:=1)"},
        {"SELECT :a;\n-- end\n/* of it */ ", "SELECT ($1::int)"},
        {"SELECT \xc3\xa4:a", "SELECT \xc3\xa4($1::int)"},
        {"(SELECT :a)", "(SELECT ($1::int))"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(cases); i++) {
        struct named_file f = read_file(
            hs_arena_printf(&arena, "-- param a int\n%s", cases[i].sql).p);

        assert_string_equal(f.sql.p, cases[i].is);
        assert_true(f.is_read);
    }
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused("SELECT :b", "api/day.sql:1: the parameter :b is not declared");
    assert_refused("-- param a int\n\nSELECT 1", "api/day.sql:3: the parameter :a is not used");
    assert_refused("-- param a int\n-- param a int\nSELECT :a",
                   "api/day.sql:2: the parameter :a is declared twice");
    assert_refused("-- param a\nSELECT :a", "api/day.sql:1: a parameter has no name or no type");
    assert_refused("SELECT 1;\nSELECT 2", "api/day.sql:2: a second statement follows");
    assert_refused("SELECT $1", "api/day.sql:1: a parameter is written with $");
    assert_refused("\n\nSELECT 'a", "api/day.sql:3: a string has no end");
    assert_refused("SELECT $x$ $$", "api/day.sql:1: $x$ has no end");
    assert_refused("SELECT 1 /* /* */", "api/day.sql:1: a comment has no end");
    assert_refused("COMMIT",
                   "api/day.sql:1: the statement begins with \"COMMIT\", not with SELECT, "
                   "WITH, VALUES, TABLE, INSERT, UPDATE, DELETE or MERGE");
    assert_refused("-- roll: x\nSELECT 1",
                   "api/day.sql:1: there is no \"roll\" in the head of a query");
    assert_refused("-- name: a b\nSELECT 1", "api/day.sql:1: bad name \"a b\"");
    assert_refused("-- cache: 30\nSELECT 1",
                   "api/day.sql:1: `cache` is neither a time with a unit nor `none`");
    assert_refused("-- method: PUT\nSELECT 1", "api/day.sql:1: the method is neither GET nor POST");
    assert_refused("-- method: get\nWITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x",
                   "api/day.sql:2: it writes, and GET is for queries that read");
    assert_refused("-- only words\n", "api/day.sql:2: there is no statement");
    assert_refused("SELECT '\xff'", "api/day.sql:1: the file is not UTF-8 text");
}

/* What PostgreSQL complains about by character is found again in the file. */
static void test_places(void **state)
{
    struct named_file f = read_file("-- param a int\n"
                                    "-- param b text\n"
                                    "SELECT '\xc3\xa4\xc3\xa4', :a,\n"
                                    "  :b,\n"
                                    "  wrong\n");
    struct hs_str wrong = HS_STR("wrong");
    size_t at = 0;
    size_t character = 1;

    (void)state;
    while (!hs_str_starts(hs_str_sub(f.sql, at, f.sql.n), wrong))
        character += ((unsigned char)f.sql.p[++at] & 0xc0) != 0x80;
    assert_int_equal(named_file_line(&f, character), 5);
    assert_int_equal(named_file_line(&f, 1), 3);
    assert_int_equal(named_file_line(&f, character - 5), 4);
    assert_int_equal(named_file_line(&f, 0), 3);
}

static void test_limits(void **state)
{
    char *deep = hs_arena_zalloc(&arena, 1, 2048);
    char *many = hs_arena_zalloc(&arena, 1, NAMED_FILE_MAX);
    size_t n = 0;

    (void)state;
    memcpy(deep, "SELECT ", 7);
    memset(deep + 7, '(', NAMED_NESTING_MAX + 1);
    assert_refused(deep, "api/day.sql:1: parentheses are nested more than 256 deep");
    for (int i = 0; i <= NAMED_PARAMS_MAX; i++)
        n += (size_t)sprintf(many + n, "-- param p%d int\n", i);
    assert_refused(many, "api/day.sql:65: there are more than 64 parameters");
    many = hs_arena_zalloc(&arena, 1, NAMED_FILE_MAX + 2);
    memset(many, ' ', NAMED_FILE_MAX + 1);
    assert_refused(many, "api/day.sql:1: the file is longer than 64 KiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),    cmocka_unit_test(test_colons),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_places),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, make_arena, end_arena);
}
