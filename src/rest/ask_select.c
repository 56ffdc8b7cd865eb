/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select: a list of columns, aggregates and embeds, which hold lists of their own.
 *
 * Nothing before '(' tells an embed from a column, so each element is read as a spread, as an embed and
 * as a column in turn, of which the first two cost no memory when they fail: they look as far as '('
 * only, so that depth costs nothing either.
 */
#include "rest/ask_int.h"

static bool read_items(struct ask_parser *s, struct rest_item **ret_items);

/* alias: - but not alias:: ; nothing is fine too, and leaves p == NULL. */
static bool read_alias(struct ask_parser *s, struct ask_span *ret_span)
{
    struct ask_mark mark = ask_mark(s);

    if (ask_name(s, ret_span) && ask_char(s, ':', ASK_COLON)) {
        if (ask_peek(s) != ':') {
            (void)ask_complain(s, ASK_COLON);
            return true;
        }
        (void)ask_refuse(s, s->at + 1, s->at, ASK_NOTHING);
    }
    return ask_back(s, &mark);
}

/* !hint, !inner, !left: each once, in any order. */
static bool read_join(struct ask_parser *s, struct rest_item *item, struct ask_span *hint)
{
    for (int i = 0; i < 2; i++) {
        struct ask_mark mark;
        struct ask_span span;
        enum rest_join join = REST_JOIN_DEFAULT;

        if (!ask_char(s, '!', ASK_BANG))
            continue;
        mark = ask_mark(s);
        if (ask_try_string(s, "left", ASK_LEFT))
            join = REST_JOIN_LEFT;
        else if (ask_try_string(s, "inner", ASK_INNER))
            join = REST_JOIN_INNER;
        else if (!ask_name(s, &span))
            return ask_back(s, &mark);
        if (join && !item->join)
            item->join = join;
        else if (!join && !hint->to)
            *hint = span;
    }
    return true;
}

/* [alias:]target[!..], or ...target[!..], up to '('. Names only once it is sure to be one. */
static bool read_embed_head(struct ask_parser *s, struct rest_item *item)
{
    struct ask_span alias = {0};
    struct ask_span target;
    struct ask_span hint = {0};
    bool has_alias = false;

    ask_space(s);
    if (item->is_spread && !ask_string(s, "...", ASK_DOTS))
        return false;
    if (!item->is_spread)
        has_alias = read_alias(s, &alias);
    if (!ask_name(s, &target) || (!item->is_spread && ask_name_is(s, target, "count")) ||
        !read_join(s, item, &hint) || !ask_ahead(s, "(", ASK_OPEN))
        return false;
    item->kind = REST_ITEM_EMBED;
    item->target = ask_name_text(s, target);
    if (has_alias)
        item->alias = ask_name_text(s, alias);
    if (hint.to)
        item->hint = ask_name_text(s, hint);
    return true;
}

static bool item_ends(struct ask_parser *s)
{
    return ask_ahead(s, ")", ASK_CLOSE) || ask_ahead(s, ",", ASK_COMMA) || ask_end(s);
}

static bool read_cast(struct ask_parser *s, struct hs_str *ret_cast)
{
    size_t begin = s->at;

    if (!ask_string(s, "::", ASK_CAST))
        return s->at == begin;
    return ask_identifier(s, ret_cast);
}

/* .sum() and so on. What comes out of nothing is REST_AGGREGATE_NONE. */
static enum rest_aggregate read_aggregate(struct ask_parser *s)
{
    static const struct {
        const char *name;
        enum ask_expectation expectation;
        enum rest_aggregate aggregate;
    } rows[] = {{"sum", ASK_SUM, REST_SUM},
                {"avg", ASK_AVG, REST_AVG},
                {"count", ASK_COUNT, REST_COUNT},
                {"max", ASK_MAX, REST_MAX},
                {"min", ASK_MIN, REST_MIN}};
    struct ask_mark mark = ask_mark(s);
    size_t begin;

    if (!ask_char(s, '.', ASK_DOT))
        return REST_AGGREGATE_NONE;
    begin = s->at;
    for (size_t i = 0; i < HS_LEN(rows) && s->at == begin; i++) {
        bool is_tried = rows[i].name[0] == 'm'; /* two that begin alike */

        if (!(is_tried ? ask_try_string : ask_string)(s, rows[i].name, rows[i].expectation))
            continue;
        if (ask_string(s, "()", ASK_PARENTHESES))
            return rows[i].aggregate;
        break;
    }
    (void)ask_back(s, &mark);
    return REST_AGGREGATE_NONE;
}

static bool read_all(struct ask_parser *s, struct rest_item *item)
{
    struct ask_mark mark = ask_mark(s);

    if (!ask_char(s, '*', ASK_STAR) || !item_ends(s))
        return ask_back(s, &mark);
    item->kind = REST_ITEM_ALL;
    return true;
}

/* [alias:]count()[::type] */
static bool read_count(struct ask_parser *s, struct rest_item *item)
{
    struct ask_mark mark = ask_mark(s);
    struct ask_span alias;
    bool has_alias = read_alias(s, &alias);

    if (!ask_string(s, "count()", ASK_COUNT_CALL) || !read_cast(s, &item->aggregate_cast) ||
        !item_ends(s))
        return ask_back(s, &mark);
    item->aggregate = REST_COUNT;
    item->path.name = HS_STR("");
    if (has_alias)
        item->alias = ask_name_text(s, alias);
    return true;
}

/* [alias:]column[->..][::type][.sum()[::type]] */
static bool read_field(struct ask_parser *s, struct rest_item *item)
{
    struct ask_span alias;
    bool has_alias = read_alias(s, &alias);

    item->aggregate_cast = HS_STR_NULL;
    if (!ask_path(s, &item->path) || !read_cast(s, &item->cast))
        return false;
    item->aggregate = read_aggregate(s);
    if (!read_cast(s, &item->aggregate_cast) || !item_ends(s))
        return false;
    /* column::a::b is good grammar; without an aggregate between them the second means nothing. */
    if (!item->aggregate)
        item->aggregate_cast = HS_STR_NULL;
    if (has_alias)
        item->alias = ask_name_text(s, alias);
    return true;
}

static bool read_embedded(struct ask_parser *s, struct rest_item *item)
{
    bool ok;

    if (!ask_char(s, '(', ASK_OPEN))
        return false;
    if (s->depth == REST_DEPTH_MAX)
        return ask_fail_limit(s, "embeds in each other", REST_DEPTH_MAX);
    if (s->counts->embeds++ == REST_EMBEDS_MAX)
        return ask_fail_limit(s, "embeds", REST_EMBEDS_MAX);
    s->depth++;
    ok = read_items(s, &item->items) && ask_char(s, ')', ASK_CLOSE);
    s->depth--;
    return ok;
}

static bool read_item(struct ask_parser *s, struct rest_item *item)
{
    struct ask_mark mark = ask_mark(s);

    if (s->counts->items++ == REST_ITEMS_MAX)
        return ask_fail_limit(s, "elements in select", REST_ITEMS_MAX);
    item->is_spread = true;
    if (read_embed_head(s, item))
        return read_embedded(s, item);
    (void)ask_back(s, &mark);
    item->is_spread = false;
    if (read_embed_head(s, item))
        return read_embedded(s, item);
    (void)ask_back(s, &mark);
    item->join = REST_JOIN_DEFAULT;
    item->kind = REST_ITEM_FIELD;
    ask_space(s);
    if (!read_all(s, item) && !read_count(s, item) && !read_field(s, item))
        return false;
    ask_space(s);
    return true;
}

static bool read_items(struct ask_parser *s, struct rest_item **ret_items)
{
    struct rest_item **end = ret_items;
    size_t begin = s->at;

    *ret_items = NULL;
    for (bool is_first = true;; is_first = false) {
        struct rest_item *item = HS_NEW(s->arena, struct rest_item);

        if (!item)
            return ask_fail_memory(s);
        /* Nothing at all is a list of nothing; a comma wants something behind it. */
        if (!read_item(s, item))
            return is_first && s->at == begin;
        *end = item;
        end = &item->next;
        if (!is_first)
            ask_turn(s);
        begin = s->at;
        if (!ask_spaced_char(s, ',', ASK_COMMA))
            return s->at == begin;
    }
}

bool ask_select(struct ask_parser *s, struct rest_item **ret_items)
{
    return read_items(s, ret_items);
}
