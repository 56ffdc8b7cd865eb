/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration that comes out: defaults, forms of values, which source wins, secrets from
 * files, what is shown, and that a failing allocation is an error and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf_int.h"
#include "core/mem.h"

#define KEY "hush-hush-hush-hush-hush-hush-hush-hush"

static struct conf *load_input(const struct conf_input *in)
{
    struct conf *conf = NULL;
    struct hs_err err;

    hs_err_clear(&err);
    if (conf_load_text(in, &conf, &err))
        fail_msg("%s", err.what);
    return conf;
}

static struct conf *load_yaml(const char *text, char *const *env)
{
    struct conf_input in = {.file = "c.yaml", .text = hs_str(text), .env = env};

    return load_input(&in);
}

static void assert_text(struct hs_str s, const char *expected)
{
    assert_string_equal(s.p, expected);
    assert_int_equal(s.n, strlen(expected));
}

static void assert_list(const struct conf_list *list, const char *const *expected, size_t n)
{
    assert_int_equal(list->n, n);
    for (size_t i = 0; i < n; i++)
        assert_text(list->v[i], expected[i]);
}

/* ---- the table ---- */

static void test_table(void **state)
{
    char one[CONF_ENV_NAME], two[CONF_ENV_NAME];

    (void)state;
    for (size_t i = 0; i < CONF_OPTIONS; i++) {
        const struct conf_option *o = &conf_options[i];
        size_t n = strlen(o->prose);

        /* conf_env_name() cuts what is longer; `_FILE` must fit as well. */
        assert_true(strlen(o->name) + sizeof("HASTEN__FILE") < CONF_ENV_NAME);
        assert_true(n > 10 && o->prose[n - 1] == '.');
        assert_null(conf_group_find(hs_str(o->name)).p);
        assert_true((o->min[0] != '\0') == (o->max[0] != '\0') || o->type == CONF_ENUM);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(conf_env_name(hs_str(o->name), one).p,
                                    conf_env_name(hs_str(conf_options[j].name), two).p);
    }
}

static void test_defaults(void **state)
{
    static const char *const listen[] = {"127.0.0.1:8080"};
    struct conf *c = load_yaml("", NULL);

    (void)state;
    assert_list(&c->server_listen, listen, 1);
    assert_int_equal(c->server_workers, 0);
    assert_int_equal(c->server_idle_timeout, 60 * HS_SECOND);
    assert_int_equal(c->server_body_max, 1048576);
    assert_true(c->server_timing);
    assert_text(c->database_url, "");
    assert_text(c->api_path, "/api/v1");
    assert_int_equal(c->auth_roles.n, 0);
    assert_int_equal(c->log_level, 1);
    assert_int_equal(c->api_names, 0);
    conf_free(c);
    conf_free(NULL);
}

/* ---- forms of values ---- */

static void test_forms(void **state)
{
    static const char *const roles[] = {"member", "manager"};
    static const char *const search[] = {"clients: first_name, last_name", "staff: name"};
    static const char *const listen[] = {"0.0.0.0:80", "[::1]:0"};
    struct conf *c = load_yaml("server:\n"
                               "  listen: ['0.0.0.0:80', \"[::1]:0\"]\n"
                               "  workers: \"4\"\n"
                               "  drain_timeout: 0\n"
                               "  body: {max: 0}\n"
                               "  timing: false\n"
                               "database:\n"
                               "  # nothing but a comment in a section is no fault\n"
                               "auth:\n"
                               "  roles: |\n"
                               "    member\n"
                               "\n"
                               "    manager\n"
                               "  anonymous_role: ~\n"
                               "  jwt:\n"
                               "    audience:\n"
                               "api:\n"
                               "  names: same\n"
                               "  search: 'clients: first_name, last_name; staff: name'\n"
                               "log: {level: error, format: json}\n",
                               NULL);

    (void)state;
    assert_list(&c->server_listen, listen, 2);
    assert_int_equal(c->server_workers, 4);
    assert_int_equal(c->server_drain_timeout, 0);
    assert_int_equal(c->server_body_max, 0);
    assert_false(c->server_timing);
    assert_list(&c->auth_roles, roles, 2);
    assert_text(c->auth_anonymous_role, "");
    assert_text(c->auth_jwt_audience, "");
    assert_int_equal(c->api_names, 1);
    assert_list(&c->api_search, search, 2);
    assert_int_equal(c->log_level, 3);
    assert_int_equal(c->log_format, 1);
    conf_free(c);
}

static void test_lists(void **state)
{
    static const char *const texts[] = {"a,b", " a , b ", "a\nb", "a\r\nb\r\n", "\na\n\n b\n"};
    static const char *const expected[] = {"a", "b"};

    (void)state;
    for (size_t i = 0; i < HS_LEN(texts); i++) {
        const struct conf_override o = {"auth.roles", texts[i]};
        struct conf_input in = {.overrides = &o, .n_overrides = 1};
        struct conf *c = load_input(&in);

        assert_list(&c->auth_roles, expected, 2);
        conf_free(c);
    }
}

static void test_variables(void **state)
{
    static char name[] = "NAME=v$lue${X}", empty[] = "EMPTY=", roles[] = "ROLES=a,b",
                longer[] = "NAMES=no";
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"plain", "plain"},
        {"${NAME}", "v$lue${X}"},
        {"x${NAME}y${NAME}z", "xv$lue${X}yv$lue${X}z"},
        {"x${EMPTY}y", "xy"},
        {"${EMPTY:-d}", "d"},
        {"${NOPE:-}", ""},
        {"${NOPE:-a:-b}", "a:-b"},
        {"${NAME:-d}", "v$lue${X}"},
        {"$$", "$"},
        {"$$${EMPTY:-$$}", "$$$"},
        {"$${NAME}", "${NAME}"},
        {"a$b $ $1 c$", "a$b $ $1 c$"},
    };
    char *const env[] = {longer, name, empty, roles, NULL};
    static const char *const two[] = {"a", "b"};
    struct conf *c;

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        char text[128];

        (void)snprintf(text, sizeof(text), "auth: {jwt: {audience: \"%s\"}}\n", rows[i].text);
        c = load_yaml(text, env);
        assert_text(c->auth_jwt_audience, rows[i].expected);
        conf_free(c);
    }
    c = load_yaml("auth: {roles: \"${ROLES}\"}\n", env);
    assert_list(&c->auth_roles, two, 2);
    conf_free(c);
    c = load_yaml("auth: {roles: [\"${ROLES}\"]}\n", env);
    assert_int_equal(c->auth_roles.n, 1);
    assert_text(c->auth_roles.v[0], "a,b");
    conf_free(c);
}

/* ---- sources ---- */

static void test_precedence(void **state)
{
    static char env_max[] = "HASTEN_DATABASE_POOL_MAX=60", env_min[] = "HASTEN_DATABASE_POOL_MIN=7",
                env_config[] = "HASTEN_CONFIG=x", env_bin[] = "HASTEN_BIN=x",
                env_test[] = "HASTEN_TEST_ANYTHING=x", env_other[] = "HASTENED=x";
    char *const env[] = {env_max, env_min, env_config, env_bin, env_test, env_other, NULL};
    static const struct conf_override overrides[] = {
        {"database.pool.max", "80"},
        {"database.pool.max", "90"},
    };
    struct conf_input in = {
        .file = "c.yaml",
        .text = HS_STR("database:\n  pool:\n    max: 40\n    min: 6\n    batch_max: 32\n"),
        .env = env,
        .overrides = overrides,
        .n_overrides = HS_LEN(overrides),
    };
    struct conf *c = load_input(&in);

    (void)state;
    assert_int_equal(c->database_pool_max, 90);
    assert_int_equal(c->database_pool_min, 7);
    assert_int_equal(c->database_pool_batch_max, 32);
    assert_int_equal(c->database_pool_queue_max, 10000);
    conf_free(c);
}

static void write_file(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void test_secret_files(void **state)
{
    static const struct {
        const char *content;
        const char *expected;
    } rows[] = {
        {KEY, KEY}, {KEY "\n", KEY}, {KEY "\r\n", KEY}, {KEY "\n\n", KEY "\n"}, {KEY " ", KEY " "},
    };
    char dir[] = "/tmp/hasten-conf-XXXXXX";
    char secret[64], file[64], text[128];
    struct conf *c = NULL;
    struct hs_err err;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(secret, sizeof(secret), "%s/key", dir);
    (void)snprintf(file, sizeof(file), "%s/c.yaml", dir);
    /* Relative to the file that names it. */
    (void)snprintf(text, sizeof(text), "auth:\n  jwt:\n    secret_file: key\n");
    write_file(file, text, strlen(text));
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        write_file(secret, rows[i].content, strlen(rows[i].content));
        hs_err_clear(&err);
        if (conf_load(&(struct conf_sources){.file = file}, &c, &err))
            fail_msg("%s", err.what);
        assert_text(c->auth_jwt_secret, rows[i].expected);
        conf_free(c);
    }
    (void)snprintf(text, sizeof(text), "HASTEN_AUTH_JWT_SECRET_FILE=%s", secret);
    c = load_yaml("auth: {jwt: {secret: " KEY "}}\n", (char *const[]){text, NULL});
    assert_text(c->auth_jwt_secret, KEY " ");
    conf_free(c);

    write_file(secret, "\n", 1);
    assert_int_equal(conf_load(&(struct conf_sources){.file = file}, &c, &err), HS_E_CONFIG);
    assert_non_null(
        strstr(err.what, "c.yaml:3: auth.jwt.secret_file: found the empty file \"/tmp/"));
    write_file(secret, "a\0b", 3);
    assert_int_equal(conf_load(&(struct conf_sources){.file = file}, &c, &err), HS_E_CONFIG);
    assert_non_null(strstr(err.what, "auth.jwt.secret_file: found a NUL byte, expected text"));
    write_file(secret, "hush", 4);
    assert_int_equal(conf_load(&(struct conf_sources){.file = file}, &c, &err), HS_E_CONFIG);
    assert_non_null(
        strstr(err.what, "auth.jwt.secret_file: found 4 bytes, expected at least 32 bytes"));
    assert_int_equal(unlink(secret), 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- what is shown ---- */

static const char rich[] =
    "server:\n"
    "  listen: [\"127.0.0.1:0\", \"[::1]:0\"]\n"
    "  idle_timeout: 90s\n"
    "database:\n"
    "  url: postgresql://u:" KEY "@h/d\n"
    "  schemas: api, public\n"
    "  application_name: \"a\\\"b\\\\c $$x $${Y} \\u2028 \\x7f \xc3\xa9 ${N:-n}\"\n"
    "auth:\n"
    "  roles:\n"
    "    - member\n"
    "  jwt:\n"
    "    secret: " KEY "\n"
    "api:\n"
    "  search: [\"a: b, c\"]\n"
    "  cursor:\n"
    "    secret: " KEY "\n"
    "log:\n"
    "  level: warn\n";

static struct hs_buf show(const struct conf *c)
{
    struct hs_buf b;

    hs_buf_init(&b, 1 << 20);
    conf_show(c, &b);
    assert_non_null(hs_buf_cstr(&b));
    return b;
}

static void assert_shows(const struct hs_buf *b, const char *line)
{
    if (!strstr(b->p, line))
        fail_msg("\"%s\" is not in\n%s", line, b->p);
}

static void test_show(void **state)
{
    static char env_drain[] = "HASTEN_SERVER_DRAIN_TIMEOUT=0";
    static const struct conf_override o = {"server.backlog", "9"};
    char *const env[] = {env_drain, NULL};
    struct conf_input in = {
        .file = "c.yaml", .text = hs_str(rich), .env = env, .overrides = &o, .n_overrides = 1};
    struct conf *c = load_input(&in);
    struct hs_buf b = show(c);

    (void)state;
    assert_shows(&b, "server:\n  listen: [\"127.0.0.1:0\", \"[::1]:0\"]");
    assert_shows(&b, "  idle_timeout: 90s                              # c.yaml:3\n");
    assert_shows(
        &b, "  drain_timeout: 0s                              # HASTEN_SERVER_DRAIN_TIMEOUT\n");
    assert_shows(&b, "  backlog: 9                                     # command line\n");
    assert_shows(&b, "  workers: 0                                     # default\n");
    assert_shows(&b, "  url: \"********\"                                # c.yaml:5\n");
    assert_shows(&b, "    public_key:                                  # default, unset\n");
    assert_shows(
        &b,
        "  application_name: \"a\\\"b\\\\c $$x $${Y} \\u2028 \\u007f \xc3\xa9 n\" # c.yaml:7\n");
    assert_null(strstr(b.p, "hush"));
    hs_buf_fini(&b);
    conf_free(c);
}

/* What is shown can be read, and is the same. */
static void test_show_round_trip(void **state)
{
    static const char text[] =
        "database:\n  application_name: \"\"\n  schemas: [\"$x\", \"y\\n\\tz\"]\n"
        "api: {names: same, relations: [\"a.b: c -> d.e\"]}\n";
    struct conf *c = load_yaml(text, NULL);
    struct hs_buf one = show(c);
    struct conf *again = load_yaml(one.p, NULL);

    (void)state;
    assert_text(again->database_application_name, "");
    assert_text(again->database_schemas.v[0], "$x");
    assert_text(again->database_schemas.v[1], "y\n\tz");
    assert_int_equal(again->api_names, 1);
    assert_text(again->api_relations.v[0], "a.b: c -> d.e");
    for (size_t i = 0; i < CONF_OPTIONS; i++) {
        struct hs_buf a, b;

        hs_buf_init(&a, 4096);
        hs_buf_init(&b, 4096);
        conf_add_value(&a, c, (enum conf_id)i);
        conf_add_value(&b, again, (enum conf_id)i);
        assert_true(hs_str_eq(hs_buf_str(&a), hs_buf_str(&b)));
        hs_buf_fini(&a);
        hs_buf_fini(&b);
    }
    hs_buf_fini(&one);
    conf_free(c);
    conf_free(again);
}

static void check_advice(const char *text, const char *expected)
{
    struct conf *c = load_yaml(text, NULL);
    struct hs_buf b;

    hs_buf_init(&b, 4096);
    conf_advise(c, &b);
    assert_string_equal(hs_buf_cstr(&b), expected);
    hs_buf_fini(&b);
    conf_free(c);
}

static void test_advice(void **state)
{
    (void)state;
    check_advice("database: {url: x}\n"
                 "auth: {roles: [a], jwt: {secret: " KEY ", audience: x}}\n"
                 "api: {cursor: {secret: " KEY "}}\n",
                 "");
    check_advice("database: {url: x, allow_login: root}\n"
                 "auth: {jwt: {secret: " KEY "}}\n"
                 "api: {cursor: {secret: " KEY "}}\n",
                 "auth.roles is unset: no role of a token will be accepted.\n"
                 "auth.jwt.audience is unset: tokens made for other services are accepted.\n"
                 "database.allow_login is \"root\": row-level security may not hold for it.\n");
    check_advice(
        "auth: {roles: [a]}\n",
        "database.url is unset: the PG* variables of the environment are used.\n"
        "auth.jwt.secret and auth.jwt.public_key are unset: no token can be verified, so "
        "auth.roles has no use.\n"
        "auth.anonymous_role is unset and no token can be verified: every request will get 401.\n"
        "api.cursor.secret is unset: cursors are good only as long as the key kept in the "
        "database, or this process.\n");
}

static void test_reference(void **state)
{
    struct hs_buf b;

    (void)state;
    hs_buf_init(&b, 1 << 20);
    conf_reference(&b);
    assert_non_null(hs_buf_cstr(&b));
    for (size_t i = 0; i < CONF_OPTIONS; i++) {
        char row[128];

        (void)snprintf(row, sizeof(row), "\n| `%s`<br>`HASTEN_", conf_options[i].name);
        assert_shows(&b, row);
    }
    assert_shows(&b, "| word | `camel` | `camel`, `same` |");
    assert_shows(&b, "| duration | `2s` | 1ms to 10min |");
    hs_buf_fini(&b);
}

/* ---- failing allocations ---- */

/* Fails the n-th allocation, n from 1 until the load gets through. Leaks are the sanitizer's. */
static void fail_each(const struct conf_input *in, hs_status expected)
{
    for (uint64_t n = 1; n < 10000; n++) {
        struct conf *c = NULL;
        struct hs_err err;
        hs_status status;
        uint64_t used;

        hs_err_clear(&err);
        hs_mem_fail_at(n);
        status = conf_load_text(in, &c, &err);
        used = hs_mem_count();
        hs_mem_fail_at(0);
        assert_true((c != NULL) == (status == HS_OK));
        conf_free(c);
        if (used < n) {
            assert_true(n > 2);
            assert_int_equal(status, expected);
            return;
        }
        assert_int_equal(status, HS_E_MEMORY);
        assert_int_equal(err.status, HS_E_MEMORY);
        assert_string_equal(err.what, "out of memory");
    }
    fail_msg("no end");
}

static void test_failing_allocations(void **state)
{
    static char env_url[] = "HASTEN_DATABASE_URL_FILE=/dev/null",
                env_roles[] = "HASTEN_AUTH_ROLES=a,b,c";
    static const struct conf_override o = {"auth.jwt.audience", "x"};
    char *const env[] = {env_roles, NULL};
    char *const bad_env[] = {env_url, NULL};
    struct conf_input good = {
        .file = "c.yaml", .text = hs_str(rich), .env = env, .overrides = &o, .n_overrides = 1};
    struct conf_input bad = {.file = "c.yaml", .text = HS_STR("log:\n  level: loud\n")};
    struct conf_input order = {.file = "c.yaml", .text = HS_STR("api:\n  limit:\n    max: 1\n")};
    struct conf_input file = {.env = bad_env};

    (void)state;
    fail_each(&good, HS_OK);
    fail_each(&bad, HS_E_CONFIG);
    fail_each(&order, HS_E_CONFIG);
    fail_each(&file, HS_E_CONFIG);
}

static void test_failing_allocations_of_show(void **state)
{
    struct conf *c = load_yaml(rich, NULL);
    uint64_t n = 0, used;

    (void)state;
    do {
        struct hs_buf b;

        hs_buf_init(&b, 1 << 20);
        hs_mem_fail_at(++n);
        conf_show(c, &b);
        conf_reference(&b);
        used = hs_mem_count();
        hs_mem_fail_at(0);
        assert_int_equal(hs_buf_failed(&b), used >= n);
        hs_buf_fini(&b);
    } while (used >= n);
    assert_true(n > 2);
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_secret_files),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_show_round_trip),
        cmocka_unit_test(test_advice),
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_failing_allocations_of_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
