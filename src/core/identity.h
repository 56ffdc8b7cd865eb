/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/identity.h - who asks: the database role and the claims that are set before each statement.
 *
 * Made by edge/auth from a verified token (or as the anonymous role), read by api and pg. Immutable, but
 * for what its maker sets before anyone else sees it, and for what api/callers remembers in it.
 * Counted, and counted without atomics: an identity belongs to the worker that made it.
 */
#ifndef CORE_IDENTITY_H
#define CORE_IDENTITY_H

#include "core/str.h"

/* Roles that a configuration may name: each has a bit of its own in the catalog's privileges. */
enum { HS_ROLES_MAX = 64 };
/* Text of a hashed subject: 16 hexadecimal digits and a NUL. */
enum { HS_SUBJECT = 17 };

struct hs_identity {
    uint32_t refs;     /* the owning worker's */
    bool is_anonymous; /* no token: 42501 becomes 401 */
    uint32_t
        statement_timeout_ms; /* of each of its statements; 0 = the database's default. Set by the maker */
    uint64_t rows_max;  /* of a list that it asks for; 0 = no limit of its own. Set by the maker */
    uint64_t body_max;  /* bytes of a request's body; the same */
    uint64_t hash;      /* of role and claims */
    uint64_t role_hash; /* of role alone: statements are prepared per role */
    struct hs_str role; /* NUL-terminated */
    struct hs_str claims; /* JSON object, NUL-terminated; "{}" when there are none */
    char subject
        [HS_SUBJECT]; /* for the audit log: a hash of the claim `sub`, or ""; set by the maker */
    /* Of api/callers.c: the same caller with fewer claims, what it was asked for, and whether this is such a one. */
    struct hs_identity *reduced; /* a reference; NULL = none yet */
    uint64_t reduced_claims;
    uint64_t reduced_for;
    bool is_reduced;
};

/* role and claims are copied. NULL = no memory. The caller holds one reference. */
struct hs_identity *hs_identity_new(struct hs_str role, struct hs_str claims, bool is_anonymous);
struct hs_identity *hs_identity_ref(struct hs_identity *id);
void hs_identity_unref(struct hs_identity *id);
/* The same role, claims and time limit? Compares everything, not only the hash. */
bool hs_identity_eq(const struct hs_identity *a, const struct hs_identity *b);

#endif
