/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/sql_int.h - what the parts of the SQL writer share.
 */
#ifndef API_SQL_INT_H
#define API_SQL_INT_H

#include "api/sql.h"
#include "core/buf.h"

enum { SQL_PARAMS_MAX = 60000 }; /* PostgreSQL takes 65535 */

struct sql_writer {
    struct hs_buf *out;
    struct hs_arena *arena;
    const char **params;
    size_t n_params;
    size_t params_cap;
    bool is_full;          /* SQL_PARAMS_MAX was reached */
    struct hs_str comment; /* p == NULL = none; what it must be like says api/comment.h */
    bool is_shareable;
    unsigned n_aliases; /* given out so far: t0, t1, ... */
    double rows;        /* that related rows are looked up for, as far as is known; 0: it is not */
};

/*
 * Where a column is read from: the table itself (t0."name") or a sub-select that exports it by its
 * attribute number (t0.c5), so that no name of a column can meet one of ours.
 */
struct sql_source {
    unsigned alias;
    bool is_exported;
    size_t
        layer; /* > 0: what the rows of that layer need to be found, shown as h<layer>c<number> */
};

/* A new parameter's number. */
unsigned sql_param(struct sql_writer *w, struct hs_str value);
/* $n::type */
void sql_param_cast(struct sql_writer *w, unsigned param, struct hs_str type);
void sql_column(struct sql_writer *w, struct sql_source from, const struct pg_column *column);

/* "schema"."name" t3 */
void sql_table(struct sql_writer *w, const struct pg_relation *relation, unsigned alias);
/* " ORDER BY ..." in the direction of the position. */
void sql_order(struct sql_writer *w, struct sql_source from, const struct tree_select *tree);

/* Aliases of all embeds of one level, so that the select list can name them; NULL = no memory. */
unsigned *sql_embed_aliases(struct sql_writer *w, const struct tree_embed *embeds);
/* Their values: e1.j, e2.j. */
void sql_embed_columns(struct sql_writer *w, const struct tree_embed *embeds,
                       const unsigned *aliases, bool with_names, bool is_first);
/* Their joins. */
void sql_embeds(struct sql_writer *w, struct sql_source here, struct tree_embed *embeds,
                const unsigned *aliases);

/* The filter's conditions behind `before`. False: it is NULL or empty, nothing is written. */
bool sql_filter(struct sql_writer *w, struct sql_source from, struct tree_node *node,
                struct hs_str before);
/* " WHERE ..." of the filter alone. */
void sql_where(struct sql_writer *w, struct sql_source from, struct tree_node *node);

/*
 * The condition "after the position" is a union of branches, each served by one index range: that of
 * branch i of n. One comparison of rows where all columns are NOT NULL and of one direction.
 */
struct sql_branch {
    size_t prefix; /* columns 0..prefix-1 equal the position's values */
    enum {
        SQL_BRANCH_ROW,
        SQL_BRANCH_GREATER,
        SQL_BRANCH_LESS,
        SQL_BRANCH_NULL,
        SQL_BRANCH_NOT_NULL
    } how;
};

/* Fills branches (room for 2 * n_order) and returns how many there are, at least one. */
size_t sql_branches(const struct tree_select *tree, struct sql_branch *branches);
/* " WHERE ..." of the filter and one branch. */
void sql_where_branch(struct sql_writer *w, struct sql_source from, const struct tree_select *tree,
                      const struct sql_branch *branch);
/* Numbers the parameters of the position, once, in the order of its columns. */
void sql_position_params(struct sql_writer *w, const struct tree_select *tree);

/* What was written, as a statement in the arena. Errors: those of sql_write(). */
hs_status sql_finish(const struct sql_writer *w, struct sql_statement *st, struct hs_err *reterr)
    hs_must_check;

/* ---- values (sql_value.c) ---- */

const struct pg_type *sql_field_type(const struct tree_field *field);
bool sql_field_is_aggregate(const struct tree_field *field);
void sql_value(struct sql_writer *w, struct sql_source from, const struct tree_value *value);
/* The value; the column where it is NULL. */
void sql_column_or_value(struct sql_writer *w, struct sql_source from,
                         const struct pg_column *column, const struct tree_value *value);
/* The whole row, as the argument of a function. */
void sql_row(struct sql_writer *w, struct sql_source from);
/* E'...' */
void sql_literal(struct sql_writer *w, struct hs_str s);

/* ---- full text (sql_search.c) ---- */

/* The condition. */
void sql_search(struct sql_writer *w, struct sql_source from, struct tree_search *search);
/* The value of a column that is a struct tree_found. */
void sql_found(struct sql_writer *w, struct sql_source from, const struct pg_column *column);

/* ---- outputs of a described select (sql_output.c) ---- */

struct sql_output {
    struct hs_str key;
    struct hs_str alias;
    const struct pg_type *type; /* NULL where is_json */
    bool is_json;
    bool
        is_object; /* its members are the n_inside outputs behind it; its own value is NULL if there is none */
    size_t n_inside; /* is_object, is_many */
    bool
        is_many; /* a layer: rows of the result whose value here is the number of the row they belong to */
    bool is_aggregate;
    size_t layer; /* on whose rows it has its value */
};

struct sql_layer {
    struct tree_embed *embed;
    size_t parent;
    size_t at; /* of its output; the members follow */
};

struct sql_outputs {
    struct sql_output *of;
    size_t n;
    bool is_layered;
    size_t layer;             /* while they are listed */
    struct sql_layer *layers; /* [1 .. n_layers]; 0 is the rows themselves */
    size_t n_layers;
};

enum sql_names { SQL_UNNAMED, SQL_NAMED /* by the dialect's names */, SQL_NUMBERED /* a1, a2 */ };

/* flat: related rows may be columns. false: no memory. */
bool sql_outputs_list(struct sql_writer *w, const struct tree_select *tree, bool is_flat,
                      struct sql_outputs *ret_outputs);
/* The same where to-many embeds may be layers. */
bool sql_outputs_list_layers(struct sql_writer *w, const struct tree_select *tree,
                             struct sql_outputs *ret_outputs);
/* The outputs of one layer, the first of them at `at`, a comma before each; those of deeper layers are left out. */
void sql_outputs_write_layer(struct sql_writer *w, struct sql_source from, struct tree_select *tree,
                             const struct sql_outputs *outputs, size_t at, enum sql_names names);
/* Its embeds have been numbered. */
void sql_outputs_write(struct sql_writer *w, struct sql_source from, struct tree_select *tree,
                       bool is_flat, const struct sql_outputs *outputs, enum sql_names names);
/* " GROUP BY 1, 3", where it is grouped. */
void sql_group(struct sql_writer *w, const struct tree_select *tree,
               const struct sql_outputs *outputs);
/* (SELECT ...), one value of JSON. */
void sql_json(struct sql_writer *w, struct sql_source here, struct tree_embed *e);
/* SELECT ... AS a1, ...: one row. */
void sql_spread(struct sql_writer *w, struct sql_source here, struct tree_embed *e);
/* One row or none, its columns as they are: a join suffices. */
bool sql_is_joined(const struct tree_embed *e);
/* Is it a join in the select `tree`? */
bool sql_embed_is_joined(const struct tree_select *tree, const struct tree_embed *e, bool is_flat);
bool sql_embed_is_lateral(const struct tree_embed *e);

/* ---- related rows of a described select (sql_join.c) ---- */

/* Gives each its alias, so that the select list can name them. */
void sql_number_embeds(struct sql_writer *w, const struct tree_select *tree);
/* The joins that its outputs need. is_cut: the rows here are chosen already. */
void sql_joins(struct sql_writer *w, struct sql_source here, struct tree_select *tree, bool is_flat,
               bool is_cut);
/*
 * Each column of the order that is a related row's gets the alias of a join: is_joined: those of its outputs are
 * there. Before sql_order_value() and sql_order_sources(), which writes the joins that are missing.
 */
void sql_order_number(struct sql_writer *w, const struct tree_select *tree, bool is_joined,
                      bool is_flat);
void sql_order_sources(struct sql_writer *w, struct sql_source here,
                       const struct tree_select *tree);
/* What stands behind FROM. */
void sql_target(struct sql_writer *w, struct sql_source here, struct sql_source there,
                const struct tree_join *join, const struct pg_relation *relation);
/* Match, filters and inner embeds of the rows there; is_joined: but for those that are joined. */
bool sql_related(struct sql_writer *w, struct sql_source here, struct sql_source there,
                 const struct tree_embed *e, bool is_joined, bool is_flat, struct hs_str before);
/* " WHERE ..." of the embed's rows there. */
void sql_conditions(struct sql_writer *w, struct sql_source here, struct sql_source there,
                    const struct tree_embed *e);
/* The filter and inner embeds, those left out that are joined (is_joined). false: nothing was written. */
bool sql_choice(struct sql_writer *w, struct sql_source from, const struct tree_select *tree,
                bool is_joined, struct hs_str before);
void sql_exists(struct sql_writer *w, struct sql_source here, const struct tree_embed *e);
enum sql_order_from {
    SQL_ORDER_ROWS,
    SQL_ORDER_PAGE,    /* a sub-select t0 that shows what is not a column of it as o1, o2, ... */
    SQL_ORDER_NUMBERED /* one that shows all of it so */
};

void sql_order_wide(struct sql_writer *w, struct sql_source from, const struct tree_select *tree,
                    enum sql_order_from how);
void sql_order_value(struct sql_writer *w, struct sql_source from, const struct tree_order *order);
bool sql_order_is_plain(const struct tree_order *order);

/* ---- the described select (sql_wide.c) ---- */

hs_status sql_write_wide(struct sql_writer *w, struct tree_select *tree, struct sql_statement *st,
                         struct hs_err *reterr) hs_must_check;
/* At most so many rows are read; the same number for limits that differ little. 0: unknown. */
uint64_t sql_size(const struct tree_select *tree);
/* " LIMIT ... OFFSET ...", if it has any. */
void sql_limit(struct sql_writer *w, const struct tree_select *tree);
/* Around a SELECT that is limited so: that the planner knows about how many rows there will be. */
void sql_sized_begin(struct sql_writer *w, const struct tree_select *tree, unsigned alias);
void sql_sized_end(struct sql_writer *w, const struct tree_select *tree, unsigned alias);

/* Which of a relation's columns a sub-select shows, under the names of sql_source.is_exported. */
struct sql_exports {
    const struct pg_column **columns;
    size_t n;
    bool with_row; /* the whole row, as r */
};

void sql_export(struct sql_exports *x, const struct pg_column *column);
/* What the outputs of the select read of its rows; is_whole: also what chooses and orders them. false: no memory. */
bool sql_exports_list(struct sql_writer *w, const struct tree_select *tree, bool is_whole,
                      struct sql_exports *ret_exports);
/* "t0."a" AS c1, ..."; from may itself be a sub-select. */
void sql_exports_write(struct sql_writer *w, struct sql_source from,
                       const struct pg_relation *relation, const struct sql_exports *exports);

/* ---- layers (sql_layers.c) ---- */

/* Where the rows themselves come from; the callbacks of sql_wide.c write them. */
struct sql_top {
    const struct tree_select *tree;
    bool is_cut;
    bool has_count;
    void (*write_rows)(void *arg);  /* SELECT ... of the chosen rows, exported */
    void (*write_count)(void *arg); /* (SELECT ... AS n ...) n */
    void *arg;
};

/* Can each column be NULL of its type? Else it is not for layers. */
bool sql_layers_can(const struct sql_outputs *outputs);
/* , p0 AS (...), ... SELECT ... UNION ALL ...; is_first: WITH has not been written. */
void sql_layers_write(struct sql_writer *w, struct tree_select *tree,
                      const struct sql_outputs *outputs, const struct sql_top *top, bool is_first);

/* ---- rows from elsewhere (sql_call.c, sql_json_write.c) ---- */

/* "s"."f"(...) t0, as it stands behind FROM. */
void sql_call(struct sql_writer *w, const struct tree_call *call);
/* An UPDATE that sets nothing, and so is none. */
bool sql_json_write_is_nothing(const struct tree_json_write *write);
/* The write up to its RETURNING. */
hs_status sql_json_write(struct sql_writer *w, struct tree_json_write *write, struct hs_err *reterr)
    hs_must_check;
/* Its rows tell whether they were inserted: t0.i of what is RETURNING. */
bool sql_json_write_tells(const struct tree_json_write *write);
void sql_json_write_inserted(struct sql_writer *w);
/* What triggers have said of the answer so far: two values. */
void sql_json_write_settings(struct sql_writer *w);

static inline bool sql_is_desc(const struct tree_select *tree, size_t i)
{
    bool is_backward = tree->position && tree->position->is_backward;

    return tree->order[i].is_desc != is_backward;
}

#endif
