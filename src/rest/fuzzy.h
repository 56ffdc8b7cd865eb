/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/fuzzy.h - the name that PostgREST would suggest.
 *
 *     struct rest_fuzzy fuzzy;
 *
 *     rest_fuzzy_start(&fuzzy, asked, REST_FUZZY_CLOSE);
 *     for (...)
 *         rest_fuzzy_offer(&fuzzy, name);
 *     best = fuzzy.best;
 *
 * Not core/nearest.h: clients compare hints with those of PostgREST, which measures otherwise. A name is
 * considered where it shares three letters in a row with what was asked (two, where none shares three), and
 * its score is 1 - distance / length of the longer; of those with one score the one whose rows of letters are
 * more alike comes first, then the one that is offered last. Case does not count. Allocates nothing; names longer
 * than REST_FUZZY_MAX bytes are not considered. The slices must live until the end.
 */
#ifndef REST_FUZZY_H
#define REST_FUZZY_H

#include "core/str.h"

enum { REST_FUZZY_MAX = 256 };

/* The least score of a suggestion, in thousandths. */
enum rest_fuzzy_least {
    REST_FUZZY_LOOSE = 330, /* relationships, parameters of functions */
    REST_FUZZY_CLOSE = 750  /* tables, functions */
};

struct rest_fuzzy {
    struct hs_str asked;
    struct hs_str best; /* p == NULL: none is near enough */
    bool is_exact;      /* best differs from what was asked in case at most */
    unsigned least;
    unsigned score;  /* of best, in millionths; above a million where it shares three letters */
    double likeness; /* of best: how much their rows of letters are alike */
};

void rest_fuzzy_start(struct rest_fuzzy *fuzzy, struct hs_str asked, enum rest_fuzzy_least least);
void rest_fuzzy_offer(struct rest_fuzzy *fuzzy, struct hs_str name);

/* Characters to change, insert or drop (Levenshtein); case counts. Both at most REST_FUZZY_MAX bytes long. */
size_t rest_fuzzy_distance(struct hs_str a, struct hs_str b);

#endif
