/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a function gives: a row type, made up where no relation has it, and whether it belongs to the rows of a
 * relation.
 *
 * The one rule: a row is whatever FROM makes of the call, so its columns have the names and order that they have
 * there. Tried on PostgreSQL 15: a single OUT or TABLE parameter names the column, even against an alias of the
 * call (get_func_result_name(), src/backend/parser/parse_relation.c, chooseScalarFunctionAlias()); parameters
 * without a name are "column1", "column2" by their place among those that come back; one by itself without a name
 * is named like the function. But a single one of a composite type gives the fields of that type.
 *
 * PostgREST 12 and later take a function with any OUT, INOUT or TABLE parameter for one of rows, and so does
 * this: SchemaCache.hs, rettype_is_composite.
 */
#include "pg/catalog_int.h"

static const struct pg_column *add_column(struct pg_build *b, struct pg_column *to, size_t at,
                                          struct hs_str name, const struct pg_type *type)
{
    to->name = name;
    to->quoted = pg_build_quote(b, name);
    to->type = type;
    to->typmod = -1;
    to->index = (uint16_t)at;
    to->attnum = (int16_t)(at + 1);
    return to;
}

static struct hs_str output_name(struct pg_build *b, const struct pg_function *f,
                                 const struct pg_output *outputs, size_t n, size_t at)
{
    if (outputs[at].name.n)
        return outputs[at].name;
    return n == 1 ? f->name : hs_arena_printf(b->arena, "column%zu", at + 1);
}

/* With two OUT parameters or more it returns a record, not a composite type; with none of all this a scalar. */
static struct pg_column *make_columns(struct pg_build *b, const struct pg_function *f,
                                      const struct pg_output *outputs, size_t n_outputs,
                                      size_t *ret_n)
{
    bool has_fields = f->returns && f->returns->kind == PG_KIND_COMPOSITE;
    size_t n = has_fields ? f->returns->n_fields : n_outputs ? n_outputs : 1;
    struct pg_column *columns = HS_NEW_ARRAY(b->arena, n, struct pg_column);

    for (size_t i = 0; columns && i < n; i++) {
        if (has_fields)
            add_column(b, &columns[i], i, f->returns->fields[i].name, f->returns->fields[i].type);
        else if (n_outputs)
            add_column(b, &columns[i], i, output_name(b, f, outputs, n_outputs, i),
                       outputs[i].type);
        else
            add_column(b, &columns[i], i, f->name, f->returns);
        columns[i].readers = f->callers;
    }
    *ret_n = columns ? n : 0;
    return columns;
}

static const struct pg_relation *make_row(struct pg_build *b, const struct pg_function *f,
                                          const struct pg_output *outputs, size_t n_outputs)
{
    struct pg_relation *row = HS_NEW(b->arena, struct pg_relation);

    if (!row)
        return NULL;
    row->schema = f->schema;
    row->name = f->name;
    row->quoted = f->quoted;
    row->relkind = 'F';
    row->depend.why = HS_STR("the rows are those of a function");
    row->columns = make_columns(b, f, outputs, n_outputs, &row->n_columns);
    row->rows_estimate = (double)f->rows_estimate;
    row->comment = f->comment;
    row->readers = f->callers;
    row->whole_readers = f->callers;
    return row;
}

void pg_function_result(struct pg_build *b, struct pg_function *f, struct pg_function_facts facts,
                        const struct pg_output *outputs, size_t n_outputs)
{
    const struct pg_relation *relation = facts.row ? pg_build_relation(b, facts.row) : NULL;

    f->is_scalar = !n_outputs && !(f->returns && f->returns->kind == PG_KIND_COMPOSITE);
    f->row = relation ? relation : make_row(b, f, outputs, n_outputs);
    if (facts.of && (relation || (f->is_scalar && !f->is_set_returning && !f->is_void)))
        f->of = pg_build_relation(b, facts.of);
}

/* Hands each relation its part of one array: first counted, then cut, then filled. */
hs_status pg_computed_link(struct pg_build *b, struct hs_err *reterr)
{
    struct pg_catalog *c = &b->whole->pub;
    const struct pg_function **slots = HS_NEW_ARRAY(b->arena, c->n_functions,
                                                    const struct pg_function *);
    const struct pg_function ***next = HS_NEW_ARRAY(b->arena, c->n_relations,
                                                    const struct pg_function **);

    if (!slots || !next)
        return hs_fail_memory(reterr);
    for (size_t i = 0; i < c->n_functions; i++) {
        if (c->functions[i].of)
            c->relations[c->functions[i].of - c->relations].n_computed++;
    }
    for (size_t i = 0; i < c->n_relations; i++) {
        next[i] = slots;
        c->relations[i].computed = slots;
        slots += c->relations[i].n_computed;
    }
    for (size_t i = 0; i < c->n_functions; i++) {
        if (c->functions[i].of)
            *next[c->functions[i].of - c->relations]++ = &c->functions[i];
    }
    return HS_OK;
}
