/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a value of the shared tier, behind its MAC: what is read is within the bytes, within the bounds, and
 * written again it is the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "cache/shared_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static void look_at(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        sink += (unsigned char)s.p[i];
}

static void look_at_value(const struct shared_value *value)
{
    look_at(value->key);
    look_at(value->headers);
    look_at(value->etag);
    look_at(value->content_type);
    look_at(value->body);
    if (value->n_tags > SHARED_TAGS_MAX)
        abort();
    for (size_t i = 0; i < value->n_tags; i++) {
        if (value->tags[i].n_columns > CACHE_COLUMNS_MAX)
            abort();
        for (size_t k = 0; k < value->tags[i].n_columns; k++)
            look_at(value->tags[i].columns[k]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_str input = hs_strn((const char *)data, size);
    struct shared_value value;
    struct hs_buf again;

    if (!shared_value_read(input, &value))
        return 0;
    look_at_value(&value);
    hs_buf_init(&again, size + 1);
    if (!shared_value_write(&value, &again) || !hs_str_eq(hs_buf_str(&again), input))
        abort();
    hs_buf_fini(&again);
    return 0;
}
