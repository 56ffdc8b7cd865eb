/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may read what: for each configured role a bit at each relation and column that it may SELECT.
 *
 * The one rule: PostgreSQL's own functions answer, so membership, PUBLIC, ownership and
 * pg_read_all_data count as they do for a statement, and a role without USAGE on the schema reads
 * nothing of it. They look at the newest catalog rather than at the transaction's snapshot, and say
 * NULL of what is gone: that is no. The fingerprint makes the next look notice the rest.
 *
 * A column is asked about only where the role lacks the right on its relation and somebody has been
 * granted something on that column: elsewhere the answer is known. A view counts by the rights on the
 * view itself, as in a statement; with security_invoker those below it come on top, and are not looked at.
 *
 * Source: PostgreSQL 15 manual, 5.7 (privileges), 9.26 (has_table_privilege and its kin).
 */
#include "pg/catalog_int.h"

/* attnum 0: the whole relation, with all of its columns. */
#define PRIVILEGES_SQL                                                                     \
    "WITH role AS MATERIALIZED ("                                                          \
    "  SELECT r.oid, 1::int8 << (s.position - 1)::int4 AS bit"                             \
    "  FROM unnest($2::text[]) WITH ORDINALITY s(name, position)"                          \
    "  JOIN pg_roles r ON r.rolname = s.name),"                                            \
    " enters AS MATERIALIZED ("                                                            \
    "  SELECT n.oid AS schema, role.* FROM pg_namespace n CROSS JOIN role"                 \
    "  WHERE n.oid = ANY ($1::oid[]) AND has_schema_privilege(role.oid, n.oid, 'USAGE'))," \
    " may AS MATERIALIZED ("                                                               \
    "  SELECT c.oid AS relation, e.oid AS role, e.bit,"                                    \
    "   has_table_privilege(e.oid, c.oid, 'SELECT') AS whole"                              \
    "  FROM pg_class c JOIN enters e ON e.schema = c.relnamespace"                         \
    "  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition)"             \
    "SELECT relation, 0, bit_or(bit) FROM may WHERE whole GROUP BY relation"               \
    " UNION ALL SELECT a.attrelid, a.attnum, bit_or(m.bit)"                                \
    "  FROM may m JOIN pg_attribute a ON a.attrelid = m.relation"                          \
    "  WHERE NOT m.whole AND a.attnum > 0 AND NOT a.attisdropped AND a.attacl IS NOT NULL" \
    "  AND has_column_privilege(m.role, a.attrelid, a.attnum, 'SELECT') GROUP BY 1, 2"

static hs_status keep_roles(struct pg_build *b, struct hs_err *reterr)
{
    const struct pg_catalog_reader *reader = b->reader;
    struct pg_catalog *c = &b->whole->pub;
    struct hs_str *roles = HS_NEW_ARRAY(b->arena, reader->n_roles, struct hs_str);

    /* Empty names count for nothing, here as in the query's parameter. */
    for (size_t i = 0; roles && i < reader->n_roles; i++) {
        if (reader->roles[i].n)
            roles[c->n_roles++] = hs_arena_dup(b->arena, reader->roles[i]);
    }
    c->roles = roles;
    return hs_arena_failed(b->arena) ? hs_fail_memory(reterr) : HS_OK;
}

/* Columns lie in the order of their numbers, with gaps where one was dropped. */
static struct pg_column *column_of(struct pg_column *columns, size_t n, int64_t attnum)
{
    for (size_t i = 0; i < n && columns[i].attnum <= attnum; i++) {
        if (columns[i].attnum == attnum)
            return &columns[i];
    }
    return NULL;
}

static void take_row(struct pg_build *b, const PGresult *r, int row)
{
    struct pg_relation *relation = pg_build_relation(b, pg_cell_oid(r, row, 0));
    int64_t attnum = pg_cell_int(r, row, 1);
    uint64_t bits = (uint64_t)pg_cell_int(r, row, 2);
    struct pg_column *columns;
    struct pg_column *column;

    if (!relation)
        return;
    columns = b->columns[relation - b->whole->pub.relations];
    relation->readers |= bits;
    if (attnum) {
        column = column_of(columns, relation->n_columns, attnum);
        if (column)
            column->readers |= bits;
        return;
    }
    relation->whole_readers |= bits;
    for (size_t i = 0; i < relation->n_columns; i++)
        columns[i].readers |= bits;
}

hs_status pg_privileges_read(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const struct pg_catalog *c = &b->whole->pub;
    const char *params[] = {b->schemas, NULL};
    struct hs_str names;
    hs_status status = keep_roles(b, reterr);

    if (status != HS_OK)
        return status;
    names = pg_array_literal(b->arena, c->roles, c->n_roles);
    if (!names.p)
        return hs_fail_memory(reterr);
    params[1] = names.p;
    status = pg_reader_query(b->reader, PRIVILEGES_SQL, params, 2, &r, reterr);
    for (int row = 0; status == HS_OK && row < PQntuples(r); row++)
        take_row(b, r, row);
    return status;
}
