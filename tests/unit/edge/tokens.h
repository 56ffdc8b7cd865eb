/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens for tests, signed in whatever wrong way a test wants. */
#ifndef UNIT_EDGE_TOKENS_H
#define UNIT_EDGE_TOKENS_H

#include <openssl/ec.h>
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

/* An ECDSA signature as JWS has it: two numbers of n bytes. */
static inline size_t token_raw_ecdsa(unsigned char *signature, size_t n_signature, int n)
{
    const unsigned char *at = signature;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)n_signature);

    assert_non_null(sig);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, n), n);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + n, n), n);
    ECDSA_SIG_free(sig);
    return 2 * (size_t)n;
}

/* digest NULL: Ed25519; pss: RSASSA-PSS with a salt of the hash's length; field: bytes of the curve, 0 = no ECDSA. */
static inline struct hs_str token_signed(struct hs_buf *to, struct hs_str header,
                                         const char *payload, EVP_PKEY *key, const EVP_MD *digest,
                                         bool pss, int field)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey = NULL;
    unsigned char signature[512];
    size_t n = sizeof(signature);

    token_begin(to, header, hs_str(payload));
    assert_int_equal(EVP_DigestSignInit(ctx, &pkey, digest, NULL, key), 1);
    if (pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(EVP_DigestSign(ctx, signature, &n, (unsigned char *)to->p, to->n), 1);
    EVP_MD_CTX_free(ctx);
    if (field)
        n = token_raw_ecdsa(signature, n, field);
    hs_buf_add_char(to, '.');
    net_base64url(to, hs_strn((char *)signature, n));
    return hs_buf_str(to);
}

static inline struct hs_str token_rs256(struct hs_buf *to, struct hs_str header,
                                        const char *payload, EVP_PKEY *key)
{
    return token_signed(to, header, payload, key, EVP_sha256(), /* pss= */ false, /* field= */ 0);
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
