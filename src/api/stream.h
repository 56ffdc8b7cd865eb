/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/stream.h - lists of any length as JSON, NDJSON and CSV, in constant memory.
 *
 * Promises   - a stream runs in a read-only transaction of its own, as the caller's role, on a connection
 *              that is lent to it;
 *            - no more is fetched than the client takes; what is held beside one fetch (of about 64 KiB) is
 *              server.output.max;
 *            - an answer that is not whole has no end: the client sees it broken off.
 * Limits     api.stream.max streams of a worker; api.stream.lifetime each; a client that takes less than
 *            api.stream.rate_min is given up.
 */
#ifndef API_STREAM_H
#define API_STREAM_H

#include "api/accept.h"
#include "api/request.h"

/* The form that the request's Accept asks for. HS_E_NOT_ACCEPTABLE: none that is made here */
hs_status api_format_read(const struct http_req *req, enum api_format *ret_format,
                          struct hs_err *reterr) hs_must_check;

/*
 * Answers r->ask (is_stream) in pieces. On error the caller answers and releases; else both are done here.
 *   errors  HS_E_BUSY (api.stream.max; the pool's queue), HS_E_PG_DOWN, HS_E_SHUTDOWN, HS_E_MEMORY,
 *           HS_E_BAD_PARAMETER (too much for one statement)
 */
hs_status api_stream_start(struct api_worker *worker, struct api_request *r, enum api_format format,
                           struct hs_err *reterr) hs_must_check;

#endif
