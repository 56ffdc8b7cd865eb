/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model whose table "people" has a column of every kind that a body can fill: with lengths, with a
 * precision, a domain, composites in composites and in arrays, a column that is generated and a key that is
 * an identity.
 */
#ifndef UNIT_API_BODY_WORLD_H
#define UNIT_API_BODY_WORLD_H

#include "api/body.h"
#include "api/world.h"

static const struct pg_type body_int4 = {
    .oid = 23, .kind = PG_KIND_INT, .name = {"integer", 7}, .delim = ','};
static const struct pg_type body_varchar = {
    .oid = 1043, .kind = PG_KIND_TEXT, .name = {"character varying", 17}, .delim = ','};
static const struct pg_type body_json = {
    .oid = 3802, .kind = PG_KIND_JSON, .name = {"jsonb", 5}, .delim = ','};
static const struct pg_type body_bool = {
    .oid = 16, .kind = PG_KIND_BOOL, .name = {"boolean", 7}, .delim = ','};
static const struct pg_type body_texts = {
    .oid = 1009, .kind = PG_KIND_ARRAY, .name = {"text[]", 6}, .delim = ',', .elem = &world_text};
static const struct pg_field body_inner_fields[] = {{{"t", 1}, &world_text},
                                                    {{"list", 4}, &body_texts}};
static const struct pg_type body_inner = {.oid = 9100,
                                          .kind = PG_KIND_COMPOSITE,
                                          .name = {"inner", 5},
                                          .delim = ',',
                                          .fields = body_inner_fields,
                                          .n_fields = 2};
static const struct pg_field body_spot_fields[] = {
    {{"x", 1}, &body_int4}, {{"label", 5}, &world_text}, {{"in", 2}, &body_inner}};
static const struct pg_type body_spot = {.oid = 9101,
                                         .kind = PG_KIND_COMPOSITE,
                                         .name = {"spot", 4},
                                         .delim = ',',
                                         .fields = body_spot_fields,
                                         .n_fields = 3};

static const struct body_column {
    const char *name;
    struct pg_type type;
    int32_t typmod;
} body_columns[] = {
    {"id", {.oid = 20, .kind = PG_KIND_INT8, .name = {"bigint", 6}}, -1},
    {"small", {.oid = 21, .kind = PG_KIND_INT, .name = {"smallint", 8}}, -1},
    {"age", {.oid = 23, .kind = PG_KIND_INT, .name = {"integer", 7}}, -1},
    {"big", {.oid = 20, .kind = PG_KIND_INT8, .name = {"bigint", 6}}, -1},
    {"pos", {.oid = 9200, .kind = PG_KIND_INT, .name = {"pos", 3}, .is_domain = true}, -1},
    {"ratio", {.oid = 701, .kind = PG_KIND_FLOAT, .name = {"double precision", 16}}, -1},
    {"price", {.oid = 1700, .kind = PG_KIND_NUMERIC, .name = {"numeric", 7}}, (6 << 16) + 2 + 4},
    {"tiny", {.oid = 1700, .kind = PG_KIND_NUMERIC, .name = {"numeric", 7}}, (2 << 16) + 4 + 4},
    {"large",
     {.oid = 1700, .kind = PG_KIND_NUMERIC, .name = {"numeric", 7}},
     (3 << 16) + (-2 & 0x7ff) + 4},
    {"name", {.oid = 25, .kind = PG_KIND_TEXT, .name = {"text", 4}}, -1},
    {"zip_code", {.oid = 1043, .kind = PG_KIND_TEXT, .name = {"character varying", 17}}, 5 + 4},
    {"flag", {.oid = 16, .kind = PG_KIND_BOOL, .name = {"boolean", 7}}, -1},
    {"born", {.oid = 1082, .kind = PG_KIND_DATE, .name = {"date", 4}}, -1},
    {"mood",
     {.oid = 9001, .kind = PG_KIND_ENUM, .name = {"mood", 4}, .labels = world_moods, .n_labels = 2},
     -1},
    {"token", {.oid = 2950, .kind = PG_KIND_TEXT, .name = {"uuid", 4}}, -1},
    {"doc", {.oid = 3802, .kind = PG_KIND_JSON, .name = {"jsonb", 5}}, -1},
    {"raw", {.oid = 114, .kind = PG_KIND_JSON, .name = {"json", 4}}, -1},
    {"tags",
     {.oid = 1009, .kind = PG_KIND_ARRAY, .name = {"text[]", 6}, .delim = ',', .elem = &world_text},
     -1},
    {"nums",
     {.oid = 1007,
      .kind = PG_KIND_ARRAY,
      .name = {"integer[]", 9},
      .delim = ',',
      .elem = &body_int4},
     -1},
    {"flags",
     {.oid = 1000,
      .kind = PG_KIND_ARRAY,
      .name = {"boolean[]", 9},
      .delim = ',',
      .elem = &body_bool},
     -1},
    {"codes",
     {.oid = 1015,
      .kind = PG_KIND_ARRAY,
      .name = {"character varying[]", 19},
      .delim = ',',
      .elem = &body_varchar},
     3 + 4},
    {"docs",
     {.oid = 3807, .kind = PG_KIND_ARRAY, .name = {"jsonb[]", 7}, .delim = ',', .elem = &body_json},
     -1},
    {"vec",
     {.oid = 30,
      .kind = PG_KIND_ARRAY,
      .name = {"oidvector", 9},
      .delim = ' ',
      .elem = &world_text},
     -1},
    {"spot",
     {.oid = 9101,
      .kind = PG_KIND_COMPOSITE,
      .name = {"spot", 4},
      .fields = body_spot_fields,
      .n_fields = 3},
     -1},
    {"spots",
     {.oid = 9102, .kind = PG_KIND_ARRAY, .name = {"spot[]", 6}, .delim = ',', .elem = &body_spot},
     -1},
    {"total", {.oid = 1700, .kind = PG_KIND_NUMERIC, .name = {"numeric", 7}}, -1},
};

static inline void body_dress_columns(struct hs_arena *arena, struct pg_relation *r)
{
    struct pg_column *columns = HS_NEW_ARRAY(arena, r->n_columns, struct pg_column);

    for (size_t i = 0; columns && i < r->n_columns; i++) {
        columns[i] = r->columns[i];
        columns[i].type = &body_columns[i].type;
        columns[i].typmod = body_columns[i].typmod;
        columns[i].is_generated = hs_str_is(columns[i].name, "total");
        columns[i].is_identity = columns[i].is_identity_always = i == 0;
        columns[i].has_default = hs_str_is(columns[i].name, "flag");
    }
    r->columns = columns;
}

/* NULL = no memory. */
static inline struct api_model *body_world(void)
{
    struct api_setup setup = world_setup();
    struct pg_catalog *catalog;
    struct api_model *model = NULL;
    struct hs_err err = {0};
    char text[1024];
    size_t n = 0;
    hs_status status = HS_E_MEMORY;

    for (size_t i = 0; i < HS_LEN(body_columns); i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s text", i ? ", " : "",
                              body_columns[i].name);
    catalog = world_catalog(text);
    if (catalog) {
        struct pg_relation *people = &catalog->relations[PEOPLE];
        struct pg_catalog_whole *whole = HS_CONTAINER(catalog, struct pg_catalog_whole, pub);

        body_dress_columns(&whole->arena, people);
        world_key(&whole->arena, people, "id", NULL);
        status = api_model_new(&setup, catalog, &model, &err);
    }
    pg_catalog_unref(catalog);
    return status ? NULL : model;
}

#endif
