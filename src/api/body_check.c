/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a type can hold, as far as that can be said without the database.
 *
 * The rule: stricter than PostgreSQL in form only (no white space around a number), never looser where it
 * decides; what passes may still be refused there. A domain hides the oid of its base, so of it only the
 * kind is checked. Digits behind the scale of a numeric are not refused: PostgreSQL rounds them, and
 * clients whose numbers are binary floats send them all the time.
 *
 * Source: PostgreSQL 15 manual, chapter 8; src/backend/utils/adt/numeric.c and varchar.c for the typmods.
 */
#include <stdio.h>

#include "api/body_int.h"
#include "api/value.h"
#include "core/nearest.h"

enum { OID_INT2 = 21, OID_INT4 = 23, OID_BPCHAR = 1042, OID_VARCHAR = 1043, OID_NUMERIC = 1700 };
enum { OID_UUID = 2950 };
enum { TYPMOD_HEAD = 4 }; /* of the types below a typmod is its number and this */

static bool has_length(const struct pg_type *type, int32_t typmod)
{
    return (type->oid == OID_BPCHAR || type->oid == OID_VARCHAR) && typmod >= TYPMOD_HEAD;
}

static bool has_precision(const struct pg_type *type, int32_t typmod)
{
    return type->oid == OID_NUMERIC && typmod >= TYPMOD_HEAD;
}

static int precision_of(int32_t typmod)
{
    return ((typmod - TYPMOD_HEAD) >> 16) & 0xffff;
}

/* Eleven bits with a sign: from -1000 to 1000. */
static int scale_of(int32_t typmod)
{
    return (((typmod - TYPMOD_HEAD) & 0x7ff) ^ 1024) - 1024;
}

void body_type_name(const struct pg_type *type, int32_t typmod, char to[static BODY_TYPE_NAME_MAX])
{
    if (has_length(type, typmod))
        (void)snprintf(to, BODY_TYPE_NAME_MAX, "%.*s(%d)", HS_FMT(type->name),
                       typmod - TYPMOD_HEAD);
    else if (has_precision(type, typmod))
        (void)snprintf(to, BODY_TYPE_NAME_MAX, "%.*s(%d,%d)", HS_FMT(type->name),
                       precision_of(typmod), scale_of(typmod));
    else
        (void)snprintf(to, BODY_TYPE_NAME_MAX, "%.*s", HS_FMT(type->name));
}

static hs_status check_int(const struct body_reader *b, const struct json_reader *json,
                           const struct pg_type *type, int32_t typmod, struct hs_str text,
                           struct hs_err *reterr)
{
    bool is_small = type->oid == OID_INT2;
    bool is_int8 = type->kind == PG_KIND_INT8;
    int64_t low = is_int8 ? INT64_MIN : is_small ? INT16_MIN : INT32_MIN;
    int64_t high = is_int8 ? INT64_MAX : is_small ? INT16_MAX : INT32_MAX;
    bool is_fraction = value_is_number(text) &&
                       (hs_str_find(text, '.') < text.n || hs_str_find(text, 'e') < text.n ||
                        hs_str_find(text, 'E') < text.n);
    char range[64];
    int64_t v;

    if (hs_str_to_i64(text, &v) && v >= low && v <= high)
        return HS_OK;
    (void)snprintf(range, sizeof(range), " (%lld to %lld)", (long long)low, (long long)high);
    return body_fail_value(b, json, type, typmod, type->is_domain ? "" : range,
                           is_fraction ? "Send a whole number." : "", reterr);
}

/*
 * The power of ten of the first digit that is not zero (2 for 123.4, -2 for 0.012) and one more; false for
 * zero and for what is not finite. An exponent of more than nine digits counts as ten to the ninth.
 */
static bool magnitude(struct hs_str text, int64_t *ret_digits)
{
    enum { EXPONENT_MAX = 1000000000 };
    int64_t before = 0; /* digits before the point from the first that counts */
    int64_t behind = 0; /* zeros behind the point before the first that counts */
    int64_t exponent = 0;
    bool is_behind = false;
    bool is_found = false;
    bool is_negative;
    size_t at = 0;

    for (; at < text.n && text.p[at] != 'e' && text.p[at] != 'E'; at++) {
        char c = text.p[at];

        is_behind = is_behind || c == '.';
        is_found = is_found || (c >= '1' && c <= '9');
        before += is_found && !is_behind;
        behind += !is_found && is_behind && c == '0';
    }
    if (!is_found)
        return false;
    at++;
    is_negative = at < text.n && text.p[at] == '-';
    for (; at < text.n && exponent < EXPONENT_MAX; at++) {
        if (text.p[at] >= '0' && text.p[at] <= '9')
            exponent = exponent * 10 + (text.p[at] - '0');
    }
    *ret_digits = (before ? before : -behind) + (is_negative ? -exponent : exponent);
    return true;
}

static hs_status check_numeric(const struct body_reader *b, const struct json_reader *json,
                               const struct pg_type *type, int32_t typmod, struct hs_str text,
                               struct hs_err *reterr)
{
    int64_t digits;

    if (!value_is_number(text))
        return body_fail_value(b, json, type, typmod, "", "Send a number.", reterr);
    if (has_precision(type, typmod) && magnitude(text, &digits) &&
        digits > precision_of(typmod) - scale_of(typmod))
        return body_fail_value(b, json, type, typmod, ", which cannot hold so large a number", "",
                               reterr);
    return HS_OK;
}

/* Spaces past the length are cut off by PostgreSQL, as the SQL standard wants it; nothing else is. */
static hs_status check_length(const struct body_reader *b, const struct json_reader *json,
                              const struct pg_type *type, int32_t typmod, struct hs_str text,
                              struct hs_err *reterr)
{
    size_t left = (size_t)(typmod - TYPMOD_HEAD);
    char range[64];

    /* No text has more characters than bytes. */
    if (text.n <= left)
        return HS_OK;
    for (size_t i = 0; i < text.n; i++) {
        bool is_first_byte = ((unsigned char)text.p[i] & 0xc0) != 0x80;

        if (is_first_byte && left) {
            left--;
        } else if (is_first_byte && text.p[i] != ' ') {
            (void)snprintf(range, sizeof(range), ": at most %d characters", typmod - TYPMOD_HEAD);
            return body_fail_value(b, json, type, typmod, range, "Send a shorter text.", reterr);
        }
    }
    return HS_OK;
}

static hs_status check_label(const struct body_reader *b, const struct json_reader *json,
                             const struct pg_type *type, int32_t typmod, struct hs_str text,
                             struct hs_err *reterr)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, text);
    for (size_t i = 0; i < type->n_labels; i++) {
        if (hs_str_eq(type->labels[i], text))
            return HS_OK;
        hs_nearest_offer(&near, type->labels[i]);
    }
    (void)body_fail_value(b, json, type, typmod, "", "", reterr);
    best = hs_nearest_best(&near);
    if (best.n)
        hs_err_hint(reterr, "Perhaps you meant \"%.*s\".", HS_FMT(best));
    else if (type->n_labels)
        hs_err_hint(reterr, "Its labels begin with \"%.*s\".", HS_FMT(type->labels[0]));
    return HS_E_BAD_VALUE;
}

hs_status body_check(const struct body_reader *b, const struct json_reader *json,
                     const struct pg_type *type, int32_t typmod, struct hs_str text,
                     struct hs_err *reterr)
{
    switch (type->kind) {
    case PG_KIND_INT:
    case PG_KIND_INT8:
        return check_int(b, json, type, typmod, text, reterr);
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
        return check_numeric(b, json, type, typmod, text, reterr);
    case PG_KIND_ENUM:
        return check_label(b, json, type, typmod, text, reterr);
    case PG_KIND_TEXT:
        if (has_length(type, typmod))
            return check_length(b, json, type, typmod, text, reterr);
        if (type->oid == OID_UUID && !value_is_uuid(text))
            return body_fail_value(b, json, type, typmod, "",
                                   "Send 8-4-4-4-12 hexadecimal digits with dashes.", reterr);
        break;
    case PG_KIND_ARRAY:
        if (type->delim != ' ' && !hs_str_starts(text, HS_STR("{")) &&
            !hs_str_starts(text, HS_STR("[")))
            return body_fail_value(b, json, type, typmod, "", "Send a JSON array.", reterr);
        break;
    case PG_KIND_COMPOSITE:
        if (!hs_str_starts(text, HS_STR("(")))
            return body_fail_value(b, json, type, typmod, "", "Send a JSON object.", reterr);
        break;
    case PG_KIND_BOOL:
    case PG_KIND_JSON:
    case PG_KIND_DATE:
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
    case PG_KIND_TIME:
    case PG_KIND_BYTEA:
    case PG_KIND_RANGE:
        break;
    }
    return HS_OK;
}
