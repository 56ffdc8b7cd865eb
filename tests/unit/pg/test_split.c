/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/split: where statements end, and what each is. What PostgreSQL itself makes of such scripts is seen in
 * tests/e2e.
 */
#include "test.h"

#include "pg/split.h"

/* `expected` holds the statements with a | between them. */
static void check(const char *sql, const char *expected)
{
    struct hs_str rest = hs_str(expected);
    struct pg_split split;
    struct pg_statement st;

    pg_split_start(&split, hs_str(sql));
    while (pg_split_next(&split, &st)) {
        assert_str(st.text, hs_str_cut(&rest, '|'));
        assert_ptr_equal(st.text.p, sql + st.from);
    }
    assert_null(split.fault);
    assert_int_equal(rest.n, 0);
}

static void statements_end_at_semicolons(void **state)
{
    (void)state;
    check("", "");
    check(" ; ;\n", "");
    check("SELECT 1", "SELECT 1");
    check("SELECT 1;SELECT 2 ;", "SELECT 1|SELECT 2");
    check("-- before\nSELECT 1 -- behind\n;", "SELECT 1");
    check("-- nothing; at all", "");
}

static void comments_hide_them(void **state)
{
    (void)state;
    check("a -- ; '\n b; c", "a -- ; '\n b|c");
    check("a -- ;\r b; c", "a -- ;\r b|c");
    check("a /* ; /* ; */ ; */ b; c", "a /* ; /* ; */ ; */ b|c");
    check("a +-- ;\n b; c", "a +-- ;\n b|c");
    check("a */ b; c", "a */ b|c");
}

static void strings_hide_them(void **state)
{
    (void)state;
    check("a 'b;''c;' d; e", "a 'b;''c;' d|e");
    check("a 'b\\'; c", "a 'b\\'|c");
    check("a \"b;\"\"c;\" d; e", "a \"b;\"\"c;\" d|e");
    check("a U&\"b;\" U&'c;\\'; e", "a U&\"b;\" U&'c;\\'|e");
    check("a B'1;' x'2;'; e", "a B'1;' x'2;'|e");
}

static void escapes_count_only_behind_e(void **state)
{
    (void)state;
    check("a E'b\\';c'; d", "a E'b\\';c'|d");
    check("a e'b\\\\'; d", "a e'b\\\\'|d");
    check("a E'b'';\\';'; d", "a E'b'';\\';'|d");
    check("type'b\\'; d", "type'b\\'|d");
    check("_e'b\\'; d", "_e'b\\'|d");
    /* A string that goes on in the next line keeps its rules; one behind a space does not. */
    check("a E'b' -- x;\n '\\';'; d", "a E'b' -- x;\n '\\';'|d");
    check("a E'b' '\\'; d", "a E'b' '\\'|d");
    check("a 'b'\n'\\'; d", "a 'b'\n'\\'|d");
}

static void dollar_quotes_hide_them(void **state)
{
    (void)state;
    check("DO $$ a; $$; b", "DO $$ a; $$|b");
    check("DO $a$ $$;$b$; $a$; b", "DO $a$ $$;$b$; $a$|b");
    check("DO $\xc3\xa9_1$ ; $\xc3\xa9_1$; b", "DO $\xc3\xa9_1$ ; $\xc3\xa9_1$|b");
    /* Not a quote: a name, a parameter, a tag that begins with a digit. */
    check("a$b$c; d$b$e", "a$b$c|d$b$e");
    check("$1; $1", "$1|$1");
    check("$1$; $1$", "$1$|$1$");
}

static void parentheses_and_bodies_hide_them(void **state)
{
    (void)state;
    check("CREATE RULE r AS ON INSERT TO t DO (a; b); c",
          "CREATE RULE r AS ON INSERT TO t DO (a; b)|c");
    check("a); b", "a)|b");
    check("CREATE FUNCTION f() BEGIN ATOMIC a; CASE b END; END; c",
          "CREATE FUNCTION f() BEGIN ATOMIC a; CASE b END; END|c");
    check("create /* x */ or replace procedure f() begin -- y\n atomic a; end; c",
          "create /* x */ or replace procedure f() begin -- y\n atomic a; end|c");
    check("BEGIN; a; END; c", "BEGIN|a|END|c");
    check("CREATE FUNCTION begin() AS 'x'; c", "CREATE FUNCTION begin() AS 'x'|c");
    check("SELECT CASE a END; c", "SELECT CASE a END|c");
}

static void check_fault(const char *sql, const char *what, size_t at)
{
    struct pg_split split;
    struct pg_statement st;

    pg_split_start(&split, hs_str(sql));
    while (pg_split_next(&split, &st))
        continue;
    assert_non_null(split.fault);
    assert_string_equal(split.fault, what);
    assert_int_equal(split.fault_at, at);
    assert_false(pg_split_next(&split, &st));
}

static void what_stays_open_is_a_fault(void **state)
{
    (void)state;
    check_fault("a; 'b;", "a string is not closed", 3);
    check_fault("a; E'b\\'", "a string is not closed", 4);
    check_fault("E'b\\", "a string is not closed", 1);
    check_fault("\"a", "a quoted name is not closed", 0);
    check_fault("a; /* /* */ ", "a comment is not closed", 3);
    check_fault("a $x$ $X$", "a dollar-quoted string is not closed", 2);
}

static struct pg_statement first(const char *sql)
{
    struct pg_split split;
    struct pg_statement st;

    pg_split_start(&split, hs_str(sql));
    assert_true(pg_split_next(&split, &st));
    return st;
}

static void kinds_are_told_apart(void **state)
{
    static const char *const transactions[] = {
        "BEGIN",         "start transaction",       "COMMIT",        "END", "ABORT", "ROLLBACK",
        "rollback work", "PREPARE TRANSACTION 'x'", "/* x */ Commit"};
    static const char *const plain[] = {"ROLLBACK TO a",
                                        "ROLLBACK WORK TO SAVEPOINT a",
                                        "SAVEPOINT a",
                                        "PREPARE p AS SELECT 1",
                                        "CREATE TABLE concurrently_not ()",
                                        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
                                        "\"begin\"",
                                        "DROP TABLE \"CONCURRENTLY\"",
                                        "CREATE INDEX i ON t (a)"};
    static const char *const concurrent[] = {"DROP INDEX CONCURRENTLY i",
                                             "REINDEX (VERBOSE) TABLE concurrently t",
                                             "ALTER TABLE t DETACH PARTITION p CONCURRENTLY"};

    (void)state;
    for (size_t i = 0; i < HS_LEN(transactions); i++)
        assert_int_equal(first(transactions[i]).kind, PG_STATEMENT_TRANSACTION);
    for (size_t i = 0; i < HS_LEN(plain); i++)
        assert_int_equal(first(plain[i]).kind, PG_STATEMENT_PLAIN);
    for (size_t i = 0; i < HS_LEN(concurrent); i++)
        assert_int_equal(first(concurrent[i]).kind, PG_STATEMENT_CONCURRENT);
}

static void check_index(const char *sql, const char *index, const char *table)
{
    struct pg_statement st = first(sql);

    assert_int_equal(st.kind, PG_STATEMENT_INDEX);
    assert_str(st.index, hs_str(index));
    assert_str(st.table, hs_str(table));
}

static void an_index_has_its_names(void **state)
{
    (void)state;
    check_index("CREATE INDEX CONCURRENTLY i ON t (a)", "i", "t");
    check_index("create unique index concurrently if not exists \"I x\" on only a . \"B\" (c)",
                "\"I x\"", "a . \"B\"");
    check_index("CREATE INDEX CONCURRENTLY i ON a.b USING gin (c)", "i", "a.b");
    check_index("CREATE INDEX CONCURRENTLY ON t (a)", "", "t");
    check_index("CREATE INDEX CONCURRENTLY", "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_end_at_semicolons),
        cmocka_unit_test(comments_hide_them),
        cmocka_unit_test(strings_hide_them),
        cmocka_unit_test(escapes_count_only_behind_e),
        cmocka_unit_test(dollar_quotes_hide_them),
        cmocka_unit_test(parentheses_and_bodies_hide_them),
        cmocka_unit_test(what_stays_open_is_a_fault),
        cmocka_unit_test(kinds_are_told_apart),
        cmocka_unit_test(an_index_has_its_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
