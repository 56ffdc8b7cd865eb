/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full text: the condition, the rank of a row, and snippets of its columns.
 *
 *     one language       tsv @@ q('english', $1)
 *     several            tsv @@ (q('english', $1) || q('german', $1))
 *     that of the row    tsv @@ (q('english', $1) || q('german', $1)) AND tsv @@ q(row.lang, $1)
 *                        the index finds what one of the languages may mean, the row's own decides: the first
 *                        looks only for what must be there
 *
 * A word that must not be there is read in every language and left out for each of them:
 *     (q('english', $1) || q('german', $1)) && !! (q('english', $2) || q('german', $2))
 *
 * The rule: what a user wrote is a parameter, and what tells a snippet's found words from its text cannot stand in
 * the text: control characters, taken out of it before. Only after that are "<", ">" and "&" escaped, and the
 * control characters become <mark>.
 *
 * Source: PostgreSQL 15 manual, 12.3 (queries, ranking, ts_headline) and 9.13.
 */
#include "api/sql_int.h"

#define MARK_ON "\\x02"
#define MARK_OFF "\\x03"

/* In which configurations. */
enum in { IN_ALL /* that some row may have */, IN_ROW /* of this row */ };

static unsigned once(struct sql_writer *w, unsigned *param, struct hs_str text)
{
    if (!*param)
        *param = sql_param(w, text);
    return *param;
}

static void write_config(struct sql_writer *w, struct hs_str config)
{
    sql_literal(w, config);
    hs_buf_add_lit(w->out, "::pg_catalog.regconfig");
}

/* One text in one configuration: `config`, that of the row's language where p == NULL, the default where empty. */
static void write_text(struct sql_writer *w, struct sql_source from, const struct tree_search *s,
                       struct hs_str config, bool is_tsquery, unsigned param)
{
    hs_buf_add(w->out, is_tsquery ? HS_STR("pg_catalog.to_tsquery(")
                                  : HS_STR("pg_catalog.websearch_to_tsquery("));
    if (!config.p)
        sql_column(w, from, s->language);
    else if (config.n)
        write_config(w, config);
    if (!config.p || config.n)
        hs_buf_add_lit(w->out, ", ");
    sql_param_cast(w, param, HS_STR("pg_catalog.text"));
    hs_buf_add_char(w->out, ')');
}

/* The configurations that count, in their order. */
struct configs {
    const struct tree_search *search;
    enum in in;
    size_t n;
};

static struct configs configs_of(const struct tree_search *s, enum in in)
{
    size_t of_rows = !s->language ? 0 : in == IN_ALL ? s->n_languages : 1;
    size_t n = s->n_configs + of_rows;

    return (struct configs){.search = s, .in = in, .n = n ? n : 1};
}

static struct hs_str config_at(const struct configs *c, size_t i)
{
    const struct tree_search *s = c->search;

    if (i < s->n_configs)
        return s->configs[i];
    if (!s->language)
        return HS_STR("");
    return c->in == IN_ALL ? s->languages[i - s->n_configs] : HS_STR_NULL;
}

/* One text in all configurations, or in the one numbered `only`. */
static void write_union(struct sql_writer *w, struct sql_source from, const struct configs *c,
                        size_t only, bool is_tsquery, unsigned param)
{
    bool is_many = only == SIZE_MAX && c->n > 1;

    if (is_many)
        hs_buf_add_char(w->out, '(');
    for (size_t i = 0; i < c->n; i++) {
        if (only != SIZE_MAX && only != i)
            continue;
        if (is_many && i)
            hs_buf_add_lit(w->out, " || ");
        write_text(w, from, c->search, config_at(c, i), is_tsquery, param);
    }
    if (is_many)
        hs_buf_add_char(w->out, ')');
}

static void write_part(struct sql_writer *w, struct sql_source from, const struct configs *c,
                       size_t only, struct tree_search_part *part)
{
    bool has_without = part->without.p && c->in == IN_ROW;
    bool is_both = part->words.p && has_without;

    if (is_both)
        hs_buf_add_char(w->out, '(');
    if (part->words.p)
        write_union(w, from, c, only, part->is_tsquery, once(w, &part->words_param, part->words));
    if (is_both)
        hs_buf_add_lit(w->out, " && ");
    if (has_without) {
        hs_buf_add_lit(w->out, "(!! ");
        write_union(w, from, c, only, part->is_tsquery,
                    once(w, &part->without_param, part->without));
        hs_buf_add_char(w->out, ')');
    }
    if (is_both)
        hs_buf_add_char(w->out, ')');
}

/* The query, of type tsquery. */
static void write_query(struct sql_writer *w, struct sql_source from, const struct configs *c,
                        size_t only)
{
    const struct tree_search *s = c->search;

    if (s->n_parts > 1)
        hs_buf_add_char(w->out, '(');
    for (size_t i = 0; i < s->n_parts; i++) {
        if (i)
            hs_buf_add_lit(w->out, " || ");
        write_part(w, from, c, only, &s->parts[i]);
    }
    if (s->n_parts > 1)
        hs_buf_add_char(w->out, ')');
}

static void write_match(struct sql_writer *w, struct sql_source from, const struct tree_search *s,
                        enum in in)
{
    struct configs configs = configs_of(s, in);

    sql_column(w, from, s->column);
    hs_buf_add_lit(w->out, " @@ ");
    write_query(w, from, &configs, SIZE_MAX);
}

/* Can an index find what a row in any of its languages must have? */
static bool can_narrow(const struct tree_search *s)
{
    for (size_t i = 0; i < s->n_parts; i++) {
        if (!s->parts[i].words.p)
            return false;
    }
    return s->language && s->n_languages;
}

void sql_search(struct sql_writer *w, struct sql_source from, struct tree_search *s)
{
    if (can_narrow(s)) {
        write_match(w, from, s, IN_ALL);
        hs_buf_add_lit(w->out, " AND ");
    }
    write_match(w, from, s, IN_ROW);
}

/* ---- what is made of a row ---- */

/* The text as it was indexed, its found words between control characters. */
static void write_headline(struct sql_writer *w, struct sql_source from, const struct configs *c,
                           size_t at, const struct pg_column *column)
{
    struct hs_str config = config_at(c, at);

    hs_buf_add_lit(w->out, "pg_catalog.ts_headline(");
    if (!config.p)
        sql_column(w, from, c->search->language);
    else if (config.n)
        write_config(w, config);
    if (!config.p || config.n)
        hs_buf_add_lit(w->out, ", ");
    hs_buf_add_lit(w->out, "pg_catalog.translate(");
    sql_column(w, from, column);
    hs_buf_add_lit(w->out, "::pg_catalog.text, E'" MARK_ON MARK_OFF "', ''), ");
    write_query(w, from, c, at);
    hs_buf_add_lit(w->out, ", E'StartSel=\"" MARK_ON "\", StopSel=\"" MARK_OFF "\"')");
}

/* Of several languages the one in which most words are found; of equal ones the first. */
static void write_best(struct sql_writer *w, struct sql_source from, const struct configs *c,
                       const struct pg_column *column)
{
    if (c->n == 1) {
        write_headline(w, from, c, 0, column);
        return;
    }
    hs_buf_add_lit(w->out, "(SELECT v.h FROM (VALUES ");
    for (size_t i = 0; i < c->n; i++) {
        hs_buf_add(w->out, i ? HS_STR(", (") : HS_STR("("));
        hs_buf_add_u64(w->out, i);
        hs_buf_add_lit(w->out, ", ");
        write_headline(w, from, c, i, column);
        hs_buf_add_char(w->out, ')');
    }
    hs_buf_add_lit(w->out, ") v (i, h) ORDER BY pg_catalog.array_length(pg_catalog.string_to_array("
                           "v.h, E'" MARK_ON "'), 1) DESC, v.i LIMIT 1)");
}

static void write_snippet(struct sql_writer *w, struct sql_source from, const struct configs *c,
                          const struct pg_column *column)
{
    static const char *const replaced[][2] = {
        {"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {MARK_ON, "<mark>"}, {MARK_OFF, "</mark>"}};

    for (size_t i = 0; i < HS_LEN(replaced); i++)
        hs_buf_add_lit(w->out, "pg_catalog.replace(");
    write_best(w, from, c, column);
    for (size_t i = 0; i < HS_LEN(replaced); i++) {
        hs_buf_add_lit(w->out, ", E'");
        hs_buf_add(w->out, hs_str(replaced[i][0]));
        hs_buf_add_lit(w->out, "', '");
        hs_buf_add(w->out, hs_str(replaced[i][1]));
        hs_buf_add_lit(w->out, "')");
    }
}

static void write_highlight(struct sql_writer *w, struct sql_source from, const struct configs *c,
                            const struct tree_found *found)
{
    hs_buf_add_lit(w->out, "pg_catalog.json_build_object(");
    for (size_t i = 0; i < found->n_fields; i++) {
        if (i)
            hs_buf_add_lit(w->out, ", ");
        sql_literal(w, found->fields[i]->name);
        hs_buf_add_lit(w->out, ", ");
        write_snippet(w, from, c, found->fields[i]->column);
    }
    hs_buf_add_char(w->out, ')');
}

void sql_found(struct sql_writer *w, struct sql_source from, const struct pg_column *column)
{
    const struct tree_found *found = (const struct tree_found *)(const void *)column;
    struct configs configs = configs_of(found->search, IN_ROW);

    if (column->attnum == TREE_ATTNUM_HIGHLIGHT) {
        write_highlight(w, from, &configs, found);
        return;
    }
    hs_buf_add_lit(w->out, "pg_catalog.ts_rank_cd(");
    sql_column(w, from, found->search->column);
    hs_buf_add_lit(w->out, ", ");
    write_query(w, from, &configs, SIZE_MAX);
    hs_buf_add_char(w->out, ')');
}
