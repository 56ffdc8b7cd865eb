/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/json.h - text into JSON (RFC 8259).
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/buf.h"

/*
 * Appends s as a JSON string with its quotes. Control characters, '"' and '\' are escaped the way
 * PostgreSQL's to_json does it (\b \f \n \r \t, else \u00xx); all else passes as it is. Bytes that are
 * not UTF-8 become U+FFFD, so the output is always valid.
 */
void hs_json_string(struct hs_buf *out, struct hs_str s);

/* The same for text known to be UTF-8 (PostgreSQL's, with client_encoding UTF8): no check. */
void hs_json_text(struct hs_buf *out, struct hs_str s);
/* The same without the quotes, for a string that is written in pieces. */
void hs_json_piece(struct hs_buf *out, struct hs_str s);

#endif
