/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions: the filter, and "after this position".
 *
 * The rule: a parameter is numbered when it is first met and keeps its number, so a filter that is
 * written several times (the branches of a position, the count) takes its parameters once.
 *
 * After the position (a, b, c) in the order A, B, C come, nearest first, the rows with
 *     A = a AND B = b AND C > c
 *     A = a AND B > b
 *     A > a
 * where ">" is "<" for a descending column. One OR of these would be a filter over a scan; as branches of
 * a UNION ALL each is a range of an index. NULL counts as greater than everything, which is how
 * PostgreSQL sorts it: behind a value come the greater ones and then NULL (a branch more), behind NULL
 * nothing; descending, NULL comes first and all that is not NULL behind it. Where no column can be
 * NULL and all go one way, a comparison of rows says it in one range (manual, 9.24.5).
 */
#include "api/sql_int.h"

/* ---- the filter ---- */

static void write_left(struct sql_writer *w, struct sql_source from, const struct tree_node *node)
{
    sql_column_or_value(w, from, node->column, node->made);
}

static const struct pg_type *left_type(const struct tree_node *node)
{
    return node->made ? sql_value_type(node->made) : node->column->type;
}

/* The value; the array of them where the node is quantified. `type` is the value's, or that of its elements. */
static void write_right(struct sql_writer *w, const struct tree_node *node, struct hs_str type)
{
    bool is_quantified = node->quantifier != TREE_ONE;

    if (is_quantified)
        hs_buf_add(w->out, node->quantifier == TREE_ANY ? HS_STR("ANY(") : HS_STR("ALL("));
    if (node->is_untyped || !type.n) {
        hs_buf_add_char(w->out, '$');
        hs_buf_add_u64(w->out, node->param);
    } else {
        sql_param_cast(w, node->param, type);
        if (is_quantified)
            hs_buf_add_lit(w->out, "[]");
    }
    if (is_quantified)
        hs_buf_add_char(w->out, ')');
}

static void write_operator(struct sql_writer *w, struct sql_source from, struct tree_node *node,
                           struct hs_str operator)
{
    write_left(w, from, node);
    hs_buf_add(w->out, operator);
    write_right(w, node, left_type(node)->sql);
}

/* Of patterns: the value is a text, and so must be what is compared. */
static void write_like(struct sql_writer *w, struct sql_source from, struct tree_node *node,
                       struct hs_str operator)
{
    enum { TEXT = 25, VARCHAR = 1043, BPCHAR = 1042 };
    uint32_t oid = node->made ? TEXT : node->column->type->oid;

    write_left(w, from, node);
    if (!node->is_untyped && oid != TEXT && oid != VARCHAR && oid != BPCHAR)
        hs_buf_add_lit(w->out, "::pg_catalog.text");
    hs_buf_add(w->out, operator);
    write_right(w, node, HS_STR("pg_catalog.text"));
}

static void write_config(struct sql_writer *w, struct tree_node *node)
{
    if (!node->config.n)
        return;
    if (node->has_config_param && !node->config_param)
        node->config_param = sql_param(w, node->config);
    if (node->has_config_param) {
        sql_param_cast(w, node->config_param, HS_STR("pg_catalog.regconfig"));
    } else {
        sql_literal(w, node->config);
        hs_buf_add_lit(w->out, "::pg_catalog.regconfig");
    }
    hs_buf_add_lit(w->out, ", ");
}

static void write_matches(struct sql_writer *w, struct sql_source from, struct tree_node *node,
                          struct hs_str query)
{
    bool is_vector = hs_str_is(left_type(node)->name, "tsvector");

    if (!is_vector) {
        hs_buf_add_lit(w->out, "pg_catalog.to_tsvector(");
        write_config(w, node);
    }
    write_left(w, from, node);
    if (!is_vector)
        hs_buf_add_char(w->out, ')');
    hs_buf_add_lit(w->out, " @@ pg_catalog.");
    hs_buf_add(w->out, query);
    hs_buf_add_char(w->out, '(');
    write_config(w, node);
    sql_param_cast(w, node->param, HS_STR("pg_catalog.text"));
    hs_buf_add_char(w->out, ')');
}

static void write_in(struct sql_writer *w, struct sql_source from, struct tree_node *node)
{
    struct hs_str type = left_type(node)->sql;

    write_left(w, from, node);
    hs_buf_add_lit(w->out, " = ANY(");
    if (node->is_untyped || !type.n) {
        hs_buf_add_char(w->out, '$');
        hs_buf_add_u64(w->out, node->param);
        hs_buf_add_char(w->out, ')');
    } else {
        sql_param_cast(w, node->param, type);
        hs_buf_add_lit(w->out, "[])");
    }
}

static void write_one_of(struct sql_writer *w, struct sql_source from, const struct tree_node *node)
{
    sql_column(w, from, node->column);
    for (size_t i = 0; i < node->n_values; i++) {
        hs_buf_add(w->out, i ? HS_STR(", ") : HS_STR(" = ANY (ARRAY["));
        sql_param_cast(w, sql_param(w, HS_STR("")), node->column->type->sql);
    }
    hs_buf_add_lit(w->out, "])");
}

/* What is done with the words of one operator. */
enum how { OPERATOR, PATTERN, SEARCH, FULL_SEARCH, LIST, OPEN_LIST, WORDS };

static const struct {
    enum how how;
    const char *words;
} ops[] = {
    [TREE_EQ] = {OPERATOR, " = "},
    [TREE_NE] = {OPERATOR, " <> "},
    [TREE_GT] = {OPERATOR, " > "},
    [TREE_GTE] = {OPERATOR, " >= "},
    [TREE_LT] = {OPERATOR, " < "},
    [TREE_LTE] = {OPERATOR, " <= "},
    [TREE_IN] = {LIST, ""},
    [TREE_ONE_OF] = {OPEN_LIST, ""},
    [TREE_LIKE] = {PATTERN, " LIKE "},
    [TREE_ILIKE] = {PATTERN, " ILIKE "},
    [TREE_NULL] = {WORDS, " IS NULL"},
    [TREE_NOT_NULL] = {WORDS, " IS NOT NULL"},
    [TREE_MATCHES] = {FULL_SEARCH, ""},
    [TREE_TRUE] = {WORDS, " IS TRUE"},
    [TREE_FALSE] = {WORDS, " IS FALSE"},
    [TREE_UNKNOWN] = {WORDS, " IS UNKNOWN"},
    [TREE_DISTINCT] = {OPERATOR, " IS DISTINCT FROM "},
    [TREE_REGEX] = {PATTERN, " ~ "},
    [TREE_IREGEX] = {PATTERN, " ~* "},
    [TREE_CONTAINS] = {OPERATOR, " @> "},
    [TREE_CONTAINED] = {OPERATOR, " <@ "},
    [TREE_OVERLAPS] = {OPERATOR, " && "},
    [TREE_LEFT_OF] = {OPERATOR, " << "},
    [TREE_RIGHT_OF] = {OPERATOR, " >> "},
    [TREE_NOT_RIGHT] = {OPERATOR, " &< "},
    [TREE_NOT_LEFT] = {OPERATOR, " &> "},
    [TREE_ADJACENT] = {OPERATOR, " -|- "},
    [TREE_FTS] = {SEARCH, "to_tsquery"},
    [TREE_FTS_PLAIN] = {SEARCH, "plainto_tsquery"},
    [TREE_FTS_PHRASE] = {SEARCH, "phraseto_tsquery"},
    [TREE_FTS_WEB] = {SEARCH, "websearch_to_tsquery"},
};

static void write_compare(struct sql_writer *w, struct sql_source from, struct tree_node *node)
{
    enum how how = ops[node->op].how;
    struct hs_str words = hs_str(ops[node->op].words);

    if (how != WORDS && how != OPEN_LIST && how != FULL_SEARCH && !node->param)
        node->param = sql_param(w, node->value);
    switch (how) {
    case OPERATOR:
        write_operator(w, from, node, words);
        break;
    case PATTERN:
        write_like(w, from, node, words);
        break;
    case SEARCH:
        write_matches(w, from, node, words);
        break;
    case FULL_SEARCH:
        sql_search(w, from, node->search);
        break;
    case LIST:
        write_in(w, from, node);
        break;
    case OPEN_LIST:
        write_one_of(w, from, node);
        break;
    case WORDS:
        write_left(w, from, node);
        hs_buf_add(w->out, words);
        break;
    }
}

/* Depth is that of the tree, which its dialect bounds. */
static void write_node(struct sql_writer *w, struct sql_source from, struct tree_node *node)
{
    struct hs_str joint = node->kind == TREE_OR ? HS_STR(" OR ") : HS_STR(" AND ");

    if (node->kind == TREE_COMPARE) {
        write_compare(w, from, node);
        return;
    }
    if (node->kind == TREE_EXISTS) {
        sql_exists(w, from, node->embed);
        return;
    }
    if (node->kind == TREE_NOT)
        hs_buf_add_lit(w->out, "NOT ");
    hs_buf_add_char(w->out, '(');
    if (!node->first)
        hs_buf_add(w->out, node->kind == TREE_OR ? HS_STR("false") : HS_STR("true"));
    for (struct tree_node *child = node->first; child; child = child->next) {
        if (child != node->first)
            hs_buf_add(w->out, joint);
        write_node(w, from, child);
    }
    hs_buf_add_char(w->out, ')');
}

/* The top of nearly every filter is an AND: written without its parentheses. */
bool sql_filter(struct sql_writer *w, struct sql_source from, struct tree_node *node,
                struct hs_str before)
{
    if (!node || (node->kind == TREE_AND && !node->first))
        return false;
    hs_buf_add(w->out, before);
    if (node->kind != TREE_AND) {
        write_node(w, from, node);
        return true;
    }
    for (struct tree_node *child = node->first; child; child = child->next) {
        if (child != node->first)
            hs_buf_add_lit(w->out, " AND ");
        write_node(w, from, child);
    }
    return true;
}

void sql_where(struct sql_writer *w, struct sql_source from, struct tree_node *node)
{
    (void)sql_filter(w, from, node, HS_STR(" WHERE "));
}

/* ---- position ---- */

void sql_position_params(struct sql_writer *w, const struct tree_select *tree)
{
    const struct tree_position *at = tree->position;

    for (size_t i = 0; i < tree->n_order; i++)
        at->params[i] = at->values[i].p ? sql_param(w, at->values[i]) : 0;
}

static bool is_one_row_comparison(const struct tree_select *tree)
{
    for (size_t i = 0; i < tree->n_order; i++) {
        if (!tree->order[i].column->not_null || !tree->position->values[i].p)
            return false;
        if (tree->order[i].is_desc != tree->order[0].is_desc)
            return false;
    }
    return true;
}

size_t sql_branches(const struct tree_select *tree, struct sql_branch *branches)
{
    size_t n = 0;

    if (is_one_row_comparison(tree)) {
        branches[0] = (struct sql_branch){.how = SQL_BRANCH_ROW};
        return 1;
    }
    for (size_t i = tree->n_order; i-- > 0;) {
        bool is_null = !tree->position->values[i].p;
        bool is_desc = sql_is_desc(tree, i);

        if (is_null && is_desc)
            branches[n++] = (struct sql_branch){.prefix = i, .how = SQL_BRANCH_NOT_NULL};
        if (is_null)
            continue;
        branches[n++] = (struct sql_branch){.prefix = i,
                                            .how = is_desc ? SQL_BRANCH_LESS : SQL_BRANCH_GREATER};
        if (!is_desc && !tree->order[i].column->not_null)
            branches[n++] = (struct sql_branch){.prefix = i, .how = SQL_BRANCH_NULL};
    }
    /* The order ends in a key, whose columns are never NULL. */
    HS_BUG_ON(n == 0);
    return n;
}

static void write_position_value(struct sql_writer *w, const struct tree_select *tree, size_t i)
{
    sql_param_cast(w, tree->position->params[i], tree->order[i].column->type->sql);
}

static void write_row_comparison(struct sql_writer *w, struct sql_source from,
                                 const struct tree_select *tree)
{
    bool is_many = tree->n_order > 1;

    if (is_many)
        hs_buf_add_char(w->out, '(');
    for (size_t i = 0; i < tree->n_order; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        sql_column(w, from, tree->order[i].column);
    }
    if (is_many)
        hs_buf_add_char(w->out, ')');
    hs_buf_add(w->out, sql_is_desc(tree, 0) ? HS_STR(" < ") : HS_STR(" > "));
    if (is_many)
        hs_buf_add_char(w->out, '(');
    for (size_t i = 0; i < tree->n_order; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        write_position_value(w, tree, i);
    }
    if (is_many)
        hs_buf_add_char(w->out, ')');
}

static void write_branch_end(struct sql_writer *w, struct sql_source from,
                             const struct tree_select *tree, const struct sql_branch *branch)
{
    sql_column(w, from, tree->order[branch->prefix].column);
    switch (branch->how) {
    case SQL_BRANCH_NULL:
        hs_buf_add_lit(w->out, " IS NULL");
        return;
    case SQL_BRANCH_NOT_NULL:
        hs_buf_add_lit(w->out, " IS NOT NULL");
        return;
    case SQL_BRANCH_LESS:
        hs_buf_add_lit(w->out, " < ");
        break;
    case SQL_BRANCH_GREATER:
    case SQL_BRANCH_ROW:
        hs_buf_add_lit(w->out, " > ");
        break;
    }
    write_position_value(w, tree, branch->prefix);
}

void sql_where_branch(struct sql_writer *w, struct sql_source from, const struct tree_select *tree,
                      const struct sql_branch *branch)
{
    bool is_filtered = sql_filter(w, from, tree->where, HS_STR(" WHERE "));

    hs_buf_add(w->out, is_filtered ? HS_STR(" AND ") : HS_STR(" WHERE "));
    if (branch->how == SQL_BRANCH_ROW) {
        write_row_comparison(w, from, tree);
        return;
    }
    for (size_t i = 0; i < branch->prefix; i++) {
        sql_column(w, from, tree->order[i].column);
        if (tree->position->values[i].p) {
            hs_buf_add_lit(w->out, " = ");
            write_position_value(w, tree, i);
        } else {
            hs_buf_add_lit(w->out, " IS NULL");
        }
        hs_buf_add_lit(w->out, " AND ");
    }
    write_branch_end(w, from, tree, branch);
}
