/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables in the values of the file, in the two forms of the POSIX shell (2.6.2) that everybody
 * knows: ${VAR}, which must be set, and ${VAR:-default}, taken if VAR is unset or empty. $$ is one
 * $; any other $ stands for itself, so that a password may hold one. The rule: what a variable
 * holds is never expanded again, and an unset variable without default is an error, not an empty
 * text.
 */
#include "conf/conf_int.h"

/* HS_STR_NULL if it is not set. */
static struct hs_str find_variable(char *const *env, struct hs_str name)
{
    for (; env && *env; env++) {
        struct hs_str entry = hs_str(*env);

        if (entry.n > name.n && entry.p[name.n] == '=' && hs_str_starts(entry, name))
            return hs_str_sub(entry, name.n + 1, entry.n);
    }
    return HS_STR_NULL;
}

static bool is_name(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

        if (!is_letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0;
}

/* Appends what the text between the braces stands for. */
static hs_status add_variable(struct conf_loader *l, struct hs_str inner, struct hs_buf *out,
                              struct hs_str *ret_found)
{
    struct hs_str name = inner;
    struct hs_str fallback = HS_STR_NULL;
    struct hs_str value;
    char quoted[CONF_QUOTE];

    for (size_t i = 0; i + 1 < inner.n; i++) {
        if (inner.p[i] == ':' && inner.p[i + 1] == '-') {
            name = hs_str_sub(inner, 0, i);
            fallback = hs_str_sub(inner, i + 2, inner.n);
            break;
        }
    }
    if (!is_name(name)) {
        /* Not quoted: it may be a piece of a password. */
        *ret_found = HS_STR("\"${...}\" without the name of a variable in it");
        return HS_E_CONFIG;
    }
    value = find_variable(l->env, name);
    if (fallback.p && value.n == 0)
        value = fallback;
    if (!value.p) {
        *ret_found = hs_arena_printf(&l->private->arena, "the variable %s, which is not set",
                                     conf_quote(name, quoted));
        return HS_E_CONFIG;
    }
    if (value.n > CONF_TEXT_MAX || out->n > CONF_TEXT_MAX - value.n) {
        *ret_found = HS_STR("more than 1 MiB of text");
        return HS_E_CONFIG;
    }
    hs_buf_add(out, value);
    return HS_OK;
}

static hs_status expand(struct conf_loader *l, struct hs_str text, struct hs_buf *out,
                        struct hs_str *ret_found)
{
    while (text.n) {
        size_t at = hs_str_find(text, '$');
        struct hs_str rest = hs_str_sub(text, at + 1, text.n);
        size_t end;
        hs_status status;

        hs_buf_add(out, hs_str_sub(text, 0, at));
        if (at == text.n)
            break;
        if (rest.n == 0 || rest.p[0] != '{') {
            hs_buf_add_char(out, '$');
            text = hs_str_sub(rest, rest.n && rest.p[0] == '$', rest.n);
            continue;
        }
        end = hs_str_find(rest, '}');
        if (end == rest.n) {
            *ret_found = HS_STR("\"${\" without \"}\"");
            return HS_E_CONFIG;
        }
        status = add_variable(l, hs_str_sub(rest, 1, end), out, ret_found);
        if (status)
            return status;
        text = hs_str_sub(rest, end + 1, rest.n);
    }
    return HS_OK;
}

hs_status conf_expand(struct conf_loader *l, struct hs_str text, struct hs_str *ret,
                      struct hs_str *ret_found)
{
    struct hs_buf out;
    hs_status status;

    if (hs_str_find(text, '$') == text.n) {
        *ret = text;
        return HS_OK;
    }
    /* What stands in the file itself has the file's bound. */
    hs_buf_init(&out, (size_t)CONF_TEXT_MAX + CONF_FILE_MAX);
    status = expand(l, text, &out, ret_found);
    if (status == HS_OK && hs_buf_failed(&out))
        status = HS_E_MEMORY;
    if (status == HS_OK) {
        *ret = hs_arena_dup(&l->private->arena, hs_buf_str(&out));
        status = ret->p ? HS_OK : HS_E_MEMORY;
    }
    if (status == HS_E_CONFIG && !ret_found->p)
        status = HS_E_MEMORY;
    hs_buf_fini(&out);
    return status;
}
