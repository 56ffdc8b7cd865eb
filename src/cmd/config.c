/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten config check|show|reference`, and the loading of the configuration that commands share.
 *
 * The rule: what check accepts, serve accepts. Both come here, with the same file, environment and
 * command line, and nothing else is looked at: neither the network nor the database. A fault of the
 * configuration is exit code 2, as a fault of the arguments is: the one who called has to correct
 * it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "cmd/named.h"
#include "cmd/reference.h"
#include "cmd/serve.h"

enum { OUTPUT_MAX = 16 << 20 };

/* Cuts "name=value" in place, in argv, so that both are texts. */
static bool to_override(char *word, struct conf_override *ret)
{
    char *equals = strchr(word, '=');

    if (!equals || equals == word)
        return false;
    *equals = '\0';
    *ret = (struct conf_override){.name = word, .value = equals + 1};
    return true;
}

int cmd_conf_source(const char *file, const char *postgrest, struct args_list *sets,
                    struct cmd_conf_source *ret_source)
{
    if (file && postgrest)
        return cmd_misused("Name one of them.", "there is --config and \"%s\"", "--postgrest-conf");
    for (size_t i = 0; i < sets->n; i++) {
        if (!to_override(sets->v[i], &ret_source->overrides[i]))
            return cmd_misused("Write --set NAME=VALUE, as in --set log.level=debug.",
                               "--set cannot be \"%.100s\"", sets->v[i]);
    }
    if (!file && !postgrest)
        file = secure_getenv("HASTEN_CONFIG");
    if (file && !file[0])
        file = NULL;
    ret_source->file = postgrest ? postgrest : file;
    ret_source->is_postgrest = postgrest || (!file && secure_getenv("PGRST_DB_URI"));
    ret_source->n_overrides = sets->n;
    return CMD_OK;
}

hs_status cmd_conf_read(const struct cmd_conf_source *source, struct conf **ret_conf,
                        struct hs_err *reterr)
{
    hs_err_clear(reterr);
    return conf_load(&(struct conf_sources){.file = source->file,
                                            .is_postgrest = source->is_postgrest,
                                            .overrides = source->overrides,
                                            .n_overrides = source->n_overrides},
                     ret_conf, reterr);
}

int cmd_conf_load(const char *file, const char *postgrest, struct args_list *sets,
                  struct conf **ret_conf)
{
    struct cmd_conf_source source;
    struct hs_err err;
    int code = cmd_conf_source(file, postgrest, sets, &source);

    if (code)
        return code;
    if (cmd_conf_read(&source, ret_conf, &err)) {
        cmd_complain(&err);
        return err.status == HS_E_CONFIG ? CMD_USAGE : CMD_FAILED;
    }
    return CMD_OK;
}

int cmd_print(struct hs_buf *out)
{
    int code = CMD_OK;

    if (hs_buf_failed(out)) {
        (void)fprintf(stderr, "hasten: out of memory\n");
        code = CMD_FAILED;
    } else if (out->n && fwrite(out->p, 1, out->n, stdout) != out->n) {
        code = CMD_FAILED;
    }
    hs_buf_fini(out);
    return code;
}

/* The named queries as far as they are understood without the database; the exit code. */
static int check_named(const struct conf *conf)
{
    struct named_source *sources;
    struct hs_arena arena;
    struct hs_err err;
    int code = CMD_OK;
    size_t n = 0;

    hs_arena_init(&arena, CMD_NAMED_BYTES_MAX);
    if (cmd_named_read(conf, &arena, &sources, &n, &err)) {
        cmd_complain(&err);
        code = err.status == HS_E_CONFIG ? CMD_USAGE : CMD_FAILED;
    }
    for (size_t i = 0; i < n; i++) {
        if (sources[i].err.status) {
            cmd_complain(&sources[i].err);
            code = CMD_USAGE;
        }
    }
    hs_arena_fini(&arena);
    return code;
}

static int check(const struct conf *conf)
{
    struct hs_buf out;
    struct hs_err err;
    int code = check_named(conf);

    if (!code && serve_auth_check(conf, &err)) {
        cmd_complain(&err);
        code = CMD_USAGE;
    }
    if (code)
        return code;
    hs_buf_init(&out, OUTPUT_MAX);
    hs_buf_add_lit(&out, "ok\n");
    conf_advise(conf, &out);
    return cmd_print(&out);
}

static int show(const struct conf *conf)
{
    struct hs_buf out;

    hs_buf_init(&out, OUTPUT_MAX);
    conf_show(conf, &out);
    return cmd_print(&out);
}

static int reference(const char *which)
{
    struct hs_buf out;

    hs_buf_init(&out, OUTPUT_MAX);
    if (strcmp(which, "options") == 0)
        conf_reference(&out);
    else if (strcmp(which, "errors") == 0)
        cmd_reference_errors(&out);
    else if (strcmp(which, "metrics") == 0)
        cmd_reference_metrics(&out);
    else if (strcmp(which, "postgrest") == 0)
        conf_reference_postgrest(&out);
    else if (strcmp(which, "man") == 0)
        cmd_reference_man(&out);
    else
        return cmd_misused("There are options, errors, metrics, postgrest and man.",
                           "there is no reference of \"%.100s\"", which);
    return cmd_print(&out);
}

int cmd_config(int argc, char **argv)
{
    const char *file = NULL;
    struct args_list sets = {.n = 0};
    const char *postgrest = NULL;
    const struct args_opt opts[] = {CMD_CONF_OPTS(&file, &sets), CMD_POSTGREST_OPT(&postgrest)};
    struct args args = {.command = "config", .opts = opts, .n_opts = HS_LEN(opts), .rest_max = 2};
    int code = args_parse(&args, argc, argv);
    struct conf *conf = NULL;
    const char *what;
    bool is_check;

    if (code >= 0)
        return code;
    what = args.n_rest ? args.rest[0] : "";
    is_check = strcmp(what, "check") == 0;
    if (strcmp(what, "reference") == 0)
        return reference(args.n_rest > 1 ? args.rest[1] : "options");
    if (!is_check && strcmp(what, "show") != 0)
        return cmd_misused("Write `hasten config check`, `show` or `reference`.",
                           "config cannot do \"%.100s\"", what);
    if (args.n_rest > 1)
        return cmd_misused("A file is named with --config.", "config %s takes no word \"%.100s\"",
                           what, args.rest[1]);
    code = cmd_conf_load(file, postgrest, &sets, &conf);
    if (code)
        return code;
    code = is_check ? check(conf) : show(conf);
    conf_free(conf);
    return code;
}
