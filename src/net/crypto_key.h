/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/crypto_key.h - keys that verify signatures of JSON Web Signature, over OpenSSL 3.
 *
 * Promises   a key is of one algorithm, which is given when it is made and never by what it verifies; what
 *            is not of that algorithm's kind, size or curve is refused then.
 * Thread     one at a time per key. Using a key of ours changes no other key.
 * Source     RFC 7518 (algorithms), 8037 (Ed25519), 8725, 3.1 (one algorithm each); 8017 (RSA), 8032.
 */
#ifndef NET_CRYPTO_KEY_H
#define NET_CRYPTO_KEY_H

#include "core/err.h"

enum net_alg {
    NET_ALG_NONE,
    NET_HS256,
    NET_HS384,
    NET_HS512,
    NET_RS256,
    NET_RS384,
    NET_RS512,
    NET_PS256,
    NET_PS384,
    NET_PS512,
    NET_ES256,
    NET_ES384,
    NET_ES512,
    NET_EDDSA, /* Ed25519 */
    NET_ALGS
};

enum net_key_kind { NET_KIND_SECRET, NET_KIND_RSA, NET_KIND_EC, NET_KIND_ED25519 };

enum { NET_RSA_BITS_MIN = 2048, NET_RSA_BITS_MAX = 16384 };

/* "HS256" -> NET_HS256; NET_ALG_NONE for what is none of them, "none" included. Case counts. */
enum net_alg net_alg_find(struct hs_str name);
const char *net_alg_name(enum net_alg alg);
enum net_key_kind net_alg_kind(enum net_alg alg);
/* The fewest bytes of a secret (RFC 7518, 3.2); 0 for other kinds. */
size_t net_alg_secret_min(enum net_alg alg);
/* The algorithm of a curve's name ("P-256", "P-384", "P-521"), or NET_ALG_NONE. */
enum net_alg net_alg_of_curve(struct hs_str name);

struct net_key;

/* All of them: errors HS_E_CONFIG (what the key lacks), HS_E_MEMORY. Bytes are copied. */

/* alg of kind SECRET. */
hs_status net_key_secret(enum net_alg alg, struct hs_str secret, struct net_key **ret_key,
                         struct hs_err *reterr) hs_must_check;
/*
 * pem: "PUBLIC KEY" (SubjectPublicKeyInfo) or "RSA PUBLIC KEY" (PKCS #1). An RSA key is of rsa_alg, an
 * elliptic one of its curve's algorithm, an Ed25519 one of EdDSA.
 */
hs_status net_key_pem(struct hs_str pem, enum net_alg rsa_alg, struct net_key **ret_key,
                      struct hs_err *reterr) hs_must_check;
/* Big-endian numbers, as a JWK has them. */
hs_status net_key_rsa(enum net_alg alg, struct hs_str n, struct hs_str e, struct net_key **ret_key,
                      struct hs_err *reterr) hs_must_check;
/* x and y have the full length of the curve's field (RFC 7518, 6.2.1.2), and are a point of it. */
hs_status net_key_ec(enum net_alg alg, struct hs_str x, struct hs_str y, struct net_key **ret_key,
                     struct hs_err *reterr) hs_must_check;
hs_status net_key_ed25519(struct hs_str x, struct net_key **ret_key, struct hs_err *reterr)
    hs_must_check;
void net_key_free(struct net_key *key);

enum net_alg net_key_alg(const struct net_key *key);

/*
 * Does the signature hold? MACs are compared in constant time. HS_OK: *ret_holds says so; HS_E_MEMORY: it
 * could not be found out.
 */
hs_status net_key_verify(struct net_key *key, struct hs_str data, struct hs_str signature,
                         bool *ret_holds) hs_must_check;

#endif
