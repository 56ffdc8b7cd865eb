/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/catalog_int.h - the parts of the catalog reader. This folder only; the control thread only.
 *
 * catalog.c             the finished snapshot: lookups, references
 * catalog_conn.c        the reader's connection: connect, run one query, wait
 * catalog_login.c       may this login serve? (role attributes, pooler)
 * catalog_read.c        one transaction: relations, columns, keys ... into a snapshot
 * catalog_statement.c   statements that the setup names: what PostgreSQL says of them
 * catalog_types.c       the types that they use
 * catalog_privileges.c  who may read what
 * catalog_functions.c   functions: what they take
 * catalog_results.c     functions: what they give, and of which relation's rows
 * catalog_handlers.c    functions and aggregates that make media types
 * catalog_search.c      full text: columns, configurations
 * catalog_references.c  foreign keys of the whole database
 * catalog_views.c       columns of views that are columns of tables
 * catalog_names.c       types by the names that a cast may use
 * catalog_settings.c    what roles set; schemas
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
    const struct hs_str
        *roles; /* of the reading under way: those of setup, and what all_roles found */
    size_t n_roles;
    const struct pg_ask *asks; /* the caller's */
    size_t n_asks;
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

/*
 * One statement without parameters' values, whose refusal is an answer: PQresultStatus() tells. is_described: it is
 * not run, and the result says what it takes and gives. errors HS_E_PG_DOWN, HS_E_SHUTDOWN
 */
hs_status pg_reader_try(struct pg_catalog_reader *reader, const char *sql, bool is_described,
                        PGresult **ret_result, struct hs_err *reterr) hs_must_check;

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
    const char *extra_schemas;   /* text[] literal */
    struct pg_relation **by_oid; /* relations, sorted by oid */
    struct pg_column **columns;  /* of each relation, by its position; still to be written to */
    struct pg_type *types;       /* sorted by oid */
    size_t n_types;
    struct pg_key_column *primaries; /* of all tables of the database; sorted by table, attnum */
    size_t n_primaries;
    struct pg_function *functions; /* of the snapshot; still to be written to */
    struct pg_asked *statements;   /* the snapshot's, still to be written to */
    struct pg_parsed *parsed;      /* of each statement that was asked about */
    struct hs_str parsed_types;    /* oid[] literal of the types that these use */
    bool is_again;                 /* something could not be looked at now, and may be later */
};

/* A statement on its way into the snapshot. */
struct pg_parsed {
    uint32_t function; /* a temporary one with its body, in this transaction; 0 = none */
    uint32_t *params;  /* oids of types */
    uint32_t *columns; /* likewise */
};

/* ---- catalog_statement.c ---- */
/* Behind the fingerprint, in a transaction that may write and is rolled back. */
hs_status pg_statements_parse(struct pg_build *b, struct hs_err *reterr) hs_must_check;
/* Behind the types. */
hs_status pg_statements_fill(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* "name" as an SQL identifier, quoted always. On failure p is NULL. */
struct hs_str pg_build_quote(const struct pg_build *b, struct hs_str name);
/* "schema"."name" */
struct hs_str pg_build_quote_pair(const struct pg_build *b, struct hs_str schema,
                                  struct hs_str name);
/* NULL if it is not there. */
struct pg_relation *pg_build_relation(const struct pg_build *b, uint32_t oid);
const struct pg_type *pg_build_type(const struct pg_build *b, uint32_t oid);

/* ---- catalog_types.c ---- */
hs_status pg_types_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* ---- catalog_names.c ---- */
/*
 * Keeps the names of types from n rows of r, whose columns are given: an oid, a rank (the lowest wins), a name.
 * Needs the types.
 */
struct pg_name_columns {
    int oid;
    int rank;
    int name;
};
hs_status pg_type_names_keep(struct pg_build *b, const PGresult *r, int from, int n,
                             struct pg_name_columns at, struct hs_err *reterr) hs_must_check;

/* ---- catalog_keys.c ---- */
hs_status pg_keys_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;
hs_status pg_full_text_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;
hs_status pg_foreign_keys_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* ---- catalog_references.c ---- */
/* A column of a primary key. */
struct pg_key_column {
    uint32_t table;
    int16_t attnum;
    size_t n_columns; /* of the key */
};
/* And fills pg_build.primaries. */
hs_status pg_references_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;
/* NULL: the column is in no primary key. */
const struct pg_key_column *pg_build_primary(const struct pg_build *b, uint32_t table,
                                             int16_t attnum);

/* ---- catalog_functions.c ---- */
/*
 * SQL: p, the rows of pg_proc that the snapshot holds, if the second condition is asked behind WHERE. $1 is the oid[]
 * of the exposed schemas, $2 the text[] of the extra ones. OFFSET keeps the planner from asking the dear conditions
 * of all functions of PostgreSQL first, which takes ten times as long.
 */
#define PG_FUNCTIONS_NEAR                                                               \
    "(SELECT * FROM pg_proc WHERE prokind IN ('f', 'p') AND pronamespace = ANY (ARRAY(" \
    "  SELECT unnest($1::oid[]) UNION ALL SELECT oid FROM pg_namespace"                 \
    "   WHERE nspname = ANY ($2::text[]))) OFFSET 0) p"
#define PG_FUNCTION_IS_SERVED                                                                     \
    "(p.pronamespace = ANY ($1::oid[]) OR p.prokind = 'f' AND p.pronargs = 1"                     \
    " AND p.proargtypes[0] IN (SELECT reltype FROM pg_class WHERE relnamespace = ANY ($1::oid[])" \
    "  AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition))"                         \
    " AND p.prorettype <> ALL ('{trigger,event_trigger,internal,language_handler,fdw_handler,"    \
    "index_am_handler,table_am_handler,tsm_handler,cstring}'::regtype[])"                         \
    " AND 'internal'::regtype <> ALL (p.proargtypes) AND 'cstring'::regtype <> ALL (p.proargtypes)"
/* SQL: a table `enters` (schema, role, bit): which role may use which schema. $3 is the text[] of roles. */
#define PG_ENTERS                                                                              \
    "role AS MATERIALIZED ("                                                                   \
    "  SELECT r.oid, 1::int8 << (s.position - 1)::int4 AS bit"                                 \
    "  FROM unnest($3::text[]) WITH ORDINALITY s(name, position)"                              \
    "  JOIN pg_roles r ON r.rolname = s.name),"                                                \
    " enters AS MATERIALIZED ("                                                                \
    "  SELECT n.oid AS schema, role.oid AS role, role.bit FROM pg_namespace n CROSS JOIN role" \
    "  WHERE (n.oid = ANY ($1::oid[]) OR n.nspname = ANY ($2::text[]))"                        \
    "  AND has_schema_privilege(role.oid, n.oid, 'USAGE'))"
/* SQL: the bits of those who may EXECUTE p. Where nothing was granted or revoked PUBLIC may. */
#define PG_CALLERS                                                                     \
    "(SELECT coalesce(bit_or(e.bit), 0) FROM enters e WHERE e.schema = p.pronamespace" \
    "  AND (p.proacl IS NULL OR has_function_privilege(e.role, p.oid, 'EXECUTE')))"
/* Needs the types, the relations and the roles that pg_privileges_read() keeps. */
hs_status pg_functions_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* ---- catalog_results.c ---- */
/* A parameter that a function gives (OUT, INOUT, TABLE). */
struct pg_output {
    struct hs_str name;
    const struct pg_type *type;
};
/* What is known of a function besides, while it is read. */
struct pg_function_facts {
    uint32_t of;  /* the relation of whose row type its only parameter is; 0 = of none */
    uint32_t row; /* the relation whose row type it returns; 0 = of none */
};
/* Fills row, is_scalar and of. The rest of f is filled. */
void pg_function_result(struct pg_build *b, struct pg_function *f, struct pg_function_facts facts,
                        const struct pg_output *outputs, size_t n_outputs);
/* Fills pg_relation.computed of all. */
hs_status pg_computed_link(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* ---- catalog_handlers.c ---- */
/* Needs the functions. */
hs_status pg_media_handlers_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* ---- catalog_settings.c ---- */
/* Splits "name=value". */
struct pg_setting pg_build_setting(const struct pg_build *b, struct hs_str text);
/* Of roles; and the comments of schemas. Needs the roles. */
hs_status pg_settings_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* ---- catalog_privileges.c ---- */
/* Needs the columns. */
hs_status pg_privileges_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

/* ---- catalog_depend.c ---- */
/* And what may share a Sync. Needs the columns, and the roles that pg_privileges_read() keeps. */
hs_status pg_depend_read(struct pg_build *b, struct hs_err *reterr) hs_must_check;

#endif
