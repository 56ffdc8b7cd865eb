/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of the simple dialect as a table: URL in, SQL text and parameters out, or the error. And its
 * property: whatever the URL, no crash, and no byte of the client's in the SQL.
 */
#include "test.h"

#include "api/simple.h"
#include "api/world.h"
#include "fault.h"

static struct api_model *model;
static struct hs_arena arena;
static struct hs_buf scratch;

static int setup(void **state)
{
    (void)state;
    model = world_model();
    hs_arena_init(&arena, 1 << 24);
    hs_buf_init(&scratch, 1 << 20);
    return model ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    api_model_unref(model);
    hs_arena_fini(&arena);
    hs_buf_fini(&scratch);
    return 0;
}

/* "people?limit=5", "people/5?fields=id" */
static hs_status run(struct hs_str url, struct sql_statement *ret_statement, struct hs_err *err)
{
    struct hs_str query = url;
    struct hs_str path = hs_str_cut(&query, '?');
    struct hs_str id = path;
    struct hs_str name = hs_str_cut(&id, '/');
    const struct api_table *table = api_model_table(model, name);
    struct simple_query *ask = HS_NEW(&arena, struct simple_query);
    const char **key;
    hs_status status;

    hs_err_clear(err);
    assert_non_null(table);
    if (!ask)
        return hs_fail_memory(err);
    if (!id.n) {
        status = world_read(model, table, world_nobody(), NULL, query, &arena, ask, err);
    } else {
        status = simple_read_key(table, id, &arena, &key, err);
        if (!status && !query.n) {
            *ret_statement = table->shown.item;
            ret_statement->params = key;
            return HS_OK;
        }
        if (!status)
            status = world_read(model, table, world_nobody(), key, query, &arena, ask, err);
    }
    if (status)
        return status;
    return sql_write(&ask->tree, !id.n && table->n_key, &scratch, &arena, ret_statement, err);
}

static struct hs_str joined(const struct sql_statement *st)
{
    struct hs_str text = HS_STR("");

    for (size_t i = 0; i < st->n_params; i++)
        text = hs_arena_printf(&arena, "%.*s%s%s", HS_FMT(text), i ? "|" : "", st->params[i]);
    return text;
}

#define PEOPLE_COLUMNS                                                                                       \
    "t0.\"id\", t0.\"first_name\", t0.\"last_name\", t0.\"status\", t0.\"is_active\", t0.\"score\", "        \
    "t0.\"born\", t0.\"mood\", t0.\"tags\", t0.\"doc\", t0.\"company_id\", t0.\"manager_id\", t0.\"page\", " \
    "t0.\"token\""

static const struct {
    const char *url;
    const char *sql;
    const char *params;
} good[] = {
#include "sql_cases.inc"
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(good); i++) {
        struct sql_statement st;
        struct hs_err err;
        hs_status status = run(hs_str(good[i].url), &st, &err);

        if (status)
            fail_msg("%s: %s", good[i].url, err.what);
        if (!hs_str_is(st.text, good[i].sql))
            fail_msg("%s\n got      %.*s\n expected %s", good[i].url, HS_FMT(st.text), good[i].sql);
        if (!hs_str_is(joined(&st), good[i].params))
            fail_msg("%s: params %.*s, expected %s", good[i].url, HS_FMT(joined(&st)),
                     good[i].params);
        hs_arena_reset(&arena);
    }
}

static const struct {
    const char *url;
    hs_status status;
    const char *text; /* what, why or hint contains it */
} bad[] = {
    {"people?page=0", HS_E_BAD_PARAMETER, "from 1"},
    {"people?page=-1", HS_E_BAD_PARAMETER, "from 1"},
    {"people?page=1e9", HS_E_BAD_PARAMETER, "from 1"},
    {"people?page=99999999999999999999", HS_E_BAD_PARAMETER, "from 1"},
    {"people?page=18446744073709551615&limit=1000", HS_E_PAGE_TOO_DEEP, "10000"},
    {"people?page=502", HS_E_PAGE_TOO_DEEP, "10000"},
    {"people?limit=0", HS_E_BAD_PARAMETER, "from 1 to 1000"},
    {"people?limit=1001", HS_E_BAD_PARAMETER, "from 1 to 1000"},
    {"people?limit=", HS_E_BAD_PARAMETER, "from 1 to 1000"},
    {"people?limit", HS_E_BAD_PARAMETER, "has no value"},
    {"people?limit=1&limit=2", HS_E_BAD_PARAMETER, "twice"},
    {"people?fields=", HS_E_BAD_PARAMETER, "no column"},
    {"people?fields=id,id", HS_E_BAD_PARAMETER, "twice"},
    {"people?fields=fristName", HS_E_UNKNOWN_COLUMN, "firstName"},
    {"people?fields=first_name", HS_E_UNKNOWN_COLUMN, "firstName"},
    {"people?sort=nope", HS_E_UNKNOWN_COLUMN, "no column \"nope\""},
    {"people?sort=", HS_E_BAD_PARAMETER, "no column"},
    {"people?sort=id,-id", HS_E_BAD_PARAMETER, "twice"},
    {"people?order=down", HS_E_BAD_PARAMETER, "asc or desc"},
    {"people?nulls=no", HS_E_BAD_PARAMETER, "show or omit"},
    {"people?count=all", HS_E_BAD_PARAMETER, "exact, estimated or none"},
    {"people?page=1&cursor=x", HS_E_BAD_PARAMETER, "exclude"},
    {"people?statsu=A", HS_E_UNKNOWN_COLUMN, "\"status\""},
    {"people?limt=5", HS_E_UNKNOWN_COLUMN, "\"limit\""},
    {"people?id[gta]=5", HS_E_UNKNOWN_OPERATOR, "gt"},
    {"people?id[gt=5", HS_E_BAD_PARAMETER, "\"]\""},
    {"people?id[=5", HS_E_BAD_PARAMETER, "\"]\""},
    {"people?id", HS_E_BAD_PARAMETER, "no value"},
    {"people?id=abc", HS_E_BAD_VALUE, "\"abc\" is not a valid value for people.id"},
    {"people?id=abc", HS_E_BAD_VALUE, "The column is of type bigint"},
    {"people?id=9223372036854775808", HS_E_BAD_VALUE, "bigint"},
    {"people?id=+5", HS_E_BAD_VALUE, "bigint"},
    {"people?page[eq]=2147483648", HS_E_BAD_VALUE, "2147483647"},
    {"people?isActive=maybe", HS_E_BAD_VALUE, "true or false"},
    {"people?score=1,5", HS_E_BAD_VALUE, "numeric"},
    {"people?score=1e", HS_E_BAD_VALUE, "numeric"},
    {"people?score=.", HS_E_BAD_VALUE, "numeric"},
    {"people?mood=angry", HS_E_BAD_VALUE, "mood"},
    {"people?token=123", HS_E_BAD_VALUE, "uuid"},
    {"people?id[like]=5*", HS_E_BAD_PARAMETER, "bigint"},
    {"people?status[like]=a%5C", HS_E_BAD_VALUE, "escapes nothing"},
    {"people?status[ilike]=%5C%5C%5C", HS_E_BAD_VALUE, "escapes nothing"},
    {"people?tags[in]=a", HS_E_BAD_PARAMETER, "text[]"},
    {"people?id[null]=1", HS_E_BAD_VALUE, "true or false"},
    {"people?id[in]=1,2,x", HS_E_BAD_VALUE, "\"x\""},
    {"people?id[in]=1,2,3,4,5,6", HS_E_BAD_PARAMETER, "more than 5"},
    {"people?status[in]=\"a", HS_E_BAD_VALUE, "does not end"},
    {"people?status[in]=\"a\"b", HS_E_BAD_VALUE, "comma"},
    {"people?status[in]=a\"b", HS_E_BAD_VALUE, "middle"},
    {"people?status[in]=\"\\n\"", HS_E_BAD_VALUE, "\\"},
    {"people?status=%00", HS_E_BAD_ENCODING, "NUL"},
    {"people?status=%ff", HS_E_BAD_ENCODING, "UTF-8"},
    {"people?status=%c3", HS_E_BAD_ENCODING, "UTF-8"},
    {"people?status=%", HS_E_BAD_ENCODING, "hexadecimal"},
    {"people?status=%2", HS_E_BAD_ENCODING, "hexadecimal"},
    {"people?status=%zz", HS_E_BAD_ENCODING, "hexadecimal"},
    {"people?%ff=1", HS_E_BAD_ENCODING, "UTF-8"},
    {"keyless?search=x", HS_E_BAD_PARAMETER, "api.search"},
    {"companies?search=a+b+c+d+e+f+g+h+i+j+k", HS_E_BAD_PARAMETER, "10 words"},
    {"people?sort=-_rank", HS_E_BAD_PARAMETER, "_rank needs a search"},
    {"people?highlight=status", HS_E_BAD_PARAMETER, "highlight needs a search"},
    {"people?search=a&highlight=id", HS_E_BAD_PARAMETER, "highlight is for text"},
    {"people?search=a&highlight=status,firstName,status", HS_E_BAD_PARAMETER, "twice"},
    {"people?search=a&highlight=", HS_E_BAD_PARAMETER, "names no column"},
    {"people?search=&fields=_rank", HS_E_BAD_PARAMETER, "names no column"},
    {"people?search=a&searchLang=simpel", HS_E_BAD_PARAMETER, "no text search configuration"},
    {"companies?search=a&sort=_rank", HS_E_BAD_PARAMETER, "api.search"},
    {"people/5?fields=_rank", HS_E_UNKNOWN_COLUMN, "_rank"},
    {"people?include=messages", HS_E_AMBIGUOUS, "messagesBySenderId, messagesByReceiverId"},
    {"people?include=mesages", HS_E_UNKNOWN_RELATION, "messages"},
    {"people?include=company.people.company.people", HS_E_BAD_PARAMETER, "deeper than 3"},
    {"people?include=company,", HS_E_UNKNOWN_RELATION, ""},
    {"companies?limit=1000&include=people.messagesBySenderId", HS_E_BAD_PARAMETER,
     "more than 100000 rows"},
    {"people?status=1&status=2&status=3&status=4&status=5&status=6&status=7&status=8&status=9&status=0&status=1",
     HS_E_BAD_PARAMETER, "more than 10 filters"},
    {"keyless/5", HS_E_NO_KEY, "no primary key"},
    {"people/abc", HS_E_BAD_VALUE, "people.id"},
    {"people/5?limit=1", HS_E_BAD_PARAMETER, "not possible here"},
    {"people/5?status=A", HS_E_BAD_PARAMETER, "not possible here"},
    {"people/%00", HS_E_BAD_ENCODING, "NUL"},
    {"pairs/1", HS_E_BAD_VALUE, "2 parts"},
    {"pairs/1,a,b", HS_E_BAD_VALUE, "2 parts"},
    {"pairs/x,a", HS_E_BAD_VALUE, "pairs.a"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < HS_LEN(bad); i++) {
        struct sql_statement st;
        struct hs_err err;
        hs_status status = run(hs_str(bad[i].url), &st, &err);

        if (status != bad[i].status)
            fail_msg("%s: status %d, expected %d (%s)", bad[i].url, status, bad[i].status,
                     err.what);
        if (!strstr(err.what, bad[i].text) && !strstr(err.why, bad[i].text) &&
            !strstr(err.hint, bad[i].text))
            fail_msg("%s: \"%s\" \"%s\" \"%s\" lacks \"%s\"", bad[i].url, err.what, err.why,
                     err.hint, bad[i].text);
        assert_in_range(hs_err_http(&err), 400, 499);
        hs_arena_reset(&arena);
    }
}

/* ---- the property ---- */

#define MARK "qZx7"

static const char *const names[] = {
    "id",      "firstName", "lastName", "status", "isActive", "score", "born",   "mood", "tags",
    "doc",     "companyId", "search",   "page",   "token",    "limit", "fields", "sort", "order",
    "include", "nulls",     "count",    "cursor", MARK,       "",      "%",      "a[b",  "]",
};
static const char *const ops[] = {"",       "[eq]",       "[ne]", "[gt]",    "[gte]",
                                  "[lt]",   "[lte]",      "[in]", "[like]",  "[ilike]",
                                  "[null]", "[" MARK "]", "[",    "%5Beq%5D"};
static const char *const values[] = {
    "1",
    "-5",
    "true",
    "asc",
    "desc",
    "exact",
    "omit",
    MARK,
    MARK "'--",
    "\"" MARK "\",\"b\\\"",
    "%27" MARK,
    "id,-firstName",
    "company,manager.company",
    "%00",
    "%ff",
    "*" MARK "%25",
    "happy",
    "2020-01-01",
    "",
    "1,2,3",
    "{}",
    "$1",
    MARK "+" MARK,
    "9223372036854775807",
    "1.5e3",
    "\\",
    "%5C%22" MARK,
};

static struct hs_str random_url(struct hs_rng *rng)
{
    static const char *const paths[] = {"people",  "companies",    "messages",      "pairs",
                                        "keyless", "people/" MARK, "pairs/1," MARK, "people/7"};
    struct hs_str url = hs_str(paths[hs_rng_below(rng, HS_LEN(paths))]);
    uint64_t n = hs_rng_below(rng, 6);

    for (uint64_t i = 0; i < n; i++)
        url = hs_arena_printf(&arena, "%.*s%s%s%s=%s", HS_FMT(url), i ? "&" : "?",
                              names[hs_rng_below(rng, HS_LEN(names))],
                              ops[hs_rng_below(rng, HS_LEN(ops))],
                              values[hs_rng_below(rng, HS_LEN(values))]);
    return url;
}

static void test_no_client_text_in_sql(void **state)
{
    struct hs_rng rng = test_rng();
    size_t written = 0;

    (void)state;
    for (int i = 0; i < 50000; i++) {
        struct hs_str url = random_url(&rng);
        struct sql_statement st;
        struct hs_err err;
        hs_status status = run(url, &st, &err);

        if (status && (hs_err_http(&err) < 400 || hs_err_http(&err) > 499))
            fail_msg("%.*s: %u %s", HS_FMT(url), hs_err_http(&err), err.what);
        if (!status && strstr(st.text.p, MARK))
            fail_msg("%.*s: client text in %.*s", HS_FMT(url), HS_FMT(st.text));
        written += !status;
        hs_arena_reset(&arena);
    }
    assert_true(written > 1000);
}

/* One shape, one text: only the values differ. */
static void test_one_text_for_one_shape(void **state)
{
    struct sql_statement a;
    struct sql_statement b;
    struct hs_err err;

    (void)state;
    assert_int_equal(run(HS_STR("people?status=A&id[in]=1,2&limit=5&page=2"), &a, &err), HS_OK);
    assert_int_equal(run(HS_STR("people?status=B&id[in]=3&limit=7&page=9"), &b, &err), HS_OK);
    assert_str(a.text, b.text);
    assert_true(a.hash == b.hash);
    hs_arena_reset(&arena);
}

/* Arena and scratch are new each time, so that the first allocation is theirs. */
static bool parse_once(void *arg)
{
    struct sql_statement st;
    struct hs_err err;
    hs_status status;

    hs_arena_fini(&arena);
    hs_buf_fini(&scratch);
    hs_arena_init(&arena, 1 << 24);
    hs_buf_init(&scratch, 1 << 20);
    status = run(hs_str(arg), &st, &err);
    if (status)
        assert_int_equal(status, HS_E_MEMORY);
    return status == HS_OK;
}

static void test_failing_allocations(void **state)
{
    static char url[] =
        "people?include=company,people.messagesBySenderId.sender&id[in]=1,\"2\"&count=exact"
        "&sort=lastName,-score&status[like]=a*&search=x&fields=id,born&page=2&limit=9&nulls=omit";

    (void)state;
    fault_each(parse_once, url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_no_client_text_in_sql),
        cmocka_unit_test(test_one_text_for_one_shape),
        cmocka_unit_test(test_failing_allocations),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
