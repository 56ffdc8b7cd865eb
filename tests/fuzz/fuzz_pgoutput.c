/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a change stream: messages, each behind its length (two bytes, big-endian), each copied to
 * memory of its very size. All that a message hands out is read; what was refused ends the stream, as it
 * does in the feed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pg/pgoutput.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static void look_at(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        sink += (unsigned char)s.p[i];
}

static void look_at_row(const struct hs_change_table *table, const struct hs_change_value *values)
{
    for (size_t i = 0; values && i < table->n_columns; i++) {
        look_at(table->columns[i].name);
        if (values[i].kind == HS_VALUE_TEXT)
            look_at(values[i].text);
    }
}

static void look_at_message(const struct pgoutput_message *m)
{
    if (m->kind == PGOUTPUT_CHANGE) {
        if ((m->change.kind == HS_CHANGE_DELETE) != !m->change.new)
            abort();
        if (m->change.kind != HS_CHANGE_UPDATE &&
            (m->change.kind == HS_CHANGE_INSERT) != !m->change.old)
            abort();
        look_at_row(m->change.table, m->change.old);
        look_at_row(m->change.table, m->change.new);
    }
    for (size_t i = 0; i < m->n_tables; i++)
        sink += m->tables[i];
    look_at(m->prefix);
    look_at(m->content);
}

static bool read_one(struct pgoutput *reader, const uint8_t *p, size_t n)
{
    struct pgoutput_message m;
    struct hs_err err;
    char *copy = malloc(n ? n : 1);
    bool is_read = false;

    if (!copy)
        return false;
    memcpy(copy, p, n);
    is_read = pgoutput_read(reader, hs_strn(copy, n), &m, &err) == HS_OK;
    if (is_read)
        look_at_message(&m);
    free(copy);
    return is_read;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgoutput *reader = pgoutput_new();
    size_t at = 0;

    while (reader && size - at >= 2) {
        size_t n = (size_t)data[at] << 8 | data[at + 1];

        at += 2;
        n = n < size - at ? n : size - at;
        if (!read_one(reader, data + at, n))
            break;
        at += n;
    }
    pgoutput_free(reader);
    return 0;
}
