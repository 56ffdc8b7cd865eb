/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /health for people, /health/ready for load balancers, /health/live for whoever restarts processes.
 *
 * Liveness knows nothing of the database on purpose: a restart of hasten does not mend PostgreSQL. Ready
 * means that a request sent now would be served; while draining it is not, so that a balancer looks
 * elsewhere before the port closes. A degraded server is still ready.
 */
#include "core/json.h"
#include "observe/observe.h"

#define JSON_TYPE HS_STR("application/json")

static unsigned pools_up(const struct observe_state *state)
{
    unsigned up = atomic_load_explicit(&state->pools_up, memory_order_relaxed);

    return up < state->workers ? up : state->workers;
}

static enum observe_health judge_database(const struct observe_state *state)
{
    unsigned up = pools_up(state);

    if (up == 0)
        return OBSERVE_DOWN;
    return up < state->workers ? OBSERVE_DEGRADED : OBSERVE_OK;
}

static enum observe_health judge_catalog(const struct observe_state *state)
{
    if (!atomic_load_explicit(&state->has_catalog, memory_order_relaxed))
        return OBSERVE_DOWN;
    return atomic_load_explicit(&state->catalog_ok, memory_order_relaxed) ? OBSERVE_OK
                                                                          : OBSERVE_DEGRADED;
}

static enum observe_health judge_workers(const struct observe_state *state)
{
    return atomic_load_explicit(&state->is_draining, memory_order_relaxed) ? OBSERVE_DOWN
                                                                           : OBSERVE_OK;
}

static enum observe_health worst(enum observe_health a, enum observe_health b)
{
    return a > b ? a : b;
}

enum observe_health observe_judge(const struct observe_state *state)
{
    return worst(judge_workers(state), worst(judge_database(state), judge_catalog(state)));
}

static void add_status(struct hs_buf *out, enum observe_health health)
{
    static const char *const names[] = {"ok", "degraded", "down"};

    hs_buf_add_lit(out, "\"status\":\"");
    hs_buf_add(out, hs_str(names[health]));
    hs_buf_add_char(out, '"');
}

static void add_count(struct hs_buf *out, struct hs_str member, uint64_t v)
{
    hs_buf_add(out, member);
    hs_buf_add_u64(out, v);
}

static void add_database(struct hs_buf *out, const struct observe_state *state)
{
    hs_buf_add_lit(out, "\"database\":{");
    add_status(out, judge_database(state));
    add_count(out, HS_STR(",\"workers_connected\":"), pools_up(state));
    add_count(out, HS_STR(",\"connections\":"), hs_metric_sum(HS_M_PG_CONNECTIONS));
    add_count(out, HS_STR(",\"connections_busy\":"), hs_metric_sum(HS_M_PG_CONNECTIONS_BUSY));
    add_count(out, HS_STR(",\"queries_waiting\":"), hs_metric_sum(HS_M_PG_WAITING));
    hs_buf_add_char(out, '}');
}

static void add_cache(struct hs_buf *out, const struct observe_state *state, hs_us now)
{
    struct cache_status status = {.may_hit = false};
    hs_us proof_at;

    if (state->cache)
        cache_status(state->cache, now, &status);
    proof_at = status.view.proof_at;
    hs_buf_add_lit(out, "\"cache\":{\"state\":\"");
    hs_buf_add(out, !state->cache    ? HS_STR("off")
                    : status.may_hit ? HS_STR("coherent")
                                     : HS_STR("bypassed"));
    hs_buf_add_lit(out, "\",\"proof_age_ms\":");
    if (proof_at)
        hs_buf_add_u64(out, now > proof_at ? (now - proof_at) / HS_MS : 0);
    else
        hs_buf_add_lit(out, "null");
    hs_buf_add_char(out, '}');
}

void observe_health_json(const struct observe_state *state, hs_us now, struct hs_buf *out)
{
    bool draining = atomic_load_explicit(&state->is_draining, memory_order_relaxed);

    hs_buf_add_char(out, '{');
    add_status(out, observe_judge(state));
    hs_buf_add_lit(out, ",\"components\":{");
    add_database(out, state);
    hs_buf_add_lit(out, ",\"catalog\":{");
    add_status(out, judge_catalog(state));
    hs_buf_add_lit(out, "},\"workers\":{");
    add_status(out, judge_workers(state));
    add_count(out, HS_STR(",\"count\":"), state->workers);
    hs_buf_add_lit(out, ",\"draining\":");
    hs_buf_add(out, draining ? HS_STR("true") : HS_STR("false"));
    add_count(out, HS_STR(",\"connections\":"), hs_metric_sum(HS_M_HTTP_CONNECTIONS));
    hs_buf_add_lit(out, "}},");
    add_cache(out, state, now);
    add_count(out, HS_STR(",\"uptime_s\":"), (now - state->started_at) / HS_SECOND);
    hs_buf_add_lit(out, ",\"version\":");
    hs_json_string(out, HS_STR(HS_VERSION));
    hs_buf_add_char(out, '}');
}

static void health(void *ctx, struct http_req *req)
{
    const struct observe_state *state = ctx;
    struct hs_buf *body = http_req_scratch(req);
    struct hs_err err;

    observe_health_json(state, hs_now_us(), body);
    if (hs_buf_failed(body)) {
        (void)hs_fail_memory(&err);
        http_reply_error(req, &err);
        return;
    }
    http_reply(req, &(struct http_reply){
                        .status = observe_judge(state) == OBSERVE_DOWN ? 503 : 200,
                        .content_type = JSON_TYPE,
                        .headers = HS_STR("Cache-Control: no-store\r\n"),
                        .body = hs_buf_str(body),
                    });
}

static void live(void *ctx, struct http_req *req)
{
    static const struct http_reply alive = {
        .status = 200,
        .content_type = {"application/json", sizeof("application/json") - 1},
        .body = {"{\"status\":\"ok\"}", sizeof("{\"status\":\"ok\"}") - 1},
    };

    (void)ctx;
    http_reply(req, &alive);
}

static void ready(void *ctx, struct http_req *req)
{
    bool can = observe_judge(ctx) != OBSERVE_DOWN;

    http_reply(req,
               &(struct http_reply){
                   .status = can ? 200 : 503,
                   .content_type = JSON_TYPE,
                   .headers = can ? HS_STR("Cache-Control: no-store\r\n")
                                  : HS_STR("Cache-Control: no-store\r\nRetry-After: 1\r\n"),
                   .body = can ? HS_STR("{\"status\":\"ok\"}") : HS_STR("{\"status\":\"down\"}"),
               });
}

const struct http_handler observe_live_handler = {.name = "live", .handle = live};
const struct http_handler observe_ready_handler = {.name = "ready", .handle = ready};
const struct http_handler observe_health_handler = {.name = "health", .handle = health};
