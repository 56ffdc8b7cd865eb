/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/range.h - which rows of the result are asked for, and what the answer says of them.
 *
 * Two voices may speak: limit and offset, and the header Range of a GET ("0-9", "10-"); what both leave is asked
 * for. A Range that is none is not looked at.
 *
 * Source     PostgREST reference: pagination and count. RFC 9110, 14 (Range, Content-Range, 206, 416).
 */
#ifndef REST_RANGE_H
#define REST_RANGE_H

#include "core/err.h"
#include "core/identity.h"
#include "rest/ask.h"

/* How many rows one answer may have, by the operator's word and by the caller's own bound; 0 = no bound. */
static inline uint64_t rest_rows_most(uint64_t max_rows, const struct hs_identity *who)
{
    uint64_t of_caller = who ? who->rows_max : 0;

    if (!max_rows || !of_caller)
        return max_rows + of_caller;
    return max_rows < of_caller ? max_rows : of_caller;
}

struct rest_range {
    uint64_t offset;
    bool has_limit;
    uint64_t limit;
};

/*
 * range: the header's value, p == NULL: none, or not a GET. max_rows: no more than that; 0 = no bound.
 *   errors  HS_E_PGRST103
 */
hs_status rest_range_read(const struct rest_scope *rows, struct hs_str range, uint64_t max_rows,
                          struct rest_range *ret_range, struct hs_err *reterr) hs_must_check;

enum { REST_CONTENT_RANGE_MAX = 96 };

/*
 * "Content-Range: 0-9/123\r\n" for n rows from the range's offset on; total: NULL = not counted. Returns how much
 * was written.
 */
size_t rest_content_range_write(char to[static REST_CONTENT_RANGE_MAX], uint64_t offset, uint64_t n,
                                const uint64_t *total);

/* 200, 206, or 416 where the range begins behind the last row. */
unsigned rest_range_status(uint64_t offset, uint64_t n, const uint64_t *total);

#endif
