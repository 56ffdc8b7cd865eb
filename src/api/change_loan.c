/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes that are looked at before they are committed.
 *
 *     Idempotency-Key:  begin · take the key · change · keep the answer · commit · answer
 *                       begin · find the answer · end · answer it again
 *     max-affected:     begin · change · count · commit or roll back
 *
 * The rule: the answer is kept in the transaction of its change, so both are there or neither is. A
 * repetition that comes while the first is under way waits for it inside PostgreSQL.
 *
 * Whose key: the role's and the claims', without those that only say when a token was made and how long
 * it lasts. So a client may repeat with a fresh token, and nobody meets another's keys.
 *
 * Source: "The Idempotency-Key HTTP Header Field" (IETF httpapi), RFC 7519 4.1 (claims).
 */
#include <stdio.h>

#include "api/settle.h"
#include "core/json_read.h"
#include "net/crypto.h"
#include "pg/loan.h"

enum { KEY_MAX = 255, BODY_KEPT_MAX = 1 << 20, KEEP_TEXT = 40 };
enum { CHANGE_LOAN_MAGIC = 0x43484c4e };

static const char SQL_BEGIN[] =
    "SELECT is_new, is_same, status, headers, body FROM hasten.idempotency_begin($1, $2, $3, $4)";
static const char SQL_END[] = "SELECT hasten.idempotency_end($1, $2, $3::pg_catalog.int4, $4, $5)";

struct change_loan {
    uint32_t magic;
    struct pg_loan loan;
    struct api_request *r;
    struct pg_query own; /* a statement of hasten's own schema */
    const char *params[5];
    struct hs_str key; /* p == NULL: none */
    char caller[NET_SHA256_HEX];
    char request[NET_SHA256_HEX];
    char keep[KEEP_TEXT];
    char status[8];
    struct hs_err failure; /* why there will be no COMMIT */
    struct http_reply reply;
};

/* ---- the key ---- */

static bool is_time(struct hs_str name)
{
    static const char *const times[] = {"exp", "iat", "nbf", "jti"};

    for (size_t i = 0; i < HS_LEN(times); i++) {
        if (hs_str_is(name, times[i]))
            return true;
    }
    return false;
}

/* As they stand in the token: a number of any size is itself and no other. False = not understood. */
static bool add_claims(struct hs_buf *to, struct hs_str claims)
{
    struct json_reader r;
    enum json_token token;

    json_reader_init(&r, claims, JSON_DEPTH_MAX);
    if (json_next(&r, &token, NULL) || token != JSON_OBJECT)
        return false;
    while (!json_next(&r, &token, NULL) && token == JSON_NAME) {
        struct hs_str name = r.value;
        struct hs_str value;

        if (json_next(&r, &token, NULL) || json_skip(&r, token, &value, NULL))
            return false;
        if (is_time(name))
            continue;
        hs_buf_add(to, name);
        hs_buf_add_char(to, ':');
        hs_buf_add(to, value);
        hs_buf_add_char(to, '\n');
    }
    return token == JSON_OBJECT_END;
}

static bool digest_caller(struct change_loan *c, struct hs_buf *scratch)
{
    const struct hs_identity *who = c->r->req->identity;
    size_t before;

    hs_buf_clear(scratch);
    hs_buf_add(scratch, who->role);
    hs_buf_add_char(scratch, '\n');
    before = scratch->n;
    if (!add_claims(scratch, who->claims) && !hs_buf_failed(scratch)) {
        scratch->n = before;
        hs_buf_add(scratch, who->claims);
    }
    return !hs_buf_failed(scratch) && net_sha256_hex(hs_buf_str(scratch), c->caller);
}

static bool digest_request(struct change_loan *c, struct hs_buf *scratch)
{
    const struct http_req *req = c->r->req;

    hs_buf_clear(scratch);
    hs_buf_add(scratch, req->method_name);
    hs_buf_add_char(scratch, ' ');
    hs_buf_add(scratch, req->target);
    hs_buf_add_char(scratch, '\n');
    hs_buf_add(scratch, req->body);
    return !hs_buf_failed(scratch) && net_sha256_hex(hs_buf_str(scratch), c->request);
}

static hs_status read_key(struct change_loan *c, struct hs_err *reterr)
{
    struct hs_str key = http_req_header(c->r->req, HS_STR("idempotency-key"));
    struct hs_buf *scratch = http_req_scratch(c->r->req);

    if (!key.p)
        return HS_OK;
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] < 0x20 || key.p[i] > 0x7e)
            key.n = 0;
    }
    if (!key.n || key.n > KEY_MAX)
        return hs_fail(reterr, HS_E_BAD_PARAMETER,
                       "Idempotency-Key must be 1 to %d visible ASCII characters", KEY_MAX);
    c->key = hs_arena_dup(c->r->req->arena, key);
    if (hs_arena_failed(c->r->req->arena) || !digest_caller(c, scratch) ||
        !digest_request(c, scratch))
        return hs_fail_memory(reterr);
    (void)snprintf(c->keep, sizeof(c->keep), "%llu microseconds",
                   (unsigned long long)c->r->hold->model->rules.idempotency_keep);
    return HS_OK;
}

/* ---- the end ---- */

static void on_ended(struct pg_loan *loan, const struct hs_err *err)
{
    struct change_loan *c = loan->arg;
    struct api_request *r = c->r;

    HS_OBJ(c, CHANGE_LOAN_MAGIC);
    r->req->pg_us += hs_now_us() - r->submitted_at;
    if (err && !c->failure.status)
        c->failure = *err;
    if (c->failure.status)
        api_settle_failed(r, /* epoch= */ 0, /* position= */ 0, &c->failure, &c->failure);
    else
        api_settle(r, loan->epoch, loan->position, &c->reply);
}

/* ---- the steps ---- */

static void run_own(struct change_loan *c, const char *sql, size_t n_params,
                    void (*done)(struct pg_query *query, const struct pg_rows *rows,
                                 const struct hs_err *err))
{
    c->own = (struct pg_query){.magic = PG_QUERY_MAGIC,
                               .sql = hs_str(sql),
                               .params = c->params,
                               .n_params = n_params,
                               .done = done,
                               .arg = c};
    pg_loan_run(&c->loan, &c->own);
}

static void on_kept(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct change_loan *c = query->arg;

    (void)rows;
    if (!err) {
        pg_loan_commit(&c->loan);
        return;
    }
    c->failure = *err;
    pg_loan_abort(&c->loan);
}

/* The answer outlives this callback; too long a one to be kept says how many rows it were. */
static bool keep_answer(struct change_loan *c, const struct pg_rows *rows)
{
    struct hs_arena *arena = c->r->req->arena;
    struct hs_buf headers;

    hs_buf_init(&headers, API_CHANGE_HEADERS_MAX);
    api_change_answer(c->r, rows, &headers, &c->reply);
    if (c->key.p && c->reply.body.n > BODY_KEPT_MAX)
        c->reply.body = hs_arena_printf(arena, "{\"affected\":%zu}", pg_rows_affected(rows));
    else
        c->reply.body = hs_arena_dup(arena, c->reply.body);
    c->reply.headers = hs_arena_dup(arena, c->reply.headers);
    hs_buf_fini(&headers);
    return !hs_arena_failed(arena);
}

static void on_changed(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct api_request *r = query->arg;
    struct change_loan *c = r->change->loan;

    if (api_change_check(r, rows, err, &c->failure)) {
        pg_loan_abort(&c->loan);
        return;
    }
    if (!keep_answer(c, rows)) {
        (void)hs_fail_memory(&c->failure);
        pg_loan_abort(&c->loan);
        return;
    }
    if (!c->key.p) {
        pg_loan_commit(&c->loan);
        return;
    }
    (void)snprintf(c->status, sizeof(c->status), "%u", c->reply.status);
    c->params[2] = c->status;
    c->params[3] = c->reply.headers.p;
    c->params[4] = c->reply.body.p;
    run_own(c, SQL_END, 5, on_kept);
}

static void run_change(struct change_loan *c)
{
    c->r->query.done = on_changed;
    pg_loan_run(&c->loan, &c->r->query);
}

/* It was answered before: the same again, and a header that says so. */
static void answer_again(struct change_loan *c, const struct pg_rows *rows)
{
    struct hs_arena *arena = c->r->req->arena;
    struct hs_str body = pg_rows_value(rows, 0, 4);
    int64_t status = 0;

    if (!hs_str_to_i64(pg_rows_value(rows, 0, 2), &status)) {
        (void)hs_fail(&c->failure, HS_E_INTERNAL, "an answer was kept without its status");
        return;
    }
    c->reply = (struct http_reply){.status = (unsigned)status, .body = hs_arena_dup(arena, body)};
    if (body.n)
        c->reply.content_type = HS_STR("application/json");
    c->reply.headers = hs_arena_printf(arena, "%.*sIdempotency-Replayed: true\r\n",
                                       HS_FMT(pg_rows_value(rows, 0, 3)));
    if (hs_arena_failed(arena))
        (void)hs_fail_memory(&c->failure);
}

static void explain_schema(struct hs_err *err)
{
    if (strcmp(err->sqlstate, "42883") != 0 && strcmp(err->sqlstate, "3F000") != 0 &&
        strcmp(err->sqlstate, "42501") != 0)
        return;
    (void)hs_fail(err, HS_E_BAD_PARAMETER, "this server keeps no answers by Idempotency-Key");
    hs_err_hint(err, "Its operator has to install schema hasten (sql/hasten.sql) and grant it to "
                     "the login role with hasten.allow().");
}

static void on_key(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct change_loan *c = query->arg;

    if (err) {
        c->failure = *err;
        explain_schema(&c->failure);
        pg_loan_abort(&c->loan);
        return;
    }
    if (hs_str_is(pg_rows_value(rows, 0, 0), "t")) {
        run_change(c);
        return;
    }
    if (hs_str_is(pg_rows_value(rows, 0, 1), "t"))
        answer_again(c, rows);
    else
        (void)hs_fail(&c->failure, HS_E_IDEMPOTENCY,
                      "this Idempotency-Key was used for another request");
    pg_loan_abort(&c->loan);
}

static void on_ready(struct pg_loan *loan)
{
    struct change_loan *c = loan->arg;

    HS_OBJ(c, CHANGE_LOAN_MAGIC);
    if (!c->key.p) {
        run_change(c);
        return;
    }
    c->params[0] = c->caller;
    c->params[1] = c->key.p;
    c->params[2] = c->request;
    c->params[3] = c->keep;
    run_own(c, SQL_BEGIN, 4, on_key);
}

hs_status api_change_lend(struct api_request *r, struct hs_err *reterr)
{
    struct change_loan *c = HS_NEW(r->req->arena, struct change_loan);
    hs_status status;

    if (!c)
        return hs_fail_memory(reterr);
    c->magic = CHANGE_LOAN_MAGIC;
    c->r = r;
    r->change->loan = c;
    status = read_key(c, reterr);
    if (status)
        return status;
    c->loan = (struct pg_loan){
        .magic = PG_LOAN_MAGIC, .ready = on_ready, .ended = on_ended, .arg = c};
    return pg_loan_begin(r->worker->pool, &c->loan, reterr);
}
