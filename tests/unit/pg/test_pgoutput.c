/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of the change stream, fed by hand: every message, every value kind, every length cut short, the
 * order that stamps rest on.
 */
#include "fault.h"
#include "core/buf.h"
#include "pg/pgoutput.h"
#include "test.h"

enum { OID = 4711, FINAL = 1000, END = 1100 };

struct world {
    struct pgoutput *reader;
    struct hs_buf bytes;
    struct pgoutput_message m;
    struct hs_err err;
};

/* ---- messages, made ---- */

static void number(struct hs_buf *b, uint64_t v, int bytes)
{
    while (bytes--)
        hs_buf_add_char(b, (char)(v >> bytes * 8));
}

static void string(struct hs_buf *b, const char *text)
{
    hs_buf_add(b, hs_strn(text, strlen(text) + 1));
}

static struct hs_buf *message(struct world *w, char kind)
{
    hs_buf_clear(&w->bytes);
    hs_buf_add_char(&w->bytes, kind);
    return &w->bytes;
}

/* Values: "-" NULL, "=" unchanged TOAST, "#" binary, else text. */
static void tuple(struct hs_buf *b, char kind, size_t n, const char *const *values)
{
    if (kind)
        hs_buf_add_char(b, kind);
    number(b, n, 2);
    for (size_t i = 0; i < n; i++) {
        const char *v = values[i];

        if (!strcmp(v, "-") || !strcmp(v, "=")) {
            hs_buf_add_char(b, v[0] == '-' ? 'n' : 'u');
            continue;
        }
        hs_buf_add_char(b, v[0] == '#' ? 'b' : 't');
        number(b, strlen(v), 4);
        hs_buf_add(b, hs_str(v));
    }
}

#define TUPLE(b, kind, ...) \
    tuple((b), (kind), HS_LEN(((const char *[]){__VA_ARGS__})), (const char *[]){__VA_ARGS__})

/* A copy of exactly that size, so that one byte too far is seen. */
static hs_status read_bytes(struct world *w, struct hs_str bytes)
{
    static char *kept;
    char *copy = malloc(bytes.n ? bytes.n : 1);

    assert_non_null(copy);
    if (bytes.n)
        memcpy(copy, bytes.p, bytes.n);
    free(kept);
    kept = copy;
    hs_err_clear(&w->err);
    return pgoutput_read(w->reader, hs_strn(copy, bytes.n), &w->m, &w->err);
}

static hs_status read_it(struct world *w)
{
    return read_bytes(w, hs_buf_str(&w->bytes));
}

static void make_begin(struct world *w, uint64_t final_lsn)
{
    struct hs_buf *b = message(w, 'B');

    number(b, final_lsn, 8);
    number(b, 5, 8);
    number(b, 733, 4);
}

static void make_commit(struct world *w, uint64_t lsn, uint64_t end)
{
    struct hs_buf *b = message(w, 'C');

    number(b, 0, 1);
    number(b, lsn, 8);
    number(b, end, 8);
    number(b, 5, 8);
}

/* Columns a (identity) and b. */
static void make_relation(struct world *w, uint32_t oid, const char *name)
{
    struct hs_buf *b = message(w, 'R');

    number(b, oid, 4);
    string(b, "public");
    string(b, "t");
    hs_buf_add_char(b, 'd');
    number(b, 2, 2);
    number(b, 1, 1);
    string(b, name);
    number(b, 23, 4);
    number(b, UINT32_MAX, 4);
    number(b, 0, 1);
    string(b, "b");
    number(b, 25, 4);
    number(b, UINT32_MAX, 4);
}

static struct hs_buf *row(struct world *w, char kind)
{
    struct hs_buf *b = message(w, kind);

    number(b, OID, 4);
    return b;
}

static void begin(struct world *w)
{
    make_begin(w, FINAL);
    assert_int_equal(read_it(w), HS_OK);
}

static void world_init(struct world *w)
{
    *w = (struct world){.reader = pgoutput_new()};
    assert_non_null(w->reader);
    hs_buf_init(&w->bytes, 1 << 20);
    begin(w);
    make_relation(w, OID, "a");
    assert_int_equal(read_it(w), HS_OK);
    assert_int_equal(w->m.kind, PGOUTPUT_RELATION);
}

static void world_fini(struct world *w)
{
    pgoutput_free(w->reader);
    hs_buf_fini(&w->bytes);
}

static void assert_value(const struct hs_change_value *v, const char *expected)
{
    if (!strcmp(expected, "-")) {
        assert_int_equal(v->kind, HS_VALUE_NULL);
    } else if (!strcmp(expected, "?")) {
        assert_int_equal(v->kind, HS_VALUE_ABSENT);
    } else {
        assert_int_equal(v->kind, HS_VALUE_TEXT);
        assert_str(v->text, hs_str(expected));
    }
}

/* ---- tests ---- */

static void test_transaction(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    TUPLE(row(&w, 'I'), 'N', "1", "-");
    assert_int_equal(read_it(&w), HS_OK);
    assert_int_equal(w.m.kind, PGOUTPUT_CHANGE);
    assert_int_equal(w.m.change.kind, HS_CHANGE_INSERT);
    assert_int_equal(w.m.change.stamp, FINAL + 1);
    assert_int_equal(w.m.change.table->oid, OID);
    assert_str(w.m.change.table->columns[0].name, HS_STR("a"));
    assert_true(w.m.change.table->columns[0].is_identity);
    assert_false(w.m.change.table->columns[1].is_identity);
    assert_int_equal(w.m.change.table->columns[1].type, 25);
    assert_null(w.m.change.old);
    assert_value(&w.m.change.new[0], "1");
    assert_value(&w.m.change.new[1], "-");
    make_commit(&w, FINAL, END);
    assert_int_equal(read_it(&w), HS_OK);
    assert_int_equal(w.m.kind, PGOUTPUT_COMMIT);
    assert_int_equal(w.m.end_lsn, END);
    make_begin(&w, END);
    assert_int_equal(read_it(&w), HS_OK);
    assert_int_equal(w.m.final_lsn, END);
    assert_int_equal(w.m.xid, 733);
    world_fini(&w);
}

static void test_update(void **state)
{
    struct world w;
    struct hs_buf *b;

    (void)state;
    world_init(&w);
    /* No old tuple; TOAST is not told. */
    TUPLE(row(&w, 'U'), 'N', "1", "=");
    assert_int_equal(read_it(&w), HS_OK);
    assert_int_equal(w.m.change.kind, HS_CHANGE_UPDATE);
    assert_null(w.m.change.old);
    assert_value(&w.m.change.new[0], "1");
    assert_value(&w.m.change.new[1], "?");
    /* Of a key only the identity's columns are known. */
    b = row(&w, 'U');
    TUPLE(b, 'K', "1", "-");
    TUPLE(b, 'N', "2", "=");
    assert_int_equal(read_it(&w), HS_OK);
    assert_value(&w.m.change.old[0], "1");
    assert_value(&w.m.change.old[1], "?");
    assert_value(&w.m.change.new[0], "2");
    assert_value(&w.m.change.new[1], "?");
    /* FULL: the old TOAST is the new. */
    b = row(&w, 'U');
    TUPLE(b, 'O', "1", "long");
    TUPLE(b, 'N', "-", "=");
    assert_int_equal(read_it(&w), HS_OK);
    assert_value(&w.m.change.old[1], "long");
    assert_value(&w.m.change.new[0], "-");
    assert_value(&w.m.change.new[1], "long");
    world_fini(&w);
}

static void test_delete(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    TUPLE(row(&w, 'D'), 'K', "1", "-");
    assert_int_equal(read_it(&w), HS_OK);
    assert_int_equal(w.m.change.kind, HS_CHANGE_DELETE);
    assert_null(w.m.change.new);
    assert_value(&w.m.change.old[0], "1");
    assert_value(&w.m.change.old[1], "?");
    TUPLE(row(&w, 'D'), 'O', "1", "-");
    assert_int_equal(read_it(&w), HS_OK);
    assert_value(&w.m.change.old[1], "-");
    world_fini(&w);
}

static void test_truncate(void **state)
{
    struct world w;
    struct hs_buf *b;

    (void)state;
    world_init(&w);
    b = message(&w, 'T');
    number(b, 2, 4);
    number(b, 1, 1);
    number(b, 7, 4);
    number(b, 9, 4);
    assert_int_equal(read_it(&w), HS_OK);
    assert_int_equal(w.m.kind, PGOUTPUT_TRUNCATE);
    assert_int_equal(w.m.change.stamp, FINAL + 1);
    assert_int_equal(w.m.n_tables, 2);
    assert_int_equal(w.m.tables[0], 7);
    assert_int_equal(w.m.tables[1], 9);
    /* More tables announced than there are. */
    b = message(&w, 'T');
    number(b, UINT32_MAX, 4);
    number(b, 0, 1);
    number(b, 7, 4);
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    world_fini(&w);
}

static void make_message(struct world *w, bool is_transactional)
{
    struct hs_buf *b = message(w, 'M');

    number(b, is_transactional, 1);
    number(b, 77, 8);
    string(b, "hasten");
    number(b, 3, 4);
    hs_buf_add(b, HS_STR("ddl"));
}

static void test_message(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    make_message(&w, true);
    assert_int_equal(read_it(&w), HS_OK);
    assert_int_equal(w.m.kind, PGOUTPUT_MESSAGE);
    assert_true(w.m.is_transactional);
    assert_int_equal(w.m.message_lsn, 77);
    assert_str(w.m.prefix, HS_STR("hasten"));
    assert_str(w.m.content, HS_STR("ddl"));
    make_commit(&w, FINAL, END);
    assert_int_equal(read_it(&w), HS_OK);
    make_message(&w, false);
    assert_int_equal(read_it(&w), HS_OK);
    assert_false(w.m.is_transactional);
    make_message(&w, true);
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    world_fini(&w);
}

static void test_other(void **state)
{
    struct world w;
    struct hs_buf *b;

    (void)state;
    world_init(&w);
    b = message(&w, 'O');
    number(b, 1, 8);
    string(b, "elsewhere");
    assert_int_equal(read_it(&w), HS_OK);
    assert_int_equal(w.m.kind, PGOUTPUT_OTHER);
    b = message(&w, 'Y');
    number(b, 99, 4);
    string(b, "public");
    string(b, "mood");
    assert_int_equal(read_it(&w), HS_OK);
    assert_int_equal(w.m.kind, PGOUTPUT_OTHER);
    message(&w, 'S');
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    assert_int_equal(read_bytes(&w, HS_STR_NULL), HS_E_PG_ERROR);
    world_fini(&w);
}

/* A table told anew: its new columns, and nothing of the listener's. */
static void test_relation_again(void **state)
{
    struct world w;
    char mine;

    (void)state;
    world_init(&w);
    for (uint32_t oid = 1; oid < 300; oid++) {
        make_relation(&w, oid * 7919 % 65536, "a");
        assert_int_equal(read_it(&w), HS_OK);
    }
    TUPLE(row(&w, 'I'), 'N', "1", "2");
    assert_int_equal(read_it(&w), HS_OK);
    assert_null(w.m.change.table->user);
    w.m.change.table->user = &mine;
    assert_int_equal(read_it(&w), HS_OK);
    assert_ptr_equal(w.m.change.table->user, &mine);
    make_relation(&w, OID, "renamed");
    assert_int_equal(read_it(&w), HS_OK);
    TUPLE(row(&w, 'I'), 'N', "1", "2");
    assert_int_equal(read_it(&w), HS_OK);
    assert_null(w.m.change.table->user);
    assert_str(w.m.change.table->columns[0].name, HS_STR("renamed"));
    pgoutput_reset(w.reader);
    begin(&w);
    TUPLE(row(&w, 'I'), 'N', "1", "2");
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    world_fini(&w);
}

/* What is made, cut at every length and with one byte more. The open transaction stays as it is. */
static void refuse_all_cuts(struct world *w)
{
    char kept[256];
    size_t n = w->bytes.n;

    assert_true(n < sizeof(kept));
    memcpy(kept, w->bytes.p, n);
    for (size_t cut = 0; cut < n; cut++)
        assert_int_equal(read_bytes(w, hs_strn(kept, cut)), HS_E_PG_ERROR);
    kept[n] = '\0';
    assert_int_equal(read_bytes(w, hs_strn(kept, n + 1)), HS_E_PG_ERROR);
    assert_int_equal(read_bytes(w, hs_strn(kept, n)), HS_OK);
}

static void test_cuts(void **state)
{
    struct world w;
    struct hs_buf *b;

    (void)state;
    world_init(&w);
    TUPLE(row(&w, 'I'), 'N', "1", "two");
    refuse_all_cuts(&w);
    b = row(&w, 'U');
    TUPLE(b, 'O', "1", "-");
    TUPLE(b, 'N', "2", "=");
    refuse_all_cuts(&w);
    TUPLE(row(&w, 'D'), 'K', "1", "-");
    refuse_all_cuts(&w);
    make_relation(&w, 12, "a");
    refuse_all_cuts(&w);
    make_message(&w, true);
    refuse_all_cuts(&w);
    b = message(&w, 'T');
    number(b, 1, 4);
    number(b, 0, 1);
    number(b, 7, 4);
    refuse_all_cuts(&w);
    b = message(&w, 'Y');
    number(b, 99, 4);
    string(b, "public");
    string(b, "mood");
    refuse_all_cuts(&w);
    make_commit(&w, FINAL, END);
    refuse_all_cuts(&w);
    make_begin(&w, END);
    refuse_all_cuts(&w);
    world_fini(&w);
}

static void test_refused(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    TUPLE(row(&w, 'I'), 'N', "1", "#binary");
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    TUPLE(row(&w, 'I'), 'N', "1");
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    TUPLE(row(&w, 'I'), 'K', "1", "2");
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    TUPLE(row(&w, 'D'), 'N', "1", "2");
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    make_begin(&w, END);
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    make_commit(&w, FINAL + 1, END);
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    make_commit(&w, FINAL, FINAL);
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    make_commit(&w, FINAL, END);
    assert_int_equal(read_it(&w), HS_OK);
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    TUPLE(row(&w, 'I'), 'N', "1", "2");
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    make_begin(&w, END - 1);
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    number(row(&w, 'R'), 0, 2);
    assert_int_equal(read_it(&w), HS_E_PG_ERROR);
    world_fini(&w);
}

static void test_columns_max(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    for (unsigned n = 1600; n <= 1601; n++) {
        struct hs_buf *b = message(&w, 'R');

        number(b, 5, 4);
        string(b, "");
        string(b, "wide");
        hs_buf_add_char(b, 'f');
        number(b, n, 2);
        for (unsigned i = 0; i < n; i++) {
            number(b, 1, 1);
            string(b, "c");
            number(b, 23, 4);
            number(b, 0, 4);
        }
        assert_int_equal(read_it(&w), n == 1600 ? HS_OK : HS_E_PG_ERROR);
    }
    world_fini(&w);
}

static bool scenario(void *arg)
{
    struct world w = {.reader = pgoutput_new()};
    hs_status status = HS_OK;

    (void)arg;
    hs_buf_init(&w.bytes, 1 << 20);
    if (!w.reader)
        return false;
    make_begin(&w, FINAL);
    if (w.bytes.failed || read_it(&w) != HS_OK)
        goto out;
    for (uint32_t oid = 1; oid < 70 && status == HS_OK; oid++) {
        make_relation(&w, oid, "a");
        if (w.bytes.failed)
            break;
        status = read_it(&w);
    }
    if (status == HS_OK && !w.bytes.failed) {
        struct hs_buf *b = message(&w, 'T');

        number(b, 1, 4);
        number(b, 0, 1);
        number(b, 7, 4);
        status = read_it(&w);
    }
    assert_true(status == HS_OK || status == HS_E_MEMORY);
    if (status == HS_OK && !w.bytes.failed) {
        world_fini(&w);
        return true;
    }
out:
    world_fini(&w);
    return false;
}

static void test_no_memory(void **state)
{
    (void)state;
    fault_each(scenario, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transaction),    cmocka_unit_test(test_update),
        cmocka_unit_test(test_delete),         cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_message),        cmocka_unit_test(test_other),
        cmocka_unit_test(test_relation_again), cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_columns_max),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
