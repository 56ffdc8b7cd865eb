/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/fault.h - what exactly was wrong with a token or a key: the `reason` of errors with the statuses
 * HS_E_NO_TOKEN, HS_E_BAD_TOKEN and HS_E_BAD_ROLE. For another dialect, which has codes of its own, and for
 * the audit log.
 *
 *   what                                                   in PostgREST
 *   EDGE_FAULT_ANONYMOUS                                   PGRST302
 *   EDGE_FAULT_UNCONFIGURED                                PGRST300
 *   EDGE_FAULT_SCHEME to EDGE_FAULT_REVOKED, _API_KEY      PGRST301
 *   EDGE_FAULT_PAYLOAD to EDGE_FAULT_AUDIENCE              PGRST303
 *   EDGE_FAULT_NO_ROLE                                     PGRST302
 *   EDGE_FAULT_ROLE                                        what PostgreSQL says to SET ROLE: 401 and 22023, or 403
 *                                                          and 42501
 */
#ifndef EDGE_FAULT_H
#define EDGE_FAULT_H

#include "core/err.h"

enum edge_fault {
    EDGE_FAULT_NONE,
    EDGE_FAULT_ANONYMOUS,    /* nothing was shown, and there is no anonymous role */
    EDGE_FAULT_UNCONFIGURED, /* a token was shown, and there is no key at all */
    EDGE_FAULT_SCHEME,       /* the header has not the form "Bearer token"; two headers */
    EDGE_FAULT_EMPTY,        /* "Bearer" and no token */
    EDGE_FAULT_LENGTH,       /* longer than auth.jwt.max */
    EDGE_FAULT_PARTS,        /* not three segments */
    EDGE_FAULT_ENCODING,     /* a segment is no base64url */
    EDGE_FAULT_HEADER,       /* no JSON object, `crit`, `typ`, no `alg` */
    EDGE_FAULT_ALGORITHM,    /* `alg` is none of those accepted */
    EDGE_FAULT_KEY,          /* no key with its `kid` */
    EDGE_FAULT_SIGNATURE,    /* does not hold */
    EDGE_FAULT_REVOKED,      /* logged out */
    EDGE_FAULT_PAYLOAD,      /* no JSON object */
    EDGE_FAULT_EXPIRED,      /* `exp` */
    EDGE_FAULT_NOT_YET,      /* `nbf` */
    EDGE_FAULT_ISSUED,       /* `iat` lies in the future (asked for by auth.jwt.claims only) */
    EDGE_FAULT_EXP_TYPE,     /* no number */
    EDGE_FAULT_NBF_TYPE,
    EDGE_FAULT_IAT_TYPE,
    EDGE_FAULT_AUD_TYPE, /* neither a text nor an array of texts */
    EDGE_FAULT_AUDIENCE, /* another's */
    EDGE_FAULT_NO_ROLE,  /* no text at auth.jwt.role_claim */
    EDGE_FAULT_ROLE,     /* none of auth.roles */
    EDGE_FAULT_API_KEY,  /* unknown, or expired */
    EDGE_FAULTS
};

/* The lower byte of the reason; the upper one is a number that belongs to it. */
static inline enum edge_fault edge_fault_of(const struct hs_err *err)
{
    unsigned fault = err->reason & 0xffu;

    return fault < EDGE_FAULTS ? (enum edge_fault)fault : EDGE_FAULT_NONE;
}

/* Of EDGE_FAULT_PARTS: how many there are, 255 at most. */
static inline unsigned edge_fault_number(const struct hs_err *err)
{
    return (unsigned)err->reason >> 8;
}

/* "expired", "signature": one word for the audit log; "" for NONE. */
const char *edge_fault_name(enum edge_fault fault);

#endif
