/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/handler_int.h - a request on its way through src/api.
 */
#ifndef API_HANDLER_INT_H
#define API_HANDLER_INT_H

#include "api/cursor.h"
#include "api/simple.h"

/* A model as one worker holds it: counted without atomics, once a request. */
struct api_hold {
    struct api_model *model;
    struct net_hmac *hmac;
    size_t uses; /* requests under way, and 1 while it is the current one */
};

struct api_worker {
    uint32_t magic;
    struct pg_pool *pool;
    struct api_hold *hold; /* NULL before the first model */
    struct hs_buf scratch; /* for statements */
};

enum { API_REQUEST_MAGIC = 0x41505251, API_WORKER_MAGIC = 0x4150574b };

/* In the request's arena; ends with the reply. */
struct api_request {
    uint32_t magic;
    bool is_item;
    struct pg_query query;
    struct http_req *req;
    struct api_hold *hold;
    const struct api_table *table;
    const struct sql_statement *statement;
    const struct api_out_column *columns;
    size_t n_columns;
    hs_us submitted_at;
    struct hs_str key;       /* an item's, as it was asked for */
    struct hs_str binding;   /* of cursors; p == NULL: no cursors */
    struct simple_query ask; /* set unless it is an item without parameters */
};

/* {"data":{...}} of the only row. */
hs_status api_answer_item(const struct api_request *r, const struct pg_rows *rows,
                          struct hs_buf *out, struct hs_err *reterr) hs_must_check;
/* {"data":[...],"pagination":{...}} */
hs_status api_answer_list(const struct api_request *r, const struct pg_rows *rows,
                          struct hs_buf *out, struct hs_err *reterr) hs_must_check;

/* {"data":[{"name":...}]}: the tables that the role may read, with their columns, key and relations. */
void api_tables_write(const struct api_model *model, struct hs_str role, struct hs_buf *out);

/* Can a request be answered at all? HS_E_PG_DOWN (no catalog yet), HS_E_NO_TOKEN (no caller) */
hs_status api_check_ready(const struct api_worker *worker, const struct http_req *req,
                          struct hs_err *reterr) hs_must_check;

/* Answers for a body whose buffer has failed: too long for server.answer.max, or no memory. */
void api_reply_failed(struct http_req *req, const struct hs_buf *body);

#endif
