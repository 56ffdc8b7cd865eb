/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authorization header → token → remembered, or verified and remembered → identity.
 *
 * The anonymous identity is made once. Refusals are not remembered: whoever sends bad tokens pays for a
 * hash each time, and we keep nothing for him. What a token may do ends with the entry's exp, also
 * between two requests of one connection: each request is judged anew.
 *
 * A request with two Authorization fields is refused: which of them counts would be a matter of taste,
 * and another server in front may have another (RFC 9110, 5.3: the field is no list).
 */
#include "edge/auth.h"

#include "conf/limits.h"
#include "core/mem.h"
#include "edge/jwt.h"
#include "edge/token_cache.h"

enum {
    AUTH_MAGIC = 0x41555448,
    SECRET_MIN = NET_SHA256, /* RFC 7518, 3.2 */
    ROLE_MAX = 63,           /* NAMEDATALEN - 1 of PostgreSQL */
    TEXTS_MAX = 1 << 20
};

struct edge_auth {
    uint32_t magic;
    struct hs_metrics *metrics;
    struct hs_wall (*wall)(void);
    struct hs_identity *anonymous; /* NULL = a token is needed */
    struct edge_jwt_rules rules;
    struct conf_limits *limits;
    size_t n_limits;
    struct edge_token_cache cache;
    struct hs_buf scratch;
    struct hs_arena texts; /* what the rules point to */
    struct hs_err err;     /* of the step: too large to be cleared on the stack each time */
};

/* ---- setting up ---- */

static hs_status copy_texts(struct edge_auth *auth, const struct edge_auth_setup *setup,
                            struct hs_err *reterr)
{
    struct hs_str *roles = HS_NEW_ARRAY(&auth->texts, setup->n_roles, struct hs_str);

    for (size_t i = 0; roles && i < setup->n_roles; i++) {
        if (setup->roles[i].n == 0 || setup->roles[i].n > ROLE_MAX)
            return hs_fail(reterr, HS_E_CONFIG, "auth.roles: \"%.*s\" is no name of a role",
                           HS_FMT(setup->roles[i]));
        roles[i] = hs_arena_dup(&auth->texts, setup->roles[i]);
    }
    if (setup->role_claim.n == 0)
        return hs_fail(reterr, HS_E_CONFIG, "auth.jwt.role_claim is empty");
    auth->rules = (struct edge_jwt_rules){
        .roles = roles,
        .n_roles = setup->n_roles,
        .audience = hs_arena_dup(&auth->texts, setup->audience),
        .role_claim = hs_arena_dup(&auth->texts, setup->role_claim),
        .clock_skew = setup->clock_skew,
        .token_max = setup->token_max,
    };
    return hs_arena_failed(&auth->texts) ? hs_fail_memory(reterr) : HS_OK;
}

static hs_status make_keys(struct edge_auth *auth, const struct edge_auth_setup *setup,
                           struct hs_err *reterr)
{
    if (setup->secret.n && hs_str_starts(setup->secret, HS_STR("-----BEGIN"))) {
        (void)hs_fail(reterr, HS_E_CONFIG, "auth.jwt.secret holds a PEM key");
        hs_err_why(reterr, "As a shared secret it would let everyone who has the key sign tokens.");
        hs_err_hint(reterr, "Put a public key into auth.jwt.public_key.");
        return HS_E_CONFIG;
    }
    if (setup->secret.n && setup->secret.n < SECRET_MIN) {
        (void)hs_fail(reterr, HS_E_CONFIG, "auth.jwt.secret is too short");
        hs_err_why(reterr, "It has %zu bytes; HS256 needs %d (RFC 7518, 3.2).", setup->secret.n,
                   SECRET_MIN);
        hs_err_hint(reterr, "Make one with: openssl rand -base64 48");
        return HS_E_CONFIG;
    }
    if (setup->secret.n) {
        hs_status status = net_hmac_new(setup->secret, &auth->rules.hmac, reterr);

        if (status)
            return status;
    }
    return setup->public_key.n ? net_rsa_new(setup->public_key, &auth->rules.rsa, reterr) : HS_OK;
}

static hs_status copy_limits(struct edge_auth *auth, const struct edge_auth_setup *setup,
                             struct hs_err *reterr)
{
    struct hs_str bad;
    const char *expected;

    auth->n_limits = setup->n_limits;
    auth->limits = HS_NEW_ARRAY(&auth->texts, setup->n_limits + 1, struct conf_limits);
    for (size_t i = 0; auth->limits && i < setup->n_limits; i++) {
        if (!conf_parse_limits(setup->limits[i], &auth->limits[i], &bad, &expected))
            return hs_fail(reterr, HS_E_CONFIG, "auth.limits: found \"%.*s\", expected %s",
                           HS_FMT(bad), expected);
        auth->limits[i].role = hs_arena_dup(&auth->texts, auth->limits[i].role);
    }
    return hs_arena_failed(&auth->texts) ? hs_fail_memory(reterr) : HS_OK;
}

/* An identity with the limits of its role, so that nobody has to look for them again. NULL = no memory. */
static struct hs_identity *make_identity(const struct edge_auth *auth, struct hs_str role,
                                         struct hs_str claims, bool is_anonymous)
{
    struct hs_identity *identity = hs_identity_new(role, claims, is_anonymous);

    for (size_t i = 0; identity && i < auth->n_limits; i++) {
        const struct conf_limits *limits = &auth->limits[i];

        if (!hs_str_eq(limits->role, role))
            continue;
        identity->statement_timeout_ms = limits->statement_timeout_ms;
        identity->rows_max = limits->rows_max;
        identity->body_max = limits->body_max;
    }
    return identity;
}

static hs_status fill(struct edge_auth *auth, const struct edge_auth_setup *setup,
                      struct hs_err *reterr)
{
    hs_status status = copy_texts(auth, setup, reterr);

    if (!status)
        status = copy_limits(auth, setup, reterr);
    if (!status)
        status = make_keys(auth, setup, reterr);
    if (status)
        return status;
    if (setup->anonymous_role.n > ROLE_MAX)
        return hs_fail(reterr, HS_E_CONFIG, "auth.anonymous_role is no name of a role");
    if (setup->anonymous_role.n) {
        auth->anonymous = make_identity(auth, setup->anonymous_role, HS_STR("{}"),
                                        /* is_anonymous= */ true);
        if (!auth->anonymous)
            return hs_fail_memory(reterr);
    }
    return edge_token_cache_init(&auth->cache, setup->cache_max) ? HS_OK : hs_fail_memory(reterr);
}

hs_status edge_auth_new(const struct edge_auth_setup *setup, struct edge_auth **ret_auth,
                        struct hs_err *reterr)
{
    struct edge_auth *auth = hs_calloc(1, sizeof(*auth));
    hs_status status;

    if (!auth)
        return hs_fail_memory(reterr);
    edge_jwt_init();
    auth->magic = AUTH_MAGIC;
    auth->metrics = setup->metrics;
    auth->wall = setup->wall ? setup->wall : hs_wall_now;
    hs_arena_init(&auth->texts, TEXTS_MAX);
    hs_buf_init(&auth->scratch, setup->token_max + 1);
    status = fill(auth, setup, reterr);
    if (status) {
        edge_auth_free(auth);
        return status;
    }
    *ret_auth = auth;
    return HS_OK;
}

void edge_auth_free(struct edge_auth *auth)
{
    if (!auth)
        return;
    HS_OBJ(auth, AUTH_MAGIC);
    auth->magic = 0;
    edge_token_cache_fini(&auth->cache);
    hs_identity_unref(auth->anonymous);
    net_hmac_free(auth->rules.hmac);
    net_rsa_free(auth->rules.rsa);
    hs_buf_fini(&auth->scratch);
    hs_arena_fini(&auth->texts);
    hs_free(auth);
}

/* ---- a request ---- */

/* What follows "Bearer" and its spaces; the scheme's case does not count (RFC 9110, 11.1). */
static bool bearer_token(struct hs_str value, struct hs_str *ret_token)
{
    struct hs_str rest = value;
    struct hs_str scheme = hs_str_cut(&rest, ' ');

    while (rest.n && rest.p[0] == ' ')
        rest = hs_str_sub(rest, 1, rest.n);
    *ret_token = rest;
    return rest.n && hs_str_ieq(scheme, HS_STR("Bearer"));
}

static hs_status identify_anonymous(struct edge_auth *auth, struct hs_identity **ret_identity,
                                    struct hs_err *reterr)
{
    if (!auth->anonymous) {
        hs_metric_add(auth->metrics, HS_M_AUTH_FAILURES, 1);
        return hs_fail(reterr, HS_E_NO_TOKEN, "this address asks for a token");
    }
    *ret_identity = hs_identity_ref(auth->anonymous);
    return HS_OK;
}

static hs_status verify(struct edge_auth *auth, struct hs_str token, struct hs_wall now,
                        struct hs_identity **ret_identity, struct hs_err *reterr)
{
    struct edge_jwt jwt;
    struct hs_identity *identity;
    hs_status status;

    hs_metric_add(auth->metrics, HS_M_AUTH_CACHE_MISSES, 1);
    status = edge_jwt_verify(&auth->rules, token, now, &auth->scratch, &jwt, reterr);
    if (status == HS_E_BAD_TOKEN || status == HS_E_BAD_ROLE)
        hs_metric_add(auth->metrics, HS_M_AUTH_FAILURES, 1);
    if (status)
        return status;
    identity = make_identity(auth, jwt.role, jwt.claims, /* is_anonymous= */ false);
    if (!identity)
        return hs_fail_memory(reterr);
    edge_token_cache_add(&auth->cache, token, identity, jwt.starts_us, jwt.ends_us);
    *ret_identity = identity;
    return HS_OK;
}

hs_status edge_auth_identify(struct edge_auth *auth, struct hs_str authorization,
                             struct hs_identity **ret_identity, struct hs_err *reterr)
{
    struct hs_identity *known;
    struct hs_wall now;
    struct hs_str token;

    if (!authorization.p)
        return identify_anonymous(auth, ret_identity, reterr);
    if (!bearer_token(authorization, &token)) {
        hs_metric_add(auth->metrics, HS_M_AUTH_FAILURES, 1);
        return hs_fail(reterr, HS_E_BAD_TOKEN,
                       "the Authorization header does not have the form \"Bearer <token>\"");
    }
    now = auth->wall();
    known = token.n <= auth->rules.token_max ? edge_token_cache_find(&auth->cache, token, now)
                                             : NULL;
    if (!known)
        return verify(auth, token, now, ret_identity, reterr);
    hs_metric_add(auth->metrics, HS_M_AUTH_CACHE_HITS, 1);
    *ret_identity = hs_identity_ref(known);
    return HS_OK;
}

hs_status edge_auth_as(const struct edge_auth *auth, struct hs_str role, struct hs_str claims,
                       struct hs_identity **ret_identity, struct hs_err *reterr)
{
    size_t i = 0;

    if (!role.p || (auth->anonymous && hs_str_eq(role, auth->anonymous->role))) {
        *ret_identity = auth->anonymous ? hs_identity_ref(auth->anonymous) : NULL;
        return auth->anonymous ? HS_OK
                               : hs_fail(reterr, HS_E_NO_TOKEN, "there is no auth.anonymous_role");
    }
    while (i < auth->rules.n_roles && !hs_str_eq(auth->rules.roles[i], role))
        i++;
    if (i == auth->rules.n_roles)
        return hs_fail(reterr, HS_E_BAD_ROLE, "role \"%.*s\" is not one of auth.roles",
                       HS_FMT(role));
    *ret_identity = make_identity(auth, role, claims, /* is_anonymous= */ false);
    return *ret_identity ? HS_OK : hs_fail_memory(reterr);
}

static hs_status identify(struct edge_auth *auth, struct http_req *req, struct hs_err *reterr)
{
    struct hs_str value = HS_STR_NULL;

    for (size_t i = 0; i < req->n_headers; i++) {
        if (!hs_str_ieq(req->headers[i].name, HS_STR("Authorization")))
            continue;
        if (value.p) {
            hs_metric_add(auth->metrics, HS_M_AUTH_FAILURES, 1);
            return hs_fail(reterr, HS_E_BAD_TOKEN, "the request has two Authorization headers");
        }
        value = req->headers[i].value;
        value.p = value.p ? value.p : "";
    }
    return edge_auth_identify(auth, value, &req->identity, reterr);
}

static hs_status check_body(const struct http_req *req, struct hs_err *reterr)
{
    const struct hs_identity *who = req->identity;

    if (!who->body_max || req->body.n <= who->body_max)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_BODY_TOO_LARGE,
                  "the body has %zu bytes; role %.*s may send %llu at most", req->body.n,
                  HS_FMT(who->role), (unsigned long long)who->body_max);
    hs_err_hint(reterr, "Send less, or raise this role's limit in auth.limits.");
    return HS_E_BODY_TOO_LARGE;
}

static bool run(void *ctx, struct http_req *req)
{
    struct edge_auth *auth = ctx;

    HS_OBJ(auth, AUTH_MAGIC);
    HS_OBJ(req, HTTP_REQUEST_MAGIC);
    if (req->identity)
        return true;
    if (identify(auth, req, &auth->err) == HS_OK && check_body(req, &auth->err) == HS_OK)
        return true;
    http_reply_error(req, &auth->err);
    return false;
}

const struct http_step edge_auth_step = {"auth", run};
