// SPDX-License-Identifier: Apache-2.0
// `hasten doctor`: each thing that costs the coherent cache is made wrong once, found, mended by the very SQL
// that doctor prints, and not found any more.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { exampleConfig, hasten, yaml } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { tempDir } from './harness/util.mjs';

const DB = 'clients_plus';
let pg;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
});
after(() => pg.close());

const sql = (text, options) => pg.sql(text, { db: DB, ...options });

/** The path of a configuration file. */
function config(extra = {}, at = pg) {
    const file = path.join(tempDir('doctor'), 'hasten.yaml');
    fs.writeFileSync(file, yaml(exampleConfig(at, extra)));
    return file;
}

/** {code, findings, ...}: what doctor says as JSON. */
async function doctor(extra = {}, at = pg) {
    const { code, stdout, stderr } = await hasten(['doctor', '--json', '--config', config(extra, at)]);
    assert.equal(stderr, '');
    const said = JSON.parse(stdout);
    assert.equal(code, said.faults ? 1 : 0);
    assert.equal(said.faults + said.advice, said.findings.length);
    return { code, ...said, of: (check) => said.findings.filter((finding) => finding.check === check) };
}

/** The one finding of a check, of that level, with all that a reader needs. */
function only(said, check, level) {
    const [finding, ...more] = said.of(check);
    assert.ok(finding, `${check} is not among ${JSON.stringify(said.findings)}`);
    assert.deepEqual(more, []);
    assert.equal(finding.level, level);
    for (const key of ['what', 'why', 'run', 'as', 'lost']) assert.ok(finding[key], `${check}: ${key}`);
    return finding;
}

const statements = (text) => text.replace(/--.*/, '').split(';').map((one) => one.trim()).filter(Boolean);
const mend = async (text) => {
    for (const one of statements(text)) await sql(one);
};

test('the example: no fault; the advice is said in words, and that the disk is without a limit', async () => {
    const { code, stdout } = await hasten(['doctor', '--config', config()]);
    assert.equal(code, 0);
    assert.equal(stdout, `advice: a node that stalls can fill the disk of the database
  why   max_slot_wal_keep_size is -1: WAL is kept for a slot without end
  run   ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();
  as    a superuser
  lost  disk space; with a limit only the node's cache would be lost, until it begins anew
ok: 14 checks, 0 faults, 1 advice
`);
    await mend(only(await doctor(), 'wal_keep', 'advice').run);
    const fine = await hasten(['doctor', '--config', config()]);
    assert.equal(fine.stdout, 'ok: 14 checks, nothing to mend\n');
    assert.equal((await doctor()).checks, 14);
});

test('it changes nothing: neither publication nor slot comes of it', async () => {
    await doctor();
    assert.equal(await pg.value('SELECT count(*)::int FROM pg_publication', { db: DB }), 0);
    assert.equal(await pg.value('SELECT count(*)::int FROM pg_replication_slots'), 0);
});

test('a login without REPLICATION', async (t) => {
    await sql('ALTER ROLE authenticator NOREPLICATION');
    t.after(() => sql('ALTER ROLE authenticator REPLICATION'));
    const said = await doctor();
    assert.match(only(said, 'connection', 'fault').why, /replication/);
    await mend(only(said, 'replication', 'fault').run);
    assert.deepEqual((await doctor()).findings, []);
});

test('a login of its own for the stream: it needs the schema, and USAGE of what is served', async (t) => {
    await sql('CREATE ROLE follower LOGIN REPLICATION');
    t.after(() => sql('DROP OWNED BY follower; DROP ROLE follower'));
    const own = { 'cache.feed.url': pg.url({ user: 'follower', db: DB }) };
    const said = await doctor(own);
    await mend(only(said, 'schema', 'fault').run);
    await mend(only(said, 'usage', 'fault').run);
    assert.deepEqual((await doctor(own)).findings, []);
    only(await doctor({ 'cache.feed.url': pg.url({ user: 'postgres', db: 'postgres' }) }), 'server', 'fault');
});

test('schema hasten is missing; and then is there without its event triggers', async () => {
    await sql('DROP SCHEMA hasten CASCADE');
    const said = await doctor();
    assert.match(only(said, 'schema', 'fault').run, /psql -f sql\/hasten\.sql; SELECT hasten\.allow\('authenticator'\);/);
    await pg.installFeed();
    await sql('DROP EVENT TRIGGER hasten_ddl; ALTER EVENT TRIGGER hasten_drop DISABLE');
    const whats = (await doctor()).of('event_trigger').map(({ what, level }) => [what, level]);
    assert.deepEqual(whats, [['the event trigger hasten_ddl is missing', 'advice'], ['the event trigger hasten_drop is not set to ALWAYS', 'advice']]);
    await pg.installFeed();
    assert.deepEqual((await doctor()).findings, []);
});

test('the SQL that mends a table without an identity is the best that the table allows', async (t) => {
    t.after(() => sql('DROP SCHEMA lab CASCADE'));
    await sql(`CREATE SCHEMA lab; GRANT USAGE ON SCHEMA lab TO member;
        CREATE TABLE lab.nothing (a int);
        CREATE TABLE lab.muted (id int PRIMARY KEY); ALTER TABLE lab.muted REPLICA IDENTITY NOTHING;
        CREATE TABLE lab."Tenants'" (id int PRIMARY KEY, tenant int NOT NULL); ALTER TABLE lab."Tenants'" REPLICA IDENTITY NOTHING;
        CREATE POLICY p ON lab."Tenants'" USING (tenant = 1);
        CREATE TABLE lab.nullable (id int PRIMARY KEY, tenant int); ALTER TABLE lab.nullable REPLICA IDENTITY NOTHING;
        CREATE POLICY p ON lab.nullable USING (tenant = 1);
        CREATE UNLOGGED TABLE lab.fleeting (id int PRIMARY KEY)`);
    const where = { 'database.schemas': ['api', 'lab'] };
    const said = await doctor(where);
    const runs = Object.fromEntries(said.of('tables').map(({ object, level, run }) => [object, [level, run]]));
    assert.deepEqual(runs, {
        'lab.nothing': ['fault', 'ALTER TABLE lab.nothing REPLICA IDENTITY FULL;'],
        'lab.muted': ['fault', 'ALTER TABLE lab.muted REPLICA IDENTITY USING INDEX muted_pkey;'],
        'lab."Tenants\'"': ['fault', 'CREATE UNIQUE INDEX CONCURRENTLY "Tenants\'_identity" ON lab."Tenants\'" (tenant, id); ALTER TABLE lab."Tenants\'" REPLICA IDENTITY USING INDEX "Tenants\'_identity";'],
        'lab.nullable': ['fault', 'ALTER TABLE lab.nullable REPLICA IDENTITY FULL;'],
        'lab.fleeting': ['advice', 'ALTER TABLE lab.fleeting SET LOGGED;'],
    });
    for (const { run } of said.of('tables')) await mend(run);
    assert.deepEqual((await doctor(where)).findings, []);
});

test('a policy by a column that the identity lacks costs precision; partitions are looked at one by one', async (t) => {
    t.after(() => sql('DROP SCHEMA lab CASCADE'));
    await sql(`CREATE SCHEMA lab; GRANT USAGE ON SCHEMA lab TO member;
        CREATE TABLE lab.notes (id int PRIMARY KEY, tenant int NOT NULL, UNIQUE (tenant, id));
        CREATE POLICY p ON lab.notes USING (tenant = 1);
        CREATE TABLE lab.root (tenant int NOT NULL, id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE lab.leaf (other int, id int NOT NULL, tenant int NOT NULL); ALTER TABLE lab.leaf DROP other;
        ALTER TABLE lab.root ATTACH PARTITION lab.leaf FOR VALUES FROM (0) TO (9);
        CREATE POLICY p ON lab.root USING (tenant = 1)`);
    const where = { 'database.schemas': ['api', 'lab'] };
    const said = await doctor(where);
    assert.equal(said.code, 0);
    assert.deepEqual(said.of('precision').map(({ object, run }) => [object, run]), [
        ['lab.leaf', 'CREATE UNIQUE INDEX CONCURRENTLY leaf_identity ON lab.leaf (tenant, id); ALTER TABLE lab.leaf REPLICA IDENTITY USING INDEX leaf_identity;'],
        ['lab.notes', 'ALTER TABLE lab.notes REPLICA IDENTITY USING INDEX notes_tenant_id_key;'],
    ]);
    assert.match(said.of('precision')[1].why, /by tenant, .* default \(id\)/);
    for (const { run } of said.of('precision')) await mend(run);
    assert.deepEqual((await doctor(where)).findings, []);
});

test('a superuser as login', async () => {
    only(await doctor({ 'database.url': pg.url({ user: 'postgres', db: DB }) }), 'superuser', 'advice');
});

test('no WAL for a stream, no free slot, no free sender', async (t) => {
    const poor = await Pg.start({ clientsPlus: 0.1, settings: { wal_level: 'replica' } });
    t.after(() => poor.close());
    await poor.installFeed();
    const said = await doctor({}, poor);
    only(said, 'wal_level', 'fault');
    const full = await Pg.start({ clientsPlus: 0.1, settings: { max_replication_slots: 1, max_wal_senders: 0 } });
    t.after(() => full.close());
    await full.installFeed();
    await full.sql("SELECT pg_create_physical_replication_slot('taken')");
    const crowded = await doctor({}, full);
    assert.match(only(crowded, 'slots', 'fault').why, /is 1, and 1 are in use/);
    only(crowded, 'wal_senders', 'fault');
    only(crowded, 'connection', 'fault');
});

test('asked wrongly, and a database that is away', async () => {
    const away = await hasten(['doctor', '--config', config({ 'database.url': pg.url({ user: 'authenticator', db: 'absent' }) })]);
    assert.equal(away.code, 1);
    assert.match(away.stderr, /could not connect to PostgreSQL\n {2}why: .*"absent" does not exist/);
    assert.equal((await hasten(['doctor', 'now'])).code, 2);
    assert.equal((await hasten(['doctor', '--set', 'database.url=nonsense'])).code, 2);
});
