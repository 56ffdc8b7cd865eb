/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of a scenario made to fail, one after the other: first with all later ones failing
 * too, then that one alone. The scenario builds up and tears down all it uses; it returns true if it did
 * its work, false if it was told that memory is short, and asserts everything else itself. Leaks are the
 * sanitizer's to find.
 */
#ifndef UNIT_FAULT_H
#define UNIT_FAULT_H

#include "core/mem.h"
#include "test.h"

typedef bool fault_scenario_f(void *arg);

enum { FAULT_MAX = 20000 };

/* How many allocations failed in turn. */
static inline uint64_t fault_loop(fault_scenario_f *scenario, void *arg, void (*arm)(uint64_t n))
{
    for (uint64_t n = 1; n < FAULT_MAX; n++) {
        uint64_t count;
        bool done;

        arm(n);
        done = scenario(arg);
        count = hs_mem_count();
        hs_mem_fail_at(0);
        if (count < n) {
            if (!done)
                fail_msg("the scenario fails although no allocation does");
            return n - 1;
        }
    }
    fail_msg("the scenario allocates without end");
    return 0;
}

/* The scenario must allocate: a loop over nothing proves nothing. */
static inline void fault_each(fault_scenario_f *scenario, void *arg)
{
    uint64_t failed = fault_loop(scenario, arg, hs_mem_fail_at);

    (void)fault_loop(scenario, arg, hs_mem_fail_only);
    assert_true(failed > 0);
}

#endif
