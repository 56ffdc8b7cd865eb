/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/error.h - an error as a PostgREST client reads it.
 *
 * struct hs_err says everything but two things that some errors of this dialect have: details that are JSON
 * rather than text (PGRST201 and PGRST203 list the choices), and a hint longer than a sentence. They travel
 * beside it in struct rest_more, which belongs to the request and is empty for every other error.
 */
#ifndef REST_ERROR_H
#define REST_ERROR_H

#include "core/buf.h"
#include "core/err.h"

/* Texts in the request's arena. Zeroed by whoever owns it, filled by whoever fails. */
struct rest_more {
    struct hs_str details; /* JSON, as it stands; p == NULL: hs_err.why as a string */
    struct hs_str hint;    /* p == NULL: hs_err.hint */
};

/*
 * Appends {"code","details","hint","message"}; what is empty is null. more may be NULL. is_brief: code and
 * message only.
 */
void rest_error_to_json(const struct hs_err *err, const struct rest_more *more, bool is_brief,
                        struct hs_buf *out);

#endif
