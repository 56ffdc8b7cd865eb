/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/crypto.h - the cryptography that hasten needs, over OpenSSL 3.
 *
 * Keys are prepared once and used by one thread at a time; using one allocates nothing of ours. Keys that
 * verify signatures are in net/crypto_key.h.
 */
#ifndef NET_CRYPTO_H
#define NET_CRYPTO_H

#include "core/buf.h"
#include "core/err.h"

enum { NET_SHA256 = 32 };

struct net_hmac; /* a prepared HMAC-SHA-256 key */

/* Any key, the empty one too: who may be trusted with how short a key is the caller's to say. */
hs_status net_hmac_new(struct hs_str key, struct net_hmac **ret_hmac, struct hs_err *reterr)
    hs_must_check;
void net_hmac_free(struct net_hmac *hmac);
/* false = the library failed (no memory); ret_mac is then undefined. */
bool net_hmac_sha256(struct net_hmac *hmac, struct hs_str data,
                     unsigned char ret_mac[static NET_SHA256]) hs_must_check;

/* false = the library failed (no memory); ret_hash is then undefined. */
bool net_sha256(struct hs_str data, unsigned char ret_hash[static NET_SHA256]) hs_must_check;

enum { NET_SHA256_HEX = 2 * NET_SHA256 + 1 };
/* The same in lower-case hexadecimal, NUL-terminated. */
bool net_sha256_hex(struct hs_str data, char ret_hex[static NET_SHA256_HEX]) hs_must_check;

/* Unpredictable bytes (getrandom). */
void net_random(void *to, size_t n);

/* base64url without padding (RFC 4648, section 5). Decoding refuses padding, foreign characters and
 * non-zero trailing bits, so that bytes have one text only; `to` needs n * 3 / 4 bytes. */
void net_base64url(struct hs_buf *out, struct hs_str bytes);
bool net_base64url_decode(struct hs_str text, unsigned char *to, size_t *ret_n) hs_must_check;

#endif
