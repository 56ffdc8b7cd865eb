/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors in PostgREST's form.
 *
 * The rule: PostgreSQL's own texts are never changed. A function may choose the whole answer: SQLSTATE PTnnn is
 * the HTTP status nnn; SQLSTATE PGRST brings the answer as JSON in its message, and status and headers in its
 * detail. Header lines that such a function writes are looked at, so that none can end a line.
 *
 * Members stand in alphabetical order, as PostgREST 12 writes them.
 */
#include "rest/tell.h"

#include <jansson.h>

#include "core/json.h"
#include "rest/fault.h"

#define JSON_TYPE HS_STR("application/json; charset=utf-8")

enum { HTTP_STATUS_MIN = 200, HTTP_STATUS_MAX = 999, RAISED_HEADERS_MAX = 64 };

/* ---- hasten's own, in PostgREST's words ---- */

static const struct own {
    hs_status status;
    hs_status told_as;
    const char *message; /* NULL: the error's own */
} own[] = {
    {HS_E_PG_DOWN, HS_E_PGRST000, "Database connection error. Retrying the connection."},
    {HS_E_SHUTDOWN, HS_E_PGRST001, NULL},
    {HS_E_OUTCOME_UNKNOWN, HS_E_PGRST001, NULL},
    {HS_E_PG_ACQUIRE, HS_E_PGRST003, "Timed out acquiring connection from connection pool."},
    {HS_E_BUSY, HS_E_PGRST003, NULL},
    {HS_E_NO_TOKEN, HS_E_PGRST302, "Anonymous access is disabled"},
    {HS_E_BAD_TOKEN, HS_E_PGRST301, NULL},
    {HS_E_NOT_FOUND, HS_E_PGRST125, "Invalid path specified in request URL"},
    {HS_E_BAD_ENCODING, HS_E_PGRST100, NULL},
    {HS_E_BAD_JSON, HS_E_PGRST102, NULL},
    {HS_E_BAD_BODY, HS_E_PGRST102, NULL},
    {HS_E_INTERNAL, HS_E_PGRSTX00, NULL},
    {HS_E_IO, HS_E_PGRSTX00, NULL},
};

static const struct own *find_own(hs_status status)
{
    for (size_t i = 0; i < HS_LEN(own); i++) {
        if (own[i].status == status)
            return &own[i];
    }
    return NULL;
}

/* ---- SQLSTATEs ---- */

/* The longest prefix wins; what is not here is the client's fault: 400. */
static const struct {
    const char *prefix;
    unsigned http;
} sqlstates[] = {
    {"08", 503},    {"09", 500}, {"0L", 403},    {"0P", 403},    {"23503", 409}, {"23505", 409},
    {"25006", 405}, {"25", 500}, {"28", 403},    {"2D", 500},    {"38", 500},    {"39", 500},
    {"3B", 500},    {"40", 500}, {"53400", 500}, {"53", 503},    {"54", 500},    {"55", 500},
    {"57P01", 503}, {"57", 500}, {"58", 500},    {"F0", 500},    {"HV", 500},    {"P0001", 400},
    {"P0", 500},    {"XX", 500}, {"42883", 404}, {"42P01", 404}, {"42P17", 500},
};

static bool ends_with(struct hs_str s, struct hs_str end)
{
    return s.n >= end.n && hs_str_eq(hs_str_sub(s, s.n - end.n, s.n), end);
}

/* PT402 -> 402; 0 = it is none. */
static unsigned status_of_pt(struct hs_str sqlstate)
{
    uint64_t status;

    if (!hs_str_starts(sqlstate, HS_STR("PT")))
        return 0;
    if (!hs_str_to_u64(hs_str_sub(sqlstate, 2, sqlstate.n), &status) || status < HTTP_STATUS_MIN)
        return 500;
    return (unsigned)status;
}

unsigned rest_sqlstate_http(struct hs_str sqlstate, struct hs_str message, bool is_anonymous)
{
    unsigned http = status_of_pt(sqlstate);

    if (http)
        return http;
    if (hs_str_is(sqlstate, "42501"))
        return is_anonymous ? 401 : 403;
    /* A subquery that gave more than one row is the schema's fault, a missing WHERE the client's. */
    if (hs_str_is(sqlstate, "21000"))
        return ends_with(message, HS_STR("requires a WHERE clause")) ? 400 : 500;
    if (hs_str_is(sqlstate, "22023") && hs_str_starts(message, HS_STR("role")) &&
        ends_with(message, HS_STR("does not exist")))
        return 401;
    for (size_t i = 0, longest = 0; i < HS_LEN(sqlstates); i++) {
        struct hs_str prefix = hs_str(sqlstates[i].prefix);

        if (prefix.n > longest && hs_str_starts(sqlstate, prefix)) {
            longest = prefix.n;
            http = sqlstates[i].http;
        }
    }
    return http ? http : 400;
}

/* ---- the answer ---- */

struct told {
    struct hs_str code;
    struct hs_str message;
    struct hs_str details;      /* p == NULL: null */
    struct hs_str hint;         /* the same */
    struct hs_str json_details; /* p != NULL: instead of details, finished */
    unsigned http;
};

static void add_text(struct hs_buf *out, struct hs_str text)
{
    if (text.p)
        hs_json_string(out, text);
    else
        hs_buf_add_lit(out, "null");
}

static void write_told(const struct told *t, struct hs_buf *out)
{
    hs_buf_add_lit(out, "{\"code\":");
    hs_json_string(out, t->code);
    hs_buf_add_lit(out, ",\"details\":");
    if (t->json_details.p)
        hs_buf_add(out, t->json_details);
    else
        add_text(out, t->details);
    hs_buf_add_lit(out, ",\"hint\":");
    add_text(out, t->hint);
    hs_buf_add_lit(out, ",\"message\":");
    hs_json_string(out, t->message);
    hs_buf_add_char(out, '}');
}

static struct hs_str text_or_null(struct hs_str text)
{
    return text.n ? text : HS_STR_NULL;
}

static struct told translate(const struct http_req *req, const struct hs_err *err, bool with_why)
{
    const struct own *row = err->sqlstate[0] ? NULL : find_own(err->status);
    const struct hs_status_info *info = row ? hs_status_info(row->told_as) : NULL;
    struct told t = {.code = hs_str(info ? info->code : hs_err_code(err)),
                     .message = row && row->message ? hs_str(row->message) : hs_err_what(err),
                     .details = with_why ? text_or_null(hs_err_details(err)) : HS_STR_NULL,
                     .hint = text_or_null(hs_err_own_hint(err)),
                     .http = info ? info->http : hs_err_http(err)};
    struct rest_fault fault;

    if (rest_fault_of(err, req->arena, &fault))
        return (struct told){.code = hs_str(fault.code),
                             .message = fault.message,
                             .details = hs_str(fault.details),
                             .http = fault.http};
    if (err->sqlstate[0])
        t.http = rest_sqlstate_http(t.code, t.message,
                                    req->identity && req->identity->is_anonymous);
    else if (err->status == HS_E_BAD_ROLE)
        t.code = HS_STR("42501"); /* as PostgreSQL to SET ROLE */
    else if (!row)
        t.hint = text_or_null(hs_str(hs_err_hint_text(err)));
    return t;
}

/* ---- RAISE SQLSTATE 'PGRST' ---- */

/* An hs_str of a member that is a string, living as long as the object. */
static struct hs_str member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) ? hs_strn(json_string_value(value), json_string_length(value))
                                 : HS_STR_NULL;
}

static bool is_token(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", s.p[i]))
            return false;
    }
    return s.n > 0;
}

/* The members of `headers` as lines; those that are none are left out. */
static void add_headers(struct hs_arena *arena, json_t *headers, struct http_reply *reply)
{
    struct hs_buf lines;
    const char *name;
    json_t *value;
    size_t n = 0;

    hs_buf_init(&lines, 1 << 16);
    hs_buf_add(&lines, reply->headers);
    json_object_foreach(headers, name, value)
    {
        struct hs_str text = json_is_string(value)
                                 ? hs_strn(json_string_value(value), json_string_length(value))
                                 : HS_STR_NULL;

        /* What is no field is left out. */
        if (n++ < RAISED_HEADERS_MAX && text.p)
            (void)rest_add_header(&lines, hs_str(name), text);
    }
    if (!hs_buf_failed(&lines))
        reply->headers = hs_arena_dup(arena, hs_buf_str(&lines));
    hs_buf_fini(&lines);
}

static void fail_raised(struct told *t, struct hs_arena *arena, const char *which,
                        struct hs_str text)
{
    bool is_message = which[0] == 'M';

    t->code = hs_str(hs_status_info(HS_E_PGRST121)->code);
    t->http = hs_status_info(HS_E_PGRST121)->http;
    t->message = HS_STR("Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error");
    t->details = text.p ? hs_arena_printf(arena, "Invalid JSON value for %s: '%.*s'", which,
                                          HS_FMT(text))
                        : HS_STR("DETAIL is missing in the RAISE statement");
    t->hint = is_message ? HS_STR("MESSAGE must be a JSON object with obligatory keys: 'code', "
                                  "'message' and optional keys: 'details', 'hint'.")
                         : HS_STR("DETAIL must be a JSON object with obligatory keys: 'status', "
                                  "'headers' and optional key: 'status_text'.");
}

/* Both objects are as they must be, or `t` says why not. */
static bool check_raised(struct told *t, struct hs_arena *arena, json_t *message, json_t *detail)
{
    const json_t *status = json_object_get(detail, "status");

    if (!member(message, "code").p || !member(message, "message").p) {
        fail_raised(t, arena, "MESSAGE", t->message);
        return false;
    }
    if (!json_is_integer(status) || json_integer_value(status) < HTTP_STATUS_MIN ||
        json_integer_value(status) > HTTP_STATUS_MAX ||
        !json_is_object(json_object_get(detail, "headers"))) {
        fail_raised(t, arena, "DETAIL", t->details);
        return false;
    }
    return true;
}

static void take_raised(struct told *t, struct hs_arena *arena, struct hs_buf *out,
                        struct http_reply *reply)
{
    json_t *message = json_loadb(t->message.p, t->message.n, 0, NULL);
    json_t *detail = t->details.p ? json_loadb(t->details.p, t->details.n, 0, NULL) : NULL;

    if (check_raised(t, arena, message, detail)) {
        *t = (struct told){.code = hs_arena_dup(arena, member(message, "code")),
                           .message = hs_arena_dup(arena, member(message, "message")),
                           .details = member(message, "details"),
                           .hint = member(message, "hint"),
                           .http = (unsigned)json_integer_value(json_object_get(detail, "status"))};
        add_headers(arena, json_object_get(detail, "headers"), reply);
    }
    write_told(t, out);
    json_decref(message);
    json_decref(detail);
}

/* ---- headers ---- */

/* A quoted-string of RFC 9110, 5.6.4, can hold it: no quotes, no controls. */
static bool is_plain(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    }
    return true;
}

static struct hs_str challenge(struct hs_arena *arena, const struct told *t)
{
    if (t->http != 401)
        return HS_STR("");
    if (!hs_str_is(t->code, "PGRST301") && !hs_str_is(t->code, "PGRST303"))
        return HS_STR("WWW-Authenticate: Bearer\r\n");
    return hs_arena_printf(arena,
                           "WWW-Authenticate: Bearer error=\"invalid_token\", "
                           "error_description=\"%.*s\"\r\n",
                           HS_FMT(is_plain(t->message) ? t->message : HS_STR("invalid token")));
}

static void add_own_headers(struct hs_arena *arena, const struct told *t, struct http_reply *reply)
{
    struct hs_str token = is_token(t->code) ? t->code : HS_STR("PGRSTX00");
    struct hs_str rest = t->http == 401 ? HS_STR("") : reply->headers;
    struct hs_str lines = hs_arena_printf(arena, "%.*s%.*sProxy-Status: PostgREST; error=%.*s\r\n",
                                          HS_FMT(rest), HS_FMT(challenge(arena, t)), HS_FMT(token));

    if (lines.p)
        reply->headers = lines;
}

void rest_tell(const struct http_req *req, const struct hs_err *err, bool with_why,
               struct hs_buf *out, struct http_reply *reply)
{
    struct told t = translate(req, err, with_why);

    if (strcmp(err->sqlstate, "PGRST") == 0)
        take_raised(&t, req->arena, out, reply);
    else
        write_told(&t, out);
    reply->status = t.http;
    reply->content_type = JSON_TYPE;
    add_own_headers(req->arena, &t, reply);
}

void rest_reply_error(struct http_req *req, const struct hs_err *err, const struct rest_more *more)
{
    struct hs_buf *out;
    struct http_reply reply;
    struct told t;

    if (!more->details.p && !more->hint.p) {
        http_reply_error(req, err);
        return;
    }
    t = translate(req, err, /* with_why= */ true);
    t.json_details = more->details;
    t.hint = more->hint.p ? more->hint : t.hint;
    out = http_req_scratch(req);
    write_told(&t, out);
    reply = (struct http_reply){
        .status = t.http, .content_type = JSON_TYPE, .body = hs_buf_str(out)};
    add_own_headers(req->arena, &t, &reply);
    http_reply(req, &reply);
}
