/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/key.h - the canonical key of a kept answer: all that shapes it, in a form that a person can read.
 *
 *     table role {"claims":...} n1234 l20 p1 q99 SELECT ... =2 42 @16412 .6
 *
 * Different requests have different keys: the number of the table and the length of the role at the end say where
 * the names end, whatever stands in them; the claims are one JSON object; what follows has its length before
 * it.
 */
#ifndef API_KEY_H
#define API_KEY_H

#include "api/request.h"

/* Of a read whose statement is ready, asked as `as`; replaces what is in `key`. */
void api_key_write(const struct api_request *r, const struct hs_identity *as, struct hs_buf *key);

#endif
