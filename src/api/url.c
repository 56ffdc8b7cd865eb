/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a request target become text.
 *
 * The rule: what passes here is valid UTF-8 without NUL, so nothing behind it asks again. It refuses
 * a '%' without two hexadecimal digits, NUL (PostgreSQL has no text with it) and bytes that are not
 * UTF-8; it repairs nothing.
 *
 * Source: RFC 3986, 2.1; WHATWG URL, application/x-www-form-urlencoded, for '+' and for pairs.
 */
#include "api/url.h"

void url_encode(struct hs_buf *out, struct hs_str text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';

        if (!is_plain) {
            hs_buf_add_char(out, '%');
            hs_buf_add_char(out, digits[c >> 4]);
            c = (unsigned char)digits[c & 15];
        }
        hs_buf_add_char(out, (char)c);
    }
}

static hs_status fail_encoding(struct hs_err *reterr, struct hs_str raw, const char *why)
{
    (void)hs_fail(reterr, HS_E_BAD_ENCODING, "cannot decode \"%.*s\"", HS_FMT(raw));
    hs_err_why(reterr, "%s", why);
    return HS_E_BAD_ENCODING;
}

hs_status url_decode(struct hs_arena *arena, enum url_part part, struct hs_str raw,
                     struct hs_str *ret_text, struct hs_err *reterr)
{
    char *to = hs_arena_alloc(arena, raw.n + 1);
    bool is_ascii = true;
    size_t n = 0;

    if (!to)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];

        if (c == '%') {
            int high = i + 2 < raw.n ? hs_hex_digit(raw.p[i + 1]) : -1;
            int low = high >= 0 ? hs_hex_digit(raw.p[i + 2]) : -1;

            if (low < 0 && part != URL_QUERY_LENIENT)
                return fail_encoding(reterr, raw,
                                     "A \"%\" is not followed by two hexadecimal digits.");
            if (low >= 0) {
                c = (char)(high * 16 + low);
                i += 2;
            }
        } else if (c == '+' && part != URL_PATH) {
            c = ' ';
        }
        if (c == '\0')
            return fail_encoding(reterr, raw, "It contains the character NUL.");
        is_ascii = is_ascii && (unsigned char)c < 0x80;
        to[n++] = c;
    }
    to[n] = '\0';
    if (!is_ascii && !hs_str_is_utf8(hs_strn(to, n)))
        return fail_encoding(reterr, raw, "It is not valid UTF-8.");
    *ret_text = hs_strn(to, n);
    return HS_OK;
}

hs_status url_next_pair(struct hs_arena *arena, struct hs_str *query, struct url_pair *ret_pair,
                        struct hs_err *reterr)
{
    struct hs_str raw = {0};
    struct hs_str key;
    bool has_value;
    hs_status status;

    *ret_pair = (struct url_pair){0};
    while (query->n && !raw.n)
        raw = hs_str_cut(query, '&');
    if (!raw.n)
        return HS_OK;
    has_value = hs_str_find(raw, '=') < raw.n;
    key = hs_str_cut(&raw, '=');
    status = url_decode(arena, URL_QUERY, key, &ret_pair->key, reterr);
    if (!status && has_value)
        status = url_decode(arena, URL_QUERY, raw, &ret_pair->value, reterr);
    return status;
}

/* ---- comma lists ---- */

static hs_status fail_list(struct hs_err *reterr, const char *why)
{
    (void)hs_fail(reterr, HS_E_BAD_VALUE, "the comma list is malformed");
    hs_err_why(reterr, "%s", why);
    hs_err_hint(reterr,
                "Put an element with a comma or quote in double quotes, and write \\\" and \\\\ "
                "within them.");
    return HS_E_BAD_VALUE;
}

/* Behind an element stands a comma or nothing. */
static bool step_over_comma(struct url_list *list, size_t at)
{
    if (at < list->rest.n && list->rest.p[at] != ',')
        return false;
    list->is_done = at >= list->rest.n;
    list->rest = hs_str_sub(list->rest, at + 1, list->rest.n);
    return true;
}

static hs_status next_quoted(struct hs_arena *arena, struct url_list *list,
                             struct hs_str *ret_element, struct hs_err *reterr)
{
    struct hs_str rest = list->rest;
    char *to = hs_arena_alloc(arena, rest.n + 1);
    size_t n = 0;
    size_t i = 1;

    if (!to)
        return hs_fail_memory(reterr);
    for (; i < rest.n && rest.p[i] != '"'; i++) {
        if (rest.p[i] == '\\') {
            i++;
            if (i >= rest.n || (rest.p[i] != '"' && rest.p[i] != '\\'))
                return fail_list(reterr, "Within quotes a \\ must stand before \" or \\.");
        }
        to[n++] = rest.p[i];
    }
    to[n] = '\0';
    if (i >= rest.n)
        return fail_list(reterr, "A quoted element does not end.");
    if (!step_over_comma(list, i + 1))
        return fail_list(reterr, "Something stands between a closing quote and the next comma.");
    *ret_element = hs_strn(to, n);
    return HS_OK;
}

hs_status url_list_next(struct hs_arena *arena, struct url_list *list, struct hs_str *ret_element,
                        struct hs_err *reterr)
{
    struct hs_str rest = list->rest;
    size_t end = hs_str_find(rest, ',');

    *ret_element = HS_STR_NULL;
    if (list->is_done)
        return HS_OK;
    if (rest.n && rest.p[0] == '"')
        return next_quoted(arena, list, ret_element, reterr);
    if (hs_str_find(hs_str_sub(rest, 0, end), '"') < end)
        return fail_list(reterr, "A quote stands in the middle of an element.");
    *ret_element = hs_arena_dup(arena, hs_str_sub(rest, 0, end));
    (void)step_over_comma(list, end);
    return ret_element->p ? HS_OK : hs_fail_memory(reterr);
}
