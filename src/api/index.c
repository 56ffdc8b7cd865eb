/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is served here: at "/" a page for people (index_page.c) or the same as JSON for programs, and at
 * {api.path} the list of tables with columns and relations.
 *
 * The rule: a caller sees what his role may read, as the catalog was when it was last read; what may be
 * read is decided by PostgreSQL at each request.
 */
#include "api/index_int.h"
#include "api/named_int.h"
#include "api/url.h"
#include "core/json.h"

static struct api_listing listing_for(const struct api_model *model, struct hs_str role,
                                      struct hs_buf *out)
{
    return (struct api_listing){model, pg_catalog_reader_bit(model->catalog, role), out};
}

const struct api_table *api_listing_next(const struct api_listing *l, size_t *at)
{
    while (*at < l->model->n_tables) {
        const struct api_table *table = &l->model->tables[(*at)++];

        if (table->pg->readers & l->reader)
            return table;
    }
    return NULL;
}

bool api_listing_reads_all(const struct api_listing *l, const struct pg_column *const *columns,
                           size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(columns[i]->readers & l->reader))
            return false;
    }
    return true;
}

bool api_listing_can_search(const struct api_listing *l, const struct api_table *table)
{
    if (table->n_search)
        return api_listing_reads_all(l, table->search, table->n_search);
    return table->pg->full_text.column && api_listing_reads_all(l, &table->pg->full_text.column, 1);
}

static bool may_include(const struct api_listing *l, const struct api_relation *relation)
{
    return (relation->to->pg->readers & l->reader) &&
           api_listing_reads_all(l, relation->join.here, relation->join.n) &&
           api_listing_reads_all(l, relation->join.there, relation->join.n);
}

/* The usual name, unless it means several relations. */
struct hs_str api_listing_relation(const struct api_listing *l, const struct api_table *table,
                                   const struct api_relation *relation)
{
    const struct api_relation *found;
    const struct api_name *name = &relation->names[0];
    const struct api_name *called;

    if (!may_include(l, relation))
        return HS_STR("");
    if (name->name.n &&
        (api_table_relation(table, name->name, &found, &called, NULL) || found != relation))
        name = &relation->names[1];
    return name->name;
}

void api_listing_add_path(const struct api_listing *l, const struct api_table *table)
{
    hs_buf_add(l->out, l->model->path);
    hs_buf_add_char(l->out, '/');
    url_encode(l->out, table->name);
}

static void add_member(struct hs_buf *out, const char *name, struct hs_str value)
{
    hs_json_text(out, hs_str(name));
    hs_buf_add_char(out, ':');
    hs_json_text(out, value);
}

/* ---- JSON ---- */

static void write_columns(const struct api_listing *l, const struct api_table *table)
{
    struct hs_buf *out = l->out;
    bool is_first = true;

    hs_buf_add_lit(out, ",\"columns\":[");
    for (size_t i = 0; i < table->pg->n_columns; i++) {
        const struct tree_field *field = &table->fields[i];

        if (!(field->column->readers & l->reader))
            continue;
        hs_buf_add(out, is_first ? HS_STR("{") : HS_STR(",{"));
        is_first = false;
        add_member(out, "name", field->name);
        hs_buf_add_char(out, ',');
        add_member(out, "type", field->column->type->name);
        hs_buf_add_lit(out, ",\"nullable\":");
        hs_buf_add(out, field->column->not_null ? HS_STR("false}") : HS_STR("true}"));
    }
    hs_buf_add_char(out, ']');
}

/* A key of which the role may not read a part addresses nothing for it. */
static void write_key(const struct api_listing *l, const struct api_table *table)
{
    size_t n = api_listing_reads_all(l, table->key, table->n_key) ? table->n_key : 0;

    hs_buf_add_lit(l->out, ",\"key\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            hs_buf_add_char(l->out, ',');
        hs_json_text(l->out, api_table_field_of(table, table->key[i])->name);
    }
    hs_buf_add_char(l->out, ']');
}

static void write_relations(const struct api_listing *l, const struct api_table *table)
{
    struct hs_buf *out = l->out;
    bool is_first = true;

    hs_buf_add_lit(out, ",\"relations\":[");
    for (size_t i = 0; i < table->n_relations; i++) {
        const struct api_relation *relation = &table->relations[i];
        struct hs_str name = api_listing_relation(l, table, relation);

        if (!name.n)
            continue;
        hs_buf_add(out, is_first ? HS_STR("{") : HS_STR(",{"));
        is_first = false;
        add_member(out, "name", name);
        hs_buf_add_char(out, ',');
        add_member(out, "table", relation->to->name);
        hs_buf_add(out, relation->is_many ? HS_STR(",\"many\":true}") : HS_STR(",\"many\":false}"));
    }
    hs_buf_add_char(out, ']');
}

void api_tables_write(const struct api_model *model, struct hs_str role, struct hs_buf *out)
{
    struct api_listing l = listing_for(model, role, out);
    const struct api_table *table;
    bool is_first = true;

    hs_buf_add_lit(out, "{\"data\":[");
    for (size_t at = 0; (table = api_listing_next(&l, &at)) != NULL; is_first = false) {
        hs_buf_add(out, is_first ? HS_STR("{") : HS_STR(",{"));
        add_member(out, "name", table->name);
        hs_buf_add_lit(out, ",\"path\":\"");
        api_listing_add_path(&l, table);
        hs_buf_add_char(out, '"');
        write_columns(&l, table);
        write_key(&l, table);
        write_relations(&l, table);
        hs_buf_add_lit(out, ",\"search\":");
        hs_buf_add(out, api_listing_can_search(&l, table) ? HS_STR("true}") : HS_STR("false}"));
    }
    hs_buf_add_char(out, ']');
    if (model->n_named)
        api_named_write(model, l.reader, out);
    hs_buf_add_char(out, '}');
}

static void write_json(const struct api_listing *l)
{
    struct hs_buf *out = l->out;
    const struct api_table *table;
    bool is_first = true;

    hs_buf_add_lit(out, "{\"name\":\"hasten\",\"api\":");
    hs_json_text(out, l->model->path);
    hs_buf_add_lit(out, ",\"health\":\"/health\",\"metrics\":\"/metrics\",\"tables\":[");
    for (size_t at = 0; (table = api_listing_next(l, &at)) != NULL; is_first = false) {
        hs_buf_add(out, is_first ? HS_STR("{") : HS_STR(",{"));
        add_member(out, "name", table->name);
        hs_buf_add_lit(out, ",\"path\":\"");
        api_listing_add_path(l, table);
        hs_buf_add_lit(out, "\"}");
    }
    hs_buf_add_char(out, ']');
    if (l->model->n_named)
        api_named_write(l->model, l->reader, out);
    hs_buf_add_char(out, '}');
}

/* ---- "/" ---- */

static bool contains(struct hs_str s, struct hs_str part)
{
    for (size_t i = 0; i + part.n <= s.n; i++) {
        if (hs_str_ieq(hs_str_sub(s, i, i + part.n), part))
            return true;
    }
    return false;
}

/* Programs that name JSON and not HTML get JSON; everybody else is taken for a person. */
static bool wants_json(const struct http_req *req)
{
    struct hs_str accept = http_req_header(req, HS_STR("accept"));

    return contains(accept, HS_STR("application/json")) && !contains(accept, HS_STR("text/html"));
}

static void handle_index(void *ctx, struct http_req *req)
{
    struct api_worker *worker = ctx;
    struct hs_buf *out = http_req_scratch(req);
    struct http_reply reply = {.status = 200};
    struct hs_err err = {0};
    struct api_listing l;

    HS_OBJ(worker, API_WORKER_MAGIC);
    if (api_check_ready(worker, req, &err)) {
        http_reply_error(req, &err);
        return;
    }
    l = listing_for(worker->hold->model, req->identity->role, out);
    if (wants_json(req)) {
        write_json(&l);
        reply.content_type = HS_STR("application/json");
        reply.headers = HS_STR("Vary: Accept, Authorization\r\n");
    } else {
        api_index_page_write(&l, req);
        reply.content_type = HS_STR("text/html; charset=utf-8");
        reply.headers = hs_str(api_index_page_headers);
    }
    if (hs_buf_failed(out)) {
        api_reply_failed(req, out);
        return;
    }
    reply.body = hs_buf_str(out);
    http_reply(req, &reply);
}

const struct http_handler api_index_handler = {.name = "index", .handle = handle_index};
