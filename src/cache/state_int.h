/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache/state_int.h - what state.c (positions, the rule, barrier, waiters), tags.c (tables, shapes, tags) and
 * stamp.c (changes) share.
 *
 * Who writes  The feed's thread: positions, stamps, floors, companions. Any thread: new tables and shapes, under
 *             `registry`; barriers, under `barrier_lock`; waiters, under `waiting_lock`. No lock is taken
 *             inside another.
 * Who reads   Any thread, without locks. Tables and shapes are only ever added: a number that was seen (acquire)
 *             stands for a struct that is complete.
 * One rule    What a reader must not miss is stored (release) before the position, or the run, that it goes by.
 */
#ifndef CACHE_STATE_INT_H
#define CACHE_STATE_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache/state.h"

enum {
    STATE_SECRET = 192,
    /* Epochs that a barrier is remembered of: the feed's, and those of servers beside it in a fail-over. */
    STATE_BARRIERS_MAX = 4,
    STATE_LATE_MAX = 64
};

struct state_shape {
    uint64_t hash; /* of its table and columns; every tag of it begins there */
    uint32_t table;
    uint32_t next; /* of the same table; CACHE_NO_INDEX = none */
    uint32_t n;
    struct hs_str columns[CACHE_COLUMNS_MAX]; /* in `names` */
    char *names;
    _Atomic uint64_t floor;
    _Atomic uint32_t companion_columns; /* bits */
    /* The feed's: bits of the columns that are in the identity of every table that was described so far. */
    uint32_t identity;
    bool is_described;
};

/* Where the columns of a shape are in the rows of one table of the stream. */
struct state_plan {
    struct state_shape *shape;
    uint32_t identity; /* bits of the shape's columns */
    uint16_t at[CACHE_COLUMNS_MAX];
    bool is_missing; /* a column is not in the stream */
};

struct state_column {
    struct hs_str name;
    uint32_t type;
    bool is_identity;
};

struct state_table {
    uint32_t oid;
    uint32_t n_shapes;            /* under `registry` */
    _Atomic uint32_t first_shape; /* the newest; CACHE_NO_INDEX = none */
    uint64_t hash;                /* of the tag of the whole table */
    _Atomic uint64_t floor;
    /* The rest is the feed's. */
    uint64_t told;   /* floor as it was told */
    uint64_t raised; /* by changes since; `floor` is the higher one */
    bool is_blind;   /* has a partition whose changes would not be recognised */
    uint32_t *ancestors;
    size_t n_ancestors;
    struct state_column *columns; /* as described last, a copy; NULL = not yet */
    char *names;
    size_t n_columns;
    bool is_announced;        /* the columns are those of the identity alone */
    struct state_plan *plans; /* for its own shapes and those of its ancestors */
    size_t n_plans;
    size_t plans_cap;
    size_t planned; /* shapes that were known then; SIZE_MAX = plan anew */
};

struct state_barrier {
    struct cache_token token;
    bool is_old; /* from before the feed began */
};

struct cache_state {
    struct cache_state_setup setup;
    unsigned char secret[STATE_SECRET];
    uint64_t mask;
    _Atomic uint64_t *stamps;

    pthread_mutex_t registry;
    struct state_table *tables;
    struct state_shape *shapes;
    _Atomic uint32_t *table_slots; /* open addressing: number + 1, 0 = free */
    _Atomic uint32_t *shape_slots;
    size_t table_slots_mask;
    size_t shape_slots_mask;
    _Atomic size_t n_tables;
    _Atomic size_t n_shapes;
    _Atomic size_t n_settled; /* shapes that have a floor; the feed's */

    _Atomic uint64_t run;
    _Atomic uint64_t epoch;
    _Atomic uint64_t position;
    _Atomic uint64_t begun;
    _Atomic uint64_t fence;
    _Atomic uint64_t generation;
    _Atomic uint64_t proof_at;
    _Atomic uint64_t poll_at;
    _Atomic uint64_t catalog_floor;
    hs_us catalog_at; /* the feed's: the present generation was noticed by then */

    pthread_mutex_t barrier_lock;
    struct state_barrier barriers[STATE_BARRIERS_MAX]; /* the latest last */
    size_t n_barriers;
    uint64_t feed_epoch;                /* of the present feed, or of the last one */
    _Atomic uint64_t required_position; /* in the feed's epoch; 0 = none */
    _Atomic uint64_t required_epoch;    /* another one than the feed's; NONE = none */
    _Atomic uint64_t required_proof;

    pthread_mutex_t waiting_lock;
    struct hs_list waiting;
    _Atomic uint64_t wanted;

    /* The feed's: stamps that come late, in builds that leave stamps_before_position out. */
    uint64_t late_hash[STATE_LATE_MAX];
    uint64_t late_stamp;
    size_t n_late;
    bool is_stamped; /* anything since the stamps were cleared */
};

static inline uint64_t state_load(const _Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_acquire);
}

static inline void state_store(_Atomic uint64_t *v, uint64_t to)
{
    atomic_store_explicit(v, to, memory_order_release);
}

/* One writer only. */
static inline void state_raise(_Atomic uint64_t *v, uint64_t to)
{
    if (atomic_load_explicit(v, memory_order_relaxed) < to)
        state_store(v, to);
}

/* ---- tags.c ---- */

hs_status state_tags_init(struct cache_state *state, struct hs_err *reterr) hs_must_check;
void state_tags_fini(struct cache_state *state);
/* Of the rows with these values in those columns (bits) of the shape. */
uint64_t state_tag_hash(const struct cache_state *state, const struct state_shape *shape,
                        uint32_t columns, const struct hs_str *values);
static inline uint32_t state_all_columns(const struct state_shape *shape)
{
    return (UINT32_C(1) << shape->n) - 1;
}

/* What stands against a tag: the arguments of cache_rule_tag(). */
struct state_bars {
    uint64_t table_floor;
    uint64_t shape_floor;
    uint64_t stamp;
};
/* false: no table of this state. */
bool state_tag_bars(const struct cache_state *state, const struct cache_tag *tag,
                    struct state_bars *ret);

/* ---- stamp.c; all of it on the feed's thread ---- */

/* Forgets stamps and floors: a feed begins there. */
void state_stamps_reset(struct cache_state *state, uint64_t begun);
/* Shapes that wait for their floor get it. */
void state_settle(struct cache_state *state, uint64_t position);
void state_stamps_fini(struct cache_state *state);

#endif
