/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the coherent cache needs, as a table of queries: a row of a query is a finding, no row is well. So a new
 * check is a new row here, and every text stands beside the condition that it belongs to.
 *
 * Whether a table can be published is asked of hasten.tables(), by which hasten.publish() decides: the two
 * cannot disagree. What is known only by trying is tried: a replication connection, which pg_hba.conf, a
 * pooler or the login's attributes may refuse.
 * Source: PostgreSQL 15 manual, 20.6 (replication settings), 55.4 (replication protocol), release notes.
 */
#include "pg/diagnose.h"

#include <libpq-fe.h>
#include <stdio.h>

#include "core/arena.h"
#include "pg/admin.h"
#include "pg/catalog_int.h"
#include "pg/epoch.h"

enum { ARENA_MAX = 1 << 20, TEXT_MAX = 400 };

#define NO_CACHE "'the coherent cache: every request asks the database'"

/*
 * Columns: is it a fault, object, what, why, run, who, lost. Parameters: $1 publication, $2 schemas. They are
 * named in each query, so that one that needs none can be asked the same way.
 */
#define PARAMS "WITH p AS (SELECT $1::name AS publication, $2::text[] AS schemas) "

static const char version_sql[] = PARAMS
    "SELECT true, '', 'the server lacks fixes of row-level security',"
    " format('it is version %s; CVE-2023-2455 and CVE-2024-10976 let a plan made for one role serve another',"
    "        current_setting('server_version')),"
    " 'install PostgreSQL 15.9, 16.5, 17.1 or newer', 'who runs the server',"
    " 'the certainty that a cached answer is what its reader may see'"
    " FROM (SELECT current_setting('server_version_num')::int AS v) s"
    " WHERE v < 150009 OR v BETWEEN 160000 AND 160004 OR v = 170000";

static const char wal_level_sql[] = PARAMS
    "SELECT true, '', 'the server writes no change stream',"
    " format('wal_level is %s', current_setting('wal_level')),"
    " 'ALTER SYSTEM SET wal_level = logical; -- then restart the server', 'a superuser', " NO_CACHE
    " WHERE current_setting('wal_level') <> 'logical'";

static const char slots_sql[] = PARAMS
    "SELECT true, '', 'no replication slot is free',"
    " format('max_replication_slots is %s, and %s are in use', m, n),"
    " format('ALTER SYSTEM SET max_replication_slots = %s; -- then restart the server', greatest(10, n + 5)),"
    " 'a superuser', 'the coherent cache of the node that finds none'"
    " FROM (SELECT current_setting('max_replication_slots')::int AS m, count(*) AS n"
    "       FROM pg_replication_slots) s WHERE n >= m";

static const char senders_sql[] = PARAMS
    "SELECT true, '', 'no WAL sender is free',"
    " format('max_wal_senders is %s, and %s are at work', m, n),"
    " format('ALTER SYSTEM SET max_wal_senders = %s; -- then restart the server', greatest(10, n + 5)),"
    " 'a superuser', 'the coherent cache of the node that finds none'"
    " FROM (SELECT current_setting('max_wal_senders')::int AS m, count(*) AS n"
    "       FROM pg_stat_replication) s WHERE n >= m";

static const char wal_keep_sql[] = PARAMS
    "SELECT false, '', 'a node that stalls can fill the disk of the database',"
    " 'max_slot_wal_keep_size is -1: WAL is kept for a slot without end',"
    " 'ALTER SYSTEM SET max_slot_wal_keep_size = ''10GB''; SELECT pg_reload_conf();', 'a superuser',"
    " 'disk space; with a limit only the node''s cache would be lost, until it begins anew'"
    " WHERE current_setting('max_slot_wal_keep_size') = '-1'";

static const char replication_sql[] = PARAMS
    "SELECT true, '', format('the login %s may not follow the change stream', session_user),"
    " 'it has not the attribute REPLICATION',"
    " format('ALTER ROLE %I REPLICATION; -- or let cache.feed.url name another login', session_user),"
    " 'a superuser', " NO_CACHE
    " FROM pg_roles WHERE rolname = session_user AND NOT rolreplication AND NOT rolsuper";

/*
 * Publishing needs it; where this finds something the queries that call it are not run. (to_regprocedure()
 * would fail where the schema may not be used.)
 */
static const char schema_sql[] = PARAMS
    ", f AS (SELECT pr.oid FROM pg_proc pr JOIN pg_namespace n ON n.oid = pr.pronamespace"
    "        WHERE n.nspname = 'hasten' AND pr.proname IN ('publish', 'tables'))"
    " SELECT true, '', 'schema hasten is missing or old',"
    " 'there is no function hasten.publish() or hasten.tables()',"
    " format('psql -f sql/hasten.sql; SELECT hasten.allow(%L);', session_user),"
    " 'a superuser, or the owner of the database and of the tables', " NO_CACHE
    " WHERE (SELECT count(*) FROM f) < 2"
    " UNION ALL "
    "SELECT true, '', format('the login %s may not use schema hasten', session_user),"
    " 'hasten.allow() has not been called for it since sql/hasten.sql was run last',"
    " format('SELECT hasten.allow(%L);', session_user), 'who ran sql/hasten.sql', " NO_CACHE
    " WHERE (SELECT count(*) >= 2 AND NOT bool_and(has_function_privilege(f.oid, 'EXECUTE')"
    "               AND has_schema_privilege('hasten', 'USAGE')) FROM f)";

static const char trigger_sql[] = PARAMS
    "SELECT false, '', format('the event trigger %s is %s', w.name, w.state),"
    " CASE w.state WHEN 'missing' THEN 'only a superuser can make it, and sql/hasten.sql was not run as one'"
    "  ELSE 'then it is silent while a dump or a subscription is applied, or always' END,"
    " 'psql -f sql/hasten.sql', 'a superuser',"
    " 'time: changes of the schema are found by looking, and until then a table whose key was dropped refuses"
    " UPDATE and DELETE'"
    " FROM (SELECT n.name, e.evtenabled, CASE WHEN e.oid IS NULL THEN 'missing' ELSE 'not set to ALWAYS' END"
    "       AS state FROM (VALUES ('hasten_ddl'), ('hasten_drop')) n (name)"
    "       LEFT JOIN pg_event_trigger e ON e.evtname = n.name) w"
    " WHERE w.evtenabled IS DISTINCT FROM 'A' ORDER BY w.name";

static const char usage_sql[] = PARAMS
    "SELECT true, quote_ident(n.nspname),"
    " format('the login %s may not publish schema %I', session_user, n.nspname),"
    " 'neither it nor a role that it may become has USAGE of the schema',"
    " format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, session_user), 'the owner of the schema', " NO_CACHE
    " FROM p JOIN pg_namespace n ON n.nspname = ANY (p.schemas) WHERE NOT EXISTS ("
    "  SELECT FROM pg_roles r WHERE pg_has_role(session_user, r.oid, 'MEMBER')"
    "     AND has_schema_privilege(r.oid, n.oid, 'USAGE'))";

/*
 * For each table: the columns by which its policies, or those of its ancestors, choose rows (pg_depend knows
 * them; by name, since a partition may number its columns differently), and the best identity that it could
 * have. `found` is the smallest index that is fit and holds those columns; to make one takes a primary key
 * and columns that are never null; else FULL.
 */
#define IDENTITIES                                                                                   \
    ", t AS (SELECT s.*, c.relname, format('%I.%I', n.nspname, c.relname) AS name,"                  \
    "   c.relkind, c.relpersistence, c.relreplident,"                                                \
    "   ARRAY(SELECT DISTINCT a.attname::text FROM pg_policy y"                                      \
    "         JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = y.oid"             \
    "         JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"           \
    "         WHERE d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0"                       \
    "           AND d.refobjid = y.polrelid AND y.polrelid = ANY (s.relation || s.ancestors)"        \
    "         ORDER BY 1) AS narrow"                                                                 \
    "  FROM p, hasten.tables(p.publication, p.schemas) s"                                            \
    "  JOIN pg_class c ON c.oid = s.relation JOIN pg_namespace n ON n.oid = c.relnamespace"          \
    "  WHERE s.is_asked), x AS (SELECT i.indrelid, i.indexrelid, i.indnatts, i.indisprimary,"        \
    "   i.indisreplident, bool_and(a.attnotnull) AS is_not_null,"                                    \
    "   array_agg(a.attname::text ORDER BY k.nth) AS columns"                                        \
    "  FROM t JOIN pg_index i ON i.indrelid = t.relation"                                            \
    "  CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, nth)"                          \
    "  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"                       \
    "  WHERE i.indisvalid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL"            \
    "    AND k.nth <= i.indnkeyatts GROUP BY i.indexrelid), u AS (SELECT t.*,"                       \
    "   (SELECT x.indexrelid FROM x JOIN pg_index i USING (indexrelid)"                              \
    "    WHERE x.indrelid = t.relation AND x.columns @> t.narrow AND x.is_not_null"                  \
    "      AND i.indimmediate ORDER BY x.indnatts, x.indexrelid LIMIT 1) AS found,"                  \
    "   (SELECT string_agg(quote_ident(w.name), ', ' ORDER BY w.nth)"                                \
    "    FROM x CROSS JOIN LATERAL (SELECT name, min(nth) AS nth"                                    \
    "      FROM unnest(t.narrow || x.columns) WITH ORDINALITY e (name, nth) GROUP BY name) w"        \
    "    JOIN pg_attribute a ON a.attrelid = t.relation AND a.attname = w.name"                      \
    "    WHERE x.indrelid = t.relation AND x.indisprimary HAVING bool_and(a.attnotnull)) AS wanted," \
    "   COALESCE((SELECT x.columns @> t.narrow FROM x WHERE x.indrelid = t.relation"                 \
    "      AND CASE t.relreplident WHEN 'd' THEN x.indisprimary ELSE x.indisreplident END"           \
    "      LIMIT 1), false) AS is_precise"                                                           \
    "  FROM t), mend AS (SELECT u.*, CASE"                                                           \
    "   WHEN u.found IS NOT NULL THEN format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I;',"     \
    "     u.name, (SELECT relname FROM pg_class WHERE oid = u.found))"                               \
    "   WHEN u.wanted IS NOT NULL THEN format('CREATE UNIQUE INDEX CONCURRENTLY %I ON %s (%s);"      \
    " ALTER TABLE %2$s REPLICA IDENTITY USING INDEX %1$I;', u.relname || '_identity', u.name,"       \
    "     u.wanted)"                                                                                 \
    "   ELSE format('ALTER TABLE %s REPLICA IDENTITY FULL;', u.name) END AS run FROM u) "

static const char tables_sql[] = PARAMS IDENTITIES
    "SELECT relkind = 'r' AND relpersistence = 'p', name, 'its changes cannot be followed', why,"
    " CASE WHEN relkind <> 'r' THEN 'nothing can be done'"
    "      WHEN relpersistence <> 'p' THEN format('ALTER TABLE %s SET LOGGED;', name)"
    "      WHEN identity IS NULL THEN run ELSE 'psql -f sql/hasten.sql' END,"
    " CASE WHEN relkind <> 'r' THEN ''"
    "      WHEN relpersistence = 'p' AND identity IS NOT NULL THEN 'a superuser, or a member of that role'"
    "      ELSE 'the owner of the table' END,"
    " 'the cache of every answer that reads it' FROM mend WHERE why IS NOT NULL ORDER BY name";

/* With FULL the old row has all columns; and what is not published has no precision to lose. */
static const char precision_sql[] = PARAMS IDENTITIES
    "SELECT false, name, 'a change to it makes more cached answers stale than it has to',"
    " format('its policies choose rows by %s, but of an old row the stream tells only: %s',"
    "        array_to_string(narrow, ', '), identity),"
    " run, 'the owner of the table',"
    " 'precision: a change to a row of one tenant also costs the others'' cached lists of this table'"
    " FROM mend WHERE why IS NULL AND identity <> 'full' AND cardinality(narrow) > 0 AND NOT is_precise"
    " ORDER BY name";

static const char superuser_sql[] = PARAMS
    "SELECT false, '', format('the login %s stands above row-level security', session_user),"
    " 'it is a superuser or has BYPASSRLS',"
    " format('CREATE ROLE hasten_login LOGIN NOINHERIT; -- own nothing, GRANT it the roles that serve'),"
    " 'a superuser', 'the second wall: a fault of hasten could then show what the callers may not see'"
    " FROM pg_roles WHERE rolname = session_user AND (rolsuper OR rolbypassrls)";

/* Where a check is made: on the connection that serves, on the feed's, or there if schema hasten is. */
enum place { SERVE, FEED, FEED_WITH_SCHEMA };

static const struct {
    const char *name;
    enum place place;
    const char *sql;
} checks[] = {
    {"superuser", SERVE, superuser_sql},
    {"version", FEED, version_sql},
    {"wal_level", FEED, wal_level_sql},
    {"slots", FEED, slots_sql},
    {"wal_senders", FEED, senders_sql},
    {"wal_keep", FEED, wal_keep_sql},
    {"replication", FEED, replication_sql},
    {"schema", FEED, schema_sql},
    {"usage", FEED, usage_sql},
    {"event_trigger", FEED_WITH_SCHEMA, trigger_sql},
    {"tables", FEED_WITH_SCHEMA, tables_sql},
    {"precision", FEED_WITH_SCHEMA, precision_sql},
};

struct diagnosis {
    const struct pg_diagnose_setup *setup;
    pg_finding_f *found;
    void *arg;
    size_t n_checks;
    const char *check; /* the one that is being made */
    size_t n_found;    /* by it */
};

static void tell(struct diagnosis *d, const struct pg_finding *finding)
{
    d->n_found++;
    d->found(d->arg, finding);
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

static hs_status take_row(void *arg, const char *const *columns, struct hs_err *reterr)
{
    struct diagnosis *d = arg;
    const struct pg_finding finding = {
        .check = d->check,
        .level = strcmp(text_or_empty(columns[0]), "t") == 0 ? PG_FINDING_FAULT : PG_FINDING_ADVICE,
        .object = text_or_empty(columns[1]),
        .what = text_or_empty(columns[2]),
        .why = text_or_empty(columns[3]),
        .run = text_or_empty(columns[4]),
        .who = text_or_empty(columns[5]),
        .lost = text_or_empty(columns[6]),
    };

    (void)reterr;
    tell(d, &finding);
    return HS_OK;
}

static void begin_check(struct diagnosis *d, const char *name)
{
    d->check = name;
    d->n_checks++;
    d->n_found = 0;
}

static hs_status run_checks(struct diagnosis *d, struct pg_admin *admin, bool is_feed,
                            struct hs_err *reterr)
{
    struct hs_arena arena;
    struct hs_str schemas;
    const char *params[2];
    bool has_schema = false;
    hs_status status = HS_OK;

    hs_arena_init(&arena, ARENA_MAX);
    schemas = pg_array_literal(&arena, d->setup->schemas, d->setup->n_schemas);
    params[0] = d->setup->publication.p;
    params[1] = schemas.p;
    if (!schemas.p)
        status = hs_fail_memory(reterr);
    for (size_t i = 0; i < HS_LEN(checks) && !status; i++) {
        if ((checks[i].place != SERVE) != is_feed ||
            (checks[i].place == FEED_WITH_SCHEMA && !has_schema))
            continue;
        begin_check(d, checks[i].name);
        status = pg_admin_rows(admin, checks[i].sql, params, 2, take_row, d, reterr);
        if (checks[i].sql == schema_sql)
            has_schema = d->n_found == 0;
    }
    hs_arena_fini(&arena);
    return status;
}

/* ---- what is known only by trying ---- */

/*
 * Opens a replication connection as the feed does. The ordinary one was opened, so a refusal is about
 * replication: the server's words are passed on, which name no secret.
 */
static void try_replication(struct diagnosis *d)
{
    static const char *const names[] = {"connect_timeout", "dbname", "replication", NULL};
    const char *const values[] = {"10", d->setup->feed_url, "database", NULL};
    PGconn *conn = PQconnectdbParams(names, values, /* expand_dbname= */ 1);
    PGresult *result = NULL;
    char why[TEXT_MAX];

    begin_check(d, "connection");
    if (PQstatus(conn) == CONNECTION_OK)
        result = PQexec(conn, "IDENTIFY_SYSTEM");
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        const struct pg_finding finding = {
            .check = d->check,
            .level = PG_FINDING_FAULT,
            .object = "",
            .what = "a replication connection is refused",
            .why = why,
            .run = "give the login REPLICATION; let cache.feed.url reach the server itself, not a "
                   "pooler; let pg_hba.conf allow the login",
            .who = "who runs the server",
            .lost = "the coherent cache: every request asks the database",
        };
        const char *said = PQerrorMessage(conn);

        (void)snprintf(why, sizeof(why), "%.*s", (int)strcspn(said, "\n"), said);
        tell(d, &finding);
    }
    PQclear(result);
    PQfinish(conn);
}

/* Positions of one server mean nothing on another. */
static hs_status compare_servers(struct diagnosis *d, struct pg_admin *serve, struct pg_admin *feed,
                                 struct hs_err *reterr)
{
    const struct pg_finding finding = {
        .check = "server",
        .level = PG_FINDING_FAULT,
        .object = "",
        .what = "cache.feed.url and database.url lead to two databases",
        .why = "the change stream has to be that of the database that is served",
        .run = "let both name the same server and database",
        .who = "who configures hasten",
        .lost = "the coherent cache: every request asks the database",
    };
    struct hs_buf one;
    struct hs_buf other;
    hs_status status;

    begin_check(d, finding.check);
    hs_buf_init(&one, TEXT_MAX);
    hs_buf_init(&other, TEXT_MAX);
    status = pg_admin_value(serve, PG_EPOCH_SQL, NULL, 0, &one, reterr);
    if (!status)
        status = pg_admin_value(feed, PG_EPOCH_SQL, NULL, 0, &other, reterr);
    if (!status && !hs_str_eq(hs_buf_str(&one), hs_buf_str(&other)))
        tell(d, &finding);
    hs_buf_fini(&one);
    hs_buf_fini(&other);
    return status;
}

/* The queries above name system objects only; nobody's objects may stand in their way. */
static hs_status open_quietly(const char *url, struct pg_admin **ret_admin, struct hs_err *reterr)
{
    hs_status status = pg_admin_open(url, ret_admin, reterr);

    return status ? status
                  : pg_admin_script(*ret_admin,
                                    "SET search_path = pg_catalog; SET jit = off;"
                                    " SET default_transaction_read_only = on",
                                    reterr);
}

hs_status pg_diagnose(const struct pg_diagnose_setup *setup, pg_finding_f *found, void *arg,
                      size_t *ret_checks, struct hs_err *reterr)
{
    struct diagnosis d = {.setup = setup, .found = found, .arg = arg};
    struct pg_admin *serve = NULL;
    struct pg_admin *feed = NULL;
    hs_status status = open_quietly(setup->url, &serve, reterr);

    if (!status)
        status = open_quietly(setup->feed_url, &feed, reterr);
    if (!status)
        status = compare_servers(&d, serve, feed, reterr);
    if (!status)
        status = run_checks(&d, serve, /* is_feed= */ false, reterr);
    if (!status)
        status = run_checks(&d, feed, /* is_feed= */ true, reterr);
    if (!status)
        try_replication(&d);
    pg_admin_close(serve);
    pg_admin_close(feed);
    *ret_checks = d.n_checks;
    return status;
}
