/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: hooks that remove each other, work asked for from hooks, mail in order, timers, polls,
 * work. */
#include "net/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "fault.h"

struct many {
    struct net_loop *loop;
    struct net_hook hook[3];
    unsigned ran[3];
    unsigned removes;
    struct net_timer *stopper;
};

static struct many many;

static void on_hook(struct net_hook *hook)
{
    size_t me = (size_t)(hook - many.hook);

    many.ran[me]++;
    if (me == 0 && many.ran[0] == 3) {
        net_loop_unhook(&many.hook[1]); /* the next one */
        net_loop_unhook(&many.hook[0]); /* itself */
        many.removes = many.ran[2];
    }
    if (many.ran[2] < 10)
        net_loop_again(many.loop); /* without it the loop would wait for the timer */
}

static void on_stop(void *arg)
{
    net_loop_stop(arg);
}

static void test_hooks(void **state)
{
    struct hs_err err;
    hs_us start = hs_now_us();

    (void)state;
    many = (struct many){.removes = 0};
    assert_int_equal(net_loop_new(&many.loop, NULL, &err), HS_OK);
    assert_int_equal(net_timer_new(many.loop, on_stop, many.loop, &many.stopper, &err), HS_OK);
    for (int i = 0; i < 3; i++) {
        many.hook[i].run = on_hook;
        net_loop_hook(many.loop, &many.hook[i]);
    }
    net_timer_start(many.stopper, 200 * HS_MS, 0);
    net_loop_run(many.loop);
    assert_true(hs_now_us() - start >= 200 * HS_MS);
    assert_int_equal(many.ran[0], 3);
    assert_int_equal(many.ran[1], 2);
    assert_in_range(many.ran[2], 10, 20); /* and then the loop waited */
    net_loop_unhook(&many.hook[2]);
    net_timer_free(many.stopper);
    net_loop_free(many.loop);
}

/* ---- mail ---- */

enum { SENDERS = 4, LETTERS = 2000 };

struct letter {
    struct net_mail mail;
    unsigned sender;
    unsigned number;
};

static struct net_loop *mail_loop;
static unsigned last[SENDERS];
static unsigned delivered;

static void on_letter(struct net_mail *mail)
{
    struct letter *l = HS_CONTAINER(mail, struct letter, mail);

    assert_int_equal(l->number, last[l->sender] + 1);
    last[l->sender] = l->number;
    hs_free(l);
    if (++delivered == SENDERS * LETTERS)
        net_loop_stop(mail_loop);
}

static void *send_letters(void *arg)
{
    unsigned sender = *(unsigned *)arg;

    for (unsigned i = 1; i <= LETTERS; i++) {
        struct letter *l = hs_calloc(1, sizeof(*l));

        assert_non_null(l);
        *l = (struct letter){{.deliver = on_letter}, sender, i};
        net_loop_post(mail_loop, &l->mail);
    }
    return NULL;
}

static void test_mail(void **state)
{
    pthread_t threads[SENDERS];
    unsigned ids[SENDERS];
    struct hs_err err;

    (void)state;
    delivered = 0;
    memset(last, 0, sizeof(last));
    assert_int_equal(net_loop_new(&mail_loop, NULL, &err), HS_OK);
    for (unsigned i = 0; i < SENDERS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, send_letters, &ids[i]), 0);
    }
    net_loop_run(mail_loop);
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(delivered, SENDERS * LETTERS);
    net_loop_free(mail_loop);
}

/* ---- timers, polls, work ---- */

struct parts {
    struct net_loop *loop;
    struct net_timer *timer;
    struct net_poll *poll;
    struct net_work work;
    unsigned fired;
    unsigned readable;
    unsigned worked;
    unsigned done;
    int pipe[2];
};

static void on_fire(void *arg)
{
    struct parts *p = arg;

    if (++p->fired == 3) {
        net_timer_free(p->timer);
        assert_int_equal(write(p->pipe[1], "x", 1), 1);
    }
}

static void on_readable(void *arg, int events, int error)
{
    struct parts *p = arg;
    char byte;

    assert_int_equal(error, 0);
    assert_int_equal(events, NET_READABLE);
    assert_int_equal(read(p->pipe[0], &byte, 1), 1);
    p->readable++;
    net_poll_free(p->poll);
    close(p->pipe[0]);
    close(p->pipe[1]);
    if (p->done)
        net_loop_stop(p->loop);
}

static void do_work(struct net_work *work)
{
    HS_CONTAINER(work, struct parts, work)->worked++;
}

static void on_work_done(struct net_work *work)
{
    struct parts *p = HS_CONTAINER(work, struct parts, work);

    p->done++;
    if (p->readable)
        net_loop_stop(p->loop);
}

static bool run_parts(void *arg)
{
    struct parts p = {.work = {do_work, on_work_done}};
    struct hs_err err;
    bool ok;

    (void)arg;
    if (net_loop_new(&p.loop, NULL, &err) != HS_OK)
        return false;
    assert_int_equal(pipe2(p.pipe, O_NONBLOCK | O_CLOEXEC), 0);
    ok = net_timer_new(p.loop, on_fire, &p, &p.timer, &err) == HS_OK &&
         net_poll_new(p.loop, p.pipe[0], on_readable, &p, &p.poll, &err) == HS_OK &&
         net_work_start(p.loop, &p.work, &err) == HS_OK;
    if (ok) {
        assert_int_equal(net_poll_set(p.poll, NET_READABLE, &err), HS_OK);
        net_timer_start(p.timer, 2 * HS_MS, HS_MS);
        net_loop_run(p.loop);
        assert_int_equal(p.fired, 3);
        assert_int_equal(p.readable, 1);
        assert_int_equal(p.worked, 1);
        assert_int_equal(p.done, 1);
    } else {
        assert_int_equal(err.status, HS_E_MEMORY);
    }
    net_loop_free(p.loop); /* frees the timer and the poll where they are left */
    if (!ok) {
        close(p.pipe[0]);
        close(p.pipe[1]);
    }
    return ok;
}

static void test_parts(void **state)
{
    (void)state;
    fault_each(run_parts, NULL);
}

/* ---- the clock ---- */

static struct net_loop *clock_loop;
static hs_us told;

static void on_late(void *arg)
{
    (void)arg;
    told = net_loop_now(clock_loop);
    net_loop_stop(clock_loop);
}

/* What woke the loop came after it began to wait, and so is the time that it tells. */
static void test_clock(void **state)
{
    struct net_timer *timer;
    struct hs_err err;
    hs_us begun = hs_now_us();

    (void)state;
    assert_int_equal(net_loop_new(&clock_loop, NULL, &err), HS_OK);
    assert_int_equal(net_timer_new(clock_loop, on_late, NULL, &timer, &err), HS_OK);
    net_timer_start(timer, 50 * HS_MS, 0);
    net_loop_run(clock_loop);
    assert_true(told >= begun + 45 * HS_MS); /* timers count in milliseconds */
    net_timer_free(timer);
    net_loop_free(clock_loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_mail),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
