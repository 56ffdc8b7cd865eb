/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/rest.h - the PostgREST dialect, from outside: what it is set up with, and its handler.
 *
 *     {rest.path}/{relation}      rows: GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS
 *     {rest.path}/rpc/{function}  calls: GET, HEAD, POST, OPTIONS
 *     {rest.path}/                what there is: GET, HEAD, OPTIONS
 *
 * What it knows of a catalog hangs on the api_model that was made of the same catalog, and is mailed with it.
 *
 * Source     PostgREST reference: API.
 */
#ifndef REST_REST_H
#define REST_REST_H

#include "api/api.h"

enum rest_openapi { REST_OPENAPI_FOLLOWS, REST_OPENAPI_IGNORES, REST_OPENAPI_OFF };

/* rest.tx_end, in the order of its words. */
enum rest_tx_end {
    REST_TX_END_COMMIT,
    REST_TX_END_COMMIT_OR,
    REST_TX_END_ROLLBACK,
    REST_TX_END_ROLLBACK_OR
};

/* The options of the same names under `rest`. */
struct rest_rules {
    struct hs_str path;
    uint64_t max_rows; /* 0 = no bound */
    bool plan_enabled;
    bool aggregates_enabled;
    enum rest_openapi openapi;
    bool openapi_security;
    struct hs_str openapi_url; /* empty: what the request says */
    enum rest_tx_end tx_end;
    struct hs_str pre_request; /* empty: none */
    const struct hs_str *extra_search_path;
    size_t n_extra_search_path;
    struct hs_str root_function; /* "schema.name"; empty: none */
    const struct hs_str *hoisted_settings;
    size_t n_hoisted_settings;
    const struct hs_str *app_settings; /* rows "app.settings.name: value" */
    size_t n_app_settings;
};

/*
 * Makes what the dialect needs of the model's catalog and hangs it on the model, which is not mailed yet.
 *   errors  HS_E_MEMORY
 */
hs_status rest_attach(const struct rest_rules *rules, struct api_model *model,
                      struct hs_err *reterr) hs_must_check;

/* ctx: struct api_worker. A prefix route at rest.path, for all methods. */
extern const struct http_handler rest_handler;

#endif
