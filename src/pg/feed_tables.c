/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hasten.publish() says of the tables, and what the listener is told of it.
 *
 * The one rule: a table is told with its ancestors before the first change of it is, and with a floor only when
 * nobody writes any more who saw the publication without it.
 *
 *     STALE -> publish() -> ASKED -> mark -> (it changed) DRAINS -> TOLD
 *                                         -> (it did not) TOLD
 *
 * What stands above a table (a partitioned one, a parent) is not in the stream by itself. It is told as well, with
 * the highest floor of what is below it; one table below that is not coherent makes it so.
 */
#include "pg/feed_int.h"

#include <stdlib.h>

/*
 * Partitions of partitions: more than anybody has, and what is not named would not be stamped. An index has at most
 * 32 columns.
 */
enum { ANCESTORS_MAX = 64, IDENTITY_MAX = 32 };

static void tell(struct pg_feed *feed, const struct feed_table *table, uint64_t floor)
{
    if (table->n_identity)
        feed->setup.ops->identity(feed->setup.ctx, table->oid, table->identity, table->n_identity);
    feed->setup.ops->table(feed->setup.ctx, table->oid, table->ancestors, table->n_ancestors,
                           table->is_coherent ? floor : FEED_NEVER);
}

void feed_tables_tell(struct pg_feed *feed, uint64_t floor)
{
    const struct feed_tables *tables = feed_tables(feed);

    for (size_t i = 0; i < tables->n; i++)
        tell(feed, &tables->list[i], floor);
}

void feed_tables_fini(struct pg_feed *feed)
{
    for (size_t i = 0; i < HS_LEN(feed->tables); i++)
        hs_arena_fini(&feed->tables[i].arena);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = ((const struct feed_table *)a)->oid;
    uint32_t y = ((const struct feed_table *)b)->oid;

    return (x > y) - (x < y);
}

static hs_status read_ancestors(struct hs_arena *arena, struct hs_str text,
                                struct feed_table *table, struct hs_err *reterr)
{
    int64_t oids[ANCESTORS_MAX];
    size_t n = pg_numbers(text, oids, HS_LEN(oids));
    uint32_t *to;

    if (n > HS_LEN(oids))
        return hs_fail(reterr, HS_E_LIMIT, "a table stands below more than 64 others");
    to = HS_NEW_ARRAY(arena, n, uint32_t);
    for (size_t i = 0; to && i < n; i++)
        to[i] = (uint32_t)oids[i];
    table->ancestors = to;
    table->n_ancestors = to ? n : 0;
    return HS_OK;
}

/* The name at *at, as quote_ident() wrote it, unquoted in place; *at then stands behind it. */
static struct hs_str take_name(char *text, size_t n, size_t *at)
{
    bool is_quoted = *at < n && text[*at] == '"';
    size_t from = *at + is_quoted;
    size_t to = from;
    size_t i = from;

    for (; i < n; i++) {
        if (is_quoted && text[i] == '"' && (i + 1 == n || text[++i] != '"'))
            break;
        if (!is_quoted && (text[i] == ',' || text[i] == ')'))
            break;
        text[to++] = text[i];
    }
    *at = i;
    return hs_strn(text + from, to - from);
}

/* "index (a, b)"; "full" names none. Told in vain is better than told wrongly: what is odd names none either. */
static void read_identity(struct hs_arena *arena, struct hs_str text, struct feed_table *table)
{
    char *copy = text.n ? hs_arena_alloc(arena, text.n) : NULL;
    size_t at = hs_str_find(text, '(') + 1;
    struct hs_str names[IDENTITY_MAX];
    struct hs_str *to;
    size_t n = 0;

    if (copy)
        memcpy(copy, text.p, text.n);
    while (copy && at < text.n && n < HS_LEN(names)) {
        names[n++] = take_name(copy, text.n, &at);
        at += sizeof(", ") - 1;
    }
    to = n ? HS_NEW_ARRAY(arena, n, struct hs_str) : NULL;
    if (!to)
        return;
    memcpy(to, names, n * sizeof(*to));
    table->identity = to;
    table->n_identity = n;
}

/* A table's ancestors, each with those above it; behind the tables, one for each pair. */
static size_t add_above(struct feed_table *list, size_t n)
{
    size_t end = n;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < list[i].n_ancestors; j++)
            list[end++] = (struct feed_table){.oid = list[i].ancestors[j],
                                              .is_coherent = list[i].is_coherent,
                                              .ancestors = list[i].ancestors + j + 1,
                                              .n_ancestors = list[i].n_ancestors - j - 1};
    }
    return end;
}

/* One of each oid: coherent if all are, with the most ancestors that were named. */
static size_t merge(struct feed_table *list, size_t n)
{
    size_t kept = 0;

    if (n)
        qsort(list, n, sizeof(*list), compare);
    for (size_t i = 0; i < n; i++) {
        struct feed_table *last = kept ? &list[kept - 1] : NULL;

        if (!last || last->oid != list[i].oid) {
            list[kept++] = list[i];
            continue;
        }
        last->is_coherent = last->is_coherent && list[i].is_coherent;
        if (last->n_ancestors < list[i].n_ancestors) {
            last->ancestors = list[i].ancestors;
            last->n_ancestors = list[i].n_ancestors;
        }
        if (!last->n_identity) {
            last->identity = list[i].identity;
            last->n_identity = list[i].n_identity;
        }
    }
    return kept;
}

static hs_status read_tables(const PGresult *r, struct feed_tables *to, struct hs_err *reterr)
{
    int oid = PQfnumber(r, "relation");
    int ancestors = PQfnumber(r, "ancestors");
    int is_coherent = PQfnumber(r, "is_coherent");
    int identity = PQfnumber(r, "identity");
    size_t rows = (size_t)PQntuples(r);
    struct feed_table *list;
    hs_status status = HS_OK;
    size_t n = 0;
    size_t all = rows;

    if (oid < 0 || ancestors < 0 || is_coherent < 0 || identity < 0) {
        (void)hs_fail(reterr, HS_E_PG_ERROR, "hasten.publish() is of another version");
        hs_err_hint(reterr, "Run hasten.sql again in this database.");
        return HS_E_PG_ERROR;
    }
    list = HS_NEW_ARRAY(&to->arena, rows, struct feed_table);
    for (size_t i = 0; list && i < rows && status == HS_OK; i++) {
        struct feed_table *table = &list[n++];

        *table = (struct feed_table){.oid = pg_cell_oid(r, (int)i, oid),
                                     .is_coherent = pg_cell_bool(r, (int)i, is_coherent)};
        to->may_improve = to->may_improve ||
                          (!table->is_coherent && !PQgetisnull(r, (int)i, identity));
        read_identity(&to->arena, pg_cell(r, (int)i, identity), table);
        status = read_ancestors(&to->arena, pg_cell(r, (int)i, ancestors), table, reterr);
        all += table->n_ancestors;
    }
    if (status != HS_OK)
        return status;
    to->list = HS_NEW_ARRAY(&to->arena, all, struct feed_table);
    if (hs_arena_failed(&to->arena))
        return hs_fail_memory(reterr);
    if (n)
        memcpy(to->list, list, n * sizeof(*list));
    to->n = merge(to->list, add_above(to->list, n));
    return HS_OK;
}

/* A table that is no longer there has nothing above it any more. */
static void tell_gone(struct pg_feed *feed, const struct feed_tables *old)
{
    const struct feed_tables *tables = feed_tables(feed);

    for (size_t i = 0; i < old->n; i++) {
        if (!tables->n ||
            !bsearch(&old->list[i], tables->list, tables->n, sizeof(*tables->list), compare))
            feed->setup.ops->table(feed->setup.ctx, old->list[i].oid, NULL, 0, FEED_NEVER);
    }
}

bool feed_tables_have_changed(const PGresult *result)
{
    int has_changed = PQfnumber(result, "has_changed");

    for (int i = 0; i < PQntuples(result); i++) {
        if (has_changed < 0 || pg_cell_bool(result, i, has_changed))
            return true;
    }
    return false;
}

hs_status feed_tables_take(struct pg_feed *feed, const PGresult *result, struct hs_err *reterr)
{
    const struct feed_tables *old = feed_tables(feed);
    struct feed_tables *next = &feed->tables[!feed->present];
    hs_status status;

    hs_arena_reset(&next->arena);
    next->n = 0;
    next->may_improve = false;
    status = read_tables(result, next, reterr);
    if (status != HS_OK)
        return status;
    feed->present = !feed->present;
    if (!feed->run.has_begun)
        return HS_OK;
    tell_gone(feed, old);
    feed_tables_tell(feed, FEED_NEVER);
    return HS_OK;
}
