/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     request -> own list -> mails to the other workers, and the file on the thread pool -> the last one answers
 *
 * Memory first, then the file: where the disk is full the token is refused all the same, and the answer says that a
 * restart would forget it.
 *
 * The file is lines that are only ever appended, each with one write(2), so that a crash tears at most the last of
 * them. It is made anew at start: written beside, synced, renamed.
 */
#include "cmd/logout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/audit.h"
#include "core/log.h"
#include "core/mem.h"

enum { LOGOUTS_MAX = 64, LINE_BYTES = 128, PATH_BYTES = 4096 };

/* ---- the file ---- */

static hs_status fail_file(struct hs_err *reterr, const char *path, const char *what, int reason)
{
    (void)hs_fail(reterr, HS_E_CONFIG, "the list of logged-out tokens %s cannot be %s", path, what);
    hs_err_why(reterr, "%s.", strerrordesc_np(reason));
    hs_err_hint(reterr, "Set auth.logout.file to a file in a folder that hasten may write to.");
    return HS_E_CONFIG;
}

static hs_status read_whole(const char *path, struct hs_buf *out, struct hs_err *reterr)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char part[65536];
    ssize_t n = 1;
    int reason = errno;

    if (fd < 0)
        return reason == ENOENT ? HS_OK : fail_file(reterr, path, "read", reason);
    while (n > 0) {
        n = read(fd, part, sizeof(part));
        reason = errno;
        if (n > 0)
            hs_buf_add(out, hs_strn(part, (size_t)n));
    }
    (void)close(fd);
    if (n < 0)
        return fail_file(reterr, path, "read", reason);
    return hs_buf_failed(out) ? fail_file(reterr, path, "read", EFBIG) : HS_OK;
}

static hs_status read_lines(struct serve *s, struct hs_str text, struct hs_err *reterr)
{
    struct hs_wall now = hs_wall_now();
    hs_status status = HS_OK;
    size_t torn = 0;

    while (text.n && !status) {
        struct hs_str line = hs_str_cut(&text, '\n');
        struct edge_logout_entry entry;

        if (!line.n)
            continue;
        if (edge_logout_parse(line, &entry))
            status = edge_logout_add(&s->logout.list, &entry, now, reterr);
        else
            torn++;
    }
    if (torn)
        hs_log(HS_LOG_WARN, "logged-out tokens", "%zu lines of the list were torn and left out",
               torn);
    if (status != HS_E_LIMIT)
        return status;
    reterr->status = HS_E_CONFIG;
    hs_err_hint(reterr, "Raise auth.logout.max: a token that is not on the list comes back.");
    return HS_E_CONFIG;
}

static bool write_all(int fd, struct hs_str text)
{
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text = hs_str_sub(text, (size_t)n, text.n);
    }
    return true;
}

/* Beside the old one, and then in its place. */
static hs_status write_anew(struct serve *s, const char *path, struct hs_err *reterr)
{
    char beside[PATH_BYTES];
    struct hs_buf lines;
    bool is_written = false;
    int reason = ENAMETOOLONG;
    int fd = -1;

    hs_buf_init(&lines, (s->logout.list.n + 1) * LINE_BYTES);
    for (size_t i = 0; i < s->logout.list.n; i++)
        edge_logout_print(&s->logout.list.entries[i], &lines);
    if (hs_buf_failed(&lines)) {
        hs_buf_fini(&lines);
        return hs_fail_memory(reterr);
    }
    if (snprintf(beside, sizeof(beside), "%s.new", path) < (int)sizeof(beside)) {
        fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
        is_written = fd >= 0 && write_all(fd, hs_buf_str(&lines)) && fsync(fd) == 0 &&
                     rename(beside, path) == 0;
        reason = errno;
    }
    if (fd >= 0)
        (void)close(fd);
    hs_buf_fini(&lines);
    return is_written ? HS_OK : fail_file(reterr, path, "written", reason);
}

hs_status serve_logout_open(struct serve *s, struct hs_err *reterr)
{
    const char *path = s->boot->auth_logout_file.p;
    size_t max = s->boot->auth_logout_max;
    struct hs_buf text;
    hs_status status;

    s->logout.fd = -1;
    edge_logout_init(&s->logout.list, max);
    if (!max || !s->boot->auth_logout_file.n)
        return HS_OK;
    /* Lines of tokens that have expired since the last start are there, too. */
    hs_buf_init(&text, (max + 1024) * LINE_BYTES * 8);
    status = read_whole(path, &text, reterr);
    if (!status)
        status = read_lines(s, hs_buf_str(&text), reterr);
    hs_buf_fini(&text);
    if (!status)
        status = write_anew(s, path, reterr);
    if (status)
        return status;
    s->logout.fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
    return s->logout.fd >= 0 ? HS_OK : fail_file(reterr, path, "written", errno);
}

void serve_logout_close(struct serve *s)
{
    if (s->logout.fd >= 0)
        (void)close(s->logout.fd);
    s->logout.fd = -1;
    edge_logout_fini(&s->logout.list);
}

hs_status serve_logout_fill(struct serve_worker *w, struct hs_err *reterr)
{
    const struct edge_logout *from = &w->serve->logout.list;
    hs_status status = HS_OK;

    edge_logout_init(&w->logout, w->serve->boot->auth_logout_max);
    for (size_t i = 0; i < from->n && !status; i++)
        status = edge_logout_add(&w->logout, &from->entries[i], hs_wall_now(), reterr);
    return status;
}

/* ---- a request ---- */

struct logout;

struct logout_mail {
    struct net_mail mail;
    struct logout *logout;
    struct serve_worker *to;
};

struct logout {
    struct serve_worker *worker; /* whose request it is */
    struct http_req *req;
    struct edge_logout_entry entry;
    struct net_work work; /* the file */
    atomic_uint left;     /* who has not done his part */
    atomic_bool is_lost;  /* a worker had no memory for it */
    atomic_int reason;    /* errno of the file */
    struct net_mail back;
    struct logout_mail mails[]; /* one for each other worker */
};

static hs_status judge(const struct logout *l, struct hs_err *reterr)
{
    int reason = atomic_load(&l->reason);

    if (atomic_load(&l->is_lost))
        return hs_fail_memory(reterr);
    if (!reason)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_IO, "the token is logged out here, but not in auth.logout.file");
    hs_err_why(reterr, "A restart would forget it: %s.", strerrordesc_np(reason));
    return HS_E_IO;
}

static void audit(const struct http_req *req, hs_status status)
{
    const struct hs_identity *who = req->identity;

    hs_audit_begin("logout");
    hs_audit_str("request_id", hs_strn(req->trace_id, sizeof(req->trace_id)));
    hs_audit_str("client", req->client);
    if (who) {
        hs_audit_str("role", who->role);
        hs_audit_str("subject", who->subject[0] ? hs_str(who->subject) : HS_STR_NULL);
    }
    hs_audit_cstr("outcome", status ? hs_status_info(status)->code : "done");
    hs_audit_end_later();
}

static void answer(struct logout *l)
{
    struct http_req *req = l->req;
    const struct http_reply reply = {.status = 204};
    struct hs_err err;
    hs_status status = judge(l, &err);

    audit(req, status);
    hs_metric_add(l->worker->metrics, HS_M_AUTH_LOGOUTS, 1);
    l->worker->logouts--;
    hs_free(l);
    if (status)
        http_reply_error(req, &err);
    else
        http_reply(req, &reply);
}

static void on_back(struct net_mail *mail)
{
    answer(HS_CONTAINER(mail, struct logout, back));
}

/* Any thread: the last one sends it home. */
static void part_done(struct logout *l)
{
    if (atomic_fetch_sub_explicit(&l->left, 1, memory_order_acq_rel) != 1)
        return;
    l->back.deliver = on_back;
    net_loop_post(l->worker->loop, &l->back);
}

static hs_status refuse_from_now_on(struct serve_worker *w, const struct edge_logout_entry *entry,
                                    struct hs_err *reterr)
{
    hs_status status = edge_logout_add(&w->logout, entry, hs_wall_now(), reterr);

    if (!status && w->auth)
        edge_auth_forget(w->auth, entry->id);
    return status;
}

static void on_mail(struct net_mail *mail)
{
    struct logout_mail *m = HS_CONTAINER(mail, struct logout_mail, mail);

    if (refuse_from_now_on(m->to, &m->logout->entry, NULL))
        atomic_store(&m->logout->is_lost, true);
    part_done(m->logout);
}

static void write_line(struct net_work *work)
{
    struct logout *l = HS_CONTAINER(work, struct logout, work);
    int fd = l->worker->serve->logout.fd;
    char text[LINE_BYTES];
    struct hs_buf line;

    hs_buf_init(&line, sizeof(text));
    edge_logout_print(&l->entry, &line);
    if (hs_buf_failed(&line))
        atomic_store(&l->reason, ENOMEM);
    else if (!write_all(fd, hs_buf_str(&line)) || fdatasync(fd) != 0)
        atomic_store(&l->reason, errno);
    hs_buf_fini(&line);
}

static void line_written(struct net_work *work)
{
    part_done(HS_CONTAINER(work, struct logout, work));
}

static hs_status begin(struct serve_worker *w, struct http_req *req, struct hs_err *reterr)
{
    struct serve *s = w->serve;
    struct edge_logout_entry entry;
    struct logout *l;
    hs_status status = edge_auth_logout_entry(w->auth, req, &entry, reterr);

    if (status)
        return status;
    if (atomic_load(&s->state.is_draining))
        return hs_fail(reterr, HS_E_SHUTDOWN, "the server is shutting down");
    if (w->logouts >= LOGOUTS_MAX)
        return hs_fail(reterr, HS_E_BUSY, "too many tokens are being logged out at once");
    l = hs_calloc(1, sizeof(*l) + s->n_workers * sizeof(l->mails[0]));
    if (!l)
        return hs_fail_memory(reterr);
    *l = (struct logout){.worker = w, .req = req, .entry = entry};
    status = refuse_from_now_on(w, &entry, reterr);
    if (status) {
        hs_free(l);
        return status;
    }
    w->logouts++;
    atomic_init(&l->left, s->n_workers + 1); /* the others, the file, and this function */
    for (unsigned i = 0; i < s->n_workers; i++) {
        if (&s->workers[i] == w)
            continue;
        l->mails[i] = (struct logout_mail){{.deliver = on_mail}, l, &s->workers[i]};
        net_loop_post(s->workers[i].loop, &l->mails[i].mail);
    }
    l->work = (struct net_work){.run = write_line, .done = line_written};
    if (s->logout.fd < 0) {
        part_done(l);
    } else if (net_work_start(w->loop, &l->work, NULL)) {
        atomic_store(&l->reason, ENOMEM);
        part_done(l);
    }
    part_done(l);
    return HS_OK;
}

static void handle(void *ctx, struct http_req *req)
{
    struct hs_err err;

    if (begin(ctx, req, &err))
        http_reply_error(req, &err);
}

const struct http_handler serve_logout_handler = {"logout", handle, NULL};
