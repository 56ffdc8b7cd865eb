/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model: names, collisions, relations, configuration rows, what each role is shown, and every
 * allocation failing in turn.
 */
#include "test.h"

#include "api/simple.h"
#include "api/world.h"
#include "fault.h"

static void test_camel_case(void **state)
{
    static const struct {
        const char *from;
        const char *to;
    } rows[] = {
        {"id", "id"},
        {"first_name", "firstName"},
        {"a_b_c", "aBC"},
        {"_id", "_id"},
        {"id_", "id_"},
        {"a__b", "a__b"},
        {"line_1", "line1"},
        {"__x_y", "__xY"},
        {"First_Name", "FirstName"},
        {"größe_neu", "größeNeu"},
        {"", ""},
        {"_", "_"},
    };
    char to[64];

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++)
        assert_str(hs_strn(to, api_camel_case(hs_str(rows[i].from), to)), hs_str(rows[i].to));
}

static hs_status build(const char *columns, struct hs_str search, struct hs_str relation,
                       bool camel, struct hs_err *err)
{
    struct api_setup setup = world_setup();
    struct pg_catalog *catalog = world_catalog(columns);
    struct api_model *model = NULL;
    hs_status status;

    setup.rules.camel_names = camel;
    setup.search = &search;
    setup.n_search = search.n > 0;
    setup.relations = &relation;
    setup.n_relations = relation.n > 0;
    hs_err_clear(err);
    status = api_model_new(&setup, catalog, &model, err);
    pg_catalog_unref(catalog);
    if (!status)
        api_model_unref(model);
    return status;
}

static void test_collision_names_both(void **state)
{
    const char *columns = "id bigint!, first_name text, firstName text";
    struct hs_err err;

    (void)state;
    assert_int_equal(build(columns, HS_STR(""), HS_STR(""), true, &err), HS_E_CONFIG);
    assert_non_null(strstr(err.what, "\"first_name\""));
    assert_non_null(strstr(err.what, "\"firstName\""));
    assert_non_null(strstr(err.hint, "api.names"));
    assert_int_equal(build(columns, HS_STR(""), HS_STR(""), false, &err), HS_OK);
}

static void test_configuration_rows(void **state)
{
    static const struct {
        const char *search;
        const char *relation;
        const char *why; /* NULL = good */
    } rows[] = {
        {"people: first_name, last_name", "", NULL},
        {"people: firstName", "", "no such column"},
        {"nobody: name", "", "no such table"},
        {"people: score", "", "text type"},
        {"people:", "", "no such column"},
        {"", "messages.readers: reader_ids[] -> people.id", NULL},
        {"", "messages.x:sender_id->people.id", NULL},
        {"", "messages.readers: reader_ids -> people.id", "is an array"},
        {"", "messages.readers: sender_id[] -> people.id", "not an array"},
        {"", "messages.readers: sender_id people.id", "\"->\""},
        {"", "messages.body: sender_id -> people.id", "column of that name"},
        {"", "messages.: sender_id -> people.id", "1 to 63"},
        {"", "messages.a.b: sender_id -> people.id", "comma, dot or quote"},
        {"", "nobody.a: sender_id -> people.id", "no such table"},
        {"", "messages.a: nothing -> people.id", "no such column"},
        {"", "messages.a: sender_id -> people", "no such column"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct hs_err err;
        hs_status status = build(NULL, hs_str(rows[i].search), hs_str(rows[i].relation), true,
                                 &err);

        if (status != (rows[i].why ? HS_E_CONFIG : HS_OK) ||
            (rows[i].why && !strstr(err.why, rows[i].why)))
            fail_msg("%s%s: %d %s %s", rows[i].search, rows[i].relation, status, err.what, err.why);
        if (status)
            assert_non_null(
                strstr(err.what, rows[i].search[0] ? rows[i].search : rows[i].relation));
    }
}

static void check_relation(const struct api_model *model, const char *table, const char *name,
                           const char *to, bool is_many)
{
    const struct api_relation *relation;
    const struct api_name *called;
    struct hs_err err;

    if (api_table_relation(api_model_table(model, hs_str(table)), hs_str(name), &relation, &called,
                           &err))
        fail_msg("%s.%s: %s", table, name, err.what);
    assert_str(relation->to->name, hs_str(to));
    assert_int_equal(relation->is_many, is_many);
    assert_str(called->name, hs_str(name));
}

static void test_relations(void **state)
{
    struct api_model *model = world_model();

    (void)state;
    assert_non_null(model);
    check_relation(model, "people", "company", "companies", false);
    check_relation(model, "people", "companies", "companies", false);
    check_relation(model, "people", "manager", "people", false);
    check_relation(model, "people", "people", "people", true);
    check_relation(model, "people", "peopleByManagerId", "people", true);
    check_relation(model, "people", "messagesBySenderId", "messages", true);
    check_relation(model, "messages", "sender", "people", false);
    check_relation(model, "messages", "readers", "people", true);
    check_relation(model, "companies", "people", "people", true);
    check_relation(model, "pairs", "owner", "companies", false);
    api_model_unref(model);
}

/* ---- what each role is shown ---- */

static struct api_model *model_with_roles(void)
{
    struct api_setup setup = world_setup();
    struct pg_catalog *catalog = world_catalog_with_roles();
    struct api_model *model = NULL;
    struct hs_err err;

    assert_non_null(catalog);
    assert_int_equal(api_model_new(&setup, catalog, &model, &err), HS_OK);
    pg_catalog_unref(catalog);
    return model;
}

static const struct api_shown *shown(const struct api_model *model, const char *table,
                                     const char *role)
{
    return api_table_shown(model, api_model_table(model, hs_str(table)), hs_str(role));
}

static void test_shown(void **state)
{
    struct api_model *model = model_with_roles();
    const struct api_table *people = api_model_table(model, HS_STR("people"));
    const struct api_shown *part = shown(model, "people", "part");

    (void)state;
    assert_int_equal(part->n_fields, 3);
    assert_str(part->fields[0]->name, HS_STR("id"));
    assert_str(part->fields[1]->name, HS_STR("firstName"));
    assert_str(part->fields[2]->name, HS_STR("companyId"));
    assert_str(part->item.text,
               HS_STR("SELECT t0.\"id\", t0.\"first_name\", t0.\"company_id\" FROM "
                      "\"public\".\"people\" t0 WHERE t0.\"id\" = "
                      "$1::pg_catalog.int8"));
    assert_int_equal(part->item.n_fields, 3);
    assert_true(part->item.is_shareable);
    assert_str(part->item_columns[1].key, HS_STR("\"firstName\":"));
    assert_ptr_equal(part->item_columns[2].type, world_type("bigint"));
    /* The same columns are one list; all of them and none of them are the whole. */
    assert_ptr_equal(shown(model, "people", "twin"), part);
    assert_ptr_equal(shown(model, "people", "all"), &people->shown);
    assert_ptr_equal(shown(model, "people", "words"), &people->shown);
    assert_ptr_equal(shown(model, "people", "none"), &people->shown);
    assert_ptr_equal(shown(model, "people", "stranger"), &people->shown);
    assert_ptr_equal(shown(model, "people", ""), &people->shown);
    assert_int_equal(people->shown.n_fields, people->pg->n_columns - 1);
    /* Part of a key is no reason to hide the rest: PostgreSQL will say. */
    assert_int_equal(shown(model, "pairs", "part")->n_fields, 2);
    assert_str(shown(model, "pairs", "part")->item.text,
               HS_STR("SELECT t0.\"b\", t0.\"note\" FROM \"public\".\"pairs\" t0 WHERE t0.\"a\" = "
                      "$1::pg_catalog.int4 AND t0.\"b\" = $2::pg_catalog.text"));
    /* Where nobody reads a part, nobody is asked who he is. */
    assert_null(api_model_table(model, HS_STR("companies"))->shown_to);
    assert_null(api_model_table(model, HS_STR("messages"))->shown_to);
    api_model_unref(model);
}

static void test_shown_in_queries(void **state)
{
    static const struct {
        const char *role;
        const char *query;
        size_t n_people;
        size_t n_embedded; /* of the included row; 0 = none */
    } rows[] = {
        {"part", "", 3, 0},  {"part", "include=company", 3, 2},  {"part", "fields=id,token", 2, 0},
        {"all", "", 14, 0},  {"all", "include=company", 14, 2},  {"part", "include=manager", 3, 3},
        {"none", "", 14, 0}, {"none", "include=manager", 14, 14}};
    struct api_model *model = model_with_roles();
    const struct api_table *people = api_model_table(model, HS_STR("people"));
    struct hs_arena arena;

    (void)state;
    hs_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct hs_str role = hs_str(rows[i].role);
        const struct hs_identity who = {.role = role};
        struct hs_str query = hs_str(rows[i].query);
        const char *key[] = {"1"};
        struct simple_query list;
        struct simple_query item;
        struct hs_err err;

        assert_int_equal(world_read(model, people, &who, NULL, query, &arena, &list, &err), HS_OK);
        assert_int_equal(world_read(model, people, &who, key, query, &arena, &item, &err), HS_OK);
        assert_int_equal(list.tree.n_fields, rows[i].n_people);
        assert_int_equal(item.tree.n_fields, rows[i].n_people);
        assert_int_equal(list.tree.embeds ? list.tree.embeds->select->n_fields : 0,
                         rows[i].n_embedded);
    }
    hs_arena_fini(&arena);
    api_model_unref(model);
}

static bool build_once(void *arg)
{
    struct api_setup setup = world_setup();
    struct api_model *model;
    struct hs_err err = {0};

    if (api_model_new(&setup, arg, &model, &err)) {
        assert_int_equal(err.status, HS_E_MEMORY);
        return false;
    }
    api_model_unref(model);
    return true;
}

static void test_failing_allocations(void **state)
{
    struct pg_catalog *catalog = world_catalog_with_roles();

    (void)state;
    assert_non_null(catalog);
    fault_each(build_once, catalog);
    pg_catalog_unref(catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_camel_case),
        cmocka_unit_test(test_collision_names_both),
        cmocka_unit_test(test_configuration_rows),
        cmocka_unit_test(test_relations),
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_shown_in_queries),
        cmocka_unit_test(test_failing_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
