/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is selected of a level: fields under their names, aggregates, and how many rows.
 *
 * A column as it is needs nothing built: the model has its field. Names are those that PostgREST gives: the
 * alias; of an aggregate its own name; of a way into JSON its last key. Where a name stands twice, both stay.
 */
#include "rest/plan_int.h"
#include "rest/range.h"

#include "core/json.h"

/* "name" as an SQL identifier: quotes are doubled. */
static struct hs_str quote(struct hs_arena *arena, struct hs_str name)
{
    char *to = hs_arena_alloc(arena, 2 * name.n + 3);
    size_t n = 0;

    if (!to)
        return HS_STR_NULL;
    to[n++] = '"';
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"')
            to[n++] = '"';
        to[n++] = name.p[i];
    }
    to[n++] = '"';
    to[n] = '\0';
    return hs_strn(to, n);
}

/* As it is, if nothing in it needs escaping in JSON. */
static bool is_plain(struct hs_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];

        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            return false;
    }
    return true;
}

/* One byte becomes six at most (\u0000), and a broken one three. */
enum { ESCAPED_MAX = 6 };

static struct hs_str escaped_key(struct hs_arena *arena, struct hs_str name)
{
    struct hs_buf text;
    struct hs_str key = HS_STR_NULL;

    hs_buf_init(&text, ESCAPED_MAX * name.n + sizeof("\"\":"));
    hs_json_string(&text, name);
    hs_buf_add_char(&text, ':');
    if (!hs_buf_failed(&text))
        key = hs_arena_dup(arena, hs_buf_str(&text));
    hs_buf_fini(&text);
    return key;
}

/* "name": whose beginning is the identifier, too. */
static struct hs_str plain_key(struct hs_arena *arena, struct hs_str name)
{
    char *to = hs_arena_alloc(arena, name.n + sizeof("\"\":"));

    if (!to)
        return HS_STR_NULL;
    to[0] = '"';
    memcpy(hs_str_put(to + 1, name), "\":", sizeof("\":"));
    return hs_strn(to, name.n + 3);
}

bool rest_plan_name(struct rest_planner *p, struct hs_str name, struct hs_str *ret_key,
                    struct hs_str *ret_alias)
{
    if (is_plain(name)) {
        *ret_key = plain_key(p->arena, name);
        *ret_alias = hs_str_sub(*ret_key, 0, name.n + 2);
    } else {
        *ret_key = escaped_key(p->arena, name);
        *ret_alias = quote(p->arena, name);
    }
    return ret_key->p && ret_alias->p;
}

static struct hs_str aggregate_name(enum rest_aggregate aggregate)
{
    static const struct hs_str names[] = {
        [REST_AGGREGATE_NONE] = {"", 0}, [REST_COUNT] = {"count", 5}, [REST_SUM] = {"sum", 3},
        [REST_AVG] = {"avg", 3},         [REST_MIN] = {"min", 3},     [REST_MAX] = {"max", 3}};

    return names[aggregate];
}

static enum tree_aggregate aggregate_of(enum rest_aggregate aggregate)
{
    static const enum tree_aggregate to[] = {[REST_AGGREGATE_NONE] = TREE_AGGREGATE_NONE,
                                             [REST_COUNT] = TREE_COUNT,
                                             [REST_SUM] = TREE_SUM,
                                             [REST_AVG] = TREE_AVG,
                                             [REST_MIN] = TREE_MIN,
                                             [REST_MAX] = TREE_MAX};

    return to[aggregate];
}

static struct hs_str name_of(const struct rest_item *item)
{
    if (item->alias.p)
        return item->alias;
    if (item->aggregate)
        return aggregate_name(item->aggregate);
    for (size_t i = item->path.n_steps; i; i--) {
        if (!item->path.steps[i - 1].is_index)
            return item->path.steps[i - 1].key;
    }
    return item->path.name;
}

/*
 * `count` without its parentheses, where no column has that name: for PostgreSQL, to which PostgREST gives it as a
 * column of the row, it is the function called with the row. It was there before aggregates were, and is not switched
 * off with them.
 */
static bool is_row_count(const struct rest_planner *p, const struct rest_level *level,
                         const struct rest_item *item)
{
    return item->kind == REST_ITEM_FIELD && !item->aggregate && !item->path.n_steps &&
           hs_str_is(item->path.name, "count") && !rest_plan_has_name(p, level, item->path.name);
}

/* What is made of the row; ret_value: NULL where it is the column as it is. */
static hs_status bind_value(struct rest_planner *p, const struct rest_level *level,
                            const struct rest_item *item, const struct pg_column **ret_column,
                            struct tree_value **ret_value, struct hs_err *reterr)
{
    enum rest_aggregate aggregate = is_row_count(p, level, item) ? REST_COUNT : item->aggregate;
    const struct pg_type *cast;
    const struct pg_type *aggregate_cast;
    hs_status status = HS_OK;

    *ret_column = NULL;
    *ret_value = NULL;
    if (item->path.name.n && aggregate == item->aggregate)
        status = rest_plan_path(p, level, /* is_above= */ false, &item->path, ret_column, ret_value,
                                reterr);
    if (!status)
        status = rest_plan_type(p, item->cast, &cast, reterr);
    if (!status)
        status = rest_plan_type(p, item->aggregate_cast, &aggregate_cast, reterr);
    if (status || (!cast && !aggregate))
        return status;
    if (!*ret_value)
        *ret_value = HS_NEW(p->arena, struct tree_value);
    if (!*ret_value)
        return hs_fail_memory(reterr);
    (*ret_value)->column = *ret_column;
    (*ret_value)->cast = cast;
    (*ret_value)->aggregate = aggregate_of(aggregate);
    (*ret_value)->aggregate_cast = aggregate_cast;
    return HS_OK;
}

static hs_status bind_field(struct rest_planner *p, const struct rest_level *level,
                            const struct rest_item *item, const struct tree_field **ret_field,
                            struct hs_err *reterr)
{
    const struct pg_column *column;
    struct tree_value *value;
    struct tree_field *field;
    hs_status status = bind_value(p, level, item, &column, &value, reterr);

    if (status)
        return status;
    if (!value && !item->alias.p) {
        *ret_field = &level->relation->fields[column - level->relation->pg->columns];
        return HS_OK;
    }
    field = HS_NEW(p->arena, struct tree_field);
    if (!field)
        return hs_fail_memory(reterr);
    field->column = column;
    field->value = value;
    field->name = name_of(item);
    *ret_field = field;
    return rest_plan_name(p, field->name, &field->key, &field->alias) ? HS_OK
                                                                      : hs_fail_memory(reterr);
}

static size_t count_fields(const struct rest_level *level)
{
    size_t n = 0;

    for (const struct rest_item *i = level->items; i; i = i->next) {
        if (i->kind == REST_ITEM_ALL)
            n += level->relation->pg->n_columns;
        else
            n += i->kind == REST_ITEM_FIELD;
    }
    return n;
}

static bool counts_rows(const struct rest_planner *p, const struct rest_level *level)
{
    for (const struct rest_item *i = level->items; i; i = i->next) {
        if (is_row_count(p, level, i))
            return true;
    }
    return false;
}

static hs_status too_many_fields(struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_PG_ERROR, "target lists can have at most %d entries",
                  REST_FIELDS_MAX);
    if (reterr)
        memcpy(reterr->sqlstate, "54011", sizeof(reterr->sqlstate));
    return HS_E_PG_ERROR;
}

static bool has_aggregate(const struct rest_level *level)
{
    for (const struct rest_item *i = level->items; i; i = i->next) {
        if (i->kind == REST_ITEM_FIELD && i->aggregate)
            return true;
    }
    return false;
}

/* Its own, or those of spread embeds, which are its own for whoever reads the answer. */
static bool shows_aggregate(const struct rest_level *level)
{
    if (has_aggregate(level))
        return true;
    for (const struct rest_level *l = level->first; l; l = l->next) {
        if (rest_level_is_hoisted(l) && shows_aggregate(l))
            return true;
    }
    return false;
}

/* Nothing of it, nor of what is in it, is in the answer. */
static bool is_hidden(const struct rest_level *level)
{
    if (count_fields(level))
        return false;
    for (const struct rest_level *l = level->first; l; l = l->next) {
        if (!is_hidden(l))
            return false;
    }
    return true;
}

static void set_all(struct rest_level *level)
{
    level->select->fields = level->relation->all;
    level->select->n_fields = level->relation->pg->n_columns;
}

static hs_status bind_fields(struct rest_planner *p, struct rest_level *level, size_t n,
                             struct hs_err *reterr)
{
    const struct tree_field **fields = HS_NEW_ARRAY(p->arena, n + 1, const struct tree_field *);
    size_t columns = level->relation->pg->n_columns;
    size_t at = 0;

    if (!fields)
        return hs_fail_memory(reterr);
    for (const struct rest_item *i = level->items; i; i = i->next) {
        if (i->kind == REST_ITEM_ALL) {
            for (size_t c = 0; c < columns; c++)
                fields[at++] = level->relation->all[c];
        } else if (i->kind == REST_ITEM_FIELD) {
            hs_status status = bind_field(p, level, i, &fields[at], reterr);

            if (status)
                return status;
            at++;
        }
    }
    level->select->fields = fields;
    level->select->n_fields = n;
    return HS_OK;
}

hs_status rest_plan_fields(struct rest_planner *p, struct rest_level *level, struct hs_err *reterr)
{
    size_t n = count_fields(level);

    if (n > REST_FIELDS_MAX)
        return too_many_fields(reterr);
    if (level->embed)
        level->embed->is_hidden = is_hidden(level);
    level->select->is_grouped = !(level->embed && rest_level_is_hoisted(level)) &&
                                (shows_aggregate(level) || counts_rows(p, level));
    /* `select=` is no list of nothing. */
    if (!level->items && !level->embed) {
        set_all(level);
        return HS_OK;
    }
    if (level->items && level->items->kind == REST_ITEM_ALL && !level->items->next) {
        set_all(level);
        return HS_OK;
    }
    return bind_fields(p, level, n, reterr);
}

static hs_status check_allowed(const struct rest_level *level, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    if (has_aggregate(level))
        return hs_fail(reterr, HS_E_PGRST123, "Use of aggregate functions is not allowed");
    for (const struct rest_level *l = level->first; l && !status; l = l->next)
        status = check_allowed(l, reterr);
    return status;
}

static hs_status check_spread(const struct rest_level *level, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    if (level->item && level->item->is_spread && level->by->is_many && shows_aggregate(level)) {
        (void)hs_fail(reterr, HS_E_PGRST127, "Feature not implemented");
        hs_err_why(reterr,
                   "Aggregates are not implemented for one-to-many or many-to-many spreads.");
        return HS_E_PGRST127;
    }
    for (const struct rest_level *l = level->first; l && !status; l = l->next)
        status = check_spread(l, reterr);
    return status;
}

hs_status rest_plan_check_aggregates(struct rest_planner *p, struct rest_level *level,
                                     struct hs_err *reterr)
{
    hs_status status = p->setup->has_aggregates ? HS_OK : check_allowed(level, reterr);

    return status ? status : check_spread(level, reterr);
}

void rest_plan_limit(struct rest_planner *p, struct rest_level *level)
{
    struct tree_select *select = level->select;
    uint64_t bound = !level->embed || level->embed->is_many
                         ? rest_rows_most(p->setup->max_rows, p->setup->who)
                         : 0;

    if (p->setup->use == REST_PLAN_WRITE)
        return;
    for (const struct rest_level_scope *s = level->scopes; s; s = s->next) {
        if (s->scope->has_limit && !select->has_limit) {
            select->has_limit = true;
            select->limit = s->scope->limit;
        }
        if (s->scope->has_offset && !select->offset)
            select->offset = s->scope->offset;
    }
    if (bound && (!select->has_limit || select->limit > bound)) {
        select->has_limit = select->is_limit_fixed = true;
        select->limit = bound;
    }
}
