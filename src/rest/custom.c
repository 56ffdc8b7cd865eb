/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Media types of the operator's: an aggregate over the rows of an answer, or a function's own value, is the body.
 *
 * The rule: what it is called with is the answer's rows in all their columns; a request that selects some of them
 * gets the built-in types only, but for an aggregate of anyelement; so does a write. It is a user's function: it
 * runs with the prelude, and nothing of it is kept.
 *
 * Source: PostgREST reference, media type handlers.
 */
#include "core/hash.h"
#include "rest/request.h"

static bool is_for(const struct rest_request *q, const struct pg_media_handler *h,
                   struct hs_str media_type, bool is_any_row)
{
    if (!hs_str_ieq(h->media_type, media_type))
        return false;
    if (h->function)
        return !is_any_row && h->function == q->function;
    return is_any_row ? !h->of : h->of && h->of == q->relation;
}

static const struct pg_media_handler *find(const struct rest_request *q, struct hs_str media_type,
                                           bool is_any_row)
{
    const struct pg_catalog *catalog = q->site->catalog;

    for (size_t i = 0; i < catalog->n_media_handlers; i++) {
        if (is_for(q, &catalog->media_handlers[i], media_type, is_any_row))
            return &catalog->media_handlers[i];
    }
    return NULL;
}

/* All columns and nothing else: no select, or select=*. */
static bool has_all_columns(const struct rest_ask *ask)
{
    return !ask->has_select ||
           (ask->select && ask->select->kind == REST_ITEM_ALL && !ask->select->next);
}

/*
 * Only columns under their own names: what else is asked for has no names in our statement, or comes as rows of
 * its own, and a function that is given the statement's rows would see that.
 */
static bool has_plain_columns(const struct rest_ask *ask)
{
    for (const struct rest_item *i = ask->select; i; i = i->next) {
        bool is_column = i->kind == REST_ITEM_FIELD && !i->alias.p && !i->path.n_steps &&
                         !i->cast.p && !i->aggregate;

        if (!is_column && i->kind != REST_ITEM_ALL)
            return false;
    }
    return true;
}

bool rest_take_handler(struct rest_request *q, struct rest_media *media)
{
    struct hs_str name = rest_media_name(media, q->r.req->arena);
    bool is_whole = has_all_columns(&q->ask);
    const struct pg_media_handler *h = NULL;

    if (!q->site->catalog->n_media_handlers || q->change)
        return false;
    if (is_whole)
        h = find(q, HS_STR("*/*"), /* is_any_row= */ false);
    if (!h && is_whole)
        h = find(q, name, /* is_any_row= */ false);
    if (!h && has_plain_columns(&q->ask))
        h = find(q, name, /* is_any_row= */ true);
    if (!h)
        return false;
    q->handler = h;
    *media = (struct rest_media){.kind = REST_MEDIA_OTHER, .name = h->media_type};
    if (hs_str_is(h->media_type, "*/*"))
        media->kind = REST_MEDIA_BYTES;
    return true;
}

hs_status rest_aggregate(struct rest_request *q, struct hs_err *reterr)
{
    struct pg_query *query = &q->r.query;
    const struct pg_media_handler *h = q->handler;

    query->sql = hs_arena_printf(q->r.req->arena, "SELECT %.*s(_t%s%.*s), count(_t) FROM (%.*s) _t",
                                 HS_FMT(h->quoted), h->of ? "::" : "",
                                 HS_FMT(h->of ? h->of->quoted : HS_STR("")), HS_FMT(query->sql));
    query->sql_hash = hs_hash(query->sql);
    return query->sql.p ? HS_OK : hs_fail_memory(reterr);
}

/* ---- the answer ---- */

static unsigned digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

/* Of bytea in its text form, "\x0a1b". */
static void add_bytes(struct hs_buf *out, struct hs_str text)
{
    char *to = text.n > 2 ? hs_buf_room(out, text.n / 2) : NULL;
    size_t n = 0;

    for (size_t i = 2; to && i + 1 < text.n; i += 2)
        to[n++] = (char)(digit(text.p[i]) << 4 | digit(text.p[i + 1]));
    if (to)
        hs_buf_added(out, n);
}

void rest_add_text_or_bytes(struct hs_buf *out, const struct pg_type *type, struct hs_str text)
{
    if (type->kind == PG_KIND_BYTEA && hs_str_starts(text, HS_STR("\\x")))
        add_bytes(out, text);
    else
        hs_buf_add(out, text);
}

void rest_answer_aggregate(struct rest_request *q, const struct pg_rows *rows)
{
    struct hs_buf *out = http_req_scratch(q->r.req);
    char range[REST_CONTENT_RANGE_MAX];
    uint64_t n = 0;
    struct http_reply reply = {.status = 200};
    struct hs_err err;

    rest_add_text_or_bytes(out, q->handler->type, pg_rows_value(rows, 0, 0));
    if (!hs_str_to_u64(pg_rows_value(rows, 0, 1), &n))
        n = 0;
    reply.headers = rest_headers(
        q, hs_strn(range, rest_content_range_write(range, q->range.offset, n, NULL)));
    reply.content_type = rest_media_content_type(&q->media, q->r.req->arena);
    if (rest_read_settings(q, rows, &reply, &err))
        rest_fail(q, &err);
    else
        rest_reply_alone(q, reply, out);
}
