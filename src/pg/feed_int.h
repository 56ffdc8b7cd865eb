/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/feed_int.h - the feed from the inside. This folder only; the feed's thread only, but for the flags.
 *
 * feed.c         life, the loop, beginning anew
 * feed_conn.c    opens a connection, runs one statement while the feed begins
 * feed_stream.c  the replication connection: slot, messages, positions, status updates
 * feed_probe.c   the ordinary connection: fence, samples, catalog polls, one statement at a time
 * feed_tables.c  the publication: which tables are coherent, and from where
 *
 * One life of the feed (struct feed_run) begins with two connections and ends with the first fault of either.
 */
#ifndef PG_FEED_INT_H
#define PG_FEED_INT_H

#include <libpq-fe.h>
#include <stdatomic.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/fence.h"
#include "core/rng.h"
#include "pg/catalog_int.h"
#include "pg/feed.h"
#include "pg/pgoutput.h"

enum {
    PG_FEED_MAGIC = 0x50474644,
    FEED_SAMPLES_MAX = 8, /* twice as many as fit into max_staleness */
    /* Delivered, not seen as finished: past it the ordinary connection has stood still for seconds. */
    FEED_COMMITS_MAX = 1 << 18,
    FEED_TABLES_BYTES_MAX = 64 << 20
};
/* No fence covers it: the table is not coherent. */
#define FEED_NEVER UINT64_MAX

/*
 * A value that changes whenever the publication ($1) does, or the label of an enum: who wrote before that, and has not
 * ended, is told without the table, or with the old label. A part of several statements.
 */
#define PG_FEED_PUBLICATION_PRINT                                                        \
    "concat((SELECT bit_xor(hash_record_extended(ROW(p.xmin, p.oid, r.xmin, r.oid), 0))" \
    " FROM pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid"         \
    " WHERE p.pubname = $1::name), ' ',"                                                 \
    " (SELECT bit_xor(hash_record_extended(ROW(e.xmin, e.oid), 0)) FROM pg_enum e))"

/* What the ordinary connection is asked. */
enum feed_question {
    FEED_ASK_NOTHING,
    FEED_ASK_PROBE,   /* snapshot and insert position */
    FEED_ASK_POLL,    /* the catalog's fingerprint */
    FEED_ASK_PUBLISH, /* what should be published, and is it? */
    FEED_ASK_MARK,    /* an xid above all that saw the publication as it was */
    FEED_ASK_NUDGE    /* a message that makes WAL move */
};

/* Where the tables stand. */
enum feed_tables_state {
    FEED_TABLES_STALE,  /* hasten.publish() must be called (again) */
    FEED_TABLES_ASKED,  /* it is being called, or its mark is being made */
    FEED_TABLES_DRAINS, /* wait for every xid below `drain` */
    FEED_TABLES_TOLD
};

struct feed_table {
    uint32_t oid;
    bool is_coherent;
    const uint32_t *ancestors;
    size_t n_ancestors;
    const struct hs_str *identity; /* columns; none = FULL, or not known */
    size_t n_identity;
};

struct feed_tables {
    struct hs_arena arena;
    struct feed_table *list; /* what publish() returned and what stands above it, by oid */
    size_t n;
    bool may_improve; /* one with an identity is not published: perhaps it was locked */
};

struct feed_sample {
    uint64_t position;
    hs_us sent_at;
};

struct feed_run {
    PGconn *stream;
    PGconn *probe;
    uint64_t epoch;
    uint64_t begun;
    bool has_begun; /* the listener was told */
    hs_us began_at;

    /* the stream */
    uint64_t position;
    bool is_open;     /* inside of a transaction */
    bool is_ddl;      /* that told of DDL */
    uint64_t ddl_end; /* of the last one that did; 0 = none that is not looked after */
    struct hs_fence_commit open;
    struct hs_fence_commit *commits; /* not seen as finished yet */
    size_t n_commits;
    size_t cap_commits;
    bool must_report;
    bool is_asked; /* a reply is outstanding */
    hs_us asked_at;
    hs_us ask_pause;
    uint64_t ask_goal;
    hs_us reported_at;
    hs_us heard_at;
    hs_us keepalive_at;
    bool is_stream_ready;

    /* the ordinary connection */
    enum feed_question question;
    PGresult *answer; /* of the question, as far as it has come */
    hs_us sent_at;
    hs_us probed_at; /* when the last probe was sent */
    hs_us probe_pause;
    hs_us waits_since; /* the fence is behind the position since then; 0 = it is not */
    bool is_probe_ready;
    uint64_t fence;
    uint64_t boot; /* every xid below must end before the first fence; 0 = not known yet */
    uint64_t insert_lsn;
    struct feed_sample samples[FEED_SAMPLES_MAX]; /* oldest first */
    size_t n_samples;
    bool is_sample; /* the probe in flight is one */
    hs_us sampled_at;
    hs_us nudged_at;
    bool has_print;
    bool must_poll;
    hs_us polled_at;   /* when the last poll was sent, */
    hs_us looked_at;   /* and the last that was answered */
    uint64_t *running; /* of the last snapshot */
    size_t cap_running;

    /* the publication */
    enum feed_tables_state tables_state;
    uint64_t print;  /* of the publication, as last seen */
    bool is_drained; /* nobody writes any more who saw it otherwise */
    bool is_first;   /* the first call of this life: the slot is younger */
    uint64_t drain;
    hs_us published_at; /* when publish() was called last */
    bool is_retry;      /* it was for the sake of a table that was locked */
    hs_us now;          /* read after each wait */
};

struct pg_feed {
    uint32_t magic;
    struct pg_feed_setup setup;
    int event;
    atomic_bool must_stop;
    atomic_bool must_restart;
    atomic_bool is_woken;
    atomic_uint pauses;  /* begun and ended ones: odd while it is to be paused */
    atomic_uint reached; /* the value of `pauses` for which nothing is connected */
    struct pgoutput *reader;
    struct hs_buf options; /* of both sessions, NUL-terminated */
    struct hs_buf poll_sql;
    struct hs_arena arena;        /* for what lives as long as the feed */
    struct hs_str schemas;        /* text[] literal */
    struct feed_tables tables[2]; /* the present ones and those that are being read */
    unsigned present;
    struct hs_rng rng;
    uint64_t generation;
    uint64_t fingerprint;
    unsigned failures;                    /* in a row, without a beginning */
    char fault[HS_ERR_WHAT + HS_ERR_WHY]; /* what was logged last, "" = nothing */
    struct feed_run run;
};

/* ---- feed_conn.c ---- */
/* Opens a connection; HS_E_SHUTDOWN if the feed is to stop, to pause or to begin anew meanwhile. */
hs_status feed_connect(struct pg_feed *feed, bool is_replication, PGconn **ret_conn,
                       struct hs_err *reterr) hs_must_check;
/*
 * Runs one statement and waits, as long as it takes if `deadline` is 0, but ends as soon as the feed is to stop.
 * Without parameters it goes as a simple query, which is all that a replication connection takes.
 */
hs_status feed_query(struct pg_feed *feed, PGconn *conn, const char *sql, const char *const *params,
                     int n_params, hs_us deadline, PGresult **ret_result, struct hs_err *reterr)
    hs_must_check;
/* The error of a connection that is lost, or of a statement that was refused. */
hs_status feed_fail_conn(const PGconn *conn, struct hs_err *reterr);
hs_status feed_fail_result(const PGresult *result, struct hs_err *reterr);
/* HS_E_SHUTDOWN, if the feed is to stop, to pause or to begin anew. */
hs_status feed_check_flags(struct pg_feed *feed, struct hs_err *reterr) hs_must_check;
/* Has TLS bytes that its socket does not show any more? */
bool feed_has_hidden_bytes(PGconn *conn);
/* A number of the result that must be an LSN. */
hs_status feed_lsn(const PGresult *result, int row, int column, uint64_t *ret_lsn,
                   struct hs_err *reterr) hs_must_check;

/* ---- feed_stream.c ---- */
/* Makes the slot, which waits for every open writer, and starts the stream. */
hs_status feed_stream_begin(struct pg_feed *feed, struct hs_err *reterr) hs_must_check;
/* Reads what is there, but not for ever: run.is_stream_ready stays where more can be read at once. */
hs_status feed_stream_read(struct pg_feed *feed, struct hs_err *reterr) hs_must_check;
/* Tells the position again where something waits for a boundary of transactions, and this is one. */
void feed_stream_settle(struct pg_feed *feed);
/* Says how far the feed is, and asks for the server's position where somebody waits for it. */
hs_status feed_stream_report(struct pg_feed *feed, struct hs_err *reterr) hs_must_check;
/* When it has to be called again at the latest. */
hs_us feed_stream_due(const struct pg_feed *feed);

/* ---- feed_probe.c ---- */
/* May this login and this server be followed? Also the epoch, and the publication as it is. */
hs_status feed_probe_begin(struct pg_feed *feed, struct hs_err *reterr) hs_must_check;
/* After the slot was made: which xids must end. */
hs_status feed_probe_mark(struct pg_feed *feed, struct hs_err *reterr) hs_must_check;
/* Takes an answer, if one has come. */
hs_status feed_probe_read(struct pg_feed *feed, struct hs_err *reterr) hs_must_check;
/* Asks what has to be asked, if nothing is being asked. */
hs_status feed_probe_ask(struct pg_feed *feed, struct hs_err *reterr) hs_must_check;
hs_us feed_probe_due(const struct pg_feed *feed);
/* The position has moved: proofs, and the fence where no commit is in its way. */
void feed_probe_passed(struct pg_feed *feed);
/* The epoch of a connection. */
hs_status feed_epoch(struct pg_feed *feed, PGconn *conn, uint64_t *ret_epoch, struct hs_err *reterr)
    hs_must_check;
/* The catalog is another one: a new generation, and the tables have to be looked at again. */
void feed_catalog_changed(struct pg_feed *feed);

/* ---- feed_tables.c ---- */
/* Takes what hasten.publish() returned, and tells it as not coherent (yet), so that ancestors are known. */
hs_status feed_tables_take(struct pg_feed *feed, const PGresult *result, struct hs_err *reterr)
    hs_must_check;
/* Tells all tables with this floor; those that are not coherent with FEED_NEVER. */
void feed_tables_tell(struct pg_feed *feed, uint64_t floor);
/* Has this call of hasten.publish() changed anything? */
bool feed_tables_have_changed(const PGresult *result);
void feed_tables_fini(struct pg_feed *feed);

static inline bool feed_must_pause(const struct pg_feed *feed)
{
    return atomic_load(&feed->pauses) & 1;
}

static inline struct feed_tables *feed_tables(struct pg_feed *feed)
{
    return &feed->tables[feed->present];
}

#endif
