/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/refresh.h - the most asked answers, watched: which of them a change has made untrue, and should be asked for
 * anew before a reader has to wait for that (cache.refresh_top).
 *
 * Shape      once a second the most asked are looked up, on another thread, since that looks at all that is kept;
 *            what is told about them is a copy. Who asks is warm.c, within its rate.
 * Promises   an answer is due only when the change that ended it is visible to all, so that the new one holds; and
 *            only if somebody was given it. One address is due a few times a second at most.
 * Thread     the first worker's.
 */
#ifndef CMD_REFRESH_H
#define CMD_REFRESH_H

#include "api/api.h"
#include "conf/warm.h"

struct serve_refresh;

/* n: how many. loop and cache outlive it. */
hs_status serve_refresh_new(struct net_loop *loop, const struct api_cache *cache, size_t n,
                            struct serve_refresh **ret_refresh, struct hs_err *reterr)
    hs_must_check;
/* After the loop has ended. NULL is allowed. */
void serve_refresh_free(struct serve_refresh *refresh);
/* From time to time. is_idle: no row that it gave is in use. */
void serve_refresh_tick(struct serve_refresh *refresh, hs_us now, bool is_idle);
/* An address that is due, as whom to ask it; lives until a tick finds that it is idle. NULL: there is none. */
const struct conf_warm *serve_refresh_next(struct serve_refresh *refresh, hs_us now);

#endif
