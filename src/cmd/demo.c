/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten demo`, `hasten psql` and `hasten token`: hasten over a private cluster with an example
 * application, for somebody who has seen neither a minute ago.
 *
 * An application is a folder: migrations/NNNN_name.sql, seed.sql, hasten.yaml. Its migrations run in
 * order as the owner of the cluster, each in one transaction together with its record in
 * hasten.migration; the seed runs once. The server logs in as the role `authenticator`, which the
 * application makes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cluster.h"
#include "cmd/cmd.h"
#include "cmd/serve.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/time.h"
#include "net/crypto.h"
#include "pg/admin.h"

#define DEMO_DATA ".hasten"
enum { SQL_MAX = 16 * 1024 * 1024, FILES_MAX = 1000, SECRET_BYTES = 32, SECRET_TEXT = 64 };

extern const char hs_embedded_sql[]; /* sql/hasten.sql */

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

static hs_status read_file(const char *folder, const char *name, struct hs_buf *out,
                           struct hs_err *reterr)
{
    char path[CLUSTER_PATH * 2];
    char *room;
    ssize_t n = 0;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        hs_fail(reterr, HS_E_IO, "could not read %s", path);
        hs_err_why(reterr, "%s", strerrordesc_np(errno));
        return HS_E_IO;
    }
    hs_buf_clear(out);
    while ((room = hs_buf_room(out, 65536)) && (n = read(fd, room, 65536)) > 0)
        hs_buf_added(out, (size_t)n);
    (void)close(fd);
    if (n < 0 || !hs_buf_cstr(out))
        return hs_fail(reterr, HS_E_IO, "could not read %s: longer than %d bytes?", path, SQL_MAX);
    return HS_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the folder's .sql files in order; a name is also text in SQL, so it is kept plain. */
static hs_status list_migrations(const char *folder, char **names, size_t *ret_n,
                                 struct hs_err *reterr)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    size_t n = 0;

    if (!dir)
        return hs_fail(reterr, HS_E_IO, "could not read the folder %s", folder);
    while ((entry = readdir(dir)) && n < FILES_MAX) {
        size_t len = strlen(entry->d_name);
        bool plain = strspn(entry->d_name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == len;

        if (len > 4 && plain && strcmp(entry->d_name + len - 4, ".sql") == 0) {
            names[n] = hs_memdup0(entry->d_name, len);
            n += names[n] != NULL;
        }
    }
    (void)closedir(dir);
    qsort(names, n, sizeof(names[0]), by_name);
    *ret_n = n;
    return n ? HS_OK : hs_fail(reterr, HS_E_IO, "there are no migrations in %s", folder);
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
    if (!status)
        status = ask(d, "SELECT pg_catalog.to_regnamespace('hasten')::text", NULL, &exists, reterr);
    if (!status && !exists)
        status = pg_admin_script(d->admin, hs_embedded_sql, reterr);
    if (!status)
        status = pg_admin_script(
            d->admin,
            "CREATE TABLE IF NOT EXISTS hasten.migration (name text PRIMARY KEY,"
            " note text, applied_at timestamptz NOT NULL DEFAULT now())",
            reterr);
    return status;
}

/* Runs a file with its record in one transaction; nothing if it is recorded already. */
static hs_status apply(struct demo *d, const char *folder, const char *name, const char *note,
                       struct hs_buf *sql, struct hs_err *reterr)
{
    bool done;
    hs_status status = ask(d, "SELECT 1 FROM hasten.migration WHERE name = $1", name, &done,
                           reterr);
    hs_us began = hs_now_us();

    if (status || done)
        return status;
    status = read_file(folder, name, sql, reterr);
    if (status)
        return status;
    hs_buf_printf(sql, "\n;INSERT INTO hasten.migration (name, note) VALUES ('%s', '%s')", name,
                  note);
    if (!hs_buf_cstr(sql))
        return hs_fail_memory(reterr);
    status = pg_admin_script(d->admin, sql->p, reterr);
    if (status)
        hs_err_hint(reterr, "The fault is in %s/%s.", folder, name);
    else
        printf("  %s/%s  %.1f s\n", folder, name, (double)(hs_now_us() - began) / 1e6);
    (void)fflush(stdout);
    return status;
}

static hs_status apply_migrations(struct demo *d, struct hs_buf *sql, struct hs_err *reterr)
{
    char folder[CLUSTER_PATH];
    char **names = hs_calloc(FILES_MAX, sizeof(char *));
    size_t n = 0;
    hs_status status;

    if (!names)
        return hs_fail_memory(reterr);
    (void)snprintf(folder, sizeof(folder), "%s/migrations", d->app);
    status = list_migrations(folder, names, &n, reterr);
    for (size_t i = 0; i < n; i++) {
        if (!status)
            status = apply(d, folder, names[i], "", sql, reterr);
        hs_free(names[i]);
    }
    hs_free(names);
    return status;
}

/* *ret_done: there is data already, and it is what was asked for. */
static hs_status check_scale(struct demo *d, const char *scale, bool *ret_done,
                             struct hs_err *reterr)
{
    struct hs_buf value;
    hs_status status;

    hs_buf_init(&value, 4096);
    status = pg_admin_value(d->admin, "SELECT note FROM hasten.migration WHERE name = 'seed.sql'",
                            NULL, 0, &value, reterr);
    *ret_done = !status && value.n > 0;
    if (*ret_done && d->scale > 0 && strcmp(value.p, scale) != 0) {
        status = hs_fail(reterr, HS_E_IO, "the data here was made with --seed-scale %s", value.p);
        hs_err_hint(reterr, "Leave --seed-scale out, or add --fresh to make the data anew.");
    }
    hs_buf_fini(&value);
    return status;
}

static hs_status seed(struct demo *d, struct hs_buf *sql, struct hs_err *reterr)
{
    char scale[32];
    char set[96];
    bool done;
    hs_status status;

    (void)snprintf(scale, sizeof(scale), "%g", d->scale > 0 ? d->scale : 1);
    (void)snprintf(set, sizeof(set), "SET hasten.seed_scale = '%s'", scale);
    status = check_scale(d, scale, &done, reterr);
    if (status || done)
        return status;
    status = pg_admin_script(d->admin, set, reterr);
    if (!status)
        status = apply(d, d->app, "seed.sql", scale, sql, reterr);
    if (!status)
        status = pg_admin_script(d->admin, "VACUUM", reterr);
    return status;
}

static hs_status prepare_database(struct demo *d, struct hs_err *reterr)
{
    struct hs_buf sql;
    hs_status status;

    hs_buf_init(&sql, SQL_MAX);
    status = make_database(d, reterr);
    if (!status)
        status = apply_migrations(d, &sql, reterr);
    if (!status)
        status = pg_admin_script(d->admin, "SELECT hasten.allow('authenticator')", reterr);
    if (!status)
        status = seed(d, &sql, reterr);
    hs_buf_fini(&sql);
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
    printf(
        "  %s psql %s           (the database itself)\n  %s/            (what is served here)\n\n",
        self, data, base);
    (void)fflush(stdout);
}

static hs_status load_conf(struct demo *d, struct conf **ret_conf, struct hs_err *reterr)
{
    char file[CLUSTER_PATH];
    char listen[32];
    char conninfo[2 * CLUSTER_PATH];
    const struct conf_override overrides[] = {
        {"server.listen", listen}, {"database.url", conninfo}, {"auth.jwt.secret", d->secret}};
    hs_status status = cluster_conninfo(&d->cluster, "authenticator", d->database, conninfo,
                                        sizeof(conninfo), reterr);

    (void)snprintf(file, sizeof(file), "%s/hasten.yaml", d->app);
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", (unsigned)d->port);
    return status ? status : conf_load(file, overrides, HS_LEN(overrides), ret_conf, reterr);
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
    const struct serve_hooks hooks = {print_hints, &d};
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

int cmd_psql(int argc, char **argv)
{
    struct demo d = {.data = DEMO_DATA};
    const struct args_opt opts[] = {
        ARGS_TEXT("data", &d.data, "DIR", "folder of the private cluster (default: " DEMO_DATA ")"),
        ARGS_TEXT("app", &d.app, "DIR", "the application's folder (default: the example Clients+)"),
    };
    struct args args = {.command = "psql", .opts = opts, .n_opts = HS_LEN(opts), .rest_max = 1000};
    char conninfo[2 * CLUSTER_PATH];
    struct hs_err err;
    hs_status status;
    pid_t pid;
    int end = 0;
    int code = args_parse(&args, argc, argv);

    if (code >= 0)
        return code;
    status = find_app(&d, &err);
    if (!status)
        status = name_database(&d, &err);
    if (!status)
        status = cluster_init(&d.cluster, d.data, &err);
    if (!status)
        status = cluster_read_secret(&d.cluster, d.secret, sizeof(d.secret), &err);
    if (!status)
        status = cluster_start(&d.cluster, &err);
    if (!status)
        status = cluster_conninfo(&d.cluster, "postgres", d.database, conninfo, sizeof(conninfo),
                                  &err);
    if (status) {
        cmd_complain(&err);
        cluster_stop(&d.cluster);
        return CMD_FAILED;
    }
    pid = fork();
    if (pid == 0)
        become_psql(conninfo, args.rest, args.n_rest);
    /* Ctrl-C is for psql, which cancels a query with it. */
    (void)signal(SIGINT, SIG_IGN);
    if (pid > 0)
        (void)waitpid(pid, &end, 0);
    cluster_stop(&d.cluster);
    return pid > 0 && WIFEXITED(end) ? WEXITSTATUS(end) : CMD_FAILED;
}
