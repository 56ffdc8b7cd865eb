/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/catalog.h - what the database holds, as one immutable snapshot.
 *
 * Shape      tables, views, columns, types, keys, foreign keys, functions, policies and privileges of the
 *            exposed schemas, read in a few queries in one REPEATABLE READ transaction.
 * Lifetime   process: built whole in its own arena by the control thread, never changed after, counted
 *            (atomically: it crosses threads). The publisher mails each worker its own reference.
 * Source     PostgreSQL 15 manual, chapter 53 (system catalogs).
 */
#ifndef PG_CATALOG_H
#define PG_CATALOG_H

#include "core/arena.h"
#include "core/err.h"
#include "core/identity.h"
#include "core/time.h"

/* How a value is written in JSON, and which literals a filter takes. */
enum pg_kind {
    PG_KIND_TEXT, /* anything whose output is a JSON string: text, uuid, oid, interval, ... */
    PG_KIND_BOOL,
    PG_KIND_INT, /* int2, int4 (oid is text, as in to_json) */
    PG_KIND_INT8,
    PG_KIND_FLOAT, /* float4, float8 */
    PG_KIND_NUMERIC,
    PG_KIND_JSON, /* json, jsonb: passed through */
    PG_KIND_DATE,
    PG_KIND_TIMESTAMP,
    PG_KIND_TIMESTAMPTZ,
    PG_KIND_TIME, /* time, timetz */
    PG_KIND_BYTEA,
    PG_KIND_ENUM,
    PG_KIND_ARRAY,     /* elem is the element type */
    PG_KIND_COMPOSITE, /* fields */
    PG_KIND_RANGE      /* ranges and multiranges: a JSON string */
};

struct pg_field {
    struct hs_str name;
    const struct pg_type *type;
};

/* A type. A domain is resolved: kind, elem and fields are those of its base type. */
struct pg_type {
    uint32_t oid;
    uint32_t base; /* of a domain: the oid of the type behind it; else its own */
    enum pg_kind kind;
    struct hs_str name; /* format_type(): "character varying", "numeric", for messages and casts */
    struct hs_str sql;  /* safely quoted, schema-qualified name for a cast: pg_catalog.int8 */
    char delim;         /* ARRAY: between its elements; else between those of an array of it */
    bool is_domain;
    const struct pg_type *elem;    /* ARRAY */
    const struct pg_field *fields; /* COMPOSITE, in order, dropped ones left out */
    size_t n_fields;
    const struct hs_str *labels; /* ENUM */
    size_t n_labels;
};

struct pg_column {
    struct hs_str name;
    struct hs_str quoted; /* "name" as an SQL identifier, quoted always */
    const struct pg_type *type;
    int32_t typmod;
    int16_t attnum;
    bool not_null;
    bool has_default;
    bool is_generated; /* GENERATED ALWAYS AS (...) STORED */
    bool is_identity;  /* GENERATED ... AS IDENTITY */
    bool is_identity_always;
    bool is_exact; /* equal values have one output form: fit for narrow tags (cache) */
    /*
     * The default as an expression, its own or else that of its type, every name in it qualified that is
     * not in pg_catalog; empty = NULL, an identity, a generated column, or that of a view's table.
     */
    struct hs_str default_sql;
    struct hs_str comment;
    uint64_t readers; /* who may SELECT it: bit i is pg_catalog.roles[i] */
    uint16_t index;   /* position in pg_relation.columns */
};

/* A unique or primary key (not partial, not deferrable, over plain columns). */
struct pg_key {
    const struct pg_column **columns;
    size_t n_columns;
    bool is_primary;
};

struct pg_relation;

struct pg_foreign_key {
    struct hs_str name;
    const struct pg_relation *from;
    const struct pg_relation *to;
    const struct pg_column **from_columns;
    const struct pg_column **to_columns;
    size_t n_columns;
    bool from_is_unique; /* from_columns hold a key: one-to-one */
};

/*
 * What the answer to a SELECT from a relation depends on, found in the catalog's expression trees: bodies of
 * views, policies, functions, recursively.
 */
struct pg_depend {
    /*
     * Everything that it runs could be judged, and is as good as immutable but for the tables, claims and role
     * below. Else such an answer must not be kept, and `why` says to a person what stands against it.
     */
    bool is_known;
    struct hs_str why;
    const uint32_t
        *tables; /* oids of the tables (r, p) whose rows are read, its own among them; ascending */
    size_t n_tables;
    /*
     * Of a statement: those of the tables that nothing but its own text reads, no view, function or policy. Of them
     * it reads rows that their policies let the caller see, and no others.
     */
    const struct pg_relation *const *plain;
    size_t n_plain;
    uint64_t claims; /* bit i is pg_catalog.claims[i]: the top-level claims that are read */
    /*
     * Its own table is read in another way, too (by a policy's function, by a view that a policy asks): then the
     * answer depends on other rows of it than those that it shows.
     */
    bool reads_itself;
    bool reads_all_claims; /* the claims are read in a way that names none: is_known is false */
    bool has_rls;          /* row-level security is on, here or in a table that is read */
};

/* A policy that lets only rows through whose column equals a claim of the caller. */
struct pg_narrow {
    const struct pg_column *column;
    struct hs_str claim;
    uint64_t roles; /* for these: bits as in pg_catalog.roles */
};

/*
 * A tsvector column with a GIN or GiST index, and how its generation expression reads text. Configurations are
 * written as in the literal of a regconfig: pg_catalog.english.
 */
struct pg_full_text {
    const struct pg_column *column; /* NULL: none */
    const struct hs_str *configs;   /* that the expression names */
    size_t n_configs;
    const struct pg_column *language; /* a regconfig by which it reads each row's text; or NULL */
    const struct hs_str *languages; /* all that a CHECK lets `language` be; none: it says nothing */
    size_t n_languages;
};

struct pg_relation {
    uint32_t oid;
    struct hs_str schema;
    struct hs_str name;
    struct hs_str quoted; /* "schema"."name" */
    char relkind;         /* r table, p partitioned, v view, m materialized, f foreign */
    bool has_rls;
    bool has_heirs; /* tables inherit from it, or did: its keys do not hold for their rows */
    /*
     * Reads of it may share a Sync with other callers' reads: everything that a SELECT from it runs
     * (view bodies, policies, recursively) calls only functions known not to touch the session.
     */
    bool is_shareable;
    /*
     * Such a write leaves nothing in the session but last values of sequences: no trigger, rule, default,
     * check, index or policy of it, or of what its foreign keys cascade to, calls anything that might.
     */
    struct {
        bool insert;
        bool update;
        bool delete;
    } tidy;
    struct pg_depend depend;
    const struct pg_narrow *narrow; /* of a table with row-level security */
    size_t n_narrow;
    const struct pg_column *columns; /* in attnum order */
    size_t n_columns;
    const struct pg_key *primary; /* NULL if none */
    const struct pg_key *keys;
    size_t n_keys;
    const struct pg_foreign_key **fk_out; /* from this relation */
    size_t n_fk_out;
    const struct pg_foreign_key **fk_in; /* to this relation */
    size_t n_fk_in;
    /* Functions with `of` == this, sorted by name. */
    const struct pg_function *const *computed;
    size_t n_computed;
    struct pg_full_text full_text;
    double rows_estimate; /* reltuples; < 0 = never analyzed */
    struct hs_str comment;
    uint64_t readers;       /* who may SELECT at least one column of it, as in pg_column */
    uint64_t whole_readers; /* of them those who may SELECT all of it, system columns included */
};

/* A parameter that a caller gives (IN, INOUT, VARIADIC). */
struct pg_argument {
    struct hs_str name;   /* empty: unnamed */
    struct hs_str quoted; /* as an SQL identifier; empty: unnamed */
    const struct pg_type *type;
    bool has_default;
    bool is_variadic; /* type is the array */
};

/* SET of a function or a role: a value for the time of its transaction, as set_config() takes it. */
struct pg_setting {
    struct hs_str name;
    struct hs_str value;
};

/*
 * A function or procedure of an exposed schema, or one of an extra schema that has `of`. Not those that no
 * statement can call (triggers, support functions), no aggregates, no window functions.
 */
struct pg_function {
    uint32_t oid;
    struct hs_str schema;
    struct hs_str name;
    struct hs_str quoted; /* "schema"."name" */
    char volatility;      /* i s v */
    bool is_procedure;
    bool is_set_returning;
    bool is_void;
    const struct pg_type *returns; /* of a set: of one row of it */
    const struct pg_argument *arguments;
    size_t n_arguments;
    /*
     * What a row of it looks like: the relation whose row type it returns, if that is exposed; else one made up
     * for it (relkind 'F', oid 0, not in pg_catalog.relations, readers are the callers): from its OUT, INOUT and
     * TABLE parameters, from the fields of the composite type that it returns, or with one column of its own name.
     */
    const struct pg_relation *row;
    /*
     * An answer is the value itself: it returns no composite type and has no OUT, INOUT or TABLE parameter, not
     * even a single one. A record without a list of columns is one, too.
     */
    bool is_scalar;
    uint64_t rows_estimate; /* ROWS; 0 where it returns no set */
    const struct pg_setting *settings;
    size_t n_settings;
    uint64_t callers; /* who may EXECUTE it: bits as in pg_catalog.roles */
    struct hs_str comment;
    /*
     * Called with one row of this relation (its only argument): a computed field where it is scalar, else a
     * computed relationship with `row`, which is an exposed relation (this one, too), to one row of it where it
     * returns no set or says ROWS 1. NULL: neither.
     */
    const struct pg_relation *of;
    struct pg_depend depend; /* of its answer; is_known is false of what is VOLATILE */
};

/*
 * A column of a view that is a column of a table as it is, through any number of views: what relationships of
 * the table's keys the view has, too. One column of a table may stand in a view more than once.
 */
struct pg_view_column {
    const struct pg_column *column; /* of the view */
    uint32_t table;                 /* oid */
    int16_t attnum;                 /* there */
    bool is_primary; /* there of the primary key, all of whose columns the view has */
};

/*
 * A foreign key between any tables of the database, exposed or not: views may show what tables hide. The ones that
 * PostgreSQL repeats for partitions are left out.
 */
struct pg_reference {
    struct hs_str name;
    uint32_t from;
    uint32_t to;
    const int16_t *from_attnums;
    const int16_t *to_attnums;
    size_t n_columns;
    /* A primary key or a unique constraint has just these columns; an index by itself does not count. */
    bool from_is_unique;
};

/*
 * A type by every name that a cast may call it: "int4", "integer", "int", of an exposed or extra schema also "mood"
 * and "app.mood", arrays with "[]" behind. PostgreSQL's own win over others, schemas in their order. No row types of
 * tables and no pseudo-types. "char", "character" and "bit" are one character or bit long, as in SQL.
 */
struct pg_type_name {
    struct hs_str name; /* lower case unless the type's own name is not */
    const struct pg_type *type;
};

/* A text search configuration, of any schema. */
struct pg_text_config {
    struct hs_str schema;
    struct hs_str name;
    struct hs_str quoted; /* as in the literal of a regconfig */
};

/*
 * What makes an answer of a media type that is not built in: a function that returns a domain named like one
 * ("text/xml"; asterisks on both sides of the slash: any).
 */
struct pg_media_handler {
    struct hs_str media_type; /* lower case; that of `type` */
    const struct pg_type *type;
    struct hs_str schema;
    struct hs_str name;
    struct hs_str quoted; /* "schema"."name" */
    /*
     * One of pg_catalog.functions, whose own answer is of that media type. NULL: an aggregate over the rows of an
     * answer, of one argument.
     */
    const struct pg_function *function;
    /* Of an aggregate: over the rows of this relation; NULL: of any (anyelement). */
    const struct pg_relation *of;
    uint64_t callers; /* as in pg_function */
};

/*
 * ALTER ROLE ... SET, with IN DATABASE for this one winning: index as in pg_catalog.roles. Those that anyone, or the
 * login by GRANT SET ON PARAMETER, may set (so set them before the role); settings that the server does not know
 * (with a dot in the name, of no module) are left out.
 */
struct pg_role_settings {
    const struct pg_setting *settings;
    size_t n_settings;
};

struct pg_policy {
    const struct pg_relation *relation;
    struct hs_str name;
    char command; /* r a w d, or * */
    bool is_permissive;
    struct hs_str using_text; /* pg_get_expr, empty if none */
    struct hs_str check_text;
};

/* A statement that somebody wrote, about which PostgreSQL is asked with each snapshot. */
struct pg_ask {
    struct hs_str sql; /* one statement with $1, $2 ..., each behind a cast; NUL-terminated */
    size_t n_params;
    const struct hs_str *roles; /* that may run it; none = all of the setup's */
    size_t n_roles;
};

struct pg_result_column {
    struct hs_str name;
    const struct pg_type *type;
};

/* What PostgreSQL says of it. */
struct pg_asked {
    /* p == NULL: it can be run. Else what stands against it, and where: the character from 1 on; 0 = nowhere. */
    struct hs_str fault;
    struct hs_str hint; /* may be empty */
    size_t fault_at;
    const struct pg_type **params; /* ask.n_params */
    const struct pg_result_column *columns;
    size_t n_columns;
    struct pg_depend depend; /* as of a relation; is_known is false also where it writes */
    bool is_shareable;       /* as of a relation */
};

struct pg_catalog {
    uint64_t generation;          /* 1, 2, 3 ... of its reader */
    uint64_t fingerprint;         /* of all that the snapshot was made from */
    struct hs_str server_version; /* "15.18 (Debian ...)" */
    int server_version_num;
    struct pg_relation *relations; /* sorted by (position of schema in database.schemas, name) */
    size_t n_relations;
    const struct pg_function *functions; /* sorted by schema, name, oid */
    size_t n_functions;
    const struct pg_view_column *view_columns; /* by view, then column */
    size_t n_view_columns;
    const struct pg_reference *references; /* by name */
    size_t n_references;
    const struct pg_type_name *type_names; /* sorted by name */
    size_t n_type_names;
    const struct pg_text_config *text_configs; /* PostgreSQL's own first, then by name, schema */
    size_t n_text_configs;
    const struct pg_role_settings *role_settings;  /* n_roles of them */
    const struct pg_media_handler *media_handlers; /* sorted by media_type, then schema and name */
    size_t n_media_handlers;
    const struct hs_str *schemas;         /* database.schemas, in their order */
    const struct hs_str *schema_comments; /* empty: none */
    size_t n_schemas;
    const struct pg_policy *policies;
    size_t n_policies;
    /* Top-level claims of request.jwt.claims that policies, views and functions read; at most 64. */
    const struct hs_str *claims;
    size_t n_claims;
    /*
     * The roles of the setup, in its order; `readers` above has a bit for each. What these bits say
     * is for defaults and listings: whether a statement may run is PostgreSQL's to say, each time.
     */
    const struct hs_str *roles;
    size_t n_roles;                    /* up to HS_ROLES_MAX */
    const struct pg_asked *statements; /* of those asked about, in their order */
    size_t n_statements;
};

/* First relation of that name in the order of the exposed schemas, or NULL. */
const struct pg_relation *pg_catalog_relation(const struct pg_catalog *c, struct hs_str name);
/* NULL if there is none. */
const struct pg_column *pg_relation_column(const struct pg_relation *r, struct hs_str name);
/* Position in c->roles; c->n_roles if it is none of them. Compares names: roles are a handful. */
size_t pg_catalog_role(const struct pg_catalog *c, struct hs_str name);
/* Its bit in `readers`; 0 if it is none of them. */
uint64_t pg_catalog_reader_bit(const struct pg_catalog *c, struct hs_str name);

/* In that schema. NULL if there is none. */
const struct pg_relation *pg_catalog_relation_in(const struct pg_catalog *c, struct hs_str schema,
                                                 struct hs_str name);
/* The functions of that name in that schema stand together: the first of them, and how many. NULL: none. */
const struct pg_function *pg_catalog_functions(const struct pg_catalog *c, struct hs_str schema,
                                               struct hs_str name, size_t *ret_n);
/* A type that a cast may name; where there is none, by the name in lower case. NULL if there is none. */
const struct pg_type *pg_catalog_type_named(const struct pg_catalog *c, struct hs_str name);

struct pg_catalog *pg_catalog_ref(struct pg_catalog *c);
void pg_catalog_unref(struct pg_catalog *c);

/* ---- reading it: the control thread; these calls block, bounded by the timeouts ---- */

struct pg_catalog_reader;

struct pg_catalog_setup {
    struct hs_str url; /* database.url, may be empty: PG* variables */
    struct hs_str application_name;
    const struct hs_str *schemas;
    size_t n_schemas;
    /* Not served, but for functions of a row of what is, and types by name. What does not exist is ignored. */
    const struct hs_str *extra_schemas;
    size_t n_extra_schemas;
    struct hs_str channel;     /* PostgREST's, beside hasten's own; empty: none */
    struct hs_str allow_login; /* database.allow_login */
    const struct hs_str
        *roles; /* auth.roles and the anonymous role: each must exist and be grantable */
    size_t n_roles;
    /* And all others that the login may become, but for itself and who stands above row-level security. */
    bool all_roles;
    hs_us connect_timeout;
    hs_us statement_timeout;
    bool (*is_stopping)(
        void); /* asked while a query waits: true ends it with HS_E_SHUTDOWN; may be NULL */
};

/*
 * Allocates nothing but the reader; the texts of setup must outlive it.
 *   errors  HS_E_CONFIG (more than HS_ROLES_MAX roles), HS_E_MEMORY
 */
hs_status pg_catalog_reader_new(const struct pg_catalog_setup *setup,
                                struct pg_catalog_reader **ret_reader, struct hs_err *reterr)
    hs_must_check;
void pg_catalog_reader_free(struct pg_catalog_reader *reader);

/*
 * With each snapshot from now on these statements are looked at, too. The asks are the caller's and stay until they
 * are replaced or the reader ends.
 */
void pg_catalog_reader_ask(struct pg_catalog_reader *reader, const struct pg_ask *asks, size_t n);

/*
 * Connects if not connected (and LISTENs on channel hasten and the setup's), checks the login, reads.
 *   errors  HS_E_PG_DOWN (connection; try again), HS_E_PG_LOGIN (superuser, BYPASSRLS, owner of a served
 *           relation, behind a transaction-mode pooler, a role that cannot be set), HS_E_PG_ERROR,
 *           HS_E_CONFIG (the url cannot be read, a schema does not exist), HS_E_SHUTDOWN (is_stopping)
 */
hs_status pg_catalog_read(struct pg_catalog_reader *reader, struct pg_catalog **ret_catalog,
                          struct hs_err *reterr) hs_must_check;

/*
 * Waits up to `wait` for a notification or until stop_fd becomes readable; then compares fingerprints.
 * *ret_changed = read it again. Errors as above.
 */
hs_status pg_catalog_watch(struct pg_catalog_reader *reader, hs_us wait, int stop_fd,
                           bool *ret_changed, struct hs_err *reterr) hs_must_check;

/*
 * What was asked for by NOTIFY since the last call: 'reload' is PG_TOLD_CATALOG (read it, whatever the
 * fingerprint says), 'reload config' is PG_TOLD_CONF; on the setup's channel 'reload schema' and 'reload config', no
 * payload is both. Any other payload only makes pg_catalog_watch() compare fingerprints at once.
 */
enum { PG_TOLD_CATALOG = 1, PG_TOLD_CONF = 2 };
unsigned pg_catalog_told(struct pg_catalog_reader *reader);

/* The cursor key kept in the database (hasten.secret), 32 bytes; HS_E_NO_ROW where it is not installed. */
hs_status pg_catalog_read_secret(struct pg_catalog_reader *reader, char ret_key[static 32],
                                 struct hs_err *reterr) hs_must_check;

#endif
