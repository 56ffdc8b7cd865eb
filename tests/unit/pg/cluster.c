/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The postmaster is our child and gets SIGQUIT when we die, so no test run leaves one behind. PostgreSQL
 * refuses to run as root; then the child becomes `postgres`.
 */
#include "pg/cluster.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

_Noreturn static void give_up(const char *what)
{
    perror(what);
    exit(2);
}

static const struct passwd *server_user(void)
{
    const struct passwd *user = getuid() == 0 ? getpwnam("postgres") : NULL;

    if (getuid() == 0 && !user)
        give_up("there is no user postgres: install Debian's postgresql-15");
    return user;
}

pid_t pg_cluster_spawn(const struct pg_cluster *cluster, const char *path, char *const argv[])
{
    const struct passwd *user = server_user();
    char log[96];
    pid_t pid;

    (void)snprintf(log, sizeof(log), "%s/log", cluster->dir);
    pid = fork();
    if (pid < 0)
        give_up("fork");
    if (pid > 0)
        return pid;
    if (user && (setgid(user->pw_gid) || setuid(user->pw_uid)))
        _exit(126);
    (void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (chdir("/") || !freopen(log, "a", stdout) || !freopen(log, "a", stderr))
        _exit(126);
    (void)execv(path, argv);
    _exit(127);
}

static pid_t spawn(const struct pg_cluster *cluster, char *const argv[])
{
    const char *bin = getenv("PG_BIN");
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", bin ? bin : "/usr/lib/postgresql/15/bin", argv[0]);
    return pg_cluster_spawn(cluster, path, argv);
}

static void run(const struct pg_cluster *cluster, char *const argv[])
{
    int status = 0;

    if (waitpid(spawn(cluster, argv), &status, 0) < 0 || status) {
        (void)fprintf(stderr, "%s failed, see %s/log\n", argv[0], cluster->dir);
        exit(2);
    }
}

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, n) ||
        getsockname(fd, (struct sockaddr *)&address, &n))
        give_up("no free port");
    close(fd);
    return ntohs(address.sin_port);
}

void pg_cluster_make(struct pg_cluster *cluster)
{
    const struct passwd *user = server_user();
    char data[80];
    char *argv[] = {
        (char[]){"initdb"},           (char[]){"-D"},           data,
        (char[]){"-Upostgres"},       (char[]){"--auth=trust"}, (char[]){"--encoding=UTF8"},
        (char[]){"--locale=C.UTF-8"}, (char[]){"--no-sync"},    NULL};

    *cluster = (struct pg_cluster){.dir = "/tmp/hasten-unit-XXXXXX"};
    if (!mkdtemp(cluster->dir) || chmod(cluster->dir, 0755))
        give_up("mkdtemp");
    if (user && chown(cluster->dir, user->pw_uid, user->pw_gid))
        give_up("chown");
    (void)snprintf(data, sizeof(data), "%s/data", cluster->dir);
    cluster->port = free_port();
    run(cluster, argv);
    pg_cluster_start(cluster);
}

struct hs_str pg_cluster_url(const struct pg_cluster *cluster, const char *user, char *to,
                             size_t size)
{
    (void)snprintf(to, size, "host=%s port=%u user=%s dbname=postgres", cluster->dir, cluster->port,
                   user);
    return hs_str(to);
}

void pg_cluster_start(struct pg_cluster *cluster)
{
    char data[80];
    char socket_dir[100];
    char port[32];
    char url[160];
    char *argv[] = {(char[]){"postgres"},
                    (char[]){"-D"},
                    data,
                    (char[]){"-k"},
                    socket_dir,
                    (char[]){"-p"},
                    port,
                    (char[]){"-cfsync=off"},
                    (char[]){"-clisten_addresses=127.0.0.1"},
                    (char[]){"-cmax_connections=40"},
                    (char[]){"-cshared_buffers=16MB"},
                    NULL};

    (void)snprintf(data, sizeof(data), "%s/data", cluster->dir);
    (void)snprintf(socket_dir, sizeof(socket_dir), "%s", cluster->dir);
    (void)snprintf(port, sizeof(port), "%u", cluster->port);
    (void)pg_cluster_url(cluster, "postgres", url, sizeof(url));
    cluster->pid = spawn(cluster, argv);
    while (PQping(url) != PQPING_OK) {
        if (waitpid(cluster->pid, NULL, WNOHANG) != 0) {
            (void)fprintf(stderr, "PostgreSQL did not start, see %s/log\n", cluster->dir);
            exit(2);
        }
        (void)usleep(20000);
    }
}

void pg_cluster_stop(struct pg_cluster *cluster, bool fast)
{
    if (!cluster->pid)
        return;
    (void)kill(cluster->pid, fast ? SIGINT : SIGQUIT);
    (void)waitpid(cluster->pid, NULL, 0);
    cluster->pid = 0;
}

void pg_cluster_remove(struct pg_cluster *cluster)
{
    pid_t pid;
    int status;

    pg_cluster_stop(cluster, /* fast= */ true);
    pid = fork();
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", cluster->dir, (char *)NULL);
        _exit(127);
    }
    (void)waitpid(pid, &status, 0);
}

static void drop_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

PGconn *pg_cluster_connect(const struct pg_cluster *cluster, const char *user)
{
    char url[160];
    PGconn *conn = PQconnectdb(pg_cluster_url(cluster, user, url, sizeof(url)).p);

    if (PQstatus(conn) != CONNECTION_OK) {
        (void)fprintf(stderr, "%s", PQerrorMessage(conn));
        exit(2);
    }
    (void)PQsetNoticeProcessor(conn, drop_notice, NULL);
    return conn;
}

long pg_cluster_exec(PGconn *conn, const char *sql)
{
    PGresult *res = PQexec(conn, sql);
    long value = 0;

    if (PQresultStatus(res) != PGRES_TUPLES_OK && PQresultStatus(res) != PGRES_COMMAND_OK) {
        (void)fprintf(stderr, "%s: %s", sql, PQerrorMessage(conn));
        exit(2);
    }
    if (PQntuples(res) && PQnfields(res))
        value = strtol(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    return value;
}

long pg_cluster_sql(const struct pg_cluster *cluster, const char *sql)
{
    PGconn *conn = pg_cluster_connect(cluster, "postgres");
    long value = pg_cluster_exec(conn, sql);

    PQfinish(conn);
    return value;
}
