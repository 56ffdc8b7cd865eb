/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The change stream's words become the cache's stamps: each call of the feed is one call of the state.
 *
 * Nothing here can fail a request: where the stream is not to be had, the state has no feed, nothing is kept, and
 * the feed says why in the log and goes on trying.
 */
#include "cmd/coherence.h"

#include <pthread.h>

#include "cache/store.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "net/crypto.h"
#include "pg/feed.h"

enum { TABLES_MAX = 65536, SWEEP_PARTS = 32, SWEEP_MIN = 1000 };

struct coherence {
    struct coherence_setup setup;
    struct api_cache cache;
    struct pg_feed *feed;
    struct hs_metrics *metrics;
    pthread_t thread;
    bool has_thread;
    _Atomic uint64_t generation;
};

/* ---- the stream's words ---- */

static struct cache_state *state_of(void *ctx)
{
    return ((struct coherence *)ctx)->cache.state;
}

static void on_begin(void *ctx, uint64_t epoch, uint64_t begun)
{
    cache_feed_begin(state_of(ctx), epoch, begun);
}

static void on_table(void *ctx, uint32_t oid, const uint32_t *ancestors, size_t n_ancestors,
                     uint64_t floor)
{
    cache_feed_table(state_of(ctx), oid, ancestors, n_ancestors, floor);
}

static void on_identity(void *ctx, uint32_t oid, const struct hs_str *columns, size_t n)
{
    cache_feed_identity(state_of(ctx), oid, columns, n);
}

static void on_change(void *ctx, const struct hs_change *change)
{
    cache_feed_change(state_of(ctx), change);
}

static void on_truncate(void *ctx, uint32_t oid, uint64_t stamp)
{
    cache_feed_truncate(state_of(ctx), oid, stamp);
}

static void on_position(void *ctx, uint64_t position)
{
    cache_feed_position(state_of(ctx), position);
}

static void on_fence(void *ctx, uint64_t fence)
{
    cache_feed_fence(state_of(ctx), fence);
}

static void on_proof(void *ctx, hs_us sampled_at)
{
    cache_feed_proof(state_of(ctx), sampled_at);
}

static void on_catalog(void *ctx, uint64_t generation, hs_us looked_at)
{
    struct coherence *c = ctx;
    uint64_t before = atomic_load(&c->generation);

    if (generation != before)
        cache_feed_catalog(c->cache.state, hs_now_us());
    cache_feed_poll(c->cache.state, generation, looked_at);
    atomic_store(&c->generation, generation);
    if (generation != before)
        c->setup.changed(c->setup.ctx);
}

static void on_end(void *ctx, const struct hs_err *why)
{
    (void)why;
    cache_feed_end(state_of(ctx));
}

static void on_feed_paused(void *ctx)
{
    struct coherence *c = ctx;

    c->setup.paused(c->setup.ctx);
}

static bool is_pending(void *ctx)
{
    return cache_feed_pending(state_of(ctx));
}

static uint64_t wanted(void *ctx)
{
    return cache_feed_wanted(state_of(ctx));
}

static const struct pg_feed_ops ops = {
    .begin = on_begin,
    .table = on_table,
    .identity = on_identity,
    .change = on_change,
    .truncate = on_truncate,
    .position = on_position,
    .fence = on_fence,
    .proof = on_proof,
    .catalog = on_catalog,
    .end = on_end,
    .paused = on_feed_paused,
    .is_pending = is_pending,
    .wanted = wanted,
};

static void wake_feed(void *ctx)
{
    pg_feed_wake(((struct coherence *)ctx)->feed);
}

/* ---- life ---- */

static hs_status make_state(struct coherence *c, struct hs_err *reterr)
{
    const struct conf *conf = c->setup.conf;
    struct cache_state_setup setup = {
        .stamps = 1,
        .tables_max = TABLES_MAX,
        .shapes_max = conf->cache_shapes_max,
        .table_shapes_max = conf->cache_table_shapes_max,
        .max_staleness = conf->cache_max_staleness,
        .wake = wake_feed,
        .wake_ctx = c,
    };

    while (setup.stamps < conf->cache_stamps)
        setup.stamps *= 2;
    net_random(setup.tag_key, sizeof(setup.tag_key));
    return cache_state_new(&setup, &c->cache.state, reterr);
}

static hs_status make_store(struct coherence *c, struct hs_err *reterr)
{
    const struct conf *conf = c->setup.conf;
    const struct cache_store_setup setup = {
        .state = c->cache.state,
        .bytes_max = conf->cache_memory,
        .entries_max = conf->cache_entries_max,
        .entry_max = conf->cache_entry_max,
        .waiters_max = conf->cache_waiters_max,
        .unfit_time = conf->cache_unfit_time,
        .stale_expired = conf->cache_stale_while_revalidate,
        .stale_any = conf->cache_stale_if_error,
        .is_refreshed = conf->cache_refresh_top > 0,
    };

    return cache_store_new(&setup, &c->cache.store, reterr);
}

static hs_status make_feed(struct coherence *c, struct hs_err *reterr)
{
    const struct conf *conf = c->setup.conf;
    const struct pg_feed_setup setup = {
        .url = conf->cache_feed_url.n ? conf->cache_feed_url : conf->database_url,
        .application_name = conf->database_application_name,
        .publication = conf->cache_publication,
        .schemas = conf->database_schemas.v,
        .n_schemas = conf->database_schemas.n,
        .connect_timeout = conf->database_pool_connect_timeout,
        .retry_min = conf->database_pool_retry_min,
        .retry_max = conf->database_pool_retry_max,
        .max_staleness = conf->cache_max_staleness,
        .metrics = c->metrics,
        .ops = &ops,
        .ctx = c,
        .seed = hs_rng_seed(),
    };

    return pg_feed_new(&setup, &c->feed, reterr);
}

hs_status coherence_new(const struct coherence_setup *setup, struct coherence **ret_coherence,
                        struct hs_err *reterr)
{
    struct coherence *c = hs_calloc(1, sizeof(*c));
    hs_status status;

    if (!c)
        return hs_fail_memory(reterr);
    c->setup = *setup;
    c->metrics = hs_metrics_new();
    status = c->metrics ? make_state(c, reterr) : hs_fail_memory(reterr);
    if (!status)
        status = make_store(c, reterr);
    if (!status)
        status = make_feed(c, reterr);
    if (status) {
        coherence_free(c);
        return status;
    }
    *ret_coherence = c;
    return HS_OK;
}

static void *run(void *arg)
{
    pg_feed_run(((struct coherence *)arg)->feed);
    return NULL;
}

static hs_status set_key(struct coherence *c, struct hs_str secret, struct hs_err *reterr)
{
    unsigned char digest[32];
    struct net_hmac *hmac;
    hs_status status = net_hmac_new(secret, &hmac, reterr);

    if (status)
        return status;
    if (!net_hmac_sha256(hmac, HS_STR("hasten cache tags"), digest))
        status = hs_fail_memory(reterr);
    else
        HS_BUG_ON(!cache_state_set_key(c->cache.state, (const char *)digest));
    net_hmac_free(hmac);
    return status;
}

hs_status coherence_start(struct coherence *c, struct hs_str secret, struct hs_err *reterr)
{
    hs_status status = c->has_thread ? HS_OK : set_key(c, secret, reterr);

    if (status || c->has_thread)
        return status;
    if (pthread_create(&c->thread, NULL, run, c) != 0)
        return hs_fail(reterr, HS_E_IO, "could not start the thread of the change stream");
    c->has_thread = true;
    return HS_OK;
}

void coherence_pause(struct coherence *c)
{
    if (c)
        pg_feed_pause(c->feed);
}

void coherence_resume(struct coherence *c)
{
    if (c)
        pg_feed_resume(c->feed);
}

bool coherence_is_paused(const struct coherence *c)
{
    return !c || !c->has_thread || pg_feed_is_paused(c->feed);
}

void coherence_stop(struct coherence *c)
{
    if (!c || !c->has_thread)
        return;
    pg_feed_stop(c->feed);
    (void)pthread_join(c->thread, NULL);
    c->has_thread = false;
}

void coherence_free(struct coherence *c)
{
    if (!c)
        return;
    coherence_stop(c);
    pg_feed_free(c->feed);
    cache_store_free(c->cache.store);
    cache_state_free(c->cache.state);
    hs_free(c);
}

/* ---- for the others ---- */

const struct api_cache *coherence_cache(const struct coherence *c)
{
    return &c->cache;
}

uint64_t coherence_generation(const struct coherence *c)
{
    return atomic_load(&c->generation);
}

/* Another server than the feed's: until the feed is there, too, nothing kept is served. */
void coherence_connected(void *ctx, uint64_t epoch)
{
    struct coherence *c = ctx;
    struct cache_status status;

    if (!epoch)
        return;
    cache_saw_epoch(c->cache.state, epoch);
    cache_status(c->cache.state, hs_now_us(), &status);
    if (status.view.epoch != CACHE_EPOCH_NONE && status.view.epoch != epoch)
        pg_feed_restart(c->feed);
}

void coherence_sweep(struct coherence *c)
{
    struct cache_store_stats stats;

    cache_stats(c->cache.store, &stats);
    (void)cache_sweep(c->cache.store, hs_now_us(), stats.entries / SWEEP_PARTS + SWEEP_MIN);
}
