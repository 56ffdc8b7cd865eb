/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growth doubles up to the maximum, so appending is linear in all. What a failed buffer holds is
 * undefined for the reader; it is only to be cleared or freed.
 */
#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/mem.h"

enum { BUF_FIRST = 256 };

void hs_buf_fini(struct hs_buf *b)
{
    hs_free(b->p);
    hs_buf_init(b, b->max);
}

bool hs_buf_grow(struct hs_buf *b, size_t more)
{
    size_t cap = b->cap ? b->cap : BUF_FIRST;
    char *p;

    if (b->failed)
        return false;
    if (more > b->max || b->n > b->max - more) {
        b->failed = true;
        return false;
    }
    while (cap < b->n + more)
        cap = cap > SIZE_MAX / 2 ? b->n + more : cap * 2;
    if (cap > b->max)
        cap = b->max;
    if (cap <= b->cap)
        return true;
    p = hs_realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void hs_buf_add_u64(struct hs_buf *b, uint64_t v)
{
    char digits[HS_U64_DIGITS_MAX];

    hs_buf_add(b, hs_strn(digits, (size_t)(hs_u64_print(v, digits) - digits)));
}

void hs_buf_add_i64(struct hs_buf *b, int64_t v)
{
    if (v < 0) {
        hs_buf_add_char(b, '-');
        hs_buf_add_u64(b, 0 - (uint64_t)v);
        return;
    }
    hs_buf_add_u64(b, (uint64_t)v);
}

void hs_buf_printf(struct hs_buf *b, const char *fmt, ...)
{
    va_list args;
    va_list again;
    char *to;
    int n;

    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    to = hs_buf_room(b, n < 0 ? 1 : (size_t)n + 1);
    if (to) {
        (void)vsnprintf(to, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

const char *hs_buf_cstr(struct hs_buf *b)
{
    char *to = hs_buf_room(b, 1);

    if (!to)
        return NULL;
    *to = '\0';
    return b->p;
}

void hs_buf_drop(struct hs_buf *b, size_t n)
{
    HS_BUG_ON(n > b->n);
    b->n -= n;
    if (b->n && n)
        memmove(b->p, b->p + n, b->n);
}
