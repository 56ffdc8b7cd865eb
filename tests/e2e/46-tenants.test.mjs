// SPDX-License-Identifier: Apache-2.0
// A member of one company cannot read, change, delete or infer a row of another: every table that a
// member may touch, every method, derived from the catalog. Two means:
//
//   twins          a request about a row of another company, and the same about a row that is nowhere,
//                  get the same answer to the byte (but for the key that they were asked about)
//   other worlds   the answers of company A are the same whatever there is of company B
//
// What can be told apart nevertheless is a unique key over all companies; the test names each, and what
// docs/explanation/security.md says of it must stay true.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Hasten, exampleConfig } from './harness/hasten.mjs';
import { member } from './harness/lab.mjs';
import { Pg } from './harness/pg.mjs';
import { ROOT } from './harness/util.mjs';

const A = 3, B = 2;
const NOWHERE = 987654321;      // no company and no row has this number
const [tokenA, tokenB] = [member(A), member(B)];
const ROWS = 2;                 // of company B, from each table

// Unique keys over all companies, which a member may write to: a 409 there says that somebody has it.
const TOLD = ['appointments_pkey', 'branches_pkey', 'clients_pkey', 'companies_slug_key',
    'invoices_pkey', 'payments_pkey', 'services_pkey', 'staff_pkey'];

let pg, server, tables;
const sql = (text, values) => pg.sql(text, { db: 'clients_plus', values });
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

/** The tables of schema api as a member meets them, from PostgreSQL's catalog. */
async function readCatalog() {
    const rows = await sql(`
        SELECT c.oid, c.relname, c.relrowsecurity AND c.relforcerowsecurity AS is_secured,
            has_table_privilege('member', c.oid, 'INSERT') AS can_insert, has_table_privilege('member', c.oid, 'UPDATE') AS can_update,
            has_table_privilege('member', c.oid, 'DELETE') AS can_delete,
            ARRAY(SELECT json_build_object('name', a.attname, 'type', a.atttypid::regtype, 'isGenerated', a.attgenerated <> '',
                      'canRead', has_column_privilege('member', c.oid, a.attnum, 'SELECT'))
                  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
            ARRAY(SELECT json_build_object('name', i.indexrelid::regclass::text, 'columns',
                      ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)))
                  FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique) AS uniques,
            ARRAY(SELECT json_build_object('table', f.confrelid::regclass::text, 'columns',
                      ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (f.conkey)))
                  FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f') AS keys
        FROM pg_class c WHERE c.relnamespace = 'api'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY c.relname`);
    return Promise.all(rows.map(async (table) => {
        const owner = table.columns.some(({ name }) => name === 'company_id') ? 'company_id' : 'id';
        const theirs = (await sql(`SELECT id::text FROM api.${table.relname} WHERE ${owner} = ${B} ORDER BY id LIMIT ${ROWS}`)).map(({ id }) => id);
        const [own] = await sql(`SELECT id::text FROM api.${table.relname} WHERE ${owner} = ${A} ORDER BY id LIMIT 1`);
        return { ...table, name: camel(table.relname), owner, theirs, own: own.id, readable: table.columns.filter(({ canRead }) => canRead) };
    }));
}

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await sql(fs.readFileSync(path.join(ROOT, 'sql/hasten.sql'), 'utf8'));
    await sql("SELECT hasten.allow('authenticator')");
    server = await Hasten.start(exampleConfig(pg, {
        'api.cursor.secret': 'the secret of the cursors in tests, long',
        'api.search': ['companies: name, city', 'branches: name, street, city', 'staff: first_name, last_name, email', 'services: name, category'],
        'api.relations': ['appointments.assistants: assistant_ids[] -> staff.id'],
    }));
    tables = await readCatalog();
});
after(async () => {
    await server?.stop();
    await pg?.close();
});

function ask(method, where, { token = tokenA, body, headers } = {}) {
    return server.get(where ? `/api/v1/${where}` : '/api/v1', {
        method, token, body: body === undefined ? undefined : JSON.stringify(body),
        headers: { 'accept-encoding': 'identity', ...body !== undefined && { 'content-type': 'application/json' }, ...headers },
    });
}

// What two requests never have in common; content-length follows from the length of the key, and the position in the
// database's log is nobody's.
const UNEQUAL = ['hasten-position', 'date', 'x-request-id', 'server-timing', 'x-response-time', 'content-length', 'x-cache', 'cache-status', 'age'];

/** An answer as two callers could compare it; `id` is what they asked about. */
function seen({ status, headers, text }, id) {
    const kept = [...headers].filter(([name]) => !UNEQUAL.includes(name));
    return JSON.stringify([status, kept, text]).replaceAll(new RegExp(`\\b${id}\\b`, 'g'), '#');
}

/** Asks about `id` and about what is nowhere; both must be told the same. Returns the answer. */
async function twin(id, method, where, options = () => ({})) {
    const answer = await ask(method, where(id), options(id));
    const nobody = await ask(method, where(NOWHERE), options(NOWHERE));
    assert.equal(seen(answer, id), seen(nobody, NOWHERE), `${method} ${where(id)} ${JSON.stringify(options(id))}`);
    assert.ok(answer.status < 500, answer.text);
    return answer;
}

/** Every row in `value`, at any depth, is of company A. */
function assertOwn(value, table, about) {
    if (Array.isArray(value)) return value.forEach((item) => assertOwn(item, table, about));
    if (value === null || typeof value !== 'object') return undefined;
    if (value.companyId !== undefined) assert.equal(value.companyId, A, about);
    else if (value.slug !== undefined) assert.equal(value.id, A, about);
    return Object.entries(value).forEach(([name, item]) => name !== 'settings' && assertOwn(item, table, about));
}

async function listOwn(table, query) {
    const answer = await ask('GET', `${table.name}?${query}`);
    assert.ok(answer.status === 200 || answer.status === 400, `${table.name}?${query}: ${answer.text}`);
    if (answer.status === 200) assertOwn(answer.body.data, table.name, `${table.name}?${query}`);
    return answer;
}

/** A digest of all that is not company A's, with the transactions that wrote it. */
async function others() {
    const parts = await Promise.all(tables.map(({ relname, owner }) =>
        sql(`SELECT md5(string_agg(xmin::text || t::text, '' ORDER BY id)) AS digest FROM api.${relname} t WHERE ${owner} <> ${A}`)));
    return JSON.stringify(parts);
}

async function unchanged(what) {
    const earlier = await others();
    await what();
    assert.equal(await others(), earlier, 'a row of another company was written');
}

const relationsOf = async (table) => (await ask('GET', '')).body.data.find(({ name }) => name === table.name).relations;

test('what is tested is all that a member may touch, and all of it is under row-level security', async () => {
    const listed = (await ask('GET', '')).body.data;
    const touchable = tables.filter(({ readable }) => readable.length);
    assert.deepEqual(listed.map(({ name }) => name).sort(), touchable.map(({ name }) => name).sort());
    for (const table of tables) {
        assert.ok(table.is_secured, table.name);
        assert.ok(table.theirs.length > 0 && table.own, `${table.name}: there are rows of both`);
        const { columns } = listed.find(({ name }) => name === table.name);
        assert.deepEqual(columns.map(({ name }) => name), table.readable.map(({ name }) => camel(name)));
    }
});

test('one row: GET and HEAD, with fields, relations and conditions', async () => {
    for (const table of tables) {
        const relations = await relationsOf(table);
        for (const id of table.theirs) {
            const { status } = await ask('GET', `${table.name}/${id}`, { token: tokenB });
            assert.equal(status, 200, 'B has it');
            assert.equal((await twin(id, 'GET', (key) => `${table.name}/${key}`)).status, 404);
            await twin(id, 'HEAD', (key) => `${table.name}/${key}`);
            await twin(id, 'GET', (key) => `${table.name}/${key}?nulls=omit&fields=id`);
            for (const { name } of table.readable) await twin(id, 'GET', (key) => `${table.name}/${key}?fields=${camel(name)}`);
            for (const { name } of relations) await twin(id, 'GET', (key) => `${table.name}/${key}?include=${name}`);
            const etag = (await ask('GET', `${table.name}/${id}`, { token: tokenB })).headers.get('etag');
            for (const tag of ['*', etag ?? '"1-0"']) await twin(id, 'GET', (key) => `${table.name}/${key}`, () => ({ headers: { 'if-none-match': tag } }));
        }
    }
});

test('lists: filters with values of another company, sort, search, count, cursors', async () => {
    for (const table of tables) {
        const [row] = await sql(`SELECT ${table.readable.map(({ name }) => `${name}::text`).join()} FROM api.${table.relname} WHERE id = ${table.theirs[0]}`);
        const [{ n }] = await sql(`SELECT count(*)::int AS n FROM api.${table.relname} WHERE ${table.owner} = ${A}`);
        for (const count of ['exact', 'estimated']) {
            assert.equal((await listOwn(table, `count=${count}&limit=1`)).body.pagination.total, n, table.name);
        }
        for (const { name, type } of table.readable) {
            await listOwn(table, `sort=${camel(name)}&limit=100`);
            await listOwn(table, `sort=-${camel(name)}&limit=100`);
            if (row[name] === null) continue;
            const value = encodeURIComponent(row[name]);
            for (const operator of ['eq', 'gte', 'lte', 'ne', 'in', 'like', 'ilike']) {
                const answer = await listOwn(table, `${camel(name)}[${operator}]=${value}&count=exact&limit=100`);
                if (operator !== 'eq' || answer.status !== 200) continue;
                const [same] = await sql(`SELECT count(*)::int AS n FROM api.${table.relname} WHERE ${table.owner} = ${A} AND ${name} = $1::${type}`, [row[name]]);
                assert.equal(answer.body.pagination.total, same.n, `${table.name}.${name}`);
            }
        }
        await twin(table.theirs[0], 'GET', (key) => `${table.name}?id=${key}&count=exact`);
        const two = await listOwn(table, `id[in]=${table.own},${table.theirs[0]}&count=estimated`);
        assert.equal(two.body.pagination.total, 1, two.text);
        for (const word of Object.values(row).filter((value) => /^[\p{L}]+$/u.test(value ?? ''))) await listOwn(table, `search=${encodeURIComponent(word)}&count=exact`);
        const { nextCursor } = (await ask('GET', `${table.name}?limit=1&sort=-id`, { token: tokenB })).body.pagination;
        if (nextCursor) await listOwn(table, `limit=100&sort=-id&cursor=${encodeURIComponent(nextCursor)}`);
    }
    const hidden = await ask('GET', 'users?passwordHash[like]=x%25');
    assert.equal(hidden.status, 403, hidden.text);
});

test('streams hold what lists hold', async () => {
    for (const table of tables) {
        const [{ n }] = await sql(`SELECT count(*)::int AS n FROM api.${table.relname} WHERE ${table.owner} = ${A}`);
        const fields = `fields=${[...new Set([camel(table.owner), 'id'])]}`;
        for (const [accept, head] of [['application/x-ndjson', 0], ['text/csv', 1]]) {
            const { status, text } = await ask('GET', `${table.name}?${fields}`, { headers: { accept } });
            assert.equal(status, 200, text);
            const lines = text.trimEnd().split(/\r?\n/).slice(head);
            assert.equal(lines.length, n, `${table.name} as ${accept}`);
            for (const line of lines) assert.match(line, new RegExp(`^(\\{"\\w+":)?${A}[,}]|^${A}$`), `${table.name} as ${accept}`);
            await twin(table.theirs[0], 'GET', (key) => `${table.name}?${fields}&id=${key}`, () => ({ headers: { accept } }));
        }
    }
});

test('related rows, two steps deep, are of the own company', async () => {
    for (const table of tables) {
        for (const first of await relationsOf(table)) {
            await listOwn(table, `include=${first.name}&limit=20`);
            const next = await relationsOf({ name: first.table });
            for (const second of next) await listOwn(table, `include=${first.name}.${second.name}&limit=5`);
        }
    }
    const staff = tables.find(({ name }) => name === 'staff');
    const { own } = tables.find(({ name }) => name === 'appointments');
    for (const id of [staff.theirs[0], NOWHERE]) {
        assert.equal((await ask('PATCH', `appointments/${own}`, { body: { assistantIds: [Number(id)] } })).status, 200);
        assert.deepEqual((await ask('GET', `appointments/${own}?include=assistants&fields=id`)).body.data.assistants, []);
    }
});

let fresh = 0;
/** A body for a new row of company A that no unique key refuses. */
async function newRow(table) {
    const { data } = (await ask('GET', `${table.name}/${table.own}`)).body;
    for (const { name, isGenerated } of table.columns) {
        if (name === 'id' || isGenerated) delete data[camel(name)];
    }
    for (const { columns } of table.uniques) {
        for (const name of columns) {
            const { type } = table.columns.find((column) => column.name === name);
            if (type === 'text' && name !== 'id') data[camel(name)] = `fresh-${++fresh}`;
        }
    }
    return data;
}

test('PATCH, PUT and DELETE of one row: as if it were nowhere, and it is not touched', () => unchanged(async () => {
    for (const table of tables) {
        const full = await newRow(table);
        for (const id of table.theirs) {
            const etag = (await ask('GET', `${table.name}/${id}`, { token: tokenB })).headers.get('etag') ?? '"1-0"';
            const at = (key) => `${table.name}/${key}`;
            for (const [method, body, allowed] of [['PUT', full, table.can_update], ['PATCH', {}, table.can_update], ['DELETE', undefined, table.can_delete],
                ...Object.entries(full).map(([name, value]) => ['PATCH', { [name]: value }, table.can_update])]) {
                const answer = await twin(id, method, at, () => ({ body }));
                const refusal = Object.keys(body ?? { x: 0 }).length ? (allowed ? 404 : 403) : 400;
                assert.equal(answer.status, refusal, `${method} ${at(id)} ${JSON.stringify(body)}: ${answer.text}`);
                await twin(id, method, (key) => `${at(key)}?return=minimal`, () => ({ body }));
                for (const tag of [etag, '"1-0"', '*']) await twin(id, method, at, () => ({ body, headers: { 'if-match': tag } }));
                await twin(id, method, at, () => ({ body, headers: { 'idempotency-key': `one-${++fresh}` } }));
            }
        }
    }
}));

test('PATCH and DELETE of many: the rows of others are not among them, nor counted', () => unchanged(async () => {
    for (const table of tables.filter(({ can_update: can }) => can)) {
        const owner = camel(table.owner);
        const [id] = table.theirs;
        const body = await newRow(table);
        const [name, value] = Object.entries(body).find(([key]) => !['companyId', 'slug'].includes(key));
        const change = { [name]: value };
        for (const query of [(key) => `id=${key}`, (key) => `id[in]=${key}`, (key) => `id=${key}&return=minimal`,
            (key) => `id=${key}&max-affected=0`, (key) => `id[gte]=${key}&id[lte]=${key}`]) {
            const patched = await twin(id, 'PATCH', (key) => `${table.name}?${query(key)}`, () => ({ body: change }));
            if (patched.status === 200) assert.ok(patched.text === '{"data":[]}' || patched.text === '{"affected":0}', patched.text);
            const deleted = await twin(id, 'DELETE', (key) => `${table.name}?${query(key)}`);
            assert.equal(deleted.status === 403, !table.can_delete, deleted.text);
        }
        for (const [method, extra] of [['PATCH', { body: change }], ...table.can_delete ? [['DELETE', {}]] : []]) {
            const answer = await ask(method, `${table.name}?${owner}=${B}`, extra);
            assert.equal(answer.text, '{"data":[]}', `${method} ${table.name}`);
        }
        const byKey = await twin(id, 'PATCH', (key) => table.name, (key) => ({ body: [{ id: Number(key), ...change }] }));
        assert.deepEqual(byKey.body.data, []);
        /* The bound counts own rows alone. */
        const both = await ask('PATCH', `${table.name}?id[in]=${table.own},${id}&max-affected=1&return=minimal`, { body: { [name]: value } });
        assert.deepEqual(both.body, { affected: 1 }, both.text);
    }
}));

test('no row is planted in another company, moved there, or tied to its rows', () => unchanged(async () => {
    for (const table of tables) {
        const body = await newRow(table);
        const owner = camel(table.owner);
        if (table.owner === 'company_id') {
            const planted = await twin(B, 'POST', () => table.name, (key) => ({ body: { ...body, companyId: Number(key) } }));
            assert.equal(planted.status, 403, planted.text);
            await twin(B, 'POST', () => table.name, (key) => ({ body: [body, { ...body, companyId: Number(key) }] }));
            const moved = await twin(B, 'PATCH', () => `${table.name}/${table.own}`, (key) => ({ body: { [owner]: Number(key) } }));
            assert.equal(moved.status, 403, moved.text);
        }
        if (!table.can_insert) continue;
        for (const key of table.keys.filter(({ table: other }) => other !== 'api.companies')) {
            const column = key.columns.find((name) => name !== 'company_id');
            const target = tables.find(({ relname }) => `api.${relname}` === key.table);
            for (const [method, where, extra] of [['POST', table.name, body], ['PATCH', `${table.name}/${table.own}`, {}]]) {
                const tied = await twin(target.theirs[0], method, () => where, (id) => ({ body: { ...extra, [camel(column)]: Number(id) } }));
                assert.equal(tied.body.code, '23503', `${table.name}.${column}: ${tied.text}`);
            }
        }
    }
}));

test('unique keys: those of one company say nothing of another, those over all companies no more than a 409', async () => {
    const told = [];
    for (const table of tables.filter(({ can_update: can }) => can)) {
        for (const unique of table.uniques) {
            /* A value that A does not have itself. */
            for (const { name, type } of table.columns.filter(({ name }) => name !== 'slug' && unique.columns.includes(name))) {
                if (type === 'text') await sql(`UPDATE api.${table.relname} SET ${name} = 'only B has it' WHERE id = ${table.theirs[0]}`);
            }
            const [theirs] = await sql(`SELECT * FROM api.${table.relname} WHERE id = ${table.theirs[0]}`);
            const value = Object.fromEntries(unique.columns.filter((name) => name !== 'company_id').map((name) => [camel(name), theirs[name]]));
            const isTenants = unique.columns.includes(table.owner);
            /* The primary key alone is met first, and the row of a company is judged by the policy. */
            if (isTenants && unique.columns.includes('id')) continue;
            if (isTenants) {
                const answer = await ask('POST', `${table.name}?fields=id,companyId`, { body: { ...await newRow(table), ...value } });
                assert.equal(answer.status, 201, `${unique.name}: ${answer.text}`);
                continue;
            }
            const target = table.can_insert ? ['POST', table.name, await newRow(table)] : ['PATCH', `${table.name}/${table.own}`, {}];
            const answer = await ask(target[0], target[1], { body: { ...target[2], ...value } });
            assert.deepEqual(answer.body, { code: '23505', message: `duplicate key value violates unique constraint "${unique.name.replace('api.', '')}"`,
                details: null, hint: null }, unique.name);
            assert.equal(answer.headers.get('location') ?? answer.headers.get('etag'), null);
            told.push(unique.name.replace('api.', ''));
        }
    }
    assert.deepEqual(told.sort(), TOLD, 'say of a new one in docs/explanation/security.md what it tells');
});

test("a key of another's is no key, and its answers are not given out", async () => {
    const { own, theirs } = tables.find(({ name }) => name === 'clients');
    const headers = { 'idempotency-key': 'shared by chance' };
    const first = await ask('PATCH', `clients?id[in]=${own},${theirs[0]}`, { token: tokenB, headers, body: { notes: 'of B' } });
    assert.equal(first.body.data[0].companyId, B);
    const same = await ask('PATCH', `clients?id[in]=${own},${theirs[0]}`, { headers, body: { notes: 'of B' } });
    assert.equal(same.headers.get('idempotency-replayed'), null);
    assert.deepEqual(same.body.data.map(({ companyId }) => companyId), [A]);
    await ask('PATCH', `clients/${theirs[0]}`, { token: tokenB, headers: { 'idempotency-key': 'of B alone' }, body: { notes: 'x' } });
    const other = await ask('PATCH', `clients/${own}`, { headers: { 'idempotency-key': 'of B alone' }, body: { notes: 'y' } });
    assert.equal(other.status, 200, other.text);
});

test('a batch tells what its requests tell', () => unchanged(async () => {
    for (const table of tables) {
        const change = { [camel(table.readable.at(-1).name)]: null };
        const requests = (key) => [
            { path: `/api/v1/${table.name}/${key}` }, { path: `/api/v1/${table.name}?id=${key}&count=exact` },
            { method: 'PATCH', path: `/api/v1/${table.name}/${key}`, body: change }, { method: 'DELETE', path: `/api/v1/${table.name}/${key}` },
            { method: 'DELETE', path: `/api/v1/${table.name}?id=${key}` },
        ];
        for (const id of table.theirs) {
            /* Each answer brings a request id of its own. */
            const [theirs, nobody] = await Promise.all([id, NOWHERE].map(async (key) => {
                const { status, body } = await ask('POST', 'batch', { body: requests(key) });
                assert.equal(status, 200);
                return JSON.stringify(body.responses.map((response) => [response.status, response.body])).replaceAll(new RegExp(`\\b${key}\\b`, 'g'), '#');
            }));
            assert.equal(theirs, nobody, table.name);
        }
    }
}));

test('answers to A are the same in another world, where company B has other rows', async () => {
    const urls = [''];
    for (const table of tables) {
        const first = `${table.name}?limit=5&sort=-id&count=`;
        const { nextCursor } = (await ask('GET', `${first}exact`)).body.pagination;
        urls.push(`${first}exact`, `${first}estimated`, `${table.name}/${table.own}`, ...table.theirs.map((id) => `${table.name}/${id}`),
            `${table.name}?id[gt]=0&count=estimated`, `${table.name}?search=a&count=exact`, ...table.readable.map(({ name }) => `${table.name}?sort=${camel(name)}&limit=7`),
            ...(await relationsOf(table)).map(({ name }) => `${table.name}?include=${name}&limit=5`));
        if (nextCursor) urls.push(`${first}exact&cursor=${encodeURIComponent(nextCursor)}`);
    }
    const answers = async () => {
        const list = [];
        for (const url of urls) list.push(seen(await ask('GET', url), 'none'));
        for (const { name } of tables) list.push(seen(await ask('GET', name, { headers: { accept: 'text/csv' } }), 'none'));
        return list;
    };
    const earlier = await answers();
    await sql(`
        DELETE FROM api.payments WHERE company_id <> ${A};
        DELETE FROM api.invoices WHERE company_id <> ${A};
        DELETE FROM api.appointments WHERE company_id <> ${A};
        UPDATE api.clients SET first_name = 'Aaa', last_name = 'Zzz', email = 'new' || id, status = 'INACTIVE', notes = 'a' WHERE company_id <> ${A};
        UPDATE api.companies SET name = 'another ' || id, city = 'a' WHERE id <> ${A};
        DELETE FROM api.users WHERE company_id <> ${A};
        DELETE FROM api.clients WHERE company_id = ${B}`);
    await sql('ANALYZE');
    const later = await answers();
    for (const [i, answer] of later.entries()) assert.equal(answer, earlier[i], urls[i] ?? 'a stream');
    assert.ok(urls.length > 150, String(urls.length));
});
