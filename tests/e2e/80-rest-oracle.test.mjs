// SPDX-License-Identifier: Apache-2.0
// The PostgREST dialect beside PostgREST itself, 12.0.2: each case is asked of both on one database, and
// what differs has to be a row of rest/differences.mjs. A row that no case shows fails, too.
//
// HASTEN_REST_REPORT=file writes what failed there, one case after the other, to be worked through.

import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Postgrest } from './harness/postgrest.mjs';
import { SELF, startDropIn, startMuseum, startRest } from './harness/rest.mjs';
import { ROOT } from './harness/util.mjs';
import { embed } from './rest/cases/embed.mjs';
import { filters } from './rest/cases/filters.mjs';
import { configured, http } from './rest/cases/http.mjs';
import { rpc } from './rest/cases/rpc.mjs';
import { select } from './rest/cases/select.mjs';
import { write } from './rest/cases/write.mjs';
import { ask, differences, nameOf, surprise } from './rest/differential.mjs';
import { DIFFERENCES, claim, page } from './rest/differences.mjs';

const GROUPS = { filters, select, embed, write, rpc, http };
const REPORT = process.env.HASTEN_REST_REPORT;
const shown = new Set();
let pg;

before(async () => {
    pg = await startMuseum();
    if (REPORT) writeFileSync(REPORT, '');
});
after(() => pg?.close());

const short = (value) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value) ?? 'nothing';
    return text.length > 500 ? `${text.slice(0, 500)} …` : text;
};

async function compare(row, oracle, rest) {
    const theirs = await ask(oracle.url, row);
    const wrong = surprise(row, theirs);
    if (wrong) return [`PostgREST says otherwise: ${wrong}`];
    const ours = await ask(rest.url, row).catch((error) => error);
    if (ours instanceof Error) return [`no answer: ${ours.cause?.message ?? ours.message}`];
    return differences(row, theirs, ours).flatMap((difference) => {
        const names = claim(difference, { row, theirs, ours });
        for (const name of names) shown.add(name);
        return names.length ? [] : [`${difference.what}\n      PostgREST ${short(difference.theirs)}\n      hasten    ${short(difference.ours)}`];
    });
}

async function runAll(rows, oracle, rest) {
    const failed = [];
    for (const row of rows) {
        const found = await compare(row, oracle, rest);
        if (found.length) failed.push(`- ${nameOf(row)}\n    ${found.join('\n    ')}`);
    }
    if (REPORT && failed.length) appendFileSync(REPORT, `${failed.join('\n')}\n`);
    assert.equal(failed.length, 0, `${failed.length} of ${rows.length} cases:\n${failed.join('\n')}`);
}

const withBoth = async (config, start, fn) => {
    const oracle = await Postgrest.start(pg, config);
    try {
        const rest = await start(pg, config);
        try {
            await fn(oracle, rest);
        } finally {
            await rest.stop();
        }
    } finally {
        await oracle.stop();
    }
};

test('the cases of one configuration', async (t) => {
    await withBoth({}, startRest, async (oracle, rest) => {
        for (const [name, rows] of Object.entries(GROUPS)) await t.test(name, () => runAll(rows, oracle, rest));
    });
});

for (const { config, cases } of configured) {
    test(`in PostgREST's place, with ${JSON.stringify(config)}`, () => withBoth(config, startDropIn, (oracle, rest) => runAll(cases, oracle, rest)));
}

test('each case has a name of its own', () => {
    const names = [...Object.values(GROUPS).flat(), ...configured.flatMap(({ cases }) => cases)].map(nameOf);
    const twice = names.filter((name, i) => names.indexOf(name) !== i);
    assert.deepEqual(twice, []);
});

test('each difference that is told of is there', { skip: SELF && 'PostgREST does not differ from itself' }, () => {
    const gone = DIFFERENCES.map(({ name }) => name).filter((name) => !shown.has(name));
    assert.deepEqual(gone, [], 'rows of rest/differences.mjs that no case shows');
});

test('the page of differences is made from the table', () => {
    assert.equal(readFileSync(path.join(ROOT, 'docs/reference/postgrest-differences.md'), 'utf8'), page(),
        'node tests/e2e/rest/differences.mjs > docs/reference/postgrest-differences.md');
});
