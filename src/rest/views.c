/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views that show columns of tables as they are: they have the keys of those tables, too.
 *
 * The catalog says of each such column which one of which table it is, through any number of views. Here they
 * are sorted by table and view, so that all views that show a key are found in one run. A view that shows a
 * column of a key twice has the key twice; one that shows a part of it has none.
 */
#include <stdlib.h>

#include "rest/model_int.h"

static int by_oid(const void *a, const void *b)
{
    const struct rest_relation *const *x = a;
    const struct rest_relation *const *y = b;

    return ((*x)->pg->oid > (*y)->pg->oid) - ((*x)->pg->oid < (*y)->pg->oid);
}

static int by_columns(const void *a, const void *b)
{
    const struct rest_relation *const *x = a;
    const struct rest_relation *const *y = b;

    return ((uintptr_t)(*x)->pg->columns > (uintptr_t)(*y)->pg->columns) -
           ((uintptr_t)(*x)->pg->columns < (uintptr_t)(*y)->pg->columns);
}

static int by_table(const void *a, const void *b)
{
    const struct rest_shown *x = a;
    const struct rest_shown *y = b;

    if (x->table != y->table)
        return x->table < y->table ? -1 : 1;
    if (x->view != y->view)
        return (uintptr_t)x->view < (uintptr_t)y->view ? -1 : 1;
    if (x->attnum != y->attnum)
        return x->attnum < y->attnum ? -1 : 1;
    return x->column->column->attnum - y->column->column->attnum;
}

/* Whose column is it? A search by where the columns of relations stand in memory. */
static struct rest_relation *relation_of(struct rest_relation *const *sorted, size_t n,
                                         const struct pg_column *column)
{
    size_t low = 0;
    size_t high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct pg_relation *pg = sorted[middle]->pg;

        if ((uintptr_t)column >= (uintptr_t)(pg->columns + pg->n_columns))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == n || (uintptr_t)column < (uintptr_t)sorted[low]->pg->columns)
        return NULL;
    return sorted[low];
}

void rest_build_views(struct rest_build *build)
{
    const struct pg_catalog *catalog = build->model->catalog;
    struct rest_relation **sorted = HS_NEW_ARRAY(build->arena, catalog->n_relations + 1,
                                                 struct rest_relation *);
    size_t n = 0;

    build->by_oid = HS_NEW_ARRAY(build->arena, catalog->n_relations + 1, struct rest_relation *);
    build->shown = HS_NEW_ARRAY(build->arena, catalog->n_view_columns + 1, struct rest_shown);
    if (!sorted || !build->by_oid || !build->shown)
        return;
    for (size_t i = 0; i < catalog->n_relations; i++) {
        build->by_oid[build->n_by_oid++] = &build->model->relations[i];
        if (catalog->relations[i].n_columns)
            sorted[n++] = &build->model->relations[i];
    }
    qsort(build->by_oid, build->n_by_oid, sizeof(struct rest_relation *), by_oid);
    qsort(sorted, n, sizeof(struct rest_relation *), by_columns);
    for (size_t i = 0; i < catalog->n_view_columns; i++) {
        const struct pg_view_column *c = &catalog->view_columns[i];
        struct rest_relation *view = relation_of(sorted, n, c->column);

        if (view)
            build->shown[build->n_shown++] = (struct rest_shown){c->table, c->attnum, view, c};
    }
    qsort(build->shown, build->n_shown, sizeof(*build->shown), by_table);
}

/* Of a column that stands in the view twice the first is its part of the key. */
static bool is_first_shown(const struct rest_build *build, size_t i)
{
    const struct rest_shown *s = &build->shown[i];

    return i == 0 || s[-1].table != s->table || s[-1].view != s->view || s[-1].attnum != s->attnum;
}

static void add_key_column(struct rest_build *build, struct rest_relation *view,
                           const struct pg_column *column)
{
    const struct pg_column **key = HS_NEW_ARRAY(build->arena, view->n_key + 1,
                                                const struct pg_column *);

    if (!key)
        return;
    if (view->n_key)
        memcpy(key, view->key, view->n_key * sizeof(const struct pg_column *));
    key[view->n_key++] = column;
    view->key = key;
}

void rest_build_keys(struct rest_build *build)
{
    for (size_t i = 0; i < build->n_by_oid; i++) {
        const struct pg_key *primary = build->by_oid[i]->pg->primary;

        if (primary) {
            build->by_oid[i]->key = primary->columns;
            build->by_oid[i]->n_key = primary->n_columns;
        }
    }
    for (size_t i = 0; i < build->n_shown; i++) {
        const struct rest_shown *s = &build->shown[i];

        if (s->column->is_primary && !s->view->pg->primary && is_first_shown(build, i))
            add_key_column(build, s->view, s->column->column);
    }
}

static void add_side(struct rest_build *build, struct rest_sides *to, struct rest_side side)
{
    struct rest_side *list = rest_build_grow(build->arena, to->list, to->n, &to->cap,
                                             sizeof(struct rest_side));

    if (!list)
        return;
    to->list = list;
    list[to->n++] = side;
}

static void add_table(struct rest_build *build, uint32_t oid, const int16_t *attnums, size_t n,
                      struct rest_sides *to)
{
    const struct pg_relation wanted_pg = {.oid = oid};
    const struct rest_relation wanted = {.pg = &wanted_pg};
    const struct rest_relation *key = &wanted;
    struct rest_relation **hit = build->n_by_oid ? bsearch(&key, build->by_oid, build->n_by_oid,
                                                           sizeof(struct rest_relation *), by_oid)
                                                 : NULL;
    struct rest_side side = {0};

    if (!hit)
        return;
    side.relation = (*hit)->pg;
    side.columns = HS_NEW_ARRAY(build->arena, n, const struct pg_column *);
    for (size_t i = 0; side.columns && i < n; i++) {
        for (size_t c = 0; c < side.relation->n_columns && !side.columns[i]; c++) {
            if (side.relation->columns[c].attnum == attnums[i])
                side.columns[i] = &side.relation->columns[c];
        }
        if (!side.columns[i])
            return;
    }
    if (side.columns)
        add_side(build, to, side);
}

/* The run of a view's columns that are this one of the table. */
static size_t find_run(const struct rest_shown *of_view, size_t n, int16_t attnum, size_t *ret_at)
{
    size_t count = 0;
    size_t at = 0;

    while (at < n && of_view[at].attnum < attnum)
        at++;
    while (at + count < n && of_view[at + count].attnum == attnum)
        count++;
    *ret_at = at;
    return count;
}

/* Every combination, as an odometer: the last column of the key turns fastest. */
static void add_combinations(struct rest_build *build, const struct rest_shown *of_view,
                             const size_t *starts, const size_t *counts, size_t n,
                             struct rest_sides *to)
{
    size_t *wheel = HS_NEW_ARRAY(build->arena, n, size_t);
    size_t made = 0;
    size_t i = n;

    while (wheel && i && made++ < REST_KEYS_OF_VIEW_MAX) {
        struct rest_side side = {.relation = of_view->view->pg, .is_view = true};

        side.columns = HS_NEW_ARRAY(build->arena, n, const struct pg_column *);
        if (!side.columns)
            return;
        for (size_t k = 0; k < n; k++)
            side.columns[k] = of_view[starts[k] + wheel[k]].column->column;
        add_side(build, to, side);
        for (i = n; i && ++wheel[i - 1] == counts[i - 1]; i--)
            wheel[i - 1] = 0;
    }
}

static void add_view(struct rest_build *build, const struct rest_shown *of_view, size_t n_shown,
                     const int16_t *attnums, size_t n, struct rest_sides *to)
{
    size_t *starts = HS_NEW_ARRAY(build->arena, n, size_t);
    size_t *counts = HS_NEW_ARRAY(build->arena, n, size_t);

    if (!starts || !counts)
        return;
    for (size_t i = 0; i < n; i++) {
        counts[i] = find_run(of_view, n_shown, attnums[i], &starts[i]);
        if (!counts[i])
            return;
    }
    add_combinations(build, of_view, starts, counts, n, to);
}

void rest_build_sides(struct rest_build *build, uint32_t table, const int16_t *attnums, size_t n,
                      struct rest_sides *to)
{
    size_t low = 0;
    size_t high = build->n_shown;

    to->n = 0;
    add_table(build, table, attnums, n, to);
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (build->shown[middle].table < table)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < build->n_shown && build->shown[low].table == table) {
        size_t end = low + 1;

        while (end < build->n_shown && build->shown[end].table == table &&
               build->shown[end].view == build->shown[low].view)
            end++;
        add_view(build, &build->shown[low], end - low, attnums, n, to);
        low = end;
    }
}
