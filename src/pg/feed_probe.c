/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ordinary connection: one statement at a time, in the order of urgency.
 *
 *     mark > poll > publish > nudge > probe
 *
 * A probe is one statement for two purposes: its snapshot moves the fence, its insert position is now and then a
 * sample for the proof of freshness. It is sent while delivered commits are not seen as finished (at once, then
 * ever more rarely, where a commit waits for a standby that is not there), and four times in max_staleness.
 *
 * The one rule: an answer is dated with the time when its question was SENT.
 *
 * A proof may stall on WAL that nobody flushes: then one small message is committed. It also does in a server that
 * is only busy elsewhere, which costs a few bytes.
 *
 * Source: PostgreSQL 15 manual, 9.27 (snapshots, WAL positions, pg_logical_emit_message).
 */
#include "pg/feed_int.h"

#include "core/guard.h"
#include "core/hash.h"
#include "core/mem.h"
#include "pg/epoch.h"

/* More than a server can have connections and prepared transactions. */
enum { RUNNING_MAX = 1 << 20 };
static const hs_us PROBE_PAUSE_MIN = 1 * HS_MS;
static const hs_us PROBE_PAUSE_MAX = 10 * HS_MS;
static const hs_us ANSWER_MIN = 3 * HS_SECOND;
/* A publication of thousands of tables, or one that waits for a lock. */
static const hs_us PUBLISH_MAX = 60 * HS_SECOND;
/* hasten.publish() leaves out a table that is locked (VACUUM): it is called again after so long. */
static const hs_us PUBLISH_AGAIN = 60 * HS_SECOND;

static const char CHECK_SQL[] =
    "SELECT current_setting('wal_level') = 'logical', r.rolreplication OR r.rolsuper,"
    " pg_is_in_recovery(), p.oid IS NOT NULL,"
    " coalesce(has_schema_privilege(p.pronamespace, 'USAGE')"
    "  AND has_function_privilege(p.oid, 'EXECUTE'), false), " PG_FEED_PUBLICATION_PRINT
    " FROM pg_roles r LEFT JOIN (SELECT f.oid, f.pronamespace FROM pg_proc f"
    "  JOIN pg_namespace n ON n.oid = f.pronamespace"
    "  WHERE n.nspname = 'hasten' AND f.proname = 'publish') p ON true"
    " WHERE r.rolname = session_user LIMIT 1";
static const char PUBLISH_SQL[] = "SELECT * FROM hasten.publish($1::name, $2::text[])";
static const char MARK_SQL[] = "SELECT pg_current_xact_id(), pg_current_snapshot(),"
                               " pg_current_wal_insert_lsn(), " PG_FEED_PUBLICATION_PRINT;
static const char PROBE_SQL[] = "SELECT pg_current_snapshot(), pg_current_wal_insert_lsn()";
static const char PROBE_FLUSH_SQL[] = "SELECT pg_current_snapshot(), pg_current_wal_flush_lsn()";
static const char NUDGE_SQL[] = "SELECT pg_logical_emit_message(true, 'hasten', '')";

/* ---- begin ---- */

static hs_us begin_deadline(const struct pg_feed *feed)
{
    return hs_now_us() + feed->setup.connect_timeout;
}

static hs_status check_row(const PGresult *r, struct hs_err *reterr)
{
    if (PQntuples(r) != 1)
        return hs_fail(reterr, HS_E_PG_ERROR, "the change stream's login is not known any more");
    if (pg_cell_bool(r, 0, 2)) {
        (void)hs_fail(reterr, HS_E_PG_DOWN, "the change stream reaches a standby");
        hs_err_hint(reterr, "Let it lead to the primary.");
        return HS_E_PG_DOWN;
    }
    if (!pg_cell_bool(r, 0, 0)) {
        (void)hs_fail(reterr, HS_E_CONFIG, "PostgreSQL writes no change stream");
        hs_err_why(reterr, "its setting wal_level is not logical");
        hs_err_hint(reterr, "ALTER SYSTEM SET wal_level = logical; then restart PostgreSQL.");
        return HS_E_CONFIG;
    }
    if (!pg_cell_bool(r, 0, 1)) {
        (void)hs_fail(reterr, HS_E_PG_LOGIN, "the change stream's login may not replicate");
        hs_err_hint(reterr, "ALTER ROLE ... REPLICATION, or name another login in cache.feed.url.");
        return HS_E_PG_LOGIN;
    }
    if (pg_cell_bool(r, 0, 3) && pg_cell_bool(r, 0, 4))
        return HS_OK;
    (void)hs_fail(reterr, HS_E_CONFIG, "the change stream needs the schema hasten");
    hs_err_why(reterr, "%s",
               pg_cell_bool(r, 0, 3) ? "the login may not call hasten.publish()"
                                     : "there is no function hasten.publish() in this database");
    hs_err_hint(reterr, "Run hasten.sql in this database, then: SELECT hasten.allow('login');");
    return HS_E_CONFIG;
}

static uint64_t print_of(const PGresult *r, int column)
{
    return hs_digest(pg_cell(r, 0, column));
}

static hs_status check(struct pg_feed *feed, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {feed->setup.publication.p};
    hs_status status = feed_query(feed, feed->run.probe, CHECK_SQL, params, 1, begin_deadline(feed),
                                  &r, reterr);

    if (status == HS_OK)
        status = check_row(r, reterr);
    if (status == HS_OK)
        feed->run.print = print_of(r, 5);
    return status;
}

hs_status feed_epoch(struct pg_feed *feed, PGconn *conn, uint64_t *ret_epoch, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    hs_status status = feed_query(feed, conn, PG_EPOCH_SQL, NULL, 0, begin_deadline(feed), &r,
                                  reterr);

    if (status != HS_OK)
        return status;
    if (PQntuples(r) != 1 || PQnfields(r) != 1)
        return hs_fail(reterr, HS_E_PG_ERROR, "PostgreSQL does not say which server it is");
    *ret_epoch = pg_epoch(pg_cell(r, 0, 0));
    return HS_OK;
}

static hs_status publish(struct pg_feed *feed, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {feed->setup.publication.p, feed->schemas.p};
    hs_status status = feed_query(feed, feed->run.probe, PUBLISH_SQL, params, 2,
                                  hs_now_us() + PUBLISH_MAX, &r, reterr);

    return status == HS_OK ? feed_tables_take(feed, r, reterr) : status;
}

hs_status feed_probe_begin(struct pg_feed *feed, struct hs_err *reterr)
{
    hs_status status = check(feed, reterr);

    if (status == HS_OK)
        status = feed_epoch(feed, feed->run.probe, &feed->run.epoch, reterr);
    if (status == HS_OK)
        status = publish(feed, reterr);
    feed->run.published_at = hs_now_us();
    feed->run.is_first = true;
    feed->run.is_drained = true; /* the slot waits for whoever writes now */
    feed->run.tables_state = FEED_TABLES_ASKED;
    return status;
}

/* ---- snapshots ---- */

/* "xmin:xmax:a,b,c"; the numbers live until the next one. */
static hs_status read_snapshot(struct feed_run *run, struct hs_str text,
                               struct hs_fence_snapshot *ret_snapshot, struct hs_err *reterr)
{
    struct hs_fence_snapshot s = {0};
    bool is_good = hs_str_to_u64(hs_str_cut(&text, ':'), &s.xmin) &&
                   hs_str_to_u64(hs_str_cut(&text, ':'), &s.xmax);
    size_t max = text.n / 2 + 1;

    if (!is_good || max > RUNNING_MAX)
        return hs_fail(reterr, HS_E_PG_ERROR, "PostgreSQL told no snapshot where one belongs");
    if (max > run->cap_running) {
        uint64_t *p = hs_realloc(run->running, max * sizeof(*p));

        if (!p)
            return hs_fail_memory(reterr);
        run->running = p;
        run->cap_running = max;
    }
    while (text.n && is_good)
        is_good = hs_str_to_u64(hs_str_cut(&text, ','), &run->running[s.n_running++]);
    if (!is_good)
        return hs_fail(reterr, HS_E_PG_ERROR, "PostgreSQL told no snapshot where one belongs");
    s.running = run->running;
    *ret_snapshot = s;
    return HS_OK;
}

static void set_fence(struct pg_feed *feed, uint64_t fence)
{
    struct feed_run *run = &feed->run;

    if (fence > run->fence) {
        run->fence = fence;
        feed->setup.ops->fence(feed->setup.ctx, fence);
    }
    if (run->waits_since && run->fence >= run->position) {
        hs_metric_observe(feed->setup.metrics, HS_M_FEED_FENCE_DELAY, run->now - run->waits_since);
        run->waits_since = 0;
    }
}

/* What was seen as finished stays so. */
static void forget_finished(struct feed_run *run, const struct hs_fence_snapshot *snapshot)
{
    size_t kept = 0;

    for (size_t i = 0; i < run->n_commits; i++) {
        if (!hs_fence_finished(snapshot, run->commits[i].xid, /* is_short= */ true))
            run->commits[kept++] = run->commits[i];
    }
    run->n_commits = kept;
}

static void prove(struct pg_feed *feed)
{
    struct feed_run *run = &feed->run;
    size_t n = 0;

    while (n < run->n_samples && run->samples[n].position <= run->position)
        n++;
    if (!n)
        return;
    feed->setup.ops->proof(feed->setup.ctx,
                           HS_GUARD(proof_sample_time) ? run->samples[n - 1].sent_at : run->now);
    run->n_samples -= n;
    memmove(run->samples, run->samples + n, run->n_samples * sizeof(run->samples[0]));
}

void feed_probe_passed(struct pg_feed *feed)
{
    struct feed_run *run = &feed->run;

    prove(feed);
    if (run->fence && (run->n_commits == 0 || !HS_GUARD(fence_visibility)))
        set_fence(feed, run->position);
}

/* ---- answers ---- */

static void settle(struct pg_feed *feed, uint64_t floor)
{
    feed->run.tables_state = FEED_TABLES_TOLD;
    feed_tables_tell(feed, floor);
}

static hs_status take_mark(struct pg_feed *feed, const PGresult *r, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;
    struct hs_fence_snapshot snapshot;
    uint64_t print = print_of(r, 3);
    uint64_t xid = 0;
    hs_status status = read_snapshot(run, pg_cell(r, 0, 1), &snapshot, reterr);

    if (status == HS_OK && !hs_str_to_u64(pg_cell(r, 0, 0), &xid))
        status = hs_fail(reterr, HS_E_PG_ERROR, "PostgreSQL told no transaction number");
    if (status == HS_OK)
        status = feed_lsn(r, 0, 2, &run->insert_lsn, reterr);
    if (status != HS_OK)
        return status;
    if (!run->boot)
        run->boot = HS_GUARD(first_fence_xid) ? xid : snapshot.xmax;
    run->is_drained = run->is_drained && print == run->print;
    run->print = print;
    run->drain = xid;
    /* DDL came in between: publish() will be called again, and marked again. */
    if (run->tables_state != FEED_TABLES_ASKED)
        return HS_OK;
    if (run->is_drained || !HS_GUARD(publication_drain))
        settle(feed, run->is_first ? run->begun : run->insert_lsn);
    else
        run->tables_state = FEED_TABLES_DRAINS;
    run->is_first = false;
    return HS_OK;
}

hs_status feed_probe_mark(struct pg_feed *feed, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {feed->setup.publication.p};
    hs_status status = feed_query(feed, feed->run.probe, MARK_SQL, params, 1, begin_deadline(feed),
                                  &r, reterr);

    return status == HS_OK ? take_mark(feed, r, reterr) : status;
}

static void add_sample(struct feed_run *run)
{
    if (!run->is_sample || run->n_samples == FEED_SAMPLES_MAX)
        return;
    run->samples[run->n_samples++] = (struct feed_sample){run->insert_lsn, run->sent_at};
}

static hs_status take_probe(struct pg_feed *feed, const PGresult *r, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;
    struct hs_fence_snapshot snapshot;
    hs_status status = read_snapshot(run, pg_cell(r, 0, 0), &snapshot, reterr);

    if (status == HS_OK)
        status = feed_lsn(r, 0, 1, &run->insert_lsn, reterr);
    if (status != HS_OK)
        return status;
    add_sample(run);
    /* The position was taken in this epoch, at the slot's or after it, and the snapshot was asked for later. */
    set_fence(feed, hs_fence_next(run->fence, run->boot, run->begun, run->position, run->commits,
                                  run->n_commits, &snapshot));
    forget_finished(run, &snapshot);
    if (run->tables_state == FEED_TABLES_DRAINS && hs_fence_drained(&snapshot, run->drain)) {
        run->is_drained = true;
        settle(feed, run->insert_lsn);
    }
    run->probe_pause = run->probe_pause ? run->probe_pause * 2 : PROBE_PAUSE_MIN;
    if (run->probe_pause > PROBE_PAUSE_MAX)
        run->probe_pause = PROBE_PAUSE_MAX;
    hs_metric_set(feed->setup.metrics, HS_M_FEED_LAG,
                  run->insert_lsn > run->position ? run->insert_lsn - run->position : 0);
    return HS_OK;
}

static void tables_are_stale(struct pg_feed *feed)
{
    feed->run.tables_state = FEED_TABLES_STALE;
    feed_tables_tell(feed, FEED_NEVER);
}

/* Tables first: what is kept under the new generation must not count on the old publication. */
void feed_catalog_changed(struct pg_feed *feed)
{
    tables_are_stale(feed);
    feed->generation++;
    feed->setup.ops->catalog(feed->setup.ctx, feed->generation, feed->run.looked_at);
}

static void take_poll(struct pg_feed *feed, const PGresult *r)
{
    struct feed_run *run = &feed->run;
    int n = PQnfields(r) - 1;
    uint64_t fingerprint = pg_print_hash(r, n);
    bool is_changed = run->has_print && fingerprint != feed->fingerprint;

    /* What happened while there was no feed is not known: another generation as well. */
    if (!run->has_print)
        feed->generation++;
    run->has_print = true;
    run->looked_at = run->sent_at;
    feed->fingerprint = fingerprint;
    if (is_changed)
        feed_catalog_changed(feed);
    else
        feed->setup.ops->catalog(feed->setup.ctx, feed->generation, run->looked_at);
    if (!is_changed && print_of(r, n) != run->print && run->tables_state != FEED_TABLES_STALE)
        tables_are_stale(feed);
}

static hs_status take_publish(struct pg_feed *feed, const PGresult *r, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;

    if (run->is_retry && (run->tables_state == FEED_TABLES_STALE || !feed_tables_have_changed(r)))
        return HS_OK;
    if (run->is_retry)
        run->tables_state = FEED_TABLES_ASKED;
    return feed_tables_take(feed, r, reterr);
}

static hs_status take_answer(struct pg_feed *feed, enum feed_question question, const PGresult *r,
                             struct hs_err *reterr)
{
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        return PQstatus(feed->run.probe) == CONNECTION_OK ? feed_fail_result(r, reterr)
                                                          : feed_fail_conn(feed->run.probe, reterr);
    switch (question) {
    case FEED_ASK_PROBE:
        return take_probe(feed, r, reterr);
    case FEED_ASK_POLL:
        take_poll(feed, r);
        return HS_OK;
    case FEED_ASK_PUBLISH:
        return take_publish(feed, r, reterr);
    case FEED_ASK_MARK:
        return take_mark(feed, r, reterr);
    case FEED_ASK_NUDGE:
    case FEED_ASK_NOTHING:
        return HS_OK;
    }
    return HS_OK;
}

static hs_us answer_limit(const struct pg_feed *feed)
{
    hs_us limit = 3 * feed->setup.max_staleness;

    if (feed->run.question == FEED_ASK_PUBLISH)
        return PUBLISH_MAX;
    return limit > ANSWER_MIN ? limit : ANSWER_MIN;
}

static hs_status check_answer_time(const struct pg_feed *feed, struct hs_err *reterr)
{
    const struct feed_run *run = &feed->run;

    if (run->question == FEED_ASK_NOTHING || run->now <= run->sent_at + answer_limit(feed))
        return HS_OK;
    (void)hs_fail(reterr, HS_E_PG_DOWN, "PostgreSQL does not answer the change stream");
    hs_err_why(reterr, "no answer to a small query within %llu ms",
               (unsigned long long)(answer_limit(feed) / HS_MS));
    return HS_E_PG_DOWN;
}

hs_status feed_probe_read(struct pg_feed *feed, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;

    if (!run->is_probe_ready)
        return check_answer_time(feed, reterr);
    if (!PQconsumeInput(run->probe))
        return feed_fail_conn(run->probe, reterr);
    run->is_probe_ready = feed_has_hidden_bytes(run->probe);
    while (run->question != FEED_ASK_NOTHING && !PQisBusy(run->probe)) {
        PGresult *next = PQgetResult(run->probe);

        if (!next) {
            hs_auto(pg_reader_clear) PGresult *answer = run->answer;
            enum feed_question question = run->question;

            run->question = FEED_ASK_NOTHING;
            run->answer = NULL;
            return take_answer(feed, question, answer, reterr);
        }
        PQclear(run->answer);
        run->answer = next;
    }
    return HS_OK;
}

/* ---- questions ---- */

static hs_us quarter(const struct pg_feed *feed)
{
    return feed->setup.max_staleness / 4;
}

/* When a probe is due; 0 = none for the fence's or the publication's sake. */
static hs_us probe_due(const struct feed_run *run)
{
    hs_us pause = run->probe_pause > PROBE_PAUSE_MIN ? run->probe_pause : PROBE_PAUSE_MIN;

    if (run->n_commits || !run->fence || run->tables_state == FEED_TABLES_DRAINS)
        return run->probed_at + pause;
    return 0;
}

static hs_us sample_due(const struct pg_feed *feed)
{
    const struct feed_run *run = &feed->run;

    return run->n_samples == FEED_SAMPLES_MAX ? UINT64_MAX : run->sampled_at + quarter(feed);
}

/* UINT64_MAX: no sample stalls. */
static hs_us nudge_due(const struct pg_feed *feed)
{
    const struct feed_run *run = &feed->run;
    hs_us since = run->n_samples ? run->samples[0].sent_at : 0;

    if (!since || run->is_open || run->keepalive_at <= since)
        return UINT64_MAX;
    if (run->nudged_at > since)
        since = run->nudged_at;
    return since + quarter(feed);
}

static bool must_publish(struct pg_feed *feed)
{
    const struct feed_run *run = &feed->run;

    if (run->tables_state == FEED_TABLES_TOLD)
        return feed_tables(feed)->may_improve && run->now >= run->published_at + PUBLISH_AGAIN;
    /* DDL that the stream told of may not be visible yet. */
    return run->tables_state == FEED_TABLES_STALE && !run->ddl_end &&
           !(run->is_open && run->is_ddl);
}

static enum feed_question next_question(struct pg_feed *feed)
{
    struct feed_run *run = &feed->run;
    hs_us due = probe_due(run);

    if (run->tables_state == FEED_TABLES_ASKED)
        return FEED_ASK_MARK;
    if (run->ddl_end && run->fence >= run->ddl_end) {
        run->ddl_end = 0;
        run->must_poll = true;
    }
    if (run->must_poll || run->now >= run->polled_at + feed->setup.max_staleness / 2)
        return FEED_ASK_POLL;
    if (must_publish(feed))
        return FEED_ASK_PUBLISH;
    if (run->now >= nudge_due(feed))
        return FEED_ASK_NUDGE;
    if ((due && run->now >= due) || run->now >= sample_due(feed))
        return FEED_ASK_PROBE;
    return FEED_ASK_NOTHING;
}

static int send_question(struct pg_feed *feed, enum feed_question question)
{
    struct feed_run *run = &feed->run;
    const char *params[] = {feed->setup.publication.p, feed->schemas.p};

    switch (question) {
    case FEED_ASK_PROBE:
        run->probed_at = run->now;
        run->is_sample = run->now >= sample_due(feed);
        if (run->is_sample)
            run->sampled_at = run->now;
        return PQsendQueryParams(run->probe,
                                 HS_GUARD(proof_insert_lsn) ? PROBE_SQL : PROBE_FLUSH_SQL, 0, NULL,
                                 NULL, NULL, NULL, 0);
    case FEED_ASK_POLL:
        run->polled_at = run->now;
        run->must_poll = false;
        return PQsendQueryParams(run->probe, feed->poll_sql.p, 2, NULL, params, NULL, NULL, 0);
    case FEED_ASK_PUBLISH:
        run->published_at = run->now;
        run->is_retry = run->tables_state == FEED_TABLES_TOLD;
        if (!run->is_retry)
            run->tables_state = FEED_TABLES_ASKED;
        return PQsendQueryParams(run->probe, PUBLISH_SQL, 2, NULL, params, NULL, NULL, 0);
    case FEED_ASK_MARK:
        return PQsendQueryParams(run->probe, MARK_SQL, 1, NULL, params, NULL, NULL, 0);
    case FEED_ASK_NUDGE:
        run->nudged_at = run->now;
        return PQsendQueryParams(run->probe, NUDGE_SQL, 0, NULL, NULL, NULL, NULL, 0);
    case FEED_ASK_NOTHING:
        return 1;
    }
    return 1;
}

hs_status feed_probe_ask(struct pg_feed *feed, struct hs_err *reterr)
{
    struct feed_run *run = &feed->run;
    enum feed_question question;

    if (run->question != FEED_ASK_NOTHING)
        return HS_OK;
    question = next_question(feed);
    if (question == FEED_ASK_NOTHING)
        return HS_OK;
    run->question = question;
    run->sent_at = run->now;
    if (!send_question(feed, question) || PQflush(run->probe) < 0)
        return feed_fail_conn(run->probe, reterr);
    return HS_OK;
}

hs_us feed_probe_due(const struct pg_feed *feed)
{
    const struct feed_run *run = &feed->run;
    hs_us due = run->polled_at + feed->setup.max_staleness / 2;
    hs_us others[] = {probe_due(run), sample_due(feed), nudge_due(feed)};

    if (run->question != FEED_ASK_NOTHING)
        return run->sent_at + answer_limit(feed) + 1;
    for (size_t i = 0; i < HS_LEN(others); i++) {
        if (others[i] && others[i] < due)
            due = others[i];
    }
    return due;
}
