/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a write.
 *
 *     alone     [prelude] write                              one flight; undone, where that is wanted, by the pool
 *     looked at begin · [prelude] write · look · commit      where rows may be written that are not what was asked for
 *
 * The rule: an answer that refuses has written nothing, and one that does not waits until later reads see it.
 */
#include "rest/change.h"

static struct rest_change *change_of(struct api_request *r)
{
    struct rest_change *c = rest_request_of(r)->change;

    HS_OBJ(c, REST_CHANGE_MAGIC);
    return c;
}

/* ---- answers ---- */

static void answer_undone(struct rest_change *c, const struct http_reply *reply)
{
    struct api_hold *hold = c->q->r.hold;

    http_reply(c->q->r.req, reply);
    api_hold_release(hold);
}

/* Fills reply, or failure. */
static hs_status look(struct rest_change *c, const struct pg_rows *rows)
{
    hs_status status = rest_change_check(c, rows, &c->failure);

    if (status || c->q->media.kind == REST_MEDIA_PLAN)
        return status;
    return rest_change_reply(c, rows, &c->reply, &c->failure);
}

static void on_done(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct rest_change *c = change_of(query->arg);
    struct api_request *r = &c->q->r;

    r->req->pg_us += hs_now_us() - r->submitted_at;
    if (err)
        c->failure = *err;
    if (err || look(c, rows))
        api_settle_failed(r, query->epoch, query->position,
                          err || c->rolls_back ? &c->failure : NULL, &c->failure);
    else if (c->q->media.kind == REST_MEDIA_PLAN)
        rest_answer_plan(c->q, rows);
    else if (c->rolls_back)
        answer_undone(c, &c->reply);
    else
        api_settle(r, query->epoch, query->position, &c->reply);
}

/* ---- in a transaction of its own ---- */

static void on_ended(struct pg_loan *loan, const struct hs_err *err)
{
    struct rest_change *c = loan->arg;
    struct api_request *r = &c->q->r;

    HS_OBJ(c, REST_CHANGE_MAGIC);
    r->req->pg_us += hs_now_us() - r->submitted_at;
    if (err && !c->failure.status)
        c->failure = *err;
    if (c->failure.status)
        api_settle_failed(r, /* epoch= */ 0, /* position= */ 0, &c->failure, &c->failure);
    else if (c->rolls_back)
        answer_undone(c, &c->reply);
    else
        api_settle(r, loan->epoch, loan->position, &c->reply);
}

/* The answer outlives the callback that makes it. */
static hs_status look_and_keep(struct rest_change *c, const struct pg_rows *rows)
{
    struct hs_arena *arena = c->q->r.req->arena;
    hs_status status = look(c, rows);

    if (status)
        return status;
    c->reply.body = hs_arena_dup(arena, c->reply.body);
    return hs_arena_failed(arena) ? hs_fail_memory(&c->failure) : HS_OK;
}

static void on_changed(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct rest_change *c = change_of(query->arg);

    if (err)
        c->failure = *err;
    if (err || look_and_keep(c, rows) || c->rolls_back)
        pg_loan_abort(&c->loan);
    else
        pg_loan_commit(&c->loan);
}

static void on_ready(struct pg_loan *loan)
{
    struct rest_change *c = loan->arg;

    HS_OBJ(c, REST_CHANGE_MAGIC);
    c->q->r.query.done = on_changed;
    pg_loan_run(loan, &c->q->r.query);
}

/* ---- ways to run ---- */

static hs_status run_alone(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
{
    return pg_pool_run(worker->pool, &r->query, reterr);
}

static hs_status run_looked_at(struct api_worker *worker, struct api_request *r,
                               struct hs_err *reterr)
{
    struct rest_change *c = change_of(r);
    hs_status status = api_comment_text(r, reterr);

    if (status)
        return status;
    c->loan = (struct pg_loan){
        .magic = PG_LOAN_MAGIC, .ready = on_ready, .ended = on_ended, .arg = c};
    return pg_loan_begin(worker->pool, &c->loan, reterr);
}

/* ---- the statement ---- */

/* What its functions may look at, and how its transaction ends. */
static hs_status surround(struct rest_change *c, struct hs_err *reterr)
{
    struct rest_request *q = c->q;
    hs_status status = HS_OK;

    rest_bound_time(q);
    if (!c->calls_nothing || rest_wants_prelude(q))
        status = rest_prelude(q, reterr);
    if (q->site->pre_request.p)
        q->r.query.flags &= ~(unsigned)PG_TIDY;
    q->prelude.rolls_back = c->rolls_back;
    if (c->rolls_back)
        q->r.query.prelude = &q->prelude;
    return status;
}

static hs_status write_statement(struct rest_change *c, struct hs_err *reterr)
{
    struct api_request *r = &c->q->r;
    struct sql_statement *statement = HS_NEW(r->req->arena, struct sql_statement);
    hs_status status;

    if (!statement)
        return hs_fail_memory(reterr);
    status = sql_write(&r->ask.tree, /* with_order= */ false, &r->worker->scratch, r->req->arena,
                       statement, reterr);
    r->statement = statement;
    r->columns = statement->columns;
    r->n_columns = statement->n_columns;
    r->query.magic = PG_QUERY_MAGIC;
    r->query.flags = c->calls_nothing ? PG_TIDY : 0U;
    r->query.sql = statement->text;
    r->query.sql_hash = statement->hash;
    r->query.who = r->req->identity;
    r->query.params = statement->params;
    r->query.n_params = statement->n_params;
    r->query.done = on_done;
    r->query.arg = r;
    return status;
}

hs_status rest_change_run(struct rest_change *c, struct hs_err *reterr)
{
    struct api_request *r = &c->q->r;
    hs_status status = write_statement(c, reterr);

    if (!status)
        status = surround(c, reterr);
    if (!status && c->q->media.kind == REST_MEDIA_PLAN)
        status = rest_explain(c->q, reterr);
    if (!status && r->table)
        status = api_comment(r, reterr);
    if (status)
        return status;
    r->submitted_at = hs_now_us();
    return api_run_affordable(r->worker, r, rest_change_may_fail(c) ? run_looked_at : run_alone,
                              reterr);
}
