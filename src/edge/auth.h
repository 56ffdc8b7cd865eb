/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/auth.h - who asks: a verified token, a key, or the anonymous role, becomes an identity.
 *
 * Promises   a token is believed only if its algorithm is one that is configured, its signature, exp, nbf
 *            and aud hold, it is not logged out, and its role is listed; an API key only if its hash is; all of it
 *            in time that does not depend on secrets. Without either the anonymous role, or 401; never the login
 *            role.
 * Who counts Authorization: Bearer, else the header of auth.keys.header, else `apikey`, where Supabase's clients
 *            put a token or key. Both of the first two at once are refused.
 * Errors     each refusal carries an edge/fault.h, which tells more than its status.
 * Limits     token length, remembered tokens: options auth.jwt.*.
 * Thread     the worker's. The clock comes in through `wall` so that tests can move it.
 * Source     RFC 7515 (JWS), 7519 (JWT), 8725 (best practices), 6750 (Bearer).
 */
#ifndef EDGE_AUTH_H
#define EDGE_AUTH_H

#include "edge/fault.h"
#include "edge/logout.h"
#include "http/req.h"

struct edge_auth;

struct edge_auth_setup {
    const struct hs_str
        *roles; /* auth.roles; "*" among them: edge_auth_set_roles() will say which */
    size_t n_roles;
    struct hs_str anonymous_role; /* empty = none */
    const struct hs_str *limits;  /* auth.limits rows */
    size_t n_limits;
    struct hs_str secret;         /* a text, or a JWK or set of them; empty = none */
    bool secret_is_base64;        /* of a text: its bytes are written so, in either alphabet */
    enum net_alg secret_alg;      /* of a text; NET_ALG_NONE = NET_HS256 */
    struct hs_str public_key;     /* PEM; empty = none */
    enum net_alg rsa_alg;         /* of RSA keys that do not say it; NET_ALG_NONE = NET_RS256 */
    bool has_jwks;                /* edge_auth_set_jwks() will bring a set */
    bool jwks_with_secrets;       /* which may hold secrets: not one that others can fetch */
    struct hs_str api_keys;       /* auth.keys.list; empty = none */
    struct hs_str api_key_header; /* auth.keys.header; empty = none */
    struct hs_str audience;
    struct hs_str role_claim; /* edge/claim_path.h */
    bool is_lenient;          /* edge/jwt.h */
    hs_us clock_skew;
    size_t token_max;
    size_t cache_max; /* verified tokens remembered */
    struct edge_logout
        *logout; /* of the same worker, outlives this; NULL: there is no logging out */
    struct hs_metrics *metrics;
    struct hs_wall (*wall)(void); /* hs_wall_now */
    /* A token has a `kid` that the set of edge_auth_set_jwks() does not know. May be NULL. */
    void (*key_missed)(void *ctx);
    void *ctx;
};

/* Texts of setup are copied. errors: HS_E_CONFIG (a key that cannot be used, or a row, and why). */
hs_status edge_auth_new(const struct edge_auth_setup *setup, struct edge_auth **ret_auth,
                        struct hs_err *reterr) hs_must_check;
void edge_auth_free(struct edge_auth *auth);

/*
 * Another set of keys for the one before, all at once; what was remembered of tokens is forgotten, so that a
 * key that is gone is gone.
 *   errors  as edge_keys_add_jwks(); nothing was changed then
 */
hs_status edge_auth_set_jwks(struct edge_auth *auth, struct hs_str text, struct hs_err *reterr)
    hs_must_check;
/* Of a setup with "*": the roles that a token may name from now on. errors HS_E_MEMORY: as before */
hs_status edge_auth_set_roles(struct edge_auth *auth, const struct hs_str *roles, size_t n,
                              struct hs_err *reterr) hs_must_check;

/*
 * The identity behind an Authorization header's value (p == NULL: no header). The caller gets a
 * reference.
 *   errors  HS_E_NO_TOKEN, HS_E_BAD_TOKEN (401), HS_E_BAD_ROLE (403), HS_E_NO_KEYS (503: the set of keys, or the
 *           roles, were never read), HS_E_MEMORY
 */
hs_status edge_auth_identify(struct edge_auth *auth, struct hs_str authorization,
                             struct hs_identity **ret_identity, struct hs_err *reterr)
    hs_must_check;

/*
 * What a request's token is logged out by.
 *   errors  as edge_auth_identify(); HS_E_NO_TOKEN where it shows none, HS_E_BAD_REQUEST where it shows a key
 */
hs_status edge_auth_logout_entry(struct edge_auth *auth, const struct http_req *req,
                                 struct edge_logout_entry *ret_entry, struct hs_err *reterr)
    hs_must_check;
/* Forgets a token that has just been put on the list. */
void edge_auth_forget(struct edge_auth *auth, const unsigned char id[static EDGE_JWT_ID]);

/*
 * The identity of that role with these claims (a JSON object), with the limits of the role, for what the operator has
 * asked in somebody's name. role p == NULL: who has no token. The caller gets a reference.
 *   errors  HS_E_NO_TOKEN (there is no anonymous role), HS_E_BAD_ROLE (not of auth.roles), HS_E_MEMORY
 */
hs_status edge_auth_as(const struct edge_auth *auth, struct hs_str role, struct hs_str claims,
                       struct hs_identity **ret_identity, struct hs_err *reterr) hs_must_check;

/*
 * ctx: struct edge_auth. A request that has an identity is the server's own (http/sub.h). Else sets req->identity or
 * answers 401/403, or 413 for a body that is more than its role may send.
 */
extern const struct http_step edge_auth_step;

#endif
