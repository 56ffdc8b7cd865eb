// SPDX-License-Identifier: Apache-2.0
// The harness itself: a harness that lies makes every other test worthless.
// PostgreSQL here is real; the HTTP server that the raw client reads is node's.

import assert from 'node:assert/strict';
import { createVerify } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { after, test } from 'node:test';
import driver from 'pg';
import { Hasten, hasten, yaml } from './harness/hasten.mjs';
import { rsaPair, sign, tamper } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { Proxy } from './harness/proxy.mjs';
import { ProtocolError, RawClient, parseResponse } from './harness/raw.mjs';
import { childrenOf, isAlive, makeCertificates, random, tempDir, waitUntil } from './harness/util.mjs';

test('PostgreSQL: a cluster of its own, that is a copy, survives restart and kill -9', async (t) => {
    const [one, two] = await Promise.all([Pg.start(), Pg.start({ settings: { work_mem: '5MB' } })]);
    t.after(() => Promise.all([one.close(), two.close()]));

    assert.equal(await one.value("SELECT current_setting('server_version_num')::int / 10000"), 15);
    assert.equal(await one.value('SHOW wal_level'), 'logical');
    assert.equal(await two.value('SHOW work_mem'), '5MB');
    assert.notEqual(one.port, two.port);

    await one.sql('CREATE TABLE kept (id int); INSERT INTO kept VALUES (1), (2)');
    assert.equal(await two.value("SELECT to_regclass('kept')"), null, 'clusters are apart');

    await one.restart();
    assert.equal(await one.value('SELECT count(*)::int FROM kept'), 2);

    // Synchronous commit with fsync=off: the kernel has the data, so it outlives the process.
    await one.sql('INSERT INTO kept VALUES (3)');
    const { pid } = one.child;
    await one.kill9();
    assert.equal(isAlive(pid), false);
    await assert.rejects(one.sql('SELECT 1'), /ENOENT|ECONNREFUSED/);
    await one.start();
    assert.equal(await one.value('SELECT count(*)::int FROM kept'), 3);
    assert.match(one.log, /database system was not properly shut down/);
});

test('PostgreSQL: the example application, from a template, row-level security and all', async (t) => {
    const pg = await Pg.start();
    t.after(() => pg.close());
    await pg.loadClientsPlus(0.1);
    const asRole = async (role, claims) => Number(await pg.value(
        `SET request.jwt.claims = '${JSON.stringify(claims)}'; SET ROLE ${role}; SELECT count(*) FROM api.clients`,
        { db: 'clients_plus', user: 'authenticator' }));
    const all = await asRole('viewer', {});
    assert.ok(all >= 9000, `${all} clients`);
    const mine = await asRole('member', { company_id: 3 });
    assert.ok(mine > 0 && mine < all, `${mine} of ${all}`);
    assert.equal(await asRole('member', {}), 0);
});

test('PostgreSQL: signalAll freezes and wakes every process', async (t) => {
    const pg = await Pg.start();
    t.after(() => pg.close());
    const client = await pg.client();
    pg.signalAll('SIGSTOP');
    let answered = false;
    const query = client.query('SELECT 7 AS n').then((result) => {
        answered = true;
        return result;
    });
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(answered, false);
    pg.signalAll('SIGCONT');
    assert.equal((await query).rows[0].n, 7);
    await client.end();
    assert.ok(childrenOf(pg.child.pid).length >= 4);
});

test('PostgreSQL: TLS, a password by hba, and its URLs', async (t) => {
    const folder = tempDir('tls');
    const tls = makeCertificates(folder);
    const pg = await Pg.start({ tls, hba: 'local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n' });
    t.after(() => pg.close());
    await pg.sql("CREATE ROLE alice LOGIN PASSWORD 'a:b/c'");
    const url = pg.url({ user: 'alice', password: 'a:b/c', tcp: true, host: 'localhost' });
    const client = new driver.Client({ connectionString: url, ssl: { ca: fs.readFileSync(tls.ca, 'utf8') } });
    await client.connect();
    assert.equal((await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).rows[0].ssl, true);
    await client.end();
    await assert.rejects(new driver.Client({ connectionString: pg.url({ user: 'alice', password: 'no', tcp: true }),
        ssl: { rejectUnauthorized: false } }).connect(), /password authentication failed/);
    assert.equal((await pg.psql([pg.url(), '-c', 'SELECT 1'])).trim(), '1');
});

test('proxy: passes on, delays, holds, throttles, half-closes, resets, cuts, heals', async (t) => {
    const pg = await Pg.start();
    const proxy = await Proxy.start({ path: `${pg.folder}/.s.PGSQL.${pg.port}` });
    t.after(async () => {
        await proxy.stop();
        await pg.close();
    });
    const connect = async () => {
        const client = new driver.Client({ host: '127.0.0.1', port: proxy.port, user: 'postgres' });
        client.on('error', () => {});
        await client.connect();
        return client;
    };
    const timed = async (fn) => {
        const began = performance.now();
        await fn();
        return performance.now() - began;
    };
    let client = await connect();
    assert.equal((await client.query("SELECT repeat('x', 300000) AS x")).rows[0].x.length, 300_000);

    proxy.delay(60);
    assert.ok(await timed(() => client.query('SELECT 1')) >= 115, 'there and back');
    proxy.heal();
    proxy.throttle(100_000);
    assert.ok(await timed(() => client.query("SELECT repeat('x', 30000)")) >= 250, '30 kB at 100 kB/s');
    proxy.heal();

    proxy.hold();
    const held = client.query('SELECT 1');
    setTimeout(() => proxy.heal(), 100);
    assert.ok(await timed(() => held) >= 80);

    const broken = client.query('SELECT pg_sleep(10)');
    setTimeout(() => proxy.reset(), 50);
    await assert.rejects(broken, /ECONNRESET|terminated/);
    client = await connect();
    const half = client.query('SELECT pg_sleep(10)');
    setTimeout(() => proxy.halfClose('client'), 50);
    await assert.rejects(half, /terminated|ended/);
    proxy.cut();
    await assert.rejects(connect());
    proxy.heal();
    client = await connect();
    assert.equal(proxy.connections, 1);
    await client.end();
    await waitUntil(() => proxy.connections === 0);
});

const server = http.createServer((request, response) => {
    if (request.url === '/chunked') {
        response.write('one');
        setImmediate(() => response.end('two'));
    } else {
        response.setHeader('Content-Length', 5);
        response.end(request.method === 'HEAD' ? undefined : 'hello');
    }
});
server.listen(0, '127.0.0.1');
after(() => server.close());

test('raw client: pieces, pipelining, HEAD, chunked, Expect, close', async () => {
    if (!server.listening) await once(server, 'listening');
    const client = await RawClient.connect(server.address().port);
    await client.send('GET / HT', 'TP/1.1\r\nHo', 5, 'st: a\r\n\r\n');
    assert.equal((await client.response()).text, 'hello');

    await client.send('GET /chunked HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const chunked = await client.response();
    assert.deepEqual([chunked.text, chunked.chunks], ['onetwo', 2]);
    const head = await client.response({ method: 'HEAD' });
    assert.deepEqual([head.headers['content-length'], head.text], ['5', '']);
    assert.equal((await client.response()).text, 'hello');

    await client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n');
    assert.equal((await client.response({ final: false })).status, 100);
    await client.send('xGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.deepEqual((await client.responses(2)).map((answer) => answer.status), [200, 200]);
    assert.equal(await client.closing(), '');
    await assert.rejects(client.response(), /closed before an answer/);
});

test('raw client: a sloppy answer is an error', () => {
    const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
    assert.equal(parseResponse(ok).text, 'ok');
    assert.equal(parseResponse(ok.slice(0, -1)), null);
    assert.equal(parseResponse('HTTP/1.1 200 OK\r\n\r\nrest'), null);
    assert.equal(parseResponse('HTTP/1.1 200 OK\r\n\r\nrest', { closed: true }).text, 'rest');
    assert.equal(parseResponse('HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n').bytes, 48);
    const bad = [
        'HTTP/1.0 200 OK\r\n\r\n',
        'HTTP/1.1 200\r\n\r\n',
        'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n',
        'HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n',
        'HTTP/1.1 200 OK\r\nA: 1\r\n B\r\n\r\n',
        'HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n',
        'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n',
        'HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n',
        'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
        'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n',
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=1\r\na\r\n0\r\n\r\n',
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n',
    ];
    for (const text of bad) assert.throws(() => parseResponse(text), ProtocolError, JSON.stringify(text));
});

test('tokens verify, tampered ones do not', () => {
    const { publicKey, privateKey } = rsaPair();
    const verify = (token) => {
        const at = token.lastIndexOf('.');
        return createVerify('sha256').update(token.slice(0, at)).verify(publicKey, token.slice(at + 1), 'base64url');
    };
    const token = sign({ role: 'member' }, privateKey, { alg: 'RS256' });
    assert.equal(verify(token), true);
    for (const part of [0, 1, 2]) assert.equal(verify(tamper(token, part)), false);
    // The token that jwt.io shows, signed there.
    assert.equal(sign({ exp: undefined, sub: '1234567890', name: 'John Doe', iat: 1516239022 }, 'your-256-bit-secret'),
        'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ' +
        '.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c');
});

test('a bad exit and a report of a sanitizer are failures', async (t) => {
    const real = process.env.HASTEN_BIN;
    t.after(() => {
        if (real === undefined) delete process.env.HASTEN_BIN;
        else process.env.HASTEN_BIN = real;
    });
    const play = async (script) => {
        const file = `${tempDir('play')}/program`;
        fs.writeFileSync(file, `#!/bin/bash\n${script}\n`, { mode: 0o755 });
        process.env.HASTEN_BIN = file;
        const program = await Hasten.start({}, { ready: false });
        await program.waitLog('up');
        return program;
    };
    const serve = (end, say) => `trap '${end}' TERM; echo "up ${say}" >&2; while :; do sleep 0.05; done`;
    await (await play(serve('exit 0', 'and well'))).stop();
    await assert.rejects((await play(serve('exit 3', ''))).stop(), /hasten's end/);
    await (await play(serve('exit 3', ''))).stop({ code: 3 });
    await assert.rejects((await play(serve('kill -9 $$', ''))).stop(), /hasten's end/);
    await assert.rejects((await play(serve('exit 0', '==1==ERROR: AddressSanitizer: heap'))).stop(), /a sanitizer reports/);
    await assert.rejects((await play(serve('exit 0', 'a.c:1:2: runtime error: x'))).stop(), /a sanitizer reports/);
    await assert.rejects(Hasten.start({}, { timeout: 300 }), /waited 300 ms/);
    await assert.rejects(hasten(['x'], { timeout: 300 }), /a sanitizer reports/);
});

test('the same seed gives the same numbers', () => {
    const list = (seed) => {
        const chance = random(seed);
        return [chance.next(), chance.int(10), chance.between(5, 6), chance.pick('abc'), chance.shuffle([1, 2, 3, 4])];
    };
    assert.deepEqual(list(7), list(7));
    assert.notDeepEqual(list(7), list(8));
});

test('an object becomes YAML', () => {
    assert.equal(yaml({
        'server.listen': '127.0.0.1:1', server: { workers: 2 }, absent: undefined,
        database: { schemas: ['api'], none: [] },
        api: { relations: [{ from: 'a', to: 'b', on: ['x', 'y'] }] },
    }), [
        'server:', '  listen: "127.0.0.1:1"', '  workers: 2',
        'database:', '  schemas:', '    - "api"', '  none: []',
        'api:', '  relations:', '    - from: "a"', '      to: "b"', '      on:', '        - "x"', '        - "y"', '',
    ].join('\n'));
});
