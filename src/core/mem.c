/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place that calls malloc. The counter behind hs_mem_fail_at() is thread-local and costs one
 * increment an allocation; hot paths do not allocate, so it is compiled in always and the fault tests
 * run against the very code that ships.
 */
#include "core/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local uint64_t alloc_count;
static _Thread_local uint64_t alloc_fail_at;
static _Thread_local bool alloc_fail_once;
static _Thread_local uint64_t alloc_failures;

static bool must_fail(void)
{
    alloc_count++;
    if (hs_likely(!alloc_fail_at || alloc_count < alloc_fail_at))
        return false;
    return !alloc_fail_once || alloc_count == alloc_fail_at;
}

void hs_mem_fail_at(uint64_t n)
{
    alloc_fail_at = n;
    alloc_fail_once = false;
    alloc_count = 0;
}

void hs_mem_fail_only(uint64_t n)
{
    hs_mem_fail_at(n);
    alloc_fail_once = true;
}

uint64_t hs_mem_count(void)
{
    return alloc_count;
}

uint64_t hs_mem_failures(void)
{
    return alloc_failures;
}

static void *counted(void *p)
{
    if (hs_unlikely(!p))
        alloc_failures++;
    return p;
}

void *hs_malloc(size_t n)
{
    return counted(must_fail() ? NULL : malloc(n ? n : 1));
}

void *hs_calloc(size_t count, size_t n)
{
    return counted(must_fail() ? NULL : calloc(count ? count : 1, n ? n : 1));
}

void *hs_realloc(void *p, size_t n)
{
    return counted(must_fail() ? NULL : realloc(p, n ? n : 1));
}

char *hs_memdup0(const char *p, size_t n)
{
    char *copy = hs_malloc(n + 1);

    if (!copy)
        return NULL;
    if (n)
        memcpy(copy, p, n);
    copy[n] = '\0';
    return copy;
}

void hs_free(void *p)
{
    free(p);
}

/* glibc keeps one word before each block; jemalloc keeps a little less, elsewhere. */
size_t hs_mem_size(const void *p)
{
    return malloc_usable_size((void *)(uintptr_t)p) + sizeof(size_t);
}
