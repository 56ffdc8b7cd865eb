/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten migrate up|status|verify|new`: the words around the engine (cmd/migrate.h).
 *
 * Flags that are also options become overrides of the configuration, so that they are read, checked and
 * explained in one place. Where the database is reached is never printed: the string holds a password.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "cmd/demo.h"
#include "cmd/migrate.h"

struct migrate {
    const char *file; /* of the configuration */
    struct args_list sets;
    const char *dir, *lock_timeout, *wait, *retries; /* as given, or NULL */
    const char *data, *app;                          /* of a demo, or NULL */
    uint64_t to;
    bool dry_run, out_of_order;
    struct hs_arena arena;
    struct conf *conf;
    struct demo_access access;
    bool has_access;
    struct pg_admin *admin;
    struct migrate_files files;
};

/* ---- where and what ---- */

static int add_override(struct migrate *m, const char *name, const char *value)
{
    size_t n = strlen(name) + sizeof("=");
    char *text;

    if (!value)
        return CMD_OK;
    if (m->sets.n == ARGS_LIST_MAX)
        return cmd_misused("Put some of them into the file.", "too many options with --set");
    n += strlen(value);
    text = hs_arena_alloc(&m->arena, n);
    if (!text)
        return CMD_FAILED;
    (void)snprintf(text, n, "%s=%s", name, value);
    m->sets.v[m->sets.n++] = text;
    return CMD_OK;
}

static int load_conf(struct migrate *m)
{
    int code = add_override(m, "migrate.dir", m->dir);

    if (!code)
        code = add_override(m, "migrate.lock_timeout", m->lock_timeout);
    if (!code)
        code = add_override(m, "migrate.wait", m->wait);
    if (!code)
        code = add_override(m, "migrate.retries", m->retries);
    return code ? code : cmd_conf_load(m->file, /* postgrest= */ NULL, &m->sets, &m->conf);
}

static const char *folder(const struct migrate *m)
{
    return m->has_access && !m->dir ? m->access.migrations : m->conf->migrate_dir.p;
}

static hs_status open_database(struct migrate *m, struct hs_err *reterr)
{
    bool is_own = m->conf->migrate_url.n > 0;
    hs_status status;

    if (m->has_access)
        return pg_admin_open(m->access.conninfo, &m->admin, reterr);
    status = pg_admin_open(is_own ? m->conf->migrate_url.p : m->conf->database_url.p, &m->admin,
                           reterr);
    if (status == HS_E_CONFIG)
        hs_err_why(reterr, "The option is %s.", is_own ? "migrate.url" : "database.url");
    return status;
}

static hs_status reach(struct migrate *m, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    if (m->data || m->app) {
        status = demo_reach(m->data ? m->data : DEMO_DATA, m->app, &m->access, reterr);
        m->has_access = !status;
    }
    if (!status)
        status = migrate_load(folder(m), &m->arena, &m->files, reterr);
    return status ? status : open_database(m, reterr);
}

/* ---- status and verify ---- */

static hs_status compare(struct migrate *m, struct migrate_plan *ret_plan, struct hs_err *reterr)
{
    struct migrate_records records;
    hs_status status = migrate_read_records(m->admin, &m->arena, &records, reterr);

    return status ? status : migrate_plan(&m->files, &records, &m->arena, ret_plan, reterr);
}

static void print_step(struct migrate *m, const struct migrate_step *step, int width)
{
    const struct migrate_record *r = step->record;
    const char *name = step->file ? step->file->name : r->name;
    struct hs_str said = migrate_complaint(step, &m->arena);

    (void)printf("%04llu  %-*s  %-12s", (unsigned long long)step->version, width, name,
                 migrate_state_name(step->state));
    if (r)
        (void)printf("  %s  %s s  by %s", r->applied_at, r->seconds, r->applied_by);
    (void)printf("\n");
    if (step->state != MIGRATE_APPLIED && step->state != MIGRATE_PENDING)
        (void)printf("      %.*s\n", HS_FMT(said));
    if (r && r->failure)
        (void)printf("      last fault: %s\n", r->failure);
}

static hs_status show_status(struct migrate *m, struct hs_err *reterr)
{
    struct migrate_plan plan;
    hs_status status = compare(m, &plan, reterr);
    size_t width = 0;

    if (status)
        return status;
    for (size_t i = 0; i < plan.n; i++) {
        size_t n = strlen(plan.v[i].file ? plan.v[i].file->name : plan.v[i].record->name);

        width = n > width ? n : width;
    }
    for (size_t i = 0; i < plan.n; i++)
        print_step(m, &plan.v[i], (int)width);
    for (int state = 0; state <= MIGRATE_AHEAD; state++) {
        if (plan.count[state] || state <= MIGRATE_PENDING)
            (void)printf("%s%zu %s", state ? ", " : "", plan.count[state],
                         migrate_state_name((enum migrate_state)state));
    }
    (void)printf("\n");
    return HS_OK;
}

static hs_status verify(struct migrate *m, struct hs_err *reterr)
{
    struct migrate_plan plan;
    hs_status status = compare(m, &plan, reterr);
    size_t n = 0;

    if (status)
        return status;
    for (size_t i = 0; i < plan.n; i++) {
        struct hs_str said = migrate_complaint(&plan.v[i], &m->arena);

        if (plan.v[i].state == MIGRATE_APPLIED)
            continue;
        (void)fprintf(stderr, "hasten: %.*s\n", HS_FMT(said));
        n++;
    }
    if (n == 0) {
        (void)printf("ok: %zu migrations, all applied and unchanged\n", plan.n);
        return HS_OK;
    }
    hs_fail(reterr, HS_E_CONFIG, "the database is not what %s says: %zu of %zu migrations differ",
            m->files.dir, n, plan.n);
    hs_err_hint(reterr, "See `hasten migrate status`.");
    return HS_E_CONFIG;
}

static hs_status up(struct migrate *m, struct hs_err *reterr)
{
    const struct migrate_how how = {.lock_timeout = m->conf->migrate_lock_timeout,
                                    .retries = m->conf->migrate_retries,
                                    .wait = m->conf->migrate_wait,
                                    .to = m->to,
                                    .out_of_order = m->out_of_order};

    return m->dry_run ? migrate_dry_run(m->admin, &m->files, &how, &m->arena, reterr)
                      : migrate_up(m->admin, &m->files, &how, &m->arena, reterr);
}

static hs_status make_new(struct migrate *m, const char *title, struct hs_err *reterr)
{
    const char *path;
    hs_status status = migrate_new(m->conf->migrate_dir.p, title, &m->arena, &path, reterr);

    if (!status)
        (void)printf("%s\n", path);
    return status;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    hs_status (*run)(struct migrate *m, struct hs_err *reterr);
} actions[] = {{"up", up}, {"status", show_status}, {"verify", verify}};

static int finish(struct migrate *m, hs_status status, const struct hs_err *err)
{
    pg_admin_close(m->admin);
    if (m->has_access)
        demo_leave(&m->access);
    conf_free(m->conf);
    hs_arena_fini(&m->arena);
    (void)fflush(stdout);
    if (status)
        cmd_complain(err);
    return status ? CMD_FAILED : CMD_OK;
}

static int run_action(struct migrate *m, const struct args *args)
{
    struct hs_err err = {.status = HS_OK};
    hs_status status = HS_OK;
    bool is_new = strcmp(args->rest[0], "new") == 0;
    int code = load_conf(m);

    if (code) {
        hs_arena_fini(&m->arena);
        return code;
    }
    if (is_new)
        return finish(m, make_new(m, args->rest[1], &err), &err);
    status = reach(m, &err);
    for (size_t i = 0; i < HS_LEN(actions) && !status; i++) {
        if (strcmp(args->rest[0], actions[i].name) == 0)
            status = actions[i].run(m, &err);
    }
    return finish(m, status, &err);
}

static int check_words(const struct args *args)
{
    const char *what = args->n_rest ? args->rest[0] : "";
    bool is_new = strcmp(what, "new") == 0;
    bool is_known = is_new;

    for (size_t i = 0; i < HS_LEN(actions); i++)
        is_known = is_known || strcmp(what, actions[i].name) == 0;
    if (!is_known)
        return cmd_misused("Write `hasten migrate up`, `status`, `verify` or `new NAME`.",
                           "migrate cannot do \"%.100s\"", what);
    if (is_new && args->n_rest < 2)
        return cmd_misused("Write `hasten migrate new add_client_notes`.", "the name is missing");
    if (!is_new && args->n_rest > 1)
        return cmd_misused("A folder is named with --dir.", "migrate %s takes no word \"%.100s\"",
                           what, args->rest[1]);
    return CMD_OK;
}

int cmd_migrate(int argc, char **argv)
{
    struct migrate m = {.to = 0};
    const struct args_opt opts[] = {
        ARGS_TEXT("dir", &m.dir, "DIR", "folder of the files (option migrate.dir)"),
        ARGS_UINT("to", &m.to, "VERSION", 1, 1e18, "up: the last version to apply"),
        ARGS_FLAG("dry-run", &m.dry_run, "up: print the SQL that would run, change nothing"),
        ARGS_FLAG("out-of-order", &m.out_of_order,
                  "up: also apply what is older than the last one applied"),
        ARGS_TEXT("lock-timeout", &m.lock_timeout, "TIME",
                  "up: longest wait for a lock (option migrate.lock_timeout)"),
        ARGS_TEXT("retries", &m.retries, "N",
                  "up: tries after one that got no lock (option migrate.retries)"),
        ARGS_TEXT("wait", &m.wait, "TIME",
                  "up: longest wait for another migration (option migrate.wait)"),
        ARGS_TEXT("data", &m.data, "DIR", "work on the demo in this folder"),
        ARGS_TEXT("app", &m.app, "DIR", "the demo's application (default: the example Clients+)"),
        CMD_CONF_OPTS(&m.file, &m.sets),
    };
    struct args args = {.command = "migrate", .opts = opts, .n_opts = HS_LEN(opts), .rest_max = 2};
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    code = check_words(&args);
    if (code)
        return code;
    hs_arena_init(&m.arena, MIGRATE_MEMORY_MAX);
    return run_action(&m, &args);
}
