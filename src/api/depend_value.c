/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as a tag needs them: is it the same value tomorrow, and how does PostgreSQL write it?
 *
 * The rule: where the answer is not sure, it is no. A value that might be another one tomorrow keeps its
 * answer out of the cache; a value whose output form is not known makes a tag of the whole table.
 * A form that is wrong would be a change that is missed, so only types are here whose output is a function
 * of the value alone, and domains only where their own limits cannot change what is written.
 *
 * Source: PostgreSQL 15 manual, 8.5.1.4 (special values), 8.5.1.2 (timetz), 8.1, 8.3, 8.6, 8.12; appendix B;
 * src/include/catalog/pg_type.dat for the oids.
 */
#include "api/depend_int.h"
#include "api/value.h"

enum {
    OID_TEXT = 25,
    OID_BPCHAR = 1042,
    OID_INTERVAL = 1186,
    OID_VARCHAR = 1043,
    OID_TIMETZ = 1266,
    OID_UUID = 2950,
    OID_INT4RANGE = 3904,
    OID_NUMRANGE = 3906,
    OID_INT8RANGE = 3926,
    OID_INT4MULTIRANGE = 4451,
    OID_NUMMULTIRANGE = 4532,
    OID_INT8MULTIRANGE = 4536,
    OID_OF_USERS = 16384 /* the first that is not PostgreSQL's own */
};

/* ---- is it fixed? ---- */

/* An input function that is PostgreSQL's own, and looks at nothing but its text and pinned settings. */
static bool has_known_input(const struct pg_type *type)
{
    switch (type->kind) {
    case PG_KIND_TEXT:
    case PG_KIND_RANGE:
        return type->base < OID_OF_USERS;
    case PG_KIND_TIME:
        /* Without an offset, the day decides between summer and winter. */
        return type->base != OID_TIMETZ;
    case PG_KIND_ARRAY:
        return has_known_input(type->elem);
    case PG_KIND_COMPOSITE:
        for (size_t i = 0; i < type->n_fields; i++) {
            if (!has_known_input(type->fields[i].type))
                return false;
        }
        return true;
    case PG_KIND_BOOL:
    case PG_KIND_INT:
    case PG_KIND_INT8:
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
    case PG_KIND_JSON:
    case PG_KIND_DATE:
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
    case PG_KIND_BYTEA:
    case PG_KIND_ENUM:
        break;
    }
    return true;
}

static bool is_range_of_numbers(uint32_t oid)
{
    return oid == OID_INT4RANGE || oid == OID_NUMRANGE || oid == OID_INT8RANGE ||
           oid == OID_INT4MULTIRANGE || oid == OID_NUMMULTIRANGE || oid == OID_INT8MULTIRANGE;
}

static bool holds_time(const struct pg_type *type)
{
    switch (type->kind) {
    case PG_KIND_DATE:
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
    case PG_KIND_TIME:
        return true;
    case PG_KIND_RANGE:
        return !is_range_of_numbers(type->base);
    case PG_KIND_ARRAY:
        return holds_time(type->elem);
    case PG_KIND_COMPOSITE:
        for (size_t i = 0; i < type->n_fields; i++) {
            if (holds_time(type->fields[i].type))
                return true;
        }
        return false;
    case PG_KIND_TEXT:
    case PG_KIND_BOOL:
    case PG_KIND_INT:
    case PG_KIND_INT8:
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
    case PG_KIND_JSON:
    case PG_KIND_BYTEA:
    case PG_KIND_ENUM:
        break;
    }
    return false;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_fixed_word(struct hs_str word)
{
    return hs_str_ieq(word, HS_STR("T")) || hs_str_ieq(word, HS_STR("Z")) ||
           hs_str_ieq(word, HS_STR("infinity"));
}

/* Numbers and what joins them, also those of arrays, ranges and composites; of words only three. */
static bool is_literal_instant(struct hs_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        size_t begin = i;

        if (is_letter(text.p[i])) {
            while (i + 1 < text.n && is_letter(text.p[i + 1]))
                i++;
            if (!is_fixed_word(hs_str_sub(text, begin, i + 1)))
                return false;
        } else if (text.p[i] < '0' || text.p[i] > '9') {
            if (hs_str_find(HS_STR("-:.+ {}[](),\""), text.p[i]) == sizeof("-:.+ {}[](),\"") - 1)
                return false;
        }
    }
    return true;
}

bool api_value_is_fixed(const struct pg_type *type, struct hs_str text)
{
    return has_known_input(type) && (!holds_time(type) || is_literal_instant(text));
}

bool api_cast_is_fixed(const struct pg_type *to)
{
    switch (to->kind) {
    case PG_KIND_BOOL:
    case PG_KIND_INT:
    case PG_KIND_INT8:
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
    case PG_KIND_JSON:
    case PG_KIND_BYTEA:
        return !to->is_domain;
    case PG_KIND_TEXT:
        return to->oid == OID_TEXT || to->oid == OID_VARCHAR || to->oid == OID_BPCHAR ||
               to->oid == OID_UUID || to->oid == OID_INTERVAL;
    case PG_KIND_ARRAY:
        return !to->is_domain && api_cast_is_fixed(to->elem);
    case PG_KIND_DATE:
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
    case PG_KIND_TIME:
    case PG_KIND_ENUM:
    case PG_KIND_COMPOSITE:
    case PG_KIND_RANGE:
        break;
    }
    return false;
}

/* ---- its form ---- */

static bool int_form(struct hs_str text, int64_t least, int64_t most, struct hs_arena *arena,
                     struct hs_str *ret_form)
{
    size_t sign = text.n && text.p[0] == '-';
    int64_t v;

    if (!hs_str_to_i64(text, &v) || v < least || v > most)
        return false;
    /* "007" and "-0" are read, but not written. */
    if (text.p[sign] == '0' && text.n > 1)
        text = hs_arena_printf(arena, "%lld", (long long)v);
    *ret_form = text;
    return text.p != NULL;
}

static bool bool_form(struct hs_str text, struct hs_str *ret_form)
{
    bool is_true = hs_str_ieq(text, HS_STR("true")) || hs_str_ieq(text, HS_STR("t")) ||
                   hs_str_is(text, "1");

    *ret_form = is_true ? HS_STR("t") : HS_STR("f");
    return is_true || hs_str_ieq(text, HS_STR("false")) || hs_str_ieq(text, HS_STR("f")) ||
           hs_str_is(text, "0");
}

static bool is_digits(struct hs_str text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
    }
    return true;
}

static unsigned digit(struct hs_str text, size_t at)
{
    return (unsigned)(text.p[at] - '0');
}

/* YYYY-MM-DD of the years 0001 to 9999, in the proleptic Gregorian calendar. */
static bool is_day(struct hs_str text)
{
    static const unsigned char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year;
    unsigned month;
    unsigned day;

    if (text.n != 10 || text.p[4] != '-' || text.p[7] != '-' || !is_digits(text, 0, 4) ||
        !is_digits(text, 5, 7) || !is_digits(text, 8, 10))
        return false;
    year = digit(text, 0) * 1000 + digit(text, 1) * 100 + digit(text, 2) * 10 + digit(text, 3);
    month = digit(text, 5) * 10 + digit(text, 6);
    day = digit(text, 8) * 10 + digit(text, 9);
    if (!year || !month || month > 12 || !day || day > days[month - 1])
        return false;
    return month != 2 || day < 29 || (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

static bool enum_form(const struct pg_type *type, struct hs_str text, struct hs_str *ret_form)
{
    for (size_t i = 0; i < type->n_labels; i++) {
        if (hs_str_eq(type->labels[i], text)) {
            *ret_form = text;
            return true;
        }
    }
    return false;
}

static bool uuid_form(struct hs_str text, struct hs_arena *arena, struct hs_str *ret_form)
{
    char *to = value_is_uuid(text) ? hs_arena_alloc(arena, text.n + 1) : NULL;

    if (!to)
        return false;
    for (size_t i = 0; i < text.n; i++)
        to[i] = (char)(text.p[i] >= 'A' && text.p[i] <= 'F' ? text.p[i] + ('a' - 'A') : text.p[i]);
    to[text.n] = '\0';
    *ret_form = hs_strn(to, text.n);
    return true;
}

static bool text_form(const struct pg_type *type, struct hs_str text, struct hs_arena *arena,
                      struct hs_str *ret_form)
{
    if (type->base == OID_UUID)
        return uuid_form(text, arena, ret_form);
    *ret_form = text;
    /* A domain over varchar(n) cuts blanks off; of varchar itself a cast has no length. */
    return type->base == OID_TEXT || (type->base == OID_VARCHAR && !type->is_domain);
}

bool api_value_form(const struct pg_type *type, struct hs_str text, struct hs_arena *arena,
                    struct hs_str *ret_form)
{
    switch (type->kind) {
    case PG_KIND_BOOL:
        return bool_form(text, ret_form);
    case PG_KIND_INT:
        return int_form(text, INT32_MIN, INT32_MAX, arena, ret_form);
    case PG_KIND_INT8:
        return int_form(text, INT64_MIN, INT64_MAX, arena, ret_form);
    case PG_KIND_DATE:
        *ret_form = text;
        return is_day(text);
    case PG_KIND_ENUM:
        return enum_form(type, text, ret_form);
    case PG_KIND_TEXT:
        return text_form(type, text, arena, ret_form);
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
    case PG_KIND_JSON:
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
    case PG_KIND_TIME:
    case PG_KIND_BYTEA:
    case PG_KIND_ARRAY:
    case PG_KIND_COMPOSITE:
    case PG_KIND_RANGE:
        break;
    }
    return false;
}

/* ---- lists ---- */

/* The end of the quoted text that begins at `from`, behind its quote; literal.n = there is none. */
static size_t find_quote(struct hs_str literal, size_t from, size_t *ret_escapes)
{
    size_t i = from;

    *ret_escapes = 0;
    for (; i < literal.n && literal.p[i] != '"'; i++) {
        if (literal.p[i] == '\\') {
            ++*ret_escapes;
            i++;
        }
    }
    return i < literal.n ? i : literal.n;
}

static struct hs_str without_escapes(struct hs_str quoted, struct hs_arena *arena)
{
    char *to = hs_arena_alloc(arena, quoted.n + 1);
    size_t n = 0;

    for (size_t i = 0; to && i < quoted.n; i++) {
        i += quoted.p[i] == '\\';
        to[n++] = quoted.p[i];
    }
    if (to)
        to[n] = '\0';
    return hs_strn(to, n);
}

bool api_value_next(struct hs_str literal, char delim, size_t *at, struct hs_arena *arena,
                    struct hs_str *ret_element)
{
    size_t i = *at ? *at : 1;
    size_t escapes;
    size_t end;

    *ret_element = HS_STR_NULL;
    if (i >= literal.n || literal.p[0] != '{')
        return false;
    if (literal.p[i] == '}') {
        *at = literal.n;
        return i + 1 == literal.n;
    }
    if (*at && literal.p[i++] != delim)
        return false;
    if (i >= literal.n || literal.p[i] != '"')
        return false;
    end = find_quote(literal, i + 1, &escapes);
    if (end == literal.n)
        return false;
    *ret_element = hs_str_sub(literal, i + 1, end);
    if (escapes)
        *ret_element = without_escapes(*ret_element, arena);
    *at = end + 1;
    return ret_element->p != NULL;
}
