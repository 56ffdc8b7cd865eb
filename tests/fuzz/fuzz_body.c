/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the body of a write to a table with columns of every kind. The first byte says which write.
 * A refusal is a 4xx with a reason; what is accepted keeps the promises of api/body.h: each value ends,
 * numbers and booleans are such, literals of arrays and composites are balanced, JSON is JSON, and what an
 * error of PostgreSQL's would say about it is found without harm.
 */
#include <stdlib.h>

#include "api/body_world.h"
#include "api/value.h"
#include "core/json_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS_MAX = 16 };

static void check_json(struct hs_str value)
{
    struct json_reader r;
    enum json_token token = JSON_NULL;

    json_reader_init(&r, value, JSON_DEPTH_MAX);
    while (token != JSON_END) {
        if (json_next(&r, &token, NULL))
            abort();
    }
}

/* Braces or parentheses outside quotes open and close, and the last byte closes the first. */
static void check_literal(struct hs_str s, char open, char close)
{
    bool in_quotes = false;
    int depth = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (in_quotes && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            in_quotes = !in_quotes;
        else if (!in_quotes && s.p[i] == open)
            depth++;
        else if (!in_quotes && s.p[i] == close)
            depth--;
        if (depth <= 0 && i + 1 < s.n)
            abort();
    }
    if (depth || in_quotes)
        abort();
}

/* `is_string`: some string stands in the body that may be a literal of the client's own making. */
static void check_value(const struct pg_type *type, const char *text, bool is_string)
{
    struct hs_str value = hs_str(text);
    int64_t v;

    if (!hs_str_is_utf8(value))
        abort();
    if (type->kind == PG_KIND_INT || type->kind == PG_KIND_INT8) {
        if (!hs_str_to_i64(value, &v))
            abort();
    } else if (type->kind == PG_KIND_FLOAT || type->kind == PG_KIND_NUMERIC) {
        if (!value_is_number(value))
            abort();
    } else if (type->kind == PG_KIND_BOOL) {
        if (!hs_str_is(value, "true") && !hs_str_is(value, "false"))
            abort();
    } else if (type->kind == PG_KIND_JSON) {
        check_json(value);
    } else if (type->kind == PG_KIND_ARRAY && type->delim != ' ' && !is_string) {
        check_literal(value, '{', '}');
    } else if (type->kind == PG_KIND_COMPOSITE && !is_string) {
        check_literal(value, '(', ')');
    }
}

static void check_rows(const struct body_rows *rows, struct hs_str text)
{
    bool is_string = memmem(text.p, text.n, "\"{", 2) || memmem(text.p, text.n, "\"[", 2) ||
                     memmem(text.p, text.n, "\"(", 2) || memmem(text.p, text.n, "\"\\", 2);

    if (!rows->n_rows || rows->n_rows > ROWS_MAX || (rows->n_rows > 1 && !rows->is_array))
        abort();
    for (size_t i = 0; i < rows->n_set; i++) {
        const struct tree_assignment *set = &rows->set[i];

        for (size_t row = 0; row < rows->n_rows; row++) {
            bool is_given = !set->is_given || set->is_given[row];

            if (!is_given && set->values[row])
                abort();
            if (set->values[row])
                check_value(set->column->type, set->values[row], is_string);
        }
    }
}

/* PostgreSQL refuses the last value that there is. */
static void explain(const struct api_table *table, const struct body_rows *rows)
{
    struct hs_err err = {0};
    const char *value = rows->n_set ? rows->set[rows->n_set - 1].values[rows->n_rows - 1] : NULL;

    (void)hs_fail(&err, HS_E_PG_ERROR, "invalid input syntax for type text: \"%s\"",
                  value ? value : "");
    memcpy(err.sqlstate, "22P02", 6);
    body_explain(table, rows, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct api_model *model;
    static struct hs_arena arena;
    const struct api_table *table;
    struct hs_str text;
    struct body_rows rows;
    struct hs_err err = {0};

    if (!model) {
        model = body_world();
        hs_arena_init(&arena, 1 << 24);
    }
    if (!model || !size || size > 1 << 16)
        return 0;
    table = api_model_table(model, HS_STR("people"));
    text = hs_strn((const char *)data + 1, size - 1);
    if (body_read(table, (enum body_kind)(data[0] % 3), text, ROWS_MAX, &arena, &rows, &err)) {
        if (hs_err_http(&err) < 400 || hs_err_http(&err) > 499 || !err.what[0])
            abort();
    } else {
        check_rows(&rows, text);
        explain(table, &rows);
    }
    hs_arena_reset(&arena);
    return 0;
}
