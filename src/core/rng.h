/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/rng.h - chance as an argument: jitter and sampling, never secrets (those come from net/crypto.h).
 * The same seed gives the same numbers (splitmix64). Owned by one thread.
 */
#ifndef CORE_RNG_H
#define CORE_RNG_H

#include "core/check.h"

struct hs_rng {
    uint64_t state;
};

uint64_t hs_rng_next(struct hs_rng *rng);
/* Evenly from 0 to bound - 1; bound > 0. */
uint64_t hs_rng_below(struct hs_rng *rng, uint64_t bound);
/* A seed from the kernel (getrandom(2)). */
uint64_t hs_rng_seed(void);

#endif
