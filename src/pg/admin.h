/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/admin.h - a plain, blocking connection for chores: the demo's set-up, migrations, checks.
 *
 * Never used to serve a request. One thread at a time. SQL is the caller's own text (files of hasten or
 * of the operator), never a client's.
 */
#ifndef PG_ADMIN_H
#define PG_ADMIN_H

#include "core/buf.h"
#include "core/err.h"

struct pg_admin;

/* conninfo: URI or key=value, "" = the PG* variables. Of several hosts one that takes writes. Neither it
 * nor a piece of it is in the error. errors: HS_E_CONFIG it has no such form; HS_E_PG_DOWN */
hs_status pg_admin_open(const char *conninfo, struct pg_admin **ret_admin, struct hs_err *reterr)
    hs_must_check;
void pg_admin_close(struct pg_admin *admin);

/* Runs a script of one or more statements as one simple query: all of it or nothing, unless it commits
 * by itself. errors: HS_E_PG_ERROR with the line of the script where the server names a position */
hs_status pg_admin_script(struct pg_admin *admin, const char *sql, struct hs_err *reterr)
    hs_must_check;

/* How many statements a text holds is the server's to judge, and two are refused. `params` are texts, NULL
 * is SQL's null. *ret_position: of the fault, in characters of sql from 1; 0 = unknown. errors:
 * HS_E_PG_ERROR with its SQLSTATE; HS_E_PG_DOWN the connection is lost, and so is what became of sql */
hs_status pg_admin_statement(struct pg_admin *admin, const char *sql, const char *const *params,
                             size_t n_params, size_t *ret_position, struct hs_err *reterr)
    hs_must_check;

/* The columns of a row as texts that live until the callback returns; NULL is SQL's null. A status that
 * is not HS_OK ends the walk and becomes the result. */
typedef hs_status pg_admin_row_f(void *arg, const char *const *columns, struct hs_err *reterr);

/* Runs one query and hands over its rows in order; at most PG_ADMIN_COLUMNS columns. */
enum { PG_ADMIN_COLUMNS = 16 };
hs_status pg_admin_rows(struct pg_admin *admin, const char *sql, const char *const *params,
                        size_t n_params, pg_admin_row_f *each, void *arg, struct hs_err *reterr)
    hs_must_check;

/* Who hears the server's notices and warnings from now on; NULL = nobody, as at first. `severity` is
 * "NOTICE", "WARNING" and so on; both texts live until it returns. */
typedef void pg_admin_notice_f(void *arg, const char *severity, const char *message);
void pg_admin_on_notice(struct pg_admin *admin, pg_admin_notice_f *notice, void *arg);

/* Is a transaction open, be it a failed one? */
bool pg_admin_in_transaction(const struct pg_admin *admin);
/* Rolls it back; where the connection is lost the server has done so. */
void pg_admin_rollback(struct pg_admin *admin);

/* First column of the first row as text; empty slice for no row or NULL. `out` keeps the text. */
hs_status pg_admin_value(struct pg_admin *admin, const char *sql, const char *const *params,
                         size_t n_params, struct hs_buf *out, struct hs_err *reterr) hs_must_check;

#endif
