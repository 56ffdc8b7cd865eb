/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf/warm.h - one row of cache.warm: an address, and as whom it is asked.
 */
#ifndef CONF_WARM_H
#define CONF_WARM_H

#include "core/str.h"

/* Slices of the row. */
struct conf_warm {
    struct hs_str target; /* "/api/v1/clients?limit=20" */
    struct hs_str role;   /* p == NULL: who has no token */
    struct hs_str claims; /* a JSON object; "{}" where there are none */
};

/*
 * "/api/v1/clients?limit=20 as member {"company_id":42}", role and claims optional. False: *ret_bad is the part
 * that is wrong, *ret_expected (static) what should stand there.
 */
bool conf_parse_warm(struct hs_str row, struct conf_warm *ret_warm, struct hs_str *ret_bad,
                     const char **ret_expected) hs_must_check;

#endif
