/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One snapshot, read in one REPEATABLE READ transaction by a dozen queries.
 *
 * The one rule: the snapshot is built whole in an arena of its own and published only when every part of
 * it was read; whatever fails before leaves nothing behind. Pointers between parts are set to elements of
 * arrays that have their final size, so nothing moves.
 *
 * A few functions (format_type, pg_get_expr) look at the newest catalog rather than at the transaction's
 * snapshot. So a read that fails because of DDL at the same moment is tried once more, and the
 * fingerprint, taken in the same transaction, makes the next look notice the rest.
 *
 * Source: PostgreSQL 15 manual, 53 (system catalogs), 13.2.2 (repeatable read).
 */
#include "pg/catalog_int.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/mem.h"

int64_t pg_cell_int(const PGresult *r, int row, int column)
{
    int64_t v;

    return hs_str_to_i64(pg_cell(r, row, column), &v) ? v : 0;
}

int pg_cell_run(const PGresult *r, int from, int end, int column)
{
    uint32_t number = pg_cell_oid(r, from, column);

    while (from < end && pg_cell_oid(r, from, column) == number)
        from++;
    return from;
}

struct hs_str pg_array_literal(struct hs_arena *a, const struct hs_str *names, size_t n)
{
    struct hs_buf text;
    struct hs_str literal = HS_STR_NULL;

    hs_buf_init(&text, /* max= */ 1 << 20);
    hs_buf_add_char(&text, '{');
    for (size_t i = 0; i < n; i++) {
        if (names[i].n == 0)
            continue;
        hs_buf_add(&text, text.n > 1 ? HS_STR(",\"") : HS_STR("\""));
        for (size_t at = 0; at < names[i].n; at++) {
            if (names[i].p[at] == '"' || names[i].p[at] == '\\')
                hs_buf_add_char(&text, '\\');
            hs_buf_add_char(&text, names[i].p[at]);
        }
        hs_buf_add_char(&text, '"');
    }
    hs_buf_add_char(&text, '}');
    if (!hs_buf_failed(&text))
        literal = hs_arena_dup(a, hs_buf_str(&text));
    hs_buf_fini(&text);
    return literal;
}

size_t pg_numbers(struct hs_str text, int64_t *ret, size_t max)
{
    size_t n = 0;
    size_t at = 0;

    while (at < text.n) {
        size_t end = at;

        while (end < text.n && (text.p[end] == '-' || (text.p[end] >= '0' && text.p[end] <= '9')))
            end++;
        if (end > at) {
            if (n < max && !hs_str_to_i64(hs_str_sub(text, at, end), &ret[n]))
                ret[n] = 0;
            n++;
        }
        at = end + 1;
    }
    return n;
}

struct pg_relation *pg_build_relation(const struct pg_build *b, uint32_t oid)
{
    size_t low = 0;
    size_t high = b->whole->pub.n_relations;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (b->by_oid[middle]->oid == oid)
            return b->by_oid[middle];
        if (b->by_oid[middle]->oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* "a""b" */
struct hs_str pg_build_quote(const struct pg_build *b, struct hs_str name)
{
    size_t n = 2 + name.n;
    char *p;
    char *to;

    for (size_t i = 0; i < name.n; i++)
        n += name.p[i] == '"';
    p = hs_arena_alloc(b->arena, n + 1);
    if (!p)
        return HS_STR_NULL;
    to = p;
    *to++ = '"';
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"')
            *to++ = '"';
        *to++ = name.p[i];
    }
    *to++ = '"';
    *to = '\0';
    return hs_strn(p, n);
}

struct hs_str pg_build_quote_pair(const struct pg_build *b, struct hs_str schema,
                                  struct hs_str name)
{
    struct hs_str first = pg_build_quote(b, schema);
    struct hs_str second = pg_build_quote(b, name);

    return hs_arena_printf(b->arena, "%.*s.%.*s", HS_FMT(first), HS_FMT(second));
}

static int compare_oid(const void *a, const void *b)
{
    const struct pg_relation *x = *(struct pg_relation *const *)a;
    const struct pg_relation *y = *(struct pg_relation *const *)b;

    return (x->oid > y->oid) - (x->oid < y->oid);
}

/* Relations lie in the order of their schemas, so the address decides between equal names. */
static int compare_name(const void *a, const void *b)
{
    const struct pg_relation *x = *(const struct pg_relation *const *)a;
    const struct pg_relation *y = *(const struct pg_relation *const *)b;
    int order = hs_str_cmp(x->name, y->name);

    return order ? order : (x > y) - (x < y);
}

static void fill_relation(struct pg_build *b, struct pg_relation *to, const PGresult *r, int row)
{
    to->oid = pg_cell_oid(r, row, 0);
    to->schema = hs_arena_dup(b->arena, pg_cell(r, row, 1));
    to->name = hs_arena_dup(b->arena, pg_cell(r, row, 2));
    to->quoted = pg_build_quote_pair(b, to->schema, to->name);
    to->relkind = PQgetvalue(r, row, 3)[0];
    to->has_rls = pg_cell_bool(r, row, 4);
    to->rows_estimate = (double)pg_cell_int(r, row, 5);
    to->comment = hs_arena_dup(b->arena, pg_cell(r, row, 6));
    to->has_heirs = to->relkind == 'r' && pg_cell_bool(r, row, 7);
}

static hs_status read_relations(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {b->schemas};
    hs_status status = pg_reader_query(
        b->reader,
        "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity,"
        " CASE WHEN c.relkind IN ('r', 'p', 'm', 'f') THEN c.reltuples::int8 ELSE -1 END, d.description,"
        " c.relhassubclass"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_description d"
        "  ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0"
        " WHERE c.relnamespace = ANY ($1::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND NOT c.relispartition"
        " ORDER BY array_position($1::oid[], c.relnamespace), c.relname COLLATE \"C\"",
        params, 1, &r, reterr);
    struct pg_catalog *c = &b->whole->pub;
    size_t n;

    if (status != HS_OK)
        return status;
    n = (size_t)PQntuples(r);
    c->relations = HS_NEW_ARRAY(b->arena, n, struct pg_relation);
    b->by_oid = HS_NEW_ARRAY(b->arena, n, struct pg_relation *);
    b->columns = HS_NEW_ARRAY(b->arena, n, struct pg_column *);
    b->whole->by_name = HS_NEW_ARRAY(b->arena, n, const struct pg_relation *);
    if (hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    c->n_relations = n;
    for (size_t i = 0; i < n; i++) {
        fill_relation(b, &c->relations[i], r, (int)i);
        b->by_oid[i] = &c->relations[i];
        b->whole->by_name[i] = &c->relations[i];
    }
    if (hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    qsort(b->by_oid, n, sizeof(struct pg_relation *), compare_oid);
    qsort(b->whole->by_name, n, sizeof(struct pg_relation *), compare_name);
    return HS_OK;
}

/* Types whose equal values have one output form; a text's collation has its say, too. */
static bool has_one_form(const struct pg_type *type)
{
    enum {
        BOOL = 16,
        INT8 = 20,
        INT2 = 21,
        INT4 = 23,
        TEXT = 25,
        VARCHAR = 1043,
        DATE = 1082,
        UUID = 2950
    };
    static const uint32_t types[] = {BOOL, INT8, INT2, INT4, TEXT, VARCHAR, DATE, UUID};

    for (size_t i = 0; type && i < HS_LEN(types); i++) {
        if (type->base == types[i])
            return true;
    }
    return type && type->kind == PG_KIND_ENUM;
}

static void fill_column(struct pg_build *b, struct pg_column *to, const PGresult *r, int row)
{
    to->attnum = (int16_t)pg_cell_int(r, row, 1);
    to->name = hs_arena_dup(b->arena, pg_cell(r, row, 2));
    to->quoted = pg_build_quote(b, to->name);
    to->type = pg_build_type(b, pg_cell_oid(r, row, 3));
    to->typmod = (int32_t)pg_cell_int(r, row, 4);
    to->not_null = pg_cell_bool(r, row, 5);
    to->is_generated = pg_cell_bool(r, row, 6);
    to->has_default = pg_cell_bool(r, row, 7) && !to->is_generated;
    to->is_identity = pg_cell_bool(r, row, 8);
    to->comment = hs_arena_dup(b->arena, pg_cell(r, row, 9));
    to->default_sql = hs_arena_dup(b->arena, pg_cell(r, row, 10));
    to->is_identity_always = pg_cell_bool(r, row, 11);
    to->is_exact = !to->is_generated && pg_cell_bool(r, row, 12) && has_one_form(to->type);
}

/* The columns of one relation, from row `from` on; returns the row behind them. */
static int fill_columns(struct pg_build *b, const PGresult *r, int from, struct hs_err *reterr,
                        hs_status *status)
{
    struct pg_relation *relation = pg_build_relation(b, pg_cell_oid(r, from, 0));
    int end = pg_cell_run(r, from, PQntuples(r), 0);
    struct pg_column *columns = HS_NEW_ARRAY(b->arena, (size_t)(end - from), struct pg_column);

    for (int i = from; columns && i < end; i++) {
        struct pg_column *column = &columns[i - from];

        fill_column(b, column, r, i);
        column->index = (uint16_t)(i - from);
        if (!column->type && !hs_arena_failed(b->arena))
            *status = hs_fail(reterr, HS_E_PG_ERROR, "the type of column \"%.*s\" is gone",
                              HS_FMT(column->name));
    }
    if (relation && columns) {
        b->columns[relation - b->whole->pub.relations] = columns;
        relation->columns = columns;
        relation->n_columns = (size_t)(end - from);
    }
    return end;
}

static hs_status read_columns(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {b->schemas};
    hs_status status = pg_reader_query(
        b->reader,
        "SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,"
        " a.attgenerated <> '', a.atthasdef, a.attidentity <> '', d.description,"
        " CASE WHEN a.attgenerated = '' THEN coalesce(pg_get_expr(e.adbin, e.adrelid),"
        "  CASE WHEN c.relkind <> 'v' THEN coalesce(pg_get_expr(t.typdefaultbin, 0),"
        "  quote_literal(t.typdefault)) END) END, a.attidentity = 'a',"
        " c.relkind IN ('r', 'p') AND coalesce(o.collisdeterministic, true)"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid"
        " LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum LEFT JOIN pg_description d"
        "  ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum"
        " LEFT JOIN pg_collation o ON o.oid = a.attcollation"
        " WHERE c.relnamespace = ANY ($1::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped"
        " ORDER BY a.attrelid, a.attnum",
        params, 1, &r, reterr);

    if (status != HS_OK)
        return status;
    for (int row = 0; row < PQntuples(r) && status == HS_OK;)
        row = fill_columns(b, r, row, reterr, &status);
    if (status == HS_OK && hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    return status;
}

static hs_status read_policies(struct pg_build *b, struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *r = NULL;
    const char *params[] = {b->schemas};
    hs_status status = pg_reader_query(
        b->reader,
        "SELECT p.polrelid, p.polname, p.polcmd, p.polpermissive,"
        " coalesce(pg_get_expr(p.polqual, p.polrelid), ''),"
        " coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')"
        " FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid"
        " WHERE c.relnamespace = ANY ($1::oid[]) AND NOT c.relispartition"
        " ORDER BY p.polrelid, p.polname COLLATE \"C\"",
        params, 1, &r, reterr);
    struct pg_policy *policies;
    size_t n = 0;

    if (status != HS_OK)
        return status;
    policies = HS_NEW_ARRAY(b->arena, (size_t)PQntuples(r), struct pg_policy);
    for (int row = 0; policies && row < PQntuples(r); row++) {
        const struct pg_relation *relation = pg_build_relation(b, pg_cell_oid(r, row, 0));

        if (!relation)
            continue;
        policies[n++] = (struct pg_policy){
            .relation = relation,
            .name = hs_arena_dup(b->arena, pg_cell(r, row, 1)),
            .command = PQgetvalue(r, row, 2)[0],
            .is_permissive = pg_cell_bool(r, row, 3),
            .using_text = hs_arena_dup(b->arena, pg_cell(r, row, 4)),
            .check_text = hs_arena_dup(b->arena, pg_cell(r, row, 5)),
        };
    }
    if (hs_arena_failed(b->arena))
        return hs_fail_memory(reterr);
    b->whole->pub.policies = policies;
    b->whole->pub.n_policies = n;
    return HS_OK;
}

static hs_status read_parts(struct pg_build *b, struct hs_err *reterr)
{
    hs_status (*const parts[])(struct pg_build *, struct hs_err *) = {
        pg_statements_parse, read_relations,     pg_types_read,     pg_statements_fill,
        read_columns,        pg_keys_read,       pg_full_text_read, pg_foreign_keys_read,
        pg_references_read,  pg_privileges_read, pg_functions_read, pg_media_handlers_read,
        read_policies,       pg_settings_read,   pg_depend_read,
    };
    struct pg_catalog *c = &b->whole->pub;
    struct hs_str schemas;
    hs_status status = pg_schemas_read(b->reader, b->arena, &schemas, reterr);

    if (status != HS_OK)
        return status;
    b->schemas = schemas.p;
    b->extra_schemas = pg_array_literal(b->arena, b->reader->setup.extra_schemas,
                                        b->reader->setup.n_extra_schemas)
                           .p;
    if (!b->extra_schemas)
        return hs_fail_memory(reterr);
    status = pg_login_check(b->reader, b->schemas, b->arena, reterr);
    if (status == HS_OK)
        status = pg_fingerprint_read(b->reader, b->schemas, &c->fingerprint, reterr);
    for (size_t i = 0; status == HS_OK && i < HS_LEN(parts); i++)
        status = parts[i](b, reterr);
    if (status != HS_OK)
        return status;
    c->server_version = hs_arena_dup(b->arena,
                                     hs_str(PQparameterStatus(b->reader->conn, "server_version")));
    c->server_version_num = PQserverVersion(b->reader->conn);
    return hs_arena_failed(b->arena) ? hs_fail_memory(reterr) : HS_OK;
}

/*
 * Statements are looked at by way of temporary functions, which takes a transaction that may write, whatever the login's
 * default is. On a standby there is none; then nobody learns what they read.
 */
static const char *how_to_begin(const struct pg_catalog_reader *reader)
{
    const char *standby = PQparameterStatus(reader->conn, "in_hot_standby");

    if (!reader->n_asks || (standby && strcmp(standby, "on") == 0))
        return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    return "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE";
}

static hs_status read_whole(struct pg_catalog_reader *reader, struct pg_catalog_whole *whole,
                            struct hs_err *reterr)
{
    hs_auto(pg_reader_clear) PGresult *begun = NULL;
    hs_auto(pg_reader_clear) PGresult *ended = NULL;
    struct pg_build b = {.reader = reader, .whole = whole, .arena = &whole->arena};
    bool is_rolled_back = reader->n_asks > 0;
    hs_status status = pg_reader_query(reader, how_to_begin(reader), NULL, 0, &begun, reterr);

    if (status != HS_OK)
        return status;
    status = read_parts(&b, reterr);
    /* After an error COMMIT rolls back; where the connection was lost there is nothing to end. */
    if (reader->conn && pg_reader_query(reader, is_rolled_back ? "ROLLBACK" : "COMMIT", NULL, 0,
                                        &ended, NULL) != HS_OK)
        pg_reader_disconnect(reader);
    if (status == HS_OK)
        reader->fingerprint = b.is_again ? 0 : whole->pub.fingerprint;
    return status;
}

static struct pg_catalog_whole *new_whole(void)
{
    struct pg_catalog_whole *whole = hs_calloc(1, sizeof(*whole));

    if (!whole)
        return NULL;
    whole->magic = PG_CATALOG_MAGIC;
    atomic_init(&whole->refs, 1);
    hs_arena_init(&whole->arena, PG_CATALOG_BYTES_MAX);
    return whole;
}

hs_status pg_catalog_read(struct pg_catalog_reader *reader, struct pg_catalog **ret_catalog,
                          struct hs_err *reterr)
{
    hs_status status = HS_OK;

    for (int attempt = 0; attempt < 2; attempt++) {
        struct pg_catalog_whole *whole;

        status = pg_reader_connect(reader, reterr);
        if (status != HS_OK)
            return status;
        whole = new_whole();
        if (!whole)
            return hs_fail_memory(reterr);
        status = read_whole(reader, whole, reterr);
        if (status == HS_OK) {
            whole->pub.generation = ++reader->generation;
            *ret_catalog = &whole->pub;
            return HS_OK;
        }
        pg_catalog_unref(&whole->pub);
        if (status != HS_E_PG_ERROR)
            break;
    }
    return status;
}
