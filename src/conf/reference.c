/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/reference/options.md, made from the same rows as the loader, so that it cannot be wrong
 * about a name, a default or a limit. One table for each first word of the names, in the order of
 * options.def.
 */
#include "conf/conf_int.h"

static const char intro[] =
    "# Options\n"
    "\n"
    "<!-- Made by `hasten config reference options` from src/conf/options.def. Do not edit. -->\n"
    "\n"
    "A value is taken from these places; the later ones win:\n"
    "\n"
    "1. the default,\n"
    "2. the file named by `--config` or `HASTEN_CONFIG`,\n"
    "3. the environment: `HASTEN_` and the name in capitals with `_` for `.`,\n"
    "4. the command line: `--set NAME=VALUE`.\n"
    "\n"
    "`hasten config check` says whether a configuration is right, `hasten config show` what it comes to\n"
    "and where each value is from.\n"
    "\n"
    "`hasten serve` reads the file anew, and the files that secrets are in, on SIGHUP, on `hasten admin\n"
    "reload` and on `NOTIFY hasten, 'reload config'`. All of it takes effect at once, or, where something is\n"
    "wrong, none of it. The options that need a restart say so below.\n"
    "\n"
    "## The file\n"
    "\n"
    "YAML. A dot in a name is a step into a section:\n"
    "\n"
    "```yaml\n"
    "database:\n"
    "  url: postgresql://api@${DB_HOST:-localhost}/shop\n"
    "  pool:\n"
    "    max: 40\n"
    "    acquire_timeout: 500ms\n"
    "auth:\n"
    "  roles: [member, manager]\n"
    "  jwt:\n"
    "    secret_file: /run/secrets/jwt\n"
    "```\n"
    "\n"
    "- `${VAR}` in a value is that variable of the environment, which must be set; `${VAR:-text}` is `text`\n"
    "  where it is unset or empty; `$$` is one `$`.\n"
    "- An unknown key, a key given twice, a wrong unit, type or range is an error that names the line.\n"
    "  Anchors, aliases, tags and a second document are refused.\n"
    "- A text or list without value (`url:`) counts as not given.\n"
    "\n"
    "## Values\n"
    "\n"
    "| type | is written as |\n"
    "| --- | --- |\n"
    "| text | any text; in the file with quotes where YAML needs them |\n"
    "| secret | as text, and never shown. `NAME_file` (in the environment `HASTEN_..._FILE`) names a file to "
    "read it from; one line end at its end is cut, and a relative path in the configuration file starts at "
    "that file's directory |\n"
    "| boolean | `true` or `false` |\n"
    "| number | a whole number |\n"
    "| duration | a whole number and `us`, `ms`, `s`, `min`, `h` or `d`: `250ms`; only `0` needs no unit |\n"
    "| size | a whole number and `B`, `KiB`, `MiB` or `GiB`: `16KiB`; only `0` needs no unit |\n"
    "| list | a YAML list, or one text: an item a line, or separated by commas |\n"
    "| lines | a YAML list, or one text: an item a line, or separated by semicolons, for its items may hold "
    "commas |\n";

static const char postgrest_intro[] =
    "# PostgREST's options\n"
    "Made by `hasten config reference postgrest` from `src/conf/postgrest.def`.\n\n"
    "`hasten serve --postgrest-conf FILE` takes a configuration file of PostgREST's, and its `PGRST_*` variables, which\n"
    "win. Without any file the variables count where `PGRST_DB_URI` is among them. hasten's own options may be given\n"
    "beside them by `HASTEN_*` variables and `--set`. What is not said holds as with PostgREST: port 3000 of every\n"
    "address, tables at `/`, and every role that the login may `SET ROLE` to; what PostgREST does not have (the simple\n"
    "dialect, `/metrics`) is off: `HASTEN_API_ENABLED=true` and `HASTEN_OBSERVE_METRICS=true` switch it on.\n\n"
    "| theirs | ours |\n| --- | --- |\n"
    "| `server-host`, `server-port` | `server.listen` |\n"
    "| `app.settings.*` | `rest.app_settings` |\n";

static const char *const type_names[] = {
    [CONF_STRING] = "text", [CONF_SECRET] = "secret", [CONF_BOOL] = "boolean",
    [CONF_INT] = "number",  [CONF_TIME] = "duration", [CONF_SIZE] = "size",
    [CONF_ENUM] = "word",   [CONF_LIST] = "list",     [CONF_LINES] = "lines",
};

/* Text of a table's cell: | would end it. */
static void add_cell(struct hs_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            hs_buf_add_char(out, '\\');
        hs_buf_add_char(out, *text);
    }
}

static void add_limits(struct hs_buf *out, const struct conf_option *o)
{
    struct hs_str words = hs_str(o->min);

    if (o->type == CONF_ENUM) {
        while (words.n) {
            hs_buf_add_char(out, '`');
            hs_buf_add(out, hs_str_cut(&words, '|'));
            hs_buf_add(out, words.n ? HS_STR("`, ") : HS_STR("`"));
        }
    } else if (o->min[0]) {
        hs_buf_printf(out, "%s to %s", o->min, o->max);
    }
}

static void add_row(struct hs_buf *out, const struct conf_option *o)
{
    char env[CONF_ENV_NAME];

    hs_buf_printf(out, "| `%s`<br>`%s` | %s | ", o->name, conf_env_name(hs_str(o->name), env).p,
                  type_names[o->type]);
    if (o->def[0])
        hs_buf_printf(out, "`%s`", o->def);
    hs_buf_add_lit(out, " | ");
    add_limits(out, o);
    hs_buf_add_lit(out, " | ");
    add_cell(out, o->prose);
    hs_buf_add(out, o->is_fixed ? HS_STR(" *Needs a restart.* |\n") : HS_STR(" |\n"));
}

void conf_reference_postgrest(struct hs_buf *out)
{
    static const struct {
        const char *name;
        bool is_done;
        enum conf_id id;
        const char *why;
    } rows[] = {
#define NONE false
#define COPY true
#define SECONDS true
#define SECRET true
#define SAME true
#define POSTGREST(name, how, field, why) {name, how, CONF_ID_##field, why},
#include "conf/postgrest.def"
#undef NONE
#undef COPY
#undef SECONDS
#undef SECRET
#undef SAME
    };

    hs_buf_add(out, hs_str(postgrest_intro));
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        hs_buf_printf(out, "| `%s` | ", rows[i].name);
        if (rows[i].is_done)
            hs_buf_printf(out, "`%s`", conf_options[rows[i].id].name);
        else
            hs_buf_printf(out, "nothing: %s", rows[i].why);
        hs_buf_add_lit(out, " |\n");
    }
}

void conf_reference(struct hs_buf *out)
{
    struct hs_str section = HS_STR("");

    hs_buf_add(out, hs_str(intro));
    for (size_t i = 0; i < CONF_OPTIONS; i++) {
        struct hs_str rest = hs_str(conf_options[i].name);
        struct hs_str first = hs_str_cut(&rest, '.');

        if (!hs_str_eq(first, section)) {
            hs_buf_printf(out,
                          "\n## %.*s\n\n| option, variable | type | default | limits | meaning |\n"
                          "| --- | --- | --- | --- | --- |\n",
                          HS_FMT(first));
            section = first;
        }
        add_row(out, &conf_options[i]);
    }
}
