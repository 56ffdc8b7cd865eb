// SPDX-License-Identifier: Apache-2.0
// Functions of the PostgREST dialect (A3) where no other server can be the judge: what of their answers is kept, what
// is undone, what surrounds a call, what options change. What PostgREST itself answers is compared in
// 80-rest-oracle.test.mjs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, exampleConfig } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { waitUntil } from './harness/util.mjs';

const DB = 'clients_plus';
const SCHEMA = `
    CREATE TABLE api.notes (id integer PRIMARY KEY, body text);
    INSERT INTO api.notes SELECT i, 'note ' || i FROM generate_series(1, 20) i;
    GRANT SELECT, INSERT, DELETE ON api.notes TO viewer;
    CREATE FUNCTION api.notes_from(lowest integer) RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT count(*) FROM api.notes WHERE id >= lowest);
    CREATE FUNCTION api.notes_like(pattern text DEFAULT '%') RETURNS SETOF api.notes LANGUAGE sql STABLE
        BEGIN ATOMIC SELECT n.* FROM api.notes n WHERE n.body LIKE pattern; END;
    CREATE FUNCTION api.day_after(d date) RETURNS date LANGUAGE sql IMMUTABLE RETURN d + 1;
    CREATE FUNCTION api.untold() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM api.notes';
    CREATE FUNCTION api.add_notes(VARIADIC ids integer[]) RETURNS SETOF api.notes LANGUAGE sql
        AS $$ INSERT INTO api.notes SELECT i, 'added' FROM unnest(ids) i RETURNING * $$;
    CREATE FUNCTION api.add_quietly(id integer) RETURNS void LANGUAGE sql AS $$ INSERT INTO api.notes VALUES (add_quietly.id, 'quiet') $$;
    CREATE FUNCTION api.echo(VARIADIC words text[]) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS 'SELECT unnest(words)';
    CREATE FUNCTION api.settings() RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT jsonb_build_object(
        'method', current_setting('request.method', true), 'path', current_setting('request.path', true),
        'colour', current_setting('request.headers', true)::json->>'x-colour', 'cookies', current_setting('request.cookies', true)::json,
        'search_path', current_setting('search_path'), 'app', current_setting('app.settings.name', true),
        'timeout', current_setting('statement_timeout'), 'isolation', current_setting('transaction_isolation'),
        'read_only', current_setting('transaction_read_only'), 'work_mem', current_setting('work_mem')) $$;
    CREATE FUNCTION api.patient() RETURNS text LANGUAGE sql STABLE SET statement_timeout = '20 s' SET work_mem = '3MB'
        AS $$ SELECT pg_sleep(0.6)::text || current_setting('statement_timeout') $$;
    CREATE FUNCTION api.strict() RETURNS text LANGUAGE sql STABLE SET default_transaction_isolation = 'repeatable read'
        AS $$ SELECT current_setting('transaction_isolation') $$;
    CREATE FUNCTION api.sleepy() RETURNS text LANGUAGE sql STABLE AS $$ SELECT pg_sleep(30)::text $$;
    CREATE FUNCTION api.headed(headers text, status text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        PERFORM set_config('response.headers', headers, true);
        IF status IS NOT NULL THEN PERFORM set_config('response.status', status, true); END IF;
        RETURN 'said'; END $$;
    CREATE FUNCTION api.check_request() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('request.path') = '/rpc/echo' THEN RAISE SQLSTATE 'PT418' USING MESSAGE = 'a teapot'; END IF;
        PERFORM set_config('response.headers', '[{"X-Checked": "yes"}]', true); END $$;
    CREATE FUNCTION api.root() RETURNS json LANGUAGE sql STABLE AS $$ SELECT '{"here": "I am"}'::json $$;
    CREATE PROCEDURE api.proceed(a integer) LANGUAGE sql AS '';
    CREATE VIEW api.heavy AS SELECT count(*) AS n FROM generate_series(1, 1000000000) a;
    GRANT SELECT ON api.heavy TO viewer;
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO viewer`;
let pg, server;

const sql = (text, options) => pg.sql(text, { db: DB, ...options });
const config = (more = {}) => exampleConfig(pg, { 'server.workers': 2, 'api.anonymous.cost_max': 0, ...more });
const said = (answer) => answer.headers.get('x-cache');
const call = (path, { headers, on = server, ...options } = {}) => on.get(`/rest/v1/${path}`, { headers: headers ?? {}, ...options });
const post = (name, body, { headers, ...more } = {}) => call(`rpc/${name}`, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers }, ...more });
const kept = (path) => waitUntil(async () => {
    const first = await call(path);
    assert.equal(first.status, 200, first.text);
    const again = await call(path);
    return said(again) === 'HIT' && again;
}, { what: `${path} to be kept` });

async function withServer(more, run) {
    const other = await Hasten.start(config(more));
    try {
        await run(other);
    } finally {
        await other.stop();
    }
}

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await sql(SCHEMA);
    server = await Hasten.start(config({ 'rest.tx_end': 'commit-allow-override', 'rest.app_settings': ['app.settings.name: hasten'], 'database.statement_timeout': '5s' }));
});
after(async () => {
    await server?.stop();
    await pg?.close();
});

test('the answer of a function whose body can be read is kept, by its arguments, until its tables change', async () => {
    assert.equal((await kept('rpc/notes_from?lowest=11')).body, 10);
    assert.equal((await kept('rpc/notes_from?lowest=16')).body, 5);
    assert.deepEqual((await kept('rpc/notes_like?pattern=note%203')).body, [{ id: 3, body: 'note 3' }]);
    await sql("UPDATE api.notes SET body = 'note 3' WHERE id = 4; DELETE FROM api.notes WHERE id = 20");
    await waitUntil(async () => (await call('rpc/notes_from?lowest=11')).body === 9, { what: 'the row to be missed' });
    await waitUntil(async () => (await call('rpc/notes_like?pattern=note%203')).body.length === 2, { what: 'the second row' });
});

test('what was kept of a function ends with its body, and with the right to call it', async () => {
    const path = 'rpc/notes_from?lowest=18';
    await kept(path);
    await sql('CREATE OR REPLACE FUNCTION api.notes_from(lowest integer) RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT count(*) + 1000 FROM api.notes WHERE id >= lowest)');
    await waitUntil(async () => (await call(path)).body >= 1000, { what: 'the new body' });
    await kept(path);
    await sql('REVOKE EXECUTE ON FUNCTION api.notes_from FROM PUBLIC, viewer');
    await waitUntil(async () => (await call(path)).body.code === '42501', { what: 'the refusal' });
    await sql('GRANT EXECUTE ON FUNCTION api.notes_from TO viewer');
    await waitUntil(async () => (await call(path)).status === 200, { what: 'the grant' });
});

test('what might be another answer tomorrow is not kept', async () => {
    await kept('rpc/day_after?d=2026-01-01');
    for (const path of ['rpc/day_after?d=today', 'rpc/untold', 'rpc/settings', 'rpc/notes_like?id=eq.1']) {
        await call(path);
        const again = await call(path);
        assert.deepEqual([again.status, said(again) === 'HIT'], [200, false], path);
    }
});

test('what a call wrote is seen by the next read', async () => {
    const count = async () => (await call('notes?select=id')).body.length;
    for (let id = 100; id < 110; id++) {
        const before_ = await count();
        const answer = await post('add_quietly', { id });
        assert.deepEqual([answer.status, answer.text, answer.headers.get('content-type')], [204, '', null]);
        assert.match(answer.headers.get('hasten-position') ?? '', /^[0-9a-f]{16}-[0-9a-f]{16}$/);
        assert.equal(await count(), before_ + 1);
    }
});

test('what is refused, or not wanted, has written nothing', async () => {
    const ids = async () => String((await sql('SELECT count(*) AS n FROM api.notes WHERE id >= 200'))[0].n);
    const most = (n) => ({ headers: { prefer: `handling=strict, max-affected=${n}` } });
    const one = { headers: { accept: 'application/vnd.pgrst.object+json' } };
    const refused = await post('add_notes', { ids: [200, 201, 202] }, most(2));
    assert.deepEqual([refused.status, refused.body.code, refused.body.details], [400, 'PGRST124', 'The query affects 3 rows']);
    const many = await post('add_notes', { ids: [200, 201] }, one);
    assert.deepEqual([many.status, many.body.code, many.body.details], [406, 'PGRST116', 'The result contains 2 rows']);
    const undone = await post('add_notes', { ids: [200] }, { headers: { prefer: 'tx=rollback' } });
    assert.deepEqual([undone.status, undone.body, undone.headers.get('preference-applied')], [200, [{ id: 200, body: 'added' }], 'tx=rollback']);
    const read = await call('rpc/add_notes?ids=200');
    assert.deepEqual([read.status, read.body.code], [405, '25006']);
    assert.equal(await ids(), '0');
    assert.deepEqual((await post('add_notes', { ids: [200] }, one)).body, { id: 200, body: 'added' });
    assert.equal((await post('add_notes', { ids: [201, 202] }, most(2))).status, 200);
    assert.equal(await ids(), '3');
});

test('arguments are values, whatever is in them', async () => {
    const words = ['a,b', '{"x"}', 'back\\slash', "it's", '', 'NULL', 'ü "q"'];
    const query = words.map((word) => `words=${encodeURIComponent(word)}`).join('&');
    assert.deepEqual((await call(`rpc/echo?${query}`)).body, words);
    assert.deepEqual((await call('rpc/echo', { method: 'POST', body: query, headers: { 'content-type': 'application/x-www-form-urlencoded' } })).body, words);
    assert.deepEqual((await post('echo', { words })).body, words);
    const odd = await post('echo', { 'words" := 1); DROP TABLE api.notes; --': 1 });
    assert.deepEqual([odd.status, odd.body.code], [404, 'PGRST202']);
    assert.equal((await call('rpc/echo%22%3B--?words=1')).status, 404);
    const crowd = await call('rpc/echo', { method: 'POST', body: Array.from({ length: 1665 }, () => 'words=1').join('&'), headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    assert.deepEqual([crowd.status, crowd.body.message], [400, 'The request has more than 1664 arguments']);
    assert.equal((await call('rpc/proceed?a=1')).body.code, '42809');
});

test('a function sees the request, in a transaction of the right kind', async () => {
    const seen = (await call('rpc/settings', { headers: { 'x-colour': 'red', cookie: 'a=1; b="2"' } })).body;
    assert.deepEqual(seen, { method: 'GET', path: '/rpc/settings', colour: 'red', cookies: { a: '1', b: '"2"' }, search_path: '"api", "public"',
        app: 'hasten', timeout: '5s', isolation: 'read committed', read_only: 'on', work_mem: seen.work_mem });
    assert.equal((await post('settings', {})).body.read_only, 'on');
    assert.equal((await post('settings', {})).body.method, 'POST');
});

test('settings of a function that are named hold for its transaction', async () => {
    assert.equal((await call('rpc/patient')).body, '20s');
    assert.equal((await call('rpc/strict')).body, 'repeatable read');
    assert.equal((await call('rpc/settings')).body.isolation, 'read committed', 'and no longer');
    await withServer({ 'rest.hoisted_settings': ['work_mem'], 'database.statement_timeout': '400ms' }, async (other) => {
        assert.equal((await call('rpc/strict', { on: other })).body, 'read committed');
        assert.equal((await call('rpc/patient', { on: other })).body.code, '57014', 'its own SET cannot lengthen what is running');
    });
});

test('the time limit of a role holds for every statement of it', async () => {
    await sql("ALTER ROLE viewer SET statement_timeout = '300ms'");
    try {
        await withServer({}, async (other) => {
            for (const path of ['rpc/sleepy', 'heavy']) assert.equal((await call(path, { on: other })).body.code, '57014', path);
            assert.equal((await call('rpc/settings', { on: other })).body.timeout, '300ms');
            assert.equal((await call('rpc/patient', { on: other })).body, '20s');
        });
    } finally {
        await sql('ALTER ROLE viewer RESET statement_timeout');
    }
});

test('a setting of a role that only the login may set is set as the login', async () => {
    await sql("GRANT SET ON PARAMETER log_min_messages TO authenticator; ALTER ROLE viewer SET log_min_messages = 'error'");
    await sql("CREATE FUNCTION api.logged() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('log_min_messages') || current_user $$");
    try {
        await withServer({}, async (other) => assert.equal((await call('rpc/logged', { on: other })).body, 'errorviewer'));
    } finally {
        await sql('ALTER ROLE viewer RESET log_min_messages');
    }
});

test('what a function says of the answer is heard, also of what wrote', async () => {
    const answer = await post('headed', { headers: '[{"X-Own":"1"},{"Set-Cookie":"a=1"},{"Content-Length":"9"}]', status: '201' });
    assert.deepEqual([answer.status, answer.body, answer.headers.get('x-own'), answer.headers.get('set-cookie')], [201, 'said', '1', 'a=1']);
    const broken = await post('headed', { headers: '[{"X-Own":"1\\r\\nX-Two: 2"}]' });
    assert.deepEqual([broken.status, broken.body.code, broken.headers.get('x-two')], [500, 'PGRST111', null]);
    assert.equal((await post('headed', { headers: '[]', status: '99' })).body.code, 'PGRST112');
});

test('a function that is asked before', async () => withServer({ 'rest.pre_request': 'api.check_request' }, async (other) => {
    for (let i = 0; i < 3; i++) {
        const answer = await call('rpc/notes_from?lowest=1', { on: other });
        assert.deepEqual([answer.status, answer.headers.get('x-checked'), said(answer) === 'HIT'], [200, 'yes', false]);
    }
    assert.deepEqual([(await call('rpc/echo?words=1', { on: other })).status], [418]);
}));

test('the root is what a function says', async () => withServer({ 'rest.root_function': 'api.root', 'rest.openapi': 'disabled' }, async (other) => {
    assert.deepEqual((await call('', { on: other })).body, { here: 'I am' });
    assert.equal((await call('', { on: other, method: 'HEAD' })).status, 200);
}));

const HEARS = { 'database.catalog.poll': '1h', 'rest.channel': 'the "channel"' };

test('NOTIFY on the channel of PostgREST', async () => withServer(HEARS, async (other) => {
    const there = (name) => waitUntil(async () => (await call(`rpc/${name}`, { on: other })).status === 200, { what: `${name} to be served` });
    const make = (name) => sql(`CREATE FUNCTION api.${name}() RETURNS integer LANGUAGE sql AS 'SELECT 1'`);
    await make('late');
    assert.equal((await call('rpc/late', { on: other })).status, 404);
    await sql(`NOTIFY "the ""channel""", 'reload schema'`);
    await there('late');
    await make('later');
    await sql('NOTIFY "the ""channel"""');
    await there('later');
    other.configure(config({ ...HEARS, 'rest.root_function': 'api.root' }));
    await sql('NOTIFY "the ""channel""", \'reload config\'');
    await waitUntil(async () => (await call('', { on: other })).body.here, { what: 'the configuration to be read again' });
}));

test('a call is no part of a transaction of a batch', async () => {
    const other = await Hasten.start(config({ 'rest.path': '/api/v1/rest' }));
    try {
        const batch = (transaction) => other.get('/api/v1/batch', { method: 'POST', headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ transaction, requests: [{ id: 'a', path: '/api/v1/rest/rpc/notes_from?lowest=1' }] }) });
        const alone = await batch(false);
        assert.equal(alone.body.responses[0].status, 200, alone.text);
        const inside = await batch(true);
        assert.deepEqual([inside.status, inside.body.responses[0].status], [400, 400], inside.text);
    } finally {
        await other.stop();
    }
});
