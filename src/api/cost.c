/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bound on what a request without a token may cost.
 *
 *     run_affordable -> known: run, or refuse
 *                    -> not known: EXPLAIN (FORMAT JSON) <statement> -> remember -> run, or refuse
 *
 * The rule: the same text with the same values as the same caller is explained as would run, so
 * row-level security and what the planner knows of the values count. EXPLAIN runs nothing. What it refuses
 * (privileges, values that are none) the statement would have been refused for, in the same words.
 *
 * EXPLAIN is sent with a comment, for the pool does not prepare such a statement: it comes once.
 */
#include "api/cost.h"

#include <jansson.h>

#include "core/hash.h"
#include "core/mem.h"

enum { COSTS = 1024, KEEP_SECONDS = 600 };
enum { COST_ASK_MAGIC = 0x434f5354 };

struct cost {
    uint64_t key;    /* text and role; 0 = free */
    uint64_t values; /* the parameters that it was asked with */
    double estimate;
    hs_us until;
};

struct api_costs {
    uint64_t generation; /* of the catalog */
    struct cost of[COSTS];
};

/* In the request's arena. */
struct cost_ask {
    uint32_t magic;
    struct pg_query query;
    struct api_worker *worker;
    struct api_request *r;
    api_run_f *run;
};

void api_costs_free(struct api_costs *costs)
{
    hs_free(costs);
}

/* ---- what is remembered ---- */

static uint64_t key_of(const struct pg_query *query)
{
    const uint64_t both[2] = {query->sql_hash, query->who->role_hash};

    return hs_hash(hs_strn((const char *)both, sizeof(both))) | 1;
}

static uint64_t values_of(const struct pg_query *query)
{
    uint64_t hash = query->n_params;

    for (size_t i = 0; i < query->n_params; i++)
        hash = hs_hash_more(hash, query->params[i] ? hs_str(query->params[i]) : HS_STR_NULL);
    return hash;
}

/* The place of a statement, whatever is there. NULL = no memory. */
static struct cost *place_of(struct api_worker *worker, const struct api_request *r)
{
    uint64_t generation = r->hold->model->catalog->generation;

    if (worker->costs && worker->costs->generation != generation)
        memset(worker->costs, 0, sizeof(*worker->costs));
    if (!worker->costs)
        worker->costs = hs_calloc(1, sizeof(*worker->costs));
    if (!worker->costs)
        return NULL;
    worker->costs->generation = generation;
    return &worker->costs->of[key_of(&r->query) / 2 % COSTS];
}

static hs_status refuse(const struct api_request *r, double estimate, struct hs_err *reterr)
{
    uint64_t most = r->hold->model->rules.anonymous_cost_max;

    (void)hs_fail(reterr, HS_E_COST, "the database estimates the cost of this request at %.0f",
                  estimate);
    hs_err_why(reterr, "Without a token it may be %llu (api.anonymous.cost_max).",
               (unsigned long long)most);
    hs_err_hint(reterr, "Filter or sort by what has an index, ask for fewer rows, relations or no "
                        "count, or send a token.");
    return HS_E_COST;
}

static bool is_affordable(const struct api_request *r, double estimate)
{
    return estimate <= (double)r->hold->model->rules.anonymous_cost_max;
}

/* ---- EXPLAIN ---- */

/* [{"Plan":{"Total Cost":12.5,...}}] */
static bool read_estimate(const struct pg_rows *rows, double *ret_estimate)
{
    struct hs_str text = pg_rows_count(rows) ? pg_rows_value(rows, 0, 0) : HS_STR("");
    json_t *plan = json_loadb(text.p, text.n, 0, NULL);
    bool ok = json_unpack(plan, "[{s:{s:F}}]", "Plan", "Total Cost", ret_estimate) == 0;

    json_decref(plan);
    return ok;
}

static hs_status judge(const struct cost_ask *ask, const struct pg_rows *rows,
                       struct hs_err *reterr)
{
    struct cost *cost = place_of(ask->worker, ask->r);
    double estimate;

    if (!read_estimate(rows, &estimate))
        return hs_fail(reterr, HS_E_INTERNAL, "PostgreSQL's EXPLAIN told no cost");
    if (cost)
        *cost = (struct cost){.key = key_of(&ask->r->query),
                              .values = values_of(&ask->r->query),
                              .estimate = estimate,
                              .until = hs_now_us() + KEEP_SECONDS * (hs_us)HS_SECOND};
    return is_affordable(ask->r, estimate) ? HS_OK : refuse(ask->r, estimate, reterr);
}

static void on_explained(struct pg_query *query, const struct pg_rows *rows,
                         const struct hs_err *err)
{
    struct cost_ask *ask = query->arg;
    struct api_request *r = ask->r;
    struct hs_err failure = {0};
    hs_status status;

    HS_OBJ(ask, COST_ASK_MAGIC);
    if (err) {
        r->query.done(&r->query, NULL, err);
        return;
    }
    status = judge(ask, rows, &failure);
    if (!status)
        status = ask->run(ask->worker, r, &failure);
    if (status)
        r->query.done(&r->query, NULL, &failure);
}

static hs_status explain(struct api_worker *worker, struct api_request *r, api_run_f *run,
                         struct hs_err *reterr)
{
    struct cost_ask *ask = HS_NEW(r->req->arena, struct cost_ask);
    struct hs_str sql = hs_arena_printf(r->req->arena, "EXPLAIN (FORMAT JSON) %.*s",
                                        HS_FMT(r->query.sql));

    if (!ask || !sql.p)
        return hs_fail_memory(reterr);
    *ask = (struct cost_ask){.magic = COST_ASK_MAGIC, .worker = worker, .r = r, .run = run};
    ask->query = (struct pg_query){.magic = PG_QUERY_MAGIC,
                                   .flags = r->query.flags | PG_REPEATABLE,
                                   .sql = sql,
                                   .sql_hash = hs_hash(sql),
                                   .who = r->query.who,
                                   .params = r->query.params,
                                   .n_params = r->query.n_params,
                                   .is_unwanted = r->query.is_unwanted,
                                   .comment = r->query.comment,
                                   .done = on_explained,
                                   .arg = ask};
    if (!ask->query.comment.p)
        ask->query.comment = HS_STR("action='cost'");
    return pg_pool_run(worker->pool, &ask->query, reterr);
}

/* ---- the seam ---- */

hs_status api_run_affordable(struct api_worker *worker, struct api_request *r, api_run_f *run,
                             struct hs_err *reterr)
{
    const struct cost *cost;

    if (!r->hold->model->rules.anonymous_cost_max || !r->req->identity->is_anonymous)
        return run(worker, r, reterr);
    cost = place_of(worker, r);
    if (!cost || cost->key != key_of(&r->query) || cost->until <= hs_now_us())
        return explain(worker, r, run, reterr);
    if (is_affordable(r, cost->estimate))
        return run(worker, r, reterr);
    if (cost->values != values_of(&r->query))
        return explain(worker, r, run, reterr);
    return refuse(r, cost->estimate, reterr);
}
