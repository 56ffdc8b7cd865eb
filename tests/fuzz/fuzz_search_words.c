/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what somebody types into a search box. What comes out for to_tsquery() must be terms in single quotes
 * with "&", "|", "!" and ":*" between them and nothing else, or PostgreSQL would call it a syntax error; and every
 * byte that is not ours stands within the quotes.
 */
#include <stdlib.h>

#include "api/search_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take(struct hs_str *s, const char *what)
{
    struct hs_str expected = hs_str(what);

    if (!hs_str_starts(*s, expected))
        return false;
    *s = hs_str_sub(*s, expected.n, s->n);
    return true;
}

/* 'it''s':* */
static bool take_operand(struct hs_str *s)
{
    size_t n = 0;

    if (!take(s, "'"))
        return false;
    for (;; n++) {
        if (take(s, "''") || take(s, "\\\\"))
            continue;
        if (!s->n || s->p[0] == '\\')
            return false;
        if (s->p[0] == '\'')
            break;
        *s = hs_str_sub(*s, 1, s->n);
    }
    (void)take(s, "'");
    (void)take(s, ":*");
    return n > 0;
}

static void check(struct hs_str s, bool may_not)
{
    size_t n = 0;

    do {
        if (may_not)
            (void)take(&s, "!");
        if (!take_operand(&s) || ++n > SEARCH_TERMS_MAX)
            abort();
    } while (take(&s, " & ") || take(&s, " | "));
    if (s.n)
        abort();
}

static void run(struct hs_str text, bool is_several, struct hs_arena *arena)
{
    struct tree_search s = {0};
    struct hs_err err = {0};

    if (search_words_read(text, is_several, arena, &s, &err) != HS_OK) {
        if (err.status != HS_E_BAD_PARAMETER)
            abort();
        return;
    }
    if (!s.n_parts)
        abort();
    for (size_t i = 0; i < s.n_parts; i++) {
        const struct tree_search_part *part = &s.parts[i];

        if (!part->words.p && !part->without.p)
            abort();
        if (part->is_tsquery && part->words.p)
            check(part->words, !is_several || s.n_parts == 1);
        if (part->is_tsquery && part->without.p)
            check(part->without, /* may_not= */ false);
        if (!part->is_tsquery && !hs_str_eq(part->words, text))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hs_arena arena;
    static bool is_ready;
    struct hs_str text = hs_strn((const char *)data, size);

    if (!is_ready)
        hs_arena_init(&arena, 1 << 24);
    is_ready = true;
    if (size > 8192 || memchr(data, '\0', size))
        return 0;
    run(text, false, &arena);
    run(text, true, &arena);
    hs_arena_reset(&arena);
    return 0;
}
