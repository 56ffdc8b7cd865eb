/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fence. A commit record is flushed, and so decoded, before its transaction is visible to others; with a
 * missing synchronous standby long before. So only a snapshot tells, and a snapshot whose xmax is not above
 * an xid says nothing good of it: xmax is one past the last xid that FINISHED, not the last assigned.
 */
#include "core/fence.h"

#include "core/guard.h"

/* Xids of one time lie within 2^31 of each other, so the nearest is the one that is meant. */
static uint64_t widen(uint32_t xid, uint64_t near)
{
    int64_t distance = (int32_t)(xid - (uint32_t)near);

    /* Before the first xid ever there is none: then it is one of the future. */
    if (distance < 0 && near < (uint64_t)-distance)
        return xid;
    return near + (uint64_t)distance;
}

static bool is_running(const struct hs_fence_snapshot *snapshot, uint64_t xid)
{
    size_t low = 0;
    size_t high = snapshot->n_running;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (snapshot->running[middle] < xid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < snapshot->n_running && snapshot->running[low] == xid;
}

bool hs_fence_finished(const struct hs_fence_snapshot *snapshot, uint64_t xid, bool is_short)
{
    uint64_t whole = is_short ? widen((uint32_t)xid, snapshot->xmax) : xid;

    if (HS_GUARD(snapshot_xmax) && whole >= snapshot->xmax)
        return false;
    return !is_running(snapshot, whole);
}

bool hs_fence_drained(const struct hs_fence_snapshot *snapshot, uint64_t bound)
{
    if (HS_GUARD(snapshot_xmax) && snapshot->xmax < bound)
        return false;
    return snapshot->n_running == 0 || snapshot->running[0] >= bound;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t hs_fence_next(uint64_t fence, uint64_t boot, uint64_t begun, uint64_t position,
                       const struct hs_fence_commit *commits, size_t n_commits,
                       const struct hs_fence_snapshot *snapshot)
{
    if (!fence) {
        if (HS_GUARD(first_fence) && !hs_fence_drained(snapshot, boot))
            return 0;
        fence = begun;
    }
    for (size_t i = 0; HS_GUARD(fence_visibility) && i < n_commits; i++) {
        if (commits[i].end > fence && !hs_fence_finished(snapshot, commits[i].xid, true))
            return later(fence, commits[i].start);
    }
    return later(fence, position);
}
