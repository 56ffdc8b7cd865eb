/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as an answer: body, status, Content-Range.
 *
 * The rule: what stands in a kept answer's headers must follow from its key; so Content-Range, Content-Profile and
 * Preference-Applied follow from the statement, the schema and r.form, and nothing else is written here.
 */
#include <stdio.h>

#include "api/etag.h"
#include "rest/call.h"

#define VARY HS_STR("Accept, Prefer, Range")

/* ---- the body ---- */

hs_status rest_check_single(size_t n, struct hs_err *reterr)
{
    if (n == 1)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_PGRST116, "Cannot coerce the result to a single JSON object");
    hs_err_why(reterr, "The result contains %zu rows", n);
    return HS_E_PGRST116;
}

hs_status rest_write_rows(const struct rest_request *q, const struct pg_rows *rows, size_t n,
                          struct hs_buf *out, struct hs_err *reterr)
{
    const struct api_request *r = &q->r;
    const struct api_rows_opts opts = {.omit_nulls = q->media.is_stripped, .layers = q->layers};
    hs_status status = HS_OK;

    if (q->call)
        return rest_call_write(q->call, rows, n, out, reterr);
    if (q->media.kind == REST_MEDIA_CSV) {
        rest_csv_write(out, rows, n, r->columns, r->n_columns);
    } else if (q->media.kind == REST_MEDIA_OBJECT) {
        status = rest_check_single(n, reterr);
        if (!status)
            api_row_write(out, rows, 0, r->columns, r->n_columns, &opts);
    } else {
        api_rows_write(out, rows, 0, n, r->columns, r->n_columns, &opts);
    }
    if (q->media.is_stripped)
        rest_strip_nulls(out);
    return status;
}

/* ---- the headers ---- */

struct hs_str rest_headers(const struct rest_request *q, struct hs_str first)
{
    return hs_arena_printf(q->r.req->arena, "%.*s%s%.*s%s%.*s", HS_FMT(first),
                           q->says_schema ? "Content-Profile: " : "",
                           q->says_schema ? (int)q->schema.n : 0, q->schema.p,
                           q->says_schema ? "\r\n" : "", HS_FMT(q->applied));
}

/* ---- errors ---- */

/* The rows have a name of ours in the statement; PostgreSQL's words are told with the name that the client knows. */
static void name_rows(const struct rest_request *q, struct hs_err *err)
{
    char *at = q->relation && err->sqlstate[0] ? strstr(err->what, "\"t0.") : NULL;
    char told[HS_ERR_WHAT];

    if (!at)
        return;
    (void)snprintf(told, sizeof(told), "%.*s%.*s%s", (int)(at + 1 - err->what), err->what,
                   HS_FMT(q->relation->name), at + sizeof("\"t0") - 1);
    memcpy(err->what, told, sizeof(told));
}

void rest_fail(struct rest_request *q, const struct hs_err *cause)
{
    struct api_hold *hold = q->r.hold;
    struct hs_err named = *cause;
    const struct hs_err *err = &named;

    name_rows(q, &named);
    if (rest_call_settles_failed(q, err))
        return;
    api_kept_fail(&q->r, api_is_lasting(err));
    rest_reply_error(q->r.req, err, &q->more);
    api_hold_release(hold);
}

/* ---- the answer ---- */

struct counted {
    size_t n;    /* rows of the result */
    size_t told; /* rows, as the headers have it */
    bool has_total;
    uint64_t total;
};

/* The rows of a statement with layers, to-many ones set apart. errors HS_E_MEMORY */
static hs_status read_layers(struct rest_request *q, const struct pg_rows *rows,
                             struct hs_err *reterr)
{
    const struct api_request *r = &q->r;

    if (!r->statement->has_layers)
        return HS_OK;
    return api_layers_read(rows, rest_count_rows(q, rows), r->columns, r->n_columns,
                           r->statement->number_column, r->req->arena, &q->layers, reterr);
}

/* Of a call without a count in its statement: are its rows all there are, and are they asked for? */
static bool may_total(const struct rest_request *q)
{
    bool is_cut = q->range.has_limit || q->range.offset;

    return q->prefer.count != REST_COUNT_PLANNED && (!q->function->is_set_returning || !is_cut);
}

static struct counted count_rows(const struct rest_request *q, const struct pg_rows *rows)
{
    const struct sql_statement *statement = q->r.statement;
    bool is_counted = q->r.ask.tree.count != TREE_COUNT_NONE;
    struct counted c = {.n = q->layers ? api_layers_count(q->layers) : rest_count_rows(q, rows)};
    size_t first = q->layers && c.n ? api_layers_row(q->layers, 0) : 0;
    uint64_t exact; /* counted, but nothing is cut off: there are as many as rows */

    c.told = q->call && !q->function->is_set_returning ? 1 : c.n;
    exact = c.told;
    c.has_total = q->prefer.count != REST_COUNT_UNSAID;
    if (statement->has_count && c.n) {
        c.has_total = hs_str_to_u64(pg_rows_value(rows, first, statement->count_column), &exact);
        /* The number stands alone where there is no row. */
        if (!pg_rows_value(rows, first, statement->row_column).p)
            c.n = c.told = 0;
    }
    if (q->call)
        c.has_total = c.has_total && (is_counted || may_total(q));
    c.total = q->call ? exact : rest_count_total(q, is_counted ? &exact : NULL);
    return c;
}

static hs_status fail_range(const struct rest_request *q, uint64_t total, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_PGRST103, "Requested range not satisfiable");
    hs_err_why(reterr, "An offset of %llu was requested, but there are only %llu rows.",
               (unsigned long long)q->range.offset, (unsigned long long)total);
    return HS_E_PGRST103;
}

static bool says_vary(struct hs_str lines)
{
    while (lines.n) {
        struct hs_str line = hs_str_cut(&lines, '\n');

        if (hs_str_ieq(hs_str_cut(&line, ':'), HS_STR("vary")))
            return true;
    }
    return false;
}

void rest_reply_alone(struct rest_request *q, struct http_reply reply, const struct hs_buf *out)
{
    struct api_hold *hold = q->r.hold;

    api_kept_fail(&q->r, /* is_unfit= */ true);
    if (!says_vary(reply.headers))
        reply.headers = hs_arena_printf(q->r.req->arena, "Vary: %.*s\r\n%.*s", HS_FMT(VARY),
                                        HS_FMT(reply.headers));
    reply.body = hs_buf_str(out);
    if (!hs_buf_failed(out) && rest_call_settles(q, &reply))
        return;
    if (hs_buf_failed(out))
        api_reply_failed(q->r.req, out);
    else
        http_reply(q->r.req, &reply);
    api_hold_release(hold);
}

static void reply_kept(struct rest_request *q, struct hs_str headers, const struct hs_buf *out)
{
    char tag[ETAG_MAX];
    struct api_answer answer = {.content_type = rest_media_content_type(&q->media, q->r.req->arena),
                                .vary = VARY,
                                .headers = headers};

    if (!hs_buf_failed(out))
        answer.etag = etag_write(tag, HS_STR(""), hs_buf_str(out));
    api_kept_answer(&q->r, &answer, out);
}

/* With whatever is answered, an error too. */
static void say_anyway(struct http_req *req, struct hs_str headers)
{
    req->extra_headers = hs_arena_printf(req->arena, "%.*s%.*s", HS_FMT(req->extra_headers),
                                         HS_FMT(headers));
}

static bool is_void(const struct rest_request *q)
{
    return q->call && q->function->is_void;
}

static void answer_rows(struct rest_request *q, const struct pg_rows *rows)
{
    struct counted c = count_rows(q, rows);
    const uint64_t *total = c.has_total ? &c.total : NULL;
    struct hs_buf *out = http_req_scratch(q->r.req);
    char range[REST_CONTENT_RANGE_MAX];
    size_t range_n = rest_content_range_write(range, q->range.offset, c.told, total);
    struct http_reply reply = {.status = rest_range_status(q->range.offset, c.told, total),
                               .headers = hs_strn(range, range_n)};
    struct hs_err err;
    hs_status failed;

    if (q->says_schema || q->applied.n)
        reply.headers = rest_headers(q, reply.headers);
    if (reply.status == 416) {
        say_anyway(q->r.req, reply.headers);
        failed = fail_range(q, c.total, &err);
    } else if (is_void(q)) {
        q->says_schema = false;
        reply = (struct http_reply){.status = 204,
                                    .headers = rest_headers(q, hs_strn(range, range_n))};
        failed = HS_OK;
    } else if (q->handler) {
        if (c.n)
            rest_add_text_or_bytes(out, q->handler->type, pg_rows_value(rows, 0, 0));
        failed = HS_OK;
    } else {
        failed = rest_write_rows(q, rows, c.n, out, &err);
    }
    if (!failed && reply.status == 200 && !q->has_settings && q->r.req->method != HTTP_POST) {
        reply_kept(q, reply.headers, out);
        return;
    }
    if (!is_void(q))
        reply.content_type = rest_media_content_type(&q->media, q->r.req->arena);
    if (!failed)
        failed = rest_read_settings(q, rows, &reply, &err);
    if (failed)
        rest_fail(q, &err);
    else
        rest_reply_alone(q, reply, out);
}

void rest_answer_rows(struct rest_request *q, const struct pg_rows *rows)
{
    struct hs_err err;

    if (read_layers(q, rows, &err))
        rest_fail(q, &err);
    else
        answer_rows(q, rows);
}
