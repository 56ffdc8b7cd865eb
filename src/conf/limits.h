/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf/limits.h - one row of auth.limits: what a role may ask for.
 */
#ifndef CONF_LIMITS_H
#define CONF_LIMITS_H

#include "core/str.h"

/* 0 = no limit of the role's own. */
struct conf_limits {
    struct hs_str role; /* a slice of the row */
    uint32_t statement_timeout_ms;
    uint64_t rows_max;
    uint64_t body_max; /* bytes */
};

enum { CONF_LIMITS_ROWS_MAX = 1000000 }; /* as api.limit.max has it */

/*
 * "viewer: statement_timeout=2s rows=100 body=64KiB", each limit at most once and at least one of them.
 * False: *ret_bad is the part of the row that is wrong, *ret_expected (static) what should stand there.
 */
bool conf_parse_limits(struct hs_str row, struct conf_limits *ret_limits, struct hs_str *ret_bad,
                       const char **ret_expected) hs_must_check;

#endif
