/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo's PostgreSQL. Programs are started with fork and exec, without a shell; each child drops its
 * rights first, takes a process group of its own (so that Ctrl-C in the terminal reaches hasten, which
 * then stops the server in order) and asks the kernel for SIGINT when hasten dies.
 */
#include "cmd/cluster.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/rng.h"
#include "core/time.h"
#include "net/listen.h"
#include "pg/admin.h"

enum { SOCKET_PATH_MAX = 90, START_SECONDS = 60, ARGS_MAX = 24 };

static hs_status fail_errno(struct hs_err *reterr, const char *what, const char *path)
{
    int saved = errno;

    hs_fail(reterr, HS_E_IO, "could not %s %s", what, path);
    hs_err_why(reterr, "%s", strerrordesc_np(saved));
    return HS_E_IO;
}

static hs_status fail_absent(const char *data, struct hs_err *reterr)
{
    hs_fail(reterr, HS_E_IO, "there is no demo in %s", data);
    hs_err_hint(reterr, "Run `hasten demo` first, or name its folder with --data.");
    return HS_E_IO;
}

static hs_status path_in(const char *folder, const char *name, char to[CLUSTER_PATH],
                         struct hs_err *reterr)
{
    if ((size_t)snprintf(to, CLUSTER_PATH, "%s/%s", folder, name) >= CLUSTER_PATH)
        return hs_fail(reterr, HS_E_IO, "the path %.80s... is too long", folder);
    return HS_OK;
}

/* Who shall run the server: ourselves, or, for root, someone harmless. */
static hs_status choose_user(struct cluster *c, struct hs_err *reterr)
{
    const char *sudo = getenv("SUDO_UID");
    struct passwd *user = NULL;

    c->uid = geteuid();
    c->gid = getegid();
    if (c->uid != 0)
        return HS_OK;
    if (sudo && strtoul(sudo, NULL, 10) != 0)
        user = getpwuid((uid_t)strtoul(sudo, NULL, 10));
    if (!user)
        user = getpwnam("postgres");
    if (!user)
        user = getpwnam("nobody");
    if (!user)
        return hs_fail(reterr, HS_E_IO, "found no unprivileged user to run PostgreSQL as");
    c->uid = user->pw_uid;
    c->gid = user->pw_gid;
    return HS_OK;
}

/* Only what is made here is given away: a folder that was there belongs to somebody. */
static hs_status make_folder(const struct cluster *c, const char *path, mode_t mode,
                             struct hs_err *reterr)
{
    if (mkdir(path, mode) != 0)
        return errno == EEXIST ? HS_OK : fail_errno(reterr, "make the folder", path);
    if (geteuid() == 0 && chown(path, c->uid, c->gid) != 0)
        return fail_errno(reterr, "give away the folder", path);
    return HS_OK;
}

/* The socket's folder may be in /tmp, where anybody can have made it before us. */
static hs_status make_socket_folder(const struct cluster *c, struct hs_err *reterr)
{
    struct stat st;
    hs_status status = make_folder(c, c->run, 0700, reterr);

    if (status)
        return status;
    if (lstat(c->run, &st) != 0)
        return fail_errno(reterr, "look at the folder", c->run);
    if (S_ISDIR(st.st_mode) && st.st_uid == c->uid && (st.st_mode & 0022) == 0)
        return HS_OK;
    hs_fail(reterr, HS_E_IO, "the folder of the socket, %.200s, belongs to somebody else", c->run);
    hs_err_hint(reterr, "Remove it, or choose another place with --data.");
    return HS_E_IO;
}

hs_status cluster_make(const char *data, struct hs_err *reterr)
{
    struct cluster c = {.pid = 0};
    hs_status status = choose_user(&c, reterr);

    return status ? status : make_folder(&c, data, 0755, reterr);
}

hs_status cluster_init(struct cluster *c, const char *data, struct hs_err *reterr)
{
    hs_status status;
    char real[PATH_MAX];

    *c = (struct cluster){.pid = 0};
    status = choose_user(c, reterr);
    if (status)
        return status;
    if (!realpath(data, real))
        return errno == ENOENT ? fail_absent(data, reterr)
                               : fail_errno(reterr, "find the folder", data);
    status = path_in(real, "run", c->run, reterr);
    if (!status)
        status = path_in(real, "", c->data, reterr);
    if (!status)
        c->data[strlen(real)] = '\0';
    /* The socket's name is run + "/.s.PGSQL.65535". */
    if (!status && strlen(c->run) > SOCKET_PATH_MAX)
        (void)snprintf(c->run, sizeof(c->run), "/tmp/hasten-%u-%08x", (unsigned)c->uid,
                       (unsigned)hs_hash(hs_str(real)));
    return status;
}

bool cluster_read_file(const struct cluster *c, const char *name, char *to, size_t size)
{
    char path[CLUSTER_PATH];
    ssize_t n;
    int fd;

    if (path_in(c->data, name, path, NULL))
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, to, size - 1);
    (void)close(fd);
    if (n <= 0)
        return false;
    while (n > 0 && (to[n - 1] == '\n' || to[n - 1] == ' '))
        n--;
    to[n] = '\0';
    return true;
}

hs_status cluster_read_secret(const struct cluster *c, char *to, size_t size, struct hs_err *reterr)
{
    return cluster_read_file(c, CLUSTER_SECRET, to, size) ? HS_OK : fail_absent(c->data, reterr);
}

hs_status cluster_write_file(const struct cluster *c, const char *name, const char *text,
                             mode_t mode, struct hs_err *reterr)
{
    char path[CLUSTER_PATH];
    hs_status status = path_in(c->data, name, path, reterr);
    size_t n = strlen(text);
    int fd;

    if (status)
        return status;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return fail_errno(reterr, "write", path);
    if (write(fd, text, n) != (ssize_t)n)
        status = fail_errno(reterr, "write", path);
    (void)close(fd);
    return status;
}

/* ---- programs ---- */

/* Debian's place first, then PATH; the version that hasten is made for is 15 or newer. */
static hs_status find_program(const char *name, char to[CLUSTER_PATH], struct hs_err *reterr)
{
    const char *path = getenv("PATH");
    struct hs_str rest = hs_str(path ? path : "");

    for (int version = 18; version >= 15; version--) {
        (void)snprintf(to, CLUSTER_PATH, "/usr/lib/postgresql/%d/bin/%s", version, name);
        if (access(to, X_OK) == 0)
            return HS_OK;
    }
    while (rest.n) {
        struct hs_str dir = hs_str_cut(&rest, ':');

        (void)snprintf(to, CLUSTER_PATH, "%.*s/%s", HS_FMT(dir), name);
        if (access(to, X_OK) == 0)
            return HS_OK;
    }
    hs_fail(reterr, HS_E_IO, "PostgreSQL's program %s was not found", name);
    hs_err_hint(reterr, "Install PostgreSQL 15 (Debian: apt install postgresql-15).");
    return HS_E_IO;
}

static void become_user(const struct cluster *c)
{
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(c->gid) != 0 || setuid(c->uid) != 0))
        _exit(126);
}

static pid_t spawn(const struct cluster *c, char *const argv[], int log_fd)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    sigset_t none;

    if (pid != 0)
        return pid;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0);
    become_user(c);
    (void)prctl(PR_SET_PDEATHSIG, SIGINT);
    if (getppid() != parent || chdir(c->data) != 0)
        _exit(126);
    (void)dup2(log_fd, STDOUT_FILENO);
    (void)dup2(log_fd, STDERR_FILENO);
    (void)umask(077);
    execv(argv[0], argv);
    _exit(127);
}

static int open_log(const struct cluster *c, struct hs_err *reterr)
{
    char path[CLUSTER_PATH];
    int fd;

    if (path_in(c->data, "log", path, reterr))
        return -1;
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        (void)fail_errno(reterr, "open", path);
    return fd;
}

static hs_status init_database(const struct cluster *c, const char *pgdata, struct hs_err *reterr)
{
    char program[CLUSTER_PATH];
    char *const argv[] = {program,
                          (char *)(uintptr_t) "-D",
                          (char *)(uintptr_t)pgdata,
                          (char *)(uintptr_t) "-U",
                          (char *)(uintptr_t) "postgres",
                          (char *)(uintptr_t) "-E",
                          (char *)(uintptr_t) "UTF8",
                          (char *)(uintptr_t) "--locale=C.UTF-8",
                          (char *)(uintptr_t) "--auth-local=trust",
                          (char *)(uintptr_t) "--auth-host=scram-sha-256",
                          (char *)(uintptr_t) "-N",
                          NULL};
    hs_status status = find_program("initdb", program, reterr);
    int fd = status ? -1 : open_log(c, reterr);
    int end = 0;
    pid_t pid;

    if (fd < 0)
        return HS_E_IO;
    pid = spawn(c, argv, fd);
    (void)close(fd);
    if (pid > 0 && waitpid(pid, &end, 0) == pid && WIFEXITED(end) && WEXITSTATUS(end) == 0)
        return HS_OK;
    hs_fail(reterr, HS_E_IO, "initdb failed in %s", c->data);
    hs_err_why(reterr, "user id %u runs it; its output is in %.200s/log", (unsigned)c->uid,
               c->data);
    hs_err_hint(reterr,
                "Every folder above must be open to that user: choose another place with --data.");
    return HS_E_IO;
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&t, NULL);
}

/*
 * Is there a postmaster? Its file outlives a crash, and the number may be another program's by now: a
 * postmaster's working directory is its data directory.
 */
static bool is_running(const struct cluster *c, pid_t *ret_pid)
{
    char text[64];
    char link[64];
    char place[CLUSTER_PATH];
    char pgdata[CLUSTER_PATH];
    ssize_t n;
    long pid;

    if (path_in(c->data, "pg", pgdata, NULL) ||
        !cluster_read_file(c, "pg/postmaster.pid", text, sizeof(text)))
        return false;
    pid = strtol(text, NULL, 10);
    (void)snprintf(link, sizeof(link), "/proc/%ld/cwd", pid);
    n = readlink(link, place, sizeof(place) - 1);
    if (pid <= 1 || n <= 0)
        return false;
    place[n] = '\0';
    *ret_pid = (pid_t)pid;
    return strcmp(place, pgdata) == 0;
}

static bool answers(const struct cluster *c)
{
    char conninfo[CLUSTER_PATH + 128];
    struct pg_admin *admin;

    if (cluster_conninfo(c, "postgres", "postgres", conninfo, sizeof(conninfo), NULL) ||
        pg_admin_open(conninfo, &admin, NULL))
        return false;
    pg_admin_close(admin);
    return true;
}

/* A server that we did not start: it serves, or starts, or is about to end. */
static bool is_served(struct cluster *c)
{
    char text[32];
    pid_t pid;

    for (int i = 0; i < START_SECONDS * 50 && is_running(c, &pid); i++) {
        if (cluster_read_file(c, "port", text, sizeof(text))) {
            c->port = (unsigned)strtoul(text, NULL, 10);
            if (answers(c))
                return true;
        }
        pause_ms(20);
    }
    return false;
}

static hs_status wait_ready(struct cluster *c, struct hs_err *reterr)
{
    for (int i = 0; i < START_SECONDS * 50; i++) {
        int end;

        if (answers(c))
            return HS_OK;
        if (c->pid && waitpid(c->pid, &end, WNOHANG) == c->pid) {
            c->pid = 0;
            break;
        }
        pause_ms(20);
    }
    hs_fail(reterr, HS_E_IO, "PostgreSQL did not start in %s", c->data);
    hs_err_hint(reterr, "Read %.200s/log.", c->data);
    return HS_E_IO;
}

/* The port it had, or one that is free now. */
static void choose_port(struct cluster *c)
{
    struct hs_rng rng = {hs_rng_seed()};
    char text[32];
    uint64_t port;

    if (cluster_read_file(c, "port", text, sizeof(text)) && hs_str_to_u64(hs_str(text), &port))
        c->port = (unsigned)port;
    for (int i = 0; i < 100; i++) {
        int fd;

        if (!c->port)
            c->port = 40000 + (unsigned)hs_rng_below(&rng, 20000);
        (void)snprintf(text, sizeof(text), "127.0.0.1:%u", c->port);
        if (!net_listen(hs_str(text), 1, &fd, NULL)) {
            (void)close(fd);
            return;
        }
        c->port = 0;
    }
}

static hs_status run_server(struct cluster *c, const char *pgdata, struct hs_err *reterr)
{
    char program[CLUSTER_PATH];
    char port[32];
    char sockets[CLUSTER_PATH + 64];
    char *argv[ARGS_MAX] = {program, (char *)(uintptr_t) "-D", (char *)(uintptr_t)pgdata};
    const char *settings[] = {port,
                              sockets,
                              "unix_socket_permissions=0700",
                              "listen_addresses=127.0.0.1",
                              "wal_level=logical",
                              "shared_buffers=256MB",
                              "max_connections=100",
                              "max_wal_size=2GB"};
    hs_status status = find_program("postgres", program, reterr);
    size_t n = 3;
    pid_t pid;
    int fd;

    if (status)
        return status;
    (void)snprintf(port, sizeof(port), "port=%u", c->port);
    (void)snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", c->run);
    for (size_t i = 0; i < HS_LEN(settings); i++) {
        argv[n++] = (char *)(uintptr_t) "-c";
        argv[n++] = (char *)(uintptr_t)settings[i];
    }
    fd = open_log(c, reterr);
    if (fd < 0)
        return HS_E_IO;
    pid = spawn(c, argv, fd);
    (void)close(fd);
    if (pid < 0)
        return fail_errno(reterr, "start", program);
    c->pid = pid;
    return wait_ready(c, reterr);
}

hs_status cluster_start(struct cluster *c, struct hs_err *reterr)
{
    char pgdata[CLUSTER_PATH];
    char version[CLUSTER_PATH];
    char text[32];
    hs_status status = path_in(c->data, "pg", pgdata, reterr);

    if (!status)
        status = path_in(pgdata, "PG_VERSION", version, reterr);
    if (!status)
        status = make_socket_folder(c, reterr);
    if (status)
        return status;
    if (is_served(c))
        return HS_OK;
    if (access(version, F_OK) != 0) {
        status = make_folder(c, pgdata, 0700, reterr);
        if (!status)
            status = init_database(c, pgdata, reterr);
    }
    if (status)
        return status;
    choose_port(c);
    (void)snprintf(text, sizeof(text), "%u\n", c->port);
    status = cluster_write_file(c, "port", text, 0644, reterr);
    return status ? status : run_server(c, pgdata, reterr);
}

static void stop_pid(pid_t pid, bool is_child)
{
    int end;

    (void)kill(pid, SIGINT);
    for (int i = 0; i < 60 * 50; i++) {
        if (is_child ? waitpid(pid, &end, WNOHANG) == pid : kill(pid, 0) != 0)
            return;
        pause_ms(20);
    }
    (void)kill(pid, SIGQUIT);
    if (is_child)
        (void)waitpid(pid, &end, 0);
}

void cluster_stop(struct cluster *c)
{
    if (c->pid)
        stop_pid(c->pid, true);
    c->pid = 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

hs_status cluster_remove(struct cluster *c, struct hs_err *reterr)
{
    static const char *const parts[] = {"pg", "log", "port", CLUSTER_SECRET, "run"};
    pid_t pid;

    if (is_running(c, &pid))
        stop_pid(pid, false);
    for (size_t i = 0; i < HS_LEN(parts); i++) {
        char path[CLUSTER_PATH];
        hs_status status = path_in(c->data, parts[i], path, reterr);

        if (status)
            return status;
        if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
            return fail_errno(reterr, "remove", path);
    }
    return HS_OK;
}

hs_status cluster_conninfo(const struct cluster *c, const char *user, const char *database,
                           char *to, size_t size, struct hs_err *reterr)
{
    char quoted[2 * CLUSTER_PATH];
    size_t n = 0;

    for (const char *p = c->run; *p && n + 2 < sizeof(quoted); p++) {
        if (*p == '\'' || *p == '\\')
            quoted[n++] = '\\';
        quoted[n++] = *p;
    }
    quoted[n] = '\0';
    if ((size_t)snprintf(to, size, "host='%s' port=%u user=%s dbname=%s", quoted, c->port, user,
                         database) < size)
        return HS_OK;
    return hs_fail(reterr, HS_E_IO, "the path %.80s... is too long", c->run);
}
