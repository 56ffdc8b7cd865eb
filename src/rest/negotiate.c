/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the types that a client accepts rows of a relation are told in.
 */
#include "rest/request.h"

/* false: nobody makes that. */
static bool take(struct rest_request *q, struct rest_media *media)
{
    bool is_vendored = media->kind == REST_MEDIA_OBJECT ||
                       media->kind == REST_MEDIA_ARRAY_STRIPPED || media->kind == REST_MEDIA_PLAN;

    if (!is_vendored && rest_take_handler(q, media))
        return true;
    switch (media->kind) {
    case REST_MEDIA_ANY:
        *media = (struct rest_media){.kind = REST_MEDIA_JSON};
        return true;
    case REST_MEDIA_JSON:
    case REST_MEDIA_OBJECT:
    case REST_MEDIA_ARRAY_STRIPPED:
    case REST_MEDIA_CSV:
        return true;
    case REST_MEDIA_PLAN:
        return q->site->rules.plan_enabled && media->plan_for <= REST_MEDIA_CSV;
    case REST_MEDIA_GEOJSON:
    case REST_MEDIA_OPENAPI:
    case REST_MEDIA_TEXT:
    case REST_MEDIA_XML:
    case REST_MEDIA_BYTES:
    case REST_MEDIA_FORM:
    case REST_MEDIA_OTHER:
        break;
    }
    return false;
}

hs_status rest_choose_media(struct rest_request *q, struct hs_err *reterr)
{
    struct hs_str accept = http_req_header(q->r.req, HS_STR("accept"));
    struct rest_accept *types;

    q->handler = NULL;
    if (hs_likely(!q->site->catalog->n_media_handlers) &&
        (!accept.p || hs_str_is(accept, "*/*") || hs_str_is(accept, "application/json"))) {
        q->media = (struct rest_media){.kind = REST_MEDIA_JSON};
        return HS_OK;
    }
    types = HS_NEW(q->r.req->arena, struct rest_accept);
    if (!types)
        return hs_fail_memory(reterr);
    rest_accept_read(accept, types);
    for (size_t i = 0; i < types->n; i++) {
        q->media = types->types[i];
        if (take(q, &q->media))
            return HS_OK;
    }
    return rest_accept_fail(types, q->r.req->arena, reterr);
}
