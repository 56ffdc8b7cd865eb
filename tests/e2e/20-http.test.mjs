// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 as the real program speaks it, on /health/live. The reader itself has
// its unit tests and a fuzzer; here it is the whole way from the socket and back.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { RawClient, exchange } from './harness/raw.mjs';
import { sleep, waitUntil } from './harness/util.mjs';

const HOST = 'Host: a\r\n';
const GET = `GET /health/live HTTP/1.1\r\n${HOST}\r\n`;

let pg;
let hasten;

const config = (extra = {}) => ({
    'database.url': pg.url(), 'database.allow_login': 'postgres', 'auth.anonymous_role': 'postgres',
    'server.workers': 2, ...extra,
});

before(async () => {
    pg = await Pg.start();
    hasten = await Hasten.start(config({
        'server.header_timeout': '500ms', 'server.body_timeout': '500ms', 'server.idle_timeout': '2s',
        'server.request_line.max': '1KiB', 'server.headers.max': '4KiB', 'server.headers.max_count': 20,
        'server.body.max': '10KiB',
    }));
});

after(async () => {
    await hasten?.stop();
    await pg?.close();
});

const withClient = async (fn) => {
    const client = await RawClient.connect(hasten.port);
    try {
        return await fn(client);
    } finally {
        client.destroy();
    }
};

test('keep-alive, HEAD, OPTIONS, 404, 405, and what every answer carries', () => withClient(async (client) => {
    await client.send(GET);
    const answer = await client.response();
    assert.equal(answer.status, 200);
    assert.match(answer.headers['x-request-id'], /^[0-9a-f]{32}$/);
    assert.match(answer.headers['x-response-time'], /^\d+ms$/);
    assert.match(answer.headers['server-timing'], /^total;dur=\d+\.\d+/);
    assert.ok(Math.abs(Date.parse(answer.headers.date) - Date.now()) < 5000, answer.headers.date);
    assert.equal(answer.headers.connection, undefined);

    await client.send(`HEAD /health/live HTTP/1.1\r\n${HOST}\r\n`);
    const head = await client.response({ method: 'HEAD' });
    assert.equal(head.headers['content-length'], answer.headers['content-length']);

    await client.send(`OPTIONS /health/live HTTP/1.1\r\n${HOST}\r\n`);
    const options = await client.response();
    assert.deepEqual([options.status, options.headers.allow], [204, 'GET, HEAD, OPTIONS']);

    await client.send(`DELETE /health/live HTTP/1.1\r\n${HOST}\r\n`);
    const refused = await client.response();
    assert.deepEqual([refused.status, refused.headers.allow, refused.json().code],
        [405, 'GET, HEAD, OPTIONS', 'method_not_allowed']);

    await client.send(`GET /no/such/thing HTTP/1.1\r\n${HOST}\r\n`);
    const missing = await client.response();
    assert.equal(missing.status, 404);
    assert.deepEqual(Object.keys(missing.json()), ['code', 'message', 'details', 'hint']);
}));

test('a traceparent is taken and passed on', () => withClient(async (client) => {
    const id = '0af7651916cd43dd8448eb211c80319c';
    await client.send(`GET /health/live HTTP/1.1\r\n${HOST}traceparent: 00-${id}-b7ad6b7169203331-01\r\n\r\n`);
    const answer = await client.response();
    assert.equal(answer.headers['x-request-id'], id);
    assert.match(answer.headers.traceparent, new RegExp(`^00-${id}-(?!b7ad6b7169203331)[0-9a-f]{16}-01$`));
    await hasten.waitLog(id);
}));

test('pipelined requests are answered in order, also those of one packet', () => withClient(async (client) => {
    const count = 1000;
    let text = '';
    for (let i = 0; i < count; i++) {
        text += i % 3 ? GET : `GET /no/${i} HTTP/1.1\r\n${HOST}\r\n`;
    }
    await client.send(text);
    for (let i = 0; i < count; i++) {
        const answer = await client.response();
        assert.equal(answer.status, i % 3 ? 200 : 404, `answer ${i}`);
        if (i % 3 === 0) assert.match(answer.json().message, new RegExp(`/no/${i}$`));
    }
}));

test('any cut of the bytes gives the same answers', () => withClient(async (client) => {
    const text = `POST /no/1 HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc` +
        `POST /no/2 HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n${GET}`;
    for (let cut = 1; cut < text.length; cut++) {
        await client.send(text.slice(0, cut), text.slice(cut));
        const statuses = (await client.responses(3)).map((answer) => answer.status);
        assert.deepEqual(statuses, [404, 404, 200], `cut at ${cut}`);
    }
}));

const post = (headers, body = '') => `POST /health/live HTTP/1.1\r\n${HOST}${headers}\r\n\r\n${body}`;
const REFUSED = {
    'no Host': [400, 'GET / HTTP/1.1\r\n\r\n'],
    'two Hosts': [400, `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
    'bad Host': [400, 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n'],
    'bare LF': [400, 'GET / HTTP/1.1\nHost: a\n\n'],
    'bare CR': [400, 'GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n'],
    'space before the colon': [400, 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
    'folded line': [400, `GET / HTTP/1.1\r\n${HOST} b\r\n\r\n`],
    'NUL in a value': [400, `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`],
    'bad method': [400, `G(T / HTTP/1.1\r\n${HOST}\r\n`],
    'two spaces': [400, `GET  / HTTP/1.1\r\n${HOST}\r\n`],
    'CONNECT': [400, 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n'],
    'another host in the target': [400, `GET http://b/ HTTP/1.1\r\n${HOST}\r\n`],
    'HTTP/2': [505, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    'TLS': [400, '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    'length twice': [400, post('Content-Length: 3\r\nContent-Length: 3', 'abc')],
    'a list of lengths': [400, post('Content-Length: 3, 3', 'abc')],
    'signed length': [400, post('Content-Length: +3', 'abc')],
    'length and coding': [400, post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n')],
    'coding twice': [400, post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n')],
    'chunked not last': [400, post('Transfer-Encoding: chunked, gzip', '0\r\n\r\n')],
    'another coding': [501, post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n')],
    'coding in HTTP/1.0': [400, 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    'chunk size 0x3': [400, post('Transfer-Encoding: chunked', '0x3\r\nabc\r\n0\r\n\r\n')],
    'chunk size overflow': [400, post('Transfer-Encoding: chunked', '10000000000000003\r\nabc\r\n0\r\n\r\n')],
    'chunk extension': [400, post('Transfer-Encoding: chunked', '3;=\r\nabc\r\n0\r\n\r\n')],
    'chunk too long': [400, post('Transfer-Encoding: chunked', '3\r\nabcd\r\n0\r\n\r\n')],
    'chunk with LF': [400, post('Transfer-Encoding: chunked', '3\nabc\n0\n\n')],
    'body too long': [413, post('Content-Length: 10241', 'abc')],
    'body far too long': [413, post('Content-Length: 99999999999999999999', 'abc')],
    'chunks too long': [413, post('Transfer-Encoding: chunked', `2801\r\n${'x'.repeat(10241)}\r\n0\r\n\r\n`)],
    'line too long': [414, `GET /${'x'.repeat(1100)} HTTP/1.1\r\n${HOST}\r\n`],
    'header too long': [431, `GET / HTTP/1.1\r\n${HOST}X: ${'x'.repeat(4100)}\r\n\r\n`],
    'too many headers': [431, `GET / HTTP/1.1\r\n${HOST}${'X: y\r\n'.repeat(20)}\r\n`],
    'another expectation': [417, post('Content-Length: 3\r\nExpect: tea')],
};

const CODES = {
    400: 'bad_request', 413: 'body_too_large', 414: 'uri_too_long', 417: 'expectation_failed', 431: 'headers_too_large',
    501: 'transfer_coding', 505: 'http_version',
};

for (const [name, [status, bytes]] of Object.entries(REFUSED)) {
    test(`refused: ${name}`, () => withClient(async (client) => {
        await client.send(GET + bytes + GET);
        assert.equal((await client.response()).status, 200, 'what came before is answered');
        const answer = await client.response();
        assert.equal(answer.status, status);
        assert.equal(answer.headers.connection, 'close');
        assert.deepEqual(Object.keys(answer.json()), ['code', 'message', 'details', 'hint']);
        assert.equal(answer.json().code, CODES[status]);
        assert.equal(await client.closing(), '', 'what comes behind is not read as a request');
        assert.equal(client.error, null, 'FIN, no RST');
    }));
}

test('HTTP/1.0: closed, unless asked to stay', async () => {
    const answer = await exchange(hasten.port, 'GET /health/live HTTP/1.0\r\n\r\n');
    assert.equal(answer.headers.connection, 'close');
    await withClient(async (client) => {
        await client.send('GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
        assert.equal((await client.response()).headers.connection, 'keep-alive');
        await client.send(GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
        assert.equal((await client.response()).headers.connection, 'close');
        assert.equal(await client.closing(), '');
    });
});

test('100 (Continue) only where the body will be read', () => withClient(async (client) => {
    await client.send(post('Content-Length: 3\r\nExpect: 100-continue'));
    const answer = await client.response({ final: false });
    assert.deepEqual([answer.status, answer.headers.connection], [405, 'close']);
    assert.equal(await client.closing(), '');
}));

test('time limits: 408 for a late head or body, silence for an idle connection', async () => {
    await withClient(async (client) => {
        await client.send('GET /health/li');
        const answer = await client.response();
        assert.deepEqual([answer.status, answer.json().code], [408, 'request_timeout']);
        assert.equal(await client.closing(), '');
    });
    await withClient(async (client) => {
        await client.send(post('Content-Length: 3', 'a'));
        assert.equal((await client.response()).status, 408);
    });
    await withClient(async (client) => {
        await client.send(GET);
        await client.response();
        assert.equal(await client.closing(), '');
        assert.equal(client.error, null);
    });
});

test('a client that has sent all it will is answered', () => withClient(async (client) => {
    await client.send(GET + GET + GET.slice(0, 10));
    client.end();
    await client.responses(2);
    assert.equal(await client.closing(), '');
}));

test('the access log has a line for each request, without the query', async () => {
    await exchange(hasten.port, `GET /health/live?token=geheim HTTP/1.1\r\n${HOST}Authorization: Bearer geheim\r\n\r\n`);
    await hasten.waitLog(/event=request method=GET path=\/health\/live status=200 bytes=\d+ ms=[\d.]+ request_id=[0-9a-f]{32} client=127\.0\.0\.1:\d+/);
    assert.ok(!hasten.logContains('geheim'));
});

test('SIGTERM: requests under way are answered, idle connections closed, new ones refused', async () => {
    const other = await Hasten.start(config());
    const idle = await RawClient.connect(other.port);
    await idle.send(GET);
    await idle.response();
    const busy = await RawClient.connect(other.port);
    await busy.send('GET /health/li');
    await sleep(50);
    other.signal('SIGTERM');
    assert.equal(await idle.closing(), '');
    await busy.send('ve HTTP/1.1\r\nHost: a\r\n\r\n');
    const answer = await busy.response();
    assert.deepEqual([answer.status, answer.headers.connection], [200, 'close']);
    assert.equal(await busy.closing(), '');
    await waitUntil(() => other.how, { what: 'the end' });
    await other.stop();
});
