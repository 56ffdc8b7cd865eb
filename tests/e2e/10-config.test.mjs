// SPDX-License-Identifier: Apache-2.0
// `hasten config` and the ways to ask for help, with real files and a real
// environment. The texts of all faults are in tests/unit/conf.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { hasten, hastenBin, yaml } from './harness/hasten.mjs';
import { ROOT, tempDir } from './harness/util.mjs';

const KEY = 'hush-hush-hush-hush-hush-hush-hush-hush';

function folder(t, files) {
    const dir = tempDir('config');
    t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(dir, name), text);
    return (name) => path.join(dir, name);
}

async function ok(args, options) {
    const { code, stdout, stderr } = await hasten(args, options);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    return stdout;
}

async function refused(args, options) {
    const { code, stdout, stderr } = await hasten(args, options);
    assert.equal(stdout, '');
    assert.equal(code, 2);
    return stderr;
}

const GOOD = {
    'database.url': `postgresql://u:${KEY}@h/d`,
    'database.pool.max': 40,
    'server.idle_timeout': '90s',
    'auth.roles': ['member', 'manager'],
    'auth.jwt.secret': KEY,
    'auth.jwt.audience': 'shop',
    'api.cursor.secret': KEY,
};

test('check: ok, and what is unset but advisable', async (t) => {
    const at = folder(t, { 'good.yaml': yaml(GOOD), 'empty.yaml': '' });

    assert.equal(await ok(['config', 'check', '--config', at('good.yaml')]), 'ok\n');
    const advice = await ok(['config', 'check', `--config=${at('empty.yaml')}`]);
    assert.match(advice, /^ok\ndatabase\.url is unset: /);
    assert.match(advice, /every request will get 401/);
    assert.equal(await ok(['config', 'check']), advice);
});

test('check: a fault names file, line, option, what was found and what was expected', async (t) => {
    const at = folder(t, {
        'typo.yaml': 'database:\n  pool:\n    maximum: 5\n',
        'unit.yaml': 'server:\n  idle_timeout: 90\n',
        'secret.yaml': 'auth:\n  jwt:\n    secret: hush\n',
        'syntax.yaml': 'server: {\n',
    });
    const check = (name) => refused(['config', 'check', '--config', at(name)]);

    assert.equal(await check('typo.yaml'),
        `hasten: ${at('typo.yaml')}:3: database.pool.maximum: found an unknown key, expected database.pool.max\n`);
    assert.equal(await check('unit.yaml'), `hasten: ${at('unit.yaml')}:2: server.idle_timeout: found "90", ` +
        'expected a duration with its unit (us, ms, s, min, h, d) from 1s to 1d\n');
    assert.equal(await check('secret.yaml'),
        `hasten: ${at('secret.yaml')}:3: auth.jwt.secret: found 4 bytes, expected at least 32 bytes\n`);
    assert.match(await check('syntax.yaml'), /syntax\.yaml:2: found a fault in the form/);
    assert.match(await check('absent.yaml'), /cannot read .*absent\.yaml: No such file or directory\n {2}hint: /);
});

test('show: later sources win, each value has its origin, secrets are masked', async (t) => {
    const at = folder(t, { 'good.yaml': yaml(GOOD), 'key.txt': `${KEY}\n` });
    const text = await ok(['config', 'show', '--config', at('good.yaml'), '--set', 'server.backlog=9'], {
        env: {
            HASTEN_DATABASE_POOL_MAX: '50', HASTEN_AUTH_ROLES: 'a, b',
            HASTEN_AUTH_JWT_SECRET_FILE: at('key.txt'),
        },
    });

    assert.match(text, /\n {4}max: 50 +# HASTEN_DATABASE_POOL_MAX\n/);
    assert.match(text, /\n {2}roles: \["a", "b"\] +# HASTEN_AUTH_ROLES\n/);
    assert.match(text, /\n {4}secret: "\*{8}" +# HASTEN_AUTH_JWT_SECRET_FILE, from a file\n/);
    assert.match(text, /\n {2}backlog: 9 +# command line\n/);
    assert.match(text, /\n {2}idle_timeout: 90s +# .*good\.yaml:\d+\n/);
    assert.match(text, /\n {2}write_timeout: 30s +# default\n/);
    assert.doesNotMatch(text, /hush/);
});

test('show: its output is a configuration', async (t) => {
    const shown = await ok(['config', 'show'], { env: { HASTEN_DATABASE_APPLICATION_NAME: 'a "b" $c ${d}\té' } });
    const at = folder(t, { 'shown.yaml': shown });
    const again = await ok(['config', 'show', '--config', at('shown.yaml')]);
    const values = (text) => text.replaceAll(/ +# .*$/gm, '');

    assert.match(shown, /application_name: "a \\"b\\" \$\$c \$\$\{d\}\\u0009é"/);
    assert.equal(values(again), values(shown));
});

test('HASTEN_CONFIG names the file, --config is stronger, ${VAR} is expanded', async (t) => {
    const at = folder(t, {
        'one.yaml': 'server:\n  backlog: ${BACKLOG}\n',
        'two.yaml': 'server:\n  backlog: ${BACKLOG:-12}\n',
    });
    const env = { HASTEN_CONFIG: at('one.yaml') };

    assert.match(await refused(['config', 'show'], { env }), /one\.yaml:2: .*"BACKLOG", which is not set/);
    assert.match(await ok(['config', 'show'], { env: { ...env, BACKLOG: '11' } }), /backlog: 11 /);
    assert.match(await ok(['config', 'show', '--config', at('two.yaml')], { env }), /backlog: 12 /);
});

test('an unknown variable is a fault', async () => {
    assert.equal(await refused(['config', 'check'], { env: { HASTEN_SERVER_WORKRES: '3' } }),
        'hasten: environment: found the unknown variable "HASTEN_SERVER_WORKRES", expected HASTEN_SERVER_WORKERS\n');
});

for (const name of ['options', 'errors', 'metrics', 'postgrest']) {
    const file = `docs/reference/${name === 'postgrest' ? 'postgrest-options' : name}.md`;
    test(`${file} is what the program says`, async () => {
        const page = fs.readFileSync(path.join(ROOT, file), 'utf8');
        assert.equal(await ok(['config', 'reference', name]), page, `run: hasten config reference ${name} > ${file}`);
    });
}

test('help, version, and what to do after a slip', async () => {
    const overview = await ok(['--help']);

    assert.equal(await ok(['help']), overview);
    for (const command of ['serve', 'config', 'demo', 'psql', 'token', 'help', 'version']) {
        assert.match(overview, new RegExp(`^  ${command} `, 'm'));
        const help = await ok(['help', command]);
        assert.match(help, new RegExp(`^usage: hasten ${command}`));
        assert.equal(await ok([command, '--help']), help);
    }
    assert.match(await ok(['--version']), /^hasten \d+\.\d+\.\d+\n$/);
    assert.equal(await ok(['version']), await ok(['--version']));

    assert.equal(await refused([]), overview);
    assert.equal(await refused(['sevre']),
        'hasten: there is no command "sevre"\n  hint: Did you mean `hasten serve`?\n');
    assert.equal(await refused(['help', 'zzz']), 'hasten: there is no command "zzz"\n  hint: See `hasten help`.\n');
    assert.equal(await refused(['config', 'check', '--confg', 'x']),
        'hasten: config has no option --confg\n  hint: Did you mean --config?\n');
    assert.equal(await refused(['config', 'check', '--set', 'x']),
        'hasten: --set cannot be "x"\n  hint: Write --set NAME=VALUE, as in --set log.level=debug.\n');
    assert.match(await refused(['config']), /config cannot do ""\n {2}hint: /);
    assert.match(await refused(['config', 'reference', 'birds']), /no reference of "birds"/);
    assert.match(await refused(['version', 'x']), /one word too many: "x"/);
});

test('output that cannot be written is no success', async () => {
    const full = fs.openSync('/dev/full', 'w');
    try {
        const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HASTEN_')));
        const stdio = ['ignore', full, 'ignore'];
        const { status } = spawnSync(hastenBin(), ['config', 'show'], { stdio, env });
        assert.equal(status, 1);
    } finally {
        fs.closeSync(full);
    }
});
