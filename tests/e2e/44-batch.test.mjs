// SPDX-License-Identifier: Apache-2.0
// POST /api/v1/batch: answers in order, each judged as a request of its own, statements that share Syncs.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { SECRET, exampleConfig } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { member, startLab } from './harness/lab.mjs';
import { waitUntil } from './harness/util.mjs';

const AT = '/api/v1/batch';
const MAX = 40;
const token = member(3);

let lab;
before(async () => {
    lab = await startLab({
        'api.batch.max': MAX, 'server.workers': 1, 'server.answer.max': '256KiB',
        'api.batch.transaction_max': '1s', 'database.pool.min': 1, 'database.pool.max': 2, 'database.pool.acquire_timeout': '60s',
    }, { prepare: `
        CREATE TABLE lab.batch (id integer PRIMARY KEY, note text);
        INSERT INTO lab.batch VALUES (1, 'hidden for POST only');
        GRANT SELECT ON lab.batch TO viewer, member;
        CREATE TABLE lab.notes (id integer PRIMARY KEY, note jsonb);
        GRANT SELECT, INSERT, DELETE ON lab.notes TO member;
        CREATE VIEW lab.asleep AS SELECT 1 AS id, pg_sleep(0.5)::text AS slept;
        CREATE VIEW lab.long AS SELECT repeat('x', 200000) AS text;
        GRANT SELECT ON lab.asleep, lab.long TO viewer, member;
    ` });
});
after(() => lab?.close());

const post = (body, { headers, ...options } = {}) => lab.hasten.get(AT, {
    method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), token,
    headers: { 'content-type': 'application/json', ...headers }, ...options,
});

async function batch(requests, options) {
    const answer = await post({ requests }, options);
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers.get('content-type'), /^application\/json/);
    assert.deepEqual(Object.keys(answer.body), ['responses']);
    assert.equal(answer.body.responses.length, requests.length);
    for (const response of answer.body.responses) assert.deepEqual(Object.keys(response), ['id', 'status', 'headers', 'body']);
    return answer.body.responses;
}

const paths = (...list) => list.map((path) => ({ path: `/api/v1/${path}` }));
const statuses = (responses) => responses.map((response) => response.status);

async function metric(name) {
    const { text } = await lab.hasten.get('/metrics');
    return Number(new RegExp(`^${name.replace(/[{}"/]/g, '\\$&')} (\\d+)`, 'm').exec(text)?.[1] ?? 0);
}

test('each answer is that of the request alone, in the order of the requests', async () => {
    const list = ['things/3', 'things?limit=2&sort=-rank', 'pairs/1,x', 'clients?limit=3&include=branch', '', 'things/9999',
        'nothing', 'things?rank=x', 'things?limit=0'];
    const responses = await batch(list.map((path, i) => ({ id: i, path: path ? `/api/v1/${path}` : '/api/v1' })));
    for (const [i, path] of list.entries()) {
        const alone = await lab.hasten.get(path ? `/api/v1/${path}` : '/api/v1', { token });
        assert.equal(responses[i].id, i);
        assert.equal(responses[i].status, alone.status, path);
        assert.deepEqual(responses[i].body, alone.body, path);
        assert.match(responses[i].headers['content-type'], /^application\/json/);
    }
});

test('the array alone, no requests, ids of all kinds, HEAD and other methods', async () => {
    const answer = await post([{ path: '/api/v1/things/1', id: 'a"ä' }, { path: '/api/v1/things/2', id: 1.50 }, { path: '/api/v1/things/3' }]);
    assert.deepEqual(answer.body.responses.map(({ id, body }) => [id, body.data.id]), [['a"ä', 1], [1.5, 2], [null, 3]]);
    assert.deepEqual((await post([])).body, { responses: [] });
    assert.deepEqual((await post('{"requests":[]}')).body, { responses: [] });
    const [head, options, brew] = await batch([{ method: 'HEAD', path: '/api/v1/things/1' },
        { method: 'OPTIONS', path: '/api/v1/things/1' }, { method: 'BREW', path: '/api/v1/things/1' }]);
    assert.deepEqual([head.status, head.body], [200, null]);
    assert.deepEqual([options.status, options.body], [204, null]);
    assert.match(options.headers.allow, /GET/);
    assert.deepEqual([brew.status, brew.body.code], [405, 'method_not_allowed']);
    assert.match(brew.headers.allow, /GET/);
});

test('a batch has one request id and one line in the access log, the trace goes on', async () => {
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const answer = await post(paths('things/1', 'things/2'), { headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01` } });
    assert.equal(answer.headers.get('x-request-id'), trace);
    await lab.hasten.waitLog(new RegExp(`path=${AT} status=200 .*request_id=${trace}`));
    assert.equal(lab.hasten.log.split('\n').filter((line) => line.includes(trace)).length, 1);
});

test('they run together: their statements share Syncs', async () => {
    const requests = Array.from({ length: MAX }, (_, i) => ({ path: `/api/v1/things?id=${i + 1}` }));
    await batch(requests);
    const before = { batches: await metric('hasten_pg_batches_total'), queries: await metric('hasten_pg_queries_total') };
    const responses = await batch(requests);
    assert.deepEqual(responses.map(({ body }) => body.data[0].id), Array.from({ length: MAX }, (_, i) => i + 1));
    assert.equal(await metric('hasten_pg_queries_total') - before.queries, MAX);
    const batches = await metric('hasten_pg_batches_total') - before.batches;
    assert.ok(batches <= MAX / 4, `${MAX} statements in ${batches} batches`);
});

test('each counts by its own route', async () => {
    const own = 'hasten_http_requests_total{route="/api/v1/things/{id}",status="200"}';
    const all = 'hasten_http_requests_total{route="/api/v1/batch",status="200"}';
    const before = [await metric(own), await metric(all)];
    await batch(paths('things/1', 'things/2', 'things/3'));
    assert.deepEqual([await metric(own), await metric(all)], [before[0] + 3, before[1] + 1]);
});

test('who asks is the caller of the batch, unless a request brings its own token', async () => {
    const own = (value) => ({ path: '/api/v1/clients?limit=5', headers: { authorization: value } });
    const [third, fifth, bad, twice, viewer] = await batch([{ path: '/api/v1/clients?limit=5' }, own(`Bearer ${member(5)}`), own('Bearer x.y.z'),
        { path: '/api/v1/clients', headers: { authorization: `Bearer ${token}`, Authorization: `Bearer ${token}` } },
        own(`Bearer ${sign({ role: 'viewer' }, SECRET)}`)]);
    assert.ok(third.body.data.length > 0 && third.body.data.every((row) => row.companyId === 3));
    assert.ok(fifth.body.data.length > 0 && fifth.body.data.every((row) => row.companyId === 5));
    assert.deepEqual([bad.status, bad.body.code], [401, 'bad_token']);
    assert.match(bad.headers['www-authenticate'], /invalid_token/);
    assert.equal(twice.status, 401);
    assert.equal(viewer.status, 200);

    const anonymous = await batch([{ path: '/api/v1/users' }, own(`Bearer ${token}`)], { token: undefined });
    assert.deepEqual(statuses(anonymous), [401, 200]);
    assert.equal((await post([], { token: 'x.y.z' })).status, 401, 'the batch itself has to pass');
});

test('one that fails does not fail the others, and says what is wrong with it', async () => {
    const responses = await batch([
        { id: 1, path: AT, method: 'POST', body: [] },
        { id: 2, path: `${AT}?x=1`, method: 'POST' },
        { id: 3, path: '/health' },
        { id: 4, path: '/api/v10/things' },
        { id: 5, path: 'things/1' },
        { id: 6, path: '/api/v1/things/1 HTTP/1.1\r\nX: y' },
        { id: 7, path: '/api/v1/things/ä' },
        { id: 8, path: '/api/v1/things/1', headers: { 'a b': 'c' } },
        { id: 9, path: '/api/v1/things/1', headers: { a: 'b\r\nc: d' } },
        { id: 10, path: `/api/v1/things?${'x'.repeat(9000)}` },
        { id: 11, path: '/api/v1/things/1', method: 'G T' },
        { id: 12, path: '/api/v1/things/1' },
    ]);
    assert.deepEqual(responses.map(({ id }) => id), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert.deepEqual(statuses(responses), [400, 400, 400, 400, 400, 400, 400, 400, 400, 414, 400, 200]);
    assert.match(responses[0].body.message, /cannot hold a batch/);
    assert.match(responses[2].body.message, /does not lie under \/api\/v1/);
    for (const { body, status } of responses.slice(0, 11)) {
        assert.deepEqual(Object.keys(body), ['code', 'message', 'details', 'hint'], `${status}`);
        assert.ok(body.hint);
    }
});

test('writes: each is a transaction of its own, with its own body', async () => {
    const note = (id, text) => ({ method: 'POST', path: '/api/v1/notes', body: { id, note: { text } } });
    const responses = await batch([note(1, 'ä"\\'), note(2, 'b'), note(1, 'again'), { method: 'POST', path: '/api/v1/notes' },
        { ...note(3, 'c'), headers: { 'Content-Type': 'text/plain' } }, note(4, [null, 1e9])]);
    assert.deepEqual(statuses(responses).filter((status) => status === 201).length, 3);
    assert.deepEqual(statuses(responses.slice(3)), [400, 415, 201]);
    assert.deepEqual((await lab.sql('SELECT id, note FROM lab.notes WHERE id > 1 ORDER BY id')),
        [{ id: 2, note: { text: 'b' } }, { id: 4, note: { text: [null, 1e9] } }]);
    const [refused] = responses.filter(({ status }) => status === 409);
    assert.equal(refused.body.code, '23505');
    assert.deepEqual(statuses(await batch([1, 2, 4, 5].map((id) => ({ method: 'DELETE', path: `/api/v1/notes/${id}` })))), [200, 200, 200, 404]);
});

const transaction = (requests, options) => post({ requests, transaction: true }, options);
const note = (id, text = {}) => ({ method: 'POST', path: '/api/v1/notes', body: { id, note: text } });
const noteIds = async () => (await lab.hasten.get('/api/v1/notes?sort=id&limit=100', { token })).body.data.map(({ id }) => id);

test('a transaction: in their order, each sees what those before it wrote, and all of it stays', async () => {
    const before = await noteIds();
    const { status, body, headers } = await transaction([note(501), { path: '/api/v1/notes/501' },
        { id: 'd', method: 'DELETE', path: '/api/v1/notes/501' }, note(502, { is: 'kept' }), { path: '/api/v1/notes?id[in]=501,502' }]);
    assert.equal(status, 200);
    assert.equal(body.committed, true);
    assert.deepEqual(statuses(body.responses), [201, 200, 200, 201, 200]);
    assert.deepEqual(body.responses[4].body.data, [{ id: 502, note: { is: 'kept' } }]);
    assert.equal(body.responses[2].id, 'd');
    assert.deepEqual(await noteIds(), [...before, 502]);
    assert.equal(headers.get('content-type'), 'application/json');
    await lab.hasten.get('/api/v1/notes/502', { method: 'DELETE', token });
});

test('a transaction: one that fails undoes all, those behind it are not begun', async () => {
    const before = await noteIds();
    for (const [bad, expected] of [
        [note(601), 409], [{ path: '/api/v1/notes/9999' }, 404], [{ path: '/elsewhere' }, 400], [{ path: '/api/v1/asleep' }, 400],
        [{ path: '/api/v1/notes?limit=0', headers: { accept: 'text/csv' } }, 400],
        [{ ...note(602), headers: { 'idempotency-key': 'a' } }, 400],
        [{ method: 'DELETE', path: '/api/v1/notes?id[gte]=0&max-affected=0' }, 400],
    ]) {
        const { status, body } = await transaction([note(601), bad, note(603)]);
        assert.equal(status, expected, JSON.stringify(body));
        assert.equal(body.committed, false);
        assert.deepEqual(statuses(body.responses), [424, expected, 424]);
        assert.equal(body.responses[0].body.code, 'rolled_back');
        assert.deepEqual(await noteIds(), before);
    }
    assert.equal((await post({ requests: [], transaction: true })).status, 400);
    assert.equal((await post({ requests: [note(1)], transaction: 1 })).status, 400);
    assert.equal((await post({ requests: [], transaction: true }, { headers: { 'idempotency-key': 'x' } })).status, 400);
});

test('a transaction: who asks is the caller of each, and a refusal of COMMIT is the answer', async () => {
    await lab.sql(`CREATE TABLE lab.late (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
        GRANT SELECT, INSERT ON lab.late TO member`);
    await waitUntil(async () => (await lab.hasten.get('/api/v1/late', { token })).status === 200);
    const late = { method: 'POST', path: '/api/v1/late', body: { id: 1 } };
    const refused = await transaction([late, late]);
    assert.equal(refused.status, 409, refused.text);
    assert.equal(refused.body.code, '23505');
    const own = await transaction([note(701), { ...note(702), headers: { authorization: `Bearer ${sign({ role: 'viewer' }, SECRET)}` } }]);
    assert.equal(own.status, 403, own.text);
    assert.deepEqual(statuses(own.body.responses), [424, 403]);
    assert.deepEqual(await noteIds(), []);
});

test('a transaction that lasts too long is undone', async () => {
    await lab.sql(`CREATE FUNCTION lab.dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(5); RETURN NEW; END';
        CREATE TABLE lab.dawdled (id integer PRIMARY KEY); GRANT SELECT, INSERT ON lab.dawdled TO member;
        CREATE TRIGGER dawdle BEFORE INSERT ON lab.dawdled FOR EACH ROW EXECUTE FUNCTION lab.dawdle()`);
    await waitUntil(async () => (await lab.hasten.get('/api/v1/dawdled', { token })).status === 200);
    const { status, body } = await transaction([note(801), { method: 'POST', path: '/api/v1/dawdled', body: { id: 1 } }]);
    assert.equal(status, 504, JSON.stringify(body));
    assert.deepEqual(statuses(body.responses), [424, 504]);
    assert.deepEqual(await noteIds(), []);
});

test('what is no batch is refused whole, with the place', async () => {
    const refused = async (body, status, code, pattern) => {
        const answer = await post(body);
        assert.equal(answer.status, status, answer.text);
        assert.equal(answer.body.code, code);
        assert.match(JSON.stringify(answer.body), pattern);
    };
    await refused('', 400, 'bad_json', /line 1, column 1/);
    await refused('[{"path":"/api/v1/things"},\n  }]', 400, 'bad_json', /line 2, column 3/);
    await refused('[{"path":"/api/v1/things","path":"/"}]', 400, 'bad_body', /\\"path\\" stands twice.*in request 1, at line 1, column 27/);
    await refused([{ path: '/api/v1/things' }, { url: '/api/v1/things' }], 400, 'bad_body', /\\"url\\" is no member.*in request 2/);
    await refused({ requests: 1 }, 400, 'bad_body', /not an array/);
    await refused([{ method: 'GET' }], 400, 'bad_body', /no \\"path\\"/);
    await refused(Array(MAX + 1).fill({ path: '/api/v1/things' }), 413, 'body_too_large', /more than 40 requests.*api\.batch\.max/);
    const media = await post('[]', { headers: { 'content-type': 'text/plain' } });
    assert.deepEqual([media.status, media.body.code], [415, 'unsupported_media_type']);
    assert.equal((await post('[]', { headers: { 'content-type': 'application/json; charset=utf-8' } })).status, 200);
});

test('answers for which there is no room become an error of their own', async () => {
    const responses = await batch(paths('long', 'things/1', 'long', 'things/2'));
    assert.deepEqual(statuses(responses).sort(), [200, 200, 200, 503]);
    const [full] = responses.filter(({ status }) => status === 503);
    assert.equal(full.body.code, 'limit_reached');
    assert.equal(responses[1].body.data.id, 1);
    assert.equal(responses[3].body.data.id, 2);
    assert.equal((await lab.hasten.get('/metrics')).status, 200);
});

test('who leaves frees what has not been sent', async () => {
    const before = await metric('hasten_pg_queries_total');
    const body = JSON.stringify(paths(...Array(MAX).fill('asleep')));
    const socket = net.connect(lab.hasten.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`POST ${AT} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await waitUntil(async () => await metric('hasten_pg_queries_total') > before, { what: 'the first statement to be sent' });
    socket.resetAndDestroy();
    await waitUntil(async () => await metric('hasten_pg_queries_waiting') === 0, { what: 'an empty queue' });
    await waitUntil(async () => await metric('hasten_http_requests_in_flight') === 1, { what: 'only this scrape to be under way' });
    assert.ok(await metric('hasten_pg_queries_total') - before < MAX, 'some were never sent');
    assert.deepEqual(statuses(await batch(paths('things/1'))), [200]);
});

test('a table called batch keeps its address but for POST, and the log says so', async () => {
    assert.equal((await lab.get('batch', { token })).body.data[0].id, 1);
    assert.equal((await lab.get('batch/1', { token })).body.data.id, 1);
    assert.equal((await batch(paths('batch/1')))[0].body.data.id, 1);
    assert.match(lab.hasten.log, /table hidden.*cannot be inserted into table/);
});

test('without an anonymous role a batch needs a token; under another api.path it lies there', async () => {
    await lab.hasten.stop();
    lab.hasten.configure(exampleConfig(lab.pg, { 'auth.anonymous_role': undefined, 'api.path': '/db' }));
    await lab.hasten.spawn();
    const ask = (options) => lab.hasten.get('/db/batch', { method: 'POST', body: '[{"path":"/db/companies/3"}]',
        headers: { 'content-type': 'application/json' }, ...options });
    assert.equal((await ask({})).status, 401);
    const { status, body } = await ask({ token });
    assert.deepEqual([status, body.responses[0].body.data.id], [200, 3]);
    assert.equal((await lab.hasten.get(AT, { method: 'POST', body: '[]', token })).status, 404);
});
