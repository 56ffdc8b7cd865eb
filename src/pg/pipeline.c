/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements to a connection and results back, in libpq's pipeline mode.
 *
 *     [context] [prepare] query  [context] [prepare] query  ...  Sync      shared reads
 *     [context] [prepare] query  Sync   DISCARD ALL  Sync   set-up  Sync   anything else, and no more behind
 *
 * Every command in flight has a slot in a ring; results come in that order. What stands between two
 * Syncs is one implicit transaction.
 *
 * Who asks. Each query runs behind a context statement that sets role, claims and plan_cache_mode for
 * the rest of its transaction. It is left out only where the query right before it in the same Sync set
 * the very same context (role and claims compared byte by byte). That is as safe as repeating it: only
 * reads that do not touch the session share a Sync, so the setting still stands; and if a set_config
 * fails, everything up to the Sync is aborted with it, so no query ever runs in the context of another
 * caller, or in none. The first query behind a Sync always sets it.
 *
 * Errors. The failing query gets its error; what follows it up to the Sync was aborted by the server
 * and is run again, each in a Sync of its own. Context and Parse belong to the query behind them: their
 * error is its error. A statement counts as prepared once its ParseComplete was seen.
 *
 * Refuses: to send to a connection again after any call of libpq failed half-way; it is given up.
 * Source: PostgreSQL 15 manual, 34.5 (pipeline mode) and 55.2.3 (extended query); set_config in 9.27.
 */
#include "pg/pool_int.h"

enum {
    SLOTS_A_QUERY = 3,
    SLOTS_EXCLUSIVE =
        11, /* context, prepare, query, Sync, DISCARD ALL, Sync, four to set up, Sync */
    DEALLOCATE_MAX = 32
};

/*
 * No column and no row comes back, which is cheaper than three values. set_config never gives NULL for a
 * value that is not, so all of them are evaluated, from the left; a row would mean that one was skipped,
 * and is taken for a failure (pipeline_read.c).
 *
 * plan_cache_mode is 'auto' in every session; the short form, which leaves it alone, costs the server a
 * tenth of a query less. It serves as long as nothing in the same Sync has set another mode.
 */
static const char SQL_CONTEXT[] =
    "SELECT WHERE pg_catalog.set_config('role', $1, true) IS NULL"
    " OR pg_catalog.set_config('request.jwt.claims', $2, true) IS NULL";
static const char SQL_CONTEXT_PLAN[] =
    "SELECT WHERE pg_catalog.set_config('role', $1, true) IS NULL"
    " OR pg_catalog.set_config('request.jwt.claims', $2, true) IS NULL"
    " OR pg_catalog.set_config('plan_cache_mode', $3, true) IS NULL";

/*
 * What a start-up option cannot pin: the text search configuration stays what the pool's first session
 * found, and a database that defaults to asynchronous commit is asked for at least a local one.
 */
static const char SQL_PIN[] =
    "SELECT pg_catalog.set_config('default_text_search_config', COALESCE($1,"
    " pg_catalog.current_setting('default_text_search_config')), false),"
    " CASE pg_catalog.current_setting('synchronous_commit') WHEN 'off'"
    " THEN pg_catalog.set_config('synchronous_commit', 'local', false) END";

static const char *const PLAN_NAMES[] = {[PG_PLAN_AUTO] = "auto",
                                         [PG_PLAN_CUSTOM] = "force_custom_plan",
                                         [PG_PLAN_GENERIC] = "force_generic_plan"};

/* As many flights of: a full shared batch, a few exclusive ones, one Sync of DEALLOCATEs. */
unsigned pg_pipeline_slots(const struct pg_pool_setup *setup)
{
    size_t need = PG_FLIGHTS_MAX * (setup->batch_max * SLOTS_A_QUERY + 1 +
                                    PG_EXCLUSIVE_MAX * SLOTS_EXCLUSIVE + DEALLOCATE_MAX + 1);
    unsigned n = 64;

    while (n < need)
        n *= 2;
    return n;
}

bool pg_pipeline_has_room(const struct pg_conn *conn)
{
    return conn->slots - pg_pipeline_in_flight(conn) >= SLOTS_EXCLUSIVE + DEALLOCATE_MAX + 1;
}

static void push(struct pg_conn *conn, enum pg_slot_kind kind, struct pg_query *query,
                 struct pg_stmt *stmt)
{
    struct pg_slot *slot = &conn->slot[conn->tail & (conn->slots - 1)];

    HS_BUG_ON(pg_pipeline_in_flight(conn) >= conn->slots);
    conn->tail++;
    slot->kind = (uint8_t)kind;
    slot->ends_flight = false;
    slot->expected_us = 0;
    slot->query = query;
    slot->stmt = stmt;
    if (stmt)
        stmt->refs++;
}

static bool lost_sending(struct pg_conn *conn)
{
    struct hs_err err;

    hs_fail(&err, HS_E_PG_DOWN, "lost the connection to PostgreSQL");
    pg_conn_why(conn, &err);
    pg_conn_lost(conn, &err);
    return false;
}

/* ---- writing ---- */

static bool send_plain(struct pg_conn *conn, enum pg_slot_kind kind, const char *sql)
{
    if (!PQsendQueryParams(conn->pq, sql, 0, NULL, NULL, NULL, NULL, 0))
        return lost_sending(conn);
    push(conn, kind, NULL, NULL);
    return true;
}

static bool send_pin(struct pg_conn *conn)
{
    const char *value[1] = {conn->pool->text_search};

    if (!PQsendQueryPrepared(conn->pq, "hs_pin", 1, value, NULL, NULL, 0))
        return lost_sending(conn);
    push(conn, PG_SLOT_PIN, NULL, NULL);
    return true;
}

static bool send_setup_prepare(struct pg_conn *conn, const char *name, const char *sql)
{
    if (!PQsendPrepare(conn->pq, name, sql, 0, NULL))
        return lost_sending(conn);
    push(conn, PG_SLOT_SETUP, NULL, NULL);
    return true;
}

bool pg_pipeline_sync(struct pg_conn *conn)
{
    if (!PQpipelineSync(conn->pq))
        return lost_sending(conn);
    push(conn, PG_SLOT_SYNC, NULL, NULL);
    if (conn->batch)
        hs_metric_add(conn->pool->setup.metrics, HS_M_PG_BATCHES, 1);
    conn->syncs++;
    conn->batch = 0;
    conn->context_who = NULL;
    conn->has_plan = false;
    return true;
}

/* What every session begins with, and begins with again after it was cleaned. */
static bool send_setup(struct pg_conn *conn)
{
    return send_setup_prepare(conn, "hs_context", SQL_CONTEXT) &&
           send_setup_prepare(conn, "hs_context_plan", SQL_CONTEXT_PLAN) &&
           send_setup_prepare(conn, "hs_pin", SQL_PIN) && send_pin(conn) && pg_pipeline_sync(conn);
}

bool pg_pipeline_setup(struct pg_conn *conn)
{
    return send_setup(conn) && pg_pipeline_launch(conn, hs_now_us());
}

/*
 * A function of a user's may have changed anything of the session: settings, role, temporary tables,
 * locks, and also our prepared statements, by which the next caller would get another one's context. So
 * all of it goes (DISCARD ALL needs a Sync of its own), and nothing is sent behind before it is gone.
 */
bool pg_pipeline_clean(struct pg_conn *conn)
{
    conn->is_soiled = true;
    pg_stmts_clear(&conn->stmts);
    return send_plain(conn, PG_SLOT_RESET, "DISCARD ALL") && pg_pipeline_sync(conn) &&
           send_setup(conn);
}

bool pg_pipeline_deallocate(struct pg_conn *conn)
{
    struct pg_stmt *stmt;
    unsigned n = 0;

    while (n < DEALLOCATE_MAX && (stmt = pg_stmts_pop_dropped(&conn->stmts))) {
        char sql[sizeof("DEALLOCATE ") + PG_STMT_NAME] = "DEALLOCATE ";

        memcpy(sql + sizeof("DEALLOCATE ") - 1, stmt->name, PG_STMT_NAME);
        pg_stmt_free(stmt);
        if (!send_plain(conn, PG_SLOT_DEALLOCATE, sql))
            return false;
        n++;
    }
    return n == 0 || pg_pipeline_sync(conn);
}

static bool send_context(struct pg_conn *conn, struct pg_query *query, unsigned plan)
{
    const struct hs_identity *who = query->who;
    const char *values[3] = {who->role.p, who->claims.p, PLAN_NAMES[plan]};
    const int lengths[3] = {(int)who->role.n, (int)who->claims.n, 0};

    if (conn->context_who && conn->context_plan == plan && hs_identity_eq(conn->context_who, who))
        return true;
    conn->has_plan |= plan != PG_PLAN_AUTO;
    if (!PQsendQueryPrepared(conn->pq, conn->has_plan ? "hs_context_plan" : "hs_context",
                             conn->has_plan ? 3 : 2, values, lengths, NULL, 0))
        return lost_sending(conn);
    push(conn, PG_SLOT_CONTEXT, query, NULL);
    conn->context_who = who;
    conn->context_plan = plan;
    return true;
}

/*
 * A statement whose Parse is under way in an earlier Sync is not counted on: should that batch abort,
 * it does not exist, and all that was sent behind would fail for it. It is parsed a second time.
 */
static enum pg_put find_stmt(struct pg_conn *conn, struct pg_query *query,
                             struct pg_stmt **ret_stmt)
{
    struct pg_stmt *stmt = pg_stmts_find(&conn->stmts, query->text, query->who);

    if (stmt && !stmt->is_ready && stmt->sync != conn->syncs) {
        pg_stmts_forget(&conn->stmts, stmt, /* on_server= */ true);
        stmt = NULL;
    }
    if (!stmt) {
        if (!pg_stmts_has_room(&conn->stmts))
            return PG_PUT_FULL;
        stmt = pg_stmts_add(&conn->stmts, query->text, query->who);
    }
    *ret_stmt = stmt;
    return stmt ? PG_PUT_OK : PG_PUT_NO_MEMORY;
}

static bool send_prepare(struct pg_conn *conn, struct pg_query *query, struct pg_stmt *stmt)
{
    if (!PQsendPrepare(conn->pq, stmt->name, query->sql.p, 0, NULL))
        return lost_sending(conn);
    push(conn, PG_SLOT_PREPARE, query, stmt);
    stmt->sync = conn->syncs;
    hs_metric_add(conn->pool->setup.metrics, HS_M_PG_PREPARES, 1);
    query->state |= PG_QUERY_PREPARED;
    return true;
}

static bool send_query(struct pg_conn *conn, struct pg_query *query, struct pg_stmt *stmt)
{
    if (!PQsendQueryPrepared(conn->pq, stmt->name, (int)query->n_params, query->params, NULL, NULL,
                             0))
        return lost_sending(conn);
    push(conn, PG_SLOT_QUERY, query, stmt);
    conn->slot[(conn->tail - 1) & (conn->slots - 1)].expected_us = (float)query->text->mean_us;
    conn->expected_us += query->text->mean_us;
    conn->batch++;
    conn->was_used = true;
    hs_metric_add(conn->pool->setup.metrics, HS_M_PG_QUERIES, 1);
    return true;
}

enum pg_put pg_pipeline_put(struct pg_conn *conn, struct pg_query *query)
{
    struct pg_stmt *stmt = NULL;
    enum pg_put put = find_stmt(conn, query, &stmt);

    if (put != PG_PUT_OK)
        return put;
    query->state &= ~(unsigned)PG_QUERY_PREPARED;
    query->plan = query->text->plan;
    if (!send_context(conn, query, query->plan) ||
        (!stmt->sync && !send_prepare(conn, query, stmt)) || !send_query(conn, query, stmt))
        return PG_PUT_LOST;
    return PG_PUT_OK;
}

bool pg_pipeline_launch(struct pg_conn *conn, hs_us now)
{
    int pending = PQflush(conn->pq);

    if (pending < 0)
        return lost_sending(conn);
    conn->slot[(conn->tail - 1) & (conn->slots - 1)].ends_flight = true;
    if (conn->flights++ == 0)
        conn->mark = now;
    if (pending)
        pg_conn_watch(conn, /* is_writing= */ true);
    return conn->state != PG_CONN_BROKEN;
}
