/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cross-origin requests.
 *
 * The rule: a request without Origin, as every one that comes from no browser, costs one look at its headers. What
 * a kept answer says is the same for all, so these headers are never part of it.
 */
#include "rest/cors.h"

#define EXPOSED                                                                          \
    "Access-Control-Expose-Headers: Content-Encoding, Content-Location, Content-Range, " \
    "Content-Type, Date, ETag, Location, Preference-Applied, Proxy-Status, Server, "     \
    "Transfer-Encoding, Range-Unit\r\n"
#define METHODS "Access-Control-Allow-Methods: GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD\r\n"

enum { REQUESTED_HEADERS_MAX = 4096 };

static bool is_below(struct hs_str path, struct hs_str prefix)
{
    return hs_str_is(prefix, "/") ||
           (hs_str_starts(path, prefix) && (path.n == prefix.n || path.p[prefix.n] == '/'));
}

static bool is_allowed(const struct rest_cors *cors, struct hs_str origin)
{
    for (size_t i = 0; i < cors->n_origins; i++) {
        if (hs_str_eq(cors->origins[i], origin))
            return true;
    }
    return false;
}

/* The line, or lines, that name who may read the answer. p == NULL: no memory. */
static struct hs_str allow_origin(const struct rest_cors *cors, struct hs_arena *arena,
                                  struct hs_str origin)
{
    if (!cors->n_origins)
        return HS_STR("Access-Control-Allow-Origin: *\r\n");
    return hs_arena_printf(arena,
                           "Access-Control-Allow-Origin: %.*s\r\n"
                           "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n",
                           HS_FMT(origin));
}

/* Names of header fields and what stands between them; nothing that ends a line came through the reader. */
static struct hs_str requested_headers(const struct http_req *req)
{
    struct hs_str names = http_req_header(req, HS_STR("access-control-request-headers"));

    return names.n <= REQUESTED_HEADERS_MAX ? names : HS_STR("");
}

static void answer_preflight(struct http_req *req, struct hs_str origin_lines)
{
    struct hs_str names = requested_headers(req);
    struct hs_str lines = hs_arena_printf(req->arena,
                                          "%.*s" METHODS
                                          "Access-Control-Allow-Headers: Authorization, %.*s%s"
                                          "Accept, Accept-Language, Content-Language\r\n"
                                          "Access-Control-Max-Age: 86400\r\n",
                                          HS_FMT(origin_lines), HS_FMT(names), names.n ? ", " : "");

    http_reply(req, &(struct http_reply){.status = 200, .headers = lines});
}

static bool run(void *ctx, struct http_req *req)
{
    const struct rest_cors *cors = ctx;
    struct hs_str origin = http_req_header(req, HS_STR("origin"));
    struct hs_str lines;

    if (hs_likely(!origin.p) || !cors->path.p || !is_below(req->path, cors->path) ||
        (cors->n_origins && !is_allowed(cors, origin)))
        return true;
    lines = allow_origin(cors, req->arena, origin);
    if (req->method == HTTP_OPTIONS &&
        http_req_header(req, HS_STR("access-control-request-method")).p) {
        answer_preflight(req, lines);
        return false;
    }
    req->extra_headers = cors->n_origins
                             ? hs_arena_printf(req->arena, "%.*s" EXPOSED, HS_FMT(lines))
                             : HS_STR("Access-Control-Allow-Origin: *\r\n" EXPOSED);
    return true;
}

const struct http_step rest_cors_step = {.name = "cors", .run = run};
