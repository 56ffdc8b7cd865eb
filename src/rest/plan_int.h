/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/plan_int.h - binding a request, part by part. This folder only.
 *
 * plan.c           the stages, in the order in which PostgREST finds faults
 * plan_levels.c    select as a tree of levels; which scope is for which level
 * plan_embed.c     the relationship of each level to the one above
 * plan_columns.c   names to columns and computed fields; what PostgreSQL says where there is none
 * plan_select.c    fields, aggregates, limits
 * plan_filter.c    filters and orders
 */
#ifndef REST_PLAN_INT_H
#define REST_PLAN_INT_H

#include "rest/plan.h"

struct rest_level_scope {
    struct rest_level_scope *next;
    const struct rest_scope *scope;
};

/* The rows themselves, or an embed. */
struct rest_level {
    struct rest_level *next; /* sibling */
    struct rest_level *parent;
    struct rest_level *first; /* embeds of this level, in their order */
    struct rest_level *last;
    const struct rest_item *item;  /* NULL: the rows themselves */
    const struct rest_item *items; /* what is selected of it */
    unsigned depth;
    struct hs_str name; /* alias, or else target */
    const struct rest_relation *relation;
    const struct rest_relationship *by; /* NULL: the rows themselves */
    struct rest_level_scope *scopes;
    struct tree_select *select;
    struct tree_embed *embed; /* NULL: the rows themselves */
};

struct rest_planner {
    const struct rest_plan_setup *setup;
    const struct rest_ask *ask;
    struct hs_arena *arena;
    struct rest_level *root;
    struct hs_str origin; /* the name of the rows themselves */
};

/* ---- plan_levels.c ---- */
hs_status rest_plan_levels(struct rest_planner *p, struct tree_select *root, struct hs_err *reterr)
    hs_must_check;
/* PGRST108 where a scope is for no level. */
hs_status rest_plan_scopes(struct rest_planner *p, struct hs_err *reterr) hs_must_check;
/* The embed of that alias or target, as filters and orders call it. NULL: none. */
struct rest_level *rest_level_child(const struct rest_level *level, struct hs_str name);
/* PGRST108 for the name of an embed that is none. */
hs_status rest_plan_not_embedded(struct hs_str name, struct hs_err *reterr);
/* Its rows are not to-many, and it is spread: its aggregates are those of the level above. */
static inline bool rest_level_is_hoisted(const struct rest_level *level)
{
    return level->item && level->item->is_spread && !level->by->is_many;
}

/* ---- plan_embed.c ---- */
hs_status rest_plan_relate(struct rest_planner *p, struct rest_level *level, struct hs_err *reterr)
    hs_must_check;

/* ---- plan_columns.c ---- */
/* Is it a column or a computed field of the level's rows? */
bool rest_plan_has_name(const struct rest_planner *p, const struct rest_level *level,
                        struct hs_str name);
/*
 * is_above: it stands in the statement of the level above, as messages show. ret_column: NULL for a computed field. ret_value: NULL where it is the column as it is; else to be added to.
 *   errors  HS_E_PG_ERROR with 42703, HS_E_MEMORY
 */
hs_status rest_plan_path(struct rest_planner *p, const struct rest_level *level, bool is_above,
                         const struct rest_path *path, const struct pg_column **ret_column,
                         struct tree_value **ret_value, struct hs_err *reterr) hs_must_check;
/* The type of a cast. ret_type is NULL for no cast (name.p == NULL). 42704. */
hs_status rest_plan_type(struct rest_planner *p, struct hs_str name,
                         const struct pg_type **ret_type, struct hs_err *reterr) hs_must_check;
/* 42703 with PostgreSQL's hint. called.p == NULL: the message names the column alone. */
hs_status rest_plan_no_column(const struct rest_relation *relation, struct hs_str called,
                              struct hs_str name, struct hs_err *reterr);

/* ---- plan_select.c ---- */
/* PGRST123 and PGRST127. */
hs_status rest_plan_check_aggregates(struct rest_planner *p, struct rest_level *level,
                                     struct hs_err *reterr) hs_must_check;
hs_status rest_plan_fields(struct rest_planner *p, struct rest_level *level, struct hs_err *reterr)
    hs_must_check;
/* What stands for a name of the client in JSON and in SQL. false = no memory. */
bool rest_plan_name(struct rest_planner *p, struct hs_str name, struct hs_str *ret_key,
                    struct hs_str *ret_alias) hs_must_check;
void rest_plan_limit(struct rest_planner *p, struct rest_level *level);

/* ---- plan_filter.c ---- */
/* PGRST108 and PGRST118. */
hs_status rest_plan_check_orders(struct rest_level *level, struct hs_err *reterr) hs_must_check;
/* Appends to *ret_where: NULL or a TREE_AND. */
hs_status rest_plan_filter(struct rest_planner *p, const struct rest_level *level,
                           const struct rest_node *where, struct tree_node **ret_where,
                           struct hs_err *reterr) hs_must_check;
hs_status rest_plan_order(struct rest_planner *p, struct rest_level *level, struct hs_err *reterr)
    hs_must_check;

#endif
