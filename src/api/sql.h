/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/sql.h - a query tree as one SQL statement.
 *
 * Promises   - values stand in params only; identifiers are the catalog's quoted names, beside them only a
 *              dialect's quoted names for members of embedded rows, and keys of JSON as literals (sql_value.c);
 *            - trees of one shape give the same text, so it is prepared once;
 *            - column lists are explicit;
 *            - a position becomes an index condition, never an OFFSET.
 */
#ifndef API_SQL_H
#define API_SQL_H

#include "api/rows.h"
#include "api/tree.h"

enum sql_count_kind {
    SQL_COUNT_EXACT,
    SQL_COUNT_BOUNDED, /* exact up to SQL_COUNT_MAX, then "at least" */
    SQL_COUNT_ESTIMATE /* the planner's statistics of the whole table; negative = none */
};

enum { SQL_COUNT_MAX = 10000 };

/* How the rows of a tree that asks for a count are counted. */
enum sql_count_kind sql_count_how(const struct tree_select *tree);

/* The type of what is made; that of an aggregate or a step is known by kind and `sql` only (no oid). */
const struct pg_type *sql_value_type(const struct tree_value *value);

struct sql_statement {
    struct hs_str text; /* NUL-terminated, in the arena */
    uint64_t hash;      /* hs_hash(text) */
    const char **params;
    size_t n_params;
    bool is_shareable; /* every relation touched is */
    size_t n_fields;   /* result columns 0..n_fields-1 are the fields, then the embeds */
    size_t n_embeds;
    size_t *order_columns; /* result column of each order column; NULL if not asked for */
    bool has_count;
    enum sql_count_kind count_kind;
    size_t count_column; /* has_count: the number */
    size_t row_column;   /* has_count: NULL where there is no row, only the number */
    bool has_version;
    size_t version_column; /* has_version: the row's xmin */
    /*
     * Of a tree with_columns: how the first n_columns result columns become JSON (n_embeds is 0). With a count that
     * was asked for, has_count is false where nothing can be cut off: there are as many as rows.
     */
    const struct api_out_column *columns;
    size_t n_columns;
    /*
     * Of a tree with_layers: to-many rows are rows of the result, too. api_layers_read() tells them apart; what is
     * said here of a row, such as count_column, is said of its api_layers_row().
     */
    bool has_layers;
    size_t number_column;
    bool has_inserted; /* of an upsert */
    size_t
        inserted_column; /* has_inserted: true where the row is new, false where it was there before */
    bool has_settings;      /* of a write with_settings */
    size_t settings_column; /* has_settings: response.headers, and behind it response.status */
};

/*
 * Writes `tree` (its `param` numbers are set) into arena memory, by way of the scratch buffer.
 *   with_order  also select the order's columns, for cursors; not of a tree with_columns
 *   errors      HS_E_MEMORY, HS_E_BAD_PARAMETER (too much for one statement, or a limited write to what has no
 *               primary key)
 */
hs_status sql_write(struct tree_select *tree, bool with_order, struct hs_buf *scratch,
                    struct hs_arena *arena, struct sql_statement *ret_statement,
                    struct hs_err *reterr) hs_must_check;

/*
 * Writes a change into arena memory, by way of the scratch buffer. Rows come back in the order of
 * change->set where it is an INSERT. The statement is never shareable.
 * Where there is no plain table behind the relation, has_version stays false.
 *   errors  HS_E_MEMORY, HS_E_BAD_PARAMETER (too much for one statement), HS_E_BAD_BODY (a column whose
 *           default cannot be written is given in some rows only; an UPDATE that changes nothing)
 */
hs_status sql_write_change(struct tree_change *change, struct hs_buf *scratch,
                           struct hs_arena *arena, struct sql_statement *ret_statement,
                           struct hs_err *reterr) hs_must_check;

#endif
