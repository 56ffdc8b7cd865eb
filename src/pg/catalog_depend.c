/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the answer to a SELECT from a relation depends on: all that can be reached from it in the graph.
 *
 *     relation -> relations, functions, operators, types in its view body and in its policies for SELECT;
 *                 types of its columns; its children
 *     function -> the same of its body (RETURN or BEGIN ATOMIC) and of its defaults; an aggregate's functions
 *     operator -> its function
 *     type     -> its checks, parts, input and output functions, default operator classes
 *
 * The one rule: it fails closed. One thing on the way that is not known makes the relation not known, and
 * says why. Nearer things are met first, so the reason is one that a person can find.
 *
 * This is judged from the server's own node trees (see catalog_judge.c for the reason), as catalog_share.c does for
 * another question: there everything that might touch the session is bad, and a scan for labels is enough; here
 * it counts what an expression means, so its tree is read.
 *
 * A partition is judged with its parent and not listed: its changes are told for all its ancestors, too.
 * Who owns a view or a SECURITY DEFINER function changes whose policies hold and what current_user is, not which
 * tables and claims are read; the role of the caller is part of every key.
 *
 * Source: PostgreSQL 15 manual, 38.7 (volatility), 41 (rules), 53.
 */
#include "pg/catalog_graph.h"

#include <stdlib.h>

struct step {
    struct pg_thing *thing;
    const struct pg_thing *from;
};

struct way {
    struct pg_graph *g;
    struct step *steps; /* room for each thing once */
    size_t n;
    uint32_t *tables; /* likewise */
    size_t n_tables;
    uint32_t turn;
    pg_thing_id start;
    struct pg_depend depend; /* but for tables; why lies in the graph's arena */
};

static void blame(struct way *w, struct hs_str why, const struct pg_thing *from)
{
    if (w->depend.why.n)
        return;
    w->depend.why = why;
    if (from && from->name.n)
        w->depend.why = hs_arena_printf(&w->g->arena, "%.*s (in %.*s)", HS_FMT(why),
                                        HS_FMT(from->name));
    /* Without memory the graph fails as a whole. */
    if (!w->depend.why.p)
        w->depend.why = HS_STR("no memory");
}

/* Nothing is said of it: plain types and most functions of PostgreSQL are fine. */
static void blame_missing(struct way *w, pg_thing_id id, const struct pg_thing *from)
{
    bool is_builtin = (uint32_t)id < PG_FIRST_NORMAL_OID;
    char kind = pg_thing_kind(id);

    if (kind == 'r')
        blame(w,
              is_builtin ? HS_STR("a table of PostgreSQL's own catalog is read")
                         : HS_STR("a table is read that is gone, or that belongs to one session"),
              from);
    else if (!is_builtin && (kind == 'f' || kind == 'o'))
        blame(w, HS_STR("a function is called that is gone"), from);
}

static bool is_table(const struct pg_thing *thing)
{
    return pg_thing_kind(thing->id) == 'r' && thing->form.n &&
           (thing->form.p[0] == 'r' || thing->form.p[0] == 'p');
}

static void reach(struct way *w, struct pg_graph_edge edge, const struct pg_thing *from)
{
    struct pg_thing *thing = pg_graph_thing(w->g, edge.to);

    if (!thing) {
        blame_missing(w, edge.to, from);
        return;
    }
    /* A view names itself in its own tree (its OLD and NEW) and has no rows to read. */
    if (from && edge.to == w->start && is_table(thing))
        w->depend.reads_itself = true;
    if (thing->visited != w->turn) {
        thing->visited = w->turn;
        w->steps[w->n++] = (struct step){thing, from};
    }
    if (from && !edge.is_child && from->id != w->start)
        thing->shared = w->turn;
    if (!edge.is_child && is_table(thing) && thing->listed != w->turn) {
        thing->listed = w->turn;
        w->tables[w->n_tables++] = (uint32_t)thing->id;
    }
}

static void take_step(struct way *w, struct step step)
{
    struct pg_thing *t = step.thing;
    bool is_builtin = (uint32_t)t->id < PG_FIRST_NORMAL_OID;

    pg_judge(w->g, t);
    w->depend.has_rls = w->depend.has_rls || (pg_thing_kind(t->id) == 'r' && t->form.n > 2 &&
                                              t->form.p[PG_FORM_SECURITY] == 's');
    /* What is PostgreSQL's own stands in some thing of the user's, which says where to look. */
    if (t->why.n)
        blame(w, t->why, is_builtin ? step.from : NULL);
    w->depend.claims |= t->claims;
    w->depend.reads_all_claims = w->depend.reads_all_claims || t->reads_all_claims;
    for (uint32_t i = 0; i < t->n_edges; i++)
        reach(w, w->g->edges[t->first_edge + i], t);
}

static int compare_oids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void fill(struct pg_build *b, struct way *w, struct pg_depend *to)
{
    struct hs_str why = w->depend.why;
    uint32_t *tables = HS_NEW_ARRAY(b->arena, w->n_tables, uint32_t);

    if (w->g->is_full)
        why = HS_STR("the database holds more than can be looked at");
    if (tables && w->n_tables) {
        memcpy(tables, w->tables, w->n_tables * sizeof(*tables));
        qsort(tables, w->n_tables, sizeof(*tables), compare_oids);
    }
    *to = w->depend;
    to->tables = tables;
    to->n_tables = tables ? w->n_tables : 0;
    to->is_known = why.n == 0;
    to->why = hs_arena_dup(b->arena, why);
}

static void find(struct pg_build *b, struct way *w, pg_thing_id start, struct pg_depend *to)
{
    w->turn++;
    w->n = 0;
    w->n_tables = 0;
    w->depend = (struct pg_depend){0};
    w->start = start;
    reach(w, (struct pg_graph_edge){start, false}, NULL);
    for (size_t at = 0; at < w->n; at++)
        take_step(w, w->steps[at]);
    fill(b, w, to);
}

static void fill_plain(struct pg_build *b, const struct way *w, struct pg_depend *to)
{
    const struct pg_relation **plain = HS_NEW_ARRAY(b->arena, w->n_tables,
                                                    const struct pg_relation *);

    to->plain = plain;
    for (size_t i = 0; plain && i < w->n_tables; i++) {
        const struct pg_thing *thing = pg_graph_thing(w->g, pg_thing_of('r', w->tables[i]));
        const struct pg_relation *relation = pg_build_relation(b, w->tables[i]);

        if (thing->shared != w->turn && relation)
            plain[to->n_plain++] = relation;
    }
}

/* Of a statement it goes without saying that the reason is in it. */
static struct hs_str without_function(struct hs_str why)
{
    for (size_t i = 0; i < why.n; i++) {
        if (hs_str_starts(hs_str_sub(why, i, why.n), HS_STR(" (in pg_temp")))
            return hs_str_sub(why, 0, i);
    }
    return why;
}

/* One that no function was made of keeps what was said of it then. */
static void find_statement(struct pg_build *b, struct way *w, size_t i)
{
    struct pg_depend *to = &b->statements[i].depend;

    if (!b->parsed[i].function)
        return;
    find(b, w, pg_thing_of('f', b->parsed[i].function), to);
    to->why = without_function(to->why);
    fill_plain(b, w, to);
}

/* A call of it. */
static void find_function(struct pg_build *b, struct way *w, struct pg_function *f)
{
    if (f->volatility == 'v')
        f->depend.why = HS_STR("the function is VOLATILE");
    else
        find(b, w, pg_thing_of('f', f->oid), &f->depend);
}

static hs_status keep_claims(struct pg_build *b, const struct pg_graph *g, struct hs_err *reterr)
{
    struct hs_str *claims = HS_NEW_ARRAY(b->arena, g->n_claims, struct hs_str);

    for (size_t i = 0; claims && i < g->n_claims; i++)
        claims[i] = hs_arena_dup(b->arena, g->claims[i]);
    if (hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    b->whole->pub.claims = claims;
    b->whole->pub.n_claims = g->n_claims;
    return HS_OK;
}

static hs_status find_all(struct pg_build *b, struct pg_graph *g, struct hs_err *reterr)
{
    struct pg_catalog *c = &b->whole->pub;
    struct way w = {
        .g = g,
        .steps = HS_NEW_ARRAY(&g->arena, g->n_things, struct step),
        .tables = HS_NEW_ARRAY(&g->arena, g->n_things, uint32_t),
    };

    if (hs_arena_failed(&g->arena))
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < c->n_relations; i++)
        find(b, &w, pg_thing_of('r', c->relations[i].oid), &c->relations[i].depend);
    for (size_t i = 0; i < c->n_functions; i++)
        find_function(b, &w, &b->functions[i]);
    for (size_t i = 0; i < b->reader->n_asks; i++)
        find_statement(b, &w, i);
    if (g->failed || hs_arena_failed(&g->arena) || hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    return keep_claims(b, g, reterr);
}

hs_status pg_depend_read(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_graph_fini) struct pg_graph g = {0};
    hs_status status = pg_graph_read(b, &g, reterr);

    if (status == HS_OK)
        status = pg_shareable_read(b, &g, reterr);
    if (status == HS_OK)
        status = find_all(b, &g, reterr);
    if (status == HS_OK)
        status = pg_narrow_read(b, &g, reterr);
    if (status == HS_OK)
        status = pg_view_columns_read(b, &g, reterr);
    return status;
}
