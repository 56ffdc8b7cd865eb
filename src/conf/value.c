/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From text to a field of struct conf, the same for every source. The rule: a value is either taken
 * whole or refused with its place; nothing is rounded, clamped or guessed, and a source that says
 * two things about one option is refused.
 *
 * A list may come as one text, which is the only form an environment variable has: lines, and
 * within a line commas (LIST) or semicolons (LINES, whose items may hold commas). Blank lines do
 * not count; an empty item between two separators does, and is refused, as is an item listed twice.
 *
 * A secret's file may be named relative to the configuration file that names it. One line end at
 * its end is cut, for editors add it.
 */
#include <stdio.h>

#include "conf/conf_int.h"
#include "conf/units.h"

hs_status conf_note_seen(struct conf_loader *l, const struct conf_given *g)
{
    struct conf_seen *seen = &l->seen[g->id];
    const char *name = conf_options[g->id].name;
    char at[CONF_PLACE];
    char found[CONF_PLACE + CONF_QUOTE];

    if (seen->value || seen->file) {
        bool both = g->is_file ? !seen->file : !seen->value;

        at[0] = '\0';
        if (seen->line)
            (void)snprintf(at, sizeof(at), " on line %u", seen->line);
        if (both)
            (void)snprintf(found, sizeof(found), "%s%s as well%s", name, seen->file ? "_file" : "",
                           at);
        else
            (void)snprintf(found, sizeof(found), "the key again%s%s", at[0] ? ", first" : "", at);
        return conf_fail(l, g, found, both ? "one of the two" : "it once");
    }
    seen->value = !g->is_file;
    seen->file = g->is_file;
    seen->line = g->line;
    return HS_OK;
}

/* Fit for a NUL-terminated text? */
static hs_status check_text(struct conf_loader *l, const struct conf_given *g, struct hs_str text)
{
    if (hs_str_find(text, '\0') < text.n)
        return conf_fail(l, g, "a NUL byte", "text");
    if (!hs_str_is_utf8(text))
        return conf_fail(l, g, "bytes that are not UTF-8", "text");
    return HS_OK;
}

static hs_status assign_text(struct conf_loader *l, const struct conf_given *g, struct hs_str text)
{
    hs_status status = check_text(l, g, text);
    struct hs_str copy;

    if (status)
        return status;
    copy = hs_arena_dup(&l->private->arena, text);
    if (!copy.p)
        return hs_fail_memory(l->reterr);
    *CONF_AT(l->conf, &conf_options[g->id], struct hs_str) = copy;
    return HS_OK;
}

/* The path as the process can open it. */
static struct hs_str secret_path(struct conf_loader *l, const struct conf_given *g,
                                 struct hs_str path)
{
    const char *file = l->private->file;
    const char *slash = file && g->source == CONF_FROM_FILE ? strrchr(file, '/') : NULL;

    if (!slash || path.p[0] == '/')
        return hs_arena_dup(&l->private->arena, path);
    return hs_arena_printf(&l->private->arena, "%.*s%.*s", (int)(slash - file + 1), file,
                           HS_FMT(path));
}

static hs_status assign_secret_file(struct conf_loader *l, const struct conf_given *g,
                                    struct hs_str path)
{
    hs_status status = check_text(l, g, path);
    char found[CONF_QUOTE + 64];
    char quoted[CONF_QUOTE];
    const char *why = "";
    struct hs_str full;
    struct hs_str text;

    if (status)
        return status;
    if (path.n == 0)
        return conf_fail(l, g, "nothing", "the path of a file");
    full = secret_path(l, g, path);
    if (!full.p)
        return hs_fail_memory(l->reterr);
    status = conf_read_file(&l->private->arena, full.p, CONF_SECRET_FILE_MAX, &text, &why);
    if (status == HS_E_MEMORY)
        return hs_fail_memory(l->reterr);
    if (status) {
        (void)snprintf(found, sizeof(found), "%s (%s)", conf_quote(full, quoted), why);
        return conf_fail(l, g, found, "the path of a file that can be read");
    }
    if (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    if (text.n && text.p[text.n - 1] == '\r')
        text.n--;
    if (text.n == 0) {
        (void)snprintf(found, sizeof(found), "the empty file %s", conf_quote(full, quoted));
        return conf_fail(l, g, found, "a file that holds the secret");
    }
    return assign_text(l, g, text);
}

static hs_status assign_number(struct conf_loader *l, const struct conf_given *g,
                               struct hs_str text, bool (*parse)(struct hs_str, uint64_t *))
{
    const struct conf_option *o = &conf_options[g->id];
    uint64_t v, min = 0, max = UINT64_MAX;

    HS_BUG_ON(o->min[0] && !parse(hs_str(o->min), &min));
    HS_BUG_ON(o->max[0] && !parse(hs_str(o->max), &max));
    if (!parse(text, &v) || v < min || v > max)
        return conf_fail_value(l, g, text);
    *CONF_AT(l->conf, o, uint64_t) = v;
    return HS_OK;
}

static hs_status assign_enum(struct conf_loader *l, const struct conf_given *g, struct hs_str text)
{
    const struct conf_option *o = &conf_options[g->id];
    struct hs_str words = hs_str(o->min);

    for (unsigned i = 0; words.n; i++) {
        if (hs_str_eq(hs_str_cut(&words, '|'), text)) {
            *CONF_AT(l->conf, o, unsigned) = i;
            return HS_OK;
        }
    }
    return conf_fail_value(l, g, text);
}

static hs_status check_item(struct conf_loader *l, const struct conf_given *g, struct hs_str item,
                            const struct hs_str *before, size_t n)
{
    hs_status status = check_text(l, g, item);
    char quoted[CONF_QUOTE];
    char found[CONF_QUOTE + 16];

    if (status)
        return status;
    if (item.n == 0)
        return conf_fail(l, g, "an empty item", "a text");
    for (size_t i = 0; i < n; i++) {
        if (!hs_str_eq(before[i], item))
            continue;
        (void)snprintf(found, sizeof(found), "%s twice", conf_quote(item, quoted));
        return conf_fail(l, g, found, "each item once");
    }
    return HS_OK;
}

hs_status conf_assign_items(struct conf_loader *l, const struct conf_given *g,
                            const struct hs_str *items, size_t n)
{
    struct conf_list list = {.n = n};
    struct hs_str *v = HS_NEW_ARRAY(&l->private->arena, n, struct hs_str);

    HS_BUG_ON(n > CONF_ITEMS_MAX);
    if (!v)
        return hs_fail_memory(l->reterr);
    for (size_t i = 0; i < n; i++) {
        struct hs_str item = hs_str_trim(items[i]);
        hs_status status = check_item(l, g, item, v, i);

        if (status)
            return status;
        v[i] = hs_arena_dup(&l->private->arena, item);
        if (!v[i].p)
            return hs_fail_memory(l->reterr);
    }
    list.v = v;
    *CONF_AT(l->conf, &conf_options[g->id], struct conf_list) = list;
    l->private->origin[g->id] = (struct conf_origin){.source = g->source, .line = g->line};
    return HS_OK;
}

static struct hs_str trim_line(struct hs_str s)
{
    if (s.n && s.p[s.n - 1] == '\r')
        s.n--;
    return hs_str_trim(s);
}

/* The items of one text; with items == NULL it only counts them. */
static size_t split(struct hs_str text, char separator, struct hs_str *items)
{
    size_t n = 0;

    while (text.n) {
        struct hs_str line = trim_line(hs_str_cut(&text, '\n'));
        bool more = line.n > 0; /* an item follows, be it an empty one behind a separator */

        while (more) {
            more = hs_str_find(line, separator) < line.n;
            if (items)
                items[n] = hs_str_cut(&line, separator);
            else
                (void)hs_str_cut(&line, separator);
            n++;
        }
    }
    return n;
}

static hs_status assign_list(struct conf_loader *l, const struct conf_given *g, struct hs_str text)
{
    char separator = conf_options[g->id].type == CONF_LIST ? ',' : ';';
    size_t n = split(text, separator, NULL);
    struct hs_str *items;

    if (n > CONF_ITEMS_MAX)
        return conf_fail(l, g, "a list without end", "at most 10000 items");
    items = HS_NEW_ARRAY(&l->private->arena, n, struct hs_str);
    if (!items)
        return hs_fail_memory(l->reterr);
    split(text, separator, items);
    return conf_assign_items(l, g, items, n);
}

static hs_status assign_bool(struct conf_loader *l, const struct conf_given *g, struct hs_str text)
{
    if (!conf_parse_bool(text, CONF_AT(l->conf, &conf_options[g->id], bool)))
        return conf_fail_value(l, g, text);
    return HS_OK;
}

static hs_status assign_by_type(struct conf_loader *l, const struct conf_given *g,
                                struct hs_str text)
{
    switch (conf_options[g->id].type) {
    case CONF_SECRET:
        return g->is_file ? assign_secret_file(l, g, text) : assign_text(l, g, text);
    case CONF_BOOL:
        return assign_bool(l, g, text);
    case CONF_INT:
        return assign_number(l, g, text, hs_str_to_u64);
    case CONF_TIME:
        return assign_number(l, g, text, conf_parse_time);
    case CONF_SIZE:
        return assign_number(l, g, text, conf_parse_size);
    case CONF_ENUM:
        return assign_enum(l, g, text);
    case CONF_LIST:
    case CONF_LINES:
        return assign_list(l, g, text);
    case CONF_STRING:
        break;
    }
    return assign_text(l, g, text);
}

hs_status conf_assign(struct conf_loader *l, const struct conf_given *g, struct hs_str text)
{
    hs_status status = assign_by_type(l, g, text);

    if (status == HS_OK)
        l->private->origin[g->id] = (struct conf_origin){
            .source = g->source, .line = g->line, .is_file = g->is_file};
    return status;
}
