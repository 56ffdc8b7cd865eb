/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten completion bash|zsh|fish`: a script for the shell, written from the table of commands, their
 * options and the names in conf/options.def.
 *
 * The rule: nothing about one command stands here. Words come from the synopsis of cmd.h, which is read as
 *
 *     word ["[" word "|" word ... "]"] | word ...        config: check | show | reference [options|errors]
 *     "[COMMAND]"                                        the name of a command
 *
 * (all else in it is for people), and what an option takes is told by the word for its value: FILE and PATH
 * are files, DIR is a folder, and --set takes a setting. The scripts ask hasten for nothing while they run:
 * a completion is typed to a machine that may be in trouble.
 *
 * Source: bash manual, 8.6 and 8.7; zshcompsys(1); complete(1) of fish.
 */
#include "cmd/cmd.h"

enum { SCRIPT_MAX = 1 << 20, WORDS_MAX = 16 };

/* What an option's value can be completed with. */
enum value { VALUE_FLAG = 1, VALUE_ANY = 2, VALUE_FILE = 4, VALUE_DIR = 8, VALUE_SETTING = 16 };

/* A fixed word of a synopsis, and the words that may stand behind it: "a|b|c" or nothing. */
struct word {
    struct hs_str word;
    struct hs_str then;
};

static const char *const settings[] = {
#define CONF(type, field, name, def, min, max, prose) name,
#include "conf/options.def"
#undef CONF
};

/* Where an option is written from, while args_describe() shows a command's table. */
struct writer {
    struct hs_buf *out;
    const struct cmd *cmd;
    unsigned values; /* those of enum value that are asked for */
    bool is_later;   /* something was written */
};

/* ---- what the tables say ---- */

static unsigned value_of(const struct args_opt *o)
{
    if (!o->arg)
        return VALUE_FLAG;
    if (strcmp(o->name, "set") == 0)
        return VALUE_SETTING;
    if (strcmp(o->arg, "FILE") == 0 || strcmp(o->arg, "PATH") == 0)
        return VALUE_FILE;
    return strcmp(o->arg, "DIR") == 0 ? VALUE_DIR : VALUE_ANY;
}

static bool is_fixed(struct hs_str word)
{
    for (size_t i = 0; i < word.n; i++) {
        if ((word.p[i] < 'a' || word.p[i] > 'z') && word.p[i] != '-')
            return false;
    }
    return word.n > 0 && word.p[0] != '-';
}

/* The end of the alternative that text begins with: the first | outside brackets. */
static size_t alternative_length(struct hs_str text)
{
    int depth = 0;

    for (size_t i = 0; i < text.n; i++) {
        depth += (text.p[i] == '[') - (text.p[i] == ']');
        if (text.p[i] == '|' && depth == 0)
            return i;
    }
    return text.n;
}

static size_t words_of(const struct cmd *cmd, struct word to[static WORDS_MAX])
{
    struct hs_str text = hs_str(cmd->args);
    size_t n = 0;

    while (text.n && n < WORDS_MAX) {
        size_t end = alternative_length(text);
        struct hs_str rest = hs_str_trim(hs_str_sub(text, 0, end));
        struct hs_str word = hs_str_cut(&rest, ' ');

        text = hs_str_sub(text, end + (end < text.n), text.n);
        if (!is_fixed(word))
            continue;
        to[n] = (struct word){word, HS_STR("")};
        if (rest.n > 2 && rest.p[0] == '[' && rest.p[rest.n - 1] == ']' &&
            hs_str_find(rest, '|') < rest.n)
            to[n].then = hs_str_sub(rest, 1, rest.n - 1);
        n++;
    }
    return n;
}

static bool takes_command(const struct cmd *cmd)
{
    return strcmp(cmd->args, "[COMMAND]") == 0;
}

/* ---- text ---- */

/*
 * Text within single quotes: a quote becomes `quote`, and a backslash goes before each of `special`.
 */
static void add_quoted(struct hs_buf *out, const char *text, const char *quote, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'') {
            hs_buf_add(out, hs_str(quote));
            continue;
        }
        if (strchr(special, *text))
            hs_buf_add_char(out, '\\');
        hs_buf_add_char(out, *text);
    }
}

static void add_names(struct hs_buf *out)
{
    for (size_t i = 0; i < cmd_table_len; i++)
        hs_buf_printf(out, "%s%s", i ? " " : "", cmd_table[i].name);
}

/* "a|b|c" as "a b c" */
static void add_list(struct hs_buf *out, struct hs_str list)
{
    while (list.n) {
        hs_buf_add(out, hs_str_cut(&list, '|'));
        if (list.n)
            hs_buf_add_char(out, ' ');
    }
}

static void add_words(struct hs_buf *out, const struct word *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hs_buf_printf(out, "%s%.*s", i ? " " : "", HS_FMT(words[i].word));
}

static void add_settings(struct hs_buf *out, const char *between)
{
    for (size_t i = 0; i < HS_LEN(settings); i++)
        hs_buf_printf(out, "%s%s", i ? between : "", settings[i]);
}

/* ---- bash ---- */

static const char bash_head[] =
    "# Completion of hasten " HS_VERSION " for bash; made by `hasten completion bash`.\n"
    "_hasten()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local command='' path='' words='' is_value='' i\n"
    "\n"
    "    # bash cuts --name=value into three words.\n"
    "    if [[ $cur == = ]]; then\n"
    "        cur='' is_value=1\n"
    "    elif [[ $prev == = ]]; then\n"
    "        prev=${COMP_WORDS[COMP_CWORD - 2]} is_value=1\n"
    "    fi\n"
    "    # The words before this one that are neither options nor values of options.\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        case \"$command ${COMP_WORDS[i]}\" in\n"
    "        *' =') ((++i)) ;;\n";

static const char bash_words[] =
    "        *' -'*) ;;\n"
    "        *) path+=\"${path:+ }${COMP_WORDS[i]}\" command=${command:-${COMP_WORDS[i]}} ;;\n"
    "        esac\n"
    "    done\n"
    "    case \"$command $prev\" in\n";

static const char bash_files[] = "        compopt -o filenames\n"
                                 "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                                 "        return ;;\n";

static const char bash_folders[] = "        compopt -o filenames\n"
                                   "        mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
                                   "        return ;;\n";

static const char bash_path[] = "    esac\n"
                                "    [[ -z $is_value ]] || return\n"
                                "    case \"$cur:$path\" in\n"
                                "    -*:) words='--help --version' ;;\n";

static const char bash_tail[] = "    esac\n"
                                "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                                "}\n"
                                "complete -F _hasten hasten\n";

static void bash_pattern(void *ctx, const struct args *args)
{
    struct writer *w = ctx;

    for (size_t i = 0; i < args->n_opts; i++) {
        if (!(value_of(&args->opts[i]) & w->values))
            continue;
        hs_buf_printf(w->out, "%s'%s --%s'", w->is_later ? " | " : "", w->cmd->name,
                      args->opts[i].name);
        w->is_later = true;
    }
}

/* A branch for all options, of all commands, with one of these values. */
static void bash_branch(struct hs_buf *out, const char *indent, unsigned values)
{
    struct writer w = {.out = out, .values = values};

    hs_buf_add(out, hs_str(indent));
    for (size_t i = 0; i < cmd_table_len; i++) {
        w.cmd = &cmd_table[i];
        args_describe(w.cmd, bash_pattern, &w);
    }
    /* A branch needs a pattern; no word is empty here. */
    hs_buf_add(out, w.is_later ? HS_STR(")") : HS_STR("'')"));
}

static void bash_option(void *ctx, const struct args *args)
{
    struct hs_buf *out = ctx;

    for (size_t i = 0; i < args->n_opts; i++)
        hs_buf_printf(out, "--%s ", args->opts[i].name);
}

static void bash_command(struct hs_buf *out, const struct cmd *cmd)
{
    struct word words[WORDS_MAX];
    size_t n = words_of(cmd, words);

    hs_buf_printf(out, "    -*:%s | -*:%s\\ *) words='", cmd->name, cmd->name);
    args_describe(cmd, bash_option, out);
    hs_buf_add_lit(out, "--help' ;;\n");
    if (n) {
        hs_buf_printf(out, "    *:%s) words='", cmd->name);
        add_words(out, words, n);
        hs_buf_add_lit(out, "' ;;\n");
    } else if (takes_command(cmd)) {
        hs_buf_printf(out, "    *:%s) words='", cmd->name);
        add_names(out);
        hs_buf_add_lit(out, "' ;;\n");
    }
    for (size_t i = 0; i < n; i++) {
        if (!words[i].then.n)
            continue;
        hs_buf_printf(out, "    *:%s\\ %.*s) words='", cmd->name, HS_FMT(words[i].word));
        add_list(out, words[i].then);
        hs_buf_add_lit(out, "' ;;\n");
    }
}

static void write_bash(struct hs_buf *out)
{
    hs_buf_add(out, hs_str(bash_head));
    bash_branch(out, "        ", ~(unsigned)VALUE_FLAG);
    hs_buf_add_lit(out, " [[ ${COMP_WORDS[i + 1]} == = ]] || ((++i)) ;;\n");
    hs_buf_add(out, hs_str(bash_words));
    bash_branch(out, "    ", VALUE_FILE);
    hs_buf_add_char(out, '\n');
    hs_buf_add(out, hs_str(bash_files));
    bash_branch(out, "    ", VALUE_DIR);
    hs_buf_add_char(out, '\n');
    hs_buf_add(out, hs_str(bash_folders));
    bash_branch(out, "    ", VALUE_SETTING);
    hs_buf_add_lit(out, "\n        compopt -o nospace\n        words='");
    add_settings(out, " ");
    hs_buf_add_lit(out,
                   "'\n        mapfile -t COMPREPLY < <(compgen -S = -W \"$words\" -- \"$cur\")\n"
                   "        return ;;\n");
    bash_branch(out, "    ", VALUE_ANY);
    hs_buf_add_lit(out, " return ;;\n");
    hs_buf_add(out, hs_str(bash_path));
    for (size_t i = 0; i < cmd_table_len; i++)
        bash_command(out, &cmd_table[i]);
    hs_buf_add_lit(out, "    *:) words='");
    add_names(out);
    hs_buf_add_lit(out, "' ;;\n");
    hs_buf_add(out, hs_str(bash_tail));
}

/* ---- zsh ---- */

#define ZSH_QUOTE "'\\''"

static const char zsh_main[] =
    "_hasten()\n"
    "{\n"
    "    local curcontext=$curcontext state='' line\n"
    "    typeset -A opt_args\n"
    "\n"
    "    _arguments -C '(- *)'{-h,--help}'[list the commands]' '(- *)--version[print the version]' \\\n"
    "        '1:command:_hasten_commands' '*::argument:->argument'\n"
    "    [[ $state == argument ]] || return 0\n"
    "    state=''\n"
    "    case $words[1] in\n";

static const char zsh_tail[] =
    "    esac\n"
    "}\n"
    "\n"
    "# From a folder of $fpath the file is the function; sourced, it makes one.\n"
    "if [[ $funcstack[1] == _hasten ]]; then\n"
    "    _hasten \"$@\"\n"
    "else\n"
    "    compdef _hasten hasten\n"
    "fi\n";

static void zsh_option(void *ctx, const struct args *args)
{
    struct hs_buf *out = ctx;

    for (size_t i = 0; i < args->n_opts; i++) {
        const struct args_opt *o = &args->opts[i];
        unsigned value = value_of(o);

        hs_buf_printf(out, " \\\n            '%s--%s%s[", o->kind == ARGS_KIND_LIST ? "*" : "",
                      o->name, o->arg ? "=" : "");
        add_quoted(out, o->help, ZSH_QUOTE, "\\[]:");
        hs_buf_add_char(out, ']');
        if (o->arg)
            hs_buf_printf(out, ":%s:%s", o->arg,
                          value == VALUE_FILE      ? "_files"
                          : value == VALUE_DIR     ? "_files -/"
                          : value == VALUE_SETTING ? "_hasten_settings"
                                                   : " ");
        hs_buf_add_char(out, '\'');
    }
}

static void zsh_second(struct hs_buf *out, const struct word *words, size_t n)
{
    hs_buf_add_lit(out, "        [[ $state != second ]] || case $line[1] in\n");
    for (size_t i = 0; i < n; i++) {
        if (!words[i].then.n)
            continue;
        hs_buf_printf(out, "        %.*s) compadd -- ", HS_FMT(words[i].word));
        add_list(out, words[i].then);
        hs_buf_add_lit(out, " ;;\n");
    }
    hs_buf_add_lit(out, "        esac\n");
}

static void zsh_command(struct hs_buf *out, const struct cmd *cmd)
{
    struct word words[WORDS_MAX];
    size_t n = words_of(cmd, words);
    bool has_second = false;

    for (size_t i = 0; i < n; i++)
        has_second = has_second || words[i].then.n;
    hs_buf_printf(out, "    %s)\n        _arguments -C '(- *)'{-h,--help}'[explain it]'",
                  cmd->name);
    args_describe(cmd, zsh_option, out);
    if (n) {
        hs_buf_add_lit(out, " \\\n            '1:word:(");
        add_words(out, words, n);
        hs_buf_add_lit(out, ")'");
    } else if (takes_command(cmd)) {
        hs_buf_add_lit(out, " \\\n            '1:command:_hasten_commands'");
    }
    if (has_second) {
        hs_buf_add_lit(out, " \\\n            '2:word:->second'\n");
        zsh_second(out, words, n);
    } else {
        hs_buf_add_char(out, '\n');
    }
    hs_buf_add_lit(out, "        ;;\n");
}

static void write_zsh(struct hs_buf *out)
{
    hs_buf_add_lit(out, "#compdef hasten\n"
                        "# Completion of hasten " HS_VERSION
                        " for zsh; made by `hasten completion zsh`.\n"
                        "_hasten_settings()\n{\n    compadd -S = -q --");
    hs_buf_add_lit(out, " \\\n        ");
    add_settings(out, " \\\n        ");
    hs_buf_add_lit(out, "\n}\n\n_hasten_commands()\n{\n    local -a commands=(\n");
    for (size_t i = 0; i < cmd_table_len; i++) {
        hs_buf_printf(out, "        '%s:", cmd_table[i].name);
        add_quoted(out, cmd_table[i].brief, ZSH_QUOTE, "\\:");
        hs_buf_add_lit(out, "'\n");
    }
    hs_buf_add_lit(out, "    )\n    _describe command commands\n}\n\n");
    hs_buf_add(out, hs_str(zsh_main));
    for (size_t i = 0; i < cmd_table_len; i++)
        zsh_command(out, &cmd_table[i]);
    hs_buf_add(out, hs_str(zsh_tail));
}

/* ---- fish ---- */

#define FISH_QUOTE "\\'"

static const char fish_head[] =
    "# Completion of hasten " HS_VERSION " for fish; made by `hasten completion fish`.\n"
    "# The words so far that are neither options nor values of options.\n"
    "function __hasten_path\n"
    "    set -l command ''\n"
    "    set -l is_value 0\n"
    "    for word in (commandline -opc)[2..]\n"
    "        if test $is_value = 1\n"
    "            set is_value 0\n"
    "            continue\n"
    "        end\n"
    "        switch \"$command $word\"\n"
    "            case";

static const char fish_path[] =
    "\n"
    "                set is_value 1\n"
    "            case '* -*'\n"
    "            case '*'\n"
    "                test -n \"$command\"; or set command $word\n"
    "                echo $word\n"
    "        end\n"
    "    end\n"
    "end\n"
    "function __hasten_at\n"
    "    set -l path (__hasten_path)\n"
    "    test \"$path\" = \"$argv\"\n"
    "end\n"
    "function __hasten_in\n"
    "    set -l path (__hasten_path)\n"
    "    test \"$path[1]\" = $argv[1]\n"
    "end\n"
    "complete -c hasten -f\n"
    "complete -c hasten -s h -l help -d 'Explain it'\n"
    "complete -c hasten -n '__hasten_at' -l version -d 'Print the version'\n";

static void fish_pattern(void *ctx, const struct args *args)
{
    struct writer *w = ctx;

    for (size_t i = 0; i < args->n_opts; i++) {
        if (args->opts[i].arg)
            hs_buf_printf(w->out, " '%s --%s'", w->cmd->name, args->opts[i].name);
    }
}

static void fish_option(void *ctx, const struct args *args)
{
    struct writer *w = ctx;
    struct hs_buf *out = w->out;

    for (size_t i = 0; i < args->n_opts; i++) {
        const struct args_opt *o = &args->opts[i];
        unsigned value = value_of(o);

        hs_buf_printf(out, "complete -c hasten -n '__hasten_in %s' -l %s", w->cmd->name, o->name);
        if (value == VALUE_FILE)
            hs_buf_add_lit(out, " -rF");
        else if (value == VALUE_DIR)
            hs_buf_add_lit(out, " -x -a '(__fish_complete_directories)'");
        else if (value == VALUE_SETTING)
            hs_buf_add_lit(out, " -x -a '$__hasten_settings'");
        else if (value == VALUE_ANY)
            hs_buf_add_lit(out, " -x");
        hs_buf_add_lit(out, " -d '");
        add_quoted(out, o->help, FISH_QUOTE, "\\");
        hs_buf_add_lit(out, "'\n");
    }
}

static void fish_command(struct hs_buf *out, const struct cmd *cmd)
{
    struct word words[WORDS_MAX];
    struct writer w = {.out = out, .cmd = cmd};
    size_t n = words_of(cmd, words);

    hs_buf_printf(out, "complete -c hasten -n '__hasten_at' -a %s -d '", cmd->name);
    add_quoted(out, cmd->brief, FISH_QUOTE, "\\");
    hs_buf_add_lit(out, "'\n");
    if (n || takes_command(cmd)) {
        hs_buf_printf(out, "complete -c hasten -n '__hasten_at %s' -a '", cmd->name);
        if (n)
            add_words(out, words, n);
        else
            add_names(out);
        hs_buf_add_lit(out, "'\n");
    }
    for (size_t i = 0; i < n; i++) {
        if (!words[i].then.n)
            continue;
        hs_buf_printf(out, "complete -c hasten -n '__hasten_at %s %.*s' -a '", cmd->name,
                      HS_FMT(words[i].word));
        add_list(out, words[i].then);
        hs_buf_add_lit(out, "'\n");
    }
    args_describe(cmd, fish_option, &w);
}

static void write_fish(struct hs_buf *out)
{
    struct writer w = {.out = out};

    hs_buf_add(out, hs_str(fish_head));
    for (size_t i = 0; i < cmd_table_len; i++) {
        w.cmd = &cmd_table[i];
        args_describe(w.cmd, fish_pattern, &w);
    }
    hs_buf_add(out, hs_str(fish_path));
    hs_buf_add_lit(out, "set -g __hasten_settings ");
    add_settings(out, "= ");
    hs_buf_add_lit(out, "=\n");
    for (size_t i = 0; i < cmd_table_len; i++)
        fish_command(out, &cmd_table[i]);
}

int cmd_completion(int argc, char **argv)
{
    struct args args = {.command = "completion", .rest_max = 1};
    int code = args_parse(&args, argc, argv);
    struct hs_buf out;

    if (code >= 0)
        return code;
    hs_buf_init(&out, SCRIPT_MAX);
    if (args.n_rest && strcmp(args.rest[0], "bash") == 0)
        write_bash(&out);
    else if (args.n_rest && strcmp(args.rest[0], "zsh") == 0)
        write_zsh(&out);
    else if (args.n_rest && strcmp(args.rest[0], "fish") == 0)
        write_fish(&out);
    else
        return cmd_misused("Write `hasten completion bash`, `zsh` or `fish`.",
                           "there is no completion for \"%.100s\"",
                           args.n_rest ? args.rest[0] : "");
    return cmd_print(&out);
}
