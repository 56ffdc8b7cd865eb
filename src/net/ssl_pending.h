/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/ssl_pending.h - bytes that OpenSSL has decrypted but a library has not yet taken.
 *
 * libpq reads at most what fits its buffer; the rest of a TLS record then waits inside OpenSSL, where
 * no socket event will announce it. Whoever watches such a socket asks here after each read.
 */
#ifndef NET_SSL_PENDING_H
#define NET_SSL_PENDING_H

#include "core/check.h"

/* ssl is an OpenSSL `SSL *`, or NULL: then 0. */
size_t net_ssl_pending(const void *ssl);

#endif
