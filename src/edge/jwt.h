/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/jwt.h - one token against the rules: pure, no cache, no clock of its own.
 *
 * Promises   nothing in a token decides how it is checked: `alg` must name an algorithm for which there is a
 *            key, keys are of one algorithm each, `kid` only chooses among them, and keys or addresses of keys
 *            within the token (jwk, jku, x5c, x5u) are never looked at. What is not understood is refused
 *            (`crit`).
 * Lifetime   an edge_jwt's role points into the rules, its claims into the scratch.
 * Limits     token_max; EDGE_JWT_TRIES keys are tried; JSON nests at most 2048 deep (jansson's bound).
 * Errors     each carries its edge/fault.h.
 * Source     RFC 7515, 7518, 7519, 8725.
 */
#ifndef EDGE_JWT_H
#define EDGE_JWT_H

#include "core/buf.h"
#include "core/err.h"
#include "core/identity.h"
#include "core/time.h"
#include "edge/claim_path.h"
#include "edge/keys.h"

/* Keys of one algorithm that a token without `kid` may cost a look: an attacker's token costs all of them. */
enum { EDGE_JWT_TRIES = 8 };
/* Bytes of the name under which a token is logged out. */
enum { EDGE_JWT_ID = 16 };

struct edge_jwt_rules {
    const struct edge_keys *keys; /* of the configuration; may be NULL */
    const struct edge_keys
        *jwks; /* read from elsewhere, replaced as a whole; NULL: there is none */
    const struct hs_str *roles;
    size_t n_roles;
    struct hs_str audience; /* empty = aud is not looked at */
    const struct edge_claim_path *role_claim;
    hs_us clock_skew;
    size_t token_max;
    /*
     * As PostgREST judges claims: a token without `aud` (or null, or []) is for every audience, one whose `iat`
     * lies in the future is refused, one without a role gets the empty role, which is the anonymous's.
     */
    bool is_lenient;
};

struct edge_jwt {
    struct hs_str role;   /* one of rules->roles; empty: is_lenient, and it names none */
    struct hs_str claims; /* the payload as signed: a JSON object, UTF-8, no \u0000 */
    bool names_role;      /* the claims have a member "role" at the top */
    int64_t starts_us;    /* valid from (nbf less the skew), wall clock; INT64_MIN = always */
    int64_t ends_us;      /* valid before (exp plus the skew); INT64_MAX = for ever */
    /* Hashes: of iss and jti where there is a jti, else of header and payload. */
    unsigned char id[EDGE_JWT_ID];
    char subject[HS_SUBJECT]; /* of sub, in hexadecimal; "" where there is none */
};

/* Once, before the first token and before other threads use jansson; more often does no harm. */
void edge_jwt_init(void);

/* A subject as it may be logged: the beginning of its hash. false = no memory. */
bool edge_subject(struct hs_str sub, char to[static HS_SUBJECT]) hs_must_check;

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

/*
 * What verify does once the signature holds. Apart so that tests and fuzzers reach it unsigned. signed_text:
 * what a token without `jti` is known by.
 */
hs_status edge_jwt_read_claims(const struct edge_jwt_rules *rules, struct hs_str payload,
                               struct hs_str signed_text, struct hs_wall now,
                               struct edge_jwt *ret_jwt, struct hs_err *reterr) hs_must_check;

#endif
