/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten doctor`: what stands between a database and the coherent cache, and the SQL that mends it.
 *
 * Exit codes: 0 nothing costs the cache (there may be advice), 1 something does or the database could not be
 * asked, 2 asked wrongly. The words come from pg/diagnose and doctor_named.c; here is only their form.
 */
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/named.h"
#include "core/json.h"
#include "pg/diagnose.h"

/* A database of a thousand tables, each with a finding of some 700 bytes. */
enum { OUTPUT_MAX = 16 << 20 };

struct doctor {
    struct hs_buf out;
    bool is_json;
    size_t count[PG_FINDING_FAULT + 1];
};

static const char *const level_names[] = {
    [PG_FINDING_ADVICE] = "advice",
    [PG_FINDING_FAULT] = "fault",
};

static void add_line(struct hs_buf *out, const char *label, const char *text)
{
    if (text[0])
        hs_buf_printf(out, "  %-4s  %s\n", label, text);
}

static void add_text(struct hs_buf *out, const struct pg_finding *f)
{
    hs_buf_printf(out, "%s: %s%s%s\n", level_names[f->level], f->object, f->object[0] ? ": " : "",
                  f->what);
    add_line(out, "why", f->why);
    add_line(out, "run", f->run);
    add_line(out, "as", f->who);
    add_line(out, "lost", f->lost);
}

static void add_member(struct hs_buf *out, const char *name, const char *text)
{
    hs_buf_printf(out, ",\"%s\":", name);
    hs_json_string(out, hs_str(text));
}

static void add_json(struct hs_buf *out, const struct pg_finding *f, bool is_first)
{
    hs_buf_printf(out, "%s{\"check\":\"%s\",\"level\":\"%s\"", is_first ? "" : ",", f->check,
                  level_names[f->level]);
    add_member(out, "object", f->object);
    add_member(out, "what", f->what);
    add_member(out, "why", f->why);
    add_member(out, "run", f->run);
    add_member(out, "as", f->who);
    add_member(out, "lost", f->lost);
    hs_buf_add_char(out, '}');
}

static void take(void *arg, const struct pg_finding *f)
{
    struct doctor *d = arg;

    if (d->is_json)
        add_json(&d->out, f, d->count[PG_FINDING_ADVICE] + d->count[PG_FINDING_FAULT] == 0);
    else
        add_text(&d->out, f);
    d->count[f->level]++;
}

static void end_text(struct doctor *d, size_t n_checks)
{
    size_t faults = d->count[PG_FINDING_FAULT];
    size_t advice = d->count[PG_FINDING_ADVICE];

    if (faults + advice == 0)
        hs_buf_printf(&d->out, "ok: %zu checks, nothing to mend\n", n_checks);
    else
        hs_buf_printf(&d->out, "%s: %zu checks, %zu fault%s, %zu advice\n",
                      faults ? "not well" : "ok", n_checks, faults, faults == 1 ? "" : "s", advice);
}

static int examine(const struct conf *conf, bool is_json)
{
    const struct pg_diagnose_setup setup = {
        .url = conf->database_url.p,
        .feed_url = conf->cache_feed_url.n ? conf->cache_feed_url.p : conf->database_url.p,
        .publication = conf->cache_publication,
        .schemas = conf->database_schemas.v,
        .n_schemas = conf->database_schemas.n,
    };
    struct doctor d = {.is_json = is_json};
    struct hs_err err;
    size_t n_checks;
    int code;

    hs_err_clear(&err);
    hs_buf_init(&d.out, OUTPUT_MAX);
    if (is_json)
        hs_buf_add_lit(&d.out, "{\"findings\":[");
    if (pg_diagnose(&setup, take, &d, &n_checks, &err) || cmd_named_examine(conf, take, &d, &err)) {
        hs_buf_fini(&d.out);
        cmd_complain(&err);
        return err.status == HS_E_CONFIG ? CMD_USAGE : CMD_FAILED;
    }
    if (is_json)
        hs_buf_printf(&d.out, "],\"checks\":%zu,\"faults\":%zu,\"advice\":%zu}\n", n_checks,
                      d.count[PG_FINDING_FAULT], d.count[PG_FINDING_ADVICE]);
    else
        end_text(&d, n_checks);
    code = cmd_print(&d.out);
    return code ? code : d.count[PG_FINDING_FAULT] ? CMD_FAILED : CMD_OK;
}

int cmd_doctor(int argc, char **argv)
{
    const char *file = NULL;
    struct args_list sets = {.n = 0};
    const char *postgrest = NULL;
    bool is_json = false;
    const struct args_opt opts[] = {
        CMD_CONF_OPTS(&file, &sets),
        CMD_POSTGREST_OPT(&postgrest),
        ARGS_FLAG("json", &is_json, "print one JSON object"),
    };
    struct args args = {.command = "doctor", .opts = opts, .n_opts = HS_LEN(opts)};
    struct conf *conf = NULL;
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    code = cmd_conf_load(file, postgrest, &sets, &conf);
    if (code)
        return code;
    code = examine(conf, is_json);
    conf_free(conf);
    return code;
}
