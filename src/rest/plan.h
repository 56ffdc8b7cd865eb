/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/plan.h - a request of the PostgREST dialect, bound to the catalog.
 *
 * Shape      rest_plan() makes the tree of api/tree.h from what rest/ask.h read: names become columns,
 *            functions and relationships of the model, or an error with PostgREST's code, texts and status. A
 *            column that does not exist is PostgreSQL's error (42703), said without asking it, since SQL is
 *            made from the catalog's names alone; whether a value fits its type, and whether a type has an
 *            operator, is left to PostgreSQL (every value is untyped).
 * Aggregates of a spread to-one embed stand among its fields and mean the rows of the nearest level above that
 *            is no such spread: that level is_grouped, by its other fields and those of the spread; count()
 *            there counts the rows that the embed found. The spread itself is not is_grouped.
 * Limits     those of rest/ask.h; REST_FIELDS_MAX.
 * Lifetime   the request's arena.
 * Thread     any: the model is immutable.
 * Shapes     Two requests have one shape if their trees are the same but for values. All of it but these: the
 *            values and the configurations of comparisons, the numbers of limit and offset where there are any, the
 *            arguments of a call, the body of a write. A request's plan may thus be kept under: relation or
 *            function, schema, what it is for (enum rest_plan_use), and its query with each value replaced by a
 *            mark (a value that decides the plan is none: those of `is`, and which columns a body has).
 * Source     PostgREST reference: resource embedding, tables and views, aggregate functions, errors.
 */
#ifndef REST_PLAN_H
#define REST_PLAN_H

#include "core/identity.h"
#include "rest/ask.h"
#include "rest/error.h"
#include "rest/model.h"

/* As PostgreSQL's own limit of a select list (MaxTupleAttributeNumber). */
enum { REST_FIELDS_MAX = 1664 };

enum rest_plan_use {
    REST_PLAN_READ,
    REST_PLAN_CALL, /* the rows of a function */
    /*
     * The rows that a write gives back. Filters of the rows themselves are the write's (rest_plan_where()), and
     * no limit holds, neither the request's nor max_rows.
     */
    REST_PLAN_WRITE
};

struct rest_plan_setup {
    const struct rest_model *model;
    enum rest_plan_use use;
    struct hs_str schema;               /* the chosen one */
    const struct pg_relation *relation; /* READ, WRITE */
    const struct pg_function *function; /* CALL: of the model's catalog, with a row */
    const struct hs_identity *who;
    uint64_t max_rows; /* of the rows and of every to-many embed; 0 = no bound of its own */
    bool has_aggregates;
    bool only_aliases; /* an embed that has an alias is called by it alone */
    struct hs_arena *arena;
    struct rest_more
        *more; /* what an error says more; zeroed by the caller; NULL: of no interest */
};

/*
 * Binds select, filters, order and limits of all levels. ret_tree: call, write and count are the caller's to set.
 *   errors  HS_E_PGRST108 (what a filter, order or limit is for is not embedded), 118 (order by an embed to many),
 *           123 (aggregates are off), 127 (aggregates in a spread to many), 200 (no relationship), 201 (more than
 *           one; more->details and more->hint), HS_E_PG_ERROR with 42703, 42704 (no such type), 54011 (too many
 *           fields), HS_E_MEMORY
 */
hs_status rest_plan(const struct rest_plan_setup *setup, const struct rest_ask *ask,
                    struct tree_select *ret_tree, struct hs_err *reterr) hs_must_check;

/* WRITE: which rows it is for. *ret_where is NULL where all are. Errors: HS_E_PG_ERROR with 42703, HS_E_MEMORY. */
hs_status rest_plan_where(const struct rest_plan_setup *setup, const struct rest_ask *ask,
                          struct tree_node **ret_where, struct hs_err *reterr) hs_must_check;

/*
 * Columns that a request names in `columns` or in its body. ret_columns: n of them, each once as often as it is
 * named.
 *   errors  HS_E_PGRST204, HS_E_MEMORY
 */
hs_status rest_plan_columns(const struct rest_plan_setup *setup, const struct hs_str *names,
                            size_t n, const struct pg_column *const **ret_columns,
                            struct hs_err *reterr) hs_must_check;

/* The same for on_conflict. Errors: HS_E_PG_ERROR with 42703, HS_E_MEMORY. */
hs_status rest_plan_conflict(const struct rest_plan_setup *setup, const struct hs_str *names,
                             size_t n, const struct pg_column *const **ret_columns,
                             struct hs_err *reterr) hs_must_check;

/* The relation of that name in that schema. Errors: HS_E_PGRST205. */
hs_status rest_plan_relation(const struct rest_model *model, struct hs_str schema,
                             struct hs_str name, const struct pg_relation **ret_relation,
                             struct hs_err *reterr) hs_must_check;

#endif
