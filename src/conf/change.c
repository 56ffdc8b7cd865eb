/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload changes. The rule: an option that cannot change while the server runs keeps its value in
 * the new configuration too, so that nobody who reads it has to know which kind it is, and so that the
 * difference is told at each reload until the restart.
 */
#include "conf/conf_int.h"

static bool same_lists(const struct conf_list *a, const struct conf_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (!hs_str_eq(a->v[i], b->v[i]))
            return false;
    }
    return true;
}

static const size_t sizes[] = {
    [CONF_STRING] = sizeof(CONF_FIELD_STRING), [CONF_SECRET] = sizeof(CONF_FIELD_SECRET),
    [CONF_BOOL] = sizeof(CONF_FIELD_BOOL),     [CONF_INT] = sizeof(CONF_FIELD_INT),
    [CONF_TIME] = sizeof(CONF_FIELD_TIME),     [CONF_SIZE] = sizeof(CONF_FIELD_SIZE),
    [CONF_ENUM] = sizeof(CONF_FIELD_ENUM),     [CONF_LIST] = sizeof(CONF_FIELD_LIST),
    [CONF_LINES] = sizeof(CONF_FIELD_LINES),
};

static bool is_same(const struct conf_option *o, const struct conf *a, const struct conf *b)
{
    const char *x = CONF_AT_CONST(a, o, char);
    const char *y = CONF_AT_CONST(b, o, char);

    if (o->type == CONF_STRING || o->type == CONF_SECRET)
        return hs_str_eq(*CONF_AT_CONST(a, o, struct hs_str), *CONF_AT_CONST(b, o, struct hs_str));
    if (o->type == CONF_LIST || o->type == CONF_LINES)
        return same_lists(CONF_AT_CONST(a, o, struct conf_list),
                          CONF_AT_CONST(b, o, struct conf_list));
    return memcmp(x, y, sizes[o->type]) == 0;
}

static void add_name(struct hs_buf *to, const char *name)
{
    if (to->n)
        hs_buf_add_lit(to, ", ");
    hs_buf_add(to, hs_str(name));
}

void conf_change(struct conf *now, const struct conf *running, struct hs_buf *changed,
                 struct hs_buf *fixed)
{
    for (unsigned i = 0; i < CONF_OPTIONS; i++) {
        const struct conf_option *o = &conf_options[i];

        if (!is_same(o, now, running))
            add_name(o->is_fixed ? fixed : changed, o->name);
        if (o->is_fixed)
            memcpy(CONF_AT(now, o, char), CONF_AT_CONST(running, o, char), sizes[o->type]);
    }
}
