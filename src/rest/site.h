/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/site.h - what a model's requests in the PostgREST dialect share: rules, relations, statements made ahead.
 *
 * Lifetime   as the api_model that it hangs on.
 */
#ifndef REST_SITE_H
#define REST_SITE_H

#include "api/model.h"
#include "rest/model.h"
#include "rest/rest.h"

/* One row by its key, all columns: the commonest request, ready to be run. */
struct rest_one {
    const struct pg_column *key; /* an integer; NULL: there is no such statement */
    struct sql_statement statement;
    const struct api_out_column *columns;
    struct pg_gather gather;
    bool can_gather;
};

/* A relation of the catalog, at the same position as there. */
struct rest_place {
    const struct api_table *table; /* NULL: the simple dialect does not serve it */
    const struct api_keep *keep;
    unsigned route;
    struct hs_str comment; /* behind its statements; p == NULL: none */
    struct rest_one one;
};

/* What a role bounds; 0 = nothing. */
struct rest_role_bounds {
    uint32_t statement_timeout_ms;
    enum pg_isolation isolation;
};

struct rest_site {
    struct hs_arena arena;
    struct rest_rules rules;
    const struct pg_catalog *catalog;
    struct rest_model *model;
    struct rest_place *places;
    struct hs_str search_path; /* what follows the schema in it: ", \"public\"" */
    struct hs_str settings;  /* the statement that sets what functions may look at; see prelude.c */
    const char **app_values; /* its parameters behind those of the request: name, value, ... */
    size_t n_app_values;
    struct hs_str pre_request; /* SELECT "schema"."name"(); p == NULL: none */
    /* Of each role of the catalog, in their order: a step that sets its settings; sql.p == NULL: it has none. */
    struct pg_prelude_step *role_steps;
    bool *role_matters; /* they may change what an answer looks like */
    struct rest_role_bounds *role_bounds;
    unsigned route_root;
    unsigned *call_routes;          /* of each function of the catalog */
    const struct pg_function *root; /* rest.root_function; NULL: none */
};

/* Of what runs before a statement (site_settings.c). scratch is left empty. errors HS_E_MEMORY */
hs_status rest_site_settings(struct rest_site *site, struct hs_buf *scratch, struct hs_err *reterr)
    hs_must_check;

static inline const struct rest_site *rest_site_of(const struct api_model *model)
{
    return api_model_attached(model);
}

/* A time as settings of PostgreSQL have it ("20ms", "5 min", "300") in ms; 0: none, or not understood. */
uint32_t rest_read_timeout(struct hs_str value);
/* PG_ISOLATION_DEFAULT where it is none of those that differ from it. */
enum pg_isolation rest_read_isolation(struct hs_str name);

static inline unsigned rest_site_call_route(const struct rest_site *site,
                                            const struct pg_function *function)
{
    return site->call_routes[function - site->catalog->functions];
}

static inline const struct rest_place *rest_site_place(const struct rest_site *site,
                                                       const struct pg_relation *relation)
{
    return &site->places[relation - site->catalog->relations];
}

#endif
