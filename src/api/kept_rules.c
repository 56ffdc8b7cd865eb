/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration says of kept answers: cache.tables, and which of its changes make an old answer
 * look wrong.
 */
#include "api/model.h"
#include "conf/units.h"
#include "core/hash.h"

static hs_status bad_row(struct hs_err *reterr, struct hs_str row, const char *why)
{
    (void)hs_fail(reterr, HS_E_CONFIG, "cache.tables: bad row \"%.*s\"", HS_FMT(row));
    hs_err_why(reterr, "%s", why);
    hs_err_hint(reterr,
                "Write `table: ttl=10s; control=public, max-age=60; cdn=max-age=600; keys`, each "
                "part optional.");
    return HS_E_CONFIG;
}

/* Names, values and what stands between them; no line can be ended and no quote left open. */
static bool is_control(struct hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] > 0x7e || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    }
    return s.n > 0;
}

static bool names_public(struct hs_str control)
{
    while (control.n) {
        struct hs_str directive = hs_str_trim(hs_str_cut(&control, ','));

        if (hs_str_ieq(directive, HS_STR("public")) || hs_str_starts(directive, HS_STR("s-maxage")))
            return true;
    }
    return false;
}

/* One part of a row. NULL = fine; else what is wrong with it. */
static const char *read_part(struct api_build *build, struct api_table *table, struct hs_str part)
{
    struct hs_str value = part;
    struct hs_str name = hs_str_trim(hs_str_cut(&value, '='));

    value = hs_str_trim(value);
    if (hs_str_is(name, "ttl"))
        return conf_parse_time(value, &table->keep.ttl_max)
                   ? NULL
                   : "What stands behind ttl= is no time with a unit.";
    if (hs_str_is(name, "keys") && !value.n) {
        table->keep.has_surrogate_keys = true;
        return NULL;
    }
    if (!hs_str_is(name, "control") && !hs_str_is(name, "cdn"))
        return "Its parts are ttl=, control=, cdn= and keys, separated by semicolons.";
    if (!is_control(value))
        return "What stands behind control= or cdn= is no value of Cache-Control.";
    value = hs_arena_dup(&build->model->arena, value);
    if (hs_str_is(name, "cdn")) {
        table->keep.cdn_control = value;
    } else {
        table->keep.cache_control = value;
        table->keep.is_public = names_public(value);
    }
    return NULL;
}

static hs_status read_row(struct api_build *build, struct hs_str row, struct hs_err *reterr)
{
    struct hs_str rest = row;
    struct api_table *table = api_build_table(build, hs_str_trim(hs_str_cut(&rest, ':')));
    const char *why = table ? NULL : "There is no such table.";

    while (!why && rest.n)
        why = read_part(build, table, hs_str_trim(hs_str_cut(&rest, ';')));
    if (!why && !table->keep.is_public &&
        (table->keep.cdn_control.n || table->keep.has_surrogate_keys))
        why = "cdn= and keys are for shared caches, which keep only what control= calls public.";
    return why ? bad_row(reterr, row, why) : HS_OK;
}

static uint64_t digest_lines(uint64_t hash, const struct hs_str *lines, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = hs_digest_more(hash, lines[i]);
    return hash;
}

hs_status api_build_kept(struct api_build *build, struct hs_err *reterr)
{
    const struct api_setup *setup = build->setup;
    struct api_model *model = build->model;
    const char flags[] = {model->rules.camel_names ? 'c' : 's',
                          model->rules.int8_as_string ? 't' : 'n'};
    /* Decides what Vary says. */
    const uint64_t least = model->rules.compress.enabled ? model->rules.compress.min : UINT64_MAX;
    hs_status status = HS_OK;

    model->form = hs_digest_more(hs_digest(model->path), hs_strn(flags, sizeof(flags)));
    model->form = digest_lines(model->form, setup->relations, setup->n_relations);
    model->form = digest_lines(model->form, setup->search, setup->n_search);
    model->form = digest_lines(model->form, setup->soft_delete, setup->n_soft_delete);
    model->form = digest_lines(model->form, setup->cache_tables, setup->n_cache_tables);
    model->form = hs_digest_more(model->form,
                                 hs_strn(model->cursor_key, sizeof(model->cursor_key)));
    model->form = hs_digest_more(model->form, hs_strn((const char *)&least, sizeof(least)));
    for (size_t i = 0; i < model->n_tables; i++) {
        struct api_table *table = &model->tables[i];

        table->keep = (struct api_keep){.name = table->name,
                                        .oid = table->pg->oid,
                                        .has_rls = table->pg->depend.has_rls,
                                        .ttl_max = UINT64_MAX,
                                        .cache_control = HS_STR("private, no-cache")};
    }
    for (size_t i = 0; !status && i < setup->n_cache_tables; i++)
        status = read_row(build, setup->cache_tables[i], reterr);
    if (!status && hs_arena_failed(&model->arena))
        status = hs_fail_memory(reterr);
    return status;
}
