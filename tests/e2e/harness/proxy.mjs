// SPDX-License-Identifier: Apache-2.0
// A TCP proxy that misbehaves on request: put it between hasten and PostgreSQL
// (or a client and hasten) and delay, throttle, hold, cut, half-close or reset.
// It never changes or reorders bytes: TCP does not either.

import { once } from 'node:events';
import net from 'node:net';
import { sleep } from './util.mjs';

const PIECES_MAX = 64;

export class Proxy {
    /** `target`: options of net.connect, {port, host} or {path} of a unix socket. */
    static async start(target, { port = 0 } = {}) {
        const proxy = new Proxy(target);
        proxy.server.listen(port, '127.0.0.1');
        await once(proxy.server, 'listening');
        proxy.port = proxy.server.address().port;
        return proxy;
    }

    constructor(target) {
        this.target = target;
        this.pairs = new Set();
        this.accepted = 0;
        this.delayMs = 0;
        this.bytesPerSecond = 0;
        this.held = false;
        this.refusing = false;
        this.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    }

    get connections() {
        return this.pairs.size;
    }

    #accept(client) {
        this.accepted++;
        client.on('error', () => {});
        if (this.refusing) {
            client.resetAndDestroy();
            return;
        }
        const server = net.connect({ ...this.target, allowHalfOpen: true, noDelay: true });
        const pair = { client, server };
        this.pairs.add(pair);
        const gone = () => {
            client.destroy();
            server.destroy();
            this.pairs.delete(pair);
        };
        for (const socket of [client, server]) socket.on('error', gone).on('close', gone);
        this.#pump(client, server);
        this.#pump(server, client);
    }

    // One direction, in order. Pieces travel side by side, as on a long line: each has its own time of arrival.
    #pump(from, to) {
        const line = [];
        let wake = () => {};
        const put = (data) => {
            line.push({ data, due: performance.now() + this.delayMs });
            if (line.length > PIECES_MAX) from.pause();
            wake();
        };
        from.on('data', put).on('end', () => put(null));
        const deliver = async () => {
            while (!to.destroyed) {
                if (line.length === 0) await new Promise((resolve) => { wake = resolve; });
                const { data, due } = line[0];
                if (due > performance.now()) await sleep(due - performance.now());
                while (this.held) await sleep(5);
                if (data === null) return to.end();
                if (!await this.#forward(to, data)) return undefined;
                line.shift();
                if (line.length === 0) from.resume();
            }
            return undefined;
        };
        deliver().catch(() => {});      // the connection was destroyed; `gone` has both ends
    }

    async #forward(to, data) {
        const step = this.bytesPerSecond ? Math.max(1, Math.floor(this.bytesPerSecond / 50)) : data.length;
        for (let at = 0; at < data.length; at += step) {
            if (to.destroyed) return false;
            if (!to.write(data.subarray(at, at + step))) await once(to, 'drain');
            if (this.bytesPerSecond) await sleep(20);
        }
        return true;
    }

    /** Each piece of data arrives `ms` later, both ways. */
    delay(ms) {
        this.delayMs = ms;
    }

    /** At most so many bytes a second per connection and direction; 0 = no limit. */
    throttle(bytesPerSecond) {
        this.bytesPerSecond = bytesPerSecond;
    }

    /** Connections stay open and nothing passes, as with a dead network path. */
    hold() {
        this.held = true;
    }

    /** Drops what is open (FIN) and refuses what comes, until heal(). */
    cut() {
        this.refusing = true;
        this.drop();
    }

    /** Drops what is open with FIN, or RST; new connections are welcome. */
    drop({ reset = false } = {}) {
        for (const { client, server } of [...this.pairs]) {
            for (const socket of [client, server]) {
                if (reset && socket.remotePort) socket.resetAndDestroy();     // a unix socket has no RST
                else socket.destroy();
            }
        }
    }

    reset() {
        this.drop({ reset: true });
    }

    /** Ends one direction only: towards the 'client' or the 'server'. */
    halfClose(side) {
        for (const pair of this.pairs) pair[side].end();
    }

    /** Back to a proxy that only passes on. */
    heal() {
        this.delayMs = this.bytesPerSecond = 0;
        this.held = this.refusing = false;
    }

    async stop() {
        this.heal();
        this.drop();
        if (this.server.listening) await new Promise((resolve) => this.server.close(resolve));
    }
}
