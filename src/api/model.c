/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the model of a catalog: each table and column gets its outside name, its look-up index, and the
 * key its rows are addressed and paged by.
 *
 * The rule: one name for one thing. Two columns of a table, or two tables of a schema, that would get one
 * name are an error that names both; nothing is renamed silently. Of tables with one name in several
 * schemas the first schema's wins, as with search_path.
 *
 * camelCase: an underscore between two other characters goes and the character behind it is capitalized;
 * underscores at the ends stay.
 */
#include "api/model.h"

#include "api/comment.h"
#include "api/named.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/mem.h"

enum {
    MODEL_BYTES_MAX = 1 << 30,
    SCRATCH_MAX = 1 << 20,
    TABLES_MAX = 30000 /* positions are 16 bits, half of the index stays free */
};

/* ---- names ---- */

size_t api_camel_case(struct hs_str name, char *to)
{
    size_t n = 0;

    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_joint = c == '_' && n > 0 && to[n - 1] != '_' && i + 1 < name.n &&
                        name.p[i + 1] != '_';

        if (is_joint) {
            c = name.p[++i];
            c = c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
        }
        to[n++] = c;
    }
    return n;
}

struct hs_str api_build_name(struct api_build *build, struct hs_str name)
{
    char *to;

    if (!build->model->rules.camel_names)
        return hs_arena_dup(&build->model->arena, name);
    to = hs_arena_zalloc(&build->model->arena, name.n + 1, 1);
    return to ? hs_strn(to, api_camel_case(name, to)) : HS_STR_NULL;
}

static struct hs_str keep(struct api_build *build)
{
    struct hs_str kept = hs_arena_dup(&build->model->arena, hs_buf_str(&build->scratch));

    if (hs_buf_failed(&build->scratch))
        build->model->arena.failed = true;
    hs_buf_clear(&build->scratch);
    return kept;
}

struct api_name api_build_forms(struct api_build *build, struct hs_str name)
{
    struct api_name forms = {.name = name};

    hs_json_text(&build->scratch, name);
    hs_buf_add_char(&build->scratch, ':');
    forms.key = keep(build);
    hs_buf_add_char(&build->scratch, '"');
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"')
            hs_buf_add_char(&build->scratch, '"');
        hs_buf_add_char(&build->scratch, name.p[i]);
    }
    hs_buf_add_char(&build->scratch, '"');
    forms.alias = keep(build);
    return forms;
}

/* ---- look-up: open addressing, at most half full ---- */

static size_t index_size(size_t n)
{
    size_t size = 4;

    while (size < 2 * n)
        size *= 2;
    return size;
}

const struct tree_field *api_table_field(const struct api_table *table, struct hs_str name)
{
    for (size_t at = hs_hash(name);; at++) {
        uint16_t entry = table->index[at & table->index_mask];

        if (!entry)
            return NULL;
        if (hs_str_eq(table->fields[entry - 1].name, name))
            return &table->fields[entry - 1];
    }
}

const struct api_table *api_model_table(const struct api_model *model, struct hs_str name)
{
    for (size_t at = hs_hash(name);; at++) {
        uint16_t entry = model->index[at & model->index_mask];

        if (!entry)
            return NULL;
        if (hs_str_eq(model->tables[entry - 1].name, name))
            return &model->tables[entry - 1];
    }
}

bool api_table_is_key(const struct api_table *table, const struct pg_column *column)
{
    for (size_t i = 0; i < table->n_key; i++) {
        if (table->key[i] == column)
            return true;
    }
    return false;
}

static void index_add(uint16_t *index, size_t mask, struct hs_str name, size_t position)
{
    size_t at = hs_hash(name);

    while (index[at & mask])
        at++;
    index[at & mask] = (uint16_t)(position + 1);
}

struct api_table *api_build_table(struct api_build *build, struct hs_str name)
{
    for (size_t i = 0; i < build->model->n_tables; i++) {
        if (hs_str_eq(build->model->tables[i].pg->name, name))
            return &build->model->tables[i];
    }
    return NULL;
}

/* ---- one table ---- */

static hs_status build_fields(struct api_build *build, struct api_table *table,
                              struct hs_err *reterr)
{
    const struct pg_relation *pg = table->pg;
    struct hs_arena *arena = &build->model->arena;
    struct tree_field *fields = HS_NEW_ARRAY(arena, pg->n_columns + 1, struct tree_field);
    size_t size = index_size(pg->n_columns);

    table->index = HS_NEW_ARRAY(arena, size, uint16_t);
    table->index_mask = size - 1;
    table->shown.fields = HS_NEW_ARRAY(arena, pg->n_columns + 1, const struct tree_field *);
    if (!fields || !table->index || !table->shown.fields)
        return hs_fail_memory(reterr);
    table->fields = fields;
    for (size_t i = 0; i < pg->n_columns; i++) {
        const struct pg_column *column = &pg->columns[i];
        struct api_name forms = api_build_forms(build, api_build_name(build, column->name));
        const struct tree_field *other = api_table_field(table, forms.name);

        if (hs_arena_failed(arena))
            return hs_fail_memory(reterr);
        if (other) {
            (void)hs_fail(reterr, HS_E_CONFIG,
                          "columns \"%.*s\" and \"%.*s\" of %.*s have one camelCase name, \"%.*s\"",
                          HS_FMT(other->column->name), HS_FMT(column->name), HS_FMT(pg->quoted),
                          HS_FMT(forms.name));
            hs_err_hint(reterr, "Rename one of them, or set api.names to same.");
            return HS_E_CONFIG;
        }
        fields[i] = (struct tree_field){
            .column = column, .name = forms.name, .key = forms.key, .alias = forms.alias};
        index_add(table->index, table->index_mask, forms.name, i);
        if (!hs_str_is(column->type->name, "tsvector"))
            table->shown.fields[table->shown.n_fields++] = &fields[i];
    }
    return HS_OK;
}

/* The key that addresses a row and breaks ties: no column of it may be NULL. */
static void find_key(struct api_table *table)
{
    const struct pg_relation *pg = table->pg;
    const struct pg_key *key = pg->primary;

    for (size_t i = 0; !key && i < pg->n_keys; i++) {
        bool is_whole = true;

        for (size_t j = 0; j < pg->keys[i].n_columns; j++)
            is_whole = is_whole && pg->keys[i].columns[j]->not_null;
        if (is_whole)
            key = &pg->keys[i];
    }
    if (key) {
        table->key = key->columns;
        table->n_key = key->n_columns;
    }
}

/* ---- api.soft_delete.tables: "table: column" ---- */

struct tree_node *api_deleted_filter(const struct pg_column *column, struct hs_arena *arena)
{
    struct tree_node *node = HS_NEW(arena, struct tree_node);

    if (node)
        *node = (struct tree_node){.kind = TREE_COMPARE, .op = TREE_NULL, .column = column};
    return node;
}

bool api_model_sees_deleted(const struct api_model *model, struct hs_str role)
{
    return (model->sees_deleted & pg_catalog_reader_bit(model->catalog, role)) != 0;
}

static hs_status bad_soft_delete(struct hs_err *reterr, struct hs_str row, const char *why)
{
    (void)hs_fail(reterr, HS_E_CONFIG, "api.soft_delete.tables: bad row \"%.*s\"", HS_FMT(row));
    hs_err_why(reterr, "%s", why);
    hs_err_hint(reterr, "Write `table: column` with names of the database; the column is a date or "
                        "a timestamp that is NULL while the row lives.");
    return HS_E_CONFIG;
}

static hs_status build_soft_delete(struct api_build *build, struct api_table *table,
                                   struct hs_err *reterr)
{
    for (size_t i = 0; i < build->setup->n_soft_delete; i++) {
        struct hs_str row = build->setup->soft_delete[i];
        struct hs_str rest = row;
        const struct pg_column *column;

        if (!hs_str_eq(hs_str_trim(hs_str_cut(&rest, ':')), table->pg->name))
            continue;
        if (table->soft_delete)
            return bad_soft_delete(reterr, row, "The table has a row already.");
        column = pg_relation_column(table->pg, hs_str_trim(rest));
        if (!column)
            return bad_soft_delete(reterr, row, "The table has no such column.");
        if (column->not_null ||
            (column->type->kind != PG_KIND_DATE && column->type->kind != PG_KIND_TIMESTAMP &&
             column->type->kind != PG_KIND_TIMESTAMPTZ))
            return bad_soft_delete(reterr, row, "The column is not one that says when, or never.");
        table->soft_delete = column;
    }
    return HS_OK;
}

static hs_status check_soft_delete(struct api_build *build, struct hs_err *reterr)
{
    const struct api_setup *setup = build->setup;

    for (size_t i = 0; i < setup->n_soft_delete; i++) {
        struct hs_str rest = setup->soft_delete[i];

        if (!api_build_table(build, hs_str_trim(hs_str_cut(&rest, ':'))))
            return bad_soft_delete(reterr, setup->soft_delete[i], "There is no such table.");
    }
    for (size_t i = 0; i < setup->n_soft_delete_roles; i++)
        build->model->sees_deleted |= pg_catalog_reader_bit(build->model->catalog,
                                                            setup->soft_delete_roles[i]);
    return HS_OK;
}

static hs_status build_table(struct api_build *build, struct api_table *table,
                             struct hs_err *reterr)
{
    struct api_model *model = build->model;
    hs_status status = build_fields(build, table, reterr);
    struct hs_str route;

    if (status)
        return status;
    find_key(table);
    status = build_soft_delete(build, table, reterr);
    if (status)
        return status;
    route = hs_arena_printf(&model->arena, "%.*s/%.*s", HS_FMT(model->path), HS_FMT(table->name));
    table->route_list = hs_metric_route(route);
    if (model->rules.comment != API_COMMENT_NONE)
        table->comment_list = api_comment_route(&model->arena, route);
    route = hs_arena_printf(&model->arena, "%.*s/{id}", HS_FMT(route));
    table->route_item = hs_metric_route(route);
    if (model->rules.comment != API_COMMENT_NONE)
        table->comment_item = api_comment_route(&model->arena, route);
    if (hs_arena_failed(&model->arena))
        return hs_fail_memory(reterr);
    return api_build_shown(build, table, reterr);
}

/* ---- all tables ---- */

static hs_status add_table(struct api_build *build, const struct pg_relation *pg,
                           struct hs_err *reterr)
{
    struct api_model *model = build->model;
    struct hs_str name = api_build_name(build, pg->name);
    const struct api_table *other = name.n ? api_model_table(model, name) : NULL;
    struct api_table *table = &model->tables[model->n_tables];

    if (hs_arena_failed(&model->arena))
        return hs_fail_memory(reterr);
    if (other && hs_str_eq(other->pg->schema, pg->schema)) {
        (void)hs_fail(reterr, HS_E_CONFIG, "%.*s and %.*s have one camelCase name, \"%.*s\"",
                      HS_FMT(other->pg->quoted), HS_FMT(pg->quoted), HS_FMT(name));
        hs_err_hint(reterr, "Rename one of them, or set api.names to same.");
        return HS_E_CONFIG;
    }
    if (other)
        return HS_OK;
    table->pg = pg;
    table->name = name;
    index_add(model->index, model->index_mask, name, model->n_tables++);
    model->by_relation[pg - model->catalog->relations] = table;
    return build_table(build, table, reterr);
}

static hs_status build_tables(struct api_build *build, struct hs_err *reterr)
{
    struct api_model *model = build->model;
    struct pg_catalog *catalog = model->catalog;
    size_t size = index_size(catalog->n_relations);

    if (catalog->n_relations > TABLES_MAX)
        return hs_fail(reterr, HS_E_CONFIG,
                       "the exposed schemas hold %zu tables; at most %d are served",
                       catalog->n_relations, TABLES_MAX);
    model->tables = HS_NEW_ARRAY(&model->arena, catalog->n_relations + 1, struct api_table);
    model->by_relation = HS_NEW_ARRAY(&model->arena, catalog->n_relations + 1, struct api_table *);
    model->index = HS_NEW_ARRAY(&model->arena, size, uint16_t);
    model->index_mask = size - 1;
    if (!model->tables || !model->by_relation || !model->index)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < catalog->n_relations; i++) {
        hs_status status = add_table(build, &catalog->relations[i], reterr);

        if (status)
            return status;
    }
    return HS_OK;
}

/* ---- api.search: "table: column, column" ---- */

static hs_status bad_search(struct hs_err *reterr, struct hs_str row, const char *why)
{
    (void)hs_fail(reterr, HS_E_CONFIG, "api.search: bad row \"%.*s\"", HS_FMT(row));
    hs_err_why(reterr, "%s", why);
    hs_err_hint(reterr, "Write `table: column, column` with names of the database.");
    return HS_E_CONFIG;
}

static hs_status build_search(struct api_build *build, struct hs_str row, struct hs_err *reterr)
{
    struct hs_str rest = row;
    struct hs_str name = hs_str_trim(hs_str_cut(&rest, ':'));
    struct api_table *table = api_build_table(build, name);

    if (!table)
        return bad_search(reterr, row, "There is no such table.");
    if (table->n_search)
        return bad_search(reterr, row, "The table has a row already.");
    table->search = HS_NEW_ARRAY(&build->model->arena, table->pg->n_columns + 1,
                                 const struct pg_column *);
    if (!table->search)
        return hs_fail_memory(reterr);
    do {
        const struct pg_column *column = pg_relation_column(table->pg,
                                                            hs_str_trim(hs_str_cut(&rest, ',')));

        if (!column)
            return bad_search(reterr, row, "The table has no such column.");
        if (column->type->kind != PG_KIND_TEXT && column->type->kind != PG_KIND_ENUM)
            return bad_search(reterr, row, "A column is not of a text type.");
        if (table->n_search == table->pg->n_columns)
            return bad_search(reterr, row, "A column is named twice.");
        table->search[table->n_search++] = column;
    } while (rest.n);
    return HS_OK;
}

/* ---- the model ---- */

static hs_status build_all(struct api_build *build, const struct api_setup *setup,
                           struct hs_err *reterr)
{
    struct api_model *model = build->model;
    hs_status status;

    model->path = hs_arena_dup(&model->arena, setup->path);
    if (hs_arena_failed(&model->arena))
        return hs_fail_memory(reterr);
    model->route_tables = hs_metric_route(model->path);
    status = build_tables(build, reterr);
    if (!status)
        status = check_soft_delete(build, reterr);
    for (size_t i = 0; !status && i < setup->n_search; i++)
        status = build_search(build, setup->search[i], reterr);
    if (!status)
        status = api_build_relations(build, setup, reterr);
    if (!status)
        status = api_build_kept(build, reterr);
    if (!status)
        status = api_build_named(build, reterr);
    return status;
}

hs_status api_model_new(const struct api_setup *setup, struct pg_catalog *catalog,
                        struct api_model **ret_model, struct hs_err *reterr)
{
    struct api_build build = {.setup = setup, .model = hs_calloc(1, sizeof(struct api_model))};
    struct api_model *model = build.model;
    hs_status status;

    if (!model)
        return hs_fail_memory(reterr);
    atomic_init(&model->refs, 1);
    hs_arena_init(&model->arena, MODEL_BYTES_MAX);
    hs_buf_init(&build.scratch, SCRATCH_MAX);
    model->catalog = pg_catalog_ref(catalog);
    model->rules = setup->rules;
    model->generation = setup->generation;
    if (model->rules.limit_default > model->rules.limit_max)
        model->rules.limit_default = model->rules.limit_max;
    memcpy(model->cursor_key, setup->cursor_key, sizeof(model->cursor_key));
    status = build_all(&build, setup, reterr);
    hs_buf_fini(&build.scratch);
    if (status) {
        api_model_unref(model);
        return status;
    }
    *ret_model = model;
    return HS_OK;
}

struct api_model *api_model_ref(struct api_model *model)
{
    atomic_fetch_add_explicit(&model->refs, 1, memory_order_relaxed);
    return model;
}

void api_model_unref(struct api_model *model)
{
    if (!model || atomic_fetch_sub_explicit(&model->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (model->free_attached)
        model->free_attached(model->attached);
    pg_catalog_unref(model->catalog);
    hs_arena_fini(&model->arena);
    hs_free(model);
}

void api_model_attach(struct api_model *model, void *object, void (*free_object)(void *object))
{
    HS_BUG_ON(model->attached);
    model->attached = object;
    model->free_attached = free_object;
}

void *api_model_attached(const struct api_model *model)
{
    return model->attached;
}

const struct pg_catalog *api_model_catalog(const struct api_model *model)
{
    return model->catalog;
}
