// SPDX-License-Identifier: Apache-2.0
// What the PostgREST dialect says to a request that asks for too much: a status, a code and a message each; and
// while it is asked for it, it stays small and answers others.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { SECRET } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { startLab } from './harness/lab.mjs';
import { sleep } from './harness/util.mjs';

const token = sign({ role: 'member', company_id: 1 }, SECRET);
const profile = { 'accept-profile': 'lab', 'content-profile': 'lab' };
const MIB = 1 << 20;
// Beyond what it had at the start, with the sanitizer's own (each freed block stays for a while).
const GROWTH = 400 * MIB;

let lab, start;
before(async () => {
    lab = await startLab({ 'server.workers': 1, 'server.request_line.max': '1MiB', 'server.headers.max': '256KiB', 'server.answer.max': '16MiB', 'database.statement_timeout': '20s', 'database.pool.acquire_timeout': '20s', 'rest.plan_enabled': true, 'auth.limits': ['viewer: rows=3'] },
        { prepare: 'GRANT INSERT, UPDATE, DELETE ON lab.things, lab.pairs TO member' });
    await rest('things?limit=1');
    start = memory();
});
after(() => lab?.close());

const memory = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${lab.hasten.pid}/status`, 'utf8'))[1]) * 1024;
const rest = (path, { headers, ...options } = {}) => lab.hasten.get(`/rest/v1/${path}`, { token, ...options, headers: { ...profile, ...headers } });
const list = (n, item, separator = ',') => Array.from({ length: n }, (_, i) => item(i)).join(separator);
const nested = (n, open, inner, close = ')') => open.repeat(n) + inner + close.repeat(n);
const post = (body, headers = {}) => ({ method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } });

/** Asks, while somebody else asks small things and is answered; the process stays small. */
async function asked(path, options) {
    let isDone = false;
    const others = (async () => {
        const answers = [];
        while (!isDone) {
            answers.push(await lab.get('things?limit=1&fields=id', { token }));
            await sleep(2);
        }
        return answers;
    })();
    const answer = await rest(path, options).finally(() => { isDone = true; });
    for (const { status, text } of await others) assert.equal(status, 200, `beside ${path.slice(0, 80)}: ${text}`);
    const grown = memory() - start;
    assert.ok(grown < GROWTH, `${path.slice(0, 80)}: ${grown >> 20} MiB more than at the start`);
    return answer;
}

/** It is refused: status, code, and what message, details or hint say. */
async function refused(path, options, status, code, says) {
    const answer = await asked(path, options);
    const about = `${path.slice(0, 80)}: ${answer.status} ${answer.text.slice(0, 300)}`;
    assert.equal(answer.status, status, about);
    assert.equal(answer.body.code, code, about);
    assert.match(`${answer.body.message} / ${answer.body.details} / ${answer.body.hint}`, says, about);
}

async function taken(path, options, status = 200) {
    const answer = await asked(path, options);
    assert.equal(answer.status, status, `${path.slice(0, 80)}: ${answer.text.slice(0, 300)}`);
    return answer;
}

test('and, or, not', async () => {
    await taken(`things?select=id&limit=1&or=(${nested(15, 'and(', 'id.eq.1')})`);
    for (const n of [16, 17, 5000]) await refused(`things?or=(${nested(n, 'and(', 'id.eq.1')})`, {}, 400, 'PGRST100', /too many and\/or in each other.*At most 16/);
    await refused(`things?or=(${'not.'.repeat(5000)}id.eq.1)`, {}, 400, 'PGRST100', /failed to parse logic tree/);
    await refused(`things?or=(${'('.repeat(20000)}`, {}, 400, 'PGRST100', /failed to parse logic tree/);
    await taken(`things?select=id&limit=1&${list(500, () => 'id=gt.0', '&')}`);
    await refused(`things?${list(501, () => 'id=gt.0', '&')}`, {}, 400, 'PGRST100', /too many filters.*At most 500/);
    await refused(`things?or=(${list(501, () => 'id.gt.0')})`, {}, 400, 'PGRST100', /too many filters/);
    await refused(`things?${list(4001, () => 'a', '&')}`, {}, 400, 'PGRST100', /too many parameters.*At most 4000/);
});

test('lists of values', async () => {
    await taken(`things?select=id&limit=1&id=in.(${list(20000, (i) => i)})`);
    await refused(`things?id=in.(${list(20001, (i) => i)})`, {}, 400, 'PGRST100', /too many values in one list.*At most 20000/);
    await refused(`things?id=eq(any).{${list(20001, (i) => i)}}`, {}, 400, 'PGRST100', /too many values in one list/);
    await taken(`things?select=id&limit=1&${list(8, () => `id=in.(${list(20000, (i) => i % 10)})`, '&')}`);
    await taken(`things?select=id&label=in.("${'x'.repeat(500_000)}")`);
});

test('select and embeds', async () => {
    await taken(`things?select=${list(1664, (i) => `a${i}:id`)}&limit=1`);
    // A target list of PostgreSQL's ends there; the error is its own, and its status PostgREST's.
    await refused(`things?select=${list(1700, (i) => `a${i}:id`)}&limit=1`, {}, 500, '54011', /1664/);
    await refused(`things?select=${list(2001, (i) => `a${i}:id`)}`, {}, 400, 'PGRST100', /too many elements in select.*At most 2000/);
    await refused(`things?order=${list(2001, () => 'id')}`, {}, 400, 'PGRST100', /too many elements in order/);
    await taken(`things?select=id${nested(16, ',parent_id(id', '')}&limit=1`);
    for (const n of [17, 9000]) await refused(`things?select=id${nested(n, ',parent_id(id', '')}`, {}, 400, 'PGRST100', /too many embeds in each other.*At most 16/);
    await taken(`things?select=id${list(64, (i) => `,a${i}:parent_id(id)`, '')}&limit=1`);
    for (const n of [65, 300, 1900]) await refused(`things?select=id${list(n, (i) => `,a${i}:parent_id(id)`, '')}&limit=1`, {}, 400, 'PGRST100', /too many (?:embeds|elements in select)/);
    await taken(`things?select=x:doc${'->a'.repeat(64)}&limit=1`);
    await refused(`things?select=x:doc${'->a'.repeat(65)}`, {}, 400, 'PGRST100', /too many steps into JSON/);
    await refused(`things?select=${'id('.repeat(100_000)}`, {}, 400, 'PGRST100', /too many embeds in each other/);
});

test('values that PostgreSQL refuses to nest', async () => {
    const deep = (n, open, close) => encodeURIComponent(open.repeat(n) + close.repeat(n));
    await refused(`things?doc=cs.${deep(50_000, '[', ']')}`, {}, 500, '54001', /stack depth/);
    await refused(`things?tags=cs.${deep(7000, '{', '}')}`, {}, 500, '54000', /dimensions/);
    await taken(`things?select=id&limit=1&label=match.${deep(2000, '(', ')')}`);
    await taken(`things?select=id&label=like.${'*a'.repeat(50_000)}`);
});

test('lines, headers and bodies', async () => {
    await taken(`things?label=eq.${'x'.repeat(900_000)}`);
    await refused(`things?label=eq.${'x'.repeat(1_100_000)}`, {}, 414, 'uri_too_long', /request line/);
    await refused('things', { headers: { 'x-a': 'x'.repeat(300_000) } }, 431, 'headers_too_large', /header section/);
    await taken('things?limit=1', { headers: { prefer: `count=exact,${'a=b,'.repeat(20_000)}` } }, 206);
    await refused('things', { headers: { accept: 'text/x,'.repeat(20_000) } }, 406, 'PGRST107', /None of these media types/);
    await taken('things?limit=1', { headers: { range: `0-${'9'.repeat(10_000)}` } });
    await refused('things', post(`{"label":"${'x'.repeat(MIB)}"}`), 413, 'body_too_large', /server\.body\.max/);
});

test('inserts of a hundred thousand values', async () => {
    const count = () => lab.sql('SELECT count(*)::int AS n FROM lab.pairs');
    const [before] = await count();
    const { body } = await taken('pairs?select=a', post(list(10_000, (i) => `{"a":${i + 10},"b":"b"}`).replace(/^/, '[').concat(']'), { prefer: 'return=representation' }), 201);
    assert.equal(body.length, 10_000);
    await lab.sql('DELETE FROM lab.pairs WHERE a >= 10');
    await refused('pairs', post(`[${list(50_000, (i) => `{"a":${i},"b":""}`)}]`), 400, 'PGRST102', /more than 10000 rows.*api\.body\.rows_max/);
    await refused(`pairs?columns=${list(2001, (i) => `c${i}`)}`, post([{ a: 1 }]), 400, 'PGRST100', /too many names in one list/);
    await refused(`pairs?columns=${list(1700, (i) => `c${i}`)}`, post([{ a: 1 }]), 400, 'PGRST204', /'c0' column/);
    await refused('pairs', post(`{${list(50_000, (i) => `"c${i}":1`)}}`), 400, 'PGRST102', /names more than 1664 columns/);
    await refused('pairs', post('a=1&'.repeat(100_000), { 'content-type': 'application/x-www-form-urlencoded' }), 400, 'PGRST102', /1664 columns/);
    await refused('pairs', post(`${list(100_000, (i) => `c${i}`)}\n`, { 'content-type': 'text/csv' }), 400, 'PGRST102', /1664 columns/);
    await refused('pairs', post(`${list(1600, (i) => `c${i}`.padEnd(60, 'x'))}\n${`${','.repeat(1599)}\n`.repeat(500)}`, { 'content-type': 'text/csv' }), 400, 'PGRST102', /CSV becomes too long/);
    for (const body of ['['.repeat(100_000), `{"a":${nested(100_000, '[', '', ']')}}`, `{"a":${nested(65, '[', '', ']')}}`]) await refused('pairs', post(body), 400, 'PGRST102', /nested deeper than 64 levels/);
    assert.deepEqual((await count())[0], before, 'what was refused wrote nothing');
});

test('many of them at once', async () => {
    const worst = [`things?or=(${nested(5000, 'and(', 'id.eq.1')})`, `things?id=in.(${list(20_000, (i) => i)})&select=id&limit=1`, `things?select=${list(1664, (i) => `a${i}:id`)}&limit=1`, `things?label=eq.${'x'.repeat(900_000)}`];
    const answers = await Promise.all(Array.from({ length: 24 }, (_, i) => asked(worst[i % worst.length])));
    assert.ok(answers.every(({ status }) => [200, 400].includes(status)));
});

test('a table of two million rows is an error before it is in memory', async () => {
    await lab.sql("CREATE VIEW lab.big AS SELECT i AS id, repeat('x', 200) AS t FROM generate_series(1, 2000000) i; GRANT SELECT ON lab.big TO member");
    for (;;) {
        const { status, body } = await rest('big');
        if (status === 404) { await sleep(100); continue; }
        assert.equal(status, 400, body.message);
        assert.match(body.message, /server\.answer\.max/);
        break;
    }
    assert.ok(memory() - start < GROWTH, `${(memory() - start) >> 20} MiB`);
});

test('embeds in each other that multiply their rows are an error before they are in memory', async () => {
    const path = `things?select=id${nested(6, ',a:letters!letters_sender_id_fkey(id,t:things!letters_receiver_id_fkey(id', '', '))')}&limit=1`;
    await refused(path, {}, 400, 'bad_parameter', /server\.answer\.max/);
});

test('a role with a bound of its own gets no more rows, at the top and in what is embedded', async () => {
    const viewer = sign({ role: 'viewer' }, SECRET);
    const few = await rest('things?select=id', { token: viewer });
    assert.equal(few.body.length, 3, few.text);
    assert.equal((await rest('things?select=id&limit=2', { token: viewer })).body.length, 2);
    assert.equal((await rest('things?select=id&limit=50', { token: viewer })).body.length, 3);
    assert.ok((await rest('things?select=id&limit=50')).body.length > 3);
});
