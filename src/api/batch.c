/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST {api.path}/batch: many requests in one, answered together, in their order. It hides one thing only:
 * a POST to a table called "batch".
 *
 * As a transaction ("transaction": true) they run one after the other on one connection, each seeing what those
 * before it wrote, up to the first that fails: then nothing of any of them stays, and those that were undone or never
 * begun say so (424). The answer leaves when COMMIT was answered.
 *
 * Else all of them are started in one turn of the loop, so their statements reach the pool together and share
 * what statements can share. They run side by side: none sees an effect of another for certain. Each
 * answer becomes its piece of the batch's answer when it is there; the last one joins the pieces.
 *
 * Memory: every piece is counted with http_req_hold(). A short one for each request is counted before any
 * is started, so that an answer for which there is no room can always be replaced by the words that say so.
 */
#include "api/batch_read.h"
#include "api/request.h"
#include "api/settle.h"
#include "core/json.h"
#include "http/sub.h"
#include "pg/loan.h"

enum { SHORT_PIECE = 512, ERROR_TEXT_MAX = 16384 };

#define NAME "/batch"

struct batch;

struct batch_part {
    struct http_sub sub;
    struct batch *batch;
    struct hs_str id;
    struct hs_buf text; /* its piece of the answer */
    size_t held;        /* bytes counted for it */
};

/* In the parent's arena. */
struct batch {
    struct http_req *req;
    struct batch_part *parts;
    size_t n_parts;
    size_t left; /* parts without an answer, and 1 until all are started */
    /* A transaction: */
    bool is_transaction;
    bool is_starting; /* further up the stack: the next part is begun there */
    size_t n_begun;
    size_t n_done;
    unsigned failed; /* status of the part that failed; 0 = none */
    struct pg_loan loan;
    struct api_request end; /* answers for all of them */
};

/* ---- one answer ---- */

/* The next "Name: value" of header lines. false: there is none. */
static bool next_line(struct hs_str *lines, struct http_header *ret_line)
{
    struct hs_str value;

    if (lines->n == 0)
        return false;
    value = hs_str_cut(lines, '\n');
    if (value.n && value.p[value.n - 1] == '\r')
        value.n--;
    ret_line->name = hs_str_cut(&value, ':');
    ret_line->value = hs_str_trim(value);
    return true;
}

static void write_name(struct hs_buf *out, struct hs_str name)
{
    char *to = hs_buf_room(out, name.n + 1);

    for (size_t i = 0; to && i < name.n; i++)
        to[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]);
    if (to)
        hs_buf_added(out, name.n);
}

/* Names in lower case, each once: of several lines with one name the last is shown. No handler under
 * api.path sends any. */
static void write_headers(struct hs_buf *out, const struct http_reply *reply)
{
    struct hs_str lines = reply->headers;
    struct http_header line;
    bool is_first = reply->content_type.n == 0;

    hs_buf_add_char(out, '{');
    if (reply->content_type.n) {
        hs_buf_add_lit(out, "\"content-type\":");
        hs_json_string(out, reply->content_type);
    }
    while (next_line(&lines, &line)) {
        struct hs_str later = lines;
        struct http_header other;
        bool is_last = true;

        while (is_last && next_line(&later, &other))
            is_last = !hs_str_ieq(other.name, line.name);
        if (!is_last)
            continue;
        hs_buf_add(out, is_first ? HS_STR("\"") : HS_STR(",\""));
        write_name(out, line.name);
        hs_buf_add_lit(out, "\":");
        hs_json_string(out, line.value);
        is_first = false;
    }
    hs_buf_add_char(out, '}');
}

static void write_piece(struct hs_buf *out, struct hs_str id, const struct http_reply *reply)
{
    hs_buf_add_lit(out, "{\"id\":");
    hs_buf_add(out, id);
    hs_buf_add_lit(out, ",\"status\":");
    hs_buf_add_u64(out, reply->status);
    hs_buf_add_lit(out, ",\"headers\":");
    write_headers(out, reply);
    hs_buf_add_lit(out, ",\"body\":");
    if (reply->body.n == 0)
        hs_buf_add_lit(out, "null");
    else if (api_is_json(reply->content_type))
        hs_buf_add(out, reply->body);
    else
        hs_json_string(out, reply->body);
    hs_buf_add_char(out, '}');
}

/* Fits into SHORT_PIECE with any id. */
static const struct http_reply no_room = {
    .status = 503,
    .content_type = {"application/json", 16},
    .body = {"{\"code\":\"limit_reached\",\"message\":\"there is no room for this answer\","
             "\"details\":\"the answers of a batch are bounded by server.answer.max\","
             "\"hint\":\"Ask for less, or ask for it alone.\"}",
             sizeof("{\"code\":\"limit_reached\",\"message\":\"there is no room for this answer\","
                    "\"details\":\"the answers of a batch are bounded by server.answer.max\","
                    "\"hint\":\"Ask for less, or ask for it alone.\"}") -
                 1}};

/* Counts what is longer, with the comma behind it, than the short piece that is counted already. */
static bool hold_piece(struct batch_part *part)
{
    size_t more = part->text.n >= SHORT_PIECE ? part->text.n + 1 - SHORT_PIECE : 0;

    if (hs_buf_failed(&part->text) || !http_req_hold(part->batch->req, more))
        return false;
    part->held += more;
    return true;
}

static void keep(struct batch_part *part, const struct http_reply *reply)
{
    if (part->batch->req->is_gone)
        return;
    write_piece(&part->text, part->id, reply);
    if (hold_piece(part))
        return;
    hs_buf_fini(&part->text);
    hs_buf_init(&part->text, SHORT_PIECE);
    write_piece(&part->text, part->id, &no_room);
}

static const struct http_reply undone = {
    .status = 424,
    .content_type = {"application/json", 16},
    .body = {"{\"code\":\"rolled_back\",\"message\":\"another request of the transaction failed\","
             "\"details\":null,\"hint\":\"Nothing was changed. See the request that failed.\"}",
             sizeof("{\"code\":\"rolled_back\",\"message\":\"another request of the transaction "
                    "failed\",\"details\":null,"
                    "\"hint\":\"Nothing was changed. See the request that failed.\"}") -
                 1}};

/* ---- all of them ---- */

static void join(struct batch *batch, struct hs_buf *out)
{
    http_req_unhold(batch->req, SHORT_PIECE);
    hs_buf_add_char(out, '{');
    if (batch->is_transaction)
        hs_buf_add(out,
                   batch->failed ? HS_STR("\"committed\":false,") : HS_STR("\"committed\":true,"));
    hs_buf_add_lit(out, "\"responses\":[");
    for (size_t i = 0; i < batch->n_parts; i++) {
        struct batch_part *part = &batch->parts[i];

        if (i)
            hs_buf_add_char(out, ',');
        hs_buf_add(out, hs_buf_str(&part->text));
        out->failed |= hs_buf_failed(&part->text);
        hs_buf_fini(&part->text);
        http_req_unhold(batch->req, part->held);
    }
    hs_buf_add_lit(out, "]}");
}

static void one_done(struct batch *batch)
{
    struct http_req *req = batch->req;
    struct http_reply reply = {.status = 200, .content_type = HS_STR("application/json")};
    struct hs_buf *out;

    if (--batch->left)
        return;
    out = http_req_scratch(req);
    join(batch, out);
    if (hs_buf_failed(out)) {
        api_reply_failed(req, out);
        return;
    }
    reply.body = hs_buf_str(out);
    http_reply(req, &reply);
}

/* ---- as a transaction ---- */

static void say_undone(struct batch_part *part)
{
    http_req_unhold(part->batch->req, part->held - SHORT_PIECE);
    part->held = SHORT_PIECE;
    hs_buf_clear(&part->text);
    write_piece(&part->text, part->id, &undone);
}

static void end_transaction(struct batch *batch)
{
    if (!batch->failed) {
        pg_loan_commit(&batch->loan);
        return;
    }
    for (size_t i = 0; i < batch->n_parts; i++) {
        if (i + 1 != batch->n_done)
            say_undone(&batch->parts[i]);
    }
    pg_loan_abort(&batch->loan);
}

static void start_part(struct batch_part *part);

/* Begins one part after the other; a part that is answered at once is followed from here, not from its answer. */
static void go_on(struct batch *batch)
{
    if (batch->is_starting)
        return;
    batch->is_starting = true;
    while (!batch->failed && batch->n_begun == batch->n_done && batch->n_begun < batch->n_parts)
        start_part(&batch->parts[batch->n_begun++]);
    batch->is_starting = false;
    if (batch->failed || batch->n_done == batch->n_parts)
        end_transaction(batch);
}

static void step_done(struct batch *batch, unsigned status)
{
    batch->n_done++;
    batch->failed = status >= 400 ? status : 0;
    go_on(batch);
}

static void on_loan_ready(struct pg_loan *loan)
{
    go_on(loan->arg);
}

static void on_loan_ended(struct pg_loan *loan, const struct hs_err *err)
{
    struct batch *batch = loan->arg;
    struct http_req *req = batch->req;
    struct api_hold *hold = batch->end.hold;
    struct http_reply reply = {.content_type = HS_STR("application/json")};
    struct hs_buf *out = http_req_scratch(req);

    reply.status = batch->failed ? batch->failed : 200;
    join(batch, out);
    if (err && !batch->failed) {
        api_settle_failed(&batch->end, loan->epoch, loan->position, err, err);
        return;
    }
    if (hs_buf_failed(out)) {
        /* Committed or not, its answer cannot be made. */
        hs_buf_clear(out);
        hs_buf_add(out, batch->failed ? HS_STR("{\"committed\":false,\"responses\":null}")
                                      : HS_STR("{\"committed\":true,\"responses\":null}"));
    }
    reply.body = hs_buf_str(out);
    if (!batch->failed) {
        api_settle(&batch->end, loan->epoch, loan->position, &reply);
        return;
    }
    http_reply(req, &reply);
    api_hold_release(hold);
}

static hs_status start_transaction(struct batch *batch, struct api_worker *worker,
                                   struct hs_err *reterr)
{
    hs_status status;

    if (!batch->n_parts)
        return hs_fail(reterr, HS_E_BAD_BODY, "a transaction of no requests");
    batch->end = (struct api_request){
        .magic = API_REQUEST_MAGIC, .req = batch->req, .worker = worker, .hold = worker->hold};
    batch->loan = (struct pg_loan){.magic = PG_LOAN_MAGIC,
                                   .lifetime = worker->hold->model->rules.batch_transaction_max,
                                   .ready = on_loan_ready,
                                   .ended = on_loan_ended,
                                   .arg = batch};
    for (size_t i = 0; i < batch->n_parts; i++)
        batch->parts[i].sub.scope = &batch->loan;
    status = pg_loan_begin(worker->pool, &batch->loan, reterr);
    if (!status)
        worker->hold->uses++;
    return status;
}

/* ---- one of them ---- */

static void part_done(struct batch_part *part, unsigned status)
{
    if (part->batch->is_transaction)
        step_done(part->batch, status);
    else
        one_done(part->batch);
}

static void on_answer(struct http_sub *sub, const struct http_reply *reply)
{
    struct batch_part *part = HS_CONTAINER(sub, struct batch_part, sub);

    keep(part, reply);
    part_done(part, reply->status);
}

/* ---- the requests ---- */

/* What a batch may not ask for; else a request says for itself what is wrong with it. */
static hs_status check_path(const struct http_sub *sub, struct hs_err *reterr)
{
    struct hs_str path = hs_str_sub(sub->target, 0, hs_str_find(sub->target, '?'));
    struct hs_str own = sub->parent->path;
    struct hs_str root = hs_str_sub(own, 0, own.n - (sizeof(NAME) - 1));

    if (hs_str_eq(path, own) && hs_str_is(sub->method, "POST")) {
        (void)hs_fail(reterr, HS_E_BAD_BODY, "a batch cannot hold a batch");
        hs_err_hint(reterr, "Put its requests into the list.");
        return HS_E_BAD_BODY;
    }
    if (hs_str_starts(path, root) && (path.n == root.n || path.p[root.n] == '/'))
        return HS_OK;
    (void)hs_fail(reterr, HS_E_BAD_BODY, "\"path\" does not lie under %.*s", HS_FMT(root));
    hs_err_hint(reterr, "Write it as in a request of its own: %.*s/...", HS_FMT(root));
    return HS_E_BAD_BODY;
}

static void refuse_part(struct batch_part *part, const struct hs_err *err)
{
    struct http_reply reply = {.status = hs_err_http(err),
                               .content_type = HS_STR("application/json")};
    struct hs_buf text;

    hs_buf_init(&text, ERROR_TEXT_MAX);
    hs_err_to_json(err, /* with_why= */ true, &text);
    reply.body = hs_buf_str(&text);
    keep(part, hs_buf_failed(&text) ? &no_room : &reply);
    hs_buf_fini(&text);
    part_done(part, reply.status);
}

static void start_part(struct batch_part *part)
{
    struct hs_err err = {0};

    if (check_path(&part->sub, &err) == HS_OK)
        http_sub_run(&part->sub);
    else
        refuse_part(part, &err);
}

static void start(struct batch *batch)
{
    for (size_t i = 0; i < batch->n_parts; i++)
        start_part(&batch->parts[i]);
    one_done(batch);
}

static bool has_header(const struct batch_item *item, struct hs_str name)
{
    for (size_t i = 0; i < item->n_headers; i++) {
        if (hs_str_ieq(item->headers[i].name, name))
            return true;
    }
    return false;
}

/* What the client has seen written holds for each of its reads. false: no memory. */
static bool pass_position(const struct http_req *req, struct batch_item *item)
{
    struct hs_str name = HS_STR(API_POSITION_HEADER);
    struct hs_str position = http_req_header(req, name);
    struct http_header *headers;

    if (!position.p || has_header(item, name))
        return true;
    headers = HS_NEW_ARRAY(req->arena, item->n_headers + 1, struct http_header);
    if (!headers)
        return false;
    if (item->n_headers)
        memcpy(headers, item->headers, item->n_headers * sizeof(*headers));
    headers[item->n_headers++] = (struct http_header){name, position};
    item->headers = headers;
    return true;
}

static void fill_part(struct batch_part *part, struct batch *batch, const struct batch_item *item,
                      size_t piece_max)
{
    part->batch = batch;
    part->id = item->id;
    part->held = SHORT_PIECE;
    hs_buf_init(&part->text, piece_max);
    part->sub = (struct http_sub){.magic = HTTP_SUB_MAGIC,
                                  .parent = batch->req,
                                  .method = item->method,
                                  .target = item->path,
                                  .headers = item->headers,
                                  .n_headers = item->n_headers,
                                  .body = item->body,
                                  .done = on_answer};
}

static hs_status make(struct http_req *req, struct batch_list *list, struct batch **ret_batch,
                      struct hs_err *reterr)
{
    struct batch *batch = HS_NEW(req->arena, struct batch);
    size_t piece_max = http_req_scratch(req)->max; /* server.answer.max */

    if (!batch)
        return hs_fail_memory(reterr);
    batch->req = req;
    batch->n_parts = list->n;
    batch->left = list->n + 1;
    batch->is_transaction = list->is_transaction;
    batch->parts = HS_NEW_ARRAY(req->arena, list->n + 1, struct batch_part);
    if (!batch->parts)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < list->n; i++) {
        if (!pass_position(req, &list->items[i]))
            return hs_fail_memory(reterr);
    }
    /* One more for what stands around the pieces. */
    if (!http_req_hold(req, (list->n + 1) * SHORT_PIECE))
        return hs_fail(reterr, HS_E_LIMIT, "there is no room for the answers of a batch this long");
    for (size_t i = 0; i < list->n; i++)
        fill_part(&batch->parts[i], batch, &list->items[i], piece_max);
    *ret_batch = batch;
    return HS_OK;
}

/* Nothing of it was begun. */
static void forget(struct batch *batch)
{
    for (size_t i = 0; i < batch->n_parts; i++)
        hs_buf_fini(&batch->parts[i].text);
    http_req_unhold(batch->req, (batch->n_parts + 1) * SHORT_PIECE);
}

static hs_status read_batch(uint64_t items_max, struct http_req *req, struct batch **ret_batch,
                            struct hs_err *reterr)
{
    struct hs_str content_type = http_req_header(req, HS_STR("Content-Type"));
    struct batch_list list;
    hs_status status;

    if (content_type.p && !api_is_json(content_type))
        return hs_fail(reterr, HS_E_MEDIA_TYPE, "a batch is JSON, not \"%.*s\"",
                       HS_FMT(content_type));
    if (http_req_header(req, HS_STR("Idempotency-Key")).p)
        return hs_fail(reterr, HS_E_BAD_PARAMETER,
                       "an Idempotency-Key belongs to a request of the batch, into its headers");
    status = batch_read(req->body, items_max, req->arena, &list, reterr);
    return status ? status : make(req, &list, ret_batch, reterr);
}

bool api_batch_is(const struct http_req *req)
{
    return req->method == HTTP_POST && hs_str_is(req->path_rest, &NAME[1]);
}

void api_batch_run(struct api_worker *worker, struct http_req *req)
{
    struct batch *batch = NULL;
    struct hs_err err = {0};
    hs_status status;

    req->route = hs_metric_route(req->path);
    status = read_batch(worker->hold->model->rules.batch_max, req, &batch, &err);
    if (!status && batch->is_transaction)
        status = start_transaction(batch, worker, &err);
    else if (!status)
        start(batch);
    if (status) {
        if (batch)
            forget(batch);
        http_reply_error(req, &err);
    }
}

bool api_batch_hides(const struct api_model *model)
{
    return api_model_table(model, hs_str(&NAME[1])) != NULL;
}
