/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors: what goes in comes out, nothing else comes in, and the SQL of a position.
 */
#include "test.h"

#include "api/cursor.h"
#include "api/simple.h"
#include "api/world.h"

static struct api_model *model;
static struct hs_arena arena;
static struct hs_buf scratch;
static struct net_hmac *hmac;

static int setup(void **state)
{
    (void)state;
    model = world_model();
    hs_arena_init(&arena, 1 << 24);
    hs_buf_init(&scratch, 1 << 20);
    return model && net_hmac_new(HS_STR("0123456789abcdef0123456789abcdef"), &hmac, NULL) == HS_OK
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    api_model_unref(model);
    hs_arena_fini(&arena);
    hs_buf_fini(&scratch);
    net_hmac_free(hmac);
    return 0;
}

static struct simple_query *ask(const char *table, const char *query, struct hs_str *ret_binding)
{
    struct simple_query *q = HS_NEW(&arena, struct simple_query);
    struct hs_err err;

    if (world_read(model, api_model_table(model, hs_str(table)), world_nobody(), NULL,
                   hs_str(query), &arena, q, &err))
        fail_msg("%s?%s: %s", table, query, err.what);
    assert_int_equal(cursor_binding(&q->tree, &arena, ret_binding, &err), HS_OK);
    return q;
}

static struct hs_str write(struct hs_str binding, bool is_backward, const struct hs_str *values,
                           size_t n)
{
    struct hs_buf out;
    struct hs_err err;
    struct hs_str text;

    hs_buf_init(&out, 1 << 16);
    assert_int_equal(cursor_write(hmac, binding, is_backward, values, n, &arena, &out, &err),
                     HS_OK);
    text = hs_arena_dup(&arena, hs_buf_str(&out));
    hs_buf_fini(&out);
    return text;
}

static hs_status read_text(struct hs_str binding, struct hs_str text, size_t n,
                           const struct tree_position **position)
{
    struct hs_err err;

    return cursor_read(hmac, binding, text, n, &arena, position, &err);
}

static const struct hs_str three[] = {{"M\xc3\xbcller", 7}, {NULL, 0}, {"", 0}};

static void test_round_trip(void **state)
{
    const struct tree_position *position;
    struct hs_str binding;

    (void)state;
    ask("people", "sort=lastName,-score", &binding);
    for (int back = 0; back < 2; back++) {
        struct hs_str text = write(binding, back, three, 3);

        assert_int_equal(read_text(binding, text, 3, &position), HS_OK);
        assert_int_equal(position->is_backward, back);
        assert_str(position->values[0], three[0]);
        assert_null(position->values[1].p);
        assert_non_null(position->values[2].p);
        assert_int_equal(position->values[2].n, 0);
    }
    hs_arena_reset(&arena);
}

static void test_tampering(void **state)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ %";
    const struct tree_position *position;
    struct hs_str binding;
    struct hs_str text;
    char copy[200];

    (void)state;
    ask("people", "sort=lastName,-score", &binding);
    text = write(binding, false, three, 3);
    assert_true(text.n < sizeof(copy));
    for (size_t at = 0; at < text.n; at++) {
        for (const char *c = letters; *c; c++) {
            memcpy(copy, text.p, text.n);
            copy[at] = *c;
            if (text.p[at] != *c &&
                read_text(binding, hs_strn(copy, text.n), 3, &position) != HS_E_BAD_CURSOR)
                fail_msg("'%c' at %zu of %.*s is accepted", *c, at, HS_FMT(text));
        }
        assert_int_equal(read_text(binding, hs_strn(text.p, at), 3, &position), HS_E_BAD_CURSOR);
        hs_arena_reset(&arena);
        ask("people", "sort=lastName,-score", &binding);
        text = write(binding, false, three, 3);
    }
    text = hs_arena_printf(&arena, "%.*sA", HS_FMT(text));
    assert_int_equal(read_text(binding, text, 3, &position), HS_E_BAD_CURSOR);
    hs_arena_reset(&arena);
}

static void test_binding(void **state)
{
    static const struct {
        const char *table;
        const char *query;
        bool is_same;
    } rows[] = {
        {"people", "sort=lastName,-score&status=A&isActive=true", true},
        {"people",
         "isActive=true&status=A&sort=lastName,-score&limit=7&fields=id&nulls=omit&count=exact",
         true},
        {"people", "isActive[eq]=true&status=A&sort=lastName,-score,-id", true},
        {"people", "sort=lastName,-score&status=A", false},
        {"people", "sort=lastName,-score&status=A&isActive=false", false},
        {"people", "sort=lastName,-score&status=A&isActive[ne]=true", false},
        {"people", "sort=lastName,-score&status=A&isActive=true&search=x", false},
        {"people", "sort=lastName,-score,id&status=A&isActive=true", false},
        {"people", "sort=lastName,score&status=A&isActive=true", false},
        {"people", "sort=firstName,-score&status=A&isActive=true", false},
        {"messages", "sort=body,-senderId", false},
    };
    struct hs_str binding;
    struct hs_str text;

    (void)state;
    ask("people", "sort=lastName,-score&status=A&isActive=true", &binding);
    text = write(binding, false, three, 3);
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        const struct tree_position *position;
        struct hs_str other;
        hs_status status;

        ask(rows[i].table, rows[i].query, &other);
        status = read_text(other, text, 3, &position);
        if (status != (rows[i].is_same ? HS_OK : HS_E_BAD_CURSOR))
            fail_msg("%s: %d", rows[i].query, status);
    }
    hs_arena_reset(&arena);
}

static void test_other_key(void **state)
{
    struct net_hmac *other;
    const struct tree_position *position;
    struct hs_err err;
    struct hs_str binding;
    struct hs_str text;

    (void)state;
    ask("people", "", &binding);
    text = write(binding, false, three, 1);
    assert_int_equal(net_hmac_new(HS_STR("another key of at least 32 bytes!"), &other, NULL),
                     HS_OK);
    assert_int_equal(cursor_read(other, binding, text, 1, &arena, &position, &err),
                     HS_E_BAD_CURSOR);
    net_hmac_free(other);
    /* As many values as the order has, not more and not fewer. */
    assert_int_equal(read_text(binding, text, 1, &position), HS_OK);
    assert_int_equal(read_text(binding, text, 2, &position), HS_E_BAD_CURSOR);
    assert_int_equal(read_text(binding, text, 0, &position), HS_E_BAD_CURSOR);
    hs_arena_reset(&arena);
}

static void test_too_long(void **state)
{
    static char huge[CURSOR_BYTES_MAX];
    struct hs_str value = {huge, sizeof(huge)};
    struct hs_str binding;
    struct hs_buf out;
    struct hs_err err;

    (void)state;
    memset(huge, 'x', sizeof(huge));
    hs_buf_init(&out, 1 << 16);
    ask("people", "", &binding);
    assert_int_equal(cursor_write(hmac, binding, false, &value, 1, &arena, &out, &err),
                     HS_E_BAD_PARAMETER);
    value.n -= 2;
    assert_int_equal(cursor_write(hmac, binding, false, &value, 1, &arena, &out, &err), HS_OK);
    assert_true(out.n < 4200);
    hs_buf_fini(&out);
    hs_arena_reset(&arena);
}

/* ---- the SQL of a position ---- */

#define BRANCH(where, order)                                                                     \
    "(SELECT t0.\"id\" AS c1, t0.\"last_name\" AS c3 FROM \"public\".\"people\" t0 WHERE " where \
    " ORDER BY " order " LIMIT 21)"
#define UNION(branches, order) \
    "SELECT t0.c1, t0.c3 FROM (" branches ") t0 ORDER BY " order " LIMIT 21"
#define UP "t0.\"last_name\", t0.\"id\""
#define DOWN "t0.\"last_name\" DESC, t0.\"id\" DESC"

static const struct {
    const char *query;
    bool is_backward;
    const char *values[2];
    const char *sql;
} positions[] = {
    {"fields=id",
     false,
     {"7", NULL},
     "SELECT t0.\"id\" FROM \"public\".\"people\" t0 WHERE t0.\"id\" > $1::pg_catalog.int8"
     " ORDER BY t0.\"id\" LIMIT 21"},
    {"fields=id",
     true,
     {"7", NULL},
     "SELECT t0.\"id\" FROM \"public\".\"people\" t0 WHERE t0.\"id\" < $1::pg_catalog.int8"
     " ORDER BY t0.\"id\" DESC LIMIT 21"},
    {"fields=id&sort=-firstName&status=A",
     false,
     {"a", "7"},
     "SELECT t0.\"id\", t0.\"first_name\" FROM \"public\".\"people\" t0 WHERE t0.\"status\" = "
     "$3::pg_catalog.text AND (t0.\"first_name\", t0.\"id\") < ($1::pg_catalog.text, $2::pg_catalog.int8)"
     " ORDER BY t0.\"first_name\" DESC, t0.\"id\" DESC LIMIT 21"},
    /* A nullable column: NULL comes last. */
    {"fields=id,lastName&sort=lastName",
     false,
     {"a", "7"},
     UNION(BRANCH("t0.\"last_name\" = $1::pg_catalog.text AND t0.\"id\" > $2::pg_catalog.int8",
                  UP) " UNION ALL " BRANCH("t0.\"last_name\" > $1::pg_catalog.text",
                                           UP) " UNION ALL " BRANCH("t0.\"last_name\" IS NULL", UP),
           "t0.c3, t0.c1")},
    {"fields=id,lastName&sort=lastName",
     false,
     {NULL, "7"},
     "SELECT t0.\"id\", t0.\"last_name\" FROM \"public\".\"people\" t0 WHERE t0.\"last_name\" IS NULL AND "
     "t0.\"id\" > $1::pg_catalog.int8 ORDER BY " UP " LIMIT 21"},
    {"fields=id,lastName&sort=lastName",
     true,
     {NULL, "7"},
     UNION(BRANCH("t0.\"last_name\" IS NULL AND t0.\"id\" < $1::pg_catalog.int8",
                  DOWN) " UNION ALL " BRANCH("t0.\"last_name\" IS NOT NULL", DOWN),
           "t0.c3 DESC, t0.c1 DESC")},
    /* Mixed directions. */
    {"fields=id,lastName&sort=-lastName,id",
     false,
     {"a", "7"},
     UNION(
         BRANCH(
             "t0.\"last_name\" = $1::pg_catalog.text AND t0.\"id\" > $2::pg_catalog.int8",
             "t0.\"last_name\" DESC, t0.\"id\"") " UNION ALL " BRANCH("t0.\"last_name\" < $1::pg_catalog.text",
                                                                      "t0.\"last_name\" DESC, t0.\"id\""),
         "t0.c3 DESC, t0.c1")},
};

static void test_position_sql(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(positions); i++) {
        struct hs_str values[2] = {hs_str(positions[i].values[0]), hs_str(positions[i].values[1])};
        unsigned params[2];
        struct tree_position at = {positions[i].is_backward, values, params};
        struct sql_statement st;
        struct hs_str binding;
        struct simple_query *q = ask("people", positions[i].query, &binding);
        struct hs_err err;

        q->tree.position = &at;
        assert_int_equal(sql_write(&q->tree, true, &scratch, &arena, &st, &err), HS_OK);
        if (!hs_str_is(st.text, positions[i].sql))
            fail_msg("%s\n got      %.*s\n expected %s", positions[i].query, HS_FMT(st.text),
                     positions[i].sql);
        hs_arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_tampering),
        cmocka_unit_test(test_binding),    cmocka_unit_test(test_other_key),
        cmocka_unit_test(test_too_long),   cmocka_unit_test(test_position_sql),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
