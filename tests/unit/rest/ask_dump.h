/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request of the PostgREST dialect as one line, so that a test shows on one line what was read.
 * select{...} where{...} order{...}; names in <>, what is absent is not shown.
 */
#ifndef UNIT_ASK_DUMP_H
#define UNIT_ASK_DUMP_H

#include "core/buf.h"
#include "rest/ask.h"

/* Had every text dumped so far its NUL? */
static bool dump_is_terminated = true;

static inline void dump_name(struct hs_buf *out, const char *before, struct hs_str name)
{
    if (name.p) {
        hs_buf_printf(out, "%s<%.*s>", before, HS_FMT(name));
        if (name.p[name.n] != '\0')
            dump_is_terminated = false;
    }
}

static inline void dump_path(struct hs_buf *out, const struct rest_path *path)
{
    dump_name(out, "", path->name);
    for (size_t i = 0; i < path->n_steps; i++) {
        const struct rest_step *step = &path->steps[i];

        hs_buf_printf(out, "%s", step->is_text ? "->>" : "->");
        if (step->is_index)
            hs_buf_printf(out, "%s", step->key.p);
        else
            dump_name(out, "", step->key);
    }
}

static inline void dump_items(struct hs_buf *out, const struct rest_item *item)
{
    static const char *const aggregates[] = {"", ".count", ".sum", ".avg", ".min", ".max"};
    static const char *const joins[] = {"", "!left", "!inner"};

    for (; item; item = item->next) {
        dump_name(out, "as", item->alias);
        if (item->kind == REST_ITEM_ALL) {
            hs_buf_add_char(out, '*');
        } else if (item->kind == REST_ITEM_FIELD) {
            dump_path(out, &item->path);
            dump_name(out, "::", item->cast);
            hs_buf_add(out, hs_str(aggregates[item->aggregate]));
            dump_name(out, "::", item->aggregate_cast);
        } else {
            dump_name(out, item->is_spread ? "..." : "", item->target);
            dump_name(out, "!", item->hint);
            hs_buf_add(out, hs_str(joins[item->join]));
            hs_buf_add_char(out, '(');
            dump_items(out, item->items);
            hs_buf_add_char(out, ')');
        }
        if (item->next)
            hs_buf_add_char(out, ' ');
    }
}

static inline void dump_nodes(struct hs_buf *out, const struct rest_node *node)
{
    static const char *const ops[] = {"eq",    "neq",   "gt",     "gte", "lt", "lte",        "like",
                                      "ilike", "match", "imatch", "in",  "is", "isdistinct", "fts",
                                      "plfts", "phfts", "wfts",   "cs",  "cd", "ov",         "sl",
                                      "sr",    "nxr",   "nxl",    "adj"};
    static const char *const quantifiers[] = {"", "any", "all"};

    for (; node; node = node->next) {
        if (node->is_negated)
            hs_buf_add_lit(out, "not ");
        if (node->kind == REST_NODE_COMPARE) {
            dump_path(out, &node->path);
            hs_buf_printf(out, " %s%s", ops[node->op], quantifiers[node->quantifier]);
            dump_name(out, "", node->config);
            dump_name(out, " ", node->value);
            if (node->n_values)
                hs_buf_printf(out, "#%zu", node->n_values);
        } else {
            hs_buf_printf(out, "%s(", node->kind == REST_NODE_AND ? "and" : "or");
            dump_nodes(out, node->first);
            hs_buf_add_char(out, ')');
        }
        if (node->next)
            hs_buf_add_lit(out, ", ");
    }
}

static inline void dump_order(struct hs_buf *out, const struct rest_order *order)
{
    static const char *const nulls[] = {"", " nulls first", " nulls last"};

    for (; order; order = order->next) {
        dump_name(out, "of", order->embed);
        dump_path(out, &order->path);
        hs_buf_printf(out, "%s%s%s", order->is_desc ? " desc" : "", nulls[order->nulls],
                      order->next ? ", " : "");
    }
}

static inline void dump_scope(struct hs_buf *out, const struct rest_scope *scope)
{
    for (size_t i = 0; i < scope->n_segments; i++)
        dump_name(out, i ? "." : " at ", scope->segments[i]);
    if (scope->where) {
        hs_buf_add_lit(out, " where{");
        dump_nodes(out, scope->where);
        hs_buf_add_char(out, '}');
    }
    if (scope->order) {
        hs_buf_add_lit(out, " order{");
        dump_order(out, scope->order);
        hs_buf_add_char(out, '}');
    }
    if (scope->has_limit)
        hs_buf_printf(out, " limit %llu", (unsigned long long)scope->limit);
    if (scope->has_offset)
        hs_buf_printf(out, " offset %llu", (unsigned long long)scope->offset);
}

static inline void dump_names(struct hs_buf *out, const char *what, const struct hs_str *names,
                              size_t n)
{
    hs_buf_printf(out, " %s{", what);
    for (size_t i = 0; i < n; i++)
        dump_name(out, i ? " " : "", names[i]);
    hs_buf_add_char(out, '}');
}

static inline void dump_ask(struct hs_buf *out, const struct rest_ask *ask)
{
    if (ask->has_select) {
        hs_buf_add_lit(out, " select{");
        dump_items(out, ask->select);
        hs_buf_add_char(out, '}');
    }
    for (const struct rest_scope *scope = ask->scopes; scope; scope = scope->next)
        dump_scope(out, scope);
    if (ask->has_columns)
        dump_names(out, "columns", ask->columns, ask->n_columns);
    if (ask->has_on_conflict)
        dump_names(out, "on_conflict", ask->on_conflict, ask->n_on_conflict);
    for (const struct rest_argument *a = ask->arguments; a; a = a->next) {
        dump_name(out, " arg", a->name);
        dump_name(out, "=", a->value);
    }
}

#endif
