// SPDX-License-Identifier: Apache-2.0
// The end of the program: what was asked is answered, what cannot be finished
// is bounded, and a client can tell the one from the other.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, exampleConfig } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { RawClient } from './harness/raw.mjs';
import { sleep, waitUntil, within } from './harness/util.mjs';

let pg;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    const nap = (name, seconds) => `CREATE VIEW api.${name} AS SELECT 1 AS id, pg_sleep(${seconds})::text AS slept;
        GRANT SELECT ON api.${name} TO viewer;`;
    await pg.sql(nap('nap', 1.5) + nap('night', 30), { db: 'clients_plus' });
});

after(() => pg?.close());

const get = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

async function start(t, settings = {}) {
    const server = await Hasten.start(exampleConfig(pg, {
        'server.drain_timeout': '20s', 'database.pool.close_timeout': '500ms', 'database.statement_timeout': '60s', ...settings,
    }));
    t.after(() => server.child && server.kill9());
    return server;
}

const sleepers = () => pg.value("SELECT count(*)::int FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'");

/** Waits for the end of a server that was signalled already: stop() would signal it again. */
async function ending(server, code = 0) {
    const how = await within(20_000, server.child.ended, 'the end of hasten');
    server.child = null;
    server.assertNoReport();
    assert.deepEqual(how, { code, signal: null }, server.log.slice(-2000));
}

/** Sends a request for a slow view and returns when PostgreSQL is at it. */
async function sendSlow(server, view) {
    const before = await sleepers();
    const client = await RawClient.connect(server.port);
    await client.send(get(`/api/v1/${view}`));
    await waitUntil(async () => await sleepers() > before, { what: 'PostgreSQL to sleep' });
    return client;
}

/** One keep-alive client that asks again and again, until it is turned away. */
async function askUntilClosed(server, path, seen) {
    const client = await RawClient.connect(server.port);
    for (;;) {
        await client.send(get(path));
        const asked = !seen.signalled;      // its bytes were with the server's kernel before SIGTERM was
        let answer;
        try {
            answer = await client.response({ timeout: 30_000 });
        } catch (error) {
            if (!client.closed) throw error;
            assert.equal(client.received, '', 'part of an answer, and then the end');
            assert.equal(asked, false, 'a request from before the signal was not answered');
            assert.equal(client.error?.code ?? 'ECONNRESET', 'ECONNRESET');
            seen.unanswered++;
            return;
        }
        assert.equal(answer.status, 200, answer.text);
        seen.answers++;
        if (answer.headers.connection === 'close') {
            await client.closing();
            assert.equal(client.received, '');
            assert.equal(client.error, null);
            seen.closed++;
            return;
        }
    }
}

for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`${signal} under load: what was asked is answered, exit code 0`, async (t) => {
        const server = await start(t);
        const seen = { answers: 0, unanswered: 0, closed: 0, signalled: false };
        const paths = ['/api/v1/clients/1', '/api/v1/clients?limit=50&include=company', '/health/live'];
        const all = Promise.all(Array.from({ length: 24 }, (_, i) => askUntilClosed(server, paths[i % 3], seen)));
        all.catch(() => {});
        await waitUntil(() => seen.answers > 500, { what: '500 answers' });
        seen.signalled = true;
        await server.stop({ signal });
        await within(10_000, all, 'the end of all clients');
        assert.equal(seen.closed + seen.unanswered, 24);
        assert.match(server.log, /event=stopped .*drained/);
    });
}

test('a slow request is finished, a half-sent one may be completed, idle connections are closed', async (t) => {
    const server = await start(t);
    const slow = await sendSlow(server, 'nap');
    const half = await RawClient.connect(server.port);
    await half.send('GET /api/v1/clients/1 HTTP/1.1\r\nHo');
    const idle = await RawClient.connect(server.port);
    await idle.send(get('/health/live'));
    await idle.response();
    const pipelined = await RawClient.connect(server.port);
    await pipelined.send(get('/api/v1/nap') + get('/api/v1/clients/2'));
    await sleep(100);

    server.signal('SIGTERM');
    assert.equal(await idle.closing(), '', 'idle: the end, without a word');
    assert.equal(idle.error, null);
    await waitUntil(async () => !await RawClient.connect(server.port).catch(() => null), { what: 'the port to be closed' });

    await half.send('st: x\r\n\r\n');
    const completed = await half.response();
    assert.deepEqual([completed.status, completed.headers.connection], [200, 'close']);
    const answer = await slow.response({ timeout: 20_000 });
    assert.equal(answer.status, 200);
    assert.equal(answer.json().data.length, 1);
    assert.equal(answer.headers.connection, 'close');
    await slow.closing();
    const [first, second] = await pipelined.responses(2, { timeout: 20_000 });
    assert.deepEqual([first.status, second.status], [200, 200]);
    await ending(server);
});

test('drain_timeout bounds it: the connection ends without a byte, exit code 0', async (t) => {
    const server = await start(t, { 'server.drain_timeout': '300ms' });
    const slow = await sendSlow(server, 'night');
    const began = performance.now();
    await server.stop({ timeout: 20_000 });
    const took = performance.now() - began;
    assert.ok(took >= 250, `it waited ${took} ms`);
    assert.equal(await slow.closing(), '');
});

test('a second signal ends it at once, exit code 1', async (t) => {
    const server = await start(t, { 'server.drain_timeout': '1h' });
    const slow = await sendSlow(server, 'night');
    server.signal('SIGTERM');
    await server.waitLog(/event=stopping/);
    await sleep(200);
    assert.equal(server.how, null, 'still waiting for the slow request');
    await server.stop({ code: 1, timeout: 10_000 });
    assert.match(server.log, /a second signal came while draining/);
    assert.equal(await slow.closing(), '');
});

test('a database that is down, or does not answer, does not keep it', async (t) => {
    const other = await Pg.start({ clientsPlus: 0.1 });
    t.after(async () => {
        if (other.child) other.signalAll('SIGCONT');
        await other.close();
    });
    const settings = exampleConfig(other, {
        'server.drain_timeout': '500ms', 'database.pool.close_timeout': '500ms', 'database.statement_timeout': '1h',
        'database.catalog.poll': '100ms',
    });
    const hung = await Hasten.start(settings);
    t.after(() => hung.child && hung.kill9());
    other.signalAll('SIGSTOP');
    const client = await RawClient.connect(hung.port);
    await client.send(get('/api/v1/clients/1'));
    await sleep(500);       // the catalog is polled in this time
    await hung.stop({ timeout: 15_000 });
    assert.equal(await client.closing(), '');
    other.signalAll('SIGCONT');

    await other.stop('immediate');
    const down = await Hasten.start(settings, { ready: false });
    t.after(() => down.child && down.kill9());
    await down.waitLog(/catalog not read/);
    assert.equal((await down.get('/health/live')).status, 200);
    const refused = await down.get('/api/v1/clients/1');
    assert.deepEqual([refused.status, refused.body.code], [503, 'database_unavailable']);
    assert.match(refused.headers.get('retry-after'), /^\d+$/);
    await down.stop();
});
