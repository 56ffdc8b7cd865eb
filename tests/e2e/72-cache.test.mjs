// SPDX-License-Identifier: Apache-2.0
// The coherent cache as a client sees it (B1, B4-B6, B12): hits, misses, who invalidates what, and headers.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig } from './harness/hasten.mjs';
import { now, sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { sleep, waitUntil } from './harness/util.mjs';

const DB = 'clients_plus';
let pg, server;

const member = (company, more = {}) => sign({ role: 'member', company_id: company, exp: now(3600), ...more }, SECRET);
const sql = (text, options) => pg.sql(text, { db: DB, ...options });
const said = (answer) => answer.headers.get('x-cache');
const get = (path, options) => server.get(`/api/v1/${path}`, options);
const write = (method, path, body, token) => get(path, {
    method, token, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body) });

/** Asks until the answer is kept; the first answer. */
async function kept(path, options) {
    return waitUntil(async () => {
        const first = await get(path, options);
        assert.equal(first.status, 200, first.text);
        const again = await get(path, options);
        return said(again) === 'HIT' && again;
    }, { what: `${path} to be kept` });
}

/** Until the change stream has told of all that was committed: a read that is stamped by nothing else. */
const soon = (check, what) => waitUntil(check, { what });

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await sql(`CREATE TABLE api.notes (id integer PRIMARY KEY, body text, at date);
        INSERT INTO api.notes SELECT i, 'note ' || i, '2026-01-01'::date + i FROM generate_series(1, 50) i;
        CREATE VIEW api.note_bodies AS SELECT id, body FROM api.notes;
        CREATE VIEW api.clock AS SELECT id, now() AS told FROM api.notes;
        CREATE TABLE api.news (id integer PRIMARY KEY, title text); INSERT INTO api.news VALUES (1, 'one'), (2, 'two');
        CREATE TABLE api.loose (a integer); INSERT INTO api.loose VALUES (1);
        GRANT SELECT ON api.notes, api.note_bodies, api.clock, api.loose, api.news TO viewer, member; GRANT INSERT, UPDATE, DELETE ON api.notes TO member`);
    server = await Hasten.start(exampleConfig(pg, { 'cache.tables': ['services: control=public, max-age=60', 'news: control=public, max-age=60; cdn=max-age=600; keys', 'staff: ttl=0s'], 'server.workers': 2 }));
});
after(async () => {
    await server?.stop();
    await pg?.close();
});

test('asked twice: a miss, then a hit with the same bytes and an age', async () => {
    const hit = await kept('notes/1');
    assert.equal(hit.body.data.body, 'note 1');
    assert.match(hit.headers.get('age'), /^[01]$/);
    assert.equal(hit.headers.get('cache-status'), 'hasten; hit');
    assert.equal(hit.headers.get('cache-control'), 'private, no-cache');
    const { text } = await get('notes/1');
    assert.equal(text, hit.text);
});

test('the first answer of each table is kept already: a miss, a hit', async () => {
    const token = member(2);
    for (const [path, options] of [['services/2'], ['branches/2'], ['services?limit=3'], ['clients?limit=3', { token }],
        ['appointments?limit=2', { token }]]) {
        const answers = [await get(path, options), await get(path, options)];
        assert.deepEqual(answers.map((answer) => `${answer.status} ${said(answer)}`), ['200 MISS', '200 HIT'], path);
    }
});

test('an UPDATE behind hasten\'s back: the next answer is the new one, and others stay', async () => {
    await kept('notes/2');
    await kept('notes/3');
    await sql("UPDATE api.notes SET body = 'changed' WHERE id = 2");
    await soon(async () => (await get('notes/2')).body.data.body === 'changed', 'the new row');
    assert.equal(said(await get('notes/3')), 'HIT');
});

test('a write through hasten is seen by the read behind it, each time', async () => {
    const token = member(1);
    await kept('notes/4', { token });
    for (let i = 0; i < 50; i++) {
        const answer = await write('PATCH', 'notes/4', { body: `v${i}` }, token);
        assert.equal(answer.status, 200, answer.text);
        assert.match(answer.headers.get('hasten-position'), /^[0-9a-f]{16}-[0-9a-f]{16}$/);
        assert.equal((await get('notes/4', { token })).body.data.body, `v${i}`);
        assert.equal((await get('notes/4')).body.data.body, `v${i}`);
    }
});

test('lists: an insert, an update that moves a row in, a delete, TRUNCATE', async () => {
    const path = 'notes?body=here&limit=5';
    const count = async () => (await get(path)).body.data.length;
    await kept(path);
    for (const [text, expected] of [
        ["INSERT INTO api.notes VALUES (100, 'here', NULL)", 1], ["UPDATE api.notes SET body = 'here' WHERE id = 5", 2],
        ['DELETE FROM api.notes WHERE id = 100', 1], ["BEGIN; INSERT INTO api.notes VALUES (101, 'here'), (102, 'here'); COMMIT", 3],
    ]) {
        await kept(path);
        await sql(text);
        await soon(async () => await count() === expected, text);
    }
    await kept(path);
    await sql('CREATE TABLE api.spare AS SELECT * FROM api.notes; TRUNCATE api.notes');
    await soon(async () => await count() === 0, 'TRUNCATE');
    await sql('INSERT INTO api.notes SELECT * FROM api.spare; DROP TABLE api.spare');
});

test('two spellings of one query share an answer', async () => {
    await kept('clients?status=ACTIVE&id[gt]=0&limit=3', { token: member(2) });
    assert.equal(said(await get('clients?limit=3&id[gt]=0&status=ACTIVE', { token: member(2) })), 'HIT');
});

test('users of one tenant share answers; tenants do not; a write to one costs the others nothing', async () => {
    const path = 'clients?limit=3&fields=id,companyId';
    const tenants = [1, 2, 3, 4, 5];
    for (const company of tenants) {
        const hit = await kept(path, { token: member(company, { sub: 'one' }) });
        assert.ok(hit.body.data.every((row) => row.companyId === company));
        assert.equal(said(await get(path, { token: member(company, { sub: 'two' }) })), 'HIT');
    }
    await sql('UPDATE api.clients SET first_name = first_name || \'x\' WHERE company_id = 3');
    await soon(async () => said(await get(path, { token: member(3) })) === 'MISS', 'tenant 3 to be asked anew');
    for (const company of tenants.filter((it) => it !== 3)) assert.equal(said(await get(path, { token: member(company) })), 'HIT', String(company));
});

test('views follow their tables; what tells the time, or is in no stream, is not kept', async () => {
    await kept('note_bodies?id=7'.replace('_b', 'B'));
    await sql("UPDATE api.notes SET body = 'seen' WHERE id = 7");
    await soon(async () => (await get('noteBodies?id=7')).body.data[0].body === 'seen', 'the view');
    for (const path of ['clock?limit=1', 'loose', 'notes?at[gte]=today', 'staff?limit=1']) {
        for (let i = 0; i < 2; i++) assert.equal(said(await get(path)), 'BYPASS', path);
    }
    await kept('notes?at[gte]=2026-01-20&limit=2');
});

test('If-None-Match: 304 from the cache, with the headers of the answer', async () => {
    for (const path of ['notes/9', 'notes?limit=2']) {
        const hit = await kept(path);
        const etag = hit.headers.get('etag');
        assert.match(etag, /^"[0-9a-f-]+"$/);
        const answer = await server.fetch(`/api/v1/${path}`, { headers: { 'if-none-match': etag } });
        assert.equal(answer.status, 304);
        assert.equal(said(answer), 'HIT');
        assert.equal(answer.headers.get('vary'), hit.headers.get('vary'));
        assert.equal(answer.headers.get('etag'), etag);
        const other = await server.fetch(`/api/v1/${path}`, { headers: { 'if-none-match': '"other"' } });
        assert.equal(other.status, 200);
    }
});

test('public where everybody gets the same, never where a token or a policy shaped it', async () => {
    const shared = (answer) => ['cache-control', 'cdn-cache-control', 'surrogate-key', 'vary'].map((name) => answer.headers.get(name));
    assert.deepEqual(shared(await kept('news/1')), ['public, max-age=60', 'max-age=600', 'news news/1', 'Authorization']);
    assert.deepEqual(shared(await get('news?limit=1')), ['public, max-age=60', 'max-age=600', 'news', 'Accept, Authorization']);
    const viewer = sign({ role: 'viewer', exp: now(3600) }, SECRET);
    for (const answer of [await get('news/1', { token: viewer }), await get('news/1', { token: member(1) }), await get('services/1'),
        await get('services/1', { token: member(1) }), await get('notes/1')]) {
        assert.equal(answer.headers.get('cache-control'), 'private, no-cache');
        assert.equal(answer.headers.get('cdn-cache-control'), null);
        assert.equal(answer.headers.get('surrogate-key'), null);
    }
});

test('cache.tables: a row that cannot be meant is refused at start', async () => {
    for (const [row, why] of [['nothere: ttl=1s', /no such table/], ['notes: ttl=soon', /no time/], ['notes: ttl=1s; what=2', /parts/],
        ['notes: keys', /public/], ['notes: control=pub\x01lic', /Cache-Control/]]) {
        await assert.rejects(async () => {
            const bad = await Hasten.start(exampleConfig(pg, { 'cache.tables': [row] }));
            await bad.stop();
        }, why, row);
    }
});

test('many at once ask the database once', async () => {
    await sql("INSERT INTO api.notes VALUES (200, 'together', NULL)");
    await kept('notes/1');
    const metric = async () => {
        const text = await (await server.fetch('/metrics')).text();
        return Number(/^hasten_pg_queries_total (\d+)/m.exec(text)[1]);
    };
    await sleep(300);
    const before = await metric();
    const answers = await Promise.all(Array.from({ length: 100 }, () => get('notes?body=together&sort=-at&fields=id,body')));
    assert.ok(answers.every((answer) => answer.status === 200 && answer.body.data.length === 1));
    assert.ok(await metric() - before <= 5, `${await metric() - before} statements for 100 requests`);
});

test('a REVOKE is noticed, and DDL', async () => {
    await kept('notes?limit=1');
    await sql('REVOKE SELECT ON api.notes FROM viewer');
    await soon(async () => (await get('notes?limit=1')).status >= 401, 'the REVOKE');
    await sql('GRANT SELECT ON api.notes TO viewer');
    await soon(async () => (await get('notes?limit=1')).status === 200, 'the GRANT');
    await kept('notes/10');
    await sql('ALTER TABLE api.notes ADD COLUMN extra text DEFAULT \'new\'');
    await soon(async () => (await get('notes/10')).body.data.extra === 'new', 'the column');
});

test('Hasten-Position: nonsense is refused; one of another epoch asks the database', async () => {
    await kept('notes/11');
    const bad = await server.get('/api/v1/notes/11', { headers: { 'hasten-position': 'yesterday' } });
    assert.equal(bad.status, 400);
    const other = await server.get('/api/v1/notes/11', { headers: { 'hasten-position': '00000000000000ff-0000000000000001' } });
    assert.equal(other.status, 200);
    assert.equal(said(other), 'MISS');
});

test('Cache-Control of a request is heard only where the operator says so', async () => {
    const control = (value) => ({ headers: { 'cache-control': value } });
    await kept('notes/15');
    for (const value of ['no-cache', 'no-store', 'max-age=0', 'only-if-cached']) {
        assert.equal(said(await get('notes/15', control(value))), 'HIT', value);
    }
    const polite = await Hasten.start(exampleConfig(pg, { 'cache.honour_requests': true }));
    try {
        const ask = (path, value) => polite.get(`/api/v1/${path}`, value ? control(value) : {});
        const missing = await ask('notes/16', 'only-if-cached');
        assert.equal(missing.status, 504);
        assert.equal(missing.body.code, 'not_cached');
        await waitUntil(async () => said(await ask('notes/16')) === 'HIT', { what: 'a hit' });
        assert.equal(said(await ask('notes/16', 'only-if-cached')), 'HIT');
        assert.equal(said(await ask('notes/16', 'no-cache')), 'MISS');
        assert.equal(said(await ask('notes/16', 'max-age=0')), 'MISS');
        assert.equal(said(await ask('notes/16', 'no-store')), 'BYPASS');
        assert.equal(said(await ask('notes/16')), 'HIT');
    } finally {
        await polite.stop();
    }
});

test('HEAD is answered from the same entry', async () => {
    const hit = await kept('notes/12');
    const head = await server.fetch('/api/v1/notes/12', { method: 'HEAD' });
    assert.equal(said(head), 'HIT');
    assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(hit.text)));
});

test('after a restart of PostgreSQL nothing of before is served', async () => {
    await kept('notes/13');
    await pg.stop('immediate');
    await pg.start();
    await sql("SET synchronous_commit = off; UPDATE api.notes SET body = 'after' WHERE id = 13");
    await soon(async () => {
        const answer = await get('notes/13');
        return answer.status === 200 && answer.body.data.body === 'after';
    }, 'the row of after');
    await kept('notes/13');
});
