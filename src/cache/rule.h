/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache/rule.h - the protocol of the coherent cache as pure functions of explicit values.
 *
 * Nothing here reads a clock, an atomic or a global: state.c loads its atomics into these structs in the order
 * that the rule asks for, and calls these functions. Tests call them with the traces of the executable
 * specification.
 *
 * Positions  Every position (LSN) that is kept is an END position: "everything that ends at or before it".
 *            A stamp is Begin.final_lsn + 1: final_lsn is the START of the commit record, and a fence may
 *            equal it. Positions compare only inside one epoch.
 * The rule   An entry may be served if and only if its epoch is current, the proof of freshness is young
 *            enough, its fence covers the floors, and for every tag stamp[tag] <= fence.
 */
#ifndef CACHE_RULE_H
#define CACHE_RULE_H

#include "core/guard.h"
#include "core/str.h"
#include "core/time.h"

enum { CACHE_EPOCH_NONE = 0 };
/* A floor or stamp that no fence covers: the table is not coherent, the shape not registered yet. */
#define CACHE_NEVER UINT64_MAX

/* A position with its epoch: what a write returns, what a barrier asks for. epoch NONE: there is none. */
struct cache_token {
    uint64_t epoch;
    uint64_t position;
};

/* What a read that is to be kept notes before its statement is sent. */
struct cache_moment {
    uint64_t epoch;
    uint64_t fence;
    uint64_t generation; /* of the catalog that its tags were derived from */
};

/* The first half of the rule's inputs, read (acquire) before any stamp. */
struct cache_view {
    uint64_t run;      /* which beginning of a feed; for the state's own check that it still is */
    uint64_t epoch;    /* the feed's; NONE = there is no feed */
    uint64_t position; /* the feed's */
    uint64_t begun;    /* where this feed began */
    uint64_t generation;
    hs_us proof_at;              /* the cache is proven as of then; 0 = not yet */
    hs_us poll_at;               /* the catalog was last looked at then; 0 = not yet */
    struct cache_token required; /* the barrier */
    hs_us required_proof;        /* another one: the proof must be of then or later */
};

/* Has the feed passed the token's position, in the token's epoch? */
bool cache_rule_passed(const struct cache_view *view, struct cache_token token);

/* First half: proof and poll young enough, barrier passed, the reader's token (epoch NONE = none) passed. */
bool cache_rule_position(const struct cache_view *view, struct cache_token token, hs_us now,
                         hs_us max_staleness);
/* Second half, without tags: epoch, generation, where the feed began. */
bool cache_rule_entry(const struct cache_view *view, const struct cache_moment *entry);
/* Second half, one tag: floors of its table and shape (0 = the tag has no shape), and its stamp. */
static inline bool cache_rule_tag(uint64_t fence, uint64_t table_floor, uint64_t shape_floor,
                                  uint64_t stamp)
{
    return fence >= table_floor && fence >= shape_floor && stamp <= fence;
}

#endif
