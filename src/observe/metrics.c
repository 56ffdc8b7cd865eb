/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics in the Prometheus text format: hasten's own counters (core/metric.h), then those of the
 * process under the names that Prometheus's client libraries gave them.
 *
 * A scrape runs on a worker's loop, so it must be short: two small files of /proc are read and one call
 * counts the CPU time. Open descriptors come from the size of /proc/self/fd, which Linux 6.2 and newer
 * fill in; walking that folder would take milliseconds with ten thousand connections, so older
 * kernels count what hasten knows that it has open.
 *
 * Source: Prometheus, "Exposition formats" and "Writing client libraries"; proc(5), getrusage(2).
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "observe/observe.h"

static void add_head(struct hs_buf *out, const char *name, const char *help, const char *type)
{
    hs_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Second number of /proc/self/statm, in pages; 0 = unknown. */
static uint64_t resident_pages(void)
{
    char text[128];
    struct hs_str rest;
    uint64_t pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

    if (fd >= 0)
        (void)close(fd);
    if (n <= 0)
        return 0;
    rest = hs_strn(text, (size_t)n);
    (void)hs_str_cut(&rest, ' ');
    return hs_str_to_u64(hs_str_cut(&rest, ' '), &pages) ? pages : 0;
}

static void add_memory(struct hs_buf *out)
{
    uint64_t pages = resident_pages();

    if (!pages)
        return;
    add_head(out, "process_resident_memory_bytes", "Resident memory.", "gauge");
    hs_buf_printf(out, "process_resident_memory_bytes %llu\n",
                  (unsigned long long)pages * (unsigned long long)sysconf(_SC_PAGESIZE));
}

static void add_cpu(struct hs_buf *out)
{
    struct rusage usage;
    long long us;

    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return;
    us = ((long long)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
         usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    add_head(out, "process_cpu_seconds_total", "User and system CPU time.", "counter");
    hs_buf_printf(out, "process_cpu_seconds_total %lld.%06lld\n", us / 1000000, us % 1000000);
}

static void add_descriptors(struct hs_buf *out)
{
    struct rlimit limit;
    struct stat st;
    uint64_t open_fds = stat("/proc/self/fd", &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size
                                                                          : 0;

    if (!open_fds)
        open_fds = hs_metric_sum(HS_M_HTTP_CONNECTIONS) + hs_metric_sum(HS_M_PG_CONNECTIONS);
    add_head(out, "process_open_fds", "Open file descriptors.", "gauge");
    hs_buf_printf(out, "process_open_fds %llu\n", (unsigned long long)open_fds);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    add_head(out, "process_max_fds", "Most file descriptors allowed.", "gauge");
    hs_buf_printf(out, "process_max_fds %llu\n", (unsigned long long)limit.rlim_cur);
}

/* Taken once: computed anew it would move with each step of the wall clock. */
static int64_t start_time_us(const struct observe_state *state)
{
    static _Atomic int64_t start;
    int64_t known = atomic_load_explicit(&start, memory_order_relaxed);
    int64_t now = known ? known : hs_wall_now().us - (int64_t)(hs_now_us() - state->started_at);

    if (known || atomic_compare_exchange_strong(&start, &known, now))
        return now;
    return known;
}

void observe_process_metrics(const struct observe_state *state, struct hs_buf *out)
{
    int64_t start = start_time_us(state);

    add_memory(out);
    add_cpu(out);
    add_descriptors(out);
    add_head(out, "process_start_time_seconds", "Start, in seconds since 1970.", "gauge");
    hs_buf_printf(out, "process_start_time_seconds %lld.%03lld\n", (long long)(start / 1000000),
                  (long long)(start / 1000 % 1000));
    add_head(out, "hasten_build_info", "Always 1; the version is the label.", "gauge");
    hs_buf_add_lit(out, "hasten_build_info{version=\"" HS_VERSION "\"} 1\n");
}

static void metrics(void *ctx, struct http_req *req)
{
    struct hs_buf *body = http_req_scratch(req);
    struct hs_err err;

    hs_metrics_render(body);
    observe_process_metrics(ctx, body);
    if (hs_buf_failed(body)) {
        (void)hs_fail(&err, HS_E_LIMIT,
                      "the metrics do not fit into an answer (server.answer.max)");
        http_reply_error(req, &err);
        return;
    }
    http_reply(req, &(struct http_reply){
                        .status = 200,
                        .content_type = HS_STR("text/plain; version=0.0.4; charset=utf-8"),
                        .headers = HS_STR("Cache-Control: no-store\r\n"),
                        .body = hs_buf_str(body),
                    });
}

const struct http_handler observe_metrics_handler = {.name = "metrics", .handle = metrics};
