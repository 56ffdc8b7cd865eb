/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PAUSE and RESUME: every worker's pool holds its statements back and closes its connections, the control
 * thread closes its own, the change stream is let go of, and a database can be switched with nobody noticing but by the wait.
 *
 *     RUNNING -> PAUSING -> PAUSED -> RESUMING -> RUNNING
 *                   \______________/
 *
 * The rule: a pause is all workers or none, and it ends. Pools resume by themselves at the deadline; the
 * control thread then tells all of them to, so that none stays behind. A new pause begins only when each
 * worker has answered both words of the last one: the mails and notes in struct serve_worker are free then.
 */
#include "cmd/control_int.h"
#include "core/log.h"

static void on_paused(void *arg, bool is_paused)
{
    struct serve_worker *w = arg;

    w->paused_note.kind = SERVE_NOTE_PAUSED;
    w->paused_note.is_paused = is_paused;
    serve_note(w->serve, &w->paused_note);
}

static void on_pause_mail(struct net_mail *mail)
{
    struct serve_worker *w = HS_CONTAINER(mail, struct serve_worker, pause_mail);
    struct hs_err err;

    if (pg_pool_pause(w->pool, w->pause_until, on_paused, w, &err))
        on_paused(w, /* is_paused= */ false);
}

static void on_resume_mail(struct net_mail *mail)
{
    struct serve_worker *w = HS_CONTAINER(mail, struct serve_worker, resume_mail);

    pg_pool_resume(w->pool);
    w->resumed_note.kind = SERVE_NOTE_RESUMED;
    serve_note(w->serve, &w->resumed_note);
}

void serve_write_status(const struct control *c, struct serve_admin *admin)
{
    static const char *const states[] = {"running", "pausing", "paused", "resuming"};

    hs_buf_printf(&admin->body,
                  "{\"data\":{\"state\":\"%s\",\"workers\":%u,\"connections\":%llu,\"busy\":%llu,"
                  "\"waiting\":%llu,\"clients\":%llu}}",
                  states[c->pause.state], c->serve->n_workers,
                  (unsigned long long)hs_metric_sum(HS_M_PG_CONNECTIONS),
                  (unsigned long long)hs_metric_sum(HS_M_PG_CONNECTIONS_BUSY),
                  (unsigned long long)hs_metric_sum(HS_M_PG_WAITING),
                  (unsigned long long)atomic_load(&c->serve->connections));
}

static void answer_status(struct control *c, struct serve_admin **asker)
{
    if (!*asker)
        return;
    serve_write_status(c, *asker);
    serve_admin_answer(*asker);
    *asker = NULL;
}

static void answer_fault(struct serve_admin **asker, const struct hs_err *err)
{
    if (!*asker)
        return;
    (*asker)->err = *err;
    serve_admin_answer(*asker);
    *asker = NULL;
}

static void refuse(struct serve_admin *admin, const char *why)
{
    hs_fail(&admin->err, HS_E_BUSY, "%s", why);
    hs_err_hint(&admin->err, "See `hasten admin status`.");
    serve_admin_answer(admin);
}

void serve_pause(struct control *c, struct serve_admin *admin)
{
    struct serve *s = c->serve;

    if (serve_is_paused(c)) {
        refuse(admin, "a pause is under way already");
        return;
    }
    /* Its connection would keep the database from ending. */
    pg_catalog_reader_free(c->source->reader);
    c->source->reader = NULL;
    coherence_pause(s->coherence);
    c->pause = (struct serve_pause){.state = SERVE_PAUSING, .began = hs_now_us(), .pauser = admin};
    c->pause.until = c->pause.began + admin->timeout;
    for (unsigned i = 0; i < s->n_workers; i++) {
        struct serve_worker *w = &s->workers[i];

        w->pause_until = c->pause.until;
        w->pause_mail.deliver = on_pause_mail;
        net_loop_post(w->loop, &w->pause_mail);
    }
    hs_log_begin(HS_LOG_INFO, "pausing");
    hs_log_ms("timeout_ms", admin->timeout);
    hs_log_end();
}

static void tell_resume(struct control *c)
{
    struct serve *s = c->serve;

    c->pause.state = SERVE_RESUMING;
    coherence_resume(s->coherence);
    for (unsigned i = 0; i < s->n_workers; i++) {
        s->workers[i].resume_mail.deliver = on_resume_mail;
        net_loop_post(s->workers[i].loop, &s->workers[i].resume_mail);
    }
}

void serve_resume(struct control *c, struct serve_admin *admin)
{
    struct hs_err err;

    if (c->pause.resumer) {
        refuse(admin, "somebody else resumes already");
        return;
    }
    c->pause.resumer = admin;
    if (c->pause.state == SERVE_RUNNING) {
        answer_status(c, &c->pause.resumer);
        return;
    }
    if (c->pause.state == SERVE_RESUMING)
        return;
    hs_fail(&err, HS_E_BUSY, "the pause was ended by `hasten admin resume` before all was quiet");
    answer_fault(&c->pause.pauser, &err);
    tell_resume(c);
}

/* A worker said no: its pool could not become quiet in time. */
static void give_up(struct control *c)
{
    unsigned long long busy = hs_metric_sum(HS_M_PG_CONNECTIONS_BUSY);
    struct hs_err err;

    hs_fail(&err, HS_E_BUSY, "not all statements ended in time; nothing is paused");
    hs_err_why(&err, "%llu connections to the database were still at work after %llu ms.", busy,
               (unsigned long long)((hs_now_us() - c->pause.began) / HS_MS));
    hs_err_hint(&err, "Give it more --timeout, or end what runs: see pg_stat_activity.");
    hs_log_begin(HS_LOG_WARN, "not paused");
    hs_log_err(&err);
    hs_log_end();
    answer_fault(&c->pause.pauser, &err);
    tell_resume(c);
}

/* All workers are quiet; the change stream perhaps not yet. */
static bool is_quiet(const struct control *c)
{
    return c->pause.state == SERVE_PAUSING && c->pause.paused == c->serve->n_workers;
}

void serve_pause_settle(struct control *c)
{
    if (!is_quiet(c) || !coherence_is_paused(c->serve->coherence))
        return;
    c->pause.state = SERVE_PAUSED;
    hs_log_begin(HS_LOG_INFO, "paused");
    hs_log_ms("ms", hs_now_us() - c->pause.began);
    hs_log_end();
    answer_status(c, &c->pause.pauser);
}

static void note_paused(struct control *c, bool is_paused)
{
    if (is_paused)
        c->pause.paused++;
    else
        c->pause.refused++;
    if (c->pause.state == SERVE_PAUSING && !is_paused)
        give_up(c);
    else
        serve_pause_settle(c);
}

void serve_pause_note(struct control *c, const struct serve_note *note)
{
    unsigned n = c->serve->n_workers;

    if (note->kind == SERVE_NOTE_PAUSED)
        note_paused(c, note->is_paused);
    else
        c->pause.resumed++;
    if (c->pause.state != SERVE_RESUMING || c->pause.resumed < n ||
        c->pause.paused + c->pause.refused < n)
        return;
    c->pause.state = SERVE_RUNNING;
    /* It may be another database now. */
    c->todo |= SERVE_TODO_CATALOG;
    hs_log_begin(HS_LOG_INFO, "resumed");
    hs_log_ms("ms", hs_now_us() - c->pause.began);
    hs_log_end();
    answer_status(c, &c->pause.resumer);
}

int serve_pause_wait(const struct control *c)
{
    hs_us now = hs_now_us();

    if (c->pause.state != SERVE_PAUSED && !is_quiet(c))
        return -1;
    return c->pause.until <= now ? 0 : (int)((c->pause.until - now) / HS_MS) + 1;
}

void serve_pause_tick(struct control *c)
{
    if ((c->pause.state != SERVE_PAUSED && !is_quiet(c)) || hs_now_us() < c->pause.until)
        return;
    if (is_quiet(c)) {
        give_up(c);
        return;
    }
    hs_log(HS_LOG_WARN, "pause over", "nobody resumed within --timeout: statements go on");
    tell_resume(c);
}

void serve_pause_stop(struct control *c)
{
    struct hs_err err;

    hs_fail(&err, HS_E_SHUTDOWN, "the server is shutting down");
    answer_fault(&c->pause.pauser, &err);
    answer_fault(&c->pause.resumer, &err);
    if (c->pause.state == SERVE_PAUSING || c->pause.state == SERVE_PAUSED)
        tell_resume(c);
}
