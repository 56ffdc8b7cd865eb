/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many reads by key become one statement.
 *
 *     key = 7  key = 3  key = 7      (one text, one caller's identity, waiting together)
 *     key = ANY (ARRAY[7, 3, 7, 7])  (sent in their place; its rows go to whom they belong)
 *
 * Starting and describing a statement costs PostgreSQL and libpq several times what one row by key does
 * (measured, 13 columns, 16 keys: 23 us a row one by one, 10 us gathered, client included), so this is
 * the largest single saving for single-row reads.
 *
 * Rule: only reads that may share a Sync, of the same text and by the same role with the same claims,
 * are gathered: what the caller may see is decided by the same policies in the same snapshot. A key is
 * gathered only in the one form in which PostgreSQL prints it, and rows are matched by its value. If the
 * gathered statement fails, each read is run again by itself and gets its own answer or error.
 *
 * The leader is a query like others: it is batched, repeated and measured as such.
 */
#include "pg/pool_int.h"

#include "core/mem.h"

enum { GATHER_SCAN = 256, GATHER_SPARE = 16 };

struct pg_gathered {
    struct pg_query leader;
    struct pg_pool *pool;
    struct hs_list spare;
    size_t n;
    struct pg_query *member[PG_GATHER_MAX];
    int64_t key[PG_GATHER_MAX];
    size_t row[PG_GATHER_MAX];
    const char *params[PG_GATHER_MAX];
};

/* "0", "7", "-7": as PostgreSQL prints it. */
static bool read_key(const char *text, int64_t *ret_key)
{
    struct hs_str s = hs_str(text);
    const char *digits = s.n && s.p[0] == '-' ? s.p + 1 : s.p;

    if (!s.n || (digits[0] == '0' && s.n > 1))
        return false;
    return hs_str_to_i64(s, ret_key);
}

static bool may_gather(const struct pg_query *query, int64_t *ret_key)
{
    enum { BY_ITSELF = PG_QUERY_ALONE | PG_QUERY_REPEATED | PG_QUERY_REPARSED | PG_QUERY_LEADER };

    return query->gather && !query->comment.p && !(query->state & BY_ITSELF) &&
           query->n_params == 1 && query->params[0] && read_key(query->params[0], ret_key);
}

/* ---- spare ones ---- */

static struct pg_gathered *take_spare(struct pg_pool *pool)
{
    struct hs_list *node = hs_list_pop(&pool->gathered);
    struct pg_gathered *g;

    if (node) {
        pool->gathered_n--;
        g = HS_CONTAINER(node, struct pg_gathered, spare);
    } else {
        g = hs_malloc(sizeof(*g));
    }
    if (!g)
        return NULL;
    g->leader = (struct pg_query){.magic = PG_QUERY_MAGIC, .flags = PG_SHARED | PG_REPEATABLE};
    hs_list_init(&g->leader.node);
    hs_list_init(&g->spare);
    g->pool = pool;
    g->n = 0;
    return g;
}

static void give_back(struct pg_gathered *g)
{
    struct pg_pool *pool = g->pool;

    if (pool->gathered_n >= GATHER_SPARE) {
        hs_free(g);
        return;
    }
    hs_list_append(&pool->gathered, &g->spare);
    pool->gathered_n++;
}

void pg_gather_fini(struct pg_pool *pool)
{
    struct hs_list *node;

    while ((node = hs_list_pop(&pool->gathered)))
        hs_free(HS_CONTAINER(node, struct pg_gathered, spare));
}

/* ---- answers ---- */

static void hand_out(struct pg_gathered *g, const struct pg_rows *rows, hs_us now)
{
    size_t n_rows = pg_rows_count(rows);
    size_t column = g->member[0]->gather->key_column;

    for (size_t i = 0; i < g->n; i++)
        g->row[i] = SIZE_MAX;
    for (size_t r = 0; r < n_rows; r++) {
        struct hs_str text = pg_rows_value(rows, r, column);
        int64_t key = 0;
        bool is_known = text.p && hs_str_to_i64(text, &key);

        for (size_t i = 0; i < g->n && is_known; i++) {
            if (g->key[i] == key)
                g->row[i] = r;
        }
    }
    for (size_t i = 0; i < g->n; i++) {
        struct pg_rows one = {.res = rows->res, .first = g->row[i], .count = 1};

        if (g->row[i] == SIZE_MAX)
            one.first = one.count = 0;
        g->member[i]->epoch = g->leader.epoch;
        pg_pool_finish(g->pool, g->member[i], &one, NULL, now);
    }
}

static void on_done(struct pg_query *leader, const struct pg_rows *rows, const struct hs_err *err)
{
    struct pg_gathered *g = leader->arg;
    hs_us now = hs_now_us();

    if (rows) {
        hand_out(g, rows, now);
    } else if (err->sqlstate[0] && !g->pool->is_closing) {
        /* Backwards: each goes to the front of the queue. */
        hs_metric_add(g->pool->setup.metrics, HS_M_PG_QUERIES_REPEATED, g->n);
        for (size_t i = g->n; i-- > 0;)
            pg_pool_requeue(g->pool, g->member[i], PG_QUERY_ALONE);
    } else {
        for (size_t i = 0; i < g->n; i++)
            pg_pool_finish(g->pool, g->member[i], NULL, err, now);
    }
    give_back(g);
}

/* ---- questions ---- */

/* The smallest statement that takes them all; what it takes beyond is the last key once more. */
static bool write_question(struct pg_gathered *g, const struct pg_gather *gather)
{
    struct pg_query *leader = &g->leader;
    size_t size = 0;

    while ((size_t)2 << size < g->n)
        size++;
    leader->sql = gather->sql[size];
    leader->sql_hash = gather->sql_hash[size];
    leader->params = g->params;
    leader->n_params = (size_t)2 << size;
    for (size_t i = 0; i < leader->n_params; i++)
        g->params[i] = g->member[i < g->n ? i : g->n - 1]->params[0];
    leader->text = pg_texts_get(&g->pool->texts, leader->sql, leader->sql_hash);
    return leader->text != NULL;
}

static void take_member(struct pg_gathered *g, struct pg_query *query, int64_t key)
{
    pg_pool_leave(g->pool, query);
    g->member[g->n] = query;
    g->key[g->n++] = key;
}

static void take_companions(struct pg_gathered *g, const struct pg_query *first,
                            struct hs_list *node)
{
    struct pg_pool *pool = g->pool;
    size_t most = pool->setup.batch_max < PG_GATHER_MAX ? pool->setup.batch_max : PG_GATHER_MAX;

    for (size_t n = 0; node != &pool->shared && n < GATHER_SCAN && g->n < most; n++) {
        struct pg_query *query = HS_CONTAINER(node, struct pg_query, node);
        int64_t key;

        node = node->next;
        if (query->text == first->text && may_gather(query, &key) &&
            pg_query_same_caller(query, first))
            take_member(g, query, key);
    }
}

/* Is there another one that goes with the first? Most queues of many callers hold none. */
static struct hs_list *find_companion(struct pg_pool *pool, const struct pg_query *first)
{
    struct hs_list *node = first->node.next;
    int64_t key;

    for (size_t n = 0; node != &pool->shared && n < GATHER_SCAN; n++, node = node->next) {
        const struct pg_query *query = HS_CONTAINER(node, struct pg_query, node);

        if (query->text == first->text && pg_query_same_caller(query, first) &&
            may_gather(query, &key))
            return node;
    }
    return NULL;
}

/* Without memory they go back to where they were, and go one by one. */
static void scatter(struct pg_gathered *g)
{
    struct pg_pool *pool = g->pool;

    for (size_t i = g->n; i-- > 0;) {
        g->member[i]->state |= PG_QUERY_QUEUED | PG_QUERY_ALONE;
        hs_list_prepend(&pool->exclusive, &g->member[i]->node);
        pool->waiting++;
    }
    give_back(g);
}

void pg_gather(struct pg_pool *pool)
{
    struct hs_list *node = hs_list_first(&pool->shared);
    struct pg_query *first = node ? HS_CONTAINER(node, struct pg_query, node) : NULL;
    struct hs_list *companion;
    struct pg_gathered *g;
    int64_t key;

    if (!first || !may_gather(first, &key))
        return;
    companion = find_companion(pool, first);
    g = companion ? take_spare(pool) : NULL;
    if (!g)
        return;
    g->leader.who = first->who;
    g->leader.statement_timeout_ms = first->statement_timeout_ms;
    g->leader.done = on_done;
    g->leader.arg = g;
    g->leader.state = PG_QUERY_LEADER | PG_QUERY_QUEUED;
    g->leader.submitted_at = first->submitted_at;
    g->leader.queued_at = first->queued_at;
    take_member(g, first, key);
    take_companions(g, first, companion);
    if (!write_question(g, first->gather)) {
        scatter(g);
        return;
    }
    hs_list_prepend(&pool->shared, &g->leader.node);
    pool->waiting++;
    hs_metric_add(pool->setup.metrics, HS_M_PG_GATHERED, g->n);
}
