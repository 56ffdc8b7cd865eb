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
};

/*
 * Where a column is read from: the table itself (t0."name") or a sub-select that exports it by its
 * attribute number (t0.c5), so that no name of a column can meet one of ours.
 */
struct sql_source {
    unsigned alias;
    bool is_exported;
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

static inline bool sql_is_desc(const struct tree_select *tree, size_t i)
{
    bool is_backward = tree->position && tree->position->is_backward;

    return tree->order[i].is_desc != is_backward;
}

#endif
