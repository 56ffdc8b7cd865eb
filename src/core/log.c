/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines are gathered in a thread-local buffer of fixed size; nothing is allocated, so a line about lack
 * of memory can still be written. A text that does not fit its line is cut, between characters, with
 * "..." behind it; fields after it are left out.
 *
 * Logging never stops the server. Standard error is often a pipe or a socket whose reader may stall, and
 * O_NONBLOCK on descriptor 2 itself would change it for every process that shares it; so pipes and
 * terminals are opened anew through /proc (an open file description of our own), and sockets are
 * written with MSG_DONTWAIT. What is not taken at once is lost and counted. A line cut off halfway by
 * that is ended with a newline before the next one.
 *
 * Source: open(2), pipe(7), proc(5) under /proc/[pid]/fd; RFC 8259 and logfmt for the lines.
 */
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/time.h"

enum { LOG_LINE_MAX = 8192, LOG_GATHER = 32768, LOG_BUF = LOG_GATHER + LOG_LINE_MAX };
/* Room that one line keeps for its end: "...", quote, brace and newline. */
enum { LOG_TAIL = 8 };
/* No field begins with less room than this: a name of ours and a number always fit. */
enum { LOG_FIELD = 80 };

static atomic_int log_level = HS_LOG_INFO;
static atomic_int log_format = HS_LOG_LOGFMT;
static int log_fd = STDERR_FILENO;
static bool log_is_socket;
static atomic_bool is_torn; /* the output ends within a line */
static _Atomic uint64_t lines_lost;

struct log_line {
    char text[LOG_BUF];
    size_t n;     /* gathered, the line under way included */
    size_t start; /* of the line under way */
    bool is_off;  /* the line under way is below the level */
    bool is_json; /* its form */
};

static _Thread_local struct log_line line;

static void open_output(void)
{
    struct stat st;
    int fd = -1;

    if (log_fd != STDERR_FILENO)
        (void)close(log_fd);
    log_fd = STDERR_FILENO;
    log_is_socket = false;
    if (fstat(STDERR_FILENO, &st) != 0)
        return;
    log_is_socket = S_ISSOCK(st.st_mode);
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0)
        log_fd = fd;
}

void hs_log_init(enum hs_log_level level, enum hs_log_format format)
{
    hs_log_change(level, format);
    open_output();
}

void hs_log_change(enum hs_log_level level, enum hs_log_format format)
{
    atomic_store(&log_level, (int)level);
    atomic_store(&log_format, (int)format);
}

bool hs_log_is_on(enum hs_log_level level)
{
    return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

uint64_t hs_log_lines_lost(void)
{
    return atomic_load_explicit(&lines_lost, memory_order_relaxed);
}

static bool add(const char *p, size_t n)
{
    size_t left = LOG_LINE_MAX - LOG_TAIL - (line.n - line.start);

    if (n > left)
        return false;
    memcpy(line.text + line.n, p, n);
    line.n += n;
    return true;
}

static void add_cstr(const char *s)
{
    (void)add(s, strlen(s));
}

static bool is_bare(struct hs_str v)
{
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return false;
    }
    return v.n > 0;
}

/* One character of v at i, escaped if need be. Bytes that are not UTF-8 are shown as Latin-1. */
static bool add_char(struct hs_str v, size_t i, size_t *ret_n, bool utf8)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char c = (unsigned char)v.p[i];

    *ret_n = 1;
    if (c == '"' || c == '\\')
        return add((char[]){'\\', (char)c}, 2);
    if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
        return add((char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    if (c >= 0xc0)
        *ret_n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return add(v.p + i, *ret_n);
}

static void add_quoted(struct hs_str v)
{
    bool utf8 = hs_str_is_utf8(v);
    size_t n;

    (void)add("\"", 1);
    for (size_t i = 0; i < v.n; i += n) {
        if (!add_char(v, i, &n, utf8)) {
            memcpy(line.text + line.n, "...", 3);
            line.n += 3;
            break;
        }
    }
    line.text[line.n++] = '"';
}

static bool begin_field(const char *name)
{
    if (line.is_off || line.n - line.start > LOG_LINE_MAX - LOG_TAIL - LOG_FIELD)
        return false;
    if (line.is_json) {
        add_cstr(",\"");
        add_cstr(name);
        add_cstr("\":");
    } else {
        add_cstr(" ");
        add_cstr(name);
        add_cstr("=");
    }
    return true;
}

void hs_log_begin(enum hs_log_level level, const char *event)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char time_text[HS_TIME_TEXT];
    struct hs_str t;

    line.n = line.start; /* a line left unfinished is dropped: this one may be about the reason */
    line.is_off = !hs_log_is_on(level);
    if (line.is_off)
        return;
    line.is_json = atomic_load_explicit(&log_format, memory_order_relaxed) == HS_LOG_JSON;
    t = hs_wall_rfc3339(hs_wall_now(), time_text);
    add_cstr(line.is_json ? "{\"ts\":\"" : "ts=");
    (void)add(t.p, t.n);
    if (line.is_json)
        add_cstr("\"");
    hs_log_cstr("level", names[level]);
    hs_log_cstr("event", event);
}

void hs_log_str(const char *name, struct hs_str value)
{
    if (!begin_field(name))
        return;
    if (!line.is_json && is_bare(value) && add(value.p, value.n))
        return;
    add_quoted(value);
}

void hs_log_cstr(const char *name, const char *value)
{
    hs_log_str(name, hs_str(value ? value : ""));
}

/* At least `width` digits, at the end of `to`. */
static struct hs_str digits(char to[static 20], uint64_t v, unsigned width)
{
    size_t at = 20;

    do {
        to[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v || 20 - at < width);
    return hs_strn(to + at, 20 - at);
}

void hs_log_int(const char *name, int64_t value)
{
    char text[20];
    struct hs_str v = digits(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 1);

    if (!begin_field(name))
        return;
    if (value < 0)
        add_cstr("-");
    (void)add(v.p, v.n);
}

void hs_log_ms(const char *name, uint64_t us)
{
    char text[20];
    struct hs_str v = digits(text, us, 4);

    if (!begin_field(name))
        return;
    (void)add(v.p, v.n - 3);
    (void)add(".", 1);
    (void)add(v.p + v.n - 3, 3);
}

void hs_log_err(const struct hs_err *err)
{
    hs_log_cstr("code", hs_err_code(err));
    hs_log_cstr("error", err->what);
    if (err->why[0])
        hs_log_cstr("details", err->why);
    if (hs_err_hint_text(err)[0])
        hs_log_cstr("hint", hs_err_hint_text(err));
}

/* How many of the bytes standard error took. */
static size_t put(const char *p, size_t n)
{
    size_t at = 0;

    while (at < n) {
        ssize_t k = log_is_socket ? send(log_fd, p + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL)
                                  : write(log_fd, p + at, n - at);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            break;
        at += (size_t)k;
    }
    return at;
}

static void count_lost(size_t from)
{
    uint64_t lost = 0;

    for (size_t i = from; i < line.n; i++)
        lost += line.text[i] == '\n';
    (void)atomic_fetch_add_explicit(&lines_lost, lost, memory_order_relaxed);
}

void hs_log_flush(void)
{
    size_t done = 0;

    if (line.n == 0)
        return;
    if (!atomic_load_explicit(&is_torn, memory_order_relaxed) || put("\n", 1) == 1) {
        done = put(line.text, line.n);
        atomic_store_explicit(&is_torn, done && line.text[done - 1] != '\n', memory_order_relaxed);
    }
    if (done < line.n)
        count_lost(done);
    line.n = 0;
    line.start = 0;
}

void hs_log_end_later(void)
{
    if (line.is_off)
        return;
    if (line.is_json)
        line.text[line.n++] = '}';
    line.text[line.n++] = '\n';
    line.start = line.n;
    if (line.n >= LOG_GATHER)
        hs_log_flush();
}

void hs_log_end(void)
{
    hs_log_end_later();
    hs_log_flush();
}

void hs_log(enum hs_log_level level, const char *event, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    int n;

    if (!hs_log_is_on(level))
        return;
    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n >= (int)sizeof(text))
        memcpy(text + hs_str_utf8_cut(hs_strn(text, sizeof(text) - 1), sizeof(text) - 4), "...", 4);
    hs_log_begin(level, event);
    hs_log_cstr("msg", n < 0 ? fmt : text);
    hs_log_end();
}
