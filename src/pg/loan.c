/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loans: a connection for one request, step by step.
 *
 *     WAITING -> BEGINNING -> READY <-> ASKED -> RUNNING -> READY ... -> COMMITTING | ABORTING -> ended()
 *                                                                        -> COMMITTED -> ended()
 *
 * The caller's calls only write down what is wanted and put the loan on the list of those that the hook
 * has work for; the hook sends; the Sync of each step moves on. So a callback may ask for anything, about
 * any loan, and nothing is pulled from under a function that is still running.
 *
 * The end. is_ending is set once, by whoever comes first: the caller, the lifetime, a failed BEGIN. A
 * statement under way is cancelled then (loan_cancel.c), and ROLLBACK waits for both answers. A cancel that
 * reaches the server before its statement is ignored there; that is why reaping looks again and sends
 * another one.
 *
 * Who gets a connection. One that is idle, as long as another one is left for everything else; two, if a
 * slow statement has been waiting for one for longer. Where others keep all of them busy, one is promised:
 * it takes no more and is idle soon.
 */
#include "pg/loan.h"

#include "pg/pool_int.h"

/* PostgreSQL gives a transaction up by itself, if we are too gone to end it. */
static const hs_us IDLE_MARGIN = 10 * HS_SECOND;

enum loan_state {
    LOAN_WAITING,    /* for a connection */
    LOAN_BEGINNING,  /* BEGIN was sent */
    LOAN_READY,      /* in its transaction, nothing under way */
    LOAN_ASKED,      /* a statement was handed in */
    LOAN_RUNNING,    /* and sent */
    LOAN_LAST,       /* COMMIT was asked for */
    LOAN_COMMITTING, /* and sent */
    LOAN_COMMITTED,  /* its position is still to come */
    LOAN_ABORTING    /* ROLLBACK was sent */
};

static void to_do(struct pg_loan *loan)
{
    hs_list_remove(&loan->node);
    hs_list_append(&loan->pool->loans_todo, &loan->node);
    pg_pool_start_tick(loan->pool);
    net_loop_again(loan->pool->setup.loop);
}

/* ---- ends ---- */

static void report(const struct pg_pool *pool)
{
    hs_metric_set(pool->setup.metrics, HS_M_PG_LOANS, pool->loans);
    hs_metric_set(pool->setup.metrics, HS_M_PG_LOANS_WAITING, pool->loans_waiting_n);
}

static const struct hs_err *failure_of(const struct pg_loan *loan)
{
    return loan->failure.status ? &loan->failure : NULL;
}

static void answer(struct pg_loan *loan, const struct pg_rows *rows, const struct hs_err *err,
                   hs_us now)
{
    struct pg_query *query = loan->query;

    loan->query = NULL;
    pg_pool_finish(loan->pool, query, rows, err, now);
}

/* To a statement of a loan that is being ended. */
static void answer_ending(struct pg_loan *loan, hs_us now)
{
    struct hs_err err = loan->failure;

    if (!err.status)
        hs_fail(&err, HS_E_SHUTDOWN, "the statement was given up with its transaction");
    answer(loan, NULL, &err, now);
}

/* The last word; the loan is the caller's again. */
static void finish(struct pg_loan *loan, const struct hs_err *err)
{
    struct pg_pool *pool = loan->pool;

    if (loan->query)
        answer_ending(loan, hs_now_us());
    hs_list_remove(&loan->node);
    net_timer_free(loan->timer);
    loan->timer = NULL;
    if (loan->conn)
        pool->loans--;
    else
        pool->loans_waiting_n--;
    loan->conn = NULL;
    report(pool);
    loan->ended(loan, err);
}

/* True = it was not being ended before. The reason, if any, is in loan->failure. */
static bool end(struct pg_loan *loan)
{
    if (loan->is_ending || loan->state == LOAN_COMMITTING || loan->state == LOAN_COMMITTED)
        return false;
    loan->is_ending = true;
    to_do(loan);
    return true;
}

static void on_lifetime(void *arg)
{
    struct pg_loan *loan = arg;

    HS_OBJ(loan, PG_LOAN_MAGIC);
    if (!end(loan))
        return;
    hs_fail(&loan->failure, HS_E_TIMEOUT, "the request held its connection for too long");
    hs_err_why(&loan->failure, "It may do so for %llu ms.",
               (unsigned long long)(loan->lifetime / HS_MS));
}

/* ---- while a cancel is about ---- */

/* Its answer may have come before: then the last step waits for this. */
void pg_loan_cancelled(struct pg_loan *loan)
{
    if (!loan->query)
        to_do(loan);
}

void pg_loan_look(struct pg_loan *loan)
{
    if (loan->is_ending && loan->state == LOAN_RUNNING)
        to_do(loan);
}

/* ---- steps ---- */

static void last_step(struct pg_loan *loan, enum loan_state state)
{
    loan->state = state;
    net_timer_free(loan->timer);
    loan->timer = NULL;
    if (state == LOAN_COMMITTING)
        (void)pg_pipeline_end(loan->conn, "COMMIT", /* is_write= */ !loan->is_read_only);
    else
        (void)pg_pipeline_end(loan->conn, "ROLLBACK", /* is_write= */ false);
}

static void run(struct pg_loan *loan, hs_us now)
{
    struct hs_err err;

    if (loan->query->n_params > UINT16_MAX) {
        loan->state = LOAN_READY;
        hs_fail(&err, HS_E_LIMIT, "a statement has %zu parameters; 65535 are possible",
                loan->query->n_params);
        answer(loan, NULL, &err, now);
        return;
    }
    loan->state = LOAN_RUNNING;
    (void)pg_pipeline_step(loan->conn, loan->query);
}

static void step_to_end(struct pg_loan *loan, hs_us now)
{
    if (loan->query && loan->state != LOAN_RUNNING)
        answer_ending(loan, now);
    switch ((enum loan_state)loan->state) {
    case LOAN_WAITING:
        finish(loan, failure_of(loan));
        return;
    case LOAN_RUNNING:
        pg_cancel_start(loan->conn);
        return;
    case LOAN_READY:
    case LOAN_ASKED:
    case LOAN_LAST:
        if (!loan->conn->cancel)
            last_step(loan, LOAN_ABORTING);
        return;
    case LOAN_BEGINNING:
    case LOAN_COMMITTING:
    case LOAN_COMMITTED:
    case LOAN_ABORTING:
        return; /* their Sync moves on */
    }
}

static void step(struct pg_loan *loan, hs_us now)
{
    if (loan->is_ending)
        step_to_end(loan, now);
    else if (loan->state == LOAN_ASKED)
        run(loan, now);
    else if (loan->state == LOAN_LAST)
        last_step(loan, LOAN_COMMITTING);
}

/* A step may end its loan, and put others on the list. */
static void step_all(struct pg_pool *pool, hs_us now)
{
    struct hs_list all;
    struct hs_list *node;

    hs_list_init(&all);
    hs_list_append_all(&all, &pool->loans_todo);
    while ((node = hs_list_pop(&all))) {
        hs_list_append(&pool->loans_open, node);
        step(HS_CONTAINER(node, struct pg_loan, node), now);
    }
}

/* ---- answers ---- */

static void begun(struct pg_loan *loan, const PGresult *res)
{
    loan->state = LOAN_READY;
    if (res && PQresultStatus(res) == PGRES_FATAL_ERROR && end(loan))
        pg_pipeline_error(res, NULL, /* is_context= */ false, &loan->failure);
    else if (loan->is_ending)
        to_do(loan);
    else
        loan->ready(loan);
}

static void answered(struct pg_loan *loan, PGresult *res, hs_us now)
{
    const struct pg_conn *conn = loan->conn;
    struct hs_err err;

    loan->state = LOAN_READY;
    if (loan->is_ending) {
        to_do(loan);
        answer_ending(loan, now);
    } else if (res && PQresultStatus(res) != PGRES_FATAL_ERROR) {
        struct pg_rows rows = pg_rows_all(res);

        answer(loan, &rows, NULL, now);
    } else {
        pg_pipeline_error(res, loan->query, conn->is_held_context, &err);
        hs_metric_add(conn->pool->setup.metrics, HS_M_PG_QUERY_ERRORS, 1);
        answer(loan, NULL, &err, now);
    }
}

static bool is_commit(PGresult *res)
{
    return res && PQresultStatus(res) == PGRES_COMMAND_OK && !strcmp(PQcmdStatus(res), "COMMIT");
}

/* COMMIT of a transaction in which a statement failed is answered with ROLLBACK, and is no error. */
static void committed(struct pg_loan *loan, PGresult *res)
{
    struct hs_err err;

    if (is_commit(res)) {
        finish(loan, NULL);
        return;
    }
    if (res && PQresultStatus(res) == PGRES_FATAL_ERROR)
        pg_pipeline_error(res, NULL, /* is_context= */ false, &err);
    else
        pg_err_from_sqlstate(&err, "25P02",
                             "the transaction was rolled back, because a statement in it failed",
                             NULL, NULL, /* is_anonymous= */ false);
    hs_metric_add(loan->pool->setup.metrics, HS_M_PG_QUERY_ERRORS, 1);
    finish(loan, &err);
}

/* Its last Sync came, and the connection is no longer its own. */
static void over(struct pg_loan *loan, const struct pg_conn *conn, PGresult *res)
{
    enum loan_state state = (enum loan_state)loan->state;

    HS_BUG_ON(state != LOAN_COMMITTING && state != LOAN_COMMITTED && state != LOAN_ABORTING);
    if (state == LOAN_ABORTING) {
        finish(loan, failure_of(loan));
        return;
    }
    loan->epoch = conn->epoch;
    if (state == LOAN_COMMITTING) {
        committed(loan, res);
        return;
    }
    loan->position = conn->epoch ? pg_position_of(conn->pool, res) : 0;
    finish(loan, NULL);
}

void pg_loan_synced(struct pg_conn *conn, PGresult *res, hs_us now)
{
    struct pg_loan *loan = conn->loan;
    enum loan_state state = (enum loan_state)loan->state;

    HS_OBJ(loan, PG_LOAN_MAGIC);
    if (state == LOAN_BEGINNING) {
        begun(loan, res);
    } else if (state == LOAN_RUNNING) {
        answered(loan, res, now);
    } else if (state == LOAN_COMMITTING && is_commit(res) && pg_pipeline_has_position_next(conn)) {
        loan->state = LOAN_COMMITTED;
    } else {
        conn->loan = NULL;
        pg_conn_move(conn, PG_CONN_BUSY);
        over(loan, conn, res);
    }
}

static void unknown_outcome(struct hs_err *err, const struct hs_err *cause)
{
    hs_fail(err, HS_E_OUTCOME_UNKNOWN,
            "lost the connection to PostgreSQL while it committed; the outcome is unknown");
    hs_err_why(err, "%s", cause->why[0] ? cause->why : cause->what);
}

/* Nothing has been run for it: it waits again, with what is left of its time. */
static bool wait_again(struct pg_loan *loan)
{
    struct pg_pool *pool = loan->pool;

    if (loan->state != LOAN_BEGINNING || loan->is_ending || pool->is_closing)
        return false;
    hs_list_remove(&loan->node);
    hs_list_prepend(&pool->loans_waiting, &loan->node);
    loan->state = LOAN_WAITING;
    loan->conn = NULL;
    if (loan->timer)
        net_timer_stop(loan->timer);
    pool->loans--;
    pool->loans_waiting_n++;
    report(pool);
    pg_pool_start_tick(pool);
    return true;
}

static bool is_committed(const struct pg_loan *loan, const struct pg_conn *conn)
{
    return loan->state == LOAN_COMMITTED ||
           (loan->state == LOAN_COMMITTING && is_commit(conn->held));
}

void pg_loan_lost(struct pg_conn *conn, const struct hs_err *cause)
{
    struct pg_loan *loan = conn->loan;
    struct hs_err err = *cause;

    conn->loan = NULL;
    if (wait_again(loan))
        return;
    if (loan->query)
        answer(loan, NULL, loan->is_ending && loan->failure.status ? &loan->failure : cause,
               hs_now_us());
    if (is_committed(loan, conn)) {
        loan->epoch = conn->epoch;
        finish(loan, NULL);
    } else if (loan->is_ending) {
        finish(loan, failure_of(loan));
    } else {
        if (loan->state == LOAN_COMMITTING && !loan->is_read_only)
            unknown_outcome(&err, cause);
        finish(loan, &err);
    }
}

/* ---- waiting ---- */

static struct pg_loan *first_waiting(const struct pg_pool *pool)
{
    struct hs_list *node = hs_list_first(&pool->loans_waiting);

    return node ? HS_CONTAINER(node, struct pg_loan, node) : NULL;
}

static void expire(struct pg_pool *pool, hs_us now)
{
    struct pg_loan *loan;

    while ((loan = first_waiting(pool)) && now - loan->asked_at >= pool->setup.acquire_timeout) {
        struct hs_err err;

        pg_pool_expire_error(pool, &err);
        if (err.status == HS_E_PG_ACQUIRE) {
            hs_metric_add(pool->setup.metrics, HS_M_PG_ACQUIRE_TIMEOUTS, 1);
            hs_err_why(&err,
                       "The request needs a connection of its own; %u of this worker's %u are lent"
                       " so, and one is always kept for statements that share.",
                       pool->loans, pg_pool_open_count(pool));
        }
        finish(loan, &err);
    }
}

static struct pg_conn *pick(struct pg_pool *pool)
{
    struct hs_list *idle = hs_list_first(&pool->conns[PG_CONN_IDLE]);
    const struct hs_list *slow = hs_list_first(&pool->slow);
    const struct pg_loan *loan = first_waiting(pool);
    unsigned keep = loan->is_long && pool->own_max > 2 ? 2 : 1;

    if (slow && HS_CONTAINER(slow, struct pg_query, node)->queued_at < loan->asked_at)
        keep = 2;
    if (!idle || pg_pool_shared_count(pool) <= keep)
        return NULL;
    return HS_CONTAINER(idle, struct pg_conn, node);
}

/* The last of the busy ones: the first is the one that others are batched on. */
static void promise(struct pg_pool *pool)
{
    struct hs_list *busy = &pool->conns[PG_CONN_BUSY];
    struct pg_conn *last = NULL;

    if (pg_pool_shared_count(pool) < 2)
        return;
    for (struct hs_list *node = busy->next; node != busy; node = node->next) {
        struct pg_conn *conn = HS_CONTAINER(node, struct pg_conn, node);

        if (conn->is_promised)
            return;
        if (!conn->is_lane)
            last = conn;
    }
    if (last)
        last->is_promised = true;
}

static void lend(struct pg_conn *conn, struct pg_loan *loan)
{
    struct pg_pool *pool = conn->pool;

    hs_list_remove(&loan->node);
    hs_list_append(&pool->loans_open, &loan->node);
    pool->loans_waiting_n--;
    pool->loans++;
    report(pool);
    pg_conn_move(conn, PG_CONN_LENT);
    conn->loan = loan;
    conn->was_used = true;
    loan->conn = conn;
    loan->state = LOAN_BEGINNING;
    if (loan->timer)
        net_timer_start(loan->timer, loan->lifetime, 0);
    (void)pg_pipeline_begin(conn, loan->is_read_only,
                            loan->lifetime ? loan->lifetime + IDLE_MARGIN : 0);
}

bool pg_loans_turn(struct pg_pool *pool, hs_us now)
{
    struct pg_conn *conn;

    step_all(pool, now);
    if (pool->is_paused)
        return false;
    expire(pool, now);
    while (first_waiting(pool) && (conn = pick(pool)))
        lend(conn, first_waiting(pool));
    if (!first_waiting(pool))
        return false;
    promise(pool);
    return true;
}

void pg_loans_close(struct pg_pool *pool, const struct hs_err *err)
{
    struct pg_loan *loan;

    while ((loan = first_waiting(pool)))
        finish(loan, err);
    step_all(pool, hs_now_us());
}

void pg_loans_shift(struct pg_pool *pool, hs_us since, hs_us now)
{
    struct hs_list *waiting = &pool->loans_waiting;

    for (struct hs_list *node = waiting->next; node != waiting; node = node->next) {
        struct pg_loan *loan = HS_CONTAINER(node, struct pg_loan, node);

        loan->asked_at = loan->asked_at < since ? now - (since - loan->asked_at) : now;
    }
}

/* ---- the public face ---- */

hs_status pg_loan_begin(struct pg_pool *pool, struct pg_loan *loan, struct hs_err *reterr)
{
    hs_us now = hs_now_us();
    hs_status status = HS_OK;

    HS_OBJ(pool, PG_POOL_MAGIC);
    HS_OBJ(loan, PG_LOAN_MAGIC);
    status = pg_pool_admit(pool, now, reterr);
    loan->timer = NULL;
    if (!status && loan->lifetime)
        status = net_timer_new(pool->setup.loop, on_lifetime, loan, &loan->timer, reterr);
    if (status)
        return status;
    loan->pool = pool;
    loan->conn = NULL;
    loan->query = NULL;
    loan->asked_at = now;
    loan->state = LOAN_WAITING;
    loan->is_ending = false;
    loan->epoch = 0;
    loan->position = 0;
    hs_err_clear(&loan->failure);
    hs_list_init(&loan->node);
    hs_list_append(&pool->loans_waiting, &loan->node);
    pool->loans_waiting_n++;
    report(pool);
    pg_pool_start_tick(pool);
    net_loop_again(pool->setup.loop);
    return HS_OK;
}

void pg_loan_run(struct pg_loan *loan, struct pg_query *query)
{
    HS_OBJ(loan, PG_LOAN_MAGIC);
    HS_OBJ(query, PG_QUERY_MAGIC);
    HS_BUG_ON(loan->query || (loan->state != LOAN_READY && !loan->is_ending));
    query->submitted_at = hs_now_us();
    query->epoch = 0;
    query->position = 0;
    query->text = NULL;
    query->state = 0;
    hs_list_init(&query->node);
    loan->query = query;
    if (!loan->is_ending)
        loan->state = LOAN_ASKED;
    to_do(loan);
}

void pg_loan_commit(struct pg_loan *loan)
{
    HS_OBJ(loan, PG_LOAN_MAGIC);
    if (loan->is_ending)
        return;
    HS_BUG_ON(loan->query || loan->state != LOAN_READY);
    loan->state = LOAN_LAST;
    to_do(loan);
}

void pg_loan_abort(struct pg_loan *loan)
{
    HS_OBJ(loan, PG_LOAN_MAGIC);
    (void)end(loan);
}
