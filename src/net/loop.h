/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/loop.h - one event loop a thread, over libuv: timers, sockets of libraries, mail, work,
 * hooks.
 *
 * Thread     everything belongs to the thread that runs the loop, except net_loop_post() and
 *            net_loop_stop(), which any thread may call.
 * Handles    opaque; _free() may be called inside their own callback; after _free() no callback
 * comes. Time       timers take microseconds but fire with a millisecond's resolution. Source
 * libuv 1.44 manual, "Design overview" and "The I/O loop".
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "core/err.h"
#include "core/list.h"
#include "core/metric.h"
#include "core/time.h"

struct net_loop;
struct net_timer;
struct net_poll;

/*
 * metrics may be NULL; with it, the loop measures its own lag into LOOP_LAG. Makes the process
 * ignore SIGPIPE; who starts other programs sets it back in them.
 */
hs_status net_loop_new(struct net_loop **ret_loop, struct hs_metrics *metrics,
                       struct hs_err *reterr) hs_must_check;
/* Runs until net_loop_stop(). */
void net_loop_run(struct net_loop *loop);
void net_loop_stop(struct net_loop *loop);
/* After the run: closes what is left open, runs their close callbacks, frees. NULL is allowed. */
void net_loop_free(struct net_loop *loop);
/*
 * The clock as it is now, for what must not be served later than some instant: never a time that was kept from
 * before the loop waited, because the process may have been stopped meanwhile.
 */
hs_us net_loop_now(const struct net_loop *loop);
/* The uv_loop_t; for src/net only. */
void *net_loop_uv(struct net_loop *loop);

/* ---- mail: the only way from another thread ---- */
struct net_mail {
    struct net_mail *next;                  /* private */
    void (*deliver)(struct net_mail *mail); /* called on the loop's thread, in order of posting */
};
/* Any thread, also before the run. The mail must stay put until delivered; deliver may free it. */
void net_loop_post(struct net_loop *loop, struct net_mail *mail);
/* Delivers what was posted and not read yet: on the loop's thread, or on another after the run. */
void net_loop_deliver(struct net_loop *loop);

/* ---- hooks: run once a turn, right before the loop waits for events ---- */
struct net_hook {
    struct hs_list node; /* private */
    void (*run)(struct net_hook *hook);
};
void net_loop_hook(struct net_loop *loop, struct net_hook *hook);
/* Also from inside a hook, its own or another's. */
void net_loop_unhook(struct net_hook *hook);
/*
 * There is work for a hook: hooks run before the loop waits. Needed by whatever a hook may call,
 * since the hook it speaks for may have run already; outside of hooks it costs nothing.
 */
void net_loop_again(struct net_loop *loop);

/* ---- timers ---- */
typedef void net_timer_f(void *arg);
hs_status net_timer_new(struct net_loop *loop, net_timer_f *fire, void *arg,
                        struct net_timer **ret_timer, struct hs_err *reterr) hs_must_check;
/* (Re)starts: fires once after `delay`, then every `repeat` (0 = once). */
void net_timer_start(struct net_timer *timer, hs_us delay, hs_us repeat);
void net_timer_stop(struct net_timer *timer);
void net_timer_free(struct net_timer *timer);

/* ---- sockets that a library owns (libpq) ---- */
enum { NET_READABLE = 1, NET_WRITABLE = 2 };
/* error: the poll itself failed (errno value as positive int), then events is 0. */
typedef void net_poll_f(void *arg, int events, int error);
hs_status net_poll_new(struct net_loop *loop, int fd, net_poll_f *ready, void *arg,
                       struct net_poll **ret_poll, struct hs_err *reterr) hs_must_check;
/* Events to watch for, level-triggered; 0 = none. Setting the same events again costs nothing. */
hs_status net_poll_set(struct net_poll *poll, int events, struct hs_err *reterr) hs_must_check;
/* The library may close fd as soon as this returns. */
void net_poll_free(struct net_poll *poll);

/* ---- blocking work on libuv's thread pool ---- */
struct net_work {
    void (*run)(struct net_work *work);  /* on another thread */
    void (*done)(struct net_work *work); /* back on the loop's thread */
};
/* The struct must stay put until done(). */
hs_status net_work_start(struct net_loop *loop, struct net_work *work, struct hs_err *reterr)
    hs_must_check;

#endif
