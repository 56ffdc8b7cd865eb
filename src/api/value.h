/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/value.h - is this text a value of that type? Asked before PostgreSQL is, where the answer is cheap,
 * so that the error names the column and its type and no statement is wasted.
 */
#ifndef API_VALUE_H
#define API_VALUE_H

#include "api/tree.h"

/* Whose value it is, for messages. */
struct value_place {
    struct hs_str table;
    const struct tree_field *field;
};

/* Passes what is right and what only PostgreSQL can judge. errors  HS_E_BAD_VALUE */
hs_status value_check(struct value_place place, struct hs_str value, struct hs_err *reterr)
    hs_must_check;

/* The forms of PostgreSQL's float8 and numeric, NaN and Infinity included. */
bool value_is_number(struct hs_str s);
/* Of the form that PostgreSQL writes: 8-4-4-4-12 hexadecimal digits. */
bool value_is_uuid(struct hs_str s);

/*
 * A comma list as an array literal of the column's type: {"a","b"}.
 *   max     most elements
 *   errors  HS_E_BAD_VALUE, HS_E_BAD_PARAMETER (too many), HS_E_MEMORY
 */
hs_status value_array(struct value_place place, struct hs_str list, size_t max,
                      struct hs_arena *arena, struct hs_str *ret_literal, struct hs_err *reterr)
    hs_must_check;

/* A LIKE pattern in which '*' means any characters, like '%'; "\*" stays a star. */
struct hs_str value_pattern(struct hs_arena *arena, struct hs_str text);

/* A pattern that finds `text` anywhere: its %, _ and \ mean themselves. */
struct hs_str value_pattern_within(struct hs_arena *arena, struct hs_str text);

#endif
