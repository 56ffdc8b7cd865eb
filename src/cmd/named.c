/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of named queries, read by the control thread whenever it reads the catalog.
 *
 * The rule: a folder that cannot be read is a fault of the configuration; a file that is wrong is that query's alone,
 * which answers with the reason until it is mended.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "api/named.h"
#include "cmd/control_int.h"
#include "cmd/migrate.h"
#include "cmd/named.h"
#include "core/log.h"

struct folder {
    struct hs_arena *arena;
    struct hs_str path;
    struct hs_str *names;
    size_t n;
};

static bool is_query(const char *name)
{
    struct hs_str s = hs_str(name);

    return s.n > 4 && s.p[0] != '.' && hs_str_is(hs_str_sub(s, s.n - 4, s.n), ".sql");
}

static int by_name(const void *a, const void *b)
{
    return hs_str_cmp(*(const struct hs_str *)a, *(const struct hs_str *)b);
}

static hs_status walk(DIR *dir, struct folder *f, struct hs_err *reterr)
{
    const struct dirent *entry;

    while ((entry = readdir(dir))) {
        if (!is_query(entry->d_name))
            continue;
        if (f->n == NAMED_FILES_MAX)
            return hs_fail(reterr, HS_E_CONFIG, "api.queries: %.*s holds more than %d files",
                           HS_FMT(f->path), NAMED_FILES_MAX);
        f->names[f->n++] = hs_arena_dup(f->arena, hs_str(entry->d_name));
    }
    return hs_arena_failed(f->arena) ? hs_fail_memory(reterr) : HS_OK;
}

static hs_status list(struct folder *f, struct hs_err *reterr)
{
    DIR *dir = opendir(f->path.p);
    hs_status status;

    if (!dir) {
        (void)hs_fail(reterr, HS_E_CONFIG, "api.queries: could not read the folder %.*s",
                      HS_FMT(f->path));
        hs_err_why(reterr, "%s", strerrordesc_np(errno));
        return HS_E_CONFIG;
    }
    f->names = HS_NEW_ARRAY(f->arena, NAMED_FILES_MAX, struct hs_str);
    status = f->names ? walk(dir, f, reterr) : hs_fail_memory(reterr);
    (void)closedir(dir);
    if (!status && f->n)
        qsort(f->names, f->n, sizeof(*f->names), by_name);
    return status;
}

static bool is_taken(const struct named_source *sources, size_t n, struct hs_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (hs_str_eq(sources[i].file.name, name))
            return true;
    }
    return false;
}

/* Only memory fails here; what is wrong with the file goes with it. */
static hs_status read_file(struct folder *f, struct hs_str name, struct named_source *to,
                           struct hs_err *reterr)
{
    struct hs_str path = hs_arena_printf(f->arena, "%.*s/%.*s", HS_FMT(f->path), HS_FMT(name));
    struct hs_str text = HS_STR("");
    struct hs_err unread = {0};
    hs_status read;

    if (!path.p)
        return hs_fail_memory(reterr);
    read = migrate_read(path.p, f->arena, &text, &unread);
    if (read == HS_E_MEMORY ||
        named_file_read(name, text, f->arena, &to->file, &to->err) == HS_E_MEMORY)
        return hs_fail_memory(reterr);
    if (read) {
        (void)hs_fail(&to->err, HS_E_CONFIG, "%.*s cannot be read", HS_FMT(name));
        hs_err_why(&to->err, "%s", unread.why);
    }
    return HS_OK;
}

static hs_status read_files(struct folder *f, struct named_source **ret_sources,
                            struct hs_err *reterr)
{
    struct named_source *sources = HS_NEW_ARRAY(f->arena, f->n, struct named_source);
    hs_status status = sources ? HS_OK : hs_fail_memory(reterr);

    for (size_t i = 0; !status && i < f->n; i++) {
        status = read_file(f, f->names[i], &sources[i], reterr);
        sources[i].is_double = is_taken(sources, i, sources[i].file.name);
        if (sources[i].is_double)
            (void)hs_fail(&sources[i].err, HS_E_CONFIG, "%.*s: another file has the name \"%.*s\"",
                          HS_FMT(f->names[i]), HS_FMT(sources[i].file.name));
    }
    *ret_sources = sources;
    return status;
}

hs_status cmd_named_read(const struct conf *conf, struct hs_arena *arena,
                         struct named_source **ret_sources, size_t *ret_n, struct hs_err *reterr)
{
    struct folder f = {.arena = arena};
    hs_status status;

    *ret_sources = NULL;
    *ret_n = 0;
    if (!conf->api_queries.n)
        return HS_OK;
    f.path = conf_beside(conf, conf->api_queries, arena);
    if (!f.path.p)
        return hs_fail_memory(reterr);
    status = list(&f, reterr);
    if (!status)
        status = read_files(&f, ret_sources, reterr);
    *ret_n = status ? 0 : f.n;
    return status;
}

hs_status serve_named_read(struct serve_source *source, struct hs_err *reterr)
{
    const struct pg_ask *asks = NULL;
    struct named_source *sources;
    size_t n_asks = 0;
    size_t n;
    hs_status status;

    /* What the reader was told to ask lies in this arena. */
    pg_catalog_reader_ask(source->reader, NULL, 0);
    source->api.n_named = 0;
    hs_arena_reset(&source->named);
    status = cmd_named_read(source->conf->conf, &source->named, &sources, &n, reterr);
    if (!status)
        status = named_asks(sources, n, &source->named, &asks, &n_asks, reterr);
    if (status)
        return status;
    pg_catalog_reader_ask(source->reader, asks, n_asks);
    source->api.named = sources;
    source->api.n_named = n;
    return HS_OK;
}

static void log_fault(const struct hs_err *err)
{
    hs_log_begin(HS_LOG_ERROR, "query cannot be run");
    hs_log_err(err);
    hs_log_end();
}

void serve_named_log(const struct serve_source *source, const struct api_model *model)
{
    const struct hs_err *err;
    struct hs_str file;
    struct hs_str why;

    for (size_t i = 0; i < source->api.n_named; i++) {
        if (source->api.named[i].is_double)
            log_fault(&source->api.named[i].err);
    }
    for (size_t at = 0; (err = api_named_next_fault(model, &at));)
        log_fault(err);
    for (size_t at = 0; api_named_next_unkept(model, &at, &file, &why);) {
        hs_log_begin(HS_LOG_INFO, "query not cached");
        hs_log_str("file", file);
        hs_log_str("why", why);
        hs_log_end();
    }
    if (api_named_hides(model))
        hs_log(HS_LOG_WARN, "table hidden",
               "rows of table \"q\" cannot be reached by their keys: named queries are there");
}
