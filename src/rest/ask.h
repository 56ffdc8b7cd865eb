/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/ask.h - a request of the PostgREST dialect, read but not yet looked up.
 *
 * Shape      rest_ask_read() turns the query string into the structs below by grammar alone: names are as
 *            the client wrote them (decoded, unquoted), nothing is known of tables. rest/plan.h binds them to
 *            the catalog.
 * Lifetime   the request's arena; every text is NUL-terminated.
 * Limits     enum rest_limits; beyond them PGRST100 says which.
 * Source     PostgREST reference: tables and views, resource embedding, aggregate functions.
 */
#ifndef REST_ASK_H
#define REST_ASK_H

#include "core/arena.h"
#include "core/err.h"

enum rest_limits {
    REST_DEPTH_MAX = 16,   /* of embeds, and of and/or in each other */
    REST_ITEMS_MAX = 2000, /* in select, all levels together */
    REST_EMBEDS_MAX =
        64, /* all levels together: PostgreSQL plans 100 joins for a second, 300 for ten */
    REST_SCOPES_MAX = 200,   /* levels of which something is said */
    REST_FILTERS_MAX = 500,  /* comparisons, all levels together */
    REST_VALUES_MAX = 20000, /* of one in.(...) or any/all list */
    REST_STEPS_MAX = 64      /* -> and ->> behind one column */
};

/* -> or ->>, by key or by number (negative from the end). */
struct rest_step {
    struct hs_str key; /* a number as its digits, with its sign */
    bool is_index;
    bool is_text; /* ->> */
};

/* A column and a way into its JSON: data->a->>b */
struct rest_path {
    struct hs_str name;
    const struct rest_step *steps;
    size_t n_steps;
};

enum rest_aggregate { REST_AGGREGATE_NONE, REST_COUNT, REST_SUM, REST_AVG, REST_MIN, REST_MAX };

enum rest_item_kind { REST_ITEM_ALL, REST_ITEM_FIELD, REST_ITEM_EMBED };
enum rest_join { REST_JOIN_DEFAULT, REST_JOIN_LEFT, REST_JOIN_INNER };

/* One element of select. */
struct rest_item {
    struct rest_item *next;
    enum rest_item_kind kind;
    struct hs_str alias; /* p == NULL: none */
    /* FIELD */
    struct rest_path path; /* name empty: count() alone */
    struct hs_str cast;    /* ::type, before the aggregate; p == NULL: none */
    enum rest_aggregate aggregate;
    struct hs_str aggregate_cast; /* .sum()::type */
    /* EMBED: [...][alias:]target[!hint][!inner](items) */
    struct hs_str target;
    struct hs_str hint; /* p == NULL: none */
    enum rest_join join;
    bool is_spread;
    struct rest_item *items; /* NULL: target(), an embed that is only there for its filters */
};

enum rest_op {
    REST_EQ,
    REST_NEQ,
    REST_GT,
    REST_GTE,
    REST_LT,
    REST_LTE,
    REST_LIKE, /* '*' in the value is already '%' */
    REST_ILIKE,
    REST_MATCH,
    REST_IMATCH,
    REST_IN,
    REST_IS, /* value is one of null, not_null, true, false, unknown, in lower case */
    REST_ISDISTINCT,
    REST_FTS,
    REST_PLFTS,
    REST_PHFTS,
    REST_WFTS,
    REST_CS,
    REST_CD,
    REST_OV,
    REST_SL,
    REST_SR,
    REST_NXR,
    REST_NXL,
    REST_ADJ
};

enum rest_quantifier { REST_ONE, REST_ANY, REST_ALL };
enum rest_node_kind { REST_NODE_AND, REST_NODE_OR, REST_NODE_COMPARE };

struct rest_node {
    struct rest_node *next; /* sibling */
    enum rest_node_kind kind;
    bool is_negated;
    struct rest_node *first; /* AND, OR */
    /* COMPARE */
    struct rest_path
        path; /* may name an embed (by alias or target) where op is IS null / not_null */
    enum rest_op op;
    enum rest_quantifier quantifier;
    struct hs_str config; /* fts(english); p == NULL: none */
    struct hs_str value;  /* IN, ANY and ALL: an array literal of PostgreSQL, made from the list */
    size_t n_values;      /* of that list */
};

enum rest_nulls { REST_NULLS_DEFAULT, REST_NULLS_FIRST, REST_NULLS_LAST };

/* column.desc.nullslast, embed(column).asc */
struct rest_order {
    struct rest_order *next;
    struct hs_str embed; /* p == NULL: of the level's own rows */
    struct rest_path path;
    bool is_desc;
    enum rest_nulls nulls;
};

/* What is said of one level: of the rows themselves, or of an embed ("actors.films.limit=3"). */
struct rest_scope {
    struct rest_scope *next;
    const struct hs_str *segments; /* names of embeds from the top; n == 0: the rows themselves */
    size_t n_segments;
    struct rest_node *where; /* siblings, all of which must hold */
    struct rest_order *order;
    bool has_limit;
    bool has_offset;
    uint64_t limit;
    uint64_t offset;
};

/* A parameter of an RPC by GET, as it stands (name=value). */
struct rest_argument {
    struct rest_argument *next;
    struct hs_str name;
    struct hs_str value;
};

struct rest_ask {
    struct rest_item *select;  /* NULL and !has_select: everything */
    bool has_select;           /* select= with nothing behind it is an empty list */
    struct rest_scope *scopes; /* each path once; that of the rows themselves first, always there */
    const struct hs_str *columns;
    size_t n_columns;
    bool has_columns;
    const struct hs_str *on_conflict;
    size_t n_on_conflict;
    bool has_on_conflict;
    struct rest_argument *arguments; /* REST_FOR_CALL only */
};

enum rest_use {
    REST_FOR_ROWS,
    REST_FOR_CALL /* /rpc/f by GET or HEAD: what is no filter by its form is an argument */
};

/*
 * query: what stands behind '?', still percent-encoded; p == NULL: nothing.
 *   errors  HS_E_PGRST100 (grammar: message and details in PostgREST's form: "failed to parse ..." with
 *           line and column), HS_E_BAD_ENCODING, HS_E_MEMORY
 */
hs_status rest_ask_read(enum rest_use use, struct hs_str query, struct hs_arena *arena,
                        struct rest_ask *ret_ask, struct hs_err *reterr) hs_must_check;

/* The scope of these segments, or NULL. */
const struct rest_scope *rest_ask_scope(const struct rest_ask *ask, const struct hs_str *segments,
                                        size_t n_segments);

#endif
