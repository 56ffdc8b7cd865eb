/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and foreign keys of the served relations.
 *
 * The one rule: a key is what makes a row findable for certain and at once: unique, valid, over plain
 * columns, for all rows, checked immediately. A foreign key counts only between two served relations;
 * those that PostgreSQL repeats for the partitions of either side are left out.
 *
 * Source: PostgreSQL 15 manual, 53.26 (pg_index), 53.13 (pg_constraint).
 */
#include "pg/catalog_int.h"

#include <stdlib.h>

enum { KEY_COLUMNS_MAX = 32 }; /* PostgreSQL's INDEX_MAX_KEYS */

static const struct pg_column *column_of(const struct pg_relation *r, int64_t attnum)
{
    for (size_t i = 0; i < r->n_columns; i++) {
        if (r->columns[i].attnum == attnum)
            return &r->columns[i];
    }
    return NULL;
}

/* The columns that `text` numbers, at most n_max of them; NULL with *ret_n = 0 if one is unknown. */
static const struct pg_column **columns_of(struct hs_arena *a, const struct pg_relation *r,
                                           struct hs_str text, size_t n_max, size_t *ret_n)
{
    int64_t numbers[KEY_COLUMNS_MAX];
    size_t n = pg_numbers(text, numbers, KEY_COLUMNS_MAX);
    const struct pg_column **columns;

    *ret_n = 0;
    n = n > n_max ? n_max : n;
    if (n == 0 || n > KEY_COLUMNS_MAX)
        return NULL;
    columns = HS_NEW_ARRAY(a, n, const struct pg_column *);
    if (!columns)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        columns[i] = column_of(r, numbers[i]);
        if (!columns[i])
            return NULL;
    }
    *ret_n = n;
    return columns;
}

/* The keys of one relation, from row `from` on; returns the row behind them. */
static int fill_keys(struct pg_build *b, const PGresult *r, int from)
{
    struct pg_relation *relation = pg_build_relation(b, pg_cell_oid(r, from, 0));
    int end = pg_cell_run(r, from, PQntuples(r), 0);
    struct pg_key *keys;
    size_t n = 0;

    if (!relation)
        return end;
    keys = HS_NEW_ARRAY(b->arena, (size_t)(end - from), struct pg_key);
    for (int row = from; keys && row < end; row++) {
        struct pg_key *key = &keys[n];

        key->columns = columns_of(b->arena, relation, pg_cell(r, row, 2),
                                  (size_t)pg_cell_int(r, row, 3), &key->n_columns);
        key->is_primary = pg_cell_bool(r, row, 1);
        n += key->columns != NULL;
    }
    if (n == 0)
        return end;
    relation->keys = keys;
    relation->n_keys = n;
    relation->primary = keys[0].is_primary ? &keys[0] : NULL;
    return end;
}

hs_status pg_keys_read(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {b->schemas};
    hs_status status = pg_reader_query(
        b->reader,
        "SELECT i.indrelid, i.indisprimary, i.indkey, i.indnkeyatts"
        " FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid"
        " WHERE c.relnamespace = ANY ($1::oid[]) AND NOT c.relispartition"
        " AND i.indisunique AND i.indimmediate AND i.indisvalid"
        " AND i.indpred IS NULL AND i.indexprs IS NULL"
        " ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid",
        params, 1, &r, reterr);

    if (status != HS_OK)
        return status;
    for (int row = 0; row < PQntuples(r);)
        row = fill_keys(b, r, row);
    return hs_arena_failed(b->arena) ? hs_fail_memory(reterr) : HS_OK;
}

static bool holds_column(const struct pg_foreign_key *fk, const struct pg_column *column)
{
    for (size_t i = 0; i < fk->n_columns; i++) {
        if (fk->from_columns[i] == column)
            return true;
    }
    return false;
}

static bool holds_key(const struct pg_foreign_key *fk)
{
    for (size_t k = 0; k < fk->from->n_keys; k++) {
        const struct pg_key *key = &fk->from->keys[k];
        size_t held = 0;

        while (held < key->n_columns && holds_column(fk, key->columns[held]))
            held++;
        if (held == key->n_columns)
            return true;
    }
    return false;
}

static bool fill_foreign_key(struct pg_build *b, struct pg_foreign_key *fk, const PGresult *r,
                             int row)
{
    const struct pg_relation *from = pg_build_relation(b, pg_cell_oid(r, row, 1));
    const struct pg_relation *to = pg_build_relation(b, pg_cell_oid(r, row, 2));
    size_t n_to;

    if (!from || !to)
        return false;
    fk->name = hs_arena_dup(b->arena, pg_cell(r, row, 0));
    fk->from = from;
    fk->to = to;
    fk->from_columns = columns_of(b->arena, from, pg_cell(r, row, 3), KEY_COLUMNS_MAX,
                                  &fk->n_columns);
    fk->to_columns = columns_of(b->arena, to, pg_cell(r, row, 4), KEY_COLUMNS_MAX, &n_to);
    if (!fk->from_columns || !fk->to_columns || n_to != fk->n_columns)
        return false;
    fk->from_is_unique = holds_key(fk);
    return true;
}

/* Hands each relation its part of one array of pointers: first counted, then cut, then filled. */
static bool link_foreign_keys(struct pg_build *b, const struct pg_foreign_key *fks, size_t n)
{
    struct pg_catalog *c = &b->whole->pub;
    const struct pg_foreign_key **slots = HS_NEW_ARRAY(b->arena, n * 2,
                                                       const struct pg_foreign_key *);

    if (!slots)
        return false;
    for (size_t i = 0; i < n; i++) {
        c->relations[fks[i].from - c->relations].n_fk_out++;
        c->relations[fks[i].to - c->relations].n_fk_in++;
    }
    for (size_t i = 0; i < c->n_relations; i++) {
        struct pg_relation *relation = &c->relations[i];

        relation->fk_out = slots;
        slots += relation->n_fk_out;
        relation->fk_in = slots;
        slots += relation->n_fk_in;
        relation->n_fk_out = 0;
        relation->n_fk_in = 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct pg_relation *from = &c->relations[fks[i].from - c->relations];
        struct pg_relation *to = &c->relations[fks[i].to - c->relations];

        from->fk_out[from->n_fk_out++] = &fks[i];
        to->fk_in[to->n_fk_in++] = &fks[i];
    }
    return true;
}

hs_status pg_foreign_keys_read(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {b->schemas};
    hs_status status = pg_reader_query(
        b->reader,
        "SELECT k.conname, k.conrelid, k.confrelid, k.conkey, k.confkey FROM pg_constraint k"
        " JOIN pg_class f ON f.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid"
        " WHERE k.contype = 'f' AND k.conparentid = 0"
        " AND f.relnamespace = ANY ($1::oid[]) AND t.relnamespace = ANY ($1::oid[])"
        " ORDER BY array_position($1::oid[], f.relnamespace), f.relname COLLATE \"C\","
        " k.conname COLLATE \"C\"",
        params, 1, &r, reterr);
    struct pg_foreign_key *fks;
    size_t n = 0;

    if (status != HS_OK)
        return status;
    fks = HS_NEW_ARRAY(b->arena, (size_t)PQntuples(r), struct pg_foreign_key);
    for (int row = 0; fks && row < PQntuples(r); row++)
        n += fill_foreign_key(b, &fks[n], r, row);
    if (hs_arena_failed(b->arena) || !link_foreign_keys(b, fks, n))
        return hs_fail_memory(reterr);
    return HS_OK;
}
