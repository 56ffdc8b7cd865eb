// SPDX-License-Identifier: Apache-2.0
// What the database held when, and whether an answer fits it. Knows no HTTP and no SQL, reads no clock:
// times are arguments, in milliseconds of one monotonic clock.
//
// Scope     a set of rows that is written by one writer at a time and read as a whole: a tenant. Its states
//           are a list in commit order, whatever happens in other scopes meanwhile.
// State     {lo, hi, what, texts}: the commit became visible at some instant in [lo, hi]: lo is noted before
//           COMMIT is sent, hi after it was answered. hi = Infinity while it is under way.
// Answer    of question q, sent at s and come at r. It is fresh if its text is that of a state that may have been
//           current at some instant in [s, r]; else it is behind by s - (the latest instant at which its state
//           ceased to be current). So what is reported is what is proven: the truth is never less.
// Promises  an answer is never further behind than the bound; and never older than the state that the reader
//           was told of (`floor`): by a write through the same node, or by a token.

const KEEP_MS = 30_000;         // states older than that are forgotten, and
const KEEP_STATES = 8;          // this many are not, however old
const SHOWN_STATES = 6;
const SHOWN_CHARACTERS = 400, SHOWN_BEFORE = 60;

const cut = (text) => (text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text);

/** A text as it differs from another: from a little before the first difference. */
function difference(text, other) {
    if (text === other) return 'the answer';
    let at = 0;
    while (at < text.length && text[at] === other[at]) at++;
    at = Math.max(0, at - SHOWN_BEFORE);
    return `${at > 0 ? `(${at}) …` : ''}${cut(text.slice(at))}`;
}

/** How many values lie below each power of 2^(1/4), beside the exact maximum: percentiles in little memory. */
export class Distribution {
    constructor() {
        this.zero = this.count = this.max = 0;
        this.buckets = new Uint32Array(256);
    }

    add(value) {
        this.count++;
        if (value <= 0) {
            this.zero++;
            return;
        }
        this.max = Math.max(this.max, value);
        this.buckets[Math.min(255, Math.max(0, Math.ceil(4 * Math.log2(value)) + 80))]++;
    }

    /** Not less than the true percentile, and at most 19 % more. */
    percentile(p) {
        let left = p * this.count - this.zero;
        if (left <= 0) return 0;
        for (let i = 0; i < this.buckets.length; i++) {
            left -= this.buckets[i];
            if (left <= 0) return Math.min(this.max, 2 ** ((i - 80) / 4));
        }
        return this.max;
    }
}

export class Scope {
    /**
     * `content` is what the questions' render() takes; `now` is when it was there for certain. A question is
     * {index, path, tables: [names], render(content) -> text}; content is {name of a table: anything}.
     */
    constructor(name, content, questions, now) {
        this.name = name;
        this.questions = questions;
        this.first = 0;         // number of states[0]
        this.states = [{ lo: -Infinity, hi: now, what: 'beginning', content, texts: [], seen: false }];
        this.floors = [];       // by node: number of the newest state that its clients were told of
    }

    get newest() {
        return this.first + this.states.length - 1;
    }

    /** What the newest state holds. */
    get content() {
        return this.states.at(-1).content;
    }

    /** The same without what is under way. */
    get settled() {
        return this.states.at(this.states.at(-1).hi === Infinity ? -2 : -1).content;
    }

    /** A transaction's COMMIT is about to be sent; `content` shares the tables that it did not change. */
    begin(content, what, now) {
        const last = this.states.at(-1);
        if (last.hi === Infinity) throw new Error(`${this.name}: two writers at once`);
        const texts = this.questions.map(({ tables, index }) =>
            (tables.every((table) => content[table] === last.content[table]) ? last.texts[index] : undefined));
        this.states.push({ lo: now, hi: Infinity, what, content, texts, seen: false });
        this.#forget(now);
    }

    /** COMMIT was answered; `node`, if it went through one: its clients have been told. Returns the state's number. */
    commit(now, node) {
        this.states.at(-1).hi = now;
        if (node !== undefined) this.floors[node] = this.newest;
        return this.newest;
    }

    /** It did not happen. True: somebody has seen it all the same. */
    abort() {
        return this.states.pop().seen;
    }

    /** The oldest state that a reader through `node` may be shown from now on. */
    floor(node) {
        return this.floors[node] ?? 0;
    }

    text(i, question) {
        const state = this.states[i];
        return (state.texts[question.index] ??= question.render(state.content));
    }

    /**
     * Which state an answer is of, the newest that fits: its number, or -1. Marks a state that is under way as
     * seen if the answer can be of no other.
     */
    find(question, text, r) {
        for (let i = this.states.length - 1; i >= 0; i--) {
            if (this.states[i].lo > r || this.text(i, question) !== text) continue;
            if (i > 0 && this.text(i - 1, question) !== text) this.states[i].seen = true;
            return this.first + i;
        }
        return -1;
    }

    /** By how much a state was certainly no longer current at s; 0 where it may have been. */
    behind(number, s) {
        const next = this.states[number - this.first + 1];
        return next === undefined || next.hi >= s ? 0 : s - next.hi;
    }

    #forget(now) {
        let n = 0;
        while (this.states.length - n > KEEP_STATES && this.states[n + 1].hi < now - KEEP_MS) n++;
        if (n < KEEP_STATES) return;        // seldom, and many at a time
        this.states.splice(0, n);
        this.first += n;
    }

    /** For people: the last states, and where what the answer should have been differs from what it was. */
    describe(question, s, answer) {
        const at = (time) => (Number.isFinite(time) ? `${(time - s).toFixed(1)} ms` : String(time));
        return this.states.slice(-SHOWN_STATES).map((state, i, shown) => {
            const index = this.states.length - shown.length + i;
            return `    state ${this.first + index}, visible from [${at(state.lo)}, ${at(state.hi)}], by ${state.what}: ` +
                difference(this.text(index, question), answer);
        });
    }
}

export class Judge {
    /** `bound`: how far behind an answer may be, ms. `owner(text)`: names of the scopes whose rows a text shows. */
    constructor({ bound, owners }) {
        Object.assign(this, { bound, owners });
        this.behind = new Distribution();
        this.reads = 0;
        this.counts = { stale: 0, unread: 0, foreign: 0, wrong: 0, dirty: 0, other: 0 };
        this.violations = [];
    }

    /** `kind` is a name of `counts`. */
    violate(kind, lines) {
        this.counts[kind]++;
        this.violations.push(lines);
    }

    get total() {
        return Object.values(this.counts).reduce((a, b) => a + b, 0);
    }

    /** One answer: {scope, question, text, s, r, floor, about}; `about` is for people. */
    answer({ scope, question, text, s, r, floor = 0, about = '' }) {
        this.reads++;
        const number = scope.find(question, text, r);
        const fault = number < 0 ? this.#unknown(scope, text) : this.#known(scope, number, s, floor);
        if (!fault) return;
        this.violate(fault.kind, [`${fault.what}: ${scope.name} ${question.path} ${about}, answered in ${(r - s).toFixed(1)} ms`,
            `    the answer: ${cut(text)}`, ...scope.describe(question, s, text)]);
    }

    #known(scope, number, s, floor) {
        const behind = scope.behind(number, s);
        this.behind.add(behind);
        if (number < floor) return { kind: 'unread', what: `state ${number}, and the reader was told of ${floor}` };
        if (behind <= this.bound) return undefined;
        return { kind: 'stale', what: `state ${number}, ${behind.toFixed(1)} ms behind` };
    }

    #unknown(scope, text) {
        const others = this.owners(text).filter((name) => name !== scope.name);
        if (others.length) return { kind: 'foreign', what: `rows of ${others.join(', ')}` };
        return { kind: 'wrong', what: 'no state that is remembered' };
    }

    /** A state under way came to nothing. */
    aborted(scope) {
        if (scope.abort()) this.violate('dirty', [`seen, and never committed: ${scope.name}`]);
    }
}
