/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as tags need them: which mean the same tomorrow, how PostgreSQL writes them, lists of them.
 */
#include "test.h"

#include "api/depend_int.h"
#include "api/world.h"

static struct hs_arena arena;

static int setup(void **state)
{
    (void)state;
    hs_arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hs_arena_fini(&arena);
    return 0;
}

static void test_forms(void **state)
{
    static const struct {
        const char *type;
        const char *text;
        const char *form; /* NULL = none */
    } rows[] = {
        {"bigint", "42", "42"},
        {"bigint", "0", "0"},
        {"bigint", "007", "7"},
        {"bigint", "-0", "0"},
        {"bigint", "-05", "-5"},
        {"bigint", "9223372036854775807", "9223372036854775807"},
        {"bigint", "-9223372036854775808", "-9223372036854775808"},
        {"bigint", "9223372036854775808", NULL},
        {"bigint", "+1", NULL},
        {"bigint", " 1", NULL},
        {"bigint", "1.0", NULL},
        {"bigint", "-", NULL},
        {"bigint", "", NULL},
        {"integer", "2147483647", "2147483647"},
        {"integer", "2147483648", NULL},
        {"boolean", "true", "t"},
        {"boolean", "TRUE", "t"},
        {"boolean", "1", "t"},
        {"boolean", "F", "f"},
        {"boolean", "0", "f"},
        {"boolean", "yes", NULL},
        {"boolean", "", NULL},
        {"date", "2026-02-28", "2026-02-28"},
        {"date", "2024-02-29", "2024-02-29"},
        {"date", "2000-02-29", "2000-02-29"},
        {"date", "1900-02-29", NULL},
        {"date", "2026-02-29", NULL},
        {"date", "2026-02-30", NULL},
        {"date", "2026-13-01", NULL},
        {"date", "2026-00-01", NULL},
        {"date", "2026-04-31", NULL},
        {"date", "2026-04-00", NULL},
        {"date", "0000-01-01", NULL},
        {"date", "2026-1-1", NULL},
        {"date", "20260101", NULL},
        {"date", "today", NULL},
        {"date", "2026-01-01 ", NULL},
        {"date", "infinity", NULL},
        {"mood", "happy", "happy"},
        {"mood", "Happy", NULL},
        {"text", "", ""},
        {"text", " a ", " a "},
        {"uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
        {"uuid", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", NULL},
        {"uuid", "a0eebc999c0b4ef8bb6d6bb9bd380a11", NULL},
        {"numeric", "1", NULL},
        {"jsonb", "1", NULL},
        {"tsvector", "a", NULL},
        {"text[]", "{}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        const struct pg_type *type = world_type(rows[i].type);
        struct hs_str form = HS_STR_NULL;
        bool has_form = api_value_form(type, hs_str(rows[i].text), &arena, &form);

        if (has_form != (rows[i].form != NULL))
            fail_msg("%s of %s: %s", rows[i].text, rows[i].type, has_form ? "a form" : "no form");
        if (has_form)
            assert_str(form, hs_str(rows[i].form));
    }
}

/* A domain is its base type, but for one that limits the length of a text. */
static void test_forms_of_domains(void **state)
{
    static const struct {
        struct pg_type type;
        bool has_form;
    } rows[] = {
        {{.oid = 20001, .base = 25, .kind = PG_KIND_TEXT, .is_domain = true}, true},
        {{.oid = 20001, .base = 1043, .kind = PG_KIND_TEXT, .is_domain = true}, false},
        {{.oid = 1043, .base = 1043, .kind = PG_KIND_TEXT}, true},
        {{.oid = 1042, .base = 1042, .kind = PG_KIND_TEXT}, false},
        {{.oid = 20001, .base = 20000, .kind = PG_KIND_TEXT, .is_domain = true}, false},
        {{.oid = 20000, .base = 20000, .kind = PG_KIND_TEXT}, false},
    };
    struct hs_str form;

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++)
        assert_int_equal(api_value_form(&rows[i].type, HS_STR("x"), &arena, &form),
                         rows[i].has_form);
}

static void test_fixed(void **state)
{
    static const struct pg_type of_time[] = {
        {.oid = 1082, .base = 1082, .kind = PG_KIND_DATE},
        {.oid = 1184, .base = 1184, .kind = PG_KIND_TIMESTAMPTZ},
        {.oid = 1114, .base = 1114, .kind = PG_KIND_TIMESTAMP},
        {.oid = 1083, .base = 1083, .kind = PG_KIND_TIME},
        {.oid = 20001, .base = 1082, .kind = PG_KIND_DATE, .is_domain = true},
        {.oid = 3910, .base = 3910, .kind = PG_KIND_RANGE},
        {.oid = 1182, .base = 1182, .kind = PG_KIND_ARRAY, .elem = &of_time[0]},
    };
    static const struct pg_field fields[] = {{{"at", 2}, &of_time[0]}};
    static const struct pg_type composite = {
        .oid = 20000, .base = 20000, .kind = PG_KIND_COMPOSITE, .fields = fields, .n_fields = 1};
    static const char *const instants[] = {
        "2026-01-01",
        "2026-01-01T10:00:00.5+02:00",
        "2026-01-01t10:00z",
        "infinity",
        "-Infinity",
        "20260101",
        "",
        "[2026-01-01,2026-02-01)",
        "{\"2026-01-01\",\"-infinity\"}",
        "(2026-01-01)",
    };
    static const char *const others[] = {
        "today",       "now",
        "NOW",         "tomorrow",
        "yesterday",   "epoch",
        "[today,)",    "2026-01-01 Europe/Berlin",
        "{\"today\"}", "\x80",
        "infinitynow", "January 8, 99",
        "(now)",       "2026-01-01 CET",
        "T today",     "{\"to\\\\day\"}",
        "J2451187",
    };

    (void)state;
    for (size_t t = 0; t <= HS_LEN(of_time); t++) {
        const struct pg_type *type = t < HS_LEN(of_time) ? &of_time[t] : &composite;

        for (size_t i = 0; i < HS_LEN(instants); i++) {
            if (!api_value_is_fixed(type, hs_str(instants[i])))
                fail_msg("type %u: \"%s\" is not fixed", type->oid, instants[i]);
        }
        for (size_t i = 0; i < HS_LEN(others); i++) {
            if (api_value_is_fixed(type, hs_str(others[i])))
                fail_msg("type %u: \"%s\" is fixed", type->oid, others[i]);
        }
    }
}

static void test_fixed_by_type(void **state)
{
    static const struct pg_type users = {.oid = 20000, .base = 20000, .kind = PG_KIND_TEXT};
    static const struct pg_field fields[] = {{{"a", 1}, &world_text}, {{"b", 1}, &users}};
    static const struct {
        struct pg_type type;
        bool is_fixed;
    } rows[] = {
        {{.base = 25, .kind = PG_KIND_TEXT}, true},
        {{.base = 16383, .kind = PG_KIND_TEXT}, true},
        {{.base = 16384, .kind = PG_KIND_TEXT}, false},
        {{.oid = 20001, .base = 25, .kind = PG_KIND_TEXT, .is_domain = true}, true},
        {{.oid = 20001, .base = 20000, .kind = PG_KIND_TEXT, .is_domain = true}, false},
        {{.oid = 20001, .base = 20001, .kind = PG_KIND_ENUM}, true},
        {{.base = 3904, .kind = PG_KIND_RANGE}, true},
        {{.base = 4536, .kind = PG_KIND_RANGE}, true},
        {{.base = 3912, .kind = PG_KIND_RANGE}, false},
        {{.base = 20000, .kind = PG_KIND_RANGE}, false},
        {{.base = 1266, .kind = PG_KIND_TIME}, false},
        {{.kind = PG_KIND_ARRAY, .elem = &world_text}, true},
        {{.kind = PG_KIND_ARRAY, .elem = &users}, false},
        {{.kind = PG_KIND_COMPOSITE, .fields = fields, .n_fields = 1}, true},
        {{.kind = PG_KIND_COMPOSITE, .fields = fields, .n_fields = 2}, false},
        {{.kind = PG_KIND_JSON}, true},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        if (api_value_is_fixed(&rows[i].type, HS_STR("today")) != rows[i].is_fixed)
            fail_msg("row %zu", i);
    }
}

static void test_lists(void **state)
{
    static const char *const good[][4] = {
        {"{}"},
        {"{\"1\"}", "1"},
        {"{\"a\",\"\",\"b,}\"}", "a", "", "b,}"},
        {"{\"say \\\"hi\\\"\",\"\\\\\"}", "say \"hi\"", "\\"},
    };
    static const char *const bad[] = {"",     "{",           "{\"a\"",    "{a}",    "{\"a\",}",
                                      "{,}",  "{\"a\"}x",    "{\"a\\\"}", "\"a\"}", "{\"a\";\"b\"}",
                                      "{}{}", "{\"a\"\"b\"}"};
    struct hs_str element;

    (void)state;
    for (size_t i = 0; i < HS_LEN(good); i++) {
        size_t at = 0;

        for (size_t k = 1; k < 4 && good[i][k]; k++) {
            assert_true(api_value_next(hs_str(good[i][0]), ',', &at, &arena, &element));
            assert_str(element, hs_str(good[i][k]));
        }
        assert_true(api_value_next(hs_str(good[i][0]), ',', &at, &arena, &element));
        assert_null(element.p);
    }
    for (size_t i = 0; i < HS_LEN(bad); i++) {
        size_t at = 0;
        bool is_read = true;

        do
            is_read = api_value_next(hs_str(bad[i]), ',', &at, &arena, &element);
        while (is_read && element.p);
        if (is_read)
            fail_msg("%s was read", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms), cmocka_unit_test(test_forms_of_domains),
        cmocka_unit_test(test_fixed), cmocka_unit_test(test_fixed_by_type),
        cmocka_unit_test(test_lists),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
