// SPDX-License-Identifier: Apache-2.0
// What a role may ask for (auth.limits), and what a request without a token may
// cost the database (api.anonymous.cost_max). The database itself is asked
// which EXPLAINs it saw.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig, hasten } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { waitUntil } from './harness/util.mjs';

const member = sign({ role: 'member', company_id: 1 }, SECRET);
const token = { token: member };
let pg;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1, settings: { log_statement: 'all' } });
    await pg.sql(`
        CREATE VIEW api.slow AS SELECT 1 AS id, pg_sleep(1.5)::text AS waited;
        CREATE TABLE api.many (id int PRIMARY KEY, name text NOT NULL);
        INSERT INTO api.many SELECT n, 'name ' || n FROM generate_series(1, 20000) n;
        CREATE TABLE api.written (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
        GRANT SELECT ON api.slow, api.many TO viewer, member;
        GRANT ALL ON api.written TO viewer, member;
        ANALYZE api.many`, { db: 'clients_plus' });
});

after(() => pg?.close());

async function start(t, settings = {}) {
    const config = exampleConfig(pg, { 'database.catalog.poll': '1h', 'server.workers': 1, ...settings });
    const server = await Hasten.start(config);
    server.settings = config;
    t.after(() => server.child && server.kill9());
    return server;
}

const explains = () => pg.log.match(/EXPLAIN \(FORMAT JSON\)/g)?.length ?? 0;

test('rows: the largest limit and the default of one role, not of the others', async (t) => {
    const server = await start(t, { 'auth.limits': ['viewer: rows=7', 'member: rows=3000'] });
    const list = await server.get('/api/v1/many');
    assert.equal(list.body.data.length, 7, 'the default is no more than may be asked for');
    assert.equal((await server.get('/api/v1/many?limit=7')).body.data.length, 7);
    const next = await server.get(`/api/v1/many?cursor=${list.body.pagination.nextCursor}`);
    assert.equal(next.body.data[0].id, 8, 'pages go on');
    const more = await server.get('/api/v1/many?limit=8');
    assert.equal(more.status, 400);
    assert.match(more.body.message, /limit must be a whole number from 1 to 7/);
    const batch = await server.get('/api/v1/batch', {
        method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify([{ path: '/api/v1/many?limit=8' }, { path: '/api/v1/many' }]),
    });
    assert.deepEqual(batch.body.responses.map((r) => [r.status, r.body.data?.length]), [[400, undefined], [200, 7]]);
    const ndjson = { headers: { accept: 'application/x-ndjson' } };
    const lines = async (where, options) => {
        const answer = await server.get(where, { ...ndjson, ...options });
        return [answer.status, answer.status === 200 ? answer.text.trim().split('\n').length : answer.body.message];
    };
    const tooMany = [400, 'limit must be a whole number from 1 to 7'];
    assert.deepEqual(await lines('/api/v1/many?limit=7'), [200, 7]);
    assert.deepEqual(await lines('/api/v1/many?limit=8'), tooMany);
    assert.deepEqual(await lines('/api/v1/many?limit=all'), tooMany, 'cut to what is allowed it would pass for whole');
    assert.deepEqual(await lines('/api/v1/many'), tooMany);
    assert.equal((await server.get('/api/v1/many?limit=all')).status, 400);
    assert.deepEqual(await lines('/api/v1/many?limit=3000', token), [200, 3000]);
    assert.equal((await server.get('/api/v1/many', token)).body.data.length, 20);
    assert.equal((await server.get('/api/v1/many?limit=1000', token)).body.data.length, 1000);
    assert.equal((await server.get('/api/v1/many?limit=1001', token)).status, 400, 'api.limit.max holds for all');
    await server.stop();
});

test('statement_timeout: of one role, also where the other came before on the same connection', async (t) => {
    const server = await start(t, {
        'database.pool.min': 1, 'database.pool.max': 2, 'database.statement_timeout': '20s', 'auth.limits': ['viewer: statement_timeout=300ms'],
    });
    for (let i = 0; i < 2; i++) {
        const [hasty, patient] = await Promise.all([server.get('/api/v1/slow'), server.get('/api/v1/slow', token)]);
        assert.equal(hasty.status, 504, JSON.stringify(hasty.body));
        assert.equal(hasty.body.code, '57014');
        assert.equal(patient.status, 200, JSON.stringify(patient.body));
    }
    await server.stop();
});

test('body: 413 that names the role and its limit, in a batch too', async (t) => {
    const server = await start(t, { 'auth.limits': ['viewer: body=1KiB'] });
    const post = (name, options = {}) => server.get('/api/v1/written', {
        method: 'POST', body: JSON.stringify({ name }), ...options,
        headers: { 'content-type': 'application/json' },
    });
    const frame = JSON.stringify({ name: '' }).length;
    assert.equal((await post('x'.repeat(1024 - frame))).status, 201, 'as long as it may be');
    const refused = await post('x'.repeat(1025 - frame));
    assert.equal(refused.status, 413);
    assert.equal(refused.body.code, 'body_too_large');
    assert.equal(refused.body.message, 'the body has 1025 bytes; role viewer may send 1024 at most');
    assert.equal((await post('x'.repeat(5000), token)).status, 201, 'of others nothing is said');
    assert.equal((await server.get('/api/v1/many')).status, 200, 'the connection goes on');
    const batch = await server.get('/api/v1/batch', {
        method: 'POST', ...token, headers: { 'content-type': 'application/json' },
        body: JSON.stringify([{ method: 'POST', path: '/api/v1/written', body: { name: 'y'.repeat(2000) },
            headers: { authorization: `Bearer ${sign({ role: 'viewer' }, SECRET)}` } }]),
    });
    assert.equal(batch.body.responses[0].status, 413, JSON.stringify(batch.body));
    await server.stop();
});

test('auth.limits is refused with file and line, and a reload takes a new one', async (t) => {
    const faults = [
        ['nobody: rows=1', /"nobody", expected a role of auth\.roles/],
        ['viewer: row=1', /"row=1", expected statement_timeout=, rows= or body=/],
        ['viewer: rows=0', /"rows=0", expected rows= and a whole number/],
        ['viewer: statement_timeout=2', /"statement_timeout=2", expected statement_timeout= and a duration/],
        ['viewer: body=1KB', /"body=1KB", expected body= and a size with its unit/],
    ];
    const server = await start(t, { 'auth.limits': ['viewer: rows=7'] });
    for (const [row, message] of faults) {
        server.configure({ ...server.settings, 'auth.limits': [row] });
        const check = await hasten(['config', 'check', '--config', server.configFile]);
        assert.notEqual(check.code, 0);
        assert.match(check.stderr, message);
        assert.match(check.stderr, /hasten\.yaml:\d+: auth\.limits: found/);
    }
    server.configure({ ...server.settings, 'auth.limits': ['viewer: rows=9'] });
    server.signal('SIGHUP');
    await waitUntil(async () => (await server.get('/api/v1/many', token)).status === 200 &&
        (await server.get('/api/v1/many')).body.data.length === 9, { what: 'the new limit' });
    await server.stop();
});

test('cost: a dear request without a token gets 403 with the numbers, and what to do', async (t) => {
    const server = await start(t, { 'api.anonymous.cost_max': 100 });
    const dear = '/api/v1/many?sort=-name&limit=5';
    const refused = await server.get(dear);
    assert.equal(refused.status, 403, JSON.stringify(refused.body));
    assert.equal(refused.body.code, 'query_too_costly');
    assert.match(refused.body.message, /^the database estimates the cost of this request at \d+$/);
    assert.ok(Number(refused.body.message.match(/\d+$/)[0]) > 100);
    assert.match(refused.body.details, /100 \(api\.anonymous\.cost_max\)/);
    assert.match(refused.body.hint, /send a token/);
    assert.equal((await server.get(dear, token)).status, 200, 'with a token there is no bound');
    assert.equal((await server.get('/api/v1/many/5')).body.data.id, 5);
    assert.equal((await server.get('/api/v1/many?limit=5')).body.data.length, 5);
    const stream = { headers: { accept: 'text/csv' } };
    const cut = await server.get('/api/v1/many?sort=-name', stream);
    assert.equal(cut.status, 403, cut.text);
    assert.equal(cut.body.code, 'query_too_costly');
    assert.equal((await server.get('/api/v1/many?sort=-name', { ...stream, ...token })).status, 200);
    assert.equal((await server.get('/api/v1/many?id[lt]=10', stream)).text.trim().split('\r\n').length, 10);
    const batch = await server.get('/api/v1/batch', {
        method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify([{ path: dear }, { path: '/api/v1/many/5' }]),
    });
    assert.deepEqual(batch.body.responses.map((r) => r.status), [403, 200]);
    await server.stop();
});

test('cost: each shape is asked about once, a refused one again with other values', async (t) => {
    const server = await start(t, { 'api.anonymous.cost_max': 100 });
    const cost = async (where, options) => {
        const before = explains();
        const { status } = await server.get(where, options);
        return [status, explains() - before];
    };
    assert.deepEqual(await cost('/api/v1/many/1'), [200, 1]);
    assert.deepEqual(await cost('/api/v1/many/2'), [200, 0], 'known');
    assert.deepEqual(await cost('/api/v1/many/3', token), [200, 0], 'no concern of those who have a token');
    assert.deepEqual(await cost('/api/v1/many?name[like]=x%25'), [403, 1]);
    assert.deepEqual(await cost('/api/v1/many?name[like]=x%25'), [403, 0], 'known');
    assert.deepEqual(await cost('/api/v1/many?name[like]=y%25'), [403, 1], 'other values might cost less');
    assert.deepEqual(await cost('/api/v1/many?id=99999999'), [200, 1]);
    assert.deepEqual(await cost('/api/v1/many/4'), [200, 0]);

    server.configure({ ...server.settings, 'api.anonymous.cost_max': 100000 });
    server.signal('SIGHUP');
    await waitUntil(async () => (await server.get('/api/v1/many?name[like]=x%25')).status === 200, { what: 'the new bound' });
    await server.stop();
});

test('cost: a write is asked about too, and EXPLAIN writes nothing', async (t) => {
    const server = await start(t, { 'api.anonymous.cost_max': 100 });
    const post = (name, headers = {}) => server.get('/api/v1/written', {
        method: 'POST', body: JSON.stringify({ name }), headers: { 'content-type': 'application/json', ...headers },
    });
    const before = explains();
    assert.equal((await post('once')).status, 201);
    assert.equal(explains() - before, 1);
    assert.deepEqual(await pg.sql(`SELECT count(*)::int AS n FROM api.written WHERE name = 'once'`, { db: 'clients_plus' }), [{ n: 1 }]);
    const deletion = await server.get('/api/v1/written?name=once&max-affected=5', { method: 'DELETE' });
    assert.equal(deletion.status, 200, JSON.stringify(deletion.body));
    await server.stop();
});

test('cost: what EXPLAIN is refused, the request is, in the usual words', async (t) => {
    await pg.sql('CREATE TABLE api.closed (id int PRIMARY KEY)', { db: 'clients_plus' });
    const server = await start(t, { 'api.anonymous.cost_max': 100 });
    const free = await start(t);
    for (const where of ['/api/v1/closed', '/api/v1/closed/1', '/api/v1/many?name[gt]=a&sort=nope']) {
        const bounded = await server.get(where);
        const usual = await free.get(where);
        assert.equal(bounded.status, usual.status, where);
        assert.deepEqual(bounded.body, usual.body, where);
    }
    await server.stop();
    await free.stop();
});
