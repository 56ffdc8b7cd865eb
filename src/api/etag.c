/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entity tags of rows. A list of tags is taken apart at commas outside quotes; what is no tag names none.
 */
#include "api/etag.h"

#include "core/check.h"
#include "core/hash.h"

enum { VERSION_MAX = 10 };

struct hs_str etag_write(char to[static ETAG_MAX], struct hs_str version, struct hs_str body)
{
    size_t n = 0;

    HS_BUG_ON(version.n > VERSION_MAX);
    to[n++] = '"';
    if (version.n) {
        memcpy(to + n, version.p, version.n);
        n += version.n;
        to[n++] = '-';
    }
    hs_u64_hex(hs_digest(body), to + n);
    n += HS_U64_HEX;
    to[n++] = '"';
    return hs_strn(to, n);
}

struct hs_str etag_coded(char to[static ETAG_MAX], struct hs_str etag, struct hs_str coding)
{
    size_t n = etag.n;

    if (n == 0)
        return HS_STR("");
    HS_BUG_ON(n + 1 + coding.n > ETAG_MAX);
    memcpy(to, etag.p, n);
    to[n - 1] = '-';
    memcpy(to + n, coding.p, coding.n);
    n += coding.n;
    to[n++] = '"';
    return hs_strn(to, n);
}

/* The next tag, with its quotes, off the list; weak ones lose their W/. p == NULL: no more. */
static struct hs_str next_tag(struct hs_str *list, bool *ret_is_weak)
{
    struct hs_str rest = *list;
    struct hs_str tag;
    size_t end;

    while (rest.n && (rest.p[0] == ',' || rest.p[0] == ' ' || rest.p[0] == '\t'))
        rest = hs_str_sub(rest, 1, rest.n);
    *ret_is_weak = rest.n > 2 && rest.p[0] == 'W' && rest.p[1] == '/';
    if (*ret_is_weak)
        rest = hs_str_sub(rest, 2, rest.n);
    if (!rest.n || rest.p[0] != '"') {
        *list = HS_STR("");
        return HS_STR_NULL;
    }
    end = 1 + hs_str_find(hs_str_sub(rest, 1, rest.n), '"');
    tag = hs_str_sub(rest, 0, end + 1);
    *list = hs_str_sub(rest, end + 1, rest.n);
    return tag;
}

bool etag_is_known(struct hs_str if_none_match, struct hs_str tag)
{
    struct hs_str list = hs_str_trim(if_none_match);
    struct hs_str other;
    bool is_weak;

    if (hs_str_is(list, "*"))
        return true;
    while ((other = next_tag(&list, &is_weak)).p) {
        if (hs_str_eq(other, tag))
            return true;
    }
    return false;
}

static bool is_digits(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return s.n > 0 && s.n <= VERSION_MAX;
}

hs_status etag_wanted(struct hs_str if_match, struct hs_str *ret_version, struct hs_err *reterr)
{
    struct hs_str list = hs_str_trim(if_match);
    struct hs_str tag;
    bool is_weak;

    *ret_version = HS_STR_NULL;
    if (hs_str_is(list, "*"))
        return HS_OK;
    tag = next_tag(&list, &is_weak);
    if (!tag.p || hs_str_trim(list).n)
        return hs_fail(reterr, HS_E_BAD_PARAMETER, "If-Match must be one entity tag, or *");
    *ret_version = hs_str_sub(tag, 1, 1 + hs_str_find(hs_str_sub(tag, 1, tag.n), '-'));
    if (is_weak || !is_digits(*ret_version))
        *ret_version = HS_STR("");
    return HS_OK;
}
