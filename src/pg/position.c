/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection says about where it is: its epoch, once, and the position of each write.
 *
 * Rule: neither is worth a request's failure. The write was committed, the session is usable; what cannot be
 * read is 0, for whoever keeps a cache to act on, and said once in the life of the process: a login role
 * without the privilege, or a server in recovery, would say so at every connection and every write.
 *
 * Connections outlive the promotion of a standby, their epoch does not: positions are those of another timeline
 * from then on. The server reports it before the end of the first transaction that could write.
 * Source: PostgreSQL 15 manual, 34.2 (PQparameterStatus: in_hot_standby), 26.3 (fail-over).
 */
#include "core/log.h"
#include "pg/epoch.h"
#include "pg/pool_int.h"

/* res may be NULL: no answer at all. */
static struct hs_str answer_of(const PGresult *res)
{
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1 || PQgetisnull(res, 0, 0))
        return HS_STR_NULL;
    return hs_strn(PQgetvalue(res, 0, 0), (size_t)PQgetlength(res, 0, 0));
}

static void warn_once(atomic_bool *was_said, const char *event, const PGresult *res,
                      const char *hint)
{
    struct hs_err err;

    if (atomic_exchange_explicit(was_said, true, memory_order_relaxed))
        return;
    if (PQresultErrorField(res, PG_DIAG_SQLSTATE))
        pg_pipeline_error(res, NULL, /* is_context= */ false, &err);
    else
        hs_fail(&err, HS_E_PG_ERROR, "PostgreSQL gave an answer that cannot be read");
    hs_err_hint(&err, "%s", hint);
    hs_log_begin(HS_LOG_WARN, event);
    hs_log_err(&err);
    hs_log_end();
}

uint64_t pg_position_of(struct pg_pool *pool, const PGresult *res)
{
    struct hs_str text = answer_of(res);
    uint64_t position = 0;

    if (text.p && pg_lsn_read(text, &position))
        return position;
    warn_once(
        &pool->setup.budget->position_warned, "position unknown", res,
        "Let the login role, and the roles that write, execute pg_current_wal_insert_lsn() and"
        " pg_current_wal_flush_lsn(), on a server that is not in recovery.");
    return 0;
}

uint64_t pg_position_epoch_of(struct pg_pool *pool, const PGresult *res)
{
    struct hs_str text = answer_of(res);

    if (text.p)
        return pg_epoch(text);
    warn_once(&pool->setup.budget->epoch_warned, "epoch unknown", res,
              "Let the login role execute pg_control_system() and read pg_stat_wal.");
    return 0;
}

bool pg_position_is_standby(const struct pg_conn *conn)
{
    const char *value = PQparameterStatus(conn->pq, "in_hot_standby");

    return value && strcmp(value, "on") == 0;
}

void pg_position_look(struct pg_conn *conn)
{
    if (pg_position_is_standby(conn))
        return;
    conn->is_standby = false;
    conn->epoch = 0;
    conn->expires_at = 0;
}
