/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of Redis against a server that says what the test wants: on a unix socket, on the test's own loop.
 */
#include "net/redis.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "core/buf.h"
#include "fault.h"
#include "net/redis_url.h"

enum { TURNS_MAX = 20000, REPLY_MAX = 1000 };

/* ---- the server: one connection at a time, one reply for each command ---- */

static struct server {
    char path[108];
    int listener;
    int fd; /* -1: nobody is there */
    unsigned connections;
    unsigned commands;
    char last[4096]; /* what came last, as it came */
    /* What is said to the greeting, and to all else; NULL: nothing. */
    const char *greeting;
    const char *reply;
} server;

static void server_open(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    memset(&server, 0, sizeof(server));
    (void)snprintf(server.path, sizeof(server.path), "/tmp/hasten-test-redis-%d", (int)getpid());
    (void)unlink(server.path);
    memcpy(to.sun_path, server.path, strlen(server.path) + 1);
    server.fd = -1;
    server.greeting = "+OK\r\n";
    server.reply = "+OK\r\n";
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(listen(server.listener, 8), 0);
}

static void server_hang_up(void)
{
    if (server.fd >= 0)
        (void)close(server.fd);
    server.fd = -1;
}

static void server_close(void)
{
    server_hang_up();
    (void)close(server.listener);
    (void)unlink(server.path);
}

static void say(const char *text)
{
    if (text)
        assert_int_equal(write(server.fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Each command begins with '*' at the start of a line: good enough for what is sent here. */
static void server_read(void)
{
    ssize_t n = recv(server.fd, server.last, sizeof(server.last) - 1, MSG_DONTWAIT);

    if (n == 0)
        server_hang_up();
    if (n <= 0)
        return;
    server.last[n] = '\0';
    for (const char *at = server.last; at; at = strstr(at + 1, "\r\n*")) {
        bool is_greeting = strstr(server.last, "PING") || strstr(server.last, "AUTH");

        server.commands++;
        say(is_greeting ? server.greeting : server.reply);
    }
}

static void server_turn(void)
{
    int fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        server_hang_up();
        server.fd = fd;
        server.connections++;
    }
    if (server.fd >= 0)
        server_read();
}

/* ---- the client ---- */

static struct net_loop *loop;
static struct hs_metrics *metrics;

struct client {
    struct net_redis *redis;
    bool is_up;
    unsigned changes;
    char why[HS_ERR_WHY];
    /* of the last get: */
    bool is_done;
    unsigned n_done;
    enum net_redis_outcome outcome;
    char value[2 * REPLY_MAX];
    size_t n;
};

static void on_changed(void *ctx, bool is_up, const struct hs_err *why)
{
    struct client *client = ctx;

    assert_true(is_up == !why);
    client->is_up = is_up;
    client->changes++;
    if (why)
        memcpy(client->why, why->why, sizeof(client->why));
}

static void on_value(void *arg, enum net_redis_outcome outcome, struct hs_str value)
{
    struct client *client = arg;

    client->is_done = true;
    client->n_done++;
    client->outcome = outcome;
    client->n = value.n;
    assert_true(value.n < sizeof(client->value));
    if (value.n)
        memcpy(client->value, value.p, value.n);
}

static struct net_redis_setup setup_of(struct client *client, char *url, size_t size)
{
    (void)snprintf(url, size, "unix://user:p%%40ss@%s?db=2", server.path);
    return (struct net_redis_setup){.loop = loop,
                                    .metrics = metrics,
                                    .url = hs_str(url),
                                    .timeout = 50 * HS_MS,
                                    .retry_min = 2 * HS_MS,
                                    .retry_max = 10 * HS_MS,
                                    .inflight_max = 3,
                                    .bytes_max = 100,
                                    .reply_max = REPLY_MAX,
                                    .seed = 1,
                                    .changed = on_changed,
                                    .ctx = client};
}

static void client_open(struct client *client)
{
    char url[200];
    struct net_redis_setup setup = setup_of(client, url, sizeof(url));

    *client = (struct client){.n = 0};
    assert_int_equal(net_redis_new(&setup, &client->redis, NULL), HS_OK);
}

/* Turns the loop, and the server, until the fact holds. */
#define until(fact)                                                                   \
    do {                                                                              \
        unsigned turns_ = 0;                                                          \
                                                                                      \
        while (!(fact) && turns_++ < TURNS_MAX) {                                     \
            (void)uv_run(net_loop_uv(loop), UV_RUN_NOWAIT);                           \
            server_turn();                                                            \
            (void)usleep(100);                                                        \
        }                                                                             \
        if (!(fact))                                                                  \
            fail_msg("%s does not come true (server.reply %s)", #fact, server.reply); \
    } while (0)

static void open_both(struct client *client)
{
    assert_int_equal(net_loop_new(&loop, NULL, NULL), HS_OK);
    server_open();
    client_open(client);
    until(client->is_up);
}

static void close_both(struct client *client)
{
    net_redis_free(client->redis);
    net_loop_free(loop);
    server_close();
}

static void get(struct client *client)
{
    client->is_done = false;
    assert_true(net_redis_get(client->redis, HS_STR("key"), on_value, client));
    assert_false(client->is_done);
    until(client->is_done);
}

/* ---- tests ---- */

static void test_values(void **state)
{
    struct client client;

    (void)state;
    open_both(&client);
    assert_int_equal(server.commands, 3); /* AUTH, SELECT, PING */
    assert_non_null(strstr(server.last, "user"));
    assert_non_null(strstr(server.last, "p@ss"));
    assert_non_null(strstr(server.last, "SELECT\r\n$1\r\n2\r\n"));
    server.reply = "$5\r\na\r\nb\0\r\n";
    server.reply = "$5\r\nva\r\nl\r\n";
    get(&client);
    assert_non_null(strstr(server.last, "GETRANGE\r\n$3\r\nkey\r\n$1\r\n0\r\n$4\r\n1000\r\n"));
    assert_int_equal(client.outcome, NET_REDIS_VALUE);
    assert_str(hs_strn(client.value, client.n), HS_STR("va\r\nl"));
    server.reply = "$0\r\n\r\n";
    get(&client);
    assert_int_equal(client.outcome, NET_REDIS_NONE);
    server.reply = "$-1\r\n";
    get(&client);
    assert_int_equal(client.outcome, NET_REDIS_NONE);
    server.reply = ":1\r\n";
    get(&client);
    assert_int_equal(client.outcome, NET_REDIS_NONE);
    server.reply = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    get(&client);
    assert_int_equal(client.outcome, NET_REDIS_FAILED);
    server.reply = "+OK\r\n";
    assert_true(net_redis_set(client.redis, HS_STR("key"), HS_STR("v"), 1500));
    until(strstr(server.last, "SET\r\n$3\r\nkey\r\n$1\r\nv\r\n$2\r\nPX\r\n$1\r\n1\r\n"));
    assert_int_equal(client.changes, 1);
    close_both(&client);
}

static void test_limits(void **state)
{
    struct client client;
    char big[200] = {0};

    (void)state;
    open_both(&client);
    server.reply = "$1\r\nv\r\n";
    for (unsigned i = 0; i < 3; i++)
        assert_true(net_redis_get(client.redis, HS_STR("key"), on_value, &client));
    assert_false(net_redis_get(client.redis, HS_STR("key"), on_value, &client));
    until(client.n_done == 3);
    assert_false(net_redis_set(client.redis, HS_STR("k"), hs_strn(big, 100), HS_SECOND));
    assert_true(net_redis_set(client.redis, HS_STR("k"), hs_strn(big, 99), HS_SECOND));
    assert_false(net_redis_set(client.redis, HS_STR("k"), hs_strn(big, 1), HS_SECOND));
    close_both(&client);
}

/* Errors in a row open the breaker; one success in between, and they are counted anew. */
static void test_errors(void **state)
{
    struct client client;

    (void)state;
    open_both(&client);
    for (unsigned round = 0; round < 2; round++) {
        server.reply = "-OOM command not allowed\r\n";
        for (unsigned i = 0; i < 7; i++)
            get(&client);
        server.reply = "$1\r\nv\r\n";
        get(&client);
    }
    assert_true(client.is_up);
    server.reply = "-LOADING Redis is loading the dataset in memory\r\n";
    for (unsigned i = 0; i < 8; i++)
        get(&client);
    assert_false(client.is_up);
    assert_non_null(strstr(client.why, "LOADING"));
    assert_false(net_redis_get(client.redis, HS_STR("key"), on_value, &client));
    until(client.is_up);
    close_both(&client);
}

/* What is not answered fails when its time is up, and all with it; a new connection proves itself first. */
static void test_silence(void **state)
{
    struct client client;
    unsigned connections;

    (void)state;
    open_both(&client);
    server.reply = NULL;
    server.greeting = NULL;
    assert_true(net_redis_get(client.redis, HS_STR("key"), on_value, &client));
    assert_true(net_redis_get(client.redis, HS_STR("key"), on_value, &client));
    until(client.n_done == 2);
    assert_int_equal(client.outcome, NET_REDIS_FAILED);
    assert_false(client.is_up);
    assert_non_null(strstr(client.why, "in time"));
    connections = server.connections;
    until(server.connections > connections); /* it tries, and gets no PONG */
    assert_false(client.is_up);
    assert_false(net_redis_get(client.redis, HS_STR("key"), on_value, &client));
    server_hang_up();
    server.greeting = "+OK\r\n";
    until(client.is_up);
    assert_int_equal(client.changes, 3);
    close_both(&client);
}

static void test_hang_up(void **state)
{
    struct client client;

    (void)state;
    open_both(&client);
    server.reply = NULL;
    assert_true(net_redis_get(client.redis, HS_STR("key"), on_value, &client));
    until(server.commands == 4);
    server_hang_up();
    until(client.is_done);
    assert_int_equal(client.outcome, NET_REDIS_FAILED);
    assert_false(client.is_up);
    until(client.is_up);
    close_both(&client);
}

static void test_refused_greeting(void **state)
{
    struct client client;

    (void)state;
    assert_int_equal(net_loop_new(&loop, NULL, NULL), HS_OK);
    server_open();
    server.greeting = "-WRONGPASS invalid username-password pair\r\n";
    client_open(&client);
    until(client.changes == 1);
    assert_non_null(strstr(client.why, "WRONGPASS"));
    until(server.connections > 3);
    assert_int_equal(client.changes, 1); /* said once */
    server.greeting = "+OK\r\n";
    until(client.is_up);
    close_both(&client);
}

/* Whatever the server says, the connection goes and the process stays. */
static void test_odd_servers(void **state)
{
    static const char *const odd[] = {"*1000000000\r\n",
                                      "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
                                      "$1\r\nv\r\n+OK\r\n",
                                      "SSH-2.0\r\n",
                                      "$-2\r\n",
                                      "$99999999999\r\n",
                                      ":x\r\n"};
    struct client client;
    char much[REPLY_MAX + 70000];

    (void)state;
    open_both(&client);
    for (size_t i = 0; i < HS_LEN(odd); i++) {
        until(client.is_up);
        server.reply = odd[i];
        get(&client);
        until(!client.is_up);
    }
    until(client.is_up);
    memset(much, 'x', sizeof(much));
    memcpy(much, "$900000\r\n", 9);
    much[sizeof(much) - 1] = '\0';
    server.reply = much;
    get(&client);
    assert_int_equal(client.outcome, NET_REDIS_FAILED);
    assert_non_null(strstr(client.why, "more than"));
    until(client.is_up);
    say("+nobody asked\r\n");
    until(!client.is_up);
    until(client.is_up);
    close_both(&client);
}

static void test_nobody_there(void **state)
{
    struct client client;
    char url[] = "redis://127.0.0.1:1";
    struct net_redis_setup setup;

    (void)state;
    assert_int_equal(net_loop_new(&loop, NULL, NULL), HS_OK);
    server_open();
    setup = setup_of(&client, (char[200]){0}, 200);
    setup.url = hs_str(url);
    client = (struct client){.n = 0};
    assert_int_equal(net_redis_new(&setup, &client.redis, NULL), HS_OK);
    assert_false(net_redis_get(client.redis, HS_STR("key"), on_value, &client));
    until(client.changes == 1);
    assert_string_equal(client.why, "Connection refused");
    close_both(&client);
}

/* Freed with calls under way: they end before it returns. */
static void test_freed(void **state)
{
    struct client client;

    (void)state;
    open_both(&client);
    assert_true(net_redis_get(client.redis, HS_STR("key"), on_value, &client));
    close_both(&client);
    assert_true(client.is_done);
    assert_int_equal(client.outcome, NET_REDIS_FAILED);
}

static bool scenario(void *arg)
{
    struct client client = {.n = 0};
    char url[200];
    struct net_redis_setup setup = setup_of(&client, url, sizeof(url));
    bool done;

    (void)arg;
    if (net_redis_new(&setup, &client.redis, NULL))
        return false;
    for (unsigned i = 0; i < 300 && !client.is_up; i++) {
        (void)uv_run(net_loop_uv(loop), UV_RUN_NOWAIT);
        server_turn();
        (void)usleep(100);
    }
    done = client.is_up && net_redis_get(client.redis, HS_STR("key"), on_value, &client);
    net_redis_free(client.redis);
    (void)uv_run(net_loop_uv(loop), UV_RUN_NOWAIT);
    return done && client.is_done;
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_int_equal(net_loop_new(&loop, NULL, NULL), HS_OK);
    server_open();
    fault_each(scenario, NULL);
    net_loop_free(loop);
    server_close();
}

static void test_urls(void **state)
{
    static const struct {
        const char *url, *path, *host, *user, *password;
        unsigned port, db;
    } good[] = {
        {"redis://h", NULL, "h", NULL, NULL, 6379, 0},
        {"redis://h/", NULL, "h", NULL, NULL, 6379, 0},
        {"redis://:p@h:1/15", NULL, "h", NULL, "p", 1, 15},
        {"redis://u:a%3a%40%2Fb@h", NULL, "h", "u", "a:@/b", 6379, 0},
        {"redis://u:p@x@h:65535", NULL, "h", "u", "p@x", 65535, 0},
        {"redis://[::1]:7/2", NULL, "::1", NULL, NULL, 7, 2},
        {"redis://[::1]", NULL, "::1", NULL, NULL, 6379, 0},
        {"unix:///run/redis.sock", "/run/redis.sock", NULL, NULL, NULL, 0, 0},
        {"unix:///run/a%20b?db=3", "/run/a b", NULL, NULL, NULL, 0, 3},
        {"unix://u:p@/s@s", "/s@s", NULL, "u", "p", 0, 0},
        {"redis://u:@h", NULL, "h", "u", "", 6379, 0},
    };
    static const char *const bad[] = {"",
                                      "h",
                                      "rediss://h",
                                      "redis://",
                                      "redis://:p@",
                                      "redis://h:0",

                                      "redis://h:65536",
                                      "redis://h/x",
                                      "redis://u@h",
                                      "redis://[::1",
                                      "redis://[::1]x",
                                      "unix://relative",
                                      "unix://",
                                      "unix:///s?db=",
                                      "unix:///s?x=1",
                                      "redis://u:%zz@h",
                                      "redis://u:%4@h",
                                      "redis://u:%00@h",
                                      "redis://h/1/2"};
    struct net_redis_url url;
    struct hs_err err;

    (void)state;
    for (size_t i = 0; i < HS_LEN(good); i++) {
        assert_int_equal(net_redis_url_read(hs_str(good[i].url), &url, &err), HS_OK);
        assert_str(hs_str(url.path), hs_str(good[i].path));
        assert_str(hs_str(url.host), hs_str(good[i].host));
        assert_str(hs_str(url.user), hs_str(good[i].user));
        assert_str(hs_str(url.password), hs_str(good[i].password));
        assert_int_equal(!url.password, !good[i].password);
        if (url.host)
            assert_int_equal(url.port, good[i].port);
        assert_int_equal(url.db, good[i].db);
        net_redis_url_fini(&url);
        net_redis_url_fini(&url);
    }
    for (size_t i = 0; i < HS_LEN(bad); i++) {
        if (net_redis_url_read(hs_str(bad[i]), &url, &err) != HS_E_CONFIG)
            fail_msg("\"%s\" is taken", bad[i]);
        assert_true(err.why[0] && err.hint[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_hang_up),
        cmocka_unit_test(test_refused_greeting),
        cmocka_unit_test(test_odd_servers),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_freed),
        cmocka_unit_test(test_no_memory),
    };

    metrics = hs_metrics_new();
    return metrics ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
