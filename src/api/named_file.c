/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a named query: comment lines before the statement.
 *
 * The rule: a line that looks like one of ours (a lower-case word and a colon, or `param`) and is not understood is an
 * error, lest a misspelt `role` opens a query to everybody. All else is a comment.
 */
#include "api/named_file.h"

#include "conf/units.h"
#include "core/nearest.h"

/* What the head is being read into. */
struct head {
    struct named_file *file;
    struct hs_arena *arena;
    size_t at; /* of the line */
};

static struct hs_str cut_word(struct hs_str *line)
{
    struct hs_str rest = hs_str_trim(*line);
    size_t n = 0;

    while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != '\t')
        n++;
    *line = hs_str_trim(hs_str_sub(rest, n, rest.n));
    return hs_str_sub(rest, 0, n);
}

static bool is_query_name(struct hs_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_plain && (i == 0 || (c != '-' && c != '_')))
            return false;
    }
    return name.n && name.n <= NAMED_NAME_MAX;
}

/* ---- the lines ---- */

static hs_status take_name(struct head *h, struct hs_str value, struct hs_err *reterr)
{
    if (!is_query_name(value)) {
        (void)named_fail(h->file, h->at, reterr, "bad name \"%.*s\"",
                         HS_FMT(hs_str_sub(value, 0, NAMED_NAME_MAX)));
        hs_err_hint(reterr, "Take letters, digits, - and _, at most %d.", NAMED_NAME_MAX);
        return HS_E_CONFIG;
    }
    h->file->name = value;
    return HS_OK;
}

/* A second line goes on with the first. */
static hs_status take_description(struct head *h, struct hs_str value, struct hs_err *reterr)
{
    struct hs_str before = h->file->description;

    h->file->description = before.n ? hs_arena_printf(h->arena, "%.*s %.*s", HS_FMT(before),
                                                      HS_FMT(value))
                                    : value;
    if (h->file->description.n > NAMED_TEXT_MAX)
        return named_fail(h->file, h->at, reterr, "the description is longer than %d bytes",
                          NAMED_TEXT_MAX);
    return hs_arena_failed(h->arena) ? hs_fail_memory(reterr) : HS_OK;
}

static hs_status take_method(struct head *h, struct hs_str value, struct hs_err *reterr)
{
    if (hs_str_ieq(value, HS_STR("get")))
        h->file->method = NAMED_METHOD_GET;
    else if (hs_str_ieq(value, HS_STR("post")))
        h->file->method = NAMED_METHOD_POST;
    else
        return named_fail(h->file, h->at, reterr, "the method is neither GET nor POST");
    return HS_OK;
}

static hs_status take_one(struct head *h, struct hs_str value, struct hs_err *reterr)
{
    if (!conf_parse_bool(value, &h->file->is_one))
        return named_fail(h->file, h->at, reterr, "`one` is neither true nor false");
    return HS_OK;
}

static hs_status take_cache(struct head *h, struct hs_str value, struct hs_err *reterr)
{
    h->file->has_ttl = true;
    h->file->ttl = 0;
    if (hs_str_is(value, "none") || conf_parse_time(value, &h->file->ttl))
        return HS_OK;
    (void)named_fail(h->file, h->at, reterr, "`cache` is neither a time with a unit nor `none`");
    hs_err_hint(reterr, "Write for example `-- cache: 30s`.");
    return HS_E_CONFIG;
}

static hs_status take_roles(struct head *h, struct hs_str value, struct hs_err *reterr)
{
    struct named_file *file = h->file;

    file->roles = HS_NEW_ARRAY(h->arena, NAMED_ROLES_MAX, struct hs_str);
    if (!file->roles)
        return hs_fail_memory(reterr);
    file->n_roles = 0;
    while (value.n) {
        struct hs_str role = hs_str_trim(hs_str_cut(&value, ','));

        if (!role.n)
            return named_fail(file, h->at, reterr, "a role has no name");
        if (file->n_roles == NAMED_ROLES_MAX)
            return named_fail(file, h->at, reterr, "more than %d roles are named", NAMED_ROLES_MAX);
        file->roles[file->n_roles++] = role;
    }
    return file->n_roles ? HS_OK : named_fail(file, h->at, reterr, "`role` names nobody");
}

/* Its place behind the type: "=", "?", " -- " or the end. */
static size_t type_end(struct hs_str s)
{
    size_t i = 0;

    while (i < s.n && s.p[i] != '=' && s.p[i] != '?' &&
           !hs_str_starts(hs_str_sub(s, i, s.n), HS_STR("--")))
        i++;
    return i;
}

/* 'it''s' is it's; a value without quotes is itself, null is NULL. */
static hs_status take_default(struct head *h, struct named_param *p, struct hs_str value,
                              struct hs_err *reterr)
{
    char *to;
    size_t n = 0;

    p->has_default = true;
    p->value = HS_STR_NULL;
    if (hs_str_ieq(value, HS_STR("null")))
        return HS_OK;
    if (!value.n || value.n > NAMED_TEXT_MAX)
        return named_fail(h->file, h->at, reterr, "the default of :%.*s is empty or too long",
                          HS_FMT(p->name));
    to = hs_arena_alloc(h->arena, value.n + 1);
    if (!to)
        return hs_fail_memory(reterr);
    if (value.p[0] == '\'') {
        if (value.n < 2 || value.p[value.n - 1] != '\'')
            return named_fail(h->file, h->at, reterr, "the default of :%.*s has no closing quote",
                              HS_FMT(p->name));
        value = hs_str_sub(value, 1, value.n - 1);
        for (size_t i = 0; i < value.n; i++) {
            i += value.p[i] == '\'' && i + 1 < value.n && value.p[i + 1] == '\'';
            to[n++] = value.p[i];
        }
    } else {
        n = (size_t)(hs_str_put(to, value) - to);
    }
    to[n] = '\0';
    p->value = hs_strn(to, n);
    return HS_OK;
}

/* Behind the type: = default, or ?, and then -- what it is. */
static hs_status take_param_rest(struct head *h, struct named_param *p, struct hs_str rest,
                                 struct hs_err *reterr)
{
    size_t i = 0;
    bool is_quoted = false;
    struct hs_str value;

    for (; i < rest.n; i++) {
        is_quoted = is_quoted != (rest.p[i] == '\'');
        if (!is_quoted && hs_str_starts(hs_str_sub(rest, i, rest.n), HS_STR(" --")))
            break;
    }
    if (hs_str_starts(rest, HS_STR("--")))
        i = 0;
    value = hs_str_trim(hs_str_sub(rest, 0, i));
    p->description = hs_str_trim(hs_str_sub(rest, i, rest.n));
    p->description = hs_str_trim(hs_str_sub(p->description, 2, p->description.n));
    if (!value.n)
        return HS_OK;
    if (value.p[0] == '=')
        return take_default(h, p, hs_str_trim(hs_str_sub(value, 1, value.n)), reterr);
    if (value.n > 1)
        return named_fail(h->file, h->at, reterr, "behind ? nothing follows but -- and words");
    p->has_default = true;
    p->value = HS_STR_NULL;
    return HS_OK;
}

static bool is_param_name(struct hs_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (!(i ? named_is_name_char(name.p[i]) : named_is_name_start(name.p[i])))
            return false;
    }
    return name.n && name.n <= NAMED_NAME_MAX;
}

static hs_status take_param(struct head *h, struct hs_str line, struct hs_err *reterr)
{
    struct named_file *file = h->file;
    struct named_param p = {.name = cut_word(&line)};
    size_t end = type_end(line);

    p.type = hs_str_trim(hs_str_sub(line, 0, end));
    if (!is_param_name(p.name) || !p.type.n || p.type.n > NAMED_TEXT_MAX) {
        (void)named_fail(file, h->at, reterr, "a parameter has no name or no type");
        hs_err_hint(reterr,
                    "Write `-- param name type`, and behind it perhaps `= default` or `?`.");
        return HS_E_CONFIG;
    }
    for (size_t i = 0; i < file->n_params; i++) {
        if (hs_str_eq(file->params[i].name, p.name))
            return named_fail(file, h->at, reterr, "the parameter :%.*s is declared twice",
                              HS_FMT(p.name));
    }
    if (file->n_params == NAMED_PARAMS_MAX)
        return named_fail(file, h->at, reterr, "there are more than %d parameters",
                          NAMED_PARAMS_MAX);
    file->params[file->n_params] = p;
    return take_param_rest(h, &file->params[file->n_params++], hs_str_sub(line, end, line.n),
                           reterr);
}

/* ---- the head ---- */

static const struct {
    const char *key;
    hs_status (*take)(struct head *h, struct hs_str value, struct hs_err *reterr);
} lines[] = {
    {"name", take_name},     {"description", take_description},
    {"method", take_method}, {"param", take_param},
    {"role", take_roles},    {"cache", take_cache},
    {"one", take_one},
};

static bool is_key(struct hs_str word)
{
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] < 'a' || word.p[i] > 'z')
            return false;
    }
    return word.n > 0;
}

/* `line` is what stands behind the dashes. */
static hs_status take_line(struct head *h, struct hs_str line, struct hs_err *reterr)
{
    struct hs_str value = line;
    struct hs_str key = cut_word(&value);
    bool has_colon = key.n && key.p[key.n - 1] == ':';
    struct hs_nearest near;
    struct hs_str best;

    key = has_colon ? hs_str_sub(key, 0, key.n - 1) : key;
    if (!is_key(key) || (!has_colon && !hs_str_is(key, "param")))
        return HS_OK;
    hs_nearest_start(&near, key);
    for (size_t i = 0; i < HS_LEN(lines); i++) {
        if (hs_str_is(key, lines[i].key))
            return lines[i].take(h, value, reterr);
        hs_nearest_offer(&near, hs_str(lines[i].key));
    }
    best = hs_nearest_best(&near);
    (void)named_fail(h->file, h->at, reterr, "there is no \"%.*s\" in the head of a query",
                     HS_FMT(hs_str_sub(key, 0, NAMED_NAME_MAX)));
    if (best.n)
        hs_err_hint(reterr,
                    "Perhaps you meant \"%.*s\". A comment may begin with a capital letter.",
                    HS_FMT(best));
    return HS_E_CONFIG;
}

/* *ret_at: where the statement begins. */
static hs_status read_head(struct head *h, size_t *ret_at, struct hs_err *reterr)
{
    struct hs_str text = h->file->text;
    size_t at = 0;

    while (at < text.n) {
        size_t end = at + hs_str_find(hs_str_sub(text, at, text.n), '\n');
        struct hs_str line = hs_str_sub(text, at, end);
        hs_status status = HS_OK;

        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        line = hs_str_trim(line);
        if (line.n && !hs_str_starts(line, HS_STR("--")))
            break;
        h->at = at;
        if (line.n)
            status = take_line(h, hs_str_trim(hs_str_sub(line, 2, line.n)), reterr);
        if (status)
            return status;
        at = end < text.n ? end + 1 : end;
    }
    *ret_at = at;
    return HS_OK;
}

/* "api/day.sql" is day. */
static struct hs_str base_name(struct hs_str path)
{
    size_t from = path.n;

    while (from && path.p[from - 1] != '/')
        from--;
    path = hs_str_sub(path, from, path.n);
    return path.n > 4 && hs_str_is(hs_str_sub(path, path.n - 4, path.n), ".sql")
               ? hs_str_sub(path, 0, path.n - 4)
               : path;
}

hs_status named_file_read(struct hs_str path, struct hs_str text, struct hs_arena *arena,
                          struct named_file *ret, struct hs_err *reterr)
{
    struct head h = {.file = ret, .arena = arena};
    size_t at = 0;
    hs_status status;

    *ret = (struct named_file){.path = path, .text = text, .name = base_name(path)};
    if (!is_query_name(ret->name)) {
        (void)named_fail(ret, 0, reterr, "the file's name is not fit to be an address");
        hs_err_hint(reterr, "Take letters, digits, - and _, at most %d.", NAMED_NAME_MAX);
        return HS_E_CONFIG;
    }
    if (text.n > NAMED_FILE_MAX)
        return named_fail(ret, 0, reterr, "the file is longer than %d KiB", NAMED_FILE_MAX >> 10);
    if (!hs_str_is_utf8(text) || hs_str_find(text, '\0') < text.n)
        return named_fail(ret, 0, reterr, "the file is not UTF-8 text");
    ret->params = HS_NEW_ARRAY(arena, NAMED_PARAMS_MAX, struct named_param);
    if (!ret->params)
        return hs_fail_memory(reterr);
    status = read_head(&h, &at, reterr);
    if (!status)
        status = named_sql_read(ret, at, arena, reterr);
    if (!status && ret->method == NAMED_METHOD_GET && !ret->is_read)
        status = named_fail(ret, at, reterr, "it writes, and GET is for queries that read");
    return status;
}
