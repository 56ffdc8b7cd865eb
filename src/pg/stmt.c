/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statement texts and prepared statements: two chained hash tables with a bound each. Both compare the
 * whole key, never only its hash: whoever runs another's statement would break isolation.
 *
 * Slow or not. A batch answers as a whole, so a run's time is its share of the batch's, in proportion to
 * what was known before (pipeline.c). When a batch of several texts is slow, each of them is suspect and
 * runs alone once, which measures it exactly; the innocent are back at once.
 *
 * plan_cache_mode. 'auto' until a window of PLAN_WINDOW runs takes more than PLAN_WORTH_US on average;
 * then the next window runs with force_custom_plan, and the better of both stays for PLAN_KEEP runs.
 * The bar is high because the clock also counts waiting for a processor: planning costs some tenths of a
 * millisecond, so beside 5 ms even a wrong choice is cheap, and custom must win by half (measured: with
 * 1 ms and a fifth, a busy machine made a 0.05 ms statement three times as expensive). Samples of
 * a run that was sent before a decision are told apart by the mode it was sent with.
 */
#include "pg/stmt_int.h"

#include <stdio.h>

#include "core/hash.h"
#include "core/mem.h"

enum { PLAN_WINDOW = 8, PLAN_WORTH_US = 5000, PLAN_KEEP = 10000, EVICT_SCAN_MAX = 64 };

static const double FIRST_GUESS_US = 100;
static const double CUSTOM_MUST_WIN = 0.5;

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

static void decide_plan(struct pg_text *text, double mean)
{
    switch (text->phase) {
    case PG_PLAN_OBSERVED:
        if (mean <= PLAN_WORTH_US)
            return;
        text->auto_us = mean;
        text->plan = PG_PLAN_CUSTOM;
        text->phase = PG_PLAN_ON_TRIAL;
        return;
    case PG_PLAN_ON_TRIAL:
        if (mean >= text->auto_us * CUSTOM_MUST_WIN)
            text->plan = PG_PLAN_AUTO;
        text->phase = PG_PLAN_KEPT;
        return;
    case PG_PLAN_KEPT:
        text->plan = PG_PLAN_AUTO;
        text->phase = PG_PLAN_OBSERVED;
        return;
    }
}

static void measure_plan(struct pg_text *text, double us)
{
    text->plan_runs++;
    text->plan_sum_us += us;
    if (text->plan_runs < (text->phase == PG_PLAN_KEPT ? PLAN_KEEP : PLAN_WINDOW))
        return;
    decide_plan(text, text->plan_sum_us / text->plan_runs);
    text->plan_runs = 0;
    text->plan_sum_us = 0;
}

void pg_text_measured(struct pg_text *text, enum pg_plan plan, double us, bool exact)
{
    if (exact && text->is_suspect) {
        text->is_suspect = false;
        text->is_probing = false;
        text->mean_us = us;
    } else {
        text->mean_us += (us - text->mean_us) / 8;
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
