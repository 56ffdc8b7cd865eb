/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as it is, in the form it is read in: nested YAML, each value with its origin as
 * a comment. The rule: reading what is shown gives the same configuration, apart from the secrets,
 * which are shown as a mask (set) or as nothing (unset), never themselves nor their length.
 */
#include "conf/conf_int.h"
#include "conf/units.h"

enum { COMMENT_COLUMN = 48 };

/* The code point of the sequence at p if it has at most 3 bytes; *ret_n is its length always. */
static unsigned code_point(const unsigned char *p, size_t *ret_n)
{
    *ret_n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (*ret_n == 2)
        return ((unsigned)(p[0] & 0x1f) << 6) | (p[1] & 0x3f);
    if (*ret_n == 3)
        return ((unsigned)(p[0] & 0x0f) << 12) | ((unsigned)(p[1] & 0x3f) << 6) | (p[2] & 0x3f);
    return p[0];
}

/* Not printable in YAML (5.1), or a line break or mark to it. */
static bool must_escape(unsigned c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           c == 0xfffe || c == 0xffff;
}

/* A double-quoted scalar (YAML 1.2, 7.3.1). $ is doubled, for a single one may begin a variable. */
static void add_text(struct hs_buf *out, struct hs_str s)
{
    hs_buf_add_char(out, '"');
    for (size_t i = 0, n; i < s.n; i += n) {
        unsigned c = code_point((const unsigned char *)s.p + i, &n);

        if (n < 4 && must_escape(c)) {
            hs_buf_printf(out, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            hs_buf_add_char(out, '\\');
        if (c == '$')
            hs_buf_add_char(out, '$');
        hs_buf_add(out, hs_str_sub(s, i, i + n));
    }
    hs_buf_add_char(out, '"');
}

static void add_list(struct hs_buf *out, const struct conf_list *list)
{
    hs_buf_add_char(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        if (i)
            hs_buf_add_lit(out, ", ");
        add_text(out, list->v[i]);
    }
    hs_buf_add_char(out, ']');
}

void conf_add_value(struct hs_buf *out, const struct conf *conf, enum conf_id id)
{
    const struct conf_option *o = &conf_options[id];

    switch (o->type) {
    case CONF_SECRET:
        if (CONF_AT_CONST(conf, o, struct hs_str)->n)
            hs_buf_add_lit(out, "\"********\"");
        break;
    case CONF_STRING:
        /* Nothing means "as if not given", which is empty only where the default is. */
        if (CONF_AT_CONST(conf, o, struct hs_str)->n || o->def[0])
            add_text(out, *CONF_AT_CONST(conf, o, struct hs_str));
        break;
    case CONF_BOOL:
        hs_buf_add(out, *CONF_AT_CONST(conf, o, bool) ? HS_STR("true") : HS_STR("false"));
        break;
    case CONF_INT:
        hs_buf_add_u64(out, *CONF_AT_CONST(conf, o, uint64_t));
        break;
    case CONF_TIME:
        conf_add_time(out, *CONF_AT_CONST(conf, o, hs_us));
        break;
    case CONF_SIZE:
        conf_add_size(out, *CONF_AT_CONST(conf, o, uint64_t));
        break;
    case CONF_ENUM:
        hs_buf_add(out, conf_enum_word(o, *CONF_AT_CONST(conf, o, unsigned)));
        break;
    case CONF_LIST:
    case CONF_LINES:
        add_list(out, CONF_AT_CONST(conf, o, struct conf_list));
        break;
    }
}

static void add_indent(struct hs_buf *out, unsigned depth)
{
    while (depth--)
        hs_buf_add_lit(out, "  ");
}

/*
 * The keys of `name` that `before`, the option shown last, did not open; the last one is the
 * option's own. Options of one group stand together in the table (a test sees to it).
 */
static void add_keys(struct hs_buf *out, struct hs_str name, struct hs_str before)
{
    bool is_open = true;
    unsigned depth = 0;

    for (;;) {
        struct hs_str key = hs_str_cut(&name, '.');

        is_open = is_open && hs_str_eq(hs_str_cut(&before, '.'), key) && before.n;
        if (!is_open) {
            add_indent(out, depth);
            hs_buf_add(out, key);
            hs_buf_add_char(out, ':');
            if (name.n)
                hs_buf_add_char(out, '\n');
        }
        if (name.n == 0)
            return;
        depth++;
    }
}

static void add_origin(struct hs_buf *out, const struct conf *conf, enum conf_id id)
{
    const struct conf_origin *origin = &conf->private->origin[id];
    const struct conf_option *o = &conf_options[id];
    char place[CONF_PLACE];

    hs_buf_add_lit(out, " # ");
    hs_buf_add(out, hs_str(conf_place(conf->private, id, origin, place)));
    if (origin->is_file)
        hs_buf_add_lit(out, ", from a file");
    if ((o->type == CONF_SECRET || o->type == CONF_STRING) &&
        !CONF_AT_CONST(conf, o, struct hs_str)->n)
        hs_buf_add_lit(out, ", unset");
}

void conf_show(const struct conf *conf, struct hs_buf *out)
{
    struct hs_str before = HS_STR("");

    for (unsigned i = 0; i < CONF_OPTIONS; i++) {
        struct hs_str name = hs_str(conf_options[i].name);
        size_t line;

        add_keys(out, name, before);
        line = out->n;
        while (line && out->p[line - 1] != '\n')
            line--;
        hs_buf_add_char(out, ' ');
        conf_add_value(out, conf, (enum conf_id)i);
        while (!hs_buf_failed(out) && out->n - line < COMMENT_COLUMN)
            hs_buf_add_char(out, ' ');
        add_origin(out, conf, (enum conf_id)i);
        hs_buf_add_char(out, '\n');
        before = name;
    }
}
