/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/change.h - POST, PATCH, PUT and DELETE of a relation, between their parts.
 *
 *     change.c        Prefer, query, body, media -> the write
 *     change_plan.c   columns, rows, what comes back -> the tree
 *     change_run.c    one statement, or a transaction that is looked at before COMMIT
 *     change_reply.c  its result -> is it what was asked for; status, headers, body
 *
 * Promises   answered when later reads on this node see it (api/settle.h);
 *            - what is told as refused (PGRST115, 116, 124) has written nothing: where that cannot be known before, the
 *              transaction is looked at before it ends;
 *            - one flight otherwise, as in the simple dialect.
 * Source     PostgREST reference: tables and views; Prefer header.
 */
#ifndef REST_CHANGE_H
#define REST_CHANGE_H

#include "api/settle.h"
#include "pg/loan.h"
#include "rest/body.h"
#include "rest/request.h"

enum { REST_CHANGE_MAGIC = 0x52434847 };

/* In the request's arena. */
struct rest_change {
    uint32_t magic;
    struct rest_request *q;
    const struct rest_relation *known; /* the model's, of q->relation */
    struct rest_body body;
    struct tree_json_write write;
    bool gives_rows;    /* the answer has them */
    bool says_where;    /* Location, of the first row */
    unsigned applies;   /* of enum rest_applies */
    bool rolls_back;    /* whatever it did is undone at its end */
    bool calls_nothing; /* of a user's: nobody could look at the request or touch the session */
    bool is_one_row_at_most; /* and if there is none, nothing was written */
    /* change_run.c's */
    struct pg_loan loan;
    struct hs_err failure; /* why there will be no COMMIT */
    struct http_reply reply;
};

/* Fills write and the request's tree. */
hs_status rest_change_plan(struct rest_change *c, struct hs_err *reterr) hs_must_check;

/* Runs it; the answer follows. On error nothing was answered. */
hs_status rest_change_run(struct rest_change *c, struct hs_err *reterr) hs_must_check;

/* Is it what was asked for? errors HS_E_PGRST115, 116, 124 */
hs_status rest_change_check(const struct rest_change *c, const struct pg_rows *rows,
                            struct hs_err *reterr) hs_must_check;
/* Could that fail although rows were written? */
bool rest_change_may_fail(const struct rest_change *c);
/* The answer; its body lives in the worker's scratch. errors HS_E_PGRST111, HS_E_PGRST112, HS_E_MEMORY */
hs_status rest_change_reply(struct rest_change *c, const struct pg_rows *rows,
                            struct http_reply *ret_reply, struct hs_err *reterr) hs_must_check;

#endif
