/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/simple_int.h - what the parts of the simple dialect share.
 */
#ifndef API_SIMPLE_INT_H
#define API_SIMPLE_INT_H

#include "api/simple.h"
#include "api/url.h"

/* What is said of a search; as it was written, until all parameters are known. */
struct simple_search {
    struct hs_str words; /* p == NULL: no such parameter, as the next two */
    struct hs_str language;
    struct hs_str highlight;
    struct tree_found *rank;   /* NULL: nobody has asked for it */
    struct tree_field *ranked; /* as a field of the answer */
};

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
    struct simple_search search;
    bool is_desc; /* order=desc */
    enum simple_use use;
};

/* column=value, column[op]=value */
hs_status simple_filter(struct simple_reader *r, struct url_pair pair, struct hs_err *reterr)
    hs_must_check;
/* search=words */
hs_status simple_search(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
    hs_must_check;
/* searchLang=german */
hs_status simple_search_language(struct simple_reader *r, struct hs_str value,
                                 struct hs_err *reterr) hs_must_check;
/* highlight=title,body */
hs_status simple_highlight(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
    hs_must_check;
/* Is it the rank that a list may show and be sorted by? A column of that name is not. */
bool simple_is_rank(const struct simple_reader *r, struct hs_str name);
/* The rank, as a field; its search comes with simple_build_search(). */
hs_status simple_rank(struct simple_reader *r, const struct tree_field **ret_field,
                      struct hs_err *reterr) hs_must_check;
/* After all parameters: the condition, and what hangs on it. */
hs_status simple_build_search(struct simple_reader *r, struct hs_err *reterr) hs_must_check;
/* include=a,b.c */
/* Could `rows` rows with what they include be more than api.include.rows_max? */
hs_status simple_check_includes(const struct simple_reader *r, uint64_t rows, struct hs_err *reterr)
    hs_must_check;
hs_status simple_include(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
    hs_must_check;

hs_status simple_new_compare(struct simple_reader *r, const struct pg_column *column,
                             enum tree_op op, struct hs_str value, struct tree_node **ret_node,
                             struct hs_err *reterr) hs_must_check;

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
