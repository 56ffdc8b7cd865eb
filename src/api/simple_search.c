/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Search in the simple dialect.
 *
 *     search=anna schm*   searchLang=german   sort=-_rank   fields=id,_rank   highlight=title,body
 *
 * Search takes the operator's columns where api.search names some: each word must occur in one of them;
 * else the table's full-text column, in the languages that its generation expression names, or in the one that the
 * request does. It refuses to search a table that has neither.
 *
 * Rank and snippets are made by a search in a full-text column. A search box that is empty is no search, and what
 * hangs on it is left out; where there is no search box at all, whoever asks for its rank has made a mistake.
 *
 * Source: PostgreSQL 15 manual, 12.3.
 */
#include "api/search_words.h"
#include "api/simple_int.h"
#include "api/value.h"
#include "core/nearest.h"

enum { SEARCH_WORDS_MAX = 10, HIGHLIGHT_MAX = 8 };

#define RANK_NAME "_rank"
#define HIGHLIGHT_NAME "_highlight"

/* ---- the parameters ---- */

hs_status simple_search(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    (void)reterr;
    r->search.words = value;
    return HS_OK;
}

hs_status simple_search_language(struct simple_reader *r, struct hs_str value,
                                 struct hs_err *reterr)
{
    (void)reterr;
    r->search.language = value;
    return HS_OK;
}

hs_status simple_highlight(struct simple_reader *r, struct hs_str value, struct hs_err *reterr)
{
    if (!value.n)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "highlight names no column");
    r->search.highlight = value;
    return HS_OK;
}

/* ---- columns of text ---- */

static hs_status search_word(struct simple_reader *r, struct hs_str word, struct hs_err *reterr)
{
    struct hs_str pattern = value_pattern_within(r->arena, word);
    struct tree_node *any = HS_NEW(r->arena, struct tree_node);

    if (!any)
        return hs_fail_memory(reterr);
    any->kind = TREE_OR;
    for (size_t i = 0; i < r->table->n_search; i++) {
        struct tree_node *node = NULL;
        hs_status status = simple_new_compare(r, r->table->search[i], TREE_ILIKE, pattern, &node,
                                              reterr);

        if (status)
            return status;
        tree_node_append(any, node);
    }
    tree_node_append(r->where, any);
    return HS_OK;
}

/* A word is found wherever it stands, so that of a prefix the star says nothing. */
static hs_status search_columns(struct simple_reader *r, struct hs_str words, struct hs_err *reterr)
{
    size_t n = 0;

    while (words.n) {
        struct hs_str word = hs_str_cut(&words, ' ');
        hs_status status;

        while (word.n && word.p[word.n - 1] == '*')
            word = hs_str_sub(word, 0, word.n - 1);
        if (!word.n)
            continue;
        if (++n > SEARCH_WORDS_MAX)
            return hs_fail(reterr, HS_E_BAD_PARAMETER, "search takes at most %d words",
                           SEARCH_WORDS_MAX);
        status = search_word(r, word, reterr);
        if (status)
            return status;
    }
    return HS_OK;
}

/* ---- the language ---- */

static bool is_named(const struct pg_text_config *config, struct hs_str name)
{
    return hs_str_eq(config->name, name) ||
           (name.n == config->schema.n + 1 + config->name.n &&
            hs_str_starts(name, config->schema) && name.p[config->schema.n] == '.' &&
            hs_str_eq(hs_str_sub(name, config->schema.n + 1, name.n), config->name));
}

static hs_status fail_language(const struct pg_catalog *catalog, struct hs_str name,
                               struct hs_err *reterr)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, name);
    for (size_t i = 0; i < catalog->n_text_configs; i++)
        hs_nearest_offer(&near, catalog->text_configs[i].name);
    best = hs_nearest_best(&near);
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "there is no text search configuration \"%.*s\"",
                  HS_FMT(name));
    if (best.n)
        hs_err_hint(reterr, "Perhaps you meant \"%.*s\".", HS_FMT(best));
    else
        hs_err_hint(reterr, "pg_ts_config lists them: english, german, simple ...");
    return HS_E_BAD_PARAMETER;
}

static hs_status find_language(const struct pg_catalog *catalog, struct hs_str name,
                               const struct hs_str **ret_quoted, struct hs_err *reterr)
{
    const struct pg_text_config *found = NULL;

    for (size_t i = 0; i < catalog->n_text_configs; i++) {
        const struct pg_text_config *config = &catalog->text_configs[i];

        if (!is_named(config, name))
            continue;
        if (found) {
            (void)hs_fail(reterr, HS_E_BAD_PARAMETER,
                          "\"%.*s\" is a text search configuration of more than one schema",
                          HS_FMT(name));
            hs_err_hint(reterr, "Write it with its schema: \"%.*s.%.*s\".", HS_FMT(config->schema),
                        HS_FMT(config->name));
            return HS_E_BAD_PARAMETER;
        }
        found = config;
        /* PostgreSQL's own stand first and are what their name means anywhere. */
        if (hs_str_is(config->schema, "pg_catalog"))
            break;
    }
    if (!found)
        return fail_language(catalog, name, reterr);
    *ret_quoted = &found->quoted;
    return HS_OK;
}

/* ---- the full-text column ---- */

/* In which configurations, as one text: what a cursor is bound to. */
static struct hs_str languages_text(struct hs_arena *arena, const struct tree_search *search)
{
    struct hs_str text = search->n_configs ? search->configs[0] : HS_STR("");

    for (size_t i = 1; i < search->n_configs; i++)
        text = hs_arena_printf(arena, "%.*s,%.*s", HS_FMT(text), HS_FMT(search->configs[i]));
    return text;
}

static hs_status choose_languages(const struct simple_reader *r, struct tree_search *search,
                                  struct hs_err *reterr)
{
    const struct pg_full_text *text = &r->table->pg->full_text;

    search->column = text->column;
    if (r->search.language.p) {
        search->n_configs = 1;
        return find_language(r->model->catalog, r->search.language, &search->configs, reterr);
    }
    search->configs = text->configs;
    search->n_configs = text->n_configs;
    search->language = text->language;
    search->languages = text->languages;
    search->n_languages = text->n_languages;
    return HS_OK;
}

static hs_status new_search(struct simple_reader *r, struct tree_search **ret_search,
                            struct hs_err *reterr)
{
    struct tree_search *search = HS_NEW(r->arena, struct tree_search);
    struct tree_node *node = NULL;
    hs_status status;

    if (!search)
        return hs_fail_memory(reterr);
    status = choose_languages(r, search, reterr);
    if (!status)
        status = search_words_read(r->search.words,
                                   search->n_configs + (search->language != NULL) > 1, r->arena,
                                   search, reterr);
    if (!status)
        status = simple_new_compare(r, search->column, TREE_MATCHES, r->search.words, &node,
                                    reterr);
    if (status)
        return status;
    node->search = search;
    node->config = languages_text(r->arena, search);
    tree_node_append(r->where, node);
    *ret_search = search;
    return HS_OK;
}

/* ---- the rank ---- */

bool simple_is_rank(const struct simple_reader *r, struct hs_str name)
{
    return r->use == SIMPLE_LIST && hs_str_is(name, RANK_NAME);
}

#define TYPE(type_kind, type_name)                                                          \
    {                                                                                       \
        .kind = (type_kind), .name = {(type_name), sizeof(type_name) - 1},                  \
        .sql = {"pg_catalog." type_name, sizeof("pg_catalog." type_name) - 1}, .delim = ',' \
    }

static const struct pg_type rank_type = TYPE(PG_KIND_FLOAT, "float4");
static const struct pg_type highlight_type = TYPE(PG_KIND_JSON, "json");

/* `of` is what an error tells of where it may not be read; NULL: there is none, and nothing comes of it. */
static hs_status new_found(struct simple_reader *r, const char *name, const char *key,
                           const struct pg_column *of, struct tree_field **ret_field,
                           struct tree_found **ret_found, struct hs_err *reterr)
{
    struct tree_found *found = HS_NEW(r->arena, struct tree_found);
    struct tree_field *field = HS_NEW(r->arena, struct tree_field);

    if (!found || !field)
        return hs_fail_memory(reterr);
    if (of)
        found->column = (struct pg_column){.readers = of->readers, .index = of->index};
    found->column.name = hs_str(name);
    found->column.not_null = true;
    *field = (struct tree_field){
        .column = &found->column, .name = hs_str(name), .key = hs_str(key)};
    *ret_field = field;
    *ret_found = found;
    return HS_OK;
}

hs_status simple_rank(struct simple_reader *r, const struct tree_field **ret_field,
                      struct hs_err *reterr)
{
    hs_status status = HS_OK;

    if (!r->search.rank) {
        status = new_found(r, RANK_NAME, "\"" RANK_NAME "\":", r->table->pg->full_text.column,
                           &r->search.ranked, &r->search.rank, reterr);
        if (status)
            return status;
        r->search.rank->column.attnum = TREE_ATTNUM_RANK;
        r->search.rank->column.type = &rank_type;
    }
    *ret_field = r->search.ranked;
    return status;
}

/* ---- what hangs on the search ---- */

/* The fields without one of them, and with another behind them; either may be NULL. */
static hs_status change_fields(struct simple_reader *r, const struct tree_field *without,
                               const struct tree_field *with, struct hs_err *reterr)
{
    struct tree_select *tree = &r->query->tree;
    const struct tree_field **fields = HS_NEW_ARRAY(r->arena, tree->n_fields + 1,
                                                    const struct tree_field *);
    size_t n = 0;

    if (!fields)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < tree->n_fields; i++) {
        if (tree->fields[i] != without)
            fields[n++] = tree->fields[i];
    }
    if (with)
        fields[n++] = with;
    if (!n)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "fields names no column");
    tree->fields = fields;
    tree->n_fields = n;
    return HS_OK;
}

static hs_status read_highlight(struct simple_reader *r, const struct tree_field **fields,
                                size_t *ret_n, struct hs_err *reterr)
{
    struct url_list list = url_list(r->search.highlight);
    size_t n = 0;

    for (;;) {
        const struct tree_field *field;
        struct hs_str name;
        hs_status status = url_list_next(r->arena, &list, &name, reterr);

        *ret_n = n;
        if (status || !name.p)
            return status;
        field = api_table_field(r->table, name);
        if (!field)
            return simple_fail_column(r->table, name, /* with_parameters= */ false, reterr);
        if (field->column->type->kind != PG_KIND_TEXT)
            return hs_fail(reterr, HS_E_BAD_PARAMETER, "highlight is for text; \"%.*s\" is %.*s",
                           HS_FMT(name), HS_FMT(field->column->type->name));
        for (size_t i = 0; i < n; i++) {
            if (fields[i] == field)
                return hs_fail(reterr, HS_E_BAD_PARAMETER, "highlight names \"%.*s\" twice",
                               HS_FMT(name));
        }
        if (n == HIGHLIGHT_MAX)
            return hs_fail(reterr, HS_E_BAD_PARAMETER, "highlight takes at most %d columns",
                           HIGHLIGHT_MAX);
        fields[n++] = field;
    }
}

static hs_status add_highlight(struct simple_reader *r, struct tree_search *search,
                               struct hs_err *reterr)
{
    const struct tree_field **fields = HS_NEW_ARRAY(r->arena, HIGHLIGHT_MAX,
                                                    const struct tree_field *);
    struct tree_found *found;
    struct tree_field *field;
    size_t n;
    hs_status status;

    if (!fields)
        return hs_fail_memory(reterr);
    status = read_highlight(r, fields, &n, reterr);
    if (status)
        return status;
    status = new_found(r, HIGHLIGHT_NAME, "\"" HIGHLIGHT_NAME "\":", fields[0]->column, &field,
                       &found, reterr);
    if (status)
        return status;
    found->column.attnum = TREE_ATTNUM_HIGHLIGHT;
    found->column.type = &highlight_type;
    found->search = search;
    found->fields = fields;
    found->n_fields = n;
    return change_fields(r, NULL, field, reterr);
}

static hs_status fail_without(const struct simple_reader *r, struct hs_err *reterr)
{
    const char *what = r->search.rank ? RANK_NAME : "highlight";

    if (!r->search.words.p)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "%s needs a search", what);
    if (!r->search.rank && !r->search.highlight.p)
        what = "searchLang";
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "%s is not possible for %.*s", what,
                  HS_FMT(r->table->name));
    hs_err_why(reterr, "It is searched by the columns that api.search names: in no language, and "
                       "each row as good as the next.");
    return HS_E_BAD_PARAMETER;
}

static hs_status fail_table(const struct simple_reader *r, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_BAD_PARAMETER, "%.*s cannot be searched", HS_FMT(r->table->name));
    hs_err_hint(reterr,
                "Add a tsvector column with a GIN index, or name text columns in api.search: "
                "`%.*s: column, column`.",
                HS_FMT(r->table->pg->name));
    return HS_E_BAD_PARAMETER;
}

/* The languages are looked at even so: a name that is wrong today is wrong when words come. */
static hs_status build_empty(struct simple_reader *r, struct hs_err *reterr)
{
    const struct hs_str *quoted;
    hs_status status = HS_OK;

    if (r->search.language.p)
        status = find_language(r->model->catalog, r->search.language, &quoted, reterr);
    if (!status && r->search.ranked)
        status = change_fields(r, r->search.ranked, NULL, reterr);
    return status;
}

hs_status simple_build_search(struct simple_reader *r, struct hs_err *reterr)
{
    bool needs_words = r->search.rank || r->search.highlight.p;
    struct tree_search *search = NULL;
    hs_status status;

    if (needs_words && !r->search.words.p)
        return fail_without(r, reterr);
    if (!hs_str_trim(r->search.words).n)
        return build_empty(r, reterr);
    if (r->table->n_search)
        return needs_words || r->search.language.p ? fail_without(r, reterr)
                                                   : search_columns(r, r->search.words, reterr);
    if (!r->table->pg->full_text.column)
        return fail_table(r, reterr);
    status = new_search(r, &search, reterr);
    if (!status && r->search.rank)
        r->search.rank->search = search;
    if (!status && r->search.highlight.p)
        status = add_highlight(r, search, reterr);
    return status;
}
