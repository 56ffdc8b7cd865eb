/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks literals whose syntax is simple: whole numbers with their range, decimal numbers, booleans,
 * UUIDs, enum labels. Dates, intervals, networks and the rest are PostgreSQL's to judge; it answers
 * 22xxx, which is a 400 as well.
 *
 * The rule: stricter than PostgreSQL only in form (no white space around a number), never looser where it
 * decides: what passes may still be refused there.
 *
 * Source: PostgreSQL 15 manual, chapter 8; src/include/catalog/pg_type.dat for the oids.
 */
#include "api/value.h"

#include <stdlib.h>

#include "api/url.h"

enum { OID_INT2 = 21, OID_INT4 = 23, OID_OID = 26, OID_UUID = 2950 };

static hs_status fail_value(struct value_place place, struct hs_str value, const char *range,
                            struct hs_err *reterr)
{
    struct hs_str shown = hs_str_sub(value, 0, 100);

    (void)hs_fail(reterr, HS_E_BAD_VALUE, "\"%.*s\" is not a valid value for %.*s.%.*s",
                  HS_FMT(shown), HS_FMT(place.table), HS_FMT(place.field->name));
    hs_err_why(reterr, "The column is of type %.*s%s.", HS_FMT(place.field->column->type->name),
               range);
    return HS_E_BAD_VALUE;
}

static hs_status check_int(struct value_place place, struct hs_str value, struct hs_err *reterr)
{
    uint32_t oid = place.field->column->type->oid;
    int64_t v;
    bool is_int = hs_str_to_i64(value, &v);

    if (oid == OID_INT2 && (!is_int || v < INT16_MIN || v > INT16_MAX))
        return fail_value(place, value, " (-32768 to 32767)", reterr);
    if (oid == OID_INT4 && (!is_int || v < INT32_MIN || v > INT32_MAX))
        return fail_value(place, value, " (-2147483648 to 2147483647)", reterr);
    if (oid == OID_OID && (!is_int || v < 0 || v > UINT32_MAX))
        return fail_value(place, value, " (0 to 4294967295)", reterr);
    if (!is_int)
        return fail_value(place, value, "", reterr);
    return HS_OK;
}

static size_t digits(struct hs_str s, size_t at)
{
    size_t n = 0;

    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

bool value_is_number(struct hs_str s)
{
    size_t at = s.n && (s.p[0] == '-' || s.p[0] == '+');
    struct hs_str bare = hs_str_sub(s, at, s.n);
    size_t whole = digits(s, at);
    size_t part = 0;

    if (hs_str_ieq(bare, HS_STR("infinity")) || hs_str_ieq(bare, HS_STR("inf")))
        return true;
    if (at == 0 && hs_str_ieq(s, HS_STR("nan")))
        return true;
    at += whole;
    if (at < s.n && s.p[at] == '.') {
        part = digits(s, at + 1);
        at += 1 + part;
    }
    if (whole + part == 0)
        return false;
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        size_t power;

        at++;
        at += at < s.n && (s.p[at] == '-' || s.p[at] == '+');
        power = digits(s, at);
        if (!power)
            return false;
        at += power;
    }
    return at == s.n;
}

static bool is_bool(struct hs_str s)
{
    static const char *const words[] = {"true", "false", "t", "f", "1", "0"};

    for (size_t i = 0; i < HS_LEN(words); i++) {
        if (hs_str_ieq(s, hs_str(words[i])))
            return true;
    }
    return false;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool value_is_uuid(struct hs_str s)
{
    if (s.n != 36)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? s.p[i] != '-' : !is_hex(s.p[i]))
            return false;
    }
    return true;
}

static bool is_label(const struct pg_type *type, struct hs_str s)
{
    for (size_t i = 0; i < type->n_labels; i++) {
        if (hs_str_eq(type->labels[i], s))
            return true;
    }
    return false;
}

hs_status value_check(struct value_place place, struct hs_str value, struct hs_err *reterr)
{
    const struct pg_type *type = place.field->column->type;
    int64_t v;
    bool is_good = true;

    switch (type->kind) {
    case PG_KIND_INT:
        return check_int(place, value, reterr);
    case PG_KIND_INT8:
        is_good = hs_str_to_i64(value, &v);
        break;
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
        is_good = value_is_number(value);
        break;
    case PG_KIND_BOOL:
        if (!is_bool(value))
            return fail_value(place, value, " (true or false)", reterr);
        break;
    case PG_KIND_ENUM:
        is_good = is_label(type, value);
        break;
    case PG_KIND_TEXT:
        is_good = type->oid != OID_UUID || value_is_uuid(value);
        break;
    case PG_KIND_JSON:
    case PG_KIND_DATE:
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
    case PG_KIND_TIME:
    case PG_KIND_BYTEA:
    case PG_KIND_ARRAY:
    case PG_KIND_COMPOSITE:
    case PG_KIND_RANGE:
        break;
    }
    return is_good ? HS_OK : fail_value(place, value, "", reterr);
}

/* ---- array literals ---- */

static size_t append_quoted(char *to, struct hs_str s)
{
    size_t n = 0;

    to[n++] = '"';
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            to[n++] = '\\';
        to[n++] = s.p[i];
    }
    to[n++] = '"';
    return n;
}

/* Cuts the list into its elements, at most `max`, each a value of the column's type. */
static hs_status read_elements(struct value_place place, struct hs_str text, size_t max,
                               struct hs_arena *arena, struct hs_str *ret_elements, size_t *ret_n,
                               struct hs_err *reterr)
{
    struct url_list list = url_list(text);

    for (*ret_n = 0;; ++*ret_n) {
        struct hs_str element;
        hs_status status = url_list_next(arena, &list, &element, reterr);

        if (status || !element.p)
            return status;
        if (*ret_n == max)
            return hs_fail(reterr, HS_E_BAD_PARAMETER,
                           "more than %zu values in one list for %.*s.%.*s", max,
                           HS_FMT(place.table), HS_FMT(place.field->name));
        status = value_check(place, element, reterr);
        if (status)
            return status;
        ret_elements[*ret_n] = element;
    }
}

static int compare_texts(const void *a, const void *b)
{
    return hs_str_cmp(*(const struct hs_str *)a, *(const struct hs_str *)b);
}

/* No list of that text has more elements. */
static size_t elements_max(struct hs_str text)
{
    size_t n = 1;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ',';
    return n;
}

hs_status value_array(struct value_place place, struct hs_str text, size_t max,
                      struct hs_arena *arena, struct hs_str *ret_literal, struct hs_err *reterr)
{
    char delim = place.field->column->type->delim ? place.field->column->type->delim : ',';
    size_t most = elements_max(text);
    struct hs_str *elements = HS_NEW_ARRAY(arena, most < max ? most : max, struct hs_str);
    /* An element of n bytes took at least n of the text and its comma; quoted, at most 2n + 3. */
    char *to = hs_arena_alloc(arena, 3 * text.n + 8);
    size_t n_elements;
    size_t n = 0;
    hs_status status;

    if (!elements || !to)
        return hs_fail_memory(reterr);
    status = read_elements(place, text, max, arena, elements, &n_elements, reterr);
    if (status)
        return status;
    /* In which order they stand, and how often, changes nothing: all spellings become one statement. */
    qsort(elements, n_elements, sizeof(*elements), compare_texts);
    to[n++] = '{';
    for (size_t i = 0; i < n_elements; i++) {
        if (i && hs_str_eq(elements[i], elements[i - 1]))
            continue;
        if (i)
            to[n++] = delim;
        n += append_quoted(to + n, elements[i]);
    }
    to[n++] = '}';
    to[n] = '\0';
    *ret_literal = hs_strn(to, n);
    return HS_OK;
}

/* ---- patterns ---- */

struct hs_str value_pattern(struct hs_arena *arena, struct hs_str text)
{
    char *to = hs_arena_alloc(arena, text.n + 1);

    if (!to)
        return HS_STR_NULL;
    for (size_t i = 0; i < text.n; i++) {
        to[i] = text.p[i] == '*' ? '%' : text.p[i];
        if (text.p[i] == '\\' && i + 1 < text.n) {
            i++;
            to[i] = text.p[i];
        }
    }
    to[text.n] = '\0';
    return hs_strn(to, text.n);
}

struct hs_str value_pattern_within(struct hs_arena *arena, struct hs_str text)
{
    char *to = hs_arena_alloc(arena, 2 * text.n + 3);
    size_t n = 0;

    if (!to)
        return HS_STR_NULL;
    to[n++] = '%';
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '%' || text.p[i] == '_' || text.p[i] == '\\')
            to[n++] = '\\';
        to[n++] = text.p[i];
    }
    to[n++] = '%';
    to[n] = '\0';
    return hs_strn(to, n);
}
