/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which columns of views are columns of tables, and the foreign keys of the whole database.
 */
#include "fault.h"
#include "pg/catalog_world.h"
#include "test.h"

static struct catalog_world world;
static const struct hs_str schemas[] = {{"app", 3}};

static const char schema_sql[] =
    "CREATE ROLE hasten_login LOGIN; CREATE SCHEMA app; CREATE SCHEMA hidden; SET search_path = hidden;"
    "CREATE TABLE a (id int PRIMARY KEY, gone int, name text, b_id int, UNIQUE (name, b_id)); ALTER TABLE a DROP COLUMN gone;"
    "CREATE TABLE b (x int, id int, note text, PRIMARY KEY (id, x));"
    "CREATE TABLE p (id int PRIMARY KEY, a_id int REFERENCES a) PARTITION BY RANGE (id);"
    "CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE links (a_id int PRIMARY KEY REFERENCES a, b_id int, b_x int,"
    " CONSTRAINT links_b FOREIGN KEY (b_x, b_id) REFERENCES b (x, id), CONSTRAINT links_u UNIQUE (b_id, b_x));"
    "CREATE TABLE indexed (a_id int REFERENCES a); CREATE UNIQUE INDEX ON indexed (a_id);"
    "CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree); CREATE TABLE part_of (id int, a_id int REFERENCES a,"
    " UNIQUE (a_id, id));"
    "CREATE VIEW below AS SELECT b.note AS \"the note\", id, x + 1 AS more FROM b;"
    "CREATE MATERIALIZED VIEW kept AS SELECT id, name FROM a;"
    "CREATE VIEW app.plain AS SELECT name AS n, id, b_id, name || 'x' AS no, id AS again FROM a;"
    "CREATE VIEW app.nested AS SELECT \"the note\", more, id FROM below ORDER BY id + 2;"
    "CREATE VIEW app.of_kept AS SELECT name FROM kept;"
    "CREATE MATERIALIZED VIEW app.materialized AS SELECT id, lower(name) AS l FROM app.plain JOIN (SELECT n AS name, id AS i FROM app.plain) q ON i = id;"
    "CREATE VIEW app.joined AS SELECT a.id, b.id AS b_id, b.x, q.deep, count(*) OVER () AS n FROM a JOIN b ON a.b_id = b.id"
    " LEFT JOIN LATERAL (SELECT s.name AS deep FROM (SELECT name, id FROM a) s WHERE s.id = b.x) q ON true;"
    "CREATE VIEW app.joined_using AS SELECT id, name, note FROM a JOIN b USING (id);"
    "CREATE VIEW app.cte AS WITH w AS (SELECT id, name FROM a), v AS (SELECT id FROM w) SELECT v.id, w.name FROM v, w;"
    "CREATE VIEW app.recursive AS WITH RECURSIVE w AS (SELECT id, parent FROM tree UNION ALL SELECT t.id, t.parent"
    " FROM tree t JOIN w ON t.parent = w.id) SELECT id, parent FROM w;"
    "CREATE VIEW app.unions AS SELECT id FROM a UNION SELECT id FROM b; CREATE VIEW app.union_below AS SELECT u.id FROM"
    " (SELECT id FROM a UNION ALL SELECT id FROM b) u;"
    "CREATE VIEW app.computed AS SELECT id::bigint, coalesce(name, 'x') AS name, (SELECT id FROM b LIMIT 1) AS sub, tableoid, ctid FROM a;"
    "CREATE VIEW app.grouped AS SELECT b_id, max(id) AS id FROM a GROUP BY b_id; CREATE VIEW app.whole AS SELECT a, id FROM a;"
    "CREATE VIEW app.\"odd :resorigtbl 1 {x}\" AS SELECT id AS \"}) :resorigcol 9 (\" FROM a;"
    "CREATE VIEW app.nothing AS SELECT 1 AS one; CREATE VIEW app.of_function AS SELECT g FROM generate_series(1, 2) g;"
    "CREATE VIEW app.parts AS SELECT id, a_id FROM p;"
    "CREATE VIEW app.half AS SELECT id, note FROM b; CREATE TABLE app.t (id int PRIMARY KEY);"
    "CREATE VIEW round_1 AS SELECT id FROM a; CREATE VIEW app.round_2 AS SELECT id FROM round_1;"
    "CREATE OR REPLACE VIEW round_1 AS SELECT id FROM app.round_2;";

/* "view.column table.column", a * behind for a column of a whole primary key; nothing else may come. */
static const char *const expected[] = {
    "plain.n a.name",
    "plain.id a.id*",
    "plain.b_id a.b_id",
    "plain.again a.id*",
    "nested.the note b.note",
    "nested.id b.id",
    "of_kept.name a.name",
    "materialized.id a.id*",
    "joined.id a.id*",
    "joined.b_id b.id*",
    "joined.x b.x*",
    "joined.deep a.name",
    "joined_using.id a.id*",
    "joined_using.name a.name",
    "joined_using.note b.note",
    "cte.id a.id*",
    "cte.name a.name",
    "grouped.b_id a.b_id",
    "whole.id a.id*",
    "odd :resorigtbl 1 {x}.}) :resorigcol 9 ( a.id*",
    "parts.id p.id*",
    "parts.a_id p.a_id",
    "half.id b.id",
    "half.note b.note",
};

static struct pg_catalog_setup setup_of(void)
{
    return catalog_world_setup(&world, "hasten_login", schemas, HS_LEN(schemas));
}

static void column_name(uint32_t table, int16_t attnum, char *to, size_t n)
{
    char sql[160];
    PGresult *r;

    (void)snprintf(sql, sizeof(sql),
                   "SELECT relname || '.' || attname FROM pg_attribute JOIN pg_class c ON c.oid ="
                   " attrelid WHERE attrelid = %u AND attnum = %d",
                   table, attnum);
    r = PQexec(world.owner, sql);
    (void)snprintf(to, n, "%s", PQntuples(r) ? PQgetvalue(r, 0, 0) : "?");
    PQclear(r);
}

static const struct pg_relation *view_of(const struct pg_catalog *c, const struct pg_column *column)
{
    for (size_t i = 0; i < c->n_relations; i++) {
        const struct pg_relation *r = &c->relations[i];

        if (column >= r->columns && column < r->columns + r->n_columns)
            return r;
    }
    fail_msg("a column of no relation");
    return NULL;
}

static bool is_expected(const char *text)
{
    for (size_t i = 0; i < HS_LEN(expected); i++) {
        if (strcmp(expected[i], text) == 0)
            return true;
    }
    return false;
}

static void test_view_columns(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog *c = catalog_world_read_once(&setup);
    const struct pg_relation *before = NULL;

    (void)state;
    for (size_t i = 0; i < c->n_view_columns; i++) {
        const struct pg_view_column *v = &c->view_columns[i];
        const struct pg_relation *view = view_of(c, v->column);
        char of[140];
        char text[400];

        column_name(v->table, v->attnum, of, sizeof(of));
        (void)snprintf(text, sizeof(text), "%.*s.%.*s %s%s", HS_FMT(view->name),
                       HS_FMT(v->column->name), of, v->is_primary ? "*" : "");
        if (!is_expected(text))
            fail_msg("not expected: %s", text);
        assert_true(!before || before <= view);
        before = view;
    }
    assert_int_equal(c->n_view_columns, HS_LEN(expected));
    pg_catalog_unref(c);
}

static const struct pg_reference *reference(const struct pg_catalog *c, const char *name)
{
    for (size_t i = 0; i < c->n_references; i++) {
        if (hs_str_is(c->references[i].name, name))
            return &c->references[i];
    }
    fail_msg("no reference %s", name);
    return NULL;
}

static void test_references(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog *c = catalog_world_read_once(&setup);
    const struct pg_reference *links = reference(c, "links_b");
    char from[140];
    char to[140];

    (void)state;
    assert_int_equal(c->n_references, 6);
    for (size_t i = 1; i < c->n_references; i++)
        assert_true(hs_str_cmp(c->references[i - 1].name, c->references[i].name) <= 0);
    assert_int_equal(links->n_columns, 2);
    column_name(links->from, links->from_attnums[0], from, sizeof(from));
    column_name(links->to, links->to_attnums[0], to, sizeof(to));
    assert_string_equal(from, "links.b_x");
    assert_string_equal(to, "b.x");
    column_name(links->from, links->from_attnums[1], from, sizeof(from));
    column_name(links->to, links->to_attnums[1], to, sizeof(to));
    assert_string_equal(from, "links.b_id");
    assert_string_equal(to, "b.id");
    assert_true(links->from_is_unique);
    assert_true(reference(c, "links_a_id_fkey")->from_is_unique);
    assert_false(reference(c, "indexed_a_id_fkey")->from_is_unique);
    assert_false(reference(c, "part_of_a_id_fkey")->from_is_unique);
    assert_false(reference(c, "p_a_id_fkey")->from_is_unique);
    assert_int_equal(reference(c, "tree_parent_fkey")->from, reference(c, "tree_parent_fkey")->to);
    pg_catalog_unref(c);
}

static const char *const changes[] = {
    "CREATE OR REPLACE VIEW app.plain AS SELECT upper(name) AS n, id, b_id, name || 'x' AS no, id AS again FROM hidden.a",
    "CREATE OR REPLACE VIEW hidden.below AS SELECT note AS \"the note\", x AS id, x + 1 AS more FROM hidden.b",
    "ALTER TABLE hidden.tree ADD CONSTRAINT again FOREIGN KEY (id) REFERENCES hidden.a",
    "ALTER TABLE hidden.tree DROP CONSTRAINT again",
    "ALTER TABLE hidden.indexed ADD PRIMARY KEY (a_id)",
};

static void test_changes(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog_reader *reader = catalog_world_reader(&setup);

    (void)state;
    pg_catalog_unref(catalog_world_read(reader));
    for (size_t i = 0; i < HS_LEN(changes); i++) {
        struct hs_err err;
        bool changed = false;

        (void)pg_cluster_exec(world.owner, changes[i]);
        assert_int_equal(pg_catalog_watch(reader, 0, -1, &changed, &err), HS_OK);
        if (!changed)
            fail_msg("not noticed: %s", changes[i]);
        pg_catalog_unref(catalog_world_read(reader));
    }
    pg_catalog_reader_free(reader);
}

static bool read_once(void *arg)
{
    struct pg_catalog *c;
    struct hs_err err;
    hs_status status = pg_catalog_read(arg, &c, &err);

    if (status == HS_OK) {
        assert_int_equal(c->n_view_columns, HS_LEN(expected));
        pg_catalog_unref(c);
        return true;
    }
    assert_int_equal(status, HS_E_MEMORY);
    return false;
}

static void test_short_memory(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog_reader *reader = catalog_world_reader(&setup);

    (void)state;
    pg_catalog_unref(catalog_world_read(reader));
    fault_each(read_once, reader);
    pg_catalog_reader_free(reader);
}

static int set_up(void **state)
{
    (void)state;
    catalog_world_open(&world, schema_sql);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    catalog_world_close(&world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_columns),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_short_memory),
        cmocka_unit_test(test_changes),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
