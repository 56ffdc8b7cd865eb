/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign and primary keys of the whole database, by the numbers of their columns: what relationships and keys of
 * views are made of.
 *
 * from_is_unique is narrower than that of pg_foreign_key, for PostgREST's answers to stay: it takes a relationship
 * for one-to-one where a primary key or a unique constraint has the same columns (allM2OandO2ORels in its
 * SchemaCache.hs), and shows many to one, as an array, where only an index sees to that.
 *
 * Source: PostgreSQL 15 manual, 53.13 (pg_constraint).
 */
#include "pg/catalog_int.h"

#include <stdlib.h>

enum { KEY_COLUMNS_MAX = 32 }; /* PostgreSQL's INDEX_MAX_KEYS */

/* Behind the foreign keys (f) the primary ones (p). */
#define KEYS_SQL                                                                              \
    "SELECT k.contype, k.conname, k.conrelid, k.confrelid, k.conkey, k.confkey,"              \
    " k.contype = 'f' AND EXISTS (SELECT FROM pg_constraint u WHERE u.conrelid = k.conrelid"  \
    "  AND u.contype IN ('p', 'u') AND u.conkey @> k.conkey AND u.conkey <@ k.conkey)"        \
    " FROM pg_constraint k JOIN pg_class f ON f.oid = k.conrelid"                             \
    " WHERE (k.contype = 'f' AND k.conparentid = 0 OR k.contype = 'p')"                       \
    " AND f.relpersistence <> 't'"                                                            \
    " AND f.relnamespace <> ALL ('{pg_catalog,information_schema,pg_toast}'::regnamespace[])" \
    " ORDER BY k.contype, k.conname COLLATE \"C\", k.conrelid"

enum { COL_TYPE, COL_NAME, COL_FROM, COL_TO, COL_FROM_COLUMNS, COL_TO_COLUMNS, COL_IS_UNIQUE };

static const int16_t *attnums(struct pg_build *b, struct hs_str text, size_t *ret_n)
{
    int64_t numbers[KEY_COLUMNS_MAX];
    size_t n = pg_numbers(text, numbers, KEY_COLUMNS_MAX);
    int16_t *to;

    n = n > KEY_COLUMNS_MAX ? KEY_COLUMNS_MAX : n;
    to = HS_NEW_ARRAY(b->arena, n, int16_t);
    for (size_t i = 0; to && i < n; i++)
        to[i] = (int16_t)numbers[i];
    *ret_n = to ? n : 0;
    return to;
}

static void fill_reference(struct pg_build *b, struct pg_reference *to, const PGresult *r, int row)
{
    size_t n_to;

    to->name = hs_arena_dup(b->arena, pg_cell(r, row, COL_NAME));
    to->from = pg_cell_oid(r, row, COL_FROM);
    to->to = pg_cell_oid(r, row, COL_TO);
    to->from_attnums = attnums(b, pg_cell(r, row, COL_FROM_COLUMNS), &to->n_columns);
    to->to_attnums = attnums(b, pg_cell(r, row, COL_TO_COLUMNS), &n_to);
    to->n_columns = to->n_columns < n_to ? to->n_columns : n_to;
    to->from_is_unique = pg_cell_bool(r, row, COL_IS_UNIQUE);
}

static int compare_columns(const void *a, const void *b)
{
    const struct pg_key_column *x = a;
    const struct pg_key_column *y = b;
    int order = (x->table > y->table) - (x->table < y->table);

    return order ? order : (x->attnum > y->attnum) - (x->attnum < y->attnum);
}

static void fill_primaries(struct pg_build *b, const PGresult *r, int from)
{
    size_t room = 0;
    size_t n = 0;

    for (int row = from; row < PQntuples(r); row++)
        room += pg_numbers(pg_cell(r, row, COL_FROM_COLUMNS), NULL, 0);
    b->primaries = HS_NEW_ARRAY(b->arena, room, struct pg_key_column);
    for (int row = from; b->primaries && row < PQntuples(r); row++) {
        int64_t numbers[KEY_COLUMNS_MAX];
        size_t n_columns = pg_numbers(pg_cell(r, row, COL_FROM_COLUMNS), numbers, KEY_COLUMNS_MAX);

        for (size_t i = 0; i < n_columns && i < KEY_COLUMNS_MAX; i++)
            b->primaries[n++] = (struct pg_key_column){pg_cell_oid(r, row, COL_FROM),
                                                       (int16_t)numbers[i], n_columns};
    }
    b->n_primaries = n;
    if (n)
        qsort(b->primaries, n, sizeof(*b->primaries), compare_columns);
}

const struct pg_key_column *pg_build_primary(const struct pg_build *b, uint32_t table,
                                             int16_t attnum)
{
    struct pg_key_column key = {.table = table, .attnum = attnum};

    return b->n_primaries
               ? bsearch(&key, b->primaries, b->n_primaries, sizeof(key), compare_columns)
               : NULL;
}

hs_status pg_references_read(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    struct pg_catalog *c = &b->whole->pub;
    hs_status status = pg_reader_query(b->reader, KEYS_SQL, NULL, 0, &r, reterr);
    struct pg_reference *references;
    int n = 0;

    if (status != HS_OK)
        return status;
    while (n < PQntuples(r) && PQgetvalue(r, n, COL_TYPE)[0] == 'f')
        n++;
    references = HS_NEW_ARRAY(b->arena, (size_t)n, struct pg_reference);
    for (int row = 0; references && row < n; row++)
        fill_reference(b, &references[row], r, row);
    fill_primaries(b, r, n);
    if (hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    c->references = references;
    c->n_references = (size_t)n;
    return HS_OK;
}
