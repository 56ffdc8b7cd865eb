/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/fault.h - what is wrong with a token, in PostgREST's words.
 *
 * Source     PostgREST 16, "Errors", group 3, and its messages.
 */
#ifndef REST_FAULT_H
#define REST_FAULT_H

#include "core/arena.h"
#include "core/err.h"

struct rest_fault {
    const char *code;
    unsigned http;
    struct hs_str message;
    const char *details; /* NULL: null */
};

/* false: the error is not about a token, or PostgREST has no words of its own for it. A message may be in the arena. */
bool rest_fault_of(const struct hs_err *err, struct hs_arena *arena, struct rest_fault *ret_fault)
    hs_must_check;

#endif
