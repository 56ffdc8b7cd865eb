/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokens of a batch, taken one by one. A member that is unknown or stands twice is refused: it is a
 * misspelling more often than not, and a request without what its author meant is worse than none.
 */
#include "api/batch_read.h"

#include <stdio.h>

#include "core/json_read.h"

enum { FIRST_ROOM = 8, NAME_SHOWN = 64 };

struct reading {
    struct json_reader json;
    struct hs_arena *arena;
    struct batch_list *list;
    uint64_t items_max;
};

/* ---- errors ---- */

static hs_status fail_at(const struct reading *r, struct hs_err *reterr, const char *what)
{
    size_t line;
    size_t column;

    json_place(r->json.text, r->json.start, &line, &column);
    (void)hs_fail(reterr, HS_E_BAD_BODY, "%s", what);
    if (r->list->n)
        hs_err_why(reterr, "in request %zu, at line %zu, column %zu", r->list->n, line, column);
    else
        hs_err_why(reterr, "at line %zu, column %zu", line, column);
    hs_err_hint(reterr, "A batch is {\"requests\": [{\"id\", \"method\", \"path\", \"headers\", "
                        "\"body\"}, ...]}; only \"path\" must be there.");
    return HS_E_BAD_BODY;
}

static hs_status fail_member(const struct reading *r, struct hs_err *reterr, struct hs_str name,
                             const char *fault)
{
    char what[160];

    name.n = hs_str_utf8_cut(name, NAME_SHOWN);
    (void)snprintf(what, sizeof(what), "\"%.*s\" %s", HS_FMT(name), fault);
    return fail_at(r, reterr, what);
}

/* ---- pieces ---- */

/* Room for one more element; the array doubles, and what it leaves behind ends with the arena. */
static void *make_room(struct hs_arena *arena, void *old, size_t n, size_t size)
{
    bool is_full = n == 0 || (n >= FIRST_ROOM && (n & (n - 1)) == 0);
    void *now;

    if (!is_full)
        return old;
    now = hs_arena_zalloc(arena, n ? n * 2 : FIRST_ROOM, size);
    if (now && n)
        memcpy(now, old, n * size);
    return now;
}

static hs_status add_header(struct reading *r, struct batch_item *item, struct hs_str name,
                            struct hs_str value, struct hs_err *reterr)
{
    item->headers = make_room(r->arena, item->headers, item->n_headers, sizeof(*item->headers));
    if (!item->headers)
        return hs_fail_memory(reterr);
    item->headers[item->n_headers++] = (struct http_header){name, value};
    return HS_OK;
}

/* The last NAME or STRING. */
static hs_status take_text(struct reading *r, struct hs_str *ret_text, struct hs_err *reterr)
{
    if (r->json.has_escapes)
        return json_text(&r->json, r->arena, ret_text, reterr);
    *ret_text = r->json.value;
    return HS_OK;
}

static hs_status take_string(struct reading *r, enum json_token token, struct hs_str name,
                             struct hs_str *ret_text, struct hs_err *reterr)
{
    return token == JSON_STRING ? take_text(r, ret_text, reterr)
                                : fail_member(r, reterr, name, "is not a text");
}

static hs_status take_id(struct reading *r, enum json_token token, struct batch_item *item,
                         struct hs_err *reterr)
{
    if (token != JSON_STRING && token != JSON_NUMBER && token != JSON_NULL)
        return fail_at(r, reterr, "\"id\" is neither text nor number");
    item->id = hs_str_sub(r->json.text, r->json.start, r->json.at);
    if (item->id.n > BATCH_ID_MAX)
        return fail_at(r, reterr, "\"id\" is longer than 128 bytes");
    return HS_OK;
}

static hs_status take_headers(struct reading *r, enum json_token token, struct batch_item *item,
                              struct hs_err *reterr)
{
    if (token != JSON_OBJECT)
        return fail_at(r, reterr, "\"headers\" is not an object");
    for (;;) {
        struct hs_str name;
        struct hs_str value;
        hs_status status = json_next(&r->json, &token, reterr);

        if (status || token == JSON_OBJECT_END)
            return status;
        status = take_text(r, &name, reterr);
        if (!status)
            status = json_next(&r->json, &token, reterr);
        if (!status)
            status = take_string(r, token, name, &value, reterr);
        if (!status)
            status = add_header(r, item, name, value, reterr);
        if (status)
            return status;
    }
}

static hs_status take_body(struct reading *r, enum json_token token, struct batch_item *item,
                           struct hs_err *reterr)
{
    return token == JSON_NULL ? HS_OK : json_skip(&r->json, token, &item->body, reterr);
}

/* ---- a request ---- */

enum { MEMBER_ID, MEMBER_METHOD, MEMBER_PATH, MEMBER_HEADERS, MEMBER_BODY, MEMBERS };

static unsigned find_member(struct hs_str name)
{
    static const char *const names[MEMBERS] = {"id", "method", "path", "headers", "body"};
    unsigned i = 0;

    while (i < MEMBERS && !hs_str_is(name, names[i]))
        i++;
    return i;
}

static hs_status take_value(struct reading *r, unsigned member, struct hs_str name,
                            struct batch_item *item, struct hs_err *reterr)
{
    enum json_token token;
    hs_status status = json_next(&r->json, &token, reterr);

    if (status)
        return status;
    switch (member) {
    case MEMBER_ID:
        return take_id(r, token, item, reterr);
    case MEMBER_METHOD:
        return take_string(r, token, name, &item->method, reterr);
    case MEMBER_PATH:
        return take_string(r, token, name, &item->path, reterr);
    case MEMBER_HEADERS:
        return take_headers(r, token, item, reterr);
    default:
        return take_body(r, token, item, reterr);
    }
}

static hs_status complete_item(struct reading *r, struct batch_item *item, struct hs_err *reterr)
{
    if (!item->path.p)
        return fail_at(r, reterr, "a request has no \"path\"");
    if (!item->body.p)
        return HS_OK;
    for (size_t i = 0; i < item->n_headers; i++) {
        if (hs_str_ieq(item->headers[i].name, HS_STR("Content-Type")))
            return HS_OK;
    }
    return add_header(r, item, HS_STR("Content-Type"), HS_STR("application/json"), reterr);
}

/* Its opening brace was read. */
static hs_status read_item(struct reading *r, struct batch_item *item, struct hs_err *reterr)
{
    unsigned seen = 0;

    *item = (struct batch_item){.id = HS_STR("null"), .method = HS_STR("GET")};
    for (;;) {
        enum json_token token;
        struct hs_str name;
        unsigned member;
        hs_status status = json_next(&r->json, &token, reterr);

        if (status)
            return status;
        if (token == JSON_OBJECT_END)
            return complete_item(r, item, reterr);
        status = take_text(r, &name, reterr);
        if (status)
            return status;
        member = find_member(name);
        if (member == MEMBERS)
            return fail_member(r, reterr, name, "is no member of a request");
        if (seen & 1U << member)
            return fail_member(r, reterr, name, "stands twice in a request");
        seen |= 1U << member;
        status = take_value(r, member, name, item, reterr);
        if (status)
            return status;
    }
}

/* ---- the list ---- */

static hs_status fail_too_many(const struct reading *r, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_BODY_TOO_LARGE, "the batch has more than %llu requests",
                  (unsigned long long)r->items_max);
    hs_err_hint(reterr, "Send them in several batches, or raise api.batch.max.");
    return HS_E_BODY_TOO_LARGE;
}

/* Its opening bracket was read. */
static hs_status read_items(struct reading *r, struct hs_err *reterr)
{
    struct batch_list *list = r->list;

    for (;;) {
        enum json_token token;
        hs_status status = json_next(&r->json, &token, reterr);

        if (status || token == JSON_ARRAY_END)
            return status;
        if (token != JSON_OBJECT)
            return fail_at(r, reterr, "a request of a batch is not an object");
        if (list->n == r->items_max)
            return fail_too_many(r, reterr);
        list->items = make_room(r->arena, list->items, list->n, sizeof(*list->items));
        if (!list->items)
            return hs_fail_memory(reterr);
        list->n++;
        status = read_item(r, &list->items[list->n - 1], reterr);
        if (status)
            return status;
    }
}

static hs_status read_requests(struct reading *r, struct hs_err *reterr)
{
    enum json_token token;
    hs_status status = json_next(&r->json, &token, reterr);

    if (!status && token != JSON_ARRAY)
        return fail_at(r, reterr, "\"requests\" is not an array");
    return status ? status : read_items(r, reterr);
}

static hs_status read_transaction(struct reading *r, struct hs_err *reterr)
{
    enum json_token token;
    hs_status status = json_next(&r->json, &token, reterr);

    if (!status && token != JSON_TRUE && token != JSON_FALSE)
        return fail_at(r, reterr, "\"transaction\" is neither true nor false");
    r->list->is_transaction = token == JSON_TRUE;
    return status;
}

/* Its opening brace was read. */
static hs_status read_object(struct reading *r, struct hs_err *reterr)
{
    enum { REQUESTS = 1, TRANSACTION = 2 };
    unsigned seen = 0;

    for (;;) {
        enum json_token token;
        struct hs_str name;
        unsigned member;
        hs_status status = json_next(&r->json, &token, reterr);

        if (status)
            return status;
        if (token == JSON_OBJECT_END)
            return seen & REQUESTS ? HS_OK : fail_at(r, reterr, "the batch has no \"requests\"");
        status = take_text(r, &name, reterr);
        if (status)
            return status;
        member = hs_str_is(name, "requests")      ? REQUESTS
                 : hs_str_is(name, "transaction") ? TRANSACTION
                                                  : 0;
        if (!member)
            return fail_member(r, reterr, name, "is no member of a batch");
        if (seen & member)
            return fail_member(r, reterr, name, "stands twice in a batch");
        seen |= member;
        status = member == REQUESTS ? read_requests(r, reterr) : read_transaction(r, reterr);
        if (status)
            return status;
    }
}

hs_status batch_read(struct hs_str text, uint64_t items_max, struct hs_arena *arena,
                     struct batch_list *ret_list, struct hs_err *reterr)
{
    struct reading r = {.arena = arena, .list = ret_list, .items_max = items_max};
    enum json_token token;
    hs_status status;

    *ret_list = (struct batch_list){.n = 0};
    json_reader_init(&r.json, text, JSON_DEPTH_MAX);
    status = json_next(&r.json, &token, reterr);
    if (status)
        return status;
    if (token == JSON_ARRAY)
        status = read_items(&r, reterr);
    else if (token == JSON_OBJECT)
        status = read_object(&r, reterr);
    else
        return fail_at(&r, reterr, "the body is neither an object nor an array");
    /* Behind it there may be white space only. */
    return status ? status : json_next(&r.json, &token, reterr);
}
