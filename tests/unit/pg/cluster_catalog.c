/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The postmaster is our child and gets SIGTERM when we die, so no test run leaves one behind. PostgreSQL
 * refuses to run as root; then the child becomes `postgres`.
 */
#include "pg/cluster_catalog.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *bin(void)
{
    const char *dir = getenv("PG_BIN");

    return dir ? dir : "/usr/lib/postgresql/15/bin";
}

_Noreturn static void give_up(const char *what)
{
    perror(what);
    exit(2);
}

static const struct passwd *server_user(void)
{
    const struct passwd *user = getuid() == 0 ? getpwnam("postgres") : NULL;

    if (getuid() == 0 && !user)
        give_up("no user postgres: install Debian's postgresql-15");
    return user;
}

pid_t catalog_spawn(const char *path, char *const argv[])
{
    const struct passwd *user = server_user();
    pid_t pid = fork();

    if (pid < 0)
        give_up("fork");
    if (pid > 0)
        return pid;
    if (user && (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0))
        _exit(126);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
        _exit(126);
    (void)execv(path, argv);
    _exit(127);
}

static pid_t spawn(char *const argv[])
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", bin(), argv[0]);
    return catalog_spawn(path, argv);
}

static void run(char *const argv[])
{
    int status = 0;
    pid_t pid = spawn(argv);

    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        (void)fprintf(stderr, "%s failed (status %d)\n", argv[0], status);
        exit(2);
    }
}

struct hs_str catalog_cluster_url(const struct catalog_cluster *cluster, const char *user, char *to,
                                  size_t size)
{
    (void)snprintf(to, size, "host=%s user=%s dbname=postgres", cluster->dir, user);
    return hs_str(to);
}

void catalog_cluster_start(struct catalog_cluster *cluster)
{
    const struct passwd *user = server_user();
    const char *folder = getenv("TMPDIR");
    char data[128];
    char url[256];
    char arg[7][16] = {"initdb", "-Atrust", "-Upostgres", "-EUTF8", "--locale=C", "-N", "-D"};
    char *init[] = {arg[0], arg[1], arg[2], arg[3], arg[4], arg[5], arg[6], data, NULL};
    char opt[6][32] = {
        "postgres", "-D", "-k", "-clisten_addresses=", "-cfsync=off", "-cmax_connections=30"};
    char *serve[] = {opt[0], opt[1], data, opt[2], cluster->dir, opt[3], opt[4], opt[5], NULL};

    (void)snprintf(cluster->dir, sizeof(cluster->dir), "%s/hasten-pg-XXXXXX",
                   folder && strlen(folder) < 40 ? folder : "/tmp");
    if (!mkdtemp(cluster->dir))
        give_up("mkdtemp");
    if (user && chown(cluster->dir, user->pw_uid, user->pw_gid) != 0)
        give_up("chown");
    (void)snprintf(data, sizeof(data), "%s/data", cluster->dir);
    run(init);
    cluster->pid = spawn(serve);
    (void)catalog_cluster_url(cluster, "postgres", url, sizeof(url));
    for (int i = 0; PQping(url) != PQPING_OK; i++) {
        if (i > 3000)
            give_up("PostgreSQL does not start");
        (void)usleep(10000);
    }
}

void catalog_cluster_stop(struct catalog_cluster *cluster)
{
    char rm[8] = "rm";
    char flags[8] = "-rf";
    char *argv[] = {rm, flags, cluster->dir, NULL};
    pid_t pid;

    (void)kill(cluster->pid, SIGINT);
    (void)waitpid(cluster->pid, NULL, 0);
    pid = fork();
    if (pid == 0) {
        (void)execvp("rm", argv);
        _exit(127);
    }
    (void)waitpid(pid, NULL, 0);
}

PGconn *catalog_cluster_connect(const struct catalog_cluster *cluster, const char *user)
{
    char url[256];
    PGconn *conn = PQconnectdb(catalog_cluster_url(cluster, user, url, sizeof(url)).p);

    if (PQstatus(conn) != CONNECTION_OK) {
        (void)fprintf(stderr, "%s\n", PQerrorMessage(conn));
        exit(2);
    }
    PQclear(PQexec(conn, "SET client_min_messages = warning"));
    return conn;
}

void catalog_sql(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(r);

    PQclear(r);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return;
    (void)fprintf(stderr, "%s\n%s\n", sql, PQerrorMessage(conn));
    exit(2);
}
