/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/logout.h - tokens that were logged out before their time, until that time has come.
 *
 * Shape      open addressing over the names of tokens (struct edge_jwt, id), at most half full; grows by doubling.
 * Promises   a token on the list is found until its exp; none is forgotten to make room: when the list is full,
 *            and nothing on it has expired, adding fails and says so.
 * Limits     tokens_max tokens, 24 bytes each and 4 to 8 for its place.
 * Thread     the owner's: each worker has a list of its own. Time comes in.
 */
#ifndef EDGE_LOGOUT_H
#define EDGE_LOGOUT_H

#include "core/buf.h"
#include "core/time.h"
#include "edge/jwt.h"

struct edge_logout_entry {
    unsigned char id[EDGE_JWT_ID];
    int64_t ends_us; /* INT64_MAX: never */
};

struct edge_logout {
    struct edge_logout_entry *entries;
    uint32_t *slots; /* index + 1 of an entry; 0 = empty */
    size_t n;
    size_t cap; /* of entries; twice as many slots */
    size_t max;
};

/* Allocates nothing yet. tokens_max up to 2^24. */
void edge_logout_init(struct edge_logout *list, size_t tokens_max);
void edge_logout_fini(struct edge_logout *list);

bool edge_logout_has(const struct edge_logout *list, const unsigned char id[static EDGE_JWT_ID]);
/* Twice is once. errors HS_E_LIMIT (full), HS_E_MEMORY; the list is as it was then */
hs_status edge_logout_add(struct edge_logout *list, const struct edge_logout_entry *entry,
                          struct hs_wall now, struct hs_err *reterr) hs_must_check;

/* A line of the file that keeps it, with its newline: {"id":"<32 hexadecimal digits>","exp":<seconds or null>} */
void edge_logout_print(const struct edge_logout_entry *entry, struct hs_buf *out);
/* false: it is no such line (one that was cut off by a crash). */
bool edge_logout_parse(struct hs_str line, struct edge_logout_entry *ret_entry) hs_must_check;

#endif
