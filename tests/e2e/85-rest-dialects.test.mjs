// SPDX-License-Identifier: Apache-2.0
// One question in two languages: random reads are asked in the simple dialect and in PostgREST's, and have
// to give the same rows, or errors of the same kind.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten } from './harness/hasten.mjs';
import { BASE, SELF, restConfig, startMuseum } from './harness/rest.mjs';
import { newSeed, random } from './harness/util.mjs';
import { ask } from './rest/differential.mjs';
import { canonical } from './rest/json.mjs';

const COUNT = Number(process.env.HASTEN_REST_COUNT ?? 1000);
const options = { skip: SELF && 'PostgREST has no second dialect' };

/** Columns by kind of values, and one relation: [name in the simple dialect, target in PostgREST's, its columns]. */
const TABLES = {
    works: { id: 'int', title: 'text', artist_id: 'int', year: 'int', price: 'num', kind: 'enum', sold: 'bool', at: 'time', insured: 'int', meta: 'json', tags: 'array' },
    artists: { id: 'int', name: 'text', born: 'date', mentor_id: 'int', bio: 'text' },
    halls: { id: 'int', name: 'text', floor: 'int', open: 'bool' },
    loans: { id: 'int', work_id: 'int', lender_id: 'int', fee: 'num', due: 'date' },
    tickets: { id: 'int', holder: 'text', price: 'num', paid: 'bool', note: 'text', created: 'time' },
};
const RELATIONS = {
    works: [['artist', 'artists!works_artist_id_fkey', 'id,name,born,country,mentor_id,bio'], ['hall', 'halls!works_hall_id_fkey', 'id,name,floor,open']],
    loans: [['lender', 'institutions!loans_lender', 'id,name,city']],
};
const VALUES = {
    int: ['0', '1', '2', '5', '24', '1937', '-1', '9007199254740993', 'x'],
    num: ['10', '12.25', '12.250', '-0', 'dear'],
    text: ['The Cat 8', 'Stone, cut 3', 'Quo"ted 4', 'per%cent 5', 'Bo "the Brush" Quist', 'Dmitri\\Z', 'Zoë* 7', '', 'null', 'a.b', '(x)', 'ann'],
    enum: ['painting', 'it\'s, "odd"', 'opera'],
    bool: ['true', 'f', 'perhaps'],
    date: ['1921-03-04', '2026-05-01', 'soon'],
    time: ['2026-01-01T07:00:00.5Z', '2026-01-03', 'now-ish'],
    json: ['{"n": 5}'],
    array: ['{t1,odd}'],
};
const OPERATORS = {
    int: ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'null'], num: ['eq', 'gt', 'lte', 'in', 'null'], text: ['eq', 'ne', 'gt', 'like', 'ilike', 'in', 'null'],
    enum: ['eq', 'ne', 'in', 'null'], bool: ['eq', 'null'], date: ['eq', 'gte', 'lt', 'null'], time: ['eq', 'gt', 'lte', 'null'], json: ['null'], array: ['eq', 'null'],
};
const PATTERNS = ['*a*', '%1', '_he*', 'per\\%*', '*"*', 'CAT', '*\\\\*'];

let pg, server;
before(async () => {
    if (SELF) return;
    pg = await startMuseum();
    server = await Hasten.start({ ...restConfig(pg), 'api.names': 'same' });
});
after(async () => {
    await server?.stop();
    await pg?.close();
});

const quoted = (text) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
/** The rows of a page of the simple dialect, as they were written: a number may be too long for JavaScript. */
const rowsOf = (text) => text.slice('{"data":'.length, text.lastIndexOf(',"pagination":'));
const query = (pairs) => pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');

/** One filter in both dialects: {simple: [name, value], rest: [name, value]}. */
function filter(chance, name, kind) {
    const op = chance.pick(OPERATORS[kind]);
    const value = chance.pick(VALUES[kind]);
    switch (op) {
    case 'null': {
        const isNull = chance.chance(0.5);
        return { simple: [`${name}[null]`, String(isNull)], rest: [name, isNull ? 'is.null' : 'not.is.null'] };
    }
    case 'in': {
        const list = chance.shuffle(VALUES[kind]).slice(0, 3).map(quoted).join(',');
        return { simple: [`${name}[in]`, list], rest: [name, `in.(${list})`] };
    }
    case 'like': case 'ilike': {
        const pattern = chance.pick(PATTERNS);
        return { simple: [`${name}[${op}]`, pattern], rest: [name, `${op}.${pattern}`] };
    }
    default: return { simple: [`${name}[${op}]`, value], rest: [name, `${op === 'ne' ? 'neq' : op}.${value}`] };
    }
}

/** One question in both dialects: {simple, rest}, each the path of a GET. */
function question(chance) {
    const table = chance.pick(Object.keys(TABLES));
    const columns = TABLES[table];
    const shown = chance.shuffle(Object.keys(columns)).slice(0, chance.between(1, 5));
    const filters = Array.from({ length: chance.pick([0, 1, 1, 2, 3]) }, () => chance.pick(Object.keys(columns))).map((name) => filter(chance, name, columns[name]));
    const [sort, down] = [chance.pick(Object.keys(columns).filter((name) => columns[name] !== 'json')), chance.chance(0.5)];
    const [page, limit] = [chance.pick([1, 1, 1, 2, 3]), chance.between(1, 20)];
    const relation = chance.chance(0.3) ? chance.pick(RELATIONS[table] ?? [undefined]) : undefined;
    const related = relation ? `,${relation[0]}:${relation[1]}(${relation[2]})` : '';
    return {
        simple: `/api/v1/${table}?${query([['fields', shown.join(',')], ...filters.map(({ simple }) => simple), ['sort', down ? `-${sort}` : sort],
            ['page', String(page)], ['limit', String(limit)], ...relation ? [['include', relation[0]]] : []])}`,
        // A cursor's order ends with the key, in the direction of the last column.
        rest: `${BASE}/${table}?${query([['select', shown.join(',') + related], ...filters.map(({ rest }) => rest),
            ['order', `${sort}${down ? '.desc' : ''},id${down ? '.desc' : ''}`], ['offset', String((page - 1) * limit)], ['limit', String(limit)]])}`,
    };
}

test('the same rows in both dialects', options, async () => {
    const seed = newSeed();
    const chance = random(seed);
    const seen = { rows: 0, empty: 0, error: 0 };
    const failed = [];
    for (let i = 0; i < COUNT; i++) {
        const { simple, rest } = question(chance);
        const [a, b] = [await ask(server.url, ['', `GET ${simple}`]), await ask(server.url, ['', `GET ${rest}`])];
        const same = a.status === 200 && b.status === 200
            ? canonical(rowsOf(a.text), { keys: true }) === canonical(b.text, { keys: true })
            : a.status === b.status;
        if (!same) failed.push(`- ${simple}\n    ${a.status} ${a.text.slice(0, 300)}\n  ${rest}\n    ${b.status} ${b.text.slice(0, 300)}`);
        seen[a.status !== 200 ? 'error' : b.text === '[]' ? 'empty' : 'rows']++;
    }
    assert.equal(failed.length, 0, `seed ${seed}: ${failed.length} of ${COUNT}\n${failed.slice(0, 15).join('\n')}`);
    assert.ok(seen.rows > COUNT / 6 && seen.error > COUNT / 50, JSON.stringify(seen));
});
