/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PostgREST dialect's grammar fed with any bytes, as a request for rows and as a call. What is read
 * is within the limits, every text of it is whole UTF-8 with NUL behind; a refusal is a 4xx with its
 * reason, and the same whether the reason is asked for or not.
 */
#include <stdlib.h>

#include "core/buf.h"
#include "rest/ask.h"
#include "rest/ask_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_items(const struct rest_item *item, unsigned depth, size_t *n)
{
    if (item && depth > REST_DEPTH_MAX)
        abort();
    for (; item; item = item->next) {
        if (++*n > REST_ITEMS_MAX || item->path.n_steps > REST_STEPS_MAX)
            abort();
        check_items(item->items, depth + 1, n);
    }
}

static void check_nodes(const struct rest_node *node, unsigned depth, size_t *n)
{
    if (node && depth > REST_DEPTH_MAX)
        abort();
    for (; node; node = node->next) {
        *n += node->kind == REST_NODE_COMPARE;
        if (*n > REST_FILTERS_MAX || node->n_values > REST_VALUES_MAX)
            abort();
        check_nodes(node->first, depth + 1, n);
    }
}

static void check_read(const struct rest_ask *ask, struct hs_buf *out)
{
    size_t n_items = 0;
    size_t n_filters = 0;

    if (!ask->scopes || ask->scopes->n_segments)
        abort();
    check_items(ask->select, 0, &n_items);
    for (const struct rest_scope *s = ask->scopes; s; s = s->next) {
        if (s->n_segments > REST_DEPTH_MAX || rest_ask_scope(ask, s->segments, s->n_segments) != s)
            abort();
        check_nodes(s->where, 0, &n_filters);
    }
    hs_buf_clear(out);
    dump_ask(out, ask);
    if (out->n && (!hs_str_is_utf8(hs_buf_str(out)) || !dump_is_terminated))
        abort();
}

static void run(enum rest_use use, struct hs_str query, struct hs_arena *arena, struct hs_buf *out)
{
    struct rest_ask ask;
    struct hs_err err;
    hs_status status;

    hs_err_clear(&err);
    status = rest_ask_read(use, query, arena, &ask, &err);
    if (!status)
        check_read(&ask, out);
    else if (hs_err_http(&err) < 400 || hs_err_http(&err) > 499 || err.status != status ||
             !err.what[0] || !err.why[0])
        abort();
    if (rest_ask_read(use, query, arena, &ask, NULL) != status)
        abort();
    hs_arena_reset(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hs_arena arena;
    static struct hs_buf out;
    static bool is_ready;
    struct hs_str query = hs_strn((const char *)data, size);

    if (!is_ready) {
        hs_arena_init(&arena, 1 << 26);
        hs_buf_init(&out, 1 << 22);
        is_ready = true;
    }
    if (size > 1 << 16)
        return 0;
    run(REST_FOR_ROWS, query, &arena, &out);
    run(REST_FOR_CALL, query, &arena, &out);
    return 0;
}
