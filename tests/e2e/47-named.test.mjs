// SPDX-License-Identifier: Apache-2.0
// Named queries (A8): files that become addresses, their parameters, who may ask, what is kept, what breaks.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig, hasten, hastenBin, yaml } from './harness/hasten.mjs';
import { now, sign } from './harness/jwt.mjs';
import { EXAMPLE, Pg } from './harness/pg.mjs';
import { tempDir, waitUntil } from './harness/util.mjs';

const DB = 'clients_plus';
let pg, server, folder;

const member = (company) => sign({ role: 'member', company_id: company, exp: now(3600) }, SECRET);
const sql = (text) => pg.sql(text, { db: DB });
const get = (where, options) => server.get(`/api/v1/${where}`, options);
const post = (where, body, options = {}) => get(where, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), ...options });
const said = (answer) => answer.headers.get('x-cache');
const file = (name, text) => fs.writeFileSync(path.join(folder, name), text);

const FILES = {
    'notes-of.sql': `
-- description: Notes since a day,
-- description: newest first.
-- param since date = 2026-01-01 -- the first day
-- param words text[] ?
-- param mood api.mood = glad
-- param most int = 3
SELECT n.id, n.body, n.at, n.mood, n.at > :since AS is_later
FROM api.notes n
WHERE n.at >= :since AND n.mood = :mood AND (:words IS NULL OR n.body = ANY (:words))
ORDER BY n.id LIMIT :most`,
    'one-note.sql': '-- one: true\n-- param id int\nSELECT id, body AS "theBody" FROM api.notes WHERE id = :id;\n',
    'count-clients.sql': '-- one: true\nSELECT count(*) AS how_many FROM api.clients',
    'for-members.sql': '-- role: member\nSELECT count(*) AS n FROM api.notes',
    'clock.sql': 'SELECT now() AS at',
    'never.sql': '-- cache: none\nSELECT 1 AS one',
    'add-note.sql': '-- param id int\n-- param body text\nINSERT INTO api.notes (id, body) VALUES (:id, :body) RETURNING id, body',
    'drop-note.sql': '-- param id int\nDELETE FROM api.notes WHERE id = :id',
    'by-post.sql': '-- name: posted\n-- method: POST\n-- param ids int[]\n-- param about jsonb = {}\nSELECT id, :about AS about FROM api.notes WHERE id = ANY (:ids) ORDER BY id',
    'sly.sql': '-- method: GET\nSELECT api.sly() AS x',
    'bad-column.sql': '-- param id int\nSELECT id,\n  :id AS äöü,\n  wrong\nFROM api.notes',
    'bad-head.sql': '-- rol: member\nSELECT 1 AS a',
    'twice.sql': 'SELECT 1 AS a, 2 AS a',
    'nobody.sql': '-- role: boss\nSELECT 1 AS a',
    'fragile.sql': 'SELECT id, extra FROM api.notes ORDER BY id LIMIT 1',
    'readme.txt': 'not a query',
};

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await sql(`CREATE TYPE api.mood AS ENUM ('glad', 'sad');
        CREATE TABLE api.notes (id integer PRIMARY KEY, body text, at date NOT NULL DEFAULT '2026-05-01', mood api.mood NOT NULL DEFAULT 'glad', extra int);
        INSERT INTO api.notes SELECT i, 'note ' || i, '2026-01-01'::date + i, (CASE WHEN i % 2 = 0 THEN 'glad' ELSE 'sad' END)::api.mood FROM generate_series(1, 20) i;
        CREATE FUNCTION api.sly() RETURNS int LANGUAGE plpgsql AS $$BEGIN DELETE FROM api.notes; RETURN 1; END$$;
        GRANT SELECT ON api.notes TO viewer; GRANT SELECT, INSERT, DELETE ON api.notes TO member`);
    folder = path.join(tempDir('named'), 'api');
    fs.mkdirSync(folder);
    for (const [name, text] of Object.entries(FILES)) file(name, text);
    server = await Hasten.start(exampleConfig(pg, { 'api.queries': folder, 'server.workers': 2 }));
});
after(async () => {
    await server?.stop();
    await pg?.close();
});

test('parameters by query string: defaults, values, lists, types', async () => {
    const all = await get('q/notes-of');
    assert.equal(all.status, 200, all.text);
    assert.deepEqual(all.body.data, [2, 4, 6].map((id) => ({ id, body: `note ${id}`, at: `2026-01-0${id + 1}`, mood: 'glad', isLater: true })));
    assert.match(all.headers.get('etag'), /^"[0-9a-f]+"$/);
    assert.match(all.headers.get('server-timing') ?? '', /db|pg|total|app/);
    assert.deepEqual((await get('q/notes-of?mood=sad&most=2&since=2026-01-05')).body.data.map(({ id }) => id), [5, 7]);
    assert.deepEqual((await get('q/notes-of?words=note%204,%22note%208%22,a%5Cb')).body.data.map(({ id }) => id), [4, 8]);
    assert.deepEqual((await get('q/one-note?id=3')).body, { data: { id: 3, theBody: 'note 3' } });
    assert.equal((await get('q/one-note?id=99')).status, 404);
    const again = await get('q/notes-of', { headers: { 'if-none-match': all.headers.get('etag') } });
    assert.equal(again.status, 304);
    const head = await get('q/notes-of', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(all.text)));
});

test('what is wrong with a request is said: 400 with the name, 404, 405, 401, 403', async () => {
    const cases = [
        ['q/notes-of?sinc=2026-01-01', 400, /no parameter "sinc"/, /"since"/],
        ['q/notes-of?most=1&most=2', 400, /"most" is given twice/],
        ['q/notes-of?most=many', 400, /"many" is not a valid value for q\/notes-of\.most/],
        ['q/notes-of?mood=angry', 400, /"angry" is not a valid value/],
        ['q/notes-of?since=someday', 400, /someday/],
        ['q/one-note', 400, /the parameter "id" is missing/, /integer/],
        ['q/notes-off', 404, /no query "notes-off"/, /"notes-of"/],
        ['q/one-note/3', 404, /no query/],
        ['q/for-members', 401, /not for callers without a token/],
    ];
    for (const [where, status, message, hint] of cases) {
        const answer = await get(where);
        assert.equal(answer.status, status, `${where}: ${answer.text}`);
        assert.match(answer.body.message, message);
        if (hint) assert.match(answer.body.hint, hint);
    }
    const wrong = await post('q/notes-of', {});
    assert.equal(wrong.status, 405);
    assert.equal(wrong.headers.get('allow'), 'GET, HEAD, OPTIONS');
    assert.equal((await get('q/posted')).headers.get('allow'), 'POST, OPTIONS');
    assert.equal((await get('q/for-members', { token: member(1) })).body.data[0].n > 0, true);
});

test('POST: a JSON object, its types, its errors', async () => {
    const answer = await post('q/posted', { ids: [3, 1, 1], about: { a: [1] } });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.body.data, [{ id: 1, about: { a: [1] } }, { id: 3, about: { a: [1] } }]);
    assert.equal(answer.headers.get('etag'), null);
    for (const [body, status, message] of [
        [{ ids: ['x'] }, 422, /is not a valid value for q\/posted\.ids/],
        [{ id: [1] }, 400, /no parameter "id"/],
        [{}, 400, /the parameter "ids" is missing/],
        [[], 400, /no object/],
    ]) {
        const bad = await post('q/posted', body);
        assert.equal(bad.status, status, bad.text);
        assert.match(bad.body.message, message);
    }
    assert.equal((await post('q/posted?ids=1', {})).status, 400);
});

test('a write: by POST only, as the caller, and read behind it', async () => {
    const token = member(1);
    assert.equal((await get('q/add-note?id=1&body=x')).status, 405);
    assert.equal((await post('q/add-note', { id: 100, body: 'no' })).status, 401);
    await get('q/one-note?id=100');
    const added = await post('q/add-note', { id: 100, body: 'it"s' }, { token });
    assert.deepEqual(added.body, { data: [{ id: 100, body: 'it"s' }] }, added.text);
    assert.match(added.headers.get('hasten-position'), /^[0-9a-f-]+$/);
    assert.equal((await get('q/one-note?id=100')).body.data.theBody, 'it"s');
    assert.equal((await post('q/add-note', { id: 100, body: 'again' }, { token })).status, 409);
    assert.deepEqual((await post('q/drop-note', { id: 100 }, { token })).body, { affected: 1 });
    assert.equal((await get('q/one-note?id=100')).status, 404);
});

test('what calls itself a read cannot write', async () => {
    const before = (await get('q/notes-of?most=100')).body.data.length;
    const answer = await get('q/sly');
    assert.ok(answer.status >= 400, answer.text);
    assert.equal((await get('q/notes-of?most=100')).body.data.length, before);
});

test('kept, and gone with a change of the tables that it reads, no other', async () => {
    const hit = async (where, options) => waitUntil(async () => said(await get(where, options)) === 'HIT', { what: `${where} to be kept` });
    await hit('q/one-note?id=5');
    await hit('q/count-clients');
    await sql("UPDATE api.notes SET body = 'new' WHERE id = 5");
    await waitUntil(async () => (await get('q/one-note?id=5')).body.data.theBody === 'new', { what: 'the new row' });
    assert.equal(said(await get('q/count-clients')), 'HIT');
    for (const where of ['q/clock', 'q/never', 'q/notes-of?since=today', 'q/notes-of?since=yesterday']) {
        await get(where);
        assert.equal(said(await get(where)), 'BYPASS', where);
    }
    assert.ok(server.logContains(/query not cached.*clock\.sql.*now\(\) tells the time/));
});

test('row-level security holds, and tenants do not share answers', async () => {
    const counts = await sql('SELECT company_id::int AS company, count(*)::int AS n FROM api.clients GROUP BY 1 ORDER BY 1 LIMIT 3');
    for (let round = 0; round < 3; round++) {
        for (const { company, n } of counts) {
            assert.equal((await get('q/count-clients', { token: member(company) })).body.data.howMany, n);
        }
    }
    assert.equal((await get('q/count-clients')).body.data.howMany, (await sql('SELECT count(*)::int AS n FROM api.clients'))[0].n);
});

test('a change in one company leaves the answers of the others in place', async () => {
    const [one, other] = (await sql('SELECT company_id::int AS company FROM api.clients GROUP BY 1 ORDER BY 1 LIMIT 2')).map(({ company }) => member(company));
    const ask = (token) => get('q/count-clients', { token });
    for (const token of [one, other]) await waitUntil(async () => said(await ask(token)) === 'HIT', { what: 'a hit' });
    const before = (await ask(one)).body.data.howMany;
    await sql(`INSERT INTO api.clients (company_id, first_name, last_name) VALUES ((SELECT min(company_id) FROM api.clients), 'A', 'B')`);
    await waitUntil(async () => (await ask(one)).body.data.howMany === before + 1, { what: 'the new client' });
    assert.equal(said(await ask(other)), 'HIT');
});

test('broken files: a line in the log with file and line, an answer with the reason, the others go on', async () => {
    for (const [name, message] of [
        ['bad-column', /^bad-column\.sql:4: column "wrong" does not exist$/],
        ['bad-head', /^bad-head\.sql:1: there is no "rol" in the head of a query$/],
        ['twice', /^twice\.sql: two columns of its answer are named "a"$/],
    ]) {
        const answer = await get(`q/${name}`);
        assert.equal(answer.status, 500, answer.text);
        assert.match(answer.body.message, message);
    }
    assert.ok(server.logContains(/query cannot be run.*bad-column\.sql:4/));
    assert.ok(server.logContains(/the role \\?"boss\\?" is not among auth\.roles/));
});

test('listed, with what an OpenAPI document needs, for those who may ask', async () => {
    const { queries } = (await get('')).body;
    const one = queries.find(({ name }) => name === 'notes-of');
    assert.equal(one.path, '/api/v1/q/notes-of');
    assert.equal(one.method, 'GET');
    assert.equal(one.description, 'Notes since a day, newest first.');
    assert.deepEqual(one.parameters[0], { name: 'since', type: 'date', required: false, default: '2026-01-01', description: 'the first day' });
    assert.deepEqual(one.parameters[1], { name: 'words', type: 'text[]', required: false, default: null });
    assert.deepEqual(one.columns.at(-1), { name: 'isLater', type: 'boolean' });
    assert.ok(!queries.some(({ name }) => name === 'for-members'));
    assert.ok((await get('', { token: member(1) })).body.queries.some(({ name }) => name === 'for-members'));
    const page = await server.get('/', { headers: { accept: 'text/html' } });
    assert.match(page.text, /q\/notes-of/);
    const metrics = await server.get('/metrics');
    assert.match(metrics.text, /\/api\/v1\/q\/notes-of/);
});

test('in a batch, beside tables', async () => {
    const answer = await post('batch', [{ path: '/api/v1/q/one-note?id=1' }, { path: '/api/v1/notes/1' }, { path: '/api/v1/q/gone' }]);
    assert.equal(answer.status, 200, answer.text);
    const [mine, row, gone] = answer.body.responses;
    assert.deepEqual([mine.status, row.status, gone.status], [200, 200, 404], answer.text);
    assert.deepEqual(mine.body, { data: { id: 1, theBody: 'note 1' } });
    const token = member(1);
    const add = { method: 'POST', path: '/api/v1/q/add-note', body: { id: 200, body: 'both' } };
    const read = { path: '/api/v1/q/one-note?id=200' };
    const undone = await post('batch', { transaction: true, requests: [add, read, { path: '/api/v1/q/gone' }] }, { token });
    assert.equal(undone.status, 404, undone.text);
    assert.equal((await get('q/one-note?id=200')).status, 404);
    const done = await post('batch', { transaction: true, requests: [add, read] }, { token });
    assert.deepEqual(done.body.responses.map(({ body }) => body.data), [[{ id: 200, body: 'both' }], { id: 200, theBody: 'both' }], done.text);
    assert.equal((await get('q/one-note?id=200')).status, 200);
    const sly = await post('batch', { transaction: true, requests: [{ path: '/api/v1/q/sly' }] }, { token });
    assert.equal(sly.status, 400, sly.text);
});

test('the queries of Clients+ are understood, kept, and give what they promise', async () => {
    const shop = await Hasten.start(exampleConfig(pg, { 'api.queries': path.join(EXAMPLE, 'api') }));
    try {
        const token = member(1);
        const ask = (where) => shop.get(`/api/v1/q/${where}`, { token });
        const days = (await ask('appointment-analytics?from=2026-06-01&to=2026-06-08')).body.data;
        assert.deepEqual(days.map(({ date, appointments }) => [date, appointments]),
            (await sql(`SELECT date::text, count(*)::int AS n FROM api.appointments WHERE company_id = 1
                AND date >= '2026-06-01' AND date < '2026-06-08' GROUP BY 1 ORDER BY 1`)).map(({ date, n }) => [date, n]));
        const found = (await ask('search-clients?q=emma&limit=5')).body.data;
        assert.ok(found.length > 0 && found.every(({ firstName, email }) => /emma/i.test(firstName + email)));
        assert.ok(found.every(({ rank }, i) => i === 0 || rank <= found[i - 1].rank), 'the best match first');
        const figures = (await ask('dashboard-metrics')).body.data;
        assert.equal(figures.activeClients, (await sql("SELECT count(*)::int AS n FROM api.clients WHERE company_id = 1 AND status = 'ACTIVE'"))[0].n);
        const clients = (await ask('clients-with-analytics?limit=3&offset=2')).body.data;
        assert.equal(clients.length, 3);
        for (const client of clients) {
            const [{ n }] = await sql(`SELECT count(*)::int AS n FROM api.appointments WHERE client_id = ${client.id} AND status = 'COMPLETED'`);
            assert.equal(client.visits, n);
        }
        for (const where of ['appointment-analytics', 'search-clients?q=emma', 'dashboard-metrics', 'clients-with-analytics']) {
            await waitUntil(async () => said(await ask(where)) === 'HIT', { what: `${where} to be kept` });
        }
        assert.ok(!shop.logContains(/query (not cached|cannot be run)/));
    } finally {
        await shop.stop();
    }
});

test('a dropped column breaks its query only, and it heals; a reload reads the files again', async () => {
    assert.equal((await get('q/fragile')).status, 200);
    await sql('ALTER TABLE api.notes DROP COLUMN extra');
    await waitUntil(async () => (await get('q/fragile')).status === 500, { what: 'the query to break' });
    assert.match((await get('q/fragile')).body.message, /fragile\.sql:1: column "extra" does not exist/);
    await server.waitLog(/query cannot be run.*fragile\.sql:1/);
    assert.equal((await get('q/one-note?id=1')).status, 200);
    await sql('ALTER TABLE api.notes ADD COLUMN extra int');
    await waitUntil(async () => (await get('q/fragile')).status === 200, { what: 'the query to heal' });
    file('fragile.sql', 'SELECT 42 AS answer');
    file('fresh.sql', 'SELECT 43 AS answer');
    server.signal('SIGHUP');
    await waitUntil(async () => (await get('q/fresh')).status === 200, { what: 'the new file' });
    assert.deepEqual((await get('q/fragile')).body.data, [{ answer: 42 }]);
    fs.rmSync(path.join(folder, 'fresh.sql'));
    server.signal('SIGHUP');
    await waitUntil(async () => (await get('q/fresh')).status === 404, { what: 'the file to be gone' });
});

test('looking at the files changes nothing: no new catalog, nothing forgotten', async () => {
    const hit = async () => waitUntil(async () => said(await get('q/count-clients')) === 'HIT', { what: 'a hit' });
    await hit();
    const reads = server.log.match(/catalog read/g).length;
    await sql("NOTIFY hasten, 'look'");
    await sql("NOTIFY hasten, 'reload'");
    await waitUntil(() => server.log.match(/catalog read/g).length > reads, { what: 'the catalog to be read' });
    assert.equal(said(await get('q/count-clients')), 'HIT', 'a look at the files invalidates nothing');
    assert.equal(server.log.match(/catalog read/g).length, reads + 1);
});

test('without TEMP: runs as before, not kept, and says so', async () => {
    await sql(`REVOKE TEMP ON DATABASE ${DB} FROM PUBLIC`);
    await sql("NOTIFY hasten, 'reload'");
    await server.waitLog(/query not cached.*one-note\.sql.*temporary/);
    await waitUntil(async () => said(await get('q/one-note?id=1')) === 'BYPASS', { what: 'a bypass' });
    assert.equal((await get('q/one-note?id=1')).status, 200);
    await sql(`GRANT TEMP ON DATABASE ${DB} TO PUBLIC`);
    await sql("NOTIFY hasten, 'reload'");
    await waitUntil(async () => said(await get('q/one-note?id=1')) === 'HIT', { what: 'a hit again' });
});

test('`hasten doctor` tells of broken queries, and of those that are not kept', async () => {
    const place = path.join(tempDir('named-doctor'), 'hasten.yaml');
    fs.writeFileSync(place, yaml(exampleConfig(pg, { 'api.queries': folder })));
    const { code, stdout } = await hasten(['doctor', '--json', '--config', place]);
    const { findings } = JSON.parse(stdout);
    assert.equal(code, 1);
    assert.ok(findings.some(({ check, what }) => check === 'query' && what === 'bad-column.sql:4: column "wrong" does not exist'), stdout);
    assert.ok(findings.some(({ check, level, what, why }) => check === 'query-kept' && level === 'advice' && /^clock\.sql:/.test(what) && /tells the time/.test(why)));
    fs.writeFileSync(place, yaml(exampleConfig(pg, { 'api.queries': path.join(EXAMPLE, 'api') })));
    assert.equal((await hasten(['doctor', '--config', place])).code, 0);
});

test('a folder that is not there is a fault of the configuration', async () => {
    await assert.rejects(Hasten.start(exampleConfig(pg, { 'api.queries': '/nowhere/at/all' }), { timeout: 10_000 }),
        /api\.queries: could not read the folder \/nowhere\/at\/all/);
});

test('`hasten config check` reads the heads of the files; a relative folder is beside the configuration', () => {
    const place = tempDir('named-check');
    fs.mkdirSync(path.join(place, 'sql'));
    fs.writeFileSync(path.join(place, 'hasten.yaml'), 'api:\n  queries: sql\n');
    const check = () => spawnSync(hastenBin(), ['config', 'check', '--config', path.join(place, 'hasten.yaml')], { encoding: 'utf8' });
    fs.writeFileSync(path.join(place, 'sql/good.sql'), 'SELECT 1 AS one');
    assert.match(check().stdout, /^ok\n/);
    fs.writeFileSync(path.join(place, 'sql/bad.sql'), '\nSELECT :day AS day');
    fs.writeFileSync(path.join(place, 'sql/other.sql'), '-- name: good\nSELECT 1 AS one');
    const { status, stderr } = check();
    assert.equal(status, 2);
    assert.match(stderr, /bad\.sql:2: the parameter :day is not declared/);
    assert.match(stderr, /other\.sql: another file has the name "good"/);
    for (let i = 0; i < 1000; i++) fs.writeFileSync(path.join(place, `sql/q${i}.sql`), 'SELECT 1 AS one');
    assert.match(check().stderr, /api\.queries: .*sql holds more than 1000 files/);
});
