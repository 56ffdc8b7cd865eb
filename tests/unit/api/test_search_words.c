/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody types, as texts for to_tsquery(): "words" or "words / without", one part behind the other; "=" where
 * it goes to websearch_to_tsquery() as it is.
 */
#include "api/search_words.h"

#include "fault.h"
#include "test.h"

static struct hs_arena arena;

struct row {
    const char *text;
    bool is_several;
    const char *parts;
};

static const struct row rows[] = {
    {"anna smith", false, "="},
    {"\"opening hours\" -closed or x", false, "="},
    {"cats dogs", true, "="},
    {"*", false, "="},
    {"a-b c*d", true, "="},
    {"ann*", false, "'ann':*"},
    {" ann*\tsmith ", false, "'ann':* & 'smith'"},
    {"ann* -smith", false, "'ann':* & !'smith'"},
    {"-ann* smith", false, "!'ann':* & 'smith'"},
    {"\"a b\"ann*\"c", false, "'a b' & 'ann':* & 'c'"},
    {"a* or b Or c d", false, "'a':* | 'b' | 'c' & 'd'"},
    {"or a* or or b or", false, "'a':* | 'b'"},
    {"\"or\" -or a*", false, "'or' & !'or' & 'a':*"},
    {"- a* -", false, "'-' & 'a':* & '-'"},
    {"--a*", false, "!'-a':*"},
    {"it's* a\\b", false, "'it''s':* & 'a\\\\b'"},
    {"'* \\*", false, "'''':* & '\\\\':*"},
    {"a':*|b*", false, "'a'':*|b':*"},
    {"*a b**", false, "'*a' & 'b':*"},
    {"a* \"\" \" \" -\"\"", false, "'a':*"},
    {"cats -dogs", true, "'cats' / 'dogs'"},
    {"-dogs", true, "- / 'dogs'"},
    {"a b -c -\"d e\" or f or g -h*", true, "'a' & 'b' / 'c' | 'd e' ; 'f' ; 'g' / 'h':*"},
    {"ann* b", true, "'ann':* & 'b'"},
};

static struct hs_str shown(struct hs_str s)
{
    return s.p ? s : HS_STR("-");
}

static struct hs_str dump(struct hs_str text, const struct tree_search *s)
{
    struct hs_str out = HS_STR("");

    if (s->n_parts == 1 && !s->parts->is_tsquery && hs_str_eq(s->parts->words, text))
        return HS_STR("=");
    for (size_t i = 0; i < s->n_parts; i++) {
        const struct tree_search_part *part = &s->parts[i];

        assert_true(part->is_tsquery);
        out = hs_arena_printf(&arena, "%.*s%s%.*s%s%.*s", HS_FMT(out), i ? " ; " : "",
                              HS_FMT(shown(part->words)), part->without.p ? " / " : "",
                              HS_FMT(part->without.p ? part->without : HS_STR("")));
    }
    return out;
}

static void test_rows(void **state)
{
    (void)state;
    hs_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct hs_str text = hs_str(rows[i].text);
        struct tree_search s = {0};
        struct hs_err err;

        assert_int_equal(search_words_read(text, rows[i].is_several, &arena, &s, &err), HS_OK);
        if (!hs_str_is(dump(text, &s), rows[i].parts))
            fail_msg("%s: %s, not %s", rows[i].text, dump(text, &s).p, rows[i].parts);
    }
    hs_arena_fini(&arena);
}

static hs_status read_many(size_t n, const char *each, const char *last, bool is_several)
{
    char text[SEARCH_TERMS_MAX * 8] = "";
    struct tree_search s = {0};
    struct hs_err err = {0};
    hs_status status;

    for (size_t i = 0; i < n; i++)
        strcat(text, each);
    strcat(text, last);
    hs_arena_init(&arena, 1 << 20);
    status = search_words_read(hs_str(text), is_several, &arena, &s, &err);
    hs_arena_fini(&arena);
    return status;
}

/* The bound is for texts that are taken apart; PostgreSQL has its own for the others. */
static void test_bound(void **state)
{
    (void)state;
    assert_int_equal(read_many(SEARCH_TERMS_MAX, "a* ", "", false), HS_OK);
    assert_int_equal(read_many(SEARCH_TERMS_MAX + 1, "a* ", "", false), HS_E_BAD_PARAMETER);
    assert_int_equal(read_many(SEARCH_TERMS_MAX, "a ", "-b", true), HS_E_BAD_PARAMETER);
    assert_int_equal(read_many(SEARCH_TERMS_MAX, "a ", "-b", false), HS_OK);
    assert_int_equal(read_many(SEARCH_TERMS_MAX + 1, "a ", "b", true), HS_OK);
}

static bool read_once(void *arg)
{
    struct tree_search s = {0};
    struct hs_err err = {0};
    hs_status status;

    hs_arena_init(&arena, 1 << 20);
    status = search_words_read(hs_str(arg), true, &arena, &s, &err);
    hs_arena_fini(&arena);
    assert_true(status == HS_OK || status == HS_E_MEMORY);
    return status == HS_OK;
}

static void test_short_memory(void **state)
{
    static char split[] = "cat* -dog or bird";
    static char whole[] = "cat* or bird";

    (void)state;
    fault_each(read_once, split);
    fault_each(read_once, whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_bound),
                                       cmocka_unit_test(test_short_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
