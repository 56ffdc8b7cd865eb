/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/memo.h - which key of the cache a request line leads to.
 *
 * A hit should cost little more than its socket, and reading a query, writing its statement and finding what it
 * depends on costs more than that. What came out is remembered, by the bytes of the target and of those
 * words of the header that decide how the answer looks, and by the caller; the entry itself is looked up and judged each time. A memo holds no answer and decides
 * nothing: without it the same happens, slower.
 *
 * Limits     a fixed number of places; the newest takes the place of the one it falls on. Requests whose texts are
 *            longer than MEMO_TEXT_MAX are not remembered.
 * Lifetime   until the model changes.
 * Thread     the worker's.
 */
#ifndef API_MEMO_H
#define API_MEMO_H

#include "http/req.h"

struct api_memo;

enum { MEMO_TEXT_MAX = 4096 };

struct api_memo_key {
    struct hs_str key;
    uint64_t hash; /* of key */
    unsigned route;
};

hs_status api_memo_new(struct api_memo **ret_memo, struct hs_err *reterr) hs_must_check;
void api_memo_free(struct api_memo *memo);
/* Another model: nothing of before holds. */
void api_memo_clear(struct api_memo *memo);
/* false: it is not known. The key lives until the next call. */
bool api_memo_find(struct api_memo *memo, const struct http_req *req, struct hs_str words,
                   struct api_memo_key *ret_key);
/* Without memory nothing is remembered. */
void api_memo_put(struct api_memo *memo, const struct http_req *req, struct hs_str words,
                  const struct api_memo_key *key);

#endif
