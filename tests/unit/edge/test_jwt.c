/* SPDX-License-Identifier: Apache-2.0 */
/* One token against the rules: every way in which it may be wrong. */
#include "edge/jwt.h"

#include "edge/fault.h"
#include "edge/tokens.h"
#include "fault.h"

#define NOW INT64_C(1000000000)

static EVP_PKEY *key;
static char pem[1000];
static struct hs_buf token;
static struct hs_buf scratch;
static const struct hs_str roles[] = {{"member", 6}, {"admin", 5}};
static struct edge_keys keys;
static struct edge_keys only_secret;
static struct edge_keys only_public;
static struct edge_jwt_rules rules;
static struct hs_arena arena;
static struct edge_jwt jwt;
static struct hs_err err;

static void add_secret(struct edge_keys *to, const char *secret)
{
    struct net_key *made = NULL;

    assert_int_equal(net_key_secret(NET_HS256, hs_str(secret), &made, NULL), HS_OK);
    assert_int_equal(edge_keys_add(to, made, HS_STR_NULL, NULL), HS_OK);
}

static void add_public(struct edge_keys *to)
{
    struct net_key *made = NULL;

    assert_int_equal(net_key_pem(hs_str(pem), NET_RS256, &made, NULL), HS_OK);
    assert_int_equal(edge_keys_add(to, made, HS_STR_NULL, NULL), HS_OK);
}

static struct edge_claim_path *path(const char *text)
{
    struct edge_claim_path *made = NULL;

    assert_int_equal(edge_claim_path_new(hs_str(text), &arena, &made, NULL), HS_OK);
    return made;
}

static int setup(void **state)
{
    (void)state;
    edge_jwt_init();
    hs_buf_init(&token, 1 << 20);
    hs_buf_init(&scratch, (1 << 16) + 1);
    key = EVP_RSA_gen(2048);
    token_pem(key, pem, sizeof(pem));
    hs_arena_init(&arena, 1 << 20);
    edge_keys_init(&keys);
    edge_keys_init(&only_secret);
    edge_keys_init(&only_public);
    add_secret(&keys, TOKEN_SECRET);
    add_secret(&only_secret, TOKEN_SECRET);
    add_public(&keys);
    add_public(&only_public);
    rules = (struct edge_jwt_rules){.keys = &keys,
                                    .roles = roles,
                                    .n_roles = HS_LEN(roles),
                                    .role_claim = path("role"),
                                    .clock_skew = 30 * HS_SECOND,
                                    .token_max = 8192};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hs_buf_fini(&token);
    hs_buf_fini(&scratch);
    edge_keys_fini(&keys);
    edge_keys_fini(&only_secret);
    edge_keys_fini(&only_public);
    hs_arena_fini(&arena);
    EVP_PKEY_free(key);
    return 0;
}

static hs_status verify(const struct edge_jwt_rules *with, struct hs_str text)
{
    hs_err_clear(&err);
    jwt = (struct edge_jwt){0};
    return edge_jwt_verify(with, text, (struct hs_wall){NOW * 1000000}, &scratch, &jwt, &err);
}

static hs_status claims(const struct edge_jwt_rules *with, const char *payload)
{
    return verify(with, token_hs256(&token, payload));
}

#define assert_ok(call)                                               \
    do {                                                              \
        if ((call) != HS_OK)                                          \
            fail_msg("%s: refused: %s %s", #call, err.what, err.why); \
    } while (0)

/* Refused with this status, and the reason contains `reason`. */
#define assert_no(call, wanted, reason)                                                         \
    do {                                                                                        \
        hs_status got_ = (call);                                                                \
                                                                                                \
        if (got_ != (wanted) || err.status != got_ || !strstr(err.why, reason) || jwt.claims.p) \
            fail_msg("%s: %d %s %s", #call, (int)got_, err.what, err.why);                      \
    } while (0)

static void test_good(void **state)
{
    const char *payload = "{ \"role\":\"admin\", \"n\": 12345678901234567890123, \"x\":1.50 }";

    (void)state;
    assert_ok(claims(&rules, payload));
    assert_str(jwt.role, HS_STR("admin"));
    assert_str(jwt.claims, hs_str(payload)); /* the very bytes */
    assert_true(jwt.starts_us == INT64_MIN && jwt.ends_us == INT64_MAX);
    assert_ok(verify(
        &rules, token_rs256(&token, HS_STR("{\"alg\":\"RS256\"}"), "{\"role\":\"member\"}", key)));
    assert_str(jwt.role, HS_STR("member"));
}

/* RFC 7515, A.1 */
static void test_known_token(void **state)
{
    struct hs_str text = HS_STR(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9"
        "leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    struct hs_str k = HS_STR(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    const struct hs_str joe = HS_STR("joe");
    struct edge_jwt_rules with = rules;
    struct edge_keys of_rfc;
    char jwk[200];

    (void)state;
    edge_keys_init(&of_rfc);
    (void)snprintf(jwk, sizeof(jwk), "{\"kty\":\"oct\",\"k\":\"%s\"}", k.p);
    assert_int_equal(edge_keys_add_jwks(&of_rfc, hs_str(jwk), NET_RS256, true, NULL), HS_OK);
    with.keys = &of_rfc;
    with.roles = &joe;
    with.n_roles = 1;
    with.role_claim = path("iss");
    assert_ok(verify(&with, text));
    assert_true(jwt.ends_us == INT64_C(1300819410) * 1000000);
    edge_keys_fini(&of_rfc);
}

static void test_form(void **state)
{
    static const char *const bad[] = {
        "",     ".",    "..",      "...",    "a",        "a.b",     "a.b.",
        ".b.c", "a..c", "a.b.c.d", "a.b.c.", "e30.e30.", "e30..AA", "e30.e30.AA.AA.AA"};

    (void)state;
    for (size_t i = 0; i < HS_LEN(bad); i++)
        assert_no(verify(&rules, hs_str(bad[i])), HS_E_BAD_TOKEN, "");
    assert_no(verify(&rules, HS_STR("e30=.e30.AA")), HS_E_BAD_TOKEN, "base64url");
    assert_no(verify(&rules, HS_STR("e30.e30.AA\n")), HS_E_BAD_TOKEN, "");
}

static void test_each_changed_byte(void **state)
{
    struct hs_str good = token_hs256(&token, "{\"role\":\"member\",\"sub\":\"1\"}");
    static char text[1000];

    (void)state;
    for (size_t i = 0; i < good.n; i++) {
        for (int flip = 1; flip < 256; flip = flip * 2 + 1) {
            memcpy(text, good.p, good.n);
            text[i] = (char)(text[i] ^ flip);
            assert_no(verify(&rules, hs_strn(text, good.n)), HS_E_BAD_TOKEN, "");
        }
        assert_no(verify(&rules, hs_strn(good.p, i)), HS_E_BAD_TOKEN, "");
    }
    assert_ok(verify(&rules, good));
}

static void test_algorithm(void **state)
{
    static const char *const algs[] = {"none",  "None",  "NONE",   "",
                                       "hs256", "HS384", "HS512",  "RS384",
                                       "PS256", "ES256", "HS256 ", "HS256\\u0041"};
    struct hs_str payload = HS_STR("{\"role\":\"member\"}");
    struct edge_jwt_rules only_rsa = rules;
    struct edge_jwt_rules only_hmac = rules;
    struct edge_jwt_rules none = rules;
    char header[100];

    (void)state;
    only_rsa.keys = &only_public;
    only_hmac.keys = &only_secret;
    none.keys = NULL;
    for (size_t i = 0; i < HS_LEN(algs); i++) {
        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", algs[i]);
        assert_no(verify(&rules, token_hmac(&token, hs_str(header), payload, HS_STR(TOKEN_SECRET))),
                  HS_E_BAD_TOKEN, "alg");
        assert_no(verify(&rules, token_rs256(&token, hs_str(header), "{\"role\":\"member\"}", key)),
                  HS_E_BAD_TOKEN, "alg");
    }
    /* The public key as HMAC secret: the classic confusion. */
    assert_no(
        verify(&rules, token_hmac(&token, HS_STR("{\"alg\":\"HS256\"}"), payload, hs_str(pem))),
        HS_E_BAD_TOKEN, "signature");
    assert_no(
        verify(&only_rsa, token_hmac(&token, HS_STR("{\"alg\":\"HS256\"}"), payload, hs_str(pem))),
        HS_E_BAD_TOKEN, "alg");
    assert_no(
        verify(&rules, token_hmac(&token, HS_STR("{\"alg\":\"RS256\"}"), payload, hs_str(pem))),
        HS_E_BAD_TOKEN, "signature");
    assert_no(verify(&rules, token_rs256(&token, HS_STR("{\"alg\":\"HS256\"}"),
                                         "{\"role\":\"member\"}", key)),
              HS_E_BAD_TOKEN, "signature");
    assert_no(claims(&only_rsa, "{\"role\":\"member\"}"), HS_E_BAD_TOKEN, "alg");
    assert_no(claims(&none, "{\"role\":\"member\"}"), HS_E_BAD_TOKEN, "alg");
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_UNCONFIGURED);
    assert_no(verify(&only_hmac, token_rs256(&token, HS_STR("{\"alg\":\"RS256\"}"),
                                             "{\"role\":\"member\"}", key)),
              HS_E_BAD_TOKEN, "alg");
    /* Unsigned, in both spellings. */
    token_begin(&token, HS_STR("{\"alg\":\"none\"}"), payload);
    hs_buf_add_char(&token, '.');
    assert_no(verify(&rules, hs_buf_str(&token)), HS_E_BAD_TOKEN, "form");
    hs_buf_add_lit(&token, "AA");
    assert_no(verify(&rules, hs_buf_str(&token)), HS_E_BAD_TOKEN, "alg");
    /* Right algorithm, no signature or another length of it. */
    token_begin(&token, HS_STR("{\"alg\":\"HS256\"}"), payload);
    hs_buf_add_lit(&token, ".AA");
    assert_no(verify(&rules, hs_buf_str(&token)), HS_E_BAD_TOKEN, "signature");
}

static void test_header(void **state)
{
    static const char *const good[] = {"{\"alg\":\"HS256\"}", "{\"alg\":\"HS256\",\"typ\":\"jwt\"}",
                                       "{\"typ\":\"application/at+jwt\",\"alg\":\"HS256\"}",
                                       "{\"alg\":\"HS256\",\"kid\":\"1\",\"jwk\":{\"k\":\"AA\"}}",
                                       " {\"alg\":\"HS2\\u00356\"}\n"};
    static const char *const bad[] = {"",
                                      "{}",
                                      "[]",
                                      "null",
                                      "\"HS256\"",
                                      "{\"alg\":\"HS256\"",
                                      "{\"alg\":\"HS256\"}x",
                                      "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
                                      "{\"alg\":[\"HS256\"]}",
                                      "{\"alg\":256}",
                                      "{\"alg\":null}",
                                      "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
                                      "{\"alg\":\"HS256\",\"crit\":[]}",
                                      "{\"alg\":\"HS256\",\"typ\":\"JWE\"}",
                                      "{\"alg\":\"HS256\",\"typ\":1}",
                                      "{\"alg\":\"HS256\",\"typ\":\"JWT \"}",
                                      "{\"alg\":\"HS256\",\"x\":\"\xff\"}",
                                      "{\"alg\":\"HS256\",\"x\":\"\\u0000\"}"};

    (void)state;
    for (size_t i = 0; i < HS_LEN(good); i++)
        assert_ok(
            verify(&rules, token_hmac(&token, hs_str(good[i]), HS_STR("{\"role\":\"member\"}"),
                                      HS_STR(TOKEN_SECRET))));
    for (size_t i = 0; i < HS_LEN(bad); i++)
        assert_no(verify(&rules, token_hmac(&token, hs_str(bad[i]), HS_STR("{\"role\":\"member\"}"),
                                            HS_STR(TOKEN_SECRET))),
                  HS_E_BAD_TOKEN, "");
}

static void test_payload(void **state)
{
    static const char *const bad[] = {"[]",
                                      "\"x\"",
                                      "1",
                                      "null",
                                      "{\"role\":\"member\"",
                                      "{\"role\":\"member\"} {}",
                                      "{\"role\":\"member\",\"role\":\"admin\"}",
                                      "{\"role\":\"member\",\"r\\u006fle\":\"admin\"}",
                                      "{\"role\":\"member\",\"a\":{\"b\":1,\"b\":2}}",
                                      "{\"role\":\"member\",\"a\":[{\"b\":1,\"b\":2}]}",
                                      "{\"role\":\"member\",\"a\":\"\\u0000\"}",
                                      "{\"role\":\"member\",\"a\\u0000\":1}",
                                      "{\"role\":\"member\",\"a\":\"\xff\"}",
                                      "{\"role\":\"member\",\"a\":\"\xed\xa0\x80\"}",
                                      "{\"role\":\"member\",\"a\":\"\\ud800\"}",
                                      "{\"role\":\"member\",\"a\":01}",
                                      "{\"role\":\"member\",\"a\":NaN}",
                                      "{\"role\":\"member\",\"a\":1e999}",
                                      "{\"role\":\"member\",}",
                                      "{'role':'member'}"};
    static char deep[6000];

    (void)state;
    for (size_t i = 0; i < HS_LEN(bad); i++)
        assert_no(claims(&rules, bad[i]), HS_E_BAD_TOKEN, "payload");
    assert_no(verify(&rules, token_hmac(&token, HS_STR("{\"alg\":\"HS256\"}"),
                                        HS_STR("{\"role\":\"member\"}\0"), HS_STR(TOKEN_SECRET))),
              HS_E_BAD_TOKEN, "payload");
    memset(deep, '[', sizeof(deep) - 1);
    memcpy(deep, "{\"a\":", 5);
    assert_no(claims(&rules, deep), HS_E_BAD_TOKEN, "payload");
}

static void test_dates(void **state)
{
    static const struct {
        const char *claims;
        const char *reason; /* NULL = accepted */
    } rows[] = {
        {"\"exp\":1000000000", NULL}, /* within the skew of 30 s */
        {"\"exp\":999999971", NULL},
        {"\"exp\":999999970.5", NULL},
        {"\"exp\":999999970", "expired"},
        {"\"exp\":1e9", NULL},
        {"\"exp\":0", "expired"},
        {"\"exp\":-1e300", "expired"},
        {"\"exp\":1e300", NULL},
        {"\"exp\":99999999999999999999999999", NULL},
        {"\"exp\":\"1000000100\"", "not a number"},
        {"\"exp\":null", "not a number"},
        {"\"exp\":true", "not a number"},
        {"\"nbf\":1000000030", NULL},
        {"\"nbf\":1000000030.5", "not valid yet"},
        {"\"nbf\":1000000031", "not valid yet"},
        {"\"nbf\":1e300", "not valid yet"},
        {"\"nbf\":-1e300", NULL},
        {"\"nbf\":[]", "not a number"},
        {"\"iat\":2000000000", NULL},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        char payload[200];

        (void)snprintf(payload, sizeof(payload), "{\"role\":\"member\",%s}", rows[i].claims);
        if (rows[i].reason)
            assert_no(claims(&rules, payload), HS_E_BAD_TOKEN, rows[i].reason);
        else
            assert_ok(claims(&rules, payload));
    }
    assert_ok(claims(&rules, "{\"role\":\"member\",\"exp\":1000000500.25,\"nbf\":5}"));
    assert_true(jwt.ends_us == INT64_C(1000000530250000));
    assert_true(jwt.starts_us == INT64_C(-25000000));
    assert_true(edge_jwt_is_now(jwt.starts_us, jwt.ends_us, (struct hs_wall){jwt.ends_us - 1}));
    assert_false(edge_jwt_is_now(jwt.starts_us, jwt.ends_us, (struct hs_wall){jwt.ends_us}));
    assert_false(edge_jwt_is_now(jwt.starts_us, jwt.ends_us, (struct hs_wall){jwt.starts_us - 1}));
}

static void test_audience(void **state)
{
    struct edge_jwt_rules with = rules;

    (void)state;
    with.audience = HS_STR("api");
    assert_ok(claims(&with, "{\"role\":\"member\",\"aud\":\"api\"}"));
    assert_ok(claims(&with, "{\"role\":\"member\",\"aud\":[\"x\",\"api\"]}"));
    assert_no(claims(&with, "{\"role\":\"member\"}"), HS_E_BAD_TOKEN, "aud");
    assert_no(claims(&with, "{\"role\":\"member\",\"aud\":\"API\"}"), HS_E_BAD_TOKEN, "aud");
    assert_no(claims(&with, "{\"role\":\"member\",\"aud\":\"api2\"}"), HS_E_BAD_TOKEN, "aud");
    assert_no(claims(&with, "{\"role\":\"member\",\"aud\":[]}"), HS_E_BAD_TOKEN, "aud");
    assert_no(claims(&with, "{\"role\":\"member\",\"aud\":[\"api\",1]}"), HS_E_BAD_TOKEN, "aud");
    assert_no(claims(&with, "{\"role\":\"member\",\"aud\":{\"api\":1}}"), HS_E_BAD_TOKEN, "aud");
    assert_no(claims(&with, "{\"role\":\"member\",\"aud\":null}"), HS_E_BAD_TOKEN, "aud");
    assert_ok(claims(&rules, "{\"role\":\"member\",\"aud\":\"whatever\"}"));
}

static void test_role(void **state)
{
    struct edge_jwt_rules with = rules;

    (void)state;
    assert_no(claims(&rules, "{}"), HS_E_BAD_ROLE, "no text");
    assert_no(claims(&rules, "{\"role\":1}"), HS_E_BAD_ROLE, "no text");
    assert_no(claims(&rules, "{\"role\":[\"member\"]}"), HS_E_BAD_ROLE, "no text");
    assert_no(claims(&rules, "{\"role\":\"\"}"), HS_E_BAD_ROLE, "auth.roles");
    assert_no(claims(&rules, "{\"role\":\"postgres\"}"), HS_E_BAD_ROLE, "postgres");
    assert_no(claims(&rules, "{\"role\":\"Member\"}"), HS_E_BAD_ROLE, "auth.roles");
    assert_no(claims(&rules, "{\"role\":\"member \"}"), HS_E_BAD_ROLE, "auth.roles");
    assert_no(claims(&rules, "{\"role\":\"member,admin\"}"), HS_E_BAD_ROLE, "auth.roles");
    with.role_claim = path("app.data.role");
    assert_ok(claims(&with, "{\"app\":{\"data\":{\"role\":\"admin\"}}}"));
    assert_ok(claims(&with, "{\"app\":{\"data.role\":\"admin\"}}"));
    assert_ok(claims(&with, "{\"app.data.role\":\"admin\"}"));
    assert_no(claims(&with, "{\"app\":\"admin\"}"), HS_E_BAD_ROLE, "app.data.role");
    assert_no(claims(&with, "{\"app\":{\"data\":null}}"), HS_E_BAD_ROLE, "app.data.role");
    assert_no(claims(&with, "{\"role\":\"admin\"}"), HS_E_BAD_ROLE, "app.data.role");
    with.role_claim = path("https://example.com/role");
    assert_ok(claims(&with, "{\"https://example.com/role\":\"admin\"}"));
    with.n_roles = 0;
    assert_no(claims(&with, "{\"role\":\"admin\"}"), HS_E_BAD_ROLE, "");
}

static void test_length(void **state)
{
    struct edge_jwt_rules with = rules;
    struct hs_str text = token_hs256(&token, "{\"role\":\"member\"}");

    (void)state;
    with.token_max = text.n;
    assert_ok(verify(&with, text));
    with.token_max = text.n - 1;
    assert_no(verify(&with, text), HS_E_BAD_TOKEN, "auth.jwt.max");
}

/* ---- sets of keys ---- */

static struct hs_str with_kid(const char *kid, EVP_PKEY *by)
{
    char header[200];

    (void)snprintf(header, sizeof(header), "{\"alg\":\"RS256\"%s%s%s}", kid ? ",\"kid\":\"" : "",
                   kid ? kid : "", kid ? "\"" : "");
    return token_rs256(&token, hs_str(header), "{\"role\":\"member\"}", by);
}

static void add_named(struct edge_keys *to, EVP_PKEY *pkey, const char *kid)
{
    struct net_key *made = NULL;
    char text[1000];

    token_pem(pkey, text, sizeof(text));
    assert_int_equal(net_key_pem(hs_str(text), NET_RS256, &made, NULL), HS_OK);
    assert_int_equal(edge_keys_add(to, made, kid ? hs_str(kid) : HS_STR_NULL, NULL), HS_OK);
}

static void test_kid(void **state)
{
    EVP_PKEY *other = EVP_RSA_gen(2048);
    struct edge_jwt_rules with = rules;
    struct edge_keys set;

    (void)state;
    edge_keys_init(&set);
    with.keys = &only_secret;
    with.jwks = &set;
    add_named(&set, key, "a");
    add_named(&set, other, "b");
    assert_ok(verify(&with, with_kid("a", key)));
    assert_ok(verify(&with, with_kid("b", other)));
    assert_ok(verify(&with, with_kid(NULL, other))); /* each is tried */
    assert_no(verify(&with, with_kid("b", key)), HS_E_BAD_TOKEN, "signature");
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_SIGNATURE);
    assert_no(verify(&with, with_kid("c", key)), HS_E_BAD_TOKEN, "kid");
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_KEY);
    assert_no(verify(&with, with_kid("", key)), HS_E_BAD_TOKEN, "kid");
    /* Keys of the configuration have no kid and may be meant by any; the set is still said to lack it. */
    with.keys = &keys;
    assert_ok(verify(&with, with_kid("c", key)));
    assert_no(verify(&with, with_kid("c", other)), HS_E_BAD_TOKEN, "kid");
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_KEY);
    assert_no(verify(&with, token_hmac(&token, HS_STR("{\"alg\":\"RS256\",\"kid\":7}"),
                                       HS_STR("{\"role\":\"member\"}"), HS_STR(TOKEN_SECRET))),
              HS_E_BAD_TOKEN, "kid");
    edge_keys_fini(&set);
    EVP_PKEY_free(other);
}

/* A token without kid costs so many signatures and no more. */
static void test_tries_are_bounded(void **state)
{
    EVP_PKEY *other = EVP_RSA_gen(2048);
    struct edge_jwt_rules with = rules;
    struct edge_keys set;

    (void)state;
    edge_keys_init(&set);
    with.keys = NULL;
    with.jwks = &set;
    for (unsigned i = 0; i < EDGE_JWT_TRIES - 1; i++)
        add_named(&set, other, "x");
    add_named(&set, key, "y");
    assert_ok(verify(&with, with_kid(NULL, key)));
    edge_keys_fini(&set);
    edge_keys_init(&set);
    for (unsigned i = 0; i < EDGE_JWT_TRIES; i++)
        add_named(&set, other, "x");
    add_named(&set, key, "y");
    assert_no(verify(&with, with_kid(NULL, key)), HS_E_BAD_TOKEN, "signature");
    assert_ok(verify(&with, with_kid("y", key)));
    edge_keys_fini(&set);
    EVP_PKEY_free(other);
}

static void test_other_algorithms(void **state)
{
    static const struct {
        const char *alg;
        const char *curve; /* NULL: RSA; "": Ed25519 */
        const EVP_MD *(*digest)(void);
        bool pss;
        int field;
    } rows[] = {
        {"RS512", NULL, EVP_sha512, false, 0},     {"PS256", NULL, EVP_sha256, true, 0},
        {"ES256", "P-256", EVP_sha256, false, 32}, {"ES384", "P-384", EVP_sha384, false, 48},
        {"ES512", "P-521", EVP_sha512, false, 66}, {"EdDSA", "", NULL, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        EVP_PKEY *pkey = !rows[i].curve     ? EVP_RSA_gen(2048)
                         : rows[i].curve[0] ? EVP_EC_gen(rows[i].curve)
                                            : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        struct edge_jwt_rules with = rules;
        struct net_key *made = NULL;
        struct edge_keys set;
        char header[50];
        char text[1000];

        edge_keys_init(&set);
        token_pem(pkey, text, sizeof(text));
        assert_int_equal(net_key_pem(hs_str(text), net_alg_find(hs_str(rows[i].alg)), &made, NULL),
                         HS_OK);
        assert_int_equal(edge_keys_add(&set, made, HS_STR_NULL, NULL), HS_OK);
        with.keys = &set;
        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", rows[i].alg);
        assert_ok(verify(&with, token_signed(&token, hs_str(header), "{\"role\":\"member\"}", pkey,
                                             rows[i].digest ? rows[i].digest() : NULL, rows[i].pss,
                                             rows[i].field)));
        /* The public key as a secret, under each name. */
        assert_no(verify(&with, token_hmac(&token, hs_str(header), HS_STR("{\"role\":\"member\"}"),
                                           hs_str(text))),
                  HS_E_BAD_TOKEN, "signature");
        assert_no(verify(&with, token_hmac(&token, HS_STR("{\"alg\":\"HS256\"}"),
                                           HS_STR("{\"role\":\"member\"}"), hs_str(text))),
                  HS_E_BAD_TOKEN, "alg");
        edge_keys_fini(&set);
        EVP_PKEY_free(pkey);
    }
}

/* ---- names and judgements ---- */

static void assert_fault(const struct edge_jwt_rules *with, const char *payload,
                         enum edge_fault fault)
{
    assert_true(claims(with, payload) != HS_OK);
    assert_int_equal(edge_fault_of(&err), fault);
    assert_true(edge_fault_name(fault)[0]);
}

static void test_faults(void **state)
{
    struct edge_jwt_rules with = rules;

    (void)state;
    with.audience = HS_STR("api");
    assert_fault(&with, "[]", EDGE_FAULT_PAYLOAD);
    assert_fault(&with, "{\"exp\":1}", EDGE_FAULT_EXPIRED);
    assert_fault(&with, "{\"nbf\":2000000000}", EDGE_FAULT_NOT_YET);
    assert_fault(&with, "{\"exp\":\"1\"}", EDGE_FAULT_EXP_TYPE);
    assert_fault(&with, "{\"nbf\":null}", EDGE_FAULT_NBF_TYPE);
    assert_fault(&with, "{\"aud\":5}", EDGE_FAULT_AUD_TYPE);
    assert_fault(&with, "{\"aud\":[\"api\",1]}", EDGE_FAULT_AUD_TYPE);
    assert_fault(&with, "{\"aud\":\"x\"}", EDGE_FAULT_AUDIENCE);
    assert_fault(&with, "{}", EDGE_FAULT_AUDIENCE);
    assert_fault(&rules, "{}", EDGE_FAULT_NO_ROLE);
    assert_fault(&rules, "{\"role\":\"x\"}", EDGE_FAULT_ROLE);
    assert_true(verify(&rules, HS_STR("a.b")) != HS_OK);
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_PARTS);
    assert_int_equal(edge_fault_number(&err), 2);
    assert_true(verify(&rules, HS_STR("a.b.")) != HS_OK);
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_ENCODING);
    assert_true(verify(&rules, HS_STR("!.b.c")) != HS_OK);
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_ENCODING);
    assert_true(verify(&rules, HS_STR("e30.e30.AA")) != HS_OK);
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_HEADER);
    with.token_max = 3;
    assert_true(verify(&with, HS_STR("e30.e30.AA")) != HS_OK);
    assert_int_equal(edge_fault_of(&err), EDGE_FAULT_LENGTH);
}

static void test_lenient(void **state)
{
    struct edge_jwt_rules with = rules;

    (void)state;
    with.is_lenient = true;
    with.audience = HS_STR("api");
    assert_ok(claims(&with, "{\"role\":\"member\"}"));
    assert_true(jwt.names_role);
    assert_ok(claims(&with, "{\"role\":\"member\",\"aud\":[]}"));
    assert_ok(claims(&with, "{\"aud\":null,\"iat\":1000000029}"));
    assert_int_equal(jwt.role.n, 0);
    assert_false(jwt.names_role);
    assert_fault(&with, "{\"aud\":[\"x\"]}", EDGE_FAULT_AUDIENCE);
    assert_fault(&with, "{\"iat\":1000000031}", EDGE_FAULT_ISSUED);
    assert_fault(&with, "{\"iat\":\"now\"}", EDGE_FAULT_IAT_TYPE);
    assert_fault(&with, "{\"role\":\"x\"}", EDGE_FAULT_ROLE);
}

/* Two tokens have one name if they have iss and jti in common, or else what was signed. */
static void test_ids(void **state)
{
    struct edge_jwt first;

    (void)state;
    assert_ok(claims(&rules, "{\"role\":\"member\",\"jti\":\"1\",\"iss\":\"us\",\"sub\":\"Ada\"}"));
    first = jwt;
    assert_string_equal(first.subject, "99a563ab2f6e21e9");
    assert_ok(claims(&rules, "{\"role\":\"admin\",\"jti\":\"1\",\"iss\":\"us\"}"));
    assert_memory_equal(jwt.id, first.id, EDGE_JWT_ID);
    assert_string_equal(jwt.subject, "");
    assert_ok(claims(&rules, "{\"role\":\"member\",\"jti\":\"1\",\"iss\":\"them\"}"));
    assert_memory_not_equal(jwt.id, first.id, EDGE_JWT_ID);
    assert_ok(claims(&rules, "{\"role\":\"member\",\"jti\":\"us1\"}"));
    assert_memory_not_equal(jwt.id, first.id, EDGE_JWT_ID);
    assert_ok(claims(&rules, "{\"role\":\"member\"}"));
    first = jwt;
    assert_ok(claims(&rules, "{\"role\":\"member\"}"));
    assert_memory_equal(jwt.id, first.id, EDGE_JWT_ID);
    assert_ok(claims(&rules, "{\"role\":\"member\",\"jti\":5}"));
    assert_memory_not_equal(jwt.id, first.id, EDGE_JWT_ID);
}

static bool verify_once(void *arg)
{
    struct hs_buf own;
    struct edge_jwt got;
    hs_status status;

    hs_buf_init(&own, 10000);
    status = edge_jwt_verify(&rules, *(struct hs_str *)arg, (struct hs_wall){0}, &own, &got, NULL);
    hs_buf_fini(&own);
    assert_true(status == HS_OK || status == HS_E_MEMORY);
    return !status;
}

static void test_no_memory(void **state)
{
    struct hs_str text = token_hs256(
        &token, "{\"role\":\"member\",\"a\":[1,\"x\",{\"b\":null}],\"c\":\"\\u00e4\"}");

    (void)state;
    fault_each(verify_once, &text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_known_token),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_each_changed_byte),
        cmocka_unit_test(test_algorithm),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_payload),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_audience),
        cmocka_unit_test(test_role),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_kid),
        cmocka_unit_test(test_tries_are_bounded),
        cmocka_unit_test(test_other_algorithms),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_ids),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
