/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the body of a batch. A refusal is a 4xx. What is accepted is within its bounds, its texts hold
 * no NUL, and its bodies stand in the input: each is JSON that reads again, as a batch or not.
 */
#include <stdlib.h>

#include "api/batch_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ITEMS_MAX = 10, ARENA_MAX = 1 << 24 };

static void check_text(struct hs_str s)
{
    if (hs_str_find(s, '\0') < s.n || !hs_str_is_utf8(s))
        abort();
}

static void check_item(const struct batch_item *item, struct hs_str text)
{
    check_text(item->path);
    check_text(item->method);
    if (!item->path.p || !item->method.p || !item->id.n || item->id.n > BATCH_ID_MAX)
        abort();
    for (size_t i = 0; i < item->n_headers; i++) {
        check_text(item->headers[i].name);
        check_text(item->headers[i].value);
    }
    if (item->body.p && (item->body.n == 0 || item->body.p < text.p ||
                         item->body.p + item->body.n > text.p + text.n))
        abort();
}

/* A body, as an item's own list, must be valid JSON by itself: only its shape may be wrong. */
static void check_body(struct hs_str body, struct hs_arena *arena)
{
    struct batch_list inner;
    struct hs_err err = {0};
    hs_status status = batch_read(body, ITEMS_MAX, arena, &inner, &err);

    /* A text in it may hold \u0000, which only reading it as a name or value refuses. */
    if (status == HS_E_BAD_JSON && !memmem(body.p, body.n, "\\u0000", 6))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_str text = hs_strn((const char *)data, size);
    struct hs_arena arena;
    struct batch_list list;
    struct hs_err err = {0};
    hs_status status;

    if (size > 8192)
        return 0;
    hs_arena_init(&arena, ARENA_MAX);
    status = batch_read(text, ITEMS_MAX, &arena, &list, &err);
    if (status && (hs_err_http(&err) < 400 || hs_err_http(&err) > 499))
        abort();
    if (!status && list.n > ITEMS_MAX)
        abort();
    for (size_t i = 0; !status && i < list.n; i++) {
        check_item(&list.items[i], text);
        if (list.items[i].body.p)
            check_body(list.items[i].body, &arena);
    }
    hs_arena_fini(&arena);
    return 0;
}
