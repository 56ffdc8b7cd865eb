/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replication connection.
 *
 *     epoch -> CREATE_REPLICATION_SLOT (waits for every open writer) -> START_REPLICATION -> messages
 *
 * The one rule: a position is told only when everything that ends at or before it was told, and never inside of a
 * transaction. It comes from the end of a Commit and from keepalives, which say how far the server has decoded: that
 * is past transactions of which nothing is published.
 *
 * Large transactions are not streamed while they run (protocol version 1): while one is decoded the position
 * stands still, the proof of freshness ages, and the cache steps aside; nothing has to be gathered for a
 * transaction that may still be rolled back.
 *
 * The server is asked for a reply where somebody waits for a position, at most one at a time. A reply proves only
 * that the sender lives, so nothing else is concluded from it.
 *
 * Source: PostgreSQL 15 manual, 55.4 (XLogData, keepalive, status update), 55.5 (options of pgoutput).
 */
#include "pg/feed_int.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/guard.h"
#include "core/mem.h"

enum {
    /* Messages of one turn: then the ordinary connection is looked at, or a long stream would stop the fence. */
    TURN_MESSAGES = 2048,
    XLOGDATA_HEAD = 25, /* kind, start, end, time */
    KEEPALIVE_SIZE = 18,
    STATUS_SIZE = 34,
    SLOT_NAME = 64,
    CANCEL_ERROR = 256,
    CANCEL_SECONDS = 1,
    COMMAND_MAX = 1024
};
/* A third of the server's own wal_sender_timeout, which is 60 s unless it was set lower. */
static const hs_us REPORT_EVERY = 10 * HS_SECOND;
/* Nothing heard for so long, though it was asked: the server's own limit by default. */
static const hs_us SILENCE_MAX = 60 * HS_SECOND;
static const hs_us ASK_PAUSE_MIN = 200;
static const hs_us ASK_PAUSE_MAX = 10 * HS_MS;
/* Between the epochs of Unix and of PostgreSQL (2000-01-01). */
static const int64_t POSTGRES_EPOCH_US = INT64_C(946684800000000);

/* ---- begin ---- */

static hs_status check_epoch(struct pg_feed *feed, struct hs_err *reterr)
{
    uint64_t epoch = 0;
    hs_status status = feed_epoch(feed, feed->run.stream, &epoch, reterr);

    if (status != HS_OK || epoch == feed->run.epoch || !HS_GUARD(conn_epoch))
        return status;
    (void)hs_fail(reterr, HS_E_PG_DOWN, "the change stream's connections reach different servers");
    hs_err_why(reterr, "or the server was started again between them");
    return HS_E_PG_DOWN;
}

static void *run_cancel(void *arg)
{
    char error[CANCEL_ERROR];

    (void)PQcancel(arg, error, sizeof(error));
    PQfreeCancel(arg);
    return NULL;
}

/*
 * A server that waits for writers does not notice that nobody waits for it any more: it would keep the slot, and one
 * of max_wal_senders, until the last of them has ended. PQcancel() blocks until the server has taken the request,
 * and one that hangs must not keep us: hence the thread, which is let go of after a second.
 */
static void cancel_slot(PGconn *conn)
{
    PGcancel *request = PQgetCancel(conn);
    struct timespec until;
    pthread_t thread;

    if (!request)
        return;
    if (pthread_create(&thread, NULL, run_cancel, request) != 0) {
        PQfreeCancel(request);
        return;
    }
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CANCEL_SECONDS;
    if (pthread_timedjoin_np(thread, NULL, &until) != 0)
        (void)pthread_detach(thread);
}

static hs_status make_slot(struct pg_feed *feed, char slot[static SLOT_NAME], struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    char command[COMMAND_MAX];
    hs_status status;

    (void)snprintf(slot, SLOT_NAME, "hasten_%ld_%016llx", (long)getpid(),
                   (unsigned long long)hs_rng_next(&feed->rng));
    (void)snprintf(command, sizeof(command),
                   "CREATE_REPLICATION_SLOT \"%s\" TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT",
                   slot);
    status = feed_query(feed, feed->run.stream, command, NULL, 0, /* deadline= */ 0, &r, reterr);
    if (status == HS_E_SHUTDOWN)
        cancel_slot(feed->run.stream);
    if (status != HS_OK)
        return status;
    if (PQntuples(r) != 1 || PQnfields(r) < 2)
        return hs_fail(reterr, HS_E_PG_ERROR, "PostgreSQL made no replication slot");
    return feed_lsn(r, 0, 1, &feed->run.begun, reterr);
}

/* A name inside of an identifier inside of a string: each quote is doubled by its own layer. */
static void add_name(struct hs_buf *to, struct hs_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        hs_buf_add_char(to, name.p[i]);
        if (name.p[i] == '"' || name.p[i] == '\'')
            hs_buf_add_char(to, name.p[i]);
    }
}

static hs_status start_stream(struct pg_feed *feed, const char *slot, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    hs_auto(hs_buf_fini) struct hs_buf command;
    uint64_t at = feed->run.begun;
    hs_status status;

    hs_buf_init(&command, COMMAND_MAX);
    hs_buf_printf(&command, "START_REPLICATION SLOT \"%s\" LOGICAL %X/%X (proto_version '1',", slot,
                  (unsigned)(at >> 32), (unsigned)at);
    hs_buf_add_lit(&command, " messages 'true', publication_names '\"");
    add_name(&command, feed->setup.publication);
    hs_buf_add_lit(&command, "\"')");
    if (!hs_buf_cstr(&command))
        return hs_fail_memory(reterr);
    status = feed_query(feed, feed->run.stream, command.p, NULL, 0,
                        hs_now_us() + feed->setup.connect_timeout, &r, reterr);
    if (status == HS_OK && PQresultStatus(r) != PGRES_COPY_BOTH)
        status = hs_fail(reterr, HS_E_PG_ERROR, "PostgreSQL did not start the change stream");
    return status;
}

hs_status feed_stream_begin(struct pg_feed *feed, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;
    char slot[SLOT_NAME];
    hs_status status = check_epoch(feed, reterr);

    if (status == HS_OK)
        status = make_slot(feed, slot, reterr);
    if (status == HS_OK)
        status = start_stream(feed, slot, reterr);
    if (status != HS_OK)
        return status;
    pgoutput_reset(feed->reader);
    run->position = run->begun;
    run->heard_at = hs_now_us();
    run->reported_at = run->heard_at;
    run->is_stream_ready = true; /* what came with the start */
    return HS_OK;
}

/* ---- messages ---- */

static void move_to(struct pg_feed *feed, uint64_t position)
{
    struct feed_run *run = &feed->run;

    if (position <= run->position)
        return;
    run->position = position;
    feed->setup.ops->position(feed->setup.ctx, position);
}

static hs_status take_commit(struct pg_feed *feed, uint64_t end, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;

    if (run->n_commits == run->cap_commits) {
        size_t cap = run->cap_commits ? run->cap_commits * 2 : 256;
        struct hs_fence_commit *p;

        if (run->n_commits == FEED_COMMITS_MAX) {
            (void)hs_fail(reterr, HS_E_PG_DOWN, "PostgreSQL's commits stay invisible");
            hs_err_why(reterr, "no snapshot came for the last 262,144 transactions");
            return HS_E_PG_DOWN;
        }
        p = hs_realloc(run->commits, cap * sizeof(*p));
        if (!p)
            return hs_fail_memory(reterr);
        run->commits = p;
        run->cap_commits = cap;
    }
    run->open.end = end;
    run->commits[run->n_commits++] = run->open;
    run->is_open = false;
    run->probe_pause = 0;
    if (!run->waits_since)
        run->waits_since = run->now;
    if (run->is_ddl)
        run->ddl_end = end;
    move_to(feed, end);
    return HS_OK;
}

static bool tells_ddl(const struct pgoutput_message *m)
{
    return m->is_transactional && hs_str_is(m->prefix, "hasten") &&
           hs_str_starts(m->content, HS_STR("ddl"));
}

static hs_status take_message(struct pg_feed *feed, const struct pgoutput_message *m,
                              struct hs_err *reterr)
{
    const struct pg_feed_ops *ops = feed->setup.ops;
    struct feed_run *run = &feed->run;

    switch (m->kind) {
    case PGOUTPUT_BEGIN:
        run->is_open = true;
        run->is_ddl = false;
        run->open = (struct hs_fence_commit){.start = m->final_lsn, .xid = m->xid};
        return HS_OK;
    case PGOUTPUT_COMMIT:
        return take_commit(feed, m->end_lsn, reterr);
    case PGOUTPUT_CHANGE:
        hs_metric_add(feed->setup.metrics, HS_M_FEED_CHANGES, 1);
        ops->change(feed->setup.ctx, &m->change);
        return HS_OK;
    case PGOUTPUT_TRUNCATE:
        for (size_t i = 0; i < m->n_tables; i++)
            ops->truncate(feed->setup.ctx, m->tables[i], m->change.stamp);
        return HS_OK;
    case PGOUTPUT_MESSAGE:
        if (tells_ddl(m) && !run->is_ddl) {
            run->is_ddl = true;
            feed_catalog_changed(feed);
        }
        return HS_OK;
    case PGOUTPUT_RELATION:
    case PGOUTPUT_OTHER:
        return HS_OK;
    }
    return HS_OK;
}

static uint64_t read_u64(const char *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

static void take_keepalive(struct pg_feed *feed, const char *p)
{
    struct feed_run *run = &feed->run;

    run->is_asked = false;
    run->must_report = run->must_report || p[KEEPALIVE_SIZE - 1];
    run->keepalive_at = run->now;
    if (!run->is_open)
        move_to(feed, read_u64(p + 1));
}

static hs_status take_frame(struct pg_feed *feed, const char *p, size_t n, struct hs_err *reterr)
{
    struct pgoutput_message m;
    hs_status status;

    if (n == KEEPALIVE_SIZE && p[0] == 'k') {
        take_keepalive(feed, p);
        return HS_OK;
    }
    if (n < XLOGDATA_HEAD || p[0] != 'w')
        return hs_fail(reterr, HS_E_PG_ERROR, "PostgreSQL's change stream has an unknown frame");
    hs_metric_add(feed->setup.metrics, HS_M_FEED_BYTES, n - XLOGDATA_HEAD);
    status = pgoutput_read(feed->reader, hs_strn(p + XLOGDATA_HEAD, n - XLOGDATA_HEAD), &m, reterr);
    return status == HS_OK ? take_message(feed, &m, reterr) : status;
}

static hs_status fail_ended(struct pg_feed *feed, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = PQgetResult(feed->run.stream);

    if (r && PQresultStatus(r) == PGRES_FATAL_ERROR && PQstatus(feed->run.stream) == CONNECTION_OK)
        return feed_fail_result(r, reterr);
    return feed_fail_conn(feed->run.stream, reterr);
}

/* *ret_more stays true if the bound was reached before the end of what is there. */
static hs_status take_frames(struct pg_feed *feed, size_t max, bool *ret_more,
                             struct hs_err *reterr)
{
    hs_status status = HS_OK;

    for (size_t i = 0; i < max && status == HS_OK; i++) {
        char *frame = NULL;
        int n = PQgetCopyData(feed->run.stream, &frame, /* async= */ 1);

        if (n == 0) {
            *ret_more = false;
            return HS_OK;
        }
        if (n < 0)
            return fail_ended(feed, reterr);
        feed->run.heard_at = feed->run.now;
        status = take_frame(feed, frame, (size_t)n, reterr);
        PQfreemem(frame);
    }
    return status;
}

hs_status feed_stream_read(struct pg_feed *feed, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;
    hs_status status = HS_OK;
    bool has_more = true;

    if (!run->is_stream_ready)
        return HS_OK;
    if (!PQconsumeInput(run->stream))
        return feed_fail_conn(run->stream, reterr);
    status = take_frames(feed, TURN_MESSAGES, &has_more, reterr);
    run->is_stream_ready = has_more || feed_has_hidden_bytes(run->stream);
    return status;
}

void feed_stream_settle(struct pg_feed *feed)
{
    struct feed_run *run = &feed->run;

    if (!run->is_open && feed->setup.ops->is_pending(feed->setup.ctx))
        feed->setup.ops->position(feed->setup.ctx, run->position);
}

/* ---- status updates ---- */

static void put_u64(char *p, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        p[i] = (char)v;
}

static hs_status report(struct pg_feed *feed, bool must_reply, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;
    char message[STATUS_SIZE] = {'r'};

    put_u64(message + 1, run->position);
    put_u64(message + 9, run->position);
    put_u64(message + 17, run->position);
    put_u64(message + 25, (uint64_t)(hs_wall_now().us - POSTGRES_EPOCH_US));
    message[33] = must_reply ? 1 : 0;
    /* 0 = the socket takes no more: then the last one is still on its way. */
    if (PQputCopyData(run->stream, message, sizeof(message)) < 0 || PQflush(run->stream) < 0)
        return feed_fail_conn(run->stream, reterr);
    run->reported_at = run->now;
    run->must_report = false;
    return HS_OK;
}

/* The lowest position ahead that somebody waits for; 0 = none. */
static uint64_t goal_of(const struct pg_feed *feed)
{
    const struct feed_run *run = &feed->run;
    uint64_t wanted = feed->setup.ops->wanted(feed->setup.ctx);
    uint64_t sample = run->n_samples ? run->samples[0].position : 0;

    if (wanted <= run->position)
        wanted = 0;
    if (sample > run->position && (!wanted || sample < wanted))
        return sample;
    return wanted;
}

static bool must_ask(struct pg_feed *feed)
{
    struct feed_run *run = &feed->run;
    uint64_t goal = run->is_open ? 0 : goal_of(feed);

    if (goal != run->ask_goal) {
        run->ask_goal = goal;
        run->ask_pause = 0;
    }
    if (!goal || run->is_asked || run->now < run->asked_at + run->ask_pause)
        return false;
    run->ask_pause = run->ask_pause ? run->ask_pause * 2 : ASK_PAUSE_MIN;
    if (run->ask_pause > ASK_PAUSE_MAX)
        run->ask_pause = ASK_PAUSE_MAX;
    run->is_asked = true;
    run->asked_at = run->now;
    return true;
}

hs_status feed_stream_report(struct pg_feed *feed, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;
    bool asks = must_ask(feed);

    if (run->is_asked && run->now > run->heard_at + SILENCE_MAX &&
        run->now > run->asked_at + SILENCE_MAX) {
        (void)hs_fail(reterr, HS_E_PG_DOWN, "PostgreSQL does not answer the change stream");
        hs_err_why(reterr, "nothing came for 60 seconds though a reply was asked for");
        return HS_E_PG_DOWN;
    }
    if (asks || run->must_report || run->now >= run->reported_at + REPORT_EVERY)
        return report(feed, asks, reterr);
    return HS_OK;
}

hs_us feed_stream_due(const struct pg_feed *feed)
{
    const struct feed_run *run = &feed->run;
    hs_us due = run->reported_at + REPORT_EVERY;

    if (run->ask_goal && !run->is_asked && run->asked_at + run->ask_pause < due)
        due = run->asked_at + run->ask_pause;
    return due;
}
