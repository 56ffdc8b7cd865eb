/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results, as libpq holds them: values point into the PGresult and live as long as it does. Rows and
 * columns past the end are the caller's mistake (libpq would only print a warning).
 */
#include "pg/pool_int.h"

size_t pg_rows_count(const struct pg_rows *rows)
{
    return rows->count;
}

size_t pg_rows_columns(const struct pg_rows *rows)
{
    return (size_t)PQnfields(rows->res);
}

/* NULL has length 0, so only empty values need the second question. */
struct hs_str pg_rows_value(const struct pg_rows *rows, size_t row, size_t column)
{
    int r = (int)(rows->first + row);
    int c = (int)column;
    int n = PQgetlength(rows->res, r, c);

    HS_HOT_BUG_ON(row >= pg_rows_count(rows) || column >= pg_rows_columns(rows));
    if (n == 0 && PQgetisnull(rows->res, r, c))
        return HS_STR_NULL;
    return hs_strn(PQgetvalue(rows->res, r, c), (size_t)n);
}

size_t pg_rows_affected(const struct pg_rows *rows)
{
    uint64_t n = 0;

    /* "" where the command has no such number. */
    return hs_str_to_u64(hs_str(PQcmdTuples(rows->res)), &n) ? (size_t)n : 0;
}

uint32_t pg_rows_type(const struct pg_rows *rows, size_t column)
{
    HS_HOT_BUG_ON(column >= pg_rows_columns(rows));
    return PQftype(rows->res, (int)column);
}
