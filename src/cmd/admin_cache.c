/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache on the admin socket:
 *
 *     GET  /admin/cache/stats     GET /admin/cache/top?n=20     GET /admin/cache/explain?url=/api/v1/...
 *     POST /admin/cache/purge     {"table":"clients"} | {"tenant":"42"} | {"user":"..."} | {"pattern":"clients*"}
 *                                 | {"all":true}, or the same as a query
 *
 * The first worker answers all of it: names of tables are its model's. What walks over the whole store (top, purge) does
 * so on the thread pool, so that no client of this worker waits for it.
 */
#include "api/explain.h"
#include "api/url.h"
#include "cache/store.h"
#include "cmd/serve_int.h"
#include "cmd/warm.h"
#include "core/json.h"
#include "core/json_read.h"
#include "core/audit.h"
#include "core/log.h"

enum { TOP_DEFAULT = 20, TOP_MAX = 10000, ANSWER_MAX = 16 << 20 };

enum purge_by { PURGE_TABLE, PURGE_TENANT, PURGE_USER, PURGE_PATTERN, PURGE_ALL, PURGE_BYS };

static const char *const bys[PURGE_BYS] = {"table", "tenant", "user", "pattern", "all"};

/* A request that walks over the store; in its arena, which lives until it is answered. */
struct walk {
    struct net_work work;
    struct serve_worker *worker;
    struct http_req *req;
    const struct api_cache *cache;
    enum purge_by by;
    struct hs_str value; /* of the purge */
    struct hs_str claim; /* by tenant or user: its name */
    uint32_t table;      /* by table: its index in the cache, */
    struct hs_str start; /* and how keys of reads from it begin */
    struct cache_purged purged;
    size_t n; /* of top */
    hs_us now;
    struct hs_buf body;
    struct hs_err err;
};

/* ---- answers ---- */

static void reply_buf(struct http_req *req, struct hs_buf *body)
{
    const struct http_reply reply = {
        .status = 200, .content_type = HS_STR("application/json"), .body = hs_buf_str(body)};
    struct hs_err err;

    if (!hs_buf_failed(body)) {
        http_reply(req, &reply);
        return;
    }
    (void)hs_fail(&err, HS_E_LIMIT, "the answer is too long");
    http_reply_error(req, &err);
}

/* NULL: the cache is off, which was answered. */
static const struct api_cache *cache_of(const struct serve_worker *w, struct http_req *req)
{
    struct hs_err err;

    if (w->serve->coherence)
        return coherence_cache(w->serve->coherence);
    (void)hs_fail(&err, HS_E_NOT_FOUND, "nothing is kept: cache.enabled is off");
    hs_err_hint(&err, "Set cache.enabled and start the server again.");
    http_reply_error(req, &err);
    return NULL;
}

static void add_lsn(struct hs_buf *out, const char *name, uint64_t lsn)
{
    hs_buf_printf(out, ",\"%s\":\"%X/%X\"", name, (unsigned)(lsn >> 32), (unsigned)lsn);
}

static void add_count(struct hs_buf *out, const char *name, uint64_t n)
{
    hs_buf_printf(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

static void add_seconds(struct hs_buf *out, const char *name, hs_us us)
{
    hs_buf_printf(out, ",\"%s\":%llu.%03u", name, (unsigned long long)(us / HS_SECOND),
                  (unsigned)(us % HS_SECOND / HS_MS));
}

/* ---- stats ---- */

static void write_requests(struct hs_buf *out)
{
    uint64_t hits = hs_metric_cache_sum(HS_CACHE_HIT);
    uint64_t misses = hs_metric_cache_sum(HS_CACHE_MISS);
    uint64_t joined = hs_metric_cache_sum(HS_CACHE_JOINED);
    uint64_t bypassed = hs_metric_cache_sum(HS_CACHE_BYPASS);
    uint64_t stale = hs_metric_cache_sum(HS_CACHE_STALE);
    uint64_t all = hits + misses + joined + bypassed + stale;

    add_count(out, "hits", hits);
    add_count(out, "misses", misses);
    add_count(out, "coalesced", joined);
    add_count(out, "bypassed", bypassed);
    add_count(out, "stale", stale);
    hs_buf_printf(out, ",\"hitRatio\":%.4f", all ? (double)hits / (double)all : 0.0);
}

static void write_store(struct cache_store *store, const struct conf *boot, struct hs_buf *out)
{
    struct cache_store_stats stats;

    cache_stats(store, &stats);
    add_count(out, "entries", stats.entries);
    add_count(out, "entriesMax", boot->cache_entries_max);
    add_count(out, "bytes", stats.bytes);
    add_count(out, "bytesMax", boot->cache_memory);
    write_requests(out);
    add_count(out, "evicted", stats.evicted);
    add_count(out, "expired", stats.expired);
    add_count(out, "invalidated", stats.invalidated);
    add_count(out, "refused", stats.refused);
    add_count(out, "flights", stats.flights);
}

static void write_state(const struct cache_state *state, struct hs_buf *out)
{
    struct cache_status status;
    hs_us now = hs_now_us();
    hs_us proof_at;

    cache_status(state, now, &status);
    proof_at = status.view.proof_at;
    hs_buf_printf(out, "\"state\":\"%s\"", status.may_hit ? "coherent" : "bypassed");
    if (proof_at)
        add_seconds(out, "proofAge", now > proof_at ? now - proof_at : 0);
    else
        hs_buf_add_lit(out, ",\"proofAge\":null");
    add_lsn(out, "position", status.view.position);
    add_lsn(out, "fence", status.fence);
    add_count(out, "tables", status.n_tables);
    add_count(out, "tablesFollowed", status.n_coherent);
    add_count(out, "shapes", status.n_shapes);
}

static void handle_stats(void *ctx, struct http_req *req)
{
    const struct serve_worker *w = ctx;
    const struct api_cache *cache = cache_of(w, req);
    struct hs_buf *out;

    if (!cache)
        return;
    out = http_req_scratch(req);
    hs_buf_add_lit(out, "{\"data\":{");
    write_state(cache->state, out);
    write_store(cache->store, w->serve->boot, out);
    hs_buf_add_lit(out, "}}");
    reply_buf(req, out);
}

/* ---- walks ---- */

static void on_walked(struct net_work *work)
{
    struct walk *walk = HS_CONTAINER(work, struct walk, work);
    struct hs_buf body = walk->body;

    walk->worker->admins--;
    if (walk->err.status)
        http_reply_error(walk->req, &walk->err);
    else
        reply_buf(walk->req, &body);
    hs_buf_fini(&body);
}

/* NULL: it cannot be, which was answered. */
static struct walk *walk_new(struct serve_worker *w, struct http_req *req)
{
    const struct api_cache *cache = cache_of(w, req);
    struct walk *walk = cache ? HS_NEW(req->arena, struct walk) : NULL;
    struct hs_err err;

    if (!cache)
        return NULL;
    if (!walk) {
        (void)hs_fail_memory(&err);
        http_reply_error(req, &err);
        return NULL;
    }
    *walk = (struct walk){.worker = w, .req = req, .cache = cache, .now = hs_now_us()};
    hs_buf_init(&walk->body, ANSWER_MAX);
    return walk;
}

static void walk_start(struct walk *walk, void (*run)(struct net_work *),
                       void (*done)(struct net_work *))
{
    struct serve_worker *w = walk->worker;
    hs_status status = HS_OK;

    walk->work = (struct net_work){.run = run, .done = done};
    if (w->admins >= SERVE_ADMINS_MAX)
        status = hs_fail(&walk->err, HS_E_BUSY, "too many requests on the admin socket");
    if (!status)
        status = net_work_start(w->loop, &walk->work, &walk->err);
    if (status)
        http_reply_error(walk->req, &walk->err);
    else
        w->admins++;
}

/* ---- top ---- */

static void add_name(struct hs_buf *out, const char *name, struct hs_str value)
{
    hs_buf_printf(out, ",\"%s\":", name);
    if (value.p)
        hs_json_string(out, value);
    else
        hs_buf_add_lit(out, "null");
}

static void add_entry(void *arg, const struct cache_entry *entry, uint64_t hits)
{
    struct walk *walk = arg;
    struct hs_buf *out = &walk->body;
    struct hs_str target = cache_entry_target(entry);
    struct api_key_parts parts;

    if (!api_key_read(cache_entry_key(entry), &parts))
        parts = (struct api_key_parts){.table = HS_STR_NULL};
    hs_buf_printf(out, "%s{\"hits\":%llu,\"bytes\":%u", walk->n++ ? "," : "",
                  (unsigned long long)hits, entry->bytes);
    add_seconds(out, "age", walk->now > entry->stored_at ? walk->now - entry->stored_at : 0);
    add_seconds(out, "left", entry->expires_at > walk->now ? entry->expires_at - walk->now : 0);
    add_name(out, "role", parts.role);
    add_name(out, "claims", parts.claims);
    add_name(out, "url", target.n ? target : HS_STR_NULL);
    hs_buf_add_char(out, '}');
}

static void run_top(struct net_work *work)
{
    struct walk *walk = HS_CONTAINER(work, struct walk, work);
    size_t n = walk->n;

    walk->n = 0;
    hs_buf_add_lit(&walk->body, "{\"data\":[");
    if (cache_top(walk->cache->store, n, add_entry, walk, &walk->err) == HS_OK)
        hs_buf_add_lit(&walk->body, "]}");
}

static void handle_top(void *ctx, struct http_req *req)
{
    struct hs_str value = req->query;
    struct hs_str name = hs_str_cut(&value, '=');
    uint64_t n = TOP_DEFAULT;
    struct walk *walk;
    struct hs_err err;

    if (req->query.n &&
        (!hs_str_is(name, "n") || !hs_str_to_u64(value, &n) || n < 1 || n > TOP_MAX)) {
        (void)hs_fail(&err, HS_E_BAD_PARAMETER, "the query is not understood");
        hs_err_hint(&err, "Write n=20: how many, from 1 to %d.", TOP_MAX);
        http_reply_error(req, &err);
        return;
    }
    walk = walk_new(ctx, req);
    if (!walk)
        return;
    walk->n = n;
    walk_start(walk, run_top, on_walked);
}

/* ---- purge: what is asked ---- */

static hs_status not_understood(struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "what is to be purged is not understood");
    hs_err_hint(reterr,
                "Say one of {\"table\":\"clients\"}, {\"tenant\":\"42\"}, {\"user\":\"...\"}, "
                "{\"pattern\":\"clients*\"}, {\"all\":true}.");
    return HS_E_BAD_PARAMETER;
}

static hs_status set_by(struct walk *walk, struct hs_str name, struct hs_str value,
                        struct hs_err *reterr)
{
    unsigned by = 0;

    while (by < PURGE_BYS && !hs_str_is(name, bys[by]))
        by++;
    if (by == PURGE_BYS || walk->value.p || !value.n ||
        (by == PURGE_ALL && !hs_str_is(value, "true")))
        return not_understood(reterr);
    walk->by = (enum purge_by)by;
    walk->value = value;
    return HS_OK;
}

static hs_status read_value(struct json_reader *reader, struct walk *walk, struct hs_str name,
                            struct hs_err *reterr)
{
    enum json_token token;
    struct hs_str text;
    hs_status status = json_next(reader, &token, reterr);

    if (status)
        return status;
    switch (token) {
    case JSON_STRING:
        status = json_text(reader, walk->req->arena, &text, reterr);
        return status ? status : set_by(walk, name, text, reterr);
    case JSON_NUMBER:
        return set_by(walk, name, reader->value, reterr);
    case JSON_TRUE:
        return hs_str_is(name, bys[PURGE_ALL]) ? set_by(walk, name, HS_STR("true"), reterr)
                                               : not_understood(reterr);
    case JSON_END:
    case JSON_OBJECT:
    case JSON_OBJECT_END:
    case JSON_ARRAY:
    case JSON_ARRAY_END:
    case JSON_NAME:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return not_understood(reterr);
}

static hs_status read_body(struct walk *walk, struct hs_err *reterr)
{
    struct json_reader reader;
    enum json_token token;
    struct hs_str name;
    hs_status status;

    json_reader_init(&reader, walk->req->body, JSON_DEPTH_MAX);
    status = json_next(&reader, &token, reterr);
    if (!status && token != JSON_OBJECT)
        return not_understood(reterr);
    while (!status) {
        status = json_next(&reader, &token, reterr);
        if (status || token == JSON_OBJECT_END)
            break;
        status = json_text(&reader, walk->req->arena, &name, reterr);
        if (!status)
            status = read_value(&reader, walk, name, reterr);
    }
    return status ? status : json_next(&reader, &token, reterr);
}

static hs_status read_query(struct walk *walk, struct hs_err *reterr)
{
    struct hs_str query = walk->req->query;
    struct url_pair pair;

    for (;;) {
        hs_status status = url_next_pair(walk->req->arena, &query, &pair, reterr);

        if (status || !pair.key.p)
            return status;
        status = set_by(walk, pair.key, pair.value, reterr);
        if (status)
            return status;
    }
}

static hs_status find_table(struct walk *walk, struct hs_err *reterr)
{
    struct hs_str table;
    uint32_t oid = api_worker_table_oid(walk->worker->api, walk->value, &table);

    if (!oid)
        return hs_fail(reterr, HS_E_UNKNOWN_TABLE, "there is no table \"%.*s\"",
                       HS_FMT(walk->value));
    walk->table = cache_table(walk->cache->state, oid);
    walk->start = hs_arena_printf(walk->req->arena, "%.*s ", HS_FMT(table));
    return walk->start.p ? HS_OK : hs_fail_memory(reterr);
}

static hs_status read_purge(struct walk *walk, struct hs_err *reterr)
{
    hs_status status = walk->req->query.n ? read_query(walk, reterr) : HS_OK;

    if (!status && walk->req->body.n)
        status = read_body(walk, reterr);
    if (!status && !walk->value.p)
        return not_understood(reterr);
    if (!status && walk->by == PURGE_TABLE)
        status = find_table(walk, reterr);
    if (walk->by == PURGE_TENANT)
        walk->claim = hs_arena_dup(walk->req->arena, walk->worker->conf->conf->cache_tenant_claim);
    else
        walk->claim = HS_STR("sub");
    return !status && !walk->claim.p ? hs_fail_memory(reterr) : status;
}

/* ---- purge: what is done ---- */

/* Reads from the table, or from what reads it: a view, an include, a policy. */
static bool covers_table(void *arg, const struct cache_entry *entry)
{
    const struct walk *walk = arg;
    const struct cache_tag *tags = cache_entry_tags(entry);

    for (size_t i = 0; walk->table != CACHE_NO_INDEX && i < entry->n_tags; i++) {
        if (tags[i].table == walk->table)
            return true;
    }
    return hs_str_starts(cache_entry_key(entry), walk->start);
}

static bool covers_claim(void *arg, const struct cache_entry *entry)
{
    const struct walk *walk = arg;

    return api_key_has_claim(cache_entry_key(entry), walk->claim, walk->value);
}

static void run_purge(struct net_work *work)
{
    struct walk *walk = HS_CONTAINER(work, struct walk, work);
    struct cache_purge purge = {.table = CACHE_NO_INDEX, .arg = walk};

    switch (walk->by) {
    case PURGE_TABLE:
        purge.covers = covers_table;
        break;
    case PURGE_TENANT:
    case PURGE_USER:
        purge.covers = covers_claim;
        break;
    case PURGE_PATTERN:
        purge.pattern = walk->value;
        break;
    case PURGE_ALL:
    case PURGE_BYS:
        break;
    }
    /* First: what other nodes have shared of it must not come back in between. */
    cache_purge_shared(walk->cache->store, hs_wall_now());
    walk->purged = cache_purge(walk->cache->store, &purge);
    hs_buf_add_lit(&walk->body, "{\"data\":{\"purged\":");
    hs_json_string(&walk->body, hs_str(bys[walk->by]));
    add_name(&walk->body, "value", walk->value);
    add_count(&walk->body, "entries", walk->purged.entries);
    add_count(&walk->body, "bytes", walk->purged.bytes);
    hs_buf_add_lit(&walk->body, "}}");
}

static void on_purged(struct net_work *work)
{
    struct walk *walk = HS_CONTAINER(work, struct walk, work);
    struct serve_worker *w = walk->worker;

    hs_metric_add(w->metrics, HS_M_CACHE_PURGED, walk->purged.entries);
    hs_log_begin(HS_LOG_INFO, "cache purged");
    hs_log_cstr("by", bys[walk->by]);
    hs_log_str("value", walk->value);
    hs_log_int("entries", (int64_t)walk->purged.entries);
    hs_log_int("bytes", (int64_t)walk->purged.bytes);
    hs_log_end();
    /* Not of what: a tenant or a user is a person, or nearly. */
    hs_audit_begin("cache_purged");
    hs_audit_cstr("by", bys[walk->by]);
    hs_audit_int("entries", (int64_t)walk->purged.entries);
    hs_audit_end_later();
    if (walk->by == PURGE_ALL)
        serve_warm_again(w->warm);
    on_walked(work);
}

static void handle_purge(void *ctx, struct http_req *req)
{
    struct walk *walk = walk_new(ctx, req);

    if (!walk)
        return;
    if (read_purge(walk, &walk->err))
        http_reply_error(req, &walk->err);
    else
        walk_start(walk, run_purge, on_purged);
}

/* ---- explain ---- */

/* As it stands if it begins with a slash, so that it can be typed; else percent-encoded. */
static hs_status read_url(struct http_req *req, struct hs_str *ret_url, struct hs_err *reterr)
{
    struct hs_str name = HS_STR("url=");
    hs_status status = HS_OK;

    *ret_url = hs_str_sub(req->query, name.n, req->query.n);
    if (hs_str_starts(req->query, name) && ret_url->n && ret_url->p[0] != '/')
        status = url_decode(req->arena, URL_QUERY, *ret_url, ret_url, reterr);
    if (status)
        return status;
    for (size_t i = 0; i < ret_url->n; i++) {
        if (ret_url->p[i] <= ' ' || ret_url->p[i] > '~')
            return hs_fail(reterr, HS_E_BAD_PARAMETER,
                           "the address holds a byte that must be percent-encoded");
    }
    if (ret_url->n && ret_url->p[0] == '/')
        return HS_OK;
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "which address is to be explained is not said");
    hs_err_hint(reterr, "Write url=/api/v1/clients?limit=20.");
    return HS_E_BAD_PARAMETER;
}

static void handle_explain(void *ctx, struct http_req *req)
{
    struct serve_worker *w = ctx;
    struct hs_identity *who = NULL;
    struct hs_buf *out;
    struct hs_str url;
    struct hs_err err;
    hs_status status;

    if (!cache_of(w, req))
        return;
    out = http_req_scratch(req);
    hs_err_clear(&err);
    status = read_url(req, &url, &err);
    if (!status)
        status = edge_auth_identify(w->auth, http_req_header(req, HS_STR("authorization")), &who,
                                    &err);
    if (!status)
        status = api_explain(w->api, req, url, who, out, &err);
    hs_identity_unref(who);
    if (status)
        http_reply_error(req, &err);
    else
        reply_buf(req, out);
}

/* ---- routes ---- */

static const struct http_handler stats_handler = {.name = "admin cache stats",
                                                  .handle = handle_stats};
static const struct http_handler top_handler = {.name = "admin cache top", .handle = handle_top};
static const struct http_handler purge_handler = {.name = "admin cache purge",
                                                  .handle = handle_purge};
static const struct http_handler explain_handler = {.name = "admin cache explain",
                                                    .handle = handle_explain};

void serve_admin_cache_routes(struct serve_worker *w,
                              struct http_route to[static SERVE_ADMIN_CACHE_ROUTES])
{
    const struct http_route routes[SERVE_ADMIN_CACHE_ROUTES] = {
        {"/admin/cache/stats", HTTP_ROUTE_EXACT, HTTP_GET, true, &stats_handler, w},
        {"/admin/cache/top", HTTP_ROUTE_EXACT, HTTP_GET, true, &top_handler, w},
        {"/admin/cache/purge", HTTP_ROUTE_EXACT, HTTP_POST, true, &purge_handler, w},
        {"/admin/cache/explain", HTTP_ROUTE_EXACT, HTTP_GET, true, &explain_handler, w},
    };

    memcpy(to, routes, sizeof(routes));
}
