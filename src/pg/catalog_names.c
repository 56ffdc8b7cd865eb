/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types by the names that a cast may use.
 *
 * The one rule: a name means what it means in SQL where pg_catalog stands first in the search path. So SQL's own
 * names win over pg_type's ("char" and "bit", which SQL gives a length of one), pg_type's over those of users.
 *
 * Source: PostgreSQL 15 manual, 8 (table 8.1), 4.2.9 (casts); src/backend/parser/gram.y, SimpleTypename.
 */
#include "pg/catalog_int.h"

#include <stdlib.h>

/* What SQL calls a type that pg_type calls otherwise. */
static const struct {
    const char *sql;
    const char *name;
    bool is_one; /* cut to one character or bit */
} synonyms[] = {
    {"boolean", "bool", false},
    {"smallint", "int2", false},
    {"int", "int4", false},
    {"integer", "int4", false},
    {"bigint", "int8", false},
    {"real", "float4", false},
    {"float", "float8", false},
    {"double precision", "float8", false},
    {"decimal", "numeric", false},
    {"dec", "numeric", false},
    {"char", "bpchar", true},
    {"character", "bpchar", true},
    {"nchar", "bpchar", true},
    {"national char", "bpchar", true},
    {"national character", "bpchar", true},
    {"char varying", "varchar", false},
    {"character varying", "varchar", false},
    {"nchar varying", "varchar", false},
    {"national char varying", "varchar", false},
    {"national character varying", "varchar", false},
    {"bit", "bit", true},
    {"bit varying", "varbit", false},
    {"\"char\"", "char", false},
    {"time without time zone", "time", false},
    {"time with time zone", "timetz", false},
    {"timestamp without time zone", "timestamp", false},
    {"timestamp with time zone", "timestamptz", false},
};

enum { RANK_SQL = -1, RANK_CATALOG = 0 };
/* Longer than two identifiers of 63 bytes with a dot and brackets. */
enum { NAME_MAX_BYTES = 192 };

struct ranked {
    struct pg_type_name pub; /* first */
    int rank;
};

static int compare(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    int order = hs_str_cmp(x->pub.name, y->pub.name);

    return order ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

static const struct pg_type *find(const struct pg_type_name *names, size_t n, struct hs_str name)
{
    size_t low = 0;
    size_t high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = hs_str_cmp(names[middle].name, name);

        if (order == 0)
            return names[middle].type;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

const struct pg_type *pg_catalog_type_named(const struct pg_catalog *c, struct hs_str name)
{
    const struct pg_type *type = find(c->type_names, c->n_type_names, name);
    char folded[NAME_MAX_BYTES];

    if (type || name.n > sizeof(folded))
        return type;
    for (size_t i = 0; i < name.n; i++)
        folded[i] = lower(name.p[i]);
    return find(c->type_names, c->n_type_names, hs_strn(folded, name.n));
}

/* Of PostgreSQL's own types, while the list is not sorted. */
static const struct pg_type *type_of(const struct ranked *list, size_t n, struct hs_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].rank == RANK_CATALOG && hs_str_eq(list[i].pub.name, name))
            return list[i].pub.type;
    }
    return NULL;
}

/* The type with its modifier: pg_catalog.bpchar(1), pg_catalog.bpchar(1)[]. */
static const struct pg_type *cut_to_one(struct pg_build *b, const struct pg_type *type)
{
    const struct pg_type *one = type->kind == PG_KIND_ARRAY ? type->elem : type;
    struct pg_type *cut = HS_NEW(b->arena, struct pg_type);

    if (!cut)
        return NULL;
    *cut = *type;
    cut->sql = hs_arena_printf(b->arena, "%.*s(1)%s", HS_FMT(one->sql), one == type ? "" : "[]");
    return cut;
}

/* Adds each synonym, by itself and as an array; returns how many there are now. */
static size_t add_synonyms(struct pg_build *b, struct ranked *list, size_t n)
{
    static const char *const forms[] = {"", "[]"};
    size_t n_own = n;

    for (size_t i = 0; i < 2 * HS_LEN(synonyms); i++) {
        const char *form = forms[i % 2];
        struct hs_str own = hs_arena_printf(b->arena, "%s%s", synonyms[i / 2].name, form);
        const struct pg_type *type = type_of(list, n_own, own);

        if (type && synonyms[i / 2].is_one)
            type = cut_to_one(b, type);
        if (type)
            list[n++] = (struct ranked){
                {hs_arena_printf(b->arena, "%s%s", synonyms[i / 2].sql, form), type},
                RANK_SQL,
            };
    }
    return n;
}

/* Of equal names the first, which has the lowest rank. */
static size_t keep_first(const struct ranked *list, size_t n, struct pg_type_name *to)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !hs_str_eq(list[i].pub.name, list[i - 1].pub.name))
            to[kept++] = list[i].pub;
    }
    return kept;
}

hs_status pg_type_names_keep(struct pg_build *b, const PGresult *r, int from, int n,
                             struct pg_name_columns at, struct hs_err *reterr)
{
    struct pg_catalog *c = &b->whole->pub;
    size_t room = (size_t)n + 2 * HS_LEN(synonyms);
    struct ranked *list = HS_NEW_ARRAY(b->arena, room, struct ranked);
    struct pg_type_name *names = HS_NEW_ARRAY(b->arena, room, struct pg_type_name);
    size_t n_list = 0;

    for (int row = from; list && row < from + n; row++) {
        const struct pg_type *type = pg_build_type(b, pg_cell_oid(r, row, at.oid));

        if (type)
            list[n_list++] = (struct ranked){
                {hs_arena_dup(b->arena, pg_cell(r, row, at.name)), type},
                (int)pg_cell_int(r, row, at.rank),
            };
    }
    if (list)
        n_list = add_synonyms(b, list, n_list);
    if (hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    qsort(list, n_list, sizeof(*list), compare);
    c->type_names = names;
    c->n_type_names = keep_first(list, n_list, names);
    return HS_OK;
}
