// SPDX-License-Identifier: Apache-2.0
// sql/hasten.sql: what hasten.publish() puts into the publication and takes out, what it refuses to an
// attacker with the login, and what the event triggers tell in the change stream.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Pg } from './harness/pg.mjs';
import { changes } from './harness/pgoutput.mjs';
import { ROOT } from './harness/util.mjs';

const DB = 'shop';
const PUBLISH = `SELECT relation::regclass::text AS name, ancestors::regclass[]::text[] AS ancestors, is_coherent, why, identity,
    has_changed FROM hasten.publish($1, $2)`;
let pg;

before(async () => {
    pg = await Pg.start();
    await pg.sql(`CREATE DATABASE ${DB}`);
    await pg.sql(`CREATE ROLE app_login LOGIN NOINHERIT; CREATE ROLE app; GRANT app TO app_login;
                  CREATE SCHEMA api; GRANT USAGE ON SCHEMA api TO app; CREATE SCHEMA data`, { db: DB });
    await pg.installFeed({ login: 'app_login', db: DB });
});
after(() => pg.close());

const sql = (text, values) => pg.sql(text, { db: DB, values });
const fresh = async (t, text) => {
    await sql(text);
    t.after(() => sql('DROP SCHEMA api, data CASCADE; CREATE SCHEMA api; GRANT USAGE ON SCHEMA api TO app; CREATE SCHEMA data'));
};
const publish = (schemas = ['api'], { name = 'hasten', user = 'app_login' } = {}) => pg.sql(PUBLISH, { db: DB, user, values: [name, schemas] });
const byName = (rows) => Object.fromEntries(rows.map((row) => [row.name, row]));
const members = async (name = 'hasten') => (await sql(`SELECT prrelid::regclass::text AS n FROM pg_publication_rel r
    JOIN pg_publication p ON p.oid = prpubid WHERE pubname = $1 ORDER BY 1`, [name])).map(({ n }) => n);

/** What the stream tells from now on; the slot goes with the test. */
async function listen(t) {
    await publish();
    await sql("SELECT pg_create_logical_replication_slot('ears', 'pgoutput')");
    t.after(() => sql("SELECT pg_drop_replication_slot('ears')"));
    return async () => (await changes(pg, { slot: 'ears', publication: 'hasten', db: DB }))
        .filter(({ type }) => type === 'M').map(({ prefix, content }) => `${prefix} ${content}`);
}

test('tables with an identity are published, the others are named with the reason', async (t) => {
    await fresh(t, `
        CREATE TABLE api.keyed (id int PRIMARY KEY);
        CREATE TABLE api.bare (id int);
        CREATE TABLE api.late (id int PRIMARY KEY DEFERRABLE);
        CREATE TABLE api.whole (id int); ALTER TABLE api.whole REPLICA IDENTITY FULL;
        CREATE TABLE api."by Index" (id int PRIMARY KEY, tenant int NOT NULL, UNIQUE (tenant, id));
        ALTER TABLE api."by Index" REPLICA IDENTITY USING INDEX "by Index_tenant_id_key";
        CREATE TABLE api.mute (id int PRIMARY KEY); ALTER TABLE api.mute REPLICA IDENTITY NOTHING;
        CREATE UNLOGGED TABLE api.fleeting (id int PRIMARY KEY);
        CREATE TABLE data.elsewhere (id int PRIMARY KEY)`);
    const rows = byName(await publish());
    const coherent = Object.values(rows).filter((row) => row.is_coherent).map((row) => [row.name, row.identity]);
    assert.deepEqual(Object.fromEntries(coherent), {
        'api.keyed': 'default (id)', 'api.whole': 'full', 'api."by Index"': 'index (tenant, id)',
    });
    for (const name of ['api.bare', 'api.late', 'api.mute']) assert.match(rows[name].why, /no replica identity/);
    assert.match(rows['api.fleeting'].why, /unlogged/);
    assert.equal(Object.keys(rows).length, 7);
    assert.deepEqual(await members(), ['api."by Index"', 'api.keyed', 'api.whole']);
    assert.ok(Object.values(rows).every((row) => row.has_changed));
    const [row] = await sql("SELECT * FROM pg_publication WHERE pubname = 'hasten'");
    assert.deepEqual([row.pubinsert, row.pubupdate, row.pubdelete, row.pubtruncate, row.pubviaroot, row.puballtables],
        [true, true, true, true, false, false]);
    await sql('INSERT INTO api.bare VALUES (1); UPDATE api.bare SET id = 2; DELETE FROM api.bare');
});

test('where nothing is to do nothing is written, not even on a read-only connection', async (t) => {
    await fresh(t, 'CREATE TABLE api.keyed (id int PRIMARY KEY)');
    const first = await publish();
    const client = await pg.client({ user: 'app_login', db: DB });
    t.after(() => client.end());
    await client.query('BEGIN READ ONLY');
    const { rows } = await client.query(PUBLISH, ['hasten', ['api']]);
    const { rows: [{ xid }] } = await client.query('SELECT pg_current_xact_id_if_assigned() AS xid');
    await client.query('COMMIT');
    assert.equal(xid, null);
    assert.deepEqual(rows, first.map((row) => ({ ...row, has_changed: false })));
});

test('leaves are published with their ancestors, wherever they lie; inheritance children name their parents', async (t) => {
    await fresh(t, `
        CREATE TABLE api.root (a int, b int, PRIMARY KEY (a, b)) PARTITION BY LIST (a);
        CREATE TABLE data.middle PARTITION OF api.root FOR VALUES IN (1) PARTITION BY LIST (b);
        CREATE TABLE data.leaf PARTITION OF data.middle FOR VALUES IN (1);
        CREATE TABLE api.parent (id int PRIMARY KEY);
        CREATE TABLE data.child (PRIMARY KEY (id)) INHERITS (api.parent)`);
    const rows = byName(await publish());
    assert.deepEqual(Object.keys(rows).sort(), ['api.parent', 'data.child', 'data.leaf']);
    assert.deepEqual(rows['data.leaf'].ancestors, ['data.middle', 'api.root']);
    assert.deepEqual(rows['data.child'].ancestors, ['api.parent']);
    assert.deepEqual(rows['api.parent'].ancestors, []);
    assert.ok(Object.values(rows).every((row) => row.is_coherent));
    await sql('CREATE TABLE data.leaf2 PARTITION OF data.middle FOR VALUES IN (2)');
    const [changed] = (await publish()).filter((row) => row.name === 'data.leaf2');
    assert.deepEqual([changed.is_coherent, changed.has_changed, changed.ancestors], [true, true, ['data.middle', 'api.root']]);
});

test('what views, policies and SQL functions read is published too', async (t) => {
    await fresh(t, `
        CREATE TABLE data.base (id int PRIMARY KEY); CREATE TABLE data.allowed (id int PRIMARY KEY);
        CREATE TABLE data.counted (id int PRIMARY KEY); CREATE TABLE data.unread (id int PRIMARY KEY);
        CREATE FUNCTION data.n() RETURNS bigint STABLE BEGIN ATOMIC SELECT count(*) FROM data.counted; END;
        CREATE VIEW data.inner_view AS SELECT id, data.n() AS n FROM data.base;
        CREATE VIEW api.shown AS SELECT * FROM data.inner_view;
        CREATE TABLE api.guarded (id int PRIMARY KEY);
        CREATE POLICY p ON api.guarded USING (EXISTS (SELECT FROM data.allowed a WHERE a.id = guarded.id))`);
    assert.deepEqual(Object.keys(byName(await publish())).sort(), ['api.guarded', 'data.allowed', 'data.base', 'data.counted']);
});

const breaks = {
    'ALTER TABLE REPLICA IDENTITY NOTHING': 'ALTER TABLE api.t REPLICA IDENTITY NOTHING',
    'a dropped primary key': 'ALTER TABLE api.t DROP CONSTRAINT t_pkey',
    'a dropped column of the key': 'ALTER TABLE api.t DROP COLUMN id',
    'a primary key that is made deferrable': 'ALTER TABLE api.t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id) DEFERRABLE',
    'a dropped index of the identity': 'CREATE UNIQUE INDEX i ON api.t (id); ALTER TABLE api.t REPLICA IDENTITY USING INDEX i; DROP INDEX api.i',
};
for (const [what, how] of Object.entries(breaks)) {
    test(`the identity goes with ${what}: the table leaves in the same transaction, writes go on`, async (t) => {
        await fresh(t, 'CREATE TABLE api.t (id int PRIMARY KEY, n int); CREATE TABLE api.other (id int PRIMARY KEY); INSERT INTO api.t VALUES (1, 1)');
        await publish();
        await sql(how);
        assert.deepEqual(await members(), ['api.other']);
        await sql('UPDATE api.t SET n = 2; DELETE FROM api.t');
        const gone = byName(await publish())['api.t'];
        assert.deepEqual([gone.is_coherent, gone.has_changed], [false, false]);
        await sql('ALTER TABLE api.t REPLICA IDENTITY FULL');
        const back = byName(await publish())['api.t'];
        assert.deepEqual([back.is_coherent, back.has_changed], [true, true]);
    });
}

test('the key of a partitioned table goes: all its leaves leave; so does one whose index is dropped CONCURRENTLY', async (t) => {
    await fresh(t, `
        CREATE TABLE api.root (a int, CONSTRAINT root_key PRIMARY KEY (a)) PARTITION BY LIST (a);
        CREATE TABLE api.one PARTITION OF api.root FOR VALUES IN (1); CREATE TABLE api.two PARTITION OF api.root FOR VALUES IN (2);
        CREATE TABLE api.t (id int NOT NULL); CREATE UNIQUE INDEX i ON api.t (id); ALTER TABLE api.t REPLICA IDENTITY USING INDEX i`);
    await publish();
    assert.deepEqual(await members(), ['api.one', 'api.t', 'api.two']);
    await sql('ALTER TABLE api.root DROP CONSTRAINT root_key');
    assert.deepEqual(await members(), ['api.t']);
    await sql('DROP INDEX CONCURRENTLY api.i');
    assert.deepEqual(await members(), []);
    await sql('INSERT INTO api.root VALUES (1); DELETE FROM api.root; DELETE FROM api.t');
});

test('a DDL that is rolled back changes nothing', async (t) => {
    await fresh(t, 'CREATE TABLE api.t (id int PRIMARY KEY)');
    await publish();
    await sql('BEGIN; ALTER TABLE api.t REPLICA IDENTITY NOTHING; ROLLBACK');
    assert.deepEqual(await members(), ['api.t']);
});

test('without the event trigger the next call takes out what would break writes', async (t) => {
    await fresh(t, 'CREATE TABLE api.t (id int PRIMARY KEY); INSERT INTO api.t VALUES (1)');
    await publish();
    await sql('ALTER EVENT TRIGGER hasten_ddl DISABLE; ALTER EVENT TRIGGER hasten_drop DISABLE');
    t.after(() => pg.installFeed({ login: 'app_login', db: DB }));
    await sql('ALTER TABLE api.t DROP CONSTRAINT t_pkey');
    await assert.rejects(sql('DELETE FROM api.t'), { code: '55000' });
    const [row] = await publish(['data']).catch(() => publish());
    assert.deepEqual([row.is_coherent, row.has_changed], [false, true]);
    await sql('DELETE FROM api.t');
});

test('what was changed by hand is made right: options, column list, row filter', async (t) => {
    await fresh(t, 'CREATE TABLE api.t (id int PRIMARY KEY, n int); CREATE TABLE api.u (id int PRIMARY KEY)');
    await publish();
    for (const change of ["SET (publish = 'insert')", 'SET (publish_via_partition_root = true)', 'SET TABLE api.t (id), api.u', 'SET TABLE api.t WHERE (id > 5), api.u', 'DROP TABLE api.u']) {
        await sql(`ALTER PUBLICATION hasten ${change}`);
        assert.ok((await publish()).every((row) => row.is_coherent && row.has_changed), change);
    }
    await sql('DROP PUBLICATION hasten');
    assert.ok((await publish()).every((row) => row.is_coherent && row.has_changed));
});

test('many nodes at once: none fails, and one publication comes of it', async (t) => {
    await sql('DROP PUBLICATION IF EXISTS hasten');
    await fresh(t, `DO $$ BEGIN FOR i IN 1..40 LOOP EXECUTE format('CREATE TABLE api.t%s (id int PRIMARY KEY)', i); END LOOP; END $$`);
    const all = await Promise.all(Array.from({ length: 6 }, () => publish()));
    for (const rows of all) assert.equal(rows.filter((row) => row.is_coherent).length, 40);
    assert.equal(all.filter((rows) => rows[0].has_changed).length, 1);
});

test('a table that somebody holds is left for the next call; the others are published', async (t) => {
    await fresh(t, 'CREATE TABLE api.held (id int PRIMARY KEY); CREATE TABLE api.open (id int PRIMARY KEY)');
    const holder = await pg.client({ db: DB });
    t.after(() => holder.end());
    await holder.query('BEGIN; LOCK TABLE api.held IN SHARE UPDATE EXCLUSIVE MODE');
    const node = await pg.client({ user: 'app_login', db: DB });
    t.after(() => node.end());
    // Longer than a second for each table, shorter than waiting for a turn.
    await node.query("SET statement_timeout = '20s'");
    const rows = byName((await node.query(PUBLISH, ['hasten', ['api']])).rows);
    assert.deepEqual([rows['api.held'].is_coherent, rows['api.open'].is_coherent], [false, true]);
    assert.match(rows['api.held'].why, /lock timeout/);
    await holder.query('COMMIT');
    assert.ok((await publish()).every((row) => row.is_coherent));
});

test('the login can neither touch the publication of another nor publish schemas it may not use', async (t) => {
    await fresh(t, 'CREATE TABLE api.t (id int PRIMARY KEY); CREATE TABLE data.private (id int PRIMARY KEY)');
    await sql('CREATE PUBLICATION theirs FOR TABLE api.t; CREATE PUBLICATION every FOR ALL TABLES');
    t.after(() => sql('DROP PUBLICATION theirs; DROP PUBLICATION every'));
    await assert.rejects(publish(['api'], { name: 'theirs' }), { code: '42501', message: /was not made by hasten/ });
    await assert.rejects(publish(['api'], { name: 'every' }), { code: '42501' });
    await assert.rejects(publish(['api', 'data']), { code: '42501', message: /may not use schema "data"/ });
    await publish(['pg_catalog', 'information_schema', 'hasten'], { user: 'postgres' });
    assert.deepEqual(await members(), []);
    for (const what of ["hasten.publication_make('x')", 'hasten.unpublish()', 'hasten.publication', "hasten.publication_alter('hasten', NULL, 'api.t')", 'hasten.identity']) {
        await assert.rejects(pg.sql(`SELECT * FROM ${what}`, { db: DB, user: 'app_login' }), { code: '42501' });
    }
    await sql('CREATE ROLE stranger LOGIN');
    await assert.rejects(publish(['api'], { user: 'stranger' }), { code: '42501' });
});

test('the number of publications is bounded', async (t) => {
    await fresh(t, 'CREATE TABLE api.t (id int PRIMARY KEY)');
    await publish();
    t.after(() => sql("DO $$ BEGIN FOR i IN 1..7 LOOP EXECUTE format('DROP PUBLICATION IF EXISTS p%s', i); END LOOP; DELETE FROM hasten.publication WHERE name <> 'hasten'; END $$"));
    for (let i = 1; i < 8; i++) await publish(['api'], { name: `p${i}` });
    await assert.rejects(publish(['api'], { name: 'p8' }), { code: '54000' });
});

test('an installer who is no superuser publishes what it owns, and says whose the rest is', async () => {
    await pg.sql('CREATE ROLE maker LOGIN');
    await pg.sql('CREATE DATABASE modest OWNER maker');
    const modest = { db: 'modest', user: 'maker' };
    await pg.sql(`CREATE SCHEMA api; GRANT USAGE ON SCHEMA api TO app; CREATE TABLE api.mine (id int PRIMARY KEY)`, modest);
    await pg.sql('CREATE TABLE api.theirs (id int PRIMARY KEY)', { db: 'modest' });
    await pg.sql(fs.readFileSync(path.join(ROOT, 'sql/hasten.sql'), 'utf8'), modest);
    await pg.sql("SELECT hasten.allow('app_login')", modest);
    const rows = byName(await pg.sql(PUBLISH, { db: 'modest', user: 'app_login', values: ['hasten', ['api']] }));
    assert.equal(rows['api.mine'].is_coherent, true);
    assert.match(rows['api.theirs'].why, /belongs to postgres, whose rights maker/);
    await pg.installFeed({ login: 'app_login', db: 'modest' });
    const all = await pg.sql(PUBLISH, { db: 'modest', user: 'app_login', values: ['hasten', ['api']] });
    assert.deepEqual(all.map((row) => row.is_coherent), [true, true]);
    // What now runs as a superuser is not the first installer's to replace.
    await assert.rejects(pg.sql("CREATE OR REPLACE FUNCTION hasten.unpublish() RETURNS void LANGUAGE sql AS 'SELECT'", modest), { code: '42501' });
    await assert.rejects(pg.sql('CREATE TABLE hasten.mine ()', modest), { code: '42501' });
    assert.equal(await pg.value('SELECT count(*)::int FROM hasten.migration', modest), 0);
});

test('the stream tells DDL and REFRESH in their place; temporary objects are not news', async (t) => {
    await fresh(t, 'CREATE TABLE api.t (id int PRIMARY KEY); CREATE MATERIALIZED VIEW api.m AS SELECT count(*) FROM api.t');
    const heard = await listen(t);
    const told = async (text) => {
        await heard();
        await sql(text);
        return (await heard()).length > 0;
    };
    for (const news of ['ALTER TABLE api.t ADD n int', 'REFRESH MATERIALIZED VIEW api.m', 'CREATE INDEX i ON api.t (n)', 'DROP INDEX api.i', 'CREATE VIEW api.v AS SELECT 1 AS one',
        'DROP VIEW api.v', 'GRANT SELECT ON api.t TO app', 'REVOKE SELECT ON api.t FROM app', 'CREATE POLICY p ON api.t USING (true)', 'DROP POLICY p ON api.t',
        'ALTER TABLE api.t ENABLE ROW LEVEL SECURITY', "COMMENT ON TABLE api.t IS 'x'", 'CREATE FUNCTION api.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', 'DROP FUNCTION api.f()',
        'BEGIN; CREATE TEMP TABLE a (i int); ALTER TABLE api.t ADD o int; COMMIT', 'SET session_replication_role = replica; ALTER TABLE api.t ADD p int']) {
        assert.equal(await told(news), true, news);
    }
    for (const silent of ['CREATE TEMP TABLE a (id serial PRIMARY KEY, t text); CREATE INDEX ON a (t); ALTER TABLE a ADD b int DEFAULT 1; DROP TABLE a', 'CREATE TEMP VIEW v AS SELECT 1 AS one; DROP VIEW v',
        'CREATE TEMP TABLE b ON COMMIT DROP AS SELECT 1 AS one', 'INSERT INTO api.t VALUES (1); DELETE FROM api.t', 'ANALYZE api.t', 'CREATE ROLE nobody_yet; DROP ROLE nobody_yet', 'TRUNCATE api.t']) {
        assert.equal(await told(silent), false, silent);
    }
});

test('with wal_level = replica nothing is written for the stream, and NOTIFY goes on', async (t) => {
    const small = await Pg.start({ settings: { wal_level: 'replica' } });
    t.after(() => small.close());
    await small.sql(fs.readFileSync(path.join(ROOT, 'sql/hasten.sql'), 'utf8'));
    await small.sql('CREATE EXTENSION pg_walinspect');
    const from = await small.value('SELECT pg_current_wal_insert_lsn()::text');
    const client = await small.client();
    t.after(() => client.end());
    const notes = [];
    client.on('notification', ({ payload }) => notes.push(payload));
    await client.query('LISTEN hasten');
    await client.query('CREATE TABLE t (id int PRIMARY KEY)');
    await client.query('SELECT 1');
    assert.deepEqual(notes, ['ddl']);
    const n = await small.value("SELECT count(*)::int FROM pg_get_wal_records_info($1, pg_current_wal_flush_lsn()) WHERE resource_manager = 'LogicalMessage'", { values: [from] });
    assert.equal(n, 0);
});
