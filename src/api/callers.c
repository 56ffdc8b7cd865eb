/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities with only the claims that count, each once.
 *
 *     who { role, claims: company_id, sub, exp, jti ... }  + bits {company_id}
 *          -> { role, claims: {"company_id":42} }           one object for all of company 42
 *
 * The rule: the claims that are left out are not set in the session, so they cannot matter; those that stay are
 * as they were signed, in the catalog's order. Claims that cannot be read stay whole.
 *
 * What was found is remembered in `who`, so that the claims are read once a token and not once a request. The
 * memory counts only while the same model is in use, because another catalog numbers its claims anew.
 */
#include "api/depend_int.h"

#include "core/hash.h"
#include "core/json.h"
#include "core/json_read.h"
#include "core/mem.h"

/* CALLERS_MAX: beyond it the table begins anew; an identity that is in use lives on. SLOTS: twice as many. */
enum { CALLERS_MAX = 4096, CALLERS_SLOTS = 8192, CLAIMS_BYTES_MAX = 1 << 20 };
/* A name with escapes in it; a longer one makes its claims unreadable. */
enum { NAME_ESCAPED_MAX = 512 };

struct api_callers {
    struct api_model
        *model;           /* whose catalog numbers the claims; a reference; NULL before the first */
    uint64_t number;      /* of that model, among those that were in use here: 1, 2, 3 ... */
    struct hs_buf claims; /* scratch */
    size_t n;
    struct hs_identity *of[CALLERS_SLOTS]; /* open addressing; a reference each */
};

hs_status api_callers_new(struct api_callers **ret_callers, struct hs_err *reterr)
{
    struct api_callers *callers = hs_calloc(1, sizeof(*callers));

    if (!callers)
        return hs_fail_memory(reterr);
    hs_buf_init(&callers->claims, CLAIMS_BYTES_MAX);
    *ret_callers = callers;
    return HS_OK;
}

static void forget_all(struct api_callers *callers)
{
    for (size_t i = 0; i < CALLERS_SLOTS; i++) {
        hs_identity_unref(callers->of[i]);
        callers->of[i] = NULL;
    }
    callers->n = 0;
}

void api_callers_free(struct api_callers *callers)
{
    if (!callers)
        return;
    forget_all(callers);
    hs_buf_fini(&callers->claims);
    api_model_unref(callers->model);
    hs_free(callers);
}

/* ---- claims ---- */

/*
 * Which claim of the catalog the member is that was just read; n_claims = none of them. false: its name
 * cannot be told.
 */
static bool find_claim(const struct pg_catalog *catalog, const struct json_reader *r,
                       size_t *ret_claim)
{
    char plain[NAME_ESCAPED_MAX];
    struct hs_str name = r->value;

    if (r->has_escapes) {
        if (name.n > sizeof(plain) || !json_unescape(r->value, plain, &name.n))
            return false;
        name.p = plain;
    }
    *ret_claim = 0;
    while (*ret_claim < catalog->n_claims && !hs_str_eq(catalog->claims[*ret_claim], name))
        ++*ret_claim;
    return true;
}

bool api_claims_read(const struct pg_catalog *catalog, struct hs_str json, struct hs_str *ret_texts)
{
    struct json_reader r;
    struct hs_err err;
    struct hs_str value;
    enum json_token token;
    size_t claim;

    memset(ret_texts, 0, catalog->n_claims * sizeof(*ret_texts));
    json_reader_init(&r, json, JSON_DEPTH_MAX);
    if (json_next(&r, &token, &err) || token != JSON_OBJECT)
        return false;
    for (;;) {
        if (json_next(&r, &token, &err))
            return false;
        if (token == JSON_OBJECT_END)
            return true;
        if (!find_claim(catalog, &r, &claim) || json_next(&r, &token, &err) ||
            json_skip(&r, token, &value, &err))
            return false;
        if (claim < catalog->n_claims)
            ret_texts[claim] = value;
    }
}

/* The JSON object of these claims, into the scratch. */
static bool write_claims(struct api_callers *callers, const struct hs_identity *who,
                         uint64_t claims)
{
    const struct pg_catalog *catalog = callers->model->catalog;
    struct hs_str texts[API_CLAIMS_MAX];
    struct hs_buf *out = &callers->claims;

    HS_BUG_ON(catalog->n_claims > API_CLAIMS_MAX);
    hs_buf_clear(out);
    if (claims && !api_claims_read(catalog, who->claims, texts)) {
        hs_buf_add(out, who->claims);
        return !hs_buf_failed(out);
    }
    hs_buf_add_char(out, '{');
    for (size_t i = 0; claims && i < catalog->n_claims; i++) {
        if (!(claims >> i & 1) || !texts[i].p)
            continue;
        if (out->n > 1)
            hs_buf_add_char(out, ',');
        hs_json_string(out, catalog->claims[i]);
        hs_buf_add_char(out, ':');
        hs_buf_add(out, texts[i]);
    }
    hs_buf_add_char(out, '}');
    return !hs_buf_failed(out);
}

/* ---- the table ---- */

static bool is_same(const struct hs_identity *made, const struct hs_identity *who,
                    struct hs_str claims)
{
    return made->is_anonymous == who->is_anonymous &&
           made->statement_timeout_ms == who->statement_timeout_ms &&
           made->rows_max == who->rows_max && made->body_max == who->body_max &&
           hs_str_eq(made->role, who->role) && hs_str_eq(made->claims, claims);
}

static struct hs_identity *make(const struct hs_identity *who, struct hs_str claims)
{
    struct hs_identity *made = hs_identity_new(who->role, claims, who->is_anonymous);

    if (made) {
        made->statement_timeout_ms = who->statement_timeout_ms;
        made->rows_max = who->rows_max;
        made->body_max = who->body_max;
        made->is_reduced = true;
    }
    return made;
}

/* The one of the table, made if it is not there; NULL = no memory. */
static struct hs_identity *find(struct api_callers *callers, const struct hs_identity *who,
                                struct hs_str claims)
{
    uint64_t hash = hs_hash_more(who->role_hash, claims);
    size_t at = hash % CALLERS_SLOTS;
    struct hs_identity *made;

    while (callers->of[at]) {
        if (callers->of[at]->hash == hash && is_same(callers->of[at], who, claims))
            return callers->of[at];
        at = (at + 1) % CALLERS_SLOTS;
    }
    made = make(who, claims);
    if (!made)
        return NULL;
    if (callers->n == CALLERS_MAX) {
        forget_all(callers);
        at = hash % CALLERS_SLOTS;
    }
    callers->of[at] = made;
    callers->n++;
    return made;
}

/* Its memory must not lead in a circle: a reduced identity remembers nothing. */
static void remember(const struct api_callers *callers, struct hs_identity *who, uint64_t claims,
                     struct hs_identity *found)
{
    if (who->is_reduced || found == who)
        return;
    hs_identity_unref(who->reduced);
    who->reduced = hs_identity_ref(found);
    who->reduced_claims = claims;
    who->reduced_for = callers->number;
}

static void use_model(struct api_callers *callers, const struct api_model *model)
{
    if (callers->model == model)
        return;
    api_model_unref(callers->model);
    /* What is constant is what the model says; references to it are counted in it. */
    callers->model = api_model_ref((struct api_model *)(uintptr_t)model);
    callers->number++;
    forget_all(callers);
}

struct hs_identity *api_callers_take(struct api_callers *callers, const struct api_model *model,
                                     struct hs_identity *who, uint64_t claims)
{
    struct hs_identity *found;

    use_model(callers, model);
    if (who->reduced && who->reduced_for == callers->number && who->reduced_claims == claims)
        return hs_identity_ref(who->reduced);
    if (!write_claims(callers, who, claims))
        return NULL;
    found = find(callers, who, hs_buf_str(&callers->claims));
    if (!found)
        return NULL;
    remember(callers, who, claims, found);
    return hs_identity_ref(found);
}
