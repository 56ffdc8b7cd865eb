/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is shown of a table where the request names no fields, and the statement for one row of it, made
 * once: $1, $2 ... are the key's values in its order.
 *
 * The rule: this chooses defaults and decides nothing. A role that may read some of the columns is shown
 * those; one that may read none is shown all, so that PostgreSQL refuses it in its own words. The key is
 * not looked at: where a role may not read it, PostgreSQL says so.
 *
 * Few tables have columns that some role may not read, so the others have one list and one statement for
 * everybody, and a request to them does not even ask which role it is.
 *
 * Source: PostgreSQL 15 manual, 5.7 (a column privilege).
 */
#include "api/model.h"

/* By key; of n_rows > 1 rows, where the key has one column. */
static hs_status build_statement(struct api_build *build, const struct api_table *table,
                                 const struct api_shown *shown, size_t n_rows,
                                 struct sql_statement *ret_statement, struct hs_err *reterr)
{
    struct hs_arena *arena = &build->model->arena;
    struct tree_node where = {.kind = TREE_AND};
    struct tree_select tree = {.relation = table->pg,
                               .fields = shown->fields,
                               .n_fields = shown->n_fields,
                               .with_version = shown->with_version,
                               .where = &where,
                               .comment = api_table_comment(build->model, table,
                                                            /* is_item= */ true)};
    hs_status status;

    for (size_t i = 0; i < table->n_key; i++) {
        struct tree_node *node = HS_NEW(arena, struct tree_node);

        if (!node)
            return hs_fail_memory(reterr);
        *node = (struct tree_node){.kind = TREE_COMPARE,
                                   .op = n_rows > 1 ? TREE_ONE_OF : TREE_EQ,
                                   .column = table->key[i],
                                   .value = HS_STR(""),
                                   .n_values = n_rows};
        tree_node_append(&where, node);
    }
    if (table->soft_delete) {
        struct tree_node *node = api_deleted_filter(table->soft_delete, arena);

        if (!node)
            return hs_fail_memory(reterr);
        tree_node_append(&where, node);
    }
    status = sql_write(&tree, /* with_order= */ false, &build->scratch, arena, ret_statement,
                       reterr);
    hs_buf_clear(&build->scratch);
    return status;
}

/* Reads by one integer key that is itself among the columns may be gathered (pg/pool.h). */
static hs_status build_gather(struct api_build *build, const struct api_table *table,
                              struct api_shown *shown, struct hs_err *reterr)
{
    enum pg_kind kind = table->key[0]->type->kind;
    size_t at = 0;
    hs_status status = HS_OK;

    while (at < shown->n_fields && shown->fields[at]->column != table->key[0])
        at++;
    if (table->n_key != 1 || at == shown->n_fields || !shown->item.is_shareable ||
        (kind != PG_KIND_INT && kind != PG_KIND_INT8))
        return HS_OK;
    for (size_t i = 0; i < PG_GATHER_SIZES && !status; i++) {
        struct sql_statement many;

        status = build_statement(build, table, shown, (size_t)2 << i, &many, reterr);
        shown->gather.sql[i] = many.text;
        shown->gather.sql_hash[i] = many.hash;
    }
    shown->gather.key_column = at;
    shown->can_gather = !status;
    return status;
}

static hs_status build_item(struct api_build *build, const struct api_table *table,
                            struct api_shown *shown, struct hs_err *reterr)
{
    struct api_out_column *columns = HS_NEW_ARRAY(&build->model->arena, shown->n_fields + 1,
                                                  struct api_out_column);
    hs_status status;

    if (!columns)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < shown->n_fields; i++) {
        columns[i].key = shown->fields[i]->key;
        columns[i].type = shown->fields[i]->column->type;
    }
    shown->item_columns = columns;
    if (!table->n_key)
        return HS_OK;
    status = build_statement(build, table, shown, 1, &shown->item, reterr);
    return status ? status : build_gather(build, table, shown, reterr);
}

/* ---- roles ---- */

static bool may_read(const struct api_table *table, size_t field, size_t role)
{
    return table->shown.fields[field]->column->readers >> role & 1;
}

static size_t count_readable(const struct api_table *table, size_t role)
{
    size_t n = 0;

    for (size_t i = 0; i < table->shown.n_fields; i++)
        n += may_read(table, i, role);
    return n;
}

/* Neither all nor nothing. */
static bool is_partial(const struct api_table *table, size_t role)
{
    size_t n = count_readable(table, role);

    return n > 0 && n < table->shown.n_fields;
}

static bool read_the_same(const struct api_table *table, size_t one, size_t other)
{
    for (size_t i = 0; i < table->shown.n_fields; i++) {
        if (may_read(table, i, one) != may_read(table, i, other))
            return false;
    }
    return true;
}

static hs_status build_part(struct api_build *build, struct api_table *table, size_t role,
                            struct hs_err *reterr)
{
    struct hs_arena *arena = &build->model->arena;
    struct api_shown *part;

    for (size_t i = 0; i < role; i++) {
        if (read_the_same(table, i, role)) {
            table->shown_to[role] = table->shown_to[i];
            return HS_OK;
        }
    }
    part = HS_NEW(arena, struct api_shown);
    if (part)
        part->fields = HS_NEW_ARRAY(arena, count_readable(table, role), const struct tree_field *);
    if (!part || !part->fields)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < table->shown.n_fields; i++) {
        if (may_read(table, i, role))
            part->fields[part->n_fields++] = table->shown.fields[i];
    }
    table->shown_to[role] = part;
    return build_item(build, table, part, reterr);
}

hs_status api_build_shown(struct api_build *build, struct api_table *table, struct hs_err *reterr)
{
    size_t n_roles = build->model->catalog->n_roles;
    size_t n_partial = 0;
    uint64_t all = n_roles < 64 ? (UINT64_C(1) << n_roles) - 1 : UINT64_MAX;
    hs_status status;

    /* xmin is no column that can be granted by itself: every reader must have the whole table. */
    table->shown.with_version = (table->pg->relkind == 'r' || table->pg->relkind == 'p') &&
                                !(table->pg->readers & ~table->pg->whole_readers & all);
    status = build_item(build, table, &table->shown, reterr);
    for (size_t i = 0; i < n_roles; i++)
        n_partial += is_partial(table, i);
    if (status || !n_partial)
        return status;
    table->shown_to = HS_NEW_ARRAY(&build->model->arena, n_roles, const struct api_shown *);
    if (!table->shown_to)
        return hs_fail_memory(reterr);
    for (size_t i = 0; !status && i < n_roles; i++) {
        table->shown_to[i] = &table->shown;
        if (is_partial(table, i))
            status = build_part(build, table, i, reterr);
    }
    return status;
}
