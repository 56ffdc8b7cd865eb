// SPDX-License-Identifier: Apache-2.0
// Thousands of random requests of the PostgREST dialect, asked of hasten and of PostgREST 12.0.2 on one
// database. What differs has to be a row of rest/differences.mjs.
//
// HASTEN_SEED repeats a run; HASTEN_REST_COUNT asks more (or fewer) than the 3,000. Requests that are
// distorted have a seed that stays: two parsers agree on what is right, not on every way to be wrong, and
// a new seed is for looking into that.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Postgrest } from './harness/postgrest.mjs';
import { startMuseum, startRest } from './harness/rest.mjs';
import { random } from './harness/util.mjs';
import { ask, differences, errorOf } from './rest/differential.mjs';
import { claim } from './rest/differences.mjs';
import { distort, generate, generateRead, readNames } from './rest/generate.mjs';

const COUNT = Number(process.env.HASTEN_REST_COUNT ?? 3000);
const DISTORTED = 22;     // the seed of what is distorted
const RIGHT = 23;         // and of what is right: two errors at once may be told in another order
const SHOWN = 25;       // failures that are told in full

let pg, oracle, rest, names;
before(async () => {
    pg = await startMuseum();
    [oracle, rest, names] = await Promise.all([Postgrest.start(pg), startRest(pg), readNames(pg)]);
});
after(async () => {
    await oracle?.stop();
    await rest?.stop();
    await pg?.close();
});

const short = (value) => (JSON.stringify(value) ?? 'nothing').slice(0, 400);

/** Asks `count` requests of both; `find` says what is wrong with a pair of answers: [{what, theirs, ours}]. */
async function run(count, seed, make, find) {
    const chance = random(seed);
    const failed = [];
    const seen = { ok: 0, error: 0 };
    for (let i = 0; i < count; i++) {
        const row = make(chance);
        const [theirs, ours] = [await ask(oracle.url, row), await ask(rest.url, row)];
        seen[theirs.status < 300 ? 'ok' : 'error']++;
        for (const { what, theirs: a, ours: b } of find(row, theirs, ours)) {
            failed.push(`- ${row[1]} ${JSON.stringify(row[3])}\n    ${what}\n      PostgREST ${short(a)}\n      hasten    ${short(b)}`);
        }
    }
    assert.equal(failed.length, 0, `seed ${seed}: ${failed.length} differences\n${failed.slice(0, SHOWN).join('\n')}`);
    return seen;
}

test('requests that are mostly right', async () => {
    const seen = await run(COUNT, Number(process.env.HASTEN_SEED ?? RIGHT), (chance) => generate(chance, names), (row, theirs, ours) =>
        differences(row, theirs, ours).filter((difference) => !claim(difference, { row, theirs, ours }).length));
    assert.ok(seen.ok > COUNT / 2, `only ${seen.ok} of ${COUNT} are answered: the generator has gone wrong`);
});

test('requests with a piece too many or too few: the same status and code', async () => {
    await run(Math.ceil(COUNT / 3), Number(process.env.HASTEN_SEED ?? DISTORTED), (chance) => distort(chance, generateRead(chance, names)), (row, theirs, ours) => {
        // Two things can be wrong now; which of two unknown names PostgreSQL tells first is nobody's promise.
        const kind = (answer) => errorOf(answer)?.code?.replace(/^42.*/, '42');
        const found = [
            { what: 'status', theirs: theirs.status, ours: ours.status },
            { what: 'error.code', theirs: kind(theirs), ours: kind(ours) },
        ].filter(({ theirs: a, ours: b }) => a !== b);
        return found.filter((difference) => !claim(difference, { row, theirs, ours }).length);
    });
});
