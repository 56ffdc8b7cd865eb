/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer depends on.
 *
 *     relations ── depend.is_known? ──┐
 *     values ───── fixed? ────────────┼── known ── claims, tags
 *     count ────── in the stream? ────┘
 *
 * The rule: an answer is known only if each part of it is. What is not known is answered all the same, but not
 * kept, so nothing here is an error of the request.
 *
 * Tags are derived once, as narrow as possible; where there are too many, once more with whole tables only.
 *
 * Source: PostgreSQL 15 manual, 8.5.1.4 (special values), 5.8 (row security).
 */
#include "api/depend_int.h"

void depend_fail(struct depend_work *w, const char *why)
{
    if (w->to->is_known)
        w->to->why = why;
    w->to->is_known = false;
}

void depend_fail_at(struct depend_work *w, const char *before, struct hs_str name,
                    const char *behind)
{
    if (w->to->is_known)
        depend_fail(w, hs_arena_printf(w->arena, "%s%.*s%s", before, HS_FMT(name), behind).p);
}

/* ---- values ---- */

static void check_value(struct depend_work *w, const struct pg_type *type, struct hs_str name,
                        struct hs_str value)
{
    if (!api_value_is_fixed(type, value))
        depend_fail_at(w, "a value for ", name, " may mean another one when it is read again");
}

static bool is_time(const struct pg_type *type)
{
    return type->kind == PG_KIND_DATE || type->kind == PG_KIND_TIMESTAMP ||
           type->kind == PG_KIND_TIMESTAMPTZ || type->kind == PG_KIND_TIME;
}

/*
 * A text may become another instant each time it is cast, unless an instant is what it was; a user's type may have
 * a cast of the user's, and a name for an object may mean another one.
 */
static void check_cast(struct depend_work *w, const struct pg_type *from, const struct pg_type *to)
{
    bool is_safe = is_time(to) ? is_time(from) : api_cast_is_fixed(to);

    if (!api_value_is_fixed(from, HS_STR("")) || !is_safe)
        depend_fail_at(w, "a cast to ", to->name, " may give another value from the same row");
}

/* What is made from a row: a way into JSON and an aggregate give the same from the same rows. */
static void check_made(struct depend_work *w, const struct tree_value *made)
{
    struct tree_value before;

    if (!made)
        return;
    if (made->function) {
        depend_fail_at(w, "what computed field ", made->function->quoted, " reads is not known");
        return;
    }
    if (made->column)
        check_value(w, made->column->type, made->column->quoted, HS_STR(""));
    before = *made;
    before.aggregate_cast = NULL;
    if (made->aggregate_cast)
        check_cast(w, sql_value_type(&before), made->aggregate_cast);
    before.aggregate = TREE_AGGREGATE_NONE;
    before.cast = NULL;
    if (made->cast)
        check_cast(w, sql_value_type(&before), made->cast);
}

static void check_compare(struct depend_work *w, const struct tree_node *node)
{
    const struct pg_type *type = node->made ? sql_value_type(node->made) : node->column->type;
    struct hs_str name = node->column         ? node->column->quoted
                         : node->made->column ? node->made->column->quoted
                                              : HS_STR("a column");

    switch (node->op) {
    case TREE_NULL:
    case TREE_NOT_NULL:
    case TREE_TRUE:
    case TREE_FALSE:
    case TREE_UNKNOWN:
        break;
    case TREE_LIKE:
    case TREE_ILIKE:
    case TREE_REGEX:
    case TREE_IREGEX:
    case TREE_FTS:
    case TREE_FTS_PLAIN:
    case TREE_FTS_PHRASE:
    case TREE_FTS_WEB:
    case TREE_MATCHES:
        /*
         * The value is a text; the column becomes one by its type's output function. How words are searched is a
         * configuration's, which is changed as rarely as a function.
         */
        check_value(w, type, name, HS_STR(""));
        break;
    case TREE_ONE_OF:
        /* The values come later: as if one of them were no fixed instant. */
        check_value(w, type, name, HS_STR("?"));
        break;
    case TREE_EQ:
    case TREE_NE:
    case TREE_GT:
    case TREE_GTE:
    case TREE_LT:
    case TREE_LTE:
    case TREE_IN:
    case TREE_DISTINCT:
    case TREE_CONTAINS:
    case TREE_CONTAINED:
    case TREE_OVERLAPS:
    case TREE_LEFT_OF:
    case TREE_RIGHT_OF:
    case TREE_NOT_RIGHT:
    case TREE_NOT_LEFT:
    case TREE_ADJACENT:
        check_value(w, type, name, node->value);
        break;
    }
}

/* What EXISTS asks is among the embeds, which are looked at where they stand. */
static void check_filter(struct depend_work *w, const struct tree_node *node)
{
    if (node->kind == TREE_COMPARE) {
        check_made(w, node->made);
        check_compare(w, node);
    }
    for (const struct tree_node *child = node->first; child; child = child->next)
        check_filter(w, child);
}

static void check_position(struct depend_work *w, const struct tree_select *tree)
{
    for (size_t i = 0; tree->position && i < tree->n_order; i++) {
        if (tree->position->values[i].p)
            check_value(w, tree->order[i].column->type, tree->order[i].column->quoted,
                        tree->position->values[i]);
    }
}

/* ---- relations ---- */

/* Can the rows of that kind of relation be followed? Its claims count from now on. */
static void check_relation(struct depend_work *w, const struct pg_relation *relation)
{
    const struct pg_depend *depend = &relation->depend;

    w->to->claims |= depend->claims;
    if (!depend->is_known || depend->reads_all_claims)
        depend_fail(w, depend->why.n ? depend->why.p : "what a relation reads is not known");
    else if (relation->relkind == 'm')
        depend_fail_at(w, "materialized view ", relation->quoted, " is in no change stream");
    else if (relation->relkind == 'f')
        depend_fail_at(w, "foreign table ", relation->quoted, " is in no change stream");
}

static void check_join(struct depend_work *w, const struct tree_join *join)
{
    if (join->function)
        depend_fail(w, "what a computed relationship reads is not known");
    if (join->via)
        check_relation(w, join->via);
}

static void check_tree(struct depend_work *w, const struct tree_select *tree)
{
    if (tree->call || tree->write)
        depend_fail(w, "its rows come from a function or a write");
    check_relation(w, tree->relation);
    for (size_t i = 0; i < tree->n_fields; i++)
        check_made(w, tree->fields[i]->value);
    for (size_t i = 0; i < tree->n_order; i++)
        check_made(w, tree->order[i].made);
    if (tree->where)
        check_filter(w, tree->where);
    check_position(w, tree);
    if (tree->count != TREE_COUNT_NONE && sql_count_how(tree) == SQL_COUNT_ESTIMATE)
        depend_fail(w, "an estimated count is the planner's, which changes at any time");
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        check_join(w, e->join);
        check_tree(w, e->select);
    }
}

static void add_via(struct depend_work *w, const struct pg_relation *via)
{
    struct depend_pins pins;

    depend_pin_policies(w, via, &pins);
    depend_add_relation(w, via, &pins);
}

static void add_tree(struct depend_work *w, const struct tree_select *tree)
{
    struct depend_pins pins;

    depend_pin_policies(w, tree->relation, &pins);
    depend_pin_filters(w, tree->where, &pins);
    depend_add_relation(w, tree->relation, &pins);
    for (const struct tree_embed *e = tree->embeds; w->to->is_known && e; e = e->next) {
        if (e->join->via)
            add_via(w, e->join->via);
        add_tree(w, e->select);
    }
}

static void add_item(struct depend_work *w, const struct api_table *table, const char *const *key)
{
    struct depend_pins pins;

    depend_pin_policies(w, table->pg, &pins);
    for (size_t i = 0; i < table->n_key; i++)
        depend_pin_value(w, table->key[i], hs_str(key[i]), &pins);
    depend_add_relation(w, table->pg, &pins);
}

/* ---- the whole ---- */

static struct depend_work begin(const struct api_model *model, const struct hs_identity *who,
                                struct cache_state *state, struct hs_arena *arena,
                                struct api_depend *to)
{
    to->is_known = true;
    to->why = NULL;
    to->n_tags = 0;
    to->claims = 0;
    return (struct depend_work){.model = model,
                                .who = who,
                                .state = state,
                                .arena = arena,
                                .to = to,
                                .reader = pg_catalog_reader_bit(model->catalog, who->role)};
}

/* Too many tags: once more, with whole tables only. false: it is settled. */
static bool is_again(struct depend_work *w)
{
    bool is_again = w->is_full && !w->is_coarse && w->to->is_known;

    if (w->is_full && w->is_coarse)
        depend_fail(w, "it reads more tables than one answer may depend on");
    w->is_full = false;
    w->is_coarse = true;
    if (is_again)
        w->to->n_tags = 0;
    return is_again;
}

static hs_status end(const struct depend_work *w, struct hs_err *reterr)
{
    if (hs_arena_failed(w->arena))
        return hs_fail_memory(reterr);
    if (!w->to->is_known)
        w->to->n_tags = 0;
    return HS_OK;
}

hs_status api_depend_tree(const struct api_model *model, const struct tree_select *tree,
                          const struct hs_identity *who, struct cache_state *state,
                          struct hs_arena *arena, struct api_depend *ret, struct hs_err *reterr)
{
    struct depend_work w = begin(model, who, state, arena, ret);

    check_tree(&w, tree);
    if (ret->is_known) {
        do
            add_tree(&w, tree);
        while (is_again(&w));
    }
    return end(&w, reterr);
}

hs_status api_depend_item(const struct api_model *model, const struct api_table *table,
                          const char *const *key, const struct hs_identity *who,
                          struct cache_state *state, struct hs_arena *arena, struct api_depend *ret,
                          struct hs_err *reterr)
{
    struct depend_work w = begin(model, who, state, arena, ret);

    check_relation(&w, table->pg);
    for (size_t i = 0; i < table->n_key; i++)
        check_value(&w, table->key[i]->type, table->key[i]->quoted, hs_str(key[i]));
    if (ret->is_known) {
        do
            add_item(&w, table, key);
        while (is_again(&w));
    }
    return end(&w, reterr);
}

hs_status api_depend_read(const struct api_model *model, const struct pg_depend *reads,
                          const struct hs_identity *who, struct cache_state *state,
                          struct hs_arena *arena, struct api_depend *ret, struct hs_err *reterr)
{
    struct depend_work w = begin(model, who, state, arena, ret);

    ret->claims |= reads->claims;
    if (!reads->is_known || reads->reads_all_claims)
        depend_fail(&w, reads->why.n ? reads->why.p : "what it reads is not known");
    else
        depend_add_tables(&w, reads);
    if (w.is_full)
        depend_fail(&w, "it reads more tables than one answer may depend on");
    return end(&w, reterr);
}
