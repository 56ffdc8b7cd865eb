/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any query string of the PostgREST dialect, bound to a catalog. The first byte says what it is for. A refusal has a
 * code of PostgREST's or an SQLSTATE and a reason, and is valid JSON; a tree names only what the catalog has, and
 * everything where it belongs: columns of a level's relation, joins between the relations of two levels.
 */
#include <stdlib.h>

#include "api/world.h"
#include "core/json_read.h"
#include "rest/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int16_t first[] = {1};
static const int16_t sender[] = {2};
static const int16_t receiver[] = {3};
static const int16_t company[] = {11};
static const int16_t manager[] = {12};
static const struct pg_reference references[] = {
    {{"company", 7}, PEOPLE, COMPANIES, company, first, 1, false},
    {{"manager", 7}, PEOPLE, PEOPLE, manager, first, 1, false},
    {{"owner", 5}, PAIRS, COMPANIES, first, first, 1, true},
    {{"receiver", 8}, MESSAGES, PEOPLE, receiver, first, 1, false},
    {{"sender", 6}, MESSAGES, PEOPLE, sender, first, 1, false},
};
static const struct pg_type_name type_names[] = {{{"bigint", 6}, &world_types[0]},
                                                 {{"text", 4}, &world_text}};

static struct rest_model *make_model(void)
{
    struct pg_catalog *catalog = world_catalog(NULL);
    struct rest_model *model = NULL;
    struct hs_err err;

    if (!catalog)
        return NULL;
    for (uint32_t i = 0; i < WORLD_RELATIONS; i++)
        catalog->relations[i].oid = i;
    catalog->references = references;
    catalog->n_references = HS_LEN(references);
    catalog->type_names = type_names;
    catalog->n_type_names = HS_LEN(type_names);
    if (rest_model_new(catalog, &model, &err))
        return NULL;
    return model;
}

static void check_column(const struct pg_relation *relation, const struct pg_column *column,
                         const struct tree_value *value)
{
    if (value && value->column != column)
        abort();
    if (!column && (!value || (!value->function && value->aggregate != TREE_COUNT)))
        abort();
    if (column && (column < relation->columns || column >= relation->columns + relation->n_columns))
        abort();
}

static void check_node(const struct tree_select *tree, const struct tree_node *node)
{
    if (node->kind == TREE_EXISTS) {
        const struct tree_embed *e = tree->embeds;

        while (e && e != node->embed)
            e = e->next;
        if (!e)
            abort();
    } else if (node->kind == TREE_COMPARE) {
        check_column(tree->relation, node->column, node->made);
    }
    for (const struct tree_node *n = node->first; n; n = n->next)
        check_node(tree, n);
}

static void check_tree(const struct tree_select *tree)
{
    if (tree->n_fields > REST_FIELDS_MAX)
        abort();
    for (size_t i = 0; i < tree->n_fields; i++)
        check_column(tree->relation, tree->fields[i]->column, tree->fields[i]->value);
    if (tree->where)
        check_node(tree, tree->where);
    for (size_t i = 0; i < tree->n_order; i++) {
        const struct tree_order *o = &tree->order[i];

        check_column(o->embed ? o->embed->select->relation : tree->relation, o->column, o->made);
        if (o->embed && o->embed->is_many)
            abort();
    }
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        for (size_t i = 0; i < e->join->n; i++) {
            check_column(tree->relation, e->join->here[i], NULL);
            check_column(e->select->relation, e->join->there[i], NULL);
        }
        check_tree(e->select);
    }
}

static void check_error(const struct hs_err *err, const struct rest_more *more)
{
    enum json_token token = JSON_NULL;
    struct json_reader r;
    struct hs_buf out;

    hs_buf_init(&out, 1 << 20);
    rest_error_to_json(err, more, false, &out);
    if (hs_buf_failed(&out) || !err->what[0])
        abort();
    json_reader_init(&r, hs_buf_str(&out), JSON_DEPTH_MAX);
    while (token != JSON_END) {
        if (json_next(&r, &token, NULL))
            abort();
    }
    hs_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rest_model *model;
    static struct hs_arena arena;
    struct rest_more more = {0};
    struct rest_ask ask;
    struct tree_select tree;
    struct hs_err err = {0};

    if (!model) {
        model = make_model();
        hs_arena_init(&arena, 1 << 26);
    }
    if (!model || !size || size > 1 << 14)
        return 0;
    if (!rest_ask_read(REST_FOR_ROWS, hs_strn((const char *)data + 1, size - 1), &arena, &ask,
                       &err)) {
        const struct rest_plan_setup setup = {
            .model = model,
            .use = data[0] & 1 ? REST_PLAN_WRITE : REST_PLAN_READ,
            .schema = HS_STR("public"),
            .relation = &rest_model_catalog(model)->relations[(data[0] >> 4) % WORLD_RELATIONS],
            .max_rows = data[0] & 2 ? 10 : 0,
            .has_aggregates = !(data[0] & 4),
            .only_aliases = data[0] & 8,
            .arena = &arena,
            .more = &more};

        if (rest_plan(&setup, &ask, &tree, &err))
            check_error(&err, &more);
        else
            check_tree(&tree);
    }
    hs_arena_reset(&arena);
    return 0;
}
