/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/args.h - the options of a subcommand as one table: read, checked and explained from the same
 * rows.
 *
 *     bool fresh = false;
 *     uint64_t port = 8080;
 *     const struct args_opt opts[] = {
 *         ARGS_FLAG("fresh", &fresh, "start over"),
 *         ARGS_UINT("port", &port, "N", 1, 65535, "port to serve on (default 8080)"),
 *     };
 *     struct args args = {.command = "demo", .opts = opts, .n_opts = HS_LEN(opts)};
 *     int code = args_parse(&args, argc, argv);
 *
 *     if (code >= 0)
 *         return code;
 *
 * Forms: `--name value` and `--name=value`; `--help` and `-h` everywhere; `--` ends the options,
 * and all behind it is left in args.rest. Options and other words may be mixed. An option given
 * twice: the last one counts (a list takes all). A fault is printed with what to do instead.
 */
#ifndef CMD_ARGS_H
#define CMD_ARGS_H

#include "core/check.h"

enum { ARGS_LIST_MAX = 256 };

/* All values of a repeated option, in order; they point into argv. */
struct args_list {
    char *v[ARGS_LIST_MAX];
    size_t n;
};

enum args_kind {
    ARGS_KIND_FLAG,
    ARGS_KIND_TEXT,
    ARGS_KIND_UINT,
    ARGS_KIND_DECIMAL,
    ARGS_KIND_LIST
};

/* One row; written with the macros below. */
struct args_opt {
    const char *name; /* without the dashes */
    enum args_kind kind;
    union {
        bool *flag;
        const char **text;
        uint64_t *uint;
        double *decimal;
        struct args_list *list;
    } to;            /* the caller's; untouched if the option is absent */
    const char *arg; /* what the help calls the value; NULL for a flag */
    double min, max; /* of numbers */
    const char *help;
};

#define ARGS_FLAG(name, where, help)                                  \
    {                                                                 \
        (name), ARGS_KIND_FLAG, {.flag = (where)}, NULL, 0, 0, (help) \
    }
#define ARGS_TEXT(name, where, arg, help)                              \
    {                                                                  \
        (name), ARGS_KIND_TEXT, {.text = (where)}, (arg), 0, 0, (help) \
    }
#define ARGS_UINT(name, where, arg, min, max, help)                            \
    {                                                                          \
        (name), ARGS_KIND_UINT, {.uint = (where)}, (arg), (min), (max), (help) \
    }
#define ARGS_DECIMAL(name, where, arg, min, max, help)                               \
    {                                                                                \
        (name), ARGS_KIND_DECIMAL, {.decimal = (where)}, (arg), (min), (max), (help) \
    }
#define ARGS_LIST(name, where, arg, help)                              \
    {                                                                  \
        (name), ARGS_KIND_LIST, {.list = (where)}, (arg), 0, 0, (help) \
    }

struct args {
    const char *command; /* a name of the table in cmd/cmd.h */
    const struct args_opt *opts;
    size_t n_opts;
    size_t rest_max; /* words that are not options; more are an error */
    char **rest;     /* out: those words, in argv */
    size_t n_rest;
};

struct cmd;

/*
 * The options of a command from outside: `see` gets them once, and they live until it returns. The command
 * itself does nothing. For pages about commands; one thread, not from within `see`.
 */
typedef void args_see_f(void *ctx, const struct args *args);
void args_describe(const struct cmd *cmd, args_see_f *see, void *ctx);

/*
 * argv[0] is the subcommand's name; words may change places in argv. Returns -1 to go on, else the
 * exit code to return at once: 0 after --help, 2 after a fault (already printed).
 */
int args_parse(struct args *args, int argc, char **argv) hs_must_check;

#endif
