/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tables a table reaches, and under which names.
 *
 *   to one   branch_id -> branches        `branch` (the column without _id), else `branches`
 *   to many  appointments.staff_id -> us  `appointments`, else `appointments_by_staff_id`
 *   declared in api.relations             the name given there, before all others
 *
 * The rule: a name that could mean two relations means none of them (HS_E_AMBIGUOUS lists the names that
 * are clear), and a name that a column has already is not given, since both would be one member of the
 * answer. A foreign key of several columns is named after the column that is not called the same on both
 * sides: of (company_id, branch_id) -> branches (company_id, id) that is branch_id. Two foreign keys that
 * differ only in such companions are one relation.
 */
#include "api/model.h"

#include <stdio.h>

#include "core/nearest.h"

static bool ends_in_id(struct hs_str name)
{
    return name.n > 3 && memcmp(name.p + name.n - 3, "_id", 3) == 0;
}

static const struct pg_column *naming_column(const struct pg_foreign_key *fk)
{
    for (size_t i = 0; i < fk->n_columns; i++) {
        if (!hs_str_eq(fk->from_columns[i]->name, fk->to_columns[i]->name))
            return fk->from_columns[i];
    }
    return fk->from_columns[fk->n_columns - 1];
}

/* Gives a relation a name, unless a column has it or it is too long to be an alias. */
static void give_name(struct api_build *build, const struct api_table *table,
                      struct api_relation *relation, struct hs_str raw)
{
    struct hs_str name = api_build_name(build, raw);
    struct api_name *slot = relation->names[0].name.n ? &relation->names[1] : &relation->names[0];

    if (!name.n || name.n > API_NAME_MAX || api_table_field(table, name))
        return;
    *slot = api_build_forms(build, name);
}

static bool is_known(const struct api_table *table, size_t n, const struct api_relation *relation)
{
    for (size_t i = 0; i < n; i++) {
        const struct api_relation *other = &table->relations[i];

        if (other->to == relation->to && other->by == relation->by && other->by &&
            other->is_out == relation->is_out)
            return true;
    }
    return false;
}

static void add_out(struct api_build *build, struct api_table *table, struct api_relation *relation,
                    const struct pg_foreign_key *fk)
{
    struct hs_str by = relation->by->name;

    relation->join = (struct tree_join){
        .here = fk->from_columns, .there = fk->to_columns, .n = fk->n_columns};
    if (ends_in_id(by))
        give_name(build, table, relation, hs_str_sub(by, 0, by.n - 3));
    give_name(build, table, relation, fk->to->name);
}

static void add_in(struct api_build *build, struct api_table *table, struct api_relation *relation,
                   const struct pg_foreign_key *fk)
{
    relation->join = (struct tree_join){
        .here = fk->to_columns, .there = fk->from_columns, .n = fk->n_columns};
    relation->is_many = !fk->from_is_unique;
    give_name(build, table, relation, fk->from->name);
    give_name(build, table, relation,
              hs_arena_printf(&build->model->arena, "%.*s_by_%.*s", HS_FMT(fk->from->name),
                              HS_FMT(relation->by->name)));
}

static const struct api_table *table_of(const struct api_model *model,
                                        const struct pg_relation *relation)
{
    return model->by_relation[relation - model->catalog->relations];
}

/* ---- api.relations: "table.name: column -> table.column", column[] for membership ---- */

static hs_status bad_row(struct hs_err *reterr, struct hs_str row, const char *why)
{
    (void)hs_fail(reterr, HS_E_CONFIG, "api.relations: bad row \"%.*s\"", HS_FMT(row));
    hs_err_why(reterr, "%s", why);
    hs_err_hint(reterr, "Write `table.name: column -> table.column` or "
                        "`table.name: array_column[] -> table.column` with names of the database.");
    return HS_E_CONFIG;
}

static bool is_single_key(const struct pg_relation *relation, const struct pg_column *column)
{
    for (size_t i = 0; i < relation->n_keys; i++) {
        if (relation->keys[i].n_columns == 1 && relation->keys[i].columns[0] == column)
            return true;
    }
    return relation->primary && relation->primary->n_columns == 1 &&
           relation->primary->columns[0] == column;
}

struct declared {
    struct api_table *table;
    struct hs_str name;
    const struct pg_column *here;
    struct api_table *to;
    const struct pg_column *there;
    bool is_array;
};

/* NULL = read; else what is wrong. */
static const char *read_row(struct api_build *build, struct hs_str row, struct declared *d)
{
    struct hs_str rest = row;
    struct hs_str left = hs_str_cut(&rest, ':');
    struct hs_str table = hs_str_trim(hs_str_cut(&left, '.'));
    size_t arrow = 0;
    struct hs_str here;
    struct hs_str to;

    while (arrow + 1 < rest.n && memcmp(rest.p + arrow, "->", 2) != 0)
        arrow++;
    if (arrow + 1 >= rest.n)
        return "There is no \"->\".";
    here = hs_str_trim(hs_str_sub(rest, 0, arrow));
    rest = hs_str_sub(rest, arrow + 2, rest.n);
    to = hs_str_trim(hs_str_cut(&rest, '.'));
    d->is_array = here.n > 2 && memcmp(here.p + here.n - 2, "[]", 2) == 0;
    if (d->is_array)
        here.n -= 2;
    d->name = hs_str_trim(left);
    d->table = api_build_table(build, table);
    d->to = api_build_table(build, to);
    if (!d->table || !d->to)
        return "There is no such table.";
    d->here = pg_relation_column(d->table->pg, here);
    d->there = pg_relation_column(d->to->pg, hs_str_trim(rest));
    if (!d->here || !d->there)
        return "There is no such column.";
    if (d->is_array != (d->here->type->kind == PG_KIND_ARRAY))
        return d->is_array ? "The column is not an array."
                           : "The column is an array: write column[].";
    if (!d->name.n || d->name.n > API_NAME_MAX || hs_str_find(d->name, ',') < d->name.n ||
        hs_str_find(d->name, '.') < d->name.n || hs_str_find(d->name, '"') < d->name.n)
        return "The name must have 1 to 63 bytes, without a comma, dot or quote.";
    return api_table_field(d->table, d->name) ? "The table has a column of that name." : NULL;
}

static hs_status add_declared(struct api_build *build, struct hs_str row, size_t *n_relations,
                              struct hs_err *reterr)
{
    struct hs_arena *arena = &build->model->arena;
    const struct pg_column **pair = HS_NEW_ARRAY(arena, 2, const struct pg_column *);
    struct declared d = {0};
    const char *why = read_row(build, row, &d);
    struct api_relation *to;
    size_t *n;

    if (why)
        return bad_row(reterr, row, why);
    n = &n_relations[d.table - build->model->tables];
    for (size_t i = 0; i < *n; i++) {
        if (d.table->relations[i].is_declared &&
            hs_str_eq(d.table->relations[i].names[0].name, d.name))
            return bad_row(reterr, row, "The table has a relation of that name already.");
    }
    d.name = hs_arena_dup(arena, d.name);
    if (hs_arena_failed(arena) || !pair)
        return hs_fail_memory(reterr);
    pair[0] = d.here;
    pair[1] = d.there;
    to = &d.table->relations[(*n)++];
    *to = (struct api_relation){
        .to = d.to,
        .is_declared = true,
        .is_many = d.is_array || !is_single_key(d.to->pg, d.there),
        .join = {.here = &pair[0], .there = &pair[1], .n = 1, .is_array = d.is_array}};
    to->names[0] = api_build_forms(build, d.name);
    return hs_arena_failed(arena) ? hs_fail_memory(reterr) : HS_OK;
}

/* ---- all ---- */

static hs_status from_keys(struct api_build *build, struct api_table *table, size_t room,
                           size_t *ret_n, struct hs_err *reterr)
{
    const struct pg_relation *pg = table->pg;
    struct api_relation *relations = HS_NEW_ARRAY(&build->model->arena, room + 1,
                                                  struct api_relation);

    if (!relations)
        return hs_fail_memory(reterr);
    table->relations = relations;
    for (size_t i = 0; i < pg->n_fk_out + pg->n_fk_in; i++) {
        bool is_out = i < pg->n_fk_out;
        const struct pg_foreign_key *fk = is_out ? pg->fk_out[i] : pg->fk_in[i - pg->n_fk_out];
        struct api_relation *relation = &relations[*ret_n];

        *relation = (struct api_relation){.by = naming_column(fk),
                                          .to = table_of(build->model, is_out ? fk->to : fk->from),
                                          .is_out = is_out};
        if (!relation->to || is_known(table, *ret_n, relation))
            continue;
        if (is_out)
            add_out(build, table, relation, fk);
        else
            add_in(build, table, relation, fk);
        (*ret_n)++;
    }
    return hs_arena_failed(&build->model->arena) ? hs_fail_memory(reterr) : HS_OK;
}

hs_status api_build_relations(struct api_build *build, const struct api_setup *setup,
                              struct hs_err *reterr)
{
    struct api_model *model = build->model;
    size_t *counts = HS_NEW_ARRAY(&model->arena, model->n_tables + 1, size_t);
    hs_status status = counts ? HS_OK : hs_fail_memory(reterr);

    for (size_t i = 0; !status && i < model->n_tables; i++) {
        struct api_table *table = &model->tables[i];
        size_t room = table->pg->n_fk_out + table->pg->n_fk_in + setup->n_relations;

        status = from_keys(build, table, room, &counts[i], reterr);
    }
    for (size_t i = 0; !status && i < setup->n_relations; i++)
        status = add_declared(build, setup->relations[i], counts, reterr);
    for (size_t i = 0; !status && i < model->n_tables; i++)
        model->tables[i].n_relations = counts[i];
    return status;
}

/* ---- look-up ---- */

/* Tier 0: declared names; 1: usual names; 2: clear names. */
static const struct api_name *name_of_tier(const struct api_relation *relation, unsigned tier)
{
    if (tier == 0)
        return relation->is_declared ? &relation->names[0] : NULL;
    return &relation->names[tier - 1];
}

static hs_status fail_ambiguous(const struct api_table *table, struct hs_str name,
                                struct hs_err *reterr)
{
    char choices[HS_ERR_WHY];
    size_t n = 0;

    choices[0] = '\0';
    for (size_t i = 0; i < table->n_relations; i++) {
        const struct api_relation *relation = &table->relations[i];
        const struct api_name *clear = &relation->names[1];
        size_t left = sizeof(choices) - n;
        int written;

        if (!hs_str_eq(relation->names[0].name, name) || !clear->name.n)
            continue;
        written = snprintf(choices + n, left, "%s%.*s", n ? ", " : "", HS_FMT(clear->name));
        n += written < 0 ? 0 : (size_t)written < left ? (size_t)written : left - 1;
    }
    (void)hs_fail(reterr, HS_E_AMBIGUOUS, "\"%.*s\" means more than one relation of %.*s",
                  HS_FMT(name), HS_FMT(table->name));
    if (n)
        hs_err_hint(reterr, "Name one: %s.", choices);
    return HS_E_AMBIGUOUS;
}

static hs_status fail_unknown(const struct api_table *table, struct hs_str name,
                              struct hs_err *reterr)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, name);
    for (size_t i = 0; i < table->n_relations; i++) {
        hs_nearest_offer(&near, table->relations[i].names[0].name);
        hs_nearest_offer(&near, table->relations[i].names[1].name);
    }
    best = hs_nearest_best(&near);
    (void)hs_fail(reterr, HS_E_UNKNOWN_RELATION, "%.*s has no relation \"%.*s\"",
                  HS_FMT(table->name), HS_FMT(name));
    if (best.n)
        hs_err_hint(reterr, "Perhaps you meant \"%.*s\".", HS_FMT(best));
    else
        hs_err_hint(reterr, "GET the API's root for the relations of each table.");
    return HS_E_UNKNOWN_RELATION;
}

hs_status api_table_relation(const struct api_table *table, struct hs_str name,
                             const struct api_relation **ret_relation,
                             const struct api_name **ret_name, struct hs_err *reterr)
{
    for (unsigned tier = 0; tier < 3; tier++) {
        size_t n = 0;

        for (size_t i = 0; i < table->n_relations; i++) {
            const struct api_name *called = name_of_tier(&table->relations[i], tier);

            if (!called || !called->name.n || !hs_str_eq(called->name, name))
                continue;
            *ret_relation = &table->relations[i];
            *ret_name = called;
            n++;
        }
        if (n == 1)
            return HS_OK;
        if (n > 1)
            return fail_ambiguous(table, name, reterr);
    }
    return fail_unknown(table, name, reterr);
}
