/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/pool.h - runs statements on PostgreSQL for one worker.
 *
 * Shape      one pool per worker; its connections come out of one budget (struct pg_budget) that all
 *            workers share: at least two each, idle slots are lent. Statements handed in during a turn
 *            of the loop leave together before the loop waits: one connection is filled before the next
 *            is opened, shared reads share one Sync.
 * Promises   - each statement runs as the role and with the claims of its caller, set in the same implicit
 *              transaction, after whatever stood before it in the batch;
 *            - values travel only as parameters;
 *            - done() is called exactly once, on the worker's thread, never from inside pg_pool_run();
 *            - a read whose batch was aborted by a neighbour, or whose connection was lost before its
 *              answer, is repeated (by itself);
 *            - a write is repeated only where PostgreSQL said that it had no effect and may succeed now
 *              (SQLSTATE 40001 or 40P01: three times at most, after a jittered, doubling pause from 10 ms),
 *              or where no Sync was ever written behind it; if its connection is lost later, its outcome
 *              is not known, and said to be so;
 *            - a read that may share (PG_SHARED) is answered when its rows are there, anything else when
 *              its Sync is: no answer of a write is given before its COMMIT; after it the session is
 *              cleaned of all that a user's function may have left, unless none was called (PG_TIDY).
 * Outage     An outage shorter than acquire_timeout is ridden out: statements wait, each at most
 *            acquire_timeout. Once the database has been away for that long, new ones are refused at once
 *            until a connection attempt succeeds; attempts go on with a jittered, doubling pause.
 * Stuck      There is no cancel on a shared pipeline: statement_timeout ends a statement; a connection
 *            that does not even report that within close_timeout more is given up.
 * Limits     struct pg_pool_setup, from options database.*. libpq holds a result whole: one that grows beyond
 *            result_max is refused while it comes, and its connection given up.
 * Pause      pg_pool_pause() holds new statements back, ends all connections once what runs is through,
 *            and lets a database be switched; nobody is told an error for it.
 * Errors     HS_E_PG_ACQUIRE waited past acquire_timeout; HS_E_BUSY queue full; HS_E_PG_DOWN no
 *            connection to be had; HS_E_OUTCOME_UNKNOWN a write was sent and no answer came;
 *            HS_E_SHUTDOWN; HS_E_PG_ERROR and its SQLSTATE with the HTTP status of sqlstate.def;
 *            HS_E_MEMORY.
 * Source     PostgreSQL 15 manual, 34.5 (pipeline mode) and 55.2 (message flow).
 */
#ifndef PG_POOL_H
#define PG_POOL_H

#include <stdatomic.h>

#include "core/identity.h"
#include "core/list.h"
#include "net/loop.h"

struct pg_loan;
struct pg_pool;
struct pg_text;

/*
 * Connections over all workers; all zero but the first three to begin with. Two of them are each
 * worker's own (max / workers where that is less); the rest goes to whoever asks first and comes back
 * when it is idle, so that slots which one worker does not need are lent to another.
 */
struct pg_budget {
    atomic_uint max; /* these two may change, see pg_pool_tune() */
    atomic_uint min;
    unsigned workers;
    atomic_uint joined; /* pools made so far: shares min out, one by one */
    atomic_uint open;   /* connections, those being opened included */
    atomic_uint lent;   /* of them those beyond a worker's own */
    /* It was said that an epoch, a position cannot be read. */
    atomic_bool epoch_warned;
    atomic_bool position_warned;
};

struct pg_pool_setup {
    struct net_loop *loop;
    struct hs_metrics *metrics;
    struct pg_budget *budget; /* shared, outlives the pool */
    struct hs_str url;        /* database.url, may be empty: PG* variables */
    struct hs_str application_name;
    hs_us connect_timeout;
    hs_us acquire_timeout;
    hs_us idle_timeout;
    hs_us lifetime;
    hs_us close_timeout;
    hs_us reap_interval;
    hs_us health_interval;
    hs_us retry_min;
    hs_us retry_max;
    hs_us statement_timeout;
    hs_us slow_query;
    hs_us keepalive;
    size_t queue_max;
    size_t result_max; /* bytes of one result, as they come from the server, about; 0 = no bound */
    size_t batch_max;
    size_t statements_max;
    uint64_t seed; /* for jitter */
    /*
     * Statements and loans that may write are followed by a question for the position of what they wrote
     * (struct pg_query.position), and each new connection's epoch is told to connected(), on the worker's
     * thread; 0 if it cannot be read, which is logged once, and then that connection gives no positions.
     * Off: epochs and positions stay 0, and connected() is not called.
     */
    bool with_positions;
    void (*connected)(void *ctx, uint64_t epoch);
    void *connected_ctx;
};

/* Texts of setup are copied. Connects as soon as the loop turns, if budget.min asks for it. */
hs_status pg_pool_new(const struct pg_pool_setup *setup, struct pg_pool **ret_pool,
                      struct hs_err *reterr) hs_must_check;
/*
 * Other times and bounds from now on: all of setup but loop, metrics, budget, url, batch_max, statements_max,
 * seed, with_positions and connected; budget->max (at least two a worker) and min are looked at again.
 * Connections whose session was set up otherwise end once they have nothing in flight. On the loop's thread.
 *   errors  HS_E_MEMORY: nothing was changed
 */
hs_status pg_pool_tune(struct pg_pool *pool, const struct pg_pool_setup *setup,
                       struct hs_err *reterr) hs_must_check;
/*
 * Answers waiting statements with HS_E_SHUTDOWN, lets running ones finish within close_timeout, then
 * calls done(arg), never from inside this call.
 */
void pg_pool_close(struct pg_pool *pool, void (*done)(void *arg), void *arg);
/* After done(). */
void pg_pool_free(struct pg_pool *pool);

/* ---- results ---- */
struct pg_rows; /* lives until done() returns */

size_t pg_rows_count(const struct pg_rows *rows);
size_t pg_rows_columns(const struct pg_rows *rows);
/* Text format, NUL-terminated. p == NULL for SQL NULL. */
struct hs_str pg_rows_value(const struct pg_rows *rows, size_t row, size_t column);
/* Rows that the statement inserted, updated, deleted or (a SELECT, a FETCH) gave back. */
size_t pg_rows_affected(const struct pg_rows *rows);
/* Type oid of a column. */
uint32_t pg_rows_type(const struct pg_rows *rows, size_t column);

/* ---- statements ---- */
enum {
    /* A read that calls nothing that touches the session: may share a Sync (pg_relation.is_shareable). */
    PG_SHARED = 1, /* implies PG_REPEATABLE */
    /* May be repeated after a lost connection: has no effect. Reads; the transaction is read-only. */
    PG_REPEATABLE = 2,
    /* A write that leaves nothing in the session but sequences' last values (pg_relation.tidy). */
    PG_TIDY = 4
};

/*
 * How reads of one row by an integer key may be answered together: the same columns for
 * `key = ANY (ARRAY[$1, $2 ...])` with 2, 4, 8 ... 64 keys (fewer are filled up with the last one).
 * Reads of one text and one identity that wait together are sent as one such statement, and each gets
 * its row, or no row. A statement a size, not one with an array for a parameter: for that one
 * PostgreSQL would guess ten keys, find its guess too dear for three, and plan anew each time.
 * Must live as long as the query.
 */
enum { PG_GATHER_SIZES = 6, PG_GATHER_MAX = 1 << PG_GATHER_SIZES };

struct pg_gather {
    struct hs_str sql[PG_GATHER_SIZES]; /* of 2 << i keys; NUL-terminated */
    uint64_t sql_hash[PG_GATHER_SIZES];
    size_t key_column; /* the result column that holds the key */
};

/*
 * What runs before a statement in its transaction, as its caller: settings that its functions read, a check of
 * the operator's. Goes with it in one flight. Their rows are not looked at; an error of one is the statement's
 * error. Where a step may call a user's function, the statement may be neither PG_SHARED nor PG_TIDY; with any
 * prelude it is not PG_SHARED. In a loan it runs in the statement's own step, behind which the next one sets role and
 * claims anew: what a check narrows, it narrows for the statement that it stands before. Texts and values live as
 * long as the query.
 */
enum { PG_PRELUDE_MAX = 4 };

enum pg_isolation { PG_ISOLATION_DEFAULT, PG_REPEATABLE_READ, PG_SERIALIZABLE };

struct pg_prelude {
    struct pg_prelude_step {
        struct hs_str sql; /* NUL-terminated; not prepared */
        const char *const *params;
        size_t n_params;
        /* Before the caller's role is set: the login runs it, so that it calls nothing of a user's. */
        bool is_before;
    } step[PG_PRELUDE_MAX];
    size_t n;
    bool rolls_back;             /* the transaction is undone once the statement has its answer */
    enum pg_isolation isolation; /* not looked at in a loan */
};

enum { PG_QUERY_MAGIC = 0x50475159 };

/* Embedded in the caller's struct; must stay put until done(). */
struct pg_query {
    uint32_t magic; /* PG_QUERY_MAGIC */
    unsigned flags;
    struct hs_str sql;       /* NUL-terminated; same text = same prepared statement */
    uint64_t sql_hash;       /* hs_hash(sql) */
    struct hs_identity *who; /* the caller keeps its reference until done() */
    /* 0 = that of `who` or the pool's; else instead of them, unless that of `who` is shorter. */
    uint32_t statement_timeout_ms;
    const char *const *params; /* text format, NULL = SQL NULL */
    size_t n_params;
    const struct pg_gather
        *gather; /* NULL = none; else params[0] is the key, and PG_SHARED is set */
    struct pg_loan
        *loan; /* NULL = none; else pg_pool_run() hands it to pg_loan_run() (pg/loan.h) */
    const struct pg_prelude *prelude; /* NULL = none; not looked at in a loan */
    /*
     * NULL = always wanted. Else a read that waits while it is true is not sent: it ends with
     * HS_E_SHUTDOWN (HTTP 499), which nobody is there to see. What was sent or is no read runs on.
     */
    const bool *is_unwanted;
    /*
     * Written behind the text as a comment, so that the database's logs name what is behind it; p == NULL
     * = none. Escaped by the caller (no '*' in it, else it is left out). Costs a Parse each time: such a
     * statement is neither prepared nor gathered. Not looked at in a loan.
     */
    struct hs_str comment;
    /* rows is NULL iff err is not. */
    void (*done)(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err);
    void *arg;

    /*
     * Set by the pool before done(), with_positions: the epoch of the connection that ran it last (see
     * pg/epoch.h; 0 = nothing was sent), and, of what is no read and succeeded, a position that its commit ends
     * at or before; 0 = not known: an error, or the connection was lost between the commit and that answer.
     */
    uint64_t epoch;
    uint64_t position;

    /* private to the pool */
    struct hs_list node;
    hs_us submitted_at; /* handed in */
    hs_us queued_at;    /* last queued: acquire_timeout counts from here */
    unsigned state;
    unsigned plan;
    unsigned conflicts; /* ended by 40001 or 40P01 so often */
    struct pg_text *text;
};

/* Hands a statement in. On error (HS_E_BUSY, HS_E_PG_DOWN, HS_E_SHUTDOWN, HS_E_LIMIT) done() is not called. */
hs_status pg_pool_run(struct pg_pool *pool, struct pg_query *query, struct hs_err *reterr)
    hs_must_check;

/*
 * Holds back what is handed in from now on (without end for acquire_timeout, which does not run
 * meanwhile; queue_max stays), lets finish what runs, loans included, closes all connections, then calls
 * done(arg, true). At `deadline` (of hs_now_us()) the pool resumes by itself; if that, pg_pool_resume()
 * or pg_pool_close() comes before all connections are closed, done(arg, false) is called instead. done()
 * is called exactly once, never from inside this call (but perhaps from inside pg_pool_resume()).
 * errors: HS_E_BUSY it is paused already; HS_E_SHUTDOWN
 */
hs_status pg_pool_pause(struct pg_pool *pool, hs_us deadline,
                        void (*done)(void *arg, bool is_paused), void *arg, struct hs_err *reterr)
    hs_must_check;
/* Goes on, with new connections. Nothing happens if it is not paused. */
void pg_pool_resume(struct pg_pool *pool);

/* A short state for /health; a loan counts as a busy connection, one that waits as a statement. */
struct pg_pool_state {
    unsigned open;
    unsigned busy;
    size_t waiting;
    bool is_up; /* a connection is open, or the last attempt did not fail */
    bool is_paused;
    const struct hs_err
        *last_error; /* of the last failed attempt or lost connection; status 0 = none */
};
void pg_pool_state(const struct pg_pool *pool, struct pg_pool_state *ret_state);

/* Fills err from a SQLSTATE: HTTP status by sqlstate.def; 42501 of the anonymous role becomes 401. */
void pg_err_from_sqlstate(struct hs_err *err, const char *sqlstate, const char *message,
                          const char *detail, const char *hint, bool is_anonymous);

#endif
