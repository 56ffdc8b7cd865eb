/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of migrations: names, numbers, text, checksums, statements.
 *
 * The rule: a name that ends in .sql and is not understood is a fault, never skipped, for a migration that
 * silently does not run is found weeks later. Files are compared as bytes; whoever lets git turn line
 * ends has to tell it not to.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/migrate.h"
#include "net/crypto.h"

enum { DIGITS_MAX = 18, DIGITS_USUAL = 4, TITLE_MAX = 100 };

/* ---- reading ---- */

static hs_status fail_errno(struct hs_err *reterr, const char *what, const char *path, int why)
{
    hs_fail(reterr, HS_E_IO, "could not %s %s", what, path);
    hs_err_why(reterr, "%s", strerrordesc_np(why));
    return HS_E_IO;
}

static hs_status read_all(int fd, const char *path, size_t n, char *to, struct hs_err *reterr)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = read(fd, to + done, n - done);

        if (got < 0 && errno != EINTR)
            return fail_errno(reterr, "read", path, errno);
        if (got == 0)
            return hs_fail(reterr, HS_E_IO, "%s became shorter while it was read", path);
        done += got > 0 ? (size_t)got : 0;
    }
    to[n] = '\0';
    return HS_OK;
}

static hs_status read_open(int fd, const char *path, struct hs_arena *arena,
                           struct hs_str *ret_text, struct hs_err *reterr)
{
    struct stat st;
    char *text;

    if (fstat(fd, &st) != 0)
        return fail_errno(reterr, "read", path, errno);
    if (!S_ISREG(st.st_mode))
        return hs_fail(reterr, HS_E_IO, "%s is not a file", path);
    if (st.st_size > MIGRATE_FILE_MAX) {
        hs_fail(reterr, HS_E_IO, "%s is longer than %d MiB", path, MIGRATE_FILE_MAX >> 20);
        hs_err_hint(reterr, "Load data with COPY in psql, and keep the schema in migrations.");
        return HS_E_IO;
    }
    text = hs_arena_alloc(arena, (size_t)st.st_size + 1);
    if (!text)
        return hs_fail_memory(reterr);
    *ret_text = hs_strn(text, (size_t)st.st_size);
    return read_all(fd, path, ret_text->n, text, reterr);
}

hs_status migrate_read(const char *path, struct hs_arena *arena, struct hs_str *ret_text,
                       struct hs_err *reterr)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    hs_status status;

    if (fd < 0)
        return fail_errno(reterr, "read", path, errno);
    status = read_open(fd, path, arena, ret_text, reterr);
    (void)close(fd);
    return status;
}

hs_status migrate_checksum(struct hs_str text, char to[static MIGRATE_CHECKSUM],
                           struct hs_err *reterr)
{
    return net_sha256_hex(text, to) ? HS_OK : hs_fail_memory(reterr);
}

struct migrate_place migrate_place(struct hs_str text, size_t at)
{
    struct migrate_place place = {1, 1};

    for (size_t i = 0; i < at && i < text.n; i++) {
        if (text.p[i] == '\n')
            place = (struct migrate_place){place.line + 1, 1};
        else
            place.column += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    }
    return place;
}

static hs_status fail_at(const struct migrate_file *file, size_t at, const char *what,
                         struct hs_err *reterr)
{
    struct migrate_place place = migrate_place(file->text, at);

    return hs_fail(reterr, HS_E_CONFIG, "%s:%zu:%zu: %s", file->path, place.line, place.column,
                   what);
}

/* ---- names ---- */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

/* "0001_schema.sql": a number from 1, an underscore, a name. */
static bool read_name(struct hs_str file, struct hs_arena *arena, struct migrate_file *to)
{
    struct hs_str name = hs_str_sub(file, 0, file.n - strlen(".sql"));
    struct hs_str number = hs_str_cut(&name, '_');

    if (number.n == 0 || number.n > DIGITS_MAX || !hs_str_to_u64(number, &to->version) ||
        to->version == 0 || name.n == 0)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (!is_plain(name.p[i]))
            return false;
    }
    to->digits = (unsigned)number.n;
    to->file = hs_arena_dup(arena, file).p;
    to->name = hs_arena_dup(arena, name).p;
    return true;
}

/* 1 = it is a migration, 0 = it is none of our business, -1 = it looks like one and is not. */
static int take_entry(struct hs_str file, struct hs_arena *arena, struct migrate_file *to)
{
    struct hs_str suffix = hs_str_sub(file, file.n < 4 ? 0 : file.n - 4, file.n);

    if (!hs_str_is(suffix, ".sql") || file.p[0] == '.')
        return 0;
    *to = (struct migrate_file){.is_single = true};
    return read_name(file, arena, to) ? 1 : -1;
}

static int by_version(const void *a, const void *b)
{
    const struct migrate_file *one = a, *two = b;

    return (one->version > two->version) - (one->version < two->version);
}

static hs_status check_unique(const struct migrate_files *files, struct hs_err *reterr)
{
    for (size_t i = 1; i < files->n; i++) {
        if (files->v[i].version != files->v[i - 1].version)
            continue;
        hs_fail(reterr, HS_E_CONFIG, "%s: version %llu is there twice", files->dir,
                (unsigned long long)files->v[i].version);
        hs_err_why(reterr, "%s and %s", files->v[i - 1].file, files->v[i].file);
        hs_err_hint(reterr, "Give the newer one the next free number.");
        return HS_E_CONFIG;
    }
    return HS_OK;
}

static hs_status walk(DIR *dir, struct hs_arena *arena, struct migrate_files *files,
                      struct hs_err *reterr)
{
    struct dirent *entry;

    while ((entry = readdir(dir))) {
        struct migrate_file file;
        int kind = take_entry(hs_str(entry->d_name), arena, &file);

        if (kind < 0) {
            hs_fail(reterr, HS_E_CONFIG, "%s/%.100s is not the name of a migration", files->dir,
                    entry->d_name);
            hs_err_hint(reterr, "Write NNNN_name.sql, with letters, digits and _ . - in the name.");
            return HS_E_CONFIG;
        }
        if (kind && files->n == MIGRATE_FILES_MAX)
            return hs_fail(reterr, HS_E_CONFIG, "%s holds more than %d migrations", files->dir,
                           MIGRATE_FILES_MAX);
        if (kind)
            files->v[files->n++] = file;
    }
    return HS_OK;
}

/* The names only, in order. */
static hs_status list(const char *folder, struct hs_arena *arena, struct migrate_files *files,
                      struct hs_err *reterr)
{
    DIR *dir = opendir(folder);
    hs_status status;

    if (!dir)
        return fail_errno(reterr, "read the folder", folder, errno);
    *files = (struct migrate_files){.dir = folder};
    files->v = HS_NEW_ARRAY(arena, MIGRATE_FILES_MAX, struct migrate_file);
    status = files->v ? walk(dir, arena, files, reterr) : hs_fail_memory(reterr);
    (void)closedir(dir);
    if (status)
        return status;
    if (hs_arena_failed(arena))
        return hs_fail_memory(reterr);
    if (files->n)
        qsort(files->v, files->n, sizeof(files->v[0]), by_version);
    return check_unique(files, reterr);
}

/* ---- the header ---- */

static hs_status take_directive(struct migrate_file *file, struct hs_str word,
                                struct hs_err *reterr)
{
    if (hs_str_is(word, "no-transaction")) {
        file->is_single = false;
        return HS_OK;
    }
    (void)fail_at(file, (size_t)(word.p - file->text.p), "unknown directive", reterr);
    hs_err_hint(reterr, "There is only `-- hasten: no-transaction`.");
    return HS_E_CONFIG;
}

/* The header is what stands above the first line that is neither blank nor a -- comment. */
static hs_status read_header(struct migrate_file *file, struct hs_err *reterr)
{
    const struct hs_str mark = HS_STR("hasten:");
    struct hs_str rest = file->text;
    hs_status status = HS_OK;

    while (rest.n && !status) {
        struct hs_str line = hs_str_cut(&rest, '\n');

        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        line = hs_str_trim(line);
        if (line.n == 0)
            continue;
        if (!hs_str_starts(line, HS_STR("--")))
            break;
        line = hs_str_trim(hs_str_sub(line, 2, line.n));
        if (hs_str_starts(line, mark))
            status = take_directive(file, hs_str_trim(hs_str_sub(line, mark.n, line.n)), reterr);
    }
    return status;
}

static hs_status load_file(struct migrate_file *file, const char *dir, struct hs_arena *arena,
                           struct hs_err *reterr)
{
    size_t n = strlen(dir);
    hs_status status;

    file->path =
        hs_arena_printf(arena, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", file->file).p;
    if (!file->path)
        return hs_fail_memory(reterr);
    status = migrate_read(file->path, arena, &file->text, reterr);
    if (!status && (!hs_str_is_utf8(file->text) || memchr(file->text.p, '\0', file->text.n))) {
        status = hs_fail(reterr, HS_E_CONFIG, "%s is not UTF-8 text", file->path);
        hs_err_hint(reterr, "Save it as UTF-8.");
    }
    if (!status)
        status = migrate_checksum(file->text, file->checksum, reterr);
    return status ? status : read_header(file, reterr);
}

hs_status migrate_load(const char *dir, struct hs_arena *arena, struct migrate_files *ret_files,
                       struct hs_err *reterr)
{
    hs_status status = list(dir, arena, ret_files, reterr);

    for (size_t i = 0; i < ret_files->n && !status; i++)
        status = load_file(&ret_files->v[i], dir, arena, reterr);
    if (!status && ret_files->n == 0) {
        status = hs_fail(reterr, HS_E_CONFIG, "there are no migrations in %s", dir);
        hs_err_hint(reterr, "Begin with `hasten migrate new NAME`, or name the folder with --dir.");
    }
    return status;
}

/* ---- statements ---- */

static hs_status check_statement(const struct migrate_file *file, const struct pg_statement *st,
                                 struct hs_err *reterr)
{
    if (st->kind == PG_STATEMENT_TRANSACTION) {
        (void)fail_at(file, st->from, "a migration must not begin or end a transaction", reterr);
        hs_err_hint(reterr, file->is_single ? "Leave it out: the file is one transaction already."
                                            : "Leave it out: each statement stands for itself.");
        return HS_E_CONFIG;
    }
    if (file->is_single && st->kind != PG_STATEMENT_PLAIN) {
        (void)fail_at(file, st->from, "CONCURRENTLY does not work in a transaction", reterr);
        hs_err_hint(reterr, "Move it to a file of its own that begins with "
                            "`-- hasten: no-transaction`.");
        return HS_E_CONFIG;
    }
    if (st->kind == PG_STATEMENT_INDEX && (!st->index.n || !st->table.n)) {
        (void)fail_at(file, st->from, "an index that is made concurrently needs a name", reterr);
        hs_err_hint(reterr, "What a failed attempt leaves behind is found by its name.");
        return HS_E_CONFIG;
    }
    return HS_OK;
}

/* Takes the statements from the first byte; with `to` NULL only counts and checks them. */
static hs_status walk_statements(const struct migrate_file *file, struct pg_statement *to,
                                 size_t *ret_n, struct hs_err *reterr)
{
    struct pg_split split;
    struct pg_statement st;
    hs_status status = HS_OK;
    size_t n = 0;

    pg_split_start(&split, file->text);
    while (!status && pg_split_next(&split, &st)) {
        status = check_statement(file, &st, reterr);
        if (to)
            to[n] = st;
        if (++n > MIGRATE_STATEMENTS_MAX)
            return hs_fail(reterr, HS_E_CONFIG, "%s holds more than %d statements", file->path,
                           MIGRATE_STATEMENTS_MAX);
    }
    if (!status && split.fault)
        status = fail_at(file, split.fault_at, split.fault, reterr);
    *ret_n = n;
    return status;
}

hs_status migrate_split(struct migrate_file *file, struct hs_arena *arena, struct hs_err *reterr)
{
    size_t n;
    hs_status status;

    if (file->n)
        return HS_OK;
    status = walk_statements(file, NULL, &n, reterr);
    if (status)
        return status;
    if (n == 0) {
        hs_fail(reterr, HS_E_CONFIG, "there is no statement in %s", file->path);
        hs_err_hint(reterr, "Write it, or remove the file.");
        return HS_E_CONFIG;
    }
    file->statements = HS_NEW_ARRAY(arena, n, struct pg_statement);
    if (!file->statements)
        return hs_fail_memory(reterr);
    return walk_statements(file, file->statements, &file->n, reterr);
}

/* ---- a new one ---- */

static const char new_text[] =
    ": what it changes, and why.\n"
    "--\n"
    "-- Runs in one transaction. For CREATE INDEX CONCURRENTLY, which cannot, add the line\n"
    "-- \"hasten: no-transaction\" to this comment (without the quotes), and write one index a file.\n"
    "\n";

/* "Add Index on clients" gives "add_index_on_clients". */
static bool make_title(const char *title, char to[static TITLE_MAX])
{
    size_t n = 0;

    for (const char *p = title; *p; p++) {
        char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        if (n + 2 >= TITLE_MAX)
            return false;
        if (is_fine)
            to[n++] = c;
        else if (n && to[n - 1] != '_')
            to[n++] = '_';
    }
    while (n && to[n - 1] == '_')
        n--;
    to[n] = '\0';
    return n > 0;
}

static hs_status write_new(const char *path, const char *name, struct hs_err *reterr)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool is_written;
    int why;

    if (fd < 0)
        return fail_errno(reterr, "make", path, errno);
    is_written = dprintf(fd, "-- %s%s", name, new_text) > 0;
    why = errno;
    if (close(fd) == 0 && is_written)
        return HS_OK;
    return fail_errno(reterr, "write", path, is_written ? errno : why);
}

hs_status migrate_new(const char *dir, const char *title, struct hs_arena *arena,
                      const char **ret_path, struct hs_err *reterr)
{
    struct migrate_files files;
    const struct migrate_file *last;
    char name[TITLE_MAX];
    size_t n = strlen(dir);
    hs_status status;

    if (!make_title(title, name))
        return hs_fail(reterr, HS_E_CONFIG, "\"%.60s\" cannot be the name of a migration", title);
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return fail_errno(reterr, "make the folder", dir, errno);
    status = list(dir, arena, &files, reterr);
    if (status)
        return status;
    last = files.n ? &files.v[files.n - 1] : NULL;
    *ret_path = hs_arena_printf(arena, "%s%s%0*llu_%s.sql", dir, n && dir[n - 1] == '/' ? "" : "/",
                                last ? (int)last->digits : DIGITS_USUAL,
                                last ? (unsigned long long)last->version + 1 : 1, name)
                    .p;
    return *ret_path ? write_new(*ret_path, name, reterr) : hs_fail_memory(reterr);
}
