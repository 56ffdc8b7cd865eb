/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/nearest.h - "did you mean ...?": of many names, the one nearest to what was written.
 *
 *     struct hs_nearest near;
 *
 *     hs_nearest_start(&near, asked);
 *     for (...)
 *         hs_nearest_offer(&near, name);
 *     best = hs_nearest_best(&near);
 *
 * Nearness is the number of letters to change, insert, drop or swap; case does not count. Allocates
 * nothing; a name longer than HS_NEAREST_MAX bytes is never near. The slices must live until the
 * end.
 */
#ifndef CORE_NEAREST_H
#define CORE_NEAREST_H

#include "core/str.h"

enum { HS_NEAREST_MAX = 64 };

struct hs_nearest {
    struct hs_str asked;
    struct hs_str best;
    unsigned distance; /* of best */
};

void hs_nearest_start(struct hs_nearest *near, struct hs_str asked);
/* Of equally near names the one offered first wins. */
void hs_nearest_offer(struct hs_nearest *near, struct hs_str name);
/* The nearest name offered, or HS_STR_NULL if none is near enough to be what was meant. */
struct hs_str hs_nearest_best(const struct hs_nearest *near);

#endif
