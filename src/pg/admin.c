/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chores over libpq's blocking calls. A failed script names its line, because the reader of the error
 * has the file open, not the server's byte position.
 */
#include "pg/admin.h"

#include <libpq-fe.h>
#include <stdlib.h>

#include "core/mem.h"

struct pg_admin {
    PGconn *conn;
};

static void ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static int one_line(const char *text)
{
    int n = (int)strcspn(text ? text : "", "\n");

    return n;
}

hs_status pg_admin_open(const char *conninfo, struct pg_admin **ret_admin, struct hs_err *reterr)
{
    struct pg_admin *admin = hs_calloc(1, sizeof(*admin));

    if (!admin)
        return hs_fail_memory(reterr);
    admin->conn = PQconnectdb(conninfo);
    if (PQstatus(admin->conn) != CONNECTION_OK) {
        const char *why = PQerrorMessage(admin->conn);

        hs_fail(reterr, HS_E_PG_DOWN, "could not connect to PostgreSQL");
        hs_err_why(reterr, "%.*s", one_line(why), why);
        pg_admin_close(admin);
        return HS_E_PG_DOWN;
    }
    PQsetNoticeReceiver(admin->conn, ignore_notice, NULL);
    *ret_admin = admin;
    return HS_OK;
}

void pg_admin_close(struct pg_admin *admin)
{
    if (!admin)
        return;
    PQfinish(admin->conn);
    hs_free(admin);
}

/* Line in sql of the server's position, which counts characters from 1; 0 = unknown. */
static unsigned long line_of(const char *sql, const char *position)
{
    unsigned long left = position ? strtoul(position, NULL, 10) : 0;
    unsigned long line = 1;

    if (!left)
        return 0;
    for (const char *p = sql; *p && left > 1; p++) {
        line += *p == '\n';
        left -= ((unsigned char)*p & 0xc0) != 0x80;
    }
    return line;
}

static hs_status fail_result(const struct pg_admin *admin, const PGresult *result, const char *sql,
                             struct hs_err *reterr)
{
    const char *what = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    unsigned long line = line_of(sql, PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION));

    if (!what)
        what = PQerrorMessage(admin->conn);
    if (line)
        hs_fail(reterr, HS_E_PG_ERROR, "line %lu: %s", line, what);
    else
        hs_fail(reterr, HS_E_PG_ERROR, "%.*s", one_line(what), what);
    if (detail)
        hs_err_why(reterr, "%s", detail);
    if (hint)
        hs_err_hint(reterr, "%s", hint);
    return HS_E_PG_ERROR;
}

static bool is_fine(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

hs_status pg_admin_script(struct pg_admin *admin, const char *sql, struct hs_err *reterr)
{
    PGresult *result = PQexec(admin->conn, sql);
    hs_status status = is_fine(result) ? HS_OK : fail_result(admin, result, sql, reterr);

    PQclear(result);
    return status;
}

hs_status pg_admin_value(struct pg_admin *admin, const char *sql, const char *const *params,
                         size_t n_params, struct hs_buf *out, struct hs_err *reterr)
{
    PGresult *result = PQexecParams(admin->conn, sql, (int)n_params, NULL, params, NULL, NULL, 0);
    hs_status status = is_fine(result) ? HS_OK : fail_result(admin, result, sql, reterr);

    hs_buf_clear(out);
    if (!status && PQntuples(result) > 0 && PQnfields(result) > 0)
        hs_buf_add(out, hs_strn(PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0)));
    if (!status && !hs_buf_cstr(out))
        status = hs_fail_memory(reterr);
    PQclear(result);
    return status;
}
