/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual page hasten(1), printed from the tables that the program runs on. The rule: what a table
 * holds (commands, their options, settings) is never written here by hand; what no table holds (files,
 * signals, variables of others) stands here once. A test compares docs/reference/hasten.1 with this output.
 *
 * The macros are those of man(7) in the form that groff and mandoc agree about. Text goes through
 * add_text(), which alone knows what roff takes for markup; `backquotes` become bold.
 */
#include "cmd/cmd.h"
#include "cmd/reference.h"

/* man-pages(7) asks for the day on which the words last changed: those of this file. */
#define PAGE_DATE "2026-11-21"

#define TYPE_STRING "text"
#define TYPE_SECRET "secret"
#define TYPE_BOOL "boolean"
#define TYPE_INT "number"
#define TYPE_TIME "duration"
#define TYPE_SIZE "size"
#define TYPE_ENUM "word"
#define TYPE_LIST "list"
#define TYPE_LINES "lines"

static const struct {
    const char *name;
    const char *type;
    const char *def;
    const char *min; /* of a word: all of them, | between */
    const char *max;
    const char *prose;
    bool is_fixed;
} settings[] = {
#define CONF(type, field, name, def, min, max, prose) \
    {name, TYPE_##type, def, min, max, prose, false},
#define CONF_FIXED(type, field, name, def, min, max, prose) \
    {name, TYPE_##type, def, min, max, prose, true},
#include "conf/options.def"
#undef CONF
};

static const char head[] =
    ".\\\" Made by `hasten config reference man` from the tables of the program. Do not edit.\n"
    ".TH HASTEN 1 " PAGE_DATE " \"hasten " HS_VERSION "\" \"User Commands\"\n"
    ".SH NAME\n"
    "hasten \\- a fast HTTP API over PostgreSQL\n"
    ".SH SYNOPSIS\n"
    ".nf\n";

static const char description[] =
    ".fi\n"
    ".SH DESCRIPTION\n"
    "hasten stands between HTTP clients and a PostgreSQL database, and serves its tables and views as\n"
    "JSON. PostgreSQL's roles and row\\-level security decide who sees what.\n"
    ".PP\n"
    "An option may be written \\fB\\-\\-name value\\fR or \\fB\\-\\-name=value\\fR; \\fB\\-\\-\\fR ends the "
    "options.\n"
    "\\fB\\-\\-help\\fR explains each command.\n"
    ".SH COMMANDS\n";

static const char settings_intro[] =
    ".SH SETTINGS\n"
    "A value is taken from these places; the later ones win: the default, the file named by\n"
    "\\fB\\-\\-config\\fR or \\fBHASTEN_CONFIG\\fR (YAML, a dot in a name is a step into a section), the "
    "environment,\n"
    "and \\fB\\-\\-set\\fR \\fINAME=VALUE\\fR.\n"
    "A secret may stand in a file of its own, named by \\fINAME\\fB_file\\fR.\n";

static const char tail[] =
    ".SH EXIT STATUS\n"
    ".TP\n\\fB0\\fR\nDone.\n"
    ".TP\n\\fB1\\fR\nIt failed while running.\n"
    ".TP\n\\fB2\\fR\nIt was asked wrongly: the arguments or the configuration.\n"
    ".SH SIGNALS\n"
    "Of \\fBhasten serve\\fR:\n"
    ".TP\n\\fBSIGTERM\\fR, \\fBSIGINT\\fR\n"
    "Lets requests under way finish, at most \\fBserver.drain_timeout\\fR, and ends.\n"
    ".TP\n\\fBSIGHUP\\fR\nReads the configuration and the catalog of the database again.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n\\fBHASTEN_CONFIG\\fR\nThe configuration file, where \\fB\\-\\-config\\fR names none.\n"
    ".TP\n\\fBHASTEN_\\fINAME\\fR\n"
    "A setting: its name in capitals with _ for the dots, such as \\fBHASTEN_SERVER_LISTEN\\fR.\n"
    ".TP\n\\fBHASTEN_\\fINAME\\fB_FILE\\fR\nThe file that a secret is read from.\n"
    ".TP\n\\fBPGHOST\\fR, \\fBPGDATABASE\\fR, \\fBPGUSER\\fR and the others of libpq\n"
    "Where the database is, if \\fBdatabase.url\\fR does not say it.\n"
    ".SH FILES\n"
    ".TP\n\\fI.hasten\\fR\n"
    "The private cluster of \\fBhasten demo\\fR in the current folder.\n"
    ".SH EXAMPLES\n"
    "See it run, then ask it for a page:\n"
    ".PP\n.nf\n"
    "hasten demo\n"
    "curl \\-g \\(aqlocalhost:8080/api/v1/appointments?limit=5\\(aq\n"
    ".fi\n"
    ".PP\n"
    "Serve a database, with the configuration checked first:\n"
    ".PP\n.nf\n"
    "hasten config check \\-\\-config shop.yaml && hasten serve \\-\\-config shop.yaml\n"
    ".fi\n"
    ".SH SEE ALSO\n"
    ".BR psql (1),\n"
    ".BR pgbench (1)\n";

/* ---- text ---- */

static void add_char(struct hs_buf *out, char c)
{
    switch (c) {
    case '\\':
        hs_buf_add_lit(out, "\\e");
        break;
    case '-':
        hs_buf_add_lit(out, "\\-");
        break;
    case '\'':
        hs_buf_add_lit(out, "\\(aq");
        break;
    case '^':
        hs_buf_add_lit(out, "\\(ha");
        break;
    case '~':
        hs_buf_add_lit(out, "\\(ti");
        break;
    default:
        hs_buf_add_char(out, c);
    }
}

/* A line, or a part of one. A dot at its beginning would make a macro of it. */
static void add_text(struct hs_buf *out, struct hs_str text)
{
    bool is_bold = false;

    if (text.n && text.p[0] == '.')
        hs_buf_add_lit(out, "\\&");
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '`') {
            is_bold = !is_bold;
            hs_buf_add(out, is_bold ? HS_STR("\\fB") : HS_STR("\\fR"));
        } else {
            add_char(out, text.p[i]);
        }
    }
    if (is_bold)
        hs_buf_add_lit(out, "\\fR");
}

static void add_bold(struct hs_buf *out, struct hs_str text)
{
    hs_buf_add_lit(out, "\\fB");
    add_text(out, text);
    hs_buf_add_lit(out, "\\fR");
}

/* The length of the first word if two spaces or more follow it, as in a list of words; else 0. */
static size_t item_length(struct hs_str line)
{
    size_t n = hs_str_find(line, ' ');

    return n && n + 1 < line.n && line.p[n + 1] == ' ' ? n : 0;
}

/* The help of cmd.h as --help prints it: paragraphs, and lists whose second column is aligned. */
static void add_help(struct hs_buf *out, struct hs_str help)
{
    bool is_list = false;
    bool is_new = true; /* a paragraph is due, unless a list comes */

    while (help.n) {
        struct hs_str line = hs_str_cut(&help, '\n');
        size_t n = item_length(line);

        if (line.n == 0) {
            is_new = true;
            continue;
        }
        if (n) {
            hs_buf_add_lit(out, ".TP\n");
            add_bold(out, hs_str_sub(line, 0, n));
            hs_buf_add_char(out, '\n');
            is_list = true;
        } else if (is_new || (is_list && line.p[0] != ' ')) {
            hs_buf_add_lit(out, ".PP\n");
            is_list = false;
        }
        is_new = false;
        add_text(out, hs_str_trim(hs_str_sub(line, n, line.n)));
        hs_buf_add_char(out, '\n');
    }
}

/* ---- commands ---- */

static void add_options(void *ctx, const struct args *args)
{
    struct hs_buf *out = ctx;

    for (size_t i = 0; i < args->n_opts; i++) {
        const struct args_opt *o = &args->opts[i];

        hs_buf_add_lit(out, ".TP\n");
        hs_buf_add_lit(out, "\\fB\\-\\-");
        add_text(out, hs_str(o->name));
        hs_buf_add_lit(out, "\\fR");
        if (o->arg) {
            hs_buf_add_lit(out, " \\fI");
            add_text(out, hs_str(o->arg));
            hs_buf_add_lit(out, "\\fR");
        }
        hs_buf_add_char(out, '\n');
        add_text(out, hs_str(o->help));
        hs_buf_add_char(out, '\n');
    }
}

static void add_usage(struct hs_buf *out, const struct cmd *cmd)
{
    hs_buf_add_lit(out, "\\fBhasten ");
    add_text(out, hs_str(cmd->name));
    hs_buf_add_lit(out, "\\fR");
    if (cmd->args[0]) {
        hs_buf_add_char(out, ' ');
        add_text(out, hs_str(cmd->args));
    }
    hs_buf_add_char(out, '\n');
}

static void add_command(struct hs_buf *out, const struct cmd *cmd)
{
    hs_buf_add_lit(out, ".SS ");
    add_text(out, hs_str(cmd->name));
    hs_buf_add_char(out, '\n');
    add_usage(out, cmd);
    add_help(out, hs_str(cmd->help));
    args_describe(cmd, add_options, out);
}

/* ---- settings ---- */

static void add_setting(struct hs_buf *out, size_t i)
{
    bool is_word = strcmp(settings[i].type, "word") == 0;
    struct hs_str words = hs_str(settings[i].min);

    hs_buf_add_lit(out, ".TP\n");
    add_bold(out, hs_str(settings[i].name));
    hs_buf_printf(out, " (%s", settings[i].type);
    while (is_word && words.n) {
        hs_buf_add_char(out, ' ');
        add_text(out, hs_str_cut(&words, '|'));
        hs_buf_add(out, words.n ? HS_STR(" |") : HS_STR(""));
    }
    if (!is_word && settings[i].min[0])
        hs_buf_printf(out, ", %s to %s", settings[i].min, settings[i].max);
    if (settings[i].def[0]) {
        hs_buf_add_lit(out, ", default ");
        add_text(out, hs_str(settings[i].def));
    }
    hs_buf_add_lit(out, ")\n");
    add_text(out, hs_str(settings[i].prose));
    hs_buf_add(out, settings[i].is_fixed ? HS_STR("\nNeeds a restart.\n") : HS_STR("\n"));
}

void cmd_reference_man(struct hs_buf *out)
{
    hs_buf_add(out, hs_str(head));
    for (size_t i = 0; i < cmd_table_len; i++)
        add_usage(out, &cmd_table[i]);
    hs_buf_add(out, hs_str(description));
    for (size_t i = 0; i < cmd_table_len; i++)
        add_command(out, &cmd_table[i]);
    hs_buf_add(out, hs_str(settings_intro));
    for (size_t i = 0; i < HS_LEN(settings); i++)
        add_setting(out, i);
    hs_buf_add(out, hs_str(tail));
}
