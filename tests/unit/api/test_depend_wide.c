/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What answers depend on that only described trees can ask for: inner joins, EXISTS, tables between, values that
 * are made, functions and writes.
 */
#include "api/depend_world.h"

static struct tree_select *select_of(enum world_relation relation, struct tree_node *where)
{
    struct tree_select *s = HS_NEW(&arena, struct tree_select);

    s->relation = &relations[relation];
    s->where = where;
    s->with_columns = true;
    return s;
}

static struct tree_node *comparing(enum world_relation relation, const char *column,
                                   enum tree_op op, const char *value)
{
    struct tree_node *n = HS_NEW(&arena, struct tree_node);

    *n = (struct tree_node){.kind = TREE_COMPARE,
                            .op = op,
                            .column = pg_relation_column(&relations[relation], hs_str(column)),
                            .value = hs_str(value),
                            .is_untyped = true};
    return n;
}

static struct tree_join *joining(void)
{
    struct tree_join *j = HS_NEW(&arena, struct tree_join);

    j->here = world_list(&arena, &relations[PEOPLE], "company_id", NULL);
    j->there = world_list(&arena, &relations[COMPANIES], "id", NULL);
    j->n = 1;
    return j;
}

static struct tree_embed *embedding(struct tree_select *s, const struct tree_join *join,
                                    struct tree_select *of)
{
    struct tree_embed *e = HS_NEW(&arena, struct tree_embed);

    *e = (struct tree_embed){.join = join, .name = HS_STR("company"), .select = of};
    s->embeds = e;
    return e;
}

/* Of one of several values: a tag for each. Of all of them: no row need have any of them. */
static void test_quantified(void **ctx)
{
    struct tree_node *n = comparing(PEOPLE, "status", TREE_EQ, "{\"A\",\"B\"}");

    (void)ctx;
    n->quantifier = TREE_ANY;
    derive_tree(select_of(PEOPLE, n));
    expect("people(status=A) people(status=B)");
    n->quantifier = TREE_ALL;
    derive_tree(select_of(PEOPLE, n));
    expect("people");
    n->quantifier = TREE_ANY;
    n->op = TREE_IN;
    derive_tree(select_of(PEOPLE, n));
    expect("people");
}

/* Inner joins and anti-joins are as narrow as their filters. */
static void test_joins(void **ctx)
{
    struct tree_node *exists = HS_NEW(&arena, struct tree_node);
    struct tree_node *not = HS_NEW(&arena, struct tree_node);
    struct tree_select *s = select_of(PEOPLE, comparing(PEOPLE, "id", TREE_EQ, "007"));
    struct tree_join *via = joining();

    (void)ctx;
    embedding(s, joining(), select_of(COMPANIES, comparing(COMPANIES, "name", TREE_EQ, "x")))
        ->is_inner = true;
    derive_tree(s);
    expect("people(id=7) companies(name=x)");

    s = select_of(PEOPLE, not );
    exists->kind = TREE_EXISTS;
    exists->embed = embedding(s, joining(), select_of(COMPANIES, NULL));
    s->embeds->is_hidden = true;
    not ->kind = TREE_NOT;
    tree_node_append(not, exists);
    derive_tree(s);
    expect("people companies");

    via->via = &relations[PAIRS];
    s = select_of(PEOPLE, NULL);
    embedding(s, via, select_of(COMPANIES, NULL));
    derive_tree(s);
    expect("people pairs companies");
    relations[PAIRS].depend.is_known = false;
    derive_tree(s);
    expect_unknown("is not known");
}

static struct tree_value *making(const char *column, bool with_step)
{
    static const struct tree_step step = {.key = {"a", 1}, .is_text = true};
    struct tree_value *v = HS_NEW(&arena, struct tree_value);

    v->column = pg_relation_column(&relations[PEOPLE], hs_str(column));
    v->steps = &step;
    v->n_steps = with_step;
    return v;
}

static void derive_value(const struct tree_value *v)
{
    struct tree_field field = {.value = v};
    const struct tree_field *fields[] = {&field};
    struct tree_select *s = select_of(PEOPLE, NULL);

    s->fields = fields;
    s->n_fields = 1;
    derive_tree(s);
}

static void test_casts(void **ctx)
{
    static const struct pg_type regclass = {
        .oid = 2205, .base = 2205, .kind = PG_KIND_TEXT, .name = {"regclass", 8}};
    static const struct pg_type theirs = {
        .oid = 20001, .base = 20001, .kind = PG_KIND_TEXT, .name = {"theirs", 6}};
    struct tree_value *v = making("doc", true);

    (void)ctx;
    derive_value(v);
    expect("people");
    v->cast = world_type("bigint");
    derive_value(v);
    expect("people");
    v->cast = world_type("date");
    derive_value(v);
    expect_unknown("a cast to date");
    v->cast = &regclass;
    derive_value(v);
    expect_unknown("a cast to regclass");
    v->cast = &theirs;
    derive_value(v);
    expect_unknown("a cast to theirs");

    v = making("born", false);
    v->cast = world_type("date");
    derive_value(v);
    expect("people");
    v->cast = NULL;
    v->aggregate = TREE_MAX;
    v->aggregate_cast = &world_text;
    derive_value(v);
    expect("people");
    v->aggregate_cast = &regclass;
    derive_value(v);
    expect_unknown("a cast to regclass");
}

/* What is made is no column: it pins nothing, and its value is of its own type. */
static void test_made_filters(void **ctx)
{
    struct tree_node *n = comparing(PEOPLE, "id", TREE_EQ, "7");

    (void)ctx;
    n->made = making("doc", true);
    derive_tree(select_of(PEOPLE, n));
    expect("people");
    n->made = making("born", false);
    n->value = HS_STR("tomorrow");
    derive_tree(select_of(PEOPLE, n));
    expect_unknown("may mean another one");
    derive_tree(select_of(PEOPLE, comparing(PEOPLE, "born", TREE_DISTINCT, "today")));
    expect_unknown("may mean another one");
    derive_tree(select_of(PEOPLE, comparing(PEOPLE, "born", TREE_DISTINCT, "2020-01-01")));
    expect("people");
}

static void test_functions(void **ctx)
{
    struct pg_function function = {.quoted = HS_STR("\"public\".\"f\"")};
    struct tree_call call = {.function = &function};
    struct tree_json_write write = {.kind = TREE_DELETE};
    struct tree_join computed = {.function = &function};
    struct tree_value *v = making("doc", true);
    struct tree_select *s = select_of(PEOPLE, NULL);

    (void)ctx;
    v->function = &function;
    derive_value(v);
    expect_unknown("what computed field \"public\".\"f\" reads");
    s->call = &call;
    derive_tree(s);
    expect_unknown("a function or a write");
    s->call = NULL;
    s->write = &write;
    derive_tree(s);
    expect_unknown("a function or a write");
    s->write = NULL;
    embedding(s, &computed, select_of(COMPANIES, NULL));
    derive_tree(s);
    expect_unknown("a computed relationship");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_quantified),   TEST(test_joins),     TEST(test_casts),
        TEST(test_made_filters), TEST(test_functions),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
