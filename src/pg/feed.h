/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/feed.h - PostgreSQL's change stream, followed by one thread.
 *
 * Shape      one replication connection (logical decoding, pgoutput, a temporary slot) and one ordinary
 *            connection to the same server, on a poll loop of their own. What it learns it hands to a
 *            listener (struct pg_feed_ops), always from the feed's thread.
 * Promises   - all changes of a transaction are told before a position at or past its end is;
 *            - a fence is told only when every transaction that ends at or before it is visible to any
 *              snapshot taken from now on (pg_current_snapshot() of the ordinary connection);
 *            - a proof is told with the time at which its sample (pg_current_wal_insert_lsn()) was SENT, once
 *              the position has passed the sample;
 *            - both connections are of one epoch, or the feed begins anew;
 *            - a table is told as coherent only once every transaction that wrote before it was published has
 *              ended (publication first, then the slot).
 * Lost       the feed says `end`, and begins again after a jittered, doubling pause from retry_min to
 *            retry_max, with a new slot: everything that was cached is then dead.
 * Needs      wal_level = logical, a login with REPLICATION, schema hasten (sql/hasten.sql), which keeps the
 *            publication. What is missing is said once per appearance, with what to do.
 * Source     PostgreSQL 15 manual, 55.4 (streaming replication protocol), 55.5 (logical), 55.9 (messages).
 */
#ifndef PG_FEED_H
#define PG_FEED_H

#include "core/change.h"
#include "core/err.h"
#include "core/metric.h"
#include "core/time.h"

struct pg_feed;

struct pg_feed_ops {
    void (*begin)(void *ctx, uint64_t epoch, uint64_t begun);
    /*
     * A table's place in the stream, told before the first change of it and whenever it changes: coherent as
     * of `floor`; UINT64_MAX = not coherent. Ancestors of a partition, root last; each is told as a table,
     * too, coherent only if all below it are.
     */
    void (*table)(void *ctx, uint32_t oid, const uint32_t *ancestors, size_t n_ancestors,
                  uint64_t floor);
    /*
     * The columns of a table's replica identity, by name, told before `table` is: what can be known of the old
     * values of its rows before the stream describes it with its first change. Not of a table with FULL.
     */
    void (*identity)(void *ctx, uint32_t oid, const struct hs_str *columns, size_t n);
    void (*change)(void *ctx, const struct hs_change *change);
    void (*truncate)(void *ctx, uint32_t oid, uint64_t stamp);
    void (*position)(void *ctx, uint64_t position);
    void (*fence)(void *ctx, uint64_t fence);
    void (*proof)(void *ctx, hs_us sampled_at);
    /* The catalog was looked at (polled), or a message told that it changed: generation + 1. */
    void (*catalog)(void *ctx, uint64_t generation, hs_us looked_at);
    /* Also where it could not begin, and when it is stopped or paused (HS_E_SHUTDOWN). */
    void (*end)(void *ctx, const struct hs_err *why);
    /* pg_feed_is_paused() has become true. NULL: nobody wants to know. */
    void (*paused)(void *ctx);
    /* Is a transaction boundary to be told even if the position did not move? */
    bool (*is_pending)(void *ctx);
    /* The lowest position that somebody waits for; 0 = none. If it is ahead, the server is asked at once. */
    uint64_t (*wanted)(void *ctx);
};

struct pg_feed_setup {
    struct hs_str url; /* of a login with REPLICATION; NUL-terminated */
    struct hs_str application_name;
    struct hs_str publication;
    const struct hs_str *schemas; /* database.schemas: whose tables are published */
    size_t n_schemas;
    hs_us connect_timeout;
    hs_us retry_min;
    hs_us retry_max;
    hs_us max_staleness; /* the proof is renewed four times in it, the catalog looked at twice */
    struct hs_metrics *metrics; /* of the feed's thread */
    const struct pg_feed_ops *ops;
    void *ctx;
    uint64_t seed;
};

/* Connects to nothing yet; the texts of setup must outlive it. errors HS_E_MEMORY, HS_E_IO */
hs_status pg_feed_new(const struct pg_feed_setup *setup, struct pg_feed **ret_feed,
                      struct hs_err *reterr) hs_must_check;
/* The feed's thread: until pg_feed_stop(). */
void pg_feed_run(struct pg_feed *feed);
/* Any thread: is_pending() or wanted() may say something new. Cheap when it was woken already. */
void pg_feed_wake(struct pg_feed *feed);
/* Any thread. */
void pg_feed_stop(struct pg_feed *feed);
/* Any thread: end and begin anew (a connection was seen that reaches another server). */
void pg_feed_restart(struct pg_feed *feed);
/*
 * One thread, always the same: no connection, until pg_feed_resume(). It is so once pg_feed_is_paused() says so; a
 * name that is being resolved is waited for. Both do nothing where it is so already.
 */
void pg_feed_pause(struct pg_feed *feed);
void pg_feed_resume(struct pg_feed *feed);
/* Any thread. */
bool pg_feed_is_paused(const struct pg_feed *feed);
/* After pg_feed_run() has returned. NULL is allowed. */
void pg_feed_free(struct pg_feed *feed);

#endif
