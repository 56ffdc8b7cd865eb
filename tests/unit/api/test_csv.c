/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows to CSV: each kind of type by example, and random texts read back by a strict reader of RFC 4180.
 */
#include "api/csv.h"

#include <libpq-fe.h>

#include "fault.h"
#include "pg/pool_int.h"
#include "test.h"

enum { OUT_MAX = 1 << 20, COLUMNS = 9, CELLS = 4, ROUNDS = 20000 };

static const struct pg_type text_type = {.kind = PG_KIND_TEXT, .delim = ','};
static const struct pg_type int_type = {.kind = PG_KIND_INT, .delim = ','};
static const struct pg_type bool_type = {.kind = PG_KIND_BOOL};
static const struct pg_type json_type = {.kind = PG_KIND_JSON};
static const struct pg_type stamp_type = {.kind = PG_KIND_TIMESTAMP};
static const struct pg_type zoned_type = {.kind = PG_KIND_TIMESTAMPTZ};
static const struct pg_type texts_type = {.kind = PG_KIND_ARRAY, .delim = ',', .elem = &text_type};
static const struct pg_type ints_type = {.kind = PG_KIND_ARRAY, .delim = ',', .elem = &int_type};

/* One row of n values; NULL = SQL NULL. */
static PGresult *row_of(const char *const *values, int n)
{
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc attributes[COLUMNS] = {0};
    char name[] = "c";

    assert_non_null(res);
    for (int i = 0; i < n; i++)
        attributes[i].name = name;
    assert_true(PQsetResultAttrs(res, n, attributes));
    for (int i = 0; i < n; i++) {
        char *copy = values[i] ? strdup(values[i]) : NULL;

        assert_true(PQsetvalue(res, 0, i, copy, copy ? (int)strlen(copy) : -1));
        free(copy);
    }
    return res;
}

static struct hs_str write(struct hs_buf *out, const char *const *values,
                           const struct api_out_column *cols, size_t n)
{
    const struct api_rows_opts opts = {0};
    PGresult *res = row_of(values, (int)n);
    struct pg_rows rows = pg_rows_all(res);

    hs_buf_clear(out);
    csv_row_write(out, &rows, 0, cols, n, &opts);
    PQclear(res);
    return hs_buf_str(out);
}

static const struct api_out_column columns[COLUMNS] = {
    {.type = &text_type},  {.type = &int_type},   {.type = &bool_type},
    {.type = &json_type},  {.type = &stamp_type}, {.type = &zoned_type},
    {.type = &texts_type}, {.type = &ints_type},  {.is_json_ready = true},
};

static void test_kinds(void **state)
{
    static const struct {
        const char *values[COLUMNS];
        const char *line;
    } rows[] = {
        {{"a", "1", "t", "2", "2024-01-01 10:00:00", "2024-01-01 10:00:00+05", "{}", "{1,NULL}",
          "[]"},
         "a,1,true,2,2024-01-01T10:00:00,2024-01-01T10:00:00+05:00,[],\"[1,null]\",[]\r\n"},
        {{NULL}, ",,,,,,,,\r\n"},
        {{"", "-5", "f", "\"\"", "infinity", "-infinity", "{a}", "{7}", "{\"a\":1}"},
         "\"\",-5,false,\"\"\"\"\"\",infinity,-infinity,\"[\"\"a\"\"]\",[7],\"{\"\"a\"\":1}\"\r\n"},
        {{"a,b", "1", "t", "1", "2024-01-01 10:00:00 BC", "2024-01-01 10:00:00-03:30 BC",
          "{\"x,y\",\"\\\"\"}", "{{1},{2}}", "{}"},
         "\"a,b\",1,true,1,2024-01-01T10:00:00 BC,2024-01-01T10:00:00-03:30 BC,"
         "\"[\"\"x,y\"\",\"\"\\\"\"\"\"]\",\"[[1],[2]]\",{}\r\n"},
        {{"\"", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL}, "\"\"\"\",,,,,,,,\r\n"},
        {{"a\r\nb", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL}, "\"a\r\nb\",,,,,,,,\r\n"},
        {{"=1+1", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL}, "=1+1,,,,,,,,\r\n"},
    };
    struct hs_buf out;

    (void)state;
    hs_buf_init(&out, OUT_MAX);
    for (size_t i = 0; i < HS_LEN(rows); i++)
        assert_str(write(&out, rows[i].values, columns, COLUMNS), hs_str(rows[i].line));
    hs_buf_fini(&out);
}

static void test_names(void **state)
{
    const struct tree_field fields[] = {{.name = HS_STR("id")}, {.name = HS_STR("a, \"b\"")}};
    const struct tree_field *const both[] = {&fields[0], &fields[1]};
    struct tree_embed embeds[] = {{.name = HS_STR("staff")}, {.name = HS_STR("branch")}};
    struct tree_select tree = {.fields = both, .n_fields = 2, .embeds = embeds};
    struct hs_buf out;

    (void)state;
    embeds[0].next = &embeds[1];
    hs_buf_init(&out, OUT_MAX);
    csv_names_write(&out, &tree);
    assert_str(hs_buf_str(&out), HS_STR("id,\"a, \"\"b\"\"\",staff,branch\r\n"));
    hs_buf_fini(&out);
}

/* The next field of a line; *ret_is_null tells nothing at all from "". false: not RFC 4180. */
static bool read_field(struct hs_str line, size_t *at, char *to, bool *ret_is_null)
{
    size_t n = 0;

    *ret_is_null = false;
    if (line.p[*at] != '"') {
        while (line.p[*at] != ',' && line.p[*at] != '\r') {
            if (line.p[*at] == '"' || line.p[*at] == '\n')
                return false;
            to[n++] = line.p[(*at)++];
        }
        *ret_is_null = n == 0;
    } else {
        for (++*at; *at < line.n; ++*at) {
            if (line.p[*at] == '"' && line.p[++*at] != '"')
                break;
            to[n++] = line.p[*at];
        }
    }
    to[n] = '\0';
    return true;
}

static void check_line(struct hs_str line, const char *const *values)
{
    size_t at = 0;

    for (size_t i = 0; i < CELLS; i++) {
        char got[64];
        bool is_null;

        assert_true(read_field(line, &at, got, &is_null));
        assert_int_equal(is_null, values[i] == NULL);
        if (values[i])
            assert_string_equal(got, values[i]);
        assert_int_equal(line.p[at], i + 1 < CELLS ? ',' : '\r');
        at++;
    }
    assert_int_equal(line.p[at], '\n');
    assert_int_equal(at + 1, line.n);
}

static void test_read_back(void **state)
{
    static const char signs[] = ",,\"\"\r\nab =";
    struct hs_rng rng = test_rng();
    struct api_out_column cols[CELLS];
    struct hs_buf out;

    (void)state;
    for (size_t i = 0; i < CELLS; i++)
        cols[i] = (struct api_out_column){.type = &text_type};
    hs_buf_init(&out, OUT_MAX);
    for (size_t round = 0; round < ROUNDS; round++) {
        char texts[CELLS][8];
        const char *values[CELLS];

        for (size_t i = 0; i < CELLS; i++) {
            size_t n = (size_t)hs_rng_below(&rng, sizeof(texts[i]));

            for (size_t c = 0; c < n; c++)
                texts[i][c] = signs[hs_rng_below(&rng, sizeof(signs) - 1)];
            texts[i][n] = '\0';
            values[i] = hs_rng_below(&rng, 5) ? texts[i] : NULL;
        }
        check_line(write(&out, values, cols, CELLS), values);
    }
    hs_buf_fini(&out);
}

static bool write_once(void *arg)
{
    const char *const values[] = {"a \"b\" c",     "1",  "t", "2", "2024-01-01 10:00:00", NULL,
                                  "{\"x,\\\"y\"}", NULL, NULL};
    struct hs_buf out;
    bool done;

    (void)arg;
    hs_buf_init(&out, OUT_MAX);
    (void)write(&out, values, columns, COLUMNS);
    done = !hs_buf_failed(&out);
    if (done)
        assert_str(hs_buf_str(&out), HS_STR("\"a \"\"b\"\" c\",1,true,2,2024-01-01T10:00:00,,"
                                            "\"[\"\"x,\\\"\"y\"\"]\",,\r\n"));
    hs_buf_fini(&out);
    return done;
}

static void test_short_memory(void **state)
{
    (void)state;
    fault_each(write_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_read_back),
        cmocka_unit_test(test_short_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
