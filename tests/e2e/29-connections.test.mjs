// SPDX-License-Identifier: Apache-2.0
// Connections opened and dropped at random points of their requests, by FIN and
// by RST, from several 127.0.0.x so that ports last. Nothing may stay behind:
// no descriptor, no connection in the books, no memory that grows with them.
// 2,000 of them in every run, 100,000 with HASTEN_FULL=1.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { Hasten } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { RawClient } from './harness/raw.mjs';
import { newSeed, random, sleep, waitUntil } from './harness/util.mjs';

const TOTAL = process.env.HASTEN_FULL === '1' ? 100_000 : 2_000;
const AT_ONCE = 50;
const REQUESTS = [
    'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST /health/live HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n' + 'x'.repeat(2000),
    'POST /no HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20),
    'GET /health HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET / HTTP/1.1\nbad\n\n',
];

let pg;
let hasten;

before(async () => {
    pg = await Pg.start();
    hasten = await Hasten.start({
        'database.url': pg.url(), 'database.allow_login': 'postgres', 'auth.anonymous_role': 'postgres',
        'server.workers': 2, 'log.access': false,
    });
});

after(async () => {
    await hasten?.stop();
    await pg?.close();
});

const descriptors = () => fs.readdirSync(`/proc/${hasten.pid}/fd`).length;
const residentKiB = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${hasten.pid}/status`, 'utf8'))[1]);

async function metric(name) {
    const text = await (await hasten.fetch('/metrics', { headers: { connection: 'close' } })).text();
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)[1]);
}

async function dropOne(chance, number) {
    const client = await RawClient.connect(hasten.port, { localAddress: `127.0.0.${2 + (number % 8)}` });
    const text = chance.pick(REQUESTS);
    const reset = chance.int(4) !== 0;
    await client.send(text.slice(0, chance.int(text.length + 1)));
    if (chance.int(3) === 0) await sleep(chance.int(5));
    client.destroy({ reset });
}

async function drop(chance, count) {
    let next = 0;
    const lane = async () => {
        while (next < count) await dropOne(chance, next++);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

/** All but the one connection that asks. */
const settled = () => waitUntil(async () => await metric('hasten_http_connections') === 1,
    { timeout: 30_000, what: 'all connections to be forgotten' });

test(`${TOTAL} connections dropped at random points leave nothing behind`, { timeout: 1_800_000 }, async (t) => {
    const seed = newSeed();
    t.diagnostic(`seed ${seed}`);
    const chance = random(seed);
    await drop(chance, TOTAL / 4);
    await settled();
    const before = { descriptors: descriptors(), resident: residentKiB() };
    const accepted = await metric('hasten_http_connections_total');
    await drop(chance, TOTAL);
    await settled();
    // A client whose RST overtakes its own handshake was never a connection to the server.
    const seen = await metric('hasten_http_connections_total') - accepted;
    assert.ok(seen >= TOTAL * 0.99, `${seen} of ${TOTAL} were accepted`);
    assert.equal(await metric('hasten_http_requests_in_flight'), 1);
    assert.ok(descriptors() <= before.descriptors + 2, `${before.descriptors} descriptors, now ${descriptors()}`);
    // AddressSanitizer keeps freed memory for a while; a leak it reports itself, at the end.
    const asan = /asan/.test(process.env.HASTEN_BIN ?? '');
    const grown = residentKiB() - before.resident;
    assert.ok(asan || grown < 4096, `${grown} KiB more than before`);
    assert.equal((await hasten.get('/health/live')).status, 200);
});
