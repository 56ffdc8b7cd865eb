/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration of PostgREST instead of one of ours: its file, then its variables (PGRST_ + name in capitals with
 * '_' for '-'), which are stronger.
 *
 *     # comment
 *     db-uri = "postgres://authenticator@localhost/app"
 *     db-max-rows = 1000
 *
 * The rule: every option of PostgREST's has a row in postgrest.def and is either done or named with the reason why
 * not; a name without a row is refused. What PostgREST does where an option is absent is done here, too: it listens
 * on port 3000 of every address, its tables lie at /, and a token may ask for every role of the login's. What
 * PostgREST has not at all is off: who guards his tables with db-pre-request must not find them served beside it.
 *
 * Source: PostgREST reference, "Configuration".
 */
#include <stdio.h>

#include "conf/conf_int.h"
#include "core/nearest.h"

enum how { COPY, SECONDS, SECRET, SAME, NONE };

static const struct row {
    const char *name;
    enum how how;
    enum conf_id id;
    const char *why;
} rows[] = {
#define POSTGREST(name, how, field, why) {name, how, CONF_ID_##field, why},
#include "conf/postgrest.def"
};

static const struct hs_str prefix = {"PGRST_", 6};
static const struct hs_str app = {"app.settings.", 13};
static const struct hs_str app_variable = {"PGRST_APP_SETTINGS_", 19};

enum { NAME_MAX_BYTES = 80, NUMBER_DIGITS_MAX = 12 };

/* What is gathered before it can be assigned. */
struct postgrest {
    struct conf_loader *l;
    struct hs_str host;
    struct hs_str port;
    struct hs_str settings[CONF_SETTINGS_MAX]; /* "name: value" */
    size_t n_settings;
};

/* A value and where it stands. */
struct said {
    struct hs_str name;
    struct hs_str value;
    unsigned line; /* 0: in a variable */
};

static hs_status fail(struct postgrest *p, const struct said *said, const char *found,
                      const char *expected)
{
    char place[CONF_PLACE];
    char quoted[CONF_QUOTE];

    if (said->line)
        return hs_fail(p->l->reterr, HS_E_CONFIG, "%s: found %s %s, expected %s",
                       conf_place_line(p->l->private, said->line, place), found,
                       conf_quote(said->name, quoted), expected);
    return hs_fail(p->l->reterr, HS_E_CONFIG, "environment: found %s %s, expected %s", found,
                   conf_quote(said->name, quoted), expected);
}

static hs_status fail_unknown(struct postgrest *p, const struct said *said)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, said->name);
    for (size_t i = 0; i < HS_LEN(rows); i++)
        hs_nearest_offer(&near, hs_str(rows[i].name));
    best = hs_nearest_best(&near);
    return fail(p, said, "the unknown option", best.p ? best.p : "an option of PostgREST");
}

/* ---- values ---- */

static hs_status note(struct postgrest *p, const struct said *said, const char *why)
{
    struct conf_private *private = p->l->private;
    struct hs_str line = hs_arena_printf(&private->arena, "%.*s has no effect: %s\n",
                                         HS_FMT(said->name), why);

    if (!line.p)
        return hs_fail_memory(p->l->reterr);
    private->notes = hs_arena_printf(&private->arena, "%.*s%.*s", HS_FMT(private->notes),
                                     HS_FMT(line));
    return private->notes.p ? HS_OK : hs_fail_memory(p->l->reterr);
}

/* PostgREST takes these for truth, too. */
static struct hs_str plain_bool(struct hs_str value)
{
    if (hs_str_ieq(value, HS_STR("true")) || hs_str_is(value, "1") || hs_str_is(value, "on"))
        return HS_STR("true");
    if (hs_str_ieq(value, HS_STR("false")) || hs_str_is(value, "0") || hs_str_is(value, "off"))
        return HS_STR("false");
    return value;
}

static hs_status read_secret(struct postgrest *p, const struct said *said, struct hs_str *value)
{
    const char *why;
    hs_status status;

    if (!hs_str_starts(*value, HS_STR("@")))
        return HS_OK;
    status = conf_read_file(&p->l->private->arena, value->p + 1, CONF_SECRET_FILE_MAX, value, &why);
    if (status == HS_E_MEMORY)
        return hs_fail_memory(p->l->reterr);
    if (status)
        return fail(p, said, "no readable file behind the @ of", "the path of a file");
    while (value->n && (value->p[value->n - 1] == '\n' || value->p[value->n - 1] == '\r'))
        value->n--;
    return HS_OK;
}

/* PostgREST's 0 is "no bound"; of the numbers only rest.max_rows reads it so. */
static hs_status convert(struct postgrest *p, const struct row *row, const struct said *said,
                         struct hs_str *value)
{
    struct hs_arena *arena = &p->l->private->arena;
    uint64_t number;

    if (row->how == SECRET)
        return read_secret(p, said, value);
    if (row->how == SAME)
        *value = plain_bool(*value);
    if (row->how == SECONDS && !hs_str_to_u64(*value, &number))
        return fail(p, said, "no whole number of seconds in", "as in 10");
    if (row->id == CONF_ID_database_pool_max && hs_str_is(*value, "1"))
        *value = HS_STR("2");
    if (row->how == SECONDS)
        *value = hs_arena_printf(arena, "%.*ss", HS_FMT(*value));
    else
        *value = hs_arena_dup(arena, *value);
    return hs_arena_failed(arena) ? hs_fail_memory(p->l->reterr) : HS_OK;
}

static hs_status add_setting(struct postgrest *p, const struct said *said, struct hs_str name)
{
    struct hs_arena *arena = &p->l->private->arena;

    if (p->n_settings == CONF_SETTINGS_MAX)
        return fail(p, said, "one too many:", "at most 64 of app.settings.*");
    p->settings[p->n_settings] = hs_arena_printf(arena, "%.*s%.*s: %.*s", HS_FMT(app), HS_FMT(name),
                                                 HS_FMT(said->value));
    return p->settings[p->n_settings++].p ? HS_OK : hs_fail_memory(p->l->reterr);
}

/* The variables come second: they are stronger, and so is the last of several lines. */
static hs_status take(struct postgrest *p, const struct said *said)
{
    struct conf_given given = {.source = said->line ? CONF_FROM_FILE : CONF_FROM_ENV,
                               .line = said->line};
    struct hs_str value = said->value;
    hs_status status;

    if (hs_str_is(said->name, "server-host"))
        p->host = value;
    if (hs_str_is(said->name, "server-port"))
        p->port = value;
    if (hs_str_is(said->name, "server-host") || hs_str_is(said->name, "server-port"))
        return HS_OK;
    if (hs_str_starts(said->name, app))
        return add_setting(p, said, hs_str_sub(said->name, app.n, said->name.n));
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        if (!hs_str_is(said->name, rows[i].name))
            continue;
        if (rows[i].how == NONE)
            return note(p, said, rows[i].why);
        given.id = rows[i].id;
        status = convert(p, &rows[i], said, &value);
        return status ? status : conf_assign(p->l, &given, value);
    }
    return fail_unknown(p, said);
}

/* ---- the file ---- */

/* A text in double quotes with \" \\ \n \t; what stands behind it is a comment or nothing. */
static bool read_quoted(struct hs_str text, struct hs_arena *arena, struct hs_str *ret,
                        struct hs_str *ret_rest)
{
    char *to = hs_arena_zalloc(arena, text.n + 1, 1);
    size_t n = 0;
    size_t at = 1;

    for (; to && at < text.n && text.p[at] != '"'; at++) {
        char c = text.p[at];

        if (c == '\\' && at + 1 < text.n) {
            c = text.p[++at];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        to[n++] = c;
    }
    *ret = hs_strn(to, n);
    *ret_rest = hs_str_sub(text, at + 1, text.n);
    return to && at < text.n;
}

static hs_status read_value(struct postgrest *p, struct said *said, struct hs_str text)
{
    struct hs_arena *arena = &p->l->private->arena;
    struct hs_str rest = HS_STR("");

    if (hs_str_starts(text, HS_STR("\""))) {
        if (!read_quoted(text, arena, &said->value, &rest))
            return fail(p, said, "no closing quote behind", "\"text\"");
    } else {
        rest = text;
        said->value = hs_arena_dup(arena, hs_str_trim(hs_str_cut(&rest, '#')));
        rest = HS_STR("");
    }
    rest = hs_str_trim(rest);
    if (rest.n && rest.p[0] != '#')
        return fail(p, said, "more than one value for", "one value on a line");
    if (hs_arena_failed(arena))
        return hs_fail_memory(p->l->reterr);
    return take(p, said);
}

static hs_status read_file(struct postgrest *p, struct hs_str text)
{
    struct said said = {.line = 0};
    hs_status status = HS_OK;

    while (!status && text.n) {
        struct hs_str line = hs_str_cut(&text, '\n');

        said.line++;
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        line = hs_str_trim(line);
        if (!line.n || line.p[0] == '#')
            continue;
        if (hs_str_find(line, '=') == line.n) {
            said.name = line;
            return fail(p, &said, "no value behind", "name = value");
        }
        said.name = hs_str_trim(hs_str_cut(&line, '='));
        status = read_value(p, &said, hs_str_trim(line));
    }
    return status;
}

/* ---- the variables ---- */

/* PGRST_DB_URI -> db-uri */
static struct hs_str option_name(struct hs_str variable, size_t skip, char *to, char joint)
{
    size_t n = 0;

    for (size_t i = skip; i < variable.n && n < NAME_MAX_BYTES; i++) {
        char c = variable.p[i];

        to[n++] = (char)(c == '_' ? joint : c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    return hs_strn(to, n);
}

static hs_status read_variables(struct postgrest *p)
{
    char name[NAME_MAX_BYTES];

    for (char *const *at = p->l->env; at && *at; at++) {
        struct hs_str entry = hs_str(*at);
        struct hs_str variable = hs_str_cut(&entry, '=');
        struct said said = {.value = entry};
        hs_status status;

        if (!hs_str_starts(variable, prefix))
            continue;
        if (hs_str_starts(variable, app_variable)) {
            said.name = variable;
            status = add_setting(p, &said, option_name(variable, app_variable.n, name, '_'));
        } else {
            said.name = option_name(variable, prefix.n, name, '-');
            status = take(p, &said);
        }
        if (status)
            return status;
    }
    return HS_OK;
}

/* ---- the whole ---- */

static hs_status assign(struct postgrest *p, enum conf_id id, struct hs_str value)
{
    const struct conf_given given = {.id = id, .source = CONF_FROM_FILE};

    return value.p ? conf_assign(p->l, &given, value) : hs_fail_memory(p->l->reterr);
}

/* "!4", "!6" and "*" are any address; a name is not looked up. */
static hs_status assign_listen(struct postgrest *p)
{
    struct hs_str host = p->host.n ? p->host : HS_STR("!4");
    struct hs_str port = p->port.n ? p->port : HS_STR("3000");
    struct hs_arena *arena = &p->l->private->arena;

    if (hs_str_starts(host, HS_STR("*")))
        host = HS_STR("*");
    else if (hs_str_is(host, "!4"))
        host = HS_STR("0.0.0.0");
    else if (hs_str_is(host, "!6"))
        host = HS_STR("[::]");
    else if (hs_str_is(host, "localhost"))
        host = HS_STR("127.0.0.1");
    else if (hs_str_find(host, ':') < host.n && host.p[0] != '[')
        host = hs_arena_printf(arena, "[%.*s]", HS_FMT(host));
    return assign(p, CONF_ID_server_listen,
                  hs_arena_printf(arena, "%.*s:%.*s", HS_FMT(host), HS_FMT(port)));
}

hs_status conf_read_postgrest(struct conf_loader *l, struct hs_str text)
{
    const struct conf_given settings = {.id = CONF_ID_rest_app_settings, .source = CONF_FROM_FILE};
    struct postgrest p = {.l = l};
    hs_status status = assign(&p, CONF_ID_rest_path, HS_STR("/"));

    if (!status)
        status = assign(&p, CONF_ID_auth_roles, HS_STR("*"));
    if (!status)
        status = assign(&p, CONF_ID_auth_jwt_claims, HS_STR("postgrest"));
    if (!status)
        status = assign(&p, CONF_ID_database_pool_min, HS_STR("2"));
    if (!status)
        status = assign(&p, CONF_ID_api_enabled, HS_STR("false"));
    if (!status)
        status = assign(&p, CONF_ID_observe_metrics, HS_STR("false"));
    if (!status)
        status = read_file(&p, text);
    if (!status)
        status = read_variables(&p);
    if (!status)
        status = assign_listen(&p);
    if (!status && p.n_settings)
        status = conf_assign_items(l, &settings, p.settings, p.n_settings);
    return status;
}
