// SPDX-License-Identifier: Apache-2.0
// Rules that a script cannot check are wishes; these it can. Prints one line
// for each breach, `file:line: what, and what to do`, and fails if there is any.
//
//   layers      who may include whom, and which folder owns which library
//   headers     each compiles alone
//   banned      functions that are unsafe, or belong to one place
//   size        files of at most 800 lines, functions of at most 70
//   text        no TODO, a licence line in each file, no word about one machine
//   codes       each error code is raised somewhere, and some test meets it
//
// usage: node tests/tidy/tidy.mjs [rule...]

import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const ROOT = process.env.TIDY_ROOT ?? path.resolve(import.meta.dirname, '../..');
const FILE_LINES_MAX = 800;
const FUNCTION_LINES_MAX = 70;

// A folder includes rows below its own. Folders of one row do not know each other.
const ROWS = {
    core: 0, conf: 1, net: 1, http: 2, cache: 3, pg: 3, edge: 4,
    api: 5, proxy: 5, realtime: 5, jobs: 5, observe: 5, load: 5, rest: 6, cmd: 7,
};
const DISPATCHER = 8;       // src/main.c

// Arrows that break the row rule, each with the reason why: 'from/file.c -> to/file.h': 'reason'.
const EXCEPTIONS = {};

// A library's header is included by one folder.
const LIBRARIES = [
    [/^(uv\.h|uv\/|curl\/|openssl\/|wslay\/|hiredis\/)/, 'net'],
    [/^(libpq-fe\.h|libpq\/|postgres|pg_config|pg_query\.h)/, 'pg'],
    [/^(yaml\.h)/, 'conf'],
    [/^(nghttp2\/|libdeflate\.h|brotli\/|zstd)/, 'http'],
];

const BANNED = {
    strcpy: 'hs_str or memcpy with a length', strcat: 'hs_buf', strncpy: 'hs_str', strncat: 'hs_buf',
    stpcpy: 'memcpy with a length', sprintf: 'hs_buf or snprintf', vsprintf: 'hs_buf or vsnprintf',
    strtok: 'hs_str', strtok_r: 'hs_str', gets: 'nothing', atoi: 'a parser with errors', atol: 'a parser with errors',
    atoll: 'a parser with errors', atof: 'a parser with errors', gmtime: 'gmtime_r', localtime: 'localtime_r',
    ctime: 'core/time.h', asctime: 'core/time.h', rand: 'core/rng.h', srand: 'core/rng.h', random: 'core/rng.h',
    alloca: 'an arena', setjmp: 'a status', longjmp: 'a status', tmpnam: 'mkstemp', mktemp: 'mkstemp', system: 'posix_spawn',
    popen: 'posix_spawn', gethostbyname: 'uv_getaddrinfo',
};
const HEAP = ['malloc', 'calloc', 'realloc', 'reallocarray', 'free', 'strdup', 'strndup', 'asprintf', 'vasprintf',
    'posix_memalign', 'aligned_alloc'];
// Time and chance are arguments there, so that a test runs days in milliseconds and a failure is a seed.
const PURE = new Set(['cache', 'edge', 'jobs']);
const IMPURE = ['clock_gettime', 'gettimeofday', 'time', 'getrandom', 'getentropy', 'hs_now', 'uv_hrtime'];

const LEAKS = [
    [/\/work\/(main|shared|brief)|\/root\//, 'a path of one machine'],
    [/\/home\/[a-z]+\//, 'a path of one machine'],
    [/registry\.npmjs|registry\.yarnpkg|deb\.debian\.org|pypi\.org|proxy\.golang|crates\.io/, 'the host of a package registry'],
    [/\bbrief\.md\b|\bissue ?#?\d+\b|\bissues show\b|\bsub-?agent\b/i, 'the way of work'],
];

const breaches = [];
const breach = (file, line, text) => breaches.push(`${file}:${line}: ${text}`);
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');

function* walk(folder) {
    const full = path.join(ROOT, folder);
    if (!fs.existsSync(full)) return;
    for (const entry of fs.readdirSync(full, { withFileTypes: true })) {
        if (['node_modules', 'corpus', 'crashes'].includes(entry.name)) continue;
        const file = path.posix.join(folder, entry.name);
        if (entry.isDirectory()) yield* walk(file);
        else if (entry.isFile()) yield file;
    }
}

/** Blanks comments and literals, keeping every line where it is. */
function codeOnly(text) {
    return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g,
        (match) => match.replace(/[^\n]/g, ' '));
}

const lineAt = (text, index) => text.slice(0, index).split('\n').length;

// ---- layers ----------------------------------------------------------------

function includesOf(file) {
    const found = [];
    read(file).split('\n').forEach((line, i) => {
        const match = /^\s*#\s*include\s+([<"])([^>"]+)[>"]/.exec(line);
        if (match) found.push({ line: i + 1, name: match[2], quoted: match[1] === '"' });
    });
    return found;
}

function checkArrow(file, { line, name }) {
    const from = file.split('/')[1], to = name.split('/')[0];
    const row = file === 'src/main.c' ? DISPATCHER : ROWS[from];
    if (EXCEPTIONS[`${file.slice(4)} -> ${name}`] !== undefined) return;
    if (row === undefined) breach(file, line, `src/${from}/ is in no row of the layer table`);
    else if (ROWS[to] === undefined) breach(file, line, `"${name}" is not written from src/ (known folder first)`);
    else if (from === to) return;
    else if (row === DISPATCHER && to !== 'cmd' && to !== 'core') breach(file, line, `main.c -> ${to}: it only dispatches to cmd/`);
    else if (ROWS[to] > row) breach(file, line, `${from} -> ${to} points upwards (row ${row} -> ${ROWS[to]}): declare a vtable, fill it in cmd/`);
    else if (ROWS[to] === row) breach(file, line, `${from} -> ${to}: siblings of row ${row} meet through a vtable, filled in cmd/`);
    else if (/_int\.h$/.test(name)) breach(file, line, `"${name}" is private to src/${to}/`);
}

function layers(sources) {
    for (const file of sources) {
        const folder = file.split('/')[1];
        for (const include of includesOf(file)) {
            if (include.quoted && include.name.includes('/')) checkArrow(file, include);
            else if (include.quoted && !/\.(def|inc)$|^version\.h$|^config\.h$/.test(include.name)) {
                breach(file, include.line, `"${include.name}": write it from src/, as "folder/file.h"`);
            }
            const library = LIBRARIES.find(([pattern]) => pattern.test(include.name));
            if (!include.quoted && library && library[1] !== folder) {
                breach(file, include.line, `<${include.name}> belongs to src/${library[1]}/ alone`);
            }
        }
    }
}

// ---- headers ---------------------------------------------------------------

/** The text of a file and of all that it includes from src/. */
function closure(file, seen = new Set()) {
    if (seen.has(file) || !fs.existsSync(path.join(ROOT, file))) return '';
    seen.add(file);
    return read(file) + includesOf(file).filter(({ quoted }) => quoted)
        .map(({ name }) => closure(name.includes('/') ? `src/${name}` : path.posix.join(path.posix.dirname(file), name), seen)).join('');
}

function compilerFlags() {
    const libraries = ['libuv', 'libpq', 'openssl', 'jansson', 'yaml-0.1', 'libxxhash'];
    const found = execFileSync('pkg-config', ['--cflags', ...libraries], { encoding: 'utf8' }).trim().split(/\s+/).filter(Boolean);
    return ['-fsyntax-only', '-std=c17', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-Wno-pragma-once-outside-header',
        '-Isrc', '-Ibuild', ...found];
}

function compileAlone(header, flags) {
    return new Promise((resolve) => {
        const gcc = execFile('gcc', [...flags, '-x', 'c', '-'], { cwd: ROOT }, (error, _, stderr) => resolve(error ? stderr : ''));
        gcc.stdin.on('error', () => {});
        gcc.stdin.end(`#include "${header.slice(4)}"\n`);
    });
}

/** What compiled once is not compiled again until it, or what it includes, changes. */
async function headers(sources) {
    const flags = compilerFlags();
    const memory = path.join(ROOT, '.cache/tidy.json');
    const known = new Set(fs.existsSync(memory) ? JSON.parse(fs.readFileSync(memory, 'utf8')) : []);
    const good = [];
    const queue = sources.filter((file) => file.endsWith('.h'));
    const worker = async () => {
        for (let header = queue.pop(); header; header = queue.pop()) {
            const sum = createHash('sha256').update(flags.join(' ') + closure(header)).digest('hex');
            const complaint = known.has(sum) ? '' : await compileAlone(header, flags);
            if (!complaint) good.push(sum);
            else breach(header, 1, `does not compile alone: ${complaint.split('\n').find((line) => /error/.test(line)) ?? complaint}`);
        }
    };
    await Promise.all(Array.from({ length: os.availableParallelism() }, worker));
    fs.mkdirSync(path.dirname(memory), { recursive: true });
    fs.writeFileSync(memory, JSON.stringify(good));
}

// ---- banned functions ------------------------------------------------------

function reportCalls(file, code, names, why) {
    const pattern = new RegExp(`(?<![\\w.]|->|->\\s)\\b(${names.join('|')})\\s*\\(`, 'g');
    for (const match of code.matchAll(pattern)) breach(file, lineAt(code, match.index), `${match[1]}(): ${why(match[1])}`);
}

function banned(sources) {
    for (const file of sources) {
        const code = codeOnly(read(file));
        const folder = file.split('/')[1];
        reportCalls(file, code, Object.keys(BANNED), (name) => `banned; use ${BANNED[name]}`);
        if (folder !== 'core') reportCalls(file, code, HEAP, () => 'the heap is src/core\'s; use core/mem.h or an arena');
        if (PURE.has(folder)) reportCalls(file, code, IMPURE, () => `src/${folder}/ reads no clock and no chance; take it as an argument`);
    }
}

// ---- size ------------------------------------------------------------------

/** Functions open with a brace in column 0 (Linux style) and close with one. */
function functionSizes(file) {
    let began = 0;
    read(file).split('\n').forEach((line, i) => {
        if (line === '{') began = i + 1;
        if (line.startsWith('}') && began) {
            const lines = i + 2 - began;
            if (lines > FUNCTION_LINES_MAX) breach(file, began, `a function of ${lines} lines; at most ${FUNCTION_LINES_MAX}`);
            began = 0;
        }
    });
}

function size(files) {
    for (const file of files) {
        const lines = read(file).split('\n').length - 1;
        if (lines > FILE_LINES_MAX) breach(file, lines, `${lines} lines; at most ${FILE_LINES_MAX}: make two of it`);
        if (/\.[ch]$/.test(file)) functionSizes(file);
    }
}

// ---- text ------------------------------------------------------------------

function text(files, sources) {
    for (const file of files) {
        const content = read(file);
        if (content.includes('\0')) continue;
        if (sources.includes(file) && !content.split('\n', 3).some((line) => line.includes('SPDX-License-Identifier: Apache-2.0'))) {
            breach(file, 1, 'has no line `SPDX-License-Identifier: Apache-2.0` at its top');
        }
        content.split('\n').forEach((line, i) => {
            if (/\b(TODO|FIXME|XXX)\b/.test(line)) breach(file, i + 1, 'unfinished work is not committed (TODO, FIXME, XXX)');
            for (const [pattern, what] of LEAKS) {
                if (pattern.test(line)) breach(file, i + 1, `names ${what}: ${pattern.exec(line)[0]}`);
            }
        });
    }
}

// ---- error codes -----------------------------------------------------------

/** A comparison asks for a code that something else raised. A test names the code's constant or its public name, quoted. */
function codes(sources, tests) {
    const table = 'src/core/status.def';
    if (!fs.existsSync(path.join(ROOT, table))) return;
    const code = sources.map((file) => codeOnly(read(file))).join('\n');
    const tested = tests.map(read).join('\n');
    const rows = read(table);
    for (const { 1: name, 2: text, index } of rows.matchAll(/^HS_STATUS\((\w+), \d+, "(\w+)"/gm)) {
        if (!new RegExp(`(?<![=!]= |case )\\bHS_E_${name}\\b`).test(code)) {
            breach(table, lineAt(rows, index), `nothing raises HS_E_${name}: delete the row`);
        }
        if (!new RegExp(`\\bHS_E_${name}\\b|(["'\`])${text}\\1`).test(tested)) {
            breach(table, lineAt(rows, index), `no test meets HS_E_${name} or '${text}': write one that provokes it`);
        }
    }
}

// ---- all -------------------------------------------------------------------

const ownRules = (file) => !file.startsWith('tests/tidy/');
const inSrc = [...walk('src')].filter((file) => /\.[ch]$/.test(file));
const all = ['src', 'tests', 'sql', 'examples', 'docs', 'packaging', 'web', 'tools', '.ci'].flatMap((folder) => [...walk(folder)])
    .concat(fs.readdirSync(ROOT, { withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => entry.name))
    .filter((file) => !file.endsWith('package-lock.json'));
const inTests = all.filter((file) => /^tests\/(unit|e2e|chaos)\/.*\.(c|h|mjs)$/.test(file));
const isCode = (file) => /\.([ch]|def|mjs|js|sh|py)$|^dev$|^\.ci\/run$/.test(file);

const RULES = {
    layers: () => layers(inSrc),
    headers: () => headers(inSrc),
    banned: () => banned(inSrc),
    size: () => size(all.filter(isCode)),
    text: () => text(all.filter(ownRules), all.filter(isCode)),
    codes: () => codes(inSrc, inTests),
};

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(RULES);
for (const rule of wanted) {
    if (!RULES[rule]) throw new Error(`no such rule: ${rule}; there are ${Object.keys(RULES).join(', ')}`);
    await RULES[rule]();
}
for (const line of breaches.sort()) console.error(line);
console.log(`tidy: ${all.length} files, ${wanted.join(', ')}: ${breaches.length ? `${breaches.length} breaches` : 'clean'}`);
process.exitCode = breaches.length ? 1 : 0;
