/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - the load generator of the benchmarks: a closed loop over epoll.
 *
 * Why not wrk: it re-arms epoll twice for each request, and needs Lua for random ones: measured,
 * 8.0 us of CPU per request against 5.1 here. On two processors that is missing in the figure.
 * A request is one write and one read.
 *
 * The one rule: a figure counts only answers with status 200 to 299 that were
 * read to their last byte; anything else ends the run with an error.
 *
 * Refuses: to reconnect, to retry, to pace.
 *
 * usage: load PORT CONNECTIONS SECONDS DEPTH FILE
 *   FILE    requests, one behind the other, as they are sent; picked at random
 *   DEPTH   requests sent in one piece before their answers are awaited
 *   SECONDS 0: each connection makes one request, then all stay open until stdin ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 32768, EVENTS = 256, DEPTH_MAX = 64, STEPS = 32, BUCKETS = 40 * STEPS };

struct slice {
    const char *p;
    size_t n;
};

enum phase { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, TRAILER };

struct connection {
    int fd;
    int open_requests;
    enum phase phase;
    uint64_t body_left;
    uint64_t sent_at;
    size_t used;
    char *buffer; /* borrowed while bytes wait in it; else NULL */
};

static struct {
    struct slice *requests;
    size_t request_count;
    uint64_t seed;
    int depth;
    int epoll;
    uint64_t answers;
    uint64_t bytes;
    uint64_t histogram[BUCKETS];
    bool stop_after_one;
} load;

static void fail(const char *what)
{
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static size_t any_request(void)
{
    load.seed ^= load.seed << 13;
    load.seed ^= load.seed >> 7;
    load.seed ^= load.seed << 17;
    return (size_t)(load.seed % load.request_count);
}

/* Buckets of 1/32 of a power of two: a latency is known to 3 %. */
static size_t bucket_of(uint64_t ns)
{
    int power = 63 - __builtin_clzll(ns | STEPS);
    size_t i = (size_t)(power - 5) * STEPS + (size_t)((ns >> (power - 5)) & (STEPS - 1));

    return i < BUCKETS ? i : BUCKETS - 1;
}

static double percentile_us(double part)
{
    uint64_t wanted = (uint64_t)((double)load.answers * part), seen = 0;

    for (size_t i = 0; i < BUCKETS; i++) {
        seen += load.histogram[i];
        if (seen > wanted)
            return (double)((STEPS + i % STEPS) << (i / STEPS)) / 1000;
    }
    return 0;
}

/* Bytes of the body behind a head, as its Content-Length says. */
static size_t body_of(const char *head, size_t n)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *at = memmem(head, n, name, sizeof(name) - 1);

    return at ? strtoul(at + sizeof(name) - 1, NULL, 10) : 0;
}

static void read_requests(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0 || info.st_size == 0)
        fail(path);
    char *text = malloc((size_t)info.st_size), *end = text + info.st_size;
    if (!text || read(fd, text, (size_t)info.st_size) != info.st_size)
        fail(path);
    close(fd);
    load.requests = calloc((size_t)info.st_size / 16 + 1, sizeof(*load.requests));
    if (!load.requests)
        fail("memory");
    for (char *p = text; p < end;) {
        char *stop = memmem(p, (size_t)(end - p), "\r\n\r\n", 4);
        if (!stop)
            fail("the last request is not complete");
        stop += 4;
        stop += body_of(p, (size_t)(stop - p));
        if (stop > end)
            fail("the last request is not complete");
        load.requests[load.request_count++] = (struct slice){p, (size_t)(stop - p)};
        p = stop;
    }
}

static void send_requests(struct connection *c)
{
    static char batch[DEPTH_MAX * 2048];
    struct slice out = load.requests[any_request()];

    if (load.depth > 1) {
        size_t n = 0;
        for (int i = 0; i < load.depth; i++) {
            struct slice one = load.requests[any_request()];
            if (n + one.n > sizeof(batch))
                fail("the requests are too long for this depth");
            memcpy(batch + n, one.p, one.n);
            n += one.n;
        }
        out = (struct slice){batch, n};
    }
    c->open_requests = load.depth;
    c->sent_at = now_ns();
    if (write(c->fd, out.p, out.n) != (ssize_t)out.n)
        fail("a request could not be written whole");
}

static void answered(struct connection *c)
{
    load.answers++;
    load.histogram[bucket_of(now_ns() - c->sent_at)]++;
    c->phase = HEAD;
    if (--c->open_requests == 0 && !load.stop_after_one)
        send_requests(c);
}

/* Returns the length of the head at `p`, 0 if it is not complete. Sets the phase that follows. */
static size_t take_head(struct connection *c, const char *p, size_t n)
{
    const char *end = memmem(p, n, "\r\n\r\n", 4);

    if (!end) {
        if (n == BUFFER)
            fail("an answer's head is too long");
        return 0;
    }
    if (n < 12 || memcmp(p, "HTTP/1.1 2", 10) != 0) {
        fprintf(stderr, "%.*s\n", (int)(n < 600 ? n : 600), p);
        errno = 0;
        fail("an answer is not 2xx");
    }
    c->phase = BODY;
    c->body_left = 0;
    for (const char *line = memchr(p, '\n', n); line && line < end; line = memchr(line, '\n', n)) {
        line++;
        if (strncasecmp(line, "content-length:", 15) == 0)
            c->body_left = strtoull(line + 15, NULL, 10);
        else if (strncasecmp(line, "transfer-encoding:", 18) == 0)
            c->phase = CHUNK_SIZE;
        n = (size_t)(end + 4 - line);
    }
    return (size_t)(end + 4 - p);
}

/* A line of the chunked coding: a size, the end of a chunk, or a trailer. */
static size_t take_line(struct connection *c, const char *p, size_t n)
{
    const char *end = memchr(p, '\n', n);

    if (!end)
        return 0;
    if (c->phase == CHUNK_SIZE) {
        c->body_left = strtoull(p, NULL, 16);
        c->phase = c->body_left ? CHUNK_DATA : TRAILER;
        c->body_left += c->body_left ? 2 : 0;
    } else if (end - p == 1) {
        answered(c);
    }
    return (size_t)(end + 1 - p);
}

static size_t take_body(struct connection *c, size_t n)
{
    size_t took = c->body_left < n ? (size_t)c->body_left : n;

    c->body_left -= took;
    if (c->body_left == 0 && c->phase == CHUNK_DATA)
        c->phase = CHUNK_SIZE;
    else if (c->body_left == 0)
        answered(c);
    return took;
}

/* Consumes what is complete; returns how many bytes that was. */
static size_t take(struct connection *c, const char *p, size_t n)
{
    size_t at = 0;

    while (at < n) {
        size_t took;
        if (c->phase == HEAD) {
            took = take_head(c, p + at, n - at);
            if (took && c->phase == BODY && c->body_left == 0)
                answered(c);
        } else if (c->phase == BODY || c->phase == CHUNK_DATA) {
            took = take_body(c, n - at);
        } else {
            took = take_line(c, p + at, n - at);
        }
        if (took == 0)
            break;
        at += took;
    }
    return at;
}

static void readable(struct connection *c)
{
    static char shared[BUFFER];
    ssize_t n;

    do {
        char *buffer = c->buffer ? c->buffer : shared;
        n = read(c->fd, buffer + c->used, BUFFER - c->used);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            fail("the server closed a connection");
        load.bytes += (uint64_t)n;
        size_t have = c->used + (size_t)n, took = take(c, buffer, have);
        n = have == BUFFER; /* then there may be more */
        c->used = have - took;
        if (c->used && !c->buffer && !(c->buffer = malloc(BUFFER)))
            fail("memory");
        if (c->used)
            memmove(c->buffer, buffer + took, c->used);
    } while (n);
}

static void open_connection(struct connection *c, uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = c};
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        fail("epoll");
}

static void run_until(uint64_t deadline, uint64_t answers_max)
{
    struct epoll_event events[EVENTS];

    while (now_ns() < deadline && load.answers < answers_max) {
        int n = epoll_wait(load.epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++)
            readable(events[i].data.ptr);
    }
}

static void report(double seconds)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    printf("{\"answers\":%llu,\"seconds\":%.6f,\"rate\":%.1f,\"bytes\":%llu,\"p50_us\":%.1f,"
           "\"p99_us\":%.1f,\"own_cpu_us\":%.2f}\n",
           (unsigned long long)load.answers, seconds, (double)load.answers / seconds,
           (unsigned long long)load.bytes, percentile_us(0.5), percentile_us(0.99),
           load.answers ? cpu / (double)load.answers : 0);
}

/* One request each, then all stay open; the word `open` tells that they are. */
static void hold(struct connection *connections, size_t count)
{
    char byte;

    load.stop_after_one = true;
    for (size_t i = 0; i < count; i++) {
        send_requests(&connections[i]);
        run_until(now_ns() + 10000000000U, i + 1);
    }
    if (load.answers < count)
        fail("answers are missing");
    puts("open");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

int main(int argc, char **argv)
{
    struct rlimit files;

    if (argc != 6) {
        fputs("usage: load PORT CONNECTIONS SECONDS DEPTH FILE\n", stderr);
        return 2;
    }
    size_t count = strtoul(argv[2], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    load.depth = (int)strtol(argv[4], NULL, 10);
    load.seed = 88172645463325252U;
    if (count == 0 || load.depth < 1 || load.depth > DEPTH_MAX)
        fail("bad CONNECTIONS or DEPTH");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    read_requests(argv[5]);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct connection *connections = calloc(count, sizeof(*connections));
    if (!connections || load.epoll < 0)
        fail("memory");
    for (size_t i = 0; i < count; i++)
        open_connection(&connections[i], (uint16_t)strtoul(argv[1], NULL, 10));
    if (seconds == 0) {
        hold(connections, count);
        return 0;
    }
    uint64_t began = now_ns();
    for (size_t i = 0; i < count; i++)
        send_requests(&connections[i]);
    run_until(began + (uint64_t)(seconds * 1e9), UINT64_MAX);
    report((double)(now_ns() - began) / 1e9);
    return 0;
}
