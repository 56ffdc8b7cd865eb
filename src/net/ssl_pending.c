/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one question about another library's TLS session that the loop needs answered; it lives here
 * because only this folder knows OpenSSL. Source: SSL_pending(3).
 */
#include "net/ssl_pending.h"

#include <openssl/ssl.h>

size_t net_ssl_pending(const void *ssl)
{
    int n = ssl ? SSL_pending((const SSL *)ssl) : 0;

    return n > 0 ? (size_t)n : 0;
}
