/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists without end, row by row from PostgreSQL to the client.
 *
 *     begin a loan · planner's mode · DECLARE · FETCH n · FETCH n ... · end the loan · end the answer
 *                                                  |  ^
 *                                           rows written, handed to the connection
 *
 * The rule: what is fetched next is asked for only when the client has taken enough of what was fetched
 * before, so a slow client costs a connection, a snapshot and what one FETCH brought; and it costs those
 * only for `lifetime`, and only while it takes rate_min. The statement is the one that a page would run.
 *
 * How many rows the next FETCH asks for follows from how long those of the last one were and how long it
 * took. Rows that are suddenly much longer can so make one FETCH large: what the client does not take of
 * it waits in `rest`, and no other is asked for before that is empty.
 *
 * Streams have no hurry, other requests have: of those of a worker one at a time fetches, in turn, so that
 * PostgreSQL's processors are not full of streams. One whose FETCHes are slow would hold the others up
 * and goes without a turn.
 *
 * Nobody may take a part for the whole. Until the first FETCH has come nothing is sent, and a failure is
 * an answer like any other. After it the answer is left without its end, and the connection is closed:
 * a client of HTTP/1.1 sees that the last chunk is missing (RFC 9112, 8), one of HTTP/1.0 a reset.
 *
 * Source: PostgreSQL 15 manual, DECLARE, FETCH, 20.7.4 (cursor_tuple_fraction); RFC 9112, 7.1 and 8.
 */
#include "api/stream.h"

#include <stdio.h>

#include "api/cost.h"
#include "api/csv.h"
#include "core/log.h"
#include "pg/loan.h"

enum { STREAM_MAGIC = 0x5354524d };
enum {
    TURNS = 1,              /* FETCHes of one worker's streams at once */
    FETCH_FIRST = 4,        /* rows; nothing is known of them yet */
    FETCH_ROWS_MAX = 1024,  /* so that suddenly long rows are not too many */
    FETCH_GROWTH = 4,       /* times the rows of the last one, at most */
    FETCH_BYTES = 64 << 10, /* what a FETCH shall bring */
    PIECE_BYTES = 32 << 10, /* handed to the connection at once */
    REST_BYTES_MAX = 256 << 20,
    FETCH_TEXT = 64,
    HTTP_CLIENT_GONE = 499, /* in the log: nobody is there to see it */
};
static const hs_us TICK = 200 * HS_MS;
/* A statement that says nothing for longer keeps us from noticing that the client has left. */
static const hs_us FETCH_TIME = 500 * HS_MS;
/* What takes longer is no matter of turns. */
static const hs_us FETCH_SHORT = 100 * HS_MS;
/* Over so much waiting for the client its rate is taken. */
static const hs_us RATE_TIME = 30 * HS_SECOND;

static const char SQL_PLAN[] = "SELECT pg_catalog.set_config('cursor_tuple_fraction', '1', true)";

struct stream {
    uint32_t magic;
    enum api_format format;
    struct api_request *r;
    struct api_worker *worker;
    struct pg_loan loan;
    struct net_timer *tick;
    struct api_rows_opts opts;
    char fetch[FETCH_TEXT];
    size_t asked;        /* rows, of the FETCH under way */
    struct hs_list turn; /* in worker->streams_ready */
    bool is_short;       /* its FETCHes are: it takes turns */
    bool has_turn;
    hs_us asked_at;
    uint64_t rows;      /* written */
    uint64_t given;     /* bytes handed to the connection */
    struct hs_buf rest; /* written, not handed over */
    size_t rest_at;
    bool has_begun;  /* the head was sent */
    bool is_whole;   /* the last row was written */
    bool is_over;    /* the loan has ended: nothing is added any more */
    bool is_waiting; /* for the client */
    bool is_stalled; /* the client was given up */
    hs_us looked_at; /* at the client's rate */
    hs_us waited;    /* for the client, since the rate was taken last */
    uint64_t taken;  /* by the client, when the rate was taken last */
    struct hs_err failure;
};

static struct http_req *req_of(const struct stream *s)
{
    return s->r->req;
}

/* The loan goes, ended() follows. The first reason is the one that is told. */
static void fail(struct stream *s, const struct hs_err *err)
{
    if (!s->failure.status)
        s->failure = *err;
    pg_loan_abort(&s->loan);
}

/* ---- the forms ---- */

static struct hs_str content_type(enum api_format format)
{
    if (format == API_FORMAT_NDJSON)
        return HS_STR("application/x-ndjson");
    if (format == API_FORMAT_CSV)
        return HS_STR("text/csv; charset=utf-8; header=present");
    return HS_STR("application/json");
}

static void write_head(const struct stream *s, struct hs_buf *out)
{
    if (s->format == API_FORMAT_JSON)
        hs_buf_add_lit(out, "{\"data\":[");
    else if (s->format == API_FORMAT_CSV)
        csv_names_write(out, &s->r->ask.tree);
}

static void write_row(const struct stream *s, const struct pg_rows *rows, size_t row,
                      struct hs_buf *out)
{
    const struct api_request *r = s->r;

    if (s->format == API_FORMAT_CSV) {
        csv_row_write(out, rows, row, r->columns, r->n_columns, &s->opts);
        return;
    }
    if (s->format == API_FORMAT_JSON && s->rows + row > 0)
        hs_buf_add_char(out, ',');
    api_row_write(out, rows, row, r->columns, r->n_columns, &s->opts);
    if (s->format == API_FORMAT_NDJSON)
        hs_buf_add_char(out, '\n');
}

/* What stands behind the last row: the end, or in NDJSON why there is none. */
static void write_tail(const struct stream *s, struct hs_buf *out)
{
    if (s->is_whole && s->format == API_FORMAT_JSON) {
        hs_buf_add_lit(out, "],\"pagination\":{\"page\":");
        hs_buf_add(out, s->r->ask.page ? HS_STR("1") : HS_STR("null"));
        hs_buf_add_lit(out, ",\"limit\":null,\"nextCursor\":null,\"prevCursor\":null}}");
    } else if (!s->is_whole && s->format == API_FORMAT_NDJSON) {
        hs_buf_add_lit(out, "{\"error\":");
        hs_err_to_json(&s->failure, s->failure.sqlstate[0] || hs_err_http(&s->failure) < 500, out);
        hs_buf_add_lit(out, "}\n");
    }
}

/* ---- what is handed over ---- */

static void on_taken(void *arg, struct http_req *req);

static void begin(struct stream *s)
{
    struct http_reply reply = {.status = 200,
                               .content_type = content_type(s->format),
                               .headers = HS_STR("Vary: Accept\r\n")};

    s->has_begun = true;
    http_reply_begin(req_of(s), &reply, on_taken, s);
}

static void give(struct stream *s, struct hs_str data)
{
    if (!s->has_begun)
        begin(s);
    if (!data.n)
        return;
    hs_metric_add(req_of(s)->metrics, HS_M_STREAM_BYTES, data.n);
    if (s->is_waiting || s->rest.n) {
        hs_buf_add(&s->rest, data);
        return;
    }
    s->given += data.n;
    s->is_waiting = !http_reply_chunk(req_of(s), data);
}

static void give_rest(struct stream *s)
{
    while (s->rest_at < s->rest.n && !s->is_waiting) {
        struct hs_str piece = hs_str_sub(hs_buf_str(&s->rest), s->rest_at,
                                         s->rest_at + FETCH_BYTES);

        s->rest_at += piece.n;
        s->given += piece.n;
        s->is_waiting = !http_reply_chunk(req_of(s), piece);
    }
    if (s->rest_at < s->rest.n)
        return;
    hs_buf_fini(&s->rest);
    s->rest_at = 0;
}

/* ---- the end ---- */

static void release(struct stream *s)
{
    net_timer_free(s->tick);
    hs_buf_fini(&s->rest);
    s->magic = 0;
    s->worker->streams--;
    hs_metric_sub(req_of(s)->metrics, HS_M_STREAMS, 1);
    if (s->has_begun && !s->is_whole)
        hs_metric_add(req_of(s)->metrics, HS_M_STREAMS_BROKEN, 1);
    api_hold_release(s->r->hold);
}

/* The status was sent long ago, so this line is where the reason can be found. */
static void log_broken(const struct stream *s)
{
    const struct http_req *req = req_of(s);

    hs_log_begin(HS_LOG_WARN, "stream broken off");
    hs_log_str("path", req->path);
    hs_log_str("request_id", hs_strn(req->trace_id, sizeof(req->trace_id)));
    hs_log_int("rows", (int64_t)s->rows);
    if (s->is_stalled)
        hs_log_cstr("why", "the client took less than api.stream.rate_min");
    else
        hs_log_err(&s->failure);
    hs_log_end_later();
}

/* The loan is over and all was handed over, or the client is gone. */
static void finish(struct stream *s)
{
    struct http_req *req = req_of(s);
    struct hs_err failure = s->failure;
    bool is_whole = s->is_whole;
    bool has_begun = s->has_begun;
    bool is_lost = s->is_stalled || req->is_gone || hs_buf_failed(&s->rest);

    if (has_begun && !is_whole && !req->is_gone)
        log_broken(s);
    release(s);
    if (!has_begun)
        http_reply_error(req, &failure);
    else if (is_lost)
        http_reply_abort(req);
    else if (is_whole)
        http_reply_end(req);
    else
        http_reply_cut(req);
}

static void explain_timeout(struct hs_err *err)
{
    if (err->status == HS_E_TIMEOUT && !err->hint[0])
        hs_err_hint(err, "Take the rows faster, ask for less, or raise api.stream.lifetime.");
}

static void on_ended(struct pg_loan *loan, const struct hs_err *err)
{
    struct stream *s = loan->arg;
    struct hs_buf *out;

    HS_OBJ(s, STREAM_MAGIC);
    s->is_over = true;
    hs_list_remove(&s->turn);
    net_timer_stop(s->tick);
    if (!s->is_whole && !s->failure.status) {
        if (err)
            s->failure = *err;
        else
            (void)hs_fail(&s->failure, HS_E_SHUTDOWN, "the request was given up");
        explain_timeout(&s->failure);
    }
    if (req_of(s)->is_gone)
        s->failure.http = HTTP_CLIENT_GONE;
    if (s->has_begun && !s->is_stalled && !req_of(s)->is_gone) {
        out = http_req_scratch(req_of(s));
        write_tail(s, out);
        give(s, hs_buf_str(out));
        if (s->rest.n && !hs_buf_failed(&s->rest))
            return; /* on_taken() goes on */
    }
    finish(s);
}

/* ---- rows ---- */

static void ask(struct stream *s, struct hs_str sql,
                void (*done)(struct pg_query *query, const struct pg_rows *rows,
                             const struct hs_err *err))
{
    struct pg_query *query = &s->r->query;

    *query = (struct pg_query){
        .magic = PG_QUERY_MAGIC, .sql = sql, .who = req_of(s)->identity, .done = done, .arg = s};
    s->asked_at = hs_now_us();
    pg_loan_run(&s->loan, query);
}

/* false: the statement's answer is the end of the stream. */
static bool is_going_on(struct stream *s, const struct hs_err *err)
{
    struct hs_err failure;

    HS_OBJ(s, STREAM_MAGIC);
    req_of(s)->pg_us += hs_now_us() - s->asked_at;
    if (err) {
        failure = *err;
        api_explain_pg(s->r, &failure);
        explain_timeout(&failure);
        fail(s, &failure);
    } else if (req_of(s)->is_gone) {
        pg_loan_abort(&s->loan);
    } else {
        return true;
    }
    return false;
}

static void on_fetched(struct pg_query *query, const struct pg_rows *rows,
                       const struct hs_err *err);

static void fetch_now(struct stream *s)
{
    s->has_turn = s->is_short;
    s->worker->stream_turns += s->has_turn;
    (void)snprintf(s->fetch, sizeof(s->fetch), "FETCH FORWARD %zu FROM hasten_stream", s->asked);
    ask(s, hs_str(s->fetch), on_fetched);
}

static void fetch(struct stream *s)
{
    if (s->is_short && s->worker->stream_turns >= TURNS)
        hs_list_append(&s->worker->streams_ready, &s->turn);
    else
        fetch_now(s);
}

static void pass_turn(struct stream *s)
{
    struct hs_list *next;

    s->is_short = hs_now_us() - s->asked_at < FETCH_SHORT;
    if (!s->has_turn)
        return;
    s->has_turn = false;
    s->worker->stream_turns--;
    next = hs_list_pop(&s->worker->streams_ready);
    if (next)
        fetch_now(HS_CONTAINER(next, struct stream, turn));
}

/* The next FETCH, after one that brought n rows of so many bytes. */
static size_t next_rows(const struct stream *s, size_t n, uint64_t bytes)
{
    uint64_t want = bytes ? (uint64_t)FETCH_BYTES * n / bytes : FETCH_ROWS_MAX;

    if (hs_now_us() - s->asked_at > FETCH_TIME && want > s->asked / 2)
        want = s->asked / 2;
    if (want > s->asked * FETCH_GROWTH)
        want = s->asked * FETCH_GROWTH;
    if (want > FETCH_ROWS_MAX)
        want = FETCH_ROWS_MAX;
    return want ? (size_t)want : 1;
}

/* false: a row was too long. What stands before it has been handed over. */
static bool write_rows(struct stream *s, const struct pg_rows *rows, struct hs_buf *out,
                       uint64_t *ret_bytes)
{
    size_t n = pg_rows_count(rows);

    for (size_t i = 0; i < n; i++) {
        size_t before = out->n;

        write_row(s, rows, i, out);
        if (hs_buf_failed(out))
            return false;
        *ret_bytes += out->n - before;
        if (out->n >= PIECE_BYTES) {
            give(s, hs_buf_str(out));
            hs_buf_clear(out);
        }
    }
    give(s, hs_buf_str(out));
    return !hs_buf_failed(out);
}

/* Bytes of the longest of these rows as PostgreSQL sent them. */
static size_t longest_row(const struct pg_rows *rows)
{
    size_t longest = 0;

    for (size_t row = 0; row < pg_rows_count(rows); row++) {
        size_t n = 0;

        for (size_t i = 0; i < pg_rows_columns(rows); i++)
            n += pg_rows_value(rows, row, i).n;
        longest = n > longest ? n : longest;
    }
    return longest;
}

static void fail_row(struct stream *s, const struct pg_rows *rows, const struct hs_buf *out)
{
    struct hs_err err = {0};

    /* JSON writes a byte with six at most, and there are the names of the fields. */
    if (longest_row(rows) >= out->max / 8) {
        (void)hs_fail(&err, HS_E_LIMIT, "a row is longer than server.answer.max");
        hs_err_hint(&err, "Ask for fewer fields or relations, or raise server.answer.max.");
    } else {
        (void)hs_fail_memory(&err);
    }
    fail(s, &err);
}

static void on_fetched(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct stream *s = query->arg;
    struct hs_buf *out;
    uint64_t bytes = 0;
    size_t n;

    pass_turn(s);
    if (!is_going_on(s, err))
        return;
    n = pg_rows_count(rows);
    out = http_req_scratch(req_of(s));
    if (!s->has_begun)
        write_head(s, out);
    if (!write_rows(s, rows, out, &bytes) || hs_buf_failed(&s->rest)) {
        fail_row(s, rows, out);
        return;
    }
    s->rows += n;
    hs_metric_add(req_of(s)->metrics, HS_M_STREAM_ROWS, n);
    if (n < s->asked) {
        s->is_whole = true;
        pg_loan_abort(&s->loan);
        return;
    }
    s->asked = next_rows(s, n, bytes);
    if (!s->is_waiting)
        fetch(s);
}

/* The client has taken enough, or has gone. */
static void on_taken(void *arg, struct http_req *req)
{
    struct stream *s = arg;

    HS_OBJ(s, STREAM_MAGIC);
    s->is_waiting = false;
    if (!req->is_gone)
        give_rest(s);
    if (s->is_over && (req->is_gone || !s->rest.n))
        finish(s);
    else if (req->is_gone)
        pg_loan_abort(&s->loan);
    else if (!s->is_over && !s->is_waiting && !s->is_whole && !s->failure.status)
        fetch(s);
}

/* ---- the statement ---- */

static void on_declared(struct pg_query *query, const struct pg_rows *rows,
                        const struct hs_err *err)
{
    struct stream *s = query->arg;

    (void)rows;
    if (!is_going_on(s, err))
        return;
    if (req_of(s)->method != HTTP_HEAD) {
        fetch(s);
        return;
    }
    begin(s);
    s->is_whole = true;
    pg_loan_abort(&s->loan);
}

static hs_status write_declare(struct stream *s, struct hs_err *reterr)
{
    struct api_request *r = s->r;
    hs_status status = api_comment(r, reterr);

    r->query.sql = hs_arena_printf(r->req->arena, "DECLARE hasten_stream NO SCROLL CURSOR FOR %.*s",
                                   HS_FMT(r->statement->text));
    if (!r->query.sql.p)
        return hs_fail_memory(reterr);
    return status ? status : api_comment_text(r, reterr);
}

static void on_planned(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct stream *s = query->arg;
    const struct sql_statement *statement = s->r->statement;
    struct hs_err failure;

    (void)rows;
    if (!is_going_on(s, err))
        return;
    if (write_declare(s, &failure)) {
        fail(s, &failure);
        return;
    }
    ask(s, s->r->query.sql, on_declared);
    s->r->query.params = statement->params;
    s->r->query.n_params = statement->n_params;
}

static void on_ready(struct pg_loan *loan)
{
    struct stream *s = loan->arg;

    HS_OBJ(s, STREAM_MAGIC);
    ask(s, hs_str(SQL_PLAN), on_planned);
}

/* ---- the client ---- */

/* Over RATE_TIME of waiting for it, has the client taken too little? */
static bool is_too_slow(struct stream *s)
{
    uint64_t rate_min = s->r->hold->model->rules.stream_rate_min;
    uint64_t unsent = http_reply_unsent(req_of(s));
    uint64_t taken = s->given > unsent ? s->given - unsent : 0;
    hs_us now = hs_now_us();
    hs_us passed = now - s->looked_at;
    bool is_slow;

    s->looked_at = now;
    if (!s->is_waiting || !rate_min)
        return false;
    s->waited += passed;
    if (s->waited < RATE_TIME)
        return false;
    is_slow = taken - s->taken < rate_min * (s->waited / HS_SECOND);
    s->waited = 0;
    s->taken = taken;
    return is_slow;
}

static void on_tick(void *arg)
{
    struct stream *s = arg;

    HS_OBJ(s, STREAM_MAGIC);
    s->is_stalled = is_too_slow(s) && !s->is_whole;
    if (s->is_stalled || req_of(s)->is_gone)
        pg_loan_abort(&s->loan);
    if (s->is_stalled)
        net_timer_stop(s->tick);
}

/* ---- the start ---- */

hs_status api_format_read(const struct http_req *req, enum api_format *ret_format,
                          struct hs_err *reterr)
{
    struct accept accept = {0};

    for (size_t i = 0; i < req->n_headers; i++) {
        if (hs_str_ieq(req->headers[i].name, HS_STR("accept")))
            accept_read(&accept, req->headers[i].value);
    }
    *ret_format = accept_best(&accept);
    if (*ret_format != API_FORMATS)
        return HS_OK;
    return hs_fail(reterr, HS_E_NOT_ACCEPTABLE, "a list is not made in any form that Accept names");
}

static struct stream *new_stream(struct api_worker *worker, struct api_request *r,
                                 enum api_format format)
{
    const struct api_rules *rules = &r->hold->model->rules;
    struct stream *s = HS_NEW(r->req->arena, struct stream);

    if (!s)
        return NULL;
    s->magic = STREAM_MAGIC;
    hs_list_init(&s->turn);
    s->format = format;
    s->r = r;
    s->worker = worker;
    s->asked = FETCH_FIRST;
    s->looked_at = hs_now_us();
    s->opts = api_request_rows_opts(r);
    s->loan = (struct pg_loan){.magic = PG_LOAN_MAGIC,
                               .is_read_only = true,
                               .is_long = true,
                               .lifetime = rules->stream_lifetime,
                               .ready = on_ready,
                               .ended = on_ended,
                               .arg = s};
    hs_buf_init(&s->rest, REST_BYTES_MAX);
    return s;
}

static hs_status check(const struct stream *s, struct hs_err *reterr)
{
    const struct tree_position *position = s->r->ask.tree.position;
    uint64_t max = s->r->hold->model->rules.stream_max;

    if (position && position->is_backward)
        return hs_fail(reterr, HS_E_BAD_CURSOR, "a stream goes forward; the cursor goes back");
    if (s->worker->streams < max)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_BUSY, "too many streams are under way");
    hs_err_why(reterr, "api.stream.max allows %llu at once, per worker", (unsigned long long)max);
    return HS_E_BUSY;
}

/* It went wrong before there was a connection. */
static void on_refused(struct pg_query *query, const struct pg_rows *rows, const struct hs_err *err)
{
    struct stream *s = query->arg;

    HS_OBJ(s, STREAM_MAGIC);
    (void)rows;
    s->failure = *err;
    api_explain_pg(s->r, &s->failure);
    finish(s);
}

static hs_status lend(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
{
    struct stream *s = r->query.arg;
    hs_status status = pg_loan_begin(worker->pool, &s->loan, reterr);

    if (!status)
        net_timer_start(s->tick, TICK, TICK);
    return status;
}

static hs_status write_statement(struct stream *s, struct hs_err *reterr)
{
    struct api_request *r = s->r;
    struct sql_statement *statement = HS_NEW(r->req->arena, struct sql_statement);
    hs_status status;

    if (!statement)
        return hs_fail_memory(reterr);
    r->statement = statement;
    status = sql_write(&r->ask.tree, /* with_order= */ false, &s->worker->scratch, r->req->arena,
                       statement, reterr);
    if (status)
        return status;
    r->query = (struct pg_query){.magic = PG_QUERY_MAGIC,
                                 .flags = PG_REPEATABLE,
                                 .sql = statement->text,
                                 .sql_hash = statement->hash,
                                 .who = r->req->identity,
                                 .params = statement->params,
                                 .n_params = statement->n_params,
                                 .done = on_refused,
                                 .arg = s};
    return api_make_columns(r, reterr);
}

hs_status api_stream_start(struct api_worker *worker, struct api_request *r, enum api_format format,
                           struct hs_err *reterr)
{
    struct stream *s = new_stream(worker, r, format);
    hs_status status;

    if (!s)
        return hs_fail_memory(reterr);
    status = check(s, reterr);
    if (!status)
        status = write_statement(s, reterr);
    if (!status)
        status = net_timer_new(worker->loop, on_tick, s, &s->tick, reterr);
    if (status)
        return status;
    worker->streams++;
    hs_metric_add(r->req->metrics, HS_M_STREAMS, 1);
    status = api_run_affordable(worker, r, lend, reterr);
    if (!status)
        return HS_OK;
    net_timer_free(s->tick);
    worker->streams--;
    hs_metric_sub(r->req->metrics, HS_M_STREAMS, 1);
    return status;
}
