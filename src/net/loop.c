/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop. A turn of libuv is: timers, then I/O callbacks, then round again; our hooks hang on its
 * "prepare" handle, which runs right before the loop waits, so whatever the turn gathered (queries
 * for a batch, bytes for a socket, log lines) leaves together.
 *
 * The memory of a libuv handle is ours again only in its close callback; that is why timers and
 * polls are separate blocks and why net_loop_free() turns the loop until all of them are closed.
 *
 * Mail is a stack that any thread pushes to with compare-and-swap; the loop takes it whole and
 * turns it round, so mail of one sender arrives in its order.
 */
#include "net/loop.h"

#include <signal.h>
#include <stdatomic.h>
#include <uv.h>

#include "core/guard.h"
#include "core/mem.h"

enum { LAG_EVERY_MS = 100 };

struct net_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_idle_t again;
    uv_timer_t lag;
    hs_us lag_due;
    struct hs_metrics *metrics;
    struct hs_list hooks;
    hs_us before_wait; /* only where a test leaves out the guard of net_loop_now() */
    bool in_hooks;
    _Atomic(struct net_mail *) mail;
    atomic_bool stopping;
};

struct net_timer {
    uv_timer_t uv;
    net_timer_f *fire;
    void *arg;
};

struct net_poll {
    uv_poll_t uv;
    net_poll_f *ready;
    void *arg;
    int events;
};

static hs_status fail_uv(struct hs_err *reterr, const char *what, int error)
{
    hs_fail(reterr, error == UV_ENOMEM ? HS_E_MEMORY : HS_E_IO, "could not %s", what);
    hs_err_why(reterr, "%s", uv_strerror(error));
    return error == UV_ENOMEM ? HS_E_MEMORY : HS_E_IO;
}

void net_loop_deliver(struct net_loop *loop)
{
    struct net_mail *newest = atomic_exchange_explicit(&loop->mail, NULL, memory_order_acquire);
    struct net_mail *oldest = NULL;

    while (newest) {
        struct net_mail *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct net_mail *next = oldest->next;

        oldest->deliver(oldest);
        oldest = next;
    }
}

hs_us net_loop_now(const struct net_loop *loop)
{
    return HS_GUARD(real_clock) ? hs_now_us() : loop->before_wait;
}

static void on_wake(uv_async_t *async)
{
    struct net_loop *loop = async->data;

    net_loop_deliver(loop);
    if (atomic_load(&loop->stopping))
        uv_stop(&loop->uv);
}

/* A hook may remove itself or any other: each is back in the list before it runs. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct net_loop *loop = prepare->data;
    struct hs_list todo;
    struct hs_list *node;

    hs_list_init(&todo);
    hs_list_append_all(&todo, &loop->hooks);
    loop->in_hooks = true;
    while ((node = hs_list_pop(&todo))) {
        struct net_hook *hook = HS_CONTAINER(node, struct net_hook, node);

        hs_list_append(&loop->hooks, node);
        hook->run(hook);
    }
    loop->in_hooks = false;
    if (!HS_GUARD(real_clock))
        loop->before_wait = hs_now_us();
}

/* While an idle handle is active libuv polls without waiting; this one lives for one round. */
static void on_again(uv_idle_t *again)
{
    uv_idle_stop(again);
}

static void on_lag(uv_timer_t *timer)
{
    struct net_loop *loop = timer->data;
    hs_us now = hs_now_us();

    if (loop->lag_due)
        hs_metric_observe(loop->metrics, HS_M_LOOP_LAG,
                          now > loop->lag_due ? now - loop->lag_due : 0);
    loop->lag_due = now + LAG_EVERY_MS * HS_MS;
}

static int init_handles(struct net_loop *loop)
{
    int error = uv_async_init(&loop->uv, &loop->wake, on_wake);

    if (error)
        return error;
    loop->wake.data = loop;
    uv_prepare_init(&loop->uv, &loop->prepare);
    loop->prepare.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_idle_init(&loop->uv, &loop->again);
    uv_timer_init(&loop->uv, &loop->lag);
    loop->lag.data = loop;
    if (loop->metrics)
        uv_timer_start(&loop->lag, on_lag, LAG_EVERY_MS, LAG_EVERY_MS);
    return 0;
}

hs_status net_loop_new(struct net_loop **ret_loop, struct hs_metrics *metrics,
                       struct hs_err *reterr)
{
    struct net_loop *loop = hs_calloc(1, sizeof(*loop));
    int error;

    if (!loop)
        return hs_fail_memory(reterr);
    /* libuv writes with write(2): without this a client that has gone would end the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    loop->metrics = metrics;
    hs_list_init(&loop->hooks);
    error = uv_loop_init(&loop->uv);
    if (error) {
        hs_free(loop);
        return fail_uv(reterr, "create an event loop", error);
    }
    error = init_handles(loop);
    if (error) {
        (void)uv_loop_close(&loop->uv);
        hs_free(loop);
        return fail_uv(reterr, "create an event loop", error);
    }
    *ret_loop = loop;
    return HS_OK;
}

void net_loop_run(struct net_loop *loop)
{
    net_loop_deliver(loop);
    while (!atomic_load(&loop->stopping))
        uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void net_loop_stop(struct net_loop *loop)
{
    atomic_store(&loop->stopping, true);
    uv_async_send(&loop->wake);
}

static void free_handle_data(uv_handle_t *handle)
{
    hs_free(handle->data);
}

/* Timers and polls are ours to free; a connection belongs to its acceptor, which must be gone. */
static void close_if_open(uv_handle_t *handle, void *arg)
{
    bool is_ours = handle->type == UV_TIMER || handle->type == UV_POLL;

    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, is_ours ? free_handle_data : NULL);
}

void net_loop_free(struct net_loop *loop)
{
    if (!loop)
        return;
    net_loop_deliver(loop);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->again, NULL);
    uv_close((uv_handle_t *)&loop->lag, NULL);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    uv_walk(&loop->uv, close_if_open, NULL);
    while (uv_loop_close(&loop->uv) == UV_EBUSY)
        uv_run(&loop->uv, UV_RUN_ONCE);
    hs_free(loop);
}

void *net_loop_uv(struct net_loop *loop)
{
    return &loop->uv;
}

void net_loop_post(struct net_loop *loop, struct net_mail *mail)
{
    struct net_mail *head = atomic_load_explicit(&loop->mail, memory_order_relaxed);

    do {
        mail->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->mail, &head, mail, memory_order_release,
                                                    memory_order_relaxed));
    uv_async_send(&loop->wake);
}

void net_loop_hook(struct net_loop *loop, struct net_hook *hook)
{
    hs_list_append(&loop->hooks, &hook->node);
}

void net_loop_unhook(struct net_hook *hook)
{
    hs_list_remove(&hook->node);
}

void net_loop_again(struct net_loop *loop)
{
    if (loop->in_hooks)
        uv_idle_start(&loop->again, on_again);
}

static void on_timer(uv_timer_t *uv)
{
    struct net_timer *timer = uv->data;

    timer->fire(timer->arg);
}

hs_status net_timer_new(struct net_loop *loop, net_timer_f *fire, void *arg,
                        struct net_timer **ret_timer, struct hs_err *reterr)
{
    struct net_timer *timer = hs_calloc(1, sizeof(*timer));

    if (!timer)
        return hs_fail_memory(reterr);
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
    timer->fire = fire;
    timer->arg = arg;
    *ret_timer = timer;
    return HS_OK;
}

/* libuv counts from the time it cached at the start of the turn; a long turn must not cut the
 * delay. */
void net_timer_start(struct net_timer *timer, hs_us delay, hs_us repeat)
{
    uv_update_time(timer->uv.loop);
    uv_timer_start(&timer->uv, on_timer, (delay + 999) / 1000, (repeat + 999) / 1000);
}

void net_timer_stop(struct net_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

void net_timer_free(struct net_timer *timer)
{
    if (timer)
        uv_close((uv_handle_t *)&timer->uv, free_handle_data);
}

static void on_poll(uv_poll_t *uv, int status, int events)
{
    struct net_poll *poll = uv->data;
    int ours = (events & UV_READABLE ? NET_READABLE : 0) |
               (events & UV_WRITABLE ? NET_WRITABLE : 0);

    poll->ready(poll->arg, status < 0 ? 0 : ours, status < 0 ? -status : 0);
}

hs_status net_poll_new(struct net_loop *loop, int fd, net_poll_f *ready, void *arg,
                       struct net_poll **ret_poll, struct hs_err *reterr)
{
    struct net_poll *poll = hs_calloc(1, sizeof(*poll));
    int error;

    if (!poll)
        return hs_fail_memory(reterr);
    error = uv_poll_init_socket(&loop->uv, &poll->uv, fd);
    if (error) {
        hs_free(poll);
        return fail_uv(reterr, "watch a socket", error);
    }
    poll->uv.data = poll;
    poll->ready = ready;
    poll->arg = arg;
    *ret_poll = poll;
    return HS_OK;
}

hs_status net_poll_set(struct net_poll *poll, int events, struct hs_err *reterr)
{
    int uv_events = (events & NET_READABLE ? UV_READABLE : 0) |
                    (events & NET_WRITABLE ? UV_WRITABLE : 0);
    int error;

    if (events == poll->events)
        return HS_OK;
    error = events ? uv_poll_start(&poll->uv, uv_events, on_poll) : uv_poll_stop(&poll->uv);
    if (error)
        return fail_uv(reterr, "watch a socket", error);
    poll->events = events;
    return HS_OK;
}

void net_poll_free(struct net_poll *poll)
{
    if (!poll)
        return;
    uv_poll_stop(&poll->uv);
    uv_close((uv_handle_t *)&poll->uv, free_handle_data);
}

struct work_req {
    uv_work_t uv;
    struct net_work *work;
};

static void on_work(uv_work_t *uv)
{
    struct work_req *req = uv->data;

    req->work->run(req->work);
}

static void on_work_done(uv_work_t *uv, int status)
{
    struct work_req *req = uv->data;
    struct net_work *work = req->work;

    (void)status;
    hs_free(req);
    work->done(work);
}

hs_status net_work_start(struct net_loop *loop, struct net_work *work, struct hs_err *reterr)
{
    struct work_req *req = hs_calloc(1, sizeof(*req));
    int error;

    if (!req)
        return hs_fail_memory(reterr);
    req->work = work;
    req->uv.data = req;
    error = uv_queue_work(&loop->uv, &req->uv, on_work, on_work_done);
    if (!error)
        return HS_OK;
    hs_free(req);
    return fail_uv(reterr, "start work", error);
}
