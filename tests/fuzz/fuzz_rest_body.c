/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a write fed with any bytes, as JSON, CSV and form; the first byte says how. What is read is JSON
 * of the shape that is promised, names are sorted and each once, limits hold; a refusal is a 4xx with its reason,
 * and the same whether the reason is asked for or not. What CSV and forms became reads as the same JSON again.
 */
#include <stdlib.h>

#include "rest/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 16 << 20, ROWS_MAX = 100, INPUT_MAX = 8192 };

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_body(const struct rest_body *body)
{
    check(body->json.p && !body->json.p[body->json.n] && hs_str_is_utf8(body->json));
    check(body->n_rows <= ROWS_MAX && body->n_names <= REST_BODY_NAMES_MAX);
    check(body->is_array || body->n_rows == 1);
    for (size_t i = 0; i < body->n_names; i++) {
        check(hs_str_is_utf8(body->names[i]));
        check(!i || hs_str_cmp(body->names[i - 1], body->names[i]) < 0);
    }
}

static void check_again(const struct rest_body_setup *setup, const struct rest_body *body)
{
    struct rest_body_setup json = *setup;
    struct rest_body again;

    json.type = REST_BODY_JSON;
    /* A name of CSV may be the character NUL, which as JSON is none that a column has. */
    if (rest_body_read(&json, body->json, &again, NULL))
        return;
    check(again.n_rows == body->n_rows && again.is_array == body->is_array);
    check(json.any_keys || again.n_names == body->n_names);
    for (size_t i = 0; i < again.n_names; i++)
        check(hs_str_eq(again.names[i], body->names[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rest_body body;
    struct rest_body again;
    struct hs_err err = {0};
    struct hs_arena arena;
    hs_status status;

    if (!size || size > INPUT_MAX)
        return 0;
    hs_arena_init(&arena, ARENA_MAX);
    const struct rest_body_setup setup = {.type = (enum rest_body_type)(data[0] % 3),
                                          .any_keys = data[0] & 0x40,
                                          .rows_max = ROWS_MAX,
                                          .arena = &arena};
    struct hs_str text = hs_strn((const char *)data + 1, size - 1);

    status = rest_body_read(&setup, text, &body, &err);
    check(rest_body_read(&setup, text, &again, NULL) == status);
    if (status)
        check(err.what[0] && hs_err_http(&err) >= 400 && hs_err_http(&err) <= 499);
    else
        check_body(&body);
    if (!status && setup.type != REST_BODY_JSON)
        check_again(&setup, &body);
    hs_arena_fini(&arena);
    return 0;
}
