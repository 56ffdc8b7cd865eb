/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a write did, judged and told.
 *
 * Source: PostgREST reference, tables and views; Prefer header. Statuses and Content-Range where a write gives
 * nothing back were measured.
 */
#include "rest/change.h"

#include "api/url.h"

#define VARY "Vary: Accept, Prefer, Range\r\n"

enum { LOCATION_MAX = 1 << 14, HEADERS_MAX = LOCATION_MAX + 4096 };

/* ---- is it what was asked for? ---- */

static bool has_max(const struct rest_change *c)
{
    const struct rest_prefer *prefer = &c->q->prefer;

    return prefer->has_max_affected && prefer->handling == REST_HANDLING_STRICT &&
           c->write.kind != TREE_INSERT;
}

bool rest_change_may_fail(const struct rest_change *c)
{
    bool is_single = c->q->media.kind == REST_MEDIA_OBJECT || c->q->r.req->method == HTTP_PUT;

    if (c->q->media.kind == REST_MEDIA_PLAN)
        return false;
    if (c->is_one_row_at_most)
        return has_max(c) && c->q->prefer.max_affected < 1;
    return is_single || has_max(c);
}

static hs_status fail_single(size_t n, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_PGRST116, "Cannot coerce the result to a single JSON object");
    hs_err_why(reterr, "The result contains %zu rows", n);
    return HS_E_PGRST116;
}

static hs_status fail_max(size_t n, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_PGRST124, "Query result exceeds max-affected preference constraint");
    hs_err_why(reterr, "The query affects %zu rows", n);
    return HS_E_PGRST124;
}

hs_status rest_change_check(const struct rest_change *c, const struct pg_rows *rows,
                            struct hs_err *reterr)
{
    size_t n = pg_rows_affected(rows);

    if (c->q->media.kind == REST_MEDIA_PLAN)
        return HS_OK;
    if (c->q->r.req->method == HTTP_PUT)
        return n == 1 ? HS_OK
                      : hs_fail(reterr, HS_E_PGRST115,
                                "Payload values do not match URL in primary key column(s)");
    if (c->q->media.kind == REST_MEDIA_OBJECT && n != 1)
        return fail_single(n, reterr);
    if (has_max(c) && (c->q->prefer.max_affected < 0 || n > (uint64_t)c->q->prefer.max_affected))
        return fail_max(n, reterr);
    return HS_OK;
}

/* ---- the status ---- */

static bool has_new_row(const struct rest_change *c, const struct pg_rows *rows)
{
    const struct sql_statement *statement = c->q->r.statement;

    if (!statement->has_inserted)
        return pg_rows_affected(rows) > 0;
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        if (hs_str_is(pg_rows_value(rows, i, statement->inserted_column), "t"))
            return true;
    }
    return false;
}

static unsigned status_of(const struct rest_change *c, const struct pg_rows *rows)
{
    bool is_post = c->q->r.req->method == HTTP_POST;

    if (!is_post && !c->gives_rows)
        return 204;
    if (c->write.kind != TREE_INSERT)
        return 200;
    return c->write.conflict != TREE_CONFLICT_MERGES || has_new_row(c, rows) ? 201 : 200;
}

/* ---- headers ---- */

static void write_place(const struct rest_change *c, const struct pg_rows *rows, struct hs_buf *out)
{
    const struct rest_request *q = c->q;
    struct hs_str base = q->site->rules.path;

    hs_buf_add_lit(out, "Location: ");
    hs_buf_add(out, hs_str_is(base, "/") ? HS_STR("") : base);
    hs_buf_add_char(out, '/');
    url_encode(out, q->relation->name);
    for (size_t i = 0; i < c->known->n_key; i++) {
        struct hs_str value = pg_rows_value(rows, 0, i);

        hs_buf_add(out, i ? HS_STR("&") : HS_STR("?"));
        url_encode(out, c->known->key[i]->name);
        hs_buf_add(out, value.p ? HS_STR("=eq.") : HS_STR("=is.null"));
        url_encode(out, value);
    }
    hs_buf_add_lit(out, "\r\n");
}

/* /tickets?id=eq.10; not where it is too long: the row is written, so this must not look like a failure. */
static void write_location(const struct rest_change *c, const struct pg_rows *rows,
                           struct hs_buf *out)
{
    struct hs_buf line;

    if (!c->says_where || !pg_rows_count(rows))
        return;
    hs_buf_init(&line, LOCATION_MAX);
    write_place(c, rows, &line);
    if (!hs_buf_failed(&line))
        hs_buf_add(out, hs_buf_str(&line));
    hs_buf_fini(&line);
}

/* Only an update tells which rows, as if they were all there are. */
static void write_range(const struct rest_change *c, const struct pg_rows *rows, struct hs_buf *out)
{
    enum rest_count_how count = c->q->prefer.count;
    uint64_t n = pg_rows_affected(rows);
    bool is_counted = count == REST_COUNT_EXACT || count == REST_COUNT_ESTIMATED;
    char text[REST_CONTENT_RANGE_MAX];
    size_t text_n;

    if (c->q->r.req->method == HTTP_PUT)
        return;
    text_n = rest_content_range_write(text, 0, c->write.kind == TREE_UPDATE ? n : 0,
                                      is_counted ? &n : NULL);
    hs_buf_add(out, hs_strn(text, text_n));
}

/* Content-Profile belongs to a body. p == NULL: no memory. */
static struct hs_str write_headers(const struct rest_change *c, const struct pg_rows *rows)
{
    const struct rest_request *q = c->q;
    struct hs_str lines = HS_STR_NULL;
    struct hs_buf out;

    hs_buf_init(&out, HEADERS_MAX);
    hs_buf_add_lit(&out, VARY);
    write_location(c, rows, &out);
    write_range(c, rows, &out);
    if (c->gives_rows)
        lines = rest_headers(q, hs_buf_str(&out));
    else
        lines = hs_arena_printf(q->r.req->arena, "%.*s%.*s", HS_FMT(hs_buf_str(&out)),
                                HS_FMT(q->applied));
    if (hs_buf_failed(&out))
        lines = HS_STR_NULL;
    hs_buf_fini(&out);
    return lines;
}

/* ---- what triggers say ---- */

/* Of the last row that says anything: settings only change while rows are written. */
static struct hs_str setting(const struct pg_rows *rows, size_t column)
{
    struct hs_str value = HS_STR_NULL;

    for (size_t i = pg_rows_count(rows); i > 0 && !value.n; i--)
        value = pg_rows_value(rows, i - 1, column);
    return value;
}

static hs_status take_settings(const struct rest_change *c, const struct pg_rows *rows,
                               struct http_reply *reply, struct hs_err *reterr)
{
    const struct sql_statement *statement = c->q->r.statement;

    if (!statement->has_settings)
        return HS_OK;
    return rest_take_settings(c->q->r.req->arena, setting(rows, statement->settings_column),
                              setting(rows, statement->settings_column + 1), reply, reterr);
}

/* ---- the answer ---- */

/*
 * The rows are longer than an answer may be. The write is done, perhaps committed, so this must not look like a
 * failure: it is told as if no rows had been asked for.
 */
static hs_status leave_rows_out(struct rest_change *c, struct hs_err *reterr)
{
    c->gives_rows = false;
    c->q->prefer.answer = REST_RETURN_MINIMAL;
    return rest_say_applied(c->q, c->applies, reterr);
}

hs_status rest_change_reply(struct rest_change *c, const struct pg_rows *rows,
                            struct http_reply *reply, struct hs_err *reterr)
{
    struct rest_request *q = c->q;
    struct hs_buf *out = http_req_scratch(q->r.req);
    hs_status status = HS_OK;

    if (c->gives_rows)
        status = rest_write_rows(q, rows, pg_rows_count(rows), out, reterr);
    if (!status && hs_buf_failed(out)) {
        hs_buf_clear(out);
        status = leave_rows_out(c, reterr);
    }
    if (status)
        return status;
    *reply = (struct http_reply){
        .status = status_of(c, rows), .headers = write_headers(c, rows), .body = hs_buf_str(out)};
    if (!reply->headers.p)
        return hs_fail_memory(reterr);
    if (c->gives_rows)
        reply->content_type = rest_media_content_type(&q->media, q->r.req->arena);
    return take_settings(c, rows, reply, reterr);
}
