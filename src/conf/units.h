/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf/units.h - durations and sizes as people write them: a whole number and its unit, nothing
 * between.
 *
 * A number without a unit is refused, for nobody can know what it means; only 0 needs none.
 */
#ifndef CONF_UNITS_H
#define CONF_UNITS_H

#include "core/buf.h"
#include "core/time.h"

/* "250ms", "30min": us ms s min h d. False: not of that form, or past 2^64 microseconds. */
bool conf_parse_time(struct hs_str s, hs_us *ret_us) hs_must_check;
/* "16KiB": B KiB MiB GiB. */
bool conf_parse_size(struct hs_str s, uint64_t *ret_bytes) hs_must_check;
/* "true" or "false", nothing else. */
bool conf_parse_bool(struct hs_str s, bool *ret_v) hs_must_check;

/* Appends with the largest unit that leaves a whole number; parsing it gives the same value. */
void conf_add_time(struct hs_buf *out, hs_us us);
void conf_add_size(struct hs_buf *out, uint64_t bytes);

#endif
