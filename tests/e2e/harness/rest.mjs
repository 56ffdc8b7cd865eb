// SPDX-License-Identifier: Apache-2.0
// The museum (tests/e2e/rest/schema.sql) in a PostgreSQL of its own, and hasten's PostgREST dialect and
// PostgREST itself in front of it, each from the same options of PostgREST.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Hasten, SECRET } from './hasten.mjs';
import { Pg } from './pg.mjs';
import { Postgrest, REST_OPTIONS, postgrestConf } from './postgrest.mjs';
import { ROOT } from './util.mjs';

const SCHEMA = path.join(ROOT, 'tests/e2e/rest/schema.sql');

/** Where hasten's dialect lives. */
export const BASE = '/rest/v1';

/** With HASTEN_REST_SELF=1 PostgREST stands in for hasten: what fails then is wrong in the test. */
export const SELF = process.env.HASTEN_REST_SELF === '1';

/** PostgreSQL with the museum in database `postgres`. */
export async function startMuseum() {
    const pg = await Pg.start();
    await pg.psql(['-1', '-d', 'postgres', '-f', SCHEMA]);
    return pg;
}

const list = (text) => text.split(',').map((word) => word.trim());

/** hasten's own configuration for the museum, which says what REST_OPTIONS say. */
export const restConfig = (pg) => ({
    'database.url': pg.url({ user: 'authenticator' }),
    'database.schemas': list(REST_OPTIONS['db-schemas']),
    'database.catalog.poll': '200ms',
    'auth.jwt.secret': SECRET,
    'auth.jwt.claims': 'postgrest',
    'auth.roles': ['*'],
    'auth.anonymous_role': REST_OPTIONS['db-anon-role'],
    'rest.path': BASE,
    'rest.tx_end': REST_OPTIONS['db-tx-end'],
    'rest.plan_enabled': REST_OPTIONS['db-plan-enabled'],
    'rest.aggregates_enabled': REST_OPTIONS['db-aggregates-enabled'],
    'rest.extra_search_path': list(REST_OPTIONS['db-extra-search-path']),
});

/** hasten with its own configuration: {url (of the dialect), hasten, stop()}. */
export async function startRest(pg) {
    if (SELF) return Postgrest.start(pg);
    const hasten = await Hasten.start(restConfig(pg));
    return { url: hasten.url + BASE, hasten, stop: () => hasten.stop() };
}

/** hasten in PostgREST's place: its configuration file, `options` over REST_OPTIONS; tables at `/`. */
export async function startDropIn(pg, options = {}) {
    if (SELF) return Postgrest.start(pg, options);
    const text = postgrestConf({
        'db-uri': pg.url({ user: 'authenticator' }), 'db-pool': 4, 'server-host': '127.0.0.1', 'server-port': '{{port}}',
        ...REST_OPTIONS, ...options,
    });
    const hasten = await Hasten.start(text.replace('"{{port}}"', '{{port}}'), { flag: '--postgrest-conf' });
    return { url: hasten.url, hasten, stop: () => hasten.stop() };
}
