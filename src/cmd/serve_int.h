/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/serve_int.h - what serve.c (assembly of a worker) and control.c (the thread above them) share.
 */
#ifndef CMD_SERVE_INT_H
#define CMD_SERVE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/api.h"
#include "cmd/serve.h"
#include "edge/auth.h"
#include "http/server.h"
#include "net/loop.h"
#include "observe/observe.h"
#include "pg/pool.h"

enum { SERVE_ROUTES = 8, SERVE_STEPS = 4, SERVE_LISTEN_MAX = 16 };

struct serve;

/* One worker: a thread, its loop and everything that lives on it. */
struct serve_worker {
    struct serve *serve;
    unsigned index;
    pthread_t thread;
    bool has_thread;
    struct hs_metrics *metrics;
    struct net_loop *loop;
    struct net_timer *tick; /* publishes the pool's state */
    bool pool_was_up;
    bool pool_was_seen; /* its state was published once */
    struct pg_pool *pool;
    struct edge_auth *auth;
    struct api_worker *api;
    struct http_server *http;
    struct http_route routes[SERVE_ROUTES];
    struct http_step_row steps[SERVE_STEPS];
    struct net_mail drain_mail;
};

struct serve {
    const struct conf *conf;
    const struct serve_hooks *hooks;
    struct hs_metrics *metrics; /* of the control thread */
    struct observe_state state;
    struct pg_budget budget;
    atomic_size_t connections;
    struct serve_worker *workers;
    unsigned n_workers;
    unsigned port; /* of the first address */
    int signal_fd;
    int finished_fd; /* eventfd: one count for each worker whose loop has ended */
};

/* serve.c: makes all workers with their listening sockets, then starts their threads. */
hs_status serve_start_workers(struct serve *s, struct hs_err *reterr) hs_must_check;
/* serve.c: asks every worker to drain. */
void serve_drain_workers(struct serve *s);
/* serve.c: joins and frees; the workers' loops must have ended or be ending, or never have run. */
void serve_free_workers(struct serve *s);

/* control.c: until a signal ends it; the exit code. */
int serve_control(struct serve *s);

#endif
