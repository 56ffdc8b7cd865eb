/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL behind a small door. Algorithms are fetched and contexts are made when a key is prepared; a use
 * only starts the prepared context again with the key it already has, which allocates nothing and costs
 * about what the hash itself costs.
 *
 * OpenSSL's error queue belongs to the thread and would grow into somebody else's answer, so each call
 * that can fail empties it.
 *
 * Source: EVP_MAC(3), EVP_MAC-HMAC(7), getrandom(2); RFC 2104, 4648.
 */
#include "net/crypto.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <sys/random.h>

#include "core/mem.h"

struct net_hmac {
    EVP_MAC_CTX *ctx;
};

static hs_status no_memory(struct hs_err *reterr)
{
    ERR_clear_error();
    return hs_fail_memory(reterr);
}

hs_status net_hmac_new(struct hs_str key, struct net_hmac **ret_hmac, struct hs_err *reterr)
{
    static char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    struct net_hmac *hmac = hs_calloc(1, sizeof(*hmac));
    EVP_MAC *mac = hmac ? EVP_MAC_fetch(NULL, "HMAC", NULL) : NULL;

    if (mac)
        hmac->ctx = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    /* A NULL key would mean "the key set before". */
    if (!mac || !hmac->ctx ||
        EVP_MAC_init(hmac->ctx, (const unsigned char *)(key.n ? key.p : ""), key.n, params) != 1) {
        net_hmac_free(hmac);
        return no_memory(reterr);
    }
    *ret_hmac = hmac;
    return HS_OK;
}

void net_hmac_free(struct net_hmac *hmac)
{
    if (!hmac)
        return;
    EVP_MAC_CTX_free(hmac->ctx);
    hs_free(hmac);
}

bool net_hmac_sha256(struct net_hmac *hmac, struct hs_str data,
                     unsigned char ret_mac[static NET_SHA256])
{
    size_t n = 0;
    bool done = EVP_MAC_init(hmac->ctx, NULL, 0, NULL) == 1 &&
                EVP_MAC_update(hmac->ctx, (const unsigned char *)data.p, data.n) == 1 &&
                EVP_MAC_final(hmac->ctx, ret_mac, &n, NET_SHA256) == 1 && n == NET_SHA256;

    if (!done)
        ERR_clear_error();
    return done;
}

bool net_sha256(struct hs_str data, unsigned char ret_hash[static NET_SHA256])
{
    unsigned n = 0;
    bool done = EVP_Digest(data.n ? data.p : "", data.n, ret_hash, &n, EVP_sha256(), NULL) == 1 &&
                n == NET_SHA256;

    if (!done)
        ERR_clear_error();
    return done;
}

bool net_sha256_hex(struct hs_str data, char ret_hex[static NET_SHA256_HEX])
{
    unsigned char hash[NET_SHA256];

    if (!net_sha256(data, hash))
        return false;
    for (size_t i = 0; i < NET_SHA256; i++)
        (void)snprintf(ret_hex + 2 * i, 3, "%02x", hash[i]);
    return true;
}

void net_random(void *to, size_t n)
{
    char *at = to;

    while (n) {
        ssize_t k = getrandom(at, n, 0);

        HS_BUG_ON(k < 0 && errno != EINTR);
        if (k > 0) {
            at += k;
            n -= (size_t)k;
        }
    }
}

void net_base64url(struct hs_buf *out, struct hs_str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t need = bytes.n / 3 * 4 + (bytes.n % 3 ? bytes.n % 3 + 1 : 0);
    char *to = need ? hs_buf_room(out, need) : NULL;
    uint32_t bits = 0;
    unsigned held = 0;

    if (!to)
        return;
    for (size_t i = 0; i < bytes.n; i++) {
        bits = bits << 8 | (unsigned char)bytes.p[i];
        for (held += 8; held >= 6; held -= 6)
            *to++ = digits[bits >> (held - 6) & 63];
    }
    if (held)
        *to = digits[bits << (6 - held) & 63];
    hs_buf_added(out, need);
}

/* 64 = no digit. */
static unsigned digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '-' ? 62 : c == '_' ? 63 : 64;
}

bool net_base64url_decode(struct hs_str text, unsigned char *to, size_t *ret_n)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t n = 0;

    if (text.n % 4 == 1)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        unsigned v = digit_value(text.p[i]);

        if (v > 63)
            return false;
        bits = bits << 6 | v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            to[n++] = (unsigned char)(bits >> held);
        }
    }
    if (bits & ((1u << held) - 1))
        return false;
    *ret_n = n;
    return true;
}
