/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL behind a small door. Algorithms are fetched and contexts are made when a key is prepared; a use
 * only starts the prepared context again with the key it already has, which allocates nothing and costs
 * about what the hash itself costs.
 *
 * OpenSSL's error queue belongs to the thread and would grow into somebody else's answer, so each call
 * that can fail empties it. Its texts are not shown: "not a PEM public key" helps an operator more.
 * RSASSA-PSS keys are refused for PKCS #1 signatures although the numbers in them would do: the key
 * says what it is for (RFC 8017, appendix A.2.3).
 *
 * Source: EVP_MAC(3), EVP_MAC-HMAC(7), EVP_PKEY_verify(3), getrandom(2); RFC 2104, 4648, 8017.
 */
#include "net/crypto.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <sys/random.h>

#include "core/mem.h"

struct net_hmac {
    EVP_MAC_CTX *ctx;
};

struct net_rsa {
    EVP_MD *sha256;
    EVP_PKEY_CTX *ctx; /* set up for verifying; keeps the key alive */
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

/* Never asks a terminal: a public key has no passphrase. */
static int no_passphrase(char *to, int size, int is_writing, void *arg)
{
    (void)to;
    (void)size;
    (void)is_writing;
    (void)arg;
    return -1;
}

static EVP_PKEY *read_public(struct hs_str pem)
{
    BIO *bio = pem.n && pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;

    (void)BIO_free(bio);
    ERR_clear_error();
    return key;
}

static hs_status check_key(const EVP_PKEY *key, struct hs_err *reterr)
{
    int bits;

    if (!key) {
        hs_status status = hs_fail(reterr, HS_E_CONFIG, "the RSA public key cannot be read");

        hs_err_why(reterr, "It is not a public key in PEM form (-----BEGIN PUBLIC KEY-----).");
        hs_err_hint(reterr, "Take the public half: openssl rsa -in private.pem -pubout");
        return status;
    }
    bits = EVP_PKEY_get_bits(key);
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && bits >= NET_RSA_BITS_MIN &&
        bits <= NET_RSA_BITS_MAX)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_CONFIG, "the public key cannot be used for RS256");
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA)
        hs_err_why(reterr, "It is not a plain RSA key (it is of another algorithm).");
    else
        hs_err_why(reterr, "It has %d bits; %d to %d are accepted.", bits, NET_RSA_BITS_MIN,
                   NET_RSA_BITS_MAX);
    hs_err_hint(reterr, "Make one with: openssl genrsa 2048");
    return HS_E_CONFIG;
}

hs_status net_rsa_new(struct hs_str pem, struct net_rsa **ret_rsa, struct hs_err *reterr)
{
    EVP_PKEY *key = read_public(pem);
    struct net_rsa *rsa = NULL;
    hs_status status = check_key(key, reterr);

    if (status) {
        EVP_PKEY_free(key);
        return status;
    }
    rsa = hs_calloc(1, sizeof(*rsa));
    if (rsa) {
        rsa->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        rsa->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    }
    EVP_PKEY_free(key);
    if (!rsa || !rsa->sha256 || !rsa->ctx || EVP_PKEY_verify_init(rsa->ctx) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(rsa->ctx, RSA_PKCS1_PADDING) != 1 ||
        EVP_PKEY_CTX_set_signature_md(rsa->ctx, rsa->sha256) != 1) {
        net_rsa_free(rsa);
        return no_memory(reterr);
    }
    *ret_rsa = rsa;
    return HS_OK;
}

void net_rsa_free(struct net_rsa *rsa)
{
    if (!rsa)
        return;
    EVP_PKEY_CTX_free(rsa->ctx);
    EVP_MD_free(rsa->sha256);
    hs_free(rsa);
}

bool net_rsa_verify_sha256(struct net_rsa *rsa, struct hs_str data, struct hs_str signature)
{
    unsigned char hash[NET_SHA256];
    unsigned n = 0;
    bool holds = EVP_Digest(data.p, data.n, hash, &n, rsa->sha256, NULL) == 1 && n == NET_SHA256 &&
                 EVP_PKEY_verify(rsa->ctx, (const unsigned char *)signature.p, signature.n, hash,
                                 sizeof(hash)) == 1;

    if (!holds)
        ERR_clear_error();
    return holds;
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
