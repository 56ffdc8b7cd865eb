/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf/conf_int.h - what the files of this folder share: the table of options, the origin of each
 * value, and the loader, which lives as long as one call of conf_load().
 */
#ifndef CONF_CONF_INT_H
#define CONF_CONF_INT_H

#include "conf/conf.h"
#include "core/arena.h"

enum conf_type {
    CONF_STRING,
    CONF_SECRET,
    CONF_BOOL,
    CONF_INT,
    CONF_TIME,
    CONF_SIZE,
    CONF_ENUM,
    CONF_LIST,
    CONF_LINES
};

/* CONF_ID_server_listen and so on: places in conf_options and conf_private.origin. */
enum conf_id {
#define CONF(type, field, name, def, min, max, prose) CONF_ID_##field,
#include "conf/options.def"
#undef CONF
    CONF_OPTIONS
};

struct conf_option {
    const char *name;
    enum conf_type type;
    size_t offset; /* of the field in struct conf */
    const char *def;
    const char *min; /* of an ENUM: its words, separated by | */
    const char *max;
    const char *prose;
    bool is_fixed; /* cannot change while the server runs */
};

extern const struct conf_option conf_options[CONF_OPTIONS];

enum {
    CONF_FILE_MAX = 1 << 20, /* bytes of a configuration file: far above any real one */
    CONF_SECRET_FILE_MAX =
        1
        << 20, /* bytes of a secret: a PEM key is under 4 KiB, a list of 4096 API keys under 1 MiB */
    CONF_ARENA_MAX = 16 << 20, /* all texts; a variable may be expanded many times */
    CONF_TEXT_MAX = 1 << 20,   /* one value, as far as variables lengthen it */
    CONF_SETTINGS_MAX = 64,    /* app.settings.* of PostgREST's */
    CONF_ITEMS_MAX = 10000,    /* of one list */
    CONF_QUOTE = 80,           /* a quoted piece of input in an error */
    CONF_PLACE = 128           /* "file:line", or the name of a variable */
};

enum conf_source { CONF_FROM_DEFAULT, CONF_FROM_FILE, CONF_FROM_ENV, CONF_FROM_COMMAND };

struct conf_origin {
    enum conf_source source;
    unsigned line; /* of CONF_FROM_FILE */
    bool is_file;  /* given as <name>_file */
};

struct conf_private {
    struct hs_arena arena; /* all texts and lists of the configuration */
    const char *file;      /* as given, or NULL */
    struct hs_str notes;   /* lines for conf_advise(), from reading */
    struct conf_origin origin[CONF_OPTIONS];
};

/* An option or a `<name>_file` already given by the source that is being read. */
struct conf_seen {
    bool value;
    bool file;
    unsigned line;
};

struct conf_loader {
    struct conf *conf;
    struct conf_private *private;
    char *const *env; /* as environ */
    struct hs_err *reterr;
    struct conf_seen seen[CONF_OPTIONS];
};

/* How a value came to the loader. */
struct conf_given {
    enum conf_id id;
    bool is_file; /* <name>_file */
    enum conf_source source;
    unsigned line;
};

/* ---- load.c ---- */

struct conf_input {
    const char *file;   /* the name in messages; NULL = no file */
    bool is_postgrest;  /* it is one of PostgREST's */
    struct hs_str text; /* its content */
    char *const *env;
    const struct conf_override *overrides;
    size_t n_overrides;
};

/* conf_load() without touching the file or the environment of the process. */
hs_status conf_load_text(const struct conf_input *in, struct conf **ret_conf, struct hs_err *reterr)
    hs_must_check;

/* A whole file of at most max bytes into the arena. On failure ret_why (static text) says why. */
hs_status conf_read_file(struct hs_arena *arena, const char *path, size_t max,
                         struct hs_str *ret_text, const char **ret_why) hs_must_check;

/* ---- option.c ---- */

/* The option of that name, or CONF_OPTIONS; a SECRET's `<name>_file` gives *ret_is_file = true. */
enum conf_id conf_option_find(struct hs_str name, bool *ret_is_file);
/* Is there an option "<name>.something"? Then a slice of that option's name that equals it. */
struct hs_str conf_group_find(struct hs_str name);
/* The option or group most likely meant by an unknown name; HS_STR_NULL if there is none. */
struct hs_str conf_nearest(struct hs_str name);
/* "HASTEN_DATABASE_POOL_MAX" of an option, NUL-terminated. */
enum { CONF_ENV_NAME = 80 };
struct hs_str conf_env_name(struct hs_str name, char to[static CONF_ENV_NAME]);

/* The address of an option's field. */
#define CONF_AT(conf, option, type) ((type *)(void *)((char *)(conf) + (option)->offset))
#define CONF_AT_CONST(conf, option, type) \
    ((const type *)(const void *)((const char *)(conf) + (option)->offset))

/* "a duration with unit (...) from 1s to 1d", for errors and the reference. */
void conf_add_expected(struct hs_buf *out, const struct conf_option *o);
/* The word of an ENUM with that index. */
struct hs_str conf_enum_word(const struct conf_option *o, unsigned index);

/* ---- value.c ---- */

/* Text into the option's field; text is in the arena or static. Expansion is already done. */
hs_status conf_assign(struct conf_loader *l, const struct conf_given *g, struct hs_str text)
    hs_must_check;
/* The same for the items of a sequence; only for LIST and LINES. */
hs_status conf_assign_items(struct conf_loader *l, const struct conf_given *g,
                            const struct hs_str *items, size_t n) hs_must_check;
/* Refuses an option that this source already gave, in either form. */
hs_status conf_note_seen(struct conf_loader *l, const struct conf_given *g) hs_must_check;

/* ---- sources ---- */

hs_status conf_read_yaml(struct conf_loader *l, struct hs_str text) hs_must_check;
hs_status conf_read_env(struct conf_loader *l) hs_must_check;
/* A file of PostgREST's, and its variables. */
hs_status conf_read_postgrest(struct conf_loader *l, struct hs_str text) hs_must_check;
hs_status conf_read_overrides(struct conf_loader *l, const struct conf_override *overrides,
                              size_t n) hs_must_check;

/*
 * ${VAR}, ${VAR:-default} and $$ in a value of the file. Without any of them *ret is text itself.
 * A fault is described in *ret_found (in the arena), the status is then HS_E_CONFIG.
 */
hs_status conf_expand(struct conf_loader *l, struct hs_str text, struct hs_str *ret,
                      struct hs_str *ret_found) hs_must_check;

/* ---- check.c ---- */

/* What no single option can show: pairs in order, lengths of keys, forms of addresses. */
hs_status conf_check(struct conf_loader *l) hs_must_check;

/* ---- show.c ---- */

/* The value as one would write it in the file; never of a secret. */
void conf_add_value(struct hs_buf *out, const struct conf *conf, enum conf_id id);

/* ---- fail.c ---- */

/* "file:12" (or "file" with line 0), the variable's name, "command line", "default". */
const char *conf_place(const struct conf_private *p, enum conf_id id,
                       const struct conf_origin *origin, char to[static CONF_PLACE]);
const char *conf_place_line(const struct conf_private *p, unsigned line,
                            char to[static CONF_PLACE]);
/* Input in double quotes, cut and with control characters escaped, fit for an error. */
const char *conf_quote(struct hs_str s, char to[static CONF_QUOTE]);

/* "place: option: found F, expected E". */
hs_status conf_fail(struct conf_loader *l, const struct conf_given *g, const char *found,
                    const char *expected);
/* The same, expected as conf_add_expected() says it; a secret's value is never shown. */
hs_status conf_fail_value(struct conf_loader *l, const struct conf_given *g, struct hs_str found);

#endif
