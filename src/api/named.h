/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/named.h - named queries: {api.path}/q/{name}.
 *
 *     *.sql ── named_file_read ── named_asks ── pg_catalog_read ── api_build_named ── api_named_start
 *     the control thread                                                                  a worker
 *
 * A query that cannot be run (its file is wrong, a column of it is gone) stays listed and answers with the reason;
 * the others go on.
 *
 * Lifetime   struct api_named is the model's.
 */
#ifndef API_NAMED_H
#define API_NAMED_H

#include "api/model.h"
#include "api/named_file.h"

/* A file and what became of it. */
struct named_source {
    struct named_file file;
    struct hs_err err; /* status HS_OK: it was understood */
    bool is_double;    /* an earlier file has its name: it is not served */
    size_t ask; /* its number among those that PostgreSQL is asked about; with a status: none */
};

struct api_named_param {
    struct hs_str name;
    struct hs_str description; /* may be empty */
    const struct pg_type *type;
    bool has_default;
    const char *value;       /* the default; NULL: SQL NULL */
    struct tree_field field; /* for checks and messages: the parameter as if it were a column, */
    struct pg_column column;
    struct tree_field element_field; /* and of an array, one of its elements */
    struct pg_column element_column;
};

/* A column of its answer. */
struct api_named_column {
    struct hs_str name;
    const struct pg_type *type;
};

struct api_named {
    struct hs_str name;
    struct hs_str description; /* may be empty */
    struct hs_str file;        /* its name without folders */
    struct hs_err fault;       /* status HS_OK: it can be run */
    unsigned methods;          /* bits of enum http_method */
    bool is_read;              /* runs in a transaction that is read-only */
    bool is_one;               /* gives one row, not a list */
    uint64_t roles;            /* bits as in pg_catalog.roles: who may run it */
    struct api_named_param *params;
    size_t n_params;
    const struct api_named_column *columns;
    const struct api_out_column *out; /* the same, for the writer */
    size_t n_columns;
    struct hs_str sql;
    uint64_t sql_hash;
    struct hs_str comment; /* database.comment; p == NULL: none */
    const struct pg_depend *depend;
    bool is_shareable;
    hs_us ttl;
    struct api_keep keep;
    struct api_table table; /* as far as its name goes, for messages about parameters */
    unsigned route;
};

/* The asks of all files that were understood, in the arena; sets their numbers. errors HS_E_MEMORY */
hs_status named_asks(struct named_source *sources, size_t n, struct hs_arena *arena,
                     const struct pg_ask **ret_asks, size_t *ret_n, struct hs_err *reterr)
    hs_must_check;

/* Fills model->named from setup->named and the catalog's statements. errors HS_E_MEMORY */
hs_status api_build_named(struct api_build *build, struct hs_err *reterr) hs_must_check;

/* Does a table named "q" stand behind them, whose rows by key cannot be reached? */
bool api_named_hides(const struct api_model *model);
/* A query that cannot be run, from position *at on: what is wrong with it; NULL: no more. */
const struct hs_err *api_named_next_fault(const struct api_model *model, size_t *at);
/*
 * A GET whose answers are never kept because of what it calls, from position *at on: its file, and why; false: no
 * more.
 */
bool api_named_next_unkept(const struct api_model *model, size_t *at, struct hs_str *ret_file,
                           struct hs_str *ret_why);

#endif
