/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stamps.c - how many changed rows one core can take in: pgoutput's bytes -> decoder -> stamps.
 *
 * A table of 8 columns with three shapes, (company_id), (company_id, status) and (id), and the identity
 * (company_id, id); of ten changes six are an UPDATE without its old row, two an INSERT, one an UPDATE that moves a
 * row to another company, one a DELETE; ten changes are a transaction. The messages are made beforehand and
 * taken in again and again, since it is the reading that counts.
 *
 * usage: bench_stamps [MILLIONS of changes, 5]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cache/state.h"
#include "core/buf.h"
#include "core/rng.h"
#include "pg/pgoutput.h"

enum {
    OID = 16400,
    COLUMNS = 8,
    TRANSACTIONS = 512,
    CHANGES = 10,
    MESSAGES = TRANSACTIONS * (CHANGES + 2),
    MESSAGE_MAX = 1 << 12
};

static const char *const names[COLUMNS] = {"id",    "company_id", "status",  "name",
                                           "email", "created_at", "balance", "note"};

struct bench {
    struct cache_state *state;
    struct pgoutput *reader;
    struct hs_buf bytes;
    size_t ends[MESSAGES + 1];
    size_t n;
    struct hs_rng rng;
};

static struct bench bench;

static void no_wake(void *ctx)
{
    (void)ctx;
}

static void need(bool is_so, const char *what)
{
    if (is_so)
        return;
    (void)fprintf(stderr, "bench_stamps: %s\n", what);
    exit(1);
}

/* ---- the messages ---- */

static void put_number(uint64_t v, int bytes)
{
    while (bytes--)
        hs_buf_add_char(&bench.bytes, (char)(v >> bytes * 8));
}

static void put_text(struct hs_str text)
{
    hs_buf_add_char(&bench.bytes, 't');
    put_number(text.n, 4);
    hs_buf_add(&bench.bytes, text);
}

/* A text around a number. */
static void put_value(const char *before, uint64_t v, const char *after)
{
    char text[128];
    int n = snprintf(text, sizeof(text), "%s%llu%s", before, (unsigned long long)v, after);

    put_text(hs_strn(text, (size_t)n));
}

static void put_row(char kind, uint64_t id, uint64_t company)
{
    hs_buf_add_char(&bench.bytes, kind);
    put_number(COLUMNS, 2);
    put_value("", id, "");
    put_value("", company, "");
    if (kind == 'K') {
        for (int i = 2; i < COLUMNS; i++)
            hs_buf_add_char(&bench.bytes, 'n');
        return;
    }
    put_text(hs_rng_below(&bench.rng, 2) ? HS_STR("ACTIVE") : HS_STR("CLOSED"));
    put_value("Customer number ", id, "");
    put_value("customer.", id, "@example.com");
    put_value("2026-11-", id % 20 + 10, " 09:00:00.123456+00");
    put_value("", id % 10000, ".50");
    put_value("a note of some length about customer ", id, "");
}

static void end_message(void)
{
    bench.ends[++bench.n] = bench.bytes.n;
}

static void put_change(unsigned which)
{
    uint64_t id = hs_rng_below(&bench.rng, 1000000);
    uint64_t company = id % 1000;

    hs_buf_add_char(&bench.bytes, which < 7 ? 'U' : which < 9 ? 'I' : 'D');
    put_number(OID, 4);
    if (which == 6 || which == 9)
        put_row('K', id, company);
    if (which != 9)
        put_row('N', id, which == 6 ? company + 1 : company);
    end_message();
}

static void put_transaction(uint64_t at)
{
    hs_buf_add_char(&bench.bytes, 'B');
    put_number(at, 8);
    put_number(0, 8);
    put_number(at, 4);
    end_message();
    for (unsigned i = 0; i < CHANGES; i++)
        put_change(i);
    hs_buf_add_lit(&bench.bytes, "C");
    put_number(0, 1);
    put_number(at, 8);
    put_number(at + 50, 8);
    put_number(0, 8);
    end_message();
}

static struct hs_str message(size_t i)
{
    return hs_strn(bench.bytes.p + bench.ends[i], bench.ends[i + 1] - bench.ends[i]);
}

/* A stream begins: the table is described. */
static void describe(void)
{
    struct pgoutput_message m;
    struct hs_buf all = bench.bytes;

    hs_buf_init(&bench.bytes, MESSAGE_MAX);
    hs_buf_add_char(&bench.bytes, 'R');
    put_number(OID, 4);
    hs_buf_add(&bench.bytes, hs_strn("public\0clients", sizeof("public\0clients")));
    hs_buf_add_char(&bench.bytes, 'i');
    put_number(COLUMNS, 2);
    for (int i = 0; i < COLUMNS; i++) {
        put_number(i < 2, 1);
        hs_buf_add(&bench.bytes, hs_strn(names[i], strlen(names[i]) + 1));
        put_number(25, 4);
        put_number(UINT32_MAX, 4);
    }
    pgoutput_reset(bench.reader);
    need(pgoutput_read(bench.reader, hs_buf_str(&bench.bytes), &m, NULL) == HS_OK, "bad table");
    hs_buf_fini(&bench.bytes);
    bench.bytes = all;
}

/* ---- the runs ---- */

/* Of the processor, since the machine may have other work. */
static double cpu_seconds(void)
{
    struct timespec t;

    need(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0, "no clock");
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(const char *what, uint64_t changes, double seconds)
{
    printf("%-18s %6.2f million changes/s of CPU\n", what, (double)changes / seconds / 1e6);
}

static void take(const struct pgoutput_message *m, bool is_stamping)
{
    if (m->kind == PGOUTPUT_CHANGE && is_stamping)
        cache_feed_change(bench.state, &m->change);
    else if (m->kind == PGOUTPUT_COMMIT && is_stamping)
        cache_feed_position(bench.state, m->end_lsn);
}

static void run(const char *what, uint64_t changes, bool is_stamping)
{
    double began = cpu_seconds();
    uint64_t rounds = changes / ((uint64_t)TRANSACTIONS * CHANGES) + 1;

    for (uint64_t round = 0; round < rounds; round++) {
        describe(); /* positions start again, which the reader takes of a new stream only */
        for (size_t i = 0; i < bench.n; i++) {
            struct pgoutput_message m;

            need(pgoutput_read(bench.reader, message(i), &m, NULL) == HS_OK, "bad message");
            take(&m, is_stamping);
        }
    }
    report(what, rounds * TRANSACTIONS * CHANGES, cpu_seconds() - began);
}

static void open_state(void)
{
    struct cache_state_setup setup = {
        .stamps = 1 << 20,
        .tables_max = 64,
        .shapes_max = 64,
        .table_shapes_max = 16,
        .max_staleness = HS_SECOND,
        .wake = no_wake,
    };
    const struct hs_str company[] = {HS_STR("company_id")};
    const struct hs_str pair[] = {HS_STR("company_id"), HS_STR("status")};
    const struct hs_str id[] = {HS_STR("id")};
    uint32_t table;

    need(cache_state_new(&setup, &bench.state, NULL) == HS_OK, "no memory");
    cache_feed_begin(bench.state, 1, 100);
    table = cache_table(bench.state, OID);
    cache_feed_table(bench.state, OID, NULL, 0, 100);
    need(cache_shape(bench.state, table, company, 1) != CACHE_NO_INDEX, "no shape");
    need(cache_shape(bench.state, table, pair, 2) != CACHE_NO_INDEX, "no shape");
    need(cache_shape(bench.state, table, id, 1) != CACHE_NO_INDEX, "no shape");
    cache_feed_position(bench.state, 100);
}

int main(int argc, char **argv)
{
    uint64_t millions = argc > 1 ? strtoull(argv[1], NULL, 10) : 5;

    bench.rng.state = 1;
    hs_buf_init(&bench.bytes, (size_t)MESSAGES * MESSAGE_MAX);
    for (uint64_t i = 0; i < TRANSACTIONS; i++)
        put_transaction(1000 + i * 100);
    need(!hs_buf_failed(&bench.bytes), "no memory");
    bench.reader = pgoutput_new();
    need(bench.reader, "no memory");
    open_state();
    run("decoder alone", millions * 1000000, /* is_stamping= */ false);
    run("decoder and stamps", millions * 1000000, /* is_stamping= */ true);
    cache_state_free(bench.state);
    pgoutput_free(bench.reader);
    hs_buf_fini(&bench.bytes);
    return 0;
}
