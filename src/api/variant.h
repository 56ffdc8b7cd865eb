/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/variant.h - kept answers in content codings, made when the first client asks for one.
 *
 * A short body is compressed at once, on the loop; a longer one on another thread, and until it is there clients get
 * the entry's own body. Each coding of an entry is made once.
 *
 * Thread     the worker's.
 */
#ifndef API_VARIANT_H
#define API_VARIANT_H

#include "api/model.h"
#include "cache/store.h"
#include "http/coding.h"

struct api_worker;

/* Which coding the client may get of an answer of that length; identity: only that. */
enum http_coding api_variant_wanted(const struct api_compress *rules, struct http_req *req,
                                    size_t body_n);

/*
 * The entry in that coding, which is not identity; it lives as long as the entry. NULL: give it as it is; and if
 * nobody has done so yet, the coding has been begun. The caller holds a reference to the entry.
 */
const struct cache_variant *api_variant_get(struct api_worker *worker,
                                            const struct api_compress *rules,
                                            struct cache_entry *entry, enum http_coding coding);

#endif
