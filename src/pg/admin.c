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
    pg_admin_notice_f *notice; /* NULL = nobody hears them */
    void *notice_arg;
};

/* Without a receiver of ours libpq would print notices to standard error. */
static void take_notice(void *arg, const PGresult *result)
{
    const struct pg_admin *admin = arg;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (admin->notice && severity && message)
        admin->notice(admin->notice_arg, severity, message);
}

static int one_line(const char *text)
{
    int n = (int)strcspn(text ? text : "", "\n");

    return n;
}

/* libpq's own message about a string that it cannot read quotes it, with its password. */
static hs_status check_form(const char *conninfo, struct hs_err *reterr)
{
    PQconninfoOption *parsed = PQconninfoParse(conninfo, NULL);

    PQconninfoFree(parsed);
    if (parsed)
        return HS_OK;
    hs_fail(reterr, HS_E_CONFIG, "that is not a PostgreSQL connection string");
    hs_err_hint(reterr, "Write postgresql://user@host:5432/database or host=... dbname=...");
    return HS_E_CONFIG;
}

/* What stands before dbname is a default, what stands behind it wins over the string. */
static PGconn *connect_now(const char *conninfo)
{
    static const char *const names[] = {"connect_timeout",      "fallback_application_name",
                                        "target_session_attrs", "dbname",
                                        "client_encoding",      NULL};
    const char *const values[] = {"10", "hasten", "read-write", conninfo, "UTF8", NULL};

    return PQconnectdbParams(names, values, /* expand_dbname= */ 1);
}

hs_status pg_admin_open(const char *conninfo, struct pg_admin **ret_admin, struct hs_err *reterr)
{
    hs_status status = check_form(conninfo, reterr);
    struct pg_admin *admin = status ? NULL : hs_calloc(1, sizeof(*admin));

    if (status)
        return status;
    if (!admin)
        return hs_fail_memory(reterr);
    admin->conn = connect_now(conninfo);
    if (PQstatus(admin->conn) != CONNECTION_OK) {
        const char *why = PQerrorMessage(admin->conn);

        hs_fail(reterr, HS_E_PG_DOWN, "could not connect to PostgreSQL");
        hs_err_why(reterr, "%.*s", one_line(why), why);
        pg_admin_close(admin);
        return HS_E_PG_DOWN;
    }
    (void)PQsetNoticeReceiver(admin->conn, take_notice, admin);
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

/* What the server says of a fault; `line` of the script is named unless 0. */
static hs_status fail_result(const struct pg_admin *admin, const PGresult *result,
                             unsigned long line, struct hs_err *reterr)
{
    const char *what = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    hs_status status = PQstatus(admin->conn) == CONNECTION_OK ? HS_E_PG_ERROR : HS_E_PG_DOWN;

    if (!what)
        what = PQerrorMessage(admin->conn);
    if (line)
        hs_fail(reterr, status, "line %lu: %s", line, what);
    else
        hs_fail(reterr, status, "%.*s", one_line(what), what);
    if (detail || context)
        hs_err_why(reterr, "%s", detail ? detail : context);
    if (hint)
        hs_err_hint(reterr, "%s", hint);
    if (reterr && sqlstate && strlen(sqlstate) < sizeof(reterr->sqlstate))
        memcpy(reterr->sqlstate, sqlstate, strlen(sqlstate) + 1);
    return status;
}

static hs_status fail_script(const struct pg_admin *admin, const PGresult *result, const char *sql,
                             struct hs_err *reterr)
{
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);

    return fail_result(admin, result, line_of(sql, position), reterr);
}

static bool is_fine(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

/* The next command on the connection ends the copy: libpq sees to it. */
static bool is_copy(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT;
}

hs_status pg_admin_script(struct pg_admin *admin, const char *sql, struct hs_err *reterr)
{
    PGresult *result = PQexec(admin->conn, sql);
    hs_status status = is_fine(result) ? HS_OK : fail_script(admin, result, sql, reterr);

    PQclear(result);
    return status;
}

hs_status pg_admin_value(struct pg_admin *admin, const char *sql, const char *const *params,
                         size_t n_params, struct hs_buf *out, struct hs_err *reterr)
{
    PGresult *result = PQexecParams(admin->conn, sql, (int)n_params, NULL, params, NULL, NULL, 0);
    hs_status status = is_fine(result) ? HS_OK : fail_script(admin, result, sql, reterr);

    hs_buf_clear(out);
    if (!status && PQntuples(result) > 0 && PQnfields(result) > 0)
        hs_buf_add(out, hs_strn(PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0)));
    if (!status && !hs_buf_cstr(out))
        status = hs_fail_memory(reterr);
    PQclear(result);
    return status;
}

hs_status pg_admin_statement(struct pg_admin *admin, const char *sql, const char *const *params,
                             size_t n_params, size_t *ret_position, struct hs_err *reterr)
{
    PGresult *result = PQexecParams(admin->conn, sql, (int)n_params, NULL, params, NULL, NULL, 0);
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    hs_status status = HS_OK;

    *ret_position = position ? strtoul(position, NULL, 10) : 0;
    if (is_copy(result)) {
        status = hs_fail(reterr, HS_E_PG_ERROR, "COPY from or to the client has no data here");
        hs_err_hint(reterr, "Write INSERT, or COPY from a file of the server.");
    } else if (!is_fine(result)) {
        status = fail_result(admin, result, 0, reterr);
    }
    PQclear(result);
    return status;
}

hs_status pg_admin_rows(struct pg_admin *admin, const char *sql, const char *const *params,
                        size_t n_params, pg_admin_row_f *each, void *arg, struct hs_err *reterr)
{
    PGresult *result = PQexecParams(admin->conn, sql, (int)n_params, NULL, params, NULL, NULL, 0);
    hs_status status = is_fine(result) ? HS_OK : fail_script(admin, result, sql, reterr);
    int n = PQnfields(result);

    HS_BUG_ON(n > PG_ADMIN_COLUMNS);
    for (int row = 0; row < PQntuples(result) && !status; row++) {
        const char *columns[PG_ADMIN_COLUMNS];

        for (int i = 0; i < n; i++)
            columns[i] = PQgetisnull(result, row, i) ? NULL : PQgetvalue(result, row, i);
        status = each(arg, columns, reterr);
    }
    PQclear(result);
    return status;
}

void pg_admin_on_notice(struct pg_admin *admin, pg_admin_notice_f *notice, void *arg)
{
    admin->notice = notice;
    admin->notice_arg = arg;
}

bool pg_admin_in_transaction(const struct pg_admin *admin)
{
    PGTransactionStatusType now = PQtransactionStatus(admin->conn);

    return now == PQTRANS_INTRANS || now == PQTRANS_INERROR;
}

void pg_admin_rollback(struct pg_admin *admin)
{
    if (pg_admin_in_transaction(admin))
        PQclear(PQexec(admin->conn, "ROLLBACK"));
}
