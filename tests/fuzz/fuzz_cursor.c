/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors: any text is refused, unless it is exactly what cursor_write() makes of the values it holds; and
 * any values that are written are read back.
 */
#include <stdlib.h>

#include "api/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VALUES = 3 };

static const struct hs_str binding = {"binding", 7};

static void check_text(struct net_hmac *hmac, struct hs_str text, struct hs_arena *arena)
{
    const struct tree_position *position;
    struct hs_err err = {0};
    struct hs_buf again;

    if (cursor_read(hmac, binding, text, VALUES, arena, &position, &err)) {
        if (err.status != HS_E_BAD_CURSOR)
            abort();
        return;
    }
    hs_buf_init(&again, 1 << 16);
    if (cursor_write(hmac, binding, position->is_backward, position->values, VALUES, arena, &again,
                     &err) ||
        !hs_str_eq(hs_buf_str(&again), text))
        abort();
    hs_buf_fini(&again);
}

/* The input cut in three; a value that begins with 'N' is NULL. */
static void check_values(struct net_hmac *hmac, struct hs_str input, struct hs_arena *arena)
{
    struct hs_str values[VALUES];
    const struct tree_position *position;
    struct hs_err err = {0};
    struct hs_buf text;

    for (size_t i = 0; i < VALUES; i++) {
        values[i] = hs_str_sub(input, input.n * i / VALUES, input.n * (i + 1) / VALUES);
        if (values[i].n && values[i].p[0] == 'N')
            values[i] = HS_STR_NULL;
        else if (!values[i].n)
            values[i] = HS_STR("");
    }
    hs_buf_init(&text, 1 << 16);
    if (!cursor_write(hmac, binding, input.n % 2 == 1, values, VALUES, arena, &text, &err)) {
        if (cursor_read(hmac, binding, hs_buf_str(&text), VALUES, arena, &position, &err))
            abort();
        for (size_t i = 0; i < VALUES; i++) {
            if (!values[i].p != !position->values[i].p ||
                !hs_str_eq(values[i], position->values[i]))
                abort();
        }
    } else if (input.n <= CURSOR_BYTES_MAX - 2 * VALUES) {
        abort();
    }
    hs_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct net_hmac *hmac;
    static struct hs_arena arena;
    struct hs_str input = hs_strn((const char *)data, size);

    if (!hmac) {
        hs_arena_init(&arena, 1 << 22);
        if (net_hmac_new(HS_STR("0123456789abcdef0123456789abcdef"), &hmac, NULL))
            abort();
    }
    check_text(hmac, input, &arena);
    check_values(hmac, input, &arena);
    hs_arena_reset(&arena);
    return 0;
}
