/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block an entry: the struct, its tags, then key, headers, ETag, content type, body and target, without a NUL.
 * One allocation costs one rounding of the allocator and one miss of the processor's cache less than five, and
 * lengths of 32 bits replace five slices. The block is written before anybody else can see it, and never after,
 * but for the store's own links and counters.
 */
#include "cache/store_int.h"

#include "core/mem.h"

void cache_entry_ref(struct cache_entry *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
}

void cache_entry_unref(struct cache_entry *entry)
{
    if (!entry)
        return;
    HS_OBJ(entry, CACHE_ENTRY_MAGIC);
    /* Release: what this thread read is read; acquire: by whoever frees, the others' reads are over. */
    if (atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) != 1)
        return;
    entry->magic = 0;
    cache_variants_free(entry);
    hs_free(entry);
}

void cache_entry_unref_all(struct cache_entry *chain)
{
    while (chain) {
        struct cache_entry *next = chain->chain;

        cache_entry_unref(chain);
        chain = next;
    }
}

static struct hs_str target_of(const struct cache_answer *answer)
{
    return answer->target.n > CACHE_TARGET_MAX ? HS_STR("") : answer->target;
}

size_t cache_entry_size(const struct cache_flight *flight, const struct cache_answer *answer)
{
    const size_t fixed = sizeof(struct cache_entry) + flight->n_tags * sizeof(struct cache_tag);

    if (answer->etag.n > UINT16_MAX || answer->content_type.n > UINT8_MAX ||
        answer->headers.n > UINT32_MAX / 4 || answer->body.n > UINT32_MAX / 4 ||
        flight->key.n > UINT32_MAX / 4)
        return SIZE_MAX;
    return fixed + flight->key.n + answer->headers.n + answer->etag.n + answer->content_type.n +
           answer->body.n + target_of(answer).n;
}

struct cache_entry *cache_entry_new(const struct cache_flight *flight,
                                    const struct cache_moment *moment,
                                    const struct cache_answer *answer, size_t size, hs_us now)
{
    const size_t tags_n = flight->n_tags * sizeof(struct cache_tag);
    struct cache_entry *entry = hs_malloc(size);
    char *to;

    if (!entry)
        return NULL;
    *entry = (struct cache_entry){.magic = CACHE_ENTRY_MAGIC,
                                  .moment = *moment,
                                  .stored_at = answer->age < now ? now - answer->age : 0,
                                  .expires_at = now + answer->ttl < now ? UINT64_MAX
                                                                        : now + answer->ttl,
                                  .hash = flight->hash,
                                  .route = (uint16_t)answer->route,
                                  .target_n = (uint16_t)target_of(answer).n,
                                  .key_n = (uint32_t)flight->key.n,
                                  .headers_n = (uint32_t)answer->headers.n,
                                  .body_n = (uint32_t)answer->body.n,
                                  .etag_n = (uint16_t)answer->etag.n,
                                  .content_type_n = (uint8_t)answer->content_type.n,
                                  .n_tags = (uint16_t)flight->n_tags};
    atomic_init(&entry->refs, 1);
    entry->bytes = (uint32_t)(hs_mem_size(entry) + CACHE_SLOT_BYTES);
    hs_list_init(&entry->node);
    to = hs_str_put((char *)(entry + 1), hs_strn((const char *)flight->tags, tags_n));
    to = hs_str_put(to, flight->key);
    to = hs_str_put(to, answer->headers);
    to = hs_str_put(to, answer->etag);
    to = hs_str_put(to, answer->content_type);
    to = hs_str_put(to, answer->body);
    (void)hs_str_put(to, target_of(answer));
    return entry;
}
