// SPDX-License-Identifier: Apache-2.0
// Two grammars, one meaning: random questions about the example application, under row-level security, and about a
// schema of odd types, each written in both dialects: the same rows, or an error in both. Then garbage in both:
// whatever comes, the answer is an error of the right shape, and the program lives.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SECRET } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { startLab } from './harness/lab.mjs';
import { newSeed, random } from './harness/util.mjs';
import { canonical } from './rest/json.mjs';

const QUESTIONS = Number(process.env.HASTEN_DIALECTS_COUNT ?? 5000);
const GARBAGE = Number(process.env.HASTEN_GARBAGE_COUNT ?? 3000);
const AT_ONCE = 8;
const token = sign({ role: 'member', company_id: 3 }, SECRET);
const PAGE = 20;        // api.limit.default: rows of a to-many relation in the simple dialect

/** Relations of the simple dialect: [name, the target in PostgREST's, its table, whether it is an array]. */
const RELATIONS = {
    appointments: [['client', 'clients!appointments_company_id_client_id_fkey', 'clients'], ['staff', 'staff!appointments_company_id_staff_id_fkey', 'staff'],
        ['branch', 'branches!appointments_company_id_branch_id_fkey', 'branches'], ['invoices', 'invoices!invoices_company_id_appointment_id_fkey', 'invoices', true]],
    clients: [['company', 'companies!clients_company_id_fkey', 'companies'], ['appointments', 'appointments!appointments_company_id_client_id_fkey', 'appointments', true]],
    invoices: [['client', 'clients!invoices_company_id_client_id_fkey', 'clients'], ['payments', 'payments!payments_company_id_invoice_id_fkey', 'payments', true]],
    payments: [['invoice', 'invoices!payments_company_id_invoice_id_fkey', 'invoices']],
    branches: [], companies: [],
    staff: [['branch', 'branches!staff_company_id_branch_id_fkey', 'branches']],
    letters: [['sender', 'things!letters_sender_id_fkey', 'things'], ['receiver', 'things!letters_receiver_id_fkey', 'things']],
    things: [['parent', 'parent_id', 'things'], ['lettersBySenderId', 'letters!letters_sender_id_fkey', 'letters', true]],
};
const LAB = ['letters', 'things'];

let lab, tables;
before(async () => {
    lab = await startLab();
    tables = await readTables();
});
after(() => lab?.close());

/** {table: {column: {simple, type, values}}}: what may be read, with values that stand there and some that cannot. */
async function readTables() {
    const { body } = await lab.get('', { token });
    const found = {};
    for (const name of Object.keys(RELATIONS)) {
        const schema = LAB.includes(name) ? 'lab' : 'api';
        const rows = await lab.sql(`SELECT * FROM (SELECT to_jsonb(t) AS row FROM ${schema}.${name} t ORDER BY random() LIMIT 12) AS picked`);
        const listed = body.data.find((table) => table.name === name);
        const columns = await lab.sql(`SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute WHERE attrelid = '${schema}.${name}'::regclass AND attnum > 0 AND NOT attisdropped`);
        found[name] = columns.filter(({ name: column }) => listed.columns.some((shown) => shown.name === camel(column))).map(({ name: column, type }) => ({
            name: column, simple: camel(column), type, isShown: type !== 'tsvector',
            values: rows.map(({ row }) => row[column]).filter((value) => value !== null && typeof value !== 'object').map(String),
        }));
    }
    return found;
}
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

const quoted = (text) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
const query = (pairs) => pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
const ODD = ['', '0', '1', '-1', 'x', 'null', '%', 'a"b', 'a,b', '(x)', 'é', '\\', '2026-01-01', '9223372036854775808', 'true', '{}', '1e3'];
const ORDERED = /int|numeric|text|date|time|double|boolean|uuid|mood/;

const valueOf = (chance, column) => (column.values.length && chance.chance(0.85) ? chance.pick(column.values) : chance.pick(ODD));

/** One condition: {simple: [name, value], rest: [column, operator and value, plain; the same inside of a list]}. */
function condition(chance, column) {
    const { name, simple, type } = column;
    const isText = type === 'text';
    const op = chance.pick(['eq', 'ne', 'null', 'in', ...ORDERED.test(type) ? ['gt', 'gte', 'lt', 'lte'] : [], ...isText ? ['like', 'ilike', 'like'] : []]);
    if (op === 'null') {
        const isNull = chance.chance(0.5);
        return { simple: [`${simple}[null]`, String(isNull)], name, forms: isNull ? ['is.null'] : ['not.is.null', 'is.not_null'] };
    }
    if (op === 'in') {
        const values = Array.from({ length: chance.between(1, 4) }, () => valueOf(chance, column));
        if (values.join() === '') values.push('1');     // in.("") is the empty list in PostgREST
        const list = values.map(quoted).join(',');
        return { simple: [`${simple}[in]`, list], name, forms: [`in.(${list})`], any: values };
    }
    if (op === 'like' || op === 'ilike') {
        const some = valueOf(chance, column);
        const pattern = chance.pick([`${some.slice(0, 2)}*`, `*${some.slice(-2)}`, `*${some.slice(1, 4)}%`, '_%', `%${some.toUpperCase()}%`]).replace(/\\+$/, '');     // nothing to escape: an error, once a row is looked at
        return { simple: [`${simple}[${op}]`, pattern], name, forms: [`${op}.${pattern}`], value: pattern, op };
    }
    const value = valueOf(chance, column);
    const theirs = op === 'ne' ? ['neq', 'not.eq'] : [op];
    return { simple: [op === 'eq' && name !== 'limit' && chance.chance(0.5) ? simple : `${simple}[${op}]`, value], name, forms: theirs.map((word) => `${word}.${value}`), value, op };
}

/** A condition as it stands within and(...): the value in quotes. */
function inTree(chance, { name, forms, value, any }) {
    if (any && chance.chance(0.4)) return `or(${any.map((one) => `${name}.eq.${quoted(one)}`).join(',')})`;
    const form = chance.pick(forms);
    return `${name}.${value === undefined ? form : `${form.slice(0, form.length - value.length)}${quoted(value)}`}`;
}

const negated = (text) => (/^or\(/.test(text) ? `not.${text}` : text.replace(/^([^.]+)\.(not\.)?/, (_, name, not) => (not ? `${name}.` : `${name}.not.`)));

/** The same conditions in one of the ways that PostgREST's grammar has to say so. */
function conditions(chance, list) {
    if (!list.length) return [];
    const tree = () => list.map((one) => inTree(chance, one));
    const isParameter = list.some(({ name }) => name === 'limit');     // of the dialect; the column's filter stands in a tree
    switch (chance.int(isParameter ? 3 : 5)) {
    case 0: return [['and', `(${tree().join(',')})`]];
    case 1: return [['not.or', `(${tree().map(negated).join(',')})`]];
    case 2: return [['or', `(and(${tree().join(',')}))`]];
    default: return list.map(({ name, forms }) => [name, chance.pick(forms)]);
    }
}

const shown = (columns, chance) => chance.shuffle(columns.filter(({ isShown }) => isShown)).slice(0, chance.between(1, 6));
const aliased = ({ name, simple }) => (name === simple ? name : `${simple}:${name}`);

/** Relations to include, to a depth of two: {paths, select, extra}. */
function includes(chance, table, depth = 2, prefix = '') {
    const found = { paths: [], select: '', extra: [] };
    if (!depth || !RELATIONS[table].length || chance.chance(0.45)) return found;
    const [name, target, to, isMany] = chance.pick(RELATIONS[table]);
    const path = prefix ? `${prefix}.${name}` : name;
    const below = includes(chance, to, depth - 1, path);
    const all = tables[to].filter(({ isShown }) => isShown).map(aliased).join(',');
    found.paths = below.paths.length ? below.paths : [path];
    found.select = `,${name}:${target}(${all}${below.select})`;
    found.extra = [...isMany ? [[`${path}.order`, 'id'], [`${path}.limit`, String(PAGE)]] : [], ...below.extra];
    return found;
}

/** One question in both dialects. */
function question(chance) {
    const table = chance.pick(Object.keys(RELATIONS));
    const columns = tables[table];
    const fields = shown(columns, chance);
    const where = Array.from({ length: chance.pick([0, 1, 1, 2, 2, 3, 4]) }, () => condition(chance, chance.pick(columns.filter(({ isShown }) => isShown))));
    const sort = chance.shuffle(columns.filter(({ type, name }) => ORDERED.test(type) && !/\[\]/.test(type) && name !== 'id')).slice(0, chance.pick([0, 1, 1, 2, 3])).map((column) => [column, chance.chance(0.4)]);
    const limit = chance.between(1, 12), page = chance.pick([1, 1, 1, 2, 4]);
    const more = includes(chance, table);
    const isDown = sort.at(-1)?.[1] ?? false;
    return {
        simple: `/api/v1/${table}?${query([['fields', fields.map(({ simple }) => simple).join(',')], ...where.map(({ simple }) => simple),
            ...sort.length ? [['sort', sort.map(([{ simple }, down]) => `${down ? '-' : ''}${simple}`).join(',')]] : [],
            ...more.paths.length ? [['include', more.paths.join(',')]] : [], ['limit', String(limit)], ['page', String(page)]])}`,
        rest: `/rest/v1/${table}?${query([['select', fields.map(aliased).join(',') + more.select], ...conditions(chance, where),
            ['order', [...sort.map(([{ name }, down]) => `${name}${down ? '.desc' : ''}`), `id${isDown ? '.desc' : ''}`].join(',')],
            ...more.extra, ['limit', String(limit)], ['offset', String((page - 1) * limit)]])}`,
        profile: LAB.includes(table) ? 'lab' : 'api',
    };
}

async function many(count, one) {
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        while (next < count) await one(next++);
    }));
}

/** The rows of a page of the simple dialect, as they were written: a number may be too long for JavaScript. */
const rowsOf = (text) => text.slice('{"data":'.length, text.lastIndexOf(',"pagination":'));
const rest = (path, profile, options = {}) => lab.hasten.get(path, { token, ...options, headers: { 'accept-profile': profile, 'content-profile': profile, ...options.headers } });

test('the same rows in both dialects', async () => {
    const seed = newSeed();
    const chance = random(seed);
    const seen = { rows: 0, empty: 0, error: 0, includes: 0 };
    const failed = [];
    await many(QUESTIONS, async () => {
        const { simple, rest: theirs, profile } = question(chance);
        const [a, b] = await Promise.all([lab.hasten.get(simple, { token }), rest(theirs, profile)]);
        // Which of two mistakes is found first, and the status of some (42883 is 404), each dialect has its own way.
        const same = a.status === 200 && b.status === 200 ? canonical(rowsOf(a.text), { keys: true }) === canonical(b.text, { keys: true })
            : [a, b].every(({ status }) => status >= 400 && status < 500);
        if (!same) failed.push(`- ${simple}\n    ${a.status} ${a.text.slice(0, 400)}\n  ${theirs}\n    ${b.status} ${b.text.slice(0, 400)}`);
        seen[a.status !== 200 ? 'error' : b.text === '[]' ? 'empty' : 'rows']++;
        if (a.status === 200 && /include=/.test(simple) && b.text !== '[]') seen.includes++;
    });
    assert.equal(failed.length, 0, `seed ${seed}: ${failed.length} of ${QUESTIONS}\n${failed.slice(0, 12).join('\n')}`);
    assert.ok(seen.rows > QUESTIONS / 5 && seen.error > QUESTIONS / 100 && seen.includes > QUESTIONS / 20, JSON.stringify(seen));
});

// ---- garbage

const BITS = ['(', ')', ',', '.', ':', '!', '"', '\\', '*', '->', '->>', '{', '}', '[', ']', '&', '=', '==', '%', '%00', '%ff', '%C3', '%0A', '+', ';', '\'', '--', '$1', '/', '//', '?', '#', '...',
    'not.', 'or', 'and(', 'in.(', 'is.', 'fts(', 'eq(any).{', 'count()', '::int', 'select=', 'order=', 'limit=-1', 'offset=9e9', 'id', '\u{1F388}', 'é', 'a'.repeat(300), '((((((((((', '0x', '-0', '1'.repeat(40)];

/** A request line is ASCII without white space; whatever else may stand in it. */
const spelled = (text) => [...text.toWellFormed()].map((c) => (c > '~' || c <= ' ' || c === '#' ? encodeURIComponent(c) : c)).join('');

function spoiled(chance, text) {
    const from = text.lastIndexOf('/', text.indexOf('?')) + 1;
    let path = text;
    for (let n = chance.pick([1, 1, 2, 3, 8]); n > 0; n--) {
        const at = chance.between(chance.chance(0.1) ? 1 : from, path.length);
        const cut = chance.pick([0, 0, 1, 3, 12]);
        path = path.slice(0, at) + (chance.chance(0.8) ? chance.pick(BITS) : '') + path.slice(at + cut);
    }
    return spelled(path);
}

const BODIES = ['', '{', '[', '[]', '{}', 'null', '1', '"x"', '[1]', '[null]', '{"id":{}}', '{"id":1,"id":2}', '{"no_such":1}', '[{"id":1},{"label":2}]', '{"id":1e999}', '{"\u0000":1}', '\u00ff', '[[[[[[[[[[', `{"label":"${'x'.repeat(5000)}"}`,
    '[{"a":1},2]', '{"label":"\\ud800"}', '{"tags":[[1],[2,3]]}', '\ufeff{}', '{"a":1}garbage'];
const HEADERS = [{ range: 'items=5-1' }, { range: '-' }, { prefer: 'count=exact,return=representation' }, { prefer: 'handling=strict,foo=bar' }, { prefer: 'timezone=Nowhere/Else' }, { accept: 'application/vnd.pgrst.object' }, { accept: '*/*;q=x' },
    { accept: 'text/csv' }, { 'accept-profile': 'nope' }, { 'content-profile': 'pg_catalog' }, { prefer: 'resolution=merge-duplicates' }, { prefer: 'max-affected=x,handling=strict' }, { 'if-none-match': '"' }, { range: '99999999999999999999-' },
    { 'content-type': 'text/csv' }, { 'content-type': 'application/x-www-form-urlencoded' }, { 'content-type': 'application/vnd.pgrst.object+json' }, { 'content-type': '' }];

/** An error of either dialect: four members, of which code and message say something. */
function assertError(answer, about) {
    assert.ok(answer.status < 500, `${about}\n${answer.status} ${answer.text}`);
    if (answer.status < 400 || !answer.text) return;
    assert.match(answer.headers.get('content-type') ?? '', /json/, about);
    assert.deepEqual(Object.keys(answer.body).sort(), ['code', 'details', 'hint', 'message'], `${about}\n${answer.text}`);
    assert.ok(answer.body.code && typeof answer.body.code === 'string' && typeof answer.body.message === 'string', `${about}\n${answer.text}`);
}

test('garbage in, an error out', async () => {
    const seed = newSeed();
    const chance = random(seed);
    const seen = {};
    await many(GARBAGE, async () => {
        const { simple, rest: theirs } = question(chance);
        const path = spoiled(chance, chance.chance(0.35) ? simple : theirs);
        const method = chance.pick(['GET', 'GET', 'GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'PUT', 'OPTIONS']);
        const body = /POST|PATCH|PUT/.test(method) ? chance.pick(BODIES) : undefined;
        const headers = { 'content-type': 'application/json', prefer: 'tx=rollback', ...chance.chance(0.4) && chance.pick(HEADERS) };
        const answer = await lab.hasten.get(path, { method, token: chance.chance(0.9) ? token : undefined, headers, body });
        seen[answer.status] = (seen[answer.status] ?? 0) + 1;
        assertError(answer, `seed ${seed}: ${method} ${path} ${JSON.stringify(headers)} ${body?.slice(0, 60) ?? ''}`);
    });
    assert.ok(seen[400] > GARBAGE / 5 && seen[200] > GARBAGE / 100, JSON.stringify(seen));
    assert.equal((await lab.get('things?limit=1')).status, 200, 'it lives');
});
