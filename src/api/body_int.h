/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/body_int.h - what the files of api/body share.
 *
 *     body.c          objects into rows
 *     body_value.c    a JSON value into the input form of a type
 *     body_check.c    what a type can hold
 *     body_nested.c   arrays and objects as literals of arrays and composites
 */
#ifndef API_BODY_INT_H
#define API_BODY_INT_H

#include "api/body.h"
#include "core/buf.h"
#include "core/json_read.h"

/* A column that some row gave; beside each one stands its tree_assignment. */
struct body_slot {
    const struct tree_field *field;
    struct hs_str name; /* as it stands in the text, p == NULL: with escapes */
    bool *is_given;     /* NULL: every row so far gave it */
    size_t last_row;    /* that gave it, from 1 */
};

struct body_reader {
    const struct api_table *table;
    enum body_kind kind;
    struct json_reader json;
    struct hs_arena *arena;
    struct hs_buf scratch; /* literals are built here */
    uint64_t mem_failures; /* before */
    char *at;              /* room for values; a value takes no more of it than of the text */
    char *end;
    bool is_array;
    size_t n_rows;
    size_t row;                     /* from 1 */
    const struct tree_field *field; /* whose value is read */
    uint16_t *slot_of;              /* by position of the column: slot + 1; 0 = not given yet */
    struct body_slot *slots;
    struct tree_assignment *set;
    size_t n_set;
};

/* Lack of memory, or the bound of the request's arena. */
hs_status body_fail_memory(const struct body_reader *b, struct hs_err *reterr);
/* Adds ", row 7" to what happened, where there are many rows. */
void body_add_row(const struct body_reader *b, struct hs_err *reterr);

/* ---- body_value.c ---- */

/* The value that begins with `token`, for b->field; *ret_value is NULL for SQL NULL. */
hs_status body_value(struct body_reader *b, enum json_token token, const char **ret_value,
                     struct hs_err *reterr) hs_must_check;
/*
 * A value that is one token. *ret_text holds until the next call, and may be longer-lived.
 *   token  neither NULL nor the begin of an object or an array that is allowed
 */
hs_status body_scalar(struct body_reader *b, struct json_reader *json, const struct pg_type *type,
                      int32_t typmod, enum json_token token, struct hs_str *ret_text,
                      struct hs_err *reterr) hs_must_check;
/* A value of a json column, as it stands. json->has_nul was false before the column's value. */
hs_status body_json(struct body_reader *b, struct json_reader *json, const struct pg_type *type,
                    enum json_token token, struct hs_str *ret_text, struct hs_err *reterr)
    hs_must_check;
/*
 * HS_E_BAD_VALUE: the last token is no value of the type, which is the column's or that of a part of it.
 * `range` follows the name of the type, " (0 to 9)" or "".
 */
hs_status body_fail_value(const struct body_reader *b, const struct json_reader *json,
                          const struct pg_type *type, int32_t typmod, const char *range,
                          const char *hint, struct hs_err *reterr);

/* ---- body_check.c ---- */

/* Is the text of a string or number a value of the type? Only PostgreSQL can judge what passes. */
hs_status body_check(const struct body_reader *b, const struct json_reader *json,
                     const struct pg_type *type, int32_t typmod, struct hs_str text,
                     struct hs_err *reterr) hs_must_check;

enum { BODY_TYPE_NAME_MAX = 160 };
/* "numeric(10,2)", NUL-terminated. */
void body_type_name(const struct pg_type *type, int32_t typmod, char to[static BODY_TYPE_NAME_MAX]);

/* ---- body_nested.c ---- */

/* A JSON array as an array literal, into the scratch; its '[' was read. */
hs_status body_array(struct body_reader *b, struct json_reader *json, const struct pg_type *type,
                     int32_t typmod, struct hs_err *reterr) hs_must_check;
/* A JSON object as a row literal, into the scratch; its '{' was read. */
hs_status body_record(struct body_reader *b, struct json_reader *json, const struct pg_type *type,
                      struct hs_err *reterr) hs_must_check;

#endif
