/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file: YAML 1.1 read as a stream of events (libyaml), walked along the names of the options.
 *
 * Why not libcyaml, which stands on the same events: strictness with the right line is the point
 * here, and libcyaml 1.3.1 was measured to take `5s` for the number 5 and a second document for
 * nothing, to refuse a section whose lines are all commented out, and to report a repeated key on
 * the line before it. Reading every value as text through it and walking the events again for the
 * lines would be two parsers for one file. With events, each value has its mark and each fault its
 * line.
 *
 * The rule: nothing in the file is ignored. Unknown and repeated keys, anchors, aliases, tags and
 * further documents are refused. A section may be empty; a text without value (`key:`, `~`, `null`)
 * leaves the option as if the key were not there. A key never recurses deeper than the names of
 * options do, so the depth of the walk is bounded by the table, not by the input.
 */
#include <stdio.h>
#include <yaml.h>

#include "conf/conf_int.h"

enum { PATH_MAX_BYTES = 128, GROUPS_MAX = CONF_OPTIONS };

struct yaml_group {
    struct hs_str name; /* within conf_options */
    unsigned line;
};

struct yaml_walk {
    struct conf_loader *l;
    struct hs_str text;
    yaml_parser_t parser;
    yaml_event_t event; /* the newest; deleted before the next */
    struct yaml_group groups[GROUPS_MAX];
    size_t n_groups;
};

/* Where we are: "server", "server.connections". */
struct yaml_path {
    char p[PATH_MAX_BYTES];
    size_t n;
    unsigned line; /* of the key */
};

static unsigned line_of(const struct yaml_walk *w)
{
    return (unsigned)w->event.start_mark.line + 1;
}

static struct hs_str scalar(const struct yaml_walk *w)
{
    return hs_strn((const char *)w->event.data.scalar.value, w->event.data.scalar.length);
}

static hs_status fail_at(struct yaml_walk *w, unsigned line, const char *path, const char *found,
                         const char *expected)
{
    char place[CONF_PLACE];

    return hs_fail(w->l->reterr, HS_E_CONFIG, "%s: %s%sfound %s, expected %s",
                   conf_place_line(w->l->private, line, place), path, path[0] ? ": " : "", found,
                   expected);
}

/* libyaml's own complaint. Its reader gives an offset instead of a mark. */
static hs_status fail_syntax(struct yaml_walk *w)
{
    const yaml_parser_t *p = &w->parser;
    unsigned line = (unsigned)p->problem_mark.line + 1;
    char found[160];

    if (p->error == YAML_MEMORY_ERROR)
        return hs_fail_memory(w->l->reterr);
    if (p->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < p->problem_offset && i < w->text.n; i++)
            line += w->text.p[i] == '\n';
    }
    (void)snprintf(found, sizeof(found), "a fault in the form (%s)",
                   p->problem ? p->problem : "unknown");
    return fail_at(w, line, "", found, "YAML");
}

static hs_status next(struct yaml_walk *w)
{
    yaml_event_delete(&w->event);
    if (!yaml_parser_parse(&w->parser, &w->event))
        return fail_syntax(w);
    return HS_OK;
}

static bool has_anchor(const yaml_event_t *e)
{
    if (e->type == YAML_SCALAR_EVENT)
        return e->data.scalar.anchor || e->data.scalar.tag;
    if (e->type == YAML_MAPPING_START_EVENT)
        return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    if (e->type == YAML_SEQUENCE_START_EVENT)
        return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    return false;
}

/* What a node is, for a person. Its value is not shown: it may be a secret in the wrong place. */
static const char *kind(const yaml_event_t *e)
{
    if (e->type == YAML_ALIAS_EVENT)
        return "an alias";
    if (has_anchor(e))
        return "an anchor or a tag";
    if (e->type == YAML_MAPPING_START_EVENT)
        return "a mapping";
    if (e->type == YAML_SEQUENCE_START_EVENT)
        return "a list";
    return "a value";
}

static bool is_plain_null(const yaml_event_t *e)
{
    struct hs_str s = hs_strn((const char *)e->data.scalar.value, e->data.scalar.length);

    return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (s.n == 0 || hs_str_is(s, "~") || hs_str_is(s, "null"));
}

/* The scalar of the current event with its variables expanded. */
static hs_status value(struct yaml_walk *w, const struct conf_given *g, struct hs_str *ret)
{
    struct hs_str found = HS_STR_NULL;
    hs_status status;

    if (w->event.type != YAML_SCALAR_EVENT || has_anchor(&w->event)) {
        bool is_mapping = w->event.type == YAML_MAPPING_START_EVENT;
        bool is_list = conf_options[g->id].type == CONF_LIST ||
                       conf_options[g->id].type == CONF_LINES;

        return conf_fail(w->l, g, kind(&w->event),
                         is_mapping && is_list ? "a text; put it in quotes" : "a single value");
    }
    status = conf_expand(w->l, scalar(w), ret, &found);
    if (status == HS_E_MEMORY)
        return hs_fail_memory(w->l->reterr);
    if (status)
        return conf_fail(w->l, g, found.p, "${NAME}, ${NAME:-default}, or $$ for a dollar sign");
    return HS_OK;
}

static hs_status read_sequence(struct yaml_walk *w, struct conf_given *g)
{
    struct hs_arena *arena = &w->l->private->arena;
    struct hs_str *items = NULL;
    unsigned line = g->line;
    size_t n = 0, cap = 0;

    for (;;) {
        struct hs_str item = HS_STR_NULL;
        hs_status status = next(w);

        if (status)
            return status;
        if (w->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        g->line = line_of(w);
        status = value(w, g, &item);
        if (status)
            return status;
        if (n == CONF_ITEMS_MAX)
            return conf_fail(w->l, g, "a list without end", "at most 10000 items");
        if (n == cap) {
            struct hs_str *more = HS_NEW_ARRAY(arena, cap ? cap * 2 : 16, struct hs_str);

            if (!more)
                return hs_fail_memory(w->l->reterr);
            if (n)
                memcpy(more, items, n * sizeof(*items));
            items = more;
            cap = cap ? cap * 2 : 16;
        }
        items[n] = hs_arena_dup(arena, item);
        if (!items[n].p)
            return hs_fail_memory(w->l->reterr);
        n++;
    }
    g->line = line;
    return conf_assign_items(w->l, g, items, n);
}

static hs_status read_option(struct yaml_walk *w, enum conf_id id, bool is_file, unsigned line)
{
    enum conf_type type = conf_options[id].type;
    bool is_list = type == CONF_LIST || type == CONF_LINES;
    bool is_text = is_list || type == CONF_STRING || type == CONF_SECRET;
    struct conf_given g = {.id = id, .is_file = is_file, .source = CONF_FROM_FILE, .line = line};
    hs_status status = conf_note_seen(w->l, &g);
    struct hs_str text = HS_STR_NULL;

    if (status)
        return status;
    status = next(w);
    if (status)
        return status;
    g.line = line_of(w);
    if (is_list && w->event.type == YAML_SEQUENCE_START_EVENT && !has_anchor(&w->event))
        return read_sequence(w, &g);
    status = value(w, &g, &text);
    if (status)
        return status;
    if (is_text && is_plain_null(&w->event))
        return HS_OK;
    return conf_assign(w->l, &g, text);
}

static hs_status fail_unknown(struct yaml_walk *w, const struct yaml_path *path, struct hs_str key)
{
    struct hs_str near = conf_nearest(hs_strn(path->p, path->n));
    char expected[PATH_MAX_BYTES + 32];
    char quoted[CONF_QUOTE];

    if (hs_str_find(key, '.') < key.n) {
        bool is_file;
        bool is_known = conf_option_find(hs_strn(path->p, path->n), &is_file) < CONF_OPTIONS;

        if (is_known || conf_group_find(hs_strn(path->p, path->n)).p)
            return fail_at(w, path->line, path->p, "a key with a dot",
                           "each part on a line of its own, one below the other");
    }
    if (near.p)
        (void)snprintf(expected, sizeof(expected), "%.*s", HS_FMT(near));
    else
        (void)snprintf(expected, sizeof(expected),
                       "a name that `hasten config reference options` lists");
    if (path->n == 0)
        return fail_at(w, path->line, conf_quote(key, quoted), "an unknown key", expected);
    return fail_at(w, path->line, path->p, "an unknown key", expected);
}

/* path becomes path.key; false if no option can have such a name. */
static bool descend(struct yaml_path *path, struct hs_str key)
{
    size_t dot = path->n > 0;

    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];

        if (c <= ' ' || c >= 0x7f || c == '"')
            return false;
    }
    if (key.n == 0 || key.n >= PATH_MAX_BYTES || path->n + dot + key.n >= PATH_MAX_BYTES)
        return false;
    if (dot)
        path->p[path->n++] = '.';
    memcpy(path->p + path->n, key.p, key.n);
    path->n += key.n;
    path->p[path->n] = '\0';
    return true;
}

static hs_status note_group(struct yaml_walk *w, struct hs_str group, const struct yaml_path *path)
{
    char found[64];

    for (size_t i = 0; i < w->n_groups; i++) {
        if (!hs_str_eq(w->groups[i].name, group))
            continue;
        (void)snprintf(found, sizeof(found), "the key again, first on line %u", w->groups[i].line);
        return fail_at(w, path->line, path->p, found, "it once");
    }
    HS_BUG_ON(w->n_groups == GROUPS_MAX);
    w->groups[w->n_groups++] = (struct yaml_group){.name = group, .line = path->line};
    return HS_OK;
}

static hs_status read_mapping(struct yaml_walk *w, const struct yaml_path *path);

static hs_status read_group(struct yaml_walk *w, struct hs_str group, const struct yaml_path *path)
{
    hs_status status = note_group(w, group, path);

    if (status)
        return status;
    status = next(w);
    if (status)
        return status;
    if (!has_anchor(&w->event)) {
        if (w->event.type == YAML_MAPPING_START_EVENT)
            return read_mapping(w, path);
        if (w->event.type == YAML_SCALAR_EVENT && is_plain_null(&w->event))
            return HS_OK;
    }
    return fail_at(w, line_of(w), path->p, kind(&w->event), "a mapping with options below it");
}

/* The key of the current event and what belongs to it. */
static hs_status read_key(struct yaml_walk *w, const struct yaml_path *path)
{
    struct yaml_path below = *path;
    bool is_file;
    enum conf_id id;
    struct hs_str group;

    below.line = line_of(w);
    if (w->event.type != YAML_SCALAR_EVENT || has_anchor(&w->event))
        return fail_at(w, below.line, path->p, kind(&w->event), "the name of an option");
    if (!descend(&below, scalar(w))) {
        below.n = 0;
        return fail_unknown(w, &below, scalar(w));
    }
    if (hs_str_find(scalar(w), '.') < scalar(w).n)
        return fail_unknown(w, &below, scalar(w));
    id = conf_option_find(hs_strn(below.p, below.n), &is_file);
    if (id < CONF_OPTIONS)
        return read_option(w, id, is_file, below.line);
    group = conf_group_find(hs_strn(below.p, below.n));
    if (group.p)
        return read_group(w, group, &below);
    return fail_unknown(w, &below, scalar(w));
}

static hs_status read_mapping(struct yaml_walk *w, const struct yaml_path *path)
{
    for (;;) {
        hs_status status = next(w);

        if (status)
            return status;
        if (w->event.type == YAML_MAPPING_END_EVENT)
            return HS_OK;
        status = read_key(w, path);
        if (status)
            return status;
    }
}

static hs_status read_document(struct yaml_walk *w)
{
    const struct yaml_path top = {.n = 0};
    hs_status status = next(w);
    bool is_null;

    if (status)
        return status;
    is_null = w->event.type == YAML_SCALAR_EVENT && is_plain_null(&w->event);
    if (has_anchor(&w->event) || (w->event.type != YAML_MAPPING_START_EVENT && !is_null))
        return fail_at(w, line_of(w), "", kind(&w->event), "options, such as \"server:\"");
    status = is_null ? HS_OK : read_mapping(w, &top);
    if (status)
        return status;
    status = next(w);
    if (status)
        return status;
    HS_BUG_ON(w->event.type != YAML_DOCUMENT_END_EVENT);
    return next(w);
}

static hs_status read_stream(struct yaml_walk *w)
{
    hs_status status = next(w);

    if (status)
        return status;
    HS_BUG_ON(w->event.type != YAML_STREAM_START_EVENT);
    status = next(w);
    if (status == HS_OK && w->event.type == YAML_DOCUMENT_START_EVENT)
        status = read_document(w);
    if (status == HS_OK && w->event.type != YAML_STREAM_END_EVENT)
        status = fail_at(w, line_of(w), "", "a second document", "one");
    return status;
}

hs_status conf_read_yaml(struct conf_loader *l, struct hs_str text)
{
    struct yaml_walk w = {.l = l, .text = text};
    hs_status status;

    if (!yaml_parser_initialize(&w.parser))
        return hs_fail_memory(l->reterr);
    yaml_parser_set_encoding(&w.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&w.parser, (const unsigned char *)text.p, text.n);
    status = read_stream(&w);
    yaml_event_delete(&w.event);
    yaml_parser_delete(&w.parser);
    return status;
}
