/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over argv; the words that are no options are gathered at its front, as getopt_long(3)
 * would permute them. The rule: an option means one thing in one spelling; abbreviations,
 * single-letter options and bundles are refused (only -h is known), so that a script reads the same
 * in ten years.
 */
#include "cmd/args.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "core/nearest.h"

enum { HELP_COLUMN = 26 };

/*
 * Who gets the table instead of the reader of --help. A command's options point to variables of its own, so
 * its table exists only while the command runs.
 */
static struct {
    args_see_f *see;
    void *ctx;
} viewer;

static int misused(const struct args *args, const char *what, struct hs_str word)
{
    char hint[96];

    (void)snprintf(hint, sizeof(hint), "See `hasten help %s`.", args->command);
    return cmd_misused(hint, "%s \"%.*s\"", what, HS_FMT(word));
}

static int unknown_option(const struct args *args, struct hs_str name)
{
    struct hs_nearest near;
    struct hs_str best;
    char hint[128];

    hs_nearest_start(&near, name);
    for (size_t i = 0; i < args->n_opts; i++)
        hs_nearest_offer(&near, hs_str(args->opts[i].name));
    best = hs_nearest_best(&near);
    if (!best.p)
        (void)snprintf(hint, sizeof(hint), "See `hasten help %s`.", args->command);
    else
        (void)snprintf(hint, sizeof(hint), "Did you mean --%.*s?", HS_FMT(best));
    return cmd_misused(hint, "%s has no option --%.*s", args->command, HS_FMT(name));
}

static int bad_number(const struct args_opt *o, const char *value)
{
    char hint[128];

    (void)snprintf(hint, sizeof(hint), "Write a %snumber from %.10g to %.10g.",
                   o->kind == ARGS_KIND_UINT ? "whole " : "", o->min, o->max);
    return cmd_misused(hint, "--%s cannot be \"%s\"", o->name, value);
}

static int take_uint(const struct args_opt *o, const char *value)
{
    uint64_t v;

    if (!hs_str_to_u64(hs_str(value), &v) || (double)v < o->min || (double)v > o->max)
        return bad_number(o, value);
    *o->to.uint = v;
    return -1;
}

static int take_decimal(const struct args_opt *o, const char *value)
{
    char *end;
    double v;

    /* Only digits and a point: no "inf", no hexadecimal. */
    if (value[0] == '\0' || strspn(value, "0123456789.") != strlen(value))
        return bad_number(o, value);
    v = strtod(value, &end);
    if (*end || !isfinite(v) || v < o->min || v > o->max)
        return bad_number(o, value);
    *o->to.decimal = v;
    return -1;
}

static int take(const struct args_opt *o, char *value)
{
    switch (o->kind) {
    case ARGS_KIND_UINT:
        return take_uint(o, value);
    case ARGS_KIND_DECIMAL:
        return take_decimal(o, value);
    case ARGS_KIND_LIST:
        if (o->to.list->n == ARGS_LIST_MAX)
            return cmd_misused("Put them into a file.", "--%s is given more than %d times", o->name,
                               (int)ARGS_LIST_MAX);
        o->to.list->v[o->to.list->n++] = value;
        return -1;
    case ARGS_KIND_TEXT:
        *o->to.text = value;
        return -1;
    case ARGS_KIND_FLAG:
        break;
    }
    *o->to.flag = true;
    return -1;
}

/* word begins with "--"; *next is the word behind it, which becomes NULL if it was the value. */
static int read_option(const struct args *args, char *word, char **next)
{
    struct hs_str name = hs_str(word + 2);
    char *value = strchr(word + 2, '=');
    const struct args_opt *o = NULL;

    if (value)
        name.n = (size_t)(value++ - name.p);
    for (size_t i = 0; i < args->n_opts; i++) {
        if (hs_str_is(name, args->opts[i].name))
            o = &args->opts[i];
    }
    if (!o)
        return unknown_option(args, name);
    if (o->kind == ARGS_KIND_FLAG && value)
        return cmd_misused("Leave out what follows the \"=\".", "--%s takes no value", o->name);
    if (o->kind != ARGS_KIND_FLAG && !value) {
        if (!*next) {
            char hint[96];

            (void)snprintf(hint, sizeof(hint), "Write --%s %s.", o->name, o->arg);
            return cmd_misused(hint, "--%s needs a value", o->name);
        }
        value = *next;
        *next = NULL;
    }
    return take(o, value);
}

static int print_help(const struct args *args)
{
    const struct cmd *cmd = cmd_find(args->command);

    HS_BUG_ON(!cmd);
    if (viewer.see) {
        viewer.see(viewer.ctx, args);
        viewer.see = NULL;
        return CMD_OK;
    }
    (void)printf("usage: hasten %s%s%s\n\n%s\n", cmd->name, cmd->args[0] ? " " : "", cmd->args,
                 cmd->help);
    if (args->n_opts)
        (void)printf("\noptions:\n");
    for (size_t i = 0; i < args->n_opts; i++) {
        const struct args_opt *o = &args->opts[i];
        int n = printf("  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");

        if (n >= HELP_COLUMN)
            (void)printf("\n%*s", HELP_COLUMN, "");
        else
            (void)printf("%*s", HELP_COLUMN - n, "");
        (void)printf("%s\n", o->help);
    }
    return CMD_OK;
}

void args_describe(const struct cmd *cmd, args_see_f *see, void *ctx)
{
    char name[32];
    char flag[] = "--help";
    int code;

    (void)snprintf(name, sizeof(name), "%s", cmd->name);
    viewer.see = see;
    viewer.ctx = ctx;
    code = cmd->run(2, (char *[]){name, flag, NULL});
    /* A command that does anything before it reads its arguments is wrong. */
    HS_BUG_ON(code != CMD_OK || viewer.see);
}

int args_parse(struct args *args, int argc, char **argv)
{
    bool is_open = true; /* no "--" yet */
    int n = 0;

    args->rest = argv;
    for (int i = 1; i < argc && argv[i]; i++) {
        char *word = argv[i];

        if (is_open && strcmp(word, "--") == 0) {
            is_open = false;
        } else if (is_open && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            return print_help(args);
        } else if (is_open && strncmp(word, "--", 2) == 0) {
            char *next = i + 1 < argc ? argv[i + 1] : NULL;
            bool had_next = next != NULL;
            int code = read_option(args, word, &next);

            if (code >= 0)
                return code;
            i += had_next && !next;
        } else if (is_open && word[0] == '-' && word[1]) {
            return misused(args, "there is no option", hs_str(word));
        } else if ((size_t)n == args->rest_max) {
            return misused(args, "one word too many:", hs_str(word));
        } else {
            argv[n++] = word;
        }
    }
    args->n_rest = (size_t)n;
    return -1;
}
