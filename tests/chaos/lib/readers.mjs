// SPDX-License-Identifier: Apache-2.0
// Readers who know every answer beforehand. While PostgreSQL or the way to it
// fails, an answer is the right one or an honest 503; anything else, and any
// wait longer than the bound, is a violation. What is expected is asked of
// PostgreSQL itself, never of hasten.

import { parseArgs } from 'node:util';
import { SECRET } from '../../e2e/harness/hasten.mjs';
import { sign } from '../../e2e/harness/jwt.mjs';
import { RawClient } from '../../e2e/harness/raw.mjs';
import { newSeed, random, sleep, waitUntil } from '../../e2e/harness/util.mjs';

const READERS = 32;
const TENANTS = [1, 2];
const FIELDS = ['id', 'companyId', 'firstName', 'lastName', 'email', 'status', 'isActive'];
const COLUMNS = 'id, company_id, first_name, last_name, email, status, is_active';
const VIOLATIONS_SHOWN = 10;

/** {seconds, rng, seed, full} of the command line; prints the seed. */
export function chaosArguments(name) {
    const { values } = parseArgs({ options: {
        seconds: { type: 'string', default: '30' }, seed: { type: 'string' }, full: { type: 'boolean', default: false },
    } });
    const seed = Number(values.seed ?? newSeed());
    const seconds = Number(values.seconds);
    if (!Number.isInteger(seed) || !(seconds > 0)) throw new Error('--seconds and --seed need numbers');
    console.log(`${name}: ${values.full ? 'full' : `${seconds} s`}, seed ${seed}`);
    return { seconds, seed, rng: random(seed), full: values.full };
}

const toObject = (row) => JSON.stringify({
    id: Number(row.id), companyId: Number(row.company_id), firstName: row.first_name, lastName: row.last_name,
    email: row.email, status: row.status, isActive: row.is_active,
});

/** Questions with their one right answer: {head, status, check(text)}. */
async function questions(pg, rng) {
    const sql = (text) => pg.sql(text, { db: 'clients_plus' });
    const rows = await sql(`SELECT ${COLUMNS} FROM api.clients`);
    const fields = `fields=${FIELDS.join(',')}`;
    const list = [];
    const ask = (path, status, expected, token) => list.push({
        head: `GET ${path} HTTP/1.1\r\nHost: x\r\n${token ? `Authorization: Bearer ${token}\r\n` : ''}\r\n`,
        path, status, expected,
    });

    for (const row of rng.shuffle(rows).slice(0, 400)) {
        ask(`/api/v1/clients/${row.id}?${fields}`, 200, `{"data":${toObject(row)}}`);
    }
    for (const tenant of TENANTS) {
        const token = sign({ role: 'member', company_id: tenant, exp: undefined }, SECRET);
        const mine = rows.filter((row) => Number(row.company_id) === tenant);
        const others = rows.filter((row) => Number(row.company_id) !== tenant);
        for (const row of rng.shuffle(mine).slice(0, 200)) {
            ask(`/api/v1/clients/${row.id}?${fields}`, 200, `{"data":${toObject(row)}}`, token);
        }
        for (const row of rng.shuffle(others).slice(0, 50)) ask(`/api/v1/clients/${row.id}?${fields}`, 404, 'no_such_row', token);
        const latest = mine.sort((a, b) => Number(b.id) - Number(a.id)).slice(0, 10).map(toObject).join(',');
        ask(`/api/v1/clients?${fields}&sort=-id&limit=10`, 200, `{"data":[${latest}],"pagination":`, token);
    }
    return list;
}

/** What is wrong with a 503, or undefined. */
export function faultOf503(answer) {
    if (!/^[1-9]\d*$/.test(answer.headers['retry-after'] ?? '')) return 'a 503 without Retry-After';
    let body;
    try {
        body = answer.json();
    } catch {
        return 'a 503 whose body is no JSON';
    }
    if (Object.keys(body).join() !== 'code,message,details,hint') return 'a 503 of another shape';
    return typeof body.code === 'string' && typeof body.message === 'string' ? undefined : 'a 503 without code or message';
}

export class Readers {
    /** `faults`: the generator of chance of the run. `bound`: no answer may take longer, ms. */
    static async start(pg, server, faults, { bound }) {
        const rng = random(faults.int(2 ** 31));    // of their own: a seed repeats the faults, whoever reads how often
        const readers = new Readers(server, await questions(pg, rng), rng, bound);
        readers.all = Promise.all(Array.from({ length: READERS }, () => readers.#read()));
        await readers.nextRight(20_000);
        return readers;
    }

    constructor(server, list, rng, bound) {
        Object.assign(this, { server, list, rng, bound });
        this.over = false;
        this.calm = false;          // true: a 503 is a violation too
        this.counts = { right: 0, refused: 0 };
        this.codes = {};
        this.violations = [];
        this.slowest = 0;
        this.lastRight = 0;
        this.recoveries = [];
    }

    #violate(question, what) {
        this.violations.push(`${question.path}: ${what}`);
    }

    #judge(question, answer) {
        if (answer.status === 503) {
            const fault = this.calm ? 'a 503 while all is well' : faultOf503(answer);
            if (fault) return this.#violate(question, `${fault}: ${answer.text}`);
            const { code } = answer.json();
            this.codes[code] = (this.codes[code] ?? 0) + 1;
            return void this.counts.refused++;
        }
        const right = answer.status === question.status &&
            (answer.status === 200 ? answer.text.startsWith(question.expected) : answer.json().code === question.expected);
        if (!right) return this.#violate(question, `${answer.status} ${answer.text.slice(0, 300)}, expected ${question.status} ${question.expected}`);
        this.lastRight = performance.now();
        return void this.counts.right++;
    }

    async #ask(client, question) {
        const began = performance.now();
        await client.send(question.head);
        const answer = await client.response({ timeout: this.bound });
        this.slowest = Math.max(this.slowest, performance.now() - began);
        this.#judge(question, answer);
        if (answer.status === 503) await sleep(this.rng.between(10, 50));
        return answer.headers.connection !== 'close';
    }

    async #read() {
        let client;
        while (!this.over) {
            const question = this.rng.pick(this.list);
            try {
                client ??= await RawClient.connect(this.server.port);
                if (await this.#ask(client, question)) continue;
            } catch (error) {
                this.#violate(question, error.message);
                await sleep(100);
            }
            client?.destroy();
            client = undefined;
        }
        client?.destroy();
    }

    /** Waits for a right answer that is given after this call; how long it took, ms. */
    async nextRight(timeout = 30_000) {
        const began = performance.now();
        await waitUntil(() => this.lastRight > began, { timeout, interval: 1, what: 'a right answer' });
        return this.lastRight - began;
    }

    /** Call it the moment that PostgreSQL can be reached again: notes how long until the first right answer. */
    async recover() {
        this.recoveries.push(await this.nextRight());
    }

    /** After the last fault: all must be well and stay well. Prints the summary; sets the exit code. */
    async finish(name) {
        try {
            await this.#calmDown();
        } catch (error) {
            this.violations.push(error.message);
        }
        this.over = true;
        await this.all;
        const sorted = this.recoveries.sort((a, b) => a - b);
        const median = sorted[sorted.length >> 1] ?? NaN;
        const codes = Object.entries(this.codes).map(([code, n]) => `${code} ${n}`).join(', ');
        console.log(`${name}: ${sorted.length} faults, ${this.counts.right} right answers, ${this.counts.refused} times 503` +
            `${codes ? ` (${codes})` : ''}, slowest answer ${this.slowest.toFixed(0)} ms, ` +
            `recovery median ${median.toFixed(0)} ms, max ${(sorted.at(-1) ?? NaN).toFixed(0)} ms, ${this.violations.length} violations`);
        for (const violation of this.violations.slice(0, VIOLATIONS_SHOWN)) console.log(`  ${violation}`);
        if (this.violations.length || !sorted.length) process.exitCode = 1;
    }

    // The last refusals may still be on their way for as long as anything may take.
    async #calmDown() {
        let refused;
        await waitUntil(async () => {
            refused = this.counts.refused;
            await sleep(1000);
            return this.counts.refused === refused;
        }, { timeout: 2 * this.bound + 30_000, what: 'the last 503' });
        this.calm = true;
        await sleep(2000);
        await waitUntil(async () => (await this.server.get('/health')).body.status === 'ok', { what: 'good health' });
    }
}
