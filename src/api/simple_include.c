/* SPDX-License-Identifier: Apache-2.0 */
/*
 * include=branch,appointments.staff: relations to load with the rows, as a tree of embeds.
 *
 * The rule: depth and number are bounded, and rows of a relation "to many" are bounded per row by
 * api.limit.default, in the order of their key. A path named twice, or the beginning of another, is
 * loaded once. It refuses what api_table_relation() refuses.
 */
#include "api/simple_int.h"

enum { INCLUDE_DEPTH_MAX = 3 };

static struct tree_select *new_select(struct simple_reader *r, const struct api_table *table,
                                      bool is_many)
{
    const struct api_shown *shown = api_table_shown(r->model, table, r->role);
    struct tree_select *select = HS_NEW(r->arena, struct tree_select);

    if (!select)
        return NULL;
    select->relation = table->pg;
    select->fields = shown->fields;
    select->n_fields = shown->n_fields;
    select->has_limit = true;
    select->is_limit_fixed = true;
    select->limit = is_many ? r->model->rules.limit_default : 1;
    select->int8_as_string = r->model->rules.int8_as_string;
    if (table->soft_delete) {
        select->where = api_deleted_filter(table->soft_delete, r->arena);
        if (!select->where)
            return NULL;
    }
    if (!is_many)
        return select;
    select->order = HS_NEW_ARRAY(r->arena, table->n_key + 1, struct tree_order);
    for (size_t i = 0; select->order && i < table->n_key; i++)
        select->order[select->n_order++].column = table->key[i];
    return select->order ? select : NULL;
}

static struct tree_embed *find_embed(struct tree_select *here, const struct api_name *name)
{
    struct tree_embed *embed = here->embeds;

    while (embed && !hs_str_eq(embed->name, name->name))
        embed = embed->next;
    return embed;
}

static struct tree_embed *add_embed(struct simple_reader *r, struct tree_select *here,
                                    const struct api_relation *relation,
                                    const struct api_name *name)
{
    struct tree_embed *embed = HS_NEW(r->arena, struct tree_embed);
    struct tree_embed **end = &here->embeds;

    if (!embed)
        return NULL;
    embed->join = &relation->join;
    embed->name = name->name;
    embed->key = name->key;
    embed->alias = name->alias;
    embed->is_many = relation->is_many;
    embed->select = new_select(r, relation->to, relation->is_many);
    while (*end)
        end = &(*end)->next;
    *end = embed;
    return embed->select ? embed : NULL;
}

static hs_status include_path(struct simple_reader *r, struct hs_str path, struct hs_err *reterr)
{
    struct tree_select *here = &r->query->tree;
    const struct api_table *table = r->table;
    struct hs_str rest = path;
    size_t depth = 0;

    do {
        struct hs_str name = hs_str_cut(&rest, '.');
        const struct api_relation *relation;
        const struct api_name *called;
        struct tree_embed *embed;
        hs_status status;

        if (++depth > INCLUDE_DEPTH_MAX)
            return hs_fail(reterr, HS_E_BAD_PARAMETER, "include \"%.*s\" is nested deeper than %d",
                           HS_FMT(path), INCLUDE_DEPTH_MAX);
        status = api_table_relation(table, name, &relation, &called, reterr);
        if (status)
            return status;
        embed = find_embed(here, called);
        if (!embed && ++r->n_includes > r->model->rules.filters_max)
            return hs_fail(reterr, HS_E_BAD_PARAMETER, "more than %llu includes in one request",
                           (unsigned long long)r->model->rules.filters_max);
        if (!embed)
            embed = add_embed(r, here, relation, called);
        if (!embed)
            return hs_fail_memory(reterr);
        here = embed->select;
        table = relation->to;
    } while (rest.n);
    return HS_OK;
}

hs_status simple_include(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    struct url_list list = url_list(value);

    for (;;) {
        struct hs_str path;
        hs_status status = url_list_next(r->arena, &list, &path, reterr);

        if (status || !path.p)
            return status;
        status = include_path(r, path, reterr);
        if (status)
            return status;
    }
}

/* Rows that one row can bring along, at most; it saturates far above every bound. */
static uint64_t count_included(const struct tree_select *here)
{
    const uint64_t enough = UINT64_C(1) << 40;
    uint64_t n = 0;

    for (const struct tree_embed *e = here->embeds; e && n < enough; e = e->next)
        n += e->select->limit * (1 + count_included(e->select));
    return n < enough ? n : enough;
}

hs_status simple_check_includes(const struct simple_reader *r, uint64_t rows, struct hs_err *reterr)
{
    uint64_t each = count_included(&r->query->tree);
    uint64_t most = r->model->rules.include_rows_max;

    if (each <= most / rows)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "the includes could bring more than %llu rows",
                  (unsigned long long)most);
    hs_err_why(reterr, "%llu rows with up to %llu included ones each", (unsigned long long)rows,
               (unsigned long long)each);
    hs_err_hint(reterr, "Lower limit, include less, or ask for the related rows by themselves.");
    return HS_E_BAD_PARAMETER;
}
