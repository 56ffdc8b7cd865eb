/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statement texts and prepared statements: two chained hash tables with a bound each. Both compare the
 * whole key, never only its hash: whoever runs another's statement would break isolation.
 *
 * All times are of the wall clock, which also counts waiting for a processor: on a busy machine one run
 * in a hundred takes a hundred times as long. What is decided from them is built to stand that.
 *
 * Slow or not. A batch answers as a whole, so a run's time is its share of the batch's, in proportion to
 * what was known before (pipeline.c), and one measurement raises the mean by a bounded factor only. When
 * a batch takes surprisingly long, each of its texts is suspect and runs alone, which measures it
 * exactly; it is slow if it is so twice, and the innocent are back at once.
 *
 * plan_cache_mode. 'auto' weighs a guess of what planning costs against guesses of what plans cost, and
 * errs both ways: it plans a cursor's page anew each time (measured: 90 us for rows that take 22), and
 * holds on to a generic plan that takes 68 ms where a custom one takes 0.12. So a window of PLAN_WINDOW
 * runs of 'auto' is followed by one with the other choice: force_custom_plan where a run takes more than
 * PLAN_WORTH_US, else force_generic_plan. Whichever wins PLAN_TRIALS such trials in a row stays for
 * PLAN_KEEP runs; one lost, and 'auto' stays for PLAN_RETRY.
 *
 * What is compared differs with what is to be found. Custom plans are for the few values for which the
 * generic one is bad: means are compared, without the longest two runs, and custom must win by half.
 * Generic plans spare each run the planning: quartiles are compared, which noise hardly moves, and a
 * fifth is enough; but the first run that takes PLAN_WORTH_US ends the trial, and some of them the stay.
 * Runs that were sent before a decision are told apart by the mode they were sent with.
 */
#include "pg/stmt_int.h"

#include <float.h>
#include <stdio.h>

#include "core/hash.h"
#include "core/mem.h"

enum {
    PLAN_WINDOW = 16,
    PLAN_WORTH_US = 5000,
    PLAN_TRIALS = 3,
    PLAN_KEEP = 10000,
    PLAN_RETRY = 1000
};
enum { EVICT_SCAN_MAX = 64 };

static const double FIRST_GUESS_US = 100;
static const double MUST_WIN[] = {[PG_PLAN_CUSTOM] = 0.5, [PG_PLAN_GENERIC] = 0.8};
static const double RISE_MAX = 4; /* of the mean, by one measurement; an eighth of it counts */

static size_t buckets_for(size_t max)
{
    size_t n = 16;

    while (n < max)
        n *= 2;
    return n;
}

/* ---- texts ---- */

bool pg_texts_init(struct pg_texts *texts, size_t max)
{
    *texts = (struct pg_texts){.n_buckets = buckets_for(max), .max = max};
    hs_list_init(&texts->lru);
    texts->bucket = hs_calloc(texts->n_buckets, sizeof(*texts->bucket));
    return texts->bucket != NULL;
}

static void text_free(struct pg_texts *texts, struct pg_text *text)
{
    struct pg_text **at = &texts->bucket[text->hash & (texts->n_buckets - 1)];

    while (*at != text)
        at = &(*at)->chain;
    *at = text->chain;
    hs_list_remove(&text->lru);
    texts->n--;
    hs_free(text);
}

void pg_texts_fini(struct pg_texts *texts)
{
    struct hs_list *node;

    if (!texts->bucket)
        return;
    while ((node = hs_list_first(&texts->lru)))
        text_free(texts, HS_CONTAINER(node, struct pg_text, lru));
    hs_free(texts->bucket);
    texts->bucket = NULL;
}

/*
 * Texts in use may be more than max: they are bounded by the statements that are prepared or wait. The
 * look for an unused one is bounded too; whatever it misses goes another time.
 */
static void texts_make_room(struct pg_texts *texts)
{
    struct hs_list *node = texts->lru.next;

    for (unsigned n = 0; texts->n >= texts->max && n < EVICT_SCAN_MAX && node != &texts->lru; n++) {
        struct pg_text *text = HS_CONTAINER(node, struct pg_text, lru);

        node = node->next;
        if (!text->refs)
            text_free(texts, text);
    }
}

static void begin_phase(struct pg_text *text, enum pg_plan_phase phase, enum pg_plan plan)
{
    text->phase = phase;
    text->plan = plan;
    text->plan_runs = 0;
    text->plan_bad = 0;
    text->plan_sum_us = 0;
    memset(text->plan_top_us, 0, sizeof(text->plan_top_us));
    for (size_t i = 0; i < PG_PLAN_LOW; i++)
        text->plan_low_us[i] = DBL_MAX;
    if (phase == PG_PLAN_KEPT)
        text->plan_wins = 0;
}

static struct pg_text *text_new(struct pg_texts *texts, struct hs_str sql, uint64_t hash)
{
    struct pg_text *text;
    char *copy;

    texts_make_room(texts);
    text = hs_calloc(1, sizeof(*text) + sql.n + 1);
    if (!text)
        return NULL;
    copy = (char *)(text + 1);
    memcpy(copy, sql.p, sql.n);
    text->sql = hs_strn(copy, sql.n);
    text->hash = hash;
    text->mean_us = FIRST_GUESS_US;
    begin_phase(text, PG_PLAN_OBSERVED, PG_PLAN_AUTO);
    text->chain = texts->bucket[hash & (texts->n_buckets - 1)];
    texts->bucket[hash & (texts->n_buckets - 1)] = text;
    hs_list_init(&text->lru);
    texts->n++;
    return text;
}

struct pg_text *pg_texts_get(struct pg_texts *texts, struct hs_str sql, uint64_t hash)
{
    struct pg_text *text = texts->bucket[hash & (texts->n_buckets - 1)];

    while (text && !(text->hash == hash && hs_str_eq(text->sql, sql)))
        text = text->chain;
    if (!text)
        text = text_new(texts, sql, hash);
    if (!text)
        return NULL;
    hs_list_remove(&text->lru);
    hs_list_append(&texts->lru, &text->lru);
    text->refs++;
    return text;
}

static double mean_of(const struct pg_text *text)
{
    double sum = text->plan_sum_us;

    for (size_t i = 0; i < PG_PLAN_TRIM; i++)
        sum -= text->plan_top_us[i];
    return sum / (text->plan_runs - PG_PLAN_TRIM);
}

static double compared_of(const struct pg_text *text)
{
    return text->candidate == PG_PLAN_CUSTOM ? mean_of(text) : text->plan_low_us[PG_PLAN_LOW - 1];
}

static void try_plan(struct pg_text *text)
{
    enum pg_plan plan = mean_of(text) > PLAN_WORTH_US ? PG_PLAN_CUSTOM : PG_PLAN_GENERIC;

    if (plan != text->candidate)
        text->plan_wins = 0;
    text->candidate = plan;
    text->auto_us = compared_of(text);
    begin_phase(text, PG_PLAN_ON_TRIAL, plan);
}

static void decide_plan(struct pg_text *text)
{
    switch (text->phase) {
    case PG_PLAN_OBSERVED:
        try_plan(text);
        return;
    case PG_PLAN_ON_TRIAL:
        if (compared_of(text) >= text->auto_us * MUST_WIN[text->plan])
            begin_phase(text, PG_PLAN_KEPT, PG_PLAN_AUTO);
        else if (++text->plan_wins == PLAN_TRIALS)
            begin_phase(text, PG_PLAN_KEPT, text->plan);
        else
            begin_phase(text, PG_PLAN_OBSERVED, PG_PLAN_AUTO);
        return;
    case PG_PLAN_KEPT:
        begin_phase(text, PG_PLAN_OBSERVED, PG_PLAN_AUTO);
        return;
    }
}

static void note_longest(struct pg_text *text, double us)
{
    for (size_t i = 0; i < PG_PLAN_TRIM; i++) {
        double shorter = text->plan_top_us[i];

        if (us <= shorter)
            continue;
        text->plan_top_us[i] = us;
        us = shorter;
    }
}

static void note_shortest(struct pg_text *text, double us)
{
    for (size_t i = 0; i < PG_PLAN_LOW; i++) {
        double longer = text->plan_low_us[i];

        if (us >= longer)
            continue;
        text->plan_low_us[i] = us;
        us = longer;
    }
}

static unsigned phase_runs(const struct pg_text *text)
{
    if (text->phase != PG_PLAN_KEPT)
        return PLAN_WINDOW;
    return text->plan == PG_PLAN_AUTO ? PLAN_RETRY : PLAN_KEEP;
}

/* A generic plan that is bad for some values: a stay may meet a few runs that waited for a processor. */
static bool is_bad_generic(struct pg_text *text, double us)
{
    unsigned most = text->phase == PG_PLAN_KEPT ? 3 + text->plan_runs / PLAN_WINDOW : 0;

    if (text->plan != PG_PLAN_GENERIC || us <= PLAN_WORTH_US)
        return false;
    return ++text->plan_bad > most;
}

static void measure_plan(struct pg_text *text, double us)
{
    if (is_bad_generic(text, us)) {
        begin_phase(text, PG_PLAN_KEPT, PG_PLAN_AUTO);
        return;
    }
    text->plan_runs++;
    text->plan_sum_us += us;
    note_longest(text, us);
    note_shortest(text, us);
    if (text->plan_runs == phase_runs(text))
        decide_plan(text);
}

/* A run alone clears of suspicion, or confirms it the second time. */
static void measure_suspect(struct pg_text *text, double us, hs_us slow)
{
    if (us > (double)slow && text->probe_us == 0) {
        text->probe_us = us;
        return;
    }
    text->mean_us = text->probe_us > 0 && text->probe_us < us ? text->probe_us : us;
    text->is_suspect = false;
    text->probe_us = 0;
}

void pg_text_measured(struct pg_text *text, enum pg_plan plan, double us, bool exact, hs_us slow)
{
    if (exact && text->is_suspect) {
        measure_suspect(text, us, slow);
    } else {
        double most = text->mean_us * RISE_MAX + FIRST_GUESS_US;

        text->mean_us += ((us < most ? us : most) - text->mean_us) / 8;
    }
    if (plan == text->plan)
        measure_plan(text, us);
}

/* ---- prepared statements ---- */

bool pg_stmts_init(struct pg_stmts *stmts, size_t max)
{
    *stmts = (struct pg_stmts){.n_buckets = buckets_for(max), .max = max};
    hs_list_init(&stmts->lru);
    hs_list_init(&stmts->dropped);
    stmts->bucket = hs_calloc(stmts->n_buckets, sizeof(*stmts->bucket));
    return stmts->bucket != NULL;
}

void pg_stmt_free(struct pg_stmt *stmt)
{
    pg_text_unref(stmt->text);
    hs_free(stmt);
}

void pg_stmts_fini(struct pg_stmts *stmts)
{
    if (!stmts->bucket)
        return;
    pg_stmts_clear(stmts);
    hs_free(stmts->bucket);
    stmts->bucket = NULL;
}

static uint64_t key_of(const struct pg_text *text, const struct hs_identity *who)
{
    return text->hash ^ (who->role_hash * 0x9e3779b97f4a7c15u);
}

struct pg_stmt *pg_stmts_find(struct pg_stmts *stmts, const struct pg_text *text,
                              const struct hs_identity *who)
{
    uint64_t key = key_of(text, who);
    struct pg_stmt *stmt = stmts->bucket[key & (stmts->n_buckets - 1)];

    while (stmt && !(stmt->key == key && stmt->text == text && hs_str_eq(stmt->role, who->role)))
        stmt = stmt->chain;
    if (stmt && stmts->lru.prev != &stmt->lru) {
        hs_list_remove(&stmt->lru);
        hs_list_append(&stmts->lru, &stmt->lru);
    }
    return stmt;
}

static struct pg_stmt *oldest_unused(const struct pg_stmts *stmts)
{
    for (struct hs_list *node = stmts->lru.next; node != &stmts->lru; node = node->next) {
        struct pg_stmt *stmt = HS_CONTAINER(node, struct pg_stmt, lru);

        if (!stmt->refs)
            return stmt;
    }
    return NULL;
}

bool pg_stmts_has_room(const struct pg_stmts *stmts)
{
    return stmts->n < stmts->max || oldest_unused(stmts);
}

struct pg_stmt *pg_stmts_add(struct pg_stmts *stmts, struct pg_text *text,
                             const struct hs_identity *who)
{
    struct pg_stmt *stmt = hs_calloc(1, sizeof(*stmt) + who->role.n + 1);
    struct pg_stmt *oldest = stmts->n >= stmts->max ? oldest_unused(stmts) : NULL;
    struct pg_stmt **bucket;
    char *role;

    if (!stmt)
        return NULL;
    if (oldest)
        pg_stmts_forget(stmts, oldest, /* on_server= */ true);
    role = (char *)(stmt + 1);
    memcpy(role, who->role.p, who->role.n);
    stmt->role = hs_strn(role, who->role.n);
    stmt->text = text;
    text->refs++;
    stmt->key = key_of(text, who);
    (void)snprintf(stmt->name, sizeof(stmt->name), "hs_%llu", (unsigned long long)++stmts->named);
    bucket = &stmts->bucket[stmt->key & (stmts->n_buckets - 1)];
    stmt->chain = *bucket;
    *bucket = stmt;
    hs_list_init(&stmt->lru);
    hs_list_append(&stmts->lru, &stmt->lru);
    stmts->n++;
    return stmt;
}

void pg_stmts_forget(struct pg_stmts *stmts, struct pg_stmt *stmt, bool on_server)
{
    struct pg_stmt **at;

    if (stmt->is_dead)
        return;
    at = &stmts->bucket[stmt->key & (stmts->n_buckets - 1)];
    while (*at != stmt)
        at = &(*at)->chain;
    *at = stmt->chain;
    hs_list_remove(&stmt->lru);
    stmts->n--;
    stmt->is_dead = true;
    if (on_server)
        hs_list_append(&stmts->dropped, &stmt->lru);
    else if (!stmt->refs)
        pg_stmt_free(stmt);
}

void pg_stmts_clear(struct pg_stmts *stmts)
{
    struct hs_list *node;

    while ((node = hs_list_first(&stmts->lru)))
        pg_stmts_forget(stmts, HS_CONTAINER(node, struct pg_stmt, lru), /* on_server= */ false);
    while ((node = hs_list_pop(&stmts->dropped))) {
        struct pg_stmt *stmt = HS_CONTAINER(node, struct pg_stmt, lru);

        if (!stmt->refs)
            pg_stmt_free(stmt);
    }
}

/* A dropped one is freed by who deallocates it. */
void pg_stmt_unref(struct pg_stmt *stmt)
{
    HS_HOT_BUG_ON(stmt->refs == 0);
    if (--stmt->refs == 0 && stmt->is_dead && hs_list_is_empty(&stmt->lru))
        pg_stmt_free(stmt);
}

/* Those still in flight wait: deallocating them now would fail what was sent behind. */
struct pg_stmt *pg_stmts_pop_dropped(struct pg_stmts *stmts)
{
    for (struct hs_list *node = stmts->dropped.next; node != &stmts->dropped; node = node->next) {
        struct pg_stmt *stmt = HS_CONTAINER(node, struct pg_stmt, lru);

        if (stmt->refs)
            continue;
        hs_list_remove(&stmt->lru);
        return stmt;
    }
    return NULL;
}
