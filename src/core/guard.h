/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/guard.h - guards of the cache's design that a test build can leave out.
 *
 * HS_GUARD(name) is true, at no cost. In a build with -Dunguard=true it is false for the names in the
 * environment variable HASTEN_UNGUARD (separated by commas): so a test shows that without the guard the history
 * checker, or the guard's own test, finds a wrong answer. Such a build serves nobody.
 */
#ifndef CORE_GUARD_H
#define CORE_GUARD_H

#include <stdbool.h>

/* For HS_GUARD() in such a build; looked up once per place. */
bool hs_guard_is_on(const char *name);

#ifdef HS_UNGUARD
#define HS_GUARD(name)                                \
    __extension__({                                   \
        static signed char state_; /* 0: not asked */ \
        if (!state_)                                  \
            state_ = hs_guard_is_on(#name) ? 1 : -1;  \
        state_ > 0;                                   \
    })
#else
#define HS_GUARD(name) true
#endif

#endif
