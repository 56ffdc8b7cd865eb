/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET {api.path}/openapi.json: what the caller can ask for, as OpenAPI 3.1: tables, rows, named queries, batches.
 *
 * The rule is that of the index: a caller is told of what his role may read. A document for programs, so every name
 * stands in it as it is asked for; what the words mean is told once, in docs/reference/dialect.md.
 *
 * Source: OpenAPI specification 3.1; JSON Schema 2020-12.
 */
#include "api/index_int.h"
#include "api/named_int.h"
#include "api/url.h"
#include "core/json.h"

/* A component's name holds letters, digits, '.', '_' and '-' only: all else becomes _XX. */
static void add_component(struct hs_buf *out, struct hs_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';

        if (is_plain)
            hs_buf_add_char(out, c);
        else
            hs_buf_printf(out, "_%02X", (unsigned char)c);
    }
}

static void add_ref(struct hs_buf *out, struct hs_str schema)
{
    hs_buf_add_lit(out, "{\"$ref\":\"#/components/schemas/");
    add_component(out, schema);
    hs_buf_add_lit(out, "\"}");
}

/* ---- schemas ---- */

static const char *schema_of(const struct pg_type *type, const struct api_model *model)
{
    switch (type->kind) {
    case PG_KIND_BOOL:
        return "\"type\":\"boolean\"";
    case PG_KIND_INT:
        return "\"type\":\"integer\"";
    case PG_KIND_INT8:
        return model->rules.int8_as_string ? "\"type\":\"string\",\"format\":\"int64\""
                                           : "\"type\":\"integer\",\"format\":\"int64\"";
    case PG_KIND_FLOAT:
    case PG_KIND_NUMERIC:
        return "\"type\":\"number\"";
    case PG_KIND_DATE:
        return "\"type\":\"string\",\"format\":\"date\"";
    case PG_KIND_TIMESTAMP:
    case PG_KIND_TIMESTAMPTZ:
        return "\"type\":\"string\",\"format\":\"date-time\"";
    case PG_KIND_COMPOSITE:
        return "\"type\":\"object\"";
    case PG_KIND_JSON:
        return "\"description\":\"any JSON\"";
    case PG_KIND_TEXT:
    case PG_KIND_TIME:
    case PG_KIND_BYTEA:
    case PG_KIND_ENUM:
    case PG_KIND_ARRAY:
    case PG_KIND_RANGE:
        break;
    }
    return "\"type\":\"string\"";
}

static void add_schema(const struct api_listing *l, const struct pg_type *type)
{
    struct hs_buf *out = l->out;

    if (type->kind == PG_KIND_ARRAY) {
        hs_buf_printf(out, "{\"type\":\"array\",\"items\":{%s}}", schema_of(type->elem, l->model));
        return;
    }
    hs_buf_printf(out, "{%s", schema_of(type, l->model));
    for (size_t i = 0; i < type->n_labels; i++) {
        hs_buf_add(out, i ? HS_STR(",") : HS_STR(",\"enum\":["));
        hs_json_text(out, type->labels[i]);
    }
    hs_buf_add(out, type->n_labels ? HS_STR("]}") : HS_STR("}"));
}

/* NULL is a value of what is not NOT NULL. */
static void add_nullable(const struct api_listing *l, const struct pg_column *column)
{
    if (column->not_null) {
        add_schema(l, column->type);
        return;
    }
    hs_buf_add_lit(l->out, "{\"anyOf\":[");
    add_schema(l, column->type);
    hs_buf_add_lit(l->out, ",{\"type\":\"null\"}]}");
}

static void add_table_schema(const struct api_listing *l, const struct api_table *table)
{
    struct hs_buf *out = l->out;
    bool is_first = true;

    hs_buf_add_char(out, '"');
    add_component(out, table->name);
    hs_buf_add_lit(out, "\":{\"type\":\"object\",\"properties\":{");
    for (size_t i = 0; i < table->pg->n_columns; i++) {
        const struct tree_field *field = &table->fields[i];

        if (!(field->column->readers & l->reader))
            continue;
        if (!is_first)
            hs_buf_add_char(out, ',');
        is_first = false;
        hs_json_text(out, field->name);
        hs_buf_add_char(out, ':');
        add_nullable(l, field->column);
    }
    hs_buf_add_lit(out, "}}");
}

/* ---- operations ---- */

static void begin(const struct api_listing *l, const char *method, struct hs_str tag,
                  struct hs_str summary)
{
    hs_buf_printf(l->out, "\"%s\":{\"tags\":[", method);
    hs_json_text(l->out, tag);
    hs_buf_add_char(l->out, ']');
    if (summary.n) {
        hs_buf_add_lit(l->out, ",\"summary\":");
        hs_json_text(l->out, summary);
    }
}

/* {"data": one or many of a schema}, and errors. */
static void add_responses(const struct api_listing *l, const char *status, struct hs_str schema,
                          bool is_many)
{
    hs_buf_printf(
        l->out,
        ",\"responses\":{\"%s\":{\"description\":\"OK\",\"content\":{\"application/json\":"
        "{\"schema\":{\"type\":\"object\",\"properties\":{\"data\":",
        status);
    if (is_many)
        hs_buf_add_lit(l->out, "{\"type\":\"array\",\"items\":");
    add_ref(l->out, schema);
    if (is_many)
        hs_buf_add_char(l->out, '}');
    hs_buf_add_lit(l->out, "}}}}},\"default\":{\"$ref\":\"#/components/responses/error\"}}}");
}

static void add_body(const struct api_listing *l, struct hs_str schema)
{
    hs_buf_add_lit(l->out, ",\"requestBody\":{\"content\":{\"application/json\":{\"schema\":");
    add_ref(l->out, schema);
    hs_buf_add_lit(l->out, "}}}");
}

static void add_query(const struct api_listing *l, struct hs_str name, bool is_required,
                      const struct pg_type *type, struct hs_str description)
{
    hs_buf_add_lit(l->out, "{\"in\":\"query\",\"name\":");
    hs_json_text(l->out, name);
    if (is_required)
        hs_buf_add_lit(l->out, ",\"required\":true");
    if (description.n) {
        hs_buf_add_lit(l->out, ",\"description\":");
        hs_json_text(l->out, description);
    }
    hs_buf_add_lit(l->out, ",\"schema\":");
    add_schema(l, type);
    hs_buf_add_char(l->out, '}');
}

static void add_list_parameters(const struct api_listing *l, const struct api_table *table)
{
    hs_buf_add_lit(l->out, ",\"parameters\":[{\"$ref\":\"#/components/parameters/fields\"},"
                           "{\"$ref\":\"#/components/parameters/include\"},"
                           "{\"$ref\":\"#/components/parameters/sort\"},"
                           "{\"$ref\":\"#/components/parameters/order\"},"
                           "{\"$ref\":\"#/components/parameters/limit\"},"
                           "{\"$ref\":\"#/components/parameters/page\"},"
                           "{\"$ref\":\"#/components/parameters/cursor\"}");
    if (api_listing_can_search(l, table))
        hs_buf_add_lit(l->out, ",{\"$ref\":\"#/components/parameters/search\"}");
    if (api_listing_can_search(l, table) && !table->n_search)
        hs_buf_add_lit(l->out, ",{\"$ref\":\"#/components/parameters/searchLang\"},"
                               "{\"$ref\":\"#/components/parameters/highlight\"}");
    for (size_t i = 0; i < table->pg->n_columns; i++) {
        const struct tree_field *field = &table->fields[i];

        if (!(field->column->readers & l->reader))
            continue;
        hs_buf_add_char(l->out, ',');
        add_query(l, field->name, /* is_required= */ false, field->column->type, HS_STR(""));
    }
    hs_buf_add_char(l->out, ']');
}

static void add_collection(const struct api_listing *l, const struct api_table *table)
{
    hs_buf_add_lit(l->out, "\"/");
    url_encode(l->out, table->name);
    hs_buf_add_lit(l->out, "\":{");
    begin(l, "get", table->name, table->pg->comment);
    add_list_parameters(l, table);
    add_responses(l, "200", table->name, /* is_many= */ true);
    hs_buf_add_char(l->out, ',');
    begin(l, "post", table->name, HS_STR(""));
    add_body(l, table->name);
    add_responses(l, "201", table->name, /* is_many= */ false);
    hs_buf_add_char(l->out, '}');
}

static void add_row(const struct api_listing *l, const struct api_table *table)
{
    static const struct {
        const char *method;
        bool has_body;
    } operations[] = {{"get", false}, {"put", true}, {"patch", true}, {"delete", false}};

    hs_buf_add_lit(l->out, ",\"/");
    url_encode(l->out, table->name);
    hs_buf_add_lit(l->out, "/{id}\":{\"parameters\":[{\"in\":\"path\",\"name\":\"id\","
                           "\"required\":true,\"schema\":{\"type\":\"string\"}}]");
    for (size_t i = 0; i < HS_LEN(operations); i++) {
        hs_buf_add_char(l->out, ',');
        begin(l, operations[i].method, table->name, HS_STR(""));
        if (operations[i].has_body)
            add_body(l, table->name);
        add_responses(l, "200", table->name, /* is_many= */ false);
    }
    hs_buf_add_char(l->out, '}');
}

static void add_named(const struct api_listing *l, const struct api_named *named)
{
    bool is_read = named->methods & HTTP_GET;

    hs_buf_add_lit(l->out, ",\"/q/");
    url_encode(l->out, named->name);
    hs_buf_add_lit(l->out, "\":{");
    begin(l, is_read ? "get" : "post", HS_STR("q"), named->description);
    hs_buf_add(l->out, is_read ? HS_STR(",\"parameters\":[")
                               : HS_STR(",\"requestBody\":{\"content\":{\"application/json\":{"
                                        "\"schema\":{\"type\":\"object\",\"properties\":{"));
    for (size_t i = 0; i < named->n_params; i++) {
        const struct api_named_param *param = &named->params[i];

        if (i)
            hs_buf_add_char(l->out, ',');
        if (is_read) {
            add_query(l, param->name, !param->has_default, param->type, param->description);
            continue;
        }
        hs_json_text(l->out, param->name);
        hs_buf_add_char(l->out, ':');
        add_schema(l, param->type);
    }
    hs_buf_add(l->out, is_read ? HS_STR("]") : HS_STR("}}}}}"));
    hs_buf_add_lit(l->out, ",\"responses\":{\"200\":{\"description\":\"OK\",\"content\":{"
                           "\"application/json\":{\"schema\":{\"type\":\"object\",\"properties\":{"
                           "\"data\":");
    hs_buf_add(l->out, named->is_one ? HS_STR("{\"type\":\"object\",\"properties\":{")
                                     : HS_STR("{\"type\":\"array\",\"items\":{\"type\":\"object\","
                                              "\"properties\":{"));
    for (size_t i = 0; i < named->n_columns; i++) {
        if (i)
            hs_buf_add_char(l->out, ',');
        hs_json_text(l->out, named->columns[i].name);
        hs_buf_add_char(l->out, ':');
        add_schema(l, named->columns[i].type);
    }
    hs_buf_add(l->out, named->is_one ? HS_STR("}}") : HS_STR("}}}"));
    hs_buf_add_lit(l->out, "}}}}},\"default\":{\"$ref\":\"#/components/responses/error\"}}}}");
}

/* ---- the whole ---- */

static const char head[] =
    "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"hasten\",\"version\":\"" HS_VERSION "\"},"
    "\"servers\":[{\"url\":";

static const char components[] =
    "},\"responses\":{\"error\":{\"description\":\"What went wrong, why, and what to do\",\"content\":{"
    "\"application/json\":{\"schema\":{\"type\":\"object\",\"required\":[\"code\",\"message\"],"
    "\"properties\":{\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},"
    "\"details\":{\"type\":[\"string\",\"null\"]},\"hint\":{\"type\":[\"string\",\"null\"]}}}}}}},"
    "\"parameters\":{"
    "\"fields\":{\"in\":\"query\",\"name\":\"fields\",\"description\":\"Columns, with commas between\","
    "\"schema\":{\"type\":\"string\"}},"
    "\"include\":{\"in\":\"query\",\"name\":\"include\",\"description\":\"Related rows: a,b.c\","
    "\"schema\":{\"type\":\"string\"}},"
    "\"sort\":{\"in\":\"query\",\"name\":\"sort\",\"description\":\"Columns; - before one is "
    "descending\",\"schema\":{\"type\":\"string\"}},"
    "\"order\":{\"in\":\"query\",\"name\":\"order\",\"schema\":{\"enum\":[\"asc\",\"desc\"]}},"
    "\"limit\":{\"in\":\"query\",\"name\":\"limit\",\"schema\":{\"type\":\"integer\"}},"
    "\"page\":{\"in\":\"query\",\"name\":\"page\",\"schema\":{\"type\":\"integer\"}},"
    "\"cursor\":{\"in\":\"query\",\"name\":\"cursor\",\"description\":\"pagination.nextCursor of the "
    "page before\",\"schema\":{\"type\":\"string\"}},"
    "\"search\":{\"in\":\"query\",\"name\":\"search\",\"description\":\"Words\",\"schema\":{\"type\":"
    "\"string\"}},"
    "\"searchLang\":{\"in\":\"query\",\"name\":\"searchLang\",\"description\":\"Language of the "
    "words: a text search configuration\",\"schema\":{\"type\":\"string\"}},"
    "\"highlight\":{\"in\":\"query\",\"name\":\"highlight\",\"description\":\"Columns of which "
    "snippets are shown\",\"schema\":{\"type\":\"string\"}}},"
    "\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}}},"
    "\"security\":[{},{\"bearer\":[]}]}";

static void add_batch(const struct api_listing *l)
{
    hs_buf_add_lit(l->out, ",\"/batch\":{\"post\":{\"tags\":[\"batch\"],\"summary\":"
                           "\"Many requests in one\",\"requestBody\":{\"content\":{"
                           "\"application/json\":{\"schema\":{\"type\":\"object\",\"required\":["
                           "\"requests\"],\"properties\":{\"transaction\":{\"type\":\"boolean\"},"
                           "\"requests\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
                           "\"required\":[\"path\"],\"properties\":{\"id\":{},\"method\":{\"type\":"
                           "\"string\"},\"path\":{\"type\":\"string\"},\"headers\":{\"type\":"
                           "\"object\"},\"body\":{}}}}}}}}},\"responses\":{\"200\":{"
                           "\"description\":\"Their answers, in their order\"},\"default\":{"
                           "\"$ref\":\"#/components/responses/error\"}}}}");
}

void api_openapi_write(const struct api_model *model, struct hs_str role, struct hs_buf *out)
{
    const struct api_listing l = {model, pg_catalog_reader_bit(model->catalog, role), out};
    const struct api_table *table;
    bool is_first = true;

    hs_buf_add(out, hs_str(head));
    hs_json_text(out, model->path);
    hs_buf_add_lit(out, "}],\"paths\":{");
    for (size_t at = 0; (table = api_listing_next(&l, &at)) != NULL; is_first = false) {
        if (!is_first)
            hs_buf_add_char(out, ',');
        add_collection(&l, table);
        if (table->n_key && api_listing_reads_all(&l, table->key, table->n_key))
            add_row(&l, table);
    }
    if (is_first)
        hs_buf_add_lit(out, "\"/\":{}");
    for (size_t i = 0; i < model->n_named; i++) {
        if (api_named_is_for(&model->named[i], l.reader) && !model->named[i].fault.status)
            add_named(&l, &model->named[i]);
    }
    add_batch(&l);
    hs_buf_add_lit(out, "},\"components\":{\"schemas\":{");
    is_first = true;
    for (size_t at = 0; (table = api_listing_next(&l, &at)) != NULL; is_first = false) {
        if (!is_first)
            hs_buf_add_char(out, ',');
        add_table_schema(&l, table);
    }
    hs_buf_add(out, hs_str(components));
}
