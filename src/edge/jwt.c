/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the checks: length, three segments, header, algorithm, signature, and only then a look at
 * the payload. Before the signature holds nothing of the token is believed and nothing of it is quoted.
 *
 * JSON is jansson's, strict: duplicate members anywhere refuse the token, since two readers could see
 * different ones; so do invalid UTF-8 and \u0000, which PostgreSQL's text cannot hold. Integers are read as
 * doubles, because a claim past int64 is no fault and only dates are read as numbers here. The claims that
 * go on to PostgreSQL are the bytes that were signed, not what jansson made of them.
 *
 * jansson allocates through core/mem.h (edge_jwt_init), as everything here does.
 *
 * Not done: encryption (JWE), `none`, nested tokens, looking up keys. `iat` and `jti` are not judged.
 */
#include "edge/jwt.h"

#include <jansson.h>
#include <pthread.h>

#include "core/mem.h"

static void set_allocator(void)
{
    json_set_alloc_funcs(hs_malloc, hs_free);
}

void edge_jwt_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, set_allocator);
}

static void free_json(json_t **json)
{
    json_decref(*json);
}

static hs_status refuse(struct hs_err *reterr, const char *why)
{
    (void)hs_fail(reterr, HS_E_BAD_TOKEN, "the token is not accepted");
    hs_err_why(reterr, "%s", why);
    return HS_E_BAD_TOKEN;
}

/* NULL = reterr is filled. jansson calls a failed allocation a syntax error, so failures are counted. */
static json_t *read_object(struct hs_str text, const char *part, struct hs_err *reterr)
{
    uint64_t failures = hs_mem_failures();
    /* jansson takes a NUL behind a number for white space, PostgreSQL for the end of the claims. */
    bool has_nul = hs_str_find(text, '\0') < text.n;
    json_t *json = has_nul ? NULL
                           : json_loadb(text.p, text.n,
                                        JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);

    if (json_is_object(json))
        return json;
    json_decref(json);
    if (hs_mem_failures() != failures) {
        (void)hs_fail_memory(reterr);
        return NULL;
    }
    (void)hs_fail(reterr, HS_E_BAD_TOKEN, "the token is not accepted");
    hs_err_why(reterr, "Its %s is not a JSON object without duplicate members.", part);
    return NULL;
}

static hs_status decode(struct hs_str text, struct hs_buf *scratch, struct hs_str *ret_bytes,
                        struct hs_err *reterr)
{
    unsigned char *to = (unsigned char *)hs_buf_room(scratch, text.n + 1);
    size_t n;

    if (!to)
        return hs_fail_memory(reterr);
    if (!net_base64url_decode(text, to, &n))
        return refuse(reterr, "A segment of it is not base64url without padding.");
    *ret_bytes = hs_strn((const char *)to, n);
    hs_buf_added(scratch, n);
    return HS_OK;
}

/* ---- header and signature ---- */

enum algorithm { ALG_NONE, ALG_HS256, ALG_RS256 };

/* RFC 7519, 5.1 and RFC 9068, 2.1: the type may be written with or without "application/". */
static bool is_typ_fine(const json_t *typ)
{
    static const char *const known[] = {"JWT", "application/jwt", "at+jwt", "application/at+jwt"};

    if (!typ)
        return true;
    for (size_t i = 0; json_is_string(typ) && i < HS_LEN(known); i++) {
        if (hs_str_ieq(hs_strn(json_string_value(typ), json_string_length(typ)), hs_str(known[i])))
            return true;
    }
    return false;
}

static hs_status read_header(const struct edge_jwt_rules *rules, struct hs_str text,
                             enum algorithm *ret_alg, struct hs_err *reterr)
{
    hs_auto(free_json) json_t *header = read_object(text, "header", reterr);
    const char *alg = header ? json_string_value(json_object_get(header, "alg")) : NULL;

    if (!header)
        return reterr->status;
    if (!alg)
        return refuse(reterr, "Its header has no \"alg\".");
    if (json_object_get(header, "crit"))
        return refuse(reterr, "Its header asks for extensions (\"crit\") that are not known here.");
    if (!is_typ_fine(json_object_get(header, "typ")))
        return refuse(reterr, "Its header's \"typ\" is not JWT.");
    if (rules->hmac && strcmp(alg, "HS256") == 0)
        *ret_alg = ALG_HS256;
    else if (rules->rsa && strcmp(alg, "RS256") == 0)
        *ret_alg = ALG_RS256;
    else
        return refuse(reterr, "Its \"alg\" is not one that is accepted here.");
    return HS_OK;
}

static hs_status check_signature(const struct edge_jwt_rules *rules, enum algorithm alg,
                                 struct hs_str signed_text, struct hs_str signature,
                                 struct hs_err *reterr)
{
    unsigned char mac[NET_SHA256];
    bool holds = false;

    if (alg == ALG_RS256) {
        holds = net_rsa_verify_sha256(rules->rsa, signed_text, signature);
    } else if (alg == ALG_HS256) {
        if (!net_hmac_sha256(rules->hmac, signed_text, mac))
            return hs_fail_memory(reterr);
        holds = hs_str_eq_secret(hs_strn((const char *)mac, sizeof(mac)), signature);
    }
    return holds ? HS_OK : refuse(reterr, "Its signature does not match.");
}

hs_status edge_jwt_verify(const struct edge_jwt_rules *rules, struct hs_str token,
                          struct hs_wall now, struct hs_buf *scratch, struct edge_jwt *ret_jwt,
                          struct hs_err *reterr)
{
    struct hs_err own;
    struct hs_str rest = token;
    struct hs_str header = hs_str_cut(&rest, '.');
    struct hs_str payload = hs_str_cut(&rest, '.');
    struct hs_str signed_text = hs_strn(token.p, header.n + 1 + payload.n);
    enum algorithm alg = ALG_NONE;
    hs_status status;

    reterr = reterr ? reterr : &own;
    if (token.n > rules->token_max)
        return refuse(reterr, "It is longer than auth.jwt.max.");
    if (token.n < signed_text.n + 2 || !header.n || !payload.n || hs_str_find(rest, '.') < rest.n)
        return refuse(reterr, "It does not have the form header.payload.signature.");
    hs_buf_clear(scratch);
    if (!hs_buf_room(scratch, token.n))
        return hs_fail_memory(reterr);
    status = decode(header, scratch, &header, reterr);
    if (!status)
        status = read_header(rules, header, &alg, reterr);
    hs_buf_clear(scratch);
    if (!status)
        status = decode(rest, scratch, &rest, reterr);
    if (!status)
        status = check_signature(rules, alg, signed_text, rest, reterr);
    hs_buf_clear(scratch);
    if (!status)
        status = decode(payload, scratch, &payload, reterr);
    return status ? status : edge_jwt_read_claims(rules, payload, now, ret_jwt, reterr);
}

/* ---- claims ---- */

/* Seconds to microseconds; doubles beyond int64 become its ends. */
static int64_t to_us(double seconds)
{
    double us = seconds * 1e6;

    if (us >= 9.2e18)
        return INT64_MAX;
    return us <= -9.2e18 ? INT64_MIN : (int64_t)us;
}

static int64_t add_clamped(int64_t a, int64_t b)
{
    int64_t v;

    if (__builtin_add_overflow(a, b, &v))
        return b < 0 ? INT64_MIN : INT64_MAX;
    return v;
}

/* Absent leaves *date as it is. */
static bool read_date(const json_t *claims, const char *name, int64_t skew, int64_t *date)
{
    const json_t *v = json_object_get(claims, name);

    if (v && !json_is_number(v))
        return false;
    if (v)
        *date = add_clamped(to_us(json_number_value(v)), skew);
    return true;
}

static hs_status check_dates(const json_t *claims, hs_us clock_skew, struct hs_wall now,
                             struct edge_jwt *jwt, struct hs_err *reterr)
{
    int64_t skew = clock_skew > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)clock_skew;

    jwt->starts_us = INT64_MIN;
    jwt->ends_us = INT64_MAX;
    if (!read_date(claims, "exp", skew, &jwt->ends_us) ||
        !read_date(claims, "nbf", -skew, &jwt->starts_us))
        return refuse(reterr, "Its \"exp\" or \"nbf\" is not a number of seconds.");
    if (now.us >= jwt->ends_us)
        return refuse(reterr, "It has expired (exp).");
    if (now.us < jwt->starts_us)
        return refuse(reterr, "It is not valid yet (nbf).");
    return HS_OK;
}

static bool is_text(const json_t *v, struct hs_str text)
{
    return json_is_string(v) &&
           hs_str_eq(hs_strn(json_string_value(v), json_string_length(v)), text);
}

/* aud is one text or an array of texts; RFC 7519, 4.1.3. */
static bool has_audience(const json_t *aud, struct hs_str audience)
{
    bool found = is_text(aud, audience);

    for (size_t i = 0; i < json_array_size(aud); i++) {
        const json_t *v = json_array_get(aud, i);

        if (!json_is_string(v))
            return false;
        found = found || is_text(v, audience);
    }
    return found;
}

/*
 * The member that the path names. A name may itself hold dots ("https://example.com/role"), so what is
 * left of the path is first tried as one name, at each step.
 */
static const json_t *find_claim(const json_t *at, struct hs_str path)
{
    while (json_is_object(at) && path.n) {
        const json_t *whole = json_object_getn(at, path.p, path.n);
        struct hs_str name;

        if (whole)
            return whole;
        name = hs_str_cut(&path, '.');
        at = json_object_getn(at, name.p ? name.p : "", name.n);
    }
    return NULL;
}

static hs_status find_role(const struct edge_jwt_rules *rules, const json_t *claims,
                           struct hs_str *ret_role, struct hs_err *reterr)
{
    const json_t *role = find_claim(claims, rules->role_claim);

    for (size_t i = 0; i < rules->n_roles; i++) {
        if (is_text(role, rules->roles[i])) {
            *ret_role = rules->roles[i];
            return HS_OK;
        }
    }
    (void)hs_fail(reterr, HS_E_BAD_ROLE, "the token's role may not be used here");
    if (json_is_string(role))
        hs_err_why(reterr, "Role \"%s\" is not in auth.roles.", json_string_value(role));
    else
        hs_err_why(reterr, "The token has no text in the claim \"%.*s\" (auth.jwt.role_claim).",
                   HS_FMT(rules->role_claim));
    return HS_E_BAD_ROLE;
}

hs_status edge_jwt_read_claims(const struct edge_jwt_rules *rules, struct hs_str payload,
                               struct hs_wall now, struct edge_jwt *ret_jwt, struct hs_err *reterr)
{
    struct hs_err own;
    struct edge_jwt jwt = {.claims = payload};
    hs_auto(free_json) json_t *claims = NULL;
    hs_status status;

    reterr = reterr ? reterr : &own;
    claims = read_object(payload, "payload", reterr);
    status = claims ? check_dates(claims, rules->clock_skew, now, &jwt, reterr) : reterr->status;
    if (!status && rules->audience.n &&
        !has_audience(json_object_get(claims, "aud"), rules->audience))
        status = refuse(reterr, "Its \"aud\" does not name this server (auth.jwt.audience).");
    if (!status)
        status = find_role(rules, claims, &jwt.role, reterr);
    if (!status)
        *ret_jwt = jwt;
    return status;
}
