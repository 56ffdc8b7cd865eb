/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/named.h - the files of named queries, api.queries.
 */
#ifndef CMD_NAMED_H
#define CMD_NAMED_H

#include "api/named.h"
#include "conf/conf.h"
#include "pg/diagnose.h"

enum {
    CMD_NAMED_BYTES_MAX = 512 << 20
}; /* of such an arena: 1,000 files of 64 KiB, with their pieces */

/*
 * Reads all files of the folder, in the order of their names; none where there is no folder. What is wrong with one
 * stands in its err. All of it lies in the arena.
 *   errors  HS_E_CONFIG (the folder cannot be read, too many files), HS_E_MEMORY
 */
hs_status cmd_named_read(const struct conf *conf, struct hs_arena *arena,
                         struct named_source **ret_sources, size_t *ret_n, struct hs_err *reterr)
    hs_must_check;

/*
 * Reads the catalog and the files as `hasten serve` would, and tells of each query that cannot be run or whose
 * answers cannot be kept (doctor_named.c). Blocking. errors: those of pg_catalog_read() and api_model_new()
 */
hs_status cmd_named_examine(const struct conf *conf, pg_finding_f *found, void *arg,
                            struct hs_err *reterr) hs_must_check;

#endif
