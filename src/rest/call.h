/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/call.h - {rest.path}/rpc/{function}, between its parts.
 *
 *     call.c            method, query, body -> function -> tree -> statement -> answer
 *     call_choose.c     which of the functions of one name is meant, or PGRST202, PGRST203
 *     call_arguments.c  where the arguments stand: query, form, JSON, CSV, or the body as it is
 *     call_answer.c     one value, an array, an object, rows, bytes; nothing
 *
 * Rules      GET and HEAD run in a transaction that is read-only, and so does POST of what is not VOLATILE: what
 *            writes there nonetheless is refused by PostgreSQL (25006 -> 405).
 * Promises   - what a caller may call, and with what effect, PostgreSQL decides, as his role;
 *            - a call that may write is answered when later reads on this node see what it wrote (api/settle.h);
 *            - what is told as refused for its number of rows (PGRST116, PGRST124) has written nothing.
 * Cache      an answer to GET is kept where everything that the function reads is known (pg_function.depend), and
 *            nothing of the request but the arguments decides it.
 * Source     PostgREST reference: functions as RPC; errors (PGRST202, 203, 124, 128).
 */
#ifndef REST_CALL_H
#define REST_CALL_H

#include "rest/body.h"
#include "rest/request.h"

enum { REST_CALL_MAGIC = 0x5243414c, REST_CALL_ARGUMENTS_MAX = 1664 };

/* In the request's arena. */
struct rest_call {
    uint32_t magic;
    struct rest_request *q;
    bool is_post;
    enum rest_media_kind type;   /* of the body of a POST: JSON, CSV, FORM, TEXT, XML or BYTES */
    struct rest_argument *given; /* of the query, or of a form */
    struct rest_body body;       /* JSON, CSV */
    const struct hs_str *names;  /* of the arguments, sorted, each once */
    size_t n_names;
    const struct pg_function *function;
    struct tree_call tree;
    bool is_fixed; /* each argument means the same when it is read again */
    bool writes;   /* it may */
    bool
        has_bound; /* of writes: it is undone where it gives more rows than that, or is_single and other than one */
    bool is_single;
    uint64_t rows_most;
};

/* Is it a type whose body is one value, and no list of arguments? */
static inline bool rest_call_is_raw(enum rest_media_kind type)
{
    return type == REST_MEDIA_TEXT || type == REST_MEDIA_XML || type == REST_MEDIA_BYTES;
}

/*
 * Reads arguments' names and where their values stand: fills type, given, body, names. errors HS_E_PGRST102,
 * HS_E_BAD_ENCODING, HS_E_BAD_BODY, HS_E_MEMORY
 */
hs_status rest_call_read(struct rest_call *call, struct hs_err *reterr) hs_must_check;

/* Fills function. errors HS_E_PGRST202, HS_E_PGRST203, HS_E_MEMORY */
hs_status rest_call_choose(struct rest_call *call, struct hs_str name, struct hs_err *reterr)
    hs_must_check;

/* Fills tree and is_fixed. errors HS_E_PGRST102, HS_E_MEMORY */
hs_status rest_call_bind(struct rest_call *call, struct hs_err *reterr) hs_must_check;

/* The body of the answer: n rows. errors HS_E_PGRST116 */
hs_status rest_call_write(const struct rest_call *call, const struct pg_rows *rows, size_t n,
                          struct hs_buf *out, struct hs_err *reterr) hs_must_check;

#endif
