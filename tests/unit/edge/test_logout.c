/* SPDX-License-Identifier: Apache-2.0 */
/* Logged-out tokens against a plain array; the bound; the lines of the file. */
#include "edge/logout.h"

#include "core/mem.h"
#include "fault.h"

enum { TOKENS = 3000 };

static struct hs_err err;

static struct edge_logout_entry entry_of(unsigned i, int64_t ends_us)
{
    struct edge_logout_entry entry = {.ends_us = ends_us};

    (void)snprintf((char *)entry.id, sizeof(entry.id), "%u", i * 7919);
    return entry;
}

static hs_status add(struct edge_logout *list, unsigned i, int64_t ends_us, int64_t now_us)
{
    struct edge_logout_entry entry = entry_of(i, ends_us);

    hs_err_clear(&err);
    return edge_logout_add(list, &entry, (struct hs_wall){now_us}, &err);
}

static bool has(const struct edge_logout *list, unsigned i)
{
    struct edge_logout_entry entry = entry_of(i, 0);

    return edge_logout_has(list, entry.id);
}

/* What is on the list is found until its time, whatever else comes and goes. */
static void test_random_use(void **state)
{
    struct hs_rng rng = test_rng();
    static int64_t ends[TOKENS];
    struct edge_logout list;
    int64_t now = 1000;

    (void)state;
    memset(ends, 0, sizeof(ends));
    edge_logout_init(&list, TOKENS);
    assert_false(has(&list, 1));
    for (unsigned round = 0; round < 50000; round++) {
        unsigned i = (unsigned)hs_rng_below(&rng, TOKENS);

        now++;
        if (hs_rng_below(&rng, 3) == 0) {
            int64_t until = now + (int64_t)hs_rng_below(&rng, 5000);

            assert_int_equal(add(&list, i, until, now), HS_OK);
            ends[i] = until > ends[i] ? until : ends[i];
        } else if (ends[i] > now) {
            assert_true(has(&list, i));
        } else if (ends[i] == 0) {
            assert_false(has(&list, i));
        }
        assert_true(list.n <= list.cap && list.n <= TOKENS);
    }
    edge_logout_fini(&list);
}

static void test_full(void **state)
{
    struct edge_logout list;

    (void)state;
    edge_logout_init(&list, 3);
    assert_int_equal(add(&list, 1, 100, 0), HS_OK);
    assert_int_equal(add(&list, 2, INT64_MAX, 0), HS_OK);
    assert_int_equal(add(&list, 3, 50, 0), HS_OK);
    assert_int_equal(add(&list, 4, 200, 0), HS_E_LIMIT);
    assert_non_null(strstr(err.why, "auth.logout.max"));
    assert_int_equal(add(&list, 1, 150, 0), HS_OK); /* it is there already; the later end counts */
    assert_true(has(&list, 1) && has(&list, 2) && has(&list, 3) && !has(&list, 4));
    assert_int_equal(add(&list, 4, 200, 100), HS_OK); /* the third has expired */
    assert_true(has(&list, 1) && has(&list, 2) && !has(&list, 3) && has(&list, 4));
    assert_int_equal(add(&list, 5, 200, 149), HS_E_LIMIT);
    assert_int_equal(add(&list, 6, 140, 149), HS_OK); /* expired already: nothing to do */
    assert_false(has(&list, 6));
    edge_logout_fini(&list);
    edge_logout_init(&list, 0);
    assert_int_equal(add(&list, 1, 100, 0), HS_E_LIMIT);
    edge_logout_fini(&list);
}

static void test_lines(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "{\"id\":\"00112233445566778899aabbccddeeff\"",
        "{\"id\":\"00112233445566778899aabbccddeeff\",\"exp\":}",
        "{\"id\":\"00112233445566778899aabbccddeeff\",\"exp\":12",
        "{\"id\":\"00112233445566778899aabbccddeeff\",\"exp\":-1}",
        "{\"id\":\"00112233445566778899aabbccddeeff\",\"exp\":nul}",
        "{\"id\":\"00112233445566778899aabbccddeefg\",\"exp\":1}",
        "{\"id\":\"00112233445566778899aabbccddee\",\"exp\":1}",
        "{\"id\":\"00112233445566778899aabbccddeeff\",\"exp\":1}x",
        "{\"id\":\"00112233445566778899aabbccddeeff\",\"exp\":9223372036854775807}"};
    struct edge_logout_entry entry;
    struct edge_logout_entry back;
    struct hs_buf line;

    (void)state;
    hs_buf_init(&line, 1000);
    entry = entry_of(5, INT64_MAX);
    edge_logout_print(&entry, &line);
    assert_int_equal(line.p[line.n - 1], '\n');
    assert_true(edge_logout_parse(hs_str_sub(hs_buf_str(&line), 0, line.n - 1), &back));
    assert_memory_equal(back.id, entry.id, sizeof(entry.id));
    assert_true(back.ends_us == INT64_MAX);
    hs_buf_clear(&line);
    entry.ends_us = INT64_C(1800000000999999);
    edge_logout_print(&entry, &line);
    assert_true(edge_logout_parse(hs_str_sub(hs_buf_str(&line), 0, line.n - 1), &back));
    assert_true(back.ends_us >= entry.ends_us && back.ends_us <= entry.ends_us + 1000000);
    for (size_t i = 0; i < HS_LEN(bad); i++) {
        if (edge_logout_parse(hs_str(bad[i]), &back))
            fail_msg("accepted: %s", bad[i]);
    }
    hs_buf_fini(&line);
}

static bool scenario(void *arg)
{
    struct edge_logout list;
    bool all = true;

    (void)arg;
    edge_logout_init(&list, 1000);
    for (unsigned i = 0; i < 200; i++) {
        size_t before = list.n;
        hs_status status = add(&list, i, 100, 0);

        assert_true(status == HS_OK || status == HS_E_MEMORY);
        assert_int_equal(list.n, before + !status);
        assert_int_equal(has(&list, i), !status);
        all = all && !status;
    }
    edge_logout_fini(&list);
    return all;
}

static void test_no_memory(void **state)
{
    (void)state;
    fault_each(scenario, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_use),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
