/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of the cache, read again: whose they are, and that what a client writes into a filter is nobody's claim; and
 * that what decides an answer decides its key.
 */
#include "test.h"

#include "api/explain.h"
#include "api/key.h"

static void test_parts(void **state)
{
    static const struct {
        const char *key, *table, *role, *claims; /* claims NULL: no key */
    } rows[] = {
        {"clients member {\"company_id\":42} l20 p1 n7 SELECT", "clients", "member",
         "{\"company_id\":42}"},
        {"clients viewer {} i0 SELECT 1", "clients", "viewer", "{}"},
        {"my clients viewer {} i0", NULL, NULL, "{}"},
        {"clients {} {\"a\":{}} i0", NULL, NULL, "{}"},
        {"clients {x {\"a\":1} l1", "clients", "{x", "{\"a\":1}"},
        {"clients {} l1", NULL, NULL, "{}"},
        {"clients member", NULL, NULL, NULL},
        {"clients member {\"a\":", NULL, NULL, NULL},
        {"", NULL, NULL, NULL},
        {" ", NULL, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct api_key_parts parts;

        assert_int_equal(api_key_read(hs_str(rows[i].key), &parts), rows[i].claims != NULL);
        if (!rows[i].claims)
            continue;
        assert_true(hs_str_is(parts.claims, rows[i].claims));
        if (rows[i].table) {
            assert_true(hs_str_is(parts.table, rows[i].table));
            assert_true(hs_str_is(parts.role, rows[i].role));
        } else {
            assert_null(parts.table.p);
            assert_null(parts.role.p);
        }
    }
}

static void test_claims(void **state)
{
    static const struct {
        const char *key, *name, *value;
        bool has;
    } rows[] = {
        {"t r {\"company_id\":42} x", "company_id", "42", true},
        {"t r {\"company_id\":\"42\"} x", "company_id", "42", true},
        {"t r {\"company_id\":421} x", "company_id", "42", false},
        {"t r {\"sub\":\"a\",\"company_id\":42} x", "company_id", "42", true},
        {"t r {\"sub\":{\"company_id\":42},\"company_id\":7} x", "company_id", "42", false},
        {"t r {\"sub\":\"\\\"company_id\\\":42\"} x", "company_id", "42", false},
        {"t r {\"s\\u0075b\":\"\\u0061\"} x", "sub", "a", true},
        {"t r {\"company_id\":null} x", "company_id", "null", false},
        {"t r {\"company_id\":[42]} x", "company_id", "42", false},
        {"t r {\"company_id\":7} = {\"company_id\":42}", "company_id", "42", false},
        {"t r {} x {\"company_id\":42}", "company_id", "42", false},
        {"t r", "company_id", "42", false},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++)
        assert_int_equal(
            api_key_has_claim(hs_str(rows[i].key), hs_str(rows[i].name), hs_str(rows[i].value)),
            rows[i].has);
}

/* ---- written ---- */

/* The same read by two tenants, who share all but the claim that a policy reads. */
static void test_written(void **state)
{
    struct api_model model = {.form = 7};
    struct api_hold hold = {.model = &model};
    struct api_keep keep = {.oid = 16412, .name = HS_STR("clients")};
    struct http_req req = {.query = HS_STR("limit=20")};
    struct api_request r = {.req = &req,
                            .hold = &hold,
                            .keep = &keep,
                            .query.sql = HS_STR("SELECT 1"),
                            .ask = {.limit = 20, .page = 1}};
    struct hs_identity *one = hs_identity_new(HS_STR("member"), HS_STR("{\"company_id\":42}"),
                                              false);
    struct hs_identity *other = hs_identity_new(HS_STR("member"), HS_STR("{\"company_id\":43}"),
                                                false);
    struct hs_buf keys[2];

    (void)state;
    assert_non_null(one);
    assert_non_null(other);
    for (size_t i = 0; i < HS_LEN(keys); i++) {
        hs_buf_init(&keys[i], 1024);
        api_key_write(&r, i ? other : one, &keys[i]);
        assert_false(hs_buf_failed(&keys[i]));
    }
    assert_str(hs_buf_str(&keys[0]),
               HS_STR("clients member {\"company_id\":42} n7 l20 p1 q8 SELECT 1 @16412 .6"));
    assert_false(hs_str_eq(hs_buf_str(&keys[0]), hs_buf_str(&keys[1])));
    r.form = HS_STR("text/csv");
    api_key_write(&r, one, &keys[1]);
    assert_str(hs_buf_str(&keys[1]),
               HS_STR("clients member {\"company_id\":42} n7 l20 p1 q8 SELECT 1 f8 text/csv"
                      " @16412 .6"));
    for (size_t i = 0; i < HS_LEN(keys); i++)
        hs_buf_fini(&keys[i]);
    hs_identity_unref(one);
    hs_identity_unref(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
