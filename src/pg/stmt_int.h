/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg/stmt_int.h - statement texts (one table per pool) and prepared statements (one table per connection).
 *
 * Shape      pg_text: an SQL text and what was measured about it: how long it takes, whether it is slow,
 *            which plan_cache_mode serves it. pg_stmt: that text prepared on one connection for one role.
 * Lifetime   a text lives while a waiting query or a prepared statement refers to it, and after that
 *            until its table is full; a statement until it is evicted, forgotten or its connection goes.
 * Limits     texts: four times statements_max, and those in use; statements: statements_max per
 *            connection; the least recently used goes first, never one that is in use.
 */
#ifndef PG_STMT_INT_H
#define PG_STMT_INT_H

#include "core/identity.h"
#include "core/list.h"
#include "core/time.h"

/* ---- texts ---- */

enum pg_plan { PG_PLAN_AUTO, PG_PLAN_CUSTOM, PG_PLAN_GENERIC };
enum { PG_PLAN_TRIM = 2, PG_PLAN_LOW = 4 };
enum pg_plan_phase { PG_PLAN_OBSERVED, PG_PLAN_ON_TRIAL, PG_PLAN_KEPT };

struct pg_text {
    struct pg_text *chain; /* same bucket */
    struct hs_list lru;
    struct hs_str sql; /* NUL-terminated copy */
    uint64_t hash;
    unsigned refs;
    double mean_us;  /* moving average of its time on the server, its share of a batch's */
    bool is_suspect; /* was in a batch that took surprisingly long: measured alone next */
    bool is_probing; /* and that run is under way */
    double probe_us; /* the first of two runs alone that must both be slow; 0 = none yet */
    enum pg_plan plan;
    enum pg_plan candidate; /* tried last */
    enum pg_plan_phase phase;
    unsigned plan_runs; /* measured in this phase */
    unsigned plan_bad;  /* of them those that took too long for a generic plan */
    unsigned plan_wins; /* trials in a row that another mode than 'auto' has won */
    double plan_sum_us;
    double plan_top_us[PG_PLAN_TRIM]; /* the longest of the runs, longest first */
    double plan_low_us[PG_PLAN_LOW];  /* the shortest of them, shortest first */
    double auto_us;                   /* on trial: what 'auto' took */
};

struct pg_texts {
    struct pg_text **bucket;
    size_t n_buckets; /* a power of two */
    size_t n;
    size_t max;
    struct hs_list lru; /* least recently used first */
};

bool pg_texts_init(struct pg_texts *texts, size_t max) hs_must_check;
void pg_texts_fini(struct pg_texts *texts);
/* The text with one more reference; NULL = no memory. */
struct pg_text *pg_texts_get(struct pg_texts *texts, struct hs_str sql, uint64_t hash);

static inline void pg_text_unref(struct pg_text *text)
{
    HS_HOT_BUG_ON(text->refs == 0);
    text->refs--;
}

/*
 * One measured run with that plan mode (or one batch of runs, then their mean).
 *   exact  it ran alone
 *   slow   what counts as slow (database.pool.slow_query)
 */
void pg_text_measured(struct pg_text *text, enum pg_plan plan, double us, bool exact, hs_us slow);

static inline bool pg_text_is_slow(const struct pg_text *text, hs_us slow)
{
    return text->is_suspect || text->mean_us > (double)slow;
}

/* ---- prepared statements ---- */

enum { PG_STMT_NAME = 24 };

struct pg_stmt {
    struct pg_stmt *chain;
    struct hs_list lru; /* or, once dropped, its place among those to deallocate */
    struct pg_text *text;
    uint64_t key;       /* hash of text and role */
    struct hs_str role; /* NUL-terminated copy */
    char name[PG_STMT_NAME];
    unsigned refs; /* slots in flight that use it */
    unsigned sync; /* number of the Sync in which its Parse was sent */
    bool is_ready; /* its ParseComplete was seen */
    bool is_dead;  /* out of the table; freed with its last slot */
};

struct pg_stmts {
    struct pg_stmt **bucket;
    size_t n_buckets;
    size_t n;
    size_t max;
    struct hs_list lru;     /* least recently used first */
    struct hs_list dropped; /* to be deallocated on the server */
    uint64_t named;         /* for names */
};

bool pg_stmts_init(struct pg_stmts *stmts, size_t max) hs_must_check;
/* Forgets everything; no slot may be in flight. */
void pg_stmts_fini(struct pg_stmts *stmts);
/* NULL = not there. */
struct pg_stmt *pg_stmts_find(struct pg_stmts *stmts, const struct pg_text *text,
                              const struct hs_identity *who);
/* A new one, not ready; makes room first. NULL = no memory. Ask pg_stmts_has_room() before. */
struct pg_stmt *pg_stmts_add(struct pg_stmts *stmts, struct pg_text *text,
                             const struct hs_identity *who);
/* False = full of statements that are all in use. */
bool pg_stmts_has_room(const struct pg_stmts *stmts);
/* Out of the table; on_server = it must be deallocated there. */
void pg_stmts_forget(struct pg_stmts *stmts, struct pg_stmt *stmt, bool on_server);
/* The server has forgotten all of them. */
void pg_stmts_clear(struct pg_stmts *stmts);
void pg_stmt_unref(struct pg_stmt *stmt);
/* The next one to deallocate (the caller frees it by pg_stmt_free), or NULL. */
struct pg_stmt *pg_stmts_pop_dropped(struct pg_stmts *stmts);
void pg_stmt_free(struct pg_stmt *stmt);

#endif
