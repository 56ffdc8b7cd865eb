/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one form of a configuration error:
 *
 *     hasten.yaml:12: database.pool.max: found "many", expected a whole number from 2 to 10000
 *
 * place, option, what stands there, what should. The rule: the value of a secret never enters an
 * error, and no input can break the line or hide in it (control characters are escaped, long values
 * are cut). Where the value came from the environment the place is the variable, the thing one has
 * to correct.
 */
#include <stdio.h>

#include "conf/conf_int.h"

enum { FILE_SHOWN = 96 };

const char *conf_place_line(const struct conf_private *p, unsigned line, char to[static CONF_PLACE])
{
    const char *file = p->file ? p->file : "configuration";
    size_t n = strlen(file);
    const char *cut = "";

    if (n > FILE_SHOWN) {
        file += n - FILE_SHOWN;
        cut = "...";
    }
    if (line)
        (void)snprintf(to, CONF_PLACE, "%s%s:%u", cut, file, line);
    else
        (void)snprintf(to, CONF_PLACE, "%s%s", cut, file);
    return to;
}

const char *conf_place(const struct conf_private *p, enum conf_id id,
                       const struct conf_origin *origin, char to[static CONF_PLACE])
{
    char env[CONF_ENV_NAME];

    switch (origin->source) {
    case CONF_FROM_FILE:
        return conf_place_line(p, origin->line, to);
    case CONF_FROM_ENV:
        (void)snprintf(to, CONF_PLACE, "%s%s", conf_env_name(hs_str(conf_options[id].name), env).p,
                       origin->is_file ? "_FILE" : "");
        return to;
    case CONF_FROM_COMMAND:
        return "command line";
    case CONF_FROM_DEFAULT:
        break;
    }
    return "default";
}

const char *conf_quote(struct hs_str s, char to[static CONF_QUOTE])
{
    bool is_utf8 = hs_str_is_utf8(s);
    size_t n = 0;

    to[n++] = '"';
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool is_start = !is_utf8 || (c & 0xc0) != 0x80;

        if (is_start && n > CONF_QUOTE - 14) {
            memcpy(to + n, "...", 3);
            n += 3;
            break;
        }
        if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8))
            n += (size_t)snprintf(to + n, CONF_QUOTE - n, "\\x%02x", c);
        else
            to[n++] = (char)c;
    }
    to[n++] = '"';
    to[n] = '\0';
    return to;
}

hs_status conf_fail(struct conf_loader *l, const struct conf_given *g, const char *found,
                    const char *expected)
{
    char place[CONF_PLACE];
    struct conf_origin origin = {.source = g->source, .line = g->line, .is_file = g->is_file};

    return hs_fail(l->reterr, HS_E_CONFIG, "%s: %s%s: found %s, expected %s",
                   conf_place(l->private, g->id, &origin, place), conf_options[g->id].name,
                   g->is_file ? "_file" : "", found, expected);
}

hs_status conf_fail_value(struct conf_loader *l, const struct conf_given *g, struct hs_str found)
{
    const struct conf_option *o = &conf_options[g->id];
    char quoted[CONF_QUOTE];
    struct hs_buf expected;
    const char *text;
    hs_status status;

    hs_buf_init(&expected, 4096);
    conf_add_expected(&expected, o);
    text = hs_buf_cstr(&expected);
    if (!text)
        status = hs_fail_memory(l->reterr);
    else if (o->type == CONF_SECRET)
        status = conf_fail(l, g, "a value that is not shown", text);
    else
        status = conf_fail(l, g, found.n ? conf_quote(found, quoted) : "nothing", text);
    hs_buf_fini(&expected);
    return status;
}
