/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/logout.h - POST {api.path}/auth/logout: the token that a request shows is refused from now on.
 *
 * Promises   the answer (204) is given when every worker of this process refuses the token and, with
 *            auth.logout.file, the file holds it. Other nodes know nothing of it: each has a list of its own.
 * Limits     auth.logout.max tokens; LOGOUTS_MAX requests of a worker under way.
 * Thread     the workers', and the control thread at both ends.
 */
#ifndef CMD_LOGOUT_H
#define CMD_LOGOUT_H

#include "cmd/serve_int.h"

/*
 * Before workers: reads the file, writes it anew without what has expired, and leaves it open for appending.
 *   errors  HS_E_CONFIG (cannot be read or written, holds more than auth.logout.max), HS_E_MEMORY
 */
hs_status serve_logout_open(struct serve *s, struct hs_err *reterr) hs_must_check;
void serve_logout_close(struct serve *s);

/* A worker's own list, with what the file held. errors HS_E_MEMORY */
hs_status serve_logout_fill(struct serve_worker *w, struct hs_err *reterr) hs_must_check;

/* ctx: struct serve_worker */
extern const struct http_handler serve_logout_handler;

#endif
