/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/fence.h - how far every committed transaction is visible, as pure functions of explicit values.
 *
 * A fence is a position (LSN) such that every transaction that ends at or before it is visible to any snapshot
 * taken from now on. The feed computes it, the cache compares with it; both are of one layer, so the arithmetic
 * stands below them. Nothing here reads a clock or a global.
 */
#ifndef CORE_FENCE_H
#define CORE_FENCE_H

#include "core/check.h"

/* A commit that the change stream delivered; in WAL order. */
struct hs_fence_commit {
    uint64_t start; /* Begin.final_lsn */
    uint64_t end;   /* Commit.end_lsn */
    uint32_t xid;   /* as Begin has it: the lower half */
};

/* pg_current_snapshot(): at or above xmax nothing has finished, listed or not. */
struct hs_fence_snapshot {
    uint64_t xmin;
    uint64_t xmax;
    const uint64_t *running; /* ascending */
    size_t n_running;
};

/* xid may be one of 32 bits (is_short): it is taken for the one nearest to xmax. */
bool hs_fence_finished(const struct hs_fence_snapshot *snapshot, uint64_t xid, bool is_short);
/* Have all xids below `bound` finished? */
bool hs_fence_drained(const struct hs_fence_snapshot *snapshot, uint64_t bound);

/*
 * The next fence. `fence` is the present one, 0 = none yet: then every xid below `boot` must have finished, and
 * it begins at `begun`. It moves past a commit only if the snapshot shows it as finished; with none left, to
 * `position`.
 */
uint64_t hs_fence_next(uint64_t fence, uint64_t boot, uint64_t begun, uint64_t position,
                       const struct hs_fence_commit *commits, size_t n_commits,
                       const struct hs_fence_snapshot *snapshot);

#endif
