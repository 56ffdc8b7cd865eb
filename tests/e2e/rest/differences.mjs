// SPDX-License-Identifier: Apache-2.0
// Every difference between hasten and PostgREST 12.0.2 that the tests accept. A difference that no row
// explains is a failure; so is a row that no case of 80-rest-oracle.test.mjs shows.
//
//   name    in failures
//   since   the version of PostgREST that made the change hasten follows; none: hasten's own
//   why     one sentence for the page
//   shows   (difference, {row, theirs, ours, was, is}) => does this row explain it? `was` and `is` are the
//           two errors, {} where an answer is none
//
// usage: node tests/e2e/rest/differences.mjs > docs/reference/postgrest-differences.md

import { CHANGES, NOT_FOLLOWED } from './changes.mjs';
import { BASE } from '../harness/rest.mjs';
import { errorOf } from './differential.mjs';
import { canonical } from './json.mjs';

const isError = ({ what }) => what.startsWith('error.') || what === 'body';
/** CSV as rows of fields (RFC 4180). */
const fields = (text) => text.match(/("([^"]|"")*"|[^,\n]*)(,|\n|$)/g).map((field) => field.replace(/[,\n]$/, ''));
/** A field of CSV; JSON, whose backslashes PostgreSQL doubles in the text of a row, in one spelling. */
function plain(field) {
    try {
        return canonical(field.replace(/^"|"$/g, '').replaceAll('""', '"').replaceAll('\\\\', '\\'), { keys: true });
    } catch {
        return field;
    }
}
const address = (text) => decodeURI(text).split(/[?&]/).sort().join();
const sameAddress = (a, b) => address(a) === address(b);
const isTable = ({ headers }) => /csv/.test(headers.get('content-type'));
const sameTable = (a, b) => isTable(a) && isTable(b) && fields(a.text).map(plain).join('\n') === fields(b.text).map(plain).join('\n');
/** JSON without members that are null or an empty array, rows in one order. */
function emptied(text) {
    try {
        const bare = canonical(text, { keys: true }).replaceAll('[]', 'null').replaceAll(/"\w+":null,?/g, '').replaceAll(',}', '}');
        return canonical(bare, { unordered: true, unorderedInside: true });
    } catch {
        return text;
    }
}
const rows = (answer) => isTable(answer) ? fields(answer.text).map(plain).map(emptied).map((field) => field === 'null' ? '' : field).join('\n') : emptied(answer.text);
const dense = (text) => text?.replaceAll(/([:,]) /g, '$1');
const unqualified = (text) => text.replaceAll(/\b(museum|pg_catalog)\./g, '');
const request = ({ row }) => row[1];
/** The code became another one: all of the error may differ. */
const became = (from, to) => (difference, { was, is }) => was.code === from && is.code === to
    && (isError(difference) || difference.what === 'status' || difference.what === 'header.www-authenticate');
/** The code stayed, and with it these fields differ. */
const reworded = (code, fields, test = () => true) => (difference, at) => at.was.code === code && at.is.code === code
    && fields.includes(difference.what) && test(difference, at);
const status = (code, from, to) => (difference, { was, is }) => difference.what === 'status' && code.test(is.code ?? '') && was.code === is.code
    && difference.theirs === from && difference.ours === to;

export const DIFFERENCES = [
    { name: 'unknown table', since: '13.0.0', why: 'an unknown table is `PGRST205`',
        shows: (d, at) => at.is.code === 'PGRST205' && (at.was.code === '42P01' || at.theirs.status === 404) && (isError(d) || d.what === 'header.content-type') },
    { name: 'not acceptable', since: '12.0.3', why: 'a media type that cannot be given is 406', shows: status(/^PGRST107$/, 415, 406) },
    { name: 'not one object', since: '13.0.0', why: 'the message of `PGRST116`',
        shows: reworded('PGRST116', ['error.message'], ({ ours }) => ours === 'Cannot coerce the result to a single JSON object') },
    { name: 'unknown schema', since: '13.0.7', why: 'message and hint of `PGRST106`',
        shows: reworded('PGRST106', ['error.message', 'error.hint'], ({ ours }) => /^Invalid schema: |^Only the following schemas are exposed: /.test(ours)) },
    { name: 'unknown column of a write', since: '12.0.3', why: 'the message of `PGRST204`',
        shows: reworded('PGRST204', ['error.message'], ({ ours }) => /^Could not find the '.*' column of '.*' in the schema cache$/.test(ours)) },
    { name: 'unknown path', since: '13.0.0', why: '`PGRST125`', shows: (d, at) => at.is.code === 'PGRST125' && at.theirs.status === 404 && d.what !== 'status' },
    { name: 'the root while it is off', since: '13.0.0', why: '`PGRST126`', shows: (d, at) => at.is.code === 'PGRST126' && at.theirs.status === 404 && d.what !== 'status' },
    { name: 'claims of a token', since: '13.0.0', why: '`PGRST303`, and what is wrong', shows: became('PGRST301', 'PGRST303') },
    { name: 'unreadable token', since: '13.0.0', why: 'message, details and challenge of `PGRST301`',
        shows: reworded('PGRST301', ['error.message', 'error.details', 'header.www-authenticate']) },
    { name: 'statuses of SQLSTATEs', since: '12.2.0', why: '21000, 42P17, 53400 and 54* are 500',
        shows: (d, at) => d.what === 'status' && /^(21000|42P17|53400|54...)$/.test(at.is.code) && d.ours === 500 },
    { name: 'RAISE PGRST', since: '12.2.0', why: '`PGRST121` says what could not be read', shows: reworded('PGRST121', ['error.message', 'error.details', 'error.hint']) },
    { name: 'unselected columns of a function', since: '13.0.0', why: 'a function\'s rows are filtered and ordered by all its columns',
        shows: (d, at) => at.was.code === '42703' && at.ours.status === 200 && / \/rpc\//.test(request(at)) },
    { name: 'JSON arguments by GET', since: '13.0.0', why: 'an argument of type json in a query string is read as JSON, not as a text of it',
        shows: (d, at) => d.what === 'body' && /^GET \/rpc\/.*=(\{|\[)/.test(request(at)) && at.ours.status === 200 && /^"string/.test(at.theirs.text) },
    { name: 'unknown timezone', since: '16.0', why: 'fails, also leniently', shows: (d, at) => at.is.code === '22023' && /timezone/.test(at.row[3]?.prefer ?? '') },
    { name: 'is.not_null', since: '13.0.0', why: 'is understood', shows: (d, at) => at.was.code === 'PGRST100' && at.ours.status === 200 && /is\.not_null/.test(request(at)) },
    { name: 'full text of a text', since: '13.0.0', why: 'the configuration is applied to the column, too',
        shows: (d, at) => /(blurb|id)=(not\.)?(fts|plfts|phfts|wfts)[.(]/.test(request(at)) && d.what !== 'status' && at.is.code === at.was.code },
    { name: 'spread of many', since: '13.0.0', why: 'gives arrays', shows: (d, at) => at.was.code === 'PGRST119' && at.ours.status === 200 },
    { name: 'order of a write', since: '13.0.0', why: '`order` is that of what comes back',
        shows: (d, at) => d.what === 'body' && /^(POST|PATCH|DELETE|PUT) .*[?&]order=/.test(request(at)) && at.theirs.status === at.ours.status },
    { name: 'limited updates', since: '13.0.0', why: '`limit` does not limit what is changed', shows: (d, at) => /^PATCH .*[?&]limit=/.test(request(at)) },
    { name: 'max-affected', since: '12.2.0', why: 'is understood', shows: became('PGRST122', 'PGRST124') },
    { name: 'what an update returns', since: '14.4', why: 'all rows that it changed',
        shows: (d, at) => /^(PATCH|DELETE) .*[?&](e\d+\.)?(not\.)?(or|and)=/.test(request(at)) && at.ours.status === 200 },
    { name: 'empty embeds', since: '12.2.2', why: 'an embed whose embeds are all empty is left out',
        shows: (d, at) => d.what === 'body' && /\w\(\w+\(\)\)/.test(request(at)) },
    { name: 'an empty token', since: '13.0.0', why: '`Bearer` without a token is `PGRST301`', shows: (d, at) => at.is.code === 'PGRST301' && /^Bearer ?$/.test(at.row[3]?.headers?.authorization ?? '') },
    { name: 'type of an error', since: '12.0.3', why: 'is JSON alone, also where one object was wanted',
        shows: (d) => d.what === 'header.content-type' && d.theirs === `${d.ours}, application/vnd.pgrst.object+json; charset=utf-8` },
    { name: 'GET of functions that write', since: '13.0.5', why: 'OpenAPI has no GET of a volatile function', shows: (d) => d.what === 'openapi' && /^get \/rpc\//.test(d.theirs ?? '') },
    { name: 'hints', since: '14.6', why: 'only names that are 75 % alike are proposed',
        shows: (d, at) => d.what === 'error.hint' && d.ours === null && /^Perhaps you meant/.test(d.theirs ?? '') && /^PGRST20[02]$/.test(at.is.code) },

    { name: 'grammar', why: '`message` and `details` of `PGRST100` (what cannot be read of a query string) are hasten\'s own words; PostgREST shows those of its parser',
        shows: reworded('PGRST100', ['error.message', 'error.details', 'error.hint']) },
    { name: 'Content-Location', why: 'a read has no `Content-Location`, which nothing documents, clients do not read, and proxies would have to rewrite',
        shows: (d) => d.what === 'header.content-location' && d.ours === null },
    { name: 'base path', why: `\`Location\` is a path that leads there, with \`rest.path\` (${BASE}) in front and encoded, the key in its order; PostgREST's knows no base path`,
        shows: (d) => d.what === 'header.location' && d.ours !== null && sameAddress(d.ours, `${BASE}${d.theirs}`) },
    { name: 'broken JSON', why: '`details` of `PGRST102` says where the JSON is broken', shows: (d, at) => d.what === 'error.details' && at.is.code === 'PGRST102' && at.was.code === 'PGRST102' && d.theirs === null },
    { name: 'CSV of a write', why: 'CSV of what was written has its columns in the order of `select`; PostgREST has them in an order of its own',
        shows: (d, at) => d.what === 'body' && !/^(GET|HEAD) /.test(request(at)) && isTable(at.ours) && isTable(at.theirs)
            && [...fields(at.ours.text)].sort().join() === [...fields(at.theirs.text)].sort().join() },
    { name: 'keys of embedded objects', why: 'embedded objects have their keys in the order of `select`; PostgREST has them by length, as jsonb keeps them',
        shows: (d) => d.what === 'keys' },
    { name: 'not UTF-8', why: 'a query string that is not UTF-8, or holds the character NUL, is the client\'s error: 400 `PGRST100`; PostgREST answers 500 without JSON, or finds nothing',
        shows: (d, at) => at.is.code === 'PGRST100' && /%ff|%00/.test(request(at)) },
    { name: 'order by what is not selected', why: 'rows can be ordered by any column of an embedded table, and aggregates by a JSON path that is selected; PostgREST gives PostgreSQL\'s 42703 or 42803',
        shows: (d, at) => /^42(703|803)$/.test(at.was.code) && at.ours.status === 200 && /order=(\w+\(|meta->)/.test(request(at)) },
    { name: 'spread of nothing', why: 'a spread without columns, `...table()`, adds nothing; PostgREST gives PostgreSQL\'s 42601', shows: (d, at) => at.was.code === '42601' && at.ours.status === 200 },
    { name: 'JSON in CSV', why: 'JSON in CSV has no white space, and its keys in the order of `select`', shows: (d, at) => d.what === 'body' && sameTable(at.theirs, at.ours) },
    { name: 'GeoJSON', why: 'GeoJSON in a database without PostGIS is a media type that cannot be given (406); PostgREST shows that a function is missing',
        shows: became('42883', 'PGRST107') },
    { name: 'roles', why: 'a role of a token that does not exist, or that `auth.roles` does not let in, is refused before PostgreSQL is asked: 403 `42501`; PostgREST shows what PostgreSQL says of it (401, 403)',
        shows: (d, at) => at.is.code === '42501' && at.is.message === 'the token\'s role may not be used here' },
    { name: 'another scheme', why: '`Authorization` with another scheme than Bearer is refused (401 `PGRST301`); PostgREST takes the caller for anybody',
        shows: (d, at) => at.is.code === 'PGRST301' && /^Basic /.test(at.row[3]?.headers?.authorization ?? '') },
    { name: 'index at the end of an embed', why: 'a number at the end of a JSON path is an index in an embed, too; PostgREST takes it for a key there',
        shows: (d, at) => d.what === 'body' && at.ours.status === 200 && /->>?-?\d+\)/.test(request(at)) },
    { name: 'embeds of a missing row', why: 'where the row of a spread is missing, what is embedded in it is an empty array; PostgREST has null there',
        shows: (d, at) => /^(body|keys)$/.test(d.what) && at.ours.status < 300 && /\.\.\.\w+(!\w+)*\([^()]*\(/.test(request(at)) && rows(at.theirs) === rows(at.ours) },
    { name: 'type of 416', why: 'the error of 416 is called JSON, which it is; PostgREST calls it the type that was asked for',
        shows: (d, at) => d.what === 'header.content-type' && at.is.code === 'PGRST103' && at.theirs.status === 416 },
    { name: 'count of inner embeds', why: 'a count counts the rows that are found; that of PostgREST takes no notice of `limit` and `offset` inside `!inner` embeds',
        shows: (d, at) => /^(status|header\.content-range)$/.test(d.what) && /!inner/.test(request(at)) && /\w\.(limit|offset)=/.test(request(at)) && /count=exact/.test(at.row[3]?.prefer ?? '') },
    { name: 'a wrong value for no row', why: 'a PATCH with a value that its column does not take is refused, also where it finds no row; PostgREST looks at the value with the first row',
        shows: (d, at) => /^PATCH /.test(request(at)) && /^(22...|23514)$/.test(at.is.code ?? '') && at.theirs.status < 300 && /^(\[\])?$/.test(at.theirs.text) },
    { name: 'limit zero', why: '`limit=0` with an offset finds nothing; PostgREST answers 416', shows: (d, at) => at.theirs.status === 416 && /[?&]limit=0&offset=/.test(request(at)) },
    { name: 'casts', why: 'a cast that is no name of a type is 42704 (no such type), where PostgREST can give PostgreSQL\'s 42601', shows: (d, at) => at.was.code === '42601' && at.is.code === '42704' },
    { name: 'preflight', why: 'a preflight is answered with the headers it asks for as it wrote them', shows: (d) => d.what === 'header.access-control-allow-headers' && dense(d.theirs) === dense(d.ours) },
    { name: 'columns of a call', why: 'a column that the rows of a function do not have is told with their table\'s name (`works.nosuch`) where PostgREST has `pgrst_call.nosuch`',
        shows: reworded('42703', ['error.message'], ({ theirs }) => theirs.startsWith('column pgrst_call.')) },
    { name: 'qualified names', why: 'types and functions in PostgreSQL\'s messages have their schema in front where they are not in `search_path`',
        shows: (d) => d.what === 'error.message' && typeof d.ours === 'string' && d.ours !== d.theirs && unqualified(d.ours) === unqualified(d.theirs) },
];

/** The names of the rows that explain `difference`. */
export function claim(difference, { row, theirs, ours }) {
    const at = { row, theirs, ours, was: errorOf(theirs) ?? {}, is: errorOf(ours) ?? {} };
    return DIFFERENCES.filter(({ shows }) => shows(difference, at)).map(({ name }) => name);
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** The text of docs/reference/postgrest-differences.md. */
export function page() {
    const own = DIFFERENCES.filter(({ since }) => !since).map(({ why }) => `- ${capital(why)}.`);
    return `# What differs from PostgREST
The [PostgREST dialect](postgrest.md) follows the newest PostgREST (16). Its tests ask PostgREST 12.0.2 and hasten the
same thousands of times, since that is the newest binary npm has, and accept no difference that is not on this page; the
tests read the same table (\`tests/e2e/rest/differences.mjs\`), and fail when something here is no longer true.

## hasten's own
${own.join('\n')}

## Not followed
${NOT_FOLLOWED.map((what) => `- ${what}.`).join('\n')}

## Newer than 12.0.2
What PostgREST has changed since for its clients, and hasten follows; the number is that of the change in its change log.

| since | what | change |
|---|---|---|
${CHANGES.map(([version, what, source]) => `| ${version} | ${what} | ${source} |`).join('\n')}
`;
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) process.stdout.write(page());
