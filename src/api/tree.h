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

/* A step into JSON: -> or ->>, by key or by number. */
struct tree_step {
    struct hs_str key; /* a number as its digits, with its sign */
    bool is_index;
    bool is_text; /* ->> */
};

enum tree_aggregate { TREE_AGGREGATE_NONE, TREE_COUNT, TREE_SUM, TREE_AVG, TREE_MIN, TREE_MAX };

/*
 * Words of a search, in one or two texts: those that a row has, and those that it does not have, each of which is
 * enough to leave it out.
 */
struct tree_search_part {
    bool is_tsquery;       /* texts of to_tsquery(), else of websearch_to_tsquery() */
    struct hs_str words;   /* p == NULL: none */
    struct hs_str without; /* p == NULL: none */
    unsigned words_param;  /* the SQL writer's, as the next */
    unsigned without_param;
};

/* A search in a tsvector, as TREE_MATCHES asks it and its rank and snippets are made. */
struct tree_search {
    const struct pg_column *column;
    /* In which configurations the words are read; none and no `language`: the database's default. */
    const struct hs_str *configs; /* as in the literal of a regconfig */
    size_t n_configs;
    const struct pg_column *language; /* also in that of each row; or NULL */
    const struct hs_str *languages;   /* all that it can be; none: not known, and no index serves */
    size_t n_languages;
    struct tree_search_part *parts; /* of which one suffices */
    size_t n_parts;
};

/*
 * What a search makes of a row. It is a column to all but the SQL writer; the number is beyond those of tables.
 * For errors, `index` and `readers` are those of what it is made from.
 */
enum { TREE_ATTNUM_MAX = 1600, TREE_ATTNUM_RANK, TREE_ATTNUM_HIGHLIGHT };

struct tree_found {
    struct pg_column column; /* first: a pointer to it is one to this */
    struct tree_search *search;
    const struct tree_field *const *fields; /* of a highlight: its members */
    size_t n_fields;
};

/* What is made from a row beyond one of its columns as it is. In this order: path, cast, aggregate, cast. */
struct tree_value {
    const struct pg_column *column;     /* NULL: a function, or count() of rows */
    const struct pg_function *function; /* a computed field: called with the row; else NULL */
    const struct tree_step *steps;
    size_t n_steps;
    const struct pg_type *cast; /* NULL: none */
    enum tree_aggregate aggregate;
    const struct pg_type *aggregate_cast;
};

/* A column of the answer. */
struct tree_field {
    const struct pg_column *column; /* NULL where `value` has none */
    struct hs_str name;             /* as the dialect calls it */
    struct hs_str key;              /* "\"firstName\":", for the JSON writer */
    struct hs_str alias;            /* "\"firstName\"" as an SQL identifier, for embedded rows */
    const struct tree_value *value; /* NULL: the column as it is */
};

/* ---- which rows ---- */

enum tree_kind {
    TREE_AND,
    TREE_OR,
    TREE_NOT,
    TREE_COMPARE,
    TREE_EXISTS /* the row has at least one row of `embed`, filters and inner joins of that considered */
};

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
    TREE_MATCHES,  /* `search`; value and config are its words and languages, for comparisons */
    TREE_TRUE,     /* no value, as the next two */
    TREE_FALSE,
    TREE_UNKNOWN,
    TREE_DISTINCT,   /* IS DISTINCT FROM */
    TREE_REGEX,      /* ~ */
    TREE_IREGEX,     /* ~* */
    TREE_CONTAINS,   /* @> */
    TREE_CONTAINED,  /* <@ */
    TREE_OVERLAPS,   /* && */
    TREE_LEFT_OF,    /* << */
    TREE_RIGHT_OF,   /* >> */
    TREE_NOT_RIGHT,  /* &< */
    TREE_NOT_LEFT,   /* &> */
    TREE_ADJACENT,   /* -|- */
    TREE_FTS,        /* @@ to_tsquery(config, value) */
    TREE_FTS_PLAIN,  /* plainto_tsquery */
    TREE_FTS_PHRASE, /* phraseto_tsquery */
    TREE_FTS_WEB     /* websearch_to_tsquery */
};

enum tree_quantifier { TREE_ONE, TREE_ANY, TREE_ALL };

struct tree_embed;

struct tree_node {
    enum tree_kind kind;
    struct tree_node *first; /* AND, OR, NOT: children; an empty AND is true */
    struct tree_node *last;
    struct tree_node *next; /* sibling */
    /* COMPARE */
    enum tree_op op;
    const struct pg_column *column;
    struct hs_str value;  /* NUL-terminated */
    struct hs_str config; /* FTS...: text search configuration; empty: the database's default */
    struct tree_search *search; /* MATCHES */
    size_t n_values;            /* ONE_OF */
    unsigned param;             /* the SQL writer's: its parameter's number, 0 = not written yet */
    const struct tree_value
        *made; /* what is compared, where it is not the column as it is; else NULL */
    enum tree_quantifier quantifier; /* ANY, ALL: value is an array literal */
    bool is_untyped;                 /* the value's type is left to PostgreSQL, as with a literal */
    bool has_config_param;           /* config is the request's: it travels as a parameter */
    unsigned config_param;           /* the SQL writer's */
    const struct tree_embed *embed; /* EXISTS; one of the embeds of the select whose filter it is */
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

enum tree_nulls { TREE_NULLS_DEFAULT, TREE_NULLS_FIRST, TREE_NULLS_LAST };

/* By default NULLs stand where PostgreSQL puts them: last ascending, first descending. */
struct tree_order {
    const struct pg_column *column; /* NULL where `made` has none */
    bool is_desc;
    enum tree_nulls nulls;
    const struct tree_value *made; /* NULL: the column as it is */
    const struct tree_embed
        *embed;      /* a column of that embed's only row; NULL = of the rows themselves */
    unsigned source; /* the SQL writer's: with `embed`, the alias of that row */
};

/* Rows strictly after (or before) the row with these values of the order's columns. */
struct tree_position {
    bool is_backward;
    struct hs_str *values; /* as many as the order has; NUL-terminated, p == NULL = SQL NULL */
    unsigned *params;      /* the SQL writer's */
};

/* ---- related rows ---- */

struct tree_select;

/*
 * How rows over there belong to a row here: all pairs of columns are equal; or there is a row of `via` which
 * is equal to both; or they are what a function gives for the row here.
 */
struct tree_join {
    const struct pg_column **here;
    const struct pg_column **there;
    size_t n;                      /* > 0 but with a function */
    bool is_array;                 /* n == 1 and the value there is an element of the array here */
    const struct pg_relation *via; /* many to many; NULL: none. n counts `here`, n_via `there` */
    const struct pg_column **via_here; /* equal to here[i] */
    const struct pg_column **via_there;
    size_t n_via;
    const struct pg_function *function; /* a computed relationship; n == 0 */
};

struct tree_embed {
    struct tree_embed *next;
    const struct tree_join *join;
    struct hs_str name;
    struct hs_str key;
    struct hs_str alias;
    bool is_many;   /* an array of rows; else one row or null */
    bool is_inner;  /* rows here without a row there are left out */
    bool is_spread; /* its fields stand among those of the row here; to-many: each is an array */
    bool
        is_hidden; /* not in the answer: it is there for EXISTS, for its inner join or for the order */
    struct tree_select *select;
    unsigned source; /* the SQL writer's: the alias of its rows */
};

/* ---- rows from elsewhere than a table ---- */

/* An argument of a function, as a parameter. */
struct tree_argument {
    const struct pg_argument *argument;
    struct hs_str value; /* in the type's input form; p == NULL: SQL NULL */
    /* VARIADIC: one array literal in `value`. */
};

/* FROM f(a := $1::type, ...): tree_select.relation is what its rows look like (pg_function.row). */
struct tree_call {
    const struct pg_function *function;
    const struct tree_argument *arguments;
    size_t n_arguments;
    bool is_positional; /* one unnamed argument */
    /*
     * All arguments from one JSON object: value is the object's text, each argument is read from it by
     * json_to_record with the argument's type; p == NULL: they stand in `arguments`.
     */
    struct hs_str json;
};

struct tree_json_write;

/* ---- the whole ---- */

enum tree_count {
    TREE_COUNT_NONE,
    TREE_COUNT_EXACT,
    TREE_COUNT_ESTIMATED /* the writer chooses and tells how exact the number is */
};

struct tree_select {
    const struct pg_relation *relation;
    const struct tree_call *call;  /* NULL: the relation itself */
    struct tree_json_write *write; /* not NULL: of the rows that this write gives back */
    /*
     * An aggregate is among the fields, or among those of a to-one embed that is spread: one row for each group of
     * the others. Such an embed is not grouped itself.
     */
    bool is_grouped;
    /*
     * The statement tells how its columns become JSON (sql_statement.columns), so that related rows may come in the
     * form that is cheapest. Without a position. What is `made`, untyped, called, written, grouped, spread, hidden
     * or joined by more than keys needs it, at every level. Else each embed is one column of JSON.
     */
    bool with_columns;
    bool
        with_layers; /* of the outermost with_columns: to-many rows may be rows of the result (sql_statement.has_layers) */
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

/*
 * A write whose rows PostgreSQL reads from JSON itself (json_to_recordset): an object or an array of objects,
 * in one parameter. The answer is a tree_select over what it gives back.
 */
enum tree_conflict { TREE_CONFLICT_FAILS, TREE_CONFLICT_MERGES, TREE_CONFLICT_IGNORED };

struct tree_json_write {
    enum tree_change_kind kind;
    const struct pg_relation *relation;
    struct hs_str json;                     /* INSERT, UPDATE */
    const struct pg_column *const *columns; /* that are written */
    size_t n_columns;
    bool is_array;
    bool
        missing_is_default; /* a member that is missing in an object is the column's default; else NULL */
    enum tree_conflict conflict;
    const struct pg_column *const *conflict_columns;
    size_t n_conflict_columns;
    struct tree_node
        *where; /* UPDATE, DELETE: of the rows; INSERT: of what the JSON holds, by its columns */
    bool
        with_settings; /* its rows also tell response.headers and response.status, which triggers may set */
    struct tree_order *order; /* UPDATE, DELETE with a limit: which rows; n_order 0 = any */
    size_t n_order;
    bool has_limit;
    uint64_t limit;
    uint64_t offset;
};

#endif
