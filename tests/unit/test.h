/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every unit test includes: cmocka with what it needs, and chance that can be repeated. A test that
 * draws at random prints its seed; TEST_SEED=n runs it again, TEST_ONLY=name nothing else.
 */
#ifndef UNIT_TEST_H
#define UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/rng.h"
#include "core/str.h"

/* TEST_ONLY=name, or a pattern with * and ?: only those tests of a program. */
__attribute__((constructor)) static void test_only(void)
{
    cmocka_set_test_filter(getenv("TEST_ONLY"));
}

static inline struct hs_rng test_rng(void)
{
    const char *text = getenv("TEST_SEED");
    struct hs_rng rng = {text ? strtoull(text, NULL, 10) : hs_rng_seed()};

    print_message("TEST_SEED=%llu\n", (unsigned long long)rng.state);
    return rng;
}

/* Equal slices, or the test fails with both of them. */
#define assert_str(got, expected)                                                         \
    do {                                                                                  \
        struct hs_str got_ = (got);                                                       \
        struct hs_str expected_ = (expected);                                             \
                                                                                          \
        if (!hs_str_eq(got_, expected_))                                                  \
            fail_msg("got \"%.*s\", expected \"%.*s\"", HS_FMT(got_), HS_FMT(expected_)); \
    } while (0)

#endif
