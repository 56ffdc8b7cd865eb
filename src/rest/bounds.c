/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bounds a statement: how many rows it may give, and how long it may take.
 *
 * The rule: more rows than that are refused by the statement itself, so that what it wrote is undone with it. There
 * is no way to raise an error in an expression but one that fails: the number of rows becomes part of a text that is
 * no number, and that PostgreSQL quotes in its message.
 *
 *     rows -> WITH b AS (rows) SELECT b.* FROM b WHERE CASE WHEN count > $n THEN ('... ' || count)::int ... END
 */
#include "rest/request.h"

#include "core/hash.h"

#define MARK "hasten refuses rows: "

hs_status rest_bound_rows(struct rest_request *q, bool is_single, uint64_t most,
                          struct hs_err *reterr)
{
    struct hs_arena *arena = q->r.req->arena;
    struct pg_query *query = &q->r.query;
    size_t n = query->n_params;
    const char **params = HS_NEW_ARRAY(arena, n + 1, const char *);

    if (!params)
        return hs_fail_memory(reterr);
    if (n)
        memcpy(params, query->params, n * sizeof(*params));
    params[n] =
        hs_arena_printf(arena, "%llu", (unsigned long long)(most < INT64_MAX ? most : INT64_MAX)).p;
    query->params = params;
    query->n_params = n + 1;
    query->sql = hs_arena_printf(
        arena,
        "WITH b AS MATERIALIZED (%.*s), n AS (SELECT count(*) AS n FROM b) SELECT b.* FROM b "
        "WHERE CASE WHEN (SELECT n > $%zu::int8%s FROM n) "
        "THEN ('" MARK "' || (SELECT n FROM n))::int4 IS NULL ELSE true END",
        HS_FMT(query->sql), n + 1, is_single ? " OR n <> 1" : "");
    query->sql_hash = hs_hash(query->sql);
    return query->sql.p && params[n] ? HS_OK : hs_fail_memory(reterr);
}

static struct hs_str behind_mark(struct hs_str message)
{
    const struct hs_str mark = HS_STR(MARK);

    for (size_t i = 0; i + mark.n <= message.n; i++) {
        if (memcmp(message.p + i, mark.p, mark.n) == 0)
            return hs_str_sub(message, i + mark.n, message.n);
    }
    return HS_STR_NULL;
}

bool rest_read_bound(const struct rest_request *q, bool is_single, struct hs_err *err)
{
    struct hs_str rest = strcmp(err->sqlstate, "22P02") == 0 ? behind_mark(hs_str(err->what))
                                                             : HS_STR_NULL;
    uint64_t n;

    if (!hs_str_to_u64(hs_str_cut(&rest, '"'), &n))
        return false;
    *err = (struct hs_err){0};
    if (is_single && n != 1 &&
        (!q->prefer.has_max_affected || n <= (uint64_t)q->prefer.max_affected))
        return rest_check_single(n, err) != HS_OK;
    (void)hs_fail(err, HS_E_PGRST124, "Query result exceeds max-affected preference constraint");
    hs_err_why(err, "The query affects %llu rows", (unsigned long long)n);
    return true;
}

/* ---- time ---- */

static const struct {
    struct hs_str name;
    uint64_t ms; /* 0: a thousandth of one */
} units[] = {
    {{"us", 2}, 0},      {{"ms", 2}, 1},      {{"", 0}, 1},         {{"s", 1}, 1000},
    {{"min", 3}, 60000}, {{"h", 1}, 3600000}, {{"d", 1}, 86400000},
};

uint32_t rest_read_timeout(struct hs_str value)
{
    struct hs_str text = hs_str_trim(value);
    uint64_t number;
    size_t n = 0;

    while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    if (!hs_str_to_u64(hs_str_sub(text, 0, n), &number) || number > UINT32_MAX)
        return 0;
    text = hs_str_trim(hs_str_sub(text, n, text.n));
    for (size_t i = 0; i < HS_LEN(units); i++) {
        if (!hs_str_eq(units[i].name, text))
            continue;
        number = units[i].ms ? number * units[i].ms : (number + 999) / 1000;
        return number < INT32_MAX ? (uint32_t)number : INT32_MAX;
    }
    return 0;
}
