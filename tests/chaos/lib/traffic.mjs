// SPDX-License-Identifier: Apache-2.0
// Readers and writers of the coherence runs. Most reads repeat what was asked before; after each write some ask for
// what it concerns: at once, on both nodes, and once more when the bound is over.

import { SECRET } from '../../e2e/harness/hasten.mjs';
import { sign } from '../../e2e/harness/jwt.mjs';
import { random, sleep } from '../../e2e/harness/util.mjs';
import { Connection, field } from './connection.mjs';
import { Edit } from './edit.mjs';
import { TENANTS } from './tenants.mjs';
import { MAX_STALENESS_MS, NODES } from './world.mjs';
import { Writes } from './writes.mjs';

const READERS = 12;                 // connections to each node
const HTTP_WRITERS = 6, SQL_WRITERS = 10;
const ANSWER_MS = 30_000;           // longer than anything that hasten may take
const SKEW = 1.2;                   // of the tenants that are read: the exponent of Zipf's law
const HOT_WRITES = 0.3;             // of the writes go where the reads go; the others to any tenant
const ASYNC = 0.2;                  // of the writers in SQL: synchronous_commit = off
const LATER_MS = MAX_STALENESS_MS + 40;
const CONDITIONAL = 0.2;             // of the reads that may be: If-None-Match
const CHECKS = 1;                   // questions asked after a write, of each tenant that it concerns, at each node
const CHECKED_LATER = 0.3;          // of them are asked again when the bound is over
const URGENT_MAX = 2000;
const REFUSALS = new Set([502, 503, 504]);
const POSITION = 'hasten-position';

/** Indexes by chance, `weights` being how often each. */
function chooser(weights, rng) {
    const sums = [];
    let sum = 0;
    for (const weight of weights) sums.push(sum += weight);
    return () => {
        const wanted = rng.next() * sum;
        let low = 0, high = sums.length - 1;
        while (low < high) {
            const middle = (low + high) >> 1;
            if (sums[middle] > wanted) high = middle;
            else low = middle + 1;
        }
        return low;
    };
}

export class Traffic {
    /**
     *   kinds    names of the writes that happen (all unless given): {http: [...], sql: [...]}
     *   ratio    reads for each write, about; async: share of asynchronous commits
     *   hot      so many tenants are asked for and written, all unless given
     */
    static start(world, options) {
        const traffic = new Traffic(world, options);
        traffic.all = Promise.all([
            ...Array.from({ length: READERS * NODES }, (_, i) => traffic.#read(i % NODES)),
            ...Array.from({ length: HTTP_WRITERS }, (_, i) => traffic.#write(i, (...args) => traffic.#throughHasten(...args), 'http')),
            ...Array.from({ length: SQL_WRITERS }, (_, i) => traffic.#write(i, (...args) => traffic.#inSql(...args), 'sql')),
        ]);
        return traffic;
    }

    constructor(world, { kinds = {}, ratio = 10, async: isAsync = ASYNC, hot = TENANTS } = {}) {
        this.world = world;
        this.judge = world.judge;
        this.rng = random(world.rng.int(2 ** 31));
        this.writes = new Writes({
            isFree: (table, id) => world.isFree(table, id), version: () => world.version(), ballast: world.ballast,
        }, this.rng);
        this.kinds = { http: kinds.http ?? this.writes.httpKinds, sql: kinds.sql ?? this.writes.sqlKinds };
        Object.assign(this, { ratio, async: isAsync, hot });
        this.pickKind = Object.fromEntries(Object.entries(this.kinds).map(([side, kinds]) => {
            const kindAt = chooser(kinds.map((kind) => Writes.weight(kind)), this.rng);
            return [side, () => kinds[kindAt()]];
        }));
        this.over = false;
        this.counts = { http: 0, sql: 0, undone: 0, refused: 0, errors: 0, unmodified: 0, shared: 0 };
        this.underway = { http: 0, sql: 0 };
        this.cached = {};           // answers by X-Cache
        this.urgent = Array.from({ length: NODES }, () => []);
        this.lastRight = Array.from({ length: NODES }, () => 0);
        this.#prepare();
    }

    #prepare() {
        const { scopes, tokens } = this.world;
        const ranks = this.rng.shuffle(Array.from({ length: TENANTS }, (_, i) => i + 1));
        this.tenants = ranks.slice(0, this.hot);
        const tenantAt = chooser(this.tenants.map((_, i) => 1 / (i + 1) ** SKEW), this.rng);
        this.pickTenant = () => ranks[tenantAt()];
        const choosers = scopes.map((scope) => scope && chooser(scope.questions.map(({ weight }) => weight), this.rng));
        this.pickQuestion = (tenant) => scopes[tenant].questions[choosers[tenant]()];
        for (let tenant = 1; tenant <= TENANTS; tenant++) {
            for (const question of scopes[tenant].questions) {
                const who = `HTTP/1.1\r\nHost: x\r\n${question.anonymous ? '' : `Authorization: Bearer ${tokens[tenant]}\r\n`}`;
                const [path, query] = question.path.split('?');
                question.head = `GET ${question.path} ${who}`;
                question.request = `${question.head}\r\n`;
                question.other = `GET ${path}${query ? `?${query.split('&').reverse().join('&')}` : ''} ${who}\r\n`;
            }
        }
    }

    get reads() {
        return this.judge.reads;
    }

    get committed() {
        return this.counts.http + this.counts.sql;
    }

    // ---- readers ----

    #read(node) {
        return new Promise((resolve) => {
            let connection, sent = 0, timer;
            const next = () => {
                if (this.over) {
                    clearInterval(timer);
                    connection?.destroy();
                    resolve();
                    return;
                }
                if (!connection?.isUsable) connection = new Connection(this.world.nodes[node].port);
                const task = this.#task(node);
                const request = this.#request(task);
                sent = performance.now();
                connection.ask(request, (error, answer) => {
                    if (error) this.#failed(error, next);
                    else this.#judge(node, task, sent, answer, next);
                });
            };
            timer = setInterval(() => {
                if (performance.now() - sent > ANSWER_MS) connection?.destroy(new Error(`no answer in ${ANSWER_MS} ms`));
            }, 1000);
            next();
        });
    }

    /** So many questions more, each on a connection of its own. */
    ask(node, count) {
        for (let i = 0; i < count; i++) {
            const connection = new Connection(this.world.nodes[node].port);
            const task = this.#anyTask();
            task.floor = task.scope.floor(node);
            const sent = performance.now();
            connection.ask(task.question.request, (error, answer) => {
                if (error) this.counts.errors++;
                else this.#judge(node, task, sent, answer, () => connection.destroy());
            });
        }
    }

    /** The text of a request: in one of its two spellings, with a token, or on condition. */
    #request(task) {
        const { question, position } = task;
        if (position) return `${question.head}Hasten-Position: ${position}\r\n\r\n`;
        if (question.tagged && this.rng.chance(CONDITIONAL)) {
            task.tagged = question.tagged;
            return `${question.head}If-None-Match: ${task.tagged.etag}\r\n\r\n`;
        }
        return this.rng.chance(0.5) ? question.request : question.other;
    }

    /** {scope, question, floor}: what was put off or is urgent, else any. */
    #task(node) {
        const task = this.urgent[node].pop() ?? this.#anyTask();
        task.floor = Math.max(task.floor ?? 0, task.scope.floor(node));
        return task;
    }

    #anyTask() {
        const tenant = this.pickTenant();
        return { scope: this.world.scopes[tenant], question: this.pickQuestion(tenant) };
    }

    #judge(node, { scope, question, floor, tagged }, s, { status, head, text }, next) {
        const r = performance.now();
        if (REFUSALS.has(status)) {
            this.counts.refused++;
            if (!this.world.isFaulty) this.judge.violate('other', [`refused while all is well: ${question.path}: ${text.slice(0, 300)}`]);
            setTimeout(next, 20);
            return;
        }
        const cache = field(head, 'x-cache') ?? 'none';
        this.cached[cache] = (this.cached[cache] ?? 0) + 1;
        if (field(head, 'cache-status')?.includes('detail=shared')) this.counts.shared++;
        const shown = this.#shown(question, tagged, status, head, text);
        this.judge.answer({ scope, question, text: shown, s, r, floor, about: `at node ${node}, ${cache}, age ${field(head, 'age')}` });
        this.lastRight[node] = r;
        next();
    }

    /** What an answer says; "not modified" says what was said with that tag. */
    #shown(question, tagged, status, head, text) {
        if (status === 304 && tagged) {
            this.counts.unmodified++;
            return tagged.text;
        }
        if (status !== 200) return status === 403 || status === 404 ? String(status) : `${status} ${text}`;
        const etag = field(head, 'etag');
        if (etag) question.tagged = { etag, text };
        return text;
    }

    #failed(error, next) {
        this.counts.errors++;
        if (!this.world.isFaulty && !this.over) this.judge.violate('other', [`no answer while all is well: ${error.message}`]);
        setTimeout(next, 20);
    }

    /** Readers ask what a write has changed. `position`: the token of a write through `node`. */
    #ask(states, before, node, position) {
        for (const [tenant, number] of states) {
            const scope = this.world.scopes[tenant];
            const concerned = scope.questions.filter(({ tables }) => tables.some((table) => before[tenant][table] !== scope.content[table]));
            if (!concerned.length) continue;
            for (let i = 0; i < CHECKS; i++) {
                const question = this.rng.pick(concerned);
                for (let other = 0; other < NODES; other++) {
                    this.#put(other, { scope, question });
                    if (position && other !== node) this.#put(other, { scope, question, position, floor: number });
                }
                if (this.rng.chance(CHECKED_LATER)) setTimeout(() => this.urgent.forEach((_, other) => this.#put(other, { scope, question })), LATER_MS).unref();
            }
        }
    }

    #put(node, task) {
        if (this.urgent[node].length < URGENT_MAX) this.urgent[node].push(task);
    }

    // ---- writers ----

    /** `side`: 'http' or 'sql'; each does half of the writes, as far as it can. */
    async #write(index, make, side) {
        const place = { node: index % NODES };
        while (!this.over && this.kinds[side].length) {
            if (!this.world.isOpen || this.reads < 2 * this.ratio * (this.counts[side] + this.underway[side])) {
                await sleep(2);
                continue;
            }
            this.underway[side]++;
            await this.#writeOne(place, make, this.pickKind[side]());
            this.underway[side]--;
        }
        place.connection?.destroy();
        await place.client?.end().catch(() => {});
    }

    async #writeOne(place, make, kind) {
        let first = this.rng.chance(HOT_WRITES) ? this.pickTenant() : this.rng.pick(this.tenants);
        for (let i = 0; i < 5 && this.world.isLocked(first); i++) first = this.rng.pick(this.tenants);
        const tenants = this.world.company(first, Writes.needs(kind));
        const [tenant] = tenants;
        const release = await this.world.lock(tenants);
        try {
            if (!this.world.isOpen || this.over) return;
            const before = this.committed + this.counts.undone;
            await make(place, kind, new Edit(Object.fromEntries(tenants.map((one) => [one, this.world.scopes[one].content]))), tenant);
            if (this.committed + this.counts.undone === before) await sleep(2);     // not possible just now
        } finally {
            release();
        }
    }

    async #attempt(edit, what, run) {
        this.world.active.add(edit);
        try {
            await run();
        } catch (error) {
            await this.world.park(edit, new Error(`${what}: ${error.message}`, { cause: error }));
        } finally {
            this.world.active.delete(edit);
        }
    }

    #throughHasten(place, kind, edit, tenant) {
        const made = this.writes.http(kind, edit, tenant);
        if (!made) return undefined;
        return this.#attempt(edit, made.what, async () => {
            const { method, path, body } = made.http;
            const text = body === undefined ? '' : JSON.stringify(body);
            this.world.begin(edit, made.what);
            if (!place.connection?.isUsable) place.connection = new Connection(this.world.nodes[place.node].port);
            const { status, head, text: said } = await place.connection.answer(`${method} /api/v1/${path} HTTP/1.1\r\nHost: x\r\n` +
                `Authorization: Bearer ${this.#writersToken(tenant)}\r\n${text ? 'Content-Type: application/json\r\n' : ''}` +
                `Content-Length: ${text.length}\r\n\r\n${text}`, ANSWER_MS);
            if (status >= 300) throw new Error(`${status} ${said}`);
            const states = this.world.commit(edit, place.node);
            this.counts.http++;
            this.#ask(states, edit.before, place.node, field(head, POSITION));
            this.#turn(place);
        });
    }

    // Now and then the other node, and another token of the same tenant.
    #turn(place) {
        if (!this.rng.chance(0.02)) return;
        place.connection.destroy();
        place.connection = undefined;
        place.node = this.rng.int(NODES);
    }

    #writersToken(tenant) {
        return this.rng.chance(0.9) ? this.world.tokens[tenant] : sign({ role: 'member', company_id: tenant, jti: String(this.rng.int(1e9)) }, SECRET);
    }

    #inSql(place, kind, edit, tenant) {
        const made = this.writes.sql(kind, edit, tenant);
        if (!made?.sql.length) return undefined;
        let isBegun = false;
        return this.#attempt(edit, made.what, async () => {
            const begin = () => {
                this.world.begin(edit, made.what);
                isBegun = true;
            };
            try {
                place.client ??= await this.#connect(place);
                await this.#transact(place, made, begin);
            } catch (error) {
                place.client?.end().catch(() => {});
                place.client = undefined;
                if (!isBegun) begin();      // so that there is something to settle
                throw error;
            }
            if (!isBegun) return void this.counts.undone++;
            this.counts.sql++;
            this.#ask(this.world.commit(edit), edit.before);
        });
    }

    async #connect(place) {
        const client = await this.world.pg.client();
        client.once('end', () => {
            if (place.client === client) place.client = undefined;
        });
        return client;
    }

    /** Calls `begin` before what makes it visible, and returns after that; or never calls it. */
    async #transact({ client }, { sql, end = 'COMMIT' }, begin) {
        const isAsync = this.rng.chance(this.async);
        if (sql.length === 1 && end === 'COMMIT' && !isAsync) {
            begin();
            await client.query(sql[0]);
            return;
        }
        await client.query(['BEGIN', ...isAsync ? ['SET LOCAL synchronous_commit = off'] : [], ...sql].join('; '));
        if (end.endsWith('PREPARED')) {
            const name = `'chaos ${this.world.version()}'`;
            await client.query(`PREPARE TRANSACTION ${name}`);
            if (this.rng.chance(0.3)) await sleep(this.rng.int(30));
            if (end === 'PREPARED') begin();
            await client.query(`${end === 'PREPARED' ? 'COMMIT' : 'ROLLBACK'} PREPARED ${name}`);
            return;
        }
        if (end === 'COMMIT') begin();
        await client.query(end);
    }

    // ---- the end ----

    /** Ends all traffic; a write of unknown outcome waits to be settled. */
    async end() {
        this.over = true;
        let isEnded = false;
        this.all.finally(() => { isEnded = true; });
        while (!isEnded) {
            await sleep(20);
            if (this.world.parked.size) await this.world.recover({ forked: this.world.isFaulty });
        }
        await this.all;
    }

    /** end(), and prints the summary and what was wrong, and sets the exit code. */
    async finish(name, { shown = 8, more = '' } = {}) {
        await this.end();
        const { judge, world, counts } = this;
        const ms = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
        const { behind } = judge;
        const hits = this.cached.HIT ?? 0;
        console.log(`${name}: ${judge.reads} reads, ${hits} hits (${(100 * hits / Math.max(1, judge.reads)).toFixed(1)} %, ${counts.shared} of them kept by the other node), ${counts.unmodified} not modified, ` +
            `${this.committed} writes (${counts.http} through hasten, ${counts.sql} behind its back, ${counts.undone} rolled back); ` +
            `stale beyond the bound ${judge.counts.stale}, read-your-writes violations ${judge.counts.unread}, ` +
            `answers of another tenant ${judge.counts.foreign}, other faults ${judge.total - judge.counts.stale - judge.counts.unread - judge.counts.foreign}; ` +
            `staleness p50 ${ms(behind.percentile(0.5))}, p99 ${ms(behind.percentile(0.99))}, max ${ms(behind.max)}${more}`);
        if (!judge.total) return;
        for (const lines of judge.violations.slice(0, shown)) console.log(`  ${lines.join('\n')}`);
        console.log(`  ${judge.total} violations ${JSON.stringify(judge.counts)}; answers by X-Cache ${JSON.stringify(this.cached)}; seed ${world.seed}`);
        process.exitCode = 1;
    }
}
