/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/args: what a command line means, and what is refused. The texts are seen in tests/e2e.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cmd/cmd.h"

struct parsed {
    bool fresh;
    const char *data;
    uint64_t port;
    double scale;
    struct args_list claims;
    char **rest;
    size_t n_rest;
};

enum { WORDS_MAX = ARGS_LIST_MAX + 8 };

/* Splits line at spaces into argv, in `words`, which must live as long as the result. */
static int parse(const char *line, size_t rest_max, char words[static 4096], struct parsed *to)
{
    static char *argv[WORDS_MAX + 1];
    const struct args_opt opts[] = {
        ARGS_FLAG("fresh", &to->fresh, "x"),
        ARGS_TEXT("data", &to->data, "DIR", "x"),
        ARGS_UINT("port", &to->port, "N", 1, 65535, "x"),
        ARGS_DECIMAL("seed-scale", &to->scale, "X", 0.1, 100, "x"),
        ARGS_LIST("claim", &to->claims, "NAME=VALUE", "x"),
    };
    struct args args = {
        .command = "demo", .opts = opts, .n_opts = HS_LEN(opts), .rest_max = rest_max};
    int argc = 0;
    int code;

    *to = (struct parsed){.data = "none", .port = 8080, .scale = 1};
    (void)snprintf(words, 4096, "demo %s", line);
    for (char *at = words; *at; argc++) {
        char *end = strchrnul(at, ' ');

        assert_true(argc < WORDS_MAX);
        argv[argc] = at;
        at = *end ? end + 1 : end;
        *end = '\0';
    }
    argv[argc] = NULL;
    code = args_parse(&args, argc, argv);
    to->rest = args.rest;
    to->n_rest = args.n_rest;
    return code;
}

static void test_forms(void **state)
{
    char words[4096];
    struct parsed p;

    (void)state;
    assert_int_equal(parse("", 0, words, &p), -1);
    assert_false(p.fresh);
    assert_string_equal(p.data, "none");
    assert_int_equal(parse("--data d --port 9 --fresh --seed-scale 0.5", 0, words, &p), -1);
    assert_true(p.fresh);
    assert_string_equal(p.data, "d");
    assert_int_equal(p.port, 9);
    assert_true(p.scale > 0.49 && p.scale < 0.51);
    assert_int_equal(parse("--data= --port=65535 --seed-scale=100", 0, words, &p), -1);
    assert_string_equal(p.data, "");
    assert_int_equal(p.port, 65535);
    assert_int_equal(parse("--data --fresh", 0, words, &p), -1);
    assert_string_equal(p.data, "--fresh");
    assert_false(p.fresh);
    assert_int_equal(parse("--port 1 --port 2", 0, words, &p), -1);
    assert_int_equal(p.port, 2);
    assert_int_equal(parse("--claim a=1 --claim=b=2", 0, words, &p), -1);
    assert_int_equal(p.claims.n, 2);
    assert_string_equal(p.claims.v[0], "a=1");
    assert_string_equal(p.claims.v[1], "b=2");
}

static void test_rest(void **state)
{
    char words[4096];
    struct parsed p;

    (void)state;
    assert_int_equal(parse("a --fresh b --data d -", 3, words, &p), -1);
    assert_int_equal(p.n_rest, 3);
    assert_string_equal(p.rest[0], "a");
    assert_string_equal(p.rest[1], "b");
    assert_string_equal(p.rest[2], "-");
    assert_int_equal(parse("--data d -- -c --fresh -- x", 9, words, &p), -1);
    assert_int_equal(p.n_rest, 4);
    assert_string_equal(p.rest[0], "-c");
    assert_string_equal(p.rest[1], "--fresh");
    assert_string_equal(p.rest[2], "--");
    assert_string_equal(p.rest[3], "x");
    assert_false(p.fresh);
}

static void test_faults(void **state)
{
    static const char *const lines[] = {
        "--dta d",          "--",  "--data",           "--fresh=1",          "--port x",
        "--port 0",         "-p",  "--port 65536",     "--port -1",          "--port=",
        "--port 1.0",       "a",   "--seed-scale 0",   "--seed-scale 100.1", "--seed-scale nan",
        "--seed-scale 0x1", "-hh", "--seed-scale 1e2", "--seed-scale 1.2.3", "--=x",
    };
    char words[4096];
    struct parsed p;

    (void)state;
    for (size_t i = 0; i < HS_LEN(lines); i++) {
        /* "--" alone is the end of the options, no fault. */
        int expected = strcmp(lines[i], "--") == 0 ? -1 : CMD_USAGE;
        int code = parse(lines[i], 0, words, &p);

        if (code != expected)
            fail_msg("%s: %d", lines[i], code);
    }
    assert_int_equal(parse("--help --nonsense", 0, words, &p), CMD_OK);
    assert_int_equal(parse("-h", 0, words, &p), CMD_OK);
    assert_int_equal(parse("-- -h", 1, words, &p), -1);
}

static void test_list_is_bounded(void **state)
{
    char words[4096], line[4096];
    struct parsed p;
    size_t n = 0;

    (void)state;
    for (int i = 0; i < ARGS_LIST_MAX; i++)
        n += (size_t)snprintf(line + n, sizeof(line) - n, "--claim=x ");
    line[n - 1] = '\0';
    assert_int_equal(parse(line, 0, words, &p), -1);
    assert_int_equal(p.claims.n, ARGS_LIST_MAX);
    (void)snprintf(line + n - 1, sizeof(line) - n, " --claim=x");
    assert_int_equal(parse(line, 0, words, &p), CMD_USAGE);
}

static void test_table_of_commands(void **state)
{
    (void)state;
    for (size_t i = 0; i < cmd_table_len; i++) {
        const struct cmd *c = &cmd_table[i];

        assert_ptr_equal(cmd_find(c->name), c);
        assert_non_null(c->run);
        assert_true(c->brief[0] && c->help[0]);
    }
    assert_null(cmd_find("nope"));
    assert_null(cmd_find(""));
}

static void see(void *ctx, const struct args *args)
{
    const struct args **seen = ctx;

    assert_null(*seen);
    *seen = args;
    for (size_t i = 0; i < args->n_opts; i++)
        assert_true(args->opts[i].name[0] && args->opts[i].help[0]);
}

static void test_commands_describe_themselves(void **state)
{
    char words[4096];
    struct parsed p;

    (void)state;
    for (size_t i = 0; i < cmd_table_len; i++) {
        const struct args *seen = NULL;

        args_describe(&cmd_table[i], see, &seen);
        assert_non_null(seen);
    }
    /* And --help prints again. */
    assert_int_equal(parse("--help", 0, words, &p), CMD_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_list_is_bounded),
        cmocka_unit_test(test_table_of_commands),
        cmocka_unit_test(test_commands_describe_themselves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
