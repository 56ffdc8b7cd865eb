/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The escaper looks at eight bytes at a time: text without anything to escape is the rule and is copied
 * in runs.
 */
#include "core/json.h"

#define ONES 0x0101010101010101u
#define HIGH 0x8080808080808080u

/* Some byte of v is below 0x20, '"' or '\'? May also say yes for bytes >= 0x80; then we look closely. */
static bool may_need_escape(uint64_t v)
{
    uint64_t quote = v ^ (ONES * '"');
    uint64_t slash = v ^ (ONES * '\\');

    return (((v - ONES * 0x20) | (quote - ONES) | (slash - ONES)) & ~v & HIGH) != 0;
}

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

static void add_escape(struct hs_buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', '0', '0', '0', '0'};
    char brief = 0;

    switch (c) {
    case '"':
    case '\\':
        brief = (char)c;
        break;
    case '\b':
        brief = 'b';
        break;
    case '\f':
        brief = 'f';
        break;
    case '\n':
        brief = 'n';
        break;
    case '\r':
        brief = 'r';
        break;
    case '\t':
        brief = 't';
        break;
    default:
        break;
    }
    if (brief) {
        text[1] = brief;
        hs_buf_add(out, hs_strn(text, 2));
        return;
    }
    text[4] = hex[c >> 4];
    text[5] = hex[c & 15];
    hs_buf_add(out, hs_strn(text, 6));
}

static size_t plain_run(const char *p, size_t n)
{
    size_t i = 0;

    while (i + 8 <= n) {
        uint64_t eight;

        memcpy(&eight, p + i, 8);
        if (may_need_escape(eight))
            break;
        i += 8;
    }
    while (i < n && !needs_escape((unsigned char)p[i]))
        i++;
    return i;
}

static void add_escaped(struct hs_buf *out, struct hs_str s)
{
    while (s.n) {
        size_t run = plain_run(s.p, s.n);

        hs_buf_add(out, hs_strn(s.p, run));
        if (run < s.n)
            add_escape(out, (unsigned char)s.p[run++]);
        s = hs_strn(s.p + run, s.n - run);
    }
}

void hs_json_text(struct hs_buf *out, struct hs_str s)
{
    hs_buf_add_char(out, '"');
    add_escaped(out, s);
    hs_buf_add_char(out, '"');
}

void hs_json_piece(struct hs_buf *out, struct hs_str s)
{
    add_escaped(out, s);
}

static size_t valid_prefix(struct hs_str s)
{
    size_t n = 0;

    while (n < s.n) {
        size_t step = 1;

        while (step <= 4 && n + step <= s.n && !hs_str_is_utf8(hs_strn(s.p + n, step)))
            step++;
        if (step > 4 || n + step > s.n)
            break;
        n += step;
    }
    return n;
}

void hs_json_string(struct hs_buf *out, struct hs_str s)
{
    if (hs_str_is_utf8(s)) {
        hs_json_text(out, s);
        return;
    }
    hs_buf_add_char(out, '"');
    while (s.n) {
        size_t n = valid_prefix(s);

        add_escaped(out, hs_strn(s.p, n));
        if (n < s.n) {
            hs_buf_add_lit(out, "\xef\xbf\xbd");
            n++;
        }
        s = hs_strn(s.p + n, s.n - n);
    }
    hs_buf_add_char(out, '"');
}
