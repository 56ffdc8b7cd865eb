/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload changes: every option is compared, those that need a restart keep their value, and no value
 * is named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/conf_int.h"

static struct conf *load(const char *text)
{
    char *const env[] = {NULL};
    const struct conf_input in = {.file = "c.yaml", .text = hs_str(text), .env = env};
    struct conf *conf = NULL;
    struct hs_err err;

    if (conf_load_text(&in, &conf, &err))
        fail_msg("%s", err.what);
    return conf;
}

struct names {
    struct hs_buf changed;
    struct hs_buf fixed;
};

static void change(struct names *names, struct conf *now, const struct conf *running)
{
    hs_buf_init(&names->changed, 1 << 16);
    hs_buf_init(&names->fixed, 1 << 16);
    conf_change(now, running, &names->changed, &names->fixed);
    assert_non_null(hs_buf_cstr(&names->changed));
    assert_non_null(hs_buf_cstr(&names->fixed));
}

static void drop(struct names *names)
{
    hs_buf_fini(&names->changed);
    hs_buf_fini(&names->fixed);
}

static void test_nothing(void **state)
{
    const char *text = "auth: {roles: [a, b]}\napi: {names: same}\ndatabase: {url: 'host=x'}\n";
    struct conf *running = load(text);
    struct conf *now = load(text);
    struct names names;

    (void)state;
    change(&names, now, running);
    assert_string_equal(names.changed.p, "");
    assert_string_equal(names.fixed.p, "");
    drop(&names);
    conf_free(now);
    conf_free(running);
}

/* One row for each type, changed in the smallest way. */
static void test_each_type(void **state)
{
    static const struct {
        const char *before;
        const char *after;
        const char *name;
    } rows[] = {
        {"database: {application_name: a}", "database: {application_name: b}",
         "database.application_name"},
        {"auth: {jwt: {secret: aaaaaaaabbbbbbbbccccccccdddddddd}}",
         "auth: {jwt: {secret: aaaaaaaabbbbbbbbcccccccceeeeeeee}}", "auth.jwt.secret"},
        {"log: {access: true}", "log: {access: false}", "log.access"},
        {"api: {limit: {max: 300}}", "api: {limit: {max: 301}}", "api.limit.max"},
        {"server: {idle_timeout: 10s}", "server: {idle_timeout: 11s}", "server.idle_timeout"},
        {"server: {body: {max: 1KiB}}", "server: {body: {max: 2KiB}}", "server.body.max"},
        {"log: {level: info}", "log: {level: warn}", "log.level"},
        {"auth: {roles: [a, b]}", "auth: {roles: [a]}", "auth.roles"},
        {"auth: {roles: [a, b]}", "auth: {roles: [a, c]}", "auth.roles"},
        {"api: {search: ['t: a, b']}", "api: {search: ['t: a']}", "api.search"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct conf *running = load(rows[i].before);
        struct conf *now = load(rows[i].after);
        struct names names;

        change(&names, now, running);
        assert_string_equal(names.changed.p, rows[i].name);
        assert_string_equal(names.fixed.p, "");
        drop(&names);
        conf_free(now);
        conf_free(running);
    }
}

static void test_fixed(void **state)
{
    struct conf *running = load("database: {url: 'host=a'}\nserver: {listen: ['127.0.0.1:1']}\n");
    struct conf *now = load("database: {url: 'host=b'}\nserver: {listen: ['127.0.0.1:1', "
                            "'127.0.0.1:2'], workers: 3}\nlog: {level: debug}\n");
    struct names names;

    (void)state;
    change(&names, now, running);
    assert_string_equal(names.changed.p, "log.level");
    assert_string_equal(names.fixed.p, "server.listen, server.workers, database.url");
    assert_string_equal(now->database_url.p, "host=a");
    assert_int_equal(now->server_listen.n, 1);
    assert_int_equal(now->server_workers, 0);
    assert_int_equal(now->log_level, 0);
    drop(&names);

    /* The texts are those of the first, so that who took them at start may keep them. */
    assert_ptr_equal(now->database_url.p, running->database_url.p);
    conf_free(now);
    assert_string_equal(running->database_url.p, "host=a");
    conf_free(running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_each_type),
        cmocka_unit_test(test_fixed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
