/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one option cannot show by itself: pairs that must be in order, keys that must be long
 * enough, texts that must have a form. Forms are checked here if a wrong one could only fail much
 * later or not at all; whether a table, a role or a host exists is not known here and left to those
 * who ask.
 *
 * conf_advise() speaks of what is allowed and yet hardly meant. Key lengths: RFC 7518, 3.2 (a key
 * for HS256 has at least the 32 bytes of the hash).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "conf/conf_int.h"
#include "conf/limits.h"
#include "conf/warm.h"
#include "core/identity.h"

enum { KEY_MIN = 32, APPLICATION_NAME_MAX = 63, SOCKET_PATH_MAX = 107 };

#define CHECK(call)                 \
    do {                            \
        hs_status status_ = (call); \
        if (status_)                \
            return status_;         \
    } while (0)

static hs_status fail(struct conf_loader *l, enum conf_id id, const char *found,
                      const char *expected)
{
    const struct conf_origin *o = &l->private->origin[id];
    const struct conf_given g = {
        .id = id, .is_file = o->is_file, .source = o->source, .line = o->line};

    return conf_fail(l, &g, found, expected);
}

static hs_status fail_text(struct conf_loader *l, enum conf_id id, struct hs_str found,
                           const char *expected)
{
    char quoted[CONF_QUOTE];

    return fail(l, id, conf_quote(found, quoted), expected);
}

/* Was it given where a value must be, even an empty one? */
static bool is_given(const struct conf_loader *l, enum conf_id id)
{
    return l->private->origin[id].source != CONF_FROM_DEFAULT;
}

/* The value of low must not exceed that of high. Blames whichever was given last. */
static hs_status check_order(struct conf_loader *l, enum conf_id low, enum conf_id high)
{
    const struct conf_option *a = &conf_options[low];
    const struct conf_option *b = &conf_options[high];
    bool blame_high = l->private->origin[high].source > l->private->origin[low].source;
    const struct conf_option *other = blame_high ? a : b;
    enum conf_id blamed = blame_high ? high : low;
    uint64_t v = *CONF_AT(l->conf, a, uint64_t);
    uint64_t max = *CONF_AT(l->conf, b, uint64_t);
    char found[CONF_QUOTE];
    char expected[CONF_QUOTE + CONF_ENV_NAME];
    struct hs_buf one, two;
    hs_status status = HS_OK;

    if (v <= max)
        return HS_OK;
    hs_buf_init(&one, CONF_QUOTE);
    hs_buf_init(&two, CONF_QUOTE);
    conf_add_value(&one, l->conf, blamed);
    conf_add_value(&two, l->conf, blame_high ? low : high);
    if (hs_buf_failed(&one) || hs_buf_failed(&two)) {
        status = hs_fail_memory(l->reterr);
    } else {
        (void)snprintf(found, sizeof(found), "%.*s", HS_FMT(hs_buf_str(&one)));
        (void)snprintf(expected, sizeof(expected), "at %s %s, which is %.*s",
                       blame_high ? "least" : "most", other->name, HS_FMT(hs_buf_str(&two)));
        status = fail(l, blamed, found, expected);
    }
    hs_buf_fini(&one);
    hs_buf_fini(&two);
    return status;
}

static hs_status check_key(struct conf_loader *l, enum conf_id id)
{
    struct hs_str key = *CONF_AT(l->conf, &conf_options[id], struct hs_str);
    char found[CONF_QUOTE];

    if (key.n == 0 || key.n >= KEY_MIN)
        return HS_OK;
    (void)snprintf(found, sizeof(found), "%zu bytes", key.n);
    return fail(l, id, found, "at least 32 bytes");
}

static hs_status check_public_key(struct conf_loader *l)
{
    struct hs_str key = l->conf->auth_jwt_public_key;

    if (key.n == 0 || hs_str_starts(key, HS_STR("-----BEGIN PUBLIC KEY-----")) ||
        hs_str_starts(key, HS_STR("-----BEGIN RSA PUBLIC KEY-----")))
        return HS_OK;
    return fail(l, CONF_ID_auth_jwt_public_key, "something else",
                "a PEM text that begins with -----BEGIN PUBLIC KEY-----");
}

/* A token of RFC 9110, 5.6.2, as header names are. */
static bool is_header_name(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.n && !hs_str_ieq(s, HS_STR("Authorization"));
}

static hs_status check_key_header(struct conf_loader *l)
{
    if (is_header_name(l->conf->auth_keys_header))
        return HS_OK;
    return fail_text(l, CONF_ID_auth_keys_header, l->conf->auth_keys_header,
                     "the name of a header other than Authorization");
}

static bool is_blank(struct hs_str s)
{
    return hs_str_trim(s).n == 0;
}

/* auth.roles and the anonymous role, each once. */
static size_t n_roles(const struct conf *c)
{
    size_t n = c->auth_roles.n + (c->auth_anonymous_role.n > 0);

    for (size_t i = 0; i < c->auth_roles.n; i++)
        n -= hs_str_eq(c->auth_roles.v[i], c->auth_anonymous_role);
    return n;
}

static hs_status check_roles(struct conf_loader *l)
{
    const struct conf *c = l->conf;
    char expected[CONF_QUOTE];
    char found[CONF_QUOTE];

    if (is_given(l, CONF_ID_auth_anonymous_role) && is_blank(c->auth_anonymous_role))
        return fail_text(l, CONF_ID_auth_anonymous_role, c->auth_anonymous_role,
                         "the name of a role (leave the option out for none)");
    if (n_roles(c) > HS_ROLES_MAX) {
        (void)snprintf(found, sizeof(found), "%zu roles", n_roles(c));
        (void)snprintf(expected, sizeof(expected), "at most %d, with auth.anonymous_role",
                       HS_ROLES_MAX);
        return fail(l, CONF_ID_auth_roles, found, expected);
    }
    /* What a JSON path may hold is edge/claim_path.h's to say. */
    if (is_blank(c->auth_jwt_role_claim) ||
        (!strchr(".$", c->auth_jwt_role_claim.p[0]) &&
         (c->auth_jwt_role_claim.p[c->auth_jwt_role_claim.n - 1] == '.' ||
          strstr(c->auth_jwt_role_claim.p, ".."))))
        return fail_text(l, CONF_ID_auth_jwt_role_claim, c->auth_jwt_role_claim,
                         "the name of a claim, such as \"role\" or \"app.role\"");
    return HS_OK;
}

static bool is_role(const struct conf *c, struct hs_str name)
{
    bool found = hs_str_eq(name, c->auth_anonymous_role);

    for (size_t i = 0; i < c->auth_roles.n && !found; i++)
        found = hs_str_eq(name, c->auth_roles.v[i]) || hs_str_is(c->auth_roles.v[i], "*");
    return found;
}

static hs_status check_limits(struct conf_loader *l)
{
    const struct conf_list *list = &l->conf->auth_limits;
    struct conf_limits one;
    struct conf_limits other;
    struct hs_str bad;
    const char *expected;

    for (size_t i = 0; i < list->n; i++) {
        if (!conf_parse_limits(list->v[i], &one, &bad, &expected))
            return fail_text(l, CONF_ID_auth_limits, bad, expected);
        if (!is_role(l->conf, one.role))
            return fail_text(l, CONF_ID_auth_limits, one.role,
                             "a role of auth.roles, or auth.anonymous_role");
        for (size_t j = 0; j < i; j++) {
            if (conf_parse_limits(list->v[j], &other, &bad, &expected) &&
                hs_str_eq(one.role, other.role))
                return fail_text(l, CONF_ID_auth_limits, list->v[i], "one row for each role");
        }
    }
    return HS_OK;
}

static hs_status check_warm(struct conf_loader *l)
{
    const struct conf_list *list = &l->conf->cache_warm;
    struct conf_warm one;
    struct hs_str bad;
    const char *expected;

    for (size_t i = 0; i < list->n; i++) {
        if (!conf_parse_warm(list->v[i], &one, &bad, &expected))
            return fail_text(l, CONF_ID_cache_warm, bad, expected);
        if (one.role.p && !is_role(l->conf, one.role))
            return fail_text(l, CONF_ID_cache_warm, one.role,
                             "a role of auth.roles, or auth.anonymous_role");
    }
    if (l->conf->cache_warm_top && !l->conf->cache_warm_file.n)
        return fail(l, CONF_ID_cache_warm_file, "nothing",
                    "a path, since cache.warm_top is set (or set that to 0)");
    return HS_OK;
}

/* As net/listen.h takes it: "v4:port", "[v6]:port" or "*:port", port 0 (any free one) to 65535. */
static bool is_address(struct hs_str s)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    char host[INET6_ADDRSTRLEN];
    size_t colon = s.n;
    bool is_v6 = s.n && s.p[0] == '[';
    struct hs_str h;
    uint64_t port;

    while (colon && s.p[colon - 1] != ':')
        colon--;
    if (colon < 2 || !hs_str_to_u64(hs_str_sub(s, colon, s.n), &port) || port > 65535)
        return false;
    h = hs_str_sub(s, 0, colon - 1);
    if (hs_str_is(h, "*"))
        return true;
    if (is_v6 && h.p[h.n - 1] != ']')
        return false;
    if (is_v6)
        h = hs_str_sub(h, 1, h.n - 1);
    if (h.n >= sizeof(host))
        return false;
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, host, bytes) == 1;
}

static hs_status check_server(struct conf_loader *l)
{
    const struct conf *c = l->conf;
    char expected[CONF_QUOTE + 32];
    char found[CONF_QUOTE];

    if (c->server_listen.n == 0)
        return fail(l, CONF_ID_server_listen, "an empty list", "at least one address");
    for (size_t i = 0; i < c->server_listen.n; i++) {
        if (!is_address(c->server_listen.v[i]))
            return fail_text(l, CONF_ID_server_listen, c->server_listen.v[i],
                             "a numeric address and a port from 0 to 65535: 127.0.0.1:8080, "
                             "[::1]:8080 or *:8080");
    }
    if (c->server_workers * 2 > c->database_pool_max) {
        (void)snprintf(found, sizeof(found), "%u", (unsigned)c->server_workers);
        (void)snprintf(expected, sizeof(expected),
                       "at most half of database.pool.max, which is %u (a worker needs two)",
                       (unsigned)c->database_pool_max);
        return fail(l, CONF_ID_server_workers, found, expected);
    }
    return HS_OK;
}

static bool is_route(struct hs_str s)
{
    static const char also[] = "/-._~";
    bool ok = s.n > 1 && s.p[0] == '/' && s.p[s.n - 1] != '/' && !strstr(s.p, "//") &&
              !hs_str_is(s, "/health") && !hs_str_is(s, "/metrics") &&
              !hs_str_starts(s, HS_STR("/health/"));

    for (size_t i = 0; ok && i < s.n; i++) {
        char c = s.p[i];

        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             strchr(also, c);
    }
    return ok;
}

static hs_status check_path(struct conf_loader *l)
{
    struct hs_str api = l->conf->api_path;
    struct hs_str rest = l->conf->rest_path;

    if (!is_route(api))
        return fail_text(l, CONF_ID_api_path, api,
                         "a path such as /api/v1: no / at its end, not /health or /metrics");
    if ((!is_route(rest) && !hs_str_is(rest, "/")) || hs_str_eq(rest, api))
        return fail_text(l, CONF_ID_rest_path, rest,
                         "/, or a path such as /rest/v1: no / at its end, not /health, /metrics or "
                         "api.path");
    return HS_OK;
}

/* "left: right" with both sides there. */
static hs_status check_lines(struct conf_loader *l, enum conf_id id, const char *expected)
{
    const struct conf_list *list = CONF_AT(l->conf, &conf_options[id], struct conf_list);

    for (size_t i = 0; i < list->n; i++) {
        struct hs_str right = list->v[i];
        struct hs_str left = hs_str_cut(&right, ':');

        if (is_blank(left) || is_blank(right))
            return fail_text(l, id, list->v[i], expected);
    }
    return HS_OK;
}

hs_status conf_check(struct conf_loader *l)
{
    const struct conf *c = l->conf;

    CHECK(check_order(l, CONF_ID_database_pool_min, CONF_ID_database_pool_max));
    CHECK(check_order(l, CONF_ID_database_pool_retry_min, CONF_ID_database_pool_retry_max));
    CHECK(check_order(l, CONF_ID_api_limit_default, CONF_ID_api_limit_max));
    CHECK(check_key(l, CONF_ID_auth_jwt_secret));
    CHECK(check_key(l, CONF_ID_api_cursor_secret));
    CHECK(check_public_key(l));
    CHECK(check_key_header(l));
    CHECK(check_roles(l));
    CHECK(check_limits(l));
    CHECK(check_warm(l));
    CHECK(check_server(l));
    CHECK(check_path(l));
    if (c->admin_socket.n > SOCKET_PATH_MAX)
        return fail_text(l, CONF_ID_admin_socket, c->admin_socket,
                         "a path of at most 107 bytes, as unix(7) has it");
    if (c->database_schemas.n == 0)
        return fail(l, CONF_ID_database_schemas, "an empty list", "at least one schema");
    if (c->database_application_name.n > APPLICATION_NAME_MAX)
        return fail_text(l, CONF_ID_database_application_name, c->database_application_name,
                         "at most 63 bytes, as PostgreSQL keeps");
    CHECK(check_lines(l, CONF_ID_api_search, "\"table: column, column\""));
    return check_lines(l, CONF_ID_api_relations, "\"table.name: column -> table.column\"");
}

void conf_advise(const struct conf *c, struct hs_buf *out)
{
    bool has_token_key = c->auth_jwt_secret.n || c->auth_jwt_public_key.n || c->auth_jwt_jwks.n;
    bool has_key = has_token_key || c->auth_keys_list.n;

    hs_buf_add(out, c->private->notes);
    if (c->rest_pre_request.n && c->api_enabled)
        hs_buf_add_lit(out, "rest.pre_request is not called for requests under api.path: set "
                            "api.enabled to false if it guards what is served there, too.\n");
    if (c->database_url.n == 0)
        hs_buf_add_lit(out,
                       "database.url is unset: the PG* variables of the environment are used.\n");
    if (!has_key && c->auth_roles.n)
        hs_buf_add_lit(out, "auth.jwt.secret and auth.jwt.public_key are unset: no token can be "
                            "verified, so auth.roles has no use.\n");
    if (has_key && c->auth_roles.n == 0)
        hs_buf_add_lit(out, "auth.roles is unset: no role of a token will be accepted.\n");
    if (!has_key && c->auth_anonymous_role.n == 0)
        hs_buf_add_lit(out,
                       "auth.anonymous_role is unset and no token can be verified: every request "
                       "will get 401.\n");
    if (has_token_key && c->auth_jwt_audience.n == 0)
        hs_buf_add_lit(
            out, "auth.jwt.audience is unset: tokens made for other services are accepted.\n");
    if (hs_str_starts(c->auth_jwt_jwks, HS_STR("http://")))
        hs_buf_add_lit(out,
                       "auth.jwt.jwks is read over http: whoever can change what is on its way "
                       "can sign tokens.\n");
    if (c->api_cursor_secret.n == 0)
        hs_buf_add_lit(out,
                       "api.cursor.secret is unset: cursors are good only as long as the key kept "
                       "in the database, or this process.\n");
    if (c->database_allow_login.n)
        hs_buf_printf(out,
                      "database.allow_login is \"%s\": row-level security may not hold for it.\n",
                      c->database_allow_login.p);
}
