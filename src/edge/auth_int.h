/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/auth_int.h - what auth.c (a request) and auth_setup.c (from the configuration) share.
 */
#ifndef EDGE_AUTH_INT_H
#define EDGE_AUTH_INT_H

#include "conf/limits.h"
#include "edge/api_keys.h"
#include "edge/auth.h"
#include "edge/jwt.h"
#include "edge/token_cache.h"

enum { EDGE_AUTH_MAGIC = 0x41555448 };

struct edge_auth {
    uint32_t magic;
    struct hs_metrics *metrics;
    struct hs_wall (*wall)(void);
    struct hs_identity *anonymous; /* NULL = a token is needed */
    struct hs_str anonymous_role;
    struct edge_jwt_rules rules;
    struct edge_keys *keys; /* what rules.keys and rules.jwks point to */
    struct edge_keys *jwks;
    bool awaits_jwks;  /* none was ever set */
    bool awaits_roles; /* the same */
    bool has_all_roles;
    bool jwks_with_secrets;
    enum net_alg rsa_alg;
    struct edge_claim_path *role_claim;
    struct edge_api_keys api_keys;
    struct hs_identity **api_key_owners; /* one each, made when it first comes */
    struct hs_str api_key_header;
    struct edge_logout *logout;
    void (*key_missed)(void *ctx);
    void *ctx;
    struct conf_limits *limits;
    size_t n_limits;
    struct edge_token_cache cache;
    struct hs_buf scratch;
    struct hs_arena texts; /* what the rules point to, */
    struct hs_arena roles; /* but for roles that were set later */
    struct hs_err err;     /* of the step: too large to be cleared on the stack each time */
};

/* An identity with the limits of its role, so that nobody has to look for them again. NULL = no memory. */
struct hs_identity *edge_auth_make(const struct edge_auth *auth, struct hs_str role,
                                   struct hs_str claims, bool is_anonymous);

#endif
