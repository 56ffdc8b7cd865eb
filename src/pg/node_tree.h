/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/node_tree.h - PostgreSQL's own trees of expressions and queries, as its catalogs keep them (pg_node_tree).
 *
 * Shape      {NAME :field value ...} is a node, ( ... ) a list, <> nothing, all else a word. Only the form is
 *            read here; what a node means is for the caller to know.
 * Lifetime   the tree lies in the caller's arena and points into the text that it was read from.
 * Limits     PG_TREE_DEPTH_MAX; the arena's own bound. The tree takes some ten times the bytes of the text.
 * Thread     any.
 * Source     PostgreSQL 15: src/backend/nodes/outfuncs.c (nodeToString) and read.c (pg_strtok).
 */
#ifndef PG_NODE_TREE_H
#define PG_NODE_TREE_H

#include "core/arena.h"

enum { PG_TREE_DEPTH_MAX = 1000 };

enum pg_tree_kind {
    PG_TREE_NOTHING, /* <> */
    PG_TREE_WORD,    /* text: its value, without the backslashes */
    PG_TREE_DATUM,   /* text: the bytes of a constant as they lie in memory */
    PG_TREE_NODE,    /* text: its name; children: its fields, each with a label */
    PG_TREE_LIST /* text: "i", "o", "b" of a list of numbers, else empty; children: its members */
};

struct pg_tree {
    enum pg_tree_kind kind;
    struct hs_str text;
    struct hs_str label;         /* of a field, without the colon */
    const struct pg_tree *child; /* the first */
    const struct pg_tree *next;  /* of the same node or list */
};

/* One tree and nothing behind it but space. NULL: it is none, or the arena is full (hs_arena_failed()). */
const struct pg_tree *pg_tree_read(struct hs_arena *arena, struct hs_str text) hs_must_check;

/* The field of a node; a tree of kind NOTHING if it has none. Never NULL. `node` may be of any kind. */
const struct pg_tree *pg_tree_field(const struct pg_tree *node, const char *label);
bool pg_tree_is(const struct pg_tree *node, const char *name);
/* A word that is a number of 32 bits; 0 if it is none. */
uint32_t pg_tree_number(const struct pg_tree *word);
/* The number of a field. */
static inline uint32_t pg_tree_oid(const struct pg_tree *node, const char *label)
{
    return pg_tree_number(pg_tree_field(node, label));
}
/* How many members a list has, or fields a node. */
size_t pg_tree_count(const struct pg_tree *list);
/* The n-th member, from 0; a tree of kind NOTHING beyond the end. Never NULL. */
const struct pg_tree *pg_tree_at(const struct pg_tree *list, size_t n);
/*
 * The text of a CONST of a type that is kept as bytes with a length before them (text, varchar, json). false:
 * it is no such constant, or NULL.
 */
bool pg_tree_const_text(const struct pg_tree *node, struct hs_str *ret_text) hs_must_check;

#endif
