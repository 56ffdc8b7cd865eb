/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/str.h - a slice of bytes: pointer and length, passed by value.
 *
 * A slice owns nothing, need not end in NUL and may hold any byte. The empty slice has n == 0 (p may be
 * NULL); "absent" is p == NULL. Whoever keeps a slice knows whose memory it points into.
 */
#ifndef CORE_STR_H
#define CORE_STR_H

#include <string.h>

#include "core/check.h"

struct hs_str {
    const char *p;
    size_t n;
};

#define HS_STR(literal) ((struct hs_str){("" literal), sizeof(literal) - 1})
#define HS_STR_NULL ((struct hs_str){NULL, 0})
/* For printf: "%.*s", HS_FMT(s). Lengths past INT_MAX are cut. */
#define HS_FMT(s) (int)((s).n > 0x7fffffff ? 0x7fffffff : (s).n), ((s).p ? (s).p : "")

static inline struct hs_str hs_str(const char *cstr)
{
    return (struct hs_str){cstr, cstr ? strlen(cstr) : 0};
}

static inline struct hs_str hs_strn(const char *p, size_t n)
{
    return (struct hs_str){p, n};
}

static inline bool hs_str_eq(struct hs_str a, struct hs_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool hs_str_is(struct hs_str a, const char *cstr)
{
    return hs_str_eq(a, hs_str(cstr));
}

/* Bytes from `from` up to `to` (exclusive); both are clamped to the slice. */
static inline struct hs_str hs_str_sub(struct hs_str s, size_t from, size_t to)
{
    to = to > s.n ? s.n : to;
    from = from > to ? to : from;
    return hs_strn(s.p ? s.p + from : NULL, to - from);
}

/* Index of byte c, or s.n if it is not there. */
static inline size_t hs_str_find(struct hs_str s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;

    return hit ? (size_t)(hit - s.p) : s.n;
}

bool hs_str_starts(struct hs_str s, struct hs_str prefix);
/* Equality that ignores the case of ASCII letters only (header names, schemes). */
bool hs_str_ieq(struct hs_str a, struct hs_str b);
/* Without the spaces and tabs at both ends (optional whitespace of RFC 9110, 5.6.3). */
struct hs_str hs_str_trim(struct hs_str s);
/* Cuts off and returns what stands before the first c; *s becomes what follows it (empty if none). */
struct hs_str hs_str_cut(struct hs_str *s, char c);
/* The order of memcmp, the shorter first where one begins the other. */
int hs_str_cmp(struct hs_str a, struct hs_str b);

/* The whole slice is a decimal integer in range; no sign for u64, optional '-' for i64, no spaces. */
bool hs_str_to_u64(struct hs_str s, uint64_t *ret_v) hs_must_check;
bool hs_str_to_i64(struct hs_str s, int64_t *ret_v) hs_must_check;

enum { HS_U64_DIGITS_MAX = 20 };
/* Writes v in decimal, at most HS_U64_DIGITS_MAX bytes and no NUL; returns the end of it. */
char *hs_u64_print(uint64_t v, char *to);
enum { HS_U64_HEX = 16 };
/* Writes v in hexadecimal, HS_U64_HEX lower-case digits and no NUL. */
void hs_u64_hex(uint64_t v, char *to);

/* The value of a hexadecimal digit of either case; -1: it is none. */
static inline int hs_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Copies s to `to`, which has the room; returns the end of it. */
static inline char *hs_str_put(char *to, struct hs_str s)
{
    if (s.n)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

/* Valid UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). NUL is allowed. */
bool hs_str_is_utf8(struct hs_str s);
/* The longest length <= n at which s, valid UTF-8, can be cut without splitting a character. */
size_t hs_str_utf8_cut(struct hs_str s, size_t n);

/* Equal? Takes the same time whatever the bytes are (secrets); the lengths are not secret. */
bool hs_str_eq_secret(struct hs_str a, struct hs_str b);

#endif
