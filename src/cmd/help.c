/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of subcommands, and what can be said from it: the help, the version, the way to a
 * command. The rule: whatever the program can do is a row here, so that `hasten help` cannot forget
 * it. Options are explained by the commands themselves (cmd/args.h): `hasten help X` asks X for
 * --help.
 */
#include <stdarg.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "core/nearest.h"

#ifndef HS_VERSION
#error "HS_VERSION comes from the build"
#endif

const struct cmd cmd_table[] = {
    {"serve", "[--config FILE] [--set NAME=VALUE]...", "serve the API over a PostgreSQL database",
     "Connects to the database of the configuration (database.url, or the PG* variables) and serves its\n"
     "tables over HTTP until SIGTERM or SIGINT, which lets requests under way finish. SIGHUP reads the\n"
     "configuration and the database's catalog again; a bad configuration is refused, and the old one\n"
     "serves on.",
     cmd_serve},
    {"admin", "pause | resume | reload | status", "ask a running server",
     "pause   holds statements back and closes all connections to the database, so that it can be\n"
     "        switched or restarted; answers when all is quiet. Ends by itself after --timeout, or at\n"
     "        once where not all is quiet by then\n"
     "resume  lets them go on, with new connections\n"
     "reload  reads the configuration and the catalog again, as SIGHUP does, and says what changed\n"
     "status  says whether it is paused, and counts connections and waiting statements\n\n"
     "The server is found by its admin.socket: --socket, or that of the configuration, or the demo's.",
     cmd_admin},
    {"cache", "stats | top | purge | explain URL", "look into a running server's cache",
     "stats    what is kept, what became of requests, and how fresh the cache is proven to be\n"
     "top      the kept answers with the most hits\n"
     "purge    forgets what one of --table, --tenant, --user, --pattern and --all covers, and says how much\n"
     "         that was\n"
     "explain  says of an address under which key its answer is kept and what it depends on, whether it would\n"
     "         be a hit now and why not, and what ends it; asks the database nothing\n\n"
     "The server is found by its admin.socket: --socket, or that of the configuration, or the demo's.",
     cmd_cache},
    {"config", "check | show | reference [options|errors|metrics|postgrest|man]",
     "check, show or explain the options",
     "check      says whether the configuration is right, and what is unset but advisable\n"
     "show       prints every option with its value and origin; secrets are masked\n"
     "reference  prints the reference of all options, of all errors, or of all metrics, as Markdown, or\n"
     "           the manual page",
     cmd_config},
    {"doctor", "[--config FILE] [--json]", "say what the cache needs of the database",
     "Looks at the database for all that the coherent cache needs: settings, the login, schema hasten, the\n"
     "tables. Says for each finding what is wrong, why, what to run and as whom, and what is lost without it.\n"
     "Changes nothing. Exit codes: 0 nothing costs the cache (there may be advice), 1 something does, or the\n"
     "database could not be asked, 2 asked wrongly.",
     cmd_doctor},
    {"key", "new NAME --role ROLE [--claims JSON] [--expires DATE]", "make an API key",
     "new  prints a key, once, and the line that makes it known: put that into the file of\n"
     "     auth.keys.list_file and reload. Only a hash of the key is in it. --expires is 2027-01-31 or\n"
     "     2027-01-31T12:00:00Z; --claims is what policies see as request.jwt.claims.",
     cmd_key},
    {"migrate", "up | status | verify | new NAME", "apply numbered SQL files to a database",
     "up      applies the files NNNN_name.sql that the database has not had, in order, each in one\n"
     "        transaction with its record in hasten.migration\n"
     "status  lists all of them and what became of each\n"
     "verify  fails unless every file is applied and unchanged\n"
     "new     makes the next file\n\n"
     "Connects to migrate.url, else to database.url, else by the PG* variables. Exit codes: 0 done,\n"
     "1 failed (or verify found a difference), 2 asked wrongly.",
     cmd_migrate},
    {"demo", "[--app DIR] [--data DIR] [--port N] [--fresh] [--seed-scale X]",
     "a private PostgreSQL, an example application, and the API over it",
     "Makes a PostgreSQL cluster of its own, loads the example application, serves it on the loopback\n"
     "address and prints what to try. Ctrl-C stops all of it. A second run finds everything in place.",
     cmd_demo},
    {"psql", "[--data DIR] [-- PSQL-ARGUMENTS]", "psql in the demo's database, as its owner",
     "Opens psql in the database of the demo, also while the demo runs. What follows -- goes to psql.",
     cmd_psql},
    {"token", "[--data DIR] --role ROLE [--claim NAME=VALUE]...", "sign a token for the demo",
     "Prints a token that the demo accepts: for `Authorization: Bearer TOKEN`.", cmd_token},
    {"completion", "bash | zsh | fish", "print completions for a shell",
     "Prints a script that lets the shell complete commands, options and settings.\n\n"
     "bash  `source <(hasten completion bash)` in ~/.bashrc, or into a file named hasten in\n"
     "      /usr/share/bash-completion/completions\n"
     "zsh   into a file named _hasten in a folder of $fpath\n"
     "fish  into ~/.config/fish/completions/hasten.fish",
     cmd_completion},
    {"help", "[COMMAND]", "explain a command", "Explains a command, or lists all of them.",
     cmd_help},
    {"version", "", "print the version", "Prints the version.", cmd_version},
};

const size_t cmd_table_len = HS_LEN(cmd_table);

const struct cmd *cmd_find(const char *name)
{
    for (size_t i = 0; i < cmd_table_len; i++) {
        if (strcmp(cmd_table[i].name, name) == 0)
            return &cmd_table[i];
    }
    return NULL;
}

void cmd_complain(const struct hs_err *err)
{
    (void)fprintf(stderr, "hasten: %s\n", err->what);
    if (err->why[0])
        (void)fprintf(stderr, "  why: %s\n", err->why);
    if (err->hint[0])
        (void)fprintf(stderr, "  hint: %s\n", err->hint);
}

int cmd_misused(const char *hint, const char *fmt, ...)
{
    struct hs_err err;
    va_list args;

    hs_err_clear(&err);
    va_start(args, fmt);
    (void)vsnprintf(err.what, sizeof(err.what), fmt, args);
    va_end(args);
    hs_err_hint(&err, "%s", hint ? hint : "");
    cmd_complain(&err);
    return CMD_USAGE;
}

static int unknown_command(const char *name)
{
    struct hs_nearest near;
    struct hs_str best;
    char hint[96] = "See `hasten help`.";

    hs_nearest_start(&near, hs_str(name));
    for (size_t i = 0; i < cmd_table_len; i++)
        hs_nearest_offer(&near, hs_str(cmd_table[i].name));
    best = hs_nearest_best(&near);
    if (best.p)
        (void)snprintf(hint, sizeof(hint), "Did you mean `hasten %.*s`?", HS_FMT(best));
    return cmd_misused(hint, "there is no command \"%.100s\"", name);
}

static void print_overview(FILE *to)
{
    (void)fprintf(to,
                  "hasten: a fast HTTP API over PostgreSQL\n\nusage: hasten COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < cmd_table_len; i++)
        (void)fprintf(to, "  %-11s %s\n", cmd_table[i].name, cmd_table[i].brief);
    (void)fprintf(to, "\n`hasten help COMMAND` says more. To begin: `hasten demo`.\n");
}

int cmd_help(int argc, char **argv)
{
    struct args args = {.command = "help", .rest_max = 1};
    int code = args_parse(&args, argc, argv);
    char flag[] = "--help";
    const struct cmd *cmd;

    if (code >= 0)
        return code;
    if (args.n_rest == 0) {
        print_overview(stdout);
        return CMD_OK;
    }
    cmd = cmd_find(args.rest[0]);
    if (!cmd)
        return unknown_command(args.rest[0]);
    return cmd->run(2, (char *[]){args.rest[0], flag, NULL});
}

int cmd_version(int argc, char **argv)
{
    struct args args = {.command = "version"};
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    (void)printf("hasten %s\n", HS_VERSION);
    return CMD_OK;
}

int cmd_main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const struct cmd *cmd;
    int code;

    if (argc < 2) {
        print_overview(stderr);
        return CMD_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0)
        name = "version";
    cmd = cmd_find(name);
    if (!cmd)
        return unknown_command(name);
    code = cmd->run(argc - 1, argv + 1);
    /* A full disk or a closed pipe must not pass for success. */
    if (fflush(stdout) != 0 && code == CMD_OK)
        code = CMD_FAILED;
    return code;
}
