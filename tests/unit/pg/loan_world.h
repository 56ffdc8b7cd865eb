/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loans that remember what they were told, and steps that a test takes one by one.
 */
#ifndef UNIT_PG_LOAN_WORLD_H
#define UNIT_PG_LOAN_WORLD_H

#include "pg/loan.h"
#include "pg/pool_world.h"

struct lease {
    struct pg_loan loan;
    struct world *world;
    struct pg_query *first; /* run by ready() */
    bool is_ready;
    bool is_ended;
    struct hs_err err; /* of the end; status 0 = none */
};

/* Ready to be begun; the test may change what it likes before. */
void lease_make(struct world *w, struct lease *lease);
/* Makes one and begins it. */
void lease_begin(struct world *w, struct lease *lease);
/* And waits until it is ready. */
void lease_get(struct world *w, struct lease *lease);
/* Turns until it is so; fails the test if it never is. */
void world_wait(struct world *w, const bool *is_so);
/* One step: its value, or its error in a->err. */
const char *take_step(struct lease *lease, struct ask *a, struct hs_identity *who, const char *sql,
                      const char *param);
/* One step that succeeds with that one value ("" = no row). */
void expect_step(struct lease *lease, struct hs_identity *who, const char *sql,
                 const char *expected);
/* COMMIT, and waits for the end. */
void lease_commit(struct lease *lease, hs_status expected);
/* Gives up, and waits for the end, which is no error. */
void lease_abort(struct lease *lease);

#endif
