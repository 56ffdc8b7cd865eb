/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simple dialect fed with any bytes: path segment and query (up to the first NUL byte the segment of a
 * row, if there is one) for each table of a small model. A refusal is a 4xx; what is accepted becomes
 * SQL in which no byte is the client's: the model's names are letters, so anything else is a break-out.
 */
#include <stdlib.h>

#include "api/simple.h"
#include "api/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char allowed[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _\".,:$()[]=<>*@'";

/* What a snippet is made with: texts of ours that hold other characters. */
static const char *const ours[] = {"E'\\x02\\x03'",      "E'StartSel=\"\\x02\", StopSel=\"\\x03\"'",
                                   "E'&', '&amp;'",      "E'<', '&lt;'",
                                   "E'>', '&gt;'",       "E'\\x02', '<mark>'",
                                   "E'\\x03', '</mark>'"};

static size_t ours_at(struct hs_str text)
{
    for (size_t i = 0; i < HS_LEN(ours); i++) {
        if (hs_str_starts(text, hs_str(ours[i])))
            return hs_str(ours[i]).n;
    }
    return 0;
}

static void check_sql(struct hs_str text)
{
    while (text.n) {
        size_t n = ours_at(text);

        if (!n && !strchr(allowed, text.p[0]))
            abort();
        text = hs_str_sub(text, n ? n : 1, text.n);
    }
}

static void check_refusal(const struct hs_err *err)
{
    if (hs_err_http(err) < 400 || hs_err_http(err) > 499)
        abort();
}

static void run(const struct api_model *model, const struct api_table *table, struct hs_str input,
                struct hs_arena *arena, struct hs_buf *scratch)
{
    struct hs_str query = input;
    struct hs_str id = hs_str_cut(&query, '\0');
    bool is_item = id.n < input.n;
    struct simple_query ask;
    struct sql_statement st;
    struct hs_err err = {0};
    const char **key;
    hs_status status;

    if (is_item) {
        status = simple_read_key(table, id, arena, &key, &err);
        if (!status)
            status = world_read(model, table, world_nobody(), key, query, arena, &ask, &err);
    } else {
        status = world_read(model, table, world_nobody(), NULL, input, arena, &ask, &err);
    }
    if (!status)
        status = sql_write(&ask.tree, !is_item && table->n_key, scratch, arena, &st, &err);
    if (status)
        check_refusal(&err);
    else
        check_sql(st.text);
    hs_arena_reset(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct api_model *model;
    static struct hs_arena arena;
    static struct hs_buf scratch;

    if (!model) {
        model = world_model();
        hs_arena_init(&arena, 1 << 26);
        hs_buf_init(&scratch, 1 << 20);
    }
    if (!model || size > 8192)
        return 0;
    for (size_t i = 0; i < model->n_tables; i++)
        run(model, &model->tables[i], hs_strn((const char *)data, size), &arena, &scratch);
    return 0;
}
