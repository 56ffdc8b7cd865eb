/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens from outside: the input is taken as a whole token, and again as the payload of a token whose
 * signature held, so that the fuzzer need not guess an HMAC to reach the claims. What is accepted must
 * keep the promises of edge/jwt.h. The other texts of this folder are tried with the same input: JWK sets, claim
 * paths, lists of API keys and lines of logged-out tokens.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/mem.h"
#include "edge/api_keys.h"
#include "edge/fault.h"
#include "edge/jwt.h"
#include "edge/logout.h"
#include "net/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct hs_str roles[] = {{"member", 6}, {"viewer", 6}};

static const struct edge_jwt_rules *rules(void)
{
    static struct edge_keys keys;
    static struct hs_arena arena;
    static struct edge_claim_path *path;
    static struct edge_jwt_rules made = {
        .roles = roles,
        .n_roles = 2,
        .clock_skew = 30 * HS_SECOND,
        .token_max = 8192,
    };
    struct net_key *key;

    if (!made.keys) {
        edge_jwt_init();
        edge_keys_init(&keys);
        hs_arena_init(&arena, 1 << 16);
        HS_BUG_ON(
            net_key_secret(NET_HS256, HS_STR("0123456789abcdef0123456789abcdef"), &key, NULL));
        HS_BUG_ON(edge_keys_add(&keys, key, HS_STR_NULL, NULL));
        HS_BUG_ON(edge_claim_path_new(HS_STR("app.role"), &arena, &path, NULL));
        made.keys = &keys;
        made.role_claim = path;
    }
    return &made;
}

static bool is_known_role(struct hs_str role)
{
    return role.p == roles[0].p || role.p == roles[1].p;
}

static void check_claims(struct hs_str payload, struct hs_str audience)
{
    const struct hs_wall now = {INT64_C(1000000000) * 1000000};
    struct edge_jwt_rules with = *rules();
    struct edge_jwt jwt;
    struct hs_err err;
    hs_status status;

    with.audience = audience;
    status = edge_jwt_read_claims(&with, payload, payload, now, &jwt, &err);
    if (status) {
        HS_BUG_ON(status != HS_E_BAD_TOKEN && status != HS_E_BAD_ROLE);
        HS_BUG_ON(edge_fault_of(&err) == EDGE_FAULT_NONE);
        HS_BUG_ON(err.status != status || !err.what[0] || !hs_str_is_utf8(hs_str(err.why)));
        return;
    }
    HS_BUG_ON(!is_known_role(jwt.role));
    HS_BUG_ON(jwt.claims.p != payload.p || jwt.claims.n != payload.n);
    HS_BUG_ON(!hs_str_is_utf8(payload) || hs_str_find(payload, '\0') < payload.n);
    HS_BUG_ON(!edge_jwt_is_now(jwt.starts_us, jwt.ends_us, now));
}

static void check_token(struct hs_str token)
{
    struct edge_jwt jwt;
    struct hs_buf scratch;
    struct hs_err err;
    hs_status status;

    hs_buf_init(&scratch, 8193);
    status = edge_jwt_verify(rules(), token, (struct hs_wall){0}, &scratch, &jwt, &err);
    HS_BUG_ON(status == HS_OK && (!is_known_role(jwt.role) || !hs_str_is_utf8(jwt.claims)));
    HS_BUG_ON(status && status != HS_E_BAD_TOKEN && status != HS_E_BAD_ROLE);
    hs_buf_fini(&scratch);
}

/* What decodes must be the one text of its bytes. */
static void check_base64(struct hs_str text)
{
    unsigned char *bytes = hs_malloc(text.n * 3 / 4 + 1);
    struct hs_buf again;
    size_t n;

    HS_BUG_ON(!bytes);
    hs_buf_init(&again, text.n + 8);
    if (net_base64url_decode(text, bytes, &n)) {
        net_base64url(&again, hs_strn((char *)bytes, n));
        HS_BUG_ON(!hs_str_eq(hs_buf_str(&again), text));
    }
    hs_buf_fini(&again);
    hs_free(bytes);
}

/* A set's keys have the algorithm of their kind, and none that the set may not hold. */
static void check_jwks(struct hs_str text)
{
    struct edge_keys keys;
    struct hs_err err;

    edge_keys_init(&keys);
    if (edge_keys_add_jwks(&keys, text, NET_PS256, /* with_secrets= */ false, &err)) {
        HS_BUG_ON(err.status != HS_E_CONFIG || !err.what[0]);
    } else {
        HS_BUG_ON(keys.n == 0 || keys.n > EDGE_KEYS_MAX);
    }
    for (size_t i = 0; i < keys.n; i++) {
        bool holds;

        HS_BUG_ON(net_alg_kind(net_key_alg(keys.keys[i].key)) == NET_KIND_SECRET);
        HS_BUG_ON(net_key_verify(keys.keys[i].key, text, text, &holds) || holds);
    }
    edge_keys_fini(&keys);
}

static void check_path(struct hs_str text)
{
    struct edge_claim_path *path;
    struct hs_arena arena;

    hs_arena_init(&arena, 1 << 20);
    if (!edge_claim_path_new(text, &arena, &path, NULL)) {
        json_t *claims = json_pack("{s:{s:[s,s]},s:s}", "a", "b", "x", "yz", "c", "d");

        (void)edge_claim_path_find(path, claims);
        json_decref(claims);
        edge_claim_path_fini(path);
    }
    hs_arena_fini(&arena);
}

static void check_api_keys(struct hs_str text)
{
    struct edge_api_keys keys;
    struct hs_arena arena;

    hs_arena_init(&arena, 8 << 20);
    if (!edge_api_keys_read(text, &arena, &keys, NULL)) {
        for (size_t i = 0; i < keys.n; i++)
            HS_BUG_ON(!keys.list[i].role.n || !keys.list[i].name.n ||
                      keys.list[i].claims.p[0] != '{');
    }
    hs_arena_fini(&arena);
}

/* What is read comes out again. */
static void check_logout(struct hs_str text)
{
    struct edge_logout_entry entry;
    struct edge_logout_entry again;
    struct hs_buf line;

    if (!edge_logout_parse(text, &entry))
        return;
    hs_buf_init(&line, 256);
    edge_logout_print(&entry, &line);
    HS_BUG_ON(!edge_logout_parse(hs_str_sub(hs_buf_str(&line), 0, line.n - 1), &again));
    HS_BUG_ON(memcmp(entry.id, again.id, sizeof(entry.id)) != 0 || again.ends_us < entry.ends_us);
    hs_buf_fini(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_str input = hs_strn((const char *)data, size);

    check_token(input);
    check_claims(input, HS_STR_NULL);
    check_claims(input, HS_STR("api"));
    check_base64(input);
    check_jwks(input);
    check_path(input);
    check_api_keys(input);
    check_logout(input);
    return 0;
}
