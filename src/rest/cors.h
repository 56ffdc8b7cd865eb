/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/cors.h - which pages' scripts may call the PostgREST dialect.
 *
 * A step that stands before that of the tokens, since a browser's preflight brings none: it answers those, and
 * has the headers that a browser wants to see written with every other answer, errors too.
 *
 * Source     Fetch standard, 3.2 (CORS protocol); PostgREST reference: CORS.
 */
#ifndef REST_CORS_H
#define REST_CORS_H

#include "http/req.h"

/* The step's ctx; the texts belong to the configuration. */
struct rest_cors {
    struct hs_str path; /* rest.path; p == NULL: the dialect is switched off */
    const struct hs_str
        *origins; /* none: any origin, but then no credentials of the browser's own */
    size_t n_origins;
};

extern const struct http_step rest_cors_step;

#endif
