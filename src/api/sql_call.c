/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function's rows, as they stand behind FROM.
 *
 *     named        "s"."f"("a" := $1::t, VARIADIC "v" := $2::t[]) t0
 *     positional   "s"."f"($1::t) t0
 *     from JSON    json_to_record($1::json) AS j("a" t, "v" t[]) CROSS JOIN LATERAL "s"."f"("a" := j."a", ...) t0
 *
 * A scalar function's column is called as its alias is, so it is named: t0("f"). One that returns a record without a
 * list of columns gives the record as JSON: (SELECT to_json("s"."f"(...))) t0("f").
 *
 * Source: PostgreSQL 15 manual, 4.3 (calls), 7.2.1.4 (table functions), 9.16 (json_to_record).
 */
#include "api/sql_int.h"

enum { OID_RECORD = 2249 }; /* pg_type.dat */

static void write_value(struct sql_writer *w, const struct tree_call *call,
                        const struct tree_argument *a)
{
    if (call->json.p && !call->is_positional) {
        hs_buf_add_lit(w->out, "j.");
        hs_buf_add(w->out, a->argument->quoted);
    } else {
        sql_param_cast(w, sql_param(w, a->value), a->argument->type->sql);
    }
}

static void write_arguments(struct sql_writer *w, const struct tree_call *call)
{
    for (size_t i = 0; i < call->n_arguments; i++) {
        const struct tree_argument *a = &call->arguments[i];

        if (i)
            hs_buf_add_lit(w->out, ", ");
        if (a->argument->is_variadic)
            hs_buf_add_lit(w->out, "VARIADIC ");
        if (!call->is_positional) {
            hs_buf_add(w->out, a->argument->quoted);
            hs_buf_add_lit(w->out, " := ");
        }
        write_value(w, call, a);
    }
}

static void write_record(struct sql_writer *w, const struct tree_call *call)
{
    hs_buf_add_lit(w->out, "pg_catalog.json_to_record(");
    sql_param_cast(w, sql_param(w, call->json), HS_STR("pg_catalog.json"));
    hs_buf_add_lit(w->out, ") AS j(");
    for (size_t i = 0; i < call->n_arguments; i++) {
        const struct pg_argument *argument = call->arguments[i].argument;

        if (i)
            hs_buf_add_lit(w->out, ", ");
        hs_buf_add(w->out, argument->quoted);
        hs_buf_add_char(w->out, ' ');
        hs_buf_add(w->out, argument->type->sql);
    }
    hs_buf_add_lit(w->out, ") CROSS JOIN LATERAL ");
}

/* FROM wants to know its columns, SELECT does not. */
static bool is_record(const struct pg_function *function)
{
    return function->is_scalar && function->returns && function->returns->oid == OID_RECORD;
}

void sql_call(struct sql_writer *w, const struct tree_call *call)
{
    const struct pg_function *function = call->function;

    w->is_shareable = false;
    if (call->json.p && !call->is_positional && call->n_arguments)
        write_record(w, call);
    if (is_record(function))
        hs_buf_add_lit(w->out, "(SELECT pg_catalog.to_json(");
    hs_buf_add(w->out, function->quoted);
    hs_buf_add_char(w->out, '(');
    write_arguments(w, call);
    hs_buf_add(w->out, is_record(function) ? HS_STR("))) t0") : HS_STR(") t0"));
    if (function->is_scalar) {
        hs_buf_add_char(w->out, '(');
        hs_buf_add(w->out, function->row->columns[0].quoted);
        hs_buf_add_char(w->out, ')');
    }
}
