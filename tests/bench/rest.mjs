// SPDX-License-Identifier: Apache-2.0
// The PostgREST dialect beside PostgREST 12 and a backend with hand-written SQL: a row, a list, two levels of
// embedding, a batch. Nothing is kept: each answer is made by the database.

import assert from 'node:assert/strict';
import { Postgrest } from '../e2e/harness/postgrest.mjs';
import { alternate, family, requestFile, runLoad, startFastify } from './lib.mjs';

const COLUMNS = 'id,first_name,last_name,email,phone,status,is_active,created_at';
const LIST = `/clients?select=${COLUMNS}&status=eq.ACTIVE&order=created_at.desc&limit=20`;
const EMBED = '/clients?select=id,first_name,appointments(id,date,status,services(name,price))&order=id&limit=20';

/** The contenders on one database, and what they are asked; `bench` is what bench.mjs shares. */
async function contenders({ database, hasten, clients, chance, keep }) {
    const pg = await database();
    const server = await hasten();
    const peer = await keep(await Postgrest.start(pg, {
        'db-schemas': 'api', 'db-anon-role': 'viewer', 'db-extra-search-path': 'public', 'db-pool': 10,
    }, { db: 'clients_plus' }), (it) => it.stop());
    const fastify = await keep(await startFastify(pg.url({ db: 'clients_plus' })), (it) => it.stop());
    const all = await clients();
    const single = Array.from({ length: 20_000 }, () => chance.pick(all).id);
    return {
        pg, single,
        hasten: { port: server.port, base: '/rest/v1', pids: () => [server.pid] },
        postgrest: { port: Number(new URL(peer.url).port), base: '', pids: () => family(peer.child.pid) },
        fastify: { port: fastify.port, base: '/rest', pids: fastify.pids },
    };
}

const get = async (who, target) => {
    const answer = await fetch(`http://127.0.0.1:${who.port}${who.base}${target}`);
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
};

export async function rest(bench) {
    const { rounds, seconds, record } = bench;
    const { single, hasten, postgrest, fastify } = await contenders(bench);
    const ways = [
        { name: 'rest, a row by key', targets: single.map((id) => `/clients?id=eq.${id}`), goals: { postgrest: '≥ 12' } },
        { name: 'rest, a list of 20 × 8', targets: [LIST], goals: { postgrest: '≥ 10' } },
        { name: 'rest, two levels of embedding', targets: [EMBED], goals: { postgrest: '≥ 6', fastify: '≥ 2.5' } },
    ];
    for (const { name, targets, goals } of ways) {
        const all = { hasten, postgrest, ...(goals.fastify && { fastify }) };
        const answers = await Promise.all(Object.values(all).map((who) => get(who, targets[0])));
        for (const answer of answers.slice(1)) assert.deepEqual(answer, answers[0], name);
        const runs = Object.fromEntries(Object.entries(all).map(([key, who]) => {
            const file = requestFile(targets.map((target) => [who.base + target]));
            return [key, async () => (await runLoad(who.port, file, { seconds })).rate];
        }));
        for (const warm of Object.values(runs)) await warm();
        const got = await alternate(rounds, runs);
        record({ name, value: got.hasten, unit: 'req/s', peer: 'PostgREST 12', peerValue: got.postgrest, goal: goals.postgrest });
        if (goals.fastify) record({ name, value: got.hasten, unit: 'req/s', peer: 'Fastify, json_agg', peerValue: got.fastify, goal: goals.fastify });
    }
}

/** Ten reads in one request, and one alone, in time of the whole machine: a closed loop keeps it busy. */
export async function batch(bench) {
    const { rounds, seconds, record } = bench;
    const server = await bench.hasten();
    const all = await bench.clients();
    const paths = () => Array.from({ length: 10 }, () => `/api/v1/clients/${bench.chance.pick(all).id}`);
    const one = requestFile(Array.from({ length: 200 }, paths).flat().map((path) => [path]));
    const ten = requestFile(Array.from({ length: 200 }, () => ['/api/v1/batch', null, JSON.stringify(paths().map((path) => ({ path })))]));
    const cost = (file) => async () => 1e6 / (await runLoad(server.port, file, { seconds })).rate;
    const got = await alternate(rounds, { ten: cost(ten), one: cost(one) });
    record({ name: 'batch of 10 reads', value: got.ten, unit: 'µs', peer: 'one read', peerValue: got.one, goal: '≤ 2.5' });
}
