// SPDX-License-Identifier: Apache-2.0
// The named queries of Clients+, each asked alone by one client as the member of its largest company: what the database
// costs, and what a kept answer costs, beside the time that the application which they come from takes for them.
//
// The application's times are figures from its owners, not of this machine, and they say nothing of its data. So each
// query is asked at the default size of the example, where that company has 22,000 clients and 110,000 appointments.

import assert from 'node:assert/strict';
import path from 'node:path';
import { Hasten, SECRET, exampleConfig } from '../e2e/harness/hasten.mjs';
import { now, sign } from '../e2e/harness/jwt.mjs';
import { EXAMPLE, Pg } from '../e2e/harness/pg.mjs';
import { waitUntil } from '../e2e/harness/util.mjs';
import { alternate, median } from './lib.mjs';

const DB = 'clients_plus';
const QUERIES = [
    { name: 'appointment-analytics', target: '?from=2026-06-01&to=2026-07-01', theirs: 50 },
    { name: 'search-clients', target: '?q=emma+brown', theirs: 25 },
    { name: 'dashboard-metrics', target: '?day=2026-06-30', theirs: 80 },
    { name: 'clients-with-analytics', target: '?limit=20', theirs: 45 },
];
const TIMES = 20;

/** Milliseconds of one request, the median of some in a row. */
async function timeOf(server, target, token) {
    const took = [];
    for (let i = 0; i < TIMES; i++) {
        const began = performance.now();
        const answer = await server.get(target, { token });
        took.push(performance.now() - began);
        assert.equal(answer.status, 200, answer.text);
    }
    return median(took);
}

export async function named(bench) {
    const pg = await bench.keep(await Pg.start({ clientsPlus: 1, settings: { shared_buffers: '512MB' } }), (it) => it.close());
    await pg.installFeed({ db: DB });
    const serve = async (options) => bench.keep(await Hasten.start(exampleConfig(pg, {
        'log.access': false, 'log.level': 'warn', 'api.queries': path.join(EXAMPLE, 'api'), ...options })), (it) => it.stop());
    const [asked, kept] = [await serve({ 'cache.enabled': false }), await serve({})];
    const token = sign({ role: 'member', company_id: 1, exp: now(86_400) }, SECRET);
    for (const { name, target, theirs } of QUERIES) {
        const where = `/api/v1/q/${name}${target}`;
        await waitUntil(async () => (await kept.get(where, { token })).headers.get('x-cache') === 'HIT', { what: `${name} to be kept` });
        const got = await alternate(bench.rounds, {
            uncached: () => timeOf(asked, where, token),
            cached: () => timeOf(kept, where, token),
        });
        for (const [how, value] of Object.entries(got)) {
            bench.record({ name: `${name}, ${how}`, value, unit: 'ms', peer: 'the original application', peerValue: theirs, goal: '≤ 0.2' });
        }
    }
}
