/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/cmd.h - the subcommands: one table that main, `hasten help` and the tests read.
 *
 * A subcommand gets argv with its own name in argv[0] and returns the exit code: 0 done, 1 it
 * failed while running, 2 it was asked wrongly (arguments, configuration). Output goes to standard
 * output, complaints to standard error.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "cmd/args.h"
#include "conf/conf.h"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

struct cmd {
    const char *name;
    const char *args;  /* "check|show [--config FILE]" */
    const char *brief; /* one line */
    const char *help;  /* paragraphs, one line each; the options follow from args.h */
    int (*run)(int argc, char **argv);
};

extern const struct cmd cmd_table[];
extern const size_t cmd_table_len;

/* The row of that name, or NULL. */
const struct cmd *cmd_find(const char *name);

int cmd_admin(int argc, char **argv);
int cmd_cache(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_key(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_psql(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* Picks the subcommand: all of main(). */
int cmd_main(int argc, char **argv);

/* "hasten: what", and the reason and the advice on lines of their own, on standard error. */
void cmd_complain(const struct hs_err *err);
/* The same from a format, with an advice that may be NULL; returns CMD_USAGE. */
int cmd_misused(const char *hint, const char *fmt, ...) hs_printf_like(2, 3);

/* Prints and frees what was written; returns the exit code. */
int cmd_print(struct hs_buf *out);

/*
 * The rows --config FILE and --set name=value that commands with a configuration share, and what
 * comes of them. Without --config the file is $HASTEN_CONFIG, else there is none. 0 = *ret_conf is
 * the caller's (conf_free), else the exit code; the fault is printed.
 */
#define CMD_CONF_OPTS(file, sets)                                                               \
    ARGS_TEXT("config", (file), "FILE", "configuration file (else $HASTEN_CONFIG, else none)"), \
        ARGS_LIST("set", (sets), "NAME=VALUE",                                                  \
                  "set an option, stronger than file and environment")
/* For commands that may run on a configuration of PostgREST's. */
#define CMD_POSTGREST_OPT(postgrest)                 \
    ARGS_TEXT("postgrest-conf", (postgrest), "FILE", \
              "a configuration of PostgREST instead; PGRST_* variables count, too")
/* Where a configuration comes from, to be read more than once. */
struct cmd_conf_source {
    const char *file;                              /* NULL = none */
    bool is_postgrest;                             /* it is one of PostgREST's */
    struct conf_override overrides[ARGS_LIST_MAX]; /* point into argv */
    size_t n_overrides;
};
/*
 * Takes the rows apart, once. Without any file, and with PGRST_DB_URI among the variables, PostgREST's count. 0 or the exit code, with the fault printed. */
int cmd_conf_source(const char *file, const char *postgrest, struct args_list *sets,
                    struct cmd_conf_source *ret_source) hs_must_check;
/* As conf_load(). */
hs_status cmd_conf_read(const struct cmd_conf_source *source, struct conf **ret_conf,
                        struct hs_err *reterr) hs_must_check;
/* Both at once. */
int cmd_conf_load(const char *file, const char *postgrest, struct args_list *sets,
                  struct conf **ret_conf) hs_must_check;

#endif
