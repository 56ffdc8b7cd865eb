/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Levels: the rows themselves, their embeds, the embeds of those. What the request says of one by a path of
 * names is laid beside it. Names are those of the request; nothing is looked up here.
 */
#include "rest/plan_int.h"

static struct rest_level *add_level(struct rest_planner *p, struct rest_level *parent,
                                    const struct rest_item *item)
{
    struct rest_level *level = HS_NEW(p->arena, struct rest_level);
    struct tree_embed *embed = HS_NEW(p->arena, struct tree_embed);
    struct tree_select *select = HS_NEW(p->arena, struct tree_select);

    if (!level || !embed || !select)
        return NULL;
    *level = (struct rest_level){.parent = parent,
                                 .item = item,
                                 .items = item->items,
                                 .depth = parent->depth + 1,
                                 .name = item->alias.p ? item->alias : item->target,
                                 .select = select,
                                 .embed = embed};
    embed->name = level->name;
    embed->is_inner = item->join == REST_JOIN_INNER;
    embed->is_spread = item->is_spread;
    embed->select = select;
    if (!rest_plan_name(p, level->name, &embed->key, &embed->alias))
        return NULL;
    if (parent->last) {
        parent->last->next = level;
        parent->last->embed->next = embed;
    } else {
        parent->first = level;
        parent->select->embeds = embed;
    }
    parent->last = level;
    return level;
}

/* The grammar bounds the depth. */
static bool add_levels(struct rest_planner *p, struct rest_level *parent)
{
    for (const struct rest_item *i = parent->items; i; i = i->next) {
        struct rest_level *level;

        if (i->kind != REST_ITEM_EMBED)
            continue;
        level = add_level(p, parent, i);
        if (!level || !add_levels(p, level))
            return false;
    }
    return true;
}

hs_status rest_plan_levels(struct rest_planner *p, struct tree_select *root, struct hs_err *reterr)
{
    p->root = HS_NEW(p->arena, struct rest_level);
    if (!p->root)
        return hs_fail_memory(reterr);
    p->root->items = p->ask->select;
    p->root->name = p->origin;
    p->root->select = root;
    return add_levels(p, p->root) ? HS_OK : hs_fail_memory(reterr);
}

struct rest_level *rest_level_child(const struct rest_level *level, struct hs_str name)
{
    struct rest_level *child = level->first;

    while (child && !hs_str_eq(child->name, name))
        child = child->next;
    return child;
}

static struct rest_level *by_target(const struct rest_level *level, struct hs_str name)
{
    struct rest_level *child = level->first;

    while (child && !hs_str_eq(child->item->target, name))
        child = child->next;
    return child;
}

hs_status rest_plan_not_embedded(struct hs_str name, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_PGRST108, "'%.*s' is not an embedded resource in this request",
                  HS_FMT(name));
    hs_err_hint(reterr, "Verify that '%.*s' is included in the 'select' query parameter.",
                HS_FMT(name));
    return HS_E_PGRST108;
}

static hs_status fail_by_target(const struct rest_level *level, struct hs_err *reterr)
{
    struct hs_str target = level->item->target;

    (void)hs_fail(reterr, HS_E_PGRST108, "'%.*s' is not an embedded resource in this request",
                  HS_FMT(target));
    hs_err_why(reterr, "Target names are not allowed in filters if they have an alias");
    hs_err_hint(reterr, "Change '%.*s' to '%.*s' in filters, orders or limits.", HS_FMT(target),
                HS_FMT(level->item->alias));
    return HS_E_PGRST108;
}

/* By alias; by target, too, unless that is switched off. */
static hs_status step(const struct rest_planner *p, const struct rest_level *level,
                      struct hs_str name, struct rest_level **ret_level, struct hs_err *reterr)
{
    *ret_level = rest_level_child(level, name);
    if (*ret_level)
        return HS_OK;
    *ret_level = by_target(level, name);
    if (!*ret_level)
        return rest_plan_not_embedded(name, reterr);
    if (p->setup->only_aliases)
        return fail_by_target(*ret_level, reterr);
    return HS_OK;
}

static bool add_scope(struct rest_planner *p, struct rest_level *level,
                      const struct rest_scope *scope)
{
    struct rest_level_scope *s = HS_NEW(p->arena, struct rest_level_scope);
    struct rest_level_scope **end = &level->scopes;

    if (!s)
        return false;
    s->scope = scope;
    while (*end)
        end = &(*end)->next;
    *end = s;
    return true;
}

hs_status rest_plan_scopes(struct rest_planner *p, struct hs_err *reterr)
{
    for (const struct rest_scope *scope = p->ask->scopes; scope; scope = scope->next) {
        struct rest_level *level = p->root;

        for (size_t i = 0; i < scope->n_segments; i++) {
            hs_status status = step(p, level, scope->segments[i], &level, reterr);

            if (status)
                return status;
        }
        if (!add_scope(p, level, scope))
            return hs_fail_memory(reterr);
    }
    return HS_OK;
}
