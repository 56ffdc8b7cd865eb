/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: lines and their escapes, cuts, rotation, a disk that is full, a daemon that is not there. */
#include "core/audit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"
#include "fault.h"

static char folder[64];
static char file[128];
static char text[1 << 20];
static struct hs_err err;

static const char *content(const char *path)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    assert_true(n >= 0);
    text[n] = '\0';
    (void)close(fd);
    return text;
}

static void write_line(const char *value)
{
    hs_audit_begin("test");
    hs_audit_cstr("value", value);
    hs_audit_end();
}

static void open_file(void)
{
    (void)unlink(file);
    assert_int_equal(hs_audit_open(file, NULL, &err), HS_OK);
}

static void test_off(void **state)
{
    (void)state;
    assert_int_equal(hs_audit_open(NULL, "", &err), HS_OK);
    assert_false(hs_audit_is_on());
    write_line("nobody reads this");
    hs_audit_reopen();
    hs_audit_flush();
    assert_true(hs_audit_lines_lost() == 0);
}

static void test_line(void **state)
{
    struct stat st;

    (void)state;
    open_file();
    assert_true(hs_audit_is_on());
    hs_audit_begin("test");
    hs_audit_str("a", HS_STR("x\"\n\xff"));
    hs_audit_str("left_out", HS_STR_NULL);
    hs_audit_int("n", -5);
    hs_audit_end_later();
    assert_string_equal(content(file), "");
    hs_audit_flush();
    assert_true(strncmp(content(file), "{\"ts\":\"2", 8) == 0);
    assert_non_null(
        strstr(text, "Z\",\"event\":\"test\",\"a\":\"x\\\"\\n\xef\xbf\xbd\",\"n\":-5}\n"));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    hs_audit_close();
    assert_int_equal(hs_audit_open(file, NULL, &err), HS_OK); /* appended to */
    write_line("again");
    assert_non_null(strstr(content(file), "\"n\":-5}\n{"));
    hs_audit_close();
}

static void test_long_value_is_cut(void **state)
{
    static char longer[3 * HS_AUDIT_VALUE];

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    memcpy(longer + HS_AUDIT_VALUE - 1, "\xc3\xa4", 2); /* a character over the cut */
    open_file();
    write_line(longer);
    assert_non_null(strstr(content(file), "xxx\"}\n"));
    assert_int_equal(strlen(strstr(text, "xxx")), HS_AUDIT_VALUE - 1 + 3);
    hs_audit_close();
}

static void test_rotation(void **state)
{
    char old[160];

    (void)state;
    (void)snprintf(old, sizeof(old), "%s.1", file);
    open_file();
    write_line("one");
    assert_int_equal(rename(file, old), 0);
    write_line("two");
    hs_audit_reopen();
    write_line("three");
    assert_non_null(strstr(content(old), "two"));
    assert_null(strstr(text, "three"));
    assert_non_null(strstr(content(file), "three"));
    hs_audit_close();
    (void)unlink(old);
}

static void test_full_disk(void **state)
{
    uint64_t lost = hs_audit_lines_lost();

    (void)state;
    assert_int_equal(hs_audit_open("/dev/full", NULL, &err), HS_OK);
    write_line("one");
    hs_audit_begin("test");
    hs_audit_end_later();
    write_line("two");
    assert_true(hs_audit_lines_lost() == lost + 3);
    hs_audit_close();
}

static void test_cannot_be_opened(void **state)
{
    static char longer[5000];

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    assert_int_equal(hs_audit_open("/nowhere/at/all", NULL, &err), HS_E_CONFIG);
    assert_non_null(strstr(err.why, "No such file"));
    assert_int_equal(hs_audit_open(longer, NULL, &err), HS_E_CONFIG);
    assert_int_equal(hs_audit_open(NULL, longer, &err), HS_E_CONFIG);
    hs_audit_close();
}

static void test_syslog(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    uint64_t lost = hs_audit_lines_lost();
    char got[500] = "";

    (void)state;
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/log", folder);
    assert_int_equal(hs_audit_open(NULL, addr.sun_path, &err), HS_OK);
    write_line("nobody listens");
    assert_true(hs_audit_lines_lost() == lost + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    hs_audit_begin("first");
    hs_audit_end_later();
    write_line("second");
    assert_true(read(fd, got, sizeof(got) - 1) > 0);
    assert_true(strncmp(got, "<86>hasten[", 11) == 0);
    assert_non_null(strstr(got, "\"event\":\"first\"}"));
    assert_null(strchr(got, '\n'));
    memset(got, 0, sizeof(got));
    assert_true(read(fd, got, sizeof(got) - 1) > 0);
    assert_non_null(strstr(got, "second"));
    (void)close(fd);
    (void)unlink(addr.sun_path);
    hs_audit_close();
}

static void *many(void *arg)
{
    for (unsigned i = 0; i < 300; i++) {
        hs_audit_begin("thread");
        hs_audit_cstr("who", arg);
        hs_audit_end_later();
        if (i % 7 == 0)
            hs_audit_flush();
    }
    hs_audit_flush();
    return NULL;
}

/* Lines of two threads never mix, also while the file is exchanged. */
static void test_threads(void **state)
{
    static char one[] = "one";
    static char two[] = "two";
    pthread_t threads[2];
    unsigned n = 0;

    (void)state;
    open_file();
    assert_int_equal(pthread_create(&threads[0], NULL, many, one), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, many, two), 0);
    for (unsigned i = 0; i < 20; i++)
        hs_audit_reopen();
    (void)pthread_join(threads[0], NULL);
    (void)pthread_join(threads[1], NULL);
    (void)content(file);
    for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
        assert_true(strncmp(at, "{\"ts\":", 6) == 0);
        assert_true(strchr(at, '\n')[-1] == '}');
        n++;
    }
    assert_int_equal(n, 600);
    hs_audit_close();
}

static bool scenario(void *arg)
{
    uint64_t lost = hs_audit_lines_lost();

    (void)arg;
    write_line("x");
    return hs_audit_lines_lost() == lost;
}

/* A line for which there is no memory is counted, and the next one is whole. */
static void test_no_memory(void **state)
{
    (void)state;
    open_file();
    fault_each(scenario, NULL);
    write_line("last");
    (void)content(file);
    assert_non_null(strstr(text, "last\"}\n"));
    for (const char *at = text; *at; at = strchr(at, '\n') + 1)
        assert_true(strncmp(at, "{\"ts\":", 6) == 0);
    hs_audit_close();
}

static int setup(void **state)
{
    (void)state;
    hs_log_init(HS_LOG_ERROR, HS_LOG_LOGFMT);
    (void)snprintf(folder, sizeof(folder), "/tmp/hasten-audit-XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    (void)snprintf(file, sizeof(file), "%s/audit", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(file);
    (void)rmdir(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_long_value_is_cut),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_cannot_be_opened),
        cmocka_unit_test(test_syslog),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
