/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PostgreSQL with its owner's connection, and a catalog read from it: what the tests of the catalog
 * begin with. Every function fails the test with the reason if it cannot.
 */
#ifndef UNIT_PG_CATALOG_WORLD_H
#define UNIT_PG_CATALOG_WORLD_H

#include "pg/catalog.h"
#include "pg/cluster.h"

struct catalog_world {
    struct pg_cluster cluster;
    PGconn *owner; /* the superuser */
    char url[256]; /* of the last catalog_world_setup() */
};

/* Starts the server and runs sql as the owner. */
void catalog_world_open(struct catalog_world *w, const char *sql);
void catalog_world_close(struct catalog_world *w);

/* For a login that reads these schemas; no roles. Points into w. */
struct pg_catalog_setup catalog_world_setup(struct catalog_world *w, const char *login,
                                            const struct hs_str *schemas, size_t n_schemas);
struct pg_catalog_reader *catalog_world_reader(const struct pg_catalog_setup *setup);
struct pg_catalog *catalog_world_read(struct pg_catalog_reader *reader);
/* The same with a reader for this one time. */
struct pg_catalog *catalog_world_read_once(const struct pg_catalog_setup *setup);

#endif
