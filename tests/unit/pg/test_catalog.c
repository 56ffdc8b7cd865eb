/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog, read from a real server: shapes of relations, keys, foreign keys, types, functions,
 * policies; changes noticed; memory short at every point.
 */
#include "pg/catalog.h"

#include <unistd.h>

#include "fault.h"
#include "pg/catalog_world.h"
#include "test.h"

static struct catalog_world world;
static const struct hs_str schemas[] = {{"app", 3}, {"extra", 5}};
static const struct hs_str roles[] = {{"viewer", 6}, {"member", 6}};

static const char schema_sql[] =
    "CREATE ROLE viewer; CREATE ROLE member; CREATE ROLE app_owner NOLOGIN; CREATE ROLE hasten_login LOGIN;"
    "GRANT viewer, member TO hasten_login; CREATE SCHEMA app; CREATE SCHEMA extra; CREATE SCHEMA hidden;"
    "SET search_path = app;"
    "CREATE TYPE hidden.mood AS ENUM ('sad', 'so, so', 'happy');"
    "CREATE DOMAIN hidden.email AS varchar(40) CHECK (VALUE LIKE '%@%');"
    "CREATE DOMAIN email_2 AS hidden.email; CREATE DOMAIN tags AS text[];"
    "CREATE TYPE address AS (street text, gone int, zip hidden.email, moods hidden.mood[]);"
    "ALTER TYPE address DROP ATTRIBUTE gone;"
    "CREATE TABLE companies (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);"
    "CREATE TABLE clients (id bigserial PRIMARY KEY, company_id bigint NOT NULL REFERENCES companies,"
    " dropped int, email email_2 UNIQUE, \"odd \"\"name\" text, mood hidden.mood DEFAULT 'sad',"
    " homes address[], tags tags, n numeric(10,2), twice numeric GENERATED ALWAYS AS (n * 2) STORED,"
    " fts tsvector, span int4range, spans int4multirange, b box[], UNIQUE (company_id, id),"
    " UNIQUE (n) DEFERRABLE);"
    "ALTER TABLE clients DROP COLUMN dropped;"
    "CREATE UNIQUE INDEX ON clients (mood) WHERE mood = 'sad'; CREATE UNIQUE INDEX ON clients (lower(email));"
    "CREATE INDEX ON clients USING gin (fts); COMMENT ON TABLE clients IS 'who comes';"
    "COMMENT ON COLUMN clients.email IS 'for mails';"
    "CREATE TABLE cards (client_id bigint PRIMARY KEY REFERENCES clients);"
    "CREATE TABLE notes (a int, b int, t text, self int, PRIMARY KEY (b, a));"
    "CREATE TABLE note_parts (x int, y int, FOREIGN KEY (x, y) REFERENCES notes (b, a));"
    "CREATE TABLE visits (id int, at date, client_id bigint REFERENCES clients, PRIMARY KEY (id, at))"
    " PARTITION BY RANGE (at);"
    "CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');"
    "CREATE TABLE visit_notes (id int, at date, FOREIGN KEY (id, at) REFERENCES visits);"
    "CREATE VIEW names AS SELECT id, name FROM companies; CREATE TABLE empty_table ();"
    "CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM companies;"
    "CREATE TABLE extra.clients (id int); CREATE TABLE extra.only_there (id int); CREATE TABLE hidden.secret (i int);"
    "CREATE TABLE hidden_fk (i int REFERENCES companies);"
    "CREATE TEXT SEARCH CONFIGURATION hidden.\"odd 'name\" (COPY = simple);"
    "CREATE TABLE texts (id int, lang regconfig CHECK (lang IN ('english'::regconfig, 'hidden.\"odd ''name\"'::regconfig)),"
    " other regconfig CHECK (other <> 'german'::regconfig), only_one regconfig CHECK (only_one = 'german'::regconfig), t text,"
    " a tsvector GENERATED ALWAYS AS (to_tsvector('german', t) || setweight(to_tsvector('hidden.\"odd ''name\"', t), 'A')"
    "  || to_tsvector('german', ' ''french''::regconfig')) STORED,"
    " b tsvector GENERATED ALWAYS AS (to_tsvector(lang, t) || to_tsvector('simple', t)) STORED,"
    " c tsvector GENERATED ALWAYS AS (to_tsvector(other, t)) STORED,"
    " d tsvector GENERATED ALWAYS AS (to_tsvector(only_one, t)) STORED);"
    "CREATE TABLE texts_b (LIKE texts INCLUDING ALL); CREATE TABLE texts_c (LIKE texts INCLUDING ALL);"
    "CREATE TABLE texts_d (LIKE texts INCLUDING ALL); CREATE INDEX ON texts USING gin (a);"
    "CREATE INDEX ON texts_b USING gin (b); CREATE INDEX ON texts_c USING gin (c); CREATE INDEX ON texts_d USING gist (d);"
    "CREATE FUNCTION f_one() RETURNS int STABLE RETURN 1;"
    "CREATE FUNCTION f_many() RETURNS SETOF address LANGUAGE sql VOLATILE AS 'SELECT NULL::app.address';"
    "ALTER TABLE clients ENABLE ROW LEVEL SECURITY;"
    "CREATE POLICY own ON clients FOR SELECT USING (company_id = app.f_one());"
    "CREATE POLICY tight ON clients AS RESTRICTIVE FOR ALL USING (true) WITH CHECK (n > 0);"
    "DO $$ DECLARE t text; BEGIN FOR t IN SELECT c.oid::regclass FROM pg_class c WHERE relkind IN ('r','p')"
    "  AND relnamespace IN ('app'::regnamespace, 'extra'::regnamespace) LOOP"
    "  EXECUTE 'ALTER TABLE ' || t || ' OWNER TO app_owner'; END LOOP; END $$;"
    "ALTER VIEW names OWNER TO app_owner; ALTER MATERIALIZED VIEW counts OWNER TO app_owner;"
    "GRANT USAGE ON SCHEMA app, extra TO viewer, member;";

static struct pg_catalog_setup setup_of(void)
{
    struct pg_catalog_setup setup = catalog_world_setup(&world, "hasten_login", schemas,
                                                        HS_LEN(schemas));

    setup.roles = roles;
    setup.n_roles = HS_LEN(roles);
    return setup;
}

static struct pg_catalog_reader *new_reader(void)
{
    struct pg_catalog_setup setup = setup_of();

    return catalog_world_reader(&setup);
}

static const struct pg_relation *relation(const struct pg_catalog *c, const char *name)
{
    const struct pg_relation *r = pg_catalog_relation(c, hs_str(name));

    if (!r)
        fail_msg("no relation %s", name);
    return r;
}

static const struct pg_column *column(const struct pg_relation *r, const char *name)
{
    const struct pg_column *found = pg_relation_column(r, hs_str(name));

    if (!found)
        fail_msg("no column %s", name);
    return found;
}

static void test_relations(const struct pg_catalog *c)
{
    const struct pg_relation *clients = relation(c, "clients");

    assert_str(clients->schema, HS_STR("app"));
    assert_str(clients->quoted, HS_STR("\"app\".\"clients\""));
    assert_str(clients->comment, HS_STR("who comes"));
    assert_true(clients->has_rls);
    assert_int_equal(clients->relkind, 'r');
    assert_str(relation(c, "only_there")->schema, HS_STR("extra"));
    assert_int_equal(relation(c, "visits")->relkind, 'p');
    assert_int_equal(relation(c, "names")->relkind, 'v');
    assert_int_equal(relation(c, "counts")->relkind, 'm');
    assert_int_equal(relation(c, "empty_table")->n_columns, 0);
    assert_null(pg_catalog_relation(c, HS_STR("visits_1")));
    assert_null(pg_catalog_relation(c, HS_STR("secret")));
    assert_null(pg_catalog_relation(c, HS_STR("")));
    assert_null(pg_catalog_relation(c, HS_STR("zzz")));
    assert_true(c->generation >= 1);
    assert_true(c->server_version_num >= 150000);
    for (size_t i = 1; i < c->n_relations; i++) {
        if (hs_str_eq(c->relations[i - 1].schema, c->relations[i].schema))
            assert_true(hs_str_cmp(c->relations[i - 1].name, c->relations[i].name) < 0);
    }
    assert_str(c->relations[c->n_relations - 1].schema, HS_STR("extra"));
}

static void test_columns(const struct pg_catalog *c)
{
    const struct pg_relation *r = relation(c, "clients");

    assert_null(pg_relation_column(r, HS_STR("dropped")));
    assert_str(column(r, "odd \"name")->quoted, HS_STR("\"odd \"\"name\""));
    assert_str(column(r, "email")->comment, HS_STR("for mails"));
    assert_true(column(r, "id")->not_null && column(r, "id")->has_default);
    assert_false(column(r, "id")->is_identity);
    assert_true(column(relation(c, "companies"), "id")->is_identity);
    assert_true(column(r, "twice")->is_generated && !column(r, "twice")->has_default);
    assert_true(column(r, "mood")->has_default && !column(r, "mood")->not_null);
    assert_int_equal(column(r, "n")->typmod, (10 << 16) + 2 + 4);
    assert_ptr_equal(r->full_text.column, column(r, "fts"));
    assert_null(relation(c, "companies")->full_text.column);
    for (size_t i = 0; i < r->n_columns; i++)
        assert_int_equal(r->columns[i].index, i);
}

static void assert_names(const struct hs_str *names, size_t n, const char *expected)
{
    char text[256] = "";

    for (size_t i = 0; i < n; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s", i ? "|" : "",
                       HS_FMT(names[i]));
    assert_string_equal(text, expected);
}

static void test_full_text(const struct pg_catalog *c)
{
    const struct pg_full_text *a = &relation(c, "texts")->full_text;
    const struct pg_full_text *b = &relation(c, "texts_b")->full_text;
    const struct pg_full_text *other = &relation(c, "texts_c")->full_text;
    const struct pg_full_text *only = &relation(c, "texts_d")->full_text;
    bool has_odd = false;

    assert_ptr_equal(a->column, column(relation(c, "texts"), "a"));
    assert_names(a->configs, a->n_configs, "pg_catalog.german|hidden.\"odd 'name\"");
    assert_null(a->language);
    assert_names(b->configs, b->n_configs, "pg_catalog.simple");
    assert_ptr_equal(b->language, column(relation(c, "texts_b"), "lang"));
    assert_names(b->languages, b->n_languages, "pg_catalog.english|hidden.\"odd 'name\"");
    assert_ptr_equal(other->language, column(relation(c, "texts_c"), "other"));
    assert_int_equal(other->n_languages, 0);
    assert_names(only->languages, only->n_languages, "pg_catalog.german");
    assert_int_equal(relation(c, "clients")->full_text.n_configs, 0);
    for (size_t i = 0; i < c->n_text_configs; i++)
        has_odd = has_odd || hs_str_is(c->text_configs[i].quoted, "hidden.\"odd 'name\"");
    assert_true(has_odd && hs_str_is(c->text_configs[0].schema, "pg_catalog"));
}

static void test_types(const struct pg_catalog *c)
{
    const struct pg_relation *r = relation(c, "clients");
    const struct pg_type *email = column(r, "email")->type;
    const struct pg_type *mood = column(r, "mood")->type;
    const struct pg_type *homes = column(r, "homes")->type;
    const struct pg_type *tags = column(r, "tags")->type;

    assert_int_equal(column(r, "id")->type->kind, PG_KIND_INT8);
    assert_str(column(r, "id")->type->sql, HS_STR("pg_catalog.int8"));
    assert_str(column(r, "id")->type->name, HS_STR("bigint"));
    assert_true(email->is_domain);
    assert_int_equal(email->kind, PG_KIND_TEXT);
    assert_str(email->sql, HS_STR("app.email_2"));
    assert_int_equal(mood->kind, PG_KIND_ENUM);
    assert_int_equal(mood->n_labels, 3);
    assert_str(mood->labels[1], HS_STR("so, so"));
    assert_int_equal(homes->kind, PG_KIND_ARRAY);
    assert_int_equal(homes->elem->kind, PG_KIND_COMPOSITE);
    assert_int_equal(homes->elem->n_fields, 3);
    assert_str(homes->elem->fields[1].name, HS_STR("zip"));
    assert_true(homes->elem->fields[1].type->is_domain);
    assert_ptr_equal(homes->elem->fields[2].type->elem, mood);
    assert_true(tags->is_domain);
    assert_int_equal(tags->kind, PG_KIND_ARRAY);
    assert_int_equal(tags->elem->kind, PG_KIND_TEXT);
    assert_int_equal(column(r, "span")->type->kind, PG_KIND_RANGE);
    assert_int_equal(column(r, "spans")->type->kind, PG_KIND_RANGE);
    assert_int_equal(column(r, "b")->type->delim, ';');
    assert_int_equal(column(r, "n")->type->kind, PG_KIND_NUMERIC);
}

static void test_keys(const struct pg_catalog *c)
{
    const struct pg_relation *clients = relation(c, "clients");
    const struct pg_relation *notes = relation(c, "notes");

    assert_int_equal(clients->n_keys, 3);
    assert_ptr_equal(clients->primary, &clients->keys[0]);
    assert_ptr_equal(clients->primary->columns[0], column(clients, "id"));
    assert_false(clients->keys[1].is_primary);
    assert_int_equal(notes->primary->n_columns, 2);
    assert_ptr_equal(notes->primary->columns[0], column(notes, "b"));
    assert_ptr_equal(notes->primary->columns[1], column(notes, "a"));
    assert_null(relation(c, "names")->primary);
    assert_int_equal(relation(c, "visits")->primary->n_columns, 2);
}

static void test_foreign_keys(const struct pg_catalog *c)
{
    const struct pg_relation *clients = relation(c, "clients");
    const struct pg_relation *parts = relation(c, "note_parts");
    const struct pg_relation *visits = relation(c, "visits");

    assert_int_equal(clients->n_fk_out, 1);
    assert_ptr_equal(clients->fk_out[0]->to, relation(c, "companies"));
    assert_ptr_equal(clients->fk_out[0]->from_columns[0], column(clients, "company_id"));
    assert_false(clients->fk_out[0]->from_is_unique);
    assert_int_equal(clients->n_fk_in, 2);
    assert_ptr_equal(clients->fk_in[0]->from, relation(c, "cards"));
    assert_true(clients->fk_in[0]->from_is_unique);
    assert_int_equal(parts->fk_out[0]->n_columns, 2);
    assert_ptr_equal(parts->fk_out[0]->to_columns[0], column(relation(c, "notes"), "b"));
    assert_int_equal(visits->n_fk_in, 1);
    assert_int_equal(visits->n_fk_out, 1);
    assert_int_equal(relation(c, "companies")->n_fk_in, 2);
}

static void test_functions_and_policies(const struct pg_catalog *c)
{
    assert_int_equal(c->n_functions, 2);
    assert_str(c->functions[0].name, HS_STR("f_many"));
    assert_true(c->functions[0].is_set_returning);
    assert_int_equal(c->functions[0].volatility, 'v');
    assert_int_equal(c->functions[0].returns->kind, PG_KIND_COMPOSITE);
    assert_int_equal(c->functions[1].volatility, 's');
    assert_int_equal(c->n_policies, 2);
    assert_str(c->policies[0].name, HS_STR("own"));
    assert_str(c->policies[0].using_text, HS_STR("(company_id = app.f_one())"));
    assert_int_equal(c->policies[0].command, 'r');
    assert_true(c->policies[0].is_permissive && !c->policies[1].is_permissive);
    assert_str(c->policies[1].check_text, HS_STR("(n > (0)::numeric)"));
}

static void test_shape(void **state)
{
    struct pg_catalog_reader *reader = new_reader();
    struct pg_catalog *c = catalog_world_read(reader);

    (void)state;
    test_relations(c);
    test_columns(c);
    test_full_text(c);
    test_types(c);
    test_keys(c);
    test_foreign_keys(c);
    test_functions_and_policies(c);
    /* It outlives its reader, and lives as long as somebody holds it. */
    pg_catalog_reader_free(reader);
    assert_ptr_equal(pg_catalog_ref(c), c);
    pg_catalog_unref(c);
    assert_str(relation(c, "clients")->name, HS_STR("clients"));
    pg_catalog_unref(c);
}

static bool changed_within(struct pg_catalog_reader *reader, hs_us wait)
{
    struct hs_err err;
    bool changed = false;

    if (pg_catalog_watch(reader, wait, /* stop_fd= */ -1, &changed, &err) != HS_OK)
        fail_msg("%s: %s", err.what, err.why);
    return changed;
}

/* Each must move the fingerprint; what follows the bar puts things back. */
static const char *const changes[] = {
    "ALTER TABLE app.companies ADD COLUMN x int",
    "ALTER TABLE app.companies RENAME COLUMN x TO y",
    "ALTER TABLE app.companies ALTER COLUMN y SET NOT NULL",
    "ALTER TABLE app.companies DROP COLUMN y",
    "CREATE TABLE app.fresh (i int)",
    "ALTER TABLE app.fresh RENAME TO fresher",
    "CREATE UNIQUE INDEX fresh_i ON app.fresher (i)",
    "DROP INDEX app.fresh_i",
    "DROP TABLE app.fresher",
    "COMMENT ON COLUMN app.companies.name IS 'x'",
    "GRANT SELECT ON app.companies TO viewer",
    "REVOKE SELECT ON app.companies FROM viewer",
    "GRANT SELECT (name) ON app.companies TO viewer",
    "REVOKE SELECT (name) ON app.companies FROM viewer",
    "GRANT SELECT ON app.companies TO PUBLIC",
    "REVOKE SELECT ON app.companies FROM PUBLIC",
    "REVOKE USAGE ON SCHEMA app FROM viewer",
    "GRANT USAGE ON SCHEMA app TO viewer",
    "GRANT pg_read_all_data TO member",
    "REVOKE pg_read_all_data FROM member",
    "ALTER TYPE hidden.mood ADD VALUE 'wild'",
    "ALTER DOMAIN hidden.email DROP CONSTRAINT email_check",
    "CREATE OR REPLACE FUNCTION app.f_one() RETURNS int STABLE RETURN 2",
    "ALTER POLICY own ON app.clients USING (true)",
    "ALTER POLICY own ON app.clients USING (company_id = app.f_one())",
    "CREATE OR REPLACE VIEW app.names AS SELECT id, upper(name) AS name FROM app.companies",
    "ALTER TABLE app.companies ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE app.companies DISABLE ROW LEVEL SECURITY",
    "ALTER ROLE viewer NOINHERIT",
    "ALTER ROLE viewer INHERIT",
    "GRANT viewer TO member",
    "REVOKE viewer FROM member",
    "ALTER ROLE viewer SET work_mem = '5MB'",
    "ALTER TYPE app.address ADD ATTRIBUTE z int",
    "ALTER VIEW app.names SET (security_invoker = true)",
    "ALTER TABLE app.notes ADD CONSTRAINT u UNIQUE (t)",
    "ALTER TABLE app.cards ADD FOREIGN KEY (client_id) REFERENCES app.companies",
    "ALTER TABLE app.clients ALTER COLUMN n SET DEFAULT 1",
    "ALTER TABLE app.companies ALTER COLUMN id SET GENERATED BY DEFAULT",
    "ALTER SEQUENCE app.clients_id_seq RENAME TO clients_numbers",
    "CREATE TABLE hidden.below (id int); CREATE VIEW app.over AS SELECT id FROM hidden.below",
    "ALTER TABLE hidden.below ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE hidden.below FORCE ROW LEVEL SECURITY",
    "ALTER TABLE hidden.below SET UNLOGGED",
    "ALTER TABLE app.companies REPLICA IDENTITY FULL",
    "CREATE TEXT SEARCH CONFIGURATION hidden.ts (COPY = simple)",
    "ALTER TEXT SEARCH CONFIGURATION hidden.ts DROP MAPPING FOR word",
    "ALTER TEXT SEARCH CONFIGURATION hidden.ts RENAME TO ts_2",
    "ALTER TABLE app.texts_b DROP CONSTRAINT texts_lang_check",
    "ALTER TEXT SEARCH DICTIONARY english_stem (StopWords)",
    "CREATE COLLATION hidden.c FROM \"C\"",
    "CREATE AGGREGATE hidden.agg(int) (SFUNC = int4larger, STYPE = int)",
    "ALTER DATABASE postgres SET default_text_search_config = simple",
};

static const char *const no_changes[] = {
    "ANALYZE",
    "VACUUM app.companies",
    "INSERT INTO app.companies (name) VALUES ('a')",
    "TRUNCATE app.companies CASCADE",
    "REFRESH MATERIALIZED VIEW app.counts",
    "CREATE TEMP TABLE temporary_one (i int)",
    "CREATE TEMP SEQUENCE temporary_numbers",
    "SELECT nextval('app.clients_id_seq')",
    "VACUUM FULL app.companies",
};

static void test_fingerprint(void **state)
{
    struct pg_catalog_reader *reader = new_reader();

    (void)state;
    pg_catalog_unref(catalog_world_read(reader));
    assert_false(changed_within(reader, 0));
    for (size_t i = 0; i < HS_LEN(no_changes); i++) {
        (void)pg_cluster_exec(world.owner, no_changes[i]);
        if (changed_within(reader, 0))
            fail_msg("must not look like a change: %s", no_changes[i]);
    }
    for (size_t i = 0; i < HS_LEN(changes); i++) {
        (void)pg_cluster_exec(world.owner, changes[i]);
        if (!changed_within(reader, 0))
            fail_msg("not noticed: %s", changes[i]);
        pg_catalog_unref(catalog_world_read(reader));
    }
    pg_catalog_reader_free(reader);
}

static void test_notification(void **state)
{
    struct pg_catalog_reader *reader = new_reader();
    struct hs_err err;
    hs_us started;
    bool changed;
    int fds[2];

    (void)state;
    pg_catalog_unref(catalog_world_read(reader));
    (void)pg_cluster_exec(world.owner, "CREATE TABLE app.told (i int); NOTIFY hasten, 'ddl'");
    started = hs_now_us();
    assert_true(changed_within(reader, 60 * HS_SECOND));
    assert_true(hs_now_us() - started < 30 * HS_SECOND);
    (void)pg_cluster_exec(world.owner, "DROP TABLE app.told");
    pg_catalog_unref(catalog_world_read(reader));
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    started = hs_now_us();
    assert_int_equal(pg_catalog_watch(reader, 60 * HS_SECOND, fds[0], &changed, &err), HS_OK);
    assert_true(hs_now_us() - started < 30 * HS_SECOND);
    assert_false(changed);
    (void)close(fds[0]);
    (void)close(fds[1]);
    pg_catalog_reader_free(reader);
}

static void test_lost_connection(void **state)
{
    struct pg_catalog_reader *reader = new_reader();
    struct pg_catalog *c;
    struct hs_err err;
    bool changed;

    (void)state;
    pg_catalog_unref(catalog_world_read(reader));
    (void)pg_cluster_exec(
        world.owner,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'hasten_login'");
    assert_int_equal(pg_catalog_watch(reader, HS_SECOND, -1, &changed, &err), HS_E_PG_DOWN);
    c = catalog_world_read(reader);
    assert_true(c->generation == 2);
    pg_catalog_unref(c);
    pg_catalog_reader_free(reader);
}

static void test_unreachable(void **state)
{
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog_reader *reader;
    struct pg_catalog *c;
    struct hs_err err;

    (void)state;
    setup.url = HS_STR("host=/nowhere/at/all user=x dbname=y");
    assert_int_equal(pg_catalog_reader_new(&setup, &reader, &err), HS_OK);
    assert_int_equal(pg_catalog_read(reader, &c, &err), HS_E_PG_DOWN);
    assert_true(strlen(err.why) > 0);
    pg_catalog_reader_free(reader);
    setup.url = HS_STR("postgresql://user:topsecret@[");
    assert_int_equal(pg_catalog_reader_new(&setup, &reader, &err), HS_OK);
    assert_int_equal(pg_catalog_read(reader, &c, &err), HS_E_CONFIG);
    assert_null(strstr(err.what, "topsecret"));
    assert_null(strstr(err.why, "topsecret"));
    pg_catalog_reader_free(reader);
}

static void test_missing_schema(void **state)
{
    static const struct hs_str wrong[] = {{"app", 3}, {"no \"such\" \\", 11}};
    struct pg_catalog_setup setup = setup_of();
    struct pg_catalog_reader *reader;
    struct pg_catalog *c;
    struct hs_err err;

    (void)state;
    setup.schemas = wrong;
    assert_int_equal(pg_catalog_reader_new(&setup, &reader, &err), HS_OK);
    assert_int_equal(pg_catalog_read(reader, &c, &err), HS_E_CONFIG);
    assert_non_null(strstr(err.what, "no \"such\" \\"));
    pg_catalog_reader_free(reader);
}

/* sql/hasten.sql itself; tests run in the project's folder. */
static void install_schema(void)
{
    static char text[65536];
    FILE *f = fopen("sql/hasten.sql", "r");
    size_t n;

    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    assert_true(n > 0 && n < sizeof(text) - 1);
    text[n] = '\0';
    (void)fclose(f);
    (void)pg_cluster_exec(world.owner, text);
}

static void test_own_schema(void **state)
{
    struct pg_catalog_reader *reader = new_reader();
    char again[32];
    char key[32];
    struct hs_err err;
    hs_us started;

    (void)state;
    assert_int_equal(pg_catalog_read_secret(reader, key, &err), HS_E_NO_ROW);
    install_schema();
    assert_int_equal(pg_catalog_read_secret(reader, key, &err), HS_E_PG_ERROR);
    assert_string_equal(err.sqlstate, "42501");
    assert_non_null(strstr(err.hint, "hasten.allow('hasten_login')"));
    (void)pg_cluster_exec(world.owner, "SELECT hasten.allow('hasten_login')");
    assert_int_equal(pg_catalog_read_secret(reader, key, &err), HS_OK);
    install_schema();
    assert_int_equal(pg_catalog_read_secret(reader, again, &err), HS_OK);
    assert_memory_equal(key, again, 32);
    /* Its event trigger tells of DDL, also of a DROP. */
    pg_catalog_unref(catalog_world_read(reader));
    started = hs_now_us();
    (void)pg_cluster_exec(world.owner, "CREATE TABLE app.told_2 (i int)");
    assert_true(changed_within(reader, 60 * HS_SECOND));
    pg_catalog_unref(catalog_world_read(reader));
    (void)pg_cluster_exec(world.owner, "DROP TABLE app.told_2");
    assert_true(changed_within(reader, 60 * HS_SECOND));
    assert_true(hs_now_us() - started < 30 * HS_SECOND);
    (void)pg_cluster_exec(world.owner, "ALTER TABLE hasten.secret DROP CONSTRAINT secret_key_check;"
                                       "UPDATE hasten.secret SET key = 'short'");
    assert_int_equal(pg_catalog_read_secret(reader, key, &err), HS_E_PG_ERROR);
    (void)pg_cluster_exec(world.owner, "DELETE FROM hasten.secret");
    assert_int_equal(pg_catalog_read_secret(reader, key, &err), HS_E_NO_ROW);
    (void)pg_cluster_exec(world.owner, "DROP SCHEMA hasten CASCADE");
    pg_catalog_reader_free(reader);
}

static bool read_once(void *arg)
{
    struct pg_catalog_reader *reader = arg;
    struct pg_catalog *c;
    struct hs_err err;
    hs_status status = pg_catalog_read(reader, &c, &err);

    if (status == HS_OK) {
        pg_catalog_unref(c);
        return true;
    }
    assert_int_equal(status, HS_E_MEMORY);
    return false;
}

static void test_short_memory(void **state)
{
    struct pg_catalog_reader *reader = new_reader();

    (void)state;
    pg_catalog_unref(catalog_world_read(reader));
    fault_each(read_once, reader);
    pg_catalog_reader_free(reader);
}

static int set_up(void **state)
{
    (void)state;
    catalog_world_open(&world, schema_sql);
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
        cmocka_unit_test(test_shape),        cmocka_unit_test(test_short_memory),
        cmocka_unit_test(test_notification), cmocka_unit_test(test_lost_connection),
        cmocka_unit_test(test_unreachable),  cmocka_unit_test(test_missing_schema),
        cmocka_unit_test(test_own_schema),   cmocka_unit_test(test_fingerprint),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
