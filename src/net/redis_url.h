/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/redis_url.h - where a Redis is and who we are there, from one text.
 *
 *     redis://[user[:password]@]host[:port][/db]
 *     unix://[user[:password]@]/path[?db=n]
 *
 * redis://:password@host is the password of no particular user (requirepass). user, password and path may be
 * percent-encoded (RFC 3986, 2.1); an IPv6 address stands in brackets.
 * Source     the URI schemes that redis-cli(1) and the client libraries of Redis take.
 */
#ifndef NET_REDIS_URL_H
#define NET_REDIS_URL_H

#include "core/err.h"

struct net_redis_url {
    char *text;       /* the memory behind the rest */
    const char *path; /* of a unix socket; NULL: host and port */
    const char *host;
    const char *user;     /* NULL = the default user */
    const char *password; /* NULL = none asked for */
    unsigned port;
    unsigned db;
};

/* The text itself is in no error: it holds a password. errors HS_E_CONFIG, HS_E_MEMORY */
hs_status net_redis_url_read(struct hs_str text, struct net_redis_url *ret_url,
                             struct hs_err *reterr) hs_must_check;
/* Forgets the password, too. May be called twice. */
void net_redis_url_fini(struct net_redis_url *url);

#endif
