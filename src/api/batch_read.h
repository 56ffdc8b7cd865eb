/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/batch_read.h - the body of a batch becomes a list of requests.
 *
 *     {"requests": [{"id": 1, "method": "GET", "path": "/api/v1/clients/7", "headers": {}, "body": null}]}
 *
 * or the array alone. "transaction": true beside "requests" asks for all or nothing. Only its shape is looked at: whether a path or header can be served is for each
 * request to hear by itself.
 */
#ifndef API_BATCH_READ_H
#define API_BATCH_READ_H

#include "http/req.h"

enum { BATCH_ID_MAX = 128 }; /* bytes of JSON text */

struct batch_item {
    struct hs_str id;     /* JSON as it stands: text, number or null */
    struct hs_str method; /* "GET" where it is left out */
    struct hs_str path;
    /* With Content-Type: application/json where there is a body and nothing else was said. */
    struct http_header *headers;
    size_t n_headers;
    struct hs_str body; /* JSON as it stands, a slice of the text; p == NULL: none, or null */
};

struct batch_list {
    struct batch_item *items;
    size_t n;
    bool is_transaction;
};

/*
 * Reads it into the arena; text must outlive the list. Every error names the place.
 *   errors  HS_E_BAD_JSON, HS_E_BAD_BODY (no batch), HS_E_BODY_TOO_LARGE (more than items_max), HS_E_MEMORY
 */
hs_status batch_read(struct hs_str text, uint64_t items_max, struct hs_arena *arena,
                     struct batch_list *ret_list, struct hs_err *reterr) hs_must_check;

#endif
