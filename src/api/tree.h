/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/tree.h - what is asked of the database, independent of how it was asked.
 *
 * A dialect (api/simple.c) makes a tree whose columns and relations come from the catalog, so a tree
 * cannot name what does not exist; api/sql.c writes it as one statement; api/cursor.c binds cursors to
 * it. Client text stands only in `value` and `position`, and leaves only as a statement's parameter.
 *
 * Lifetime   the request's arena; the catalog objects it points to belong to the model that the request
 *            holds.
 */
#ifndef API_TREE_H
#define API_TREE_H

#include "pg/catalog.h"

/* A column of the answer. */
struct tree_field {
    const struct pg_column *column;
    struct hs_str name;  /* as the dialect calls it */
    struct hs_str key;   /* "\"firstName\":", for the JSON writer */
    struct hs_str alias; /* "\"firstName\"" as an SQL identifier, for embedded rows */
};

/* ---- which rows ---- */

enum tree_kind { TREE_AND, TREE_OR, TREE_NOT, TREE_COMPARE };

enum tree_op {
    TREE_EQ,
    TREE_NE,
    TREE_GT,
    TREE_GTE,
    TREE_LT,
    TREE_LTE,
    TREE_IN,     /* value is an array literal of the column's type */
    TREE_ONE_OF, /* n_values parameters, numbered in a row; their values are not the writer's */
    TREE_LIKE,   /* value is a pattern of SQL's LIKE */
    TREE_ILIKE,
    TREE_NULL,     /* no value */
    TREE_NOT_NULL, /* no value */
    TREE_MATCHES   /* column is a tsvector, value a web search */
};

struct tree_node {
    enum tree_kind kind;
    struct tree_node *first; /* AND, OR, NOT: children; an empty AND is true */
    struct tree_node *last;
    struct tree_node *next; /* sibling */
    /* COMPARE */
    enum tree_op op;
    const struct pg_column *column;
    struct hs_str value;  /* NUL-terminated */
    struct hs_str config; /* MATCHES: text search configuration; from the catalog or the operator */
    size_t n_values;      /* ONE_OF */
    unsigned param;       /* the SQL writer's: its parameter's number, 0 = not written yet */
};

static inline void tree_node_append(struct tree_node *parent, struct tree_node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

/* ---- in which order, and from where ---- */

/* NULLs stand where PostgreSQL puts them: last ascending, first descending. */
struct tree_order {
    const struct pg_column *column;
    bool is_desc;
};

/* Rows strictly after (or before) the row with these values of the order's columns. */
struct tree_position {
    bool is_backward;
    struct hs_str *values; /* as many as the order has; NUL-terminated, p == NULL = SQL NULL */
    unsigned *params;      /* the SQL writer's */
};

/* ---- related rows ---- */

struct tree_select;

/* How rows over there belong to a row here: all pairs of columns are equal. */
struct tree_join {
    const struct pg_column **here;
    const struct pg_column **there;
    size_t n;      /* > 0 */
    bool is_array; /* n == 1 and the value there is an element of the array here */
};

struct tree_embed {
    struct tree_embed *next;
    const struct tree_join *join;
    struct hs_str name;
    struct hs_str key;
    struct hs_str alias;
    bool is_many; /* an array of rows; else one row or null */
    struct tree_select *select;
};

/* ---- the whole ---- */

enum tree_count {
    TREE_COUNT_NONE,
    TREE_COUNT_EXACT,
    TREE_COUNT_ESTIMATED /* the writer chooses and tells how exact the number is */
};

struct tree_select {
    const struct pg_relation *relation;
    const struct tree_field *const *fields;
    size_t n_fields;
    struct tree_embed *embeds;
    struct tree_node *where; /* NULL = all rows */
    struct tree_order *order;
    size_t n_order;
    const struct tree_position *position; /* NULL = from the start */
    bool has_limit;
    bool is_limit_fixed; /* the limit is the operator's number, not the request's */
    uint64_t limit;
    uint64_t offset;
    enum tree_count count;
    bool omit_nulls;     /* embedded rows leave out members that are null */
    bool int8_as_string; /* in embedded rows */
};

#endif
