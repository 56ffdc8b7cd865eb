/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pool_world.h"

#include <uv.h>

#include "core/hash.h"
#include "test.h"

static void on_beat(void *arg)
{
    (void)arg;
}

void world_init(struct world *w, const struct pg_cluster *cluster, const char *user)
{
    static struct hs_metrics *metrics; /* sets are never freed: one for all */

    memset(w, 0, sizeof(*w));
    w->cluster = cluster;
    metrics = metrics ? metrics : hs_metrics_new();
    assert_non_null(metrics);
    memset(metrics, 0, sizeof(*metrics));
    w->metrics = metrics;
    w->budget = (struct pg_budget){.max = 8, .min = 2, .workers = 1};
    (void)pg_cluster_url(cluster, user, w->url, sizeof(w->url));
    assert_int_equal(net_loop_new(&w->loop, NULL, NULL), HS_OK);
    assert_int_equal(net_timer_new(w->loop, on_beat, w, &w->beat, NULL), HS_OK);
    net_timer_start(w->beat, 5 * HS_MS, 5 * HS_MS);
    w->setup = (struct pg_pool_setup){
        .loop = w->loop,
        .metrics = metrics,
        .budget = &w->budget,
        .url = hs_str(w->url),
        .application_name = HS_STR("unit"),
        .connect_timeout = 20 * HS_SECOND,
        .acquire_timeout = 20 * HS_SECOND,
        .idle_timeout = 30 * HS_SECOND,
        .lifetime = 600 * HS_SECOND,
        .close_timeout = 5 * HS_SECOND,
        .reap_interval = 20 * HS_MS,
        .health_interval = 10 * HS_SECOND,
        .retry_min = 10 * HS_MS,
        .retry_max = 100 * HS_MS,
        .statement_timeout = 30 * HS_SECOND,
        .slow_query = 50 * HS_MS,
        .keepalive = 30 * HS_SECOND,
        .queue_max = 10000,
        .batch_max = 64,
        .statements_max = 100,
        .seed = 42,
    };
}

void world_open(struct world *w)
{
    struct hs_err err;

    if (pg_pool_new(&w->setup, &w->pool, &err))
        fail_msg("%s: %s", err.what, err.why);
}

void world_turn(struct world *w)
{
    (void)uv_run(net_loop_uv(w->loop), UV_RUN_ONCE);
}

void world_idle(struct world *w, unsigned ms)
{
    hs_us until = hs_now_us() + ms * HS_MS;

    while (hs_now_us() < until)
        world_turn(w);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

void world_close_pool(struct world *w)
{
    bool closed = false;

    pg_pool_close(w->pool, on_closed, &closed);
    assert_false(closed);
    while (!closed)
        world_turn(w);
    pg_pool_free(w->pool);
    w->pool = NULL;
}

void world_close(struct world *w)
{
    if (w->pool)
        world_close_pool(w);
    net_timer_free(w->beat);
    net_loop_free(w->loop);
    assert_int_equal(atomic_load(&w->budget.open), 0);
    assert_int_equal(atomic_load(&w->budget.lent), 0);
}

void world_remake(struct world *w, unsigned max)
{
    const struct pg_cluster *cluster = w->cluster;

    world_close(w);
    world_init(w, cluster, "app");
    if (max)
        w->budget.max = w->budget.min = max;
}

void world_wait_for_sleepers(struct world *w, long n)
{
    hs_us until = hs_now_us() + WAIT_MAX_MS * HS_MS;

    while (pg_cluster_sql(w->cluster, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                                      " AND wait_event = 'PgSleep'") < n) {
        world_idle(w, 5);
        if (hs_now_us() > until)
            fail_msg("nobody sleeps");
    }
}

static void on_answer(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct ask *a = query->arg;

    assert_false(a->is_done);
    assert_true(!rows == !!err);
    a->is_done = true;
    a->place = a->world->answered++;
    if (err) {
        a->err = *err;
        return;
    }
    a->rows = pg_rows_count(rows);
    a->affected = pg_rows_affected(rows);
    if (a->rows && pg_rows_columns(rows)) {
        struct hs_str value = pg_rows_value(rows, 0, 0);

        (void)snprintf(a->value, sizeof(a->value), "%s", value.p ? value.p : "(null)");
    }
}

void ask_again(struct ask *a)
{
    struct hs_err err;

    a->is_done = false;
    a->rows = 0;
    a->affected = 0;
    a->value[0] = '\0';
    hs_err_clear(&a->err);
    if (pg_pool_run(a->world->pool, &a->query, &err))
        fail_msg("%s: %s", err.what, err.why);
    assert_false(a->is_done);
}

void ask_make(struct world *w, struct ask *a, unsigned flags, struct hs_identity *who,
              const char *sql, const char *param)
{
    memset(a, 0, sizeof(*a));
    a->world = w;
    a->params[0] = param;
    a->query = (struct pg_query){
        .magic = PG_QUERY_MAGIC,
        .flags = flags,
        .sql = hs_str(sql),
        .sql_hash = hs_hash(hs_str(sql)),
        .who = who,
        .params = a->params,
        .n_params = param ? 1 : 0,
        .done = on_answer,
        .arg = a,
    };
}

void ask(struct world *w, struct ask *a, unsigned flags, struct hs_identity *who, const char *sql,
         const char *param)
{
    ask_make(w, a, flags, who, sql, param);
    ask_again(a);
}

void ask_wait(struct world *w, const struct ask *asks, size_t n)
{
    hs_us until = hs_now_us() + WAIT_MAX_MS * HS_MS;

    for (size_t i = 0; i < n; i++) {
        while (!asks[i].is_done) {
            world_turn(w);
            if (hs_now_us() > until)
                fail_msg("statement %zu of %zu was never answered", i, n);
        }
    }
}

void ask_value(struct world *w, unsigned flags, struct hs_identity *who, const char *sql,
               const char *expected)
{
    struct ask a;

    ask(w, &a, flags, who, sql, NULL);
    ask_wait(w, &a, 1);
    if (a.err.status)
        fail_msg("%s: %s %s", sql, a.err.what, a.err.why);
    assert_string_equal(a.value, expected);
}

uint64_t world_metric(const struct world *w, enum hs_metric_id id)
{
    return atomic_load(&w->metrics->value[id]);
}
