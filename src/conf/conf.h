/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf/conf.h - the configuration: one struct, made from options.def.
 *
 * Sources, later ones win: defaults, the file, the environment (HASTEN_ + name in capitals with '_'
 * for '.': HASTEN_DATABASE_POOL_MAX), overrides of the command line. Immutable once loaded; texts
 * are NUL-terminated and live as long as the struct; a text that is unset is empty, never NULL.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/time.h"

struct conf_list {
    struct hs_str *v;
    size_t n;
};

#define CONF_FIELD_STRING struct hs_str
#define CONF_FIELD_SECRET struct hs_str
#define CONF_FIELD_BOOL bool
#define CONF_FIELD_INT uint64_t
#define CONF_FIELD_TIME hs_us
#define CONF_FIELD_SIZE uint64_t
#define CONF_FIELD_ENUM unsigned
#define CONF_FIELD_LIST struct conf_list
#define CONF_FIELD_LINES struct conf_list

struct conf_private;

struct conf {
#define CONF(type, field, name, def, min, max, prose) CONF_FIELD_##type field;
#include "conf/options.def"
#undef CONF
    struct conf_private *private;
};

/* One setting from the command line: name "server.listen", value as in the environment. */
struct conf_override {
    const char *name;
    const char *value;
};

struct conf_sources {
    const char *file;  /* NULL: defaults, environment and command line only */
    bool is_postgrest; /* it is a configuration of PostgREST's, whose variables count, too */
    const struct conf_override *overrides;
    size_t n_overrides;
};

/*
 * The caller frees with conf_free().
 *   errors  HS_E_CONFIG with file, line, the option, what was found and what was expected
 */
hs_status conf_load(const struct conf_sources *source, struct conf **ret_conf,
                    struct hs_err *reterr) hs_must_check;
void conf_free(struct conf *conf);
/*
 * A path as an option gives it: where it is relative it begins in the folder of the configuration file, or without
 * one where hasten runs. NUL-terminated, in the arena; p == NULL: no memory.
 */
struct hs_str conf_beside(const struct conf *conf, struct hs_str path, struct hs_arena *arena);

/*
 * For a reload: `now` is what was read, `running` what is in force. Appends the names of the options that
 * differ, ", " between them: to `changed` those that take effect, to `fixed` those that need a restart;
 * the latter get the running values back in `now`, whose texts stay those of `running`: it, or the
 * configuration that it had them from, must outlive `now`. No value is ever named.
 */
void conf_change(struct conf *now, const struct conf *running, struct hs_buf *changed,
                 struct hs_buf *fixed);

/*
 * Every option with value, unit and origin (default, file:line, environment, command line), as
 * YAML; secrets masked.
 */
void conf_show(const struct conf *conf, struct hs_buf *out);

/* One line for each thing that is allowed but probably not meant ("auth.roles is unset: ..."). */
void conf_advise(const struct conf *conf, struct hs_buf *out);

/* docs/reference/options.md */
void conf_reference(struct hs_buf *out);
/* docs/reference/postgrest-options.md */
void conf_reference_postgrest(struct hs_buf *out);

#endif
