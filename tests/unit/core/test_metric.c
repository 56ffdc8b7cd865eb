/* SPDX-License-Identifier: Apache-2.0 */
/* Counters and their text form, read by a strict reader. Sets live as long as the process, so tests add. */
#include "core/metric.h"

#include <pthread.h>

#include "core/mem.h"
#include "prometheus.h"

static struct hs_metrics *a;
static struct hs_metrics *b;
static struct hs_buf out;

static double render(const char *wanted)
{
    hs_buf_clear(&out);
    hs_metrics_render(&out);
    assert_false(hs_buf_failed(&out));
    return prom_read(hs_buf_str(&out), wanted, NULL);
}

static void test_every_row_is_rendered(void **state)
{
    (void)state;
    for (unsigned id = 0; id < HS_M_COUNT; id++) {
        char name[128];

        (void)snprintf(name, sizeof(name), "%s%s", hs_metric_name((enum hs_metric_id)id),
                       hs_metric_type((enum hs_metric_id)id) == HS_METRIC_HISTOGRAM ? "_count"
                                                                                    : "");
        assert_true(hs_metric_help((enum hs_metric_id)id)[0] != '\0');
        assert_true(render(name) >= 0);
    }
}

static void test_sums_over_sets(void **state)
{
    (void)state;
    hs_metric_add(a, HS_M_PG_QUERIES, 3);
    hs_metric_add(b, HS_M_PG_QUERIES, 4);
    assert_true(hs_metric_sum(HS_M_PG_QUERIES) == 7);
    assert_true(render("hasten_pg_queries_total") == 7);
    /* A gauge may go up on one thread and down on another. */
    hs_metric_add(a, HS_M_PG_WAITING, 5);
    hs_metric_sub(b, HS_M_PG_WAITING, 2);
    assert_true(render("hasten_pg_queries_waiting") == 3);
    hs_metric_set(a, HS_M_PG_WAITING, 2);
    assert_true(render("hasten_pg_queries_waiting") == 0);
}

static void test_requests(void **state)
{
    unsigned route = hs_metric_route(HS_STR("/api/v1/clients/{id}"));
    uint64_t failed;

    (void)state;
    assert_true(route > 0);
    assert_int_equal(hs_metric_route(HS_STR("/api/v1/clients/{id}")), route);
    hs_metric_request(a, route, 200, 900);
    hs_metric_request(b, route, 200, 1100);
    hs_metric_request(b, route, 504, 20000000);
    hs_metric_request(b, route, 299, 0);
    hs_metric_request(b, route, 999, 0);
    assert_true(
        render("hasten_http_requests_total{route=\"/api/v1/clients/{id}\",status=\"200\"}") == 2);
    assert_true(
        render("hasten_http_requests_total{route=\"/api/v1/clients/{id}\",status=\"504\"}") == 1);
    assert_true(
        render("hasten_http_requests_total{route=\"/api/v1/clients/{id}\",status=\"other\"}") == 2);
    assert_true(
        render(
            "hasten_http_request_duration_seconds_bucket{route=\"/api/v1/clients/{id}\",le=\"0.001\"}") ==
        3);
    assert_true(
        render(
            "hasten_http_request_duration_seconds_bucket{route=\"/api/v1/clients/{id}\",le=\"10\"}") ==
        4);
    assert_true(
        render("hasten_http_request_duration_seconds_count{route=\"/api/v1/clients/{id}\"}") == 5);
    assert_true(
        render("hasten_http_request_duration_seconds_sum{route=\"/api/v1/clients/{id}\"}") ==
        20.002);
    assert_true(hs_metric_requests_sum(&failed) == 5);
    assert_true(failed == 1);
}

static void test_every_status_has_its_place(void **state)
{
    unsigned route = hs_metric_route(HS_STR("statuses"));
    unsigned apart = 0;

    (void)state;
    for (unsigned code = 100; code < 600; code++) {
        char name[128];

        hs_metric_request(a, route, code, 1);
        (void)snprintf(name, sizeof(name),
                       "hasten_http_requests_total{route=\"statuses\",status=\"%u\"}", code);
        if (render(name) == 1)
            apart++;
    }
    assert_int_equal(apart, HS_HTTP_CODES - 1);
#define HS_STATUS(name, http, code, hint) \
    assert_true(render("hasten_http_requests_total{route=\"statuses\",status=\"" #http "\"}") == 1);
#include "core/status.def"
#undef HS_STATUS
}

static void test_histogram_bounds(void **state)
{
    (void)state;
    hs_metric_observe(a, HS_M_LOOP_LAG, 100);
    hs_metric_observe(a, HS_M_LOOP_LAG, 101);
    hs_metric_observe(b, HS_M_LOOP_LAG, UINT32_MAX);
    assert_true(render("hasten_loop_lag_seconds_bucket{le=\"0.0001\"}") == 1);
    assert_true(render("hasten_loop_lag_seconds_bucket{le=\"0.00025\"}") == 2);
    assert_true(render("hasten_loop_lag_seconds_bucket{le=\"+Inf\"}") == 3);
}

static void test_odd_route_names(void **state)
{
    static char huge[2000];
    unsigned route;

    (void)state;
    route = hs_metric_route(HS_STR("a\"b\\c\nd"));
    hs_metric_request(a, route, 200, 1);
    assert_true(render("hasten_http_requests_total{route=\"a\\\"b\\\\c\\nd\",status=\"200\"}") ==
                1);
    memset(huge, '"', sizeof(huge));
    assert_int_equal(hs_metric_route(hs_strn(huge, sizeof(huge))), 0);
    route = hs_metric_route(hs_strn(huge, 1024));
    assert_true(route > 0);
    hs_metric_request(a, route, 200, 1);
    (void)render(NULL);
    hs_mem_fail_at(1);
    assert_int_equal(hs_metric_route(HS_STR("no memory")), 0);
    hs_mem_fail_at(0);
    assert_true(hs_metric_route(HS_STR("no memory")) > 0);
}

static void test_too_small_a_buffer(void **state)
{
    struct hs_buf small;

    (void)state;
    hs_buf_init(&small, 1000);
    hs_metrics_render(&small);
    assert_true(hs_buf_failed(&small));
    hs_buf_fini(&small);
}

static atomic_bool is_over;

static void *count(void *arg)
{
    for (unsigned i = 0; i < 200000; i++) {
        hs_metric_add(arg, HS_M_PG_BATCHES, 1);
        hs_metric_request(arg, 0, 200, i);
    }
    atomic_store(&is_over, true);
    return NULL;
}

static void test_reading_while_counting(void **state)
{
    pthread_t thread;
    double last = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, count, a), 0);
    while (!atomic_load(&is_over)) {
        double v = (double)hs_metric_sum(HS_M_PG_BATCHES);

        assert_true(v >= last);
        last = v;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(hs_metric_sum(HS_M_PG_BATCHES) == 200000);
}

/* Last: fills the registry for good. */
static void test_registry_is_bounded(void **state)
{
    unsigned n = 0;

    (void)state;
    for (unsigned i = 0; i < 2 * HS_ROUTES_MAX; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "route %u", i);
        n += hs_metric_route(hs_str(name)) > 0;
    }
    assert_true(n < HS_ROUTES_MAX && n > HS_ROUTES_MAX - 20);
    for (unsigned i = 0; i < HS_METRIC_SETS_MAX; i++)
        n = hs_metrics_new() != NULL;
    assert_int_equal(n, 0);
    (void)render(NULL);
}

static int setup(void **state)
{
    (void)state;
    hs_buf_init(&out, 16 << 20);
    a = hs_metrics_new();
    b = hs_metrics_new();
    return a && b ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    hs_buf_fini(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_rendered),
        cmocka_unit_test(test_sums_over_sets),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_every_status_has_its_place),
        cmocka_unit_test(test_histogram_bounds),
        cmocka_unit_test(test_odd_route_names),
        cmocka_unit_test(test_too_small_a_buffer),
        cmocka_unit_test(test_reading_while_counting),
        cmocka_unit_test(test_registry_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
