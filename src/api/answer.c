/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows and their pagination as the answer's JSON.
 *
 *     {"data":[...],"pagination":{"page":1,"limit":20,"total":7,"pages":1,
 *      "nextCursor":"...","prevCursor":null}}
 *
 * The rule: one row more than the page was asked for, and its presence is the only thing that says that
 * there is a further page; it is never shown. A page read backwards is turned round here. total stands
 * only where it was asked for; "totalIs" says how far an estimated one can be trusted.
 */
#include "api/request.h"

hs_status api_answer_item(const struct api_request *r, const struct pg_rows *rows,
                          struct hs_buf *out, struct hs_err *reterr)
{
    struct api_rows_opts opts = api_request_rows_opts(r);

    if (pg_rows_count(rows) == 0)
        return hs_fail(reterr, HS_E_NO_ROW, "%.*s has no row with the key %.*s",
                       HS_FMT(r->table->name), HS_FMT(r->key));
    hs_buf_add_lit(out, "{\"data\":");
    api_row_write(out, rows, 0, r->columns, r->n_columns, &opts);
    hs_buf_add_char(out, '}');
    return HS_OK;
}

/* What is on the page, in result rows. */
struct page_rows {
    size_t n;     /* shown */
    size_t first; /* row that stands first in the answer */
    size_t last;
    bool has_further; /* in the direction that was read */
    bool is_backward;
};

static struct page_rows find_rows(const struct api_request *r, const struct pg_rows *rows)
{
    struct page_rows page = {.n = pg_rows_count(rows)};
    const struct tree_position *position = r->ask.tree.position;

    if (r->statement->has_count && page.n && !pg_rows_value(rows, 0, r->statement->row_column).p)
        page.n = 0;
    page.has_further = page.n > r->ask.limit;
    page.n = page.has_further ? (size_t)r->ask.limit : page.n;
    page.is_backward = position && position->is_backward;
    page.first = page.is_backward && page.n ? page.n - 1 : 0;
    page.last = page.is_backward || !page.n ? 0 : page.n - 1;
    return page;
}

static void write_rows(const struct api_request *r, const struct pg_rows *rows,
                       const struct page_rows *page, struct hs_buf *out)
{
    struct api_rows_opts opts = api_request_rows_opts(r);

    if (!page->is_backward) {
        api_rows_write(out, rows, 0, page->n, r->columns, r->n_columns, &opts);
        return;
    }
    hs_buf_add_char(out, '[');
    for (size_t i = page->n; i-- > 0;) {
        api_row_write(out, rows, i, r->columns, r->n_columns, &opts);
        if (i)
            hs_buf_add_char(out, ',');
    }
    hs_buf_add_char(out, ']');
}

static void write_total(const struct api_request *r, const struct pg_rows *rows, struct hs_buf *out)
{
    enum sql_count_kind kind = r->statement->count_kind;
    const char *is = "exact";
    int64_t total;

    if (!hs_str_to_i64(pg_rows_value(rows, 0, r->statement->count_column), &total) || total < 0)
        return;
    if (kind == SQL_COUNT_ESTIMATE)
        is = "estimate";
    if (kind == SQL_COUNT_BOUNDED && total > SQL_COUNT_MAX) {
        total = SQL_COUNT_MAX;
        is = "atLeast";
    }
    hs_buf_add_lit(out, ",\"total\":");
    hs_buf_add_i64(out, total);
    if (kind != SQL_COUNT_BOUNDED || is[0] == 'e') {
        hs_buf_add_lit(out, ",\"pages\":");
        hs_buf_add_u64(out, ((uint64_t)total + r->ask.limit - 1) / r->ask.limit);
    }
    if (r->ask.tree.count == TREE_COUNT_ESTIMATED) {
        hs_buf_add_lit(out, ",\"totalIs\":\"");
        hs_buf_add(out, hs_str(is));
        hs_buf_add_char(out, '"');
    }
}

/* A cursor at one row, or null. */
static hs_status write_cursor(const struct api_request *r, const struct pg_rows *rows,
                              bool is_there, bool is_backward, size_t row, struct hs_buf *out,
                              struct hs_err *reterr)
{
    size_t n = r->ask.tree.n_order;
    struct hs_str *values;
    hs_status status;

    if (!is_there || !r->binding.p) {
        hs_buf_add_lit(out, "null");
        return HS_OK;
    }
    values = HS_NEW_ARRAY(r->req->arena, n, struct hs_str);
    if (!values)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < n; i++)
        values[i] = pg_rows_value(rows, row, r->statement->order_columns[i]);
    hs_buf_add_char(out, '"');
    status = cursor_write(r->hold->hmac, r->binding, is_backward, values, n, r->req->arena, out,
                          reterr);
    hs_buf_add_char(out, '"');
    return status;
}

hs_status api_answer_list(const struct api_request *r, const struct pg_rows *rows,
                          struct hs_buf *out, struct hs_err *reterr)
{
    struct page_rows page = find_rows(r, rows);
    bool came_from_before = r->ask.tree.position || r->ask.page > 1;
    bool has_next = page.n && (page.is_backward || page.has_further);
    bool has_prev = page.n && (page.is_backward ? page.has_further : came_from_before);
    hs_status status;

    hs_buf_add_lit(out, "{\"data\":");
    write_rows(r, rows, &page, out);
    hs_buf_add_lit(out, ",\"pagination\":{\"page\":");
    if (r->ask.page)
        hs_buf_add_u64(out, r->ask.page);
    else
        hs_buf_add_lit(out, "null");
    hs_buf_add_lit(out, ",\"limit\":");
    hs_buf_add_u64(out, r->ask.limit);
    if (r->statement->has_count && pg_rows_count(rows))
        write_total(r, rows, out);
    hs_buf_add_lit(out, ",\"nextCursor\":");
    status = write_cursor(r, rows, has_next, /* is_backward= */ false, page.last, out, reterr);
    if (status)
        return status;
    hs_buf_add_lit(out, ",\"prevCursor\":");
    status = write_cursor(r, rows, has_prev, /* is_backward= */ true, page.first, out, reterr);
    hs_buf_add_lit(out, "}}");
    return status;
}
