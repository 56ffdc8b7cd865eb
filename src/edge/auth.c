/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers → token or key → remembered, or verified and remembered → identity.
 *
 * Refusals are not remembered: whoever sends bad tokens pays for a hash each time, and we keep nothing for
 * him. What a token may do ends with the entry's exp, also between two requests of one connection: each
 * request is judged anew. A token that is logged out is taken out of memory then, so that remembered ones need no
 * look at the list.
 *
 * A request with two Authorization fields is refused: which of them counts would be a matter of taste,
 * and another server in front may have another (RFC 9110, 5.3: the field is no list). So is one with a token and a
 * key. `apikey` beside Authorization is no second opinion, though: Supabase's clients send both, always.
 */
#include "core/json.h"
#include "edge/auth_int.h"

enum show { SHOW_NOTHING, SHOW_TOKEN, SHOW_KEY };

/* What a request shows of itself. */
struct credential {
    enum show show;
    struct hs_str text;
};

static hs_status refuse(struct edge_auth *auth, struct hs_err *reterr, hs_status status,
                        enum edge_fault fault, const char *what)
{
    hs_metric_add(auth->metrics, HS_M_AUTH_FAILURES, 1);
    (void)hs_fail(reterr, status, "%s", what);
    if (reterr)
        reterr->reason = (unsigned short)fault;
    return status;
}

/* ---- what a request shows ---- */

static struct credential credential_of(struct hs_str text)
{
    return (struct credential){edge_is_api_key(text) ? SHOW_KEY : SHOW_TOKEN, text};
}

/* What follows "Bearer" and its spaces; the scheme's case does not count (RFC 9110, 11.1). */
static hs_status read_authorization(struct edge_auth *auth, struct hs_str value,
                                    struct credential *ret, struct hs_err *reterr)
{
    struct hs_str rest = value;
    struct hs_str scheme = hs_str_cut(&rest, ' ');

    while (rest.n && rest.p[0] == ' ')
        rest = hs_str_sub(rest, 1, rest.n);
    if (!hs_str_ieq(scheme, HS_STR("Bearer")))
        return refuse(auth, reterr, HS_E_BAD_TOKEN, EDGE_FAULT_SCHEME,
                      "the Authorization header does not have the form \"Bearer <token>\"");
    if (!rest.n)
        return refuse(auth, reterr, HS_E_BAD_TOKEN, EDGE_FAULT_EMPTY,
                      "the Authorization header has no token behind \"Bearer\"");
    *ret = credential_of(rest);
    return HS_OK;
}

/* Does it have the three segments of a token? */
static bool has_token_form(struct hs_str text)
{
    (void)hs_str_cut(&text, '.');
    return hs_str_find(text, '.') < text.n;
}

struct shown {
    struct hs_str authorization;
    struct hs_str key;    /* auth.keys.header */
    struct hs_str apikey; /* Supabase's */
    bool is_twice;
};

static void note(struct shown *shown, struct hs_str *field, struct hs_str value)
{
    shown->is_twice = shown->is_twice || field->p;
    *field = value;
    field->p = field->p ? field->p : "";
}

static void read_headers(const struct edge_auth *auth, const struct http_req *req,
                         struct shown *shown)
{
    *shown = (struct shown){.is_twice = false};
    for (size_t i = 0; i < req->n_headers; i++) {
        const struct http_header *h = &req->headers[i];

        if (hs_str_ieq(h->name, HS_STR("Authorization")))
            note(shown, &shown->authorization, h->value);
        else if (auth->api_keys.n && hs_str_ieq(h->name, auth->api_key_header))
            note(shown, &shown->key, h->value);
        else if (hs_str_ieq(h->name, HS_STR("apikey")))
            shown->apikey = h->value;
    }
}

static hs_status read_credential(struct edge_auth *auth, const struct http_req *req,
                                 struct credential *ret, struct hs_err *reterr)
{
    struct shown shown;

    read_headers(auth, req, &shown);
    *ret = (struct credential){SHOW_NOTHING, HS_STR_NULL};
    if (shown.is_twice)
        return refuse(auth, reterr, HS_E_BAD_TOKEN, EDGE_FAULT_SCHEME,
                      "the request has two Authorization headers, or two keys");
    if (shown.authorization.p && shown.key.p)
        return refuse(auth, reterr, HS_E_BAD_TOKEN, EDGE_FAULT_SCHEME,
                      "the request has a token and a key: which of them counts?");
    if (shown.authorization.p)
        return read_authorization(auth, shown.authorization, ret, reterr);
    if (shown.key.p)
        *ret = (struct credential){SHOW_KEY, shown.key};
    else if (edge_is_api_key(shown.apikey) || has_token_form(shown.apikey))
        *ret = credential_of(shown.apikey);
    return HS_OK;
}

/* ---- who that is ---- */

static hs_status identify_anonymous(struct edge_auth *auth, struct hs_identity **ret_identity,
                                    struct hs_err *reterr)
{
    if (!auth->anonymous)
        return refuse(auth, reterr, HS_E_NO_TOKEN, EDGE_FAULT_ANONYMOUS,
                      "this address asks for a token");
    *ret_identity = hs_identity_ref(auth->anonymous);
    return HS_OK;
}

static hs_status identify_key(struct edge_auth *auth, struct hs_str text,
                              struct hs_identity **ret_identity, struct hs_err *reterr)
{
    const struct edge_api_key *key = edge_api_keys_find(&auth->api_keys, text);
    struct hs_identity **owner;

    /* The same words for both: who guesses learns nothing. */
    if (!key || key->ends_us <= auth->wall().us)
        return refuse(auth, reterr, HS_E_BAD_TOKEN, EDGE_FAULT_API_KEY,
                      "the key is not known here, or has expired");
    owner = &auth->api_key_owners[key - auth->api_keys.list];
    if (auth->awaits_roles)
        return hs_fail(reterr, HS_E_NO_KEYS, "the roles of the database are not known yet");
    if (!*owner) {
        *owner = edge_auth_make(auth, key->role, key->claims, /* is_anonymous= */ false);
        if (!*owner)
            return hs_fail_memory(reterr);
        if (!edge_subject(key->name, (*owner)->subject))
            (*owner)->subject[0] = '\0';
    }
    *ret_identity = hs_identity_ref(*owner);
    return HS_OK;
}

/* Refusals that come of what was not read yet are no fault of the token's. */
static hs_status refuse_token(struct edge_auth *auth, struct hs_err *reterr)
{
    enum edge_fault fault = edge_fault_of(reterr);

    if ((fault == EDGE_FAULT_KEY || fault == EDGE_FAULT_ALGORITHM) && auth->awaits_jwks)
        return hs_fail(reterr, HS_E_NO_KEYS, "the keys for tokens could not be read yet");
    if (fault == EDGE_FAULT_ROLE && auth->awaits_roles)
        return hs_fail(reterr, HS_E_NO_KEYS, "the roles of the database are not known yet");
    if (fault == EDGE_FAULT_KEY && auth->jwks && auth->key_missed)
        auth->key_missed(auth->ctx);
    if (reterr->status != HS_E_MEMORY)
        hs_metric_add(auth->metrics, HS_M_AUTH_FAILURES, 1);
    return reterr->status;
}

static hs_status check_token(struct edge_auth *auth, struct hs_str token, struct hs_wall now,
                             struct edge_jwt *ret_jwt, struct hs_err *reterr)
{
    hs_status status = edge_jwt_verify(&auth->rules, token, now, &auth->scratch, ret_jwt, reterr);

    if (status)
        return refuse_token(auth, reterr);
    if (!auth->logout || !edge_logout_has(auth->logout, ret_jwt->id))
        return HS_OK;
    (void)refuse(auth, reterr, HS_E_BAD_TOKEN, EDGE_FAULT_REVOKED, "the token is not accepted");
    hs_err_why(reterr, "It was logged out.");
    return HS_E_BAD_TOKEN;
}

/* White space of JSON, which is more than that of a header (RFC 8259, 2). */
static struct hs_str skip_space(struct hs_str json)
{
    while (json.n && (json.p[0] == ' ' || (json.p[0] >= '\t' && json.p[0] <= '\r')))
        json = hs_str_sub(json, 1, json.n);
    return json;
}

/*
 * A token that names no role, where that is allowed, is the anonymous role's, with the claims that it brings. As
 * PostgREST has it, claims always tell the role that is used.
 */
static struct hs_identity *identity_of(struct edge_auth *auth, const struct edge_jwt *jwt)
{
    struct hs_str role = jwt->role.n ? jwt->role : auth->anonymous_role;
    bool is_anonymous = auth->rules.is_lenient && hs_str_eq(role, auth->anonymous_role);
    struct hs_identity *identity;
    struct hs_str rest;
    struct hs_buf claims;

    if (!auth->rules.is_lenient || jwt->names_role)
        return edge_auth_make(auth, role, jwt->claims, is_anonymous);
    rest = skip_space(hs_str_trim(jwt->claims));
    rest = skip_space(hs_str_sub(rest, 1, rest.n));
    hs_buf_init(&claims, jwt->claims.n + 2 * role.n + 64);
    hs_buf_add_lit(&claims, "{\"role\":");
    hs_json_string(&claims, role);
    if (!hs_str_starts(rest, HS_STR("}")))
        hs_buf_add_char(&claims, ',');
    hs_buf_add(&claims, rest);
    identity = hs_buf_failed(&claims)
                   ? NULL
                   : edge_auth_make(auth, role, hs_buf_str(&claims), is_anonymous);
    hs_buf_fini(&claims);
    return identity;
}

static hs_status verify(struct edge_auth *auth, struct hs_str token, struct hs_wall now,
                        struct hs_identity **ret_identity, struct hs_err *reterr)
{
    struct edge_jwt jwt;
    struct hs_identity *identity;
    hs_status status;

    hs_metric_add(auth->metrics, HS_M_AUTH_CACHE_MISSES, 1);
    status = check_token(auth, token, now, &jwt, reterr);
    if (status)
        return status;
    if (!jwt.role.n && !auth->anonymous)
        return refuse(auth, reterr, HS_E_NO_TOKEN, EDGE_FAULT_NO_ROLE,
                      "the token names no role, and there is no anonymous one");
    identity = identity_of(auth, &jwt);
    if (!identity)
        return hs_fail_memory(reterr);
    memcpy(identity->subject, jwt.subject, sizeof(identity->subject));
    edge_token_cache_add(&auth->cache, token, identity, &jwt);
    *ret_identity = identity;
    return HS_OK;
}

static hs_status identify_token(struct edge_auth *auth, struct hs_str token,
                                struct hs_identity **ret_identity, struct hs_err *reterr)
{
    struct hs_wall now = auth->wall();
    struct hs_identity *known = NULL;

    if (token.n <= auth->rules.token_max)
        known = edge_token_cache_find(&auth->cache, token, now);
    if (!known)
        return verify(auth, token, now, ret_identity, reterr);
    hs_metric_add(auth->metrics, HS_M_AUTH_CACHE_HITS, 1);
    *ret_identity = hs_identity_ref(known);
    return HS_OK;
}

static hs_status identify(struct edge_auth *auth, const struct credential *c,
                          struct hs_identity **ret_identity, struct hs_err *reterr)
{
    switch (c->show) {
    case SHOW_TOKEN:
        return identify_token(auth, c->text, ret_identity, reterr);
    case SHOW_KEY:
        return identify_key(auth, c->text, ret_identity, reterr);
    case SHOW_NOTHING:
        break;
    }
    return identify_anonymous(auth, ret_identity, reterr);
}

hs_status edge_auth_identify(struct edge_auth *auth, struct hs_str authorization,
                             struct hs_identity **ret_identity, struct hs_err *reterr)
{
    struct credential c = {SHOW_NOTHING, HS_STR_NULL};
    struct hs_err own;
    hs_status status = HS_OK;

    reterr = reterr ? reterr : &own;
    if (authorization.p)
        status = read_authorization(auth, authorization, &c, reterr);
    return status ? status : identify(auth, &c, ret_identity, reterr);
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
    *ret_identity = edge_auth_make(auth, role, claims, /* is_anonymous= */ false);
    return *ret_identity ? HS_OK : hs_fail_memory(reterr);
}

/* ---- logging out ---- */

hs_status edge_auth_logout_entry(struct edge_auth *auth, const struct http_req *req,
                                 struct edge_logout_entry *ret_entry, struct hs_err *reterr)
{
    struct credential c;
    struct edge_jwt jwt;
    hs_status status = read_credential(auth, req, &c, reterr);

    if (status)
        return status;
    if (c.show == SHOW_NOTHING)
        return hs_fail(reterr, HS_E_NO_TOKEN, "there is no token to log out");
    if (c.show == SHOW_KEY) {
        (void)hs_fail(reterr, HS_E_BAD_REQUEST, "a key cannot be logged out");
        hs_err_hint(reterr, "Take its line out of auth.keys.list and reload.");
        return HS_E_BAD_REQUEST;
    }
    status = check_token(auth, c.text, auth->wall(), &jwt, reterr);
    if (status)
        return status;
    memcpy(ret_entry->id, jwt.id, sizeof(ret_entry->id));
    ret_entry->ends_us = jwt.ends_us;
    return HS_OK;
}

void edge_auth_forget(struct edge_auth *auth, const unsigned char id[static EDGE_JWT_ID])
{
    edge_token_cache_drop(&auth->cache, id);
}

/* ---- the step ---- */

/* A request within a request that shows nothing of its own is its parent's owner's, however that one came in. */
static hs_status identify_request(struct edge_auth *auth, struct http_req *req,
                                  struct hs_err *reterr)
{
    struct credential c;
    hs_status status = read_credential(auth, req, &c, reterr);

    if (status)
        return status;
    if (c.show == SHOW_NOTHING && req->parent && req->parent->identity) {
        req->identity = hs_identity_ref(req->parent->identity);
        return HS_OK;
    }
    return identify(auth, &c, &req->identity, reterr);
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

    HS_OBJ(auth, EDGE_AUTH_MAGIC);
    HS_OBJ(req, HTTP_REQUEST_MAGIC);
    if (req->identity)
        return true;
    if (identify_request(auth, req, &auth->err) == HS_OK && check_body(req, &auth->err) == HS_OK)
        return true;
    if (edge_fault_of(&auth->err) != EDGE_FAULT_NONE)
        req->denied = edge_fault_name(edge_fault_of(&auth->err));
    http_reply_error(req, &auth->err);
    return false;
}

const struct http_step edge_auth_step = {"auth", run};
