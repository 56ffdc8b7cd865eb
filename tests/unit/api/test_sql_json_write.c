/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a write from JSON can say beside its rows, and which of the JSON's rows it takes: text, parameters, and what
 * a real PostgreSQL makes of them, in a transaction that is rolled back. Its other forms: test_sql_wide.c.
 */
#include "api/wide_world.h"

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

static struct tree_select *insert(const char *fields, const char *json)
{
    struct tree_select *s = fields[0] ? with(sel("actors"), fields) : sel("actors");
    struct tree_json_write *write = HS_NEW(&arena, struct tree_json_write);
    const struct pg_column **columns = HS_NEW_ARRAY(&arena, 2, const struct pg_column *);

    columns[0] = col(s->relation, "id");
    columns[1] = col(s->relation, "name");
    *write = (struct tree_json_write){.kind = TREE_INSERT,
                                      .relation = s->relation,
                                      .json = hs_str(json),
                                      .is_array = json[0] == '[',
                                      .columns = columns,
                                      .n_columns = 2};
    s->write = write;
    return s;
}

static void merge(struct tree_select *s)
{
    s->write->conflict = TREE_CONFLICT_MERGES;
    s->write->conflict_columns = s->relation->primary->columns;
    s->write->n_conflict_columns = 1;
}

static struct sql_statement written(struct tree_select *s)
{
    struct sql_statement st;
    struct hs_err err;

    s->with_columns = true;
    hs_err_clear(&err);
    if (sql_write(s, false, &scratch, &arena, &st, &err))
        fail_msg("%s", err.what);
    return st;
}

static PGresult *run(const struct sql_statement *st)
{
    PGresult *result = PQexecParams(wide.owner, st->text.p, (int)st->n_params, NULL, st->params,
                                    NULL, NULL, 0);

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s\n%s", PQresultErrorMessage(result), st->text.p);
    return result;
}

static void begin(void)
{
    PQclear(PQexec(wide.owner, "BEGIN"));
}

static void roll_back(void)
{
    PQclear(PQexec(wide.owner, "ROLLBACK"));
}

#define INSERTS \
    "INSERT INTO \"public\".\"actors\" AS t0 (\"id\", \"name\") SELECT j.\"id\", j.\"name\" FROM "
#define RECORD                                                                              \
    "pg_catalog.json_to_record($1::pg_catalog.json) AS j(\"id\" pg_catalog.int4, \"name\" " \
    "pg_catalog.text)"
#define CHOSEN " EXISTS (SELECT FROM (SELECT j.\"id\", j.\"name\") t1 WHERE t1.\"id\" = $2)"
#define SETTINGS                                             \
    "pg_catalog.current_setting('response.headers', true), " \
    "pg_catalog.current_setting('response.status', true)"

static int rows_taken(const char *json, const char *id)
{
    struct tree_select *s = insert("id", json);
    struct sql_statement st;
    PGresult *result;
    int n;

    s->write->where = compare(col(s->relation, "id"), TREE_EQ, id);
    s->write->where->is_untyped = true;
    st = written(s);
    assert_str(st.text, HS_STR(INSERTS RECORD " WHERE" CHOSEN " RETURNING t0.\"id\""));
    begin();
    result = run(&st);
    n = PQntuples(result);
    PQclear(result);
    roll_back();
    return n;
}

/* The columns' types compare: 009 is 9. */
static void test_chosen(void **state)
{
    (void)state;
    assert_int_equal(rows_taken("{\"id\":9,\"name\":\"Nine\"}", "9"), 1);
    assert_int_equal(rows_taken("{\"id\":\"9\",\"name\":\"Nine\"}", "009"), 1);
    assert_int_equal(rows_taken("{\"id\":9,\"name\":\"Nine\"}", "8"), 0);
    assert_int_equal(rows_taken("{\"name\":\"Nine\"}", "9"), 0);
}

static void test_chosen_merge(void **state)
{
    struct tree_select *s = insert("name", "{\"id\":1,\"name\":\"One\"}");
    struct sql_statement st;
    PGresult *result;

    (void)state;
    merge(s);
    s->write->where = compare(col(s->relation, "id"), TREE_EQ, "1");
    s->write->where->is_untyped = true;
    st = written(s);
    assert_non_null(strstr(st.text.p, " = '' AND" CHOSEN " ON CONFLICT"));
    begin();
    result = run(&st);
    assert_int_equal(PQntuples(result), 1);
    assert_string_equal(PQgetvalue(result, 0, 0), "One");
    assert_string_equal(PQgetvalue(result, 0, (int)st.inserted_column), "f");
    PQclear(result);
    roll_back();
}

static void check_settings(struct tree_select *s, const char *text, size_t column)
{
    struct sql_statement st;
    PGresult *result;

    s->write->with_settings = true;
    st = written(s);
    assert_str(st.text, hs_str(text));
    assert_true(st.has_settings);
    assert_int_equal(st.settings_column, column);
    begin();
    PQclear(PQexec(wide.owner, "SELECT set_config('response.status', '418', true)"));
    result = run(&st);
    assert_int_equal(PQntuples(result), 1);
    assert_true(PQgetisnull(result, 0, (int)column) || !PQgetlength(result, 0, (int)column));
    assert_string_equal(PQgetvalue(result, 0, (int)column + 1), "418");
    PQclear(result);
    roll_back();
}

static void test_settings(void **state)
{
    static const char json[] = "{\"id\":9,\"name\":\"Nine\"}";
    struct tree_select *s = insert("name", json);

    (void)state;
    check_settings(insert("", json), INSERTS RECORD " RETURNING " SETTINGS, 0);
    check_settings(insert("id,name", json),
                   INSERTS RECORD " RETURNING t0.\"id\", t0.\"name\", " SETTINGS, 2);
    order(s, "name");
    check_settings(s,
                   "WITH s AS (" INSERTS RECORD
                   " RETURNING t0.\"name\" AS c2) SELECT t0.c2, " SETTINGS
                   " FROM s t0 ORDER BY t0.c2",
                   1);
}

static void test_settings_merge(void **state)
{
    struct tree_select *s = insert("name", "{\"id\":9,\"name\":\"Nine\"}");
    struct sql_statement st;

    (void)state;
    merge(s);
    s->write->with_settings = true;
    st = written(s);
    assert_int_equal(st.inserted_column, 1);
    assert_int_equal(st.settings_column, 2);
}

/* Nobody asked. */
static void test_no_settings(void **state)
{
    struct sql_statement st = written(insert("", "{\"id\":9,\"name\":\"Nine\"}"));

    (void)state;
    assert_false(st.has_settings);
    assert_str(st.text, HS_STR(INSERTS RECORD));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chosen),      cmocka_unit_test(test_chosen_merge),
        cmocka_unit_test(test_settings),    cmocka_unit_test(test_settings_merge),
        cmocka_unit_test(test_no_settings),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
