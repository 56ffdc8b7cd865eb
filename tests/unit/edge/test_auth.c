/* SPDX-License-Identifier: Apache-2.0 */
/* The Authorization header's way to an identity: schemes, the anonymous, the memory of tokens, set-ups. */
#include "edge/auth.h"

#include "edge/api_keys.h"
#include "edge/tokens.h"
#include "fault.h"

static struct hs_metrics *metrics;
static struct hs_buf token;
static struct hs_err err;
static int64_t clock_us;
static const struct hs_str roles[] = {{"member", 6}, {"viewer", 6}};

static struct hs_wall test_wall(void)
{
    return (struct hs_wall){clock_us};
}

static struct edge_auth_setup plain(void)
{
    return (struct edge_auth_setup){
        .roles = roles,
        .n_roles = HS_LEN(roles),
        .anonymous_role = HS_STR("viewer"),
        .secret = HS_STR(TOKEN_SECRET),
        .role_claim = HS_STR("role"),
        .clock_skew = 10 * HS_SECOND,
        .token_max = 8192,
        .cache_max = 100,
        .metrics = metrics,
        .wall = test_wall,
    };
}

static struct edge_auth *make(const struct edge_auth_setup *setup)
{
    struct edge_auth *auth = NULL;

    if (edge_auth_new(setup, &auth, &err))
        fail_msg("%s %s", err.what, err.why);
    return auth;
}

static hs_status ask(struct edge_auth *auth, struct hs_str value, struct hs_identity **ret)
{
    *ret = NULL;
    hs_err_clear(&err);
    return edge_auth_identify(auth, value, ret, &err);
}

static struct hs_str bearer(const char *scheme, const char *payload)
{
    static char text[10000];
    struct hs_str t = token_hs256(&token, payload);

    (void)snprintf(text, sizeof(text), "%s%.*s", scheme, HS_FMT(t));
    return hs_str(text);
}

static void test_anonymous(void **state)
{
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth = make(&setup);
    struct hs_identity *a;
    struct hs_identity *b;

    (void)state;
    assert_int_equal(ask(auth, HS_STR_NULL, &a), HS_OK);
    assert_int_equal(ask(auth, HS_STR_NULL, &b), HS_OK);
    assert_ptr_equal(a, b);
    assert_true(a->is_anonymous);
    assert_string_equal(a->role.p, "viewer");
    assert_string_equal(a->claims.p, "{}");
    hs_identity_unref(b);
    edge_auth_free(auth);
    assert_string_equal(a->role.p, "viewer"); /* a request may outlive the worker's auth */
    hs_identity_unref(a);
    setup.anonymous_role = HS_STR_NULL;
    auth = make(&setup);
    assert_int_equal(ask(auth, HS_STR_NULL, &a), HS_E_NO_TOKEN);
    assert_int_equal(hs_err_http(&err), 401);
    assert_null(a);
    edge_auth_free(auth);
}

/* What the operator asks in somebody's name: only roles that a token could name, with their limits. */
static void test_as(void **state)
{
    const struct hs_str limits[] = {HS_STR("member: rows=7")};
    struct edge_auth_setup setup = plain();
    struct hs_identity *who = NULL;
    struct edge_auth *auth;

    (void)state;
    setup.limits = limits;
    setup.n_limits = 1;
    auth = make(&setup);
    assert_int_equal(edge_auth_as(auth, HS_STR("member"), HS_STR("{\"a\":1}"), &who, &err), HS_OK);
    assert_string_equal(who->role.p, "member");
    assert_string_equal(who->claims.p, "{\"a\":1}");
    assert_false(who->is_anonymous);
    assert_int_equal(who->rows_max, 7);
    hs_identity_unref(who);
    assert_int_equal(edge_auth_as(auth, HS_STR_NULL, HS_STR("{}"), &who, &err), HS_OK);
    assert_true(who->is_anonymous);
    hs_identity_unref(who);
    assert_int_equal(edge_auth_as(auth, HS_STR("postgres"), HS_STR("{}"), &who, &err),
                     HS_E_BAD_ROLE);
    edge_auth_free(auth);
    setup.anonymous_role = HS_STR_NULL;
    auth = make(&setup);
    assert_int_equal(edge_auth_as(auth, HS_STR_NULL, HS_STR("{}"), &who, &err), HS_E_NO_TOKEN);
    edge_auth_free(auth);
}

static void test_schemes(void **state)
{
    static const char *const good[] = {"Bearer ", "bearer ", "BEARER ", "Bearer    "};
    static const char *const bad[] = {"",        " ",        "Basic ", "Bearer\t",
                                      "Bearer:", "BearerX ", "Token ", "JWT "};
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth = make(&setup);
    struct hs_identity *id;

    (void)state;
    for (size_t i = 0; i < HS_LEN(good); i++) {
        assert_int_equal(ask(auth, bearer(good[i], "{\"role\":\"member\"}"), &id), HS_OK);
        assert_false(id->is_anonymous);
        assert_string_equal(id->role.p, "member");
        hs_identity_unref(id);
    }
    for (size_t i = 0; i < HS_LEN(bad); i++)
        assert_int_equal(ask(auth, bearer(bad[i], "{\"role\":\"member\"}"), &id), HS_E_BAD_TOKEN);
    /* A header without a good token never falls back to the anonymous. */
    assert_int_equal(ask(auth, HS_STR(""), &id), HS_E_BAD_TOKEN);
    assert_int_equal(ask(auth, HS_STR("Bearer"), &id), HS_E_BAD_TOKEN);
    assert_int_equal(ask(auth, HS_STR("Bearer "), &id), HS_E_BAD_TOKEN);
    assert_int_equal(ask(auth, HS_STR("Bearer a b"), &id), HS_E_BAD_TOKEN);
    assert_int_equal(hs_err_http(&err), 401);
    assert_int_equal(ask(auth, bearer("Bearer ", "{\"role\":\"postgres\"}"), &id), HS_E_BAD_ROLE);
    assert_int_equal(hs_err_http(&err), 403);
    edge_auth_free(auth);
}

static void test_memory_of_tokens(void **state)
{
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth = make(&setup);
    uint64_t hits = hs_metric_sum(HS_M_AUTH_CACHE_HITS);
    uint64_t misses = hs_metric_sum(HS_M_AUTH_CACHE_MISSES);
    uint64_t failures = hs_metric_sum(HS_M_AUTH_FAILURES);
    struct hs_str value = bearer("Bearer ", "{\"role\":\"member\",\"exp\":1000,\"nbf\":500}");
    struct hs_identity *a;
    struct hs_identity *b;

    (void)state;
    clock_us = INT64_C(900000000);
    assert_int_equal(ask(auth, value, &a), HS_OK);
    assert_int_equal(ask(auth, value, &b), HS_OK);
    assert_ptr_equal(a, b);
    hs_identity_unref(b);
    assert_true(hs_metric_sum(HS_M_AUTH_CACHE_HITS) == hits + 1);
    assert_true(hs_metric_sum(HS_M_AUTH_CACHE_MISSES) == misses + 1);
    clock_us = INT64_C(1009999999); /* exp and the skew, to the microsecond */
    assert_int_equal(ask(auth, value, &b), HS_OK);
    hs_identity_unref(b);
    clock_us++;
    assert_int_equal(ask(auth, value, &b), HS_E_BAD_TOKEN);
    assert_non_null(strstr(err.why, "expired"));
    assert_true(hs_metric_sum(HS_M_AUTH_FAILURES) == failures + 1);
    clock_us = INT64_C(489999999); /* the clock was set back before nbf */
    assert_int_equal(ask(auth, value, &b), HS_E_BAD_TOKEN);
    assert_string_equal(a->role.p, "member");
    hs_identity_unref(a);
    edge_auth_free(auth);
}

static void test_without_memory_of_tokens(void **state)
{
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth;
    struct hs_identity *id;

    (void)state;
    setup.cache_max = 0;
    auth = make(&setup);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(ask(auth, bearer("Bearer ", "{\"role\":\"member\"}"), &id), HS_OK);
        assert_int_equal(id->refs, 1);
        hs_identity_unref(id);
    }
    edge_auth_free(auth);
}

static void assert_config(struct edge_auth_setup setup, const char *text)
{
    struct edge_auth *auth = NULL;

    hs_err_clear(&err);
    assert_int_equal(edge_auth_new(&setup, &auth, &err), HS_E_CONFIG);
    if (!strstr(err.what, text))
        fail_msg("got \"%s\", expected \"%s\"", err.what, text);
}

static void test_set_ups_refused(void **state)
{
    static char longer[64];
    struct hs_str long_role = hs_strn(longer, sizeof(longer));
    struct edge_auth_setup setup = plain();

    (void)state;
    memset(longer, 'x', sizeof(longer));
    setup.secret = HS_STR("short");
    assert_config(setup, "too short");
    setup.secret = HS_STR("-----BEGIN PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_config(setup, "PEM");
    setup = plain();
    setup.public_key = HS_STR("nonsense");
    assert_config(setup, "cannot be read");
    setup = plain();
    setup.roles = &long_role;
    setup.n_roles = 1;
    assert_config(setup, "auth.roles");
    setup = plain();
    setup.anonymous_role = long_role;
    assert_config(setup, "anonymous_role");
    setup = plain();
    setup.role_claim = HS_STR("");
    assert_config(setup, "role_claim");
    edge_auth_free(NULL);
}

static void test_set_up_is_copied(void **state)
{
    static char secret[] = TOKEN_SECRET;
    static char role[] = "member";
    static char claim[] = "role";
    struct hs_str list[] = {{role, 6}};
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth;
    struct hs_identity *id;

    (void)state;
    setup.secret = hs_str(secret);
    setup.role_claim = hs_str(claim);
    setup.roles = list;
    setup.n_roles = 1;
    auth = make(&setup);
    memset(secret, 0, sizeof(secret));
    memset(role, 'x', 6);
    memset(claim, 'x', 4);
    list[0] = HS_STR_NULL;
    assert_int_equal(ask(auth, bearer("Bearer ", "{\"role\":\"member\"}"), &id), HS_OK);
    hs_identity_unref(id);
    edge_auth_free(auth);
}

/* ---- sets of keys, roles, keys of machines, logging out ---- */

#define SET_OF_ONE \
    "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"1\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}"
#define SET_OF_OTHER \
    "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"2\",\"k\":\"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg\"}]}"

static unsigned missed;

static void on_missed(void *ctx)
{
    assert_ptr_equal(ctx, &missed);
    missed++;
}

static struct hs_str bearer_kid(const char *kid)
{
    static char text[10000];
    char header[100];
    struct hs_str t;

    (void)snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%s\"}", kid);
    t = token_hmac(&token, hs_str(header), HS_STR("{\"role\":\"member\"}"), HS_STR(TOKEN_SECRET));
    (void)snprintf(text, sizeof(text), "Bearer %.*s", HS_FMT(t));
    return hs_str(text);
}

static void test_sets_of_keys(void **state)
{
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth;
    struct hs_identity *id;

    (void)state;
    setup.secret = HS_STR_NULL;
    setup.has_jwks = true;
    setup.jwks_with_secrets = true;
    setup.key_missed = on_missed;
    setup.ctx = &missed;
    missed = 0;
    auth = make(&setup);
    assert_int_equal(ask(auth, bearer_kid("1"), &id), HS_E_NO_KEYS);
    assert_int_equal(hs_err_http(&err), 503);
    assert_int_equal(missed, 0);
    assert_int_equal(edge_auth_set_jwks(auth, HS_STR(SET_OF_ONE), &err), HS_OK);
    assert_int_equal(ask(auth, bearer_kid("1"), &id), HS_OK);
    hs_identity_unref(id);
    assert_int_equal(ask(auth, bearer_kid("9"), &id), HS_E_BAD_TOKEN);
    assert_int_equal(missed, 1);
    /* What cannot be used changes nothing. */
    assert_int_equal(edge_auth_set_jwks(auth, HS_STR("{\"keys\":[{}]}"), &err), HS_E_CONFIG);
    assert_int_equal(ask(auth, bearer_kid("1"), &id), HS_OK);
    hs_identity_unref(id);
    /* A key that is gone is gone, also where its token was remembered. */
    assert_int_equal(edge_auth_set_jwks(auth, HS_STR(SET_OF_OTHER), &err), HS_OK);
    assert_int_equal(ask(auth, bearer_kid("1"), &id), HS_E_BAD_TOKEN);
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_KEY);
    assert_int_equal(missed, 2);
    /* Emptied on purpose. */
    assert_int_equal(edge_auth_set_jwks(auth, HS_STR("{\"keys\":[]}"), &err), HS_OK);
    assert_int_equal(ask(auth, bearer_kid("1"), &id), HS_E_BAD_TOKEN);
    edge_auth_free(auth);
}

static void test_roles_of_the_database(void **state)
{
    const struct hs_str all[] = {HS_STR("*")};
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth;
    struct hs_identity *id;

    (void)state;
    setup.roles = all;
    setup.n_roles = 1;
    auth = make(&setup);
    assert_int_equal(ask(auth, bearer("Bearer ", "{\"role\":\"member\"}"), &id), HS_E_NO_KEYS);
    assert_int_equal(edge_auth_set_roles(auth, roles, 2, &err), HS_OK);
    assert_int_equal(ask(auth, bearer("Bearer ", "{\"role\":\"member\"}"), &id), HS_OK);
    hs_identity_unref(id);
    assert_int_equal(ask(auth, bearer("Bearer ", "{\"role\":\"*\"}"), &id), HS_E_BAD_ROLE);
    assert_int_equal(edge_auth_set_roles(auth, roles + 1, 1, &err), HS_OK);
    assert_int_equal(ask(auth, bearer("Bearer ", "{\"role\":\"member\"}"), &id), HS_E_BAD_ROLE);
    edge_auth_free(auth);
    /* Where roles are named the database has no say. */
    setup = plain();
    auth = make(&setup);
    assert_int_equal(edge_auth_set_roles(auth, roles + 1, 1, &err), HS_OK);
    assert_int_equal(ask(auth, bearer("Bearer ", "{\"role\":\"member\"}"), &id), HS_OK);
    hs_identity_unref(id);
    edge_auth_free(auth);
}

static void test_keys_of_machines(void **state)
{
    struct edge_auth_setup setup = plain();
    struct hs_str key = HS_STR("hsk_of a test");
    struct edge_auth *auth;
    struct hs_identity *id;
    struct hs_buf list;

    (void)state;
    hs_buf_init(&list, 1000);
    assert_true(edge_api_key_line(HS_STR("m"), key, HS_STR("member"), HS_STR("1970-01-02"),
                                  HS_STR("{\"a\":1}"), &list));
    setup.api_keys = hs_buf_str(&list);
    setup.api_key_header = HS_STR("X-API-Key");
    auth = make(&setup);
    clock_us = 0;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(ask(auth, HS_STR("Bearer hsk_of a test"), &id), HS_OK);
        assert_string_equal(id->role.p, "member");
        assert_string_equal(id->claims.p, "{\"a\":1}");
        assert_int_equal(strlen(id->subject), 16);
        hs_identity_unref(id);
    }
    assert_int_equal(ask(auth, HS_STR("Bearer hsk_of another"), &id), HS_E_BAD_TOKEN);
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_API_KEY);
    clock_us = INT64_C(86400) * 1000000;
    assert_int_equal(ask(auth, HS_STR("Bearer hsk_of a test"), &id), HS_E_BAD_TOKEN);
    edge_auth_free(auth);
    hs_buf_clear(&list);
    assert_true(
        edge_api_key_line(HS_STR("m"), key, HS_STR("postgres"), HS_STR_NULL, HS_STR_NULL, &list));
    setup.api_keys = hs_buf_str(&list);
    assert_config(setup, "not one of auth.roles");
    hs_buf_fini(&list);
}

static void test_logged_out(void **state)
{
    struct edge_auth_setup setup = plain();
    struct edge_logout list;
    struct edge_logout_entry entry;
    struct http_header header = {HS_STR("authorization"), HS_STR_NULL};
    struct http_req req = {.headers = &header, .n_headers = 1};
    struct edge_auth *auth;
    struct hs_identity *id;

    (void)state;
    edge_logout_init(&list, 10);
    setup.logout = &list;
    auth = make(&setup);
    clock_us = INT64_C(900000000);
    header.value = bearer("Bearer ", "{\"role\":\"member\",\"exp\":1000}");
    assert_int_equal(ask(auth, header.value, &id), HS_OK);
    hs_identity_unref(id);
    assert_int_equal(edge_auth_logout_entry(auth, &req, &entry, &err), HS_OK);
    assert_true(entry.ends_us ==
                INT64_C(1010000000)); /* with the skew: until then it would be good */
    assert_int_equal(edge_logout_add(&list, &entry, test_wall(), &err), HS_OK);
    edge_auth_forget(auth, entry.id);
    assert_int_equal(ask(auth, header.value, &id), HS_E_BAD_TOKEN);
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_REVOKED);
    assert_int_equal(edge_auth_logout_entry(auth, &req, &entry, &err), HS_E_BAD_TOKEN);
    req.n_headers = 0;
    assert_int_equal(edge_auth_logout_entry(auth, &req, &entry, &err), HS_E_NO_TOKEN);
    req.n_headers = 1;
    header.value = HS_STR("Bearer hsk_x");
    assert_int_equal(edge_auth_logout_entry(auth, &req, &entry, &err), HS_E_BAD_REQUEST);
    edge_auth_free(auth);
    edge_logout_fini(&list);
}

/* A request of a batch that shows nothing is its parent's owner's, also where that one came with a key. */
static void test_within_a_request(void **state)
{
    struct edge_auth_setup setup = plain();
    struct hs_identity *owner = hs_identity_new(HS_STR("member"), HS_STR("{}"), false);
    struct http_req parent = {.magic = HTTP_REQUEST_MAGIC, .identity = owner};
    struct http_req req = {.magic = HTTP_REQUEST_MAGIC, .parent = &parent};
    struct http_header own = {HS_STR("Authorization"), HS_STR_NULL};
    struct edge_auth *auth = make(&setup);

    (void)state;
    assert_true(edge_auth_step.run(auth, &req));
    assert_ptr_equal(req.identity, owner);
    hs_identity_unref(req.identity);
    req.identity = NULL;
    own.value = bearer("Bearer ", "{\"role\":\"viewer\"}");
    req.headers = &own;
    req.n_headers = 1;
    assert_true(edge_auth_step.run(auth, &req));
    assert_string_equal(req.identity->role.p, "viewer");
    hs_identity_unref(req.identity);
    hs_identity_unref(owner);
    edge_auth_free(auth);
}

/* As PostgREST has it: without a role the anonymous one, and the claims tell which it is. */
static void test_lenient(void **state)
{
    static const struct {
        const char *payload;
        const char *claims;
        bool is_anonymous;
    } rows[] = {
        {"{\"sub\":\"x\"}", "{\"role\":\"viewer\",\"sub\":\"x\"}", true},
        {" { } ", "{\"role\":\"viewer\"}", true},
        {"\r\n{\n\t}", "{\"role\":\"viewer\"}", true},
        {"\n{\n\"sub\":\"x\"}", "{\"role\":\"viewer\",\"sub\":\"x\"}", true},
        {"{\"role\":\"viewer\"}", "{\"role\":\"viewer\"}", true},
        {"{\"role\":\"member\"}", "{\"role\":\"member\"}", false},
    };
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth;
    struct hs_identity *id;

    (void)state;
    setup.is_lenient = true;
    auth = make(&setup);
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        assert_int_equal(ask(auth, bearer("Bearer ", rows[i].payload), &id), HS_OK);
        assert_string_equal(id->claims.p, rows[i].claims);
        assert_int_equal(id->is_anonymous, rows[i].is_anonymous);
        hs_identity_unref(id);
    }
    edge_auth_free(auth);
    setup.anonymous_role = HS_STR_NULL;
    auth = make(&setup);
    assert_int_equal(ask(auth, bearer("Bearer ", "{}"), &id), HS_E_NO_TOKEN);
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_NO_ROLE);
    edge_auth_free(auth);
}

static void test_secrets(void **state)
{
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth;
    struct hs_identity *id;

    (void)state;
    setup.secret = HS_STR("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    setup.secret_is_base64 = true;
    auth = make(&setup);
    assert_int_equal(ask(auth, bearer("Bearer ", "{\"role\":\"member\"}"), &id), HS_OK);
    hs_identity_unref(id);
    edge_auth_free(auth);
    setup.secret = HS_STR("not base64 at all, although it is long enough");
    assert_config(setup, "not base64");
    setup.secret = HS_STR("MDEyMzQ1Njc4OWFiY2RlZg==");
    assert_config(setup, "too short");
    setup = plain();
    setup.secret_alg = NET_HS512;
    assert_config(setup, "too short");
    setup = plain();
    setup.secret = HS_STR(SET_OF_ONE);
    auth = make(&setup);
    assert_int_equal(ask(auth, bearer_kid("1"), &id), HS_OK);
    hs_identity_unref(id);
    edge_auth_free(auth);
    setup.secret = HS_STR("{\"keys\":[{\"kty\":\"nothing that is known\"}]}");
    assert_config(setup, "JWK set");
}

static bool scenario(void *arg)
{
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth = NULL;
    struct hs_identity *id = NULL;
    bool all = true;

    (void)arg;
    if (edge_auth_new(&setup, &auth, &err)) {
        assert_int_equal(err.status, HS_E_MEMORY);
        return false;
    }
    for (unsigned i = 0; i < 2; i++) {
        hs_status status = edge_auth_identify(auth, hs_buf_str(&token), &id, &err);

        assert_true(status == HS_OK || status == HS_E_MEMORY);
        all = all && !status;
        if (!status)
            hs_identity_unref(id);
    }
    edge_auth_free(auth);
    return all;
}

static void test_no_memory(void **state)
{
    struct hs_str value = bearer("Bearer ", "{\"role\":\"member\",\"a\":[1,2]}");

    (void)state;
    hs_buf_clear(&token);
    hs_buf_add(&token, value);
    fault_each(scenario, NULL);
}

static int setup_all(void **state)
{
    (void)state;
    hs_buf_init(&token, 1 << 16);
    metrics = hs_metrics_new();
    return metrics ? 0 : 1;
}

static int teardown_all(void **state)
{
    (void)state;
    hs_buf_fini(&token);
    return 0;
}

static void test_limits(void **state)
{
    const struct hs_str rows[] = {HS_STR("viewer: body=3B rows=7"),
                                  HS_STR("member: statement_timeout=2s")};
    struct edge_auth_setup setup = plain();
    struct edge_auth *auth;
    struct hs_identity *anonymous;
    struct hs_identity *member;

    (void)state;
    setup.limits = rows;
    setup.n_limits = HS_LEN(rows);
    auth = make(&setup);
    assert_int_equal(ask(auth, HS_STR_NULL, &anonymous), HS_OK);
    assert_int_equal(anonymous->statement_timeout_ms, 0);
    assert_int_equal(anonymous->rows_max, 7);
    assert_int_equal(anonymous->body_max, 3);
    for (int i = 0; i < 2; i++) { /* verified, and remembered */
        assert_int_equal(ask(auth, bearer("Bearer ", "{\"role\":\"member\"}"), &member), HS_OK);
        assert_int_equal(member->statement_timeout_ms, 2000);
        assert_int_equal(member->rows_max, 0);
        assert_int_equal(member->body_max, 0);
        hs_identity_unref(member);
    }
    hs_identity_unref(anonymous);
    edge_auth_free(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anonymous),
        cmocka_unit_test(test_as),
        cmocka_unit_test(test_schemes),
        cmocka_unit_test(test_memory_of_tokens),
        cmocka_unit_test(test_without_memory_of_tokens),
        cmocka_unit_test(test_set_ups_refused),
        cmocka_unit_test(test_set_up_is_copied),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sets_of_keys),
        cmocka_unit_test(test_roles_of_the_database),
        cmocka_unit_test(test_keys_of_machines),
        cmocka_unit_test(test_logged_out),
        cmocka_unit_test(test_within_a_request),
        cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_secrets),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
