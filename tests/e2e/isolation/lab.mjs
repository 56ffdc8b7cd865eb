// SPDX-License-Identifier: Apache-2.0
// Tenants, their callers and their marks; a client that keeps every byte of an answer; and the one question of
// these tests: does it hold a mark that its caller must not see?

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import zlib from 'node:zlib';
import { Hasten, SECRET, exampleConfig } from '../harness/hasten.mjs';
import { sign } from '../harness/jwt.mjs';
import { Pg } from '../harness/pg.mjs';
import { tempDir } from '../harness/util.mjs';

const DB = 'clients_plus';
const LAB = path.join(import.meta.dirname, 'lab.sql');

export const ALPHA = { name: 'alpha', word: 'qqalpha', digits: '71' };
export const BRAVO = { name: 'bravo', word: 'qqbravo', digits: '72' };
export const PUBLIC = { name: 'public', word: 'qqpublic', digits: '70' };
/** Marks of the same length that nothing carries. */
export const NOBODY = { name: 'nobody', word: 'qqnoone', digits: '79' };

const claims = (role, { digits }, more) => sign({ role, company_id: Number(`${digits}000000`), ...more }, SECRET);

/** Who asks: their token, whose rows they may see, and whose they must not. */
export const CALLERS = {
    alpha: { role: 'member', of: ALPHA, token: claims('member', ALPHA), denied: [BRAVO, PUBLIC] },
    bravo: { role: 'member', of: BRAVO, token: claims('member', BRAVO), denied: [ALPHA, PUBLIC] },
    alphaByRole: { role: 'tenant_alpha', of: ALPHA, token: sign({ role: 'tenant_alpha' }, SECRET), denied: [BRAVO, PUBLIC] },
    bravoByRole: { role: 'tenant_bravo', of: BRAVO, token: sign({ role: 'tenant_bravo' }, SECRET), denied: [ALPHA, PUBLIC] },
    guest: { role: 'guest', of: PUBLIC, token: undefined, denied: [ALPHA, BRAVO] },
    homeless: { role: 'member', of: NOBODY, token: sign({ role: 'member' }, SECRET), denied: [ALPHA, BRAVO, PUBLIC] },
    viewer: { role: 'viewer', of: undefined, token: sign({ role: 'viewer' }, SECRET), denied: [] },
};
for (const [name, caller] of Object.entries(CALLERS)) caller.name = name;

export const QUERIES = {
    'docs-like.sql': `-- param pattern text = %\nSELECT d.id, d.title, d.tags, (SELECT string_agg(c.said, ',' ORDER BY c.id) FROM iso.comments c WHERE c.doc_id = d.id) AS said
FROM iso.docs d WHERE d.title LIKE :pattern ORDER BY d.id`,
    'docs-one.sql': '-- one: true\n-- param id bigint = 1\nSELECT id, title FROM iso.docs WHERE id = :id',
    'docs-count.sql': '-- one: true\nSELECT count(*) AS n, max(title) AS last, sum(amount) AS total FROM iso.docs',
    'docs-owned.sql': 'SELECT * FROM iso.owned ORDER BY id',
    'docs-called.sql': 'SELECT * FROM iso.called ORDER BY id',
    'search-clients.sql': fs.readFileSync(path.join(import.meta.dirname, '../../../examples/clients-plus/api/search-clients.sql'), 'utf8'),
    'clients-with-analytics.sql': fs.readFileSync(path.join(import.meta.dirname, '../../../examples/clients-plus/api/clients-with-analytics.sql'), 'utf8'),
};

/** {pg, hasten, sql(), ask(), close()}: the lab and the program, with the cache on; `breach` is SQL that opens a hole. */
export async function startIsolation({ breach = '', config = {} } = {}) {
    const pg = await Pg.start({ clientsPlus: 0.1 });
    try {
        await pg.psql(['-1', '-d', DB, '-f', LAB]);
        if (breach) await pg.sql(breach, { db: DB });
        await pg.installFeed();
        const queries = tempDir('queries');
        for (const [name, text] of Object.entries(QUERIES)) fs.writeFileSync(path.join(queries, name), text);
        const hasten = await Hasten.start(exampleConfig(pg, {
            'database.schemas': ['api', 'iso'],
            'auth.roles': ['viewer', 'member', 'guest', 'tenant_alpha', 'tenant_bravo'],
            'auth.anonymous_role': 'guest',
            'api.cursor.secret': 'the secret of the cursors in tests, long',
            'api.queries': queries,
            'api.search': ['staff: first_name, last_name, email', 'shares: note'],
            'api.relations': ['appointments.assistants: assistant_ids[] -> staff.id'],
            'rest.plan_enabled': true,
            'rest.aggregates_enabled': true,
            'server.workers': 2,
            'database.pool.max': 24,
            'api.stream.max': 24,
            'database.pool.acquire_timeout': '20s',
            ...config,
        }));
        const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
        return {
            pg,
            hasten,
            sql: (text, values) => pg.sql(text, { db: DB, values }),
            ask: (caller, request) => ask(hasten.port, agent, caller, request),
            close: async () => {
                agent.destroy();
                await hasten.stop();
                await pg.close();
            },
        };
    } catch (error) {
        await pg.close();
        throw error;
    }
}

const DECODERS = { gzip: zlib.gunzipSync, br: zlib.brotliDecompressSync, deflate: zlib.inflateSync };

/** One request, {method, path, headers, body}, by a caller: {status, headers, head, body}, head and body as texts. */
function ask(port, agent, caller, { method = 'GET', path: target, headers = {}, body }) {
    const all = { ...caller.token && { authorization: `Bearer ${caller.token}` }, ...headers };
    const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    if (payload !== undefined) {
        all['content-type'] ??= 'application/json';
        all['content-length'] = Buffer.byteLength(payload);
    }
    return new Promise((resolve, reject) => {
        const request = http.request({ port, host: '127.0.0.1', agent, method, path: target.replaceAll(' ', '%20'), headers: all }, async (answer) => {
            try {
                const bytes = Buffer.concat(await answer.toArray());
                const decode = DECODERS[answer.headers['content-encoding']];
                const { statusCode: status, statusMessage, rawHeaders } = answer;
                resolve({ status, headers: answer.headers, head: `${status} ${statusMessage}\n${linesOf(rawHeaders)}`, body: (decode && bytes.length ? decode(bytes) : bytes).toString('utf8') });
            } catch (error) {
                reject(error);
            }
        });
        request.once('error', reject);
        request.end(payload);
    });
}

// Of chance and time: eight digits in them mean nothing.
const NOISE = /^(date|x-request-id|server-timing|x-response-time|hasten-position|x-content-version)$/i;

function linesOf(rawHeaders) {
    let text = '';
    for (let i = 0; i < rawHeaders.length; i += 2) {
        if (!NOISE.test(rawHeaders[i])) text += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\n`;
    }
    return text;
}

/** The middle of `word` in base64, at each of the three places where it may begin. */
const inBase64 = (word) => [0, 1, 2].map((at) => Buffer.from('\0'.repeat(at) + word).toString('base64').slice(at ? at + 1 : 0, Math.floor((at + word.length) * 4 / 3)));

const marks = new Map();
function marksOf(tenant) {
    if (!marks.has(tenant)) {
        marks.set(tenant, {
            words: [tenant.word, Buffer.from(tenant.word).toString('hex'), ...inBase64(tenant.word)],
            number: new RegExp(`(?<![0-9a-z])${tenant.digits}0\\d{5}(?![0-9a-z])`, 'i'),
        });
    }
    return marks.get(tenant);
}

/** The first mark of `tenant` in a text: plain, in hexadecimal, in base64; a number also inside of what base64 holds. */
export function markIn(text, tenant) {
    const { words, number } = marksOf(tenant);
    const plain = text.replace(/<\/?(?:b|mark|em)>/g, '').toLowerCase();
    const word = words.find((mark, i) => (i < 2 ? plain : text).includes(mark));
    if (word) return word;
    const hit = number.exec(text)?.[0];
    if (hit) return hit;
    for (const [run] of text.matchAll(/[\w+/-]{24,}/g)) {
        const inside = number.exec(Buffer.from(run, 'base64').toString('latin1'))?.[0];
        if (inside) return inside;
    }
    return undefined;
}

/** What the answer to a caller holds of others; `asked` is what the request itself said, which may come back. */
export function leakIn(caller, answer, asked = []) {
    let text = `${answer.head}\n${answer.body}`;
    for (const value of asked) {
        for (const form of [value, encodeURIComponent(value), JSON.stringify(value).slice(1, -1)]) text = text.replaceAll(form, '');
    }
    for (const tenant of caller.denied) {
        const mark = markIn(text, tenant);
        if (mark) return mark;
    }
    return undefined;
}

export const describe = (caller, { method = 'GET', path: target, headers, body }, answer) =>
    `${caller.name}: ${method} ${target} ${headers ? JSON.stringify(headers) : ''} ${body === undefined ? '' : JSON.stringify(body).slice(0, 300)}\n`
    + `    ${answer ? `${answer.head}${answer.body.slice(0, 600)}` : ''}`;
