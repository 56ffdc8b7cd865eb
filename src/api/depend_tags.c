/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what is known of an answer's rows to its tags.
 *
 *     pins       column = value, true of every row that the answer is made of: from policies, from filters
 *     shape      which of these columns make the tag
 *     tags       one, or one for each value of a list
 *
 * The rule: a tag may name more rows than the answer has, never fewer. So any of the pins may be left out, and
 * they are where they are too many, where a form is not known, where the limits of the state are reached.
 *
 * Which columns: those of a key, if all of it is pinned (with the usual replica identity such rows are followed
 * exactly); else all.
 */
#include "api/depend_int.h"

#include "core/json_read.h"

/* ---- pins ---- */

static const struct depend_pin *find_pin(const struct depend_pins *pins,
                                         const struct pg_column *column)
{
    for (size_t i = 0; i < pins->n; i++) {
        if (pins->of[i].column == column)
            return &pins->of[i];
    }
    return NULL;
}

/* Can changes be told apart by its values? */
static bool is_fit(const struct pg_column *column)
{
    return column->is_exact && !column->is_generated;
}

/* Where a column is pinned twice, either pin is true; a single value says more than a list. */
static bool can_pin(const struct depend_work *w, const struct depend_pins *pins,
                    const struct pg_column *column)
{
    return !w->is_coarse && is_fit(column) && pins->n < DEPEND_PINS_MAX && !find_pin(pins, column);
}

void depend_pin_value(struct depend_work *w, const struct pg_column *column, struct hs_str value,
                      struct depend_pins *pins)
{
    struct hs_str form;

    if (can_pin(w, pins, column) && api_value_form(column->type, value, w->arena, &form))
        pins->of[pins->n++] = (struct depend_pin){.column = column, .value = form};
}

/* All of the list or nothing: a value that is left out would be a change that is missed. */
static void pin_list(struct depend_work *w, const struct tree_node *node, struct depend_pins *pins)
{
    const struct pg_type *type = node->column->type;
    char delim = type->delim ? type->delim : ',';
    struct hs_str element;
    size_t at = 0;
    size_t n = 0;

    if (pins->n_list || !can_pin(w, pins, node->column))
        return;
    for (;; n++) {
        if (!api_value_next(node->value, delim, &at, w->arena, &element))
            return;
        if (!element.p)
            break;
        if (n == DEPEND_LIST_MAX || !api_value_form(type, element, w->arena, &pins->list[n]))
            return;
    }
    if (!n)
        return;
    pins->n_list = n;
    pins->of[pins->n++] = (struct depend_pin){.column = node->column, .is_list = true};
}

/* Does it say of the column as it is that it equals one of some values? */
static bool is_equality(const struct tree_node *node, enum tree_op op)
{
    enum tree_quantifier any = op == TREE_IN ? TREE_ANY : TREE_ONE;

    if (node->kind != TREE_COMPARE || node->made)
        return false;
    return (node->op == op && node->quantifier == TREE_ONE) ||
           (node->op == TREE_EQ && node->quantifier == any);
}

static void pin_compares(struct depend_work *w, const struct tree_node *node, enum tree_op op,
                         struct depend_pins *pins)
{
    if (is_equality(node, op) && op == TREE_EQ)
        depend_pin_value(w, node->column, node->value, pins);
    else if (is_equality(node, op))
        pin_list(w, node, pins);
    if (node->kind != TREE_AND)
        return;
    for (const struct tree_node *child = node->first; child; child = child->next)
        pin_compares(w, child, op, pins);
}

void depend_pin_filters(struct depend_work *w, const struct tree_node *where,
                        struct depend_pins *pins)
{
    if (!where)
        return;
    pin_compares(w, where, TREE_EQ, pins);
    pin_compares(w, where, TREE_IN, pins);
}

/* ---- claims as values ---- */

static void read_claims(struct depend_work *w, struct hs_str json)
{
    const struct pg_catalog *catalog = w->model->catalog;

    if (!w->claims)
        w->claims = HS_NEW_ARRAY(w->arena, catalog->n_claims + 1, struct hs_str);
    if (w->claims && !api_claims_read(catalog, json, w->claims))
        memset(w->claims, 0, catalog->n_claims * sizeof(*w->claims));
}

/*
 * Its text; p == NULL: the caller has none. What api/callers.c made of the claims is looked at first: it is
 * shorter, and what it holds is true, whatever it was made for.
 */
static struct hs_str claim_of(struct depend_work *w, size_t i)
{
    if (!w->claims && w->who->reduced)
        read_claims(w, w->who->reduced->claims);
    if (!w->has_all_claims && (!w->claims || !w->claims[i].p)) {
        read_claims(w, w->who->claims);
        w->has_all_claims = true;
    }
    return w->claims ? w->claims[i] : HS_STR_NULL;
}

/*
 * What the operator ->> makes of a member's value, where json and jsonb agree: a string, a word, a whole
 * number. NULL and what holds values are no value here.
 */
static bool claim_text(struct hs_str json, struct hs_arena *arena, struct hs_str *ret_text)
{
    int64_t number;
    char *to;

    *ret_text = json;
    if (json.n < 2 || json.p[0] != '"')
        return hs_str_is(json, "true") || hs_str_is(json, "false") ||
               (hs_str_to_i64(json, &number) && !hs_str_is(json, "-0"));
    *ret_text = hs_str_sub(json, 1, json.n - 1);
    if (hs_str_find(*ret_text, '\\') == ret_text->n)
        return true;
    to = hs_arena_alloc(arena, json.n);
    if (!to || !json_unescape(*ret_text, to, &ret_text->n))
        return false;
    ret_text->p = to;
    return true;
}

static size_t claim_index(const struct pg_catalog *catalog, struct hs_str name)
{
    size_t i = 0;

    while (i < catalog->n_claims && !hs_str_eq(catalog->claims[i], name))
        i++;
    return i;
}

static void pin_claim(struct depend_work *w, const struct pg_relation *relation,
                      const struct pg_narrow *narrow, struct depend_pins *pins)
{
    size_t i = claim_index(w->model->catalog, narrow->claim);
    struct hs_str claim;
    struct hs_str text;

    /* A claim that is not in the key must not shape the tags, either. */
    if (i == w->model->catalog->n_claims || !(relation->depend.claims >> i & 1) ||
        !can_pin(w, pins, narrow->column))
        return;
    claim = claim_of(w, i);
    if (claim.p && claim_text(claim, w->arena, &text))
        depend_pin_value(w, narrow->column, text, pins);
}

void depend_pin_policies(struct depend_work *w, const struct pg_relation *relation,
                         struct depend_pins *pins)
{
    pins->n = pins->n_list = 0;
    for (size_t i = 0; relation->has_rls && i < relation->n_narrow; i++) {
        if (relation->narrow[i].roles & w->reader)
            pin_claim(w, relation, &relation->narrow[i], pins);
    }
    pins->n_policy = pins->n;
}

/* ---- tags ---- */

static void add_tag(struct depend_work *w, struct cache_tag tag)
{
    struct api_depend *to = w->to;

    for (size_t i = 0; i < to->n_tags; i++) {
        const struct cache_tag *t = &to->tags[i];

        if (t->hash == tag.hash && t->table == tag.table && t->shape == tag.shape)
            return;
    }
    if (to->n_tags < API_TAGS_MAX)
        to->tags[to->n_tags++] = tag;
    else
        w->is_full = true;
}

/* The columns of a shape with their values, in the shape's order. */
struct chosen {
    const struct depend_pin *pins[CACHE_COLUMNS_MAX];
    size_t n;
};

static void choose(struct chosen *chosen, const struct depend_pin *pin)
{
    size_t at = chosen->n++;

    while (at && hs_str_cmp(chosen->pins[at - 1]->column->name, pin->column->name) > 0) {
        chosen->pins[at] = chosen->pins[at - 1];
        at--;
    }
    chosen->pins[at] = pin;
}

static void choose_first(struct chosen *chosen, const struct depend_pins *pins, size_t n)
{
    for (size_t i = 0; i < n && i < CACHE_COLUMNS_MAX; i++)
        choose(chosen, &pins->of[i]);
}

static bool choose_key(struct chosen *chosen, const struct depend_pins *pins,
                       const struct pg_key *key)
{
    chosen->n = 0;
    if (key->n_columns > pins->n || key->n_columns > CACHE_COLUMNS_MAX)
        return false;
    for (size_t i = 0; i < key->n_columns; i++) {
        const struct depend_pin *pin = find_pin(pins, key->columns[i]);

        if (!pin)
            return false;
        choose(chosen, pin);
    }
    return true;
}

/* The primary key is the usual replica identity: it goes first. */
static bool choose_a_key(struct chosen *chosen, const struct pg_relation *relation,
                         const struct depend_pins *pins)
{
    if (relation->primary && choose_key(chosen, pins, relation->primary))
        return true;
    for (size_t i = 0; i < relation->n_keys; i++) {
        if (choose_key(chosen, pins, &relation->keys[i]))
            return true;
    }
    return false;
}

static uint32_t find_shape(struct depend_work *w, uint32_t table, const struct chosen *chosen)
{
    struct hs_str names[CACHE_COLUMNS_MAX];

    for (size_t i = 0; i < chosen->n; i++)
        names[i] = chosen->pins[i]->column->name;
    return chosen->n ? cache_shape(w->state, table, names, chosen->n) : CACHE_NO_INDEX;
}

/* false: beyond the limits of the state. */
static bool add_rows(struct depend_work *w, uint32_t table, const struct depend_pins *pins,
                     const struct chosen *chosen)
{
    uint32_t shape = find_shape(w, table, chosen);
    struct hs_str values[CACHE_COLUMNS_MAX];
    size_t list_at = chosen->n;

    if (shape == CACHE_NO_INDEX)
        return false;
    for (size_t i = 0; i < chosen->n; i++) {
        values[i] = chosen->pins[i]->value;
        if (chosen->pins[i]->is_list)
            list_at = i;
    }
    if (list_at == chosen->n) {
        add_tag(w, cache_tag_rows(w->state, shape, values));
        return true;
    }
    for (size_t i = 0; i < pins->n_list; i++) {
        values[list_at] = pins->list[i];
        add_tag(w, cache_tag_rows(w->state, shape, values));
    }
    return true;
}

/*
 * The shapes that most answers of a table need are there before one that a client chose: how many a table may
 * have is bounded, and they are never given back.
 */
static void reserve_shapes(struct depend_work *w, const struct pg_relation *relation,
                           uint32_t table, const struct chosen *of_policies)
{
    const struct pg_key *key = relation->primary;
    struct depend_pin pins[CACHE_COLUMNS_MAX];
    struct chosen chosen = {.n = 0};

    (void)find_shape(w, table, of_policies);
    for (size_t i = 0; key && key->n_columns <= CACHE_COLUMNS_MAX && i < key->n_columns; i++) {
        if (!is_fit(key->columns[i]))
            return;
        pins[i].column = key->columns[i];
        choose(&chosen, &pins[i]);
    }
    (void)find_shape(w, table, &chosen);
}

/* The columns that policies pin for a role, whoever of it asks. */
static void choose_of_policies(struct chosen *chosen, const struct pg_relation *relation,
                               uint64_t role, struct depend_pin *pins)
{
    for (size_t i = 0; relation->has_rls && i < relation->n_narrow; i++) {
        const struct pg_column *column = relation->narrow[i].column;
        bool is_new = (relation->narrow[i].roles & role) && is_fit(column);

        for (size_t j = 0; j < chosen->n; j++)
            is_new = is_new && chosen->pins[j]->column != column;
        if (!is_new || chosen->n == CACHE_COLUMNS_MAX)
            continue;
        pins[chosen->n].column = column;
        choose(chosen, &pins[chosen->n]);
    }
}

void api_depend_prepare(const struct api_model *model, struct cache_state *state)
{
    struct depend_work w = {.model = model, .state = state};

    for (size_t i = 0; i < model->n_tables && i < DEPEND_PREPARED_MAX; i++) {
        const struct pg_relation *relation = model->tables[i].pg;
        bool is_table = relation->relkind == 'r' || relation->relkind == 'p';

        if (!is_table || !relation->depend.is_known || relation->depend.reads_itself)
            continue;
        for (size_t role = 0; role < model->catalog->n_roles; role++) {
            struct depend_pin pins[CACHE_COLUMNS_MAX] = {{.column = NULL}};
            struct chosen of_policies = {.n = 0};

            choose_of_policies(&of_policies, relation, UINT64_C(1) << role, pins);
            reserve_shapes(&w, relation, cache_table(state, relation->oid), &of_policies);
        }
    }
}

static bool add_narrow(struct depend_work *w, const struct pg_relation *relation, uint32_t table,
                       const struct depend_pins *pins)
{
    struct chosen of_policies = {.n = 0};
    struct chosen chosen = {.n = 0};

    if (!pins->n)
        return false;
    choose_first(&of_policies, pins, pins->n_policy);
    if (pins->n == pins->n_policy)
        return add_rows(w, table, pins, &of_policies);
    if (!choose_a_key(&chosen, relation, pins)) {
        reserve_shapes(w, relation, table, &of_policies);
        chosen.n = 0;
        choose_first(&chosen, pins, pins->n);
    }
    return add_rows(w, table, pins, &chosen) || add_rows(w, table, pins, &of_policies);
}

static const struct pg_relation *relation_of(const struct pg_catalog *catalog, uint32_t oid)
{
    for (size_t i = 0; i < catalog->n_relations; i++) {
        if (catalog->relations[i].oid == oid)
            return &catalog->relations[i];
    }
    return NULL;
}

static void fail_table(struct depend_work *w, uint32_t oid)
{
    const struct pg_relation *relation = relation_of(w->model->catalog, oid);

    depend_fail_at(w, "table ",
                   relation ? relation->quoted : hs_arena_printf(w->arena, "with oid %u", oid),
                   " is not in the change stream; see hasten doctor");
}

/* CACHE_NO_INDEX: it cannot be followed, which was told. */
static uint32_t followed_table(struct depend_work *w, uint32_t oid)
{
    uint32_t table = cache_table(w->state, oid);

    if (table == CACHE_NO_INDEX)
        depend_fail(w, "more tables are read than the cache can follow");
    else if (!cache_table_is_coherent(w->state, table))
        fail_table(w, oid);
    else
        return table;
    return CACHE_NO_INDEX;
}

static const struct pg_relation *plain_of(const struct pg_depend *reads, uint32_t oid)
{
    for (size_t i = 0; i < reads->n_plain; i++) {
        if (reads->plain[i]->oid == oid)
            return reads->plain[i];
    }
    return NULL;
}

/* Of a table that only the statement itself reads: the rows that its policies leave to the caller. */
static bool add_policies(struct depend_work *w, const struct pg_relation *plain, uint32_t table)
{
    struct depend_pins pins;

    depend_pin_policies(w, plain, &pins);
    return add_narrow(w, plain, table, &pins);
}

void depend_add_tables(struct depend_work *w, const struct pg_depend *reads)
{
    for (size_t i = 0; w->to->is_known && i < reads->n_tables; i++) {
        uint32_t table = followed_table(w, reads->tables[i]);
        const struct pg_relation *plain = plain_of(reads, reads->tables[i]);

        if (table != CACHE_NO_INDEX && !(plain && add_policies(w, plain, table)))
            add_tag(w, cache_tag_table(w->state, table));
    }
}

void depend_add_relation(struct depend_work *w, const struct pg_relation *relation,
                         const struct depend_pins *pins)
{
    const struct pg_depend *depend = &relation->depend;
    bool is_table = relation->relkind == 'r' || relation->relkind == 'p';
    uint32_t table;

    if (is_table) {
        table = followed_table(w, relation->oid);
        /* What also reads the table in another way (a policy by way of a function) reads other rows of it. */
        if (table != CACHE_NO_INDEX &&
            (depend->reads_itself || !add_narrow(w, relation, table, pins)))
            add_tag(w, cache_tag_table(w->state, table));
    }
    for (size_t i = 0; w->to->is_known && i < depend->n_tables; i++) {
        if (is_table && depend->tables[i] == relation->oid)
            continue;
        table = followed_table(w, depend->tables[i]);
        if (table != CACHE_NO_INDEX)
            add_tag(w, cache_tag_table(w->state, table));
    }
}
