/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The types that the served columns and functions use or that a cast may name, and all that these are made of.
 *
 * The one rule: a pointer between types is set once all types stand in one array, sorted by oid; so
 * nothing moves afterwards, and composites that hold arrays of composites need no recursion. (PostgreSQL
 * allows no type that contains itself.)
 *
 * A domain is resolved to its base type, through any number of domains.
 *
 * Source: PostgreSQL 15 manual, 53.64 (pg_type), 53.20 (pg_enum), 8.16 (composite types).
 */
#include "pg/catalog_int.h"

#include <stdlib.h>

#include "pg/types.h"

/*
 * Rows T (types, sorted by oid), N (names that a cast may use, by type; "order" is their rank), L (labels, by type
 * and order), F (fields, by type and position).
 */
#define TYPES_SQL                                                                                  \
    "WITH RECURSIVE schema(oid, rank) AS MATERIALIZED ("                                           \
    "  SELECT 'pg_catalog'::regnamespace::oid, 0 UNION ALL SELECT * FROM"                          \
    "    unnest($1::oid[]) WITH ORDINALITY"                                                        \
    "  UNION ALL SELECT n.oid, cardinality($1::oid[]) + e.position"                                \
    "   FROM unnest($2::text[]) WITH ORDINALITY e(name, position)"                                 \
    "   JOIN pg_namespace n ON n.nspname = e.name),"                                               \
    " named AS MATERIALIZED ("                                                                     \
    "  SELECT t.oid, t.typname::text AS name, n.nspname, s.rank, e.typname::text AS elem"          \
    "  FROM schema s JOIN pg_namespace n USING (oid) JOIN pg_type t ON t.typnamespace = n.oid"     \
    "  LEFT JOIN pg_type e ON e.typarray = t.oid"                                                  \
    "  LEFT JOIN pg_class c ON c.oid = coalesce(e.typrelid, t.typrelid) AND c.relkind <> 'c'"      \
    "  WHERE t.typtype <> 'p' AND t.typisdefined AND c.oid IS NULL),"                              \
    " need(oid) AS ("                                                                              \
    "  SELECT a.atttypid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"                \
    "  WHERE c.relnamespace = ANY ($1::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"          \
    "  AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped"                           \
    "  UNION SELECT oid FROM named"                                                                \
    "  UNION SELECT unnest(p.prorettype || coalesce(p.proallargtypes, p.proargtypes::oid[]))"      \
    "   FROM " PG_FUNCTIONS_NEAR " WHERE " PG_FUNCTION_IS_SERVED                                   \
    "  UNION SELECT p.prorettype FROM pg_proc p"                                                   \
    "   WHERE p.pronamespace = ANY ($1::oid[]) AND p.prokind = 'a'"                                \
    "  UNION SELECT unnest($3::oid[])"                                                             \
    "  UNION SELECT x.oid FROM need JOIN pg_type t ON t.oid = need.oid CROSS JOIN LATERAL ("       \
    "    SELECT t.typbasetype AS oid WHERE t.typtype = 'd'"                                        \
    "    UNION ALL SELECT t.typelem WHERE t.typelem <> 0"                                          \
    "      AND t.typsubscript = 'array_subscript_handler'::regproc"                                \
    "    UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c'"                    \
    "      AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) x),"               \
    " types AS MATERIALIZED ("                                                                     \
    "  SELECT t.*, n.nspname FROM need JOIN pg_type t USING (oid)"                                 \
    "  JOIN pg_namespace n ON n.oid = t.typnamespace)"                                             \
    "SELECT 'T', t.oid, 0::float8, format_type(t.oid, NULL), t.typtype::text,"                     \
    "  CASE WHEN t.oid IN (22, 30) THEN ' ' ELSE coalesce(e.typdelim, t.typdelim)::text END,"      \
    "  t.typbasetype, coalesce(e.oid, 0), quote_ident(t.nspname) || '.' || quote_ident(t.typname)" \
    "  FROM types t LEFT JOIN pg_type e ON e.oid = t.typelem"                                      \
    "   AND t.typsubscript = 'array_subscript_handler'::regproc"                                   \
    " UNION ALL SELECT 'N', t.oid, t.rank, v.name, '', '', 0, 0, ''"                               \
    "  FROM named t CROSS JOIN LATERAL (VALUES (t.name), (t.elem || '[]'),"                        \
    "   (t.nspname || '.' || t.name), (t.nspname || '.' || t.elem || '[]')) v(name)"               \
    "  WHERE v.name IS NOT NULL"                                                                   \
    " UNION ALL SELECT 'F', t.oid, a.attnum, a.attname, '', '', a.atttypid, 0, ''"                 \
    "  FROM types t JOIN pg_attribute a ON a.attrelid = t.typrelid"                                \
    "  WHERE t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped"                              \
    " UNION ALL SELECT 'L', t.oid, e.enumsortorder, e.enumlabel, '', '', 0, 0, ''"                 \
    "  FROM types t JOIN pg_enum e ON e.enumtypid = t.oid"                                         \
    " ORDER BY 1 DESC, 2, 3"

enum {
    COL_WHAT,
    COL_OID,
    COL_ORDER,
    COL_NAME,
    COL_TYPTYPE,
    COL_DELIM,
    COL_BASE,
    COL_ELEM,
    COL_SQL
};

const struct pg_type *pg_build_type(const struct pg_build *b, uint32_t oid)
{
    size_t low = 0;
    size_t high = b->n_types;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (b->types[middle].oid == oid)
            return &b->types[middle];
        if (b->types[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static struct pg_type *type_at(const struct pg_build *b, const PGresult *r, int row)
{
    const struct pg_type *t = pg_build_type(b, pg_cell_oid(r, row, COL_OID));

    return t ? &b->types[t - b->types] : NULL;
}

static int rows_of(const PGresult *r, int from, char what)
{
    int row = from;

    while (row < PQntuples(r) && PQgetvalue(r, row, COL_WHAT)[0] == what)
        row++;
    return row - from;
}

static void fill_type(struct pg_build *b, const PGresult *r, int row)
{
    struct pg_type *t = &b->types[row];
    uint32_t elem = pg_cell_oid(r, row, COL_ELEM);

    t->oid = t->base = pg_cell_oid(r, row, COL_OID);
    t->name = hs_arena_dup(b->arena, pg_cell(r, row, COL_NAME));
    t->sql = hs_arena_dup(b->arena, pg_cell(r, row, COL_SQL));
    t->is_domain = PQgetvalue(r, row, COL_TYPTYPE)[0] == 'd';
    t->delim = PQgetvalue(r, row, COL_DELIM)[0];
    t->kind = pg_type_kind(t->oid, PQgetvalue(r, row, COL_TYPTYPE)[0], elem != 0);
}

static void fill_fields(struct pg_build *b, const PGresult *r, int from, int end)
{
    while (from < end) {
        struct pg_type *t = type_at(b, r, from);
        int n = pg_cell_run(r, from, end, COL_OID) - from;
        struct pg_field *fields = HS_NEW_ARRAY(b->arena, (size_t)n, struct pg_field);

        for (int i = 0; fields && i < n; i++) {
            fields[i].name = hs_arena_dup(b->arena, pg_cell(r, from + i, COL_NAME));
            fields[i].type = pg_build_type(b, pg_cell_oid(r, from + i, COL_BASE));
        }
        if (t && fields) {
            t->fields = fields;
            t->n_fields = (size_t)n;
        }
        from += n;
    }
}

static void fill_labels(struct pg_build *b, const PGresult *r, int from, int end)
{
    while (from < end) {
        struct pg_type *t = type_at(b, r, from);
        int n = pg_cell_run(r, from, end, COL_OID) - from;
        struct hs_str *labels = HS_NEW_ARRAY(b->arena, (size_t)n, struct hs_str);

        for (int i = 0; labels && i < n; i++)
            labels[i] = hs_arena_dup(b->arena, pg_cell(r, from + i, COL_NAME));
        if (t && labels) {
            t->labels = labels;
            t->n_labels = (size_t)n;
        }
        from += n;
    }
}

/* The row of the type behind all domains, or -1. A domain is younger than its base, so this ends. */
static int base_row(const struct pg_build *b, const PGresult *r, int row)
{
    while (row >= 0 && PQgetvalue(r, row, COL_TYPTYPE)[0] == 'd') {
        const struct pg_type *base = pg_build_type(b, pg_cell_oid(r, row, COL_BASE));

        row = base ? (int)(base - b->types) : -1;
    }
    return row;
}

static void link_type(struct pg_build *b, const PGresult *r, int row)
{
    struct pg_type *t = &b->types[row];
    int base = base_row(b, r, row);
    const struct pg_type *from = base < 0 ? NULL : &b->types[base];

    if (!from)
        return;
    t->base = from->oid;
    t->kind = from->kind;
    t->delim = from->delim;
    t->fields = from->fields;
    t->n_fields = from->n_fields;
    t->labels = from->labels;
    t->n_labels = from->n_labels;
    if (t->kind == PG_KIND_ARRAY)
        t->elem = pg_build_type(b, pg_cell_oid(r, base, COL_ELEM));
}

/* DDL between two statements may have taken a part away: then its whole is text, until the next read. */
static void mend_type(struct pg_type *t)
{
    bool is_whole = t->kind != PG_KIND_ARRAY || t->elem;

    for (size_t i = 0; t->kind == PG_KIND_COMPOSITE && i < t->n_fields; i++)
        is_whole = is_whole && t->fields[i].type;
    if (!is_whole)
        t->kind = PG_KIND_TEXT;
}

hs_status pg_types_read(struct pg_build *b, struct hs_err *reterr)
{
    static const struct pg_name_columns name_columns = {COL_OID, COL_ORDER, COL_NAME};
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {b->schemas, b->extra_schemas,
                            b->parsed_types.p ? b->parsed_types.p : "{}"};
    hs_status status = pg_reader_query(b->reader, TYPES_SQL, params, 3, &r, reterr);
    int n_types;
    int n_names;
    int labels;
    int fields;

    if (status != HS_OK)
        return status;
    /* Sorted downwards: T, N, L, F. */
    n_types = rows_of(r, 0, 'T');
    n_names = rows_of(r, n_types, 'N');
    labels = n_types + n_names;
    fields = labels + rows_of(r, labels, 'L');
    b->types = HS_NEW_ARRAY(b->arena, (size_t)n_types, struct pg_type);
    if (!b->types)
        return hs_fail_memory(reterr);
    b->n_types = (size_t)n_types;
    for (int i = 0; i < n_types; i++)
        fill_type(b, r, i);
    fill_labels(b, r, labels, fields);
    fill_fields(b, r, fields, fields + rows_of(r, fields, 'F'));
    for (int i = 0; i < n_types; i++)
        link_type(b, r, i);
    for (int i = 0; i < n_types; i++)
        mend_type(&b->types[i]);
    if (hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    return pg_type_names_keep(b, r, n_types, n_names, name_columns, reterr);
}
