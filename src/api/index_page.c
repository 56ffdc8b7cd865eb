/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page at "/" for people: what the caller's role may read, with links to try and lines for curl.
 *
 * The rule: the page stands alone, without a script, a font or a picture from anywhere, so that its
 * Content-Security-Policy allows nothing but its own style sheet, by hash, and its own icon; every name
 * in it is escaped. It refuses no width: at 320 CSS pixels nothing scrolls sideways (WCAG 2.2, 1.4.10).
 *
 * An example is given only where it works: a list is sorted by its key, so the key must be readable, and
 * a name must stand in a URL as it is.
 */
#include "api/index_int.h"
#include "api/named_int.h"

/* The hash in the policy is of this text; a test computes it again and says what it should be. */
#define STYLE                                                                                         \
    ":root{color-scheme:light dark;--soft:#57606a;--line:#d8dee4;--box:#f6f8fa;--link:#0550ae}"       \
    "@media(prefers-color-scheme:dark){:root{--soft:#9ba4ae;--line:#30363d;--box:#1c2128;"            \
    "--link:#79b8ff;background:#0d1117;color:#e6edf3}}"                                               \
    "*{box-sizing:border-box}"                                                                        \
    "body{font:16px/1.5 system-ui,sans-serif;max-width:76rem;margin:0 auto;padding:2rem 1rem 4rem;"   \
    "overflow-wrap:anywhere}"                                                                         \
    "a{color:var(--link);text-underline-offset:.2em}"                                                 \
    "a:focus-visible,summary:focus-visible{outline:2px solid var(--link);outline-offset:2px}"         \
    "code{font:.875em/1.5 ui-monospace,monospace}"                                                    \
    "h1{font-size:1.75rem;line-height:1.2;margin:0}h2{font-size:1.25rem;margin:0 0 .75rem}"           \
    "h3{font-size:1.0625rem;margin:0}h3 code{font-size:1em}"                                          \
    "p{margin:.25rem 0}ul{list-style:none;margin:0;padding:0}"                                        \
    "header{border-bottom:1px solid var(--line);padding-bottom:1.25rem;margin-bottom:1.75rem}"        \
    "nav ul{display:flex;flex-wrap:wrap;gap:0 1.5rem;margin-top:.5rem}nav a{display:block;"           \
    "padding:.25rem 0}"                                                                               \
    ".soft{color:var(--soft)}"                                                                        \
    "article{border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem;margin:0 0 .75rem}" \
    "article:target{border-color:var(--link)}"                                                        \
    ".try a{display:block;padding:.125rem 0}"                                                         \
    "summary{cursor:pointer;padding:.25rem 0;color:var(--soft)}"                                      \
    "h4{font-size:.875rem;margin:.75rem 0 .25rem}"                                                    \
    "pre{background:var(--box);border-radius:.375rem;padding:.5rem .75rem;margin:.25rem 0;"           \
    "white-space:pre-wrap;user-select:all}"                                                           \
    "table{border-collapse:collapse;width:100%}"                                                      \
    "th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;font-weight:400;"        \
    "border-bottom:1px solid var(--line)}thead th{font-size:.875rem;font-weight:600}"                 \
    ".ask th{white-space:nowrap}"                                                                     \
    "@media(min-width:64rem){main{display:grid;grid-template-columns:minmax(0,1fr) 25rem;gap:2.5rem;" \
    "align-items:start}}"

#define STYLE_HASH "sha256-I0oCu1N16NHD1U1S5ICQyqTyL1IvwuaFMbGBfHLWj7A="

/* The icon is named, since browsers would ask for /favicon.ico else. */
#define PAGE_HEAD                                                                         \
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"                     \
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"             \
    "<title>hasten: what is served here</title>"                                          \
    "<link rel=icon href='data:image/svg+xml,<svg xmlns=\"http://www.w3.org/2000/svg\" "  \
    "viewBox=\"0 0 16 16\"><path fill=\"orange\" d=\"M9 0 3 9h4l-1 7 7-10H8z\"/></svg>'>" \
    "<style>" STYLE "</style></head><body><header><h1>hasten</h1>"

#define PAGE_ASK                                                                                       \
    "<section class=\"ask\" aria-labelledby=\"ask\"><h2 id=\"ask\">How to ask</h2>"                    \
    "<table><thead><tr><th scope=\"col\">Parameter<th scope=\"col\">Gives</thead><tbody>"              \
    "<tr><th scope=\"row\"><code>limit=5&amp;page=2</code><td>five rows, from the sixth"               \
    "<tr><th scope=\"row\"><code>cursor=\u2026</code><td>the rows behind <code>nextCursor</code>, at " \
    "any depth"                                                                                        \
    "<tr><th scope=\"row\"><code>fields=a,b</code><td>these columns only"                              \
    "<tr><th scope=\"row\"><code>sort=a,-b</code><td>ascending by a, then descending by b"             \
    "<tr><th scope=\"row\"><code>a=x</code><td>rows whose column a is x"                               \
    "<tr><th scope=\"row\"><code>a[gte]=1</code><td>other comparisons: <code>ne</code> "               \
    "<code>gt</code> <code>gte</code> <code>lt</code> <code>lte</code> <code>in</code> "               \
    "<code>like</code> <code>ilike</code> <code>null</code>"                                           \
    "<tr><th scope=\"row\"><code>search=words</code><td>full-text search, where a table has it"        \
    "<tr><th scope=\"row\"><code>include=a,b.c</code><td>related rows, in the same query"              \
    "<tr><th scope=\"row\"><code>count=exact</code><td>the total too; or <code>estimated</code>"       \
    "<tr><th scope=\"row\"><code>nulls=omit</code><td>rows without their null members"                 \
    "<tr><th scope=\"row\"><code>/{id}</code><td>behind a table's address: one row by its key"         \
    "</tbody></table></section>"

const char api_index_page_headers[] =
    "Content-Security-Policy: default-src 'none'; style-src '" STYLE_HASH
    "'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Vary: Accept, Authorization\r\n";

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

static void add_code(struct hs_buf *out, struct hs_str s)
{
    hs_buf_add_lit(out, "<code>");
    add_html(out, s);
    hs_buf_add_lit(out, "</code>");
}

/* "1 column", "2 columns" */
static void add_count(struct hs_buf *out, size_t n, const char *what)
{
    hs_buf_printf(out, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

static bool is_plain(struct hs_str s, const char *also)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr(also, c))))
            return false;
    }
    return s.n > 0;
}

/* ---- addresses to try ---- */

enum { INCLUDES_SHOWN = 2 }; /* enough to see that several are possible */

/* "&amp;include=branch,client"; nothing where the role can include no single row. */
static bool add_include(const struct api_listing *l, const struct api_table *table)
{
    size_t n = 0;

    for (size_t i = 0; i < table->n_relations && n < INCLUDES_SHOWN; i++) {
        struct hs_str name = api_listing_relation(l, table, &table->relations[i]);

        if (table->relations[i].is_many || !is_plain(name, "_"))
            continue;
        hs_buf_add(l->out, n++ ? HS_STR(",") : HS_STR("&amp;include="));
        hs_buf_add(l->out, name);
    }
    return n > 0;
}

static bool add_sort(const struct api_listing *l, const struct api_table *table)
{
    struct hs_str name;

    if (table->n_key != 1)
        return false;
    name = api_table_field_of(table, table->key[0])->name;
    if (!is_plain(name, "_"))
        return false;
    hs_buf_add_lit(l->out, "&amp;sort=-");
    hs_buf_add(l->out, name);
    return true;
}

static bool add_nothing(const struct api_listing *l, const struct api_table *table)
{
    (void)l;
    (void)table;
    return true;
}

/* `add` writes what follows ?limit=5 and says whether there is such an address. */
static void add_link(const struct api_listing *l, const struct api_table *table,
                     bool (*add)(const struct api_listing *, const struct api_table *))
{
    struct hs_buf *out = l->out;
    size_t start = out->n;

    hs_buf_add_lit(out, "<li><a href=\"");
    api_listing_add_path(l, table);
    hs_buf_add_lit(out, "?limit=5");
    if (!add(l, table)) {
        out->n = start;
        return;
    }
    hs_buf_add_lit(out, "\"><code>");
    api_listing_add_path(l, table);
    hs_buf_add_lit(out, "?limit=5");
    (void)add(l, table);
    hs_buf_add_lit(out, "</code></a>");
}

/* Without a scheme, since a proxy in front may speak another one to the client than to us. */
static void add_curl(const struct api_listing *l, const struct api_table *table,
                     const struct http_req *req)
{
    struct hs_buf *out = l->out;

    hs_buf_add_lit(out, "<h4>With curl</h4><pre><code>curl -g ");
    if (!req->identity->is_anonymous)
        hs_buf_add_lit(out, "-H \"Authorization: Bearer $TOKEN\" ");
    hs_buf_add_char(out, '\'');
    hs_buf_add(out, is_plain(req->host, "-._:[]") ? req->host : HS_STR("localhost"));
    api_listing_add_path(l, table);
    hs_buf_add_lit(out, "?limit=5");
    (void)add_sort(l, table);
    (void)add_include(l, table);
    hs_buf_add_lit(out, "'</code></pre>");
}

/* ---- a table ---- */

static size_t count_columns(const struct api_listing *l, const struct api_table *table)
{
    size_t n = 0;

    for (size_t i = 0; i < table->pg->n_columns; i++)
        n += (table->pg->columns[i].readers & l->reader) != 0;
    return n;
}

static size_t count_relations(const struct api_listing *l, const struct api_table *table)
{
    size_t n = 0;

    for (size_t i = 0; i < table->n_relations; i++)
        n += api_listing_relation(l, table, &table->relations[i]).n != 0;
    return n;
}

static bool is_in_key(const struct api_table *table, const struct pg_column *column)
{
    for (size_t i = 0; i < table->n_key; i++) {
        if (table->key[i] == column)
            return true;
    }
    return false;
}

static void write_columns(const struct api_listing *l, const struct api_table *table)
{
    struct hs_buf *out = l->out;

    hs_buf_add_lit(out, "<table><thead><tr><th scope=\"col\">Column<th scope=\"col\">Type"
                        "<th scope=\"col\">Null</thead><tbody>");
    for (size_t i = 0; i < table->pg->n_columns; i++) {
        const struct tree_field *field = &table->fields[i];

        if (!(field->column->readers & l->reader))
            continue;
        hs_buf_add_lit(out, "<tr><th scope=\"row\">");
        add_code(out, field->name);
        if (is_in_key(table, field->column))
            hs_buf_add_lit(out, " <span class=\"soft\">key</span>");
        if (field->column->comment.n) {
            hs_buf_add_lit(out, "<p class=\"soft\">");
            add_html(out, field->column->comment);
            hs_buf_add_lit(out, "</p>");
        }
        hs_buf_add_lit(out, "<td>");
        add_html(out, field->column->type->name);
        hs_buf_add(out, field->column->not_null ? HS_STR("<td>never") : HS_STR("<td>possible"));
    }
    hs_buf_add_lit(out, "</tbody></table>");
}

static void write_relations(const struct api_listing *l, const struct api_table *table)
{
    struct hs_buf *out = l->out;

    hs_buf_add_lit(out, "<h4>Relations, for <code>include</code></h4><ul>");
    for (size_t i = 0; i < table->n_relations; i++) {
        const struct api_relation *relation = &table->relations[i];
        struct hs_str name = api_listing_relation(l, table, relation);

        if (!name.n)
            continue;
        hs_buf_add_lit(out, "<li>");
        add_code(out, name);
        hs_buf_add(out, relation->is_many ? HS_STR(": rows of ") : HS_STR(": a row of "));
        hs_buf_printf(out, "<a href=\"#t%zu\">", (size_t)(relation->to - l->model->tables));
        add_code(out, relation->to->name);
        hs_buf_add_lit(out, "</a>");
    }
    hs_buf_add_lit(out, "</ul>");
}

/* "15 columns, 7 relations, search" opens to all of them. */
static void write_details(const struct api_listing *l, const struct api_table *table,
                          const struct http_req *req)
{
    struct hs_buf *out = l->out;
    size_t relations = count_relations(l, table);

    hs_buf_add_lit(out, "<details><summary>");
    add_count(out, count_columns(l, table), "column");
    if (relations) {
        hs_buf_add_lit(out, ", ");
        add_count(out, relations, "relation");
    }
    if (api_listing_can_search(l, table))
        hs_buf_add_lit(out, ", search");
    hs_buf_add_lit(out, "</summary>");
    if (api_listing_reads_all(l, table->key, table->n_key))
        add_curl(l, table, req);
    if (relations)
        write_relations(l, table);
    hs_buf_add_lit(out, "<h4>Columns</h4>");
    write_columns(l, table);
    hs_buf_add_lit(out, "</details>");
}

static void write_table(const struct api_listing *l, const struct api_table *table,
                        const struct http_req *req)
{
    struct hs_buf *out = l->out;
    size_t id = (size_t)(table - l->model->tables);

    hs_buf_printf(out, "<article id=\"t%zu\" aria-labelledby=\"n%zu\"><h3 id=\"n%zu\">", id, id,
                  id);
    add_code(out, table->name);
    hs_buf_add_lit(out, "</h3>");
    if (table->pg->comment.n) {
        hs_buf_add_lit(out, "<p class=\"soft\">");
        add_html(out, table->pg->comment);
        hs_buf_add_lit(out, "</p>");
    }
    if (api_listing_reads_all(l, table->key, table->n_key)) {
        hs_buf_add_lit(out, "<ul class=\"try\">");
        add_link(l, table, add_nothing);
        add_link(l, table, add_sort);
        add_link(l, table, add_include);
        hs_buf_add_lit(out, "</ul>");
    }
    write_details(l, table, req);
    hs_buf_add_lit(out, "</article>");
}

/* ---- named queries ---- */

static void write_param(const struct api_named_param *param, struct hs_buf *out)
{
    hs_buf_add_lit(out, "<tr><th scope=\"row\">");
    add_code(out, param->name);
    if (param->description.n) {
        hs_buf_add_lit(out, "<p class=\"soft\">");
        add_html(out, param->description);
        hs_buf_add_lit(out, "</p>");
    }
    hs_buf_add_lit(out, "<td>");
    add_html(out, param->type->name);
    if (param->value) {
        hs_buf_add_lit(out, "<td>");
        add_code(out, hs_str(param->value));
    } else {
        hs_buf_add(out, param->has_default ? HS_STR("<td>none") : HS_STR("<td>needed"));
    }
}

static void write_query(const struct api_listing *l, const struct api_named *named)
{
    struct hs_buf *out = l->out;

    hs_buf_printf(out, "<article><h3><code>%s %.*s/q/%.*s</code></h3>",
                  named->methods & HTTP_GET ? "GET" : "POST", HS_FMT(l->model->path),
                  HS_FMT(named->name));
    if (named->description.n) {
        hs_buf_add_lit(out, "<p class=\"soft\">");
        add_html(out, named->description);
        hs_buf_add_lit(out, "</p>");
    }
    if (named->fault.status)
        hs_buf_add_lit(out, "<p>It cannot be run at present; ask for it to learn why.</p>");
    if (named->n_params) {
        hs_buf_add_lit(out, "<table><thead><tr><th scope=\"col\">Parameter<th scope=\"col\">Type"
                            "<th scope=\"col\">Default</thead><tbody>");
        for (size_t i = 0; i < named->n_params; i++)
            write_param(&named->params[i], out);
        hs_buf_add_lit(out, "</tbody></table>");
    }
    hs_buf_add_lit(out, "</article>");
}

static void write_queries(const struct api_listing *l)
{
    bool is_first = true;

    for (size_t i = 0; i < l->model->n_named; i++) {
        if (!api_named_is_for(&l->model->named[i], l->reader))
            continue;
        if (is_first)
            hs_buf_add_lit(l->out, "<h2 id=\"queries\">Named queries</h2>");
        is_first = false;
        write_query(l, &l->model->named[i]);
    }
}

/* ---- the page ---- */

static void write_header(const struct api_listing *l, const struct http_req *req)
{
    struct hs_buf *out = l->out;

    hs_buf_add_lit(out, "<p>Tables of a PostgreSQL database as JSON. You ask as role ");
    add_code(out, req->identity->role);
    hs_buf_add(out, req->identity->is_anonymous ? HS_STR(", without a token")
                                                : HS_STR(", by your token"));
    hs_buf_add_lit(out, "; this page lists what that role may read.</p><nav aria-label=\"Pages\">"
                        "<ul><li><a href=\"#ask\">How to ask</a><li><a href=\"");
    hs_buf_add(out, l->model->path);
    hs_buf_add_lit(out, "\">This list as JSON</a><li><a href=\"/health\">Health</a>"
                        "<li><a href=\"/metrics\">Metrics</a></ul></nav></header>");
}

void api_index_page_write(const struct api_listing *l, const struct http_req *req)
{
    struct hs_buf *out = l->out;
    const struct api_table *table;
    size_t n = 0;

    hs_buf_add_lit(out, PAGE_HEAD);
    write_header(l, req);
    hs_buf_add_lit(out, "<main><section aria-labelledby=\"tables\"><h2 id=\"tables\">Tables</h2>");
    for (size_t at = 0; (table = api_listing_next(l, &at)) != NULL; n++)
        write_table(l, table, req);
    if (!n)
        hs_buf_add_lit(out, "<p>None. GRANT the role SELECT on a table, or send a token of a role "
                            "that may read some.</p>");
    write_queries(l);
    hs_buf_add_lit(out, "</section>" PAGE_ASK "</main></body></html>");
}
