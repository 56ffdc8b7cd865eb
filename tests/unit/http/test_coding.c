/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accept-Encoding: the examples of RFC 9110, 12.5.3, weights, the asterisk, and what is no coding. Bodies: each coding
 * gives back what went in, at each level; what is not shorter by a tenth is refused.
 */
#include "http/coding.h"

#include <brotli/decode.h>
#include <libdeflate.h>
#include <zstd.h>

#include "core/rng.h"
#include "fault.h"
#include "test.h"

static const struct row {
    const char *field;
    enum http_coding best;
} rows[] = {
    {"compress, gzip", HTTP_GZIP},
    {"", HTTP_IDENTITY},
    {"*", HTTP_BR},
    {"compress;q=0.5, gzip;q=1.0", HTTP_GZIP},
    {"gzip;q=1.0, identity; q=0.5, *;q=0", HTTP_GZIP},
    /* Browsers and clients. */
    {"gzip, deflate, br, zstd", HTTP_BR},
    {"gzip, deflate", HTTP_GZIP},
    {"gzip, zstd", HTTP_ZSTD},
    {"deflate", HTTP_IDENTITY},
    {"GZip", HTTP_GZIP},
    {"x-gzip", HTTP_GZIP},
    /* Weights. */
    {"br;q=0.5, gzip", HTTP_GZIP},
    {"br;q=0.501, gzip;q=0.5", HTTP_BR},
    {"br;q=0.5,zstd;q=0.5,gzip;q=0.5", HTTP_BR},
    {"br;q=0", HTTP_IDENTITY},
    {"br;Q=0.000, zstd;q=0.001", HTTP_ZSTD},
    {"gzip;q=0.1, gzip;q=0.9, br;q=0.5", HTTP_GZIP},
    {"gzip\t;\tq=0.4 , br ; q=0.3", HTTP_GZIP},
    /* Identity: the last choice, unless it is named. */
    {"identity", HTTP_IDENTITY},
    {"identity;q=0.5, gzip;q=0.4", HTTP_IDENTITY},
    {"identity;q=0.5, gzip;q=0.5", HTTP_GZIP},
    {"identity, *;q=0.9", HTTP_IDENTITY},
    {"identity;q=0, gzip;q=0.1", HTTP_GZIP},
    {"identity;q=0", HTTP_IDENTITY},
    {"*;q=0", HTTP_IDENTITY},
    /* What is named counts before the asterisk. */
    {"*, br;q=0", HTTP_ZSTD},
    {"br;q=0, *", HTTP_ZSTD},
    {"*;q=0, gzip;q=0.1", HTTP_GZIP},
    {"*;q=0.3, gzip;q=0.2", HTTP_BR},
    {"*;q=0.3, *;q=0.7, gzip;q=0.5", HTTP_BR},
    /* No codings, no weights: passed over. */
    {",, ,", HTTP_IDENTITY},
    {";q=1, gzip;q=0.1", HTTP_GZIP},
    {"br gzip", HTTP_IDENTITY},
    {"br;q=2, gzip;q=0.1", HTTP_GZIP},
    {"br;q=1.001, gzip;q=0.1", HTTP_GZIP},
    {"br;q=0.1234, gzip;q=0.1", HTTP_GZIP},
    {"br;q=.5, gzip;q=0.1", HTTP_GZIP},
    {"br;q=, gzip;q=0.1", HTTP_GZIP},
    {"br;q, gzip;q=0.1", HTTP_GZIP},
    {"br;level=5, gzip;q=0.1", HTTP_GZIP},
    {"br;q=1;q=1, gzip;q=0.1", HTTP_GZIP},
    {"br;q=0.x, gzip;q=0.1", HTTP_GZIP},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct http_accepted accepted = {.has_others = false};

        http_accepted_read(&accepted, hs_str(rows[i].field));
        if (http_accepted_best(&accepted) != rows[i].best)
            fail_msg("%s: %u, not %u", rows[i].field, http_accepted_best(&accepted), rows[i].best);
    }
}

static void test_lines(void **state)
{
    struct http_accepted accepted = {.has_others = false};

    (void)state;
    assert_int_equal(http_accepted_best(&accepted), HTTP_IDENTITY);
    http_accepted_read(&accepted, HS_STR("br;q=0.3"));
    http_accepted_read(&accepted, HS_STR("gzip;q=0.4"));
    assert_int_equal(http_accepted_best(&accepted), HTTP_GZIP);
}

/* ---- bodies ---- */

enum { BODY_MAX = 300000 };

static char text[BODY_MAX];
static char back[BODY_MAX];

/* Rows that differ in a number: what a list looks like. */
static struct hs_str body_of(size_t n)
{
    size_t at = 0;

    for (size_t i = 0; at < n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at,
                               "{\"id\":%zu,\"firstName\":\"Anna\",\"status\":\"ACTIVE\"},", i);
    return hs_strn(text, n);
}

static size_t decode(enum http_coding coding, struct hs_str in)
{
    size_t n = sizeof(back);

    if (coding == HTTP_GZIP) {
        struct libdeflate_decompressor *gzip = libdeflate_alloc_decompressor();

        assert_int_equal(libdeflate_gzip_decompress(gzip, in.p, in.n, back, sizeof(back), &n), 0);
        libdeflate_free_decompressor(gzip);
    } else if (coding == HTTP_BR) {
        assert_int_equal(BrotliDecoderDecompress(in.n, (const uint8_t *)in.p, &n, (uint8_t *)back),
                         1);
    } else {
        n = ZSTD_decompress(back, sizeof(back), in.p, in.n);
        assert_false(ZSTD_isError(n));
    }
    return n;
}

static void test_bodies(void **state)
{
    static const size_t lengths[] = {256, 1024, 16384, 100000};

    (void)state;
    for (unsigned coding = HTTP_IDENTITY + 1; coding < HTTP_CODINGS; coding++) {
        for (unsigned level = HTTP_LEVEL_MIN; level <= HTTP_LEVEL_MAX; level++) {
            for (size_t i = 0; i < HS_LEN(lengths); i++) {
                struct hs_str body = body_of(lengths[i]);
                struct hs_buf out;

                hs_buf_init(&out, body.n);
                assert_int_equal(http_encode(coding, level, body, &out), HTTP_ENCODED);
                assert_true(out.n <= body.n - body.n / 10);
                assert_int_equal(decode(coding, hs_buf_str(&out)), body.n);
                assert_memory_equal(back, body.p, body.n);
                hs_buf_fini(&out);
            }
        }
    }
}

static void test_not_shorter(void **state)
{
    struct hs_rng rng = test_rng();

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)hs_rng_next(&rng);
    for (unsigned coding = HTTP_IDENTITY + 1; coding < HTTP_CODINGS; coding++) {
        static const size_t lengths[] = {0, 1, 9, 10, 50, 5000, 200000};

        for (size_t i = 0; i < HS_LEN(lengths); i++) {
            struct hs_buf out;

            hs_buf_init(&out, lengths[i]);
            assert_int_equal(http_encode(coding, 6, hs_strn(text, lengths[i]), &out),
                             HTTP_NOT_SHORTER);
            assert_int_equal(out.n, 0);
            hs_buf_fini(&out);
        }
    }
}

static bool encode_once(void *arg)
{
    enum http_coding coding = *(enum http_coding *)arg;
    struct hs_buf out;
    enum http_encoded encoded;

    hs_buf_init(&out, 20000);
    encoded = http_encode(coding, 6, body_of(20000), &out);
    assert_int_not_equal(encoded, HTTP_NOT_SHORTER);
    assert_true((encoded == HTTP_ENCODED) == (out.n > 0));
    hs_buf_fini(&out);
    return encoded == HTTP_ENCODED;
}

static void test_no_memory(void **state)
{
    (void)state;
    for (enum http_coding coding = HTTP_BR; coding < HTTP_CODINGS; coding++)
        fault_each(encode_once, &coding);
}

/* The brotli library ends the process where it gets no memory: it must never ask for more than was taken before. */
static void encode_within_reserve(struct hs_str body)
{
    for (unsigned level = HTTP_LEVEL_MIN; level <= HTTP_LEVEL_MAX; level++) {
        struct hs_buf out;

        hs_buf_init(&out, body.n);
        assert_int_not_equal(http_encode(HTTP_BR, level, body, &out), HTTP_NO_MEMORY);
        hs_buf_fini(&out);
    }
}

static void test_br_reserve(void **state)
{
    static char big[2 << 20];
    static const size_t lengths[] = {10,     1024,    16000,         65536,   65537,
                                     200000, 1 << 18, (1 << 18) + 1, 1 << 20, sizeof(big)};
    struct hs_rng rng = test_rng();

    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        for (size_t i = 0; i < sizeof(big); i++) {
            char any = (char)hs_rng_below(&rng, kind == 0 ? 256 : 2);

            big[i] = kind == 2 && i % 21 < 14 ? 'x' : any;
            if (kind == 3)
                big[i] = (char)(i / 500);
        }
        for (size_t i = 0; i < HS_LEN(lengths); i++)
            encode_within_reserve(hs_strn(big, lengths[i]));
    }
}

static void test_br_max(void **state)
{
    char *body = hs_calloc(1, HTTP_BR_MAX + 1);
    struct hs_buf out;

    (void)state;
    hs_buf_init(&out, HTTP_BR_MAX + 1);
    assert_int_equal(http_encode(HTTP_BR, 1, hs_strn(body, HTTP_BR_MAX + 1), &out),
                     HTTP_NOT_SHORTER);
    hs_buf_fini(&out);
    hs_free(body);
}

static void test_names(void **state)
{
    (void)state;
    assert_str(http_coding_name(HTTP_BR), HS_STR("br"));
    assert_str(http_coding_name(HTTP_ZSTD), HS_STR("zstd"));
    assert_str(http_coding_name(HTTP_GZIP), HS_STR("gzip"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),      cmocka_unit_test(test_lines),
        cmocka_unit_test(test_bodies),    cmocka_unit_test(test_not_shorter),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_br_reserve),
        cmocka_unit_test(test_br_max),    cmocka_unit_test(test_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
