/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/request.h - a request of the PostgREST dialect on its way through src/rest.
 *
 *     handler.c   path, method, schema         -> read.c     GET, HEAD of a relation
 *                                              -> change.c   POST, PATCH, PUT, DELETE of a relation
 *                                              -> call.c     /rpc/{function}
 *                                              -> root.c     the description
 *     answer.c    rows -> body, status, headers
 *
 * Lifetime   the request's arena; ends with the answer, which every path gives exactly once.
 */
#ifndef REST_REQUEST_H
#define REST_REQUEST_H

#include "api/request.h"
#include "api/kept.h"
#include "rest/ask.h"
#include "rest/media.h"
#include "rest/plan.h"
#include "rest/prefer.h"
#include "rest/range.h"
#include "rest/site.h"
#include "rest/tell.h"

struct rest_call;
struct rest_change;

enum { REST_REQUEST_MAGIC = 0x52524551 };

struct rest_request {
    struct api_request r;
    uint32_t magic;
    const struct rest_site *site;
    struct hs_str schema;
    bool says_schema; /* Content-Profile stands in the answer */
    const struct pg_relation *relation;
    const struct rest_place *place; /* of relation */
    struct rest_ask ask;
    struct rest_more more; /* of an error: what does not fit into it */
    struct rest_range range;
    struct rest_media media;
    const struct pg_media_handler
        *handler; /* that makes the body, by an aggregate or as `function`; NULL: none (custom.c) */
    struct rest_prefer prefer;
    struct hs_str applied;              /* the line of Preference-Applied; empty: none */
    struct rest_change *change;         /* of a write; else NULL */
    struct rest_call *call;             /* of a function; else NULL */
    const struct pg_function *function; /* that is called; else NULL */
    struct pg_prelude prelude;
    bool has_settings; /* the last row of the result holds response.headers and response.status */
    struct api_layers *layers; /* of the rows, where the statement has_layers; else NULL */
    struct rest_counting
        *counting; /* what the planner is asked for first; NULL: nothing (count.c) */
};

/* Of r.query.arg and the like. */
static inline struct rest_request *rest_request_of(struct api_request *r)
{
    return HS_CONTAINER(r, struct rest_request, r);
}

/* ---- ways to begin: on error nothing was answered, and the model is not released ---- */

hs_status rest_read_start(struct rest_request *q, struct hs_err *reterr) hs_must_check;
hs_status rest_change_start(struct rest_request *q, struct hs_err *reterr) hs_must_check;
hs_status rest_options_start(struct rest_request *q, struct hs_err *reterr) hs_must_check;
/* name: of the function, decoded. */
hs_status rest_call_start(struct rest_request *q, struct hs_str name, struct hs_err *reterr)
    hs_must_check;
hs_status rest_root_start(struct rest_request *q, struct hs_err *reterr) hs_must_check;

/* ---- parts of the way ---- */

/* The first type of Accept that rows of a relation are told in. errors HS_E_PGRST107 */
hs_status rest_choose_media(struct rest_request *q, struct hs_err *reterr) hs_must_check;

/* Is the type one that an aggregate makes from the rows of the relation? Then q->handler is set, and *media. */
bool rest_take_handler(struct rest_request *q, struct rest_media *media);
/* The statement becomes a call of q->handler over its rows. errors HS_E_MEMORY */
hs_status rest_aggregate(struct rest_request *q, struct hs_err *reterr) hs_must_check;
/* A value as the body of an answer: bytea is its bytes. */
void rest_add_text_or_bytes(struct hs_buf *out, const struct pg_type *type, struct hs_str text);

/* ---- bounds (bounds.c) ---- */

/*
 * The statement fails, undoing what it wrote, where it gives more rows than `most`, or is_single and another number
 * than one. errors HS_E_MEMORY
 */
hs_status rest_bound_rows(struct rest_request *q, bool is_single, uint64_t most,
                          struct hs_err *reterr) hs_must_check;
/* Is that what failed? Then *err becomes HS_E_PGRST116 or HS_E_PGRST124. */
bool rest_read_bound(const struct rest_request *q, bool is_single, struct hs_err *err);
/* How long the statement may take: as its function or the caller's role has it. Of every statement. */
void rest_bound_time(struct rest_request *q);

/* The statement becomes an EXPLAIN of itself, as q->media says. errors HS_E_MEMORY */
hs_status rest_explain(struct rest_request *q, struct hs_err *reterr) hs_must_check;

/*
 * Has the statement give one row more, behind all others, for what functions say of the answer. Not of a statement
 * that writes. errors HS_E_MEMORY
 */
hs_status rest_ask_settings(struct rest_request *q, struct hs_err *reterr) hs_must_check;
/* The rows without that one. */
size_t rest_count_rows(const struct rest_request *q, const struct pg_rows *rows);
/* What it says, into the reply. errors HS_E_PGRST111, HS_E_PGRST112 */
hs_status rest_read_settings(struct rest_request *q, const struct pg_rows *rows,
                             struct http_reply *reply, struct hs_err *reterr) hs_must_check;
/* The same of the two texts; NULL or empty: it was not set. */
hs_status rest_take_settings(struct hs_arena *arena, struct hs_str headers, struct hs_str status,
                             struct http_reply *reply, struct hs_err *reterr) hs_must_check;

/* Reads Prefer; fills q->prefer. errors HS_E_PGRST122 */
hs_status rest_read_prefer(struct rest_request *q, struct hs_err *reterr) hs_must_check;
/* Fills q->applied. applies: of enum rest_applies. errors HS_E_MEMORY */
hs_status rest_say_applied(struct rest_request *q, unsigned applies, struct hs_err *reterr)
    hs_must_check;

/* Must the prelude run even before what could not look at the request? */
bool rest_wants_prelude(const struct rest_request *q);
/*
 * What functions and policies may look at: search_path, request.method, request.path, request.headers,
 * request.cookies. Fills q->prelude and names it in the query, which shares its transaction with nobody then.
 * errors HS_E_MEMORY
 */
hs_status rest_prelude(struct rest_request *q, struct hs_err *reterr) hs_must_check;

/*
 * Counts that the planner has a word in: makes the statements that are asked first, from a tree of its own. Nothing
 * where Prefer asks for no such count.
 */
hs_status rest_count_prepare(struct rest_request *q, struct hs_err *reterr) hs_must_check;
/* Asks them, then runs q->r.query. */
hs_status rest_count_run(struct api_worker *worker, struct api_request *r, struct hs_err *reterr)
    hs_must_check;
/* errors HS_E_PGRST116: n is not one */
hs_status rest_check_single(size_t n, struct hs_err *reterr) hs_must_check;

/* The total; exact: what the statement itself counted, NULL = it did not. */
uint64_t rest_count_total(const struct rest_request *q, const uint64_t *exact);

/* The tree of the request's relation, of all that it asks for. */
hs_status rest_read_tree(struct rest_request *q, struct tree_select *ret_tree,
                         struct hs_err *reterr) hs_must_check;

/* ---- answers; the request is gone then ---- */

void rest_fail(struct rest_request *q, const struct hs_err *err);
/*
 * Of a call that may have written: answers so that later reads see it; err: it was written, but cannot be told.
 * false: it is none, or was not run; nothing was done.
 */
bool rest_call_settles(struct rest_request *q, const struct http_reply *reply);
bool rest_call_settles_failed(struct rest_request *q, const struct hs_err *err);
/* An answer for this client alone: what is not 200, or not to be kept. Its body is `out`. */
void rest_reply_alone(struct rest_request *q, struct http_reply reply, const struct hs_buf *out);
/* Of OPTIONS. */
void rest_reply_allow(struct rest_request *q, struct hs_str methods);
/* What q->handler made. */
void rest_answer_aggregate(struct rest_request *q, const struct pg_rows *rows);
/* The lines of EXPLAIN. */
void rest_answer_plan(struct rest_request *q, const struct pg_rows *rows);
/* Rows of q->r.statement with q->r.columns, in q->media. */
void rest_answer_rows(struct rest_request *q, const struct pg_rows *rows);
/* [{...}], {...}, CSV: the first n rows, without answering. errors HS_E_PGRST116 */
hs_status rest_write_rows(const struct rest_request *q, const struct pg_rows *rows, size_t n,
                          struct hs_buf *out, struct hs_err *reterr) hs_must_check;
/* Complete lines: Content-Profile and Preference-Applied, behind `first`. p == NULL: no memory. */
struct hs_str rest_headers(const struct rest_request *q, struct hs_str first);

/* Takes members that are null out of JSON, at every depth, in place (strip.c). */
void rest_strip_nulls(struct hs_buf *json);

/* rows as CSV in PostgREST's form (csv.c). */
void rest_csv_write(struct hs_buf *out, const struct pg_rows *rows, size_t n,
                    const struct api_out_column *columns, size_t n_columns);

#endif
