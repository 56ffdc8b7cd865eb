/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model: fields of relations under the names that the catalog has for them, found by binary search, and
 * their keys. A field that is asked for as it is, is never built for a request: it is one of these.
 *
 * A function that returns rows of a table has that table's; one with OUT or TABLE columns, and a scalar one,
 * has fields of its own and no relationships.
 */
#include "rest/model_int.h"

#include <stdlib.h>

#include "core/json.h"
#include "core/mem.h"

enum { MODEL_MAGIC = 0x524d4f44, KEY_TEXT_MAX = 1 << 12 };

static int by_field_name(const void *a, const void *b)
{
    const struct tree_field *const *x = a;
    const struct tree_field *const *y = b;

    return hs_str_cmp((*x)->name, (*y)->name);
}

/* "name": as JSON has it */
static struct hs_str json_key(struct hs_arena *arena, struct hs_buf *scratch, struct hs_str name)
{
    hs_buf_clear(scratch);
    hs_json_text(scratch, name);
    hs_buf_add_char(scratch, ':');
    if (hs_buf_failed(scratch))
        return HS_STR_NULL;
    return hs_arena_dup(arena, hs_buf_str(scratch));
}

static bool build_fields(struct rest_model *model, struct hs_buf *scratch,
                         const struct pg_relation *pg, struct rest_relation *to)
{
    struct hs_arena *arena = &model->arena;
    struct tree_field *fields = HS_NEW_ARRAY(arena, pg->n_columns + 1, struct tree_field);
    const struct tree_field **all = HS_NEW_ARRAY(arena, pg->n_columns + 1,
                                                 const struct tree_field *);
    const struct tree_field **sorted = HS_NEW_ARRAY(arena, pg->n_columns + 1,
                                                    const struct tree_field *);

    if (!fields || !all || !sorted)
        return false;
    for (size_t i = 0; i < pg->n_columns; i++) {
        const struct pg_column *c = &pg->columns[i];

        fields[i] = (struct tree_field){.column = c,
                                        .name = c->name,
                                        .key = json_key(arena, scratch, c->name),
                                        .alias = c->quoted};
        if (!fields[i].key.p)
            return false;
        all[i] = sorted[i] = &fields[i];
    }
    qsort(sorted, pg->n_columns, sizeof(const struct tree_field *), by_field_name);
    to->pg = pg;
    to->fields = fields;
    to->all = all;
    to->by_name = sorted;
    return true;
}

void *rest_build_grow(struct hs_arena *arena, void *list, size_t n, size_t *cap, size_t size)
{
    size_t more = *cap ? *cap * 2 : 16;
    void *larger;

    if (n < *cap)
        return list;
    larger = hs_arena_zalloc(arena, more, size);
    if (!larger)
        return NULL;
    if (n)
        memcpy(larger, list, n * size);
    *cap = more;
    return larger;
}

static bool is_of_catalog(const struct pg_catalog *catalog, const struct pg_relation *relation)
{
    return (uintptr_t)relation >= (uintptr_t)catalog->relations &&
           (uintptr_t)relation < (uintptr_t)(catalog->relations + catalog->n_relations);
}

static bool build_relations(struct rest_model *model, struct hs_buf *scratch)
{
    const struct pg_catalog *catalog = model->catalog;

    model->relations = HS_NEW_ARRAY(&model->arena, catalog->n_relations + 1, struct rest_relation);
    for (size_t i = 0; model->relations && i < catalog->n_relations; i++) {
        if (!build_fields(model, scratch, &catalog->relations[i], &model->relations[i]))
            return false;
    }
    return model->relations != NULL;
}

static bool build_rows(struct rest_model *model, struct hs_buf *scratch)
{
    const struct pg_catalog *catalog = model->catalog;

    model->rows = HS_NEW_ARRAY(&model->arena, catalog->n_functions + 1,
                               const struct rest_relation *);
    for (size_t i = 0; model->rows && i < catalog->n_functions; i++) {
        const struct pg_relation *row = catalog->functions[i].row;
        struct rest_relation *made;

        if (!row)
            continue;
        model->rows[i] = rest_model_relation(model, row);
        if (model->rows[i])
            continue;
        made = HS_NEW(&model->arena, struct rest_relation);
        if (!made || !build_fields(model, scratch, row, made))
            return false;
        model->rows[i] = made;
    }
    return model->rows != NULL;
}

static bool build(struct rest_model *model)
{
    struct rest_build build = {.model = model, .arena = &model->arena};
    struct hs_buf scratch;
    bool ok;

    hs_buf_init(&scratch, KEY_TEXT_MAX);
    ok = build_relations(model, &scratch) && build_rows(model, &scratch);
    hs_buf_fini(&scratch);
    if (!ok)
        return false;
    rest_build_views(&build);
    rest_build_keys(&build);
    rest_build_relationships(&build);
    rest_build_choices(&build);
    return !hs_arena_failed(&model->arena);
}

hs_status rest_model_new(const struct pg_catalog *catalog, struct rest_model **ret_model,
                         struct hs_err *reterr)
{
    struct rest_model *model = hs_calloc(1, sizeof(*model));

    if (!model)
        return hs_fail_memory(reterr);
    model->magic = MODEL_MAGIC;
    model->catalog = catalog;
    hs_arena_init(&model->arena, REST_MODEL_BYTES_MAX);
    if (!build(model)) {
        rest_model_free(model);
        return hs_fail_memory(reterr);
    }
    *ret_model = model;
    return HS_OK;
}

void rest_model_free(void *model)
{
    struct rest_model *m = model;

    if (!m)
        return;
    HS_OBJ(m, (uint32_t)MODEL_MAGIC);
    m->magic = 0;
    hs_arena_fini(&m->arena);
    hs_free(m);
}

hs_status rest_model_attach(struct api_model *model, struct hs_err *reterr)
{
    struct rest_model *made;
    hs_status status = rest_model_new(api_model_catalog(model), &made, reterr);

    if (!status)
        api_model_attach(model, made, rest_model_free);
    return status;
}

const struct rest_model *rest_model_of(const struct api_model *model)
{
    const struct rest_model *made = api_model_attached(model);

    HS_BUG_ON(made && made->magic != (uint32_t)MODEL_MAGIC);
    return made;
}

const struct pg_catalog *rest_model_catalog(const struct rest_model *model)
{
    return model->catalog;
}

const struct rest_relation *rest_model_relation(const struct rest_model *model,
                                                const struct pg_relation *relation)
{
    if (!is_of_catalog(model->catalog, relation))
        return NULL;
    return &model->relations[relation - model->catalog->relations];
}

const struct rest_relation *rest_model_row(const struct rest_model *model,
                                           const struct pg_function *function)
{
    return model->rows[function - model->catalog->functions];
}

const struct tree_field *rest_relation_field(const struct rest_relation *relation,
                                             struct hs_str name)
{
    size_t low = 0;
    size_t high = relation->pg->n_columns;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = hs_str_cmp(relation->by_name[middle]->name, name);

        if (order == 0)
            return relation->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct rest_choice *rest_relation_choices(const struct rest_relation *relation,
                                                struct hs_str name, size_t *ret_n)
{
    size_t low = 0;
    size_t high = relation->n_choices;
    size_t n = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (hs_str_cmp(relation->choices[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (low + n < relation->n_choices && hs_str_eq(relation->choices[low + n].name, name))
        n++;
    *ret_n = n;
    return n ? &relation->choices[low] : NULL;
}
