/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C core beside the executable specification of the coherent cache: vectors.json holds calls of the
 * specification with their results, one JSON object a line; each is repeated here and the result compared.
 *
 * The specification counts from 0 where the core has 0 for "none": positions are moved up by SHIFT (a stamp of 0
 * stays "never stamped"), epochs by 1, and an age becomes a time before NOW.
 */
#include <jansson.h>

#include "cache/state.h"
#include "core/fence.h"
#include "test.h"

enum { SHIFT = 100, LIST_MAX = 64, TABLE_OID = 16400 };
#define NOW (100 * HS_SECOND)

static const char *const CALLS[] = {"position_part", "entry_part", "next_fence", "stamp_tx"};

static json_int_t integer(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static uint64_t position(const json_t *object, const char *name)
{
    return (uint64_t)(integer(object, name) + SHIFT);
}

/* A floor may be null: not coherent, not known. */
static uint64_t floor_of(const json_t *object, const char *name)
{
    return json_is_null(json_object_get(object, name)) ? CACHE_NEVER : position(object, name);
}

static uint64_t stamp_of(const json_t *object, size_t slot)
{
    json_int_t stamp = json_integer_value(json_array_get(json_object_get(object, "stamps"), slot));

    return stamp ? (uint64_t)stamp + SHIFT : 0;
}

static struct cache_token token_of(const json_t *pair)
{
    if (json_is_null(pair))
        return (struct cache_token){.epoch = CACHE_EPOCH_NONE};
    return (struct cache_token){
        .epoch = (uint64_t)json_integer_value(json_array_get(pair, 0)) + 1,
        .position = (uint64_t)json_integer_value(json_array_get(pair, 1)) + SHIFT,
    };
}

static struct cache_view view_of(const json_t *node)
{
    return (struct cache_view){
        .epoch = (uint64_t)integer(node, "ep") + 1,
        .position = position(node, "pos"),
        .begun = position(node, "begun"),
        .proof_at = NOW - (hs_us)integer(node, "proof") * HS_SECOND,
        .poll_at = NOW,
        .required = token_of(json_object_get(node, "req")),
    };
}

static bool run_position_part(const json_t *call)
{
    struct cache_view view = view_of(json_object_get(call, "node"));

    return cache_rule_position(&view, token_of(json_object_get(call, "token")), NOW,
                               (hs_us)integer(call, "max_staleness") * HS_SECOND);
}

static bool run_entry_part(const json_t *call)
{
    const json_t *node = json_object_get(call, "node");
    struct cache_view view = view_of(node);
    struct cache_moment entry = {.epoch = (uint64_t)integer(call, "epoch") + 1,
                                 .fence = position(call, "fence")};

    return cache_rule_entry(&view, &entry) &&
           cache_rule_tag(entry.fence, floor_of(node, "table"),
                          integer(call, "tag") ? floor_of(node, "shape") : 0,
                          stamp_of(node, (size_t)integer(call, "slot")));
}

static json_int_t run_next_fence(const json_t *call)
{
    const json_t *decoded = json_object_get(call, "decoded");
    const json_t *xip = json_object_get(call, "xip");
    struct hs_fence_commit commits[LIST_MAX];
    uint64_t running[LIST_MAX];
    struct hs_fence_snapshot snapshot = {.xmax = (uint64_t)integer(call, "xmax"),
                                         .running = running,
                                         .n_running = json_array_size(xip)};
    uint64_t fence = integer(call, "fence") < 0 ? 0 : position(call, "fence");

    assert_in_range(json_array_size(decoded), 0, LIST_MAX);
    assert_in_range(snapshot.n_running, 0, LIST_MAX);
    for (size_t i = 0; i < snapshot.n_running; i++)
        running[i] = (uint64_t)json_integer_value(json_array_get(xip, i));
    snapshot.xmin = snapshot.n_running ? running[0] : snapshot.xmax;
    for (size_t i = 0; i < json_array_size(decoded); i++) {
        const json_t *commit = json_array_get(decoded, i);

        commits[i].start = (uint64_t)json_integer_value(json_array_get(commit, 0)) + SHIFT;
        commits[i].end = (uint64_t)json_integer_value(json_array_get(commit, 1)) + SHIFT;
        commits[i].xid = (uint32_t)json_integer_value(json_array_get(commit, 2));
    }
    fence = hs_fence_next(fence, (uint64_t)integer(call, "boot"), position(call, "begun"),
                          position(call, "pos"), commits, json_array_size(decoded), &snapshot);
    return fence ? (json_int_t)fence - SHIFT : -1;
}

/* ---- stamp_tx: a state is brought to where the node is, and given the change ---- */

static void no_wake(void *ctx)
{
    (void)ctx;
}

static struct cache_state *new_state(void)
{
    struct cache_state_setup setup = {
        .stamps = 1 << 12,
        .tables_max = 4,
        .shapes_max = 4,
        .table_shapes_max = 4,
        .max_staleness = HS_SECOND,
        .wake = no_wake,
    };
    struct cache_state *state;

    assert_int_equal(cache_state_new(&setup, &state, NULL), HS_OK);
    return state;
}

/* A row of the tenant, 0 = of none (NULL). */
static struct hs_change_value tenant_value(json_int_t tenant)
{
    static const char digits[] = "0123456789";

    return tenant ? (struct hs_change_value){HS_VALUE_TEXT, hs_strn(digits + tenant, 1)}
                  : (struct hs_change_value){HS_VALUE_NULL, HS_STR_NULL};
}

static void give_row(struct cache_state *state, struct hs_change_table *table, const json_t *old,
                     const json_t *new, uint64_t stamp)
{
    struct hs_change_value was = tenant_value(json_integer_value(old));
    struct hs_change_value is = tenant_value(json_integer_value(new));
    struct hs_change change = {.table = table, .stamp = stamp};

    change.kind = !json_is_integer(old)   ? HS_CHANGE_INSERT
                  : !json_is_integer(new) ? HS_CHANGE_DELETE
                                          : HS_CHANGE_UPDATE;
    change.old = change.kind == HS_CHANGE_INSERT ? NULL : &was;
    change.new = change.kind == HS_CHANGE_DELETE ? NULL : &is;
    cache_feed_change(state, &change);
}

/* The table's tag and those of tenants 1 and 2 carry the stamps and floors of `as`. */
static void compare(struct cache_state *state, uint32_t table, uint32_t shape, const json_t *as,
                    const char *line)
{
    for (json_int_t tag = 0; tag <= 2; tag++) {
        struct hs_str value = tenant_value(tag).text;
        uint64_t want = stamp_of(as, (size_t)tag);
        uint64_t got;

        if (floor_of(as, "table") > want)
            want = floor_of(as, "table");
        if (tag && floor_of(as, "shape") > want)
            want = floor_of(as, "shape");
        if (tag && shape == CACHE_NO_INDEX)
            continue; /* nobody can ask */
        got = cache_tag_bar(state, tag ? cache_tag_rows(state, shape, &value)
                                       : cache_tag_table(state, table));
        if (got != want)
            fail_msg("tag %d: %llu, not %llu: %s", (int)tag, (unsigned long long)got,
                     (unsigned long long)want, line);
    }
}

static void bring_to(struct cache_state *state, struct hs_change_table *table, const json_t *node,
                     uint32_t *ret_shape)
{
    static const struct hs_str tenant = {"tenant", 6};
    uint64_t shape_floor = floor_of(node, "shape");

    cache_feed_begin(state, (uint64_t)integer(node, "ep") + 1, SHIFT);
    cache_feed_table(state, TABLE_OID, NULL, 0, floor_of(node, "table"));
    *ret_shape = CACHE_NO_INDEX;
    if (shape_floor != CACHE_NEVER) {
        *ret_shape = cache_shape(state, cache_table(state, TABLE_OID), &tenant, 1);
        cache_feed_position(state, shape_floor);
    }
    for (json_int_t tag = 0; tag <= 2; tag++) {
        json_t *new = json_integer(tag);

        if (stamp_of(node, (size_t)tag))
            give_row(state, table, NULL, new, stamp_of(node, (size_t)tag));
        json_decref(new);
    }
    cache_feed_position(state, position(node, "pos"));
}

/* Streamed transactions, gathered before the shape existed, are none of this protocol version. */
static bool is_streamed(const json_t *call)
{
    json_t *chunks = json_object_get(call, "chunks");
    json_t *chunk;
    size_t i;

    json_array_foreach(chunks, i, chunk)
    {
        if (json_integer_value(json_array_get(chunk, 0)) == integer(call, "tx"))
            return true;
    }
    return false;
}

static void run_stamp_tx(const json_t *call, const char *line)
{
    static const struct hs_change_column column = {{"tenant", 6}, 23, true};
    struct hs_change_table table = {.oid = TABLE_OID, .columns = &column, .n_columns = 1};
    const json_t *node = json_object_get(call, "node");
    struct cache_state *state = new_state();
    uint64_t stamp = position(call, "final_lsn") + 1;
    uint32_t shape;

    bring_to(state, &table, node, &shape);
    compare(state, cache_table(state, TABLE_OID), shape, node, line);
    if (strcmp(json_string_value(json_object_get(call, "kind")), "truncate") == 0)
        cache_feed_truncate(state, TABLE_OID, stamp);
    else
        give_row(state, &table, json_object_get(call, "old"), json_object_get(call, "new"), stamp);
    compare(state, cache_table(state, TABLE_OID), shape, json_object_get(call, "want"), line);
    cache_state_free(state);
}

/* ---- */

static void run(const json_t *call, size_t kind, const char *line)
{
    const json_t *want = json_object_get(call, "want");

    if (kind == 0 && run_position_part(call) != json_is_true(want))
        fail_msg("wrong: %s", line);
    if (kind == 1 && run_entry_part(call) != json_is_true(want))
        fail_msg("wrong: %s", line);
    if (kind == 2 && run_next_fence(call) != json_integer_value(want))
        fail_msg("%d is wrong: %s", (int)run_next_fence(call), line);
    if (kind == 3 && !is_streamed(call))
        run_stamp_tx(call, line);
}

static void vectors(void **unused)
{
    FILE *file = fopen("tests/unit/cache/vectors.json", "r");
    size_t counts[HS_LEN(CALLS)] = {0};
    char line[8192];

    (void)unused;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        json_t *call = json_loads(line, 0, NULL);
        const char *name = json_string_value(json_object_get(call, "call"));
        size_t kind = 0;

        assert_non_null(name);
        while (kind < HS_LEN(CALLS) && strcmp(name, CALLS[kind]) != 0)
            kind++;
        assert_in_range(kind, 0, HS_LEN(CALLS) - 1);
        run(call, kind, line);
        counts[kind]++;
        json_decref(call);
    }
    (void)fclose(file);
    for (size_t i = 0; i < HS_LEN(CALLS); i++)
        assert_true(counts[i] > 20);
}

/* ---- what the specification does not say ---- */

static void times(void **unused)
{
    struct cache_token none = {.epoch = CACHE_EPOCH_NONE};
    struct cache_view good = {.epoch = 1, .position = 5, .proof_at = NOW, .poll_at = NOW};
    struct cache_view view = good;

    (void)unused;
    assert_true(cache_rule_position(&view, none, NOW + HS_SECOND, HS_SECOND));
    assert_false(cache_rule_position(&view, none, NOW + HS_SECOND + 1, HS_SECOND));
    assert_true(cache_rule_position(&view, none, NOW - 1, HS_SECOND)); /* stored a moment later */
    view.poll_at = NOW - HS_SECOND - 1;
    assert_false(cache_rule_position(&view, none, NOW, HS_SECOND));
    view.poll_at = 0;
    assert_false(cache_rule_position(&view, none, HS_SECOND / 2, HS_SECOND));
    view = good;
    view.proof_at = 0;
    assert_false(cache_rule_position(&view, none, HS_SECOND / 2, HS_SECOND));
    view = good;
    view.epoch = CACHE_EPOCH_NONE;
    assert_false(cache_rule_position(&view, none, NOW, HS_SECOND));
    view = good;
    view.required_proof = NOW + 1;
    assert_false(cache_rule_position(&view, none, NOW, HS_SECOND));
    view.proof_at = NOW + 1;
    assert_true(cache_rule_position(&view, none, NOW, HS_SECOND));
}

static void entries(void **unused)
{
    struct cache_view view = {.epoch = 1, .begun = 10, .generation = 3};
    struct cache_moment entry = {.epoch = 1, .fence = 10, .generation = 3};

    (void)unused;
    assert_true(cache_rule_entry(&view, &entry));
    entry.generation = 2;
    assert_false(cache_rule_entry(&view, &entry));
    entry.generation = 4;
    assert_false(cache_rule_entry(&view, &entry));
    entry = (struct cache_moment){.epoch = 1, .fence = 9, .generation = 3}; /* before the feed */
    assert_false(cache_rule_entry(&view, &entry));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(times),
        cmocka_unit_test(entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
