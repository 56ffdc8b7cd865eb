/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds what requests share. The statement for one row by an integer key is written once, and with it those for
 * many keys at once, by which the pool answers reads that arrive together (pg/pool.h).
 */
#include "rest/site.h"

#include "api/comment.h"
#include "core/log.h"
#include "core/mem.h"

enum { SITE_BYTES_MAX = 256 << 20, SCRATCH_MAX = 1 << 20, COMMENT_MAX = 512 };

struct build {
    struct rest_site *site;
    const struct api_model *model;
    struct hs_buf scratch;
};

static hs_status write_one(struct build *b, const struct rest_relation *relation,
                           const struct rest_place *place, size_t n_rows, struct sql_statement *ret,
                           struct hs_err *reterr)
{
    struct tree_node compare = {.kind = TREE_COMPARE,
                                .op = n_rows > 1 ? TREE_ONE_OF : TREE_EQ,
                                .column = place->one.key,
                                .value = HS_STR(""),
                                .n_values = n_rows};
    struct tree_node where = {.kind = TREE_AND, .first = &compare, .last = &compare};
    struct tree_select tree = {.relation = relation->pg,
                               .fields = relation->all,
                               .n_fields = relation->pg->n_columns,
                               .where = &where,
                               .comment = place->comment};
    hs_status status = sql_write(&tree, /* with_order= */ false, &b->scratch, &b->site->arena, ret,
                                 reterr);

    hs_buf_clear(&b->scratch);
    return status;
}

static hs_status build_gather(struct build *b, const struct rest_relation *relation,
                              struct rest_place *place, struct hs_err *reterr)
{
    struct rest_one *one = &place->one;
    hs_status status = HS_OK;

    for (size_t i = 0; i < PG_GATHER_SIZES && !status; i++) {
        struct sql_statement many;

        status = write_one(b, relation, place, (size_t)2 << i, &many, reterr);
        one->gather.sql[i] = many.text;
        one->gather.sql_hash[i] = many.hash;
    }
    one->gather.key_column = one->key->index;
    one->can_gather = !status;
    return status;
}

static hs_status build_one(struct build *b, const struct rest_relation *relation,
                           struct rest_place *place, struct hs_err *reterr)
{
    const struct pg_relation *pg = relation->pg;
    struct api_out_column *columns;
    hs_status status;

    columns = HS_NEW_ARRAY(&b->site->arena, pg->n_columns + 1, struct api_out_column);
    if (!columns)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < pg->n_columns; i++) {
        columns[i].key = relation->fields[i].key;
        columns[i].type = relation->fields[i].column->type;
    }
    place->one.columns = columns;
    status = write_one(b, relation, place, 1, &place->one.statement, reterr);
    if (!status && place->one.statement.is_shareable)
        status = build_gather(b, relation, place, reterr);
    return status;
}

/* Of relations that the simple dialect serves by the same key, so that the cache knows what one row depends on. */
static const struct pg_column *integer_key(const struct api_table *table)
{
    enum pg_kind kind;

    if (!table || table->n_key != 1)
        return NULL;
    kind = table->key[0]->type->kind;
    return kind == PG_KIND_INT || kind == PG_KIND_INT8 ? table->key[0] : NULL;
}

/* For relations that the simple dialect does not serve, as those whose name another schema's has already. */
static const struct api_keep *make_keep(struct build *b, const struct pg_relation *relation)
{
    struct api_keep *keep = HS_NEW(&b->site->arena, struct api_keep);

    if (keep)
        *keep = (struct api_keep){.name = relation->name,
                                  .oid = relation->oid,
                                  .has_rls = relation->depend.has_rls,
                                  .ttl_max = UINT64_MAX,
                                  .cache_control = HS_STR("private, no-cache")};
    return keep;
}

static hs_status build_place(struct build *b, size_t i, struct hs_err *reterr)
{
    struct rest_site *site = b->site;
    const struct pg_relation *relation = &site->catalog->relations[i];
    struct rest_place *place = &site->places[i];
    struct hs_str route = hs_arena_printf(&site->arena, "%.*s/%.*s", HS_FMT(site->rules.path),
                                          HS_FMT(relation->name));

    place->table = b->model->by_relation[i];
    place->keep = place->table ? &place->table->keep : make_keep(b, relation);
    if (!route.p || !place->keep)
        return hs_fail_memory(reterr);
    place->route = hs_metric_route(route);
    if (b->model->rules.comment != API_COMMENT_NONE) {
        place->comment = api_comment_route(&site->arena, route);
        if (!place->comment.p)
            return hs_fail_memory(reterr);
    }
    place->one.key = integer_key(place->table);
    return place->one.key ? build_one(b, rest_model_relation(site->model, relation), place, reterr)
                          : HS_OK;
}

static hs_status build_calls(struct rest_site *site, struct hs_err *reterr)
{
    struct hs_str root = site->rules.root_function;
    struct hs_str schema = hs_str_cut(&root, '.');
    size_t n;

    site->call_routes = HS_NEW_ARRAY(&site->arena, site->catalog->n_functions + 1, unsigned);
    for (size_t i = 0; site->call_routes && i < site->catalog->n_functions; i++) {
        struct hs_str route = hs_arena_printf(&site->arena, "%.*s/rpc/%.*s",
                                              HS_FMT(site->rules.path),
                                              HS_FMT(site->catalog->functions[i].name));

        site->call_routes[i] = route.p ? hs_metric_route(route) : 0;
    }
    if (!root.n) {
        root = schema;
        schema = site->catalog->n_schemas ? site->catalog->schemas[0] : HS_STR("");
    }
    if (root.n)
        site->root = pg_catalog_functions(site->catalog, schema, root, &n);
    if (root.n && !site->root)
        hs_log(
            HS_LOG_WARN, "root function missing",
            "rest.root_function names no function of an exposed schema: the description is given");
    return hs_arena_failed(&site->arena) ? hs_fail_memory(reterr) : HS_OK;
}

static void free_site(void *object)
{
    struct rest_site *site = object;

    if (!site)
        return;
    rest_model_free(site->model);
    hs_arena_fini(&site->arena);
    hs_free(site);
}

static hs_status build_site(struct build *b, struct hs_err *reterr)
{
    struct rest_site *site = b->site;
    hs_status status = rest_model_new(site->catalog, &site->model, reterr);

    if (status)
        return status;
    site->rules.path = hs_arena_dup(&site->arena, site->rules.path);
    site->rules.openapi_url = hs_arena_dup(&site->arena, site->rules.openapi_url);
    /* "/" and "/rest/v1": what follows begins with a slash. */
    if (hs_str_is(site->rules.path, "/"))
        site->rules.path = HS_STR("");
    status = rest_site_settings(site, &b->scratch, reterr);
    site->places = HS_NEW_ARRAY(&site->arena, site->catalog->n_relations + 1, struct rest_place);
    if (!site->places)
        return hs_fail_memory(reterr);
    for (size_t i = 0; !status && i < site->catalog->n_relations; i++)
        status = build_place(b, i, reterr);
    /* Texts of the configuration, which may end before the model: what is needed of them was copied. */
    site->rules.pre_request = HS_STR_NULL;
    site->rules.extra_search_path = site->rules.app_settings = NULL;
    site->rules.n_extra_search_path = site->rules.n_app_settings = 0;
    if (!status)
        status = build_calls(site, reterr);
    site->route_root = hs_metric_route(site->rules.path.n ? site->rules.path : HS_STR("/"));
    if (!status && hs_arena_failed(&site->arena))
        status = hs_fail_memory(reterr);
    return status;
}

hs_status rest_attach(const struct rest_rules *rules, struct api_model *model,
                      struct hs_err *reterr)
{
    struct rest_site *site = hs_calloc(1, sizeof(*site));
    struct build b = {.site = site, .model = model};
    hs_status status;

    if (!site)
        return hs_fail_memory(reterr);
    hs_arena_init(&site->arena, SITE_BYTES_MAX);
    site->rules = *rules;
    site->catalog = api_model_catalog(model);
    hs_buf_init(&b.scratch, SCRATCH_MAX);
    status = build_site(&b, reterr);
    hs_buf_fini(&b.scratch);
    if (status)
        free_site(site);
    else
        api_model_attach(model, site, free_site);
    return status;
}
