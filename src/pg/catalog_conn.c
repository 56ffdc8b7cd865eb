/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread's own connection: it reads the catalog and listens.
 *
 * The one rule: no call waits without a bound. libpq connects with its own timeout; a statement is sent and
 * waited for with poll(2), a little longer than the server's statement_timeout, so that a server that is
 * stopped or cut off is noticed as well; then the connection is given up, never reused.
 *
 * It refuses to run a statement with values in its text: they are parameters.
 *
 * Source: PostgreSQL 15 manual, 34.1 (connection control), 34.4 (asynchronous), 34.9 (notification).
 */
#include "pg/catalog_int.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"

/* How much longer than statement_timeout we wait for the server's own word. */
static const hs_us GRACE = 2 * HS_SECOND;
/* DDL comes in bursts (a migration); one look at the end of the burst is enough. */
static const hs_us SETTLE = 50 * HS_MS;
/* How often a wait for an answer asks whether the program ends. */
static const hs_us STOP_SLICE = 100 * HS_MS;

enum { CHANNEL_MAX = 64 }; /* NAMEDATALEN, its NUL included */

void pg_reader_clear(PGresult **result)
{
    PQclear(*result);
}

hs_status pg_catalog_reader_new(const struct pg_catalog_setup *setup,
                                struct pg_catalog_reader **ret_reader, struct hs_err *reterr)
{
    struct pg_catalog_reader *reader;

    if (setup->n_roles > HS_ROLES_MAX) {
        (void)hs_fail(reterr, HS_E_CONFIG, "%zu roles are configured; at most %d are possible",
                      setup->n_roles, HS_ROLES_MAX);
        hs_err_hint(reterr, "Take some out of auth.roles (auth.anonymous_role counts too).");
        return HS_E_CONFIG;
    }
    reader = hs_calloc(1, sizeof(*reader));
    if (!reader)
        return hs_fail_memory(reterr);
    reader->magic = PG_READER_MAGIC;
    reader->setup = *setup;
    *ret_reader = reader;
    return HS_OK;
}

void pg_catalog_reader_free(struct pg_catalog_reader *reader)
{
    if (!reader)
        return;
    HS_OBJ(reader, (uint32_t)PG_READER_MAGIC);
    pg_reader_disconnect(reader);
    reader->magic = 0;
    hs_free(reader);
}

void pg_reader_disconnect(struct pg_catalog_reader *reader)
{
    PQfinish(reader->conn);
    reader->conn = NULL;
}

/* libpq ends its messages with a newline, and a list of hosts gives several lines. */
static void fail_libpq(struct hs_err *reterr, const char *what, const char *message)
{
    char line[HS_ERR_WHY];
    size_t n = 0;

    for (; message[n] && n < sizeof(line) - 1; n++)
        line[n] = message[n] == '\n' ? ' ' : message[n];
    while (n && line[n - 1] == ' ')
        n--;
    line[n] = '\0';
    (void)hs_fail(reterr, HS_E_PG_DOWN, "%s", what);
    hs_err_why(reterr, "%s", line);
}

static const char *option(const PQconninfoOption *options, const char *keyword)
{
    for (; options && options->keyword; options++) {
        if (strcmp(options->keyword, keyword) == 0)
            return options->val && options->val[0] ? options->val : NULL;
    }
    return NULL;
}

/*
 * Does url (empty = all from PG*) leave it to us which of several hosts is meant? libpq's own messages
 * about a bad string may quote it, and with it a password, so they are not shown.
 */
static hs_status wants_primary(const char *url, bool *ret_wants, struct hs_err *reterr)
{
    char *message = NULL;
    PQconninfoOption *given = PQconninfoParse(url, &message);
    PQconninfoOption *defaults = PQconndefaults();
    const char *hosts = option(given, "host");
    const char *wanted = option(given, "target_session_attrs");

    if (!hosts)
        hosts = option(given, "hostaddr") ? option(given, "hostaddr") : option(defaults, "host");
    if (!wanted && option(defaults, "target_session_attrs") &&
        strcmp(option(defaults, "target_session_attrs"), "any") != 0)
        wanted = "given by the environment";
    *ret_wants = hosts && strchr(hosts, ',') && !wanted;
    PQfreemem(message);
    PQconninfoFree(defaults);
    if (!given) {
        (void)hs_fail(reterr, HS_E_CONFIG, "database.url is not a PostgreSQL connection string");
        hs_err_hint(reterr, "Write postgresql://user@host:5432/database or host=... dbname=...");
        return HS_E_CONFIG;
    }
    PQconninfoFree(given);
    return HS_OK;
}

/* By itself libpq writes notices to standard error, between the lines of the log. */
static void ignore_notice(void *arg, const PGresult *notice)
{
    (void)arg;
    (void)notice;
}

static PGconn *start(const char *url, const char *application, const char *seconds, bool primary)
{
    const char *names[] = {"application_name",     "keepalives_idle",
                           "keepalives_interval",  "keepalives_count",
                           "tcp_user_timeout",     "dbname",
                           "client_encoding",      "connect_timeout",
                           "target_session_attrs", NULL};
    /* What stands before dbname can be overridden by the url; what stands behind it cannot. */
    const char *values[] = {application, "10",   "5",     "3",          "30000",
                            url,         "UTF8", seconds, "read-write", NULL};
    PGconn *conn;

    if (!primary)
        names[8] = NULL;
    conn = PQconnectdbParams(names, values, /* expand_dbname= */ 1);
    if (conn)
        PQsetNoticeReceiver(conn, ignore_notice, NULL);
    return conn;
}

hs_status pg_reader_open(struct pg_catalog_reader *reader, PGconn **ret_conn, struct hs_err *reterr)
{
    const struct pg_catalog_setup *setup = &reader->setup;
    hs_us whole_seconds = (setup->connect_timeout + HS_SECOND - 1) / HS_SECOND;
    char seconds[24];
    char *url = hs_memdup0(setup->url.p, setup->url.n);
    char *application = hs_memdup0(setup->application_name.p, setup->application_name.n);
    PGconn *conn = NULL;
    bool primary = false;
    hs_status status = HS_OK;

    (void)snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)whole_seconds);
    if (!url || !application)
        status = hs_fail_memory(reterr);
    if (status == HS_OK)
        status = wants_primary(url, &primary, reterr);
    if (status == HS_OK) {
        conn = start(url, application, seconds, primary);
        status = conn ? HS_OK : hs_fail_memory(reterr);
    }
    hs_free(url);
    hs_free(application);
    if (status == HS_OK && PQstatus(conn) != CONNECTION_OK) {
        fail_libpq(reterr, "cannot connect to the database", PQerrorMessage(conn));
        PQfinish(conn);
        return HS_E_PG_DOWN;
    }
    if (status == HS_OK)
        *ret_conn = conn;
    return status;
}

static bool is_down(const char *sqlstate)
{
    static const char *const down[] = {"57P01", "57P02", "57P03", "53300", "08000", "08006"};

    for (size_t i = 0; i < HS_LEN(down); i++) {
        if (strcmp(sqlstate, down[i]) == 0)
            return true;
    }
    return false;
}

static hs_status fail_result(const PGresult *result, struct hs_err *reterr)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    hs_status status = sqlstate && is_down(sqlstate) ? HS_E_PG_DOWN : HS_E_PG_ERROR;

    (void)hs_fail(reterr, status, "%s", message ? message : "the database gave no answer");
    if (reterr && sqlstate)
        (void)snprintf(reterr->sqlstate, sizeof(reterr->sqlstate), "%.5s", sqlstate);
    if (detail)
        hs_err_why(reterr, "%s", detail);
    return status;
}

/* Waits until the socket has something, or `other` (-1 = none) has. false = the deadline passed. */
static bool wait_readable(PGconn *conn, hs_us deadline, int other)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = PQsocket(conn), .events = POLLIN},
                                {.fd = other, .events = POLLIN}};
        hs_us now = hs_now_us();
        int n;

        if (now >= deadline)
            return false;
        n = poll(fds, 2,
                 (int)((deadline - now) / HS_MS < 60000 ? (deadline - now) / HS_MS + 1 : 60000));
        if (n > 0 || (n < 0 && errno != EINTR))
            return true;
    }
}

static bool is_stopping(const struct pg_catalog_reader *reader)
{
    return reader->setup.is_stopping && reader->setup.is_stopping();
}

/* In slices: the end of the program must not wait for a database that hangs. */
static bool wait_answer(const struct pg_catalog_reader *reader, PGconn *conn, hs_us deadline)
{
    while (!is_stopping(reader)) {
        hs_us slice = hs_now_us() + STOP_SLICE;

        if (wait_readable(conn, slice < deadline ? slice : deadline, -1))
            return true;
        if (hs_now_us() >= deadline)
            return false;
    }
    return false;
}

/* Takes results until the statement is done; keeps the last one. false = the connection is of no use. */
static bool take_results(const struct pg_catalog_reader *reader, PGconn *conn, hs_us deadline,
                         PGresult **ret_result)
{
    for (;;) {
        PGresult *next;

        while (PQisBusy(conn)) {
            if (!wait_answer(reader, conn, deadline) || !PQconsumeInput(conn))
                return false;
        }
        next = PQgetResult(conn);
        if (!next)
            return *ret_result != NULL;
        /* The first error stays, whatever follows it. */
        if (*ret_result && PQresultStatus(*ret_result) == PGRES_FATAL_ERROR) {
            PQclear(next);
            continue;
        }
        PQclear(*ret_result);
        *ret_result = next;
    }
}

/* The answer to what was sent, errors of the database included. */
static hs_status take_answer(struct pg_catalog_reader *reader, PGconn *conn, bool is_sent,
                             PGresult **ret_result, struct hs_err *reterr)
{
    hs_us deadline = hs_now_us() + reader->setup.statement_timeout + GRACE;
    PGresult *result = NULL;

    if (is_sent && take_results(reader, conn, deadline, &result)) {
        *ret_result = result;
        return HS_OK;
    }
    PQclear(result);
    if (is_stopping(reader))
        return hs_fail(reterr, HS_E_SHUTDOWN, "the program ends");
    fail_libpq(reterr, "lost the connection to the database", PQerrorMessage(conn));
    if (hs_now_us() >= deadline)
        hs_err_why(reterr, "no answer to a catalog query within %llu ms",
                   (unsigned long long)((reader->setup.statement_timeout + GRACE) / HS_MS));
    return HS_E_PG_DOWN;
}

hs_status pg_reader_query_on(struct pg_catalog_reader *reader, PGconn *conn, const char *sql,
                             const char *const *params, int n_params, PGresult **ret_result,
                             struct hs_err *reterr)
{
    PGresult *result = NULL;
    int sent = n_params ? PQsendQueryParams(conn, sql, n_params, NULL, params, NULL, NULL, 0)
                        : PQsendQuery(conn, sql);
    hs_status failed = take_answer(reader, conn, sent, &result, reterr);
    ExecStatusType status;

    if (failed)
        return failed;
    status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        failed = fail_result(result, reterr);
        PQclear(result);
        return failed;
    }
    *ret_result = result;
    return HS_OK;
}

hs_status pg_reader_query(struct pg_catalog_reader *reader, const char *sql,
                          const char *const *params, int n_params, PGresult **ret_result,
                          struct hs_err *reterr)
{
    hs_status status = pg_reader_query_on(reader, reader->conn, sql, params, n_params, ret_result,
                                          reterr);

    if (status == HS_E_PG_DOWN || status == HS_E_SHUTDOWN)
        pg_reader_disconnect(reader);
    return status;
}

hs_status pg_reader_try(struct pg_catalog_reader *reader, const char *sql, bool is_described,
                        PGresult **ret_result, struct hs_err *reterr)
{
    PGconn *conn = reader->conn;
    PGresult *result = NULL;
    int sent = is_described ? PQsendPrepare(conn, "", sql, 0, NULL)
                            : PQsendQueryParams(conn, sql, 0, NULL, NULL, NULL, NULL, 0);
    hs_status status = take_answer(reader, conn, sent, &result, reterr);

    if (!status && is_described && PQresultStatus(result) == PGRES_COMMAND_OK) {
        PQclear(result);
        result = NULL;
        status = take_answer(reader, conn, PQsendDescribePrepared(conn, ""), &result, reterr);
    }
    if (status)
        pg_reader_disconnect(reader);
    *ret_result = result;
    return status;
}

/* A standby cannot LISTEN: there the fingerprint alone tells of changes. */
static hs_status listen_on(struct pg_catalog_reader *reader, struct hs_str channel,
                           struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *listen = NULL;
    char *quoted = PQescapeIdentifier(reader->conn, channel.p, channel.n);
    char sql[CHANNEL_MAX * 2 + sizeof("LISTEN ")];
    struct hs_err ignored;
    hs_status status;

    if (!quoted) {
        fail_libpq(reterr, "cannot listen on a channel", PQerrorMessage(reader->conn));
        return HS_E_PG_DOWN;
    }
    (void)snprintf(sql, sizeof(sql), "LISTEN %s", quoted);
    PQfreemem(quoted);
    status = pg_reader_query(reader, sql, NULL, 0, &listen, &ignored);
    if (status != HS_E_PG_DOWN)
        return HS_OK;
    if (reterr)
        *reterr = ignored;
    return status;
}

static hs_status listen_on_all(struct pg_catalog_reader *reader, struct hs_err *reterr)
{
    struct hs_str channel = reader->setup.channel;
    hs_status status = listen_on(reader, HS_STR("hasten"), reterr);

    if (status || !channel.n)
        return status;
    if (channel.n >= CHANNEL_MAX)
        return hs_fail(reterr, HS_E_CONFIG, "rest.channel is no name of a channel");
    return listen_on(reader, channel, reterr);
}

static hs_status set_up_session(struct pg_catalog_reader *reader, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *set = NULL;
    char timeout[24];
    const char *params[] = {timeout};
    hs_status status;

    (void)snprintf(timeout, sizeof(timeout), "%llu",
                   (unsigned long long)(reader->setup.statement_timeout / HS_MS));
    status = pg_reader_query(
        reader,
        "SELECT set_config('search_path', 'pg_catalog', false),"
        " set_config('statement_timeout', $1, false), set_config('lock_timeout', $1, false),"
        " set_config('idle_in_transaction_session_timeout', '60s', false),"
        " set_config('DateStyle', 'ISO', false), set_config('jit', 'off', false),"
        " set_config('quote_all_identifiers', 'off', false)",
        params, 1, &set, reterr);
    if (status != HS_OK)
        return status;
    if (PQserverVersion(reader->conn) < 150000) {
        (void)hs_fail(reterr, HS_E_PG_ERROR, "PostgreSQL %s is too old",
                      PQparameterStatus(reader->conn, "server_version"));
        hs_err_hint(reterr, "Use PostgreSQL 15 or newer.");
        return HS_E_PG_ERROR;
    }
    return listen_on_all(reader, reterr);
}

static hs_status check_encoding(struct pg_catalog_reader *reader, struct hs_err *reterr)
{
    const char *encoding = PQparameterStatus(reader->conn, "server_encoding");

    if (!encoding || strcmp(encoding, "SQL_ASCII") != 0)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_PG_ERROR, "the database has no encoding (SQL_ASCII)");
    hs_err_why(reterr, "its texts may hold any bytes, and JSON is UTF-8");
    hs_err_hint(reterr, "Create the database with ENCODING 'UTF8'.");
    return HS_E_PG_ERROR;
}

hs_status pg_reader_connect(struct pg_catalog_reader *reader, struct hs_err *reterr)
{
    hs_status status;

    HS_OBJ(reader, (uint32_t)PG_READER_MAGIC);
    if (reader->conn && PQstatus(reader->conn) == CONNECTION_OK)
        return HS_OK;
    pg_reader_disconnect(reader);
    status = pg_reader_open(reader, &reader->conn, reterr);
    if (status == HS_OK)
        status = pg_pooler_check(reader, reterr);
    if (status == HS_OK)
        status = check_encoding(reader, reterr);
    if (status == HS_OK)
        status = set_up_session(reader, reterr);
    if (status != HS_OK)
        pg_reader_disconnect(reader);
    return status;
}

static unsigned told_by(const struct pg_catalog_reader *reader, const PGnotify *notify)
{
    bool is_second = hs_str_is(reader->setup.channel, notify->relname);
    bool is_own = strcmp(notify->relname, "hasten") == 0;

    if (is_own && strcmp(notify->extra, "reload") == 0)
        return PG_TOLD_CATALOG;
    if (strcmp(notify->extra, "reload config") == 0)
        return PG_TOLD_CONF;
    if (is_second && strcmp(notify->extra, "reload schema") == 0)
        return PG_TOLD_CATALOG;
    return is_second && !notify->extra[0] ? PG_TOLD_CATALOG | PG_TOLD_CONF : 0;
}

/* Takes what has arrived; true = a notification was among it. */
static bool take_notifications(struct pg_catalog_reader *reader)
{
    PGnotify *notify;
    bool any = false;

    while ((notify = PQnotifies(reader->conn))) {
        reader->told |= told_by(reader, notify);
        PQfreemem(notify);
        any = true;
    }
    return any;
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* Until a notification, the deadline or stop_fd. false = the connection is gone. */
static bool wait_for_notification(struct pg_catalog_reader *reader, hs_us deadline, int stop_fd)
{
    for (;;) {
        bool any;

        if (!PQconsumeInput(reader->conn))
            return false;
        any = take_notifications(reader);
        if (any) {
            /* Only stop_fd can end this wait early. */
            struct pollfd p = {.fd = stop_fd, .events = POLLIN};

            (void)poll(&p, 1, (int)(SETTLE / HS_MS));
            if (!PQconsumeInput(reader->conn))
                return false;
            (void)take_notifications(reader);
            return true;
        }
        if (!wait_readable(reader->conn, deadline, stop_fd) || is_readable(stop_fd))
            return true;
    }
}

unsigned pg_catalog_told(struct pg_catalog_reader *reader)
{
    unsigned told = reader->told;

    reader->told = 0;
    return told;
}

hs_status pg_catalog_watch(struct pg_catalog_reader *reader, hs_us wait, int stop_fd,
                           bool *ret_changed, struct hs_err *reterr)
{
    struct hs_arena arena;
    struct hs_str schemas;
    uint64_t now = 0;
    hs_status status = pg_reader_connect(reader, reterr);

    *ret_changed = false;
    if (status != HS_OK)
        return status;
    if (!wait_for_notification(reader, hs_now_us() + wait, stop_fd)) {
        fail_libpq(reterr, "lost the connection to the database", PQerrorMessage(reader->conn));
        pg_reader_disconnect(reader);
        return HS_E_PG_DOWN;
    }
    if (is_readable(stop_fd))
        return HS_OK;
    hs_arena_init(&arena, /* bytes_max= */ 1 << 20);
    status = pg_schemas_read(reader, &arena, &schemas, reterr);
    if (status == HS_OK)
        status = pg_fingerprint_read(reader, schemas.p, &now, reterr);
    hs_arena_fini(&arena);
    *ret_changed = status == HS_OK && now != reader->fingerprint;
    return status;
}

hs_status pg_catalog_read_secret(struct pg_catalog_reader *reader, char ret_key[static 32],
                                 struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *there = NULL;
    hs_auto(pg_reader_clear) PGresult *key = NULL;
    hs_status status = pg_reader_connect(reader, reterr);
    unsigned char *bytes;
    size_t n = 0;

    if (status == HS_OK)
        status = pg_reader_query(
            reader,
            "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'hasten' AND c.relname = 'secret'",
            NULL, 0, &there, reterr);
    if (status != HS_OK)
        return status;
    if (PQntuples(there) == 0)
        return hs_fail(reterr, HS_E_NO_ROW, "the database has no table hasten.secret");
    status = pg_reader_query(reader, "SELECT key FROM hasten.secret", NULL, 0, &key, reterr);
    if (status == HS_E_PG_ERROR)
        hs_err_hint(reterr,
                    "Run sql/hasten.sql and then SELECT hasten.allow('%s') as the owner of it.",
                    reader->conn ? PQuser(reader->conn) : "login");
    if (status != HS_OK)
        return status;
    if (PQntuples(key) == 0)
        return hs_fail(reterr, HS_E_NO_ROW, "the table hasten.secret is empty");
    bytes = PQunescapeBytea((const unsigned char *)PQgetvalue(key, 0, 0), &n);
    if (bytes && n == 32)
        memcpy(ret_key, bytes, 32);
    if (bytes)
        explicit_bzero(bytes, n);
    PQfreemem(bytes);
    if (n != 32)
        return hs_fail(reterr, HS_E_PG_ERROR, "the key in hasten.secret is not 32 bytes long");
    return HS_OK;
}
