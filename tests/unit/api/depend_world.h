/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world of api/world.h with a state that follows its tables, and words to say on what an answer depends.
 */
#ifndef UNIT_API_DEPEND_WORLD_H
#define UNIT_API_DEPEND_WORLD_H

#include "test.h"

#include "api/depend.h"
#include "api/world.h"
#include "core/buf.h"

enum { FIRST_OID = 20000, BEGUN = 100, NOT_SERVED_OID = 30000 };
enum { COMPANY = 1, PLAN = 2 };

static const struct hs_str claim_names[] = {{"company_id", 10}, {"plan", 4}};
static const uint32_t oids[] = {FIRST_OID + COMPANIES, FIRST_OID + KEYLESS, FIRST_OID + MESSAGES,
                                FIRST_OID + PAIRS, FIRST_OID + PEOPLE};
static struct pg_narrow narrows[2];

static struct pg_relation *relations;
static struct api_model *model;
static struct cache_state *state;
static struct hs_arena arena;
static struct hs_identity *who;
static struct api_depend got;

static inline void wake(void *ctx)
{
    (void)ctx;
}

static inline void new_state(size_t table_shapes_max)
{
    struct cache_state_setup settings = {.stamps = 1024,
                                         .tables_max = 8,
                                         .shapes_max = 64,
                                         .table_shapes_max = table_shapes_max,
                                         .max_staleness = 1000000,
                                         .tag_key = "0123456789abcde",
                                         .wake = wake};
    struct hs_err err = {0};

    cache_state_free(state);
    assert_int_equal(cache_state_new(&settings, &state, &err), HS_OK);
    cache_feed_begin(state, 1, BEGUN);
    for (size_t i = 0; i < WORLD_RELATIONS; i++)
        cache_feed_table(state, oids[i], NULL, 0, BEGUN);
    cache_feed_table(state, NOT_SERVED_OID, NULL, 0, BEGUN);
}

/* Everything known, every type that can be is exact, nobody has policies. */
static inline void usual_world(void)
{
    for (size_t i = 0; i < WORLD_RELATIONS; i++) {
        struct pg_relation *r = &relations[i];

        r->relkind = 'r';
        r->has_rls = false;
        r->n_narrow = 0;
        r->depend = (struct pg_depend){.is_known = true, .tables = &oids[i], .n_tables = 1};
        for (size_t c = 0; c < r->n_columns; c++) {
            struct pg_column *column = (struct pg_column *)(uintptr_t)&r->columns[c];
            enum pg_kind kind = column->type->kind;

            column->is_generated = false;
            column->is_exact = kind == PG_KIND_INT8 || kind == PG_KIND_INT ||
                               kind == PG_KIND_BOOL || kind == PG_KIND_DATE ||
                               kind == PG_KIND_ENUM || column->type->base == 25 ||
                               column->type->base == 2950;
        }
    }
}

/* People are of a company each, which a policy for some roles compares with a claim. */
static inline void with_policy(void)
{
    struct pg_relation *people = &relations[PEOPLE];

    narrows[0] = (struct pg_narrow){pg_relation_column(people, HS_STR("company_id")),
                                    claim_names[0], WORLD_ALL | WORLD_PART};
    people->has_rls = true;
    people->narrow = narrows;
    people->n_narrow = 1;
    people->depend.claims = COMPANY;
}

static inline void become(const char *role, const char *claims)
{
    hs_identity_unref(who);
    who = hs_identity_new(hs_str(role), hs_str(claims), false);
    assert_non_null(who);
}

static inline int setup(void **ctx)
{
    (void)ctx;
    hs_arena_init(&arena, 1 << 24);
    usual_world();
    new_state(16);
    become("all", "{}");
    return 0;
}

static inline int teardown(void **ctx)
{
    (void)ctx;
    hs_arena_fini(&arena);
    cache_state_free(state);
    state = NULL;
    hs_identity_unref(who);
    who = NULL;
    return 0;
}

static inline int setup_all(void **ctx)
{
    struct api_setup settings = world_setup();
    struct pg_catalog *catalog = world_catalog_with_roles();
    struct hs_err err = {0};
    hs_status status = HS_E_MEMORY;

    (void)ctx;
    settings.rules.in_max = 50;
    if (catalog) {
        relations = catalog->relations;
        for (size_t i = 0; i < WORLD_RELATIONS; i++)
            relations[i].oid = oids[i];
        catalog->claims = claim_names;
        catalog->n_claims = HS_LEN(claim_names);
        status = api_model_new(&settings, catalog, &model, &err);
    }
    pg_catalog_unref(catalog);
    return status ? -1 : 0;
}

static inline int teardown_all(void **ctx)
{
    (void)ctx;
    api_model_unref(model);
    return 0;
}

static inline struct tree_select *tree_of(const char *url)
{
    struct hs_str query = hs_str(url);
    const struct api_table *table = api_model_table(model, hs_str_cut(&query, '?'));
    struct simple_query *q = HS_NEW(&arena, struct simple_query);
    struct hs_err err = {0};

    assert_non_null(table);
    assert_non_null(q);
    if (world_read(model, table, who, NULL, query, &arena, q, &err))
        fail_msg("%s: %s", url, err.what);
    return &q->tree;
}

static inline void derive_tree(const struct tree_select *tree)
{
    struct hs_err err = {0};

    assert_int_equal(api_depend_tree(model, tree, who, state, &arena, &got, &err), HS_OK);
}

static inline void derive(const char *url)
{
    derive_tree(tree_of(url));
}

static inline void derive_item(const char *name, const char *const *key)
{
    struct hs_err err = {0};

    assert_int_equal(api_depend_item(model, api_model_table(model, hs_str(name)), key, who, state,
                                     &arena, &got, &err),
                     HS_OK);
}

static inline void show(void)
{
    struct hs_buf text;

    hs_buf_init(&text, 1 << 16);
    for (size_t i = 0; i < got.n_tags; i++) {
        hs_buf_clear(&text);
        if (!cache_shape_text(state, got.tags[i].shape, &text))
            hs_buf_add_lit(&text, "whole");
        print_message("tag of table %u: %.*s\n", got.tags[i].table, HS_FMT(hs_buf_str(&text)));
    }
    hs_buf_fini(&text);
}

/* "people(company_id=42,status=A)" or "people" */
static inline struct cache_tag tag_of(struct hs_str text)
{
    struct hs_str name = hs_str_cut(&text, '(');
    struct hs_str rest = hs_str_sub(text, 0, text.n ? text.n - 1 : 0);
    uint32_t oid = NOT_SERVED_OID;
    struct hs_str columns[CACHE_COLUMNS_MAX];
    struct hs_str values[CACHE_COLUMNS_MAX];
    uint32_t shape;
    size_t n = 0;

    for (size_t i = 0; i < WORLD_RELATIONS; i++) {
        if (hs_str_eq(relations[i].name, name))
            oid = relations[i].oid;
    }
    if (!text.p || !text.n)
        return cache_tag_table(state, cache_table(state, oid));
    while (rest.n) {
        values[n] = hs_str_cut(&rest, ',');
        columns[n] = hs_str_cut(&values[n], '=');
        n++;
    }
    shape = cache_shape(state, cache_table(state, oid), columns, n);
    if (shape == CACHE_NO_INDEX)
        fail_msg("no such shape: %.*s", HS_FMT(text));
    return cache_tag_rows(state, shape, values);
}

/* Exactly these tags, in any order, with blanks between. */
static inline void expect(const char *tags)
{
    struct hs_str rest = hs_str(tags);
    size_t n = 0;

    if (!got.is_known)
        fail_msg("not known: %s", got.why);
    for (; rest.n; n++) {
        struct hs_str text = hs_str_cut(&rest, ' ');
        struct cache_tag tag = tag_of(text);
        size_t i = 0;

        while (i < got.n_tags && (got.tags[i].hash != tag.hash || got.tags[i].table != tag.table ||
                                  got.tags[i].shape != tag.shape))
            i++;
        if (i == got.n_tags) {
            show();
            fail_msg("%.*s is missing", HS_FMT(text));
        }
    }
    if (n != got.n_tags) {
        show();
        fail_msg("%zu tags, expected %s", got.n_tags, tags);
    }
}

static inline void expect_unknown(const char *why)
{
    assert_false(got.is_known);
    assert_int_equal(got.n_tags, 0);
    assert_non_null(got.why);
    if (!strstr(got.why, why))
        fail_msg("got \"%s\", expected \"%s\"", got.why, why);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
