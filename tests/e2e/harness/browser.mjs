// SPDX-License-Identifier: Apache-2.0
// Debian's Chromium, driven by playwright-core. It has no pictures of its own to compare: tests ask it for
// facts about a page, as a user's browser would know them.

import os from 'node:os';
import { chromium } from 'playwright-core';

/** A browser without a window; close() it. As root Chromium refuses its sandbox, else it keeps it. */
export const startBrowser = () => chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium',
    chromiumSandbox: os.userInfo().uid !== 0,
});

/**
 * A page that remembers what went wrong in it. page.faults: console errors and warnings (violations of a
 * Content-Security-Policy are among them), errors of scripts, and requests that failed or went elsewhere than `origin`.
 */
export async function openPage(browser, origin, options = {}) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.faults = [];
    page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type())) page.faults.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => page.faults.push(`script: ${error.message}`));
    page.on('requestfailed', (request) => page.faults.push(`failed: ${request.url()}`));
    page.on('request', (request) => {
        const { origin: other, protocol } = new URL(request.url());
        if (other !== origin && protocol !== 'data:') page.faults.push(`elsewhere: ${request.url()}`);
    });
    return page;
}
