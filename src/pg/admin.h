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

/* conninfo: URI or key=value. errors: HS_E_PG_DOWN */
hs_status pg_admin_open(const char *conninfo, struct pg_admin **ret_admin, struct hs_err *reterr)
    hs_must_check;
void pg_admin_close(struct pg_admin *admin);

/* Runs a script of one or more statements as one simple query: all of it or nothing, unless it commits
 * by itself. errors: HS_E_PG_ERROR with the line of the script where the server names a position */
hs_status pg_admin_script(struct pg_admin *admin, const char *sql, struct hs_err *reterr)
    hs_must_check;

/* First column of the first row as text; empty slice for no row or NULL. `out` keeps the text. */
hs_status pg_admin_value(struct pg_admin *admin, const char *sql, const char *const *params,
                         size_t n_params, struct hs_buf *out, struct hs_err *reterr) hs_must_check;

#endif
