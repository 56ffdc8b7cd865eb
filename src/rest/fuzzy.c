/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters in a row are compared over letters and digits alone, with an end mark before and behind: each name is a
 * vector of how often each row stands in it, and alike are two whose angle is small. The
 * distance (Levenshtein's) is that of the names as they are, but for case. The rows of its table stand on the
 * stack: suggestions are for errors, where a name of 63 bytes is the rule.
 *
 * Source: PostgREST reference, errors, PGRST200, PGRST202 and PGRST205; the package fuzzyset 0.2.4, with which it
 * makes its hints.
 */
#include "rest/fuzzy.h"

enum { MILLION = 1000000 };

/* Characters, each as its bytes of UTF-8 in a row. */
struct letters {
    uint32_t c[REST_FUZZY_MAX + 2];
    size_t n;
};

static uint32_t lower(uint32_t c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

/* What is no letter of ASCII counts as one. */
static bool is_letter(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80 || c == ' ' || c == ',';
}

static void split(struct hs_str s, bool ignores_case, struct letters *to)
{
    to->n = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint32_t byte = (unsigned char)s.p[i];

        if (to->n && (byte & 0xc0) == 0x80)
            to->c[to->n - 1] = to->c[to->n - 1] << 8 | byte;
        else
            to->c[to->n++] = ignores_case ? lower(byte) : byte;
    }
}

/* Of split text the letters, between end marks. */
static void keep_letters(const struct letters *all, struct letters *to)
{
    to->n = 0;
    to->c[to->n++] = '-';
    for (size_t i = 0; i < all->n; i++) {
        if (is_letter(all->c[i]))
            to->c[to->n++] = all->c[i];
    }
    to->c[to->n++] = '-';
}

/* How often a row of n letters of the one is one of the other. */
static size_t count_shared(const struct letters *a, const struct letters *b, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i + n <= a->n; i++) {
        for (size_t j = 0; j + n <= b->n; j++)
            count += memcmp(a->c + i, b->c + j, n * sizeof(a->c[0])) == 0;
    }
    return count;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(const struct letters *a, const struct letters *b)
{
    uint16_t row[REST_FUZZY_MAX + 1];

    for (size_t j = 0; j <= b->n; j++)
        row[j] = (uint16_t)j;
    for (size_t i = 1; i <= a->n; i++) {
        size_t diagonal = row[0];

        row[0] = (uint16_t)i;
        for (size_t j = 1; j <= b->n; j++) {
            size_t d = diagonal + (a->c[i - 1] != b->c[j - 1]);

            diagonal = row[j];
            row[j] = (uint16_t)least(d, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b->n];
}

size_t rest_fuzzy_distance(struct hs_str a, struct hs_str b)
{
    struct letters all_a;
    struct letters all_b;

    split(a, /* ignores_case= */ false, &all_a);
    split(b, /* ignores_case= */ false, &all_b);
    return distance(&all_a, &all_b);
}

void rest_fuzzy_start(struct rest_fuzzy *fuzzy, struct hs_str asked, enum rest_fuzzy_least minimum)
{
    *fuzzy = (struct rest_fuzzy){.asked = asked, .least = minimum * (MILLION / 1000)};
}

/* Grows with the cosine of the angle between the vectors of rows; that of `asked` has the same length always. */
static double likeness(size_t shared, const struct letters *name, size_t n)
{
    return (double)(shared * shared) / (double)count_shared(name, name, n);
}

/* In millionths. */
static unsigned score_of(const struct letters *a, const struct letters *b)
{
    size_t longer = a->n > b->n ? a->n : b->n;

    return MILLION - (unsigned)(distance(a, b) * MILLION / longer);
}

/* What the lengths leave possible, which costs nothing to know: each letter more is one to change. */
static unsigned best_score(const struct letters *a, const struct letters *b)
{
    size_t longer = a->n > b->n ? a->n : b->n;
    size_t shorter = a->n > b->n ? b->n : a->n;

    return MILLION - (unsigned)((longer - shorter) * MILLION / longer);
}

void rest_fuzzy_offer(struct rest_fuzzy *fuzzy, struct hs_str name)
{
    struct letters all[2];
    struct letters a;
    struct letters b;
    size_t n = 3;
    size_t shared;
    unsigned score;
    double like;

    if (!fuzzy->asked.n || !name.n || fuzzy->asked.n > REST_FUZZY_MAX || name.n > REST_FUZZY_MAX)
        return;
    split(fuzzy->asked, /* ignores_case= */ true, &all[0]);
    split(name, /* ignores_case= */ true, &all[1]);
    if (best_score(&all[0], &all[1]) < fuzzy->least)
        return;
    keep_letters(&all[0], &a);
    keep_letters(&all[1], &b);
    shared = count_shared(&a, &b, n);
    if (!shared)
        shared = count_shared(&a, &b, --n);
    if (!shared)
        return;
    score = score_of(&all[0], &all[1]);
    if (score < fuzzy->least)
        return;
    fuzzy->is_exact |= score == MILLION;
    if (n == 3)
        score += MILLION + 1;
    like = likeness(shared, &b, n);
    if (score > fuzzy->score || (score == fuzzy->score && like >= fuzzy->likeness)) {
        fuzzy->score = score;
        fuzzy->likeness = like;
        fuzzy->best = name;
    }
}
