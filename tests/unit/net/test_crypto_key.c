/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: vectors of RFC 7515 and 8037, signatures made here by every algorithm, and what must not be a key. */
#include "net/crypto_key.h"

#include <openssl/ec.h>
#include <openssl/encoder.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "fault.h"
#include "net/crypto.h"

static const struct hs_str DATA = {"header.payload", 14};

struct pair {
    EVP_PKEY *key;
    char pem[2000];
};

static struct pair rsa;
static struct pair curves[3]; /* P-256, P-384, P-521 */
static struct pair ed25519;

static void make_pair(struct pair *pair, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    assert_non_null(key);
    pair->key = key;
    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    n = BIO_read(bio, pair->pem, sizeof(pair->pem) - 1);
    assert_true(n > 0);
    pair->pem[n] = '\0';
    (void)BIO_free(bio);
}

static int setup(void **state)
{
    (void)state;
    make_pair(&rsa, EVP_RSA_gen(2048));
    make_pair(&curves[0], EVP_EC_gen("P-256"));
    make_pair(&curves[1], EVP_EC_gen("P-384"));
    make_pair(&curves[2], EVP_EC_gen("P-521"));
    make_pair(&ed25519, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa.key);
    for (size_t i = 0; i < HS_LEN(curves); i++)
        EVP_PKEY_free(curves[i].key);
    EVP_PKEY_free(ed25519.key);
    return 0;
}

/* ---- helpers ---- */

static struct hs_str decoded(const char *text, unsigned char to[static 600])
{
    size_t n;

    assert_true(strlen(text) < 700);
    assert_true(net_base64url_decode(hs_str(text), to, &n));
    return hs_strn((const char *)to, n);
}

static bool holds(struct net_key *key, struct hs_str data, struct hs_str signature)
{
    bool result = true;

    assert_int_equal(net_key_verify(key, data, signature, &result), HS_OK);
    return result;
}

static const EVP_MD *digest_of(enum net_alg alg)
{
    const char *name = net_alg_name(alg);

    if (alg == NET_EDDSA)
        return NULL;
    return strstr(name, "256") ? EVP_sha256() : strstr(name, "384") ? EVP_sha384() : EVP_sha512();
}

static int field_of(enum net_alg alg)
{
    return alg == NET_ES256 ? 32 : alg == NET_ES384 ? 48 : alg == NET_ES512 ? 66 : 0;
}

/* saltlen: of PSS; 0 = the hash's. */
static struct hs_str sign(EVP_PKEY *key, enum net_alg alg, int saltlen,
                          unsigned char to[static 600])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey = NULL;
    size_t n = 600;

    assert_int_equal(EVP_DigestSignInit(ctx, &pkey, digest_of(alg), NULL, key), 1);
    if (alg >= NET_PS256 && alg <= NET_PS512) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(
            EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, saltlen ? saltlen : RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(EVP_DigestSign(ctx, to, &n, (const unsigned char *)DATA.p, DATA.n), 1);
    EVP_MD_CTX_free(ctx);
    if (field_of(alg)) {
        const unsigned char *at = to;
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)n);
        int field = field_of(alg);

        assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(sig), to, field), field);
        assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(sig), to + field, field), field);
        ECDSA_SIG_free(sig);
        n = 2 * (size_t)field;
    }
    return hs_strn((const char *)to, n);
}

static struct net_key *of_pem(const struct pair *pair, enum net_alg rsa_alg)
{
    struct net_key *key = NULL;
    struct hs_err err;

    if (net_key_pem(hs_str(pair->pem), rsa_alg, &key, &err))
        fail_msg("%s %s", err.what, err.why);
    return key;
}

/* ---- names ---- */

static void test_names(void **state)
{
    static const char *const none[] = {"",     "none",   "hs256", "HS256 ",
                                       "HS25", "ES256K", "RS1",   "Ed25519"};

    (void)state;
    for (unsigned alg = NET_HS256; alg < NET_ALGS; alg++)
        assert_int_equal(net_alg_find(hs_str(net_alg_name((enum net_alg)alg))), alg);
    for (size_t i = 0; i < HS_LEN(none); i++)
        assert_int_equal(net_alg_find(hs_str(none[i])), NET_ALG_NONE);
    assert_int_equal(net_alg_of_curve(HS_STR("P-521")), NET_ES512);
    assert_int_equal(net_alg_of_curve(HS_STR("secp256k1")), NET_ALG_NONE);
    assert_int_equal(net_alg_secret_min(NET_HS384), 48);
    assert_int_equal(net_alg_secret_min(NET_RS256), 0);
}

/* ---- vectors ---- */

#define PAYLOAD \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

/* RFC 7515, A.1 and A.3 */
static void test_vectors_hs256_es256(void **state)
{
    unsigned char one[600];
    unsigned char two[600];
    struct net_key *key = NULL;

    (void)state;
    assert_int_equal(
        net_key_secret(
            NET_HS256,
            decoded("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcg"
                    "UuTwjAzZr1Z9CAow",
                    one),
            &key, NULL),
        HS_OK);
    assert_true(holds(key, HS_STR("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." PAYLOAD),
                      decoded("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", two)));
    net_key_free(key);
    assert_int_equal(
        net_key_ec(NET_ES256, decoded("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", one),
                   decoded("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", two), &key, NULL),
        HS_OK);
    assert_true(
        holds(key, HS_STR("eyJhbGciOiJFUzI1NiJ9." PAYLOAD),
              decoded("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfK"
                      "TUJqPP3-Kg6NU1Q",
                      one)));
    net_key_free(key);
}

/* RFC 7515, A.4; RFC 8037, A.2 and A.4 */
static void test_vectors_es512_eddsa(void **state)
{
    unsigned char one[600];
    unsigned char two[600];
    struct net_key *key = NULL;

    (void)state;
    assert_int_equal(
        net_key_ec(NET_ES512,
                   decoded("AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6O"
                           "vLFV1jSfS9tsz4qUxcWceqwQGk",
                           one),
                   decoded("ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79aj"
                           "L4Kkd0AZMaZmh9ubmf63e3kyMj2",
                           two),
                   &key, NULL),
        HS_OK);
    assert_true(
        holds(key, HS_STR("eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA"),
              decoded("AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGD"
                      "KB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vc"
                      "nwNrmxYbSW9ERBXukOXolLzeO_Jn",
                      one)));
    net_key_free(key);
    assert_int_equal(
        net_key_ed25519(decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", one), &key, NULL),
        HS_OK);
    assert_true(
        holds(key, HS_STR("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"),
              decoded("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7s"
                      "VvpAr_MuM0KAg",
                      one)));
    net_key_free(key);
}

/* ---- signatures made here ---- */

/* Each of them holds for its own algorithm, again and again, and for nothing that is changed. */
static void assert_signs(const struct pair *pair, enum net_alg alg)
{
    struct net_key *key = of_pem(pair, alg);
    unsigned char bytes[600];
    struct hs_str signature = sign(pair->key, alg, 0, bytes);

    assert_int_equal(net_key_alg(key), alg);
    for (unsigned round = 0; round < 3; round++) {
        assert_true(holds(key, DATA, signature));
        assert_false(holds(key, HS_STR("header.payloaD"), signature));
        assert_false(holds(key, DATA, HS_STR_NULL));
        assert_false(holds(key, DATA, HS_STR("x")));
        assert_false(holds(key, DATA, hs_str_sub(signature, 0, signature.n - 1)));
        assert_false(holds(key, DATA, hs_strn(signature.p, signature.n + 1)));
        bytes[signature.n / 3] ^= 1;
        assert_false(holds(key, DATA, signature));
        bytes[signature.n / 3] ^= 1;
    }
    net_key_free(key);
}

static void test_each_algorithm(void **state)
{
    (void)state;
    for (unsigned alg = NET_RS256; alg <= NET_PS512; alg++)
        assert_signs(&rsa, (enum net_alg)alg);
    for (unsigned i = 0; i < HS_LEN(curves); i++)
        assert_signs(&curves[i], (enum net_alg)(NET_ES256 + i));
    assert_signs(&ed25519, NET_EDDSA);
}

static void test_secrets(void **state)
{
    struct hs_str secret = HS_STR("0123456789abcdef0123456789abcdef");
    unsigned char mac[EVP_MAX_MD_SIZE];

    (void)state;
    for (unsigned alg = NET_HS256; alg <= NET_HS512; alg++) {
        struct net_key *key = NULL;
        unsigned n = 0;

        assert_int_equal(net_key_secret((enum net_alg)alg, secret, &key, NULL), HS_OK);
        assert_non_null(HMAC(digest_of((enum net_alg)alg), secret.p, (int)secret.n,
                             (const unsigned char *)DATA.p, DATA.n, mac, &n));
        for (unsigned round = 0; round < 3; round++) {
            assert_true(holds(key, DATA, hs_strn((char *)mac, n)));
            assert_false(holds(key, DATA, hs_strn((char *)mac, n - 1)));
            assert_false(holds(key, DATA, HS_STR_NULL));
            assert_false(holds(key, HS_STR("x"), hs_strn((char *)mac, n)));
        }
        net_key_free(key);
    }
}

/* One key, one algorithm: what another one of the same kind signed does not hold. */
static void test_no_other_algorithm(void **state)
{
    unsigned char bytes[600];

    (void)state;
    for (unsigned mine = NET_RS256; mine <= NET_PS512; mine++) {
        struct net_key *key = of_pem(&rsa, (enum net_alg)mine);

        for (unsigned other = NET_RS256; other <= NET_PS512; other++)
            assert_int_equal(holds(key, DATA, sign(rsa.key, (enum net_alg)other, 0, bytes)),
                             mine == other);
        net_key_free(key);
    }
}

/* RFC 7518, 3.5: the salt has the length of the hash. */
static void test_pss_salt(void **state)
{
    struct net_key *key = of_pem(&rsa, NET_PS256);
    unsigned char bytes[600];

    (void)state;
    assert_true(holds(key, DATA, sign(rsa.key, NET_PS256, 32, bytes)));
    assert_false(holds(key, DATA, sign(rsa.key, NET_PS256, 20, bytes)));
    assert_false(holds(key, DATA, sign(rsa.key, NET_PS256, 64, bytes)));
    net_key_free(key);
}

/* Numbers out of range, DER instead of JWS's form. */
static void test_odd_ecdsa_signatures(void **state)
{
    struct net_key *key = of_pem(&curves[0], NET_RS256);
    unsigned char zeros[64] = {0};
    unsigned char ones[64];
    unsigned char der[600];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = sizeof(der);

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    assert_false(holds(key, DATA, hs_strn((char *)zeros, 64)));
    assert_false(holds(key, DATA, hs_strn((char *)ones, 64)));
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, curves[0].key), 1);
    assert_int_equal(EVP_DigestSign(ctx, der, &n, (const unsigned char *)DATA.p, DATA.n), 1);
    assert_false(holds(key, DATA, hs_strn((char *)der, n)));
    EVP_MD_CTX_free(ctx);
    net_key_free(key);
}

/* ---- what is no key ---- */

static void assert_refused(struct hs_str text, const char *why)
{
    struct net_key *key = NULL;
    struct hs_err err;

    hs_err_clear(&err);
    assert_int_equal(net_key_pem(text, NET_RS256, &key, &err), HS_E_CONFIG);
    assert_null(key);
    if (!strstr(err.why, why))
        fail_msg("got \"%s\", expected \"%s\"", err.why, why);
}

static void test_pem_refused(void **state)
{
    struct pair small, koblitz, x25519;
    BIO *bio = BIO_new(BIO_s_mem());
    char text[4000];
    int n;

    (void)state;
    assert_refused(HS_STR_NULL, "not a public key");
    assert_refused(HS_STR("hello"), "not a public key");
    assert_refused(HS_STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
                   "not a public key");
    make_pair(&small, EVP_RSA_gen(1024));
    make_pair(&koblitz, EVP_EC_gen("secp256k1"));
    make_pair(&x25519, EVP_PKEY_Q_keygen(NULL, NULL, "X25519"));
    assert_refused(hs_str(small.pem), "1024 bits");
    assert_refused(hs_str(koblitz.pem), "another algorithm");
    assert_refused(hs_str(x25519.pem), "another algorithm");
    assert_int_equal(PEM_write_bio_PrivateKey(bio, rsa.key, NULL, NULL, 0, NULL, NULL), 1);
    n = BIO_read(bio, text, sizeof(text) - 1);
    assert_true(n > 0);
    assert_refused(hs_strn(text, (size_t)n), "not a public key");
    (void)BIO_free(bio);
    EVP_PKEY_free(small.key);
    EVP_PKEY_free(koblitz.key);
    EVP_PKEY_free(x25519.key);
}

/* "RSA PUBLIC KEY", as older tools write it. */
static void test_rsa_pkcs1_form(void **state)
{
    OSSL_ENCODER_CTX *ctx = OSSL_ENCODER_CTX_new_for_pkey(rsa.key, EVP_PKEY_PUBLIC_KEY, "PEM",
                                                          "type-specific", NULL);
    unsigned char *text = NULL;
    size_t n = 0;
    struct net_key *key = NULL;

    (void)state;
    assert_int_equal(OSSL_ENCODER_to_data(ctx, &text, &n), 1);
    assert_non_null(strstr((char *)text, "BEGIN RSA PUBLIC KEY"));
    assert_int_equal(net_key_pem(hs_strn((char *)text, n), NET_RS384, &key, NULL), HS_OK);
    assert_int_equal(net_key_alg(key), NET_RS384);
    net_key_free(key);
    OPENSSL_free(text);
    OSSL_ENCODER_CTX_free(ctx);
}

static void test_numbers_refused(void **state)
{
    static const unsigned char odd[256] = {0xc0, [255] = 1};
    struct hs_str n = {(const char *)odd, sizeof(odd)};
    struct net_key *key = NULL;
    char zeros[66] = {0};
    struct hs_err err;

    (void)state;
    assert_int_equal(net_key_rsa(NET_RS256, n, HS_STR("\x01\x00\x01"), &key, &err), HS_OK);
    net_key_free(key);
    key = NULL;
    assert_int_equal(net_key_rsa(NET_RS256, n, HS_STR("\x01"), &key, &err), HS_E_CONFIG);
    assert_int_equal(net_key_rsa(NET_RS256, n, HS_STR("\x04"), &key, &err), HS_E_CONFIG);
    assert_int_equal(net_key_rsa(NET_RS256, n, HS_STR_NULL, &key, &err), HS_E_CONFIG);
    assert_int_equal(net_key_rsa(NET_RS256, HS_STR_NULL, HS_STR("\x03"), &key, &err), HS_E_CONFIG);
    assert_int_equal(net_key_rsa(NET_RS256, hs_str_sub(n, 128, 256), HS_STR("\x03"), &key, &err),
                     HS_E_CONFIG);
    assert_int_equal(net_key_ec(NET_ES256, hs_strn(zeros, 32), hs_strn(zeros, 32), &key, &err),
                     HS_E_CONFIG);
    assert_int_equal(net_key_ec(NET_ES256, hs_strn(zeros, 31), hs_strn(zeros, 33), &key, &err),
                     HS_E_CONFIG);
    assert_int_equal(net_key_ec(NET_ES512, hs_strn(zeros, 66), HS_STR_NULL, &key, &err),
                     HS_E_CONFIG);
    assert_int_equal(net_key_ed25519(hs_strn(zeros, 31), &key, &err), HS_E_CONFIG);
    assert_null(key);
    net_key_free(NULL);
}

static bool prepare(void *arg)
{
    const struct pair *pairs[] = {&rsa, &curves[0], &ed25519};
    bool all = true;

    (void)arg;
    for (size_t i = 0; i < HS_LEN(pairs); i++) {
        struct net_key *key = NULL;
        hs_status status = net_key_pem(hs_str(pairs[i]->pem), NET_RS256, &key, NULL);

        assert_true(!status == (key != NULL));
        assert_true(status == HS_OK || status == HS_E_MEMORY);
        all = all && !status;
        net_key_free(key);
    }
    return all;
}

static void test_no_memory(void **state)
{
    (void)state;
    fault_each(prepare, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_vectors_hs256_es256),
        cmocka_unit_test(test_vectors_es512_eddsa),
        cmocka_unit_test(test_each_algorithm),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_no_other_algorithm),
        cmocka_unit_test(test_pss_salt),
        cmocka_unit_test(test_odd_ecdsa_signatures),
        cmocka_unit_test(test_pem_refused),
        cmocka_unit_test(test_rsa_pkcs1_form),
        cmocka_unit_test(test_numbers_refused),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
