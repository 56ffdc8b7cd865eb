/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/hash.h - hashing (XXH3) with a key drawn at start, so that nobody outside can choose collisions.
 */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#include "core/str.h"

/* Sets the key of the process. Call once, before threads; without it the key is a known one (tests). */
void hs_hash_seed(uint64_t key);

uint64_t hs_hash(struct hs_str s);
/* Without the key: the same in every process, so it may be shown (ETag) but fills no table. */
uint64_t hs_digest(struct hs_str s);
/* The same, folded into another: as hs_hash_more() below. */
uint64_t hs_digest_more(uint64_t digest, struct hs_str s);
/* Folds another slice in: order matters, and ("ab","c") differs from ("a","bc"). */
uint64_t hs_hash_more(uint64_t hash, struct hs_str s);

#endif
