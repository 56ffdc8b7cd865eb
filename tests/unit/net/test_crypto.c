/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC by the vectors of RFC 4231 and 7515, RSA against signatures made here, base64url by both ways. */
#include "net/crypto.h"

#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "fault.h"

static EVP_PKEY *key;
static char pem[1000];

static void write_pem(EVP_PKEY *k, char *to, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    assert_int_equal(PEM_write_bio_PUBKEY(bio, k), 1);
    n = BIO_read(bio, to, (int)size - 1);
    assert_true(n > 0);
    to[n] = '\0';
    (void)BIO_free(bio);
}

static int setup(void **state)
{
    (void)state;
    key = EVP_RSA_gen(2048);
    write_pem(key, pem, sizeof(pem));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

static void assert_mac(struct hs_str k, struct hs_str data, const char *hex)
{
    struct net_hmac *hmac = NULL;
    unsigned char mac[NET_SHA256];
    char got[2 * NET_SHA256 + 1];

    assert_int_equal(net_hmac_new(k, &hmac, NULL), HS_OK);
    for (unsigned round = 0; round < 3; round++) { /* a key is used many times */
        assert_true(net_hmac_sha256(hmac, data, mac));
        for (size_t i = 0; i < NET_SHA256; i++)
            (void)snprintf(got + 2 * i, 3, "%02x", mac[i]);
        assert_string_equal(got, hex);
        assert_true(net_hmac_sha256(hmac, HS_STR_NULL, mac));
    }
    net_hmac_free(hmac);
}

static void test_hmac_rfc4231(void **state)
{
    char k[131];
    char data[50];

    (void)state;
    memset(k, 0x0b, 20);
    assert_mac(hs_strn(k, 20), HS_STR("Hi There"),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_mac(HS_STR("Jefe"), HS_STR("what do ya want for nothing?"),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(k, 0xaa, 131);
    memset(data, 0xdd, 50);
    assert_mac(hs_strn(k, 20), hs_strn(data, 50),
               "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    assert_mac(hs_strn(k, 131), HS_STR("Test Using Larger Than Block-Size Key - Hash Key First"),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_mac(HS_STR_NULL, HS_STR_NULL,
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static size_t sign(EVP_PKEY *k, struct hs_str data, unsigned char *to, size_t max, int padding)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey = NULL;
    size_t n = max;

    assert_int_equal(EVP_DigestSignInit(ctx, &pkey, EVP_sha256(), NULL, k), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pkey, padding), 1);
    assert_int_equal(EVP_DigestSign(ctx, to, &n, (const unsigned char *)data.p, data.n), 1);
    EVP_MD_CTX_free(ctx);
    return n;
}

static void test_rsa(void **state)
{
    struct net_rsa *rsa = NULL;
    unsigned char to[256];
    struct hs_str data = HS_STR("header.payload");
    struct hs_str signature;

    (void)state;
    assert_int_equal(net_rsa_new(hs_str(pem), &rsa, NULL), HS_OK);
    signature = hs_strn((char *)to, sign(key, data, to, sizeof(to), RSA_PKCS1_PADDING));
    for (unsigned round = 0; round < 3; round++) {
        assert_true(net_rsa_verify_sha256(rsa, data, signature));
        assert_false(net_rsa_verify_sha256(rsa, HS_STR("header.payloaD"), signature));
        assert_false(net_rsa_verify_sha256(rsa, data, hs_str_sub(signature, 0, 255)));
        assert_false(net_rsa_verify_sha256(rsa, data, HS_STR_NULL));
    }
    to[100] ^= 1;
    assert_false(net_rsa_verify_sha256(rsa, data, signature));
    (void)sign(key, data, to, sizeof(to), RSA_PKCS1_PSS_PADDING);
    assert_false(net_rsa_verify_sha256(rsa, data, signature));
    net_rsa_free(rsa);
    net_rsa_free(NULL);
}

static void assert_refused(struct hs_str text, const char *why)
{
    struct net_rsa *rsa = NULL;
    struct hs_err err;

    hs_err_clear(&err);
    assert_int_equal(net_rsa_new(text, &rsa, &err), HS_E_CONFIG);
    assert_null(rsa);
    if (!strstr(err.why, why))
        fail_msg("got \"%s\", expected \"%s\"", err.why, why);
}

static void test_rsa_keys_refused(void **state)
{
    EVP_PKEY *small = EVP_RSA_gen(1024);
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    char text[2000];
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    (void)state;
    assert_refused(HS_STR_NULL, "not a public key");
    assert_refused(HS_STR("hello"), "not a public key");
    assert_refused(HS_STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
                   "not a public key");
    write_pem(small, text, sizeof(text));
    assert_refused(hs_str(text), "1024 bits");
    write_pem(ec, text, sizeof(text));
    assert_refused(hs_str(text), "another algorithm");
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    n = BIO_read(bio, text, sizeof(text) - 1);
    assert_true(n > 0);
    assert_refused(hs_strn(text, (size_t)n), "not a public key");
    (void)BIO_free(bio);
    EVP_PKEY_free(small);
    EVP_PKEY_free(ec);
}

/* "RSA PUBLIC KEY", as older tools write it. */
static void test_rsa_pkcs1_form(void **state)
{
    OSSL_ENCODER_CTX *ctx = OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_PUBLIC_KEY, "PEM",
                                                          "type-specific", NULL);
    unsigned char *text = NULL;
    size_t n = 0;
    struct net_rsa *rsa = NULL;

    (void)state;
    assert_int_equal(OSSL_ENCODER_to_data(ctx, &text, &n), 1);
    assert_non_null(strstr((char *)text, "BEGIN RSA PUBLIC KEY"));
    assert_int_equal(net_rsa_new(hs_strn((char *)text, n), &rsa, NULL), HS_OK);
    net_rsa_free(rsa);
    OPENSSL_free(text);
    OSSL_ENCODER_CTX_free(ctx);
}

static void test_base64url_vectors(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfb", "__77"}};
    static const char *const bad[] = {"A",       "AAAAA", "Zg==",   "Zh",   "Zm9",   "Zm+v",
                                      "Zm/v",    "Zm 9",  "Zm9v\n", "Zm.v", "Zm9v=", "\xc3\xa4zz",
                                      "Zm9\x80", "Zm`v",  "Zm[v",   "Zm{v", "Zm@v",  "Zm:v"};
    unsigned char to[16];
    struct hs_buf out;
    size_t n;

    (void)state;
    hs_buf_init(&out, 100);
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        hs_buf_clear(&out);
        net_base64url(&out, hs_str(rows[i][0]));
        assert_str(hs_buf_str(&out), hs_str(rows[i][1]));
        assert_true(net_base64url_decode(hs_str(rows[i][1]), to, &n));
        assert_str(hs_strn((char *)to, n), hs_str(rows[i][0]));
    }
    for (size_t i = 0; i < HS_LEN(bad); i++) {
        if (net_base64url_decode(hs_str(bad[i]), to, &n))
            fail_msg("accepted \"%s\"", bad[i]);
    }
    assert_false(net_base64url_decode(HS_STR("Zm\0v"), to, &n));
    hs_buf_fini(&out);
}

/* Each text that is accepted is the one that encoding its bytes gives. */
static void test_base64url_is_one_to_one(void **state)
{
    struct hs_rng rng = test_rng();
    unsigned char bytes[64];
    unsigned char back[64];
    struct hs_buf out;
    unsigned accepted = 0;

    (void)state;
    hs_buf_init(&out, 200);
    for (unsigned round = 0; round < 200000; round++) {
        char text[12];
        size_t n = (size_t)hs_rng_below(&rng, sizeof(bytes));
        size_t got;

        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)hs_rng_next(&rng);
        hs_buf_clear(&out);
        net_base64url(&out, hs_strn((char *)bytes, n));
        assert_true(net_base64url_decode(hs_buf_str(&out), back, &got));
        assert_true(hs_str_eq(hs_strn((char *)back, got), hs_strn((char *)bytes, n)));
        n = (size_t)hs_rng_below(&rng, sizeof(text));
        for (size_t i = 0; i < n; i++)
            text[i] = "AQgwZz09-_"[hs_rng_below(&rng, 10)];
        if (!net_base64url_decode(hs_strn(text, n), back, &got))
            continue;
        accepted++;
        hs_buf_clear(&out);
        net_base64url(&out, hs_strn((char *)back, got));
        assert_str(hs_buf_str(&out), hs_strn(text, n));
    }
    assert_true(accepted > 1000);
    hs_buf_fini(&out);
}

static void test_random(void **state)
{
    unsigned char a[1000] = {0};
    unsigned char b[1000] = {0};

    (void)state;
    net_random(a, sizeof(a));
    net_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    net_random(a, 0);
}

static bool prepare(void *arg)
{
    struct net_hmac *hmac = NULL;
    struct net_rsa *rsa = NULL;
    hs_status h = net_hmac_new(HS_STR("key"), &hmac, NULL);
    hs_status r = net_rsa_new(hs_str(pem), &rsa, NULL);

    (void)arg;
    assert_true(!h == (hmac != NULL));
    assert_true(!r == (rsa != NULL));
    assert_true(h == HS_OK || h == HS_E_MEMORY);
    assert_true(r == HS_OK || r == HS_E_MEMORY);
    net_hmac_free(hmac);
    net_rsa_free(rsa);
    return !h && !r;
}

static void test_no_memory(void **state)
{
    (void)state;
    fault_each(prepare, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac_rfc4231),
        cmocka_unit_test(test_rsa),
        cmocka_unit_test(test_rsa_keys_refused),
        cmocka_unit_test(test_rsa_pkcs1_form),
        cmocka_unit_test(test_base64url_vectors),
        cmocka_unit_test(test_base64url_is_one_to_one),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
