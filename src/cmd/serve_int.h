/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/serve_int.h - what serve.c (assembly of a worker) and the files of the thread above them share:
 * control.c, reload.c, pause.c, admin_socket.c.
 *
 * Configuration: a worker runs by a configuration of its own reference. A reload mails it the next one
 * with all that is made from it; nobody reads what another thread may swap.
 */
#ifndef CMD_SERVE_INT_H
#define CMD_SERVE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/api.h"
#include "cmd/coherence.h"
#include "cmd/serve.h"
#include "edge/auth.h"
#include "http/server.h"
#include "net/loop.h"
#include "observe/observe.h"
#include "pg/pool.h"
#include "rest/cors.h"

enum { SERVE_ROUTES = 12, SERVE_STEPS = 4, SERVE_ADMIN_CACHE_ROUTES = 4, SERVE_ADMIN_ROUTES = 8 };

/* Requests under way on the admin socket: an operator and a few scripts. */
enum { SERVE_ADMINS_MAX = 64 };

struct serve;
struct serve_worker;
struct serve_warm;
struct serve_keys_doc;
struct serve_keys_job;

/* A configuration in force, counted. */
struct serve_conf {
    atomic_uint refs;
    const struct conf *conf;
    struct conf *owned; /* the same; NULL: it is the one that serve_run() was given */
    char logout_path[]; /* "/api/v1/auth/logout" */
};

/*
 * What a worker is mailed: a model, and after a reload all that was made from the configuration. The
 * worker takes everything over.
 */
struct serve_update {
    struct net_mail mail;
    struct serve_worker *worker;
    struct api_model *model;
    struct serve_conf *conf; /* NULL: only the model is new */
    struct edge_auth *auth;  /* with conf */
};

/* What is told to the control thread; embedded in what it is about. */
enum serve_note_kind {
    SERVE_NOTE_ADMIN,   /* a request on the admin socket: struct serve_admin */
    SERVE_NOTE_PAUSED,  /* a worker's pool is paused, or will not be */
    SERVE_NOTE_RESUMED, /* a worker's pool was told to go on */
    SERVE_NOTE_CATALOG, /* the cache's catalog has another generation */
    SERVE_NOTE_FEED     /* the change stream is paused, or was */
};

struct serve_note {
    struct serve_note *next;
    enum serve_note_kind kind;
    bool is_paused; /* of SERVE_NOTE_PAUSED */
};

enum serve_verb { SERVE_STATUS, SERVE_PAUSE, SERVE_RESUME, SERVE_RELOAD };

/* A request on the admin socket, on its way from the first worker to the control thread and back. */
struct serve_admin {
    struct serve_note note;
    struct net_mail mail;
    struct hs_list node; /* while the control thread holds it */
    struct serve_worker *worker;
    struct http_req *req;
    enum serve_verb verb;
    hs_us timeout;      /* of SERVE_PAUSE */
    struct hs_err err;  /* the answer: status 0, */
    struct hs_buf body; /* and then this JSON */
};

/* One worker: a thread, its loop and everything that lives on it. */
struct serve_worker {
    struct serve *serve;
    struct serve_conf *conf;
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
    struct cache_shared *shared; /* NULL without cache.redis.url */
    struct http_server *http;
    struct http_server *admin;                 /* first worker only, and only with admin.socket */
    struct http_route routes[2][SERVE_ROUTES]; /* one in use, one for the next configuration */
    unsigned routes_in_use;
    struct http_route admin_routes[SERVE_ADMIN_ROUTES];
    struct http_step_row steps[SERVE_STEPS];
    struct rest_cors cors;
    struct net_mail drain_mail;
    unsigned draining; /* HTTP servers that are not drained yet */
    struct net_mail pause_mail;
    struct net_mail resume_mail;
    hs_us pause_until;
    struct serve_note paused_note;
    struct serve_note resumed_note;
    struct serve_warm *warm; /* first worker only, with a cache; NULL = none */
    struct edge_logout logout;
    unsigned logouts;          /* under way */
    struct net_mail keys_mail; /* the set of keys for tokens has changed */
    atomic_bool keys_mailed;
    uint64_t keys_version;           /* of the set that auth has */
    struct serve_keys_job *keys_job; /* first worker only, as what follows: a reading under way */
    hs_us keys_began;                /* of the last reading */
    hs_us keys_due;
    bool keys_failed;
    unsigned admins;       /* requests of the admin socket under way */
    struct net_work sweep; /* first worker only */
    bool is_sweeping;
    hs_us sweep_at;
};

struct serve {
    const struct conf *boot; /* what it began with: options that cannot change are read here */
    const struct serve_hooks *hooks;
    struct hs_metrics *metrics; /* of the control thread */
    struct observe_state state;
    struct pg_budget budget;
    atomic_size_t connections;
    struct serve_worker *workers;
    unsigned n_workers;
    unsigned port; /* of the first address */
    int signal_fd;
    _Atomic(struct serve_note *) notes; /* for the control thread, newest first */
    int note_fd;                        /* eventfd: there are some */
    int wake_fd;                        /* epoll: readable when a signal or a note waits */
    int finished_fd; /* eventfd: one count for each worker whose loop has ended */
    atomic_size_t admin_connections;
    bool has_admin_socket;       /* the file is there, made by us */
    struct coherence *coherence; /* NULL: cache.enabled is off */
    struct serve_note catalog_note;
    atomic_flag catalog_noted; /* the note is on its way */
    struct serve_note feed_note;
    atomic_flag feed_noted; /* the same */
    struct {
        int fd;                  /* of auth.logout.file; -1 = none */
        struct edge_logout list; /* what it held at start */
    } logout;
    struct { /* keys.c */
        pthread_mutex_t lock;
        bool has_lock;
        struct serve_keys_doc *current; /* under lock, as next */
        struct serve_keys_doc *next;    /* of a configuration that is being taken */
        uint64_t versions;
        atomic_bool is_missed;
        atomic_bool is_stopping;
    } keys;
};

/* serve.c: makes all workers with their listening sockets, then starts their threads. */
hs_status serve_start_workers(struct serve *s, struct serve_conf *conf, struct hs_err *reterr)
    hs_must_check;
/* serve.c: asks every worker to drain. */
void serve_drain_workers(struct serve *s);
/* serve.c: joins and frees; the workers' loops must have ended or be ending, or never have run. */
void serve_free_workers(struct serve *s);

/* serve_auth.c: the audit log and what all auth steps share, before workers and after them; `code` is the exit's. */
hs_status serve_auth_open(struct serve *s, struct hs_err *reterr) hs_must_check;
void serve_auth_close(struct serve *s, int code);
/* serve_auth.c: the auth step of one worker by that configuration. */
hs_status serve_auth_new(struct serve_worker *w, const struct conf *conf,
                         struct edge_auth **ret_auth, struct hs_err *reterr) hs_must_check;
/* serve.c, on the worker's thread: takes over what the update holds; it is freed. */
void serve_worker_update(struct serve_update *update);
/* serve.c, any thread: tells the control thread; the note must stay put until it was taken. */
void serve_note(struct serve *s, struct serve_note *note);
/* serve.c, the control thread: all of them, in the order in which they came. */
struct serve_note *serve_take_notes(struct serve *s);

/* reload.c: counted configurations. conf_new takes over `owned`; on failure it is not freed. */
struct serve_conf *serve_conf_new(const struct conf *conf, struct conf *owned);
struct serve_conf *serve_conf_ref(struct serve_conf *conf);
void serve_conf_unref(struct serve_conf *conf);

/* admin_socket.c: the HTTP server on admin.socket, on the first worker's loop. */
hs_status serve_admin_new(struct serve_worker *w, const struct http_limits *limits,
                          struct hs_err *reterr) hs_must_check;
/* admin_cache.c: what of it is about the cache. */
void serve_admin_cache_routes(struct serve_worker *w,
                              struct http_route to[static SERVE_ADMIN_CACHE_ROUTES]);
/* admin_socket.c: removes the file, while it is still ours. */
void serve_admin_hide(struct serve *s);
/* admin_socket.c, the control thread: sends err or body on its way; the request is not ours any more. */
void serve_admin_answer(struct serve_admin *admin);

/* control.c: until a signal ends it; the exit code. */
int serve_control(struct serve *s);

#endif
