/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The finished snapshot: names looked up, references counted.
 *
 * The one rule: nothing in it changes after it was built, so any thread may read it without a lock; only
 * the count is atomic. The last reference frees the arena, and with it everything.
 */
#include "pg/catalog.h"

#include "core/mem.h"
#include "pg/catalog_int.h"

static struct pg_catalog_whole *whole_of(struct pg_catalog *c)
{
    struct pg_catalog_whole *w = HS_CONTAINER(c, struct pg_catalog_whole, pub);

    HS_OBJ(w, (uint32_t)PG_CATALOG_MAGIC);
    return w;
}

/* The first of that name in by_name, or where it would stand. */
static size_t first_named(const struct pg_catalog *c, struct hs_str name)
{
    const struct pg_catalog_whole *w = HS_CONTAINER(c, struct pg_catalog_whole, pub);
    size_t low = 0;
    size_t high = c->n_relations;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (hs_str_cmp(w->by_name[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct pg_relation *pg_catalog_relation(const struct pg_catalog *c, struct hs_str name)
{
    const struct pg_catalog_whole *w = HS_CONTAINER(c, struct pg_catalog_whole, pub);
    size_t at = first_named(c, name);

    return at < c->n_relations && hs_str_eq(w->by_name[at]->name, name) ? w->by_name[at] : NULL;
}

const struct pg_relation *pg_catalog_relation_in(const struct pg_catalog *c, struct hs_str schema,
                                                 struct hs_str name)
{
    const struct pg_catalog_whole *w = HS_CONTAINER(c, struct pg_catalog_whole, pub);
    size_t at = first_named(c, name);

    while (at < c->n_relations && hs_str_eq(w->by_name[at]->name, name)) {
        if (hs_str_eq(w->by_name[at]->schema, schema))
            return w->by_name[at];
        at++;
    }
    return NULL;
}

static int compare_function(const struct pg_function *f, struct hs_str schema, struct hs_str name)
{
    int order = hs_str_cmp(f->schema, schema);

    return order ? order : hs_str_cmp(f->name, name);
}

const struct pg_function *pg_catalog_functions(const struct pg_catalog *c, struct hs_str schema,
                                               struct hs_str name, size_t *ret_n)
{
    size_t low = 0;
    size_t high = c->n_functions;
    size_t end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_function(&c->functions[middle], schema, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    end = low;
    while (end < c->n_functions && compare_function(&c->functions[end], schema, name) == 0)
        end++;
    *ret_n = end - low;
    return end > low ? &c->functions[low] : NULL;
}

const struct pg_column *pg_relation_column(const struct pg_relation *r, struct hs_str name)
{
    for (size_t i = 0; i < r->n_columns; i++) {
        if (hs_str_eq(r->columns[i].name, name))
            return &r->columns[i];
    }
    return NULL;
}

size_t pg_catalog_role(const struct pg_catalog *c, struct hs_str name)
{
    size_t i = 0;

    while (i < c->n_roles && !hs_str_eq(c->roles[i], name))
        i++;
    return i;
}

uint64_t pg_catalog_reader_bit(const struct pg_catalog *c, struct hs_str name)
{
    size_t i = pg_catalog_role(c, name);

    return i < c->n_roles ? UINT64_C(1) << i : 0;
}

struct pg_catalog *pg_catalog_ref(struct pg_catalog *c)
{
    /* Relaxed: whoever takes one holds one already. */
    (void)atomic_fetch_add_explicit(&whole_of(c)->refs, 1, memory_order_relaxed);
    return c;
}

void pg_catalog_unref(struct pg_catalog *c)
{
    struct pg_catalog_whole *w;

    if (!c)
        return;
    w = whole_of(c);
    /* Release: our reads end before. Acquire: the last one sees that of all others. */
    if (atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) != 1)
        return;
    w->magic = 0;
    hs_arena_fini(&w->arena);
    hs_free(w);
}
