/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which columns of views are columns of tables as they are.
 *
 * The server's parser has found out already: each entry of a query's target list names the relation and the column
 * that it is taken from, if it is nothing but that, through joins, sub-selects and common table expressions
 * (resorigtbl, resorigcol). Of a set operation, a recursive expression, a function or a computed value it names
 * none. A view counts as a relation there, so its own entry is asked next, until one belongs to a table.
 *
 * The one rule: only the target list on top counts, and its entries have the numbers of the view's columns. What is
 * below is not read for meaning, and a tree of another form gives nothing.
 *
 * Views can be made to go round in circles (CREATE OR REPLACE); the number of steps is bounded by that of views.
 *
 * Source: PostgreSQL 15: src/backend/parser/parse_target.c, markTargetListOrigin(); PostgREST does the same
 * (allViewsKeyDependencies in its SchemaCache.hs).
 */
#include "pg/catalog_graph.h"

#include <stdlib.h>

#include "core/mem.h"

struct origin {
    uint32_t view;
    int16_t attnum;
    int16_t of_attnum; /* 0: the view has columns that come from nowhere */
    uint32_t of;
};

struct origins {
    struct pg_graph *g;
    struct origin *list; /* sorted by view, attnum; each view begins with attnum 0 */
    size_t n;
    size_t cap;
    size_t n_views;
};

static void add_origin(struct origins *o, struct origin origin)
{
    if (o->n == o->cap) {
        size_t more = o->cap ? o->cap * 2 : 1024;
        struct origin *list = HS_NEW_ARRAY(&o->g->arena, more, struct origin);

        if (!list)
            return;
        if (o->n)
            memcpy(list, o->list, o->n * sizeof(*list));
        o->list = list;
        o->cap = more;
    }
    o->list[o->n++] = origin;
}

static int16_t small(uint32_t number)
{
    return number > INT16_MAX ? 0 : (int16_t)number;
}

/* The action of a view's rule is a list of one query. */
static void take_view(struct origins *o, uint32_t view, struct hs_str text)
{
    uint64_t failures = hs_mem_failures();
    const struct pg_tree *tree = pg_tree_read(&o->g->trees, text);
    const struct pg_tree *query = tree ? pg_tree_at(tree, 0) : NULL;
    const struct pg_tree *list = query ? pg_tree_field(query, "targetList") : NULL;

    add_origin(o, (struct origin){.view = view});
    o->n_views++;
    for (const struct pg_tree *entry = list ? list->child : NULL; entry; entry = entry->next) {
        struct origin origin = {
            .view = view,
            .attnum = small(pg_tree_oid(entry, "resno")),
            .of = pg_tree_oid(entry, "resorigtbl"),
            .of_attnum = small(pg_tree_oid(entry, "resorigcol")),
        };

        if (origin.attnum && origin.of && origin.of_attnum &&
            hs_str_is(pg_tree_field(entry, "resjunk")->text, "false"))
            add_origin(o, origin);
    }
    /* Too large for the arena is no reason to fail; no memory is. */
    o->g->failed = o->g->failed || hs_mem_failures() != failures;
    hs_arena_reset(&o->g->trees);
}

static bool is_view(const struct pg_thing *thing)
{
    return pg_thing_kind(thing->id) == 'r' && thing->form.n &&
           (thing->form.p[0] == 'v' || thing->form.p[0] == 'm');
}

/* Things are sorted by their oids, target lists by resno. */
static void take_views(struct origins *o)
{
    const struct pg_graph *g = o->g;

    for (size_t i = 0; i < g->n_things; i++) {
        const struct pg_thing *thing = &g->things[i];

        for (size_t row = thing->first; is_view(thing) && row < thing->first + thing->n; row++) {
            if (g->rows[row].what == PG_GRAPH_TREE || g->rows[row].what == PG_GRAPH_FILLS)
                take_view(o, (uint32_t)thing->id, g->rows[row].text);
        }
    }
}

static int compare(const void *a, const void *b)
{
    const struct origin *x = a;
    const struct origin *y = b;
    int order = (x->view > y->view) - (x->view < y->view);

    return order ? order : (x->attnum > y->attnum) - (x->attnum < y->attnum);
}

static const struct origin *find(const struct origins *o, uint32_t view, int16_t attnum)
{
    struct origin key = {.view = view, .attnum = attnum};

    return o->n ? bsearch(&key, o->list, o->n, sizeof(*o->list), compare) : NULL;
}

/* The column of a table at the end; NULL: there is none. */
static const struct origin *follow(const struct origins *o, uint32_t view, int16_t attnum)
{
    const struct origin *at = find(o, view, attnum);

    for (size_t steps = 0; at && steps <= o->n_views; steps++) {
        if (!find(o, at->of, 0))
            return at;
        at = find(o, at->of, at->of_attnum);
    }
    return NULL;
}

static bool shows(const struct pg_view_column *list, size_t n, uint32_t table, int16_t attnum)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].table == table && list[i].attnum == attnum)
            return true;
    }
    return false;
}

/* n columns of one view. A column of a key that is shown twice counts once. */
static void mark_primaries(const struct pg_build *b, struct pg_view_column *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct pg_key_column *key = pg_build_primary(b, list[i].table, list[i].attnum);
        size_t shown = 1;

        if (!key)
            continue;
        for (size_t k = 0; k < n; k++)
            shown += list[k].table == key->table && list[k].attnum != key->attnum &&
                     pg_build_primary(b, key->table, list[k].attnum) &&
                     !shows(list, k, key->table, list[k].attnum);
        list[i].is_primary = shown == key->n_columns;
    }
}

static void resolve(struct pg_build *b, const struct origins *o, struct pg_view_column *to)
{
    struct pg_catalog *c = &b->whole->pub;
    size_t n = 0;

    for (size_t i = 0; i < c->n_relations; i++) {
        const struct pg_relation *r = &c->relations[i];
        size_t first = n;

        for (size_t k = 0; k < r->n_columns && (r->relkind == 'v' || r->relkind == 'm'); k++) {
            const struct origin *end = follow(o, r->oid, r->columns[k].attnum);

            if (end)
                to[n++] = (struct pg_view_column){
                    .column = &r->columns[k], .table = end->of, .attnum = end->of_attnum};
        }
        mark_primaries(b, to + first, n - first);
    }
    c->view_columns = to;
    c->n_view_columns = n;
}

hs_status pg_view_columns_read(struct pg_build *b, struct pg_graph *g, struct hs_err *reterr)
{
    struct origins o = {.g = g};
    struct pg_view_column *columns;

    take_views(&o);
    if (o.n)
        qsort(o.list, o.n, sizeof(*o.list), compare);
    /* An exposed view has no more columns than there are entries. */
    columns = HS_NEW_ARRAY(b->arena, o.n, struct pg_view_column);
    if (g->failed || hs_arena_failed(&g->arena) || !columns)
        return hs_fail_memory(reterr);
    resolve(b, &o, columns);
    return HS_OK;
}
