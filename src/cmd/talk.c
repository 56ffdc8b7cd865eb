/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the socket, connects, sends, reads until the end, takes the answer apart.
 */
#include "cmd/talk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/buf.h"

/* An answer names each of thousands of entries; a request carries an address and a token. */
enum { SOCKET_PATH = 108, ANSWER_MAX = 64 << 20, REQUEST_MAX = 1 << 20 };

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
static int find_socket(struct talk_to *whom, char to[static SOCKET_PATH])
{
    struct conf *conf = NULL;
    struct hs_err err;
    bool found;
    int code;

    if (whom->socket_path)
        return set_path(to, whom->socket_path)
                   ? CMD_OK
                   : cmd_misused(NULL, "--socket needs a path of at most 107 bytes");
    if (!whom->data) {
        code = cmd_conf_load(whom->file, /* postgrest= */ NULL, &whom->sets, &conf);
        if (code)
            return code;
        found = set_path(to, conf->admin_socket.p);
        conf_free(conf);
        if (found)
            return CMD_OK;
        if (whom->file)
            return cmd_misused("Set admin.socket to a path and restart the server.",
                               "%.200s has no admin.socket", whom->file);
    }
    if (demo_socket(whom->data ? whom->data : DEMO_DATA, to, SOCKET_PATH, &err)) {
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

static bool write_request(const struct talk_request *request, struct hs_buf *to)
{
    hs_buf_printf(to, "%s %.*s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
                  request->method, HS_FMT(request->target));
    if (request->authorization.n)
        hs_buf_printf(to, "Authorization: %.*s\r\n", HS_FMT(request->authorization));
    if (request->body.n)
        hs_buf_add_lit(to, "Content-Type: application/json\r\n");
    hs_buf_printf(to, "Content-Length: %zu\r\n\r\n", request->body.n);
    hs_buf_add(to, request->body);
    return !hs_buf_failed(to);
}

static int exchange(int fd, const struct talk_request *request, struct hs_buf *answer,
                    unsigned *ret_status, struct hs_str *ret_body)
{
    struct hs_buf text;
    bool is_sent;

    hs_buf_init(&text, REQUEST_MAX);
    is_sent = write_request(request, &text) && send_all(fd, hs_buf_str(&text));
    hs_buf_fini(&text);
    *ret_status = is_sent && read_all(fd, answer) ? take_apart(hs_buf_str(answer), ret_body) : 0;
    if (*ret_status)
        return CMD_OK;
    (void)fprintf(stderr, "hasten: the server ended the connection without an answer\n");
    return CMD_FAILED;
}

int talk(struct talk_to *to, const struct talk_request *request, struct hs_buf *answer,
         unsigned *ret_status, struct hs_str *ret_body)
{
    char path[SOCKET_PATH];
    struct hs_err err;
    int code = find_socket(to, path);
    int fd;

    hs_buf_init(answer, ANSWER_MAX);
    if (code)
        return code;
    if (connect_to(path, &fd, &err)) {
        cmd_complain(&err);
        return CMD_FAILED;
    }
    code = exchange(fd, request, answer, ret_status, ret_body);
    (void)close(fd);
    return code;
}
