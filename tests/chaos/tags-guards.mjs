// SPDX-License-Identifier: Apache-2.0
// The proof of tags can fail: with one guard of the cache left out, in a build that allows it (-Dunguard=true), it
// finds a wrong answer. (The other guards are for times and faults: see coherence-guards.mjs.)
//
// usage: node tests/chaos/tags-guards.mjs [--seconds N] [--seed N]
//   --seconds           at most so long for each guard
//   HASTEN_UNGUARD_BIN  that build; `./dev chaos` makes it

import { random } from '../e2e/harness/util.mjs';
import { chaosArguments } from './lib/readers.mjs';
import { Wrong, newTally, runRound, startDatabase } from './lib/tags-round.mjs';

const GUARDS = ['old_values_fallback', 'truncate_floor'];

const { seconds, seed } = chaosArguments('tags-guards');
if (!process.env.HASTEN_UNGUARD_BIN) throw new Error('HASTEN_UNGUARD_BIN is not set; `./dev chaos guards` sets it');
process.env.HASTEN_BIN = process.env.HASTEN_UNGUARD_BIN;
const pg = await startDatabase();

/** Without the guard: the wrong answer that was found; undefined: none. */
async function find(guard, tally) {
    const end = performance.now() + seconds * 1000;
    const isOver = () => performance.now() > end;
    for (let i = 0; !isOver(); i++) {
        try {
            await runRound(pg, random(seed + i), tally, `${guard}_${i}`, { isOver, env: { HASTEN_UNGUARD: guard } });
        } catch (error) {
            if (error instanceof Wrong) return error.message.split('\n')[0];
            throw error;
        }
    }
    return undefined;
}

const missed = [];
for (const guard of GUARDS) {
    const tally = newTally();
    const found = await find(guard, tally);
    if (!found) missed.push(guard);
    console.log(`  ${guard}: ${found ? 'found' : 'NOT FOUND'} after ${tally.changes} changes${found ? `: ${found.slice(0, 200)}` : ''}`);
}
await pg.close();
console.log(`tags-guards: ${GUARDS.length - missed.length} of ${GUARDS.length} guards found out; seed ${seed}`);
if (missed.length) throw new Error(`left out, and not found: ${missed}`);
