/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread: reads the catalog, makes the model and mails each worker its own reference, then
 * waits for three things at once: a signal, news from the database, the end of the workers.
 *
 * The workers serve from the beginning: until the first model is there they answer 503, so a database
 * that is down at start is the same to a client as one that goes down later. Only a fault that waiting
 * cannot mend (an unsafe login, a relation that does not exist) ends the process, and only before the
 * first model; later the old model stays and the fault is logged once per appearance.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/serve_int.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "net/crypto.h"

struct control {
    struct serve *serve;
    struct pg_catalog_reader *reader;
    struct api_setup api;
    struct hs_str *roles;
    bool has_key; /* api.cursor_key is final */
    bool has_model;
    char fault[HS_ERR_WHAT]; /* what the last look complained of, "" = nothing */
    uint64_t retries;
    struct hs_rng rng;
};

/* What a look at the database said, so that the caller knows what to do next. */
enum outcome { OUTCOME_OK, OUTCOME_LATER, OUTCOME_FATAL };

struct model_mail {
    struct net_mail mail;
    struct serve_worker *worker;
    struct api_model *model;
};

static void on_model_mail(struct net_mail *mail)
{
    struct model_mail *m = HS_CONTAINER(mail, struct model_mail, mail);

    api_worker_set_model(m->worker->api, m->model);
    hs_free(m);
}

/* All workers or none: the mails are made before the first one is posted. */
static hs_status publish(struct serve *s, struct api_model *model, struct hs_err *reterr)
{
    struct model_mail **mails = hs_calloc(s->n_workers, sizeof(struct model_mail *));
    bool complete = mails != NULL;

    for (unsigned i = 0; i < s->n_workers && complete; i++) {
        mails[i] = hs_calloc(1, sizeof(*mails[i]));
        complete = mails[i] != NULL;
    }
    for (unsigned i = 0; i < s->n_workers && mails; i++) {
        struct model_mail *m = mails[i];

        if (!complete) {
            hs_free(m);
            continue;
        }
        m->mail.deliver = on_model_mail;
        m->worker = &s->workers[i];
        m->model = api_model_ref(model);
        net_loop_post(s->workers[i].loop, &m->mail);
    }
    hs_free(mails);
    return complete ? HS_OK : hs_fail_memory(reterr);
}

/* The cursors' key: from the configuration, else from the database, else of this process only. */
static hs_status choose_cursor_key(struct control *c, struct hs_err *reterr)
{
    struct hs_str secret = c->serve->conf->api_cursor_secret;
    struct net_hmac *hmac;
    hs_status status;

    if (secret.n) {
        status = net_hmac_new(secret, &hmac, reterr);
        if (status)
            return status;
        if (!net_hmac_sha256(hmac, HS_STR("hasten cursor key"), (unsigned char *)c->api.cursor_key))
            status = hs_fail_memory(reterr);
        net_hmac_free(hmac);
        return status;
    }
    status = pg_catalog_read_secret(c->reader, c->api.cursor_key, reterr);
    if (status != HS_E_NO_ROW)
        return status;
    net_random(c->api.cursor_key, sizeof(c->api.cursor_key));
    hs_log(HS_LOG_WARN, "cursor key",
           "cursors end with this process: set api.cursor.secret, or install schema hasten "
           "(sql/hasten.sql) and grant it to the login role with hasten.allow()");
    return HS_OK;
}

static hs_status load_model(struct control *c, struct hs_err *reterr)
{
    struct pg_catalog *catalog;
    struct api_model *model;
    hs_us began = hs_now_us();
    hs_status status = pg_catalog_read(c->reader, &catalog, reterr);

    if (status)
        return status;
    if (!c->has_key) {
        status = choose_cursor_key(c, reterr);
        c->has_key = !status;
    }
    if (!status)
        status = api_model_new(&c->api, catalog, &model, reterr);
    if (!status) {
        status = publish(c->serve, model, reterr);
        api_model_unref(model);
    }
    if (!status) {
        hs_metric_add(c->serve->metrics, HS_M_CATALOG_LOADS, 1);
        hs_log_begin(HS_LOG_INFO, "catalog read");
        hs_log_int("generation", (int64_t)catalog->generation);
        hs_log_int("relations", (int64_t)catalog->n_relations);
        hs_log_str("server", catalog->server_version);
        hs_log_ms("ms", hs_now_us() - began);
        hs_log_end();
    }
    pg_catalog_unref(catalog);
    return status;
}

/* A signal that ends the program is waiting to be read from the signalfd. */
static bool is_stopping(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

static void note_failure(struct control *c, const struct hs_err *err)
{
    if (err->status == HS_E_SHUTDOWN)
        return;
    atomic_store(&c->serve->state.catalog_ok, false);
    hs_metric_add(c->serve->metrics, HS_M_CATALOG_LOAD_FAILURES, 1);
    if (strcmp(c->fault, err->what) == 0)
        return;
    (void)snprintf(c->fault, sizeof(c->fault), "%s", err->what);
    hs_log_begin(HS_LOG_ERROR, "catalog not read");
    hs_log_err(err);
    hs_log_end();
}

static enum outcome look(struct control *c)
{
    struct serve *s = c->serve;
    struct hs_err err;
    hs_status status = load_model(c, &err);

    if (status) {
        bool is_fatal = status == HS_E_PG_LOGIN || status == HS_E_CONFIG;

        note_failure(c, &err);
        if (!is_fatal || (c->has_model && status == HS_E_PG_LOGIN))
            return OUTCOME_LATER;
        /* A schema that cannot be served: nothing to try again until it changes. */
        return c->has_model ? OUTCOME_OK : OUTCOME_FATAL;
    }
    c->fault[0] = '\0';
    c->retries = 0;
    atomic_store(&s->state.catalog_ok, true);
    atomic_store(&s->state.has_catalog, true);
    if (!c->has_model) {
        c->has_model = true;
        hs_log_begin(HS_LOG_INFO, "ready");
        hs_log_ms("ms", hs_now_us() - s->state.started_at);
        hs_log_end();
        if (s->hooks && s->hooks->ready)
            s->hooks->ready(s->hooks->arg, s->port);
    }
    return OUTCOME_OK;
}

static hs_us retry_pause(struct control *c)
{
    const struct conf *conf = c->serve->conf;
    hs_us pause = conf->database_pool_retry_min << (c->retries < 10 ? c->retries : 10);

    c->retries++;
    pause = pause > conf->database_pool_retry_max ? conf->database_pool_retry_max : pause;
    return pause / 2 + hs_rng_below(&c->rng, pause / 2 + 1);
}

/* Waits for a signal up to `wait`; 0 = none came. */
static int wait_signal(struct serve *s, hs_us wait)
{
    struct pollfd fd = {.fd = s->signal_fd, .events = POLLIN};
    struct signalfd_siginfo info;

    if (poll(&fd, 1, (int)(wait / 1000)) <= 0)
        return 0;
    if (read(s->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    return (int)info.ssi_signo;
}

/* After SIGTERM: until the workers have ended; a second signal does not wait for them. */
static int wait_drained(struct serve *s)
{
    uint64_t ended = 0;

    while (ended < s->n_workers) {
        struct pollfd fds[2] = {{.fd = s->signal_fd, .events = POLLIN},
                                {.fd = s->finished_fd, .events = POLLIN}};
        uint64_t count;
        int signo;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return CMD_FAILED;
        signo = wait_signal(s, 0);
        if (signo == SIGTERM || signo == SIGINT) {
            hs_log(HS_LOG_WARN, "stopped", "a second signal came while draining");
            _exit(CMD_FAILED);
        }
        if (read(s->finished_fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
            ended += count;
    }
    hs_log(HS_LOG_INFO, "stopped", "drained");
    return CMD_OK;
}

/* One wait: until a signal, a change in the catalog, or time for another try. */
static int wait_turn(struct control *c, enum outcome *last)
{
    struct serve *s = c->serve;
    bool changed = false;
    struct hs_err err;
    hs_status status;
    int signo;

    if (*last != OUTCOME_OK) {
        signo = wait_signal(s, retry_pause(c));
        changed = signo == 0 || signo == SIGHUP;
    } else {
        status = pg_catalog_watch(c->reader, s->conf->database_catalog_poll, s->signal_fd, &changed,
                                  &err);
        signo = wait_signal(s, 0);
        changed = changed || signo == SIGHUP;
        if (status) {
            note_failure(c, &err);
            *last = OUTCOME_LATER;
            changed = false;
        }
    }
    if (changed)
        *last = look(c);
    return signo;
}

static int run(struct control *c)
{
    struct serve *s = c->serve;
    struct hs_err err;
    enum outcome last;
    int signo = 0;
    int code;

    if (serve_start_workers(s, &err)) {
        hs_log_begin(HS_LOG_ERROR, "could not start");
        hs_log_err(&err);
        hs_log_end();
        return CMD_FAILED;
    }
    last = look(c);
    while (last != OUTCOME_FATAL && signo != SIGTERM && signo != SIGINT)
        signo = wait_turn(c, &last);
    hs_log(HS_LOG_INFO, "stopping", "requests under way are finished first");
    atomic_store(&s->state.is_draining, true);
    serve_drain_workers(s);
    code = wait_drained(s);
    return last == OUTCOME_FATAL ? CMD_FAILED : code;
}

static void fill_api(struct control *c)
{
    const struct conf *conf = c->serve->conf;

    c->api = (struct api_setup){
        .path = conf->api_path,
        .limit_default = conf->api_limit_default,
        .limit_max = conf->api_limit_max,
        .page_depth_max = conf->api_page_depth_max,
        .filters_max = conf->api_filters_max,
        .in_max = conf->api_in_max,
        .include_rows_max = conf->api_include_rows_max,
        .camel_names = conf->api_names == 0,
        .int8_as_string = conf->api_int8 == 1,
        .search = conf->api_search.v,
        .n_search = conf->api_search.n,
        .relations = conf->api_relations.v,
        .n_relations = conf->api_relations.n,
    };
}

/* auth.roles and the anonymous role, each once. */
static hs_status fill_roles(struct control *c, size_t *ret_n, struct hs_err *reterr)
{
    const struct conf *conf = c->serve->conf;
    size_t n = 0;
    bool listed = conf->auth_anonymous_role.n == 0;

    c->roles = hs_calloc(conf->auth_roles.n + 1, sizeof(*c->roles));
    if (!c->roles)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < conf->auth_roles.n; i++) {
        listed = listed || hs_str_eq(conf->auth_roles.v[i], conf->auth_anonymous_role);
        c->roles[n++] = conf->auth_roles.v[i];
    }
    if (!listed)
        c->roles[n++] = conf->auth_anonymous_role;
    *ret_n = n;
    return HS_OK;
}

int serve_control(struct serve *s)
{
    const struct conf *conf = s->conf;
    struct control c = {.serve = s, .rng = {hs_rng_seed()}};
    struct pg_catalog_setup setup = {
        .url = conf->database_url,
        .application_name = conf->database_application_name,
        .schemas = conf->database_schemas.v,
        .n_schemas = conf->database_schemas.n,
        .allow_login = conf->database_allow_login,
        .connect_timeout = conf->database_pool_connect_timeout,
        .statement_timeout = conf->database_statement_timeout,
        .is_stopping = is_stopping,
    };
    struct hs_err err;
    int code = CMD_FAILED;
    hs_status status;

    fill_api(&c);
    status = fill_roles(&c, &setup.n_roles, &err);
    setup.roles = c.roles;
    if (!status)
        status = pg_catalog_reader_new(&setup, &c.reader, &err);
    if (!status) {
        code = run(&c);
    } else {
        hs_log_begin(HS_LOG_ERROR, "could not start");
        hs_log_err(&err);
        hs_log_end();
    }
    serve_free_workers(s);
    pg_catalog_reader_free(c.reader);
    hs_free(c.roles);
    return code;
}
