// SPDX-License-Identifier: Apache-2.0
// Grammar-random URLs and bodies (A12), to every method: never a 5xx, never a crash, never a write that was
// refused and is there, or is there in part, and what PostgreSQL was asked holds no text of the client's.
// HASTEN_SEED repeats a run.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { member, startLab } from './harness/lab.mjs';
import { ROOT, newSeed, random, waitUntil } from './harness/util.mjs';

const READS = 3000, WRITES = 5000, AT_ONCE = 20;
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

// ---- bodies ----

const WRITABLE = ['things', 'things', 'things', 'pairs', 'keyless', 'letters', 'clients', 'appointments', 'services'];
const GOOD = {
    things: {
        label: ['plain', MARK, '', `';${MARK}`], grp: ['g1', null], rank: [1, '2', null], score: [1.5, 'NaN', 1e-7], weight: [0.5, 'Infinity', 1e300],
        at: ['2026-01-01T00:00:00Z'], born: ['2026-02-28'], mood: ['happy', 'sad'], doc: [{ a: [MARK, null] }, 7, MARK], raw: [[1], {}],
        tags: [[], ['a', MARK, 'c,"d'], '{}'], uid: ['00000000-0000-4000-8000-000000000919'], flag: [true, false, null], limit: [5],
        friendIds: [[1, 2], []], parentId: [null, 1], id: [1, 2, 50, 51, 52, 250, '1000'],
    },
    pairs: { a: [1, 2, 3, 4, 5], b: ['x', 'a,b', MARK, 'ü/ö', ''], note: [MARK, null] },
    keyless: { a: [1, null], b: [MARK] },
    letters: { id: [1, 5, 900, 901, 902, 903], senderId: [1, 2, 9999999], receiverId: [1, null], body: [MARK] },
    clients: { companyId: [3, 3, 3, 4], firstName: ['Anna', MARK], lastName: ['Zoë'], email: [null, `${MARK}@x`], tags: [[MARK]], birthday: ['2001-02-03'] },
    appointments: { notes: [MARK], price: [10, '10.5'], status: ['CONFIRMED', MARK], assistantIds: [[1]] },
    services: { companyId: [3], name: [MARK, 'x'], category: [MARK], durationMinutes: [30, 1000], price: [1] },
};
const NEEDED = { things: ['label'], pairs: ['a', 'b'], keyless: [], letters: ['id', 'senderId'], clients: ['companyId', 'firstName', 'lastName'],
    appointments: [], services: ['companyId', 'name', 'category', 'durationMinutes', 'price'] };
const ACCEPTS = ['application/x-ndjson', 'text/csv', 'text/csv;q=0.5, application/json', '*/*', `text/${MARK}`, ';', 'application/*;q=0'];
let ownClients;     // of the caller's company
const RAW_JSON = ['1e400000', '-0', '1E+2', '"\\u0000"', '"\\ud800"', '"\\ud83c\\udf88"', '01', '1.', '.5', '+1', 'NaN', 'nul', '"\t"', '"\\x"', '""',
    '123456789012345678901234567890', '[[[[[]]]]]', '['.repeat(200), `${'['.repeat(90)}${']'.repeat(90)}`, '{"a":1,"a":2}', '{}', '[]', 'null', 'true',
    '[1,[2]]', '[[1],[2]]', `{"${MARK}":"${MARK}"}`, '9223372036854775808', '"2026-02-30"', '"{\\"a\\"}"', `"${'y'.repeat(3000)}"`];
const TYPES = ['application/json; charset=utf-8', undefined, 'application/merge-patch+json', 'text/plain', 'application/x-www-form-urlencoded', `text/${MARK}`, 'application/json;', ';'];

function randomRow(chance, table, isItem) {
    const good = GOOD[table] ?? GOOD.things;
    const names = Object.keys(good).filter((name) => (isItem && name === 'id' ? chance.chance(0.05)
        : NEEDED[table]?.includes(name) || chance.chance(0.25)));
    const members = names.map((name) => [name, JSON.stringify(chance.pick(good[name]))]);
    if (chance.chance(0.06)) members.push([chance.pick(COLUMNS), JSON.stringify(chance.pick(VALUES))]);
    if (chance.chance(0.06)) members.push([chance.pick(Object.keys(good)), chance.pick(RAW_JSON)]);
    return `{${chance.shuffle(members).map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`;
}

/** Cuts, doubles or changes a piece; may leave invalid UTF-8 behind. */
function damage(chance, text) {
    const bytes = Buffer.from(text);
    const at = chance.int(bytes.length + 1), end = Math.min(bytes.length, at + chance.int(4));
    const piece = chance.pick([[], [], [0x22], [0x7b], [0x5d], [0x2c], [0x5c], [0], [0xff], [0xc3], [0x27], bytes.subarray(at, end)]);
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(piece), bytes.subarray(chance.chance(0.2) ? bytes.length : end)]);
}

function randomBody(chance, table, isItem) {
    let text = randomRow(chance, table, isItem);
    if (chance.chance(isItem ? 0.05 : 0.3)) text = `[${Array.from({ length: chance.int(5) }, () => randomRow(chance, table)).join(',')}]`;
    if (chance.chance(0.05)) text = chance.pick(RAW_JSON);
    return chance.chance(0.1) ? damage(chance, text) : Buffer.from(text);
}

function randomWriteUrl(chance, table, isItem, method) {
    const raw = (text) => encodeURIComponent(text);
    const good = GOOD[table] ?? GOOD.things;
    const name = () => chance.pick(chance.chance(0.9) ? Object.keys(good) : COLUMNS);
    const filter = () => {
        const column = name();
        return `${raw(column + chance.pick(OPERATORS))}=${raw(chance.chance(0.7) && good[column] ? String(chance.pick(good[column])) : chance.pick(VALUES))}`;
    };
    const shape = [() => `return=${chance.pick(['minimal', 'minimal', 'rows', MARK])}`, () => `fields=${raw([name(), name()].join())}`,
        () => `nulls=${chance.pick(['omit', 'show'])}`];
    const bounds = [filter, filter, filter, () => 'all=true', () => `max-affected=${raw(chance.pick(VALUES))}`,
        () => `all=true&max-affected=${chance.pick([0, 1, 5, 1000])}`];
    const odd = [filter, () => raw(chance.pick(VALUES)), () => `withDeleted=${chance.pick(['true', 'x'])}`, () => 'limit=1'];
    const key = table === 'clients' ? chance.pick(ownClients) : table === 'pairs' ? chance.pick(['1,x', '2,"say \\"hi\\""', '3,x']) : String(chance.pick(good.id ?? [1, 11, 400]));
    const parts = [];
    if (!isItem && method !== 'POST') parts.push(...Array.from({ length: 1 + chance.int(2) }, () => chance.pick(bounds)()));
    if (chance.chance(0.4)) parts.push(chance.pick(shape)());
    if (chance.chance(0.15)) parts.push(chance.pick(odd)());
    const id = isItem ? `/${raw(chance.chance(0.85) ? key : chance.pick(VALUES))}` : '';
    return `/api/v1/${table}${id}${parts.length ? `?${parts.join('&')}` : ''}`;
}

/** {method, url, headers, body} */
function randomWrite(chance, { inBatch = false } = {}) {
    const table = chance.chance(0.9) ? chance.pick(WRITABLE) : chance.pick(TABLES);
    const isItem = chance.chance(0.5);
    const usual = isItem ? ['PATCH', 'PUT', 'PATCH', 'PUT', 'DELETE'] : ['POST', 'POST', 'POST', 'PATCH', 'PATCH', 'DELETE'];
    const method = chance.chance(0.92) ? chance.pick(usual) : chance.pick(['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY', MARK]);
    const headers = {};
    if (chance.chance(0.1)) headers['if-match'] = chance.pick(['*', '*', '"1-0"', `"${MARK}"`, `W/"${MARK}"`, MARK, '""', '"a","b"', '']);
    if (chance.chance(0.15)) headers['idempotency-key'] = chance.pick([MARK, `'${MARK}`, 'k'.repeat(300), `key-${chance.int(1e6)}`, `key-${chance.int(1e6)}`, '']);
    const type = inBatch || chance.chance(0.9) ? 'application/json' : chance.pick(TYPES);
    if (type !== undefined) headers['content-type'] = type;
    const takesBody = !['GET', 'HEAD'].includes(method) && !(method === 'DELETE' && chance.chance(0.9));
    return { method, url: randomWriteUrl(chance, table, isItem, method), headers, body: takesBody ? randomBody(chance, table, isItem) : undefined };
}

function randomBatch(chance) {
    const requests = Array.from({ length: chance.int(6) }, () => {
        const { method, url, headers, body } = chance.chance(0.7) ? randomWrite(chance, { inBatch: true }) : { method: 'GET', url: randomUrl(chance), headers: {} };
        const members = [`"method":${JSON.stringify(method)}`, `"path":${JSON.stringify(url)}`, `"headers":${JSON.stringify(headers)}`];
        if (body) members.push(`"body":${body.toString()}`);
        if (chance.chance(0.1)) members.push(`${JSON.stringify(MARK)}:${chance.pick(RAW_JSON)}`);
        return `{${members.join(',')}}`;
    });
    const text = `{"requests":[${requests.join(',')}]}`;
    return { method: 'POST', url: '/api/v1/batch', headers: { 'content-type': 'application/json' },
        body: chance.chance(0.1) ? damage(chance, text) : Buffer.from(text) };
}

// ---- what must hold ----

// Each row that is written leaves a line, in the same transaction: what was rolled back leaves none.
const PREPARE = `
    CREATE TABLE lab.written (relation text);
    CREATE FUNCTION lab.note_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
    BEGIN
        INSERT INTO lab.written VALUES (TG_RELID::regclass);
        RETURN NULL;
    END $$;
    DO $$
    DECLARE
        t regclass;
    BEGIN
        FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace IN ('api'::regnamespace, 'lab'::regnamespace)
                     AND oid <> 'lab.written'::regclass LOOP
            EXECUTE format('CREATE TRIGGER note_write AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION lab.note_write()', t);
        END LOOP;
    END $$;
    GRANT INSERT, UPDATE, DELETE ON lab.things, lab.pairs, lab.keyless, lab.letters, lab.hidden, lab.thing_names TO member;
`;

/** How many rows an answer says that it has written; a batch says it of each request. */
function rowsSaid({ method, status, headers, body, sent }) {
    if (status >= 300 || ['GET', 'HEAD', 'OPTIONS'].includes(method) || headers['idempotency-replayed']) return 0;
    if (status === 204) return 1;
    if (body.responses) {
        const { requests } = JSON.parse(sent);
        return body.responses.reduce((sum, inner, i) => sum + rowsSaid({ method: requests[i].method ?? 'GET', sent: '', ...inner }), 0);
    }
    if (body.affected !== undefined) return body.affected;
    return Array.isArray(body.data) ? body.data.length : 1;
}

let lab, seed;
before(async () => {
    seed = newSeed();
    lab = await startLab({ 'database.statement_timeout': '60s' },
        { prepare: `${PREPARE}${fs.readFileSync(path.join(ROOT, 'sql/hasten.sql'), 'utf8')}; SELECT hasten.allow('authenticator')` });
    ownClients = (await lab.sql('SELECT id FROM api.clients WHERE company_id = 3 ORDER BY id LIMIT 20')).map(({ id }) => id);
    // Statements and nothing else: an error's message may well quote a value.
    await lab.pg.sql("ALTER SYSTEM SET log_statement = 'all'");
    await lab.pg.sql("ALTER SYSTEM SET log_min_messages = 'log'");
    await lab.pg.sql('ALTER SYSTEM SET log_parameter_max_length = 0');
    await lab.pg.sql('SELECT pg_reload_conf()');
    await waitUntil(async () => await lab.pg.value('SHOW log_statement') === 'all', { what: 'the new settings' });
});
after(() => lab?.close());

async function one({ method = 'GET', url, headers, body }, token) {
    const answer = await lab.hasten.fetch(url, { method, headers, body, token });
    const text = await answer.text();
    const about = `${method} ${url} ${JSON.stringify(headers)} ${body}`;
    assert.ok(answer.status < 500, `${about}: ${answer.status} ${text}`);
    return { about, method, sent: body?.toString(), status: answer.status, headers: Object.fromEntries(answer.headers),
        body: /^application\/json/.test(answer.headers.get('content-type')) && text ? JSON.parse(text) : undefined };
}

async function noTextIn(pattern) {
    const lines = lab.pg.log.split('\n');
    assert.ok(lines.filter((line) => pattern.test(line)).length > 100, 'statements were logged');
    assert.deepEqual(lines.filter((line) => line.includes(MARK)), []);
    assert.equal((await lab.hasten.fetch('/health/ready')).status, 200);
}

test('random reads: never a 5xx, never SQL made of text', async (t) => {
    t.diagnostic(`HASTEN_SEED=${seed}`);
    const chance = random(seed);
    const token = member(3);
    const statuses = new Map();
    for (let i = 0; i < READS; i += AT_ONCE) {
        const answers = await Promise.all(Array.from({ length: AT_ONCE }, () => {
            const headers = chance.chance(0.3) ? { accept: chance.pick(ACCEPTS) } : {};
            return one({ url: randomUrl(chance), headers }, chance.chance(0.5) ? token : undefined);
        }));
        for (const { status } of answers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    t.diagnostic(JSON.stringify(Object.fromEntries(statuses)));
    assert.ok((statuses.get(200) ?? 0) > READS / 20, 'enough of them are good requests');
    await noTextIn(/execute [^:]*: .*SELECT/);
});

test('random writes: never a 5xx, never half a write, never SQL made of text', async (t) => {
    t.diagnostic(`HASTEN_SEED=${seed}`);
    const chance = random(seed + 1);
    const token = member(3);
    const good = {}, codes = {};
    const written = async () => (await lab.sql('SELECT count(*)::int AS n FROM lab.written'))[0].n;
    const note = ({ method, status, body }) => {
        if (status < 300) good[method] = (good[method] ?? 0) + 1;
        else codes[`${status} ${body?.code}`] = (codes[`${status} ${body?.code}`] ?? 0) + 1;
    };
    let earlier = await written();
    for (let i = 0; i < WRITES; i += AT_ONCE) {
        const answers = await Promise.all(Array.from({ length: AT_ONCE }, () =>
            one(chance.chance(0.1) ? randomBatch(chance) : randomWrite(chance), chance.chance(0.95) ? token : undefined)));
        answers.forEach(note);
        for (const { about, body } of answers) {
            for (const inner of body?.responses ?? []) assert.ok(inner.status < 500, `${about}: ${JSON.stringify(inner)}`);
        }
        const said = answers.reduce((sum, answer) => sum + rowsSaid(answer), 0);
        const now = await written();
        assert.equal(now - earlier, said, `rows written, and rows that the answers tell of:\n${answers.map(({ about, status, body }) =>
            `${about}\n   ${status} ${JSON.stringify(body)}`).join('\n')}`);
        earlier = now;
    }
    t.diagnostic(`${JSON.stringify(good)} ${JSON.stringify(codes)}`);
    for (const method of ['POST', 'PATCH', 'PUT', 'DELETE']) assert.ok(good[method] > 20, `enough of them are good: ${method}`);
    for (const verb of ['INSERT', 'UPDATE', 'DELETE']) await noTextIn(new RegExp(`execute [^:]*: .*${verb}`));
    await lab.sql(`SELECT '${MARK}'`);
    assert.ok(lab.pg.log.includes(MARK), 'it would have been seen');
});
