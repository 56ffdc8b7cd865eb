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
#include "pg/catalog.h"

struct pg_rows;

struct api_out_column {
    struct hs_str key;          /* finished JSON with its colon: "\"firstName\":" */
    const struct pg_type *type; /* may be NULL where is_json_ready */
    bool is_json_ready;         /* the column holds finished JSON text, e.g. an embedded object */
};

struct api_rows_opts {
    bool omit_nulls;     /* a column that is NULL is left out; inside composites null stays null */
    bool int8_as_string; /* also inside arrays and composites */
};

/* Appends [{...},...] for the rows from `from` up to `to` (exclusive). */
void api_rows_write(struct hs_buf *out, const struct pg_rows *rows, size_t from, size_t to,
                    const struct api_out_column *cols, size_t n_cols,
                    const struct api_rows_opts *opts);
/* Appends {...} for one row. */
void api_row_write(struct hs_buf *out, const struct pg_rows *rows, size_t row,
                   const struct api_out_column *cols, size_t n_cols,
                   const struct api_rows_opts *opts);
/* Appends one value; text.p == NULL is null. */
void api_value_write(struct hs_buf *out, const struct pg_type *type, struct hs_str text,
                     const struct api_rows_opts *opts);

#endif
