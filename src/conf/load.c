/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sources in their order: defaults, file, environment, command line; then the checks that need
 * the whole. The rule: a configuration is complete and right, or it does not exist; the first fault
 * ends the loading. Everything it holds lives in one arena, so that conf_free() is two steps.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf_int.h"
#include "core/mem.h"

static hs_status set_defaults(struct conf_loader *l)
{
    for (unsigned i = 0; i < CONF_OPTIONS; i++) {
        const struct conf_given g = {.id = (enum conf_id)i, .source = CONF_FROM_DEFAULT};
        hs_status status = conf_assign(l, &g, hs_str(conf_options[i].def));

        if (status)
            return status;
    }
    return HS_OK;
}

static void forget_seen(struct conf_loader *l)
{
    memset(l->seen, 0, sizeof(l->seen));
}

static hs_status load(struct conf_loader *l, const struct conf_input *in)
{
    hs_status status = set_defaults(l);

    if (status == HS_OK && in->is_postgrest)
        status = conf_read_postgrest(l, in->text);
    else if (status == HS_OK && in->file)
        status = conf_read_yaml(l, in->text);
    forget_seen(l);
    if (status == HS_OK)
        status = conf_read_env(l);
    if (status == HS_OK)
        status = conf_read_overrides(l, in->overrides, in->n_overrides);
    if (status == HS_OK)
        status = conf_check(l);
    return status;
}

static struct conf *conf_new(void)
{
    struct conf *conf = hs_calloc(1, sizeof(*conf));

    if (!conf)
        return NULL;
    conf->private = hs_calloc(1, sizeof(*conf->private));
    if (!conf->private) {
        hs_free(conf);
        return NULL;
    }
    hs_arena_init(&conf->private->arena, CONF_ARENA_MAX);
    return conf;
}

struct hs_str conf_beside(const struct conf *conf, struct hs_str path, struct hs_arena *arena)
{
    struct hs_str file = hs_str(conf->private->file);

    while (file.n && file.p[file.n - 1] != '/')
        file.n--;
    if (path.n && path.p[0] == '/')
        file.n = 0;
    return hs_arena_printf(arena, "%.*s%.*s", HS_FMT(file), HS_FMT(path));
}

void conf_free(struct conf *conf)
{
    if (!conf)
        return;
    hs_arena_fini(&conf->private->arena);
    hs_free(conf->private);
    hs_free(conf);
}

hs_status conf_load_text(const struct conf_input *in, struct conf **ret_conf, struct hs_err *reterr)
{
    struct conf *conf = conf_new();
    struct conf_loader l = {.conf = conf, .env = in->env, .reterr = reterr};
    hs_status status;

    if (!conf)
        return hs_fail_memory(reterr);
    l.private = conf->private;
    if (in->file) {
        conf->private->file = hs_arena_dup(&conf->private->arena, hs_str(in->file)).p;
        if (!conf->private->file) {
            conf_free(conf);
            return hs_fail_memory(reterr);
        }
    }
    status = load(&l, in);
    if (status) {
        conf_free(conf);
        return status;
    }
    *ret_conf = conf;
    return HS_OK;
}

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* Reads to the end; -1 = errno says why. Stops at room bytes. */
static ssize_t read_all(int fd, char *to, size_t room)
{
    size_t n = 0;

    while (n < room) {
        ssize_t got = read(fd, to + n, room - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

hs_status conf_read_file(struct hs_arena *arena, const char *path, size_t max,
                         struct hs_str *ret_text, const char **ret_why)
{
    hs_auto(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    ssize_t n;
    char *p;

    if (fd < 0 || fstat(fd, &st) < 0) {
        *ret_why = strerrordesc_np(errno);
        return HS_E_IO;
    }
    /* One byte more than allowed tells a file that is too long; a pipe has no size to go by. */
    if (S_ISREG(st.st_mode) && (uintmax_t)st.st_size < max)
        max = (size_t)st.st_size + 1;
    p = hs_arena_alloc(arena, max + 1);
    if (!p)
        return HS_E_MEMORY;
    n = read_all(fd, p, max + 1);
    if (n < 0) {
        *ret_why = strerrordesc_np(errno);
        return HS_E_IO;
    }
    if ((size_t)n > max) {
        *ret_why = "File too large";
        return HS_E_IO;
    }
    *ret_text = hs_strn(p, (size_t)n);
    return HS_OK;
}

hs_status conf_load(const struct conf_sources *source, struct conf **ret_conf,
                    struct hs_err *reterr)
{
    const char *file = source->file;
    struct conf_input in = {.file = file,
                            .is_postgrest = source->is_postgrest,
                            .env = environ,
                            .overrides = source->overrides,
                            .n_overrides = source->n_overrides};
    const char *why = "";
    struct hs_arena arena;
    hs_status status = HS_OK;

    hs_arena_init(&arena, 2 * (size_t)CONF_FILE_MAX);
    if (file)
        status = conf_read_file(&arena, file, CONF_FILE_MAX, &in.text, &why);
    if (status == HS_E_MEMORY)
        hs_fail_memory(reterr);
    else if (status) {
        status = hs_fail(reterr, HS_E_CONFIG, "cannot read the configuration file %s: %s", file,
                         why);
        hs_err_hint(reterr, "Name an existing file with --config or HASTEN_CONFIG.");
    } else {
        status = conf_load_text(&in, ret_conf, reterr);
    }
    hs_arena_fini(&arena);
    return status;
}
