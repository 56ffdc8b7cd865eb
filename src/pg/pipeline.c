/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements to a connection and results back, in libpq's pipeline mode.
 *
 *     [context] [prepare] query  [context] [prepare] query  ...  Sync      shared reads
 *     [context] [prepare] query  Sync  [position Sync]                         a tidy write
 *     [context] [prepare] query  Sync  [position Sync]  cleaning Sync          anything else, and no more behind
 *     [isolation] [prelude ...] context [prelude ...] [prepare] query  Sync ...                  with a prelude
 *     BEGIN context [prelude ...] [prepare] query  Sync  ROLLBACK Sync  cleaning Sync          one that is undone
 *
 *     BEGIN Sync   context [prelude ...] query Sync ...   COMMIT Sync  [position Sync]  cleaning Sync          a loan
 *
 * Every command in flight has a slot in a ring; results come in that order. What stands between two
 * Syncs is one implicit transaction. In a loan the transaction is explicit, and each step has a Sync
 * nonetheless: an error then ends at its own step, the server knows that it is idle in a transaction
 * (and gives up on us if we are gone), and the Sync costs next to nothing there.
 *
 * Who asks. Each query runs behind a context statement that sets role, claims and plan_cache_mode for
 * the rest of its transaction. It is left out only where the query right before it in the same Sync set
 * the very same context (role and claims compared byte by byte). That is as safe as repeating it: only
 * reads that do not touch the session share a Sync, so the setting still stands; and if a set_config
 * fails, everything up to the Sync is aborted with it, so no query ever runs in the context of another
 * caller, or in none. The first query behind a Sync always sets it. In a loan what came before may have
 * called anything, so each query sets it, by a text that is not prepared: it could have been replaced.
 *
 * Errors. The failing query gets its error; what follows it up to the Sync was aborted by the server
 * and is run again, each in a Sync of its own. Context and Parse belong to the query behind them: their
 * error is its error. A statement counts as prepared once its ParseComplete was seen.
 *
 * Positions. In the Sync of the write itself the position would be read before its COMMIT, so it has the next
 * one, in the same flight: one round trip for both. The write is answered when that is.
 *
 * Refuses: to send to a connection again after any call of libpq failed half-way; it is given up.
 * Source: PostgreSQL 15 manual, 34.5 (pipeline mode) and 55.2.3 (extended query); set_config in 9.27.
 */
#include "core/guard.h"
#include "pg/epoch.h"
#include "pg/pool_int.h"

enum {
    SLOTS_A_QUERY = 3,
    SLOTS_EXCLUSIVE =
        26, /* sequences, BEGIN, isolation, context, prelude, prepare, query, Sync, ROLLBACK and its Sync,
               two for the position, ten to clean */
    DEALLOCATE_MAX = 32
};

/*
 * No column and no row comes back, which is cheaper than three values. set_config never gives NULL for a
 * value that is not, so all of them are evaluated, from the left; a row would mean that one was skipped,
 * and is taken for a failure (pipeline_read.c).
 *
 * plan_cache_mode is 'auto' in every session, statement_timeout the pool's, and transactions may write; the
 * short form, which leaves these alone, costs the server a tenth of a query less. It serves as long as nothing in the same
 * Sync has set another mode or limit.
 */
static const char SQL_CONTEXT[] =
    "SELECT WHERE pg_catalog.set_config('role', $1, true) IS NULL"
    " OR pg_catalog.set_config('request.jwt.claims', $2, true) IS NULL";
static const char SQL_CONTEXT_MODES[] =
    "SELECT WHERE pg_catalog.set_config('role', $1, true) IS NULL"
    " OR pg_catalog.set_config('request.jwt.claims', $2, true) IS NULL"
    " OR pg_catalog.set_config('plan_cache_mode', $3, true) IS NULL"
    " OR pg_catalog.set_config('statement_timeout', $4, true) IS NULL"
    " OR pg_catalog.set_config('transaction_read_only', COALESCE($5,"
    " pg_catalog.current_setting('transaction_read_only')), true) IS NULL";

/*
 * What a start-up option cannot pin: the text search configuration stays what the pool's first session
 * found, and a database that defaults to asynchronous commit is asked for at least a local one.
 */
static const char SQL_PIN[] =
    "SELECT pg_catalog.set_config('default_text_search_config', COALESCE($1,"
    " pg_catalog.current_setting('default_text_search_config')), false),"
    " CASE pg_catalog.current_setting('synchronous_commit') WHEN 'off'"
    " THEN pg_catalog.set_config('synchronous_commit', 'local', false) END";

/*
 * The position of a write. Its commit was flushed before it was answered, so the flush position covers it, and
 * readers need not wait for what others write asynchronously meanwhile. That does not hold where the commit
 * was asynchronous: since a reload, in a running session (SQL_PIN was not asked again), or because a function
 * said so in its transaction; then the insert position is the one.
 */
static const char SQL_POSITION[] = "SELECT pg_catalog.pg_current_wal_insert_lsn()";
static const char SQL_POSITION_TIDY[] =
    "SELECT CASE pg_catalog.current_setting('synchronous_commit') WHEN 'off'"
    " THEN pg_catalog.pg_current_wal_insert_lsn() ELSE pg_catalog.pg_current_wal_flush_lsn() END";
static const char SQL_POSITION_FLUSH[] = "SELECT pg_catalog.pg_current_wal_flush_lsn()";

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

/* Not prepared: it could have been replaced by what is being cleaned away. */
static bool send_pin(struct pg_conn *conn)
{
    const char *value[1] = {conn->pool->text_search};

    if (!PQsendQueryParams(conn->pq, SQL_PIN, 1, NULL, value, NULL, NULL, 0))
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
    conn->has_modes = false;
    return true;
}

/* What every session begins with, and begins with again after it was cleaned. */
static bool send_setup(struct pg_conn *conn)
{
    return send_setup_prepare(conn, "hs_context", SQL_CONTEXT) &&
           send_setup_prepare(conn, "hs_context_modes", SQL_CONTEXT_MODES) && send_pin(conn) &&
           pg_pipeline_sync(conn);
}

/* The epoch has a Sync of its own, so that a refusal undoes nothing else. */
static bool send_setup_positions(struct pg_conn *conn)
{
    return send_setup_prepare(conn, "hs_position",
                              HS_GUARD(insert_lsn_token) ? SQL_POSITION_TIDY
                                                         : SQL_POSITION_FLUSH) &&
           send_plain(conn, PG_SLOT_EPOCH, PG_EPOCH_SQL) && pg_pipeline_sync(conn);
}

bool pg_pipeline_setup(struct pg_conn *conn)
{
    return send_setup(conn) && (!conn->pool->setup.with_positions || send_setup_positions(conn)) &&
           pg_pipeline_launch(conn, hs_now_us());
}

/*
 * Behind a write that may have called anything it is not prepared: it could have been replaced. What else it
 * may have left in the session (a role, a time limit) can make this fail, but not lie.
 */
bool pg_pipeline_ask_position(struct pg_conn *conn, bool is_tidy)
{
    if (!conn->epoch)
        return true;
    if (!is_tidy) {
        if (!send_plain(conn, PG_SLOT_POSITION,
                        HS_GUARD(insert_lsn_token) ? SQL_POSITION : SQL_POSITION_FLUSH))
            return false;
    } else {
        if (!PQsendQueryPrepared(conn->pq, "hs_position", 0, NULL, NULL, NULL, 0))
            return lost_sending(conn);
        push(conn, PG_SLOT_POSITION, NULL, NULL);
    }
    return pg_pipeline_sync(conn);
}

/*
 * A function of a user's may have changed anything of the session: settings, role, temporary tables,
 * locks, cursors, channels. DISCARD ALL would throw away our prepared statements with it; so its parts
 * are sent, but for DEALLOCATE ALL and DISCARD PLANS. A statement prepared under one of our names would be
 * run later, as the login role or as another caller: those that SQL made are told apart from ours, which
 * the protocol made (from_sql), and the connection is closed if there is one, or if those that set the
 * context are gone. Another of ours that is missing is noticed when it is used.
 *
 * Nothing is sent behind it until all of it was answered (is_soiled), and none of it is prepared.
 * Source: PostgreSQL 15 manual, DISCARD and 54.16 (pg_prepared_statements).
 */
static const char *const SQL_CLEAN[] = {
    "CLOSE ALL",         "SET SESSION AUTHORIZATION DEFAULT",          "RESET ALL",
    "UNLISTEN *",        "SELECT pg_catalog.pg_advisory_unlock_all()", "DISCARD TEMP",
    "DISCARD SEQUENCES",
};
static const char SQL_REPLACED[] =
    "SELECT WHERE EXISTS (SELECT FROM pg_catalog.pg_prepared_statement() WHERE from_sql)"
    " OR (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statement()"
    " WHERE name OPERATOR(pg_catalog.=) ANY (ARRAY['hs_context', 'hs_context_modes']))"
    " OPERATOR(pg_catalog.<) 2";

bool pg_pipeline_clean(struct pg_conn *conn)
{
    conn->is_soiled = true;
    conn->has_sequences = false;
    for (size_t i = 0; i < HS_LEN(SQL_CLEAN); i++) {
        if (!send_plain(conn, PG_SLOT_RESET, SQL_CLEAN[i]))
            return false;
    }
    return send_plain(conn, PG_SLOT_REPLACED, SQL_REPLACED) && send_pin(conn) &&
           pg_pipeline_sync(conn);
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

/* Parameters of a context statement. */
enum { CONTEXT_VALUES = 5 };

struct context {
    const char *value[CONTEXT_VALUES];
    char timeout[HS_U64_DIGITS_MAX + 1];
};

/* Values in text format end at a NUL, so lengths are of no use to libpq. */
static void fill_context(struct context *to, const struct pg_pool *pool,
                         const struct pg_query *query, unsigned plan, bool is_read_only)
{
    const struct hs_identity *who = query->who;
    hs_us timeout_ms = (pg_pool_timeout_of(pool, query) + HS_MS - 1) / HS_MS;

    *hs_u64_print(timeout_ms, to->timeout) = '\0';
    to->value[0] = who ? who->role.p : "none";
    to->value[1] = who ? who->claims.p : "{}";
    to->value[2] = PLAN_NAMES[plan];
    to->value[3] = to->timeout;
    to->value[4] = is_read_only ? "on" : NULL;
}

/* A read that may share calls nothing that writes; any other could. */
static bool must_be_read_only(const struct pg_query *query)
{
    return (query->flags & (PG_SHARED | PG_REPEATABLE)) == PG_REPEATABLE;
}

static bool send_context(struct pg_conn *conn, struct pg_query *query, unsigned plan)
{
    const struct hs_identity *who = query->who;
    bool is_read_only = must_be_read_only(query);
    const char *values[2] = {who->role.p, who->claims.p};
    struct context modes;
    int sent;

    if (conn->context_who && conn->context_plan == plan &&
        conn->context_timeout_ms == query->statement_timeout_ms &&
        hs_identity_eq(conn->context_who, who))
        return true;
    conn->has_modes |= plan != PG_PLAN_AUTO || who->statement_timeout_ms != 0 || is_read_only ||
                       query->statement_timeout_ms != 0;
    if (conn->has_modes) {
        fill_context(&modes, conn->pool, query, plan, is_read_only);
        sent = PQsendQueryPrepared(conn->pq, "hs_context_modes", CONTEXT_VALUES, modes.value, NULL,
                                   NULL, 0);
    } else {
        sent = PQsendQueryPrepared(conn->pq, "hs_context", 2, values, NULL, NULL, 0);
    }
    if (!sent)
        return lost_sending(conn);
    push(conn, PG_SLOT_CONTEXT, query, NULL);
    conn->context_who = who;
    conn->context_plan = plan;
    conn->context_timeout_ms = query->statement_timeout_ms;
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

static void note_sent(struct pg_conn *conn, struct pg_query *query, struct pg_stmt *stmt)
{
    hs_us timeout = pg_pool_timeout_of(conn->pool, query);

    push(conn, PG_SLOT_QUERY, query, stmt);
    if (timeout > conn->timeout)
        conn->timeout = timeout;
    conn->batch++;
    conn->was_used = true;
    hs_metric_add(conn->pool->setup.metrics, HS_M_PG_QUERIES, 1);
}

static bool send_query(struct pg_conn *conn, struct pg_query *query, const char *unnamed,
                       struct pg_stmt *stmt)
{
    int n = (int)query->n_params;
    int sent = unnamed ? PQsendQueryParams(conn->pq, unnamed, n, NULL, query->params, NULL, NULL, 0)
                       : PQsendQueryPrepared(conn->pq, stmt->name, n, query->params, NULL, NULL, 0);

    if (!sent)
        return lost_sending(conn);
    note_sent(conn, query, stmt);
    conn->slot[(conn->tail - 1) & (conn->slots - 1)].expected_us = (float)query->text->mean_us;
    conn->expected_us += query->text->mean_us;
    return true;
}

/* Its end cannot be hidden in it, whatever the caller has let through. NULL = no memory. */
static const char *write_commented(struct pg_pool *pool, const struct pg_query *query)
{
    struct hs_buf *to = &pool->commented;

    hs_buf_clear(to);
    hs_buf_add(to, query->sql);
    if (!memchr(query->comment.p, '*', query->comment.n) &&
        !memchr(query->comment.p, '\0', query->comment.n)) {
        hs_buf_add_lit(to, " /*");
        hs_buf_add(to, query->comment);
        hs_buf_add_lit(to, "*/");
    }
    return hs_buf_cstr(to);
}

/* lastval() of tidy writes must not be seen by a function of another caller; nothing else asks. */
static bool discard_sequences(struct pg_conn *conn)
{
    if (!conn->has_sequences)
        return true;
    conn->has_sequences = false;
    return send_plain(conn, PG_SLOT_RESET, "DISCARD SEQUENCES");
}

static bool send_prelude(struct pg_conn *conn, struct pg_query *query, bool is_before)
{
    const struct pg_prelude *prelude = query->prelude;

    for (size_t i = 0; prelude && i < prelude->n; i++) {
        const struct pg_prelude_step *step = &prelude->step[i];

        if (step->is_before != is_before)
            continue;
        if (!PQsendQueryParams(conn->pq, step->sql.p, (int)step->n_params, NULL, step->params, NULL,
                               NULL, 0))
            return lost_sending(conn);
        push(conn, PG_SLOT_PRELUDE, query, NULL);
    }
    return true;
}

/* An error leaves the transaction open, so that the ROLLBACK stands in a Sync of its own, where it runs in any case. */
static bool begin_undone(struct pg_conn *conn, const struct pg_query *query)
{
    return !pg_query_rolls_back(query) || send_plain(conn, PG_SLOT_STEP, "BEGIN");
}

/*
 * Before anything takes a snapshot. SET, and not SET TRANSACTION, which warns where there is no BEGIN; either is of
 * this transaction alone.
 */
static bool set_isolation(struct pg_conn *conn, const struct pg_query *query)
{
    static const char *const sql[] = {
        [PG_REPEATABLE_READ] = "SET transaction_isolation TO 'repeatable read'",
        [PG_SERIALIZABLE] = "SET transaction_isolation TO 'serializable'",
    };
    enum pg_isolation isolation = query->prelude ? query->prelude->isolation : PG_ISOLATION_DEFAULT;

    return isolation == PG_ISOLATION_DEFAULT || send_plain(conn, PG_SLOT_STEP, sql[isolation]);
}

bool pg_pipeline_undo(struct pg_conn *conn)
{
    return send_plain(conn, PG_SLOT_STEP, "ROLLBACK") && pg_pipeline_sync(conn);
}

enum pg_put pg_pipeline_put(struct pg_conn *conn, struct pg_query *query)
{
    const char *unnamed = NULL;
    struct pg_stmt *stmt = NULL;
    enum pg_put put = PG_PUT_OK;

    if (!query->comment.p)
        put = find_stmt(conn, query, &stmt);
    else if (!(unnamed = write_commented(conn->pool, query)))
        put = PG_PUT_NO_MEMORY;
    if (put != PG_PUT_OK)
        return put;
    query->state &= ~(unsigned)PG_QUERY_PREPARED;
    query->plan = query->text->plan;
    query->epoch = conn->epoch;
    if (!begin_undone(conn, query) || !set_isolation(conn, query))
        return PG_PUT_LOST;
    if (!(query->flags & (PG_SHARED | PG_TIDY)) && !discard_sequences(conn))
        return PG_PUT_LOST;
    conn->has_sequences |= (query->flags & PG_TIDY) != 0;
    if (!send_prelude(conn, query, /* is_before= */ true) ||
        !send_context(conn, query, query->plan) ||
        !send_prelude(conn, query, /* is_before= */ false) ||
        (stmt && !stmt->sync && !send_prepare(conn, query, stmt)) ||
        !send_query(conn, query, unnamed, stmt))
        return PG_PUT_LOST;
    return PG_PUT_OK;
}

/* ---- loans ---- */

bool pg_pipeline_begin(struct pg_conn *conn, bool is_read_only, hs_us idle_max)
{
    char ms[HS_U64_DIGITS_MAX + 1];
    const char *value[1] = {ms};

    if (!discard_sequences(conn))
        return false;
    *hs_u64_print((idle_max + HS_MS - 1) / HS_MS, ms) = '\0';
    if (!send_plain(conn, PG_SLOT_STEP,
                    is_read_only ? "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
                                 : "BEGIN ISOLATION LEVEL READ COMMITTED"))
        return false;
    if (idle_max) {
        if (!PQsendQueryParams(conn->pq,
                               "SELECT pg_catalog.set_config('idle_in_transaction_session_timeout',"
                               " $1, true)",
                               1, NULL, value, NULL, NULL, 0))
            return lost_sending(conn);
        push(conn, PG_SLOT_STEP, NULL, NULL);
    }
    return pg_pipeline_sync(conn) && pg_pipeline_launch(conn, hs_now_us());
}

bool pg_pipeline_step(struct pg_conn *conn, struct pg_query *query)
{
    struct context context;

    if (!send_prelude(conn, query, /* is_before= */ true))
        return false;
    fill_context(&context, conn->pool, query, PG_PLAN_AUTO, /* is_read_only= */ false);
    if (!PQsendQueryParams(conn->pq, SQL_CONTEXT_MODES, CONTEXT_VALUES, NULL, context.value, NULL,
                           NULL, 0))
        return lost_sending(conn);
    push(conn, PG_SLOT_CONTEXT, query, NULL);
    query->epoch = conn->epoch;
    if (!send_prelude(conn, query, /* is_before= */ false))
        return false;
    if (!PQsendQueryParams(conn->pq, query->sql.p, (int)query->n_params, NULL, query->params, NULL,
                           NULL, 0))
        return lost_sending(conn);
    note_sent(conn, query, NULL);
    return pg_pipeline_sync(conn) && pg_pipeline_launch(conn, hs_now_us());
}

/* Of a pool that closes nobody else gets the session. */
bool pg_pipeline_end(struct pg_conn *conn, const char *sql, bool is_write)
{
    return send_plain(conn, PG_SLOT_STEP, sql) && pg_pipeline_sync(conn) &&
           (!is_write || pg_pipeline_ask_position(conn, /* is_tidy= */ false)) &&
           (conn->pool->is_closing || pg_pipeline_clean(conn)) &&
           pg_pipeline_launch(conn, hs_now_us());
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
