/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/time.h - two clocks that are never mixed.
 */
#ifndef CORE_TIME_H
#define CORE_TIME_H

#include "core/str.h"

/*
 * Microseconds of CLOCK_BOOTTIME: for durations and deadlines; 0 = no deadline. Unlike CLOCK_MONOTONIC it does not stand
 * still while the machine sleeps, so that nobody who wakes up believes that what he knows is young.
 */
typedef uint64_t hs_us;

#define HS_MS ((hs_us)1000)
#define HS_SECOND ((hs_us)1000000)

/* Microseconds since 1970-01-01 UTC: for dates, tokens and logs. */
struct hs_wall {
    int64_t us;
};

hs_us hs_now_us(void);
struct hs_wall hs_wall_now(void);

enum { HS_TIME_TEXT = 40 };
/* Both know the years 0000 to 9999 of the proleptic Gregorian calendar; an instant outside is shown as the
 * nearest one inside. */
/* "2026-11-21T09:00:00.123456Z" (RFC 3339); returns the slice within `to`. */
struct hs_str hs_wall_rfc3339(struct hs_wall t, char to[static HS_TIME_TEXT]);
/* "Sat, 21 Nov 2026 09:00:00 GMT" (IMF-fixdate, RFC 9110, 5.6.7). */
struct hs_str hs_wall_http(struct hs_wall t, char to[static HS_TIME_TEXT]);

#endif
