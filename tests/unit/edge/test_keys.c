/* SPDX-License-Identifier: Apache-2.0 */
/* JWK sets: which keys come of them, which are passed over, and what is no set. */
#include "edge/keys.h"

#include "core/buf.h"
#include "fault.h"

#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""
#define OKP \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define OCT "\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\""

static struct hs_err err;

static hs_status read_set(struct edge_keys *keys, const char *text, bool with_secrets)
{
    hs_err_clear(&err);
    edge_keys_init(keys);
    return edge_keys_add_jwks(keys, hs_str(text), NET_PS256, with_secrets, &err);
}

/* The only key of a JWK, or NET_ALG_NONE where it is of no use. */
static enum net_alg alg_of(const char *jwk)
{
    enum net_alg alg = NET_ALG_NONE;
    struct edge_keys keys;

    if (read_set(&keys, jwk, true) == HS_OK) {
        assert_int_equal(keys.n, 1);
        alg = net_key_alg(keys.keys[0].key);
    }
    edge_keys_fini(&keys);
    return alg;
}

static void test_algorithms(void **state)
{
    (void)state;
    assert_int_equal(alg_of("{" EC "}"), NET_ES256);
    assert_int_equal(alg_of("{" EC ",\"alg\":\"ES256\"}"), NET_ES256);
    assert_int_equal(alg_of("{" EC ",\"alg\":\"ES384\"}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{" EC ",\"alg\":\"HS256\"}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{" EC ",\"alg\":\"none\"}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{" EC ",\"alg\":7}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{" OKP "}"), NET_EDDSA);
    assert_int_equal(alg_of("{" OKP ",\"alg\":\"EdDSA\"}"), NET_EDDSA);
    assert_int_equal(alg_of("{" OKP ",\"alg\":\"Ed25519\"}"), NET_EDDSA);
    assert_int_equal(alg_of("{" OCT "}"), NET_HS256);
    assert_int_equal(alg_of("{" OCT ",\"alg\":\"HS256\"}"), NET_HS256);
    assert_int_equal(alg_of("{" OCT ",\"alg\":\"HS384\"}"),
                     NET_ALG_NONE); /* 32 bytes are too few */
    assert_int_equal(alg_of("{" OCT ",\"alg\":\"RS256\"}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{\"kty\":\"EC\",\"crv\":\"secp256k1\"}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{\"kty\":\"OKP\",\"crv\":\"X25519\"}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{\"kty\":\"new\"}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{}"), NET_ALG_NONE);
}

static void test_uses(void **state)
{
    (void)state;
    assert_int_equal(alg_of("{" EC ",\"use\":\"sig\"}"), NET_ES256);
    assert_int_equal(alg_of("{" EC ",\"use\":\"enc\"}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{" EC ",\"use\":1}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{" EC ",\"key_ops\":[\"sign\",\"verify\"]}"), NET_ES256);
    assert_int_equal(alg_of("{" EC ",\"key_ops\":[\"sign\"]}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{" EC ",\"key_ops\":\"verify\"}"), NET_ALG_NONE);
    assert_int_equal(alg_of("{" EC ",\"kid\":\"x\"}"), NET_ES256);
    assert_int_equal(alg_of("{" EC ",\"kid\":3}"), NET_ALG_NONE);
}

/* RFC 7517, A.1, with leading zeros that some issuers write; what the set says of RSA is the caller's. */
static void test_rsa(void **state)
{
    static const char n[] =
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZC"
        "iFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZg"
        "nYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIq"
        "bw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    char text[1000];

    (void)state;
    (void)snprintf(text, sizeof(text), "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}", n);
    assert_int_equal(alg_of(text), NET_PS256);
    (void)snprintf(text, sizeof(text),
                   "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AAEAAQ\",\"alg\":\"RS512\"}", n);
    assert_int_equal(alg_of(text), NET_RS512);
    (void)snprintf(text, sizeof(text), "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQ\"}", n);
    assert_int_equal(alg_of(text), NET_ALG_NONE);
    (void)snprintf(text, sizeof(text), "{\"kty\":\"RSA\",\"n\":\"%s\"}", n);
    assert_int_equal(alg_of(text), NET_ALG_NONE);
}

static void test_sets(void **state)
{
    struct edge_keys keys;

    (void)state;
    assert_int_equal(read_set(&keys,
                              "{\"keys\":[{" EC ",\"kid\":\"a\"},{\"kty\":\"new\"},7,{" OKP
                              "},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"},{" OCT
                              "}]}",
                              /* with_secrets= */ false),
                     HS_OK);
    assert_int_equal(keys.n, 2);
    assert_int_equal(keys.passed_over, 4);
    assert_str(keys.keys[0].kid, HS_STR("a"));
    assert_null(keys.keys[1].kid.p);
    edge_keys_fini(&keys);
    assert_int_equal(read_set(&keys, "{" OCT "}", /* with_secrets= */ false), HS_E_CONFIG);
    edge_keys_fini(&keys);
}

static void test_no_sets(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "[]",
                                      "null",
                                      "{\"keys\":{}}",
                                      "{\"keys\":[{}]}",
                                      "{\"keys\":[{" EC "}]",
                                      "{\"keys\":[{" EC "," EC "}]}",
                                      "{" EC "} x",
                                      "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X
                                      "\",\"y\":\"" EC_X "\"}"};
    struct edge_keys keys;

    (void)state;
    for (size_t i = 0; i < HS_LEN(bad); i++) {
        if (read_set(&keys, bad[i], true) != HS_E_CONFIG)
            fail_msg("accepted: %s", bad[i]);
        assert_true(err.why[0]);
        edge_keys_fini(&keys);
    }
    /* Where keys may come and go, none is a set as well: nobody comes in. */
    assert_int_equal(read_set(&keys, "{\"keys\":[]}", false), HS_OK);
    assert_int_equal(keys.n, 0);
    edge_keys_fini(&keys);
}

static void test_limits(void **state)
{
    struct hs_buf text;
    struct edge_keys keys;

    (void)state;
    hs_buf_init(&text, 1 << 20);
    hs_buf_add_lit(&text, "{\"keys\":[{" EC "}");
    for (unsigned i = 0; i < EDGE_KEYS_MAX + 10; i++)
        hs_buf_add_lit(&text, ",{" EC "}");
    hs_buf_add_lit(&text, "]}");
    assert_int_equal(read_set(&keys, hs_buf_cstr(&text), true), HS_OK);
    assert_int_equal(keys.n, EDGE_KEYS_MAX);
    edge_keys_fini(&keys);
    while (text.n <= EDGE_JWKS_MAX)
        hs_buf_add_lit(&text, "                                                                ");
    assert_int_equal(read_set(&keys, hs_buf_cstr(&text), true), HS_E_CONFIG);
    assert_non_null(strstr(err.why, "longer"));
    edge_keys_fini(&keys);
    hs_buf_fini(&text);
}

static bool scenario(void *arg)
{
    struct edge_keys keys;
    hs_status status = read_set(&keys, "{\"keys\":[{" EC ",\"kid\":\"a\"},{" OKP "},{" OCT "}]}",
                                true);

    (void)arg;
    assert_true(status == HS_OK || status == HS_E_MEMORY);
    if (!status)
        assert_int_equal(keys.n, 3);
    edge_keys_fini(&keys);
    return !status;
}

static void test_no_memory(void **state)
{
    (void)state;
    fault_each(scenario, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_algorithms), cmocka_unit_test(test_uses),
        cmocka_unit_test(test_rsa),        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_no_sets),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
