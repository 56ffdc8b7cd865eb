/* SPDX-License-Identifier: Apache-2.0 */
/* What /health and /metrics say for each state of the parts. */
#include "observe/observe.h"

#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include "prometheus.h"

static struct hs_buf out;

struct row {
    bool has_catalog;
    bool catalog_ok;
    bool draining;
    unsigned up;
    const char *status;
    const char *database;
    const char *catalog;
    const char *workers;
};

static const char *status_of(const json_t *json, const char *component)
{
    const json_t *components = json_object_get(json, "components");

    return json_string_value(json_object_get(json_object_get(components, component), "status"));
}

static void test_health(void **state)
{
    static const struct row rows[] = {
        {true, true, false, 2, "ok", "ok", "ok", "ok"},
        {true, true, false, 3, "ok", "ok", "ok",
         "ok"}, /* counted while a worker changes: never above */
        {true, true, false, 1, "degraded", "degraded", "ok", "ok"},
        {true, false, false, 2, "degraded", "ok", "degraded", "ok"},
        {true, true, false, 0, "down", "down", "ok", "ok"},
        {false, false, false, 2, "down", "ok", "down", "ok"},
        {true, true, true, 2, "down", "ok", "ok", "down"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct observe_state s = {.workers = 2, .started_at = 5 * HS_SECOND};
        json_t *json;

        atomic_store(&s.has_catalog, rows[i].has_catalog);
        atomic_store(&s.catalog_ok, rows[i].catalog_ok);
        atomic_store(&s.is_draining, rows[i].draining);
        atomic_store(&s.pools_up, rows[i].up);
        hs_buf_clear(&out);
        observe_health_json(&s, 67 * HS_SECOND, &out);
        json = json_loadb(out.p, out.n, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "status")), rows[i].status);
        assert_string_equal(status_of(json, "database"), rows[i].database);
        assert_string_equal(status_of(json, "catalog"), rows[i].catalog);
        assert_string_equal(status_of(json, "workers"), rows[i].workers);
        assert_string_equal(
            json_string_value(json_object_get(json_object_get(json, "cache"), "state")), "off");
        assert_int_equal(json_integer_value(json_object_get(json, "uptime_s")), 62);
        assert_true(json_string_length(json_object_get(json, "version")) > 0);
        json_decref(json);
    }
}

static double process_metric(struct observe_state *s, const char *name)
{
    hs_buf_clear(&out);
    hs_metrics_render(&out);
    observe_process_metrics(s, &out);
    assert_false(hs_buf_failed(&out));
    return prom_read(hs_buf_str(&out), name, NULL);
}

static void test_process_metrics(void **state)
{
    struct observe_state s = {.workers = 1, .started_at = hs_now_us() - 100 * HS_SECOND};
    double now = (double)hs_wall_now().us / 1e6;
    double start = process_metric(&s, "process_start_time_seconds");
    double fds;
    double cpu;
    int fd;

    (void)state;
    assert_true(start > now - 101 && start < now - 99);
    assert_true(process_metric(&s, "process_start_time_seconds") == start);
    assert_true(process_metric(&s, "process_resident_memory_bytes") > 1 << 20);
    assert_true(process_metric(&s, "process_max_fds") >= 0);
    assert_true(process_metric(&s, "hasten_build_info{version=\"" HS_VERSION "\"}") == 1);
    cpu = process_metric(&s, "process_cpu_seconds_total");
    assert_true(cpu >= 0 && process_metric(&s, "process_cpu_seconds_total") >= cpu);
    fds = process_metric(&s, "process_open_fds");
    fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0);
    if (fds > 0) /* the kernel tells */
        assert_true(process_metric(&s, "process_open_fds") == fds + 1);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_process_metrics),
    };
    int failed;

    hs_buf_init(&out, 1 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    hs_buf_fini(&out);
    return failed;
}
