/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables, shapes and tags: names become numbers, numbers and values become hashes.
 *
 * Both tables of numbers are open addressing over arrays whose size is known at the start. A slot goes from 0
 * to a number once and never back, so a look-up is a probe with acquiring loads; who finds nothing takes the lock
 * and looks once more.
 *
 *     table   H(oid)
 *     shape   table, then its columns' names, folded in one after the other
 *     tag     shape, then the values; a companion: shape, its columns' bits, then their values
 *
 * All of it is under the tag key, so that no client can choose values that share a slot with another's.
 * A fold keeps order and borders: ("ab","c") is not ("a","bc").
 */
#include "cache/state_int.h"

#include <xxhash.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/rng.h"

/* A table of numbers is at most half full. */
static size_t slots_for(size_t max)
{
    size_t n = 16;

    while (n < 2 * max)
        n *= 2;
    return n;
}

/* XXH3 wants a whole secret; it is stretched from the key, the same on every node. */
static void set_secret(struct cache_state *state, const char key[static 16])
{
    struct hs_rng rng[2];

    memcpy(&rng[0].state, key, sizeof(uint64_t));
    memcpy(&rng[1].state, key + sizeof(uint64_t), sizeof(uint64_t));
    for (size_t i = 0; i < STATE_SECRET; i += sizeof(uint64_t)) {
        uint64_t v = hs_rng_next(&rng[0]) ^ hs_rng_next(&rng[1]) * 0x9e3779b97f4a7c15u;

        memcpy(state->secret + i, &v, sizeof(v));
    }
}

hs_status state_tags_init(struct cache_state *state, struct hs_err *reterr)
{
    size_t n_tables = slots_for(state->setup.tables_max);
    size_t n_shapes = slots_for(state->setup.shapes_max);

    set_secret(state, state->setup.tag_key);
    state->table_slots_mask = n_tables - 1;
    state->shape_slots_mask = n_shapes - 1;
    state->table_slots = hs_calloc(n_tables, sizeof(*state->table_slots));
    state->shape_slots = hs_calloc(n_shapes, sizeof(*state->shape_slots));
    state->tables = hs_calloc(state->setup.tables_max, sizeof(*state->tables));
    state->shapes = hs_calloc(state->setup.shapes_max, sizeof(*state->shapes));
    if (!state->table_slots || !state->shape_slots || !state->tables || !state->shapes)
        return hs_fail_memory(reterr);
    return HS_OK;
}

void state_tags_fini(struct cache_state *state)
{
    size_t n = atomic_load(&state->n_shapes);

    for (size_t i = 0; i < n; i++)
        hs_free(state->shapes[i].names);
    hs_free(state->shapes);
    hs_free(state->tables);
    hs_free(state->shape_slots);
    hs_free(state->table_slots);
}

bool cache_state_set_key(struct cache_state *state, const char key[static 16])
{
    bool is_early;

    pthread_mutex_lock(&state->registry);
    is_early = atomic_load(&state->n_tables) == 0;
    if (is_early) {
        memcpy(state->setup.tag_key, key, sizeof(state->setup.tag_key));
        set_secret(state, key);
    }
    is_early = is_early || memcmp(state->setup.tag_key, key, sizeof(state->setup.tag_key)) == 0;
    pthread_mutex_unlock(&state->registry);
    return is_early;
}

/* ---- hashes ---- */

static inline uint64_t fold(const struct cache_state *state, uint64_t hash, const void *p, size_t n)
{
    uint64_t v = hash * 0x9e3779b97f4a7c15u +
                 XXH3_64bits_withSecret(p, n, state->secret, STATE_SECRET);

    v = (v ^ (v >> 32)) * 0xd6e8feb86659fd93u;
    return v ^ (v >> 32);
}

static uint64_t hash_of_shape(const struct cache_state *state, uint32_t table,
                              const struct hs_str *columns, size_t n)
{
    uint64_t hash = state->tables[table].hash;

    for (size_t i = 0; i < n; i++)
        hash = fold(state, hash, columns[i].p, columns[i].n);
    return hash;
}

uint64_t state_tag_hash(const struct cache_state *state, const struct state_shape *shape,
                        uint32_t columns, const struct hs_str *values)
{
    uint64_t hash = shape->hash;

    if (columns != state_all_columns(shape))
        hash = fold(state, hash, &columns, sizeof(columns));
    for (uint32_t i = 0; i < shape->n; i++) {
        if (columns & UINT32_C(1) << i)
            hash = fold(state, hash, values[i].p, values[i].n);
    }
    return hash;
}

/* ---- tables ---- */

/* Oids are dense numbers: spread by multiplication (Fibonacci hashing). */
static size_t table_place(const struct cache_state *state, uint32_t oid)
{
    return (size_t)((oid * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & state->table_slots_mask;
}

/* *ret_slot is where it stands, or where it belongs. */
static uint32_t find_table(const struct cache_state *state, uint32_t oid, size_t *ret_slot)
{
    size_t i = table_place(state, oid);

    for (;; i = (i + 1) & state->table_slots_mask) {
        uint32_t number = atomic_load_explicit(&state->table_slots[i], memory_order_acquire);

        *ret_slot = i;
        if (!number)
            return CACHE_NO_INDEX;
        if (state->tables[number - 1].oid == oid)
            return number - 1;
    }
}

static uint32_t add_table(struct cache_state *state, uint32_t oid, size_t slot)
{
    size_t index = atomic_load_explicit(&state->n_tables, memory_order_relaxed);
    struct state_table *table;

    if (index >= state->setup.tables_max)
        return CACHE_NO_INDEX;
    table = &state->tables[index];
    table->oid = oid;
    table->hash = fold(state, 0, &oid, sizeof(oid));
    table->told = CACHE_NEVER;
    table->planned = SIZE_MAX;
    atomic_init(&table->first_shape, CACHE_NO_INDEX);
    atomic_init(&table->floor, HS_GUARD(table_floor) ? CACHE_NEVER : 0);
    atomic_store_explicit(&state->table_slots[slot], (uint32_t)index + 1, memory_order_release);
    atomic_store_explicit(&state->n_tables, index + 1, memory_order_release);
    return (uint32_t)index;
}

uint32_t cache_table(struct cache_state *state, uint32_t oid)
{
    size_t slot;
    uint32_t table = find_table(state, oid, &slot);

    if (hs_likely(table != CACHE_NO_INDEX))
        return table;
    pthread_mutex_lock(&state->registry);
    table = find_table(state, oid, &slot);
    if (table == CACHE_NO_INDEX)
        table = add_table(state, oid, slot);
    pthread_mutex_unlock(&state->registry);
    return table;
}

uint32_t cache_table_oid(const struct cache_state *state, uint32_t table)
{
    return table < atomic_load_explicit(&state->n_tables, memory_order_acquire)
               ? state->tables[table].oid
               : 0;
}

bool cache_table_is_coherent(const struct cache_state *state, uint32_t table)
{
    return table != CACHE_NO_INDEX && state_load(&state->tables[table].floor) != CACHE_NEVER;
}

/* ---- shapes ---- */

static bool is_shape(const struct state_shape *shape, uint32_t table, const struct hs_str *columns,
                     size_t n)
{
    if (shape->table != table || shape->n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!hs_str_eq(shape->columns[i], columns[i]))
            return false;
    }
    return true;
}

static uint32_t find_shape(const struct cache_state *state, uint64_t hash, uint32_t table,
                           const struct hs_str *columns, size_t n, size_t *ret_slot)
{
    size_t i = (size_t)hash & state->shape_slots_mask;

    for (;; i = (i + 1) & state->shape_slots_mask) {
        uint32_t number = atomic_load_explicit(&state->shape_slots[i], memory_order_acquire);
        const struct state_shape *shape = &state->shapes[number ? number - 1 : 0];

        *ret_slot = i;
        if (!number)
            return CACHE_NO_INDEX;
        if (shape->hash == hash && is_shape(shape, table, columns, n))
            return number - 1;
    }
}

/* One block for all names; NULL = no memory. */
static char *copy_names(const struct hs_str *columns, size_t n, struct hs_str *ret_columns)
{
    size_t bytes = 0;
    char *names;
    char *to;

    for (size_t i = 0; i < n; i++)
        bytes += columns[i].n;
    to = names = hs_malloc(bytes);
    for (size_t i = 0; names && i < n; i++) {
        if (columns[i].n)
            memcpy(to, columns[i].p, columns[i].n);
        ret_columns[i] = hs_strn(to, columns[i].n);
        to += columns[i].n;
    }
    return names;
}

/* Takes the block of names if it can; the slot is published before the count, which the feed goes by. */
static uint32_t add_shape(struct cache_state *state, const struct state_shape *made, size_t slot)
{
    size_t index = atomic_load_explicit(&state->n_shapes, memory_order_relaxed);
    struct state_table *table = &state->tables[made->table];
    struct state_shape *shape;

    if (index >= state->setup.shapes_max || table->n_shapes >= state->setup.table_shapes_max)
        return CACHE_NO_INDEX;
    shape = &state->shapes[index];
    *shape = *made;
    shape->next = atomic_load_explicit(&table->first_shape, memory_order_relaxed);
    atomic_init(&shape->companion_columns, 0);
    atomic_init(&shape->floor, HS_GUARD(shape_unknown) ? CACHE_NEVER : 0);
    table->n_shapes++;
    atomic_store_explicit(&table->first_shape, (uint32_t)index, memory_order_release);
    atomic_store_explicit(&state->shape_slots[slot], (uint32_t)index + 1, memory_order_release);
    atomic_store_explicit(&state->n_shapes, index + 1, memory_order_release);
    return (uint32_t)index;
}

static bool has_room(const struct cache_state *state)
{
    return atomic_load_explicit(&state->n_shapes, memory_order_relaxed) < state->setup.shapes_max;
}

uint32_t cache_shape(struct cache_state *state, uint32_t table, const struct hs_str *columns,
                     size_t n)
{
    struct state_shape made = {.table = table, .n = (uint32_t)n};
    uint32_t shape;
    uint32_t added = CACHE_NO_INDEX;
    size_t slot;

    if (table == CACHE_NO_INDEX || n == 0 || n > CACHE_COLUMNS_MAX)
        return CACHE_NO_INDEX;
    made.hash = hash_of_shape(state, table, columns, n);
    shape = find_shape(state, made.hash, table, columns, n, &slot);
    if (hs_likely(shape != CACHE_NO_INDEX) || !has_room(state))
        return shape;
    made.names = copy_names(columns, n, made.columns);
    if (!made.names)
        return CACHE_NO_INDEX;
    pthread_mutex_lock(&state->registry);
    shape = find_shape(state, made.hash, table, columns, n, &slot);
    if (shape == CACHE_NO_INDEX)
        shape = added = add_shape(state, &made, slot);
    pthread_mutex_unlock(&state->registry);
    if (added == CACHE_NO_INDEX)
        hs_free(made.names);
    else
        state->setup.wake(state->setup.wake_ctx);
    return shape;
}

bool cache_shape_text(const struct cache_state *state, uint32_t shape, struct hs_buf *out)
{
    if (shape >= atomic_load_explicit(&state->n_shapes, memory_order_acquire))
        return false;
    for (uint32_t i = 0; i < state->shapes[shape].n; i++) {
        if (i)
            hs_buf_add_lit(out, ", ");
        hs_buf_add(out, state->shapes[shape].columns[i]);
    }
    return true;
}

/* ---- tags ---- */

struct cache_tag cache_tag_table(const struct cache_state *state, uint32_t table)
{
    return (struct cache_tag){
        .hash = table == CACHE_NO_INDEX ? 0 : state->tables[table].hash,
        .table = table,
        .shape = CACHE_NO_INDEX,
    };
}

struct cache_tag cache_tag_rows(const struct cache_state *state, uint32_t shape,
                                const struct hs_str *values)
{
    const struct state_shape *of = &state->shapes[shape];
    uint32_t columns = atomic_load_explicit(&of->companion_columns, memory_order_acquire);

    return (struct cache_tag){
        .hash = state_tag_hash(state, of, state_all_columns(of), values),
        .companion = columns ? state_tag_hash(state, of, columns, values) : 0,
        .table = of->table,
        .shape = shape,
        .companion_columns = columns,
    };
}

/*
 * The floor of a shape, and into *stamp that of the companion if it is higher. A tag that was made with another
 * companion than the feed stamps now is good for nothing.
 */
static uint64_t shape_floor(const struct cache_state *state, const struct cache_tag *tag,
                            uint64_t *stamp)
{
    const struct state_shape *shape = &state->shapes[tag->shape];
    uint64_t companion;

    if (tag->shape >= atomic_load_explicit(&state->n_shapes, memory_order_acquire))
        return CACHE_NEVER;
    if (atomic_load_explicit(&shape->companion_columns, memory_order_acquire) !=
        tag->companion_columns)
        return CACHE_NEVER;
    if (tag->companion_columns) {
        companion = state_load(&state->stamps[tag->companion & state->mask]);
        *stamp = companion > *stamp ? companion : *stamp;
    }
    return state_load(&shape->floor);
}

bool state_tag_bars(const struct cache_state *state, const struct cache_tag *tag,
                    struct state_bars *ret)
{
    if (tag->table >= atomic_load_explicit(&state->n_tables, memory_order_acquire))
        return false;
    ret->table_floor = state_load(&state->tables[tag->table].floor);
    ret->stamp = state_load(&state->stamps[tag->hash & state->mask]);
    ret->shape_floor = tag->shape == CACHE_NO_INDEX ? 0 : shape_floor(state, tag, &ret->stamp);
    return true;
}

uint64_t cache_tag_bar(const struct cache_state *state, struct cache_tag tag)
{
    struct state_bars bars;
    uint64_t bar;

    if (!state_tag_bars(state, &tag, &bars))
        return CACHE_NEVER;
    bar = bars.table_floor > bars.shape_floor ? bars.table_floor : bars.shape_floor;
    return bars.stamp > bar ? bars.stamp : bar;
}
