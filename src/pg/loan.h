/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/loan.h - lends one connection to one request, for what takes more than one step: a transaction
 * whose next statement depends on the last one's rows, and a result too large to be held.
 *
 * Shape      begin, then any number of statements one after the other, then commit or abort. Steps
 *            are the caller's: each is told when its rows are there, and asks for the next.
 * Promises   - the transaction is READ COMMITTED and runs each statement as the role and with the claims of
 *              the query's `who`, set anew before each one; who == NULL runs it as the login role with the
 *              claims {}: for hasten's own schema only;
 *            - callbacks come on the worker's thread, never from inside a call of this header;
 *            - nothing is repeated: what a lost connection means is for the caller to say;
 *            - a connection that was lent is cleaned as after any exclusive statement before others use it.
 * Limits     a loan waits for a connection like other statements (acquire_timeout, queue_max), and lasts at
 *            most `lifetime` from when it got one; then it is ended with HS_E_TIMEOUT, wherever it stands,
 *            COMMIT excepted. One connection is always left to other statements: where the pool may have no
 *            second one, a loan ends with HS_E_PG_ACQUIRE.
 * Cancel     Ending a loan while a statement runs cancels that statement, off the loop; the connection
 *            stays out until the cancel request has been closed by the server.
 * Shutdown   pg_pool_close() ends those that wait; others may go on until close_timeout, and are then ended
 *            with HS_E_SHUTDOWN.
 * Source     PostgreSQL 15 manual, 34.5 (pipeline mode), 34.7 (cancel), DECLARE, FETCH.
 */
#ifndef PG_LOAN_H
#define PG_LOAN_H

#include "pg/pool.h"

enum { PG_LOAN_MAGIC = 0x504c4f41 };

/* Embedded in the caller's struct; must stay put until `ended` was called. Private fields start as 0. */
struct pg_loan {
    uint32_t magic;    /* PG_LOAN_MAGIC */
    bool is_read_only; /* BEGIN READ ONLY */
    bool is_long;      /* may last: leaves one connection more, for short loans and writes */
    hs_us lifetime;    /* 0 = no bound */
    /* The transaction has begun: ask for the first statement from here. */
    void (*ready)(struct pg_loan *loan);
    /*
     * The loan is over, always the last call. err == NULL: committed, or ended by pg_loan_abort(). Else
     * why it failed: HS_E_PG_ACQUIRE no connection came; HS_E_TIMEOUT; HS_E_PG_DOWN the connection was
     * lost; HS_E_PG_ERROR COMMIT was refused; HS_E_SHUTDOWN; HS_E_OUTCOME_UNKNOWN: COMMIT was sent and no
     * answer came. A query that was under way has had its done() with an error before.
     */
    void (*ended)(struct pg_loan *loan, const struct hs_err *err);
    void *arg;

    /* Set before ended() where it was committed, as in struct pg_query. */
    uint64_t epoch;
    uint64_t position;

    /* private */
    struct hs_list node;
    struct pg_pool *pool;
    struct pg_conn *conn;   /* NULL = waits for one */
    struct pg_query *query; /* handed in and not answered */
    hs_us asked_at;
    unsigned state;
    bool is_ending; /* abort was asked for, or `failure` says why it must end */
    struct hs_err failure;
    struct net_timer *timer;
};

/*
 * Asks for a connection. On error (HS_E_BUSY, HS_E_PG_DOWN, HS_E_SHUTDOWN, HS_E_MEMORY) no callback
 * follows.
 */
hs_status pg_loan_begin(struct pg_pool *pool, struct pg_loan *loan, struct hs_err *reterr)
    hs_must_check;
/*
 * Runs one statement; none may be under way. query->done() is called when its rows are there (which is
 * before COMMIT); flags, gather, comment and is_unwanted of the query are not looked at, and its text is
 * not prepared. After an error of PostgreSQL's the transaction is aborted: pg_loan_abort() is all that is
 * left. In a loan that is being ended the statement is answered with that error.
 */
void pg_loan_run(struct pg_loan *loan, struct pg_query *query);
/* COMMIT; then `ended`. Ends a loan that is being ended already as if it had not been called. */
void pg_loan_commit(struct pg_loan *loan);
/*
 * ROLLBACK (after a cancel if a statement is under way: it gets done() with an error); then `ended`. Also
 * while the loan waits. Nothing happens if the loan is being ended already, by whatever.
 */
void pg_loan_abort(struct pg_loan *loan);

#endif
