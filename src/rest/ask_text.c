/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Complaints and the smallest parsers.
 *
 * The rule is Parsec's: of two complaints the further one is told; at one place they are told together,
 * each expectation once, in the order in which they came up, and the first character found. One with
 * nothing in it gives way to any other.
 */
#include "rest/ask_int.h"

#include "core/buf.h"

static const char *const expectations[] = {[ASK_NOTHING] = "",
#define EXPECTATION_TEXT(name, text) [ASK_##name] = text,
                                           ASK_EXPECTATIONS(EXPECTATION_TEXT)
#undef EXPECTATION_TEXT
};

static bool is_empty(const struct ask_complaint *c)
{
    return !c->has_found && !c->has_refused && !c->n_expected;
}

static void expect(struct ask_complaint *c, unsigned expected)
{
    if (expected == ASK_NOTHING || c->n_expected == ASK_EXPECTED_MAX)
        return;
    for (unsigned i = 0; i < c->n_expected; i++) {
        if (c->expected[i] == expected)
            return;
    }
    c->expected[c->n_expected++] = (uint8_t)expected;
}

/* Does something said of `at` count beside what is known? If so there is room for it. */
static bool reach(struct ask_parser *s, size_t at)
{
    if (is_empty(&s->err) || s->err.at < at) {
        ask_forget(s);
        s->err.at = at;
    }
    return s->err.at == at;
}

void ask_note(struct ask_parser *s, size_t at, size_t found_at, enum ask_expectation expected)
{
    if (!reach(s, at))
        return;
    if (!s->err.has_found) {
        s->err.has_found = true;
        s->err.found_at = found_at;
    }
    expect(&s->err, expected);
}

void ask_note_refused(struct ask_parser *s, size_t at, size_t refused_at,
                      enum ask_expectation expected)
{
    if (!reach(s, at))
        return;
    if (!s->err.has_refused) {
        s->err.has_refused = true;
        s->err.refused_at = refused_at;
    }
    expect(&s->err, expected);
}

static void merge(struct ask_complaint *c, const struct ask_complaint *later)
{
    if (is_empty(later) || (!is_empty(c) && c->at > later->at))
        return;
    if (is_empty(c) || c->at < later->at) {
        *c = *later;
        return;
    }
    if (!c->has_found && later->has_found) {
        c->has_found = true;
        c->found_at = later->found_at;
    }
    if (!c->has_refused && later->has_refused) {
        c->has_refused = true;
        c->refused_at = later->refused_at;
    }
    for (unsigned i = 0; i < later->n_expected; i++)
        expect(c, later->expected[i]);
}

void ask_merge_since(struct ask_parser *s, const struct ask_mark *mark)
{
    struct ask_complaint both;

    if (is_empty(&mark->err))
        return;
    both = mark->err;
    merge(&both, &s->err);
    s->err = both;
}

void ask_note_label(struct ask_parser *s, const struct ask_mark *mark,
                    enum ask_expectation expected)
{
    if (s->at != mark->at)
        return;
    if (!is_empty(&s->err)) {
        s->err.n_expected = 0;
        expect(&s->err, expected);
    }
    ask_merge_since(s, mark);
}

/* ---- failing ---- */

bool ask_fail_limit(struct ask_parser *s, const char *what, unsigned max)
{
    if (s->status)
        return false;
    s->status = hs_fail(s->reterr, HS_E_PGRST100, "the query has too many %s", what);
    hs_err_why(s->reterr, "At most %u are read.", max);
    hs_err_hint(s->reterr, "Ask for less at once, or in several requests.");
    return false;
}

bool ask_fail_memory(struct ask_parser *s)
{
    if (!s->status)
        s->status = hs_fail_memory(s->reterr);
    return false;
}

/* One character as Haskell shows it between quotes. */
static void show_char(struct hs_buf *out, const char *p, char quote)
{
    static const char names[][4] = {"NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "a",
                                    "b",   "t",   "n",   "v",   "f",   "r",   "SO",  "SI",
                                    "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB",
                                    "CAN", "EM",  "SUB", "ESC", "FS",  "GS",  "RS",  "US"};
    unsigned char c = (unsigned char)*p;

    hs_buf_add_char(out, quote);
    if (c >= 0x80) {
        unsigned code = c >= 0xf0 ? c & 7U : c >= 0xe0 ? c & 15U : c & 31U;

        for (p++; ((unsigned char)*p & 0xc0) == 0x80; p++)
            code = code << 6 | ((unsigned char)*p & 0x3fU);
        hs_buf_printf(out, "\\%u", code);
    } else if (c < 0x20) {
        hs_buf_printf(out, "\\%.3s", names[c]);
    } else if (c == 0x7f) {
        hs_buf_add_lit(out, "\\DEL");
    } else {
        if (c == '\\' || c == (unsigned char)quote)
            hs_buf_add_char(out, '\\');
        hs_buf_add_char(out, (char)c);
    }
    hs_buf_add_char(out, quote);
}

static void tell(const struct ask_parser *s, struct hs_buf *out)
{
    const struct ask_complaint *c = &s->err;

    if (is_empty(c))
        hs_buf_add_lit(out, "unknown parse error");
    if (c->has_refused || c->has_found) {
        size_t at = c->has_refused ? c->refused_at : c->found_at;

        hs_buf_add_lit(out, "unexpected ");
        if (at >= s->text.n)
            hs_buf_add_lit(out, "end of input");
        else
            show_char(out, s->text.p + at, c->has_refused ? '\'' : '"');
    }
    for (unsigned i = 0; i < c->n_expected; i++) {
        const char *before = i == 0 ? "expecting " : i + 1 == c->n_expected ? "or " : "";

        if (i == 0 && out->n)
            hs_buf_add_char(out, ' ');
        hs_buf_add(out, hs_str(before));
        hs_buf_add(out, hs_str(expectations[c->expected[i]]));
        if (i + 1 < c->n_expected)
            hs_buf_add(out, i + 2 < c->n_expected ? HS_STR(", ") : HS_STR(" "));
    }
}

/* Line and column of a place, from 1, in characters; a tab goes to the next column 8k + 1. */
static void locate(struct hs_str text, size_t at, size_t *ret_line, size_t *ret_column)
{
    size_t line = 1;
    size_t column = 1;

    for (size_t i = 0; i < at && i < text.n; i++) {
        if (text.p[i] == '\n') {
            line++;
            column = 1;
        } else if (text.p[i] == '\t') {
            column += 8 - (column - 1) % 8;
        } else {
            column += ((unsigned char)text.p[i] & 0xc0) != 0x80;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

/* So much of a quoted value that the place behind it still fits the error. */
enum { SHOWN_MAX = HS_ERR_WHAT - 100 };

hs_status ask_fail(struct ask_parser *s, const char *what, struct hs_str value)
{
    size_t shown = value.n > SHOWN_MAX ? hs_str_utf8_cut(value, SHOWN_MAX) : value.n;
    struct hs_buf details;
    size_t line;
    size_t column;

    if (s->status || !s->is_telling)
        return s->status ? s->status : HS_E_PGRST100;
    locate(s->text, s->err.at, &line, &column);
    (void)hs_fail(s->reterr, HS_E_PGRST100,
                  "\"failed to parse %s (%.*s%s)\" (line %zu, column %zu)", what, (int)shown,
                  value.p, shown < value.n ? "..." : "", line, column);
    hs_buf_init(&details, HS_ERR_WHY);
    tell(s, &details);
    hs_err_why(s->reterr, "%.*s", HS_FMT(hs_buf_str(&details)));
    hs_buf_fini(&details);
    return HS_E_PGRST100;
}

/* ---- small parsers ---- */

static size_t common(const struct ask_parser *s, const char *word)
{
    const char *p = s->text.p + s->at;
    size_t n = 0;

    while (word[n] && p[n] == word[n])
        n++;
    return n;
}

bool ask_string(struct ask_parser *s, const char *word, enum ask_expectation expected)
{
    size_t n = common(s, word);

    if (!word[n]) {
        ask_move(s, n);
        return true;
    }
    if (n)
        ask_forget(s);
    (void)ask_complain_of(s, s->at, s->at + n, expected);
    s->at += n;
    return false;
}

bool ask_try_string(struct ask_parser *s, const char *word, enum ask_expectation expected)
{
    size_t n = common(s, word);

    if (word[n])
        return ask_complain_of(s, s->at, s->at + n, expected);
    ask_move(s, n);
    return true;
}

bool ask_ahead(struct ask_parser *s, const char *word, enum ask_expectation expected)
{
    size_t n = common(s, word);

    return !word[n] || ask_complain_of(s, s->at, s->at + n, expected);
}

bool ask_end(struct ask_parser *s)
{
    if (s->at < s->text.n)
        return ask_refuse(s, s->at, s->at, ASK_END);
    (void)ask_complain(s, ASK_END);
    return true;
}

bool ask_spaced_char(struct ask_parser *s, char c, enum ask_expectation expected)
{
    ask_space(s);
    if (!ask_char(s, c, expected))
        return false;
    ask_space(s);
    return true;
}
