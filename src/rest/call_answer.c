/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a function gives, as a body.
 *
 *                       one                  a set
 *     a value           value                [value, ...]
 *     a row             {...}                [{...}, ...]
 *
 * Where a value stands in a row of its own (CSV, one object of a set), its column is "pgrst_scalar".
 *
 * Source: PostgREST reference, functions as RPC; what it does with limits of single values was measured.
 */
#include "rest/call.h"

static void write_all(const struct rest_call *call, const struct pg_rows *rows, size_t n,
                      const struct api_rows_opts *opts, struct hs_buf *out)
{
    const struct api_request *r = &call->q->r;

    if (!call->function->is_scalar) {
        api_rows_write(out, rows, 0, n, r->columns, r->n_columns, opts);
        return;
    }
    hs_buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            hs_buf_add_char(out, ',');
        api_cell_write(out, rows, i, 0, r->columns, opts);
    }
    hs_buf_add_char(out, ']');
}

static void write_one(const struct rest_call *call, const struct pg_rows *rows, size_t n,
                      const struct api_rows_opts *opts, struct hs_buf *out)
{
    const struct api_request *r = &call->q->r;

    if (!n)
        hs_buf_add_lit(out, "null");
    else if (call->function->is_scalar && !call->function->is_set_returning)
        api_cell_write(out, rows, 0, 0, r->columns, opts);
    else
        api_row_write(out, rows, 0, r->columns, r->n_columns, opts);
}

hs_status rest_call_write(const struct rest_call *call, const struct pg_rows *rows, size_t n,
                          struct hs_buf *out, struct hs_err *reterr)
{
    const struct rest_request *q = call->q;
    const struct api_rows_opts opts = {.omit_nulls = q->media.is_stripped};
    bool is_set = call->function->is_set_returning;

    if (q->media.kind == REST_MEDIA_CSV) {
        rest_csv_write(out, rows, n, q->r.columns, q->r.n_columns);
        return HS_OK;
    }
    if (q->media.kind == REST_MEDIA_OBJECT && is_set) {
        hs_status status = rest_check_single(n, reterr);

        if (status)
            return status;
    }
    if (q->media.kind == REST_MEDIA_OBJECT || !is_set)
        write_one(call, rows, n, &opts, out);
    else
        write_all(call, rows, n, &opts, out);
    if (q->media.is_stripped || q->media.kind == REST_MEDIA_ARRAY_STRIPPED)
        rest_strip_nulls(out);
    return HS_OK;
}
