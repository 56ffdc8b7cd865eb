/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of auth.limits. The rule: what is not understood is refused, never left out, for a limit that is
 * left out is no limit. 0 is refused too: some read it as "nothing", some as "no limit".
 */
#include "conf/limits.h"

#include "conf/units.h"

static bool parse_timeout(struct hs_str text, struct conf_limits *to)
{
    hs_us us;

    if (!conf_parse_time(text, &us) || us < HS_MS || us > 86400 * (hs_us)HS_SECOND || us % HS_MS)
        return false;
    to->statement_timeout_ms = (uint32_t)(us / HS_MS);
    return true;
}

static bool parse_rows(struct hs_str text, struct conf_limits *to)
{
    return hs_str_to_u64(text, &to->rows_max) && to->rows_max >= 1 &&
           to->rows_max <= CONF_LIMITS_ROWS_MAX;
}

static bool parse_body(struct hs_str text, struct conf_limits *to)
{
    return conf_parse_size(text, &to->body_max) && to->body_max >= 1;
}

static const struct {
    const char *name;
    bool (*parse)(struct hs_str text, struct conf_limits *to);
    const char *expected;
} KEYS[] = {
    {"statement_timeout", parse_timeout,
     "statement_timeout= and a duration of whole milliseconds from 1ms to 1d"},
    {"rows", parse_rows, "rows= and a whole number from 1 to 1000000"},
    {"body", parse_body, "body= and a size with its unit (B, KiB, MiB, GiB), at least 1B"},
};

static bool parse_item(struct hs_str item, struct conf_limits *to, unsigned *seen,
                       const char **ret_expected)
{
    struct hs_str value = item;
    struct hs_str name = hs_str_cut(&value, '=');
    size_t key = 0;

    while (key < HS_LEN(KEYS) && !hs_str_is(name, KEYS[key].name))
        key++;
    *ret_expected = "statement_timeout=, rows= or body=";
    if (key == HS_LEN(KEYS))
        return false;
    *ret_expected = "each limit once";
    if (*seen & 1U << key)
        return false;
    *seen |= 1U << key;
    *ret_expected = KEYS[key].expected;
    return KEYS[key].parse(value, to);
}

bool conf_parse_limits(struct hs_str row, struct conf_limits *ret_limits, struct hs_str *ret_bad,
                       const char **ret_expected)
{
    struct hs_str rest = row;
    unsigned seen = 0;

    *ret_limits = (struct conf_limits){.role = hs_str_trim(hs_str_cut(&rest, ':'))};
    rest = hs_str_trim(rest);
    *ret_bad = row;
    *ret_expected = "\"role: statement_timeout=2s rows=100 body=64KiB\"";
    if (!ret_limits->role.n || !rest.n)
        return false;
    while (rest.n) {
        struct hs_str item = hs_str_cut(&rest, ' ');

        *ret_bad = item;
        if (item.n && !parse_item(item, ret_limits, &seen, ret_expected))
            return false;
    }
    return true;
}
