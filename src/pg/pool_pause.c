/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pause: nothing new is sent and no connection opened, what runs is through soon, and what has become
 * idle is closed by the hook. Statements wait in their queues as ever. A failed write that waits to be
 * tried again waits too: it does not run.
 *
 * Rule: whoever asked is told once, and by then the pool is in the state that it is told of.
 */
#include "pg/pool_int.h"

static void tell(struct pg_pool *pool, bool is_paused)
{
    void (*paused)(void *arg, bool is_paused) = pool->paused;

    pool->paused = NULL;
    if (paused)
        paused(pool->paused_arg, is_paused);
}

static void close_all(struct pg_pool *pool, enum pg_conn_state state)
{
    struct hs_list *node;

    while ((node = hs_list_first(&pool->conns[state])))
        pg_conn_close(HS_CONTAINER(node, struct pg_conn, node));
}

/* Those that broke are freed by the hook in a moment, which is when PostgreSQL hears of it. */
void pg_pool_pause_turn(struct pg_pool *pool)
{
    close_all(pool, PG_CONN_OPENING);
    close_all(pool, PG_CONN_IDLE);
    if (!pool->paused || pg_pool_open_count(pool))
        return;
    if (pool->n[PG_CONN_BROKEN])
        net_loop_again(pool->setup.loop);
    else
        tell(pool, /* is_paused= */ true);
}

hs_status pg_pool_pause(struct pg_pool *pool, hs_us deadline,
                        void (*done)(void *arg, bool is_paused), void *arg, struct hs_err *reterr)
{
    hs_us now = hs_now_us();

    HS_OBJ(pool, PG_POOL_MAGIC);
    if (pool->is_closing)
        return hs_fail(reterr, HS_E_SHUTDOWN, "the server is shutting down");
    if (pool->is_paused)
        return hs_fail(reterr, HS_E_BUSY, "the database is paused already");
    pool->is_paused = true;
    pool->paused_at = now;
    pool->paused = done;
    pool->paused_arg = arg;
    hs_metric_set(pool->setup.metrics, HS_M_PG_PAUSED, 1);
    net_timer_start(pool->pause_end, deadline > now ? deadline - now : 0, 0);
    net_loop_again(pool->setup.loop);
    return HS_OK;
}

/* Attempts that failed before the pause say nothing about what stands there now. */
void pg_pool_resume(struct pg_pool *pool)
{
    hs_us now = hs_now_us();

    HS_OBJ(pool, PG_POOL_MAGIC);
    if (!pool->is_paused)
        return;
    pool->is_paused = false;
    hs_metric_set(pool->setup.metrics, HS_M_PG_PAUSED, 0);
    net_timer_stop(pool->pause_end);
    net_timer_stop(pool->retry);
    pool->retry_on = false;
    pool->failures = 0;
    pool->must_refill = true;
    pg_pool_queue_shift(pool, pool->paused_at, now);
    pg_loans_shift(pool, pool->paused_at, now);
    if (pool->waiting || pool->loans_waiting_n)
        pg_pool_start_tick(pool);
    net_loop_again(pool->setup.loop);
    tell(pool, /* is_paused= */ false);
}

void pg_pool_pause_over(void *arg)
{
    pg_pool_resume(arg);
}

void pg_pool_pause_fail(struct pg_pool *pool)
{
    if (!pool->is_paused)
        return;
    pool->is_paused = false;
    hs_metric_set(pool->setup.metrics, HS_M_PG_PAUSED, 0);
    net_timer_stop(pool->pause_end);
    tell(pool, /* is_paused= */ false);
}
