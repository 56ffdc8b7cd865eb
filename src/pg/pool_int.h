/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/pool_int.h - the pool and its connections from the inside.
 *
 * Who does what: pool.c opens and closes connections; pool_queue.c decides which statement runs where
 * and when; pool_pause.c holds all of it back; loan.c lends a connection (loan_cancel.c); pipeline.c writes statements to
 * a connection and pipeline_read.c reads their results; position.c knows positions and epochs; conn.c opens
 * and ends connections; conn_params.c knows the connection string; stmt.c remembers texts and prepared
 * statements.
 *
 * When: pg_pool_run() and the calls of loan.h only queue. Statements are sent, and connections opened and freed, from the
 * loop's hook, once a turn; a connection's callback only reads. So a caller's done() may hand in more,
 * or close the pool, without pulling anything from under a function that is still running.
 *
 * A state is a list: pg_conn_move() is the only function that changes one.
 */
#ifndef PG_POOL_INT_H
#define PG_POOL_INT_H

#include <libpq-fe.h>

#include "core/rng.h"
#include "net/resolve.h"
#include "pg/loan.h"
#include "pg/pool.h"
#include "pg/stmt_int.h"

enum { PG_POOL_MAGIC = 0x50474f4c, PG_CONN_MAGIC = 0x5047434f };

/* ---- connection string (conn_params.c) ---- */

enum { PG_HOSTS_MAX = 32, PG_ADDRESSES_MAX = 64 };

struct pg_host {
    const char *name;     /* "" = the default socket */
    const char *hostaddr; /* "" = none given */
    const char *port;     /* "" = default */
    bool must_resolve;
};

struct pg_params {
    PQconninfoOption *given;
    struct pg_host host[PG_HOSTS_MAX];
    size_t n_hosts;
    char *text; /* what the hosts point into */
    char *application_name;
    char *options;
    char keepalive[16];
    bool is_read_write; /* add target_session_attrs=read-write */
};

/* What a connection attempt collects: comma-separated lists of one length. */
struct pg_addresses {
    struct hs_buf host;
    struct hs_buf hostaddr;
    struct hs_buf port;
    size_t n;
};

hs_status pg_params_new(const struct pg_pool_setup *setup, struct pg_params **ret_params,
                        struct hs_err *reterr) hs_must_check;
void pg_params_free(struct pg_params *params);
void pg_addresses_init(struct pg_addresses *to);
void pg_addresses_fini(struct pg_addresses *to);
void pg_addresses_add(struct pg_addresses *to, const struct pg_host *host, const char *address);
/* PQconnectStartParams; NULL = no memory. */
PGconn *pg_params_start(const struct pg_params *params, struct pg_addresses *addresses);

/* ---- connections ---- */

enum pg_conn_state {
    PG_CONN_OPENING,  /* resolving, connecting, setting up */
    PG_CONN_IDLE,     /* nothing in flight; most recently used first */
    PG_CONN_BUSY,     /* work in flight, may take more */
    PG_CONN_LENT,     /* belongs to a loan until that is over */
    PG_CONN_DRAINING, /* finishes what is in flight, then closes */
    PG_CONN_BROKEN,   /* waits for the hook to free it */
    PG_CONN_STATES
};

enum pg_slot_kind {
    PG_SLOT_SETUP,   /* part of the session's set-up: an error means no connection */
    PG_SLOT_CONTEXT, /* role, claims and plan_cache_mode for the query behind it */
    PG_SLOT_PRELUDE, /* a step before the query behind it, of its own */
    PG_SLOT_PREPARE, /* Parse for the query behind it */
    PG_SLOT_QUERY,
    PG_SLOT_DEALLOCATE,
    PG_SLOT_RESET,    /* cleans the session: an error means that it cannot be used again */
    PG_SLOT_REPLACED, /* asks for statements that are not ours: one, and it cannot be used again */
    PG_SLOT_PIN,      /* the statement that pins what a start-up option cannot */
    PG_SLOT_EPOCH,    /* asks for the epoch: an error leaves it unknown */
    PG_SLOT_POSITION, /* asks for the position of the write before it: likewise */
    PG_SLOT_STEP,     /* of a loan: BEGIN, COMMIT, ROLLBACK */
    PG_SLOT_SYNC
};

/* One command in flight; its results come in this order. */
struct pg_slot {
    uint8_t kind;
    bool ends_flight;       /* SYNC: the last of what one fill sent */
    float expected_us;      /* QUERY: the mean when it was sent */
    struct pg_query *query; /* CONTEXT, PREPARE, QUERY; NULL once it was answered */
    struct pg_stmt *stmt;   /* PREPARE, QUERY; NULL = unnamed */
};

struct pg_cancel; /* loan_cancel.c */

struct pg_conn {
    uint32_t magic;
    enum pg_conn_state state;
    struct hs_list node; /* in pool->conns[state] */
    struct pg_pool *pool;
    PGconn *pq;
    struct net_poll *poll;
    struct net_timer *deadline; /* while opening */
    struct net_resolve *resolving;
    struct pg_addresses addresses;
    size_t next_host;
    bool is_lent;       /* its slot is one beyond the worker's own (no matter of loans) */
    bool has_sequences; /* tidy writes may have left last values of sequences */
    bool is_soiled; /* ran what may have changed the session, and is being cleaned: takes no more */
    bool is_lane;   /* carries one slow statement, takes no other */
    bool is_promised;         /* takes no more, because a loan waits for it */
    struct pg_loan *loan;     /* LENT: whose it is */
    struct pg_cancel *cancel; /* under way */
    hs_us expires_at;
    hs_us statement_timeout; /* of its session */
    hs_us used_at;           /* last statement answered */
    hs_us heard_at;          /* last sign of life */
    uint64_t epoch;          /* 0 = not known: then positions are not asked for */
    bool is_standby;         /* its server was one when it was opened */
    bool was_used;           /* by statements, not by a health check alone */
    /* the pipeline: a ring of what is in flight */
    struct pg_slot *slot;
    unsigned slots; /* a power of two */
    unsigned head;  /* free-running */
    unsigned tail;
    unsigned flights;    /* fills that are not wholly answered */
    unsigned syncs;      /* number of the Sync being written */
    hs_us mark;          /* last progress: a completion, or work sent to an idle connection */
    unsigned busy_turns; /* in which bytes came and no result was complete */
    size_t
        coming; /* bytes of the result that is coming, at least; counted once it takes several turns */
    double expected_us;          /* sum of the means of what is in flight */
    hs_us timeout;               /* the longest statement_timeout of what is in flight */
    struct pg_query *held_query; /* exclusive, executed, waits for its Sync */
    PGresult *held;              /* its result; of a loan, the first that counts, errors too */
    bool is_held_context;        /* which is the error of its context */
    bool is_held_committed;      /* its Sync was answered, its position was not yet */
    /* the Sync being written */
    const struct hs_identity *context_who; /* NULL = nothing set yet */
    unsigned context_plan;
    uint32_t context_timeout_ms; /* what the query itself asked for */
    bool has_modes;              /* something in it set plan_cache_mode or statement_timeout */
    unsigned batch;              /* queries in it */
    struct pg_stmts stmts;
};

/* Starts one; *ret_conn is in state OPENING. The slot of the budget is the caller's to give back. */
hs_status pg_conn_open(struct pg_pool *pool, struct pg_conn **ret_conn, struct hs_err *reterr)
    hs_must_check;
void pg_conn_move(struct pg_conn *conn, enum pg_conn_state state);
/*
 * Gives the connection up: its statements are repeated or failed, it becomes BROKEN. err says why; for
 * one that was opening it is the reason why it could not be opened.
 */
void pg_conn_lost(struct pg_conn *conn, const struct hs_err *err);
/* Closes one that has nothing in flight. */
void pg_conn_close(struct pg_conn *conn);
/* Frees a BROKEN one. */
void pg_conn_free(struct pg_conn *conn);
/* After a flush or a read: watch for what libpq waits for. */
void pg_conn_watch(struct pg_conn *conn, bool is_writing);
/* libpq's last message as the reason, first line only. */
void pg_conn_why(const struct pg_conn *conn, struct hs_err *err);

/* ---- pipeline (pipeline.c writes, pipeline_read.c reads) ---- */

enum {
    PG_FLIGHTS_MAX = 2,   /* fills on one connection that are not wholly answered */
    PG_EXCLUSIVE_MAX = 16 /* exclusive statements in one fill */
};

enum pg_put { PG_PUT_OK, PG_PUT_FULL, PG_PUT_NO_MEMORY, PG_PUT_LOST };

unsigned pg_pipeline_slots(const struct pg_pool_setup *setup);
bool pg_pipeline_has_room(const struct pg_conn *conn);
/* The session's set-up, and its Sync. False = lost. */
bool pg_pipeline_setup(struct pg_conn *conn);
/* Writes one query with what must stand before it. The caller ends the Sync. */
enum pg_put pg_pipeline_put(struct pg_conn *conn, struct pg_query *query);
/* Ends the Sync. */
bool pg_pipeline_sync(struct pg_conn *conn);
/* ROLLBACK and a Sync, behind that of a statement whose prelude says so. */
bool pg_pipeline_undo(struct pg_conn *conn);
/*
 * The result that is coming is more than may be held: the read that asked for it is answered with err. The connection
 * is for pg_conn_lost() then.
 */
void pg_pipeline_refuse(struct pg_conn *conn, const struct hs_err *err);
/* Is what comes next the answer to a read, outside of a loan? */
bool pg_pipeline_is_read_coming(const struct pg_conn *conn);
/* A loan's first step; idle_max = idle_in_transaction_session_timeout, 0 = the session's. */
bool pg_pipeline_begin(struct pg_conn *conn, bool is_read_only, hs_us idle_max);
/* A statement of a loan. False = lost. */
bool pg_pipeline_step(struct pg_conn *conn, struct pg_query *query);
/*
 * A loan's last step ("COMMIT" or "ROLLBACK"), the question for the position of what it wrote, and the
 * cleaning.
 */
bool pg_pipeline_end(struct pg_conn *conn, const char *sql, bool is_write);
/*
 * Asks for the position of the write before it, in a Sync of its own, on a connection of known epoch.
 * is_tidy: it called nothing that could have touched the session. False = lost.
 */
bool pg_pipeline_ask_position(struct pg_conn *conn, bool is_tidy);
/* A Sync that resets the session after an exclusive statement. */
bool pg_pipeline_clean(struct pg_conn *conn);
/* A Sync that deallocates what was evicted, if anything was. */
bool pg_pipeline_deallocate(struct pg_conn *conn);
/* Marks the last Sync as the end of a flight and flushes. False = lost. */
bool pg_pipeline_launch(struct pg_conn *conn, hs_us now);
/* Reads what has come. False = lost; *ret_err says why. */
bool pg_pipeline_read(struct pg_conn *conn, hs_us now, struct hs_err *ret_err);
/* The error of a query, or of a step (query == NULL); is_context: its context could not be set. */
void pg_pipeline_error(const PGresult *res, const struct pg_query *query, bool is_context,
                       struct hs_err *ret_err);
/* Empties the ring: queries in flight go to pg_pool_orphan(), a loan is told. */
void pg_pipeline_abandon(struct pg_conn *conn, const struct hs_err *err);

static inline unsigned pg_pipeline_in_flight(const struct pg_conn *conn)
{
    return conn->tail - conn->head;
}

/* Is the next thing to be answered the question for a position? */
static inline bool pg_pipeline_has_position_next(const struct pg_conn *conn)
{
    return pg_pipeline_in_flight(conn) &&
           conn->slot[conn->head & (conn->slots - 1)].kind == PG_SLOT_POSITION;
}

/* ---- positions (position.c) ---- */

/* The answer's position; 0, and a warning once per process, if it is an error. */
uint64_t pg_position_of(struct pg_pool *pool, const PGresult *res);
/* The same for an epoch. */
uint64_t pg_position_epoch_of(struct pg_pool *pool, const PGresult *res);
bool pg_position_is_standby(const struct pg_conn *conn);
/* Looks whether the standby that it reaches was promoted: then its epoch is over, and its time. */
void pg_position_look(struct pg_conn *conn);

/* ---- the pool ---- */

/* pg_query.state */
enum {
    PG_QUERY_QUEUED = 1,
    PG_QUERY_ALONE = 2,     /* a Sync of its own */
    PG_QUERY_REPEATED = 4,  /* its connection was lost once */
    PG_QUERY_REPARSED = 8,  /* its plan was refused once */
    PG_QUERY_PREPARED = 16, /* its Parse was sent with it: not a fair measurement */
    PG_QUERY_PROBE = 32,    /* runs alone because its text is suspect */
    PG_QUERY_LEADER = 64    /* stands for others (gather.c) */
};

struct pg_timed {
    struct pg_text *text;
    float expected_us;
    unsigned plan;
    bool is_fair; /* nothing had to be parsed for it */
};

struct pg_pool {
    uint32_t magic;
    struct pg_pool_setup setup;
    struct pg_params *params;
    struct net_hook hook;
    struct net_timer *tick; /* while statements wait */
    struct net_timer *reap;
    struct net_timer *retry; /* during an outage */
    struct net_timer *closer;
    struct hs_list conns[PG_CONN_STATES];
    unsigned n[PG_CONN_STATES];
    unsigned lanes;
    unsigned own;  /* connections that are this worker's by right */
    unsigned lent; /* beyond them */
    unsigned own_max;
    unsigned ticket; /* the how many'th of the budget's pools it is */
    unsigned min;
    struct hs_list fresh;  /* handed in since the last hook */
    struct hs_list shared; /* waiting, oldest first */
    struct hs_list exclusive;
    struct hs_list slow;
    struct hs_list later;         /* not before their queued_at, soonest first */
    size_t waiting;               /* in all five */
    struct hs_list loans_waiting; /* for a connection, oldest first */
    struct hs_list loans_todo;    /* something was asked of them: the hook's work */
    struct hs_list loans_open; /* all else: nothing to do until PostgreSQL or the caller speaks */
    size_t loans_waiting_n;
    unsigned loans;         /* with a connection */
    struct hs_list cancels; /* under way */
    struct pg_texts texts;
    struct hs_list gathered; /* spare ones, for gather.c */
    unsigned gathered_n;
    struct pg_timed *timed; /* scratch: what one read completed */
    size_t timed_n;
    struct hs_rng rng;
    unsigned failures; /* attempts failed in a row */
    hs_us failed_at;   /* first of them */
    hs_us retry_pause;
    bool retry_on;
    bool tick_on;
    bool must_refill; /* below min, perhaps */
    bool is_paused;
    hs_us paused_at;
    struct net_timer *pause_end;
    void (*paused)(void *arg, bool is_paused); /* NULL = was told */
    void *paused_arg;
    struct hs_buf commented; /* scratch: a text with its comment */
    bool is_suspicious;      /* a connection was lost: look at the idle ones before using them */
    bool is_closing;
    bool is_closed;
    struct hs_err last_error;
    char *text_search; /* default_text_search_config, as the first session found it */
    void (*closed)(void *arg);
    void *closed_arg;
};

static inline unsigned pg_pool_open_count(const struct pg_pool *pool)
{
    return pool->n[PG_CONN_IDLE] + pool->n[PG_CONN_BUSY] + pool->n[PG_CONN_LENT] +
           pool->n[PG_CONN_DRAINING];
}

/* What may be used for other things than loans, now or soon. */
static inline unsigned pg_pool_shared_count(const struct pg_pool *pool)
{
    unsigned n = pool->n[PG_CONN_IDLE] + pool->n[PG_CONN_BUSY];

    return n > pool->lanes ? n - pool->lanes : 0; /* a lane may be draining */
}

static inline bool pg_query_is_write(const struct pg_query *query)
{
    return !(query->flags & (PG_SHARED | PG_REPEATABLE));
}

static inline bool pg_query_rolls_back(const struct pg_query *query)
{
    return query->prelude && query->prelude->rolls_back;
}

static inline hs_us pg_pool_timeout_of(const struct pg_pool *pool, const struct pg_query *query)
{
    hs_us of_caller = query->who ? query->who->statement_timeout_ms * HS_MS : 0;
    hs_us of_query = query->statement_timeout_ms * HS_MS;

    if (of_query && (!of_caller || of_query < of_caller))
        return of_query;
    return of_caller ? of_caller : pool->setup.statement_timeout;
}

/* Do both run as the same caller, and for as long? */
static inline bool pg_query_same_caller(const struct pg_query *a, const struct pg_query *b)
{
    return a->statement_timeout_ms == b->statement_timeout_ms && hs_identity_eq(a->who, b->who);
}

/* This pool's share of budget->min. */
void pg_pool_share_min(struct pg_pool *pool);
/* A statement is through: measures, calls done(). rows is NULL iff err is not. */
void pg_pool_finish(struct pg_pool *pool, struct pg_query *query, const struct pg_rows *rows,
                    const struct hs_err *err, hs_us now);
/* Out of the queue that it waits in. */
void pg_pool_leave(struct pg_pool *pool, struct pg_query *query);
/* What was known about its text is no longer needed, or no longer true. */
void pg_pool_drop_text(struct pg_query *query);
/* To the front of the queue; `state` is added to the query's. */
void pg_pool_requeue(struct pg_pool *pool, struct pg_query *query, unsigned state);
/* Failed with that SQLSTATE and may succeed now: true = it is tried again, later. */
bool pg_pool_retry(struct pg_pool *pool, struct pg_query *query, const char *sqlstate, hs_us now);
/* May one more wait? errors: HS_E_SHUTDOWN, HS_E_BUSY, HS_E_PG_DOWN */
hs_status pg_pool_admit(const struct pg_pool *pool, hs_us now, struct hs_err *reterr) hs_must_check;
/* Why something waited past acquire_timeout. */
void pg_pool_expire_error(const struct pg_pool *pool, struct hs_err *err);
/* Turns the loop soon: something waits. */
void pg_pool_start_tick(struct pg_pool *pool);
/* Was in flight on a connection that is gone. */
void pg_pool_orphan(struct pg_pool *pool, struct pg_query *query, const struct hs_err *err);
void pg_pool_opened(struct pg_pool *pool, struct pg_conn *conn);
void pg_pool_open_failed(struct pg_pool *pool, const struct hs_err *err);
/* Its last flight was answered. */
void pg_pool_conn_empty(struct pg_pool *pool, struct pg_conn *conn, hs_us now);
/* Shares us out among what pool->timed names; is_lane = it ran alone. */
void pg_pool_measure(struct pg_pool *pool, double us, bool is_lane);

/* ---- queues (pool_queue.c) ---- */

/* Sorts what was handed in, ends what waited too long, sends what can be sent. True = needs a connection. */
bool pg_pool_queue_dispatch(struct pg_pool *pool, hs_us now);
/* Ends everything that waits. */
void pg_pool_queue_fail(struct pg_pool *pool, const struct hs_err *err, hs_us now);
/* A pause from `since` to `now` does not count as waiting. */
void pg_pool_queue_shift(struct pg_pool *pool, hs_us since, hs_us now);

/* ---- pause (pool_pause.c) ---- */

/* From the hook: closes what has become idle, and tells when nothing is left. */
void pg_pool_pause_turn(struct pg_pool *pool);
/* Timer: it has lasted for as long as it may. */
void pg_pool_pause_over(void *pool);
/* The pool closes: a pause that is under way has failed. */
void pg_pool_pause_fail(struct pg_pool *pool);

/* ---- loans (loan.c) ---- */

/* From the hook: does what was asked of loans, lends connections. True = one needs a connection. */
bool pg_loans_turn(struct pg_pool *pool, hs_us now);
/* The same while the pool closes: those that wait are ended. */
void pg_loans_close(struct pg_pool *pool, const struct hs_err *err);
/* A pause does not count as waiting. */
void pg_loans_shift(struct pg_pool *pool, hs_us since, hs_us now);
/* The Sync of its step came; res (may be NULL) is what the step gave. */
void pg_loan_synced(struct pg_conn *conn, PGresult *res, hs_us now);
/* Its connection is gone. */
void pg_loan_lost(struct pg_conn *conn, const struct hs_err *err);
/* From time to time: a cancel may have come before its statement had begun. */
void pg_loan_look(struct pg_loan *loan);
/* The cancel of its statement came back. */
void pg_loan_cancelled(struct pg_loan *loan);

/* ---- cancel (loan_cancel.c) ---- */

/* Cancels what runs on it, unless a cancel is under way already, or too many are, or memory is out. */
void pg_cancel_start(struct pg_conn *conn);
/* The connection is freed while a cancel is under way. */
void pg_cancel_forget(struct pg_cancel *cancel);
/* The pool is. */
void pg_cancels_fini(struct pg_pool *pool);

/* Rows of a result: all of them, or the one that belongs to a gathered read. */
struct pg_rows {
    PGresult *res;
    size_t first;
    size_t count;
};

static inline struct pg_rows pg_rows_all(PGresult *res)
{
    return (struct pg_rows){.res = res, .count = (size_t)PQntuples(res)};
}

/* ---- gathered reads (gather.c) ---- */

/* If the first of the shared queue goes with others, puts one statement for all of them in their place. */
void pg_gather(struct pg_pool *pool);
void pg_gather_fini(struct pg_pool *pool);

#endif
