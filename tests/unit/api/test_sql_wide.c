/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Described trees: their text, their parameters, and what comes of them. Each is prepared and run on a real
 * PostgreSQL, in a transaction that is rolled back, and its rows are written as JSON.
 */
#include "api/wide_world.h"
#include "fault.h"
#include "pg/pool_int.h"

static int setup(void **state)
{
    const struct hs_str schemas[] = {HS_STR("public")};
    struct pg_catalog_setup s;

    (void)state;
    catalog_world_open(&wide, wide_sql);
    s = catalog_world_setup(&wide, "login", schemas, 1);
    catalog = catalog_world_read_once(&s);
    hs_arena_init(&arena, 1 << 24);
    hs_buf_init(&scratch, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pg_catalog_unref(catalog);
    hs_arena_fini(&arena);
    hs_buf_fini(&scratch);
    catalog_world_close(&wide);
    return 0;
}

/* ---- reads ---- */

static struct tree_select *plain(void)
{
    struct tree_select *s = with(sel("films"), "id,title");

    filter(s, "year", TREE_GT, "2000");
    order(s, "title")->is_desc = true;
    return s;
}

static struct tree_select *paths(void)
{
    struct tree_select *s = with(sel("films"), "id");
    struct tree_node *n = filter(s, "id", TREE_GT, "6");
    struct tree_value *cast = value(s->relation, "meta", "->>n");

    made(s, "b", value(s->relation, "meta", "->a->b->-1"));
    made(s, "its", value(s->relation, "meta", "->>it's"));
    made(s, "tag", value(s->relation, "tags", "->>0"));
    cast->cast = type("int4", "pg_catalog.int4", PG_KIND_INT);
    made(s, "n", cast);
    n->made = cast;
    order(s, NULL)->made = value(s->relation, "meta", "->n");
    s->order[0].nulls = TREE_NULLS_FIRST;
    return s;
}

static struct tree_select *operators(void)
{
    struct tree_select *s = with(sel("films"), "id");
    struct tree_node *some = HS_NEW(&arena, struct tree_node);

    some->kind = TREE_OR;
    filter(s, "id", TREE_IN, "{1,2,3}");
    filter(s, "title", TREE_LIKE, "{%o%,%e%}")->quantifier = TREE_ANY;
    filter(s, "year", TREE_LT, "{2020,2010}")->quantifier = TREE_ALL;
    filter(s, "tags", TREE_DISTINCT, "{x}");
    filter(s, "title", TREE_IREGEX, "^[a-h]");
    tree_node_append(some, compare(col(s->relation, "tags"), TREE_OVERLAPS, "{wave}"));
    tree_node_append(some, compare(col(s->relation, "meta"), TREE_CONTAINS, "{\"n\":\"7\"}"));
    tree_node_append(where(s), some);
    return s;
}

static struct tree_select *search(void)
{
    struct tree_select *s = with(sel("films"), "id");
    struct tree_node *n = filter(s, "title", TREE_FTS_PLAIN, "hosts");

    n->config = HS_STR("english");
    n->has_config_param = true;
    filter(s, "title", TREE_FTS, "host | cleo");
    return s;
}

static struct tree_embed *director(struct tree_select *films, const char *columns)
{
    struct tree_select *d = with(sel("directors"), columns);

    return embed(films, "director", join(films->relation, "director_id=id", d->relation), false, d);
}

static struct tree_embed *actors(struct tree_select *films, const char *columns)
{
    struct tree_select *a = with(sel("actors"), columns);

    return embed(films, "actors",
                 join_via(films->relation, "id=film_id", rel("roles"), "actor_id=id", a->relation),
                 true, a);
}

static struct tree_embed *films_of(struct tree_select *directors, const char *columns)
{
    struct tree_select *f = with(sel("films"), columns);

    return embed(directors, "films", join(directors->relation, "id=director_id", f->relation), true,
                 f);
}

static struct tree_select *to_one(void)
{
    struct tree_select *s = with(sel("films"), "title");

    director(s, "name,home");
    order(s, "id");
    return s;
}

static struct tree_select *two_levels(void)
{
    struct tree_select *s = limit(with(sel("films"), "title"), 3);
    struct tree_embed *d = director(s, "name");
    struct tree_embed *films = films_of(d->select, "title,year");

    order(films->select, "year");
    limit(films->select, 5);
    order(actors(s, "name")->select, "name");
    order(s, "year")->is_desc = true;
    s->order[0].nulls = TREE_NULLS_LAST;
    return s;
}

static struct tree_select *layers(void)
{
    struct tree_select *s = two_levels();

    s->with_layers = true;
    s->count = TREE_COUNT_EXACT;
    return s;
}

static struct tree_select *layers_in_layers(void)
{
    struct tree_select *s = with(sel("directors"), "name,home");
    struct tree_embed *f = films_of(s, "title");
    struct tree_select *t = with(sel("technical"), "minutes");
    struct tree_embed *a = actors(f->select, "name");

    order(a->select, "name");
    order(f->select, "year")->is_desc = true;
    filter(f->select, "year", TREE_GT, "1900");
    embed(f->select, "technical", join(f->select->relation, "id=film_id", t->relation), false, t);
    order(s, "name")->is_desc = true;
    s->with_layers = true;
    return s;
}

static struct tree_select *layers_empty(void)
{
    struct tree_select *s = layers();

    filter(s, "id", TREE_LT, "0");
    return s;
}

static struct tree_select *layers_limited(void)
{
    struct tree_select *s = layers_in_layers();
    struct tree_embed *f = s->embeds;

    limit(f->select, 1);
    f->select->embeds->is_inner = true;
    return s;
}

static struct tree_select *inner(void)
{
    struct tree_select *s = with(sel("films"), "title");
    struct tree_embed *d = director(s, "name");

    d->is_inner = true;
    filter(d->select, "name", TREE_EQ, "Bong");
    actors(s, "name")->is_inner = true;
    return s;
}

/* A left one that has an inner one. */
static struct tree_select *inner_in_left(void)
{
    struct tree_select *s = with(sel("roles"), "part");
    struct tree_select *f = with(sel("films"), "title");
    struct tree_embed *e = embed(s, "film", join(s->relation, "film_id=id", f->relation), false, f);

    (void)e;
    director(f, "name")->is_inner = true;
    filter(f->embeds->select, "id", TREE_EQ, "2");
    order(s, "film_id");
    order(s, "actor_id");
    return s;
}

static struct tree_select *inner_page(void)
{
    struct tree_select *s = limit(inner(), 1);

    s->count = TREE_COUNT_EXACT;
    order(s, "id");
    return s;
}

static struct tree_select *missing(void)
{
    struct tree_select *s = with(sel("films"), "title");
    struct tree_embed *a = actors(s, "");
    struct tree_node *not = HS_NEW(&arena, struct tree_node);
    struct tree_node *exists = HS_NEW(&arena, struct tree_node);

    a->is_hidden = true;
    not ->kind = TREE_NOT;
    exists->kind = TREE_EXISTS;
    exists->embed = a;
    tree_node_append(not, exists);
    tree_node_append(where(s), not );
    return s;
}

static struct tree_select *by_related(void)
{
    struct tree_select *s = with(sel("films"), "title");
    struct tree_embed *d = director(s, "");

    d->is_hidden = true;
    order(s, NULL)->embed = d;
    s->order[0].column = col(d->select->relation, "name");
    s->order[0].is_desc = true;
    order(s, "title");
    return s;
}

static struct tree_select *by_related_page(void)
{
    struct tree_select *s = limit(by_related(), 2);

    s->embeds->is_hidden = false;
    with(s->embeds->select, "born");
    s->offset = 1;
    return s;
}

static struct tree_select *spread_one(void)
{
    struct tree_select *s = with(sel("films"), "title");
    struct tree_embed *d = director(s, "name");

    d->is_spread = true;
    order(films_of(d->select, "id")->select, "id");
    order(s, "id");
    return s;
}

static struct tree_select *spread_many(void)
{
    struct tree_select *s = limit(with(sel("directors"), "name"), 10);
    struct tree_embed *f = films_of(s, "title,year");

    f->is_spread = true;
    order(f->select, "year")->is_desc = true;
    actors(f->select, "name")->is_spread = true;
    order(s, "id");
    return s;
}

static struct tree_select *groups(void)
{
    struct tree_select *s = with(sel("films"), "director_id");

    made(s, "n", aggregate(s->relation, NULL, TREE_COUNT));
    made(s, "years", aggregate(s->relation, "year", TREE_SUM));
    made(s, "rating", aggregate(s->relation, "rating", TREE_AVG));
    order(s, "director_id");
    return s;
}

static struct tree_select *groups_page(void)
{
    struct tree_select *s = limit(groups(), 2);

    s->count = TREE_COUNT_EXACT;
    director(s, "name");
    return s;
}

/* The aggregate of a spread one is the outer rows'. */
static struct tree_select *hoisted(void)
{
    struct tree_select *s = with(sel("roles"), "actor_id");
    struct tree_select *f = sel("films");
    struct tree_embed *e = embed(s, "film", join(s->relation, "film_id=id", f->relation), false, f);

    e->is_spread = true;
    made(f, "last", aggregate(f->relation, "year", TREE_MAX));
    f->is_grouped = false;
    s->is_grouped = true;
    order(s, "actor_id");
    return s;
}

static struct tree_select *inside_groups(void)
{
    struct tree_select *s = with(sel("directors"), "name");
    struct tree_embed *f = films_of(s, "");

    made(f->select, "n", aggregate(f->select->relation, NULL, TREE_COUNT));
    order(s, "id");
    return s;
}

static struct tree_select *computed(void)
{
    struct tree_select *s = limit(with(sel("films"), "id"), 1);
    struct tree_value *v = HS_NEW(&arena, struct tree_value);
    struct tree_join *parts = HS_NEW(&arena, struct tree_join);
    struct tree_join *lead = HS_NEW(&arena, struct tree_join);
    struct pg_function *f = function("film_label");

    f->returns = type("text", "pg_catalog.text", PG_KIND_TEXT);
    v->function = f;
    made(s, "label", v);
    parts->function = function("film_parts");
    lead->function = function("film_lead");
    embed(s, "parts", parts, true, with(sel("roles"), "part"));
    embed(s, "lead", lead, false, with(sel("roles"), "actor_id"));
    embed(s, "its", lead, false, with(sel("roles"), "part"))->is_spread = true;
    order(s, NULL)->made = v;
    return s;
}

static struct tree_select *counted(void)
{
    struct tree_select *s = limit(with(sel("films"), "id"), 2);

    s->count = TREE_COUNT_EXACT;
    s->offset = 7;
    return s;
}

/* ---- calls ---- */

static struct tree_select *call_scalar(void)
{
    struct pg_function *f = function("add_them");
    struct tree_call *c;
    struct tree_select *s = call(f, scalar_row("add_them", PG_KIND_INT), 2, &c);

    f->is_scalar = true;
    argument(c, 0, "a", "pg_catalog.int4", "5");
    argument(c, 1, "b", "pg_catalog.int4", "6");
    return with(s, "add_them");
}

static struct tree_select *call_variadic(void)
{
    struct pg_function *f = function("sum_all");
    struct tree_call *c;
    struct tree_select *s = call(f, scalar_row("sum_all", PG_KIND_INT8), 1, &c);

    f->is_scalar = true;
    argument(c, 0, "v", "pg_catalog.int4[]", "{1,2,3}");
    return with(s, "sum_all");
}

static struct tree_select *call_positional(void)
{
    struct pg_function *f = function("echo");
    struct tree_call *c;
    struct tree_select *s = call(f, scalar_row("echo", PG_KIND_JSON), 1, &c);

    f->is_scalar = true;
    c->is_positional = true;
    argument(c, 0, "", "pg_catalog.json", "{\"a\":1}");
    return with(s, "echo");
}

static struct tree_select *call_json(void)
{
    struct pg_function *f = function("films_of");
    struct tree_call *c;
    struct tree_select *s = call(f, rel("films"), 1, &c);

    argument(c, 0, "years", "pg_catalog.int4[]", NULL);
    c->json = HS_STR("{\"years\":[2006,2017]}");
    director(with(s, "title"), "name");
    filter(s, "id", TREE_GT, "1");
    return s;
}

static struct tree_select *call_counted(void)
{
    struct tree_select *s = limit(call_json(), 1);
    struct tree_value *v = HS_NEW(&arena, struct tree_value);
    struct pg_function *f = function("film_label");

    f->returns = type("text", "pg_catalog.text", PG_KIND_TEXT);
    v->function = f;
    made(s, "label", v);
    s->count = TREE_COUNT_EXACT;
    return s;
}

/* ---- writes ---- */

static struct tree_select *insert(void)
{
    struct tree_select *s = with(sel("actors"), "id,name");

    writing(s, TREE_INSERT, "[{\"id\":8,\"name\":\"Eight\"},{\"id\":9,\"name\":\"Nine\"}]",
            "id,name");
    return s;
}

static struct tree_select *insert_minimal(void)
{
    struct tree_select *s = sel("actors");

    writing(s, TREE_INSERT, "{\"id\":8,\"name\":\"Eight\"}", "id,name");
    return s;
}

static struct tree_select *insert_defaults(void)
{
    struct tree_select *s = with(sel("films"), "title,year");

    writing(s, TREE_INSERT, "[{\"title\":\"A\"},{\"title\":\"B\",\"year\":2024}]", "id,title,year")
        ->missing_is_default = true;
    s->write->json = HS_STR("[{\"title\":\"A\",\"id\":50},{\"title\":\"B\",\"year\":2024}]");
    return s;
}

static struct tree_select *insert_nothing(void)
{
    struct tree_select *s = with(sel("roles"), "part");

    writing(s, TREE_INSERT, "[]", "");
    return s;
}

static struct tree_select *insert_embed(void)
{
    struct tree_select *s = with(sel("films"), "title");
    struct tree_value *v = HS_NEW(&arena, struct tree_value);
    struct pg_function *f = function("film_label");

    f->returns = type("text", "pg_catalog.text", PG_KIND_TEXT);
    v->function = f;
    made(s, "label", v);
    writing(s, TREE_INSERT, "{\"id\":9,\"title\":\"New\",\"director_id\":3}",
            "id,title,director_id");
    director(s, "name");
    actors(s, "name");
    return s;
}

static struct tree_select *upsert(void)
{
    struct tree_select *s = with(sel("actors"), "name");
    struct tree_json_write *write = writing(
        s, TREE_INSERT,
        "[{\"id\":1,\"name\":\"One\"},{\"id\":9,\"name\":\"Nine\"},{\"id\":2,\"name\":\"Two\"}]",
        "id,name");

    write->conflict = TREE_CONFLICT_MERGES;
    write->conflict_columns = s->relation->primary->columns;
    write->n_conflict_columns = 1;
    return s;
}

static struct tree_select *upsert_embed(void)
{
    struct tree_select *s = with(sel("technical"), "minutes");
    struct tree_select *f = with(sel("films"), "title");
    struct tree_json_write *write = writing(
        s, TREE_INSERT, "[{\"film_id\":1,\"minutes\":1},{\"film_id\":3,\"minutes\":3}]",
        "film_id,minutes");

    write->conflict = TREE_CONFLICT_MERGES;
    write->conflict_columns = s->relation->primary->columns;
    write->n_conflict_columns = 1;
    embed(s, "film", join(s->relation, "film_id=id", f->relation), false, f);
    order(s, "film_id");
    return s;
}

static struct tree_select *ignore(void)
{
    struct tree_select *s = upsert();

    s->write->conflict = TREE_CONFLICT_IGNORED;
    return s;
}

static struct tree_select *update(void)
{
    struct tree_select *s = with(sel("films"), "id,year");
    struct tree_json_write *write = writing(s, TREE_UPDATE, "{\"year\":1}", "year");

    write->where = compare(col(s->relation, "id"), TREE_LTE, "2");
    return s;
}

static struct tree_select *update_nothing(void)
{
    struct tree_select *s = with(sel("films"), "id");

    director(s, "name");
    writing(s, TREE_UPDATE, "{}", "");
    return s;
}

static struct tree_select *delete_limited(void)
{
    struct tree_select *s = with(sel("roles"), "part");
    struct tree_json_write *write = writing(s, TREE_DELETE, NULL, "");

    write->has_limit = true;
    write->limit = 1;
    write->order = HS_NEW(&arena, struct tree_order);
    write->order->column = col(s->relation, "film_id");
    write->order->is_desc = true;
    write->n_order = 1;
    write->where = compare(col(s->relation, "part"), TREE_NOT_NULL, NULL);
    return s;
}

/* ---- what comes of them ---- */

static const struct {
    const char *name;
    struct tree_select *(*build)(void);
    const char *sql;
    const char *params;
    const char *json; /* then the count, then a letter for each row: new or not */
} cases[] = {
#include "sql_wide_cases.inc"
};

static struct hs_str joined(const struct sql_statement *st)
{
    struct hs_str text = HS_STR("");

    for (size_t i = 0; i < st->n_params; i++)
        text = hs_arena_printf(&arena, "%.*s%s%s", HS_FMT(text), i ? "|" : "", st->params[i]);
    return text;
}

static PGresult *run(const char *name, const struct sql_statement *st)
{
    PGresult *result = PQprepare(wide.owner, "", st->text.p, 0, NULL);

    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s: %s\n%s", name, PQresultErrorMessage(result), st->text.p);
    PQclear(result);
    result = PQexecPrepared(wide.owner, "", (int)st->n_params, st->params, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s: %s\n%s", name, PQresultErrorMessage(result), st->text.p);
    return result;
}

static void write_answer(struct hs_buf *out, const struct sql_statement *st, PGresult *result)
{
    struct api_rows_opts opts = {0};
    struct pg_rows rows = pg_rows_all(result);
    size_t n = pg_rows_count(&rows);
    struct api_layers *layers = NULL;
    struct hs_err err;

    if (st->has_layers) {
        assert_int_equal(api_layers_read(&rows, pg_rows_count(&rows), st->columns, st->n_columns,
                                         st->number_column, &arena, &layers, &err),
                         HS_OK);
        opts.layers = layers;
        n = api_layers_count(layers);
    }
    if (st->has_count && n == 1 && !pg_rows_value(&rows, 0, st->row_column).p)
        n = 0;
    if (st->n_columns)
        api_rows_write(out, &rows, 0, n, st->columns, st->n_columns, &opts);
    if (st->has_count)
        hs_buf_printf(out, " %s", pg_rows_value(&rows, 0, st->count_column).p);
    for (size_t i = 0; st->has_inserted && i < n; i++)
        hs_buf_add(out, pg_rows_value(&rows, i, st->inserted_column));
    if (!PQnfields(result))
        hs_buf_printf(out, "%s", PQcmdTuples(result));
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(cases); i++) {
        struct hs_buf out;
        struct sql_statement st;
        struct hs_err err;
        PGresult *result;

        if (sql_write(cases[i].build(), false, &scratch, &arena, &st, &err))
            fail_msg("%s: %s", cases[i].name, err.what);
        hs_buf_init(&out, 1 << 20);
        pg_cluster_exec(wide.owner, "BEGIN");
        result = run(cases[i].name, &st);
        write_answer(&out, &st, result);
        PQclear(result);
        pg_cluster_exec(wide.owner, "ROLLBACK");
        if (getenv("SHOW"))
            printf("== %s\n%s\n%.*s\n%.*s\n", cases[i].name, st.text.p, HS_FMT(joined(&st)),
                   HS_FMT(hs_buf_str(&out)));
        else if (!hs_str_is(st.text, cases[i].sql))
            fail_msg("%s\n got      %s\n expected %s", cases[i].name, st.text.p, cases[i].sql);
        else if (!hs_str_is(joined(&st), cases[i].params))
            fail_msg("%s: params %.*s", cases[i].name, HS_FMT(joined(&st)));
        else if (!hs_str_is(hs_buf_str(&out), cases[i].json))
            fail_msg("%s\n got      %.*s\n expected %s", cases[i].name, HS_FMT(hs_buf_str(&out)),
                     cases[i].json);
        hs_buf_fini(&out);
        hs_arena_reset(&arena);
    }
}

/* Keys of JSON stand in the text as literals, long ones as parameters; whatever they are, they are keys. */
static void test_keys(void **state)
{
    static const char *const keys[] = {"'",  "\\", "\\'", "a\"b", "$1",
                                       "E'", "--", "/*",  "\n",   "\xc3\xa9'"};

    (void)state;
    for (size_t i = 0; i <= HS_LEN(keys); i++) {
        struct tree_select *s = sel("films");
        struct tree_value *v = value(s->relation, "meta", "->>x");
        struct tree_step *step = (struct tree_step *)(uintptr_t)v->steps;
        struct sql_statement st;
        struct hs_err err;
        PGresult *result;

        step->key = i < HS_LEN(keys) ? hs_str(keys[i]) : hs_arena_printf(&arena, "%0300d", 7);
        made(s, "v", v);
        limit(s, 1)->is_limit_fixed = true;
        assert_int_equal(sql_write(s, false, &scratch, &arena, &st, &err), HS_OK);
        assert_int_equal(st.n_params, i == HS_LEN(keys));
        pg_cluster_exec(wide.owner, "BEGIN");
        result = PQexecParams(wide.owner,
                              "UPDATE films SET meta = jsonb_build_object($1::text, 'found')", 1,
                              NULL, (const char *const[]){step->key.p}, NULL, NULL, 0);
        assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
        PQclear(result);
        result = run("keys", &st);
        assert_string_equal(PQgetvalue(result, 0, 0), "found");
        PQclear(result);
        pg_cluster_exec(wide.owner, "ROLLBACK");
        hs_arena_reset(&arena);
    }
}

static void test_refused(void **state)
{
    struct tree_select *s = delete_limited();
    struct pg_relation keyless = *s->relation;
    struct sql_statement st;
    struct hs_err err;

    (void)state;
    keyless.primary = NULL;
    s->write->relation = &keyless;
    assert_int_equal(sql_write(s, false, &scratch, &arena, &st, &err), HS_E_BAD_PARAMETER);
    assert_non_null(strstr(err.what, "no primary key"));
    hs_arena_reset(&arena);
}

/* One shape, one text: only the values differ. */
static void test_one_text_for_one_shape(void **state)
{
    struct tree_select *a = plain();
    struct tree_select *b = limit(plain(), 7);
    struct sql_statement of_a;
    struct sql_statement of_b;
    struct hs_err err;

    (void)state;
    limit(a, 5);
    b->where->first->value = HS_STR("1");
    assert_int_equal(sql_write(a, false, &scratch, &arena, &of_a, &err), HS_OK);
    assert_int_equal(sql_write(b, false, &scratch, &arena, &of_b, &err), HS_OK);
    assert_str(of_a.text, of_b.text);
    hs_arena_reset(&arena);
}

static bool has_size(uint64_t rows, uint64_t offset, const char *size)
{
    struct tree_select *tree = limit(plain(), rows);
    struct sql_statement st;
    struct hs_err err;
    bool has;

    tree->offset = offset;
    assert_int_equal(sql_write(tree, false, &scratch, &arena, &st, &err), HS_OK);
    has = strstr(st.text.p, size);
    hs_arena_reset(&arena);
    return has;
}

/* About how many rows there will be stands in the text, in few numbers; never fewer than are asked for. */
static void test_sizes(void **state)
{
    (void)state;
    assert_true(has_size(0, 0, " LIMIT 16) t0 LIMIT $"));
    assert_true(has_size(16, 0, " LIMIT 16) t0 LIMIT $"));
    assert_true(has_size(17, 0, " LIMIT 64) t0 LIMIT $"));
    assert_true(has_size(16, 1, " LIMIT 64) t0 LIMIT $"));
    assert_true(has_size(65536, 0, " LIMIT 65536) t0 LIMIT $"));
    assert_false(has_size(65537, 0, ") t0 LIMIT $"));
    assert_false(has_size(65536, 1, ") t0 LIMIT $"));
    assert_false(has_size(1, UINT64_MAX, ") t0 LIMIT $"));
}

/* Arena and scratch are new each time, so that the first allocation is theirs. */
static bool write_once(void *arg)
{
    struct hs_arena own;
    struct hs_buf text;
    struct sql_statement st;
    struct hs_err err;
    hs_status status;

    hs_arena_init(&own, 1 << 24);
    hs_buf_init(&text, 1 << 20);
    status = sql_write(arg, false, &text, &own, &st, &err);
    if (status)
        assert_int_equal(status, HS_E_MEMORY);
    hs_arena_fini(&own);
    hs_buf_fini(&text);
    return status == HS_OK;
}

static void test_failing_allocations(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(cases); i++) {
        fault_each(write_once, cases[i].build());
        hs_arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),   cmocka_unit_test(test_keys),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_one_text_for_one_shape),
        cmocka_unit_test(test_sizes),   cmocka_unit_test(test_failing_allocations),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
