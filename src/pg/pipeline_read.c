/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results out of a pipeline: libpq hands them over in the order of the ring. A command has one result
 * and then a NULL; a Sync has one result alone; an error may stand before a Sync (COMMIT failed, a
 * deferred constraint): it is the error of the exclusive statement that was held back for it.
 *
 * Rule: no answer of anything but a shareable read is given before its Sync, because its rows arrive
 * before its COMMIT. A write behind which its position is asked for is answered at the Sync of that question:
 * with its rows whatever became of the question, since it was committed.
 *
 * An error without SQLSTATE is libpq's own (the connection is gone, memory is out, the protocol is not
 * understood): the connection is given up. So it is when the server says that it is going away.
 * Source: PostgreSQL 15 manual, 34.5.1.2 and 34.5.1.3; appendix A (SQLSTATE).
 */
#include "core/mem.h"
#include "pg/pool_int.h"

static struct pg_slot *head_of(struct pg_conn *conn)
{
    return &conn->slot[conn->head & (conn->slots - 1)];
}

static void pop(struct pg_conn *conn)
{
    struct pg_slot *slot = head_of(conn);

    conn->head++;
    if (slot->kind == PG_SLOT_QUERY)
        conn->expected_us -= (double)slot->expected_us;
    if (slot->stmt)
        pg_stmt_unref(slot->stmt);
    slot->stmt = NULL;
}

static void note_time(struct pg_conn *conn, const struct pg_slot *slot)
{
    struct pg_pool *pool = conn->pool;
    const struct pg_query *query = slot->query;

    pool->timed[pool->timed_n++] = (struct pg_timed){
        .text = query->text,
        .expected_us = slot->expected_us,
        .plan = query->plan,
        .is_fair = !(query->state & PG_QUERY_PREPARED),
    };
}

/* It was answered: what is still to come for it has nobody to go to. */
static void detach(struct pg_conn *conn, const struct pg_query *query)
{
    for (unsigned at = conn->head; at != conn->tail; at++) {
        struct pg_slot *slot = &conn->slot[at & (conn->slots - 1)];

        if (slot->query != query)
            return;
        slot->query = NULL;
    }
}

static void forget_stmt(struct pg_conn *conn, struct pg_stmt *stmt)
{
    if (stmt->is_dead)
        hs_list_remove(&stmt->lru); /* nothing to deallocate */
    else
        pg_stmts_forget(&conn->stmts, stmt, /* on_server= */ false);
}

void pg_pipeline_error(const PGresult *res, const struct pg_query *query, bool is_context,
                       struct hs_err *ret_err)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    pg_err_from_sqlstate(ret_err, state, PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY),
                         PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL),
                         PQresultErrorField(res, PG_DIAG_MESSAGE_HINT),
                         query && query->who && query->who->is_anonymous);
    if (!is_context)
        return;
    /* Not the caller's fault: the role was allowed by the configuration. */
    ret_err->http = 500;
    hs_err_hint(ret_err,
                "Let the login role of database.url be a member of each role in auth.roles.");
}

/* 0A000 is also any "not supported": the function that raised it tells, in every language. */
static bool is_stale_plan(const PGresult *res, bool *ret_on_server)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *raised_by = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

    *ret_on_server = !strcmp(state, "0A000");
    return !strcmp(state, "26000") ||
           (*ret_on_server && raised_by && !strcmp(raised_by, "RevalidateCachedQuery"));
}

/* Its transaction has ended without effect, or will when its Sync is read. */
static void answer_error(struct pg_conn *conn, struct pg_query *query, const PGresult *res,
                         bool is_context, hs_us now)
{
    struct hs_err err;

    if (pg_pool_retry(conn->pool, query, PQresultErrorField(res, PG_DIAG_SQLSTATE), now))
        return;
    pg_pipeline_error(res, query, is_context, &err);
    hs_metric_add(conn->pool->setup.metrics, HS_M_PG_QUERY_ERRORS, 1);
    pg_pool_finish(conn->pool, query, NULL, &err, now);
}

static void fail_query(struct pg_conn *conn, struct pg_slot *slot, const PGresult *res, hs_us now)
{
    struct pg_query *query = slot->query;
    bool on_server = false;

    if (slot->kind == PG_SLOT_QUERY && slot->stmt && is_stale_plan(res, &on_server)) {
        pg_stmts_forget(&conn->stmts, slot->stmt, on_server);
        if (!(query->state & PG_QUERY_REPARSED)) {
            pg_pool_requeue(conn->pool, query, PG_QUERY_ALONE | PG_QUERY_REPARSED);
            return;
        }
    }
    answer_error(conn, query, res, slot->kind == PG_SLOT_CONTEXT, now);
}

static bool give_up(const PGresult *res, const char *what, struct hs_err *ret_err)
{
    struct hs_str text = hs_str(PQresultErrorMessage(res));

    hs_fail(ret_err, HS_E_PG_DOWN, "%s", what);
    hs_err_why(ret_err, "%.*s", HS_FMT(hs_str_trim(hs_str_cut(&text, '\n'))));
    return false;
}

/* By severity, not by SQLSTATE: a function may raise 57P01 or, behind a foreign table, 08006. */
static bool is_going_away(const PGresult *res)
{
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

    return !PQresultErrorField(res, PG_DIAG_SQLSTATE) || !severity ||
           strcmp(severity, "ERROR") != 0;
}

static const char LOST_STATEMENTS[] = "a PostgreSQL session lost its prepared statements";

static bool is_missing_stmt(const PGresult *res)
{
    return strcmp(PQresultErrorField(res, PG_DIAG_SQLSTATE), "26000") == 0;
}

static bool take_error(struct pg_conn *conn, const PGresult *res, hs_us now, struct hs_err *ret_err)
{
    struct pg_slot *slot = head_of(conn);
    struct pg_query *query = slot->query;

    if (is_going_away(res))
        return give_up(res, "lost the connection to PostgreSQL", ret_err);
    switch ((enum pg_slot_kind)slot->kind) {
    case PG_SLOT_SETUP:
        return give_up(res, "could not set up a PostgreSQL session", ret_err);
    case PG_SLOT_RESET:
    case PG_SLOT_REPLACED:
    case PG_SLOT_PIN:
        return give_up(res, "could not reset a PostgreSQL session", ret_err);
    case PG_SLOT_EPOCH:
        conn->epoch = pg_position_epoch_of(conn->pool, res);
        break;
    case PG_SLOT_POSITION:
        if (is_missing_stmt(res))
            return give_up(res, LOST_STATEMENTS, ret_err);
        (void)pg_position_of(conn->pool, res);
        break;
    case PG_SLOT_DEALLOCATE:
    case PG_SLOT_STEP:
        break;
    case PG_SLOT_CONTEXT:
    case PG_SLOT_PRELUDE:
    case PG_SLOT_PREPARE:
    case PG_SLOT_QUERY:
        if (slot->kind == PG_SLOT_CONTEXT && is_missing_stmt(res))
            return give_up(res, LOST_STATEMENTS, ret_err);
        if (slot->kind == PG_SLOT_PREPARE)
            forget_stmt(conn, slot->stmt);
        if (query && slot->kind == PG_SLOT_QUERY)
            note_time(conn, slot);
        if (query) {
            fail_query(conn, slot, res, now);
            detach(conn, query);
        }
        break;
    case PG_SLOT_SYNC:
        if (conn->is_held_committed)
            return true; /* no error of the question can be the write's */
        query = conn->held_query;
        conn->held_query = NULL;
        if (query)
            answer_error(conn, query, res, /* is_context= */ false, now);
        return true; /* its own result is still to come */
    }
    pop(conn);
    return true;
}

static bool keep_text_search(struct pg_pool *pool, const PGresult *res)
{
    if (pool->text_search || PQntuples(res) != 1)
        return true;
    pool->text_search = hs_memdup0(PQgetvalue(res, 0, 0), (size_t)PQgetlength(res, 0, 0));
    return pool->text_search != NULL;
}

/* Takes res over: *res becomes NULL when it is kept for the Sync. */
static bool take_success(struct pg_conn *conn, PGresult **res, hs_us now, struct hs_err *ret_err)
{
    struct pg_slot *slot = head_of(conn);
    struct pg_query *query = slot->query;

    if (slot->kind == PG_SLOT_PREPARE)
        slot->stmt->is_ready = true;
    if (slot->kind == PG_SLOT_CONTEXT && PQntuples(*res))
        return give_up(*res, "PostgreSQL did not set role and claims", ret_err);
    if (slot->kind == PG_SLOT_REPLACED && PQntuples(*res))
        return give_up(*res, "a function changed the prepared statements of a PostgreSQL session",
                       ret_err);
    if (slot->kind == PG_SLOT_PIN && !keep_text_search(conn->pool, *res)) {
        hs_fail_memory(ret_err);
        return false;
    }
    if (slot->kind == PG_SLOT_EPOCH)
        conn->epoch = pg_position_epoch_of(conn->pool, *res);
    if (slot->kind == PG_SLOT_POSITION && conn->held_query && conn->epoch)
        conn->held_query->position = pg_position_of(conn->pool, *res);
    if (slot->kind == PG_SLOT_QUERY && query) {
        note_time(conn, slot);
        if (query->flags & PG_SHARED) {
            struct pg_rows rows = pg_rows_all(*res);

            pg_pool_finish(conn->pool, query, &rows, NULL, now);
        } else {
            conn->held_query = query;
            conn->held = *res;
            *res = NULL;
        }
    }
    pop(conn);
    return true;
}

/*
 * In a loan everything waits for the Sync: only then can the next step be taken. Kept is the first error,
 * else the rows of the query or the tag of the step. Takes res over, as take_success() does.
 */
static bool take_of_loan(struct pg_conn *conn, PGresult **res, struct hs_err *ret_err)
{
    enum pg_slot_kind kind = (enum pg_slot_kind)head_of(conn)->kind;
    bool is_error = PQresultStatus(*res) == PGRES_FATAL_ERROR;

    if (is_error && is_going_away(*res))
        return give_up(*res, "lost the connection to PostgreSQL", ret_err);
    if (!is_error && kind == PG_SLOT_CONTEXT && PQntuples(*res))
        return give_up(*res, "PostgreSQL did not set role and claims", ret_err);
    if (is_error || (!conn->held && kind != PG_SLOT_CONTEXT && kind != PG_SLOT_PRELUDE)) {
        PQclear(conn->held);
        conn->held = *res;
        conn->is_held_context = is_error && kind == PG_SLOT_CONTEXT;
        *res = NULL;
    }
    if (kind != PG_SLOT_SYNC)
        pop(conn);
    return true;
}

static void take_aborted(struct pg_conn *conn)
{
    struct pg_slot *slot = head_of(conn);

    if (slot->kind == PG_SLOT_PREPARE)
        forget_stmt(conn, slot->stmt);
    if (slot->kind == PG_SLOT_QUERY && slot->query && !conn->loan) {
        hs_metric_add(conn->pool->setup.metrics, HS_M_PG_QUERIES_REPEATED, 1);
        pg_pool_requeue(conn->pool, slot->query, PG_QUERY_ALONE);
    }
    pop(conn);
}

static void take_sync(struct pg_conn *conn, hs_us now)
{
    bool ends_flight = head_of(conn)->ends_flight;
    struct pg_query *query = conn->held_query;
    PGresult *held = conn->held;

    pop(conn);
    conn->flights -= ends_flight;
    if (conn->is_standby)
        pg_position_look(conn);
    if (query)
        query->epoch = conn->epoch;
    conn->is_held_committed = query && pg_pipeline_has_position_next(conn);
    if (conn->is_held_committed)
        return;
    conn->held_query = NULL;
    conn->held = NULL;
    if (conn->loan) {
        pg_loan_synced(conn, held, now);
    } else if (query) {
        struct pg_rows rows = pg_rows_all(held);

        pg_pool_finish(conn->pool, query, &rows, NULL, now);
    }
    PQclear(held);
}

static bool take(struct pg_conn *conn, PGresult *res, hs_us now, struct hs_err *ret_err)
{
    bool is_sync = head_of(conn)->kind == PG_SLOT_SYNC;
    ExecStatusType status = PQresultStatus(res);
    bool ok = true;

    if (!is_sync &&
        (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY))
        ok = conn->loan ? take_of_loan(conn, &res, ret_err)
                        : take_success(conn, &res, now, ret_err);
    else if (status == PGRES_FATAL_ERROR)
        ok = conn->loan ? take_of_loan(conn, &res, ret_err) : take_error(conn, res, now, ret_err);
    else if (status == PGRES_PIPELINE_ABORTED && !is_sync)
        take_aborted(conn);
    else if (status == PGRES_PIPELINE_SYNC && is_sync)
        take_sync(conn, now);
    else
        ok = give_up(res, "PostgreSQL answered out of turn (COPY is not possible here)", ret_err);
    PQclear(res);
    /* A Sync stands alone; all else is followed by a NULL, which is there already. */
    if (ok && status != PGRES_PIPELINE_SYNC)
        PQclear(PQgetResult(conn->pq));
    return ok;
}

bool pg_pipeline_read(struct pg_conn *conn, hs_us now, struct hs_err *ret_err)
{
    struct pg_pool *pool = conn->pool;
    unsigned before = conn->head;
    bool ok = true;

    pool->timed_n = 0;
    while (ok && pg_pipeline_in_flight(conn) && !PQisBusy(conn->pq)) {
        PGresult *res = PQgetResult(conn->pq);

        if (!res)
            break;
        ok = take(conn, res, now, ret_err);
    }
    if (pool->timed_n)
        pg_pool_measure(pool, (double)(now - conn->mark), conn->is_lane);
    conn->busy_turns++;
    if (conn->head != before) {
        conn->mark = now;
        conn->busy_turns = 0;
        conn->coming = 0;
    }
    if (!ok || pg_pipeline_in_flight(conn))
        return ok;
    conn->expected_us = 0;
    conn->timeout = 0;
    if (conn->state == PG_CONN_OPENING)
        pg_pool_opened(pool, conn);
    else if (conn->head != before)
        pg_pool_conn_empty(pool, conn, now);
    return true;
}

bool pg_pipeline_is_read_coming(const struct pg_conn *conn)
{
    const struct pg_slot *slot = &conn->slot[conn->head & (conn->slots - 1)];

    return pg_pipeline_in_flight(conn) && !conn->loan && slot->query &&
           !pg_query_is_write(slot->query);
}

void pg_pipeline_refuse(struct pg_conn *conn, const struct hs_err *err)
{
    struct pg_query *query = head_of(conn)->query;

    if (!pg_pipeline_is_read_coming(conn))
        return;
    pg_pool_finish(conn->pool, query, NULL, err, hs_now_us());
    detach(conn, query);
}

/* A write that waits for its position alone was done; else nobody knows. */
static void abandon_held(struct pg_conn *conn, const struct hs_err *err)
{
    struct pg_query *query = conn->held_query;
    struct pg_rows rows;

    conn->held_query = NULL;
    if (!query)
        return;
    if (!conn->is_held_committed) {
        pg_pool_orphan(conn->pool, query, err);
        return;
    }
    rows = pg_rows_all(conn->held);
    pg_pool_finish(conn->pool, query, &rows, NULL, hs_now_us());
}

/* Nothing behind the last Sync was committed: it counts as never sent. */
void pg_pipeline_abandon(struct pg_conn *conn, const struct hs_err *err)
{
    unsigned synced = conn->tail;

    while (synced != conn->head &&
           conn->slot[(synced - 1) & (conn->slots - 1)].kind != PG_SLOT_SYNC)
        synced--;
    abandon_held(conn, err);
    while (pg_pipeline_in_flight(conn)) {
        bool is_synced = (int)(synced - conn->head) > 0;
        const struct pg_slot *slot = head_of(conn);
        bool is_pools = slot->kind == PG_SLOT_QUERY && !conn->loan;
        struct pg_query *query = is_pools ? slot->query : NULL;

        pop(conn);
        if (query && is_synced)
            pg_pool_orphan(conn->pool, query, err);
        else if (query)
            pg_pool_requeue(conn->pool, query, 0);
    }
    if (conn->loan)
        pg_loan_lost(conn, err);
}
