/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines are gathered in a buffer of the thread, which has no memory between two flushes, and written with one
 * write(2) to a file that is open for appending: lines of several threads never mix. A disk that is full may
 * take half of them; then the next write begins with a newline, so that only the torn line is broken.
 *
 * Rotation needs no lock: the descriptor's number stays, dup3() exchanges the file behind it at once.
 *
 * Syslog is spoken to without syslog(3), which waits for a daemon that does not read: each line is one datagram
 * that is sent or not.
 *
 * Source: open(2), dup(2), unix(7); RFC 3164, 4.1 for the priority.
 */
#include "core/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/log.h"
#include "core/time.h"

enum {
    GATHER = 32768,
    LINE_MAX_BYTES = 16384,
    PATH_MAX_BYTES = 4096,
    PRIORITY = 10 << 3 | 6 /* authpriv, informational */
};

static int file_fd = -1;
static int syslog_fd = -1;
static char file_path[PATH_MAX_BYTES];
static struct sockaddr_un syslog_addr;
static atomic_bool is_torn; /* the file ends within a line */
static atomic_bool is_failing;
static _Atomic uint64_t lines_lost;

struct audit_lines {
    struct hs_buf buf;
    size_t n;      /* whole lines in it */
    bool is_begun; /* a line is under way */
};

static _Thread_local struct audit_lines lines;

/* ---- opening ---- */

static int open_file(void)
{
    /* Not to wait for the reader of a pipe. */
    return open(file_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
}

static hs_status set_file(const char *file, struct hs_err *reterr)
{
    int n = snprintf(file_path, sizeof(file_path), "%s", file);

    if (n < 0 || n >= (int)sizeof(file_path))
        return hs_fail(reterr, HS_E_CONFIG, "audit.file is too long");
    file_fd = open_file();
    if (file_fd >= 0)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_CONFIG, "the audit log %s cannot be opened", file);
    hs_err_why(reterr, "%s.", strerrordesc_np(errno));
    return HS_E_CONFIG;
}

static hs_status set_syslog(const char *path, struct hs_err *reterr)
{
    if (strlen(path) >= sizeof(syslog_addr.sun_path))
        return hs_fail(reterr, HS_E_CONFIG, "audit.syslog is longer than unix(7) allows");
    syslog_addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(syslog_addr.sun_path, path, strlen(path));
    syslog_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return syslog_fd >= 0
               ? HS_OK
               : hs_fail(reterr, HS_E_CONFIG, "no socket for audit.syslog could be made");
}

hs_status hs_audit_open(const char *file, const char *syslog, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    hs_audit_close();
    if (file && file[0])
        status = set_file(file, reterr);
    if (!status && syslog && syslog[0])
        status = set_syslog(syslog, reterr);
    return status;
}

void hs_audit_reopen(void)
{
    int fd;

    if (file_fd < 0)
        return;
    fd = open_file();
    if (fd < 0 || dup3(fd, file_fd, O_CLOEXEC) < 0)
        hs_log(HS_LOG_ERROR, "audit log not reopened", "%s: %s; the old file is written on",
               file_path, strerrordesc_np(errno));
    else
        atomic_store(&is_torn, false);
    if (fd >= 0)
        (void)close(fd);
}

void hs_audit_close(void)
{
    if (file_fd >= 0)
        (void)close(file_fd);
    if (syslog_fd >= 0)
        (void)close(syslog_fd);
    file_fd = syslog_fd = -1;
    atomic_store(&is_torn, false);
    atomic_store(&is_failing, false);
}

bool hs_audit_is_on(void)
{
    return file_fd >= 0 || syslog_fd >= 0;
}

uint64_t hs_audit_lines_lost(void)
{
    return atomic_load_explicit(&lines_lost, memory_order_relaxed);
}

/* ---- a line ---- */

void hs_audit_begin(const char *event)
{
    char time_text[HS_TIME_TEXT];

    if (!hs_audit_is_on())
        return;
    if (!lines.buf.max)
        hs_buf_init(&lines.buf, GATHER + LINE_MAX_BYTES);
    lines.is_begun = true;
    hs_buf_add_lit(&lines.buf, "{\"ts\":\"");
    hs_buf_add(&lines.buf, hs_wall_rfc3339(hs_wall_now(), time_text));
    hs_buf_add_char(&lines.buf, '"');
    hs_audit_cstr("event", event);
}

static bool begin_field(const char *name)
{
    if (!lines.is_begun)
        return false;
    hs_buf_add_lit(&lines.buf, ",\"");
    hs_buf_add(&lines.buf, hs_str(name));
    hs_buf_add_lit(&lines.buf, "\":");
    return true;
}

void hs_audit_str(const char *name, struct hs_str value)
{
    if (!value.p || !begin_field(name))
        return;
    if (value.n > HS_AUDIT_VALUE)
        value.n = hs_str_utf8_cut(value, HS_AUDIT_VALUE);
    hs_json_string(&lines.buf, value);
}

void hs_audit_cstr(const char *name, const char *value)
{
    hs_audit_str(name, hs_str(value));
}

void hs_audit_int(const char *name, int64_t value)
{
    if (begin_field(name))
        hs_buf_add_i64(&lines.buf, value);
}

void hs_audit_end_later(void)
{
    if (!lines.is_begun)
        return;
    lines.is_begun = false;
    hs_buf_add_lit(&lines.buf, "}\n");
    lines.n++;
    if (hs_buf_failed(&lines.buf) || lines.buf.n >= GATHER)
        hs_audit_flush();
}

void hs_audit_end(void)
{
    hs_audit_end_later();
    hs_audit_flush();
}

/* ---- writing ---- */

/* How many of the bytes the file took. */
static size_t put(const char *p, size_t n)
{
    size_t at = 0;

    while (at < n) {
        ssize_t k = write(file_fd, p + at, n - at);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            break;
        at += (size_t)k;
    }
    return at;
}

static bool write_file(struct hs_str text)
{
    size_t done = 0;

    if (!atomic_load_explicit(&is_torn, memory_order_relaxed) || put("\n", 1) == 1) {
        done = put(text.p, text.n);
        atomic_store_explicit(&is_torn, done && text.p[done - 1] != '\n', memory_order_relaxed);
    }
    for (size_t i = done; i < text.n; i++) {
        if (text.p[i] == '\n')
            (void)atomic_fetch_add_explicit(&lines_lost, 1, memory_order_relaxed);
    }
    return done == text.n;
}

static bool send_line(struct hs_str text)
{
    char head[64];
    int n = snprintf(head, sizeof(head), "<%d>hasten[%d]: ", PRIORITY, (int)getpid());
    struct iovec parts[2] = {{head, (size_t)n}, {(void *)(uintptr_t)text.p, text.n}};
    struct msghdr message = {.msg_name = &syslog_addr,
                             .msg_namelen = sizeof(syslog_addr),
                             .msg_iov = parts,
                             .msg_iovlen = HS_LEN(parts)};

    return sendmsg(syslog_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static bool write_syslog(struct hs_str text)
{
    bool all = true;

    while (text.n) {
        if (!send_line(hs_str_cut(&text, '\n'))) {
            (void)atomic_fetch_add_explicit(&lines_lost, 1, memory_order_relaxed);
            all = false;
        }
    }
    return all;
}

/* Once when it begins and once when it is over, not with each line. */
static void tell(bool is_fine, int reason)
{
    if (atomic_exchange(&is_failing, !is_fine) == !is_fine)
        return;
    if (is_fine)
        hs_log(HS_LOG_INFO, "audit log written again", "%llu lines were lost so far",
               (unsigned long long)hs_audit_lines_lost());
    else
        hs_log(HS_LOG_ERROR, "audit log lost", "%s; requests go on, lines are counted in metrics",
               reason ? strerrordesc_np(reason) : "out of memory");
}

void hs_audit_flush(void)
{
    struct hs_str text = hs_buf_str(&lines.buf);
    bool is_fine = !hs_buf_failed(&lines.buf);
    int reason = 0;

    if (lines.n == 0)
        return;
    if (!is_fine) {
        (void)atomic_fetch_add_explicit(&lines_lost, lines.n, memory_order_relaxed);
    } else {
        errno = 0;
        if (file_fd >= 0 && !write_file(text))
            is_fine = false;
        if (syslog_fd >= 0 && !write_syslog(text))
            is_fine = false;
        reason = errno;
    }
    hs_buf_fini(&lines.buf);
    lines.n = 0;
    tell(is_fine, reason);
}
