/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JWK sets into keys. jansson reads them, strictly: duplicate members refuse the set, since two readers
 * could see different keys. Base64url is strict too, except that a number's leading zero bytes, which some
 * issuers write, are no fault.
 */
#include "edge/keys.h"

#include <jansson.h>

#include "core/mem.h"
#include "edge/jwt.h"
#include "net/crypto.h"

enum { PART_MAX = NET_RSA_BITS_MAX / 8 + 8 /* bytes of one parameter */ };

void edge_keys_init(struct edge_keys *keys)
{
    *keys = (struct edge_keys){.n = 0};
    hs_arena_init(&keys->texts, (size_t)EDGE_KEYS_MAX * (EDGE_KID_MAX + 64));
}

void edge_keys_fini(struct edge_keys *keys)
{
    for (size_t i = 0; i < keys->n; i++)
        net_key_free(keys->keys[i].key);
    keys->n = 0;
    hs_arena_fini(&keys->texts);
}

hs_status edge_keys_add(struct edge_keys *keys, struct net_key *key, struct hs_str kid,
                        struct hs_err *reterr)
{
    struct hs_str copy = HS_STR_NULL;

    if (keys->n == EDGE_KEYS_MAX) {
        net_key_free(key);
        return hs_fail(reterr, HS_E_CONFIG, "there are more than %d keys for tokens",
                       EDGE_KEYS_MAX);
    }
    if (kid.p) {
        copy = hs_arena_dup(&keys->texts, kid);
        if (!copy.p) {
            net_key_free(key);
            return hs_fail_memory(reterr);
        }
    }
    keys->keys[keys->n++] = (struct edge_key){copy, key};
    return HS_OK;
}

/* ---- a JWK ---- */

static struct hs_str member(const json_t *jwk, const char *name)
{
    const json_t *v = json_object_get(jwk, name);

    return json_is_string(v) ? hs_strn(json_string_value(v), json_string_length(v)) : HS_STR_NULL;
}

/* May it verify signatures? (RFC 7517, 4.2 and 4.3) */
static bool is_for_signatures(const json_t *jwk)
{
    const json_t *ops = json_object_get(jwk, "key_ops");

    if (json_object_get(jwk, "use") && !hs_str_is(member(jwk, "use"), "sig"))
        return false;
    if (!ops)
        return true;
    for (size_t i = 0; i < json_array_size(ops); i++) {
        const char *op = json_string_value(json_array_get(ops, i));

        if (op && strcmp(op, "verify") == 0)
            return true;
    }
    return false;
}

/* The algorithm that the type alone tells. */
static enum net_alg alg_of_type(const json_t *jwk, enum net_alg rsa_alg)
{
    struct hs_str kty = member(jwk, "kty");
    struct hs_str crv = member(jwk, "crv");

    if (hs_str_is(kty, "RSA"))
        return rsa_alg;
    if (hs_str_is(kty, "EC"))
        return net_alg_of_curve(crv);
    if (hs_str_is(kty, "OKP"))
        return hs_str_is(crv, "Ed25519") ? NET_EDDSA : NET_ALG_NONE;
    return hs_str_is(kty, "oct") ? NET_HS256 : NET_ALG_NONE;
}

/* NET_ALG_NONE = no use here. An elliptic curve leaves no choice. */
static enum net_alg alg_of(const json_t *jwk, enum net_alg rsa_alg)
{
    enum net_alg by_type = alg_of_type(jwk, rsa_alg);
    enum net_alg named = net_alg_find(member(jwk, "alg"));

    if (by_type == NET_ALG_NONE || !json_object_get(jwk, "alg"))
        return by_type;
    /* RFC 9864 gives EdDSA over this curve a name of its own. */
    if (by_type == NET_EDDSA && hs_str_is(member(jwk, "alg"), "Ed25519"))
        return by_type;
    if (named == NET_ALG_NONE || net_alg_kind(named) != net_alg_kind(by_type))
        return NET_ALG_NONE;
    if (net_alg_kind(named) == NET_KIND_EC && named != by_type)
        return NET_ALG_NONE;
    return named;
}

/* A parameter's bytes in `to`; n == 0: it is absent, too long, or no base64url. */
static struct hs_str part(const json_t *jwk, const char *name, unsigned char to[static PART_MAX])
{
    struct hs_str text = member(jwk, name);
    size_t n = 0;

    if (text.n > PART_MAX / 3 * 4 || !net_base64url_decode(text, to, &n))
        return HS_STR_NULL;
    return hs_strn((const char *)to, n);
}

static struct hs_str without_zeros(struct hs_str number)
{
    while (number.n && number.p[0] == '\0')
        number = hs_str_sub(number, 1, number.n);
    return number;
}

static hs_status make_secret(enum net_alg alg, struct hs_str k, struct net_key **ret_key,
                             struct hs_err *reterr)
{
    if (k.n >= net_alg_secret_min(alg))
        return net_key_secret(alg, k, ret_key, reterr);
    (void)hs_fail(reterr, HS_E_CONFIG, "the secret of a JWK is too short");
    hs_err_why(reterr, "\"k\" has %zu bytes; %s needs %zu (RFC 7518, 3.2).", k.n, net_alg_name(alg),
               net_alg_secret_min(alg));
    return HS_E_CONFIG;
}

static hs_status make_key(const json_t *jwk, enum net_alg alg, struct net_key **ret_key,
                          struct hs_err *reterr)
{
    unsigned char one[PART_MAX];
    unsigned char two[PART_MAX];

    switch (net_alg_kind(alg)) {
    case NET_KIND_RSA:
        return net_key_rsa(alg, without_zeros(part(jwk, "n", one)),
                           without_zeros(part(jwk, "e", two)), ret_key, reterr);
    case NET_KIND_EC:
        return net_key_ec(alg, part(jwk, "x", one), part(jwk, "y", two), ret_key, reterr);
    case NET_KIND_ED25519:
        return net_key_ed25519(part(jwk, "x", one), ret_key, reterr);
    case NET_KIND_SECRET:
        break;
    }
    return make_secret(alg, part(jwk, "k", one), ret_key, reterr);
}

static hs_status add_jwk(struct edge_keys *keys, const json_t *jwk, enum net_alg rsa_alg,
                         bool with_secrets, struct hs_err *reterr)
{
    enum net_alg alg = alg_of(jwk, rsa_alg);
    struct hs_str kid = member(jwk, "kid");
    struct net_key *key;
    hs_status status;

    if (alg == NET_ALG_NONE || !is_for_signatures(jwk) || kid.n > EDGE_KID_MAX ||
        (json_object_get(jwk, "kid") && !kid.p) ||
        (net_alg_kind(alg) == NET_KIND_SECRET && !with_secrets)) {
        keys->passed_over++;
        return HS_OK;
    }
    status = make_key(jwk, alg, &key, reterr);
    return status ? status : edge_keys_add(keys, key, kid, reterr);
}

/* ---- a set ---- */

static void free_json(json_t **json)
{
    json_decref(*json);
}

static hs_status refuse(struct hs_err *reterr, const char *why)
{
    (void)hs_fail(reterr, HS_E_CONFIG, "the JWK set cannot be used");
    hs_err_why(reterr, "%s", why);
    hs_err_hint(reterr, "It has the form {\"keys\":[{\"kty\":...},...]} (RFC 7517).");
    return HS_E_CONFIG;
}

#define NO_USE "No key in it is one that tokens could be checked with."

static hs_status add_alone(struct edge_keys *keys, const json_t *jwk, enum net_alg rsa_alg,
                           bool with_secrets, struct hs_err *reterr)
{
    size_t before = keys->n;
    hs_status status = add_jwk(keys, jwk, rsa_alg, with_secrets, reterr);

    return !status && keys->n == before ? refuse(reterr, NO_USE) : status;
}

hs_status edge_keys_add_jwks(struct edge_keys *keys, struct hs_str text, enum net_alg rsa_alg,
                             bool with_secrets, struct hs_err *reterr)
{
    uint64_t failures = hs_mem_failures();
    hs_auto(free_json) json_t *json = NULL;
    const json_t *list;
    size_t before = keys->n;
    hs_status status = HS_OK;

    if (text.n > EDGE_JWKS_MAX)
        return refuse(reterr, "It is longer than 256 KiB.");
    edge_jwt_init();
    json = json_loadb(text.n ? text.p : "", text.n,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    if (hs_mem_failures() != failures)
        return hs_fail_memory(reterr);
    list = json_object_get(json, "keys");
    if (!json_is_object(json) || (list && !json_is_array(list)))
        return refuse(reterr, "It is not a JSON object with an array \"keys\".");
    if (!list)
        return add_alone(keys, json, rsa_alg, with_secrets, reterr);
    /* Emptied on purpose: whoever had a key in it comes in no more. */
    if (!json_array_size(list))
        return HS_OK;
    for (size_t i = 0; i < json_array_size(list); i++) {
        status = add_jwk(keys, json_array_get(list, i), rsa_alg, with_secrets, reterr);
        if (status == HS_E_MEMORY || keys->n == EDGE_KEYS_MAX)
            break;
        keys->passed_over += status !=
                             HS_OK; /* one broken key is no reason to do without the others */
    }
    if (status == HS_E_MEMORY || keys->n > before)
        return status == HS_E_MEMORY ? status : HS_OK;
    return status ? status : refuse(reterr, NO_USE);
}
