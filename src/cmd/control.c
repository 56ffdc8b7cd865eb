/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control thread: reads the catalog, makes the model and mails each worker its own reference, then
 * waits for whatever comes first: a signal, news from the database, a request of the operator, the end
 * of the workers.
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
#include "cmd/control_int.h"
#include "cmd/named.h"
#include "cmd/warm.h"
#include "core/audit.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/crypto.h"
#include "rest/rest.h"

/* ---- what models are made from ---- */

/* A signal that ends the program is waiting to be read from the signalfd. */
static bool is_stopping(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

static void fill_api(const struct conf *conf, struct api_setup *to)
{
    *to = (struct api_setup){
        .path = conf->api_path,
        .rules =
            {
                .limit_default = conf->api_limit_default,
                .limit_max = conf->api_limit_max,
                .page_depth_max = conf->api_page_depth_max,
                .filters_max = conf->api_filters_max,
                .in_max = conf->api_in_max,
                .include_rows_max = conf->api_include_rows_max,
                .camel_names = conf->api_names == 0,
                .int8_as_string = conf->api_int8 == 1,
                .rows_max = conf->api_body_rows_max,
                .idempotency_keep = conf->api_idempotency_keep,
                .batch_max = conf->api_batch_max,
                .batch_transaction_max = conf->api_batch_transaction_max,
                .stream_max = conf->api_stream_max,
                .stream_lifetime = conf->api_stream_lifetime,
                .stream_rate_min = conf->api_stream_rate_min,
                .anonymous_cost_max = conf->api_anonymous_cost_max,
                .comment = (enum api_comment)conf->database_comment,
                .ttl_list = conf->cache_ttl_list,
                .ttl_item = conf->cache_ttl_item,
                .ttl_user = conf->cache_ttl_user,
                .ttl_analytics = conf->cache_ttl_analytics,
                .write_wait = conf->cache_write_wait,
                .honour_requests = conf->cache_honour_requests,
                .serves_stale = conf->cache_stale_if_error > 0,
                .compress = {.enabled = conf->server_compress_enabled,
                             .min = conf->server_compress_min,
                             .inline_max = conf->server_compress_inline_max,
                             .level = (unsigned)conf->server_compress_level,
                             .uncached = conf->server_compress_uncached},
            },
        .search = conf->api_search.v,
        .n_search = conf->api_search.n,
        .relations = conf->api_relations.v,
        .n_relations = conf->api_relations.n,
        .soft_delete = conf->api_soft_delete_tables.v,
        .n_soft_delete = conf->api_soft_delete_tables.n,
        .soft_delete_roles = conf->api_soft_delete_roles.v,
        .n_soft_delete_roles = conf->api_soft_delete_roles.n,
        .cache_tables = conf->cache_tables.v,
        .n_cache_tables = conf->cache_tables.n,
    };
}

/* auth.roles and the anonymous role, each once. */
static hs_status fill_roles(struct serve_source *source, struct hs_err *reterr)
{
    const struct conf *conf = source->conf->conf;
    size_t n = 0;
    bool listed = conf->auth_anonymous_role.n == 0;

    source->setup.all_roles = false;
    source->roles = hs_calloc(conf->auth_roles.n + 1, sizeof(*source->roles));
    if (!source->roles)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < conf->auth_roles.n; i++) {
        if (hs_str_is(conf->auth_roles.v[i], "*")) {
            source->setup.all_roles = true;
            continue;
        }
        listed = listed || hs_str_eq(conf->auth_roles.v[i], conf->auth_anonymous_role);
        source->roles[n++] = conf->auth_roles.v[i];
    }
    if (!listed)
        source->roles[n++] = conf->auth_anonymous_role;
    source->setup.roles = source->roles;
    source->setup.n_roles = n;
    return HS_OK;
}

hs_status serve_source_new(struct serve_conf *sc, struct serve_source **ret_source,
                           struct hs_err *reterr)
{
    struct serve_source *source = hs_calloc(1, sizeof(*source));
    const struct conf *conf = sc->conf;
    hs_status status;

    if (!source)
        return hs_fail_memory(reterr);
    hs_arena_init(&source->named, CMD_NAMED_BYTES_MAX);
    source->conf = serve_conf_ref(sc);
    source->setup = (struct pg_catalog_setup){
        .url = conf->database_url,
        .application_name = conf->database_application_name,
        .schemas = conf->database_schemas.v,
        .n_schemas = conf->database_schemas.n,
        .extra_schemas = conf->rest_extra_search_path.v,
        .n_extra_schemas = conf->rest_enabled ? conf->rest_extra_search_path.n : 0,
        .channel = conf->rest_enabled ? conf->rest_channel : HS_STR_NULL,
        .allow_login = conf->database_allow_login,
        .connect_timeout = conf->database_pool_connect_timeout,
        .statement_timeout = conf->database_statement_timeout,
        .is_stopping = is_stopping,
    };
    fill_api(conf, &source->api);
    status = fill_roles(source, reterr);
    if (!status)
        status = pg_catalog_reader_new(&source->setup, &source->reader, reterr);
    if (status) {
        serve_source_free(source);
        return status;
    }
    *ret_source = source;
    return HS_OK;
}

void serve_source_free(struct serve_source *source)
{
    if (!source)
        return;
    pg_catalog_reader_free(source->reader);
    hs_arena_fini(&source->named);
    hs_free(source->roles);
    serve_conf_unref(source->conf);
    hs_free(source);
}

/* The cursors' key: from the configuration, else from the database, else of this process only. */
static hs_status choose_cursor_key(struct serve_source *source, struct hs_err *reterr)
{
    struct hs_str secret = source->conf->conf->api_cursor_secret;
    char *key = source->api.cursor_key;
    struct net_hmac *hmac;
    hs_status status;

    if (secret.n) {
        status = net_hmac_new(secret, &hmac, reterr);
        if (status)
            return status;
        if (!net_hmac_sha256(hmac, HS_STR("hasten cursor key"), (unsigned char *)key))
            status = hs_fail_memory(reterr);
        net_hmac_free(hmac);
        return status;
    }
    status = pg_catalog_read_secret(source->reader, key, reterr);
    if (status != HS_E_NO_ROW)
        return status;
    net_random(key, sizeof(source->api.cursor_key));
    hs_log(HS_LOG_WARN, "cursor key",
           "cursors end with this process: set api.cursor.secret, or install schema hasten "
           "(sql/hasten.sql) and grant it to the login role with hasten.allow()");
    return HS_OK;
}

static void log_read(const struct pg_catalog *catalog, hs_us began)
{
    hs_log_begin(HS_LOG_INFO, "catalog read");
    hs_log_int("generation", (int64_t)catalog->generation);
    hs_log_int("relations", (int64_t)catalog->n_relations);
    hs_log_str("server", catalog->server_version);
    hs_log_ms("ms", hs_now_us() - began);
    hs_log_end();
}

/* On failure the model is gone. */
static hs_status attach_rest(const struct conf *conf, struct api_model **model,
                             struct hs_err *reterr)
{
    const struct rest_rules rules = {.path = conf->rest_path,
                                     .max_rows = conf->rest_max_rows,
                                     .plan_enabled = conf->rest_plan_enabled,
                                     .aggregates_enabled = conf->rest_aggregates_enabled,
                                     .openapi = (enum rest_openapi)conf->rest_openapi,
                                     .openapi_security = conf->rest_openapi_security,
                                     .openapi_url = conf->rest_openapi_url,
                                     .tx_end = (enum rest_tx_end)conf->rest_tx_end,
                                     .pre_request = conf->rest_pre_request,
                                     .root_function = conf->rest_root_function,
                                     .hoisted_settings = conf->rest_hoisted_settings.v,
                                     .n_hoisted_settings = conf->rest_hoisted_settings.n,
                                     .app_settings = conf->rest_app_settings.v,
                                     .n_app_settings = conf->rest_app_settings.n,
                                     .extra_search_path = conf->rest_extra_search_path.v,
                                     .n_extra_search_path = conf->rest_extra_search_path.n};
    hs_status status = conf->rest_enabled ? rest_attach(&rules, *model, reterr) : HS_OK;

    if (status)
        api_model_unref(*model);
    return status;
}

hs_status serve_source_read(struct control *c, struct serve_source *source,
                            struct api_model **ret_model, struct hs_err *reterr)
{
    struct pg_catalog *catalog;
    hs_us began = hs_now_us();
    hs_status status = HS_OK;

    /* Before the catalog is read: what changes meanwhile makes it a generation too old, never too new. */
    if (c->serve->coherence)
        source->api.generation = coherence_generation(c->serve->coherence);
    if (!source->reader)
        status = pg_catalog_reader_new(&source->setup, &source->reader, reterr);
    if (!status)
        status = serve_named_read(source, reterr);
    if (!status)
        status = pg_catalog_read(source->reader, &catalog, reterr);
    if (status)
        return status;
    if (!source->has_key) {
        status = choose_cursor_key(source, reterr);
        source->has_key = !status;
    }
    if (!status && c->serve->coherence)
        status = coherence_start(c->serve->coherence,
                                 hs_strn(source->api.cursor_key, sizeof(source->api.cursor_key)),
                                 reterr);
    if (!status)
        status = api_model_new(&source->api, catalog, ret_model, reterr);
    if (!status)
        status = attach_rest(source->conf->conf, ret_model, reterr);
    if (!status) {
        hs_metric_add(c->serve->metrics, HS_M_CATALOG_LOADS, 1);
        log_read(catalog, began);
        serve_named_log(source, *ret_model);
        if (api_batch_hides(*ret_model))
            hs_log(
                HS_LOG_WARN, "table hidden",
                "rows cannot be inserted into table \"batch\": POST at its address is the batch's");
    }
    pg_catalog_unref(catalog);
    return status;
}

/* ---- to the workers ---- */

static void on_update_mail(struct net_mail *mail)
{
    serve_worker_update(HS_CONTAINER(mail, struct serve_update, mail));
}

static hs_status make_update(struct serve_worker *w, struct api_model *model,
                             struct serve_conf *conf, struct serve_update **ret_update,
                             struct hs_err *reterr)
{
    struct serve_update *update = hs_calloc(1, sizeof(*update));
    hs_status status;

    if (!update)
        return hs_fail_memory(reterr);
    status = conf ? serve_auth_new(w, conf->conf, &update->auth, reterr) : HS_OK;
    if (status) {
        hs_free(update);
        return status;
    }
    update->mail.deliver = on_update_mail;
    update->worker = w;
    update->model = api_model_ref(model);
    update->conf = conf ? serve_conf_ref(conf) : NULL;
    *ret_update = update;
    return HS_OK;
}

static void drop_update(struct serve_update *update)
{
    if (!update)
        return;
    edge_auth_free(update->auth);
    api_model_unref(update->model);
    serve_conf_unref(update->conf);
    hs_free(update);
}

/* All workers or none: everything is made before the first mail is posted. */
hs_status serve_publish(struct serve *s, struct api_model *model, struct serve_conf *conf,
                        struct hs_err *reterr)
{
    struct serve_update **updates = hs_calloc(s->n_workers, sizeof(struct serve_update *));
    hs_status status = updates ? HS_OK : hs_fail_memory(reterr);

    for (unsigned i = 0; i < s->n_workers && !status; i++)
        status = make_update(&s->workers[i], model, conf, &updates[i], reterr);
    for (unsigned i = 0; i < s->n_workers && updates; i++) {
        if (status)
            drop_update(updates[i]);
        else
            net_loop_post(s->workers[i].loop, &updates[i]->mail);
    }
    hs_free(updates);
    return status;
}

void serve_published(struct control *c)
{
    struct serve *s = c->serve;

    c->fault[0] = '\0';
    c->retries = 0;
    atomic_store(&s->state.catalog_ok, true);
    atomic_store(&s->state.has_catalog, true);
    if (c->has_model)
        return;
    c->has_model = true;
    hs_log_begin(HS_LOG_INFO, "ready");
    hs_log_ms("ms", hs_now_us() - s->state.started_at);
    hs_log_end();
    if (s->hooks && s->hooks->ready)
        s->hooks->ready(s->hooks->arg, s->port);
}

/* ---- looking ---- */

void serve_note_failure(struct control *c, const struct hs_err *err)
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

static enum serve_outcome look(struct control *c)
{
    struct api_model *model;
    struct hs_err err;
    hs_status status = serve_source_read(c, c->source, &model, &err);

    if (!status) {
        status = serve_publish(c->serve, model, /* conf= */ NULL, &err);
        api_model_unref(model);
    }
    if (status) {
        bool is_fatal = status == HS_E_PG_LOGIN || status == HS_E_CONFIG;

        serve_note_failure(c, &err);
        if (!is_fatal || (c->has_model && status == HS_E_PG_LOGIN))
            return SERVE_LATER;
        /* A schema that cannot be served: nothing to try again until it changes. */
        return c->has_model ? SERVE_UNDONE : SERVE_FATAL;
    }
    serve_published(c);
    return SERVE_DONE;
}

/* What was asked for. A configuration that was refused does not keep the catalog from being read. */
static enum serve_outcome act(struct control *c)
{
    unsigned todo = c->todo;
    enum serve_outcome outcome = SERVE_UNDONE;

    c->todo = 0;
    if (todo & SERVE_TODO_CONF)
        outcome = serve_reload(c);
    if (outcome == SERVE_UNDONE) {
        todo = SERVE_TODO_CATALOG;
        outcome = look(c);
    }
    if (outcome == SERVE_LATER)
        c->todo |= todo;
    return outcome;
}

/* ---- waiting ---- */

static hs_us retry_pause(struct control *c)
{
    const struct conf *conf = c->source->conf->conf;
    hs_us pause = conf->database_pool_retry_min << (c->retries < 10 ? c->retries : 10);

    c->retries++;
    pause = pause > conf->database_pool_retry_max ? conf->database_pool_retry_max : pause;
    return pause / 2 + hs_rng_below(&c->rng, pause / 2 + 1);
}

/* Until a signal or a note, at most so long; -1 = for ever. */
static void wait_wake(const struct serve *s, int timeout_ms)
{
    struct pollfd fd = {.fd = s->wake_fd, .events = POLLIN};

    (void)poll(&fd, 1, timeout_ms);
}

/* 0 = none came. */
static int take_signal(const struct serve *s)
{
    struct signalfd_siginfo info;

    if (read(s->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    return (int)info.ssi_signo;
}

static void take_request(struct control *c, struct serve_admin *admin)
{
    switch (admin->verb) {
    case SERVE_STATUS:
        serve_write_status(c, admin);
        serve_admin_answer(admin);
        break;
    case SERVE_PAUSE:
        serve_pause(c, admin);
        break;
    case SERVE_RESUME:
        serve_resume(c, admin);
        break;
    case SERVE_RELOAD:
        hs_audit_reopen();
        hs_list_append(&c->reloaders, &admin->node);
        c->todo |= SERVE_TODO_CONF;
        break;
    }
}

static void take_notes(struct control *c)
{
    struct serve_note *note = serve_take_notes(c->serve);

    while (note) {
        struct serve_note *next = note->next;

        if (note->kind == SERVE_NOTE_ADMIN) {
            take_request(c, HS_CONTAINER(note, struct serve_admin, note));
        } else if (note->kind == SERVE_NOTE_CATALOG) {
            atomic_flag_clear(&c->serve->catalog_noted);
            c->todo |= SERVE_TODO_CATALOG;
        } else if (note->kind == SERVE_NOTE_FEED) {
            atomic_flag_clear(&c->serve->feed_noted);
            serve_pause_settle(c);
        } else {
            serve_pause_note(c, note);
        }
        note = next;
    }
}

/* News from the database; false: there is no connection to hear them on. */
static bool watch(struct control *c)
{
    struct serve_source *source = c->source;
    bool changed = false;
    struct hs_err err;
    unsigned told;

    if (pg_catalog_watch(source->reader, source->conf->conf->database_catalog_poll,
                         c->serve->wake_fd, &changed, &err)) {
        serve_note_failure(c, &err);
        c->todo |= SERVE_TODO_CATALOG;
        return false;
    }
    told = pg_catalog_told(source->reader);
    if (changed || (told & PG_TOLD_CATALOG))
        c->todo |= SERVE_TODO_CATALOG;
    if (told & PG_TOLD_CONF)
        c->todo |= SERVE_TODO_CONF;
    return true;
}

/* One wait, and what it was for. Returns the signal that ended it, or 0. */
static int wait_turn(struct control *c, enum serve_outcome *ret_outcome)
{
    unsigned before = c->todo;
    bool is_time = true;
    int signo;

    if (serve_is_paused(c))
        wait_wake(c->serve, serve_pause_wait(c));
    else if (c->todo)
        wait_wake(c->serve, (int)(retry_pause(c) / HS_MS));
    else
        is_time = watch(c);
    signo = take_signal(c->serve);
    if (signo == SIGHUP) {
        hs_audit_reopen();
        c->todo |= SERVE_TODO_CONF;
    }
    take_notes(c);
    serve_pause_tick(c);
    is_time = is_time || (c->todo & ~before & SERVE_TODO_CONF);
    if (c->todo && is_time && !serve_is_paused(c) && signo != SIGTERM && signo != SIGINT)
        *ret_outcome = act(c);
    return signo;
}

/* Whoever asks now, or still waits, is told. */
static void refuse_admins(struct control *c)
{
    struct hs_list *node;

    take_notes(c);
    serve_pause_stop(c);
    while ((node = hs_list_pop(&c->reloaders))) {
        struct serve_admin *admin = HS_CONTAINER(node, struct serve_admin, node);

        (void)hs_fail(&admin->err, HS_E_SHUTDOWN, "the server is shutting down");
        serve_admin_answer(admin);
    }
}

/* After SIGTERM: until the workers have ended; a second signal does not wait for them. */
static int wait_drained(struct control *c)
{
    struct serve *s = c->serve;
    uint64_t ended = 0;

    while (ended < s->n_workers) {
        struct pollfd fds[2] = {{.fd = s->wake_fd, .events = POLLIN},
                                {.fd = s->finished_fd, .events = POLLIN}};
        uint64_t count;
        int signo;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return CMD_FAILED;
        signo = take_signal(s);
        if (signo == SIGTERM || signo == SIGINT) {
            hs_log(HS_LOG_WARN, "stopped", "a second signal came while draining");
            _exit(CMD_FAILED);
        }
        refuse_admins(c);
        if (read(s->finished_fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
            ended += count;
    }
    hs_log(HS_LOG_INFO, "stopped", "drained");
    return CMD_OK;
}

/* ---- the life of the server ---- */

static void log_no_start(const struct hs_err *err)
{
    hs_log_begin(HS_LOG_ERROR, "could not start");
    hs_log_err(err);
    hs_log_end();
}

static int run(struct control *c)
{
    struct serve *s = c->serve;
    enum serve_outcome outcome;
    struct hs_err err;
    int signo = 0;
    int code;

    if (serve_start_workers(s, c->source->conf, &err)) {
        log_no_start(&err);
        return CMD_FAILED;
    }
    c->todo = SERVE_TODO_CATALOG;
    outcome = act(c);
    while (outcome != SERVE_FATAL && signo != SIGTERM && signo != SIGINT)
        signo = wait_turn(c, &outcome);
    hs_log(HS_LOG_INFO, "stopping", "requests under way are finished first");
    atomic_store(&s->state.is_draining, true);
    atomic_store(&s->keys.is_stopping, true);
    serve_admin_hide(s);
    refuse_admins(c);
    serve_drain_workers(s);
    code = wait_drained(c);
    if (s->coherence)
        serve_warm_save(coherence_cache(s->coherence), c->source->conf->conf);
    return outcome == SERVE_FATAL ? CMD_FAILED : code;
}

int serve_control(struct serve *s)
{
    struct control c = {.serve = s, .rng = {hs_rng_seed()}};
    struct serve_conf *conf = serve_conf_new(s->boot, /* owned= */ NULL);
    struct hs_err err;
    int code = CMD_FAILED;
    hs_status status = conf ? serve_source_new(conf, &c.source, &err) : hs_fail_memory(&err);

    hs_list_init(&c.reloaders);
    serve_conf_unref(conf);
    if (status)
        log_no_start(&err);
    else
        code = run(&c);
    serve_admin_hide(s);
    coherence_stop(s->coherence);
    serve_free_workers(s);
    serve_source_free(c.source);
    return code;
}
