/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sources without lines: the environment and the command line. Both know an option by its
 * whole name and bring its value as one text. The rule: everything that begins with HASTEN_ is
 * ours, so a name that we do not know is a slip and refused; the few variables that mean something
 * else are listed here. Values are taken as they are: the shell has expanded what it wanted.
 */
#include <stdio.h>

#include "conf/conf_int.h"
#include "core/nearest.h"

static const struct hs_str prefix = {"HASTEN_", 7};

/* Variables of other parts of hasten; one that ends in '_' stands for all that begin so. */
static const char *const not_options[] = {
    "HASTEN_CONFIG",  /* the file, where --config is absent */
    "HASTEN_BIN",     /* the program under test */
    "HASTEN_GDB",     /* tests: run it under a debugger */
    "HASTEN_KEEP",    /* tests: leave servers and folders behind */
    "HASTEN_SEED",    /* tests: of what chance decides */
    "HASTEN_UNGUARD", /* tests: core/guard.h */
    "HASTEN_TEST_",   /* tests, benchmarks and scripts: room for more */
    "HASTEN_BENCH_",  "HASTEN_DEV_",
};

static bool is_not_option(struct hs_str name)
{
    for (size_t i = 0; i < HS_LEN(not_options); i++) {
        struct hs_str known = hs_str(not_options[i]);

        if (hs_str_eq(name, known))
            return true;
        if (known.p[known.n - 1] == '_' && hs_str_starts(name, known))
            return true;
    }
    return false;
}

/* The option that a variable sets, or CONF_OPTIONS. */
static enum conf_id find_variable(struct hs_str name, bool *ret_is_file)
{
    const struct hs_str suffix = HS_STR("_FILE");
    char env[CONF_ENV_NAME];

    for (unsigned i = 0; i < CONF_OPTIONS; i++) {
        struct hs_str known = conf_env_name(hs_str(conf_options[i].name), env);

        *ret_is_file = false;
        if (hs_str_eq(name, known))
            return (enum conf_id)i;
        *ret_is_file = true;
        if (conf_options[i].type == CONF_SECRET && hs_str_starts(name, known) &&
            hs_str_eq(hs_str_sub(name, known.n, name.n), suffix))
            return (enum conf_id)i;
    }
    return CONF_OPTIONS;
}

static hs_status fail_variable(struct conf_loader *l, struct hs_str name)
{
    char quoted[CONF_QUOTE];
    char best[CONF_ENV_NAME] = "a name that `hasten config reference options` lists";
    unsigned least = (unsigned)-1;

    for (unsigned i = 0; i < CONF_OPTIONS; i++) {
        char env[CONF_ENV_NAME];
        struct hs_nearest near;

        hs_nearest_start(&near, name);
        hs_nearest_offer(&near, conf_env_name(hs_str(conf_options[i].name), env));
        if (hs_nearest_best(&near).p && near.distance < least) {
            least = near.distance;
            memcpy(best, env, sizeof(best));
        }
    }
    return hs_fail(l->reterr, HS_E_CONFIG,
                   "environment: found the unknown variable %s, expected %s",
                   conf_quote(name, quoted), best);
}

hs_status conf_read_env(struct conf_loader *l)
{
    for (char *const *at = l->env; at && *at; at++) {
        struct hs_str entry = hs_str(*at);
        struct hs_str name = hs_str_cut(&entry, '=');
        struct conf_given g = {.source = CONF_FROM_ENV};
        hs_status status;

        if (!hs_str_starts(name, prefix) || is_not_option(name))
            continue;
        g.id = find_variable(name, &g.is_file);
        if (g.id == CONF_OPTIONS)
            return fail_variable(l, name);
        status = conf_note_seen(l, &g);
        if (status == HS_OK)
            status = conf_assign(l, &g, entry);
        if (status)
            return status;
    }
    return HS_OK;
}

hs_status conf_read_overrides(struct conf_loader *l, const struct conf_override *overrides,
                              size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct hs_str name = hs_str(overrides[i].name);
        struct conf_given g = {.source = CONF_FROM_COMMAND};
        char quoted[CONF_QUOTE];
        hs_status status;

        g.id = conf_option_find(name, &g.is_file);
        if (g.id == CONF_OPTIONS) {
            bool is_group = conf_group_find(name).p != NULL;
            struct hs_str near = is_group ? HS_STR_NULL : conf_nearest(name);

            if (!near.p)
                near = HS_STR("a name that `hasten config reference options` lists");
            return hs_fail(l->reterr, HS_E_CONFIG, "command line: found the %s %s, expected %.*s",
                           is_group ? "section" : "unknown option", conf_quote(name, quoted),
                           HS_FMT(near));
        }
        status = conf_assign(l, &g, hs_str(overrides[i].value));
        if (status)
            return status;
    }
    return HS_OK;
}
