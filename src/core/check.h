/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/check.h - the words of the house for attributes and for our own mistakes.
 *
 * HS_BUG_ON      our mistake: aborts with the place and the text, compiled in always.
 * HS_HOT_BUG_ON  the same where it costs: only in builds with HS_DEBUG.
 * HS_OBJ         checks the magic of an object that came as void *.
 * Never used on outside input: bad input is an error (core/err.h), not a bug.
 */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define hs_must_check __attribute__((warn_unused_result))
#define hs_printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define hs_auto(fn) __attribute__((cleanup(fn)))
#define hs_likely(c) __builtin_expect(!!(c), 1)
#define hs_unlikely(c) __builtin_expect(!!(c), 0)
#define HS_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The object that contains member `field` at address `ptr`. */
#define HS_CONTAINER(ptr, type, field) \
    ((type *)(void *)((char *)(uintptr_t)(ptr)-offsetof(type, field)))

_Noreturn void hs_bug(const char *file, int line, const char *what);

#define HS_BUG_ON(c)                        \
    do {                                    \
        if (hs_unlikely(c))                 \
            hs_bug(__FILE__, __LINE__, #c); \
    } while (0)

#ifdef HS_DEBUG
#define HS_HOT_BUG_ON(c) HS_BUG_ON(c)
#else
#define HS_HOT_BUG_ON(c) ((void)sizeof(c))
#endif

/* p must be a live object whose first member is `uint32_t magic`. */
#define HS_OBJ(p, expected) HS_BUG_ON(!(p) || (p)->magic != (expected))

#endif
