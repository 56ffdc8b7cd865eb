// SPDX-License-Identifier: Apache-2.0
// JSON Web Tokens for tests, right ones and wrong ones (RFC 7515, RFC 7519).
// `sign` writes whatever header and claims it is given, also invalid ones.

import { constants, createHmac, createPublicKey, generateKeyPairSync, sign as signWithKey } from 'node:crypto';

export const base64url = (data) => Buffer.from(data).toString('base64url');

const hmac = (bits) => (text, key) => createHmac(`sha${bits}`, key).update(text).digest();
const rsa = (bits) => (text, key) => signWithKey(`sha${bits}`, Buffer.from(text), key);
const pss = (bits) => (text, key) => signWithKey(`sha${bits}`, Buffer.from(text),
    { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
const ecdsa = (bits) => (text, key) => signWithKey(`sha${bits}`, Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });

const SIGNERS = {
    HS256: hmac(256), HS384: hmac(384), HS512: hmac(512),
    RS256: rsa(256), RS384: rsa(384), RS512: rsa(512),
    PS256: pss(256), PS384: pss(384), PS512: pss(512),
    ES256: ecdsa(256), ES384: ecdsa(384), ES512: ecdsa(512),
    EdDSA: (text, key) => signWithKey(null, Buffer.from(text), key),
    none: () => Buffer.alloc(0),
};

const CURVES = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

/** A pair for any algorithm with a public key, in PEM: {alg, publicKey, privateKey, jwk(more)}. */
export function pairFor(alg) {
    const kind = { E: 'ec', R: 'rsa', P: 'rsa' }[alg[0]];
    const { publicKey, privateKey } = generateKeyPairSync(alg === 'EdDSA' ? 'ed25519' : kind, {
        modulusLength: 2048,
        namedCurve: CURVES[alg],
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    return { alg, publicKey, privateKey, jwk: (more) => ({ ...createPublicKey(publicKey).export({ format: 'jwk' }), ...more }) };
}

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
