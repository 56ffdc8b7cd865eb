/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     PAUSE ──timer──▶ RESOLVE ──▶ GREET (connect, AUTH, SELECT, PING) ──▶ UP
 *       ▲                 │          │                                     │
 *       └─────────────────┴──────────┴──────── lose() ◀───────────────────┘
 *
 * The one rule: a Redis that is slow or odd is not argued with. Whatever goes wrong, the connection is dropped,
 * all calls under way fail, and until a new one has proven itself calls fail at once. So no answer can come
 * late and be taken for another's, and the breaker is nothing but the state UP.
 *
 * hiredis owns its context: it frees it by itself when the connection breaks, and calls what it still owed
 * (reply NULL) before. on_cleanup() is the one place where that is learnt. Its wishes (read, write) are kept and
 * acted upon once a turn, before the loop waits; there, too, the commands of a turn go out in one write.
 *
 * Two things that hiredis does not bound are bounded here. It asserts that a reply belongs to a command, and
 * it builds arrays of any length: so replies are made by functions of ours, which refuse both, and hiredis takes
 * the refusal for lack of memory and breaks the connection.
 *
 * Source: hiredis 0.14, async.c and read.c.
 */
#include "net/redis.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>

#include "core/mem.h"
#include "core/rng.h"
#include "net/redis_url.h"
#include "net/resolve.h"

enum {
    REDIS_MAGIC = 0x52454449,
    FAILURES_MAX = 8,
    WORDS_MAX = 5,
    NUMBER = 24,
    READ_SLACK = 64 *
                 1024 /* what may stand unread beside one reply: hiredis reads 16 KiB at a time */
};
/* From name to PING, through stunnel and TLS if need be. */
#define GREET_TIME HS_SECOND

enum link { LINK_PAUSE, LINK_RESOLVE, LINK_GREET, LINK_UP };

struct net_redis {
    uint32_t magic;
    enum link link;
    struct net_redis_setup setup;
    struct net_redis_url url;
    struct hs_rng rng;
    redisAsyncContext *context;
    struct net_poll *poll;
    redisReplyObjectFunctions stock; /* that hiredis came with */
    redisReplyObjectFunctions replies;
    struct net_resolve *resolving;
    struct net_timer *timer; /* the pause, or the bound on a greeting */
    struct net_timer *clock; /* the time limit of the oldest call */
    struct net_hook hook;
    struct hs_list calls; /* under way, the oldest first */
    struct call *late;    /* was found to be late a turn ago */
    size_t n_calls;
    size_t bytes;
    hs_us pause;
    unsigned attempts; /* which of a name's addresses is next */
    unsigned failures; /* errors in a row */
    int wanted;        /* events that hiredis waits for */
    bool is_connected;
    bool is_clock_on;
    bool is_told;     /* changed() was called, */
    bool was_told_up; /* with this */
};

enum kind { CALL_GREETING, CALL_PING, CALL_GET, CALL_SET };

struct call {
    struct hs_list node;
    struct net_redis *redis;
    enum kind kind;
    net_redis_f *done; /* of CALL_GET */
    void *arg;
    size_t bytes;
    hs_us begun_at;
};

static void lose(struct net_redis *redis, const char *why);

/* ---- its state, as others see it ---- */

static void tell(struct net_redis *redis, bool is_up, const char *why)
{
    struct hs_err err = {0};

    hs_metric_set(redis->setup.metrics, HS_M_SHARED_BREAKER_OPEN, !is_up);
    if (!redis->setup.changed || (redis->is_told && redis->was_told_up == is_up))
        return;
    redis->is_told = true;
    redis->was_told_up = is_up;
    if (!is_up) {
        (void)hs_fail(&err, HS_E_IO, "Redis is not to be had");
        hs_err_why(&err, "%s", why);
    }
    redis->setup.changed(redis->setup.ctx, is_up, is_up ? NULL : &err);
}

static void start_pause(struct net_redis *redis)
{
    const struct net_redis_setup *setup = &redis->setup;
    hs_us pause = redis->pause;

    redis->pause = pause * 2 < setup->retry_max ? pause * 2 : setup->retry_max;
    net_timer_start(redis->timer, pause / 2 + hs_rng_below(&redis->rng, pause / 2 + 1), 0);
}

/* Calls that it ends may ask for more: by then the link is not up. */
static void lose(struct net_redis *redis, const char *why)
{
    char text[128];

    if (redis->link == LINK_PAUSE)
        return;
    (void)snprintf(text, sizeof(text), "%s", why); /* it may be the context's */
    redis->link = LINK_PAUSE;
    net_resolve_cancel(redis->resolving);
    redis->resolving = NULL;
    if (redis->context)
        redisAsyncFree(redis->context);
    start_pause(redis);
    tell(redis, /* is_up= */ false, text);
}

static void come_up(struct net_redis *redis)
{
    redis->link = LINK_UP;
    redis->failures = 0;
    net_timer_stop(redis->timer);
    tell(redis, /* is_up= */ true, NULL);
}

/* ---- calls ---- */

static void count(const struct call *call, hs_us took, enum net_redis_outcome outcome, size_t bytes)
{
    struct hs_metrics *metrics = call->redis->setup.metrics;

    if (call->kind == CALL_GET)
        hs_metric_observe(metrics, HS_M_SHARED_DURATION, took);
    if (outcome == NET_REDIS_FAILED)
        hs_metric_add(metrics, HS_M_SHARED_ERRORS, 1);
    hs_metric_add(metrics, HS_M_SHARED_BYTES, call->bytes + bytes);
}

/* An answer to a part of the greeting. */
static void greeted(struct net_redis *redis, enum kind kind, hs_us took, const redisReply *reply)
{
    if (redis->link != LINK_GREET)
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        lose(redis, reply->str);
    else if (kind == CALL_PING && took > redis->setup.timeout)
        lose(redis, "PING was answered too late");
    else if (kind == CALL_PING)
        come_up(redis);
}

/* A command proves more than a PING: only then the next pause is a short one again. */
static void note(struct net_redis *redis, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR) {
        redis->failures = 0;
        redis->pause = redis->setup.retry_min;
    } else if (++redis->failures == FAILURES_MAX) {
        lose(redis, reply->str);
    }
}

static enum net_redis_outcome outcome_of(const redisReply *reply)
{
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        return NET_REDIS_FAILED;
    return reply->type == REDIS_REPLY_STRING && reply->len ? NET_REDIS_VALUE : NET_REDIS_NONE;
}

static struct call take_call(struct call *call)
{
    struct net_redis *redis = call->redis;
    struct call taken = *call;

    hs_list_remove(&call->node);
    redis->n_calls--;
    redis->bytes -= call->bytes;
    if (redis->late == call)
        redis->late = NULL;
    hs_free(call);
    return taken;
}

/* reply NULL: the connection is lost, and hiredis frees the context next. */
static void on_reply(redisAsyncContext *context, void *of, void *arg)
{
    const redisReply *reply = of;
    struct call call = take_call(arg);
    struct net_redis *redis = call.redis;
    hs_us took = hs_now_us() - call.begun_at;
    enum net_redis_outcome outcome = outcome_of(reply);
    struct hs_str value = HS_STR_NULL;

    if (outcome == NET_REDIS_VALUE)
        value = hs_strn(reply->str, (size_t)reply->len);
    count(&call, took, outcome, value.n);
    if (!reply)
        redis->is_connected = false;
    else if (call.kind == CALL_GREETING || call.kind == CALL_PING)
        greeted(redis, call.kind, took, reply);
    else
        note(redis, reply);
    if (!reply && redis->link != LINK_PAUSE) {
        /* hiredis ends it: what it owes comes first, and on_cleanup() behind that. */
        redis->context = NULL;
        lose(redis, context->errstr && *context->errstr ? context->errstr : "the connection broke");
        redis->context = context;
    }
    if (call.done)
        call.done(call.arg, outcome, value);
}

static void start_clock(struct net_redis *redis, hs_us delay)
{
    redis->is_clock_on = true;
    net_timer_start(redis->clock, delay, 0);
}

/*
 * The oldest call's time may be up. It gets one more turn of the loop: when the loop itself was late, the answer
 * is there to be read.
 */
static void on_clock(void *arg)
{
    struct net_redis *redis = arg;
    struct hs_list *first = hs_list_first(&redis->calls);
    struct call *oldest;
    hs_us age;

    redis->is_clock_on = false;
    if (redis->link != LINK_UP || !first)
        return;
    oldest = HS_CONTAINER(first, struct call, node);
    age = hs_now_us() - oldest->begun_at;
    if (age < redis->setup.timeout) {
        start_clock(redis, redis->setup.timeout - age);
    } else if (redis->late != oldest) {
        redis->late = oldest;
        start_clock(redis, HS_MS);
    } else {
        lose(redis, "a command was not answered in time");
    }
}

static bool send_call(struct net_redis *redis, const struct call *made, const struct hs_str *words,
                      size_t n_words)
{
    const char *texts[WORDS_MAX];
    size_t lengths[WORDS_MAX];
    struct call *call = redis->context ? hs_malloc(sizeof(*call)) : NULL;

    if (!call)
        return false;
    *call = *made;
    for (size_t i = 0; i < n_words; i++) {
        texts[i] = words[i].p;
        lengths[i] = words[i].n;
    }
    call->redis = redis;
    call->begun_at = hs_now_us();
    if (redisAsyncCommandArgv(redis->context, on_reply, call, (int)n_words, texts, lengths) !=
        REDIS_OK) {
        hs_free(call);
        return false;
    }
    hs_list_append(&redis->calls, &call->node);
    redis->n_calls++;
    redis->bytes += call->bytes;
    net_loop_again(redis->setup.loop);
    return true;
}

static bool send_bounded(struct net_redis *redis, const struct call *made,
                         const struct hs_str *words, size_t n_words)
{
    const struct net_redis_setup *setup = &redis->setup;
    bool is_sent = redis->link == LINK_UP && redis->n_calls < setup->inflight_max &&
                   made->bytes <= setup->bytes_max - redis->bytes &&
                   send_call(redis, made, words, n_words);

    if (!is_sent)
        hs_metric_add(setup->metrics, HS_M_SHARED_SKIPPED, 1);
    else if (!redis->is_clock_on)
        start_clock(redis, setup->timeout);
    return is_sent;
}

static struct hs_str print(uint64_t n, char to[static NUMBER])
{
    return hs_strn(to, (size_t)(hs_u64_print(n, to) - to));
}

/* GETRANGE: how much of a value is sent is for us to say, not for whoever stored it. */
bool net_redis_get(struct net_redis *redis, struct hs_str key, net_redis_f *done, void *arg)
{
    const struct call call = {.kind = CALL_GET, .done = done, .arg = arg, .bytes = key.n};
    char last[NUMBER];
    const struct hs_str words[] = {HS_STR("GETRANGE"), key, HS_STR("0"),
                                   print(redis->setup.reply_max, last)};

    HS_OBJ(redis, REDIS_MAGIC);
    return send_bounded(redis, &call, words, HS_LEN(words));
}

bool net_redis_set(struct net_redis *redis, struct hs_str key, struct hs_str value, hs_us ttl)
{
    const struct call call = {.kind = CALL_SET, .bytes = key.n + value.n};
    char ms[NUMBER];
    const struct hs_str words[] = {HS_STR("SET"), key, value, HS_STR("PX"),
                                   print(ttl < HS_MS ? 1 : ttl / HS_MS, ms)};

    HS_OBJ(redis, REDIS_MAGIC);
    return send_bounded(redis, &call, words, HS_LEN(words));
}

/* ---- replies ---- */

static bool is_owed(const redisReadTask *task)
{
    const struct net_redis *redis = task->privdata;

    return redis->n_calls > 0;
}

static const redisReplyObjectFunctions *stock_of(const redisReadTask *task)
{
    return &((const struct net_redis *)task->privdata)->stock;
}

static void *make_string(const redisReadTask *task, char *p, size_t n)
{
    return is_owed(task) ? stock_of(task)->createString(task, p, n) : NULL;
}

static void *make_array(const redisReadTask *task, int n)
{
    (void)task;
    (void)n;
    return NULL;
}

static void *make_integer(const redisReadTask *task, long long v)
{
    return is_owed(task) ? stock_of(task)->createInteger(task, v) : NULL;
}

static void *make_nil(const redisReadTask *task)
{
    return is_owed(task) ? stock_of(task)->createNil(task) : NULL;
}

/* ---- the socket ---- */

static void want(void *arg, int events)
{
    struct net_redis *redis = arg;

    redis->wanted = events;
    net_loop_again(redis->setup.loop);
}

static void add_read(void *arg)
{
    want(arg, ((struct net_redis *)arg)->wanted | NET_READABLE);
}

static void del_read(void *arg)
{
    want(arg, ((struct net_redis *)arg)->wanted & ~NET_READABLE);
}

static void add_write(void *arg)
{
    want(arg, ((struct net_redis *)arg)->wanted | NET_WRITABLE);
}

static void del_write(void *arg)
{
    want(arg, ((struct net_redis *)arg)->wanted & ~NET_WRITABLE);
}

/* The context goes now, whoever ended it. */
static void on_cleanup(void *arg)
{
    struct net_redis *redis = arg;
    const char *why = redis->context->errstr;
    char text[128];

    (void)snprintf(text, sizeof(text), "%s", why && *why ? why : "the connection broke");
    net_poll_free(redis->poll);
    redis->poll = NULL;
    redis->context = NULL;
    redis->is_connected = false;
    lose(redis, text);
}

static bool is_too_long(const struct net_redis *redis)
{
    const redisReader *reader = redis->context->c.reader;

    return reader->len - reader->pos > redis->setup.reply_max + READ_SLACK;
}

/* Before the loop waits: what was asked for in this turn goes out. */
static void on_turn(struct net_hook *hook)
{
    struct net_redis *redis = HS_CONTAINER(hook, struct net_redis, hook);

    if (redis->context && redis->is_connected && (redis->wanted & NET_WRITABLE))
        redisAsyncHandleWrite(redis->context);
    if (redis->poll && net_poll_set(redis->poll, redis->wanted, NULL))
        lose(redis, "its socket cannot be watched");
}

/* libuv says no more than that there is an error: hiredis finds out which, and then the context is gone. */
static void on_broken(struct net_redis *redis)
{
    if (redis->is_connected)
        redisAsyncHandleRead(redis->context);
    else
        redisAsyncHandleWrite(redis->context);
    lose(redis, "its socket cannot be watched");
}

static void on_ready(void *arg, int events, int error)
{
    struct net_redis *redis = arg;

    if (error) {
        on_broken(redis);
        return;
    }
    if (events & NET_READABLE)
        redisAsyncHandleRead(redis->context);
    if (redis->context && is_too_long(redis))
        lose(redis, "it sent more than it was asked for");
    if (redis->context && (events & NET_WRITABLE))
        redisAsyncHandleWrite(redis->context);
    net_loop_again(redis->setup.loop);
}

/* ---- connecting ---- */

static bool greet_with(struct net_redis *redis, enum kind kind, const struct hs_str *words,
                       size_t n_words)
{
    return send_call(redis, &(struct call){.kind = kind}, words, n_words);
}

static bool send_auth(struct net_redis *redis)
{
    const struct net_redis_url *url = &redis->url;
    struct hs_str words[3] = {HS_STR("AUTH")};
    size_t n = 1;

    if (!url->password)
        return true;
    if (url->user)
        words[n++] = hs_str(url->user);
    words[n++] = hs_str(url->password);
    return greet_with(redis, CALL_GREETING, words, n);
}

static bool send_select(struct net_redis *redis)
{
    char db[NUMBER];
    const struct hs_str words[] = {HS_STR("SELECT"), print(redis->url.db, db)};

    return !redis->url.db || greet_with(redis, CALL_GREETING, words, HS_LEN(words));
}

/*
 * A failure is followed by on_cleanup(), which knows why. The context must not be freed from here: what cannot be
 * sent for want of memory is missed by the bound on the greeting.
 */
static void on_connected(const redisAsyncContext *context, int status)
{
    struct net_redis *redis = context->data;
    const struct hs_str ping[] = {HS_STR("PING")};

    if (status != REDIS_OK)
        return;
    redis->is_connected = true;
    if (send_auth(redis) && send_select(redis))
        (void)greet_with(redis, CALL_PING, ping, HS_LEN(ping));
}

static void attach(struct net_redis *redis, redisAsyncContext *context)
{
    redisReader *reader = context->c.reader;

    redis->context = context;
    redis->wanted = 0;
    redis->is_connected = false;
    redis->stock = *reader->fn;
    redis->replies = (redisReplyObjectFunctions){.createString = make_string,
                                                 .createArray = make_array,
                                                 .createInteger = make_integer,
                                                 .createNil = make_nil,
                                                 .freeObject = redis->stock.freeObject};
    reader->fn = &redis->replies;
    reader->privdata = redis;
    context->data = redis;
    context->ev.data = redis;
    context->ev.addRead = add_read;
    context->ev.delRead = del_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = del_write;
    context->ev.cleanup = on_cleanup;
    (void)redisAsyncSetConnectCallback(context, on_connected);
}

/* address NULL: the unix socket. */
static void connect_to(struct net_redis *redis, const char *address)
{
    redisAsyncContext *context = address ? redisAsyncConnect(address, (int)redis->url.port)
                                         : redisAsyncConnectUnix(redis->url.path);

    redis->link = LINK_GREET;
    if (!context || context->err ||
        net_poll_new(redis->setup.loop, context->c.fd, on_ready, redis, &redis->poll, NULL)) {
        lose(redis, context && context->err ? context->errstr : "out of memory");
        if (context)
            redisAsyncFree(context);
        return;
    }
    attach(redis, context);
    net_loop_again(redis->setup.loop);
}

static void on_resolved(void *arg, const char *const *addresses, size_t n, const struct hs_err *err)
{
    struct net_redis *redis = arg;

    redis->resolving = NULL;
    if (err)
        lose(redis, err->why);
    else
        connect_to(redis, addresses[redis->attempts++ % n]);
}

static void begin(struct net_redis *redis)
{
    struct hs_err err;

    redis->link = LINK_RESOLVE;
    net_timer_start(redis->timer, GREET_TIME, 0);
    if (redis->url.path)
        connect_to(redis, NULL);
    else if (net_resolve_start(redis->setup.loop, redis->url.host, on_resolved, redis,
                               &redis->resolving, &err))
        lose(redis, err.what);
}

static void on_timer(void *arg)
{
    struct net_redis *redis = arg;

    if (redis->link == LINK_PAUSE)
        begin(redis);
    else if (redis->link != LINK_UP)
        lose(redis, "it did not answer a greeting");
}

/* ---- life ---- */

hs_status net_redis_new(const struct net_redis_setup *setup, struct net_redis **ret_redis,
                        struct hs_err *reterr)
{
    struct net_redis *redis = hs_calloc(1, sizeof(*redis));
    hs_status status = redis ? HS_OK : hs_fail_memory(reterr);

    if (!redis)
        return status;
    redis->magic = REDIS_MAGIC;
    redis->setup = *setup;
    redis->rng.state = setup->seed;
    redis->pause = setup->retry_min;
    hs_list_init(&redis->calls);
    redis->hook.run = on_turn;
    net_loop_hook(setup->loop, &redis->hook);
    status = net_redis_url_read(setup->url, &redis->url, reterr);
    if (!status)
        status = net_timer_new(setup->loop, on_timer, redis, &redis->timer, reterr);
    if (!status)
        status = net_timer_new(setup->loop, on_clock, redis, &redis->clock, reterr);
    if (status) {
        net_redis_free(redis);
        return status;
    }
    hs_metric_set(setup->metrics, HS_M_SHARED_BREAKER_OPEN, 1);
    net_timer_start(redis->timer, 0, 0);
    *ret_redis = redis;
    return HS_OK;
}

void net_redis_free(struct net_redis *redis)
{
    if (!redis)
        return;
    HS_OBJ(redis, REDIS_MAGIC);
    redis->setup.changed = NULL;
    redis->link = LINK_PAUSE;
    net_resolve_cancel(redis->resolving);
    if (redis->context)
        redisAsyncFree(redis->context);
    net_loop_unhook(&redis->hook);
    if (redis->timer)
        net_timer_free(redis->timer);
    if (redis->clock)
        net_timer_free(redis->clock);
    net_redis_url_fini(&redis->url);
    redis->magic = 0;
    hs_free(redis);
}
