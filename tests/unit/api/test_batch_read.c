/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a batch: what is read, what is refused and where. */
#include "api/batch_read.h"
#include "fault.h"
#include "test.h"

enum { ITEMS_MAX = 20 };

static struct hs_arena arena;
static struct batch_list list;
static struct hs_err err;

static hs_status read_text(const char *text)
{
    hs_arena_reset(&arena);
    hs_err_clear(&err);
    return batch_read(hs_str(text), ITEMS_MAX, &arena, &list, &err);
}

static void expect_str(struct hs_str s, const char *expected)
{
    if (!hs_str_is(s, expected))
        fail_msg("expected \"%s\", got \"%.*s\"", expected, HS_FMT(s));
}

static const struct batch_item *read_one(const char *text)
{
    if (read_text(text) != HS_OK)
        fail_msg("%s: %s (%s)", text, err.what, err.why);
    assert_int_equal(list.n, 1);
    return &list.items[0];
}

static void test_reads(void **state)
{
    const struct batch_item *item;

    (void)state;
    item = read_one("{\"requests\":[{\"path\":\"/a\"}]}");
    expect_str(item->id, "null");
    expect_str(item->method, "GET");
    expect_str(item->path, "/a");
    assert_int_equal(item->n_headers, 0);
    assert_null(item->body.p);

    item = read_one(
        " [ { \"body\" : { \"a\" : [ 1 , \"\\u00e4\" ] } , \"headers\" : { \"If-Match\" : "
        "\"\\\"x\\\"\" , \"b\" : \"\" } , \"path\" : \"\\/a?b=\\u0063\" , \"method\" : "
        "\"P\\u004fST\" , \"id\" : \"7\\n\" } ] \n");
    expect_str(item->id, "\"7\\n\"");
    expect_str(item->method, "POST");
    expect_str(item->path, "/a?b=c");
    expect_str(item->body, "{ \"a\" : [ 1 , \"\\u00e4\" ] }");
    assert_int_equal(item->n_headers, 3);
    expect_str(item->headers[0].name, "If-Match");
    expect_str(item->headers[0].value, "\"x\"");
    expect_str(item->headers[1].value, "");
    expect_str(item->headers[2].name, "Content-Type");
    expect_str(item->headers[2].value, "application/json");

    item = read_one("[{\"path\":\"/a\",\"id\":-1.5e3,\"headers\":{\"content-type\":\"text/csv\"},"
                    "\"body\":\"a,b\"}]");
    expect_str(item->id, "-1.5e3");
    expect_str(item->body, "\"a,b\"");
    assert_int_equal(item->n_headers, 1);

    assert_null(read_one("[{\"path\":\"/a\",\"body\":null}]")->body.p);
    assert_int_equal(read_text("[]"), HS_OK);
    assert_int_equal(list.n, 0);
    assert_int_equal(read_text("{\"requests\":[]}"), HS_OK);
    assert_int_equal(list.n, 0);
}

/* More than the arrays begin with, of both kinds. */
static void test_many(void **state)
{
    char text[4096] = "[{\"path\":\"/0\",\"headers\":{\"h0\":\"0\"";
    size_t n = strlen(text);

    (void)state;
    for (int i = 1; i < 40; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, ",\"h%d\":\"%d\"", i, i);
    n += (size_t)snprintf(text + n, sizeof(text) - n, "}}");
    for (int i = 1; i < ITEMS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, ",{\"path\":\"/%d\"}", i);
    memcpy(text + n, "]", 2);
    assert_int_equal(read_text(text), HS_OK);
    assert_int_equal(list.n, ITEMS_MAX);
    assert_int_equal(list.items[0].n_headers, 40);
    for (unsigned i = 0; i < 40; i++) {
        expect_str(list.items[0].headers[i].name, hs_arena_printf(&arena, "h%u", i).p);
        expect_str(list.items[0].headers[i].value, hs_arena_printf(&arena, "%u", i).p);
    }
    for (unsigned i = 0; i < ITEMS_MAX; i++)
        expect_str(list.items[i].path, hs_arena_printf(&arena, "/%u", i).p);

    memcpy(text + n, ",{}]", 5);
    assert_int_equal(read_text(text), HS_E_BODY_TOO_LARGE);
    assert_string_equal(err.what, "the batch has more than 20 requests");
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        hs_status status;
        const char *what; /* begins with */
        const char *why;
    } cases[] = {
        {"1", HS_E_BAD_BODY, "the body is neither an object nor an array", "at line 1, column 1"},
        {"{}", HS_E_BAD_BODY, "the batch has no \"requests\"", "at line 1, column 2"},
        {"{\"request\":[]}", HS_E_BAD_BODY, "\"request\" is no member of a batch", "at line 1, "},
        {"{\"requests\":{}}", HS_E_BAD_BODY, "\"requests\" is not an array",
         "at line 1, column 13"},
        {"{\"requests\":[],\n\"requests\":[]}", HS_E_BAD_BODY,
         "\"requests\" stands twice in a batch", "at line 2, column 1"},
        {"[1]", HS_E_BAD_BODY, "a request of a batch is not an object", "at line 1, column 2"},
        {"[{\"path\":\"/a\"},\n {}]", HS_E_BAD_BODY, "a request has no \"path\"",
         "in request 2, at line 2, column 3"},
        {"[{\"path\":1}]", HS_E_BAD_BODY, "\"path\" is not a text", "in request 1, "},
        {"[{\"path\":\"/\",\"path\":\"/\"}]", HS_E_BAD_BODY, "\"path\" stands twice in a request",
         ""},
        {"[{\"url\":\"/\"}]", HS_E_BAD_BODY, "\"url\" is no member of a request", ""},
        {"[{\"method\":null}]", HS_E_BAD_BODY, "\"method\" is not a text", ""},
        {"[{\"id\":true}]", HS_E_BAD_BODY, "\"id\" is neither text nor number", ""},
        {"[{\"id\":[1]}]", HS_E_BAD_BODY, "\"id\" is neither text nor number", ""},
        {"[{\"headers\":[]}]", HS_E_BAD_BODY, "\"headers\" is not an object", ""},
        {"[{\"headers\":{\"a\":1}}]", HS_E_BAD_BODY, "\"a\" is not a text", ""},
        {"", HS_E_BAD_JSON, "", ""},
        {"[{\"path\":\"/a\"},]", HS_E_BAD_JSON, "", ""},
        {"[{\"path\":\"/a\"}", HS_E_BAD_JSON, "", ""},
        {"[{\"path\":\"/a\"}] []", HS_E_BAD_JSON, "", ""},
        {"[{\"path\":\"/\\u0000\"}]", HS_E_BAD_JSON, "", ""},
        {"[{\"path\":\"/a\",\"body\":{]}]", HS_E_BAD_JSON, "", ""},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(cases); i++) {
        hs_status status = read_text(cases[i].text);

        if (status != cases[i].status || err.status != status ||
            strncmp(err.what, cases[i].what, strlen(cases[i].what)) != 0 ||
            strncmp(err.why, cases[i].why, strlen(cases[i].why)) != 0)
            fail_msg("%s: %d \"%s\" \"%s\"", cases[i].text, (int)status, err.what, err.why);
    }
}

static void test_id_bound(void **state)
{
    char text[300];
    char id[BATCH_ID_MAX + 1] = "\"";

    (void)state;
    memset(id + 1, 'i', BATCH_ID_MAX - 2);
    id[BATCH_ID_MAX - 1] = '"';
    (void)snprintf(text, sizeof(text), "[{\"path\":\"/\",\"id\":%s}]", id);
    expect_str(read_one(text)->id, id);
    (void)snprintf(
        text, sizeof(text), "[{\"path\":\"/\",\"id\":1%.*s}]", BATCH_ID_MAX,
        "0000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000000000000000000000000000000000000000000000");
    assert_int_equal(read_text(text), HS_E_BAD_BODY);
}

static bool read_all(void *arg)
{
    struct hs_arena own;
    struct batch_list read;
    struct hs_err error = {0};
    hs_status status;

    (void)arg;
    hs_arena_init(&own, 1 << 20);
    status = batch_read(
        HS_STR("[{\"path\":\"/\\u0061\",\"headers\":{\"a\":\"\\\"\"},\"body\":{}}]"), ITEMS_MAX,
        &own, &read, &error);
    if (status)
        assert_int_equal(status, HS_E_MEMORY);
    hs_arena_fini(&own);
    return status == HS_OK;
}

static void test_memory(void **state)
{
    (void)state;
    fault_each(read_all, NULL);
}

static int set_up(void **state)
{
    (void)state;
    hs_arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hs_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),   cmocka_unit_test(test_many),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_id_bound),
        cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
