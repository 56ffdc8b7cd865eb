/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statement of a named query: where its parameters stand, and where it ends.
 *
 * This is a lexer and no parser: it knows what a colon cannot be (within strings, names, comments, casts, slices) and
 * leaves the rest to PostgreSQL. What it decides by itself it decides strictly: one statement, which begins with one
 * of the words below, so that nothing that ends a transaction or changes the session is ever sent to a
 * connection that many share.
 *
 * Source: PostgreSQL 15 manual, 4.1; src/backend/parser/scan.l (continued strings, nested comments).
 */
#include "api/named_file.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/buf.h"

enum { SQL_MAX = 4 * NAMED_FILE_MAX };

struct scan {
    struct named_file *file;
    struct hs_str text;
    size_t at;
    size_t start; /* of the statement */
    size_t end;   /* behind it; 0 = it goes on */
    char open[NAMED_NESTING_MAX];
    size_t depth;
    bool has_word;
    bool is_read;
    bool is_used[NAMED_PARAMS_MAX];
    struct hs_buf out;
    size_t copied; /* up to there the text is in `out` */
    struct named_piece *pieces;
    size_t n_pieces;
    size_t pieces_max;
};

bool named_is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool named_is_name_char(char c)
{
    return named_is_name_start(c) || (c >= '0' && c <= '9');
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t line_of(struct hs_str text, size_t at)
{
    size_t line = 1;

    for (size_t i = 0; i < at && i < text.n; i++)
        line += text.p[i] == '\n';
    return line;
}

hs_status named_fail(const struct named_file *file, size_t at, struct hs_err *reterr,
                     const char *fmt, ...)
{
    char what[HS_ERR_WHAT];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    return hs_fail(reterr, HS_E_CONFIG, "%.*s:%zu: %s", HS_FMT(file->path), line_of(file->text, at),
                   what);
}

/* A character of the statement is a byte that does not continue one (RFC 3629, 3). */
size_t named_file_line(const struct named_file *file, size_t character)
{
    const struct named_piece *piece = NULL;
    size_t at = 0;

    for (; at < file->sql.n && character; at++) {
        if (((unsigned char)file->sql.p[at] & 0xc0) != 0x80 && --character == 0)
            break;
    }
    for (size_t i = 0; i < file->n_pieces && file->pieces[i].sql_at <= at; i++)
        piece = &file->pieces[i];
    if (!piece)
        return 1;
    return line_of(file->text, piece->file_at + (piece->is_param ? 0 : at - piece->sql_at));
}

/* ---- what is passed over ---- */

static char peek(const struct scan *s, size_t ahead)
{
    return s->at + ahead < s->text.n ? s->text.p[s->at + ahead] : '\0';
}

/* Behind the quote that ends what begins at s->at; a doubled one stands for itself. */
static hs_status skip_quoted(struct scan *s, bool has_escapes, const char *what,
                             struct hs_err *reterr)
{
    size_t from = s->at;
    char quote = s->text.p[s->at++];

    for (; s->at < s->text.n; s->at++) {
        if (has_escapes && s->text.p[s->at] == '\\')
            s->at++;
        else if (s->text.p[s->at] == quote && peek(s, 1) == quote)
            s->at++;
        else if (s->text.p[s->at] == quote)
            break;
    }
    if (s->at >= s->text.n)
        return named_fail(s->file, from, reterr, "%s has no end", what);
    s->at++;
    return HS_OK;
}

/* 'a' and, on a later line, 'b' are one string, with the escapes of the first. */
static bool is_continued(struct scan *s)
{
    size_t at = s->at;
    bool has_line = false;

    for (; at < s->text.n && is_space(s->text.p[at]); at++)
        has_line = has_line || s->text.p[at] == '\n' || s->text.p[at] == '\r';
    if (!has_line || at == s->text.n || s->text.p[at] != '\'')
        return false;
    s->at = at;
    return true;
}

static hs_status skip_escapes(struct scan *s, struct hs_err *reterr)
{
    hs_status status;

    do
        status = skip_quoted(s, /* has_escapes= */ true, "a string", reterr);
    while (!status && is_continued(s));
    return status;
}

static hs_status skip_block(struct scan *s, struct hs_err *reterr)
{
    size_t from = s->at;
    size_t depth = 0;

    do {
        if (peek(s, 0) == '/' && peek(s, 1) == '*') {
            depth++;
            s->at += 2;
        } else if (peek(s, 0) == '*' && peek(s, 1) == '/') {
            depth--;
            s->at += 2;
        } else {
            s->at++;
        }
    } while (depth && s->at < s->text.n);
    return depth ? named_fail(s->file, from, reterr, "a comment has no end") : HS_OK;
}

static void skip_line(struct scan *s)
{
    while (s->at < s->text.n && s->text.p[s->at] != '\n')
        s->at++;
}

/* $$ ... $$ or $tag$ ... $tag$ */
static hs_status skip_dollar(struct scan *s, struct hs_err *reterr)
{
    size_t from = s->at;
    size_t n = 1;
    struct hs_str tag;

    if (peek(s, 1) >= '0' && peek(s, 1) <= '9') {
        (void)named_fail(s->file, from, reterr, "a parameter is written with $");
        hs_err_hint(reterr, "Declare it with `-- param name type`, and write :name.");
        return HS_E_CONFIG;
    }
    while (named_is_name_char(peek(s, n)) || (unsigned char)peek(s, n) >= 0x80)
        n++;
    if (peek(s, n) != '$') {
        s->at++;
        return HS_OK;
    }
    tag = hs_str_sub(s->text, from, from + n + 1);
    for (s->at += tag.n; s->at < s->text.n; s->at++) {
        if (hs_str_starts(hs_str_sub(s->text, s->at, s->text.n), tag)) {
            s->at += tag.n;
            return HS_OK;
        }
    }
    return named_fail(s->file, from, reterr, "%.*s has no end", HS_FMT(tag));
}

/* ---- words ---- */

static bool is_one_of(struct hs_str word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (hs_str_ieq(word, hs_str(words[i])))
            return true;
    }
    return false;
}

static hs_status take_word(struct scan *s, struct hs_err *reterr)
{
    static const char *const begins[] = {"select", "with",   "values", "table",
                                         "insert", "update", "delete", "merge"};
    static const char *const writes[] = {"insert", "update", "delete", "merge"};
    size_t from = s->at;
    struct hs_str word;

    while (named_is_name_char(peek(s, 0)) || peek(s, 0) == '$' || (unsigned char)peek(s, 0) >= 0x80)
        s->at++;
    word = hs_str_sub(s->text, from, s->at);
    if (!s->has_word && !is_one_of(word, begins, HS_LEN(begins)))
        return named_fail(
            s->file, from, reterr,
            "the statement begins with \"%.*s\", not with SELECT, WITH, VALUES, TABLE, "
            "INSERT, UPDATE, DELETE or MERGE",
            HS_FMT(hs_str_sub(word, 0, NAMED_NAME_MAX)));
    s->has_word = true;
    s->is_read = s->is_read && !is_one_of(word, writes, HS_LEN(writes));
    if (word.n == 1 && (word.p[0] == 'e' || word.p[0] == 'E') && peek(s, 0) == '\'')
        return skip_escapes(s, reterr);
    return HS_OK;
}

/* ---- parameters ---- */

/* The text from s->copied up to `to`, and from which place in the file. */
static void copy(struct scan *s, size_t to)
{
    if (to > s->copied && s->n_pieces < s->pieces_max) {
        s->pieces[s->n_pieces++] = (struct named_piece){s->out.n, s->copied, false};
        hs_buf_add(&s->out, hs_str_sub(s->text, s->copied, to));
    }
    s->copied = to;
}

static size_t find_param(const struct named_file *file, struct hs_str name)
{
    size_t i = 0;

    while (i < file->n_params && !hs_str_eq(file->params[i].name, name))
        i++;
    return i;
}

/* Right behind an expression, within brackets: a[1:n]. */
static bool is_slice(const struct scan *s)
{
    char before = s->at > s->start ? s->text.p[s->at - 1] : '\0';

    return s->depth && s->open[s->depth - 1] == '[' &&
           (named_is_name_char(before) || (before && strchr(")]'\"$", before)) ||
            (unsigned char)before >= 0x80);
}

static hs_status take_colon(struct scan *s, struct hs_err *reterr)
{
    size_t from = s->at;
    size_t i;
    struct hs_str name;

    if (peek(s, 1) == ':' || peek(s, 1) == '=') {
        s->at += 2;
        return HS_OK;
    }
    if (!named_is_name_start(peek(s, 1)) || is_slice(s)) {
        s->at++;
        return HS_OK;
    }
    for (s->at++; named_is_name_char(peek(s, 0));)
        s->at++;
    name = hs_str_sub(s->text, from + 1, s->at);
    i = find_param(s->file, name);
    if (i == s->file->n_params) {
        (void)named_fail(s->file, from, reterr, "the parameter :%.*s is not declared",
                         HS_FMT(hs_str_sub(name, 0, NAMED_NAME_MAX)));
        hs_err_hint(reterr, "Add a line `-- param name type` to the head of the file.");
        return HS_E_CONFIG;
    }
    s->is_used[i] = true;
    copy(s, from);
    s->pieces[s->n_pieces++] = (struct named_piece){s->out.n, from, true};
    hs_buf_printf(&s->out, "($%zu::%.*s)", i + 1, HS_FMT(s->file->params[i].type));
    s->copied = s->at;
    return HS_OK;
}

/* ---- the whole ---- */

static hs_status take_bracket(struct scan *s, struct hs_err *reterr)
{
    char c = s->text.p[s->at];

    if (c == '(' || c == '[') {
        if (s->depth == NAMED_NESTING_MAX)
            return named_fail(s->file, s->at, reterr, "parentheses are nested more than %d deep",
                              NAMED_NESTING_MAX);
        s->open[s->depth++] = c;
    } else if (s->depth) {
        s->depth--;
    }
    s->at++;
    return HS_OK;
}

static hs_status take_next(struct scan *s, struct hs_err *reterr)
{
    char c = s->text.p[s->at];

    if (c == '\'')
        return skip_quoted(s, /* has_escapes= */ false, "a string", reterr);
    if (c == '"')
        return skip_quoted(s, /* has_escapes= */ false, "a quoted name", reterr);
    if (c == '/' && peek(s, 1) == '*')
        return skip_block(s, reterr);
    if (c == '$')
        return skip_dollar(s, reterr);
    if (c == ':')
        return take_colon(s, reterr);
    if (c && strchr("()[]", c))
        return take_bracket(s, reterr);
    if (named_is_name_start(c) || (unsigned char)c >= 0x80)
        return take_word(s, reterr);
    if (c == '-' && peek(s, 1) == '-') {
        skip_line(s);
        return HS_OK;
    }
    if (c == ';')
        s->end = s->at;
    /* 1e5 and 0x1f are no words. */
    do
        s->at++;
    while (c >= '0' && c <= '9' && named_is_name_char(peek(s, 0)));
    return HS_OK;
}

/* Behind the semicolon nothing may follow but space and comments. */
static hs_status skip_rest(struct scan *s, struct hs_err *reterr)
{
    while (s->at < s->text.n) {
        hs_status status = HS_OK;

        if (peek(s, 0) == '-' && peek(s, 1) == '-')
            skip_line(s);
        else if (peek(s, 0) == '/' && peek(s, 1) == '*')
            status = skip_block(s, reterr);
        else if (is_space(peek(s, 0)))
            s->at++;
        else
            status = named_fail(s->file, s->at, reterr, "a second statement follows");
        if (status)
            return status;
    }
    return HS_OK;
}

static hs_status check_used(const struct scan *s, struct hs_err *reterr)
{
    for (size_t i = 0; i < s->file->n_params; i++) {
        if (!s->is_used[i])
            return named_fail(s->file, s->start, reterr, "the parameter :%.*s is not used",
                              HS_FMT(s->file->params[i].name));
    }
    return HS_OK;
}

static hs_status scan_all(struct scan *s, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    while (!status && !s->end && s->at < s->text.n)
        status = take_next(s, reterr);
    if (!status && !s->has_word)
        status = named_fail(s->file, s->start, reterr, "there is no statement");
    if (status)
        return status;
    copy(s, s->end ? s->end : s->text.n);
    status = skip_rest(s, reterr);
    return status ? status : check_used(s, reterr);
}

hs_status named_sql_read(struct named_file *file, size_t at, struct hs_arena *arena,
                         struct hs_err *reterr)
{
    struct scan s = {
        .file = file, .text = file->text, .at = at, .start = at, .copied = at, .is_read = true};
    hs_status status;

    /* A use of a parameter makes two pieces: what stands before it, and itself. */
    s.pieces_max = 1;
    for (size_t i = at; i < file->text.n; i++)
        s.pieces_max += file->text.p[i] == ':' ? 2 : 0;
    s.pieces = HS_NEW_ARRAY(arena, s.pieces_max, struct named_piece);
    if (!s.pieces)
        return hs_fail_memory(reterr);
    hs_buf_init(&s.out, SQL_MAX);
    status = scan_all(&s, reterr);
    if (!status && hs_buf_failed(&s.out))
        status = s.out.n > SQL_MAX / 2
                     ? named_fail(file, at, reterr, "with its parameters the statement is too long")
                     : hs_fail_memory(reterr);
    if (!status) {
        file->is_read = s.is_read;
        file->sql = hs_arena_dup(arena, hs_buf_str(&s.out));
        file->pieces = s.pieces;
        file->n_pieces = s.n_pieces;
        status = file->sql.p ? HS_OK : hs_fail_memory(reterr);
    }
    hs_buf_fini(&s.out);
    return status;
}
