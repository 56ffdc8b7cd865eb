/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to writes, on their way out.
 *
 * All wait equally long, so the list of those that wait is in the order of their deadlines and one timer
 * serves them all. Each is told by the feed's thread (by mail) or by the timer, whichever comes first; the mail
 * cannot be called back, so the timer only looks at those it can still take off the state's list.
 */
#include "api/settle.h"

#include "core/mem.h"

enum {
    TOKEN_TEXT = 2 * HS_U64_HEX + 1,
    HEADER_ROOM = sizeof(API_POSITION_HEADER) + TOKEN_TEXT + 4
};

struct api_settling {
    struct cache_state *state;
    struct net_loop *loop;
    struct net_timer *timer;
    struct hs_list waiting; /* struct settle, the oldest first */
};

/* In the request's arena. */
struct settle {
    struct cache_waiter waiter;
    struct hs_list node;
    struct api_settling *owner;
    struct api_request *r;
    struct http_reply reply;
    hs_us until;
};

/* ---- the token ---- */

static bool read_hex(struct hs_str s, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret = v;
    return s.n == HS_U64_HEX;
}

bool api_position_read(struct hs_str value, struct cache_token *ret_token)
{
    if (value.n != TOKEN_TEXT || value.p[HS_U64_HEX] != '-')
        return false;
    return read_hex(hs_str_sub(value, 0, HS_U64_HEX), &ret_token->epoch) &&
           read_hex(hs_str_sub(value, HS_U64_HEX + 1, value.n), &ret_token->position) &&
           ret_token->epoch != CACHE_EPOCH_NONE;
}

/* The reply's headers and the token behind them, in the arena; without memory the token is left out. */
static struct hs_str with_token(struct hs_arena *arena, struct hs_str headers,
                                struct cache_token token)
{
    char *to = hs_arena_alloc(arena, headers.n + HEADER_ROOM);
    char *at;

    if (!to)
        return headers;
    at = hs_str_put(hs_str_put(to, headers), HS_STR(API_POSITION_HEADER ": "));
    hs_u64_hex(token.epoch, at);
    at[HS_U64_HEX] = '-';
    hs_u64_hex(token.position, at + HS_U64_HEX + 1);
    at += TOKEN_TEXT;
    return hs_strn(to, (size_t)(hs_str_put(at, HS_STR("\r\n")) - to));
}

/* ---- waiting ---- */

static void answer(struct api_request *r, const struct http_reply *reply)
{
    struct api_hold *hold = r->hold;

    http_reply(r->req, reply);
    api_hold_release(hold);
}

static void start_timer(struct api_settling *s)
{
    struct hs_list *first = hs_list_first(&s->waiting);
    hs_us now = hs_now_us();
    hs_us until;

    if (!first)
        return;
    until = HS_CONTAINER(first, struct settle, node)->until;
    net_timer_start(s->timer, until > now ? until - now : 0, 0);
}

static void on_passed(struct cache_waiter *waiter)
{
    struct settle *one = HS_CONTAINER(waiter, struct settle, waiter);

    hs_list_remove(&one->node);
    answer(one->r, &one->reply);
}

static void on_timer(void *arg)
{
    struct api_settling *s = arg;
    hs_us now = hs_now_us();
    struct hs_list *node;

    while ((node = hs_list_first(&s->waiting))) {
        struct settle *one = HS_CONTAINER(node, struct settle, node);

        if (one->until > now)
            break;
        hs_list_remove(&one->node);
        if (!cache_wait_end(s->state, &one->waiter))
            continue; /* its mail is under way: on_passed() finds it unlinked and answers */
        cache_require(s->state, one->waiter.token);
        answer(one->r, &one->reply);
    }
    start_timer(s);
}

static bool keep_texts(struct hs_arena *arena, struct http_reply *reply)
{
    reply->headers = hs_arena_dup(arena, reply->headers);
    reply->body = hs_arena_dup(arena, reply->body);
    return !hs_arena_failed(arena);
}

/* false: there is nothing to wait for, or no way to. */
static bool wait(struct api_settling *s, struct api_request *r, struct cache_token token,
                 const struct http_reply *reply)
{
    hs_us bound = r->hold->model->rules.write_wait;
    struct settle *one;
    struct cache_view view;
    bool was_empty = hs_list_is_empty(&s->waiting);

    if (!cache_may_hit(s->state, (struct cache_token){.epoch = CACHE_EPOCH_NONE}, hs_now_us(),
                       &view) ||
        view.epoch != token.epoch || !bound)
        return false;
    one = HS_NEW(r->req->arena, struct settle);
    if (!one)
        return false;
    *one = (struct settle){
        .waiter = {.magic = CACHE_WAITER_MAGIC, .token = token, .loop = s->loop, .done = on_passed},
        .owner = s,
        .r = r,
        .reply = *reply,
        .until = hs_now_us() + bound};
    hs_list_init(&one->node);
    if (!keep_texts(r->req->arena, &one->reply))
        return false;
    if (cache_wait(s->state, &one->waiter)) {
        answer(r, reply);
        return true;
    }
    hs_list_append(&s->waiting, &one->node);
    if (was_empty)
        start_timer(s);
    return true;
}

/* What was served before is not served any more until the feed has passed the change. */
static void require(const struct api_worker *worker, struct cache_token token)
{
    if (token.epoch && token.position)
        cache_require(worker->cache->state, token);
    else
        cache_require_proof(worker->cache->state, hs_now_us());
}

void api_settle(struct api_request *r, uint64_t epoch, uint64_t position,
                const struct http_reply *reply)
{
    const struct api_worker *worker = r->worker;
    struct cache_token token = {.epoch = epoch, .position = position};
    struct http_reply told = *reply;

    if (!worker->cache || api_request_is_lent(r)) {
        answer(r, reply);
        return;
    }
    if (epoch && position) {
        told.headers = with_token(r->req->arena, told.headers, token);
        if (wait(worker->settling, r, token, &told))
            return;
    }
    require(worker, token);
    answer(r, &told);
}

void api_settle_failed(struct api_request *r, uint64_t epoch, uint64_t position,
                       const struct hs_err *said, const struct hs_err *failure)
{
    const struct api_worker *worker = r->worker;
    struct api_hold *hold = r->hold;

    if (worker->cache && !api_request_is_lent(r) && (!said || said->status == HS_E_OUTCOME_UNKNOWN))
        require(worker, (struct cache_token){.epoch = epoch, .position = position});
    http_reply_error(r->req, failure);
    api_hold_release(hold);
}

/* ---- life ---- */

hs_status api_settling_new(struct cache_state *state, struct net_loop *loop,
                           struct api_settling **ret_settling, struct hs_err *reterr)
{
    struct api_settling *s = hs_calloc(1, sizeof(*s));
    hs_status status;

    if (!s)
        return hs_fail_memory(reterr);
    *s = (struct api_settling){.state = state, .loop = loop};
    hs_list_init(&s->waiting);
    status = net_timer_new(loop, on_timer, s, &s->timer, reterr);
    if (status) {
        hs_free(s);
        return status;
    }
    *ret_settling = s;
    return HS_OK;
}

void api_settling_free(struct api_settling *s)
{
    if (!s)
        return;
    net_timer_free(s->timer);
    hs_free(s);
}
