/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Full text: which column of a relation an index serves, and in which languages its text was read.
 *
 *     to_tsvector('english', title) || to_tsvector(lang, body)      CHECK (lang IN ('english', 'german'))
 *                 ^ configs                        ^ language                      ^ languages
 *
 * The one rule: a configuration counts that the text of an expression names and that pg_ts_config has; it is named
 * with its schema from then on, so that no search_path decides what it is. A CHECK counts only in the two forms in
 * which PostgreSQL prints "is one of these": anything else might let more values in.
 *
 * Source: PostgreSQL 15 manual, 12.1.3 (configurations), 53.13 (pg_constraint), 53.55 (pg_ts_config).
 */
#include "pg/catalog_int.h"

#define SEPARATOR "\x1f"

/* The configurations that `text` names, in its order, joined by the separator. */
#define CONFIGS_OF(text)                                                               \
    "(SELECT string_agg(q, e'" SEPARATOR "' ORDER BY at)"                              \
    " FROM (SELECT quote_ident(s.nspname) || '.' || quote_ident(t.cfgname), min(m.at)" \
    "  FROM regexp_matches(" text ", $$('(?:[^']|'')+')::regconfig$$, 'g')"            \
    "   WITH ORDINALITY m (names, at)"                                                 \
    "  JOIN pg_ts_config t ON quote_literal(t.oid::regconfig::text) = m.names[1]"      \
    "  JOIN pg_namespace s ON s.oid = t.cfgnamespace GROUP BY 1) x (q, at))"

/* (lang)::oid = ANY ((ARRAY['a'::regconfig, 'b'::regconfig])::oid[]), or = ('a'::regconfig)::oid */
#define IS_ONE_OF                                                                                       \
    "$re$^\\(\\([^=]+\\)::oid = (ANY \\(\\(ARRAY\\[('([^']|'')+'::regconfig(, )?)+\\]\\)::oid\\[\\]\\)" \
    "|\\('([^']|'')+'::regconfig\\)::oid)\\)$$re$"

/* The first tsvector column (oid 3614) of a whole GIN index, or that a whole GiST index begins with. */
static const char columns_sql[] = "SELECT f.relid, f.attnum, " CONFIGS_OF("f.expr") ", l.attnum, " CONFIGS_OF(
    "l.list") " FROM (SELECT DISTINCT ON (i.indrelid) i.indrelid AS relid, a.attnum,"
              "   pg_get_expr(d.adbin, d.adrelid) AS expr"
              "  FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid"
              "  JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam"
              "  JOIN pg_attribute a ON a.attrelid = c.oid AND (a.attnum = i.indkey[0]"
              "   OR (m.amname = 'gin' AND a.attnum = ANY (i.indkey)))"
              "  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = 's'"
              "  WHERE c.relnamespace = ANY ($1::oid[]) AND NOT c.relispartition AND a.atttypid = 3614"
              "  AND m.amname IN ('gin', 'gist') AND i.indisvalid AND i.indpred IS NULL"
              "  ORDER BY i.indrelid, a.attnum) f"
              " LEFT JOIN LATERAL (SELECT a.attnum, (SELECT min(pg_get_expr(k.conbin, k.conrelid)) FROM pg_constraint k"
              "   WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.convalidated AND k.conkey = ARRAY[a.attnum]"
              "   AND pg_get_expr(k.conbin, k.conrelid) ~ " IS_ONE_OF ") AS list"
              "  FROM pg_attribute a WHERE a.attrelid = f.relid AND a.atttypid = 'regconfig'::regtype AND a.attnum > 0"
              "  AND strpos(f.expr, 'to_tsvector(' || quote_ident(a.attname) || ',') > 0"
              "  ORDER BY a.attnum LIMIT 1) l ON true";

static const struct hs_str *read_names(struct hs_arena *arena, struct hs_str joined, size_t *ret_n)
{
    struct hs_str *names;
    size_t n = joined.n > 0;

    *ret_n = 0;
    for (size_t i = 0; i < joined.n; i++)
        n += joined.p[i] == SEPARATOR[0];
    names = n ? HS_NEW_ARRAY(arena, n, struct hs_str) : NULL;
    if (!names)
        return NULL;
    while (joined.n)
        names[(*ret_n)++] = hs_arena_dup(arena, hs_str_cut(&joined, SEPARATOR[0]));
    return names;
}

static const struct pg_column *column_of(const struct pg_relation *r, int64_t attnum)
{
    for (size_t i = 0; i < r->n_columns; i++) {
        if (r->columns[i].attnum == attnum)
            return &r->columns[i];
    }
    return NULL;
}

static hs_status read_columns(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {b->schemas};
    hs_status status = pg_reader_query(b->reader, columns_sql, params, 1, &r, reterr);

    for (int row = 0; status == HS_OK && row < PQntuples(r); row++) {
        struct pg_relation *relation = pg_build_relation(b, pg_cell_oid(r, row, 0));
        struct pg_full_text *text;

        if (!relation)
            continue;
        text = &relation->full_text;
        text->column = column_of(relation, pg_cell_int(r, row, 1));
        text->configs = read_names(b->arena, pg_cell(r, row, 2), &text->n_configs);
        if (!PQgetisnull(r, row, 3))
            text->language = column_of(relation, pg_cell_int(r, row, 3));
        if (text->language)
            text->languages = read_names(b->arena, pg_cell(r, row, 4), &text->n_languages);
    }
    return status;
}

static hs_status read_configs(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    struct pg_text_config *configs;
    hs_status status = pg_reader_query(
        b->reader,
        "SELECT s.nspname, t.cfgname, quote_ident(s.nspname) || '.' || quote_ident(t.cfgname)"
        " FROM pg_ts_config t JOIN pg_namespace s ON s.oid = t.cfgnamespace"
        " WHERE s.nspname NOT LIKE 'pg\\_%temp\\_%'"
        " ORDER BY s.nspname <> 'pg_catalog', t.cfgname COLLATE \"C\", s.nspname COLLATE \"C\"",
        NULL, 0, &r, reterr);

    if (status)
        return status;
    configs = HS_NEW_ARRAY(b->arena, (size_t)PQntuples(r) + 1, struct pg_text_config);
    for (int row = 0; configs && row < PQntuples(r); row++)
        configs[row] = (struct pg_text_config){
            .schema = hs_arena_dup(b->arena, pg_cell(r, row, 0)),
            .name = hs_arena_dup(b->arena, pg_cell(r, row, 1)),
            .quoted = hs_arena_dup(b->arena, pg_cell(r, row, 2))};
    b->whole->pub.text_configs = configs;
    b->whole->pub.n_text_configs = (size_t)PQntuples(r);
    return HS_OK;
}

hs_status pg_full_text_read(struct pg_build *b, struct hs_err *reterr)
{
    hs_status status = read_columns(b, reterr);

    if (!status)
        status = read_configs(b, reterr);
    return !status && hs_arena_failed(b->arena) ? hs_fail_memory(reterr) : status;
}
