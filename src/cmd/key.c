/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten key`: API keys. The key is shown once; what is kept is the line with its hash.
 */
#include <stdio.h>

#include "cmd/cmd.h"
#include "edge/api_keys.h"
#include "net/crypto.h"

enum { LINE_BYTES = 64 * 1024, ARENA_BYTES = 1 << 20 };

struct ask {
    const char *name;
    const char *role;
    const char *expires;
    const char *claims;
};

/* What the server would not read is not printed. */
static hs_status check_line(struct hs_str line, struct hs_err *reterr)
{
    struct edge_api_keys keys;
    struct hs_arena arena;
    hs_status status;

    hs_arena_init(&arena, ARENA_BYTES);
    status = edge_api_keys_read(line, &arena, &keys, reterr);
    if (!status && keys.n != 1)
        status = hs_fail(reterr, HS_E_CONFIG, "the name or the role has a character too many");
    hs_arena_fini(&arena);
    return status;
}

static hs_status make(const struct ask *ask, struct hs_buf *key, struct hs_buf *line,
                      struct hs_err *reterr)
{
    unsigned char random[EDGE_API_KEY_RANDOM];

    net_random(random, sizeof(random));
    edge_api_key_print(random, key);
    if (hs_buf_failed(key) ||
        !edge_api_key_line(hs_str(ask->name), hs_buf_str(key), hs_str(ask->role),
                           hs_str(ask->expires), hs_str(ask->claims), line))
        return hs_fail_memory(reterr);
    return check_line(hs_buf_str(line), reterr);
}

static void print(const struct hs_buf *key, const struct hs_buf *line)
{
    printf("The key, which is shown this once:\n    %.*s\n"
           "The line for the file of auth.keys.list_file:\n    %.*s\n",
           HS_FMT(hs_buf_str(key)), HS_FMT(hs_buf_str(line)));
}

/* CMD_OK, or the exit code with the fault printed. */
static int check_words(const struct args *args, const struct ask *ask)
{
    static const char hint[] = "For example: hasten key new billing --role member";

    if (args->n_rest != 2 || strcmp(args->rest[0], "new") != 0)
        return cmd_misused(hint, "what is to be done is not said: hasten key new NAME");
    return ask->role ? CMD_OK : cmd_misused(hint, "--role is missing");
}

int cmd_key(int argc, char **argv)
{
    struct ask ask = {.role = NULL, .expires = "", .claims = ""};
    const struct args_opt opts[] = {
        ARGS_TEXT("role", &ask.role, "ROLE", "database role of who shows the key (required)"),
        ARGS_TEXT("expires", &ask.expires, "DATE", "from when on it is refused (else never)"),
        ARGS_TEXT("claims", &ask.claims, "JSON", "an object that policies see as its claims"),
    };
    struct args args = {.command = "key", .opts = opts, .n_opts = HS_LEN(opts), .rest_max = 2};
    struct hs_buf line;
    struct hs_buf key;
    struct hs_err err;
    hs_status status;
    int code = args_parse(&args, argc, argv);

    if (code < 0)
        code = check_words(&args, &ask) ? CMD_USAGE : -1;
    if (code >= 0)
        return code;
    ask.name = args.rest[1];
    hs_buf_init(&key, EDGE_API_KEY_MAX);
    hs_buf_init(&line, LINE_BYTES);
    status = make(&ask, &key, &line, &err);
    if (status)
        cmd_complain(&err);
    else
        print(&key, &line);
    hs_buf_fini(&key);
    hs_buf_fini(&line);
    return status ? (status == HS_E_CONFIG ? CMD_USAGE : CMD_FAILED) : CMD_OK;
}
