/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of rows. Bounds are the first and the last row, as Range has them; no last one is UINT64_MAX, which no
 * result reaches.
 */
#include "rest/range.h"

struct bounds {
    uint64_t first;
    uint64_t last; /* included; UINT64_MAX = open */
};

static bool is_digits(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return s.n > 0;
}

/* false: it is no range, and not looked at. */
static bool read_header(struct hs_str range, struct bounds *ret)
{
    struct hs_str last = range;
    struct hs_str first = hs_str_cut(&last, '-');

    if (first.n == range.n || !is_digits(first) || (last.n && !is_digits(last)))
        return false;
    if (!hs_str_to_u64(first, &ret->first))
        return false;
    if (!last.n || !hs_str_to_u64(last, &ret->last))
        ret->last = UINT64_MAX;
    return true;
}

static uint64_t last_of(uint64_t first, uint64_t n)
{
    return n > UINT64_MAX - first ? UINT64_MAX : first + n - 1;
}

static hs_status fail_range(const char *why, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_PGRST103, "Requested range not satisfiable");
    hs_err_why(reterr, "%s", why);
    return HS_E_PGRST103;
}

hs_status rest_range_read(const struct rest_scope *rows, struct hs_str range, uint64_t max_rows,
                          struct rest_range *ret_range, struct hs_err *reterr)
{
    struct bounds asked = {.first = rows->has_offset ? rows->offset : 0, .last = UINT64_MAX};
    struct bounds header = {.first = 0, .last = UINT64_MAX};

    /* No rows at all are asked for: where from does not matter. */
    if (rows->has_limit && !rows->limit) {
        *ret_range = (struct rest_range){.has_limit = true};
        return HS_OK;
    }
    if (rows->has_limit)
        asked.last = last_of(asked.first, rows->limit);
    if (range.p && read_header(range, &header) && header.first > header.last)
        return fail_range("The lower boundary must be lower than or equal to the upper boundary in "
                          "the Range header.",
                          reterr);
    asked.first = header.first > asked.first ? header.first : asked.first;
    asked.last = header.last < asked.last ? header.last : asked.last;
    if (asked.first > asked.last)
        return fail_range("Limit should be greater than or equal to zero.", reterr);
    *ret_range = (struct rest_range){.offset = asked.first,
                                     .has_limit = asked.last != UINT64_MAX,
                                     .limit = asked.last - asked.first + 1};
    if (max_rows && (!ret_range->has_limit || ret_range->limit > max_rows)) {
        ret_range->has_limit = true;
        ret_range->limit = max_rows;
    }
    return HS_OK;
}

/* ---- the answer ---- */

size_t rest_content_range_write(char to[static REST_CONTENT_RANGE_MAX], uint64_t offset, uint64_t n,
                                const uint64_t *total)
{
    char *at = hs_str_put(to, HS_STR("Content-Range: "));

    if (n && !(total && !*total)) {
        at = hs_str_put(hs_u64_print(offset, at), HS_STR("-"));
        at = hs_u64_print(offset + n - 1, at);
    } else {
        *at++ = '*';
    }
    *at++ = '/';
    if (total)
        at = hs_u64_print(*total, at);
    else
        *at++ = '*';
    return (size_t)(hs_str_put(at, HS_STR("\r\n")) - to);
}

unsigned rest_range_status(uint64_t offset, uint64_t n, const uint64_t *total)
{
    if (!total)
        return 200;
    if (offset > *total)
        return 416;
    return n < *total ? 206 : 200;
}
