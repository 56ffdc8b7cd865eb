// SPDX-License-Identifier: Apache-2.0
// The judge must find what it is there for: histories made by hand, right ones and wrong ones.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Distribution, Judge, Scope } from './history.mjs';

const BOUND = 1000;
const question = { index: 0, path: '/rows', tables: ['rows'], render: ({ rows }) => `tenant 1: ${rows}` };
const owners = (text) => [...text.matchAll(/tenant \d+/g)].map(([name]) => name);

/** A tenant with state 0 = "a" and state 1 = "b", visible from some instant in [100, 110]. */
function history() {
    const judge = new Judge({ bound: BOUND, owners });
    const scope = new Scope('tenant 1', { rows: 'a' }, [question], 0);
    scope.begin({ rows: 'b' }, 'write b', 100);
    const commit = (node) => scope.commit(110, node);
    const read = (text, s, r, floor) => judge.answer({ scope, question, text: `tenant 1: ${text}`, s, r, floor });
    const faults = () => Object.entries(judge.counts).filter(([, n]) => n).map(([kind, n]) => `${kind} ${n}`).join();
    return { judge, scope, commit, read, faults };
}

test('an answer may be of any state that was current while the reader waited', () => {
    const { read, commit, judge, faults } = history();
    read('a', 50, 60);
    read('b', 50, 105);     // under way, and visible before its writer knows
    commit();
    read('a', 105, 106);
    read('b', 105, 106);
    read('b', 120, 121);
    assert.equal(faults(), '');
    assert.equal(judge.behind.max, 0);
    assert.equal(judge.reads, 5);
});

test('behind, but within the bound', () => {
    const { read, commit, judge, faults } = history();
    commit();
    read('a', 1110, 1111);
    assert.equal(faults(), '');
    assert.equal(judge.behind.max, 1000);
});

test('an answer that is stale by 1.5 s', () => {
    const { read, commit, judge, faults } = history();
    commit();
    read('a', 1610, 1611);
    assert.equal(faults(), 'stale 1');
    assert.equal(judge.total, 1);
    const text = judge.violations[0].join('\n');
    assert.match(text, /state 0, 1500\.0 ms behind/);
    assert.match(text, /by write b: tenant 1: b/);
});

test('how long the answer took does not excuse it', () => {
    const { read, commit, faults } = history();
    commit();
    read('a', 1610, 9000);
    assert.equal(faults(), 'stale 1');
});

test('a write that its node has forgotten', () => {
    const { scope, read, commit, faults } = history();
    commit(0);
    read('a', 111, 112, scope.floor(1));        // the other node: behind, within the bound
    assert.equal(faults(), '');
    read('b', 111, 112, scope.floor(0));
    assert.equal(faults(), '');
    read('a', 111, 112, scope.floor(0));
    assert.equal(faults(), 'unread 1');
});

test('a reader with a token', () => {
    const { read, commit, faults } = history();
    const token = commit(0);
    read('b', 111, 112, token);
    assert.equal(faults(), '');
    read('a', 111, 112, token);
    assert.equal(faults(), 'unread 1');
});

test('a row of another tenant', () => {
    const { judge, scope, faults } = history();
    judge.answer({ scope, question, text: 'tenant 2: a', s: 50, r: 60 });
    assert.equal(faults(), 'foreign 1');
});

test('an answer that never was', () => {
    const { read, faults } = history();
    read('ab', 50, 60);
    assert.equal(faults(), 'wrong 1');
});

test('the future', () => {
    const { read, faults } = history();
    read('b', 50, 60);
    assert.equal(faults(), 'wrong 1');
});

test('a transaction that came to nothing, seen and unseen', () => {
    for (const text of ['a', 'b']) {
        const { judge, scope, read, faults } = history();
        read(text, 101, 102);
        judge.aborted(scope);
        assert.equal(faults(), text === 'a' ? '' : 'dirty 1');
        read('b', 103, 104);
        assert.match(faults(), /wrong 1/);
    }
});

test('the same text twice is taken for the newer state', () => {
    const { scope, read, commit, judge, faults } = history();
    commit();
    scope.begin({ rows: 'a' }, 'write a again', 200);
    scope.commit(210);
    read('a', 5000, 5001);
    assert.equal(faults(), '');
    read('b', 5000, 5001);
    assert.equal(faults(), 'stale 1');
    assert.equal(judge.behind.max, 4790);
});

test('a question about other tables keeps its text', () => {
    let rendered = 0;
    const other = { index: 0, path: '/other', tables: ['other'], render: ({ other: text }) => `${text}${rendered++}` };
    const judge = new Judge({ bound: BOUND, owners });
    const scope = new Scope('tenant 1', { rows: 'a', other: 'x' }, [other], 0);
    judge.answer({ scope, question: other, text: 'x0', s: 1, r: 2 });
    scope.begin({ ...scope.content, rows: 'b' }, 'write b', 100);
    scope.commit(101);
    judge.answer({ scope, question: other, text: 'x0', s: 5000, r: 5001 });
    assert.equal(judge.total, 0);
    assert.equal(rendered, 1);
});

test('old states are forgotten, their numbers are not', () => {
    const { scope, commit, read, faults } = history();
    commit();
    for (let i = 1; i < 1000; i++) {
        scope.begin({ rows: `c${i}` }, 'write', i * 1000);
        scope.commit(i * 1000 + 1, 0);
    }
    assert.equal(scope.newest, 1000);
    assert.ok(scope.states.length < 100);
    read('c999', 999_500, 999_501, scope.floor(0));
    assert.equal(faults(), '');
    read('c990', 999_500, 999_501);
    assert.equal(faults(), 'stale 1');
    read('a', 999_500, 999_501);
    assert.equal(faults(), 'stale 1,wrong 1');
});

test('two writers at once are a fault of the test', () => {
    const { scope } = history();
    assert.throws(() => scope.begin({ rows: 'c' }, 'write c', 105), /two writers/);
});

test('percentiles', () => {
    const distribution = new Distribution();
    assert.equal(distribution.percentile(0.99), 0);
    for (let i = 0; i < 90; i++) distribution.add(0);
    for (let i = 1; i <= 10; i++) distribution.add(i);
    assert.equal(distribution.percentile(0.5), 0);
    assert.ok(distribution.percentile(0.95) >= 5 && distribution.percentile(0.95) < 6);
    assert.equal(distribution.percentile(1), 10);
    assert.equal(distribution.max, 10);
});
