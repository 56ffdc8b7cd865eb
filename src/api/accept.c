/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads Accept in one pass, without memory of its own: for each form the closest range so far and its
 * weight. A comma or semicolon within a quoted text separates nothing.
 */
#include "api/accept.h"

#include "http/coding.h"

enum { QUALITY_MAX = 1000 };

static const struct {
    struct hs_str type;
    struct hs_str subtype;
} media[API_FORMATS] = {
    [API_FORMAT_JSON] = {{"application", 11}, {"json", 4}},
    [API_FORMAT_NDJSON] = {{"application", 11}, {"x-ndjson", 8}},
    [API_FORMAT_CSV] = {{"text", 4}, {"csv", 3}},
};

/* Cuts off what stands before the first `stop` outside of quotes, without the white space around it. */
static struct hs_str cut(struct hs_str *rest, char stop)
{
    struct hs_str all = *rest;
    bool is_quoted = false;
    size_t at = 0;

    for (; at < all.n && (is_quoted || all.p[at] != stop); at++) {
        if (all.p[at] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && all.p[at] == '\\')
            at++;
    }
    *rest = hs_str_sub(all, at + 1, all.n);
    return hs_str_trim(hs_str_sub(all, 0, at));
}

static bool read_parameters(struct hs_str rest, unsigned *ret_quality)
{
    *ret_quality = QUALITY_MAX;
    while (rest.n) {
        struct hs_str parameter = cut(&rest, ';');

        if (parameter.n >= 2 && (parameter.p[0] | 0x20) == 'q' && parameter.p[1] == '=' &&
            !http_weight_read(hs_str_sub(parameter, 2, parameter.n), ret_quality))
            return false;
    }
    return true;
}

static unsigned nearness(enum api_format format, struct hs_str type, struct hs_str subtype)
{
    bool is_any = hs_str_is(subtype, "*");

    if (is_any && hs_str_is(type, "*"))
        return 1;
    if (!hs_str_ieq(type, media[format].type))
        return 0;
    if (is_any)
        return 2;
    return hs_str_ieq(subtype, media[format].subtype) ? 3 : 0;
}

static void read_range(struct accept *accept, struct hs_str element)
{
    struct hs_str subtype = cut(&element, ';');
    struct hs_str type = hs_str_cut(&subtype, '/');
    unsigned quality;

    if (!type.n || !subtype.n || !read_parameters(element, &quality))
        return;
    accept->is_given = true;
    for (unsigned i = 0; i < API_FORMATS; i++) {
        unsigned near = nearness((enum api_format)i, type, subtype);
        bool is_better = near > accept->of[i].nearness ||
                         (near == accept->of[i].nearness && quality > accept->of[i].quality);

        if (near && is_better) {
            accept->of[i].nearness = (uint16_t)near;
            accept->of[i].quality = (uint16_t)quality;
        }
    }
}

void accept_read(struct accept *accept, struct hs_str value)
{
    while (value.n)
        read_range(accept, cut(&value, ','));
}

enum api_format accept_best(const struct accept *accept)
{
    unsigned best = API_FORMATS;
    unsigned worth = 0;

    if (!accept->is_given)
        return API_FORMAT_JSON;
    for (unsigned i = 0; i < API_FORMATS; i++) {
        unsigned of_this = accept->of[i].quality * 4U + accept->of[i].nearness;

        if (accept->of[i].quality && of_this > worth) {
            best = i;
            worth = of_this;
        }
    }
    return (enum api_format)best;
}
