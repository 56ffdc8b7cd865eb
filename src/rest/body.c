/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON bodies.
 *
 * The rule: the members of the first object are the columns, and every further object has the same. Clients write the
 * objects of an array in one order, so the k-th name is first compared, byte by byte, with the k-th of the first
 * object; only where that fails is it unescaped and looked up.
 *
 * Source: PostgREST reference, tables and views; how it reads what is neither an object nor an array (as no rows)
 * was measured.
 */
#include "rest/body.h"

#include <stdlib.h>

#include "core/json_read.h"

/* One name as the first object has it. */
struct seen {
    struct hs_str raw; /* with its escapes */
    struct hs_str name;
    size_t index; /* in reading.names */
};

struct reading {
    struct json_reader json;
    const struct rest_body_setup *setup;
    struct rest_body *body;
    struct seen *seen; /* of the first object, in its order */
    size_t n_seen;
    size_t cap;
    struct hs_str *names; /* the same, sorted, each once */
    size_t n_names;
    size_t *row_of; /* by name: the last row, from 1, that had it */
};

/* ---- errors ---- */

hs_status rest_body_fail_rows(const struct rest_body_setup *setup, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_BAD_BODY, "The body has more than %zu rows", setup->rows_max);
    hs_err_hint(reterr, "Send them in several requests, or raise api.body.rows_max.");
    return HS_E_BAD_BODY;
}

hs_status rest_body_fail_names(struct hs_err *reterr)
{
    return hs_fail(reterr, HS_E_BAD_BODY, "The body names more than %d columns",
                   REST_BODY_NAMES_MAX);
}

static hs_status fail_keys(struct hs_err *reterr)
{
    return hs_fail(reterr, HS_E_PGRST102, "All object keys must match");
}

/* PostgREST's sentence; what the reader found stands in the details. */
static hs_status fail_json(const struct hs_err *cause, struct hs_err *reterr)
{
    if (cause->status == HS_E_MEMORY)
        return hs_fail_memory(reterr);
    (void)hs_fail(reterr, HS_E_PGRST102, "Empty or invalid json");
    if (reterr && cause->what[0])
        hs_err_why(reterr, "%s", cause->what);
    return HS_E_PGRST102;
}

/* ---- names ---- */

static int compare_names(const void *a, const void *b)
{
    return hs_str_cmp(*(const struct hs_str *)a, *(const struct hs_str *)b);
}

size_t rest_body_sort_names(struct hs_str *names, size_t n)
{
    size_t kept = 0;

    if (n)
        qsort(names, n, sizeof(*names), compare_names);
    for (size_t i = 0; i < n; i++) {
        if (!kept || !hs_str_eq(names[kept - 1], names[i]))
            names[kept++] = names[i];
    }
    return kept;
}

/* Index of the name, or n_names. */
static size_t find_name(const struct reading *r, struct hs_str name)
{
    const struct hs_str *hit = r->n_names ? bsearch(&name, r->names, r->n_names, sizeof(name),
                                                    compare_names)
                                          : NULL;

    return hit ? (size_t)(hit - r->names) : r->n_names;
}

static bool grow(struct reading *r)
{
    size_t cap = r->cap ? 2 * r->cap : 16;
    struct seen *seen = HS_NEW_ARRAY(r->setup->arena, cap, struct seen);

    if (!seen)
        return false;
    if (r->n_seen)
        memcpy(seen, r->seen, r->n_seen * sizeof(*seen));
    r->seen = seen;
    r->cap = cap;
    return true;
}

/* The name that was just read, of the first object. */
static hs_status add_name(struct reading *r, struct hs_err *reterr)
{
    struct seen *seen;

    if (r->n_seen == REST_BODY_NAMES_MAX)
        return rest_body_fail_names(reterr);
    if (r->n_seen == r->cap && !grow(r))
        return hs_fail_memory(reterr);
    seen = &r->seen[r->n_seen++];
    seen->raw = r->json.value;
    return json_text(&r->json, r->setup->arena, &seen->name, reterr);
}

/* The first object has ended: from here on names are looked up. */
static hs_status index_names(struct reading *r, struct hs_err *reterr)
{
    r->names = HS_NEW_ARRAY(r->setup->arena, r->n_seen + 1, struct hs_str);
    r->row_of = HS_NEW_ARRAY(r->setup->arena, r->n_seen + 1, size_t);
    if (!r->names || !r->row_of)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < r->n_seen; i++)
        r->names[i] = r->seen[i].name;
    r->n_names = rest_body_sort_names(r->names, r->n_seen);
    for (size_t i = 0; i < r->n_seen; i++)
        r->seen[i].index = find_name(r, r->seen[i].name);
    return HS_OK;
}

/* Index of the k-th name of an object, which was just read; n_names: it is none of the first object's. */
static hs_status look_up(const struct reading *r, size_t k, size_t *ret_index,
                         struct hs_err *reterr)
{
    struct hs_str name;
    hs_status status;

    *ret_index = r->n_names;
    if (hs_likely(k < r->n_seen && hs_str_eq(r->seen[k].raw, r->json.value))) {
        *ret_index = r->seen[k].index;
        return HS_OK;
    }
    if (!r->json.has_escapes) {
        *ret_index = find_name(r, r->json.value);
        return HS_OK;
    }
    status = json_text(&r->json, r->setup->arena, &name, reterr);
    if (!status)
        *ret_index = find_name(r, name);
    return status;
}

/* ---- objects ---- */

static hs_status skip_value(struct reading *r, struct hs_err *reterr)
{
    enum json_token token;
    struct hs_str text;
    hs_status status = json_next(&r->json, &token, reterr);

    return status ? status : json_skip(&r->json, token, &text, reterr);
}

/* Behind the '{' of the first object. */
static hs_status read_first(struct reading *r, struct hs_err *reterr)
{
    size_t begin = r->json.start;
    enum json_token token;
    hs_status status;

    while (!(status = json_next(&r->json, &token, reterr)) && token == JSON_NAME) {
        if (!r->setup->any_keys)
            status = add_name(r, reterr);
        if (!status)
            status = skip_value(r, reterr);
        if (status)
            return status;
    }
    r->body->first = hs_str_sub(r->json.text, begin, r->json.at);
    return status ? status : index_names(r, reterr);
}

/* Behind the '{' of another one. */
static hs_status read_next(struct reading *r, bool *ret_matches, struct hs_err *reterr)
{
    enum json_token token;
    size_t n = 0;
    hs_status status;

    *ret_matches = true;
    for (size_t k = 0;; k++) {
        size_t index;

        status = json_next(&r->json, &token, reterr);
        if (status || token != JSON_NAME)
            break;
        status = look_up(r, k, &index, reterr);
        if (status)
            break;
        if (index == r->n_names) {
            *ret_matches = false;
        } else if (r->row_of[index] != r->body->n_rows) {
            r->row_of[index] = r->body->n_rows;
            n++;
        }
        status = skip_value(r, reterr);
        if (status)
            break;
    }
    if (n != r->n_names)
        *ret_matches = false;
    return status;
}

/* ret_is_uniform: of all elements so far. What follows is read in any case: broken JSON is said first. */
static hs_status read_element(struct reading *r, enum json_token token, bool *ret_is_uniform,
                              struct hs_err *reterr)
{
    bool matches = false;
    struct hs_str text;
    hs_status status;

    if (++r->body->n_rows > r->setup->rows_max)
        return rest_body_fail_rows(r->setup, reterr);
    if (token != JSON_OBJECT)
        status = json_skip(&r->json, token, &text, reterr);
    else if (r->body->n_rows == 1)
        return read_first(r, reterr);
    else if (r->setup->any_keys || !*ret_is_uniform)
        status = json_skip(&r->json, token, &text, reterr);
    else
        status = read_next(r, &matches, reterr);
    *ret_is_uniform = *ret_is_uniform && (matches || r->setup->any_keys);
    return status;
}

static hs_status read_array(struct reading *r, bool *ret_is_uniform, struct hs_err *reterr)
{
    enum json_token token;
    hs_status status;

    while (!(status = json_next(&r->json, &token, reterr)) && token != JSON_ARRAY_END) {
        status = read_element(r, token, ret_is_uniform, reterr);
        if (status)
            return status;
    }
    return status;
}

static hs_status read_value(struct reading *r, bool *ret_is_uniform, struct hs_err *reterr)
{
    enum json_token token;
    struct hs_str text;
    hs_status status = json_next(&r->json, &token, reterr);

    if (status)
        return status;
    if (token == JSON_OBJECT) {
        r->body->n_rows = 1;
        status = read_first(r, reterr);
    } else if (token == JSON_ARRAY) {
        r->body->is_array = true;
        status = read_array(r, ret_is_uniform, reterr);
    } else {
        r->body->is_array = true;
        r->body->json = HS_STR("[]");
        status = json_skip(&r->json, token, &text, reterr);
    }
    /* One value and nothing behind it. */
    return status ? status : json_next(&r->json, &token, reterr);
}

static hs_status read_json(const struct rest_body_setup *setup, struct hs_str text,
                           struct rest_body *body, struct hs_err *reterr)
{
    struct reading r = {.setup = setup, .body = body};
    struct hs_err cause = {0};
    bool is_uniform = true;
    hs_status status;

    json_reader_init(&r.json, text, JSON_DEPTH_MAX);
    status = read_value(&r, &is_uniform, &cause);
    if (status == HS_E_BAD_BODY) {
        if (reterr)
            *reterr = cause;
        return status;
    }
    if (status)
        return fail_json(&cause, reterr);
    if (!is_uniform)
        return fail_keys(reterr);
    body->names = r.names;
    body->n_names = r.n_names;
    body->has_any_keys = setup->any_keys;
    if (!body->json.p)
        body->json = hs_arena_dup(setup->arena, text);
    return body->json.p ? HS_OK : hs_fail_memory(reterr);
}

/* ---- all kinds ---- */

hs_status rest_body_read(const struct rest_body_setup *setup, struct hs_str text,
                         struct rest_body *ret_body, struct hs_err *reterr)
{
    *ret_body = (struct rest_body){.json = HS_STR_NULL};
    switch (setup->type) {
    case REST_BODY_CSV:
        return rest_body_csv(setup, text, ret_body, reterr);
    case REST_BODY_FORM:
        return rest_body_form(setup, text, ret_body, reterr);
    case REST_BODY_JSON:
        break;
    }
    return read_json(setup, text, ret_body, reterr);
}
