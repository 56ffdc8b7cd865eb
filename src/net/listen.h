/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/listen.h - listening sockets of our own, one per worker and address (SO_REUSEPORT).
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include "core/err.h"

/*
 * Binds and listens: SO_REUSEPORT, SO_REUSEADDR, TCP_NODELAY (accepted sockets inherit it),
 * non-blocking, close-on-exec. addr is "host:port" or "[v6]:port" with a numeric host, or "*:port"
 * (all addresses, IPv4 and IPv6); port 0 lets the kernel choose. To give each worker its own socket
 * on the same chosen port, read the first one's with net_listen_port() and ask for that. errors
 * HS_E_CONFIG (not an address), HS_E_IO (in use, not permitted)
 */
hs_status net_listen(struct hs_str addr, unsigned backlog, int *ret_fd, struct hs_err *reterr)
    hs_must_check;
/*
 * Nobody listens there yet? With SO_REUSEPORT a second process of the same user would silently get
 * half of the connections, so a start asks first. errors as above
 */
hs_status net_listen_check(struct hs_str addr, struct hs_err *reterr) hs_must_check;
/*
 * Listens on a unix socket that only the process's user may open (mode 0600). A socket that nobody listens
 * on any more is replaced; anything else in its place is an error.
 *   errors  HS_E_CONFIG (path too long), HS_E_IO (in use, not permitted)
 */
hs_status net_listen_unix(const char *path, unsigned backlog, int *ret_fd, struct hs_err *reterr)
    hs_must_check;
/* The bound port, 0 on failure. */
unsigned net_listen_port(int fd);

#endif
