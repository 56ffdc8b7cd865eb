/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One order for filters that mean the same.
 *
 * The rule: only what SQL itself holds for equal is moved. AND and OR may be asked in any order, and an AND
 * in an AND is the same AND; a condition that stands twice is true as often as once. Columns, sort order and
 * related rows shape the answer and stay as they are. (The values of a list are put in order where the list
 * is made: api/value.c.) A value whose form PostgreSQL would write in one way only (7, not 007) gets that form; where
 * that is not known it stays as it is.
 *
 * Lists of children are merged, and recursion is as deep as the tree, which its dialect bounds.
 */
#include "api/depend_int.h"

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_types(const struct pg_type *a, const struct pg_type *b)
{
    return compare_numbers(a ? a->oid : 0, b ? b->oid : 0);
}

static int compare_steps(const struct tree_step *a, const struct tree_step *b)
{
    int order = compare_numbers(a->is_index, b->is_index);

    order = order ? order : compare_numbers(a->is_text, b->is_text);
    return order ? order : hs_str_cmp(a->key, b->key);
}

static int compare_columns(const struct pg_column *a, const struct pg_column *b)
{
    return compare_numbers(a ? a->index + 1U : 0, b ? b->index + 1U : 0);
}

static int compare_made(const struct tree_value *a, const struct tree_value *b)
{
    int order = compare_numbers(a != NULL, b != NULL);

    if (order || !a)
        return order;
    order = compare_columns(a->column, b->column);
    order = order ? order
                  : compare_numbers(a->function ? a->function->oid : 0,
                                    b->function ? b->function->oid : 0);
    order = order ? order : compare_numbers(a->n_steps, b->n_steps);
    for (size_t i = 0; !order && i < a->n_steps; i++)
        order = compare_steps(&a->steps[i], &b->steps[i]);
    order = order ? order : compare_types(a->cast, b->cast);
    order = order ? order : compare_numbers(a->aggregate, b->aggregate);
    return order ? order : compare_types(a->aggregate_cast, b->aggregate_cast);
}

static int compare_compares(const struct tree_node *a, const struct tree_node *b)
{
    int order = compare_columns(a->column, b->column);

    order = order ? order : compare_made(a->made, b->made);
    order = order ? order : compare_numbers(a->op, b->op);
    order = order ? order : compare_numbers(a->quantifier, b->quantifier);
    order = order ? order : compare_numbers(a->is_untyped, b->is_untyped);
    order = order ? order : hs_str_cmp(a->value, b->value);
    order = order ? order : compare_numbers(a->has_config_param, b->has_config_param);
    order = order ? order : hs_str_cmp(a->config, b->config);
    return order ? order : compare_numbers(a->n_values, b->n_values);
}

/* Embeds of one select are told apart by the client's name for them; by no more than that, they stay as they are. */
static int compare_nodes(const struct tree_node *a, const struct tree_node *b)
{
    const struct tree_node *x = a->first;
    const struct tree_node *y = b->first;
    int order = compare_numbers(a->kind != TREE_COMPARE, b->kind != TREE_COMPARE);

    if (!order)
        order = compare_numbers(a->kind, b->kind);
    if (!order && a->kind == TREE_COMPARE)
        return compare_compares(a, b);
    if (!order && a->kind == TREE_EXISTS)
        return hs_str_cmp(a->embed->name, b->embed->name);
    for (; !order && x && y; x = x->next, y = y->next)
        order = compare_nodes(x, y);
    return order ? order : compare_numbers(x != NULL, y != NULL);
}

/* Of two that are equal here one may be left out; not of two embeds that only have one name. */
static bool is_same(const struct tree_node *a, const struct tree_node *b)
{
    const struct tree_node *x = a->first;
    const struct tree_node *y = b->first;

    if (a->kind == TREE_EXISTS)
        return a->embed == b->embed;
    for (; x && y; x = x->next, y = y->next) {
        if (!is_same(x, y))
            return false;
    }
    return true;
}

/* The values of a ONE_OF are not in the tree: two that look equal need not be. */
static bool has_open_values(const struct tree_node *node)
{
    if (node->kind == TREE_COMPARE)
        return node->op == TREE_ONE_OF;
    for (const struct tree_node *child = node->first; child; child = child->next) {
        if (has_open_values(child))
            return true;
    }
    return false;
}

/* Of equal ones, those of `a` stand first. */
static struct tree_node *merge(struct tree_node *a, struct tree_node *b)
{
    struct tree_node *first = NULL;
    struct tree_node **end = &first;

    while (a && b) {
        struct tree_node **least = compare_nodes(a, b) <= 0 ? &a : &b;

        *end = *least;
        end = &(*least)->next;
        *least = *end;
    }
    *end = a ? a : b;
    return first;
}

/* Cuts n nodes off *list and returns them in order. */
static struct tree_node *sort_nodes(struct tree_node **list, size_t n)
{
    struct tree_node *first = *list;
    struct tree_node *half;

    if (n == 0)
        return NULL;
    if (n == 1) {
        *list = first->next;
        first->next = NULL;
        return first;
    }
    half = sort_nodes(list, n / 2);
    return merge(half, sort_nodes(list, n - n / 2));
}

static void drop_repeats(struct tree_node *parent)
{
    struct tree_node *at = parent->first;

    while (at && at->next) {
        if (compare_nodes(at, at->next) == 0 && is_same(at, at->next) && !has_open_values(at))
            at->next = at->next->next;
        else
            at = at->next;
    }
    parent->last = at;
}

static void order_node(struct tree_node *node)
{
    /* The children of a NOT are joined by AND, as well. */
    enum tree_kind joint = node->kind == TREE_OR ? TREE_OR : TREE_AND;
    struct tree_node *next;
    struct tree_node *child = node->first;
    size_t n = 0;

    node->first = node->last = NULL;
    for (; child; child = next) {
        next = child->next;
        child->next = NULL;
        order_node(child);
        if (child->kind != joint) {
            tree_node_append(node, child);
        } else if (child->first) {
            tree_node_append(node, child->first);
            node->last = child->last;
        }
    }
    for (child = node->first; child; child = child->next)
        n++;
    child = node->first;
    node->first = sort_nodes(&child, n);
    drop_repeats(node);
}

static void form_values(struct tree_node *node, struct hs_arena *arena)
{
    struct hs_str form;

    if (node->kind == TREE_COMPARE) {
        if (node->op <= TREE_LTE && !node->made && node->quantifier == TREE_ONE &&
            api_value_form(node->column->type, node->value, arena, &form))
            node->value = form;
        return;
    }
    for (struct tree_node *child = node->first; child; child = child->next)
        form_values(child, arena);
}

void api_canonical(struct tree_select *tree, struct hs_arena *arena)
{
    if (tree->where) {
        form_values(tree->where, arena);
        order_node(tree->where);
    }
    for (struct tree_embed *e = tree->embeds; e; e = e->next)
        api_canonical(e->select, arena);
}

void api_canonical_key(const struct api_table *table, const char **key, struct hs_arena *arena)
{
    struct hs_str form;

    for (size_t i = 0; i < table->n_key; i++) {
        if (api_value_form(table->key[i]->type, hs_str(key[i]), arena, &form))
            key[i] = form.p;
    }
}
