/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/metric.h - counters that cost one store.
 *
 * Each thread that counts owns one `struct hs_metrics` and is its only writer; readers sum over all of
 * them with relaxed loads, so a scrape sees each counter at some recent instant. Sets are registered
 * once and never freed while the process lives. Routes are names given by whoever defines them
 * ("/api/v1/clients/{id}"); they are few and never forgotten, so that counters do not jump.
 */
#ifndef CORE_METRIC_H
#define CORE_METRIC_H

#include <stdatomic.h>

#include "core/buf.h"

enum hs_metric_id {
#define HS_METRIC(id, type, name, help) HS_M_##id,
#include "core/metrics.def"
#undef HS_METRIC
    HS_M_COUNT
};

enum hs_metric_type { HS_METRIC_COUNTER, HS_METRIC_GAUGE, HS_METRIC_HISTOGRAM, HS_METRIC_AGE };

/* What the cache said to a read. */
enum hs_cache_outcome {
    HS_CACHE_HIT,
    HS_CACHE_MISS,
    HS_CACHE_JOINED, /* got the answer to another's statement */
    HS_CACHE_BYPASS, /* cannot be kept, or not now */
    HS_CACHE_STALE,  /* an old answer, marked as such */
    HS_CACHE_OUTCOMES
};

enum {
    HS_BUCKETS = 17,     /* 16 bounds and +Inf */
    HS_ROUTES_MAX = 256, /* further routes count as route 0, "other" */
    HS_HTTP_CODES = 34,  /* distinct statuses; further ones count as "other" */
    HS_METRIC_SETS_MAX = 260
};

struct hs_histogram {
    _Atomic uint64_t bucket[HS_BUCKETS];
    _Atomic uint64_t sum_us;
};

struct hs_metrics {
    _Atomic uint64_t value[HS_M_COUNT];
    struct hs_histogram histogram[HS_M_COUNT]; /* only those of type HISTOGRAM are used */
    _Atomic uint64_t requests[HS_ROUTES_MAX][HS_HTTP_CODES];
    struct hs_histogram duration[HS_ROUTES_MAX];
    _Atomic uint64_t cache[HS_ROUTES_MAX][HS_CACHE_OUTCOMES];
};

/* A registered set; NULL = no memory or HS_METRIC_SETS_MAX reached. Any thread. */
struct hs_metrics *hs_metrics_new(void);

static inline void hs_metric_add(struct hs_metrics *m, enum hs_metric_id id, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&m->value[id], memory_order_relaxed);

    atomic_store_explicit(&m->value[id], v + n, memory_order_relaxed);
}

static inline void hs_metric_sub(struct hs_metrics *m, enum hs_metric_id id, uint64_t n)
{
    hs_metric_add(m, id, 0 - n);
}

static inline void hs_metric_set(struct hs_metrics *m, enum hs_metric_id id, uint64_t v)
{
    atomic_store_explicit(&m->value[id], v, memory_order_relaxed);
}

void hs_metric_observe(struct hs_metrics *m, enum hs_metric_id id, uint64_t us);

/* One finished request. */
void hs_metric_request(struct hs_metrics *m, unsigned route, unsigned http_status, uint64_t us);

/* One read that met the cache. */
void hs_metric_cache(struct hs_metrics *m, unsigned route, enum hs_cache_outcome outcome);
/* Over all routes and sets. */
uint64_t hs_metric_cache_sum(enum hs_cache_outcome outcome);

/* The number of a route's name; the same name gives the same number. 0 = "other": no memory, no place, or
 * a name of more than 1 KiB. Any thread. */
unsigned hs_metric_route(struct hs_str name);

/* Sum over all sets. */
uint64_t hs_metric_sum(enum hs_metric_id id);
/* Requests answered so far, over all routes and sets; of them those with status >= 500. */
uint64_t hs_metric_requests_sum(uint64_t *ret_failed);

const char *hs_metric_name(enum hs_metric_id id);
const char *hs_metric_help(enum hs_metric_id id);
enum hs_metric_type hs_metric_type(enum hs_metric_id id);

/* Appends everything in the Prometheus text format, version 0.0.4. */
void hs_metrics_render(struct hs_buf *out);

#endif
