/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/demo.h - the demo's database, for commands that work on it from outside (psql, migrate).
 */
#ifndef CMD_DEMO_H
#define CMD_DEMO_H

#include "cmd/cluster.h"

#define DEMO_DATA ".hasten"

struct demo_access {
    struct cluster cluster;
    char conninfo[2 * CLUSTER_PATH];    /* as the owner of all of it */
    char migrations[CLUSTER_PATH + 64]; /* the application's folder of them */
};

/* Starts the server if it does not run; the demo must have been made. app may be NULL: the example.
 * errors: HS_E_IO. Success ends with demo_leave(). */
hs_status demo_reach(const char *data, const char *app, struct demo_access *ret_access,
                     struct hs_err *reterr) hs_must_check;
/* Stops the server if demo_reach() started it. */
void demo_leave(struct demo_access *access);

/* Where the demo in that folder has its admin socket; it need not run. */
hs_status demo_socket(const char *data, char *to, size_t size, struct hs_err *reterr) hs_must_check;

#endif
