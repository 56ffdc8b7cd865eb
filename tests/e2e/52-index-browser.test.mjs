// SPDX-License-Identifier: Apache-2.0
// The page at "/" as a person meets it: in Chromium, on a wide screen and on a phone, light and dark,
// with the keyboard, and without JavaScript.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { openPage, startBrowser } from './harness/browser.mjs';
import { Hasten } from './harness/hasten.mjs';
import { member, startLab } from './harness/lab.mjs';

// Names and comments that would be markup, or break an address, if one of them were not escaped.
const ODD = `
CREATE TABLE lab."<img src=x onerror=alert(1)>" ("a""b<i>" integer PRIMARY KEY, "x&amp;y" text);
COMMENT ON TABLE lab."<img src=x onerror=alert(1)>" IS '</p><script>document.title = ''taken''</script>';
COMMENT ON COLUMN lab."<img src=x onerror=alert(1)>"."x&amp;y" IS '<b>bold</b>';
CREATE TABLE lab."50% off / #1?" (id integer PRIMARY KEY);
CREATE TABLE lab.${'wide'.repeat(15)} (${'long'.repeat(15)} integer PRIMARY KEY);
GRANT SELECT ON ALL TABLES IN SCHEMA lab TO viewer;
`;

let lab;
let browser;
let origin;

before(async () => {
    lab = await startLab({}, { prepare: ODD });
    origin = lab.hasten.url;
    browser = await startBrowser();
});

after(async () => {
    await browser?.close();
    await lab?.close();
});

async function visit(t, options) {
    const page = await openPage(browser, origin, options);
    t.after(() => page.context().close());
    const answer = await page.goto(`${origin}/`);
    assert.equal(answer.status(), 200);
    return page;
}

const openAll = (page) => page.locator('details').evaluateAll((all) => all.forEach((one) => { one.open = true; }));

/** The contrast of all visible text to what is behind it, as WCAG 2.2 counts it: the worst, and where. */
const worstContrast = (page) => page.evaluate(() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (color) => rgba(color).slice(0, 3).map((v) => v / 255)
        .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const { backgroundColor } = getComputedStyle(at);
            if (rgba(backgroundColor)[3] === 255) return backgroundColor;
        }
        return 'Canvas';
    };
    let worst = { ratio: Infinity };
    for (const element of document.body.querySelectorAll('*')) {
        if (![...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())) continue;
        const pair = [luminance(getComputedStyle(element).color), luminance(behind(element))].sort((a, b) => b - a);
        const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
        if (ratio < worst.ratio) worst = { ratio, text: element.textContent.slice(0, 40) };
    }
    return worst;
});

for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 375, 320]) {
        test(`${width} pixels, ${colorScheme}: no errors, readable, nothing scrolls sideways`, async (t) => {
            const page = await visit(t, { viewport: { width, height: 800 }, colorScheme });
            const names = await page.getByRole('heading', { level: 3 }).allTextContents();
            for (const name of ['clients', 'appointments', 'things', '<img src=x onerror=alert(1)>']) {
                assert.ok(names.includes(name), `${name} is not among ${names}`);
            }
            await openAll(page);
            assert.ok(await page.getByRole('rowheader', { name: 'firstName' }).first().isVisible());
            const size = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
            assert.equal(size[0], size[1], 'it scrolls sideways');
            const light = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
            assert.equal(light === 'rgb(13, 17, 23)', colorScheme === 'dark', 'the style sheet is not applied');
            const worst = await worstContrast(page);
            assert.ok(worst.ratio >= 4.5, `contrast ${worst.ratio} of "${worst.text}"`);
            assert.equal(await page.title(), 'hasten: what is served here');
            assert.deepEqual(page.faults, []);
        });
    }
}

test('every link leads somewhere, and one that is clicked shows rows', async (t) => {
    const page = await visit(t, {});
    const links = await page.getByRole('link').evaluateAll((all) => all.map((one) => one.href));
    assert.ok(links.length > 30);
    for (const link of new Set(links)) {
        const answer = await page.request.get(link);
        assert.equal(answer.status(), 200, `${link}: ${await answer.text()}`);
    }
    const targets = await page.locator('a[href^="#"]').evaluateAll((all) => all.map((one) => one.hash.slice(1)));
    for (const target of targets) assert.equal(await page.locator(`[id="${target}"]`).count(), 1, target);

    assert.deepEqual(page.faults, []);      // behind it, Chromium asks for an icon of the JSON, and there is none

    const clients = page.getByRole('article', { name: 'clients' });
    await clients.getByRole('link', { name: '/api/v1/clients?limit=5', exact: true }).click();
    await page.waitForURL(`${origin}/api/v1/clients?limit=5`);
    const rows = JSON.parse(await page.locator('pre').first().textContent());
    assert.equal(rows.data.length, 5);
    assert.ok(rows.data[0].firstName);
});

test('with the keyboard, as a screen reader tells it, without JavaScript', async (t) => {
    const page = await visit(t, { javaScriptEnabled: false });
    const clients = page.getByRole('article', { name: 'clients' });
    const column = clients.getByRole('row', { name: /birthday/ });
    assert.equal(await column.isVisible(), false);
    await clients.locator('summary').focus();
    await page.keyboard.press('Enter');
    assert.match(await column.textContent(), /^birthday.*date.*possible$/);
    assert.match(await clients.textContent(), /14 columns, \d relations, search/);
    await clients.getByRole('listitem').filter({ hasText: 'company' }).getByRole('link', { name: 'companies' }).click();
    assert.match(page.url(), /#t\d+$/);

    assert.equal(await page.locator('html').getAttribute('lang'), 'en');
    for (const role of ['banner', 'navigation', 'main']) assert.equal(await page.getByRole(role).count(), 1, role);
    assert.deepEqual(await page.getByRole('heading', { level: 1 }).allTextContents(), ['hasten']);
    assert.deepEqual(await page.getByRole('heading', { level: 2 }).allTextContents(), ['Tables', 'How to ask']);
    assert.deepEqual(page.faults, []);
});

test('the line for curl is what one types: it names this host and gives rows', async (t) => {
    const page = await visit(t, {});
    await openAll(page);
    const line = await page.getByRole('article', { name: 'appointments' }).locator('pre').textContent();
    const [, address] = /^curl -g '([^']+)'$/.exec(line);
    assert.ok(address.startsWith(`${origin.slice('http://'.length)}/api/v1/appointments?limit=5&sort=-id&include=branch,client`), line);
    const { data } = await (await fetch(`http://${address}`)).json();
    assert.equal(data.length, 5);
    assert.ok(data[0].branch.id && data[0].client.id);

    const odd = await lab.hasten.fetch('/', { token: member(3) });
    const html = await odd.text();
    assert.match(html, /role <code>member<\/code>, by your token/);
    assert.match(html, /curl -g -H "Authorization: Bearer \$TOKEN" '/);
    assert.doesNotMatch(html, /eyJ/, 'the token itself is not repeated');
});

test('the policy allows the page its own style sheet, by hash, and nothing else', async () => {
    const answer = await lab.hasten.get('/');
    const policy = answer.headers.get('content-security-policy');
    const [, style] = /<style>(.*?)<\/style>/s.exec(answer.text);
    const hash = createHash('sha256').update(style).digest('base64');
    assert.ok(policy.includes(`style-src 'sha256-${hash}'`), `STYLE_HASH should be sha256-${hash}; the policy is ${policy}`);
    assert.match(policy, /^default-src 'none';/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.doesNotMatch(answer.text, /<script|\sstyle="|\son\w+="/);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
});

test('a role that may read nothing is told so', async (t) => {
    await lab.sql('CREATE ROLE outsider; GRANT outsider TO authenticator');
    const other = await Hasten.start({
        'database.url': lab.pg.url({ user: 'authenticator', db: 'clients_plus' }),
        'database.schemas': ['api'],
        'auth.jwt.secret': 'the secret of the tests, of 32 bytes or more',
        'auth.roles': ['viewer', 'outsider'],
        'auth.anonymous_role': 'outsider',
    });
    t.after(() => other.stop());
    const { status, text } = await other.get('/');
    assert.equal(status, 200);
    assert.match(text, /None\. GRANT the role SELECT on a table/);
});
