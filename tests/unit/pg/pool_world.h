/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool on a loop that a test turns by hand, and statements that remember their answer.
 */
#ifndef UNIT_PG_POOL_WORLD_H
#define UNIT_PG_POOL_WORLD_H

#include "pg/cluster.h"
#include "pg/pool.h"

struct world {
    const struct pg_cluster *cluster;
    struct net_loop *loop;
    struct hs_metrics *metrics;
    struct pg_budget budget;
    struct pg_pool_setup setup; /* change it between world_init() and world_open() */
    struct pg_pool *pool;
    struct net_timer *beat; /* no turn waits longer than this */
    char url[256];
    unsigned answered; /* asks so far */
};

struct ask {
    struct pg_query query;
    struct world *world;
    const char *params[2];
    char number[16];
    bool is_done;
    unsigned place; /* was the n-th to be answered */
    size_t rows;
    size_t affected;
    char value[256]; /* first row, first column; "(null)" */
    struct hs_err err;
};

enum { WAIT_MAX_MS = 60000 };

void world_init(struct world *w, const struct pg_cluster *cluster, const char *user);
void world_open(struct world *w);
/* Closes everything and begins anew as "app" with so many connections (0 = as ever): then world_open(). */
void world_remake(struct world *w, unsigned max);
/* One turn of the loop; waits for an event, but not for long. */
void world_turn(struct world *w);
/* Turns for that long. */
void world_idle(struct world *w, unsigned ms);
void world_close_pool(struct world *w);
/* Turns until at least so many sessions of the cluster sleep (pg_sleep). */
void world_wait_for_sleepers(struct world *w, long n);
/* Closes and frees everything. */
void world_close(struct world *w);

/* param may be NULL: no parameters. Fails the test if the pool refuses. */
void ask(struct world *w, struct ask *a, unsigned flags, struct hs_identity *who, const char *sql,
         const char *param);
/* Without asking: for the caller to change, or to hand to a loan. */
void ask_make(struct world *w, struct ask *a, unsigned flags, struct hs_identity *who,
              const char *sql, const char *param);
void ask_again(struct ask *a);
void ask_wait(struct world *w, const struct ask *asks, size_t n);
/* Asks, waits, and expects that one value. */
void ask_value(struct world *w, unsigned flags, struct hs_identity *who, const char *sql,
               const char *expected);
uint64_t world_metric(const struct world *w, enum hs_metric_id id);

#endif
