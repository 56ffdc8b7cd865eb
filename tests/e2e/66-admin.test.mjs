// SPDX-License-Identifier: Apache-2.0
// The admin socket: pause, resume, reload, status; and a database that is
// switched while its clients only wait.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Hasten, exampleConfig, hasten } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { sleep, tempDir, waitUntil, within } from './harness/util.mjs';

let pg;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.sql(`CREATE VIEW api.nap AS SELECT 1 AS id, pg_sleep(2)::text AS slept;
                  GRANT SELECT ON api.nap TO viewer`, { db: 'clients_plus' });
});

after(() => pg?.close());

async function start(t, settings = {}) {
    const socket = path.join(tempDir('admin'), 'a.sock');
    const config = exampleConfig(pg, { 'server.workers': 2, 'database.catalog.poll': '200ms', 'admin.socket': socket, ...settings });
    const server = await Hasten.start(config);
    server.settings = config;
    server.socket = socket;
    t.after(() => server.child && server.kill9());
    return server;
}

/** `hasten admin`: {code, body} with body the JSON that was printed. */
async function admin(server, ...words) {
    const { code, stdout, stderr } = await hasten(['admin', ...words, '--socket', server.socket]);
    const text = stdout || stderr;
    return { code, stderr, body: text.startsWith('{') ? JSON.parse(text) : text };
}

const state = async (server) => (await admin(server, 'status')).body.data.state;

/** What of hasten is connected to PostgreSQL. */
const sessions = () => pg.value("SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'authenticator'");

/** Asks without pause; returns a function that ends it and gives the answers. */
function asking(server, askers = 8) {
    let over = false;
    const seen = { answers: 0, bad: [] };
    const ask = async () => {
        while (!over) {
            const answer = await server.get('/api/v1/clients?limit=2');
            seen.answers++;
            if (answer.status !== 200) seen.bad.push(`${answer.status} ${answer.text}`);
        }
    };
    const all = Promise.all(Array.from({ length: askers }, ask));
    seen.finish = async () => {
        over = true;
        await within(30_000, all, 'the askers to end');
        return seen;
    };
    return seen;
}

test('status, and a socket that only its owner may open', async (t) => {
    const server = await start(t);
    assert.equal(fs.statSync(server.socket).mode & 0o777, 0o600);
    const { code, body } = await admin(server, 'status');
    assert.equal(code, 0);
    assert.equal(body.data.state, 'running');
    assert.equal(body.data.workers, 2);
    assert.ok(body.data.connections >= 1);
    const byFile = await hasten(['admin', 'status', '--config', server.configFile]);
    assert.equal(JSON.parse(byFile.stdout).data.state, 'running');
    assert.equal((await server.get('/admin/status')).status, 404, 'not on TCP');
    await server.stop();
    assert.ok(!fs.existsSync(server.socket), 'the file goes with the server');
});

test('a socket left over by kill -9 is taken over, a live one is not', async (t) => {
    const server = await start(t);
    const second = new Hasten();
    await second.prepare({ ...server.settings });
    await second.spawn({ ready: false });
    const how = await within(20_000, second.child.ended, 'the second to give up');
    assert.equal(how.code, 1);
    assert.match(second.log, /could not listen on .*a\.sock/);
    assert.equal(await state(server), 'running');
    await server.kill9();
    assert.ok(fs.existsSync(server.socket));
    await server.spawn();
    assert.equal(await state(server), 'running');
    await server.stop();
});

test('what is asked wrongly', async (t) => {
    const server = await start(t);
    assert.equal((await admin(server, 'nonsense')).code, 2);
    assert.equal((await admin(server)).code, 2);
    assert.equal((await admin(server, 'resume', '--timeout', '5s')).code, 2);
    assert.equal((await admin(server, 'pause', '--timeout', '5')).code, 2);
    const long = await admin(server, 'pause', '--timeout', '9h');
    assert.deepEqual([long.code, long.body.code], [1, 'bad_parameter']);
    const none = await hasten(['admin', 'status', '--socket', '/nonexistent/socket']);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /could not reach the server.*\n.*why: .*\n.*hint: /);
    const again = await admin(server, 'resume');
    assert.deepEqual([again.code, again.body.data.state], [0, 'running'], 'nothing to resume is no fault');
    await server.stop();
});

test('pause under load: nothing reaches PostgreSQL, nothing fails; resume', async (t) => {
    const server = await start(t);
    const load = asking(server);
    await waitUntil(() => load.answers > 50, { what: 'load' });
    const paused = await admin(server, 'pause');
    assert.deepEqual([paused.code, paused.body.data?.state], [0, 'paused'], JSON.stringify(paused));
    assert.equal(await sessions(), 0);
    const { answers } = load;
    await sleep(1500);
    assert.equal(await sessions(), 0, 'also not the poll of the catalog');
    assert.ok(load.answers <= answers + 8);
    assert.ok((await admin(server, 'status')).body.data.waiting >= 8);
    assert.equal((await server.get('/health/ready')).status, 200);
    const twice = await admin(server, 'pause');
    assert.deepEqual([twice.code, twice.body.code], [1, 'busy']);

    assert.equal((await admin(server, 'resume')).body.data.state, 'running');
    await waitUntil(() => load.answers > answers + 100, { what: 'answers again' });
    assert.deepEqual((await load.finish()).bad.slice(0, 3), []);
    // The catalog is watched again.
    await pg.sql('ALTER TABLE api.clients ADD COLUMN after_pause int', { db: 'clients_plus' });
    t.after(() => pg.sql('ALTER TABLE api.clients DROP COLUMN after_pause', { db: 'clients_plus' }));
    await waitUntil(async () => 'afterPause' in (await server.get('/api/v1/clients?limit=1')).body.data[0], { what: 'the new column' });
    await server.stop();
});

test('PostgreSQL restarts during a pause, longer than acquire_timeout: no error', async (t) => {
    const server = await start(t, { 'database.pool.acquire_timeout': '500ms', 'database.pool.retry_max': '200ms' });
    const load = asking(server);
    await waitUntil(() => load.answers > 50, { what: 'load' });
    assert.equal((await admin(server, 'pause')).code, 0);
    await pg.stop('smart');
    await sleep(1500);
    await pg.start();
    assert.equal((await admin(server, 'resume')).code, 0);
    const { answers } = load;
    await waitUntil(() => load.answers > answers + 50, { what: 'answers again' });
    assert.deepEqual((await load.finish()).bad.slice(0, 3), []);
    assert.doesNotMatch(server.log, /level=error/);
    await server.stop();
});

test('what runs is waited for, up to the limit; then nothing is paused', async (t) => {
    const server = await start(t);
    const slow = server.get('/api/v1/nap');
    await waitUntil(async () => await pg.value("SELECT count(*)::int FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), { what: 'the nap' });
    const refused = await admin(server, 'pause', '--timeout', '300ms');
    assert.equal(refused.code, 1);
    assert.match(refused.body.message, /not all statements ended in time/);
    assert.match(refused.body.details, /1 connection/);
    await waitUntil(async () => await state(server) === 'running', { what: 'it to run' });
    assert.equal((await server.get('/api/v1/clients/1')).status, 200);
    assert.equal((await slow).status, 200);

    const nap = server.get('/api/v1/nap');
    await sleep(200);
    const waited = await admin(server, 'pause', '--timeout', '20s');
    assert.deepEqual([waited.code, waited.body.data?.state], [0, 'paused']);
    assert.equal((await nap).status, 200);
    assert.equal((await admin(server, 'resume')).code, 0);
    await server.stop();
});

test('a forgotten pause ends by itself', async (t) => {
    const server = await start(t);
    assert.equal((await admin(server, 'pause', '--timeout', '800ms')).code, 0);
    const answer = await server.get('/api/v1/clients/1');
    assert.equal(answer.status, 200);
    await server.waitLog(/event="pause over"/);
    await waitUntil(async () => await state(server) === 'running', { what: 'it to run' });
    await server.stop();
});

test('SIGTERM during a pause: what waits is answered, whoever asks is told', async (t) => {
    const server = await start(t);
    assert.equal((await admin(server, 'pause')).code, 0);
    const waiting = server.get('/api/v1/clients/1');
    await waitUntil(async () => (await admin(server, 'status')).body.data.waiting >= 1, { what: 'a statement to wait' });
    await server.stop();
    assert.equal((await waiting).status, 200);
});

test('reload says what changed; a bad configuration is told to whoever asks', async (t) => {
    const server = await start(t, { 'api.limit.default': 5 });
    server.configure({ ...server.settings, 'api.limit.default': 6, 'server.backlog': 7 });
    const { code, body } = await admin(server, 'reload');
    assert.equal(code, 0);
    assert.deepEqual(body.data, { changed: ['api.limit.default'], needsRestart: ['server.backlog'] });
    server.configure({ ...server.settings, 'api.limit.default': 'many' });
    const refused = await admin(server, 'reload');
    assert.deepEqual([refused.code, refused.body.code], [1, 'bad_configuration']);
    assert.match(refused.body.message, /hasten\.yaml:\d+: api\.limit\.default/);
    await server.stop();
});

test('a client that goes away in the middle does no harm', async (t) => {
    const server = await start(t);
    for (const text of ['GET /admin/sta', 'POST /admin/pause?timeout=500ms HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n']) {
        const client = net.connect(server.socket);
        await new Promise((resolve) => { client.write(text, resolve); });
        client.destroy();
    }
    await waitUntil(async () => await state(server) === 'running', { what: 'it to run' });
    assert.equal((await server.get('/api/v1/clients/1')).status, 200);
    await sleep(700);
    assert.equal(await state(server), 'running');
    await server.stop();
});
