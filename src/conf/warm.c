/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of cache.warm, and of the file that keeps the most asked. An address has no space in it, a role may; so the
 * claims begin at the first brace behind a space.
 */
#include "conf/warm.h"

#include "core/json_read.h"

static bool is_target(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    }
    return s.n > 1 && s.p[0] == '/';
}

static bool is_object(struct hs_str text)
{
    struct json_reader reader;
    enum json_token token;
    struct hs_str object;

    json_reader_init(&reader, text, JSON_DEPTH_MAX);
    return json_next(&reader, &token, NULL) == HS_OK && token == JSON_OBJECT &&
           json_skip(&reader, token, &object, NULL) == HS_OK &&
           json_next(&reader, &token, NULL) == HS_OK && token == JSON_END;
}

/* Where " {" begins; text.n if it does not stand there. */
static size_t find_claims(struct hs_str text)
{
    for (size_t i = 0; i + 1 < text.n; i++) {
        if (text.p[i] == ' ' && text.p[i + 1] == '{')
            return i;
    }
    return text.n;
}

bool conf_parse_warm(struct hs_str row, struct conf_warm *ret_warm, struct hs_str *ret_bad,
                     const char **ret_expected)
{
    struct hs_str rest = hs_str_trim(row);
    size_t claims_at;

    *ret_warm = (struct conf_warm){.target = hs_str_cut(&rest, ' '), .claims = HS_STR("{}")};
    *ret_bad = ret_warm->target;
    *ret_expected = "an address such as /api/v1/clients?limit=20, percent-encoded";
    if (!is_target(ret_warm->target))
        return false;
    rest = hs_str_trim(rest);
    if (!rest.n)
        return true;
    *ret_bad = row;
    *ret_expected = "\"/address as role {claims}\"";
    if (!hs_str_starts(rest, HS_STR("as ")))
        return false;
    rest = hs_str_sub(rest, sizeof("as ") - 1, rest.n);
    claims_at = find_claims(rest);
    ret_warm->role = hs_str_trim(hs_str_sub(rest, 0, claims_at));
    if (!ret_warm->role.n || ret_warm->role.p[0] == '{')
        return false;
    if (claims_at == rest.n)
        return true;
    ret_warm->claims = hs_str_trim(hs_str_sub(rest, claims_at, rest.n));
    *ret_bad = ret_warm->claims;
    *ret_expected = "the claims as a JSON object, such as {\"company_id\":42}";
    return is_object(ret_warm->claims);
}
