/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is served here: the page at "/" for people (and the same as JSON for programs), and the list of
 * tables with columns and relations at {api.path}.
 *
 * The rule: the page stands alone, without a script, a font or a picture from anywhere, so a strict
 * Content-Security-Policy holds; every name in it is escaped. A caller sees what his role may read, as
 * the catalog was when it was last read; what may be read is decided by PostgreSQL at each request.
 */
#include "api/handler_int.h"
#include "core/json.h"

/* A listing for one role. */
struct listing {
    const struct api_model *model;
    uint64_t reader; /* the role's bit; 0 = of no role: an empty list */
    struct hs_buf *out;
};

static struct listing listing_for(const struct api_model *model, struct hs_str role,
                                  struct hs_buf *out)
{
    return (struct listing){model, pg_catalog_reader_bit(model->catalog, role), out};
}

/* The next table that the role may read something of, from position *at on; NULL at the end. */
static const struct api_table *next_table(const struct listing *l, size_t *at)
{
    while (*at < l->model->n_tables) {
        const struct api_table *table = &l->model->tables[(*at)++];

        if (table->pg->readers & l->reader)
            return table;
    }
    return NULL;
}

static bool may_read_all(const struct listing *l, const struct pg_column *const *columns, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(columns[i]->readers & l->reader))
            return false;
    }
    return true;
}

static bool may_include(const struct listing *l, const struct api_relation *relation)
{
    return (relation->to->pg->readers & l->reader) &&
           may_read_all(l, relation->join.here, relation->join.n) &&
           may_read_all(l, relation->join.there, relation->join.n);
}

/* The columns that api_table's `search` looks at. */
static bool can_search(const struct listing *l, const struct api_table *table)
{
    if (table->n_search)
        return may_read_all(l, table->search, table->n_search);
    return table->pg->fts_column && may_read_all(l, &table->pg->fts_column, 1);
}

static void add_member(struct hs_buf *out, const char *name, struct hs_str value)
{
    hs_json_text(out, hs_str(name));
    hs_buf_add_char(out, ':');
    hs_json_text(out, value);
}

/* ---- JSON ---- */

static void write_path(const struct api_model *model, const struct api_table *table,
                       struct hs_buf *out)
{
    static const char hex[] = "0123456789ABCDEF";

    hs_buf_add(out, model->path);
    hs_buf_add_char(out, '/');
    for (size_t i = 0; i < table->name.n; i++) {
        unsigned char c = (unsigned char)table->name.p[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '~';

        if (!is_plain) {
            hs_buf_add_char(out, '%');
            hs_buf_add_char(out, hex[c >> 4]);
            c = (unsigned char)hex[c & 15];
        }
        hs_buf_add_char(out, (char)c);
    }
}

static void write_columns(const struct listing *l, const struct api_table *table)
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
static void write_key(const struct listing *l, const struct api_table *table)
{
    size_t n = may_read_all(l, table->key, table->n_key) ? table->n_key : 0;

    hs_buf_add_lit(l->out, ",\"key\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            hs_buf_add_char(l->out, ',');
        hs_json_text(l->out, api_table_field_of(table, table->key[i])->name);
    }
    hs_buf_add_char(l->out, ']');
}

static void write_relations(const struct listing *l, const struct api_table *table)
{
    struct hs_buf *out = l->out;
    bool is_first = true;

    hs_buf_add_lit(out, ",\"relations\":[");
    for (size_t i = 0; i < table->n_relations; i++) {
        const struct api_relation *relation = &table->relations[i];
        const struct api_relation *found;
        const struct api_name *name = &relation->names[0];
        const struct api_name *called;

        /* Listed under the name that is clear: the usual one unless it means several. */
        if (name->name.n &&
            (api_table_relation(table, name->name, &found, &called, NULL) || found != relation))
            name = &relation->names[1];
        if (!name->name.n || !may_include(l, relation))
            continue;
        hs_buf_add(out, is_first ? HS_STR("{") : HS_STR(",{"));
        is_first = false;
        add_member(out, "name", name->name);
        hs_buf_add_char(out, ',');
        add_member(out, "table", relation->to->name);
        hs_buf_add(out, relation->is_many ? HS_STR(",\"many\":true}") : HS_STR(",\"many\":false}"));
    }
    hs_buf_add_char(out, ']');
}

void api_tables_write(const struct api_model *model, struct hs_str role, struct hs_buf *out)
{
    struct listing l = listing_for(model, role, out);
    const struct api_table *table;
    bool is_first = true;

    hs_buf_add_lit(out, "{\"data\":[");
    for (size_t at = 0; (table = next_table(&l, &at)) != NULL; is_first = false) {
        hs_buf_add(out, is_first ? HS_STR("{") : HS_STR(",{"));
        add_member(out, "name", table->name);
        hs_buf_add_lit(out, ",\"path\":\"");
        write_path(model, table, out);
        hs_buf_add_char(out, '"');
        write_columns(&l, table);
        write_key(&l, table);
        write_relations(&l, table);
        hs_buf_add_lit(out, ",\"search\":");
        hs_buf_add(out, can_search(&l, table) ? HS_STR("true}") : HS_STR("false}"));
    }
    hs_buf_add_lit(out, "]}");
}

/* ---- HTML ---- */

#define PAGE_HEAD                                                                                         \
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"                                     \
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>hasten</title><style>" \
    ":root{color-scheme:light dark}"                                                                      \
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2.5rem auto;padding:0 1rem}"          \
    "h1{font-size:1.6rem;margin:0}p{margin:.4rem 0 1.4rem}"                                               \
    "table{border-collapse:collapse;width:100%}"                                                          \
    "th,td{text-align:left;padding:.45rem .8rem .45rem 0;vertical-align:top;"                             \
    "border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent)}"                            \
    "td.n{text-align:right;padding-right:1.6rem}th.n{text-align:right;padding-right:1.6rem}"              \
    "code,a{font-family:ui-monospace,monospace;font-size:.92em}a{display:block}"                          \
    ".q{opacity:.7}</style></head><body><h1>hasten</h1>"

static void add_html(struct hs_buf *out, struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '&':
            hs_buf_add_lit(out, "&amp;");
            break;
        case '<':
            hs_buf_add_lit(out, "&lt;");
            break;
        case '>':
            hs_buf_add_lit(out, "&gt;");
            break;
        case '"':
            hs_buf_add_lit(out, "&quot;");
            break;
        default:
            hs_buf_add_char(out, s.p[i]);
        }
    }
}

/* `tail` is a query of plain characters. */
static void add_link(const struct api_model *model, const struct api_table *table,
                     struct hs_str tail, struct hs_str value, struct hs_buf *out)
{
    for (int i = 0; i < 2; i++) {
        hs_buf_add(out, i ? HS_STR("\">") : HS_STR("<a href=\""));
        write_path(model, table, out);
        hs_buf_add(out, tail);
        add_html(out, value);
    }
    hs_buf_add_lit(out, "</a>");
}

/* A name that stands in a URL as it is. */
static bool is_plain_name(struct hs_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return name.n > 0;
}

static void add_examples(const struct listing *l, const struct api_table *table)
{
    /* Lists are sorted by the key. */
    if (!may_read_all(l, table->key, table->n_key))
        return;
    add_link(l->model, table, HS_STR("?limit=5"), HS_STR(""), l->out);
    if (table->n_key == 1 && is_plain_name(api_table_field_of(table, table->key[0])->name))
        add_link(l->model, table, HS_STR("?limit=5&amp;sort=-"),
                 api_table_field_of(table, table->key[0])->name, l->out);
    for (size_t i = 0; i < table->n_relations; i++) {
        const struct api_relation *relation = &table->relations[i];

        if (relation->is_many || !is_plain_name(relation->names[0].name) ||
            !may_include(l, relation))
            continue;
        add_link(l->model, table, HS_STR("?limit=5&amp;include="), relation->names[0].name, l->out);
        break;
    }
}

static size_t count_columns(const struct listing *l, const struct api_table *table)
{
    size_t n = 0;

    for (size_t i = 0; i < table->pg->n_columns; i++)
        n += (table->pg->columns[i].readers & l->reader) != 0;
    return n;
}

static void write_html(const struct listing *l)
{
    struct hs_buf *out = l->out;
    const struct api_table *table;

    hs_buf_add_lit(out, PAGE_HEAD);
    hs_buf_add_lit(out, "<p>Tables at <code>");
    add_html(out, l->model->path);
    hs_buf_add_lit(
        out,
        "/{table}</code>, one row at <code>/{table}/{id}</code>. <span class=\"q\">Parameters: "
        "page, limit, fields, search, sort, order, include, nulls, count, cursor; every "
        "column is a filter.</span> <a href=\"/health\">/health</a>"
        "<a href=\"/metrics\">/metrics</a></p>"
        "<table><thead><tr><th>Table<th class=\"n\">Columns<th>Try</tr></thead><tbody>");
    for (size_t at = 0; (table = next_table(l, &at)) != NULL;) {
        hs_buf_add_lit(out, "<tr><td><code>");
        add_html(out, table->name);
        hs_buf_add_lit(out, "</code><br><span class=\"q\">");
        add_html(out, table->pg->comment);
        hs_buf_add_lit(out, "</span><td class=\"n\">");
        hs_buf_add_u64(out, count_columns(l, table));
        hs_buf_add_lit(out, "<td>");
        add_examples(l, table);
        hs_buf_add_lit(out, "</tr>");
    }
    hs_buf_add_lit(out, "</tbody></table></body></html>");
}

static void write_json(const struct listing *l)
{
    struct hs_buf *out = l->out;
    const struct api_table *table;
    bool is_first = true;

    hs_buf_add_lit(out, "{\"name\":\"hasten\",\"api\":");
    hs_json_text(out, l->model->path);
    hs_buf_add_lit(out, ",\"health\":\"/health\",\"metrics\":\"/metrics\",\"tables\":[");
    for (size_t at = 0; (table = next_table(l, &at)) != NULL; is_first = false) {
        hs_buf_add(out, is_first ? HS_STR("{") : HS_STR(",{"));
        add_member(out, "name", table->name);
        hs_buf_add_lit(out, ",\"path\":\"");
        write_path(l->model, table, out);
        hs_buf_add_lit(out, "\"}");
    }
    hs_buf_add_lit(out, "]}");
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
    struct listing l;

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
        write_html(&l);
        reply.content_type = HS_STR("text/html; charset=utf-8");
        reply.headers = HS_STR(
            "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
            "Vary: Accept, Authorization\r\n");
    }
    if (hs_buf_failed(out)) {
        api_reply_failed(req, out);
        return;
    }
    reply.body = hs_buf_str(out);
    http_reply(req, &reply);
}

const struct http_handler api_index_handler = {.name = "index", .handle = handle_index};
