/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/catalog_world.h"

#include "test.h"

void catalog_world_open(struct catalog_world *w, const char *sql)
{
    pg_cluster_make(&w->cluster);
    w->owner = pg_cluster_connect(&w->cluster, "postgres");
    (void)pg_cluster_exec(w->owner, sql);
}

void catalog_world_close(struct catalog_world *w)
{
    PQfinish(w->owner);
    pg_cluster_remove(&w->cluster);
}

struct pg_catalog_setup catalog_world_setup(struct catalog_world *w, const char *login,
                                            const struct hs_str *schemas, size_t n_schemas)
{
    return (struct pg_catalog_setup){
        .url = pg_cluster_url(&w->cluster, login, w->url, sizeof(w->url)),
        .application_name = HS_STR("hasten test"),
        .schemas = schemas,
        .n_schemas = n_schemas,
        .connect_timeout = 5 * HS_SECOND,
        .statement_timeout = 20 * HS_SECOND,
    };
}

struct pg_catalog_reader *catalog_world_reader(const struct pg_catalog_setup *setup)
{
    struct pg_catalog_reader *reader;
    struct hs_err err;

    if (pg_catalog_reader_new(setup, &reader, &err) != HS_OK)
        fail_msg("%s: %s", err.what, err.why);
    return reader;
}

struct pg_catalog *catalog_world_read(struct pg_catalog_reader *reader)
{
    struct pg_catalog *catalog;
    struct hs_err err;

    if (pg_catalog_read(reader, &catalog, &err) != HS_OK)
        fail_msg("%s: %s (%s)", err.what, err.why, err.sqlstate);
    return catalog;
}

struct pg_catalog *catalog_world_read_once(const struct pg_catalog_setup *setup)
{
    struct pg_catalog_reader *reader = catalog_world_reader(setup);
    struct pg_catalog *catalog = catalog_world_read(reader);

    pg_catalog_reader_free(reader);
    return catalog;
}
