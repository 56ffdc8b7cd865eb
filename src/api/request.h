/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/request.h - a request on its way through src/api, and through a dialect above it.
 */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include "api/body.h"
#include "api/cursor.h"
#include "api/simple.h"

/* A model as one worker holds it: counted without atomics, once a request. */
struct api_hold {
    struct api_model *model;
    struct net_hmac *hmac;
    size_t uses; /* requests under way, and 1 while it is the current one */
};

struct api_costs;
struct api_callers;
struct api_memo;
struct api_settling;
struct api_kept;
struct api_named;

struct api_worker {
    uint32_t magic;
    struct pg_pool *pool;
    struct api_hold *hold;   /* NULL before the first model */
    struct api_costs *costs; /* of anonymous statements (cost.c); NULL before the first */
    struct hs_buf scratch;   /* for statements */
    struct net_loop *loop;
    size_t streams;                /* under way */
    size_t stream_turns;           /* FETCHes of streams that hold a turn */
    struct hs_list streams_ready;  /* those that wait for one */
    const struct api_cache *cache; /* NULL: nothing is kept */
    struct cache_shared *shared;   /* with a cache; NULL: nothing is shared with other nodes */
    struct api_callers *callers;   /* with a cache */
    struct api_memo *memo;         /* with a cache */
    struct api_settling
        *settling; /* with a cache: answers to writes that wait for the change stream */
};

enum { API_REQUEST_MAGIC = 0x41505251, API_WORKER_MAGIC = 0x4150574b };

/* In the request's arena; ends with the reply. */
struct api_request {
    uint32_t magic;
    bool is_item; /* the path names one row */
    struct pg_query query;
    struct http_req *req;
    struct api_hold *hold;
    struct api_worker *worker;
    const struct api_table
        *table; /* of the simple dialect, and where the cache asks for one row by its key */
    const struct api_keep *keep; /* what is said of keeping its answer; set for reads */
    /* What of the request beside statement and caller decides how the answer looks, for its key; empty: the usual form. */
    struct hs_str form;
    struct hs_str
        words; /* of its header, what leads to that form: a memo holds for the same words only */
    const struct api_named *named; /* of a named query; NULL = it is none */
    const struct pg_depend
        *depend; /* what the statement reads, where it is not made from ask.tree; else NULL */
    hs_us ttl;   /* with depend: how long its answer may be kept */
    const struct sql_statement *statement;
    const struct api_out_column *columns;
    size_t n_columns;
    hs_us submitted_at;
    struct hs_str key;         /* an item's, as it was asked for */
    struct hs_str binding;     /* of cursors; p == NULL: no cursors */
    struct simple_query ask;   /* set unless it is an item without parameters */
    struct api_change *change; /* POST, PUT, PATCH, DELETE */
    struct api_kept *kept;     /* a read that met the cache; NULL = none */
    struct hs_buf *explain;    /* it is not run, but told about, into here; NULL = it is run */
};

/* What a change needs beside that; in the request's arena (change.c). */
struct api_change {
    struct body_rows body;
    struct tree_change tree;
    const struct tree_field **returning;
    size_t *key_columns; /* POST of one row: result columns of the key, for Location; or NULL */
    bool is_one;         /* the answer is one row, not an array */
    struct change_loan *loan; /* change_loan.c's */
};

/* {"data":{...}} of the only row. */
hs_status api_answer_item(const struct api_request *r, const struct pg_rows *rows,
                          struct hs_buf *out, struct hs_err *reterr) hs_must_check;
/* {"data":[...],"pagination":{...}} */
hs_status api_answer_list(const struct api_request *r, const struct pg_rows *rows,
                          struct hs_buf *out, struct hs_err *reterr) hs_must_check;

/* {"data":[{"name":...}]}: the tables that the role may read, with their columns, key and relations. */
void api_tables_write(const struct api_model *model, struct hs_str role, struct hs_buf *out);
/* The same and how to ask for it, as an OpenAPI 3.1 document (openapi.c). */
void api_openapi_write(const struct api_model *model, struct hs_str role, struct hs_buf *out);

/* How rows of the answer are written. */
static inline struct api_rows_opts api_request_rows_opts(const struct api_request *r)
{
    return (struct api_rows_opts){.omit_nulls = r->ask.omit_nulls,
                                  .int8_as_string = r->hold->model->rules.int8_as_string};
}

/* Is it a media type of JSON: application/json, or one that ends in +json? */
bool api_is_json(struct hs_str content_type);

/*
 * Reads the path and begins: the answer follows. explain: see struct api_request; the request is not answered then.
 * On error nothing was answered. The worker must have a model.
 */
hs_status api_request_start(struct api_worker *worker, struct http_req *req, struct hs_buf *explain,
                            struct hs_err *reterr) hs_must_check;
/* A request is through with its model. */
void api_hold_release(struct api_hold *hold);
/* Reads the request's parameters into r->ask; `ask` says for which use, the rest is the request's. */
hs_status api_request_read(struct api_request *r, struct simple_ask ask, struct hs_err *reterr)
    hs_must_check;
/* The answer's columns, from the tree's fields and embeds. */
hs_status api_make_columns(struct api_request *r, struct hs_err *reterr) hs_must_check;
/* Fills r->query.comment where database.comment is `request`. errors HS_E_MEMORY */
hs_status api_comment(struct api_request *r, struct hs_err *reterr) hs_must_check;
/* Puts r->query.comment, if there is one, into the text: a loan looks at no comments and prepares nothing. */
hs_status api_comment_text(struct api_request *r, struct hs_err *reterr) hs_must_check;
/* The database has refused a read: answers with an old answer where there may be one, else with the error. */
void api_reply_pg_error(struct api_request *r, const struct hs_err *cause);
/* What PostgreSQL said, where the shape of the request explains it better. */
void api_explain_pg(const struct api_request *r, struct hs_err *err);

/*
 * POST, PUT, PATCH, DELETE (change.c): the request's table, path and hold are set. On error the caller
 * answers and releases; else the answer is given here.
 */
hs_status api_change_start(struct api_request *r, struct hs_err *reterr) hs_must_check;

enum { API_CHANGE_HEADERS_MAX = 4096 };

/*
 * Is what the statement did what was asked for? Fills reterr, in the words of the request, if not.
 * rows is NULL iff err is not.
 */
hs_status api_change_check(const struct api_request *r, const struct pg_rows *rows,
                           const struct hs_err *err, struct hs_err *reterr) hs_must_check;
/* The answer; its texts live in the worker's scratch and in `headers`, until the callback returns. */
void api_change_answer(struct api_request *r, const struct pg_rows *rows, struct hs_buf *headers,
                       struct http_reply *ret_reply);
/* Runs the change in a transaction that is looked at before COMMIT (change_loan.c). Errors as above. */
hs_status api_change_lend(struct api_request *r, struct hs_err *reterr) hs_must_check;

/*
 * A request of a batch that is one transaction (batch.c) runs its statement there: with the pool's, r->query.loan
 * says so. It neither asks the cache nor waits for the change stream.
 */
static inline bool api_request_is_lent(const struct api_request *r)
{
    return r->req->scope != NULL;
}

/* Is it POST {api.path}/batch (batch.c)? Then it is answered here; the worker must have a model. */
bool api_batch_is(const struct http_req *req);
void api_batch_run(struct api_worker *worker, struct http_req *req);

/* Can a request be answered at all? HS_E_PG_DOWN (no catalog yet), HS_E_NO_TOKEN (no caller) */
hs_status api_check_ready(const struct api_worker *worker, const struct http_req *req,
                          struct hs_err *reterr) hs_must_check;

/* Would it fail again, a moment later? Not for want of a server, of room in it, or of luck (classes 08, 40, 53, 57P). */
bool api_is_lasting(const struct hs_err *err);

/* Answers for a body whose buffer has failed: too long for server.answer.max, or no memory. */
void api_reply_failed(struct http_req *req, const struct hs_buf *body);

#endif
