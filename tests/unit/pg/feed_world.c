/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/feed_world.h"

#include "test.h"

/* ---- the listener ---- */

static void broke(struct feed_world *w, const char *what)
{
    if (!w->broken[0])
        (void)snprintf(w->broken, sizeof(w->broken), "%s", what);
}

static struct feed_event *add(struct feed_world *w, enum feed_event_kind kind)
{
    static struct feed_event lost;

    if (w->n == FEED_EVENTS_MAX) {
        broke(w, "too many events");
        return &lost;
    }
    w->events[w->n] = (struct feed_event){.kind = kind};
    return &w->events[w->n++];
}

static struct feed_world *enter(void *ctx)
{
    struct feed_world *w = ctx;

    (void)pthread_mutex_lock(&w->lock);
    return w;
}

static void leave(struct feed_world *w)
{
    (void)pthread_cond_broadcast(&w->told);
    (void)pthread_mutex_unlock(&w->lock);
}

static struct feed_known *know(struct feed_world *w, uint32_t oid)
{
    for (size_t i = 0; i < w->n_known; i++) {
        if (w->known[i].oid == oid)
            return &w->known[i];
    }
    return NULL;
}

static void on_begin(void *ctx, uint64_t epoch, uint64_t begun)
{
    struct feed_world *w = enter(ctx);
    struct feed_event *e = add(w, FEED_BEGIN);

    if (w->is_up)
        broke(w, "begins twice");
    e->a = epoch;
    e->b = begun;
    w->epoch = epoch;
    w->begun = begun;
    w->position = begun;
    w->fence = 0;
    w->proof = 0;
    w->looked_at = 0;
    w->n_known = 0;
    w->is_up = true;
    leave(w);
}

static void on_table(void *ctx, uint32_t oid, const uint32_t *ancestors, size_t n_ancestors,
                     uint64_t floor)
{
    struct feed_world *w = enter(ctx);
    struct feed_event *e = add(w, FEED_TABLE);
    struct feed_known *known = know(w, oid);

    if (!known && w->n_known < FEED_KNOWN_MAX)
        known = &w->known[w->n_known++];
    e->oid = oid;
    e->a = floor;
    e->b = n_ancestors ? ancestors[n_ancestors - 1] : 0;
    if (known)
        *known = (struct feed_known){oid, (uint32_t)e->b, floor};
    leave(w);
}

static size_t print_row(char *to, size_t size, const struct hs_change_table *table,
                        const struct hs_change_value *values)
{
    size_t n = 0;

    for (size_t i = 0; i < table->n_columns && n + 1 < size; i++) {
        struct hs_str text = values[i].kind == HS_VALUE_TEXT   ? values[i].text
                             : values[i].kind == HS_VALUE_NULL ? HS_STR("-")
                                                               : HS_STR("?");

        n += (size_t)snprintf(to + n, size - n, "%s%.*s", i ? "," : "",
                              text.n > 12 ? 12 : HS_FMT(text));
    }
    return n < size ? n : size - 1;
}

static void on_change(void *ctx, const struct hs_change *change)
{
    struct feed_world *w = enter(ctx);
    struct feed_event *e = add(w, FEED_CHANGE);
    size_t n = 0;

    e->oid = change->table->oid;
    e->a = change->stamp;
    if (change->stamp <= w->position)
        broke(w, "a change is told after the position that covers it");
    if (!know(w, e->oid))
        broke(w, "a change of a table that was not told");
    e->text[n++] = "IUD"[change->kind];
    e->text[n++] = ' ';
    if (change->old)
        n += print_row(e->text + n, sizeof(e->text) - n, change->table, change->old);
    if (change->old && change->new)
        n += (size_t)snprintf(e->text + n, sizeof(e->text) - n, " > ");
    if (change->new)
        (void)print_row(e->text + n, sizeof(e->text) - n, change->table, change->new);
    leave(w);
}

static void on_truncate(void *ctx, uint32_t oid, uint64_t stamp)
{
    struct feed_world *w = enter(ctx);
    struct feed_event *e = add(w, FEED_TRUNCATE);

    e->oid = oid;
    e->a = stamp;
    leave(w);
}

static void on_position(void *ctx, uint64_t position)
{
    struct feed_world *w = enter(ctx);

    if (position < w->position)
        broke(w, "the position goes back");
    if (position > w->position)
        add(w, FEED_POSITION)->a = position;
    w->position = position;
    w->is_pending = false;
    leave(w);
}

static void on_fence(void *ctx, uint64_t fence)
{
    struct feed_world *w = enter(ctx);

    add(w, FEED_FENCE)->a = fence;
    if (fence > w->position || fence < w->fence)
        broke(w, "the fence is past the position, or goes back");
    w->fence = fence;
    leave(w);
}

static void on_proof(void *ctx, hs_us sampled_at)
{
    struct feed_world *w = enter(ctx);

    if (sampled_at <= w->proof || sampled_at > hs_now_us())
        broke(w, "a proof of another time");
    add(w, FEED_PROOF)->a = sampled_at;
    w->proof = sampled_at;
    leave(w);
}

/* The columns with commas between. */
static void on_identity(void *ctx, uint32_t oid, const struct hs_str *columns, size_t n)
{
    struct feed_world *w = enter(ctx);
    struct feed_event *e = add(w, FEED_IDENTITY);
    size_t used = 0;

    e->oid = oid;
    for (size_t i = 0; i < n && used < sizeof(e->text); i++)
        used += (size_t)snprintf(e->text + used, sizeof(e->text) - used, "%s%.*s", i ? "," : "",
                                 HS_FMT(columns[i]));
    leave(w);
}

static void on_catalog(void *ctx, uint64_t generation, hs_us looked_at)
{
    struct feed_world *w = enter(ctx);
    struct feed_event *e = add(w, FEED_CATALOG);

    e->a = generation;
    e->b = looked_at;
    if (generation < w->generation)
        broke(w, "the generation goes back");
    w->generation = generation;
    w->looked_at = looked_at;
    leave(w);
}

static void on_end(void *ctx, const struct hs_err *why)
{
    struct feed_world *w = enter(ctx);
    struct feed_event *e = add(w, FEED_END);

    (void)snprintf(e->text, sizeof(e->text), "%.90s", why->what);
    w->is_up = false;
    leave(w);
}

static bool on_is_pending(void *ctx)
{
    struct feed_world *w = enter(ctx);
    bool is_pending = w->is_pending;

    leave(w);
    return is_pending;
}

static uint64_t on_wanted(void *ctx)
{
    struct feed_world *w = enter(ctx);
    uint64_t wanted = w->wanted;

    leave(w);
    return wanted;
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
    .is_pending = on_is_pending,
    .wanted = on_wanted,
};

/* ---- life ---- */

static void *run(void *arg)
{
    pg_feed_run(arg);
    return NULL;
}

void feed_world_start(struct feed_world *w, struct pg_cluster *cluster, const char *user,
                      hs_us max_staleness)
{
    static const struct hs_str schemas[] = {{"public", 6}};
    static struct hs_metrics *metrics;
    struct pg_feed_setup setup = {.application_name = HS_STR("hasten feed"),
                                  .publication = HS_STR("it's \"hasten\""),
                                  .schemas = schemas,
                                  .n_schemas = 1,
                                  .connect_timeout = 30 * HS_SECOND,
                                  .retry_min = 10 * HS_MS,
                                  .retry_max = 100 * HS_MS,
                                  .max_staleness = max_staleness,
                                  .ops = &ops,
                                  .ctx = w,
                                  .seed = 1};
    struct hs_err err;

    memset(w, 0, sizeof(*w));
    w->cluster = cluster;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->told, NULL);
    metrics = metrics ? metrics : hs_metrics_new();
    setup.metrics = metrics;
    setup.url = pg_cluster_url(cluster, user, w->url, sizeof(w->url));
    assert_int_equal(pg_feed_new(&setup, &w->feed, &err), HS_OK);
    assert_int_equal(pthread_create(&w->thread, NULL, run, w->feed), 0);
}

void feed_world_stop(struct feed_world *w)
{
    pg_feed_stop(w->feed);
    (void)pthread_join(w->thread, NULL);
    pg_feed_free(w->feed);
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_cond_destroy(&w->told);
    if (w->broken[0])
        fail_msg("%s", w->broken);
}

/* ---- waiting ---- */

#define WAIT_UNTIL(w, condition)                             \
    do {                                                     \
        (void)pthread_mutex_lock(&(w)->lock);                \
        while (!(condition) && !(w)->broken[0])              \
            (void)pthread_cond_wait(&(w)->told, &(w)->lock); \
        (void)pthread_mutex_unlock(&(w)->lock);              \
        if ((w)->broken[0])                                  \
            fail_msg("%s", (w)->broken);                     \
    } while (0)

static bool find(const struct feed_world *w, size_t from, enum feed_event_kind kind,
                 const char *text, size_t *ret_i)
{
    for (size_t i = from; i < w->n; i++) {
        if (w->events[i].kind == kind && (!text || !strcmp(w->events[i].text, text))) {
            *ret_i = i;
            return true;
        }
    }
    return false;
}

size_t feed_wait_event(struct feed_world *w, size_t from, enum feed_event_kind kind,
                       const char *text)
{
    size_t i = 0;

    WAIT_UNTIL(w, find(w, from, kind, text, &i));
    return i;
}

static bool is_settled(struct feed_world *w, uint32_t oid)
{
    const struct feed_known *known = know(w, oid);

    return known && known->floor != UINT64_MAX;
}

void feed_wait_up(struct feed_world *w)
{
    WAIT_UNTIL(w, w->is_up && w->fence && w->proof && w->looked_at);
}

uint64_t feed_wait_floor(struct feed_world *w, uint32_t oid)
{
    WAIT_UNTIL(w, is_settled(w, oid));
    return feed_floor(w, oid);
}

void feed_wait_fence(struct feed_world *w, uint64_t position)
{
    WAIT_UNTIL(w, w->fence >= position);
}

void feed_wait_proof(struct feed_world *w, hs_us at)
{
    WAIT_UNTIL(w, w->proof >= at);
}

void feed_wait_generation(struct feed_world *w, uint64_t above)
{
    WAIT_UNTIL(w, w->generation > above);
}

size_t feed_now(struct feed_world *w)
{
    size_t n;

    (void)pthread_mutex_lock(&w->lock);
    n = w->n;
    (void)pthread_mutex_unlock(&w->lock);
    return n;
}

uint64_t feed_floor(struct feed_world *w, uint32_t oid)
{
    const struct feed_known *known;
    uint64_t floor;

    (void)pthread_mutex_lock(&w->lock);
    known = know(w, oid);
    floor = known ? known->floor : UINT64_MAX;
    (void)pthread_mutex_unlock(&w->lock);
    return floor;
}

struct feed_event feed_event(struct feed_world *w, size_t i)
{
    struct feed_event e;

    (void)pthread_mutex_lock(&w->lock);
    e = w->events[i];
    (void)pthread_mutex_unlock(&w->lock);
    return e;
}
