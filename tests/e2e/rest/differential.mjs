// SPDX-License-Identifier: Apache-2.0
// Asks two servers the same and says what differs. A case is [what, 'METHOD /path', expected, options]:
//
//   expected  what PostgREST 12 answers: a status, or the code of an error; says that the case shows what it claims
//   as        'author' (default, as ann), 'keeper', 'anon'; 'nobody' sends no token of ours
//   prefer, accept, headers, body (an object becomes JSON), type (of the body)
//   only      'head': status and type alone; 'openapi': what the root tells; 'cors': status and Access-Control-*
//   noTx      a write without `tx=rollback`

import { SECRET } from '../harness/hasten.mjs';
import { sign } from '../harness/jwt.mjs';
import { canonical } from './json.mjs';

const TOKENS = {
    author: `Bearer ${sign({ role: 'author', sub: 'ann' }, SECRET)}`,
    keeper: `Bearer ${sign({ role: 'keeper', sub: 'kim' }, SECRET)}`,
};
const COMPARED = ['content-type', 'content-range', 'location', 'content-location', 'preference-applied', 'content-profile', 'allow', 'www-authenticate'];
const ERROR_FIELDS = ['code', 'message', 'details', 'hint'];
const WRITES = /^(POST|PUT|PATCH|DELETE)$/;

export const nameOf = ([what, request]) => `${what}: ${request}`;

/** The request of a case as fetch() takes it. */
function build([, request, , options = {}]) {
    const [method, target] = [request.slice(0, request.indexOf(' ')), request.slice(request.indexOf(' ') + 1)];
    const { as = 'author', prefer = [], accept, headers = {}, body, type, noTx } = options;
    const all = { ...headers };
    if (TOKENS[as]) all.authorization = TOKENS[as];
    if (accept) all.accept = accept;
    const wishes = [prefer, WRITES.test(method) && !noTx ? 'tx=rollback' : []].flat();
    if (wishes.length) all.prefer = wishes.join(', ');
    const isText = typeof body === 'string' || Buffer.isBuffer(body);
    const bytes = body === undefined || isText ? body : JSON.stringify(body);
    if (bytes !== undefined) all['content-type'] = type ?? 'application/json';
    // fetch() writes a type of its own for a text, none for bytes.
    const payload = bytes === undefined ? undefined : Buffer.from(bytes);
    if (all['content-type'] === '') delete all['content-type'];
    return { method, target: target.replaceAll(' ', '%20'), headers: all, body: payload };
}

/** The answer of the server at `base`: {status, headers, text, bytes}. */
export async function ask(base, row) {
    const { method, target, headers, body } = build(row);
    const answer = await fetch(base + target, { method, headers, body, redirect: 'manual', signal: AbortSignal.timeout(60_000) });
    const bytes = Buffer.from(await answer.arrayBuffer());
    return { status: answer.status, headers: answer.headers, bytes, text: bytes.toString('utf8') };
}

export const isJson = (answer) => /\bjson\b/.test(answer.headers.get('content-type') ?? '');

/** The parsed error of an answer, or undefined. */
export function errorOf(answer) {
    if (answer.status < 300 || !isJson(answer)) return undefined;
    try {
        const body = JSON.parse(answer.text);
        return body && typeof body === 'object' && 'code' in body ? body : undefined;
    } catch {
        return undefined;
    }
}

/** Why the oracle's answer is not what the case says, or undefined. */
export function surprise([, , expected], answer) {
    if (typeof expected === 'number') {
        return answer.status === expected ? undefined : `status ${answer.status}, not ${expected}: ${answer.text.slice(0, 300)}`;
    }
    const code = errorOf(answer)?.code;
    return code === expected ? undefined : `code ${code} (status ${answer.status}), not ${expected}: ${answer.text.slice(0, 300)}`;
}

/** What of an OpenAPI document says what can be done, line by line: methods of paths, typed columns of tables. */
function outline(text) {
    const { paths = {}, definitions = {} } = JSON.parse(text);
    return [
        ...Object.entries(paths).flatMap(([name, item]) => Object.keys(item).filter((key) => key !== 'parameters').map((method) => `${method} ${name}`)),
        ...Object.entries(definitions).flatMap(([name, { properties = {}, required = [] }]) => [
            `${name} requires ${[...required].sort()}`,
            ...Object.entries(properties).map(([key, { type, format, enum: words, default: value }]) => `${name}.${key} ${JSON.stringify({ type, format, words, value })}`),
        ]),
    ];
}

function bodiesDiffer(row, theirs, ours) {
    const [, request, , { only } = {}] = row;
    if (only === 'head' || only === 'cors') return [];
    if (only === 'openapi' && theirs.status === 200 && ours.status === 200) {
        const [a, b] = [outline(theirs.text), outline(ours.text)];
        return [...a.filter((line) => !b.includes(line)).map((line) => ({ what: 'openapi', theirs: line, ours: null })),
            ...b.filter((line) => !a.includes(line)).map((line) => ({ what: 'openapi', theirs: null, ours: line }))];
    }
    if (theirs.bytes.equals(ours.bytes)) return [];
    const [theirError, ourError] = [errorOf(theirs), errorOf(ours)];
    if (theirError && ourError) {
        return [...new Set([...ERROR_FIELDS, ...Object.keys(theirError), ...Object.keys(ourError)])]
            .filter((key) => JSON.stringify(theirError[key]) !== JSON.stringify(ourError[key]))
            .map((key) => ({ what: `error.${key}`, theirs: theirError[key], ours: ourError[key] }));
    }
    const free = { unordered: !/[?&]order=/.test(request), unorderedInside: !/[?&][^=&]+\.order=/.test(request) };
    if (isJson(theirs) && isJson(ours)) {
        try {
            if (canonical(theirs.text, free) === canonical(ours.text, free)) return [];
            if (canonical(theirs.text, { ...free, keys: true }) === canonical(ours.text, { ...free, keys: true })) {
                return [{ what: 'keys', theirs: theirs.text, ours: ours.text }];
            }
        } catch {
            // One of them is no JSON: the texts say it.
        }
    }
    return [{ what: 'body', theirs: theirs.text, ours: ours.text }];
}

/** [{what, theirs, ours}]: status, `header.x`, `error.x`, `keys` (their order alone), `body`, `openapi`. */
export function differences(row, theirs, ours) {
    const { only } = row[3] ?? {};
    const found = [];
    if (theirs.status !== ours.status) found.push({ what: 'status', theirs: theirs.status, ours: ours.status });
    // What a function set; hasten has headers of its own beside them.
    const own = [...theirs.headers.keys()].filter((name) => name.startsWith('x-') || name === 'cache-control');
    const names = only === 'head' ? ['content-type'] : only === 'cors' ? ['access-control-allow-origin', 'access-control-allow-methods',
        'access-control-allow-headers', 'access-control-allow-credentials', 'access-control-max-age'] : [...COMPARED, ...own];
    for (const name of names) {
        const [a, b] = [theirs.headers.get(name), ours.headers.get(name)];
        if (a !== b) found.push({ what: `header.${name}`, theirs: a, ours: b });
    }
    return [...found, ...bodiesDiffer(row, theirs, ours)];
}
