/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/json_read.h - reads JSON piece by piece, without building anything.
 *
 * Shape      the caller pulls tokens; strings and numbers are slices of the text, so that what goes
 *            straight to the database is looked at once and copied once.
 * Promises   RFC 8259 to the letter: no trailing comma, no comment, no NaN, no leading zero, no raw control
 *            character, paired surrogates only, one value and then only white space; text must be UTF-8.
 *            Nesting is bounded by the caller's number.
 * Lifetime   turn. `text` must outlive the reader and the tokens.
 * Errors     HS_E_BAD_JSON with line and column and what was expected.
 */
#ifndef CORE_JSON_READ_H
#define CORE_JSON_READ_H

#include "core/arena.h"
#include "core/err.h"

enum json_token {
    JSON_END, /* of the text */
    JSON_OBJECT,
    JSON_OBJECT_END,
    JSON_ARRAY,
    JSON_ARRAY_END,
    JSON_NAME, /* of a member; its value is the next token */
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
};

enum { JSON_DEPTH_MAX = 64 };

struct json_reader {
    struct hs_str text;
    size_t at;      /* next byte */
    size_t start;   /* first byte of the last token */
    unsigned depth; /* open objects and arrays */
    unsigned depth_max;
    unsigned expect;     /* private */
    uint64_t is_object;  /* private: bit i = level i is an object */
    struct hs_str value; /* of NAME, STRING (between the quotes, escapes as they stand), NUMBER */
    bool has_escapes;    /* value must be unescaped before it means anything */
    bool has_nul;        /* some string so far had \u0000; the caller may set it back */
};

/* depth_max at most JSON_DEPTH_MAX. */
void json_reader_init(struct json_reader *r, struct hs_str text, unsigned depth_max);
/* The next token. */
hs_status json_next(struct json_reader *r, enum json_token *ret_token, struct hs_err *reterr)
    hs_must_check;
/*
 * Reads on to the end of the value whose first token was just read, checking it; *ret_text is all of it as
 * it stands, e.g. for a column of type jsonb.
 */
hs_status json_skip(struct json_reader *r, enum json_token token, struct hs_str *ret_text,
                    struct hs_err *reterr) hs_must_check;
/*
 * Resolves the escapes of a NAME or STRING that was read. `to` has room for raw.n bytes, which is always
 * enough; *ret_n is how many it became. Returns false where it holds \u0000, which PostgreSQL cannot
 * store.
 */
bool json_unescape(struct hs_str raw, char *to, size_t *ret_n) hs_must_check;
/*
 * The last NAME or STRING with its escapes resolved: NUL-terminated, in the arena. Refuses \u0000
 * (HS_E_BAD_JSON).
 */
hs_status json_text(const struct json_reader *r, struct hs_arena *arena, struct hs_str *ret_text,
                    struct hs_err *reterr) hs_must_check;
/* Line and column (from 1, in bytes) of a place in the text. */
void json_place(struct hs_str text, size_t at, size_t *ret_line, size_t *ret_column);

#endif
