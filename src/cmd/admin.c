/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `hasten admin`: asks a running server, over its admin socket, and prints what it says.
 *
 * One HTTP request, one answer, the end of the connection (RFC 9112, 9.6: Connection: close), so no more of
 * HTTP is needed here than to find the end of the head. The answer is JSON and printed as it is: a person
 * can read it, a script too. It goes to standard output if the server said yes, else to standard error.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/cluster.h"
#include "cmd/cmd.h"
#include "cmd/demo.h"
#include "conf/units.h"
#include "core/buf.h"

enum { ANSWER_MAX = 1 << 20, SOCKET_PATH = 108 };

static const struct {
    const char *word;
    const char *method;
} verbs[] = {{"pause", "POST"}, {"resume", "POST"}, {"reload", "POST"}, {"status", "GET"}};

/* ---- where ---- */

static bool set_path(char to[static SOCKET_PATH], const char *path)
{
    size_t n = strlen(path);

    if (n == 0 || n >= SOCKET_PATH)
        return false;
    memcpy(to, path, n + 1);
    return true;
}

/* --socket, else --data, else the configuration's admin.socket, else the demo in the usual folder. */
static int find_socket(const char *socket_path, const char *data, const char *file,
                       struct args_list *sets, char to[static SOCKET_PATH])
{
    struct conf *conf = NULL;
    struct hs_err err;
    bool found;
    int code;

    if (socket_path)
        return set_path(to, socket_path) ? CMD_OK
                                         : cmd_misused(NULL, "--socket needs a path of at most 107 "
                                                             "bytes");
    if (!data) {
        code = cmd_conf_load(file, sets, &conf);
        if (code)
            return code;
        found = set_path(to, conf->admin_socket.p);
        conf_free(conf);
        if (found)
            return CMD_OK;
        if (file)
            return cmd_misused("Set admin.socket to a path and restart the server.",
                               "%.200s has no admin.socket", file);
    }
    if (demo_socket(data ? data : DEMO_DATA, to, SOCKET_PATH, &err)) {
        cmd_complain(&err);
        return CMD_FAILED;
    }
    return CMD_OK;
}

/* ---- the conversation ---- */

static hs_status connect_to(const char *path, int *ret_fd, struct hs_err *reterr)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(a.sun_path, path, strlen(path) + 1);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0) {
        *ret_fd = fd;
        return HS_OK;
    }
    hs_fail(reterr, HS_E_IO, "could not reach the server at %s", path);
    hs_err_why(reterr, "%s", strerror(errno));
    hs_err_hint(reterr, "Does it run, with this admin.socket, as this user? Name another with "
                        "--socket, --config or --data.");
    if (fd >= 0)
        (void)close(fd);
    return HS_E_IO;
}

static bool send_all(int fd, struct hs_str text)
{
    size_t at = 0;

    while (at < text.n) {
        ssize_t n = send(fd, text.p + at, text.n - at, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static bool read_all(int fd, struct hs_buf *answer)
{
    for (;;) {
        char *to = hs_buf_room(answer, 4096);
        ssize_t n = to ? read(fd, to, 4096) : -1;

        if (n == 0)
            return true;
        if (n > 0)
            hs_buf_added(answer, (size_t)n);
        else if (!to || errno != EINTR)
            return false;
    }
}

/* "HTTP/1.1 200 ..." and what follows the empty line; 0 = that was no answer. */
static unsigned take_apart(struct hs_str answer, struct hs_str *ret_body)
{
    struct hs_str head = HS_STR("HTTP/1.1 ");
    uint64_t status;

    if (!hs_str_starts(answer, head) || answer.n < head.n + 3 ||
        !hs_str_to_u64(hs_str_sub(answer, head.n, head.n + 3), &status))
        return 0;
    for (size_t i = head.n; i + 4 <= answer.n; i++) {
        if (memcmp(answer.p + i, "\r\n\r\n", 4) == 0) {
            *ret_body = hs_str_sub(answer, i + 4, answer.n);
            return (unsigned)status;
        }
    }
    return 0;
}

static int talk(int fd, struct hs_str request)
{
    struct hs_buf answer;
    struct hs_str body = HS_STR("");
    unsigned status = 0;

    hs_buf_init(&answer, ANSWER_MAX);
    if (send_all(fd, request) && read_all(fd, &answer))
        status = take_apart(hs_buf_str(&answer), &body);
    if (status)
        (void)fprintf(status == 200 ? stdout : stderr, "%.*s\n", HS_FMT(body));
    else
        (void)fprintf(stderr, "hasten: the server ended the connection without an answer\n");
    hs_buf_fini(&answer);
    return status == 200 ? CMD_OK : CMD_FAILED;
}

/* ---- the command ---- */

static int write_request(const struct args *args, const char *timeout, struct hs_buf *to)
{
    const char *word = args->n_rest ? args->rest[0] : "";
    hs_us us;
    size_t i = 0;

    while (i < HS_LEN(verbs) && strcmp(verbs[i].word, word) != 0)
        i++;
    if (i == HS_LEN(verbs))
        return cmd_misused("Write `hasten admin pause`, `resume`, `reload` or `status`.",
                           "admin cannot do \"%.100s\"", word);
    if (timeout && strcmp(word, "pause") != 0)
        return cmd_misused(NULL, "--timeout belongs to `hasten admin pause`");
    if (timeout && !conf_parse_time(hs_str(timeout), &us))
        return cmd_misused("Write a duration with its unit, as in --timeout 60s.",
                           "--timeout cannot be \"%.100s\"", timeout);
    hs_buf_printf(to,
                  "%s /admin/%s%s%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                  "Content-Length: 0\r\n\r\n",
                  verbs[i].method, word, timeout ? "?timeout=" : "", timeout ? timeout : "");
    return CMD_OK;
}

int cmd_admin(int argc, char **argv)
{
    const char *socket_path = NULL;
    const char *data = NULL;
    const char *timeout = NULL;
    const char *file = NULL;
    struct args_list sets = {.n = 0};
    const struct args_opt opts[] = {
        ARGS_TEXT("socket", &socket_path, "PATH", "the server's admin.socket"),
        ARGS_TEXT("data", &data, "DIR", "folder of the demo (default: " DEMO_DATA ")"),
        ARGS_TEXT("timeout", &timeout, "TIME", "how long a pause may last (default 60s)"),
        CMD_CONF_OPTS(&file, &sets),
    };
    struct args args = {.command = "admin", .opts = opts, .n_opts = HS_LEN(opts), .rest_max = 1};
    char path[SOCKET_PATH];
    struct hs_buf request;
    struct hs_err err;
    int code = args_parse(&args, argc, argv);
    int fd;

    if (code >= 0)
        return code;
    hs_buf_init(&request, 4096);
    code = write_request(&args, timeout, &request);
    if (!code)
        code = find_socket(socket_path, data, file, &sets, path);
    if (!code && connect_to(path, &fd, &err)) {
        cmd_complain(&err);
        code = CMD_FAILED;
    } else if (!code) {
        code = talk(fd, hs_buf_str(&request));
        (void)close(fd);
    }
    hs_buf_fini(&request);
    return code;
}
