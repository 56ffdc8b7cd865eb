// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 connection that does one thing after the other, fast: thousands of questions a second beside the
// servers on two processors. tests/e2e/harness/raw.mjs is strict; this one is quick, and knows only Content-Length.

import net from 'node:net';

const HEAD_END = '\r\n\r\n';

export class Connection {
    /** Never fails: a connection that could not be opened answers the first ask() with an error. */
    constructor(port) {
        this.received = '';
        this.expects = null;
        this.error = null;
        this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
        this.socket.on('data', (data) => this.#take(data));
        this.socket.on('error', (error) => this.#fail(error));
        this.socket.on('close', () => this.#fail(new Error('closed')));
    }

    get isUsable() {
        return !this.error;
    }

    /** One request as text; `done(error, answer)` with {status, head, text}, exactly once. */
    ask(request, done) {
        if (this.error) {
            setImmediate(done, this.error);
            return;
        }
        this.expects = done;
        this.socket.write(request, 'latin1');
    }

    /** The same as a promise; after `timeout` ms it is an error and the connection is gone. */
    answer(request, timeout) {
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => this.destroy(new Error(`no answer in ${timeout} ms`)), timeout);
            this.ask(request, (error, answer) => {
                clearTimeout(timer);
                if (error) reject(error);
                else resolve(answer);
            });
        });
    }

    #take(data) {
        this.received = this.received === '' ? data.latin1Slice() : this.received + data.latin1Slice();
        const end = this.received.indexOf(HEAD_END);
        if (end < 0) return;
        const head = this.received.slice(0, end);
        const status = Number(head.slice(9, 12));
        const isBodiless = status === 204 || status === 304;
        const length = isBodiless ? null : /\r\ncontent-length: *(\d+)/i.exec(head);
        const next = end + HEAD_END.length + (length ? Number(length[1]) : 0);
        if (!length && !isBodiless) {
            this.destroy(new Error(`an answer without Content-Length: ${head}`));
            return;
        }
        if (this.received.length < next) return;
        const text = this.received.slice(end + HEAD_END.length, next);
        this.received = this.received.slice(next);
        const done = this.expects;
        this.expects = null;
        if (/\r\nconnection: *close/i.test(head)) this.destroy(new Error('closed'));
        done?.(null, { status, head, text });
    }

    #fail(error) {
        this.error ??= error;
        const done = this.expects;
        this.expects = null;
        done?.(this.error);
    }

    destroy(error = new Error('closed')) {
        this.#fail(error);
        this.socket.destroy();
    }
}

/** The value of a header field, or undefined; `name` in lower case. */
export function field(head, name) {
    const match = new RegExp(`\\r\\n${name}: *([^\\r]*)`, 'i').exec(head);
    return match?.[1];
}
