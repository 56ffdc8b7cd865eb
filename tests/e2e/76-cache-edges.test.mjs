// SPDX-License-Identifier: Apache-2.0
// The coherent cache where something else moves: the configuration, a pause, a partition that is being detached, a
// server that ends under a write; and answers that row-level security shapes from afar.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig, hasten } from './harness/hasten.mjs';
import { now, sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { sleep, tempDir, waitUntil } from './harness/util.mjs';

const DB = 'clients_plus';
let pg;

const sql = (text) => pg.sql(text, { db: DB });
const said = (answer) => answer.headers.get('x-cache');

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await sql(`CREATE TABLE api.pages (id int PRIMARY KEY, body text, gone_at timestamptz);
        INSERT INTO api.pages SELECT i, 'page ' || i, CASE WHEN i % 2 = 0 THEN now() END FROM generate_series(1, 20) i;
        CREATE SCHEMA other; CREATE TABLE other.pages (LIKE api.pages INCLUDING ALL);
        INSERT INTO other.pages SELECT id, 'other ' || id FROM api.pages;
        CREATE TABLE api.parts (id int PRIMARY KEY, body text) PARTITION BY RANGE (id);
        CREATE TABLE api.parts_1 PARTITION OF api.parts FOR VALUES FROM (0) TO (10);
        CREATE TABLE api.parts_2 PARTITION OF api.parts FOR VALUES FROM (10) TO (20);
        INSERT INTO api.parts SELECT i, 'part ' || i FROM generate_series(0, 19) i;
        CREATE TABLE api.hidden (id int PRIMARY KEY, body text);
        INSERT INTO api.hidden SELECT i, 'hidden ' || i FROM generate_series(1, 3) i;
        ALTER TABLE api.hidden ENABLE ROW LEVEL SECURITY;
        CREATE POLICY few ON api.hidden FOR SELECT USING (id < 3);
        CREATE TABLE api.links (id int PRIMARY KEY, hidden_id int REFERENCES api.hidden);
        INSERT INTO api.links VALUES (1, 1), (2, 3);
        CREATE VIEW api.hidden_view WITH (security_invoker) AS SELECT id, body FROM api.hidden;
        GRANT USAGE ON SCHEMA other TO viewer, member;
        GRANT SELECT ON api.pages, other.pages, api.parts, api.hidden, api.links, api.hidden_view TO viewer, member;
        GRANT UPDATE ON api.pages TO member`);
});
after(() => pg?.close());

async function start(t, settings = {}) {
    const config = exampleConfig(pg, { 'server.workers': 2, 'database.catalog.poll': '1h', ...settings });
    const server = await Hasten.start(config);
    server.settings = config;
    t.after(() => server.child && server.kill9());
    return server;
}

/** Asks until the answer is kept; the hit. */
async function kept(server, where, options) {
    return waitUntil(async () => {
        const answer = await server.get(`/api/v1/${where}`, options);
        return said(answer) === 'HIT' && answer;
    }, { what: `${where} to be kept` });
}

const count = (server, text) => server.log.split(text).length - 1;

async function reload(server, changes) {
    const line = 'event="configuration changed"';
    const already = count(server, line);
    server.configure({ ...server.settings, ...changes });
    server.signal('SIGHUP');
    await waitUntil(() => count(server, line) > already, { what: line });
    await sleep(200); // each worker has its own mail
}

test('a reload: another column of soft deletion, another order of schemas, another Cache-Control', async (t) => {
    const server = await start(t, { 'database.schemas': ['api', 'other'] });
    const page = await kept(server, 'pages/2');
    assert.equal(page.body.data.body, 'page 2');
    await reload(server, { 'api.soft_delete.tables': ['pages: gone_at'] });
    assert.equal((await server.get('/api/v1/pages/2')).status, 404);
    await reload(server, { 'cache.tables': ['pages: control=public, max-age=9'] });
    assert.equal((await kept(server, 'pages/3')).headers.get('cache-control'), 'public, max-age=9');
    await reload(server, {});
    assert.equal((await server.get('/api/v1/pages/3')).headers.get('cache-control'), 'private, no-cache');
    await kept(server, 'pages/5');
    await reload(server, { 'database.schemas': ['other', 'api'] });
    assert.equal((await server.get('/api/v1/pages/5')).body.data.body, 'other 5');
    await server.stop();
});

test('a pause ends the change stream, too, and afterwards it is followed again', async (t) => {
    const socket = path.join(tempDir('edges'), 'a.sock');
    const server = await start(t, { 'admin.socket': socket });
    const admin = (word) => hasten(['admin', word, '--socket', socket]);
    const sessions = () => pg.value("SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'authenticator'");
    await kept(server, 'pages/1');
    assert.equal((await admin('pause')).code, 0);
    assert.equal(await sessions(), 0, 'nobody is connected');
    await sleep(1500);
    assert.equal(await sessions(), 0, 'and nobody comes back');
    await sql("UPDATE api.pages SET body = 'meanwhile' WHERE id = 1");
    assert.equal((await admin('resume')).code, 0);
    assert.equal((await server.get('/api/v1/pages/1')).body.data.body, 'meanwhile');
    await kept(server, 'pages/1');
    await server.stop();
});

test('DETACH PARTITION CONCURRENTLY: its rows are gone as soon as they are for others', async (t) => {
    const server = await start(t);
    const client = await pg.client({ db: DB });
    assert.equal((await kept(server, 'parts?limit=50')).body.data.length, 20);
    await client.query('BEGIN; SELECT count(*) FROM api.parts'); // holds the second half of DETACH back
    const detached = sql('ALTER TABLE api.parts DETACH PARTITION api.parts_2 CONCURRENTLY');
    await waitUntil(async () => (await sql('SELECT count(*)::int AS n FROM api.parts'))[0].n === 10, { what: 'the first half' });
    await sleep(1000);
    assert.equal((await server.get('/api/v1/parts?limit=50')).body.data.length, 10);
    await client.query('COMMIT');
    await client.end();
    await detached;
    await server.stop();
});

test('public is refused where row-level security shaped a part of the answer', async (t) => {
    const server = await start(t, { 'cache.tables': ['links: control=public', 'hidden_view: control=public', 'hidden: control=public'] });
    const control = async (where) => (await server.get(`/api/v1/${where}`)).headers.get('cache-control');
    assert.equal(await control('links?limit=5'), 'public');
    assert.equal(await control('hidden?limit=5'), 'private, no-cache');
    assert.equal(await control('links?include=hidden'), 'private, no-cache');
    assert.equal(await control('hiddenView?limit=5'), 'private, no-cache');
    await server.stop();
});

test('the server ends while the answer to a write waits for the change stream', async (t) => {
    const server = await start(t, { 'cache.write_wait': '5s', 'server.drain_timeout': '0s' });
    const token = sign({ role: 'member', company_id: 1, exp: now(3600) }, SECRET);
    await kept(server, 'pages/7');
    const [{ pid }] = await sql("SELECT pid FROM pg_stat_replication WHERE usename = 'authenticator'");
    process.kill(pid, 'SIGSTOP');
    try {
        const answer = server.get('/api/v1/pages/7', { method: 'PATCH', token, body: '{"body":"late"}',
            headers: { 'content-type': 'application/json' } }).catch((e) => e);
        await waitUntil(async () => (await sql('SELECT body FROM api.pages WHERE id = 7'))[0].body === 'late', { what: 'the write' });
        const ended = server.stop();
        process.kill(pid, 'SIGCONT');
        await ended;
        await answer;
    } finally {
        try { process.kill(pid, 'SIGCONT'); } catch { /* it has ended */ }
    }
});

test('an enum value is renamed while a row that has it changes', async (t) => {
    await sql(`CREATE TYPE api.mood AS ENUM ('sad', 'glad'); CREATE TABLE api.moods (id int PRIMARY KEY, mood api.mood, body text);
        ALTER TABLE api.moods REPLICA IDENTITY FULL; INSERT INTO api.moods VALUES (1, 'sad', 'a'); GRANT SELECT ON api.moods TO viewer`);
    const server = await start(t);
    const body = async () => (await server.get('/api/v1/moods?mood=low')).body.data?.[0]?.body;
    await kept(server, 'moods?mood=sad');
    const client = await pg.client({ db: DB });
    // What it has done is told with the old label, whenever it ends.
    await client.query("BEGIN; UPDATE api.moods SET body = 'b'");
    await sql("ALTER TYPE api.mood RENAME VALUE 'sad' TO 'low'");
    await waitUntil(async () => await body() === 'a', { what: 'the new label' });
    for (let i = 0; i < 20; i++) {
        await body();
        await sleep(50);
    }
    await client.query('COMMIT');
    await client.end();
    await waitUntil(async () => await body() === 'b', { what: 'the change' });
    await kept(server, 'moods?mood=low');
    await server.stop();
});

test('who asks only-if-cached, or finds the database gone, does not keep others from the cache', async (t) => {
    const server = await start(t, { 'cache.honour_requests': true, 'cache.unfit_time': '1h', 'database.pool.acquire_timeout': '500ms' });
    await kept(server, 'pages/1');
    const only = await server.get('/api/v1/pages/9', { headers: { 'cache-control': 'only-if-cached' } });
    assert.equal(only.status, 504);
    await kept(server, 'pages/9');
    await pg.stop('immediate');
    assert.notEqual((await server.get('/api/v1/pages/11')).status, 200);
    await pg.start();
    await waitUntil(async () => (await server.get('/api/v1/pages/11')).status === 200, { what: 'the database' });
    await kept(server, 'pages/11');
    await server.stop();
});

test('the Hasten-Position of a batch holds for its reads, unless one has its own', async (t) => {
    const server = await start(t);
    await kept(server, 'pages/13');
    const elsewhere = '00000000000000ff-00000000000000ff';
    const read = async (headers, own) => {
        const answer = await server.get('/api/v1/batch', { method: 'POST', headers: { 'content-type': 'application/json', ...headers },
            body: JSON.stringify({ requests: [{ id: 1, method: 'GET', path: '/api/v1/pages/13', headers: own }] }) });
        return Object.fromEntries(Object.entries(answer.body.responses[0].headers).map(([name, value]) => [name.toLowerCase(), value]))['x-cache'];
    };
    await waitUntil(async () => await read({}, {}) === 'HIT', { what: 'a hit in a batch' });
    assert.notEqual(await read({ 'hasten-position': elsewhere }, {}), 'HIT');
    assert.notEqual(await read({}, { 'hasten-position': elsewhere }), 'HIT');
    await server.stop();
});

test('a change stream that still waits for a writer leaves nothing behind when it is paused, or ends', async (t) => {
    const writer = await pg.client({ db: DB });
    await writer.query("BEGIN; UPDATE api.pages SET body = body WHERE id = 15");
    const senders = () => pg.value("SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE 'CREATE_REPLICATION_SLOT%' AND backend_type = 'walsender'");
    const waits = () => waitUntil(async () => await senders() === 1, { what: 'the slot to be asked for' });
    const socket = path.join(tempDir('edges'), 'b.sock');
    const server = await start(t, { 'admin.socket': socket });
    await waits();
    assert.equal((await hasten(['admin', 'pause', '--socket', socket])).code, 0);
    await waitUntil(async () => await senders() === 0, { what: 'the server to be told' });
    assert.equal((await hasten(['admin', 'resume', '--socket', socket])).code, 0);
    await waits();
    await server.stop();
    await waitUntil(async () => await senders() === 0, { what: 'the server to be told' });
    await writer.query('COMMIT');
    await writer.end();
});
