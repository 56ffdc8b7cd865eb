/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which relations may share a Sync, and which writes are tidy: each view below is named after what it must
 * be, ok_* or bad_* (tables of writes, w_*, may share), and the
 * reader's word is compared with the name. The bad ones hide a call behind every construct that
 * PostgreSQL's trees know: operators, aggregates, windows, casts, defaults, policies, domains, children.
 */
#include "pg/catalog_world.h"
#include "test.h"

static struct catalog_world world;

static const char *const sql[] = {
    "CREATE ROLE login LOGIN; CREATE ROLE maker; CREATE SCHEMA app; CREATE SCHEMA lib; CREATE EXTENSION citext SCHEMA lib;"
    "CREATE EXTENSION pg_trgm SCHEMA lib; CREATE EXTENSION tablefunc SCHEMA lib; CREATE EXTENSION postgres_fdw SCHEMA lib",
    "SET search_path = lib; CREATE SEQUENCE s",
    /* What may be called, and what may not. */
    "CREATE TABLE t (id int PRIMARY KEY, company_id bigint, name text, n numeric, at timestamptz, ci citext)",
    "CREATE FUNCTION claim() RETURNS bigint STABLE RETURN"
    " (current_setting('request.jwt.claims', true)::json ->> 'company_id')::bigint",
    "CREATE FUNCTION atomic_ok() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM t WHERE id > claim(); END",
    "CREATE FUNCTION vol() RETURNS int VOLATILE RETURN 1",
    "CREATE FUNCTION str() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'",
    "CREATE FUNCTION pl() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END'",
    "CREATE FUNCTION pl(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'",
    "CREATE FUNCTION pl_sum(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END'",
    "CREATE FUNCTION calls_pl() RETURNS int STABLE RETURN pl()",
    "CREATE FUNCTION calls_calls_pl() RETURNS int STABLE RETURN calls_pl() + 1",
    "CREATE FUNCTION with_default(a int DEFAULT pl()) RETURNS int IMMUTABLE RETURN a",
    "CREATE FUNCTION sets() RETURNS text STABLE RETURN set_config('x.y', '1', false)",
    "CREATE FUNCTION pl_check(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END'",
    "CREATE FUNCTION locks() RETURNS int STABLE BEGIN ATOMIC SELECT id FROM t FOR UPDATE; END",
    "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = pl)",
    "CREATE AGGREGATE pl_agg(int) (SFUNC = pl_sum, STYPE = int)",
    "CREATE AGGREGATE ok_agg(int) (SFUNC = int4larger, STYPE = int)",
    "CREATE DOMAIN d_ok AS text CHECK (VALUE <> ''); CREATE DOMAIN d_bad AS text CHECK (lib.pl_check(VALUE));"
    "CREATE DOMAIN d_bad_2 AS d_bad; CREATE TYPE c_bad AS (a int, b d_bad_2[])",
    "CREATE TYPE pair AS (a int, b int); CREATE TYPE pair_2 AS (a int);"
    "CREATE FUNCTION to_pair_2(pair) RETURNS pair_2 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN NULL; END';"
    "CREATE CAST (pair AS pair_2) WITH FUNCTION to_pair_2(pair)",
    "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; CREATE FOREIGN TABLE far_t (id int) SERVER far",
    "SET search_path = app, lib",
    /* Shareable. */
    "CREATE TABLE ok_table (id int PRIMARY KEY, a d_ok, ci citext, r int4range, p point, m int[])",
    "CREATE TABLE ok_policy (id int, company_id bigint); ALTER TABLE ok_policy ENABLE ROW LEVEL SECURITY;"
    "CREATE POLICY p ON ok_policy USING (company_id = claim() AND EXISTS (SELECT FROM t WHERE t.id = ok_policy.id));"
    "CREATE POLICY w ON ok_policy FOR INSERT WITH CHECK (pl() = 1); CREATE POLICY u ON ok_policy FOR UPDATE USING (pl() = 1)",
    "CREATE TABLE ok_default (id int DEFAULT vol() + pl(), g int GENERATED ALWAYS AS (pl_sum(1, 2)) STORED, CHECK (pl() = id))",
    "CREATE VIEW ok_view AS SELECT t.id, lower(name) l, count(*) OVER (PARTITION BY n ORDER BY id RANGE BETWEEN 1 PRECEDING"
    " AND CURRENT ROW) c, n::text, at AT TIME ZONE 'UTC' u, (name, id) < ('a', 1) r, n BETWEEN 1 AND 2 b, id = ANY (ARRAY[1]) x,"
    " nullif(id, 2) nn, greatest(n, 1) g, now() w, current_user cu, random() rnd, gen_random_uuid() uu, clock_timestamp() ct,"
    " concat(name, n) cc, format('%s', n) f, to_char(at, 'YYYY') y, ci = 'x' cie, name % 'x' trg FROM t ORDER BY t.n DESC",
    "CREATE VIEW ok_over_view AS SELECT DISTINCT id, jsonb_agg(l) FROM ok_view GROUP BY id HAVING count(*) > atomic_ok()",
    "CREATE VIEW ok_aggregate AS SELECT ok_agg(id), max(id), array_agg(id) FROM t",
    "CREATE VIEW ok_table_function AS SELECT * FROM generate_series(1, 3) g, unnest(ARRAY[1]) u, json_to_recordset('[]') AS j(a int)",
    "CREATE VIEW ok_sample AS SELECT * FROM t TABLESAMPLE system (10)",
    "CREATE MATERIALIZED VIEW ok_materialized AS SELECT pl() AS x",
    "CREATE VIEW ok_catalog AS SELECT relname FROM pg_class",
    "CREATE VIEW ok_funny_name AS SELECT id AS \":funcid 16385\" FROM t \":opfuncid 99999 \"",
    "CREATE TABLE ok_parent (id int) PARTITION BY LIST (id); CREATE TABLE ok_child PARTITION OF ok_parent FOR VALUES IN (1)",
    /* Not. */
    "CREATE VIEW bad_volatile AS SELECT vol()",
    "CREATE VIEW bad_string AS SELECT str()",
    "CREATE VIEW bad_plpgsql AS SELECT pl()",
    "CREATE VIEW bad_nested AS SELECT calls_calls_pl()",
    "CREATE VIEW bad_sequence AS SELECT nextval('lib.s') FROM (VALUES (1)) v",
    "CREATE VIEW bad_set_config AS SELECT set_config('role', 'x', true)",
    "CREATE VIEW bad_sets AS SELECT sets()",
    "CREATE VIEW bad_lock AS SELECT pg_advisory_lock(1)::text",
    "CREATE VIEW bad_try_lock AS SELECT pg_try_advisory_xact_lock(1)",
    "CREATE VIEW bad_large_object AS SELECT lo_creat(1)",
    "CREATE VIEW bad_notify AS SELECT pg_notify('a', 'b')::text",
    "CREATE VIEW bad_over_view AS SELECT * FROM (SELECT 1 AS x WHERE EXISTS (SELECT FROM bad_plpgsql)) q",
    "CREATE VIEW bad_operator AS SELECT id === 1 AS x FROM t",
    "CREATE VIEW bad_any AS SELECT id === ANY (ARRAY[1]) AS x FROM t",
    "CREATE VIEW bad_aggregate AS SELECT pl_agg(id) FROM t",
    "CREATE VIEW bad_window AS SELECT pl_agg(id) OVER () FROM t",
    "CREATE VIEW bad_default AS SELECT with_default()",
    "CREATE VIEW bad_named AS SELECT with_default(a => pl())",
    "CREATE VIEW bad_from AS SELECT * FROM pl() p(x)",
    "CREATE VIEW bad_join AS SELECT 1 AS x FROM t a JOIN t b ON a.id === b.id",
    "CREATE VIEW bad_limit AS SELECT id FROM t LIMIT pl()",
    "CREATE VIEW bad_order AS SELECT id FROM t ORDER BY pl()",
    "CREATE VIEW bad_cte AS WITH x AS (SELECT pl() AS y) SELECT * FROM x",
    "CREATE VIEW bad_case AS SELECT CASE WHEN true THEN pl() END AS x",
    "CREATE VIEW bad_filter AS SELECT count(*) FILTER (WHERE pl() = 1) FROM t",
    "CREATE VIEW bad_values AS VALUES (pl())",
    "CREATE VIEW bad_union AS SELECT 1 UNION ALL SELECT pl()",
    "CREATE VIEW bad_lateral AS SELECT x.* FROM t, LATERAL (SELECT pl()) x",
    "CREATE VIEW bad_array AS SELECT ARRAY[pl()] AS x",
    "CREATE VIEW bad_row AS SELECT (ROW(pl(), 1)::pair).a",
    "CREATE VIEW bad_domain AS SELECT name::d_bad FROM t",
    "CREATE VIEW bad_domain_2 AS SELECT name::d_bad_2 FROM t",
    "CREATE VIEW bad_cast AS SELECT (ROW(1, 2)::pair)::pair_2 AS x",
    "CREATE VIEW bad_for_update AS SELECT id FROM t FOR UPDATE",
    "CREATE VIEW bad_runs_sql AS SELECT table_to_xml('lib.t', true, false, '')",
    "CREATE VIEW bad_query_to_xml AS SELECT query_to_xml('SELECT 1', true, false, '')",
    "CREATE VIEW bad_extension AS SELECT * FROM crosstab('SELECT 1,2,3') AS c(a int, b int)",
    "CREATE VIEW bad_fdw_function AS SELECT * FROM postgres_fdw_get_connections()",
    "CREATE VIEW bad_set_limit AS SELECT set_limit(0.5)",
    "CREATE TABLE bad_column (d d_bad)",
    "CREATE TABLE bad_array_column (d c_bad[])",
    "CREATE TABLE bad_policy (id int); ALTER TABLE bad_policy ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON bad_policy FOR SELECT USING (id = pl())",
    "CREATE VIEW bad_over_policy AS SELECT * FROM bad_policy",
    "CREATE TABLE bad_deep_policy (id int); CREATE POLICY p ON bad_deep_policy USING (EXISTS (SELECT FROM bad_policy))",
    "CREATE FOREIGN TABLE bad_foreign (id int) SERVER far",
    "CREATE VIEW bad_over_foreign AS SELECT * FROM far_t",
    "CREATE TABLE bad_parent (id int) PARTITION BY LIST (id); CREATE FOREIGN TABLE far_child PARTITION OF bad_parent FOR VALUES IN (1) SERVER far",
    "CREATE TABLE bad_inherited (id int); ALTER FOREIGN TABLE far_t INHERIT bad_inherited",
    "CREATE VIEW bad_locks_inside AS SELECT locks()",
    /* Writes. */
    "CREATE FUNCTION trig() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TABLE w_plain (id serial PRIMARY KEY, u uuid DEFAULT gen_random_uuid(), at timestamptz DEFAULT now(),"
    " n int GENERATED ALWAYS AS IDENTITY, l int GENERATED ALWAYS AS (length('x')) STORED, t text CHECK (t <> ''));"
    "CREATE INDEX ON w_plain (lower(t)) WHERE t IS NOT NULL",
    "CREATE TABLE w_refers (id int PRIMARY KEY REFERENCES w_plain DEFERRABLE, other int UNIQUE DEFERRABLE)",
    "CREATE TABLE w_trigger (id int); CREATE TRIGGER t BEFORE INSERT ON w_trigger FOR EACH ROW EXECUTE FUNCTION trig()",
    "CREATE DOMAIN d_default AS int DEFAULT lib.pl(); CREATE TABLE w_domain_default (id d_default)",
    "CREATE TABLE w_key (id int) PARTITION BY RANGE ((pl_sum(id, 1))); CREATE TABLE w_key_part PARTITION OF w_key DEFAULT",
    "CREATE OPERATOR <== (LEFTARG = int, RIGHTARG = int, FUNCTION = pl, COMMUTATOR = <==);"
    "CREATE OPERATOR CLASS pl_eq FOR TYPE int4 USING hash AS OPERATOR 1 <==, FUNCTION 1 hashint4(int);"
    "CREATE TABLE w_exclude (id int, EXCLUDE USING hash (id pl_eq WITH <==))",
    "CREATE TABLE w_touched (id int); CREATE TRIGGER t BEFORE UPDATE ON w_touched FOR EACH ROW EXECUTE FUNCTION trig()",
    "CREATE TABLE w_disabled (id int); CREATE TRIGGER t BEFORE INSERT ON w_disabled FOR EACH ROW EXECUTE FUNCTION trig();"
    "ALTER TABLE w_disabled DISABLE TRIGGER t",
    "CREATE TABLE w_rule (id int); CREATE RULE r AS ON INSERT TO w_rule DO ALSO SELECT 1",
    "CREATE TABLE w_default (id int DEFAULT pl())",
    "CREATE TABLE w_check (id int CHECK (pl(id, 1)))",
    "CREATE TABLE w_index (id int); CREATE INDEX ON w_index (pl_sum(id, 1))",
    "CREATE TABLE w_partial (id int); CREATE INDEX ON w_partial (id) WHERE pl(id, 1)",
    "CREATE TABLE w_generated (id int, g int GENERATED ALWAYS AS (pl_sum(id, 1)) STORED)",
    "CREATE TABLE w_cascade (id int PRIMARY KEY);"
    "CREATE TABLE lib.cascaded (id int REFERENCES w_cascade ON DELETE CASCADE);"
    "CREATE TRIGGER t AFTER DELETE ON lib.cascaded FOR EACH ROW EXECUTE FUNCTION trig()",
    "CREATE TABLE w_parent (id int) PARTITION BY LIST (id); CREATE TABLE w_child PARTITION OF w_parent FOR VALUES IN (1);"
    "CREATE TRIGGER t AFTER INSERT ON w_parent FOR EACH ROW EXECUTE FUNCTION trig()",
    "CREATE TABLE w_policy (id int); CREATE POLICY p ON w_policy FOR INSERT WITH CHECK (pl() = 1)",
    "CREATE OPERATOR CLASS pl_ops FOR TYPE int4 USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=,"
    " OPERATOR 5 >, FUNCTION 1 pl_sum(int, int);"
    "CREATE TABLE w_class_index (id int); CREATE INDEX ON w_class_index (id pl_ops)",
    "DO $$ DECLARE t text; BEGIN FOR t IN SELECT oid::regclass FROM pg_class WHERE relkind IN ('r','p','v','m','f')"
    " AND relnamespace = 'app'::regnamespace LOOP EXECUTE 'ALTER TABLE ' || t || ' OWNER TO maker'; END LOOP; END $$",
};

static void test_shareable(void **state)
{
    static const struct hs_str schema = {"app", 3};
    struct pg_catalog_setup setup = catalog_world_setup(&world, "login", &schema, 1);
    struct pg_catalog *c = catalog_world_read_once(&setup);
    unsigned wrong = 0;

    (void)state;
    assert_true(c->n_relations > 60);
    for (size_t i = 0; i < c->n_relations; i++) {
        const struct pg_relation *r = &c->relations[i];

        if (r->is_shareable == hs_str_starts(r->name, HS_STR("bad_"))) {
            print_error("%.*s is said to be %s\n", HS_FMT(r->name),
                        r->is_shareable ? "shareable" : "not shareable");
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    pg_catalog_unref(c);
}

/* Tables above by the writes that leave something behind: i, u, d. */
static const struct {
    const char *name;
    const char *untidy;
} writes[] = {{"ok_policy", "iud"},        {"ok_default", "iud"}, {"w_trigger", "i"},
              {"w_rule", "iud"},           {"w_default", "iud"},  {"w_check", "iud"},
              {"w_index", "iud"},          {"w_partial", "iud"},  {"w_generated", "iud"},
              {"w_cascade", "d"},          {"w_parent", "iu"},    {"w_child", "i"},
              {"w_domain_default", "iud"}, {"w_key", "iud"},      {"w_key_part", "iud"},
              {"w_exclude", "iud"},        {"w_policy", "iud"},   {"w_touched", "u"},
              {"w_class_index", "iud"}};

static unsigned compare(const struct pg_relation *r, bool is_tidy, char op)
{
    bool is_expected = (r->relkind == 'r' || r->relkind == 'p') &&
                       !hs_str_starts(r->name, HS_STR("bad_"));

    for (size_t i = 0; i < HS_LEN(writes); i++) {
        if (hs_str_is(r->name, writes[i].name) && strchr(writes[i].untidy, op))
            is_expected = false;
    }
    if (is_tidy == is_expected)
        return 0;
    print_error("%c of %.*s is said to be %s\n", op, HS_FMT(r->name),
                is_tidy ? "tidy" : "not tidy");
    return 1;
}

static void test_tidy(void **state)
{
    static const struct hs_str schema = {"app", 3};
    struct pg_catalog_setup setup = catalog_world_setup(&world, "login", &schema, 1);
    struct pg_catalog *c = catalog_world_read_once(&setup);
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < c->n_relations; i++) {
        const struct pg_relation *r = &c->relations[i];

        wrong += compare(r, r->tidy.insert, 'i') + compare(r, r->tidy.update, 'u') +
                 compare(r, r->tidy.delete, 'd');
    }
    assert_int_equal(wrong, 0);
    pg_catalog_unref(c);
}

static int set_up(void **state)
{
    (void)state;
    catalog_world_open(&world, sql[0]);
    for (size_t i = 1; i < HS_LEN(sql); i++)
        (void)pg_cluster_exec(world.owner, sql[i]);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shareable),
                                       cmocka_unit_test(test_tidy)};

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
