/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/keys.h - the JWK set of auth.jwt.jwks: read at start, again from time to time, and when a token names a key
 * that is not in it.
 *
 * Shape      the set's text is one immutable, counted document. The first worker's tick starts its reading on the
 *            thread pool; what is new is published, and every worker is mailed to make its own keys of it.
 * Promises   at most one reading at a time, and none sooner than auth.jwt.jwks_retry after the last. A set that
 *            cannot be read or used changes nothing. A reload that names another source reads it before
 *            anything of the new configuration is in force.
 * Thread     said with each function.
 */
#ifndef CMD_KEYS_H
#define CMD_KEYS_H

#include "cmd/serve_int.h"

/*
 * The control thread; blocks for auth.jwt.jwks_timeout at most. Reads the set that conf names, if it names one and
 * that is not the one of `running` (NULL: none is); it is used by auth steps made from now on, by workers from serve_keys_commit() on.
 *   errors  HS_E_CONFIG: the set cannot be read or used
 */
hs_status serve_keys_prepare(struct serve *s, const struct conf *conf, const struct conf *running,
                             struct hs_err *reterr) hs_must_check;
/* The same thread: what was prepared is in force, or (false) is forgotten. */
void serve_keys_commit(struct serve *s, bool is_taken);

/*
 * The control thread, before workers: as prepare and commit, but a server that does not answer is no reason not to
 * start. Until it does, tokens get 503.
 */
hs_status serve_keys_start(struct serve *s, const struct conf *conf, struct hs_err *reterr)
    hs_must_check;
/* When no worker is left. */
void serve_keys_end(struct serve *s);

/* Any thread: gives an auth step made by conf the set that is there, if there is one. errors HS_E_MEMORY */
hs_status serve_keys_give(struct serve *s, const struct conf *conf, struct edge_auth *auth,
                          struct hs_err *reterr) hs_must_check;
/* The worker's: brings its auth step up to date. */
void serve_keys_adopt(struct serve_worker *w);
/* The first worker's. */
void serve_keys_tick(struct serve_worker *w, hs_us now);
/* Any worker's, ctx: struct serve. A token named a key that is not in the set. */
void serve_keys_missed(void *ctx);

#endif
