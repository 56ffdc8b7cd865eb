/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache/store.h - cached answers, shared by all workers.
 *
 * Shape      shards, each with a lock that is held for a lookup or a link only; entries are immutable, counted
 *            blocks of memory, so an answer is written from the cache's own bytes while others replace it.
 * Limits     bytes_max and entries_max are exact: an entry's bytes are its whole block as the allocator rounds
 *            it, the allocator's own word, its slot of the hash table, and the blocks of its variants. What is no
 *            longer in the cache but still on its way to a socket counts for the answer that holds it. Beside that
 *            there are the tables, taken at the start: at most 1/32 of bytes_max, and a few bytes for each of
 *            entries_max.
 * Eviction   see store.c; chosen by tests/bench/cache_sim.c.
 * Stale      What the rule refuses for good goes at once, unless the setup says that it may still be of use: then it
 *            stays, counted as before and evicted before all others, until it is replaced or too old.
 * Coalescing A key that is being asked for has a flight: whoever asks for it meanwhile, in whatever
 *            worker, gets the flight's answer, if the rule allows it.
 * Threads    any.
 */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include <stdatomic.h>

#include "cache/state.h"

struct cache_store;
struct cache_variant;

struct cache_store_setup {
    struct cache_state *state;
    size_t bytes_max;
    size_t entries_max;
    size_t entry_max;   /* bytes of one entry, counted like bytes_max, without its variants */
    size_t waiters_max; /* of one flight; who comes later asks by himself */
    hs_us unfit_time;   /* how long a key that could not be kept is remembered as such */
    hs_us
        stale_expired; /* how long beyond its time an answer that still holds may be served; 0 = not at all */
    hs_us stale_any;   /* how old an answer may be that cache_stale() gives; 0 = it gives none */
    bool is_refreshed; /* answers that do not hold any more are looked at by cache_is_due() */
};

hs_status cache_store_new(const struct cache_store_setup *setup, struct cache_store **ret_store,
                          struct hs_err *reterr) hs_must_check;
/* No flight may be under way. Entries that somebody holds outlive it. NULL is allowed. */
void cache_store_free(struct cache_store *store);

enum { CACHE_ENTRY_MAGIC = 0x43454e54 };

/*
 * One answer; everything but the private part is immutable and lives as long as a reference. One block of memory:
 * behind the struct stand the tags, then the bytes, in the order of the lengths. That keeps what an entry costs
 * beside its key and its body under 200 bytes.
 */
struct cache_entry {
    uint32_t magic; /* CACHE_ENTRY_MAGIC */
    atomic_uint refs;
    struct cache_moment moment;
    hs_us stored_at;
    hs_us expires_at;
    uint64_t hash;  /* of key */
    uint16_t route; /* for the metrics */
    /* private: read them through the functions below */
    uint16_t target_n;
    uint32_t key_n;
    uint32_t headers_n;
    uint32_t body_n;
    uint16_t etag_n;
    uint16_t n_tags;
    uint8_t content_type_n;
    /* private to the store */
    unsigned char queue;
    atomic_uchar visits;
    atomic_uchar tried; /* a bit for each coding that is made, being made, or not worth it */
    uint32_t bytes;     /* with its variants; once it is in the store, under the store's lock */
    atomic_uint hits;
    struct hs_list node;
    struct cache_entry *chain;
    _Atomic(struct cache_variant *) variants;
};

static inline const struct cache_tag *cache_entry_tags(const struct cache_entry *entry)
{
    return (const struct cache_tag *)(const void *)(entry + 1);
}

/* The whole of it. */
static inline struct hs_str cache_entry_key(const struct cache_entry *entry)
{
    return hs_strn((const char *)(cache_entry_tags(entry) + entry->n_tags), entry->key_n);
}

/* Complete lines, each ending in CRLF. */
static inline struct hs_str cache_entry_headers(const struct cache_entry *entry)
{
    return hs_strn(cache_entry_key(entry).p + entry->key_n, entry->headers_n);
}

/* With its quotes; empty = none. */
static inline struct hs_str cache_entry_etag(const struct cache_entry *entry)
{
    return hs_strn(cache_entry_headers(entry).p + entry->headers_n, entry->etag_n);
}

static inline struct hs_str cache_entry_content_type(const struct cache_entry *entry)
{
    return hs_strn(cache_entry_etag(entry).p + entry->etag_n, entry->content_type_n);
}

static inline struct hs_str cache_entry_body(const struct cache_entry *entry)
{
    return hs_strn(cache_entry_content_type(entry).p + entry->content_type_n, entry->body_n);
}

/* The request line's target that first led to it: one of many, for people and for warming; empty = not told. */
static inline struct hs_str cache_entry_target(const struct cache_entry *entry)
{
    return hs_strn(cache_entry_body(entry).p + entry->body_n, entry->target_n);
}

void cache_entry_ref(struct cache_entry *entry);
/* NULL is allowed. */
void cache_entry_unref(struct cache_entry *entry);

/* ---- the body in content codings ---- */

enum {
    CACHE_CODINGS = 8,    /* the caller's numbers for them are below this */
    CACHE_MAKING_MAX = 16 /* variants in the making at once; more are not begun */
};

/* The body in another coding: made after the entry, immutable, and gone with it. One block, the body behind. */
struct cache_variant {
    struct cache_variant *next;
    uint32_t coding;
    uint32_t body_n;
};

static inline struct hs_str cache_variant_body(const struct cache_variant *variant)
{
    return hs_strn((const char *)(variant + 1), variant->body_n);
}

/* Lives as long as the entry. NULL: there is none, or not yet. */
static inline const struct cache_variant *cache_variant_find(const struct cache_entry *entry,
                                                             unsigned coding)
{
    const struct cache_variant *variant = atomic_load_explicit(&entry->variants,
                                                               memory_order_acquire);

    while (variant && variant->coding != coding)
        variant = variant->next;
    return variant;
}

/*
 * true: the variant is the caller's to make, and nobody else's; one of the two calls below ends that, on any
 * thread. false: it is there, being made, or not worth making, or too many are being made.
 */
bool cache_variant_begin(struct cache_store *store, struct cache_entry *entry, unsigned coding);
/*
 * Hangs a copy of the body beside the entry's own. Counts in bytes_max with its whole block for as long as the
 * entry is in the store: others may be evicted for it, the entry itself among them, which still gets it for those
 * who hold it. Where it cannot be kept there is none.
 */
void cache_variant_keep(struct cache_store *store, struct cache_entry *entry, unsigned coding,
                        struct hs_str body);
/* There is none. is_final: and it is not worth trying again. */
void cache_variant_drop(struct cache_store *store, struct cache_entry *entry, unsigned coding,
                        bool is_final);

/* ---- asking ---- */

/* What is asked: the key, and the reader's own conditions. */
struct cache_ask {
    struct hs_str key; /* canonical; compared whole */
    uint64_t hash;     /* hs_hash(key) */
    uint64_t generation;
    const struct cache_tag *tags;
    size_t n_tags;
    struct cache_token token; /* epoch NONE = none */
    bool is_fresh; /* no hit and no joining: the request said no-cache; the answer is kept */
    hs_us now;     /* the real clock, after the loop's wait */
};

struct cache_flight;

/* Waits for another's answer; embedded, stays put until done(). */
struct cache_joiner {
    struct net_loop *loop;
    /* entry == NULL: the flight came to nothing, or its answer may not serve: ask by yourself. It has a
     * reference that is the callee's. */
    void (*done)(struct cache_joiner *joiner, struct cache_entry *entry);
    /* private */
    struct hs_list node;
    struct net_mail mail;
    struct cache_entry *entry;
    struct cache_token token;
};

enum cache_got {
    CACHE_HIT,  /* *ret_entry, with a reference */
    CACHE_JOIN, /* joiner->done() follows */
    CACHE_STALE, /* *ret_entry, with a reference: its time is over, else it holds; another is asking anew */
    CACHE_LEAD,  /* ask, then end *ret_flight by cache_fill() or cache_drop() */
    CACHE_BYPASS /* ask; nothing can be kept now, or this key could not be kept before */
};

/* Why it was no hit, for the metrics and for `explain`. */
enum cache_why {
    CACHE_WHY_NONE,
    CACHE_WHY_ABSENT,      /* was never there, or was evicted */
    CACHE_WHY_INVALIDATED, /* a tag was stamped, a floor raised */
    CACHE_WHY_EXPIRED,
    CACHE_WHY_SETTLING,   /* a change is not past the fence yet, the catalog not read again */
    CACHE_WHY_NOT_PROVEN, /* the proof is too old, a barrier stands, no feed */
    CACHE_WHY_TOKEN,      /* the reader's token is not passed */
    CACHE_WHY_UNFIT,      /* this key is not kept for a while */
    CACHE_WHY_ASKED       /* the request said no-cache */
};

/*
 * joiner may be NULL: then no other's flight is joined. Only what the result names is filled in; *ret_why always.
 */
enum cache_got cache_get(struct cache_store *store, const struct cache_ask *ask,
                         struct cache_joiner *joiner, struct cache_entry **ret_entry,
                         struct cache_flight **ret_flight, enum cache_why *ret_why);

/*
 * The same, where only a hit counts: an entry with a reference, or NULL. tags and is_fresh of `ask` are not looked
 * at, no flight begins and nothing is removed.
 */
struct cache_entry *cache_hit(struct cache_store *store, const struct cache_ask *ask);

/*
 * For who could not be answered otherwise, since the database is not to be had: the entry of the key, no older than
 * setup.stale_any, whatever the rule says of it; with a reference, or NULL. Only of the catalog that `ask` is of, and
 * only if no other has been heard of since: what a role may read is not guessed. A token of the reader must be
 * covered by the entry itself. tags and is_fresh of `ask` are not looked at.
 */
struct cache_entry *cache_stale(struct cache_store *store, const struct cache_ask *ask);

/*
 * Is there an answer of that key that was hit and does not hold any more, does nobody ask anew, and would what is
 * asked for now be kept? Of `ask` only key, hash and now are looked at; nothing is changed.
 */
bool cache_is_due(struct cache_store *store, const struct cache_ask *ask);

enum { CACHE_TARGET_MAX = 2048 };

/* The answer's parts; copied. */
struct cache_answer {
    struct hs_str content_type;
    struct hs_str headers;
    struct hs_str etag;
    struct hs_str body;
    struct hs_str target; /* not kept where it is longer than CACHE_TARGET_MAX */
    hs_us ttl;
    hs_us age;      /* since the database gave it; 0 = now */
    uint32_t route; /* below HS_ROUTES_MAX */
    /* Of the connection that ran the statement: another one than the flight's is not kept; nor is NONE. */
    uint64_t epoch;
};

/*
 * Ends a flight with its answer: kept if the rule still allows it, and given to those who joined as far as
 * it allows. The flight is gone.
 */
void cache_fill(struct cache_flight *flight, const struct cache_answer *answer, hs_us now);
/* The same; returns the entry, with a reference, if it is in the store now. */
struct cache_entry *cache_fill_kept(struct cache_flight *flight, const struct cache_answer *answer,
                                    hs_us now) hs_must_check;
/*
 * Ends a flight with an answer that another node kept, with that answer's own moment, if the rule allows it now to a
 * reader with this token. NULL: it does not, and the flight goes on. Else the entry, with a reference.
 */
struct cache_entry *cache_fill_shared(struct cache_flight *flight,
                                      const struct cache_answer *answer,
                                      const struct cache_moment *moment, struct cache_token token,
                                      hs_us now) hs_must_check;
/*
 * Ends it without an answer: those who joined are told so. is_unfit: the key is not worth trying for a while,
 * counted from when it was asked for (too long, an error).
 */
void cache_drop(struct cache_flight *flight, bool is_unfit);
/* When the flight was begun; its fence. */
const struct cache_moment *cache_flight_moment(const struct cache_flight *flight);

/* ---- chores: the control thread ---- */

/*
 * Removes what has expired or can never be served again, but for what the setup wants kept. Looks at no more than steps_max slots (at least 1) of
 * the hash tables and returns at how many; 0: one round is through, and the next call begins another.
 */
size_t cache_sweep(struct cache_store *store, hs_us now, size_t steps_max);

/* Which entries a purge covers: all fields that are set must agree. */
struct cache_purge {
    uint32_t table;         /* CACHE_NO_INDEX = any */
    struct hs_str contains; /* in the key; p == NULL = any */
    struct hs_str pattern;  /* of the key, with '*'; p == NULL = any */
    /* Asked last, under the store's locks: short, and no call of the store. NULL = any. */
    bool (*covers)(void *arg, const struct cache_entry *entry);
    void *arg;
};
struct cache_purged {
    uint64_t entries;
    uint64_t bytes;
};
struct cache_purged cache_purge(struct cache_store *store, const struct cache_purge *what);
/* With a purge: answers that nodes shared before that time are not taken any more. Any thread. */
void cache_purge_shared(struct cache_store *store, struct hs_wall before);

/* Calls each() for the n entries with the most hits, the best first; entries live during the call only. */
hs_status cache_top(struct cache_store *store, size_t n,
                    void (*each)(void *arg, const struct cache_entry *entry, uint64_t hits),
                    void *arg, struct hs_err *reterr) hs_must_check;

struct cache_store_stats {
    uint64_t entries;
    uint64_t bytes;
    uint64_t evicted;
    uint64_t expired;     /* found so by the sweep or a reader */
    uint64_t invalidated; /* the same */
    uint64_t refused; /* born invalid, too long, of another epoch, purged or overtaken meanwhile */
    uint64_t joined;
    uint64_t flights; /* under way */
};
void cache_stats(struct cache_store *store, struct cache_store_stats *ret_stats);
/*
 * What a reader would be told, without consequences: WHY_NONE = a hit. *ret_entry is what is there, good or not, with
 * a reference; NULL = nothing.
 */
enum cache_why cache_look(struct cache_store *store, const struct cache_ask *ask,
                          struct cache_entry **ret_entry);
/* The entry of that key, with a reference, whatever the rule says of it; NULL if there is none. */
struct cache_entry *cache_peek(struct cache_store *store, struct hs_str key, uint64_t hash);

#endif
