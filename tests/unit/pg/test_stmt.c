/* SPDX-License-Identifier: Apache-2.0 */
/* Statement texts, prepared statements and the choice of plan_cache_mode, without a server. */
#include "pg/stmt_int.h"

#include "core/hash.h"
#include "core/mem.h"
#include "test.h"

static struct hs_identity *role(const char *name)
{
    struct hs_identity *id = hs_identity_new(hs_str(name), HS_STR("{}"), false);

    assert_non_null(id);
    return id;
}

static struct pg_text *text_of(struct pg_texts *texts, const char *sql)
{
    struct pg_text *text = pg_texts_get(texts, hs_str(sql), hs_hash(hs_str(sql)));

    assert_non_null(text);
    return text;
}

/* The whole key counts, not only its hash: another text or role of the same hash is another statement. */
static void test_collisions(void **state)
{
    struct hs_identity *a = role("a");
    struct hs_identity *b = role("b");
    struct pg_texts texts;
    struct pg_stmts stmts;
    struct pg_text *one;
    struct pg_text *two;
    struct pg_stmt *stmt;

    (void)state;
    assert_true(pg_texts_init(&texts, 8));
    assert_true(pg_stmts_init(&stmts, 8));
    one = pg_texts_get(&texts, HS_STR("SELECT 1"), 5);
    two = pg_texts_get(&texts, HS_STR("SELECT 2"), 5);
    assert_ptr_not_equal(one, two);
    assert_ptr_equal(pg_texts_get(&texts, HS_STR("SELECT 1"), 5), one);
    b->role_hash = a->role_hash;
    stmt = pg_stmts_add(&stmts, one, a);
    assert_ptr_equal(pg_stmts_find(&stmts, one, a), stmt);
    assert_null(pg_stmts_find(&stmts, one, b));
    assert_null(pg_stmts_find(&stmts, two, a));
    pg_text_unref(one);
    pg_text_unref(one);
    pg_text_unref(two);
    pg_stmts_fini(&stmts);
    pg_texts_fini(&texts);
    hs_identity_unref(a);
    hs_identity_unref(b);
}

static void test_texts_are_bounded(void **state)
{
    struct pg_text *kept[4];
    struct pg_texts texts;
    char sql[32];

    (void)state;
    assert_true(pg_texts_init(&texts, 8));
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(sql, sizeof(sql), "kept %u", i);
        kept[i] = text_of(&texts, sql);
    }
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(sql, sizeof(sql), "passing %u", i);
        pg_text_unref(text_of(&texts, sql));
        assert_true(texts.n <= 8);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(sql, sizeof(sql), "kept %u", i);
        assert_ptr_equal(text_of(&texts, sql), kept[i]);
        pg_text_unref(kept[i]);
        pg_text_unref(kept[i]);
    }
    pg_texts_fini(&texts);
}

/* The least recently used goes, never one in flight; what was evicted is deallocated once unused. */
static void test_eviction(void **state)
{
    struct hs_identity *a = role("a");
    struct pg_text *text[4];
    struct pg_stmt *stmt[4];
    struct pg_texts texts;
    struct pg_stmts stmts;
    static const char *const sql[] = {"0", "1", "2", "3"};

    (void)state;
    assert_true(pg_texts_init(&texts, 8));
    assert_true(pg_stmts_init(&stmts, 2));
    for (unsigned i = 0; i < 4; i++)
        text[i] = text_of(&texts, sql[i]);
    stmt[0] = pg_stmts_add(&stmts, text[0], a);
    stmt[1] = pg_stmts_add(&stmts, text[1], a);
    stmt[0]->refs++;
    stmt[2] = pg_stmts_add(&stmts, text[2], a);
    assert_ptr_equal(pg_stmts_find(&stmts, text[0], a), stmt[0]);
    assert_null(pg_stmts_find(&stmts, text[1], a));
    assert_ptr_equal(pg_stmts_pop_dropped(&stmts), stmt[1]);
    pg_stmt_free(stmt[1]);
    stmt[2]->refs++;
    assert_false(pg_stmts_has_room(&stmts));
    /* Forgotten in flight: not deallocated before its last use is answered. */
    pg_stmts_forget(&stmts, stmt[0], /* on_server= */ true);
    assert_null(pg_stmts_pop_dropped(&stmts));
    pg_stmt_unref(stmt[0]);
    assert_ptr_equal(pg_stmts_pop_dropped(&stmts), stmt[0]);
    pg_stmt_free(stmt[0]);
    pg_stmts_forget(&stmts, stmt[2], /* on_server= */ false);
    pg_stmt_unref(stmt[2]);
    for (unsigned i = 0; i < 4; i++)
        pg_text_unref(text[i]);
    pg_stmts_fini(&stmts);
    pg_texts_fini(&texts);
    hs_identity_unref(a);
}

enum { SLOW = 20000, WINDOW = 16 };

static void run(struct pg_text *text, unsigned n, double auto_us, double custom_us)
{
    for (unsigned i = 0; i < n; i++)
        pg_text_measured(text, text->plan, text->plan == PG_PLAN_AUTO ? auto_us : custom_us,
                         /* exact= */ false, SLOW);
}

static void test_plan_is_measured(void **state)
{
    struct pg_texts texts;
    struct pg_text *text;

    (void)state;
    assert_true(pg_texts_init(&texts, 8));
    text = text_of(&texts, "custom wins");
    run(text, WINDOW, 68000, 120);
    assert_int_equal(text->phase, PG_PLAN_ON_TRIAL);
    assert_int_equal(text->plan, PG_PLAN_CUSTOM);
    /* Answers to what was sent before the decision do not count. */
    for (unsigned i = 0; i < 20; i++)
        pg_text_measured(text, PG_PLAN_AUTO, 68000, false, SLOW);
    assert_int_equal(text->phase, PG_PLAN_ON_TRIAL);
    run(text, WINDOW, 68000, 120);
    assert_int_equal(text->phase, PG_PLAN_OBSERVED);
    assert_int_equal(text->plan, PG_PLAN_AUTO);
    run(text, 4 * WINDOW, 68000, 120);
    assert_int_equal(text->phase, PG_PLAN_KEPT);
    assert_int_equal(text->plan, PG_PLAN_CUSTOM);
    run(text, 10000, 68000, 120);
    assert_int_equal(text->phase, PG_PLAN_OBSERVED);
    pg_text_unref(text);
    text = text_of(&texts, "custom does not");
    run(text, 2 * WINDOW, 8000, 5000);
    assert_int_equal(text->phase, PG_PLAN_KEPT);
    assert_int_equal(text->plan, PG_PLAN_AUTO);
    pg_text_unref(text);
    pg_texts_fini(&texts);
}

static void test_generic_plan_is_tried(void **state)
{
    struct pg_texts texts;
    struct pg_text *text;

    (void)state;
    assert_true(pg_texts_init(&texts, 8));
    text = text_of(&texts, "generic wins");
    run(text, 6 * WINDOW, 90, 22);
    assert_int_equal(text->phase, PG_PLAN_KEPT);
    assert_int_equal(text->plan, PG_PLAN_GENERIC);
    /* A few long runs are the machine's, many are the plan's. */
    run(text, 3, 0, 68000);
    assert_int_equal(text->plan, PG_PLAN_GENERIC);
    run(text, 1, 0, 68000);
    assert_int_equal(text->plan, PG_PLAN_AUTO);
    assert_int_equal(text->phase, PG_PLAN_KEPT);
    pg_text_unref(text);
    text = text_of(&texts, "the same either way");
    run(text, 2 * WINDOW, 60, 60);
    assert_int_equal(text->phase, PG_PLAN_KEPT);
    assert_int_equal(text->plan, PG_PLAN_AUTO);
    pg_text_unref(text);
    text = text_of(&texts, "generic is bad for some");
    run(text, WINDOW, 90, 22);
    assert_int_equal(text->plan, PG_PLAN_GENERIC);
    run(text, 1, 90, 68000);
    assert_int_equal(text->plan, PG_PLAN_AUTO);
    pg_text_unref(text);
    pg_texts_fini(&texts);
}

/* A run in eight that waited for a processor does not make a statement look worth planning. */
static void test_plan_stands_noise(void **state)
{
    struct pg_texts texts;
    struct pg_text *text;

    (void)state;
    assert_true(pg_texts_init(&texts, 8));
    text = text_of(&texts, "noise");
    for (unsigned i = 0; i < WINDOW; i++)
        pg_text_measured(text, PG_PLAN_AUTO, i % WINDOW < 2 ? 200000 : 60, false, SLOW);
    assert_int_equal(text->candidate, PG_PLAN_GENERIC);
    pg_text_unref(text);
    text = text_of(&texts, "luck");
    run(text, 2 * WINDOW, 40000, 60);
    assert_int_equal(text->plan_wins, 1);
    /* Now it takes what it takes: the other choice is tried, from the start. */
    run(text, WINDOW, 60, 60);
    assert_int_equal(text->plan_wins, 0);
    pg_text_unref(text);
    pg_texts_fini(&texts);
}

static void test_one_run_does_not_make_slow(void **state)
{
    struct pg_texts texts;
    struct pg_text *text;

    (void)state;
    assert_true(pg_texts_init(&texts, 8));
    text = text_of(&texts, "waited once");
    run(text, 100, 60, 60);
    pg_text_measured(text, PG_PLAN_AUTO, 1e6, false, SLOW);
    assert_true(text->mean_us < 150);
    run(text, 100, 90000, 90000);
    assert_true(pg_text_is_slow(text, SLOW));
    pg_text_unref(text);
    pg_texts_fini(&texts);
}

static void measured_alone(struct pg_text *text, double us)
{
    pg_text_measured(text, PG_PLAN_AUTO, us, /* exact= */ true, SLOW);
}

static void test_suspects(void **state)
{
    struct pg_texts texts;
    struct pg_text *text;

    (void)state;
    assert_true(pg_texts_init(&texts, 8));
    text = text_of(&texts, "suspect");
    text->is_suspect = true;
    assert_true(pg_text_is_slow(text, SLOW));
    measured_alone(text, 10);
    assert_false(pg_text_is_slow(text, SLOW));
    text->is_suspect = true;
    measured_alone(text, 90000);
    assert_true(text->is_suspect);
    measured_alone(text, 10);
    assert_false(pg_text_is_slow(text, SLOW));
    text->is_suspect = true;
    measured_alone(text, 90000);
    measured_alone(text, 80000);
    assert_false(text->is_suspect);
    assert_true(pg_text_is_slow(text, SLOW));
    pg_text_unref(text);
    pg_texts_fini(&texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_texts_are_bounded),
        cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_plan_is_measured),
        cmocka_unit_test(test_suspects),
        cmocka_unit_test(test_plan_stands_noise),
        cmocka_unit_test(test_one_run_does_not_make_slow),
        cmocka_unit_test(test_generic_plan_is_tried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
