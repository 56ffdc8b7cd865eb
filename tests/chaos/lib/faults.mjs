// SPDX-License-Identifier: Apache-2.0
// What can fail around a World whose ways to the database go through proxies.

import { sleep, waitUntil } from '../../e2e/harness/util.mjs';
import { Standby, backUp } from './standby.mjs';
import { NODES } from './world.mjs';

export class Faults {
    /** `pause`: how long what lasts lasts at most, ms. */
    constructor(world, traffic, rng, pause) {
        Object.assign(this, { world, traffic, rng, pause });
    }

    aNode = () => this.rng.int(NODES);
    #feed = () => this.world.feeds[this.aNode()];
    #some = (least = 0) => sleep(this.rng.between(least, this.pause));

    /** For what the readers need to fill the cache anew, and to meet what is wrong in it. */
    settle = () => sleep(this.rng.between(500, 1500));

    async nodesAnswer() {
        const now = performance.now();
        await waitUntil(() => this.traffic.lastRight.every((time) => time > now), { timeout: 60_000, what: 'answers from both nodes' });
    }

    /** The way to the database is closed while `change` makes another one of it, maybe an older one. */
    async #instead(change) {
        const { world } = this;
        const since = performance.now();
        world.pause();
        for (const proxy of [world.pool, ...world.feeds]) proxy.cut();
        await change();
        await world.recover({ forked: true, since });
        for (const proxy of [world.pool, ...world.feeds]) proxy.heal();
    }

    /** ALTER SYSTEM; undefined resets. */
    async #set(name, value) {
        await this.world.pg.sql(`ALTER SYSTEM ${value === undefined ? `RESET ${name}` : `SET ${name} = '${value}'`}`);
        await this.world.pg.sql('SELECT pg_reload_conf()');
    }

    /** COMMIT waits for these standbys: it is flushed, and not visible. */
    async synchronous(names, ms) {
        await this.#set('synchronous_standby_names', names);
        await sleep(ms);
        await this.#set('synchronous_standby_names');
    }

    async #failOver(isBehind) {
        const standby = await Standby.start(this.world.pg);
        await this.settle();
        if (isBehind) standby.proxy.hold();
        else await this.#set('synchronous_standby_names', '*');     // what the standby has not, nobody has been told of
        await this.#some(200);
        const old = this.world.pg;
        await this.#instead(async () => {
            await old.kill9();
            this.world.moveTo(await standby.promote());
            await this.#set('synchronous_standby_names');
        });
        await old.close();
    }

    async #hold(what, hold, release) {
        await hold(what);
        await this.#some(this.pause);
        await release(what);
    }

    async #restartNode(between) {
        const node = this.world.nodes[this.aNode()];
        await node.kill9();
        await between();
        await node.spawn({ env: this.world.env });
    }

    all() {
        const heal = (proxy) => proxy.heal();
        return {
            feedPaused: () => this.#hold(this.#feed(), (proxy) => proxy.hold(), heal),
            feedCut: () => this.#hold(this.#feed(), (proxy) => proxy.cut(), heal),
            feedReset: () => this.#feed().reset(),
            feedDelayed: () => this.#hold(this.#feed(), (proxy) => {
                proxy.delay(this.pause);
                return sleep(this.pause);
            }, heal),
            feedSlow: () => this.#hold(this.#feed(), (proxy) => proxy.delay(this.rng.between(5, 900)), heal),
            largeTransaction: async () => {
                await this.world.pg.sql('UPDATE chaos.ballast SET ver = ver + 1 WHERE id > 5000');
                await this.#some();
            },
            poolReset: () => this.world.pool.reset(),
            backendsEnded: () => this.world.pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'authenticator'"),
            postgresKilled: () => this.#instead(async () => {
                await this.world.pg.kill9();
                await this.world.pg.start();
            }),
            hastenKilled: () => this.#restartNode(() => sleep(this.rng.between(0, 500))),
            hastenStopped: () => this.#hold(this.world.nodes[this.aNode()], (node) => node.signal('SIGSTOP'), (node) => node.signal('SIGCONT')),
            missingStandby: () => this.synchronous('nobody', this.rng.between(200, this.pause)),
            slowStandby: async () => {
                const standby = await Standby.start(this.world.pg);
                standby.proxy.delay(this.rng.between(50, 300));
                await this.synchronous('*', this.pause);
                await standby.close();
            },
            promoted: () => this.#failOver(false),
            promotedBehind: () => this.#failOver(true),
            restored: async () => {
                const copy = await backUp(this.world.pg);
                await this.#some(200);
                const old = this.world.pg;
                await this.#instead(async () => {
                    await old.kill9();
                    this.world.moveTo(await copy.start());
                });
                await old.close();
            },
            ...this.world.redis && this.#ofRedis(this.world.redis),
        };
    }

    #ofRedis(redis) {
        return {
            redisKilled: () => this.#hold(redis, () => redis.kill9(), () => redis.start()),
            redisFlushed: () => redis.command('FLUSHALL'),
            redisRubbish: () => redis.fillWithRubbish(),
            redisStopped: () => this.#hold(redis, () => redis.signal('SIGSTOP'), () => redis.signal('SIGCONT')),
        };
    }
}
