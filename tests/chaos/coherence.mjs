// SPDX-License-Identifier: Apache-2.0
// The proof of the coherent cache: every answer of two nodes is compared with the history of what was committed,
// half of it behind their backs.
//
// usage: node tests/chaos/coherence.mjs [--seconds N] [--seed N] [--full]
//   --full   at least 2,000,000 reads and 200,000 writes, however long they take

import { sleep } from '../e2e/harness/util.mjs';
import { chaosArguments } from './lib/readers.mjs';
import { Traffic } from './lib/traffic.mjs';
import { World } from './lib/world.mjs';

const FULL_READS = 2_000_000, FULL_WRITES = 200_000;

const { seconds, rng, seed, full } = chaosArguments('coherence');
const world = await World.start({ rng, seed });
const traffic = Traffic.start(world);
const end = performance.now() + seconds * 1000;
const isDone = () => (full ? traffic.reads >= FULL_READS && traffic.committed >= FULL_WRITES : performance.now() > end);
while (!isDone() && world.judge.total === 0) await sleep(100);
await traffic.finish('coherence');
await world.close();
