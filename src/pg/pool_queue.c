/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which statement runs where, and when.
 *
 * Batches form where queries meet, so one connection is filled before a second is used:
 *   - an idle connection sends at once;
 *   - one with a flight under way takes a second flight, which the server begins while we read the
 *     first; with two under way, statements are held back so that the next flight is a large one
 *     (measured, 64 callers: one flight at a time leaves the server idle while we read; more than two
 *     make small batches);
 *   - only what would wait longer than HOLD_US by the measured times of what is in flight goes to
 *     another connection, and nothing goes behind a head that has been running for HEAD_US.
 *
 * Slow statements (on average above slow_query) run alone, each on a connection that takes nothing
 * else meanwhile (a lane); one connection is always left to the fast ones if there are two.
 *
 * Rule: decisions use `now` and counters only; a queue is a list in order of age.
 */
#include "pg/pool_int.h"

enum { HEAD_US = 5000, HOLD_US = 2000, SLOW_SCAN_MAX = 64, SURPRISE = 4 };
/* After a clash: 10 to 20 ms, 20 to 40, 40 to 80. */
enum { RETRY_TIMES = 3 };
static const hs_us RETRY_US = 10 * HS_MS;

/* ---- ends ---- */

void pg_pool_leave(struct pg_pool *pool, struct pg_query *query)
{
    hs_list_remove(&query->node);
    query->state &= ~(unsigned)PG_QUERY_QUEUED;
    pool->waiting--;
}

void pg_pool_drop_text(struct pg_query *query)
{
    if (!query->text)
        return;
    if (query->state & PG_QUERY_PROBE)
        query->text->is_probing = false;
    query->state &= ~(unsigned)PG_QUERY_PROBE;
    pg_text_unref(query->text);
    query->text = NULL;
}

void pg_pool_finish(struct pg_pool *pool, struct pg_query *query, const struct pg_rows *rows,
                    const struct hs_err *err, hs_us now)
{
    bool is_leader = query->state & PG_QUERY_LEADER;

    pg_pool_drop_text(query);
    query->state = 0;
    if (!is_leader)
        hs_metric_observe(pool->setup.metrics, HS_M_PG_DURATION, now - query->submitted_at);
    query->done(query, rows, err);
}

static void fail_waiting(struct pg_pool *pool, struct pg_query *query, const struct hs_err *err,
                         hs_us now)
{
    pg_pool_leave(pool, query);
    pg_pool_finish(pool, query, NULL, err, now);
}

void pg_pool_queue_fail(struct pg_pool *pool, const struct hs_err *err, hs_us now)
{
    struct hs_list *queues[] = {&pool->fresh, &pool->shared, &pool->exclusive, &pool->slow,
                                &pool->later};

    for (size_t i = 0; i < HS_LEN(queues); i++) {
        struct hs_list all;
        struct hs_list *node;

        /* done() may hand in more; only what waits now is ended. */
        hs_list_init(&all);
        hs_list_append_all(&all, queues[i]);
        while ((node = hs_list_first(&all)))
            fail_waiting(pool, HS_CONTAINER(node, struct pg_query, node), err, now);
    }
}

void pg_pool_orphan(struct pg_pool *pool, struct pg_query *query, const struct hs_err *err)
{
    struct hs_err unknown;

    if (!pg_query_is_write(query) && !(query->state & PG_QUERY_REPEATED) && !pool->is_closing) {
        hs_metric_add(pool->setup.metrics, HS_M_PG_QUERIES_REPEATED, 1);
        pg_pool_requeue(pool, query, PG_QUERY_REPEATED);
        return;
    }
    hs_err_clear(&unknown);
    if (err)
        unknown = *err;
    if (pg_query_is_write(query)) {
        hs_fail(&unknown, HS_E_OUTCOME_UNKNOWN,
                "lost the connection to PostgreSQL while a statement ran; its outcome is unknown");
        hs_err_why(&unknown, "%s", err && err->why[0] ? err->why : err ? err->what : "");
    }
    pg_pool_finish(pool, query, NULL, &unknown, hs_now_us());
}

/*
 * What one read completed shares the time since the connection's last progress, in proportion to what
 * each was expected to take; runs of one text that stand together are one measurement. Where that time
 * is surprisingly long, or something was parsed, perhaps on a session with cold caches, the shares tell
 * nothing: then each of them is suspect, and runs alone until it is known.
 */
void pg_pool_measure(struct pg_pool *pool, double us, bool is_lane)
{
    hs_us slow = pool->setup.slow_query;
    bool is_fair = true;
    bool is_surprise;
    double sum = 0;

    for (size_t i = 0; i < pool->timed_n; i++) {
        sum += (double)pool->timed[i].expected_us;
        is_fair &= pool->timed[i].is_fair;
    }
    is_surprise = us > (double)slow && us > sum * SURPRISE && !is_lane;
    for (size_t i = 0; i < pool->timed_n; i++) {
        const struct pg_timed *timed = &pool->timed[i];

        if (i && timed->text == timed[-1].text)
            continue;
        if (is_surprise)
            timed->text->is_suspect = true;
        else if (is_fair)
            pg_text_measured(timed->text, timed->plan, us * (double)timed->expected_us / sum,
                             is_lane, slow);
    }
}

/* ---- unwanted ones ---- */

/* True = nobody waits for it any more, and it was ended. */
static bool drop_unwanted(struct pg_pool *pool, struct pg_query *query, hs_us now)
{
    struct hs_err err;

    if (!query->is_unwanted || !*query->is_unwanted || pg_query_is_write(query))
        return false;
    hs_fail(&err, HS_E_SHUTDOWN, "the client left before the statement was sent");
    err.http = 499;
    fail_waiting(pool, query, &err, now);
    return true;
}

static struct hs_list *first_wanted(struct pg_pool *pool, struct hs_list *queue, hs_us now)
{
    struct hs_list *node;

    while ((node = hs_list_first(queue))) {
        if (!drop_unwanted(pool, HS_CONTAINER(node, struct pg_query, node), now))
            return node;
    }
    return NULL;
}

/* ---- sorting ---- */

/*
 * Slow statements and writes have connections of their own. A write waits for the disk: behind it others
 * would wait too, and as many as commit at the same time share one flush of the log.
 */
static bool has_lane(const struct pg_pool *pool, const struct pg_query *query)
{
    return pg_query_is_write(query) || pg_text_is_slow(query->text, pool->setup.slow_query);
}

static void sort_one(struct pg_pool *pool, struct pg_query *query, hs_us now)
{
    struct hs_list *to = &pool->exclusive;

    if (drop_unwanted(pool, query, now))
        return;
    if (!query->text)
        query->text = pg_texts_get(&pool->texts, query->sql, query->sql_hash);
    if (!query->text) {
        struct hs_err err;

        hs_fail_memory(&err);
        fail_waiting(pool, query, &err, now);
        return;
    }
    hs_list_remove(&query->node);
    if (has_lane(pool, query))
        to = &pool->slow;
    else if ((query->flags & PG_SHARED) && !(query->state & PG_QUERY_ALONE))
        to = &pool->shared;
    if (query->state & (PG_QUERY_ALONE | PG_QUERY_REPEATED | PG_QUERY_REPARSED))
        hs_list_prepend(to, &query->node);
    else
        hs_list_append(to, &query->node);
}

static void sort_fresh(struct pg_pool *pool, hs_us now)
{
    struct hs_list all;
    struct hs_list *node;

    hs_list_init(&all);
    hs_list_append_all(&all, &pool->fresh);
    while ((node = hs_list_first(&all)))
        sort_one(pool, HS_CONTAINER(node, struct pg_query, node), now);
}

/* ---- trying again ---- */

/*
 * What clashed may clash again with the same others: each waits for a time of its own. True = it waits.
 * The statements of a batch that share a Sync never come here: they do not write.
 */
bool pg_pool_retry(struct pg_pool *pool, struct pg_query *query, const char *sqlstate, hs_us now)
{
    hs_us pause = RETRY_US << query->conflicts;
    struct hs_list *at = pool->later.prev;

    if (strcmp(sqlstate, "40001") != 0 && strcmp(sqlstate, "40P01") != 0)
        return false;
    if ((query->flags & PG_SHARED) || query->conflicts >= RETRY_TIMES || pool->is_closing)
        return false;
    query->conflicts++;
    pg_pool_requeue(pool, query, 0);
    query->queued_at = now + pause + hs_rng_below(&pool->rng, pause + 1);
    hs_list_remove(&query->node);
    while (at != &pool->later &&
           HS_CONTAINER(at, struct pg_query, node)->queued_at > query->queued_at)
        at = at->prev;
    hs_list_prepend(at->next, &query->node);
    hs_metric_add(pool->setup.metrics, HS_M_PG_WRITES_REPEATED, 1);
    return true;
}

static void take_due(struct pg_pool *pool, hs_us now)
{
    struct hs_list *node;

    while ((node = hs_list_first(&pool->later)) &&
           HS_CONTAINER(node, struct pg_query, node)->queued_at <= now) {
        hs_list_remove(node);
        hs_list_append(&pool->fresh, node);
    }
}

/* ---- waiting too long ---- */

static void shift(struct hs_list *queue, hs_us since, hs_us now)
{
    for (struct hs_list *node = queue->next; node != queue; node = node->next) {
        struct pg_query *query = HS_CONTAINER(node, struct pg_query, node);

        query->queued_at = query->queued_at < since ? now - (since - query->queued_at) : now;
    }
}

void pg_pool_queue_shift(struct pg_pool *pool, hs_us since, hs_us now)
{
    shift(&pool->fresh, since, now);
    shift(&pool->shared, since, now);
    shift(&pool->exclusive, since, now);
    shift(&pool->slow, since, now);
    shift(&pool->later, since, now);
}

void pg_pool_expire_error(const struct pg_pool *pool, struct hs_err *err)
{
    if (pool->failures && !pg_pool_open_count(pool)) {
        hs_fail(err, HS_E_PG_DOWN, "PostgreSQL cannot be reached");
        hs_err_why(err, "%s",
                   pool->last_error.why[0] ? pool->last_error.why : pool->last_error.what);
        return;
    }
    hs_fail(err, HS_E_PG_ACQUIRE, "no database connection became free within %llu ms",
            (unsigned long long)(pool->setup.acquire_timeout / HS_MS));
}

static void expire(struct pg_pool *pool, hs_us now)
{
    struct hs_list *queues[] = {&pool->shared, &pool->exclusive, &pool->slow};
    struct hs_err err;

    for (size_t i = 0; i < HS_LEN(queues); i++) {
        struct hs_list *node;

        while ((node = first_wanted(pool, queues[i], now))) {
            struct pg_query *query = HS_CONTAINER(node, struct pg_query, node);

            if (now - query->queued_at < pool->setup.acquire_timeout)
                break;
            pg_pool_expire_error(pool, &err);
            if (err.status == HS_E_PG_ACQUIRE)
                hs_metric_add(pool->setup.metrics, HS_M_PG_ACQUIRE_TIMEOUTS, 1);
            fail_waiting(pool, query, &err, now);
        }
    }
}

/* ---- sending ---- */

static void put_back(struct hs_list *queue, struct pg_pool *pool, struct pg_query *query)
{
    hs_list_prepend(queue, &query->node);
    query->state |= PG_QUERY_QUEUED;
    pool->waiting++;
}

/* Takes one that waits and writes it. */
static enum pg_put send_one(struct pg_pool *pool, struct pg_conn *conn, struct hs_list *queue,
                            struct hs_list *node, hs_us now)
{
    struct pg_query *query = HS_CONTAINER(node, struct pg_query, node);
    enum pg_put put;

    pg_pool_leave(pool, query);
    put = pg_pipeline_put(conn, query);
    if (put == PG_PUT_FULL || put == PG_PUT_LOST) {
        put_back(queue, pool, query);
    } else if (put == PG_PUT_NO_MEMORY) {
        struct hs_err err;

        hs_fail_memory(&err);
        pg_pool_finish(pool, query, NULL, &err, now);
    }
    return put;
}

static bool send_shared(struct pg_pool *pool, struct pg_conn *conn, hs_us now, bool *ret_full)
{
    struct hs_list *node;

    while (conn->batch < pool->setup.batch_max && first_wanted(pool, &pool->shared, now) &&
           pg_pipeline_has_room(conn)) {
        enum pg_put put;

        pg_gather(pool);
        node = hs_list_first(&pool->shared);
        put = send_one(pool, conn, &pool->shared, node, now);

        if (put == PG_PUT_LOST)
            return false;
        *ret_full = put == PG_PUT_FULL;
        if (*ret_full)
            break;
    }
    return !conn->batch || pg_pipeline_sync(conn);
}

/* What follows an exclusive statement in its flight, from its Sync on. */
static bool end_exclusive(struct pg_conn *conn, bool is_undone, bool is_write, bool is_clean)
{
    return pg_pipeline_sync(conn) && (!is_undone || pg_pipeline_undo(conn)) &&
           (!is_write || is_undone || pg_pipeline_ask_position(conn, is_clean)) &&
           (is_clean || pg_pipeline_clean(conn));
}

static bool send_exclusive(struct pg_pool *pool, struct pg_conn *conn, struct hs_list *queue,
                           unsigned most, hs_us now)
{
    struct hs_list *node;

    for (unsigned n = 0;
         n < most && pg_pipeline_has_room(conn) && (node = first_wanted(pool, queue, now)); n++) {
        const struct pg_query *query = HS_CONTAINER(node, struct pg_query, node);
        bool is_clean = query->flags & (PG_SHARED | PG_TIDY);
        bool is_write = pg_query_is_write(query);
        bool is_undone = pg_query_rolls_back(query);
        enum pg_put put = send_one(pool, conn, queue, node, now);

        if (put == PG_PUT_LOST)
            return false;
        if (put == PG_PUT_FULL)
            break;
        if (put == PG_PUT_OK && !end_exclusive(conn, is_undone, is_write, is_clean))
            return false;
        if (conn->is_soiled)
            break;
    }
    return true;
}

/* Ends a fill. Nothing sent (no memory, no room): the connection stays as it was. */
static bool launch(struct pg_conn *conn, unsigned before, hs_us now)
{
    if (conn->tail == before)
        return true;
    if (conn->state == PG_CONN_IDLE)
        pg_conn_move(conn, PG_CONN_BUSY);
    return pg_pipeline_launch(conn, now);
}

static bool fill(struct pg_pool *pool, struct pg_conn *conn, hs_us now)
{
    unsigned before = conn->tail;
    bool is_full = false;

    if (!hs_list_is_empty(&conn->stmts.dropped) && !pg_pipeline_deallocate(conn))
        return false;
    if (!send_shared(pool, conn, now, &is_full))
        return false;
    if (!is_full && !send_exclusive(pool, conn, &pool->exclusive, PG_EXCLUSIVE_MAX, now))
        return false;
    return launch(conn, before, now) && conn->tail != before;
}

static bool takes_more(const struct pg_conn *conn, hs_us now)
{
    hs_us age = now - conn->mark;

    return !conn->is_lane && !conn->is_soiled && !conn->is_promised &&
           conn->flights < PG_FLIGHTS_MAX && age < HEAD_US &&
           conn->expected_us < (double)(age + HOLD_US) && pg_pipeline_has_room(conn);
}

/* Soon back with an answer, so that waiting for it makes a larger batch. */
static bool is_worth_waiting(const struct pg_conn *conn, hs_us now)
{
    hs_us age = now - conn->mark;

    return !conn->is_lane && !conn->is_promised && age < HEAD_US &&
           conn->expected_us < (double)(age + HOLD_US);
}

/* The connection for the next fill; NULL = none, then *ret_wait tells whether to wait for one. */
static struct pg_conn *pick(struct pg_pool *pool, hs_us now, bool *ret_wait)
{
    struct hs_list *busy = &pool->conns[PG_CONN_BUSY];
    struct hs_list *idle = hs_list_first(&pool->conns[PG_CONN_IDLE]);

    *ret_wait = false;
    for (struct hs_list *node = busy->next; node != busy; node = node->next) {
        struct pg_conn *conn = HS_CONTAINER(node, struct pg_conn, node);

        if (takes_more(conn, now))
            return conn;
        *ret_wait |= is_worth_waiting(conn, now);
    }
    if (*ret_wait && pool->waiting <= pool->setup.batch_max)
        return NULL;
    if (idle)
        return HS_CONTAINER(idle, struct pg_conn, node);
    return NULL;
}

/* ---- slow statements ---- */

static struct pg_conn *pick_lane(struct pg_pool *pool)
{
    struct hs_list *idle = hs_list_first(&pool->conns[PG_CONN_IDLE]);

    if (!idle || (pg_pool_shared_count(pool) < 2 && pool->own_max > 1))
        return NULL;
    return HS_CONTAINER(idle, struct pg_conn, node);
}

/* It was not sent: the next try starts afresh. */
static void back_to_slow(struct pg_pool *pool, struct hs_list *one)
{
    struct hs_list *node = hs_list_first(one);
    struct pg_query *query = node ? HS_CONTAINER(node, struct pg_query, node) : NULL;

    if (query && (query->state & PG_QUERY_PROBE)) {
        query->state &= ~(unsigned)PG_QUERY_PROBE;
        query->text->is_probing = false;
    }
    hs_list_append_all(&pool->slow, one);
}

static void send_slow(struct pg_pool *pool, struct pg_conn *conn, struct pg_query *query, hs_us now)
{
    unsigned before = conn->tail;
    struct hs_list one;

    query->state |= PG_QUERY_ALONE;
    if (query->text->is_suspect) {
        query->state |= PG_QUERY_PROBE;
        query->text->is_probing = true;
    }
    conn->is_lane = true;
    pool->lanes++;
    hs_list_remove(&query->node);
    hs_list_init(&one);
    hs_list_append(&one, &query->node);
    if (hs_list_is_empty(&conn->stmts.dropped) || pg_pipeline_deallocate(conn)) {
        if (send_exclusive(pool, conn, &one, 1, now))
            (void)launch(conn, before, now);
    }
    back_to_slow(pool, &one);
    if (conn->is_lane && conn->tail == before) {
        conn->is_lane = false;
        pool->lanes--;
    }
}

/* True = a slow statement waits for a connection. */
static bool dispatch_slow(struct pg_pool *pool, hs_us now)
{
    struct hs_list *node = pool->slow.next;

    for (unsigned n = 0; node != &pool->slow && n < SLOW_SCAN_MAX; n++) {
        struct pg_query *query = HS_CONTAINER(node, struct pg_query, node);
        struct pg_conn *conn;

        node = node->next;
        if (drop_unwanted(pool, query, now))
            continue;
        if (!has_lane(pool, query)) {
            hs_list_remove(&query->node);
            hs_list_append((query->flags & PG_SHARED) && !(query->state & PG_QUERY_ALONE)
                               ? &pool->shared
                               : &pool->exclusive,
                           &query->node);
            continue;
        }
        if (query->text->is_suspect && query->text->is_probing)
            continue;
        conn = pick_lane(pool);
        if (!conn)
            return true;
        send_slow(pool, conn, query, now);
    }
    return false;
}

bool pg_pool_queue_dispatch(struct pg_pool *pool, hs_us now)
{
    bool needs_conn;
    bool can_wait = false;

    take_due(pool, now);
    sort_fresh(pool, now);
    expire(pool, now);
    needs_conn = !hs_list_is_empty(&pool->slow) && dispatch_slow(pool, now);
    while (!hs_list_is_empty(&pool->shared) || !hs_list_is_empty(&pool->exclusive)) {
        struct pg_conn *conn = pick(pool, now, &can_wait);

        if (!conn)
            return needs_conn || !can_wait || pool->waiting > pool->setup.batch_max;
        if (!fill(pool, conn, now) && conn->state != PG_CONN_BROKEN)
            return needs_conn;
    }
    return needs_conn;
}
