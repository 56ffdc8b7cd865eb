/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Common chunks of ARENA_CHUNK bytes, others for larger allocations. The newest chunk is the one being
 * cut; a large allocation gets a chunk of its own that is linked behind, so that the rest of the common
 * chunk is not lost. Where bytes_max leaves no room for a common chunk, one that just fits is made. A
 * reset keeps one common chunk, and no other: a request of usual size costs no malloc.
 *
 * Under AddressSanitizer the free part of a chunk is poisoned and each allocation is followed by a
 * red zone, so overflow and use after reset are reported although the memory is still ours.
 */
#include "core/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
enum { ARENA_FENCE = 16 };
#define POISON(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
enum { ARENA_FENCE = 0 };
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ARENA_ALIGN = 16 };

struct hs_arena_chunk {
    struct hs_arena_chunk *older;
    size_t size; /* of data */
    _Alignas(ARENA_ALIGN) char data[];
};

/* Data of a common chunk: with its head it is two pages, so that the allocator wastes nothing. */
enum { ARENA_CHUNK = 8192 - sizeof(struct hs_arena_chunk) };

void hs_arena_init(struct hs_arena *a, size_t bytes_max)
{
    *a = (struct hs_arena){.bytes_max = bytes_max};
}

static void free_chunks(struct hs_arena_chunk *c)
{
    while (c) {
        struct hs_arena_chunk *older = c->older;

        UNPOISON(c->data, c->size);
        hs_free(c);
        c = older;
    }
}

void hs_arena_fini(struct hs_arena *a)
{
    free_chunks(a->chunk);
    *a = (struct hs_arena){.bytes_max = a->bytes_max};
}

void hs_arena_reset(struct hs_arena *a)
{
    struct hs_arena_chunk **link = &a->chunk;
    struct hs_arena_chunk *keep;

    while (*link && (*link)->size != ARENA_CHUNK)
        link = &(*link)->older;
    keep = *link;
    if (keep)
        *link = keep->older;
    free_chunks(a->chunk);
    hs_arena_init(a, a->bytes_max);
    if (!keep)
        return;
    keep->older = NULL;
    a->chunk = keep;
    a->bytes = sizeof(*keep) + keep->size;
    a->at = keep->data;
    a->end = keep->data + keep->size;
    POISON(keep->data, keep->size);
}

static struct hs_arena_chunk *new_chunk(struct hs_arena *a, size_t size)
{
    struct hs_arena_chunk *c;

    c = hs_malloc(sizeof(*c) + size);
    if (!c)
        return NULL;
    c->size = size;
    c->older = NULL;
    a->bytes += sizeof(*c) + size;
    POISON(c->data, size);
    return c;
}

static void *alloc_slow(struct hs_arena *a, size_t need)
{
    size_t left = a->bytes_max > a->bytes ? a->bytes_max - a->bytes : 0;
    bool large = need > ARENA_CHUNK / 2;
    size_t size = large || left < sizeof(struct hs_arena_chunk) + ARENA_CHUNK ? need : ARENA_CHUNK;
    struct hs_arena_chunk *c = NULL;

    if (left >= sizeof(*c) && left - sizeof(*c) >= size)
        c = new_chunk(a, size);
    if (!c) {
        a->failed = true;
        return NULL;
    }
    if (large && a->chunk) {
        c->older = a->chunk->older;
        a->chunk->older = c;
        return c->data;
    }
    c->older = a->chunk;
    a->chunk = c;
    a->at = c->data + need;
    a->end = c->data + c->size;
    return c->data;
}

void *hs_arena_alloc(struct hs_arena *a, size_t n)
{
    size_t need;
    char *p;

    if (a->failed)
        return NULL;
    if (n > SIZE_MAX / 2) {
        a->failed = true;
        return NULL;
    }
    need = (n + ARENA_FENCE + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    need = need ? need : ARENA_ALIGN;
    if (hs_likely((size_t)(a->end - a->at) >= need)) {
        p = a->at;
        a->at += need;
    } else {
        p = alloc_slow(a, need);
    }
    if (p)
        UNPOISON(p, n);
    return p;
}

void *hs_arena_zalloc(struct hs_arena *a, size_t count, size_t n)
{
    size_t total;
    void *p;

    if (__builtin_mul_overflow(count, n, &total)) {
        a->failed = true;
        return NULL;
    }
    p = hs_arena_alloc(a, total);
    if (p && total)
        memset(p, 0, total);
    return p;
}

struct hs_str hs_arena_dup(struct hs_arena *a, struct hs_str s)
{
    char *p = hs_arena_alloc(a, s.n + 1);

    if (!p)
        return HS_STR_NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return hs_strn(p, s.n);
}

struct hs_str hs_arena_printf(struct hs_arena *a, const char *fmt, ...)
{
    va_list args;
    va_list again;
    char *p = NULL;
    int n;

    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n >= 0)
        p = hs_arena_alloc(a, (size_t)n + 1);
    if (p)
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p ? hs_strn(p, (size_t)n) : HS_STR_NULL;
}
