/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache/state.h - what one node knows of the database's changes: positions, stamps, shapes, floors.
 *
 * Shape      one object per process. The feed's thread writes it, every worker reads it without locks:
 *            a hit costs a few atomic loads.
 * Tags       A tag names a set of rows that an answer depends on: a whole table, or the rows of it with
 *            certain values in certain columns. The distinct column sets of a table are its shapes. A tag's
 *            stamp is one slot of a fixed array, found by a keyed hash: two tags in one slot cost a
 *            needless miss, never a stale hit.
 * Order      Stamps are stored before the position moves past them (release); a reader loads positions,
 *            barrier and proof before stamps (acquire), and the epoch once more at the end.
 * Threads    cache_feed_*: the feed's thread only. The rest: any thread.
 * Limits     tables_max, shapes_max; beyond them an answer depends on the whole table, or is not kept.
 */
#ifndef CACHE_STATE_H
#define CACHE_STATE_H

#include "cache/rule.h"
#include "core/change.h"
#include "core/err.h"
#include "core/list.h"
#include "net/loop.h"

struct cache_state;
struct hs_buf;

struct cache_state_setup {
    size_t stamps; /* slots, a power of two */
    size_t tables_max;
    size_t shapes_max;       /* over all tables */
    size_t table_shapes_max; /* of one table */
    hs_us max_staleness;
    char tag_key[16]; /* of the tags' hash; the same on all nodes of one database */
    void (*wake)(
        void *
            ctx); /* the feed should look at cache_feed_pending() and cache_feed_wanted(); any thread */
    void *wake_ctx;
};

hs_status cache_state_new(const struct cache_state_setup *setup, struct cache_state **ret_state,
                          struct hs_err *reterr) hs_must_check;
void cache_state_free(struct cache_state *state);
/*
 * Known only once the database was reached. false: too late, since a table is known already; the old key
 * stays, and tags mean nothing to other nodes.
 */
bool cache_state_set_key(struct cache_state *state, const char key[static 16]);

/* ---- tables, shapes, tags ---- */

enum { CACHE_COLUMNS_MAX = 8 };
#define CACHE_NO_INDEX UINT32_MAX

/* Dense index of a table (its oid), known from now on; CACHE_NO_INDEX beyond tables_max. */
uint32_t cache_table(struct cache_state *state, uint32_t oid);
/* Its oid; 0 = there is no such table. */
uint32_t cache_table_oid(const struct cache_state *state, uint32_t table);
/* Is the table in the stream, as far as is known? If not, an answer that depends on it is not worth keeping. */
bool cache_table_is_coherent(const struct cache_state *state, uint32_t table);

/*
 * Index of the shape of these columns (by name, sorted by memcmp, at most CACHE_COLUMNS_MAX); it is asked of
 * the feed if it is new, and covers nothing until the feed has answered with its floor. CACHE_NO_INDEX
 * beyond the limits: take fewer columns, or the whole table.
 */
uint32_t cache_shape(struct cache_state *state, uint32_t table, const struct hs_str *columns,
                     size_t n);

struct cache_tag {
    uint64_t hash;
    /*
     * Of the same rows and more: by those columns of the shape alone that the stream always tells (of the
     * replica identity). It is stamped when the other old values are not known. Means nothing without
     * companion_columns.
     */
    uint64_t companion;
    uint32_t table;
    uint32_t shape;             /* CACHE_NO_INDEX: the whole table */
    uint32_t companion_columns; /* bits; 0 = none. The tag is good while the shape has the same */
};

/* The tag of a whole table. */
struct cache_tag cache_tag_table(const struct cache_state *state, uint32_t table);
/*
 * The tag of the rows with these values (in the shape's order, in the output form of their types: the caller
 * sees to it that equal values have one form).
 */
struct cache_tag cache_tag_rows(const struct cache_state *state, uint32_t shape,
                                const struct hs_str *values);

/* For people, `hasten cache explain`: its columns, with commas between. false: no such shape. */
bool cache_shape_text(const struct cache_state *state, uint32_t shape, struct hs_buf *out);
/* What stands against the fence of an entry: the highest of stamp and floors of the tag. */
uint64_t cache_tag_bar(const struct cache_state *state, struct cache_tag tag);

/* ---- the rule ---- */

/* false: nothing can be kept now (no feed, no fence yet). Before the statement is sent. */
bool cache_moment_now(const struct cache_state *state, uint64_t generation,
                      struct cache_moment *ret_moment);

/* Positions, proof, barrier: the first half. The second half must follow on the same view. */
bool cache_may_hit(const struct cache_state *state, struct cache_token token, hs_us now,
                   struct cache_view *ret_view);
/* Second half; the epoch is looked at again behind the stamps. */
bool cache_is_valid(const struct cache_state *state, const struct cache_view *view,
                    const struct cache_moment *entry, const struct cache_tag *tags, size_t n_tags);

/*
 * From where on the catalog is known to be the one of the present generation: another node's answer with a lower
 * fence may be of a catalog between two that look alike. To be read after the view. CACHE_NEVER: not known yet.
 */
uint64_t cache_catalog_floor(const struct cache_state *state);

/* When the cache was last proven to be up to date; 0 = not yet. For Age. */
hs_us cache_proof_at(const struct cache_state *state);

/* All of it is for people and metrics. */
struct cache_status {
    struct cache_view view;
    uint64_t fence;
    size_t n_tables;
    size_t n_coherent;
    size_t n_shapes;
    bool may_hit;
};
void cache_status(const struct cache_state *state, hs_us now, struct cache_status *ret_status);

/* ---- writes ---- */

/* From now on nothing is served from the cache until the feed has passed the token. */
void cache_require(struct cache_state *state, struct cache_token token);
/*
 * The same where no position is known: until a proof whose sample was sent at `now` or later. What was committed by
 * `now` is covered by it.
 */
void cache_require_proof(struct cache_state *state, hs_us now);
/*
 * A new connection turned out to reach a server of that epoch. If it is not the feed's: no hits until the feed is
 * in it, too; or until the feed has begun anew since, and again, or a connection after that is in the feed's epoch.
 * So make the feed begin anew, else nothing ends it.
 */
void cache_saw_epoch(struct cache_state *state, uint64_t epoch);

enum { CACHE_WAITER_MAGIC = 0x43415741 };

/* Embedded; waits until the feed has passed a position. Must stay put until `done`, or until it is ended. */
struct cache_waiter {
    uint32_t magic; /* CACHE_WAITER_MAGIC */
    struct cache_token token;
    struct net_loop *loop; /* where `done` is called */
    void (*done)(struct cache_waiter *waiter);
    /* private */
    struct hs_list node;
    struct net_mail mail;
    bool is_waiting;
};

/* true: the feed has passed it already, and done() is not called. Else done() follows, from the loop. */
bool cache_wait(struct cache_state *state, struct cache_waiter *waiter);
/* false: too late, done() is in the mail and will still be called. */
bool cache_wait_end(struct cache_state *state, struct cache_waiter *waiter);

/* ---- the feed's thread ---- */

/* A feed begins at that position of that epoch: whatever is known of others is over. No fence, no proof. */
void cache_feed_begin(struct cache_state *state, uint64_t epoch, uint64_t begun);
/* There is no feed any more. */
void cache_feed_end(struct cache_state *state);
/*
 * The table is in the stream as of `floor` (CACHE_NEVER: it is not). A partition names its ancestors, whose
 * tags its changes stamp as well; the call replaces what was said of it before.
 */
void cache_feed_table(struct cache_state *state, uint32_t oid, const uint32_t *ancestors,
                      size_t n_ancestors, uint64_t floor);
/*
 * The columns of its replica identity, by name. Until the stream describes the table with its first change, companions
 * are made of them; what the stream says then goes before it, so that this may be wrong or missing, at the
 * price of answers that are lost with that change.
 */
void cache_feed_identity(struct cache_state *state, uint32_t oid, const struct hs_str *columns,
                         size_t n);
void cache_feed_change(struct cache_state *state, const struct hs_change *change);
void cache_feed_truncate(struct cache_state *state, uint32_t oid, uint64_t stamp);
/* All stamps up to that position were given; registers the shapes that were asked for, wakes waiters. */
void cache_feed_position(struct cache_state *state, uint64_t position);
void cache_feed_fence(struct cache_state *state, uint64_t fence);
void cache_feed_proof(struct cache_state *state, hs_us sampled_at);
/* The catalog was found to be another one, not after `now`. Before its generation is told by cache_feed_poll(). */
void cache_feed_catalog(struct cache_state *state, hs_us now);
/* The catalog was looked at at that time; a new generation if it changed. */
void cache_feed_poll(struct cache_state *state, uint64_t generation, hs_us polled_at);
/* Shapes wait for their floor: call cache_feed_position() at the next boundary of transactions. */
bool cache_feed_pending(const struct cache_state *state);
/* The lowest position that somebody waits for, 0 = nobody does. */
uint64_t cache_feed_wanted(const struct cache_state *state);

#endif
