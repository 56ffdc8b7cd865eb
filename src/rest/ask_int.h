/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/ask_int.h - the reader under rest/ask.h: one text, a place in it, and what to say if it fails.
 *
 * Shape      Parsers are functions that return true and move on, or return false. A parser that fails
 *            where it began has failed "empty" and its caller may try something else there; one that
 *            moved before it failed has failed for good, unless the caller took a mark and goes back.
 * Complaint  PostgREST's messages come from the combinators of Parsec, and clients compare them. So
 *            `err` keeps Parsec's account: the furthest place, what was found, what was expected there in
 *            the order of asking. Moving on forgets it; going back to a mark merges it. That account
 *            costs more than the reading, so it is kept only when a request that was refused is read
 *            again to say why (is_telling).
 * Texts      valid UTF-8 without NUL, NUL behind it, so a look at the end reads that NUL.
 * Leftovers  what stands behind a complete parameter is not looked at, as in PostgREST.
 * Failure    beyond a limit, or without memory, `status` is set and `*reterr` filled; the parsers see a
 *            failure like any other, and whoever began asks ask_failed().
 * Source     parsec 3.1, Text.Parsec.Prim and Text.Parsec.Error; PostgREST, ApiRequest/QueryParams.
 */
#ifndef REST_ASK_INT_H
#define REST_ASK_INT_H

#include "rest/ask.h"

/* X(name, how it is shown) */
#define ASK_EXPECTATIONS(X)                                      \
    X(LETTER, "letter")                                          \
    X(DIGIT, "digit")                                            \
    X(NAME, "field name (* or [a..z0..9_$])")                    \
    X(KEY, "any non reserved character different from: .,>()")   \
    X(DELIMITER, "delimiter (.)")                                \
    X(OPERATOR, "operator (eq, gt, ...)")                        \
    X(IS_VALUE, "isVal: (null, not_null, true, false, unknown)") \
    X(NEGATION, "negation operator (not)")                       \
    X(LOGIC, "logic operator (and, or)")                         \
    X(END, "end of input")                                       \
    X(NOT, "\"not\"")                                            \
    X(QUOTE, "\"\\\"\"")                                         \
    X(BACKSLASH, "\"\\\\\"")                                     \
    X(DASH, "\"-\"")                                             \
    X(GREATER, "\">\"")                                          \
    X(ARROW, "\"->\"")                                           \
    X(ARROW_TEXT, "\"->>\"")                                     \
    X(COLON, "\":\"")                                            \
    X(CAST, "\"::\"")                                            \
    X(DOT, "\".\"")                                              \
    X(DOTS, "\"...\"")                                           \
    X(COMMA, "\",\"")                                            \
    X(OPEN, "\"(\"")                                             \
    X(CLOSE, "\")\"")                                            \
    X(PARENTHESES, "\"()\"")                                     \
    X(BRACE, "\"{\"")                                            \
    X(BRACE_END, "\"}\"")                                        \
    X(BANG, "\"!\"")                                             \
    X(STAR, "\"*\"")                                             \
    X(LEFT, "\"left\"")                                          \
    X(INNER, "\"inner\"")                                        \
    X(COUNT_CALL, "\"count()\"")                                 \
    X(COUNT, "\"count\"")                                        \
    X(SUM, "\"sum\"")                                            \
    X(AVG, "\"avg\"")                                            \
    X(MAX, "\"max\"")                                            \
    X(MIN, "\"min\"")                                            \
    X(ASC, "\"asc\"")                                            \
    X(DESC, "\"desc\"")                                          \
    X(NULLS_FIRST, "\"nullsfirst\"")                             \
    X(NULLS_LAST, "\"nullslast\"")

enum ask_expectation {
    ASK_NOTHING, /* the character does not fit, and there is no name for what would */
#define ASK_EXPECTATION_NAME(name, text) ASK_##name,
    ASK_EXPECTATIONS(ASK_EXPECTATION_NAME)
#undef ASK_EXPECTATION_NAME
};

enum { ASK_EXPECTED_MAX = 20 }; /* at one place; the grammar has no place with more */

/* All three of has_found, has_refused and n_expected zero: there is none. */
struct ask_complaint {
    size_t at;
    size_t found_at;   /* the character that did not fit */
    size_t refused_at; /* one that must not follow; shown rather than the found one */
    bool has_found;
    bool has_refused;
    uint8_t n_expected;
    uint8_t expected[ASK_EXPECTED_MAX];
};

/* How much of the limits a request has used up. */
struct ask_counts {
    size_t items;
    size_t embeds;
    size_t filters;
    size_t orders;
};

struct ask_span {
    size_t from;
    size_t to;
};

struct ask_parser {
    struct hs_str text;
    size_t at;
    struct ask_complaint err;
    struct hs_arena *arena;
    struct ask_counts *counts;
    struct ask_span name; /* read last; to == 0: none yet */
    unsigned depth;
    bool is_telling; /* keeps account in err */
    hs_status status;
    struct hs_err *reterr;
};

static inline char ask_peek(const struct ask_parser *s)
{
    return s->text.p[s->at];
}

static inline void ask_forget(struct ask_parser *s)
{
    if (hs_unlikely(s->is_telling)) {
        s->err.has_found = false;
        s->err.has_refused = false;
        s->err.n_expected = 0;
    }
}

static inline void ask_move(struct ask_parser *s, size_t n)
{
    s->at += n;
    ask_forget(s);
}

/* ---- complaints ---- */

void ask_note(struct ask_parser *s, size_t at, size_t found_at, enum ask_expectation expected);
void ask_note_refused(struct ask_parser *s, size_t at, size_t refused_at,
                      enum ask_expectation expected);

/* At `at` the character at found_at does not fit; `expected` would. Returns false. */
static inline bool ask_complain_of(struct ask_parser *s, size_t at, size_t found_at,
                                   enum ask_expectation expected)
{
    if (hs_unlikely(s->is_telling))
        ask_note(s, at, found_at, expected);
    return false;
}

/* The character at refused_at must not stand there. Returns false. */
static inline bool ask_refuse(struct ask_parser *s, size_t at, size_t refused_at,
                              enum ask_expectation expected)
{
    if (hs_unlikely(s->is_telling))
        ask_note_refused(s, at, refused_at, expected);
    return false;
}

static inline bool ask_complain(struct ask_parser *s, enum ask_expectation expected)
{
    return ask_complain_of(s, s->at, s->at, expected);
}

struct ask_mark {
    size_t at;
    struct ask_complaint err; /* set only where an account is kept */
};

static inline struct ask_mark ask_mark(const struct ask_parser *s)
{
    struct ask_mark mark;

    mark.at = s->at;
    if (hs_unlikely(s->is_telling))
        mark.err = s->err;
    return mark;
}

void ask_merge_since(struct ask_parser *s, const struct ask_mark *mark);

/* To the mark, with the complaints of before and since. Returns false. */
static inline bool ask_back(struct ask_parser *s, const struct ask_mark *mark)
{
    s->at = mark->at;
    if (hs_unlikely(s->is_telling))
        ask_merge_since(s, mark);
    return false;
}

/* Between a mark and ask_label(): complaints at the beginning are told as `expected` alone. */
static inline struct ask_mark ask_mark_label(struct ask_parser *s)
{
    struct ask_mark mark = ask_mark(s);

    ask_forget(s);
    return mark;
}
void ask_note_label(struct ask_parser *s, const struct ask_mark *mark,
                    enum ask_expectation expected);
static inline void ask_label(struct ask_parser *s, const struct ask_mark *mark,
                             enum ask_expectation expected)
{
    if (hs_unlikely(s->is_telling))
        ask_note_label(s, mark, expected);
}

/* A limit. Returns false. */
bool ask_fail_limit(struct ask_parser *s, const char *what, unsigned max);
bool ask_fail_memory(struct ask_parser *s);

/* Did a limit or memory end it, whatever the parsers said? */
static inline bool ask_failed(const struct ask_parser *s)
{
    return s->status != HS_OK;
}
/*
 * "failed to parse <what> (<value>)" with place and complaint, or what already failed for good. Where no
 * account was kept, the error stays empty.
 */
hs_status ask_fail(struct ask_parser *s, const char *what, struct hs_str value);

/* ---- small parsers ---- */

static inline bool ask_char(struct ask_parser *s, char c, enum ask_expectation expected)
{
    if (ask_peek(s) != c)
        return ask_complain(s, expected);
    ask_move(s, 1);
    return true;
}

/* Fails empty where the first character is another, for good if a later one is. */
bool ask_string(struct ask_parser *s, const char *word, enum ask_expectation expected);
/* Always fails empty. */
bool ask_try_string(struct ask_parser *s, const char *word, enum ask_expectation expected);
/* The word follows; stays before it. */
bool ask_ahead(struct ask_parser *s, const char *word, enum ask_expectation expected);
bool ask_end(struct ask_parser *s);
static inline void ask_space(struct ask_parser *s)
{
    size_t n = 0;

    while (s->text.p[s->at + n] == ' ' || s->text.p[s->at + n] == '\t')
        n++;
    if (n)
        ask_move(s, n);
    (void)ask_complain(s, ASK_NOTHING);
}
/* Spaces may stand on both sides. */
bool ask_spaced_char(struct ask_parser *s, char c, enum ask_expectation expected);

static inline bool ask_delimiter(struct ask_parser *s)
{
    return ask_char(s, '.', ASK_DELIMITER);
}

/* A list's second and later elements: what they complained of at their end is forgotten (Parsec's many). */
static inline void ask_turn(struct ask_parser *s)
{
    ask_forget(s);
}

/* ---- names ---- */

/* A name as it stands, in quotes or with dashes. */
bool ask_name(struct ask_parser *s, struct ask_span *ret_span);
/* What that name means: unquoted, without spaces at its edges. p == NULL: failed. */
struct hs_str ask_name_text(struct ask_parser *s, struct ask_span span);
bool ask_name_is(const struct ask_parser *s, struct ask_span span, const char *name);
/* "..." with backslashes. The span holds the quotes. */
bool ask_quoted(struct ask_parser *s, struct ask_span *ret_span);
/* The same if a comma, ')' or the end follows; fails empty. */
bool ask_quoted_alone(struct ask_parser *s, struct ask_span *ret_span);
/* Letters, digits, '_', '$' and spaces (a type, a text search configuration). */
bool ask_identifier(struct ask_parser *s, struct hs_str *ret_text);
/* Copies text from inside quotes, without its backslashes. Returns the end. */
char *ask_unescape(char *to, struct hs_str inside);
/* Appends -> and ->> steps, perhaps none. */
bool ask_steps(struct ask_parser *s, struct rest_path *path);
/* A name with its steps, spaces around. */
bool ask_path(struct ask_parser *s, struct rest_path *ret_path);
struct hs_str ask_dup(struct ask_parser *s, struct hs_str text);

/* ---- parameters ---- */

bool ask_select(struct ask_parser *s, struct rest_item **ret_items);
bool ask_order(struct ask_parser *s, struct rest_order **ret_order);
bool ask_columns(struct ask_parser *s, const struct hs_str **ret_names, size_t *ret_n);
/* operator.value: the rest of the node is the caller's. */
bool ask_operation(struct ask_parser *s, struct rest_node *node);
bool ask_logic(struct ask_parser *s, struct rest_node **ret_node);

#endif
