/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents and who reads them.
 *
 * There are up to two: the one in force, and during a reload the one that will be. Both carry the source that they
 * came from, so that an auth step of either configuration gets its own. They lie behind a lock that is held for a
 * pointer's time, and is taken when a set changes and when a worker takes a configuration, never for a request.
 */
#include "cmd/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/audit.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/fetch.h"

struct serve_keys_doc {
    atomic_uint refs;
    uint64_t version; /* 1, 2, 3 ... of the process */
    struct hs_str source;
    struct hs_str text;
    size_t n_keys;
};

/* One reading on the thread pool. */
struct serve_keys_job {
    struct net_work work;
    struct serve_worker *worker;
    struct serve_conf *conf;
    struct serve_keys_doc *doc;
    struct hs_err err; /* where there is no doc */
};

/* ---- documents ---- */

static void doc_unref(struct serve_keys_doc *doc)
{
    if (doc && atomic_fetch_sub_explicit(&doc->refs, 1, memory_order_acq_rel) == 1)
        hs_free(doc);
}

static struct serve_keys_doc *doc_new(struct hs_str source, struct hs_str text, size_t n_keys)
{
    struct serve_keys_doc *doc = hs_calloc(1, sizeof(*doc) + source.n + text.n + 2);
    char *to = (char *)(doc + 1);

    if (!doc)
        return NULL;
    atomic_init(&doc->refs, 1);
    doc->source = hs_strn(to, source.n);
    doc->text = hs_strn(to + source.n + 1, text.n);
    doc->n_keys = n_keys;
    (void)hs_str_put(to, source);
    (void)hs_str_put(to + source.n + 1, text);
    return doc;
}

/* The document of that source, referenced; NULL = there is none. */
static struct serve_keys_doc *doc_of(struct serve *s, struct hs_str source)
{
    struct serve_keys_doc *found;

    (void)pthread_mutex_lock(&s->keys.lock);
    found = s->keys.next && hs_str_eq(s->keys.next->source, source) ? s->keys.next
                                                                    : s->keys.current;
    if (found && !hs_str_eq(found->source, source))
        found = NULL;
    if (found)
        (void)atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&s->keys.lock);
    return found;
}

/* Takes over doc, which may be NULL, into a place of s->keys. */
static void exchange(struct serve *s, struct serve_keys_doc **place, struct serve_keys_doc *doc)
{
    struct serve_keys_doc *before;

    (void)pthread_mutex_lock(&s->keys.lock);
    before = *place;
    *place = doc;
    if (doc && !doc->version)
        doc->version = ++s->keys.versions;
    (void)pthread_mutex_unlock(&s->keys.lock);
    doc_unref(before);
}

/* Takes over doc, unless a reload has put another source in force meanwhile. */
static void replace_current(struct serve *s, struct serve_keys_doc *doc)
{
    struct serve_keys_doc *gone = doc;

    (void)pthread_mutex_lock(&s->keys.lock);
    if (!s->keys.current || hs_str_eq(s->keys.current->source, doc->source)) {
        gone = s->keys.current;
        s->keys.current = doc;
        doc->version = ++s->keys.versions;
    }
    (void)pthread_mutex_unlock(&s->keys.lock);
    doc_unref(gone);
}

/* ---- reading ---- */

static hs_status fail_file(struct hs_err *reterr, struct hs_str path, const char *why)
{
    (void)hs_fail(reterr, HS_E_CONFIG, "the JWK set %.*s cannot be read", HS_FMT(path));
    hs_err_why(reterr, "%s.", why);
    hs_err_hint(reterr, "Set auth.jwt.jwks to the path of a file or a URL.");
    return HS_E_CONFIG;
}

static hs_status read_file(struct hs_str path, struct hs_buf *out, struct hs_err *reterr)
{
    int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char part[4096];
    ssize_t n = fd < 0 ? -1 : 1;
    int reason;

    while (n > 0) {
        n = read(fd, part, sizeof(part));
        if (n > 0)
            hs_buf_add(out, hs_strn(part, (size_t)n));
    }
    reason = errno;
    if (fd >= 0)
        (void)close(fd);
    if (n < 0)
        return fail_file(reterr, path, strerrordesc_np(reason));
    return hs_buf_failed(out) ? fail_file(reterr, path, "It is longer than 256 KiB") : HS_OK;
}

static hs_status read_text(struct serve *s, const struct conf *conf, struct hs_buf *out,
                           struct hs_err *reterr)
{
    const struct net_fetch what = {.url = conf->auth_jwt_jwks.p,
                                   .ca_file = conf->auth_jwt_jwks_ca_file.p,
                                   .timeout = conf->auth_jwt_jwks_timeout,
                                   .is_stopping = &s->keys.is_stopping};

    if (net_fetch_is_url(conf->auth_jwt_jwks))
        return net_fetch(&what, out, reterr);
    return read_file(conf->auth_jwt_jwks, out, reterr);
}

/* Any thread. What cannot be used is no document. */
static hs_status read_doc(struct serve *s, const struct conf *conf, struct serve_keys_doc **ret_doc,
                          struct hs_err *reterr)
{
    struct edge_keys *keys = hs_calloc(1, sizeof(*keys));
    struct hs_buf text;
    hs_status status;

    if (!keys)
        return hs_fail_memory(reterr);
    hs_buf_init(&text, EDGE_JWKS_MAX);
    edge_keys_init(keys);
    status = read_text(s, conf, &text, reterr);
    if (!status)
        status = edge_keys_add_jwks(keys, hs_buf_str(&text), NET_RS256,
                                    !net_fetch_is_url(conf->auth_jwt_jwks), reterr);
    if (!status) {
        *ret_doc = doc_new(conf->auth_jwt_jwks, hs_buf_str(&text), keys->n);
        status = *ret_doc ? HS_OK : hs_fail_memory(reterr);
    }
    edge_keys_fini(keys);
    hs_free(keys);
    hs_buf_fini(&text);
    return status;
}

static void tell_read(const struct serve_keys_doc *doc)
{
    hs_log_begin(HS_LOG_INFO, "keys for tokens read");
    hs_log_int("keys", (int64_t)doc->n_keys);
    hs_log_end();
    hs_audit_begin("keys_changed");
    hs_audit_int("keys", (int64_t)doc->n_keys);
    hs_audit_end();
}

static void tell_failed(const struct hs_err *err)
{
    hs_log_begin(HS_LOG_ERROR, "keys for tokens not read");
    hs_log_err(err);
    hs_log_end();
    hs_audit_begin("keys_unreadable");
    hs_audit_cstr("reason", hs_err_code(err));
    hs_audit_end();
}

/* ---- the control thread ---- */

hs_status serve_keys_prepare(struct serve *s, const struct conf *conf, const struct conf *running,
                             struct hs_err *reterr)
{
    struct serve_keys_doc *doc;
    hs_status status;

    /* A server that is away now is no reason to refuse what is changed elsewhere. */
    if (!conf->auth_jwt_jwks.n ||
        (running && hs_str_eq(conf->auth_jwt_jwks, running->auth_jwt_jwks)))
        return HS_OK;
    status = read_doc(s, conf, &doc, reterr);
    if (status == HS_E_MEMORY || status == HS_E_SHUTDOWN)
        return status;
    if (!status && !doc->n_keys) {
        doc_unref(doc);
        status = hs_fail(reterr, HS_E_CONFIG, "the JWK set cannot be used");
        hs_err_why(reterr, "No key in it is one that tokens could be checked with.");
    }
    if (status) {
        /* Nobody could come in with a token: that is no configuration to change to. */
        if (reterr)
            reterr->status = HS_E_CONFIG;
        return HS_E_CONFIG;
    }
    exchange(s, &s->keys.next, doc);
    return HS_OK;
}

void serve_keys_commit(struct serve *s, bool is_taken)
{
    struct serve_keys_doc *next = s->keys.next;

    if (!next)
        return;
    if (!is_taken) {
        exchange(s, &s->keys.next, NULL);
        return;
    }
    (void)atomic_fetch_add_explicit(&next->refs, 1, memory_order_relaxed);
    exchange(s, &s->keys.current, next);
    exchange(s, &s->keys.next, NULL);
    tell_read(next);
}

hs_status serve_keys_start(struct serve *s, const struct conf *conf, struct hs_err *reterr)
{
    hs_status status;

    (void)pthread_mutex_init(&s->keys.lock, NULL);
    s->keys.has_lock = true;
    status = serve_keys_prepare(s, conf, /* running= */ NULL, reterr);
    if (!status) {
        serve_keys_commit(s, /* is_taken= */ true);
        return HS_OK;
    }
    if (!net_fetch_is_url(conf->auth_jwt_jwks))
        return status;
    tell_failed(reterr);
    return HS_OK;
}

void serve_keys_end(struct serve *s)
{
    if (!s->keys.has_lock)
        return;
    doc_unref(s->keys.current);
    doc_unref(s->keys.next);
    (void)pthread_mutex_destroy(&s->keys.lock);
    s->keys.has_lock = false;
}

/* ---- auth steps ---- */

hs_status serve_keys_give(struct serve *s, const struct conf *conf, struct edge_auth *auth,
                          struct hs_err *reterr)
{
    struct serve_keys_doc *doc = doc_of(s, conf->auth_jwt_jwks);
    hs_status status = doc ? edge_auth_set_jwks(auth, doc->text, reterr) : HS_OK;

    doc_unref(doc);
    return status;
}

void serve_keys_adopt(struct serve_worker *w)
{
    struct serve_keys_doc *doc;
    struct hs_err err;

    if (!w->auth || !w->conf->conf->auth_jwt_jwks.n)
        return;
    doc = doc_of(w->serve, w->conf->conf->auth_jwt_jwks);
    if (doc && doc->version != w->keys_version) {
        if (edge_auth_set_jwks(w->auth, doc->text, &err))
            tell_failed(&err);
        else
            w->keys_version = doc->version;
    }
    doc_unref(doc);
}

static void on_keys_mail(struct net_mail *mail)
{
    struct serve_worker *w = HS_CONTAINER(mail, struct serve_worker, keys_mail);

    atomic_store(&w->keys_mailed, false);
    serve_keys_adopt(w);
}

/* A worker that has not read the last mail yet will find the newest set when it does. */
static void mail_all(struct serve *s)
{
    for (unsigned i = 0; i < s->n_workers; i++) {
        struct serve_worker *w = &s->workers[i];

        if (atomic_exchange(&w->keys_mailed, true))
            continue;
        w->keys_mail.deliver = on_keys_mail;
        net_loop_post(w->loop, &w->keys_mail);
    }
}

void serve_keys_missed(void *ctx)
{
    struct serve *s = ctx;

    atomic_store_explicit(&s->keys.is_missed, true, memory_order_relaxed);
}

/* ---- reading again: the first worker ---- */

static void run(struct net_work *work)
{
    struct serve_keys_job *job = HS_CONTAINER(work, struct serve_keys_job, work);

    if (read_doc(job->worker->serve, job->conf->conf, &job->doc, &job->err))
        job->doc = NULL;
}

static void take(struct serve_worker *w, struct serve_keys_job *job)
{
    struct serve *s = w->serve;
    struct serve_keys_doc *before = doc_of(s, job->doc->source);
    bool is_new = !before || !hs_str_eq(before->text, job->doc->text);

    doc_unref(before);
    hs_metric_add(w->metrics, HS_M_AUTH_KEYS_READ, 1);
    if (w->keys_failed)
        hs_log(HS_LOG_INFO, "keys for tokens read again", "%zu keys", job->doc->n_keys);
    w->keys_failed = false;
    if (!is_new)
        return;
    tell_read(job->doc);
    replace_current(s, job->doc);
    job->doc = NULL;
    mail_all(s);
}

static void done(struct net_work *work)
{
    struct serve_keys_job *job = HS_CONTAINER(work, struct serve_keys_job, work);
    struct serve_worker *w = job->worker;
    const struct conf *now_in_force = w->conf ? w->conf->conf : NULL;

    w->keys_job = NULL;
    if (atomic_load(&w->serve->keys.is_stopping) || !now_in_force) {
        /* Nobody is left to tell. */
    } else if (!hs_str_eq(now_in_force->auth_jwt_jwks, job->conf->conf->auth_jwt_jwks)) {
        /* Of a source that a reload took away meanwhile; the new one was read then. */
    } else if (job->doc) {
        take(w, job);
    } else {
        hs_metric_add(w->metrics, HS_M_AUTH_KEYS_FAILED, 1);
        if (!w->keys_failed)
            tell_failed(&job->err);
        w->keys_failed = true;
        w->keys_due = hs_now_us() + job->conf->conf->auth_jwt_jwks_retry;
    }
    doc_unref(job->doc);
    serve_conf_unref(job->conf);
    hs_free(job);
}

/* Not started for want of memory: the next tick tries again. */
static void start(struct serve_worker *w, hs_us now)
{
    struct serve_keys_job *job = hs_calloc(1, sizeof(*job));

    if (!job)
        return;
    job->work = (struct net_work){.run = run, .done = done};
    job->worker = w;
    job->conf = serve_conf_ref(w->conf);
    atomic_store_explicit(&w->serve->keys.is_missed, false, memory_order_relaxed);
    if (net_work_start(w->loop, &job->work, NULL)) {
        serve_conf_unref(job->conf);
        hs_free(job);
        return;
    }
    w->keys_job = job;
    w->keys_began = now;
    w->keys_due = now + w->conf->conf->auth_jwt_jwks_interval;
}

void serve_keys_tick(struct serve_worker *w, hs_us now)
{
    const struct conf *conf = w->conf->conf;
    struct serve *s = w->serve;
    bool is_missed = atomic_load_explicit(&s->keys.is_missed, memory_order_relaxed);
    struct serve_keys_doc *doc;

    if (w->index || w->keys_job || !conf->auth_jwt_jwks.n)
        return;
    if (!w->keys_began) { /* it was read at start, or could not be */
        w->keys_began = now;
        w->keys_due = now + conf->auth_jwt_jwks_interval;
    }
    if (now < w->keys_began + conf->auth_jwt_jwks_retry)
        return;
    doc = doc_of(s, conf->auth_jwt_jwks);
    if (now >= w->keys_due || is_missed || !doc)
        start(w, now);
    doc_unref(doc);
}
