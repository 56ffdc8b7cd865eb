/* SPDX-License-Identifier: Apache-2.0 */
/*
 * {rest.path}/ : what there is, as OpenAPI. What the caller may see, and which views can be
 * written to, PostgreSQL is asked.
 *
 * Source: PostgREST reference, OpenAPI; PostgreSQL 15 manual, 9.26.10 (pg_relation_is_updatable).
 */
#include "core/hash.h"
#include "rest/openapi.h"
#include "rest/request.h"

static const char SQL_RELATIONS[] =
    "SELECT c.oid, CASE WHEN c.relkind IN ('v', 'f')"
    " THEN pg_catalog.pg_relation_is_updatable(c.oid, true) ELSE 28 END,"
    " pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')"
    " OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE')"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.oid";

/* The row of that relation, or as many as there are. */
static size_t find_row(const struct pg_rows *rows, uint32_t oid)
{
    size_t low = 0;
    size_t high = pg_rows_count(rows);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t found;

        if (!hs_str_to_u64(pg_rows_value(rows, middle, 0), &found) || found < oid)
            low = middle + 1;
        else if (found > oid)
            high = middle;
        else
            return middle;
    }
    return pg_rows_count(rows);
}

/* relkind 'm' is never written to. */
static uint8_t may_of(const struct pg_rows *rows, const struct pg_relation *r, bool lists_all)
{
    size_t row = find_row(rows, r->oid);
    uint64_t may;

    if (row == pg_rows_count(rows))
        return 0;
    if (!hs_str_to_u64(pg_rows_value(rows, row, 1), &may) || r->relkind == 'm')
        may = 0;
    if (lists_all || hs_str_is(pg_rows_value(rows, row, 2), "t"))
        may |= REST_MAY_SEE;
    return (uint8_t)may;
}

static uint8_t *read_may(const struct rest_request *q, const struct pg_rows *rows)
{
    const struct pg_catalog *catalog = q->site->catalog;
    uint8_t *may = HS_NEW_ARRAY(q->r.req->arena, catalog->n_relations + 1, uint8_t);

    for (size_t i = 0; may && i < catalog->n_relations; i++) {
        const struct pg_relation *r = &catalog->relations[i];

        if (hs_str_eq(r->schema, q->schema))
            may[i] = may_of(rows, r, q->site->rules.openapi == REST_OPENAPI_IGNORES);
    }
    return may;
}

/* "https://api.example.com/rest/v1" */
static void read_address(const struct rest_request *q, struct openapi_view *view)
{
    struct hs_str url = q->site->rules.openapi_url;
    size_t scheme = hs_str_find(url, ':');
    size_t slash;

    view->host = q->r.req->host.p ? q->r.req->host : HS_STR("");
    view->base = q->site->rules.path;
    if (!url.n || scheme + 3 > url.n)
        return;
    view->is_https = hs_str_starts(url, HS_STR("https:"));
    url = hs_str_sub(url, scheme + 3, url.n);
    slash = hs_str_find(url, '/');
    view->host = hs_str_sub(url, 0, slash);
    view->base = hs_str_sub(url, slash, url.n);
}

static void answer(struct rest_request *q, const struct pg_rows *rows)
{
    struct hs_str role = q->r.req->identity->role;
    struct hs_buf *out = http_req_scratch(q->r.req);
    struct openapi_view view = {.catalog = q->site->catalog,
                                .schema = q->schema,
                                .role = q->site->rules.openapi == REST_OPENAPI_IGNORES
                                            ? UINT64_MAX
                                            : pg_catalog_reader_bit(q->site->catalog, role),
                                .may = read_may(q, rows),
                                .has_security = q->site->rules.openapi_security};
    struct hs_err err = {0};

    if (!view.may) {
        (void)hs_fail_memory(&err);
        rest_fail(q, &err);
        return;
    }
    read_address(q, &view);
    openapi_write(out, &view);
    rest_reply_alone(q,
                     (struct http_reply){
                         .status = 200,
                         .content_type = HS_STR("application/openapi+json; charset=utf-8"),
                         .headers = rest_headers(q, HS_STR("")),
                     },
                     out);
}

static void on_done(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct rest_request *q = rest_request_of(query->arg);

    HS_OBJ(q, REST_REQUEST_MAGIC);
    if (err)
        rest_fail(q, err);
    else
        answer(q, rows);
}

static hs_status check_media(const struct rest_request *q, struct hs_err *reterr)
{
    struct rest_accept *types = HS_NEW(q->r.req->arena, struct rest_accept);

    if (!types)
        return hs_fail_memory(reterr);
    rest_accept_read(http_req_header(q->r.req, HS_STR("accept")), types);
    for (size_t i = 0; i < types->n; i++) {
        if (types->types[i].kind == REST_MEDIA_ANY || types->types[i].kind == REST_MEDIA_JSON ||
            types->types[i].kind == REST_MEDIA_OPENAPI)
            return HS_OK;
    }
    return rest_accept_fail(types, q->r.req->arena, reterr);
}

hs_status rest_root_start(struct rest_request *q, struct hs_err *reterr)
{
    struct pg_query *query = &q->r.query;
    const char **values = HS_NEW_ARRAY(q->r.req->arena, 1, const char *);
    hs_status status = check_media(q, reterr);

    if (status)
        return status;
    if (!values)
        return hs_fail_memory(reterr);
    values[0] = q->schema.p;
    *query = (struct pg_query){.magic = PG_QUERY_MAGIC,
                               .flags = PG_SHARED | PG_REPEATABLE,
                               .sql = hs_str(SQL_RELATIONS),
                               .sql_hash = hs_hash(hs_str(SQL_RELATIONS)),
                               .who = q->r.req->identity,
                               .params = values,
                               .n_params = 1,
                               .is_unwanted = &q->r.req->is_gone,
                               .done = on_done,
                               .arg = &q->r};
    /* Who may not ask for anything may not ask for this. */
    if (q->site->pre_request.p)
        status = rest_prelude(q, reterr);
    return status ? status : pg_pool_run(q->r.worker->pool, query, reterr);
}
