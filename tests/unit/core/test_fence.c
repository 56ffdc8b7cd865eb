/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far all is visible: snapshots that lie about nothing but say little, and xids of 32 bits.
 */
#include "core/fence.h"
#include "test.h"

static const uint64_t EPOCH = UINT64_C(1) << 32;

static void test_finished(void **state)
{
    const uint64_t running[] = {95, 97, 99};
    const struct hs_fence_snapshot s = {
        .xmin = 95, .xmax = 101, .running = running, .n_running = 3};

    (void)state;
    assert_true(hs_fence_finished(&s, 94, false));
    assert_false(hs_fence_finished(&s, 95, false));
    assert_true(hs_fence_finished(&s, 96, false));
    assert_false(hs_fence_finished(&s, 97, false));
    assert_true(hs_fence_finished(&s, 98, false));
    assert_false(hs_fence_finished(&s, 99, false));
    assert_true(hs_fence_finished(&s, 100, false));
    /* Not listed, and not finished all the same. */
    assert_false(hs_fence_finished(&s, 101, false));
    assert_false(hs_fence_finished(&s, 102, false));
    /* The last ones before the first xid ever: there are none, so they are to come. */
    assert_false(hs_fence_finished(&s, UINT32_MAX - 5, true));
}

/* The lower half of an xid, before and behind a turn of the counter. */
static void test_short_xids(void **state)
{
    const uint64_t running[] = {EPOCH - 2, EPOCH + 3};
    const struct hs_fence_snapshot s = {EPOCH - 2, EPOCH + 10, running, 2};

    (void)state;
    assert_false(hs_fence_finished(&s, UINT32_MAX - 1, true));
    assert_true(hs_fence_finished(&s, UINT32_MAX, true));
    assert_true(hs_fence_finished(&s, 2, true));
    assert_false(hs_fence_finished(&s, 3, true));
    assert_true(hs_fence_finished(&s, 9, true));
    assert_false(hs_fence_finished(&s, 10, true));
}

static void test_drained(void **state)
{
    const uint64_t running[] = {95};
    struct hs_fence_snapshot s = {95, 101, running, 1};

    (void)state;
    assert_true(hs_fence_drained(&s, 95));
    assert_false(hs_fence_drained(&s, 96));
    s.n_running = 0;
    assert_true(hs_fence_drained(&s, 101));
    /* Assigned, but nothing at or above xmax has finished. */
    assert_false(hs_fence_drained(&s, 102));
}

static void test_next(void **state)
{
    const struct hs_fence_commit commits[] = {{1000, 1100, 90}, {1200, 1300, 95}, {1400, 1500, 91}};
    const uint64_t running[] = {95};
    struct hs_fence_snapshot s = {95, 101, running, 1};

    (void)state;
    /* None before all have ended that were there when the stream began. */
    assert_int_equal(hs_fence_next(0, 96, 900, 1600, commits, 3, &s), 0);
    assert_int_equal(hs_fence_next(0, 95, 900, 1600, commits, 3, &s), 1200);
    assert_int_equal(hs_fence_next(1100, 95, 900, 1600, commits, 3, &s), 1200);
    /* It never goes back. */
    assert_int_equal(hs_fence_next(1250, 95, 900, 1600, commits, 3, &s), 1250);
    s.n_running = 0;
    assert_int_equal(hs_fence_next(1200, 95, 900, 1600, commits, 3, &s), 1600);
    s.xmax = 95;
    assert_int_equal(hs_fence_next(1200, 95, 900, 1600, commits, 3, &s), 1200);
    assert_int_equal(hs_fence_next(1200, 95, 900, 1150, commits, 0, &s), 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finished),
        cmocka_unit_test(test_short_xids),
        cmocka_unit_test(test_drained),
        cmocka_unit_test(test_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
