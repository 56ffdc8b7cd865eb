/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not bound, in the words of PostgREST's error reference and of PostgreSQL: code, status, message, details
 * and hint of each, as a client reads them.
 */
#include "rest/plan.h"

#include "fault.h"
#include "rest/plan_int.h"
#include "rest/rest_world.h"
#include "test.h"

static struct rest_world world;

static struct rest_plan_setup setup_of(const char *name, struct hs_arena *arena,
                                       struct rest_more *more)
{
    return (struct rest_plan_setup){.model = world.model,
                                    .schema = HS_STR("test"),
                                    .relation = rest_world_relation(&world, name)->pg,
                                    .has_aggregates = true,
                                    .arena = arena,
                                    .more = more};
}

static hs_status plan(const struct rest_plan_setup *setup, const char *query, struct hs_err *err)
{
    struct rest_ask ask;
    struct tree_select tree;

    hs_err_clear(err);
    if (rest_ask_read(REST_FOR_ROWS, hs_str(query), setup->arena, &ask, err) != HS_OK)
        fail_msg("%s: %s %s", query, err->what, err->why);
    return rest_plan(setup, &ask, &tree, err);
}

/* "400 {...}" */
static void expect_said(const struct hs_err *err, const struct rest_more *more,
                        const char *expected)
{
    struct hs_buf out;

    hs_buf_init(&out, 1 << 16);
    hs_buf_printf(&out, "%u ", hs_err_http(err));
    rest_error_to_json(err, more, false, &out);
    assert_string_equal(hs_buf_cstr(&out), expected);
    hs_buf_fini(&out);
}

static void expect(const char *of, const char *query, const char *expected)
{
    struct hs_arena arena;
    struct rest_more more = {0};
    struct rest_plan_setup setup;
    struct hs_err err;

    hs_arena_init(&arena, 1 << 20);
    setup = setup_of(of, &arena, &more);
    if (plan(&setup, query, &err) == HS_OK)
        fail_msg("%s is no error", query);
    expect_said(&err, &more, expected);
    hs_arena_fini(&arena);
}

#define NONE(code, message) \
    "400 {\"code\":\"" code "\",\"details\":null,\"hint\":null,\"message\":\"" message "\"}"

static void test_columns(void **state)
{
    (void)state;
    expect("projects", "select=foo", NONE("42703", "column projects.foo does not exist"));
    expect("projects", "select=nam",
           "400 {\"code\":\"42703\",\"details\":null,\"hint\":\"Perhaps you meant to reference the "
           "column \\\"projects.name\\\".\",\"message\":\"column projects.nam does not exist\"}");
    expect("projects", "foo=eq.1", NONE("42703", "column projects.foo does not exist"));
    expect("projects", "order=foo", NONE("42703", "column projects.foo does not exist"));
    expect("projects", "select=foo->a", NONE("42703", "column projects.foo does not exist"));
    expect("clients", "select=projects(foo)",
           NONE("42703", "column projects_1.foo does not exist"));
    expect("clients", "select=projects(tasks(id))&projects.tasks.foo=eq.1",
           NONE("42703", "column tasks_2.foo does not exist"));
    /* Of a junction's target PostgREST's statement has the table itself. */
    expect("tasks", "select=users(foo)", NONE("42703", "column users.foo does not exist"));
    expect("projects", "select=id,clients(id)&order=clients(foo)",
           NONE("42703", "column projects_clients_1.foo does not exist"));
    /* No embed has the name, and no column. */
    expect("clients", "select=id&projects=is.null",
           NONE("42703", "column clients.projects does not exist"));
    /* An embed has it, and the operator is none for embeds. */
    expect("clients", "select=id,projects(id)&projects=eq.1",
           NONE("42703", "column clients.projects does not exist"));
}

/* PostgreSQL names two that are equally near, and none of three. */
static void test_near_columns(void **state)
{
    (void)state;
    expect("orders", "select=idx",
           "400 {\"code\":\"42703\",\"details\":null,\"hint\":\"Perhaps you meant to reference the "
           "column \\\"orders.id\\\".\",\"message\":\"column orders.idx does not exist\"}");
    expect(
        "roles", "select=aovie_id",
        "400 {\"code\":\"42703\",\"details\":null,\"hint\":\"Perhaps you meant to reference the "
        "column \\\"roles.movie_id\\\".\",\"message\":\"column roles.aovie_id does not exist\"}");
    expect("beds", "select=roose",
           "400 {\"code\":\"42703\",\"details\":null,\"hint\":\"Perhaps you meant to reference the "
           "column \\\"beds.house\\\" or the column \\\"beds.room\\\".\","
           "\"message\":\"column beds.roose does not exist\"}");
}

/* One letter or more of a column's name changed or dropped. */
static struct hs_str mistyped(struct hs_rng *rng, struct hs_str name, char *to)
{
    size_t n = name.n;

    memcpy(to, name.p, n);
    for (uint64_t i = hs_rng_below(rng, 3); i < 3; i++) {
        size_t at = (size_t)hs_rng_below(rng, n);

        if (hs_rng_below(rng, 2)) {
            to[at] = (char)('a' + hs_rng_below(rng, 26));
        } else if (n > 1) {
            memmove(to + at, to + at + 1, n - at - 1);
            n--;
        }
    }
    return hs_strn(to, n);
}

static void expect_as_postgresql(const struct rest_relation *r, struct hs_str name)
{
    struct hs_err err = {0};
    struct hs_buf sql;
    PGresult *result;
    const char *hint;

    hs_buf_init(&sql, 1 << 10);
    hs_buf_printf(&sql, "SELECT %.*s.\"%.*s\" FROM %.*s", HS_FMT(r->pg->quoted), HS_FMT(name),
                  HS_FMT(r->pg->quoted));
    result = PQexec(world.catalog_world.owner, hs_buf_cstr(&sql));
    hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    assert_int_equal(rest_plan_no_column(r, r->pg->name, name, &err), HS_E_PG_ERROR);
    assert_string_equal(err.what, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    assert_string_equal(err.sqlstate, PQresultErrorField(result, PG_DIAG_SQLSTATE));
    assert_string_equal(err.hint, hint ? hint : "");
    PQclear(result);
    hs_buf_fini(&sql);
}

/* What PostgreSQL says of a name that is nearly a column's is what is said here. */
static void test_as_postgresql(void **state)
{
    static const char *const relations[] = {"orders", "films", "beds"};
    struct hs_rng rng = test_rng();

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        const struct rest_relation *r = rest_world_relation(&world, relations[i % 3]);
        char text[64];
        struct hs_str name = mistyped(&rng, r->fields[hs_rng_below(&rng, r->pg->n_columns)].name,
                                      text);

        if (!rest_relation_field(r, name))
            expect_as_postgresql(r, name);
    }
}

static void test_other_alphabets(void **state)
{
    static const char *const names[] = {"nï", "Ün", "Uni", "grösse", "gröse", "größen", "größ"};

    (void)state;
    for (size_t i = 0; i < HS_LEN(names); i++)
        expect_as_postgresql(rest_world_relation(&world, "odd"), hs_str(names[i]));
}

static void test_types(void **state)
{
    (void)state;
    expect("projects", "select=id::foo", NONE("42704", "type \\\"foo\\\" does not exist"));
    expect("projects", "select=id.sum()::Foo", NONE("42704", "type \\\"foo\\\" does not exist"));
}

static void test_no_relationship(void **state)
{
    (void)state;
    expect(
        "projects", "select=movies(*)",
        "400 {\"code\":\"PGRST200\",\"details\":\"Searched for a foreign key relationship between "
        "'projects' and 'movies' in the schema 'test', but no matches were found.\",\"hint\":null,"
        "\"message\":\"Could not find a relationship between 'projects' and 'movies' in the schema "
        "cache\"}");
    expect(
        "projects", "select=client(*)",
        "400 {\"code\":\"PGRST200\",\"details\":\"Searched for a foreign key relationship between "
        "'projects' and 'client' in the schema 'test', but no matches were found.\","
        "\"hint\":\"Perhaps you meant 'clients' instead of 'client'.\",\"message\":\"Could not find a "
        "relationship between 'projects' and 'client' in the schema cache\"}");
    expect(
        "projects", "select=clients!zzz(*)",
        "400 {\"code\":\"PGRST200\",\"details\":\"Searched for a foreign key relationship between "
        "'projects' and 'clients' using the hint 'zzz' in the schema 'test', but no matches were "
        "found.\",\"hint\":null,\"message\":\"Could not find a relationship between 'projects' and "
        "'clients' in the schema cache\"}");
    /* The origin has none at all: another one is suggested. */
    expect(
        "rooms_part", "select=beds(*)",
        "400 {\"code\":\"PGRST200\",\"details\":\"Searched for a foreign key relationship between "
        "'rooms_part' and 'beds' in the schema 'test', but no matches were found.\","
        "\"hint\":\"Perhaps you meant 'rooms' instead of 'rooms_part'.\",\"message\":\"Could not "
        "find a relationship between 'rooms_part' and 'beds' in the schema cache\"}");
    /* Of the embed's relation. */
    expect(
        "tasks", "select=projects(beds(*))",
        "400 {\"code\":\"PGRST200\",\"details\":\"Searched for a foreign key relationship between "
        "'projects' and 'beds' in the schema 'test', but no matches were found.\",\"hint\":null,"
        "\"message\":\"Could not find a relationship between 'projects' and 'beds' in the schema "
        "cache\"}");
}

static void test_many_relationships(void **state)
{
    (void)state;
    expect(
        "orders", "select=addresses(*)",
        "300 {\"code\":\"PGRST201\",\"details\":["
        "{\"cardinality\":\"many-to-one\",\"embedding\":\"orders with addresses\","
        "\"relationship\":\"billing using orders(billing_address_id) and addresses(id)\"},"
        "{\"cardinality\":\"many-to-one\",\"embedding\":\"orders with addresses\","
        "\"relationship\":\"shipping using orders(shipping_address_id) and addresses(id)\"}],"
        "\"hint\":\"Try changing 'addresses' to one of the following: 'addresses!billing', "
        "'addresses!shipping'. Find the desired relationship in the 'details' key.\","
        "\"message\":\"Could not embed because more than one relationship was found for 'orders' and "
        "'addresses'\"}");
    expect(
        "organizations", "select=organizations(*)",
        "300 {\"code\":\"PGRST201\",\"details\":["
        "{\"cardinality\":\"one-to-many\",\"embedding\":\"organizations with organizations\","
        "\"relationship\":\"organizations_auditor_fkey using organizations(id) and "
        "organizations(auditor)\"},"
        "{\"cardinality\":\"one-to-many\",\"embedding\":\"organizations with organizations\","
        "\"relationship\":\"organizations_referee_fkey using organizations(id) and "
        "organizations(referee)\"}],"
        "\"hint\":\"Try changing 'organizations' to one of the following: "
        "'organizations!organizations_auditor_fkey', 'organizations!organizations_referee_fkey'. Find "
        "the desired relationship in the 'details' key.\","
        "\"message\":\"Could not embed because more than one relationship was found for "
        "'organizations' and 'organizations'\"}");
}

static void test_scopes(void **state)
{
    static const char said[] =
        "400 {\"code\":\"PGRST108\",\"details\":null,\"hint\":\"Verify that 'tasks' is included in the "
        "'select' query parameter.\",\"message\":\"'tasks' is not an embedded resource in this request\"}";
    struct hs_arena arena;
    struct rest_plan_setup setup;
    struct rest_more more = {0};
    struct hs_err err;

    (void)state;
    expect("projects", "tasks.id=eq.1", said);
    expect("projects", "select=clients(id)&clients.tasks.limit=1", said);
    expect("projects", "select=id&order=tasks(id)", said);
    expect("projects", "select=id,t:tasks(id)&order=tasks(id)", said);
    hs_arena_init(&arena, 1 << 20);
    setup = setup_of("projects", &arena, &more);
    setup.only_aliases = true;
    assert_int_equal(plan(&setup, "select=t:tasks(id)&t.id=eq.1", &err), HS_OK);
    assert_int_equal(plan(&setup, "select=t:tasks(id)&tasks.id=eq.1", &err), HS_E_PGRST108);
    expect_said(
        &err, &more,
        "400 {\"code\":\"PGRST108\",\"details\":\"Target names are not allowed in filters if they "
        "have an alias\",\"hint\":\"Change 'tasks' to 't' in filters, orders or limits.\","
        "\"message\":\"'tasks' is not an embedded resource in this request\"}");
    hs_arena_fini(&arena);
}

static void test_orders(void **state)
{
    (void)state;
    expect(
        "clients", "select=id,projects(id)&order=projects(id)",
        "400 {\"code\":\"PGRST118\",\"details\":\"'clients' and 'projects' do not form a many-to-one "
        "or one-to-one relationship\",\"hint\":null,\"message\":\"A related order on 'projects' is "
        "not possible\"}");
}

static void test_aggregates(void **state)
{
    static const char refused[] = NONE("PGRST123", "Use of aggregate functions is not allowed");
    static const char *const queries[] = {"select=count()", "select=id,tasks(id.max())",
                                          "select=...clients(count())"};
    static const char *const spreads[] = {"select=id,...tasks(id.max())",
                                          "select=id,...tasks(...projects(count()))"};

    (void)state;
    for (size_t i = 0; i < HS_LEN(queries); i++) {
        struct hs_arena arena;
        struct rest_plan_setup setup;
        struct hs_err err;

        hs_arena_init(&arena, 1 << 20);
        setup = setup_of("projects", &arena, NULL);
        assert_int_equal(plan(&setup, queries[i], &err), HS_OK);
        setup.has_aggregates = false;
        assert_int_equal(plan(&setup, queries[i], &err), HS_E_PGRST123);
        expect_said(&err, NULL, refused);
        hs_arena_fini(&arena);
    }
    for (size_t i = 0; i < HS_LEN(spreads); i++)
        expect(
            "projects", spreads[i],
            "400 {\"code\":\"PGRST127\",\"details\":\"Aggregates are not implemented for one-to-many or "
            "many-to-many spreads.\",\"hint\":null,\"message\":\"Feature not implemented\"}");
}

static void test_relations(void **state)
{
    static const struct {
        const char *schema;
        const char *name;
        const char *expected; /* NULL = there is one */
    } rows[] = {
        {"test", "projects", NULL},
        {"v2", "clients", NULL},
        {"test", "projectx",
         "404 {\"code\":\"PGRST205\",\"details\":null,\"hint\":\"Perhaps you meant the table "
         "'test.projects'\",\"message\":\"Could not find the table 'test.projectx' in the schema cache\"}"},
        {"v2", "projects",
         "404 {\"code\":\"PGRST205\",\"details\":null,\"hint\":null,\"message\":\"Could not find the "
         "table 'v2.projects' in the schema cache\"}"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        const struct pg_relation *r;
        struct hs_err err = {0};
        hs_status status = rest_plan_relation(world.model, hs_str(rows[i].schema),
                                              hs_str(rows[i].name), &r, &err);

        assert_int_equal(status == HS_OK, rows[i].expected == NULL);
        if (status)
            expect_said(&err, NULL, rows[i].expected);
        else
            assert_str(r->schema, hs_str(rows[i].schema));
    }
}

static void test_lists_of_columns(void **state)
{
    static const struct hs_str good[] = {{"name", 4}, {"id", 2}};
    static const struct hs_str bad[] = {{"id", 2}, {"foo", 3}};
    const struct pg_column *const *columns;
    struct hs_arena arena;
    struct rest_plan_setup setup;
    struct hs_err err = {0};

    (void)state;
    hs_arena_init(&arena, 1 << 20);
    setup = setup_of("projects", &arena, NULL);
    setup.use = REST_PLAN_WRITE;
    assert_int_equal(rest_plan_columns(&setup, good, 2, &columns, &err), HS_OK);
    assert_str(columns[0]->name, good[0]);
    assert_str(columns[1]->name, good[1]);
    assert_int_equal(rest_plan_columns(&setup, bad, 2, &columns, &err), HS_E_PGRST204);
    expect_said(
        &err, NULL,
        NONE("PGRST204", "Could not find the 'foo' column of 'projects' in the schema cache"));
    assert_int_equal(rest_plan_conflict(&setup, good, 2, &columns, &err), HS_OK);
    assert_int_equal(rest_plan_conflict(&setup, bad, 2, &columns, &err), HS_E_PG_ERROR);
    expect_said(&err, NULL, NONE("42703", "column \\\"foo\\\" does not exist"));
    hs_arena_fini(&arena);
}

static void test_too_many_fields(void **state)
{
    struct hs_buf query;

    (void)state;
    hs_buf_init(&query, 1 << 16);
    hs_buf_add_lit(&query, "select=*");
    for (size_t i = 0; i < REST_FIELDS_MAX / 3; i++)
        hs_buf_add_lit(&query, ",*");
    expect(
        "projects", hs_buf_cstr(&query),
        "500 {\"code\":\"54011\",\"details\":null,\"hint\":null,\"message\":\"target lists can have "
        "at most 1664 entries\"}");
    hs_buf_fini(&query);
}

/* The first fault is PostgREST's, whatever PostgreSQL would say of the rest. */
static void test_order_of_faults(void **state)
{
    static const struct {
        const char *query;
        hs_status status;
    } rows[] = {
        {"select=foo,zzz(id)&tasks.id=eq.1", HS_E_PGRST108},
        {"select=foo,zzz(id)&order=foo(id)", HS_E_PGRST200},
        {"select=foo,tasks(id),id.sum()&order=tasks(id)", HS_E_PGRST118},
        {"select=foo,id.sum()", HS_E_PGRST123},
        {"select=foo", HS_E_PG_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct hs_arena arena;
        struct rest_plan_setup setup;
        struct hs_err err;

        hs_arena_init(&arena, 1 << 20);
        setup = setup_of("projects", &arena, NULL);
        setup.has_aggregates = false;
        assert_int_equal(plan(&setup, rows[i].query, &err), rows[i].status);
        hs_arena_fini(&arena);
    }
}

static void test_brief(void **state)
{
    struct hs_err err = {0};
    struct hs_buf out;

    (void)state;
    (void)hs_fail(&err, HS_E_PGRST205, "no");
    hs_buf_init(&out, 1 << 10);
    rest_error_to_json(&err, NULL, true, &out);
    assert_string_equal(hs_buf_cstr(&out), "{\"code\":\"PGRST205\",\"message\":\"no\"}");
    hs_buf_fini(&out);
}

static bool choose(void *arg)
{
    struct hs_arena arena;
    struct rest_more more = {0};
    struct rest_plan_setup setup;
    struct rest_ask ask;
    struct tree_select tree;
    struct hs_err err = {0};
    hs_status status;

    (void)arg;
    hs_arena_init(&arena, 1 << 20);
    setup = setup_of("orders", &arena, &more);
    status = rest_ask_read(REST_FOR_ROWS, HS_STR("select=addresses(*)"), &arena, &ask, &err);
    if (!status)
        status = rest_plan(&setup, &ask, &tree, &err);
    if (status != HS_E_PGRST201)
        assert_int_equal(status, HS_E_MEMORY);
    hs_arena_fini(&arena);
    return status == HS_E_PGRST201;
}

static void test_memory(void **state)
{
    (void)state;
    fault_each(choose, NULL);
}

static int set_up(void **state)
{
    (void)state;
    rest_world_open(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rest_world_close(&world);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_near_columns),
        cmocka_unit_test(test_as_postgresql),
        cmocka_unit_test(test_other_alphabets),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_no_relationship),
        cmocka_unit_test(test_many_relationships),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_aggregates),
        cmocka_unit_test(test_relations),
        cmocka_unit_test(test_lists_of_columns),
        cmocka_unit_test(test_too_many_fields),
        cmocka_unit_test(test_order_of_faults),
        cmocka_unit_test(test_brief),
        cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
