/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A feed on a thread of its own, and a listener that records what it is told and checks what must hold at any time.
 * Tests wait for facts, without a limit.
 */
#ifndef UNIT_FEED_WORLD_H
#define UNIT_FEED_WORLD_H

#include <pthread.h>

#include "pg/cluster.h"
#include "pg/feed.h"

enum { FEED_EVENTS_MAX = 20000, FEED_TEXT = 96, FEED_KNOWN_MAX = 256 };

enum feed_event_kind {
    FEED_BEGIN,
    FEED_IDENTITY,
    FEED_TABLE,
    FEED_CHANGE,
    FEED_TRUNCATE,
    FEED_POSITION,
    FEED_FENCE,
    FEED_PROOF,
    FEED_CATALOG,
    FEED_END
};

struct feed_event {
    enum feed_event_kind kind;
    uint64_t a; /* epoch, floor, stamp, position, fence, time, generation */
    uint64_t b; /* begun, ancestors (the last), when the catalog was looked at */
    uint32_t oid;
    char text[FEED_TEXT]; /* CHANGE: "I new", "U old > new", "D old"; END: why; IDENTITY: columns */
};

struct feed_known {
    uint32_t oid;
    uint32_t root;
    uint64_t floor;
};

struct feed_world {
    struct pg_cluster *cluster;
    struct pg_feed *feed;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t told;
    struct feed_event events[FEED_EVENTS_MAX];
    size_t n;
    struct feed_known known[FEED_KNOWN_MAX];
    size_t n_known;
    bool is_up;
    uint64_t epoch;
    uint64_t begun;
    uint64_t position;
    uint64_t fence;
    uint64_t generation;
    hs_us proof;
    hs_us looked_at;
    uint64_t wanted;
    bool is_pending;
    char broken[FEED_TEXT]; /* a promise that was not kept; "" = none */
    char url[160];
};

/* Starts the feed with that login; staleness in microseconds. */
void feed_world_start(struct feed_world *w, struct pg_cluster *cluster, const char *user,
                      hs_us max_staleness);
/* Stops it; fails the test if a promise was broken. */
void feed_world_stop(struct feed_world *w);

/* Each waits until it is so, and returns the index of the event behind it. `from`: the first event to look at. */
size_t feed_wait_event(struct feed_world *w, size_t from, enum feed_event_kind kind,
                       const char *text);
void feed_wait_up(struct feed_world *w);
/* Until the tables have floors that are not UINT64_MAX; returns it. */
uint64_t feed_wait_floor(struct feed_world *w, uint32_t oid);
void feed_wait_fence(struct feed_world *w, uint64_t position);
void feed_wait_proof(struct feed_world *w, hs_us at);
void feed_wait_generation(struct feed_world *w, uint64_t above);

/* As it is now. */
size_t feed_now(struct feed_world *w);
uint64_t feed_floor(struct feed_world *w, uint32_t oid);
struct feed_event feed_event(struct feed_world *w, size_t i);

#endif
