// SPDX-License-Identifier: Apache-2.0
// The museum (tests/e2e/rest/schema.sql) in a PostgreSQL of its own, and hasten's PostgREST dialect and
// PostgREST itself in front of it, each from the same options of PostgREST.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Hasten, SECRET } from './hasten.mjs';
import { Pg } from './pg.mjs';
import { Postgrest, REST_OPTIONS } from './postgrest.mjs';
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

/** The options of PostgREST as hasten's own. */
export function restConfig(pg, options = {}) {
    const all = { ...REST_OPTIONS, ...options };
    const settings = Object.entries(all).filter(([name]) => name.startsWith('app.settings.'));
    return {
        'database.url': pg.url({ user: 'authenticator' }),
        'database.schemas': list(all['db-schemas']),
        'database.catalog.poll': '200ms',
        'auth.jwt.secret': SECRET,
        'auth.jwt.audience': all['jwt-aud'],
        'auth.jwt.role_claim': all['jwt-role-claim-key'],
        'auth.jwt.claims': 'postgrest',
        'auth.roles': ['*'],
        'auth.anonymous_role': all['db-anon-role'],
        'rest.enabled': true,
        'rest.path': BASE,
        'rest.tx_end': all['db-tx-end'],
        'rest.max_rows': all['db-max-rows'],
        'rest.plan_enabled': all['db-plan-enabled'],
        'rest.aggregates_enabled': all['db-aggregates-enabled'],
        'rest.extra_search_path': list(all['db-extra-search-path']),
        'rest.pre_request': all['db-pre-request'],
        'rest.openapi': all['openapi-mode'],
        'rest.settings': settings.length ? settings.map(([name, value]) => `${name}=${value}`) : undefined,
        'server.answer.max': '16MiB',
    };
}

/** hasten with these options of PostgREST: {url (of the dialect), stop()}. */
export async function startRest(pg, options = {}) {
    if (SELF) return Postgrest.start(pg, options);
    const config = Object.fromEntries(Object.entries(restConfig(pg, options)).filter(([, value]) => value !== undefined));
    const hasten = await Hasten.start(config);
    return { url: hasten.url + BASE, hasten, stop: () => hasten.stop() };
}
