// SPDX-License-Identifier: Apache-2.0
// The history checker while everything fails that can: the change stream, PostgreSQL, hasten, Redis. An answer may
// be refused then; it may not be wrong.
//
// usage: node tests/chaos/coherence-faults.mjs [--seconds N] [--seed N] [--full]
//   --full               each fault several times, at its full size (500,000 rows in a transaction, pauses of 5 s)
//   HASTEN_TEST_FAULTS=a,b   only these

import { sleep, waitUntil } from '../e2e/harness/util.mjs';
import { Faults } from './lib/faults.mjs';
import { chaosArguments } from './lib/readers.mjs';
import { Traffic } from './lib/traffic.mjs';
import { World } from './lib/world.mjs';

const ROUNDS_FULL = 4;
const CALM_MS = 2000, CALM_MAX_MS = 60_000;

const { seconds, rng, seed, full } = chaosArguments('coherence-faults');
const world = await World.start({ rng, seed, fsync: true, proxied: true, ballast: full ? 500_000 : 60_000, config: {
    'database.pool.acquire_timeout': '2s', 'database.pool.retry_max': '500ms', 'database.pool.close_timeout': '1s',
} });
world.isFaulty = true;
const traffic = Traffic.start(world);
const faults = new Faults(world, traffic, rng, full ? 5000 : 2000);
const all = faults.all();
const wanted = process.env.HASTEN_TEST_FAULTS?.split(',') ?? Object.keys(all);

const counts = {};
const end = performance.now() + seconds * 1000;
let left = [];
for (let n = 0; full ? n < ROUNDS_FULL * wanted.length : performance.now() < end; n++) {
    if (left.length === 0) left = rng.shuffle(wanted);
    const name = left.pop();
    await faults.settle();
    await all[name]();
    await faults.nodesAnswer();
    await faults.settle();
    await world.recover();
    counts[name] = (counts[name] ?? 0) + 1;
    if (!world.judge.total) continue;
    console.log(`  the last fault: ${name}`);
    break;
}

// All is well again: nothing is refused, and what was kept before is kept again.
const refusals = () => traffic.counts.refused + traffic.counts.errors;
await waitUntil(async () => {
    const before = refusals();
    await sleep(1000);
    return refusals() === before;
}, { timeout: CALM_MAX_MS, what: 'the last refusal' });
await world.recover();
world.isFaulty = false;
const hits = traffic.cached.HIT ?? 0;
await sleep(CALM_MS);
if (hits > 0 && traffic.cached.HIT === hits) world.judge.violate('other', ['no hit after the last fault']);
const list = Object.entries(counts).map(([name, n]) => `${name} ${n}`).join(', ');
await traffic.finish('coherence-faults', { more: `; faults: ${list}; ${traffic.counts.refused} refused, ${traffic.counts.errors} unanswered, ` +
    `${world.outcomes.unknown} writes of unknown outcome, ${world.outcomes.lost} tenants set back` });
await world.close();
