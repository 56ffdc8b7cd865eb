/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accept: application/vnd.pgrst.plan, where rest.plan_enabled is on: PostgreSQL's plan instead of the answer. It is
 * asked for as the caller, with the same values, and never kept.
 *
 * Source: PostgREST reference, execution plan; PostgreSQL 15 manual, EXPLAIN.
 */
#include "core/hash.h"
#include "rest/request.h"

static const struct {
    unsigned option;
    const char *word;
} words[] = {
    {REST_PLAN_ANALYZE, "ANALYZE"},   {REST_PLAN_VERBOSE, "VERBOSE"},
    {REST_PLAN_SETTINGS, "SETTINGS"}, {REST_PLAN_BUFFERS, "BUFFERS"},
    {REST_PLAN_WAL, "WAL"},
};

hs_status rest_explain(struct rest_request *q, struct hs_err *reterr)
{
    struct hs_arena *arena = q->r.req->arena;
    struct pg_query *query = &q->r.query;
    struct hs_str options = q->media.is_json_plan ? HS_STR("FORMAT JSON") : HS_STR("FORMAT TEXT");

    for (size_t i = 0; i < HS_LEN(words); i++) {
        if (q->media.plan_options & words[i].option)
            options = hs_arena_printf(arena, "%.*s, %s", HS_FMT(options), words[i].word);
    }
    query->sql = hs_arena_printf(arena, "EXPLAIN (%.*s) %.*s", HS_FMT(options), HS_FMT(query->sql));
    query->sql_hash = hs_hash(query->sql);
    return query->sql.p ? HS_OK : hs_fail_memory(reterr);
}

void rest_answer_plan(struct rest_request *q, const struct pg_rows *rows)
{
    struct hs_buf *out = http_req_scratch(q->r.req);
    struct http_reply reply = {.status = 200,
                               .content_type = rest_media_content_type(&q->media, q->r.req->arena),
                               .headers = rest_headers(q, HS_STR(""))};

    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        hs_buf_add(out, pg_rows_value(rows, i, 0));
        hs_buf_add_char(out, '\n');
    }
    rest_reply_alone(q, reply, out);
}
