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
    bool with_version;     /* also each row's xmin; only without position, count and embeds */
    bool omit_nulls;       /* embedded rows leave out members that are null */
    bool int8_as_string;   /* in embedded rows */
    struct hs_str comment; /* behind the statement; of the outermost only; p == NULL = none */
};

/* ---- changes ---- */

enum tree_change_kind { TREE_INSERT, TREE_UPDATE, TREE_DELETE };

/* A column that is written, and its value in each row. */
struct tree_assignment {
    const struct pg_column *column;
    const char **values;  /* n_rows, in the type's input form; NULL = SQL NULL */
    const bool *is_given; /* n_rows; NULL = in all. Else INSERT takes the default, UPDATE keeps */
};

/*
 * INSERT   one row or many: `set`, n_rows.
 * UPDATE   one set of values for all rows of `where` (n_rows == 1, n_key == 0), or a row of values for
 *          each of many rows, found by the key columns, which are among `set` (n_key > 0).
 * DELETE   the rows of `where`.
 */
struct tree_change {
    enum tree_change_kind kind;
    const struct pg_relation *relation;
    const struct tree_assignment *set;
    size_t n_set;
    size_t n_rows;
    const struct pg_column *const *key;
    size_t n_key;
    const struct pg_column *const *reset; /* UPDATE: columns set to their DEFAULT (PUT) */
    size_t n_reset;
    struct tree_node *where; /* UPDATE, DELETE */
    struct hs_str version;   /* p != NULL: only rows whose xmin is this number */
    const struct tree_field *const *returning;
    size_t n_returning;    /* 0: nothing comes back but how many rows it were */
    bool with_version;     /* xmin follows the fields */
    struct hs_str comment; /* behind the statement; p == NULL = none */
};

#endif
