/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict reader of the Prometheus text format 0.0.4: every line must be a HELP, its TYPE, or a sample of
 * that family; families stand together and once; histograms are cumulative and end in +Inf = _count.
 */
#ifndef UNIT_PROMETHEUS_H
#define UNIT_PROMETHEUS_H

#include "test.h"

enum { PROM_FAMILIES = 256 };

struct prom {
    struct hs_str line;
    struct hs_str family;
    struct hs_str type;
    struct hs_str families[PROM_FAMILIES];
    size_t n_families;
    size_t n_samples;
    double bucket; /* the last of the histogram under way */
    double inf;
};

static inline bool prom_is_name(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';

        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.n > 0;
}

#define PROM_CHECK(c)                                                       \
    do {                                                                    \
        if (!(c))                                                           \
            fail_msg("metrics line \"%.*s\": not " #c, HS_FMT(prom->line)); \
    } while (0)

static inline void prom_comment(struct prom *prom)
{
    struct hs_str rest = prom->line;
    struct hs_str word;
    struct hs_str name;

    (void)hs_str_cut(&rest, ' ');
    word = hs_str_cut(&rest, ' ');
    name = hs_str_cut(&rest, ' ');
    PROM_CHECK(prom_is_name(name));
    PROM_CHECK(rest.n > 0);
    if (hs_str_is(word, "HELP")) {
        for (size_t i = 0; i < prom->n_families; i++)
            PROM_CHECK(!hs_str_eq(prom->families[i], name));
        PROM_CHECK(prom->n_families < PROM_FAMILIES);
        prom->families[prom->n_families++] = name;
        prom->family = name;
        prom->type = HS_STR_NULL;
        return;
    }
    PROM_CHECK(hs_str_is(word, "TYPE"));
    PROM_CHECK(hs_str_eq(name, prom->family));
    PROM_CHECK(!prom->type.p);
    PROM_CHECK(hs_str_is(rest, "counter") || hs_str_is(rest, "gauge") ||
               hs_str_is(rest, "histogram"));
    prom->type = rest;
}

/* One name="value" off the front of the labels; value still escaped. */
static inline struct hs_str prom_label(struct prom *prom, struct hs_str *labels,
                                       struct hs_str *ret_value)
{
    struct hs_str name = hs_str_cut(labels, '=');
    size_t at = 1;

    PROM_CHECK(prom_is_name(name));
    PROM_CHECK(labels->n > 1 && labels->p[0] == '"');
    while (at < labels->n && labels->p[at] != '"') {
        if (labels->p[at] == '\\') {
            at++;
            PROM_CHECK(at < labels->n && strchr("\\\"n", labels->p[at]));
        }
        at++;
    }
    PROM_CHECK(at < labels->n);
    *ret_value = hs_str_sub(*labels, 1, at);
    *labels = hs_str_sub(*labels, at + 1, labels->n);
    return name;
}

static inline void prom_bucket(struct prom *prom, struct hs_str suffix, struct hs_str le, double v)
{
    if (hs_str_is(suffix, "_bucket")) {
        PROM_CHECK(le.n > 0);
        PROM_CHECK(v >= prom->bucket);
        prom->bucket = v;
        if (hs_str_is(le, "+Inf"))
            prom->inf = v;
    } else if (hs_str_is(suffix, "_count")) {
        PROM_CHECK(v == prom->inf);
        prom->bucket = 0;
        prom->inf = -1;
    } else {
        PROM_CHECK(hs_str_is(suffix, "_sum"));
        PROM_CHECK(prom->inf >= 0);
    }
}

static inline double prom_sample(struct prom *prom, struct hs_str *ret_name,
                                 struct hs_str *ret_labels)
{
    struct hs_str line = prom->line;
    size_t name_end = 0;
    struct hs_str labels = HS_STR("");
    struct hs_str le = HS_STR("");
    char number[64];
    char *end;
    double v;

    while (name_end < line.n && line.p[name_end] != '{' && line.p[name_end] != ' ')
        name_end++;
    *ret_name = hs_str_sub(line, 0, name_end);
    line = hs_str_sub(line, name_end, line.n);
    PROM_CHECK(prom_is_name(*ret_name));
    PROM_CHECK(prom->type.p && hs_str_starts(*ret_name, prom->family));
    if (line.n && line.p[0] == '{') {
        line = hs_str_sub(line, 1, line.n);
        labels = line;
        for (;;) {
            struct hs_str value;
            struct hs_str label = prom_label(prom, &line, &value);
            char mark = line.n ? line.p[0] : '\0';

            if (hs_str_is(label, "le"))
                le = value;
            PROM_CHECK(mark == ',' || mark == '}');
            line = hs_str_sub(line, 1, line.n);
            if (mark == '}')
                break;
        }
        labels.n -= line.n + 1;
    }
    PROM_CHECK(line.n > 1 && line.n < sizeof(number) && line.p[0] == ' ');
    memcpy(number, line.p + 1, line.n - 1);
    number[line.n - 1] = '\0';
    v = strtod(number, &end);
    PROM_CHECK(*end == '\0' && number[0] != ' ');
    if (hs_str_is(prom->type, "histogram"))
        prom_bucket(prom, hs_str_sub(*ret_name, prom->family.n, ret_name->n), le, v);
    else
        PROM_CHECK(hs_str_eq(*ret_name, prom->family));
    prom->n_samples++;
    *ret_labels = labels;
    return v;
}

/*
 * Reads the whole text, failing the test at the first fault. Returns the value of the sample `wanted`,
 * written as in the text ("name" or "name{labels}"); -1 if it is not there. wanted may be NULL.
 */
static inline double prom_read(struct hs_str text, const char *wanted, size_t *ret_samples)
{
    struct prom prom = {.inf = -1};
    double found = -1;

    assert_true(text.n > 0 && text.p[text.n - 1] == '\n');
    while (text.n) {
        struct hs_str name;
        struct hs_str labels;
        double v;

        prom.line = hs_str_cut(&text, '\n');
        if (prom.line.n && prom.line.p[0] == '#') {
            prom_comment(&prom);
            continue;
        }
        v = prom_sample(&prom, &name, &labels);
        if (wanted && hs_str_starts(prom.line, hs_str(wanted)) &&
            prom.line.p[strlen(wanted)] == ' ')
            found = v;
    }
    if (ret_samples)
        *ret_samples = prom.n_samples;
    return found;
}

#endif
