/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON without the members that are null, as json_strip_nulls() has it: at every depth, not among the elements of
 * arrays.
 *
 * The rule: the text is known to be JSON. There, a string with a colon behind it is the name of a member, and null
 * behind that is all of its value; so no depth has to be kept, and the text only becomes shorter.
 */
#include "rest/request.h"

struct stripper {
    char *p; /* read from `at`, written to `to` <= at */
    size_t n;
    size_t at;
    size_t to;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static size_t skip_space(const struct stripper *s, size_t at)
{
    while (at < s->n && is_space(s->p[at]))
        at++;
    return at;
}

/* Behind the string that begins at `at`. */
static size_t skip_string(const struct stripper *s, size_t at)
{
    for (at++; at < s->n && s->p[at] != '"'; at++) {
        if (s->p[at] == '\\')
            at++;
    }
    return at < s->n ? at + 1 : s->n;
}

static void copy(struct stripper *s, size_t end)
{
    memmove(s->p + s->to, s->p + s->at, end - s->at);
    s->to += end - s->at;
    s->at = end;
}

/* Behind the null that is the value of the name which ends at `end`; 0 = it has another value, or is no name. */
static size_t find_null(const struct stripper *s, size_t end)
{
    size_t at = skip_space(s, end);

    if (at >= s->n || s->p[at] != ':')
        return 0;
    at = skip_space(s, at + 1);
    return at + 4 <= s->n && memcmp(s->p + at, "null", 4) == 0 ? at + 4 : 0;
}

/* The member is left out, with one of the commas beside it. */
static void drop(struct stripper *s, size_t end)
{
    s->at = skip_space(s, end);
    if (s->at < s->n && s->p[s->at] == ',') {
        s->at = skip_space(s, s->at + 1);
        return;
    }
    while (s->to && is_space(s->p[s->to - 1]))
        s->to--;
    if (s->to && s->p[s->to - 1] == ',')
        s->to--;
}

void rest_strip_nulls(struct hs_buf *json)
{
    struct stripper s = {.p = json->p, .n = json->n};

    while (!hs_buf_failed(json) && s.at < s.n) {
        size_t end;
        size_t null_end;

        if (s.p[s.at] != '"') {
            copy(&s, s.at + 1);
            continue;
        }
        end = skip_string(&s, s.at);
        null_end = find_null(&s, end);
        if (null_end)
            drop(&s, null_end);
        else
            copy(&s, end);
    }
    json->n = hs_buf_failed(json) ? json->n : s.to;
}
