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
 * Which keys are tried: those of the algorithm that `alg` names, and of them, where the token has a `kid`, those
 * that have the same or none. A key never checks what another algorithm signed, whatever the token says.
 *
 * A token is logged out by the hash of its `iss` and `jti`, else of what was signed: not of its signature, which in
 * ECDSA can be written in two ways.
 *
 * Not done: encryption (JWE), `none`, nested tokens, looking up keys by what a token says. `jti` is not judged.
 */
#include "edge/jwt.h"

#include <jansson.h>
#include <pthread.h>

#include "core/mem.h"
#include "edge/fault.h"
#include "net/crypto.h"

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

static hs_status refuse(struct hs_err *reterr, enum edge_fault fault, const char *why)
{
    (void)hs_fail(reterr, HS_E_BAD_TOKEN, "the token is not accepted");
    hs_err_why(reterr, "%s", why);
    reterr->reason = (unsigned short)fault;
    return HS_E_BAD_TOKEN;
}

/* NULL = reterr is filled. jansson calls a failed allocation a syntax error, so failures are counted. */
static json_t *read_object(struct hs_str text, const char *part, enum edge_fault fault,
                           struct hs_err *reterr)
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
    reterr->reason = (unsigned short)fault;
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
        return refuse(reterr, EDGE_FAULT_ENCODING,
                      "A segment of it is not base64url without padding.");
    *ret_bytes = hs_strn((const char *)to, n);
    hs_buf_added(scratch, n);
    return HS_OK;
}

/* ---- header and signature ---- */

/* What the header says of the key, none of which is believed before the signature holds. */
struct header {
    enum net_alg alg;
    char kid_text[EDGE_KID_MAX];
    struct hs_str kid; /* p == NULL: none */
};

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

/* false: it is no text, or too long for any key's. */
static bool read_kid(const json_t *json, struct header *header)
{
    const json_t *kid = json_object_get(json, "kid");

    header->kid = HS_STR_NULL;
    if (!kid)
        return true;
    if (!json_is_string(kid) || json_string_length(kid) > sizeof(header->kid_text))
        return false;
    memcpy(header->kid_text, json_string_value(kid), json_string_length(kid));
    header->kid = hs_strn(header->kid_text, json_string_length(kid));
    return true;
}

static hs_status read_header(struct hs_str text, struct header *header, struct hs_err *reterr)
{
    hs_auto(free_json) json_t *json = read_object(text, "header", EDGE_FAULT_HEADER, reterr);
    const char *alg = json ? json_string_value(json_object_get(json, "alg")) : NULL;

    if (!json)
        return reterr->status;
    if (!alg)
        return refuse(reterr, EDGE_FAULT_HEADER, "Its header has no \"alg\".");
    if (json_object_get(json, "crit"))
        return refuse(reterr, EDGE_FAULT_HEADER,
                      "Its header asks for extensions (\"crit\") that are not known here.");
    if (!is_typ_fine(json_object_get(json, "typ")))
        return refuse(reterr, EDGE_FAULT_HEADER, "Its header's \"typ\" is not JWT.");
    if (!read_kid(json, header))
        return refuse(reterr, EDGE_FAULT_HEADER, "Its header's \"kid\" is no text of this length.");
    header->alg = net_alg_find(hs_str(alg));
    return HS_OK;
}

/* What trying the keys of a set came to. */
struct tries {
    bool holds;
    bool has_alg; /* some key is of the algorithm */
    bool has_kid; /* some key has that very kid */
    unsigned n;
};

static hs_status try_keys(const struct edge_keys *keys, const struct header *header,
                          struct hs_str signed_text, struct hs_str signature, struct tries *tries)
{
    hs_status status = HS_OK;

    for (size_t i = 0; keys && !status && !tries->holds && i < keys->n; i++) {
        const struct edge_key *k = &keys->keys[i];
        bool is_named = header->kid.p && k->kid.p && hs_str_eq(k->kid, header->kid);

        tries->has_kid = tries->has_kid || is_named;
        if (net_key_alg(k->key) != header->alg)
            continue;
        tries->has_alg = true;
        if ((header->kid.p && k->kid.p && !is_named) || tries->n == EDGE_JWT_TRIES)
            continue;
        tries->n++;
        status = net_key_verify(k->key, signed_text, signature, &tries->holds);
    }
    return status;
}

static hs_status check_signature(const struct edge_jwt_rules *rules, const struct header *header,
                                 struct hs_str signed_text, struct hs_str signature,
                                 struct hs_err *reterr)
{
    struct tries tries = {.n = 0};
    hs_status status = HS_OK;

    if (header->alg != NET_ALG_NONE)
        status = try_keys(rules->keys, header, signed_text, signature, &tries);
    if (header->alg != NET_ALG_NONE && !status && !tries.holds)
        status = try_keys(rules->jwks, header, signed_text, signature, &tries);
    if (status)
        return hs_fail_memory(reterr);
    if (tries.holds)
        return HS_OK;
    /* The set may have moved on: whoever asks for it again is told so by this fault. */
    if (header->alg != NET_ALG_NONE && rules->jwks && header->kid.p && !tries.has_kid)
        return refuse(reterr, EDGE_FAULT_KEY, "No key that is known here has its \"kid\".");
    if (!rules->jwks && (!rules->keys || !rules->keys->n))
        return refuse(reterr, EDGE_FAULT_UNCONFIGURED, "There is no key for any \"alg\" here.");
    if (!tries.has_alg)
        return refuse(reterr, EDGE_FAULT_ALGORITHM,
                      "Its \"alg\" is not one that is accepted here.");
    if (tries.n == 0)
        return refuse(reterr, EDGE_FAULT_KEY, "No key that is known here has its \"kid\".");
    return refuse(reterr, EDGE_FAULT_SIGNATURE, "Its signature does not match.");
}

/* Not three segments, or an empty one among them. */
static hs_status refuse_form(struct hs_str token, struct hs_err *reterr)
{
    unsigned parts = 1;

    for (size_t i = 0; i < token.n && parts < UINT8_MAX; i++)
        parts += token.p[i] == '.';
    (void)refuse(reterr, parts == 3 ? EDGE_FAULT_ENCODING : EDGE_FAULT_PARTS,
                 "It does not have the form header.payload.signature.");
    reterr->reason = (unsigned short)(reterr->reason | parts << 8);
    return HS_E_BAD_TOKEN;
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
    struct header head;
    hs_status status;

    reterr = reterr ? reterr : &own;
    if (token.n > rules->token_max)
        return refuse(reterr, EDGE_FAULT_LENGTH, "It is longer than auth.jwt.max.");
    if (token.n < signed_text.n + 2 || !header.n || !payload.n || hs_str_find(rest, '.') < rest.n)
        return refuse_form(token, reterr);
    hs_buf_clear(scratch);
    if (!hs_buf_room(scratch, token.n))
        return hs_fail_memory(reterr);
    status = decode(header, scratch, &header, reterr);
    if (!status)
        status = read_header(header, &head, reterr);
    hs_buf_clear(scratch);
    if (!status)
        status = decode(rest, scratch, &rest, reterr);
    if (!status)
        status = check_signature(rules, &head, signed_text, rest, reterr);
    hs_buf_clear(scratch);
    if (!status)
        status = decode(payload, scratch, &payload, reterr);
    return status ? status
                  : edge_jwt_read_claims(rules, payload, signed_text, now, ret_jwt, reterr);
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

static hs_status check_dates(const struct edge_jwt_rules *rules, const json_t *claims,
                             struct hs_wall now, struct edge_jwt *jwt, struct hs_err *reterr)
{
    int64_t skew = rules->clock_skew > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)rules->clock_skew;
    int64_t issued_us = INT64_MIN;

    jwt->starts_us = INT64_MIN;
    jwt->ends_us = INT64_MAX;
    if (!read_date(claims, "exp", skew, &jwt->ends_us))
        return refuse(reterr, EDGE_FAULT_EXP_TYPE, "Its \"exp\" is not a number of seconds.");
    if (!read_date(claims, "nbf", -skew, &jwt->starts_us))
        return refuse(reterr, EDGE_FAULT_NBF_TYPE, "Its \"nbf\" is not a number of seconds.");
    if (rules->is_lenient && !read_date(claims, "iat", -skew, &issued_us))
        return refuse(reterr, EDGE_FAULT_IAT_TYPE, "Its \"iat\" is not a number of seconds.");
    if (now.us >= jwt->ends_us)
        return refuse(reterr, EDGE_FAULT_EXPIRED, "It has expired (exp).");
    if (now.us < jwt->starts_us)
        return refuse(reterr, EDGE_FAULT_NOT_YET, "It is not valid yet (nbf).");
    if (now.us < issued_us)
        return refuse(reterr, EDGE_FAULT_ISSUED, "It was issued in the future (iat).");
    return HS_OK;
}

static struct hs_str text_of(const json_t *v)
{
    return json_is_string(v) ? hs_strn(json_string_value(v), json_string_length(v)) : HS_STR_NULL;
}

static bool is_text(const json_t *v, struct hs_str text)
{
    return json_is_string(v) && hs_str_eq(text_of(v), text);
}

/* aud is one text or an array of texts; RFC 7519, 4.1.3. */
static hs_status check_audience(const struct edge_jwt_rules *rules, const json_t *claims,
                                struct hs_err *reterr)
{
    const json_t *aud = json_object_get(claims, "aud");
    bool is_absent = !aud || json_is_null(aud) || (json_is_array(aud) && !json_array_size(aud));
    bool found = is_text(aud, rules->audience);
    bool are_texts = json_is_string(aud) || json_is_array(aud);

    if (rules->audience.n == 0 || (rules->is_lenient && is_absent))
        return HS_OK;
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const json_t *v = json_array_get(aud, i);

        are_texts = are_texts && json_is_string(v);
        found = found || is_text(v, rules->audience);
    }
    if (!is_absent && !are_texts)
        return refuse(reterr, EDGE_FAULT_AUD_TYPE,
                      "Its \"aud\" is neither a text nor an array of texts.");
    return found ? HS_OK
                 : refuse(reterr, EDGE_FAULT_AUDIENCE,
                          "Its \"aud\" does not name this server (auth.jwt.audience).");
}

static hs_status find_role(const struct edge_jwt_rules *rules, const json_t *claims,
                           struct hs_str *ret_role, struct hs_err *reterr)
{
    struct hs_str role = edge_claim_path_find(rules->role_claim, claims);

    *ret_role = HS_STR_NULL;
    if (!role.p && rules->is_lenient)
        return HS_OK;
    for (size_t i = 0; role.p && i < rules->n_roles; i++) {
        if (hs_str_eq(role, rules->roles[i])) {
            *ret_role = rules->roles[i];
            return HS_OK;
        }
    }
    (void)hs_fail(reterr, HS_E_BAD_ROLE, "the token's role may not be used here");
    if (role.p)
        hs_err_why(reterr, "Role \"%.*s\" is not in auth.roles.", HS_FMT(role));
    else
        hs_err_why(reterr, "The token has no text in the claim \"%.*s\" (auth.jwt.role_claim).",
                   HS_FMT(edge_claim_path_text(rules->role_claim)));
    reterr->reason = role.p ? EDGE_FAULT_ROLE : EDGE_FAULT_NO_ROLE;
    return HS_E_BAD_ROLE;
}

/* Hashes, so that neither a list nor a log holds what they are of. false = the library failed. */
static bool name_token(const json_t *claims, struct hs_str signed_text, struct edge_jwt *jwt)
{
    struct hs_str jti = text_of(json_object_get(claims, "jti"));
    struct hs_str iss = text_of(json_object_get(claims, "iss"));
    struct hs_str sub = text_of(json_object_get(claims, "sub"));
    unsigned char hash[2 * NET_SHA256];
    bool done;

    if (jti.n) {
        done = net_sha256(iss, hash) && net_sha256(jti, hash + NET_SHA256) &&
               net_sha256(hs_strn((const char *)hash, sizeof(hash)), hash);
    } else {
        done = net_sha256(signed_text, hash);
    }
    memcpy(jwt->id, hash, sizeof(jwt->id));
    jwt->subject[0] = '\0';
    return done && (!sub.p || edge_subject(sub, jwt->subject));
}

bool edge_subject(struct hs_str sub, char to[static HS_SUBJECT])
{
    char hex[NET_SHA256_HEX];

    if (!net_sha256_hex(sub, hex))
        return false;
    memcpy(to, hex, HS_SUBJECT - 1);
    to[HS_SUBJECT - 1] = '\0';
    return true;
}

hs_status edge_jwt_read_claims(const struct edge_jwt_rules *rules, struct hs_str payload,
                               struct hs_str signed_text, struct hs_wall now,
                               struct edge_jwt *ret_jwt, struct hs_err *reterr)
{
    struct hs_err own;
    struct edge_jwt jwt = {.claims = payload};
    hs_auto(free_json) json_t *claims = NULL;
    hs_status status;

    reterr = reterr ? reterr : &own;
    claims = read_object(payload, "payload", EDGE_FAULT_PAYLOAD, reterr);
    status = claims ? check_dates(rules, claims, now, &jwt, reterr) : reterr->status;
    if (!status)
        status = check_audience(rules, claims, reterr);
    if (!status)
        status = find_role(rules, claims, &jwt.role, reterr);
    if (!status && !name_token(claims, signed_text, &jwt))
        status = hs_fail_memory(reterr);
    jwt.names_role = claims && json_object_get(claims, "role");
    if (!status)
        *ret_jwt = jwt;
    return status;
}
