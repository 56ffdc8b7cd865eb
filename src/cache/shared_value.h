/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache/shared_value.h - a kept answer as bytes that any node can read: what stands in Redis.
 *
 *     1  version
 *     8  epoch, 8 fence, 8 catalog, 8 stored at, 8 expires at
 *     2  tags, 2 length of ETag, 2 of content type, 4 of key, 4 of headers, 4 of body
 *     each tag: 4 table's oid, 8 hash, 8 companion, 4 companion columns, 1 columns (0 = the whole table),
 *        each column: 1 length, its name
 *     key, headers, ETag, content type, body
 *     32 HMAC-SHA-256 of all before it (cache/shared.h)
 *
 * Numbers are little-endian. The tags are a node's own, in words that mean the same everywhere: its numbers of tables
 * and shapes do not.
 */
#ifndef CACHE_SHARED_VALUE_H
#define CACHE_SHARED_VALUE_H

#include "cache/state.h"
#include "core/buf.h"

enum {
    SHARED_VERSION = 1,
    SHARED_MAC = 32,
    SHARED_TAGS_MAX = 64,
    SHARED_COLUMN_MAX = 63 /* PostgreSQL's NAMEDATALEN - 1 */
};

struct shared_tag {
    uint32_t oid;
    uint32_t n_columns; /* 0: the whole table */
    struct hs_str columns[CACHE_COLUMNS_MAX];
    uint64_t hash;
    uint64_t companion;
    uint32_t companion_columns;
};

struct shared_value {
    uint64_t epoch;
    uint64_t fence;
    uint64_t catalog; /* digest of what the tags were derived from */
    struct hs_wall stored_at;
    struct hs_wall expires_at;
    struct hs_str key;
    struct hs_str headers;
    struct hs_str etag;
    struct hs_str content_type;
    struct hs_str body;
    size_t n_tags;
    struct shared_tag tags[SHARED_TAGS_MAX];
};

/* Appends all but the MAC. false: something in it is too long for its length, or the buffer failed. */
bool shared_value_write(const struct shared_value *value, struct hs_buf *out) hs_must_check;
/* Of all but the MAC; the slices point into `bytes`. false: these are no such bytes. */
bool shared_value_read(struct hs_str bytes, struct shared_value *ret_value) hs_must_check;

#endif
