/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets. Host names are refused on purpose: resolving blocks, and a name with two
 * addresses would listen on one of them by chance. "*" is the IPv6 wildcard with IPV6_V6ONLY off,
 * or the IPv4 one where the kernel has no IPv6.
 *
 * Sources: socket(7) for SO_REUSEPORT, ipv6(7), tcp(7): options set on a listener before listen()
 * are inherited by what it accepts, which saves a system call a connection; unix(7).
 */
#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static hs_status not_an_address(struct hs_str addr, struct hs_err *reterr)
{
    hs_fail(reterr, HS_E_CONFIG, "\"%.*s\" is not an address to listen on", HS_FMT(addr));
    hs_err_hint(reterr,
                "Write a numeric address and a port: 127.0.0.1:8080, [::1]:8080 or *:8080.");
    return HS_E_CONFIG;
}

/* Splits at the last colon, takes the brackets off, fills the address. */
static bool parse(struct hs_str addr, union address *ret_a)
{
    char host[INET6_ADDRSTRLEN];
    struct hs_str h;
    uint64_t port;
    size_t colon = addr.n;

    while (colon && addr.p[colon - 1] != ':')
        colon--;
    if (!colon || !hs_str_to_u64(hs_str_sub(addr, colon, addr.n), &port) || port > 65535)
        return false;
    h = hs_str_sub(addr, 0, colon - 1);
    *ret_a = (union address){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)}};
    if (hs_str_is(h, "*"))
        return true;
    if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']') {
        h = hs_str_sub(h, 1, h.n - 1);
    } else {
        *ret_a = (union address){.v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
    }
    if (h.n == 0 || h.n >= sizeof(host))
        return false;
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    return inet_pton(ret_a->any.sa_family, host,
                     ret_a->any.sa_family == AF_INET ? (void *)&ret_a->v4.sin_addr
                                                     : (void *)&ret_a->v6.sin6_addr) == 1;
}

static int open_socket(union address *a, bool is_wildcard)
{
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 && errno == EAFNOSUPPORT && is_wildcard) {
        uint16_t port = a->v6.sin6_port;

        *a = (union address){.v4 = {.sin_family = AF_INET, .sin_port = port}};
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    return fd;
}

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* backlog 0: only binds, and alone, so that it fails where anybody listens already. */
static bool bind_and_listen(int fd, const union address *a, bool is_wildcard, unsigned backlog)
{
    socklen_t n = a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);

    if (!set(fd, SOL_SOCKET, SO_REUSEADDR, 1) || !set(fd, SOL_SOCKET, SO_REUSEPORT, backlog > 0) ||
        !set(fd, IPPROTO_TCP, TCP_NODELAY, 1))
        return false;
    if (a->any.sa_family == AF_INET6 && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !is_wildcard))
        return false;
    if (bind(fd, &a->any, n) != 0)
        return false;
    return backlog == 0 || listen(fd, (int)(backlog > 65535 ? 65535 : backlog)) == 0;
}

static hs_status open_bound(struct hs_str addr, unsigned backlog, int *ret_fd,
                            struct hs_err *reterr)
{
    bool is_wildcard = addr.n > 1 && addr.p[0] == '*';
    union address a;
    int fd;

    if (!parse(addr, &a))
        return not_an_address(addr, reterr);
    fd = open_socket(&a, is_wildcard);
    if (fd < 0 || !bind_and_listen(fd, &a, is_wildcard, backlog)) {
        hs_fail(reterr, HS_E_IO, "could not listen on %.*s", HS_FMT(addr));
        hs_err_why(reterr, "%s", strerror(errno));
        hs_err_hint(reterr, "Choose another address in server.listen, or stop what uses this one.");
        if (fd >= 0)
            close(fd);
        return HS_E_IO;
    }
    *ret_fd = fd;
    return HS_OK;
}

hs_status net_listen(struct hs_str addr, unsigned backlog, int *ret_fd, struct hs_err *reterr)
{
    return open_bound(addr, backlog ? backlog : 1, ret_fd, reterr);
}

hs_status net_listen_check(struct hs_str addr, struct hs_err *reterr)
{
    int fd;
    hs_status status = open_bound(addr, 0, &fd, reterr);

    if (!status)
        close(fd);
    return status;
}

/* A socket file outlives its process; connect(2) tells whether anybody is behind it. */
static bool is_left_over(const struct sockaddr_un *a)
{
    struct stat st;
    int fd;
    bool is_dead;

    if (lstat(a->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    is_dead = fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof(*a)) != 0 &&
              errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return is_dead;
}

/* Until listen() nobody can connect, so the mode is right before it matters. */
static bool open_unix(int fd, const struct sockaddr_un *a, unsigned backlog)
{
    if (is_left_over(a))
        (void)unlink(a->sun_path);
    return fd >= 0 && bind(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 &&
           chmod(a->sun_path, S_IRUSR | S_IWUSR) == 0 && listen(fd, (int)backlog) == 0;
}

hs_status net_listen_unix(const char *path, unsigned backlog, int *ret_fd, struct hs_err *reterr)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(a.sun_path))
        return hs_fail(reterr, HS_E_CONFIG, "the path %.80s... is too long for a socket", path);
    memcpy(a.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (!open_unix(fd, &a, backlog)) {
        hs_fail(reterr, HS_E_IO, "could not listen on %s", path);
        hs_err_why(reterr, "%s", strerror(errno));
        hs_err_hint(reterr, "Choose another path, or stop what uses this one.");
        if (fd >= 0)
            close(fd);
        return HS_E_IO;
    }
    *ret_fd = fd;
    return HS_OK;
}

unsigned net_listen_port(int fd)
{
    union address a;
    socklen_t n = sizeof(a);

    if (getsockname(fd, &a.any, &n) != 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
}
