/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options and the ways to look into it. It has some seventy rows and is read at start
 * and on reload only, so every look-up is a plain walk. The rule: a name is either an option or a
 * group of options, never both; groups are not declared, they are the prefixes of names up to a
 * dot.
 */
#include "conf/conf_int.h"
#include "core/nearest.h"

const struct conf_option conf_options[CONF_OPTIONS] = {
#define CONF(type, field, name, def, min, max, prose) \
    {name, CONF_##type, offsetof(struct conf, field), def, min, max, prose, /* is_fixed= */ false},
#define CONF_FIXED(type, field, name, def, min, max, prose) \
    {name, CONF_##type, offsetof(struct conf, field), def, min, max, prose, /* is_fixed= */ true},
#include "conf/options.def"
#undef CONF
};

enum conf_id conf_option_find(struct hs_str name, bool *ret_is_file)
{
    const struct hs_str suffix = HS_STR("_file");
    struct hs_str stem = HS_STR_NULL;

    *ret_is_file = false;
    if (name.n > suffix.n && hs_str_eq(hs_str_sub(name, name.n - suffix.n, name.n), suffix))
        stem = hs_str_sub(name, 0, name.n - suffix.n);
    for (unsigned i = 0; i < CONF_OPTIONS; i++) {
        if (hs_str_is(name, conf_options[i].name))
            return (enum conf_id)i;
        if (stem.p && conf_options[i].type == CONF_SECRET &&
            hs_str_is(stem, conf_options[i].name)) {
            *ret_is_file = true;
            return (enum conf_id)i;
        }
    }
    return CONF_OPTIONS;
}

struct hs_str conf_group_find(struct hs_str name)
{
    for (unsigned i = 0; i < CONF_OPTIONS; i++) {
        struct hs_str option = hs_str(conf_options[i].name);

        if (option.n > name.n && option.p[name.n] == '.' && hs_str_starts(option, name))
            return hs_str_sub(option, 0, name.n);
    }
    return HS_STR_NULL;
}

/* The part of an option's name that is as many steps deep as the name asked for. */
static struct hs_str prefix_of_depth(struct hs_str option, struct hs_str asked)
{
    size_t dots = 0;

    for (size_t i = 0; i < asked.n; i++)
        dots += asked.p[i] == '.';
    for (size_t i = 0; i < option.n; i++) {
        if (option.p[i] == '.' && dots-- == 0)
            return hs_str_sub(option, 0, i);
    }
    return option;
}

struct hs_str conf_nearest(struct hs_str name)
{
    struct hs_nearest near;

    for (unsigned i = 0; i < CONF_OPTIONS; i++) {
        struct hs_str option = hs_str(conf_options[i].name);

        /* The right name in the wrong place: "pool.max", "pool". */
        for (size_t at = hs_str_find(option, '.'); name.n && at + name.n < option.n; at++) {
            size_t end = at + 1 + name.n;

            if (option.p[at] == '.' && (end == option.n || option.p[end] == '.') &&
                hs_str_eq(hs_str_sub(option, at + 1, end), name))
                return hs_str_sub(option, 0, end);
        }
    }
    hs_nearest_start(&near, name);
    for (unsigned i = 0; i < CONF_OPTIONS; i++) {
        struct hs_str option = hs_str(conf_options[i].name);

        hs_nearest_offer(&near, option);
        hs_nearest_offer(&near, prefix_of_depth(option, name));
    }
    return hs_nearest_best(&near);
}

struct hs_str conf_env_name(struct hs_str name, char to[static CONF_ENV_NAME])
{
    const struct hs_str prefix = HS_STR("HASTEN_");
    size_t n = prefix.n;

    memcpy(to, prefix.p, n);
    for (size_t i = 0; i < name.n && n < CONF_ENV_NAME - 1; i++) {
        char c = name.p[i];

        if (c == '.')
            c = '_';
        else if (c >= 'a' && c <= 'z')
            c = (char)(c - ('a' - 'A'));
        to[n++] = c;
    }
    to[n] = '\0';
    return hs_strn(to, n);
}

struct hs_str conf_enum_word(const struct conf_option *o, unsigned index)
{
    struct hs_str words = hs_str(o->min);
    struct hs_str word = hs_str_cut(&words, '|');

    while (index--)
        word = hs_str_cut(&words, '|');
    return word;
}

static void add_range(struct hs_buf *out, const struct conf_option *o)
{
    if (o->min[0] && o->max[0])
        hs_buf_printf(out, " from %s to %s", o->min, o->max);
    else if (o->min[0])
        hs_buf_printf(out, " of at least %s", o->min);
    else if (o->max[0])
        hs_buf_printf(out, " of at most %s", o->max);
}

static void add_words(struct hs_buf *out, const struct conf_option *o)
{
    struct hs_str words = hs_str(o->min);

    while (words.n) {
        hs_buf_add(out, hs_str_cut(&words, '|'));
        if (words.n)
            hs_buf_add(out, hs_str_find(words, '|') < words.n ? HS_STR(", ") : HS_STR(" or "));
    }
}

void conf_add_expected(struct hs_buf *out, const struct conf_option *o)
{
    switch (o->type) {
    case CONF_STRING:
    case CONF_SECRET:
        hs_buf_add_lit(out, "text");
        break;
    case CONF_BOOL:
        hs_buf_add_lit(out, "true or false");
        break;
    case CONF_INT:
        hs_buf_add_lit(out, "a whole number");
        add_range(out, o);
        break;
    case CONF_TIME:
        hs_buf_add_lit(out, "a duration with its unit (us, ms, s, min, h, d)");
        add_range(out, o);
        break;
    case CONF_SIZE:
        hs_buf_add_lit(out, "a size with its unit (B, KiB, MiB, GiB)");
        add_range(out, o);
        break;
    case CONF_ENUM:
        add_words(out, o);
        break;
    case CONF_LIST:
    case CONF_LINES:
        hs_buf_add_lit(out, "a list of texts");
        break;
    }
}
