/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/explain.h - what the cache makes of a read, told to an operator: its key, what its answer depends on, whether it
 * would be a hit and why not, what ends it.
 *
 * The read goes the way of every other up to where the cache is asked; there it is told about instead of answered.
 * The database is asked nothing, and the cache is left as it was, but for shapes that the read is the first
 * to name.
 *
 * Thread     the worker's.
 */
#ifndef API_EXPLAIN_H
#define API_EXPLAIN_H

#include "api/api.h"

struct api_request;

/*
 * Of GET url ("/api/v1/clients?status=ACTIVE") if `who` asked. req is the request that wants to know; its arena is
 * used. Writes {"data":{...}}.
 *   errors  HS_E_NOT_FOUND (not below api.path, or the cache is off), HS_E_PG_DOWN (no model yet), those of the read
 */
hs_status api_explain(struct api_worker *worker, struct http_req *req, struct hs_str url,
                      struct hs_identity *who, struct hs_buf *out, struct hs_err *reterr)
    hs_must_check;

/* For handler.c: r's statement is ready; tells about it into r->explain. key as of api_kept_run(). */
hs_status api_explain_read(struct api_worker *worker, struct api_request *r, const char *const *key,
                           struct hs_err *reterr) hs_must_check;

/* ---- keys, from outside ---- */

/* Parts of a key of the cache; slices of it. */
struct api_key_parts {
    struct hs_str table;  /* p == NULL: where the table's name ends cannot be told */
    struct hs_str role;   /* the same */
    struct hs_str claims; /* a JSON object */
};

/* false: it is no key of a read. */
bool api_key_read(struct hs_str key, struct api_key_parts *ret_parts) hs_must_check;
/* Is the claim of that name this text, or this number, among the key's claims? */
bool api_key_has_claim(struct hs_str key, struct hs_str name, struct hs_str value);

/*
 * The relation that is served under that name, or has it in the database: its oid, and in *ret_table its name as it
 * stands in keys, which lives until the model changes. 0 = there is none, or no model yet.
 */
uint32_t api_worker_table_oid(const struct api_worker *worker, struct hs_str name,
                              struct hs_str *ret_table);

#endif
