/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every kind of fault in a configuration, with its exact text: the place, the option, what was
 * found and what was expected. No secret is in any of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "conf/conf_int.h"

struct row {
    const char *text;     /* of the file */
    const char *expected; /* the whole message, without "c.yaml:" */
};

#define TIME_IS "a duration with its unit (us, ms, s, min, h, d)"
#define SIZE_IS "a size with its unit (B, KiB, MiB, GiB)"
#define VARIABLE_IS "${NAME}, ${NAME:-default}, or $$ for a dollar sign"

#define AN_ADDRESS                                                                       \
    "expected a numeric address and a port from 0 to 65535: 127.0.0.1:8080, [::1]:8080 " \
    "or *:8080"

static const struct row faults[] = {
    /* Names. */
    {"server:\n  workres: 3\n", "2: server.workres: found an unknown key, expected server.workers"},
    {"databse:\n  url: x\n", "1: databse: found an unknown key, expected database"},
    {"\n\npool:\n  max: 3\n", "3: pool: found an unknown key, expected database.pool"},
    {"database:\n  max: 3\n", "2: database.max: found an unknown key, expected database.url"},
    {"zebra: 1\n",
     "1: zebra: found an unknown key, expected a name that `hasten config reference options` lists"},
    {"\"\": 1\n",
     "1: \"\": found an unknown key, expected a name that `hasten config reference options` lists"},
    {"\"a\\nb\": 1\n",
     "1: \"a\\x0ab\": found an unknown key, expected a name that `hasten config reference options` lists"},
    {"server.workers: 1\n",
     "1: server.workers: found a key with a dot, expected each part on a line of "
     "its own, one below the other"},
    {"server:\n  workers_file: x\n",
     "2: server.workers_file: found an unknown key, expected server.workers"},
    {"? [a]\n: b\n", "1: found a list, expected the name of an option"},
    {"server:\n  ? {a: b}\n  : c\n", "2: server: found a mapping, expected the name of an option"},
    /* Twice. */
    {"server:\n  workers: 1\n  backlog: 5\n  workers: 2\n",
     "4: server.workers: found the key again, first on line 2, expected it once"},
    {"server:\n  workers: 1\nlog:\nserver:\n  backlog: 5\n",
     "4: server: found the key again, first on line 1, expected it once"},
    {"database:\n  url: a\n  url_file: b\n",
     "3: database.url_file: found database.url as well on line 2, expected one of the two"},
    {"database:\n  url_file: /nonexistent/x\n",
     "2: database.url_file: found \"/nonexistent/x\" (No such file or directory), expected the path of a "
     "file that can be read"},
    /* Shape. */
    {"- a\n", "1: found a list, expected options, such as \"server:\""},
    {"postgresql://u:hush@h/d\n", "1: found a value, expected options, such as \"server:\""},
    {"database: postgresql://u:hush@h/d\n",
     "1: database: found a value, expected a mapping with options below it"},
    {"database:\n  - hush\n",
     "2: database: found a list, expected a mapping with options below it"},
    {"server:\n  workers:\n    - 1\n", "3: server.workers: found a list, expected a single value"},
    {"server:\n  workers:\n    n: 1\n",
     "3: server.workers: found a mapping, expected a single value"},
    {"auth:\n  roles:\n    - a\n    - b: c\n",
     "4: auth.roles: found a mapping, expected a text; put it in quotes"},
    {"auth:\n  roles: [a, [b]]\n", "2: auth.roles: found a list, expected a single value"},
    {"server: &x\n  workers: 1\n",
     "1: server: found an anchor or a tag, expected a mapping with options below it"},
    {"server:\n  workers: &x 1\n  backlog: *x\n",
     "2: server.workers: found an anchor or a tag, expected a single value"},
    {"server:\n  workers: *x\n", "2: server.workers: found an alias, expected a single value"},
    {"server: *x\n", "1: server: found an alias, expected a mapping with options below it"},
    {"log:\n  level: !!str info\n",
     "2: log.level: found an anchor or a tag, expected a single value"},
    {"auth:\n  roles: !x [a]\n",
     "2: auth.roles: found an anchor or a tag, expected a single value"},
    {"log:\n---\nlog:\n", "2: found a second document, expected one"},
    {"server:\n\tworkers: 1\n",
     "2: found a fault in the form (found character that cannot start any token), expected YAML"},
    {"log:\nx: \xff\n",
     "2: found a fault in the form (invalid leading UTF-8 octet), expected YAML"},
    {"auth:\n  roles: [a\n",
     "3: found a fault in the form (did not find expected ',' or ']'), expected YAML"},
    /* Types, units, ranges. */
    {"server:\n  workers: many\n",
     "2: server.workers: found \"many\", expected a whole number from 0 to 256"},
    {"server:\n  workers: -1\n",
     "2: server.workers: found \"-1\", expected a whole number from 0 to 256"},
    {"server:\n  workers: 1.0\n",
     "2: server.workers: found \"1.0\", expected a whole number from 0 to 256"},
    {"server:\n  workers: 257\n",
     "2: server.workers: found \"257\", expected a whole number from 0 to 256"},
    {"server:\n  workers: 18446744073709551616\n",
     "2: server.workers: found \"18446744073709551616\", expected a whole number from 0 to 256"},
    {"server:\n  workers:\n",
     "2: server.workers: found nothing, expected a whole number from 0 to 256"},
    {"server:\n  idle_timeout: 5\n",
     "2: server.idle_timeout: found \"5\", expected " TIME_IS " from 1s to 1d"},
    {"server:\n  idle_timeout: 5KiB\n",
     "2: server.idle_timeout: found \"5KiB\", expected " TIME_IS " from 1s to 1d"},
    {"server:\n  idle_timeout: 999ms\n",
     "2: server.idle_timeout: found \"999ms\", expected " TIME_IS " from 1s to 1d"},
    {"server:\n  idle_timeout: 25h\n",
     "2: server.idle_timeout: found \"25h\", expected " TIME_IS " from 1s to 1d"},
    {"server:\n  body:\n    max: 1024\n",
     "3: server.body.max: found \"1024\", expected " SIZE_IS " from 0B to 1GiB"},
    {"server:\n  body:\n    max: 2GiB\n",
     "3: server.body.max: found \"2GiB\", expected " SIZE_IS " from 0B to 1GiB"},
    {"server:\n  timing: yes\n", "2: server.timing: found \"yes\", expected true or false"},
    {"log:\n  format: xml\n", "2: log.format: found \"xml\", expected logfmt or json"},
    {"log:\n  level: INFO\n", "2: log.level: found \"INFO\", expected debug, info, warn or error"},
    {"log:\n  level: \"in\\x07fo\"\n",
     "2: log.level: found \"in\\x07fo\", expected debug, info, warn or error"},
    {"log:\n  level: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggggggghhhhhhhhhh\n",
     "2: log.level: found \"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggg...\", "
     "expected debug, info, warn or error"},
    {"database:\n  application_name: \"a\\0b\"\n",
     "2: database.application_name: found a NUL byte, expected text"},
    {"database:\n  url: \"hush\\0b\"\n", "2: database.url: found a NUL byte, expected text"},
    /* Lists. */
    {"auth:\n  roles:\n    - a\n    - b\n    - a\n",
     "3: auth.roles: found \"a\" twice, expected each item once"},
    {"auth:\n  roles: [a]\n  anonymous_role: v\n  limits:\n    - \"v: rows=5\"\n    - \"b: rows=5\"\n",
     "5: auth.limits: found \"b\", expected a role of auth.roles, or auth.anonymous_role"},
    {"auth:\n  roles: [a]\n  limits:\n    - \"a: rows=5\"\n    - \"a: body=1B\"\n",
     "4: auth.limits: found \"a: body=1B\", expected one row for each role"},
    {"auth:\n  roles: [a]\n  limits:\n    - \"a: rows=5 bodies=1B\"\n",
     "4: auth.limits: found \"bodies=1B\", expected statement_timeout=, rows= or body="},
    {"auth:\n  roles: a, b, a\n", "2: auth.roles: found \"a\" twice, expected each item once"},
    {"auth:\n  roles: a,,b\n", "2: auth.roles: found an empty item, expected a text"},
    {"auth:\n  roles: [\"\"]\n", "2: auth.roles: found an empty item, expected a text"},
    {"auth:\n  roles: [\"a\\0\"]\n", "2: auth.roles: found a NUL byte, expected text"},
    /* Variables. */
    {"log:\n  level: ${NOPE}\n",
     "2: log.level: found the variable \"NOPE\", which is not set, expected " VARIABLE_IS},
    {"log:\n  level: ${EMPTY}\n",
     "2: log.level: found nothing, expected debug, info, warn or error"},
    {"log:\n  level: ${NOPE:-loud}\n",
     "2: log.level: found \"loud\", expected debug, info, warn or error"},
    {"log:\n  level: ${NAME\n", "2: log.level: found \"${\" without \"}\", expected " VARIABLE_IS},
    {"database:\n  url: a${hu sh}\n",
     "2: database.url: found \"${...}\" without the name of a variable "
     "in it, expected " VARIABLE_IS},
    {"log:\n  level: ${}\n", "2: log.level: found \"${...}\" without the name of a variable in it, "
                             "expected " VARIABLE_IS},
    {"auth:\n  roles:\n    - a\n    - ${NOPE}\n",
     "4: auth.roles: found the variable \"NOPE\", which is not set, expected " VARIABLE_IS},
    /* What only the whole can show. */
    {"database:\n  pool:\n    min: 30\n",
     "3: database.pool.min: found 30, expected at most database.pool.max, which is 20"},
    {"database:\n  pool:\n    max: 4\n",
     "3: database.pool.max: found 4, expected at least database.pool.min, which is 5"},
    {"database:\n  pool:\n    retry_min: 10s\n",
     "3: database.pool.retry_min: found 10s, expected at most database.pool.retry_max, which is 5s"},
    {"api:\n  limit:\n    default: 2000\n",
     "3: api.limit.default: found 2000, expected at most api.limit.max, which is 1000"},
    {"server:\n  workers: 16\n", "2: server.workers: found 16, expected at most half of "
                                 "database.pool.max, which is 20 (a worker needs two)"},
    {"auth:\n  jwt:\n    secret: hushhushhushhushhushhushhushhus\n",
     "3: auth.jwt.secret: found 31 bytes, expected at least 32 bytes"},
    {"api:\n  cursor:\n    secret: hush\n",
     "3: api.cursor.secret: found 4 bytes, expected at least 32 bytes"},
    {"auth:\n  jwt:\n    public_key: hush\n",
     "3: auth.jwt.public_key: found something else, expected a "
     "PEM text that begins with -----BEGIN PUBLIC KEY-----"},
    {"auth:\n  anonymous_role: \"\"\n",
     "2: auth.anonymous_role: found \"\", expected the name of a role "
     "(leave the option out for none)"},
    {"auth:\n  anonymous_role: \" \"\n",
     "2: auth.anonymous_role: found \" \", expected the name of a "
     "role (leave the option out for none)"},
    {"auth:\n  anonymous_role: one_more\n  roles: "
     "r00,r01,r02,r03,r04,r05,r06,r07,r08,r09,r10,r11,r12,r13,r14,r15,"
     "r16,r17,r18,r19,r20,r21,r22,r23,r24,r25,r26,r27,r28,r29,r30,r31,"
     "r32,r33,r34,r35,r36,r37,r38,r39,r40,r41,r42,r43,r44,r45,r46,r47,"
     "r48,r49,r50,r51,r52,r53,r54,r55,r56,r57,r58,r59,r60,r61,r62,r63"
     "\n",
     "3: auth.roles: found 65 roles, expected at most 64, with auth.anonymous_role"},
    {"auth:\n  jwt:\n    role_claim: a..b\n",
     "3: auth.jwt.role_claim: found \"a..b\", expected the name "
     "of a claim, such as \"role\" or \"app.role\""},
    {"auth:\n  jwt:\n    role_claim: a.\n",
     "3: auth.jwt.role_claim: found \"a.\", expected the name of "
     "a claim, such as \"role\" or \"app.role\""},
    {"server:\n  listen: []\n",
     "2: server.listen: found an empty list, expected at least one address"},
    {"server:\n  listen: 8080\n", "2: server.listen: found \"8080\", " AN_ADDRESS},
    {"server:\n  listen: \"::1:80\"\n", "2: server.listen: found \"::1:80\", " AN_ADDRESS},
    {"server:\n  listen: \"a:65536\"\n", "2: server.listen: found \"a:65536\", " AN_ADDRESS},
    {"server:\n  listen: \"localhost:8080\"\n",
     "2: server.listen: found \"localhost:8080\", " AN_ADDRESS},
    {"server:\n  listen: \"0:8080\"\n", "2: server.listen: found \"0:8080\", " AN_ADDRESS},
    {"server:\n  listen: \"127.1:8080\"\n", "2: server.listen: found \"127.1:8080\", " AN_ADDRESS},
    {"server:\n  listen: \"[fe80::1%eth0]:80\"\n",
     "2: server.listen: found \"[fe80::1%eth0]:80\", " AN_ADDRESS},
    {"server:\n  listen: \"[::1:80\"\n", "2: server.listen: found \"[::1:80\", " AN_ADDRESS},
    {"server:\n  listen: \"[127.0.0.1]:80\"\n",
     "2: server.listen: found \"[127.0.0.1]:80\", " AN_ADDRESS},
    {"server:\n  listen: \"*x:80\"\n", "2: server.listen: found \"*x:80\", " AN_ADDRESS},
    {"server:\n  listen: \"127.0.0.1:+80\"\n",
     "2: server.listen: found \"127.0.0.1:+80\", " AN_ADDRESS},
    {"database:\n  schemas: []\n",
     "2: database.schemas: found an empty list, expected at least one schema"},
    {"database:\n  application_name: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg\n",
     "2: database.application_name: found "
     "\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg\", expected at most 63 bytes, "
     "as PostgreSQL keeps"},
    {"api:\n  path: api\n",
     "2: api.path: found \"api\", expected a path such as /api/v1: no / at its "
     "end, not /health or /metrics"},
    {"api:\n  path: /\n",
     "2: api.path: found \"/\", expected a path such as /api/v1: no / at its end, "
     "not /health or /metrics"},
    {"api:\n  path: /metrics\n",
     "2: api.path: found \"/metrics\", expected a path such as /api/v1: no / "
     "at its end, not /health or /metrics"},
    {"api:\n  path: /a b\n",
     "2: api.path: found \"/a b\", expected a path such as /api/v1: no / at its "
     "end, not /health or /metrics"},
    {"api:\n  search: clients\n",
     "2: api.search: found \"clients\", expected \"table: column, column\""},
    {"api:\n  relations: [\"a.b:\"]\n",
     "2: api.relations: found \"a.b:\", expected \"table.name: column -> table.column\""},
};

static char env_name[] = "NAME=value";
static char env_empty[] = "EMPTY=";
static char *const env[] = {env_name, env_empty, NULL};

static void check_fault(const struct conf_input *in, const char *expected)
{
    struct conf *conf = NULL;
    struct hs_err err;

    hs_err_clear(&err);
    if (conf_load_text(in, &conf, &err) == HS_OK)
        fail_msg("accepted:\n%.*s", HS_FMT(in->text));
    assert_null(conf);
    assert_int_equal(err.status, HS_E_CONFIG);
    assert_string_equal(err.what, expected);
    assert_null(strstr(err.what, "hush"));
}

static void test_file(void **state)
{
    char expected[HS_ERR_WHAT];

    (void)state;
    for (size_t i = 0; i < HS_LEN(faults); i++) {
        struct conf_input in = {.file = "c.yaml", .text = hs_str(faults[i].text), .env = env};

        (void)snprintf(expected, sizeof(expected), "c.yaml:%s", faults[i].expected);
        check_fault(&in, expected);
        /* A reader that does not want the text gets the status all the same. */
        assert_int_equal(conf_load_text(&in, &(struct conf *){NULL}, NULL), HS_E_CONFIG);
    }
}

static void test_environment(void **state)
{
    static const struct {
        const char *one;
        const char *two;
        const char *expected;
    } rows[] = {
        {"HASTEN_SERVER_WORKRES=3", NULL,
         "environment: found the unknown variable \"HASTEN_SERVER_WORKRES\", expected "
         "HASTEN_SERVER_WORKERS"},
        {"HASTEN_ZZZZZZZZZZZZZZZZZZZZZ=hush", NULL,
         "environment: found the unknown variable \"HASTEN_ZZZZZZZZZZZZZZZZZZZZZ\", expected a name that "
         "`hasten config reference options` lists"},
        {"HASTEN_SERVER_WORKERS_FILE=x", NULL,
         "environment: found the unknown variable \"HASTEN_SERVER_WORKERS_FILE\", expected "
         "HASTEN_SERVER_WORKERS"},
        {"HASTEN_SERVER_WORKERS=", NULL,
         "HASTEN_SERVER_WORKERS: server.workers: found nothing, expected "
         "a whole number from 0 to 256"},
        {"HASTEN_LOG_LEVEL=${NAME}", NULL,
         "HASTEN_LOG_LEVEL: log.level: found \"${NAME}\", expected "
         "debug, info, warn or error"},
        {"HASTEN_LOG_LEVEL=\xff\x80", NULL,
         "HASTEN_LOG_LEVEL: log.level: found \"\\xff\\x80\", expected "
         "debug, info, warn or error"},
        {"HASTEN_API_PATH=/\xff", NULL,
         "HASTEN_API_PATH: api.path: found bytes that are not UTF-8, expected text"},
        {"HASTEN_DATABASE_URL=hush", "HASTEN_DATABASE_URL_FILE=/x",
         "HASTEN_DATABASE_URL_FILE: database.url_file: found database.url as well, expected one of the "
         "two"},
        {"HASTEN_DATABASE_URL_FILE=", NULL,
         "HASTEN_DATABASE_URL_FILE: database.url_file: found nothing, "
         "expected the path of a file"},
        {"HASTEN_DATABASE_POOL_MAX=2", NULL,
         "HASTEN_DATABASE_POOL_MAX: database.pool.max: found 2, "
         "expected at least database.pool.min, which is 5"},
        {"HASTEN_AUTH_ANONYMOUS_ROLE=", NULL,
         "HASTEN_AUTH_ANONYMOUS_ROLE: auth.anonymous_role: found \"\", expected the name of a role (leave "
         "the option out for none)"},
        {"HASTEN_AUTH_JWT_SECRET=hush", NULL,
         "HASTEN_AUTH_JWT_SECRET: auth.jwt.secret: found 4 bytes, expected at least 32 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        char one[128], two[128];
        char *const vars[] = {one, rows[i].two ? two : NULL, NULL};
        struct conf_input in = {.env = vars};

        (void)snprintf(one, sizeof(one), "%s", rows[i].one);
        (void)snprintf(two, sizeof(two), "%s", rows[i].two ? rows[i].two : "");
        check_fault(&in, rows[i].expected);
    }
}

static void test_command_line(void **state)
{
    static const struct {
        struct conf_override override;
        const char *expected;
    } rows[] = {
        {{"server.worker", "1"},
         "command line: found the unknown option \"server.worker\", expected server.workers"},
        {{"", "hush"},
         "command line: found the unknown option \"\", expected a name that `hasten config "
         "reference options` lists"},
        {{"server", "1"},
         "command line: found the section \"server\", expected a name that `hasten "
         "config reference options` lists"},
        {{"server.workers", "x"},
         "command line: server.workers: found \"x\", expected a whole number "
         "from 0 to 256"},
        {{"database.pool.min", "21"},
         "command line: database.pool.min: found 21, expected at most "
         "database.pool.max, which is 20"},
    };

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        struct conf_input in = {.overrides = &rows[i].override, .n_overrides = 1};

        check_fault(&in, rows[i].expected);
    }
}

/* Variables may be long, and a value may name one many times. */
static void test_too_long(void **state)
{
    static char big[100000], text[4096];
    char *const vars[] = {big, NULL};
    struct conf_input in = {.file = "c.yaml", .env = vars};
    size_t n;

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    memcpy(big, "BIG=", 4);
    n = (size_t)snprintf(text, sizeof(text), "api:\n  path: ");
    for (int i = 0; i < 11; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "${BIG}");
    in.text = hs_strn(text, n);
    check_fault(&in, "c.yaml:2: api.path: found more than 1 MiB of text, expected " VARIABLE_IS);
}

static void test_long_file_name(void **state)
{
    char name[300];
    struct conf_input in = {.file = name, .text = HS_STR("x: 1\n")};
    struct conf *conf = NULL;
    struct hs_err err;

    (void)state;
    memset(name, 'd', sizeof(name));
    memcpy(name + sizeof(name) - 8, "/c.yaml", 8);
    assert_int_equal(conf_load_text(&in, &conf, &err), HS_E_CONFIG);
    assert_memory_equal(err.what, "...ddd", 6);
    assert_non_null(strstr(err.what, "/c.yaml:1: x: found an unknown key"));
}

static void test_missing_file(void **state)
{
    struct conf *conf = NULL;
    struct hs_err err;

    (void)state;
    hs_err_clear(&err);
    assert_int_equal(conf_load(&(struct conf_sources){.file = "/nonexistent/c.yaml"}, &conf, &err),
                     HS_E_CONFIG);
    assert_string_equal(err.what,
                        "cannot read the configuration file /nonexistent/c.yaml: No such file "
                        "or directory");
    assert_int_equal(conf_load(&(struct conf_sources){.file = "/"}, &conf, &err), HS_E_CONFIG);
    assert_string_equal(err.what, "cannot read the configuration file /: Is a directory");
    assert_int_equal(conf_load(&(struct conf_sources){.file = "/dev/zero"}, &conf, &err),
                     HS_E_CONFIG);
    assert_string_equal(err.what, "cannot read the configuration file /dev/zero: File too large");
    assert_null(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),           cmocka_unit_test(test_environment),
        cmocka_unit_test(test_command_line),   cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_long_file_name), cmocka_unit_test(test_missing_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
