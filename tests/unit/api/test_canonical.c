/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical form: spellings that become one statement, those that must not, and its property: whatever the
 * tree, it says the same of every row afterwards.
 */
#include "test.h"

#include "api/cursor.h"
#include "api/depend.h"
#include "api/world.h"
#include "core/hash.h"

static struct api_model *model;
static struct hs_arena arena;
static struct hs_buf scratch;

static int setup(void **state)
{
    (void)state;
    model = world_model();
    hs_arena_init(&arena, 1 << 26);
    hs_buf_init(&scratch, 1 << 20);
    return model ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    api_model_unref(model);
    hs_arena_fini(&arena);
    hs_buf_fini(&scratch);
    return 0;
}

/* The statement and its parameters, of the canonical tree, and what its cursors are bound to. */
static struct hs_str written(const char *query)
{
    const struct api_table *table = api_model_table(model, HS_STR("people"));
    struct simple_query *q = HS_NEW(&arena, struct simple_query);
    struct sql_statement st;
    struct hs_err err = {0};
    struct hs_str binding;
    struct hs_str text;

    assert_non_null(q);
    if (world_read(model, table, world_nobody(), NULL, hs_str(query), &arena, q, &err))
        fail_msg("%s: %s", query, err.what);
    api_canonical(&q->tree, &arena);
    assert_int_equal(sql_write(&q->tree, true, &scratch, &arena, &st, &err), HS_OK);
    assert_int_equal(cursor_binding(&q->tree, &arena, &binding, &err), HS_OK);
    text = hs_arena_printf(&arena, "%s|%016llx", st.text.p, (unsigned long long)hs_digest(binding));
    for (size_t i = 0; i < st.n_params; i++)
        text = hs_arena_printf(&arena, "%.*s|%s", HS_FMT(text), st.params[i]);
    return text;
}

static void test_one_form(void **state)
{
    static const char *const pairs[][2] = {
        {"status=A&companyId=5", "companyId=5&status=A"},
        {"id=1&id=1&id=1", "id=1"},
        {"id[gt]=1&id[lt]=9&status=A", "status=A&id[lt]=9&id[gt]=1"},
        {"id[in]=3,1,2", "id[in]=1,2,3"},
        {"id[in]=3,1,3,1", "id[in]=1,3"},
        {"status[in]=b,\"a,b\",b", "status[in]=\"a,b\",b"},
        {"lastName[null]=true&mood=sad", "mood=sad&lastName[null]=true"},
        {"search=x&status=A&page=1", "page=1&status=A&search=x"},
        {"id=007", "id=7"},
        {"id[gte]=007", "id[gte]=7"},
        {"status=A&fields=id&sort=-score", "sort=-score&fields=id&status=A"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(pairs); i++)
        assert_str(written(pairs[i][0]), written(pairs[i][1]));
}

static void test_what_matters_stays(void **state)
{
    static const char *const pairs[][2] = {
        {"fields=id,status", "fields=status,id"},
        {"sort=score,status", "sort=status,score"},
        {"include=company,manager", "include=manager,company"},
        {"id=1", "id=2"},
        {"id[gt]=1", "id[gte]=1"},
        {"id[in]=1,2", "id[in]=1,2,3"},
        {"firstName=a&lastName=b", "firstName=b&lastName=a"},
        {"id=1", "id[in]=1"},
        {"status=A", "status=a"},
        {"firstName=007", "firstName=7"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(pairs); i++) {
        struct hs_str one = written(pairs[i][0]);

        if (hs_str_eq(one, written(pairs[i][1])))
            fail_msg("%s and %s became one", pairs[i][0], pairs[i][1]);
    }
}

/* Words of a search stand in ORs, one each: they have an order, too. */
static void test_search_words(void **state)
{
    struct api_model *usual = model;
    struct api_setup settings = world_setup();
    struct hs_str rows[] = {HS_STR("people: first_name, last_name")};
    struct pg_catalog *catalog = world_catalog(NULL);
    struct hs_err err = {0};

    (void)state;
    settings.search = rows;
    settings.n_search = 1;
    assert_int_equal(api_model_new(&settings, catalog, &model, &err), HS_OK);
    pg_catalog_unref(catalog);
    assert_str(written("search=ann%20smith"), written("search=smith%20ann%20ann"));
    api_model_unref(model);
    model = usual;
}

/* ---- the property ---- */

enum { COLUMNS = 3, VALUES = 3, ROWS = VALUES * VALUES * VALUES };

static struct tree_node *random_node(struct hs_rng *rng, unsigned depth)
{
    static const char *const values[] = {"0", "1", "2"};
    const struct pg_relation *people = api_model_table(model, HS_STR("people"))->pg;
    struct tree_node *node = HS_NEW(&arena, struct tree_node);

    assert_non_null(node);
    node->kind = depth ? (enum tree_kind)(hs_rng_next(rng) % 4) : TREE_COMPARE;
    if (node->kind == TREE_COMPARE) {
        node->op = hs_rng_next(rng) % 2 ? TREE_EQ : TREE_NE;
        node->column = &people->columns[hs_rng_next(rng) % COLUMNS];
        node->value = hs_str(values[hs_rng_next(rng) % VALUES]);
        return node;
    }
    for (uint64_t n = hs_rng_next(rng) % 4; n; n--)
        tree_node_append(node, random_node(rng, depth - 1));
    return node;
}

/* What SQL makes of it for a row without NULLs (api/sql_where.c). */
static bool holds(const struct tree_node *node, size_t row)
{
    static const size_t powers[COLUMNS] = {1, VALUES, VALUES * VALUES};
    bool result = node->kind != TREE_OR;

    if (node->kind == TREE_COMPARE) {
        size_t value = row / powers[node->column->index] % VALUES;

        return ((size_t)(node->value.p[0] - '0') == value) == (node->op == TREE_EQ);
    }
    for (const struct tree_node *child = node->first; child; child = child->next) {
        if (node->kind == TREE_OR)
            result = holds(child, row) || result;
        else
            result = holds(child, row) && result;
    }
    return node->kind == TREE_NOT ? !result : result;
}

/* A copy whose children stand in another order, some of them twice. */
static struct tree_node *shuffled(struct hs_rng *rng, const struct tree_node *node)
{
    struct tree_node *copy = HS_NEW(&arena, struct tree_node);
    struct tree_node *children[8];
    size_t n = 0;

    assert_non_null(copy);
    *copy = *node;
    copy->first = copy->last = copy->next = NULL;
    for (const struct tree_node *child = node->first; child; child = child->next) {
        children[n++] = shuffled(rng, child);
        if (hs_rng_next(rng) % 4 == 0)
            children[n++] = shuffled(rng, child);
    }
    while (n) {
        size_t i = hs_rng_next(rng) % n;

        tree_node_append(copy, children[i]);
        children[i] = children[--n];
    }
    return copy;
}

static bool is_equal(const struct tree_node *a, const struct tree_node *b)
{
    const struct tree_node *x = a->first;
    const struct tree_node *y = b->first;

    if (a->kind != b->kind || a->op != b->op || a->column != b->column ||
        !hs_str_eq(a->value, b->value))
        return false;
    for (; x && y; x = x->next, y = y->next) {
        if (!is_equal(x, y))
            return false;
    }
    return !x && !y;
}

static void check_links(const struct tree_node *node)
{
    const struct tree_node *last = NULL;

    for (const struct tree_node *child = node->first; child; child = child->next) {
        check_links(child);
        last = child;
    }
    assert_ptr_equal(node->last, last);
}

static void test_meaning_stays(void **state)
{
    struct hs_rng rng = test_rng();

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        struct tree_select one = {.where = random_node(&rng, 3)};
        struct tree_select other = {.where = shuffled(&rng, one.where)};
        bool before[ROWS];

        for (size_t row = 0; row < ROWS; row++)
            before[row] = holds(one.where, row);
        api_canonical(&one, &arena);
        api_canonical(&other, &arena);
        check_links(one.where);
        assert_true(is_equal(one.where, other.where));
        for (size_t row = 0; row < ROWS; row++)
            assert_int_equal(holds(one.where, row), before[row]);
        api_canonical(&other, &arena);
        assert_true(is_equal(one.where, other.where));
        hs_arena_reset(&arena);
    }
}

/* The values of a ONE_OF come later: two of them are two, in the order in which they stood. */
static void test_open_values(void **state)
{
    const struct pg_relation *people = api_model_table(model, HS_STR("people"))->pg;
    struct tree_node nodes[4];
    struct tree_node where = {.kind = TREE_AND};
    struct tree_select tree = {.where = &where};
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < HS_LEN(nodes); i++) {
        nodes[i] = (struct tree_node){.kind = TREE_COMPARE,
                                      .op = TREE_ONE_OF,
                                      .column = &people->columns[i < 2],
                                      .n_values = 2};
        tree_node_append(&where, &nodes[i]);
    }
    api_canonical(&tree, &arena);
    for (const struct tree_node *node = where.first; node; node = node->next)
        n++;
    assert_int_equal(n, HS_LEN(nodes));
    assert_ptr_equal(where.first, &nodes[2]);
    assert_ptr_equal(where.last, &nodes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_form),     cmocka_unit_test(test_what_matters_stays),
        cmocka_unit_test(test_search_words), cmocka_unit_test(test_meaning_stays),
        cmocka_unit_test(test_open_values),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
