/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/media.h - what Accept asks for, as PostgREST reads it.
 *
 * The types are looked at in the order of their weights, then of how exact they are, then as they stand; the
 * first that there is an answer in wins. Ranges other than "*" "/" "*" name nothing.
 *
 * Limits     REST_MEDIA_MAX types of one Accept; further ones are not looked at.
 * Source     PostgREST reference: resource representation; media type handlers; execution plan. RFC 9110, 12.5.1.
 */
#ifndef REST_MEDIA_H
#define REST_MEDIA_H

#include "core/arena.h"
#include "core/err.h"

enum { REST_MEDIA_MAX = 32 };

enum rest_media_kind {
    REST_MEDIA_ANY, /* what comes first to whoever answers */
    REST_MEDIA_JSON,
    REST_MEDIA_OBJECT,
    REST_MEDIA_ARRAY_STRIPPED,
    REST_MEDIA_CSV,
    REST_MEDIA_GEOJSON,
    REST_MEDIA_OPENAPI,
    REST_MEDIA_TEXT,
    REST_MEDIA_XML,
    REST_MEDIA_BYTES,
    REST_MEDIA_FORM,
    REST_MEDIA_PLAN,
    REST_MEDIA_OTHER /* by its name: perhaps there is a handler for it */
};

enum rest_plan_option {
    REST_PLAN_ANALYZE = 1,
    REST_PLAN_VERBOSE = 2,
    REST_PLAN_SETTINGS = 4,
    REST_PLAN_BUFFERS = 8,
    REST_PLAN_WAL = 16
};

struct rest_media {
    enum rest_media_kind kind;
    bool is_stripped;   /* OBJECT: members that are null are left out */
    struct hs_str name; /* OTHER: lower case where it is as usual; as the client wrote it */
    /* PLAN */
    bool is_json_plan;
    unsigned plan_options;
    enum rest_media_kind plan_for;
    bool plan_is_stripped;
    struct hs_str plan_name; /* plan_for OTHER */
};

struct rest_accept {
    struct rest_media types[REST_MEDIA_MAX]; /* the most wanted first */
    size_t n;
};

/* accept: the header's value; p == NULL or empty: anything. The texts are slices of it. */
void rest_accept_read(struct hs_str accept, struct rest_accept *ret_accept);

/* One media type, as in Content-Type. */
struct rest_media rest_media_read(struct hs_str text);

/* Its name as it stands in Content-Type and in messages, in the arena or constant; p == NULL: no memory. */
struct hs_str rest_media_name(const struct rest_media *media, struct hs_arena *arena);
/* The same with its charset. */
struct hs_str rest_media_content_type(const struct rest_media *media, struct hs_arena *arena);

/* HS_E_PGRST107, naming all that was asked for. */
hs_status rest_accept_fail(const struct rest_accept *accept, struct hs_arena *arena,
                           struct hs_err *reterr) hs_must_check;

#endif
