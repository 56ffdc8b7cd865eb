/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/csv.h - rows of PostgreSQL's text format into CSV.
 *
 * Promises   - a value is what the JSON writer makes of it, without the quotes of a JSON string; arrays,
 *              composites, json and included rows are their JSON text;
 *            - NULL is nothing at all, an empty text is "";
 *            - quotes stand where they must, lines end in CRLF.
 * Failure    sticky in `out` (core/buf.h).
 * Source     RFC 4180, section 2.
 */
#ifndef API_CSV_H
#define API_CSV_H

#include "api/rows.h"
#include "api/tree.h"

/* Appends the line of names: the fields, then the included relations. */
void csv_names_write(struct hs_buf *out, const struct tree_select *tree);
/* Appends one row; `opts` as for JSON, but omit_nulls does nothing here. */
void csv_row_write(struct hs_buf *out, const struct pg_rows *rows, size_t row,
                   const struct api_out_column *cols, size_t n_cols,
                   const struct api_rows_opts *opts);

#endif
