/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private PostgreSQL that a test may stop and start: initdb in a folder of its own, on a unix socket
 * and a free port of the loopback, never as root, gone with the program. Superuser `postgres`, every
 * login is trusted, fsync off.
 */
#ifndef UNIT_PG_CLUSTER_H
#define UNIT_PG_CLUSTER_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <sys/types.h>

#include "core/str.h"

struct pg_cluster {
    char dir[64]; /* socket folder; the data is in dir/data */
    unsigned port;
    pid_t pid; /* of the postmaster, 0 = stopped */
};

/* Ends the program with the reason if there can be no server: a test never skips. */
void pg_cluster_make(struct pg_cluster *cluster);
void pg_cluster_start(struct pg_cluster *cluster);
/* fast = drops its clients; otherwise a crash (SIGQUIT). */
void pg_cluster_stop(struct pg_cluster *cluster, bool fast);
void pg_cluster_remove(struct pg_cluster *cluster);
/* "host=... port=... user=... dbname=postgres", written to `to`. */
struct hs_str pg_cluster_url(const struct pg_cluster *cluster, const char *user, char *to,
                             size_t size);
/* The caller finishes it. Notices are dropped. */
PGconn *pg_cluster_connect(const struct pg_cluster *cluster, const char *user);
/* Runs SQL, which must succeed. Returns the first value as a number (0 if none). */
long pg_cluster_exec(PGconn *conn, const char *sql);
/* The same on a connection of its own, as the superuser. */
long pg_cluster_sql(const struct pg_cluster *cluster, const char *sql);
/* Another program as the server's user, its output in dir/log; it ends when the test does. */
pid_t pg_cluster_spawn(const struct pg_cluster *cluster, const char *path, char *const argv[]);

#endif
