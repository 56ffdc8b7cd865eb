/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities. One block of memory each: the struct, then role, then claims.
 */
#include "core/identity.h"

#include "core/hash.h"
#include "core/mem.h"

struct hs_identity *hs_identity_new(struct hs_str role, struct hs_str claims, bool is_anonymous)
{
    struct hs_identity *id = hs_calloc(1, sizeof(*id) + role.n + claims.n + 2);
    char *text;

    if (!id)
        return NULL;
    text = (char *)(id + 1);
    if (role.n)
        memcpy(text, role.p, role.n);
    if (claims.n)
        memcpy(text + role.n + 1, claims.p, claims.n);
    id->refs = 1;
    id->is_anonymous = is_anonymous;
    id->role = hs_strn(text, role.n);
    id->claims = hs_strn(text + role.n + 1, claims.n);
    id->role_hash = hs_hash(id->role);
    id->hash = hs_hash_more(id->role_hash, id->claims);
    return id;
}

struct hs_identity *hs_identity_ref(struct hs_identity *id)
{
    id->refs++;
    return id;
}

void hs_identity_unref(struct hs_identity *id)
{
    if (!id)
        return;
    HS_BUG_ON(id->refs == 0);
    if (--id->refs)
        return;
    /* One step deep: a reduced identity has none of its own. */
    hs_identity_unref(id->reduced);
    hs_free(id);
}

bool hs_identity_eq(const struct hs_identity *a, const struct hs_identity *b)
{
    return a == b || (a->hash == b->hash && a->statement_timeout_ms == b->statement_timeout_ms &&
                      hs_str_eq(a->role, b->role) && hs_str_eq(a->claims, b->claims));
}
