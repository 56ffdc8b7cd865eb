/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of node trees: forms that PostgreSQL writes, and what it must refuse. That it reads all that a real
 * server writes is shown by test_catalog_depend.c, whose relations would be unknown otherwise.
 */
#include "pg/node_tree.h"
#include "test.h"

static struct hs_arena arena;

static const struct pg_tree *read_tree(const char *text)
{
    return pg_tree_read(&arena, hs_str(text));
}

static void test_node(void **state)
{
    const struct pg_tree *t = read_tree("{A :b 5 :c {D :e <>} :f (i 1 -2) :g \"\" :h two\\ words}");

    (void)state;
    assert_non_null(t);
    assert_true(pg_tree_is(t, "A"));
    assert_int_equal(pg_tree_count(t), 5);
    assert_int_equal(pg_tree_oid(t, "b"), 5);
    assert_true(pg_tree_is(pg_tree_field(t, "c"), "D"));
    assert_int_equal(pg_tree_field(pg_tree_field(t, "c"), "e")->kind, PG_TREE_NOTHING);
    assert_str(pg_tree_field(t, "f")->text, HS_STR("i"));
    assert_str(pg_tree_at(pg_tree_field(t, "f"), 1)->text, HS_STR("-2"));
    assert_int_equal(pg_tree_at(pg_tree_field(t, "f"), 2)->kind, PG_TREE_NOTHING);
    assert_str(pg_tree_field(t, "g")->text, HS_STR(""));
    assert_str(pg_tree_field(t, "h")->text, HS_STR("two words"));
    assert_int_equal(pg_tree_field(t, "nothing")->kind, PG_TREE_NOTHING);
    assert_int_equal(pg_tree_oid(t, "h"), 0);
}

/* Names that a user chose look like something else. */
static void test_names(void **state)
{
    const struct pg_tree *t = read_tree(
        "{A :b :funcid\\ 7 :c \\<> :d \\{X\\ :e\\ 1\\} :f \\1\\ \\[ :g (\"i\" \"\\)\" b)}");

    (void)state;
    assert_non_null(t);
    assert_int_equal(pg_tree_count(t), 5);
    assert_str(pg_tree_field(t, "b")->text, HS_STR(":funcid 7"));
    assert_int_equal(pg_tree_field(t, "c")->kind, PG_TREE_WORD);
    assert_str(pg_tree_field(t, "c")->text, HS_STR("<>"));
    assert_str(pg_tree_field(t, "d")->text, HS_STR("{X :e 1}"));
    assert_str(pg_tree_field(t, "f")->text, HS_STR("1 ["));
    assert_int_equal(pg_tree_count(pg_tree_field(t, "g")), 3);
}

static void test_constant(void **state)
{
    const struct pg_tree *list = read_tree(
        "({CONST :constlen -1 :constvalue 7 [ 28 0 0 0 116 -61 -92 ]}"
        " {CONST :constlen 4 :constvalue 4 [ 10 0 0 0 0 0 0 0 ]}"
        " {CONST :constlen -1 :constisnull true :constvalue <>}"
        " {CONST :constlen -1 :constvalue 7 [ 32 0 0 0 116 105 100 ]}"
        " {CONST :constlen -1 :constvalue 2 [ 7 65 ]})");
    struct hs_str text;

    (void)state;
    assert_non_null(list);
    assert_true(pg_tree_const_text(pg_tree_at(list, 0), &text));
    assert_str(text, HS_STR("t\xc3\xa4"));
    assert_int_equal(pg_tree_field(pg_tree_at(list, 1), "constvalue")->text.n, 4);
    for (size_t i = 1; i < 5; i++)
        assert_false(pg_tree_const_text(pg_tree_at(list, i), &text));
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "{",
                                      "}",
                                      "(",
                                      ")",
                                      "{A",
                                      "{}",
                                      "{A :b}",
                                      "{A b 1}",
                                      "{A :b 1 2}",
                                      "{A :b 1} x",
                                      "{A : 1}",
                                      "(1 2",
                                      "(1 2}",
                                      "{A :b (}",
                                      "{A :b 1)",
                                      "<> <>",
                                      "2 [ 1 ]",
                                      "1 [ 1 2 ]",
                                      "2 [ 1 2",
                                      "1 [ 300 ]",
                                      "1 [ x ]",
                                      "9 [ 1 2 3 4 5 6 7 8 ]",
                                      "99999 [ 1 ]",
                                      "1 [ 0 0 0 0 0 0 0 0 0 ]",
                                      "18446744073709551616 [ 1 ]"};

    (void)state;
    for (size_t i = 0; i < HS_LEN(bad); i++) {
        if (read_tree(bad[i]))
            fail_msg("read: %s", bad[i]);
    }
    assert_false(hs_arena_failed(&arena));
}

static const struct pg_tree *read_nested(size_t depth)
{
    static char text[2 * PG_TREE_DEPTH_MAX + 16];

    memset(text, '(', depth);
    memset(text + depth, ')', depth);
    return pg_tree_read(&arena, hs_strn(text, 2 * depth));
}

static void test_bounds(void **state)
{
    struct hs_arena small;

    (void)state;
    assert_non_null(read_nested(PG_TREE_DEPTH_MAX));
    assert_null(read_nested(PG_TREE_DEPTH_MAX + 1));
    hs_arena_init(&small, 256);
    assert_null(pg_tree_read(&small, HS_STR("(1 2 3 4 5 6 7 8 9)")));
    assert_true(hs_arena_failed(&small));
    hs_arena_fini(&small);
}

static int set_up(void **state)
{
    (void)state;
    hs_arena_init(&arena, 1 << 24);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hs_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_constant), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
