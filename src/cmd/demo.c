/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten demo`, `hasten psql` and `hasten token`: hasten over a private cluster with an example
 * application, for somebody who has seen neither a minute ago.
 *
 * An application is a folder: migrations/NNNN_name.sql, seed.sql, hasten.yaml. Its migrations run as
 * `hasten migrate up` runs them, as the owner of the cluster; the seed runs once and is recorded in
 * hasten.demo_seed. The server logs in as the role `authenticator`, which the
 * application makes.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cluster.h"
#include "cmd/cmd.h"
#include "cmd/demo.h"
#include "cmd/migrate.h"
#include "cmd/serve.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "net/crypto.h"
#include "pg/admin.h"

enum { SECRET_BYTES = 32, SECRET_TEXT = 64 };

struct demo {
    struct cluster cluster;
    struct pg_admin *admin;
    const char *app;
    const char *data; /* as given, for what is printed */
    char app_found[PATH_MAX];
    char database[64];
    char secret[SECRET_TEXT];
    uint64_t port;
    double scale; /* 0 = not given */
};

/* ---- the application's folder ---- */

/* The example beside the program: in a checkout (build/, build/asan/), then where it was installed. */
static hs_status find_app(struct demo *d, struct hs_err *reterr)
{
    static const char *const places[] = {"../examples/clients-plus", "../../examples/clients-plus",
                                         "../share/hasten/examples/clients-plus"};
    char self[CLUSTER_PATH];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (d->app)
        return HS_OK;
    while (n > 0 && self[n - 1] != '/')
        n--;
    for (size_t i = 0; i < HS_LEN(places) && n > 0; i++) {
        char place[CLUSTER_PATH + 64];
        int len = snprintf(place, sizeof(place), "%.*s%s", (int)n, self, places[i]);

        if ((size_t)len < sizeof(place) && realpath(place, d->app_found)) {
            d->app = d->app_found;
            return HS_OK;
        }
    }
    hs_fail(reterr, HS_E_IO, "the example application was not found beside the program");
    hs_err_hint(reterr, "Name its folder with --app.");
    return HS_E_IO;
}

/* "examples/clients-plus/" gives "clients_plus". */
static hs_status name_database(struct demo *d, struct hs_err *reterr)
{
    struct hs_str path = hs_str(d->app);
    size_t from;

    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    from = path.n;
    while (from && path.p[from - 1] != '/')
        from--;
    path = hs_str_sub(path, from, path.n);
    if (path.n == 0 || path.n >= sizeof(d->database))
        return hs_fail(reterr, HS_E_IO, "the folder's name cannot be a database's name: %s",
                       d->app);
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9' && i) || c == '_';

        d->database[i] = fine ? c : '_';
    }
    d->database[path.n] = '\0';
    return HS_OK;
}

/* ---- the database ---- */

static hs_status open_database(struct demo *d, const char *database, struct hs_err *reterr)
{
    char conninfo[2 * CLUSTER_PATH];
    hs_status status = cluster_conninfo(&d->cluster, "postgres", database, conninfo,
                                        sizeof(conninfo), reterr);

    pg_admin_close(d->admin);
    d->admin = NULL;
    return status ? status : pg_admin_open(conninfo, &d->admin, reterr);
}

/* *ret_yes: the query gave a row with a value. */
static hs_status ask(struct demo *d, const char *sql, const char *param, bool *ret_yes,
                     struct hs_err *reterr)
{
    struct hs_buf value;
    hs_status status;

    hs_buf_init(&value, 4096);
    status = pg_admin_value(d->admin, sql, &param, param ? 1 : 0, &value, reterr);
    *ret_yes = !status && value.n > 0;
    hs_buf_fini(&value);
    return status;
}

static hs_status make_database(struct demo *d, struct hs_err *reterr)
{
    char sql[128];
    bool exists;
    hs_status status = open_database(d, "postgres", reterr);

    if (!status)
        status = ask(d, "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", d->database,
                     &exists, reterr);
    (void)snprintf(sql, sizeof(sql), "CREATE DATABASE \"%s\"", d->database);
    if (!status && !exists)
        status = pg_admin_script(d->admin, sql, reterr);
    if (!status)
        status = open_database(d, d->database, reterr);
    return status;
}

static hs_status apply_migrations(struct demo *d, struct hs_arena *arena, struct hs_err *reterr)
{
    const struct migrate_how how = {
        .lock_timeout = 10 * HS_SECOND, .wait = 60 * HS_SECOND, .is_quiet = true};
    struct migrate_files files;
    struct hs_str folder = hs_arena_printf(arena, "%s/migrations", d->app);
    hs_status status = folder.p ? migrate_load(folder.p, arena, &files, reterr)
                                : hs_fail_memory(reterr);

    return status ? status : migrate_up(d->admin, &files, &how, arena, reterr);
}

/* *ret_done: there is data already, and it is what was asked for. */
static hs_status check_scale(struct demo *d, const char *scale, bool *ret_done,
                             struct hs_err *reterr)
{
    struct hs_buf value;
    hs_status status;

    hs_buf_init(&value, 4096);
    status = ask(d, "SELECT pg_catalog.to_regclass('hasten.demo_seed')::text", NULL, ret_done,
                 reterr);
    if (!status && *ret_done)
        status = pg_admin_value(d->admin, "SELECT scale FROM hasten.demo_seed", NULL, 0, &value,
                                reterr);
    if (!status && *ret_done && d->scale > 0 && strcmp(value.p, scale) != 0) {
        status = hs_fail(reterr, HS_E_IO, "the data here was made with --seed-scale %s", value.p);
        hs_err_hint(reterr, "Leave --seed-scale out, or add --fresh to make the data anew.");
    }
    hs_buf_fini(&value);
    return status;
}

/* The data and the record that it is there are one simple query, so one transaction. */
static hs_status run_seed(struct demo *d, const char *scale, struct hs_arena *arena,
                          struct hs_err *reterr)
{
    struct hs_str path = hs_arena_printf(arena, "%s/seed.sql", d->app);
    struct hs_str sql;
    hs_us began = hs_now_us();
    hs_status status = path.p ? migrate_read(path.p, arena, &sql, reterr) : hs_fail_memory(reterr);

    if (status)
        return status;
    sql = hs_arena_printf(arena,
                          "SET hasten.seed_scale = '%s';%.*s\n;CREATE TABLE hasten.demo_seed AS"
                          " SELECT text '%s' AS scale",
                          scale, HS_FMT(sql), scale);
    status = sql.p ? pg_admin_script(d->admin, sql.p, reterr) : hs_fail_memory(reterr);
    if (status)
        hs_err_hint(reterr, "The fault is in %s.", path.p);
    else
        printf("  %s  %.1f s\n", path.p, (double)(hs_now_us() - began) / 1e6);
    (void)fflush(stdout);
    return status;
}

static hs_status seed(struct demo *d, struct hs_arena *arena, struct hs_err *reterr)
{
    char scale[32];
    bool done;
    hs_status status;

    (void)snprintf(scale, sizeof(scale), "%g", d->scale > 0 ? d->scale : 1);
    status = check_scale(d, scale, &done, reterr);
    if (status || done)
        return status;
    status = run_seed(d, scale, arena, reterr);
    return status ? status : pg_admin_script(d->admin, "VACUUM", reterr);
}

static hs_status prepare_database(struct demo *d, struct hs_err *reterr)
{
    struct hs_arena arena;
    hs_status status;

    hs_arena_init(&arena, MIGRATE_MEMORY_MAX);
    status = make_database(d, reterr);
    if (!status)
        status = apply_migrations(d, &arena, reterr);
    if (!status)
        status = pg_admin_script(d->admin, "SELECT hasten.allow('authenticator')", reterr);
    if (!status)
        status = seed(d, &arena, reterr);
    hs_arena_fini(&arena);
    pg_admin_close(d->admin);
    d->admin = NULL;
    return status;
}

/* ---- tokens ---- */

static hs_status make_secret(struct demo *d, struct hs_err *reterr)
{
    unsigned char bytes[SECRET_BYTES];
    struct hs_buf text;
    hs_status status;

    if (cluster_read_file(&d->cluster, CLUSTER_SECRET, d->secret, sizeof(d->secret)))
        return HS_OK;
    net_random(bytes, sizeof(bytes));
    hs_buf_init(&text, SECRET_TEXT);
    net_base64url(&text, hs_strn((const char *)bytes, sizeof(bytes)));
    if (!hs_buf_cstr(&text))
        return hs_fail_memory(reterr);
    memcpy(d->secret, text.p, text.n + 1);
    hs_buf_fini(&text);
    status = cluster_write_file(&d->cluster, CLUSTER_SECRET, d->secret, 0600, reterr);
    return status;
}

/* ---- the command ---- */

static void print_hints(void *arg, unsigned port)
{
    const struct demo *d = arg;
    const char *self = program_invocation_name;
    char base[64];
    char data[CLUSTER_PATH + 16] = "";

    (void)snprintf(base, sizeof(base), "http://127.0.0.1:%u", port);
    if (strcmp(d->data, DEMO_DATA) != 0)
        (void)snprintf(data, sizeof(data), "--data '%s' ", d->data);
    printf("\nServing %s on %s/  (Ctrl-C stops everything)\n\nTry, in another terminal:\n\n",
           d->database, base);
    printf("  curl '%s/api/v1/clients?limit=3&fields=id,firstName,lastName,status'\n\n", base);
    printf("  TOKEN=$(%s token %s--role member --claim company_id=7)\n", self, data);
    printf("  curl -H \"Authorization: Bearer $TOKEN\" '%s/api/v1/clients?count=exact&limit=2'\n",
           base);
    printf("  curl -H \"Authorization: Bearer $TOKEN\" "
           "'%s/api/v1/appointments?include=client,staff&sort=-date&limit=2'\n\n",
           base);
    printf("  curl -si '%s/api/v1/clients/1' | grep X-Cache   # a miss, then hits; after an UPDATE "
           "in psql a miss\n\n",
           base);
    printf(
        "  %s psql %s           (the database itself)\n  %s/            (what is served here)\n\n",
        self, data, base);
    (void)fflush(stdout);
}

static hs_status name_socket(const struct cluster *cluster, char *to, size_t size,
                             struct hs_err *reterr)
{
    int n = snprintf(to, size, "%s/admin.sock", cluster->run);

    if (n < 0 || (size_t)n >= size)
        return hs_fail(reterr, HS_E_IO, "the path %.80s... is too long", cluster->run);
    return HS_OK;
}

hs_status demo_socket(const char *data, char *to, size_t size, struct hs_err *reterr)
{
    struct cluster cluster;
    hs_status status = cluster_init(&cluster, data, reterr);

    return status ? status : name_socket(&cluster, to, size, reterr);
}

static hs_status load_conf(struct demo *d, struct conf **ret_conf, struct hs_err *reterr)
{
    char file[CLUSTER_PATH];
    char listen[32];
    char conninfo[2 * CLUSTER_PATH];
    char socket[CLUSTER_PATH];
    const struct conf_override overrides[] = {{"server.listen", listen},
                                              {"database.url", conninfo},
                                              {"auth.jwt.secret", d->secret},
                                              {"admin.socket", socket}};
    hs_status status = cluster_conninfo(&d->cluster, "authenticator", d->database, conninfo,
                                        sizeof(conninfo), reterr);

    (void)snprintf(file, sizeof(file), "%s/hasten.yaml", d->app);
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", (unsigned)d->port);
    if (!status)
        status = name_socket(&d->cluster, socket, sizeof(socket), reterr);
    return status ? status
                  : conf_load(&(struct conf_sources){.file = file,
                                                     .overrides = overrides,
                                                     .n_overrides = HS_LEN(overrides)},
                              ret_conf, reterr);
}

static hs_status load_again(void *arg, struct conf **ret_conf, struct hs_err *reterr)
{
    return load_conf(arg, ret_conf, reterr);
}

static hs_status prepare(struct demo *d, bool fresh, struct hs_err *reterr)
{
    hs_status status = find_app(d, reterr);

    if (!status)
        status = name_database(d, reterr);
    if (!status)
        status = cluster_make(d->data, reterr);
    if (!status)
        status = cluster_init(&d->cluster, d->data, reterr);
    if (!status && fresh)
        status = cluster_remove(&d->cluster, reterr);
    if (!status)
        status = make_secret(d, reterr);
    if (!status)
        status = cluster_start(&d->cluster, reterr);
    if (!status)
        printf("PostgreSQL runs in %s (port %u)\n", d->cluster.data, d->cluster.port);
    (void)fflush(stdout);
    return status ? status : prepare_database(d, reterr);
}

int cmd_demo(int argc, char **argv)
{
    struct demo d = {.data = DEMO_DATA, .port = 8080};
    bool fresh = false;
    const struct args_opt opts[] = {
        ARGS_TEXT("app", &d.app, "DIR", "the application's folder (default: the example Clients+)"),
        ARGS_TEXT("data", &d.data, "DIR", "folder of the private cluster (default: " DEMO_DATA ")"),
        ARGS_UINT("port", &d.port, "N", 0, 65535, "port to serve on (default 8080)"),
        ARGS_FLAG("fresh", &fresh, "throw the cluster away and start over"),
        ARGS_DECIMAL("seed-scale", &d.scale, "X", 0.1, 100,
                     "how much data (default what is there, else 1: 100,000 clients)"),
    };
    struct args args = {.command = "demo", .opts = opts, .n_opts = HS_LEN(opts)};
    const struct serve_hooks hooks = {.ready = print_hints, .load = load_again, .arg = &d};
    struct conf *conf = NULL;
    struct hs_err err;
    hs_status status;
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    status = prepare(&d, fresh, &err);
    if (!status)
        status = load_conf(&d, &conf, &err);
    if (!status) {
        hs_log_init((enum hs_log_level)conf->log_level, (enum hs_log_format)conf->log_format);
        code = serve_run(conf, &hooks);
        conf_free(conf);
    } else {
        cmd_complain(&err);
        code = CMD_FAILED;
    }
    cluster_stop(&d.cluster);
    return code;
}

static _Noreturn void become_psql(char *conninfo, char **rest, size_t n)
{
    char **argv = hs_calloc(n + 3, sizeof(char *));

    if (!argv)
        _exit(126);
    argv[0] = (char *)(uintptr_t) "psql";
    argv[1] = conninfo;
    for (size_t i = 0; i < n; i++)
        argv[i + 2] = rest[i];
    execvp("psql", argv);
    (void)dprintf(STDERR_FILENO, "hasten: psql was not found\n  Install postgresql-client.\n");
    _exit(127);
}

hs_status demo_reach(const char *data, const char *app, struct demo_access *ret_access,
                     struct hs_err *reterr)
{
    struct demo d = {.data = data, .app = app};
    hs_status status = find_app(&d, reterr);

    if (!status)
        status = name_database(&d, reterr);
    if (!status)
        status = cluster_init(&d.cluster, d.data, reterr);
    if (!status)
        status = cluster_read_secret(&d.cluster, d.secret, sizeof(d.secret), reterr);
    if (!status && (size_t)snprintf(ret_access->migrations, sizeof(ret_access->migrations),
                                    "%s/migrations", d.app) >= sizeof(ret_access->migrations))
        status = hs_fail(reterr, HS_E_IO, "the path %.80s... is too long", d.app);
    if (!status)
        status = cluster_start(&d.cluster, reterr);
    if (!status)
        status = cluster_conninfo(&d.cluster, "postgres", d.database, ret_access->conninfo,
                                  sizeof(ret_access->conninfo), reterr);
    ret_access->cluster = d.cluster;
    if (status)
        cluster_stop(&d.cluster);
    return status;
}

void demo_leave(struct demo_access *access)
{
    cluster_stop(&access->cluster);
}

int cmd_psql(int argc, char **argv)
{
    const char *data = DEMO_DATA;
    const char *app = NULL;
    const struct args_opt opts[] = {
        ARGS_TEXT("data", &data, "DIR", "folder of the private cluster (default: " DEMO_DATA ")"),
        ARGS_TEXT("app", &app, "DIR", "the application's folder (default: the example Clients+)"),
    };
    struct args args = {.command = "psql", .opts = opts, .n_opts = HS_LEN(opts), .rest_max = 1000};
    struct demo_access access;
    struct hs_err err;
    pid_t pid;
    int end = 0;
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    if (demo_reach(data, app, &access, &err)) {
        cmd_complain(&err);
        return CMD_FAILED;
    }
    pid = fork();
    if (pid == 0)
        become_psql(access.conninfo, args.rest, args.n_rest);
    /* Ctrl-C is for psql, which cancels a query with it. */
    (void)signal(SIGINT, SIG_IGN);
    if (pid > 0)
        (void)waitpid(pid, &end, 0);
    demo_leave(&access);
    return pid > 0 && WIFEXITED(end) ? WEXITSTATUS(end) : CMD_FAILED;
}
