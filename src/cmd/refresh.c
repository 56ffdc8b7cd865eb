/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two lists: the one in use, and the next one, which another thread makes and which takes its place as soon as nobody
 * uses an address of the old one. What is found due is not remembered: each round over the list asks the store.
 */
#include "cmd/refresh.h"

#include "api/explain.h"
#include "cache/store.h"
#include "core/mem.h"

enum {
    TRIES_MAX = 4,            /* of one address, in one life of the list */
    LIST_BYTES_MAX = 64 << 20 /* addresses, roles, claims, keys */
};

static const hs_us LIST_INTERVAL = HS_SECOND;

struct hot {
    struct conf_warm row;
    struct hs_str key;
    uint64_t hash;
    unsigned tries;
};

struct list {
    struct hs_arena arena;
    struct hot *of;
    size_t n;
};

struct serve_refresh {
    struct net_loop *loop;
    const struct api_cache *cache;
    size_t max;
    struct list lists[2];
    unsigned used; /* which of them is in use; the other is the thread's while is_making */
    size_t at;     /* in the list: where the round goes on */
    struct net_work work;
    hs_us make_at;
    bool is_making;
    bool is_made; /* the other list is newer */
};

hs_status serve_refresh_new(struct net_loop *loop, const struct api_cache *cache, size_t n,
                            struct serve_refresh **ret_refresh, struct hs_err *reterr)
{
    struct serve_refresh *refresh = hs_calloc(1, sizeof(*refresh));

    if (!refresh)
        return hs_fail_memory(reterr);
    *refresh = (struct serve_refresh){.loop = loop, .cache = cache, .max = n};
    for (size_t i = 0; i < HS_LEN(refresh->lists); i++)
        hs_arena_init(&refresh->lists[i].arena, LIST_BYTES_MAX);
    *ret_refresh = refresh;
    return HS_OK;
}

void serve_refresh_free(struct serve_refresh *refresh)
{
    if (!refresh)
        return;
    for (size_t i = 0; i < HS_LEN(refresh->lists); i++)
        hs_arena_fini(&refresh->lists[i].arena);
    hs_free(refresh);
}

/* ---- the list ---- */

/* One that nobody was given, or of which it cannot be told as whom it was asked, is left out. */
static void add(void *arg, const struct cache_entry *entry, uint64_t hits)
{
    struct list *list = arg;
    struct hs_str target = cache_entry_target(entry);
    struct api_key_parts parts;
    struct hot *hot = &list->of[list->n];

    if (!hits || !target.n || !api_key_read(cache_entry_key(entry), &parts) || !parts.role.p)
        return;
    *hot = (struct hot){.row = {.target = hs_arena_dup(&list->arena, target),
                                .role = hs_arena_dup(&list->arena, parts.role),
                                .claims = hs_arena_dup(&list->arena, parts.claims)},
                        .key = hs_arena_dup(&list->arena, cache_entry_key(entry)),
                        .hash = entry->hash};
    list->n += !hs_arena_failed(&list->arena);
}

/* Without memory the list is shorter. */
static void make(struct net_work *work)
{
    struct serve_refresh *refresh = HS_CONTAINER(work, struct serve_refresh, work);
    struct list *list = &refresh->lists[!refresh->used];

    hs_arena_reset(&list->arena);
    list->n = 0;
    list->of = HS_NEW_ARRAY(&list->arena, refresh->max, struct hot);
    if (list->of && cache_top(refresh->cache->store, refresh->max, add, list, NULL))
        list->n = 0;
}

static void on_made(struct net_work *work)
{
    struct serve_refresh *refresh = HS_CONTAINER(work, struct serve_refresh, work);

    refresh->is_making = false;
    refresh->is_made = true;
}

void serve_refresh_tick(struct serve_refresh *refresh, hs_us now, bool is_idle)
{
    refresh->at = 0;
    if (refresh->is_made && is_idle) {
        refresh->used = !refresh->used;
        refresh->is_made = false;
    }
    if (refresh->is_making || refresh->is_made || now < refresh->make_at)
        return;
    refresh->work = (struct net_work){.run = make, .done = on_made};
    if (net_work_start(refresh->loop, &refresh->work, NULL))
        return;
    refresh->is_making = true;
    refresh->make_at = now + LIST_INTERVAL;
}

/* ---- what is due ---- */

const struct conf_warm *serve_refresh_next(struct serve_refresh *refresh, hs_us now)
{
    struct list *list = &refresh->lists[refresh->used];

    /* The old list is given up: nothing more of it, so that it gets idle. */
    while (!refresh->is_made && refresh->at < list->n) {
        struct hot *hot = &list->of[refresh->at++];
        const struct cache_ask ask = {.key = hot->key, .hash = hot->hash, .now = now};

        if (hot->tries < TRIES_MAX && cache_is_due(refresh->cache->store, &ask)) {
            hot->tries++;
            return &hot->row;
        }
    }
    return NULL;
}
