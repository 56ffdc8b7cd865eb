/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/simple_int.h - what the parts of the simple dialect share.
 */
#ifndef API_SIMPLE_INT_H
#define API_SIMPLE_INT_H

#include "api/simple.h"
#include "api/url.h"

/* A request being read. */
struct simple_reader {
    const struct api_model *model;
    const struct api_table *table;
    struct hs_str role;
    uint64_t limit_max; /* a list's; api.limit.max, or less for this caller */
    uint64_t rows_max;  /* of this caller; 0 = no limit of its own */
    struct hs_arena *arena;
    struct simple_query *query;
    struct tree_node *where; /* an AND */
    size_t n_filters;
    size_t n_includes;
    uint32_t seen; /* bits of the parameters met so far */
    struct hs_str sort;
    bool is_desc; /* order=desc */
    enum simple_use use;
};

/* column=value, column[op]=value */
hs_status simple_filter(struct simple_reader *r, struct url_pair pair, struct hs_err *reterr)
    hs_must_check;
/* search=words */
hs_status simple_search(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
    hs_must_check;
/* include=a,b.c */
/* Could `rows` rows with what they include be more than api.include.rows_max? */
hs_status simple_check_includes(const struct simple_reader *r, uint64_t rows, struct hs_err *reterr)
    hs_must_check;
hs_status simple_include(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
    hs_must_check;

/* column = value, the value known to be of its type */
hs_status simple_add_equal(struct simple_reader *r, const struct pg_column *column,
                           struct hs_str value, struct hs_err *reterr) hs_must_check;

/* HS_E_UNKNOWN_COLUMN with the nearest name; parameters count as names where they are allowed. */
hs_status simple_fail_column(const struct api_table *table, struct hs_str name,
                             bool with_parameters, struct hs_err *reterr) hs_must_check;
/* Offers the names of the parameters to a search for the nearest name. */
struct hs_nearest;
void simple_offer_parameters(struct hs_nearest *near);

#endif
