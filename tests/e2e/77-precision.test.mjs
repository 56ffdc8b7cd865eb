// SPDX-License-Identifier: Apache-2.0
// Precision: what a write to one of 50 tenants costs the cached answers of the others, for each replica identity.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, SECRET } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { waitUntil } from './harness/util.mjs';

const TENANTS = 50, ROWS = 6, DB = 'postgres';
const WRITTEN = 7, OTHER = 8;
const TABLES = ['by_default', 'by_index', 'by_full'];
// A table for each test: what a test changes first must be the first that the stream tells of its table.
const TESTS = ['insert', 'update', 'remove', 'unread', 'move'];
const CLAIM = "(SELECT (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'company_id')::int)";
const FIELDS = 'fields=id,status';

const setUp = (table) => `
    CREATE TABLE api.${table} (id integer PRIMARY KEY, company_id integer NOT NULL, status text NOT NULL, note text);
    INSERT INTO api.${table} SELECT t * 100 + i, t, CASE WHEN i % 2 = 0 THEN 'ACTIVE' ELSE 'LEFT' END, 'note'
        FROM generate_series(1, ${TENANTS}) t, generate_series(1, ${ROWS}) i;
    ALTER TABLE api.${table} ENABLE ROW LEVEL SECURITY; GRANT SELECT ON api.${table} TO member;
    CREATE POLICY own ON api.${table} TO member USING (company_id = ${CLAIM});
    ${table.startsWith('by_index') ? `CREATE UNIQUE INDEX ${table}_identity ON api.${table} (company_id, id);
        ALTER TABLE api.${table} REPLICA IDENTITY USING INDEX ${table}_identity;` : ''}
    ${table.startsWith('by_full') ? `ALTER TABLE api.${table} REPLICA IDENTITY FULL;` : ''}`;

let pg, server;
const tokens = Array.from({ length: TENANTS + 1 }, (_, company) => sign({ role: 'member', company_id: company, exp: undefined }, SECRET));

/** What is cached of a tenant: {kind: path}. */
const answersOf = (table, tenant) => ({
    list: `${table}?${FIELDS}`, page: `${table}?${FIELDS}&sort=-id&limit=2`, active: `${table}?${FIELDS}&status=ACTIVE`,
    left: `${table}?${FIELDS}&status=LEFT`, either: `${table}?${FIELDS}&status[in]=ACTIVE,GONE`, count: `${table}?${FIELDS}&count=exact&limit=1`,
    item: `${table}/${tenant * 100 + 1}?${FIELDS}`, second: `${table}/${tenant * 100 + 2}?${FIELDS}`,
});
const ask = async (path, tenant) => (await server.get(`/api/v1/${path}`, { token: tokens[tenant] })).headers.get('x-cache');

async function keepAll(table) {
    for (let tenant = 1; tenant <= TENANTS; tenant++) {
        await Promise.all(Object.values(answersOf(table, tenant)).map((path) => waitUntil(async () => await ask(path, tenant) === 'HIT', { what: path })));
    }
}

/** When it has been answered, the stream has told of all that was committed before it. */
async function barrier() {
    const answer = await server.get('/api/v1/barrier/1', { method: 'PATCH', token: tokens[1],
        headers: { 'content-type': 'application/json' }, body: '{"n":1}' });
    assert.equal(answer.status, 200, answer.text);
}

/** {tenant: kinds of answers that it has lost} of those that have lost any. */
async function lostBy(table, sql) {
    await keepAll(table);
    await pg.sql(sql);
    await barrier();
    const lost = {};
    for (let tenant = 1; tenant <= TENANTS; tenant++) {
        const paths = Object.entries(answersOf(table, tenant));
        const kinds = await Promise.all(paths.map(async ([kind, path]) => (await ask(path, tenant) !== 'HIT') && kind));
        if (kinds.some(Boolean)) lost[tenant] = kinds.filter(Boolean);
    }
    return lost;
}

before(async () => {
    pg = await Pg.start();
    await pg.sql(`CREATE ROLE authenticator LOGIN NOINHERIT; CREATE ROLE member; GRANT member TO authenticator; CREATE SCHEMA api;
        GRANT USAGE ON SCHEMA api TO member; ${TABLES.flatMap((table) => TESTS.map((name) => setUp(`${table}_${name}`))).join('')}
        CREATE TABLE api.barrier (id integer PRIMARY KEY, n integer); INSERT INTO api.barrier VALUES (1, 0);
        GRANT SELECT, UPDATE ON api.barrier TO member`);
    await pg.installFeed({ db: DB });
    server = await Hasten.start({
        'database.url': pg.url({ user: 'authenticator' }), 'database.schemas': ['api'], 'api.names': 'same', 'log.access': false,
        'auth.jwt.secret': SECRET, 'auth.roles': ['member'], 'cache.write_wait': '10s', 'cache.max_staleness': '10s',
    });
});
after(async () => {
    await server?.stop();
    await pg?.close();
});

const LISTS = ['list', 'page', 'active', 'left', 'either', 'count'];
const FILTERED = ['active', 'either'];      // those that an ACTIVE row may be among
const everyone = (kinds) => Object.fromEntries(Array.from({ length: TENANTS }, (_, i) => [i + 1, kinds]));

for (const table of TABLES) {
    test(`${table}: an INSERT costs its tenant the lists that the row is among, and nobody else anything`, async () => {
        const name = `${table}_insert`;
        const lost = await lostBy(name, `INSERT INTO api.${name} VALUES (1, ${WRITTEN}, 'ACTIVE')`);
        assert.deepEqual(lost, { [WRITTEN]: ['list', 'page', ...FILTERED, 'count'] });
    });
}

test('REPLICA IDENTITY FULL: an UPDATE, a DELETE and a move cost the tenants that they are of', async () => {
    const changed = await lostBy('by_full_update', `UPDATE api.by_full_update SET status = 'GONE' WHERE id = ${WRITTEN * 100 + 2}`);
    assert.deepEqual(changed, { [WRITTEN]: ['list', 'page', ...FILTERED, 'count', 'second'] });
    const deleted = await lostBy('by_full_remove', `DELETE FROM api.by_full_remove WHERE id = ${WRITTEN * 100 + 2}`);
    assert.deepEqual(deleted, { [WRITTEN]: ['list', 'page', ...FILTERED, 'count', 'second'] });
    const moved = await lostBy('by_full_move', `UPDATE api.by_full_move SET company_id = ${OTHER} WHERE id = ${WRITTEN * 100 + 2}`);
    // Tenant 8 had asked for no such row of its own: /702 was tenant 7's question alone.
    assert.deepEqual(moved, { [WRITTEN]: ['list', 'page', ...FILTERED, 'count', 'second'], [OTHER]: ['list', 'page', ...FILTERED, 'count'] });
});

test('REPLICA IDENTITY USING INDEX (company_id, id): the same, but all filters of the tenant', async () => {
    const changed = await lostBy('by_index_update', `UPDATE api.by_index_update SET status = 'GONE' WHERE id = ${WRITTEN * 100 + 2}`);
    assert.deepEqual(changed, { [WRITTEN]: [...LISTS, 'second'] });
    const deleted = await lostBy('by_index_remove', `DELETE FROM api.by_index_remove WHERE id = ${WRITTEN * 100 + 2}`);
    assert.deepEqual(deleted, { [WRITTEN]: [...LISTS, 'second'] });
    const moved = await lostBy('by_index_move', `UPDATE api.by_index_move SET company_id = ${OTHER} WHERE id = ${WRITTEN * 100 + 2}`);
    assert.deepEqual(moved, { [WRITTEN]: [...LISTS, 'second'], [OTHER]: ['list', 'page', ...FILTERED, 'count'] });
});

test('REPLICA IDENTITY DEFAULT: the stream does not say whose row it was, so lists of all tenants go, rows by key stay', async () => {
    const changed = await lostBy('by_default_update', `UPDATE api.by_default_update SET status = 'GONE' WHERE id = ${WRITTEN * 100 + 2}`);
    assert.deepEqual(changed, { ...everyone(LISTS), [WRITTEN]: [...LISTS, 'second'] });
    const deleted = await lostBy('by_default_remove', `DELETE FROM api.by_default_remove WHERE id = ${WRITTEN * 100 + 2}`);
    assert.deepEqual(deleted, { ...everyone(LISTS), [WRITTEN]: [...LISTS, 'second'] });
});

test('a column that no answer shows or filters by: its row\'s answers go all the same, for tags name rows, not columns', async () => {
    const change = (name) => `UPDATE api.${name} SET note = 'never read' WHERE id = ${WRITTEN * 100 + 2}`;
    assert.deepEqual(await lostBy('by_full_unread', change('by_full_unread')), { [WRITTEN]: ['list', 'page', ...FILTERED, 'count', 'second'] });
    assert.deepEqual(await lostBy('by_index_unread', change('by_index_unread')), { [WRITTEN]: [...LISTS, 'second'] });
});
