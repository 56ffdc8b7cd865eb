/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Optimal string alignment distance: Levenshtein's with the swap of two neighbours as one step,
 * which is the commonest slip of a typist. Three rows of the table are enough. Near enough means
 * that at most one letter in three, and one more, differs: beyond that a suggestion confuses more
 * than it helps.
 */
#include "core/nearest.h"

void hs_nearest_start(struct hs_nearest *near, struct hs_str asked)
{
    *near = (struct hs_nearest){.asked = asked, .distance = (unsigned)-1};
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned distance(struct hs_str a, struct hs_str b)
{
    unsigned rows[3][HS_NEAREST_MAX + 1];
    unsigned *before = rows[0];
    unsigned *above = rows[1];
    unsigned *row = rows[2];

    for (unsigned j = 0; j <= b.n; j++)
        above[j] = before[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *spare = before;

        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            char x = lower(a.p[i - 1]);
            char y = lower(b.p[j - 1]);
            unsigned d = least(above[j], row[j - 1]) + 1;

            d = least(d, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b.p[j - 2]) && y == lower(a.p[i - 2]))
                d = least(d, before[j - 2] + 1);
            row[j] = d;
        }
        before = above;
        above = row;
        row = spare;
    }
    return above[b.n];
}

void hs_nearest_offer(struct hs_nearest *near, struct hs_str name)
{
    size_t more = name.n > near->asked.n ? name.n - near->asked.n : near->asked.n - name.n;
    unsigned d;

    if (near->asked.n > HS_NEAREST_MAX || name.n > HS_NEAREST_MAX)
        return;
    /* Each letter too many is a step: spares the table for most names of a large catalog. */
    if (more >= near->distance || more > near->asked.n / 3 + 1)
        return;
    d = distance(near->asked, name);
    if (d < near->distance) {
        near->distance = d;
        near->best = name;
    }
}

struct hs_str hs_nearest_best(const struct hs_nearest *near)
{
    if (!near->best.p || near->distance > near->asked.n / 3 + 1 || near->distance >= near->best.n)
        return HS_STR_NULL;
    return near->best;
}
