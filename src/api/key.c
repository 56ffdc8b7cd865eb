/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache's keys, written and read again. Who reads one goes from its front, where a name with a space in it is not
 * marked as such: then the claims are still found, since they are the first object of JSON behind a space, but the
 * two names before them are not told apart.
 */
#include "api/key.h"

#include "api/explain.h"
#include "core/guard.h"
#include "core/json_read.h"

enum { CLAIM_TEXT_MAX = 512 };

/* ---- writing ---- */

static void add_number(struct hs_buf *key, char name, uint64_t n)
{
    hs_buf_add_char(key, ' ');
    hs_buf_add_char(key, name);
    hs_buf_add_u64(key, n);
}

/*
 * A row by its key, without parameters, goes without the statement's text: table, role and catalog generation
 * decide it, and the shorter key is what the commonest hit compares.
 */
void api_key_write(const struct api_request *r, const struct hs_identity *as, struct hs_buf *key)
{
    const struct pg_query *q = &r->query;
    bool is_plain = r->is_item && !r->req->query.n && !r->form.n;

    hs_buf_clear(key);
    hs_buf_add(key, r->keep->name);
    hs_buf_add_char(key, ' ');
    hs_buf_add(key, as->role);
    hs_buf_add_char(key, ' ');
    hs_buf_add(key, HS_GUARD(claims_in_key) ? as->claims : HS_STR("{}"));
    add_number(key, r->ask.omit_nulls ? 'o' : 'n', r->hold->model->form);
    if (!is_plain) {
        add_number(key, r->is_item ? 'i' : 'l', r->ask.limit);
        add_number(key, 'p', r->ask.page);
        add_number(key, 'q', q->sql.n);
        hs_buf_add_char(key, ' ');
        hs_buf_add(key, q->sql);
    }
    if (r->form.n) {
        add_number(key, 'f', r->form.n);
        hs_buf_add_char(key, ' ');
        hs_buf_add(key, r->form);
    }
    for (size_t i = 0; i < q->n_params; i++) {
        struct hs_str value = hs_str(q->params[i]);

        add_number(key, value.p ? '=' : '-', value.n);
        hs_buf_add_char(key, ' ');
        hs_buf_add(key, value);
    }
    /* What its headers say to shared caches differs for those who brought no token. */
    if (r->keep->is_public && as->is_anonymous)
        hs_buf_add_lit(key, " public");
    add_number(key, '@', r->keep->oid);
    add_number(key, '.', as->role.n);
}

/* ---- reading ---- */

static bool read_object(struct hs_str text, struct hs_str *ret_object)
{
    struct json_reader reader;
    enum json_token token;

    json_reader_init(&reader, text, JSON_DEPTH_MAX);
    return json_next(&reader, &token, NULL) == HS_OK && token == JSON_OBJECT &&
           json_skip(&reader, token, ret_object, NULL) == HS_OK;
}

bool api_key_read(struct hs_str key, struct api_key_parts *ret_parts)
{
    size_t at = 0;

    *ret_parts = (struct api_key_parts){.table = HS_STR_NULL};
    for (;; at++) {
        at += hs_str_find(hs_str_sub(key, at, key.n), ' ');
        if (at >= key.n)
            return false;
        if (at + 1 < key.n && key.p[at + 1] == '{' &&
            read_object(hs_str_sub(key, at + 1, key.n), &ret_parts->claims))
            break;
    }
    ret_parts->role = hs_str_sub(key, 0, at);
    ret_parts->table = hs_str_cut(&ret_parts->role, ' ');
    if (!ret_parts->role.n || hs_str_find(ret_parts->role, ' ') < ret_parts->role.n)
        ret_parts->table = ret_parts->role = HS_STR_NULL;
    return true;
}

/* Is what was just read this text? */
static bool is_text(const struct json_reader *reader, struct hs_str text)
{
    char plain[CLAIM_TEXT_MAX];
    size_t n;

    if (!reader->has_escapes)
        return hs_str_eq(reader->value, text);
    return reader->value.n <= sizeof(plain) && json_unescape(reader->value, plain, &n) &&
           hs_str_eq(hs_strn(plain, n), text);
}

bool api_key_has_claim(struct hs_str key, struct hs_str name, struct hs_str value)
{
    struct api_key_parts parts;
    struct json_reader reader;
    enum json_token token;
    struct hs_str skipped;

    if (!api_key_read(key, &parts))
        return false;
    json_reader_init(&reader, parts.claims, JSON_DEPTH_MAX);
    if (json_next(&reader, &token, NULL))
        return false;
    while (json_next(&reader, &token, NULL) == HS_OK && token == JSON_NAME) {
        bool is_asked = is_text(&reader, name);

        if (json_next(&reader, &token, NULL))
            return false;
        if (is_asked)
            return (token == JSON_STRING || token == JSON_NUMBER) && is_text(&reader, value);
        if (json_skip(&reader, token, &skipped, NULL))
            return false;
    }
    return false;
}
