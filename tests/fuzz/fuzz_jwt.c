/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens from outside: the input is taken as a whole token, and again as the payload of a token whose
 * signature held, so that the fuzzer need not guess an HMAC to reach the claims. What is accepted must
 * keep the promises of edge/jwt.h.
 */
#include <stdlib.h>

#include "core/mem.h"
#include "edge/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct hs_str roles[] = {{"member", 6}, {"viewer", 6}};

static struct edge_jwt_rules *rules(void)
{
    static struct edge_jwt_rules made = {
        .roles = roles,
        .n_roles = 2,
        .role_claim = {"app.role", 8},
        .clock_skew = 30 * HS_SECOND,
        .token_max = 8192,
    };

    if (!made.hmac) {
        edge_jwt_init();
        HS_BUG_ON(net_hmac_new(HS_STR("0123456789abcdef0123456789abcdef"), &made.hmac, NULL));
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
    status = edge_jwt_read_claims(&with, payload, now, &jwt, &err);
    if (status) {
        HS_BUG_ON(status != HS_E_BAD_TOKEN && status != HS_E_BAD_ROLE);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_str input = hs_strn((const char *)data, size);

    check_token(input);
    check_claims(input, HS_STR_NULL);
    check_claims(input, HS_STR("api"));
    check_base64(input);
    return 0;
}
