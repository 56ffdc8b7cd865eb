/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The document, written front to back: paths, definitions, parameters.
 *
 * The rule: only what the view's role may read or call is named, here as in the rest of the dialect. Which of the
 * methods are named for a relation does not depend on the role: PostgreSQL says no where it must.
 */
#include "rest/openapi.h"

#include "api/url.h"
#include "core/json.h"

#define TYPES                                                                    \
    "\"application/json\",\"application/vnd.pgrst.object+json;nulls=stripped\"," \
    "\"application/vnd.pgrst.object+json\""

struct writer {
    struct hs_buf *out;
    const struct openapi_view *view;
    bool has_member; /* a comma must come before the next */
};

static void next(struct writer *w)
{
    if (w->has_member)
        hs_buf_add_char(w->out, ',');
    w->has_member = true;
}

/* "prefix" + one [+ "." + two], as the string of a member's name or of a reference. */
static void add_joined(struct writer *w, const char *prefix, struct hs_str one, struct hs_str two)
{
    hs_buf_add_char(w->out, '"');
    hs_buf_add(w->out, hs_str(prefix));
    hs_json_piece(w->out, one);
    if (two.n) {
        hs_buf_add_char(w->out, '.');
        hs_json_piece(w->out, two);
    }
    hs_buf_add_char(w->out, '"');
}

/* A name as part of a JSON pointer (RFC 6901) in the fragment of a URI. */
static void add_pointer(struct hs_buf *out, struct hs_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '~')
            hs_buf_add_lit(out, "~0");
        else if (name.p[i] == '/')
            hs_buf_add_lit(out, "~1");
        else
            url_encode(out, hs_str_sub(name, i, i + 1));
    }
}

static void add_reference(struct writer *w, const char *prefix, struct hs_str one,
                          struct hs_str two)
{
    hs_buf_printf(w->out, "{\"$ref\":\"%s", prefix);
    add_pointer(w->out, one);
    if (two.n) {
        hs_buf_add_char(w->out, '.');
        add_pointer(w->out, two);
    }
    hs_buf_add_lit(w->out, "\"}");
}

static void add_ref(struct writer *w, const char *prefix, struct hs_str one, struct hs_str two)
{
    next(w);
    add_reference(w, prefix, one, two);
}

static void add_refs(struct writer *w, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_ref(w, "#/parameters/", hs_str(names[i]), HS_STR(""));
}

/* ---- what is listed ---- */

static bool is_listed(const struct openapi_view *view, size_t i)
{
    return view->may[i] & REST_MAY_SEE;
}

/* Of functions of one name the last is described. Those that cannot be called by names are listed as well. */
static bool is_called(const struct openapi_view *view, size_t i)
{
    const struct pg_catalog *c = view->catalog;
    const struct pg_function *f = &c->functions[i];

    return hs_str_eq(f->schema, view->schema) && (f->callers & view->role) && !f->of &&
           (i + 1 == c->n_functions || !hs_str_eq(c->functions[i + 1].name, f->name) ||
            !hs_str_eq(c->functions[i + 1].schema, f->schema));
}

/* The first line of a comment, and what follows it. */
static struct hs_str cut_comment(struct hs_str *rest)
{
    struct hs_str first = hs_str_cut(rest, '\n');

    while (rest->n && rest->p[0] == '\n')
        *rest = hs_str_sub(*rest, 1, rest->n);
    return first;
}

static void add_comment(struct writer *w, struct hs_str comment)
{
    struct hs_str first = cut_comment(&comment);

    if (!first.n)
        return;
    hs_buf_add_lit(w->out, ",\"summary\":");
    hs_json_text(w->out, first);
    if (!comment.n)
        return;
    hs_buf_add_lit(w->out, ",\"description\":");
    hs_json_text(w->out, comment);
}

/* ---- paths of relations ---- */

static void begin_method(struct writer *w, const char *method, struct hs_str tag,
                         struct hs_str comment)
{
    next(w);
    hs_buf_printf(w->out, "\"%s\":{\"tags\":[", method);
    hs_json_text(w->out, tag);
    hs_buf_add_char(w->out, ']');
    add_comment(w, comment);
    hs_buf_add_lit(w->out, ",\"parameters\":[");
    w->has_member = false;
}

static void end_method(struct writer *w, const char *responses)
{
    hs_buf_printf(w->out, "],\"responses\":{%s}}", responses);
    w->has_member = true;
}

static void add_row_filters(struct writer *w, const struct pg_relation *r)
{
    for (size_t i = 0; i < r->n_columns; i++)
        add_ref(w, "#/parameters/rowFilter.", r->name, r->columns[i].name);
}

static void add_get(struct writer *w, const struct pg_relation *r)
{
    static const char *const common[] = {"select", "order", "range",      "rangeUnit",
                                         "offset", "limit", "preferCount"};

    begin_method(w, "get", r->name, r->comment);
    add_row_filters(w, r);
    add_refs(w, common, HS_LEN(common));
    hs_buf_add_lit(w->out,
                   "],\"responses\":{\"200\":{\"description\":\"OK\",\"schema\":{\"items\":");
    add_reference(w, "#/definitions/", r->name, HS_STR(""));
    hs_buf_add_lit(w->out, ",\"type\":\"array\"}},\"206\":{\"description\":\"Partial Content\"}}}");
    w->has_member = true;
}

static void add_changes(struct writer *w, const struct pg_relation *r, unsigned may)
{
    static const char *const post[] = {"select", "preferPost"};
    static const char *const change[] = {"preferReturn"};

    if (may & REST_MAY_INSERT) {
        begin_method(w, "post", r->name, r->comment);
        add_ref(w, "#/parameters/body.", r->name, HS_STR(""));
        add_refs(w, post, HS_LEN(post));
        end_method(w, "\"201\":{\"description\":\"Created\"}");
    }
    if (may & REST_MAY_DELETE) {
        begin_method(w, "delete", r->name, r->comment);
        add_row_filters(w, r);
        add_refs(w, change, HS_LEN(change));
        end_method(w, "\"204\":{\"description\":\"No Content\"}");
    }
    if (may & REST_MAY_UPDATE) {
        begin_method(w, "patch", r->name, r->comment);
        add_row_filters(w, r);
        add_ref(w, "#/parameters/body.", r->name, HS_STR(""));
        add_refs(w, change, HS_LEN(change));
        end_method(w, "\"204\":{\"description\":\"No Content\"}");
    }
}

static void add_relation_path(struct writer *w, const struct pg_relation *r, unsigned may)
{
    next(w);
    add_joined(w, "/", r->name, HS_STR(""));
    hs_buf_add_lit(w->out, ":{");
    w->has_member = false;
    add_get(w, r);
    add_changes(w, r, may);
    hs_buf_add_char(w->out, '}');
    w->has_member = true;
}

/* ---- types ---- */

static const char *json_type(const struct pg_type *type)
{
    switch (type->kind) {
    case PG_KIND_BOOL:
        return "boolean";
    case PG_KIND_INT:
    case PG_KIND_INT8:
        return "integer";
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
        return "number";
    case PG_KIND_ARRAY:
        return "array";
    case PG_KIND_JSON:
        return NULL; /* any */
    case PG_KIND_TEXT:
    case PG_KIND_DATE:
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
    case PG_KIND_TIME:
    case PG_KIND_BYTEA:
    case PG_KIND_ENUM:
    case PG_KIND_COMPOSITE:
    case PG_KIND_RANGE:
        break;
    }
    return "string";
}

/* A domain is told as what stands behind it. */
static struct hs_str format_of(const struct pg_catalog *catalog, const struct pg_type *type)
{
    for (size_t i = 0; type->is_domain && i < catalog->n_type_names; i++) {
        if (catalog->type_names[i].type->oid == type->base)
            return catalog->type_names[i].type->name;
    }
    return type->name;
}

static void add_type(struct hs_buf *out, const struct pg_catalog *catalog,
                     const struct pg_type *type)
{
    const char *name = json_type(type);

    hs_buf_add_lit(out, "\"format\":");
    hs_json_text(out, format_of(catalog, type));
    if (name)
        hs_buf_printf(out, ",\"type\":\"%s\"", name);
    if (type->kind == PG_KIND_ARRAY && type->elem) {
        const char *element = json_type(type->elem);

        hs_buf_add_lit(out, ",\"items\":{");
        if (element)
            hs_buf_printf(out, "\"type\":\"%s\"", element);
        hs_buf_add_char(out, '}');
    }
    for (size_t i = 0; i < type->n_labels; i++) {
        hs_buf_add(out, i ? HS_STR(",") : HS_STR(",\"enum\":["));
        hs_json_text(out, type->labels[i]);
    }
    if (type->n_labels)
        hs_buf_add_char(out, ']');
}

/* ---- definitions ---- */

static bool is_number(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool is_digit = s.p[i] >= '0' && s.p[i] <= '9';

        if (!is_digit && s.p[i] != '.' && !(i == 0 && s.p[i] == '-'))
            return false;
    }
    return s.n > 0 && s.p[s.n - 1] != '.' && s.p[s.n - 1] != '-';
}

/* 'nobody'::text is "nobody"; what is no constant is told as the expression that it is. */
static void add_default(struct writer *w, const struct pg_column *column)
{
    struct hs_str text = column->default_sql;
    const char *type = json_type(column->type);
    size_t cast = hs_str_find(text, '\'');

    if (!text.n || !type)
        return;
    if (strcmp(type, "string") != 0) {
        if (!is_number(text) && !hs_str_is(text, "true") && !hs_str_is(text, "false"))
            return;
        hs_buf_add_lit(w->out, ",\"default\":");
        hs_buf_add(w->out, text);
        return;
    }
    if (cast == 0) {
        size_t end = text.n;

        while (end > 1 && text.p[end - 1] != '\'')
            end--;
        if (end > 1 && hs_str_starts(hs_str_sub(text, end, text.n), HS_STR("::")))
            text = hs_str_sub(text, 1, end - 1);
    }
    hs_buf_add_lit(w->out, ",\"default\":");
    hs_json_text(w->out, text);
}

static bool is_key(const struct pg_relation *r, const struct pg_column *column)
{
    for (size_t i = 0; r->primary && i < r->primary->n_columns; i++) {
        if (r->primary->columns[i] == column)
            return true;
    }
    return false;
}

static const struct pg_foreign_key *reference_of(const struct pg_relation *r,
                                                 const struct pg_column *column)
{
    for (size_t i = 0; i < r->n_fk_out; i++) {
        if (r->fk_out[i]->n_columns == 1 && r->fk_out[i]->from_columns[0] == column)
            return r->fk_out[i];
    }
    return NULL;
}

/* The notes are what generators of types and documentation look for. */
static void add_description(struct writer *w, const struct pg_relation *r,
                            const struct pg_column *column)
{
    const struct pg_foreign_key *fk = reference_of(r, column);
    bool is_pk = is_key(r, column);

    if (!column->comment.n && !is_pk && !fk)
        return;
    hs_buf_add_lit(w->out, "\"description\":\"");
    hs_json_piece(w->out, column->comment);
    if (column->comment.n && (is_pk || fk))
        hs_buf_add_lit(w->out, "\\n\\n");
    if (is_pk || fk)
        hs_buf_add_lit(w->out, "Note:\\n");
    if (is_pk)
        hs_buf_add_lit(w->out, "This is a Primary Key.<pk/>");
    if (is_pk && fk)
        hs_buf_add_lit(w->out, "\\n");
    if (fk) {
        hs_buf_add_lit(w->out, "This is a Foreign Key to `");
        hs_json_piece(w->out, fk->to->name);
        hs_buf_add_char(w->out, '.');
        hs_json_piece(w->out, fk->to_columns[0]->name);
        hs_buf_add_lit(w->out, "`.<fk table='");
        hs_json_piece(w->out, fk->to->name);
        hs_buf_add_lit(w->out, "' column='");
        hs_json_piece(w->out, fk->to_columns[0]->name);
        hs_buf_add_lit(w->out, "'/>");
    }
    hs_buf_add_lit(w->out, "\",");
}

/* The length that a character type is declared with: typmod counts four bytes more. */
static void add_length(struct writer *w, const struct pg_column *column)
{
    enum { BPCHAR = 1042, VARCHAR = 1043, HEADER = 4 };
    uint32_t oid = column->type->oid;

    if ((oid == BPCHAR || oid == VARCHAR) && column->typmod > HEADER)
        hs_buf_printf(w->out, ",\"maxLength\":%d", column->typmod - HEADER);
}

static void add_definition(struct writer *w, const struct pg_relation *r)
{
    bool has_required = false;

    next(w);
    hs_json_text(w->out, r->name);
    hs_buf_add_lit(w->out, ":{");
    if (r->comment.n) {
        hs_buf_add_lit(w->out, "\"description\":");
        hs_json_text(w->out, r->comment);
        hs_buf_add_char(w->out, ',');
    }
    for (size_t i = 0; i < r->n_columns; i++) {
        const struct pg_column *column = &r->columns[i];

        if (!column->not_null)
            continue;
        hs_buf_add(w->out, has_required ? HS_STR(",") : HS_STR("\"required\":["));
        hs_json_text(w->out, column->name);
        has_required = true;
    }
    hs_buf_add(w->out, has_required ? HS_STR("],\"properties\":{") : HS_STR("\"properties\":{"));
    for (size_t i = 0; i < r->n_columns; i++) {
        if (i)
            hs_buf_add_char(w->out, ',');
        hs_json_text(w->out, r->columns[i].name);
        hs_buf_add_lit(w->out, ":{");
        add_description(w, r, &r->columns[i]);
        add_type(w->out, w->view->catalog, r->columns[i].type);
        add_length(w, &r->columns[i]);
        add_default(w, &r->columns[i]);
        hs_buf_add_char(w->out, '}');
    }
    hs_buf_add_lit(w->out, "},\"type\":\"object\"}");
}

/* ---- functions ---- */

static void add_query_arguments(struct writer *w, const struct pg_function *f)
{
    for (size_t i = 0; i < f->n_arguments; i++) {
        const struct pg_argument *a = &f->arguments[i];

        if (!a->name.n)
            continue;
        next(w);
        hs_buf_add_lit(w->out, "{\"in\":\"query\",\"name\":");
        hs_json_text(w->out, a->name);
        hs_buf_printf(w->out, ",\"required\":%s,",
                      a->has_default || a->is_variadic ? "false" : "true");
        add_type(w->out, w->view->catalog, a->type);
        hs_buf_add_char(w->out, '}');
    }
}

static void add_body_argument(struct writer *w, const struct pg_function *f)
{
    bool has_required = false;

    next(w);
    hs_buf_add_lit(
        w->out,
        "{\"in\":\"body\",\"name\":\"args\",\"required\":true,\"schema\":{\"type\":\"object\","
        "\"properties\":{");
    w->has_member = false;
    for (size_t i = 0; i < f->n_arguments; i++) {
        if (!f->arguments[i].name.n)
            continue;
        next(w);
        hs_json_text(w->out, f->arguments[i].name);
        hs_buf_add_lit(w->out, ":{");
        add_type(w->out, w->view->catalog, f->arguments[i].type);
        hs_buf_add_char(w->out, '}');
    }
    hs_buf_add_char(w->out, '}');
    for (size_t i = 0; i < f->n_arguments; i++) {
        const struct pg_argument *a = &f->arguments[i];

        if (!a->name.n || a->has_default || a->is_variadic)
            continue;
        hs_buf_add(w->out, has_required ? HS_STR(",") : HS_STR(",\"required\":["));
        hs_json_text(w->out, a->name);
        has_required = true;
    }
    hs_buf_add(w->out, has_required ? HS_STR("]}}") : HS_STR("}}"));
    w->has_member = true;
}

static void begin_call(struct writer *w, const char *method, const struct pg_function *f)
{
    next(w);
    hs_buf_printf(w->out, "\"%s\":{\"tags\":[", method);
    add_joined(w, "(rpc) ", f->name, HS_STR(""));
    hs_buf_add_char(w->out, ']');
    add_comment(w, f->comment);
    hs_buf_add_lit(w->out, ",\"produces\":[" TYPES "],\"parameters\":[");
    w->has_member = false;
}

static void add_function_path(struct writer *w, const struct pg_function *f)
{
    next(w);
    add_joined(w, "/rpc/", f->name, HS_STR(""));
    hs_buf_add_lit(w->out, ":{");
    w->has_member = false;
    /* What may write is only called by POST. */
    if (f->volatility != 'v') {
        begin_call(w, "get", f);
        add_query_arguments(w, f);
        end_method(w, "\"200\":{\"description\":\"OK\"}");
    }
    begin_call(w, "post", f);
    add_body_argument(w, f);
    end_method(w, "\"200\":{\"description\":\"OK\"}");
    hs_buf_add_char(w->out, '}');
}

/* ---- parameters ---- */

static const char common_parameters[] =
    "\"preferReturn\":{\"name\":\"Prefer\",\"description\":\"Preference\",\"required\":false,"
    "\"enum\":[\"return=representation\",\"return=minimal\",\"return=headers-only\"],"
    "\"in\":\"header\",\"type\":\"string\"},"
    "\"preferCount\":{\"name\":\"Prefer\",\"description\":\"Preference\",\"required\":false,"
    "\"enum\":[\"count=exact\",\"count=planned\",\"count=estimated\"],"
    "\"in\":\"header\",\"type\":\"string\"},"
    "\"preferPost\":{\"name\":\"Prefer\",\"description\":\"Preference\",\"required\":false,"
    "\"enum\":[\"return=representation\",\"return=minimal\",\"return=headers-only\","
    "\"resolution=ignore-duplicates\",\"resolution=merge-duplicates\"],"
    "\"in\":\"header\",\"type\":\"string\"},"
    "\"select\":{\"name\":\"select\",\"description\":\"Columns and related rows\",\"required\":false,"
    "\"in\":\"query\",\"type\":\"string\"},"
    "\"on_conflict\":{\"name\":\"on_conflict\",\"description\":\"Columns of the key\",\"required\":false,"
    "\"in\":\"query\",\"type\":\"string\"},"
    "\"order\":{\"name\":\"order\",\"description\":\"Order\",\"required\":false,\"in\":\"query\","
    "\"type\":\"string\"},"
    "\"range\":{\"name\":\"Range\",\"description\":\"First and last row\",\"required\":false,"
    "\"in\":\"header\",\"type\":\"string\"},"
    "\"rangeUnit\":{\"name\":\"Range-Unit\",\"description\":\"Unit of Range\",\"required\":false,"
    "\"default\":\"items\",\"in\":\"header\",\"type\":\"string\"},"
    "\"offset\":{\"name\":\"offset\",\"description\":\"Rows to pass over\",\"required\":false,"
    "\"in\":\"query\",\"type\":\"string\"},"
    "\"limit\":{\"name\":\"limit\",\"description\":\"Most rows\",\"required\":false,\"in\":\"query\","
    "\"type\":\"string\"}";

static void add_parameters(struct writer *w, const struct pg_relation *r)
{
    next(w);
    add_joined(w, "body.", r->name, HS_STR(""));
    hs_buf_add_lit(w->out, ":{\"name\":");
    hs_json_text(w->out, r->name);
    hs_buf_add_lit(w->out, ",\"required\":false,\"in\":\"body\",\"schema\":");
    add_reference(w, "#/definitions/", r->name, HS_STR(""));
    hs_buf_add_char(w->out, '}');
    for (size_t i = 0; i < r->n_columns; i++) {
        next(w);
        add_joined(w, "rowFilter.", r->name, r->columns[i].name);
        hs_buf_add_lit(w->out, ":{\"name\":");
        hs_json_text(w->out, r->columns[i].name);
        if (r->columns[i].comment.n) {
            hs_buf_add_lit(w->out, ",\"description\":");
            hs_json_text(w->out, r->columns[i].comment);
        }
        hs_buf_add_lit(w->out,
                       ",\"required\":false,\"in\":\"query\",\"type\":\"string\",\"format\":");
        hs_json_text(w->out, r->columns[i].type->name);
        hs_buf_add_char(w->out, '}');
    }
}

/* ---- the whole ---- */

static struct hs_str comment_of(const struct openapi_view *view)
{
    for (size_t i = 0; i < view->catalog->n_schemas; i++) {
        if (hs_str_eq(view->catalog->schemas[i], view->schema))
            return view->catalog->schema_comments[i];
    }
    return HS_STR("");
}

static void add_head(struct writer *w)
{
    struct hs_str description = comment_of(w->view);
    struct hs_str title = cut_comment(&description);

    hs_buf_add_lit(w->out, "{\"swagger\":\"2.0\",\"info\":{\"title\":");
    hs_json_text(w->out, title.n ? title : w->view->schema);
    hs_buf_add_lit(w->out, ",\"description\":");
    hs_json_text(w->out, description.n
                             ? description
                             : HS_STR("Tables, views and functions of a PostgreSQL schema"));
    hs_buf_add_lit(w->out, ",\"version\":\"" HS_VERSION "\"}");
    if (w->view->host.n) {
        hs_buf_add_lit(w->out, ",\"host\":");
        hs_json_string(w->out, w->view->host);
    }
    hs_buf_add_lit(w->out, ",\"basePath\":");
    hs_json_string(w->out, w->view->base.n ? w->view->base : HS_STR("/"));
    hs_buf_printf(w->out, ",\"schemes\":[\"%s\"]", w->view->is_https ? "https" : "http");
    hs_buf_add_lit(w->out,
                   ",\"consumes\":[" TYPES ",\"text/csv\"],\"produces\":[" TYPES ",\"text/csv\"]");
    if (w->view->has_security)
        hs_buf_add_lit(w->out, ",\"securityDefinitions\":{\"JWT\":{\"description\":"
                               "\"\\\"Bearer \\\" and a token\",\"in\":\"header\","
                               "\"name\":\"Authorization\",\"type\":\"apiKey\"}},"
                               "\"security\":[{\"JWT\":[]}]");
}

static void add_paths(struct writer *w)
{
    const struct pg_catalog *catalog = w->view->catalog;

    hs_buf_add_lit(w->out, ",\"paths\":{\"/\":{\"get\":{\"tags\":[\"Introspection\"],\"summary\":"
                           "\"OpenAPI description (this document)\",\"produces\":["
                           "\"application/openapi+json\",\"application/json\"],\"responses\":{"
                           "\"200\":{\"description\":\"OK\"}}}}");
    w->has_member = true;
    for (size_t i = 0; i < catalog->n_relations; i++) {
        if (is_listed(w->view, i))
            add_relation_path(w, &catalog->relations[i], w->view->may[i]);
    }
    for (size_t i = 0; i < catalog->n_functions; i++) {
        if (is_called(w->view, i))
            add_function_path(w, &catalog->functions[i]);
    }
    hs_buf_add_char(w->out, '}');
}

void openapi_write(struct hs_buf *out, const struct openapi_view *view)
{
    const struct pg_catalog *catalog = view->catalog;
    struct writer w = {.out = out, .view = view};

    add_head(&w);
    add_paths(&w);
    hs_buf_add_lit(out, ",\"definitions\":{");
    w.has_member = false;
    for (size_t i = 0; i < catalog->n_relations; i++) {
        if (is_listed(view, i))
            add_definition(&w, &catalog->relations[i]);
    }
    hs_buf_add_lit(out, "},\"parameters\":{");
    hs_buf_add(out, hs_str(common_parameters));
    w.has_member = true;
    for (size_t i = 0; i < catalog->n_relations; i++) {
        if (is_listed(view, i))
            add_parameters(&w, &catalog->relations[i]);
    }
    hs_buf_add_lit(out, "}}");
}
