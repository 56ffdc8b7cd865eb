/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/mem.h - the only door to the allocator.
 *
 * Every allocation may fail and says so with NULL; the caller turns that into HS_E_MEMORY. Tests make
 * the n-th allocation fail through hs_mem_fail_at(). Sizes are bytes. Any thread.
 */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include "core/check.h"

void *hs_malloc(size_t n) hs_must_check;
void *hs_calloc(size_t count, size_t n) hs_must_check;
/* On failure the old block stays valid and is still the caller's. */
void *hs_realloc(void *p, size_t n) hs_must_check;
/* A copy of n bytes with a NUL behind them. */
char *hs_memdup0(const char *p, size_t n) hs_must_check;
void hs_free(void *p);
/* What the block takes: its size as the allocator rounded it up, and the allocator's own word. p is not NULL. */
size_t hs_mem_size(const void *p);

/* Allocations of this thread that failed so far: tells lack of memory from bad input behind libraries that
 * allocate through here and do not say which it was. */
uint64_t hs_mem_failures(void);

/* Test hook: the n-th allocation of this thread from now on fails, and all after it; 0 turns it off. */
void hs_mem_fail_at(uint64_t n);
/* The same, but those after it succeed again. */
void hs_mem_fail_only(uint64_t n);
/* Allocations made by this thread since the last hs_mem_fail_at() or hs_mem_fail_only(). */
uint64_t hs_mem_count(void);

#endif
