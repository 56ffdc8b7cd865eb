// SPDX-License-Identifier: Apache-2.0
// Random schemas, questions and changes: an answer that a change altered is not given any more (a few of what
// `./dev chaos tags` does for longer). HASTEN_SEED repeats a run.

import { after, before, test } from 'node:test';
import { newTally, runRound, startDatabase, summaryOf } from '../chaos/lib/tags-round.mjs';
import { newSeed, random } from './harness/util.mjs';

const SCHEMAS = 4;

let pg;
before(async () => { pg = await startDatabase(); });
after(() => pg?.close());

test('what a change alters is not served from the cache any more', async (t) => {
    const seed = newSeed();
    t.diagnostic(`HASTEN_SEED=${seed}`);
    const tally = newTally();
    for (let i = 0; i < SCHEMAS; i++) await runRound(pg, random(seed + i), tally, `tags_${i}`);
    t.diagnostic(summaryOf(tally));
});
