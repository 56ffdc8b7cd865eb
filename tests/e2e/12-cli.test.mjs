// SPDX-License-Identifier: Apache-2.0
// What is generated from the table of commands: the manual page, which is read by a real mandoc, and the
// completions, which a real bash loads and asks. zsh and fish are asked where there are any, for neither
// is needed to work on hasten; what their scripts hold is compared in any case.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { hasten } from './harness/hasten.mjs';
import { ROOT, tempDir } from './harness/util.mjs';

const PAGE = path.join(ROOT, 'docs/reference/hasten.1');

async function said(...args) {
    const { code, stdout, stderr } = await hasten(args);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    return stdout;
}

/** [name, help] of each command, as `hasten help` has them. */
async function commands() {
    const names = [...(await said('help')).matchAll(/^ {2}(\S+) +\S/gm)].map(([, name]) => name);
    assert.ok(names.length >= 8, names.join());
    return Promise.all(names.map(async (name) => [name, await said('help', name)]));
}

const optionsOf = (help) => [...help.matchAll(/^ {2}--(\S+)/gm)].map(([, name]) => name);

/** Names of all settings, from the page that another test compares with the program. */
function settings() {
    const page = fs.readFileSync(path.join(ROOT, 'docs/reference/options.md'), 'utf8');
    return [...page.matchAll(/^\| `([a-z0-9._]+)`<br>/gm)].map(([, name]) => name);
}

function run(program, args, input = '') {
    const { error, status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', input });
    assert.ifError(error);
    return { status, stdout, stderr };
}

const isThere = (program) => !spawnSync(program, ['--version']).error;

test('docs/reference/hasten.1 is what the program says', async () => {
    assert.equal(await said('config', 'reference', 'man'), fs.readFileSync(PAGE, 'utf8'),
        'run: hasten config reference man > docs/reference/hasten.1');
});

test('the manual page is valid', () => {
    const { status, stdout, stderr } = run('mandoc', ['-Tlint', '-Wwarning', PAGE]);
    assert.equal(stdout + stderr, '');
    assert.equal(status, 0);
    if (isThere('groff')) assert.equal(run('groff', ['-man', '-ww', '-z', '-Kutf8', '-Tutf8', PAGE]).stderr, '');
});

test('the manual page, as it is read, holds every command, option and setting', async () => {
    const text = run('mandoc', ['-Tutf8', '-Owidth=1000', PAGE]).stdout.replace(/.\x08/g, '');
    for (const [name, help] of await commands()) {
        const section = text.split(new RegExp(`^ {3}${name}$`, 'm'))[1]?.split(/^ {3}\S|^\S/m)[0];
        assert.ok(section, name);
        for (const option of optionsOf(help)) assert.match(section, new RegExp(`--${option}\\b`), name);
    }
    for (const name of settings()) {
        assert.match(text, new RegExp(`^ +${name.replaceAll('.', '\\.')} \\(`, 'm'));
    }
});

// ---- bash -------------------------------------------------------------------

/** The words that bash would offer behind `line`, cut into words as readline cuts them. */
function bashOffers(script, line, cwd = ROOT) {
    const words = line.split(/(=)|\s+/).filter((word) => word !== undefined);
    const kept = words.filter((word, i) => word !== '' || i === words.length - 1);
    const asked = `${script}
        # Only readline can set how a word is completed; whether we ask for it is seen in the script.
        compopt() { :; }
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        [[ $(complete -p hasten) == 'complete -F _hasten hasten' ]] || exit 3
        _hasten
        printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { error, status, stdout, stderr } = spawnSync('bash', ['--norc', '-c', asked, 'bash', ...kept],
        { encoding: 'utf8', cwd });
    assert.ifError(error);
    assert.equal(stderr, '');
    assert.equal(status, 0);
    return stdout.trimEnd().split('\n').filter(Boolean).sort();
}

test('bash completes commands, words and options', async () => {
    const script = await said('completion', 'bash');
    const all = await commands();
    const names = all.map(([name]) => name).sort();

    assert.deepEqual(bashOffers(script, 'hasten '), names);
    assert.deepEqual(bashOffers(script, 'hasten help '), names);
    assert.deepEqual(bashOffers(script, 'hasten conf'), ['config']);
    assert.deepEqual(bashOffers(script, 'hasten config '), ['check', 'reference', 'show']);
    assert.deepEqual(bashOffers(script, 'hasten config reference m'), ['man', 'metrics']);
    assert.deepEqual(bashOffers(script, 'hasten config check '), []);
    assert.deepEqual(bashOffers(script, 'hasten completion '), ['bash', 'fish', 'zsh']);
    assert.deepEqual(bashOffers(script, 'hasten --'), ['--help', '--version']);
    for (const [name, help] of all) {
        const expected = [...optionsOf(help), 'help'].map((option) => `--${option}`).sort();
        assert.deepEqual(bashOffers(script, `hasten ${name} -`), expected, name);
        assert.deepEqual(bashOffers(script, `hasten ${name} word -`), expected, name);
    }
});

test('bash does not take the value of an option for a word', async () => {
    const script = await said('completion', 'bash');

    for (const option of ['--config x.yaml', '--config=x.yaml', '--set a=b', '--set=a=b', '--set a=show']) {
        assert.deepEqual(bashOffers(script, `hasten config ${option} sh`), ['show'], option);
    }
    assert.deepEqual(bashOffers(script, 'hasten demo --fresh --po'), ['--port']);
    assert.deepEqual(bashOffers(script, 'hasten demo --port '), []);
    assert.deepEqual(bashOffers(script, 'hasten demo --port='), []);
});

test('bash completes settings, files and folders as values', async (t) => {
    const script = await said('completion', 'bash');
    const dir = tempDir('cli');
    t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
    fs.mkdirSync(path.join(dir, 'shop data'));
    fs.writeFileSync(path.join(dir, 'shop of mine.yaml'), '');
    const offers = (line) => bashOffers(script, line, dir);
    const every = settings().map((name) => `${name}=`).sort();

    assert.deepEqual(offers('hasten serve --set '), every);
    assert.deepEqual(offers('hasten config --set='), every);
    assert.deepEqual(offers('hasten serve --set log.le'), ['log.level=']);
    assert.deepEqual(offers('hasten serve --set=log.le'), ['log.level=']);
    assert.deepEqual(offers('hasten serve --set log.level='), []);
    assert.deepEqual(offers('hasten serve --config '), ['shop data', 'shop of mine.yaml']);
    assert.deepEqual(offers('hasten serve --config=sho'), ['shop data', 'shop of mine.yaml']);
    assert.deepEqual(offers('hasten demo --data '), ['shop data']);
    assert.deepEqual(offers('hasten token --claim '), []);
});

test('bash finds no fault in the script', async () => {
    const script = await said('completion', 'bash');
    const { stdout, status } = run('shellcheck', ['-s', 'bash', '-'], script);
    assert.equal(stdout, '');
    assert.equal(status, 0);
});

// ---- zsh, fish --------------------------------------------------------------

test('the script for zsh holds every command, option and setting', async () => {
    const script = await said('completion', 'zsh');

    assert.match(script, /^#compdef hasten\n/);
    for (const [name, help] of await commands()) {
        const branch = script.split(`\n    ${name})\n`)[1]?.split('\n        ;;\n')[0];
        assert.ok(branch, name);
        assert.match(script, new RegExp(`^ {8}'${name}:`, 'm'));
        for (const option of optionsOf(help)) assert.match(branch, new RegExp(`'\\*?--${option}=?\\[`), name);
    }
    for (const name of settings()) assert.ok(script.includes(`        ${name} \\\n`) || script.includes(`        ${name}\n`), name);
    assert.match(script, /'1:word:\(check show reference\)'/);
    assert.match(script, /reference\) compadd -- options errors metrics postgrest man ;;/);
    assert.match(script, /'--config=\[[^\]]+\]:FILE:_files'/);
    if (isThere('zsh')) assert.deepEqual(run('zsh', ['-f', '-n', '/dev/stdin'], script), { status: 0, stdout: '', stderr: '' });
});

test('the script for fish holds every command, option and setting', async (t) => {
    const script = await said('completion', 'fish');
    const lines = new Set(script.split('\n').map((line) => line.replace(/ (-d|-rF|-x) .*/, '')));

    for (const [name, help] of await commands()) {
        assert.ok(lines.has(`complete -c hasten -n '__hasten_at' -a ${name}`), name);
        for (const option of optionsOf(help)) {
            assert.ok(lines.has(`complete -c hasten -n '__hasten_in ${name}' -l ${option}`), `${name} --${option}`);
        }
    }
    const named = /^set -g __hasten_settings (.*)$/m.exec(script)[1].split(' ');
    assert.deepEqual(named, settings().map((name) => `${name}=`));
    assert.match(script, /-n '__hasten_at config reference' -a 'options errors metrics postgrest man'/);
    if (!isThere('fish')) return;
    const file = path.join(tempDir('cli'), 'hasten.fish');
    t.after(() => fs.rmSync(path.dirname(file), { recursive: true, force: true }));
    fs.writeFileSync(file, script);
    const offers = (line) => run('fish', ['--no-config', '-c', `source ${file}; complete -C '${line}'`]).stdout
        .trimEnd().split('\n').map((word) => word.split('\t')[0]).sort();
    assert.deepEqual(offers('hasten config --config x.yaml '), ['check', 'reference', 'show']);
    assert.deepEqual(offers('hasten serve --set log.'), ['log.access=', 'log.format=', 'log.level=']);
});

test('a shell that is not known is refused', async () => {
    for (const args of [['completion'], ['completion', 'csh']]) {
        const { code, stdout, stderr } = await hasten(args);
        assert.equal(stdout, '');
        assert.match(stderr, /there is no completion for ".*"\n {2}hint: Write `hasten completion bash`, `zsh` or `fish`\./);
        assert.equal(code, 2);
    }
});
