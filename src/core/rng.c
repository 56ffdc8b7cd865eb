/* SPDX-License-Identifier: Apache-2.0 */
/*
 * splitmix64 as published by Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators"
 * (2014): an addition and a mix of the result; enough for jitter.
 */
#include "core/rng.h"

#include <errno.h>
#include <sys/random.h>

__extension__ typedef unsigned __int128 wide;

uint64_t hs_rng_next(struct hs_rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t hs_rng_below(struct hs_rng *rng, uint64_t bound)
{
    HS_BUG_ON(bound == 0);
    return (uint64_t)(((wide)hs_rng_next(rng) * bound) >> 64);
}

uint64_t hs_rng_seed(void)
{
    uint64_t seed;
    ssize_t n;

    do
        n = getrandom(&seed, sizeof(seed), 0);
    while (n < 0 && errno == EINTR);
    HS_BUG_ON(n != (ssize_t)sizeof(seed));
    return seed;
}
