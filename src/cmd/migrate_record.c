/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hasten.migration: who reads and writes it does so here. The table itself is made by sql/hasten.sql, like
 * all of hasten's schema. Everything is qualified, for a migration may have set any search_path.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/migrate.h"

extern const char hs_embedded_sql[]; /* sql/hasten.sql */

static const char read_sql[] =
    "SELECT version, name, checksum, state = 'applied', statements_done, failure,"
    " pg_catalog.to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    " pg_catalog.round(EXTRACT(epoch FROM duration), 2), applied_by"
    " FROM hasten.migration ORDER BY version";

/* The time of an unfinished one grows from run to run. */
static const char write_sql[] =
    "INSERT INTO hasten.migration AS m (version, name, checksum, state, statements_done, failure,"
    " duration) VALUES (%s, %s, %s, %s, %s, %s, %s)"
    " ON CONFLICT (version) DO UPDATE SET name = excluded.name, checksum = excluded.checksum,"
    " state = excluded.state, statements_done = excluded.statements_done,"
    " failure = excluded.failure, applied_at = pg_catalog.clock_timestamp(),"
    " applied_by = session_user, duration = m.duration + excluded.duration"
    " WHERE m.state <> 'applied'";

static const char count_sql[] =
    "SELECT pg_catalog.count(*) FILTER (WHERE a.attname = 'checksum')"
    " FROM pg_catalog.pg_attribute a"
    " WHERE a.attrelid = pg_catalog.to_regclass('hasten.migration') AND a.attnum > 0"
    " HAVING pg_catalog.count(*) > 0";

/* A table of that name from before this one was invented has no checksums. */
static hs_status find_table(struct pg_admin *admin, bool *ret_yes, struct hs_err *reterr)
{
    struct hs_buf value;
    hs_status status;

    hs_buf_init(&value, 64);
    status = pg_admin_value(admin, count_sql, NULL, 0, &value, reterr);
    *ret_yes = !status && hs_str_is(hs_buf_str(&value), "1");
    if (!status && hs_str_is(hs_buf_str(&value), "0")) {
        status = hs_fail(reterr, HS_E_CONFIG, "hasten.migration was made by an older hasten");
        hs_err_hint(reterr, "In the demo: `hasten demo --fresh`. Elsewhere: rename that table.");
    }
    hs_buf_fini(&value);
    return status;
}

hs_status migrate_prepare(struct pg_admin *admin, struct hs_err *reterr)
{
    bool exists;
    hs_status status = find_table(admin, &exists, reterr);

    if (status || exists)
        return status;
    status = pg_admin_script(admin, hs_embedded_sql, reterr);
    if (!status)
        return HS_OK;
    /* The script opens a transaction of its own. */
    pg_admin_rollback(admin);
    if (reterr) {
        hs_err_why(reterr, "%s", reterr->what);
        (void)snprintf(reterr->what, sizeof(reterr->what), "could not make hasten's own schema");
        hs_err_hint(reterr, "Let the owner of the database run sql/hasten.sql once, and grant this "
                            "role USAGE on schema hasten and SELECT, INSERT, UPDATE on "
                            "hasten.migration.");
    }
    return status;
}

struct reading {
    struct migrate_records *records;
    struct hs_arena *arena;
    size_t max;
};

static const char *keep(struct hs_arena *arena, const char *text)
{
    return text ? hs_arena_dup(arena, hs_str(text)).p : NULL;
}

static hs_status take_row(void *arg, const char *const *columns, struct hs_err *reterr)
{
    struct reading *to = arg;
    struct migrate_record *r = &to->records->v[to->records->n];

    if (to->records->n == to->max)
        return hs_fail(reterr, HS_E_LIMIT, "hasten.migration has more than %zu rows", to->max);
    if (!hs_str_to_u64(hs_str(columns[0]), &r->version) ||
        !hs_str_to_u64(hs_str(columns[4]), &r->statements_done))
        return hs_fail(reterr, HS_E_INTERNAL, "hasten.migration holds a number that is none");
    r->name = keep(to->arena, columns[1]);
    r->checksum = keep(to->arena, columns[2]);
    r->is_applied = columns[3][0] == 't';
    r->failure = keep(to->arena, columns[5]);
    r->applied_at = keep(to->arena, columns[6]);
    r->seconds = keep(to->arena, columns[7]);
    r->applied_by = keep(to->arena, columns[8]);
    to->records->n++;
    return hs_arena_failed(to->arena) ? hs_fail_memory(reterr) : HS_OK;
}

hs_status migrate_read_records(struct pg_admin *admin, struct hs_arena *arena,
                               struct migrate_records *ret_records, struct hs_err *reterr)
{
    struct reading to = {ret_records, arena, MIGRATE_FILES_MAX};
    hs_status status;

    *ret_records = (struct migrate_records){.n = 0};
    status = find_table(admin, &ret_records->has_table, reterr);
    if (status || !ret_records->has_table)
        return status;
    ret_records->v = HS_NEW_ARRAY(arena, MIGRATE_FILES_MAX, struct migrate_record);
    if (!ret_records->v)
        return hs_fail_memory(reterr);
    return pg_admin_rows(admin, read_sql, NULL, 0, take_row, &to, reterr);
}

enum { NUMBER_TEXT = 24, SQL_MAX = 2048 };

hs_status migrate_write_record(struct pg_admin *admin, const struct migrate_note *note,
                               struct hs_err *reterr)
{
    char sql[SQL_MAX], version[NUMBER_TEXT], done[NUMBER_TEXT], took[NUMBER_TEXT + 8];
    const char *params[] = {version,
                            note->file->name,
                            note->checksum,
                            note->is_applied ? "applied" : "unfinished",
                            done,
                            note->failure,
                            took};
    size_t position;

    (void)snprintf(version, sizeof(version), "%" PRIu64, note->file->version);
    (void)snprintf(done, sizeof(done), "%zu", note->statements_done);
    (void)snprintf(took, sizeof(took), "%" PRIu64 " us", note->took);
    (void)snprintf(sql, sizeof(sql), write_sql, "$1", "$2", "$3", "$4", "$5", "$6", "$7");
    return pg_admin_statement(admin, sql, params, HS_LEN(params), &position, reterr);
}

/* A migration's name holds no quote: migrate_load() let none pass. */
void migrate_print_record(const struct migrate_note *note)
{
    (void)printf("INSERT INTO hasten.migration (version, name, checksum, statements_done, duration)"
                 " VALUES (%" PRIu64 ", '%s', '%s', %zu, '0');\n",
                 note->file->version, note->file->name, note->checksum, note->statements_done);
}
