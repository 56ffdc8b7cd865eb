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

static int compare_nodes(const struct tree_node *a, const struct tree_node *b)
{
    const struct tree_node *x = a->first;
    const struct tree_node *y = b->first;
    int order = compare_numbers(a->kind != TREE_COMPARE, b->kind != TREE_COMPARE);

    if (!order)
        order = compare_numbers(a->kind, b->kind);
    if (!order && a->kind == TREE_COMPARE) {
        order = compare_numbers(a->column->index, b->column->index);
        order = order ? order : compare_numbers(a->op, b->op);
        order = order ? order : hs_str_cmp(a->value, b->value);
        order = order ? order : hs_str_cmp(a->config, b->config);
        return order ? order : compare_numbers(a->n_values, b->n_values);
    }
    for (; !order && x && y; x = x->next, y = y->next)
        order = compare_nodes(x, y);
    return order ? order : compare_numbers(x != NULL, y != NULL);
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
        if (compare_nodes(at, at->next) == 0 && !has_open_values(at))
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
        if (node->op <= TREE_LTE && api_value_form(node->column->type, node->value, arena, &form))
            node->value = form;
        return;
    }
    for (struct tree_node *child = node->first; child; child = child->next)
        form_values(child, arena);
}

bool api_where_is_plain(const struct tree_node *where)
{
    if (!where)
        return true;
    if (where->kind == TREE_EXISTS)
        return false;
    if (where->kind == TREE_COMPARE)
        return where->column && !where->made && where->quantifier == TREE_ONE;
    for (const struct tree_node *child = where->first; child; child = child->next) {
        if (!api_where_is_plain(child))
            return false;
    }
    return true;
}

/* Where conditions are not told apart by what compare_nodes() looks at, they stay as they are. */
void api_canonical(struct tree_select *tree, struct hs_arena *arena)
{
    if (tree->where && api_where_is_plain(tree->where)) {
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
