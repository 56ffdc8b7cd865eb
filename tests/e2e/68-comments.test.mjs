// SPDX-License-Identifier: Apache-2.0
// database.comment: what PostgreSQL's own log says about where a statement came
// from, and that nothing of a name or a request gets out of the comment.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, exampleConfig } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { waitUntil } from './harness/util.mjs';

const ITEM = "/*route='%2Fapi%2Fv1%2Fclients%2F%7Bid%7D'*/";
const LIST = "/*route='%2Fapi%2Fv1%2Fclients'*/";
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const traced = { headers: { traceparent: `00-${TRACE}-b7ad6b7169203331-01` } };
const HOSTILE = ['*/ SELECT 1; --', "it's", "\\'*/", '/* open', '*%2F', 'é*/é', "',traceparent='", '$tag$*/$tag$', 'a\nb*/'];
let pg;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1, settings: { log_statement: 'all' } });
    await pg.sql('CREATE TABLE api.notes (id int PRIMARY KEY, name text); GRANT ALL ON api.notes TO viewer', { db: 'clients_plus' });
    for (const [i, name] of HOSTILE.entries()) {
        const quoted = `"${name.replaceAll('"', '""')}"`;
        await pg.sql(`CREATE TABLE api.${quoted} AS SELECT ${i} AS id; ALTER TABLE api.${quoted} ADD PRIMARY KEY (id);
            GRANT SELECT ON api.${quoted} TO viewer`, { db: 'clients_plus' });
    }
});

after(() => pg?.close());

async function start(t, comment, settings = {}) {
    const config = exampleConfig(pg, { 'server.workers': 1, 'api.names': 'same', 'database.catalog.poll': '1h', 'database.comment': comment, ...settings });
    const server = await Hasten.start(config);
    server.settings = config;
    t.after(() => server.child && server.kill9());
    return server;
}

/** What the database logged as executed while `act` ran: [{name, sql}], line ends in it as they are. */
async function executed(act) {
    const from = pg.log.length;
    await act();
    const marker = `marker ${from}`;
    await pg.sql(`SELECT '${marker}'`);
    await waitUntil(() => pg.log.includes(marker, from), { what: 'the log' });
    const statements = pg.log.slice(from).matchAll(/LOG: {2}execute (\S+): ((?:.*\n)(?:\t.*\n)*)/g);
    return [...statements].map(([, name, sql]) => ({ name, sql: sql.trimEnd() }))
        .filter(({ sql }) => /"api"\./.test(sql));
}

test('none: no comment', async (t) => {
    const server = await start(t, 'none');
    const seen = await executed(() => server.get('/api/v1/clients/1', traced));
    assert.equal(seen.length, 1);
    assert.ok(!seen[0].sql.includes('/*'), seen[0].sql);
    await server.stop();
});

test('route: the same text for all requests of a route, prepared and gathered', async (t) => {
    const server = await start(t, 'route', { 'database.pool.min': 1 });
    const items = await executed(async () => {
        for (let i = 1; i <= 3; i++) assert.equal((await server.get(`/api/v1/clients/${i}`, traced)).status, 200);
    });
    assert.equal(items.length, 3);
    for (const { name, sql } of items) {
        assert.ok(sql.endsWith(` ${ITEM}`), sql);
        assert.notEqual(name, '<unnamed>', 'it is prepared');
    }
    assert.equal(new Set(items.map(({ sql }) => sql)).size, 1);
    const [list] = await executed(() => server.get('/api/v1/clients?limit=3&sort=-id'));
    assert.ok(list.sql.endsWith(` ${LIST}`), list.sql);
    assert.notEqual(list.name, '<unnamed>');

    const where = Array.from({ length: 40 }, (_, i) => ({ path: `/api/v1/clients/${i + 1}` }));
    const gathered = await executed(() => server.get('/api/v1/batch', {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(where),
    }));
    assert.ok(gathered.length < where.length, `${gathered.length} statements`);
    assert.ok(gathered.every(({ sql }) => sql.endsWith(` ${ITEM}`)));
    await server.stop();
});

test('route: writes, also those with a transaction of their own, and streams', async (t) => {
    const server = await start(t, 'route');
    const json = { headers: { 'content-type': 'application/json' } };
    const insert = await executed(() => server.get('/api/v1/notes', { method: 'POST', ...json, body: '{"id":1,"name":"x"}' }));
    assert.ok(insert.some(({ sql }) => /^INSERT .*\/\*route='%2Fapi%2Fv1%2Fnotes'\*\/$/s.test(sql)), JSON.stringify(insert));
    const change = await executed(() => server.get('/api/v1/notes?id=1&max-affected=1', { method: 'PATCH', ...json, body: '{"name":"y"}' }));
    assert.ok(change.some(({ sql }) => /UPDATE .*\/\*route='%2Fapi%2Fv1%2Fnotes'\*\/$/s.test(sql)), JSON.stringify(change));
    const stream = await executed(() => server.get('/api/v1/clients', { headers: { accept: 'application/x-ndjson' } }));
    assert.ok(stream.some(({ sql }) => sql.startsWith('DECLARE') && sql.endsWith(` ${LIST}`)), JSON.stringify(stream));
    await server.stop();
});

test('request: route and traceparent, keys sorted, on reads, writes and streams', async (t) => {
    const server = await start(t, 'request');
    const says = (route) => new RegExp(`^[^]* /\\*route='${route}',traceparent='00-${TRACE}-[0-9a-f]{16}-01'\\*/$`);
    const [item] = await executed(() => server.get('/api/v1/clients/1', traced));
    assert.match(item.sql, says('%2Fapi%2Fv1%2Fclients%2F%7Bid%7D'));
    assert.equal(item.name, '<unnamed>', 'nothing of it can be used again');
    const [own] = await executed(() => server.get('/api/v1/clients?limit=1'));
    assert.match(own.sql, / \/\*route='%2Fapi%2Fv1%2Fclients',traceparent='00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]'\*\/$/);

    const headers = { ...traced.headers, 'content-type': 'application/json' };
    for (const where of ['/api/v1/notes?id=1', '/api/v1/notes?id=1&max-affected=1']) {
        const seen = await executed(() => server.get(where, { method: 'PATCH', headers, body: '{"name":"z"}' }));
        assert.ok(seen.some(({ sql }) => says('%2Fapi%2Fv1%2Fnotes').test(sql)), JSON.stringify(seen));
    }
    const stream = await executed(() => server.get('/api/v1/clients', { headers: { ...traced.headers, accept: 'text/csv' } }));
    assert.ok(stream.some(({ sql }) => sql.startsWith('DECLARE') && says('%2Fapi%2Fv1%2Fclients').test(sql)), JSON.stringify(stream));
    const batch = await executed(() => server.get('/api/v1/batch', {
        method: 'POST', headers, body: JSON.stringify([{ path: '/api/v1/clients/1' }, { path: '/api/v1/clients/2' }]),
    }));
    assert.equal(batch.filter(({ sql }) => says('%2Fapi%2Fv1%2Fclients%2F%7Bid%7D').test(sql)).length, 2);
    await server.stop();
});

test('no name and no path ends a comment', async (t) => {
    for (const mode of ['route', 'request']) {
        const server = await start(t, mode);
        for (const [i, name] of HOSTILE.entries()) {
            for (const where of [`/api/v1/${encodeURIComponent(name)}`, `/api/v1/${encodeURIComponent(name)}/${i}?fields=id`]) {
                let answer;
                const seen = await executed(async () => { answer = await server.get(where); });
                assert.equal(answer.status, 200, `${mode} ${where}: ${answer.text}`);
                assert.equal(seen.length, 1, JSON.stringify(seen));
                const at = seen[0].sql.lastIndexOf('/*');
                const comment = seen[0].sql.slice(at);
                assert.match(comment, /^\/\*route='[A-Za-z0-9%._~-]+'(,traceparent='00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]')?\*\/$/);
                assert.equal(decodeURIComponent(comment.match(/route='([^']*)'/)[1]), `/api/v1/${name}${where.includes('?') ? '/{id}' : ''}`);
            }
        }
        for (const where of ['/api/v1/clients/*%2F', "/api/v1/clients/1?id=*/';--", '/api/v1/clients?search=*%2F%27']) {
            for (const { sql } of await executed(() => server.get(where, { headers: { traceparent: "00-*/'-x-01" } }))) {
                assert.match(sql.slice(sql.lastIndexOf('/*')), /^\/\*route='[A-Za-z0-9%._~-]+'(,traceparent='00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]')?\*\/$/);
            }
        }
        await server.stop();
    }
});

test('a reload turns it on', async (t) => {
    const server = await start(t, 'none');
    await server.get('/api/v1/clients/1');
    server.configure({ ...server.settings, 'database.comment': 'route' });
    server.signal('SIGHUP');
    await waitUntil(async () => (await executed(() => server.get('/api/v1/clients/1')))[0].sql.endsWith(ITEM), { what: 'the comment' });
    await server.stop();
});
