/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OPTIONS: what can be done with a relation, whoever asks. Of a view only PostgreSQL knows, from its rule or its
 * triggers, and is asked.
 *
 * Source: PostgREST reference, OPTIONS method; PostgreSQL 15 manual, 9.26.10 (pg_relation_is_updatable is what
 * information_schema.views is made from).
 */
#include "core/hash.h"
#include "rest/request.h"

/* Bits of pg_relation_is_updatable(): 1 << CmdType. */
enum { MAY_UPDATE = 1 << 2, MAY_INSERT = 1 << 3, MAY_DELETE = 1 << 4 };

void rest_reply_allow(struct rest_request *q, struct hs_str methods)
{
    struct api_hold *hold = q->r.hold;
    struct hs_str lines = hs_arena_printf(
        q->r.req->arena, "Allow: %.*s\r\n%s", HS_FMT(methods),
        q->r.req->extra_headers.n ? "" : "Access-Control-Allow-Origin: *\r\n");

    http_reply(q->r.req, &(struct http_reply){.status = 200, .headers = lines});
    api_hold_release(hold);
}

static void reply(struct rest_request *q, uint64_t may)
{
    bool has_key = rest_model_relation(q->site->model, q->relation)->n_key > 0;
    bool puts = has_key && (may & MAY_INSERT) && (may & MAY_UPDATE);

    rest_reply_allow(q, hs_arena_printf(q->r.req->arena, "OPTIONS,GET,HEAD%s%s%s%s",
                                        may & MAY_INSERT ? ",POST" : "", puts ? ",PUT" : "",
                                        may & MAY_UPDATE ? ",PATCH" : "",
                                        may & MAY_DELETE ? ",DELETE" : ""));
}

static void on_done(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct rest_request *q = rest_request_of(query->arg);
    uint64_t may = 0;

    HS_OBJ(q, REST_REQUEST_MAGIC);
    if (err)
        rest_fail(q, err);
    else
        reply(q, hs_str_to_u64(pg_rows_value(rows, 0, 0), &may) ? may : 0);
}

static hs_status ask(struct rest_request *q, struct hs_err *reterr)
{
    struct pg_query *query = &q->r.query;
    const char **values = HS_NEW_ARRAY(q->r.req->arena, 1, const char *);

    if (values)
        values[0] = hs_arena_printf(q->r.req->arena, "%u", q->relation->oid).p;
    if (!values || !values[0])
        return hs_fail_memory(reterr);
    query->magic = PG_QUERY_MAGIC;
    query->flags = PG_SHARED | PG_REPEATABLE;
    query->sql = HS_STR("SELECT pg_catalog.pg_relation_is_updatable($1::oid::regclass, true)");
    query->sql_hash = hs_hash(query->sql);
    query->who = q->r.req->identity;
    query->params = values;
    query->n_params = 1;
    query->is_unwanted = &q->r.req->is_gone;
    query->done = on_done;
    query->arg = &q->r;
    return pg_pool_run(q->r.worker->pool, query, reterr);
}

hs_status rest_options_start(struct rest_request *q, struct hs_err *reterr)
{
    if (q->relation->relkind != 'r' && q->relation->relkind != 'p')
        return ask(q, reterr);
    reply(q, MAY_INSERT | MAY_UPDATE | MAY_DELETE);
    return HS_OK;
}
