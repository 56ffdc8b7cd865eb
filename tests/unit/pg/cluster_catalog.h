/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private PostgreSQL for one test program: made with initdb, on a unix socket in a folder of its own,
 * never as root, gone with the program. Its superuser is `postgres`, every login is trusted.
 */
#ifndef UNIT_PG_CLUSTER_CATALOG_H
#define UNIT_PG_CLUSTER_CATALOG_H

#include <libpq-fe.h>
#include <sys/types.h>

#include "core/str.h"

struct catalog_cluster {
    char dir[64]; /* data and socket */
    pid_t pid;    /* of the postmaster */
};

/* Ends the program with the reason if there can be no server: a test never skips. */
void catalog_cluster_start(struct catalog_cluster *cluster);
void catalog_cluster_stop(struct catalog_cluster *cluster);
/* "host=... user=... dbname=postgres", written to `to`. */
struct hs_str catalog_cluster_url(const struct catalog_cluster *cluster, const char *user, char *to,
                                  size_t size);
PGconn *catalog_cluster_connect(const struct catalog_cluster *cluster, const char *user);
/* A program as the unprivileged user, its output thrown away; it ends when the test does. */
pid_t catalog_spawn(const char *path, char *const argv[]);
/* Runs SQL, which must succeed. */
void catalog_sql(PGconn *conn, const char *sql);

#endif
