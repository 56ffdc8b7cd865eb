/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full text in several languages as SQL: what is asked of the index, what decides of a row, and in which language a
 * snippet is made. "W(a)" and "T(a)" stand for websearch_to_tsquery() and to_tsquery() of parameter 1 in language a,
 * "W(a)2" for parameter 2.
 */
#include "test.h"

#include "api/simple.h"
#include "api/world.h"

static struct api_model *model;
static struct hs_arena arena;
static struct hs_buf scratch;

static const struct hs_str two[] = {{"a", 1}, {"b", 1}};

static const struct pg_text_config configs[] = {
    {{"pg_catalog", 10}, {"german", 6}, {"pg_catalog.german", 17}},
    {{"app", 3}, {"german", 6}, {"app.german", 10}},
    {{"app", 3}, {"twin", 4}, {"app.twin", 8}},
    {{"lib", 3}, {"twin", 4}, {"lib.twin", 8}},
    {{"app", 3}, {"odd.name", 8}, {"app.\"odd.name\"", 14}},
};

static int setup(void **state)
{
    (void)state;
    model = world_model();
    hs_arena_init(&arena, 1 << 24);
    hs_buf_init(&scratch, 1 << 20);
    if (!model)
        return -1;
    model->catalog->text_configs = configs;
    model->catalog->n_text_configs = HS_LEN(configs);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    api_model_unref(model);
    hs_arena_fini(&arena);
    hs_buf_fini(&scratch);
    return 0;
}

static void set_languages(size_t n_configs, bool has_language, size_t n_languages)
{
    struct pg_relation *people = &model->catalog->relations[PEOPLE];

    people->full_text.configs = n_configs ? two : NULL;
    people->full_text.n_configs = n_configs;
    people->full_text.language = has_language ? pg_relation_column(people, HS_STR("status")) : NULL;
    people->full_text.languages = n_languages ? two : NULL;
    people->full_text.n_languages = n_languages;
}

static hs_status read(const char *query, struct sql_statement *ret_st, struct hs_err *err)
{
    struct simple_query *ask = HS_NEW(&arena, struct simple_query);
    hs_status status = world_read(model, api_model_table(model, HS_STR("people")), world_nobody(),
                                  NULL, hs_str(query), &arena, ask, err);

    return status ? status : sql_write(&ask->tree, false, &scratch, &arena, ret_st, err);
}

/* All occurrences; the text stays as long or becomes shorter. */
static void shorten(char *text, const char *from, const char *to)
{
    char *at = text;

    assert_true(strlen(to) <= strlen(from));
    while ((at = strstr(at, from))) {
        memmove(at + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
        memcpy(at, to, strlen(to));
        at += strlen(to);
    }
}

/* What stands between `from` and `to`. */
static char *part(struct hs_str sql, const char *from, const char *to)
{
    char *text = (char *)(uintptr_t)hs_arena_dup(&arena, sql).p;
    char *begin = strstr(text, from);
    char *end = begin ? strstr(begin, to) : NULL;

    if (!end) {
        fail_msg("no %s ... %s in %s", from, to, text);
        return text;
    }
    *end = '\0';
    begin += strlen(from);
    shorten(begin, "pg_catalog.websearch_to_tsquery(", "W(");
    shorten(begin, "pg_catalog.to_tsquery(", "T(");
    shorten(begin, ", $1::pg_catalog.text)", ")");
    shorten(begin, ", $2::pg_catalog.text)", ")2");
    shorten(begin, ", $3::pg_catalog.text)", ")3");
    shorten(begin, "::pg_catalog.regconfig", "");
    shorten(begin, "E'a'", "a");
    shorten(begin, "E'b'", "b");
    shorten(begin, "t0.\"search\"", "fts");
    shorten(begin, "t0.\"status\"", "lang");
    return begin;
}

struct row {
    size_t n_configs;
    bool has_language;
    size_t n_languages;
    const char *words;
    const char *condition;
    const char *params;
};

static const struct row rows[] = {
    {0, false, 0, "x", "fts @@ W($1::pg_catalog.text)", "x"},
    {1, false, 0, "x+-y", "fts @@ W(a)", "x -y"},
    {2, false, 0, "x", "fts @@ (W(a) || W(b))", "x"},
    {2, false, 0, "x*", "fts @@ (T(a) || T(b))", "'x':*"},
    {2, false, 0, "x+-y", "fts @@ ((T(a) || T(b)) && (!! (T(a)2 || T(b)2)))", "'x'|'y'"},
    {2, false, 0, "-y", "fts @@ (!! (T(a) || T(b)))", "'y'"},
    {2, false, 0, "x+or+y+-z",
     "fts @@ ((T(a) || T(b)) || ((T(a)2 || T(b)2) && (!! (T(a)3 || T(b)3))))", "'x'|'y'|'z'"},
    {0, true, 0, "x+-y", "fts @@ W(lang)", "x -y"},
    {0, true, 1, "x", "fts @@ W(a) AND fts @@ W(lang)", "x"},
    {0, true, 2, "x+-y", "fts @@ (W(a) || W(b)) AND fts @@ W(lang)", "x -y"},
    {1, true, 2, "x", "fts @@ (W(a) || W(a) || W(b)) AND fts @@ (W(a) || W(lang))", "x"},
    {1, true, 2, "x+-y",
     "fts @@ (T(a) || T(a) || T(b)) AND fts @@ ((T(a) || T(lang)) && (!! (T(a)2 || T(lang)2)))",
     "'x'|'y'"},
    /* Nothing that a row must have: no index. */
    {1, true, 2, "-y", "fts @@ (!! (T(a) || T(lang)))", "'y'"},
};

static void test_conditions(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct hs_str query = hs_arena_printf(&arena, "fields=id&search=%s", rows[i].words);
        struct sql_statement st;
        struct hs_err err = {0};
        struct hs_str params = HS_STR("");
        const char *condition;

        set_languages(rows[i].n_configs, rows[i].has_language, rows[i].n_languages);
        assert_int_equal(read(query.p, &st, &err), HS_OK);
        condition = part(st.text, " WHERE ", " ORDER BY");
        if (strcmp(condition, rows[i].condition) != 0)
            fail_msg("%s: %s, not %s", rows[i].words, condition, rows[i].condition);
        for (size_t p = 0; p < st.n_params; p++)
            params = hs_arena_printf(&arena, "%.*s%s%s", HS_FMT(params), p ? "|" : "",
                                     st.params[p]);
        if (!hs_str_is(params, rows[i].params))
            fail_msg("%s: %s, not %s", rows[i].words, params.p, rows[i].params);
        hs_arena_reset(&arena);
    }
}

static void test_rank_and_snippets(void **state)
{
    struct sql_statement st;
    struct hs_err err = {0};

    (void)state;
    set_languages(0, true, 2);
    assert_int_equal(read("fields=id&search=x&sort=-_rank", &st, &err), HS_OK);
    assert_string_equal(part(st.text, "ORDER BY ", " DESC"), "pg_catalog.ts_rank_cd(fts, W(lang))");
    assert_int_equal(read("fields=id&search=x&highlight=lastName", &st, &err), HS_OK);
    assert_string_equal(part(st.text, "pg_catalog.ts_headline(", "pg_catalog.translate("),
                        "lang, ");
    set_languages(2, false, 0);
    assert_int_equal(read("fields=id&search=x+-y&highlight=lastName", &st, &err), HS_OK);
    assert_string_equal(
        part(st.text, "(VALUES (0, pg_catalog.ts_headline(", "pg_catalog.translate("), "a, ");
    assert_string_equal(part(st.text, ", (1, pg_catalog.ts_headline(", "pg_catalog.translate("),
                        "b, ");
    assert_string_equal(part(st.text, "E'\\x02\\x03', ''), ", ", E'StartSel"),
                        "(T(a) && (!! T(a)2))");
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        const char *found; /* NULL: refused */
    } names[] = {
        {"german", "pg_catalog.german"},
        {"app.german", "app.german"},
        {"lib.twin", "lib.twin"},
        {"app.twin", "app.twin"},
        {"odd.name", "app.\"odd.name\""},
        {"twin", NULL},
        {"German", NULL},
        {"lib.german", NULL},
        {"", NULL},
        {"app.", NULL},
        {".german", NULL},
    };

    (void)state;
    set_languages(2, true, 2);
    for (size_t i = 0; i < HS_LEN(names); i++) {
        struct hs_str query = hs_arena_printf(&arena, "fields=id&search=x&searchLang=%s",
                                              names[i].name);
        struct sql_statement st;
        struct hs_err err = {0};
        hs_status status = read(query.p, &st, &err);

        assert_int_equal(status, names[i].found ? HS_OK : HS_E_BAD_PARAMETER);
        if (names[i].found &&
            !strstr(st.text.p, hs_arena_printf(&arena, "@@ pg_catalog.websearch_to_tsquery(E'%s'::",
                                               names[i].found)
                                   .p))
            fail_msg("%s: %s", names[i].name, st.text.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conditions),
                                       cmocka_unit_test(test_rank_and_snippets),
                                       cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
