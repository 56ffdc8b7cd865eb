/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/settle.h - read your writes: a change is answered when every later read on this node sees it.
 *
 * The change stream tells of a commit some microseconds after its client was told. So the answer waits until the
 * feed has passed the write's position, at most cache.write_wait; past that, nothing at all is served
 * from the cache until the feed has passed it, since triggers, cascades and functions write tables that nobody
 * here knows of.
 *
 * The position travels with the answer, as Hasten-Position: "<epoch>-<position>", each 16 hexadecimal digits. A
 * read that brings it is served from the cache only by a node whose feed has passed it.
 *
 * Thread     the worker's.
 */
#ifndef API_SETTLE_H
#define API_SETTLE_H

#include "api/request.h"
#include "cache/state.h"

#define API_POSITION_HEADER "Hasten-Position"

struct api_settling;

hs_status api_settling_new(struct cache_state *state, struct net_loop *loop,
                           struct api_settling **ret_settling, struct hs_err *reterr) hs_must_check;
/* No answer may wait any more. NULL is allowed. */
void api_settling_free(struct api_settling *settling);

/* A header's value; false: it is none that a write returned. */
bool api_position_read(struct hs_str value, struct cache_token *ret_token) hs_must_check;

/*
 * The change is committed; `epoch` and `position` are those of its query or loan, 0 where they are not known.
 * Answers the request with `reply`, whose texts may end with the callback.
 */
void api_settle(struct api_request *r, uint64_t epoch, uint64_t position,
                const struct http_reply *reply);
/*
 * The change is answered with an error. It may have had effects nonetheless: `said` is the database's own error,
 * NULL where it was committed and only its result was not what was asked for.
 */
void api_settle_failed(struct api_request *r, uint64_t epoch, uint64_t position,
                       const struct hs_err *said, const struct hs_err *failure);

#endif
