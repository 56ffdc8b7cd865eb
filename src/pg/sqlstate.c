/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLSTATE into an error value, by the table sqlstate.def: the row with the longest prefix wins. Errors
 * are rare, so the table is simply walked.
 */
#include "pg/pool.h"

static const struct {
    const char *prefix;
    unsigned short http;
} rows[] = {
#define PG_SQLSTATE(prefix, http) {prefix, http},
#include "pg/sqlstate.def"
#undef PG_SQLSTATE
};

static unsigned short http_of(struct hs_str sqlstate)
{
    unsigned short http = 500;
    size_t longest = 0;

    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct hs_str prefix = hs_str(rows[i].prefix);

        if (prefix.n >= longest && hs_str_starts(sqlstate, prefix)) {
            longest = prefix.n;
            http = rows[i].http;
        }
    }
    return http;
}

void pg_err_from_sqlstate(struct hs_err *err, const char *sqlstate, const char *message,
                          const char *detail, const char *hint, bool is_anonymous)
{
    struct hs_str code = hs_str(sqlstate);

    hs_fail(err, HS_E_PG_ERROR, "%s",
            message && *message ? message : "PostgreSQL refused the statement");
    if (detail)
        hs_err_why(err, "%s", detail);
    if (hint)
        hs_err_hint(err, "%s", hint);
    err->http = http_of(code);
    if (is_anonymous && hs_str_is(code, "42501"))
        err->http = 401;
    if (code.n == sizeof(err->sqlstate) - 1)
        memcpy(err->sqlstate, code.p, code.n + 1);
}
