/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accept and Content-Type.
 *
 * The commonest values, none, "*" "/" "*" and application/json, are told by one comparison. The rest is read
 * by hand: nothing is allocated, and what is no media type is a name that nobody has.
 */
#include "rest/media.h"

#include "http/coding.h"

enum { QUALITY_MAX = 1000 };

static const struct known {
    struct hs_str name;
    enum rest_media_kind kind;
} known[] = {
#define KNOWN(name, kind)              \
    {                                  \
        {name, sizeof(name) - 1}, kind \
    }
    KNOWN("application/json", REST_MEDIA_JSON),
    KNOWN("*/*", REST_MEDIA_ANY),
    KNOWN("application/vnd.pgrst.object+json", REST_MEDIA_OBJECT),
    KNOWN("application/vnd.pgrst.object", REST_MEDIA_OBJECT),
    KNOWN("application/vnd.pgrst.array+json", REST_MEDIA_ARRAY_STRIPPED),
    KNOWN("application/vnd.pgrst.array", REST_MEDIA_ARRAY_STRIPPED),
    KNOWN("text/csv", REST_MEDIA_CSV),
    KNOWN("application/geo+json", REST_MEDIA_GEOJSON),
    KNOWN("application/openapi+json", REST_MEDIA_OPENAPI),
    KNOWN("text/plain", REST_MEDIA_TEXT),
    KNOWN("text/xml", REST_MEDIA_XML),
    KNOWN("application/octet-stream", REST_MEDIA_BYTES),
    KNOWN("application/x-www-form-urlencoded", REST_MEDIA_FORM),
    KNOWN("application/vnd.pgrst.plan", REST_MEDIA_PLAN),
    KNOWN("application/vnd.pgrst.plan+text", REST_MEDIA_PLAN),
    KNOWN("application/vnd.pgrst.plan+json", REST_MEDIA_PLAN),
#undef KNOWN
};

static const struct {
    struct hs_str name;
    unsigned option;
} plan_options[] = {
    {{"analyze", 7}, REST_PLAN_ANALYZE},   {{"verbose", 7}, REST_PLAN_VERBOSE},
    {{"settings", 8}, REST_PLAN_SETTINGS}, {{"buffers", 7}, REST_PLAN_BUFFERS},
    {{"wal", 3}, REST_PLAN_WAL},
};

/* ---- one type ---- */

/* Cuts off what stands before the first `stop` outside of quotes, without the white space around it. */
static struct hs_str cut(struct hs_str *rest, char stop)
{
    struct hs_str all = *rest;
    bool is_quoted = false;
    size_t at = 0;

    for (; at < all.n && (is_quoted || all.p[at] != stop); at++) {
        if (all.p[at] == '"')
            is_quoted = !is_quoted;
    }
    *rest = hs_str_sub(all, at + 1, all.n);
    return hs_str_trim(hs_str_sub(all, 0, at));
}

/* name = value, the value without its quotes. */
static struct hs_str read_parameter(struct hs_str text, struct hs_str *ret_value)
{
    struct hs_str value = text;
    struct hs_str name = hs_str_trim(hs_str_cut(&value, '='));

    value = hs_str_trim(value);
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
        value = hs_str_sub(value, 1, value.n - 1);
    *ret_value = value;
    return name;
}

static unsigned read_options(struct hs_str value)
{
    unsigned options = 0;

    while (value.n) {
        struct hs_str name = hs_str_cut(&value, '|');

        for (size_t i = 0; i < HS_LEN(plan_options); i++) {
            if (hs_str_eq(plan_options[i].name, name))
                options |= plan_options[i].option;
        }
    }
    return options;
}

static const struct known *find_known(struct hs_str name)
{
    for (size_t i = 0; i < HS_LEN(known); i++) {
        if (hs_str_ieq(known[i].name, name))
            return &known[i];
    }
    return NULL;
}

/* The type that a plan is for; a plan of a plan is one of JSON. */
static void read_plan_for(struct rest_media *media, struct hs_str value)
{
    struct rest_media of = rest_media_read(value);

    if (of.kind == REST_MEDIA_PLAN)
        of = (struct rest_media){.kind = REST_MEDIA_JSON};
    media->plan_for = of.kind;
    media->plan_is_stripped = of.is_stripped;
    media->plan_name = of.name;
}

/* Its `for` is read by a call of this very function: a text within quotes is shorter, so that ends. */
struct rest_media rest_media_read(struct hs_str text)
{
    struct hs_str rest = text;
    struct hs_str name = cut(&rest, ';');
    const struct known *found = find_known(name);
    struct rest_media media = {.kind = found ? found->kind : REST_MEDIA_OTHER,
                               .name = found ? found->name : hs_str_trim(text),
                               .plan_for = REST_MEDIA_JSON};

    if (media.kind == REST_MEDIA_PLAN)
        media.is_json_plan = name.n > 5 &&
                             hs_str_ieq(hs_str_sub(name, name.n - 5, name.n), HS_STR("+json"));
    while (rest.n) {
        struct hs_str value;
        struct hs_str parameter = read_parameter(cut(&rest, ';'), &value);

        if (hs_str_ieq(parameter, HS_STR("nulls")))
            media.is_stripped = hs_str_is(value, "stripped");
        else if (media.kind == REST_MEDIA_PLAN && hs_str_ieq(parameter, HS_STR("options")))
            media.plan_options = read_options(value);
        else if (media.kind == REST_MEDIA_PLAN && hs_str_ieq(parameter, HS_STR("for")))
            read_plan_for(&media, value);
    }
    if (media.kind == REST_MEDIA_ARRAY_STRIPPED && !media.is_stripped)
        media.kind = REST_MEDIA_JSON;
    /* Of other types the parameter means nothing: their names, which keys of kept answers hold, do not say it. */
    if (media.kind != REST_MEDIA_OBJECT && media.kind != REST_MEDIA_ARRAY_STRIPPED)
        media.is_stripped = false;
    return media;
}

/* ---- all of them ---- */

struct weighed {
    unsigned quality;
    int nearness; /* parameters count for it, stars against */
};

/* Cuts the weight off, and what stands behind it. */
static struct hs_str weigh(struct hs_str text, struct weighed *ret_weighed)
{
    struct hs_str rest = text;
    size_t kept = 0;
    struct weighed w = {.quality = QUALITY_MAX};

    while (rest.n) {
        const char *start = rest.p;
        struct hs_str part = cut(&rest, ';');
        struct hs_str value;

        if (start != text.p && hs_str_ieq(read_parameter(part, &value), HS_STR("q"))) {
            if (!http_weight_read(value, &w.quality))
                w.quality = QUALITY_MAX;
            break;
        }
        kept = (size_t)((rest.n ? rest.p - 1 : text.p + text.n) - text.p);
    }
    text = hs_str_sub(text, 0, kept);
    for (size_t i = 0; i < text.n; i++)
        w.nearness += text.p[i] == ';' ? 1 : text.p[i] == '*' ? -1 : 0;
    *ret_weighed = w;
    return text;
}

static bool is_before(struct weighed a, struct weighed b)
{
    return a.quality != b.quality ? a.quality > b.quality : a.nearness > b.nearness;
}

void rest_accept_read(struct hs_str accept, struct rest_accept *ret_accept)
{
    struct weighed weights[REST_MEDIA_MAX];
    struct hs_str rest = accept;

    ret_accept->n = 0;
    if (!hs_str_trim(accept).n)
        rest = HS_STR("*/*");
    while (rest.n && ret_accept->n < REST_MEDIA_MAX) {
        struct weighed weight;
        struct hs_str text = weigh(cut(&rest, ','), &weight);
        size_t at = ret_accept->n;

        if (!text.n)
            continue;
        for (; at > 0 && is_before(weight, weights[at - 1]); at--) {
            weights[at] = weights[at - 1];
            ret_accept->types[at] = ret_accept->types[at - 1];
        }
        weights[at] = weight;
        ret_accept->types[at] = rest_media_read(text);
        ret_accept->n++;
    }
}

/* ---- names ---- */

static struct hs_str plain_name(enum rest_media_kind kind, bool is_stripped, struct hs_str other)
{
    if (kind == REST_MEDIA_OTHER)
        return other;
    if (kind == REST_MEDIA_ARRAY_STRIPPED)
        return HS_STR("application/vnd.pgrst.array+json;nulls=stripped");
    if (kind == REST_MEDIA_OBJECT && is_stripped)
        return HS_STR("application/vnd.pgrst.object+json;nulls=stripped");
    for (size_t i = 0; i < HS_LEN(known); i++) {
        if (known[i].kind == kind)
            return known[i].name;
    }
    return other;
}

static struct hs_str plan_name(const struct rest_media *media, struct hs_arena *arena)
{
    struct hs_buf text;
    struct hs_str name;
    bool is_first = true;

    hs_buf_init(&text, 4096);
    hs_buf_add_lit(&text, "application/vnd.pgrst.plan+");
    hs_buf_add(&text, media->is_json_plan ? HS_STR("json") : HS_STR("text"));
    hs_buf_add_lit(&text, "; for=\"");
    hs_buf_add(&text, plain_name(media->plan_for, media->plan_is_stripped, media->plan_name));
    hs_buf_add_char(&text, '"');
    for (size_t i = 0; i < HS_LEN(plan_options); i++) {
        if (!(media->plan_options & plan_options[i].option))
            continue;
        hs_buf_add(&text, is_first ? HS_STR("; options=") : HS_STR("|"));
        hs_buf_add(&text, plan_options[i].name);
        is_first = false;
    }
    name = hs_buf_failed(&text) ? HS_STR_NULL : hs_arena_dup(arena, hs_buf_str(&text));
    hs_buf_fini(&text);
    return name;
}

struct hs_str rest_media_name(const struct rest_media *media, struct hs_arena *arena)
{
    return media->kind == REST_MEDIA_PLAN
               ? plan_name(media, arena)
               : plain_name(media->kind, media->is_stripped, media->name);
}

struct hs_str rest_media_content_type(const struct rest_media *media, struct hs_arena *arena)
{
    if (media->kind == REST_MEDIA_JSON)
        return HS_STR("application/json; charset=utf-8");
    if (media->kind == REST_MEDIA_OTHER || media->kind == REST_MEDIA_BYTES)
        return rest_media_name(media, arena);
    return hs_arena_printf(arena, "%.*s; charset=utf-8", HS_FMT(rest_media_name(media, arena)));
}

hs_status rest_accept_fail(const struct rest_accept *accept, struct hs_arena *arena,
                           struct hs_err *reterr)
{
    struct hs_str all = HS_STR("");

    for (size_t i = 0; i < accept->n && all.n < HS_ERR_WHAT; i++)
        all = hs_arena_printf(arena, "%.*s%s%.*s", HS_FMT(all), i ? ", " : "",
                              HS_FMT(rest_media_name(&accept->types[i], arena)));
    return hs_fail(reterr, HS_E_PGRST107, "None of these media types are available: %.*s",
                   HS_FMT(all));
}
