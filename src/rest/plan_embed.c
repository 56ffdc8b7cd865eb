/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which relationship an embed means.
 *
 *     target               a relation, a constraint, a column of the key here, a function of the row here
 *     target!hint          a relation by a constraint, by a column of the key on either side, or by a junction
 *
 * To itself a relation leads by its own name (to many), by a column of the key (to one), and by its name with the
 * column over there as the hint (to many). More than one that fits is the client's to decide: the error
 * lists them.
 */
#include "rest/plan_int.h"

#include "core/json.h"
#include "rest/fuzzy.h"

static bool is_only(const struct tree_join *join, const struct pg_column *const *side,
                    struct hs_str name)
{
    return join->n == 1 && hs_str_eq(side[0]->name, name);
}

static bool is_hinted(const struct rest_relationship *r, struct hs_str hint)
{
    if (r->cardinality == REST_MANY_TO_MANY)
        return hs_str_eq(r->join.via->name, hint);
    return hs_str_eq(r->constraint, hint) || is_only(&r->join, r->join.here, hint) ||
           is_only(&r->join, r->join.there, hint);
}

/* The name is one of the relationship's: only what more is asked for is judged here. */
static bool is_meant(const struct rest_relationship *r, struct hs_str target, struct hs_str hint)
{
    bool is_relation = hs_str_eq(r->to->name, target);

    if (r->cardinality == REST_COMPUTED)
        return true;
    if (!r->is_self)
        return !hint.p || (is_relation && is_hinted(r, hint));
    if (is_relation && r->cardinality == REST_ONE_TO_MANY)
        return !hint.p || is_only(&r->join, r->join.there, hint);
    return !hint.p && r->cardinality == REST_MANY_TO_ONE && is_only(&r->join, r->join.here, target);
}

static struct hs_str suggest_origin(const struct rest_planner *p, struct hs_str name)
{
    const struct pg_catalog *catalog = rest_model_catalog(p->setup->model);
    struct rest_fuzzy fuzzy;

    rest_fuzzy_start(&fuzzy, name, REST_FUZZY_LOOSE);
    for (size_t i = 0; i < catalog->n_relations; i++) {
        const struct pg_relation *r = &catalog->relations[i];

        if (hs_str_eq(r->schema, p->setup->schema) &&
            rest_model_relation(p->setup->model, r)->n_relationships)
            rest_fuzzy_offer(&fuzzy, r->name);
    }
    return fuzzy.best;
}

static struct hs_str suggest_target(const struct rest_relation *from, struct hs_str name)
{
    struct rest_fuzzy fuzzy;

    rest_fuzzy_start(&fuzzy, name, REST_FUZZY_LOOSE);
    for (size_t i = 0; i < from->n_relationships; i++)
        rest_fuzzy_offer(&fuzzy, from->relationships[i]->to->name);
    return fuzzy.is_exact ? HS_STR_NULL : fuzzy.best;
}

static hs_status fail_none(const struct rest_planner *p, const struct rest_level *parent,
                           const struct rest_item *item, struct hs_err *reterr)
{
    struct hs_str origin = parent->item ? parent->relation->pg->name : p->origin;
    bool has_any = parent->relation->n_relationships > 0;
    struct hs_str asked = has_any ? item->target : origin;
    struct hs_str best = has_any ? suggest_target(parent->relation, asked)
                                 : suggest_origin(p, asked);
    struct hs_str using = item->hint.p ? HS_STR("' using the hint '") : HS_STR("");

    (void)hs_fail(reterr, HS_E_PGRST200,
                  "Could not find a relationship between '%.*s' and '%.*s' in the schema cache",
                  HS_FMT(origin), HS_FMT(item->target));
    hs_err_why(reterr,
               "Searched for a foreign key relationship between '%.*s' and '%.*s%.*s%.*s' in the "
               "schema '%.*s', but no matches were found.",
               HS_FMT(origin), HS_FMT(item->target), HS_FMT(using), HS_FMT(item->hint),
               HS_FMT(p->setup->schema));
    if (best.p)
        hs_err_hint(reterr, "Perhaps you meant '%.*s' instead of '%.*s'.", HS_FMT(best),
                    HS_FMT(asked));
    return HS_E_PGRST200;
}

/* What "one of the following" says: projects!projects_client_id_fkey */
static struct hs_str hint_of(const struct rest_relationship *r)
{
    return r->cardinality == REST_MANY_TO_MANY ? r->join.via->name : r->constraint;
}

static void add_columns(struct hs_buf *out, const struct pg_column *const *columns, size_t n)
{
    hs_buf_add_char(out, '(');
    for (size_t i = 0; i < n; i++) {
        if (i)
            hs_buf_add_lit(out, ", ");
        hs_buf_add(out, columns[i]->name);
    }
    hs_buf_add_char(out, ')');
}

/* In words, to scratch. */
static void describe(struct hs_buf *scratch, const struct rest_relationship *r)
{
    const struct tree_join *join = &r->join;

    if (r->cardinality == REST_MANY_TO_MANY) {
        hs_buf_add(scratch, join->via->name);
        hs_buf_add_lit(scratch, " using ");
        hs_buf_add(scratch, r->constraint);
        add_columns(scratch, join->via_here, join->n);
        hs_buf_add_lit(scratch, " and ");
        hs_buf_add(scratch, r->constraint_there);
        add_columns(scratch, join->via_there, join->n_via);
        return;
    }
    hs_buf_add(scratch, r->constraint);
    hs_buf_add_lit(scratch, " using ");
    hs_buf_add(scratch, r->from->name);
    add_columns(scratch, join->here, join->n);
    hs_buf_add_lit(scratch, " and ");
    hs_buf_add(scratch, r->to->name);
    add_columns(scratch, join->there, join->n);
}

static void add_choice(struct hs_buf *details, struct hs_buf *scratch,
                       const struct rest_relationship *r)
{
    static const char *const words[] = {[REST_ONE_TO_MANY] = "one-to-many",
                                        [REST_MANY_TO_ONE] = "many-to-one",
                                        [REST_ONE_TO_ONE] = "one-to-one",
                                        [REST_MANY_TO_MANY] = "many-to-many",
                                        [REST_COMPUTED] = ""};

    hs_buf_add(details,
               details->n > 1 ? HS_STR(",{\"cardinality\":") : HS_STR("{\"cardinality\":"));
    hs_json_string(details, hs_str(words[r->cardinality]));
    hs_buf_add_lit(details, ",\"embedding\":");
    hs_buf_clear(scratch);
    hs_buf_add(scratch, r->from->name);
    hs_buf_add_lit(scratch, " with ");
    hs_buf_add(scratch, r->to->name);
    hs_json_string(details, hs_buf_str(scratch));
    hs_buf_add_lit(details, ",\"relationship\":");
    hs_buf_clear(scratch);
    describe(scratch, r);
    hs_json_string(details, hs_buf_str(scratch));
    hs_buf_add_char(details, '}');
}

enum { CHOICES_BYTES_MAX = 1 << 20 };

struct choices {
    struct hs_buf details;
    struct hs_buf hint;
    struct hs_buf scratch;
};

static void list_choices(struct choices *to, const struct rest_choice *choices, size_t n,
                         const struct rest_item *item)
{
    bool is_first = true;

    hs_buf_add_char(&to->details, '[');
    hs_buf_add_lit(&to->hint, "Try changing '");
    hs_buf_add(&to->hint, item->target);
    hs_buf_add_lit(&to->hint, "' to one of the following: ");
    for (size_t i = 0; i < n; i++) {
        const struct rest_relationship *r = choices[i].relationship;

        if (!is_meant(r, item->target, item->hint))
            continue;
        add_choice(&to->details, &to->scratch, r);
        hs_buf_add(&to->hint, is_first ? HS_STR("'") : HS_STR(", '"));
        hs_buf_add(&to->hint, r->to->name);
        hs_buf_add_char(&to->hint, '!');
        hs_buf_add(&to->hint, hint_of(r));
        hs_buf_add_char(&to->hint, '\'');
        is_first = false;
    }
    hs_buf_add_char(&to->details, ']');
    hs_buf_add_lit(&to->hint, ". Find the desired relationship in the 'details' key.");
}

static hs_status fail_many(const struct rest_planner *p, const struct rest_level *parent,
                           const struct rest_item *item, const struct rest_choice *choices,
                           size_t n, struct hs_err *reterr)
{
    struct hs_str origin = parent->item ? parent->relation->pg->name : p->origin;
    struct rest_more *more = p->setup->more;
    struct choices to;
    bool failed;

    hs_buf_init(&to.details, CHOICES_BYTES_MAX);
    hs_buf_init(&to.hint, CHOICES_BYTES_MAX);
    hs_buf_init(&to.scratch, CHOICES_BYTES_MAX);
    list_choices(&to, choices, n, item);
    failed = hs_buf_failed(&to.details) || hs_buf_failed(&to.hint) || hs_buf_failed(&to.scratch);
    if (more && !failed) {
        more->details = hs_arena_dup(p->arena, hs_buf_str(&to.details));
        more->hint = hs_arena_dup(p->arena, hs_buf_str(&to.hint));
    }
    hs_buf_fini(&to.details);
    hs_buf_fini(&to.hint);
    hs_buf_fini(&to.scratch);
    if (failed || hs_arena_failed(p->arena))
        return hs_fail_memory(reterr);
    return hs_fail(reterr, HS_E_PGRST201,
                   "Could not embed because more than one relationship was found for '%.*s' and "
                   "'%.*s'",
                   HS_FMT(origin), HS_FMT(item->target));
}

static hs_status find(const struct rest_planner *p, const struct rest_level *parent,
                      const struct rest_item *item, const struct rest_relationship **ret_by,
                      struct hs_err *reterr)
{
    size_t n;
    const struct rest_choice *choices = rest_relation_choices(parent->relation, item->target, &n);
    size_t n_meant = 0;

    for (size_t i = 0; i < n; i++) {
        if (!is_meant(choices[i].relationship, item->target, item->hint))
            continue;
        *ret_by = choices[i].relationship;
        n_meant++;
    }
    if (n_meant == 1)
        return HS_OK;
    return n_meant ? fail_many(p, parent, item, choices, n, reterr)
                   : fail_none(p, parent, item, reterr);
}

static void bind_embed(struct rest_planner *p, struct rest_level *level)
{
    const struct rest_relationship *by = level->by;

    level->relation = rest_model_relation(p->setup->model, by->to);
    level->select->relation = by->to;
    level->embed->join = &by->join;
    level->embed->is_many = by->is_many;
}

hs_status rest_plan_relate(struct rest_planner *p, struct rest_level *level, struct hs_err *reterr)
{
    for (struct rest_level *l = level->first; l; l = l->next) {
        hs_status status = find(p, level, l->item, &l->by, reterr);

        if (status)
            return status;
        bind_embed(p, l);
        status = rest_plan_relate(p, l, reterr);
        if (status)
            return status;
    }
    return HS_OK;
}
