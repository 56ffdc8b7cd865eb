/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What answers depend on: which are not known and why, which tags the others have, for lists, rows and related
 * rows; what happens at each limit; and every allocation failing in turn.
 */
#include "api/depend_world.h"
#include "fault.h"

static const uint32_t people_and_more[] = {FIRST_OID + COMPANIES, FIRST_OID + PEOPLE,
                                           NOT_SERVED_OID};

/* ---- lists ---- */

static void test_filters(void **ctx)
{
    static const char *const rows[][2] = {
        {"people", "people"},
        {"people?status=A", "people(status=A)"},
        {"people?status=A&companyId=7", "people(company_id=7,status=A)"},
        {"people?isActive=1&mood=sad&born=2026-01-31",
         "people(born=2026-01-31,is_active=t,mood=sad)"},
        {"people?token=A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
         "people(token=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11)"},
        /* The key alone, whatever else is asked for. */
        {"people?id=5&status=A", "people(id=5)"},
        {"people?id[in]=5,6,5&status=A", "people(id=5) people(id=6)"},
        {"pairs?a=1&b=x&note=y", "pairs(a=1,b=x)"},
        {"pairs?a=1&note=y", "pairs(a=1,note=y)"},
        {"pairs?a[in]=1,2&b=x", "pairs(a=1,b=x) pairs(a=2,b=x)"},
        /* One list; of two, the first; beside a value of the same column, none. */
        {"people?status[in]=b,a&companyId=7",
         "people(company_id=7,status=a) people(company_id=7,status=b)"},
        {"people?status[in]=a,b&companyId[in]=7", "people(status=a) people(status=b)"},
        {"people?status[in]=a,b&status=a", "people(status=a)"},
        {"people?status[in]=", "people"},
        {"people?page[in]=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "people"},
        {"people?id=5&id=6", "people(id=5)"},
        /* What is no equality, or of no exact type, or of no known form. */
        {"people?id[gt]=5", "people"},
        {"people?id[ne]=5&status=A", "people(status=A)"},
        {"people?lastName[null]=true", "people"},
        {"people?lastName[like]=A", "people"},
        {"people?score=1&born=20260131", "people"},
        {"people?born[in]=2026-01-31,20260131", "people"},
        {"people?search=x&status=A", "people(status=A)"},
        {"companies?search=x", "companies"},
        {"keyless?a=1", "keyless(a=1)"},
        /* How many come, and in which order, changes nothing. */
        {"people?status=A&sort=-score&limit=3&page=2&count=exact&fields=id", "people(status=A)"},
        {"people?status=A&count=estimated", "people(status=A)"},
    };

    (void)ctx;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        derive(rows[i][0]);
        expect(rows[i][1]);
        assert_int_equal(got.claims, 0);
        new_state(16);
    }
}

static void test_only_what_must_hold(void **ctx)
{
    const struct pg_column *status = pg_relation_column(&relations[PEOPLE], HS_STR("status"));
    static const enum tree_kind kinds[] = {TREE_OR, TREE_NOT, TREE_AND};

    (void)ctx;
    for (size_t i = 0; i < HS_LEN(kinds); i++) {
        struct tree_node node = {
            .kind = TREE_COMPARE, .op = TREE_EQ, .column = status, .value = HS_STR("A")};
        struct tree_node inner = {.kind = kinds[i]};
        struct tree_node where = {.kind = TREE_AND};
        struct tree_select tree = {.relation = &relations[PEOPLE], .where = &where};

        tree_node_append(&inner, &node);
        tree_node_append(&where, &inner);
        derive_tree(&tree);
        expect(kinds[i] == TREE_AND ? "people(status=A)" : "people");
        tree.where = &inner;
        derive_tree(&tree);
        expect(kinds[i] == TREE_AND ? "people(status=A)" : "people");
    }
}

static void test_not_exact(void **ctx)
{
    struct pg_column *status = (struct pg_column *)(uintptr_t)pg_relation_column(&relations[PEOPLE],
                                                                                 HS_STR("status"));

    (void)ctx;
    status->is_exact = false;
    derive("people?status=A&companyId=7");
    expect("people(company_id=7)");
    status->is_exact = true;
    status->is_generated = true;
    derive("people?status=A");
    expect("people");
}

static void test_too_many_columns(void **ctx)
{
    (void)ctx;
    derive("people?companyId=1&managerId=2&page[eq]=3&status=a&firstName=b&lastName=c&mood=sad"
           "&isActive=t&born=2026-01-01");
    expect("people(company_id=1,first_name=b,is_active=t,last_name=c,manager_id=2,mood=sad,page=3,"
           "status=a)");
}

/* ---- policies ---- */

static void test_policy(void **ctx)
{
    static const char *const rows[][3] = {
        {"{\"company_id\":42}", "people", "people(company_id=42)"},
        {"{\"company_id\":\"42\"}", "people", "people(company_id=42)"},
        {"{\"company_id\":\"4\\u0032\"}", "people", "people(company_id=42)"},
        {"{\"sub\":\"x\",\"company_id\":42}", "people?status=A", "people(company_id=42,status=A)"},
        {"{\"company_id\":42}", "people?id=5", "people(id=5)"},
        {"{\"company_id\":42}", "people?companyId=42", "people(company_id=42)"},
        {"{\"company_id\":42}", "people?companyId=43", "people(company_id=42)"},
        {"{\"company_id\":42}", "people?companyId[in]=1,2", "people(company_id=42)"},
        /* No value, or none that is sure to be read in one way. */
        {"{}", "people", "people"},
        {"{\"company_id\":null}", "people", "people"},
        {"{\"company_id\":42.0}", "people", "people"},
        {"{\"company_id\":4e1}", "people", "people"},
        {"{\"company_id\":\" 42\"}", "people", "people"},
        {"{\"company_id\":[42]}", "people", "people"},
        {"{\"company_id\":{}}", "people", "people"},
        {"{\"company_id\":\"\\u0000\"}", "people", "people"},
        {"{\"company_id\":true}", "people", "people"},
        {"{\"x\":{\"company_id\":42}}", "people", "people"},
        {"{\"company_id\":42", "people", "people"},
        {"{}", "people?status=A", "people(status=A)"},
    };

    (void)ctx;
    with_policy();
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        become("part", rows[i][0]);
        derive(rows[i][1]);
        expect(rows[i][2]);
        assert_int_equal(got.claims, COMPANY);
    }
}

static void test_policy_of_others(void **ctx)
{
    (void)ctx;
    with_policy();
    /* A role that the policy is not for, or that the catalog does not know. */
    become("none", "{\"company_id\":42}");
    derive("people");
    expect("people");
    become("stranger", "{\"company_id\":42}");
    derive("people");
    expect("people");
    become("all", "{\"company_id\":42}");
    derive("people");
    expect("people(company_id=42)");
    /* Row-level security is switched off; the claim is not in the key; it is none of the catalog's. */
    relations[PEOPLE].has_rls = false;
    derive("people");
    expect("people");
    relations[PEOPLE].has_rls = true;
    relations[PEOPLE].depend.claims = PLAN;
    derive("people");
    expect("people");
    relations[PEOPLE].depend.claims = COMPANY;
    narrows[0].claim = HS_STR("other");
    derive("people");
    expect("people");
}

/* What is remembered of the caller's claims is a short way to them, never another answer. */
static void test_policy_of_a_known_caller(void **ctx)
{
    static const uint64_t sets[] = {0, COMPANY, PLAN, COMPANY | PLAN};
    struct api_callers *callers;
    struct hs_err err = {0};

    (void)ctx;
    with_policy();
    assert_int_equal(api_callers_new(&callers, &err), HS_OK);
    become("all", "{\"plan\":\"x\",\"sub\":1,\"company_id\":42}");
    for (size_t i = 0; i < HS_LEN(sets); i++) {
        hs_identity_unref(api_callers_take(callers, model, who, sets[i]));
        assert_non_null(who->reduced);
        derive("people");
        expect("people(company_id=42)");
    }
    become("all", "{\"plan\":\"x\"}");
    hs_identity_unref(api_callers_take(callers, model, who, COMPANY | PLAN));
    derive("people");
    expect("people");
    api_callers_free(callers);
}

static void test_two_policies(void **ctx)
{
    (void)ctx;
    with_policy();
    narrows[1] = (struct pg_narrow){pg_relation_column(&relations[PEOPLE], HS_STR("status")),
                                    claim_names[1], WORLD_ALL};
    relations[PEOPLE].n_narrow = 2;
    relations[PEOPLE].depend.claims = COMPANY | PLAN;
    become("all", "{\"plan\":\"gold\",\"company_id\":42}");
    derive("people?mood=sad");
    expect("people(company_id=42,mood=sad,status=gold)");
    become("all", "{\"plan\":true,\"company_id\":42}");
    derive("people");
    expect("people(company_id=42,status=true)");
    assert_int_equal(got.claims, COMPANY | PLAN);
    /* jsonb makes 0 of it, json does not. */
    become("all", "{\"plan\":-0,\"company_id\":42}");
    derive("people");
    expect("people(company_id=42)");
}

/* ---- other tables ---- */

static void test_more_tables(void **ctx)
{
    (void)ctx;
    with_policy();
    become("all", "{\"company_id\":42}");
    relations[PEOPLE].depend.tables = people_and_more;
    relations[PEOPLE].depend.n_tables = HS_LEN(people_and_more);
    derive("people?status=A");
    expect("people(company_id=42,status=A) companies other");
    relations[PEOPLE].depend.reads_itself = true;
    derive("people?status=A");
    expect("people companies other");
    /* A view has no rows of its own. */
    relations[PEOPLE].depend.reads_itself = false;
    relations[PEOPLE].relkind = 'v';
    derive("people?status=A");
    expect("people companies other");
    relations[PEOPLE].relkind = 'p';
    derive("people?status=A");
    expect("people(company_id=42,status=A) companies other");
}

static void test_related_rows(void **ctx)
{
    (void)ctx;
    with_policy();
    become("all", "{\"company_id\":42}");
    relations[COMPANIES].depend.claims = PLAN;
    derive("messages?id=1&include=sender.company,receiver");
    expect("messages(id=1) people(company_id=42) companies");
    assert_int_equal(got.claims, COMPANY | PLAN);
    derive("companies?id=1&include=people");
    expect("companies(id=1) people(company_id=42)");
    derive("people?include=manager");
    expect("people(company_id=42)");
    become("all", "{}");
    derive("people?id=1&include=manager");
    expect("people(id=1) people");
}

/* ---- not known ---- */

static void test_unknown_values(void **ctx)
{
    static const char *const rows[] = {"people?born=today", "people?born[gte]=yesterday",
                                       "people?born[in]=2026-01-01,today", "people?born[ne]=now"};

    (void)ctx;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        derive(rows[i]);
        expect_unknown("\"born\" may mean another one");
    }
    derive("people?born[gte]=2026-01-01&born[lt]=infinity");
    expect("people");
    derive("people?born[null]=true");
    expect("people");
}

/* Wherever it stands in the tree, and in a cursor. */
static void test_unknown_deeper(void **ctx)
{
    const struct pg_column *born = pg_relation_column(&relations[PEOPLE], HS_STR("born"));
    struct tree_node node = {
        .kind = TREE_COMPARE, .op = TREE_LT, .column = born, .value = HS_STR("now")};
    struct tree_node not = {.kind = TREE_NOT};
    struct tree_node or = {.kind = TREE_OR};
    struct tree_select tree = {.relation = &relations[PEOPLE], .where = & or };
    struct tree_order order[] = {{.column = born}, {.column = born}};
    struct hs_str values[] = {HS_STR_NULL, HS_STR("2026-01-01")};
    struct tree_position position = {.values = values};
    struct tree_select after = {
        .relation = &relations[PEOPLE], .order = order, .n_order = 2, .position = &position};

    (void)ctx;
    tree_node_append(&not, &node);
    tree_node_append(& or, &not );
    derive_tree(&tree);
    expect_unknown("\"born\"");
    node.op = TREE_ONE_OF;
    node.n_values = 2;
    derive_tree(&tree);
    expect_unknown("\"born\"");
    node.op = TREE_NULL;
    derive_tree(&tree);
    expect("people");
    derive_tree(&after);
    expect("people");
    values[1] = HS_STR("44-03-15 BC");
    derive_tree(&after);
    expect_unknown("\"born\"");
}

static void test_unknown_relations(void **ctx)
{
    (void)ctx;
    relations[COMPANIES].depend.is_known = false;
    relations[COMPANIES].depend.why = HS_STR("it calls random()");
    derive("companies");
    expect_unknown("it calls random()");
    derive("people?include=company");
    expect_unknown("it calls random()");
    derive("people");
    expect("people");
    relations[COMPANIES].depend.is_known = true;
    relations[COMPANIES].depend.reads_all_claims = true;
    derive("companies");
    assert_false(got.is_known);
    relations[KEYLESS].relkind = 'm';
    derive("keyless");
    expect_unknown("materialized view \"public\".\"keyless\"");
    relations[KEYLESS].relkind = 'f';
    derive("keyless");
    expect_unknown("foreign table");
}

static void test_not_in_the_stream(void **ctx)
{
    (void)ctx;
    cache_feed_table(state, oids[COMPANIES], NULL, 0, CACHE_NEVER);
    derive("companies?id=1");
    expect_unknown("table \"public\".\"companies\" is not in the change stream; see hasten doctor");
    derive("people?include=company");
    expect_unknown("companies");
    derive("people");
    expect("people");
    relations[PEOPLE].depend.tables = people_and_more;
    relations[PEOPLE].depend.n_tables = HS_LEN(people_and_more);
    cache_feed_table(state, oids[COMPANIES], NULL, 0, BEGUN);
    cache_feed_table(state, NOT_SERVED_OID, NULL, 0, CACHE_NEVER);
    derive("people");
    expect_unknown("table with oid 30000");
}

static void test_estimated_count(void **ctx)
{
    (void)ctx;
    derive("people?count=estimated");
    expect_unknown("estimated");
    /* These are counted. */
    derive("people?count=exact");
    expect("people");
    relations[PEOPLE].has_rls = true;
    derive("people?count=estimated");
    expect("people");
}

/* ---- one row ---- */

static void test_item(void **ctx)
{
    static const char *const five[] = {"005"};
    static const char *const pair[] = {"1", "xy"};

    (void)ctx;
    derive_item("people", five);
    expect("people(id=5)");
    derive_item("pairs", pair);
    expect("pairs(a=1,b=xy)");
    with_policy();
    relations[PEOPLE].depend.tables = people_and_more;
    relations[PEOPLE].depend.n_tables = HS_LEN(people_and_more);
    become("all", "{\"company_id\":42}");
    derive_item("people", five);
    expect("people(id=5) companies other");
    assert_int_equal(got.claims, COMPANY);
}

static void test_item_of_another_type(void **ctx)
{
    static const char *const five[] = {"5"};
    struct pg_column *id = (struct pg_column *)(uintptr_t)pg_relation_column(&relations[PEOPLE],
                                                                             HS_STR("id"));
    const struct pg_type *usual = id->type;
    static const char *const today[] = {"today"};

    (void)ctx;
    with_policy();
    become("all", "{\"company_id\":42}");
    id->is_exact = false;
    derive_item("people", five);
    expect("people(company_id=42)");
    id->type = world_type("date");
    derive_item("people", today);
    expect_unknown("\"id\"");
    id->type = usual;
    relations[PEOPLE].depend.is_known = false;
    derive_item("people", five);
    assert_false(got.is_known);
}

/* ---- limits ---- */

static void test_shapes_run_out(void **ctx)
{
    (void)ctx;
    new_state(2);
    with_policy();
    become("all", "{\"company_id\":42}");
    /* The tenant's shape and the key's come first, and then there is no room for the client's. */
    derive("people?status=A");
    expect("people(company_id=42)");
    derive("people?id=5");
    expect("people(id=5)");
    become("all", "{}");
    derive("people?mood=sad");
    expect("people");
}

static void test_too_many_tags(void **ctx)
{
    static uint32_t many[API_TAGS_MAX + 2];
    static const char query[] = "people?status[in]=a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p&include=company";
    struct cache_state_setup settings = {.stamps = 1024,
                                         .tables_max = 200,
                                         .shapes_max = 64,
                                         .table_shapes_max = 16,
                                         .max_staleness = 1000000,
                                         .wake = wake};
    struct hs_err err = {0};

    (void)ctx;
    derive(query);
    assert_int_equal(got.n_tags, 17);
    cache_state_free(state);
    assert_int_equal(cache_state_new(&settings, &state, &err), HS_OK);
    cache_feed_begin(state, 1, BEGUN);
    for (size_t i = 0; i < HS_LEN(many); i++) {
        many[i] = 40000 + (uint32_t)i;
        cache_feed_table(state, many[i], NULL, 0, BEGUN);
    }
    for (size_t i = 0; i < WORLD_RELATIONS; i++)
        cache_feed_table(state, oids[i], NULL, 0, BEGUN);
    /* 16 and 50 are too many; one and 50 are not. */
    relations[COMPANIES].depend.tables = many;
    relations[COMPANIES].depend.n_tables = 50;
    derive(query);
    assert_true(got.is_known);
    assert_int_equal(got.n_tags, 52);
    for (size_t i = 0; i < got.n_tags; i++)
        assert_int_equal(got.tags[i].shape, CACHE_NO_INDEX);
    relations[COMPANIES].depend.n_tables = API_TAGS_MAX - 2;
    derive(query);
    assert_int_equal(got.n_tags, API_TAGS_MAX);
    relations[COMPANIES].depend.n_tables = API_TAGS_MAX - 1;
    derive(query);
    expect_unknown("more tables");
}

static void test_tables_run_out(void **ctx)
{
    static uint32_t many[8];

    (void)ctx;
    for (size_t i = 0; i < HS_LEN(many); i++)
        many[i] = 40000 + (uint32_t)i;
    relations[PEOPLE].depend.tables = many;
    relations[PEOPLE].depend.n_tables = HS_LEN(many);
    for (size_t i = 0; i < HS_LEN(many); i++)
        cache_feed_table(state, many[i], NULL, 0, BEGUN);
    derive("people");
    expect_unknown("more tables are read than the cache can follow");
}

/* A shape whose names cannot be kept makes a wider tag; what the arena lacks is an error. */
static bool scenario(void *arg)
{
    struct hs_arena own;
    struct hs_err err = {0};
    hs_status status;

    hs_arena_init(&own, 1 << 20);
    status = api_depend_tree(model, arg, who, state, &own, &got, &err);
    if (status)
        assert_int_equal(status, HS_E_MEMORY);
    else
        assert_true(got.is_known);
    hs_arena_fini(&own);
    return status == HS_OK;
}

static void test_memory(void **ctx)
{
    struct tree_select *tree = tree_of("people?status[in]=a,\"\\\"b\"&token=A0EEBC99-9C0B-4EF8-"
                                       "BB6D-6BB9BD380A11&include=company");

    (void)ctx;
    with_policy();
    become("all", "{\"company_id\":\"4\\u0032\"}");
    fault_each(scenario, tree);
    expect("people(company_id=42,status=\"b,token=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11) "
           "people(company_id=42,status=a,token=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11) companies");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_filters),
        TEST(test_only_what_must_hold),
        TEST(test_not_exact),
        TEST(test_too_many_columns),
        TEST(test_policy),
        TEST(test_policy_of_others),
        TEST(test_policy_of_a_known_caller),
        TEST(test_two_policies),
        TEST(test_more_tables),
        TEST(test_related_rows),
        TEST(test_unknown_values),
        TEST(test_unknown_deeper),
        TEST(test_unknown_relations),
        TEST(test_not_in_the_stream),
        TEST(test_estimated_count),
        TEST(test_item),
        TEST(test_item_of_another_type),
        TEST(test_shapes_run_out),
        TEST(test_too_many_tags),
        TEST(test_tables_run_out),
        TEST(test_memory),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
