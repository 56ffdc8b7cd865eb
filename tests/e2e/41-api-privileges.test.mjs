// SPDX-License-Identifier: Apache-2.0
// What a role may read decides what it is shown by default and what is listed; what it gets is for
// PostgreSQL to say.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { member, startLab } from './harness/lab.mjs';
import { waitUntil } from './harness/util.mjs';

const USER = ['id', 'companyId', 'staffId', 'email', 'name', 'role', 'isActive', 'lastLoginAt', 'createdAt', 'updatedAt'];
const token = member(3);
const viewer = sign({ role: 'viewer' }, SECRET);

let lab;
before(async () => {
    lab = await startLab({ 'database.catalog.poll': '100ms' }, { prepare: `
        CREATE TABLE lab.vault (code text PRIMARY KEY, label text, thing_id bigint REFERENCES lab.things);
        INSERT INTO lab.vault VALUES ('c1', 'gold', 1);
        GRANT SELECT (label, thing_id) ON lab.vault TO member;
        CREATE VIEW lab.user_names AS SELECT id, company_id, name, password_hash FROM api.users;
        GRANT SELECT (id, name) ON lab.user_names TO viewer;
        CREATE SCHEMA shut;
        CREATE TABLE shut.away (id integer PRIMARY KEY);
        GRANT SELECT ON shut.away TO viewer, member;
    ` });
    await lab.hasten.stop();
    lab.hasten.configure(exampleConfig(lab.pg, {
        'database.schemas': ['api', 'lab', 'shut'], 'database.catalog.poll': '100ms',
        'api.cursor.secret': 'the secret of the cursors in tests, long',
    }));
    await lab.hasten.spawn();
});
after(() => lab?.close());

async function ok(path, options = { token }) {
    const answer = await lab.get(path, options);
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    return answer.body;
}

async function refused(path, status, pattern, options = { token }) {
    const answer = await lab.get(path, options);
    assert.equal(answer.status, status, `${path}: ${answer.text}`);
    assert.equal(answer.body.code, '42501', path);
    assert.match(JSON.stringify(answer.body), pattern, path);
}

const names = async (options) => (await ok('', options)).data.map((table) => table.name);
const table = async (name, options) => (await ok('', options)).data.find((entry) => entry.name === name);

test('a member sees the columns of users that it may read, in a list, one row, and related rows', async () => {
    const { data, pagination } = await ok('users?limit=3&count=exact');
    assert.equal(data.length, 3);
    for (const row of data) {
        assert.deepEqual(Object.keys(row), USER);
        assert.equal(row.companyId, 3);
    }
    const [{ n }] = await lab.sql('SELECT count(*)::int AS n FROM api.users WHERE company_id = 3');
    assert.equal(pagination.total, n);
    const next = await ok(`users?limit=3&cursor=${encodeURIComponent(pagination.nextCursor)}`);
    assert.deepEqual(Object.keys(next.data[0]), USER);

    assert.deepEqual((await ok(`users/${data[0].id}`)).data, data[0], 'the statement made beforehand');
    assert.deepEqual((await ok(`users/${data[0].id}?nulls=show`)).data, data[0], 'the statement made for the request');
    assert.deepEqual((await ok('users?fields=id,email&limit=1')).data[0], { id: data[0].id, email: data[0].email });

    const company = (await ok('companies/3?include=users')).data;
    assert.deepEqual(company.users[0], data[0]);
    const companies = (await ok('companies?include=users.company')).data;
    assert.deepEqual(Object.keys(companies[0].users[0]), [...USER, 'company']);
});

test('what is asked for by name is for PostgreSQL to refuse, and the hint says which column it is', async () => {
    await refused('users?fields=passwordHash', 403, /permission denied.*\\"passwordHash\\"/);
    await refused('users?fields=id,passwordHash&limit=1', 403, /without `fields`/);
    await refused('users/1?fields=passwordHash', 403, /\\"passwordHash\\"/);
    await refused('users?sort=passwordHash', 403, /\\"passwordHash\\", by which rows are sorted/);
    await refused('users?passwordHash[null]=false', 403, /permission denied/);
});

test('a role that may read nothing is refused: 401 without a token, else 403', async () => {
    for (const path of ['users', 'users/1', 'users?fields=id', 'companies?include=users', 'hidden', 'away']) {
        await refused(path, 403, /permission denied/, { token: viewer });
        await refused(path, 401, /permission denied/, {});
    }
    await refused('away', 403, /permission denied for schema shut/);
});

test('a key that the role may not read: the rest is shown where no key is needed', async () => {
    await refused('vault', 403, /\\"code\\", by which rows are sorted/);
    await refused('vault/c1', 403, /\\"code\\", by which rows are sorted and found/);
    const entry = await table('vault', { token });
    assert.deepEqual(entry.columns.map((column) => column.name), ['label', 'thingId']);
    assert.deepEqual(entry.key, []);
    assert.deepEqual((await ok('userNames?limit=1', {})).data.map(Object.keys), [['id', 'name']]);
});

test('the list of tables holds what the caller may read of', async () => {
    const seen = await names({ token });
    assert.ok(seen.includes('users') && seen.includes('clients') && seen.includes('partly'));
    for (const name of ['hidden', 'away', 'userNames']) assert.ok(!seen.includes(name), name);
    assert.deepEqual(await names({ token: viewer }), await names({}));
    const anyone = await names({});
    assert.ok(anyone.includes('clients') && anyone.includes('userNames'));
    for (const name of ['users', 'vault', 'hidden', 'away']) assert.ok(!anyone.includes(name), name);

    const users = await table('users', { token });
    assert.deepEqual(users.columns.map((column) => column.name), USER);
    assert.deepEqual(users.key, ['id']);
    const related = async (options) => (await table('companies', options)).relations.map((relation) => relation.name);
    assert.ok((await related({ token })).includes('users'));
    assert.ok(!(await related({})).includes('users'));
    for (const name of await related({ token })) await ok(`companies?include=${name}`);

    for (const [who, has] of [[{ token }, true], [{}, false]]) {
        const json = await lab.hasten.get('/', { ...who, headers: { accept: 'application/json' } });
        assert.equal(json.body.tables.some((entry) => entry.name === 'users'), has);
        assert.ok(json.body.tables.every((entry) => entry.name !== 'hidden'));
        assert.match(json.headers.get('vary'), /authorization/i);
        const html = await lab.hasten.get('/', who);
        assert.equal(html.text.includes('<code>users</code>'), has);
        assert.match(html.text, /<code>clients<\/code>/);
        for (const [, link] of html.text.matchAll(/href="(\/api[^"]+)"/g)) {
            const answer = await lab.hasten.get(link.replaceAll('&amp;', '&'), who);
            assert.equal(answer.status, 200, `${link}: ${answer.text}`);
        }
    }
});

test('GRANT and REVOKE are noticed by themselves', async (t) => {
    const keys = async (options) => Object.keys((await lab.get('users?limit=1', options)).body.data?.[0] ?? {});
    t.after(() => lab.sql('REVOKE SELECT (password_hash) ON api.users FROM member'));
    await lab.sql('GRANT SELECT (password_hash) ON api.users TO member');
    await waitUntil(async () => (await keys({ token })).includes('passwordHash'), { what: 'the new column to be shown' });
    await lab.sql('REVOKE SELECT (password_hash, email) ON api.users FROM member');
    const less = USER.filter((name) => name !== 'email');
    await waitUntil(async () => (await keys({ token })).join() === less.join(), { what: 'two columns less' });
    await lab.sql('GRANT SELECT (email) ON api.users TO member');
    await waitUntil(async () => (await keys({ token })).join() === USER.join(), { what: 'a column more' });

    await lab.sql('GRANT SELECT ON lab.hidden TO viewer');
    await waitUntil(async () => (await names({})).includes('hidden'), { what: 'hidden to be listed' });
    await lab.sql('REVOKE SELECT ON lab.hidden FROM viewer');
    await waitUntil(async () => !(await names({})).includes('hidden'), { what: 'hidden not to be listed' });
    await lab.sql('GRANT USAGE ON SCHEMA shut TO viewer');
    await waitUntil(async () => (await names({})).includes('away'), { what: 'away to be listed' });
});

test('more roles than there may be: refused at start, with the bound', async () => {
    const many = Array.from({ length: 65 }, (_, i) => `r${i}`);
    const server = new Hasten();
    await server.prepare(exampleConfig(lab.pg, { 'auth.roles': many, 'auth.anonymous_role': undefined }));
    await server.spawn({ ready: false });
    await waitUntil(() => server.how, { what: 'the end of hasten' });
    assert.notEqual(server.how.code, 0);
    assert.match(server.log, /auth\.roles: found 65 roles, expected at most 64/);
    server.assertNoReport();
});
