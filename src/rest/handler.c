/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {rest.path}/...: which part of the dialect a request is for.
 *
 * The rule: a read whose answer is kept goes no further than the words that lead to it: the target, and those
 * headers that PostgREST looks at. Everything else is decided behind that.
 */
#include "rest/request.h"

#include "api/url.h"

#define CALLS "rpc/"

/* ---- the words that decide how an answer looks ---- */

/* Range is for GET only (RFC 9110, 14.2). */
static char letter_of(const struct http_req *req, const struct http_header *h)
{
    switch (h->name.n) {
    case 5:
        return req->method == HTTP_GET && hs_str_ieq(h->name, HS_STR("range")) ? 'R' : '\0';
    case 6:
        if (hs_str_ieq(h->name, HS_STR("accept")))
            return 'A';
        return hs_str_ieq(h->name, HS_STR("prefer")) ? 'P' : '\0';
    case 14:
        return hs_str_ieq(h->name, HS_STR("accept-profile")) ? 'S' : '\0';
    default:
        return '\0';
    }
}

/* Accept, Accept-Profile, Prefer and Range, those that are there, in their order. p == NULL: no memory. */
static struct hs_str join_words(const struct http_req *req)
{
    size_t n = 0;
    char *to;
    char *at;

    for (size_t i = 0; i < req->n_headers; i++)
        n += letter_of(req, &req->headers[i]) ? req->headers[i].value.n + 2 : 0;
    if (!n)
        return HS_STR("");
    to = at = hs_arena_alloc(req->arena, n);
    for (size_t i = 0; to && i < req->n_headers; i++) {
        const struct http_header *h = &req->headers[i];
        char letter = letter_of(req, h);

        if (!letter)
            continue;
        *at++ = letter;
        at = hs_str_put(at, h->value);
        *at++ = '\n'; /* which no value holds */
    }
    return hs_strn(to, n);
}

/* ---- the schema ---- */

static hs_status fail_schema(const struct pg_catalog *catalog, struct hs_str name,
                             struct rest_request *q, struct hs_err *reterr)
{
    struct hs_arena *arena = q->r.req->arena;
    struct hs_str all = HS_STR("");

    for (size_t i = 0; i < catalog->n_schemas; i++)
        all = hs_arena_printf(arena, "%.*s%s%.*s", HS_FMT(all), i ? ", " : "",
                              HS_FMT(catalog->schemas[i]));
    q->more.hint = hs_arena_printf(arena, "Only the following schemas are exposed: %.*s",
                                   HS_FMT(all));
    return hs_fail(reterr, HS_E_PGRST106, "Invalid schema: %.*s", HS_FMT(name));
}

/* Reads say it in Accept-Profile, writes and calls by POST in Content-Profile. */
static hs_status choose_schema(struct rest_request *q, struct hs_err *reterr)
{
    const struct http_req *req = q->r.req;
    const struct pg_catalog *catalog = q->site->catalog;
    bool writes = req->method & (HTTP_POST | HTTP_PUT | HTTP_PATCH | HTTP_DELETE);
    struct hs_str name = http_req_header(req, writes ? HS_STR("content-profile")
                                                     : HS_STR("accept-profile"));

    q->says_schema = name.p || catalog->n_schemas > 1;
    if (!name.p) {
        q->schema = catalog->schemas[0];
        return HS_OK;
    }
    for (size_t i = 0; i < catalog->n_schemas; i++) {
        if (hs_str_eq(catalog->schemas[i], name)) {
            q->schema = catalog->schemas[i];
            return HS_OK;
        }
    }
    return fail_schema(catalog, name, q, reterr);
}

/* ---- which part ---- */

static hs_status start_relation(struct rest_request *q, struct hs_str name, struct hs_err *reterr)
{
    struct http_req *req = q->r.req;
    hs_status status = rest_plan_relation(q->site->model, q->schema, name, &q->relation, reterr);

    if (status)
        return status;
    q->place = rest_site_place(q->site, q->relation);
    q->r.table = q->place->table;
    q->r.keep = q->place->keep;
    req->route = q->place->route;
    switch (req->method) {
    case HTTP_GET:
    case HTTP_HEAD:
        return rest_read_start(q, reterr);
    case HTTP_OPTIONS:
        return rest_options_start(q, reterr);
    case HTTP_POST:
    case HTTP_PUT:
    case HTTP_PATCH:
    case HTTP_DELETE:
        return rest_change_start(q, reterr);
    case HTTP_OTHER:
        break;
    }
    return hs_fail(reterr, HS_E_PGRST117, "Unsupported HTTP method: %.*s",
                   HS_FMT(req->method_name));
}

static hs_status fail_path(struct hs_err *reterr)
{
    return hs_fail(reterr, HS_E_PGRST125, "Invalid path specified in request URL");
}

static hs_status decode(const struct rest_request *q, struct hs_str segment,
                        struct hs_str *ret_name, struct hs_err *reterr)
{
    *ret_name = segment;
    return hs_str_find(segment, '%') < segment.n
               ? url_decode(q->r.req->arena, URL_PATH, segment, ret_name, reterr)
               : HS_OK;
}

/* It answers in place of the description. */
static hs_status start_root_function(struct rest_request *q, struct hs_err *reterr)
{
    hs_status status = choose_schema(q, reterr);

    q->schema = q->site->root->schema;
    return status ? status : rest_call_start(q, q->site->root->name, reterr);
}

static hs_status start_root(struct rest_request *q, struct hs_err *reterr)
{
    hs_status status;

    if (q->site->root)
        return start_root_function(q, reterr);
    if (q->site->rules.openapi == REST_OPENAPI_OFF)
        return hs_fail(reterr, HS_E_PGRST126, "Root endpoint metadata is disabled");
    q->r.req->route = q->site->route_root;
    if (q->r.req->method == HTTP_OPTIONS) {
        rest_reply_allow(q, HS_STR("OPTIONS,GET,HEAD"));
        return HS_OK;
    }
    if (!(q->r.req->method & (HTTP_GET | HTTP_HEAD)))
        return fail_path(reterr);
    status = choose_schema(q, reterr);
    return status ? status : rest_root_start(q, reterr);
}

static hs_status start_path(struct rest_request *q, struct hs_err *reterr)
{
    struct hs_str rest = q->r.req->path_rest;
    struct hs_str name;
    bool is_call;
    hs_status status;

    if (!rest.n)
        return start_root(q, reterr);
    is_call = hs_str_starts(rest, HS_STR(CALLS));
    if (is_call)
        rest = hs_str_sub(rest, sizeof(CALLS) - 1, rest.n);
    if (hs_str_find(rest, '/') < rest.n)
        return fail_path(reterr);
    status = choose_schema(q, reterr);
    if (!status)
        status = decode(q, rest, &name, reterr);
    if (status)
        return status;
    return is_call ? rest_call_start(q, name, reterr) : start_relation(q, name, reterr);
}

static hs_status check_ready(const struct api_worker *worker, const struct http_req *req,
                             struct hs_err *reterr)
{
    if (!worker->hold || !rest_site_of(worker->hold->model))
        return hs_fail(reterr, HS_E_PGRST002,
                       "Could not query the database for the schema cache. Retrying.");
    if (!req->identity)
        return hs_fail(reterr, HS_E_NO_TOKEN, "the request names no caller");
    return HS_OK;
}

static void start(struct api_worker *worker, struct http_req *req, struct hs_str words)
{
    struct rest_request *q = HS_NEW(req->arena, struct rest_request);
    struct hs_err err = {0};

    if (!q) {
        (void)hs_fail_memory(&err);
        http_reply_error(req, &err);
        return;
    }
    q->magic = REST_REQUEST_MAGIC;
    q->site = rest_site_of(worker->hold->model);
    q->r.magic = API_REQUEST_MAGIC;
    q->r.req = req;
    q->r.worker = worker;
    q->r.hold = worker->hold;
    q->r.words = words;
    q->r.hold->uses++;
    if (start_path(q, &err))
        rest_fail(q, &err);
}

static void handle(void *ctx, struct http_req *req)
{
    struct api_worker *worker = ctx;
    bool is_read = req->method & (HTTP_GET | HTTP_HEAD);
    struct hs_str words = is_read ? join_words(req) : HS_STR("");
    struct hs_err err = {0};
    hs_status status;

    HS_OBJ(worker, API_WORKER_MAGIC);
    status = check_ready(worker, req, &err);
    if (!status && !words.p)
        status = hs_fail_memory(&err);
    if (status) {
        http_reply_error(req, &err);
        return;
    }
    if (is_read && api_kept_hit(worker, req, words))
        return;
    start(worker, req, words);
}

const struct http_handler rest_handler = {.name = "rest", .handle = handle, .tell = rest_tell};
