/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small catalog made by hand, for tests of src/api that need no database: people with every kind of
 * column, a foreign key to themselves, messages with two foreign keys to one table, a composite key and a
 * table without any.
 */
#ifndef UNIT_API_WORLD_H
#define UNIT_API_WORLD_H

#include "api/simple.h"
#include "core/mem.h"
#include "pg/catalog_int.h"

/* A caller without a role and without limits. */
static inline const struct hs_identity *world_nobody(void)
{
    static const struct hs_identity nobody = {.role = {"", 0}};

    return &nobody;
}

/* simple_read() for one without limits of his own: a row where there is a key, else a list. */
static inline hs_status world_read(const struct api_model *model, const struct api_table *table,
                                   const struct hs_identity *who, const char *const *key,
                                   struct hs_str query, struct hs_arena *arena,
                                   struct simple_query *ret_query, struct hs_err *reterr)
{
    const struct simple_ask ask = {.model = model,
                                   .table = table,
                                   .who = who,
                                   .use = key ? SIMPLE_ITEM : SIMPLE_LIST,
                                   .key = key,
                                   .query = query,
                                   .arena = arena};

    return simple_read(&ask, ret_query, reterr);
}

enum world_relation { COMPANIES, KEYLESS, MESSAGES, PAIRS, PEOPLE, WORLD_RELATIONS };

static const struct hs_str world_moods[] = {{"happy", 5}, {"sad", 3}};
static const struct pg_type world_text = {.oid = 25,
                                          .base = 25,
                                          .kind = PG_KIND_TEXT,
                                          .name = {"text", 4},
                                          .sql = {"pg_catalog.text", 15},
                                          .delim = ','};
static const struct pg_type world_types[] = {
    {.oid = 20,
     .kind = PG_KIND_INT8,
     .name = {"bigint", 6},
     .sql = {"pg_catalog.int8", 15},
     .delim = ','},
    {.oid = 23,
     .kind = PG_KIND_INT,
     .name = {"integer", 7},
     .sql = {"pg_catalog.int4", 15},
     .delim = ','},
    {.oid = 16,
     .kind = PG_KIND_BOOL,
     .name = {"boolean", 7},
     .sql = {"pg_catalog.bool", 15},
     .delim = ','},
    {.oid = 1700,
     .kind = PG_KIND_NUMERIC,
     .name = {"numeric", 7},
     .sql = {"pg_catalog.numeric", 18},
     .delim = ','},
    {.oid = 1082,
     .kind = PG_KIND_DATE,
     .name = {"date", 4},
     .sql = {"pg_catalog.date", 15},
     .delim = ','},
    {.oid = 9001,
     .kind = PG_KIND_ENUM,
     .name = {"mood", 4},
     .sql = {"public.mood", 11},
     .delim = ',',
     .labels = world_moods,
     .n_labels = 2},
    {.oid = 1009,
     .kind = PG_KIND_ARRAY,
     .name = {"text[]", 6},
     .sql = {"pg_catalog.text[]", 17},
     .delim = ',',
     .elem = &world_text},
    {.oid = 3802,
     .kind = PG_KIND_JSON,
     .name = {"jsonb", 5},
     .sql = {"pg_catalog.jsonb", 16},
     .delim = ','},
    {.oid = 3614,
     .kind = PG_KIND_TEXT,
     .name = {"tsvector", 8},
     .sql = {"pg_catalog.tsvector", 19},
     .delim = ','},
    {.oid = 2950,
     .base = 2950,
     .kind = PG_KIND_TEXT,
     .name = {"uuid", 4},
     .sql = {"pg_catalog.uuid", 15},
     .delim = ','},
    {.oid = 9002,
     .kind = PG_KIND_ARRAY,
     .name = {"bigint[]", 8},
     .sql = {"pg_catalog.int8[]", 17},
     .delim = ',',
     .elem = &world_types[0]},
};

static inline const struct pg_type *world_type(const char *name)
{
    for (size_t i = 0; i < HS_LEN(world_types); i++) {
        if (hs_str_is(world_types[i].name, name))
            return &world_types[i];
    }
    return &world_text;
}

/*
 * Roles "all" (reads everything), "part" and "twin" (of people id, first_name and company_id, of pairs b and
 * note, all of companies), "words" (of people the tsvector only) and "none". Only a catalog that has the
 * roles shows it.
 */
static const struct hs_str world_roles[] = {
    {"all", 3}, {"part", 4}, {"twin", 4}, {"words", 5}, {"none", 4}};
enum { WORLD_ALL = 1, WORLD_PART = 2 | 4, WORLD_WORDS = 8 };

static inline uint64_t world_readers(struct hs_str relation, struct hs_str column)
{
    static const struct {
        const char *relation;
        const char *column;
        uint64_t readers;
    } rows[] = {
        {"companies", "id", WORLD_PART},      {"companies", "name", WORLD_PART},
        {"pairs", "b", WORLD_PART},           {"pairs", "note", WORLD_PART},
        {"people", "id", WORLD_PART},         {"people", "first_name", WORLD_PART},
        {"people", "company_id", WORLD_PART}, {"people", "search", WORLD_WORDS},
    };

    for (size_t i = 0; i < HS_LEN(rows); i++) {
        if (hs_str_is(relation, rows[i].relation) && hs_str_is(column, rows[i].column))
            return WORLD_ALL | rows[i].readers;
    }
    return WORLD_ALL;
}

/* "id bigint!, name text": a '!' means NOT NULL. */
static inline void world_columns(struct hs_arena *arena, struct pg_relation *r, const char *text)
{
    struct hs_str rest = hs_str(text);
    struct pg_column *columns = HS_NEW_ARRAY(arena, 32, struct pg_column);

    while (columns && rest.n) {
        struct hs_str type = hs_str_trim(hs_str_cut(&rest, ','));
        struct pg_column *c = &columns[r->n_columns];
        bool not_null = type.n && type.p[type.n - 1] == '!';

        type.n -= not_null;
        c->name = hs_arena_dup(arena, hs_str_cut(&type, ' '));
        c->quoted = hs_arena_printf(arena, "\"%.*s\"", HS_FMT(c->name));
        type = hs_arena_dup(arena, type);
        c->type = world_type(type.p);
        c->not_null = not_null;
        c->readers = world_readers(r->name, c->name);
        r->readers |= c->readers;
        c->index = (uint16_t)r->n_columns;
        c->attnum = (int16_t)++r->n_columns;
    }
    r->columns = columns;
}

static inline const struct pg_column **world_list(struct hs_arena *arena,
                                                  const struct pg_relation *r, const char *a,
                                                  const char *b)
{
    const struct pg_column **list = HS_NEW_ARRAY(arena, 2, const struct pg_column *);

    list[0] = pg_relation_column(r, hs_str(a));
    list[1] = b ? pg_relation_column(r, hs_str(b)) : NULL;
    return list;
}

static inline void world_key(struct hs_arena *arena, struct pg_relation *r, const char *a,
                             const char *b)
{
    struct pg_key *key = HS_NEW(arena, struct pg_key);

    *key = (struct pg_key){world_list(arena, r, a, b), b ? 2 : 1, true};
    r->keys = r->primary = key;
    r->n_keys = 1;
}

static inline void world_fk(struct hs_arena *arena, struct pg_relation *from, const char *column,
                            struct pg_relation *to)
{
    struct pg_foreign_key *fk = HS_NEW(arena, struct pg_foreign_key);

    *fk = (struct pg_foreign_key){.name = HS_STR("fk"),
                                  .from = from,
                                  .to = to,
                                  .n_columns = 1,
                                  .from_columns = world_list(arena, from, column, NULL),
                                  .to_columns = world_list(arena, to, "id", NULL)};
    if (!from->fk_out)
        from->fk_out = HS_NEW_ARRAY(arena, 8, const struct pg_foreign_key *);
    if (!to->fk_in)
        to->fk_in = HS_NEW_ARRAY(arena, 8, const struct pg_foreign_key *);
    from->fk_out[from->n_fk_out++] = fk;
    to->fk_in[to->n_fk_in++] = fk;
}

static inline void world_relation(struct hs_arena *arena, struct pg_relation *r, const char *name,
                                  const char *columns)
{
    r->oid = 16384;
    r->schema = HS_STR("public");
    r->name = hs_str(name);
    r->quoted = hs_arena_printf(arena, "\"public\".\"%s\"", name);
    r->relkind = 'r';
    r->is_shareable = true;
    r->rows_estimate = 1000;
    world_columns(arena, r, columns);
}

static const struct hs_str world_languages[] = {{"simple", 6}};

/* One reference, the caller's. people_columns may be NULL: the usual ones. NULL = no memory. */
static inline struct pg_catalog *world_catalog(const char *people_columns)
{
    struct pg_catalog_whole *w = hs_calloc(1, sizeof(*w));
    struct hs_arena *arena;
    struct pg_relation *r;

    if (!w)
        return NULL;
    arena = &w->arena;
    w->magic = PG_CATALOG_MAGIC;
    atomic_init(&w->refs, 1);
    hs_arena_init(arena, 1 << 24);
    r = w->pub.relations = HS_NEW_ARRAY(arena, WORLD_RELATIONS, struct pg_relation);
    w->pub.n_relations = WORLD_RELATIONS;
    world_relation(arena, &r[COMPANIES], "companies", "id bigint!, name text!");
    world_relation(arena, &r[KEYLESS], "keyless", "a integer, b text");
    world_relation(
        arena, &r[MESSAGES], "messages",
        "id bigint!, sender_id bigint!, receiver_id bigint, body text!, reader_ids bigint[]!");
    world_relation(arena, &r[PAIRS], "pairs", "a integer!, b text!, note text");
    world_relation(
        arena, &r[PEOPLE], "people",
        people_columns
            ? people_columns
            : "id bigint!, first_name text!, last_name text, status text!, is_active boolean!, "
              "score numeric, born date, mood mood, tags text[]!, doc jsonb, company_id bigint!, "
              "manager_id bigint, search tsvector, page integer, token uuid");
    world_key(arena, &r[COMPANIES], "id", NULL);
    world_key(arena, &r[MESSAGES], "id", NULL);
    world_key(arena, &r[PAIRS], "a", "b");
    world_key(arena, &r[PEOPLE], "id", NULL);
    if (!people_columns) {
        world_fk(arena, &r[PEOPLE], "company_id", &r[COMPANIES]);
        world_fk(arena, &r[PEOPLE], "manager_id", &r[PEOPLE]);
        world_fk(arena, &r[MESSAGES], "sender_id", &r[PEOPLE]);
        world_fk(arena, &r[MESSAGES], "receiver_id", &r[PEOPLE]);
        r[PEOPLE].full_text = (struct pg_full_text){
            .column = pg_relation_column(&r[PEOPLE], HS_STR("search")),
            .configs = world_languages,
            .n_configs = 1};
    }
    return &w->pub;
}

/* The usual catalog with world_roles. NULL = no memory. */
static inline struct pg_catalog *world_catalog_with_roles(void)
{
    struct pg_catalog *c = world_catalog(NULL);

    if (c) {
        c->roles = world_roles;
        c->n_roles = HS_LEN(world_roles);
    }
    return c;
}

static const struct hs_str world_search[] = {{"companies: name", 15}, {"pairs: b, note", 14}};
static const struct hs_str world_relations[] = {
    {"messages.readers: reader_ids[] -> people.id", 43},
    {"pairs.owner: a -> companies.id", 30},
};

static inline struct api_setup world_setup(void)
{
    return (struct api_setup){.path = HS_STR("/api/v1"),
                              .rules = {.limit_default = 20,
                                        .limit_max = 1000,
                                        .page_depth_max = 10000,
                                        .filters_max = 10,
                                        .in_max = 5,
                                        .include_rows_max = 100000,
                                        .camel_names = true},
                              .search = world_search,
                              .n_search = HS_LEN(world_search),
                              .relations = world_relations,
                              .n_relations = HS_LEN(world_relations),
                              .cursor_key = "0123456789abcdef0123456789abcde"};
}

static inline struct api_model *world_model(void)
{
    struct api_setup setup = world_setup();
    struct pg_catalog *catalog = world_catalog(NULL);
    struct api_model *model = NULL;
    struct hs_err err = {0};
    hs_status status = catalog ? api_model_new(&setup, catalog, &model, &err) : HS_E_MEMORY;

    pg_catalog_unref(catalog);
    return status ? NULL : model;
}

#endif
