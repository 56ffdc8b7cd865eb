/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the configuration to what requests are judged by, and what may be exchanged later: the set of keys that
 * is read from elsewhere, and the roles of the database.
 *
 * Both are exchanged whole, and with them goes what was remembered of tokens: a token that was good by a key that is
 * gone, or for a role that may not be named any more, is judged anew.
 */
#include "core/json.h"
#include "core/mem.h"
#include "edge/auth_int.h"

enum {
    ROLE_MAX = 63,     /* NAMEDATALEN - 1 of PostgreSQL */
    CLAIMS_MAX = 1024, /* of the anonymous role: its name, each byte as \u00xx at worst */
    TEXTS_MAX = 8 << 20
};

/* ---- texts ---- */

static hs_status copy_roles(struct edge_auth *auth, const struct hs_str *from, size_t n,
                            struct hs_arena *to, struct hs_err *reterr)
{
    struct hs_str *roles = HS_NEW_ARRAY(to, n + 1, struct hs_str);

    for (size_t i = 0; roles && i < n; i++) {
        if (from[i].n == 0 || from[i].n > ROLE_MAX)
            return hs_fail(reterr, HS_E_CONFIG, "auth.roles: \"%.*s\" is no name of a role",
                           HS_FMT(from[i]));
        roles[i] = hs_arena_dup(to, from[i]);
    }
    if (hs_arena_failed(to))
        return hs_fail_memory(reterr);
    auth->rules.roles = roles;
    auth->rules.n_roles = n;
    return HS_OK;
}

static bool names_all(const struct edge_auth_setup *setup)
{
    for (size_t i = 0; i < setup->n_roles; i++) {
        if (hs_str_is(setup->roles[i], "*"))
            return true;
    }
    return false;
}

static hs_status copy_texts(struct edge_auth *auth, const struct edge_auth_setup *setup,
                            struct hs_err *reterr)
{
    hs_status status = HS_OK;

    auth->has_all_roles = names_all(setup);
    auth->awaits_roles = auth->has_all_roles;
    if (!auth->has_all_roles)
        status = copy_roles(auth, setup->roles, setup->n_roles, &auth->texts, reterr);
    if (!status)
        status = edge_claim_path_new(setup->role_claim, &auth->texts, &auth->role_claim, reterr);
    auth->rules.role_claim = auth->role_claim;
    auth->rules.audience = hs_arena_dup(&auth->texts, setup->audience);
    auth->rules.clock_skew = setup->clock_skew;
    auth->rules.token_max = setup->token_max;
    auth->rules.is_lenient = setup->is_lenient;
    auth->api_key_header = hs_arena_dup(&auth->texts, setup->api_key_header);
    auth->anonymous_role = hs_arena_dup(&auth->texts, setup->anonymous_role);
    if (status)
        return status;
    return hs_arena_failed(&auth->texts) ? hs_fail_memory(reterr) : HS_OK;
}

/* ---- keys ---- */

static hs_status check_secret(struct hs_str secret, enum net_alg alg, struct hs_err *reterr)
{
    size_t min = net_alg_secret_min(alg);

    if (secret.n >= min)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_CONFIG, "auth.jwt.secret is too short");
    hs_err_why(reterr, "It has %zu bytes; %s needs %zu (RFC 7518, 3.2).", secret.n,
               net_alg_name(alg), min);
    hs_err_hint(reterr, "Make one with: openssl rand -base64 %zu", min + min / 2);
    return HS_E_CONFIG;
}

/* Both alphabets and padding or none, as programs that sign write it. */
static bool decode_secret(struct hs_str text, char *to, size_t *ret_n)
{
    while (text.n && text.p[text.n - 1] == '=')
        text.n--;
    for (size_t i = 0; i < text.n; i++)
        to[i] = text.p[i] == '+' ? '-' : text.p[i] == '/' ? '_' : text.p[i];
    /* Three bytes take the place of four that were read before. */
    return net_base64url_decode(hs_strn(to, text.n), (unsigned char *)to, ret_n);
}

static hs_status add_text_secret(struct edge_auth *auth, const struct edge_auth_setup *setup,
                                 struct hs_err *reterr)
{
    enum net_alg alg = setup->secret_alg == NET_ALG_NONE ? NET_HS256 : setup->secret_alg;
    struct hs_str secret = setup->secret;
    struct net_key *key;
    hs_status status;
    char *bytes = hs_malloc(secret.n + 1);
    size_t n;

    if (!bytes)
        return hs_fail_memory(reterr);
    if (setup->secret_is_base64 && !decode_secret(hs_str_trim(secret), bytes, &n)) {
        hs_free(bytes);
        return hs_fail(reterr, HS_E_CONFIG,
                       "auth.jwt.secret is not base64, as auth.jwt.secret_is_base64 says");
    }
    if (setup->secret_is_base64)
        secret = hs_strn(bytes, n);
    status = check_secret(secret, alg, reterr);
    if (!status)
        status = net_key_secret(alg, secret, &key, reterr);
    hs_free(bytes);
    return status ? status : edge_keys_add(auth->keys, key, HS_STR_NULL, reterr);
}

static hs_status add_secret(struct edge_auth *auth, const struct edge_auth_setup *setup,
                            struct hs_err *reterr)
{
    size_t before;
    hs_status status;

    if (hs_str_starts(hs_str_trim(setup->secret), HS_STR("-----BEGIN"))) {
        (void)hs_fail(reterr, HS_E_CONFIG, "auth.jwt.secret holds a PEM key");
        hs_err_why(reterr, "As a shared secret it would let everyone who has the key sign tokens.");
        hs_err_hint(reterr, "Put a public key into auth.jwt.public_key.");
        return HS_E_CONFIG;
    }
    if (!edge_keys_is_jwk(setup->secret))
        return add_text_secret(auth, setup, reterr);
    before = auth->keys->n;
    status = edge_keys_add_jwks(auth->keys, setup->secret, auth->rsa_alg, /* with_secrets= */ true,
                                reterr);
    if (!status && auth->keys->n == before)
        status = hs_fail(reterr, HS_E_CONFIG, "auth.jwt.secret is a set of no keys");
    if (status == HS_E_CONFIG)
        hs_err_hint(reterr, "auth.jwt.secret begins with {, so it is read as a JWK or as a set of "
                            "them: {\"keys\":[{\"kty\":...},...]} (RFC 7517).");
    return status;
}

static hs_status new_keys(struct edge_keys **ret_keys, struct hs_err *reterr)
{
    *ret_keys = hs_calloc(1, sizeof(**ret_keys));
    if (!*ret_keys)
        return hs_fail_memory(reterr);
    edge_keys_init(*ret_keys);
    return HS_OK;
}

static void free_keys(struct edge_keys *keys)
{
    if (!keys)
        return;
    edge_keys_fini(keys);
    hs_free(keys);
}

static hs_status make_keys(struct edge_auth *auth, const struct edge_auth_setup *setup,
                           struct hs_err *reterr)
{
    struct net_key *key;
    hs_status status = new_keys(&auth->keys, reterr);

    auth->rsa_alg = setup->rsa_alg == NET_ALG_NONE ? NET_RS256 : setup->rsa_alg;
    if (!status && setup->secret.n)
        status = add_secret(auth, setup, reterr);
    if (!status && setup->public_key.n) {
        status = net_key_pem(setup->public_key, auth->rsa_alg, &key, reterr);
        if (!status)
            status = edge_keys_add(auth->keys, key, HS_STR_NULL, reterr);
    }
    if (!status && setup->has_jwks)
        status = new_keys(&auth->jwks, reterr);
    auth->awaits_jwks = setup->has_jwks;
    auth->jwks_with_secrets = setup->jwks_with_secrets;
    auth->rules.keys = auth->keys;
    auth->rules.jwks = auth->jwks;
    return status;
}

static bool is_role(const struct edge_auth *auth, struct hs_str role)
{
    for (size_t i = 0; i < auth->rules.n_roles; i++) {
        if (hs_str_eq(auth->rules.roles[i], role))
            return true;
    }
    return auth->has_all_roles;
}

static hs_status read_api_keys(struct edge_auth *auth, const struct edge_auth_setup *setup,
                               struct hs_err *reterr)
{
    hs_status status = edge_api_keys_read(setup->api_keys, &auth->texts, &auth->api_keys, reterr);

    if (!status) {
        auth->api_key_owners = HS_NEW_ARRAY(&auth->texts, auth->api_keys.n + 1,
                                            struct hs_identity *);
        if (!auth->api_key_owners)
            return hs_fail_memory(reterr);
    }
    for (size_t i = 0; !status && i < auth->api_keys.n; i++) {
        const struct edge_api_key *key = &auth->api_keys.list[i];

        if (!is_role(auth, key->role))
            status = hs_fail(reterr, HS_E_CONFIG,
                             "auth.keys.list: the role of \"%.*s\" is not one of auth.roles",
                             HS_FMT(key->name));
    }
    return status;
}

/* ---- limits and identities ---- */

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

struct hs_identity *edge_auth_make(const struct edge_auth *auth, struct hs_str role,
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

/* As PostgREST has it (is_lenient), the claims always tell the role. */
static hs_status make_anonymous(struct edge_auth *auth, struct hs_err *reterr)
{
    struct hs_buf claims;

    if (auth->anonymous_role.n > ROLE_MAX)
        return hs_fail(reterr, HS_E_CONFIG, "auth.anonymous_role is no name of a role");
    if (!auth->anonymous_role.n)
        return HS_OK;
    hs_buf_init(&claims, CLAIMS_MAX);
    hs_buf_add_char(&claims, '{');
    if (auth->rules.is_lenient) {
        hs_buf_add_lit(&claims, "\"role\":");
        hs_json_string(&claims, auth->anonymous_role);
    }
    hs_buf_add_char(&claims, '}');
    if (!hs_buf_failed(&claims))
        auth->anonymous = edge_auth_make(auth, auth->anonymous_role, hs_buf_str(&claims),
                                         /* is_anonymous= */ true);
    hs_buf_fini(&claims);
    return auth->anonymous ? HS_OK : hs_fail_memory(reterr);
}

/* ---- the whole ---- */

static hs_status fill(struct edge_auth *auth, const struct edge_auth_setup *setup,
                      struct hs_err *reterr)
{
    hs_status status = copy_texts(auth, setup, reterr);

    if (!status)
        status = copy_limits(auth, setup, reterr);
    if (!status)
        status = make_keys(auth, setup, reterr);
    if (!status)
        status = read_api_keys(auth, setup, reterr);
    if (!status)
        status = make_anonymous(auth, reterr);
    if (status)
        return status;
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
    auth->magic = EDGE_AUTH_MAGIC;
    auth->metrics = setup->metrics;
    auth->wall = setup->wall ? setup->wall : hs_wall_now;
    auth->logout = setup->logout;
    auth->key_missed = setup->key_missed;
    auth->ctx = setup->ctx;
    hs_arena_init(&auth->texts, TEXTS_MAX);
    hs_arena_init(&auth->roles, TEXTS_MAX);
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
    HS_OBJ(auth, EDGE_AUTH_MAGIC);
    auth->magic = 0;
    edge_token_cache_fini(&auth->cache);
    hs_identity_unref(auth->anonymous);
    for (size_t i = 0; auth->api_key_owners && i < auth->api_keys.n; i++)
        hs_identity_unref(auth->api_key_owners[i]);
    free_keys(auth->keys);
    free_keys(auth->jwks);
    edge_claim_path_fini(auth->role_claim);
    hs_buf_fini(&auth->scratch);
    hs_arena_fini(&auth->texts);
    hs_arena_fini(&auth->roles);
    hs_free(auth);
}

/* ---- what is exchanged ---- */

hs_status edge_auth_set_jwks(struct edge_auth *auth, struct hs_str text, struct hs_err *reterr)
{
    struct edge_keys *next = NULL;
    hs_status status = new_keys(&next, reterr);

    if (!status)
        status = edge_keys_add_jwks(next, text, auth->rsa_alg, auth->jwks_with_secrets, reterr);
    if (status) {
        free_keys(next);
        return status;
    }
    free_keys(auth->jwks);
    auth->jwks = next;
    auth->rules.jwks = next;
    auth->awaits_jwks = false;
    edge_token_cache_clear(&auth->cache);
    return HS_OK;
}

static bool are_same_roles(const struct edge_auth *auth, const struct hs_str *roles, size_t n)
{
    if (auth->awaits_roles || auth->rules.n_roles != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!hs_str_eq(auth->rules.roles[i], roles[i]))
            return false;
    }
    return true;
}

hs_status edge_auth_set_roles(struct edge_auth *auth, const struct hs_str *roles, size_t n,
                              struct hs_err *reterr)
{
    struct hs_arena arena;
    hs_status status;

    if (!auth->has_all_roles || are_same_roles(auth, roles, n))
        return HS_OK;
    hs_arena_init(&arena, TEXTS_MAX);
    status = copy_roles(auth, roles, n, &arena, reterr);
    if (status) {
        hs_arena_fini(&arena);
        return status;
    }
    hs_arena_fini(&auth->roles);
    auth->roles = arena;
    auth->awaits_roles = false;
    edge_token_cache_clear(&auth->cache);
    return HS_OK;
}
