/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC by the vectors of RFC 4231, base64url by both ways. */
#include "net/crypto.h"

#include "fault.h"

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
    hs_status h = net_hmac_new(HS_STR("key"), &hmac, NULL);

    (void)arg;
    assert_true(!h == (hmac != NULL));
    assert_true(h == HS_OK || h == HS_E_MEMORY);
    net_hmac_free(hmac);
    return !h;
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
        cmocka_unit_test(test_base64url_vectors),
        cmocka_unit_test(test_base64url_is_one_to_one),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
