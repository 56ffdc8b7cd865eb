/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One PostgreSQL connection: from a name to a session that is set up, and its end.
 *
 *     resolve each host -> PQconnectStart -> PQconnectPoll ... -> set-up batch -> IDLE
 *
 * Rule: nothing here blocks, and libpq may close or change its socket in any PQconnectPoll, so the
 * watch on it is dropped before each and made anew after it (a closed descriptor leaves epoll by
 * itself, and libuv would not notice that its number came back as another socket).
 *
 * A connection that ends is only moved to BROKEN; the pool's hook frees it, when no function of it is
 * on the stack. Source: PostgreSQL 15 manual, 34.1.
 */
#include <sys/ioctl.h>

#include "core/mem.h"
#include "net/ssl_pending.h"
#include "pg/pool_int.h"

/*
 * Of results that take long to come; the least that libpq reads at once; and how much longer those may be whose end
 * would cost more than an answer: a stream's page, and a write, of which nobody would know whether it was done.
 */
enum { BUSY_TURNS = 4, READ_LEAST = 8192, LENIENCE = 4 };

static void advance(struct pg_conn *conn);
static void resolve_next(struct pg_conn *conn);

void pg_conn_why(const struct pg_conn *conn, struct hs_err *err)
{
    struct hs_str text = hs_str(conn->pq ? PQerrorMessage(conn->pq) : "");
    struct hs_str line = hs_str_trim(hs_str_cut(&text, '\n'));

    hs_err_why(err, "%.*s", HS_FMT(line));
}

void pg_conn_move(struct pg_conn *conn, enum pg_conn_state state)
{
    struct pg_pool *pool = conn->pool;

    HS_OBJ(conn, PG_CONN_MAGIC);
    HS_BUG_ON(conn->state == PG_CONN_BROKEN);
    HS_BUG_ON(state == PG_CONN_IDLE && pg_pipeline_in_flight(conn) != 0);
    pool->n[conn->state]--;
    hs_list_remove(&conn->node);
    conn->state = state;
    pool->n[state]++;
    /* The most recently used is taken first, so that the others can become old. */
    if (state == PG_CONN_IDLE && conn->was_used)
        hs_list_prepend(&pool->conns[state], &conn->node);
    else
        hs_list_append(&pool->conns[state], &conn->node);
}

static void disarm(struct pg_conn *conn)
{
    net_timer_free(conn->deadline);
    conn->deadline = NULL;
    net_resolve_cancel(conn->resolving);
    conn->resolving = NULL;
    pg_addresses_fini(&conn->addresses);
}

static void count_state(struct pg_conn *conn, bool was_open)
{
    struct hs_metrics *metrics = conn->pool->setup.metrics;

    if (conn->is_lane) {
        conn->is_lane = false;
        conn->pool->lanes--;
    }
    if (was_open)
        hs_metric_sub(metrics, HS_M_PG_CONNECTIONS, 1);
}

static void end(struct pg_conn *conn)
{
    bool was_open = conn->state != PG_CONN_OPENING;

    disarm(conn);
    net_poll_free(conn->poll);
    conn->poll = NULL;
    count_state(conn, was_open);
    pg_conn_move(conn, PG_CONN_BROKEN);
}

void pg_conn_lost(struct pg_conn *conn, const struct hs_err *err)
{
    bool was_opening = conn->state == PG_CONN_OPENING;
    struct pg_pool *pool = conn->pool;

    HS_OBJ(conn, PG_CONN_MAGIC);
    end(conn);
    pool->last_error = *err;
    if (was_opening) {
        pg_pool_open_failed(pool, err);
    } else {
        hs_metric_add(pool->setup.metrics, HS_M_PG_CONNECTIONS_LOST, 1);
        pool->is_suspicious = true;
    }
    pool->must_refill = true;
    pg_pipeline_abandon(conn, err);
}

void pg_conn_close(struct pg_conn *conn)
{
    HS_BUG_ON(conn->state != PG_CONN_OPENING && pg_pipeline_in_flight(conn) != 0);
    end(conn);
    pg_pipeline_abandon(conn, /* err= */ NULL);
    conn->pool->must_refill = true;
}

/* PQfinish sends a Terminate message if it still can; the socket does not block. */
void pg_conn_free(struct pg_conn *conn)
{
    struct pg_pool *pool = conn->pool;

    HS_BUG_ON(conn->state != PG_CONN_BROKEN);
    hs_list_remove(&conn->node);
    pool->n[PG_CONN_BROKEN]--;
    if (conn->cancel)
        pg_cancel_forget(conn->cancel);
    PQclear(conn->held);
    PQfinish(conn->pq);
    pg_stmts_fini(&conn->stmts);
    hs_free(conn->slot);
    conn->magic = 0;
    hs_free(conn);
}

static void fail_open(struct pg_conn *conn, const char *what)
{
    struct hs_err err;

    hs_fail(&err, HS_E_PG_DOWN, "could not connect to PostgreSQL");
    if (what)
        hs_err_why(&err, "%s", what);
    else
        pg_conn_why(conn, &err);
    pg_conn_lost(conn, &err);
}

/* ---- an open connection ---- */

static void lose(struct pg_conn *conn, struct hs_err *err)
{
    if (conn->state == PG_CONN_OPENING)
        hs_fail(err, HS_E_PG_DOWN, "could not connect to PostgreSQL");
    else
        hs_fail(err, HS_E_PG_DOWN, "lost the connection to PostgreSQL");
    pg_conn_why(conn, err);
    pg_conn_lost(conn, err);
}

/* How much waits in the socket; 0 where a result has just begun to come: short ones pay nothing. */
static size_t waiting(const struct pg_conn *conn)
{
    int n = 0;

    if (conn->busy_turns < BUSY_TURNS || !conn->pool->setup.result_max)
        return 0;
    return ioctl(PQsocket(conn->pq), FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

/*
 * Counts what libpq has taken: what is less than before, or the least that it reads at once. More may have come in
 * between, so that is a lower bound.
 */
static bool is_too_long(struct pg_conn *conn, size_t before)
{
    size_t after = before ? waiting(conn) : 0;
    size_t taken = before < READ_LEAST ? before : READ_LEAST;

    if (before > after && before - after > taken)
        taken = before - after;
    conn->coming += taken;
    return taken && conn->coming / (pg_pipeline_is_read_coming(conn) ? 1 : LENIENCE) >
                        conn->pool->setup.result_max;
}

static bool refuse_result(struct pg_conn *conn)
{
    struct hs_err err;

    hs_fail(&err, HS_E_BAD_PARAMETER, "the answer would be longer than server.answer.max");
    hs_err_hint(&err, "Ask for fewer rows, fields or relations.");
    pg_pipeline_refuse(conn, &err);
    hs_fail(&err, HS_E_PG_DOWN, "gave up a connection whose result was too long to be held");
    pg_conn_lost(conn, &err);
    return false;
}

static bool read_all(struct pg_conn *conn)
{
    struct hs_err err;

    do {
        size_t before = waiting(conn);
        int is_alive = PQconsumeInput(conn->pq);

        if (is_too_long(conn, before))
            return refuse_result(conn);
        if (!pg_pipeline_read(conn, hs_now_us(), &err)) {
            pg_conn_lost(conn, &err);
            return false;
        }
        if (conn->state == PG_CONN_BROKEN)
            return false;
        if (!is_alive || PQstatus(conn->pq) == CONNECTION_BAD) {
            lose(conn, &err);
            return false;
        }
    } while (PQsslInUse(conn->pq) && net_ssl_pending(PQsslStruct(conn->pq, "OpenSSL")));
    return true;
}

static void on_ready(void *arg, int events, int error)
{
    struct pg_conn *conn = arg;
    struct hs_err err;
    int pending = 0;

    HS_OBJ(conn, PG_CONN_MAGIC);
    if (error) {
        lose(conn, &err);
        return;
    }
    if ((events & NET_READABLE) && !read_all(conn))
        return;
    if (events & NET_WRITABLE)
        pending = PQflush(conn->pq);
    if (pending < 0)
        lose(conn, &err);
    else if (events & NET_WRITABLE)
        pg_conn_watch(conn, pending > 0);
}

void pg_conn_watch(struct pg_conn *conn, bool is_writing)
{
    struct hs_err err;

    if (net_poll_set(conn->poll, NET_READABLE | (is_writing ? NET_WRITABLE : 0), &err))
        pg_conn_lost(conn, &err);
}

/* ---- opening ---- */

static void ignore_notice(void *arg, const PGresult *res)
{
    (void)arg;
    (void)res;
}

static void set_up(struct pg_conn *conn)
{
    struct hs_err err;

    net_poll_free(conn->poll);
    conn->poll = NULL;
    if (PQsetnonblocking(conn->pq, 1) || !PQenterPipelineMode(conn->pq)) {
        fail_open(conn, NULL);
        return;
    }
    if (net_poll_new(conn->pool->setup.loop, PQsocket(conn->pq), on_ready, conn, &conn->poll,
                     &err)) {
        pg_conn_lost(conn, &err);
        return;
    }
    conn->mark = hs_now_us();
    if (pg_pipeline_setup(conn))
        pg_conn_watch(conn, PQflush(conn->pq) > 0);
}

static void on_connecting(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    advance(arg);
}

static void advance(struct pg_conn *conn)
{
    PostgresPollingStatusType next;
    struct hs_err err;
    int events;

    HS_OBJ(conn, PG_CONN_MAGIC);
    net_poll_free(conn->poll);
    conn->poll = NULL;
    next = PQconnectPoll(conn->pq);
    if (next == PGRES_POLLING_OK) {
        set_up(conn);
        return;
    }
    if (next == PGRES_POLLING_FAILED || PQsocket(conn->pq) < 0) {
        fail_open(conn, NULL);
        return;
    }
    events = next == PGRES_POLLING_WRITING ? NET_WRITABLE : NET_READABLE;
    if (net_poll_new(conn->pool->setup.loop, PQsocket(conn->pq), on_connecting, conn, &conn->poll,
                     &err) ||
        net_poll_set(conn->poll, events, &err))
        pg_conn_lost(conn, &err);
}

/* "Behave as if the last PQconnectPoll said WRITING", says the manual of PQconnectStart. */
static void start(struct pg_conn *conn)
{
    struct hs_err err;

    conn->pq = pg_params_start(conn->pool->params, &conn->addresses);
    if (!conn->pq) {
        hs_fail_memory(&err);
        pg_conn_lost(conn, &err);
        return;
    }
    PQsetNoticeReceiver(conn->pq, ignore_notice, NULL);
    if (PQstatus(conn->pq) == CONNECTION_BAD || PQsocket(conn->pq) < 0) {
        fail_open(conn, NULL);
        return;
    }
    if (net_poll_new(conn->pool->setup.loop, PQsocket(conn->pq), on_connecting, conn, &conn->poll,
                     &err) ||
        net_poll_set(conn->poll, NET_WRITABLE, &err))
        pg_conn_lost(conn, &err);
}

/* A name that does not resolve is left out as long as another host is left. */
static void on_resolved(void *arg, const char *const *addresses, size_t n, const struct hs_err *err)
{
    struct pg_conn *conn = arg;
    const struct pg_host *host = &conn->pool->params->host[conn->next_host++];

    HS_OBJ(conn, PG_CONN_MAGIC);
    conn->resolving = NULL;
    if (err)
        conn->pool->last_error = *err;
    for (size_t i = 0; i < n; i++)
        pg_addresses_add(&conn->addresses, host, addresses[i]);
    resolve_next(conn);
}

static void resolve_next(struct pg_conn *conn)
{
    const struct pg_params *params = conn->pool->params;
    struct hs_err err;

    while (conn->next_host < params->n_hosts) {
        const struct pg_host *host = &params->host[conn->next_host];

        if (!host->must_resolve) {
            pg_addresses_add(&conn->addresses, host, host->hostaddr);
            conn->next_host++;
            continue;
        }
        if (!net_resolve_start(conn->pool->setup.loop, host->name, on_resolved, conn,
                               &conn->resolving, &err))
            return;
        pg_conn_lost(conn, &err);
        return;
    }
    if (conn->addresses.n) {
        start(conn);
        return;
    }
    err = conn->pool->last_error;
    pg_conn_lost(conn, &err);
}

static void on_deadline(void *arg)
{
    struct pg_conn *conn = arg;

    HS_OBJ(conn, PG_CONN_MAGIC);
    fail_open(conn, "No answer within database.pool.connect_timeout.");
}

static void conn_discard(struct pg_conn *conn)
{
    net_timer_free(conn->deadline);
    pg_stmts_fini(&conn->stmts);
    hs_free(conn->slot);
    hs_free(conn);
}

static hs_status conn_new(struct pg_pool *pool, struct pg_conn **ret_conn, struct hs_err *reterr)
{
    struct pg_conn *conn = hs_calloc(1, sizeof(*conn));
    hs_status status;

    if (!conn)
        return hs_fail_memory(reterr);
    conn->magic = PG_CONN_MAGIC;
    conn->pool = pool;
    conn->syncs = 1;
    conn->slots = pg_pipeline_slots(&pool->setup);
    conn->slot = hs_calloc(conn->slots, sizeof(*conn->slot));
    pg_addresses_init(&conn->addresses);
    if (!conn->slot || !pg_stmts_init(&conn->stmts, pool->setup.statements_max)) {
        conn_discard(conn);
        return hs_fail_memory(reterr);
    }
    status = net_timer_new(pool->setup.loop, on_deadline, conn, &conn->deadline, reterr);
    if (status) {
        conn_discard(conn);
        return status;
    }
    *ret_conn = conn;
    return HS_OK;
}

hs_status pg_conn_open(struct pg_pool *pool, struct pg_conn **ret_conn, struct hs_err *reterr)
{
    struct pg_conn *conn = NULL;
    hs_status status = conn_new(pool, &conn, reterr);

    if (!conn)
        return status;
    conn->state = PG_CONN_OPENING;
    hs_list_init(&conn->node);
    hs_list_append(&pool->conns[PG_CONN_OPENING], &conn->node);
    pool->n[PG_CONN_OPENING]++;
    net_timer_start(conn->deadline, pool->setup.connect_timeout, 0);
    *ret_conn = conn;
    resolve_next(conn);
    return HS_OK;
}
