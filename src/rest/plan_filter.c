/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters and orders of a level.
 *
 * A filter `is null` by the name of an embed asks whether there are rows in it. Everything else compares what is
 * made of a column with a value whose type is PostgreSQL's to find out, as it is with a literal.
 */
#include "rest/plan_int.h"

static struct tree_node *new_node(struct rest_planner *p, enum tree_kind kind)
{
    struct tree_node *node = HS_NEW(p->arena, struct tree_node);

    if (node)
        node->kind = kind;
    return node;
}

/* NULL = no memory, before or now. */
static struct tree_node *negate(struct rest_planner *p, struct tree_node *node, bool is_negated)
{
    struct tree_node *not = node && is_negated ? new_node(p, TREE_NOT) : NULL;

    if (!node || !is_negated)
        return node;
    if (not )
        tree_node_append(not, node);
    return not ;
}

static enum tree_op op_of(const struct rest_node *node)
{
    static const enum tree_op to[] = {[REST_EQ] = TREE_EQ,
                                      [REST_NEQ] = TREE_NE,
                                      [REST_GT] = TREE_GT,
                                      [REST_GTE] = TREE_GTE,
                                      [REST_LT] = TREE_LT,
                                      [REST_LTE] = TREE_LTE,
                                      [REST_LIKE] = TREE_LIKE,
                                      [REST_ILIKE] = TREE_ILIKE,
                                      [REST_MATCH] = TREE_REGEX,
                                      [REST_IMATCH] = TREE_IREGEX,
                                      [REST_IN] = TREE_IN,
                                      [REST_IS] = TREE_NULL,
                                      [REST_ISDISTINCT] = TREE_DISTINCT,
                                      [REST_FTS] = TREE_FTS,
                                      [REST_PLFTS] = TREE_FTS_PLAIN,
                                      [REST_PHFTS] = TREE_FTS_PHRASE,
                                      [REST_WFTS] = TREE_FTS_WEB,
                                      [REST_CS] = TREE_CONTAINS,
                                      [REST_CD] = TREE_CONTAINED,
                                      [REST_OV] = TREE_OVERLAPS,
                                      [REST_SL] = TREE_LEFT_OF,
                                      [REST_SR] = TREE_RIGHT_OF,
                                      [REST_NXR] = TREE_NOT_RIGHT,
                                      [REST_NXL] = TREE_NOT_LEFT,
                                      [REST_ADJ] = TREE_ADJACENT};
    static const struct {
        struct hs_str word;
        enum tree_op op;
    } is[] = {{{"not_null", 8}, TREE_NOT_NULL},
              {{"true", 4}, TREE_TRUE},
              {{"false", 5}, TREE_FALSE},
              {{"unknown", 7}, TREE_UNKNOWN}};

    for (size_t i = 0; node->op == REST_IS && i < HS_LEN(is); i++) {
        if (hs_str_eq(node->value, is[i].word))
            return is[i].op;
    }
    return to[node->op];
}

static enum tree_quantifier quantifier_of(enum rest_quantifier quantifier)
{
    static const enum tree_quantifier to[] = {
        [REST_ONE] = TREE_ONE, [REST_ANY] = TREE_ANY, [REST_ALL] = TREE_ALL};

    return to[quantifier];
}

/* The embed whose rows are asked for; NULL: it is a comparison. */
static const struct rest_level *asked_embed(const struct rest_level *level,
                                            const struct rest_node *node)
{
    enum tree_op op = op_of(node);

    if (node->path.n_steps || (op != TREE_NULL && op != TREE_NOT_NULL))
        return NULL;
    return rest_level_child(level, node->path.name);
}

static hs_status bind_exists(struct rest_planner *p, const struct rest_level *embed,
                             const struct rest_node *node, struct tree_node **ret_node,
                             struct hs_err *reterr)
{
    struct tree_node *exists = new_node(p, TREE_EXISTS);

    if (exists)
        exists->embed = embed->embed;
    *ret_node = negate(p, exists, (op_of(node) == TREE_NULL) != node->is_negated);
    return *ret_node ? HS_OK : hs_fail_memory(reterr);
}

static hs_status bind_compare(struct rest_planner *p, const struct rest_level *level,
                              const struct rest_node *node, struct tree_node **ret_node,
                              struct hs_err *reterr)
{
    const struct rest_level *embed = asked_embed(level, node);
    struct tree_value *made;
    struct tree_node *compare;
    hs_status status;

    if (embed)
        return bind_exists(p, embed, node, ret_node, reterr);
    compare = new_node(p, TREE_COMPARE);
    if (!compare)
        return hs_fail_memory(reterr);
    status = rest_plan_path(p, level, /* is_above= */ false, &node->path, &compare->column, &made,
                            reterr);
    if (status)
        return status;
    compare->made = made;
    compare->op = op_of(node);
    compare->quantifier = quantifier_of(node->quantifier);
    compare->value = node->value;
    compare->is_untyped = true;
    if (node->config.p) {
        compare->config = node->config;
        compare->has_config_param = true;
    }
    *ret_node = negate(p, compare, node->is_negated);
    return *ret_node ? HS_OK : hs_fail_memory(reterr);
}

/* The grammar bounds the depth. */
static hs_status bind_node(struct rest_planner *p, const struct rest_level *level,
                           const struct rest_node *node, struct tree_node **ret_node,
                           struct hs_err *reterr)
{
    struct tree_node *group;

    if (node->kind == REST_NODE_COMPARE)
        return bind_compare(p, level, node, ret_node, reterr);
    group = new_node(p, node->kind == REST_NODE_OR ? TREE_OR : TREE_AND);
    if (!group)
        return hs_fail_memory(reterr);
    for (const struct rest_node *n = node->first; n; n = n->next) {
        struct tree_node *child;
        hs_status status = bind_node(p, level, n, &child, reterr);

        if (status)
            return status;
        tree_node_append(group, child);
    }
    *ret_node = negate(p, group, node->is_negated);
    return *ret_node ? HS_OK : hs_fail_memory(reterr);
}

hs_status rest_plan_filter(struct rest_planner *p, const struct rest_level *level,
                           const struct rest_node *where, struct tree_node **ret_where,
                           struct hs_err *reterr)
{
    if (where && !*ret_where)
        *ret_where = new_node(p, TREE_AND);
    if (where && !*ret_where)
        return hs_fail_memory(reterr);
    for (; where; where = where->next) {
        struct tree_node *node;
        hs_status status = bind_node(p, level, where, &node, reterr);

        if (status)
            return status;
        tree_node_append(*ret_where, node);
    }
    return HS_OK;
}

/* ---- orders ---- */

/* The request gives an order by alias and one by target: the first holds. */
static const struct rest_order *order_of(const struct rest_level *level)
{
    for (const struct rest_level_scope *s = level->scopes; s; s = s->next) {
        if (s->scope->order)
            return s->scope->order;
    }
    return NULL;
}

static hs_status check_order(const struct rest_level *level, const struct rest_order *order,
                             struct hs_err *reterr)
{
    const struct rest_level *embed = rest_level_child(level, order->embed);

    if (!embed)
        return rest_plan_not_embedded(order->embed, reterr);
    if (!embed->by->is_many)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_PGRST118, "A related order on '%.*s' is not possible",
                  HS_FMT(embed->name));
    hs_err_why(reterr, "'%.*s' and '%.*s' do not form a many-to-one or one-to-one relationship",
               HS_FMT(level->relation->pg->name), HS_FMT(embed->name));
    return HS_E_PGRST118;
}

hs_status rest_plan_check_orders(struct rest_level *level, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    for (const struct rest_order *o = order_of(level); o && !status; o = o->next) {
        if (o->embed.p)
            status = check_order(level, o, reterr);
    }
    for (struct rest_level *l = level->first; l && !status; l = l->next)
        status = rest_plan_check_orders(l, reterr);
    return status;
}

/* What an embed selects under an alias can be ordered by it. NULL: nothing. */
static const struct rest_item *aliased(const struct rest_level *embed, const struct rest_path *path)
{
    const struct rest_item *item = path->n_steps ? NULL : embed->items;

    while (item && (item->kind != REST_ITEM_FIELD || item->aggregate || !item->alias.p ||
                    !hs_str_eq(item->alias, path->name)))
        item = item->next;
    return item;
}

static hs_status bind_made(struct rest_planner *p, const struct rest_level *of,
                           const struct rest_order *order, struct tree_order *to,
                           struct hs_err *reterr)
{
    const struct rest_item *item = order->embed.p ? aliased(of, &order->path) : NULL;
    const struct rest_path *path = item ? &item->path : &order->path;
    const struct pg_type *cast = NULL;
    struct tree_value *made;
    hs_status status = rest_plan_path(p, of, order->embed.p != NULL, path, &to->column, &made,
                                      reterr);

    if (!status && item)
        status = rest_plan_type(p, item->cast, &cast, reterr);
    if (status)
        return status;
    if (cast && !made)
        made = HS_NEW(p->arena, struct tree_value);
    if (cast && !made)
        return hs_fail_memory(reterr);
    if (cast) {
        made->column = to->column;
        made->cast = cast;
    }
    to->made = made;
    return HS_OK;
}

static hs_status bind_order(struct rest_planner *p, const struct rest_level *level,
                            const struct rest_order *order, struct tree_order *to,
                            struct hs_err *reterr)
{
    static const enum tree_nulls nulls[] = {[REST_NULLS_DEFAULT] = TREE_NULLS_DEFAULT,
                                            [REST_NULLS_FIRST] = TREE_NULLS_FIRST,
                                            [REST_NULLS_LAST] = TREE_NULLS_LAST};
    const struct rest_level *of = order->embed.p ? rest_level_child(level, order->embed) : level;

    to->embed = order->embed.p ? of->embed : NULL;
    to->is_desc = order->is_desc;
    to->nulls = nulls[order->nulls];
    return bind_made(p, of, order, to, reterr);
}

hs_status rest_plan_order(struct rest_planner *p, struct rest_level *level, struct hs_err *reterr)
{
    const struct rest_order *first = order_of(level);
    struct tree_order *orders;
    size_t n = 0;

    for (const struct rest_order *o = first; o; o = o->next)
        n++;
    if (!n)
        return HS_OK;
    orders = HS_NEW_ARRAY(p->arena, n, struct tree_order);
    if (!orders)
        return hs_fail_memory(reterr);
    level->select->order = orders;
    for (const struct rest_order *o = first; o; o = o->next) {
        hs_status status = bind_order(p, level, o, &orders[level->select->n_order], reterr);

        if (status)
            return status;
        level->select->n_order++;
    }
    return HS_OK;
}
