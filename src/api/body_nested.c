/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays and composites: JSON into the literals that array_in() and record_in() read.
 *
 *     [1, null, "a\"b"]             {1,NULL,"a\"b"}
 *     {"x": 1, "y": ["a", "b"]}     (1,"{\"a\",\"b\"}")         in the order of the type's fields
 *
 * Everything but numbers and booleans is quoted, so no text can end its element. A value is first written
 * bare behind the literal's text so far and then quoted in place, from its end to its begin; a value that
 * is nested twice is quoted twice.
 *
 * Arrays are rectangular, as PostgreSQL's are. For arrays of json there are no dimensions but the first:
 * what stands in an element is the element.
 *
 * Source: PostgreSQL 15 manual, 8.15.6 (array input and output), 8.16.6 (composite).
 */
#include "api/body_int.h"
#include "core/nearest.h"

enum { DIMENSIONS_MAX = 6 }; /* PostgreSQL's MAXDIM */

/* Puts quotes around what stands behind `from`, and backslashes before quotes and backslashes in it. */
static void quote_tail(struct hs_buf *out, size_t from)
{
    size_t more = 2;
    size_t to;

    if (hs_buf_failed(out))
        return;
    for (size_t i = from; i < out->n; i++)
        more += out->p[i] == '"' || out->p[i] == '\\';
    if (!hs_buf_room(out, more))
        return;
    to = out->n + more;
    out->p[--to] = '"';
    for (size_t i = out->n; i > from; i--) {
        char c = out->p[i - 1];

        out->p[--to] = c;
        if (c == '"' || c == '\\')
            out->p[--to] = '\\';
    }
    out->p[--to] = '"';
    hs_buf_added(out, more);
}

/* A value inside a literal, quoted where it must be; not for null. */
static hs_status put_value(struct body_reader *b, struct json_reader *json,
                           const struct pg_type *type, int32_t typmod, enum json_token token,
                           struct hs_err *reterr)
{
    size_t from = b->scratch.n;
    struct hs_str text = HS_STR_NULL;
    hs_status status;

    if (type->kind == PG_KIND_JSON)
        status = body_json(b, json, type, token, &text, reterr);
    else if (token == JSON_ARRAY && type->kind == PG_KIND_ARRAY && type->delim != ' ')
        status = body_array(b, json, type, typmod, reterr);
    else if (token == JSON_OBJECT && type->kind == PG_KIND_COMPOSITE)
        status = body_record(b, json, type, reterr);
    else
        status = body_scalar(b, json, type, typmod, token, &text, reterr);
    if (status)
        return status;
    hs_buf_add(&b->scratch, text);
    if (token != JSON_NUMBER && token != JSON_TRUE && token != JSON_FALSE)
        quote_tail(&b->scratch, from);
    return HS_OK;
}

/* ---- arrays ---- */

struct shape {
    unsigned n;                     /* dimensions; 0 = not known before the first element */
    size_t lengths[DIMENSIONS_MAX]; /* and one more; 0 = not known */
};

static hs_status fail_shape(const struct body_reader *b, const struct json_reader *json,
                            const struct pg_type *type, struct hs_err *reterr)
{
    return body_fail_value(b, json, type, -1, "",
                           "Arrays inside an array all have the same length and depth (at most 6).",
                           reterr);
}

static hs_status put_element(struct body_reader *b, struct json_reader *json,
                             const struct pg_type *type, int32_t typmod, enum json_token token,
                             struct hs_err *reterr)
{
    if (token != JSON_NULL)
        return put_value(b, json, type->elem, typmod, token, reterr);
    hs_buf_add_lit(&b->scratch, "NULL");
    return HS_OK;
}

static bool is_dimension(const struct pg_type *elem, enum json_token token)
{
    return token == JSON_ARRAY && elem->kind != PG_KIND_JSON && elem->kind != PG_KIND_ARRAY;
}

/* May what begins at this level stand there? An element tells how many dimensions there are. */
static bool fits(struct shape *shape, bool is_inner, unsigned level)
{
    if (is_inner)
        return level + 1 < DIMENSIONS_MAX && (!shape->n || level + 1 < shape->n);
    if (!shape->n)
        shape->n = level + 1;
    return shape->n == level + 1;
}

/* One dimension, its '[' was read; `level` counts from 0. */
static hs_status put_dimension(struct body_reader *b, struct json_reader *json,
                               const struct pg_type *type, int32_t typmod, struct shape *shape,
                               unsigned level, struct hs_err *reterr)
{
    size_t length = 0;

    hs_buf_add_char(&b->scratch, '{');
    for (;; length++) {
        enum json_token token;
        hs_status status = json_next(json, &token, reterr);
        bool is_inner;

        if (status)
            return status;
        if (token == JSON_ARRAY_END)
            break;
        if (length)
            hs_buf_add_char(&b->scratch, type->delim ? type->delim : ',');
        is_inner = is_dimension(type->elem, token);
        if (!fits(shape, is_inner, level))
            return fail_shape(b, json, type, reterr);
        status = is_inner ? put_dimension(b, json, type, typmod, shape, level + 1, reterr)
                          : put_element(b, json, type, typmod, token, reterr);
        if (status)
            return status;
    }
    if (!length && !shape->n)
        shape->n = level + 1;
    if (shape->lengths[level] && shape->lengths[level] != length + 1)
        return fail_shape(b, json, type, reterr);
    shape->lengths[level] = length + 1;
    hs_buf_add_char(&b->scratch, '}');
    return HS_OK;
}

hs_status body_array(struct body_reader *b, struct json_reader *json, const struct pg_type *type,
                     int32_t typmod, struct hs_err *reterr)
{
    struct shape shape = {0};
    size_t from = b->scratch.n;
    hs_status status = put_dimension(b, json, type, typmod, &shape, 0, reterr);

    /* An array without elements has no dimensions, however it is nested. */
    if (!status && !hs_buf_failed(&b->scratch) && shape.lengths[shape.n - 1] == 1) {
        b->scratch.n = from;
        hs_buf_add_lit(&b->scratch, "{}");
    }
    return status;
}

/* ---- composites ---- */

static hs_status fail_field(const struct body_reader *b, const struct pg_type *type,
                            struct hs_str name, bool is_twice, struct hs_err *reterr)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, name);
    for (size_t i = 0; i < type->n_fields; i++)
        hs_nearest_offer(&near, type->fields[i].name);
    best = is_twice ? HS_STR_NULL : hs_nearest_best(&near);
    (void)hs_fail(reterr, HS_E_BAD_VALUE,
                  is_twice ? "\"%.*s\" stands twice in %.*s.%.*s"
                           : "\"%.*s\" is no field of %.*s.%.*s",
                  HS_FMT(name), HS_FMT(b->table->name), HS_FMT(b->field->name));
    body_add_row(b, reterr);
    hs_err_why(reterr, "The object is of type %.*s.", HS_FMT(type->name));
    if (best.n)
        hs_err_hint(reterr, "Perhaps you meant \"%.*s\".", HS_FMT(best));
    if (reterr)
        reterr->http = 422;
    return HS_E_BAD_VALUE;
}

/* The JSON of each field, as it stands; p == NULL where it is not given. */
static hs_status collect_fields(struct body_reader *b, struct json_reader *json,
                                const struct pg_type *type, struct hs_str *values,
                                struct hs_err *reterr)
{
    for (;;) {
        struct hs_str name;
        enum json_token token;
        hs_status status = json_next(json, &token, reterr);
        size_t i = 0;

        if (status || token == JSON_OBJECT_END)
            return status;
        name = json->value;
        if (json->has_escapes)
            status = json_text(json, b->arena, &name, reterr);
        if (status == HS_E_MEMORY)
            return body_fail_memory(b, reterr);
        if (status)
            return status;
        while (i < type->n_fields && !hs_str_eq(type->fields[i].name, name))
            i++;
        if (i == type->n_fields || values[i].p)
            return fail_field(b, type, name, i < type->n_fields, reterr);
        status = json_next(json, &token, reterr);
        if (!status)
            status = json_skip(json, token, &values[i], reterr);
        if (status)
            return status;
    }
}

hs_status body_record(struct body_reader *b, struct json_reader *json, const struct pg_type *type,
                      struct hs_err *reterr)
{
    struct hs_str *values = HS_NEW_ARRAY(b->arena, type->n_fields, struct hs_str);
    hs_status status;

    if (!values)
        return body_fail_memory(b, reterr);
    status = collect_fields(b, json, type, values, reterr);
    hs_buf_add_char(&b->scratch, '(');
    for (size_t i = 0; !status && i < type->n_fields; i++) {
        struct json_reader inner;
        enum json_token token = JSON_NULL;

        if (i)
            hs_buf_add_char(&b->scratch, ',');
        json_reader_init(&inner, values[i], json->depth_max);
        if (values[i].p)
            status = json_next(&inner, &token, reterr);
        /* What stands between two commas is NULL. */
        if (!status && token != JSON_NULL)
            status = put_value(b, &inner, type->fields[i].type, -1, token, reterr);
    }
    hs_buf_add_char(&b->scratch, ')');
    return status;
}
