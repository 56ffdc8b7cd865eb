/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/cluster.h - a private PostgreSQL cluster in a folder, for the demo: made, started, stopped.
 *
 * Shape      DATA/pg the cluster, DATA/log its log, DATA/port, DATA/jwt.secret; the socket in DATA/run, or under
 *            /tmp where that path would be too long for a socket (unix(7): 107 bytes).
 * Promises   never runs as root: started as root it drops to the user behind sudo, else to postgres, else
 *            to nobody; listens on its socket (only its owner may enter) and on 127.0.0.1 with a password
 *            that nobody has; ends with the process that started it, or is found again by the next one.
 * Source     PostgreSQL 15 manual, chapter 19 (server setup), initdb, postgres.
 */
#ifndef CMD_CLUSTER_H
#define CMD_CLUSTER_H

#include <sys/types.h>

#include "core/err.h"

enum { CLUSTER_PATH = 1024 };
#define CLUSTER_SECRET "jwt.secret"

struct cluster {
    char data[CLUSTER_PATH]; /* absolute */
    char run[CLUSTER_PATH];  /* folder of the socket */
    unsigned port;
    pid_t pid; /* of the server if we started it, else 0 */
    uid_t uid; /* who runs it */
    gid_t gid;
};

/* Makes the folder if it is absent. */
hs_status cluster_make(const char *data, struct hs_err *reterr) hs_must_check;

/* Finds out where and as whom; the folder must be there. Touches nothing. */
hs_status cluster_init(struct cluster *c, const char *data, struct hs_err *reterr) hs_must_check;

/* Removes all of the folder that is a cluster of ours; a running server in it is stopped first. */
hs_status cluster_remove(struct cluster *c, struct hs_err *reterr) hs_must_check;

/* Makes the cluster if there is none, starts its server if none runs, waits until it answers. */
hs_status cluster_start(struct cluster *c, struct hs_err *reterr) hs_must_check;

/* Stops the server if we started it (fast shutdown), waits for its end. */
void cluster_stop(struct cluster *c);

/* "host=... port=... user=... dbname=..." */
hs_status cluster_conninfo(const struct cluster *c, const char *user, const char *database,
                           char *to, size_t size, struct hs_err *reterr) hs_must_check;

/* Small files in the folder: at most size - 1 bytes, NUL-terminated; false = absent or unreadable. */
bool cluster_read_file(const struct cluster *c, const char *name, char *to, size_t size)
    hs_must_check;
/* The key of the demo's tokens; its absence is told as the absence of a demo. */
hs_status cluster_read_secret(const struct cluster *c, char *to, size_t size, struct hs_err *reterr)
    hs_must_check;
hs_status cluster_write_file(const struct cluster *c, const char *name, const char *text,
                             mode_t mode, struct hs_err *reterr) hs_must_check;

#endif
