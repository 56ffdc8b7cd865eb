/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancels the statement of a lent connection. PQcancel() blocks until the server has closed the request, so
 * it runs on another thread; the connection is not used before it came back, since a late cancel would hit
 * the next statement, of somebody else. A cancel may outlive its connection, and the pool.
 */
#include "core/mem.h"
#include "pg/pool_int.h"

/* A thread of libuv's few may be held for as long as connecting to a server that is gone. */
enum { CANCELS_MAX = 2, CANCEL_ERROR = 256 };

struct pg_cancel {
    struct net_work work;
    PGcancel *request;
    struct hs_list node;  /* in pool->cancels */
    struct pg_conn *conn; /* NULL = was freed meanwhile, and perhaps the pool too */
};

static void cancel_run(struct net_work *work)
{
    const struct pg_cancel *cancel = HS_CONTAINER(work, struct pg_cancel, work);
    char error[CANCEL_ERROR];

    /* If it fails the statement goes on to its timeout, and the connection with it. */
    (void)PQcancel(cancel->request, error, sizeof(error));
}

static void cancel_done(struct net_work *work)
{
    struct pg_cancel *cancel = HS_CONTAINER(work, struct pg_cancel, work);
    struct pg_conn *conn = cancel->conn;

    hs_list_remove(&cancel->node);
    if (conn) {
        conn->cancel = NULL;
        if (conn->loan)
            pg_loan_cancelled(conn->loan);
    }
    PQfreeCancel(cancel->request);
    hs_free(cancel);
}

void pg_cancel_forget(struct pg_cancel *cancel)
{
    cancel->conn = NULL;
}

/* What is still under way finds its list gone. */
void pg_cancels_fini(struct pg_pool *pool)
{
    while (hs_list_pop(&pool->cancels))
        ;
}

static bool has_too_many(const struct hs_list *cancels)
{
    unsigned n = 0;

    for (const struct hs_list *node = cancels->next; node != cancels; node = node->next)
        n++;
    return n >= CANCELS_MAX;
}

/*
 * Without memory it is tried again (pg_loan_look): to give the connection up would leave its statement and
 * the locks of its transaction behind.
 */
void pg_cancel_start(struct pg_conn *conn)
{
    struct pg_pool *pool = conn->pool;
    struct pg_cancel *cancel;

    if (conn->cancel || has_too_many(&pool->cancels))
        return;
    cancel = hs_calloc(1, sizeof(*cancel));
    if (!cancel)
        return;
    cancel->work = (struct net_work){cancel_run, cancel_done};
    cancel->conn = conn;
    hs_list_init(&cancel->node);
    cancel->request = PQgetCancel(conn->pq);
    if (!cancel->request || net_work_start(pool->setup.loop, &cancel->work, NULL)) {
        PQfreeCancel(cancel->request);
        hs_free(cancel);
        return;
    }
    conn->cancel = cancel;
    hs_list_append(&pool->cancels, &cancel->node);
    hs_metric_add(pool->setup.metrics, HS_M_PG_CANCELS, 1);
}
