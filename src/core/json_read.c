/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pull reader: a stack of one bit a level (object or array) and what may come next is all its state.
 *
 *     {  "a"  :  [  1  ,  2  ]  }
 *     ^ OBJECT   ^ ARRAY      ^ OBJECT_END
 *        ^ NAME     ^ NUMBER ^ ARRAY_END     (commas and colons are checked, never shown)
 *
 * The one rule: each byte is looked at once, by the token that it belongs to. Strings are most of a body,
 * and most of them are plain, so they are passed eight bytes at a time until a quote, a backslash or a
 * control character comes near; UTF-8 is checked only where a byte above 0x7f was seen.
 *
 * It refuses unpaired surrogates, which the grammar of RFC 8259 lets pass (section 8.2): no text in UTF-8
 * can hold them.
 *
 * Source: RFC 8259; RFC 3629 for UTF-8.
 */
#include "core/json_read.h"

#include <stdio.h>

#define ONES 0x0101010101010101u
#define HIGH 0x8080808080808080u

enum want {
    WANT_VALUE,
    WANT_VALUE_OR_END, /* behind '[' */
    WANT_NAME_OR_END,  /* behind '{' */
    WANT_NAME,         /* behind ',' of an object */
    WANT_COMMA_OR_END,
    WANT_NOTHING
};

enum { END_OF_TEXT = -1 };

void json_reader_init(struct json_reader *r, struct hs_str text, unsigned depth_max)
{
    HS_BUG_ON(depth_max > JSON_DEPTH_MAX);
    *r = (struct json_reader){.text = text, .depth_max = depth_max, .expect = WANT_VALUE};
}

void json_place(struct hs_str text, size_t at, size_t *ret_line, size_t *ret_column)
{
    size_t begin = 0;

    *ret_line = 1;
    at = at < text.n ? at : text.n;
    for (size_t i = 0; i < at; i++) {
        if (text.p[i] == '\n') {
            begin = i + 1;
            ++*ret_line;
        }
    }
    *ret_column = at - begin + 1;
}

static int peek(const struct json_reader *r, size_t at)
{
    return at < r->text.n ? (unsigned char)r->text.p[at] : END_OF_TEXT;
}

static hs_status fail_at(const struct json_reader *r, size_t at, const char *expected,
                         struct hs_err *reterr)
{
    int c = peek(r, at);
    char found[32];
    size_t line;
    size_t column;

    if (c == END_OF_TEXT)
        (void)snprintf(found, sizeof(found), "the end of the text");
    else if (c > 0x20 && c < 0x7f)
        (void)snprintf(found, sizeof(found), "%c", c);
    else
        (void)snprintf(found, sizeof(found), "the byte 0x%02x", (unsigned)c);
    json_place(r->text, at, &line, &column);
    return hs_fail(reterr, HS_E_BAD_JSON, "line %zu, column %zu: expected %s, not %s", line, column,
                   expected, found);
}

static void skip_space(struct json_reader *r)
{
    size_t at = r->at;

    while (at < r->text.n) {
        char c = r->text.p[at];

        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            break;
        at++;
    }
    r->at = at;
}

/* ---- strings ---- */

/* The four digits at `at`; -1 if they are not. */
static int32_t hex_unit(struct hs_str s, size_t at)
{
    int32_t unit = 0;

    if (s.n < 4 || at > s.n - 4)
        return -1;
    for (size_t i = at; i < at + 4; i++) {
        int digit = hs_hex_digit(s.p[i]);

        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static bool is_high_half(int32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_half(int32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* *at is behind "\u". */
static hs_status check_unit(struct json_reader *r, size_t *at, struct hs_err *reterr)
{
    int32_t unit = hex_unit(r->text, *at);

    if (unit < 0)
        return fail_at(r, *at, "four hexadecimal digits behind \\u", reterr);
    if (is_low_half(unit))
        return fail_at(r, *at, "the high half of a surrogate pair before its low half", reterr);
    *at += 4;
    r->has_nul = r->has_nul || unit == 0;
    if (!is_high_half(unit))
        return HS_OK;
    if (peek(r, *at) != '\\' || peek(r, *at + 1) != 'u' || !is_low_half(hex_unit(r->text, *at + 2)))
        return fail_at(r, *at, "the low half of a surrogate pair behind its high half", reterr);
    *at += 6;
    return HS_OK;
}

/* *at is at the backslash. */
static hs_status check_escape(struct json_reader *r, size_t *at, struct hs_err *reterr)
{
    int c = peek(r, *at + 1);

    r->has_escapes = true;
    if (c == 'u') {
        *at += 2;
        return check_unit(r, at, reterr);
    }
    if (c <= 0 || !strchr("\"\\/bfnrt", c))
        return fail_at(r, *at + 1, "one of \"\\/bfnrtu behind a backslash", reterr);
    *at += 2;
    return HS_OK;
}

/* Has one of eight bytes to be looked at: below 0x20, '"' or '\'? Never wrong where it says no. */
static bool is_any_special(uint64_t v)
{
    uint64_t quote = v ^ (ONES * '"');
    uint64_t slash = v ^ (ONES * '\\');

    return (((v - ONES * 0x20) | (quote - ONES) | (slash - ONES)) & ~v & HIGH) != 0;
}

/* Passes plain bytes; *high collects their top bits. */
static size_t pass_plain(struct hs_str s, size_t at, uint64_t *high)
{
    while (s.n - at >= 8) {
        uint64_t v;

        memcpy(&v, s.p + at, 8);
        if (is_any_special(v))
            break;
        *high |= v & HIGH;
        at += 8;
    }
    while (at < s.n) {
        unsigned char c = (unsigned char)s.p[at];

        if (c < 0x20 || c == '"' || c == '\\')
            break;
        *high |= c & 0x80u;
        at++;
    }
    return at;
}

/* r->at is at the opening quote. */
static hs_status read_string(struct json_reader *r, struct hs_err *reterr)
{
    size_t at = r->at + 1;
    uint64_t high = 0;

    r->has_escapes = false;
    for (;;) {
        hs_status status;

        at = pass_plain(r->text, at, &high);
        if (peek(r, at) == '"')
            break;
        if (peek(r, at) != '\\')
            return fail_at(r, at,
                           at < r->text.n ? "control characters of a string as escapes"
                                          : "the closing quote of a string",
                           reterr);
        status = check_escape(r, &at, reterr);
        if (status)
            return status;
    }
    r->value = hs_str_sub(r->text, r->at + 1, at);
    if (high && !hs_str_is_utf8(r->value))
        return fail_at(r, r->at, "a string in UTF-8", reterr);
    r->at = at + 1;
    return HS_OK;
}

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | (c >> 6));
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | (c >> 12));
        to[1] = (char)(0x80 | ((c >> 6) & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | (c >> 18));
    to[1] = (char)(0x80 | ((c >> 12) & 0x3f));
    to[2] = (char)(0x80 | ((c >> 6) & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* The character that the escape at `at` stands for; *ret_n bytes of raw are behind then. */
static uint32_t read_escape(struct hs_str raw, size_t at, size_t *ret_n)
{
    static const char letters[] = "bfnrt";
    static const char meanings[] = "\b\f\n\r\t";
    char c = raw.p[at + 1];
    const char *letter = strchr(letters, c);
    int32_t unit;

    *ret_n = 2;
    if (letter)
        return (uint32_t)meanings[letter - letters];
    if (c != 'u')
        return (unsigned char)c;
    unit = hex_unit(raw, at + 2);
    *ret_n = 6;
    if (!is_high_half(unit))
        return (uint32_t)unit;
    *ret_n = 12;
    return 0x10000 + (((uint32_t)unit & 0x3ff) << 10) + ((uint32_t)hex_unit(raw, at + 8) & 0x3ff);
}

bool json_unescape(struct hs_str raw, char *to, size_t *ret_n)
{
    size_t at = 0;
    size_t n = 0;

    while (at < raw.n) {
        const char *slash = memchr(raw.p + at, '\\', raw.n - at);
        size_t plain = slash ? (size_t)(slash - raw.p) - at : raw.n - at;
        size_t taken;
        uint32_t c;

        if (plain)
            memcpy(to + n, raw.p + at, plain);
        n += plain;
        at += plain;
        if (at == raw.n)
            break;
        c = read_escape(raw, at, &taken);
        if (!c)
            return false;
        n += put_utf8(to + n, c);
        at += taken;
    }
    *ret_n = n;
    return true;
}

hs_status json_text(const struct json_reader *r, struct hs_arena *arena, struct hs_str *ret_text,
                    struct hs_err *reterr)
{
    char *to = hs_arena_alloc(arena, r->value.n + 1);
    size_t n;

    if (!to)
        return hs_fail_memory(reterr);
    if (!json_unescape(r->value, to, &n))
        return fail_at(r, r->start, "a string without \\u0000", reterr);
    to[n] = '\0';
    *ret_text = hs_strn(to, n);
    return HS_OK;
}

/* ---- numbers and words ---- */

static size_t pass_digits(const struct json_reader *r, size_t at)
{
    while (at < r->text.n && r->text.p[at] >= '0' && r->text.p[at] <= '9')
        at++;
    return at;
}

static hs_status read_number(struct json_reader *r, struct hs_err *reterr)
{
    size_t from = r->at + (r->text.p[r->at] == '-');
    size_t at = pass_digits(r, from);

    if (at == from)
        return fail_at(r, at, "a digit behind the minus sign", reterr);
    if (r->text.p[from] == '0' && at > from + 1)
        return fail_at(r, from + 1, "no digit behind a leading zero", reterr);
    if (peek(r, at) == '.') {
        from = at + 1;
        at = pass_digits(r, from);
        if (at == from)
            return fail_at(r, at, "a digit behind the decimal point", reterr);
    }
    if (peek(r, at) == 'e' || peek(r, at) == 'E') {
        from = at + 1;
        from += peek(r, from) == '+' || peek(r, from) == '-';
        at = pass_digits(r, from);
        if (at == from)
            return fail_at(r, at, "a digit of the exponent", reterr);
    }
    r->value = hs_str_sub(r->text, r->at, at);
    r->at = at;
    return HS_OK;
}

static hs_status read_word(struct json_reader *r, struct hs_str word, struct hs_err *reterr)
{
    if (!hs_str_starts(hs_str_sub(r->text, r->at, r->text.n), word))
        return fail_at(r, r->at, "a value", reterr);
    r->at += word.n;
    return HS_OK;
}

/* ---- structure ---- */

static bool is_in_object(const struct json_reader *r)
{
    return r->depth && ((r->is_object >> (r->depth - 1)) & 1);
}

static void value_done(struct json_reader *r)
{
    r->expect = r->depth ? WANT_COMMA_OR_END : WANT_NOTHING;
}

static hs_status open_level(struct json_reader *r, bool is_object, struct hs_err *reterr)
{
    uint64_t bit;
    size_t line;
    size_t column;

    if (r->depth == r->depth_max) {
        json_place(r->text, r->at, &line, &column);
        return hs_fail(reterr, HS_E_BAD_JSON, "line %zu, column %zu: nested deeper than %u levels",
                       line, column, r->depth_max);
    }
    bit = (uint64_t)1 << r->depth++;
    r->is_object = is_object ? r->is_object | bit : r->is_object & ~bit;
    r->expect = is_object ? WANT_NAME_OR_END : WANT_VALUE_OR_END;
    r->at++;
    return HS_OK;
}

static void close_level(struct json_reader *r)
{
    r->at++;
    r->depth--;
    value_done(r);
}

static hs_status read_name(struct json_reader *r, struct hs_err *reterr)
{
    hs_status status = read_string(r, reterr);

    if (status)
        return status;
    skip_space(r);
    if (peek(r, r->at) != ':')
        return fail_at(r, r->at, "':' behind the name of a member", reterr);
    r->at++;
    r->expect = WANT_VALUE;
    return HS_OK;
}

static hs_status read_value(struct json_reader *r, enum json_token *ret_token,
                            struct hs_err *reterr)
{
    int c = peek(r, r->at);
    hs_status status;

    if (c == '{' || c == '[') {
        *ret_token = c == '{' ? JSON_OBJECT : JSON_ARRAY;
        return open_level(r, c == '{', reterr);
    }
    if (c == '"') {
        *ret_token = JSON_STRING;
        status = read_string(r, reterr);
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        *ret_token = JSON_NUMBER;
        status = read_number(r, reterr);
    } else if (c == 't') {
        *ret_token = JSON_TRUE;
        status = read_word(r, HS_STR("true"), reterr);
    } else if (c == 'f') {
        *ret_token = JSON_FALSE;
        status = read_word(r, HS_STR("false"), reterr);
    } else if (c == 'n') {
        *ret_token = JSON_NULL;
        status = read_word(r, HS_STR("null"), reterr);
    } else {
        status = fail_at(r, r->at, "a value", reterr);
    }
    if (!status)
        value_done(r);
    return status;
}

/* Behind a value: a comma is passed, and says what comes next. */
static void pass_comma(struct json_reader *r)
{
    if (r->expect != WANT_COMMA_OR_END || peek(r, r->at) != ',')
        return;
    r->at++;
    r->expect = is_in_object(r) ? WANT_NAME : WANT_VALUE;
    skip_space(r);
}

hs_status json_next(struct json_reader *r, enum json_token *ret_token, struct hs_err *reterr)
{
    bool may_end = r->expect == WANT_VALUE_OR_END || r->expect == WANT_NAME_OR_END ||
                   r->expect == WANT_COMMA_OR_END;
    int c;

    skip_space(r);
    c = peek(r, r->at);
    if (may_end && c == (is_in_object(r) ? '}' : ']')) {
        r->start = r->at;
        *ret_token = c == '}' ? JSON_OBJECT_END : JSON_ARRAY_END;
        close_level(r);
        return HS_OK;
    }
    pass_comma(r);
    r->start = r->at;
    switch ((enum want)r->expect) {
    case WANT_VALUE:
    case WANT_VALUE_OR_END:
        return read_value(r, ret_token, reterr);
    case WANT_NAME:
    case WANT_NAME_OR_END:
        if (peek(r, r->at) != '"')
            return fail_at(r, r->at,
                           r->expect == WANT_NAME ? "the name of a member in quotes"
                                                  : "the name of a member in quotes, or '}'",
                           reterr);
        *ret_token = JSON_NAME;
        return read_name(r, reterr);
    case WANT_COMMA_OR_END:
        return fail_at(r, r->at, is_in_object(r) ? "',' or '}'" : "',' or ']'", reterr);
    case WANT_NOTHING:
        break;
    }
    *ret_token = JSON_END;
    return r->at == r->text.n ? HS_OK
                              : fail_at(r, r->at, "the end of the text behind the value", reterr);
}

hs_status json_skip(struct json_reader *r, enum json_token token, struct hs_str *ret_text,
                    struct hs_err *reterr)
{
    size_t from = r->start;
    unsigned depth = r->depth;
    bool is_open = token == JSON_OBJECT || token == JSON_ARRAY;

    while (is_open) {
        hs_status status = json_next(r, &token, reterr);

        if (status)
            return status;
        is_open = r->depth >= depth;
    }
    *ret_text = hs_str_sub(r->text, from, r->at);
    return HS_OK;
}
