/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/catalog_graph.h - what the database holds below the snapshot: things that lead to things. This folder only;
 * the control thread only.
 *
 * Shape      a thing is a relation, function, operator, type or operator class, by its oid. What the catalog says
 *            of it are rows: node trees, arrows to other things, its name. They are read once per snapshot.
 * Lifetime   one read of the catalog; the rows' texts lie in the results that are kept here.
 *
 * catalog_graph.c   the rows
 * catalog_judge.c   one thing: what its trees call, read and depend on
 * catalog_claims.c  how a tree reads the caller's claims
 * catalog_narrow.c  policies that pin a column to a claim, and columns that can be pinned
 * catalog_depend.c  from there to struct pg_depend
 * catalog_share.c   another question to the same rows
 * catalog_views.c   and another: which columns of views are columns of tables
 */
#ifndef PG_CATALOG_GRAPH_H
#define PG_CATALOG_GRAPH_H

#include "pg/catalog_int.h"
#include "pg/node_tree.h"

enum { PG_FIRST_NORMAL_OID = 16384 }; /* below: what initdb made (FirstNormalObjectId) */
enum { PG_CLAIMS_MAX = 64 };

/* Kind in the high half ('f' function, 'r' relation, 't' type, 'o' operator, 'c' operator class), oid in the low. */
typedef uint64_t pg_thing_id;

static inline pg_thing_id pg_thing_of(char kind, uint32_t oid)
{
    return (uint64_t)(unsigned char)kind << 32 | oid;
}

static inline char pg_thing_kind(pg_thing_id id)
{
    return (char)(id >> 32);
}

/* The letters of a relation: relkind, relpersistence. Of a type: typtype. */

/* What a row says of its thing; `text` is: */
enum pg_graph_what {
    PG_GRAPH_FORM =
        'C', /* letters that say what it is; of a relation and a function, a space and its name */
    PG_GRAPH_TREE = 'T', /* a node tree that is run with it */
    PG_GRAPH_BODY = 'Y', /* function: prosqlbody */
    PG_GRAPH_FILLS =
        'M', /* materialized view: the tree that fills it; nobody who reads it runs that */
    PG_GRAPH_POLICY = 'Q', /* relation: a policy that would be run, were row-level security on */
    PG_GRAPH_EDGE = 'E',   /* kind and oid of a thing that it leads to */
    PG_GRAPH_WIDE =
        'W', /* the same; a tree that uses the thing names this one, too, if it is used */
    PG_GRAPH_CHILD = 'I', /* relation: one that is read with it (partition, inheriting table) */
    PG_GRAPH_BUILTIN =
        'B', /* function of PostgreSQL that is more than a function of its arguments and of
                               pinned settings: provolatile, name. Type whose values are shown by names: '' */
    PG_GRAPH_BAD = 'X' /* catalog_share.c alone: what its own query says of writes */
};

/* The letters of a function's form, in this order. */
enum {
    PG_FORM_VOLATILE = 0, /* provolatile */
    PG_FORM_BODY = 1,     /* b readable, a aggregate, x of a well-known extension, else o */
    PG_FORM_PLAIN = 2,    /* t: no arguments, one value, no settings of its own */
    PG_FORM_LANGUAGE = 3  /* from here on: its language */
};

/* Of a relation's form: its relkind, its relpersistence, and 's' where row-level security is on. */
enum { PG_FORM_SECURITY = 2 };

struct pg_graph_row {
    pg_thing_id id;
    enum pg_graph_what what;
    struct hs_str text;
};

/* Of a result with the columns what, kind, oid, text. */
static inline struct pg_graph_row pg_graph_row(const PGresult *r, int row)
{
    return (struct pg_graph_row){
        .id = pg_thing_of(PQgetvalue(r, row, 1)[0], pg_cell_oid(r, row, 2)),
        .what = (enum pg_graph_what)PQgetvalue(r, row, 0)[0],
        .text = pg_cell(r, row, 3),
    };
}

struct pg_thing {
    pg_thing_id id;
    uint32_t first; /* its rows: from g->rows[first] on */
    uint32_t n;
    struct hs_str name;
    struct hs_str form;
    /* What pg_judge() found. */
    bool is_judged;
    bool reads_all_claims;
    struct hs_str why; /* empty = it is known */
    uint64_t claims;   /* bits of g->claims */
    uint32_t first_edge;
    uint32_t n_edges;
    /* The walk of catalog_depend.c: which relation came by last. */
    uint32_t visited;
    uint32_t listed;
    uint32_t shared; /* read by something else than where the walk began */
};

struct pg_graph_edge {
    pg_thing_id to;
    bool is_child; /* read as a part of the relation that leads here */
};

/* Where the results are: each has the columns what, kind, oid, text. */
enum {
    PG_GRAPH_FUNCTIONS,
    PG_GRAPH_RELATIONS,
    PG_GRAPH_TYPES,
    PG_GRAPH_POLICIES,
    PG_GRAPH_RESULTS
};
/*
 * Further columns of the policies for SELECT, of which those count whose `what` is PG_GRAPH_TREE: whether it is
 * permissive; bits of the roles (pg_catalog.roles) that it applies to; bits of those that the table's
 * policies hold for.
 */
enum { PG_POLICY_IS_PERMISSIVE = 4, PG_POLICY_APPLIES = 5, PG_POLICY_HOLDS = 6 };

struct pg_graph {
    struct pg_graph_row *rows; /* sorted by id */
    size_t n_rows;
    struct pg_thing *things; /* sorted by id */
    size_t n_things;
    struct pg_graph_edge *edges;
    size_t n_edges;
    size_t cap_edges;
    struct hs_str claims[PG_CLAIMS_MAX];
    size_t n_claims;
    struct hs_arena arena; /* rows, things, sentences */
    struct hs_arena trees; /* those of the thing that is being judged */
    PGresult *results[PG_GRAPH_RESULTS];
    bool is_full; /* more rows or arrows than are looked at: nothing is known */
    bool failed;  /* no memory */
};

/* ---- catalog_graph.c ---- */

hs_status pg_graph_read(struct pg_build *b, struct pg_graph *ret_graph, struct hs_err *reterr)
    hs_must_check;
/* Of one that was read, or is zero. */
void pg_graph_fini(struct pg_graph *g);
/* NULL: the catalog says nothing of it. */
struct pg_thing *pg_graph_thing(const struct pg_graph *g, pg_thing_id id);
/* Appends an arrow to the thing whose arrows were appended last. */
void pg_graph_lead(struct pg_graph *g, pg_thing_id to, bool is_child);
/* Its bit, a new one if need be; 0: there are PG_CLAIMS_MAX others. */
uint64_t pg_graph_claim(struct pg_graph *g, struct hs_str name);

/* ---- catalog_judge.c ---- */

/* Fills what the thing's trees say, once. */
void pg_judge(struct pg_graph *g, struct pg_thing *thing);

/* ---- catalog_claims.c ---- */

/* Reads one top-level claim of the claims' document. false: it does not, or not in a way that is understood. */
bool pg_claims_access(struct pg_graph *g, const struct pg_tree *tree, struct hs_str *ret_claim)
    hs_must_check;
/*
 * The value of one claim and nothing else: its text, or what a cast makes of it. Whatever differs from
 * the claim's text is NULL, an error, or another way to write the same value.
 */
bool pg_claims_value(struct pg_graph *g, const struct pg_tree *tree, struct hs_str *ret_claim)
    hs_must_check;
/* Is it a call of current_setting()? Then of what; absent if that is not a constant. */
bool pg_claims_setting(const struct pg_tree *tree, struct hs_str *ret_setting) hs_must_check;
bool pg_claims_is_document_setting(struct hs_str setting);

/* ---- catalog_share.c ---- */

/* Fills is_shareable and tidy of each relation. */
hs_status pg_shareable_read(struct pg_build *b, const struct pg_graph *rows, struct hs_err *reterr)
    hs_must_check;

/* ---- catalog_views.c ---- */

/* Fills pg_catalog.view_columns. */
hs_status pg_view_columns_read(struct pg_build *b, struct pg_graph *g, struct hs_err *reterr)
    hs_must_check;

/* ---- catalog_narrow.c ---- */

hs_status pg_narrow_read(struct pg_build *b, struct pg_graph *g, struct hs_err *reterr)
    hs_must_check;

#endif
