/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/warm.h - asks addresses before anybody else does, so that their answers are kept.
 *
 * Refreshes  as well what a change has made untrue among the most asked (cache.refresh_top, refresh.h).
 * When       once the first worker has a model and the cache may be used, and again after a purge of everything.
 * What       cache.warm, and the most asked of the last run (cache.warm_top, cache.warm_file).
 * Promises   never more than cache.warm_rate requests a second, none while a statement waits for a connection: who
 *            asks from outside goes first. A request is one like any other, with the role and claims it names.
 * Thread     the first worker's, but for serve_warm_save().
 */
#ifndef CMD_WARM_H
#define CMD_WARM_H

#include "cmd/serve_int.h"

hs_status serve_warm_new(struct serve_worker *w, struct serve_warm **ret_warm,
                         struct hs_err *reterr) hs_must_check;
/* After the worker's loop has ended and its requests with it. NULL is allowed. */
void serve_warm_free(struct serve_warm *warm);
/* From time to time: begins when it may, goes on. */
void serve_warm_tick(struct serve_warm *warm, hs_us now);
/* All once more, since everything was purged. NULL is allowed. */
void serve_warm_again(struct serve_warm *warm);
/* Asks nothing any more: the server ends. NULL is allowed. */
void serve_warm_stop(struct serve_warm *warm);

/* The most asked into cache.warm_file, if the configuration wants it; a fault is logged. The workers have ended. */
void serve_warm_save(const struct api_cache *cache, const struct conf *conf);

#endif
