/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/split.h - a script of SQL, statement by statement.
 *
 *     struct pg_split split;
 *     struct pg_statement st;
 *
 *     pg_split_start(&split, sql);
 *     while (pg_split_next(&split, &st))
 *         use(st.text);
 *     if (split.fault) ...  "a string is not closed", begun at byte split.fault_at
 *
 * Ends are found as the server's own lexer would: strings (also E''), quoted names, dollar quotes, nested
 * comments, parentheses (CREATE RULE) and bodies of BEGIN ATOMIC hide a semicolon. Assumes
 * standard_conforming_strings = on. Nothing is allocated: all slices point into the script. What is no
 * SQL at all is passed on as it stands, for the server to refuse.
 *
 * Source     PostgreSQL 15 manual, 4.1 (lexical structure), CREATE FUNCTION (sql_body).
 */
#ifndef PG_SPLIT_H
#define PG_SPLIT_H

#include "core/str.h"

enum pg_statement_kind {
    PG_STATEMENT_PLAIN,
    PG_STATEMENT_TRANSACTION, /* begins or ends one: BEGIN, COMMIT, ROLLBACK, PREPARE TRANSACTION ... */
    PG_STATEMENT_CONCURRENT, /* DDL with CONCURRENTLY: cannot run in a transaction */
    PG_STATEMENT_INDEX       /* CREATE INDEX CONCURRENTLY */
};

struct pg_statement {
    struct hs_str text; /* without comments around it and without its semicolon */
    size_t from;        /* its place in the script, bytes */
    size_t end;         /* behind its semicolon, or where the script ends */
    bool is_closed;     /* by a semicolon */
    enum pg_statement_kind kind;
    struct hs_str index; /* of an INDEX: its name as written; empty if it has none */
    struct hs_str table; /* of an INDEX: its table as written, perhaps qualified */
};

struct pg_split {
    struct hs_str sql;
    size_t at;
    const char *fault; /* static text; NULL = none */
    size_t fault_at;
};

void pg_split_start(struct pg_split *split, struct hs_str sql);
/* The next statement that is not empty; false = the end, or a fault. */
bool pg_split_next(struct pg_split *split, struct pg_statement *ret_st) hs_must_check;

#endif
