/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations at work on a database.
 *
 * Statements go one by one, so that a fault has its place in the file, and by the extended protocol, so that
 * the server confirms that each is one. The usual file:
 *
 *     BEGIN, its statements, its record, COMMIT            fault: ROLLBACK, nothing of it remains
 *
 * A file with `-- hasten: no-transaction`:
 *
 *     record "unfinished, 0" ─▶ statement ─▶ record "unfinished, 1" ─▶ ... ─▶ record "applied"
 *
 * A fault leaves the record at what has run, and the next run goes on behind it. CREATE INDEX CONCURRENTLY
 * that fails leaves an invalid index; before the statement runs, such a one is looked for and dropped.
 *
 * Waiting. Two nodes: the second asks for the lock now and then (pg_try_advisory_lock). It must not wait
 * inside a statement, since CREATE INDEX CONCURRENTLY of the first would wait for that statement's
 * snapshot: a deadlock. Table locks: a waiting ALTER TABLE makes everybody queue behind it, so lock_timeout
 * ends the wait, and the whole is tried again after a pause in which the queue drains. Statements with
 * CONCURRENTLY hold up nobody while they wait, and would have to begin anew: they wait as long as it takes.
 *
 * Source: PostgreSQL 15 manual, 9.27.10 (advisory locks), 13.3, CREATE INDEX (building concurrently).
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cmd/migrate.h"
#include "core/mem.h"
#include "core/rng.h"

#define PAUSE_MIN (500 * HS_MS)
#define PAUSE_MAX (10 * HS_SECOND)
#define LOCK_POLL (200 * HS_MS)

struct run {
    struct pg_admin *admin;
    const struct migrate_how *how;
    struct hs_arena *arena;
    struct hs_rng rng;
    bool is_patient; /* lock_timeout is off */
};

static void pause_us(hs_us us)
{
    struct timespec t = {(time_t)(us / HS_SECOND), (long)(us % HS_SECOND) * 1000};

    (void)nanosleep(&t, NULL);
}

/* ---- the session ---- */

static hs_status set_patience(struct run *run, bool is_patient, struct hs_err *reterr)
{
    char sql[64];

    /* 0 would be no limit at all. */
    (void)snprintf(sql, sizeof(sql), "SET lock_timeout = %" PRIu64,
                   is_patient ? 0 : (run->how->lock_timeout + 999) / 1000);
    run->is_patient = is_patient;
    return pg_admin_script(run->admin, sql, reterr);
}

/* As new: what a migration sets is not for the next one. A server whose client is gone should notice. */
static hs_status reset_session(struct run *run, struct hs_err *reterr)
{
    hs_status status = pg_admin_script(run->admin,
                                       "SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL;"
                                       " SET standard_conforming_strings = on;"
                                       " SET client_connection_check_interval = '1s'",
                                       reterr);

    return status ? status : set_patience(run, false, reterr);
}

static hs_status ask_lock(struct run *run, const char *sql, bool *ret_yes, struct hs_err *reterr)
{
    struct hs_buf value;
    hs_status status;

    hs_buf_init(&value, 64);
    status = pg_admin_value(run->admin, sql, NULL, 0, &value, reterr);
    *ret_yes = !status && hs_str_is(hs_buf_str(&value), "t");
    hs_buf_fini(&value);
    return status;
}

static hs_status take_lock(struct run *run, struct hs_err *reterr)
{
    hs_us deadline = hs_now_us() + run->how->wait;
    bool is_mine = false, has_told = false;

    for (;;) {
        hs_status status = ask_lock(run, "SELECT pg_catalog.pg_try_advisory_lock(" MIGRATE_LOCK ")",
                                    &is_mine, reterr);

        if (status || is_mine)
            return status;
        if (hs_now_us() >= deadline)
            break;
        if (!has_told)
            (void)printf("another migration is at work on this database; waiting\n");
        has_told = true;
        (void)fflush(stdout);
        pause_us(LOCK_POLL / 2 + hs_rng_below(&run->rng, LOCK_POLL));
    }
    hs_fail(reterr, HS_E_BUSY, "another migration is at work on this database");
    hs_err_why(reterr, "It holds the advisory lock (" MIGRATE_LOCK "): see pg_locks.");
    hs_err_hint(reterr, "Wait for its end, or wait longer with --wait.");
    return HS_E_BUSY;
}

static void give_lock(struct run *run)
{
    bool was_mine;

    (void)ask_lock(run, "SELECT pg_catalog.pg_advisory_unlock(" MIGRATE_LOCK ")", &was_mine, NULL);
}

/* ---- faults ---- */

/* Byte in text of a position that counts characters from 1. */
static size_t byte_of(struct hs_str text, size_t position)
{
    size_t at = 0;

    while (at < text.n && position > 1) {
        at++;
        while (at < text.n && ((unsigned char)text.p[at] & 0xc0) == 0x80)
            at++;
        position--;
    }
    return at;
}

/* Puts the place in front of what the server said; position 0: the statement's beginning. */
static void add_place(const struct migrate_file *file, const struct pg_statement *st,
                      size_t position, struct hs_err *err)
{
    struct hs_err said = *err;
    struct migrate_place place = migrate_place(file->text, st->from + byte_of(st->text, position));

    (void)hs_fail(err, said.status, "%s:%zu:%zu: %s", file->path, place.line, place.column,
                  said.what);
    memcpy(err->why, said.why, sizeof(err->why));
    memcpy(err->hint, said.hint, sizeof(err->hint));
    memcpy(err->sqlstate, said.sqlstate, sizeof(err->sqlstate));
    if (!err->hint[0] && strcmp(said.sqlstate, "25001") == 0 && file->is_single)
        hs_err_hint(err, "Begin the file with `-- hasten: no-transaction`.");
}

/* A lock could not be taken, or was taken away from us (deadlock). */
static bool is_lock_fault(const struct hs_err *err)
{
    return strcmp(err->sqlstate, "55P03") == 0 || strcmp(err->sqlstate, "40P01") == 0;
}

typedef hs_status attempt_f(struct run *run, void *arg, struct hs_err *reterr);

static hs_status try_until(struct run *run, attempt_f *attempt, void *arg, struct hs_err *reterr)
{
    hs_us longest = PAUSE_MIN;

    for (uint64_t i = 1;; i++) {
        hs_status status = attempt(run, arg, reterr);
        hs_us now = longest / 2 + hs_rng_below(&run->rng, longest);

        if (!status || !is_lock_fault(reterr))
            return status;
        if (i > run->how->retries) {
            hs_err_hint(reterr,
                        "See pg_stat_activity for who holds the lock; then run it again, or "
                        "with a longer --lock-timeout.");
            return status;
        }
        (void)printf("  %s\n  trying again in %.1f s (%" PRIu64 " of %" PRIu64 ")\n", reterr->what,
                     (double)now / 1e6, i, run->how->retries);
        (void)fflush(stdout);
        pause_us(now);
        longest = longest * 2 > PAUSE_MAX ? PAUSE_MAX : longest * 2;
    }
}

/* ---- statements ---- */

static hs_status run_statement(struct run *run, const struct migrate_file *file, size_t i,
                               struct hs_err *reterr)
{
    const struct pg_statement *st = &file->statements[i];
    char *sql = hs_memdup0(st->text.p, st->text.n);
    size_t position;
    hs_status status;

    if (!sql)
        return hs_fail_memory(reterr);
    status = pg_admin_statement(run->admin, sql, NULL, 0, &position, reterr);
    hs_free(sql);
    if (status)
        add_place(file, st, position, reterr);
    return status;
}

static hs_status fail_record(const struct migrate_file *file, struct hs_err *reterr)
{
    char said[HS_ERR_WHAT];

    memcpy(said, reterr->what, sizeof(said));
    (void)snprintf(reterr->what, sizeof(reterr->what), "could not record %.200s", file->path);
    hs_err_why(reterr, "%s", said);
    hs_err_hint(reterr, "The role needs SELECT, INSERT and UPDATE on hasten.migration.");
    return reterr->status;
}

/* ---- one transaction ---- */

static hs_status commit(struct run *run, const struct migrate_file *file, struct hs_err *reterr)
{
    struct hs_err said;
    hs_status status = pg_admin_script(run->admin, "COMMIT", reterr);

    if (!status)
        return HS_OK;
    said = *reterr;
    if (status == HS_E_PG_DOWN) {
        hs_fail(reterr, status, "%s: the connection was lost at COMMIT", file->path);
        hs_err_why(reterr, "%s", said.what);
        hs_err_hint(reterr, "Whether it is applied is not known here: `hasten migrate status` is.");
        return status;
    }
    (void)snprintf(reterr->what, sizeof(reterr->what), "%.120s: at COMMIT: %.180s", file->path,
                   said.what);
    return status;
}

struct single {
    const struct migrate_file *file;
    hs_us began;
};

static hs_status run_single(struct run *run, const struct single *single, struct hs_err *reterr)
{
    const struct migrate_file *file = single->file;
    struct migrate_note note = {
        .file = file, .checksum = file->checksum, .is_applied = true, .statements_done = file->n};
    hs_status status = HS_OK;

    for (size_t i = 0; i < file->n && !status; i++)
        status = run_statement(run, file, i, reterr);
    if (status)
        return status;
    if (!pg_admin_in_transaction(run->admin))
        return hs_fail(reterr, HS_E_INTERNAL, "%s ended its transaction", file->path);
    note.took = hs_now_us() - single->began;
    status = pg_admin_script(run->admin, "SET SESSION AUTHORIZATION DEFAULT; RESET ROLE", reterr);
    if (!status)
        status = migrate_write_record(run->admin, &note, reterr);
    return status ? fail_record(file, reterr) : commit(run, file, reterr);
}

static hs_status attempt_single(struct run *run, void *arg, struct hs_err *reterr)
{
    hs_status status = pg_admin_script(run->admin, "BEGIN", reterr);

    if (!status)
        status = run_single(run, arg, reterr);
    if (status)
        pg_admin_rollback(run->admin);
    return status;
}

/* ---- no transaction ---- */

struct stepping {
    const struct migrate_file *file;
    size_t i;
};

/* An invalid index of that name on that table: a failed attempt's, unless somebody is building it. That
 * one holds the table's SHARE UPDATE EXCLUSIVE lock, as VACUUM does: then is not the time. */
static const char leftover_sql[] =
    "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), EXISTS (SELECT FROM"
    " pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.relation = i.indrelid"
    " AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d"
    " WHERE d.datname = pg_catalog.current_database())"
    " AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid())"
    " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE i.indrelid = pg_catalog.to_regclass($2) AND NOT i.indisvalid AND c.relkind = 'i'"
    " AND c.relname = (pg_catalog.parse_ident($1))[1]::pg_catalog.name";

struct leftover {
    struct hs_arena *arena;
    struct hs_str name; /* quoted; empty = there is none */
    bool is_busy;
};

static hs_status take_leftover(void *arg, const char *const *columns, struct hs_err *reterr)
{
    struct leftover *to = arg;

    to->name = hs_arena_dup(to->arena, hs_str(columns[0]));
    to->is_busy = columns[1][0] == 't';
    return to->name.p ? HS_OK : hs_fail_memory(reterr);
}

static hs_status find_leftover(struct run *run, const struct pg_statement *st,
                               struct leftover *ret_found, struct hs_err *reterr)
{
    struct hs_str index = hs_arena_dup(run->arena, st->index);
    struct hs_str table = hs_arena_dup(run->arena, st->table);
    const char *params[] = {index.p, table.p};

    *ret_found = (struct leftover){.arena = run->arena};
    if (!index.p || !table.p)
        return hs_fail_memory(reterr);
    return pg_admin_rows(run->admin, leftover_sql, params, HS_LEN(params), take_leftover, ret_found,
                         reterr);
}

static hs_status drop_leftover(struct run *run, const struct leftover *left, struct hs_err *reterr)
{
    char sql[512];
    hs_status status;

    (void)snprintf(sql, sizeof(sql), "DROP INDEX CONCURRENTLY %s", left->name.p);
    status = pg_admin_script(run->admin, sql, reterr);
    if (status)
        return status;
    (void)printf("  dropped the invalid index %s, left by a failed attempt\n", left->name.p);
    (void)fflush(stdout);
    return HS_OK;
}

static hs_status repair(struct run *run, const struct migrate_file *file,
                        const struct pg_statement *st, struct hs_err *reterr)
{
    struct leftover left;
    hs_status status = find_leftover(run, st, &left, reterr);

    if (!status && left.is_busy) {
        status = hs_fail(reterr, HS_E_PG_ERROR,
                         "the invalid index %s is being built, or its table "
                         "is in maintenance",
                         left.name.p);
        memcpy(reterr->sqlstate, "55P03", sizeof("55P03"));
    } else if (!status && left.name.n) {
        status = drop_leftover(run, &left, reterr);
    }
    if (status)
        add_place(file, st, 0, reterr);
    return status;
}

static hs_status attempt_step(struct run *run, void *arg, struct hs_err *reterr)
{
    const struct stepping *at = arg;
    const struct pg_statement *st = &at->file->statements[at->i];
    bool is_patient = st->kind != PG_STATEMENT_PLAIN;
    hs_status status = HS_OK;

    if (is_patient != run->is_patient)
        status = set_patience(run, is_patient, reterr);
    if (!status && st->kind == PG_STATEMENT_INDEX)
        status = repair(run, at->file, st, reterr);
    return status ? status : run_statement(run, at->file, at->i, reterr);
}

/* The file may have changed the role for the statements to come; the record is ours. */
static hs_status write_as_login(struct run *run, const struct migrate_note *note,
                                struct hs_err *reterr)
{
    struct hs_buf role;
    const char *param;
    size_t position;
    hs_status status;

    hs_buf_init(&role, 4096);
    status = pg_admin_value(run->admin, "SELECT pg_catalog.current_setting('role')", NULL, 0, &role,
                            reterr);
    if (!status)
        status = pg_admin_script(run->admin, "RESET ROLE", reterr);
    if (!status)
        status = migrate_write_record(run->admin, note, reterr);
    param = role.p;
    if (!status)
        status = pg_admin_statement(run->admin, "SELECT pg_catalog.set_config('role', $1, false)",
                                    &param, 1, &position, reterr);
    hs_buf_fini(&role);
    return status ? fail_record(note->file, reterr) : HS_OK;
}

/* `done` statements have run; the first fault, if any, goes with it. */
static hs_status note_progress(struct run *run, const struct migrate_file *file, size_t done,
                               const char *failure, hs_us took, struct hs_err *reterr)
{
    bool is_applied = done == file->n;
    char checksum[MIGRATE_CHECKSUM];
    size_t end = done ? file->statements[done - 1].end : 0;
    const struct migrate_note note = {.file = file,
                                      .checksum = is_applied ? file->checksum : checksum,
                                      .is_applied = is_applied,
                                      .statements_done = done,
                                      .failure = failure,
                                      .took = took};
    hs_status status = migrate_checksum(hs_str_sub(file->text, 0, end), checksum, reterr);

    return status ? status : write_as_login(run, &note, reterr);
}

static hs_status apply_steps(struct run *run, const struct migrate_step *step,
                             struct hs_err *reterr)
{
    struct stepping at = {step->file, step->record ? (size_t)step->record->statements_done : 0};
    hs_status status = note_progress(run, at.file, at.i, NULL, 0, reterr);

    for (; at.i < at.file->n && !status; at.i++) {
        hs_us began = hs_now_us();

        status = try_until(run, attempt_step, &at, reterr);
        if (status) {
            (void)note_progress(run, at.file, at.i, reterr->what, hs_now_us() - began,
                                &(struct hs_err){.status = HS_OK});
            (void)printf(
                "  %s  stopped: %zu of %zu statements have run and stay; the next run goes "
                "on there\n",
                step->file->path, at.i, at.file->n);
            return status;
        }
        status = note_progress(run, at.file, at.i + 1, NULL, hs_now_us() - began, reterr);
    }
    return status;
}

/* ---- all of them ---- */

static bool is_wanted(const struct migrate_step *step, const struct migrate_how *how)
{
    bool is_open = step->state == MIGRATE_PENDING || step->state == MIGRATE_UNFINISHED ||
                   (step->state == MIGRATE_OUT_OF_ORDER && how->out_of_order);

    return is_open && (how->to == 0 || step->version <= how->to);
}

static bool is_hindrance(const struct migrate_step *step, const struct migrate_how *how)
{
    return step->state == MIGRATE_CHANGED || step->state == MIGRATE_MISSING ||
           (step->state == MIGRATE_OUT_OF_ORDER && !how->out_of_order);
}

static const char *advice(enum migrate_state state)
{
    if (state == MIGRATE_OUT_OF_ORDER)
        return "Give the file a number behind the last one, or add --out-of-order.";
    if (state == MIGRATE_MISSING)
        return "Bring the file back from version control.";
    return "Put the file back as it was, and write the change as a further migration.";
}

static hs_status check_plan(struct run *run, const struct migrate_plan *plan, struct hs_err *reterr)
{
    const struct migrate_step *first = NULL;
    struct hs_str said;
    size_t n = 0;

    for (size_t i = 0; i < plan->n; i++) {
        const struct migrate_step *step = &plan->v[i];
        struct hs_str complaint;

        if (!is_hindrance(step, run->how))
            continue;
        complaint = migrate_complaint(step, run->arena);
        if (!first)
            first = step;
        if (n++)
            (void)fprintf(stderr, "hasten: %.*s\n", HS_FMT(complaint));
    }
    if (!first)
        return HS_OK;
    said = migrate_complaint(first, run->arena);
    hs_fail(reterr, HS_E_CONFIG, "%.*s", HS_FMT(said));
    hs_err_why(reterr, "Nothing was applied: files and database do not fit (%zu in all).", n);
    hs_err_hint(reterr, "%s", advice(first->state));
    return HS_E_CONFIG;
}

static hs_status check_target(const struct migrate_files *files, uint64_t to, struct hs_err *reterr)
{
    bool is_there = to == 0;

    for (size_t i = 0; i < files->n; i++)
        is_there = is_there || files->v[i].version == to;
    if (is_there)
        return HS_OK;
    return hs_fail(reterr, HS_E_CONFIG, "there is no migration %" PRIu64 " in %s", to, files->dir);
}

/* Reads, compares, and splits what is to run: a fault in the last file must be known before the first. */
static hs_status make_plan(struct run *run, struct migrate_files *files,
                           struct migrate_plan *ret_plan, struct migrate_records *ret_records,
                           struct hs_err *reterr)
{
    hs_status status = check_target(files, run->how->to, reterr);

    if (!status)
        status = migrate_read_records(run->admin, run->arena, ret_records, reterr);
    if (!status)
        status = migrate_plan(files, ret_records, run->arena, ret_plan, reterr);
    if (!status)
        status = check_plan(run, ret_plan, reterr);
    for (size_t i = 0; !status && i < ret_plan->n; i++) {
        if (is_wanted(&ret_plan->v[i], run->how))
            status = migrate_split(ret_plan->v[i].file, run->arena, reterr);
    }
    return status;
}

static void print_notice(void *arg, const char *severity, const char *message)
{
    (void)arg;
    (void)printf("  %s: %s\n", severity, message);
}

static hs_status apply(struct run *run, const struct migrate_step *step, struct hs_err *reterr)
{
    struct single single = {step->file, hs_now_us()};
    hs_status status;

    pg_admin_on_notice(run->admin, print_notice, NULL);
    status = step->file->is_single ? try_until(run, attempt_single, &single, reterr)
                                   : apply_steps(run, step, reterr);

    pg_admin_on_notice(run->admin, NULL, NULL);
    if (!status)
        (void)printf("  %s  %.1f s\n", step->file->path,
                     (double)(hs_now_us() - single.began) / 1e6);
    else if (step->file->is_single && status != HS_E_PG_DOWN)
        (void)printf("  %s  failed; nothing of it remains\n", step->file->path);
    (void)fflush(stdout);
    return status ? status : reset_session(run, reterr);
}

static hs_status apply_all(struct run *run, const struct migrate_plan *plan, struct hs_err *reterr)
{
    hs_status status = HS_OK;
    size_t n = 0;

    for (size_t i = 0; i < plan->n && !status; i++) {
        if (!is_wanted(&plan->v[i], run->how))
            continue;
        status = apply(run, &plan->v[i], reterr);
        n += !status;
    }
    if (status || run->how->is_quiet)
        return status;
    if (n)
        (void)printf("%zu applied\n", n);
    else
        (void)printf("nothing to do: %zu applied%s\n", plan->count[MIGRATE_APPLIED],
                     plan->count[MIGRATE_AHEAD] ? ", and later ones that have no file here" : "");
    return HS_OK;
}

static hs_status up_locked(struct run *run, struct migrate_files *files, struct hs_err *reterr)
{
    struct migrate_records records;
    struct migrate_plan plan;
    hs_status status = migrate_prepare(run->admin, reterr);

    if (!status)
        status = make_plan(run, files, &plan, &records, reterr);
    return status ? status : apply_all(run, &plan, reterr);
}

hs_status migrate_up(struct pg_admin *admin, struct migrate_files *files,
                     const struct migrate_how *how, struct hs_arena *arena, struct hs_err *reterr)
{
    struct run run = {.admin = admin, .how = how, .arena = arena, .rng = {hs_rng_seed()}};
    hs_status status = reset_session(&run, reterr);

    if (!status)
        status = take_lock(&run, reterr);
    if (status)
        return status;
    status = up_locked(&run, files, reterr);
    give_lock(&run);
    return status;
}

/* ---- dry run ---- */

static void print_single(const struct migrate_file *file)
{
    const struct migrate_note note = {
        .file = file, .checksum = file->checksum, .is_applied = true, .statements_done = file->n};
    bool has_newline = file->text.p[file->text.n - 1] == '\n';

    (void)printf("BEGIN;\n%s%s%s", file->text.p, has_newline ? "" : "\n",
                 file->statements[file->n - 1].is_closed ? "" : ";\n");
    migrate_print_record(&note);
    (void)printf("COMMIT;\n");
}

static hs_status print_steps(struct run *run, const struct migrate_step *step,
                             struct hs_err *reterr)
{
    const struct migrate_file *file = step->file;
    const struct migrate_note note = {
        .file = file, .checksum = file->checksum, .is_applied = true, .statements_done = file->n};

    for (size_t i = step->record ? (size_t)step->record->statements_done : 0; i < file->n; i++) {
        const struct pg_statement *st = &file->statements[i];
        struct leftover left = {.is_busy = false};
        hs_status status = st->kind == PG_STATEMENT_INDEX ? find_leftover(run, st, &left, reterr)
                                                          : HS_OK;

        if (status)
            return status;
        if (left.name.n)
            (void)printf("DROP INDEX CONCURRENTLY %s;\n", left.name.p);
        (void)printf("%.*s;\n", HS_FMT(st->text));
    }
    migrate_print_record(&note);
    return HS_OK;
}

hs_status migrate_dry_run(struct pg_admin *admin, struct migrate_files *files,
                          const struct migrate_how *how, struct hs_arena *arena,
                          struct hs_err *reterr)
{
    struct run run = {.admin = admin, .how = how, .arena = arena, .rng = {hs_rng_seed()}};
    struct migrate_records records;
    struct migrate_plan plan;
    hs_status status = make_plan(&run, files, &plan, &records, reterr);

    if (!status && !records.has_table)
        (void)printf(
            "-- first hasten's own schema, where hasten.migration is missing: sql/hasten.sql\n");
    for (size_t i = 0; !status && i < plan.n; i++) {
        const struct migrate_step *step = &plan.v[i];

        if (!is_wanted(step, how))
            continue;
        (void)printf("-- %s (%s)\n", step->file->path,
                     step->file->is_single ? "one transaction" : "no transaction");
        if (step->file->is_single)
            print_single(step->file);
        else
            status = print_steps(&run, step, reterr);
    }
    return status;
}
