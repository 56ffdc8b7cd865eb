/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/keys.h - a set of keys that tokens may be signed with.
 *
 * Each key is of one algorithm (net/crypto_key.h). A JWK names it by `alg`; without that it is ES256, ES384
 * or ES512 by the curve, EdDSA, HS256, or for RSA what `rsa_alg` says. A JWK that is not understood, is for
 * encryption (`use`, `key_ops`) or names an algorithm of another kind is passed over, as RFC 7517, 5 says.
 * Members that hold private parts are not looked at.
 *
 * Limits     EDGE_KEYS_MAX keys, EDGE_JWKS_MAX bytes of a set.
 * Thread     the owner's: a key is used by one thread at a time.
 * Source     RFC 7517 (JWK), 7518, 6 (its parameters), 8037 (OKP).
 */
#ifndef EDGE_KEYS_H
#define EDGE_KEYS_H

#include "core/arena.h"
#include "net/crypto_key.h"

enum { EDGE_KEYS_MAX = 64, EDGE_JWKS_MAX = 256 * 1024, EDGE_KID_MAX = 512 };

struct edge_key {
    struct hs_str kid; /* p == NULL: it has none, and may be any token's */
    struct net_key *key;
};

struct edge_keys {
    struct edge_key keys[EDGE_KEYS_MAX];
    size_t n;
    size_t passed_over; /* JWKs that are no use here */
    struct hs_arena texts;
};

/* Empty. */
void edge_keys_init(struct edge_keys *keys);
void edge_keys_fini(struct edge_keys *keys);

/* One that is there already: taken over, on failure freed. errors HS_E_CONFIG (too many) */
hs_status edge_keys_add(struct edge_keys *keys, struct net_key *key, struct hs_str kid,
                        struct hs_err *reterr) hs_must_check;
/*
 * A JWK, or a set of them.
 *   with_secrets  false: keys of kind "oct" are passed over; what everyone may fetch is no secret
 * Beyond EDGE_KEYS_MAX the rest of a set is left out; a broken key of several is passed over.
 *   errors        HS_E_CONFIG: no JSON, no set, no key in it that can be used
 */
hs_status edge_keys_add_jwks(struct edge_keys *keys, struct hs_str text, enum net_alg rsa_alg,
                             bool with_secrets, struct hs_err *reterr) hs_must_check;

/* Does the text look like JSON, as no secret of openssl rand and no PEM does? */
static inline bool edge_keys_is_jwk(struct hs_str text)
{
    text = hs_str_trim(text);
    return text.n && text.p[0] == '{';
}

#endif
