// SPDX-License-Identifier: Apache-2.0
// The proof can fail: with one guard of the cache left out, in a build that allows it (-Dunguard=true), the guard's own
// unit test fails, and under the kind of traffic and fault that the guard is there for the history checker finds a
// wrong answer.
//
// usage: node tests/chaos/coherence-guards.mjs [--seconds N] [--seed N] [--full]
//   --seconds              at most four times that for each guard under traffic, twenty times with --full; most are
//                          found within seconds
//   --full                 also the scenarios that need luck
//   HASTEN_TEST_GUARDS=a,b only these
//   HASTEN_UNGUARD_BIN     that build; `./dev chaos` makes it

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { ROOT, random, sleep } from '../e2e/harness/util.mjs';
import { Faults } from './lib/faults.mjs';
import { chaosArguments } from './lib/readers.mjs';
import { Traffic } from './lib/traffic.mjs';
import { World } from './lib/world.mjs';

const SOME = ['update', 'bulk', 'insert', 'remove'];
const UNIT_MS = 120_000;         // one that goes wrong may wait for ever
const SLOW_QUERY_MS = 8;        // a read that is under way for so long meets a write
const PLAIN = { http: [], sql: SOME };

/** One fault again and again, with time to fill the cache between. */
const again = (name) => async ({ all, faults }) => {
    await faults.settle();
    await all[name]();
    await faults.nodesAnswer();
    await faults.settle();
    await faults.world.recover();
};
const delayFeeds = (ms) => ({ world }) => world.feeds.forEach((proxy) => proxy.delay(ms));
const delayFeed = (node, ms) => ({ world }) => world.feeds[node].delay(ms);
const slowQueries = ({ world }) => world.pool.delay(SLOW_QUERY_MS);

/** COMMITs hang, flushed and not visible, while a node starts. */
async function startAmongHangingCommits({ world, faults, rng }) {
    const node = world.nodes[faults.aNode()];
    await node.kill9();
    const hanging = faults.synchronous('nobody', 1500);
    await sleep(rng.between(50, 300));
    await node.spawn({ env: world.env });
    await hanging;
    await faults.settle();
    await world.recover();
}

/** Transactions that wrote before the publication is made commit after it. */
async function publishAmongWriters({ world, faults }) {
    for (const node of world.nodes) await node.kill9();
    await world.pg.sql('DROP PUBLICATION IF EXISTS hasten');
    for (const node of world.nodes) await node.spawn({ env: world.env });
    await sleep(2500);
    await faults.nodesAnswer();
    await world.recover();
}

/** While it stands still it is asked; when it goes on it must know how late it is. */
async function stopAndAsk({ world, traffic, faults }) {
    const index = faults.aNode();
    world.nodes[index].signal('SIGSTOP');
    await sleep(2000);
    traffic.ask(index, 64);
    await sleep(100);
    world.nodes[index].signal('SIGCONT');
    await sleep(1000);
}

// Of each guard: the program of unit tests, and the test in it that fails without the guard.
const UNIT = {
    stamp_plus_one: 'pg_pgoutput test_transaction',
    fence_visibility: 'core_fence test_next',
    fence_before_query: 'cache_flight test_born_invalid',
    snapshot_xmax: 'core_fence test_finished',
    flight_rule: 'cache_flight test_flight_rule',
    join_barrier: 'cache_flight test_join_barrier',
    required_position: 'cache_state barriers',
    stamps_before_position: 'cache_state hits',
    check_order: 'cache_store test_check_order',
    insert_lsn_token: 'pg_position test_asynchronous_commit',
    token_check: 'cache_state barriers',
    proof_of_freshness: 'cache_rule times',
    proof_insert_lsn: 'pg_feed test_asynchronous_commit',
    proof_sample_time: 'pg_feed test_proof_time',
    real_clock: 'net_loop test_clock',
    shape_floor: 'cache_state shapes_are_born',
    shape_unknown: 'cache_shared unknown_shape',
    shape_boundary: 'cache_state shapes_are_born',
    l2_floor: 'cache_rule entries',
    first_fence: 'core_fence test_next',
    first_fence_xid: 'pg_feed test_first_fence',
    epoch: 'cache_state epochs',
    fill_epoch: 'cache_flight test_fill_epoch',
    conn_epoch: 'cache_flight test_epochs',
    position_epoch: 'cache_state foreign_barriers',
    restart_epoch: 'pg_epoch test_number',
    old_values_fallback: 'cache_state default_identity',
    companion_tag: 'cache_state companion_is_learnt',
    narrow_tags: 'cache_state full_identity',
    truncate_floor: 'cache_state truncate',
    whole_key_compare: 'cache_store test_whole_key_compare',
    claims_in_key: 'api_key test_written',
    table_floor: 'cache_state truncate',
    publication_drain: 'pg_feed test_drain',
    catalog_poll: 'cache_rule times',
    catalog_gen_before: 'cache_flight test_catalog_gen_before',
};

// Guards of the design whose mechanism is not there, so that there is nothing to leave out.
const ABSENT = {
    stream_shape_floor: 'transactions are decoded when they have committed: no streaming',
    composite_recheck: 'no answer is assembled from kept parts',
    composite_proof: 'no answer is assembled from kept parts',
    live_after_fence: 'no live queries',
    replica_fence: 'nothing is read from replicas',
    replica_token: 'nothing is read from replicas',
};

// Under traffic: how the world begins, what happens in it again and again (`act`); `also`: a guard that hides it
// and is left out with it; `rare`: the scenario needs luck, and what it does not find is no fault.
const SCENARIOS = {
    required_position: { begin: delayFeeds(300), config: { 'cache.write_wait': '0s' }, kinds: { http: SOME, sql: [] } },
    token_check: { begin: delayFeed(1, 300), kinds: { http: SOME, sql: [] } },
    fence_visibility: { act: ({ faults }) => faults.synchronous('nobody', 400).then(() => faults.settle()), kinds: PLAIN },
    fence_before_query: { begin: slowQueries },
    flight_rule: { rare: true, begin: slowQueries, hot: 1 },
    join_barrier: { rare: true, hot: 1, begin: (context) => (slowQueries(context), delayFeeds(300)(context)), config: { 'cache.write_wait': '0s' } },
    proof_of_freshness: { also: 'catalog_poll', act: again('feedPaused'), kinds: PLAIN },
    proof_sample_time: { rare: true, begin: delayFeeds(450), kinds: PLAIN },
    proof_insert_lsn: { settings: { wal_writer_delay: '10s', wal_writer_flush_after: '1GB' }, kinds: PLAIN, async: 1 },
    real_clock: { rare: true, act: stopAndAsk, kinds: PLAIN },
    old_values_fallback: { kinds: { http: ['update'], sql: ['move', 'update', 'bulk'] } },
    truncate_floor: { rare: true, ratio: 4000, kinds: { http: [], sql: ['memo', 'truncate'] } },
    claims_in_key: {},
    stamps_before_position: { rare: true, kinds: { http: ['bulk', 'insertMany'], sql: ['several', 'bulk', 'large'] } },
    publication_drain: { rare: true, act: publishAmongWriters, kinds: { http: [], sql: ['lingering'] } },
    first_fence: { rare: true, act: startAmongHangingCommits, kinds: PLAIN },
    first_fence_xid: { rare: true, act: startAmongHangingCommits, kinds: PLAIN },
    shape_floor: { rare: true, act: again('hastenKilled') },
    epoch: { rare: true, also: 'l2_floor', act: again('restored') },
    position_epoch: { rare: true, act: again('restored'), config: { 'cache.write_wait': '0s' } },
    restart_epoch: { rare: true, also: 'l2_floor', act: again('restored') },
    conn_epoch: { rare: true, act: again('promotedBehind') },
    fill_epoch: { rare: true, begin: slowQueries, act: again('restored') },
};

const { seconds, seed, full } = chaosArguments('coherence-guards');
if (!process.env.HASTEN_UNGUARD_BIN) throw new Error('HASTEN_UNGUARD_BIN is not set; `./dev chaos guards` sets it');
process.env.HASTEN_BIN = process.env.HASTEN_UNGUARD_BIN;
const BUILD = path.dirname(process.env.HASTEN_UNGUARD_BIN);
const run = promisify(execFile);

/** The names of all guards in the source. */
function guardsInSource() {
    const found = new Set();
    for (const file of fs.readdirSync(path.join(ROOT, 'src'), { recursive: true })) {
        if (!/\.[ch]$/.test(file) || file.endsWith('core/guard.h')) continue;
        for (const [, name] of fs.readFileSync(path.join(ROOT, 'src', file), 'utf8').matchAll(/HS_GUARD\((\w+)\)/g)) found.add(name);
    }
    return found;
}

// ---- unit tests ----

/** What one unit test says, with that guard left out ('': none): 'passes', 'fails', or what else happened. */
async function unitTest(place, guard) {
    const [program, test] = place.split(' ');
    const { stdout, stderr } = await run(path.join(BUILD, 'tests', `test_${program}`), {
        cwd: ROOT, env: { ...process.env, HASTEN_UNGUARD: guard, TEST_ONLY: test }, timeout: UNIT_MS, killSignal: 'SIGKILL',
        maxBuffer: 1 << 26,
    }).catch((error) => error);
    const said = `${stdout}${stderr}`;
    if (said.includes(`[  FAILED  ] ${test}\n`)) return 'fails';
    return said.includes(`[       OK ] ${test}\n`) ? 'passes' : `said: ${said.slice(-300)}`;
}

/** Lines that say which of these guards their unit tests do not prove. */
async function proveByUnitTests(names) {
    const faults = [];
    const left = [...names];
    const prove = async (name) => {
        const whole = await unitTest(UNIT[name], '');
        const without = await unitTest(UNIT[name], name);
        if (whole !== 'passes') faults.push(`${name}: its unit test ${UNIT[name]}, with the guard, ${whole}`);
        else if (without !== 'fails') faults.push(`${name}: its unit test ${UNIT[name]}, without the guard, ${without}`);
    };
    const worker = async () => {
        while (left.length) await prove(left.shift());
    };
    await run('ninja', ['-C', BUILD, ...new Set(names.map((name) => `tests/test_${UNIT[name].split(' ')[0]}`))], { maxBuffer: 1 << 26 });
    await Promise.all(Array.from({ length: availableParallelism() }, worker));
    return faults;
}

// ---- under traffic ----

/** Without the guard: {seconds, reads, found: [lines of a violation]}. */
async function observe(name, guard, most) {
    const chance = random(seed);
    const world = await World.start({ rng: chance, seed, proxied: true, settings: guard.settings, config: {
        'database.pool.acquire_timeout': '2s', 'database.pool.retry_max': '500ms', ...guard.config,
    }, env: { HASTEN_UNGUARD: [name, guard.also].filter(Boolean).join() } });
    world.isFaulty = true;
    const traffic = Traffic.start(world, { kinds: guard.kinds, async: guard.async, ratio: guard.ratio, hot: guard.hot });
    const faults = new Faults(world, traffic, chance, 1500);
    const context = { world, traffic, faults, all: faults.all(), rng: chance };
    const began = performance.now();
    const isOver = () => world.judge.total > 0 || performance.now() - began > most * 1000;
    await sleep(500);
    guard.begin?.(context);
    while (!isOver()) await (guard.act ?? (() => sleep(50)))(context);
    const took = (performance.now() - began) / 1000;
    for (const proxy of [world.pool, ...world.feeds]) proxy.heal();
    await traffic.end();
    await world.close();
    return { seconds: took, reads: world.judge.reads, counts: world.judge.counts, found: world.judge.violations[0] };
}

/** True: the checker found a wrong answer without the guard. */
async function isFoundUnderTraffic(name) {
    const { seconds: took, reads, counts, found } = await observe(name, SCENARIOS[name], (full ? 20 : 4) * seconds);
    const isFound = counts.stale + counts.unread + counts.foreign + counts.wrong > 0;
    console.log(`  ${name}: ${isFound ? 'found' : 'NOT FOUND'} after ${took.toFixed(1)} s, ${reads} reads${found ? `: ${found[0]}` : ''}`);
    return isFound;
}

const inSource = guardsInSource();
const isWanted = (name) => process.env.HASTEN_TEST_GUARDS?.split(',').includes(name) ?? true;
const faults = [
    ...[...inSource].filter((name) => !UNIT[name]).map((name) => `${name}: no unit test proves it`),
    ...[...Object.keys(UNIT), ...Object.keys(SCENARIOS)].filter((name) => !inSource.has(name)).map((name) => `${name}: src/ has no such guard`),
    ...Object.keys(ABSENT).filter((name) => inSource.has(name)).map((name) => `${name}: src/ has it, so it is not absent`),
];
const proven = Object.keys(UNIT).filter((name) => inSource.has(name) && isWanted(name));
const unproven = await proveByUnitTests(proven);
console.log(`  by unit tests: ${proven.length - unproven.length} of ${proven.length}`);
const watched = Object.keys(SCENARIOS).filter((name) => isWanted(name) && (full || !SCENARIOS[name].rare));
let found = 0;
for (const name of watched) {
    if (await isFoundUnderTraffic(name)) found++;
    else if (!SCENARIOS[name].rare) faults.push(`${name}: left out, and not found under traffic`);
}
faults.push(...unproven);
console.log(`coherence-guards: ${proven.length - unproven.length} of ${proven.length} guards proven by their unit tests, ` +
    `${found} of ${watched.length} under traffic; ${Object.keys(ABSENT).length} have nothing to guard yet; seed ${seed}`);
for (const line of faults) console.log(`  ${line}`);
if (faults.length) process.exitCode = 1;
