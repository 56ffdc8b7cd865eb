// SPDX-License-Identifier: Apache-2.0
// A client that sends exactly the bytes it is told to, in the pieces it is told
// to, and reads answers by RFC 9112 to the letter: anything a strict client
// would refuse is an error here, so a sloppy server cannot pass.

import { once } from 'node:events';
import net from 'node:net';
import { sleep } from './util.mjs';

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// eslint-disable-next-line no-control-regex
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

export class ProtocolError extends Error {}

const refuse = (what) => {
    throw new ProtocolError(what);
};

/** Reads a head (from `at`) out of latin1 text; null when it is not complete. */
function parseHead(text, at) {
    const end = text.indexOf('\r\n\r\n', at);
    if (end < 0) return null;
    const head = text.slice(at, end);
    if (/\r(?!\n)|(?<!\r)\n/.test(head)) refuse(`bare CR or LF in the head: ${JSON.stringify(head)}`);
    const [first, ...lines] = head.split('\r\n');
    const status = /^HTTP\/1\.1 ([1-5]\d\d) ([\t\x20-\x7e]*)$/.exec(first);
    if (!status) refuse(`bad status line: ${JSON.stringify(first)}`);
    return {
        status: Number(status[1]), reason: status[2], ...parseFields(lines), next: end + 4,
    };
}

function parseFields(lines) {
    const headers = {};
    const rawHeaders = [];
    for (const line of lines) {
        const colon = line.indexOf(':');
        if (colon < 1) refuse(`bad header line: ${JSON.stringify(line)}`);
        const name = line.slice(0, colon);
        const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '');
        if (!TOKEN.test(name)) refuse(`bad header name: ${JSON.stringify(name)}`);
        if (!FIELD_VALUE.test(value)) refuse(`bad header value: ${JSON.stringify(line)}`);
        const key = name.toLowerCase();
        if (key in headers && ['content-length', 'transfer-encoding', 'content-type', 'date'].includes(key)) {
            refuse(`header twice: ${name}`);
        }
        headers[key] = key in headers ? `${headers[key]}, ${value}` : value;
        rawHeaders.push([name, value]);
    }
    return { headers, rawHeaders };
}

/** A chunked body (RFC 9112, 7.1) without extensions; null when not complete. */
function parseChunked(text, at) {
    const parts = [];
    for (;;) {
        const eol = text.indexOf('\r\n', at);
        if (eol < 0) return null;
        const line = text.slice(at, eol);
        if (!/^[0-9A-Fa-f]{1,8}$/.test(line)) refuse(`bad chunk size: ${JSON.stringify(line)}`);
        const size = Number.parseInt(line, 16);
        at = eol + 2;
        if (size === 0) return parseTrailers(text, at, parts);
        if (text.length < at + size + 2) return null;
        if (text.slice(at + size, at + size + 2) !== '\r\n') refuse('a chunk does not end with CRLF');
        parts.push(text.slice(at, at + size));
        at += size + 2;
    }
}

function parseTrailers(text, at, parts) {
    const lines = [];
    for (;;) {
        const eol = text.indexOf('\r\n', at);
        if (eol < 0) return null;
        const line = text.slice(at, eol);
        at = eol + 2;
        if (line === '') break;
        lines.push(line);
    }
    return { body: parts.join(''), chunks: parts.length, trailers: parseFields(lines).headers, next: at };
}

/** Finds the body after a head; null when not complete. */
function parseBody(text, head, method, closed) {
    const { status, headers, next } = head;
    const length = headers['content-length'];
    const coding = headers['transfer-encoding'];
    const bodiless = status < 200 || status === 204;
    if (bodiless && (length !== undefined || coding !== undefined)) refuse(`${status} with a body length`);
    if (length !== undefined && coding !== undefined) refuse('both Content-Length and Transfer-Encoding');
    if (length !== undefined && !/^\d+$/.test(length)) refuse(`bad Content-Length: ${length}`);
    if (bodiless || status === 304 || method === 'HEAD') return { body: '', next };
    if (coding !== undefined) {
        if (coding.toLowerCase() !== 'chunked') refuse(`unknown Transfer-Encoding: ${coding}`);
        return parseChunked(text, next);
    }
    if (length !== undefined) {
        const end = next + Number(length);
        return text.length < end ? null : { body: text.slice(next, end), next: end };
    }
    return closed ? { body: text.slice(next), next: text.length, untilClose: true } : null;
}

/**
 * The first answer in `bytes` (latin1 text or Buffer), or null when it is not complete.
 * {status, reason, headers, rawHeaders, body (Buffer), text, json(), bytes}
 */
export function parseResponse(bytes, { method = 'GET', closed = false } = {}) {
    const text = typeof bytes === 'string' ? bytes : bytes.toString('latin1');
    const head = parseHead(text, 0);
    if (!head) return null;
    const found = parseBody(text, head, method, closed);
    if (!found) return null;
    const body = Buffer.from(found.body, 'latin1');
    return {
        status: head.status,
        reason: head.reason,
        headers: head.headers,
        rawHeaders: head.rawHeaders,
        trailers: found.trailers ?? {},
        chunks: found.chunks ?? 0,
        untilClose: found.untilClose ?? false,
        body,
        text: body.toString('utf8'),
        json: () => JSON.parse(body.toString('utf8')),
        bytes: found.next,
    };
}

export class RawClient {
    /** `options`: anything of net.connect, such as localAddress or allowHalfOpen. */
    static async connect(port, { host = '127.0.0.1', ...options } = {}) {
        const socket = net.connect({ port, host, noDelay: true, allowHalfOpen: true, ...options });
        await once(socket, 'connect');
        return new RawClient(socket);
    }

    constructor(socket) {
        this.socket = socket;
        this.received = '';
        this.ended = false;     // the server sent FIN
        this.closed = false;    // FIN or RST
        this.error = null;
        this.wake = () => {};
        const changed = (fn) => (arg) => {
            fn(arg);
            this.wake();
        };
        socket.on('data', changed((data) => { this.received += data.toString('latin1'); }));
        socket.on('end', changed(() => { this.ended = this.closed = true; }));
        socket.on('error', changed((error) => { this.error = error; this.closed = true; }));
        socket.on('close', changed(() => { this.closed = true; }));
    }

    /** Sends each piece as a packet of its own; a number is a pause in ms. */
    async send(...pieces) {
        for (const piece of pieces) {
            if (typeof piece === 'number') {
                await sleep(piece);
            } else if (!this.closed) {
                await new Promise((resolve) => this.socket.write(
                    typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece, resolve));
                if (pieces.length > 1) await sleep(1);
            }
        }
        return this;
    }

    async #wait(ready, timeout, what) {
        const deadline = performance.now() + timeout;
        for (;;) {
            const value = ready();
            if (value) return value;
            const left = deadline - performance.now();
            if (left <= 0) throw new Error(`no ${what} in ${timeout} ms; got ${JSON.stringify(this.received.slice(0, 300))}`);
            let timer;
            await new Promise((resolve) => {
                this.wake = resolve;
                timer = setTimeout(resolve, left);
            });
            clearTimeout(timer);
        }
    }

    /** Takes the next answer; interim ones (1xx) too unless `final`. */
    async response({ method = 'GET', timeout = 10_000, final = true } = {}) {
        for (;;) {
            const answer = await this.#wait(() => {
                const parsed = parseResponse(this.received, { method, closed: this.ended });
                if (!parsed && this.closed) {
                    throw new Error(`connection closed before an answer${this.error ? ` (${this.error.code})` : ''}; ` +
                        `got ${JSON.stringify(this.received.slice(0, 300))}`, { cause: this.error });
                }
                return parsed;
            }, timeout, 'answer');
            this.received = this.received.slice(answer.bytes);
            if (!final || answer.status >= 200) return answer;
        }
    }

    /** `count` answers in order, as pipelined. */
    async responses(count, options) {
        const list = [];
        while (list.length < count) list.push(await this.response(options));
        return list;
    }

    /** Waits until the server has closed; what came and was not taken is returned. */
    async closing(timeout = 10_000) {
        await this.#wait(() => this.closed, timeout, 'close');
        return this.received;
    }

    /** Sends our FIN. */
    end() {
        this.socket.end();
    }

    /** Goes away without a word; `reset` sends RST instead of FIN. */
    destroy({ reset = false } = {}) {
        if (reset) this.socket.resetAndDestroy();
        else this.socket.destroy();
    }
}

/** One connection, the given pieces, one answer. */
export async function exchange(port, ...pieces) {
    const client = await RawClient.connect(port);
    try {
        await client.send(...pieces);
        return await client.response();
    } finally {
        client.destroy();
    }
}
