/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the text of any type. The first byte chooses the type, the second the options; the text is
 * copied to memory of its very size, so that one byte too far is seen. Whatever is written must be one
 * JSON value with balanced brackets and closed strings, except where json itself passes through.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct pg_type scalars[] = {
    {.kind = PG_KIND_TEXT},  {.kind = PG_KIND_BOOL},      {.kind = PG_KIND_INT},
    {.kind = PG_KIND_INT8},  {.kind = PG_KIND_FLOAT},     {.kind = PG_KIND_NUMERIC},
    {.kind = PG_KIND_DATE},  {.kind = PG_KIND_TIMESTAMP}, {.kind = PG_KIND_TIMESTAMPTZ},
    {.kind = PG_KIND_TIME},  {.kind = PG_KIND_BYTEA},     {.kind = PG_KIND_ENUM},
    {.kind = PG_KIND_RANGE},
};
static const struct pg_type json = {.kind = PG_KIND_JSON};

static const struct pg_type arrays[] = {
    {.kind = PG_KIND_ARRAY, .delim = ',', .elem = &scalars[0]},
    {.kind = PG_KIND_ARRAY, .delim = ',', .elem = &scalars[3]},
    {.kind = PG_KIND_ARRAY, .delim = ';', .elem = &scalars[8]},
    {.kind = PG_KIND_ARRAY, .delim = ' ', .elem = &scalars[2]},
    {.kind = PG_KIND_ARRAY, .delim = ',', .elem = &scalars[1]},
};
static const struct pg_field fields[] = {
    {{"a", 1}, &scalars[0]},
    {{"b \"b\"", 5}, &arrays[0]},
    {{"c", 1}, &scalars[5]},
};
static const struct pg_type pair = {.kind = PG_KIND_COMPOSITE, .fields = fields, .n_fields = 2};
static const struct pg_type triple = {.kind = PG_KIND_COMPOSITE, .fields = fields, .n_fields = 3};
static const struct pg_type nothing = {.kind = PG_KIND_COMPOSITE};
static const struct pg_type pairs = {.kind = PG_KIND_ARRAY, .delim = ',', .elem = &pair};
static const struct pg_field deep_fields[] = {{{"p", 1}, &pairs}, {{"q", 1}, &triple}};
static const struct pg_type deep = {
    .kind = PG_KIND_COMPOSITE, .fields = deep_fields, .n_fields = 2};
static const struct pg_type deeps = {.kind = PG_KIND_ARRAY, .delim = ',', .elem = &deep};
/* The catalog makes no such type; here it shows that the nesting is bounded. */
static struct pg_type endless = {.kind = PG_KIND_ARRAY, .delim = ',', .elem = &endless};

static const struct pg_type *const types[] = {
    &scalars[0], &scalars[1], &scalars[2], &scalars[3],  &scalars[4],  &scalars[5],  &scalars[6],
    &scalars[7], &scalars[8], &scalars[9], &scalars[10], &scalars[11], &scalars[12], &arrays[0],
    &arrays[1],  &arrays[2],  &arrays[3],  &arrays[4],   &pair,        &triple,      &nothing,
    &pairs,      &deep,       &deeps,      &endless,     &json,
};

static void check_balance(struct hs_str s)
{
    bool in_string = false;
    int open = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (in_string && (unsigned char)c < 0x20)
            abort();
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{'))
            open++;
        else if (!in_string && (c == ']' || c == '}') && --open < 0)
            abort();
        if (i + 1 < s.n && !in_string && open == 0 && (c == ']' || c == '}' || c == '"'))
            abort();
    }
    if (in_string || open || s.n == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pg_type *type;
    struct api_rows_opts opts;
    struct hs_buf out;
    char *text;

    if (size < 2)
        return 0;
    type = types[data[0] % HS_LEN(types)];
    opts = (struct api_rows_opts){.omit_nulls = data[1] & 1, .int8_as_string = data[1] & 2};
    text = malloc(size - 2 ? size - 2 : 1);
    if (!text)
        return 0;
    memcpy(text, data + 2, size - 2);
    hs_buf_init(&out, /* max= */ 1 << 24);
    api_value_write(&out, type, hs_strn(text, size - 2), &opts);
    if (type != &json && !hs_buf_failed(&out))
        check_balance(hs_buf_str(&out));
    hs_buf_fini(&out);
    free(text);
    return 0;
}
