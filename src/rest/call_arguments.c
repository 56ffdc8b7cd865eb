/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arguments of a call.
 *
 *     GET, HEAD      what of the query is no filter: name=value; repeated for a VARIADIC parameter
 *     form           the same in the body
 *     JSON, CSV      the members of the object, or of the first of an array; PostgreSQL reads them (json_to_record)
 *     one parameter without a name: the body as it is
 *
 * Of a name that comes twice the last value counts.
 *
 * Source: PostgREST reference, functions as RPC; PostgreSQL 15 manual, 8.15.2 (array input), 8.4.1 (bytea).
 */
#include "rest/call.h"

#include "api/depend.h"
#include "api/url.h"

/* ---- what is given ---- */

static hs_status read_type(struct rest_call *call, struct hs_err *reterr)
{
    struct hs_str type = http_req_header(call->q->r.req, HS_STR("content-type"));
    struct rest_media media = {.kind = REST_MEDIA_JSON};

    if (type.n && !hs_str_is(type, "application/json"))
        media = rest_media_read(type);
    call->type = media.kind;
    if (media.kind == REST_MEDIA_JSON || media.kind == REST_MEDIA_CSV ||
        media.kind == REST_MEDIA_FORM || rest_call_is_raw(media.kind))
        return HS_OK;
    return hs_fail(reterr, HS_E_PGRST102, "Content-Type not acceptable: %.*s",
                   HS_FMT(rest_media_name(&media, call->q->r.req->arena)));
}

static hs_status collect_names(struct rest_call *call, struct hs_err *reterr)
{
    struct hs_str *names;
    size_t n = 0;

    for (const struct rest_argument *a = call->given; a; a = a->next)
        n++;
    if (n > REST_CALL_ARGUMENTS_MAX)
        return hs_fail(reterr, HS_E_BAD_BODY, "The request has more than %d arguments",
                       REST_CALL_ARGUMENTS_MAX);
    names = HS_NEW_ARRAY(call->q->r.req->arena, n + 1, struct hs_str);
    if (!names)
        return hs_fail_memory(reterr);
    n = 0;
    for (const struct rest_argument *a = call->given; a; a = a->next)
        names[n++] = a->name;
    call->names = names;
    call->n_names = rest_body_sort_names(names, n);
    return HS_OK;
}

static hs_status read_form(struct rest_call *call, struct hs_err *reterr)
{
    struct hs_arena *arena = call->q->r.req->arena;
    struct hs_str rest = call->q->r.req->body;
    struct rest_argument **end = &call->given;

    while (rest.n) {
        struct hs_str value = hs_str_cut(&rest, '&');
        struct hs_str name;
        struct rest_argument *a;
        hs_status status;

        if (!value.n)
            continue;
        name = hs_str_cut(&value, '=');
        a = HS_NEW(arena, struct rest_argument);
        if (!a)
            return hs_fail_memory(reterr);
        status = url_decode(arena, URL_QUERY_LENIENT, name, &a->name, reterr);
        if (!status)
            status = url_decode(arena, URL_QUERY_LENIENT, value, &a->value, reterr);
        if (status)
            return status;
        *end = a;
        end = &a->next;
    }
    return collect_names(call, reterr);
}

static hs_status read_object(struct rest_call *call, struct hs_err *reterr)
{
    const struct rest_request *q = call->q;
    const struct rest_body_setup setup = {.type = call->type == REST_MEDIA_CSV ? REST_BODY_CSV
                                                                               : REST_BODY_JSON,
                                          .any_keys = q->ask.has_columns,
                                          .rows_max = q->r.hold->model->rules.rows_max,
                                          .arena = q->r.req->arena};
    bool is_empty = !q->r.req->body.n && call->type == REST_MEDIA_JSON;
    struct hs_str *names;
    hs_status status = rest_body_read(&setup, is_empty ? HS_STR("{}") : q->r.req->body, &call->body,
                                      reterr);

    if (status)
        return status;
    call->names = call->body.names;
    call->n_names = call->body.n_names;
    if (!q->ask.has_columns)
        return HS_OK;
    names = HS_NEW_ARRAY(q->r.req->arena, q->ask.n_columns + 1, struct hs_str);
    if (!names)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < q->ask.n_columns; i++)
        names[i] = q->ask.columns[i];
    call->names = names;
    call->n_names = rest_body_sort_names(names, q->ask.n_columns);
    return HS_OK;
}

hs_status rest_call_read(struct rest_call *call, struct hs_err *reterr)
{
    hs_status status;

    if (!call->is_post) {
        call->given = call->q->ask.arguments;
        return collect_names(call, reterr);
    }
    status = read_type(call, reterr);
    if (status || rest_call_is_raw(call->type))
        return status;
    return call->type == REST_MEDIA_FORM ? read_form(call, reterr) : read_object(call, reterr);
}

/* ---- values ---- */

/* The values of that name as an array literal. */
static struct hs_str array_of(const struct rest_call *call, struct hs_str name)
{
    struct hs_arena *arena = call->q->r.req->arena;
    size_t room = 2;
    char *to;
    char *at;

    for (const struct rest_argument *a = call->given; a; a = a->next)
        room += hs_str_eq(a->name, name) ? 2 * a->value.n + 3 : 0;
    to = at = hs_arena_alloc(arena, room + 1);
    if (!to)
        return HS_STR_NULL;
    *at++ = '{';
    for (const struct rest_argument *a = call->given; a; a = a->next) {
        if (!hs_str_eq(a->name, name))
            continue;
        if (at > to + 1)
            *at++ = ',';
        *at++ = '"';
        for (size_t i = 0; i < a->value.n; i++) {
            if (a->value.p[i] == '"' || a->value.p[i] == '\\')
                *at++ = '\\';
            *at++ = a->value.p[i];
        }
        *at++ = '"';
    }
    *at++ = '}';
    *at = '\0';
    return hs_strn(to, (size_t)(at - to));
}

static struct hs_str value_of(const struct rest_call *call, const struct pg_argument *argument)
{
    struct hs_str value = HS_STR_NULL;

    if (argument->is_variadic)
        return array_of(call, argument->name);
    for (const struct rest_argument *a = call->given; a; a = a->next) {
        if (hs_str_eq(a->name, argument->name))
            value = a->value.p ? a->value : HS_STR("");
    }
    return value;
}

static bool is_named(const struct rest_call *call, struct hs_str name)
{
    for (size_t i = 0; i < call->n_names; i++) {
        if (hs_str_eq(call->names[i], name))
            return true;
    }
    return false;
}

/* Those that are given, in the order of the function's parameters. */
static hs_status bind_named(struct rest_call *call, struct hs_err *reterr)
{
    const struct pg_function *f = call->function;
    bool is_object = call->is_post && call->type != REST_MEDIA_FORM;
    struct tree_argument *to = HS_NEW_ARRAY(call->q->r.req->arena, f->n_arguments + 1,
                                            struct tree_argument);
    size_t n = 0;

    if (!to)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < f->n_arguments; i++) {
        const struct pg_argument *argument = &f->arguments[i];

        if (!argument->name.n || !is_named(call, argument->name))
            continue;
        to[n].argument = argument;
        if (!is_object) {
            to[n].value = value_of(call, argument);
            call->is_fixed = call->is_fixed && api_value_is_fixed(argument->type, to[n].value);
        }
        n++;
    }
    if (hs_arena_failed(call->q->r.req->arena))
        return hs_fail_memory(reterr);
    call->tree.arguments = to;
    call->tree.n_arguments = n;
    if (is_object && n)
        call->tree.json = call->body.first.p ? hs_arena_dup(call->q->r.req->arena, call->body.first)
                                             : HS_STR("{}");
    return is_object && n && !call->tree.json.p ? hs_fail_memory(reterr) : HS_OK;
}

/* "\x0a0b" */
static struct hs_str hex_of(struct hs_arena *arena, struct hs_str bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *to = hs_arena_alloc(arena, 2 * bytes.n + 3);
    char *at = to;

    if (!to)
        return HS_STR_NULL;
    *at++ = '\\';
    *at++ = 'x';
    for (size_t i = 0; i < bytes.n; i++) {
        *at++ = digits[(unsigned char)bytes.p[i] >> 4];
        *at++ = digits[(unsigned char)bytes.p[i] & 0xf];
    }
    *at = '\0';
    return hs_strn(to, (size_t)(at - to));
}

static hs_status bind_body(struct rest_call *call, struct hs_err *reterr)
{
    const struct http_req *req = call->q->r.req;
    struct tree_argument *to = HS_NEW(req->arena, struct tree_argument);

    if (!to)
        return hs_fail_memory(reterr);
    if (call->type == REST_MEDIA_BYTES)
        to->value = hex_of(req->arena, req->body);
    else if (call->type == REST_MEDIA_JSON)
        to->value = call->body.json;
    else if (!hs_str_is_utf8(req->body) || hs_str_find(req->body, '\0') < req->body.n)
        return hs_fail(reterr, HS_E_PGRST102, "The body is not UTF-8, or has the character NUL");
    else
        to->value = hs_arena_dup(req->arena, req->body.n ? req->body : HS_STR(""));
    if (!to->value.p)
        return hs_fail_memory(reterr);
    to->argument = &call->function->arguments[0];
    call->tree.arguments = to;
    call->tree.n_arguments = 1;
    call->tree.is_positional = true;
    return HS_OK;
}

hs_status rest_call_bind(struct rest_call *call, struct hs_err *reterr)
{
    const struct pg_function *f = call->function;
    bool takes_body = call->is_post && f->n_arguments == 1 && !f->arguments[0].name.n;

    call->tree = (struct tree_call){.function = f};
    call->is_fixed = !call->is_post;
    return takes_body && call->type != REST_MEDIA_FORM && call->type != REST_MEDIA_CSV
               ? bind_body(call, reterr)
               : bind_named(call, reterr);
}
