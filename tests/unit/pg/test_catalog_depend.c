/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the answer to a SELECT depends on, as the catalog's reader says it of a real server's relations: tables,
 * claims, what is known and why not, which policies narrow which role, which columns are exact. Beside each
 * relation stands what must be said of it.
 */
#include "pg/catalog_world.h"
#include "test.h"

static struct catalog_world world;

static const struct hs_str schema = {"app", 3};
/* boss inherits member's rights, heir those of maker, who owns tables; above has BYPASSRLS. */
static const struct hs_str roles[] = {
    {"member", 6}, {"viewer", 6}, {"boss", 4}, {"heir", 4}, {"above", 5}};

/* The claims as text, and as jsonb. */
#define TEXT "current_setting('request.jwt.claims', true)"
#define CLAIMS "nullif(" TEXT ", '')::jsonb"

static const char *const sql[] = {
    "CREATE ROLE login LOGIN NOINHERIT; CREATE ROLE maker; CREATE ROLE member; CREATE ROLE viewer; CREATE ROLE boss;"
    "CREATE ROLE heir; CREATE ROLE above BYPASSRLS; GRANT member, viewer, boss, maker, heir, above TO login;"
    "GRANT member TO boss; GRANT maker TO heir; CREATE SCHEMA app; CREATE SCHEMA lib; CREATE EXTENSION citext SCHEMA lib;"
    "CREATE EXTENSION pg_trgm SCHEMA lib; CREATE EXTENSION unaccent SCHEMA lib; CREATE EXTENSION hstore SCHEMA lib; CREATE EXTENSION postgres_fdw SCHEMA lib;"
    "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw",
    "SET search_path = lib; CREATE SEQUENCE s",
    "CREATE TABLE t (id int PRIMARY KEY, company_id bigint, name text, n numeric, at timestamptz, d date, ci citext, b bytea)",
    "CREATE TABLE u (id int PRIMARY KEY, t_id int, tags text[])",
    "CREATE UNLOGGED TABLE unlogged (id int)",
    "CREATE FOREIGN TABLE foreign_t (id int) SERVER far",
    "CREATE MATERIALIZED VIEW m AS SELECT id FROM t",
    /* Functions. */
    "CREATE FUNCTION company() RETURNS bigint STABLE RETURN (" CLAIMS " ->> 'company_id')::bigint",
    "CREATE FUNCTION jwt() RETURNS jsonb LANGUAGE sql STABLE BEGIN ATOMIC SELECT coalesce(" CLAIMS
    ", '{}'); END",
    "CREATE FUNCTION jwt_string() RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT " CLAIMS " $$",
    "CREATE FUNCTION jwt_default() RETURNS jsonb STABLE RETURN coalesce(" CLAIMS
    ", '{\"company_id\": 5}')",
    "CREATE FUNCTION jwt_set() RETURNS jsonb STABLE SET request.jwt.claims = '{}' RETURN " CLAIMS,
    "CREATE FUNCTION jwt_loose() RETURNS jsonb RETURN " CLAIMS,
    "CREATE FUNCTION jwt_arg(a text DEFAULT 'x') RETURNS jsonb STABLE RETURN " CLAIMS,
    "CREATE FUNCTION cut() RETURNS name STABLE RETURN " CLAIMS " ->> 'company_id'",
    "CREATE FUNCTION mine() RETURNS SETOF t LANGUAGE sql STABLE BEGIN ATOMIC SELECT * FROM t WHERE company_id = company(); END",
    "CREATE FUNCTION vol() RETURNS int VOLATILE RETURN 1",
    "CREATE FUNCTION str() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'",
    "CREATE FUNCTION pl() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END'",
    "CREATE FUNCTION pl(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'",
    "CREATE FUNCTION pl_sum(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END'",
    "CREATE FUNCTION ok_sum(int, int) RETURNS int IMMUTABLE RETURN $1 + $2",
    "CREATE FUNCTION with_default(a timestamptz DEFAULT now()) RETURNS timestamptz IMMUTABLE RETURN a",
    "CREATE FUNCTION counts() RETURNS bigint LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT count(*) FROM u; END",
    "CREATE FUNCTION pl_check(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'",
    "CREATE FUNCTION defines() RETURNS text STABLE SECURITY DEFINER RETURN current_user::text",
    "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = pl)",
    "CREATE OPERATOR #+# (LEFTARG = int, RIGHTARG = int, FUNCTION = ok_sum)",
    "CREATE AGGREGATE pl_agg(int) (SFUNC = pl_sum, STYPE = int); CREATE AGGREGATE ok_agg(int) (SFUNC = ok_sum, STYPE = int)",
    "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN email AS text CHECK (VALUE ~ '@');"
    "CREATE DOMAIN d_bad AS text CHECK (lib.pl_check(VALUE)); CREATE DOMAIN day AS date; CREATE TYPE pair AS (a int, b text);"
    "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
    "CREATE COLLATION tight (provider = icu, locale = 'de')",
    "CREATE TABLE guarded (id int, company_id bigint); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY p ON guarded USING (company_id = company() AND id IN (SELECT t_id FROM u))",
    "SET search_path = app, lib",
};

/* A relation, and what must be said: tables, claims; known, or a piece of the reason. */
static const struct expectation {
    const char *name;
    const char *sql;
    const char
        *tables; /* names, in the order of their making; all in lib, or the relation itself */
    const char *claims;
    const char *why; /* NULL = known */
} cases[] = {
    /* Known. */
    {"plain", "CREATE TABLE plain (id int, a email, m mood, ci citext, x pair, tags text[])",
     "plain", "", NULL},
    {"v", "CREATE VIEW v AS SELECT id, name FROM t", "t", "", NULL},
    {"vv", "CREATE VIEW vv AS SELECT v.id FROM v JOIN u ON u.t_id = v.id", "t u", "", NULL},
    {"everything",
     "CREATE VIEW everything AS WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r WHERE x < 3)"
     " SELECT t.id, CASE WHEN id > 1 THEN 'a' ELSE 'b' END c, CASE id WHEN 1 THEN 2 END c2, coalesce(name, 'x') n,"
     " nullif(id, 2) nn, greatest(n, 1) g, least(at, at) l, (name, id) < ('a', 1) lt, id = ANY (ARRAY[1, 2]) an, id IN (1, 2) i,"
     " id IS DISTINCT FROM 3 ds, name IS NULL isn, (id > 1) IS TRUE ist, ROW(1, 'a')::pair p, (ROW(1, 'a')::pair).a fs,"
     " ARRAY[1, 2]::bigint[] ac, (ARRAY[1, 2])[1] sr, name COLLATE \"C\" co, name::email em, name::varchar(3) vc, EXISTS (SELECT FROM u) e,"
     " ARRAY(SELECT u.id FROM u) ar, t::text whole, rank() OVER w rk, sum(id) OVER (PARTITION BY n ORDER BY id"
     " RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) s, ci = 'x' cie, similarity(name, 'x') trg, tableoid o, x FROM t, r"
     " WINDOW w AS (PARTITION BY n ORDER BY id) ORDER BY 1 LIMIT 10 OFFSET 1",
     "t u", "", NULL},
    {"grouped",
     "CREATE VIEW grouped AS SELECT count(*), array_agg(id ORDER BY id), string_agg(name, ','), json_agg(t), jsonb_object_agg(id, name),"
     " count(*) FILTER (WHERE id > 1) f, grouping(name) gr, percentile_cont(0.5) WITHIN GROUP (ORDER BY n), ok_agg(id) FROM t"
     " GROUP BY GROUPING SETS ((name), ()) HAVING count(*) > 1",
     "t", "", NULL},
    {"sets", "CREATE VIEW sets AS SELECT id FROM t UNION SELECT id FROM u EXCEPT ALL VALUES (1)",
     "t u", "", NULL},
    {"cycle",
     "CREATE VIEW cycle AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SEARCH DEPTH FIRST BY x SET o"
     " CYCLE x SET is_cycle USING path SELECT x FROM r",
     "", "", NULL},
    {"pinned",
     "CREATE VIEW pinned AS SELECT concat(name, n) a, concat_ws(' ', name, at) b, format('%s', n) c, to_char(at, 'YYYY') e,"
     " to_date(name, 'YYYY') f, to_timestamp(name, 'YYYY') f2, to_json(t) g, json_build_object('a', at) h, row_to_json(t) i,"
     " array_to_string(ARRAY[n], ',') j, to_tsvector(name) k, to_tsvector('english', name) k2, websearch_to_tsquery('a') l,"
     " ts_headline(name, to_tsquery('a')) m, at + interval '1 day' n, date_trunc('day', at) o, date_part('year', at) p,"
     " extract(year FROM at) q, at AT TIME ZONE 'Asia/Baku' r, at::date s, d::timestamptz ss, at::timestamp st, quote_literal(name) tt,"
     " name || at uu, at::text vv, n::text w, timezone('UTC', at) x, d > at y, convert_from(b, 'UTF8') z, name::interval iv,"
     " '2020-01-01'::date lit, current_user cu, session_user su, current_setting('role') role, user us, current_catalog cc FROM t",
     "t", "", NULL},
    {"functions",
     "CREATE VIEW functions AS SELECT counts(), id #+# 1 AS x, defines() FROM t, generate_series(1, 2)",
     "t u", "", NULL},
    {"table_functions",
     "CREATE VIEW table_functions AS SELECT m.id, j.a FROM mine() m, json_to_recordset('[]') AS j(a int), unnest(ARRAY[1]) n",
     "t", "company_id", NULL},
    {"policy_in_view", "CREATE VIEW policy_in_view AS SELECT id FROM guarded", "u guarded",
     "company_id", NULL},
    {"parent",
     "CREATE TABLE parent (id int) PARTITION BY LIST (id); CREATE TABLE child PARTITION OF parent FOR VALUES IN (1)",
     "parent", "", NULL},
    {"funny",
     "CREATE VIEW funny AS SELECT id AS \":funcid 16385\", id AS \"{FUNCEXPR :funcid 1299}\", id AS \"<>\", id AS \"\"\"\","
     " id AS \"1 [ 2\", id AS \"a\\ b\" FROM t AS \")}\"",
     "t", "", NULL},
    {"no_policy", "CREATE TABLE no_policy (id int); CREATE POLICY p ON no_policy USING (pl() = 1)",
     "no_policy", "", NULL},
    {"other_policy",
     "CREATE TABLE other_policy (id int); ALTER TABLE other_policy ENABLE ROW LEVEL SECURITY;"
     "CREATE POLICY i ON other_policy FOR INSERT WITH CHECK (pl() = 1)",
     "other_policy", "", NULL},
    /* Claims. */
    {"by_text",
     "CREATE VIEW by_text AS SELECT id FROM t WHERE company_id = (" CLAIMS
     " ->> 'company_id')::bigint",
     "t", "company_id", NULL},
    {"by_json", "CREATE VIEW by_json AS SELECT " TEXT "::json -> 'app' ->> 'x' AS x", "", "app",
     NULL},
    {"by_path",
     "CREATE VIEW by_path AS SELECT " TEXT "::json #>> '{app,x}' AS x, " CLAIMS " #> '{b}' AS y",
     "", "app b", NULL},
    {"by_extract",
     "CREATE VIEW by_extract AS SELECT jsonb_extract_path_text(" CLAIMS
     ", 'app', 'x') AS x, json_extract_path(" TEXT "::json, 'z') AS y",
     "", "app z", NULL},
    {"by_subscript", "CREATE VIEW by_subscript AS SELECT (" CLAIMS ")['sub'] AS x", "", "sub",
     NULL},
    {"by_select", "CREATE VIEW by_select AS SELECT (SELECT " CLAIMS ") ->> 'sub' AS x", "", "sub",
     NULL},
    {"by_coalesce",
     "CREATE VIEW by_coalesce AS SELECT coalesce(nullif(" TEXT ", ''), '{}')::jsonb ->> 'sub' AS x",
     "", "sub", NULL},
    {"by_function",
     "CREATE VIEW by_function AS SELECT jwt() ->> 'sub' AS x, jwt_default() ->> 'y' AS y, company()",
     "", "company_id sub y", NULL},
    {"by_case",
     "CREATE VIEW by_case AS SELECT current_setting('Request.JWT.Claims')::json ->> 'sub' AS x", "",
     "sub", NULL},
    /* Not known. */
    {"bad_claims", "CREATE VIEW bad_claims AS SELECT " TEXT " AS x", "", "*",
     "claims are read as a whole"},
    {"bad_key", "CREATE VIEW bad_key AS SELECT " CLAIMS " ->> name AS x FROM t", "t", "*",
     "claims are read as a whole"},
    {"bad_index", "CREATE VIEW bad_index AS SELECT " CLAIMS " ->> 0 AS x", "", "*",
     "claims are read as a whole"},
    {"bad_exists", "CREATE VIEW bad_exists AS SELECT " CLAIMS " ? 'sub' AS x", "", "*",
     "claims are read as a whole"},
    {"bad_path", "CREATE VIEW bad_path AS SELECT " CLAIMS " #>> tags AS x FROM u", "u", "*",
     "claims are read as a whole"},
    {"bad_jwt", "CREATE VIEW bad_jwt AS SELECT jwt() AS x", "", "*", "claims are read as a whole"},
    {"bad_jwt_string", "CREATE VIEW bad_jwt_string AS SELECT jwt_string() ->> 'x' AS x", "", "",
     "lib.jwt_string() has its body in a string"},
    {"bad_jwt_loose", "CREATE VIEW bad_jwt_loose AS SELECT jwt_loose() ->> 'x' AS x", "", "",
     "lib.jwt_loose() is VOLATILE"},
    {"bad_jwt_arg", "CREATE VIEW bad_jwt_arg AS SELECT jwt_arg() ->> 'x' AS x", "", "*",
     "in lib.jwt_arg"},
    {"bad_setting", "CREATE VIEW bad_setting AS SELECT current_setting('app.x') AS x", "", "",
     "current_setting('app.x') can be anything (in app.bad_setting)"},
    {"bad_setting_name", "CREATE VIEW bad_setting_name AS SELECT current_setting(name) AS x FROM t",
     "t", "*", "name is computed"},
    {"bad_now", "CREATE VIEW bad_now AS SELECT now() AS x", "", "",
     "now() tells the time (in app.bad_now)"},
    {"bad_over_now", "CREATE VIEW bad_over_now AS SELECT x FROM bad_now", "", "",
     "now() tells the time (in app.bad_now)"},
    {"bad_date", "CREATE VIEW bad_date AS SELECT current_date AS x", "", "",
     "CURRENT_DATE tells the time"},
    {"bad_localtime", "CREATE VIEW bad_localtime AS SELECT localtimestamp(0) AS x", "", "",
     "LOCALTIMESTAMP tells the time"},
    {"bad_schema", "CREATE VIEW bad_schema AS SELECT current_schema AS x", "", "",
     "CURRENT_SCHEMA"},
    {"bad_age", "CREATE VIEW bad_age AS SELECT age(at) AS x FROM t", "t", "",
     "age() tells the time"},
    {"bad_random", "CREATE VIEW bad_random AS SELECT random() AS x", "", "",
     "random() is VOLATILE"},
    {"bad_today", "CREATE VIEW bad_today AS SELECT name::date AS x FROM t", "t", "", "'today'"},
    {"bad_today_const", "CREATE VIEW bad_today_const AS SELECT 'today'::text::timestamptz AS x", "",
     "", "'today'"},
    {"bad_today_domain", "CREATE VIEW bad_today_domain AS SELECT name::day AS x FROM t", "t", "",
     "'today'"},
    {"bad_today_array", "CREATE VIEW bad_today_array AS SELECT tags::date[] AS x FROM u", "u", "",
     "'today'"},
    {"bad_today_range", "CREATE VIEW bad_today_range AS SELECT name::tstzrange AS x FROM t", "t",
     "", "'today'"},
    {"bad_today_record",
     "CREATE VIEW bad_today_record AS SELECT * FROM json_to_record('{\"a\":\"today\"}') AS j(a date)",
     "", "", "'today'"},
    {"bad_today_populate",
     "CREATE VIEW bad_today_populate AS SELECT (json_populate_record(NULL::t, '{\"d\":\"today\"}')).d AS x",
     "", "", "'today'"},
    {"bad_today_hstore",
     "CREATE VIEW bad_today_hstore AS SELECT (NULL::t #= 'd=>today'::hstore).d AS x", "", "",
     "'today'"},
    {"bad_xml_cast", "CREATE VIEW bad_xml_cast AS SELECT ci::xml AS x FROM t", "t", "",
     "xmloption"},
    {"circle",
     "CREATE TABLE circle (id int); CREATE TABLE lib.arc (id int); ALTER TABLE circle ENABLE ROW LEVEL SECURITY;"
     "ALTER TABLE lib.arc ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON circle USING (id IN (SELECT id FROM lib.arc));"
     "CREATE POLICY p ON lib.arc USING (id IN (SELECT id FROM circle))",
     "circle arc", "", NULL},
    {"bad_date_in", "CREATE VIEW bad_date_in AS SELECT date_in('today') AS x", "", "", "date_in()"},
    {"bad_nextval", "CREATE VIEW bad_nextval AS SELECT nextval('lib.s') AS x", "", "",
     "nextval() is VOLATILE"},
    {"bad_sequence", "CREATE VIEW bad_sequence AS SELECT last_value FROM s", "", "",
     "sequence lib.s"},
    {"bad_sample", "CREATE VIEW bad_sample AS SELECT id FROM t TABLESAMPLE system (10)", "t", "",
     "TABLESAMPLE"},
    {"bad_matview", "CREATE VIEW bad_matview AS SELECT id FROM m", "", "",
     "materialized view lib.m is not in the change stream"},
    {"bad_own_matview", "CREATE MATERIALIZED VIEW bad_own_matview AS SELECT 1 AS x", "", "",
     "materialized view app.bad_own_matview"},
    {"bad_foreign", "CREATE VIEW bad_foreign AS SELECT id FROM foreign_t", "", "",
     "foreign table lib.foreign_t"},
    {"bad_unlogged", "CREATE VIEW bad_unlogged AS SELECT id FROM unlogged", "unlogged", "",
     "unlogged table lib.unlogged"},
    {"bad_parent",
     "CREATE TABLE bad_parent (id int) PARTITION BY LIST (id);"
     "CREATE FOREIGN TABLE lib.far_child PARTITION OF bad_parent FOR VALUES IN (1) SERVER far",
     "bad_parent", "", "foreign table lib.far_child"},
    {"bad_catalog", "CREATE VIEW bad_catalog AS SELECT relname FROM pg_class", "", "",
     "PostgreSQL's own catalog"},
    {"bad_information",
     "CREATE VIEW bad_information AS SELECT 1 AS x FROM information_schema.tables", "", "",
     "PostgreSQL's own catalog"},
    {"bad_regclass", "CREATE VIEW bad_regclass AS SELECT tableoid::regclass AS x FROM t", "t", "",
     "regclass"},
    {"bad_regclass_column", "CREATE TABLE bad_regclass_column (c regclass[])",
     "bad_regclass_column", "", "regclass"},
    {"bad_xmin", "CREATE VIEW bad_xmin AS SELECT xmin AS x FROM t", "t", "", "xmin"},
    {"bad_xml", "CREATE VIEW bad_xml AS SELECT xmlelement(name a, d) AS x FROM t", "t", "",
     "XMLEXPR"},
    {"bad_size", "CREATE VIEW bad_size AS SELECT pg_relation_size(16384::oid) AS x", "", "",
     "pg_relation_size()"},
    {"bad_column_size", "CREATE VIEW bad_column_size AS SELECT pg_column_size(name) AS x FROM t",
     "t", "", "pg_column_size()"},
    {"bad_root",
     "CREATE VIEW bad_root AS SELECT pg_partition_root(16384::oid::regclass) IS NULL AS x", "", "",
     "pg_partition_root()"},
    {"bad_privilege",
     "CREATE VIEW bad_privilege AS SELECT has_table_privilege('pg_class', 'SELECT') AS x", "", "",
     "has_table_privilege()"},
    {"bad_plpgsql", "CREATE VIEW bad_plpgsql AS SELECT pl() AS x", "", "",
     "function lib.pl() is written in plpgsql"},
    {"bad_string", "CREATE VIEW bad_string AS SELECT str() AS x", "", "",
     "function lib.str() has its body in a string"},
    {"bad_volatile", "CREATE VIEW bad_volatile AS SELECT vol() AS x", "", "",
     "function lib.vol() is VOLATILE"},
    {"bad_default", "CREATE VIEW bad_default AS SELECT with_default() AS x", "", "",
     "now() tells the time (in lib.with_default)"},
    {"bad_c", "CREATE VIEW bad_c AS SELECT unaccent(name) AS x FROM t", "t", "",
     "lib.unaccent() of an extension is only STABLE"},
    {"bad_trgm", "CREATE VIEW bad_trgm AS SELECT name % 'x' AS x FROM t", "t", "",
     "lib.similarity_op() of an extension is only STABLE"},
    {"bad_operator", "CREATE VIEW bad_operator AS SELECT id === 1 AS x FROM t", "t", "",
     "lib.pl()"},
    {"bad_any", "CREATE VIEW bad_any AS SELECT id === ANY (ARRAY[1]) AS x FROM t", "t", "",
     "lib.pl()"},
    {"bad_aggregate", "CREATE VIEW bad_aggregate AS SELECT pl_agg(id) FROM t", "t", "",
     "lib.pl_sum()"},
    {"bad_window", "CREATE VIEW bad_window AS SELECT pl_agg(id) OVER () FROM t", "t", "",
     "lib.pl_sum()"},
    {"bad_domain", "CREATE VIEW bad_domain AS SELECT name::d_bad AS x FROM t", "t", "",
     "lib.pl_check()"},
    {"bad_deep",
     "CREATE VIEW bad_deep AS SELECT id FROM t WHERE EXISTS (SELECT FROM u, LATERAL (SELECT pl() FROM t x WHERE x.id = u.id) q)",
     "t u", "", "lib.pl()"},
    {"bad_lock", "CREATE VIEW bad_lock AS SELECT id FROM t FOR SHARE", "t", "", "locks rows"},
    {"bad_policy",
     "CREATE TABLE bad_policy (id int); ALTER TABLE bad_policy ENABLE ROW LEVEL SECURITY;"
     "CREATE POLICY p ON bad_policy FOR SELECT USING (id = pl() AND EXISTS (SELECT FROM t))",
     "t bad_policy", "", "lib.pl()"},
};

static bool is_depends_on(const struct pg_relation *r, const char *schema_name, const char *name)
{
    char text[200];
    uint32_t oid;

    (void)snprintf(text, sizeof(text), "SELECT to_regclass('%s.%s')::oid", schema_name, name);
    oid = (uint32_t)pg_cluster_exec(world.owner, text);
    for (size_t i = 0; oid && i < r->depend.n_tables; i++) {
        if (r->depend.tables[i] == oid)
            return true;
    }
    return false;
}

static unsigned compare_tables(const struct expectation *e, const struct pg_relation *r)
{
    struct hs_str rest = hs_str(e->tables);
    unsigned wrong = 0;
    size_t n = 0;

    while (rest.n) {
        struct hs_str name = hs_str_cut(&rest, ' ');
        char text[64];

        (void)snprintf(text, sizeof(text), "%.*s", HS_FMT(name));
        n++;
        if (!is_depends_on(r, "app", text) && !is_depends_on(r, "lib", text)) {
            print_error("%s does not depend on %s\n", e->name, text);
            wrong++;
        }
    }
    for (size_t i = 1; i < r->depend.n_tables; i++)
        wrong += r->depend.tables[i - 1] >= r->depend.tables[i];
    if (n == r->depend.n_tables)
        return wrong;
    print_error("%s depends on %zu tables, expected \"%s\"\n", e->name, r->depend.n_tables,
                e->tables);
    return wrong + 1;
}

static uint64_t claim_bits(const struct pg_catalog *c, struct hs_str names)
{
    uint64_t bits = 0;

    while (names.n) {
        struct hs_str name = hs_str_cut(&names, ' ');
        size_t i = 0;

        while (i < c->n_claims && !hs_str_eq(c->claims[i], name))
            i++;
        bits |= i < c->n_claims ? UINT64_C(1) << i : UINT64_C(1) << 63;
    }
    return bits;
}

static unsigned compare_claims(const struct pg_catalog *c, const struct expectation *e,
                               const struct pg_relation *r)
{
    bool is_all = strcmp(e->claims, "*") == 0;

    if (is_all == r->depend.reads_all_claims &&
        r->depend.claims == (is_all ? 0 : claim_bits(c, hs_str(e->claims))))
        return 0;
    print_error("%s reads claims %llx%s, expected \"%s\"\n", e->name,
                (unsigned long long)r->depend.claims,
                r->depend.reads_all_claims ? " and all others" : "", e->claims);
    return 1;
}

static unsigned compare(const struct pg_catalog *c, const struct expectation *e)
{
    const struct pg_relation *r = pg_catalog_relation(c, hs_str(e->name));
    unsigned wrong = 0;

    if (!r) {
        print_error("%s is not there\n", e->name);
        return 1;
    }
    if (r->depend.is_known != !e->why || (e->why && !strstr(r->depend.why.p, e->why))) {
        print_error("%s is said to be %s: %.*s\n", e->name,
                    r->depend.is_known ? "known" : "not known", HS_FMT(r->depend.why));
        wrong++;
    }
    return wrong + compare_tables(e, r) + compare_claims(c, e, r);
}

/* One role may stand above row-level security: the others of that kind are left out. */
static struct pg_catalog *read_catalog(const char *above)
{
    static struct hs_str served[HS_LEN(roles)];
    struct pg_catalog_setup setup = catalog_world_setup(&world, "login", &schema, 1);

    setup.roles = served;
    for (size_t i = 0; i < HS_LEN(roles); i++) {
        if (i < 3 || hs_str_is(roles[i], above))
            served[setup.n_roles++] = roles[i];
    }
    setup.allow_login = hs_str(above);
    return catalog_world_read_once(&setup);
}

static void test_depend(void **state)
{
    struct pg_catalog *c = read_catalog("above");
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < HS_LEN(cases); i++)
        wrong += compare(c, &cases[i]);
    assert_int_equal(wrong, 0);
    pg_catalog_unref(c);
}

/* ---- narrow ---- */

/* What is compared with company_id below. */
#define OWN "(SELECT (" CLAIMS " ->> 'company_id')::bigint)"

/*
 * A table with the columns id int, company_id bigint, u uuid, n name, l text (not deterministic), d email,
 * and its policies; what must narrow it: role:column=claim, in the order of roles and columns.
 */
static const struct narrow_case {
    const char *name;
    const char *sql;
    const char *narrow;
} narrow_cases[] = {
    {"n_example",
     "CREATE POLICY p ON n_example TO member USING (company_id = " OWN ");"
     "CREATE POLICY q ON n_example FOR SELECT TO viewer USING (true)",
     "member:company_id=company_id boss:company_id=company_id"},
    {"n_public", "CREATE POLICY p ON n_public USING (company_id = " OWN ")",
     "member:company_id=company_id viewer:company_id=company_id boss:company_id=company_id"},
    {"n_swapped", "CREATE POLICY p ON n_swapped TO viewer USING ((" CLAIMS " ->> 'c')::int = id)",
     "viewer:id=c"},
    {"n_cross",
     "CREATE POLICY p ON n_cross TO viewer USING (company_id = (" CLAIMS " ->> 'c')::int)",
     "viewer:company_id=c"},
    {"n_widened",
     "CREATE POLICY p ON n_widened TO viewer USING (company_id = (" CLAIMS
     " ->> 'c')::int::bigint)",
     "viewer:company_id=c"},
    {"n_and",
     "CREATE POLICY p ON n_and TO viewer USING (id > 0 AND (id < 9 AND u = (" TEXT
     "::json #>> '{t}')::uuid))",
     "viewer:u=t"},
    {"n_two",
     "CREATE POLICY p ON n_two TO viewer USING (company_id = " OWN " AND u = (" CLAIMS
     " ->> 't')::uuid)",
     "viewer:company_id=company_id viewer:u=t"},
    {"n_text", "CREATE POLICY p ON n_text TO viewer USING (d = nullif(" CLAIMS " ->> 'mail', ''))",
     "viewer:d=mail"},
    {"n_function", "CREATE POLICY p ON n_function TO viewer USING (company_id = company())",
     "viewer:company_id=company_id"},
    {"n_supabase", "CREATE POLICY p ON n_supabase TO viewer USING (u = (jwt() ->> 'x')::uuid)",
     "viewer:u=x"},
    {"n_supabase_select",
     "CREATE POLICY p ON n_supabase_select TO viewer USING (u = (SELECT (jwt() ->> 'x'))::uuid)",
     "viewer:u=x"},
    {"n_restrictive",
     "CREATE POLICY p ON n_restrictive USING (true);"
     "CREATE POLICY r ON n_restrictive AS RESTRICTIVE TO viewer USING (company_id = " OWN ")",
     "viewer:company_id=company_id"},
    {"n_all_permissive",
     "CREATE POLICY p ON n_all_permissive TO viewer USING (company_id = " OWN ");"
     "CREATE POLICY q ON n_all_permissive FOR SELECT USING (id > 3 AND company_id = company())",
     "member:company_id=company_id viewer:company_id=company_id boss:company_id=company_id"},
    {"n_insert_only",
     "CREATE POLICY p ON n_insert_only TO viewer USING (company_id = " OWN ");"
     "CREATE POLICY q ON n_insert_only FOR UPDATE USING (true)",
     "viewer:company_id=company_id"},
    {"n_parted", "CREATE POLICY p ON n_parted TO viewer USING (company_id = " OWN ")",
     "viewer:company_id=company_id"},
    /* Nothing. */
    {"n_off",
     "CREATE POLICY p ON n_off TO viewer USING (company_id = " OWN
     "); ALTER TABLE n_off DISABLE ROW LEVEL SECURITY",
     ""},
    {"n_or", "CREATE POLICY p ON n_or TO viewer USING (company_id = " OWN " OR id = 1)", ""},
    {"n_not", "CREATE POLICY p ON n_not TO viewer USING (NOT company_id = " OWN ")", ""},
    {"n_one_of_two",
     "CREATE POLICY p ON n_one_of_two TO viewer USING (company_id = " OWN ");"
     "CREATE POLICY q ON n_one_of_two FOR SELECT USING (id = 1)",
     ""},
    {"n_other_claim",
     "CREATE POLICY p ON n_other_claim TO viewer USING (company_id = " OWN ");"
     "CREATE POLICY q ON n_other_claim TO viewer USING (company_id = (" CLAIMS " ->> 'x')::bigint)",
     ""},
    {"n_less", "CREATE POLICY p ON n_less TO viewer USING (company_id >= " OWN ")", ""},
    {"n_in", "CREATE POLICY p ON n_in TO viewer USING (company_id IN (SELECT " OWN "))", ""},
    {"n_nested_claim",
     "CREATE POLICY p ON n_nested_claim TO viewer USING (company_id = (" CLAIMS
     " -> 'app' ->> 'x')::bigint)",
     ""},
    {"n_long_path",
     "CREATE POLICY p ON n_long_path TO viewer USING (company_id = (" CLAIMS
     " #>> '{app,x}')::bigint)",
     ""},
    {"n_arithmetic",
     "CREATE POLICY p ON n_arithmetic TO viewer USING (company_id = (" CLAIMS
     " ->> 'x')::bigint + 1)",
     ""},
    {"n_default",
     "CREATE POLICY p ON n_default TO viewer USING (company_id = coalesce((" CLAIMS
     " ->> 'x')::bigint, 5))",
     ""},
    {"n_document_default",
     "CREATE POLICY p ON n_document_default TO viewer USING (company_id = (jwt_default() ->> 'company_id')::bigint)",
     ""},
    {"n_document_set",
     "CREATE POLICY p ON n_document_set TO viewer USING (company_id = (jwt_set() ->> 'company_id')::bigint)",
     ""},
    {"n_string_body",
     "CREATE POLICY p ON n_string_body TO viewer USING (company_id = (jwt_string() ->> 'company_id')::bigint)",
     ""},
    {"n_cut", "CREATE POLICY p ON n_cut TO viewer USING (d = cut()::text)", ""},
    {"n_length",
     "CREATE POLICY p ON n_length TO viewer USING (d = (" CLAIMS " ->> 'x')::varchar(2))", ""},
    {"n_rounded",
     "CREATE POLICY p ON n_rounded TO viewer USING (company_id = (" CLAIMS
     " ->> 'x')::numeric::bigint)",
     ""},
    {"n_column_changed",
     "CREATE POLICY p ON n_column_changed TO viewer USING (company_id + 1 = " OWN ")", ""},
    {"n_inexact", "CREATE POLICY p ON n_inexact TO viewer USING (n = (" CLAIMS " ->> 'x')::name)",
     ""},
    {"n_loose", "CREATE POLICY p ON n_loose TO viewer USING (l = " CLAIMS " ->> 'x')", ""},
    {"n_loose_operator",
     "CREATE POLICY p ON n_loose_operator TO viewer USING (d = (" CLAIMS " ->> 'x') COLLATE loose)",
     ""},
    {"n_generated",
     "CREATE POLICY p ON n_generated TO viewer USING (g = (" CLAIMS " ->> 'x')::int)", ""},
};

static void make_narrow_case(const struct narrow_case *c)
{
    char text[512];
    bool is_parted = strcmp(c->name, "n_parted") == 0;

    (void)snprintf(
        text, sizeof(text),
        "CREATE TABLE %s (id int, company_id bigint, u uuid, n name, l text COLLATE loose, d email,"
        " g int GENERATED ALWAYS AS (id + 1) STORED) %s; ALTER TABLE %s ENABLE ROW LEVEL SECURITY",
        c->name, is_parted ? "PARTITION BY LIST (company_id)" : "", c->name);
    (void)pg_cluster_exec(world.owner, text);
    (void)pg_cluster_exec(world.owner, c->sql);
}

/* As in narrow_case, over the roles that the catalog knows. */
static void write_narrow(const struct pg_catalog *c, const struct pg_relation *r, char *to,
                         size_t size)
{
    size_t n = 0;

    to[0] = '\0';
    for (size_t role = 0; role < c->n_roles; role++) {
        for (size_t column = 0; column < r->n_columns; column++) {
            for (size_t i = 0; i < r->n_narrow; i++) {
                const struct pg_narrow *narrow = &r->narrow[i];

                if (narrow->column != &r->columns[column] || !(narrow->roles >> role & 1))
                    continue;
                n += (size_t)snprintf(to + n, size - n, "%s%.*s:%.*s=%.*s", n ? " " : "",
                                      HS_FMT(c->roles[role]), HS_FMT(narrow->column->name),
                                      HS_FMT(narrow->claim));
                assert_true(n < size);
            }
        }
    }
}

static void test_narrow(void **state)
{
    struct pg_catalog *c = read_catalog("above");
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < HS_LEN(narrow_cases); i++) {
        const struct pg_relation *r = pg_catalog_relation(c, hs_str(narrow_cases[i].name));
        char text[512];

        assert_non_null(r);
        write_narrow(c, r, text, sizeof(text));
        if (strcmp(text, narrow_cases[i].narrow) != 0) {
            print_error("%s is narrowed by \"%s\", expected \"%s\"\n", narrow_cases[i].name, text,
                        narrow_cases[i].narrow);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    pg_catalog_unref(c);
}

/* Whoever has the owner's rights is above the policies, unless they are forced. */
static void test_narrow_of_owner(void **state)
{
    struct pg_catalog *c;
    char text[512];

    (void)state;
    (void)pg_cluster_exec(world.owner, "ALTER TABLE app.n_public OWNER TO maker");
    c = read_catalog("heir");
    assert_int_equal(pg_catalog_role(c, HS_STR("heir")), 3);
    write_narrow(c, pg_catalog_relation(c, HS_STR("n_public")), text, sizeof(text));
    assert_string_equal(text, "member:company_id=company_id viewer:company_id=company_id"
                              " boss:company_id=company_id");
    pg_catalog_unref(c);
    (void)pg_cluster_exec(world.owner, "ALTER TABLE app.n_public FORCE ROW LEVEL SECURITY");
    c = read_catalog("heir");
    write_narrow(c, pg_catalog_relation(c, HS_STR("n_public")), text, sizeof(text));
    assert_string_equal(text, "member:company_id=company_id viewer:company_id=company_id"
                              " boss:company_id=company_id heir:company_id=company_id");
    pg_catalog_unref(c);
}

/* ---- exact, and the rest ---- */

static void test_exact(void **state)
{
    struct pg_catalog *c = read_catalog("above");
    const struct pg_relation *r = pg_catalog_relation(c, HS_STR("columns"));

    (void)state;
    for (size_t i = 0; i < r->n_columns; i++) {
        const struct pg_column *column = &r->columns[i];

        if (column->is_exact != hs_str_starts(column->name, HS_STR("ok_")))
            fail_msg("%.*s is said to be %s", HS_FMT(column->name),
                     column->is_exact ? "exact" : "not exact");
    }
    pg_catalog_unref(c);
}

static void test_reads_itself(void **state)
{
    static const char *const themselves[] = {"self_by_function", "self_by_view", "self_by_policy",
                                             "circle"};
    struct pg_catalog *c = read_catalog("above");

    (void)state;
    for (size_t i = 0; i < c->n_relations; i++) {
        const struct pg_relation *r = &c->relations[i];
        bool is_expected = false;

        for (size_t j = 0; j < HS_LEN(themselves); j++)
            is_expected = is_expected || hs_str_is(r->name, themselves[j]);
        if (r->depend.reads_itself != is_expected)
            fail_msg("%.*s: reads_itself is %d", HS_FMT(r->name), r->depend.reads_itself);
    }
    pg_catalog_unref(c);
}

static const char *const others[] = {
    "CREATE TABLE columns (ok_2 int2, ok_4 int4, ok_8 int8, ok_b bool, ok_u uuid, ok_d date, ok_e mood, ok_t text,"
    " ok_v varchar(3), ok_m email, ok_day day, ok_c text COLLATE \"C\", ok_i text COLLATE tight, n numeric, f float8, c char(3), z timestamptz, s timestamp,"
    " j jsonb, ci citext, nm name, o oid, l text COLLATE loose, a int[], g int GENERATED ALWAYS AS (ok_4) STORED, i interval)",
    "CREATE TABLE self_by_function (id int); CREATE FUNCTION lib.self() RETURNS bigint LANGUAGE sql STABLE"
    " BEGIN ATOMIC SELECT count(*) FROM self_by_function; END; ALTER TABLE self_by_function ENABLE ROW LEVEL SECURITY;"
    "CREATE POLICY p ON self_by_function USING (id = self())",
    "CREATE TABLE self_by_view (id int); CREATE VIEW lib.self_v AS SELECT id FROM self_by_view;"
    "ALTER TABLE self_by_view ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON self_by_view USING (id IN (SELECT id FROM self_v))",
    "CREATE TABLE self_by_policy (id int); ALTER TABLE self_by_policy ENABLE ROW LEVEL SECURITY;"
    "CREATE POLICY p ON self_by_policy USING (EXISTS (SELECT FROM self_by_policy x WHERE x.id > self_by_policy.id))",
};

static int set_up(void **state)
{
    (void)state;
    catalog_world_open(&world, sql[0]);
    for (size_t i = 1; i < HS_LEN(sql); i++)
        (void)pg_cluster_exec(world.owner, sql[i]);
    for (size_t i = 0; i < HS_LEN(cases); i++)
        (void)pg_cluster_exec(world.owner, cases[i].sql);
    for (size_t i = 0; i < HS_LEN(narrow_cases); i++)
        make_narrow_case(&narrow_cases[i]);
    for (size_t i = 0; i < HS_LEN(others); i++)
        (void)pg_cluster_exec(world.owner, others[i]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    catalog_world_close(&world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depend),          cmocka_unit_test(test_narrow),
        cmocka_unit_test(test_narrow_of_owner), cmocka_unit_test(test_exact),
        cmocka_unit_test(test_reads_itself),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
