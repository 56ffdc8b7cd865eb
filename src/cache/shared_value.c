/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Written and read field by field. The reader's failure is sticky: what does not fit leaves it empty-handed, all
 * that follows reads zeroes, and the end asks once. Bytes are read as they must have been written: nothing may be
 * left over, and each length has one place.
 */
#include "cache/shared_value.h"

/* ---- writing ---- */

static void add_number(struct hs_buf *out, uint64_t v, size_t bytes)
{
    char *to = hs_buf_room(out, bytes);

    for (size_t i = 0; to && i < bytes; i++)
        to[i] = (char)(v >> 8 * i);
    if (to)
        hs_buf_added(out, bytes);
}

static bool is_tag_writable(const struct shared_tag *tag)
{
    for (size_t i = 0; i < tag->n_columns && tag->n_columns <= CACHE_COLUMNS_MAX; i++) {
        if (tag->columns[i].n > SHARED_COLUMN_MAX)
            return false;
    }
    return tag->n_columns <= CACHE_COLUMNS_MAX;
}

static bool is_writable(const struct shared_value *value)
{
    if (value->n_tags > SHARED_TAGS_MAX || value->etag.n > UINT16_MAX ||
        value->content_type.n > UINT16_MAX || value->key.n > UINT32_MAX ||
        value->headers.n > UINT32_MAX || value->body.n > UINT32_MAX)
        return false;
    for (size_t i = 0; i < value->n_tags; i++) {
        if (!is_tag_writable(&value->tags[i]))
            return false;
    }
    return true;
}

static void write_tag(const struct shared_tag *tag, struct hs_buf *out)
{
    add_number(out, tag->oid, 4);
    add_number(out, tag->hash, 8);
    add_number(out, tag->companion, 8);
    add_number(out, tag->companion_columns, 4);
    add_number(out, tag->n_columns, 1);
    for (size_t i = 0; i < tag->n_columns; i++) {
        add_number(out, tag->columns[i].n, 1);
        hs_buf_add(out, tag->columns[i]);
    }
}

bool shared_value_write(const struct shared_value *value, struct hs_buf *out)
{
    if (!is_writable(value))
        return false;
    add_number(out, SHARED_VERSION, 1);
    add_number(out, value->epoch, 8);
    add_number(out, value->fence, 8);
    add_number(out, value->catalog, 8);
    add_number(out, (uint64_t)value->stored_at.us, 8);
    add_number(out, (uint64_t)value->expires_at.us, 8);
    add_number(out, value->n_tags, 2);
    add_number(out, value->etag.n, 2);
    add_number(out, value->content_type.n, 2);
    add_number(out, value->key.n, 4);
    add_number(out, value->headers.n, 4);
    add_number(out, value->body.n, 4);
    for (size_t i = 0; i < value->n_tags; i++)
        write_tag(&value->tags[i], out);
    hs_buf_add(out, value->key);
    hs_buf_add(out, value->headers);
    hs_buf_add(out, value->etag);
    hs_buf_add(out, value->content_type);
    hs_buf_add(out, value->body);
    return !hs_buf_failed(out);
}

/* ---- reading ---- */

struct reader {
    struct hs_str rest;
    bool is_bad;
};

static struct hs_str take(struct reader *from, size_t n)
{
    struct hs_str taken = hs_str_sub(from->rest, 0, n);

    if (n > from->rest.n)
        from->is_bad = true;
    if (from->is_bad)
        return HS_STR("");
    from->rest = hs_str_sub(from->rest, n, from->rest.n);
    return taken;
}

static uint64_t take_number(struct reader *from, size_t bytes)
{
    struct hs_str s = take(from, bytes);
    uint64_t v = 0;

    for (size_t i = 0; s.p && i < s.n; i++)
        v |= (uint64_t)(unsigned char)s.p[i] << 8 * i;
    return v;
}

/* A shape's columns stand in ascending order, each once: two orders would be two shapes. */
static void take_columns(struct reader *from, struct shared_tag *tag)
{
    for (size_t i = 0; i < tag->n_columns; i++) {
        size_t n = take_number(from, 1);

        tag->columns[i] = take(from, n);
        if (n > SHARED_COLUMN_MAX || (i && hs_str_cmp(tag->columns[i - 1], tag->columns[i]) >= 0))
            from->is_bad = true;
    }
}

static void take_tag(struct reader *from, struct shared_tag *tag)
{
    tag->oid = (uint32_t)take_number(from, 4);
    tag->hash = take_number(from, 8);
    tag->companion = take_number(from, 8);
    tag->companion_columns = (uint32_t)take_number(from, 4);
    tag->n_columns = (uint32_t)take_number(from, 1);
    if (tag->n_columns > CACHE_COLUMNS_MAX || tag->companion_columns >> tag->n_columns)
        from->is_bad = true;
    else
        take_columns(from, tag);
}

bool shared_value_read(struct hs_str bytes, struct shared_value *ret_value)
{
    struct reader from = {.rest = bytes};
    struct shared_value *value = ret_value;
    size_t etag_n, content_type_n, key_n, headers_n, body_n;

    if (take_number(&from, 1) != SHARED_VERSION)
        return false;
    value->epoch = take_number(&from, 8);
    value->fence = take_number(&from, 8);
    value->catalog = take_number(&from, 8);
    value->stored_at.us = (int64_t)take_number(&from, 8);
    value->expires_at.us = (int64_t)take_number(&from, 8);
    value->n_tags = take_number(&from, 2);
    etag_n = take_number(&from, 2);
    content_type_n = take_number(&from, 2);
    key_n = take_number(&from, 4);
    headers_n = take_number(&from, 4);
    body_n = take_number(&from, 4);
    if (value->n_tags > SHARED_TAGS_MAX)
        return false;
    for (size_t i = 0; i < value->n_tags && !from.is_bad; i++)
        take_tag(&from, &value->tags[i]);
    value->key = take(&from, key_n);
    value->headers = take(&from, headers_n);
    value->etag = take(&from, etag_n);
    value->content_type = take(&from, content_type_n);
    value->body = take(&from, body_n);
    return !from.is_bad && from.rest.n == 0;
}
