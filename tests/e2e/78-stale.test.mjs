// SPDX-License-Identifier: Apache-2.0
// Stale answers that the operator has chosen, hot answers that are asked for anew, and the lost change stream.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig } from './harness/hasten.mjs';
import { now, sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { Proxy } from './harness/proxy.mjs';
import { sleep, waitUntil } from './harness/util.mjs';

const DB = 'clients_plus';
let pg;

const sql = (text) => pg.sql(text, { db: DB });
const said = (answer) => `${answer.headers.get('x-cache')} ${answer.headers.get('cache-status')}`;
const STALE = 'STALE hasten; hit; detail=stale-if-error';
const LAGGING = 'STALE hasten; hit; detail=stale-while-revalidate';

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await sql(`CREATE TABLE api.notes (id integer PRIMARY KEY, body text); INSERT INTO api.notes SELECT i, 'note ' || i FROM generate_series(1, 50) i;
        GRANT SELECT ON api.notes TO viewer, member; GRANT UPDATE ON api.notes TO member`);
});
after(() => pg?.close());

/** A server of the test's own, whose pool and change stream go through a proxy each. */
async function serve(t, options = {}) {
    const [pool, feed] = [await Proxy.start({ host: '127.0.0.1', port: pg.port }), await Proxy.start({ host: '127.0.0.1', port: pg.port })];
    const url = (proxy) => pg.url({ user: 'authenticator', db: DB, tcp: true, port: proxy.port });
    const server = await Hasten.start(exampleConfig(pg, { 'database.url': url(pool), 'cache.feed.url': url(feed), 'server.workers': 2,
        'database.pool.acquire_timeout': '200ms', 'database.pool.retry_max': '200ms', ...options }));
    t.after(async () => {
        await server.stop();
        await Promise.all([pool.stop(), feed.stop()]);
    });
    const get = (path, more) => server.get(`/api/v1/${path}`, more);
    const hit = (path, more) => waitUntil(async () => {
        const answer = await get(path, more);
        assert.equal(answer.status, 200, answer.text);
        return answer.headers.get('x-cache') === 'HIT' && answer;
    }, { what: `${path} to be kept` });
    return { server, pool, feed, get, hit };
}

/** The server cannot be reached: what is open is reset, what comes is refused. */
function lose(...proxies) {
    for (const proxy of proxies) {
        proxy.refusing = true;
        proxy.reset();
    }
}
const heal = (...proxies) => proxies.forEach((proxy) => {
    proxy.refusing = false;
});

test('the change stream is lost: requests go on, and nothing kept is served', async (t) => {
    const { feed, get, hit } = await serve(t, { 'cache.stale_if_error': '1min' });
    await hit('notes/1');
    lose(feed);
    await waitUntil(async () => said(await get('notes/1')) === 'BYPASS hasten; fwd=bypass; detail=not-proven', { what: 'the cache to step aside' });
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => get(`notes/${1 + i % 50}`)));
    assert.deepEqual([...new Set(answers.map((it) => `${it.status} ${it.headers.get('x-cache')}`))], ['200 BYPASS']);
    heal(feed);
    await hit('notes/1');
});

test('the database is lost: old answers within the bound, marked, then errors', async (t) => {
    const { server, pool, feed, get, hit } = await serve(t, { 'cache.stale_if_error': '6s' });
    const began = Date.now();
    const kept = await hit('notes/2');
    await hit('notes?limit=3');
    await sql("UPDATE api.notes SET body = 'changed' WHERE id = 2");
    lose(pool, feed);
    const old = await waitUntil(async () => {
        const answer = await get('notes/2');
        return said(answer) === STALE && answer;
    }, { what: 'a stale answer' });
    assert.equal(old.status, 200);
    assert.equal(old.text, kept.text);
    assert.ok(Number(old.headers.get('age')) <= (Date.now() - began) / 1000, old.headers.get('age'));
    assert.equal(old.headers.get('etag'), kept.headers.get('etag'));
    const known = await server.fetch('/api/v1/notes/2', { headers: { 'if-none-match': kept.headers.get('etag') } });
    assert.equal(`${known.status} ${said(known)}`, `304 ${STALE}`);
    assert.equal(said(await get('notes?limit=3')), STALE);
    // Who was told of a later state is not given an earlier one; nor is another role, nor what was never kept.
    const later = { headers: { 'hasten-position': `${'f'.repeat(16)}-0000000000000001` } };
    assert.equal((await get('notes/2', later)).status, 503);
    assert.equal((await get('notes/2', { token: sign({ role: 'member', exp: now(3600) }, SECRET) })).status, 503);
    assert.equal((await get('notes/3')).body.code, 'database_unavailable');
    await waitUntil(async () => {
        const answer = await get('notes/2');
        if (answer.status === 200) assert.ok(Number(answer.headers.get('age')) < 6);
        return answer.status === 503;
    }, { what: 'the bound to be reached' });
    assert.match(await (await server.fetch('/metrics')).text(), /hasten_cache_requests_total\{.*outcome="stale"\} [1-9]/);
    heal(pool, feed);
    assert.equal((await hit('notes/2')).body.data.body, 'changed');
});

test('without cache.stale_if_error a lost database is an error', async (t) => {
    const { pool, feed, get, hit } = await serve(t);
    await hit('notes/4');
    lose(pool, feed);
    await waitUntil(async () => (await get('notes/4')).status === 503, { what: 'an error' });
});

test('what PostgreSQL says of the statement is said, whatever is kept', async (t) => {
    const { pool, feed, get, hit } = await serve(t, { 'cache.stale_if_error': '1min' });
    await hit('notes/5');
    await sql('REVOKE SELECT ON api.notes FROM viewer');
    try {
        await waitUntil(async () => (await get('notes/5')).status === 401, { what: 'the REVOKE' });
        lose(pool, feed);
        await waitUntil(async () => (await get('notes/5')).status === 503, { what: 'an error, not what may not be read' });
    } finally {
        await sql('GRANT SELECT ON api.notes TO viewer');
    }
});

test('statement_timeout counts as no answer', async (t) => {
    const { get, hit } = await serve(t, { 'cache.stale_if_error': '1min', 'database.statement_timeout': '2s' });
    const kept = await hit('notes/6');
    const client = await pg.client({ db: DB });
    try {
        await client.query("BEGIN; UPDATE api.notes SET body = 'locked' WHERE id = 6; COMMIT; BEGIN; LOCK api.notes IN ACCESS EXCLUSIVE MODE");
        const old = await waitUntil(async () => {
            const answer = await get('notes/6');
            return answer.headers.get('x-cache') === 'STALE' && answer;
        }, { what: 'a stale answer' });
        assert.equal(said(old), STALE);
        assert.equal(old.text, kept.text);
    } finally {
        await client.query('ROLLBACK');
        await client.end();
    }
});

test('an expired answer is given while one request asks; one that a change has touched is not', async (t) => {
    const { pool, get, hit } = await serve(t, { 'cache.stale_while_revalidate': '1min', 'cache.ttl.list': '1s' });
    const path = 'notes?limit=1&id=7';
    const round = async () => {
        const answers = await Promise.all(Array.from({ length: 20 }, () => get(path)));
        return { bodies: [...new Set(answers.map((it) => it.body.data[0].body))], said: answers.map(said).sort() };
    };
    await hit(path);
    pool.delay(200);
    await sleep(1100);
    assert.deepEqual(await round(), { bodies: ['note 7'], said: ['MISS hasten; fwd=stale; detail=expired', ...Array(19).fill(LAGGING)] });
    pool.heal();
    await hit(path);
    await sql("UPDATE api.notes SET body = 'newer' WHERE id = 7");
    await sleep(1100);
    pool.delay(200);
    const after = await round();
    assert.deepEqual(after.bodies, ['newer']);
    assert.ok(after.said.every((it) => !it.startsWith('STALE')), after.said.join('\n'));
});

test('REVALIDATED: the database was asked, and the client has its answer', async (t) => {
    const { server, hit } = await serve(t);
    const etag = (await hit('notes?limit=2&id=9')).headers.get('etag');
    await sql('UPDATE api.notes SET body = body WHERE id = 9');
    const ask = () => server.fetch('/api/v1/notes?limit=2&id=9', { headers: { 'if-none-match': etag } });
    const answer = await waitUntil(async () => {
        const it = await ask();
        assert.equal(it.status, 304);
        return it.headers.get('x-cache') === 'REVALIDATED' && it;
    }, { what: 'the database to be asked' });
    // Absent where an answer between, that could not be kept, has put the old one out.
    assert.match(said(answer), /^REVALIDATED hasten; fwd=(stale; detail=invalidated|miss; detail=absent)$/);
    assert.equal(answer.headers.get('etag'), etag);
});

test('cache.refresh_top: a hot answer that a change made untrue is there again before anybody asks', async (t) => {
    const { server, get, hit } = await serve(t, { 'cache.refresh_top': 10 });
    const refreshed = async () => Number(/^hasten_cache_refreshed_total (\d+)/m.exec(await (await server.fetch('/metrics')).text())[1]);
    const token = sign({ role: 'member', company_id: 1, exp: now(3600) }, SECRET);
    const list = 'clients?limit=3&fields=id,firstName';
    await hit('notes/10');
    await hit(list, { token });
    await sleep(1500);
    const before = await refreshed();
    await sql("UPDATE api.notes SET body = 'hot' WHERE id = 10; UPDATE api.clients SET first_name = 'Hot' WHERE company_id = 1");
    await waitUntil(async () => await refreshed() >= before + 2, { what: 'both to be asked for anew' });
    const one = await get('notes/10');
    assert.equal(one.headers.get('x-cache'), 'HIT');
    assert.equal(one.body.data.body, 'hot');
    const many = await get(list, { token });
    assert.equal(many.headers.get('x-cache'), 'HIT');
    assert.ok(many.body.data.every((row) => row.firstName === 'Hot'));
    // Nobody asks any more: with each change its hits count half, and then it is let go.
    for (let i = 0; i < 6; i++) {
        await sql(`UPDATE api.notes SET body = 'cold ${i}' WHERE id = 10`);
        await sleep(300);
    }
    const settled = await refreshed();
    await sql("UPDATE api.notes SET body = 'cold' WHERE id = 10");
    await sleep(400);
    assert.equal(await refreshed(), settled);
});
