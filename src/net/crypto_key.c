/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row per algorithm; a key is made for one row and checks by it alone.
 *
 * Contexts are made when a key is prepared. RSA and ECDSA verify a hash that is taken before; Ed25519 takes
 * the text itself. JWS writes an ECDSA signature as two numbers of fixed length (RFC 7518, 3.4), OpenSSL
 * reads DER: the length is compared first, so that one signature has one text of numbers.
 *
 * RSASSA-PSS keys are refused for PKCS #1 signatures although the numbers in them would do: the key
 * says what it is for (RFC 8017, appendix A.2.3). For PS256 the salt has the hash's length, as RFC 7518, 3.5
 * demands.
 *
 * OpenSSL's error queue belongs to the thread and would grow into somebody else's answer, so each call that
 * can fail empties it.
 *
 * Source: EVP_PKEY_fromdata(3), EVP_PKEY_verify(3), EVP_DigestVerify(3), EVP_PKEY-EC(7), EVP_MAC(3).
 */
#include "net/crypto_key.h"

#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "core/mem.h"

enum { FIELD_MAX = 66 /* bytes of P-521 */, DER_MAX = 2 * (FIELD_MAX + 4) + 4 };

struct algorithm {
    const char *name;
    enum net_key_kind kind;
    const char *digest; /* NULL = its own */
    int padding;        /* of RSA */
    const char *curve;  /* of EC: OpenSSL's name, */
    const char *jose;   /* and RFC 7518's */
    size_t n;           /* bytes of a MAC, or of a number of the curve */
};

static const struct algorithm algorithms[NET_ALGS] = {
    [NET_HS256] = {"HS256", NET_KIND_SECRET, "SHA256", 0, NULL, NULL, 32},
    [NET_HS384] = {"HS384", NET_KIND_SECRET, "SHA384", 0, NULL, NULL, 48},
    [NET_HS512] = {"HS512", NET_KIND_SECRET, "SHA512", 0, NULL, NULL, 64},
    [NET_RS256] = {"RS256", NET_KIND_RSA, "SHA256", RSA_PKCS1_PADDING, NULL, NULL, 0},
    [NET_RS384] = {"RS384", NET_KIND_RSA, "SHA384", RSA_PKCS1_PADDING, NULL, NULL, 0},
    [NET_RS512] = {"RS512", NET_KIND_RSA, "SHA512", RSA_PKCS1_PADDING, NULL, NULL, 0},
    [NET_PS256] = {"PS256", NET_KIND_RSA, "SHA256", RSA_PKCS1_PSS_PADDING, NULL, NULL, 0},
    [NET_PS384] = {"PS384", NET_KIND_RSA, "SHA384", RSA_PKCS1_PSS_PADDING, NULL, NULL, 0},
    [NET_PS512] = {"PS512", NET_KIND_RSA, "SHA512", RSA_PKCS1_PSS_PADDING, NULL, NULL, 0},
    [NET_ES256] = {"ES256", NET_KIND_EC, "SHA256", 0, "prime256v1", "P-256", 32},
    [NET_ES384] = {"ES384", NET_KIND_EC, "SHA384", 0, "secp384r1", "P-384", 48},
    [NET_ES512] = {"ES512", NET_KIND_EC, "SHA512", 0, "secp521r1", "P-521", 66},
    [NET_EDDSA] = {"EdDSA", NET_KIND_ED25519, NULL, 0, NULL, "Ed25519", 32},
};

struct net_key {
    enum net_alg alg;
    EVP_MAC_CTX *mac;  /* a secret */
    EVP_MD *digest;    /* RSA, EC */
    EVP_PKEY_CTX *ctx; /* the same: set up for verifying; keeps the key alive */
    EVP_PKEY *ed25519;
    EVP_MD_CTX *md; /* the same */
};

/* ---- algorithms ---- */

enum net_alg net_alg_find(struct hs_str name)
{
    for (unsigned i = NET_HS256; i < NET_ALGS; i++) {
        if (hs_str_is(name, algorithms[i].name))
            return (enum net_alg)i;
    }
    return NET_ALG_NONE;
}

const char *net_alg_name(enum net_alg alg)
{
    return alg == NET_ALG_NONE ? "none" : algorithms[alg].name;
}

enum net_key_kind net_alg_kind(enum net_alg alg)
{
    return algorithms[alg].kind;
}

size_t net_alg_secret_min(enum net_alg alg)
{
    return algorithms[alg].kind == NET_KIND_SECRET ? algorithms[alg].n : 0;
}

enum net_alg net_alg_of_curve(struct hs_str name)
{
    for (unsigned i = NET_ES256; i <= NET_ES512; i++) {
        if (hs_str_is(name, algorithms[i].jose))
            return (enum net_alg)i;
    }
    return NET_ALG_NONE;
}

/* ---- making ---- */

static hs_status no_memory(struct net_key *key, struct hs_err *reterr)
{
    net_key_free(key);
    ERR_clear_error();
    return hs_fail_memory(reterr);
}

static hs_status refuse(struct hs_err *reterr, const char *why)
{
    ERR_clear_error();
    (void)hs_fail(reterr, HS_E_CONFIG, "the public key cannot be used");
    hs_err_why(reterr, "%s", why);
    return HS_E_CONFIG;
}

static struct net_key *new_key(enum net_alg alg)
{
    struct net_key *key = hs_calloc(1, sizeof(*key));

    if (key)
        key->alg = alg;
    return key;
}

hs_status net_key_secret(enum net_alg alg, struct hs_str secret, struct net_key **ret_key,
                         struct hs_err *reterr)
{
    struct net_key *key = new_key(alg);
    char digest[8] = "SHA";
    EVP_MAC *mac = key ? EVP_MAC_fetch(NULL, "HMAC", NULL) : NULL;
    OSSL_PARAM params[2];

    HS_BUG_ON(net_alg_kind(alg) != NET_KIND_SECRET);
    memcpy(digest, algorithms[alg].digest, sizeof("SHA256"));
    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
    params[1] = OSSL_PARAM_construct_end();
    if (mac)
        key->mac = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    /* A NULL key would mean "the key set before". */
    if (!mac || !key->mac ||
        EVP_MAC_init(key->mac, (const unsigned char *)(secret.n ? secret.p : ""), secret.n,
                     params) != 1)
        return no_memory(key, reterr);
    *ret_key = key;
    return HS_OK;
}

static bool prepare_rsa_or_ec(struct net_key *key, EVP_PKEY *pkey)
{
    const struct algorithm *a = &algorithms[key->alg];

    key->digest = EVP_MD_fetch(NULL, a->digest, NULL);
    key->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (!key->digest || !key->ctx || EVP_PKEY_verify_init(key->ctx) != 1)
        return false;
    if (a->padding && EVP_PKEY_CTX_set_rsa_padding(key->ctx, a->padding) != 1)
        return false;
    if (EVP_PKEY_CTX_set_signature_md(key->ctx, key->digest) != 1)
        return false;
    return a->padding != RSA_PKCS1_PSS_PADDING ||
           (EVP_PKEY_CTX_set_rsa_mgf1_md(key->ctx, key->digest) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(key->ctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static hs_status check_rsa(const EVP_PKEY *pkey, struct hs_err *reterr)
{
    int bits = EVP_PKEY_get_bits(pkey);

    if (bits >= NET_RSA_BITS_MIN && bits <= NET_RSA_BITS_MAX)
        return HS_OK;
    (void)refuse(reterr, "");
    hs_err_why(reterr, "It has %d bits; %d to %d are accepted.", bits, NET_RSA_BITS_MIN,
               NET_RSA_BITS_MAX);
    hs_err_hint(reterr, "Make one with: openssl genrsa 2048");
    return HS_E_CONFIG;
}

/* Takes over pkey, which is of the algorithm's kind. */
static hs_status make(enum net_alg alg, EVP_PKEY *pkey, struct net_key **ret_key,
                      struct hs_err *reterr)
{
    enum net_key_kind kind = net_alg_kind(alg);
    hs_status status = kind == NET_KIND_RSA ? check_rsa(pkey, reterr) : HS_OK;
    struct net_key *key = status ? NULL : new_key(alg);
    bool is_ready = false;

    if (key && kind == NET_KIND_ED25519) {
        key->ed25519 = pkey;
        key->md = EVP_MD_CTX_new();
        pkey = NULL;
        is_ready = key->md != NULL;
    } else if (key) {
        is_ready = prepare_rsa_or_ec(key, pkey);
    }
    EVP_PKEY_free(pkey);
    if (status)
        return status;
    if (!is_ready)
        return no_memory(key, reterr);
    *ret_key = key;
    return HS_OK;
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

static enum net_alg alg_of(const EVP_PKEY *pkey, enum net_alg rsa_alg)
{
    char curve[32];
    size_t n;

    switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA:
        return rsa_alg;
    case EVP_PKEY_ED25519:
        return NET_EDDSA;
    case EVP_PKEY_EC:
        if (EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), &n) != 1)
            return NET_ALG_NONE;
        for (unsigned i = NET_ES256; i <= NET_ES512; i++) {
            if (strcmp(curve, algorithms[i].curve) == 0)
                return (enum net_alg)i;
        }
        return NET_ALG_NONE;
    default:
        return NET_ALG_NONE;
    }
}

hs_status net_key_pem(struct hs_str pem, enum net_alg rsa_alg, struct net_key **ret_key,
                      struct hs_err *reterr)
{
    BIO *bio = pem.n && pem.n <= INT_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
    enum net_alg alg = pkey ? alg_of(pkey, rsa_alg) : NET_ALG_NONE;

    (void)BIO_free(bio);
    ERR_clear_error();
    if (!pkey) {
        (void)hs_fail(reterr, HS_E_CONFIG, "the public key cannot be read");
        hs_err_why(reterr, "It is not a public key in PEM form (-----BEGIN PUBLIC KEY-----).");
        hs_err_hint(reterr, "Take the public half: openssl pkey -in private.pem -pubout");
        return HS_E_CONFIG;
    }
    if (alg != NET_ALG_NONE)
        return make(alg, pkey, ret_key, reterr);
    EVP_PKEY_free(pkey);
    return refuse(reterr, "It is of another algorithm than RSA, ECDSA (P-256, P-384, P-521) and "
                          "Ed25519.");
}

/* NULL = no key of that kind, or no memory. */
static EVP_PKEY *from_params(const char *type, OSSL_PARAM *params)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

hs_status net_key_rsa(enum net_alg alg, struct hs_str n, struct hs_str e, struct net_key **ret_key,
                      struct hs_err *reterr)
{
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    BIGNUM *bn_n = NULL;
    BIGNUM *bn_e = NULL;
    EVP_PKEY *pkey = NULL;

    HS_BUG_ON(net_alg_kind(alg) != NET_KIND_RSA);
    if (n.n && n.n <= NET_RSA_BITS_MAX / 8 && e.n && e.n <= sizeof(uint64_t)) {
        bn_n = BN_bin2bn((const unsigned char *)n.p, (int)n.n, NULL);
        bn_e = BN_bin2bn((const unsigned char *)e.p, (int)e.n, NULL);
    }
    /* An exponent of 1 would accept everything, an even one is none. */
    if (bld && bn_n && bn_e && BN_is_odd(bn_n) && BN_is_odd(bn_e) && !BN_is_one(bn_e) &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn_n) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn_e) == 1)
        params = OSSL_PARAM_BLD_to_param(bld);
    if (params)
        pkey = from_params("RSA", params);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_free(bn_n);
    BN_free(bn_e);
    return pkey ? make(alg, pkey, ret_key, reterr)
                : refuse(reterr, "Its \"n\" and \"e\" are no RSA key.");
}

hs_status net_key_ec(enum net_alg alg, struct hs_str x, struct hs_str y, struct net_key **ret_key,
                     struct hs_err *reterr)
{
    const struct algorithm *a = &algorithms[alg];
    unsigned char point[1 + 2 * FIELD_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    EVP_PKEY_CTX *check = NULL;
    EVP_PKEY *pkey = NULL;
    char curve[16] = "";

    HS_BUG_ON(a->kind != NET_KIND_EC);
    memcpy(curve, a->curve, strlen(a->curve) + 1);
    if (x.n == a->n && y.n == a->n) {
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
            OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * a->n),
            OSSL_PARAM_construct_end()};

        memcpy(point + 1, x.p, x.n);
        memcpy(point + 1 + a->n, y.p, y.n);
        pkey = from_params("EC", params);
    }
    if (pkey)
        check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (!check || EVP_PKEY_public_check(check) != 1) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(check);
    return pkey ? make(alg, pkey, ret_key, reterr)
                : refuse(reterr, "Its \"x\" and \"y\" are no point of its curve.");
}

hs_status net_key_ed25519(struct hs_str x, struct net_key **ret_key, struct hs_err *reterr)
{
    EVP_PKEY *pkey = NULL;

    if (x.n == algorithms[NET_EDDSA].n)
        pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.p, x.n);
    return pkey ? make(NET_EDDSA, pkey, ret_key, reterr)
                : refuse(reterr, "Its \"x\" has not the 32 bytes of an Ed25519 key.");
}

void net_key_free(struct net_key *key)
{
    if (!key)
        return;
    EVP_MAC_CTX_free(key->mac);
    EVP_PKEY_CTX_free(key->ctx);
    EVP_MD_free(key->digest);
    EVP_PKEY_free(key->ed25519);
    EVP_MD_CTX_free(key->md);
    hs_free(key);
}

enum net_alg net_key_alg(const struct net_key *key)
{
    return key->alg;
}

/* ---- using ---- */

static bool verify_mac(struct net_key *key, struct hs_str data, struct hs_str signature,
                       bool *ret_holds)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t n = 0;

    if (EVP_MAC_init(key->mac, NULL, 0, NULL) != 1 ||
        EVP_MAC_update(key->mac, (const unsigned char *)data.p, data.n) != 1 ||
        EVP_MAC_final(key->mac, mac, &n, sizeof(mac)) != 1)
        return false;
    *ret_holds = hs_str_eq_secret(hs_strn((const char *)mac, n), signature);
    return true;
}

/* r and s in full length as DER; 0 = no signature of this curve. */
static size_t to_der(const struct algorithm *a, struct hs_str signature,
                     unsigned char to[static DER_MAX])
{
    const unsigned char *bytes = (const unsigned char *)signature.p;
    ECDSA_SIG *sig = NULL;
    BIGNUM *r = NULL;
    BIGNUM *s = NULL;
    unsigned char *at = to;
    int n = 0;

    if (signature.n == 2 * a->n) {
        sig = ECDSA_SIG_new();
        r = BN_bin2bn(bytes, (int)a->n, NULL);
        s = BN_bin2bn(bytes + a->n, (int)a->n, NULL);
    }
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; /* they are the signature's now */
        if (i2d_ECDSA_SIG(sig, NULL) <= DER_MAX)
            n = i2d_ECDSA_SIG(sig, &at);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

static bool verify_hash(const struct net_key *key, struct hs_str data, struct hs_str signature)
{
    const struct algorithm *a = &algorithms[key->alg];
    const unsigned char *bytes = (const unsigned char *)signature.p;
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned char der[DER_MAX];
    unsigned n = 0;

    if (a->kind == NET_KIND_EC) {
        signature.n = to_der(a, signature, der);
        bytes = der;
    }
    return signature.n && EVP_Digest(data.p, data.n, hash, &n, key->digest, NULL) == 1 &&
           EVP_PKEY_verify(key->ctx, bytes, signature.n, hash, n) == 1;
}

static bool verify_ed25519(struct net_key *key, struct hs_str data, struct hs_str signature)
{
    bool holds = signature.n == 64 &&
                 EVP_DigestVerifyInit(key->md, NULL, NULL, NULL, key->ed25519) == 1 &&
                 EVP_DigestVerify(key->md, (const unsigned char *)signature.p, signature.n,
                                  (const unsigned char *)data.p, data.n) == 1;

    (void)EVP_MD_CTX_reset(key->md);
    return holds;
}

hs_status net_key_verify(struct net_key *key, struct hs_str data, struct hs_str signature,
                         bool *ret_holds)
{
    bool is_known = true;

    *ret_holds = false;
    if (key->mac)
        is_known = verify_mac(key, data, signature, ret_holds);
    else if (key->ed25519)
        *ret_holds = verify_ed25519(key, data, signature);
    else
        *ret_holds = verify_hash(key, data, signature);
    if (!*ret_holds)
        ERR_clear_error();
    return is_known ? HS_OK : HS_E_MEMORY;
}
