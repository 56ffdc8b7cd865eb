/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgREST's file and variables (A3): each option of theirs is done or named, variables are stronger, what is no
 * option or no value is refused with its place.
 */
#include "test.h"

#include "conf/conf_int.h"

static hs_status try_load(const char *text, char *const *env, struct conf **ret_conf,
                          struct hs_err *err)
{
    struct conf_input in = {
        .file = "p.conf", .is_postgrest = true, .text = hs_str(text), .env = env};

    hs_err_clear(err);
    *ret_conf = NULL;
    return conf_load_text(&in, ret_conf, err);
}

static struct conf *load(const char *text, char *const *env)
{
    struct conf *conf;
    struct hs_err err;

    if (try_load(text, env, &conf, &err))
        fail_msg("%s", err.what);
    return conf;
}

/* What holds where nothing is said is PostgREST's, not ours. */
static void test_nothing_said(void **state)
{
    struct conf *c = load("", NULL);

    (void)state;
    assert_int_equal(c->server_listen.n, 1);
    assert_str(c->server_listen.v[0], HS_STR("0.0.0.0:3000"));
    assert_str(c->rest_path, HS_STR("/"));
    assert_str(c->auth_roles.v[0], HS_STR("*"));
    assert_false(c->api_enabled);
    assert_false(c->observe_metrics);
    conf_free(c);
}

static void test_values(void **state)
{
    static const char text[] = "# first\n"
                               "db-uri = \"postgres://a:\\\"b\\\\@h/d\" # behind\n"
                               "  db-schemas=\"api, other\"\n"
                               "db-max-rows = 1000#x\n"
                               "db-pool = 1\r\n"
                               "db-pool-acquisition-timeout = 10\n"
                               "db-plan-enabled = \"1\"\n"
                               "db-tx-end = \"rollback-allow-override\"\n"
                               "app.settings.a = \"x: y\"\n"
                               "db-max-rows = 2000\n"
                               "server-host = \"::1\"\n";
    char port[] = "PGRST_SERVER_PORT=4000", role[] = "PGRST_DB_ANON_ROLE=anon";
    char setting[] = "PGRST_APP_SETTINGS_TENANT_ID=7", own[] = "HASTEN_API_PATH=/x";
    char *const env[] = {port, role, setting, own, NULL};
    struct conf *c = load(text, env);

    (void)state;
    assert_str(c->database_url, HS_STR("postgres://a:\"b\\@h/d"));
    assert_int_equal(c->database_schemas.n, 2);
    assert_str(c->database_schemas.v[1], HS_STR("other"));
    assert_int_equal(c->rest_max_rows, 2000);
    assert_int_equal(c->database_pool_max, 2);
    assert_int_equal(c->database_pool_acquire_timeout, 10 * HS_SECOND);
    assert_true(c->rest_plan_enabled);
    assert_int_equal(c->rest_tx_end, 3);
    assert_int_equal(c->rest_app_settings.n, 2);
    assert_str(c->rest_app_settings.v[0], HS_STR("app.settings.a: x: y"));
    assert_str(c->rest_app_settings.v[1], HS_STR("app.settings.tenant_id: 7"));
    assert_str(c->server_listen.v[0], HS_STR("[::1]:4000"));
    assert_str(c->auth_anonymous_role, HS_STR("anon"));
    assert_str(c->api_path, HS_STR("/x"));
    conf_free(c);
}

/* Each row: taken with a value of its kind, or its reason is told. */
static void test_every_option(void **state)
{
    static const struct {
        const char *name;
        const char *field; /* "NONE" where it has no effect */
    } rows[] = {
#define POSTGREST(name, how, field, why) {name, #how},
#include "conf/postgrest.def"
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        static const char *const values[] = {"7", "true", "\"commit\"", "\"disabled\"",
                                             "\"a-key-of-thirty-two-bytes-or-more\""};
        bool is_none = strcmp(rows[i].field, "NONE") == 0;
        struct conf *c = NULL;
        char text[160];

        for (size_t j = 0; !c && j < HS_LEN(values); j++) {
            struct hs_err err;

            (void)snprintf(text, sizeof(text), "%s = %s\n", rows[i].name, values[j]);
            (void)try_load(text, NULL, &c, &err);
        }
        if (!c)
            fail_msg("%s takes no value", rows[i].name);
        assert_int_equal(c->private->notes.n > 0, is_none);
        if (is_none)
            assert_true(hs_str_starts(c->private->notes, hs_str(rows[i].name)));
        conf_free(c);
    }
}

static void test_faults(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"\ndb-urii = \"x\"\n", "p.conf:2: found the unknown option \"db-urii\", expected db-uri"},
        {"db-uri\n", "p.conf:1: found no value behind \"db-uri\", expected name = value"},
        {"db-uri = \"x\n", "p.conf:1: found no closing quote behind \"db-uri\""},
        {"db-uri = \"x\" \"y\"\n", "p.conf:1: found more than one value for \"db-uri\""},
        {"db-pool = many\n", "p.conf:1: database.pool.max: found \"many\""},
        {"db-pool-timeout = 1s\n", "p.conf:1: found no whole number of seconds in"},
        {"jwt-secret = \"@/nonexistent/key\"\n", "p.conf:1: found no readable file behind the @"},
        {"jwt-secret = \"short\"\n", "expected at least 32 bytes"},
        {"openapi-mode = \"x\"\n", "p.conf:1: rest.openapi: found \"x\""},
    };
    struct conf *c;
    struct hs_err err;
    char unknown[] = "PGRST_DB_SCHEMAZ=x";
    char *const env[] = {unknown, NULL};

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        assert_int_equal(try_load(rows[i].text, NULL, &c, &err), HS_E_CONFIG);
        if (!strstr(err.what, rows[i].said))
            fail_msg("%s: said \"%s\"", rows[i].text, err.what);
    }
    assert_int_equal(try_load("", env, &c, &err), HS_E_CONFIG);
    assert_non_null(strstr(err.what, "environment: found the unknown option \"db-schemaz\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_said),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_every_option),
        cmocka_unit_test(test_faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
