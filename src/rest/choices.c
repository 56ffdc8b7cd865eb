/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relationships of each relation in PostgREST's order, in which it lists the choices where a name is not
 * clear, and by the names by which a request may call them: the target's; that of the constraint and of its
 * only column, where the target is no view; a function's.
 *
 * A foreign key to the relation itself is called by the target from the one side and by the column from the
 * other.
 */
#include <stdlib.h>

#include "rest/model_int.h"

static int compare_flag(bool a, bool b)
{
    return (int)a - (int)b;
}

static int compare_lists(const struct pg_column *const *a, const struct pg_column *const *b,
                         size_t n_a, size_t n_b, const struct pg_column *const *a_2,
                         const struct pg_column *const *b_2)
{
    for (size_t i = 0; i < n_a && i < n_b; i++) {
        int order = hs_str_cmp(a[i]->name, b[i]->name);

        if (!order)
            order = hs_str_cmp(a_2[i]->name, b_2[i]->name);
        if (order)
            return order;
    }
    return (n_a > n_b) - (n_a < n_b);
}

static int compare_junctions(const struct rest_relationship *x, const struct rest_relationship *y)
{
    const struct tree_join *a = &x->join;
    const struct tree_join *b = &y->join;
    int order = hs_str_cmp(a->via->schema, b->via->schema);

    if (!order)
        order = hs_str_cmp(a->via->name, b->via->name);
    if (!order)
        order = hs_str_cmp(x->constraint, y->constraint);
    if (!order)
        order = hs_str_cmp(x->constraint_there, y->constraint_there);
    if (!order)
        order = compare_lists(a->here, b->here, a->n, b->n, a->via_here, b->via_here);
    if (!order)
        order = compare_lists(a->there, b->there, a->n_via, b->n_via, a->via_there, b->via_there);
    return order;
}

static int compare_keys(const struct rest_relationship *x, const struct rest_relationship *y)
{
    int order = hs_str_cmp(x->constraint, y->constraint);

    if (!order)
        order = compare_lists(x->join.here, y->join.here, x->join.n, y->join.n, x->join.there,
                              y->join.there);
    if (!order)
        order = compare_flag(x->is_inverse, y->is_inverse);
    return order;
}

static int compare_computed(const struct rest_relationship *x, const struct rest_relationship *y)
{
    return hs_str_cmp(x->join.function->name, y->join.function->name);
}

static int by_order(const void *a, const void *b)
{
    const struct rest_relationship *x = *(const struct rest_relationship *const *)a;
    const struct rest_relationship *y = *(const struct rest_relationship *const *)b;
    int order = x->from == y->from ? 0 : (uintptr_t)x->from < (uintptr_t)y->from ? -1 : 1;

    if (!order)
        order = compare_flag(x->cardinality == REST_COMPUTED, y->cardinality == REST_COMPUTED);
    if (!order && x->cardinality == REST_COMPUTED)
        return compare_computed(x, y);
    if (!order)
        order = hs_str_cmp(x->to->name, y->to->name);
    if (!order)
        order = compare_flag(x->is_self, y->is_self);
    if (!order)
        order = (int)x->cardinality - (int)y->cardinality;
    if (!order)
        order = x->cardinality == REST_MANY_TO_MANY ? compare_junctions(x, y) : compare_keys(x, y);
    return order;
}

static int by_name(const void *a, const void *b)
{
    const struct rest_choice *x = a;
    const struct rest_choice *y = b;
    int order = hs_str_cmp(x->name, y->name);

    return order ? order : (int)x->relationship->rank - (int)y->relationship->rank;
}

/* ret_names: room for three. Each once. */
static size_t names_of(const struct rest_relationship *r, struct hs_str *ret_names)
{
    bool by_column = r->join.n == 1 && r->cardinality != REST_MANY_TO_MANY;
    size_t n = 0;

    if (r->cardinality == REST_COMPUTED) {
        ret_names[n++] = r->join.function->name;
        return n;
    }
    ret_names[n++] = r->to->name;
    if (r->is_self)
        by_column = by_column && r->cardinality == REST_MANY_TO_ONE;
    else if (r->to_is_view)
        by_column = false;
    else if (r->cardinality != REST_MANY_TO_MANY && !hs_str_eq(r->constraint, r->to->name))
        ret_names[n++] = r->constraint;
    if (by_column) {
        struct hs_str name = r->join.here[0]->name;
        bool is_new = true;

        for (size_t i = 0; i < n; i++)
            is_new = is_new && !hs_str_eq(ret_names[i], name);
        if (is_new)
            ret_names[n++] = name;
    }
    return n;
}

enum { NAMES_MAX = 3 };

static void build_choices(struct rest_build *build, struct rest_relation *relation)
{
    struct rest_choice *choices = HS_NEW_ARRAY(
        build->arena, relation->n_relationships * NAMES_MAX + 1, struct rest_choice);
    size_t n = 0;

    if (!choices)
        return;
    for (size_t i = 0; i < relation->n_relationships; i++) {
        struct hs_str names[NAMES_MAX];
        size_t n_names = names_of(relation->relationships[i], names);

        for (size_t k = 0; k < n_names; k++)
            choices[n++] = (struct rest_choice){names[k], relation->relationships[i]};
    }
    qsort(choices, n, sizeof(*choices), by_name);
    relation->choices = choices;
    relation->n_choices = n;
}

void rest_build_choices(struct rest_build *build)
{
    struct rest_found *found = &build->found;

    if (hs_arena_failed(build->arena) || !found->n)
        return;
    qsort(found->list, found->n, sizeof(struct rest_relationship *), by_order);
    for (size_t i = 0, end = 0; i < found->n; i = end) {
        size_t at = (size_t)(found->list[i]->from - build->model->catalog->relations);
        struct rest_relation *relation = &build->model->relations[at];

        for (end = i; end < found->n && found->list[end]->from == found->list[i]->from; end++)
            found->list[end]->rank = (uint32_t)(end - i);
        relation->relationships = (const struct rest_relationship *const *)(found->list + i);
        relation->n_relationships = end - i;
        build_choices(build, relation);
    }
}
