/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/redis.h - a few commands to one Redis, as fast as it answers and never slower.
 *
 * Shape      one connection, opened by itself and opened again when it is lost; commands are multiplexed on it.
 * Promises   - no call waits for longer than `timeout` (and a turn of the loop); then the connection is given up;
 *            - the breaker: while there is no connection that has proven itself, each call fails at once. The proof
 *              is a greeting (AUTH, SELECT, PING) whose PING came back within `timeout`; it is tried after a
 *              jittered pause that doubles from retry_min to retry_max, one at a time;
 *            - a server that answers FAILURES_MAX commands in a row with errors is given up like one that is slow;
 *            - nothing here blocks: names are resolved by net/resolve.h, anew for each attempt.
 * Limits     inflight_max calls, bytes_max bytes of them; no more than reply_max + 1 bytes of a value are asked for,
 *            and a server that sends more, or other than strings, numbers and errors, loses its connection.
 * Thread     the loop's.
 * Source     hiredis 0.14 (Debian 12), RESP2 (redis.io/docs/reference/protocol-spec).
 */
#ifndef NET_REDIS_H
#define NET_REDIS_H

#include "net/loop.h"

struct net_redis;

struct net_redis_setup {
    struct net_loop *loop;
    struct hs_metrics *metrics;
    struct hs_str url; /* as net/redis_url.h has it; copied */
    hs_us timeout;
    hs_us retry_min;
    hs_us retry_max;
    size_t inflight_max;
    size_t bytes_max;
    size_t reply_max;
    uint64_t seed; /* of the jitter */
    /* It is there, or it is not any more (why), or not at first. From the loop; may be NULL. */
    void (*changed)(void *ctx, bool is_up, const struct hs_err *why);
    void *ctx;
};

/* Begins to connect. errors HS_E_CONFIG (the url), HS_E_MEMORY */
hs_status net_redis_new(const struct net_redis_setup *setup, struct net_redis **ret_redis,
                        struct hs_err *reterr) hs_must_check;
/* Calls under way end in failure before it returns. Not from inside one of them. NULL is allowed. */
void net_redis_free(struct net_redis *redis);

enum net_redis_outcome { NET_REDIS_VALUE, NET_REDIS_NONE, NET_REDIS_FAILED };

/* The value lives until it returns. Of one longer than reply_max only reply_max + 1 bytes are there. */
typedef void net_redis_f(void *arg, enum net_redis_outcome outcome, struct hs_str value);

/*
 * done() is called once, never from inside this call, unless it returns false: the breaker is open or a limit is
 * reached, and nothing was sent. An empty value is none.
 */
bool net_redis_get(struct net_redis *redis, struct hs_str key, net_redis_f *done, void *arg);
/* Gone after `ttl`, of at least a millisecond. Whether it was stored is nobody's concern. */
bool net_redis_set(struct net_redis *redis, struct hs_str key, struct hs_str value, hs_us ttl);

#endif
