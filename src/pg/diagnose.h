/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/diagnose.h - looks at a database for all that the coherent cache needs, and says what to do.
 *
 * Shape      a table of checks; each is a query that gives a row for each finding. Blocking, one thread.
 * Promises   changes nothing in the database.
 */
#ifndef PG_DIAGNOSE_H
#define PG_DIAGNOSE_H

#include "core/err.h"

enum pg_finding_level {
    PG_FINDING_ADVICE, /* the cache works, with a risk or less precisely */
    PG_FINDING_FAULT   /* there is no cache, or none for the object */
};

/* Sentences without a full stop; "" where there is nothing to say. */
struct pg_finding {
    const char *check; /* name of the check, a word */
    enum pg_finding_level level;
    const char *object; /* a table as an SQL name, or "" */
    const char *what;
    const char *why;
    const char *run;  /* SQL, or what else to do; may hold more than one statement */
    const char *who;  /* who may run it */
    const char *lost; /* what is lost without it */
};

/* Hears one finding; its texts live until it returns. */
typedef void pg_finding_f(void *arg, const struct pg_finding *finding);

struct pg_diagnose_setup {
    const char *url;      /* of the login that serves */
    const char *feed_url; /* of the login that follows the change stream; may be the same */
    struct hs_str publication;
    const struct hs_str *schemas;
    size_t n_schemas;
};

/*
 * *ret_checks: how many checks were made; fewer where a finding leaves nothing to look at.
 *   errors  HS_E_CONFIG (a url that cannot be read), HS_E_PG_DOWN, HS_E_PG_ERROR, HS_E_MEMORY
 */
hs_status pg_diagnose(const struct pg_diagnose_setup *setup, pg_finding_f *found, void *arg,
                      size_t *ret_checks, struct hs_err *reterr) hs_must_check;

#endif
