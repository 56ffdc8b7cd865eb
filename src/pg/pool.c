/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool of one worker: its connections, their number, their end.
 *
 * How many. Two connections (or max / workers, where that is less) are a worker's own; further ones
 * are taken from what the budget has left, with one compare-and-swap. One is opened when statements
 * wait and no open one may take them, one at a time (an opened one often empties the queue), and up to
 * the worker's share of `min` without being asked.
 *
 * Outage. After a failed attempt the pause doubles from retry_min to retry_max, give or take a quarter,
 * and attempts go on whether or not anyone asks, so recovery does not wait for a client.
 *
 * Rule: connections are opened, filled and freed from the hook alone (pool_int.h says why). The timers
 * only look, mark and move.
 */
#include "core/mem.h"
#include "pg/pool_int.h"

/* How late a statement may be looked at that was handed in behind the hook, or that is held back. */
enum { TICK_US = 2000 };
/* A statement with its comment. */
enum { COMMENTED_MAX = 16 << 20 };

/* ---- budget ---- */

static bool borrow(struct pg_budget *budget)
{
    unsigned own_all = budget->workers *
                       (budget->max / budget->workers < 2 ? budget->max / budget->workers : 2);
    unsigned lent = atomic_load_explicit(&budget->lent, memory_order_relaxed);

    do {
        if (own_all + lent >= budget->max)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->lent, &lent, lent + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static bool take_slot(struct pg_pool *pool, bool *ret_lent)
{
    struct pg_budget *budget = pool->setup.budget;

    *ret_lent = pool->own >= pool->own_max;
    if (*ret_lent && !borrow(budget))
        return false;
    if (*ret_lent)
        pool->lent++;
    else
        pool->own++;
    atomic_fetch_add_explicit(&budget->open, 1, memory_order_relaxed);
    return true;
}

static void give_slot(struct pg_pool *pool, bool is_lent)
{
    struct pg_budget *budget = pool->setup.budget;

    if (is_lent) {
        pool->lent--;
        atomic_fetch_sub_explicit(&budget->lent, 1, memory_order_relaxed);
    } else {
        pool->own--;
    }
    atomic_fetch_sub_explicit(&budget->open, 1, memory_order_relaxed);
}

/* ---- opening ---- */

static void on_retry(void *arg)
{
    struct pg_pool *pool = arg;

    HS_OBJ(pool, PG_POOL_MAGIC);
    pool->retry_on = false;
    pool->must_refill = true;
}

void pg_pool_open_failed(struct pg_pool *pool, const struct hs_err *err)
{
    hs_us now = hs_now_us();
    hs_us pause;

    pool->last_error = *err;
    hs_metric_add(pool->setup.metrics, HS_M_PG_CONNECT_FAILURES, 1);
    if (pool->retry_on)
        return;
    if (pool->failures++ == 0) {
        pool->failed_at = now;
        pool->retry_pause = pool->setup.retry_min;
    }
    pause = pool->retry_pause - pool->retry_pause / 4 +
            hs_rng_below(&pool->rng, pool->retry_pause / 2 + 1);
    pool->retry_pause *= 2;
    if (pool->retry_pause > pool->setup.retry_max)
        pool->retry_pause = pool->setup.retry_max;
    pool->retry_on = true;
    net_timer_start(pool->retry, pause, 0);
}

void pg_pool_opened(struct pg_pool *pool, struct pg_conn *conn)
{
    hs_us spread = pool->setup.lifetime / 10;
    hs_us now = hs_now_us();

    net_timer_free(conn->deadline);
    conn->deadline = NULL;
    pg_addresses_fini(&conn->addresses);
    conn->used_at = now;
    conn->heard_at = now;
    conn->statement_timeout = pool->setup.statement_timeout;
    conn->is_standby = pg_position_is_standby(conn);
    conn->expires_at = now + pool->setup.lifetime - spread +
                       hs_rng_below(&pool->rng, 2 * spread + 1);
    pool->failures = 0;
    pool->retry_on = false;
    net_timer_stop(pool->retry);
    hs_metric_add(pool->setup.metrics, HS_M_PG_CONNECTIONS, 1);
    hs_metric_add(pool->setup.metrics, HS_M_PG_CONNECTS, 1);
    pool->must_refill = true;
    pg_conn_move(conn, PG_CONN_IDLE);
    if (pool->setup.with_positions && pool->setup.connected)
        pool->setup.connected(pool->setup.connected_ctx, conn->epoch);
}

static bool open_one(struct pg_pool *pool)
{
    struct pg_conn *conn;
    struct hs_err err;
    bool is_lent;

    if (pool->retry_on || !take_slot(pool, &is_lent))
        return false;
    if (pg_conn_open(pool, &conn, &err)) {
        give_slot(pool, is_lent);
        pg_pool_open_failed(pool, &err);
        return false;
    }
    conn->is_lent = is_lent;
    return true;
}

static unsigned alive(const struct pg_pool *pool)
{
    return pool->n[PG_CONN_OPENING] + pool->n[PG_CONN_IDLE] + pool->n[PG_CONN_BUSY] +
           pool->n[PG_CONN_LENT];
}

/* During an outage one attempt at a time tells enough. */
static void open_more(struct pg_pool *pool, bool needs_conn)
{
    if (pool->must_refill) {
        pool->must_refill = false;
        while (alive(pool) < pool->min || (pool->failures && !alive(pool))) {
            if (!open_one(pool) || pool->failures)
                break;
        }
    }
    if (needs_conn && pool->n[PG_CONN_OPENING] == 0)
        (void)open_one(pool);
}

/* ---- the end of connections ---- */

static void sweep(struct pg_pool *pool)
{
    struct hs_list *node;

    while ((node = hs_list_first(&pool->conns[PG_CONN_BROKEN]))) {
        struct pg_conn *conn = HS_CONTAINER(node, struct pg_conn, node);

        give_slot(pool, conn->is_lent);
        pg_conn_free(conn);
    }
}

static void lose(struct pg_conn *conn, const char *why)
{
    struct hs_err err;

    hs_fail(&err, HS_E_PG_DOWN, "lost the connection to PostgreSQL");
    if (why)
        hs_err_why(&err, "%s", why);
    else
        pg_conn_why(conn, &err);
    pg_conn_lost(conn, &err);
}

/* The server went away: the others may be dead too, with the news still in their sockets. */
static void look_at_idle(struct pg_pool *pool)
{
    struct hs_list *idle = &pool->conns[PG_CONN_IDLE];
    struct hs_list *node = idle->next;

    pool->is_suspicious = false;
    while (node != idle) {
        struct pg_conn *conn = HS_CONTAINER(node, struct pg_conn, node);

        node = node->next;
        if (!PQconsumeInput(conn->pq))
            lose(conn, NULL);
    }
    pool->is_suspicious = false;
}

void pg_pool_conn_empty(struct pg_pool *pool, struct pg_conn *conn, hs_us now)
{
    conn->heard_at = now;
    if (conn->state == PG_CONN_LENT)
        return;
    conn->is_soiled = false;
    conn->is_promised = false;
    if (conn->was_used)
        conn->used_at = now;
    if (conn->is_lane) {
        conn->is_lane = false;
        pool->lanes--;
    }
    if (conn->state == PG_CONN_DRAINING || pool->is_closing || now >= conn->expires_at)
        pg_conn_close(conn);
    else if (conn->state == PG_CONN_BUSY)
        pg_conn_move(conn, PG_CONN_IDLE);
    conn->was_used = false;
}

/* LISTEN in a user's function would pile notifications up. */
static void drop_notifies(struct pg_conn *conn)
{
    PGnotify *notify;

    while ((notify = PQnotifies(conn->pq)))
        PQfreemem(notify);
}

static void check_health(struct pg_pool *pool, struct pg_conn *conn, hs_us now)
{
    if (now - conn->heard_at < pool->setup.health_interval)
        return;
    pg_conn_move(conn, PG_CONN_BUSY);
    if (pg_pipeline_sync(conn))
        (void)pg_pipeline_launch(conn, now);
}

/* database.pool.max was lowered. */
static bool is_one_too_many(const struct pg_pool *pool, const struct pg_conn *conn)
{
    const struct pg_budget *budget = pool->setup.budget;

    return conn->is_lent && atomic_load_explicit(&budget->open, memory_order_relaxed) >
                                atomic_load_explicit(&budget->max, memory_order_relaxed);
}

/* The list runs from the most to the least recently used; above min, the old ones go. */
static void reap_idle(struct pg_pool *pool, hs_us now)
{
    struct hs_list *idle = &pool->conns[PG_CONN_IDLE];
    struct hs_list *node = idle->prev;

    while (node != idle) {
        struct pg_conn *conn = HS_CONTAINER(node, struct pg_conn, node);

        node = node->prev;
        drop_notifies(conn);
        if (now >= conn->expires_at || is_one_too_many(pool, conn) ||
            (alive(pool) > pool->min && now - conn->used_at >= pool->setup.idle_timeout))
            pg_conn_close(conn);
        else
            check_health(pool, conn, now);
    }
}

static hs_us patience_with(const struct pg_pool *pool, const struct pg_conn *conn)
{
    if (conn->state == PG_CONN_LENT && !pg_pipeline_in_flight(conn) && !conn->cancel)
        return UINT64_MAX;
    if (conn->state == PG_CONN_LENT && !conn->timeout)
        return conn->statement_timeout + pool->setup.close_timeout;
    if (conn->timeout)
        return conn->timeout + pool->setup.close_timeout;
    return pool->setup.connect_timeout;
}

static void reap_busy(struct pg_pool *pool, enum pg_conn_state state, hs_us now)
{
    struct hs_list *list = &pool->conns[state];
    struct hs_list *node = list->next;

    while (node != list) {
        struct pg_conn *conn = HS_CONTAINER(node, struct pg_conn, node);

        node = node->next;
        drop_notifies(conn);
        if (conn->loan)
            pg_loan_look(conn->loan);
        if (now - conn->mark > patience_with(pool, conn))
            lose(conn, "It did not answer in time.");
        else if (state == PG_CONN_BUSY && now >= conn->expires_at)
            pg_conn_move(conn, PG_CONN_DRAINING);
    }
}

static void on_reap(void *arg)
{
    struct pg_pool *pool = arg;
    hs_us now = hs_now_us();

    HS_OBJ(pool, PG_POOL_MAGIC);
    reap_idle(pool, now);
    reap_busy(pool, PG_CONN_BUSY, now);
    reap_busy(pool, PG_CONN_LENT, now);
    reap_busy(pool, PG_CONN_DRAINING, now);
    pool->must_refill = true;
}

/* ---- the turn ---- */

void pg_pool_start_tick(struct pg_pool *pool)
{
    if (pool->tick_on || pool->is_closing)
        return;
    pool->tick_on = true;
    net_timer_start(pool->tick, TICK_US, TICK_US);
}

static void on_tick(void *arg)
{
    struct pg_pool *pool = arg;

    HS_OBJ(pool, PG_POOL_MAGIC);
    if ((pool->waiting || pool->loans_waiting_n) && !pool->is_paused)
        return; /* the hook comes after every timer */
    net_timer_stop(pool->tick);
    pool->tick_on = false;
}

static bool is_known_down(const struct pg_pool *pool, hs_us now)
{
    return pool->failures && !pool->is_paused && !pg_pool_open_count(pool) &&
           now - pool->failed_at >= pool->setup.acquire_timeout;
}

static void finish_closing(struct pg_pool *pool)
{
    if (pool->is_closed || alive(pool) || pool->n[PG_CONN_DRAINING] || pool->n[PG_CONN_BROKEN])
        return;
    pool->is_closed = true;
    net_timer_stop(pool->closer);
    pool->closed(pool->closed_arg);
}

static void close_turn(struct pg_pool *pool)
{
    struct hs_list *node;
    struct hs_err err;

    hs_fail(&err, HS_E_SHUTDOWN, "the server is shutting down");
    pg_pool_pause_fail(pool);
    pg_pool_queue_fail(pool, &err, hs_now_us());
    pg_loans_close(pool, &err);
    while ((node = hs_list_first(&pool->conns[PG_CONN_OPENING])))
        pg_conn_close(HS_CONTAINER(node, struct pg_conn, node));
    while ((node = hs_list_first(&pool->conns[PG_CONN_IDLE])))
        pg_conn_close(HS_CONTAINER(node, struct pg_conn, node));
    sweep(pool);
    finish_closing(pool);
}

static void report_waiting(struct pg_pool *pool)
{
    hs_metric_set(pool->setup.metrics, HS_M_PG_WAITING, pool->waiting);
    hs_metric_set(pool->setup.metrics, HS_M_PG_CONNECTIONS_BUSY,
                  pool->n[PG_CONN_BUSY] + pool->n[PG_CONN_LENT] + pool->n[PG_CONN_DRAINING]);
}

static bool work(struct pg_pool *pool, hs_us now)
{
    bool needs_conn = false;

    if (pool->loans_waiting_n || !hs_list_is_empty(&pool->loans_todo))
        needs_conn = pg_loans_turn(pool, now);
    if (pool->waiting && !pool->is_paused)
        needs_conn |= pg_pool_queue_dispatch(pool, now);
    return needs_conn;
}

static void on_turn(struct net_hook *hook)
{
    struct pg_pool *pool = HS_CONTAINER(hook, struct pg_pool, hook);
    bool needs_conn;

    HS_OBJ(pool, PG_POOL_MAGIC);
    if (pool->is_closing) {
        close_turn(pool);
        return;
    }
    sweep(pool);
    if (pool->is_suspicious)
        look_at_idle(pool);
    needs_conn = work(pool, hs_now_us());
    if (pool->is_paused)
        pg_pool_pause_turn(pool);
    else if (needs_conn || pool->must_refill)
        open_more(pool, needs_conn);
    report_waiting(pool);
    sweep(pool);
}

/* Repeated statements keep their place: in front. */
void pg_pool_requeue(struct pg_pool *pool, struct pg_query *query, unsigned state)
{
    pg_pool_drop_text(query);
    query->state |= state | PG_QUERY_QUEUED;
    query->queued_at = hs_now_us();
    hs_list_prepend(&pool->fresh, &query->node);
    pool->waiting++;
    pg_pool_start_tick(pool);
}

/* ---- the public face ---- */

hs_status pg_pool_admit(const struct pg_pool *pool, hs_us now, struct hs_err *reterr)
{
    if (pool->is_closing)
        return hs_fail(reterr, HS_E_SHUTDOWN, "the server is shutting down");
    if (pool->waiting + pool->loans_waiting_n >= pool->setup.queue_max) {
        hs_fail(reterr, HS_E_BUSY, "too many statements wait for a database connection");
        hs_err_why(reterr, "database.pool.queue_max is %zu.", pool->setup.queue_max);
        return HS_E_BUSY;
    }
    if (is_known_down(pool, now)) {
        hs_fail(reterr, HS_E_PG_DOWN, "PostgreSQL cannot be reached");
        hs_err_why(reterr, "%s",
                   pool->last_error.why[0] ? pool->last_error.why : pool->last_error.what);
        return HS_E_PG_DOWN;
    }
    return HS_OK;
}

hs_status pg_pool_run(struct pg_pool *pool, struct pg_query *query, struct hs_err *reterr)
{
    hs_us now = hs_now_us();
    hs_status status;

    HS_OBJ(pool, PG_POOL_MAGIC);
    HS_OBJ(query, PG_QUERY_MAGIC);
    if (query->loan) {
        pg_loan_run(query->loan, query);
        return HS_OK;
    }
    status = pg_pool_admit(pool, now, reterr);
    if (status)
        return status;
    if (query->n_params > UINT16_MAX)
        return hs_fail(reterr, HS_E_LIMIT, "a statement has %zu parameters; 65535 are possible",
                       query->n_params);
    query->submitted_at = now;
    query->queued_at = now;
    query->state = PG_QUERY_QUEUED;
    query->conflicts = 0;
    query->epoch = 0;
    query->position = 0;
    query->text = NULL;
    hs_list_append(&pool->fresh, &query->node);
    pool->waiting++;
    pg_pool_start_tick(pool);
    return HS_OK;
}

void pg_pool_state(const struct pg_pool *pool, struct pg_pool_state *ret_state)
{
    ret_state->open = pg_pool_open_count(pool);
    ret_state->busy = pool->n[PG_CONN_BUSY] + pool->n[PG_CONN_LENT] + pool->n[PG_CONN_DRAINING];
    ret_state->waiting = pool->waiting + pool->loans_waiting_n;
    ret_state->is_paused = pool->is_paused;
    ret_state->is_up = ret_state->open > 0 || pool->failures == 0;
    ret_state->last_error = &pool->last_error;
}

static void on_close_timeout(void *arg)
{
    struct pg_pool *pool = arg;
    static const enum pg_conn_state states[] = {PG_CONN_BUSY, PG_CONN_LENT, PG_CONN_DRAINING};
    struct hs_list *node;
    struct hs_err err;

    HS_OBJ(pool, PG_POOL_MAGIC);
    hs_fail(&err, HS_E_SHUTDOWN, "the server is shutting down");
    for (size_t i = 0; i < HS_LEN(states); i++) {
        while ((node = hs_list_first(&pool->conns[states[i]])))
            pg_conn_lost(HS_CONTAINER(node, struct pg_conn, node), &err);
    }
}

void pg_pool_close(struct pg_pool *pool, void (*done)(void *arg), void *arg)
{
    struct hs_list *busy = &pool->conns[PG_CONN_BUSY];

    HS_OBJ(pool, PG_POOL_MAGIC);
    HS_BUG_ON(pool->is_closing);
    pool->is_closing = true;
    pool->closed = done;
    pool->closed_arg = arg;
    net_timer_stop(pool->reap);
    net_timer_stop(pool->retry);
    net_timer_stop(pool->tick);
    while (!hs_list_is_empty(busy))
        pg_conn_move(HS_CONTAINER(hs_list_first(busy), struct pg_conn, node), PG_CONN_DRAINING);
    net_timer_start(pool->closer, pool->setup.close_timeout, 0);
}

static hs_status make_timers(struct pg_pool *pool, struct hs_err *reterr)
{
    struct net_loop *loop = pool->setup.loop;
    hs_status status = net_timer_new(loop, on_tick, pool, &pool->tick, reterr);

    if (!status)
        status = net_timer_new(loop, on_reap, pool, &pool->reap, reterr);
    if (!status)
        status = net_timer_new(loop, on_retry, pool, &pool->retry, reterr);
    if (!status)
        status = net_timer_new(loop, on_close_timeout, pool, &pool->closer, reterr);
    if (!status)
        status = net_timer_new(loop, pg_pool_pause_over, pool, &pool->pause_end, reterr);
    return status;
}

void pg_pool_share_min(struct pg_pool *pool)
{
    const struct pg_budget *budget = pool->setup.budget;
    unsigned min = atomic_load_explicit(&budget->min, memory_order_relaxed);

    pool->min = min / budget->workers + (pool->ticket % budget->workers < min % budget->workers);
}

static void join(struct pg_pool *pool)
{
    struct pg_budget *budget = pool->setup.budget;
    unsigned each = budget->max / budget->workers;

    pool->own_max = each < 2 ? each : 2;
    pool->ticket = atomic_fetch_add_explicit(&budget->joined, 1, memory_order_relaxed);
    pg_pool_share_min(pool);
    if (pool->ticket == 0)
        hs_metric_set(pool->setup.metrics, HS_M_PG_CONNECTIONS_MAX, budget->max);
}

static hs_status init(struct pg_pool *pool, struct hs_err *reterr)
{
    const struct pg_pool_setup *setup = &pool->setup;
    hs_status status = pg_params_new(setup, &pool->params, reterr);

    if (status)
        return status;
    /* The texts were copied into params. */
    pool->setup.url = HS_STR_NULL;
    pool->setup.application_name = HS_STR_NULL;
    pool->timed = hs_calloc(pg_pipeline_slots(setup), sizeof(*pool->timed));
    if (!pool->timed || !pg_texts_init(&pool->texts, 4 * setup->statements_max))
        return hs_fail_memory(reterr);
    return make_timers(pool, reterr);
}

hs_status pg_pool_new(const struct pg_pool_setup *setup, struct pg_pool **ret_pool,
                      struct hs_err *reterr)
{
    struct pg_pool *pool = hs_calloc(1, sizeof(*pool));
    hs_status status;

    HS_BUG_ON(setup->budget->workers == 0 || setup->budget->max < setup->budget->workers);
    HS_BUG_ON(setup->batch_max == 0 || setup->statements_max == 0);
    if (!pool)
        return hs_fail_memory(reterr);
    pool->magic = PG_POOL_MAGIC;
    pool->setup = *setup;
    pool->rng.state = setup->seed;
    for (unsigned i = 0; i < PG_CONN_STATES; i++)
        hs_list_init(&pool->conns[i]);
    hs_list_init(&pool->fresh);
    hs_list_init(&pool->gathered);
    hs_list_init(&pool->shared);
    hs_list_init(&pool->exclusive);
    hs_list_init(&pool->slow);
    hs_list_init(&pool->later);
    hs_list_init(&pool->loans_waiting);
    hs_list_init(&pool->loans_todo);
    hs_list_init(&pool->loans_open);
    hs_list_init(&pool->cancels);
    hs_buf_init(&pool->commented, COMMENTED_MAX);
    hs_list_init(&pool->hook.node);
    status = init(pool, reterr);
    if (status) {
        pg_pool_free(pool);
        return status;
    }
    join(pool);
    pool->must_refill = true;
    pool->hook.run = on_turn;
    net_loop_hook(setup->loop, &pool->hook);
    net_timer_start(pool->reap, setup->reap_interval, setup->reap_interval);
    *ret_pool = pool;
    return HS_OK;
}

void pg_pool_free(struct pg_pool *pool)
{
    if (!pool)
        return;
    HS_OBJ(pool, PG_POOL_MAGIC);
    HS_BUG_ON(pool->own || pool->lent || pool->waiting || pool->loans || pool->loans_waiting_n);
    net_loop_unhook(&pool->hook);
    net_timer_free(pool->tick);
    net_timer_free(pool->reap);
    net_timer_free(pool->retry);
    net_timer_free(pool->closer);
    net_timer_free(pool->pause_end);
    pg_cancels_fini(pool);
    hs_buf_fini(&pool->commented);
    pg_gather_fini(pool);
    pg_texts_fini(&pool->texts);
    pg_params_free(pool->params);
    hs_free(pool->timed);
    hs_free(pool->text_search);
    pool->magic = 0;
    hs_free(pool);
}
