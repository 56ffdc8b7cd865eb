/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real catalog with every kind of relationship, the model made of it, and what is made of requests as short
 * texts that a test can compare.
 */
#ifndef UNIT_REST_WORLD_H
#define UNIT_REST_WORLD_H

#include "core/buf.h"
#include "pg/catalog_world.h"
#include "rest/plan.h"

struct rest_world {
    struct catalog_world catalog_world;
    struct pg_catalog *catalog;
    struct rest_model *model;
};

/* Starts a server. */
void rest_world_open(struct rest_world *w);
void rest_world_close(struct rest_world *w);

/* Of schema "test"; fails the test where there is none. */
const struct rest_relation *rest_world_relation(const struct rest_world *w, const char *name);

/*
 * Appends one line: "projects -> clients, many to one by projects_client_id_fkey, client_id = id". Computed:
 * "... by function f".
 */
void rest_world_relationship(const struct rest_relationship *r, struct hs_buf *out);

/*
 * Appends a tree: films{id,"t":title,"sum":sum(length::integer)::text,directors:directors{name}} followed by
 * its clauses: [where ...][order ...][limit n][offset n][grouped]. An embed is marked: * to many, ! inner, ^ spread,
 * - hidden.
 */
void rest_world_tree(const struct tree_select *tree, struct hs_buf *out);

#endif
