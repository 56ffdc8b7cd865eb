/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/index_int.h - what one role may read, for those who list it: as JSON (index.c) and as a page for
 * people (index_page.c).
 *
 * Lifetime   turn: a listing borrows its model and its buffer. Failures stick in the buffer.
 */
#ifndef API_INDEX_INT_H
#define API_INDEX_INT_H

#include "api/request.h"

struct api_listing {
    const struct api_model *model;
    uint64_t reader; /* the role's bit; 0 = of no role: an empty list */
    struct hs_buf *out;
};

/* The next table that the role may read something of, from position *at on; NULL at the end. */
const struct api_table *api_listing_next(const struct api_listing *l, size_t *at);

bool api_listing_reads_all(const struct api_listing *l, const struct pg_column *const *columns,
                           size_t n);

/* Does `search` work for the role? */
bool api_listing_can_search(const struct api_listing *l, const struct api_table *table);

/*
 * The name under which `include` loads the relation for the role; empty if it cannot: no name is clear, or
 * the role may not read what joins the two.
 */
struct hs_str api_listing_relation(const struct api_listing *l, const struct api_table *table,
                                   const struct api_relation *relation);

/* The table's address, percent-encoded: plain also in JSON, in HTML and in a shell's single quotes. */
void api_listing_add_path(const struct api_listing *l, const struct api_table *table);

/* The page. `req` says who asks, and at which host. */
void api_index_page_write(const struct api_listing *l, const struct http_req *req);

/* The page's header fields: its one style sheet is allowed by its hash, and nothing else is. */
extern const char api_index_page_headers[];

#endif
