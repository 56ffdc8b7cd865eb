/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the parameters of the simple dialect into a query tree.
 *
 * The rule: each name of a parameter is a row of `parameters`; every other name is a filter on a column,
 * and a column that is called like a parameter is reached as column[eq]. A parameter stands once.
 * Nothing is guessed: what is not understood is a 400 that names the nearest thing that is.
 *
 * The order always ends in the table's key, so that it is total and a cursor can stand between any two
 * rows; a table without key has no order of its own and no cursors.
 */
#include "api/simple.h"

#include <stdio.h>

#include "api/simple_int.h"
#include "api/value.h"
#include "core/nearest.h"

enum { SORT_MAX = 16 }; /* a position has up to two branches a column, see api/sql_where.c */

typedef hs_status parameter_f(struct simple_reader *r, struct hs_str value, struct hs_err *reterr);

/* ---- the parameters ---- */

static hs_status fail_range(struct hs_err *reterr, const char *name, uint64_t max)
{
    return hs_fail(reterr, HS_E_BAD_PARAMETER, "%s must be a whole number from 1 to %llu", name,
                   (unsigned long long)max);
}

static hs_status read_page(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    if (!hs_str_to_u64(value, &r->query->page) || r->query->page < 1)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "page must be a whole number from 1");
    return HS_OK;
}

static hs_status read_limit(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    uint64_t limit;

    if (hs_str_is(value, "all")) {
        r->query->is_stream = true;
        return HS_OK;
    }
    if (!hs_str_to_u64(value, &limit) || limit < 1 || limit > r->limit_max)
        return fail_range(reterr, "limit", r->limit_max);
    r->query->limit = limit;
    return HS_OK;
}

static hs_status read_fields(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    struct url_list list = url_list(value);
    size_t most = r->table->pg->n_columns;
    const struct tree_field **fields = HS_NEW_ARRAY(r->arena, most + 2, const struct tree_field *);
    size_t n = 0;

    if (!fields)
        return hs_fail_memory(reterr);
    for (;;) {
        struct hs_str name;
        hs_status status = url_list_next(r->arena, &list, &name, reterr);

        if (status)
            return status;
        if (!name.p)
            break;
        fields[n] = api_table_field(r->table, name);
        if (!fields[n] && simple_is_rank(r, name))
            status = simple_rank(r, &fields[n], reterr);
        if (status)
            return status;
        if (!fields[n])
            return simple_fail_column(r->table, name, /* with_parameters= */ false, reterr);
        for (size_t i = 0; i < n; i++) {
            if (fields[i] == fields[n])
                return hs_fail(reterr, HS_E_BAD_PARAMETER, "fields names \"%.*s\" twice",
                               HS_FMT(name));
        }
        n++;
    }
    if (!n)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "fields names no column");
    r->query->tree.fields = fields;
    r->query->tree.n_fields = n;
    return HS_OK;
}

static hs_status read_sort(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    if (!value.n)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "sort names no column");
    r->sort = value;
    return HS_OK;
}

/* One of two words; *ret_is_second = it is the second. */
static hs_status read_word(const char *name, struct hs_str value, const char *first,
                           const char *second, bool *ret_is_second, struct hs_err *reterr)
{
    *ret_is_second = hs_str_is(value, second);
    if (*ret_is_second || hs_str_is(value, first))
        return HS_OK;
    return hs_fail(reterr, HS_E_BAD_PARAMETER, "%s must be %s or %s", name, first, second);
}

static hs_status read_order(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    return read_word("order", value, "asc", "desc", &r->is_desc, reterr);
}

static hs_status read_nulls(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    return read_word("nulls", value, "show", "omit", &r->query->omit_nulls, reterr);
}

static hs_status read_count(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    if (hs_str_is(value, "exact"))
        r->query->tree.count = TREE_COUNT_EXACT;
    else if (hs_str_is(value, "estimated"))
        r->query->tree.count = TREE_COUNT_ESTIMATED;
    else if (!hs_str_is(value, "none"))
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "count must be exact, estimated or none");
    return HS_OK;
}

static hs_status read_return(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    return read_word("return", value, "rows", "minimal", &r->query->is_minimal, reterr);
}

static hs_status read_all(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    return read_word("all", value, "false", "true", &r->query->is_all, reterr);
}

static hs_status read_max_affected(struct simple_reader *r, struct hs_str value,
                                   struct hs_err *reterr)
{
    if (!hs_str_to_u64(value, &r->query->affected_max) || r->query->affected_max > INT64_MAX)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "max-affected must be a whole number");
    return HS_OK;
}

static hs_status read_with_deleted(struct simple_reader *r, struct hs_str value,
                                   struct hs_err *reterr)
{
    hs_status status = read_word("withDeleted", value, "false", "true", &r->query->with_deleted,
                                 reterr);

    if (status || !r->query->with_deleted || api_model_sees_deleted(r->model, r->role))
        return status;
    (void)hs_fail(reterr, HS_E_BAD_ROLE, "the role may not see deleted rows");
    hs_err_hint(reterr, "api.soft_delete.roles names the roles that may.");
    return HS_E_BAD_ROLE;
}

static hs_status read_cursor(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    (void)reterr;
    r->query->cursor = value;
    return HS_OK;
}

enum {
    READS = SIMPLE_LIST | SIMPLE_ITEM,
    CHANGES = SIMPLE_CREATE | SIMPLE_CHANGE_MANY | SIMPLE_CHANGE_ITEM
};

static const struct parameter {
    const char *name;
    parameter_f *read;
    unsigned uses; /* bits of enum simple_use */
} parameters[] = {
    {"page", read_page, SIMPLE_LIST},
    {"limit", read_limit, SIMPLE_LIST},
    {"fields", read_fields, READS | CHANGES},
    {"search", simple_search, SIMPLE_LIST},
    {"searchLang", simple_search_language, SIMPLE_LIST},
    {"highlight", simple_highlight, SIMPLE_LIST},
    {"sort", read_sort, SIMPLE_LIST},
    {"order", read_order, SIMPLE_LIST},
    {"include", simple_include, READS},
    {"nulls", read_nulls, READS | CHANGES},
    {"count", read_count, SIMPLE_LIST},
    {"cursor", read_cursor, SIMPLE_LIST},
    {"return", read_return, CHANGES},
    {"all", read_all, SIMPLE_CHANGE_MANY},
    {"max-affected", read_max_affected, SIMPLE_CHANGE_MANY},
    {"withDeleted", read_with_deleted, READS | SIMPLE_CHANGE_MANY | SIMPLE_CHANGE_ITEM},
};

void simple_offer_parameters(struct hs_nearest *near)
{
    for (size_t i = 0; i < HS_LEN(parameters); i++)
        hs_nearest_offer(near, hs_str(parameters[i].name));
}

static const struct parameter *find_parameter(struct hs_str name)
{
    for (size_t i = 0; i < HS_LEN(parameters); i++) {
        if (hs_str_is(name, parameters[i].name))
            return &parameters[i];
    }
    return NULL;
}

static hs_status read_parameter(struct simple_reader *r, const struct parameter *parameter,
                                struct hs_str value, struct hs_err *reterr)
{
    uint32_t bit = UINT32_C(1) << (parameter - parameters);

    if (!value.p)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "the parameter %s has no value",
                       parameter->name);
    if (r->seen & bit)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "the parameter %s is given twice",
                       parameter->name);
    r->seen |= bit;
    return parameter->read(r, value, reterr);
}

/* Filters belong to what looks for rows: lists, and changes of many. */
static bool takes_filters(enum simple_use use)
{
    return use == SIMPLE_LIST || use == SIMPLE_CHANGE_MANY;
}

static hs_status fail_use(const struct simple_reader *r, struct hs_str name, struct hs_err *reterr)
{
    char possible[128];
    size_t n = 0;

    for (size_t i = 0; i < HS_LEN(parameters); i++) {
        if (parameters[i].uses & r->use)
            n += (size_t)snprintf(possible + n, sizeof(possible) - n, "%s%s", n ? ", " : "",
                                  parameters[i].name);
    }
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "\"%.*s\" is not possible here", HS_FMT(name));
    hs_err_hint(reterr, "Possible are %s%s.", takes_filters(r->use) ? "filters, " : "", possible);
    return HS_E_BAD_PARAMETER;
}

static hs_status read_pairs(struct simple_reader *r, struct hs_str query, struct hs_err *reterr)
{
    for (;;) {
        const struct parameter *parameter;
        struct url_pair pair;
        hs_status status = url_next_pair(r->arena, &query, &pair, reterr);

        if (status || !pair.key.p)
            return status;
        parameter = find_parameter(pair.key);
        if (parameter ? !(parameter->uses & r->use) : !takes_filters(r->use))
            return fail_use(r, pair.key, reterr);
        status = parameter ? read_parameter(r, parameter, pair.value, reterr)
                           : simple_filter(r, pair, reterr);
        if (status)
            return status;
    }
}

/* ---- the order ---- */

static bool is_ordered_by(const struct tree_select *tree, const struct pg_column *column)
{
    for (size_t i = 0; i < tree->n_order; i++) {
        if (tree->order[i].column == column)
            return true;
    }
    return false;
}

static hs_status add_sort(struct simple_reader *r, struct hs_str name, struct hs_err *reterr)
{
    struct tree_select *tree = &r->query->tree;
    /* A column's own name may begin with '-'. */
    const struct tree_field *field = api_table_field(r->table, name);
    bool is_desc = r->is_desc;

    if (!field && name.n && name.p[0] == '-') {
        name = hs_str_sub(name, 1, name.n);
        is_desc = true;
        field = api_table_field(r->table, name);
    }
    /* An empty search is none, and has no order. */
    if (!field && simple_is_rank(r, name) && r->search.words.p && !hs_str_trim(r->search.words).n)
        return HS_OK;
    if (!field && simple_is_rank(r, name)) {
        hs_status status = simple_rank(r, &field, reterr);

        if (status)
            return status;
    }
    if (!field)
        return simple_fail_column(r->table, name, /* with_parameters= */ false, reterr);
    if (is_ordered_by(tree, field->column))
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "sort names \"%.*s\" twice", HS_FMT(name));
    if (tree->n_order == SORT_MAX)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "sort takes at most %d columns", SORT_MAX);
    tree->order[tree->n_order++] = (struct tree_order){.column = field->column, .is_desc = is_desc};
    return HS_OK;
}

static hs_status build_order(struct simple_reader *r, struct hs_err *reterr)
{
    struct tree_select *tree = &r->query->tree;
    struct url_list list = url_list(r->sort);
    bool is_desc;

    tree->order = HS_NEW_ARRAY(r->arena, SORT_MAX + r->table->n_key, struct tree_order);
    if (!tree->order)
        return hs_fail_memory(reterr);
    for (;;) {
        struct hs_str name;
        hs_status status = url_list_next(r->arena, &list, &name, reterr);

        if (!status && name.p)
            status = add_sort(r, name, reterr);
        if (status)
            return status;
        if (!name.p)
            break;
    }
    /* The tie-breaker goes the way of the last column: one index then serves both, read either way. */
    is_desc = tree->n_order ? tree->order[tree->n_order - 1].is_desc : r->is_desc;
    for (size_t i = 0; i < r->table->n_key; i++) {
        if (!is_ordered_by(tree, r->table->key[i]))
            tree->order[tree->n_order++] = (struct tree_order){.column = r->table->key[i],
                                                               .is_desc = is_desc};
    }
    return HS_OK;
}

/* ---- the page ---- */

/* A list whose rows are counted by nobody beforehand and whose pages nobody turns. */
static hs_status check_stream(const struct simple_reader *r, struct hs_err *reterr)
{
    const struct simple_query *q = r->query;

    if (q->tree.count != TREE_COUNT_NONE) {
        (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "a stream has no count");
        hs_err_hint(reterr,
                    "Ask for a page of JSON with limit=1 and count for the number of rows.");
        return HS_E_BAD_PARAMETER;
    }
    if (q->page && !q->limit)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "page needs a limit that is a number");
    if (!q->limit && r->rows_max) {
        (void)fail_range(reterr, "limit", r->rows_max);
        hs_err_why(reterr, "The caller's role may not read more rows of a list.");
        return HS_E_BAD_PARAMETER;
    }
    return HS_OK;
}

static void build_stream(struct simple_query *q)
{
    q->tree.has_limit = q->limit > 0;
    q->tree.limit = q->limit;
    q->tree.offset = q->page ? (q->page - 1) * q->limit : 0;
}

static hs_status build_page(struct simple_reader *r, struct hs_err *reterr)
{
    struct simple_query *q = r->query;
    uint64_t usual = r->model->rules.limit_default < r->limit_max ? r->model->rules.limit_default
                                                                  : r->limit_max;
    uint64_t limit = q->limit ? q->limit : usual;
    uint64_t depth_max = r->model->rules.page_depth_max;

    if (q->cursor.p && q->page)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "page and cursor exclude each other");
    if (q->is_stream && check_stream(r, reterr))
        return HS_E_BAD_PARAMETER;
    if (q->page && q->page - 1 > depth_max / limit) {
        (void)hs_fail(
            reterr, HS_E_PAGE_TOO_DEEP, "page %llu with limit %llu would skip more than %llu rows",
            (unsigned long long)q->page, (unsigned long long)limit, (unsigned long long)depth_max);
        return HS_E_PAGE_TOO_DEEP;
    }
    if (!q->page && !q->cursor.p)
        q->page = 1;
    if (q->is_stream) {
        build_stream(q);
        return HS_OK;
    }
    q->limit = limit;
    /* One row more tells whether there is a next page. */
    q->tree.has_limit = true;
    q->tree.limit = limit + 1;
    q->tree.is_limit_fixed = limit == usual;
    q->tree.offset = q->page ? (q->page - 1) * limit : 0;
    return HS_OK;
}

static void tell_embeds(struct tree_embed *embeds, bool omit_nulls)
{
    for (struct tree_embed *e = embeds; e; e = e->next) {
        e->select->omit_nulls = omit_nulls;
        tell_embeds(e->select->embeds, omit_nulls);
    }
}

/* The filter that hides softly deleted rows, unless the request may and wants to see them. */
static hs_status hide_deleted(struct simple_reader *r, struct hs_err *reterr)
{
    const struct pg_column *column = r->table->soft_delete;
    struct tree_node *node;

    if (!column || r->query->with_deleted)
        return HS_OK;
    node = api_deleted_filter(column, r->arena);
    if (!node)
        return hs_fail_memory(reterr);
    tree_node_append(r->where, node);
    return HS_OK;
}

static hs_status start(struct simple_reader *r, struct hs_err *reterr)
{
    const struct api_shown *shown = api_table_shown(r->model, r->table, r->role);

    *r->query = (struct simple_query){.table = r->table, .affected_max = UINT64_MAX};
    r->query->tree.relation = r->table->pg;
    r->query->tree.fields = shown->fields;
    r->query->tree.n_fields = shown->n_fields;
    r->query->tree.int8_as_string = r->model->rules.int8_as_string;
    r->query->tree.comment = api_table_comment(r->model, r->table,
                                               r->use & (SIMPLE_ITEM | SIMPLE_CHANGE_ITEM));
    r->where = HS_NEW(r->arena, struct tree_node);
    if (!r->where)
        return hs_fail_memory(reterr);
    r->where->kind = TREE_AND;
    r->query->tree.where = r->where;
    return HS_OK;
}

static hs_status add_key(struct simple_reader *r, const char *const *key, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    for (size_t i = 0; !status && i < r->table->n_key; i++)
        status = simple_add_equal(r, r->table->key[i], hs_str(key[i]), reterr);
    return status;
}

static hs_status build_list(struct simple_reader *r, struct hs_err *reterr)
{
    const struct simple_query *q = r->query;
    hs_status status = build_order(r, reterr);

    /* The order may ask for the rank. */
    if (!status)
        status = simple_build_search(r, reterr);
    if (!status)
        status = build_page(r, reterr);
    /* Of a stream only one fetch is held at a time, so the bound is for each row. */
    return status ? status : simple_check_includes(r, q->is_stream ? 1 : q->limit, reterr);
}

static hs_status build_item(struct simple_reader *r, struct hs_err *reterr)
{
    struct tree_select *tree = &r->query->tree;

    tree->with_version = !tree->embeds &&
                         api_table_shown(r->model, r->table, r->role)->with_version;
    return simple_check_includes(r, 1, reterr);
}

/* How many rows a list may ask for: of a stream as many as there are. */
static uint64_t limit_max(const struct simple_ask *ask)
{
    uint64_t most = ask->is_stream ? INT64_MAX : ask->model->rules.limit_max;

    return ask->who->rows_max && ask->who->rows_max < most ? ask->who->rows_max : most;
}

hs_status simple_read(const struct simple_ask *ask, struct simple_query *ret_query,
                      struct hs_err *reterr)
{
    struct simple_reader r = {.model = ask->model,
                              .table = ask->table,
                              .role = ask->who->role,
                              .limit_max = limit_max(ask),
                              .rows_max = ask->who->rows_max,
                              .arena = ask->arena,
                              .query = ret_query,
                              .use = ask->use};
    hs_status status = start(&r, reterr);

    ret_query->is_stream = ask->is_stream;
    if (!status && ask->use & (SIMPLE_ITEM | SIMPLE_CHANGE_ITEM))
        status = add_key(&r, ask->key, reterr);
    if (!status)
        status = read_pairs(&r, ask->query, reterr);
    ret_query->n_filters = r.n_filters;
    if (!status && ask->use != SIMPLE_CREATE)
        status = hide_deleted(&r, reterr);
    if (!status && ask->use == SIMPLE_LIST)
        status = build_list(&r, reterr);
    if (!status && ask->use == SIMPLE_ITEM)
        status = build_item(&r, reterr);
    if (!status)
        tell_embeds(ret_query->tree.embeds, ret_query->omit_nulls);
    return status;
}

/* ---- the key of a row ---- */

static hs_status fail_key_count(const struct api_table *table, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_BAD_VALUE, "the key of %.*s has %zu parts", HS_FMT(table->name),
                  table->n_key);
    hs_err_hint(reterr, "Write them in the key's order with commas between them.");
    return HS_E_BAD_VALUE;
}

static hs_status read_key_parts(const struct api_table *table, struct hs_str text,
                                struct hs_arena *arena, const char **values, struct hs_err *reterr)
{
    struct url_list list = url_list(text);
    size_t n = 0;

    for (;;) {
        struct value_place place = {.table = table->name};
        struct hs_str part;
        hs_status status = url_list_next(arena, &list, &part, reterr);

        if (status)
            return status;
        if (!part.p)
            break;
        if (n == table->n_key)
            return fail_key_count(table, reterr);
        place.field = api_table_field_of(table, table->key[n]);
        status = value_check(place, part, reterr);
        if (status)
            return status;
        values[n++] = part.p;
    }
    return n == table->n_key ? HS_OK : fail_key_count(table, reterr);
}

hs_status simple_read_key(const struct api_table *table, struct hs_str segment,
                          struct hs_arena *arena, const char ***ret_values, struct hs_err *reterr)
{
    struct value_place place = {.table = table->name};
    const char **values;
    struct hs_str text;
    hs_status status;

    if (!table->n_key)
        return hs_fail(reterr, HS_E_NO_KEY,
                       "%.*s has no primary key, so a row of it has no address",
                       HS_FMT(table->name));
    values = HS_NEW_ARRAY(arena, table->n_key, const char *);
    if (!values)
        return hs_fail_memory(reterr);
    status = url_decode(arena, URL_PATH, segment, &text, reterr);
    if (status)
        return status;
    *ret_values = values;
    if (table->n_key > 1)
        return read_key_parts(table, text, arena, values, reterr);
    values[0] = text.p;
    place.field = api_table_field_of(table, table->key[0]);
    return value_check(place, text, reterr);
}
