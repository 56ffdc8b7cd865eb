// SPDX-License-Identifier: Apache-2.0
// sqlmap over what the demo serves: every place of a request whose text ends up near a statement. Fails
// when sqlmap finds an injection, when it could not test a place, and when hasten answered with a 5xx.
//
// The first target is a server that pastes its argument into a statement over the same database: if
// sqlmap did not find that one, its silence about the others would mean nothing.
//
// usage: node tests/security/sqlmap.mjs [--all] [name...]     (./dev sqlmap)
//   --all    every boundary and payload (level 5, risk 3), for a release; else level 2, risk 1
//   name     only targets whose name contains it

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { promisify } from 'node:util';
import { hasten, hastenBin } from '../e2e/harness/hasten.mjs';
import { ROOT, dataRoot, spawnServer, tempDir, waitUntil } from '../e2e/harness/util.mjs';

const run = promisify(execFile);
const APP = path.join(ROOT, 'examples/clients-plus');
const COMPANY = 7;
const REST = '/rest/v1';
const AT_ONCE = 2;
const OUTPUT_MAX = 64 << 20;

const all = process.argv.includes('--all');
const wanted = process.argv.slice(2).filter((word) => word !== '--all');
const EFFORT = all ? ['--level=5', '--risk=3'] : ['--level=2', '--risk=1'];

// Its verdict, not its suspicions on the way, of which it drops most itself.
const FOUND = /identified the following injection point|is vulnerable/;
// What makes it look less closely: an answer that changes by itself, and what it took for a hit at first.
const BLUNTED = /target URL content is not stable|false positive or unexploitable/;
const CLEAN = /all tested parameters do not appear to be injectable/;
const JSON_TYPE = 'Content-Type: application/json';

/**
 * `*` marks the place that sqlmap replaces; what stands before it is a value that works: the request
 * without the mark must get `status`, or success.
 */
function targets(client) {
    const list = (name, query) => ({ name: `list ${name}`, path: `/clients?${query}` });
    const write = (name, method, where, body, headers = [], status = undefined) => ({
        name: `write ${name}`, method, path: where, status, headers: [JSON_TYPE, ...headers],
        data: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return [
        list('filter of text', 'status=ACTIVE*&limit=2'),
        list('filter of number', 'id=11*&limit=2'),
        list('filter with operator', 'createdAt[gte]=2021-01-01*&limit=2'),
        list('operator', 'createdAt[gte*]=2021-01-01&limit=2'),
        list('column', 'status*=ACTIVE&limit=2'),
        list('in', 'id[in]=11,18*&limit=2'),
        list('like', 'lastName[ilike]=p%25*&limit=2'),
        list('null', 'notes[null]=true*&limit=2'),
        list('search', 'search=anna*&limit=2'),
        list('rank', 'search=anna&sort=-_rank*&limit=2'),
        list('highlight', 'search=anna&highlight=notes*&limit=2'),
        list('search language', 'search=anna&searchLang=simple*&limit=2'),
        list('highlighted words', 'search=anna*&highlight=notes,lastName&sort=-_rank&limit=2'),
        list('sort', 'sort=-createdAt*&limit=2'),
        list('order', 'order=desc*&limit=2'),
        list('fields', 'fields=id,firstName*&limit=2'),
        list('include', 'include=company*&limit=2'),
        list('count', 'count=exact*&limit=2'),
        list('limit', 'limit=2*'),
        list('page', 'page=2*&limit=2'),
        list('cursor', 'limit=2&cursor=CURSOR*'),
        { name: 'list search over columns', path: '/staff?search=anna*&limit=2' },
        { name: 'list table', path: '/clients*?limit=2' },
        { name: 'row id', path: `/clients/${client}*` },
        { name: 'row fields', path: `/clients/${client}?fields=id*` },
        { name: 'header X-Request-Id', path: `/clients/${client}`, headers: ['X-Request-Id: a1*'] },
        { name: 'header Authorization', path: `/clients/${client}`, headers: ['Authorization: Bearer a.b.c*'], status: 401 },
        write('insert text', 'POST', '/clients?fields=companyId', { companyId: COMPANY, firstName: 'a*', lastName: 'b' }),
        write('insert number', 'POST', '/clients?fields=companyId', { companyId: '7*', firstName: 'a', lastName: 'b' }),
        write('insert member', 'POST', '/clients?fields=companyId', { companyId: COMPANY, firstName: 'a', 'lastName*': 'b' }),
        write('insert many', 'POST', '/clients?fields=companyId', [{ companyId: COMPANY, firstName: 'a', lastName: 'b*' }]),
        write('insert array', 'POST', '/clients?fields=tags', { companyId: COMPANY, firstName: 'a', lastName: 'b', tags: ['x*'] }),
        write('fields', 'POST', '/clients?fields=companyId*', { companyId: COMPANY, firstName: 'a', lastName: 'b' }),
        write('patch row', 'PATCH', `/clients/${client}?fields=id`, { notes: 'n*' }),
        write('patch id', 'PATCH', `/clients/${client}*?fields=id`, { notes: 'n' }),
        write('patch filter', 'PATCH', `/clients?id=${client}&status=ACTIVE*&fields=id`, { notes: 'n' }),
        write('patch many', 'PATCH', '/clients?fields=id', [{ id: `${client}*`, notes: 'n' }]),
        write('idempotency key', 'PATCH', `/clients/${client}?fields=id`, { notes: 'n' }, ['Idempotency-Key: k*']),
        write('if-match', 'PATCH', `/clients/${client}?fields=id`, { notes: 'n' }, ['If-Match: "k*"'], 412),
        { name: 'write delete filter', method: 'DELETE', path: '/clients?id=99999999&status=ACTIVE*&fields=id' },
        write('batch path', 'POST', '/batch', [{ path: '/api/v1/clients?status=ACTIVE*&limit=1' }]),
        write('batch body', 'POST', '/batch',
            [{ method: 'PATCH', path: `/api/v1/clients/${client}?return=minimal`, body: { notes: 'n*' } }]),
        write('batch transaction', 'POST', '/batch', { transaction: true, requests: [{ method: 'PATCH', path: `/api/v1/clients/${client}?return=minimal`, body: { notes: 'n*' } }] }),
        write('batch transaction path', 'POST', '/batch', { transaction: true, requests: [{ path: '/api/v1/clients?status=ACTIVE*&limit=1' }] }),
        { name: 'query text', path: '/q/search-clients?q=anna*&limit=1' },
        { name: 'query number', path: '/q/search-clients?q=anna&limit=1*' },
        { name: 'query date', path: '/q/dashboard-metrics?day=2026-06-30*' },
        { name: 'query name', path: '/q/dashboard-metrics*?day=2026-06-30' },
        ...restTargets(client),
    ];
}

/** The same of PostgREST's dialect: every place of its grammar, and of its headers that say something about SQL. */
function restTargets(client) {
    const read = (name, query, headers = []) => ({ name: `rest ${name}`, base: REST, path: `/clients?${query}`, headers });
    const write = (name, method, query, body, prefer = 'return=representation', type = JSON_TYPE) => ({
        name: `rest ${name}`, base: REST, method, path: `/clients?${query}`, headers: [type, `Prefer: ${prefer}`],
        data: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const row = { company_id: COMPANY, first_name: 'a', last_name: 'b' };
    return [
        read('filter', 'status=eq.ACTIVE*&limit=2&select=id'),
        read('filter of number', 'id=gte.11*&limit=2&select=id'),
        read('operator', 'created_at=gte*.2021-01-01&limit=2&select=id'),
        read('column', 'status*=eq.ACTIVE&limit=2&select=id'),
        read('in', 'id=in.(11,18*)&limit=2&select=id'),
        read('any', 'last_name=ilike(any*).{p%25,s%25}&limit=2&select=id'),
        read('full text', 'search=wfts(simple*).anna&limit=2&select=id'),
        read('full text words', 'search=wfts(simple).anna*&limit=2&select=id'),
        read('regular expression', 'last_name=match.^P*&limit=2&select=id'),
        read('tree', 'or=(status.eq.ACTIVE*,id.lt.20)&limit=2&select=id'),
        read('select', 'select=id,first_name*&limit=2'),
        read('alias', 'select=id,given*:first_name&limit=2'),
        read('cast', 'select=id::text*&limit=2'),
        read('embed', 'select=id,companies*(name)&limit=2'),
        read('hint', 'select=id,companies!clients_company_id_fkey*(name)&limit=2'),
        read('filter of an embed', 'select=id,companies(name)&companies.name=neq.x*&limit=2'),
        read('json path', 'select=id,companies(settings->>reminderHours*)&limit=2'),
        read('order', 'order=created_at.desc*&limit=2&select=id'),
        read('limit', 'limit=2*&select=id'),
        read('offset', 'offset=1*&limit=2&select=id'),
        read('Range', 'select=id', ['Range: 0-1*']),
        read('Prefer', 'select=id&limit=2', ['Prefer: count=exact*']),
        read('timezone', 'select=id&limit=2', ['Prefer: timezone=Europe/Berlin*']),
        read('Accept-Profile', 'select=id&limit=2', ['Accept-Profile: api*']),
        { name: 'rest table', base: REST, path: '/clients*?limit=2&select=id' },
        write('insert', 'POST', 'select=company_id', { ...row, notes: 'n*' }),
        write('insert many', 'POST', 'select=company_id', [{ ...row, last_name: 'b*' }]),
        write('insert member', 'POST', 'select=company_id', { ...row, 'notes*': 'n' }),
        write('columns', 'POST', 'select=company_id&columns=company_id,first_name,last_name*', [row]),
        write('on_conflict', 'POST', 'select=id&on_conflict=id*', { ...row, id: client }, 'return=representation,resolution=merge-duplicates'),
        write('csv', 'POST', 'select=company_id', `company_id,first_name,last_name\n${COMPANY},a,b*\n`, 'return=representation', 'Content-Type: text/csv'),
        write('form', 'POST', 'select=company_id', `company_id=${COMPANY}&first_name=a&last_name=b*`, 'return=representation', 'Content-Type: application/x-www-form-urlencoded'),
        write('patch', 'PATCH', `id=eq.${client}&select=id`, { notes: 'n*' }),
        write('patch filter', 'PATCH', `id=eq.${client}*&select=id`, { notes: 'n' }),
        write('delete', 'DELETE', 'id=eq.99999999*&select=id', ''),
        { name: 'rest call argument', base: REST, path: '/rpc/find_clients?word=anna*&most=2' },
        { name: 'rest call number', base: REST, path: '/rpc/find_clients?word=anna&most=2*' },
        { name: 'rest call filter', base: REST, path: '/rpc/find_clients?word=anna&most=2&status=eq.ACTIVE*&select=id' },
        { name: 'rest call name', base: REST, path: '/rpc/find_clients*?word=anna&most=2' },
        { name: 'rest call body', base: REST, method: 'POST', path: '/rpc/find_clients', headers: [JSON_TYPE], data: JSON.stringify({ word: 'anna*', most: 2 }) },
    ];
}

// A function to call: the example application has none.
const FUNCTION = `CREATE FUNCTION api.find_clients(word text, most integer) RETURNS SETOF api.clients LANGUAGE sql STABLE
    AS 'SELECT * FROM api.clients c WHERE c.last_name ILIKE word LIMIT most'; NOTIFY pgrst, 'reload schema'`;

/** {url, data}: the demo, over a folder that goes away with this process. */
async function startDemo() {
    const folder = tempDir('sqlmap', dataRoot);
    const log = path.join(folder, 'log');
    const data = path.join(folder, 'data');
    fs.chmodSync(folder, 0o755);
    const child = spawnServer(hastenBin(), ['demo', '--app', APP, '--data', data, '--port', '0', '--seed-scale', '0.1'],
        // A batch's answer names the headers of its parts: with a cache it is another one each time (hit or miss, position),
        // and sqlmap looks less closely at what changes by itself. The statements are the same.
        { log, deathSignal: 'TERM', env: { ...process.env, HASTEN_CACHE_ENABLED: 'false' } });
    const said = () => fs.readFileSync(log, 'utf8');
    await waitUntil(() => /what is served here/.test(said()) || child.exitCode !== null,
        { timeout: 120_000, what: 'the demo to be up' });
    assert.equal(child.exitCode, null, said());
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(said())[0];
    await run(hastenBin(), ['psql', '--app', APP, '--data', data, '--', '-c', FUNCTION]);
    await waitUntil(async () => (await fetch(`${url}${REST}/rpc/find_clients?word=x&most=1`)).ok, { what: 'the function to be known' });
    return { url, data, child };
}

/** What must be found: a path pasted into a statement, with PostgreSQL's error for an answer. */
async function startVictim(data) {
    const server = http.createServer(async (req, res) => {
        const id = new URL(req.url, 'http://x').searchParams.get('id');
        const psql = ['psql', '--app', APP, '--data', data, '--', '-At', '-c', `SELECT first_name FROM api.clients WHERE id = ${id}`];
        const { stdout, stderr } = await run(hastenBin(), psql).catch((error) => error);
        res.writeHead(stderr ? 500 : 200, { 'Content-Type': 'text/plain' }).end(stdout + stderr);
    });
    await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return server;
}

/** What sqlmap prints about one target. */
async function sqlmap(url, { method = 'GET', headers = [], data }, effort = EFFORT) {
    const output = tempDir('sqlmap');
    const args = ['-u', url, '--batch', '--dbms=PostgreSQL', '--flush-session', '--disable-coloring', '--skip-waf',
        '--ignore-code=401', `--method=${method}`, `--headers=${headers.join('\n')}`, `--output-dir=${output}`, ...effort];
    if (data !== undefined) args.push(`--data=${data}`);
    const child = run('sqlmap', args, { maxBuffer: OUTPUT_MAX }).catch((error) => error);
    child.child?.stdin.end();
    const { stdout, stderr } = await child;
    fs.rmSync(output, { recursive: true, force: true });
    return `${stdout}${stderr}`;
}

/** undefined = nothing was found, else what is wrong. */
function fault(said) {
    const codes = /HTTP error codes? detected during run:\n(.*)/.exec(said)?.[1] ?? '';
    if (FOUND.test(said)) return 'an injection';
    if (!CLEAN.test(said)) return 'sqlmap could not test it';
    if (BLUNTED.test(said)) return 'sqlmap was misled and stopped early';
    return /\b5\d\d \(/.test(codes) ? `answers of hasten's own fault: ${codes}` : undefined;
}

/** A request that fails already without sqlmap's text would prove little. */
async function checkMark(url, { name, method, headers, data, status }) {
    const plain = (text) => text?.replaceAll('*', '');
    const fields = headers.map((header) => plain(header).split(/: (.*)/).slice(0, 2));
    const got = await fetch(plain(url), { method, headers: fields, body: plain(data) });
    const text = await got.text();
    assert.ok(status ? got.status === status : got.ok, `${name} without the mark: ${got.status} ${text}`);
}

async function check(demo, token, target) {
    const began = performance.now();
    const headers = target.headers ?? [];
    if (!headers.some((header) => /^Authorization:/.test(header))) headers.unshift(`Authorization: Bearer ${token}`);
    const url = `${demo.url}${target.base ?? '/api/v1'}${target.path}`;
    await checkMark(url, { ...target, headers });
    const said = await sqlmap(url, { ...target, headers });
    const wrong = fault(said);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`${wrong ? 'FAIL' : 'ok  '} ${target.name.padEnd(28)} ${seconds.padStart(6)} s${wrong ? `  ${wrong}` : ''}`);
    if (wrong) console.log(said.replace(/^/gm, '    '));
    return !wrong;
}

async function main() {
    const demo = await startDemo();
    const { stdout } = await hasten(['token', '--data', demo.data, '--role', 'member', '--claim', `company_id=${COMPANY}`]);
    const token = stdout.trim();
    const victim = await startVictim(demo.data);
    const control = await sqlmap(`http://127.0.0.1:${victim.address().port}/?id=1*`, {}, ['--level=1', '--technique=E']);
    victim.close();
    assert.match(control, FOUND, `sqlmap does not find what is there to be found:\n${control}`);
    console.log('ok   it finds an injection where there is one');

    const page = await (await fetch(`${demo.url}/api/v1/clients?limit=2`, { headers: { Authorization: `Bearer ${token}` } })).json();
    const queue = targets(page.data[0].id).filter(({ name }) => !wanted.length || wanted.some((word) => name.includes(word)));
    for (const target of queue) target.path = target.path.replace('CURSOR', page.pagination.nextCursor);
    assert.ok(queue.length, `no target matches ${wanted}`);

    let good = true;
    const next = queue.values();
    const worker = async () => {
        for (const target of next) good = await check(demo, token, target) && good;
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    assert.equal(demo.child.exitCode, null, 'hasten did not live to see the end');
    process.exitCode = good ? 0 : 1;
}

await main();
