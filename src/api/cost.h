/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/cost.h - what a request without a token may cost the database: api.anonymous.cost_max.
 *
 * Shape      before a statement of an anonymous caller runs, EXPLAIN asks as that caller what it would cost;
 *            what it said is remembered per worker, by text and role.
 * Promises   - a caller with a token, and everybody where there is no bound, waits for nothing;
 *            - once a shape was affordable, it is not asked about again until the catalog changes, or for
 *              ten minutes (statistics change), or until others have taken its place;
 *            - a shape that was too costly is asked about again when it comes with other values, so that
 *              nobody can have it refused to others.
 * Limits     a thousand shapes per worker; another one takes the place of the one it falls on.
 * Doubt      First requests of one shape that come together are each asked about. What is affordable with
 *            the values of the first request need not be with others: statement_timeout bounds those.
 * Thread     the worker's.
 */
#ifndef API_COST_H
#define API_COST_H

#include "api/request.h"

/* Hands the statement in; as pg_pool_run(). */
typedef hs_status api_run_f(struct api_worker *worker, struct api_request *r,
                            struct hs_err *reterr);

/*
 * Calls run() for r->query, which is filled in but for what run() fills: from here, or when PostgreSQL has
 * said that it is affordable. What goes wrong later, run() included, is told by r->query.done().
 *   errors  HS_E_COST (it is known to be too costly), those of run() and of pg_pool_run()
 */
hs_status api_run_affordable(struct api_worker *worker, struct api_request *r, api_run_f *run,
                             struct hs_err *reterr) hs_must_check;

void api_costs_free(struct api_costs *costs);

#endif
