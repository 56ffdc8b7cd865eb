/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd/migrate_files and cmd/migrate_plan: what a folder means, and what it means beside the records of a
 * database. No server is asked.
 */
#include "fault.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/migrate.h"

struct world {
    char dir[64];
    struct hs_arena arena;
    struct migrate_files files;
    struct hs_err err;
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static int make_world(void **state)
{
    static struct world w;

    w = (struct world){.dir = "/tmp/hasten-migrate-XXXXXX"};
    assert_non_null(mkdtemp(w.dir));
    hs_arena_init(&w.arena, MIGRATE_MEMORY_MAX);
    *state = &w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;

    hs_arena_fini(&w->arena);
    return nftw(w->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const struct world *w, const char *name, const char *text)
{
    char path[256];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

static void load(struct world *w)
{
    hs_status status = migrate_load(w->dir, &w->arena, &w->files, &w->err);

    if (status)
        fail_msg("%s: %s", w->err.what, w->err.why);
}

static void refuse(struct world *w, const char *what)
{
    hs_status status = migrate_load(w->dir, &w->arena, &w->files, &w->err);

    for (size_t i = 0; !status && i < w->files.n; i++)
        status = migrate_split(&w->files.v[i], &w->arena, &w->err);
    assert_int_not_equal(status, HS_OK);
    if (!strstr(w->err.what, what))
        fail_msg("got \"%s\", expected \"%s\" in it", w->err.what, what);
}

static void files_are_read_in_the_order_of_their_numbers(void **state)
{
    struct world *w = *state;

    put(w, "0010_ten.sql", "SELECT 10");
    put(w, "9_nine.sql", "SELECT 9");
    put(w, "0002_two_parts.sql", "abc");
    put(w, "README.md", "no migration");
    put(w, ".0001_hidden.sql", "no migration");
    load(w);
    assert_int_equal(w->files.n, 3);
    assert_int_equal(w->files.v[0].version, 2);
    assert_string_equal(w->files.v[0].name, "two_parts");
    assert_string_equal(w->files.v[0].file, "0002_two_parts.sql");
    /* FIPS 180-2, appendix B.1. */
    assert_string_equal(w->files.v[0].checksum,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(w->files.v[1].version, 9);
    assert_int_equal(w->files.v[2].version, 10);
}

static void wrong_names_are_refused(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"first.sql",
                                        "0000_zero.sql",
                                        "1.sql",
                                        "1_.sql",
                                        "1-x.sql",
                                        "1_it's.sql",
                                        "1234567890123456789_long.sql",
                                        "-1_x.sql"};

    for (size_t i = 0; i < HS_LEN(names); i++) {
        char path[256];

        put(w, names[i], "SELECT 1");
        refuse(w, "is not the name of a migration");
        (void)snprintf(path, sizeof(path), "%s/%s", w->dir, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    refuse(w, "there are no migrations in");
    put(w, "1_a.sql", "SELECT 1");
    put(w, "0001_b.sql", "SELECT 1");
    refuse(w, "version 1 is there twice");
}

static void the_header_may_turn_the_transaction_off(void **state)
{
    struct world *w = *state;

    put(w, "1_a.sql", "-- why\n\n--hasten:no-transaction \r\nSELECT 1");
    put(w, "2_b.sql", "SELECT 1;\n-- hasten: no-transaction\n");
    put(w, "3_c.sql", "-- say \"hasten: no-transaction\" here\nSELECT 1");
    load(w);
    assert_false(w->files.v[0].is_single);
    assert_true(w->files.v[1].is_single);
    assert_true(w->files.v[2].is_single);
    put(w, "4_d.sql", "-- x\n-- hasten: no-transactoin\nSELECT 1");
    refuse(w, "4_d.sql:2:12: unknown directive");
}

static void what_cannot_work_is_known_before_a_server_is_asked(void **state)
{
    struct world *w = *state;

    put(w, "1_a.sql", "-- nothing\n");
    refuse(w, "there is no statement in");
    put(w, "1_a.sql", "SELECT 1;\n  COMMIT;");
    refuse(w, "1_a.sql:2:3: a migration must not begin or end a transaction");
    put(w, "1_a.sql", "SELECT 'é'; DROP INDEX CONCURRENTLY i");
    refuse(w, "1_a.sql:1:13: CONCURRENTLY does not work in a transaction");
    put(w, "1_a.sql", "-- hasten: no-transaction\nCREATE INDEX CONCURRENTLY ON t (a)");
    refuse(w, "1_a.sql:2:1: an index that is made concurrently needs a name");
    put(w, "1_a.sql", "SELECT 1;\nSELECT 'x");
    refuse(w, "1_a.sql:2:8: a string is not closed");
    put(w, "1_a.sql", "SELECT '\xff'");
    refuse(w, "is not UTF-8 text");
}

static void a_new_file_has_the_next_number(void **state)
{
    struct world *w = *state;
    const char *path;

    assert_int_equal(migrate_new(w->dir, "First  of all!", &w->arena, &path, &w->err), HS_OK);
    assert_non_null(strstr(path, "/0001_first_of_all.sql"));
    put(w, "00041_x.sql", "SELECT 1");
    assert_int_equal(migrate_new(w->dir, "y", &w->arena, &path, &w->err), HS_OK);
    assert_non_null(strstr(path, "/00042_y.sql"));
    assert_int_not_equal(migrate_new(w->dir, "!", &w->arena, &path, &w->err), HS_OK);
    /* As it is made it has no statement, so it is not applied by mistake. */
    refuse(w, "there is no statement in");
}

/* ---- the plan ---- */

static struct migrate_plan plan(struct world *w, struct migrate_record *records, size_t n)
{
    const struct migrate_records all = {.has_table = true, .v = records, .n = n};
    struct migrate_plan made;

    load(w);
    if (migrate_plan(&w->files, &all, &w->arena, &made, &w->err))
        fail_msg("%s", w->err.what);
    return made;
}

static void each_pair_has_its_state(void **state)
{
    struct world *w = *state;
    struct migrate_record records[] = {{.version = 1, .name = "a", .is_applied = true},
                                       {.version = 2, .name = "b", .is_applied = true},
                                       {.version = 3, .name = "c", .is_applied = true},
                                       {.version = 5, .name = "e", .is_applied = true}};
    static const enum migrate_state expected[] = {MIGRATE_APPLIED, MIGRATE_CHANGED,
                                                  MIGRATE_MISSING, MIGRATE_OUT_OF_ORDER,
                                                  MIGRATE_MISSING, MIGRATE_PENDING};
    struct migrate_plan made;

    put(w, "1_a.sql", "SELECT 1");
    put(w, "2_b.sql", "SELECT 2");
    put(w, "4_d.sql", "SELECT 4");
    put(w, "6_f.sql", "SELECT 6");
    load(w);
    for (size_t i = 0; i < HS_LEN(records); i++)
        records[i].checksum = w->files.v[0].checksum;
    made = plan(w, records, HS_LEN(records));
    assert_int_equal(made.n, HS_LEN(expected));
    for (size_t i = 0; i < made.n; i++) {
        assert_int_equal(made.v[i].version, i + 1);
        assert_int_equal(made.v[i].state, expected[i]);
        assert_int_equal(migrate_complaint(&made.v[i], &w->arena).n == 0,
                         expected[i] == MIGRATE_APPLIED);
    }
    assert_int_equal(made.count[MIGRATE_MISSING], 2);
}

static void a_later_record_is_ahead(void **state)
{
    struct world *w = *state;
    struct migrate_record records[] = {{.version = 7, .name = "g", .is_applied = true}};
    struct migrate_plan made;

    put(w, "1_a.sql", "SELECT 1");
    made = plan(w, records, 1);
    assert_int_equal(made.v[0].state, MIGRATE_OUT_OF_ORDER);
    assert_int_equal(made.v[1].state, MIGRATE_AHEAD);
}

static void an_unfinished_one_may_change_behind_what_has_run(void **state)
{
    struct world *w = *state;
    char checksum[MIGRATE_CHECKSUM];
    const char *done = "-- hasten: no-transaction\nSELECT 1;";
    struct migrate_record record = {
        .version = 1, .name = "a", .checksum = checksum, .statements_done = 1};

    assert_int_equal(migrate_checksum(hs_str(done), checksum, &w->err), HS_OK);
    put(w, "1_a.sql", "-- hasten: no-transaction\nSELECT 1;\nSELECT 2;");
    assert_int_equal(plan(w, &record, 1).v[0].state, MIGRATE_UNFINISHED);
    put(w, "1_a.sql", "-- hasten: no-transaction\nSELECT 1;\nSELECT 3; SELECT 4");
    assert_int_equal(plan(w, &record, 1).v[0].state, MIGRATE_UNFINISHED);
    put(w, "1_a.sql", "-- hasten: no-transaction\nSELECT 5;\nSELECT 2;");
    assert_int_equal(plan(w, &record, 1).v[0].state, MIGRATE_CHANGED);
    put(w, "1_a.sql", "SELECT 1;\nSELECT 2;");
    assert_int_equal(plan(w, &record, 1).v[0].state, MIGRATE_CHANGED);
    record.statements_done = 3;
    put(w, "1_a.sql", "-- hasten: no-transaction\nSELECT 1;\nSELECT 2;");
    assert_int_equal(plan(w, &record, 1).v[0].state, MIGRATE_CHANGED);
}

/* Read, split and planned with less and less memory: done, or told so. */
static bool read_with_little(void *arg)
{
    struct world *w = arg;
    struct migrate_record record = {.version = 1, .name = "a", .checksum = "x"};
    const struct migrate_records records = {.has_table = true, .v = &record, .n = 1};
    struct migrate_plan made;
    struct hs_arena arena;
    hs_status status;

    hs_arena_init(&arena, MIGRATE_MEMORY_MAX);
    status = migrate_load(w->dir, &arena, &w->files, &w->err);
    if (!status)
        status = migrate_plan(&w->files, &records, &arena, &made, &w->err);
    if (!status)
        (void)migrate_complaint(&made.v[0], &arena);
    if (!status && hs_arena_failed(&arena))
        status = HS_E_MEMORY;
    hs_arena_fini(&arena);
    if (status)
        assert_int_equal(status, HS_E_MEMORY);
    return !status;
}

static void lack_of_memory_is_told(void **state)
{
    struct world *w = *state;

    put(w, "1_a.sql", "-- hasten: no-transaction\nSELECT 1; SELECT 2;");
    put(w, "2_b.sql", "SELECT 1");
    fault_each(read_with_little, w);
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(files_are_read_in_the_order_of_their_numbers),
        WORLD_TEST(wrong_names_are_refused),
        WORLD_TEST(the_header_may_turn_the_transaction_off),
        WORLD_TEST(what_cannot_work_is_known_before_a_server_is_asked),
        WORLD_TEST(a_new_file_has_the_next_number),
        WORLD_TEST(each_pair_has_its_state),
        WORLD_TEST(a_later_record_is_ahead),
        WORLD_TEST(an_unfinished_one_may_change_behind_what_has_run),
        WORLD_TEST(lack_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
