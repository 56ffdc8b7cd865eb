/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/loan_world.h"

#include "test.h"

static void on_ready(struct pg_loan *loan)
{
    struct lease *lease = loan->arg;

    assert_false(lease->is_ready);
    lease->is_ready = true;
    if (lease->first)
        pg_loan_run(loan, lease->first);
}

static void on_ended(struct pg_loan *loan, const struct hs_err *err)
{
    struct lease *lease = loan->arg;

    assert_false(lease->is_ended);
    lease->is_ended = true;
    if (err)
        lease->err = *err;
    else
        hs_err_clear(&lease->err);
}

void lease_make(struct world *w, struct lease *lease)
{
    memset(lease, 0, sizeof(*lease));
    lease->world = w;
    lease->loan.magic = PG_LOAN_MAGIC;
    lease->loan.ready = on_ready;
    lease->loan.ended = on_ended;
    lease->loan.arg = lease;
}

void lease_begin(struct world *w, struct lease *lease)
{
    struct hs_err err;

    lease_make(w, lease);
    if (pg_loan_begin(w->pool, &lease->loan, &err))
        fail_msg("%s: %s", err.what, err.why);
    assert_false(lease->is_ready || lease->is_ended);
}

void world_wait(struct world *w, const bool *is_so)
{
    hs_us until = hs_now_us() + WAIT_MAX_MS * HS_MS;

    while (!*is_so) {
        world_turn(w);
        if (hs_now_us() > until)
            fail_msg("never happened");
    }
}

void lease_get(struct world *w, struct lease *lease)
{
    lease_begin(w, lease);
    world_wait(w, &lease->is_ready);
}

const char *take_step(struct lease *lease, struct ask *a, struct hs_identity *who, const char *sql,
                      const char *param)
{
    ask_make(lease->world, a, 0, who, sql, param);
    pg_loan_run(&lease->loan, &a->query);
    assert_false(a->is_done);
    ask_wait(lease->world, a, 1);
    return a->value;
}

void expect_step(struct lease *lease, struct hs_identity *who, const char *sql,
                 const char *expected)
{
    struct ask a;

    (void)take_step(lease, &a, who, sql, NULL);
    if (a.err.status)
        fail_msg("%s: %s %s", sql, a.err.what, a.err.why);
    assert_string_equal(a.value, expected);
}

void lease_commit(struct lease *lease, hs_status expected)
{
    pg_loan_commit(&lease->loan);
    assert_false(lease->is_ended);
    world_wait(lease->world, &lease->is_ended);
    assert_int_equal(lease->err.status, expected);
}

void lease_abort(struct lease *lease)
{
    pg_loan_abort(&lease->loan);
    assert_false(lease->is_ended);
    world_wait(lease->world, &lease->is_ended);
    assert_int_equal(lease->err.status, HS_OK);
}
