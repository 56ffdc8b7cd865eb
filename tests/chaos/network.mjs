// SPDX-License-Identifier: Apache-2.0
// The way between hasten and PostgreSQL breaks, in every way that TCP knows.
//
// usage: node tests/chaos/network.mjs [--seconds N] [--seed N]

import { Hasten, exampleConfig } from '../e2e/harness/hasten.mjs';
import { Pg } from '../e2e/harness/pg.mjs';
import { Proxy } from '../e2e/harness/proxy.mjs';
import { sleep } from '../e2e/harness/util.mjs';
import { Readers, chaosArguments } from './lib/readers.mjs';

// A connection is given up when its statement's timeout and CLOSE_MS are over; a read is then repeated, once.
const ACQUIRE_MS = 2000, STATEMENT_MS = 4000, CLOSE_MS = 1000, STALL_MS = 5000, SLACK_MS = 2000;

const { seconds, rng } = chaosArguments('network');
const pg = await Pg.start({ clientsPlus: 0.1, fsync: true });
const proxy = await Proxy.start({ host: '127.0.0.1', port: pg.port });
const server = await Hasten.start(exampleConfig(pg, {
    'database.url': pg.url({ user: 'authenticator', db: 'clients_plus', tcp: true, port: proxy.port }),
    'database.pool.acquire_timeout': `${ACQUIRE_MS}ms`, 'database.statement_timeout': `${STATEMENT_MS}ms`,
    'database.pool.close_timeout': `${CLOSE_MS}ms`, 'log.access': false,
}));
const readers = await Readers.start(pg, server, rng, { bound: 2 * (ACQUIRE_MS + STATEMENT_MS + CLOSE_MS) + SLACK_MS });

const faults = {
    cut: async () => {
        proxy.cut();
        await sleep(rng.between(100, 4000));
    },
    halfCloseToServer: () => proxy.halfClose('server'),
    halfCloseToClient: () => proxy.halfClose('client'),
    drop: () => proxy.drop(),
    reset: () => proxy.reset(),
    stall: async () => {
        proxy.delay(STALL_MS);
        await sleep(rng.between(500, STALL_MS + 1000));
    },
    stallAndReset: async () => {
        proxy.delay(STALL_MS);
        await sleep(rng.between(100, 1000));
        proxy.reset();
    },
    hold: async () => {
        proxy.hold();       // a dead path: not even an end
        await sleep(rng.between(500, STATEMENT_MS + CLOSE_MS + 4000));
    },
    trickle: async () => {
        proxy.throttle(rng.between(500, 20_000));
        await sleep(rng.between(500, 3000));
    },
};

const end = performance.now() + seconds * 1000;
let left = [];
while (performance.now() < end) {
    if (left.length === 0) left = rng.shuffle(Object.keys(faults));
    await sleep(rng.between(300, 2000));
    await faults[left.pop()]();
    proxy.heal();
    await readers.recover();
}
await readers.finish('network');
await server.stop();
await proxy.stop();
await pg.close();
