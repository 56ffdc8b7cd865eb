/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/body.h - the JSON of a write becomes values of columns.
 *
 * Promises   - values are in the input form of their column's type, ready to be parameters: strings
 *              unescaped, numbers as they stand, json and jsonb as they stand, JSON arrays as array
 *              literals, objects for composite columns as row literals: (1,"x"). Strings for arrays and
 *              composites are such literals already;
 *            - what can be checked without the database is: kinds of JSON against kinds of type,
 *              integers against their range, numeric against what its precision leaves before the point,
 *              lengths of varchar and char, booleans, uuid, enum labels, the shape of arrays; an error
 *              names column, row (from 1) and type. Digits behind a numeric's scale are PostgreSQL's to
 *              round;
 *            - generated columns and GENERATED ALWAYS identities are refused with the reason (except in
 *              the key, where it only names the row), unknown names with the nearest one, a name that
 *              stands twice in one object is refused. In json and jsonb values it is not.
 * Lifetime   the request's arena. `text` may go.
 */
#ifndef API_BODY_H
#define API_BODY_H

#include "api/model.h"

struct body_rows {
    bool is_array;               /* of objects; else one object */
    struct tree_assignment *set; /* every column that some row gives, in the order of first sight */
    size_t n_set;                /* may be 0: rows of defaults */
    size_t n_rows;               /* > 0 */
};

enum body_kind {
    BODY_INSERT, /* one object, or an array of one and more */
    BODY_UPDATE, /* one object with at least one member, or an array of objects that all give the key,
                  * each another one, and something that changes */
    BODY_REPLACE /* one object */
};

/*
 *   rows_max  most rows (api.body.rows_max)
 *   errors    HS_E_BAD_JSON, HS_E_BAD_BODY (400: shape), HS_E_UNKNOWN_COLUMN, HS_E_BAD_VALUE (422: a value
 *             that its column cannot hold), HS_E_BODY_TOO_LARGE (413: rows, or the arena's bound),
 *             HS_E_MEMORY
 */
hs_status body_read(const struct api_table *table, enum body_kind kind, struct hs_str text,
                    uint64_t rows_max, struct hs_arena *arena, struct body_rows *ret_rows,
                    struct hs_err *reterr) hs_must_check;

/*
 * After PostgreSQL refused a value (22xxx) or a NULL (23502): says of which column and of which row it was,
 * where the message leaves one answer, and makes a 422 of the first. The error stays as it is where it
 * does not: the message is in another language, a trigger spoke, a check names no column.
 */
void body_explain(const struct api_table *table, const struct body_rows *rows, struct hs_err *err);

#endif
