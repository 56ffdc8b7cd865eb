/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order, and the lists of plain names: columns, on_conflict.
 */
#include "rest/ask_int.h"

/* .asc or .desc; neither is fine. */
static void read_direction(struct ask_parser *s, struct rest_order *order)
{
    struct ask_mark mark = ask_mark(s);

    if (!ask_delimiter(s) || ask_try_string(s, "asc", ASK_ASC))
        return;
    if (ask_try_string(s, "desc", ASK_DESC))
        order->is_desc = true;
    else
        (void)ask_back(s, &mark);
}

static void read_nulls(struct ask_parser *s, struct rest_order *order)
{
    struct ask_mark mark = ask_mark(s);

    if (!ask_delimiter(s))
        return;
    if (ask_try_string(s, "nullsfirst", ASK_NULLS_FIRST))
        order->nulls = REST_NULLS_FIRST;
    else if (ask_try_string(s, "nullslast", ASK_NULLS_LAST))
        order->nulls = REST_NULLS_LAST;
    else
        (void)ask_back(s, &mark);
}

static bool read_modifiers(struct ask_parser *s, struct rest_order *order)
{
    read_direction(s, order);
    read_nulls(s, order);
    return ask_ahead(s, ",", ASK_COMMA) || ask_end(s);
}

/* embed(column)... */
static bool read_embedded_term(struct ask_parser *s, struct rest_order *order)
{
    struct ask_mark mark = ask_mark(s);
    struct ask_span embed;

    if (!ask_name(s, &embed) || !ask_char(s, '(', ASK_OPEN) || !ask_path(s, &order->path) ||
        !ask_char(s, ')', ASK_CLOSE) || !read_modifiers(s, order))
        return ask_back(s, &mark);
    order->embed = ask_name_text(s, embed);
    return true;
}

static bool read_term(struct ask_parser *s, struct rest_order *order)
{
    ask_space(s);
    if (!read_embedded_term(s, order)) {
        *order = (struct rest_order){0};
        if (!ask_path(s, &order->path) || !read_modifiers(s, order))
            return false;
    }
    ask_space(s);
    return true;
}

bool ask_order(struct ask_parser *s, struct rest_order **ret_order)
{
    struct rest_order **end = ret_order;
    size_t begin = s->at;

    *ret_order = NULL;
    for (bool is_first = true;; is_first = false) {
        struct rest_order order = {0};

        if (s->counts->orders++ == REST_ITEMS_MAX)
            return ask_fail_limit(s, "elements in order", REST_ITEMS_MAX);
        if (!read_term(s, &order))
            return false;
        *end = HS_NEW(s->arena, struct rest_order);
        if (!*end)
            return ask_fail_memory(s);
        **end = order;
        end = &(*end)->next;
        if (!is_first)
            ask_turn(s);
        begin = s->at;
        if (!ask_char(s, ',', ASK_COMMA))
            return s->at == begin;
    }
}

static bool read_names(struct ask_parser *s, struct hs_str *names, size_t max, size_t *ret_n)
{
    size_t n = 0;
    size_t begin;

    for (;;) {
        struct ask_span span;

        if (!ask_name(s, &span))
            return false;
        if (n == max)
            return ask_fail_limit(s, "names in one list", REST_ITEMS_MAX);
        names[n] = ask_name_text(s, span);
        if (!names[n++].p)
            return false;
        if (n > 1)
            ask_turn(s);
        begin = s->at;
        *ret_n = n;
        if (!ask_spaced_char(s, ',', ASK_COMMA))
            return s->at == begin;
    }
}

bool ask_columns(struct ask_parser *s, const struct hs_str **ret_names, size_t *ret_n)
{
    size_t max = 1;
    struct hs_str *names;

    for (size_t i = 0; i < s->text.n && max < REST_ITEMS_MAX; i++)
        max += s->text.p[i] == ',';
    names = HS_NEW_ARRAY(s->arena, max, struct hs_str);
    if (!names)
        return ask_fail_memory(s);
    *ret_names = names;
    return read_names(s, names, max, ret_n);
}
