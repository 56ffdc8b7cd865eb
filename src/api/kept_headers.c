/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What caches beyond this one are told: Cache-Control, CDN-Cache-Control, Surrogate-Key, Vary. (The entity tag is
 * that of a coding: kept.c writes it.)
 *
 * The rule: `public` is for what everybody gets. An answer that a token or row-level security shaped is private,
 * whatever the configuration says. A public one names Authorization in Vary, or a shared cache would give it
 * to those who would get more.
 *
 * No Last-Modified is sent, and If-Modified-Since is not looked at: no time to the second says whether rows
 * changed. Entity tags do.
 *
 * Source: RFC 9110, 8.8 and 12.5.5; RFC 9111, 5.2; RFC 9213 (CDN-Cache-Control).
 */
#include "api/kept.h"

enum { NAMES_ROOM = 192 };

static bool includes_rls(const struct tree_select *tree)
{
    for (const struct tree_embed *e = tree->embeds; e; e = e->next) {
        if (e->select->relation->depend.has_rls || includes_rls(e->select))
            return true;
    }
    return false;
}

static bool is_public(const struct api_request *r)
{
    return r->keep->is_public && r->req->identity->is_anonymous && !r->keep->has_rls &&
           !includes_rls(&r->ask.tree);
}

size_t api_kept_headers_room(const struct api_request *r, struct hs_str vary)
{
    return vary.n + r->keep->cache_control.n + r->keep->cdn_control.n + 2 * r->keep->name.n +
           r->key.n + NAMES_ROOM;
}

static char *put_line(char *to, struct hs_str name, struct hs_str value)
{
    return hs_str_put(hs_str_put(hs_str_put(to, name), value), HS_STR("\r\n"));
}

/* "clients", and of a row "clients clients/42", as it was asked for: still percent-encoded, so one word. */
static char *put_surrogate_keys(char *to, const struct api_request *r)
{
    to = hs_str_put(hs_str_put(to, HS_STR("Surrogate-Key: ")), r->keep->name);
    if (r->is_item)
        to = hs_str_put(
            hs_str_put(hs_str_put(hs_str_put(to, HS_STR(" ")), r->keep->name), HS_STR("/")),
            r->key);
    return hs_str_put(to, HS_STR("\r\n"));
}

size_t api_kept_headers(char *to, const struct api_request *r, struct hs_str vary)
{
    bool is_for_all = is_public(r);
    char *at = hs_str_put(to, vary);

    if (r->keep->is_public && !is_for_all)
        return (size_t)(hs_str_put(at, HS_STR("Cache-Control: private, no-cache\r\n")) - to);
    at = put_line(at, HS_STR("Cache-Control: "), r->keep->cache_control);
    if (is_for_all)
        at = hs_str_put(at, HS_STR("Vary: Authorization\r\n"));
    if (is_for_all && r->keep->cdn_control.n)
        at = put_line(at, HS_STR("CDN-Cache-Control: "), r->keep->cdn_control);
    if (is_for_all && r->keep->has_surrogate_keys)
        at = put_surrogate_keys(at, r);
    return (size_t)(at - to);
}
