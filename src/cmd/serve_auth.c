/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets in, put together: the auth step of a worker from the options, and what stands behind all workers' steps
 * for as long as the process lives: the audit log, the logged-out tokens, the keys that are read from elsewhere.
 */
#include "cmd/keys.h"
#include "cmd/logout.h"
#include "cmd/serve_int.h"
#include "core/audit.h"
#include "net/fetch.h"

static void fill(const struct conf *conf, struct edge_auth_setup *to)
{
    *to = (struct edge_auth_setup){
        .roles = conf->auth_roles.v,
        .n_roles = conf->auth_roles.n,
        .anonymous_role = conf->auth_anonymous_role,
        .limits = conf->auth_limits.v,
        .n_limits = conf->auth_limits.n,
        .secret = conf->auth_jwt_secret,
        .secret_is_base64 = conf->auth_jwt_secret_is_base64,
        .secret_alg = (enum net_alg)(NET_HS256 + conf->auth_jwt_secret_algorithm),
        .public_key = conf->auth_jwt_public_key,
        .rsa_alg = (enum net_alg)(NET_RS256 + conf->auth_jwt_rsa_algorithm),
        .has_jwks = conf->auth_jwt_jwks.n > 0,
        .jwks_with_secrets = !net_fetch_is_url(conf->auth_jwt_jwks),
        .api_keys = conf->auth_keys_list,
        .api_key_header = conf->auth_keys_header,
        .audience = conf->auth_jwt_audience,
        .role_claim = conf->auth_jwt_role_claim,
        .is_lenient = conf->auth_jwt_claims == 1,
        .clock_skew = conf->auth_jwt_clock_skew,
        .token_max = conf->auth_jwt_max,
        .cache_max = conf->auth_jwt_cache,
        .wall = hs_wall_now,
    };
}

hs_status serve_auth_check(const struct conf *conf, struct hs_err *reterr)
{
    struct edge_auth_setup setup;
    struct edge_auth *auth = NULL;
    hs_status status;

    fill(conf, &setup);
    status = edge_auth_new(&setup, &auth, reterr);
    edge_auth_free(auth);
    return status;
}

hs_status serve_auth_new(struct serve_worker *w, const struct conf *conf,
                         struct edge_auth **ret_auth, struct hs_err *reterr)
{
    struct edge_auth_setup setup;
    hs_status status;

    fill(conf, &setup);
    setup.metrics = w->metrics;
    setup.logout = conf->auth_logout_max ? &w->logout : NULL;
    setup.key_missed = serve_keys_missed;
    setup.ctx = w->serve;
    status = edge_auth_new(&setup, ret_auth, reterr);
    if (status || !setup.has_jwks)
        return status;
    status = serve_keys_give(w->serve, conf, *ret_auth, reterr);
    if (status) {
        edge_auth_free(*ret_auth);
        *ret_auth = NULL;
    }
    return status;
}

hs_status serve_auth_open(struct serve *s, struct hs_err *reterr)
{
    hs_status status = hs_audit_open(s->boot->audit_file.p, s->boot->audit_syslog.p, reterr);

    if (status)
        return status;
    hs_audit_begin("started");
    hs_audit_cstr("version", HS_VERSION);
    hs_audit_end();
    status = serve_logout_open(s, reterr);
    return status ? status : serve_keys_start(s, s->boot, reterr);
}

void serve_auth_close(struct serve *s, int code)
{
    serve_keys_end(s);
    serve_logout_close(s);
    hs_audit_begin("stopped");
    hs_audit_int("code", code);
    hs_audit_end();
    hs_audit_close();
}
