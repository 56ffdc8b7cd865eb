// SPDX-License-Identifier: Apache-2.0
// The proof of tags: if a change altered an answer, the answer that was kept is not given any more.
//
// Two nodes of hasten ask one database: one keeps answers, the other does not. After each change comes a write
// through the first; its answer says that the change stream has told of all before it (the stream
// is in the order of commits). From then on both must answer alike. A change of the schema is found by each node in
// its own time; there, only what was kept before it may not be given after it.

import assert from 'node:assert/strict';
import { Hasten, SECRET } from '../../e2e/harness/hasten.mjs';
import { Pg } from '../../e2e/harness/pg.mjs';
import { sleep, waitUntil } from '../../e2e/harness/util.mjs';
import { Changes } from './tags-changes.mjs';
import { randomQuery } from './tags-queries.mjs';
import { Schema } from './tags-schema.mjs';

const AT_ONCE = 16;
const QUERIES = 70, CHANGES = 30;
const CURSOR_SECRET = 'the secret of the cursors, of 32 bytes or more';
const IDENTITIES = ['default', 'index', 'full', 'mixed'];

export class Wrong extends Error {}

export const newTally = () => ({ rounds: 0, changes: 0, failed: 0, ddl: 0, answers: 0, hits: 0,
    by: Object.fromEntries(IDENTITIES.map((name) => [name, { kept: 0, altered: 0, needless: 0 }])) });

export function summaryOf({ rounds, changes, failed, ddl, answers, hits, by }) {
    const precision = IDENTITIES.map((name) => `${name} ${by[name].kept}/${by[name].altered}/${by[name].needless}`).join(', ');
    return `${rounds} schemas, ${changes} changes (${failed} refused, ${ddl} DDL), ${answers} answers compared, ${hits} of them hits, 0 wrong; `
        + `kept/altered/lost needlessly by a change of rows: ${precision}`;
}

export async function startDatabase() {
    const pg = await Pg.start({ settings: { autovacuum: 'off', max_prepared_transactions: 5 } });
    await pg.sql(`CREATE ROLE authenticator LOGIN NOINHERIT REPLICATION; CREATE ROLE viewer; CREATE ROLE crew; CREATE ROLE member IN ROLE crew;
        GRANT viewer, member TO authenticator`);
    return pg;
}

class Round {
    constructor(pg, rng, tally, db, env) {
        Object.assign(this, { pg, rng, tally, db, env });
        this.schema = new Schema(rng);
        this.changes = new Changes(rng, this.schema);
        this.writes = 0;
    }

    // ---- the nodes ----

    #config(more) {
        return {
            'database.url': this.pg.url({ user: 'authenticator', db: this.db }), 'database.schemas': ['api'], 'api.names': 'same',
            'auth.jwt.secret': SECRET, 'auth.roles': ['viewer', 'member'], 'auth.anonymous_role': 'viewer', 'log.access': false,
            'api.cursor.secret': CURSOR_SECRET, ...more,
        };
    }

    async start() {
        await this.pg.sql(`CREATE DATABASE ${this.db}`);
        await this.pg.installFeed({ db: this.db });
        this.client = await this.pg.client({ db: this.db });
        await this.client.query(this.schema.sql);
        const { rng } = this;
        this.keeping = await Hasten.start(this.#config({
            'server.workers': rng.between(1, 2), 'cache.unfit_time': '0s', 'cache.write_wait': '10s', 'cache.shapes.table_max': rng.pick([1, 16, 16, 16]),
            'cache.stamps': rng.pick([1024, 1048576]),
        }), { env: this.env });
        this.asking = await Hasten.start(this.#config({ 'cache.enabled': false, 'server.workers': 1 }));
        await waitUntil(async () => (await this.keeping.get('/api/v1/barrier/1')).headers.get('x-cache') === 'HIT', { what: 'the cache to keep answers' });
        await this.#refreshQueries(QUERIES);
    }

    async stop() {
        await this.client?.end();
        await this.keeping?.stop();
        await this.asking?.stop();
        if (this.client) await this.pg.sql(`DROP DATABASE ${this.db} WITH (FORCE)`);
    }

    async #ask(node, { path, caller }) {
        const { status, headers, text } = await node.get(`/api/v1/${path}`, { token: this.schema.callers[caller] });
        return { said: headers.get('x-cache'), answer: `${status} ${status < 300 ? text : JSON.parse(text).code}`, text };
    }

    async #refreshQueries(n) {
        const { rng } = this;
        const made = Array.from({ length: n }, () => randomQuery(rng, this.schema));
        await Promise.all(made.filter(() => rng.chance(0.2)).map(async (query) => {
            const { text } = await this.#ask(this.asking, query);
            const cursor = /"nextCursor":"([^"]+)"/.exec(text)?.[1];
            if (cursor && !query.path.includes('page=')) query.path += `&cursor=${cursor}`;
        }));
        this.queries = [...rng.shuffle(this.queries ?? []).slice(0, QUERIES - n), ...made];
    }

    // ---- one step ----

    /** Everything that was committed before it is known to the stream when it has been answered. */
    async #barrier() {
        const answer = await this.keeping.get('/api/v1/barrier/1', {
            method: 'PATCH', token: this.schema.callers[1], headers: { 'content-type': 'application/json' }, body: JSON.stringify({ n: ++this.writes }) });
        assert.equal(answer.status, 200, answer.text);
    }

    async #change() {
        const change = this.changes.next();
        change.kinds = new Set(change.tables.flatMap((table) => table.leaves.length ? table.leaves.map(({ identity }) => identity) : [table.identity]));
        // Readers meanwhile: what they make must not be kept for longer than it holds.
        const readers = this.rng.chance(0.5) ? this.rng.shuffle(this.queries).slice(0, AT_ONCE) : [];
        const under = Promise.all(readers.map((query) => this.#ask(this.keeping, query)));
        try {
            await this.client.query(change.sql);
            if (change.then) await this.client.query(change.then);
        } catch (error) {
            change.error = error.message;
            this.tally.failed++;
            await this.client.query('ROLLBACK');
        }
        await under;
        this.tally.changes++;
        this.tally.ddl += change.kind === 'ddl';
        return change;
    }

    #fail(query, change, lines) {
        throw new Wrong([`a wrong answer: ${query.path}`, `caller ${query.caller}: ${this.schema.callers[query.caller] ?? 'nobody'}`, ...lines,
            `the change: ${change.sql}`, change.error ? `which was refused: ${change.error}` : 'which was done', `the one before: ${this.last?.sql}`,
            `the schema:\n${this.schema.sql}`].join('\n'));
    }

    async #settled(query, change) {
        let keeping, asking;
        try {
            await waitUntil(async () => {
                keeping = await this.#ask(this.keeping, query);
                asking = await this.#ask(this.asking, query);
                return keeping.answer === asking.answer;
            }, { timeout: 10_000, interval: 20, what: 'equal answers' });
        } catch {
            this.#fail(query, change, [`kept, and never right again (${keeping.said}): ${keeping.answer}`, `the database: ${asking.answer}`]);
        }
        return keeping;
    }

    async #compare(query, change) {
        const asking = await this.#ask(this.asking, query);
        const keeping = await this.#ask(this.keeping, query);
        const before = query.kept;
        let { answer } = keeping;
        if (answer !== asking.answer) {
            if (change.kind !== 'ddl') this.#fail(query, change, [`kept (${keeping.said}): ${answer}`, `the database: ${asking.answer}`, `before: ${before}`]);
            ({ answer } = await this.#settled(query, change));
            if (keeping.said === 'HIT' && keeping.answer === before && answer !== before) {
                this.#fail(query, change, [`kept over a change of the schema: ${before}`, `now: ${answer}`]);
            }
        }
        if (before !== undefined && change.kind !== 'ddl' && change.kinds) this.#count(change, keeping.said === 'HIT', answer === before);
        this.tally.answers++;
        this.tally.hits += keeping.said === 'HIT';
        query.kept = keeping.said === 'HIT' ? answer : undefined;
        if (keeping.said !== 'MISS') return;
        const again = await this.#ask(this.keeping, query);
        if (again.answer !== answer && change.kind !== 'ddl') this.#fail(query, change, [`asked again (${again.said}): ${again.answer}`, `the database: ${asking.answer}`]);
        if (again.said === 'HIT') query.kept = again.answer;
    }

    #count({ kinds }, wasHit, isSame) {
        const by = this.tally.by[kinds.size === 1 ? [...kinds][0] : 'mixed'];
        by.kept++;
        by.altered += !isSame;
        by.needless += !wasHit && isSame;
    }

    async #compareAll(change) {
        for (let i = 0; i < this.queries.length; i += AT_ONCE) {
            await Promise.all(this.queries.slice(i, i + AT_ONCE).map((query) => this.#compare(query, change)));
        }
    }

    async run(isOver) {
        await this.#compareAll({ sql: 'none yet', kind: 'ddl' });
        for (let i = 0; i < CHANGES && !isOver(); i++) {
            const change = await this.#change();
            await this.#barrier();
            await this.#compareAll(change);
            // Both nodes know the schema before rows change again: their catalogs are compared by what they answer.
            if (change.kind === 'ddl') await sleep(100);
            if (change.kind === 'ddl') await this.#compareAll({ ...change, kinds: undefined });
            this.last = change;
            if (i % 3 === 2) await this.#refreshQueries(12);
        }
        this.tally.rounds++;
    }
}

/** One random schema, asked and changed; throws Wrong. `env`: of the node that keeps answers. */
export async function runRound(pg, rng, tally, db, { isOver = () => false, env } = {}) {
    const round = new Round(pg, rng, tally, db, env);
    try {
        await round.start();
        await round.run(isOver);
    } finally {
        await round.stop();
    }
}
