/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/coherence.h - where the change stream (pg/feed) meets the cache: one of each per process, and the thread
 * that follows the stream.
 */
#ifndef CMD_COHERENCE_H
#define CMD_COHERENCE_H

#include "api/api.h"
#include "conf/conf.h"

struct coherence;

struct coherence_setup {
    const struct conf *conf; /* outlives it */
    /* The catalog has another generation: it must be read again. The feed's thread. */
    void (*changed)(void *ctx);
    /* coherence_is_paused() has become true. The feed's thread. */
    void (*paused)(void *ctx);
    void *ctx;
};

hs_status coherence_new(const struct coherence_setup *setup, struct coherence **ret_coherence,
                        struct hs_err *reterr) hs_must_check;
/*
 * Follows the stream from now on, on a thread of its own; nothing is done if it does so already. The key of the tags
 * is made from the secret that all nodes of the database share. errors HS_E_IO, HS_E_MEMORY
 */
hs_status coherence_start(struct coherence *c, struct hs_str secret, struct hs_err *reterr)
    hs_must_check;
/*
 * The stream is let go of until coherence_resume(), and nothing kept is served meanwhile. The control thread. NULL is
 * allowed, and paused at once.
 */
void coherence_pause(struct coherence *c);
void coherence_resume(struct coherence *c);
/* Is nothing connected? */
bool coherence_is_paused(const struct coherence *c);
/*
 * Ends the thread: from then on nobody is told of anything. Before loops are freed that somebody waits on for the
 * stream. NULL is allowed.
 */
void coherence_stop(struct coherence *c);
/* Stops, frees all; nobody may use the cache any more. NULL is allowed. */
void coherence_free(struct coherence *c);

/* For api_worker_new(). */
const struct api_cache *coherence_cache(const struct coherence *c);
/* For struct api_setup: to be read before the catalog is. */
uint64_t coherence_generation(const struct coherence *c);
/* For struct pg_pool_setup; ctx is the struct coherence. */
void coherence_connected(void *ctx, uint64_t epoch);
/* Removes what has expired, a part of the store each time; any thread, one at a time. */
void coherence_sweep(struct coherence *c);

#endif
