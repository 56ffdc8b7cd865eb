/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change does to stamps and floors: the feed's side of the state.
 *
 * Of each changed row: the table and its ancestors (of a partition) are stamped, and of each of their shapes the
 * rows that it was among and the rows that it is among now. How much of them is known decides:
 *
 *     all values               the one tag
 *     those of the companion   the companion: more rows than needed, those of one tenant, say
 *     less                     the shape's floor: all rows of the table, for this shape
 *     some value is NULL       nothing: no equality finds such a row
 *
 * An UPDATE that brings no old row proves that the identity columns did not change, and nothing of the others.
 * A TOASTed value that did not change is absent from the new row, and may stand in the old one.
 *
 * A plan says once, for a table as the stream describes it, where each shape's columns are. It is made anew when
 * the table is described anew or when shapes were added; without memory for it, the floors of the
 * tables rise instead.
 *
 * Source: PostgreSQL 15 manual, 55.9 (Insert, Update, Delete; TupleData), ALTER TABLE ... REPLICA IDENTITY.
 */
#include "cache/state_int.h"

#include "core/mem.h"

enum { NOWHERE = UINT16_MAX };

/* ---- stamps ---- */

static void stamp_now(struct cache_state *state, uint64_t hash, uint64_t stamp)
{
    state->is_stamped = true;
    state_raise(&state->stamps[hash & state->mask], stamp);
}

static void stamp_late(struct cache_state *state)
{
    while (state->n_late)
        stamp_now(state, state->late_hash[--state->n_late], state->late_stamp);
}

/* Without the guard: a transaction is stamped when the next one comes, long after the position moved. */
static void stamp_tag(struct cache_state *state, uint64_t hash, uint64_t stamp)
{
    if (HS_GUARD(stamps_before_position)) {
        stamp_now(state, hash, stamp);
        return;
    }
    if (stamp != state->late_stamp || state->n_late == STATE_LATE_MAX)
        stamp_late(state);
    state->late_stamp = stamp;
    state->late_hash[state->n_late++] = hash;
}

/* ---- floors ---- */

static void publish_floor(struct state_table *table)
{
    uint64_t floor = table->told > table->raised ? table->told : table->raised;

    if (table->is_blind)
        floor = CACHE_NEVER;
    else if (table->told == CACHE_NEVER && !HS_GUARD(table_floor))
        floor = table->raised;
    state_store(&table->floor, floor);
}

static void raise_table(struct state_table *table, uint64_t stamp)
{
    table->raised = table->raised > stamp ? table->raised : stamp;
    publish_floor(table);
}

static void raise_family(struct cache_state *state, struct state_table *table, uint64_t stamp)
{
    raise_table(table, stamp);
    for (size_t i = 0; i < table->n_ancestors; i++)
        raise_table(&state->tables[table->ancestors[i]], stamp);
}

/* ---- what the stream says of a table ---- */

/*
 * Two tables of one family may have different identities: then the companion is made of what both have. All
 * or nothing is no companion. If it changes, tags that were made before are void, and those made when it
 * was the same once before lie below the floor.
 */
static void learn_identity(struct state_shape *shape, uint32_t identity, bool is_own,
                           uint64_t stamp)
{
    uint32_t companion;

    shape->identity = shape->is_described && !is_own ? shape->identity & identity : identity;
    shape->is_described = true;
    companion = shape->identity == state_all_columns(shape) ? 0 : shape->identity;
    if (!HS_GUARD(companion_tag) ||
        companion == atomic_load_explicit(&shape->companion_columns, memory_order_relaxed))
        return;
    state_raise(&shape->floor, stamp);
    atomic_store_explicit(&shape->companion_columns, companion, memory_order_release);
}

static struct state_plan plan_of(const struct state_table *table, struct state_shape *shape)
{
    struct state_plan plan = {.shape = shape};

    for (uint32_t i = 0; i < shape->n; i++) {
        size_t at = 0;

        while (at < table->n_columns && !hs_str_eq(table->columns[at].name, shape->columns[i]))
            at++;
        if (at >= table->n_columns || at >= NOWHERE) {
            plan.is_missing = true;
            continue;
        }
        plan.at[i] = (uint16_t)at;
        if (table->columns[at].is_identity)
            plan.identity |= UINT32_C(1) << i;
    }
    return plan;
}

/* Room for one plan more. */
static bool grow_plans(struct state_table *table)
{
    size_t cap = table->plans_cap ? 2 * table->plans_cap : 4;
    struct state_plan *plans;

    if (table->n_plans < table->plans_cap)
        return true;
    plans = hs_realloc(table->plans, cap * sizeof(*plans));
    if (!plans)
        return false;
    table->plans = plans;
    table->plans_cap = cap;
    return true;
}

/* For all shapes of `of`, the table itself or an ancestor. */
static bool plan_shapes(struct cache_state *state, struct state_table *table,
                        struct state_table *of, uint64_t stamp)
{
    uint32_t i = atomic_load_explicit(&of->first_shape, memory_order_acquire);

    for (; i != CACHE_NO_INDEX; i = state->shapes[i].next) {
        struct state_plan plan = plan_of(table, &state->shapes[i]);

        if (!grow_plans(table))
            return false;
        table->plans[table->n_plans++] = plan;
        learn_identity(plan.shape, plan.identity, of == table, stamp);
    }
    return true;
}

static bool plan_table(struct cache_state *state, struct state_table *table, uint64_t stamp)
{
    size_t known = atomic_load_explicit(&state->n_shapes, memory_order_acquire);
    bool is_planned;

    table->n_plans = 0;
    table->planned = SIZE_MAX;
    is_planned = plan_shapes(state, table, table, stamp);
    for (size_t i = 0; is_planned && i < table->n_ancestors; i++)
        is_planned = plan_shapes(state, table, &state->tables[table->ancestors[i]], stamp);
    if (is_planned)
        table->planned = known;
    return is_planned;
}

static void forget_columns(struct state_table *table)
{
    hs_free(table->columns);
    hs_free(table->names);
    table->columns = NULL;
    table->names = NULL;
    table->n_columns = 0;
    table->is_announced = false;
    table->planned = SIZE_MAX;
}

static bool is_described_as(const struct state_table *table, const struct hs_change_table *as)
{
    if (!table->columns || table->n_columns != as->n_columns)
        return false;
    for (size_t i = 0; i < as->n_columns; i++) {
        if (table->columns[i].type != as->columns[i].type ||
            table->columns[i].is_identity != as->columns[i].is_identity ||
            !hs_str_eq(table->columns[i].name, as->columns[i].name))
            return false;
    }
    return true;
}

/* Copied, because shapes that come later are planned when the stream's own may be gone. */
static bool describe_table(struct state_table *table, const struct hs_change_table *as)
{
    size_t bytes = 0;
    char *to;

    forget_columns(table);
    for (size_t i = 0; i < as->n_columns; i++)
        bytes += as->columns[i].name.n;
    table->columns = hs_calloc(as->n_columns, sizeof(*table->columns));
    table->names = hs_malloc(bytes);
    if (!table->columns || !table->names) {
        forget_columns(table);
        return false;
    }
    to = table->names;
    for (size_t i = 0; i < as->n_columns; i++) {
        struct hs_str name = as->columns[i].name;

        if (name.n)
            memcpy(to, name.p, name.n);
        table->columns[i].name = hs_strn(to, name.n);
        table->columns[i].type = as->columns[i].type;
        table->columns[i].is_identity = as->columns[i].is_identity;
        to += name.n;
    }
    table->n_columns = as->n_columns;
    return true;
}

/*
 * The stream describes a table with its first change, and again after DDL: then what a name stands for may be
 * another column, and nothing that was stamped by names counts any more.
 */
static bool meet_table(struct cache_state *state, struct state_table *table,
                       const struct hs_change *change)
{
    bool was_described = table->columns && !table->is_announced;

    if (was_described && is_described_as(table, change->table))
        return true;
    if (was_described)
        raise_family(state, table, change->stamp);
    if (describe_table(table, change->table))
        return true;
    raise_family(state, table, change->stamp);
    return false;
}

/* The state's own of the change's table, planned; NULL = nobody depends on it, or all floors were raised. */
static struct state_table *table_of(struct cache_state *state, const struct hs_change *change)
{
    struct state_table *table = change->table->user;

    if (hs_unlikely(!table)) {
        uint32_t index = cache_table(state, change->table->oid);

        if (index == CACHE_NO_INDEX)
            return NULL;
        table = &state->tables[index];
        if (!meet_table(state, table, change))
            return NULL;
        change->table->user = table;
    }
    if (table->planned != atomic_load_explicit(&state->n_shapes, memory_order_acquire) &&
        !plan_table(state, table, change->stamp)) {
        raise_family(state, table, change->stamp);
        return NULL;
    }
    return table;
}

/* ---- changes ---- */

/* Where the rows of a shape are that a row was, or is, among. */
struct place {
    struct hs_str values[CACHE_COLUMNS_MAX];
    uint32_t unknown; /* bits */
    bool is_null;     /* some value is: among none */
};

static const struct hs_change_value absent_value = {.kind = HS_VALUE_ABSENT};

static const struct hs_change_value *old_value(const struct hs_change *change, size_t at,
                                               bool is_identity)
{
    if (change->old)
        return &change->old[at];
    return is_identity ? &change->new[at] : &absent_value;
}

static const struct hs_change_value *new_value(const struct hs_change *change, size_t at)
{
    if (change->new[at].kind == HS_VALUE_ABSENT && change->old)
        return &change->old[at];
    return &change->new[at];
}

static void find_place(const struct state_plan *plan, const struct hs_change *change, bool is_old,
                       struct place *ret)
{
    ret->unknown = 0;
    ret->is_null = false;
    for (uint32_t i = 0; i < plan->shape->n; i++) {
        size_t at = plan->at[i];
        const struct hs_change_value *value = is_old
                                                  ? old_value(change, at, plan->identity >> i & 1)
                                                  : new_value(change, at);

        ret->values[i] = value->text;
        if (value->kind == HS_VALUE_ABSENT)
            ret->unknown |= UINT32_C(1) << i;
        else if (value->kind == HS_VALUE_NULL)
            ret->is_null = true;
    }
}

static void stamp_place(struct cache_state *state, struct state_shape *shape,
                        const struct place *place, uint64_t stamp)
{
    uint32_t companion = atomic_load_explicit(&shape->companion_columns, memory_order_relaxed);
    uint32_t columns = place->unknown ? companion : state_all_columns(shape);

    if (place->is_null)
        return;
    if (columns && !(columns & place->unknown))
        stamp_tag(state, state_tag_hash(state, shape, columns, place->values), stamp);
    else
        state_raise(&shape->floor, stamp);
}

static void stamp_shape(struct cache_state *state, const struct state_plan *plan,
                        const struct hs_change *change)
{
    uint32_t all = state_all_columns(plan->shape);
    struct place place;

    if (plan->is_missing || !HS_GUARD(narrow_tags)) {
        state_raise(&plan->shape->floor, change->stamp);
        return;
    }
    if (change->new) {
        find_place(plan, change, /* is_old= */ false, &place);
        stamp_place(state, plan->shape, &place, change->stamp);
    }
    if (change->kind == HS_CHANGE_INSERT || (!change->old && plan->identity == all))
        return; /* there was no row, or it was among the same rows */
    find_place(plan, change, /* is_old= */ true, &place);
    if (!place.unknown || HS_GUARD(old_values_fallback))
        stamp_place(state, plan->shape, &place, change->stamp);
}

void cache_feed_change(struct cache_state *state, const struct hs_change *change)
{
    const struct state_table *table = table_of(state, change);

    if (!table)
        return;
    stamp_tag(state, table->hash, change->stamp);
    for (size_t i = 0; i < table->n_ancestors; i++)
        stamp_tag(state, state->tables[table->ancestors[i]].hash, change->stamp);
    for (size_t i = 0; i < table->n_plans; i++)
        stamp_shape(state, &table->plans[i], change);
    if (!HS_GUARD(shape_boundary))
        state_settle(state, state_load(&state->position));
}

void cache_feed_truncate(struct cache_state *state, uint32_t oid, uint64_t stamp)
{
    uint32_t index = cache_table(state, oid);

    if (index != CACHE_NO_INDEX && HS_GUARD(truncate_floor))
        raise_family(state, &state->tables[index], stamp);
}

/* ---- tables ---- */

/* Their partition's changes would pass by unseen. */
static void blind_all(struct cache_state *state, const uint32_t *oids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t index = cache_table(state, oids[i]);

        if (index == CACHE_NO_INDEX)
            continue;
        state->tables[index].is_blind = true;
        publish_floor(&state->tables[index]);
    }
}

/* Ancestors beyond tables_max are left out: no answer depends on them. */
static bool set_ancestors(struct cache_state *state, struct state_table *table,
                          const uint32_t *oids, size_t n)
{
    uint32_t *ancestors = n ? hs_malloc(n * sizeof(*ancestors)) : NULL;

    if (n && !ancestors)
        return false;
    hs_free(table->ancestors);
    table->ancestors = ancestors;
    table->n_ancestors = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t index = cache_table(state, oids[i]);

        if (index != CACHE_NO_INDEX)
            ancestors[table->n_ancestors++] = index;
    }
    table->planned = SIZE_MAX;
    return true;
}

void cache_feed_table(struct cache_state *state, uint32_t oid, const uint32_t *ancestors,
                      size_t n_ancestors, uint64_t floor)
{
    uint32_t index = cache_table(state, oid);
    struct state_table *table;

    if (index == CACHE_NO_INDEX) {
        blind_all(state, ancestors, n_ancestors);
        return;
    }
    table = &state->tables[index];
    if (!set_ancestors(state, table, ancestors, n_ancestors))
        blind_all(state, ancestors, n_ancestors);
    table->told = floor;
    publish_floor(table);
}

/*
 * As if the stream had described the table by these columns alone: enough for the companions of its shapes. Nothing
 * is stamped by it, since the first change brings the stream's own description.
 */
static void announce_identity(struct cache_state *state, struct state_table *table,
                              const struct hs_change_table *as)
{
    if (is_described_as(table, as) || !describe_table(table, as))
        return;
    table->is_announced = true;
    (void)plan_table(state, table, state_load(&state->position));
}

void cache_feed_identity(struct cache_state *state, uint32_t oid, const struct hs_str *columns,
                         size_t n)
{
    enum { COLUMNS_MAX = 32 }; /* of an index */
    struct hs_change_column of_identity[COLUMNS_MAX];
    const struct hs_change_table as = {.oid = oid, .columns = of_identity, .n_columns = n};
    uint32_t index = cache_table(state, oid);
    struct state_table *table;

    if (index == CACHE_NO_INDEX || n == 0 || n > COLUMNS_MAX)
        return;
    table = &state->tables[index];
    for (size_t i = 0; i < n; i++)
        of_identity[i] = (struct hs_change_column){.name = columns[i], .is_identity = true};
    if (!table->columns || table->is_announced)
        announce_identity(state, table, &as);
}

/* ---- beginnings ---- */

/* A new shape's identity is known from the start if its table was described before. */
static void plan_all(struct cache_state *state, size_t n_shapes)
{
    size_t n = atomic_load_explicit(&state->n_tables, memory_order_acquire);

    for (size_t i = 0; i < n; i++) {
        struct state_table *table = &state->tables[i];

        if (table->columns && table->planned != n_shapes)
            (void)plan_table(state, table, state_load(&state->position));
    }
}

void state_settle(struct cache_state *state, uint64_t position)
{
    size_t from = atomic_load_explicit(&state->n_settled, memory_order_relaxed);
    size_t to = atomic_load_explicit(&state->n_shapes, memory_order_acquire);

    if (hs_likely(from == to))
        return;
    plan_all(state, to);
    for (; from < to; from++)
        state_store(&state->shapes[from].floor, HS_GUARD(shape_floor) ? position : 0);
    atomic_store_explicit(&state->n_settled, to, memory_order_release);
}

bool cache_feed_pending(const struct cache_state *state)
{
    return atomic_load_explicit(&state->n_settled, memory_order_acquire) !=
           atomic_load_explicit(&state->n_shapes, memory_order_acquire);
}

void state_stamps_reset(struct cache_state *state, uint64_t begun)
{
    size_t n_tables = atomic_load_explicit(&state->n_tables, memory_order_acquire);
    size_t n_shapes = atomic_load_explicit(&state->n_shapes, memory_order_acquire);

    state->n_late = 0;
    for (size_t i = 0; state->is_stamped && i <= state->mask; i++)
        state_store(&state->stamps[i], 0);
    state->is_stamped = false;
    for (size_t i = 0; i < n_tables; i++) {
        state->tables[i].told = CACHE_NEVER;
        state->tables[i].raised = 0;
        state->tables[i].is_blind = false;
        publish_floor(&state->tables[i]);
    }
    for (size_t i = 0; i < n_shapes; i++)
        state_store(&state->shapes[i].floor, begun);
    atomic_store_explicit(&state->n_settled, n_shapes, memory_order_release);
}

void state_stamps_fini(struct cache_state *state)
{
    size_t n = state->tables ? atomic_load(&state->n_tables) : 0;

    for (size_t i = 0; i < n; i++) {
        forget_columns(&state->tables[i]);
        hs_free(state->tables[i].plans);
        hs_free(state->tables[i].ancestors);
    }
}
