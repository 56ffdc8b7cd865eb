// SPDX-License-Identifier: Apache-2.0
// The proof of tags: random schemas, queries and changes; an answer that a change altered is not given any more.
//
// usage: node tests/chaos/tags.mjs [--seconds N] [--seed N] [--full]
//   --full   500 schemas, however long they take

import { random } from '../e2e/harness/util.mjs';
import { chaosArguments } from './lib/readers.mjs';
import { newTally, runRound, startDatabase, summaryOf } from './lib/tags-round.mjs';

const FULL_ROUNDS = 500;

const { seconds, seed, full } = chaosArguments('tags');
const pg = await startDatabase();
const tally = newTally();
const end = performance.now() + seconds * 1000;
const isOver = () => !full && performance.now() > end;
for (let i = 0; full ? i < FULL_ROUNDS : i === 0 || !isOver(); i++) {
    // Each round has a seed of its own, so that a failure is repeated by `--seed` alone.
    try {
        await runRound(pg, random(seed + i), tally, `tags_${i}`, { isOver });
    } catch (error) {
        console.error(`tags: repeat it with --seed ${seed + i}`);
        throw error;
    }
}
await pg.close();
console.log(`tags: ${summaryOf(tally)}`);
