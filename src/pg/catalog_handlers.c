/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that make answers of media types: PostgREST's media type handlers.
 *
 * A domain named like a media type says which one; a function that returns it answers for itself, an aggregate for
 * the rows of a relation, or of any with anyelement. Where the domain is defined does not count, the function
 * must be in an exposed schema.
 *
 * Source: PostgREST's documentation, "Media Type Handlers" (docs/references/api/media_type_handlers.rst).
 */
#include "pg/catalog_int.h"

enum { TYPE_ANYELEMENT = 2283 };

#define HANDLERS_SQL                                                                                 \
    "WITH " PG_ENTERS                                                                                \
    " SELECT lower(t.typname::text), t.oid, n.nspname, p.proname, p.oid, p.prokind = 'a',"           \
    "  p.proargtypes[0], coalesce(a.typrelid, 0), " PG_CALLERS                                       \
    " FROM pg_type t JOIN pg_proc p ON p.prorettype = t.oid"                                         \
    " JOIN pg_namespace n ON n.oid = p.pronamespace LEFT JOIN pg_type a ON a.oid = p.proargtypes[0]" \
    " WHERE t.typtype = 'd' AND p.pronamespace = ANY ($1::oid[])"                                    \
    " AND (t.typname ~ '^[A-Za-z0-9._-]+/[A-Za-z0-9.+_-]+$' OR t.typname = '*/*')"                   \
    " AND (p.prokind = 'f' AND NOT p.proretset OR p.prokind = 'a' AND p.pronargs = 1)"               \
    " ORDER BY lower(t.typname::text) COLLATE \"C\", n.nspname COLLATE \"C\","                       \
    " p.proname COLLATE \"C\", p.oid"

enum {
    COL_MEDIA,
    COL_TYPE,
    COL_SCHEMA,
    COL_NAME,
    COL_OID,
    COL_IS_AGGREGATE,
    COL_ARGUMENT,
    COL_OF,
    COL_CALLERS
};

static const struct pg_function *function_of(const struct pg_catalog *c, const PGresult *r, int row)
{
    size_t n;
    const struct pg_function *f = pg_catalog_functions(c, pg_cell(r, row, COL_SCHEMA),
                                                       pg_cell(r, row, COL_NAME), &n);

    for (size_t i = 0; f && i < n; i++) {
        if (f[i].oid == pg_cell_oid(r, row, COL_OID))
            return &f[i];
    }
    return NULL;
}

/* false: it is none, an aggregate over something else than rows that are served. */
static bool fill_handler(struct pg_build *b, struct pg_media_handler *to, const PGresult *r,
                         int row)
{
    bool is_aggregate = pg_cell_bool(r, row, COL_IS_AGGREGATE);
    bool is_for_all = pg_cell_oid(r, row, COL_ARGUMENT) == TYPE_ANYELEMENT;

    *to = (struct pg_media_handler){
        .media_type = hs_arena_dup(b->arena, pg_cell(r, row, COL_MEDIA)),
        .type = pg_build_type(b, pg_cell_oid(r, row, COL_TYPE)),
        .schema = hs_arena_dup(b->arena, pg_cell(r, row, COL_SCHEMA)),
        .name = hs_arena_dup(b->arena, pg_cell(r, row, COL_NAME)),
        .function = is_aggregate ? NULL : function_of(&b->whole->pub, r, row),
        .of = is_aggregate ? pg_build_relation(b, pg_cell_oid(r, row, COL_OF)) : NULL,
        .callers = (uint64_t)pg_cell_int(r, row, COL_CALLERS),
    };
    to->quoted = pg_build_quote_pair(b, to->schema, to->name);
    return to->type && (is_aggregate ? to->of || is_for_all : to->function != NULL);
}

hs_status pg_media_handlers_read(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    struct pg_catalog *c = &b->whole->pub;
    struct hs_str roles = pg_array_literal(b->arena, c->roles, c->n_roles);
    const char *params[] = {b->schemas, b->extra_schemas, roles.p};
    struct pg_media_handler *handlers;
    hs_status status;
    size_t n = 0;

    if (!roles.p)
        return hs_fail_memory(reterr);
    status = pg_reader_query(b->reader, HANDLERS_SQL, params, 3, &r, reterr);
    if (status != HS_OK)
        return status;
    handlers = HS_NEW_ARRAY(b->arena, (size_t)PQntuples(r), struct pg_media_handler);
    for (int row = 0; handlers && row < PQntuples(r); row++)
        n += fill_handler(b, &handlers[n], r, row);
    if (hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    c->media_handlers = handlers;
    c->n_media_handlers = n;
    return HS_OK;
}
