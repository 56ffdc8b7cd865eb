/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/model_int.h - building the model. This folder only; the control thread only.
 *
 * model.c           fields and keys of relations; look-ups
 * views.c           which columns of tables a view shows
 * relationships.c   foreign keys, the same through views, junctions, functions
 * choices.c         all of them in order, and by the names by which they may be called
 *
 * The arena's failure is sticky: builders ask it where they must, and model.c asks it at the end.
 */
#ifndef REST_MODEL_INT_H
#define REST_MODEL_INT_H

#include "rest/model.h"

struct rest_model {
    uint32_t magic;
    struct hs_arena arena;
    const struct pg_catalog *catalog;
    struct rest_relation *relations;   /* as the catalog's */
    const struct rest_relation **rows; /* one a function of the catalog; NULL: it gives none */
};

/* A column of a view that is one of a table. */
struct rest_shown {
    uint32_t table;
    int16_t attnum;
    struct rest_relation *view;
    const struct pg_view_column *column;
};

/* A relation that shows all columns of a key, and as which columns. */
struct rest_side {
    const struct pg_relation *relation;
    const struct pg_column **columns;
    bool is_view;
};

struct rest_sides {
    struct rest_side *list;
    size_t n;
    size_t cap;
};

struct rest_found {
    struct rest_relationship **list;
    size_t n;
    size_t cap;
};

struct rest_build {
    struct rest_model *model;
    struct hs_arena *arena;
    struct rest_shown *shown; /* by table, view, attnum, then the view's attnum */
    size_t n_shown;
    struct rest_relation **by_oid;
    size_t n_by_oid;
    struct rest_found found;
};

/*
 * Room for one more in a list of things of that size: list or a larger copy of it. NULL = no memory; what it
 * was stays in the arena.
 */
void *rest_build_grow(struct hs_arena *arena, void *list, size_t n, size_t *cap, size_t size);

/* ---- views.c ---- */
/* Fills shown and by_oid. */
void rest_build_views(struct rest_build *build);
/* Fills `key` of all relations. */
void rest_build_keys(struct rest_build *build);
/* The table itself, where it is exposed, and all views that show these columns. to: emptied first. */
void rest_build_sides(struct rest_build *build, uint32_t table, const int16_t *attnums, size_t n,
                      struct rest_sides *to);

/* ---- relationships.c ---- */
/* Fills found: those whose both ends are in one schema. */
void rest_build_relationships(struct rest_build *build);

/* ---- choices.c ---- */
/* Fills relationships and choices of all relations. */
void rest_build_choices(struct rest_build *build);

#endif
