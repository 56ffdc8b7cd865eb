/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The read's own path up to the cache, then words.
 *
 *     api_explain ─▶ api_request_start ─▶ ... submit ─▶ api_explain_read ─▶ api_kept_question, cache_look
 *
 * What is said must be what would be done: key, tags, identity and lifetime come from the function that asks the cache
 * for every read, and the verdict from the store's own judge.
 */
#include "api/explain.h"

#include "api/depend.h"
#include "api/request.h"
#include "api/kept.h"
#include "core/json.h"

/* ---- words ---- */

static void add_lsn(struct hs_buf *out, uint64_t lsn)
{
    if (lsn == CACHE_NEVER)
        hs_buf_add_lit(out, "null");
    else
        hs_buf_printf(out, "\"%X/%X\"", (unsigned)(lsn >> 32), (unsigned)lsn);
}

static void add_seconds(struct hs_buf *out, const char *name, hs_us us)
{
    hs_buf_printf(out, ",\"%s\":%llu.%03u", name, (unsigned long long)(us / HS_SECOND),
                  (unsigned)(us % HS_SECOND / HS_MS));
}

static void add_text(struct hs_buf *out, const char *name, struct hs_str text)
{
    hs_buf_printf(out, "\"%s\":", name);
    hs_json_string(out, text);
}

static const struct pg_relation *relation_of(const struct pg_catalog *catalog, uint32_t oid)
{
    for (size_t i = 0; i < catalog->n_relations; i++) {
        if (catalog->relations[i].oid == oid)
            return &catalog->relations[i];
    }
    return NULL;
}

/* "schema.table"; a table behind a view need not be served, then its oid. */
static void write_table(const struct pg_catalog *catalog, uint32_t oid, struct hs_buf *to)
{
    const struct pg_relation *relation = relation_of(catalog, oid);

    if (relation)
        hs_buf_printf(to, "%.*s.%.*s", HS_FMT(relation->schema), HS_FMT(relation->name));
    else
        hs_buf_printf(to, "table with oid %u", oid);
}

/* ---- tags ---- */

struct telling {
    struct api_kept *kept;
    const struct api_depend *depend;
    const struct cache_state *state;
    struct cache_entry *entry; /* what is there; NULL = nothing */
    enum cache_why why;
    struct cache_status status;
    struct hs_buf *out;
    struct hs_buf words; /* scratch */
};

static bool is_same_kind(struct cache_tag a, struct cache_tag b)
{
    return a.table == b.table && a.shape == b.shape;
}

/* The tags of one table and one set of columns are told once: how many, and the highest that stands against them. */
static bool was_told(const struct telling *t, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (is_same_kind(t->depend->tags[i], t->depend->tags[at]))
            return true;
    }
    return false;
}

static uint64_t bar_of(const struct telling *t, struct cache_tag kind, size_t *ret_n)
{
    uint64_t bar = 0;

    *ret_n = 0;
    for (size_t i = 0; i < t->depend->n_tags; i++) {
        uint64_t one = cache_tag_bar(t->state, t->depend->tags[i]);

        if (!is_same_kind(t->depend->tags[i], kind))
            continue;
        bar = one > bar ? one : bar;
        ++*ret_n;
    }
    return bar;
}

static void write_kind(struct telling *t, struct cache_tag tag)
{
    struct hs_buf *words = &t->words;

    hs_buf_clear(words);
    hs_buf_add_lit(words, "any change to a row of ");
    write_table(t->kept->r->hold->model->catalog, cache_table_oid(t->state, tag.table), words);
    if (tag.shape == CACHE_NO_INDEX)
        return;
    hs_buf_clear(words);
    hs_buf_add_lit(words, "a change to a row of ");
    write_table(t->kept->r->hold->model->catalog, cache_table_oid(t->state, tag.table), words);
    hs_buf_add_lit(words, " that has, or had, the same ");
    (void)cache_shape_text(t->state, tag.shape, words);
}

static void add_tag(struct telling *t, struct cache_tag tag)
{
    struct hs_buf *out = t->out;
    size_t n;
    uint64_t bar = bar_of(t, tag, &n);

    hs_buf_clear(&t->words);
    write_table(t->kept->r->hold->model->catalog, cache_table_oid(t->state, tag.table), &t->words);
    hs_buf_add_char(out, '{');
    add_text(out, "table", hs_buf_str(&t->words));
    hs_buf_clear(&t->words);
    if (cache_shape_text(t->state, tag.shape, &t->words)) {
        hs_buf_add_char(out, ',');
        add_text(out, "columns", hs_buf_str(&t->words));
    } else {
        hs_buf_add_lit(out, ",\"columns\":null");
    }
    hs_buf_printf(out, ",\"tags\":%zu,\"changedAt\":", n);
    add_lsn(out, bar);
    hs_buf_printf(out, ",\"isRegistered\":%s", bar == CACHE_NEVER ? "false" : "true");
    if (t->entry)
        hs_buf_printf(out, ",\"isCovered\":%s", bar <= t->entry->moment.fence ? "true" : "false");
    hs_buf_add_char(out, '}');
}

static void add_tags(struct telling *t)
{
    bool is_first = true;

    hs_buf_add_lit(t->out, ",\"tags\":[");
    for (size_t i = 0; i < t->depend->n_tags; i++) {
        if (was_told(t, i))
            continue;
        if (!is_first)
            hs_buf_add_char(t->out, ',');
        is_first = false;
        add_tag(t, t->depend->tags[i]);
    }
    hs_buf_add_lit(t->out, "],\"invalidatedBy\":[");
    for (size_t i = 0; i < t->depend->n_tags; i++) {
        if (was_told(t, i))
            continue;
        write_kind(t, t->depend->tags[i]);
        hs_json_string(t->out, hs_buf_str(&t->words));
        hs_buf_add_char(t->out, ',');
    }
    hs_buf_add_lit(t->out, "\"TRUNCATE of one of these tables\","
                           "\"a change of the schema, of a role or of a privilege\"]");
}

/* ---- the verdict ---- */

static const char *why_not_proven(const struct telling *t, hs_us now)
{
    const struct cache_view *view = &t->status.view;

    if (view->epoch == CACHE_EPOCH_NONE)
        return "the change stream is not followed: see `hasten doctor` and the log";
    if (!view->proof_at || !view->poll_at)
        return "the change stream has just begun and is not proven to be up to date";
    if (view->required.epoch != CACHE_EPOCH_NONE && !cache_rule_passed(view, view->required))
        return "a write was answered that the change stream has not told of yet";
    if (view->proof_at < view->required_proof)
        return "a write whose position is not known must be proven to be passed";
    return now > view->proof_at ? "the change stream is further behind than cache.max_staleness"
                                : "the change stream is not proven to be up to date";
}

static const char *why_invalidated(struct telling *t)
{
    const struct cache_moment *moment = &t->entry->moment;

    if (moment->epoch != t->status.view.epoch)
        return "the entry is of another run of the server or of another server";
    if (moment->generation != t->status.view.generation)
        return "the schema, a role or a privilege has changed since";
    for (size_t i = 0; i < t->depend->n_tags; i++) {
        if (cache_tag_bar(t->state, t->depend->tags[i]) <= moment->fence)
            continue;
        write_kind(t, t->depend->tags[i]);
        hs_buf_add_lit(&t->words, ", since the entry was made");
        return hs_buf_cstr(&t->words);
    }
    return "the change stream began anew since the entry was made";
}

static const char *why_of(struct telling *t)
{
    switch (t->why) {
    case CACHE_WHY_NONE:
        return "the kept answer holds";
    case CACHE_WHY_ABSENT:
        return "nothing is kept under this key";
    case CACHE_WHY_INVALIDATED:
        return why_invalidated(t);
    case CACHE_WHY_EXPIRED:
        return "the entry is older than its time to live";
    case CACHE_WHY_NOT_PROVEN:
        return why_not_proven(t, t->kept->ask.now);
    case CACHE_WHY_SETTLING:
        return "nothing is kept, and cannot be for a moment: a change is not past the fence, or "
               "the change stream was asked only now to tell these rows apart, or the catalog "
               "is about to be read again";
    case CACHE_WHY_UNFIT:
        return "the last answers could not be kept (too long, an error, or changed at once); tried "
               "again after cache.unfit_time";
    case CACHE_WHY_TOKEN:
    case CACHE_WHY_ASKED:
        break;
    }
    return "the request says so";
}

static const char *verdict_of(enum cache_why why)
{
    if (why == CACHE_WHY_NONE)
        return "hit";
    return why == CACHE_WHY_NOT_PROVEN || why == CACHE_WHY_UNFIT || why == CACHE_WHY_SETTLING
               ? "bypass"
               : "miss";
}

static void add_entry(struct telling *t)
{
    const struct cache_entry *entry = t->entry;
    hs_us now = t->kept->ask.now;
    struct hs_buf *out = t->out;

    if (!entry) {
        hs_buf_add_lit(out, ",\"entry\":null");
        return;
    }
    hs_buf_add_lit(out, ",\"entry\":{\"fence\":");
    add_lsn(out, entry->moment.fence);
    add_seconds(out, "age", now > entry->stored_at ? now - entry->stored_at : 0);
    add_seconds(out, "left", entry->expires_at > now ? entry->expires_at - now : 0);
    hs_buf_printf(out, ",\"bytes\":%u,\"hits\":%u}", entry->bytes,
                  atomic_load_explicit(&entry->hits, memory_order_relaxed));
}

static void add_feed(struct telling *t)
{
    hs_us now = t->kept->ask.now;
    hs_us proof_at = t->status.view.proof_at;

    hs_buf_add_lit(t->out, ",\"feed\":{\"position\":");
    add_lsn(t->out, t->status.view.position);
    hs_buf_add_lit(t->out, ",\"fence\":");
    add_lsn(t->out, t->status.fence);
    add_seconds(t->out, "proofAge", now > proof_at ? now - proof_at : 0);
    hs_buf_add_char(t->out, '}');
}

static void tell_known(struct telling *t)
{
    struct api_kept *kept = t->kept;

    t->why = cache_look(kept->worker->cache->store, &kept->ask, &t->entry);
    cache_status(t->state, kept->ask.now, &t->status);
    hs_buf_printf(t->out, "\"verdict\":\"%s\",", verdict_of(t->why));
    add_text(t->out, "why", hs_str(why_of(t)));
    hs_buf_add_char(t->out, ',');
    add_text(t->out, "key", kept->ask.key);
    add_seconds(t->out, "ttl", kept->ttl);
    add_entry(t);
    add_feed(t);
    add_tags(t);
    cache_entry_unref(t->entry);
}

/* Something stands against keeping it, whatever is in the cache. */
static void tell_unknown(struct telling *t, const struct api_depend *depend)
{
    const char *why = depend->is_known ? "its time to live is 0 (cache.ttl.*, cache.tables)"
                                       : depend->why;

    hs_buf_add_lit(t->out, "\"verdict\":\"bypass\",");
    add_text(t->out, "why", hs_str(why));
}

hs_status api_explain_read(struct api_worker *worker, struct api_request *r, const char *const *key,
                           struct hs_err *reterr)
{
    struct api_kept *kept = HS_NEW(r->req->arena, struct api_kept);
    struct api_depend *depend = HS_NEW(r->req->arena, struct api_depend);
    struct telling t = {.out = r->explain, .state = worker->cache->state};
    struct api_hold *hold = r->hold;
    hs_status status;

    if (!kept || !depend)
        return hs_fail_memory(reterr);
    *kept = (struct api_kept){.r = r, .worker = worker};
    r->kept = kept;
    t.kept = kept;
    t.depend = depend;
    hs_buf_init(&t.words, r->explain->max);
    status = api_kept_question(kept, key, depend, reterr);
    if (!status) {
        hs_buf_add_lit(t.out, "{\"data\":{");
        add_text(t.out, "url", r->req->target);
        hs_buf_add_char(t.out, ',');
        add_text(t.out, "role", r->req->identity->role);
        hs_buf_add_char(t.out, ',');
        add_text(t.out, "claims", kept->as ? kept->as->claims : HS_STR("{}"));
        hs_buf_add_char(t.out, ',');
        if (kept->is_keepable)
            tell_known(&t);
        else
            tell_unknown(&t, depend);
        hs_buf_add_lit(t.out, "}}");
        t.out->failed = t.out->failed || hs_buf_failed(&t.words);
    }
    api_kept_fail(r, /* is_unfit= */ false);
    hs_buf_fini(&t.words);
    if (!status)
        api_hold_release(hold);
    return status;
}

/* ---- the way there ---- */

static hs_status check(const struct api_worker *worker, const struct http_req *req,
                       struct hs_str url, struct hs_str *ret_rest, struct hs_err *reterr)
{
    struct hs_str path = hs_str_sub(url, 0, hs_str_find(url, '?'));
    hs_status status = api_check_ready(worker, req, reterr);
    struct hs_str root;

    if (status)
        return status;
    if (!worker->cache)
        return hs_fail(reterr, HS_E_NOT_FOUND, "nothing is kept: cache.enabled is off");
    root = worker->hold->model->path;
    if (hs_str_starts(path, root) && path.n > root.n + 1 && path.p[root.n] == '/') {
        *ret_rest = hs_str_sub(path, root.n + 1, path.n);
        return HS_OK;
    }
    (void)hs_fail(reterr, HS_E_NOT_FOUND, "\"%.*s\" is no address of a table's rows", HS_FMT(path));
    hs_err_hint(reterr, "Write the address as a client does: %.*s/table?filter=value.",
                HS_FMT(root));
    return HS_E_NOT_FOUND;
}

hs_status api_explain(struct api_worker *worker, struct http_req *req, struct hs_str url,
                      struct hs_identity *who, struct hs_buf *out, struct hs_err *reterr)
{
    /* The request that asks becomes the one it asks about, for as long as this call takes. */
    const struct http_req own = *req;
    size_t path_n = hs_str_find(url, '?');
    hs_status status;

    req->identity = who;
    status = check(worker, req, url, &req->path_rest, reterr);
    if (!status) {
        req->method = HTTP_GET;
        req->target = url;
        req->path = hs_str_sub(url, 0, path_n);
        req->query = path_n < url.n ? hs_str_sub(url, path_n + 1, url.n) : HS_STR_NULL;
        req->n_headers = 0;
        status = api_request_start(worker, req, out, reterr);
    }
    *req = own;
    return status;
}

static const struct api_table *find_table(const struct api_model *model, struct hs_str name)
{
    const struct api_table *table = api_model_table(model, name);

    for (size_t i = 0; !table && i < model->n_tables; i++) {
        if (hs_str_eq(model->tables[i].pg->name, name))
            table = &model->tables[i];
    }
    return table;
}

uint32_t api_worker_table_oid(const struct api_worker *worker, struct hs_str name,
                              struct hs_str *ret_table)
{
    const struct api_table *table = worker->hold ? find_table(worker->hold->model, name) : NULL;

    *ret_table = table ? table->name : HS_STR_NULL;
    return table ? table->pg->oid : 0;
}
