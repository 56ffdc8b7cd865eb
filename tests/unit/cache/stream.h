/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change stream in miniature, for tests of the cache's state: one table of four columns, and rows written as
 * text: values with commas between, "-" is NULL, "?" what the stream does not say.
 */
#ifndef UNIT_CACHE_STREAM_H
#define UNIT_CACHE_STREAM_H

#include "cache/state.h"
#include "test.h"

enum { STREAM_COLUMNS = 4, STREAM_EPOCH = 7, STREAM_BEGUN = 100 };

struct stream {
    struct cache_state *state;
    struct hs_change_column columns[STREAM_COLUMNS];
    struct hs_change_table table;
    unsigned wakes; /* not counted where threads run */
};

static inline void stream_wake(void *ctx)
{
    struct stream *stream = ctx;

    stream->wakes++;
}

static inline struct cache_state_setup stream_setup(struct stream *stream)
{
    return (struct cache_state_setup){
        .stamps = 1 << 16,
        .tables_max = 8,
        .shapes_max = 8,
        .table_shapes_max = 4,
        .max_staleness = HS_SECOND,
        .tag_key = "a key of the tag",
        .wake = stream_wake,
        .wake_ctx = stream,
    };
}

/* Columns id, company, status, note; those of the identity are named by their first letters. */
static inline void stream_describe(struct stream *stream, uint32_t oid, const char *identity)
{
    static const char *const names[STREAM_COLUMNS] = {"id", "company", "status", "note"};

    for (size_t i = 0; i < STREAM_COLUMNS; i++) {
        stream->columns[i] = (struct hs_change_column){
            .name = hs_str(names[i]), .type = 25, .is_identity = strchr(identity, names[i][0])};
    }
    stream->table = (struct hs_change_table){
        .oid = oid, .columns = stream->columns, .n_columns = STREAM_COLUMNS};
}

static inline const struct hs_change_value *stream_row(const char *text, struct hs_change_value *to)
{
    struct hs_str rest = hs_str(text);

    if (!text)
        return NULL;
    for (size_t i = 0; i < STREAM_COLUMNS; i++) {
        struct hs_str value = hs_str_cut(&rest, ',');

        to[i] = (struct hs_change_value){HS_VALUE_TEXT, value};
        if (hs_str_is(value, "-"))
            to[i].kind = HS_VALUE_NULL;
        else if (hs_str_is(value, "?"))
            to[i].kind = HS_VALUE_ABSENT;
    }
    return to;
}

static inline void stream_change(struct stream *stream, enum hs_change_kind kind, const char *old,
                                 const char *new, uint64_t stamp)
{
    struct hs_change_value was[STREAM_COLUMNS];
    struct hs_change_value is[STREAM_COLUMNS];
    struct hs_change change = {.kind = kind, .table = &stream->table, .stamp = stamp};

    change.old = stream_row(old, was);
    change.new = stream_row(new, is);
    cache_feed_change(stream->state, &change);
}

#define stream_insert(s, row, stamp) stream_change((s), HS_CHANGE_INSERT, NULL, (row), (stamp))
#define stream_update(s, old, row, stamp) \
    stream_change((s), HS_CHANGE_UPDATE, (old), (row), (stamp))
#define stream_delete(s, old, stamp) stream_change((s), HS_CHANGE_DELETE, (old), NULL, (stamp))

/* Of at most two columns. */
static inline uint32_t stream_shape(struct stream *stream, uint32_t table, const char *a,
                                    const char *b)
{
    struct hs_str columns[] = {hs_str(a), hs_str(b)};

    return cache_shape(stream->state, table, columns, b ? 2 : 1);
}

static inline struct cache_tag stream_tag(struct stream *stream, uint32_t shape, const char *a,
                                          const char *b)
{
    struct hs_str values[] = {hs_str(a), hs_str(b)};

    return cache_tag_rows(stream->state, shape, values);
}

/* The table is in the stream from where the feed began. */
static inline uint32_t stream_begin(struct stream *stream)
{
    cache_feed_begin(stream->state, STREAM_EPOCH, STREAM_BEGUN);
    cache_feed_table(stream->state, stream->table.oid, NULL, 0, STREAM_BEGUN);
    return cache_table(stream->state, stream->table.oid);
}

#endif
