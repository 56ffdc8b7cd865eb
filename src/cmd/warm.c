/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds over a list of addresses.
 *
 *     round 1   asks all of them: the answers are made, but those whose shape is new are not kept, since the change
 *               stream has to be asked for its changes first
 *     round 2   asks all of them again: what is kept is a hit and costs nothing
 *     round n   asks those that were none and may become one, each round after a longer pause
 *
 * Beside that, and at any time: answers that a change has made untrue and that are among the most asked.
 *
 * Each request takes a credit; a tick brings as many as cache.warm_rate allows for the time since the last one.
 */
#include "cmd/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/explain.h"
#include "cmd/refresh.h"
#include "cache/store.h"
#include "conf/warm.h"
#include "core/log.h"
#include "core/mem.h"
#include "http/sub.h"

enum {
    WARM_SLOTS = 16, /* requests under way */
    WARM_ROUNDS = 12,
    WARM_MISSES = 3,          /* of one address: then it is not worth it */
    WARM_TEXT_MAX = 64 << 20, /* the list, with what the file adds to it */
    WARM_LIST_MAX = 200000
};

#define REFRESHED SIZE_MAX
#define PAUSE_MIN (100 * HS_MS)
#define PAUSE_MAX HS_SECOND

struct warm_slot {
    struct http_sub sub;
    struct serve_warm *warm;
    struct hs_identity *who; /* NULL: the slot is free */
    size_t at;               /* in the list; REFRESHED: in none */
};

struct warm_one {
    struct conf_warm row;
    bool is_kept;
    bool is_over; /* not asked again */
    unsigned misses;
};

struct serve_warm {
    struct serve_worker *worker;
    struct hs_buf text; /* the rows' bytes */
    struct warm_one *list;
    size_t n;
    size_t next;
    unsigned round;                /* 0: nothing is under way */
    unsigned running;              /* of the rounds */
    struct serve_refresh *refresh; /* NULL: cache.refresh_top is 0 */
    unsigned refreshing;           /* requests for it under way */
    hs_us next_at;                 /* the next round */
    struct warm_slot slots[WARM_SLOTS];
    bool is_due;
    bool is_stopped;
    bool is_pumping;
    hs_us began;
    hs_us ticked_at;
    uint64_t credit; /* millionths of a request */
    uint64_t failed;
    struct hs_err err; /* of the first that failed */
    struct hs_str failed_target;
};

hs_status serve_warm_new(struct serve_worker *w, struct serve_warm **ret_warm,
                         struct hs_err *reterr)
{
    struct serve_warm *warm = hs_calloc(1, sizeof(*warm));
    size_t hot = w->serve->boot->cache_refresh_top;
    hs_status status = HS_OK;

    if (!warm)
        return hs_fail_memory(reterr);
    warm->worker = w;
    warm->is_due = true;
    hs_buf_init(&warm->text, WARM_TEXT_MAX);
    if (hot)
        status = serve_refresh_new(w->loop, coherence_cache(w->serve->coherence), hot,
                                   &warm->refresh, reterr);
    if (status)
        serve_warm_free(warm);
    else
        *ret_warm = warm;
    return status;
}

static void forget(struct serve_warm *warm)
{
    hs_buf_fini(&warm->text);
    hs_buf_init(&warm->text, WARM_TEXT_MAX);
    hs_free(warm->list);
    warm->list = NULL;
    warm->n = 0;
    warm->round = 0;
}

void serve_warm_free(struct serve_warm *warm)
{
    if (!warm)
        return;
    forget(warm);
    serve_refresh_free(warm->refresh);
    hs_free(warm);
}

void serve_warm_again(struct serve_warm *warm)
{
    if (warm)
        warm->is_due = true;
}

void serve_warm_stop(struct serve_warm *warm)
{
    if (warm)
        warm->is_stopped = true;
}

/* ---- the list ---- */

static void log_fault(const char *event, const struct hs_err *err)
{
    hs_log_begin(HS_LOG_WARN, event);
    hs_log_err(err);
    hs_log_end();
}

static void file_fault(const char *event, const char *what, const char *path)
{
    struct hs_err err;

    hs_err_clear(&err);
    (void)hs_fail(&err, HS_E_IO, "could not %s %s", what, path);
    hs_err_why(&err, "%s", strerror(errno));
    log_fault(event, &err);
}

/* What the last run left; that there is no file is no fault. */
static void read_file(struct serve_warm *warm, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : 1;

    while (fd >= 0 && n > 0) {
        char *to = hs_buf_room(&warm->text, 65536);

        n = to ? read(fd, to, 65536) : -1;
        if (n > 0)
            hs_buf_added(&warm->text, (size_t)n);
    }
    if (n < 0 && (fd >= 0 || errno != ENOENT))
        file_fault("cache not warmed", "read", path);
    if (fd >= 0)
        (void)close(fd);
}

static void write_text(struct serve_warm *warm, const struct conf *conf)
{
    for (size_t i = 0; i < conf->cache_warm.n; i++) {
        hs_buf_add(&warm->text, conf->cache_warm.v[i]);
        hs_buf_add_char(&warm->text, '\n');
    }
    if (conf->cache_warm_top && conf->cache_warm_file.n)
        read_file(warm, conf->cache_warm_file.p);
}

/* A row of the file that is not understood (of another release, cut by a full disk) is left out. */
static void read_text(struct serve_warm *warm)
{
    struct hs_str rest = hs_buf_str(&warm->text);
    size_t n = 1;

    for (size_t i = 0; i < rest.n; i++)
        n += rest.p[i] == '\n';
    n = n > WARM_LIST_MAX ? WARM_LIST_MAX : n;
    warm->list = hs_calloc(n, sizeof(*warm->list));
    while (warm->list && rest.n && warm->n < n) {
        struct hs_str line = hs_str_cut(&rest, '\n');
        const char *expected;
        struct hs_str bad;

        if (conf_parse_warm(line, &warm->list[warm->n].row, &bad, &expected))
            warm->n++;
    }
}

/* ---- rounds ---- */

static void note_fault(struct serve_warm *warm, struct hs_str target, const struct hs_err *err)
{
    if (!warm->failed++) {
        warm->err = *err;
        warm->failed_target = target;
    }
}

static void end(struct serve_warm *warm, hs_us now)
{
    size_t kept = 0;

    for (size_t i = 0; i < warm->n; i++)
        kept += warm->list[i].is_kept;
    hs_metric_add(warm->worker->metrics, HS_M_CACHE_WARMED, kept);
    hs_log_begin(HS_LOG_INFO, "cache warmed");
    hs_log_int("addresses", (int64_t)warm->n);
    hs_log_int("kept", (int64_t)kept);
    hs_log_ms("ms", now - warm->began);
    hs_log_end();
    if (warm->failed) {
        hs_log_begin(HS_LOG_WARN, "warming failed in part");
        hs_log_int("requests", (int64_t)warm->failed);
        /* Without the query: its values are nobody's business but the client's. */
        hs_log_str("first",
                   hs_str_sub(warm->failed_target, 0, hs_str_find(warm->failed_target, '?')));
        hs_log_err(&warm->err);
        hs_log_end();
    }
    forget(warm);
}

static void begin(struct serve_warm *warm, hs_us now)
{
    warm->is_due = false;
    write_text(warm, warm->worker->conf->conf);
    read_text(warm);
    warm->began = now;
    warm->next = 0;
    warm->next_at = now;
    warm->failed = 0;
    warm->round = warm->n ? 1 : 0;
    if (!warm->round)
        forget(warm);
}

static bool has_header(const struct http_reply *reply, struct hs_str text)
{
    struct hs_str headers = reply->headers;

    return headers.n && memmem(headers.p, headers.n, text.p, text.n) != NULL;
}

/* What the cache said; an answer that cannot be kept by its nature is not asked for again. */
static void judge(struct warm_one *one, const struct http_reply *reply)
{
    one->is_kept = has_header(reply, HS_STR("X-Cache: HIT\r\n"));
    one->misses += has_header(reply, HS_STR("X-Cache: MISS\r\n"));
    one->is_over = one->is_kept || one->misses >= WARM_MISSES ||
                   !(has_header(reply, HS_STR("X-Cache: MISS\r\n")) ||
                     has_header(reply, HS_STR("detail=settling")) ||
                     has_header(reply, HS_STR("detail=not-proven")));
}

static void pump(struct serve_warm *warm);

/* What came of a request of the list. */
static void note(struct serve_warm *warm, const struct warm_slot *slot,
                 const struct http_reply *reply)
{
    struct hs_err err;

    warm->running--;
    judge(&warm->list[slot->at], reply);
    if (reply->status < 400)
        return;
    hs_err_clear(&err);
    (void)hs_fail(&err, HS_E_NOT_KEPT, "the answer is %u", reply->status);
    note_fault(warm, slot->sub.target, &err);
}

static void on_done(struct http_sub *sub, const struct http_reply *reply)
{
    struct warm_slot *slot = HS_CONTAINER(sub, struct warm_slot, sub);
    struct serve_warm *warm = slot->warm;

    if (slot->at != REFRESHED) {
        note(warm, slot, reply);
    } else {
        warm->refreshing--;
        hs_metric_add(warm->worker->metrics, HS_M_CACHE_REFRESHED, reply->status < 400);
    }
    hs_identity_unref(slot->who);
    slot->who = NULL;
    pump(warm);
}

/* On error nothing was asked. */
static hs_status send(struct serve_warm *warm, struct warm_slot *slot, const struct conf_warm *row,
                      size_t at, struct hs_err *reterr)
{
    hs_status status = edge_auth_as(warm->worker->auth, row->role, row->claims, &slot->who, reterr);

    if (status) {
        slot->who = NULL;
        return status;
    }
    slot->warm = warm;
    slot->at = at;
    slot->sub = (struct http_sub){.magic = HTTP_SUB_MAGIC,
                                  .server = warm->worker->http,
                                  .identity = slot->who,
                                  .method = HS_STR("GET"),
                                  .target = row->target,
                                  .done = on_done};
    if (at == REFRESHED)
        warm->refreshing++;
    else
        warm->running++;
    http_sub_run(&slot->sub);
    return HS_OK;
}

static void ask(struct serve_warm *warm, struct warm_slot *slot, size_t at)
{
    const struct conf_warm *row = &warm->list[at].row;
    struct hs_err err;

    hs_err_clear(&err);
    if (send(warm, slot, row, at, &err)) {
        warm->list[at].is_over = true;
        note_fault(warm, row->target, &err);
    }
}

/* NULL: there is none, or it is not the time. */
static struct warm_slot *free_slot(struct serve_warm *warm)
{
    if (warm->credit < HS_SECOND || warm->is_stopped || hs_metric_sum(HS_M_PG_WAITING))
        return NULL;
    for (size_t i = 0; i < WARM_SLOTS; i++) {
        if (!warm->slots[i].who)
            return &warm->slots[i];
    }
    return NULL;
}

static void pump_round(struct serve_warm *warm)
{
    struct warm_slot *slot;

    while (warm->next < warm->n) {
        if (warm->list[warm->next].is_over) {
            warm->next++;
            continue;
        }
        slot = free_slot(warm);
        if (!slot)
            break;
        warm->credit -= HS_SECOND;
        ask(warm, slot, warm->next++);
    }
}

/* One whose role is gone meanwhile is left to those who ask. */
static void pump_refresh(struct serve_warm *warm, hs_us now)
{
    const struct conf_warm *row;
    struct warm_slot *slot;

    while ((slot = free_slot(warm)) && (row = serve_refresh_next(warm->refresh, now))) {
        warm->credit -= HS_SECOND;
        if (send(warm, slot, row, REFRESHED, NULL))
            continue;
    }
}

/* An answer may come from within the call: then the loop that asks goes on, and nothing nests. */
static void pump(struct serve_warm *warm)
{
    hs_us now = hs_now_us();

    if (warm->is_pumping)
        return;
    warm->is_pumping = true;
    if (warm->round && now >= warm->next_at)
        pump_round(warm);
    if (warm->refresh)
        pump_refresh(warm, now);
    warm->is_pumping = false;
}

static void end_round(struct serve_warm *warm, hs_us now)
{
    hs_us pause = PAUSE_MIN << warm->round;
    bool is_over = warm->round++ == WARM_ROUNDS;

    warm->next = 0;
    warm->next_at = now + (pause < PAUSE_MAX ? pause : PAUSE_MAX);
    for (size_t i = 0; !is_over && i < warm->n; i++) {
        if (!warm->list[i].is_over)
            return;
    }
    end(warm, now);
}

static bool is_time(const struct serve_warm *warm, hs_us now)
{
    struct cache_view view;

    return warm->is_due && !warm->is_stopped && !warm->round &&
           api_worker_has_model(warm->worker->api) &&
           cache_may_hit(coherence_cache(warm->worker->serve->coherence)->state,
                         (struct cache_token){0}, now, &view);
}

void serve_warm_tick(struct serve_warm *warm, hs_us now)
{
    uint64_t rate = warm->worker->conf->conf->cache_warm_rate;
    hs_us passed = now - warm->ticked_at;

    warm->ticked_at = now;
    if (is_time(warm, now))
        begin(warm, now);
    if (!warm->round && !warm->refresh)
        return;
    /* Never more than a second's worth, so that a pause is not made up for at once. */
    warm->credit += (passed > HS_SECOND ? HS_SECOND : passed) * rate;
    if (warm->credit > rate * HS_SECOND)
        warm->credit = rate * HS_SECOND;
    if (warm->refresh && !warm->is_stopped)
        serve_refresh_tick(warm->refresh, now, !warm->refreshing);
    pump(warm);
    if (warm->round && warm->next == warm->n && !warm->running && !warm->is_stopped)
        end_round(warm, now);
}

/* ---- the most asked ---- */

static bool has_newline(struct hs_str s)
{
    return hs_str_find(s, '\n') < s.n;
}

/* One whose address was too long, or whose role cannot be told from its key, is left out. */
static void add_line(void *arg, const struct cache_entry *entry, uint64_t hits)
{
    struct hs_str target = cache_entry_target(entry);
    struct api_key_parts parts;

    if (!hits || !target.n || !api_key_read(cache_entry_key(entry), &parts) || !parts.role.p ||
        has_newline(parts.claims))
        return;
    hs_buf_printf(arg, "%.*s as %.*s %.*s\n", HS_FMT(target), HS_FMT(parts.role),
                  HS_FMT(parts.claims));
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

/* Beside it first, then in its place: a full disk costs the new list, not the old one. */
static bool replace_file(const char *path, struct hs_str text)
{
    char beside[4096];
    int n = snprintf(beside, sizeof(beside), "%s.new", path);
    bool is_done;
    int fd;

    if (n < 0 || (size_t)n >= sizeof(beside)) {
        errno = ENAMETOOLONG;
        return false;
    }
    (void)unlink(beside);
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return false;
    is_done = write_all(fd, text);
    is_done = close(fd) == 0 && is_done;
    return is_done && rename(beside, path) == 0;
}

void serve_warm_save(const struct api_cache *cache, const struct conf *conf)
{
    struct hs_err err;
    struct hs_buf text;

    if (!conf->cache_warm_top || !conf->cache_warm_file.n)
        return;
    hs_buf_init(&text, WARM_TEXT_MAX);
    if (cache_top(cache->store, conf->cache_warm_top, add_line, &text, &err))
        log_fault("cache.warm_file not written", &err);
    else if (text.n && !replace_file(conf->cache_warm_file.p, hs_buf_str(&text)))
        file_fault("cache.warm_file not written", "write", conf->cache_warm_file.p);
    hs_buf_fini(&text);
}
