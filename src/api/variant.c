/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     hit ──▶ is it there? ──▶ yes: its bytes
 *                  └──▶ no: begin (the first only) ──▶ short: compress, keep, its bytes
 *                                                 └──▶ long: to the thread pool ──▶ compress, keep
 *
 * What the other thread touches is the entry's immutable part and the store; the worker may be gone before it is
 * through, the loop and the store are not (net_loop_free() waits for it).
 */
#include "api/variant.h"

#include "api/request.h"
#include "core/mem.h"
#include "net/loop.h"

_Static_assert((unsigned)HTTP_CODINGS <= (unsigned)CACHE_CODINGS, "the store numbers them alike");

struct making {
    struct net_work work;
    struct cache_store *store;
    struct cache_entry *entry; /* a reference */
    enum http_coding coding;
    unsigned level;
};

enum http_coding api_variant_wanted(const struct api_compress *rules, struct http_req *req,
                                    size_t body_n)
{
    return rules->enabled && body_n >= rules->min ? http_req_coding(req) : HTTP_IDENTITY;
}

/* Ends what was begun, in any case. */
static void make(struct cache_store *store, struct cache_entry *entry, enum http_coding coding,
                 unsigned level)
{
    struct hs_str body = cache_entry_body(entry);
    enum http_encoded encoded;
    struct hs_buf out;

    hs_buf_init(&out, body.n);
    encoded = http_encode(coding, level, body, &out);
    if (encoded == HTTP_ENCODED)
        cache_variant_keep(store, entry, coding, hs_buf_str(&out));
    else
        cache_variant_drop(store, entry, coding, /* is_final= */ encoded == HTTP_NOT_SHORTER);
    hs_buf_fini(&out);
}

static void on_work(struct net_work *work)
{
    struct making *m = HS_CONTAINER(work, struct making, work);

    make(m->store, m->entry, m->coding, m->level);
}

static void on_done(struct net_work *work)
{
    struct making *m = HS_CONTAINER(work, struct making, work);

    cache_entry_unref(m->entry);
    hs_free(m);
}

/* Without memory or a thread it is not made, and the next client who asks tries again. */
static void make_aside(struct api_worker *worker, struct cache_entry *entry,
                       enum http_coding coding, unsigned level)
{
    struct cache_store *store = worker->cache->store;
    struct making *m = hs_malloc(sizeof(*m));
    struct hs_err err;

    if (m) {
        *m = (struct making){.work = {.run = on_work, .done = on_done},
                             .store = store,
                             .entry = entry,
                             .coding = coding,
                             .level = level};
        cache_entry_ref(entry);
        if (net_work_start(worker->loop, &m->work, &err) == HS_OK)
            return;
        cache_entry_unref(entry);
        hs_free(m);
    }
    cache_variant_drop(store, entry, coding, /* is_final= */ false);
}

const struct cache_variant *api_variant_get(struct api_worker *worker,
                                            const struct api_compress *rules,
                                            struct cache_entry *entry, enum http_coding coding)
{
    const struct cache_variant *variant = cache_variant_find(entry, coding);

    if (variant || !cache_variant_begin(worker->cache->store, entry, coding))
        return variant;
    if (entry->body_n > rules->inline_max) {
        make_aside(worker, entry, coding, rules->level);
        return NULL;
    }
    make(worker->cache->store, entry, coding, rules->level);
    return cache_variant_find(entry, coding);
}
