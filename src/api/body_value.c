/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON value into the text that the input function of its column's type reads.
 *
 *     JSON             for columns of
 *     string           every kind but bool; for numbers one that is a number, for arrays and composites a
 *                      literal of PostgreSQL
 *     number           int, float, numeric
 *     true, false      bool
 *     array            arrays
 *     object           composites
 *     anything         json, jsonb
 *     null             all: SQL NULL
 *
 * The rule: what is of another kind is refused, not converted. A number in a text column is a mistake of
 * the client's more often than it is meant ("007" has become 7 by then).
 *
 * Strings without escapes are slices of the body until they are kept; all values of a body share one block
 * of its size, since none is longer than its JSON (literals of nested values are, and go to the arena).
 */
#include "api/body_int.h"

enum { OID_JSONB = 3802 };
enum { SHOWN_MAX = 80 };

/* "an array", or the token as it stands. */
static void fail_token(const struct body_reader *b, const struct json_reader *json,
                       struct hs_err *reterr)
{
    struct hs_str text = hs_str_sub(json->text, json->start, json->at);
    struct hs_str shown = hs_str_sub(text, 0, hs_str_utf8_cut(text, SHOWN_MAX));
    char first = text.p && text.n ? text.p[0] : '\0';

    if (first == '[' || first == ']')
        shown = HS_STR("an array");
    else if (first == '{' || first == '}')
        shown = HS_STR("an object");
    (void)hs_fail(reterr, HS_E_BAD_VALUE, "%.*s%s is not a valid value for %.*s.%.*s",
                  HS_FMT(shown), text.n > shown.n && shown.p == text.p ? "..." : "",
                  HS_FMT(b->table->name), HS_FMT(b->field->name));
    body_add_row(b, reterr);
}

hs_status body_fail_value(const struct body_reader *b, const struct json_reader *json,
                          const struct pg_type *type, int32_t typmod, const char *range,
                          const char *hint, struct hs_err *reterr)
{
    const struct pg_column *column = b->field->column;
    char whole[BODY_TYPE_NAME_MAX];
    char part[BODY_TYPE_NAME_MAX];

    fail_token(b, json, reterr);
    body_type_name(column->type, column->typmod, whole);
    body_type_name(type, typmod, part);
    if (type == column->type)
        hs_err_why(reterr, "The column is of type %s%s.", whole, range);
    else
        hs_err_why(reterr, "The column is of type %s, the value in it of type %s%s.", whole, part,
                   range);
    hs_err_hint(reterr, "%s", hint);
    if (reterr)
        reterr->http = 422;
    return HS_E_BAD_VALUE;
}

/* What kind of JSON it should have been. */
static const char *wanted(const struct pg_type *type)
{
    switch (type->kind) {
    case PG_KIND_BOOL:
        return "Send true or false.";
    case PG_KIND_INT:
        return "Send a whole number.";
    case PG_KIND_INT8:
        return "Send a whole number, or a string that is one.";
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
        return "Send a number.";
    case PG_KIND_ARRAY:
        return "Send an array.";
    case PG_KIND_COMPOSITE:
        return "Send an object.";
    case PG_KIND_TEXT:
    case PG_KIND_JSON:
    case PG_KIND_DATE:
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
    case PG_KIND_TIME:
    case PG_KIND_BYTEA:
    case PG_KIND_ENUM:
    case PG_KIND_RANGE:
        break;
    }
    return "Send a string.";
}

static bool is_number_kind(enum pg_kind kind)
{
    return kind == PG_KIND_INT || kind == PG_KIND_INT8 || kind == PG_KIND_FLOAT ||
           kind == PG_KIND_NUMERIC;
}

/* At least n bytes that nothing uses yet. */
static char *room(struct body_reader *b, size_t n)
{
    return (size_t)(b->end - b->at) >= n ? b->at : hs_arena_alloc(b->arena, n);
}

static hs_status read_string(struct body_reader *b, const struct json_reader *json,
                             const struct pg_type *type, int32_t typmod, struct hs_str *ret_text,
                             struct hs_err *reterr)
{
    struct hs_str raw = json->value;
    char *to;

    *ret_text = raw;
    if (!json->has_escapes)
        return HS_OK;
    to = room(b, raw.n + 1);
    if (!to)
        return body_fail_memory(b, reterr);
    if (!json_unescape(raw, to, &ret_text->n))
        return body_fail_value(b, json, type, typmod, "",
                               "PostgreSQL cannot store \\u0000; leave it out.", reterr);
    ret_text->p = to;
    return HS_OK;
}

hs_status body_scalar(struct body_reader *b, struct json_reader *json, const struct pg_type *type,
                      int32_t typmod, enum json_token token, struct hs_str *ret_text,
                      struct hs_err *reterr)
{
    bool is_bool = token == JSON_TRUE || token == JSON_FALSE;
    bool is_allowed = token == JSON_STRING   ? type->kind != PG_KIND_BOOL
                      : token == JSON_NUMBER ? is_number_kind(type->kind)
                                             : is_bool && type->kind == PG_KIND_BOOL;
    hs_status status = HS_OK;

    if (!is_allowed)
        return body_fail_value(b, json, type, typmod, "", wanted(type), reterr);
    if (is_bool) {
        *ret_text = token == JSON_TRUE ? HS_STR("true") : HS_STR("false");
        return HS_OK;
    }
    *ret_text = json->value;
    if (token == JSON_STRING)
        status = read_string(b, json, type, typmod, ret_text, reterr);
    return status ? status : body_check(b, json, type, typmod, *ret_text, reterr);
}

hs_status body_json(struct body_reader *b, struct json_reader *json, const struct pg_type *type,
                    enum json_token token, struct hs_str *ret_text, struct hs_err *reterr)
{
    hs_status status = json_skip(json, token, ret_text, reterr);

    if (!status && json->has_nul && type->oid == OID_JSONB)
        return body_fail_value(b, json, type, -1, "", "jsonb cannot hold \\u0000; leave it out.",
                               reterr);
    return status;
}

/* Copies the text to where it stays, unless read_string() has put it there already. */
static const char *keep(struct body_reader *b, struct hs_str s)
{
    char *to = room(b, s.n + 1);

    if (!to)
        return NULL;
    if (s.n && s.p != to)
        memcpy(to, s.p, s.n);
    to[s.n] = '\0';
    if (to == b->at)
        b->at += s.n + 1;
    return to;
}

hs_status body_value(struct body_reader *b, enum json_token token, const char **ret_value,
                     struct hs_err *reterr)
{
    const struct pg_column *column = b->field->column;
    const struct pg_type *type = column->type;
    struct json_reader *json = &b->json;
    struct hs_str text;
    hs_status status;

    *ret_value = NULL;
    if (token == JSON_NULL)
        return HS_OK;
    hs_buf_clear(&b->scratch);
    if (type->kind == PG_KIND_JSON) {
        status = body_json(b, json, type, token, &text, reterr);
    } else if (token == JSON_ARRAY && type->kind == PG_KIND_ARRAY && type->delim != ' ') {
        status = body_array(b, json, type, column->typmod, reterr);
        text = hs_buf_str(&b->scratch);
    } else if (token == JSON_OBJECT && type->kind == PG_KIND_COMPOSITE) {
        status = body_record(b, json, type, reterr);
        text = hs_buf_str(&b->scratch);
    } else {
        status = body_scalar(b, json, type, column->typmod, token, &text, reterr);
    }
    if (status)
        return status;
    if (hs_buf_failed(&b->scratch))
        return body_fail_memory(b, reterr);
    *ret_value = keep(b, text);
    return *ret_value ? HS_OK : body_fail_memory(b, reterr);
}
