/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/prefer.h - what a client prefers (Prefer, RFC 7240), as PostgREST reads it.
 *
 * Shape      every Prefer line, elements between commas; of a preference given twice the first counts.
 *            Names and values are compared as they stand, with their case; there are no parameters
 *            behind ';'. An element that is none of those below is invalid: kept, and an error only with
 *            handling=strict.
 * Gone       params=single-object, which PostgREST dropped in 13, is an invalid one; the error's hint
 *            says what takes its place.
 * Lifetime   the request's: texts point into its header.
 * Source     PostgREST reference: Prefer Header; ApiRequest/Preferences and Response for the order.
 */
#ifndef REST_PREFER_H
#define REST_PREFER_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "http/req.h"

enum rest_return {
    REST_RETURN_UNSAID,
    REST_RETURN_REPRESENTATION,
    REST_RETURN_MINIMAL,
    REST_RETURN_HEADERS_ONLY
};
enum rest_count_how {
    REST_COUNT_UNSAID,
    REST_COUNT_EXACT,
    REST_COUNT_PLANNED,
    REST_COUNT_ESTIMATED
};
enum rest_resolution { REST_RESOLUTION_UNSAID, REST_RESOLUTION_MERGE, REST_RESOLUTION_IGNORE };
enum rest_missing { REST_MISSING_UNSAID, REST_MISSING_DEFAULT, REST_MISSING_NULL };
enum rest_handling { REST_HANDLING_UNSAID, REST_HANDLING_STRICT, REST_HANDLING_LENIENT };
enum rest_tx { REST_TX_UNSAID, REST_TX_COMMIT, REST_TX_ROLLBACK };

struct rest_prefer {
    enum rest_return answer;
    enum rest_count_how count;
    enum rest_resolution resolution;
    enum rest_missing missing;
    enum rest_handling handling;
    enum rest_tx tx;
    struct hs_str timezone; /* p == NULL: unsaid; PostgreSQL will judge the name */
    bool has_max_affected;
    int64_t max_affected; /* counts with handling=strict only */
};

enum { REST_PREFER_INVALID_MAX = 240 }; /* bytes of invalid preferences that an error shows */

/*
 * may_choose_tx: false, and tx= is read over (the option rest.tx_end).
 *   errors  HS_E_PGRST122: an invalid one and handling=strict. *ret_prefer is whole all the same.
 */
hs_status rest_prefer_read(const struct http_header *headers, size_t n_headers, bool may_choose_tx,
                           struct rest_prefer *ret_prefer, struct hs_err *reterr) hs_must_check;

/* What only some requests can apply; or-ed. */
enum rest_applies {
    REST_APPLIES_RESOLUTION = 1,  /* an insert with a key to conflict on */
    REST_APPLIES_MISSING = 2,     /* an insert or an update */
    REST_APPLIES_RETURN = 4,      /* every write to a table */
    REST_APPLIES_MAX_AFFECTED = 8 /* an update, a deletion or a call */
};

/* Appends "Preference-Applied: a, b\r\n", or nothing if none was. applies: of enum rest_applies. */
void rest_prefer_applied(const struct rest_prefer *prefer, unsigned applies, struct hs_buf *out);

#endif
