/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/buf.h - a growing run of bytes, born with its maximum.
 *
 * Failure (no memory, past the maximum) is sticky: writers after it do nothing, and the caller asks
 * hs_buf_failed() once at the end. hs_buf_fini() may be called twice. Owned by one thread.
 */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include "core/str.h"

struct hs_buf {
    char *p;
    size_t n;
    size_t cap;
    size_t max;
    bool failed;
};

static inline void hs_buf_init(struct hs_buf *b, size_t max)
{
    *b = (struct hs_buf){.max = max};
}

void hs_buf_fini(struct hs_buf *b);

/* Empty again, memory kept, failure forgotten. */
static inline void hs_buf_clear(struct hs_buf *b)
{
    b->n = 0;
    b->failed = false;
}

static inline bool hs_buf_failed(const struct hs_buf *b)
{
    return b->failed;
}

/* Of a buffer that never held anything: p == NULL. */
static inline struct hs_str hs_buf_str(const struct hs_buf *b)
{
    return hs_strn(b->p, b->n);
}

/* Makes room for `more` bytes; false = failed now or before. */
bool hs_buf_grow(struct hs_buf *b, size_t more);

/* Room for `more` (> 0) bytes: a pointer to write to, then hs_buf_added(); NULL = failed. */
static inline char *hs_buf_room(struct hs_buf *b, size_t more)
{
    if (hs_unlikely(b->failed || b->cap - b->n < more) && !hs_buf_grow(b, more))
        return NULL;
    return b->p + b->n;
}

static inline void hs_buf_added(struct hs_buf *b, size_t n)
{
    b->n += n;
}

static inline void hs_buf_add(struct hs_buf *b, struct hs_str s)
{
    char *to = s.n ? hs_buf_room(b, s.n) : NULL;

    if (to) {
        memcpy(to, s.p, s.n);
        b->n += s.n;
    }
}

static inline void hs_buf_add_char(struct hs_buf *b, char c)
{
    char *to = hs_buf_room(b, 1);

    if (to) {
        *to = c;
        b->n++;
    }
}

#define hs_buf_add_lit(b, literal) hs_buf_add((b), HS_STR(literal))

void hs_buf_add_u64(struct hs_buf *b, uint64_t v);
void hs_buf_add_i64(struct hs_buf *b, int64_t v);
/* Off the hot path only. Needs room for a NUL behind the text. */
void hs_buf_printf(struct hs_buf *b, const char *fmt, ...) hs_printf_like(2, 3);
/* Puts a NUL behind the content (not counted) and returns it; NULL = failed. */
const char *hs_buf_cstr(struct hs_buf *b);
/* The first n bytes go, the rest moves to the front. */
void hs_buf_drop(struct hs_buf *b, size_t n);

#endif
