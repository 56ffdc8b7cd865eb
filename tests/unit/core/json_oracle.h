/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a JSON text is, asked of the reader and of jansson, which is strict too. They must agree wherever
 * jansson has an opinion: it has none about numbers that no double holds and about names with \u0000,
 * and lets a NUL byte pass behind a number.
 */
#ifndef UNIT_CORE_JSON_ORACLE_H
#define UNIT_CORE_JSON_ORACLE_H

#include <stdlib.h>

/* Both call their kinds of value JSON_OBJECT and so on; jansson's get other names here. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_TRUE JANSSON_TRUE
#define JSON_FALSE JANSSON_FALSE
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#include "core/json_read.h"

enum oracle_verdict { ORACLE_NO, ORACLE_YES, ORACLE_UNKNOWN };

/* *ret_string: where the whole text is one string, its value (to be freed with json_decref()). */
static inline enum oracle_verdict oracle_judge(struct hs_str text, json_t **ret_string)
{
    json_error_t error;
    json_t *value = json_loadb(text.p, text.n,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);

    *ret_string = NULL;
    if (!value)
        return json_error_code(&error) == json_error_numeric_overflow ||
                       json_error_code(&error) == json_error_null_byte_in_key ||
                       json_error_code(&error) == json_error_stack_overflow
                   ? ORACLE_UNKNOWN
                   : ORACLE_NO;
    if (hs_str_find(text, '\0') < text.n) {
        json_decref(value);
        return ORACLE_UNKNOWN;
    }
    if (json_typeof(value) == JANSSON_STRING)
        *ret_string = value;
    else
        json_decref(value);
    return ORACLE_YES;
}

/* Reads to the end; every slice lies in the text, and json_skip() finds the same end. */
static inline hs_status oracle_read(struct hs_str text, struct hs_err *reterr)
{
    struct json_reader r;
    struct json_reader skipper;
    enum json_token token = JSON_NULL;
    struct hs_str whole;
    hs_status status = HS_OK;
    hs_status skipped;

    json_reader_init(&skipper, text, JSON_DEPTH_MAX);
    skipped = json_next(&skipper, &token, reterr);
    if (!skipped)
        skipped = json_skip(&skipper, token, &whole, reterr);
    if (!skipped)
        skipped = json_next(&skipper, &token, reterr);
    token = JSON_NULL;
    json_reader_init(&r, text, JSON_DEPTH_MAX);
    while (!status && token != JSON_END) {
        status = json_next(&r, &token, reterr);
        HS_BUG_ON(r.at > text.n || r.start > r.at || r.depth > JSON_DEPTH_MAX);
        if (!status && (token == JSON_NAME || token == JSON_STRING || token == JSON_NUMBER))
            HS_BUG_ON(r.value.p < text.p || r.value.p + r.value.n > text.p + text.n);
    }
    HS_BUG_ON(status != skipped || (status && status != HS_E_BAD_JSON));
    return status;
}

/* Was it refused only for being deep? Then jansson, which goes deeper, is no judge. */
static inline bool oracle_is_too_deep(const struct hs_err *err)
{
    return strstr(err->what, "nested deeper") != NULL;
}

/* True where reader and jansson agree about the text, and about the string if it is one. */
static inline bool oracle_agrees(struct hs_str text)
{
    struct hs_err err = {0};
    json_t *string;
    hs_status status = oracle_read(text, &err);
    enum oracle_verdict verdict = oracle_judge(text, &string);
    bool is_same = verdict == ORACLE_UNKNOWN || (verdict == ORACLE_YES) == !status ||
                   oracle_is_too_deep(&err);

    if (string && !status) {
        struct hs_str expected = hs_strn(json_string_value(string), json_string_length(string));
        struct json_reader r;
        enum json_token token;
        char *got = malloc(text.n + 1);
        size_t n = 0;

        json_reader_init(&r, text, 1);
        is_same = got && !json_next(&r, &token, &err) && token == JSON_STRING;
        if (is_same && !json_unescape(r.value, got, &n))
            is_same = r.has_nul && memchr(expected.p, 0, expected.n);
        else if (is_same)
            is_same = !r.has_nul && hs_str_eq(hs_strn(got, n), expected);
        free(got);
    }
    if (string)
        json_decref(string);
    return is_same;
}

#endif
