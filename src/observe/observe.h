/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observe/observe.h - what an operator sees over HTTP: /health, /health/live, /health/ready, /metrics.
 *
 * /health/live is a fixed answer: the process turns its loop. /health/ready is 200 when requests can be
 * served. /health lists the components. All answers are made by the worker that is asked, from counters
 * and from the atomics below; nothing blocks.
 *
 * Who may ask: these routes are open (no token). They tell counts and route names, never data.
 */
#ifndef OBSERVE_OBSERVE_H
#define OBSERVE_OBSERVE_H

#include <stdatomic.h>

#include "cache/state.h"
#include "http/req.h"

/* Written by the control thread and the workers, read by any. */
struct observe_state {
    atomic_bool has_catalog; /* a model was published */
    atomic_bool catalog_ok;  /* the last look at the catalog succeeded */
    atomic_bool is_draining;
    atomic_uint pools_up; /* workers whose pool has, or can have, a connection */
    unsigned workers;
    hs_us started_at;
    const struct cache_state *cache; /* NULL = there is none */
};

enum observe_health { OBSERVE_OK, OBSERVE_DEGRADED, OBSERVE_DOWN };

/* DOWN: nothing can be served (no catalog, no database, or draining). DEGRADED: some of it, or with an
 * old catalog. */
enum observe_health observe_judge(const struct observe_state *state);

/* {"status":"ok"|"degraded"|"down","components":{...},"cache":{...},"uptime_s":n,"version":"..."}. The cache
 * never makes the status worse: without it everything is answered, only slower. */
void observe_health_json(const struct observe_state *state, hs_us now, struct hs_buf *out);

/* The metrics of the process (names as in Prometheus's client libraries) and hasten_build_info. What the
 * kernel does not tell is left out. */
void observe_process_metrics(const struct observe_state *state, struct hs_buf *out);

/* ctx: struct observe_state */
extern const struct http_handler observe_live_handler;
extern const struct http_handler observe_ready_handler;
extern const struct http_handler observe_health_handler;
extern const struct http_handler observe_metrics_handler;

#endif
