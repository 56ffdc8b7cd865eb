/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/resolve.h - host names into numeric addresses, without blocking the loop.
 *
 * Shape      one request, one answer: up to NET_RESOLVE_MAX addresses as text, in the system's order
 *            (RFC 6724), each once.
 * Thread     the loop's; the look-up itself runs on libuv's thread pool.
 * Source     libuv 1.44 manual, "DNS utility functions"; getaddrinfo(3).
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "net/loop.h"

enum { NET_RESOLVE_MAX = 16 };

struct net_resolve;

/* n == 0 iff err is not NULL. The texts live until the callback returns. */
typedef void net_resolved_f(void *arg, const char *const *addresses, size_t n,
                            const struct hs_err *err);

/*
 * Answers through done() exactly once, never from inside this call, unless it returns an error or is
 * cancelled. host is copied. The request frees itself when it has answered.
 */
hs_status net_resolve_start(struct net_loop *loop, const char *host, net_resolved_f *done,
                            void *arg, struct net_resolve **ret_req, struct hs_err *reterr)
    hs_must_check;
/* done() will not be called. NULL is allowed; not after done(). */
void net_resolve_cancel(struct net_resolve *req);

#endif
