// SPDX-License-Identifier: Apache-2.0
// kill -9 of hasten and of PostgreSQL, and cuts between them, at random points of many writes: each is in
// the database exactly once, or was reported as failed and is not there; none is lost after a 2xx.
//
// usage: node tests/chaos/writes.mjs [--seconds N] [--seed N] [--full]
//   --full   all 10,000 writes, however long they take; else as many as fit into the seconds

import fs from 'node:fs';
import path from 'node:path';
import { Hasten, exampleConfig } from '../e2e/harness/hasten.mjs';
import { Pg } from '../e2e/harness/pg.mjs';
import { Proxy } from '../e2e/harness/proxy.mjs';
import { ROOT, childrenOf, sleep, waitUntil } from '../e2e/harness/util.mjs';
import { chaosArguments } from './lib/readers.mjs';
import { Writers } from './lib/writers.mjs';

const WRITES = 10_000;
const ANSWERS_BETWEEN = [5, 120];
const POOL_MAX = 8;         // fewer connections than writers: some writes wait for one when it breaks

const { seconds, rng, seed, full } = chaosArguments('writes');
const pg = await Pg.start({ clientsPlus: 0.1, fsync: true });
await pg.sql(fs.readFileSync(path.join(ROOT, 'sql/hasten.sql'), 'utf8'), { db: 'clients_plus' });
await pg.sql(`SELECT hasten.allow('authenticator'); ${Writers.schema(WRITES)}`, { db: 'clients_plus' });
const proxy = await Proxy.start({ host: '127.0.0.1', port: pg.port });
const server = await Hasten.start(exampleConfig(pg, {
    'database.url': pg.url({ user: 'authenticator', db: 'clients_plus', tcp: true, port: proxy.port }),
    'database.schemas': ['chaos'], 'server.workers': 2, 'database.pool.max': POOL_MAX, 'log.access': false,
}));
const writers = await Writers.start(pg, server, rng, { most: WRITES, seed });

const pause = () => sleep(rng.pick([0, rng.between(0, 300)]));
// After the fault before PostgreSQL may still be recovering.
const ask = (text) => waitUntil(() => pg.sql(text), { timeout: 30_000, what: 'PostgreSQL to answer' });
const backends = async () => (await ask("SELECT pid FROM pg_stat_activity WHERE usename = 'authenticator'")).map(({ pid }) => pid);

const faults = {
    hasten: async () => {
        await server.kill9();
        await pause();
        await server.spawn();
    },
    postgres: async () => {
        await pg.kill9();
        await pause();
        await pg.start();
    },
    both: async () => {
        await Promise.all(rng.shuffle([server, pg]).map((one) => one.kill9()));
        await pause();
        await pg.start();
        await server.spawn();
    },
    // PostgreSQL answers the death of one backend by ending all and recovering.
    backend: async () => {
        const running = new Set(childrenOf(pg.child.pid));
        const victims = (await backends()).filter((pid) => running.has(pid));
        if (victims.length) process.kill(rng.pick(victims), 'SIGKILL');
    },
    // What was sent goes on without us, up to COMMIT.
    cut: () => proxy.reset(),
    terminate: async () => {
        await ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'authenticator'");
    },
};

const end = performance.now() + seconds * 1000;
let n = 0;
let left = [];
while (!writers.finished && (full || performance.now() < end)) {
    if (left.length === 0) left = rng.shuffle(Object.keys(faults));
    await writers.answered(rng.between(...ANSWERS_BETWEEN));
    await sleep(rng.between(0, 10));
    await faults[left.pop()]();
    n++;
}
await writers.finish('writes', n);
await server.stop();
await proxy.stop();
await pg.close();
