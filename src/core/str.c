/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices. Nothing here allocates. UTF-8 is checked by the table of well-formed sequences in RFC 3629,
 * section 4, with eight ASCII bytes at a time skipped first, since nearly all input is ASCII.
 */
#include "core/str.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool hs_str_starts(struct hs_str s, struct hs_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool hs_str_ieq(struct hs_str a, struct hs_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

struct hs_str hs_str_trim(struct hs_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct hs_str hs_str_cut(struct hs_str *s, char c)
{
    size_t at = hs_str_find(*s, c);
    struct hs_str head = hs_strn(s->p, at);

    *s = at < s->n ? hs_strn(s->p + at + 1, s->n - at - 1) : hs_strn(s->p ? s->p + s->n : NULL, 0);
    return head;
}

int hs_str_cmp(struct hs_str a, struct hs_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;

    return order ? order : (a.n > b.n) - (a.n < b.n);
}

bool hs_str_to_u64(struct hs_str s, uint64_t *ret_v)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *ret_v = v;
    return true;
}

bool hs_str_to_i64(struct hs_str s, int64_t *ret_v)
{
    bool negative = s.n && s.p[0] == '-';
    uint64_t v;

    if (!hs_str_to_u64(negative ? hs_str_sub(s, 1, s.n) : s, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *ret_v = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* The digits come out from the last to the first. */
char *hs_u64_print(uint64_t v, char *to)
{
    char digits[HS_U64_DIGITS_MAX];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    memcpy(to, digits + at, sizeof(digits) - at);
    return to + (sizeof(digits) - at);
}

void hs_u64_hex(uint64_t v, char *to)
{
    static const char digits[] = "0123456789abcdef";

    for (int i = HS_U64_HEX - 1; i >= 0; i--, v >>= 4)
        to[i] = digits[v & 15];
}

static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t n;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (left < n)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

bool hs_str_is_utf8(struct hs_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t left = s.n;

    while (left) {
        uint64_t eight;
        size_t n;

        if (left >= 8) {
            memcpy(&eight, p, 8);
            if (!(eight & 0x8080808080808080u)) {
                p += 8;
                left -= 8;
                continue;
            }
        }
        n = utf8_sequence(p, left);
        if (n == 0)
            return false;
        p += n;
        left -= n;
    }
    return true;
}

size_t hs_str_utf8_cut(struct hs_str s, size_t n)
{
    if (n >= s.n)
        return s.n;
    while (n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

bool hs_str_eq_secret(struct hs_str a, struct hs_str b)
{
    volatile unsigned char diff = 0;

    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        diff = (unsigned char)(diff | ((unsigned char)a.p[i] ^ (unsigned char)b.p[i]));
    return diff == 0;
}
