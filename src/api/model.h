/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/model.h - the catalog as it looks from outside: names, keys, relations, search.
 *
 * Lifetime   process: built whole by api_model_new(), never changed after, counted atomically. It holds a
 *            reference to its catalog; everything else is in its arena.
 */
#ifndef API_MODEL_H
#define API_MODEL_H

#include <stdatomic.h>

#include "api/api.h"
#include "api/rows.h"
#include "api/sql.h"

enum { API_NAME_MAX = 63 }; /* PostgreSQL's NAMEDATALEN - 1: a longer alias would be cut */

struct api_table;

/* A name in the three forms in which it is written. */
struct api_name {
    struct hs_str name;  /* empty: none */
    struct hs_str key;   /* "\"staff\":" */
    struct hs_str alias; /* "\"staff\"" */
};

/* How one table reaches another in `include`. */
struct api_relation {
    struct api_name
        names[2]; /* the usual one, and one that stays clear where the usual one is not */
    const struct api_table *to;
    struct tree_join join;
    const struct pg_column *by; /* the column that gave the name; NULL if declared */
    bool is_many;
    bool is_declared;
    bool is_out; /* the foreign key is this table's */
};

/* What a caller gets who names no fields, and the finished statement for one row of it. */
struct api_shown {
    const struct tree_field **fields;
    size_t n_fields;
    bool with_version;         /* rows come with their xmin, from which the ETag is made */
    struct sql_statement item; /* by key; empty without a key */
    const struct api_out_column *item_columns;
    struct pg_gather gather; /* the same for many keys at once */
    bool can_gather;
};

/* What is said of keeping the answers that come from one thing: a table, a named query. */
struct api_keep {
    struct hs_str name;          /* as it stands in keys and in Surrogate-Key */
    uint32_t oid;                /* of the relation; 0 = none */
    bool has_rls;                /* of the relation, or of what it reads */
    bool is_public;              /* which lets shared caches keep it */
    bool has_surrogate_keys;     /* Surrogate-Key: the table, and the row, where it is public */
    hs_us ttl_max;               /* UINT64_MAX = no bound of its own, 0 = not kept */
    struct hs_str cache_control; /* value of the header */
    struct hs_str cdn_control;   /* value of CDN-Cache-Control, where it is public; empty = none */
};

struct api_table {
    const struct pg_relation *pg;
    struct hs_str name;
    const struct tree_field *fields; /* one a column, in the catalog's order */
    struct api_shown shown;          /* all but tsvector columns */
    /*
     * Where some role may read some of these only: what each role of the catalog gets, in their order
     * (roles with the same columns share one). NULL, as for most tables: `shown` is for everybody.
     */
    const struct api_shown **shown_to;
    const struct pg_column **key; /* primary key, else the first unique one without NULLs */
    size_t n_key;
    struct api_relation *relations;
    size_t n_relations;
    const struct pg_column *soft_delete; /* set where a row counts as deleted; NULL = none */
    const struct pg_column **search;     /* columns named by api.search; wins over full text */
    size_t n_search;
    unsigned route_list;
    unsigned route_item;
    struct api_keep keep;
    struct hs_str comment_list; /* their names as comments; p == NULL: database.comment is none */
    struct hs_str comment_item;
    uint16_t *index; /* by name: position in fields + 1; 0 = free */
    size_t index_mask;
};

struct api_model {
    atomic_uint refs;
    struct hs_arena arena;
    struct pg_catalog *catalog;
    struct hs_str path;
    struct api_rules rules; /* limit_default is at most limit_max */
    char cursor_key[32];
    uint64_t generation;   /* as in struct api_setup */
    uint64_t form;         /* digest of all of the setup that decides how an answer looks */
    uint64_t sees_deleted; /* api.soft_delete.roles, bits as in pg_catalog.roles */
    unsigned route_tables;
    struct api_table *tables;
    size_t n_tables;
    struct api_table **by_relation; /* by position in the catalog; NULL = not served */
    uint16_t *index;                /* by name: position in tables + 1; 0 = free */
    size_t index_mask;
    struct api_named *named; /* api/named.h */
    size_t n_named;
    void *attached; /* api_model_attach() */
    void (*free_attached)(void *object);
};

/* Rows that are not softly deleted: column IS NULL. NULL = no memory. */
struct tree_node *api_deleted_filter(const struct pg_column *column, struct hs_arena *arena);
/* May the role see softly deleted rows where it asks for them? */
bool api_model_sees_deleted(const struct api_model *model, struct hs_str role);

/* NULL if there is none. */
const struct api_table *api_model_table(const struct api_model *model, struct hs_str name);
const struct tree_field *api_table_field(const struct api_table *table, struct hs_str name);
static inline const struct tree_field *api_table_field_of(const struct api_table *table,
                                                          const struct pg_column *column)
{
    return &table->fields[column->index];
}

/* What stands behind every statement of that route, as part of its text. p == NULL: nothing. */
static inline struct hs_str api_table_comment(const struct api_model *model,
                                              const struct api_table *table, bool is_item)
{
    if (model->rules.comment != API_COMMENT_ROUTE)
        return HS_STR_NULL;
    return is_item ? table->comment_item : table->comment_list;
}

/* Is it one of the columns that address a row? */
bool api_table_is_key(const struct api_table *table, const struct pg_column *column);

/* What is shown to a role; whoever may read nothing, or is unknown, asks for all and learns why not. */
static inline const struct api_shown *api_table_shown(const struct api_model *model,
                                                      const struct api_table *table,
                                                      struct hs_str role)
{
    size_t i;

    if (!table->shown_to)
        return &table->shown;
    i = pg_catalog_role(model->catalog, role);
    return i < model->catalog->n_roles ? table->shown_to[i] : &table->shown;
}

/*
 * The relation of that name, and in which of its names it was called.
 *   errors  HS_E_UNKNOWN_RELATION (with the nearest), HS_E_AMBIGUOUS (with the choices)
 */
hs_status api_table_relation(const struct api_table *table, struct hs_str name,
                             const struct api_relation **ret_relation,
                             const struct api_name **ret_name, struct hs_err *reterr) hs_must_check;

/* ---- building ---- */

struct api_build {
    const struct api_setup *setup;
    struct api_model *model;
    struct hs_buf scratch;
};

/* The outside name of a name of the database: camelCase where so configured. Empty = no memory. */
struct hs_str api_build_name(struct api_build *build, struct hs_str name);
/* Its three forms. The arena's failure tells of memory. */
struct api_name api_build_forms(struct api_build *build, struct hs_str name);
/* By its name in the database. NULL if there is none. */
struct api_table *api_build_table(struct api_build *build, struct hs_str name);

/* first_name -> firstName; to has room for name.n bytes; returns the length. */
size_t api_camel_case(struct hs_str name, char *to);

/* Fills what each role is shown of a table, once its fields and its key are known. */
hs_status api_build_shown(struct api_build *build, struct api_table *table, struct hs_err *reterr)
    hs_must_check;

/* Fills what cache.tables says of the tables, and model->form (kept_rules.c). */
hs_status api_build_kept(struct api_build *build, struct hs_err *reterr) hs_must_check;

/* Fills relations of all tables from foreign keys and from api.relations. */
hs_status api_build_relations(struct api_build *build, const struct api_setup *setup,
                              struct hs_err *reterr) hs_must_check;

#endif
