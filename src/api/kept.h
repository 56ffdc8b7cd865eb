/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/kept.h - reads whose answers may be kept: from the cache, together with others, or from the database.
 *
 * Shape      a read with its statement ready asks here first. Either it is answered (a hit, or an answer that
 *            another request is waiting for already), or it runs its statement, as the identity that it
 *            was given here, and brings the answer back.
 * Headers    X-Cache (HIT, MISS, REVALIDATED, STALE, BYPASS), Cache-Status (RFC 9211), Age (of the proof, where it is
 *            a hit; of the answer, where it is stale),
 *            Cache-Control; Content-Encoding and Vary where the answer is long enough to be compressed.
 * Thread     the worker's.
 */
#ifndef API_KEPT_H
#define API_KEPT_H

#include "api/cost.h"
#include "cache/shared.h"

/* Of one read; in the request's arena. */
struct api_kept {
    struct api_request *r;
    struct api_worker *worker;
    api_run_f *run;              /* hands the statement in */
    struct hs_identity *as;      /* a reference; NULL: the caller himself */
    struct cache_flight *flight; /* we ask for all */
    struct cache_joiner joiner;
    struct cache_shared_get shared;
    struct cache_ask ask;
    enum cache_why missed; /* why it was no hit */
    bool is_keepable;      /* else the cache was not asked */
    bool only_if_kept;     /* the database is not asked */
    bool may_be_stale;     /* where the database cannot be asked */
    enum hs_cache_outcome
        asked; /* the database was: MISS or BYPASS, to be counted at the end; HIT: it was not */
    hs_us ttl;
};

/*
 * Answers a GET or HEAD that was asked before, in the same words by the same caller, and whose answer is kept.
 * words: what of its header decides how the answer looks, as in struct api_request. false: nothing was done.
 */
bool api_kept_hit(struct api_worker *worker, struct http_req *req, struct hs_str words);

/*
 * Runs r->query, which is filled in, by run(); or answers without it. key: an item's (table->n_key values), NULL
 * for a tree. errors: those of run(); HS_E_BAD_PARAMETER (Hasten-Position), HS_E_MEMORY,
 * HS_E_NOT_KEPT (only-if-cached)
 */
hs_status api_kept_run(struct api_worker *worker, struct api_request *r, const char *const *key,
                       api_run_f *run, struct hs_err *reterr) hs_must_check;

struct api_depend;

/*
 * What the cache would be asked: fills is_keepable, as, ttl and ask of `kept`, whose r and worker are set; ask.key
 * lives in the worker's scratch, ask.tags in *ret_depend. The identity's reference ends with api_kept_fail().
 * errors HS_E_MEMORY
 */
hs_status api_kept_question(struct api_kept *kept, const char *const *key,
                            struct api_depend *ret_depend, struct hs_err *reterr) hs_must_check;

/* An answer with status 200. Texts live until the call returns. */
struct api_answer {
    struct hs_str content_type;
    struct hs_str etag; /* with its quotes; empty = none */
    struct hs_str
        vary; /* names of the request's fields that it depends on beside Accept-Encoding */
    struct hs_str headers; /* further complete lines, which are kept with it */
};

/* Keeps the answer if it may be, and answers the request, which is gone then. */
void api_kept_answer(struct api_request *r, const struct api_answer *answer,
                     const struct hs_buf *body);
/*
 * The database could not be asked, because of `err`: gives an old answer, marked as such, where the operator wants
 * that and there is one that the caller may have; the request is gone then. false: nothing was done.
 */
bool api_kept_stale(struct api_request *r, const struct hs_err *err);
/* The lines that tell other caches about the answer; `to` has the room that is needed for them. Returns how much. */
size_t api_kept_headers(char *to, const struct api_request *r, struct hs_str vary);
size_t api_kept_headers_room(const struct api_request *r, struct hs_str vary);
/*
 * There is no answer to keep; nothing is answered here. is_unfit: because of what was asked, so that it is not worth
 * asking for all of those who want it (a database that is down, or busy, is no such reason).
 */
void api_kept_fail(struct api_request *r, bool is_unfit);

#endif
