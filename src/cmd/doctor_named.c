/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `hasten doctor` says of named queries: the same look at the catalog and the files that `hasten serve` takes,
 * and what would stand in its log.
 */
#include <stdio.h>

#include "cmd/control_int.h"
#include "cmd/named.h"

static void tell_faults(const struct serve_source *source, const struct api_model *model,
                        pg_finding_f *found, void *arg)
{
    const struct hs_err *err;
    struct pg_finding f = {.check = "query",
                           .level = PG_FINDING_FAULT,
                           .object = "",
                           .who = "whoever writes the files of api.queries",
                           .lost = "the query answers 500"};

    for (size_t i = 0; i < source->api.n_named; i++) {
        f.what = source->api.named[i].err.what;
        f.why = "the first of them, by their names, is served";
        f.run = "-- Give it another name.";
        if (source->api.named[i].is_double)
            found(arg, &f);
    }
    for (size_t at = 0; (err = api_named_next_fault(model, &at));) {
        f.what = err->what;
        f.why = err->why;
        f.run = err->hint;
        found(arg, &f);
    }
}

static void tell_unkept(const struct api_model *model, pg_finding_f *found, void *arg)
{
    char what[HS_ERR_WHAT];
    char because[HS_ERR_WHY];
    struct hs_str file;
    struct hs_str why;

    for (size_t at = 0; api_named_next_unkept(model, &at, &file, &why);) {
        (void)snprintf(what, sizeof(what), "%.*s: its answers are not kept", HS_FMT(file));
        (void)snprintf(because, sizeof(because), "%.*s", HS_FMT(why));
        found(arg, &(struct pg_finding){.check = "query-kept",
                                        .level = PG_FINDING_ADVICE,
                                        .object = "",
                                        .what = what,
                                        .why = because,
                                        .run = "-- cache: none   (in the file, if that is meant)",
                                        .who = "whoever writes the files of api.queries",
                                        .lost = "each request runs it anew"});
    }
}

static hs_status examine(struct serve_source *source, pg_finding_f *found, void *arg,
                         struct hs_err *reterr)
{
    struct pg_catalog *catalog;
    struct api_model *model;
    hs_status status = serve_named_read(source, reterr);

    if (!status)
        status = pg_catalog_read(source->reader, &catalog, reterr);
    if (status)
        return status;
    status = api_model_new(&source->api, catalog, &model, reterr);
    pg_catalog_unref(catalog);
    if (status)
        return status;
    tell_faults(source, model, found, arg);
    tell_unkept(model, found, arg);
    api_model_unref(model);
    return HS_OK;
}

hs_status cmd_named_examine(const struct conf *conf, pg_finding_f *found, void *arg,
                            struct hs_err *reterr)
{
    struct serve_source *source = NULL;
    struct serve_conf *counted;
    hs_status status;

    if (!conf->api_queries.n)
        return HS_OK;
    counted = serve_conf_new(conf, /* owned= */ NULL);
    if (!counted)
        return hs_fail_memory(reterr);
    status = serve_source_new(counted, &source, reterr);
    if (!status)
        status = examine(source, found, arg, reterr);
    serve_source_free(source);
    serve_conf_unref(counted);
    return status;
}
