/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/tell.h - errors as PostgREST tells them.
 *
 *     {"code":"PGRST205","details":null,"hint":"...","message":"..."}
 *
 * Statuses HS_E_PGRSTnnn carry their code and HTTP status in core/status.def; what the layers below say in
 * hasten's own words is translated by a table here; an error of PostgreSQL keeps its texts and gets the HTTP
 * status that PostgREST gives its SQLSTATE. What has no counterpart there keeps hasten's code and status.
 *
 * Source     PostgREST reference: Errors; Custom errors. RFC 9209 (Proxy-Status).
 */
#ifndef REST_TELL_H
#define REST_TELL_H

#include "http/req.h"
#include "rest/error.h"

/* Of the handlers of the dialect: see struct http_handler. */
void rest_tell(const struct http_req *req, const struct hs_err *err, bool with_why,
               struct hs_buf *out, struct http_reply *reply);

/* Answers the request, which is gone then. more: what the error could not hold. */
void rest_reply_error(struct http_req *req, const struct hs_err *err, const struct rest_more *more);

/*
 * Appends a line, but for a field that the server writes by itself. false: it is no header field (RFC 9110, 5.1 and
 * 5.5), and nothing was done.
 */
bool rest_add_header(struct hs_buf *lines, struct hs_str name, struct hs_str value);

/* HTTP status of a SQLSTATE as PostgREST has it. message: PostgreSQL's, which decides in a few cases. */
unsigned rest_sqlstate_http(struct hs_str sqlstate, struct hs_str message, bool is_anonymous);

#endif
