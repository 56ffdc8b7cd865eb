/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feed's life.
 *
 *     connect, check, publish -> slot -> begin -> turn, turn, turn ... -> end -> pause -> connect ...
 *
 * One turn: read the stream, take an answer, tell what follows from both, ask what has to be asked, wait. The clock
 * is read once, after the wait: a process that was stopped finds out at once how old its proof is.
 *
 * The one rule: whatever is strange ends this life of the feed. The next one begins with a slot of its own, and
 * nothing that was cached under the old one is served again; so no fault has to be repaired.
 */
#include "pg/feed_int.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"

enum { OPTIONS_MAX = 16384, POLL_SQL_MAX = 32768, ARENA_MAX = 1 << 20, DOUBLINGS_MAX = 20 };

/* $2, the names; a schema that is not there has no tables yet. */
#define SCHEMAS_SQL "ARRAY(SELECT oid FROM pg_namespace WHERE nspname = ANY ($2::text[]))"

/* ---- life ---- */

static hs_status make_options(struct pg_feed *feed, struct hs_err *reterr)
{
    char *message = NULL;
    PQconninfoOption *given = PQconninfoParse(feed->setup.url.p, &message);
    PQconninfoOption *defaults = PQconndefaults();
    const char *text = NULL;

    /* The environment's, unless the string has its own. */
    for (PQconninfoOption *o = defaults; o && o->keyword; o++) {
        if (strcmp(o->keyword, "options") == 0)
            text = o->val;
    }
    for (PQconninfoOption *o = given; o && o->keyword; o++) {
        if (strcmp(o->keyword, "options") == 0 && o->val && o->val[0])
            text = o->val;
    }
    hs_buf_add(&feed->options, hs_str(text));
    hs_buf_add_lit(&feed->options,
                   " -c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres"
                   " -c extra_float_digits=1 -c bytea_output=hex -c search_path=pg_catalog"
                   " -c default_transaction_isolation=read\\ committed"
                   " -c default_transaction_read_only=off -c statement_timeout=0"
                   " -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0"
                   " -c synchronous_commit=local -c jit=off");
    PQconninfoFree(defaults);
    /* libpq's message may quote the string, and with it a password, so it is not shown. */
    PQfreemem(message);
    if (!given)
        return hs_fail(reterr, HS_E_CONFIG,
                       "the change stream's url is not a PostgreSQL connection string");
    PQconninfoFree(given);
    return hs_buf_cstr(&feed->options) ? HS_OK : hs_fail_memory(reterr);
}

static hs_status make_texts(struct pg_feed *feed, struct hs_err *reterr)
{
    hs_status status = make_options(feed, reterr);

    if (status != HS_OK)
        return status;
    pg_print_sql(&feed->poll_sql, SCHEMAS_SQL, /* is_whole= */ true);
    hs_buf_add_lit(&feed->poll_sql, ", " PG_FEED_PUBLICATION_PRINT);
    feed->schemas = pg_array_literal(&feed->arena, feed->setup.schemas, feed->setup.n_schemas);
    feed->setup.publication = hs_arena_dup(&feed->arena, feed->setup.publication);
    feed->setup.application_name = hs_arena_dup(&feed->arena, feed->setup.application_name);
    if (!hs_buf_cstr(&feed->poll_sql) || hs_arena_failed(&feed->arena))
        return hs_fail_memory(reterr);
    return HS_OK;
}

hs_status pg_feed_new(const struct pg_feed_setup *setup, struct pg_feed **ret_feed,
                      struct hs_err *reterr)
{
    struct pg_feed *feed = hs_calloc(1, sizeof(*feed));
    hs_status status = HS_OK;

    if (!feed)
        return hs_fail_memory(reterr);
    feed->magic = PG_FEED_MAGIC;
    feed->setup = *setup;
    feed->rng = (struct hs_rng){setup->seed};
    hs_arena_init(&feed->arena, ARENA_MAX);
    for (size_t i = 0; i < HS_LEN(feed->tables); i++)
        hs_arena_init(&feed->tables[i].arena, FEED_TABLES_BYTES_MAX);
    hs_buf_init(&feed->options, OPTIONS_MAX);
    hs_buf_init(&feed->poll_sql, POLL_SQL_MAX);
    feed->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    feed->reader = pgoutput_new();
    if (feed->event < 0)
        status = hs_fail(reterr, HS_E_IO, "cannot make an eventfd for the change stream");
    else if (!feed->reader)
        status = hs_fail_memory(reterr);
    else
        status = make_texts(feed, reterr);
    if (status == HS_OK)
        *ret_feed = feed;
    else
        pg_feed_free(feed);
    return status;
}

void pg_feed_free(struct pg_feed *feed)
{
    if (!feed)
        return;
    HS_OBJ(feed, (uint32_t)PG_FEED_MAGIC);
    if (feed->event >= 0)
        (void)close(feed->event);
    pgoutput_free(feed->reader);
    feed_tables_fini(feed);
    hs_arena_fini(&feed->arena);
    hs_buf_fini(&feed->options);
    hs_buf_fini(&feed->poll_sql);
    feed->magic = 0;
    hs_free(feed);
}

void pg_feed_wake(struct pg_feed *feed)
{
    uint64_t one = 1;

    if (!atomic_exchange(&feed->is_woken, true))
        (void)!write(feed->event, &one, sizeof(one));
}

void pg_feed_stop(struct pg_feed *feed)
{
    atomic_store(&feed->must_stop, true);
    pg_feed_wake(feed);
}

void pg_feed_restart(struct pg_feed *feed)
{
    atomic_store(&feed->must_restart, true);
    pg_feed_wake(feed);
}

void pg_feed_pause(struct pg_feed *feed)
{
    if (feed_must_pause(feed))
        return;
    (void)atomic_fetch_add(&feed->pauses, 1);
    pg_feed_wake(feed);
}

void pg_feed_resume(struct pg_feed *feed)
{
    if (!feed_must_pause(feed))
        return;
    (void)atomic_fetch_add(&feed->pauses, 1);
    pg_feed_wake(feed);
}

bool pg_feed_is_paused(const struct pg_feed *feed)
{
    unsigned pauses = atomic_load(&feed->pauses);

    return (pauses & 1) && atomic_load(&feed->reached) == pauses;
}

/* ---- one turn ---- */

/* The flag first: who sets it again afterwards writes again. */
static void take_wake(struct pg_feed *feed)
{
    uint64_t n;

    (void)!read(feed->event, &n, sizeof(n));
    (void)atomic_exchange(&feed->is_woken, false);
}

static hs_us turn_due(const struct pg_feed *feed)
{
    hs_us stream = feed_stream_due(feed);
    hs_us probe = feed_probe_due(feed);

    return stream < probe ? stream : probe;
}

static hs_status wait_turn(struct pg_feed *feed, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;
    bool has_more = run->is_stream_ready || run->is_probe_ready;
    int stream_left = PQflush(run->stream);
    int probe_left = PQflush(run->probe);
    struct pollfd fds[] = {
        {.fd = feed->event, .events = POLLIN},
        {.fd = PQsocket(run->stream), .events = stream_left > 0 ? POLLIN | POLLOUT : POLLIN},
        {.fd = PQsocket(run->probe), .events = probe_left > 0 ? POLLIN | POLLOUT : POLLIN},
    };
    hs_us due = turn_due(feed);
    hs_us now = hs_now_us();
    hs_us left = has_more || due <= now ? 0 : due - now;
    struct timespec timeout = {(time_t)(left / HS_SECOND), (long)(left % HS_SECOND) * 1000};

    if (stream_left < 0 || probe_left < 0)
        return feed_fail_conn(stream_left < 0 ? run->stream : run->probe, reterr);
    if (ppoll(fds, HS_LEN(fds), &timeout, NULL) < 0 && errno != EINTR)
        return hs_fail(reterr, HS_E_IO, "cannot wait for the change stream");
    run->now = hs_now_us();
    if (fds[0].revents)
        take_wake(feed);
    run->is_stream_ready = run->is_stream_ready || fds[1].revents;
    run->is_probe_ready = run->is_probe_ready || fds[2].revents;
    return HS_OK;
}

static hs_status turn(struct pg_feed *feed, struct hs_err *reterr)
{
    hs_status status = feed_check_flags(feed, reterr);

    if (status == HS_OK)
        status = feed_stream_read(feed, reterr);
    if (status == HS_OK)
        status = feed_probe_read(feed, reterr);
    if (status != HS_OK)
        return status;
    feed_stream_settle(feed);
    feed_probe_passed(feed);
    status = feed_probe_ask(feed, reterr);
    if (status == HS_OK)
        status = feed_stream_report(feed, reterr);
    if (status == HS_OK)
        status = wait_turn(feed, reterr);
    return status;
}

/* ---- one life ---- */

static void tell_begin(struct pg_feed *feed)
{
    struct feed_run *run = &feed->run;

    run->has_begun = true;
    run->began_at = hs_now_us();
    hs_metric_set(feed->setup.metrics, HS_M_FEED_UP, 1);
    hs_log(HS_LOG_INFO, "change stream followed", "from %X/%X", (unsigned)(run->begun >> 32),
           (unsigned)run->begun);
    feed->setup.ops->begin(feed->setup.ctx, run->epoch, run->begun);
    feed_tables_tell(feed, FEED_NEVER);
}

static hs_status begin(struct pg_feed *feed, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;
    hs_status status = feed_connect(feed, /* is_replication= */ false, &run->probe, reterr);

    if (status == HS_OK)
        status = feed_probe_begin(feed, reterr);
    if (status == HS_OK)
        status = feed_connect(feed, /* is_replication= */ true, &run->stream, reterr);
    if (status == HS_OK)
        status = feed_stream_begin(feed, reterr);
    if (status != HS_OK)
        return status;
    tell_begin(feed);
    return feed_probe_mark(feed, reterr);
}

/* Until something ends it; always with an error. */
static void live(struct pg_feed *feed, struct hs_err *reterr)
{
    hs_status status;

    feed->run = (struct feed_run){.now = hs_now_us()};
    atomic_store(&feed->must_restart, false);
    status = begin(feed, reterr);
    feed->run.now = hs_now_us();
    while (status == HS_OK)
        status = turn(feed, reterr);
}

/* Once per appearance. */
static void log_end(struct pg_feed *feed, const struct hs_err *why)
{
    char fault[sizeof(feed->fault)];

    (void)snprintf(fault, sizeof(fault), "%s %s", why->what, why->why);
    if (why->status == HS_E_SHUTDOWN || strcmp(feed->fault, fault) == 0)
        return;
    memcpy(feed->fault, fault, sizeof(fault));
    hs_log_begin(HS_LOG_WARN, feed->run.has_begun ? "change stream lost" : "no change stream");
    hs_log_err(why);
    hs_log_end();
}

static void end(struct pg_feed *feed, struct hs_err *why)
{
    struct feed_run *run = &feed->run;

    if (!why->hint[0])
        hs_err_hint(why, "It is tried again; until then nothing is served from the cache.");
    if (run->has_begun) {
        /* One that ends as soon as it has begun is no better than one that does not begin. */
        if (hs_now_us() - run->began_at >= feed->setup.retry_max) {
            feed->failures = 0;
            feed->fault[0] = '\0';
        }
        hs_metric_set(feed->setup.metrics, HS_M_FEED_UP, 0);
        hs_metric_add(feed->setup.metrics, HS_M_FEED_RESTARTS, 1);
    }
    log_end(feed, why);
    feed->setup.ops->end(feed->setup.ctx, why);
    PQclear(run->answer);
    PQfinish(run->probe);
    PQfinish(run->stream);
    hs_free(run->commits);
    hs_free(run->running);
    *run = (struct feed_run){0};
}

/* Jittered, so that nodes that lost one server do not come back together. */
static hs_us next_pause(struct pg_feed *feed)
{
    unsigned doublings = feed->failures < DOUBLINGS_MAX ? feed->failures : DOUBLINGS_MAX;
    hs_us pause = feed->setup.retry_min << doublings;

    if (pause > feed->setup.retry_max)
        pause = feed->setup.retry_max;
    feed->failures++;
    return pause / 2 + hs_rng_below(&feed->rng, pause / 2 + 1);
}

/* Between two lives: nothing is connected. */
static void wait_resume(struct pg_feed *feed)
{
    while (feed_must_pause(feed) && !atomic_load(&feed->must_stop)) {
        unsigned pauses = atomic_load(&feed->pauses);
        struct pollfd fd = {.fd = feed->event, .events = POLLIN};

        if (atomic_exchange(&feed->reached, pauses) != pauses && feed->setup.ops->paused)
            feed->setup.ops->paused(feed->setup.ctx);
        (void)poll(&fd, 1, -1);
        take_wake(feed);
    }
}

/* Not cut short by a restart: who asks for one again and again must not make it spin. */
static void pause_life(struct pg_feed *feed)
{
    hs_us until = hs_now_us() + next_pause(feed);

    for (hs_us now = hs_now_us(); now < until; now = hs_now_us()) {
        struct pollfd fd = {.fd = feed->event, .events = POLLIN};

        if (atomic_load(&feed->must_stop) || feed_must_pause(feed))
            return;
        (void)poll(&fd, 1, (int)((until - now) / HS_MS) + 1);
        if (fd.revents)
            take_wake(feed);
    }
}

void pg_feed_run(struct pg_feed *feed)
{
    HS_OBJ(feed, (uint32_t)PG_FEED_MAGIC);
    while (!atomic_load(&feed->must_stop)) {
        struct hs_err why;

        wait_resume(feed);
        hs_err_clear(&why);
        live(feed, &why);
        end(feed, &why);
        if (!atomic_load(&feed->must_stop))
            pause_life(feed);
    }
}
