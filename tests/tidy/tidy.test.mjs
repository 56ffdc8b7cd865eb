// SPDX-License-Identifier: Apache-2.0
// A checker that finds nothing looks like a clean tree: here each rule meets
// what it must refuse, and what it must leave alone.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

const LICENCE = '/* SPDX-License-Identifier: Apache-2.0 */\n';

function tidy(t, files) {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'hasten-tidy-'));
    t.after(() => fs.rmSync(root, { recursive: true }));
    for (const [name, text] of Object.entries(files)) {
        fs.mkdirSync(path.join(root, path.dirname(name)), { recursive: true });
        fs.writeFileSync(path.join(root, name), text);
    }
    const run = spawnSync(process.execPath, [path.join(import.meta.dirname, 'tidy.mjs')],
        { env: { ...process.env, TIDY_ROOT: root }, encoding: 'utf8' });
    return { code: run.status, lines: run.stderr.trim().split('\n').filter(Boolean) };
}

const refused = (name, file, text, pattern, more = {}) => test(`refuses ${name}`, (t) => {
    const { code, lines } = tidy(t, { [file]: text, ...more });
    assert.equal(code, 1);
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.match(lines[0], pattern);
});

const c = (text) => LICENCE + text;

refused('an arrow upwards', 'src/pg/a.c', c('#include "api/x.h"\n'), /src\/pg\/a\.c:2: pg -> api points upwards/);
refused('siblings', 'src/pg/a.c', c('#include "cache/x.h"\n'), /siblings of row 3/);
refused('another folder\'s private header', 'src/api/a.c', c('#include "pg/x_int.h"\n'), /private to src\/pg/);
refused('a foreign library', 'src/http/a.c', c('#include <uv.h>\n'), /<uv\.h> belongs to src\/net/);
refused('OpenSSL outside net', 'src/edge/a.c', c('#include <openssl/evp.h>\n'), /belongs to src\/net/);
refused('libpq outside pg', 'src/api/a.c', c('#include <libpq-fe.h>\n'), /belongs to src\/pg/);
refused('an include without its folder', 'src/api/a.c', c('#include "a.h"\n'), /write it from src/);
refused('a header that needs another', 'src/core/a.h', c('size_t a(void);\n'), /does not compile alone: .*size_t/);
refused('a banned function', 'src/core/a.c', c('x = strcpy (a, b);\n'), /strcpy\(\): banned/);
refused('the heap outside core', 'src/pg/a.c', c('free(a);\n'), /free\(\): the heap/);
refused('a clock in a pure folder', 'src/cache/a.c', c('clock_gettime(1, &t);\n'), /reads no clock/);
refused('a long file', 'src/core/a.c', c('int a;\n'.repeat(800)), /801 lines/);
refused('a long function', 'src/core/a.c', c(`int a(void)\n{\n${'    b();\n'.repeat(69)}}\n`), /:3: a function of 71 lines/);
refused('a file without licence', 'tests/e2e/a.test.mjs', 'test();\n', /SPDX/);
refused('unfinished work', 'docs/a.md', `${'TO'}${'DO'} later\n`, /unfinished/);
refused('a path of one machine', 'README.md', `see /ro${'ot'}/notes\n`, /a path of one machine/);

const STATUS = { 'src/core/status.def': c('HS_STATUS(GONE, 404, "gone", "")\n') };
refused('a code that nothing raises', 'src/api/a.c', c('/* HS_E_GONE */\nbool b = a == HS_E_GONE;\n'),
    /status\.def:2: nothing raises HS_E_GONE/, { ...STATUS, 'tests/unit/a.c': c('HS_E_GONE;\n') });
refused('a code that no test meets', 'src/api/a.c', c('return HS_E_GONE;\n'),
    /status\.def:2: no test meets HS_E_GONE or 'gone'/, { ...STATUS, 'tests/e2e/a.mjs': c('gone;\n') });

test('leaves good code alone', (t) => {
    const { code, lines } = tidy(t, {
        'src/pg/a.c': c('#include "pg/a_int.h"\n#include "net/b.h"\n#include <libpq-fe.h>\n' +
            '/* strcpy( and free( in words */\nstatic const char *s = "malloc(";\nint a(void)\n{\n' +
            '    x->free(y);\n    my_free(z);\n    hs_free(z);\n}\n'),
        'src/pg/a_int.h': c('#include <stddef.h>\nsize_t a(void);\n'),
        'src/net/b.h': c('#include <uv.h>\n'),
        'src/core/mem.c': c('free(a);\n'),
        ...STATUS,
        'src/api/a.c': c('return hs_fail(e, HS_E_GONE, "gone");\n'),
        'tests/e2e/a.mjs': c("equal(code, 'gone');\n"),
        'src/core/long.c': c(`int a(void)\n{\n${'    b();\n'.repeat(68)}}\n`),
        'src/main.c': c('#include "cmd/b.h"\n'),
    });
    assert.deepEqual(lines, []);
    assert.equal(code, 0);
});
