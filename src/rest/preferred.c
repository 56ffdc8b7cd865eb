/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefer, and what is said of it in the answer.
 */
#include "rest/request.h"

enum { APPLIED_MAX = 4096 };

hs_status rest_read_prefer(struct rest_request *q, struct hs_err *reterr)
{
    const struct http_req *req = q->r.req;
    enum rest_tx_end end = q->site->rules.tx_end;
    bool may_choose = end == REST_TX_END_COMMIT_OR || end == REST_TX_END_ROLLBACK_OR;

    return rest_prefer_read(req->headers, req->n_headers, may_choose, &q->prefer, reterr);
}

hs_status rest_say_applied(struct rest_request *q, unsigned applies, struct hs_err *reterr)
{
    struct hs_buf line;

    hs_buf_init(&line, APPLIED_MAX);
    rest_prefer_applied(&q->prefer, applies, &line);
    q->applied = line.n ? hs_arena_dup(q->r.req->arena, hs_buf_str(&line)) : HS_STR("");
    hs_buf_fini(&line);
    return q->applied.p ? HS_OK : hs_fail_memory(reterr);
}
