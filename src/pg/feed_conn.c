/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feed's two connections while they are being set up: one step after the other, each of which waits on its
 * socket and on the feed's eventfd, so that a stop is never late. (But for the resolution of a name, which libpq
 * does itself: an address in the connection string, or a resolver that answers, avoids that.)
 *
 * The sessions are pinned by start-up options, behind the operator's own: values of the stream are the text that
 * the types' output functions write there, and the cache compares texts. A commit of the feed's own waits for no
 * standby, and DDL that holds a lock must not hold the feed.
 *
 * Source: PostgreSQL 15 manual, 34.1 and 34.4 (libpq), 55.4 (replication=database).
 */
#include "pg/feed_int.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "net/ssl_pending.h"
#include "pg/epoch.h"

enum { OLDEST_SERVER = 150000 };

hs_status feed_check_flags(struct pg_feed *feed, struct hs_err *reterr)
{
    if (atomic_load(&feed->must_stop))
        return hs_fail(reterr, HS_E_SHUTDOWN, "the program ends");
    if (feed_must_pause(feed))
        return hs_fail(reterr, HS_E_SHUTDOWN, "the change stream is paused");
    if (atomic_load(&feed->must_restart))
        return hs_fail(reterr, HS_E_SHUTDOWN, "the change stream is to begin anew");
    return HS_OK;
}

/* libpq ends its messages with a newline, and several hosts give several lines, some indented. */
hs_status feed_fail_conn(const PGconn *conn, struct hs_err *reterr)
{
    char line[HS_ERR_WHY];
    const char *message = PQerrorMessage(conn);
    size_t n = 0;

    for (; message[n] && n < sizeof(line) - 1; n++)
        line[n] = message[n] == '\n' || message[n] == '\t' ? ' ' : message[n];
    while (n && line[n - 1] == ' ')
        n--;
    line[n] = '\0';
    (void)hs_fail(reterr, HS_E_PG_DOWN, "lost the change stream's connection to PostgreSQL");
    hs_err_why(reterr, "%s", line);
    return HS_E_PG_DOWN;
}

hs_status feed_fail_result(const PGresult *result, struct hs_err *reterr)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    (void)hs_fail(reterr, HS_E_PG_ERROR, "%s", message ? message : "PostgreSQL gave no answer");
    if (detail)
        hs_err_why(reterr, "%s", detail);
    if (hint)
        hs_err_hint(reterr, "%s", hint);
    if (reterr && sqlstate)
        (void)snprintf(reterr->sqlstate, sizeof(reterr->sqlstate), "%.5s", sqlstate);
    return HS_E_PG_ERROR;
}

hs_status feed_lsn(const PGresult *result, int row, int column, uint64_t *ret_lsn,
                   struct hs_err *reterr)
{
    if (pg_lsn_read(pg_cell(result, row, column), ret_lsn))
        return HS_OK;
    return hs_fail(reterr, HS_E_PG_ERROR, "PostgreSQL told no position where one belongs");
}

bool feed_has_hidden_bytes(PGconn *conn)
{
    return PQsslInUse(conn) && net_ssl_pending(PQsslStruct(conn, "OpenSSL"));
}

/* Until the socket is ready. A wake-up that is no stop is left for later. */
static hs_status wait_socket(struct pg_feed *feed, const PGconn *conn, short events, hs_us deadline,
                             struct hs_err *reterr)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = PQsocket(conn), .events = events},
                                {.fd = feed->event, .events = POLLIN}};
        hs_us now = hs_now_us();
        hs_us left = deadline && deadline < now + HS_SECOND ? deadline - now : HS_SECOND;
        hs_status status = feed_check_flags(feed, reterr);
        uint64_t n;

        if (status != HS_OK)
            return status;
        if (deadline && now >= deadline) {
            (void)hs_fail(reterr, HS_E_PG_DOWN, "PostgreSQL does not answer the change stream");
            return HS_E_PG_DOWN;
        }
        if (poll(fds, 2, (int)(left / HS_MS) + 1) < 0 && errno != EINTR)
            return hs_fail(reterr, HS_E_IO, "cannot wait for a socket");
        if (fds[1].revents & POLLIN) {
            (void)!read(feed->event, &n, sizeof(n));
            (void)atomic_exchange(&feed->is_woken, false);
        }
        if (fds[0].revents)
            return HS_OK;
    }
}

/* By itself libpq writes notices to standard error, between the lines of the log. */
static void ignore_notice(void *arg, const PGresult *notice)
{
    (void)arg;
    (void)notice;
}

static PGconn *start(const struct pg_feed *feed, bool is_replication)
{
    /* What stands before dbname can be overridden by the url; what stands behind it cannot. */
    const char *names[] = {"application_name",
                           "keepalives_idle",
                           "keepalives_interval",
                           "keepalives_count",
                           "tcp_user_timeout",
                           "gssencmode",
                           "target_session_attrs",
                           "dbname",
                           "client_encoding",
                           "options",
                           is_replication ? "replication" : NULL,
                           NULL};
    const char *values[] = {feed->setup.application_name.p,
                            "10",
                            "5",
                            "3",
                            "30000",
                            "disable",
                            "primary",
                            feed->setup.url.p,
                            "UTF8",
                            feed->options.p,
                            "database",
                            NULL};
    PGconn *conn = PQconnectStartParams(names, values, /* expand_dbname= */ 1);

    if (conn)
        (void)PQsetNoticeReceiver(conn, ignore_notice, NULL);
    return conn;
}

static hs_status connect_on(struct pg_feed *feed, PGconn *conn, struct hs_err *reterr)
{
    hs_us deadline = hs_now_us() + feed->setup.connect_timeout;
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    hs_status status = HS_OK;

    if (PQstatus(conn) == CONNECTION_BAD)
        next = PGRES_POLLING_FAILED;
    while (status == HS_OK && next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
        status = wait_socket(feed, conn, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline,
                             reterr);
        if (status == HS_OK)
            next = PQconnectPoll(conn);
    }
    if (status != HS_OK)
        return status;
    if (next == PGRES_POLLING_FAILED || PQsetnonblocking(conn, 1)) {
        (void)feed_fail_conn(conn, reterr);
        if (reterr)
            (void)snprintf(reterr->what, sizeof(reterr->what), "%s",
                           "cannot connect to PostgreSQL for the change stream");
        return HS_E_PG_DOWN;
    }
    if (PQserverVersion(conn) >= OLDEST_SERVER)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_PG_ERROR, "this PostgreSQL is too old for the change stream");
    hs_err_hint(reterr, "Use PostgreSQL 15 or newer.");
    return HS_E_PG_ERROR;
}

hs_status feed_connect(struct pg_feed *feed, bool is_replication, PGconn **ret_conn,
                       struct hs_err *reterr)
{
    PGconn *conn = start(feed, is_replication);
    hs_status status;

    if (!conn)
        return hs_fail_memory(reterr);
    status = connect_on(feed, conn, reterr);
    if (status == HS_OK)
        *ret_conn = conn;
    else
        PQfinish(conn);
    return status;
}

static hs_status flush(struct pg_feed *feed, PGconn *conn, hs_us deadline, struct hs_err *reterr)
{
    for (;;) {
        int left = PQflush(conn);
        hs_status status;

        if (left == 0)
            return HS_OK;
        if (left < 0)
            return feed_fail_conn(conn, reterr);
        status = wait_socket(feed, conn, POLLOUT, deadline, reterr);
        if (status != HS_OK)
            return status;
    }
}

/* Keeps the last result but for a failure, which stays; a stream (COPY) has no end. */
static hs_status take_results(struct pg_feed *feed, PGconn *conn, hs_us deadline,
                              PGresult **ret_result, struct hs_err *reterr)
{
    for (;;) {
        PGresult *next;

        while (PQisBusy(conn)) {
            hs_status status = feed_has_hidden_bytes(conn)
                                   ? HS_OK
                                   : wait_socket(feed, conn, POLLIN, deadline, reterr);

            if (status != HS_OK)
                return status;
            if (!PQconsumeInput(conn))
                return feed_fail_conn(conn, reterr);
        }
        next = PQgetResult(conn);
        if (!next)
            break;
        if (*ret_result && PQresultStatus(*ret_result) == PGRES_FATAL_ERROR) {
            PQclear(next);
            continue;
        }
        PQclear(*ret_result);
        *ret_result = next;
        if (PQresultStatus(next) == PGRES_COPY_BOTH)
            break;
    }
    return *ret_result ? HS_OK : feed_fail_conn(conn, reterr);
}

hs_status feed_query(struct pg_feed *feed, PGconn *conn, const char *sql, const char *const *params,
                     int n_params, hs_us deadline, PGresult **ret_result, struct hs_err *reterr)
{
    PGresult *result = NULL;
    int is_sent = n_params ? PQsendQueryParams(conn, sql, n_params, NULL, params, NULL, NULL, 0)
                           : PQsendQuery(conn, sql);
    hs_status status = is_sent ? flush(feed, conn, deadline, reterr) : feed_fail_conn(conn, reterr);

    if (status == HS_OK)
        status = take_results(feed, conn, deadline, &result, reterr);
    if (status == HS_OK && PQresultStatus(result) == PGRES_FATAL_ERROR)
        status = PQstatus(conn) == CONNECTION_OK ? feed_fail_result(result, reterr)
                                                 : feed_fail_conn(conn, reterr);
    if (status == HS_OK)
        *ret_result = result;
    else
        PQclear(result);
    return status;
}
