// SPDX-License-Identifier: Apache-2.0
// One database, two nodes of hasten in front of it, the tenants' histories, and who may write to which tenant.
//
// A write whose outcome is not known is parked until recover(), which asks the database itself.

import fs from 'node:fs';
import path from 'node:path';
import { Hasten, SECRET, hasten } from '../../e2e/harness/hasten.mjs';
import { sign } from '../../e2e/harness/jwt.mjs';
import { Pg } from '../../e2e/harness/pg.mjs';
import { Proxy } from '../../e2e/harness/proxy.mjs';
import { Redis } from '../../e2e/harness/redis.mjs';
import { ROOT, random, sleep, waitUntil } from '../../e2e/harness/util.mjs';
import { Judge, Scope } from './history.mjs';
import { MEMO_TENANTS, SCHEMA, TENANTS, fill, isSame, ownersOf, questionsOf, readContents } from './tenants.mjs';

export const NODES = 2;
export const MAX_STALENESS_MS = 1000;
// Times are compared inside one process and always to hasten's advantage; this is for rounding to milliseconds.
const SLACK_MS = 20;
const TAG_SECRET = 'the secret of the shared cache, of 32 bytes or more';

/** The names of all options that the program has. */
async function optionNames() {
    const { stdout } = await hasten(['config', 'reference', 'options']);
    return new Set([...stdout.matchAll(/^\|? *`([a-z0-9_.]+)`/gm)].map(([, name]) => name));
}

export class World {
    /**
     *   rng, seed   of the run
     *   settings    of PostgreSQL;  fsync
     *   proxied     every way to the database goes through a proxy: {pool: Proxy, feeds: [Proxy of each node]}
     *   ballast     rows for large transactions
     *   env, config more of hasten's environment and options
     */
    static async start({ settings = {}, fsync = false, proxied = false, ballast = 5000, env = {}, config = {}, ...rest }) {
        const pg = await Pg.start({ fsync, settings: {
            max_prepared_transactions: 20, logical_decoding_work_mem: '64kB', max_connections: 200, max_wal_senders: 20, ...settings,
        } });
        const world = new World({ pg, env, ...rest });
        await pg.sql(SCHEMA);
        await pg.sql(`${fs.readFileSync(path.join(ROOT, 'sql/hasten.sql'), 'utf8')}; SELECT hasten.allow('authenticator');
            ALTER ROLE authenticator REPLICATION; ${fill(ballast)}`);
        world.ballast = ballast;
        await world.#startNodes(proxied, config);
        await world.#readBeginning();
        return world;
    }

    constructor({ pg, env, rng, seed }) {
        Object.assign(this, { pg, env, rng, seed });
        this.judge = new Judge({ bound: MAX_STALENESS_MS + SLACK_MS, owners: ownersOf });
        this.locks = Array.from({ length: TENANTS + 1 }, () => Promise.resolve());
        this.waiting = Array.from({ length: TENANTS + 1 }, () => 0);    // writers that have or want the lock
        this.versions = 0;
        this.isOpen = true;         // false: no write begins
        this.isFaulty = false;      // true: refusals and errors are no violations
        this.active = new Set();    // writes under way
        this.parked = new Map();    // writes of unknown outcome, and how to tell them
        this.tokens = Array.from({ length: TENANTS + 1 }, (_, tenant) => sign({ role: 'member', company_id: tenant, exp: undefined }, SECRET));
        this.outcomes = { unknown: 0, lost: 0 };
    }

    // ---- the servers ----

    async #startNodes(proxied, config) {
        this.options = await optionNames();
        this.pool = proxied ? await Proxy.start({ host: '127.0.0.1', port: this.pg.port }) : undefined;
        this.feeds = [];
        if (this.options.has('cache.redis.url')) this.redis = await Redis.start();
        this.nodes = [];
        for (let i = 0; i < NODES; i++) {
            if (proxied) this.feeds.push(await Proxy.start({ host: '127.0.0.1', port: this.pg.port }));
            this.nodes.push(await Hasten.start(this.#configOf(i, config), { env: this.env }));
        }
        this.random = random(this.rng.int(2 ** 31));
    }

    #configOf(node, extra) {
        const url = (proxy) => this.pg.url({ user: 'authenticator', ...proxy && { tcp: true, port: proxy.port } });
        const wanted = {
            'cache.feed.url': this.feeds[node] && url(this.feeds[node]),
            'cache.max_staleness': `${MAX_STALENESS_MS}ms`,
            'cache.redis.url': this.redis?.url,
            'cache.redis.secret': this.redis && TAG_SECRET,
            'cache.enabled': true,
        };
        // A program without a cache must pass, too.
        const known = Object.fromEntries(Object.entries({ ...wanted, ...extra }).filter(([name, value]) => value !== undefined && this.options.has(name)));
        return {
            'database.url': url(this.pool), 'database.schemas': ['chaos'], 'database.pool.acquire_timeout': '5s',
            'database.statement_timeout': '15s', 'server.workers': 2, 'log.access': false,
            'auth.jwt.secret': SECRET, 'auth.roles': ['viewer', 'member'], 'auth.anonymous_role': 'viewer', ...known,
        };
    }

    /** The way to the database leads to another server, as soon as the proxies are healed. */
    moveTo(pg) {
        this.pg = pg;
        for (const proxy of [this.pool, ...this.feeds]) proxy.target = { host: '127.0.0.1', port: pg.port };
    }

    async close() {
        for (const node of this.nodes) await node.stop();
        for (const proxy of [this.pool, ...this.feeds]) await proxy?.stop();
        await this.redis?.stop();
        await this.pg.close();
    }

    // ---- the histories ----

    async #contents() {
        const client = await this.pg.client();
        try {
            return await readContents(client);
        } finally {
            await client.end();
        }
    }

    async #readBeginning() {
        const contents = await this.#contents();
        this.scopes = [undefined, ...contents.map((content, i) =>
            new Scope(`tenant ${i + 1}`, content, questionsOf(i + 1), performance.now()))];
    }

    version() {
        return ++this.versions;
    }

    /** True where no tenant has such a row, nor had it before a write that is under way. */
    isFree(table, id) {
        return this.scopes.every((scope) => !scope || !(scope.content[table].has(id) || scope.settled[table].has(id)));
    }

    /** The tenants in `list` are this writer's alone until the function that is returned is called. */
    async lock(list) {
        let release;
        const mine = new Promise((resolve) => { release = resolve; });
        for (const tenant of [...list].sort((a, b) => a - b)) {
            const before = this.locks[tenant];
            this.locks[tenant] = mine;
            this.waiting[tenant]++;
            await before;
        }
        return () => {
            for (const tenant of list) this.waiting[tenant]--;
            release();
        };
    }

    isLocked(tenant) {
        return this.waiting[tenant] > 0;
    }

    /** The tenants that a kind of write needs beside the one given. */
    company(tenant, needs) {
        if (needs === 'memos') return Array.from({ length: MEMO_TENANTS }, (_, i) => i + 1);
        if (needs === 0) return [tenant];
        return [tenant, (tenant + this.random.int(TENANTS - 1)) % TENANTS + 1];
    }

    // ---- one write ----

    /** The COMMIT of an edit is about to be sent. */
    begin(edit, what) {
        const now = performance.now();
        for (const tenant of edit.tenants) this.scopes[tenant].begin(edit.after[tenant], what, now);
    }

    /** It was answered, through `node` or not. Returns [[tenant, number of its state]]. */
    commit(edit, node) {
        const now = performance.now();
        return edit.tenants.map((tenant) => [tenant, this.scopes[tenant].commit(now, node)]);
    }

    abort(edit) {
        for (const tenant of edit.tenants) this.judge.aborted(this.scopes[tenant]);
    }

    /** The outcome of a begun edit is not known: waits for recover(). */
    park(edit, error) {
        this.outcomes.unknown++;
        if (!this.isFaulty) this.judge.violate('other', [`a write failed while all is well: ${error.message}`]);
        return new Promise((resolve) => this.parked.set(edit, resolve));
    }

    // ---- after a fault ----

    /** No further write begins; those under way go on. Until recover(). */
    pause() {
        this.isOpen = false;
    }

    /**
     * When all writes have ended or are parked: what is there is asked of the database. `forked`: it may have
     * lost what it had committed (a crash after asynchronous commits, a standby that was behind); else a
     * write that was answered and is not there is a violation.
     */
    async recover({ forked = false, since = performance.now() } = {}) {
        this.isOpen = false;
        await waitUntil(() => [...this.active].every((edit) => this.parked.has(edit)), { timeout: 60_000, what: 'the writes under way' });
        // Twice: what a client sent before it went away may not have been read yet.
        for (let i = 0; i < 2; i++) {
            await sleep(50);
            await waitUntil(() => this.pg.value(`SELECT count(*) = 0 FROM pg_stat_activity
                WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()`), { timeout: 60_000, what: 'the last transactions to end' });
        }
        await this.#endPrepared();
        const contents = await this.#contents();
        for (const [edit] of this.parked) this.#settle(edit, contents, forked, since);
        const now = performance.now();
        for (let tenant = 1; tenant <= TENANTS; tenant++) this.#adopt(this.scopes[tenant], contents[tenant - 1], forked, since, now);
        for (const [, resolve] of this.parked) resolve();
        this.parked.clear();
        this.isOpen = true;
    }

    async #endPrepared() {
        for (const { gid } of await this.pg.sql('SELECT gid FROM pg_prepared_xacts')) await this.pg.sql(`ROLLBACK PREPARED '${gid}'`);
    }

    #settle(edit, contents, forked) {
        const isDone = edit.tenants.every((tenant) => isSame(contents[tenant - 1], edit.after[tenant]));
        const wasSeen = edit.tenants.some((tenant) => this.scopes[tenant].states.at(-1).seen);
        if (isDone || (forked && wasSeen)) this.commit(edit);
        else this.abort(edit);
    }

    #adopt(scope, content, forked, since, now) {
        if (isSame(scope.content, content)) return;
        this.outcomes.lost++;
        if (!forked) {
            this.judge.violate('other', [`what was committed is not there: ${scope.name}`, ...scope.describe(scope.questions[0], now, '')]);
        } else if (!scope.states.some((state) => isSame(state.content, content))) {
            this.judge.violate('other', [`after the crash the database holds what never was: ${scope.name}`]);
        }
        scope.begin(content, 'the database lost commits', since);
        scope.commit(now);
    }
}
