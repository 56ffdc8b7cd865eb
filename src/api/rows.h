/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/rows.h - rows of PostgreSQL's text format into JSON, exact for every type.
 *
 * Promises   what PostgreSQL's own to_json() makes of a value, byte for byte, is what is written here;
 *            the options below are the only differences. json and jsonb pass through unchanged. A text
 *            that no output function makes is written as a JSON string of itself.
 * Expects    sessions with client_encoding UTF8 and DateStyle ISO, as pg/pool.h sets them.
 * Not here   a type for which somebody created a cast to json (hstore): to_json() calls that cast inside
 *            the server; here its text is a JSON string.
 * Failure    sticky in `out` (core/buf.h): ask hs_buf_failed() once, at the end.
 */
#ifndef API_ROWS_H
#define API_ROWS_H

#include "core/buf.h"
#include "core/err.h"
#include "pg/catalog.h"

struct pg_rows;

struct api_out_column {
    struct hs_str key;          /* finished JSON with its colon: "\"firstName\":" */
    const struct pg_type *type; /* may be NULL where is_json_ready or is_object */
    bool is_json_ready;         /* the column holds finished JSON text, e.g. an embedded object */
    bool
        is_object; /* an object, null where the column is NULL; its members are the columns behind it */
    bool
        is_many; /* rows of the result are its elements, with the columns behind it as members (api_layers) */
    size_t n_inside; /* is_object, is_many: how many of them, those of objects in it included */
};

struct api_layers;

struct api_rows_opts {
    bool omit_nulls;     /* a column that is NULL is left out; inside composites null stays null */
    bool int8_as_string; /* also inside arrays and composites */
    const struct api_layers *layers; /* NULL: each row of the result is a row */
};

/*
 * Of a result that holds rows of several layers, which belong to each other: the row's number stands in
 * number_column, that of the row it belongs to in the is_many column whose element it is. In the arena.
 *   n       the first so many rows of the result are looked at
 *   errors  HS_E_MEMORY
 */
hs_status api_layers_read(const struct pg_rows *rows, size_t n, const struct api_out_column *cols,
                          size_t n_cols, size_t number_column, struct hs_arena *arena,
                          struct api_layers **ret_layers, struct hs_err *reterr) hs_must_check;
/* How many rows there are that belong to none, and which row of the result the i-th of them is. */
size_t api_layers_count(const struct api_layers *layers);
size_t api_layers_row(const struct api_layers *layers, size_t i);

/* Below, with opts->layers, rows are counted as by api_layers_count(). */

/* Appends [{...},...] for the rows from `from` up to `to` (exclusive). */
void api_rows_write(struct hs_buf *out, const struct pg_rows *rows, size_t from, size_t to,
                    const struct api_out_column *cols, size_t n_cols,
                    const struct api_rows_opts *opts);
/* Appends {...} for one row. */
void api_row_write(struct hs_buf *out, const struct pg_rows *rows, size_t row,
                   const struct api_out_column *cols, size_t n_cols,
                   const struct api_rows_opts *opts);
/* Appends the value of column `at` alone, with its members where it is an object. */
void api_cell_write(struct hs_buf *out, const struct pg_rows *rows, size_t row, size_t at,
                    const struct api_out_column *cols, const struct api_rows_opts *opts);
/* Appends one value; text.p == NULL is null. */
void api_value_write(struct hs_buf *out, const struct pg_type *type, struct hs_str text,
                     const struct api_rows_opts *opts);

#endif
