/* SPDX-License-Identifier: Apache-2.0 */
/*
 * count=planned and count=estimated.
 *
 *     planned      EXPLAIN of the rows without limit and order -> the statement
 *     estimated    without rest.max_rows: the statement counts, and the larger of its number and the plan's is told
 *                  with it: how many up to one more than that -> if they are more: EXPLAIN -> the statement
 *
 * The rule: what is asked first is written from a tree of its own, since a tree's nodes hold the numbers of its
 * parameters; it is run as the same caller with the same prelude.
 *
 * Source: PostgREST reference, planned and estimated count.
 */
#include <jansson.h>

#include "core/hash.h"
#include "rest/request.h"

enum { COUNTING_MAGIC = 0x52434e54 };

struct rest_counting {
    uint32_t magic;
    struct rest_request *q;
    struct pg_query query;
    struct sql_statement counted; /* text empty: nothing is counted up to a bound */
    struct sql_statement planned;
    bool has_plan;
    uint64_t plan;
    bool has_count;
    uint64_t count;
};

static bool wants_plan(const struct rest_request *q)
{
    return q->prefer.count == REST_COUNT_PLANNED || q->prefer.count == REST_COUNT_ESTIMATED;
}

/* The rows of the request without order and limit, or with a limit of `most`, in a statement around them. */
static hs_status write_around(struct rest_request *q, const char *before, const char *behind,
                              uint64_t most, struct sql_statement *ret, struct hs_err *reterr)
{
    struct hs_arena *arena = q->r.req->arena;
    struct tree_select tree = {.relation = NULL};
    hs_status status = rest_read_tree(q, &tree, reterr);

    if (status)
        return status;
    tree.count = TREE_COUNT_NONE;
    tree.n_order = 0;
    tree.offset = 0;
    tree.has_limit = most > 0;
    tree.limit = most;
    tree.comment = HS_STR_NULL;
    status = sql_write(&tree, /* with_order= */ false, &q->r.worker->scratch, arena, ret, reterr);
    if (status)
        return status;
    ret->text = hs_arena_printf(arena, "%s%.*s%s", before, HS_FMT(ret->text), behind);
    ret->hash = hs_hash(ret->text);
    return ret->text.p ? HS_OK : hs_fail_memory(reterr);
}

hs_status rest_count_prepare(struct rest_request *q, struct hs_err *reterr)
{
    uint64_t max_rows = q->site->rules.max_rows;
    struct rest_counting *c;
    hs_status status;

    if (!wants_plan(q))
        return HS_OK;
    c = HS_NEW(q->r.req->arena, struct rest_counting);
    if (!c)
        return hs_fail_memory(reterr);
    c->magic = COUNTING_MAGIC;
    c->q = q;
    q->counting = c;
    status = write_around(q, "EXPLAIN (FORMAT JSON) ", "", 0, &c->planned, reterr);
    if (!status && q->prefer.count == REST_COUNT_ESTIMATED && max_rows)
        status = write_around(q, "SELECT count(*) FROM (", ") AS c", max_rows + 1, &c->counted,
                              reterr);
    return status;
}

/* ---- asking ---- */

/* [{"Plan":{"Plan Rows":12,...}}] */
static bool read_plan(const struct pg_rows *rows, uint64_t *ret_rows)
{
    struct hs_str text = pg_rows_count(rows) ? pg_rows_value(rows, 0, 0) : HS_STR("");
    json_t *plan = json_loadb(text.p, text.n, 0, NULL);
    json_int_t n;
    bool ok = json_unpack(plan, "[{s:{s:I}}]", "Plan", "Plan Rows", &n) == 0 && n >= 0;

    json_decref(plan);
    *ret_rows = ok ? (uint64_t)n : 0;
    return ok;
}

static hs_status ask(struct rest_counting *c, const struct sql_statement *statement,
                     void (*done)(struct pg_query *, const struct pg_rows *, const struct hs_err *),
                     struct hs_err *reterr)
{
    const struct pg_query *of = &c->q->r.query;

    c->query = (struct pg_query){.magic = PG_QUERY_MAGIC,
                                 .flags = of->flags,
                                 .sql = statement->text,
                                 .sql_hash = statement->hash,
                                 .who = of->who,
                                 .statement_timeout_ms = of->statement_timeout_ms,
                                 .params = statement->params,
                                 .n_params = statement->n_params,
                                 .prelude = of->prelude,
                                 .is_unwanted = of->is_unwanted,
                                 .done = done,
                                 .arg = c};
    return pg_pool_run(c->q->r.worker->pool, &c->query, reterr);
}

/* What failed on the way is told by the statement that it was for. */
static void fail(struct rest_counting *c, const struct hs_err *err)
{
    c->q->r.query.done(&c->q->r.query, NULL, err);
}

static void on_planned(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct rest_counting *c = query->arg;
    struct hs_err failure = {0};
    hs_status status;

    HS_OBJ(c, COUNTING_MAGIC);
    if (err) {
        fail(c, err);
        return;
    }
    c->has_plan = read_plan(rows, &c->plan);
    if (c->has_plan)
        status = pg_pool_run(c->q->r.worker->pool, &c->q->r.query, &failure);
    else
        status = hs_fail(&failure, HS_E_INTERNAL, "PostgreSQL's EXPLAIN told no number of rows");
    if (status)
        fail(c, &failure);
}

static hs_status ask_plan(struct rest_counting *c, struct hs_err *reterr)
{
    return ask(c, &c->planned, on_planned, reterr);
}

static void on_counted(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct rest_counting *c = query->arg;
    struct hs_err failure = {0};
    hs_status status;

    HS_OBJ(c, COUNTING_MAGIC);
    if (err) {
        fail(c, err);
        return;
    }
    c->has_count = hs_str_to_u64(pg_rows_value(rows, 0, 0), &c->count);
    if (c->count > c->q->site->rules.max_rows)
        status = ask_plan(c, &failure);
    else
        status = pg_pool_run(c->q->r.worker->pool, &c->q->r.query, &failure);
    if (status)
        fail(c, &failure);
}

hs_status rest_count_run(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
{
    struct rest_counting *c = rest_request_of(r)->counting;

    if (!c)
        return pg_pool_run(worker->pool, &r->query, reterr);
    return c->counted.text.n ? ask(c, &c->counted, on_counted, reterr) : ask_plan(c, reterr);
}

uint64_t rest_count_total(const struct rest_request *q, const uint64_t *exact)
{
    const struct rest_counting *c = q->counting;
    uint64_t count = exact ? *exact : 0;

    if (!c)
        return count;
    if (c->has_count)
        count = c->count;
    return c->has_plan && c->plan > count ? c->plan : count;
}
