/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The composition root: the one place where the parts meet. Each worker gets a loop, a slice of the
 * database pool, the steps and the routes below, and one listening socket per address of its own
 * (SO_REUSEPORT), so that the kernel spreads connections and workers share nothing on the hot path.
 *
 * Everything of a worker is made here before its thread starts and freed after it was joined; in
 * between only the worker touches it.
 */
#include "cmd/serve.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cache/store.h"
#include "cache/shared.h"
#include "api/model.h"
#include "cmd/cmd.h"
#include "cmd/keys.h"
#include "cmd/logout.h"
#include "cmd/serve_int.h"
#include "cmd/warm.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "net/listen.h"
#include "rest/rest.h"

enum { ADVICE_MAX = 1 << 16 };
static const hs_us SWEEP_INTERVAL = 5 * HS_SECOND;

/* What tables take; which of them a path takes is the handler's to say. */
enum {
    SERVE_METHODS = HTTP_GET | HTTP_POST | HTTP_PUT | HTTP_PATCH | HTTP_DELETE,
    /* The PostgREST dialect answers for each by itself. */
    REST_METHODS = SERVE_METHODS | HTTP_HEAD | HTTP_OPTIONS | HTTP_OTHER
};

/*
 * What a worker answers; returns the number of routes. The first column is the path, NULL where the route
 * is switched off; API tables hang below api.path.
 */
static size_t fill_routes(struct serve_worker *w, struct http_route *to)
{
    const struct conf *c = w->conf->conf;
    struct observe_state *state = &w->serve->state;
    const char *metrics = c->observe_metrics ? "/metrics" : NULL;
    const char *rest = c->rest_enabled ? c->rest_path.p : NULL;
    const char *api = c->api_enabled ? c->api_path.p : NULL;
    /* Where the root is the PostgREST dialect's, there is no index page. */
    const char *index = !api || (rest && !rest[1]) ? NULL : "/";
    const struct http_route routes[] = {
        {"/health/live", HTTP_ROUTE_EXACT, HTTP_GET, true, &observe_live_handler, state},
        {"/health/ready", HTTP_ROUTE_EXACT, HTTP_GET, true, &observe_ready_handler, state},
        {"/health", HTTP_ROUTE_EXACT, HTTP_GET, true, &observe_health_handler, state},
        {index, HTTP_ROUTE_EXACT, HTTP_GET, false, &api_index_handler, w->api},
        {c->auth_logout_max ? w->conf->logout_path : NULL, HTTP_ROUTE_EXACT, HTTP_POST, false,
         &serve_logout_handler, w},
        {api, HTTP_ROUTE_PREFIX, SERVE_METHODS, false, &api_table_handler, w->api},
        {rest, HTTP_ROUTE_PREFIX, REST_METHODS, false, &rest_handler, w->api},
        {metrics, HTTP_ROUTE_EXACT, HTTP_GET, true, &observe_metrics_handler, state},
    };
    size_t n = 0;

    _Static_assert(HS_LEN(routes) <= SERVE_ROUTES, "room for every route");
    for (size_t i = 0; i < HS_LEN(routes); i++) {
        if (routes[i].path)
            to[n++] = routes[i];
    }
    return n;
}

/* What every request that is not open passes first, in order; returns the number of steps. */
static size_t fill_steps(struct serve_worker *w)
{
    const struct conf *c = w->conf->conf;
    const struct http_step_row steps[] = {{&rest_cors_step, &w->cors}, {&edge_auth_step, w->auth}};

    w->cors = (struct rest_cors){.path = c->rest_enabled ? c->rest_path : HS_STR_NULL,
                                 .origins = c->rest_cors_origins.v,
                                 .n_origins = c->rest_cors_origins.n};

    _Static_assert(HS_LEN(steps) <= SERVE_STEPS, "room for every step");
    memcpy(w->steps, steps, sizeof(steps));
    return HS_LEN(steps);
}

static void fill_pool(const struct serve_worker *w, struct pg_pool_setup *to)
{
    const struct conf *c = w->conf->conf;

    *to = (struct pg_pool_setup){
        .loop = w->loop,
        .metrics = w->metrics,
        .budget = &w->serve->budget,
        .url = c->database_url,
        .application_name = c->database_application_name,
        .connect_timeout = c->database_pool_connect_timeout,
        .acquire_timeout = c->database_pool_acquire_timeout,
        .idle_timeout = c->database_pool_idle_timeout,
        .lifetime = c->database_pool_lifetime,
        .close_timeout = c->database_pool_close_timeout,
        .reap_interval = c->database_pool_reap_interval,
        .health_interval = c->database_pool_health_interval,
        .retry_min = c->database_pool_retry_min,
        .retry_max = c->database_pool_retry_max,
        .statement_timeout = c->database_statement_timeout,
        .slow_query = c->database_pool_slow_query,
        .keepalive = c->database_keepalive,
        .queue_max = c->database_pool_queue_max,
        .result_max = c->server_answer_max,
        .batch_max = c->database_pool_batch_max,
        .statements_max = c->database_pool_statements_max,
        .seed = hs_rng_seed(),
        .with_positions = w->serve->coherence != NULL,
        .connected = w->serve->coherence ? coherence_connected : NULL,
        .connected_ctx = w->serve->coherence,
    };
}

static hs_status make_pool(struct serve_worker *w, struct hs_err *reterr)
{
    struct pg_pool_setup setup;

    fill_pool(w, &setup);
    return pg_pool_new(&setup, &w->pool, reterr);
}

/* Less than one answer would refuse the largest for ever. */
static size_t output_share(const struct serve_worker *w)
{
    const struct conf *c = w->conf->conf;
    size_t share = c->server_output_total / w->serve->n_workers;

    return share > c->server_answer_max ? share : c->server_answer_max;
}

static void fill_limits(const struct serve_worker *w, struct http_limits *to)
{
    const struct conf *c = w->conf->conf;

    *to = (struct http_limits){
        .idle_timeout = c->server_idle_timeout,
        .header_timeout = c->server_header_timeout,
        .body_timeout = c->server_body_timeout,
        .write_timeout = c->server_write_timeout,
        .request_line_max = c->server_request_line_max,
        .headers_max = c->server_headers_max,
        .headers_count_max = c->server_headers_max_count,
        .body_max = c->server_body_max,
        .pipeline_max = c->server_pipeline_max,
        .output_max = c->server_output_max,
        .output_total = output_share(w),
        .request_memory_max = c->server_request_memory_max,
        .answer_max = c->server_answer_max,
        .connections_max = c->server_connections_max,
        .timing = c->server_timing,
        .access_log = c->log_access,
    };
}

static hs_status make_http(struct serve_worker *w, struct hs_err *reterr)
{
    struct http_server_setup setup = {
        .loop = w->loop,
        .metrics = w->metrics,
        .routes = w->routes[0],
        .n_routes = fill_routes(w, w->routes[0]),
        .steps = w->steps,
        .n_steps = fill_steps(w),
        .connections = &w->serve->connections,
    };

    fill_limits(w, &setup.limits);
    return http_server_new(&setup, &w->http, reterr);
}

static hs_status make_admin(struct serve_worker *w, struct hs_err *reterr)
{
    struct http_limits limits;

    fill_limits(w, &limits);
    return serve_admin_new(w, &limits, reterr);
}

/* The database comes and goes for a worker: one line each time. */
static void log_database(const struct serve_worker *w, const struct pg_pool_state *state)
{
    hs_log_begin(state->is_up ? HS_LOG_INFO : HS_LOG_ERROR,
                 state->is_up ? "database reached" : "database lost");
    hs_log_int("worker", w->index);
    if (!state->is_up && state->last_error->status)
        hs_log_err(state->last_error);
    hs_log_end();
}

static void sweep(struct net_work *work)
{
    coherence_sweep(HS_CONTAINER(work, struct serve_worker, sweep)->serve->coherence);
}

static void on_swept(struct net_work *work)
{
    HS_CONTAINER(work, struct serve_worker, sweep)->is_sweeping = false;
}

/* Off the loop, since it may look at many. If it cannot be started now, the next tick tries again. */
static void start_sweep(struct serve_worker *w, hs_us now)
{
    if (w->is_sweeping || now < w->sweep_at)
        return;
    w->sweep = (struct net_work){.run = sweep, .done = on_swept};
    if (net_work_start(w->loop, &w->sweep, NULL))
        return;
    w->is_sweeping = true;
    w->sweep_at = now + SWEEP_INTERVAL;
}

/* Read from time to time, since nobody but the store itself counts them. */
static void publish_cache(struct serve_worker *w, hs_us now)
{
    const struct api_cache *cache = coherence_cache(w->serve->coherence);
    hs_us proof_at = cache_proof_at(cache->state);
    struct cache_store_stats stats;

    cache_stats(cache->store, &stats);
    hs_metric_set(w->metrics, HS_M_CACHE_ENTRIES, stats.entries);
    hs_metric_set(w->metrics, HS_M_CACHE_BYTES, stats.bytes);
    hs_metric_set(w->metrics, HS_M_CACHE_FLIGHTS, stats.flights);
    hs_metric_set(w->metrics, HS_M_CACHE_EVICTED, stats.evicted);
    hs_metric_set(w->metrics, HS_M_CACHE_EXPIRED, stats.expired);
    hs_metric_set(w->metrics, HS_M_CACHE_INVALIDATED, stats.invalidated);
    hs_metric_set(w->metrics, HS_M_CACHE_REFUSED, stats.refused);
    /* Never proven is as old as the process. */
    proof_at = proof_at ? proof_at : w->serve->state.started_at;
    hs_metric_set(w->metrics, HS_M_CACHE_PROOF_AGE, now > proof_at ? now - proof_at : 0);
}

static void tend_cache(struct serve_worker *w)
{
    hs_us now = hs_now_us();

    if (w->index || !w->serve->coherence)
        return;
    start_sweep(w, now);
    publish_cache(w, now);
    serve_warm_tick(w->warm, now);
}

static void on_tick(void *arg)
{
    struct serve_worker *w = arg;
    struct pg_pool_state state;

    tend_cache(w);
    serve_keys_tick(w, hs_now_us());
    pg_pool_state(w->pool, &state);
    if (state.is_up == w->pool_was_up)
        return;
    w->pool_was_up = state.is_up;
    if (w->pool_was_seen || !state.is_up)
        log_database(w, &state);
    w->pool_was_seen = true;
    if (state.is_up)
        atomic_fetch_add(&w->serve->state.pools_up, 1);
    else
        atomic_fetch_sub(&w->serve->state.pools_up, 1);
}

static void on_shared_changed(void *ctx, bool is_up, const struct hs_err *why)
{
    const struct serve_worker *w = ctx;

    hs_log_begin(is_up ? HS_LOG_INFO : HS_LOG_WARN, is_up ? "redis is up" : "redis is down");
    hs_log_int("worker", w->index);
    if (why)
        hs_log_err(why);
    hs_log_end();
}

static hs_status make_shared(struct serve_worker *w, struct hs_err *reterr)
{
    const struct conf *c = w->conf->conf;
    const struct cache_shared_setup setup = {
        .loop = w->loop,
        .metrics = w->metrics,
        .state = coherence_cache(w->serve->coherence)->state,
        .url = c->cache_redis_url,
        .timeout = c->cache_redis_timeout,
        .retry_min = c->cache_redis_retry_min,
        .retry_max = c->cache_redis_retry_max,
        .inflight_max = c->cache_redis_inflight_max,
        .entry_max = c->cache_entry_max,
        .seed = hs_rng_seed(),
        .changed = on_shared_changed,
        .ctx = w,
    };
    hs_status status = cache_shared_new(&setup, &w->shared, reterr);

    if (!status)
        api_worker_set_shared(w->api, w->shared);
    return status;
}

static hs_status make_worker(struct serve_worker *w, struct serve_conf *conf, struct hs_err *reterr)
{
    hs_status status;

    w->conf = serve_conf_ref(conf);
    w->metrics = hs_metrics_new();
    if (!w->metrics)
        return hs_fail_memory(reterr);
    status = net_loop_new(&w->loop, w->metrics, reterr);
    if (!status)
        status = make_pool(w, reterr);
    if (!status)
        status = serve_logout_fill(w, reterr);
    if (!status)
        status = serve_auth_new(w, w->conf->conf, &w->auth, reterr);
    if (!status)
        status = api_worker_new(w->loop, w->pool,
                                w->serve->coherence ? coherence_cache(w->serve->coherence) : NULL,
                                &w->api, reterr);
    if (!status && w->serve->coherence && conf->conf->cache_redis_url.n)
        status = make_shared(w, reterr);
    if (!status)
        status = make_http(w, reterr);
    if (!status && w->index == 0 && w->conf->conf->admin_socket.n)
        status = make_admin(w, reterr);
    if (!status && w->index == 0 && w->serve->coherence)
        status = serve_warm_new(w, &w->warm, reterr);
    if (!status)
        status = net_timer_new(w->loop, on_tick, w, &w->tick, reterr);
    if (!status)
        net_timer_start(w->tick, 20 * HS_MS, 100 * HS_MS);
    return status;
}

/* Port 0 is chosen by the kernel for the first worker; the others must listen on the same. */
static hs_status listen_all(struct serve *s, struct hs_str addr, bool is_first,
                            struct hs_err *reterr)
{
    char fixed[300];
    unsigned port = 0;
    hs_status status = net_listen_check(addr, reterr);

    for (unsigned i = 0; i < s->n_workers && !status; i++) {
        int fd;

        status = net_listen(addr, (unsigned)s->boot->server_backlog, &fd, reterr);
        if (status)
            break;
        if (!port) {
            size_t host = addr.n;

            while (host && addr.p[host - 1] != ':')
                host--;
            port = net_listen_port(fd);
            if (host && (size_t)snprintf(fixed, sizeof(fixed), "%.*s%u", (int)host, addr.p, port) <
                            sizeof(fixed))
                addr = hs_str(fixed);
        }
        status = http_server_listen(s->workers[i].http, fd, reterr);
    }
    if (status)
        return status;
    if (is_first)
        s->port = port;
    hs_log_begin(HS_LOG_INFO, "listening");
    hs_log_str("addr", addr);
    hs_log_int("workers", s->n_workers);
    hs_log_end();
    return HS_OK;
}

static void *worker_main(void *arg)
{
    struct serve_worker *w = arg;
    uint64_t one = 1;

    net_loop_run(w->loop);
    HS_BUG_ON(write(w->serve->finished_fd, &one, sizeof(one)) != (ssize_t)sizeof(one));
    return NULL;
}

hs_status serve_start_workers(struct serve *s, struct serve_conf *conf, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    s->workers = hs_calloc(s->n_workers, sizeof(*s->workers));
    if (!s->workers)
        return hs_fail_memory(reterr);
    for (unsigned i = 0; i < s->n_workers && !status; i++) {
        s->workers[i].serve = s;
        s->workers[i].index = i;
        status = make_worker(&s->workers[i], conf, reterr);
    }
    for (size_t i = 0; i < s->boot->server_listen.n && !status; i++)
        status = listen_all(s, s->boot->server_listen.v[i], i == 0, reterr);
    for (unsigned i = 0; i < s->n_workers && !status; i++) {
        struct serve_worker *w = &s->workers[i];

        if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
            status = hs_fail(reterr, HS_E_IO, "could not start worker thread %u", i);
        else
            w->has_thread = true;
    }
    for (unsigned i = 0; i < s->n_workers && status; i++) {
        if (s->workers[i].has_thread)
            net_loop_stop(s->workers[i].loop);
    }
    return status;
}

/* ---- a reload ---- */

/* Only memory can lack here: what a configuration can get wrong was tried before it was mailed. */
static void complain(const struct hs_err *err)
{
    hs_log_begin(HS_LOG_ERROR, "configuration not taken by a worker");
    hs_log_err(err);
    hs_log_end();
}

static void take_conf(struct serve_worker *w, struct serve_conf *conf, struct edge_auth *auth)
{
    struct http_route *routes = w->routes[!w->routes_in_use];
    struct serve_conf *before = w->conf;
    struct edge_auth *auth_before = w->auth;
    struct http_limits limits;
    struct pg_pool_setup pool;
    struct hs_err err;

    w->conf = conf;
    fill_limits(w, &limits);
    if (http_server_reload(w->http, &limits, routes, fill_routes(w, routes), &err)) {
        complain(&err);
        w->conf = before;
        before = conf;
        auth_before = auth;
    } else {
        w->routes_in_use = !w->routes_in_use;
        w->auth = auth;
        (void)fill_steps(w);
        /* Of all workers: each says the same, before its own pool looks. */
        atomic_store(&w->serve->budget.max, (unsigned)conf->conf->database_pool_max);
        atomic_store(&w->serve->budget.min, (unsigned)conf->conf->database_pool_min);
        fill_pool(w, &pool);
        if (pg_pool_tune(w->pool, &pool, &err))
            complain(&err);
    }
    edge_auth_free(auth_before);
    serve_conf_unref(before);
    serve_keys_adopt(w); /* a set may have come since the new step was made */
}

/* Who may be named is read with the catalog, where auth.roles leaves it to the database. */
static void take_roles(struct serve_worker *w, const struct pg_catalog *catalog)
{
    struct hs_err err;

    if (edge_auth_set_roles(w->auth, catalog->roles, catalog->n_roles, &err))
        complain(&err);
}

void serve_worker_update(struct serve_update *update)
{
    struct serve_worker *w = update->worker;

    if (update->conf)
        take_conf(w, update->conf, update->auth);
    take_roles(w, update->model->catalog);
    api_worker_set_model(w->api, update->model);
    hs_free(update);
}

/* ---- the end ---- */

static void on_pool_closed(void *arg)
{
    struct serve_worker *w = arg;

    net_timer_free(w->tick);
    w->tick = NULL;
    net_loop_stop(w->loop);
}

static void on_http_drained(void *arg)
{
    struct serve_worker *w = arg;

    if (--w->draining)
        return;
    pg_pool_close(w->pool, on_pool_closed, w);
}

static void on_drain_mail(struct net_mail *mail)
{
    struct serve_worker *w = HS_CONTAINER(mail, struct serve_worker, drain_mail);
    hs_us bound = w->conf->conf->server_drain_timeout;

    serve_warm_stop(w->warm);
    w->draining = w->admin ? 2 : 1;
    http_server_drain(w->http, bound, on_http_drained, w);
    if (w->admin)
        http_server_drain(w->admin, bound, on_http_drained, w);
}

void serve_drain_workers(struct serve *s)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        struct serve_worker *w = &s->workers[i];

        w->drain_mail.deliver = on_drain_mail;
        net_loop_post(w->loop, &w->drain_mail);
    }
}

static void free_worker(struct serve_worker *w)
{
    http_server_free(w->admin);
    http_server_free(w->http);
    api_worker_free(w->api);
    edge_auth_free(w->auth);
    w->auth = NULL;
    pg_pool_free(w->pool);
    net_timer_free(w->tick);
    net_loop_free(w->loop);
    serve_warm_free(w->warm);
    edge_logout_fini(&w->logout);
    serve_conf_unref(w->conf);
}

static void deliver_all(const struct serve *s)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        if (s->workers[i].loop)
            net_loop_deliver(s->workers[i].loop);
    }
}

/* One worker's request may be waited for by another's: no loop goes before all of them are told. */
void serve_free_workers(struct serve *s)
{
    if (!s->workers)
        return;
    for (unsigned i = 0; i < s->n_workers; i++) {
        if (s->workers[i].has_thread)
            (void)pthread_join(s->workers[i].thread, NULL);
    }
    deliver_all(s); /* a model may still be in the mail */
    /* Who still waits for it is answered by the others. */
    for (unsigned i = 0; i < s->n_workers; i++)
        cache_shared_free(s->workers[i].shared);
    deliver_all(s);
    for (unsigned i = 0; i < s->n_workers; i++)
        free_worker(&s->workers[i]);
    hs_free(s->workers);
    s->workers = NULL;
}

/* One worker a processor, but never so many that one has less than two database connections. */
static hs_status choose_workers(struct serve *s, struct hs_err *reterr)
{
    uint64_t asked = s->boot->server_workers;
    uint64_t most = s->boot->database_pool_max / 2;
    cpu_set_t set;

    if (asked > most) {
        hs_fail(reterr, HS_E_CONFIG, "server.workers is %llu but database.pool.max is only %llu",
                (unsigned long long)asked, (unsigned long long)s->boot->database_pool_max);
        hs_err_why(reterr, "each worker needs at least two database connections");
        hs_err_hint(reterr, "Lower server.workers or raise database.pool.max.");
        return HS_E_CONFIG;
    }
    if (!asked)
        asked = sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint64_t)CPU_COUNT(&set) : 1;
    s->n_workers = (unsigned)(asked > most ? most : asked);
    return HS_OK;
}

static bool wakes(const struct serve *s, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(s->wake_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static hs_status open_signals(struct serve *s, struct hs_err *reterr)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->wake_fd = epoll_create1(EPOLL_CLOEXEC);
    s->note_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->signal_fd < 0 || s->finished_fd < 0 || s->note_fd < 0 || s->wake_fd < 0 ||
        !wakes(s, s->signal_fd) || !wakes(s, s->note_fd))
        return hs_fail(reterr, HS_E_IO, "could not open a signal descriptor");
    return HS_OK;
}

static void close_signals(const struct serve *s)
{
    const int fds[] = {s->signal_fd, s->finished_fd, s->note_fd, s->wake_fd};

    for (size_t i = 0; i < HS_LEN(fds); i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
    }
}

void serve_note(struct serve *s, struct serve_note *note)
{
    struct serve_note *next = atomic_load_explicit(&s->notes, memory_order_relaxed);
    uint64_t one = 1;

    do {
        note->next = next;
    } while (!atomic_compare_exchange_weak_explicit(&s->notes, &next, note, memory_order_release,
                                                    memory_order_relaxed));
    HS_BUG_ON(write(s->note_fd, &one, sizeof(one)) != (ssize_t)sizeof(one));
}

struct serve_note *serve_take_notes(struct serve *s)
{
    struct serve_note *note;
    struct serve_note *first = NULL;
    uint64_t count;

    if (read(s->note_fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
        return NULL;
    note = atomic_exchange_explicit(&s->notes, NULL, memory_order_acquire);
    while (note) {
        struct serve_note *next = note->next;

        note->next = first;
        first = note;
        note = next;
    }
    return first;
}

/* A descriptor per client: take what the administrator allows. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The feed's thread: at most one note is on its way. */
static void on_catalog_changed(void *ctx)
{
    struct serve *s = ctx;

    if (atomic_flag_test_and_set(&s->catalog_noted))
        return;
    s->catalog_note.kind = SERVE_NOTE_CATALOG;
    serve_note(s, &s->catalog_note);
}

/* The same, of a pause: what counts is whether it is one still when the note is read. */
static void on_feed_paused(void *ctx)
{
    struct serve *s = ctx;

    if (atomic_flag_test_and_set(&s->feed_noted))
        return;
    s->feed_note.kind = SERVE_NOTE_FEED;
    serve_note(s, &s->feed_note);
}

static hs_status make_coherence(struct serve *s, struct hs_err *reterr)
{
    const struct coherence_setup setup = {
        .conf = s->boot, .changed = on_catalog_changed, .paused = on_feed_paused, .ctx = s};

    hs_status status;

    atomic_flag_clear(&s->catalog_noted);
    atomic_flag_clear(&s->feed_noted);
    status = coherence_new(&setup, &s->coherence, reterr);
    if (!status)
        s->state.cache = coherence_cache(s->coherence)->state;
    return status;
}

int serve_run(const struct conf *conf, const struct serve_hooks *hooks)
{
    struct serve s = {.boot = conf,
                      .hooks = hooks,
                      .signal_fd = -1,
                      .finished_fd = -1,
                      .note_fd = -1,
                      .logout = {.fd = -1},
                      .wake_fd = -1};
    struct hs_err err;
    int code = CMD_FAILED;
    hs_status status;

    hs_hash_seed(hs_rng_seed());
    raise_descriptors();
    s.state.started_at = hs_now_us();
    s.metrics = hs_metrics_new();
    status = s.metrics ? choose_workers(&s, &err) : hs_fail_memory(&err);
    s.state.workers = s.n_workers;
    atomic_init(&s.budget.max, (unsigned)conf->database_pool_max);
    atomic_init(&s.budget.min, (unsigned)conf->database_pool_min);
    s.budget.workers = s.n_workers;
    if (!status)
        status = open_signals(&s, &err);
    if (!status)
        status = serve_auth_open(&s, &err);
    if (!status && conf->cache_enabled)
        status = make_coherence(&s, &err);
    if (!status) {
        code = serve_control(&s);
    } else {
        hs_log_begin(HS_LOG_ERROR, "could not start");
        hs_log_err(&err);
        hs_log_end();
    }
    coherence_free(s.coherence);
    close_signals(&s);
    serve_auth_close(&s, code);
    return code;
}

static hs_status load(void *arg, struct conf **ret_conf, struct hs_err *reterr)
{
    return cmd_conf_read(arg, ret_conf, reterr);
}

/* Whoever brings another program's configuration has not asked `config check` what becomes of it. */
static void log_advice(const struct conf *conf)
{
    struct hs_buf advice;
    struct hs_str rest;

    hs_buf_init(&advice, ADVICE_MAX);
    conf_advise(conf, &advice);
    rest = hs_buf_str(&advice);
    while (rest.n) {
        struct hs_str line = hs_str_cut(&rest, '\n');

        hs_log(HS_LOG_WARN, "configuration", "%.*s", HS_FMT(line));
    }
    hs_buf_fini(&advice);
}

int cmd_serve(int argc, char **argv)
{
    const char *file = NULL;
    struct args_list sets = {.n = 0};
    struct cmd_conf_source source;
    const struct serve_hooks hooks = {.load = load, .arg = &source};
    const char *postgrest = NULL;
    const struct args_opt opts[] = {CMD_CONF_OPTS(&file, &sets), CMD_POSTGREST_OPT(&postgrest)};
    struct args args = {.command = "serve", .opts = opts, .n_opts = HS_LEN(opts)};
    struct hs_err err;
    struct conf *conf;
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    code = cmd_conf_source(file, postgrest, &sets, &source);
    if (code)
        return code;
    if (cmd_conf_read(&source, &conf, &err)) {
        cmd_complain(&err);
        return err.status == HS_E_CONFIG ? CMD_USAGE : CMD_FAILED;
    }
    hs_log_init((enum hs_log_level)conf->log_level, (enum hs_log_format)conf->log_format);
    if (source.is_postgrest)
        log_advice(conf);
    code = serve_run(conf, &hooks);
    conf_free(conf);
    return code;
}
