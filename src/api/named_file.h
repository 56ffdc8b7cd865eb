/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/named_file.h - one file of a named query: its comment header and its statement.
 *
 *     -- name: appointments-of-day
 *     -- description: What is planned on a day.
 *     -- param day date = 2026-07-01 -- the day
 *     -- param staff_id bigint ?
 *     -- role: member, viewer
 *     -- cache: 30s
 *     SELECT ... WHERE a.date = :day AND (a.staff_id = :staff_id OR :staff_id IS NULL);
 *
 * The statement becomes one with $1, $2 ..., each in parentheses with its cast. A colon is a parameter's where a name
 * stands right behind it, outside of strings, quoted names, dollar quotes and comments, and where it is
 * neither a cast (::) nor := nor the colon of an array slice: that one stands in brackets with an
 * expression right before it, a[1:n].
 *
 * Lifetime   the caller's arena; the names and texts point into it or into `text`.
 * Limits     the constants below.
 * Thread     any.
 * Source     PostgreSQL 15 manual, 4.1 (lexical structure), 8.15.3 (slices).
 */
#ifndef API_NAMED_FILE_H
#define API_NAMED_FILE_H

#include "core/arena.h"
#include "core/err.h"
#include "core/time.h"

enum {
    NAMED_FILE_MAX = 64 << 10, /* bytes of a file */
    NAMED_FILES_MAX = 1000,
    NAMED_NAME_MAX = 63,
    NAMED_PARAMS_MAX = 64, /* of a query; PostgreSQL's functions take 100 */
    NAMED_ROLES_MAX = 64,
    NAMED_NESTING_MAX = 256, /* parentheses and brackets */
    NAMED_TEXT_MAX = 1000    /* a type, a default, a description */
};

struct named_param {
    struct hs_str name;
    struct hs_str type; /* as SQL */
    struct hs_str description;
    bool has_default;
    struct hs_str value; /* the default; p == NULL: SQL NULL. NUL-terminated */
};

enum named_method { NAMED_METHOD_AUTO, NAMED_METHOD_GET, NAMED_METHOD_POST };

/* Where a piece of the statement stands in the file. */
struct named_piece {
    size_t sql_at;
    size_t file_at;
    bool is_param; /* all of it stands for what is there */
};

struct named_file {
    struct hs_str path; /* for messages */
    struct hs_str text;
    struct hs_str name;
    struct hs_str description;
    enum named_method method;
    bool is_one;
    bool has_ttl;
    hs_us ttl;
    struct hs_str *roles; /* none = all */
    size_t n_roles;
    struct named_param *params;
    size_t n_params;
    bool is_read;      /* by its words: no INSERT, UPDATE, DELETE or MERGE in it */
    struct hs_str sql; /* NUL-terminated */
    const struct named_piece *pieces;
    size_t n_pieces;
};

/*
 * Reads the file of that path (its base name without .sql is the default name) and text. On error ret->path and
 * ret->name are set all the same.
 *   errors  HS_E_CONFIG with path:line, HS_E_MEMORY
 */
hs_status named_file_read(struct hs_str path, struct hs_str text, struct hs_arena *arena,
                          struct named_file *ret, struct hs_err *reterr) hs_must_check;

/* The line of the file, from 1, on which the statement's n-th character stands, from 1. */
size_t named_file_line(const struct named_file *file, size_t character);

/* ---- named_sql.c ---- */

/*
 * Finds the statement that begins at file->text[at], and fills is_read, sql and pieces.
 *   errors  HS_E_CONFIG: not one statement of the five kinds, a parameter that is not declared or not used, a
 *           string or comment without an end
 */
hs_status named_sql_read(struct named_file *file, size_t at, struct hs_arena *arena,
                         struct hs_err *reterr) hs_must_check;
/* HS_E_CONFIG, "path:line: what"; `at` is a byte of the text. */
hs_status named_fail(const struct named_file *file, size_t at, struct hs_err *reterr,
                     const char *fmt, ...) hs_printf_like(4, 5);
bool named_is_name_start(char c);
bool named_is_name_char(char c);

#endif
