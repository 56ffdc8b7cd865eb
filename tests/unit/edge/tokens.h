/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens for tests, signed in whatever wrong way a test wants. */
#ifndef UNIT_EDGE_TOKENS_H
#define UNIT_EDGE_TOKENS_H

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "net/crypto.h"
#include "test.h"

#define TOKEN_SECRET "0123456789abcdef0123456789abcdef"

/* to: cleared and filled with header.payload */
static inline void token_begin(struct hs_buf *to, struct hs_str header, struct hs_str payload)
{
    hs_buf_clear(to);
    net_base64url(to, header);
    hs_buf_add_char(to, '.');
    net_base64url(to, payload);
}

static inline struct hs_str token_hmac(struct hs_buf *to, struct hs_str header,
                                       struct hs_str payload, struct hs_str key)
{
    struct net_hmac *hmac = NULL;
    unsigned char mac[NET_SHA256];

    token_begin(to, header, payload);
    assert_int_equal(net_hmac_new(key, &hmac, NULL), HS_OK);
    assert_true(net_hmac_sha256(hmac, hs_buf_str(to), mac));
    net_hmac_free(hmac);
    hs_buf_add_char(to, '.');
    net_base64url(to, hs_strn((char *)mac, sizeof(mac)));
    return hs_buf_str(to);
}

static inline struct hs_str token_hs256(struct hs_buf *to, const char *payload)
{
    return token_hmac(to, HS_STR("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"), hs_str(payload),
                      HS_STR(TOKEN_SECRET));
}

static inline struct hs_str token_rs256(struct hs_buf *to, struct hs_str header,
                                        const char *payload, EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char signature[512];
    size_t n = sizeof(signature);

    token_begin(to, header, hs_str(payload));
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &n, (unsigned char *)to->p, to->n), 1);
    EVP_MD_CTX_free(ctx);
    hs_buf_add_char(to, '.');
    net_base64url(to, hs_strn((char *)signature, n));
    return hs_buf_str(to);
}

static inline void token_pem(EVP_PKEY *key, char *to, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    n = BIO_read(bio, to, (int)size - 1);
    assert_true(n > 0);
    to[n] = '\0';
    (void)BIO_free(bio);
}

#endif
