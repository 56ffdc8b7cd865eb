/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry: sets and route names are append-only arrays behind one mutex; their counts are published
 * with release so that a reader that sees the count sees what it counts. Rendering sums on the fly.
 */
#include "core/metric.h"

#include <pthread.h>

#include "core/audit.h"
#include "core/log.h"
#include "core/mem.h"

static const struct {
    const char *name;
    const char *help;
    enum hs_metric_type type;
} defs[HS_M_COUNT] = {
#define HS_METRIC(id, type, name, help) [HS_M_##id] = {name, help, HS_METRIC_##type},
#include "core/metrics.def"
#undef HS_METRIC
};

static const uint64_t bounds_us[HS_BUCKETS - 1] = {
    100,   250,    500,    1000,   2500,    5000,    10000,   25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};
static const char *const bounds_text[HS_BUCKETS] = {
    "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05",
    "0.1",    "0.25",    "0.5",    "1",     "2.5",    "5",     "10",   "+Inf"};

/* The statuses that are counted apart. */
#define CODES(X) \
    X(100)       \
    X(200)       \
    X(201)       \
    X(202)       \
    X(204)       \
    X(206)       \
    X(300)       \
    X(301)       \
    X(302)       \
    X(304)       \
    X(400)       \
    X(401)       \
    X(403)       \
    X(404)       \
    X(405)       \
    X(406)       \
    X(408)       \
    X(409)       \
    X(412)       \
    X(413)       \
    X(414) X(415) X(416) X(417) X(422) X(429) X(431) X(500) X(501) X(502) X(503) X(504) X(505)

enum {
#define CODE_INDEX(code) INDEX_##code,
    CODES(CODE_INDEX) INDEX_OTHER
#undef CODE_INDEX
};

_Static_assert(INDEX_OTHER == HS_HTTP_CODES - 1, "a place for each status and one for the others");

static const unsigned short codes[HS_HTTP_CODES - 1] = {
#define CODE_ROW(code) [INDEX_##code] = code,
    CODES(CODE_ROW)
#undef CODE_ROW
};

/* Index + 1 by status; 0 = other. */
static const unsigned char code_places[600] = {
#define CODE_PLACE(code) [code] = INDEX_##code + 1,
    CODES(CODE_PLACE)
#undef CODE_PLACE
};

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct hs_metrics *sets[HS_METRIC_SETS_MAX];
static atomic_uint sets_n;
static struct hs_str routes[HS_ROUTES_MAX] = {{"other", 5}};
enum { ROUTE_NAME_MAX = 1024 };
static atomic_uint routes_n = 1;

struct hs_metrics *hs_metrics_new(void)
{
    struct hs_metrics *m = hs_calloc(1, sizeof(*m));
    unsigned n;

    if (!m)
        return NULL;
    pthread_mutex_lock(&registry);
    n = atomic_load(&sets_n);
    if (n < HS_METRIC_SETS_MAX) {
        sets[n] = m;
        atomic_store_explicit(&sets_n, n + 1, memory_order_release);
    }
    pthread_mutex_unlock(&registry);
    if (n < HS_METRIC_SETS_MAX)
        return m;
    hs_free(m);
    return NULL;
}

unsigned hs_metric_route(struct hs_str name)
{
    unsigned n;
    unsigned found = 0;
    char *copy;

    pthread_mutex_lock(&registry);
    n = atomic_load(&routes_n);
    for (unsigned i = 1; i < n && !found; i++) {
        if (hs_str_eq(routes[i], name))
            found = i;
    }
    copy = found || n >= HS_ROUTES_MAX || name.n > ROUTE_NAME_MAX ? NULL
                                                                  : hs_memdup0(name.p, name.n);
    if (copy) {
        routes[n] = hs_strn(copy, name.n);
        atomic_store_explicit(&routes_n, n + 1, memory_order_release);
        found = n;
    }
    pthread_mutex_unlock(&registry);
    return found;
}

static void bump(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

static void observe(struct hs_histogram *h, uint64_t us)
{
    unsigned i = 0;

    while (i < HS_BUCKETS - 1 && us > bounds_us[i])
        i++;
    bump(&h->bucket[i], 1);
    bump(&h->sum_us, us);
}

void hs_metric_observe(struct hs_metrics *m, enum hs_metric_id id, uint64_t us)
{
    observe(&m->histogram[id], us);
}

static unsigned code_index(unsigned http_status)
{
    unsigned place = http_status < HS_LEN(code_places) ? code_places[http_status] : 0;

    return place ? place - 1 : INDEX_OTHER;
}

void hs_metric_request(struct hs_metrics *m, unsigned route, unsigned http_status, uint64_t us)
{
    HS_HOT_BUG_ON(route >= HS_ROUTES_MAX);
    bump(&m->requests[route][code_index(http_status)], 1);
    observe(&m->duration[route], us);
}

void hs_metric_cache(struct hs_metrics *m, unsigned route, enum hs_cache_outcome outcome)
{
    HS_HOT_BUG_ON(route >= HS_ROUTES_MAX);
    bump(&m->cache[route][outcome], 1);
}

static uint64_t sum(size_t offset)
{
    unsigned n = atomic_load_explicit(&sets_n, memory_order_acquire);
    uint64_t total = 0;

    for (unsigned i = 0; i < n; i++) {
        const _Atomic uint64_t *v = (const void *)((const char *)sets[i] + offset);

        total += atomic_load_explicit(v, memory_order_relaxed);
    }
    return total;
}

uint64_t hs_metric_sum(enum hs_metric_id id)
{
    uint64_t total = sum(offsetof(struct hs_metrics, value) + id * sizeof(uint64_t));

    /* Counted where it happens: a thread may log without owning a set. */
    if (id == HS_M_AUDIT_LINES_LOST)
        return total + hs_audit_lines_lost();
    return id == HS_M_LOG_LINES_LOST ? total + hs_log_lines_lost() : total;
}

static size_t request_offset(unsigned route, unsigned code)
{
    return offsetof(struct hs_metrics, requests) +
           (route * HS_HTTP_CODES + code) * sizeof(uint64_t);
}

static size_t cache_offset(unsigned route, unsigned outcome)
{
    return offsetof(struct hs_metrics, cache) +
           (route * HS_CACHE_OUTCOMES + outcome) * sizeof(uint64_t);
}

uint64_t hs_metric_cache_sum(enum hs_cache_outcome outcome)
{
    unsigned n = atomic_load_explicit(&routes_n, memory_order_acquire);
    uint64_t total = 0;

    for (unsigned r = 0; r < n; r++)
        total += sum(cache_offset(r, outcome));
    return total;
}

uint64_t hs_metric_requests_sum(uint64_t *ret_failed)
{
    unsigned n = atomic_load_explicit(&routes_n, memory_order_acquire);
    uint64_t total = 0;
    uint64_t failed = 0;

    for (unsigned r = 0; r < n; r++) {
        for (unsigned c = 0; c < HS_HTTP_CODES; c++) {
            uint64_t v = sum(request_offset(r, c));

            total += v;
            failed += c < HS_HTTP_CODES - 1 && codes[c] >= 500 ? v : 0;
        }
    }
    *ret_failed = failed;
    return total;
}

const char *hs_metric_name(enum hs_metric_id id)
{
    return defs[id].name;
}

const char *hs_metric_help(enum hs_metric_id id)
{
    return defs[id].help;
}

enum hs_metric_type hs_metric_type(enum hs_metric_id id)
{
    return defs[id].type;
}

static void render_head(struct hs_buf *out, const char *name, const char *help, const char *type)
{
    hs_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* name + what{labels,more} : with many routes these are thousands of lines, so no printf. */
static void render_name(struct hs_buf *out, const char *name, struct hs_str what,
                        struct hs_str labels, const char *le)
{
    hs_buf_add(out, hs_str(name));
    hs_buf_add(out, what);
    if (labels.n || le)
        hs_buf_add_char(out, '{');
    hs_buf_add(out, labels);
    if (labels.n && le)
        hs_buf_add_char(out, ',');
    if (le) {
        hs_buf_add_lit(out, "le=\"");
        hs_buf_add(out, hs_str(le));
        hs_buf_add_char(out, '"');
    }
    if (labels.n || le)
        hs_buf_add_char(out, '}');
    hs_buf_add_char(out, ' ');
}

static void render_value(struct hs_buf *out, uint64_t v)
{
    hs_buf_add_u64(out, v);
    hs_buf_add_char(out, '\n');
}

/* labels: "" or `route="…"`, without braces */
static void render_histogram(struct hs_buf *out, const char *name, struct hs_str labels,
                             size_t offset)
{
    uint64_t total = 0;
    uint64_t sum_us = sum(offset + offsetof(struct hs_histogram, sum_us));

    for (unsigned i = 0; i < HS_BUCKETS; i++) {
        total += sum(offset + offsetof(struct hs_histogram, bucket) + i * sizeof(uint64_t));
        render_name(out, name, HS_STR("_bucket"), labels, bounds_text[i]);
        render_value(out, total);
    }
    render_name(out, name, HS_STR("_sum"), labels, NULL);
    hs_buf_printf(out, "%llu.%06u\n", (unsigned long long)(sum_us / 1000000),
                  (unsigned)(sum_us % 1000000));
    render_name(out, name, HS_STR("_count"), labels, NULL);
    render_value(out, total);
}

static void render_age(struct hs_buf *out, const char *name, uint64_t us)
{
    hs_buf_printf(out, "%s %llu.%06u\n", name, (unsigned long long)(us / 1000000),
                  (unsigned)(us % 1000000));
}

static void render_plain(struct hs_buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "gauge"};

    for (unsigned id = 0; id < HS_M_COUNT; id++) {
        render_head(out, defs[id].name, defs[id].help, types[defs[id].type]);
        if (defs[id].type == HS_METRIC_HISTOGRAM)
            render_histogram(out, defs[id].name, HS_STR(""),
                             offsetof(struct hs_metrics, histogram) +
                                 id * sizeof(struct hs_histogram));
        else if (defs[id].type == HS_METRIC_AGE)
            render_age(out, defs[id].name, hs_metric_sum((enum hs_metric_id)id));
        else
            hs_buf_printf(out, "%s %lld\n", defs[id].name,
                          (long long)hs_metric_sum((enum hs_metric_id)id));
    }
}

/* Route names come from identifiers of the catalog: escape as the text format asks. */
static void render_label(struct hs_buf *out, struct hs_str route)
{
    hs_buf_add_lit(out, "route=\"");
    for (size_t i = 0; i < route.n; i++) {
        if (route.p[i] == '"' || route.p[i] == '\\')
            hs_buf_add_char(out, '\\');
        if (route.p[i] == '\n')
            hs_buf_add_lit(out, "\\n");
        else
            hs_buf_add_char(out, route.p[i]);
    }
    hs_buf_add_char(out, '"');
}

static void render_route_counts(struct hs_buf *out, unsigned route, struct hs_str label)
{
    for (unsigned c = 0; c < HS_HTTP_CODES; c++) {
        uint64_t v = sum(request_offset(route, c));

        if (!v)
            continue;
        hs_buf_add_lit(out, "hasten_http_requests_total{");
        hs_buf_add(out, label);
        hs_buf_add_lit(out, ",status=\"");
        if (c < HS_HTTP_CODES - 1)
            hs_buf_add_u64(out, codes[c]);
        else
            hs_buf_add_lit(out, "other");
        hs_buf_add_lit(out, "\"} ");
        render_value(out, v);
    }
}

static void render_route_cache(struct hs_buf *out, unsigned route, struct hs_str label)
{
    static const char *const outcomes[HS_CACHE_OUTCOMES] = {
        [HS_CACHE_HIT] = "hit",       [HS_CACHE_MISS] = "miss",   [HS_CACHE_JOINED] = "coalesced",
        [HS_CACHE_BYPASS] = "bypass", [HS_CACHE_STALE] = "stale",
    };

    for (unsigned i = 0; i < HS_CACHE_OUTCOMES; i++) {
        uint64_t v = sum(cache_offset(route, i));

        if (!v)
            continue;
        hs_buf_add_lit(out, "hasten_cache_requests_total{");
        hs_buf_add(out, label);
        hs_buf_add_lit(out, ",outcome=\"");
        hs_buf_add(out, hs_str(outcomes[i]));
        hs_buf_add_lit(out, "\"} ");
        render_value(out, v);
    }
}

static void render_routes(struct hs_buf *out)
{
    unsigned n = atomic_load_explicit(&routes_n, memory_order_acquire);
    struct hs_buf label;

    hs_buf_init(&label, 2 * ROUTE_NAME_MAX + sizeof("route=\"\""));
    render_head(out, "hasten_http_requests_total", "Requests answered, by route and status.",
                "counter");
    for (unsigned r = 0; r < n; r++) {
        label.n = 0;
        render_label(&label, routes[r]);
        render_route_counts(out, r, hs_buf_str(&label));
    }
    render_head(out, "hasten_cache_requests_total",
                "Reads that met the cache, by route and what it said.", "counter");
    for (unsigned r = 0; r < n; r++) {
        label.n = 0;
        render_label(&label, routes[r]);
        render_route_cache(out, r, hs_buf_str(&label));
    }
    render_head(out, "hasten_http_request_duration_seconds",
                "From the first byte of a request to its answer being handed to the socket.",
                "histogram");
    for (unsigned r = 0; r < n; r++) {
        size_t offset = offsetof(struct hs_metrics, duration) + r * sizeof(struct hs_histogram);
        uint64_t any = 0;

        for (unsigned c = 0; c < HS_HTTP_CODES; c++)
            any += sum(request_offset(r, c));
        if (!any)
            continue;
        label.n = 0;
        render_label(&label, routes[r]);
        render_histogram(out, "hasten_http_request_duration_seconds", hs_buf_str(&label), offset);
    }
    out->failed = out->failed || hs_buf_failed(&label);
    hs_buf_fini(&label);
}

void hs_metrics_render(struct hs_buf *out)
{
    render_plain(out);
    render_routes(out);
}
