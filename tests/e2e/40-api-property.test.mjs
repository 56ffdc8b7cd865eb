// SPDX-License-Identifier: Apache-2.0
// Grammar-random URLs (A12): never a 5xx, never a crash, and what PostgreSQL was asked holds no text of
// the client's. HASTEN_SEED repeats a run.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { member, startLab } from './harness/lab.mjs';
import { newSeed, random } from './harness/util.mjs';

const REQUESTS = 3000;
const MARK = 'zQ9marker';

const TABLES = ['clients', 'things', 'pairs', 'keyless', 'letters', 'thingNames', 'appointments', 'hidden', 'partly', 'users',
    'nothing', 'thing%20s', '%00', '%ff', `${MARK}`, '..', '%2e%2e', ''];
const COLUMNS = ['id', 'label', 'grp', 'rank', 'score', 'weight', 'at', 'born', 'mood', 'doc', 'raw', 'tags', 'uid', 'flag', 'limit',
    'friendIds', 'parentId', 'companyId', 'firstName', 'status', 'search', 'createdAt', 'a', 'b', 'body', MARK, '', '"', '%'];
const OPERATORS = ['', '', '', '[eq]', '[ne]', '[gt]', '[gte]', '[lt]', '[lte]', '[in]', '[like]', '[ilike]', '[null]', '[', ']', '[]', `[${MARK}]`];
const VALUES = ['1', '0', '-1', '7', 'true', 'false', 'happy', 'NaN', 'Infinity', '1e9', '1.5', '2026-01-01', '12:00', MARK, `'${MARK}`,
    `"${MARK}"`, `${MARK}';--`, `$1${MARK}`, '\\', '\\\\', '%', '_', '*', '{', '{}', '{"a":1}', '{1,2}', '""', '","', '"a","b"', '9223372036854775807',
    '9223372036854775808', '-9223372036854775809', '1e400000', 'infinity', 'now', 'yesterday', '00000000-0000-4000-8000-000000000919',
    '\u0000', '\u0001', 'Zoë', '🎈', '\u202e', ' ', '', 'x'.repeat(500), 'null', 'NULL', 'a,b,c', ',', ',,', '(', ')', '&', '|', '!', ':*', 'or or', '-', '-"'];
const RELATIONS = ['company', 'parent', 'things', 'friends', 'letters', 'lettersBySenderId', 'parent.parent', 'parent.friends.letters',
    'staff.branch', 'client', 'invoices', 'x', '', '.', 'parent.', '.parent', 'parent.parent.parent.parent', MARK];

function randomUrl(chance) {
    const some = (list, most) => Array.from({ length: chance.int(most + 1) }, () => chance.pick(list));
    const raw = (text) => (chance.chance(0.9) ? encodeURIComponent(text) : text.replace(/[^!-~]|#/g, ''));
    const makers = [
        () => `page=${raw(chance.pick(VALUES))}`, () => `limit=${raw(chance.pick(['1', '20', '1000', ...VALUES]))}`,
        () => `fields=${raw(some(COLUMNS, 4).join(','))}`, () => `search=${raw(some(VALUES, 3).join(' '))}`,
        () => `sort=${raw(some(COLUMNS, 4).map((name) => (chance.chance(0.5) ? `-${name}` : name)).join(','))}`,
        () => `order=${chance.pick(['asc', 'desc', MARK])}`, () => `include=${raw(some(RELATIONS, 3).join(','))}`,
        () => `nulls=${chance.pick(['omit', 'show', ''])}`, () => `count=${chance.pick(['exact', 'estimated', 'none', 'x'])}`,
        () => `cursor=${raw(chance.pick(VALUES))}`,
        () => `${raw(chance.pick(COLUMNS) + chance.pick(OPERATORS))}=${raw(chance.pick(VALUES))}`,
        () => `${raw(chance.pick(COLUMNS) + chance.pick(OPERATORS))}=${raw(some(VALUES, 5).join(','))}`,
        () => raw(chance.pick(VALUES)),
    ];
    const table = chance.chance(0.7) ? chance.pick(TABLES.slice(0, 7)) : chance.pick(TABLES);
    const id = chance.chance(0.3) ? `/${raw(some(VALUES, 2).join(','))}` : '';
    const query = some(makers, 5).map((make) => make()).join('&');
    return `/api/v1/${table}${id}${query && `?${query}`}`;
}

test('random requests: never a 5xx, never SQL made of text', async (t) => {
    const seed = newSeed();
    t.diagnostic(`HASTEN_SEED=${seed}`);
    const chance = random(seed);
    const lab = await startLab({ 'database.statement_timeout': '60s' });
    t.after(() => lab.close());
    await lab.pg.sql("ALTER SYSTEM SET log_statement = 'all'");
    await lab.pg.sql('ALTER SYSTEM SET log_parameter_max_length = 0');
    await lab.pg.sql('ALTER SYSTEM SET log_parameter_max_length_on_error = 0');
    await lab.pg.sql('SELECT pg_reload_conf()');

    const token = member(3);
    const statuses = new Map();
    const one = async () => {
        const url = randomUrl(chance);
        const answer = await lab.hasten.fetch(url, { token: chance.chance(0.5) ? token : undefined });
        const text = await answer.text();
        assert.ok(answer.status < 500, `${url}: ${answer.status} ${text}`);
        if (/json/.test(answer.headers.get('content-type'))) JSON.parse(text);
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    };
    for (let i = 0; i < REQUESTS; i += 20) await Promise.all(Array.from({ length: 20 }, one));
    t.diagnostic(JSON.stringify(Object.fromEntries(statuses)));
    assert.ok((statuses.get(200) ?? 0) > REQUESTS / 20, 'enough of them are good requests');
    assert.equal((await lab.hasten.fetch('/health/ready')).status, 200);

    const executed = lab.pg.log.split('\n').filter((line) => /execute [^:]*:|statement:/.test(line) && /SELECT/.test(line));
    assert.ok(executed.length > 100, 'statements were logged');
    assert.deepEqual(executed.filter((line) => line.includes(MARK)), []);
});
