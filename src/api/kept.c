/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A read meets the cache.
 *
 *     statement ready -> what it depends on -> as whom -> key -> cache_get() -> hit: the entry's bytes
 *                                                                           -> join: another's answer
 *                                                                           -> lead: ask, keep, answer;
 *                                                                    the shared tier first
 *                                                                           -> stale: the old entry's bytes, another asks
 *                                                                           -> bypass: ask, answer
 *
 * The rule: what is not in the key cannot matter to the answer. The key holds the table, the role, the claims that
 * policies and views may read, the statement's text and parameters, and what of the request decides how
 * rows are written; and the statement runs as an identity that has no other claims than those.
 *
 * The moment of an answer (epoch, fence, catalog generation) is read by cache_get(), before the statement is handed
 * to the pool. Whatever goes wrong on the way, the flight is ended and those who joined it ask by themselves.
 *
 * What the database could not be asked for is answered with what was true once, marked so, where the operator has
 * chosen that.
 *
 * Source: RFC 9111 (caching), RFC 5861 (stale answers), RFC 9211 (Cache-Status), RFC 9110, 13 (conditional requests).
 */
#include "api/kept.h"

#include "api/depend.h"
#include "api/etag.h"
#include "api/key.h"
#include "api/memo.h"
#include "api/settle.h"
#include "api/variant.h"
#include "core/hash.h"

enum {
    OWN_HEADERS_MAX = 160,
    VARY_NAMES_MAX = 32,
    VARY_MAX = VARY_NAMES_MAX + sizeof("Vary: , Accept-Encoding\r\n"),
    FORM_HEADERS_MAX = ETAG_MAX + sizeof("ETag: \r\nContent-Encoding: identity\r\n")
};

/* ---- what the request says ---- */

struct wishes {
    struct cache_token token;
    bool is_fresh;     /* no-cache, max-age=0 */
    bool keeps_none;   /* no-store */
    bool only_if_kept; /* only-if-cached */
};

static void read_control(struct hs_str control, struct wishes *to)
{
    while (control.n) {
        struct hs_str directive = hs_str_trim(hs_str_cut(&control, ','));

        if (hs_str_ieq(directive, HS_STR("no-cache")) || hs_str_ieq(directive, HS_STR("max-age=0")))
            to->is_fresh = true;
        else if (hs_str_ieq(directive, HS_STR("no-store")))
            to->is_fresh = to->keeps_none = true;
        else if (hs_str_ieq(directive, HS_STR("only-if-cached")))
            to->only_if_kept = true;
    }
}

static hs_status read_wishes(const struct http_req *req, const struct api_model *model,
                             struct wishes *to, struct hs_err *reterr)
{
    bool honours = model->rules.honour_requests;

    *to = (struct wishes){.token = {.epoch = CACHE_EPOCH_NONE}};
    for (size_t i = 0; i < req->n_headers; i++) {
        const struct http_header *h = &req->headers[i];

        if (honours && hs_str_ieq(h->name, HS_STR("cache-control")))
            read_control(h->value, to);
        if (hs_str_ieq(h->name, HS_STR(API_POSITION_HEADER)) &&
            !api_position_read(h->value, &to->token))
            return hs_fail(reterr, HS_E_BAD_PARAMETER,
                           API_POSITION_HEADER " must be the value that a write returned");
    }
    return HS_OK;
}

/* ---- answers ---- */

static size_t put(char *to, size_t n, struct hs_str s)
{
    return (size_t)(hs_str_put(to + n, s) - to);
}

#define PUT(to, n, literal) put((to), (n), HS_STR(literal))

/* An answer as one client gets it. */
struct form {
    enum http_coding coding; /* of etag and body */
    struct hs_str etag;
    struct hs_str body;
    bool is_known; /* the client has it: 304 */
    char tag[ETAG_MAX];
};

static void form_code(struct form *form, enum http_coding coding)
{
    form->coding = coding;
    form->etag = etag_coded(form->tag, form->etag, http_coding_name(coding));
}

/*
 * The answer as it is; or as the client has it already, by itself or in the coding that it would get, which is
 * found by the tag alone: nothing is compressed for a 304.
 */
static void form_init(struct form *form, const struct http_req *req, struct hs_str etag,
                      enum http_coding coding, struct hs_str body)
{
    struct hs_str known = etag.n ? http_req_header(req, HS_STR("if-none-match")) : HS_STR_NULL;
    char tag[ETAG_MAX];

    *form = (struct form){.etag = etag, .body = body};
    if (hs_likely(!known.p))
        return;
    form->is_known = etag_is_known(known, etag);
    if (form->is_known || coding == HTTP_IDENTITY)
        return;
    if (etag_is_known(known, etag_coded(tag, etag, http_coding_name(coding)))) {
        form_code(form, coding);
        form->is_known = true;
    }
}

/* What the client's form adds to the headers that all get; at most FORM_HEADERS_MAX bytes. */
static size_t put_form(char *to, size_t n, const struct form *form)
{
    if (form->etag.n) {
        n = PUT(to, n, "ETag: ");
        n = PUT(to, put(to, n, form->etag), "\r\n");
    }
    if (form->coding != HTTP_IDENTITY && !form->is_known) {
        n = PUT(to, n, "Content-Encoding: ");
        n = PUT(to, put(to, n, http_coding_name(form->coding)), "\r\n");
    }
    return n;
}

static void reply_form(struct http_req *req, const struct form *form, struct hs_str content_type,
                       struct hs_str headers)
{
    const struct http_reply not_modified = {.status = 304, .headers = headers};
    const struct http_reply reply = {
        .status = 200, .content_type = content_type, .headers = headers, .body = form->body};

    http_reply(req, form->is_known ? &not_modified : &reply);
}

static void choose_variant(struct form *form, struct api_worker *worker,
                           const struct api_compress *rules, struct http_req *req,
                           struct cache_entry *entry)
{
    enum http_coding coding = api_variant_wanted(rules, req, entry->body_n);
    const struct cache_variant *variant;

    form_init(form, req, cache_entry_etag(entry), coding, cache_entry_body(entry));
    if (form->is_known || coding == HTTP_IDENTITY)
        return;
    variant = api_variant_get(worker, rules, entry, coding);
    if (variant) {
        form_code(form, coding);
        form->body = cache_variant_body(variant);
    }
}

enum from { FROM_STORE, FROM_FLIGHT, FROM_SHARED, FROM_EXPIRED, FROM_BEFORE };

static const struct hs_str from_lines[] = {
#define FROM(said, status)                                                          \
    {                                                                               \
        "X-Cache: " said "\r\nCache-Status: hasten; " status "\r\n",                \
            sizeof("X-Cache: " said "\r\nCache-Status: hasten; " status "\r\n") - 1 \
    }
    [FROM_STORE] = FROM("HIT", "hit"),
    [FROM_FLIGHT] = FROM("MISS", "fwd=miss; collapsed"),
    [FROM_SHARED] = FROM("HIT", "hit; detail=shared"),
    [FROM_EXPIRED] = FROM("STALE", "hit; detail=stale-while-revalidate"),
    [FROM_BEFORE] = FROM("STALE", "hit; detail=stale-if-error"),
#undef FROM
};

/* A hit is as old as the proof that it holds; a stale answer as itself. */
static hs_us age_of(const struct api_worker *worker, const struct cache_entry *entry, hs_us now,
                    enum from from)
{
    bool is_stale = from == FROM_EXPIRED || from == FROM_BEFORE;
    hs_us since = is_stale ? entry->stored_at : cache_proof_at(worker->cache->state);

    return now > since ? now - since : 0;
}

static enum hs_cache_outcome outcome_of(enum from from)
{
    switch (from) {
    case FROM_FLIGHT:
        return HS_CACHE_JOINED;
    case FROM_EXPIRED:
    case FROM_BEFORE:
        return HS_CACHE_STALE;
    case FROM_STORE:
    case FROM_SHARED:
        break;
    }
    return HS_CACHE_HIT;
}

/* From the cache's own memory; takes over the reference. */
static void reply_entry(struct api_worker *worker, const struct api_model *model,
                        struct http_req *req, struct cache_entry *entry, hs_us now, enum from from)
{
    size_t room = entry->headers_n + FORM_HEADERS_MAX + OWN_HEADERS_MAX;
    char *to = hs_arena_alloc(req->arena, room);
    struct form form;
    struct hs_err err;
    size_t n;

    if (!to) {
        (void)hs_fail_memory(&err);
        http_reply_error(req, &err);
        cache_entry_unref(entry);
        return;
    }
    choose_variant(&form, worker, &model->rules.compress, req, entry);
    n = put_form(to, put(to, 0, cache_entry_headers(entry)), &form);
    if (from == FROM_FLIGHT && form.is_known) {
        n = PUT(to, n, "X-Cache: REVALIDATED\r\nCache-Status: hasten; fwd=miss; collapsed\r\n");
    } else {
        n = put(to, n, from_lines[from]);
    }
    if (from != FROM_FLIGHT) {
        n = PUT(to, n, "Age: ");
        n = (size_t)(hs_u64_print(age_of(worker, entry, now, from) / HS_SECOND, to + n) - to);
        n = PUT(to, n, "\r\n");
    }
    hs_metric_cache(req->metrics, req->route, outcome_of(from));
    reply_form(req, &form, cache_entry_content_type(entry), hs_strn(to, n));
    cache_entry_unref(entry);
}

static bool is_outage(const struct hs_err *err)
{
    return err->status == HS_E_PG_DOWN || err->status == HS_E_PG_ACQUIRE ||
           err->status == HS_E_BUSY || err->status == HS_E_TIMEOUT ||
           strcmp(err->sqlstate, "57014") == 0;
}

bool api_kept_stale(struct api_request *r, const struct hs_err *err)
{
    struct api_kept *kept = r->kept;
    struct api_hold *hold = r->hold;
    struct cache_entry *entry;

    if (!kept || !kept->may_be_stale || !is_outage(err))
        return false;
    kept->ask.now = hs_now_us();
    entry = cache_stale(kept->worker->cache->store, &kept->ask);
    if (!entry)
        return false;
    kept->asked = HS_CACHE_HIT;
    api_kept_fail(r, /* is_unfit= */ false);
    reply_entry(kept->worker, hold->model, r->req, entry, kept->ask.now, FROM_BEFORE);
    api_hold_release(hold);
    return true;
}

static void reply_failed(struct api_request *r, const struct hs_err *err)
{
    struct api_hold *hold = r->hold;

    if (api_kept_stale(r, err))
        return;
    api_kept_fail(r, /* is_unfit= */ false);
    http_reply_error(r->req, err);
    api_hold_release(hold);
}

/* is_known: the client has the answer that the database gave. What was selected and refused is RFC 9211's "stale". */
static size_t put_status(char *to, size_t n, const struct api_kept *kept, bool is_known)
{
    static const struct hs_str misses[] = {
        [CACHE_WHY_NONE] = {NULL, 0},
#define WHY(why, text) [why] = {text, sizeof(text) - 1}
        WHY(CACHE_WHY_ABSENT, "fwd=miss; detail=absent"),
        WHY(CACHE_WHY_INVALIDATED, "fwd=stale; detail=invalidated"),
        WHY(CACHE_WHY_EXPIRED, "fwd=stale; detail=expired"),
        WHY(CACHE_WHY_TOKEN, "fwd=miss; detail=token"),
        WHY(CACHE_WHY_ASKED, "fwd=request; detail=no-cache"),
        WHY(CACHE_WHY_NOT_PROVEN, "fwd=bypass; detail=not-proven"),
        WHY(CACHE_WHY_UNFIT, "fwd=bypass; detail=unfit"),
        WHY(CACHE_WHY_SETTLING, "fwd=bypass; detail=settling"),
#undef WHY
    };
    struct hs_str why = kept->is_keepable ? misses[kept->missed] : HS_STR_NULL;

    why = why.p ? why : HS_STR("fwd=bypass");
    n = PUT(to, n, "X-Cache: ");
    if (hs_str_starts(why, HS_STR("fwd=bypass")))
        n = PUT(to, n, "BYPASS");
    else
        n = put(to, n, is_known ? HS_STR("REVALIDATED") : HS_STR("MISS"));
    n = put(to, PUT(to, n, "\r\nCache-Status: hasten; "), why);
    return PUT(to, n, "\r\n");
}

static void keep(struct api_kept *kept, const struct api_answer *given, struct hs_str headers,
                 struct hs_str body)
{
    const struct cache_answer answer = {.content_type = given->content_type,
                                        .headers = headers,
                                        .etag = given->etag,
                                        .body = body,
                                        .target = kept->r->req->target,
                                        .ttl = kept->ttl,
                                        .route = kept->r->req->route,
                                        .epoch = kept->r->query.epoch};

    struct cache_entry *entry = NULL;

    if (kept->flight)
        entry = cache_fill_kept(kept->flight, &answer, hs_now_us());
    kept->flight = NULL;
    if (entry && kept->worker->shared)
        cache_shared_put(kept->worker->shared, entry, kept->shared.catalog, hs_now_us(),
                         hs_wall_now());
    cache_entry_unref(entry);
}

/*
 * Is there more than one form of the answer, for this client or another? Where nothing is kept and nothing compressed
 * for one request alone, there is not.
 */
static bool has_codings(const struct api_request *r, size_t body_n)
{
    const struct api_compress *rules = &r->hold->model->rules.compress;

    return rules->enabled && body_n >= rules->min && (r->kept || rules->uncached);
}

static struct hs_str write_vary(char to[static VARY_MAX], struct hs_str names, bool has_codings)
{
    size_t n = 0;

    HS_BUG_ON(names.n > VARY_NAMES_MAX);
    if (!names.n && !has_codings)
        return HS_STR("");
    n = put(to, PUT(to, n, "Vary: "), names);
    n = names.n && has_codings ? PUT(to, n, ", ") : n;
    n = has_codings ? PUT(to, n, "Accept-Encoding") : n;
    return hs_strn(to, PUT(to, n, "\r\n"));
}

/* For this request alone; the form's body is then in `coded`. */
static void code_alone(struct form *form, const struct api_compress *rules, enum http_coding coding,
                       struct hs_buf *coded)
{
    if (form->is_known || coding == HTTP_IDENTITY || !rules->uncached ||
        form->body.n > rules->inline_max ||
        http_encode(coding, rules->level, form->body, coded) != HTTP_ENCODED)
        return;
    form_code(form, coding);
    form->body = hs_buf_str(coded);
}

/* headers: what is kept of them, n bytes, with room for the rest. */
static void reply_own(struct api_request *r, const struct api_answer *answer, char *headers,
                      size_t n, struct hs_str body)
{
    const struct api_compress *rules = &r->hold->model->rules.compress;
    enum http_coding coding = api_variant_wanted(rules, r->req, body.n);
    struct hs_buf coded;
    struct form form;

    hs_buf_init(&coded, body.n);
    form_init(&form, r->req, answer->etag, coding, body);
    code_alone(&form, rules, coding, &coded);
    n = put_form(headers, n, &form);
    if (r->kept)
        n = put_status(headers, n, r->kept, form.is_known);
    api_kept_fail(r, /* is_unfit= */ false);
    reply_form(r->req, &form, answer->content_type, hs_strn(headers, n));
    hs_buf_fini(&coded);
}

void api_kept_answer(struct api_request *r, const struct api_answer *answer,
                     const struct hs_buf *body)
{
    struct api_hold *hold = r->hold;
    char line[VARY_MAX];
    struct hs_str all_vary = write_vary(line, answer->vary, has_codings(r, body->n));
    size_t room = api_kept_headers_room(r, all_vary) + answer->headers.n + FORM_HEADERS_MAX +
                  OWN_HEADERS_MAX;
    char *headers = hs_buf_failed(body) ? NULL : hs_arena_alloc(r->req->arena, room);
    size_t n;

    if (!headers) {
        api_kept_fail(r, /* is_unfit= */ true);
        api_reply_failed(r->req, body);
        api_hold_release(hold);
        return;
    }
    n = put(headers, api_kept_headers(headers, r, all_vary), answer->headers);
    if (r->kept)
        keep(r->kept, answer, hs_strn(headers, n), hs_buf_str(body));
    reply_own(r, answer, headers, n, hs_buf_str(body));
    api_hold_release(hold);
}

void api_kept_fail(struct api_request *r, bool is_unfit)
{
    struct api_kept *kept = r->kept;

    if (!kept)
        return;
    if (kept->asked != HS_CACHE_HIT)
        hs_metric_cache(r->req->metrics, r->req->route, kept->asked);
    kept->asked = HS_CACHE_HIT;
    if (kept->flight)
        cache_drop(kept->flight, is_unfit);
    kept->flight = NULL;
    hs_identity_unref(kept->as);
    kept->as = NULL;
}

/* ---- asking ---- */

static hs_status ask_alone(struct api_kept *kept, struct hs_err *reterr)
{
    if (kept->only_if_kept)
        return hs_fail(reterr, HS_E_NOT_KEPT,
                       "no answer to this request is kept, and it said only-if-cached");
    return api_run_affordable(kept->worker, kept->r, kept->run, reterr);
}

static void on_joined(struct cache_joiner *joiner, struct cache_entry *entry)
{
    struct api_kept *kept = HS_CONTAINER(joiner, struct api_kept, joiner);
    struct api_hold *hold = kept->r->hold;
    struct hs_err err = {0};

    if (entry) {
        hs_identity_unref(kept->as);
        reply_entry(kept->worker, hold->model, kept->r->req, entry, kept->ask.now, FROM_FLIGHT);
        api_hold_release(hold);
        return;
    }
    if (ask_alone(kept, &err))
        reply_failed(kept->r, &err);
}

static hs_us ttl_of(const struct api_request *r, const struct api_depend *depend)
{
    const struct api_model *model = r->hold->model;
    hs_us ttl = r->is_item ? model->rules.ttl_item : model->rules.ttl_list;

    if (r->depend)
        ttl = r->ttl;
    for (size_t i = 0; i < model->catalog->n_claims; i++) {
        if ((depend->claims >> i & 1) && hs_str_is(model->catalog->claims[i], "sub") &&
            ttl > model->rules.ttl_user)
            ttl = model->rules.ttl_user;
    }
    return ttl < r->keep->ttl_max ? ttl : r->keep->ttl_max;
}

static hs_status ask_database(struct api_kept *kept, struct hs_err *reterr)
{
    kept->asked = kept->flight ? HS_CACHE_MISS : HS_CACHE_BYPASS;
    return ask_alone(kept, reterr);
}

/* ---- the shared tier ---- */

/*
 * What nodes must agree in beside the key: what tags are derived from, the headers of the answer, and how this very
 * program writes it.
 */
static uint64_t catalog_of(const struct api_request *r)
{
    const struct api_model *model = r->hold->model;
    const uint64_t numbers[] = {model->catalog->fingerprint, model->rules.compress.enabled,
                                model->rules.compress.min};
    uint64_t digest = hs_digest(hs_strn((const char *)numbers, sizeof(numbers)));

    return hs_digest_more(hs_digest_more(digest, r->keep->cache_control), HS_STR(HS_VERSION));
}

static void on_shared(struct cache_shared_get *get, struct hs_str value)
{
    struct api_kept *kept = HS_CONTAINER(get, struct api_kept, shared);
    struct api_hold *hold = kept->r->hold;
    const struct cache_shared_reader reader = {.catalog = get->catalog,
                                               .token = kept->ask.token,
                                               .ttl_max = kept->ttl,
                                               .now = net_loop_now(kept->worker->loop),
                                               .wall = hs_wall_now(),
                                               .route = kept->r->req->route,
                                               .target = kept->r->req->target};
    struct cache_entry *entry = cache_shared_take(kept->worker->shared, kept->flight, value,
                                                  &reader);
    struct hs_err err = {0};

    if (entry) {
        kept->flight = NULL;
        hs_identity_unref(kept->as);
        kept->as = NULL;
        reply_entry(kept->worker, hold->model, kept->r->req, entry, reader.now, FROM_SHARED);
        api_hold_release(hold);
        return;
    }
    if (ask_database(kept, &err))
        reply_failed(kept->r, &err);
}

/* true: on_shared() follows. */
static bool ask_shared(struct api_kept *kept)
{
    struct cache_shared *shared = kept->worker->shared;

    if (!shared)
        return false;
    kept->shared = (struct cache_shared_get){.catalog = catalog_of(kept->r), .done = on_shared};
    return !kept->ask.is_fresh && cache_shared_get(shared, kept->flight, &kept->shared);
}

/* The leader asks for others, too: whether its own client stays is no matter then. */
static hs_status get(struct api_kept *kept, struct hs_err *reterr)
{
    struct cache_entry *entry = NULL;
    struct api_hold *hold = kept->r->hold;
    enum cache_got got;

    kept->joiner.loop = kept->worker->loop;
    kept->joiner.done = on_joined;
    got = cache_get(kept->worker->cache->store, &kept->ask, &kept->joiner, &entry, &kept->flight,
                    &kept->missed);
    switch (got) {
    case CACHE_HIT:
    case CACHE_STALE:
        hs_identity_unref(kept->as);
        kept->as = NULL;
        reply_entry(kept->worker, hold->model, kept->r->req, entry, kept->ask.now,
                    got == CACHE_HIT ? FROM_STORE : FROM_EXPIRED);
        api_hold_release(hold);
        return HS_OK;
    case CACHE_JOIN:
        return HS_OK;
    case CACHE_LEAD:
        kept->r->query.is_unwanted = NULL;
        if (ask_shared(kept))
            return HS_OK;
        break;
    case CACHE_BYPASS:
        break;
    }
    return ask_database(kept, reterr);
}

/* What it depends on, and as whom it is asked. */
static hs_status prepare(struct api_kept *kept, const char *const *key, struct api_depend *depend,
                         struct hs_err *reterr)
{
    struct api_request *r = kept->r;
    const struct api_model *model = r->hold->model;
    struct cache_state *state = kept->worker->cache->state;
    struct hs_identity *who = r->req->identity;
    hs_status status;

    if (r->depend)
        status = api_depend_read(model, r->depend, who, state, r->req->arena, depend, reterr);
    else if (key)
        status = api_depend_item(model, r->table, key, who, state, r->req->arena, depend, reterr);
    else
        status = api_depend_tree(model, &r->ask.tree, who, state, r->req->arena, depend, reterr);
    kept->is_keepable = !status && depend->is_known;
    if (!kept->is_keepable)
        return status;
    kept->ttl = ttl_of(r, depend);
    kept->is_keepable = kept->ttl > 0;
    kept->as = api_callers_take(kept->worker->callers, model, who, depend->claims);
    if (!kept->as)
        return hs_fail_memory(reterr);
    r->query.who = kept->as;
    return HS_OK;
}

hs_status api_kept_question(struct api_kept *kept, const char *const *key,
                            struct api_depend *ret_depend, struct hs_err *reterr)
{
    struct api_request *r = kept->r;
    struct hs_buf *scratch = &kept->worker->scratch;
    hs_status status = prepare(kept, key, ret_depend, reterr);

    if (status || !kept->is_keepable)
        return status;
    api_key_write(r, kept->as, scratch);
    if (hs_buf_failed(scratch))
        return hs_fail_memory(reterr);
    kept->ask = (struct cache_ask){.key = hs_buf_str(scratch),
                                   .hash = hs_hash(hs_buf_str(scratch)),
                                   .generation = r->hold->model->generation,
                                   .tags = ret_depend->tags,
                                   .n_tags = ret_depend->n_tags,
                                   .now = net_loop_now(kept->worker->loop)};
    return HS_OK;
}

/* For when the database has failed: by then the worker's scratch is another request's. */
static bool keep_key(struct api_kept *kept)
{
    kept->ask.key = hs_arena_dup(kept->r->req->arena, kept->ask.key);
    return !hs_arena_failed(kept->r->req->arena);
}

static hs_status start(struct api_kept *kept, const char *const *key, const struct wishes *wishes,
                       struct hs_err *reterr)
{
    struct api_request *r = kept->r;
    struct api_depend depend;
    hs_status status = api_kept_question(kept, key, &depend, reterr);

    if (!status && kept->is_keepable && !wishes->keeps_none) {
        kept->ask.token = wishes->token;
        kept->ask.is_fresh = wishes->is_fresh;
        kept->may_be_stale = r->hold->model->rules.serves_stale && !wishes->is_fresh;
        if (kept->may_be_stale && !keep_key(kept))
            return hs_fail_memory(reterr);
        api_memo_put(kept->worker->memo, r->req, r->words,
                     &(struct api_memo_key){kept->ask.key, kept->ask.hash, r->req->route});
        return get(kept, reterr);
    }
    hs_metric_cache(r->req->metrics, r->req->route, HS_CACHE_BYPASS);
    return status ? status : ask_alone(kept, reterr);
}

hs_status api_kept_run(struct api_worker *worker, struct api_request *r, const char *const *key,
                       api_run_f *run, struct hs_err *reterr)
{
    struct wishes wishes;
    struct api_kept *kept;
    hs_status status;

    if (!worker->cache || api_request_is_lent(r))
        return api_run_affordable(worker, r, run, reterr);
    status = read_wishes(r->req, r->hold->model, &wishes, reterr);
    if (status)
        return status;
    kept = HS_NEW(r->req->arena, struct api_kept);
    if (!kept)
        return hs_fail_memory(reterr);
    *kept = (struct api_kept){.r = r, .worker = worker, .run = run};
    r->kept = kept;
    kept->only_if_kept = wishes.only_if_kept;
    status = start(kept, key, &wishes, reterr);
    if (status && api_kept_stale(r, reterr))
        return HS_OK;
    if (status)
        api_kept_fail(r, /* is_unfit= */ false);
    return status;
}

bool api_kept_hit(struct api_worker *worker, struct http_req *req, struct hs_str words)
{
    const struct api_model *model = worker->hold->model;
    struct cache_entry *entry;
    struct api_memo_key key;
    struct wishes wishes;
    struct cache_ask ask;

    if (!worker->cache || req->scope || !api_memo_find(worker->memo, req, words, &key) ||
        read_wishes(req, model, &wishes, NULL) || wishes.is_fresh)
        return false;
    ask = (struct cache_ask){.key = key.key,
                             .hash = key.hash,
                             .generation = model->generation,
                             .token = wishes.token,
                             .now = net_loop_now(worker->loop)};
    entry = cache_hit(worker->cache->store, &ask);
    if (!entry)
        return false;
    req->route = key.route;
    reply_entry(worker, model, req, entry, ask.now, FROM_STORE);
    return true;
}
