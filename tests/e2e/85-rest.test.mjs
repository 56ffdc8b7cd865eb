// SPDX-License-Identifier: Apache-2.0
// The HTTP side of the PostgREST dialect (A3) where no other server can be the judge: what is kept and when it
// ends, how options change it, what functions see of a request. What PostgREST itself answers is compared in
// 80-rest-oracle.test.mjs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig } from './harness/hasten.mjs';
import { now, sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { waitUntil } from './harness/util.mjs';

const DB = 'clients_plus';
let pg, server;

const sql = (text, options) => pg.sql(text, { db: DB, ...options });
const said = (answer) => answer.headers.get('x-cache');
const config = (more = {}) => exampleConfig(pg, { 'server.workers': 2, 'api.anonymous.cost_max': 0, ...more });
const rest = (path, { headers, ...options } = {}) => server.get(`/rest/v1/${path}`, { headers: headers ?? {}, ...options });
const member = (company) => sign({ role: 'member', company_id: company, exp: now(3600) }, SECRET);

/** Asks until the answer is kept; the hit. */
const kept = (path, options) => waitUntil(async () => {
    const first = await rest(path, options);
    assert.equal(first.status, 200, first.text);
    const again = await rest(path, options);
    return said(again) === 'HIT' && again;
}, { what: `${path} to be kept` });
const soon = (check, what) => waitUntil(check, { what });

/** A server of its own for one test. */
async function withServer(more, run) {
    const all = Object.entries(config(more)).filter(([, value]) => value !== undefined);
    const other = await Hasten.start(Object.fromEntries(all));
    try {
        await run(other);
    } finally {
        await other.stop();
    }
}

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await sql(`
        CREATE TABLE api.notes (id integer PRIMARY KEY, body text, data jsonb);
        INSERT INTO api.notes SELECT i, 'note ' || i, jsonb_build_object('n', i % 3, 'gone', NULL) FROM generate_series(1, 50) i;
        CREATE TABLE api.marks (id integer PRIMARY KEY, note_id integer REFERENCES api.notes, name text);
        INSERT INTO api.marks VALUES (1, 1, 'a'), (2, 2, 'b');
        CREATE TABLE api.big (id bigint PRIMARY KEY); INSERT INTO api.big VALUES (9007199254740993);
        CREATE FUNCTION api.shown() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN
            PERFORM set_config('response.headers', '[{"X-Seen":"yes"},{"Content-Range":"mine"}]', true);
            RETURN current_setting('request.method') || ' ' || current_setting('request.path') || ' '
                || (current_setting('request.headers')::json->>'x-colour') || ' ' || (current_setting('request.cookies')::json->>'a')
                || ' ' || current_setting('search_path') || ' ' || coalesce(current_setting('app.settings.name', true), '-'); END $$;
        CREATE VIEW api.seen AS SELECT 1 AS id, api.shown() AS what;
        CREATE FUNCTION api.check_request() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
            IF current_setting('request.headers')::json->>'x-refuse' IS NOT NULL THEN
                RAISE SQLSTATE 'PT418' USING MESSAGE = 'a teapot', HINT = 'ask for coffee elsewhere'; END IF; END $$;
        CREATE FUNCTION api.colour(api.notes) RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('request.headers')::json->>'x-colour' $$;
        GRANT SELECT ON api.notes, api.marks, api.big, api.seen TO viewer, member;
        ANALYZE api.notes`);
    server = await Hasten.start(config({ 'rest.plan_enabled': true, 'rest.app_settings': ['app.settings.name: hasten'] }));
});
after(async () => {
    await server?.stop();
    await pg?.close();
});

test('a row by its key is kept, and ends with its row', async () => {
    const hit = await kept('notes?id=eq.1');
    assert.deepEqual(hit.body, [{ id: 1, body: 'note 1', data: { n: 1, gone: null } }]);
    assert.equal(hit.headers.get('content-range'), '0-0/*');
    assert.equal(hit.headers.get('content-type'), 'application/json; charset=utf-8');
    await kept('notes?id=eq.2&select=*');
    await sql("UPDATE api.notes SET body = 'new' WHERE id = 1");
    await soon(async () => (await rest('notes?id=eq.1')).body[0].body === 'new', 'the new row');
    assert.equal(said(await rest('notes?id=eq.2&select=*')), 'HIT');
    assert.deepEqual((await rest('notes?id=eq.99')).body, []);
});

test('what is read by a way into JSON, or beside an inner join, ends with what it hangs on', async () => {
    const path = 'notes?select=id&data->>n=eq.2&order=id&limit=2';
    assert.deepEqual((await kept(path)).body, [{ id: 2 }, { id: 5 }]);
    await sql(`UPDATE api.notes SET data = '{"n": 2}' WHERE id = 3`);
    await soon(async () => (await rest(path)).body[1].id === 3, 'the row that fits now');
    const joined = 'notes?select=id,marks!inner(name)&marks.name=eq.b';
    assert.deepEqual((await kept(joined)).body, [{ id: 2, marks: [{ name: 'b' }] }]);
    await sql("UPDATE api.marks SET name = 'b' WHERE id = 1");
    await soon(async () => (await rest(joined)).body.length === 2, 'the second row');
    const without = 'notes?select=id,marks()&marks=is.null&id=lt.4&order=id';
    assert.deepEqual((await kept(without)).body, [{ id: 3 }]);
    await sql('INSERT INTO api.marks VALUES (3, 3, NULL)');
    await soon(async () => (await rest(without)).body.length === 0, 'no row without a mark');
});

test('one address in several forms: each is kept by itself', async () => {
    const path = 'notes?select=id,body&id=eq.4';
    const forms = [[{}, [{ id: 4, body: 'note 4' }]], [{ accept: 'application/vnd.pgrst.object+json' }, { id: 4, body: 'note 4' }],
        [{ accept: 'text/csv' }, 'id,body\n4,"note 4"'], [{ 'accept-profile': 'api' }, [{ id: 4, body: 'note 4' }]],
        [{ prefer: 'count=exact' }, [{ id: 4, body: 'note 4' }]], [{ range: '1-2' }, []]];
    for (let round = 0; round < 3; round++) {
        for (const [headers, expected] of forms) {
            const answer = await rest(path, { headers });
            assert.equal(answer.status, 200, answer.text);
            assert.deepEqual(typeof expected === 'string' ? answer.text : answer.body, expected);
            assert.equal(answer.headers.get('preference-applied'), headers.prefer ?? null);
            assert.equal(answer.headers.get('content-profile'), headers['accept-profile'] ?? null);
            assert.equal(answer.headers.get('content-range'), headers.range ? '*/*' : headers.prefer ? '0-0/1' : '0-0/*');
        }
    }
    for (const [headers] of forms) assert.equal(said(await rest(path, { headers })), 'HIT', JSON.stringify(headers));
});

test('entity tags: 304 to who has it', async () => {
    const { headers } = await kept('notes?id=eq.6');
    const again = await rest('notes?id=eq.6', { headers: { 'if-none-match': headers.get('etag') } });
    assert.equal(again.status, 304);
    assert.equal(again.text, '');
});

test('another caller gets another answer', async () => {
    const ask = (company) => rest('clients?select=id,company_id&limit=5', { token: member(company) });
    for (let round = 0; round < 3; round++) {
        for (const company of [2, 3]) {
            const { body } = await ask(company);
            assert.equal(body.length, 5);
            assert.ok(body.every((row) => row.company_id === company));
        }
    }
});

test('many rows by their keys at once, some of them absent', async () => {
    const ids = Array.from({ length: 200 }, (_, i) => 7 + i % 60);
    const answers = await Promise.all(ids.map((id) => rest(`notes?id=eq.${id}`, { headers: { 'cache-control': 'no-cache' } })));
    answers.forEach(({ body }, i) => assert.deepEqual(body.map((row) => row.id), ids[i] <= 50 ? [ids[i]] : []));
});

test('keys that are no plain number go the long way', async () => {
    for (const value of ['+7', '007', '%207']) assert.deepEqual((await rest(`notes?select=id&id=eq.${value}`)).body, [{ id: 7 }], value);
    assert.equal((await rest('notes?id=eq.x')).body.code, '22P02');
    assert.equal((await rest('notes?id=eq.99999999999')).body.code, '22003');
    assert.deepEqual((await rest('big?id=eq.9007199254740993')).text, '[{"id":9007199254740993}]');
});

test('what a function sees of a request, and says of the answer', async () => {
    const answer = await rest('seen', { headers: { 'x-colour': 'green "leaf"', cookie: 'b=2; a=1' } });
    assert.equal(answer.body[0].what, 'GET /seen green "leaf" 1 "api", "public" hasten');
    assert.equal(answer.headers.get('x-seen'), 'yes');
    assert.equal(answer.headers.get('content-range'), 'mine');
    assert.equal(said(answer) ?? 'BYPASS', 'BYPASS');
    assert.equal((await rest('seen?id=eq.5')).headers.get('x-seen') ?? 'not called', 'not called');
});

test('counts', async () => {
    const counted = async (how, path = 'notes?select=id&limit=2') => {
        const answer = await rest(path, { headers: { prefer: `count=${how}` } });
        return `${answer.status} ${answer.headers.get('content-range')}`;
    };
    assert.equal(await counted('exact'), '206 0-1/50');
    assert.equal(await counted('planned'), '206 0-1/50');
    assert.equal(await counted('estimated'), '206 0-1/50');
    assert.match(await counted('planned', 'notes?select=id&id=lt.20&limit=2'), /^206 0-1\/(1|2)\d$/);
    await withServer({ 'rest.max_rows': 10 }, async (bounded) => {
        const ask = (query, how) => bounded.get(`/rest/v1/notes?select=id&${query}`, { headers: { prefer: `count=${how}` } });
        assert.equal((await ask('limit=40', 'estimated')).headers.get('content-range'), '0-9/50');
        assert.equal((await ask('id=lt.8', 'estimated')).headers.get('content-range'), '0-6/7');
        assert.equal((await ask('', 'exact')).headers.get('content-range'), '0-9/50');
    });
});

test('a plan only where it is allowed', async () => {
    const headers = { accept: 'application/vnd.pgrst.plan+json; options=verbose' };
    const answer = await rest('notes?id=eq.1', { headers });
    assert.equal(answer.headers.get('content-type'), 'application/vnd.pgrst.plan+json; for="application/json"; options=verbose; charset=utf-8');
    assert.ok(JSON.parse(answer.text)[0].Plan);
    await withServer({}, async (strict) => {
        const refused = await strict.get('/rest/v1/notes', { headers });
        assert.deepEqual([refused.status, refused.body.code], [406, 'PGRST107']);
    });
});

test('what Accept says of null, and does not show in the type, decides nothing', async () => {
    const stripped = await kept('notes?id=eq.41&select=id,data', { headers: { accept: 'application/json;nulls=stripped' } });
    assert.deepEqual(stripped.body, [{ id: 41, data: { n: 2, gone: null } }]);
    assert.deepEqual((await kept('notes?id=eq.41&select=id,data')).body, stripped.body);
});

test('a check of the operator\'s before each request', () => withServer({ 'rest.pre_request': 'api.check_request' }, async (checked) => {
    const refused = await checked.get('/rest/v1/notes?id=eq.1', { headers: { 'x-refuse': '1' } });
    assert.deepEqual([refused.status, refused.body], [418, { code: 'PT418', details: null, hint: 'ask for coffee elsewhere', message: 'a teapot' }]);
    assert.equal(refused.headers.get('proxy-status'), 'PostgREST; error=PT418');
    for (let i = 0; i < 3; i++) assert.notEqual(said(await checked.get('/rest/v1/notes?id=eq.1')), 'HIT');
    assert.equal((await checked.get('/rest/v1/', { headers: { 'x-refuse': '1' } })).status, 418, 'the description, too');
    assert.equal((await checked.get('/rest/v1/')).status, 200);
}));

test('the dialect at the root: its neighbours stay', () => withServer({ 'rest.path': '/' }, async (root) => {
    assert.deepEqual((await root.get('/notes?select=id&id=eq.1')).body, [{ id: 1 }]);
    assert.equal((await root.get('/health')).status, 200);
    assert.equal((await root.get('/metrics')).status, 200);
    assert.equal((await root.get('/api/v1/notes/1')).body.data.id, 1);
    assert.equal((await root.get('/nothing')).body.code, 'PGRST205');
}));

test('the dialect switched off, and elsewhere', async () => {
    await withServer({ 'rest.enabled': false }, async (off) => {
        assert.equal((await off.get('/rest/v1/notes')).body.code, 'not_found');
        assert.equal((await off.get('/')).status, 200);
    });
    await withServer({ 'rest.path': '/data' }, async (moved) => assert.equal((await moved.get('/data/notes?id=eq.1')).status, 200));
});

test('errors before the dialect is reached are told in its form', async () => {
    for (const [options, status, code] of [[{ token: 'nonsense' }, 401, 'PGRST301'], [{ token: sign({ role: 'postgres' }, SECRET) }, 403, '42501']]) {
        const answer = await rest('notes', options);
        assert.deepEqual([answer.status, answer.body.code, Object.keys(answer.body)], [status, code, ['code', 'details', 'hint', 'message']]);
    }
    const method = await rest('notes', { method: 'LINK' });
    assert.deepEqual([method.status, method.body.code], [405, 'PGRST117']);
    const simple = await server.get('/api/v1/nothing');
    assert.equal(simple.body.code, 'unknown_table');
});

test('pages of other origins', async () => {
    const asked = { origin: 'https://app.example.com', 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-mine' };
    await withServer({ 'auth.anonymous_role': undefined, 'rest.cors.origins': ['https://app.example.com'] }, async (strict) => {
        const preflight = await strict.get('/rest/v1/notes', { method: 'OPTIONS', headers: asked });
        assert.equal(preflight.status, 200);
        assert.equal(preflight.headers.get('access-control-allow-origin'), 'https://app.example.com');
        assert.match(preflight.headers.get('access-control-allow-headers'), /x-mine/);
        const refused = await strict.get('/rest/v1/notes', { headers: asked });
        assert.equal(refused.status, 401);
        assert.equal(refused.headers.get('access-control-allow-origin'), 'https://app.example.com');
        const stranger = await strict.get('/rest/v1/notes', { method: 'OPTIONS', headers: { ...asked, origin: 'https://evil.example' } });
        assert.equal(stranger.headers.get('access-control-allow-origin'), null);
        assert.equal((await strict.get('/api/v1/notes', { headers: asked })).headers.get('access-control-allow-origin'), null);
    });
    const hit = await kept('notes?id=eq.8', { headers: asked });
    assert.equal(hit.headers.get('access-control-allow-origin'), '*');
    assert.equal((await rest('notes?id=eq.8')).headers.get('access-control-allow-origin'), null);
});

test('HEAD knows no Range, also where a GET with one was kept', async () => {
    const path = 'notes?select=id&id=lt.20';
    const headers = { range: '0-4' };
    assert.equal((await kept(path, { headers })).headers.get('content-range'), '0-4/*');
    assert.equal((await rest(path, { method: 'HEAD', headers })).headers.get('content-range'), '0-18/*');
});

test('a computed field sees the request, and its answer is not kept', async () => {
    for (const colour of ['red', 'blue', 'blue']) {
        const answer = await rest('notes?select=id,colour&id=eq.9', { headers: { 'x-colour': colour } });
        assert.deepEqual(answer.body, [{ id: 9, colour }]);
    }
    const filtered = await rest('notes?select=id&colour=eq.red&id=eq.9', { headers: { 'x-colour': 'red' } });
    assert.deepEqual(filtered.body, [{ id: 9 }]);
});
