/* SPDX-License-Identifier: Apache-2.0 */
/* One document over HTTP: a server of the test's answers as it is told. */
#include "net/fetch.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

static int listener;
static unsigned port;
static pthread_t thread;
static struct hs_buf body;
static struct hs_err err;

/* The path says what to answer. */
static void answer(int fd)
{
    static char long_body[20000];
    char request[4000] = "";
    char reply[400];
    const char *path;

    if (read(fd, request, sizeof(request) - 1) <= 0)
        return;
    path = strchr(request, ' ') + 1;
    if (strncmp(path, "/fine", 5) == 0) {
        (void)!write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 43);
    } else if (strncmp(path, "/long", 5) == 0) {
        (void)!write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n", 42);
        (void)!write(fd, long_body, sizeof(long_body));
    } else if (strncmp(path, "/slow", 5) == 0) {
        (void)!read(fd, request, sizeof(request)); /* until the client has had enough */
    } else if (strncmp(path, "/file", 5) == 0) {
        (void)!write(fd, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", 52);
    } else {
        int n = snprintf(
            reply, sizeof(reply),
            "HTTP/1.1 %s\r\nLocation: http://127.0.0.1:%u/%s\r\nContent-Length: 0\r\n\r\n",
            strncmp(path, "/moved", 6) == 0 || strncmp(path, "/loop", 5) == 0 ? "302 Found"
                                                                              : "404 Not Found",
            port, strncmp(path, "/moved", 6) == 0 ? "fine" : "loop");

        (void)!write(fd, reply, (size_t)n);
    }
}

static void *serve(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        answer(fd);
        (void)close(fd);
    }
    return NULL;
}

static int setup(void **state)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(addr);

    (void)state;
    (void)setenv("no_proxy", "*", 1);
    hs_buf_init(&body, 10000);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&addr, n), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &n), 0);
    port = ntohs(addr.sin_port);
    return pthread_create(&thread, NULL, serve, NULL);
}

static int teardown(void **state)
{
    (void)state;
    (void)shutdown(listener, SHUT_RDWR);
    (void)pthread_join(thread, NULL);
    (void)close(listener);
    hs_buf_fini(&body);
    return 0;
}

static hs_status fetch(const char *path, hs_us timeout)
{
    char url[100];
    const struct net_fetch what = {.url = url, .timeout = timeout};

    (void)snprintf(url, sizeof(url), "http://me:secret@127.0.0.1:%u%s", port, path);
    hs_err_clear(&err);
    hs_buf_clear(&body);
    return net_fetch(&what, &body, &err);
}

static void test_documents(void **state)
{
    (void)state;
    assert_int_equal(fetch("/fine", 5 * HS_SECOND), HS_OK);
    assert_str(hs_buf_str(&body), HS_STR("hello"));
    assert_int_equal(fetch("/moved", 5 * HS_SECOND), HS_OK);
    assert_str(hs_buf_str(&body), HS_STR("hello"));
}

static void test_refusals(void **state)
{
    (void)state;
    assert_int_equal(fetch("/none", 5 * HS_SECOND), HS_E_IO);
    assert_non_null(strstr(err.why, "HTTP 404"));
    assert_non_null(strstr(err.what, "127.0.0.1"));
    assert_null(strstr(err.what, "secret"));
    assert_int_equal(fetch("/loop", 5 * HS_SECOND), HS_E_IO);
    assert_int_equal(fetch("/file", 5 * HS_SECOND), HS_E_IO);
    assert_int_equal(body.n, 0);
    assert_int_equal(fetch("/long", 5 * HS_SECOND), HS_E_LIMIT);
    assert_non_null(strstr(err.why, "10000"));
    assert_int_equal(fetch("/slow", 50 * HS_MS), HS_E_TIMEOUT);
}

static void test_nobody_there(void **state)
{
    const struct net_fetch what = {.url = "http://127.0.0.1:1/", .timeout = HS_SECOND};

    (void)state;
    assert_int_equal(net_fetch(&what, &body, &err), HS_E_IO);
}

static void test_stopped(void **state)
{
    atomic_bool is_stopping = true;
    char url[100];
    const struct net_fetch what = {
        .url = url, .timeout = 60 * HS_SECOND, .is_stopping = &is_stopping};

    (void)state;
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/slow", port);
    assert_int_equal(net_fetch(&what, &body, &err), HS_E_SHUTDOWN);
}

static void test_urls(void **state)
{
    static const char *const no[] = {"",          "/etc/jwks.json", "http:/x",
                                     "file:///x", "ftp://x",        "https:/"};

    (void)state;
    assert_true(net_fetch_is_url(HS_STR("https://x")));
    assert_true(net_fetch_is_url(HS_STR("HTTP://x")));
    for (size_t i = 0; i < HS_LEN(no); i++)
        assert_false(net_fetch_is_url(hs_str(no[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),    cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_nobody_there), cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_urls),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
