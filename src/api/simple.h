/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/simple.h - the simple dialect: parameters of a URL become a query tree.
 *
 * Everything that the dialect knows ends here; docs/reference/dialect.md is its reference.
 */
#ifndef API_SIMPLE_H
#define API_SIMPLE_H

#include "api/model.h"

/* What a request does: each parameter is for some of these only. */
enum simple_use {
    SIMPLE_LIST = 1,
    SIMPLE_ITEM = 2,
    SIMPLE_CREATE = 4,      /* POST */
    SIMPLE_CHANGE_MANY = 8, /* PATCH, DELETE of a collection */
    SIMPLE_CHANGE_ITEM = 16 /* PUT, PATCH, DELETE of a row */
};

struct simple_query {
    const struct api_table *table;
    struct tree_select tree;
    uint64_t page;
    uint64_t limit;
    struct hs_str cursor; /* p == NULL: none; its position is not in the tree yet */
    bool omit_nulls;
    bool with_deleted; /* rows that were softly deleted too */
    bool is_stream;    /* a list that is not held in memory; limit 0 = all rows */
    /* changes */
    bool is_minimal;       /* return=minimal */
    bool is_all;           /* all=true */
    size_t n_filters;      /* that the request names */
    uint64_t affected_max; /* max-affected; UINT64_MAX = no bound */
};

/* What is asked, and by whom. Lives until simple_read() returns. */
struct simple_ask {
    const struct api_model *model;
    const struct api_table *table;
    /*
     * Its role says which fields stand in the answer, and in included rows, where none are named; its
     * rows_max how many rows a list may ask for.
     */
    const struct hs_identity *who;
    enum simple_use use;
    bool is_stream; /* a list that is a stream in any case, because of its form: NDJSON, CSV */
    const char *const *key; /* of SIMPLE_ITEM and SIMPLE_CHANGE_ITEM: table->n_key values */
    struct hs_str query;    /* what stands behind '?', still encoded */
    struct hs_arena *arena;
};

/* errors  400 of every kind, HS_E_BAD_ROLE (withDeleted), HS_E_MEMORY */
hs_status simple_read(const struct simple_ask *ask, struct simple_query *ret_query,
                      struct hs_err *reterr) hs_must_check;

/*
 * The key of one row: `segment` of the path, still encoded; composite keys as a,b.
 *   ret_values  table->n_key of them, NUL-terminated
 *   errors      HS_E_NO_KEY, HS_E_BAD_VALUE, HS_E_BAD_ENCODING, HS_E_MEMORY
 */
hs_status simple_read_key(const struct api_table *table, struct hs_str segment,
                          struct hs_arena *arena, const char ***ret_values, struct hs_err *reterr)
    hs_must_check;

#endif
