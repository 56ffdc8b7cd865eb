/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/serve.h - the running server: workers, and the control thread that watches over them.
 *
 * The calling thread becomes the control thread: it reads the catalog, publishes models, waits for
 * signals. SIGTERM and SIGINT drain; a second one ends at once. SIGHUP reads the configuration and the catalog
 * again.
 */
#ifndef CMD_SERVE_H
#define CMD_SERVE_H

#include "conf/conf.h"

struct serve_hooks {
    /* Called once, when the first model is published and all workers listen. */
    void (*ready)(void *arg, unsigned port);
    /* Makes the configuration anew, for a reload; NULL: it cannot. Faults as of conf_load(). */
    hs_status (*load)(void *arg, struct conf **ret_conf, struct hs_err *reterr);
    void *arg;
};

/*
 * Serves until a signal ends it. hooks may be NULL. Blocks the signals it handles in the calling thread.
 * Returns the exit code; faults are logged.
 */
int serve_run(const struct conf *conf, const struct serve_hooks *hooks);

/* serve_auth.c: keys, roles' path and API keys, as far as the configuration alone tells. errors HS_E_CONFIG, HS_E_MEMORY */
hs_status serve_auth_check(const struct conf *conf, struct hs_err *reterr) hs_must_check;

#endif
