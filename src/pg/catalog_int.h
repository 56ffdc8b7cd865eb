/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/catalog_int.h - the parts of the catalog reader. This folder only; the control thread only.
 *
 * catalog.c             the finished snapshot: lookups, references
 * catalog_conn.c        the reader's connection: connect, run one query, wait
 * catalog_login.c       may this login serve? (role attributes, pooler)
 * catalog_read.c        one transaction: relations, columns, keys ... into a snapshot
 * catalog_types.c       the types that they use
 * catalog_privileges.c  who may read what
 * catalog_share.c       which relations call only harmless functions
 * catalog_depend.c      what an answer depends on, with the files that catalog_graph.h names
 * catalog_print.c       the fingerprint
 */
#ifndef PG_CATALOG_INT_H
#define PG_CATALOG_INT_H

#include <libpq-fe.h>
#include <stdatomic.h>

#include "core/buf.h"
#include "pg/catalog.h"

/* A catalog past this is refused: 100,000 columns need about 40 MiB. */
enum { PG_CATALOG_BYTES_MAX = 512 << 20 };

enum { PG_CATALOG_MAGIC = 0x50474341, PG_READER_MAGIC = 0x50475244 };

/* What stands behind a struct pg_catalog: its references and memory. */
struct pg_catalog_whole {
    struct pg_catalog pub; /* first: the public pointer is this one */
    uint32_t magic;
    atomic_uint refs;
    struct hs_arena arena;
    const struct pg_relation **by_name; /* sorted by name, then by position of the schema */
};

struct pg_catalog_reader {
    uint32_t magic;
    struct pg_catalog_setup setup;
    PGconn *conn;         /* NULL = not connected */
    uint64_t generation;  /* of the last snapshot */
    uint64_t fingerprint; /* of the last snapshot; of none = 0 */
    unsigned told;        /* PG_TOLD_ */
};

/* ---- catalog_conn.c ---- */
/* Connects if not connected. */
hs_status pg_reader_connect(struct pg_catalog_reader *reader, struct hs_err *reterr) hs_must_check;
void pg_reader_disconnect(struct pg_catalog_reader *reader);
/* A second connection to where the first one goes, for the pooler probe; the caller finishes it. */
hs_status pg_reader_open(struct pg_catalog_reader *reader, PGconn **ret_conn, struct hs_err *reterr)
    hs_must_check;
/* Runs one statement, bounded by the statement timeout; the caller clears the result. Text format. */
hs_status pg_reader_query(struct pg_catalog_reader *reader, const char *sql,
                          const char *const *params, int n_params, PGresult **ret_result,
                          struct hs_err *reterr) hs_must_check;
/* The same on a connection of one's own. */
hs_status pg_reader_query_on(struct pg_catalog_reader *reader, PGconn *conn, const char *sql,
                             const char *const *params, int n_params, PGresult **ret_result,
                             struct hs_err *reterr) hs_must_check;

/* For hs_auto(). */
void pg_reader_clear(PGresult **result);

static inline struct hs_str pg_cell(const PGresult *r, int row, int column)
{
    if (PQgetisnull(r, row, column))
        return HS_STR_NULL;
    return hs_strn(PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
}

static inline bool pg_cell_bool(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column)[0] == 't';
}

/* 0 where the cell is NULL or no number. */
int64_t pg_cell_int(const PGresult *r, int row, int column);

static inline uint32_t pg_cell_oid(const PGresult *r, int row, int column)
{
    return (uint32_t)pg_cell_int(r, row, column);
}

/* The row behind the run that begins at `from`: rows before `end` with one number in that column. */
int pg_cell_run(const PGresult *r, int from, int end, int column);

/* An array literal of names, {"a","b"}, NUL-terminated; empty names are left out. */
struct hs_str pg_array_literal(struct hs_arena *a, const struct hs_str *names, size_t n);
/* The numbers of "1 2 3" or "{1,2,3}"; returns how many there are, at most max are stored. */
size_t pg_numbers(struct hs_str text, int64_t *ret, size_t max);

/* ---- catalog_login.c; `schemas` is an oid[] literal ---- */
hs_status pg_login_check(struct pg_catalog_reader *reader, const char *schemas,
                         struct hs_arena *scratch, struct hs_err *reterr) hs_must_check;
/* Once per connection. */
hs_status pg_pooler_check(struct pg_catalog_reader *reader, struct hs_err *reterr) hs_must_check;

/* ---- catalog_print.c ---- */
/*
 * Appends the query behind the fingerprint, which returns one row for pg_print_hash(). `schemas` is SQL that gives
 * the oid[] of the exposed ones; is_whole: columns and indexes of what they lead to in other schemas as well, as
 * the change stream takes it.
 */
void pg_print_sql(struct hs_buf *to, const char *schemas, bool is_whole);
/* Of its first n columns. */
uint64_t pg_print_hash(const PGresult *r, int n);
hs_status pg_fingerprint_read(struct pg_catalog_reader *reader, const char *schemas,
                              uint64_t *ret_fingerprint, struct hs_err *reterr) hs_must_check;
/* The oid[] literal of the exposed schemas; HS_E_CONFIG where one does not exist. */
hs_status pg_schemas_read(struct pg_catalog_reader *reader, struct hs_arena *arena,
                          struct hs_str *ret_schemas, struct hs_err *reterr) hs_must_check;

/* ---- a snapshot being built ---- */
struct pg_build {
    struct pg_catalog_reader *reader;
    struct pg_catalog_whole *whole;
    struct hs_arena *arena;      /* the snapshot's */
    const char *schemas;         /* oid[] literal */
    struct pg_relation **by_oid; /* relations, sorted by oid */
    struct pg_column **columns;  /* of each relation, by its position; still to be written to */
    struct pg_type *types;       /* sorted by oid */
    size_t n_types;
};

/* NULL if it is not there. */
struct pg_relation *pg_build_relation(const struct pg_build *b, uint32_t oid);
const struct pg_type *pg_build_type(const struct pg_build *b, uint32_t oid);

/* ---- catalog_types.c ---- */
hs_status pg_types_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* ---- catalog_keys.c ---- */
hs_status pg_keys_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;
hs_status pg_foreign_keys_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* ---- catalog_privileges.c ---- */
/* Needs the columns. */
hs_status pg_privileges_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* ---- catalog_depend.c ---- */
/* And what may share a Sync. Needs the columns, and the roles that pg_privileges_read() keeps. */
hs_status pg_depend_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

#endif
