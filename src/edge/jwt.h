/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/jwt.h - one token against the rules: pure, no cache, no clock of its own.
 *
 * Promises   nothing in a token decides how it is checked: `alg` must name an algorithm whose key is
 *            configured, keys are of one algorithm each, and keys or addresses of keys within the token
 *            (jwk, jku, x5c, x5u) are never looked at. What is not understood is refused (`crit`).
 * Lifetime   an edge_jwt's role points into the rules, its claims into the scratch.
 * Limits     token_max; JSON nests at most 2048 deep (jansson's bound).
 * Source     RFC 7515, 7518, 7519, 8725.
 */
#ifndef EDGE_JWT_H
#define EDGE_JWT_H

#include "core/buf.h"
#include "core/err.h"
#include "core/time.h"
#include "net/crypto.h"

struct edge_jwt_rules {
    struct net_hmac *hmac; /* HS256; NULL = not accepted */
    struct net_rsa *rsa;   /* RS256; NULL = not accepted */
    const struct hs_str *roles;
    size_t n_roles;
    struct hs_str audience;   /* empty = aud is not looked at */
    struct hs_str role_claim; /* path, dots step into objects */
    hs_us clock_skew;
    size_t token_max;
};

struct edge_jwt {
    struct hs_str role;   /* one of rules->roles */
    struct hs_str claims; /* the payload as signed: a JSON object, UTF-8, no \u0000 */
    int64_t starts_us;    /* valid from (nbf less the skew), wall clock; INT64_MIN = always */
    int64_t ends_us;      /* valid before (exp plus the skew); INT64_MAX = for ever */
};

/* Once, before the first token and before other threads use jansson; more often does no harm. */
void edge_jwt_init(void);

/* Within nbf and exp? */
static inline bool edge_jwt_is_now(int64_t starts_us, int64_t ends_us, struct hs_wall now)
{
    return now.us >= starts_us && now.us < ends_us;
}

/*
 * scratch: cleared and used; of maximum >= token_max + 1.
 *   errors  HS_E_BAD_TOKEN, HS_E_BAD_ROLE, HS_E_MEMORY
 */
hs_status edge_jwt_verify(const struct edge_jwt_rules *rules, struct hs_str token,
                          struct hs_wall now, struct hs_buf *scratch, struct edge_jwt *ret_jwt,
                          struct hs_err *reterr) hs_must_check;

/* What verify does once the signature holds. Apart so that tests and fuzzers reach it unsigned. */
hs_status edge_jwt_read_claims(const struct edge_jwt_rules *rules, struct hs_str payload,
                               struct hs_wall now, struct edge_jwt *ret_jwt, struct hs_err *reterr)
    hs_must_check;

#endif
