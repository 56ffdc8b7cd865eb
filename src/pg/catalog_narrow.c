/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies that let a role see only rows whose column equals one of its claims.
 *
 * The one rule: for a role, a pair of column and claim is kept if every row that the role can see has it. Rows pass
 * if all restrictive policies that apply let them pass and at least one permissive one does; so the pair must
 * stand, ANDed with whatever else, in one restrictive policy or in each of the permissive ones. Nothing is
 * said of a role for which the policies do not hold, nor of one to which no permissive policy applies: it
 * sees no row. Only the policies of the queried table count, as in PostgreSQL: those of its partitions do not.
 *
 * `column = value`: the built-in = of a type with one form for equal values, under a deterministic collation; the
 * column as it is, but for a cast that changes nothing (varchar or a domain to what it is stored as).
 *
 * Source: PostgreSQL 15: src/backend/rewrite/rowsecurity.c (get_policies_for_relation, add_security_quals); for
 * whom they hold see catalog_graph.c.
 */
#include "pg/catalog_graph.h"

#include "core/mem.h"

/* Pairs of one table that are kept, and of one of its policies. */
enum { PAIRS_MAX = 64 };

struct pairs {
    struct pg_narrow list[PAIRS_MAX];
    size_t n;
};

/* What stands against a role so far. */
struct table {
    struct pg_relation *relation;
    struct pairs restrictive; /* roles: those to which such a policy applies */
    struct pairs
        permissive;     /* roles: those all of whose permissive policies so far have the pair */
    uint64_t permitted; /* roles to which a permissive policy applies */
};

static const struct pg_column *column_of(const struct pg_relation *relation, int64_t attnum)
{
    for (size_t i = 0; i < relation->n_columns; i++) {
        if (relation->columns[i].attnum == attnum)
            return &relation->columns[i];
    }
    return NULL;
}

/* ---- one policy ---- */

static bool is_equality(uint32_t function)
{
    static const uint16_t functions[] = {
        63,   65,   467,  158, 159, 1850, 1856, 852, 474, /* int2, int4, int8 of each other */
        60,   67,                                         /* bool, text */
        2956, 1086, 3508,                                 /* uuid, date, enums */
    };

    for (size_t i = 0; i < HS_LEN(functions); i++) {
        if (functions[i] == function)
            return true;
    }
    return false;
}

/* The column of the policy's table, as it is stored; its number, or 0. */
static uint32_t column_number(const struct pg_tree *tree, uint32_t *ret_collation)
{
    while (pg_tree_is(tree, "RELABELTYPE"))
        tree = pg_tree_field(tree, "arg");
    if (!pg_tree_is(tree, "VAR") || pg_tree_oid(tree, "varno") != 1 ||
        !hs_str_is(pg_tree_field(tree, "varlevelsup")->text, "0"))
        return 0;
    *ret_collation = pg_tree_oid(tree, "varcollid");
    return pg_tree_oid(tree, "varattno");
}

/* Those of initdb by these oids are deterministic, whatever the column has is (is_exact). */
static bool is_deterministic(uint32_t collation, uint32_t of_column)
{
    enum { NONE = 0, DEFAULT_COLLATION = 100, C_COLLATION = 950, POSIX_COLLATION = 951 };

    return collation == NONE || collation == DEFAULT_COLLATION || collation == C_COLLATION ||
           collation == POSIX_COLLATION || collation == of_column;
}

static void take_equality(struct pg_graph *g, const struct pg_relation *relation,
                          const struct pg_tree *tree, struct pairs *ret)
{
    const struct pg_tree *args = pg_tree_field(tree, "args");

    if (!is_equality(pg_tree_oid(tree, "opfuncid")) || pg_tree_count(args) != 2)
        return;
    for (size_t side = 0; side < 2 && ret->n < PAIRS_MAX; side++) {
        uint32_t collation = 0;
        uint32_t attnum = column_number(pg_tree_at(args, side), &collation);
        const struct pg_column *column = attnum ? column_of(relation, attnum) : NULL;
        struct hs_str claim;

        if (!column || !column->is_exact ||
            !is_deterministic(pg_tree_oid(tree, "inputcollid"), collation) ||
            !pg_claims_value(g, pg_tree_at(args, 1 - side), &claim))
            continue;
        ret->list[ret->n++] = (struct pg_narrow){.column = column, .claim = claim};
        return;
    }
}

static void take_condition(struct pg_graph *g, const struct pg_relation *relation,
                           const struct pg_tree *tree, struct pairs *ret)
{
    if (pg_tree_is(tree, "OPEXPR"))
        take_equality(g, relation, tree, ret);
    if (!pg_tree_is(tree, "BOOLEXPR") || !hs_str_is(pg_tree_field(tree, "boolop")->text, "and"))
        return;
    for (const struct pg_tree *arg = pg_tree_field(tree, "args")->child; arg; arg = arg->next)
        take_condition(g, relation, arg, ret);
}

/* ---- all of a table's ---- */

static struct pg_narrow *find_pair(struct pairs *pairs, const struct pg_narrow *pair)
{
    for (size_t i = 0; i < pairs->n; i++) {
        if (pairs->list[i].column == pair->column && hs_str_eq(pairs->list[i].claim, pair->claim))
            return &pairs->list[i];
    }
    return NULL;
}

static void add_pair(struct pg_build *b, struct pairs *pairs, const struct pg_narrow *pair,
                     uint64_t roles)
{
    struct pg_narrow *known = find_pair(pairs, pair);

    if (known) {
        known->roles |= roles;
    } else if (roles && pairs->n < PAIRS_MAX) {
        pairs->list[pairs->n++] = (struct pg_narrow){
            .column = pair->column,
            .claim = hs_arena_dup(b->arena, pair->claim),
            .roles = roles,
        };
    }
}

/* Roles that met a permissive policy before keep a pair only if this one has it, too. */
static void add_permissive(struct pg_build *b, struct table *t, struct pairs *found, uint64_t roles)
{
    uint64_t newcomers = roles & ~t->permitted;

    for (size_t i = 0; i < t->permissive.n; i++) {
        if (!find_pair(found, &t->permissive.list[i]))
            t->permissive.list[i].roles &= ~roles;
    }
    for (size_t i = 0; i < found->n; i++)
        add_pair(b, &t->permissive, &found->list[i], newcomers);
    t->permitted |= roles;
}

static void add_policy(struct pg_build *b, struct pg_graph *g, struct table *t, const PGresult *r,
                       int row)
{
    uint64_t roles = (uint64_t)pg_cell_int(r, row, PG_POLICY_APPLIES) &
                     (uint64_t)pg_cell_int(r, row, PG_POLICY_HOLDS);
    const struct pg_tree *tree = pg_tree_read(&g->trees, pg_cell(r, row, 3));
    struct pairs found = {.n = 0};

    if (tree)
        take_condition(g, t->relation, tree, &found);
    if (pg_cell_bool(r, row, PG_POLICY_IS_PERMISSIVE))
        add_permissive(b, t, &found, roles);
    else
        for (size_t i = 0; i < found.n; i++)
            add_pair(b, &t->restrictive, &found.list[i], roles);
    hs_arena_reset(&g->trees);
}

static void keep_pairs(struct pg_build *b, struct table *t)
{
    struct pg_narrow *kept;
    size_t n = 0;

    for (size_t i = 0; i < t->permissive.n; i++)
        add_pair(b, &t->restrictive, &t->permissive.list[i], t->permissive.list[i].roles);
    kept = HS_NEW_ARRAY(b->arena, t->restrictive.n, struct pg_narrow);
    for (size_t i = 0; kept && i < t->restrictive.n; i++) {
        if (t->restrictive.list[i].roles)
            kept[n++] = t->restrictive.list[i];
    }
    t->relation->narrow = kept;
    t->relation->n_narrow = n;
}

hs_status pg_narrow_read(struct pg_build *b, struct pg_graph *g, struct hs_err *reterr)
{
    const PGresult *r = g->results[PG_GRAPH_POLICIES];
    uint64_t failures = hs_mem_failures();

    for (int row = 0; row < PQntuples(r);) {
        int end = pg_cell_run(r, row, PQntuples(r), 2);
        struct table t = {.relation = pg_build_relation(b, pg_cell_oid(r, row, 2))};

        for (; t.relation && row < end; row++) {
            if (PQgetvalue(r, row, 0)[0] == PG_GRAPH_TREE)
                add_policy(b, g, &t, r, row);
        }
        if (t.relation)
            keep_pairs(b, &t);
        row = end;
    }
    if (hs_mem_failures() != failures || hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    return HS_OK;
}
