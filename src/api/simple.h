/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/simple.h - the simple dialect: parameters of a URL become a query tree.
 *
 * Everything that the dialect knows ends here; docs/reference/dialect.md is its reference.
 */
#ifndef API_SIMPLE_H
#define API_SIMPLE_H

#include "api/model.h"

struct simple_query {
    const struct api_table *table;
    struct tree_select tree;
    uint64_t page;
    uint64_t limit;
    struct hs_str cursor; /* p == NULL: none; its position is not in the tree yet */
    bool omit_nulls;
};

/*
 * A list: `query` is what stands behind '?', still encoded. `role` is the caller's and says which fields
 * stand in the answer, and in included rows, where none are named.
 *   errors  400 of every kind, HS_E_MEMORY
 */
hs_status simple_read_list(const struct api_model *model, const struct api_table *table,
                           struct hs_str role, struct hs_str query, struct hs_arena *arena,
                           struct simple_query *ret_query, struct hs_err *reterr) hs_must_check;

/*
 * The key of one row: `segment` of the path, still encoded; composite keys as a,b.
 *   ret_values  table->n_key of them, NUL-terminated
 *   errors      HS_E_NO_KEY, HS_E_BAD_VALUE, HS_E_BAD_ENCODING, HS_E_MEMORY
 */
hs_status simple_read_key(const struct api_table *table, struct hs_str segment,
                          struct hs_arena *arena, const char ***ret_values, struct hs_err *reterr)
    hs_must_check;

/* One row with parameters: as simple_read_list, with a filter on the key; takes fields, include, nulls. */
hs_status simple_read_item(const struct api_model *model, const struct api_table *table,
                           struct hs_str role, const char *const *key, struct hs_str query,
                           struct hs_arena *arena, struct simple_query *ret_query,
                           struct hs_err *reterr) hs_must_check;

#endif
