/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the graph: four queries over all schemas, since views, policies and functions lead everywhere. They
 * serve catalog_share.c as well.
 *
 * A function of PostgreSQL itself has a row only if an answer that calls it must not be kept. The immutable ones
 * are fine, but for those that look at the server all the same (pg_partition_root). Of the stable ones, those
 * named in PINNED are: each was looked up in a list of all stable functions of a version 15 server, and depends on
 * its arguments and on settings that every session of hasten has alike: TimeZone, DateStyle,
 * IntervalStyle, extra_float_digits, bytea_output, lc_*, search_path, default_text_search_config, or on catalogs
 * that are in the fingerprint (conversions, text search). Left out, and so not known, are all that look at
 * the clock (age(x), timetz(x): today's offset; timezone(text, timetz)), at catalogs, privileges, sizes,
 * settings, connections, statistics or transactions; those that turn text into a name or a date (date_in); enum_range
 * and its kin. Volatile ones are not known. A name stands for all stable functions that bear it.
 *
 * Of policies only those count that a SELECT runs (for SELECT or ALL, with USING; row-level security on).
 * Source of who they apply to: src/backend/rewrite/rowsecurity.c, check_role_for_policy(): PUBLIC, or a role
 * whose privileges the caller has, has_privs_of_role(), which is pg_has_role(..., 'USAGE'). And
 * src/backend/utils/misc/rls.c, check_enable_rls(): they do not hold for superusers, BYPASSRLS, and, without
 * FORCE, whoever has the privileges of the owner.
 */
#include "pg/catalog_graph.h"

#include <stdlib.h>

#include "core/mem.h"

enum {
    GRAPH_BYTES_MAX = 256 << 20,
    TREES_BYTES_MAX = 128 << 20,
    EDGES_MAX = 4 << 20,
    ROWS_MAX = 1 << 20
};

/* C functions of these do what they say; only a superuser can add one to an extension. */
#define TRUSTED_EXTENSIONS                                                                     \
    "'btree_gin', 'btree_gist', 'citext', 'cube', 'earthdistance', 'fuzzystrmatch', 'hstore'," \
    " 'intarray', 'ltree', 'pg_trgm', 'pgcrypto', 'postgis', 'unaccent', 'uuid-ossp', 'vector'"

/*
 * Types whose values are shown by names that stand in the catalog, and arrays of them. Not regconfig: all of
 * pg_ts_config is in the fingerprint, so a new name is a new snapshot.
 */
#define NAMING_TYPES                                                                      \
    "'{regproc,regprocedure,regoper,regoperator,regclass,regtype,regdictionary,"          \
    "regnamespace,regrole,regcollation,regproc[],regprocedure[],regoper[],regoperator[]," \
    "regclass[],regtype[],regdictionary[],regnamespace[],regrole[],regcollation[]}'::regtype[]"

#define PINNED                                                                                 \
    "array_to_json,array_to_string,anytextcat,textanycat,concat,concat_ws,format,json_agg,"    \
    "json_object_agg,json_build_array,json_build_object,json_to_record,json_to_recordset,"     \
    "json_populate_record,json_populate_recordset,json_to_tsvector,jsonb_agg,"                 \
    "jsonb_object_agg,jsonb_build_array,jsonb_build_object,jsonb_to_record,"                   \
    "jsonb_to_recordset,jsonb_populate_record,jsonb_populate_recordset,jsonb_to_tsvector,"     \
    "jsonb_path_exists_tz,jsonb_path_match_tz,jsonb_path_query_tz,jsonb_path_query_array_tz,"  \
    "jsonb_path_query_first_tz,row_to_json,to_json,to_jsonb,quote_literal,quote_nullable,"     \
    "to_char,to_date,to_number,to_timestamp,make_timestamptz,date,time,timestamp,timestamptz," \
    "date_part,date_trunc,extract,generate_series,in_range,overlaps,interval_pl_timestamptz,"  \
    "timestamptz_pl_interval,timestamptz_mi_interval,money,numeric,to_tsvector,to_tsquery,"    \
    "plainto_tsquery,phraseto_tsquery,websearch_to_tsquery,ts_headline,ts_match_tt,"           \
    "ts_match_tq,convert_from,convert_to,current_user,session_user,getpgusername,"             \
    "current_database,current_setting,date_cmp_timestamptz,date_eq_timestamptz,"               \
    "date_ne_timestamptz,date_lt_timestamptz,date_le_timestamptz,date_gt_timestamptz,"         \
    "date_ge_timestamptz,timestamp_cmp_timestamptz,timestamp_eq_timestamptz,"                  \
    "timestamp_ne_timestamptz,timestamp_lt_timestamptz,timestamp_le_timestamptz,"              \
    "timestamp_gt_timestamptz,timestamp_ge_timestamptz,timestamptz_cmp_date,"                  \
    "timestamptz_eq_date,timestamptz_ne_date,timestamptz_lt_date,timestamptz_le_date,"         \
    "timestamptz_gt_date,timestamptz_ge_date,timestamptz_cmp_timestamp,"                       \
    "timestamptz_eq_timestamp,timestamptz_ne_timestamp,timestamptz_lt_timestamp,"              \
    "timestamptz_le_timestamp,timestamptz_gt_timestamp,timestamptz_ge_timestamp"

#define FUNCTIONS_SQL                                                                                        \
    "SELECT 'B', 'f', oid, provolatile::text || proname::text FROM pg_proc WHERE oid < 16384"                \
    " AND (provolatile = 'v' OR provolatile = 's' AND proname <> ALL ('{" PINNED "}'::name[])"               \
    "  OR proname >= 'pg_' AND proname < 'pg`' AND proname NOT LIKE 'pg\\_lsn%'"                             \
    "   AND proname NOT LIKE 'pg\\_size\\_%' OR pronamespace <> 'pg_catalog'::regnamespace)"                 \
    " AND prorettype <> ALL ('{trigger,event_trigger,internal,language_handler}'::regtype[])"                \
    " AND 'internal'::regtype <> ALL (proargtypes)"                                                          \
    " UNION ALL SELECT 'C', 'f', p.oid, p.provolatile::text || CASE WHEN p.prosqlbody IS NOT NULL THEN 'b'"  \
    "   WHEN p.prokind IN ('a', 'w') AND g.aggfnoid IS NOT NULL THEN 'a'"                                    \
    "   WHEN l.lanname IN ('c', 'internal') AND EXISTS (SELECT FROM pg_depend d"                             \
    "      JOIN pg_extension x ON x.oid = d.refobjid WHERE d.classid = 'pg_proc'::regclass"                  \
    "      AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'"              \
    "      AND x.extname IN (" TRUSTED_EXTENSIONS ")) THEN 'x' ELSE 'o' END"                                 \
    "  || CASE WHEN p.pronargs = 0 AND NOT p.proretset AND p.proconfig IS NULL THEN 't' ELSE 'f' END"        \
    "  || l.lanname::text || ' ' || n.nspname::text || '.' || p.proname::text"                               \
    "  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace" \
    "  LEFT JOIN pg_aggregate g ON g.aggfnoid = p.oid WHERE p.oid >= 16384"                                  \
    " UNION ALL SELECT 'Y', 'f', oid, prosqlbody::text FROM pg_proc"                                         \
    "  WHERE oid >= 16384 AND prosqlbody IS NOT NULL AND provolatile <> 'v'"                                 \
    " UNION ALL SELECT 'T', 'f', oid, proargdefaults::text FROM pg_proc"                                     \
    "  WHERE oid >= 16384 AND proargdefaults IS NOT NULL AND provolatile <> 'v'"                             \
    " UNION ALL SELECT 'E', 'f', g.aggfnoid, 'f' || f::oid FROM pg_aggregate g CROSS JOIN LATERAL (VALUES"   \
    "   (g.aggtransfn), (g.aggfinalfn), (g.aggcombinefn), (g.aggserialfn), (g.aggdeserialfn),"               \
    "   (g.aggmtransfn), (g.aggminvtransfn), (g.aggmfinalfn)) v(f)"                                          \
    "  WHERE g.aggfnoid >= 16384 AND f <> 0"                                                                 \
    " UNION ALL SELECT 'E', 'o', oid, 'f' || oprcode::oid FROM pg_operator WHERE oid >= 16384"

#define RELATIONS_SQL                                                                                                       \
    "SELECT 'C', 'r', c.oid, c.relkind::text || c.relpersistence::text || CASE WHEN c.relrowsecurity THEN 's' ELSE '-' END" \
    "  || ' ' || n.nspname::text || '.' || c.relname::text"                                                                 \
    "  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"                                                       \
    "  WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'"                    \
    " UNION ALL SELECT CASE c.relkind WHEN 'v' THEN 'T' ELSE 'M' END, 'r', w.ev_class, w.ev_action::text FROM pg_rewrite w" \
    "  JOIN pg_class c ON c.oid = w.ev_class"                                                                               \
    "  WHERE w.oid >= 16384 AND w.ev_type = '1' AND c.relkind IN ('v', 'm') AND c.relpersistence <> 't'"                    \
    " UNION ALL SELECT 'I', 'r', inhparent, 'r' || inhrelid FROM pg_inherits"                                               \
    " UNION ALL SELECT 'E', 'r', c.oid, 't' || a.atttypid FROM pg_class c"                                                  \
    "  JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = ANY ($1::oid[])"                                    \
    "  AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped"                                  \
    "  AND (a.atttypid >= 16384 OR a.atttypid = ANY (" NAMING_TYPES "))"

#define TYPES_SQL                                                                                                          \
    "SELECT 'B', 't', oid, '' FROM pg_type WHERE oid = ANY (" NAMING_TYPES ")"                                             \
    " UNION ALL SELECT 'T', 't', contypid, conbin::text FROM pg_constraint"                                                \
    "  WHERE contypid <> 0 AND conbin IS NOT NULL AND oid >= 16384"                                                        \
    " UNION ALL SELECT 'C', 't', oid, typtype::text FROM pg_type"                                                          \
    "  WHERE oid >= 16384 AND (typtype IN ('c', 'd', 'e', 'r', 'm') OR typelem <> 0)"                                      \
    " UNION ALL SELECT 'E', 't', oid, 't' || typbasetype FROM pg_type"                                                     \
    "  WHERE typtype = 'd' AND oid >= 16384"                                                                               \
    " UNION ALL SELECT 'E', 't', oid, 't' || typelem FROM pg_type WHERE typelem >= 16384 AND oid >= 16384"                 \
    " UNION ALL SELECT 'E', 't', t.oid, 't' || a.atttypid FROM pg_type t JOIN pg_class c"                                  \
    "   ON c.oid = t.typrelid JOIN pg_attribute a ON a.attrelid = c.oid"                                                   \
    "  WHERE t.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND c.relpersistence <> 't'"                           \
    "  AND (a.atttypid >= 16384 OR a.atttypid = ANY (" NAMING_TYPES "))"                                                   \
    " UNION ALL SELECT 'E', 't', r.rngtypid, v.ref FROM pg_range r CROSS JOIN LATERAL (VALUES"                             \
    "   ('t' || r.rngsubtype), ('f' || r.rngcanonical::oid), ('f' || r.rngsubdiff::oid),"                                  \
    "   ('c' || r.rngsubopc)) v(ref)"                                                                                      \
    "  WHERE r.rngtypid >= 16384 AND v.ref NOT LIKE '_0'"                                                                  \
    " UNION ALL SELECT 'E', 't', rngmultitypid, 't' || rngtypid FROM pg_range WHERE rngtypid >= 16384"                     \
    " UNION ALL SELECT 'E', 't', t.oid, 'f' || v.f::oid FROM pg_type t"                                                    \
    "   CROSS JOIN LATERAL (VALUES (t.typinput), (t.typoutput)) v(f)"                                                      \
    "  WHERE t.oid >= 16384 AND v.f::oid >= 16384"                                                                         \
    " UNION ALL SELECT CASE WHEN casttarget IN (114, 3802) THEN 'E' ELSE 'W' END, 't', v.oid, 'f' || k.castfunc"           \
    "  FROM pg_cast k CROSS JOIN LATERAL (VALUES (k.castsource), (k.casttarget)) v(oid)"                                   \
    "  WHERE k.castfunc <> 0 AND v.oid >= 16384"                                                                           \
    " UNION ALL SELECT 'W', 't', v.oid, 'f' || o.oprcode::oid FROM pg_operator o"                                          \
    "   CROSS JOIN LATERAL (VALUES (o.oprleft), (o.oprright)) v(oid)"                                                      \
    "  WHERE o.oid >= 16384 AND v.oid >= 16384 AND o.oprcode <> 0"                                                         \
    " UNION ALL SELECT CASE WHEN opcdefault AND opcmethod IN (403, 405) THEN 'E' ELSE 'W' END, 't', opcintype, 'c' || oid" \
    "  FROM pg_opclass WHERE oid >= 16384 AND opcintype >= 16384"                                                          \
    " UNION ALL SELECT CASE WHEN p.amproclefttype = c.opcintype AND p.amprocrighttype = c.opcintype"                       \
    "   THEN 'E' ELSE 'W' END, 'c', c.oid, 'f' || p.amproc::oid FROM pg_opclass c"                                         \
    "   JOIN pg_amproc p ON p.amprocfamily = c.opcfamily WHERE c.oid >= 16384"                                             \
    " UNION ALL SELECT CASE WHEN a.amoplefttype = c.opcintype AND a.amoprighttype = c.opcintype"                           \
    "   THEN 'E' ELSE 'W' END, 'c', c.oid, 'o' || a.amopopr FROM pg_opclass c"                                             \
    "   JOIN pg_amop a ON a.amopfamily = c.opcfamily WHERE c.oid >= 16384 AND a.amopopr >= 16384"

#define POLICIES_SQL                                                                                              \
    "WITH role AS MATERIALIZED ("                                                                                 \
    "  SELECT r.oid, 1::int8 << (s.position - 1)::int4 AS bit, r.rolsuper OR r.rolbypassrls AS above"             \
    "  FROM unnest($1::text[]) WITH ORDINALITY s(name, position)"                                                 \
    "  JOIN pg_roles r ON r.rolname = s.name)"                                                                    \
    "SELECT CASE WHEN c.relrowsecurity THEN 'T' ELSE 'Q' END, 'r', p.polrelid, p.polqual::text, p.polpermissive," \
    " (SELECT coalesce(bit_or(bit), 0) FROM role WHERE EXISTS (SELECT FROM unnest(p.polroles) m"                  \
    "   WHERE m = 0 OR coalesce(pg_has_role(role.oid, m, 'USAGE'), p.polpermissive))),"                           \
    " (SELECT coalesce(bit_or(bit), 0) FROM role WHERE NOT above AND"                                             \
    "   (c.relforcerowsecurity OR pg_has_role(role.oid, c.relowner, 'USAGE') = false))"                           \
    " FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid"                                                     \
    " WHERE p.polcmd IN ('r', '*') AND p.polqual IS NOT NULL ORDER BY p.polrelid"

void pg_graph_fini(struct pg_graph *g)
{
    for (size_t i = 0; i < PG_GRAPH_RESULTS; i++)
        PQclear(g->results[i]);
    hs_free(g->edges);
    hs_arena_fini(&g->trees);
    hs_arena_fini(&g->arena);
}

static int compare_rows(const void *a, const void *b)
{
    const struct pg_graph_row *x = a;
    const struct pg_graph_row *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static void take_results(struct pg_graph *g)
{
    for (size_t i = 0; i < PG_GRAPH_RESULTS; i++) {
        const PGresult *r = g->results[i];

        for (int row = 0; row < PQntuples(r); row++)
            g->rows[g->n_rows++] = pg_graph_row(r, row);
    }
    if (g->n_rows)
        qsort(g->rows, g->n_rows, sizeof(*g->rows), compare_rows);
}

static void make_things(struct pg_graph *g)
{
    for (size_t i = 0; i < g->n_rows; i++) {
        const struct pg_graph_row *row = &g->rows[i];
        struct pg_thing *thing = g->n_things ? &g->things[g->n_things - 1] : NULL;

        if (!thing || thing->id != row->id) {
            thing = &g->things[g->n_things++];
            thing->id = row->id;
            thing->first = (uint32_t)i;
        }
        thing->n++;
        if (row->what == PG_GRAPH_FORM) {
            thing->name = row->text;
            thing->form = hs_str_cut(&thing->name, ' ');
        }
    }
}

static hs_status build(struct pg_graph *g, struct hs_err *reterr)
{
    size_t n = 0;

    for (size_t i = 0; i < PG_GRAPH_RESULTS; i++)
        n += (size_t)PQntuples(g->results[i]);
    g->is_full = n > ROWS_MAX;
    n = g->is_full ? 0 : n;
    g->rows = HS_NEW_ARRAY(&g->arena, n, struct pg_graph_row);
    g->things = HS_NEW_ARRAY(&g->arena, n, struct pg_thing);
    if (hs_arena_failed(&g->arena))
        return hs_fail_memory(reterr);
    if (!g->is_full)
        take_results(g);
    make_things(g);
    return HS_OK;
}

hs_status pg_graph_read(struct pg_build *b, struct pg_graph *ret_graph, struct hs_err *reterr)
{
    static const char *const queries[PG_GRAPH_RESULTS] = {
        [PG_GRAPH_FUNCTIONS] = FUNCTIONS_SQL,
        [PG_GRAPH_RELATIONS] = RELATIONS_SQL,
        [PG_GRAPH_TYPES] = TYPES_SQL,
        [PG_GRAPH_POLICIES] = POLICIES_SQL,
    };
    const struct pg_catalog *c = &b->whole->pub;
    struct pg_graph *g = ret_graph;
    struct hs_str roles = pg_array_literal(b->arena, c->roles, c->n_roles);
    hs_status status = roles.p ? HS_OK : hs_fail_memory(reterr);

    *g = (struct pg_graph){0};
    hs_arena_init(&g->arena, GRAPH_BYTES_MAX);
    hs_arena_init(&g->trees, TREES_BYTES_MAX);
    for (size_t i = 0; status == HS_OK && i < PG_GRAPH_RESULTS; i++) {
        bool has_param = i == PG_GRAPH_RELATIONS || i == PG_GRAPH_POLICIES;
        const char *params[] = {i == PG_GRAPH_POLICIES ? roles.p : b->schemas};

        status = pg_reader_query(b->reader, queries[i], params, has_param, &g->results[i], reterr);
    }
    return status == HS_OK ? build(g, reterr) : status;
}

struct pg_thing *pg_graph_thing(const struct pg_graph *g, pg_thing_id id)
{
    size_t low = 0;
    size_t high = g->n_things;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (g->things[middle].id == id)
            return &g->things[middle];
        if (g->things[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void pg_graph_lead(struct pg_graph *g, pg_thing_id to, bool is_child)
{
    if (g->n_edges == EDGES_MAX)
        g->is_full = true;
    if (g->n_edges == g->cap_edges && !g->failed && !g->is_full) {
        size_t more = g->cap_edges ? g->cap_edges * 2 : 256;
        struct pg_graph_edge *p = hs_realloc(g->edges, more * sizeof(*p));

        g->failed = !p;
        if (p) {
            g->edges = p;
            g->cap_edges = more;
        }
    }
    if (!g->failed && !g->is_full)
        g->edges[g->n_edges++] = (struct pg_graph_edge){to, is_child};
}

uint64_t pg_graph_claim(struct pg_graph *g, struct hs_str name)
{
    size_t i = 0;

    while (i < g->n_claims && !hs_str_eq(g->claims[i], name))
        i++;
    if (i == PG_CLAIMS_MAX)
        return 0;
    if (i == g->n_claims) {
        g->claims[i] = hs_arena_dup(&g->arena, name);
        g->failed = g->failed || !g->claims[i].p;
        g->n_claims++;
    }
    return UINT64_C(1) << i;
}
