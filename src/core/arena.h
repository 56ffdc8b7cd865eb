/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/arena.h - memory that dies together: one arena a request.
 *
 * Allocations are cut from chunks; nothing is freed alone; hs_arena_reset() ends all of it and keeps one
 * chunk for the next use. Failure is sticky: once an allocation fails (no memory, or past bytes_max)
 * every later one returns NULL and hs_arena_failed() stays true until the reset, so a caller may build
 * a whole structure and ask once. Under AddressSanitizer each allocation is fenced and a reset poisons.
 * Owned by one thread.
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include "core/str.h"

struct hs_arena_chunk;

struct hs_arena {
    struct hs_arena_chunk *chunk; /* newest; older ones hang behind it */
    char *at;                     /* next free byte of the newest chunk */
    char *end;
    size_t bytes; /* asked of the allocator so far */
    size_t bytes_max;
    bool failed;
};

/* bytes_max bounds what the arena takes from the allocator, heads of chunks included. Allocates nothing
 * yet. */
void hs_arena_init(struct hs_arena *a, size_t bytes_max);
/* Ends everything in it and frees all chunks. */
void hs_arena_fini(struct hs_arena *a);
/* Ends everything in it, keeps at most one chunk of the common size. */
void hs_arena_reset(struct hs_arena *a);

static inline bool hs_arena_failed(const struct hs_arena *a)
{
    return a->failed;
}

/* n bytes aligned for any scalar, not cleared; NULL on failure. */
void *hs_arena_alloc(struct hs_arena *a, size_t n) hs_must_check;
/* The same, cleared; count * n is checked for overflow. */
void *hs_arena_zalloc(struct hs_arena *a, size_t count, size_t n) hs_must_check;
/* A copy with a NUL behind it (not counted in n). On failure p is NULL and n is 0. */
struct hs_str hs_arena_dup(struct hs_arena *a, struct hs_str s);
/* Formatted text, NUL-terminated. */
struct hs_str hs_arena_printf(struct hs_arena *a, const char *fmt, ...) hs_printf_like(2, 3);

#define HS_NEW(arena, type) ((type *)hs_arena_zalloc((arena), 1, sizeof(type)))
#define HS_NEW_ARRAY(arena, count, type) ((type *)hs_arena_zalloc((arena), (count), sizeof(type)))

#endif
