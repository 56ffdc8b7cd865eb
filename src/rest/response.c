/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a function says of the answer: the settings response.status and response.headers.
 *
 * They are read by the statement itself, behind all its rows: rows -> one more row, whose last two columns are the
 * settings. So a function that sets them while the last row is made is heard, too.
 *
 * Source: PostgREST reference, transaction-scoped settings.
 */
#include <jansson.h>

#include "core/hash.h"
#include "rest/request.h"

enum { LINES_MAX = 1 << 16, STATUS_MIN = 200, STATUS_MAX = 999 };

/* ---- asking ---- */

hs_status rest_ask_settings(struct rest_request *q, struct hs_err *reterr)
{
    struct pg_query *query = &q->r.query;

    query->sql = hs_arena_printf(
        q->r.req->arena,
        "WITH q AS MATERIALIZED (%.*s) SELECT q.*, NULL::text, NULL::text FROM q UNION ALL "
        "SELECT q.*, current_setting('response.headers', true), "
        "current_setting('response.status', true) "
        "FROM (SELECT count(*) FROM q) c LEFT JOIN q ON false",
        HS_FMT(query->sql));
    query->sql_hash = hs_hash(query->sql);
    q->has_settings = true;
    return query->sql.p ? HS_OK : hs_fail_memory(reterr);
}

size_t rest_count_rows(const struct rest_request *q, const struct pg_rows *rows)
{
    return pg_rows_count(rows) - (q->has_settings ? 1 : 0);
}

/* ---- what they say ---- */

static bool is_token(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", s.p[i]))
            return false;
    }
    return s.n > 0;
}

static bool is_field_value(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    }
    return true;
}

/* What the server writes by itself: neither the length of an answer nor, twice, its type is a function's to say. */
static bool is_servers(struct hs_str name)
{
    return hs_str_ieq(name, HS_STR("content-length")) ||
           hs_str_ieq(name, HS_STR("transfer-encoding")) ||
           hs_str_ieq(name, HS_STR("connection")) || hs_str_ieq(name, HS_STR("date")) ||
           hs_str_ieq(name, HS_STR("content-type"));
}

bool rest_add_header(struct hs_buf *lines, struct hs_str name, struct hs_str value)
{
    if (!is_token(name) || !is_field_value(value))
        return false;
    if (is_servers(name))
        return true;
    hs_buf_add(lines, name);
    hs_buf_add_lit(lines, ": ");
    hs_buf_add(lines, value);
    hs_buf_add_lit(lines, "\r\n");
    return true;
}

/* Leaves out of `lines` those of that name. */
static struct hs_str without(struct hs_arena *arena, struct hs_str lines, struct hs_str name)
{
    struct hs_str rest = lines;

    while (rest.n) {
        size_t before = lines.n - rest.n;
        struct hs_str line = hs_str_cut(&rest, '\n');

        if (hs_str_ieq(hs_str_cut(&line, ':'), name))
            return hs_arena_printf(arena, "%.*s%.*s", (int)before, lines.p,
                                   HS_FMT(without(arena, rest, name)));
    }
    return lines;
}

static bool take_header(struct hs_arena *arena, struct hs_str name, struct hs_str value,
                        struct http_reply *reply, struct hs_buf *lines)
{
    if (hs_str_ieq(name, HS_STR("content-type"))) {
        reply->content_type = hs_arena_dup(arena, value);
        return is_field_value(value);
    }
    reply->headers = without(arena, reply->headers, name);
    return rest_add_header(lines, name, value);
}

/* [{"name":"value"},...] */
static bool take_headers(struct hs_arena *arena, const json_t *all, struct http_reply *reply,
                         struct hs_buf *lines)
{
    bool ok = json_is_array(all);

    for (size_t i = 0; ok && i < json_array_size(all); i++) {
        json_t *one = json_array_get(all, i);
        void *at = json_object_iter(one);
        const json_t *value = at ? json_object_iter_value(at) : NULL;

        ok = json_object_size(one) == 1 && json_is_string(value) &&
             take_header(arena, hs_str(json_object_iter_key(at)),
                         hs_strn(json_string_value(value), json_string_length(value)), reply,
                         lines);
    }
    return ok;
}

static hs_status read_headers(struct hs_arena *arena, struct hs_str text, struct http_reply *reply,
                              struct hs_err *reterr)
{
    json_t *all = json_loadb(text.p, text.n, 0, NULL);
    struct hs_buf lines;
    bool ok;

    hs_buf_init(&lines, LINES_MAX);
    ok = take_headers(arena, all, reply, &lines) && !hs_buf_failed(&lines);
    if (ok)
        reply->headers = hs_arena_printf(arena, "%.*s%.*s", HS_FMT(reply->headers),
                                         HS_FMT(hs_buf_str(&lines)));
    hs_buf_fini(&lines);
    json_decref(all);
    return ok ? HS_OK
              : hs_fail(reterr, HS_E_PGRST111,
                        "response.headers guc must be a JSON array composed of objects with a "
                        "single key and a string value");
}

hs_status rest_take_settings(struct hs_arena *arena, struct hs_str headers, struct hs_str status,
                             struct http_reply *reply, struct hs_err *reterr)
{
    uint64_t number;

    if (status.n) {
        if (!hs_str_to_u64(status, &number) || number < STATUS_MIN || number > STATUS_MAX)
            return hs_fail(reterr, HS_E_PGRST112,
                           "response.status guc must be a valid status code");
        reply->status = (unsigned)number;
    }
    return headers.n ? read_headers(arena, headers, reply, reterr) : HS_OK;
}

hs_status rest_read_settings(struct rest_request *q, const struct pg_rows *rows,
                             struct http_reply *reply, struct hs_err *reterr)
{
    size_t last = pg_rows_count(rows) - 1;
    size_t n = pg_rows_columns(rows);

    if (!q->has_settings)
        return HS_OK;
    return rest_take_settings(q->r.req->arena, pg_rows_value(rows, last, n - 2),
                              pg_rows_value(rows, last, n - 1), reply, reterr);
}
