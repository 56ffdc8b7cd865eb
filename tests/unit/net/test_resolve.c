/* SPDX-License-Identifier: Apache-2.0 */
/* Names into addresses, and requests that nobody waits for any more. */
#include "net/resolve.h"

#include <uv.h>

#include "fault.h"

struct answer {
    bool is_done;
    size_t n;
    char first[64];
    struct hs_err err;
};

static void on_answer(void *arg, const char *const *addresses, size_t n, const struct hs_err *err)
{
    struct answer *answer = arg;

    assert_false(answer->is_done);
    assert_true((n == 0) == (err != NULL));
    answer->is_done = true;
    answer->n = n;
    if (n)
        (void)snprintf(answer->first, sizeof(answer->first), "%s", addresses[0]);
    if (err)
        answer->err = *err;
}

static void resolve(const char *host, struct answer *answer)
{
    struct net_resolve *req;
    struct net_loop *loop;

    *answer = (struct answer){.n = 0};
    assert_int_equal(net_loop_new(&loop, NULL, NULL), HS_OK);
    assert_int_equal(net_resolve_start(loop, host, on_answer, answer, &req, NULL), HS_OK);
    assert_false(answer->is_done);
    while (!answer->is_done)
        (void)uv_run(net_loop_uv(loop), UV_RUN_ONCE);
    net_loop_free(loop);
}

static void test_names(void **state)
{
    struct answer answer;

    (void)state;
    resolve("localhost", &answer);
    assert_true(answer.n >= 1);
    assert_true(!strcmp(answer.first, "127.0.0.1") || !strcmp(answer.first, "::1"));
    resolve("10.1.2.3", &answer);
    assert_string_equal(answer.first, "10.1.2.3");
    resolve("no-such-host.invalid", &answer);
    assert_int_equal(answer.err.status, HS_E_IO);
    assert_non_null(strstr(answer.err.what, "no-such-host.invalid"));
}

static void test_cancel(void **state)
{
    struct answer answer = {.n = 0};
    struct net_resolve *req;
    struct net_loop *loop;

    (void)state;
    assert_int_equal(net_loop_new(&loop, NULL, NULL), HS_OK);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(net_resolve_start(loop, "localhost", on_answer, &answer, &req, NULL),
                         HS_OK);
        net_resolve_cancel(req);
    }
    net_resolve_cancel(NULL);
    net_loop_free(loop);
    assert_false(answer.is_done);
}

static bool scenario(void *arg)
{
    struct net_resolve *req;
    struct hs_err err;

    if (net_resolve_start(arg, "127.0.0.1", on_answer, NULL, &req, &err)) {
        assert_int_equal(err.status, HS_E_MEMORY);
        return false;
    }
    net_resolve_cancel(req);
    return true;
}

static void test_no_memory(void **state)
{
    struct net_loop *loop;

    (void)state;
    assert_int_equal(net_loop_new(&loop, NULL, NULL), HS_OK);
    fault_each(scenario, loop);
    net_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_cancel),
                                       cmocka_unit_test(test_no_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
