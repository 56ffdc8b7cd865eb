/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/openapi.h - what there is in a schema, as an OpenAPI 2.0 document in PostgREST's form.
 *
 * Tools read it (Swagger UI, generators of types), so names, formats and the notes about keys in descriptions are
 * PostgREST's.
 *
 * Source     OpenAPI specification 2.0; PostgREST reference, OpenAPI.
 */
#ifndef REST_OPENAPI_H
#define REST_OPENAPI_H

#include "core/buf.h"
#include "pg/catalog.h"

/* What can be done with a relation: 1 << CmdType, as pg_relation_is_updatable() says it; SEE: it is listed. */
enum {
    REST_MAY_SEE = 1,
    REST_MAY_UPDATE = 1 << 2,
    REST_MAY_INSERT = 1 << 3,
    REST_MAY_DELETE = 1 << 4
};

struct openapi_view {
    const struct pg_catalog *catalog;
    struct hs_str schema;
    uint64_t role;      /* the caller's bit, of functions; UINT64_MAX: all are listed */
    const uint8_t *may; /* by position in catalog->relations */
    struct hs_str host; /* "api.example.com:8080"; empty: left out */
    struct hs_str base; /* "/rest/v1" */
    bool is_https;
    bool has_security; /* tokens are needed */
};

/* Appends the document. Failure is sticky in `out`. */
void openapi_write(struct hs_buf *out, const struct openapi_view *view);

#endif
