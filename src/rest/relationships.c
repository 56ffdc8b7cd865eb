/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relationships of a catalog.
 *
 *     foreign key           many to one, or one to one where its columns are a unique key
 *     the same by views     view to table, table to view, view to view
 *     junction              two many-to-one of one relation, whose columns are in its primary key
 *     their inverses        of the first two; junctions are found from either end
 *     functions             take the place of what leads to a relation of the function's name
 *
 * Origin and target stand in one schema, since that is how they are looked up; only junctions may be
 * elsewhere, so many-to-one relationships across schemas are kept until those are found.
 *
 * Source: PostgREST reference, resource embedding (foreign key joins on views, computed relationships).
 */
#include <stdlib.h>

#include "rest/model_int.h"

static struct rest_relationship *add(struct rest_build *build, struct rest_found *to)
{
    struct rest_relationship **list = rest_build_grow(build->arena, to->list, to->n, &to->cap,
                                                      sizeof(struct rest_relationship *));

    if (!list)
        return NULL;
    to->list = list;
    list[to->n] = HS_NEW(build->arena, struct rest_relationship);
    return list[to->n] ? list[to->n++] : NULL;
}

static bool is_of_one_schema(const struct rest_relationship *r)
{
    return hs_str_eq(r->from->schema, r->to->schema);
}

static void add_pair(struct rest_build *build, const struct pg_reference *reference,
                     const struct rest_side *from, const struct rest_side *to,
                     struct rest_found *all)
{
    struct rest_relationship *r = add(build, all);

    if (!r)
        return;
    *r = (struct rest_relationship){
        .cardinality = reference->from_is_unique ? REST_ONE_TO_ONE : REST_MANY_TO_ONE,
        .from = from->relation,
        .to = to->relation,
        .constraint = reference->name,
        .join = {.here = from->columns, .there = to->columns, .n = reference->n_columns},
        .is_self = from->relation == to->relation,
        .from_is_view = from->is_view,
        .to_is_view = to->is_view};
}

static void add_references(struct rest_build *build, struct rest_found *all)
{
    const struct pg_catalog *catalog = build->model->catalog;
    struct rest_sides from = {0};
    struct rest_sides to = {0};

    for (size_t i = 0; i < catalog->n_references; i++) {
        const struct pg_reference *r = &catalog->references[i];

        rest_build_sides(build, r->from, r->from_attnums, r->n_columns, &from);
        rest_build_sides(build, r->to, r->to_attnums, r->n_columns, &to);
        for (size_t a = 0; a < from.n; a++) {
            for (size_t b = 0; b < to.n; b++)
                add_pair(build, r, &from.list[a], &to.list[b], all);
        }
    }
}

static int by_origin(const void *a, const void *b)
{
    const struct rest_relationship *const *x = a;
    const struct rest_relationship *const *y = b;

    return ((uintptr_t)(*x)->from > (uintptr_t)(*y)->from) -
           ((uintptr_t)(*x)->from < (uintptr_t)(*y)->from);
}

static bool has_column(const struct pg_column *const *list, size_t n,
                       const struct pg_column *column)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == column)
            return true;
    }
    return false;
}

static bool is_in_key(const struct rest_relation *relation, const struct tree_join *join)
{
    for (size_t i = 0; i < join->n; i++) {
        if (!has_column(relation->key, relation->n_key, join->here[i]))
            return false;
    }
    return true;
}

static void add_junction(struct rest_build *build, const struct rest_relationship *near,
                         const struct rest_relationship *far)
{
    struct rest_relationship *r;

    if (hs_str_eq(near->constraint, far->constraint) ||
        !hs_str_eq(near->to->schema, far->to->schema))
        return;
    r = add(build, &build->found);
    if (!r)
        return;
    *r = (struct rest_relationship){.cardinality = REST_MANY_TO_MANY,
                                    .from = near->to,
                                    .to = far->to,
                                    .constraint = near->constraint,
                                    .constraint_there = far->constraint,
                                    .join = {.here = near->join.there,
                                             .there = far->join.there,
                                             .n = near->join.n,
                                             .via = near->from,
                                             .via_here = near->join.here,
                                             .via_there = far->join.here,
                                             .n_via = far->join.n},
                                    .is_self = near->to == far->to,
                                    .is_many = true,
                                    .from_is_view = near->to_is_view,
                                    .to_is_view = far->to_is_view};
}

/* all: those of the same origin stand together; only whose columns are in its key matter here. */
static void add_junctions(struct rest_build *build, struct rest_found *all)
{
    struct rest_relationship **list = HS_NEW_ARRAY(build->arena, all->n + 1,
                                                   struct rest_relationship *);
    size_t n = 0;

    if (!list)
        return;
    for (size_t i = 0; i < all->n; i++) {
        struct rest_relationship *r = all->list[i];
        const struct rest_relation *from = rest_model_relation(build->model, r->from);

        if (r->cardinality == REST_MANY_TO_ONE && is_in_key(from, &r->join))
            list[n++] = r;
    }
    qsort(list, n, sizeof(struct rest_relationship *), by_origin);
    for (size_t i = 0, end = 0; i < n; i++) {
        size_t start = i;

        while (start && list[start - 1]->from == list[i]->from)
            start--;
        for (end = start; end < n && list[end]->from == list[i]->from; end++) {
            if (end != i)
                add_junction(build, list[i], list[end]);
        }
    }
}

static void add_inverse(struct rest_build *build, const struct rest_relationship *of)
{
    struct rest_relationship *r = add(build, &build->found);

    if (!r)
        return;
    *r = (struct rest_relationship){
        .cardinality = of->cardinality == REST_ONE_TO_ONE ? REST_ONE_TO_ONE : REST_ONE_TO_MANY,
        .from = of->to,
        .to = of->from,
        .constraint = of->constraint,
        .join = {.here = of->join.there, .there = of->join.here, .n = of->join.n},
        .is_self = of->is_self,
        .is_many = of->cardinality != REST_ONE_TO_ONE,
        .is_inverse = of->cardinality == REST_ONE_TO_ONE,
        .from_is_view = of->to_is_view,
        .to_is_view = of->from_is_view};
}

static void keep(struct rest_build *build, const struct rest_relationship *of)
{
    struct rest_relationship *r;

    if (!is_of_one_schema(of))
        return;
    r = add(build, &build->found);
    if (r)
        *r = *of;
    add_inverse(build, of);
}

/* Does a function stand for the relationships of this one's origin to this one's target? */
static bool is_hidden(const struct rest_relationship *r)
{
    for (size_t i = 0; i < r->from->n_computed; i++) {
        const struct pg_function *f = r->from->computed[i];

        if (!f->is_scalar && hs_str_eq(f->name, r->to->name) && hs_str_eq(f->schema, r->to->schema))
            return true;
    }
    return false;
}

static void drop_hidden(struct rest_found *found)
{
    size_t n = 0;

    for (size_t i = 0; i < found->n; i++) {
        if (!is_hidden(found->list[i]))
            found->list[n++] = found->list[i];
    }
    found->n = n;
}

static void add_computed(struct rest_build *build, const struct pg_function *function)
{
    const struct rest_relation *to = function->row
                                         ? rest_model_relation(build->model, function->row)
                                         : NULL;
    struct rest_relationship *r;

    if (!to || !hs_str_eq(function->schema, function->of->schema))
        return;
    r = add(build, &build->found);
    if (!r)
        return;
    *r = (struct rest_relationship){.cardinality = REST_COMPUTED,
                                    .from = function->of,
                                    .to = to->pg,
                                    .join = {.function = function},
                                    .is_self = function->of == to->pg,
                                    .is_many = function->is_set_returning &&
                                               function->rows_estimate != 1};
}

void rest_build_relationships(struct rest_build *build)
{
    const struct pg_catalog *catalog = build->model->catalog;
    struct rest_found all = {0};

    add_references(build, &all);
    for (size_t i = 0; i < all.n; i++)
        keep(build, all.list[i]);
    add_junctions(build, &all);
    drop_hidden(&build->found);
    for (size_t i = 0; i < catalog->n_functions; i++) {
        if (catalog->functions[i].of && !catalog->functions[i].is_scalar)
            add_computed(build, &catalog->functions[i]);
    }
}
