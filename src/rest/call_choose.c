/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which function is meant: the one whose parameters have the names of the arguments.
 *
 * The rule: by names alone. All parameters without a default must be named, and nothing else may be. Only where no
 * function fits so, one with a single parameter that has no name takes the body of a POST, if its type is that of
 * the body.
 *
 * Source: PostgREST reference, functions as RPC (overloaded functions, single unnamed parameter), errors.
 */
#include "rest/call.h"

#include <stdlib.h>

#include "rest/fuzzy.h"

/* ---- does it fit? ---- */

static bool has_name(const struct rest_call *call, struct hs_str name)
{
    for (size_t i = 0; i < call->n_names; i++) {
        if (hs_str_eq(call->names[i], name))
            return true;
    }
    return false;
}

static bool is_raw_post(const struct rest_call *call)
{
    return call->is_post && rest_call_is_raw(call->type);
}

/* Names are each there once, so as many as were found are all. */
static bool fits(const struct rest_call *call, const struct pg_function *f)
{
    size_t n_found = 0;

    if (!f->n_arguments)
        return !call->n_names && !is_raw_post(call);
    for (size_t i = 0; i < f->n_arguments; i++) {
        const struct pg_argument *a = &f->arguments[i];
        bool is_given = a->name.n && has_name(call, a->name);

        if (!is_given && !a->has_default)
            return false;
        n_found += is_given;
    }
    return n_found == call->n_names;
}

/* By pg_type.dat: those that a body can be, whatever its names are. */
enum { SUGGEST_MAX = 500 }; /* beyond so many functions none is looked for */
enum { OID_BYTEA = 17, OID_TEXT = 25, OID_JSON = 114, OID_XML = 142, OID_JSONB = 3802 };

static bool takes_body(const struct rest_call *call, const struct pg_function *f)
{
    uint32_t oid;

    if (!call->is_post || f->n_arguments != 1 || f->arguments[0].name.n)
        return false;
    oid = f->arguments[0].type->oid;
    switch (call->type) {
    case REST_MEDIA_JSON:
        return oid == OID_JSON || oid == OID_JSONB;
    case REST_MEDIA_TEXT:
        return oid == OID_TEXT;
    case REST_MEDIA_XML:
        return oid == OID_XML;
    case REST_MEDIA_BYTES:
        return oid == OID_BYTEA;
    case REST_MEDIA_ANY:
    case REST_MEDIA_OBJECT:
    case REST_MEDIA_ARRAY_STRIPPED:
    case REST_MEDIA_CSV:
    case REST_MEDIA_GEOJSON:
    case REST_MEDIA_OPENAPI:
    case REST_MEDIA_FORM:
    case REST_MEDIA_PLAN:
    case REST_MEDIA_OTHER:
        break;
    }
    return false;
}

/* ---- none ---- */

static struct hs_str join_names(const struct rest_call *call)
{
    struct hs_arena *arena = call->q->r.req->arena;
    struct hs_str all = HS_STR("");

    for (size_t i = 0; i < call->n_names && all.n < HS_ERR_WHAT; i++)
        all = hs_arena_printf(arena, "%.*s%s%.*s", HS_FMT(all), i ? ", " : "",
                              HS_FMT(call->names[i]));
    return all;
}

static int compare_names(const void *a, const void *b)
{
    return hs_str_cmp(*(const struct hs_str *)a, *(const struct hs_str *)b);
}

/* "(a, b)" with the parameters in the order of their names. */
static struct hs_str parameters_of(const struct pg_function *f, struct hs_arena *arena)
{
    struct hs_str *names = HS_NEW_ARRAY(arena, f->n_arguments + 1, struct hs_str);
    struct hs_str all = HS_STR("(");

    for (size_t i = 0; names && i < f->n_arguments; i++)
        names[i] = f->arguments[i].name;
    if (names)
        qsort(names, f->n_arguments, sizeof(*names), compare_names);
    for (size_t i = 0; names && i < f->n_arguments; i++)
        all = hs_arena_printf(arena, "%.*s%s%.*s", HS_FMT(all), i ? ", " : "", HS_FMT(names[i]));
    return hs_arena_printf(arena, "%.*s)", HS_FMT(all));
}

/* The nearest name; of functions of that very name the one with the nearest parameters. */
static struct hs_str suggest(const struct rest_call *call, struct hs_str name,
                             const struct pg_function *same, size_t n_same)
{
    const struct pg_catalog *catalog = call->q->site->catalog;
    struct hs_arena *arena = call->q->r.req->arena;
    struct rest_fuzzy fuzzy;
    size_t n = 0;

    if (n_same) {
        rest_fuzzy_start(&fuzzy, hs_arena_printf(arena, "(%.*s)", HS_FMT(join_names(call))),
                         REST_FUZZY_LOOSE);
        for (size_t i = 0; i < n_same; i++)
            rest_fuzzy_offer(&fuzzy, parameters_of(&same[i], arena));
        return fuzzy.best.p ? hs_arena_printf(arena, "%.*s%.*s", HS_FMT(name), HS_FMT(fuzzy.best))
                            : HS_STR_NULL;
    }
    rest_fuzzy_start(&fuzzy, name, REST_FUZZY_CLOSE);
    for (size_t i = 0; i < catalog->n_functions && n < SUGGEST_MAX; i++) {
        if (!hs_str_eq(catalog->functions[i].schema, call->q->schema))
            continue;
        rest_fuzzy_offer(&fuzzy, catalog->functions[i].name);
        n++;
    }
    return n < SUGGEST_MAX ? fuzzy.best : HS_STR_NULL;
}

static const char *unnamed_type(enum rest_media_kind type)
{
    return type == REST_MEDIA_TEXT ? "text" : type == REST_MEDIA_XML ? "xml" : "bytea";
}

static hs_status fail_raw(const struct rest_call *call, struct hs_str name, struct hs_err *reterr)
{
    struct hs_str schema = call->q->schema;

    (void)hs_fail(reterr, HS_E_PGRST202,
                  "Could not find the function %.*s.%.*s in the schema cache", HS_FMT(schema),
                  HS_FMT(name));
    hs_err_why(reterr,
               "Searched for the function %.*s.%.*s with a single unnamed %s parameter, but no "
               "matches were found in the schema cache.",
               HS_FMT(schema), HS_FMT(name), unnamed_type(call->type));
    return HS_E_PGRST202;
}

static hs_status fail_none(const struct rest_call *call, struct hs_str name,
                           const struct pg_function *same, size_t n_same, struct hs_err *reterr)
{
    struct hs_str schema = call->q->schema;
    struct hs_str all = join_names(call);
    bool may_be_json = call->is_post && call->type == REST_MEDIA_JSON;
    struct hs_str hint;

    if (is_raw_post(call))
        return fail_raw(call, name, reterr);
    (void)hs_fail(reterr, HS_E_PGRST202,
                  "Could not find the function %.*s.%.*s%s%.*s%s in the schema cache",
                  HS_FMT(schema), HS_FMT(name), call->n_names ? "(" : " without parameters",
                  HS_FMT(all), call->n_names ? ")" : "");
    hs_err_why(reterr,
               "Searched for the function %.*s.%.*s %s%s%.*s%s, but no matches were found in the "
               "schema cache.",
               HS_FMT(schema), HS_FMT(name),
               call->n_names ? "with parameter" : "without parameters",
               call->n_names > 1    ? "s "
               : call->n_names == 1 ? " "
                                    : "",
               HS_FMT(all), may_be_json ? " or with a single unnamed json/jsonb parameter" : "");
    hint = suggest(call, name, same, n_same);
    if (hint.p)
        hs_err_hint(reterr, "Perhaps you meant to call the function %.*s.%.*s", HS_FMT(schema),
                    HS_FMT(hint));
    return HS_E_PGRST202;
}

/* ---- too many ---- */

static int compare_arguments(const struct pg_function *a, const struct pg_function *b)
{
    int order = 0;

    for (size_t i = 0; !order && i < a->n_arguments; i++) {
        order = hs_str_cmp(a->arguments[i].name, b->arguments[i].name);
        if (!order)
            order = hs_str_cmp(a->arguments[i].type->name, b->arguments[i].type->name);
    }
    return order;
}

/* The order in which PostgREST lists them. */
static int compare_functions(const void *left, const void *right)
{
    const struct pg_function *a = *(const struct pg_function *const *)left;
    const struct pg_function *b = *(const struct pg_function *const *)right;
    int order;

    if (a->n_arguments != b->n_arguments)
        return a->n_arguments < b->n_arguments ? -1 : 1;
    order = hs_str_cmp(a->comment, b->comment);
    return order ? order : compare_arguments(a, b);
}

static struct hs_str signature(const struct pg_function *f, struct hs_arena *arena)
{
    struct hs_str all = hs_arena_printf(arena, "%.*s.%.*s(", HS_FMT(f->schema), HS_FMT(f->name));

    for (size_t i = 0; i < f->n_arguments; i++)
        all = hs_arena_printf(arena, "%.*s%s%.*s => %.*s", HS_FMT(all), i ? ", " : "",
                              HS_FMT(f->arguments[i].name), HS_FMT(f->arguments[i].type->name));
    return hs_arena_printf(arena, "%.*s)", HS_FMT(all));
}

static hs_status fail_many(const struct rest_call *call, const struct pg_function **found, size_t n,
                           struct hs_err *reterr)
{
    struct hs_arena *arena = call->q->r.req->arena;
    struct hs_str all = HS_STR("");

    qsort(found, n, sizeof(struct pg_function *), compare_functions);
    for (size_t i = 0; i < n && all.n < HS_ERR_WHAT; i++)
        all = hs_arena_printf(arena, "%.*s%s%.*s", HS_FMT(all), i ? ", " : "",
                              HS_FMT(signature(found[i], arena)));
    (void)hs_fail(reterr, HS_E_PGRST203,
                  "Could not choose the best candidate function between: %.*s", HS_FMT(all));
    hs_err_hint(reterr, "Try renaming the parameters or the function itself in the database so "
                        "function overloading can be resolved");
    return HS_E_PGRST203;
}

/* ---- the choice ---- */

hs_status rest_call_choose(struct rest_call *call, struct hs_str name, struct hs_err *reterr)
{
    size_t n_same = 0;
    const struct pg_function *same = pg_catalog_functions(call->q->site->catalog, call->q->schema,
                                                          name, &n_same);
    const struct pg_function **found = HS_NEW_ARRAY(call->q->r.req->arena, n_same + 1,
                                                    const struct pg_function *);
    size_t n = 0;

    if (!found)
        return hs_fail_memory(reterr);
    n_same = same ? n_same : 0;
    for (size_t i = 0; i < n_same; i++) {
        if (fits(call, &same[i]))
            found[n++] = &same[i];
    }
    for (size_t i = 0, n_named = n; !n_named && i < n_same; i++) {
        if (takes_body(call, &same[i]))
            found[n++] = &same[i];
    }
    call->function = n ? found[0] : NULL;
    if (n > 1)
        return fail_many(call, found, n, reterr);
    return n ? HS_OK : fail_none(call, name, same, n_same, reterr);
}
