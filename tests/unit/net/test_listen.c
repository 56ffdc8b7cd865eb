/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that are listened on, and those that are refused with a reason. */
#include "net/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

static bool can_connect(const char *host, unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok;

    assert_int_equal(inet_pton(AF_INET, host, &to.sin_addr), 1);
    ok = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
    close(fd);
    return ok;
}

static void test_good(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "*", "0.0.0.0"};
    struct hs_err err;

    (void)state;
    for (size_t i = 0; i < HS_LEN(hosts); i++) {
        char text[64];
        unsigned port;
        int one;
        int two;
        int nodelay = 0;
        socklen_t n = sizeof(nodelay);

        (void)snprintf(text, sizeof(text), "%s:0", hosts[i]);
        assert_int_equal(net_listen(hs_str(text), 16, &one, &err), HS_OK);
        port = net_listen_port(one);
        assert_in_range(port, 1, 65535);
        assert_true(can_connect("127.0.0.1", port));
        assert_int_equal(can_connect("127.0.0.2", port), hosts[i][0] != '1');
        assert_int_equal(getsockopt(one, IPPROTO_TCP, TCP_NODELAY, &nodelay, &n), 0);
        assert_true(nodelay);
        (void)snprintf(text, sizeof(text), "%s:%u", hosts[i], port);
        assert_int_equal(net_listen(hs_str(text), 16, &two, &err), HS_OK); /* SO_REUSEPORT */
        assert_int_equal(net_listen_port(two), port);
        close(one);
        close(two);
    }
    assert_int_equal(net_listen_port(-1), 0);
}

static void test_unix(void **state)
{
    char folder[] = "/tmp/hasten-listen-XXXXXX";
    char path[64];
    char too_long[200];
    struct stat st;
    struct hs_err err;
    int one;
    int two;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/s", folder);
    assert_int_equal(net_listen_unix(path, 4, &one, &err), HS_OK);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    /* Somebody listens there. */
    assert_int_equal(net_listen_unix(path, 4, &two, &err), HS_E_IO);
    close(one);
    /* Nobody does any more. */
    assert_int_equal(net_listen_unix(path, 4, &two, &err), HS_OK);
    close(two);
    assert_int_equal(unlink(path), 0);
    /* What is no socket is nobody's to replace. */
    assert_int_equal(symlink("/nonexistent", path), 0);
    assert_int_equal(net_listen_unix(path, 4, &two, &err), HS_E_IO);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    assert_int_equal(net_listen_unix(too_long, 4, &two, &err), HS_E_CONFIG);
}

static void test_bad(void **state)
{
    static const char *const rows[] = {
        "",
        ":80",
        "80",
        "127.0.0.1",
        "127.0.0.1:",
        "a:80",
        "1.2.3:80",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "::1:80",
        "[::1:80",
        "[]:80",
        "[127.0.0.1]:80",
        "*",
        "[::1%lo]:80",
        "localhost:80",
        "127.0.0.1:8 0",
        "[00000000000000000000000000000000000000000000000000::1]:80"};
    struct hs_err err;
    int fd = -1;

    (void)state;
    for (size_t i = 0; i < HS_LEN(rows); i++) {
        if (net_listen(hs_str(rows[i]), 16, &fd, &err) != HS_E_CONFIG ||
            !strstr(err.what, rows[i]) || !err.hint[0])
            fail_msg("\"%s\" was not refused: %s", rows[i], err.what);
    }
    assert_int_equal(fd, -1);
    assert_int_equal(net_listen(HS_STR("192.0.2.1:0"), 16, &fd, &err), HS_E_IO);
    assert_non_null(strstr(err.what, "192.0.2.1:0"));
    assert_true(err.why[0] && err.hint[0]);
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_unix),
                                       cmocka_unit_test(test_bad)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
