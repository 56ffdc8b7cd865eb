/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/rest_world.h"

#include "test.h"

static const struct hs_str schemas[] = {{"test", 4}, {"v2", 2}};

static const char schema_sql[] =
    "CREATE ROLE rest_login LOGIN; CREATE SCHEMA test; CREATE SCHEMA v2; CREATE SCHEMA private;"
    "SET search_path = test;"
    "CREATE TYPE mood AS ENUM ('sad', 'happy');"
    "CREATE TABLE clients (id int PRIMARY KEY, name text, mood mood);"
    "CREATE TABLE projects (id int PRIMARY KEY, name text, client_id int REFERENCES clients);"
    "CREATE TABLE tasks (id int PRIMARY KEY, name text, project_id int REFERENCES projects);"
    "CREATE TABLE users (id int PRIMARY KEY, name text, doc jsonb);"
    "CREATE TABLE users_tasks (user_id int REFERENCES users, task_id int REFERENCES tasks,"
    " PRIMARY KEY (user_id, task_id));"
    /* One to one, by the primary key and by a unique constraint; an index alone makes none. */
    "CREATE TABLE films (id int PRIMARY KEY, title text, length int, year int, fts tsvector);"
    "CREATE TABLE specs (film_id int PRIMARY KEY REFERENCES films, camera text);"
    "CREATE TABLE posters (film_id int REFERENCES films, path text);"
    "CREATE UNIQUE INDEX ON posters (film_id);"
    /* Two keys between the same tables. */
    "CREATE TABLE addresses (id int PRIMARY KEY, name text);"
    "CREATE TABLE orders (id int PRIMARY KEY, name text,"
    " billing_address_id int CONSTRAINT billing REFERENCES addresses,"
    " shipping_address_id int CONSTRAINT shipping REFERENCES addresses);"
    /* To itself, once and twice. */
    "CREATE TABLE families (name text PRIMARY KEY, parent text CONSTRAINT pptr REFERENCES families);"
    "CREATE TABLE organizations (id int PRIMARY KEY, name text,"
    " referee int REFERENCES organizations, auditor int REFERENCES organizations);"
    /* Of two columns, and a junction whose key is no part of its primary key. */
    "CREATE TABLE rooms (house int, room int, name text, PRIMARY KEY (house, room));"
    "CREATE TABLE beds (id int PRIMARY KEY, house int, room int,"
    " CONSTRAINT bed_room FOREIGN KEY (house, room) REFERENCES rooms);"
    "CREATE TABLE stays (id int PRIMARY KEY, user_id int REFERENCES users, bed_id int REFERENCES beds);"
    /* Views: of one table, of a table that shows a column twice, of hidden tables, of a part of a key. */
    "CREATE VIEW projects_view AS SELECT id, name, client_id FROM projects;"
    "CREATE VIEW clients_view AS SELECT id AS a, name, id AS b FROM clients;"
    "CREATE VIEW rooms_part AS SELECT house, name FROM rooms;"
    "CREATE TABLE private.actors (id int PRIMARY KEY, name text);"
    "CREATE TABLE private.movies (id int PRIMARY KEY, name text);"
    "CREATE TABLE private.roles (actor_id int REFERENCES private.actors, movie_id int REFERENCES private.movies,"
    " part text, PRIMARY KEY (actor_id, movie_id));"
    "CREATE VIEW actors AS SELECT id AS actor, name FROM private.actors;"
    "CREATE VIEW movies AS SELECT * FROM private.movies;"
    "CREATE VIEW roles AS SELECT actor_id, movie_id, part FROM private.roles;"
    /* More combinations of its columns for one key than are kept. */
    "CREATE TABLE odd (\"Ünï\" int, \"a \"\"b\" int, \"größe\" int);"
    "CREATE TABLE shelves (a int, b int, PRIMARY KEY (a, b));"
    "CREATE TABLE books (id int PRIMARY KEY, a int, b int, FOREIGN KEY (a, b) REFERENCES shelves);"
    "DO $$ BEGIN EXECUTE (SELECT 'CREATE VIEW test.shelves_wide AS SELECT ' ||"
    " string_agg(format('a AS a%1$s, b AS b%1$s', i), ', ') || ' FROM test.shelves'"
    " FROM generate_series(1, 17) i); END $$;"
    /* Across schemas: the junction counts, the rest does not. */
    "CREATE TABLE v2.notes (id int PRIMARY KEY, client_id int REFERENCES test.clients);"
    "CREATE TABLE v2.users_films (user_id int REFERENCES test.users, film_id int REFERENCES test.films,"
    " PRIMARY KEY (user_id, film_id));"
    "CREATE TABLE v2.clients (id int PRIMARY KEY);"
    /* Functions of a row. */
    "CREATE TABLE designers (id int PRIMARY KEY, name text);"
    "CREATE TABLE games (id int PRIMARY KEY, name text, designer_id int REFERENCES designers);"
    "CREATE FUNCTION designers(games) RETURNS SETOF designers LANGUAGE sql STABLE ROWS 1 AS"
    " 'SELECT * FROM test.designers WHERE id = $1.designer_id';"
    "CREATE FUNCTION made(designers) RETURNS SETOF games LANGUAGE sql STABLE AS"
    " 'SELECT * FROM test.games WHERE designer_id = $1.id';"
    "CREATE FUNCTION shout(clients) RETURNS text LANGUAGE sql STABLE AS 'SELECT upper($1.name)';"
    "CREATE FUNCTION all_projects() RETURNS SETOF projects LANGUAGE sql STABLE AS"
    " 'SELECT * FROM test.projects';"
    "CREATE FUNCTION pairs(n int) RETURNS TABLE (a int, b text) LANGUAGE sql STABLE AS 'SELECT 1, ''b''';"
    "GRANT USAGE ON SCHEMA test, v2 TO rest_login;";

void rest_world_open(struct rest_world *w)
{
    struct pg_catalog_setup setup;
    struct hs_err err = {0};

    catalog_world_open(&w->catalog_world, schema_sql);
    setup = catalog_world_setup(&w->catalog_world, "rest_login", schemas, HS_LEN(schemas));
    w->catalog = catalog_world_read_once(&setup);
    if (rest_model_new(w->catalog, &w->model, &err) != HS_OK)
        fail_msg("%s", err.what);
}

void rest_world_close(struct rest_world *w)
{
    rest_model_free(w->model);
    pg_catalog_unref(w->catalog);
    catalog_world_close(&w->catalog_world);
}

const struct rest_relation *rest_world_relation(const struct rest_world *w, const char *name)
{
    const struct pg_relation *r = pg_catalog_relation_in(w->catalog, schemas[0], hs_str(name));

    if (!r)
        fail_msg("no relation %s", name);
    return rest_model_relation(w->model, r);
}

static void add_columns(struct hs_buf *out, const struct pg_column *const *columns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hs_buf_printf(out, i ? ", %.*s" : "%.*s", HS_FMT(columns[i]->name));
}

static void add_join(struct hs_buf *out, const struct tree_join *join)
{
    add_columns(out, join->here, join->n);
    hs_buf_add_lit(out, " = ");
    if (join->via) {
        hs_buf_printf(out, "%.*s.", HS_FMT(join->via->name));
        add_columns(out, join->via_here, join->n);
        hs_buf_printf(out, " and %.*s.", HS_FMT(join->via->name));
        add_columns(out, join->via_there, join->n_via);
        hs_buf_add_lit(out, " = ");
    }
    add_columns(out, join->there, join->via ? join->n_via : join->n);
}

void rest_world_relationship(const struct rest_relationship *r, struct hs_buf *out)
{
    static const char *const words[] = {[REST_ONE_TO_MANY] = "one to many",
                                        [REST_MANY_TO_ONE] = "many to one",
                                        [REST_ONE_TO_ONE] = "one to one",
                                        [REST_MANY_TO_MANY] = "many to many",
                                        [REST_COMPUTED] = "computed"};

    hs_buf_printf(out, "%.*s -> %.*s, %s%s", HS_FMT(r->from->name), HS_FMT(r->to->name),
                  r->is_inverse ? "inverse " : "", words[r->cardinality]);
    if (r->cardinality == REST_COMPUTED) {
        hs_buf_printf(out, "%s by function %.*s\n", r->is_many ? " to many" : " to one",
                      HS_FMT(r->join.function->name));
        return;
    }
    hs_buf_printf(out, " by %.*s", HS_FMT(r->constraint));
    if (r->join.via)
        hs_buf_printf(out, " and %.*s", HS_FMT(r->constraint_there));
    hs_buf_add_lit(out, ", ");
    add_join(out, &r->join);
    hs_buf_add_char(out, '\n');
}

/* ---- trees ---- */

static void add_value(struct hs_buf *out, const struct pg_column *column,
                      const struct tree_value *value)
{
    static const char *const words[] = {
        [TREE_AGGREGATE_NONE] = "", [TREE_COUNT] = "count", [TREE_SUM] = "sum",
        [TREE_AVG] = "avg",         [TREE_MIN] = "min",     [TREE_MAX] = "max"};

    if (!value) {
        hs_buf_add(out, column->name);
        return;
    }
    assert_ptr_equal(column, value->column);
    if (value->aggregate)
        hs_buf_printf(out, "%s(", words[value->aggregate]);
    if (value->function)
        hs_buf_printf(out, "%.*s()", HS_FMT(value->function->name));
    else if (column)
        hs_buf_add(out, column->name);
    for (size_t i = 0; i < value->n_steps; i++)
        hs_buf_printf(out, value->steps[i].is_index ? "%s%.*s" : "%s'%.*s'",
                      value->steps[i].is_text ? "->>" : "->", HS_FMT(value->steps[i].key));
    if (value->cast)
        hs_buf_printf(out, "::%.*s", HS_FMT(value->cast->name));
    if (value->aggregate)
        hs_buf_add_char(out, ')');
    if (value->aggregate_cast)
        hs_buf_printf(out, "::%.*s", HS_FMT(value->aggregate_cast->name));
}

static void add_node(struct hs_buf *out, const struct tree_node *node)
{
    static const char *const ops[] = {[TREE_EQ] = "=",
                                      [TREE_NE] = "<>",
                                      [TREE_GT] = ">",
                                      [TREE_IN] = "in",
                                      [TREE_NULL] = "null",
                                      [TREE_NOT_NULL] = "not null",
                                      [TREE_LIKE] = "like",
                                      [TREE_TRUE] = "true",
                                      [TREE_UNKNOWN] = "unknown",
                                      [TREE_CONTAINS] = "@>",
                                      [TREE_FTS] = "fts",
                                      [TREE_FTS_WEB] = "wfts",
                                      [TREE_DISTINCT] = "distinct",
                                      [TREE_ADJACENT] = "-|-"};
    static const char *const words[] = {[TREE_AND] = "and", [TREE_OR] = "or", [TREE_NOT] = "not"};

    if (node->kind == TREE_EXISTS) {
        hs_buf_printf(out, "exists(%.*s)", HS_FMT(node->embed->name));
        return;
    }
    if (node->kind == TREE_COMPARE) {
        assert_true(node->is_untyped);
        add_value(out, node->column, node->made);
        hs_buf_printf(out, " %s", node->op < HS_LEN(ops) && ops[node->op] ? ops[node->op] : "?");
        if (node->quantifier != TREE_ONE)
            hs_buf_add(out, node->quantifier == TREE_ANY ? HS_STR(" any") : HS_STR(" all"));
        if (node->has_config_param)
            hs_buf_printf(out, "(%.*s)", HS_FMT(node->config));
        if (node->op != TREE_NULL && node->op != TREE_NOT_NULL && node->op != TREE_TRUE &&
            node->op != TREE_UNKNOWN)
            hs_buf_printf(out, " '%.*s'", HS_FMT(node->value));
        return;
    }
    hs_buf_printf(out, "%s(", words[node->kind]);
    for (const struct tree_node *n = node->first; n; n = n->next) {
        add_node(out, n);
        if (n->next)
            hs_buf_add_lit(out, ", ");
    }
    hs_buf_add_char(out, ')');
}

static void add_order(struct hs_buf *out, const struct tree_select *tree)
{
    static const char *const nulls[] = {"", " nulls first", " nulls last"};

    if (tree->n_order)
        hs_buf_add_lit(out, "[order ");
    for (size_t i = 0; i < tree->n_order; i++) {
        const struct tree_order *o = &tree->order[i];

        if (i)
            hs_buf_add_lit(out, ", ");
        if (o->embed)
            hs_buf_printf(out, "%.*s.", HS_FMT(o->embed->name));
        add_value(out, o->column, o->made);
        hs_buf_printf(out, "%s%s", o->is_desc ? " desc" : "", nulls[o->nulls]);
    }
    if (tree->n_order)
        hs_buf_add_char(out, ']');
}

static void add_clauses(struct hs_buf *out, const struct tree_select *tree)
{
    if (tree->where) {
        hs_buf_add_lit(out, "[where ");
        add_node(out, tree->where);
        hs_buf_add_char(out, ']');
    }
    add_order(out, tree);
    if (tree->has_limit)
        hs_buf_printf(out, "[limit %llu%s]", (unsigned long long)tree->limit,
                      tree->is_limit_fixed ? " fixed" : "");
    if (tree->offset)
        hs_buf_printf(out, "[offset %llu]", (unsigned long long)tree->offset);
    if (tree->is_grouped)
        hs_buf_add_lit(out, "[grouped]");
}

static void add_field(struct hs_buf *out, const struct tree_field *field)
{
    if (field->value || !hs_str_eq(field->name, field->column->name))
        hs_buf_printf(out, "%.*s", HS_FMT(field->key));
    add_value(out, field->column, field->value);
}

void rest_world_tree(const struct tree_select *tree, struct hs_buf *out)
{
    bool is_first = true;

    hs_buf_printf(out, "%.*s{", HS_FMT(tree->relation->name));
    for (size_t i = 0; i < tree->n_fields; i++) {
        if (i)
            hs_buf_add_char(out, ',');
        add_field(out, tree->fields[i]);
        is_first = false;
    }
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (!is_first)
            hs_buf_add_char(out, ',');
        is_first = false;
        hs_buf_printf(out, "%.*s%s%s%s%s:", HS_FMT(e->name), e->is_many ? "*" : "",
                      e->is_inner ? "!" : "", e->is_spread ? "^" : "", e->is_hidden ? "-" : "");
        rest_world_tree(e->select, out);
    }
    hs_buf_add_char(out, '}');
    add_clauses(out, tree);
}
