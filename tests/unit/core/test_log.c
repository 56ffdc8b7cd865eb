/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: whatever is logged, each is one line and, in JSON, one object; a reader who stalls costs
 * lines, never time, and the loss is counted.
 */
#include "core/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/metric.h"
#include "test.h"

static int real_stderr = -1;
static char text[1 << 20];

/* Standard error becomes `fd`, which is closed. */
static void redirect(int fd, enum hs_log_level level, enum hs_log_format format)
{
    real_stderr = dup(STDERR_FILENO);
    (void)dup2(fd, STDERR_FILENO);
    (void)close(fd);
    hs_log_init(level, format);
}

static void restore(void)
{
    (void)dup2(real_stderr, STDERR_FILENO);
    (void)close(real_stderr);
    hs_log_init(HS_LOG_INFO, HS_LOG_LOGFMT);
}

static int to_file(enum hs_log_level level, enum hs_log_format format)
{
    FILE *file = tmpfile();
    int fd = dup(fileno(file));

    (void)fclose(file);
    redirect(dup(fd), level, format);
    return fd;
}

/* What was logged; standard error is the real one again. */
static struct hs_str collect(int fd)
{
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    restore();
    (void)close(fd);
    assert_true(n >= 0);
    return hs_strn(text, (size_t)n);
}

static json_t *json_line(struct hs_str *rest)
{
    struct hs_str line = hs_str_cut(rest, '\n');
    json_t *json = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

    if (!json_is_object(json))
        fail_msg("not JSON: %.*s", HS_FMT(line));
    return json;
}

static size_t random_text(struct hs_rng *rng, char *to, size_t max)
{
    static const char *const parts[] = {
        "a", "\n", "\"", "\\", "=", " ", "\xc3\xa4", "\xf0\x9f\x98\x80", "\x7f"};
    size_t n = 0;
    size_t wish = (size_t)hs_rng_below(rng, hs_rng_below(rng, 8) ? 40 : max - 4);
    bool text_only = hs_rng_below(rng, 3);

    while (n < wish) {
        const char *part = parts[hs_rng_below(rng, HS_LEN(parts))];

        if (text_only) {
            memcpy(to + n, part, strlen(part));
            n += strlen(part);
        } else {
            to[n++] = (char)hs_rng_next(rng);
        }
    }
    return n;
}

static void random_line(struct hs_rng *rng)
{
    static const char *const names[] = {
        "a", "bb", "method", "path", "client", "a_rather_long_name_of_a_field", "x", "y", "z"};
    static char value[12000];

    hs_log_begin(HS_LOG_WARN, "event");
    for (size_t i = 0, n = (size_t)hs_rng_below(rng, HS_LEN(names)); i < n; i++) {
        switch (hs_rng_below(rng, 4)) {
        case 0:
            hs_log_int(names[i], (int64_t)hs_rng_next(rng));
            break;
        case 1:
            hs_log_ms(names[i], hs_rng_next(rng));
            break;
        default:
            hs_log_str(names[i], hs_strn(value, random_text(rng, value, sizeof(value))));
        }
    }
    if (hs_rng_below(rng, 2))
        hs_log_end_later();
    else
        hs_log_end();
}

static void test_random_lines(void **state)
{
    struct hs_rng rng = test_rng();

    (void)state;
    for (unsigned format = HS_LOG_LOGFMT; format <= HS_LOG_JSON; format++) {
        for (unsigned round = 0; round < 60; round++) {
            int fd = to_file(HS_LOG_INFO, (enum hs_log_format)format);
            struct hs_str rest;

            for (unsigned i = 0; i < 60; i++)
                random_line(&rng);
            hs_log_flush();
            rest = collect(fd);
            assert_true(rest.n > 0 && rest.p[rest.n - 1] == '\n');
            assert_true(hs_str_is_utf8(rest));
            for (unsigned i = 0; i < 60; i++) {
                if (format == HS_LOG_JSON)
                    json_decref(json_line(&rest));
                else
                    assert_true(hs_str_starts(hs_str_cut(&rest, '\n'), HS_STR("ts=")));
            }
            assert_int_equal(rest.n, 0);
        }
    }
}

static void test_values(void **state)
{
    int fd = to_file(HS_LOG_INFO, HS_LOG_JSON);
    struct hs_str rest;
    struct hs_err err;
    json_t *json;

    (void)state;
    hs_log_begin(HS_LOG_ERROR, "e");
    hs_log_int("min", INT64_MIN);
    hs_log_ms("ms", 1);
    hs_log_ms("big", 1234567);
    hs_log_cstr("none", NULL);
    (void)hs_fail(&err, HS_E_PG_DOWN, "gone");
    hs_log_err(&err);
    hs_log_end();
    rest = collect(fd);
    json = json_line(&rest);
    assert_true(json_integer_value(json_object_get(json, "min")) == INT64_MIN);
    assert_true(json_number_value(json_object_get(json, "ms")) == 0.001);
    assert_true(json_number_value(json_object_get(json, "big")) == 1234.567);
    assert_string_equal(json_string_value(json_object_get(json, "none")), "");
    assert_string_equal(json_string_value(json_object_get(json, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(json, "code")), "database_unavailable");
    json_decref(json);
}

static void test_logfmt(void **state)
{
    int fd = to_file(HS_LOG_INFO, HS_LOG_LOGFMT);
    struct hs_str line;

    (void)state;
    hs_log(HS_LOG_INFO, "listening", "on %s", "x");
    line = collect(fd);
    (void)hs_str_cut(&line, ' ');
    assert_str(line, HS_STR("level=info event=listening msg=\"on x\"\n"));
}

static void test_level(void **state)
{
    int fd = to_file(HS_LOG_WARN, HS_LOG_LOGFMT);
    struct hs_str rest;

    (void)state;
    hs_log_begin(HS_LOG_INFO, "hidden");
    hs_log_int("a", 1);
    hs_log_str("b", HS_STR("c"));
    hs_log_end();
    hs_log(HS_LOG_DEBUG, "hidden", "x");
    hs_log_begin(HS_LOG_WARN, "shown");
    hs_log_end();
    rest = collect(fd);
    (void)hs_str_cut(&rest, ' ');
    assert_str(rest, HS_STR("level=warn event=shown\n"));
}

static void test_unfinished_line_is_dropped(void **state)
{
    int fd = to_file(HS_LOG_INFO, HS_LOG_LOGFMT);
    static char big[9000];
    struct hs_str rest;

    (void)state;
    memset(big, 'x', sizeof(big));
    for (unsigned i = 0; i < 50; i++) {
        hs_log_begin(HS_LOG_INFO, "cut short");
        hs_log_str("big", hs_strn(big, sizeof(big)));
    }
    hs_log_begin(HS_LOG_INFO, "whole");
    hs_log_end();
    rest = collect(fd);
    (void)hs_str_cut(&rest, ' ');
    assert_str(rest, HS_STR("level=info event=whole\n"));
}

/* Logs until something is lost, then reads all there is, logs once more, and looks at the lines. */
static void check_stalled_reader(int reader, int writer, struct hs_rng *rng)
{
    uint64_t before = hs_log_lines_lost();
    static char got[4 << 20];
    size_t n = 0;
    ssize_t k;
    struct hs_str rest;
    unsigned torn = 0;

    redirect(writer, HS_LOG_INFO, HS_LOG_JSON);
    for (unsigned i = 0; i < 2000 && hs_log_lines_lost() < before + 10; i++)
        random_line(rng);
    hs_log_flush();
    assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0); /* not ours to change */
    assert_int_equal(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
    while ((k = read(reader, got + n, sizeof(got) - n)) > 0)
        n += (size_t)k;
    hs_log_begin(HS_LOG_INFO, "after");
    hs_log_end();
    k = read(reader, got + n, sizeof(got) - n);
    restore();
    assert_true(k > 0);
    assert_true(hs_log_lines_lost() >= before + 10);
    assert_true(hs_metric_sum(HS_M_LOG_LINES_LOST) == hs_log_lines_lost());
    rest = hs_strn(got, n + (size_t)k);
    while (rest.n) {
        struct hs_str line = hs_str_cut(&rest, '\n');
        json_t *json = json_loadb(line.p, line.n, JSON_ALLOW_NUL, NULL);

        torn += !json;
        if (!rest.n)
            assert_string_equal(json_string_value(json_object_get(json, "event")), "after");
        json_decref(json);
    }
    /* A pipe may take a piece of more than one line; each of these counts as lost, the others are whole. */
    assert_true(torn <= hs_log_lines_lost() - before);
    (void)close(reader);
}

static void test_stalled_pipe(void **state)
{
    struct hs_rng rng = test_rng();
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    check_stalled_reader(fds[0], fds[1], &rng);
}

static void test_stalled_socket(void **state)
{
    struct hs_rng rng = test_rng();
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    check_stalled_reader(fds[0], fds[1], &rng);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_lines),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_logfmt),
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_unfinished_line_is_dropped),
        cmocka_unit_test(test_stalled_pipe),
        cmocka_unit_test(test_stalled_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
