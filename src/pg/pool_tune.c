/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other times and bounds for a pool that runs. Whatever is looked up when it is needed is simply set; what a
 * session was given when it began (statement_timeout, application_name, keepalive) cannot be taken back, so
 * those connections are treated as if their lifetime were over: idle ones close, busy ones finish first.
 */
#include "pg/pool_int.h"

/* What a session begins with; the parameters know it as text. */
static bool is_same_session(const struct pg_params *a, const struct pg_params *b)
{
    return strcmp(a->options, b->options) == 0 &&
           strcmp(a->application_name, b->application_name) == 0 &&
           strcmp(a->keepalive, b->keepalive) == 0;
}

static void expire(struct hs_list *conns)
{
    for (struct hs_list *node = conns->next; node != conns; node = node->next)
        HS_CONTAINER(node, struct pg_conn, node)->expires_at = 0;
}

/* Those that are opening may have been given the old ones. */
static void renew_sessions(struct pg_pool *pool)
{
    struct hs_list *node;

    expire(&pool->conns[PG_CONN_IDLE]);
    expire(&pool->conns[PG_CONN_BUSY]);
    expire(&pool->conns[PG_CONN_LENT]);
    while ((node = hs_list_first(&pool->conns[PG_CONN_OPENING])))
        pg_conn_close(HS_CONTAINER(node, struct pg_conn, node));
}

static void take_setup(struct pg_pool *pool, const struct pg_pool_setup *setup)
{
    struct pg_pool_setup *to = &pool->setup;

    to->connect_timeout = setup->connect_timeout;
    to->acquire_timeout = setup->acquire_timeout;
    to->idle_timeout = setup->idle_timeout;
    to->lifetime = setup->lifetime;
    to->close_timeout = setup->close_timeout;
    to->reap_interval = setup->reap_interval;
    to->health_interval = setup->health_interval;
    to->retry_min = setup->retry_min;
    to->retry_max = setup->retry_max;
    to->statement_timeout = setup->statement_timeout;
    to->slow_query = setup->slow_query;
    to->keepalive = setup->keepalive;
    to->queue_max = setup->queue_max;
}

hs_status pg_pool_tune(struct pg_pool *pool, const struct pg_pool_setup *setup,
                       struct hs_err *reterr)
{
    struct pg_params *params;
    hs_status status;

    HS_OBJ(pool, PG_POOL_MAGIC);
    if (pool->is_closing)
        return HS_OK;
    status = pg_params_new(setup, &params, reterr);
    if (status)
        return status;
    take_setup(pool, setup);
    if (!is_same_session(params, pool->params))
        renew_sessions(pool);
    pg_params_free(pool->params);
    pool->params = params;
    pg_pool_share_min(pool);
    if (pool->ticket == 0)
        hs_metric_set(pool->setup.metrics, HS_M_PG_CONNECTIONS_MAX,
                      atomic_load(&pool->setup.budget->max));
    pool->must_refill = true;
    net_timer_start(pool->reap, /* delay= */ 0, setup->reap_interval);
    return HS_OK;
}
