/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/epoch.h - which server, and which life of it, a connection reaches.
 *
 * Positions (LSNs) compare only inside one epoch. An epoch is (system identifier, timeline, database oid,
 * restart identity); the restart identity is (pg_postmaster_start_time(), stats_reset of pg_stat_wal): a crash
 * restart changes the second, and only the second.
 */
#ifndef PG_EPOCH_H
#define PG_EPOCH_H

#include "core/str.h"

/* One row of one text, the same on every connection of one epoch; run it outside of a transaction's role. */
extern const char PG_EPOCH_SQL[];

/* The text as a number, the same on all nodes; never 0. */
uint64_t pg_epoch(struct hs_str text);

/* "1/2A" or "00000001/0000002A" as a position; false: it is none. */
bool pg_lsn_read(struct hs_str text, uint64_t *ret_lsn) hs_must_check;

#endif
