// SPDX-License-Identifier: Apache-2.0
// JSON Web Tokens for tests, right ones and wrong ones (RFC 7515, RFC 7519).
// `sign` writes whatever header and claims it is given, also invalid ones.

import { createHmac, generateKeyPairSync, sign as signWithKey } from 'node:crypto';

export const base64url = (data) => Buffer.from(data).toString('base64url');

const SIGNERS = {
    HS256: (text, key) => createHmac('sha256', key).update(text).digest(),
    HS384: (text, key) => createHmac('sha384', key).update(text).digest(),
    HS512: (text, key) => createHmac('sha512', key).update(text).digest(),
    RS256: (text, key) => signWithKey('sha256', Buffer.from(text), key),
    RS512: (text, key) => signWithKey('sha512', Buffer.from(text), key),
    none: () => Buffer.alloc(0),
};

/** Seconds since 1970, moved by `offset`: for exp, nbf and iat. */
export const now = (offset = 0) => Math.floor(Date.now() / 1000) + offset;

/**
 * A token. `key` is the secret (HS*) or the private key in PEM or KeyObject (RS*);
 * `exp` an hour from now unless the claims say otherwise (`exp: undefined` leaves it out).
 */
export function sign(claims, key, options) {
    return signText(JSON.stringify({ exp: now(3600), ...claims }), key, options);
}

/** A token of claims that are JSON already, and stay as they are. */
export function signText(claims, key, { alg = 'HS256', header = {} } = {}) {
    const text = `${base64url(JSON.stringify({ alg, typ: 'JWT', ...header }))}.${base64url(claims)}`;
    return `${text}.${SIGNERS[alg](text, key).toString('base64url')}`;
}

/** The same token with one character of part 0, 1 or 2 changed. */
export function tamper(token, part = 2) {
    const parts = token.split('.');
    const middle = parts[part].length >> 1;
    const other = parts[part][middle] === 'A' ? 'B' : 'A';
    parts[part] = parts[part].slice(0, middle) + other + parts[part].slice(middle + 1);
    return parts.join('.');
}

/** An RSA pair in PEM: {publicKey, privateKey}. */
export const rsaPair = (modulusLength = 2048) => generateKeyPairSync('rsa', {
    modulusLength,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

export const bearer = (token) => ({ authorization: `Bearer ${token}` });
