// SPDX-License-Identifier: Apache-2.0
// The reads of all cases, asked as three roles, in a new order and many at once, with the coherent cache
// on: each answer is the one that was given to its role when it was asked alone. What a neighbour in the
// same pipeline, transaction or cache entry asked must not show.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startMuseum, startRest } from './harness/rest.mjs';
import { newSeed, random } from './harness/util.mjs';
import { embed } from './rest/cases/embed.mjs';
import { filters } from './rest/cases/filters.mjs';
import { http } from './rest/cases/http.mjs';
import { rpc } from './rest/cases/rpc.mjs';
import { select } from './rest/cases/select.mjs';
import { ask, nameOf } from './rest/differential.mjs';

const AT_ONCE = 24;
const ROUNDS = 2;
const DISTINCT = 250;     // so many answers differ from each other, or the test asks in vain
// What tells of time or of the machine, or ends the connection that it runs on.
const UNSTEADY = /\/rpc\/slow|vnd\.pgrst\.plan/;

let pg, rest;
before(async () => {
    pg = await startMuseum();
    await pg.installFeed({ db: 'postgres' });
    rest = await startRest(pg);
});
after(async () => {
    await rest?.stop();
    await pg?.close();
});

function asked() {
    const reads = [...filters, ...select, ...embed, ...rpc, ...http].filter((row) => /^(GET|HEAD) /.test(row[1]) && !UNSTEADY.test(JSON.stringify(row)));
    return reads.flatMap((row) => row[3]?.as ? [row] : ['author', 'anon', 'keeper'].map((as) => [row[0], row[1], row[2], { ...row[3], as }]));
}

/** What must be the same: the cache may say what it likes about itself. */
const gist = ({ status, headers, text }) => ({ status, type: headers.get('content-type'), range: headers.get('content-range'), text });

test('many at once, of three roles', async () => {
    const rows = asked();
    const alone = new Map();
    for (const row of rows) alone.set(row, gist(await ask(rest.url, row)));
    assert.ok(new Set([...alone.values()].map(({ text }) => text)).size > DISTINCT, 'the answers say something');

    const seed = newSeed();
    const chance = random(seed);
    for (let round = 0; round < ROUNDS; round++) {
        const queue = chance.shuffle(rows);
        await Promise.all(Array.from({ length: AT_ONCE }, async () => {
            for (let row = queue.pop(); row; row = queue.pop()) {
                assert.deepEqual(gist(await ask(rest.url, row)), alone.get(row), `seed ${seed}: ${nameOf(row)} as ${row[3].as}`);
            }
        }));
    }
});
