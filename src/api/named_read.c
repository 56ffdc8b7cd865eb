/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of a named query's parameters.
 *
 * A parameter is treated as if it were a column of a table: what the simple dialect checks of filters and of bodies is
 * checked here, by the same functions; only the sentence that says so is another one. What is not given has
 * its default; what has none is asked for.
 */
#include "api/body_int.h"
#include "api/depend_int.h"
#include "api/named_int.h"
#include "api/url.h"
#include "api/value.h"
#include "core/mem.h"
#include "core/nearest.h"

struct values {
    const struct api_named *named;
    struct hs_arena *arena;
    const char **of; /* by parameter */
    bool *is_given;
    bool is_fixed;
};

static hs_status fail_unknown(const struct api_named *named, struct hs_str name,
                              struct hs_err *reterr)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, name);
    for (size_t i = 0; i < named->n_params; i++)
        hs_nearest_offer(&near, named->params[i].name);
    best = hs_nearest_best(&near);
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "%.*s has no parameter \"%.*s\"",
                  HS_FMT(named->table.name), HS_FMT(hs_str_sub(name, 0, NAMED_NAME_MAX)));
    if (best.n)
        hs_err_hint(reterr, "Perhaps you meant \"%.*s\".", HS_FMT(best));
    else if (!named->n_params)
        hs_err_hint(reterr, "It has no parameters.");
    return HS_E_BAD_PARAMETER;
}

static hs_status take_name(struct values *v, struct hs_str name, size_t *ret_i,
                           struct hs_err *reterr)
{
    size_t i = 0;

    while (i < v->named->n_params && !hs_str_eq(v->named->params[i].name, name))
        i++;
    if (i == v->named->n_params)
        return fail_unknown(v->named, name, reterr);
    if (v->is_given[i])
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "\"%.*s\" is given twice", HS_FMT(name));
    v->is_given[i] = true;
    *ret_i = i;
    return HS_OK;
}

static hs_status say_parameter(const struct api_named_param *param, hs_status status,
                               struct hs_err *reterr)
{
    if (status == HS_E_BAD_VALUE)
        hs_err_why(reterr, "The parameter is of type %.*s.", HS_FMT(param->type->name));
    return status;
}

/* ---- from a query string ---- */

static bool is_list(const struct api_named_param *param, struct hs_str text)
{
    return param->type->kind == PG_KIND_ARRAY && !(text.n && text.p[0] == '{');
}

static void add_element(struct hs_buf *out, struct hs_str element)
{
    hs_buf_add_char(out, '"');
    for (size_t i = 0; i < element.n; i++) {
        if (element.p[i] == '"' || element.p[i] == '\\')
            hs_buf_add_char(out, '\\');
        hs_buf_add_char(out, element.p[i]);
    }
    hs_buf_add_char(out, '"');
}

/* a,b as {"a","b"}: in its order, which a statement may look at. */
static hs_status write_array(const struct api_named *named, const struct api_named_param *param,
                             struct hs_str text, struct hs_arena *arena, struct hs_buf *out,
                             struct hs_err *reterr)
{
    struct value_place place = {named->table.name, &param->element_field};
    struct url_list list = url_list(text);
    struct hs_str element;

    hs_buf_add_char(out, '{');
    for (size_t n = 0;; n++) {
        hs_status status = url_list_next(arena, &list, &element, reterr);

        if (!status && !element.p)
            break;
        if (!status)
            status = say_parameter(param, value_check(place, element, reterr), reterr);
        if (status)
            return status;
        if (n)
            hs_buf_add_char(out, param->type->delim ? param->type->delim : ',');
        add_element(out, element);
    }
    hs_buf_add_char(out, '}');
    return HS_OK;
}

static hs_status read_array(const struct api_named *named, const struct api_named_param *param,
                            struct hs_str text, struct hs_arena *arena, const char **ret_value,
                            struct hs_err *reterr)
{
    struct hs_buf out;
    hs_status status;

    hs_buf_init(&out, arena->bytes_max);
    status = write_array(named, param, text, arena, &out, reterr);
    if (!status) {
        *ret_value = hs_buf_failed(&out) ? NULL : hs_arena_dup(arena, hs_buf_str(&out)).p;
        status = *ret_value ? HS_OK : hs_fail_memory(reterr);
    }
    hs_buf_fini(&out);
    return status;
}

hs_status named_value_check(const struct api_named *named, const struct api_named_param *param,
                            struct hs_str text, struct hs_err *reterr)
{
    struct value_place place = {named->table.name, &param->field};

    return say_parameter(param, value_check(place, text, reterr), reterr);
}

static hs_status read_query(struct values *v, struct hs_str query, struct hs_err *reterr)
{
    for (;;) {
        const struct api_named_param *param;
        struct url_pair pair;
        size_t i = 0;
        hs_status status = url_next_pair(v->arena, &query, &pair, reterr);

        if (status || !pair.key.p)
            return status;
        status = take_name(v, pair.key, &i, reterr);
        if (status)
            return status;
        param = &v->named->params[i];
        v->of[i] = pair.value.p ? pair.value.p : "";
        status = is_list(param, pair.value)
                     ? read_array(v->named, param, pair.value, v->arena, &v->of[i], reterr)
                     : named_value_check(v->named, param, hs_str(v->of[i]), reterr);
        if (status)
            return status;
    }
}

/* ---- from a body ---- */

static hs_status read_name(struct values *v, const struct json_reader *json, size_t *ret_i,
                           struct hs_err *reterr)
{
    char plain[NAMED_NAME_MAX];
    size_t n;

    if (!json->has_escapes)
        return take_name(v, json->value, ret_i, reterr);
    if (json->value.n > sizeof(plain) || !json_unescape(json->value, plain, &n))
        return fail_unknown(v->named, json->value, reterr);
    return take_name(v, hs_strn(plain, n), ret_i, reterr);
}

static hs_status read_members(struct values *v, struct body_reader *b, struct hs_err *reterr)
{
    enum json_token token;
    hs_status status = json_next(&b->json, &token, reterr);

    if (!status && token != JSON_OBJECT)
        return hs_fail(reterr, HS_E_BAD_BODY, "the body is no object of parameters");
    while (!status) {
        size_t i = 0;

        status = json_next(&b->json, &token, reterr);
        if (status || token == JSON_OBJECT_END)
            break;
        status = read_name(v, &b->json, &i, reterr);
        if (!status)
            status = json_next(&b->json, &token, reterr);
        if (status)
            break;
        b->field = &v->named->params[i].field;
        b->json.has_nul = false;
        status = say_parameter(&v->named->params[i], body_value(b, token, &v->of[i], reterr),
                               reterr);
    }
    return status ? status : json_next(&b->json, &token, reterr);
}

static hs_status read_body(struct values *v, struct hs_str body, struct hs_err *reterr)
{
    struct body_reader b = {.table = &v->named->table,
                            .kind = BODY_INSERT,
                            .arena = v->arena,
                            .mem_failures = hs_mem_failures(),
                            .row = 1};
    hs_status status;

    if (!body.n)
        return HS_OK;
    json_reader_init(&b.json, body, JSON_DEPTH_MAX);
    hs_buf_init(&b.scratch, v->arena->bytes_max);
    b.at = hs_arena_alloc(v->arena, body.n + 1);
    b.end = b.at ? b.at + body.n + 1 : NULL;
    status = b.at ? read_members(v, &b, reterr) : hs_fail_memory(reterr);
    hs_buf_fini(&b.scratch);
    return status;
}

/* ---- what is not given ---- */

static hs_status fill(struct values *v, struct hs_err *reterr)
{
    for (size_t i = 0; i < v->named->n_params; i++) {
        const struct api_named_param *param = &v->named->params[i];

        if (!v->is_given[i] && !param->has_default) {
            (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "the parameter \"%.*s\" is missing",
                          HS_FMT(param->name));
            hs_err_hint(reterr, "Give it a value of type %.*s.", HS_FMT(param->type->name));
            return HS_E_BAD_PARAMETER;
        }
        if (!v->is_given[i])
            v->of[i] = param->value;
        if (v->of[i] && !api_value_is_fixed(param->type, hs_str(v->of[i])))
            v->is_fixed = false;
    }
    return HS_OK;
}

hs_status named_values(const struct api_named *named, const struct http_req *req, bool is_body,
                       const char ***ret_values, bool *ret_is_fixed, struct hs_err *reterr)
{
    struct values v = {.named = named, .arena = req->arena, .is_fixed = true};
    hs_status status;

    v.of = HS_NEW_ARRAY(v.arena, named->n_params + 1, const char *);
    v.is_given = HS_NEW_ARRAY(v.arena, named->n_params + 1, bool);
    if (!v.of || !v.is_given)
        return hs_fail_memory(reterr);
    if (is_body && req->query.n)
        return hs_fail(reterr, HS_E_BAD_PARAMETER,
                       "the parameters of a POST stand in its body, not in its address");
    status = is_body ? read_body(&v, req->body, reterr) : read_query(&v, req->query, reterr);
    if (!status)
        status = fill(&v, reterr);
    *ret_values = v.of;
    *ret_is_fixed = v.is_fixed;
    return status;
}
