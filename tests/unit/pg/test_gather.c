/* SPDX-License-Identifier: Apache-2.0 */
/* Reads by key that are answered together: each gets its own row, under its own identity. */
#include "core/hash.h"
#include "core/mem.h"
#include "pg/pool_world.h"
#include "test.h"

enum { READ = PG_SHARED | PG_REPEATABLE, MANY = 60 };

static const char ONE[] = "SELECT v, id FROM items WHERE id = $1::int8";
static struct pg_gather all;
static struct pg_gather brittle;

static struct pg_cluster cluster;
static struct hs_identity *alice;
static struct hs_identity *bob;
static struct world w;
static struct ask asks[MANY];
static char keys[MANY][24];

static int setup(void **state)
{
    (void)state;
    world_init(&w, &cluster, "app");
    world_open(&w);
    ask_value(&w, READ, alice, "SELECT 1", "1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

static void ask_key(size_t i, struct hs_identity *who, const char *key)
{
    (void)snprintf(keys[i], sizeof(keys[i]), "%s", key);
    ask(&w, &asks[i], READ, who, ONE, keys[i]);
    asks[i].query.gather = &all;
}

static void expect_row(const struct ask *a, const char *value)
{
    assert_int_equal(a->err.status, HS_OK);
    assert_int_equal(a->rows, 1);
    assert_string_equal(a->value, value);
}

/* Rows 1 to 100 are "v1" to "v100"; even ones are bob's. */
static void test_each_gets_its_own(void **state)
{
    char text[24];

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(text, sizeof(text), "%zu", 99 - i);
        ask_key(i, i % 2 ? bob : alice, text);
    }
    ask_wait(&w, asks, MANY);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(text, sizeof(text), "v%zu", 99 - i);
        expect_row(&asks[i], text);
    }
    assert_int_equal(world_metric(&w, HS_M_PG_GATHERED), MANY);
    assert_true(world_metric(&w, HS_M_PG_QUERIES) < 10);
}

static void test_absent_foreign_and_twice(void **state)
{
    (void)state;
    ask_key(0, alice, "7");
    ask_key(1, alice, "8"); /* bob's */
    ask_key(2, alice, "7");
    ask_key(3, alice, "1000000");
    ask_key(4, alice, "-1");
    ask_key(5, alice, "9223372036854775807");
    ask_key(6, bob, "8");
    ask_key(7, bob, "7"); /* alice's */
    ask_wait(&w, asks, 8);
    expect_row(&asks[0], "v7");
    assert_int_equal(asks[1].rows, 0);
    expect_row(&asks[2], "v7");
    assert_int_equal(asks[3].rows, 0);
    assert_int_equal(asks[4].rows, 0);
    assert_int_equal(asks[5].rows, 0);
    expect_row(&asks[6], "v8");
    assert_int_equal(asks[7].rows, 0);
    assert_int_equal(world_metric(&w, HS_M_PG_GATHERED), 8);
}

/* Forms that PostgreSQL would not print are asked one by one: their text is not a row's key. */
static void test_odd_keys_go_alone(void **state)
{
    (void)state;
    ask_key(0, alice, "007");
    ask_key(1, alice, "+7");
    ask_key(2, alice, " 7 ");
    ask_key(3, alice, "-0");
    ask_key(4, alice, "{7}");
    ask_key(5, alice, "7},{9");
    ask_key(6, alice, "");
    ask_wait(&w, asks, 7);
    expect_row(&asks[0], "v7");
    expect_row(&asks[1], "v7");
    expect_row(&asks[2], "v7");
    assert_int_equal(asks[3].rows, 0);
    for (size_t i = 4; i < 7; i++)
        assert_string_equal(asks[i].err.sqlstate, "22P02");
    assert_int_equal(world_metric(&w, HS_M_PG_GATHERED), 0);
}

/* The policy of `brittle` divides by zero for row 5: only who asks for it hears of it. */
static void test_one_fails(void **state)
{
    char text[24];

    (void)state;
    for (size_t i = 0; i < 10; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%zu", i + 1);
        ask(&w, &asks[i], READ, alice, "SELECT v, id FROM brittle WHERE id = $1::int8", keys[i]);
        asks[i].query.gather = &brittle;
    }
    ask_wait(&w, asks, 10);
    for (size_t i = 0; i < 10; i++) {
        (void)snprintf(text, sizeof(text), "v%zu", i + 1);
        if (i == 4)
            assert_string_equal(asks[i].err.sqlstate, "22012");
        else
            expect_row(&asks[i], text);
    }
    assert_int_equal(world_metric(&w, HS_M_PG_GATHERED), 10);
}

/* A read is repeated once; whoever loses two connections in a row hears that. Nobody hangs. */
static void test_connection_lost(void **state)
{
    size_t answered = 0;

    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        for (size_t i = 0; i < 20; i++)
            ask_key(i, alice, "7");
        world_turn(&w);
        (void)pg_cluster_sql(&cluster, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                       " WHERE application_name = 'unit'");
        ask_wait(&w, asks, 20);
        for (size_t i = 0; i < 20; i++) {
            if (asks[i].err.status == HS_E_PG_DOWN)
                continue;
            expect_row(&asks[i], "v7");
            answered++;
        }
    }
    assert_true(answered > 0);
}

static void test_close_while_gathered(void **state)
{
    size_t answered = 0;

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        ask_key(i, alice, "7");
    world_close_pool(&w);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(asks[i].is_done);
        answered += asks[i].err.status == HS_OK;
        assert_true(asks[i].err.status == HS_OK || asks[i].err.status == HS_E_SHUTDOWN);
    }
    assert_true(answered == 0 || answered == MANY);
}

/* Without memory for the gathering, each goes by itself, or says that memory is out. */
static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        for (size_t i = 0; i < 8; i++)
            ask_key(i, alice, "9");
        hs_mem_fail_at(n);
        world_turn(&w);
        hs_mem_fail_at(0);
        ask_wait(&w, asks, 8);
        for (size_t i = 0; i < 8; i++) {
            if (asks[i].err.status != HS_E_MEMORY)
                expect_row(&asks[i], "v9");
        }
    }
}

static void fill(struct pg_gather *gather, const char *table)
{
    static char texts[2 * PG_GATHER_SIZES][1500];
    static size_t used;

    gather->key_column = 1;
    for (size_t i = 0; i < PG_GATHER_SIZES; i++) {
        char *to = texts[used++];
        int n = snprintf(to, sizeof(texts[0]), "SELECT v, id FROM %s WHERE id = ANY (ARRAY[",
                         table);

        for (size_t k = 1; k <= (size_t)2 << i; k++)
            n += snprintf(to + n, sizeof(texts[0]) - (size_t)n, "%s$%zu::int8", k > 1 ? "," : "",
                          k);
        n += snprintf(to + n, sizeof(texts[0]) - (size_t)n, "])");
        gather->sql[i] = hs_strn(to, (size_t)n);
        gather->sql_hash[i] = hs_hash(gather->sql[i]);
    }
}

static void make_schema(void)
{
    (void)pg_cluster_sql(
        &cluster,
        "CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE app LOGIN NOINHERIT;"
        "GRANT alice, bob TO app;"
        "CREATE TABLE items (id bigint PRIMARY KEY, owner text, v text);"
        "INSERT INTO items SELECT i, CASE i % 2 WHEN 0 THEN 'bob' ELSE 'alice' END, 'v' || i"
        "  FROM generate_series(1, 100) i;"
        "ALTER TABLE items ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON items USING (owner = current_setting('request.jwt.claims')::json"
        " ->> 'sub');"
        "CREATE TABLE brittle AS SELECT id, v FROM items;"
        "ALTER TABLE brittle ADD PRIMARY KEY (id), ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY touchy ON brittle USING (1 / (id - 5) IS NOT NULL);"
        "GRANT SELECT ON items, brittle TO alice, bob");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_gets_its_own), TEST(test_absent_foreign_and_twice),
        TEST(test_odd_keys_go_alone), TEST(test_one_fails),
        TEST(test_connection_lost),   TEST(test_close_while_gathered),
        TEST(test_no_memory),
    };
    int failed;

    fill(&all, "items");
    fill(&brittle, "brittle");
    alice = hs_identity_new(HS_STR("alice"), HS_STR("{\"sub\":\"alice\"}"), false);
    bob = hs_identity_new(HS_STR("bob"), HS_STR("{\"sub\":\"bob\"}"), false);
    pg_cluster_make(&cluster);
    make_schema();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_cluster_remove(&cluster);
    hs_identity_unref(alice);
    hs_identity_unref(bob);
    return failed;
}
