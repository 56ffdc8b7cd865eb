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
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/serve_int.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "net/listen.h"

/* What a worker answers. The first column is the path; API tables hang below api.path. */
static void fill_routes(struct serve_worker *w)
{
    const struct conf *c = w->serve->conf;
    struct observe_state *state = &w->serve->state;
    const struct http_route routes[SERVE_ROUTES] = {
        {"/health/live", HTTP_ROUTE_EXACT, HTTP_GET, true, &observe_live_handler, state},
        {"/health/ready", HTTP_ROUTE_EXACT, HTTP_GET, true, &observe_ready_handler, state},
        {"/health", HTTP_ROUTE_EXACT, HTTP_GET, true, &observe_health_handler, state},
        {"/", HTTP_ROUTE_EXACT, HTTP_GET, false, &api_index_handler, w->api},
        {c->api_path.p, HTTP_ROUTE_PREFIX, HTTP_GET, false, &api_table_handler, w->api},
        {"/metrics", HTTP_ROUTE_EXACT, HTTP_GET, true, &observe_metrics_handler, state},
    };

    memcpy(w->routes, routes, sizeof(routes));
}

/* What every request that is not open passes first, in order. */
static void fill_steps(struct serve_worker *w)
{
    w->steps[0] = (struct http_step_row){&edge_auth_step, w->auth};
}

static hs_status make_pool(struct serve_worker *w, struct hs_err *reterr)
{
    const struct conf *c = w->serve->conf;
    const struct pg_pool_setup setup = {
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
        .batch_max = c->database_pool_batch_max,
        .statements_max = c->database_pool_statements_max,
        .seed = hs_rng_seed(),
    };

    return pg_pool_new(&setup, &w->pool, reterr);
}

static hs_status make_auth(struct serve_worker *w, struct hs_err *reterr)
{
    const struct conf *c = w->serve->conf;
    const struct edge_auth_setup setup = {
        .roles = c->auth_roles.v,
        .n_roles = c->auth_roles.n,
        .anonymous_role = c->auth_anonymous_role,
        .secret = c->auth_jwt_secret,
        .public_key = c->auth_jwt_public_key,
        .audience = c->auth_jwt_audience,
        .role_claim = c->auth_jwt_role_claim,
        .clock_skew = c->auth_jwt_clock_skew,
        .token_max = c->auth_jwt_max,
        .cache_max = c->auth_jwt_cache,
        .metrics = w->metrics,
        .wall = hs_wall_now,
    };

    return edge_auth_new(&setup, &w->auth, reterr);
}

/* Less than one answer would refuse the largest for ever. */
static size_t output_share(const struct serve *s)
{
    size_t share = s->conf->server_output_total / s->n_workers;

    return share > s->conf->server_answer_max ? share : s->conf->server_answer_max;
}

static hs_status make_http(struct serve_worker *w, struct hs_err *reterr)
{
    const struct conf *c = w->serve->conf;
    const struct http_server_setup setup = {
        .loop = w->loop,
        .metrics = w->metrics,
        .limits =
            {
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
                .output_total = output_share(w->serve),
                .request_memory_max = c->server_request_memory_max,
                .answer_max = c->server_answer_max,
                .connections_max = c->server_connections_max,
                .timing = c->server_timing,
                .access_log = c->log_access,
            },
        .routes = w->routes,
        .n_routes = c->observe_metrics ? 6 : 5,
        .steps = w->steps,
        .n_steps = 1,
        .connections = &w->serve->connections,
    };

    fill_routes(w);
    fill_steps(w);
    return http_server_new(&setup, &w->http, reterr);
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

static void on_tick(void *arg)
{
    struct serve_worker *w = arg;
    struct pg_pool_state state;

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

static hs_status make_worker(struct serve_worker *w, struct hs_err *reterr)
{
    hs_status status;

    w->metrics = hs_metrics_new();
    if (!w->metrics)
        return hs_fail_memory(reterr);
    status = net_loop_new(&w->loop, w->metrics, reterr);
    if (!status)
        status = make_pool(w, reterr);
    if (!status)
        status = make_auth(w, reterr);
    if (!status)
        status = api_worker_new(w->pool, &w->api, reterr);
    if (!status)
        status = make_http(w, reterr);
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

        status = net_listen(addr, (unsigned)s->conf->server_backlog, &fd, reterr);
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

hs_status serve_start_workers(struct serve *s, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    s->workers = hs_calloc(s->n_workers, sizeof(*s->workers));
    if (!s->workers)
        return hs_fail_memory(reterr);
    for (unsigned i = 0; i < s->n_workers && !status; i++) {
        s->workers[i].serve = s;
        s->workers[i].index = i;
        status = make_worker(&s->workers[i], reterr);
    }
    for (size_t i = 0; i < s->conf->server_listen.n && !status; i++)
        status = listen_all(s, s->conf->server_listen.v[i], i == 0, reterr);
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

    pg_pool_close(w->pool, on_pool_closed, w);
}

static void on_drain_mail(struct net_mail *mail)
{
    struct serve_worker *w = HS_CONTAINER(mail, struct serve_worker, drain_mail);

    http_server_drain(w->http, w->serve->conf->server_drain_timeout, on_http_drained, w);
}

void serve_drain_workers(struct serve *s)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        struct serve_worker *w = &s->workers[i];

        w->drain_mail.deliver = on_drain_mail;
        net_loop_post(w->loop, &w->drain_mail);
    }
}

void serve_free_workers(struct serve *s)
{
    for (unsigned i = 0; s->workers && i < s->n_workers; i++) {
        struct serve_worker *w = &s->workers[i];

        if (w->has_thread)
            (void)pthread_join(w->thread, NULL);
        if (w->loop)
            net_loop_deliver(w->loop); /* a model may still be in the mail */
        http_server_free(w->http);
        api_worker_free(w->api);
        edge_auth_free(w->auth);
        pg_pool_free(w->pool);
        net_timer_free(w->tick);
        net_loop_free(w->loop);
    }
    hs_free(s->workers);
    s->workers = NULL;
}

/* One worker a processor, but never so many that one has less than two database connections. */
static hs_status choose_workers(struct serve *s, struct hs_err *reterr)
{
    uint64_t asked = s->conf->server_workers;
    uint64_t most = s->conf->database_pool_max / 2;
    cpu_set_t set;

    if (asked > most) {
        hs_fail(reterr, HS_E_CONFIG, "server.workers is %llu but database.pool.max is only %llu",
                (unsigned long long)asked, (unsigned long long)s->conf->database_pool_max);
        hs_err_why(reterr, "each worker needs at least two database connections");
        hs_err_hint(reterr, "Lower server.workers or raise database.pool.max.");
        return HS_E_CONFIG;
    }
    if (!asked)
        asked = sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint64_t)CPU_COUNT(&set) : 1;
    s->n_workers = (unsigned)(asked > most ? most : asked);
    return HS_OK;
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
    if (s->signal_fd < 0 || s->finished_fd < 0)
        return hs_fail(reterr, HS_E_IO, "could not open a signal descriptor");
    return HS_OK;
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

int serve_run(const struct conf *conf, const struct serve_hooks *hooks)
{
    struct serve s = {.conf = conf, .hooks = hooks, .signal_fd = -1, .finished_fd = -1};
    struct hs_err err;
    int code = CMD_FAILED;
    hs_status status;

    hs_hash_seed(hs_rng_seed());
    raise_descriptors();
    s.state.started_at = hs_now_us();
    s.metrics = hs_metrics_new();
    status = s.metrics ? choose_workers(&s, &err) : hs_fail_memory(&err);
    s.state.workers = s.n_workers;
    s.budget.max = (unsigned)conf->database_pool_max;
    s.budget.min = (unsigned)conf->database_pool_min;
    s.budget.workers = s.n_workers;
    if (!status)
        status = open_signals(&s, &err);
    if (!status) {
        code = serve_control(&s);
    } else {
        hs_log_begin(HS_LOG_ERROR, "could not start");
        hs_log_err(&err);
        hs_log_end();
    }
    if (s.signal_fd >= 0)
        (void)close(s.signal_fd);
    if (s.finished_fd >= 0)
        (void)close(s.finished_fd);
    return code;
}

int cmd_serve(int argc, char **argv)
{
    const char *file = NULL;
    struct args_list sets = {.n = 0};
    const struct args_opt opts[] = {CMD_CONF_OPTS(&file, &sets)};
    struct args args = {.command = "serve", .opts = opts, .n_opts = HS_LEN(opts)};
    struct conf *conf;
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    code = cmd_conf_load(file, &sets, &conf);
    if (code)
        return code;
    hs_log_init((enum hs_log_level)conf->log_level, (enum hs_log_format)conf->log_format);
    code = serve_run(conf, NULL);
    conf_free(conf);
    return code;
}
