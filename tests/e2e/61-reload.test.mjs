// SPDX-License-Identifier: Apache-2.0
// The schema changes under a running server: by the event trigger of
// sql/hasten.sql, by polling, by SIGHUP. No request fails for a reload.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Hasten, exampleConfig } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { ROOT, sleep, waitUntil, within } from './harness/util.mjs';

const DB = 'clients_plus';
let pg;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
});

after(() => pg?.close());

const sql = (text) => pg.sql(text, { db: DB });

/** A server on the example; `table` is a table of its own with one row, readable by viewer. */
async function start(t, table, settings = {}) {
    await sql(`CREATE TABLE api.${table} (id int PRIMARY KEY, note text);
               INSERT INTO api.${table} VALUES (1, 'first');
               GRANT SELECT ON api.${table} TO viewer`);
    const server = await Hasten.start(exampleConfig(pg, settings));
    t.after(async () => {
        if (server.child) await server.kill9();
        await sql(`DROP TABLE IF EXISTS api.${table}`);
    });
    return server;
}

const row = (server, table) => server.get(`/api/v1/${table}/1`);
const appears = (server, table, column) => waitUntil(async () => column in ((await row(server, table)).body?.data ?? {}),
    { what: `${column} to appear in ${table}` });
const loads = (server) => server.log.match(/catalog read/g)?.length ?? 0;

test('without the event trigger: polling finds new columns, tables, and what went away', async (t) => {
    const server = await start(t, 'polled', { 'database.catalog.poll': '100ms' });
    assert.deepEqual((await row(server, 'polled')).body.data, { id: 1, note: 'first' });

    await sql("ALTER TABLE api.polled ADD COLUMN nick_name text DEFAULT 'x'");
    await appears(server, 'polled', 'nickName');
    assert.deepEqual((await row(server, 'polled')).body.data, { id: 1, note: 'first', nickName: 'x' });

    await sql('ALTER TABLE api.polled DROP COLUMN note');
    await waitUntil(async () => !('note' in ((await row(server, 'polled')).body?.data ?? { note: 1 })), { what: 'note to go' });
    const gone = await server.get('/api/v1/polled?note=first');
    assert.deepEqual([gone.status, gone.body.code], [400, 'unknown_column']);

    await sql('DROP TABLE api.polled');
    await waitUntil(async () => (await row(server, 'polled')).body?.code === 'unknown_table', { what: 'the table to go' });
    assert.equal((await server.get('/api/v1/polled')).status, 404);

    // Nothing changes: nothing is read.
    const before = loads(server);
    await sleep(500);
    assert.equal(loads(server), before);
    await server.stop();
});

test('a type that changes: prepared statements are made anew, answers follow', async (t) => {
    const server = await start(t, 'typed', { 'database.catalog.poll': '100ms' });
    assert.equal((await row(server, 'typed')).body.data.note, 'first');
    await sql('ALTER TABLE api.typed ALTER COLUMN note TYPE int USING length(note)');
    await waitUntil(async () => (await row(server, 'typed')).body?.data?.note === 5, { what: 'the number' });
    const bad = await server.get('/api/v1/typed?note=five');
    assert.deepEqual([bad.status, bad.body.code], [400, 'bad_value']);
    await server.stop();
});

test('SIGHUP reads the catalog at once, also when nothing changed', async (t) => {
    const server = await start(t, 'hupped', { 'database.catalog.poll': '1h' });
    const before = loads(server);
    server.signal('SIGHUP');
    await waitUntil(() => loads(server) === before + 1, { what: 'another read' });
    await sql('ALTER TABLE api.hupped ADD COLUMN later int');
    server.signal('SIGHUP');
    await appears(server, 'hupped', 'later');
    await server.stop();
});

test('a schema that cannot be served: the old model stays, one error is logged, its repair is noticed', async (t) => {
    const server = await start(t, 'broken', { 'database.catalog.poll': '100ms' });
    await sql('ALTER TABLE api.broken ADD COLUMN a_b int, ADD COLUMN "aB" int');
    await server.waitLog(/catalog not read/);
    await sleep(1000);      // several polls
    assert.equal(server.log.match(/catalog not read/g).length, 1, 'logged once');
    assert.match(server.log, /have one camelCase name, \\"aB\\".*Rename one of them/);

    assert.deepEqual((await row(server, 'broken')).body.data, { id: 1, note: 'first' }, 'the model from before');
    assert.equal((await server.get('/health/ready')).status, 200);
    const health = await server.get('/health');
    assert.deepEqual([health.status, health.body.status, health.body.components.catalog.status], [200, 'degraded', 'degraded']);

    // Another change that does not mend it is no news either.
    await sql('ALTER TABLE api.broken ADD COLUMN more int');
    await sleep(500);
    assert.equal(server.log.match(/catalog not read/g).length, 1, 'still logged once');

    await sql('ALTER TABLE api.broken DROP COLUMN "aB"');
    await appears(server, 'broken', 'aB');      // what is left of the two: a_b
    await waitUntil(async () => (await server.get('/health')).body.status === 'ok', { what: 'good health' });

    // The same fault again is a new one.
    await sql('ALTER TABLE api.broken ADD COLUMN "aB" int');
    await waitUntil(() => server.log.match(/catalog not read/g).length === 2, { what: 'a second error' });
    await server.stop();
});

test('a schema that cannot be served at start: exit code 1, with both names', async (t) => {
    await sql('CREATE TABLE api.twins (id int PRIMARY KEY, a_b int, "aB" int)');
    t.after(() => sql('DROP TABLE api.twins'));
    const server = await Hasten.start(exampleConfig(pg), { ready: false });
    const how = await within(20_000, server.child.ended, 'hasten to give up');
    server.child = null;
    server.assertNoReport();
    assert.deepEqual(how, { code: 1, signal: null });
    assert.match(server.log, /columns \\"a_b\\" and \\"aB\\" of .*twins/);
});

/** Asks for `where` without pause until the returned function is called; then the answers by status. */
function asking(server, where, askers = 8) {
    let over = false;
    const statuses = {};
    const bad = [];
    const ask = async () => {
        while (!over) {
            const answer = await server.get(where);
            statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
            if (answer.status !== 200) bad.push(answer.text);
        }
    };
    const all = Promise.all(Array.from({ length: askers }, ask));
    return async () => {
        over = true;
        await all;
        return { statuses, bad };
    };
}

test('with the event trigger: DDL is heard at once; no request fails meanwhile', async (t) => {
    await pg.psql(['-d', DB, '-f', path.join(ROOT, 'sql/hasten.sql')]);
    await sql("SELECT hasten.allow('authenticator')");
    t.after(() => sql('DROP SCHEMA hasten CASCADE'));
    const server = await start(t, 'told', { 'database.catalog.poll': '1h' });
    assert.doesNotMatch(server.log, /cursors end with this process/);

    await sql('ALTER TABLE api.told ADD COLUMN heard int');
    await appears(server, 'told', 'heard');
    await sql('CREATE TABLE api.fresh (id int PRIMARY KEY); GRANT SELECT ON api.fresh TO viewer');
    await waitUntil(async () => (await server.get('/api/v1/fresh')).status === 200, { what: 'a new table' });
    await sql('DROP TABLE api.fresh');
    await waitUntil(async () => (await server.get('/api/v1/fresh')).status === 404, { what: 'the table to go' });

    const finishOther = asking(server, '/api/v1/clients?limit=3&sort=-id&include=company');
    const finish = asking(server, '/api/v1/told/1');
    for (let i = 0; i < 8; i++) {
        await sql(`ALTER TABLE api.told ADD COLUMN c_${i} int DEFAULT ${i}`);
        await appears(server, 'told', `c${i}`);
    }
    for (let i = 0; i < 8; i++) server.signal('SIGHUP');
    await sleep(200);
    for (const { statuses, bad } of [await finish(), await finishOther()]) {
        assert.deepEqual(Object.keys(statuses), ['200'], bad[0]);
        assert.ok(statuses[200] > 50, `${statuses[200]} answers`);
    }
    await server.stop();
});

test('the database restarts: its news are heard again', async (t) => {
    const server = await start(t, 'reborn', { 'database.catalog.poll': '100ms', 'database.pool.retry_max': '200ms' });
    await pg.restart();
    await sql('ALTER TABLE api.reborn ADD COLUMN after_restart int');
    await appears(server, 'reborn', 'afterRestart');
    await waitUntil(async () => (await server.get('/health')).body.status === 'ok', { what: 'good health' });
    await server.stop();
    for (const line of server.log.trim().split('\n')) assert.match(line, /^ts=/, 'libpq does not write into our log');
});
