// SPDX-License-Identifier: Apache-2.0
// One answer for all spellings of a question, and never one for two questions. HASTEN_SEED repeats a run.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, exampleConfig } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { newSeed, random, waitUntil } from './harness/util.mjs';

const PAIRS = 150;
const DB = 'clients_plus';

// Columns and their values. (Two texts of one value, true and t, are two questions.)
const COLUMNS = {
    id: [['1'], ['2'], ['40'], ['999']],
    n: [['5'], ['-1'], ['0']],
    flag: [['true'], ['false']],
    name: [['a'], ['b'], ['a b'], ['x,y'], ['A'], ['']],
    mood: [['sad'], ['happy']],
    day: [['2026-01-01'], ['2026-02-03']],
};
const OPERATORS = ['eq', 'eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'in', 'null'];

let pg, keeping, asking;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await pg.sql(`CREATE TYPE api.mood AS ENUM ('sad', 'happy');
        CREATE TABLE api.things (id integer PRIMARY KEY, n bigint, flag boolean, name text, mood api.mood, day date);
        INSERT INTO api.things SELECT i, CASE i % 4 WHEN 0 THEN 5 WHEN 1 THEN -1 WHEN 2 THEN 0 END, i % 3 = 0, (ARRAY['a', 'b', 'a b', 'x,y', 'A', '', NULL])[1 + i % 7],
            (ARRAY['sad', 'happy'])[1 + i % 2]::api.mood, '2026-01-01'::date + i % 40 FROM generate_series(1, 60) i;
        GRANT SELECT ON api.things TO viewer`, { db: DB });
    const secret = { 'api.cursor.secret': 'the secret of the cursors, of 32 bytes or more', 'api.names': 'same', 'cache.shapes.table_max': 64 };
    keeping = await Hasten.start(exampleConfig(pg, secret));
    asking = await Hasten.start(exampleConfig(pg, { ...secret, 'cache.enabled': false }));
    await waitUntil(async () => (await keeping.fetch('/api/v1/things/1')).headers.get('x-cache') === 'HIT', { what: 'the cache to keep answers' });
});
after(async () => {
    await keeping?.stop();
    await asking?.stop();
    await pg?.close();
});

// ---- a question: what is asked, whatever it is written like ----

function randomQuestion(rng) {
    const filters = Array.from({ length: rng.int(4) }, () => {
        const column = rng.pick(Object.keys(COLUMNS));
        const op = rng.pick(OPERATORS);
        const value = () => rng.pick(COLUMNS[column]);
        if (op === 'null') return { column, op, values: [rng.pick([['true'], ['false']])] };
        return { column, op, values: op === 'in' ? Array.from({ length: rng.between(1, 4) }, value) : [value()] };
    });
    const sort = rng.shuffle(Object.keys(COLUMNS)).slice(0, rng.int(3)).map((name) => ({ name, down: rng.chance(0.5) }));
    return { filters, sort, limit: rng.pick([undefined, 3, 20]), page: rng.pick([undefined, undefined, 2]),
        fields: rng.chance(0.3) ? rng.shuffle(Object.keys(COLUMNS)).slice(0, 3) : undefined, count: rng.pick([undefined, undefined, 'exact']) };
}

/** Another question, though much like it. */
function variant(rng, question) {
    const other = structuredClone(question);
    const filter = other.filters.length && rng.pick(other.filters);
    const kinds = [
        () => { other.limit = other.limit === 3 ? 4 : 3; }, () => { other.page = other.page === 2 ? 3 : 2; },
        () => { other.sort = [{ name: 'n', down: !other.sort[0]?.down }, ...other.sort.filter(({ name }) => name !== 'n')]; },
        () => { other.fields = other.fields ? other.fields.toReversed() : ['id', 'name']; },
        () => { other.count = other.count ? undefined : 'exact'; },
        () => { other.filters.push({ column: 'id', op: 'lt', values: [[String(rng.between(1000, 2000))]] }); },
        () => { filter.values[0] = filter.op === 'null' ? [filter.values[0][0] === 'true' ? 'false' : 'true']
            : COLUMNS[filter.column].find(([first]) => !filter.values.some(([it]) => it === first)) ?? filter.values[0]; },
        () => { filter.op = { eq: 'ne', ne: 'eq', gt: 'gte', gte: 'gt', lt: 'lte', lte: 'lt', in: 'in', null: 'null' }[filter.op]; },
        () => { filter.column = filter.op === 'null' ? 'day' : filter.column; },
    ];
    rng.pick(filter ? kinds : kinds.slice(0, 6))();
    return other;
}

/** The key ends every order, in the direction of the column before it; what would stand behind it orders nothing. */
function orderOf(sort) {
    const at = sort.findIndex(({ name }) => name === 'id');
    return at < 0 ? [...sort, { name: 'id', down: sort.at(-1)?.down ?? false }] : sort.slice(0, at + 1);
}

/** What a question means, as text: two that mean the same have one. */
function meaningOf({ filters, sort, limit, page, fields, count }) {
    const one = ({ column, op, values }) => {
        const list = [...new Set(values.map(([first]) => first))].sort();
        return JSON.stringify([column, op, list]);
    };
    return JSON.stringify([[...new Set(filters.map(one))].sort(), orderOf(sort), limit ?? 20, page ?? 1, fields ?? Object.keys(COLUMNS), count ?? 'none']);
}

const element = (value) => (/[",]|^$/.test(value) ? `"${value}"` : value);

function spell(rng, { filters, sort, limit, page, fields, count }) {
    const loose = (text) => encodeURIComponent(text).replaceAll('%20', () => rng.pick(['%20', '+'])).replaceAll(/%2C/g, () => rng.pick(['%2C', ',']));
    const write = ({ column, op, values }) => {
        const list = rng.shuffle([...values, ...op === 'in' && rng.chance(0.3) ? [values[0]] : []]);
        const text = op === 'in' ? list.map((value) => (rng.chance(0.2) ? `"${rng.pick(value)}"` : element(rng.pick(value)))).join(',') : rng.pick(values[0]);
        const operator = op === 'eq' && rng.chance(0.5) ? '' : `[${op}]`;
        return `${column}${rng.chance(0.2) ? operator.replace('[', '%5B').replace(']', '%5D') : operator}=${loose(text)}`;
    };
    const parts = filters.map(write);
    if (filters.length && rng.chance(0.3)) parts.push(write(rng.pick(filters)));
    // `order` is for the columns without a sign; a sort whose last column is the key needs no more words.
    const down = sort.length > 0 && rng.chance(0.5) && sort.every((it) => it.down);
    if (sort.length) parts.push(`sort=${loose(sort.map(({ name, down: isDown }) => (isDown && !down ? `-${name}` : name)).join(','))}`);
    if (down) parts.push('order=desc');
    if (limit !== undefined || rng.chance(0.3)) parts.push(`limit=${limit ?? 20}`);
    if (page !== undefined || rng.chance(0.3)) parts.push(`page=${page ?? 1}`);
    if (fields || rng.chance(0.2)) parts.push(`fields=${loose((fields ?? Object.keys(COLUMNS)).join(','))}`);
    if (count || rng.chance(0.2)) parts.push(`count=${count ?? 'none'}`);
    if (rng.chance(0.2)) parts.push('nulls=show');
    return `/api/v1/things?${rng.shuffle(parts).join('&')}`;
}

async function ask(node, path) {
    const { status, headers, text } = await node.get(path);
    return { status, text, said: headers.get('x-cache') };
}

/** Asks until it is kept: a shape that is new is not yet followed by the first answer that needs it. */
const keep = (path) => waitUntil(async () => {
    const answer = await ask(keeping, path);
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    return answer.said === 'HIT' && answer;
}, { what: `${path} to be kept` });

const met = new Map();      // meaning -> a spelling that was asked

async function one(rng) {
    const question = randomQuestion(rng);
    const other = variant(rng, question);
    const [a, b, c] = [spell(rng, question), spell(rng, question), spell(rng, other)];
    const [meaning, meaningOfOther] = [meaningOf(question), meaningOf(other)];
    const wasMet = met.get(meaningOfOther);
    const first = await keep(a);
    const second = await ask(keeping, b);
    assert.equal(second.said, 'HIT', `two spellings of one question:\n${a}\n${b}`);
    assert.equal(second.text, first.text, `two spellings of one question:\n${a}\n${b}`);
    assert.equal(first.text, (await ask(asking, a)).text, `kept and asked: ${a}`);
    met.set(meaning, a);
    const third = await ask(keeping, c);
    assert.equal(third.text, (await ask(asking, c)).text, `kept and asked: ${c}, after ${a}`);
    if (meaning !== meaningOfOther && !wasMet && !met.has(meaningOfOther)) {
        assert.notEqual(third.said, 'HIT', `two questions share an answer:\n${a}\n${c}`);
        met.set(meaningOfOther, c);
    }
}

test('all spellings of a question share an answer, two questions never do', async (t) => {
    const seed = newSeed();
    t.diagnostic(`HASTEN_SEED=${seed}`);
    const rng = random(seed);
    for (let i = 0; i < PAIRS; i++) await one(rng);
    t.diagnostic(`${met.size} questions`);
});
