/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A search as websearch_to_tsquery() reads it, and two things that it cannot do.
 *
 *     anna smith         goes to PostgreSQL as it is, and so does nearly every search
 *     schm* -closed      'schm':* & !'closed'                  for to_tsquery(): only that knows prefixes
 *     cat -dog           words 'cat', without 'dog'            in several languages
 *
 * The last because a query is an OR of languages: "cat without dog, or Katze without Hund" finds a row with both
 * cat and dog, since its "dog" is not the German one. So what must not be there is asked for apart, in all languages.
 *
 * The rule: each term stands in single quotes, quotes and backslashes in it doubled, so that to_tsquery() gives it to
 * the configuration's parser like any other text. It refuses nothing but too many terms.
 *
 * Source: PostgreSQL 15 manual, 8.11.2 (tsquery) and 12.3.2.
 */
#include "api/search_words.h"

struct term {
    struct hs_str text; /* n == 0: it is an "or" */
    bool is_not;
    bool is_prefix;
};

struct terms {
    struct term of[SEARCH_TERMS_MAX];
    size_t n;
    bool is_full; /* there were more */
    bool has_not;
    bool has_prefix;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void add_term(struct terms *t, struct term term)
{
    bool is_or = !term.text.n;

    /* An "or" that nothing stands before. */
    if (is_or && (t->n == 0 || !t->of[t->n - 1].text.n))
        return;
    t->has_not = t->has_not || term.is_not;
    t->has_prefix = t->has_prefix || term.is_prefix;
    if (t->n == SEARCH_TERMS_MAX)
        t->is_full = true;
    else
        t->of[t->n++] = term;
}

/* Behind the quote; takes the closing one, too. */
static struct hs_str take_phrase(struct hs_str *rest)
{
    return hs_str_trim(hs_str_cut(rest, '"'));
}

static struct hs_str take_word(struct hs_str *rest)
{
    struct hs_str word = *rest;
    size_t n = 0;

    while (n < word.n && !is_space(word.p[n]) && word.p[n] != '"')
        n++;
    *rest = hs_str_sub(word, n, word.n);
    return hs_str_sub(word, 0, n);
}

static void read_terms(struct hs_str rest, struct terms *t)
{
    *t = (struct terms){.n = 0};
    while (rest.n) {
        struct term term = {.is_not = rest.n > 1 && rest.p[0] == '-' && !is_space(rest.p[1])};
        bool is_phrase;

        if (is_space(rest.p[0])) {
            rest = hs_str_sub(rest, 1, rest.n);
            continue;
        }
        rest = hs_str_sub(rest, term.is_not, rest.n);
        is_phrase = rest.p[0] == '"';
        if (is_phrase)
            rest = hs_str_sub(rest, 1, rest.n);
        term.text = is_phrase ? take_phrase(&rest) : take_word(&rest);
        if (!is_phrase && !term.is_not && hs_str_ieq(term.text, HS_STR("or"))) {
            add_term(t, (struct term){.text = HS_STR("")});
            continue;
        }
        while (!is_phrase && term.text.n && term.text.p[term.text.n - 1] == '*') {
            term.text = hs_str_sub(term.text, 0, term.text.n - 1);
            term.is_prefix = true;
        }
        if (term.text.n)
            add_term(t, term);
    }
    if (t->n && !t->of[t->n - 1].text.n)
        t->n--;
}

/* ---- texts of to_tsquery() ---- */

/* Quoted, and with what stands around it: " & !" and ":*". */
static size_t room_of(const struct term *terms, size_t n)
{
    size_t room = 1;

    for (size_t i = 0; i < n; i++)
        room += 2 * terms[i].text.n + 8;
    return room;
}

static char *put_operand(char *to, const struct term *term)
{
    *to++ = '\'';
    for (size_t i = 0; i < term->text.n; i++) {
        if (term->text.p[i] == '\'' || term->text.p[i] == '\\')
            *to++ = term->text.p[i];
        *to++ = term->text.p[i];
    }
    return hs_str_put(to, term->is_prefix ? HS_STR("':*") : HS_STR("'"));
}

static struct hs_str finish(char *text, char *end)
{
    *end = '\0';
    return hs_strn(text, (size_t)(end - text));
}

/* Those of the terms that must be there, or must not, joined; none: p == NULL. */
static struct hs_str join(const struct term *terms, size_t n, bool is_not, struct hs_str joint,
                          struct hs_arena *arena)
{
    char *text = hs_arena_alloc(arena, room_of(terms, n));
    char *to = text;

    for (size_t i = 0; text && i < n; i++) {
        if (terms[i].is_not != is_not)
            continue;
        if (to > text)
            to = hs_str_put(to, joint);
        to = put_operand(to, &terms[i]);
    }
    return to > text ? finish(text, to) : HS_STR_NULL;
}

static struct hs_str whole(const struct terms *t, struct hs_arena *arena)
{
    char *text = hs_arena_alloc(arena, room_of(t->of, t->n));
    char *to = text;
    bool is_first = true;

    if (!text)
        return HS_STR_NULL;
    for (size_t i = 0; i < t->n; i++) {
        const struct term *term = &t->of[i];

        if (!term->text.n) {
            to = hs_str_put(to, HS_STR(" | "));
        } else {
            to = hs_str_put(to, is_first ? HS_STR("") : HS_STR(" & "));
            to = hs_str_put(to, term->is_not ? HS_STR("!") : HS_STR(""));
            to = put_operand(to, term);
        }
        is_first = !term->text.n;
    }
    return finish(text, to);
}

/* One part for each alternative. */
static hs_status split(const struct terms *t, struct hs_arena *arena, struct tree_search *to,
                       struct hs_err *reterr)
{
    size_t from = 0;

    to->parts = HS_NEW_ARRAY(arena, t->n + 1, struct tree_search_part);
    if (!to->parts)
        return hs_fail_memory(reterr);
    while (from < t->n) {
        size_t n = 0;

        while (from + n < t->n && t->of[from + n].text.n)
            n++;
        to->parts[to->n_parts++] = (struct tree_search_part){
            .is_tsquery = true,
            .words = join(&t->of[from], n, false, HS_STR(" & "), arena),
            .without = join(&t->of[from], n, true, HS_STR(" | "), arena)};
        from += n + 1;
    }
    return hs_arena_failed(arena) ? hs_fail_memory(reterr) : HS_OK;
}

hs_status search_words_read(struct hs_str text, bool is_several, struct hs_arena *arena,
                            struct tree_search *to, struct hs_err *reterr)
{
    struct terms t;

    to->n_parts = 0;
    read_terms(text, &t);
    is_several = is_several && t.has_not;
    if ((is_several || t.has_prefix) && t.is_full)
        return hs_fail(reterr, HS_E_BAD_PARAMETER,
                       "search takes at most %d words where one ends in * or begins with -",
                       SEARCH_TERMS_MAX);
    if (is_several)
        return split(&t, arena, to, reterr);
    to->parts = HS_NEW(arena, struct tree_search_part);
    if (!to->parts)
        return hs_fail_memory(reterr);
    to->n_parts = 1;
    to->parts->is_tsquery = t.has_prefix;
    to->parts->words = t.has_prefix ? whole(&t, arena) : text;
    return hs_arena_failed(arena) ? hs_fail_memory(reterr) : HS_OK;
}
