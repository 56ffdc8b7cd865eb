// SPDX-License-Identifier: Apache-2.0
// PostgreSQL is stopped, crashed and killed under load, again and again.
//
// usage: node tests/chaos/restart.mjs [--seconds N] [--seed N]

import { Hasten, exampleConfig } from '../e2e/harness/hasten.mjs';
import { Pg } from '../e2e/harness/pg.mjs';
import { sleep } from '../e2e/harness/util.mjs';
import { Readers, chaosArguments } from './lib/readers.mjs';

const ACQUIRE_MS = 2000, STATEMENT_MS = 5000, SLACK_MS = 2000;

const { seconds, rng } = chaosArguments('restart');
const pg = await Pg.start({ clientsPlus: 0.1, fsync: true });
const server = await Hasten.start(exampleConfig(pg, {
    'database.pool.acquire_timeout': `${ACQUIRE_MS}ms`, 'database.statement_timeout': `${STATEMENT_MS}ms`, 'log.access': false,
}));
const readers = await Readers.start(pg, server, rng, { bound: ACQUIRE_MS + STATEMENT_MS + SLACK_MS });

const end = performance.now() + seconds * 1000;
while (performance.now() < end) {
    await sleep(rng.between(300, 3000));
    const how = rng.pick(['fast', 'immediate', 'kill9']);
    await (how === 'kill9' ? pg.kill9() : pg.stop(how));
    await sleep(rng.pick([0, rng.between(0, 500), rng.between(500, 5000)]));
    await pg.start();       // returns when it accepts connections
    await readers.recover();
}
await readers.finish('restart');
await server.stop();
await pg.close();
