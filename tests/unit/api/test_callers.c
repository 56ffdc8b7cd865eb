/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities with fewer claims: who shares one, who must not, what is remembered and when that is over, and every
 * allocation failing in turn.
 */
#include "test.h"

#include "api/depend.h"
#include "api/world.h"
#include "fault.h"

static const struct hs_str claim_names[] = {{"company_id", 10}, {"plan", 4}, {"a\"b", 3}};
static const struct hs_str other_names[] = {{"plan", 4}, {"company_id", 10}};
enum { COMPANY = 1, PLAN = 2, QUOTED = 4 };

static struct api_model *model_of(const struct hs_str *names, size_t n)
{
    struct api_setup settings = world_setup();
    struct pg_catalog *catalog = world_catalog(NULL);
    struct api_model *made = NULL;
    struct hs_err err = {0};
    hs_status status = HS_E_MEMORY;

    if (catalog) {
        catalog->claims = names;
        catalog->n_claims = n;
        status = api_model_new(&settings, catalog, &made, &err);
    }
    pg_catalog_unref(catalog);
    return status ? NULL : made;
}

struct fixture {
    struct api_model *model;
    struct api_callers *callers;
};

static int setup(void **state)
{
    static struct fixture f;
    struct hs_err err = {0};

    *state = &f;
    f.model = model_of(claim_names, HS_LEN(claim_names));
    return f.model && api_callers_new(&f.callers, &err) == HS_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    api_callers_free(f->callers);
    api_model_unref(f->model);
    return 0;
}

static struct hs_identity *identity(const char *role, const char *claims)
{
    struct hs_identity *who = hs_identity_new(hs_str(role), hs_str(claims), false);

    assert_non_null(who);
    return who;
}

static void check_claims(struct fixture *f, const char *claims, uint64_t bits, const char *expected)
{
    struct hs_identity *who = identity("all", claims);
    struct hs_identity *as = api_callers_take(f->callers, f->model, who, bits);

    assert_non_null(as);
    assert_str(as->claims, hs_str(expected));
    assert_str(as->role, HS_STR("all"));
    assert_int_equal(as->claims.p[as->claims.n], 0);
    hs_identity_unref(as);
    hs_identity_unref(who);
}

static void test_claims(void **state)
{
    static const struct {
        const char *claims;
        uint64_t bits;
        const char *expected;
    } rows[] = {
        {"{}", 0, "{}"},
        {"{}", COMPANY | PLAN, "{}"},
        {"{\"company_id\":42,\"sub\":\"x\",\"exp\":1}", 0, "{}"},
        {"{\"company_id\":42,\"sub\":\"x\",\"exp\":1}", COMPANY, "{\"company_id\":42}"},
        {"{\"sub\":\"x\",\"company_id\":\"42\"}", COMPANY, "{\"company_id\":\"42\"}"},
        {"{\"plan\":null,\"company_id\":4.20}", COMPANY | PLAN,
         "{\"company_id\":4.20,\"plan\":null}"},
        {"{\"plan\":{\"company_id\":1},\"jti\":[1]}", COMPANY | PLAN,
         "{\"plan\":{\"company_id\":1}}"},
        {"{\"comp\\u0061ny_id\":1}", COMPANY, "{\"company_id\":1}"},
        {"{\"a\\\"b\":true}", QUOTED, "{\"a\\\"b\":true}"},
        {"{ \"plan\" : [ 1 , 2 ] }", PLAN, "{\"plan\":[ 1 , 2 ]}"},
        /* What cannot be read stays whole: nothing may go missing that a policy might read. */
        {"{\"company_id\":1", COMPANY, "{\"company_id\":1"},
        {"[]", COMPANY, "[]"},
    };

    for (size_t i = 0; i < HS_LEN(rows); i++)
        check_claims(*state, rows[i].claims, rows[i].bits, rows[i].expected);
}

/* Too deep for the reader, and a name that is longer than what is looked at. */
static void test_unreadable_stays_whole(void **state)
{
    char deep[256];
    char name[1024];

    (void)snprintf(
        deep, sizeof(deep), "{\"company_id\":1,\"x\":%.*s1%.*s}", 70,
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 70,
        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    check_claims(*state, deep, COMPANY, deep);
    (void)snprintf(name, sizeof(name), "{\"company_id\":1,\"\\u0061%0600d\":1}", 0);
    check_claims(*state, name, COMPANY, name);
}

static void test_shared(void **state)
{
    struct fixture *f = *state;
    struct hs_identity *one = identity("all", "{\"company_id\":42,\"sub\":\"a\"}");
    struct hs_identity *same = identity("all", "{\"sub\":\"b\",\"company_id\":42}");
    struct hs_identity *others[] = {
        identity("part", "{\"company_id\":42}"),
        identity("all", "{\"company_id\":43}"),
        identity("all", "{\"company_id\":\"42\"}"),
        identity("all", "{\"company_id\":42}"),
        identity("all", "{\"company_id\":42}"),
        hs_identity_new(HS_STR("all"), HS_STR("{\"company_id\":42}"), true),
    };
    struct hs_identity *a = api_callers_take(f->callers, f->model, one, COMPANY);
    struct hs_identity *b = api_callers_take(f->callers, f->model, same, COMPANY);

    others[3]->statement_timeout_ms = 5;
    others[4]->rows_max = 5;
    assert_non_null(a);
    assert_ptr_equal(a, b);
    for (size_t i = 0; i < HS_LEN(others); i++) {
        struct hs_identity *c = api_callers_take(f->callers, f->model, others[i], COMPANY);

        assert_non_null(c);
        assert_ptr_not_equal(a, c);
        assert_int_equal(c->statement_timeout_ms, others[i]->statement_timeout_ms);
        assert_int_equal(c->rows_max, others[i]->rows_max);
        assert_int_equal(c->is_anonymous, others[i]->is_anonymous);
        hs_identity_unref(c);
        hs_identity_unref(others[i]);
    }
    hs_identity_unref(a);
    hs_identity_unref(b);
    hs_identity_unref(one);
    hs_identity_unref(same);
}

/* The second time costs no allocation; another set of claims is looked for anew. */
static void test_remembered(void **state)
{
    struct fixture *f = *state;
    struct hs_identity *who = identity("all", "{\"company_id\":42,\"plan\":\"x\"}");
    struct hs_identity *first = api_callers_take(f->callers, f->model, who, COMPANY);
    struct hs_identity *second;

    hs_mem_fail_at(1);
    second = api_callers_take(f->callers, f->model, who, COMPANY);
    hs_mem_fail_at(0);
    assert_ptr_equal(first, second);
    hs_identity_unref(second);
    second = api_callers_take(f->callers, f->model, who, PLAN);
    assert_str(second->claims, HS_STR("{\"plan\":\"x\"}"));
    hs_identity_unref(second);
    /* It lives as long as who remembers it, even if the table does not. */
    hs_identity_unref(first);
    second = api_callers_take(f->callers, f->model, who, COMPANY);
    assert_str(second->claims, HS_STR("{\"company_id\":42}"));
    hs_identity_unref(second);
    hs_identity_unref(who);
}

/* Of one that is reduced already: no circle of references, which would be a leak. */
static void test_reduced_again(void **state)
{
    struct fixture *f = *state;
    struct hs_identity *who = identity("all", "{\"company_id\":42,\"plan\":\"x\"}");
    struct hs_identity *both = api_callers_take(f->callers, f->model, who, COMPANY | PLAN);
    struct hs_identity *one = api_callers_take(f->callers, f->model, both, COMPANY);
    struct hs_identity *same = api_callers_take(f->callers, f->model, both, COMPANY | PLAN);

    assert_str(one->claims, HS_STR("{\"company_id\":42}"));
    assert_ptr_equal(both, same);
    hs_identity_unref(who);
    hs_identity_unref(both);
    hs_identity_unref(one);
    hs_identity_unref(same);
}

/* Another catalog numbers its claims anew: what was remembered for the same bits is another thing. */
static void test_another_model(void **state)
{
    struct fixture *f = *state;
    struct api_model *other = model_of(other_names, HS_LEN(other_names));
    struct hs_identity *who = identity("all", "{\"company_id\":42,\"plan\":\"x\"}");
    struct hs_identity *as;

    assert_non_null(other);
    for (unsigned i = 0; i < 3; i++) {
        as = api_callers_take(f->callers, f->model, who, 1);
        assert_str(as->claims, HS_STR("{\"company_id\":42}"));
        hs_identity_unref(as);
        as = api_callers_take(f->callers, other, who, 1);
        assert_str(as->claims, HS_STR("{\"plan\":\"x\"}"));
        hs_identity_unref(as);
    }
    api_model_unref(other);
    hs_identity_unref(who);
}

/* Past its bound the table begins anew, and who still holds an identity keeps it. */
static void test_bounded(void **state)
{
    struct fixture *f = *state;
    struct hs_identity *kept = NULL;

    for (unsigned i = 0; i < 5000; i++) {
        char claims[64];
        struct hs_identity *who;
        struct hs_identity *as;

        (void)snprintf(claims, sizeof(claims), "{\"company_id\":%u}", i);
        who = identity("all", claims);
        as = api_callers_take(f->callers, f->model, who, COMPANY);
        assert_str(as->claims, hs_str(claims));
        if (kept)
            hs_identity_unref(as);
        else
            kept = as;
        hs_identity_unref(who);
    }
    assert_str(kept->claims, HS_STR("{\"company_id\":0}"));
    assert_int_equal(kept->refs, 1);
    hs_identity_unref(kept);
}

static bool scenario(void *arg)
{
    struct api_model *model = arg;
    struct api_callers *callers = NULL;
    struct hs_err err = {0};
    struct hs_identity *who = NULL;
    struct hs_identity *as = NULL;

    if (api_callers_new(&callers, &err))
        assert_int_equal(err.status, HS_E_MEMORY);
    else
        who = hs_identity_new(HS_STR("all"), HS_STR("{\"company_id\":42}"), false);
    if (who)
        as = api_callers_take(callers, model, who, COMPANY);
    if (as)
        assert_str(as->claims, HS_STR("{\"company_id\":42}"));
    hs_identity_unref(as);
    hs_identity_unref(who);
    api_callers_free(callers);
    return as != NULL;
}

static void test_memory(void **state)
{
    struct fixture *f = *state;

    fault_each(scenario, f->model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims),        cmocka_unit_test(test_unreadable_stays_whole),
        cmocka_unit_test(test_shared),        cmocka_unit_test(test_remembered),
        cmocka_unit_test(test_reduced_again), cmocka_unit_test(test_another_model),
        cmocka_unit_test(test_bounded),       cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
