/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/err.h - how a function says no.
 *
 * A function that can fail returns hs_status (HS_OK = 0) and takes `struct hs_err *reterr` last. The
 * error is filled once, where the fault is seen: what happened, why, and what to do, in the form of the
 * PostgreSQL manual's "Error Message Style Guide". Its texts live in the struct itself, so that no
 * error can be lost for want of memory; longer texts are cut with "...", and for a while the thread that
 * filled it remembers them whole. reterr may be NULL where the caller only wants the status. Only boundaries log.
 */
#ifndef CORE_ERR_H
#define CORE_ERR_H

#include "core/str.h"

typedef enum hs_status {
    HS_OK = 0,
#define HS_STATUS(name, http, code, hint) HS_E_##name,
#include "core/status.def"
#undef HS_STATUS
    HS_STATUS_COUNT
} hs_status;

/* Of a text that was cut: where it is remembered whole; 0 = it was not cut. */
typedef uint64_t hs_err_whole;

enum { HS_ERR_WHOLE_MAX = 8192 }; /* bytes that are remembered of one text */
enum { HS_ERR_WHAT = 320, HS_ERR_WHY = 320, HS_ERR_HINT = 320 };

struct hs_err {
    hs_status status;
    unsigned short http;   /* 0 = that of the status */
    unsigned short reason; /* finer than the status, numbered by whoever fails so; 0 = none */
    char sqlstate[6];      /* "" if PostgreSQL did not say it */
    hs_err_whole what_whole;
    hs_err_whole why_whole;
    hs_err_whole hint_whole;
    char what[HS_ERR_WHAT]; /* one sentence for a person */
    char why[HS_ERR_WHY];   /* details, may be "" */
    char hint[HS_ERR_HINT]; /* what to do, may be "" (then the status's default) */
};

struct hs_status_info {
    const char *name; /* "UNKNOWN_TABLE" */
    unsigned short http;
    const char *code; /* "unknown_table" */
    const char *hint;
};

/* Facts about a status; `status` must be one of the enum. */
const struct hs_status_info *hs_status_info(hs_status status);

/* Empties an error. One does so before a call whose failure one will read. */
void hs_err_clear(struct hs_err *err);

/* Fills reterr (if not NULL) and returns status, so that `return hs_fail(...)` reads well. */
hs_status hs_fail(struct hs_err *reterr, hs_status status, const char *fmt, ...)
    hs_printf_like(3, 4);
void hs_err_why(struct hs_err *reterr, const char *fmt, ...) hs_printf_like(2, 3);
void hs_err_hint(struct hs_err *reterr, const char *fmt, ...) hs_printf_like(2, 3);
/* HS_E_MEMORY with its one sentence. Inline, so that the compiler sees that it is never HS_OK. */
static inline hs_status hs_fail_memory(struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_MEMORY, "out of memory");
    return HS_E_MEMORY;
}

/* What a client sees: HTTP status and stable code (the SQLSTATE where PostgreSQL spoke). */
unsigned hs_err_http(const struct hs_err *err);
const char *hs_err_code(const struct hs_err *err);
const char *hs_err_hint_text(const struct hs_err *err);

/*
 * The texts, whole while the calling thread has filled few others that were so long since; else as they stand in
 * the error. They live until it fills another.
 */
struct hs_str hs_err_what(const struct hs_err *err);
struct hs_str hs_err_details(const struct hs_err *err);
/* Without the status's default. */
struct hs_str hs_err_own_hint(const struct hs_err *err);

struct hs_buf;
/* Appends {"code","message","details","hint"}; empty details and hint are null. with_why: details too. */
void hs_err_to_json(const struct hs_err *err, bool with_why, struct hs_buf *out);

#endif
