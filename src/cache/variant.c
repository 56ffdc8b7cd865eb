/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies in other codings, beside the entry that they belong to.
 *
 *     entry ──▶ variant ──▶ variant     a new one is put in front, whole, by one store; readers take no lock
 *
 * A bit for each coding says that somebody took it upon himself: whoever sets it makes the variant, so that each is
 * made at most once at a time. It stays set where the coding is not worth it, which needs no memory of its own.
 *
 * What an entry takes grows under store->lock, as everything that its sums depend on. While room is made the
 * entry itself may be what has to go: then it is nobody's sum any more, and takes the variant along.
 */
#include "cache/store_int.h"

#include "core/mem.h"

static unsigned char bit_of(unsigned coding)
{
    HS_BUG_ON(coding >= CACHE_CODINGS);
    return (unsigned char)(1U << coding);
}

bool cache_variant_begin(struct cache_store *store, struct cache_entry *entry, unsigned coding)
{
    unsigned char bit = bit_of(coding);

    if (atomic_load_explicit(&entry->tried, memory_order_relaxed) & bit)
        return false;
    if (atomic_fetch_add_explicit(&store->making, 1, memory_order_relaxed) < CACHE_MAKING_MAX &&
        !(atomic_fetch_or_explicit(&entry->tried, bit, memory_order_relaxed) & bit))
        return true;
    atomic_fetch_sub_explicit(&store->making, 1, memory_order_relaxed);
    return false;
}

void cache_variant_drop(struct cache_store *store, struct cache_entry *entry, unsigned coding,
                        bool is_final)
{
    if (!is_final)
        atomic_fetch_and_explicit(&entry->tried, (unsigned char)~bit_of(coding),
                                  memory_order_relaxed);
    atomic_fetch_sub_explicit(&store->making, 1, memory_order_relaxed);
}

static struct cache_variant *make(unsigned coding, struct hs_str body)
{
    struct cache_variant *variant = hs_malloc(sizeof(*variant) + body.n);

    if (!variant)
        return NULL;
    *variant = (struct cache_variant){.coding = coding, .body_n = (uint32_t)body.n};
    memcpy(variant + 1, body.p, body.n);
    return variant;
}

static void put(struct cache_entry *entry, struct cache_variant *variant)
{
    struct cache_variant *first = atomic_load_explicit(&entry->variants, memory_order_relaxed);

    do
        variant->next = first;
    while (!atomic_compare_exchange_weak_explicit(&entry->variants, &first, variant,
                                                  memory_order_release, memory_order_relaxed));
}

/* Under store->lock. false: not even an empty store has room for both. */
static bool account(struct cache_store *store, struct cache_entry *entry, size_t bytes,
                    struct cache_entry **dead)
{
    if (entry->queue == CACHE_QUEUE_NONE)
        return true;
    if (bytes > store->setup.bytes_max - entry->bytes || bytes > UINT32_MAX - entry->bytes)
        return false;
    while (entry->queue != CACHE_QUEUE_NONE && store->bytes > store->setup.bytes_max - bytes)
        cache_evict(store, dead);
    if (entry->queue != CACHE_QUEUE_NONE)
        cache_queue_grow(store, entry, bytes);
    return true;
}

void cache_variant_keep(struct cache_store *store, struct cache_entry *entry, unsigned coding,
                        struct hs_str body)
{
    struct cache_variant *variant = make(coding, body);
    struct cache_entry *dead = NULL;
    bool has_room;

    if (!variant) {
        cache_variant_drop(store, entry, coding, /* is_final= */ false);
        return;
    }
    pthread_mutex_lock(&store->lock);
    has_room = account(store, entry, hs_mem_size(variant), &dead);
    pthread_mutex_unlock(&store->lock);
    if (has_room)
        put(entry, variant);
    else
        hs_free(variant);
    cache_entry_unref_all(dead);
    cache_variant_drop(store, entry, coding, /* is_final= */ true);
}

void cache_variants_free(struct cache_entry *entry)
{
    struct cache_variant *variant = atomic_load_explicit(&entry->variants, memory_order_acquire);

    while (variant) {
        struct cache_variant *next = variant->next;

        hs_free(variant);
        variant = next;
    }
}
