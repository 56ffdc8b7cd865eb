/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new configuration while the server runs.
 *
 *     file, environment, command line -> conf -> source -> catalog -> model -> a mail to each worker
 *
 * The rule: nothing in force is touched before all of the new is made, the roles it names were found in the
 * database, and every worker's part of it exists; then each worker swaps all of it between two turns of its
 * loop. What fails on the way is logged in one line and forgotten, and the old one serves on. A database
 * that cannot be asked is no fault of the configuration: then it is tried again until it can.
 */
#include "cmd/control_int.h"
#include "cmd/keys.h"
#include "core/audit.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"

enum { NAMES_MAX = 16384 /* all names of options are a tenth of it */ };

/* ---- counted configurations ---- */

struct serve_conf *serve_conf_new(const struct conf *conf, struct conf *owned)
{
    static const char tail[] = "/auth/logout";
    struct serve_conf *sc = hs_calloc(1, sizeof(*sc) + conf->api_path.n + sizeof(tail));

    if (!sc)
        return NULL;
    (void)hs_str_put(hs_str_put(sc->logout_path, conf->api_path), hs_str(tail));
    atomic_init(&sc->refs, 1);
    sc->conf = conf;
    sc->owned = owned;
    return sc;
}

struct serve_conf *serve_conf_ref(struct serve_conf *sc)
{
    atomic_fetch_add_explicit(&sc->refs, 1, memory_order_relaxed);
    return sc;
}

void serve_conf_unref(struct serve_conf *sc)
{
    if (!sc || atomic_fetch_sub_explicit(&sc->refs, 1, memory_order_acq_rel) != 1)
        return;
    conf_free(sc->owned);
    hs_free(sc);
}

/* ---- one reload ---- */

struct reload {
    struct serve_conf *conf;
    struct serve_source *source;
    struct api_model *model;
    struct hs_buf changed; /* names of options */
    struct hs_buf fixed;
};

static hs_status read_conf(struct control *c, struct reload *r, struct hs_err *reterr)
{
    const struct serve_hooks *hooks = c->serve->hooks;
    struct conf *conf;
    hs_status status;

    if (!hooks || !hooks->load)
        return HS_OK;
    status = hooks->load(hooks->arg, &conf, reterr);
    if (status)
        return status;
    r->conf = serve_conf_new(conf, conf);
    if (!r->conf) {
        conf_free(conf);
        return hs_fail_memory(reterr);
    }
    conf_change(conf, c->source->conf->conf, &r->changed, &r->fixed);
    if (!hs_buf_cstr(&r->changed) || !hs_buf_cstr(&r->fixed))
        return hs_fail_memory(reterr);
    if (conf->database_pool_max < 2 * (uint64_t)c->serve->n_workers) {
        hs_fail(reterr, HS_E_CONFIG, "database.pool.max is %llu but %u workers run",
                (unsigned long long)conf->database_pool_max, c->serve->n_workers);
        hs_err_why(reterr, "each worker needs at least two database connections");
        hs_err_hint(reterr, "Raise it, or lower server.workers and restart.");
        return HS_E_CONFIG;
    }
    return HS_OK;
}

/* Cursors stay good unless it is their secret that changes. */
static void keep_key(struct serve_source *to, const struct serve_source *from)
{
    if (!from->has_key ||
        !hs_str_eq(to->conf->conf->api_cursor_secret, from->conf->conf->api_cursor_secret))
        return;
    memcpy(to->api.cursor_key, from->api.cursor_key, sizeof(to->api.cursor_key));
    to->has_key = true;
}

static hs_status prepare(struct control *c, struct reload *r, struct hs_err *reterr)
{
    hs_status status = serve_keys_prepare(c->serve, r->conf->conf, c->source->conf->conf, reterr);

    if (!status)
        status = serve_source_new(r->conf, &r->source, reterr);
    if (status)
        return status;
    keep_key(r->source, c->source);
    status = serve_source_read(c, r->source, &r->model, reterr);
    return status ? status : serve_publish(c->serve, r->model, r->conf, reterr);
}

/* Published: what belongs to the process follows, and the old source goes. */
static void commit(struct control *c, struct reload *r)
{
    const struct conf *conf = r->conf->conf;

    hs_log_change((enum hs_log_level)conf->log_level, (enum hs_log_format)conf->log_format);
    serve_source_free(c->source);
    c->source = r->source;
    r->source = NULL;
    serve_published(c);
}

/* ---- what is said about it ---- */

static void log_names(enum hs_log_level level, const char *event, const struct hs_buf *names)
{
    if (!names->n)
        return;
    hs_log_begin(level, event);
    hs_log_str("options", hs_buf_str(names));
    hs_log_end();
}

/* Names only: a value may be a secret. */
static void audit_names(const struct hs_buf *changed, const struct hs_buf *fixed)
{
    if (!changed->n && !fixed->n)
        return;
    hs_audit_begin("configuration_changed");
    hs_audit_str("options", hs_buf_str(changed));
    if (fixed->n)
        hs_audit_str("needs_restart", hs_buf_str(fixed));
    hs_audit_end();
}

static void log_refused(const struct hs_err *err)
{
    hs_log_begin(HS_LOG_ERROR, "configuration refused");
    hs_log_err(err);
    hs_log_end();
    hs_audit_begin("configuration_refused");
    hs_audit_cstr("reason", hs_err_code(err));
    hs_audit_end();
}

/* Once, not at each try. */
static void log_later(struct control *c, const struct hs_err *err)
{
    bool is_news = strcmp(c->fault, err->what) != 0;

    serve_note_failure(c, err);
    if (is_news && err->status != HS_E_SHUTDOWN)
        hs_log(HS_LOG_WARN, "configuration waits",
               "the old one serves until the database can be asked about the new one");
}

static void add_names(struct hs_buf *out, struct hs_str member, const struct hs_buf *names)
{
    struct hs_str rest = hs_buf_str(names);
    bool is_first = true;

    hs_buf_add(out, member);
    while (rest.n) {
        if (!is_first)
            hs_buf_add_char(out, ',');
        is_first = false;
        hs_json_string(out, hs_str_cut(&rest, ','));
        if (rest.n)
            rest = hs_str_sub(rest, 1, rest.n);
    }
    hs_buf_add_char(out, ']');
}

/* err == NULL: it was taken. */
static void answer(struct control *c, const struct reload *r, const struct hs_err *err)
{
    struct hs_list *node;

    while ((node = hs_list_pop(&c->reloaders))) {
        struct serve_admin *admin = HS_CONTAINER(node, struct serve_admin, node);

        if (err) {
            admin->err = *err;
        } else {
            add_names(&admin->body, HS_STR("{\"data\":{\"changed\":["), &r->changed);
            add_names(&admin->body, HS_STR(",\"needsRestart\":["), &r->fixed);
            hs_buf_add_lit(&admin->body, "}}");
        }
        serve_admin_answer(admin);
    }
}

static enum serve_outcome finish(struct control *c, struct reload *r, hs_status status,
                                 const struct hs_err *err)
{
    if (status == HS_E_CONFIG || status == HS_E_PG_LOGIN) {
        log_refused(err);
        answer(c, r, err);
        return SERVE_UNDONE;
    }
    if (status) {
        log_later(c, err);
        answer(c, r, err);
        return SERVE_LATER;
    }
    log_names(HS_LOG_INFO, "configuration changed", &r->changed);
    audit_names(&r->changed, &r->fixed);
    log_names(HS_LOG_WARN, "restart needed", &r->fixed);
    answer(c, r, NULL);
    return r->changed.n ? SERVE_DONE : SERVE_UNDONE;
}

enum serve_outcome serve_reload(struct control *c)
{
    struct reload r = {.conf = NULL};
    enum serve_outcome outcome;
    struct hs_err err;
    hs_status status;

    hs_buf_init(&r.changed, NAMES_MAX);
    hs_buf_init(&r.fixed, NAMES_MAX);
    status = read_conf(c, &r, &err);
    if (!status && r.changed.n) {
        status = prepare(c, &r, &err);
        serve_keys_commit(c->serve, /* is_taken= */ !status);
        if (!status)
            commit(c, &r);
    }
    outcome = finish(c, &r, status, &err);
    serve_source_free(r.source);
    api_model_unref(r.model);
    serve_conf_unref(r.conf);
    hs_buf_fini(&r.changed);
    hs_buf_fini(&r.fixed);
    return outcome;
}
