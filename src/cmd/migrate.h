/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/migrate.h - numbered SQL files and the record of those that a database has had.
 *
 * Shape      files (migrate_files.c) + records (migrate_record.c) ── migrate_plan() ──▶ steps
 *            ── migrate_up() ──▶ applied, one after the other (migrate_apply.c).
 * Promises   a migration and its record are one transaction; one that runs without says in its record
 *            how far it came. Two that run at once: one works, the other waits (MIGRATE_LOCK).
 * Memory     everything read lives in the caller's arena.
 * Thread     one; blocking.
 */
#ifndef CMD_MIGRATE_H
#define CMD_MIGRATE_H

#include "core/arena.h"
#include "core/err.h"
#include "core/time.h"
#include "pg/admin.h"
#include "pg/split.h"

enum {
    MIGRATE_FILES_MAX = 10000,
    MIGRATE_FILE_MAX = 16 << 20,    /* bytes of one file */
    MIGRATE_MEMORY_MAX = 512 << 20, /* of all that is read: files and their statements */
    MIGRATE_STATEMENTS_MAX = 100000,
    MIGRATE_CHECKSUM = 65 /* SHA-256 in hexadecimal, and NUL */
};

/* pg_advisory_lock(int, int), session level, held while migrations run: "hast" in ASCII, and 1. */
#define MIGRATE_LOCK "1751217012, 1"

/* A file of the folder, read whole. */
struct migrate_file {
    uint64_t version;
    unsigned digits;    /* of the number as written */
    const char *file;   /* "0001_schema.sql" */
    const char *name;   /* "schema" */
    const char *path;   /* as one would open it */
    struct hs_str text; /* NUL-terminated UTF-8 */
    char checksum[MIGRATE_CHECKSUM];
    bool is_single; /* one transaction; false: `-- hasten: no-transaction` */
    size_t n;       /* statements; 0 until migrate_split() */
    struct pg_statement *statements;
};

struct migrate_files {
    const char *dir;
    struct migrate_file *v; /* by version */
    size_t n;
};

/* What hasten.migration says. */
struct migrate_record {
    uint64_t version;
    const char *name;
    const char *checksum;
    bool is_applied; /* false: without a transaction, and unfinished */
    uint64_t statements_done;
    const char *failure; /* NULL = none */
    const char *applied_at;
    const char *seconds;
    const char *applied_by;
};

struct migrate_records {
    bool has_table;           /* false: the database knows no hasten.migration yet */
    struct migrate_record *v; /* by version */
    size_t n;
};

enum migrate_state {
    MIGRATE_APPLIED,
    MIGRATE_PENDING,
    MIGRATE_UNFINISHED,   /* without a transaction, stopped on its way: goes on where it was */
    MIGRATE_OUT_OF_ORDER, /* pending, and a later one is applied */
    MIGRATE_CHANGED,      /* not the file that was applied */
    MIGRATE_MISSING,      /* applied, its file is gone */
    MIGRATE_AHEAD         /* applied, and later than every file: the folder is the older one */
};

struct migrate_step {
    enum migrate_state state;
    uint64_t version;
    struct migrate_file *file;           /* NULL if MISSING or AHEAD */
    const struct migrate_record *record; /* NULL if PENDING or OUT_OF_ORDER */
};

struct migrate_plan {
    struct migrate_step *v; /* by version */
    size_t n;
    size_t count[MIGRATE_AHEAD + 1]; /* by state */
};

/* ---- migrate_files.c ---- */

/* A whole file of at most MIGRATE_FILE_MAX bytes, NUL-terminated. errors: HS_E_IO */
hs_status migrate_read(const char *path, struct hs_arena *arena, struct hs_str *ret_text,
                       struct hs_err *reterr) hs_must_check;
/* All NNNN_name.sql of the folder; other names that end in .sql and equal versions are faults.
 * errors: HS_E_IO, HS_E_CONFIG */
hs_status migrate_load(const char *dir, struct hs_arena *arena, struct migrate_files *ret_files,
                       struct hs_err *reterr) hs_must_check;
/* Cuts the file into statements and checks what can be checked without a server. errors: HS_E_CONFIG
 * with the place */
hs_status migrate_split(struct migrate_file *file, struct hs_arena *arena, struct hs_err *reterr)
    hs_must_check;
/* "0004_title_words.sql" behind the last of the folder, which is made if absent; *ret_path in the arena. */
hs_status migrate_new(const char *dir, const char *title, struct hs_arena *arena,
                      const char **ret_path, struct hs_err *reterr) hs_must_check;
/* SHA-256 of a text. */
hs_status migrate_checksum(struct hs_str text, char to[static MIGRATE_CHECKSUM],
                           struct hs_err *reterr) hs_must_check;

struct migrate_place {
    size_t line, column; /* from 1; columns are characters */
};
struct migrate_place migrate_place(struct hs_str text, size_t at);

/* ---- migrate_plan.c ---- */

/* Files beside records. Splits the files of unfinished records. errors: as of migrate_split() */
hs_status migrate_plan(struct migrate_files *files, const struct migrate_records *records,
                       struct hs_arena *arena, struct migrate_plan *ret_plan, struct hs_err *reterr)
    hs_must_check;
/* What a state is called. */
const char *migrate_state_name(enum migrate_state state);
/* One line for a step that is not plainly applied, "" for one that is. */
struct hs_str migrate_complaint(const struct migrate_step *step, struct hs_arena *arena);

/* ---- migrate_record.c ---- */

/* Makes hasten's schema where hasten.migration is missing. */
hs_status migrate_prepare(struct pg_admin *admin, struct hs_err *reterr) hs_must_check;
hs_status migrate_read_records(struct pg_admin *admin, struct hs_arena *arena,
                               struct migrate_records *ret_records, struct hs_err *reterr)
    hs_must_check;

/* A record to be written; began: of this run, its time is added to that of the runs before. */
struct migrate_note {
    const struct migrate_file *file;
    const char *checksum;
    bool is_applied;
    size_t statements_done;
    const char *failure; /* NULL = none */
    hs_us took;
};
hs_status migrate_write_record(struct pg_admin *admin, const struct migrate_note *note,
                               struct hs_err *reterr) hs_must_check;
/* The same as text, for a dry run. */
void migrate_print_record(const struct migrate_note *note);

/* ---- migrate_apply.c ---- */

struct migrate_how {
    hs_us lock_timeout;
    uint64_t retries;
    hs_us wait;        /* for another one at work */
    uint64_t to;       /* last version to apply; 0 = all */
    bool out_of_order; /* apply those, too */
    bool is_quiet;     /* says nothing where there is nothing to do */
};

/*
 * Applies what is pending and says what it does on standard output. Stops at the first fault.
 *   errors  HS_E_PG_ERROR, with file, line and column; HS_E_PG_DOWN; HS_E_BUSY another one holds the
 *           lock; HS_E_CONFIG files and records do not fit, or a file is wrong
 */
hs_status migrate_up(struct pg_admin *admin, struct migrate_files *files,
                     const struct migrate_how *how, struct hs_arena *arena, struct hs_err *reterr)
    hs_must_check;
/* Prints the SQL that migrate_up() would run, and changes nothing. */
hs_status migrate_dry_run(struct pg_admin *admin, struct migrate_files *files,
                          const struct migrate_how *how, struct hs_arena *arena,
                          struct hs_err *reterr) hs_must_check;

#endif
