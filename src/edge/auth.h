/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/auth.h - who asks: a verified token, or the anonymous role, becomes an identity.
 *
 * Promises   a token is believed only if its algorithm is one that is configured, its signature, exp, nbf
 *            and aud hold, and its role is listed; all of it in time that does not depend on secrets.
 *            Without a token the anonymous role, or 401; never the login role.
 * Limits     token length, remembered tokens: options auth.jwt.*.
 * Thread     the worker's. The clock comes in through `wall` so that tests can move it.
 * Source     RFC 7515 (JWS), 7519 (JWT), 8725 (best practices), 6750 (Bearer).
 */
#ifndef EDGE_AUTH_H
#define EDGE_AUTH_H

#include "http/req.h"

struct edge_auth;

struct edge_auth_setup {
    const struct hs_str *roles; /* auth.roles */
    size_t n_roles;
    struct hs_str anonymous_role; /* empty = none */
    const struct hs_str *limits;  /* auth.limits rows */
    size_t n_limits;
    struct hs_str secret;     /* HS256; empty = not accepted */
    struct hs_str public_key; /* RS256, PEM; empty = not accepted */
    struct hs_str audience;
    struct hs_str role_claim; /* path, dots step into objects */
    hs_us clock_skew;
    size_t token_max;
    size_t cache_max; /* verified tokens remembered */
    struct hs_metrics *metrics;
    struct hs_wall (*wall)(void); /* hs_wall_now */
};

/* Texts of setup are copied. errors: HS_E_CONFIG (a key that cannot be used, or a row, and why). */
hs_status edge_auth_new(const struct edge_auth_setup *setup, struct edge_auth **ret_auth,
                        struct hs_err *reterr) hs_must_check;
void edge_auth_free(struct edge_auth *auth);

/*
 * The identity behind an Authorization header's value (p == NULL: no header). The caller gets a
 * reference.
 *   errors  HS_E_NO_TOKEN, HS_E_BAD_TOKEN (401), HS_E_BAD_ROLE (403)
 */
hs_status edge_auth_identify(struct edge_auth *auth, struct hs_str authorization,
                             struct hs_identity **ret_identity, struct hs_err *reterr)
    hs_must_check;

/*
 * The identity of that role with these claims (a JSON object), with the limits of the role, for what the operator has
 * asked in somebody's name. role p == NULL: who has no token. The caller gets a reference.
 *   errors  HS_E_NO_TOKEN (there is no anonymous role), HS_E_BAD_ROLE (not of auth.roles), HS_E_MEMORY
 */
hs_status edge_auth_as(const struct edge_auth *auth, struct hs_str role, struct hs_str claims,
                       struct hs_identity **ret_identity, struct hs_err *reterr) hs_must_check;

/* ctx: struct edge_auth. A request that has an identity is the server's own (http/sub.h). Else sets req->identity or answers 401/403, or 413 for a body that is more than its role
 * may send. */
extern const struct http_step edge_auth_step;

#endif
