/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers with units, read and written from one table each. The rule: what is written here is read
 * here to the same value. Fractions, signs, spaces and other spellings ("KB", "1.5s", "5 s", "2S")
 * are refused, so that a configuration says one thing in one way. Binary units are written as IEC
 * 80000-13 has them; "min" rather than "m", which elsewhere means months or milli.
 */
#include "conf/units.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit time_units[] = {
    {"us", 1},
    {"ms", HS_MS},
    {"s", HS_SECOND},
    {"min", 60 * HS_SECOND},
    {"h", 3600 * HS_SECOND},
    {"d", 86400 * HS_SECOND},
};

static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", 1024},
    {"MiB", UINT64_C(1024) * 1024},
    {"GiB", UINT64_C(1024) * 1024 * 1024},
};

static bool parse(struct hs_str s, const struct unit *units, size_t n_units, uint64_t *ret_v)
{
    size_t digits = 0;
    struct hs_str unit;
    uint64_t v;

    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    if (!hs_str_to_u64(hs_str_sub(s, 0, digits), &v))
        return false;
    unit = hs_str_sub(s, digits, s.n);
    if (unit.n == 0 && v == 0) {
        *ret_v = 0;
        return true;
    }
    for (size_t i = 0; i < n_units; i++) {
        if (!hs_str_is(unit, units[i].name))
            continue;
        if (__builtin_mul_overflow(v, units[i].factor, &v))
            return false;
        *ret_v = v;
        return true;
    }
    return false;
}

bool conf_parse_time(struct hs_str s, hs_us *ret_us)
{
    return parse(s, time_units, HS_LEN(time_units), ret_us);
}

bool conf_parse_size(struct hs_str s, uint64_t *ret_bytes)
{
    return parse(s, size_units, HS_LEN(size_units), ret_bytes);
}

bool conf_parse_bool(struct hs_str s, bool *ret_v)
{
    bool is_true = hs_str_is(s, "true");

    if (!is_true && !hs_str_is(s, "false"))
        return false;
    *ret_v = is_true;
    return true;
}

static void add(struct hs_buf *out, uint64_t v, const struct unit *units, size_t n_units,
                const char *zero_unit)
{
    const struct unit *unit = &units[0];

    if (v == 0) {
        hs_buf_add_char(out, '0');
        hs_buf_add(out, hs_str(zero_unit));
        return;
    }
    for (size_t i = 1; i < n_units && v % units[i].factor == 0; i++)
        unit = &units[i];
    hs_buf_add_u64(out, v / unit->factor);
    hs_buf_add(out, hs_str(unit->name));
}

void conf_add_time(struct hs_buf *out, hs_us us)
{
    add(out, us, time_units, HS_LEN(time_units), "s");
}

void conf_add_size(struct hs_buf *out, uint64_t bytes)
{
    add(out, bytes, size_units, HS_LEN(size_units), "B");
}
