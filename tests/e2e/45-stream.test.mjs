// SPDX-License-Identifier: Apache-2.0
// Streams (A9): the same rows in every form, in constant memory, at the client's pace, within their
// bounds; and a part is never taken for the whole.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { Hasten, exampleConfig } from './harness/hasten.mjs';
import { member, startLab } from './harness/lab.mjs';
import { sleep, waitUntil } from './harness/util.mjs';

const MANY = 200_000;
const NDJSON = 'application/x-ndjson';
const CSV = 'text/csv';
const PREPARE = `
    CREATE TABLE lab.many (id integer PRIMARY KEY, name text NOT NULL, amount numeric, at timestamptz, note text);
    INSERT INTO lab.many SELECT i, 'name ' || i, i / 8.0, '2026-01-01T00:00:00Z'::timestamptz + i * interval '1 minute',
        CASE WHEN i % 3 = 0 THEN NULL ELSE repeat('x', i % 90) END FROM generate_series(1, ${MANY}) i;
    CREATE TABLE lab.texts (id integer PRIMARY KEY, t text, doc jsonb, list text[], flag boolean);
    INSERT INTO lab.texts VALUES (1, '', '{"a": "b,\\"c"}', '{a,"b,c",NULL}', true), (2, NULL, NULL, NULL, NULL),
        (3, 'say "hi", you', '[]', '{}', false), (4, E'two\\r\\nlines', '"text"', '{x}', true),
        (5, '=SUM(A1)', 'null', '{""}', false), (6, ' spaces ', '1', '{}', true);
    CREATE FUNCTION lab.raise_at(i integer) RETURNS integer LANGUAGE plpgsql AS
        $$ BEGIN IF i = 5000 THEN RAISE EXCEPTION 'row % is broken', i USING ERRCODE = 'ZZ001'; END IF; RETURN i; END $$;
    CREATE VIEW lab.breaks AS SELECT lab.raise_at(i) AS i FROM generate_series(1, 10000) i;
    CREATE VIEW lab.breaks_at_once AS SELECT lab.raise_at(i) AS i FROM generate_series(5000, 10000) i;
    CREATE VIEW lab.slow AS SELECT i, pg_sleep(0.02)::text AS slept FROM generate_series(1, 10000) i;
    CREATE VIEW lab.endless AS SELECT a.id AS i, repeat('y', 500) AS text FROM lab.many a CROSS JOIN lab.many b;
    CREATE TABLE lab.wide (id integer PRIMARY KEY, text text);
    INSERT INTO lab.wide SELECT i, repeat('w', CASE WHEN i = 100 THEN 1500000 ELSE 10 END) FROM generate_series(1, 200) i;
    GRANT SELECT ON lab.many, lab.texts, lab.breaks, lab.breaks_at_once, lab.slow, lab.endless, lab.wide TO viewer, member;
    ANALYZE lab.many;
`;

let lab;
before(async () => {
    lab = await startLab({
        'server.workers': 1, 'server.write_timeout': '1h', 'database.pool.min': 1, 'database.pool.max': 4,
        'api.stream.max': 2, 'log.access': false,
    }, { prepare: PREPARE });
});
after(() => lab?.close());

const ask = (path, accept, options) => lab.get(path, { ...options, headers: { accept, ...options?.headers } });
const lines = (text) => {
    assert.ok(text === '' || text.endsWith('\n'), 'the last line has its end');
    return text.split('\n').slice(0, -1).map((line) => JSON.parse(line));
};

/** RFC 4180 and nothing else; null is a field without anything, '' is "". */
function readCsv(text) {
    const rows = [];
    let at = 0;
    while (at < text.length) {
        const row = [];
        for (;;) {
            if (text[at] === '"') {
                const quoted = /"((?:[^"]|"")*)"/y;
                quoted.lastIndex = at;
                const match = quoted.exec(text);
                assert.ok(match, `an open quote at ${at}`);
                row.push(match[1].replaceAll('""', '"'));
                at = quoted.lastIndex;
            } else {
                const plain = /[^",\r\n]*/y;
                plain.lastIndex = at;
                const [field] = plain.exec(text);
                row.push(field === '' ? null : field);
                at = plain.lastIndex;
            }
            if (text[at] !== ',') break;
            at++;
        }
        assert.equal(text.slice(at, at + 2), '\r\n', `a line ends at ${at}`);
        at += 2;
        rows.push(row);
    }
    return rows;
}

/** A value of the JSON answer as CSV has it. */
const asField = (value) => (value === null ? null : typeof value === 'string' ? value : typeof value === 'object' ? undefined : String(value));

async function byPages(path) {
    const rows = [];
    for (let cursor = ''; ;) {
        const { status, body, text } = await lab.get(`${path}${path.includes('?') ? '&' : '?'}limit=70${cursor}`);
        assert.equal(status, 200, text);
        rows.push(...body.data);
        if (!body.pagination.nextCursor) return rows;
        cursor = `&cursor=${body.pagination.nextCursor}`;
    }
}

const metric = async (name) => {
    const { text } = await lab.hasten.get('/metrics');
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)[1]);
};
const backends = () => lab.sql(`SELECT pid, query, state, backend_xmin FROM pg_stat_activity
    WHERE usename = 'authenticator' AND state <> 'idle' AND datname = 'clients_plus'`);
const isQuiet = () => waitUntil(async () => (await backends()).length === 0, { what: 'nothing to run in PostgreSQL' });

/** A request by a bare socket that reads only when told; {socket, text(), closed} */
function openRaw(path, { accept = NDJSON, port = lab.hasten.port, read = true, version = '1.1' } = {}) {
    const socket = net.connect(port, '127.0.0.1');
    const got = [];
    let bytes = 0;
    socket.on('data', (data) => {
        bytes += data.length;
        if (bytes < 4 << 20) got.push(data);
    });
    if (!read) socket.pause();
    const closed = new Promise((resolve) => {
        let error = null;
        socket.on('error', (e) => { error = e.code; });
        socket.on('close', () => resolve(error));
    });
    socket.write(`GET /api/v1/${path} HTTP/${version}\r\nHost: a\r\nAccept: ${accept}\r\n\r\n`);
    return { socket, closed, bytes: () => bytes, text: () => Buffer.concat(got).toString('latin1') };
}

// ---- the forms ----

for (const path of ['things', 'things?sort=-rank,label', 'things?grp=g1&fields=id,at,score,flag', 'things?search=plain&sort=born',
    'things?include=parent,friends&fields=id', 'letters?include=sender,receiver', 'pairs', 'texts', 'things?nulls=omit']) {
    test(`all forms hold the rows of the pages: ${path}`, async () => {
        const rows = await byPages(path);
        assert.ok(rows.length > 3);
        const all = await lab.get(`${path}${path.includes('?') ? '&' : '?'}limit=all`);
        assert.deepEqual([all.status, all.headers.get('content-type')], [200, 'application/json']);
        assert.deepEqual(all.body, { data: rows, pagination: { page: 1, limit: null, nextCursor: null, prevCursor: null } });

        const ndjson = await ask(path, NDJSON);
        assert.deepEqual([ndjson.status, ndjson.headers.get('content-type')], [200, NDJSON]);
        assert.deepEqual(lines(ndjson.text), rows);

        const csv = await ask(path, CSV);
        assert.deepEqual([csv.status, csv.headers.get('content-type')], [200, 'text/csv; charset=utf-8; header=present']);
        const [names, ...records] = readCsv(csv.text);
        if (!path.includes('omit')) assert.deepEqual(names, Object.keys(rows[0]));
        assert.equal(records.length, rows.length);
        records.forEach((record, i) => names.forEach((name, j) => {
            const value = rows[i][name] ?? null;
            const field = asField(value);
            if (field === undefined) assert.deepEqual(JSON.parse(record[j]), value, `${name} of row ${i}`);
            else if (typeof value === 'number') assert.equal(Number(record[j]), value);
            else if (!(name === 'doc')) assert.equal(record[j], field, `${name} of row ${i}`);
        }));
        for (const answer of [all, ndjson, csv]) assert.equal(answer.headers.get('vary'), 'Accept');
    });
}

test('CSV: quotes, lines, NULL beside the empty text, arrays and json as their JSON', async () => {
    const { text } = await ask('texts', CSV);
    assert.equal(text, [
        'id,t,doc,list,flag',
        '1,"","{""a"": ""b,\\""c""}","[""a"",""b,c"",null]",true',
        '2,,,,',
        '3,"say ""hi"", you",[],[],false',
        '4,"two\r\nlines","""text""","[""x""]",true',
        '5,=SUM(A1),null,"[""""]",false',
        '6, spaces ,1,[],true', ''].join('\r\n'));
});

test('no rows: an empty array, nothing, the names alone', async () => {
    const where = 'texts?id=99&fields=id,t';
    assert.deepEqual((await lab.get(`${where}&limit=all`)).body.data, []);
    assert.equal((await ask(where, NDJSON)).text, '');
    assert.equal((await ask(where, CSV)).text, 'id,t\r\n');
});

test('page, limit and cursor mean in a stream what they mean in a page', async () => {
    const ids = (answer) => lines(answer.text).map((row) => row.id);
    assert.deepEqual(ids(await ask('things?limit=3&page=4&fields=id', NDJSON)), [10, 11, 12]);
    assert.equal(ids(await ask('many?limit=4000&fields=id', NDJSON)).length, 4000, 'more than api.limit.max');
    const page = await lab.get('things?limit=250&fields=id');
    const next = await ask(`things?fields=id&cursor=${page.body.pagination.nextCursor}`, NDJSON);
    assert.deepEqual(ids(next), Array.from({ length: 50 }, (_, i) => 251 + i));
    const whole = await lab.get(`things?fields=id&limit=all&cursor=${page.body.pagination.nextCursor}`);
    assert.equal(whole.body.pagination.page, null);
    assert.equal(whole.body.data.length, 50);
    const second = await lab.get('things?limit=10&page=2');
    const back = await ask(`things?cursor=${second.body.pagination.prevCursor}`, NDJSON);
    assert.deepEqual([back.status, back.body.code], [400, 'bad_cursor']);
});

test('what a stream cannot be asked for', async () => {
    for (const [path, accept] of [['things?count=exact', NDJSON], ['things?count=estimated&limit=all', '*/*'], ['things?page=2', CSV],
        ['things?limit=all&page=2', '*/*'], ['things?limit=0', NDJSON], ['things?limit=alle', '*/*'], ['things?limit=5000', '*/*']]) {
        const { status, body } = await ask(path, accept);
        assert.deepEqual([status, body.code], [400, 'bad_parameter'], `${path} ${accept}`);
    }
});

test('Accept chooses; what is not made is a 406', async () => {
    for (const [accept, type] of [['*/*', /json$/], ['application/*;q=0.1, text/csv;q=0.2', /^text\/csv/], ['text/*', /^text\/csv/],
        ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', /^application\/json/],
        ['application/x-ndjson, */*', /x-ndjson/], ['application/json;q=0, */*', /x-ndjson/]]) {
        const answer = await ask('pairs', accept);
        assert.equal(answer.status, 200);
        assert.match(answer.headers.get('content-type'), type, accept);
    }
    const { status, body } = await ask('pairs', 'image/png, application/json;q=0');
    assert.deepEqual([status, body.code], [406, 'not_acceptable']);
});

test('HEAD is the head, and asks PostgreSQL whether the caller may', async () => {
    const head = await lab.hasten.fetch('/api/v1/endless', { method: 'HEAD', headers: { accept: CSV } });
    assert.deepEqual([head.status, head.headers.get('content-type')], [200, 'text/csv; charset=utf-8; header=present']);
    assert.equal(await head.text(), '');
    const refused = await lab.hasten.fetch('/api/v1/hidden', { method: 'HEAD', headers: { accept: CSV } });
    assert.equal(refused.status, 401);
    await isQuiet();
});

test('roles and row-level security hold', async () => {
    for (const company of [3, 4]) {
        const { text } = await ask('clients', NDJSON, { token: member(company) });
        const rows = lines(text);
        assert.ok(rows.length > 0 && rows.every((row) => row.companyId === company));
        const [{ n }] = await lab.sql(`SELECT count(*)::int AS n FROM api.clients WHERE company_id = ${company}`);
        assert.equal(rows.length, n);
    }
    assert.equal((await ask('hidden', NDJSON)).status, 401);
    assert.equal((await ask('hidden', CSV, { token: member(3) })).status, 403);
    const partly = await ask('partly', CSV);
    assert.equal(partly.text, 'id,name\r\n1,n\r\n');
});

test('a stream within a batch is an answer like others', async () => {
    const { body } = await lab.hasten.get('/api/v1/batch', {
        method: 'POST', body: JSON.stringify([{ path: '/api/v1/pairs', headers: { accept: CSV } },
            { path: '/api/v1/breaks', headers: { accept: NDJSON } }]), headers: { 'content-type': 'application/json' },
    });
    assert.equal(body.responses[0].status, 200);
    assert.equal(readCsv(body.responses[0].body).length, 5);
    assert.equal(body.responses[1].status, 500);
});

// ---- bounds ----

const residentOf = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

test(`${MANY} rows in each form, in constant memory`, async () => {
    // AddressSanitizer keeps what was freed; here that would be taken for ours.
    const own = await Hasten.start(exampleConfig(lab.pg, { 'database.schemas': ['lab'], 'server.workers': 1 }),
        { env: { ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:quarantine_size_mb=1:thread_local_quarantine_size_kb=16` } });
    const read = (path, accept) => own.get(`/api/v1/${path}`, { headers: { accept } });
    await read('many?limit=20000', NDJSON);
    const before = residentOf(own.pid);
    const ndjson = await read('many', NDJSON);
    const end = ndjson.text.slice(ndjson.text.lastIndexOf('\n', ndjson.text.length - 2) + 1);
    assert.deepEqual([JSON.parse(end).id, ndjson.text.split('\n').length - 1], [MANY, MANY]);
    const csv = await read('many?sort=-id', CSV);
    assert.equal(csv.text.split('\r\n').length - 2, MANY);
    const json = await read('many?limit=all&fields=id', '*/*');
    assert.equal(json.body.data.length, MANY);
    assert.ok(json.body.data.every((row, i) => row.id === i + 1));
    assert.ok(residentOf(own.pid) - before < 16 << 20, `grew by ${residentOf(own.pid) - before} bytes`);
    const { text } = await own.get('/metrics');
    assert.match(text, new RegExp(`^hasten_stream_rows_total ${3 * MANY + 20_000}$`, 'm'));
    assert.match(text, /^hasten_streams 0$/m);
    await own.stop();
});

test('a slow reader gets all of it; PostgreSQL waits for the client', async () => {
    const raw = openRaw('endless?limit=40000', { read: false });
    await waitUntil(async () => {
        const rows = await metric('hasten_stream_rows_total');
        await sleep(300);
        return rows > 0 && await metric('hasten_stream_rows_total') === rows;
    }, { what: 'nothing to be fetched for a client that takes nothing' });
    assert.equal((await backends())[0].state, 'idle in transaction');
    raw.socket.resume();
    await waitUntil(() => raw.bytes() > 40_000 * 500, { timeout: 60_000, what: 'all of it' });
    raw.socket.destroy();
    await isQuiet();
});

test('a client that leaves leaves nothing behind', async () => {
    const broken = await metric('hasten_streams_broken_total');
    for (const [path, leave] of [['endless', 'destroy'], ['endless', 'resetAndDestroy'], ['slow', 'resetAndDestroy']]) {
        const raw = openRaw(path);
        await waitUntil(async () => (await backends()).length > 0 && (path === 'slow' || raw.bytes() > 0), { what: `${path} to run` });
        raw.socket[leave]();
        await isQuiet();
        await waitUntil(async () => await metric('hasten_streams') === 0);
    }
    assert.ok(await metric('hasten_streams_broken_total') >= broken + 2);
});

test('api.stream.max, and one connection is always left', async () => {
    const open = [openRaw('endless', { read: false }), openRaw('endless', { read: false })];
    await waitUntil(async () => await metric('hasten_streams') === 2);
    const third = await ask('many', NDJSON);
    assert.deepEqual([third.status, third.body.code], [503, 'busy']);
    assert.ok(third.headers.get('retry-after'));
    assert.equal((await lab.get('things/1')).status, 200);
    assert.equal((await lab.get('things?limit=5')).status, 200);
    for (const { socket } of open) socket.destroy();
    await waitUntil(async () => await metric('hasten_streams') === 0);
    await isQuiet();
    assert.equal((await ask('pairs', NDJSON)).status, 200);
});

test('a row of 1.5 MB goes through, one longer than server.answer.max does not', async () => {
    const { text } = await ask('wide', NDJSON);
    assert.equal(lines(text)[99].text.length, 1_500_000);
    const own = await Hasten.start(exampleConfig(lab.pg, { 'database.schemas': ['lab'], 'server.answer.max': '1MiB', 'server.workers': 1 }));
    const answer = await own.get('/api/v1/wide?id=100', { headers: { accept: CSV } });
    assert.deepEqual([answer.status, answer.body.code], [503, 'limit_reached']);
    await own.stop();
});

// ---- errors ----

test('an error in mid-stream shows: a last line in NDJSON, and no end in any form', async () => {
    const where = 'breaks?fields=i';
    for (const [accept, path] of [[NDJSON, where], [CSV, where], ['*/*', `${where}&limit=all`]]) {
        const raw = openRaw(path, { accept });
        raw.socket.on('end', () => raw.socket.end());
        await raw.closed;
        assert.match(raw.text(), /^HTTP\/1\.1 200 OK\r\n/);
        assert.ok(!raw.text().endsWith('0\r\n\r\n'), 'the chunked coding has no end');
        await assert.rejects(ask(path, accept), /terminated/);
        if (accept !== NDJSON) continue;
        const body = raw.text().slice(raw.text().indexOf('\r\n\r\n') + 4).replaceAll(/(?:^|\r\n)[0-9a-f]+\r\n/g, '').trimEnd();
        const got = body.split('\n').map((line) => JSON.parse(line));
        assert.equal(got.at(-1).error.code, 'ZZ001');
        assert.equal(got.at(-1).error.message, 'row 5000 is broken');
        assert.deepEqual(got.slice(0, -1).map((row) => row.i), Array.from({ length: got.length - 1 }, (_, i) => i + 1));
    }
    assert.ok(lab.hasten.logContains('stream broken off'));
});

test('HTTP/1.0, whose answers end with the connection, gets a reset', async () => {
    const raw = openRaw('breaks', { version: '1.0' });
    assert.equal(await raw.closed, 'ECONNRESET', raw.text().slice(0, 400) + raw.text().slice(-400));
    const whole = openRaw('pairs', { version: '1.0' });
    whole.socket.on('end', () => whole.socket.end());
    assert.equal(await whole.closed, null);
    assert.equal(whole.text().split('\r\n\r\n')[1].split('\n').length, 5);
});

test('an error before the first row is an answer like any other', async () => {
    const { status, body } = await ask('breaksAtOnce', NDJSON);
    assert.deepEqual([status, body.code], [500, 'ZZ001']);
    assert.deepEqual((await ask('things?sort=raw', CSV)).body.code, '42883');
});

test('PostgreSQL ends in mid-stream, and is away before the first byte', async () => {
    const raw = openRaw('endless', { read: false });
    await waitUntil(async () => (await backends()).some(({ state }) => state === 'idle in transaction'));
    await lab.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'authenticator'`);
    raw.socket.on('end', () => raw.socket.end());
    raw.socket.resume();
    await raw.closed;
    assert.ok(!raw.text().endsWith('0\r\n\r\n'));
    await waitUntil(async () => (await lab.get('pairs')).status === 200);
    assert.equal(await metric('hasten_streams'), 0);
});

test('the lifetime ends a stream, and with it its hold on the database', async () => {
    const own = await Hasten.start(exampleConfig(lab.pg, {
        'database.schemas': ['lab'], 'server.workers': 1, 'api.stream.lifetime': '1s', 'server.write_timeout': '1h',
    }));
    const raw = openRaw('endless', { port: own.port, read: false });
    await waitUntil(async () => (await backends()).some(({ backend_xmin: xmin }) => xmin !== null), { what: 'a horizon to be held' });
    await isQuiet();
    raw.socket.on('end', () => raw.socket.end());
    raw.socket.resume();
    await raw.closed;
    assert.ok(!raw.text().endsWith('0\r\n\r\n'));
    await own.waitLog('stream broken off');
    await own.stop();
});

test('a client that takes too little is given up: it cannot pin the horizon', async () => {
    const own = await Hasten.start(exampleConfig(lab.pg, {
        'database.schemas': ['lab'], 'server.workers': 1, 'api.stream.rate_min': '1GiB', 'server.write_timeout': '1h',
    }));
    const raw = openRaw('endless', { port: own.port, read: false });
    await waitUntil(async () => (await backends()).some(({ backend_xmin: xmin }) => xmin !== null), { what: 'a horizon to be held' });
    await sleep(5000);
    assert.ok((await backends()).length > 0, 'it has 30 s');
    await waitUntil(async () => (await backends()).length === 0, { timeout: 60_000, what: 'the stream to be given up' });
    raw.socket.resume();
    await raw.closed;
    await own.waitLog('api.stream.rate_min');
    await own.stop();
});

test('a reload of the catalog leaves a stream under way alone', async () => {
    const request = http.get(`${lab.hasten.url}/api/v1/many?fields=id`, { headers: { accept: NDJSON } });
    const response = await new Promise((resolve) => { request.once('response', resolve); });
    await lab.sql('CREATE TABLE lab.later (id integer PRIMARY KEY); GRANT SELECT ON lab.later TO viewer');
    await waitUntil(async () => (await lab.get('later')).status === 200);
    let text = '';
    for await (const piece of response.setEncoding('latin1')) text += piece;
    assert.equal(text.split('\n').length - 1, MANY);
});
